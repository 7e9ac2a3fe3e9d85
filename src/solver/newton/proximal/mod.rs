//! The proximal semismooth Newton method: the optimum by products of the rows with weights alone, on any device.
//!
//! ```text
//! given:   dual variables b_i, γ > 0 (0 where the penalty of the loss is curved); a_i(W) = argmax over a in A_i of a·G_i(W) − pen(a) − (γ/2)‖a − b_i‖²
//! repeat:  W ← argmin ½‖W‖² + Σ_i max of a_i       Newton's method: (I + AᵀJA) p = W(a) − W by conjugate gradients over the rows where J ≠ 0
//!          b ← a(W), γ falls
//! until:   P at W or W(a), the better so far, and D(a) are proved to lie within `gap`
//! ```
//!
//! It is the method of multipliers on the dual, its inner problem solved by a semismooth Newton method. An inner problem is solved until
//! `½‖W − W(a)‖²`, which is what its error adds to the gap, is less than what the outer step itself leaves. A free bias has a proximal term
//! of its own, `(1/2B²)‖b − b_last‖²`: a constant feature of value B and an offset. References: R. T. Rockafellar, Math. Oper. Res. 1, 1976; X. Li, D. Sun
//! and K.-C. Toh, *A highly efficient semismooth Newton augmented Lagrangian method for solving Lasso problems*, SIAM J. Optim. 28, 2018. Derived in
//! `docs/math.md`.

mod blocks;
mod device;
mod engine;
mod host;
mod products;

use super::iterate::BestBounds;
use super::record::{Candidate, NewtonLimits, NewtonProgress, NewtonResult, Record};
use crate::device::Backend;
use crate::model::BiasRule;
use crate::objective::Objective;
use crate::solver::dual::free;
use crate::solver::stop::StopReason;
use crate::solver::{Observer, Problem, SolveError};
use device::DeviceEngine;
use engine::{ProximalEngine, direction};
use host::HostEngine;

/// The gap below which products in single precision may not do.
const FINE: f64 = 1e-5;
/// The factor by which γ falls from one inner problem to the next, and grows after one that was too hard.
const FALL: f64 = 3.0;
/// The share of the curvature of the penalty below which γ is as good as 0.
const NONE: f64 = 0.1;
/// The share of the squares of the rows from which the penalty is curved enough without γ.
const CURVED: f64 = 0.1;
/// Roundings of G that take a variable from one bound to the other at the smallest γ; it moves by G/γ.
const DIGITS: f64 = 1e3;
/// An inner problem is solved where its error adds less than this share of the error of the outer step, or this share of the goal.
const ERROR: f64 = 0.2;
const ERROR_OF_GOAL: f64 = 0.25;
/// Steps of an inner problem, products of a step, and the residual that they aim at, relative to the first.
const MOST_STEPS: u32 = 40;
const MOST_PRODUCTS: u64 = 500;
const TOLERANCE: f64 = 0.3;
/// Outer steps in which the gap does not come down by a tenth, after which the precision is exhausted.
const STUCK: u32 = 20;

/// Whether it need not be given up for the number of its passes: blocks of classes keep its systems easy.
pub(in crate::solver) fn is_steady(problem: &Problem<'_>) -> bool {
    let (features, bias) = (problem.source.features, problem.objective.bias);
    let width = features.n_features() + usize::from(bias.has_bias());
    blocks::price(features, width, problem.n_classes).is_some()
}

/// Runs from zero until the gap is proved; λ is that of `objective`. `before` is a bound that was proved before.
///
/// # Errors
/// As [`super::solve`].
pub(in crate::solver) fn finish(
    problem: &Problem<'_>,
    objective: &Objective,
    limits: NewtonLimits,
    before: Option<f64>,
    observer: &mut dyn Observer,
) -> Result<NewtonResult, SolveError> {
    let start = Start::of(problem, objective);
    let record = Record::new(problem, objective, limits, before);
    if problem.device.name.backend == Backend::Flex {
        let engine = HostEngine::new(problem, objective.lambda, start.constant, limits.gap >= FINE);
        return ProximalRun::new(engine, problem, start, record).run(observer);
    }
    let engine = DeviceEngine::open(problem, objective.lambda, start.constant, limits.gap < FINE)?;
    ProximalRun::new(engine, problem, start, record).run(observer)
}

/// The first γ and the constant of the bias.
#[derive(Debug, Clone, Copy)]
struct Start {
    gamma: f64,
    constant: f64,
    /// The margin divided by the largest c: a γ that moves variables from one bound to the other.
    width: f64,
    /// The curvature of the penalty at the largest c.
    curvature: f64,
}

impl Start {
    #[allow(clippy::cast_precision_loss)]
    fn of(problem: &Problem<'_>, objective: &Objective) -> Self {
        let c = 1.0 / (objective.lambda * problem.train.len() as f64);
        let weights = problem.train.iter().map(|&row| problem.row_weight(row));
        let (largest, sum) = weights.fold((0.0f64, 0.0), |(largest, sum), w| (largest.max(w), sum + w));
        let square = problem.source.typical_square(problem.train).max(f64::MIN_POSITIVE);
        let margin = objective.loss.margins.largest();
        let sane = |value: f64| if value.is_finite() { value.clamp(1e-100, 1e100) } else { 1.0 };
        let width = sane(margin / (c * largest));
        let curvature = objective.loss.set.curvature(c * largest);
        let is_easy = curvature > 0.0 && curvature >= CURVED * square;
        let gamma = if is_easy { 0.0 } else { sane(square + 2.0 * width) };
        let constant = match objective.bias {
            BiasRule::Regularised { scale } => scale,
            BiasRule::Free => sane((square / 4.0).max(margin / (c * sum))).sqrt(),
            BiasRule::None => 0.0,
        };
        Self { gamma, constant, width, curvature }
    }
}

/// The run with its variables.
struct ProximalRun<'a, E: ProximalEngine> {
    engine: E,
    problem: &'a Problem<'a>,
    record: Record<'a>,
    /// γ and its bounds; at the least it is 0 where the penalty is curved.
    gamma: f64,
    is_curved: bool,
    gammas: (f64, f64),
    constant: f64,
    weights: E::Vector,
    best: BestBounds,
    best_weights: (E::Vector, Vec<f64>),
    steps: u64,
}

/// The end of an inner problem.
enum InnerEnd {
    Solved,
    TooHard,
    Stop(StopReason),
}

impl<'a, E: ProximalEngine> ProximalRun<'a, E> {
    fn new(engine: E, problem: &'a Problem<'a>, start: Start, record: Record<'a>) -> Self {
        let weights = engine.zeros();
        let best = BestBounds { primal: f64::INFINITY, dual: f64::NEG_INFINITY };
        let Start { gamma, constant, width, curvature } = start;
        let least = if curvature > 0.0 { NONE * curvature } else { DIGITS * engine.rounding() * width };
        let gammas = (least.min(gamma), gamma);
        let best_weights = (weights.clone(), vec![0.0; problem.n_classes]);
        Self {
            engine,
            problem,
            record,
            gamma,
            gammas,
            constant,
            weights,
            best,
            best_weights,
            is_curved: curvature > 0.0,
            steps: 0,
        }
    }

    fn run(mut self, observer: &mut dyn Observer) -> Result<NewtonResult, SolveError> {
        observer.start(0);
        let (mut least, mut stuck) = (f64::INFINITY, 0);
        let stop = loop {
            let factor = match self.inner(observer)? {
                InnerEnd::Stop(stop) => break stop,
                InnerEnd::Solved => 1.0 / FALL,
                InnerEnd::TooHard => FALL,
            };
            // Bounds of which both come nearer, but one of which is below 0, leave their relative gap where it is.
            let gap = self.best.primal - self.best.dual;
            (stuck, least) = if gap < 0.9 * least { (0, gap) } else { (stuck + 1, least) };
            if stuck > STUCK {
                let reached = self.prove()?;
                break if reached { StopReason::GapReached } else { StopReason::NoProgress };
            }
            self.advance(factor)?;
        };
        let progress = self.progress();
        self.record.finish(stop, progress, observer)
    }

    fn progress(&self) -> NewtonProgress {
        NewtonProgress { iterations: self.steps, passes: self.engine.passes() }
    }

    /// Newton's method until the inner problem is solved, or all of them.
    fn inner(&mut self, observer: &mut dyn Observer) -> Result<InnerEnd, SolveError> {
        for step in 0.. {
            let (sums, of_variables) = self.engine.respond(self.gamma)?;
            let gradient = self.engine.combine(&of_variables, -1.0, &self.weights);
            let residual = self.engine.dot(&gradient, &gradient)? / 2.0;
            let primal = self.half_square(&self.weights)? + sums.loss;
            let gap = sums.excess + self.half_square(&gradient)? + self.imbalance(&of_variables)?;
            if !primal.is_finite() || !gap.is_finite() {
                return Err(SolveError::NotFinite { objective: primal.to_string() });
            }
            self.note(primal, primal - gap)?;
            let error = sums.distance.max(sums.excess) * ERROR;
            let is_solved = residual <= error.max(ERROR_OF_GOAL * self.record.promised * primal);
            let is_last = is_solved || step >= MOST_STEPS;
            if is_last && self.problem.objective.bias != BiasRule::Free {
                let primal = self.half_square(&of_variables)? + self.engine.loss(&of_variables)?;
                self.note_weights(primal, &of_variables)?;
            }
            if let Some(stop) = self.look(observer)? {
                return Ok(InnerEnd::Stop(stop));
            }
            if is_last {
                return Ok(if is_solved { InnerEnd::Solved } else { InnerEnd::TooHard });
            }
            self.newton(&gradient, observer)?;
        }
        unreachable!("steps are counted")
    }

    /// Records a measurement.
    fn note(&mut self, primal: f64, dual: f64) -> Result<(), SolveError> {
        if dual > self.best.dual {
            self.best.dual = dual;
            self.engine.keep();
        }
        self.note_weights(primal, &self.weights.clone())
    }

    fn note_weights(&mut self, primal: f64, weights: &E::Vector) -> Result<(), SolveError> {
        if primal < self.best.primal {
            self.best.primal = primal;
            self.best_weights = (weights.clone(), self.engine.bias(weights)?);
        }
        Ok(())
    }

    /// Tells of the best so far, and proves it where it promises the goal or the run is over.
    fn look(&mut self, observer: &mut dyn Observer) -> Result<Option<StopReason>, SolveError> {
        self.record.report(observer, self.best, self.engine.active(), self.progress());
        let end = match () {
            () if observer.interrupted() => Some(StopReason::Interrupted),
            () if self.record.limits.is_over() => Some(StopReason::TimeLimit),
            () if self.record.limits.passes.is_some_and(|most| self.engine.passes() >= most) => {
                Some(StopReason::NoProgress)
            }
            () => None,
        };
        if self.record.is_promising(self.best) || end.is_some() {
            let reached = self.prove()?;
            if reached && end != Some(StopReason::Interrupted) {
                return Ok(Some(StopReason::GapReached));
            }
        }
        Ok(end)
    }

    /// A Newton step of the inner problem.
    fn newton(&mut self, gradient: &E::Vector, observer: &mut dyn Observer) -> Result<(), SolveError> {
        self.engine.prepare()?;
        let limits = self.record.limits;
        let is_over = || limits.is_over() || observer.interrupted();
        let found = direction(&mut self.engine, gradient, TOLERANCE, MOST_PRODUCTS, &is_over)?;
        if found.products == 0 || observer.interrupted() {
            return Ok(());
        }
        self.engine.aim(&found.vector)?;
        let length = self.length(&found.vector, found.slope)?;
        self.weights = self.engine.combine(&found.vector, length, &self.weights);
        self.engine.step(length);
        self.steps += 1;
        observer.step(self.record.limits.steps + self.steps);
        Ok(())
    }

    /// The length at which the inner problem is about at its least along a direction: its slope rises piece by piece.
    fn length(&mut self, direction: &E::Vector, slope: f64) -> Result<f64, SolveError> {
        const FLAT: f64 = 0.1;
        let (along, square) = (self.engine.dot(&self.weights, direction)?, self.engine.dot(direction, direction)?);
        let (mut low, mut at_low) = (0.0, slope);
        let (mut high, mut at_high) = (f64::INFINITY, f64::NAN);
        let mut length = 1.0;
        for _ in 0..12 {
            let now = along + length * square + self.engine.slope(length)?;
            if now.abs() <= FLAT * slope.abs() {
                return Ok(length);
            }
            if now < 0.0 {
                (low, at_low) = (length, now);
            } else {
                (high, at_high) = (length, now);
            }
            length = if high.is_finite() {
                let secant = low - at_low * (high - low) / (at_high - at_low);
                secant.clamp(low + 0.1 * (high - low), high - 0.1 * (high - low))
            } else {
                2.0 * length
            };
        }
        // A convex function is less there than at 0.
        Ok(if low > 0.0 { low } else { length })
    }

    /// The next outer step, with γ changed by a factor.
    fn advance(&mut self, factor: f64) -> Result<(), SolveError> {
        self.engine.recentre();
        self.gamma = (self.gamma * factor).clamp(self.gammas.0, self.gammas.1);
        if self.is_curved && self.gamma == self.gammas.0 {
            self.gamma = 0.0;
        }
        if self.problem.objective.bias == BiasRule::Free {
            self.constant /= factor.sqrt();
            self.engine.absorb(&mut self.weights, self.constant)?;
        }
        self.engine.score(&self.weights)
    }

    /// The share of the bound that is lost once the variables of each class cancel.
    fn imbalance(&self, of_variables: &E::Vector) -> Result<f64, SolveError> {
        if self.problem.objective.bias != BiasRule::Free {
            return Ok(0.0);
        }
        let all = self.engine.host(of_variables)?;
        let features = self.problem.source.features.n_features() * self.problem.n_classes;
        let flow = all[features..].iter().map(|u| u.abs()).sum::<f64>() / self.constant;
        Ok(self.problem.objective.loss.margins.largest() * flow)
    }

    /// ½ of the squares that are regularised.
    fn half_square(&self, vector: &E::Vector) -> Result<f64, SolveError> {
        let square = self.engine.dot(vector, vector)?;
        if self.problem.objective.bias != BiasRule::Free {
            return Ok(square / 2.0);
        }
        let all = self.engine.host(vector)?;
        let features = self.problem.source.features.n_features() * self.problem.n_classes;
        Ok((square - all[features..].iter().map(|u| u * u).sum::<f64>()) / 2.0)
    }

    /// Proves the best weights and variables; whether they reach the goal.
    fn prove(&mut self) -> Result<bool, SolveError> {
        let problem = self.problem;
        let (d, k) = (problem.source.features.n_features(), problem.n_classes);
        let mut weight = self.engine.host(&self.best_weights.0)?;
        weight.truncate(d * k);
        let mut bias = self.best_weights.1.clone();
        let mut a = self.engine.kept()?;
        if problem.objective.bias == BiasRule::Free {
            balance(problem, &mut a);
            if problem.objective.loss.margins.differences() {
                free::centre(&mut bias);
            }
        }
        self.record.prove(self.best, Candidate { weight, bias, rows: problem.train.to_vec(), a }, 0.0)
    }
}

/// Shrinks dual variables until those of each class cancel.
fn balance(problem: &Problem<'_>, a: &mut [f64]) {
    let (k, loss) = (problem.n_classes, &problem.objective.loss);
    let label = |row: u32| problem.source.labels[row as usize] as usize;
    let mut flows = vec![0.0; k * k];
    for (&row, a) in problem.train.iter().zip(a.chunks_exact(k)) {
        flows[label(row) * k..(label(row) + 1) * k].iter_mut().zip(a).for_each(|(f, a)| *f += a);
    }
    let factors = free::factors(&flows, k, loss.margins.differences());
    for (&row, a) in problem.train.iter().zip(a.chunks_exact_mut(k)) {
        let factors = &factors[label(row) * k..(label(row) + 1) * k];
        a.iter_mut().zip(factors).for_each(|(a, f)| *a *= f);
    }
}
