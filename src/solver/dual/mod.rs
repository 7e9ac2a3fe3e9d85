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
//! epoch, then for three, up to 63, unless a measurement of all rows wakes it. The smallest primal that was measured and
//! the newest dual make the certificate. `sweep` holds the passes, `narrow`, `dense`, `sparse` and `device` how rows are
//! multiplied.
//! Derived in `docs/math.md`.

pub mod certificate;
mod config;
mod dense;
mod device;
mod free;
mod mean;
mod narrow;
mod resume;
mod sparse;
mod state;
mod sweep;
mod team;
mod walk;

use super::checkpoint::Clock;
use super::stop::StopReason;
use super::{Certificate, Fit, LogEntry, Observer, Problem, SolveError};
use crate::data::{Features, streams};
use crate::loss::Formulation;
use crate::loss::dual::Scratch;
use crate::model::BiasRule;
pub use config::{DualConfig, Precision};
use free::Multipliers;
use mean::Mean;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sparse::{Bytes, Cells, Copied, Floats, Kind};
use state::{Bounds, State};
use std::borrow::Cow;
use std::thread::Scope;
use std::time::Duration;
use sweep::Rows;

/// Below this relative gap single-precision passes cannot certify; double precision takes over.
const SINGLE_PRECISION_GAP: f64 = 3e-6;
/// Single precision is given up, too, when this many measurements in a row bring the gap down by less than a twentieth.
const STUCK: u32 = 4;
/// Passes over the rows up to which a measurement is a large part of a run.
const SHORT: u64 = 20;
/// A gap below minus this share of the primal is no rounding, but a bug.
const NEGATIVE_GAP: f64 = 1e-6;

impl Bounds {
    /// The same for the objective itself, which is λ times this.
    fn certificate(self, lambda: f64) -> Certificate {
        Certificate {
            primal: lambda * self.primal,
            dual: lambda * (self.primal - self.gap),
            relative_gap: self.relative(),
        }
    }
}

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

/// Solves for several λ, one after another; `each` is given the position in `lambdas` and what came out. A run that goes on
/// begins at the λ that was being solved.
///
/// # Errors
/// As [`solve`], or what `each` returns.
pub fn solve_path<E: From<SolveError>>(
    config: &DualConfig,
    problem: &Problem<'_>,
    lambdas: &[f64],
    observer: &mut dyn Observer,
    each: &mut dyn FnMut(usize, Fit) -> Result<(), E>,
) -> Result<(), E> {
    std::thread::scope(|scope| {
        let mut ascent = Ascent::new(config, problem, scope)?;
        let resumed = observer.resume().map(|snapshot| ascent.restore(snapshot)).transpose()?;
        if let Some(place) = resumed.filter(|&place| place >= lambdas.len()) {
            let problem = format!("it is at place {place} of a path of {}", lambdas.len());
            return Err(SolveError::Snapshot(problem).into());
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
struct Best {
    primal: f64,
    weight: Vec<f64>,
    bias: Vec<f64>,
}

/// When the next measurement of all rows is due.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Not before so many rows were visited, and what was visited at the last.
    next: u64,
    measured: u64,
    /// The gap of a measurement against what had been met before it.
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
    state: State<'env>,
    rows: Box<dyn Rows + 'scope>,
    double: bool,
    rng: ChaCha8Rng,
    scratch: Scratch,
    best: Option<Best>,
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
    /// Of a free bias.
    multipliers: Multipliers,
    /// Of W over the sweeps, and after how many visits the next comes in, where one is kept.
    mean: Mean,
    mean_after: Option<u64>,
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
        let mut state = State::new(problem, cost(lambda, problem.train.len()));
        state.bias_scale = match problem.objective.bias {
            BiasRule::Regularised { scale } => scale,
            BiasRule::None => 0.0,
            BiasRule::Free => free::penalty_scale(problem),
        };
        Ok(Self {
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
            multipliers: Multipliers::default(),
            mean: Mean::default(),
            mean_after: mean::interval(problem),
        })
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
        (self.best, self.sweeps, self.visited) = (None, 0, 0);
        (self.smallest, self.stuck) = (f64::INFINITY, 0);
        self.mean.clear();
        sweep::rebuild(&mut *self.rows, &mut self.state)
    }

    /// Runs until the gap is proved or a limit is met.
    ///
    /// # Errors
    /// [`SolveError`] when the device fails or the gap comes out negative.
    #[allow(clippy::cast_precision_loss)]
    fn run(&mut self, observer: &mut dyn Observer) -> Result<Fit, SolveError> {
        let target = self.config.gap.get();
        let n = self.state.rows.len() as u64;
        let limit = (self.config.epochs.get() as u64).saturating_mul(n);
        observer.start(self.config.epochs.get() as u64);
        loop {
            let interrupted = observer.interrupted();
            if interrupted || observer.wants_snapshot() {
                observer.snapshot(self.snapshot()?);
            }
            if interrupted {
                let now = self.measure_afresh()?;
                self.report(observer, now);
                return self.finish(StopReason::Interrupted, now);
            }
            self.visited += sweep::epoch(&mut *self.rows, &mut self.state, &mut self.scratch, &mut self.rng)? as u64;
            self.sweeps += 1;
            self.average()?;
            observer.step(self.visited / n);
            let estimate = self.estimate()?;
            self.state.settle_at(target, estimate.primal);
            let time_up = self.config.seconds.is_some_and(|s| self.clock.elapsed().as_secs_f64() >= s.get());
            let last = self.visited >= limit || time_up;
            if self.needs_double(estimate) {
                self.widen()?;
            }
            // A measurement costs about half a pass: one where what was met promises success, no sooner than after a pass and a
            // twentieth of the run, and one every five passes to show and to wake rows.
            let pace = self.pace;
            let promising = estimate.relative() * pace.optimism <= target && self.visited >= pace.next;
            if !(promising || last || self.visited >= pace.measured + 5 * n) {
                self.correct_bias();
                continue;
            }
            // In a short run, where success is likely, W(a) is put together again first: then the measurement is the certificate.
            let fresh = last || (promising && self.visited < SHORT * n);
            if fresh {
                sweep::rebuild(&mut *self.rows, &mut self.state)?;
            }
            let mut now = self.measure(Some(estimate))?;
            self.pace = Pace {
                next: self.visited + n.max(self.visited / 20),
                measured: self.visited,
                optimism: (now.relative() / estimate.relative()).clamp(0.1, 1.0),
            };
            if now.relative() <= target && !fresh {
                now = self.measure_afresh()?;
            }
            self.report(observer, now);
            let stop = if now.relative() <= target {
                StopReason::GapReached
            } else if time_up {
                StopReason::TimeLimit
            } else if last {
                StopReason::EpochLimit
            } else {
                continue;
            };
            return self.finish(stop, now);
        }
    }

    /// What the rows looked like when they were last met.
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

    /// The outer step of a free bias: the multipliers of its constraints take up what the penalty leaves.
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
        if !now.gap.is_finite() || now.gap < -NEGATIVE_GAP * now.primal.abs() {
            return Err(SolveError::NegativeGap { gap: format!("{:e}", now.gap), primal: format!("{:e}", now.primal) });
        }
        if now.gap > 0.95 * self.smallest {
            self.stuck += 1;
        } else {
            (self.smallest, self.stuck) = (now.gap, 0);
        }
        let dual = now.primal - now.gap;
        let primal = self.best.as_ref().map_or(now.primal, |best| best.primal);
        Ok(Bounds { primal, gap: primal - dual })
    }

    /// With W(a) from the dual variables alone.
    fn measure_afresh(&mut self) -> Result<Bounds, SolveError> {
        sweep::rebuild(&mut *self.rows, &mut self.state)?;
        self.measure(None)
    }

    fn needs_double(&self, estimate: Bounds) -> bool {
        let near = self.config.gap.get() < SINGLE_PRECISION_GAP && estimate.relative() <= 3.0 * SINGLE_PRECISION_GAP;
        !self.double && self.config.precision.is_none() && (near || self.stuck >= STUCK)
    }

    fn widen(&mut self) -> Result<(), SolveError> {
        self.double = true;
        let held = self.rows.held_len();
        self.rows = rows(self.problem, true, self.scope);
        if self.rows.held_len() != held {
            // Another representation: what the mean holds is not its own.
            self.mean.clear();
        }
        sweep::rebuild(&mut *self.rows, &mut self.state)
    }

    #[allow(clippy::cast_precision_loss)]
    fn epochs(&self) -> f64 {
        self.visited as f64 / self.state.rows.len() as f64
    }

    fn report(&self, observer: &mut dyn Observer, bounds: Bounds) {
        let entry = LogEntry {
            step: self.sweeps,
            epoch: self.epochs(),
            loss: Some(self.lambda * bounds.primal),
            train_accuracy: None,
            validation_accuracy: None,
            seconds: self.clock.elapsed().as_secs_f64(),
        };
        observer.bounds(&entry, &bounds.certificate(self.lambda), self.state.active());
    }

    #[allow(clippy::cast_possible_truncation)]
    fn finish(&mut self, stop: StopReason, bounds: Bounds) -> Result<Fit, SolveError> {
        let (weight, mut bias) = match self.best.take() {
            Some(best) => (best.weight, best.bias),
            None => (self.rows.weights()?, self.state.bias()),
        };
        if self.is_free() && self.state.loss.formulation != Formulation::OneVsRest {
            free::centre(&mut bias);
        }
        let narrow = |values: &[f64]| values.iter().map(|&w| w as f32).collect::<Vec<f32>>();
        Ok(Fit {
            weight: narrow(&weight),
            bias: self.problem.objective.bias.has_bias().then(|| narrow(&bias)),
            steps: self.sweeps,
            epochs: self.epochs(),
            stop,
            solve: self.clock.elapsed(),
            evaluate: Duration::ZERO,
            certificate: Some(bounds.certificate(self.lambda)),
            best_step: None,
        })
    }
}

/// C = 1/(λn): c_i of a row of weight 1.
#[allow(clippy::cast_precision_loss)]
fn cost(lambda: f64, n: usize) -> f64 {
    1.0 / (lambda * n as f64)
}

fn rows<'scope, 'env>(
    problem: &Problem<'env>,
    double: bool,
    scope: &'scope Scope<'scope, 'env>,
) -> Box<dyn Rows + 'scope> {
    match problem.source.features {
        Features::Sparse(csr) => sparse_rows::<Floats>(problem, Cow::Borrowed(csr), double, scope),
        _ if !problem.device.name.backend.is_cpu() => Box::new(device::DeviceRows::new(problem, double)),
        _ if double && narrow::suits::<f64>(problem) => Box::new(narrow::NarrowRows::<f64>::new(problem)),
        _ if !double && narrow::suits::<f32>(problem) => Box::new(narrow::NarrowRows::<f32>::new(problem)),
        _ => match sparse::copy(problem.source) {
            Some(Copied::Floats(csr)) => sparse_rows::<Floats>(problem, Cow::Owned(csr), double, scope),
            Some(Copied::Bytes(csr)) => sparse_rows::<Bytes>(problem, Cow::Owned(csr), double, scope),
            None if double => Box::new(dense::DenseRows::<f64>::new(problem, scope)),
            None => Box::new(dense::DenseRows::<f32>::new(problem, scope)),
        },
    }
}

fn sparse_rows<'scope, 'env, K: Kind>(
    problem: &Problem<'env>,
    csr: Cow<'env, Cells<K>>,
    double: bool,
    scope: &'scope Scope<'scope, 'env>,
) -> Box<dyn Rows + 'scope> {
    if double {
        Box::new(sparse::SparseRows::<f64, K>::new(problem, csr, scope))
    } else {
        Box::new(sparse::SparseRows::<f32, K>::new(problem, csr, scope))
    }
}
