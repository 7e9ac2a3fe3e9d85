//! Two methods of second order: the interior point method, below, for problems of few features, whatever their scales; [`proximal`] for all others.
//!
//! ```text
//! given:   the problem of `dual`; for each variable the slack that its bound leaves, and a product μ of the two
//! repeat:  a step of Newton's method towards products σμ, predicted with σ = 0, then corrected (Mehrotra), 0.99 of the way to the bounds
//! until:   a bound of the dual, and the weights of the smallest primal, are proved to lie within `gap`
//! ```
//!
//! Everything but the weights is eliminated a row at a time (`point`), and the weights come from one system of size (d + 1)·K, or K of
//! size d + 1 for one-vs-rest (`system`), all in f64. Every iterate proves something: its dual variables brought into their set.
//! References: S. Mehrotra, *On the implementation of a primal-dual interior point method*, SIAM J. Optim. 2, 1992; S. Fine and K.
//! Scheinberg, *Efficient SVM training using low-rank kernel representations*, JMLR 2, 2001. Derived in `docs/math.md`.

mod config;
mod iterate;
mod point;
mod price;
mod proximal;
mod record;
mod rows;
mod system;

pub use config::{NewtonConfig, NewtonMethod};
pub(crate) use price::Price;

use super::checkpoint::Clock;
use super::stop::StopReason;
use super::{Fit, Observer, Problem, SolveError};
use crate::objective::Objective;
use iterate::Iterate;
use record::{Candidate, Progress, Record};
pub(super) use record::{Finished, Limits};
use std::time::Duration;

/// Iterations in which neither the gap nor μ comes down by a tenth, and iterations in all, after which the precision is exhausted.
const STUCK: u32 = 20;
const MOST: u64 = 200;

/// Seconds on one core that the interior point method may take where no method is named.
const AFFORDABLE: f64 = 120.0;

/// Runs the solver; see the module's documentation.
///
/// # Errors
/// [`SolveError`] when there is no regulariser, the system is too large or the numbers leave their range.
pub fn solve(config: &NewtonConfig, problem: &Problem<'_>, observer: &mut dyn Observer) -> Result<Fit, SolveError> {
    let clock = Clock::after(Duration::ZERO);
    if problem.objective.lambda <= 0.0 {
        return Err(SolveError::NoRegulariser);
    }
    let limits =
        Limits { gap: config.gap.get(), seconds: config.seconds.map(|s| s.get()), clock, steps: 0, epochs: 0.0 };
    let price = Price::of(problem);
    let run = match config.method {
        NewtonMethod::Auto if price.is_none_or(|price| price.seconds > AFFORDABLE) => proximal::finish,
        NewtonMethod::Proximal => proximal::finish,
        NewtonMethod::InteriorPoint if price.is_none() => {
            let (d, k) = (problem.source.features.n_features(), problem.n_classes);
            return Err(SolveError::TooLarge { n_features: d, n_classes: k });
        }
        NewtonMethod::Auto | NewtonMethod::InteriorPoint => finish,
    };
    let finished = run(problem, problem.objective, limits, None, observer)?;
    Ok(finished.fit(problem, limits))
}

/// Runs the interior point method from the middle of the sets until the gap is proved; λ is that of `objective`. `before` is a bound that was
/// proved before.
///
/// # Errors
/// As [`solve`].
#[allow(clippy::cast_precision_loss)]
pub(super) fn finish(
    problem: &Problem<'_>,
    objective: &Objective,
    limits: Limits,
    before: Option<f64>,
    observer: &mut dyn Observer,
) -> Result<Finished, SolveError> {
    let mut iterate = Iterate::new(problem, objective.lambda);
    let mut record = Record::new(problem, objective, limits, before);
    let (mut smallest, mut stuck, mut iterations) = (f64::INFINITY, 0, 0u64);
    let mut least = f64::INFINITY;
    let stop = loop {
        let now = iterate.measure();
        let time_up = limits.is_over();
        let interrupted = observer.interrupted();
        (stuck, smallest) = if now.relative() < 0.9 * smallest { (0, now.relative()) } else { (stuck + 1, smallest) };
        let end = match () {
            () if interrupted => Some(StopReason::Interrupted),
            () if time_up => Some(StopReason::TimeLimit),
            () if stuck > STUCK || iterations >= MOST => Some(StopReason::NoProgress),
            () => None,
        };
        if record.is_promising(now) || end.is_some() {
            let (weight, bias) = iterate.weights();
            let candidate = Candidate { weight, bias, rows: iterate.order(), a: iterate.variables() };
            let reached = record.prove(now, candidate)?;
            match end {
                _ if reached && !interrupted => break StopReason::GapReached,
                Some(stop) => break stop,
                None => {}
            }
        }
        record.report(observer, now, 1.0, Progress { iterations, passes: iterations as f64 });
        match iterate.step() {
            Some(mu) if mu < 0.9 * least => (stuck, least) = (0, mu),
            Some(_) => {}
            None => stuck = STUCK,
        }
        iterations += 1;
        observer.step(limits.steps + iterations);
    };
    record.finish(stop, Progress { iterations, passes: iterations as f64 }, observer)
}
