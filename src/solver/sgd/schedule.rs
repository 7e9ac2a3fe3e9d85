//! The learning rate over a run.

use serde::{Deserialize, Serialize};

/// `schedule` of `[solver.sgd]`: the learning rate over the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// η
    #[default]
    Constant,
    /// η·(1 − t/T)
    Linear,
    /// η·(1 + cos(πt/T))/2
    Cosine,
}

impl Schedule {
    /// The factor of the learning rate at step `step` of `steps`.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn factor(self, step: u64, steps: u64) -> f64 {
        let done = step as f64 / steps.max(1) as f64;
        match self {
            Self::Constant => 1.0,
            Self::Linear => 1.0 - done,
            Self::Cosine => f64::midpoint(1.0, (std::f64::consts::PI * done).cos()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_start_at_one_and_fall_to_nothing() {
        for schedule in [Schedule::Linear, Schedule::Cosine] {
            assert!((schedule.factor(0, 10) - 1.0).abs() < 1e-15);
            assert!((schedule.factor(5, 10) - 0.5).abs() < 1e-15);
            assert!(schedule.factor(10, 10).abs() < 1e-15);
        }
        assert!((Schedule::Constant.factor(9, 10) - 1.0).abs() < 1e-15);
    }
}
