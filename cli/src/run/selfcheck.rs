//! Comparison of a device with plain f64 loops on the host: losses, gradients, a short training, a certified optimum.
//!
//! The data are the bundled digits. The reference of losses and gradients is [`Loss::of_row`] and [`Loss::gradient_of_row`]; that of
//! the training is the textbook's step in loops of this file; that of the optimum is the bracket that the exact solver proves in
//! double precision on the host.

use super::{LoadedConfig, OpenDevice, PreparedData, RunError, prepare};
use crate::gradcheck::{DeviceComparison, compare_on_device};
use crate::loss::{Formulation, Loss, Power};
use crate::objective::{Objective, mean_loss};
use crate::solver::sgd::sampler::{Sampler, Sampling};
use crate::solver::{Fit, Problem, SolveError, SolverConfig};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::Serialize;
use std::path::Path;

/// The data and the short training. The squared hinge has a gradient without jumps: where rounding puts a margin on the other
/// side of a kink, the hinge's would move by a whole row.
const TRAINING: &str = "\
[data.digits]
[preprocess]
center = \"mean\"
scale = \"std\"
[objective]
lambda = 1e-2
[loss.weston_watkins]
power = 2
[solver.sgd]
learning_rate = 0.002
batch_size = 100
steps = 50
";
const CERTIFIED: &str = "[solver.dual]\ngap = 1e-3\n";
const REFERENCE: &str = "[solver.dual]\ngap = 1e-8\nprecision = \"f64\"\n";
const SMOOTH: &str = "[solver.lbfgs]\ntolerance = 1e-5\n";

/// Rows on which losses and gradients are compared.
const ROWS: usize = 500;
/// Standard deviation of the weights there: large enough that margins are met and missed.
const DEVIATION: f64 = 0.05;
/// Relative error of a loss or a gradient allowed for rounding in single precision.
const OF_A_PASS: f64 = 1e-5;
/// Relative error allowed after fifty steps.
const OF_A_TRAINING: f64 = 1e-4;

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SelfcheckLine {
    /// Name of the computation.
    pub what: String,
    /// The relative error against the reference.
    pub error: f64,
    /// Largest relative error allowed.
    pub tolerance: f64,
    /// Whether it is within that.
    pub ok: bool,
}

/// The table of a device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parity {
    /// Its name, with the adapter's.
    pub device: String,
    /// In order.
    pub lines: Vec<SelfcheckLine>,
    /// Whether all is within its tolerance.
    pub ok: bool,
}

/// Compares a device with the reference.
///
/// # Errors
/// [`RunError`] when the device fails, or the build has no reference.
pub fn selfcheck(device: &OpenDevice) -> Result<Parity, RunError> {
    let config = loaded(TRAINING)?;
    let prepared = prepare(&config)?;
    let mut lines = Vec::new();
    for formulation in Formulation::ALL {
        for &power in formulation.powers() {
            of_a_loss(&prepared, device, formulation, power, &mut lines)?;
        }
    }
    let fit = solve(&config, &prepared, device)?;
    let (weight, bias) = trained(&config, &prepared);
    lines.push(line("training: 50 steps of SGD, weights", distance(&fit, &weight, &bias), OF_A_TRAINING));
    of_the_optimum(&prepared, device, &mut lines)?;
    let ok = lines.iter().all(|line| line.ok);
    Ok(Parity { device: device.label(), lines, ok })
}

fn line(what: impl Into<String>, error: f64, tolerance: f64) -> SelfcheckLine {
    // NaN is not within anything.
    SelfcheckLine { what: what.into(), error, tolerance, ok: error <= tolerance }
}

fn loaded(text: &str) -> Result<LoadedConfig, RunError> {
    Ok(LoadedConfig::parse(text, Path::new("selfcheck"), &[])?)
}

fn with_solver(solver: &str) -> Result<LoadedConfig, RunError> {
    loaded(&format!("{}{solver}", TRAINING.split("[solver.sgd]").next().unwrap_or_default()))
}

fn solve(config: &LoadedConfig, prepared: &PreparedData, device: &OpenDevice) -> Result<Fit, SolveError> {
    config.run.solver.solve(&prepared.problem(config, device), &mut ())
}

/// Weights that meet some margins and miss others.
#[allow(clippy::cast_possible_truncation)]
fn drawn(count: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    (0..count).map(|_| (DEVIATION * Distribution::<f64>::sample(&StandardNormal, &mut rng)) as f32).collect()
}

/// Loss and gradient of one formulation.
#[allow(clippy::cast_precision_loss)]
fn of_a_loss(
    prepared: &PreparedData,
    device: &OpenDevice,
    formulation: Formulation,
    power: Power,
    lines: &mut Vec<SelfcheckLine>,
) -> Result<(), RunError> {
    let loss = Loss::new(formulation, 1.0, power).k(2);
    let objective = Objective { loss, ..prepared.objective.clone() };
    let name = format!("{}, power {}", formulation.name().replace('_', "-"), i64::from(power));
    let (source, rows, k) = (prepared.source(), &prepared.split.train[..ROWS], prepared.data.n_classes());
    let weight = drawn(source.features.n_features() * k);
    let bias = drawn(k);

    let model = crate::model::LinearSvm::from_values(weight.clone(), Some(bias.clone()), k, &device.device);
    let batch = source.gather(rows).to_device(&device.device);
    let module = objective.loss.init(&device.device);
    let found = mean_loss(module.as_ref(), model.scores(&batch.rows, None), &batch).try_into_scalar::<f64>();
    let found = found.map_err(|e| SolveError::Device(e.to_string()))?;
    let expected = rows.iter().map(|&row| {
        let scores = scores(prepared, row, &wide(&weight), &wide(&bias));
        objective.loss.of_row(&scores, source.labels[row as usize] as usize)
    });
    let expected = expected.sum::<f64>() / rows.len() as f64;
    lines.push(line(format!("{name}: loss"), (found - expected).abs() / expected.abs(), OF_A_PASS));

    let compared = compare_on_device(source, rows, k, &objective, &weight, Some(&bias), device)?;
    lines.push(line(format!("{name}: gradient by autodiff"), compared.autodiff_vs_reference, OF_A_PASS));
    lines.push(line(format!("{name}: gradient by hand"), compared.analytic_vs_reference, OF_A_PASS));
    if let Some(error) = compared.fused_vs_reference {
        lines.push(line(format!("{name}: gradient of the fused pass"), error, OF_A_PASS));
    }
    Ok(())
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// The preprocessed row, as a batch has it.
fn row_of(prepared: &PreparedData, row: u32) -> Vec<f64> {
    let features = &prepared.data.features;
    let mut x = vec![0.0f32; features.n_features()];
    prepared.scaler.write_row(features, row as usize, &mut x);
    wide(&x)
}

fn scores(prepared: &PreparedData, row: u32, weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let mut scores = bias.to_vec();
    for (x, w) in row_of(prepared, row).iter().zip(weight.chunks_exact(bias.len())) {
        scores.iter_mut().zip(w).for_each(|(s, w)| *s += x * w);
    }
    scores
}

/// The short training in f64: W ← W − η·(Σ x Qᵀ/|B| + λW), over the same batches.
#[allow(clippy::cast_precision_loss)]
fn trained(config: &LoadedConfig, prepared: &PreparedData) -> (Vec<f64>, Vec<f64>) {
    let SolverConfig::Sgd(sgd) = &config.run.solver else {
        unreachable!("the training is by SGD");
    };
    let (k, d) = (prepared.data.n_classes(), prepared.data.features.n_features());
    let (lambda, rule) = (prepared.objective.lambda, prepared.objective.bias);
    let (mut weight, mut bias) = (vec![0.0; d * k], vec![0.0; k]);
    let mut sampler = Sampler::new(&prepared.split.train, Sampling::Shuffle, sgd.batch_size.get(), config.run.seed);
    let steps = sgd.total_steps(prepared.split.train.len());
    for step in 0..steps {
        let batch = sampler.next_batch();
        let rate = sgd.learning_rate_at(step, steps);
        let mut dw: Vec<f64> = weight.iter().map(|w| lambda * w).collect();
        let mut db: Vec<f64> = bias.iter().map(|b| lambda * rule.penalty_factor() * b).collect();
        let mut q = vec![0.0; k];
        for &row in &batch {
            let scores = scores(prepared, row, &weight, &bias);
            prepared.objective.loss.gradient_of_row(&scores, prepared.data.labels[row as usize] as usize, &mut q);
            q.iter_mut().for_each(|q| *q /= batch.len() as f64);
            for (x, dw) in row_of(prepared, row).iter().zip(dw.chunks_exact_mut(k)) {
                dw.iter_mut().zip(&q).for_each(|(dw, q)| *dw += x * q);
            }
            db.iter_mut().zip(&q).for_each(|(db, q)| *db += q);
        }
        weight.iter_mut().zip(&dw).for_each(|(w, g)| *w -= rate * g);
        bias.iter_mut().zip(&db).for_each(|(b, g)| *b -= rate * g);
    }
    (weight, bias)
}

/// ‖found − expected‖ / ‖expected‖
fn distance(fit: &Fit, weight: &[f64], bias: &[f64]) -> f64 {
    let found = fit.weight.iter().chain(fit.bias.iter().flatten());
    let expected = weight.iter().chain(bias);
    let (mut off, mut size) = (0.0, 0.0);
    for (found, expected) in found.zip(expected) {
        off += (found - expected) * (found - expected);
        size += expected * expected;
    }
    (off / size).sqrt()
}

/// The optimum by the exact solver and by L-BFGS on the device, against the bracket of the exact solver in f64.
fn of_the_optimum(
    prepared: &PreparedData,
    device: &OpenDevice,
    lines: &mut Vec<SelfcheckLine>,
) -> Result<(), RunError> {
    let Some(reference) = crate::device::open_cpu() else {
        return Err(crate::gradcheck::GradcheckError::NoCpuBackend.into());
    };
    let config = with_solver(REFERENCE)?;
    let bracket = solve(&config, prepared, &reference)?.certificate;
    let bracket = bracket.ok_or_else(|| SolveError::Device("the reference has no certificate".into()))?;
    let above = |fit: &Fit| {
        let objective = objective(prepared, &fit.weight, fit.bias.as_deref());
        (objective, (objective - bracket.dual) / bracket.dual)
    };

    let config = with_solver(CERTIFIED)?;
    let fit = solve(&config, prepared, device)?;
    let (value, excess) = above(&fit);
    lines.push(line("exact solver, gap 1e-3: objective above the optimum", excess.abs(), 1.1e-3));
    if let Some(claimed) = fit.certificate {
        let off = (claimed.primal - value).abs() / value;
        lines.push(line("exact solver: primal against its model's in f64", off, OF_A_PASS));
        let over = ((claimed.dual - bracket.primal) / bracket.primal).max(0.0);
        lines.push(line("exact solver: bound above the optimum", over, 1e-6));
    }
    let config = with_solver(SMOOTH)?;
    let fit = solve(&config, prepared, device)?;
    lines.push(line("L-BFGS, gradient 1e-5: objective above the optimum", above(&fit).1.abs(), 1e-4));
    Ok(())
}

/// The objective of a model over the training rows, in loops.
#[allow(clippy::cast_precision_loss)]
fn objective(prepared: &PreparedData, weight: &[f64], bias: Option<&[f64]>) -> f64 {
    let (w, b) = (weight, bias.unwrap_or_default());
    let rows = &prepared.split.train;
    let loss = rows.iter().map(|&row| {
        prepared.objective.loss.of_row(&scores(prepared, row, w, b), prepared.data.labels[row as usize] as usize)
    });
    loss.sum::<f64>() / rows.len() as f64 + prepared.objective.penalty(weight, bias)
}

/// A device that is not the processor, looked at before a run of a minute or of days: the gradient of the run's own objective on
/// some of its own rows. The sentence to warn with, where it is wrong.
///
/// # Errors
/// [`RunError`] when the device fails.
pub(super) fn disagreement(problem: &Problem<'_>) -> Result<Option<String>, RunError> {
    let device = problem.device;
    if device.name.backend.is_cpu() {
        return Ok(None);
    }
    let (d, k) = (problem.source.features.n_features(), problem.n_classes);
    let rows = &problem.train[..problem.train.len().min(64)];
    let weight = drawn(d * k).iter().map(|w| w / (d as f32).sqrt()).collect::<Vec<f32>>();
    let bias = problem.objective.bias.has_bias().then(|| drawn(k));
    let found = compare_on_device(problem.source, rows, k, problem.objective, &weight, bias.as_deref(), device)?;
    Ok(objection(&found, &device.name.to_string()))
}

/// The sentence about a failed comparison.
fn objection(found: &DeviceComparison, name: &str) -> Option<String> {
    let worst = [found.scores, found.autodiff_vs_reference, found.analytic_vs_reference]
        .into_iter()
        .chain(found.fused_vs_reference)
        .fold(0.0, |worst: f64, error| if error > worst || error.is_nan() { error } else { worst });
    (!found.ok).then(|| {
        format!(
            "{} disagrees with the processor on the first rows: relative error {worst:.1e}, {:.0e} is allowed; `burn-svm selfcheck --device {name}` says more",
            found.device, found.tolerance,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_with_one_wrong_line_is_wrong() {
        assert!(line("x", 1e-6, 1e-5).ok && !line("x", 1e-4, 1e-5).ok && !line("x", f64::NAN, 1e-5).ok);
    }

    #[test]
    fn a_run_on_a_device_that_disagrees_warns() {
        let config = loaded(TRAINING).unwrap();
        let prepared = prepare(&config).unwrap();
        let device = crate::device::open_cpu().unwrap();
        let (source, k) = (prepared.source(), prepared.data.n_classes());
        let (weight, rows) = (drawn(source.features.n_features() * k), &prepared.split.train[..64]);
        let found = compare_on_device(source, rows, k, &prepared.objective, &weight, None, &device).unwrap();
        assert_eq!(objection(&found, "flex"), None);
        let wrong = DeviceComparison { ok: false, scores: 0.25, ..found };
        assert_eq!(
            objection(&wrong, "wgpu:0").unwrap(),
            "flex disagrees with the processor on the first rows: relative error 2.5e-1, 1e-5 is allowed; `burn-svm selfcheck --device wgpu:0` says more"
        );
    }

    #[test]
    fn the_reference_descends_and_tells_a_wrong_model() {
        let config = loaded(TRAINING).unwrap();
        let prepared = prepare(&config).unwrap();
        let device = crate::device::open(crate::device::DeviceName::default()).unwrap();
        let (weight, bias) = trained(&config, &prepared);
        let mut fit = solve(&config, &prepared, &device).unwrap();
        assert!(distance(&fit, &weight, &bias) < OF_A_TRAINING);
        let start = objective(&prepared, &vec![0.0; weight.len()], Some(&vec![0.0; bias.len()]));
        let end = objective(&prepared, &fit.weight, fit.bias.as_deref());
        assert!((start - 9.0).abs() < 1e-12 && end < 0.7 * start, "{start} {end}");
        fit.weight[200] += 0.01;
        assert!(distance(&fit, &weight, &bias) > OF_A_TRAINING);
    }
}
