//! The whole gradient on a device in its own precision, against an f64 reference written for the purpose.

use super::report::DeviceComparison;
use super::routes::{Gradient, HostObjective, relative, to_host};
use super::{DEVICE_TOLERANCE, GradcheckError};
use crate::data::Features;
use crate::data::batch::Source;
use crate::device::OpenDevice;
use crate::loss::Loss;
use crate::model::LinearSvm;
#[cfg(all(feature = "cube", not(feature = "fusion")))]
use crate::objective::{DevicePass, ResidentLimits};
use crate::objective::{FusedGradient, FusedPass, Objective};
use burn::tensor::Device;

/// Shifts of a score by which rows close to a kink are found, relative to the largest score of the row, at least 1.
const NEAR: [f64; 4] = [1e-7, 1e-6, 1e-5, 1e-4];

/// Compares the gradient of the objective over `rows` on a device, by autodiff, by hand and, where training has that route, in one
/// fused pass, with the f64 reference.
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
    let host = Host { source, rows, n_classes, weight, bias };
    let mut measured = host.on_device(objective, &open.device)?;
    if FusedPass::serves(source.features, open) {
        measured.fused = host.fused(objective);
    }
    #[cfg(all(feature = "cube", not(feature = "fusion")))]
    if DevicePass::serves(source.features, open) {
        measured.fused = host.fused_on_device(objective, &open.device)?;
    }
    Ok(host.judge(objective, &measured, open.label()))
}

/// The results of a device, read back.
struct DeviceResult {
    analytic: Gradient,
    autodiff: Gradient,
    /// The gradient of the fused pass and its Q, where training has that route.
    fused: Option<(Gradient, Vec<f64>)>,
    /// `[n_samples, n_classes]`
    scores: Vec<f64>,
    /// `[n_samples, n_classes]`
    q: Vec<f64>,
    precision: String,
}

impl Host<'_> {
    /// Both routes of training on a device.
    fn on_device(&self, objective: &Objective, device: &Device) -> Result<DeviceResult, GradcheckError> {
        let batch = self.source.gather(self.rows).to_device(device);
        let offset = self.source.sparse_offset(device);
        let loss = objective.loss.init(device);
        let route = HostObjective { loss: loss.as_ref(), regulariser: objective.regulariser() };
        let model = |device: &Device| {
            LinearSvm::from_values(self.weight.to_vec(), self.bias.map(<[f32]>::to_vec), self.n_classes, device)
        };
        let plain = model(device);
        let analytic = route.analytic(&plain, &batch, offset.as_ref())?;
        let autodiff = route.autodiff(&model(&device.clone().autodiff()), &batch, offset.as_ref())?;
        let scores = plain.scores(&batch.rows, offset.as_ref());
        let precision = format!("{:?}", scores.dtype()).to_lowercase();
        let q = to_host(loss.gradient(scores.clone(), batch.labels))?;
        Ok(DeviceResult { analytic, autodiff, fused: None, scores: to_host(scores)?, q, precision })
    }

    /// The fused pass of training.
    fn fused(&self, objective: &Objective) -> Option<(Gradient, Vec<f64>)> {
        let mut q = vec![0.0f32; self.rows.len() * self.n_classes];
        let mut pass = FusedPass::new(self.source, self.n_classes, objective)?;
        let found = pass.with_slopes(self.weight, self.bias, self.rows, &mut q);
        Some(self.plain(found, q))
    }

    #[cfg(all(feature = "cube", not(feature = "fusion")))]
    /// The pass of training on a GPU, over the rows in question alone, so that no more than those go there.
    fn fused_on_device(
        &self,
        objective: &Objective,
        device: &Device,
    ) -> Result<Option<(Gradient, Vec<f64>)>, GradcheckError> {
        use crate::data::Dense;
        let Source { features, labels, weights, .. } = self.source;
        let d = features.n_features();
        let rows = || self.rows.iter().map(|&row| row as usize);
        let features = match features {
            Features::U8(dense) => Features::U8(Dense::new(d, rows().flat_map(|i| dense.row(i).to_vec()).collect())),
            Features::F32(dense) => Features::F32(Dense::new(d, rows().flat_map(|i| dense.row(i).to_vec()).collect())),
            Features::F64(dense) => Features::F64(Dense::new(d, rows().flat_map(|i| dense.row(i).to_vec()).collect())),
            Features::Sparse(_) => return Ok(None),
        };
        let labels: Vec<u32> = rows().map(|i| labels[i]).collect();
        let weights: Option<Vec<f32>> = weights.map(|w| rows().map(|i| w[i]).collect());
        let source = Source { features: &features, labels: &labels, weights: weights.as_deref(), ..self.source };
        let limits = ResidentLimits::default();
        let Some(pass) = DevicePass::new(source, self.n_classes, objective, device, limits) else { return Ok(None) };
        #[allow(clippy::cast_possible_truncation)]
        let all: Vec<u32> = (0..self.rows.len() as u32).collect();
        let (found, q) = pass.at(self.weight, self.bias, &all).map_err(GradcheckError::Device)?;
        Ok(Some(self.plain(found, q)))
    }

    /// The gradient of a fused pass in f64, and Q without the weights of the rows.
    #[allow(clippy::cast_precision_loss)]
    fn plain(&self, found: FusedGradient, q: Vec<f32>) -> (Gradient, Vec<f64>) {
        let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
        let mut q: Vec<f64> = wide(q);
        for (q, &row) in q.chunks_exact_mut(self.n_classes).zip(self.rows) {
            let share = self.source.weight(row) / self.rows.len() as f64;
            if share > 0.0 {
                q.iter_mut().for_each(|q| *q /= share);
            }
        }
        (Gradient { weight: wide(found.weight), bias: found.bias.map(wide) }, q)
    }

    /// Compares with the reference.
    fn judge(&self, objective: &Objective, measured: &DeviceResult, device: String) -> DeviceComparison {
        let scores = self.scores();
        let (q, kink_rows) = self.reference_q(&objective.loss, &scores, &measured.q);
        let data = self.gradient(&q);
        let penalty = self.penalty_gradient(objective);
        let scale = data.norm() + penalty.norm();
        let reference = data.plus(&penalty);
        let largest = scores.iter().fold(0.0f64, |m, s| m.max(s.abs()));
        let off = scores.iter().zip(&measured.scores).fold(0.0, |m, (a, b)| larger(m, (a - b).abs()));
        // In another order of rounding, other rows may lie close to a kink.
        let fused_vs_reference = measured.fused.as_ref().map(|(fused, fused_q)| {
            let (q, _) = self.reference_q(&objective.loss, &scores, fused_q);
            relative(fused.distance(&self.gradient(&q).plus(&penalty)), scale)
        });
        let errors = [
            relative(off, largest),
            relative(measured.autodiff.distance(&measured.analytic), scale),
            relative(measured.autodiff.distance(&reference), scale),
            relative(measured.analytic.distance(&reference), scale),
        ];
        DeviceComparison {
            device,
            precision: measured.precision.clone(),
            n_samples: self.rows.len(),
            kink_rows,
            scores: errors[0],
            autodiff_vs_analytic: errors[1],
            autodiff_vs_reference: errors[2],
            analytic_vs_reference: errors[3],
            fused_vs_reference,
            tolerance: DEVICE_TOLERANCE,
            ok: errors.into_iter().chain(fused_vs_reference).all(|e| e <= DEVICE_TOLERANCE),
        }
    }

    /// Q in f64, and the number of rows where it follows the device's side of a kink.
    fn reference_q(&self, loss: &Loss, scores: &[f64], device_q: &[f64]) -> (Vec<f64>, usize) {
        let k = self.n_classes;
        let mut q = vec![0.0; scores.len()];
        let mut followed = 0;
        let rows = q.chunks_exact_mut(k).zip(scores.chunks_exact(k)).zip(device_q.chunks_exact(k));
        // Row weights are left to `gradient`.
        for (((ours, scores), theirs), &row) in rows.zip(self.rows) {
            let label = self.source.labels[row as usize] as usize;
            loss.gradient_of_row(scores, label, ours);
            if !alike(ours, theirs) && right_nearby(loss, scores, label, theirs) {
                ours.copy_from_slice(theirs);
                followed += 1;
            }
        }
        (q, followed)
    }
}

/// The larger of the two; NaN where one of them is.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// Whether two rows of Q are the same up to the precision of a device.
fn alike(a: &[f64], b: &[f64]) -> bool {
    let largest = a.iter().chain(b).fold(0.0f64, |m, v| m.max(v.abs()));
    a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-2 * largest)
}

/// Whether a row of Q is the right one for scores very near the given ones: the row lies close to a kink.
fn right_nearby(loss: &Loss, scores: &[f64], label: usize, row: &[f64]) -> bool {
    let size = scores.iter().fold(1.0f64, |m, s| m.max(s.abs()));
    let mut there = vec![0.0; scores.len()];
    NEAR.iter().flat_map(|near| [-near, *near]).any(|near| {
        (0..scores.len()).any(|j| {
            let mut moved = scores.to_vec();
            moved[j] += near * size;
            loss.gradient_of_row(&moved, label, &mut there);
            alike(&there, row)
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
            let scale = |j: usize| scaler.scale.as_ref().map_or(1.0, |s| s[j]);
            features.for_each_cell(row as usize, |j, v| visit(j, factor * v / scale(j)));
        } else {
            let mut values = vec![0.0f32; features.n_features()];
            scaler.write_row(features, row as usize, &mut values);
            values.iter().enumerate().for_each(|(j, &v)| visit(j, f64::from(v)));
        }
    }

    /// The share of centring in each feature of a sparse row, before the row's factor; `None` without centring or for dense rows.
    fn offset(&self) -> Option<Vec<f64>> {
        let Source { features, scaler, .. } = self.source;
        let mean = scaler.mean.as_ref().filter(|_| matches!(features, Features::Sparse(_)))?;
        let scale = |j: usize| scaler.scale.as_ref().map_or(1.0, |s| s[j]);
        Some(mean.iter().enumerate().map(|(j, &m)| -m / scale(j)).collect())
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

    /// Xᵀ(weight·Q)/n and the column means of weight·Q.
    #[allow(clippy::cast_precision_loss)]
    fn gradient(&self, q: &[f64]) -> Gradient {
        let (k, n) = (self.n_classes, self.rows.len() as f64);
        let mut weight = vec![0.0; self.weight.len()];
        let (mut total, mut bias) = (vec![0.0; k], vec![0.0; k]);
        for (q, &row) in q.chunks_exact(k).zip(self.rows) {
            let factor = self.factor(row);
            let share = self.source.weight(row) / n;
            total.iter_mut().zip(q).for_each(|(t, q)| *t += factor * q * share);
            bias.iter_mut().zip(q).for_each(|(b, q)| *b += q * share);
            self.for_each_cell(row, |j, x| {
                weight[j * k..(j + 1) * k].iter_mut().zip(q).for_each(|(w, q)| *w += x * q * share);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dense, Scaler};
    use crate::loss::{Formulation, Power};
    use crate::model::BiasRule;

    const FEATURES: [f32; 6] = [0.1, 0.2, 1.0, 1.0, 1.0, 0.5];

    fn with_host(weight: &[f32], lambda: f64, test: impl Fn(&Host<'_>, &Objective)) {
        let features = Features::F32(Dense::new(3, FEATURES.to_vec()));
        let scaler = Scaler::default();
        let loss = Loss::new(Formulation::WestonWatkins, 1.0, Power::One);
        let objective = Objective { loss, lambda, bias: BiasRule::Free };
        let source = Source { features: &features, labels: &[0, 1], scaler: &scaler, weights: None };
        let bias = [0.25, -0.5];
        test(&Host { source, rows: &[0, 1], n_classes: 2, weight, bias: Some(&bias) }, &objective);
    }

    #[test]
    fn a_device_that_computes_wrongly_is_found() {
        let device = crate::device::cpu().unwrap();
        with_host(&[0.5, -0.3, 0.1, 0.7, -0.2, 0.4], 0.1, |host, objective| {
            let measure = || host.on_device(objective, &device).unwrap();
            let right = host.judge(objective, &measure(), String::new());
            assert!(right.ok && right.kink_rows == 0 && right.precision == "f32", "{right:?}");
            assert!(right.analytic_vs_reference < 1e-6 && right.autodiff_vs_analytic < 1e-6, "{right:?}");

            let mut wrong = measure();
            wrong.analytic.weight[3] *= 1.001;
            let found = host.judge(objective, &wrong, String::new());
            assert!(!found.ok && found.analytic_vs_reference > 1e-5 && found.autodiff_vs_reference < 1e-6, "{found:?}");
            let mut wrong = measure();
            wrong.autodiff.bias.as_mut().unwrap()[1] += 1e-3;
            let found = host.judge(objective, &wrong, String::new());
            assert!(!found.ok && found.autodiff_vs_reference > 1e-5 && found.analytic_vs_reference < 1e-6, "{found:?}");
            let mut wrong = measure();
            wrong.scores[1] = f64::NAN;
            assert!(!host.judge(objective, &wrong, String::new()).ok);
            let mut wrong = measure();
            assert_eq!(right.fused_vs_reference, None);
            wrong.fused = host.fused(objective);
            let found = host.judge(objective, &wrong, String::new());
            assert!(found.ok && found.fused_vs_reference.unwrap() < 1e-6, "{found:?}");
            wrong.fused.as_mut().unwrap().0.weight[2] *= 1.001;
            let found = host.judge(objective, &wrong, String::new());
            assert!(!found.ok && found.fused_vs_reference.unwrap() > 1e-5, "{found:?}");
            // A wrong row of Q far from a kink is not followed.
            let mut wrong = measure();
            wrong.q[0] += 1.0;
            assert_eq!(host.judge(objective, &wrong, String::new()).kink_rows, 0);
        });
    }

    #[test]
    fn a_device_may_choose_its_side_of_a_kink() {
        let device = crate::device::cpu().unwrap();
        let followed = std::cell::Cell::new(0);
        for tweak in 0..200u16 {
            // The margin of row 0 is 1 + x·w − 0.75: met up to rounding.
            let w = 1.0 + f32::from(tweak) * 1e-7;
            let met = -(0.1 * w + 0.2 * w) - 0.25;
            with_host(&[0.0, w, 0.0, w, 0.0, met], 0.0, |host, objective| {
                let found = host.judge(objective, &host.on_device(objective, &device).unwrap(), String::new());
                assert!(found.ok && found.kink_rows <= 1, "{found:?}");
                followed.set(followed.get() + found.kink_rows);
            });
        }
        assert!(followed.get() > 0, "no rounding fell on the other side of the kink");
    }
}
