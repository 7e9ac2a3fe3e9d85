//! The whole gradient on a device in its own precision, against an f64 reference written for the purpose.

use super::report::DeviceComparison;
use super::routes::{Gradient, Route, relative, to_host};
use super::{DEVICE_TOLERANCE, GradcheckError};
use crate::data::Features;
use crate::data::batch::Source;
use crate::device::OpenDevice;
use crate::loss::{Loss, MarginLoss};
use crate::model::LinearSvm;
use crate::objective::Objective;

/// How far scores are moved to see whether a row lies beside a kink, relative to the largest of its scores, at least 1.
const NEAR: f64 = 1e-4;

/// Compares the gradient of the objective over `rows` on a device, by autodiff and by hand, with the f64 reference.
///
/// Dense and sparse rows go the way that training takes. A row whose margins lie so near a kink that the device's precision
/// decides is counted, and there the reference takes the device's side.
///
/// # Shapes
/// `weight` `[n_features, n_classes]`, `bias` `[n_classes]`, for preprocessed features.
///
/// # Errors
/// [`GradcheckError`] when there are no rows or the device fails.
pub fn compare_on_device(
    source: Source<'_>,
    rows: &[u32],
    n_classes: usize,
    objective: &Objective,
    weight: &[f32],
    bias: Option<&[f32]>,
    open: &OpenDevice,
) -> Result<DeviceComparison, GradcheckError> {
    if rows.is_empty() || n_classes < 2 {
        return Err(GradcheckError::NoRows);
    }
    let device = &open.device;
    let batch = source.gather(rows).to_device(device);
    let offset = source.sparse_offset(device);
    let parameters = || (weight.to_vec(), bias.map(<[f32]>::to_vec));
    let loss = objective.loss.init(device);
    let route = Route { loss: loss.as_ref(), lambda: objective.lambda, bias: objective.bias };
    let (w, b) = parameters();
    let plain = LinearSvm::from_values(w, b, n_classes, device);
    let (w, b) = parameters();
    let tracked = LinearSvm::from_values(w, b, n_classes, &device.clone().autodiff());
    let analytic = route.analytic(&plain, &batch, offset.as_ref())?;
    let autodiff = route.autodiff(&tracked, &batch, offset.as_ref())?;
    let device_scores = plain.scores(&batch.rows, offset.as_ref());
    let precision = format!("{:?}", device_scores.dtype()).to_lowercase();
    let device_q = to_host(loss.gradient(device_scores.clone(), batch.labels))?;
    let device_scores = to_host(device_scores)?;

    let host = Host { source, rows, n_classes, weight, bias };
    let scores = host.scores();
    let labels: Vec<usize> = rows.iter().map(|&r| source.labels[r as usize] as usize).collect();
    let (q, kink_rows) = reference_q(&objective.loss, loss.as_ref(), &scores, &labels, &device_q, n_classes);
    let data = host.gradient(&q);
    let penalty = host.penalty_gradient(objective);
    let scale = data.norm() + penalty.norm();
    let reference = data.plus(&penalty);
    let largest = scores.iter().fold(0.0f64, |m, s| m.max(s.abs()));
    let off = scores.iter().zip(&device_scores).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
    let errors = [
        relative(off, largest),
        relative(autodiff.distance(&analytic), scale),
        relative(autodiff.distance(&reference), scale),
        relative(analytic.distance(&reference), scale),
    ];
    let finite = device_scores.iter().all(|s| s.is_finite());
    Ok(DeviceComparison {
        device: open.label(),
        precision,
        n_samples: rows.len(),
        kink_rows,
        scores: errors[0],
        autodiff_vs_analytic: errors[1],
        autodiff_vs_reference: errors[2],
        analytic_vs_reference: errors[3],
        tolerance: DEVICE_TOLERANCE,
        ok: finite && errors.iter().all(|e| *e <= DEVICE_TOLERANCE),
    })
}

/// Q in f64, and the number of rows where it follows the device's side of a kink.
fn reference_q(
    loss: &Loss,
    kinks: &dyn MarginLoss,
    scores: &[f64],
    labels: &[usize],
    device_q: &[f64],
    n_classes: usize,
) -> (Vec<f64>, usize) {
    let mut q = vec![0.0; scores.len()];
    let mut followed = 0;
    for (i, row) in q.chunks_exact_mut(n_classes).enumerate() {
        let cells = i * n_classes..(i + 1) * n_classes;
        let scores = &scores[cells.clone()];
        loss.gradient_of_row(scores, labels[i], row);
        let theirs = &device_q[cells];
        let largest = row.iter().chain(theirs).fold(0.0f64, |m, v| m.max(v.abs()));
        let differs = row.iter().zip(theirs).any(|(a, b)| (a - b).abs() > 1e-2 * largest);
        if differs && near_a_kink(kinks, scores, labels[i]) {
            row.copy_from_slice(theirs);
            followed += 1;
        }
    }
    (q, followed)
}

/// Whether moving some score of the row a little crosses a kink.
fn near_a_kink(loss: &dyn MarginLoss, scores: &[f64], label: usize) -> bool {
    let step = NEAR * scores.iter().fold(1.0f64, |m, s| m.max(s.abs()));
    (0..scores.len()).any(|j| {
        [-step, step].into_iter().any(|step| {
            let mut moved = scores.to_vec();
            moved[j] += step;
            !loss.kinks(scores, &moved, label).is_empty()
        })
    })
}

impl Gradient {
    fn plus(&self, other: &Self) -> Self {
        let add = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect();
        let bias = self.bias.as_ref().zip(other.bias.as_ref()).map(|(a, b)| add(a, b));
        Self { weight: add(&self.weight, &other.weight), bias }
    }
}

/// The linear model in f64 on the host, in plain loops over the stored cells.
struct Host<'a> {
    source: Source<'a>,
    rows: &'a [u32],
    n_classes: usize,
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
}

impl Host<'_> {
    /// Calls `visit(feature, value)` for the preprocessed cells of a row that come from stored cells. Dense rows are rounded
    /// to f32 as batches are; the centring of sparse rows is left to [`Host::offset`].
    fn for_each_cell(&self, row: u32, mut visit: impl FnMut(usize, f64)) {
        let Source { features, scaler, .. } = self.source;
        if let Features::Sparse(_) = features {
            let factor = scaler.row_factor(features, row as usize);
            let scale = |j: usize| scaler.scale.as_ref().map_or(1.0, |s| f64::from(s[j]));
            features.for_each_cell(row as usize, |j, v| visit(j, factor * f64::from(v) / scale(j)));
        } else {
            let mut values = vec![0.0f32; features.n_features()];
            scaler.write_row(features, row as usize, &mut values);
            values.iter().enumerate().for_each(|(j, &v)| visit(j, f64::from(v)));
        }
    }

    /// What centring adds to each feature of a sparse row, before the row's factor.
    fn offset(&self) -> Option<Vec<f64>> {
        let Source { features, scaler, .. } = self.source;
        let mean = scaler.mean.as_ref().filter(|_| matches!(features, Features::Sparse(_)))?;
        let scale = |j: usize| scaler.scale.as_ref().map_or(1.0, |s| f64::from(s[j]));
        Some(mean.iter().enumerate().map(|(j, &m)| -f64::from(m) / scale(j)).collect())
    }

    fn factor(&self, row: u32) -> f64 {
        self.source.scaler.row_factor(self.source.features, row as usize)
    }

    fn weight_row(&self, feature: usize) -> &[f32] {
        &self.weight[feature * self.n_classes..(feature + 1) * self.n_classes]
    }

    /// `[rows, n_classes]`
    fn scores(&self) -> Vec<f64> {
        let k = self.n_classes;
        let mut shift = vec![0.0; k];
        for (j, o) in self.offset().iter().flatten().enumerate() {
            shift.iter_mut().zip(self.weight_row(j)).for_each(|(s, &w)| *s += o * f64::from(w));
        }
        let mut scores = vec![0.0; self.rows.len() * k];
        for (out, &row) in scores.chunks_exact_mut(k).zip(self.rows) {
            let factor = self.factor(row);
            out.iter_mut().zip(&shift).for_each(|(s, o)| *s = factor * o);
            self.for_each_cell(row, |j, x| {
                out.iter_mut().zip(self.weight_row(j)).for_each(|(s, &w)| *s += x * f64::from(w));
            });
            for (s, &b) in out.iter_mut().zip(self.bias.into_iter().flatten()) {
                *s += f64::from(b);
            }
        }
        scores
    }

    /// XᵀQ/n and the column means of Q.
    #[allow(clippy::cast_precision_loss)]
    fn gradient(&self, q: &[f64]) -> Gradient {
        let (k, n) = (self.n_classes, self.rows.len() as f64);
        let mut weight = vec![0.0; self.weight.len()];
        let (mut total, mut bias) = (vec![0.0; k], vec![0.0; k]);
        for (q, &row) in q.chunks_exact(k).zip(self.rows) {
            let factor = self.factor(row);
            total.iter_mut().zip(q).for_each(|(t, q)| *t += factor * q / n);
            bias.iter_mut().zip(q).for_each(|(b, q)| *b += q / n);
            self.for_each_cell(row, |j, x| {
                weight[j * k..(j + 1) * k].iter_mut().zip(q).for_each(|(w, q)| *w += x * q / n);
            });
        }
        for (j, o) in self.offset().iter().flatten().enumerate() {
            weight[j * k..(j + 1) * k].iter_mut().zip(&total).for_each(|(w, t)| *w += o * t);
        }
        Gradient { weight, bias: self.bias.map(|_| bias) }
    }

    fn penalty_gradient(&self, objective: &Objective) -> Gradient {
        let scaled = |values: &[f32], factor: f64| values.iter().map(|&v| factor * f64::from(v)).collect();
        let factor = objective.lambda * objective.bias.penalty_factor();
        Gradient { weight: scaled(self.weight, objective.lambda), bias: self.bias.map(|b| scaled(b, factor)) }
    }
}
