//! The losses as the configuration, the model file and the solvers know them: one list of formulations, and a [`Loss`] as a value.

use super::smooth::Smooth;
#[allow(unused_imports)] // for the links of the documentation
use super::{CrammerSinger, OneVsRest, TopK, WestonWatkins};
use super::{
    CrammerSingerConfig, MarginLoss, OneVsRestConfig, Power, TopKConfig, WestonWatkinsConfig, crammer_singer,
    one_vs_rest, top_k, weston_watkins,
};
use crate::bounded::{NonNegative, Positive};
use crate::visible;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;

/// The formulations, in the order of the documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Formulation {
    /// Σ over the other classes: [`WestonWatkins`].
    WestonWatkins,
    /// The worst other class: [`CrammerSinger`].
    CrammerSinger,
    /// One binary hinge a class: [`OneVsRest`].
    OneVsRest,
    /// The mean of the k worst other classes: [`TopK`].
    TopK,
}

impl Formulation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::WestonWatkins, Self::CrammerSinger, Self::OneVsRest, Self::TopK];

    /// The name as the configuration spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WestonWatkins => "weston_watkins",
            Self::CrammerSinger => "crammer_singer",
            Self::OneVsRest => "one_vs_rest",
            Self::TopK => "top_k",
        }
    }

    /// The powers of a margin that it is defined for.
    #[must_use]
    pub const fn powers(self) -> &'static [Power] {
        match self {
            Self::WestonWatkins | Self::CrammerSinger | Self::OneVsRest => &[Power::One, Power::Two],
            Self::TopK => &[Power::One],
        }
    }
}

/// `class_weights` of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected `\"none\"`, `\"balanced\"` or a table of positive numbers such as `{ cat = 2.0 }`"
)]
pub enum ClassWeights {
    /// `"none"` or `"balanced"`.
    Named(NamedClassWeights),
    /// A weight for some classes by name; the others keep 1.
    Table(BTreeMap<String, Positive>),
}

impl Default for ClassWeights {
    fn default() -> Self {
        Self::Named(NamedClassWeights::None)
    }
}

/// The class weights that have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NamedClassWeights {
    /// 1 for every class.
    None,
    /// n / (n_classes · n_k), with n and n_k counted on the training split.
    Balanced,
}

impl ClassWeights {
    /// One weight a class, or `None` where all are 1.
    ///
    /// `counts` are the rows of each class in the training split.
    ///
    /// # Errors
    /// The name in the table that is not a class.
    #[allow(clippy::cast_precision_loss)]
    pub fn resolve(&self, class_names: &[String], counts: &[usize]) -> Result<Option<Vec<f64>>, String> {
        match self {
            Self::Named(NamedClassWeights::None) => Ok(None),
            Self::Named(NamedClassWeights::Balanced) => {
                let n = counts.iter().sum::<usize>() as f64;
                let k = counts.len() as f64;
                Ok(Some(counts.iter().map(|&c| if c == 0 { 0.0 } else { n / (k * c as f64) }).collect()))
            }
            Self::Table(table) => {
                let mut weights = vec![1.0; class_names.len()];
                for (name, weight) in table {
                    let class = class_names.iter().position(|c| c == name).ok_or_else(|| name.clone())?;
                    weights[class] = weight.get();
                }
                Ok(Some(weights))
            }
        }
    }
}

/// The keys of a `[loss.*]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MarginOptions {
    /// The margin Δ.
    pub margin: Positive,
    /// 1 or 2.
    pub power: Power,
    /// γ of Nesterov's smoothing; 0 is none.
    pub smoothing: NonNegative,
    /// `none`, `balanced` or a table.
    pub class_weights: ClassWeights,
}

fn one() -> Positive {
    Positive::new(1.0).unwrap_or_else(|_| unreachable!("1 is positive"))
}

fn zero() -> NonNegative {
    NonNegative::new(0.0).unwrap_or_else(|_| unreachable!("0 is not negative"))
}

impl Default for MarginOptions {
    fn default() -> Self {
        Self { margin: one(), power: Power::One, smoothing: zero(), class_weights: ClassWeights::default() }
    }
}

/// The keys of `[loss.top_k]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopKOptions {
    /// How many of the worst classes are charged.
    pub k: NonZeroUsize,
    /// The margin Δ.
    #[serde(default = "one")]
    pub margin: Positive,
    /// γ of Nesterov's smoothing; 0 is none.
    #[serde(default = "zero")]
    pub smoothing: NonNegative,
    /// `none`, `balanced` or a table.
    #[serde(default)]
    pub class_weights: ClassWeights,
}

/// The `[loss]` table: exactly one formulation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossConfig {
    /// `[loss.weston_watkins]`
    WestonWatkins(MarginOptions),
    /// `[loss.crammer_singer]`
    CrammerSinger(MarginOptions),
    /// `[loss.one_vs_rest]`
    OneVsRest(MarginOptions),
    /// `[loss.top_k]`
    TopK(TopKOptions),
}

/// A `[loss.*]` table that does not fit the classes of the data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LossMisfit {
    /// `class_weights` names what is no class.
    #[error("class_weights: `{}` is not a class", visible::short(.0))]
    UnknownClass(String),
    /// There are fewer other classes than `k`.
    #[error("k: found {k}, expected at most {others}, the number of classes less one")]
    TooFewClasses {
        /// What was asked for.
        k: usize,
        /// Classes besides the label's.
        others: usize,
    },
}

impl LossMisfit {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self, class_names: &[String]) -> String {
        match self {
            Self::UnknownClass(_) => format!("the classes are {}", visible::listed(class_names)),
            Self::TooFewClasses { others, .. } => {
                format!("k = 1 is [loss.crammer_singer]; k = {others} is [loss.weston_watkins] divided by {others}")
            }
        }
    }
}

impl LossConfig {
    /// The formulation that the table names.
    #[must_use]
    pub const fn formulation(&self) -> Formulation {
        match self {
            Self::WestonWatkins(_) => Formulation::WestonWatkins,
            Self::CrammerSinger(_) => Formulation::CrammerSinger,
            Self::OneVsRest(_) => Formulation::OneVsRest,
            Self::TopK(_) => Formulation::TopK,
        }
    }

    /// The loss without its class weights.
    #[must_use]
    pub fn unweighted(&self) -> Loss {
        match self {
            Self::WestonWatkins(o) | Self::CrammerSinger(o) | Self::OneVsRest(o) => {
                Loss { smoothing: o.smoothing.get(), ..Loss::new(self.formulation(), o.margin.get(), o.power) }
            }
            Self::TopK(o) => {
                let plain = Loss::new(Formulation::TopK, o.margin.get(), Power::One);
                Loss { k: o.k.get(), smoothing: o.smoothing.get(), ..plain }
            }
        }
    }

    /// The loss with its class weights counted out.
    ///
    /// # Errors
    /// [`LossMisfit`] when `class_weights` or `k` do not fit the classes.
    pub fn resolve(&self, class_names: &[String], counts: &[usize]) -> Result<Loss, LossMisfit> {
        let (loss, others) = (self.unweighted(), class_names.len().saturating_sub(1));
        if loss.formulation == Formulation::TopK && loss.k > others {
            return Err(LossMisfit::TooFewClasses { k: loss.k, others });
        }
        let weights = match self {
            Self::WestonWatkins(o) | Self::CrammerSinger(o) | Self::OneVsRest(o) => &o.class_weights,
            Self::TopK(o) => &o.class_weights,
        };
        let class_weights = weights.resolve(class_names, counts).map_err(LossMisfit::UnknownClass)?;
        Ok(Loss { class_weights, ..loss })
    }
}

/// A loss as a value: what the objective, the model file and the solvers pass around.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// Which classes are charged.
    pub formulation: Formulation,
    /// The margin Δ.
    pub margin: f64,
    /// The exponent p.
    pub power: Power,
    /// How many of the worst classes top-k charges, 1 or more; 1 for every other formulation.
    #[serde(default = "one_class", skip_serializing_if = "is_one")]
    pub k: usize,
    /// γ of Nesterov's smoothing, at power 1; 0 is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub smoothing: f64,
    /// One weight a class; `None` where all are 1.
    pub class_weights: Option<Vec<f64>>,
}

const fn one_class() -> usize {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
const fn is_one(k: &usize) -> bool {
    *k == 1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(smoothing: &f64) -> bool {
    *smoothing == 0.0
}

impl fmt::Display for Loss {
    /// `weston_watkins, margin 1, power 2`, with what else is not at its default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.formulation.name())?;
        if self.formulation == Formulation::TopK {
            write!(f, ", k {}", self.k)?;
        }
        write!(f, ", margin {}, power {}", self.margin, i64::from(self.power))?;
        if self.smoothing > 0.0 {
            write!(f, ", smoothing {}", self.smoothing)?;
        }
        Ok(())
    }
}

impl Loss {
    /// A loss without class weights and smoothing; of top-k the one with k = 1.
    #[must_use]
    pub const fn new(formulation: Formulation, margin: f64, power: Power) -> Self {
        Self { formulation, margin, power, k: 1, smoothing: 0.0, class_weights: None }
    }

    /// The Burn module of this loss on a device.
    ///
    /// # Panics
    /// When a value is out of its range, as the power 2 is for top-k and for a smoothed loss.
    #[must_use]
    pub fn init(&self, device: &Device) -> Box<dyn MarginLoss> {
        let power = usize::from(self.power == Power::Two) + 1;
        let weights = self.class_weights.clone();
        macro_rules! module {
            ($config:expr) => {
                Box::new(
                    $config
                        .with_margin(self.margin)
                        .with_smoothing(self.smoothing)
                        .with_class_weights(weights)
                        .init(device),
                )
            };
        }
        match self.formulation {
            Formulation::WestonWatkins => module!(WestonWatkinsConfig::new().with_power(power)),
            Formulation::CrammerSinger => module!(CrammerSingerConfig::new().with_power(power)),
            Formulation::OneVsRest => module!(OneVsRestConfig::new().with_power(power)),
            Formulation::TopK => {
                assert!(self.power == Power::One, "top-k is defined for power 1");
                module!(TopKConfig::new(self.k))
            }
        }
    }

    /// Whether it has a continuous gradient: a smoothed hinge, or the squared hinge where no largest class is taken. The worst
    /// class of Crammer-Singer changes at a tie, and its gradient jumps there at any power.
    #[must_use]
    pub fn is_smooth(&self) -> bool {
        self.smoothing > 0.0 || (self.power == Power::Two && self.formulation != Formulation::CrammerSinger)
    }

    /// The weight of a row with this label.
    #[must_use]
    pub fn class_weight(&self, label: usize) -> f64 {
        self.class_weights.as_ref().map_or(1.0, |w| w[label])
    }

    /// The set of Nesterov's smoothing, where there is one.
    fn smooth(&self) -> Option<Smooth> {
        let top = match self.formulation {
            Formulation::WestonWatkins | Formulation::OneVsRest => None,
            Formulation::CrammerSinger => Some(1),
            Formulation::TopK => Some(self.k),
        };
        (self.smoothing > 0.0).then_some(Smooth { gamma: self.smoothing, top })
    }

    /// The margin of one class: Δ + s_j − s_y, or Δ − f_j·s_j of one-vs-rest; −∞ where the label's own class is not charged.
    fn margin_of(&self, scores: &[f64], label: usize, j: usize) -> f64 {
        match self.formulation {
            Formulation::OneVsRest if j == label => self.margin - scores[j],
            Formulation::OneVsRest => self.margin + scores[j],
            _ if j == label => f64::NEG_INFINITY,
            Formulation::WestonWatkins | Formulation::CrammerSinger | Formulation::TopK => {
                self.margin + scores[j] - scores[label]
            }
        }
    }

    /// The smoothed loss of margins; −∞ where a class is not charged.
    pub(super) fn smoothed_of_margins(&self, margins: &[f64]) -> f64 {
        self.smooth().map_or(f64::NAN, |smooth| smooth.of_row(margins))
    }

    fn margins_of_row(&self, scores: &[f64], label: usize) -> Vec<f64> {
        (0..scores.len()).map(|j| self.margin_of(scores, label, j)).collect()
    }

    /// The loss of one row in f64 on the host, class weight included.
    #[must_use]
    pub fn of_row(&self, scores: &[f64], label: usize) -> f64 {
        let value = match self.formulation {
            _ if self.smoothing > 0.0 => self.smoothed_of_margins(&self.margins_of_row(scores, label)),
            Formulation::WestonWatkins => weston_watkins::of_row(scores, label, self.margin, self.power),
            Formulation::CrammerSinger => crammer_singer::of_row(scores, label, self.margin, self.power),
            Formulation::OneVsRest => one_vs_rest::of_row(scores, label, self.margin, self.power),
            Formulation::TopK => top_k::of_row(scores, label, self.margin, self.k),
        };
        self.class_weight(label) * value
    }

    /// The gradient of [`Loss::of_row`] with respect to the scores, written to `q`.
    pub fn gradient_of_row(&self, scores: &[f64], label: usize, q: &mut [f64]) {
        if let Some(smooth) = self.smooth() {
            q.copy_from_slice(&self.margins_of_row(scores, label));
            smooth.slopes_of_row(q);
            q[label] = match self.formulation {
                Formulation::OneVsRest => -q[label],
                Formulation::WestonWatkins | Formulation::CrammerSinger | Formulation::TopK => -q.iter().sum::<f64>(),
            };
        } else {
            q.copy_from_slice(scores);
            match self.formulation {
                Formulation::WestonWatkins => weston_watkins::charge(q, label, self.margin, self.power),
                Formulation::CrammerSinger => crammer_singer::charge(q, label, self.margin, self.power),
                Formulation::OneVsRest => one_vs_rest::charge(q, label, self.margin, self.power),
                Formulation::TopK => top_k::charge(q, label, self.margin, self.k),
            };
        }
        let weight = self.class_weight(label);
        q.iter_mut().for_each(|v| *v *= weight);
    }

    /// The loss of a row whose scores are all equal, before class weights: (K−1)·Δ^p, Δ^p, K·Δ^p at zero scores or Δ, and what
    /// smoothing leaves of it.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn at_zero(&self, n_classes: usize) -> f64 {
        if self.smoothing > 0.0 {
            return self.smoothed_of_margins(&self.margins_of_row(&vec![0.0; n_classes], 0));
        }
        let unit = self.power.of(self.margin);
        match self.formulation {
            Formulation::WestonWatkins => (n_classes - 1) as f64 * unit,
            Formulation::CrammerSinger | Formulation::TopK => unit,
            Formulation::OneVsRest => n_classes as f64 * unit,
        }
    }
}
