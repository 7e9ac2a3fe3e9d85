//! A run of minibatch descent over blocks.

use super::recorder::BlockRecorder;
use super::store::DiskStore;
use super::train::{DiskRun, SolvedFit, report};
use crate::device;
use crate::run::folder::DUAL;
use crate::run::record::RunFolder;
use crate::run::{RunError, threads};
use crate::solver::parts::{Setting, measure_blocks};
use crate::solver::sgd::{BlockInput, SgdConfig, solve_blocks};
use crate::solver::{Observer, SolveError, StopReason};
use std::time::{Duration, Instant};

/// A bound that says less than this of the distance to the optimum is not reported.
const LOOSE: f64 = 0.5;

/// Trains from the checkpoint that the run has kept, and measures the weights in a pass of its own.
pub(super) fn descend(
    run: &DiskRun<'_>,
    config: &SgdConfig,
    setting: &Setting,
    folder: &mut RunFolder,
    observer: &mut dyn Observer,
) -> Result<SolvedFit, RunError> {
    let (start, data) = (Instant::now(), run.data);
    let mut store = DiskStore::new(data, &folder.own_folder(DUAL)?, true);
    let ((before, _), waited) = (data.disk.bytes(), data.disk.seconds_waiting());
    let rows = data.train_rows();
    let (gradient, threads) = (run.config.run.gradient, threads(run.config.run.threads));
    let input = BlockInput { setting, gradient, threads, rows: &rows };
    let mut recorder = BlockRecorder::new(run, observer, folder);
    let solved = device::guarded(run.device, || solve_blocks(config, input, &mut store, &mut recorder));
    recorder.failure()?;
    let mut fit = store.settled(solved.map_err(SolveError::Device)?)?;
    fit.solve += Duration::from_secs_f64(data.disk.seconds_waiting() - waited);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let passes = fit.epochs.ceil() as u64;
    if let StopReason::Diverged { .. } = fit.stop {
        let disk = report(data, (passes, 0), before, start.elapsed());
        return Ok(SolvedFit { fit, objective: None, evaluation: None, disk });
    }
    let measuring = Instant::now();
    let measured = measure_blocks(setting, &mut store, &fit.weight, fit.bias.as_deref());
    let (certificate, evaluation) = store.settled(measured)?;
    fit.evaluate += measuring.elapsed();
    fit.certificate = Some(certificate).filter(|certificate| certificate.relative_gap <= LOOSE);
    let disk = report(data, (passes, 1), before, start.elapsed());
    Ok(SolvedFit { fit, objective: Some(certificate.primal), evaluation: Some(evaluation), disk })
}
