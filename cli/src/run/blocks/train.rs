//! A run of the exact solver over blocks.

use super::DiskReport;
use super::measure::held_out;
use super::recorder::BlockRecorder;
use super::rows::BlockData;
use super::store::DiskStore;
use super::{descent, path};
use crate::config::LoadedConfig;
use crate::device::OpenDevice;
use crate::evaluation::Evaluation;
use crate::format::limit;
use crate::metric::Confusion;
use crate::model::Classifier;
use crate::objective::{Objective, Strength};
use crate::run::folder::DUAL;
use crate::run::record::RunFolder;
use crate::run::setup::classifier;
use crate::run::{FinishedRun, RunError, RunResult, advice, blank_result, peak_rss_bytes};
use crate::solver::dual::Precision;
use crate::solver::parts::{BlockLimits, BlockOutcome, Setting, hot_rows, solve_blocks};
use crate::solver::{DualConfig, Fit, Observer, SolverConfig, StopReason};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

/// Passes after which a run without `epochs` ends that does not reach its gap.
const PASSES: u64 = 1_000;
/// The gap below which variables are kept in double precision, and weights are held so.
const FINE: f64 = 1e-6;
const NARROW: f64 = 1e-5;
/// Share of the memory that the system of the interior point method may have.
pub(super) const OF_SYSTEM: f64 = 0.5;

/// Hot rows, at most.
pub(super) fn room(data: &BlockData) -> usize {
    let (n, ..) = data.counts();
    hot_rows(data.folder.manifest(), n, limit::get())
}

#[allow(clippy::cast_precision_loss)]
fn limits(solver: &SolverConfig, data: &BlockData) -> BlockLimits {
    let (dual, interior) = match solver {
        SolverConfig::Dual(dual) => (dual.clone(), false),
        SolverConfig::Newton(newton) => {
            (DualConfig { gap: newton.gap, seconds: newton.seconds, ..DualConfig::default() }, true)
        }
        SolverConfig::Sgd(_) | SolverConfig::Lbfgs(_) => (DualConfig::default(), false),
    };
    let gap = dual.gap.get();
    BlockLimits {
        gap,
        passes: dual.epochs.map_or(PASSES, |epochs| NonZeroUsize::get(epochs) as u64),
        seconds: dual.seconds.map(|seconds| seconds.get()),
        hot_rows: if interior { 0 } else { room(data) },
        double: dual.precision.map_or(gap < NARROW, |precision| precision == Precision::F64),
        memory: limit::get() as f64 * OF_SYSTEM,
        interior,
    }
}

/// A run over blocks: all that its solutions have in common.
pub(super) struct DiskRun<'a> {
    pub config: &'a LoadedConfig,
    pub data: &'a BlockData,
    pub device: &'a OpenDevice,
}

/// The solution for one λ.
pub(super) struct Solved {
    pub result: RunResult,
    pub stop: StopReason,
    /// `None` where the run diverged.
    pub model: Option<Classifier>,
    /// Of the rows to train on.
    pub confusion: Confusion,
}

/// The work of a solver.
pub(super) struct SolvedFit {
    pub fit: Fit,
    pub objective: Option<f64>,
    /// Of the rows to train on; `None` where the run diverged.
    pub evaluation: Option<Evaluation>,
    pub disk: DiskReport,
}

/// Trains from the disk, and leaves everything but the figures in the run folder.
///
/// # Errors
/// [`RunError`] for everything that ends the run early. What has been learned is in the folder, and the run can be resumed.
pub fn train(
    config: &LoadedConfig,
    data: &BlockData,
    device: &OpenDevice,
    folder: &mut RunFolder,
    observer: &mut dyn Observer,
) -> Result<FinishedRun, RunError> {
    let run = DiskRun { config, data, device };
    if config.run.objective.is_path() {
        return path::train(&run, folder, observer);
    }
    let Solved { mut result, stop, model, confusion } = run.solve(data.prepared.strength, folder, observer)?;
    let Some(model) = model else {
        close(folder, stop, &mut result)?;
        return Ok(FinishedRun { result, stop, model: None, remark: None });
    };
    model.save(&folder.model_file()?)?;
    let measured = measure(data, &model, confusion, &mut result)?;
    finish(folder, stop, result, model, &measured)
}

impl DiskRun<'_> {
    /// Solves for one λ, from what the run has kept.
    pub fn solve(
        &self,
        strength: Strength,
        folder: &mut RunFolder,
        observer: &mut dyn Observer,
    ) -> Result<Solved, RunError> {
        let prepared = &self.data.prepared;
        let (n_train, n_validation, n_test) = self.data.counts();
        let is_descent = matches!(self.config.run.solver, SolverConfig::Sgd(_));
        let own = if is_descent { None } else { crate::device::open_cpu() };
        let setting = Setting {
            objective: Objective { lambda: strength.lambda, ..prepared.objective.clone() },
            scaler: prepared.scaler.clone(),
            n_features: prepared.data.features.n_features(),
            n_classes: prepared.data.n_classes(),
            n_train,
            device: own.unwrap_or_else(|| self.device.clone()),
            seed: self.config.run.seed,
        };
        let SolvedFit { fit, objective, evaluation, disk } = match &self.config.run.solver {
            SolverConfig::Sgd(solver) => descent::descend(self, solver, &setting, folder, observer)?,
            _ => self.ascend(&setting, folder, observer)?,
        };
        let stop = fit.stop;
        let result = RunResult {
            n_samples: n_train,
            n_validation,
            n_test,
            data_loss: evaluation.as_ref().map(|evaluation| evaluation.data_loss),
            objective,
            train_accuracy: evaluation.as_ref().map(|evaluation| evaluation.confusion.accuracy()),
            blocks: Some(disk),
            ..blank_result(self.config, prepared, self.device, strength, &fit)
        };
        let model = evaluation
            .is_some()
            .then(|| classifier(self.config, &prepared.data, &prepared.scaler, &setting.objective, n_train, fit));
        let confusion = evaluation.map_or_else(|| Confusion::new(setting.n_classes), |found| found.confusion);
        Ok(Solved { result, stop, model, confusion })
    }

    /// The exact solver, or the interior point method alone, from the variables that the run has kept.
    fn ascend(
        &self,
        setting: &Setting,
        folder: &mut RunFolder,
        observer: &mut dyn Observer,
    ) -> Result<SolvedFit, RunError> {
        let (start, data) = (Instant::now(), self.data);
        let limits = limits(&self.config.run.solver, data);
        let mut store = DiskStore::new(data, &folder.own_folder(DUAL)?, limits.gap > FINE);
        let (before, _) = data.disk.bytes();
        let mut recorder = BlockRecorder::new(self, observer, folder);
        let solved = solve_blocks(setting, limits, &mut store, &mut recorder);
        recorder.failure()?;
        let solved = store.settled(solved)?;
        let disk = report(data, (solved.passes, solved.proofs), before, start.elapsed());
        let disk = DiskReport { hot_rows: solved.hot_rows, hot_rows_at_most: limits.hot_rows, ..disk };
        let BlockOutcome { outcome, stop, passes, visits, .. } = solved;
        #[allow(clippy::cast_precision_loss)]
        let fit = Fit {
            weight: outcome.weight,
            bias: outcome.bias,
            steps: passes,
            epochs: visits as f64 / setting.n_train.max(1) as f64,
            stop,
            solve: start.elapsed(),
            evaluate: Duration::ZERO,
            gradient: None,
            certificate: Some(outcome.certificate),
            evaluation: None,
            best_step: None,
        };
        Ok(SolvedFit { objective: Some(outcome.certificate.primal), fit, evaluation: Some(outcome.evaluation), disk })
    }
}

/// Predictions on the rows that are reported on, with their name.
pub(super) struct MeasuredRows {
    split: &'static str,
    confusion: Confusion,
}

/// Accuracies on the rows that are held out.
pub(super) fn measure(
    data: &BlockData,
    model: &Classifier,
    of_train: Confusion,
    result: &mut RunResult,
) -> Result<MeasuredRows, RunError> {
    let start = Instant::now();
    let [validation, test] = held_out(data, model, &data.prepared.objective.loss)?.map(|e| e.map(|e| e.confusion));
    result.validation_accuracy = validation.as_ref().map(Confusion::accuracy);
    result.test_accuracy = test.as_ref().map(Confusion::accuracy);
    result.seconds_evaluate = start.elapsed().as_secs_f64();
    let named = |split, confusion: Option<Confusion>| confusion.map(|confusion| MeasuredRows { split, confusion });
    let held_out = named("test", test).or_else(|| named("validation", validation));
    Ok(held_out.unwrap_or(MeasuredRows { split: "train", confusion: of_train }))
}

/// Saves the result, and removes what is on the disk of a run that is done.
pub(super) fn finish(
    folder: &mut RunFolder,
    stop: StopReason,
    mut result: RunResult,
    model: Classifier,
    measured: &MeasuredRows,
) -> Result<FinishedRun, RunError> {
    folder.confusion(measured.split, &measured.confusion, &model.class_names)?;
    close(folder, stop, &mut result)?;
    let remark = advice::about_predictions(measured.split, &measured.confusion, &model);
    Ok(FinishedRun { result, stop, model: Some(model), remark })
}

/// Writes the result, and removes what only a run that goes on needs.
fn close(folder: &mut RunFolder, stop: StopReason, result: &mut RunResult) -> Result<(), RunError> {
    if let Some(name) = folder.name() {
        name.clone_into(&mut result.config);
    }
    result.peak_rss_bytes = peak_rss_bytes();
    folder.finish(result)?;
    if stop != StopReason::Interrupted {
        folder.drop_checkpoints()?;
        folder.drop_blocks()?;
    }
    Ok(())
}

/// Work of the disk in passes that train and passes that prove; bytes of blocks `before` were read before.
#[allow(clippy::cast_precision_loss)]
pub(super) fn report(data: &BlockData, (passes, proofs): (u64, u64), before: u64, solve: Duration) -> DiskReport {
    let (bytes_read, bytes_of_variables) = data.disk.bytes();
    DiskReport {
        blocks: data.folder.manifest().train.len(),
        passes,
        proofs,
        surveys: data.surveys,
        bytes_read,
        bytes_of_variables,
        megabytes_per_second: (bytes_read - before) as f64 / 1e6 / solve.as_secs_f64().max(1e-9),
        seconds_waiting: data.disk.seconds_waiting(),
        hot_rows: 0,
        hot_rows_at_most: 0,
    }
}
