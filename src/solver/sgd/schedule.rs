//! The learning rate over a run, as a function of the step: nothing to store, and the same at every resume.
//!
//! The factors are those of Burn's schedulers of the same names (a test holds them together), with a warm-up before them as
//! Burn's `sequential` would put it. Burn's own refuse learning rates above 1, which is why they are not called here.

use super::SgdConfig;
use super::options::{fraction, table};
use crate::bounded::{Fraction, Share};
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;

/// `schedule` of `[solver.sgd]`: the learning rate over the run. t counts the steps after the warm-up, T is their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// η
    #[default]
    Constant,
    /// From η to final·η along a line.
    Linear,
    /// From η to final·η along half a cosine.
    Cosine,
    /// η·γᵗ
    Exponential,
    /// η·γ^⌊t/every⌋
    Step,
    /// η·min(t/warmup, √(warmup/t)), t counted from 1: rises, then falls with the root of the steps.
    Noam,
}

table! {
/// `[solver.sgd.linear]` and `[solver.sgd.cosine]`.
pub struct DecayOptions {
    /// The share of η at the end.
    #[serde(rename = "final")]
    pub end: Fraction = fraction(0.0),
}
}

fn share(value: f64) -> Share {
    Share::new(value).unwrap_or_else(|_| unreachable!("a default in range"))
}

table! {
/// `[solver.sgd.exponential]`.
pub struct ExponentialOptions {
    /// The factor of each step.
    pub gamma: Share = share(0.999),
}
}

table! {
/// `[solver.sgd.step]`.
pub struct StepOptions {
    /// Steps between two drops.
    pub every: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999),
    /// The factor of each drop.
    pub gamma: Share = share(0.1),
}
}

impl Schedule {
    /// The name as the configuration spells it; also the name of the table of its options.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Linear => "linear",
            Self::Cosine => "cosine",
            Self::Exponential => "exponential",
            Self::Step => "step",
            Self::Noam => "noam",
        }
    }

    /// Whether the learning rate of a step depends on how many steps there are in all.
    #[must_use]
    pub const fn knows_the_end(self) -> bool {
        match self {
            Self::Linear | Self::Cosine => true,
            Self::Constant | Self::Exponential | Self::Step | Self::Noam => false,
        }
    }
}

impl SgdConfig {
    /// The names of the schedule tables that are set; at most the one of the schedule in use may be.
    #[must_use]
    pub fn schedule_tables(&self) -> Vec<&'static str> {
        [
            ("linear", self.linear.is_some()),
            ("cosine", self.cosine.is_some()),
            ("exponential", self.exponential.is_some()),
            ("step", self.step.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, set)| set.then_some(name))
        .collect()
    }

    /// The factor of the learning rate at step `step` of `steps`.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn rate_factor(&self, step: u64, steps: u64) -> f64 {
        let warmup = self.warmup_steps as u64;
        if self.schedule == Schedule::Noam {
            let (t, warmup) = ((step + 1) as f64, warmup.max(1) as f64);
            return (t / warmup).min((warmup / t).sqrt());
        }
        if step < warmup {
            return (step + 1) as f64 / warmup as f64;
        }
        let step = step - warmup;
        let done = step as f64 / steps.saturating_sub(warmup).max(1) as f64;
        let end = |options: &Option<DecayOptions>| options.clone().unwrap_or_default().end.get();
        match self.schedule {
            Schedule::Constant | Schedule::Noam => 1.0,
            Schedule::Linear => 1.0 - done * (1.0 - end(&self.linear)),
            Schedule::Cosine => {
                let end = end(&self.cosine);
                end + (1.0 - end) * f64::midpoint(1.0, (std::f64::consts::PI * done).cos())
            }
            Schedule::Exponential => self.exponential.clone().unwrap_or_default().gamma.get().powf(step as f64),
            Schedule::Step => {
                let options = self.step.clone().unwrap_or_default();
                options.gamma.get().powf((step / options.every.get() as u64) as f64)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::lr_scheduler::cosine::CosineAnnealingLrSchedulerConfig as BurnCosine;
    use burn::lr_scheduler::exponential::ExponentialLrSchedulerConfig as BurnExponential;
    use burn::lr_scheduler::linear::LinearLrSchedulerConfig as BurnLinear;
    use burn::lr_scheduler::noam::NoamLrSchedulerConfig as BurnNoam;
    use burn::lr_scheduler::sequential::SequentialLrSchedulerConfig;
    use burn::lr_scheduler::step::StepLrSchedulerConfig as BurnStep;
    use burn::lr_scheduler::{LrSchedulerConfig, module_lr_scheduler::ModuleLrScheduler};

    const STEPS: u64 = 40;
    const WARMUP: usize = 8;

    fn config(schedule: Schedule, warmup_steps: usize) -> SgdConfig {
        SgdConfig {
            schedule,
            warmup_steps,
            linear: Some(DecayOptions { end: fraction(0.2) }),
            cosine: Some(DecayOptions { end: fraction(0.1) }),
            exponential: Some(ExponentialOptions { gamma: share(0.9) }),
            step: Some(StepOptions { every: NonZeroUsize::new(7).unwrap(), gamma: share(0.5) }),
            ..SgdConfig::default()
        }
    }

    fn same(config: &SgdConfig, mut theirs: ModuleLrScheduler) {
        for step in 0..STEPS {
            let rate = theirs.step().base();
            let factor = config.rate_factor(step, STEPS);
            assert!((factor - rate).abs() < 1e-12, "{:?} step {step}: {factor} against {rate}", config.schedule);
        }
    }

    /// Burn's schedulers, for T steps after a warm-up.
    fn burns(schedule: Schedule, steps: usize) -> LrSchedulerConfig {
        match schedule {
            Schedule::Constant | Schedule::Noam => LrSchedulerConfig::Constant(1.0),
            Schedule::Linear => LrSchedulerConfig::Linear(BurnLinear::new(1.0, 0.2, steps)),
            Schedule::Cosine => LrSchedulerConfig::Cosine(BurnCosine::new(1.0, steps).with_min_lr(0.1)),
            Schedule::Exponential => LrSchedulerConfig::Exponential(BurnExponential::new(1.0, 0.9)),
            Schedule::Step => LrSchedulerConfig::Step(BurnStep::new(1.0, 7).with_gamma(0.5)),
        }
    }

    #[test]
    fn a_schedule_knows_the_end_where_its_factors_depend_on_it() {
        use Schedule::{Constant, Cosine, Exponential, Linear, Noam, Step};
        for schedule in [Constant, Linear, Cosine, Exponential, Step, Noam] {
            let config = config(schedule, WARMUP);
            let same = (0..STEPS).all(|step| config.rate_factor(step, STEPS) == config.rate_factor(step, 2 * STEPS));
            assert_eq!(same, !schedule.knows_the_end(), "{schedule:?}");
        }
    }

    #[test]
    fn the_factors_are_those_of_burns_schedulers_after_a_warm_up() {
        let steps = STEPS as usize - WARMUP;
        for schedule in [Schedule::Constant, Schedule::Linear, Schedule::Cosine, Schedule::Exponential, Schedule::Step]
        {
            let warm = LrSchedulerConfig::Linear(BurnLinear::new(1.0 / WARMUP as f64, 1.0, WARMUP - 1));
            let theirs = SequentialLrSchedulerConfig::new(vec![warm, burns(schedule, steps)], vec![WARMUP]);
            same(&config(schedule, WARMUP), theirs.init().unwrap());
            let alone = SequentialLrSchedulerConfig::new(vec![burns(schedule, STEPS as usize)], Vec::new());
            same(&config(schedule, 0), alone.init().unwrap());
        }
        // Noam's factor is scaled so that its largest rate is η: factor·min(t^-½, t·w^-1½) with factor = √w.
        let noam = BurnNoam::new((WARMUP as f64).sqrt()).with_warmup_steps(WARMUP).with_model_size(1);
        same(&config(Schedule::Noam, WARMUP), noam.init().unwrap());
    }

    #[test]
    fn schedules_fall_to_nothing_by_default() {
        for schedule in [Schedule::Linear, Schedule::Cosine] {
            let config = SgdConfig { schedule, ..SgdConfig::default() };
            assert!((config.rate_factor(0, 10) - 1.0).abs() < 1e-15);
            assert!((config.rate_factor(5, 10) - 0.5).abs() < 1e-15);
            assert!(config.rate_factor(10, 10).abs() < 1e-15);
        }
    }
}
