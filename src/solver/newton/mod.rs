//! Three methods of second order: the interior point method, below, for problems of few features, whatever their scales, and `scalar` for those of them whose
//! classes meet no others; `primal` for these where the loss is curved; `proximal` for all others.
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

mod basis;
mod cholesky;
mod class;
mod classes;
mod config;
mod coordinates;
mod device;
mod gram;
mod iterate;
mod joint;
mod machine;
mod order;
mod point;
mod polish;
mod price;
mod primal;
mod proximal;
mod record;
mod rows;
mod scalar;
mod share;
mod system;

pub use config::{NewtonConfig, NewtonMethod};
pub(in crate::solver) use joint::{JointIterate, JointSetting};
pub(in crate::solver) use order::InteriorWork;
pub use order::{InteriorAnswer, InteriorOrder};
pub(crate) use price::{MOST_PASSES, Method, Price, READ, READS};
pub(in crate::solver) use proximal::is_steady;
pub(in crate::solver) use share::{answer, dual_variables};

use super::checkpoint::Clock;
use super::stop::StopReason;
use super::{Fit, Observer, Problem, SolveError};
use crate::objective::Objective;
use iterate::Iterate;
use record::{Candidate, Record, progress};
pub(super) use record::{NewtonLimits, NewtonResult};
use std::time::Duration;

/// Relative error of the objective by rounding of margins near 0, where C is large.
const ROUNDING: f64 = 1e-9;
/// Iterations in which neither the gap nor μ comes down by a tenth, and iterations in all, after which the precision is exhausted.
const STUCK: u32 = 20;
const MOST: u64 = 200;

/// Runs the solver; see the module's documentation.
///
/// # Errors
/// [`SolveError`] when there is no regulariser, the system is too large or the numbers leave their range.
pub fn solve(config: &NewtonConfig, problem: &Problem<'_>, observer: &mut dyn Observer) -> Result<Fit, SolveError> {
    let clock = Clock::after(Duration::ZERO);
    if problem.objective.lambda <= 0.0 {
        return Err(SolveError::NoRegulariser);
    }
    let mut limits = NewtonLimits {
        gap: config.gap.get(),
        seconds: config.seconds.map(|s| s.get()),
        clock,
        steps: 0,
        epochs: 0.0,
        polish: false,
        passes: None,
    };
    let (d, n_classes) = (problem.source.features.n_features(), problem.n_classes);
    let mut choices = match config.method {
        NewtonMethod::Auto => Price::choices(problem),
        NewtonMethod::InteriorPoint => {
            vec![Price::of(problem).ok_or(SolveError::TooLarge { n_features: d, n_classes })?]
        }
        NewtonMethod::Proximal => vec![Price::of_proximal(problem)],
    };
    let mut best: Option<NewtonResult> = None;
    loop {
        let price = choices.remove(0);
        limits.polish = price.is_small;
        let before = best.as_ref().map(|best| best.certificate.dual);
        // Another method has failed: this one need not come to an end.
        limits.passes = before.map(|_| MOST_PASSES);
        let found = finish(price.method, problem, problem.objective, limits, before, observer)?;
        let found = found.or(best.take(), limits.gap);
        match choices.first() {
            Some(next) if found.may_gain_by(next.method) => best = Some(found),
            _ => return Ok(found.fit(problem, limits)),
        }
    }
}

/// Runs a method until the gap is proved; λ is that of `objective`. `before` is a bound that was proved before.
///
/// # Errors
/// As [`solve`].
pub(super) fn finish(
    method: Method,
    problem: &Problem<'_>,
    objective: &Objective,
    limits: NewtonLimits,
    before: Option<f64>,
    observer: &mut dyn Observer,
) -> Result<NewtonResult, SolveError> {
    let run = match method {
        Method::Primal => primal::finish,
        Method::InteriorPoint => interior_point,
        Method::Proximal => proximal::finish,
    };
    run(problem, objective, limits, before, observer)
}

/// Runs the interior point method from the middle of the sets until the gap is proved; λ is that of `objective`. `before` is a bound that was
/// proved before.
///
/// # Errors
/// As [`solve`].
fn interior_point(
    problem: &Problem<'_>,
    objective: &Objective,
    limits: NewtonLimits,
    before: Option<f64>,
    observer: &mut dyn Observer,
) -> Result<NewtonResult, SolveError> {
    if class::factor(&objective.loss, problem.n_classes).is_some() {
        return scalar::finish(problem, objective, limits, before, observer);
    }
    // On a thread of the pool: from outside every one of many short loops would wait for another thread to wake.
    rayon::scope(|_| {
        let mut iterate = Iterate::new(problem, objective.lambda);
        let mut record = Record::new(problem, objective, limits, before);
        let (stop, mut iterations) = iterated(&mut iterate, &mut record, observer)?;
        if stop == StopReason::NoProgress || (stop == StopReason::GapReached && limits.polish) {
            iterations += polished(&mut iterate, &mut record, observer)?;
        }
        record.finish(stop, progress(iterations), observer)
    })
}

/// Continues from the best weights until they no longer change, or near enough to the goal where there is no polish; the number of steps.
///
/// # Errors
/// As [`Record::prove`].
fn polished(
    iterate: &mut Iterate<'_>,
    record: &mut Record<'_>,
    observer: &mut dyn Observer,
) -> Result<u64, SolveError> {
    let limits = record.limits;
    iterate.take_best();
    let halt = || observer.interrupted() || limits.is_over();
    let steps = iterate.polish(halt, |now| !limits.polish && now.measure().relative() <= 0.5 * limits.gap);
    let now = iterate.measure();
    if limits.polish {
        iterate.settle();
    }
    record.prove(now, candidate(iterate), if limits.polish { ROUNDING } else { 0.0 })?;
    Ok(steps)
}

/// Iterates until the goal is proved, or for as long as there is progress; why it ends, and the number of iterations.
fn iterated(
    iterate: &mut Iterate<'_>,
    record: &mut Record<'_>,
    observer: &mut dyn Observer,
) -> Result<(StopReason, u64), SolveError> {
    let limits = record.limits;
    let (mut smallest, mut stuck, mut iterations) = (f64::INFINITY, 0, 0u64);
    let mut least = f64::INFINITY;
    loop {
        let now = iterate.measure();
        (stuck, smallest) = if now.relative() < 0.9 * smallest { (0, now.relative()) } else { (stuck + 1, smallest) };
        let end = match () {
            () if observer.interrupted() => Some(StopReason::Interrupted),
            () if limits.is_over() => Some(StopReason::TimeLimit),
            () if stuck > STUCK || iterations >= MOST => Some(StopReason::NoProgress),
            () => None,
        };
        if record.is_promising(now) || end.is_some() {
            let reached = record.prove(now, candidate(iterate), 0.0)?;
            match end {
                Some(stop) => return Ok((stop, iterations)),
                None if reached => return Ok((StopReason::GapReached, iterations)),
                None => {}
            }
        }
        record.report(observer, now, 1.0, progress(iterations));
        match iterate.step() {
            Some(mu) if mu < 0.9 * least => (stuck, least) = (0, mu),
            Some(_) => {}
            None => stuck = STUCK,
        }
        iterations += 1;
        observer.step(limits.steps + iterations);
    }
}

fn candidate(iterate: &Iterate<'_>) -> Candidate {
    let (weight, bias) = iterate.weights();
    Candidate { weight, bias, rows: iterate.order(), a: iterate.variables() }
}
