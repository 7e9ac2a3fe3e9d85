//! L-BFGS: full batches, curvature from the last steps, a line search; for smooth losses (power 2, or smoothed).
//!
//! ```text
//! given:   P(θ), θ = (W, b); m pairs (s, y) of steps and changes of the gradient
//! repeat:  d = −H·g by two loops over the pairs          (Nocedal & Wright, algorithm 7.4, first H = (sᵀy/yᵀy)·I)
//!          t with the strong Wolfe conditions            (algorithms 3.5 and 3.6; `line_search`)
//!          θ ← θ + t·d,  s = t·d,  y = ∇P(θ) − g, kept where sᵀy > 0
//! until:   ‖∇P(θ)‖ ≤ tolerance·‖∇P(0)‖
//! ```
//!
//! Parameters, pairs and their products are kept on the host in f64; loss and gradient come from the device (`full_batch`), in
//! f64 where it has that. There is nothing random: one configuration, one model. Burn's own L-BFGS keeps all of it on the
//! device in the type of the parameters and reads scalars back one by one; it cannot pass 1e-7 in f32, and its steps cannot be
//! watched or interrupted, which is why it is not used here.
//!
//! If λ > 0 and the bias is penalised (or absent), P is strongly convex, and the gradient bounds the optimum:
//!
//! ```text
//! P(θ) − ‖∇_W P‖²/(2λ) − B²·‖∇_b P‖²/(2λ)  ≤  min P  ≤  P(θ)
//! ```
//!
//! That is D(a) at the slopes a of the loss, so that the end of a run is proved as that of the exact solver ([`certificate`]).
//!
//! J. Nocedal and S. Wright, *Numerical Optimization*, second edition, 2006.

mod full_batch;
mod line_search;
mod resume;

use super::checkpoint::Clock;
use super::dual::{Precision, certificate};
use super::stop::StopReason;
use super::{Fit, LogEntry, Measurement, Observer, Problem, SolveError};
use crate::bounded::Positive;
use crate::model::BiasRule;
use full_batch::FullBatch;
use line_search::{Function as _, LinePoint, Search};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::time::Duration;

/// The `[solver.lbfgs]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LbfgsConfig {
    /// Stop when the norm of the gradient has fallen to this share of that at zero weights.
    pub tolerance: Positive,
    /// Pairs of steps and gradient changes that are kept.
    pub memory: NonZeroUsize,
    /// And never later than after this many passes over the training rows.
    pub epochs: NonZeroUsize,
    /// Or after this many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<Positive>,
    /// In which precision loss and gradient are computed; f64 where the device has it, else f32, when it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
}

impl Default for LbfgsConfig {
    fn default() -> Self {
        Self {
            tolerance: Positive::new(1e-6).unwrap_or_else(|_| unreachable!("1e-6 is positive")),
            memory: NonZeroUsize::MIN.saturating_add(9),
            epochs: NonZeroUsize::MIN.saturating_add(999),
            seconds: None,
            precision: None,
        }
    }
}

/// Runs the solver; see the module's documentation.
///
/// # Errors
/// [`SolveError::Kinks`] for a loss that is not smooth, [`SolveError::Precision`] when f64 is asked for and not there,
/// [`SolveError::Gradient`] when the gradient disagrees with autodiff, [`SolveError::Device`] when the device fails.
pub fn solve(config: &LbfgsConfig, problem: &Problem<'_>, observer: &mut dyn Observer) -> Result<Fit, SolveError> {
    let loss = &problem.objective.loss;
    if !loss.is_smooth() {
        return Err(SolveError::Kinks(format!("{} at power {}", loss.name(), i64::from(loss.set.power))));
    }
    let mut kept = observer.resume();
    let clock = Clock::after(kept.as_mut().map_or(Ok(Duration::ZERO), |kept| kept.take_time("elapsed"))?);
    let mut batch = FullBatch::new(config, problem, clock)?;
    let gradient = batch.agreement()?;
    observer.gradient(gradient);
    observer.start(config.epochs.get() as u64);
    let mut at = match kept {
        Some(kept) => Descent::restore(kept, config, &mut batch)?,
        None => Descent::begin(config, &mut batch)?,
    };
    let stop = loop {
        let interrupted = observer.interrupted();
        if interrupted || observer.wants_snapshot() {
            observer.snapshot(at.snapshot(&batch, clock));
        }
        log(observer, problem, &batch, &at, clock);
        if let Some(stop) = ended(config, &batch, &at, interrupted, clock) {
            break stop;
        }
        let Some(there) = next(&mut batch, &mut at.pairs, &at.here)? else {
            break if batch.is_exhausted() { limit(config, &batch) } else { StopReason::NoProgress };
        };
        at.pairs.push(&at.here, &there);
        at.here = there;
        at.made += 1;
        observer.step(at.made);
    };
    Ok(Fit { gradient: Some(gradient), ..finish(problem, &batch, &at, stop, clock)? })
}

/// State of the run.
struct Descent {
    here: LinePoint,
    pairs: Pairs,
    /// Steps.
    made: u64,
    /// The norm of the gradient at which it ends.
    goal: f64,
}

impl Descent {
    fn begin(config: &LbfgsConfig, batch: &mut FullBatch<'_>) -> Result<Self, SolveError> {
        let here = batch.at(vec![0.0; batch.len()])?;
        let goal = config.tolerance.get() * norm(&here.gradient);
        Ok(Self { here, pairs: Pairs::new(config.memory.get()), made: 0, goal })
    }
}

/// One step from `here`; along the gradient where the curvature in memory leads nowhere. `None` when there is no lower point.
fn next(batch: &mut FullBatch<'_>, pairs: &mut Pairs, here: &LinePoint) -> Result<Option<LinePoint>, SolveError> {
    loop {
        let direction = pairs.direction(&here.gradient);
        // The first step has no scale: one of length 1 or the gradient's, whichever is shorter.
        let first = if pairs.is_empty() { (1.0 / norm(&here.gradient)).min(1.0) } else { 1.0 };
        let slope = dot(&here.gradient, &direction);
        if slope < 0.0
            && let Some(there) =
                (Search { here, direction: &direction, slope, noise: batch.noise() }).run(first, batch)?
        {
            return Ok(Some(there));
        }
        if pairs.is_empty() || batch.is_exhausted() {
            return Ok(None);
        }
        pairs.clear();
    }
}

fn ended(
    config: &LbfgsConfig,
    batch: &FullBatch<'_>,
    at: &Descent,
    interrupted: bool,
    clock: Clock,
) -> Option<StopReason> {
    if !at.here.value.is_finite() {
        return Some(StopReason::Diverged { step: 0 });
    }
    if norm(&at.here.gradient) <= at.goal {
        return Some(StopReason::GradientReached);
    }
    if interrupted {
        return Some(StopReason::Interrupted);
    }
    let late = config.seconds.is_some_and(|s| clock.elapsed().as_secs_f64() >= s.get());
    (late || batch.is_exhausted()).then(|| limit(config, batch))
}

/// Which limit it was.
fn limit(config: &LbfgsConfig, batch: &FullBatch<'_>) -> StopReason {
    if batch.passes() >= config.epochs.get() as u64 { StopReason::EpochLimit } else { StopReason::TimeLimit }
}

/// Distance to the optimum, by strong convexity, if the gradient is known well enough.
fn measurement(problem: &Problem<'_>, batch: &FullBatch<'_>, here: &LinePoint) -> Option<Measurement> {
    let lambda = problem.objective.lambda;
    let (weight, bias) = here.gradient.split_at(batch.n_weights());
    let scale = match problem.objective.bias {
        BiasRule::Regularised { scale } => scale,
        BiasRule::None => 0.0,
        BiasRule::Free => return None,
    };
    if lambda <= 0.0 || !batch.is_double() {
        return None;
    }
    let distance = (dot(weight, weight) + scale * scale * dot(bias, bias)) / (2.0 * lambda);
    let relative_gap = if here.value > 0.0 { (distance / here.value).min(1.0) } else { 1.0 };
    Some(Measurement { primal: here.value, relative_gap, dual: None })
}

#[allow(clippy::cast_precision_loss)]
fn entry(batch: &FullBatch<'_>, at: &Descent, loss: f64, clock: Clock) -> LogEntry {
    LogEntry {
        step: at.made,
        epoch: batch.passes() as f64,
        loss: Some(loss),
        train_accuracy: None,
        validation_accuracy: None,
        seconds: clock.elapsed().as_secs_f64(),
    }
}

fn log(observer: &mut dyn Observer, problem: &Problem<'_>, batch: &FullBatch<'_>, at: &Descent, clock: Clock) {
    let entry = entry(batch, at, at.here.value, clock);
    match measurement(problem, batch, &at.here) {
        Some(measurement) => observer.bounds(&entry, &measurement, 1.0),
        None => observer.log(&entry),
    }
}

#[allow(clippy::cast_precision_loss)]
fn finish(
    problem: &Problem<'_>,
    batch: &FullBatch<'_>,
    at: &Descent,
    stop: StopReason,
    clock: Clock,
) -> Result<Fit, SolveError> {
    let (weight, bias) = at.here.at.split_at(batch.n_weights());
    let bias = problem.objective.bias.has_bias().then(|| bias.to_vec());
    let proof = certificate::of_weights(problem, weight, bias.as_deref())?;
    Ok(Fit {
        weight: weight.to_vec(),
        bias,
        steps: at.made,
        epochs: batch.passes() as f64,
        stop,
        solve: clock.elapsed(),
        evaluate: Duration::ZERO,
        gradient: None,
        certificate: proof.as_ref().map(|proof| proof.0),
        evaluation: proof.map(|proof| proof.1),
        best_step: None,
    })
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// The last steps and the changes of the gradient along them.
struct Pairs {
    most: usize,
    /// (s, y, sᵀy), the oldest first.
    kept: VecDeque<(Vec<f64>, Vec<f64>, f64)>,
}

impl Pairs {
    fn new(most: usize) -> Self {
        Self { most, kept: VecDeque::new() }
    }

    fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    fn clear(&mut self) {
        self.kept.clear();
    }

    fn push(&mut self, from: &LinePoint, to: &LinePoint) {
        let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
        let (s, y) = (difference(&to.at, &from.at), difference(&to.gradient, &from.gradient));
        let product = dot(&s, &y);
        // Curvature that rounding ate would make H indefinite.
        if product <= f64::EPSILON * dot(&y, &y) {
            return;
        }
        if self.kept.len() == self.most {
            self.kept.pop_front();
        }
        self.kept.push_back((s, y, product));
    }

    /// −H·g, Nocedal & Wright, algorithm 7.4.
    fn direction(&self, gradient: &[f64]) -> Vec<f64> {
        let mut q: Vec<f64> = gradient.iter().map(|g| -g).collect();
        let add = |q: &mut Vec<f64>, factor: f64, v: &[f64]| q.iter_mut().zip(v).for_each(|(q, v)| *q += factor * v);
        let mut factors = Vec::with_capacity(self.kept.len());
        for (s, y, product) in self.kept.iter().rev() {
            let factor = dot(s, &q) / product;
            add(&mut q, -factor, y);
            factors.push(factor);
        }
        if let Some((_, y, product)) = self.kept.back() {
            let scale = product / dot(y, y);
            q.iter_mut().for_each(|q| *q *= scale);
        }
        for ((s, y, product), factor) in self.kept.iter().zip(factors.into_iter().rev()) {
            let back = dot(y, &q) / product;
            add(&mut q, factor - back, s);
        }
        q
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: usize = 3;

    /// Points of a quadratic.
    fn path() -> Vec<LinePoint> {
        let hessian = [4.0, 1.0, 0.5];
        let point = |at: [f64; D]| LinePoint {
            at: at.to_vec(),
            value: at.iter().zip(hessian).map(|(x, h)| 0.5 * h * x * x).sum(),
            gradient: at.iter().zip(hessian).map(|(x, h)| h * x).collect(),
        };
        [[1.0, 1.0, 1.0], [0.2, 0.7, 0.9], [0.1, 0.4, 0.3], [0.05, 0.0, 0.25]].map(point).into()
    }

    /// H by the matrix recursion (Nocedal & Wright, equation 7.16): (I − ρsyᵀ)·H·(I − ρysᵀ) + ρssᵀ from H = (sᵀy/yᵀy)·I.
    fn dense(pairs: &Pairs) -> [[f64; D]; D] {
        let (_, y, product) = pairs.kept.back().unwrap();
        let scale = product / dot(y, y);
        let identity = |i: usize, j: usize| f64::from(u8::from(i == j));
        let mut h: [[f64; D]; D] = std::array::from_fn(|i| std::array::from_fn(|j| scale * identity(i, j)));
        for (s, y, product) in &pairs.kept {
            let left = |i: usize, j: usize| identity(i, j) - s[i] * y[j] / product;
            let cell = |i: usize, j: usize| -> f64 {
                let inner = |a: usize| (0..D).map(|b| left(i, a) * h[a][b] * left(j, b)).sum::<f64>();
                (0..D).map(inner).sum::<f64>() + s[i] * s[j] / product
            };
            h = std::array::from_fn(|i| std::array::from_fn(|j| cell(i, j)));
        }
        h
    }

    #[test]
    fn the_two_loops_multiply_by_the_matrix_of_the_recursion() {
        let path = path();
        let mut pairs = Pairs::new(2);
        path.windows(2).for_each(|p| pairs.push(&p[0], &p[1]));
        assert_eq!(pairs.kept.len(), 2, "the oldest pair makes room");
        let h = dense(&pairs);
        for gradient in [[1.0, 0.0, 0.0], [0.3, -2.0, 0.7], [-1.0, 5.0, 4.0]] {
            for (i, found) in pairs.direction(&gradient).into_iter().enumerate() {
                let expected = -dot(&h[i], &gradient);
                assert!((found - expected).abs() < 1e-12, "{found} against {expected}");
            }
        }
        pairs.push(&path[0], &path[0]);
        assert_eq!(pairs.kept.len(), 2, "a step without curvature is not kept");
    }
}
