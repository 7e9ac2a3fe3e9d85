//! A gradient check on rows drawn from a data set, and on a device.

use super::report::{Parameter, Report};
use super::{GradcheckError, Inputs, ROWS, check, compare_on_device, generator, normal};
use crate::data::Features;
use crate::data::batch::Source;
use crate::device::OpenDevice;
use crate::objective::Objective;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

/// Cells of the dense f64 matrix on which numerical values are taken; fewer rows are drawn where they would be more.
const CELLS: usize = 16_000_000;

/// Input of [`check_rows`].
#[derive(Debug, Clone, Copy)]
pub struct RowCheckInput<'a> {
    /// Rows, labels and preprocessing.
    pub source: Source<'a>,
    /// The rows to draw [`ROWS`] from: the training split.
    pub rows: &'a [u32],
    /// Number of classes.
    pub n_classes: usize,
    /// The function to differentiate.
    pub objective: &'a Objective,
    /// Weight `[n_features, n_classes]` of a model, for preprocessed features; random weights where it is `None`.
    pub weight: Option<&'a [f32]>,
    /// Its bias `[n_classes]`.
    pub bias: Option<&'a [f32]>,
    /// Device on which the whole gradient is computed once more, in its own precision.
    pub device: &'a OpenDevice,
    /// Coordinates to check.
    pub coordinates: usize,
    /// The step h of the differences, [`super::STEP`] as a rule.
    pub step: f64,
    /// Coordinates with a kink, at most, along which the loss is followed ([`Report::profiles`]).
    pub profiles: usize,
    /// Seed of rows, random weights and coordinates.
    pub seed: u64,
}

/// Checks the gradient of an objective on drawn rows of a data set: coordinates in f64 on the CPU, the whole gradient on a
/// device.
///
/// Columns that are zero in all drawn rows take no part in the former, so that wide sparse data stays small.
///
/// # Errors
/// [`GradcheckError`] when the build has no CPU backend, there are no rows, or a device fails.
///
/// # Panics
/// When `weight` or `bias` do not fit the data.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
pub fn check_rows(request: &RowCheckInput<'_>) -> Result<Report, GradcheckError> {
    let device = crate::device::cpu().ok_or(GradcheckError::NoCpuBackend)?;
    let (d, k) = (request.source.features.n_features(), request.n_classes);
    let mut rng = generator(request.seed);
    let rows = draw_rows(&request.source, request.rows, &mut rng);
    if rows.is_empty() {
        return Err(GradcheckError::NoRows);
    }
    let has_bias = request.objective.bias.has_bias();
    let narrow = |values: Vec<f64>| values.into_iter().map(|v| v as f32).collect::<Vec<f32>>();
    let random = (narrow(normal(d * k, &mut rng)), narrow(normal(k, &mut rng)));
    let (weight, bias) = match request.weight {
        None => (random.0.as_slice(), has_bias.then_some(random.1.as_slice())),
        Some(weight) => (weight, request.bias.filter(|_| has_bias)),
    };
    super::expect(weight.len() == d * k, || format!("{} weights", weight.len()), || (d * k).to_string())?;

    let columns = used_columns(&request.source, &rows);
    let features = dense(&request.source, &rows, &columns);
    let labels: Vec<u32> = rows.iter().map(|&r| request.source.labels[r as usize]).collect();
    let chosen: Vec<f64> = columns.iter().flat_map(|&j| &weight[j * k..(j + 1) * k]).map(|&w| f64::from(w)).collect();
    let chosen_bias: Option<Vec<f64>> = bias.map(|b| b.iter().map(|&b| f64::from(b)).collect());
    let objective = request.objective;
    let row_weights: Vec<f64> = rows.iter().map(|&row| request.source.weight(row)).collect();
    let zeros = vec![0.0; k];
    let at_zero = labels.iter().zip(&row_weights).map(|(&label, w)| w * objective.loss.of_row(&zeros, label as usize));
    let loss = objective.loss.init(&device);
    let mut report = check(&Inputs {
        row_weights: request.source.weights.map(|_| row_weights.as_slice()),
        weight: Some(&chosen),
        bias: chosen_bias.as_deref(),
        lambda: objective.lambda,
        bias_rule: objective.bias,
        expected_at_zero: Some(at_zero.sum::<f64>() / labels.len() as f64),
        coordinates: request.coordinates,
        step: request.step,
        profiles: request.profiles,
        seed: request.seed,
        ..Inputs::new(loss.as_ref(), &features, &labels, k)
    })?;
    finish(&mut report, request, &rows, &columns);
    let comparison = compare_on_device(request.source, &rows, k, objective, weight, bias, request.device)?;
    report.verdict.passed &= comparison.ok;
    if !comparison.ok && report.verdict.cause.is_none() {
        report.verdict.cause = Some(format!("the arithmetic of the device `{}`", comparison.device));
    }
    report.device = Some(comparison);
    Ok(report)
}

/// Puts the data set's own numbers of rows, columns and features into a report.
fn finish(report: &mut Report, request: &RowCheckInput<'_>, rows: &[u32], columns: &[usize]) {
    report.n_features = request.source.features.n_features();
    if request.weight.is_none() {
        report.at = super::GradientPoint::Random;
        report.losses.at_random = report.losses.data_loss;
    }
    let named = |parameter: &mut Parameter| {
        if let Parameter::Weight { feature, .. } = parameter {
            *feature = columns[*feature];
        }
    };
    for line in &mut report.coordinates {
        named(&mut line.parameter);
        line.kinks.iter_mut().for_each(|kink| kink.row = rows[kink.row] as usize);
    }
    for profile in &mut report.profiles {
        named(&mut profile.parameter);
        profile.kink.row = rows[profile.kink.row] as usize;
    }
}

/// [`ROWS`] of the rows, fewer where they are wide, in their order.
fn draw_rows(source: &Source<'_>, rows: &[u32], rng: &mut ChaCha8Rng) -> Vec<u32> {
    let width = match source.features {
        Features::Sparse(_) if source.scaler.mean.is_none() => 1,
        Features::U8(_) | Features::F32(_) | Features::F64(_) | Features::Sparse(_) => source.features.n_features(),
    };
    let count = ROWS.min((CELLS / width.max(1)).max(1)).min(rows.len());
    let mut drawn: Vec<u32> = index::sample(rng, rows.len(), count).into_iter().map(|i| rows[i]).collect();
    drawn.sort_unstable();
    drawn
}

/// The columns that are not zero throughout the rows; at least one.
fn used_columns(source: &Source<'_>, rows: &[u32]) -> Vec<usize> {
    let d = source.features.n_features();
    if !matches!(source.features, Features::Sparse(_)) || source.scaler.mean.is_some() {
        return (0..d).collect();
    }
    let mut used = vec![false; d];
    for &row in rows {
        source.features.for_each_cell(row as usize, |j, x| used[j] |= x != 0.0);
    }
    let columns: Vec<usize> = (0..d).filter(|&j| used[j]).collect();
    if columns.is_empty() { vec![0] } else { columns }
}

/// Preprocessed rows, some columns of them, row-major in f64.
fn dense(source: &Source<'_>, rows: &[u32], columns: &[usize]) -> Vec<f64> {
    let mut row_values = vec![0.0f32; source.features.n_features()];
    let mut values = Vec::with_capacity(rows.len() * columns.len());
    for &row in rows {
        source.scaler.write_row(source.features, row as usize, &mut row_values);
        values.extend(columns.iter().map(|&j| f64::from(row_values[j])));
    }
    values
}
