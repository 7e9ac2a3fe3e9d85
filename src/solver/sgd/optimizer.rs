//! Burn's optimisers by name, each with a table of its own options.
//!
//! Adding one is a variant, its options and an arm of [`SgdConfig::build_optimizer`]. No weight decay is ever set: the
//! regulariser is part of the objective. Burn's remaining optimiser, L-BFGS, makes no minibatch steps; `[solver.lbfgs]` is a
//! solver of its own.

pub use super::options::{
    AdaGradOptions, AdafactorOptions, AdamOptions, AdanOptions, LambOptions, LionOptions, MomentumOptions, MuonOptions,
    MuonRate, RmsPropOptions,
};

use super::SgdConfig;
use super::options::{share, single};
use super::resume::{placed, placed_group};
use burn::grad_clipping::GradientClipping;
use burn::module::ParamGroup;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{
    AdaGradConfig, AdafactorConfig, AdamConfig, AdamWConfig, AdanConfig, AdjustLrFn, LambConfig, LionConfig,
    ModuleOptimizer, MuonConfig, RmsPropConfig, SgdConfig as Sgd,
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
    /// Adan.
    Adan,
    /// LAMB.
    Lamb,
    /// Adafactor.
    Adafactor,
    /// Muon for the weights; AdamW for the bias, which is no matrix.
    Muon,
}

impl OptimizerName {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Sgd,
        Self::Momentum,
        Self::Nesterov,
        Self::Adam,
        Self::AdamW,
        Self::RmsProp,
        Self::AdaGrad,
        Self::Lion,
        Self::Adan,
        Self::Lamb,
        Self::Adafactor,
        Self::Muon,
    ];

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
            Self::Adan => "adan",
            Self::Lamb => "lamb",
            Self::Adafactor => "adafactor",
            Self::Muon => "muon",
        }
    }

    /// Matrices of the size of the weights that it keeps.
    #[must_use]
    pub const fn states(self) -> u8 {
        match self {
            Self::Sgd | Self::Adafactor => 0,
            Self::Momentum | Self::Nesterov | Self::Lion | Self::AdaGrad | Self::RmsProp | Self::Muon => 1,
            Self::Adam | Self::AdamW | Self::Lamb => 2,
            Self::Adan => 4,
        }
    }

    /// Why a cell's update is not a function of that cell's gradients alone; `None` where it is.
    #[must_use]
    pub const fn looks_across(self) -> Option<&'static str> {
        match self {
            Self::Sgd
            | Self::Momentum
            | Self::Nesterov
            | Self::Adam
            | Self::AdamW
            | Self::RmsProp
            | Self::AdaGrad
            | Self::Lion
            | Self::Adan => None,
            Self::Lamb => Some("the optimiser `lamb` looks at the norm of the whole weight matrix"),
            Self::Adafactor => Some("the optimiser `adafactor` looks at rows and columns of the whole gradient"),
            Self::Muon => Some("the optimiser `muon` makes the whole update orthogonal"),
        }
    }
}

/// The path of the bias in [`crate::model::LinearSvm`].
const BIAS: &str = "linear.bias";

impl SgdConfig {
    /// The names of the optimiser tables that are set; at most the one of the optimiser in use may be.
    #[must_use]
    pub fn optimizer_tables(&self) -> Vec<&'static str> {
        [
            ("momentum", self.momentum.is_some()),
            ("nesterov", self.nesterov.is_some()),
            ("adam", self.adam.is_some()),
            ("adamw", self.adamw.is_some()),
            ("rmsprop", self.rmsprop.is_some()),
            ("adagrad", self.adagrad.is_some()),
            ("lion", self.lion.is_some()),
            ("adan", self.adan.is_some()),
            ("lamb", self.lamb.is_some()),
            ("adafactor", self.adafactor.is_some()),
            ("muon", self.muon.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, set)| set.then_some(name))
        .collect()
    }

    /// The clipping that the table asks for; Burn clips each parameter (the weights, the bias) by itself.
    fn clipping(&self) -> Option<GradientClipping> {
        let norm = self.clip_norm.map(|norm| GradientClipping::Norm(single(norm)));
        norm.or_else(|| self.clip_value.map(|value| GradientClipping::Value(single(value))))
    }

    /// The Burn optimiser that the table names.
    #[must_use]
    pub fn build_optimizer(&self) -> ModuleOptimizer {
        let optimizer = match self.optimizer {
            OptimizerName::Sgd => placed(Sgd::new().build()),
            OptimizerName::Momentum => momentum(self.momentum.as_ref(), false),
            OptimizerName::Nesterov => momentum(self.nesterov.as_ref(), true),
            OptimizerName::Adam => {
                let o = self.adam.clone().unwrap_or_default();
                placed(
                    AdamConfig::new()
                        .with_beta_1(share(o.beta_1))
                        .with_beta_2(share(o.beta_2))
                        .with_epsilon(single(o.epsilon))
                        .with_amsgrad(o.amsgrad)
                        .build(),
                )
            }
            OptimizerName::AdamW => placed(adamw(&self.adamw.clone().unwrap_or_default()).build()),
            OptimizerName::RmsProp => {
                let o = self.rmsprop.clone().unwrap_or_default();
                placed(
                    RmsPropConfig::new()
                        .with_alpha(share(o.alpha))
                        .with_momentum(share(o.momentum))
                        .with_epsilon(single(o.epsilon))
                        .with_centered(o.centered)
                        .build(),
                )
            }
            OptimizerName::AdaGrad => {
                let o = self.adagrad.clone().unwrap_or_default();
                placed(AdaGradConfig::new().with_lr_decay(o.lr_decay.get()).with_epsilon(single(o.epsilon)).build())
            }
            OptimizerName::Lion => {
                let o = self.lion.clone().unwrap_or_default();
                placed(LionConfig::new().with_beta_1(share(o.beta_1)).with_beta_2(share(o.beta_2)).build())
            }
            OptimizerName::Adan => {
                let o = self.adan.clone().unwrap_or_default();
                placed(
                    AdanConfig::new()
                        .with_beta_1(share(o.beta_1))
                        .with_beta_2(share(o.beta_2))
                        .with_beta_3(share(o.beta_3))
                        .with_epsilon(single(o.epsilon))
                        .build(),
                )
            }
            OptimizerName::Lamb => {
                let o = self.lamb.clone().unwrap_or_default();
                placed(
                    LambConfig::new()
                        .with_beta_1(share(o.beta_1))
                        .with_beta_2(share(o.beta_2))
                        .with_epsilon(single(o.epsilon))
                        .with_use_trust_ratio(o.trust_ratio)
                        .build(),
                )
            }
            OptimizerName::Adafactor => adafactor(&self.adafactor.clone().unwrap_or_default()),
            OptimizerName::Muon => return self.muon(),
        };
        match self.clipping() {
            None => optimizer,
            Some(clipping) => optimizer.with_grad_clipping(clipping),
        }
    }

    /// Muon makes an update orthogonal, which only a matrix can be: the bias goes by AdamW with its defaults and the same η.
    fn muon(&self) -> ModuleOptimizer {
        let o = self.muon.clone().unwrap_or_default();
        let config = MomentumConfig { momentum: o.momentum.get(), dampening: 0.0, nesterov: o.nesterov };
        let weights = MuonConfig::new()
            .with_momentum(config)
            .with_ns_steps(o.newton_schulz_steps.get())
            .with_adjust_lr_fn(match o.rate {
                MuonRate::Original => AdjustLrFn::Original,
                MuonRate::MatchAdamw => AdjustLrFn::MatchRmsAdamW,
            })
            .build();
        let weights = placed(weights);
        let weights = match self.clipping() {
            None => weights,
            Some(clipping) => weights.with_grad_clipping(clipping),
        };
        weights.with_group(
            ParamGroup::from_path(BIAS),
            placed_group(adamw(&AdamOptions::default()).build()),
            self.clipping(),
        )
    }
}

fn momentum(options: Option<&MomentumOptions>, nesterov: bool) -> ModuleOptimizer {
    let o = options.cloned().unwrap_or_default();
    let config = MomentumConfig { momentum: o.momentum.get(), dampening: o.dampening.get(), nesterov };
    placed(Sgd::new().with_momentum(Some(config)).build())
}

fn adamw(o: &AdamOptions) -> AdamWConfig {
    AdamWConfig::new()
        .with_beta_1(share(o.beta_1))
        .with_beta_2(share(o.beta_2))
        .with_epsilon(single(o.epsilon))
        .with_amsgrad(o.amsgrad)
        .with_weight_decay(0.0)
}

fn adafactor(o: &AdafactorOptions) -> ModuleOptimizer {
    let config = AdafactorConfig::new()
        .with_epsilon_1(single(o.epsilon_1))
        .with_epsilon_2(single(o.epsilon_2))
        .with_clip_threshold(single(o.clip_threshold))
        .with_decay_rate(-o.decay.get())
        .with_relative_step(o.relative_step)
        .with_scale_parameter(o.scale_parameter);
    placed(config.build())
}
