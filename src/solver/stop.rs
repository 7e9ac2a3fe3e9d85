//! Why a run ended.

use serde::Serialize;
use std::fmt;

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// All steps or epochs asked for were made.
    Finished,
    /// The relative duality gap that was asked for is proved.
    GapReached,
    /// The last epoch was made before the gap was reached.
    EpochLimit,
    /// The time was up before the gap was reached.
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
            Self::EpochLimit => f.write_str("all epochs made before the gap was reached"),
            Self::TimeLimit => f.write_str("time was up before the gap was reached"),
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
    fn only_senseless_losses_count_as_divergence() {
        assert!(is_diverged(f64::NAN, 9.0) && is_diverged(f64::INFINITY, 9.0) && is_diverged(1e8, 9.0));
        assert!(!is_diverged(780.0, 9.0) && !is_diverged(0.0, 0.0) && !is_diverged(1e5, 0.0));
    }
}
