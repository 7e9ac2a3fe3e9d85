//! A regularisation path from the disk: from the smallest C to the largest, each from the variables of the one before, which a larger C leaves
//! feasible. A C that is done has its row in `path.csv` and its model in `path/`, and is not done again.

use super::train::{DiskRun, Solved, finish, measure};
use crate::model_file;
use crate::objective::Strength;
use crate::run::path::PathPoint;
use crate::run::record::RunFolder;
use crate::run::recorded::read_path;
use crate::run::{FinishedRun, RunError, RunResult};
use crate::solver::{Observer, StopReason};

/// Solves for every C, and ends with the model that validation prefers.
pub(super) fn train(
    run: &DiskRun<'_>,
    folder: &mut RunFolder,
    observer: &mut dyn Observer,
) -> Result<FinishedRun, RunError> {
    let (n_train, ..) = run.data.counts();
    let strengths = run.config.run.objective.strengths(n_train);
    let mut points = read_path(folder.path())?.unwrap_or_default();
    points.retain(|point| point.stop_reason != StopReason::Interrupted.name());
    if points.len() >= strengths.len() {
        // The one before its last breath: a pass proves it again.
        points.truncate(strengths.len() - 1);
    }
    let mut newest: Option<Solved> = None;
    for &strength in &strengths[points.len()..] {
        let c = strength.c.unwrap_or(f64::INFINITY);
        observer.stage(&format!("C = {c}"));
        let mut solved = run.solve(strength, folder, observer)?;
        let Some(model) = &solved.model else { unreachable!("the exact solver does not diverge") };
        model.save(&folder.path_model(c)?)?;
        measure(run.data, model, solved.confusion.clone(), &mut solved.result)?;
        points.push(PathPoint::of(&solved.result));
        folder.write_path(&points)?;
        let before = newest.take().and_then(|before| before.result.blocks);
        solved.result.blocks = solved.result.blocks.take().map(|own| own.after(before.as_ref()));
        let ends = solved.stop == StopReason::Interrupted;
        newest = Some(solved);
        if ends {
            break;
        }
    }
    let Some(newest) = newest else { unreachable!("a path has at least one C") };
    choose(run, folder, &strengths, points, newest)
}

/// The result of the C with the best validation accuracy, the smallest of them.
fn choose(
    run: &DiskRun<'_>,
    folder: &mut RunFolder,
    strengths: &[Strength],
    points: Vec<PathPoint>,
    newest: Solved,
) -> Result<FinishedRun, RunError> {
    let accuracy = |point: &PathPoint| point.validation_accuracy.unwrap_or_default();
    let best = (0..points.len()).rev().max_by(|&i, &j| accuracy(&points[i]).total_cmp(&accuracy(&points[j])));
    let (best, at) = (&points[best.unwrap_or(0)], best.unwrap_or(0));
    let model = model_file::load(&folder.path_model(best.c)?)?;
    model.save(&folder.model_file()?)?;
    let short = points.iter().any(|point| point.stop_reason != StopReason::GapReached.name());
    let stop = match newest.stop {
        StopReason::GapReached if short => StopReason::EpochLimit,
        stop => stop,
    };
    let mut result = RunResult {
        lambda: best.lambda,
        reg: strengths[at].reg,
        c: Some(best.c),
        epochs: best.epochs,
        stop_reason: best.stop_reason.clone(),
        objective: best.objective,
        data_loss: best.data_loss,
        dual_objective: best.dual_objective,
        gap: best.objective.zip(best.dual_objective).map(|(primal, dual)| primal - dual),
        relative_gap: best.relative_gap,
        train_accuracy: best.train_accuracy,
        seconds_solve: points.iter().map(|point| point.seconds).sum(),
        ..newest.result
    };
    let measured = measure(run.data, &model, newest.confusion, &mut result)?;
    result.path = Some(points);
    finish(folder, stop, result, model, &measured)
}
