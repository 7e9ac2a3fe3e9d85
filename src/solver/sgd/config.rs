//! The `[solver.sgd]` table, with the number of steps and the learning rate of each that follow from it.

use super::optimizer::OptimizerName;
use super::options::{
    AdaGradOptions, AdafactorOptions, AdamOptions, AdanOptions, LambOptions, LionOptions, MomentumOptions, MuonOptions,
    RmsPropOptions, table,
};
use super::sampler::Sampling;
use super::schedule::{DecayOptions, ExponentialOptions, Schedule, StepOptions};
use crate::bounded::{NonNegative, Positive};
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;

table! {
/// The `[solver.sgd]` table.
pub struct SgdConfig {
    /// The optimiser.
    pub optimizer: OptimizerName = OptimizerName::Sgd,
    /// η.
    pub learning_rate: Positive = Positive::new(0.01).unwrap_or_else(|_| unreachable!("0.01 is positive")),
    /// η over the run.
    pub schedule: Schedule = Schedule::Constant,
    /// Steps over which η rises from η/warmup_steps before the schedule begins; for `noam`, the step of the largest rate.
    pub warmup_steps: usize = 0,
    /// The largest Euclidean norm of a parameter's gradient; larger ones are scaled down to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<Positive> = None,
    /// The largest size of a cell of the gradient; larger ones are cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_value: Option<Positive> = None,
    /// Rows a step.
    pub batch_size: NonZeroUsize = NonZeroUsize::MIN.saturating_add(127),
    /// Method of drawing batches.
    pub sampling: Sampling = Sampling::Shuffle,
    /// Steps to make; or `epochs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<NonZeroUsize> = None,
    /// Passes over the training rows to make; or `steps`. 10 where neither is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<Positive> = None,
    /// Standard deviation of the initial weights and bias.
    pub init_std: NonNegative = NonNegative::new(0.0).unwrap_or_else(|_| unreachable!("0 is not negative")),
    /// Steps between two logged losses.
    pub log_every: NonZeroUsize = NonZeroUsize::MIN.saturating_add(99),
    /// Megabytes (10⁶ bytes) of rows that may stay on a GPU; more are moved batch by batch.
    pub resident_mb: usize = 2_000,
    /// Options of `momentum`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<MomentumOptions> = None,
    /// Options of `nesterov`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nesterov: Option<MomentumOptions> = None,
    /// Options of `adam`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adam: Option<AdamOptions> = None,
    /// Options of `adamw`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adamw: Option<AdamOptions> = None,
    /// Options of `rmsprop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rmsprop: Option<RmsPropOptions> = None,
    /// Options of `adagrad`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adagrad: Option<AdaGradOptions> = None,
    /// Options of `lion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lion: Option<LionOptions> = None,
    /// Options of `adan`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adan: Option<AdanOptions> = None,
    /// Options of `lamb`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lamb: Option<LambOptions> = None,
    /// Options of `adafactor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adafactor: Option<AdafactorOptions> = None,
    /// Options of `muon`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub muon: Option<MuonOptions> = None,
    /// Options of `linear`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linear: Option<DecayOptions> = None,
    /// Options of `cosine`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cosine: Option<DecayOptions> = None,
    /// Options of `exponential`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exponential: Option<ExponentialOptions> = None,
    /// Options of `step`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<StepOptions> = None,
}
}

impl SgdConfig {
    /// Rows of a step out of `n` training rows.
    fn rows_per_step(&self, n: usize) -> usize {
        match self.sampling {
            Sampling::Shuffle => self.batch_size.get().min(n),
            Sampling::WithReplacement => self.batch_size.get(),
        }
    }

    /// The number of steps for `n` training rows.
    #[must_use]
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn total_steps(&self, n: usize) -> u64 {
        if let Some(steps) = self.steps {
            return steps.get() as u64;
        }
        let epochs = self.epochs.map_or(10.0, Positive::get);
        let batch = self.rows_per_step(n);
        let per_epoch = match self.sampling {
            Sampling::Shuffle => n.div_ceil(batch) as f64,
            Sampling::WithReplacement => n as f64 / batch as f64,
        };
        ((epochs * per_epoch).round() as u64).max(1)
    }

    /// Passes over `n` training rows after `steps` steps.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn epochs_after(&self, steps: u64, n: usize) -> f64 {
        let batch = self.rows_per_step(n);
        match self.sampling {
            Sampling::WithReplacement => steps as f64 * batch as f64 / n as f64,
            Sampling::Shuffle => {
                let per_epoch = n.div_ceil(batch) as u64;
                let rows = ((steps % per_epoch) * batch as u64) as f64;
                (steps / per_epoch) as f64 + rows / n as f64
            }
        }
    }

    /// The learning rate of step `step` of `steps`: η times the factor of warm-up and schedule.
    #[must_use]
    pub fn learning_rate_at(&self, step: u64, steps: u64) -> f64 {
        self.learning_rate.get() * self.rate_factor(step, steps)
    }

    /// Whether the loss of a step is logged: every `log_every` steps, and that of the last.
    pub(super) fn is_logged(&self, step: u64, steps: u64) -> bool {
        step.is_multiple_of(self.log_every.get() as u64) || step + 1 == steps
    }

    /// The names of the option tables that are set but belong to no optimiser or schedule in use, with what is in use.
    #[must_use]
    pub fn idle_table(&self) -> Option<(&'static str, &'static str, &'static str)> {
        let idle = |tables: Vec<&'static str>, own: &'static str| tables.into_iter().find(|table| *table != own);
        let (optimizer, schedule) = (self.optimizer.name(), self.schedule.name());
        idle(self.optimizer_tables(), optimizer)
            .map(|table| (table, "optimizer", optimizer))
            .or_else(|| idle(self.schedule_tables(), schedule).map(|table| (table, "schedule", schedule)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_and_epochs_agree() {
        let shuffle = SgdConfig { batch_size: NonZeroUsize::new(30).unwrap(), ..SgdConfig::default() };
        assert_eq!(shuffle.total_steps(100), 40);
        assert!(
            (shuffle.epochs_after(4, 100) - 1.0).abs() < 1e-12 && (shuffle.epochs_after(5, 100) - 1.3).abs() < 1e-12
        );
        let notebook = SgdConfig {
            batch_size: NonZeroUsize::new(200).unwrap(),
            sampling: Sampling::WithReplacement,
            steps: NonZeroUsize::new(1500),
            ..SgdConfig::default()
        };
        assert_eq!(notebook.total_steps(49_000), 1500);
        assert!((notebook.epochs_after(1500, 49_000) - 6.122_448_979).abs() < 1e-6);
    }
}
