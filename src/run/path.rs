//! A regularisation path: a model for each of several C, and the one that validation prefers. `metrics.csv` has a row for each C.

use super::record::{self, RunFolder, rounded};
use super::{Finished, Outcome, Prepared, RunError, RunResult, finish, outcome};
use crate::config::LoadedConfig;
use crate::device::OpenDevice;
use crate::objective::{Objective, Strength};
use crate::solver::dual;
use crate::solver::{DualConfig, Fit, LogEntry, Observer, StopReason};
use serde::{Deserialize, Serialize};
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

/// Solves for every C of the path, from the smallest to the largest. Each model goes to `path/c-<C>.safetensors` and each result
/// to a row of `path.csv`; the model with the best validation accuracy (the smallest such C; without validation rows the largest
/// C) is the model of the run.
pub(super) fn train(
    config: &LoadedConfig,
    solver: &DualConfig,
    prepared: &Prepared,
    device: &OpenDevice,
    folder: &mut RunFolder,
    observer: &mut dyn Observer,
) -> Result<Finished, RunError> {
    let problem = prepared.problem(config, device);
    let strengths = config.run.objective.strengths(prepared.split.train.len());
    let lambdas: Vec<f64> = strengths.iter().map(|s| s.lambda).collect();
    let mut points: Vec<PathPoint> = Vec::new();
    let mut best: Option<Outcome> = None;
    let mut stops = Vec::new();
    let (mut solve, mut evaluate, mut steps, mut epochs) = (Duration::ZERO, 0.0, 0, 0.0);
    dual::solve_path(solver, &problem, &lambdas, observer, &mut |i, fit: Fit| {
        solve += fit.solve;
        let outcome = point(config, prepared, device, strengths[i], fit);
        evaluate += outcome.result.seconds_evaluate;
        steps += outcome.result.steps;
        epochs += outcome.result.epochs;
        let row = PathPoint::of(&outcome.result);
        if let Some(model) = &outcome.model {
            model.save(&folder.path_model(row.c)?)?;
        }
        folder.log(&LogEntry {
            step: steps,
            epoch: epochs,
            loss: outcome.result.objective,
            train_accuracy: outcome.result.train_accuracy,
            validation_accuracy: outcome.result.validation_accuracy,
            seconds: solve.as_secs_f64(),
        })?;
        points.push(row);
        stops.push(outcome.stop);
        folder.write_path(&points)?;
        let better = |old: &Outcome| match (outcome.result.validation_accuracy, old.result.validation_accuracy) {
            (Some(new), Some(old)) => new > old,
            _ => true,
        };
        if best.as_ref().is_none_or(better) {
            best = Some(outcome);
        }
        Ok::<(), RunError>(())
    })?;
    let Some(mut best) = best else {
        unreachable!("a path has at least one C");
    };
    best.result.seconds_solve = solve.as_secs_f64();
    best.result.seconds_evaluate = evaluate;
    best.result.peak_rss_bytes = record::peak_rss_bytes();
    best.result.path = Some(points);
    best.stop = stop_of_all(&stops);
    finish(best, prepared, folder)
}

/// How the path as a whole ended: interrupted, else the way in which one of its models stopped short, else as the first did.
fn stop_of_all(stops: &[StopReason]) -> StopReason {
    let short = |s: &&StopReason| **s != StopReason::GapReached;
    let worst = stops.iter().find(|s| **s == StopReason::Interrupted).or_else(|| stops.iter().find(short));
    *worst.or(stops.first()).unwrap_or(&StopReason::Finished)
}

fn point(config: &LoadedConfig, prepared: &Prepared, device: &OpenDevice, strength: Strength, fit: Fit) -> Outcome {
    let objective = Objective { lambda: strength.lambda, ..prepared.objective.clone() };
    outcome(config, prepared, device, &objective, strength, fit)
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
