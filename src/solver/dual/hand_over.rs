//! Choice of the method that finishes: ascent, or one of second order, whose price can be estimated: Newton's method on the objective where the loss is
//! one for it, the interior point method, or proximal Newton where that is too expensive.
//!
//! Ascent continues as long as its gap falls so fast that the goal is nearer than the other's price. It has to have cost as much itself before it
//! is given up for the interior point method, and for the proximal one, or an interior point method of minutes, as much less as the goal is further away
//! than the price. All is counted in visits to a row, not in seconds: the same problem always takes the same method.

use super::{Ascent, Bounds, DualConfig, Finish, Problem, SolveError, cost};
use crate::objective::Objective;
use crate::solver::newton::{self, MOST_PASSES, Method, NewtonLimits, NewtonResult, Price};
use crate::solver::{Fit, Observer, StopReason};

/// Seconds that another method may take where ascent has come to its last epoch.
const LONG: f64 = 120.0;
/// The gap that the price of the proximal method is for.
const PRICED: f64 = 1e-6;
/// Epochs that ascent takes to a gap of 1e-3 where C‖x‖² is small; they grow in proportion to 1 + C‖x‖², and by as many for each further 1e-3.
const EPOCHS: f64 = 5.0;
/// Epochs after which ascent on its own may count as stuck, and the fall of its gap over half of them below which it does.
const PATIENCE: u64 = 2_000;
const STANDSTILL: f64 = 1.05;

/// State of the decision.
#[derive(Debug)]
pub(super) struct Relay {
    /// Of the methods that may finish, and the place of the one whose turn it is.
    prices: Vec<Price>,
    place: usize,
    /// Typical ‖x‖².
    square: f64,
    /// Whether it has begun, and whether it was given up.
    pub begun: bool,
    pub failed: bool,
    /// Visits and the smallest gap so far, at every measurement.
    pub trail: Vec<(u64, f64)>,
}

impl Relay {
    pub fn new(config: &DualConfig, problem: &Problem<'_>) -> Self {
        let prices = if config.finish == Finish::Auto { Price::choices(problem) } else { Vec::new() };
        let square = problem.source.typical_square(problem.train);
        Self { prices, place: 0, square, begun: false, failed: false, trail: Vec::new() }
    }

    fn price(&self) -> Option<Price> {
        self.prices.get(self.place).copied()
    }

    fn is_proximal(&self) -> bool {
        self.price().is_some_and(|price| price.method == Method::Proximal)
    }

    /// For another λ.
    pub fn clear(&mut self) {
        (self.place, self.begun, self.failed, self.trail) = (0, false, false, Vec::new());
    }
}

impl Ascent<'_, '_> {
    /// Notes a measured gap.
    pub(super) fn note_gap(&mut self, now: Bounds) {
        let smallest = self.relay.trail.last().map_or(f64::INFINITY, |&(_, gap)| gap);
        self.relay.trail.push((self.visited, now.relative().min(smallest)));
    }

    /// The gap now and at the last measurement of the first half of the run, with the visits that lie between.
    #[allow(clippy::cast_precision_loss)]
    fn fall(&self) -> Option<(f64, f64, f64)> {
        let &(visited, gap) = self.relay.trail.last()?;
        let half = self.relay.trail.partition_point(|&(at, _)| at <= visited / 2);
        let &(at, before) = self.relay.trail.get(half.checked_sub(1)?)?;
        Some((gap, before, (visited - at) as f64))
    }

    /// Whether the goal is further away than the price of the other method.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn is_dear(&self) -> bool {
        let (Some(price), Some((gap, before, visits))) = (self.relay.price(), self.fall()) else {
            return false;
        };
        let spent = self.visited as f64;
        if self.relay.failed || (!price.is_long && spent < price.visits) {
            return false;
        }
        let rate = (before / gap).ln() / visits;
        let left = (gap / self.config.gap.get().max(f64::MIN_POSITIVE)).ln();
        // The proximal method, too, takes longer to a goal beyond that of its price.
        let goal = self.config.gap.get().max(f64::MIN_POSITIVE).ln() / PRICED.ln();
        let visits = if self.relay.is_proximal() { price.visits * goal.max(1.0) } else { price.visits };
        let patience = if price.is_long { (visits / spent).max(1.0) } else { 1.0 };
        // A gap that does not fall, or is no number, never arrives.
        let arrives = left <= rate * visits * patience;
        !arrives
    }

    /// Whether the time of a method with a factorised system is negligible: then it does all of the work, and the result does not depend on
    /// the way there.
    pub(super) fn is_small(&self) -> bool {
        self.relay.price().is_some_and(|price| price.is_small)
    }

    /// Whether ascent need not begin: Newton's method on the objective costs less than the fewest epochs that it may take.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn is_done_at_once(&self) -> bool {
        if self.relay.failed {
            return false;
        }
        let n = self.state.rows.len() as f64;
        let thousandths = self.config.gap.get().max(f64::MIN_POSITIVE).ln() / 1e-3f64.ln();
        let least = EPOCHS * (1.0 + cost(self.lambda, self.problem.train.len()) * self.relay.square) * thousandths;
        let is_cheap = |price: Price| price.method == Method::Primal && price.visits <= least * n;
        self.is_small() || self.relay.price().is_some_and(is_cheap)
    }

    /// Whether the other method may finish a run whose epochs are up.
    pub(super) fn is_affordable(&self) -> bool {
        !self.relay.failed && self.relay.price().is_some_and(|price| price.seconds <= LONG)
    }

    /// Whether waiting is useless: no limit was given, the precision is the last, and the gap does not fall.
    pub(super) fn stands_still(&self) -> bool {
        let last = self.double || self.config.precision.is_some();
        let late = self.visited >= PATIENCE * self.state.rows.len() as u64;
        let falls = self.fall().is_some_and(|(gap, before, _)| before > STANDSTILL * gap);
        self.config.epochs.is_none() && last && late && !falls
    }

    /// Lets the other method finish.
    ///
    /// # Errors
    /// As [`newton::solve`].
    pub(super) fn hand_over(&mut self, observer: &mut dyn Observer) -> Result<Fit, SolveError> {
        self.relay.begun = true;
        let objective = Objective { lambda: self.lambda, ..self.problem.objective.clone() };
        let mut best: Option<NewtonResult> = None;
        let (finished, limits) = loop {
            let limits = NewtonLimits {
                gap: self.config.gap.get(),
                seconds: self.config.seconds.map(|s| s.get()),
                clock: self.clock,
                steps: self.sweeps,
                epochs: self.epochs(),
                polish: self.is_small(),
                passes: (self.relay.is_proximal() && (best.is_some() || !newton::is_steady(self.problem)))
                    .then_some(MOST_PASSES),
            };
            let method = self.relay.price().map_or(Method::Proximal, |price| price.method);
            let found = newton::finish(method, self.problem, &objective, limits, Some(self.bound), observer)?;
            if found.stop == StopReason::Interrupted {
                observer.snapshot(self.snapshot()?);
            }
            self.bound = self.bound.max(found.certificate.dual);
            let found = found.or(best.take(), limits.gap);
            match self.relay.prices.get(self.relay.place + 1) {
                Some(next) if found.may_gain_by(next.method) => self.relay.place += 1,
                _ => break (found, limits),
            }
            best = Some(found);
        };
        if finished.stop == StopReason::NoProgress && (self.relay.is_proximal() || finished.is_far()) {
            // Ascent continues from its own variables.
            (self.relay.begun, self.relay.failed) = (false, true);
            let own = self.run(observer)?;
            let Some(certificate) = own.certificate else { return Ok(own) };
            if certificate.at_most() <= finished.certificate.at_most() {
                return Ok(own);
            }
            let other = finished.fit(self.problem, limits);
            return Ok(Fit { steps: own.steps, epochs: own.epochs, stop: own.stop, solve: own.solve, ..other });
        }
        let interrupted = finished.stop == StopReason::Interrupted;
        // The points of ascent are proved in any case where there is time.
        let is_better = self.best.as_ref().is_some_and(|best| self.lambda * best.primal < finished.certificate.primal);
        if finished.stop != StopReason::GapReached && (is_better || !interrupted) {
            let (found, certificate) = self.prove_anyway(!interrupted)?;
            if certificate.at_most() < finished.certificate.at_most() {
                let reached = certificate.relative_gap <= limits.gap && finished.stop != StopReason::Interrupted;
                let stop = if reached { StopReason::GapReached } else { finished.stop };
                return Ok(self.hand_out(observer, found, certificate, stop));
            }
        }
        self.take_over(&finished.rows, &finished.a, &finished.bias);
        Ok(finished.fit(self.problem, limits))
    }

    /// Goes on from dual variables `[rows, n_classes]`, once the weights are rebuilt.
    fn take_over(&mut self, rows: &[u32], a: &[f64], bias: &[f64]) {
        let (k, stride) = (self.state.n_classes, self.state.stride);
        let sorted = |rows: &[u32]| {
            let mut order: Vec<usize> = (0..rows.len()).collect();
            order.sort_by_key(|&i| rows[i]);
            order
        };
        for (to, from) in sorted(&self.state.rows).into_iter().zip(sorted(rows)) {
            self.state.a[to * stride..to * stride + k].copy_from_slice(&a[from * k..(from + 1) * k]);
        }
        if self.is_free() {
            self.state.offset.copy_from_slice(bias);
        }
    }
}
