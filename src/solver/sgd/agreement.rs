//! The gradient of a run's first batch, by its engine and by Burn's autodiff.

use super::draws::initial_values;
use super::engine::{Engine, autodiff};
use super::stacked::Member;
use crate::solver::agreement::{MOST_WEIGHTS, difference, judged, sample, tolerance};
use crate::solver::{Problem, Route, SolveError};

/// Points at which a gradient may disagree by chance, because a margin lies within rounding of a kink, before it is wrong.
const POINTS: u64 = 3;
/// Standard deviation of the weights of another point where those of the run begin at zero.
const DEVIATION: f64 = 1e-4;

/// The largest difference from autodiff over the losses of a run, at its initial weights; `None` for autodiff itself and where there
/// is nothing to compare. Draws nothing from the generators of the run, so that one that goes on finds what it found before.
///
/// # Errors
/// [`SolveError::Gradient`] where a gradient disagrees at the initial weights and at two other points.
pub(super) fn of_first_batch(
    engine: &mut dyn Engine,
    problem: &Problem<'_>,
    members: &[Member],
    batch: &[u32],
) -> Result<Option<f64>, SolveError> {
    let (d, k) = (problem.source.features.n_features(), problem.n_classes);
    if engine.route() == Route::Autodiff || d * k > MOST_WEIGHTS {
        return Ok(None);
    }
    let rows = sample(batch, d.max(k));
    let mut largest: Option<f64> = None;
    for (i, member) in members.iter().enumerate() {
        // One member stands for all of its loss.
        if members[..i].iter().any(|earlier| earlier.objective.loss == member.objective.loss) {
            continue;
        }
        if let Some(found) = of_member(engine, problem, member, rows)? {
            largest = Some(largest.map_or(found, |largest| largest.max(found)));
        }
    }
    Ok(largest)
}

fn of_member(
    engine: &mut dyn Engine,
    problem: &Problem<'_>,
    member: &Member,
    rows: &[u32],
) -> Result<Option<f64>, SolveError> {
    let mut found = f64::INFINITY;
    for point in 0..POINTS {
        let deviation = if point > 0 && member.init_std == 0.0 { DEVIATION } else { member.init_std };
        let at = initial_values(&Problem { seed: problem.seed.wrapping_add(point), ..*problem }, deviation);
        let by_engine = engine.gradient(member, &at, rows)?;
        let judge = autodiff(problem, member, &at, rows)?;
        let row = autodiff(problem, member, &at, &rows[..rows.len().min(1)])?;
        let Some(here) = difference(by_engine.values(), judge.values(), row.values()) else { return Ok(None) };
        found = found.min(here);
        if found <= tolerance(false) {
            break;
        }
    }
    judged(engine.route(), found, tolerance(false)).map(Some)
}
