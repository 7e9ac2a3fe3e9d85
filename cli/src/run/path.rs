//! A regularisation path: a model for each of several C, and the one that validation prefers. `metrics.csv` has a row for each C.

use super::peak_rss_bytes;
use super::record::{RunFolder, rounded};
use super::recorder::{Recorder, lock};
use super::{FinishedRun, PreparedData, RunError, RunResult, SolverResult, finish, outcome};
use crate::config::{ConfigError, LoadedConfig};
use crate::device::{self, OpenDevice};
use crate::model::Classifier;
use crate::model_file;
use crate::objective::{Objective, Strength};
use crate::solver::dual;
use crate::solver::{Certificate, DualConfig, Fit, LogEntry, Observer, Snapshot, SolveError, StopReason};
use serde::{Deserialize, Serialize};
use std::sync::Mutex;
use std::time::Duration;

/// One C of a regularisation path: a row of `path.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PathPoint {
    pub c: f64,
    pub lambda: f64,
    pub objective: Option<f64>,
    pub data_loss: Option<f64>,
    pub dual_objective: Option<f64>,
    pub relative_gap: Option<f64>,
    pub epochs: f64,
    pub stop_reason: String,
    pub train_accuracy: Option<f64>,
    pub validation_accuracy: Option<f64>,
    pub test_accuracy: Option<f64>,
    pub seconds: f64,
}

impl PathPoint {
    /// The row of a result.
    #[must_use]
    pub fn of(result: &RunResult) -> Self {
        Self {
            c: result.c.unwrap_or(f64::INFINITY),
            lambda: result.lambda,
            objective: result.objective,
            data_loss: result.data_loss,
            dual_objective: result.dual_objective,
            relative_gap: result.relative_gap,
            epochs: rounded(result.epochs),
            stop_reason: result.stop_reason.clone(),
            train_accuracy: result.train_accuracy,
            validation_accuracy: result.validation_accuracy,
            test_accuracy: result.test_accuracy,
            seconds: rounded(result.seconds_solve),
        }
    }
}

/// Checks that there are validation rows to choose the C of a path.
///
/// # Errors
/// [`ConfigError`] when there are several C and no such rows.
pub fn check_choice(config: &LoadedConfig, validation_rows: usize) -> Result<(), ConfigError> {
    if !config.run.objective.is_path() || validation_rows > 0 {
        return Ok(());
    }
    let problem = "objective.c: found several values and no validation rows to choose the model by";
    Err(ConfigError::new(&config.file, problem).with_hint(
        "`--set split.validation=0.2` holds a fifth of the training rows out; `burn-svm search` with `folds` of [search] chooses by \
         cross-validation",
    ))
}

/// Solves for every C of the path, from the smallest to the largest. Each model goes to `path/c-<C>.safetensors` and each result
/// to a row of `path.csv`; the model with the best validation accuracy (the smallest such C) is the model of the
/// run; [`check_choice`] asks for the rows.
pub(super) fn train(
    config: &LoadedConfig,
    solver: &DualConfig,
    prepared: &PreparedData,
    device: &OpenDevice,
    folder: &mut RunFolder,
    observer: &mut dyn Observer,
) -> Result<FinishedRun, RunError> {
    let problem = prepared.problem(config, device);
    let strengths = config.run.objective.strengths(prepared.split.train.len());
    let lambdas: Vec<f64> = strengths.iter().map(|s| s.lambda).collect();
    let mut path =
        Path { config, prepared, device, points: Vec::new(), stops: Vec::new(), best: None, totals: Totals::default() };
    let done = Mutex::new(folder.done_before()?);
    for (i, earlier) in lock(&done).iter().enumerate() {
        let file = folder.path_model(strengths[i].c.unwrap_or(f64::INFINITY))?;
        path.add(strengths[i], earlier.fit(&file)?, &mut |_| Ok(()))?;
    }
    let shared = Mutex::new(&mut *folder);
    let mut recorder = Recorder::new(&shared, observer, config, prepared, device);
    recorder.done = Some(&done);
    let mut each = |i: usize, fit: Fit| {
        let finished = FinishedPoint::of(&fit);
        let file = lock(&shared).path_model(strengths[i].c.unwrap_or(f64::INFINITY))?;
        let row = path.add(strengths[i], fit, &mut |model| Ok(model.save(&file)?))?;
        let mut folder = lock(&shared);
        folder.log(&row)?;
        folder.write_path(&path.points)?;
        lock(&done).extend(finished);
        Ok::<(), RunError>(())
    };
    let solved = device::guarded(device, || dual::solve_path(solver, &problem, &lambdas, &mut recorder, &mut each));
    solved.map_err(SolveError::Device)??;
    recorder.failure()?;
    let Path { best, points, stops, totals, .. } = path;
    let Some(mut best) = best else {
        unreachable!("a path has at least one C");
    };
    best.result.seconds_solve = totals.solve.as_secs_f64();
    best.result.seconds_evaluate = totals.evaluate;
    best.result.peak_rss_bytes = peak_rss_bytes();
    best.result.path = Some(points);
    best.stop = stop_of_all(&stops);
    if let Some(model) = &best.model {
        model.save(&folder.model_file()?)?;
    }
    finish(best, prepared, folder)
}

/// Sums over the models of a path.
#[derive(Default)]
struct Totals {
    solve: Duration,
    evaluate: f64,
    steps: u64,
    epochs: f64,
}

/// A path as far as it is solved.
struct Path<'a> {
    config: &'a LoadedConfig,
    prepared: &'a PreparedData,
    device: &'a OpenDevice,
    points: Vec<PathPoint>,
    stops: Vec<StopReason>,
    best: Option<SolverResult>,
    totals: Totals,
}

impl Path<'_> {
    /// Saves and measures the model of the next C; returns its row of `metrics.csv`.
    fn add(
        &mut self,
        strength: Strength,
        fit: Fit,
        save: &mut dyn FnMut(&Classifier) -> Result<(), RunError>,
    ) -> Result<LogEntry, RunError> {
        let totals = &mut self.totals;
        totals.solve += fit.solve;
        let objective = Objective { lambda: strength.lambda, ..self.prepared.objective.clone() };
        // The models of a path are calibrated on validation rows, which trains nothing that could be watched.
        let outcome = outcome(self.config, self.prepared, self.device, (&objective, strength), fit, save, &mut ())?;
        let result = &outcome.result;
        totals.evaluate += result.seconds_evaluate;
        totals.steps += result.steps;
        totals.epochs += result.epochs;
        let row = LogEntry {
            step: totals.steps,
            epoch: totals.epochs,
            loss: result.objective,
            train_accuracy: result.train_accuracy,
            validation_accuracy: result.validation_accuracy,
            seconds: totals.solve.as_secs_f64(),
        };
        self.points.push(PathPoint::of(result));
        self.stops.push(outcome.stop);
        let better = |old: &SolverResult| match (outcome.result.validation_accuracy, old.result.validation_accuracy) {
            (Some(new), Some(old)) => new > old,
            _ => true,
        };
        if self.best.as_ref().is_none_or(better) {
            self.best = Some(outcome);
        }
        Ok(row)
    }
}

/// Record of a finished C in a checkpoint; its weights are in `path/`.
#[derive(Debug, Clone, Copy)]
pub(super) struct FinishedPoint {
    steps: u64,
    epochs: f64,
    stop: StopReason,
    solve: Duration,
    certificate: Option<Certificate>,
}

/// Reasons for the solver of a path to end a C.
const STOPS: [StopReason; 4] =
    [StopReason::GapReached, StopReason::EpochLimit, StopReason::TimeLimit, StopReason::NoProgress];

impl FinishedPoint {
    /// `None` for a C that was interrupted.
    fn of(fit: &Fit) -> Option<Self> {
        let Fit { steps, epochs, stop, solve, certificate, .. } = *fit;
        (stop != StopReason::Interrupted).then_some(Self { steps, epochs, stop, solve, certificate })
    }

    /// Adds the finished C to a snapshot.
    pub fn keep(done: &[Self], snapshot: &mut Snapshot) {
        let stop = |done: &Self| STOPS.iter().position(|stop| *stop == done.stop).unwrap_or(0) as u64;
        #[allow(clippy::cast_possible_truncation)]
        let counts = done.iter().flat_map(|d| [d.steps, stop(d), d.solve.as_nanos() as u64]).collect::<Vec<u64>>();
        let numbers = done.iter().flat_map(|d| {
            let c = d.certificate.map(|c| [c.primal, c.dual, c.relative_gap]).unwrap_or([f64::NAN; 3]);
            [d.epochs, c[0], c[1], c[2]]
        });
        snapshot.put("path.numbers", numbers.collect::<Vec<f64>>());
        snapshot.put("path.counts", counts);
    }

    /// Takes it out again.
    pub fn take(snapshot: &mut Snapshot) -> Result<Vec<Self>, SolveError> {
        let (counts, numbers) = (snapshot.take::<u64>("path.counts")?, snapshot.take::<f64>("path.numbers")?);
        let each = counts.chunks_exact(3).zip(numbers.chunks_exact(4)).map(|(c, n)| Self {
            steps: c[0],
            epochs: n[0],
            stop: STOPS.get(usize::try_from(c[1]).unwrap_or(usize::MAX)).copied().unwrap_or(StopReason::EpochLimit),
            solve: Duration::from_nanos(c[2]),
            certificate: (!n[1].is_nan()).then_some(Certificate { primal: n[1], dual: n[2], relative_gap: n[3] }),
        });
        Ok(each.collect())
    }

    /// As the solver gave it back, with the weights of its model file.
    fn fit(&self, file: &std::path::Path) -> Result<Fit, RunError> {
        let model = model_file::load(file)?;
        let Self { steps, epochs, stop, solve, certificate } = *self;
        let (weight, bias) = (model.weight, model.bias);
        let (evaluate, gradient) = (Duration::ZERO, None);
        let (evaluation, best_step) = (None, None);
        Ok(Fit { weight, bias, steps, epochs, stop, solve, evaluate, gradient, certificate, evaluation, best_step })
    }
}

/// Stop reason of a path as a whole: interrupted, else that of the first model that stopped short, else that of the first model.
fn stop_of_all(stops: &[StopReason]) -> StopReason {
    let short = |s: &&StopReason| **s != StopReason::GapReached;
    let worst = stops.iter().find(|s| **s == StopReason::Interrupted).or_else(|| stops.iter().find(short));
    *worst.or(stops.first()).unwrap_or(&StopReason::Finished)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_ends_as_its_worst_model() {
        use StopReason::{EpochLimit, GapReached, Interrupted};
        for (stops, all) in [
            (vec![GapReached, GapReached], GapReached),
            (vec![GapReached, EpochLimit, GapReached], EpochLimit),
            (vec![EpochLimit, GapReached, Interrupted], Interrupted),
        ] {
            assert_eq!(stop_of_all(&stops), all);
        }
    }
}
