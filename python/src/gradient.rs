//! Gradient checks.

use crate::options::Options;
use crate::rows::{refused, slice};
use burn_svm::internals::device;
use burn_svm::internals::gradcheck::{Inputs, OwnGradient, Report, check, compare_own};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;

/// Holds numerical, analytic and autodiff gradients of a loss against each other: whether they agree, and a line for each coordinate, the
/// last being the verdict. λ is the number of `strength`.
#[pyfunction]
#[pyo3(signature = (rows, classes, n_classes, options, strength, coordinates, weight=None, bias=None))]
#[allow(clippy::needless_pass_by_value, clippy::too_many_arguments)]
pub fn gradcheck(
    py: Python<'_>,
    rows: PyReadonlyArray2<'_, f64>,
    classes: PyReadonlyArray1<'_, u32>,
    n_classes: usize,
    options: Options,
    strength: f64,
    coordinates: usize,
    weight: Option<PyReadonlyArray1<'_, f64>>,
    bias: Option<PyReadonlyArray1<'_, f64>>,
) -> PyResult<(bool, Vec<String>)> {
    let loss = options.loss()?;
    loss.check(n_classes).map_err(refused)?;
    let device = device::cpu().ok_or_else(|| refused("this build has no backend for the processor"))?;
    let (features, labels) = (slice(rows.as_slice())?, slice(classes.as_slice())?);
    let weight = weight.as_ref().map(|weight| slice(weight.as_slice())).transpose()?;
    let bias = bias.as_ref().map(|bias| slice(bias.as_slice())).transpose()?;
    let bias_rule = options.bias()?;
    let report: Result<Report, String> = py.detach(|| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build().map_err(|e| e.to_string())?;
        pool.install(|| {
            let module = loss.init(&device);
            let inputs = Inputs {
                weight,
                bias,
                lambda: strength,
                bias_rule,
                coordinates,
                ..Inputs::new(&*module, features, labels, n_classes)
            };
            check(&inputs).map_err(|e| format!("{e}; {}", e.hint()))
        })
    });
    let report = report.map_err(refused)?;
    let mut lines: Vec<String> = report.coordinates.iter().map(ToString::to_string).collect();
    lines.push(report.verdict.to_string());
    Ok((report.verdict.passed, lines))
}

/// A gradient of one's own against the right one, entry by entry: whether all agree, a line for each of the entries with the largest
/// errors and the verdict, and the likely cause of a difference. λ is the number of `strength`.
#[pyfunction]
#[allow(clippy::needless_pass_by_value, clippy::too_many_arguments)]
pub fn check_gradient(
    py: Python<'_>,
    own: PyReadonlyArray2<'_, f64>,
    rows: PyReadonlyArray2<'_, f64>,
    classes: PyReadonlyArray1<'_, u32>,
    weight: PyReadonlyArray2<'_, f64>,
    options: Options,
    strength: f64,
    tolerance: f64,
) -> PyResult<(bool, Vec<String>, Option<String>)> {
    let loss = options.loss()?;
    let (n_classes, shape) = (weight.as_array().ncols(), [own.as_array().nrows(), own.as_array().ncols()]);
    let own = OwnGradient {
        gradient: slice(own.as_slice())?,
        shape,
        features: slice(rows.as_slice())?,
        labels: slice(classes.as_slice())?,
        weight: slice(weight.as_slice())?,
        n_classes,
        loss: &loss,
        lambda: strength,
        tolerance,
    };
    let report = py.detach(|| compare_own(&own).map_err(|e| format!("{e}; {}", e.hint()))).map_err(refused)?;
    let mut lines: Vec<String> = report.worst.iter().map(ToString::to_string).collect();
    lines.push(report.to_string());
    Ok((report.passed, lines, report.cause))
}

/// The loss `[n_samples]` of scores `[n_samples, n_classes]`, and its gradient with respect to them, class weights included.
#[pyfunction]
#[allow(clippy::needless_pass_by_value, clippy::type_complexity)]
pub fn gradient<'py>(
    py: Python<'py>,
    scores: PyReadonlyArray2<'py, f64>,
    classes: PyReadonlyArray1<'py, u32>,
    options: Options,
) -> PyResult<(Bound<'py, PyArray1<f64>>, Bound<'py, PyArray2<f64>>)> {
    let (n, k) = (scores.as_array().nrows(), scores.as_array().ncols());
    let (loss, scores, labels) = (options.loss()?, slice(scores.as_slice())?, slice(classes.as_slice())?);
    loss.check(k).map_err(refused)?;
    if labels.len() != n || labels.iter().any(|&label| label as usize >= k) {
        return Err(refused(format!("labels: expected one for each of {n} rows, below {k}")));
    }
    let (mut values, mut slopes) = (Vec::with_capacity(n), vec![0.0; n * k]);
    for ((row, q), &label) in scores.chunks_exact(k).zip(slopes.chunks_exact_mut(k)).zip(labels) {
        values.push(loss.of_row(row, label as usize));
        loss.gradient_of_row(row, label as usize, q);
    }
    Ok((values.into_pyarray(py), slopes.into_pyarray(py).reshape([n, k])?))
}
