//! A run of the exact solver over blocks.

use super::DiskReport;
use super::measure::held_out;
use super::path;
use super::reader::DiskUse;
use super::rows::BlockData;
use super::store::DiskStore;
use crate::config::LoadedConfig;
use crate::data::blocks::DataPart;
use crate::device::OpenDevice;
use crate::format::limit;
use crate::metric::Confusion;
use crate::model::Classifier;
use crate::objective::{Objective, Strength};
use crate::run::folder::DUAL;
use crate::run::record::{RecordError, RunFolder};
use crate::run::setup::classifier;
use crate::run::{FinishedRun, RunError, RunResult, advice, blank_result, peak_rss_bytes};
use crate::solver::dual::Precision;
use crate::solver::parts::{BlockLimits, BlockOutcome, Setting, solve_blocks};
use crate::solver::{DualConfig, Fit, LogEntry, Measurement, Observer, SolverConfig, StopReason};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

/// Passes after which a run without `epochs` ends that does not reach its gap.
const PASSES: u64 = 1_000;
/// The gap below which variables are kept in double precision, and weights are held so.
const FINE: f64 = 1e-6;
const NARROW: f64 = 1e-5;
/// Share of the memory, and of the rows, that hot rows may have; copies of a hot row's cells and numbers a class, when it is worked on.
const SHARE: u64 = 4;
const OF_ROWS: f64 = 0.15;
const COPIES: u64 = 5;
const NUMBERS: u64 = 64;
const HEAD: u64 = 256;

/// Hot rows, at most.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
pub(super) fn hot_rows(data: &BlockData) -> usize {
    let manifest = data.folder.manifest();
    let all = (manifest.rows(DataPart::Train) + manifest.rows(DataPart::Test)).max(1);
    let cells = manifest.in_memory() / all;
    let row = COPIES * cells + NUMBERS * manifest.class_names.len() as u64 + HEAD;
    let fitting = limit::get() / SHARE / row;
    let (n, ..) = data.counts();
    (fitting as usize).min((OF_ROWS * n as f64).ceil() as usize)
}

fn limits(solver: &DualConfig, data: &BlockData) -> BlockLimits {
    let gap = solver.gap.get();
    BlockLimits {
        gap,
        passes: solver.epochs.map_or(PASSES, |epochs| NonZeroUsize::get(epochs) as u64),
        seconds: solver.seconds.map(|seconds| seconds.get()),
        hot_rows: hot_rows(data),
        double: solver.precision.map_or(gap < NARROW, |precision| precision == Precision::F64),
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
    pub model: Classifier,
    /// Of the rows to train on.
    pub confusion: Confusion,
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
    model.save(&folder.model_file()?)?;
    let measured = measure(data, &model, confusion, &mut result)?;
    finish(folder, stop, result, model, &measured)
}

impl DiskRun<'_> {
    fn options(&self) -> DualConfig {
        match &self.config.run.solver {
            SolverConfig::Dual(solver) => solver.clone(),
            _ => DualConfig::default(),
        }
    }

    /// Solves for one λ, from the variables that the run has kept.
    pub fn solve(
        &self,
        strength: Strength,
        folder: &mut RunFolder,
        observer: &mut dyn Observer,
    ) -> Result<Solved, RunError> {
        let (start, data) = (Instant::now(), self.data);
        let prepared = &data.prepared;
        let (n_train, n_validation, n_test) = data.counts();
        let setting = Setting {
            objective: Objective { lambda: strength.lambda, ..prepared.objective.clone() },
            scaler: prepared.scaler.clone(),
            n_features: prepared.data.features.n_features(),
            n_classes: prepared.data.n_classes(),
            n_train,
            device: crate::device::open_cpu().unwrap_or_else(|| self.device.clone()),
            seed: self.config.run.seed,
        };
        let limits = limits(&self.options(), data);
        let mut store = DiskStore::new(data, &folder.own_folder(DUAL)?, limits.gap > FINE);
        let before = data.disk.bytes();
        let mut recorder = BlockRecorder { observer, folder, disk: &data.disk, start, before: before.0, failure: None };
        let solved = solve_blocks(&setting, limits, &mut store, &mut recorder);
        recorder.failure.take().map_or(Ok(()), Err)?;
        let solved = store.settled(solved)?;
        let disk = report(data, &solved, limits.hot_rows, before.0, start.elapsed());
        let BlockOutcome { outcome, stop, passes, visits, .. } = solved;
        #[allow(clippy::cast_precision_loss)]
        let fit = Fit {
            weight: outcome.weight,
            bias: outcome.bias,
            steps: passes,
            epochs: visits as f64 / n_train.max(1) as f64,
            stop,
            solve: start.elapsed(),
            evaluate: Duration::ZERO,
            gradient: None,
            certificate: Some(outcome.certificate),
            evaluation: None,
            best_step: None,
        };
        let result = RunResult {
            n_samples: n_train,
            n_validation,
            n_test,
            objective: Some(outcome.certificate.primal),
            data_loss: Some(outcome.evaluation.data_loss),
            train_accuracy: Some(outcome.evaluation.confusion.accuracy()),
            blocks: Some(disk),
            ..blank_result(self.config, prepared, self.device, strength, &fit)
        };
        let model = classifier(self.config, &prepared.data, &prepared.scaler, &setting.objective, n_train, fit);
        Ok(Solved { result, stop, model, confusion: outcome.evaluation.confusion })
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
    if let Some(name) = folder.name() {
        name.clone_into(&mut result.config);
    }
    result.peak_rss_bytes = peak_rss_bytes();
    folder.confusion(measured.split, &measured.confusion, &model.class_names)?;
    folder.finish(&result)?;
    if stop != StopReason::Interrupted {
        folder.drop_blocks()?;
    }
    let remark = advice::about_predictions(measured.split, &measured.confusion, &model);
    Ok(FinishedRun { result, stop, model: Some(model), remark })
}

#[allow(clippy::cast_precision_loss)]
fn report(
    data: &BlockData,
    solved: &BlockOutcome,
    hot_rows_at_most: usize,
    before: u64,
    solve: Duration,
) -> DiskReport {
    let (bytes_read, bytes_of_variables) = data.disk.bytes();
    DiskReport {
        blocks: data.folder.manifest().train.len(),
        passes: solved.passes,
        proofs: solved.proofs,
        surveys: data.surveys,
        bytes_read,
        bytes_of_variables,
        megabytes_per_second: (bytes_read - before) as f64 / 1e6 / solve.as_secs_f64().max(1e-9),
        seconds_waiting: data.disk.seconds_waiting(),
        hot_rows: solved.hot_rows,
        hot_rows_at_most,
    }
}

/// Listener of the solver that writes down what it says, and tells of the disk.
struct BlockRecorder<'a, 'f> {
    observer: &'a mut dyn Observer,
    folder: &'f mut RunFolder,
    disk: &'a DiskUse,
    start: Instant,
    /// Bytes that were read before.
    before: u64,
    failure: Option<RecordError>,
}

impl Observer for BlockRecorder<'_, '_> {
    fn start(&mut self, steps: u64) {
        self.observer.start(steps);
    }

    fn step(&mut self, step: u64) {
        self.observer.step(step);
    }

    fn log(&mut self, entry: &LogEntry) {
        self.observer.log(entry);
    }

    #[allow(clippy::cast_precision_loss)]
    fn bounds(&mut self, entry: &LogEntry, measurement: &Measurement, active: f64) {
        let written = self.folder.log(entry).and_then(|()| self.folder.bounds(measurement));
        self.failure = self.failure.take().or(written.err());
        self.observer.bounds(entry, measurement, active);
        let (bytes, _) = self.disk.bytes();
        self.observer.stage(&format!(
            "pass {}: {:.0} MB/s from the disk, waited for {:.1} s",
            entry.step,
            (bytes - self.before) as f64 / 1e6 / self.start.elapsed().as_secs_f64().max(1e-9),
            self.disk.seconds_waiting()
        ));
    }

    fn interrupted(&self) -> bool {
        // A run whose records cannot be written is stopped at once, not at its end.
        self.failure.is_some() || self.observer.interrupted()
    }
}
