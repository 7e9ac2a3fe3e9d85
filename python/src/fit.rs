//! Fits, one or those of a path in C on folds.

use crate::options::Options;
use crate::rows::{Matrix, refused, slice};
use crate::supervise::{Watch, WorkResult, supervise};
use burn_svm::{ClassIndices, Model, Solution, StopReason, SvmError};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rayon::prelude::*;

/// A fitted model and what was proved of it, as a dictionary in Python.
#[derive(IntoPyObject)]
pub struct Fitted<'py> {
    /// `[n_classes, n_features]` for raw rows; none where rows are brought to unit length.
    coef: Option<Bound<'py, PyArray2<f64>>>,
    /// `[n_classes]`
    intercept: Option<Bound<'py, PyArray1<f64>>>,
    objective: f64,
    dual_objective: f64,
    gap: f64,
    epochs: f64,
    steps: u64,
    stop_reason: &'static str,
    stop_sentence: String,
    seconds: f64,
    /// The model file.
    file: Bound<'py, PyBytes>,
}

/// Weights `[n_classes, n_features]` and bias `[n_classes]` of a model for raw rows.
pub type Coefficients<'py> = Option<(Bound<'py, PyArray2<f64>>, Bound<'py, PyArray1<f64>>)>;

/// The coefficients of a model as arrays.
pub fn coefficients<'py>(py: Python<'py>, model: &Model) -> PyResult<Coefficients<'py>> {
    let Some((weight, bias)) = model.coefficients() else { return Ok(None) };
    let (d, k) = (model.n_features(), model.n_classes());
    let mut by_class = vec![0.0; weight.len()];
    for (j, row) in weight.chunks_exact(k).enumerate() {
        row.iter().enumerate().for_each(|(c, w)| by_class[c * d + j] = *w);
    }
    Ok(Some((by_class.into_pyarray(py).reshape([k, d])?, bias.into_pyarray(py))))
}

impl<'py> Fitted<'py> {
    pub fn new(py: Python<'py>, solution: &Solution) -> PyResult<Self> {
        let (coef, intercept) = coefficients(py, solution)?.unzip();
        let certificate = solution.certificate();
        let bytes = AsRef::<burn_svm::internals::model::Classifier>::as_ref(&**solution).to_bytes();
        Ok(Self {
            coef,
            intercept,
            objective: certificate.primal,
            dual_objective: certificate.dual,
            gap: certificate.relative_gap,
            epochs: solution.epochs(),
            steps: solution.steps(),
            stop_reason: solution.stop_reason().name(),
            stop_sentence: solution.stop_reason().to_string(),
            seconds: solution.seconds().as_secs_f64(),
            file: PyBytes::new(py, &bytes),
        })
    }
}

/// A value, the warnings, and the exception of a signal that ended the work early.
type Told<T> = (T, Vec<String>, Option<Py<PyAny>>);

/// Result for Python; a failure after a signal is the signal's.
fn told<T>(py: Python<'_>, outcome: WorkResult<Result<T, SvmError>>) -> PyResult<Told<T>> {
    match (outcome.value, outcome.exception) {
        (Ok(value), exception) => Ok((value, outcome.warnings, exception.map(|e| e.into_value(py).into_any()))),
        (Err(_), Some(exception)) => Err(exception),
        (Err(error), None) => Err(refused(error)),
    }
}

/// Fits a model to rows with a class index and a weight each. `progress` is told now and then; the fit ends early where it returns true.
#[pyfunction]
#[pyo3(signature = (rows, classes, names, options, weights=None, progress=None))]
#[allow(clippy::needless_pass_by_value)]
pub fn fit<'py>(
    py: Python<'py>,
    rows: Matrix<'py>,
    classes: PyReadonlyArray1<'py, u32>,
    names: Vec<String>,
    options: Options,
    weights: Option<PyReadonlyArray1<'py, f32>>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Told<Fitted<'py>>> {
    let (rows, svm) = (rows.rows()?, options.svm()?);
    let labels = ClassIndices::new(&names, slice(classes.as_slice())?).map_err(refused)?;
    let weights = weights.as_ref().map(|weights| slice(weights.as_slice())).transpose()?;
    let work = |mut watch: Watch<'_>| svm.fit_with(&rows, &labels, weights, &mut watch);
    let outcome = supervise(py, options.threads, progress.as_ref(), work)?;
    let (solution, warnings, exception) = told(py, outcome)?;
    Ok((Fitted::new(py, &solution)?, warnings, exception))
}

/// Fits a path of C, which rise, to each of several sets of rows, side by side where threads allow: a list for each set, shorter where
/// it was interrupted.
#[pyfunction]
#[pyo3(signature = (rows, classes, names, options, cs, sets, weights=None, progress=None))]
#[allow(clippy::needless_pass_by_value, clippy::too_many_arguments)]
pub fn paths<'py>(
    py: Python<'py>,
    rows: Matrix<'py>,
    classes: PyReadonlyArray1<'py, u32>,
    names: Vec<String>,
    options: Options,
    cs: Vec<f64>,
    sets: Vec<PyReadonlyArray1<'py, u32>>,
    weights: Option<PyReadonlyArray1<'py, f32>>,
    progress: Option<Py<PyAny>>,
) -> PyResult<Told<Vec<Vec<Fitted<'py>>>>> {
    let (rows, svm) = (rows.rows()?, options.svm()?);
    let labels = ClassIndices::new(&names, slice(classes.as_slice())?).map_err(refused)?;
    let weights = weights.as_ref().map(|weights| slice(weights.as_slice())).transpose()?;
    let sets = sets.iter().map(|set| slice(set.as_slice())).collect::<PyResult<Vec<&[u32]>>>()?;
    let each = svm.threads((options.threads / sets.len().max(1)).max(1));
    let work = |watch: Watch<'_>| {
        let of_set =
            |set: &&[u32]| each.fit_path(&rows, &labels, &cs, Some(set), weights, &mut watch.another()).map(whole);
        sets.par_iter().map(of_set).collect::<Result<Vec<_>, _>>()
    };
    let outcome = supervise(py, options.threads, progress.as_ref(), work)?;
    let (solutions, warnings, exception) = told(py, outcome)?;
    let of_set = |set: &Vec<Solution>| set.iter().map(|solution| Fitted::new(py, solution)).collect();
    Ok((solutions.iter().map(of_set).collect::<PyResult<_>>()?, warnings, exception))
}

/// A path without the model that was being fitted when it was interrupted.
fn whole(mut path: Vec<Solution>) -> Vec<Solution> {
    path.retain(|solution| solution.stop_reason() != StopReason::Interrupted);
    path
}
