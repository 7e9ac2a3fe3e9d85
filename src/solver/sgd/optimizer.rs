//! Burn's optimisers by name, each with a table of its own options.
//!
//! Adding one is a variant, its options and an arm of [`SgdConfig::build_optimizer`]. No weight decay is ever set: the
//! regulariser is part of the objective. Defaults are PyTorch's where Burn's differ (dampening 0, epsilon 1e-8).

use super::SgdConfig;
use crate::bounded::{Fraction, Positive};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{
    AdaGradConfig, AdamConfig, AdamWConfig, LionConfig, ModuleOptimizer, RmsPropConfig, SgdConfig as Sgd,
};
use serde::{Deserialize, Serialize};

/// `optimizer` of `[solver.sgd]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerName {
    /// W ← W − η·g
    #[default]
    Sgd,
    /// Heavy-ball momentum.
    Momentum,
    /// Nesterov's momentum.
    Nesterov,
    /// Adam.
    Adam,
    /// Adam with decoupled weight decay (set to 0: the objective regularises).
    AdamW,
    /// RMSProp.
    RmsProp,
    /// AdaGrad.
    AdaGrad,
    /// Lion.
    Lion,
}

impl OptimizerName {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Sgd, Self::Momentum, Self::Nesterov, Self::Adam, Self::AdamW, Self::RmsProp, Self::AdaGrad, Self::Lion];

    /// The name as the configuration spells it; also the name of the table of its options.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sgd => "sgd",
            Self::Momentum => "momentum",
            Self::Nesterov => "nesterov",
            Self::Adam => "adam",
            Self::AdamW => "adamw",
            Self::RmsProp => "rmsprop",
            Self::AdaGrad => "adagrad",
            Self::Lion => "lion",
        }
    }
}

fn fraction(value: f64) -> Fraction {
    Fraction::new(value).unwrap_or_else(|_| unreachable!("a default in range"))
}

fn positive(value: f64) -> Positive {
    Positive::new(value).unwrap_or_else(|_| unreachable!("a default in range"))
}

/// `[solver.sgd.momentum]` and `[solver.sgd.nesterov]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MomentumOptions {
    /// The share of the last step that is kept.
    pub momentum: Fraction,
    /// How much the new gradient is damped.
    pub dampening: Fraction,
}

impl Default for MomentumOptions {
    fn default() -> Self {
        Self { momentum: fraction(0.9), dampening: fraction(0.0) }
    }
}

/// `[solver.sgd.adam]` and `[solver.sgd.adamw]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamOptions {
    /// Decay of the first moment.
    pub beta_1: Fraction,
    /// Decay of the second moment.
    pub beta_2: Fraction,
    /// Added to the root of the second moment.
    pub epsilon: Positive,
    /// Whether the second moment never shrinks.
    pub amsgrad: bool,
}

impl Default for AdamOptions {
    fn default() -> Self {
        Self { beta_1: fraction(0.9), beta_2: fraction(0.999), epsilon: positive(1e-8), amsgrad: false }
    }
}

/// `[solver.sgd.rmsprop]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RmsPropOptions {
    /// Decay of the mean square.
    pub alpha: Fraction,
    /// The share of the last step that is kept.
    pub momentum: Fraction,
    /// Added to the root of the mean square.
    pub epsilon: Positive,
    /// Whether the mean is subtracted from the mean square.
    pub centered: bool,
}

impl Default for RmsPropOptions {
    fn default() -> Self {
        Self { alpha: fraction(0.99), momentum: fraction(0.0), epsilon: positive(1e-8), centered: false }
    }
}

/// `[solver.sgd.adagrad]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdaGradOptions {
    /// The learning rate is divided by 1 + step·lr_decay.
    pub lr_decay: Fraction,
    /// Added to the root of the sum of squares.
    pub epsilon: Positive,
}

impl Default for AdaGradOptions {
    fn default() -> Self {
        Self { lr_decay: fraction(0.0), epsilon: positive(1e-10) }
    }
}

/// `[solver.sgd.lion]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LionOptions {
    /// How the update mixes momentum and gradient.
    pub beta_1: Fraction,
    /// Decay of the momentum.
    pub beta_2: Fraction,
}

impl Default for LionOptions {
    fn default() -> Self {
        Self { beta_1: fraction(0.9), beta_2: fraction(0.99) }
    }
}

#[allow(clippy::cast_possible_truncation)]
const fn single(value: f64) -> f32 {
    value as f32
}

impl SgdConfig {
    /// The names of the optimiser tables that are set; at most the one of the optimiser in use may be.
    #[must_use]
    pub fn option_tables(&self) -> Vec<&'static str> {
        [
            ("momentum", self.momentum.is_some()),
            ("nesterov", self.nesterov.is_some()),
            ("adam", self.adam.is_some()),
            ("adamw", self.adamw.is_some()),
            ("rmsprop", self.rmsprop.is_some()),
            ("adagrad", self.adagrad.is_some()),
            ("lion", self.lion.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, set)| set.then_some(name))
        .collect()
    }

    /// The Burn optimiser that the table names.
    #[must_use]
    pub fn build_optimizer(&self) -> ModuleOptimizer {
        let momentum = |options: &Option<MomentumOptions>, nesterov| {
            let o = options.clone().unwrap_or_default();
            let config = MomentumConfig { momentum: o.momentum.get(), dampening: o.dampening.get(), nesterov };
            Sgd::new().with_momentum(Some(config)).init()
        };
        match self.optimizer {
            OptimizerName::Sgd => Sgd::new().init(),
            OptimizerName::Momentum => momentum(&self.momentum, false),
            OptimizerName::Nesterov => momentum(&self.nesterov, true),
            OptimizerName::Adam => {
                let o = self.adam.clone().unwrap_or_default();
                AdamConfig::new()
                    .with_beta_1(single(o.beta_1.get()))
                    .with_beta_2(single(o.beta_2.get()))
                    .with_epsilon(single(o.epsilon.get()))
                    .with_amsgrad(o.amsgrad)
                    .init()
            }
            OptimizerName::AdamW => {
                let o = self.adamw.clone().unwrap_or_default();
                AdamWConfig::new()
                    .with_beta_1(single(o.beta_1.get()))
                    .with_beta_2(single(o.beta_2.get()))
                    .with_epsilon(single(o.epsilon.get()))
                    .with_amsgrad(o.amsgrad)
                    .with_weight_decay(0.0)
                    .init()
            }
            OptimizerName::RmsProp => {
                let o = self.rmsprop.clone().unwrap_or_default();
                RmsPropConfig::new()
                    .with_alpha(single(o.alpha.get()))
                    .with_momentum(single(o.momentum.get()))
                    .with_epsilon(single(o.epsilon.get()))
                    .with_centered(o.centered)
                    .init()
            }
            OptimizerName::AdaGrad => {
                let o = self.adagrad.clone().unwrap_or_default();
                AdaGradConfig::new().with_lr_decay(o.lr_decay.get()).with_epsilon(single(o.epsilon.get())).init()
            }
            OptimizerName::Lion => {
                let o = self.lion.clone().unwrap_or_default();
                LionConfig::new().with_beta_1(single(o.beta_1.get())).with_beta_2(single(o.beta_2.get())).init()
            }
        }
    }
}
