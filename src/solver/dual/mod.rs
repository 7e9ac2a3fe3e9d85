//! The exact solver: block dual coordinate ascent that stops when it has proved that it is done.
//!
//! ```text
//! given:   rows x_i, labels y_i, c_i = weight_i/(λn), a loss ℓ
//! minimise ½‖W‖² + Σ c_i·ℓ_i(W)      (the objective divided by λ; a regularised bias is a constant feature of value B)
//! through  its dual: one block a_i a sample, W(a) = Σ x_i β_i(a_i)ᵀ
//! repeat:  for every sample that is due, in random order, put a_i to the exact maximiser of its block     (loss/dual.rs)
//! until:   primal − dual = Σ_i [c_i·ℓ_i − a_i·G_i + penalty(a_i)]  ≤  gap·primal
//! ```
//!
//! Every summand of the gap is at least 0, so that nothing cancels; a sample whose summand is as good as nothing sleeps for an
//! epoch, then for three, up to 63, unless a measurement of all rows wakes it. The weights of the smallest primal that was measured are
//! handed out with a certificate of their own (`verify`), in f64 whatever the precision of the passes. `sweep` holds the passes,
//! `narrow`, `dense`, `sparse` and `device` how rows are multiplied.
//! Derived in `docs/math.md`.

pub mod certificate;
mod config;
pub(super) mod dense;
mod device;
pub(super) mod free;
mod hand_over;
mod mean;
mod narrow;
mod parallel;
mod resume;
mod sparse;
pub(super) mod state;
pub(super) mod storage;
pub(super) mod sweep;
mod team;
mod verify;
mod walk;

use super::checkpoint::Clock;
use super::stop::StopReason;
use super::{Certificate, Fit, LogEntry, Measurement, Observer, Problem, SolveError, UsedColumns};
use crate::data::streams;
use crate::loss::dual::Scratch;
use crate::model::BiasRule;
pub use config::{DualConfig, Finish, Precision};
use free::Multipliers;
use hand_over::Relay;
use mean::Mean;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use state::{Bounds, DualState, cost};
use std::thread::Scope;
use std::time::Duration;
use storage::rows;
use sweep::RowStorage;
use verify::MeasuredWeights;

/// Below this relative gap single-precision passes cannot certify; double precision takes over.
const SINGLE_PRECISION_GAP: f64 = 3e-6;
/// Passes over the rows up to which a measurement is a large part of a run.
const SHORT: u64 = 20;
/// Single precision is given up, too, when this many measurements in a row bring the gap down by less than a twentieth.
const STUCK: u32 = 4;

/// Runs the solver; see the module's documentation.
///
/// # Errors
/// [`SolveError`] when the device fails, there is no regulariser, or the gap comes out negative.
pub fn solve(config: &DualConfig, problem: &Problem<'_>, observer: &mut dyn Observer) -> Result<Fit, SolveError> {
    std::thread::scope(|scope| {
        let mut ascent = Ascent::new(config, problem, scope)?;
        if let Some(snapshot) = observer.resume() {
            ascent.restore(snapshot)?;
        }
        ascent.run(observer)
    })
}

/// Solves for several λ, one after another; `each` is given the position in `lambdas` and its result. A resumed run
/// begins at the λ that was being solved.
///
/// # Errors
/// As [`solve`], or the error of `each`.
pub fn solve_path<E: From<SolveError>>(
    config: &DualConfig,
    problem: &Problem<'_>,
    lambdas: &[f64],
    observer: &mut dyn Observer,
    each: &mut dyn FnMut(usize, Fit) -> Result<(), E>,
) -> Result<(), E> {
    if let Some(columns) = UsedColumns::of(problem) {
        let mut widened = |at: usize, fit: Fit| each(at, columns.widen(fit, problem.n_classes));
        return solve_path(config, &columns.problem(problem), lambdas, observer, &mut widened);
    }
    std::thread::scope(|scope| {
        let mut ascent = Ascent::new(config, problem, scope)?;
        let resumed = observer.resume().map(|snapshot| ascent.restore(snapshot)).transpose()?;
        if let Some(place) = resumed.filter(|&place| place >= lambdas.len()) {
            return Err(SolveError::Snapshot(format!("it is at place {place} of a path of {}", lambdas.len())).into());
        }
        for (i, &lambda) in lambdas.iter().enumerate().skip(resumed.unwrap_or(0)) {
            if resumed != Some(i) {
                ascent.move_to(lambda, config.warm_start && i > 0)?;
                ascent.place = i;
            }
            observer.stage(&format!("C {:e}", cost(lambda, problem.train.len())));
            let fit = ascent.run(observer)?;
            let interrupted = fit.stop == StopReason::Interrupted;
            each(i, fit)?;
            if interrupted {
                break;
            }
        }
        Ok(())
    })
}

/// The weights and the bias of the smallest primal that was measured.
struct BestWeights {
    primal: f64,
    weight: Vec<f64>,
    bias: Vec<f64>,
}

/// When the next measurement of all rows is due.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Rows visited at the next measurement at the earliest, and at the last one.
    next: u64,
    measured: u64,
    /// The gap of a measurement, compared with the smallest gap before it.
    optimism: f64,
}

impl Pace {
    const START: Self = Self { next: 0, measured: 0, optimism: 0.5 };
}

/// The solver with its variables: it can run, be moved to another λ, and run again.
struct Ascent<'scope, 'env> {
    config: &'env DualConfig,
    problem: &'env Problem<'env>,
    scope: &'scope Scope<'scope, 'env>,
    lambda: f64,
    state: DualState<'env>,
    rows: Box<dyn RowStorage + 'scope>,
    double: bool,
    rng: ChaCha8Rng,
    scratch: Scratch,
    best: Option<BestWeights>,
    clock: Clock,
    /// Of λ on a path.
    place: usize,
    pace: Pace,
    /// Sweeps over the rows that were due, and the rows visited in them.
    sweeps: u64,
    visited: u64,
    /// The smallest gap measured, and for how many measurements it has hardly changed.
    smallest: f64,
    stuck: u32,
    /// The best bound that was proved at this λ.
    bound: f64,
    /// The measured gap at which a proof is tried.
    goal: f64,
    /// Of a free bias.
    multipliers: Multipliers,
    /// The mean of W over the sweeps, and the visits until the next W enters it, if one is kept.
    mean: Mean,
    mean_after: Option<u64>,
    relay: Relay,
}

impl<'scope, 'env> Ascent<'scope, 'env> {
    /// All dual variables zero.
    ///
    /// # Errors
    /// [`SolveError::NoRegulariser`] where λ = 0.
    fn new(
        config: &'env DualConfig,
        problem: &'env Problem<'env>,
        scope: &'scope Scope<'scope, 'env>,
    ) -> Result<Self, SolveError> {
        let clock = Clock::after(Duration::ZERO);
        let lambda = problem.objective.lambda;
        if lambda <= 0.0 {
            return Err(SolveError::NoRegulariser);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(problem.seed);
        rng.set_stream(streams::SAMPLING);
        let double = config.precision == Some(Precision::F64);
        let rows = rows(problem, double, scope);
        let c = cost(lambda, problem.train.len());
        let mut state = match rows.is_shared_out() {
            true => DualState::dealt(problem, c),
            false => DualState::new(problem, problem.train.to_vec(), c),
        };
        state.bias_scale = match problem.objective.bias {
            BiasRule::Regularised { scale } => scale,
            BiasRule::None | BiasRule::Free => 0.0,
        };
        let mut ascent = Self {
            config,
            problem,
            scope,
            lambda,
            state,
            rows,
            double,
            rng,
            scratch: Scratch::new(problem.n_classes),
            best: None,
            clock,
            place: 0,
            pace: Pace::START,
            sweeps: 0,
            visited: 0,
            smallest: f64::INFINITY,
            stuck: 0,
            bound: 0.0,
            goal: config.gap.get(),
            multipliers: Multipliers::default(),
            mean: Mean::default(),
            mean_after: mean::interval(problem),
            relay: Relay::new(config, problem),
        };
        ascent.set_penalty();
        Ok(ascent)
    }

    /// Goes over to another λ: with `warm`, from the dual variables as they are, scaled by C'/C, which keeps them feasible;
    /// otherwise from zero.
    ///
    /// # Errors
    /// [`SolveError`] when the device fails.
    fn move_to(&mut self, lambda: f64, warm: bool) -> Result<(), SolveError> {
        self.clock = Clock::after(Duration::ZERO);
        self.pace = Pace::START;
        self.state.rescale(self.lambda / lambda, warm);
        self.lambda = lambda;
        self.set_penalty();
        (self.best, self.sweeps, self.visited) = (None, 0, 0);
        (self.smallest, self.stuck) = (f64::INFINITY, 0);
        (self.bound, self.goal) = (0.0, self.config.gap.get());
        self.relay.clear();
        self.mean.clear();
        sweep::rebuild(&mut *self.rows, &mut self.state)
    }

    /// Of a free bias, which depends on λ.
    fn set_penalty(&mut self) {
        if self.is_free() {
            self.multipliers = Multipliers::new(self.problem, &mut self.state);
        }
    }

    /// Runs until the gap is proved or a limit is met.
    ///
    /// # Errors
    /// [`SolveError`] when the device fails or the numbers leave their range.
    #[allow(clippy::cast_precision_loss)]
    fn run(&mut self, observer: &mut dyn Observer) -> Result<Fit, SolveError> {
        let n = self.state.rows.len() as u64;
        let epochs = self.config.epochs.map_or(u64::MAX, |epochs| epochs.get() as u64);
        let limit = epochs.saturating_mul(n);
        observer.start(self.config.epochs.map_or(0, |_| epochs));
        if self.relay.begun || self.is_done_at_once() {
            return self.hand_over(observer);
        }
        loop {
            let interrupted = observer.interrupted();
            if interrupted || observer.wants_snapshot() {
                observer.snapshot(self.snapshot()?);
            }
            if interrupted {
                if self.is_free() {
                    // Whose variables bound nothing before they are balanced.
                    self.measure(None)?;
                }
                return self.finish(observer, StopReason::Interrupted);
            }
            self.visited += sweep::epoch(&mut *self.rows, &mut self.state, &mut self.scratch, &mut self.rng)? as u64;
            self.sweeps += 1;
            self.average()?;
            observer.step(self.visited / n);
            let estimate = self.estimate()?;
            self.state.settle_at(self.goal, estimate.primal);
            let time_up = self.config.seconds.is_some_and(|s| self.clock.elapsed().as_secs_f64() >= s.get());
            let last = self.visited >= limit || time_up;
            if self.needs_double(estimate) {
                self.widen()?;
            }
            // A measurement costs about half a pass: one where what was met promises success, no sooner than after a pass and a
            // twentieth of the run, and one every five passes to show and to wake rows.
            let pace = self.pace;
            let promising = estimate.relative() * pace.optimism <= self.goal && self.visited >= pace.next;
            if !(promising || last || self.visited >= pace.measured + 5 * n) {
                self.correct_bias();
                continue;
            }
            // In a short run a measurement before the proof is a large part of the time.
            let at_once = promising && !last && self.visited < SHORT * n && !self.is_free();
            if at_once && let Some((found, certificate)) = self.verify_at_once()? {
                return Ok(self.hand_out(observer, found, certificate, StopReason::GapReached));
            }
            if last {
                sweep::rebuild(&mut *self.rows, &mut self.state)?;
            }
            let now = self.measure(Some(estimate))?;
            self.pace = Pace {
                next: self.visited + n.max(self.visited / 20),
                measured: self.visited,
                optimism: (now.relative() / estimate.relative()).clamp(0.1, 1.0),
            };
            self.note_gap(now);
            let far = now.relative() > self.config.gap.get();
            if far && !time_up && (self.is_dear() || (last && self.is_affordable())) {
                return self.hand_over(observer);
            }
            let still = !last && self.stands_still();
            if last || still {
                let limit = if still { StopReason::NoProgress } else { StopReason::EpochLimit };
                return self.finish(observer, if time_up { StopReason::TimeLimit } else { limit });
            }
            if now.relative() <= self.goal
                && let Some((found, certificate)) = self.verify(now)?
            {
                return Ok(self.hand_out(observer, found, certificate, StopReason::GapReached));
            }
            self.report(observer, self.measurement(now));
        }
    }

    /// Estimate of the bounds from the last visit to each row.
    fn estimate(&mut self) -> Result<Bounds, SolveError> {
        let mut estimate = self.state.estimate();
        estimate.primal += self.half_square()?;
        Ok(estimate)
    }

    /// ½‖W‖², with the bias where that is regularised.
    fn half_square(&mut self) -> Result<f64, SolveError> {
        let constant = if self.is_free() { 0.0 } else { self.state.constant_half_square() };
        Ok(self.rows.square_of_weights()? / 2.0 + constant)
    }

    fn is_free(&self) -> bool {
        self.problem.objective.bias == BiasRule::Free
    }

    /// The outer step of a free bias: the multipliers of its constraints are updated by the residual of the penalty.
    fn correct_bias(&mut self) {
        if self.is_free() {
            self.multipliers.step(&mut self.state);
        }
    }

    /// The smallest primal so far against the dual at W(a). With an estimate of the primal at W(a) it is found out now and then whether
    /// the mean is the better point.
    fn measure(&mut self, estimate: Option<Bounds>) -> Result<Bounds, SolveError> {
        if self.is_free() {
            self.multipliers.step(&mut self.state);
            free::balance(&mut self.state);
            sweep::rebuild(&mut *self.rows, &mut self.state)?;
        }
        let now = self.measure_points(estimate)?;
        if now.gap > 0.95 * self.smallest {
            self.stuck += 1;
        } else {
            (self.smallest, self.stuck) = (now.gap, 0);
        }
        let dual = now.primal - now.gap;
        let primal = self.best.as_ref().map_or(now.primal, |best| best.primal);
        Ok(Bounds { primal, gap: primal - dual })
    }

    fn needs_double(&self, estimate: Bounds) -> bool {
        let near = self.config.gap.get() < SINGLE_PRECISION_GAP && estimate.relative() <= 3.0 * SINGLE_PRECISION_GAP;
        !self.double && self.config.precision.is_none() && (near || self.stuck >= STUCK)
    }

    fn widen(&mut self) -> Result<(), SolveError> {
        self.double = true;
        let held = self.rows.held_len();
        self.rows = rows(self.problem, true, self.scope);
        (self.smallest, self.stuck) = (f64::INFINITY, 0);
        // The smallest primal in single precision need not be the smallest.
        self.best = None;
        if self.rows.held_len() != held {
            // Another representation: the sums of the mean do not belong to it.
            self.mean.clear();
        }
        sweep::rebuild(&mut *self.rows, &mut self.state)
    }

    #[allow(clippy::cast_precision_loss)]
    fn epochs(&self) -> f64 {
        self.visited as f64 / self.state.rows.len() as f64
    }

    fn measurement(&self, bounds: Bounds) -> Measurement {
        Measurement { primal: self.lambda * bounds.primal, relative_gap: bounds.relative(), dual: None }
    }

    fn report(&self, observer: &mut dyn Observer, measurement: Measurement) {
        let entry = LogEntry {
            step: self.sweeps,
            epoch: self.epochs(),
            loss: Some(measurement.primal),
            train_accuracy: None,
            validation_accuracy: None,
            seconds: self.clock.elapsed().as_secs_f64(),
        };
        observer.bounds(&entry, &measurement, self.state.active());
    }

    /// Ends with the best proof, which may reach the goal all the same.
    fn finish(&mut self, observer: &mut dyn Observer, stop: StopReason) -> Result<Fit, SolveError> {
        let (found, certificate) = self.prove_anyway(stop != StopReason::Interrupted)?;
        let reached = certificate.relative_gap <= self.config.gap.get() && stop != StopReason::Interrupted;
        Ok(self.hand_out(observer, found, certificate, if reached { StopReason::GapReached } else { stop }))
    }

    fn hand_out(
        &mut self,
        observer: &mut dyn Observer,
        found: MeasuredWeights,
        certificate: Certificate,
        stop: StopReason,
    ) -> Fit {
        self.report(observer, certificate.into());
        let MeasuredWeights { weight, bias, measured } = found;
        Fit {
            weight,
            bias: self.problem.objective.bias.has_bias().then_some(bias),
            steps: self.sweeps,
            epochs: self.epochs(),
            stop,
            solve: self.clock.elapsed(),
            evaluate: Duration::ZERO,
            gradient: None,
            certificate: Some(certificate),
            evaluation: Some(measured.evaluation),
            best_step: None,
        }
    }

    /// The bias of a difference loss is free up to a constant: its mean is put to 0.
    fn centre(&self, bias: &mut [f64]) {
        if self.is_free() && self.state.loss.margins.differences() {
            free::centre(bias);
        }
    }
}
