//! Why a run ended.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroUsize;

/// The `[early_stopping]` table: end when the validation rows no longer get better, and keep the best weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EarlyStopping {
    /// Evaluations without a better value (one an epoch) after which the run ends.
    pub patience: NonZeroUsize,
    /// Watched metric.
    pub metric: WatchedMetric,
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self { patience: NonZeroUsize::MIN.saturating_add(4), metric: WatchedMetric::Accuracy }
    }
}

/// `metric` of `[early_stopping]`, on the validation rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchedMetric {
    /// The share of rows that are right; more is better.
    #[default]
    Accuracy,
    /// The data loss; less is better.
    Loss,
}

impl WatchedMetric {
    /// Whether `value` is better than `best`; NaN never is.
    #[must_use]
    pub fn improves(self, value: f64, best: f64) -> bool {
        match self {
            Self::Accuracy => value > best,
            Self::Loss => value < best,
        }
    }
}

/// The best state of a run so far, and how long it has been the best.
#[derive(Debug, Clone)]
pub struct BestState<T> {
    rule: EarlyStopping,
    held: Option<(f64, u64, T)>,
    waited: usize,
}

impl<T: Clone> BestState<T> {
    /// Nothing seen yet.
    #[must_use]
    pub const fn new(rule: EarlyStopping) -> Self {
        Self { rule, held: None, waited: 0 }
    }

    /// Watched metric.
    #[must_use]
    pub const fn metric(&self) -> WatchedMetric {
        self.rule.metric
    }

    /// Notes a value and the state that has it; true when patience is exhausted.
    pub fn see(&mut self, value: f64, step: u64, state: &T) -> bool {
        let better = match &self.held {
            None => !value.is_nan(),
            Some((best, ..)) => self.rule.metric.improves(value, *best),
        };
        if better {
            self.held = Some((value, step, state.clone()));
            self.waited = 0;
        } else {
            self.waited += 1;
        }
        self.waited >= self.rule.patience.get()
    }

    /// The best state so far (value, step and state), and the number of evaluations since then.
    #[must_use]
    pub fn parts(&self) -> (Option<(f64, u64, &T)>, usize) {
        (self.held.as_ref().map(|(value, step, state)| (*value, *step, state)), self.waited)
    }

    /// The record of such parts.
    #[must_use]
    pub const fn of_parts(rule: EarlyStopping, held: Option<(f64, u64, T)>, waited: usize) -> Self {
        Self { rule, held, waited }
    }

    /// The best state and the step that led to it.
    #[must_use]
    pub fn into_best(self) -> Option<(u64, T)> {
        self.held.map(|(_, step, state)| (step, state))
    }
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// All steps or epochs asked for were made.
    Finished,
    /// The relative duality gap that was asked for is proved.
    GapReached,
    /// The gradient is as small as was asked for.
    GradientReached,
    /// No lower point is found, or the gap no longer falls.
    NoProgress,
    /// The validation rows have not got better for as long as the patience lasts.
    EarlyStopping,
    /// The last epoch was made before the goal was reached.
    EpochLimit,
    /// The time was up before the goal was reached.
    TimeLimit,
    /// The user asked to stop.
    Interrupted,
    /// The loss or the weights left the finite numbers, or the loss grew beyond all measure.
    Diverged {
        /// The logged step at which it was seen.
        step: u64,
    },
}

impl StopReason {
    /// One word for `result.json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::GapReached => "gap_reached",
            Self::GradientReached => "gradient_reached",
            Self::NoProgress => "no_progress",
            Self::EarlyStopping => "early_stopping",
            Self::EpochLimit => "epoch_limit",
            Self::TimeLimit => "time_limit",
            Self::Interrupted => "interrupted",
            Self::Diverged { .. } => "diverged",
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("all steps made"),
            Self::GapReached => f.write_str("gap reached"),
            Self::GradientReached => f.write_str("gradient small enough"),
            Self::NoProgress => f.write_str("no more progress before the goal was reached"),
            Self::EarlyStopping => f.write_str("early, validation got no better"),
            Self::EpochLimit => f.write_str("all epochs made before the goal was reached"),
            Self::TimeLimit => f.write_str("time was up before the goal was reached"),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Diverged { step } => write!(f, "diverged, seen at step {step}"),
        }
    }
}

/// A loss that means divergence: not finite, or far above where it began.
#[must_use]
pub fn is_diverged(loss: f64, first: f64) -> bool {
    const GROWTH: f64 = 1e6;
    !loss.is_finite() || loss > GROWTH * first.max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_counts_values_that_are_no_better_and_the_best_is_kept() {
        let rule = |metric| EarlyStopping { patience: NonZeroUsize::new(2).unwrap(), metric };
        let mut best = BestState::new(rule(WatchedMetric::Accuracy));
        let seen: Vec<bool> =
            [0.5, 0.7, 0.7, 0.8, 0.6, 0.8].iter().zip(1..).map(|(&v, step)| best.see(v, step, &step)).collect();
        assert_eq!(seen, [false, false, false, false, false, true]);
        assert_eq!(best.into_best(), Some((4, 4)));
        let mut best = BestState::new(rule(WatchedMetric::Loss));
        let seen: Vec<bool> =
            [f64::NAN, 3.0, 2.0, f64::NAN, 2.5].iter().zip(1..).map(|(&v, step)| best.see(v, step, &())).collect();
        assert_eq!(seen, [false, false, false, false, true]);
        assert_eq!(best.into_best(), Some((3, ())));
    }

    #[test]
    fn only_senseless_losses_count_as_divergence() {
        assert!(is_diverged(f64::NAN, 9.0) && is_diverged(f64::INFINITY, 9.0) && is_diverged(1e8, 9.0));
        assert!(!is_diverged(780.0, 9.0) && !is_diverged(0.0, 0.0) && !is_diverged(1e5, 0.0));
    }
}
