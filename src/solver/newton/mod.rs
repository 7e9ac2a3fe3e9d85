//! The interior point method: the optimum of small problems, whatever the scales of their features.
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
mod config;
mod iterate;
mod point;
mod polish;
mod price;
mod rows;
mod system;

pub use config::NewtonConfig;
pub(crate) use price::Price;

use super::checkpoint::Clock;
use super::stop::StopReason;
use super::{Certificate, Fit, LogEntry, Measurement, Observer, Problem, SolveError};
use crate::evaluation::Evaluation;
use crate::objective::{DualPoint, Measured, Objective};
use iterate::{Bounds, Iterate};
use std::time::Duration;

/// Iterations in which neither the gap nor μ comes down by a tenth, and iterations in all, after which the precision is exhausted.
const STUCK: u32 = 20;
const MOST: u64 = 200;
/// The gap from which the weights are polished.
const FINE: f64 = 1e-8;
/// What rounding adds to an objective at most, relative to it.
const ROUNDING: f64 = 1e-11;

/// Runs the solver; see the module's documentation.
///
/// # Errors
/// [`SolveError`] when there is no regulariser, the system is too large or the numbers leave their range.
pub fn solve(config: &NewtonConfig, problem: &Problem<'_>, observer: &mut dyn Observer) -> Result<Fit, SolveError> {
    let clock = Clock::after(Duration::ZERO);
    if problem.objective.lambda <= 0.0 {
        return Err(SolveError::NoRegulariser);
    }
    let Some(price) = Price::of(problem) else {
        let (d, k) = (problem.source.features.n_features(), problem.n_classes);
        return Err(SolveError::TooLarge { n_features: d, n_classes: k });
    };
    let limits = Limits {
        gap: config.gap.get(),
        seconds: config.seconds.map(|s| s.get()),
        clock,
        steps: 0,
        epochs: 0.0,
        polish: price.is_small,
    };
    let finished = finish(problem, problem.objective, limits, None, observer)?;
    Ok(finished.fit(problem, limits))
}

/// When to stop, and what was done before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub gap: f64,
    pub seconds: Option<f64>,
    pub clock: Clock,
    pub steps: u64,
    pub epochs: f64,
    /// Whether to go on until the weights stand still.
    pub polish: bool,
}

impl Limits {
    /// Whether the time is up.
    fn is_over(&self) -> bool {
        self.seconds.is_some_and(|seconds| self.clock.elapsed().as_secs_f64() >= seconds)
    }
}

/// The best weights and the dual variables that prove it.
pub(super) struct Finished {
    pub weight: Vec<f64>,
    pub bias: Vec<f64>,
    pub certificate: Certificate,
    pub evaluation: Evaluation,
    pub stop: StopReason,
    pub iterations: u64,
    /// Rows of the data set and c·a of each, `[rows, n_classes]`.
    pub rows: Vec<u32>,
    pub a: Vec<f64>,
}

impl Finished {
    #[allow(clippy::cast_precision_loss)]
    pub fn fit(self, problem: &Problem<'_>, limits: Limits) -> Fit {
        Fit {
            weight: self.weight,
            bias: problem.objective.bias.has_bias().then_some(self.bias),
            steps: limits.steps + self.iterations,
            epochs: limits.epochs + self.iterations as f64,
            stop: self.stop,
            solve: limits.clock.elapsed(),
            evaluate: Duration::ZERO,
            gradient: None,
            certificate: Some(self.certificate),
            evaluation: Some(self.evaluation),
            best_step: None,
        }
    }
}

/// What is known of the optimum, and the weights and variables by which it is.
struct Known {
    weight: Vec<f64>,
    bias: Vec<f64>,
    measured: Measured,
    dual: f64,
    a: Vec<f64>,
}

/// Runs from the middle of the sets until the gap is proved; λ is that of `objective`. `before` is a bound that was proved before.
///
/// # Errors
/// As [`solve`].
pub(super) fn finish(
    problem: &Problem<'_>,
    objective: &Objective,
    limits: Limits,
    before: Option<f64>,
    observer: &mut dyn Observer,
) -> Result<Finished, SolveError> {
    // On a thread of the pool: from outside every one of many short loops would wait for another thread to wake.
    rayon::scope(|_| iterated(problem, objective, limits, before, observer))
}

fn iterated(
    problem: &Problem<'_>,
    objective: &Objective,
    limits: Limits,
    before: Option<f64>,
    observer: &mut dyn Observer,
) -> Result<Finished, SolveError> {
    let mut iterate = Iterate::new(problem, objective.lambda);
    let goal = if limits.polish { limits.gap.min(FINE) } else { limits.gap };
    let (mut promised, mut smallest, mut stuck, mut iterations) = (goal, f64::INFINITY, 0, 0u64);
    let mut least = f64::INFINITY;
    let mut best: Option<Known> = None;
    let stop = loop {
        let now = iterate.measure();
        (stuck, smallest) = if now.relative() < 0.9 * smallest { (0, now.relative()) } else { (stuck + 1, smallest) };
        let end = match () {
            () if observer.interrupted() => Some(StopReason::Interrupted),
            () if limits.is_over() => Some(StopReason::TimeLimit),
            () if stuck > STUCK || iterations >= MOST => Some(StopReason::NoProgress),
            () => None,
        };
        if now.relative() <= promised || end.is_some() {
            let known = prove(problem, objective, &iterate, before)?;
            let reached = known.certificate()?.relative_gap <= goal;
            best = Some(known.or(best, 0.0));
            promised = promised.min(0.3 * now.relative());
            match end {
                Some(stop) => break stop,
                None if reached => break StopReason::GapReached,
                None => {}
            }
        }
        report(observer, objective, now, limits, iterations);
        match iterate.step() {
            Some(mu) if mu < 0.9 * least => (stuck, least) = (0, mu),
            Some(_) => {}
            None => stuck = STUCK,
        }
        iterations += 1;
        observer.step(limits.steps + iterations);
    };
    let Some(mut known) = best else { unreachable!("a run ends with a proof") };
    if stop == StopReason::NoProgress || (stop == StopReason::GapReached && limits.polish) {
        iterate.take_best();
        let halt = || observer.interrupted() || limits.is_over();
        iterations += iterate.polish(halt, |now| !limits.polish && now.measure().relative() <= 0.5 * limits.gap);
        iterate.measure();
        if limits.polish {
            iterate.settle();
        }
        let slack = if limits.polish { ROUNDING } else { 0.0 };
        known = prove(problem, objective, &iterate, before)?.or(Some(known), slack);
    }
    let certificate = known.certificate()?;
    let stop = match stop {
        StopReason::Interrupted => stop,
        _ if certificate.relative_gap <= limits.gap => StopReason::GapReached,
        _ if observer.interrupted() => StopReason::Interrupted,
        _ if limits.is_over() => StopReason::TimeLimit,
        _ => stop,
    };
    let Known { weight, bias, measured, a, .. } = known;
    let finished = Finished {
        weight,
        bias,
        certificate,
        evaluation: measured.evaluation,
        stop,
        iterations,
        rows: iterate.order(),
        a,
    };
    report_end(observer, certificate, limits, iterations);
    Ok(finished)
}

impl Known {
    fn certificate(&self) -> Result<Certificate, SolveError> {
        Certificate::proved(self.measured.value, self.measured.at_most, self.dual)
    }

    /// These weights, unless others cost less by more than a share `slack`; the better of both bounds.
    fn or(mut self, other: Option<Self>, slack: f64) -> Self {
        let Some(other) = other else { return self };
        if other.dual > self.dual {
            (self.dual, self.a) = (other.dual, other.a);
        }
        if other.measured.at_most * (1.0 + slack) < self.measured.at_most {
            (self.weight, self.bias, self.measured) = (other.weight, other.bias, other.measured);
        }
        self
    }
}

/// The objective at the best weights and the bound of the best dual variables, rounding errors counted in.
fn prove(
    problem: &Problem<'_>,
    objective: &Objective,
    iterate: &Iterate<'_>,
    before: Option<f64>,
) -> Result<Known, SolveError> {
    let (weight, bias) = iterate.weights();
    let given = objective.bias.has_bias().then_some(bias.as_slice());
    let measured = objective.measure(problem.source, problem.train, problem.n_classes, &weight, given);
    if !measured.at_most.is_finite() {
        return Err(SolveError::NotFinite { objective: measured.value.to_string() });
    }
    let (rows, a) = (iterate.order(), iterate.variables());
    let k = problem.n_classes;
    let point = DualPoint { source: problem.source, objective, n_classes: k, rows: &rows, a: &a, stride: k };
    let dual = point.prove().dual.max(before.unwrap_or(f64::NEG_INFINITY));
    Ok(Known { weight, bias, measured, dual, a })
}

#[allow(clippy::cast_precision_loss)]
fn entry(loss: f64, limits: Limits, iterations: u64) -> LogEntry {
    LogEntry {
        step: limits.steps + iterations,
        epoch: limits.epochs + iterations as f64,
        loss: Some(loss),
        train_accuracy: None,
        validation_accuracy: None,
        seconds: limits.clock.elapsed().as_secs_f64(),
    }
}

fn report(observer: &mut dyn Observer, objective: &Objective, now: Bounds, limits: Limits, iterations: u64) {
    let primal = objective.lambda * now.primal;
    let measurement = Measurement { primal, relative_gap: now.relative(), dual: None };
    observer.bounds(&entry(primal, limits, iterations), &measurement, 1.0);
}

fn report_end(observer: &mut dyn Observer, certificate: Certificate, limits: Limits, iterations: u64) {
    observer.bounds(&entry(certificate.primal, limits, iterations), &certificate.into(), 1.0);
}
