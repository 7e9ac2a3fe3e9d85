//! The exact solver: block dual coordinate ascent that stops when it has proved that it is done.
//!
//! ```text
//! given:   rows x_i, labels y_i, c_i = weight_i/(λn), a loss ℓ
//! minimise ½‖W‖² + Σ c_i·ℓ_i(W)      (the objective divided by λ; a regularised bias is a constant feature of value B)
//! through  its dual: one block a_i a sample, W(a) = Σ x_i β_i(a_i)ᵀ
//! repeat:  for every sample in random order, put a_i to the exact maximiser of its block        (loss/dual.rs)
//! until:   gap = Σ_i [c_i·ℓ_i − a_i·G_i + penalty(a_i)]  ≤  gap·primal
//! ```
//!
//! Every summand of the gap is at least 0, so that nothing cancels. Dense rows go through `dense`, sparse ones through
//! `sparse`; both make the same steps. Derived in `docs/math.md`.

mod dense;
mod sparse;

use super::stop::StopReason;
use super::{Certificate, Fit, LogEntry, Observer, Problem, SolveError};
use crate::bounded::{Fraction, Positive};
use crate::data::{Features, streams};
use crate::loss::Loss;
use crate::model::BiasRule;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

/// The `[solver.dual]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DualConfig {
    /// Stop at this relative duality gap, (primal − dual)/primal.
    pub gap: Fraction,
    /// And never later than after this many passes over the training rows.
    pub epochs: NonZeroUsize,
    /// Or after this many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<Positive>,
}

impl Default for DualConfig {
    fn default() -> Self {
        Self {
            gap: Fraction::new(1e-3).unwrap_or_else(|_| unreachable!("1e-3 is a fraction")),
            epochs: NonZeroUsize::MIN.saturating_add(999),
            seconds: None,
        }
    }
}

/// Below this relative gap single-precision passes cannot certify; double precision takes over.
const SINGLE_PRECISION_GAP: f64 = 2e-5;
/// A gap below minus this share of the primal is no rounding, but a bug.
const NEGATIVE_GAP: f64 = 1e-6;

/// The dual variables and what does not change while they do.
struct State<'a> {
    problem: &'a Problem<'a>,
    loss: &'a Loss,
    /// c_i of each training row.
    costs: Vec<f64>,
    labels: Vec<usize>,
    /// `[n_train, n_classes]`.
    a: Vec<f64>,
    /// The value of the constant feature; 0 without a bias.
    bias_scale: f64,
    n_classes: usize,
}

/// Primal and gap of the objective divided by λ, at W(a).
#[derive(Debug, Clone, Copy)]
struct Bounds {
    primal: f64,
    gap: f64,
}

impl Bounds {
    fn relative(self) -> f64 {
        if self.primal > 0.0 { self.gap / self.primal } else { 0.0 }
    }

    /// The same for the objective itself, which is λ times this.
    fn certificate(self, lambda: f64) -> Certificate {
        Certificate {
            primal: lambda * self.primal,
            dual: lambda * (self.primal - self.gap),
            relative_gap: self.relative(),
        }
    }
}

/// How rows are held and multiplied.
trait Rows {
    /// One pass over all rows in random order, every block to its maximiser; returns the losses and the gap's summands as they
    /// were met on the way, with the weights as they are now: an estimate, no certificate.
    fn epoch(&mut self, state: &mut State<'_>, rng: &mut ChaCha8Rng) -> Result<Bounds, SolveError>;

    /// W(a) rebuilt from the dual variables, then primal and gap at it.
    fn certify(&mut self, state: &State<'_>) -> Result<Bounds, SolveError>;

    /// W `[n_features, n_classes]` for preprocessed features, and the weights of the constant feature.
    fn weights(&mut self) -> Result<(Vec<f32>, Vec<f32>), SolveError>;
}

/// Step of one sample: scores in, β's change out.
struct Step {
    v: Vec<f64>,
    old: Vec<f64>,
    before: Vec<f64>,
    /// β(new) − β(old).
    change: Vec<f64>,
}

impl Step {
    fn new(n_classes: usize) -> Self {
        let zeros = || vec![0.0; n_classes];
        Self { v: zeros(), old: zeros(), before: zeros(), change: zeros() }
    }

    /// Adds the row's loss and its share of the gap to `met`; returns whether β changed.
    fn take(&mut self, state: &mut State<'_>, i: usize, scores: &[f64], q: f64, met: &mut Bounds) -> bool {
        let k = state.n_classes;
        let (label, c) = (state.labels[i], state.costs[i]);
        let (loss, gap) = state.row_bounds(i, scores);
        met.primal += loss;
        met.gap += gap;
        let a = &mut state.a[i * k..(i + 1) * k];
        self.old.copy_from_slice(a);
        state.loss.dual_coefficients(label, a, &mut self.before);
        // A row of zeros has no curvature; a tiny one keeps the step finite and exact.
        state.loss.dual_step(scores, label, q.max(f64::MIN_POSITIVE.sqrt()), c, a, &mut self.v);
        state.loss.dual_coefficients(label, a, &mut self.change);
        let mut changed = false;
        for (new, old) in self.change.iter_mut().zip(&self.before) {
            *new -= old;
            changed |= *new != 0.0;
        }
        changed
    }
}

/// Runs the solver; see the module's documentation.
///
/// # Errors
/// [`SolveError`] when the device fails, the bias rule is not one that it can solve, or the gap comes out negative.
pub fn solve(config: &DualConfig, problem: &Problem<'_>, observer: &mut dyn Observer) -> Result<Fit, SolveError> {
    let start = Instant::now();
    let mut state = State::new(problem)?;
    let double = config.gap.get() < SINGLE_PRECISION_GAP;
    let mut rows: Box<dyn Rows + '_> = match problem.source.features {
        Features::Sparse(_) => Box::new(sparse::SparseRows::new(problem, state.bias_scale)),
        Features::U8(_) | Features::F32(_) => Box::new(dense::DenseRows::new(problem, state.bias_scale, double)),
    };
    let mut rng = ChaCha8Rng::seed_from_u64(problem.seed);
    rng.set_stream(streams::SAMPLING);
    observer.start(config.epochs.get() as u64);
    let (mut made, mut next, mut stop, mut bounds) = (0u64, 1u64, None, None);
    while stop.is_none() {
        let estimate = rows.epoch(&mut state, &mut rng)?;
        made += 1;
        observer.step(made);
        let out_of_time = config.seconds.is_some_and(|s| start.elapsed().as_secs_f64() >= s.get());
        let last = made == config.epochs.get() as u64 || out_of_time || observer.interrupted();
        // A certificate costs about as much as a pass: one every ten passes to show, and one where the estimate promises
        // success; after a failure no sooner than a twentieth of the passes made.
        let promising = estimate.relative() <= 2.0 * config.gap.get() && made >= next;
        if !(promising || last || made.is_multiple_of(10)) {
            continue;
        }
        next = made + 1 + made / 20;
        let now = rows.certify(&state)?;
        bounds = Some(now);
        log(observer, problem, made, now, start);
        stop = reason(config, now, last, observer, out_of_time)?;
    }
    let bounds = bounds.unwrap_or(Bounds { primal: 0.0, gap: f64::INFINITY });
    finish(&mut *rows, &state, made, stop.unwrap_or(StopReason::EpochLimit), bounds, start.elapsed())
}

fn log(observer: &mut dyn Observer, problem: &Problem<'_>, made: u64, bounds: Bounds, start: Instant) {
    let lambda = problem.objective.lambda;
    observer.log(&LogEntry {
        step: made,
        #[allow(clippy::cast_precision_loss)]
        epoch: made as f64,
        loss: Some(lambda * bounds.primal),
        train_accuracy: None,
        validation_accuracy: None,
        seconds: start.elapsed().as_secs_f64(),
    });
    observer.bounds(&bounds.certificate(lambda));
}

fn reason(
    config: &DualConfig,
    bounds: Bounds,
    last: bool,
    observer: &dyn Observer,
    out_of_time: bool,
) -> Result<Option<StopReason>, SolveError> {
    if !bounds.gap.is_finite() || bounds.gap < -NEGATIVE_GAP * bounds.primal.abs() {
        return Err(SolveError::NegativeGap {
            gap: format!("{:e}", bounds.gap),
            primal: format!("{:e}", bounds.primal),
        });
    }
    Ok(if bounds.relative() <= config.gap.get() {
        Some(StopReason::GapReached)
    } else if observer.interrupted() {
        Some(StopReason::Interrupted)
    } else if out_of_time {
        Some(StopReason::TimeLimit)
    } else if last {
        Some(StopReason::EpochLimit)
    } else {
        None
    })
}

#[allow(clippy::cast_precision_loss)]
fn finish(
    rows: &mut dyn Rows,
    state: &State<'_>,
    made: u64,
    stop: StopReason,
    bounds: Bounds,
    solve: Duration,
) -> Result<Fit, SolveError> {
    let (weight, constant) = rows.weights()?;
    #[allow(clippy::cast_possible_truncation)]
    let bias = state
        .problem
        .objective
        .bias
        .has_bias()
        .then(|| constant.iter().map(|w| (f64::from(*w) * state.bias_scale) as f32).collect());
    let lambda = state.problem.objective.lambda;
    let certificate = bounds.certificate(lambda);
    Ok(Fit {
        weight,
        bias,
        steps: made * state.labels.len() as u64,
        epochs: made as f64,
        stop,
        solve,
        evaluate: Duration::ZERO,
        certificate: Some(certificate),
    })
}

impl<'a> State<'a> {
    #[allow(clippy::cast_precision_loss)]
    fn new(problem: &'a Problem<'a>) -> Result<Self, SolveError> {
        let objective = problem.objective;
        let bias_scale = match objective.bias {
            BiasRule::Regularised { scale } => scale,
            BiasRule::None => 0.0,
            BiasRule::Free => return Err(SolveError::FreeBias),
        };
        if objective.lambda <= 0.0 {
            return Err(SolveError::NoRegulariser);
        }
        let labels: Vec<usize> = problem.train.iter().map(|&r| problem.source.labels[r as usize] as usize).collect();
        let c = 1.0 / (objective.lambda * labels.len() as f64);
        let costs = problem.train.iter().map(|&row| c * problem.row_weight(row)).collect();
        let a = vec![0.0; labels.len() * problem.n_classes];
        Ok(Self { problem, loss: &objective.loss, costs, labels, a, bias_scale, n_classes: problem.n_classes })
    }

    fn beta(&self, i: usize, out: &mut [f64]) {
        let k = self.n_classes;
        self.loss.dual_coefficients(self.labels[i], &self.a[i * k..(i + 1) * k], out);
    }

    /// `(c·ℓ, share of the gap)` of a row at its scores.
    fn row_bounds(&self, i: usize, scores: &[f64]) -> (f64, f64) {
        let k = self.n_classes;
        let (label, c) = (self.labels[i], self.costs[i]);
        let shape = Loss::new(self.loss.formulation, self.loss.margin, self.loss.power);
        (c * shape.of_row(scores, label), self.loss.gap_of_row(scores, label, c, &self.a[i * k..(i + 1) * k]))
    }
}
