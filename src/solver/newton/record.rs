//! The limits, proofs and results that both methods share.

use super::iterate::BestBounds;
use super::price::Method;
use crate::evaluation::Evaluation;
use crate::objective::{DualPoint, Objective, ObjectiveValue};
use crate::solver::checkpoint::Clock;
use crate::solver::stop::StopReason;
use crate::solver::{Certificate, Fit, LogEntry, Measurement, Observer, Problem, SolveError};
use std::time::Duration;

/// The goal, the time, and the work done before.
#[derive(Debug, Clone, Copy)]
pub(in crate::solver) struct NewtonLimits {
    pub gap: f64,
    pub seconds: Option<f64>,
    pub clock: Clock,
    pub steps: u64,
    pub epochs: f64,
    /// Whether the weights are polished.
    pub polish: bool,
    /// Passes over the rows that it may take.
    pub passes: Option<f64>,
}

/// The gap up to which a method that got no further is at the end of the precision, and others would find little more.
const FAR: f64 = 1e-6;
/// Shares of their length by which weights are made longer on trial.
const STRETCHES: [f64; 6] = [1e-14, 1e-12, 1e-10, 1e-8, 1e-6, 1e-4];
/// The gap from which weights are polished.
const FINE: f64 = 1e-8;

impl NewtonLimits {
    /// The gap to prove.
    const fn goal(&self) -> f64 {
        if self.polish { self.gap.min(FINE) } else { self.gap }
    }

    pub fn is_over(&self) -> bool {
        self.seconds.is_some_and(|seconds| self.clock.elapsed().as_secs_f64() >= seconds)
    }
}

/// The best weights and the dual variables that prove it.
pub(in crate::solver) struct NewtonResult {
    pub weight: Vec<f64>,
    pub bias: Vec<f64>,
    pub certificate: Certificate,
    pub evaluation: Evaluation,
    pub stop: StopReason,
    pub iterations: u64,
    /// Passes over the rows.
    pub passes: f64,
    /// Rows of the data set and c·a of each, `[rows, n_classes]`.
    pub rows: Vec<u32>,
    pub a: Vec<f64>,
}

impl NewtonResult {
    /// The better of this and the result of a method before it, of which nothing is lost.
    #[must_use]
    pub fn or(self, other: Option<Self>, gap: f64) -> Self {
        let Some(other) = other else { return self };
        let dual = self.certificate.dual.max(other.certificate.dual);
        let (iterations, passes) = (self.iterations + other.iterations, self.passes + other.passes);
        let (stop, is_better) = (self.stop, self.certificate.at_most() <= other.certificate.at_most());
        let best = if is_better { self } else { other };
        let certificate = best.certificate.with_bound(dual);
        let stop = if certificate.relative_gap <= gap && stop == StopReason::NoProgress {
            StopReason::GapReached
        } else {
            stop
        };
        Self { certificate, stop, iterations, passes, ..best }
    }

    /// Whether more than the end of the precision is left to a method that needs no factorisation.
    pub fn is_far(&self) -> bool {
        self.certificate.relative_gap > FAR
    }

    /// Whether this ended short of its goal, and another method may come nearer.
    pub fn may_gain_by(&self, next: Method) -> bool {
        self.stop == StopReason::NoProgress && (next != Method::Proximal || self.is_far())
    }

    pub fn fit(self, problem: &Problem<'_>, limits: NewtonLimits) -> Fit {
        Fit {
            weight: self.weight,
            bias: problem.objective.bias.has_bias().then_some(self.bias),
            steps: limits.steps + self.iterations,
            epochs: limits.epochs + self.passes,
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

/// Weights and dual variables to be proved.
pub(super) struct Candidate {
    pub weight: Vec<f64>,
    pub bias: Vec<f64>,
    /// Rows of the data set and c·a of each, `[rows, n_classes]`.
    pub rows: Vec<u32>,
    pub a: Vec<f64>,
}

/// A candidate, its objective and its bound.
struct Known {
    candidate: Candidate,
    measured: ObjectiveValue,
    dual: f64,
}

/// The steps and passes of a run so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewtonProgress {
    pub iterations: u64,
    pub passes: f64,
}

/// Of a method each of whose iterations is a pass.
#[allow(clippy::cast_precision_loss)]
pub(super) const fn progress(iterations: u64) -> NewtonProgress {
    NewtonProgress { iterations, passes: iterations as f64 }
}

/// A run as far as it has come.
pub(super) struct Record<'a> {
    problem: &'a Problem<'a>,
    objective: &'a Objective,
    pub limits: NewtonLimits,
    /// A bound that was proved before.
    before: f64,
    /// The measured gap at which a proof is worth its price.
    pub promised: f64,
    best: Option<Known>,
}

impl<'a> Record<'a> {
    /// λ is that of `objective`.
    pub fn new(problem: &'a Problem<'a>, objective: &'a Objective, limits: NewtonLimits, before: Option<f64>) -> Self {
        let before = before.unwrap_or(f64::NEG_INFINITY);
        Self { problem, objective, limits, before, promised: limits.goal(), best: None }
    }

    /// True for a measured gap that is small enough for a proof.
    pub fn is_promising(&self, now: BestBounds) -> bool {
        now.relative() <= self.promised
    }

    /// Proves a candidate of a measured gap, rounding errors counted in; whether it reaches the goal. Its weights are kept unless the best so far
    /// cost less by more than a share `slack`.
    ///
    /// # Errors
    /// [`SolveError::NotFinite`], [`SolveError::NegativeGap`]
    pub fn prove(&mut self, now: BestBounds, candidate: Candidate, slack: f64) -> Result<bool, SolveError> {
        let (problem, objective, k) = (self.problem, self.objective, self.problem.n_classes);
        let bias = objective.bias.has_bias().then_some(candidate.bias.as_slice());
        let measured = objective.measure(problem.source, problem.train, k, &candidate.weight, bias);
        if !measured.at_most.is_finite() {
            return Err(SolveError::NotFinite { objective: measured.value.to_string() });
        }
        let Candidate { rows, a, .. } = &candidate;
        let point =
            DualPoint { source: problem.source, objective, n_classes: k, rows, n_train: rows.len(), a, stride: k };
        let known = Known { dual: point.prove().dual.max(self.before), measured, candidate };
        let reached = known.certificate()?.relative_gap <= self.limits.goal();
        self.best = Some(known.or(self.best.take(), slack, self.limits.gap));
        self.promised = self.promised.min(0.3 * now.relative());
        Ok(reached)
    }

    /// Makes the best weights a little longer where that costs less: at a large C the residues that rounding leaves of margins which are met, and its bounds,
    /// may cost more than all else.
    ///
    /// # Errors
    /// As [`Record::prove`].
    fn stretch(&mut self) -> Result<(), SolveError> {
        let (problem, objective, goal) = (self.problem, self.objective, self.limits.gap);
        let Some(best) = &mut self.best else { return Ok(()) };
        if best.certificate()?.relative_gap <= goal {
            return Ok(());
        }
        let [weight, bias] = [best.candidate.weight.clone(), best.candidate.bias.clone()];
        for longer in STRETCHES {
            let times = |values: &[f64]| values.iter().map(|v| v * (1.0 + longer)).collect::<Vec<f64>>();
            let (weight, bias) = (times(&weight), times(&bias));
            let own = objective.bias.has_bias().then_some(bias.as_slice());
            let measured = objective.measure(problem.source, problem.train, problem.n_classes, &weight, own);
            if measured.at_most < best.measured.at_most {
                best.measured = measured;
                (best.candidate.weight, best.candidate.bias) = (weight, bias);
            }
        }
        Ok(())
    }

    /// The result of the best proof.
    ///
    /// # Errors
    /// As [`Record::prove`].
    ///
    /// # Panics
    /// If nothing was proved (a programming error).
    pub fn finish(
        mut self,
        stop: StopReason,
        progress: NewtonProgress,
        observer: &mut dyn Observer,
    ) -> Result<NewtonResult, SolveError> {
        if matches!(stop, StopReason::NoProgress | StopReason::GapReached) {
            self.stretch()?;
        }
        let certificate = self.best.as_ref().map(Known::certificate).transpose()?;
        let (Some(certificate), Some(Known { candidate, measured, .. })) = (certificate, self.best) else {
            unreachable!("a run ends with a proof")
        };
        let stop = match stop {
            StopReason::Interrupted => stop,
            _ if certificate.relative_gap <= self.limits.gap => StopReason::GapReached,
            _ if observer.interrupted() => StopReason::Interrupted,
            _ if self.limits.is_over() => StopReason::TimeLimit,
            _ => StopReason::NoProgress,
        };
        let entry = entry(certificate.primal, self.limits, progress);
        observer.bounds(&entry, &certificate.into(), 1.0);
        let Candidate { weight, bias, rows, a } = candidate;
        let NewtonProgress { iterations, passes } = progress;
        Ok(NewtonResult {
            weight,
            bias,
            certificate,
            evaluation: measured.evaluation,
            stop,
            iterations,
            passes,
            rows,
            a,
        })
    }

    /// Tells of a measurement.
    pub fn report(&self, observer: &mut dyn Observer, now: BestBounds, active: f64, progress: NewtonProgress) {
        let primal = self.objective.lambda * now.primal;
        let measurement = Measurement { primal, relative_gap: now.relative(), dual: None };
        observer.bounds(&entry(primal, self.limits, progress), &measurement, active);
    }
}

impl Known {
    /// The better weights and the better bound; these weights, unless the others cost less by more than a share `slack`, or these miss the gap.
    fn or(mut self, other: Option<Self>, slack: f64, gap: f64) -> Self {
        let Some(other) = other else { return self };
        if other.dual > self.dual {
            self.dual = other.dual;
            (self.candidate.rows, self.candidate.a) = (other.candidate.rows, other.candidate.a);
        }
        let misses = self.certificate().map_or(true, |certificate| certificate.relative_gap > gap);
        let slack = if misses { 0.0 } else { slack };
        if other.measured.at_most * (1.0 + slack) < self.measured.at_most {
            self.measured = other.measured;
            (self.candidate.weight, self.candidate.bias) = (other.candidate.weight, other.candidate.bias);
        }
        self
    }

    fn certificate(&self) -> Result<Certificate, SolveError> {
        Certificate::proved(self.measured.value, self.measured.at_most, self.dual)
    }
}

fn entry(loss: f64, limits: NewtonLimits, progress: NewtonProgress) -> LogEntry {
    LogEntry {
        step: limits.steps + progress.iterations,
        epoch: limits.epochs + progress.passes,
        loss: Some(loss),
        train_accuracy: None,
        validation_accuracy: None,
        seconds: limits.clock.elapsed().as_secs_f64(),
    }
}
