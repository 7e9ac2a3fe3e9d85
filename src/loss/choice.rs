//! The losses as the configuration spells them: the `[loss.*]` tables.

use super::{Loss, Power};
use crate::bounded::{NonNegative, Positive};
use crate::visible;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;

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
    K {
        /// What was asked for.
        k: usize,
        /// Classes besides the label's.
        others: usize,
    },
    /// A value is out of its range.
    #[error("{0}")]
    Value(String),
}

impl LossMisfit {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self, class_names: &[String]) -> String {
        match self {
            Self::UnknownClass(_) => format!("the classes are {}", visible::listed(class_names)),
            Self::K { others, .. } => {
                format!("k = 1 is [loss.crammer_singer]; k = {others} is [loss.weston_watkins] divided by {others}")
            }
            Self::Value(_) => "configs/reference.toml states every range".into(),
        }
    }
}

impl LossConfig {
    /// The loss without its class weights, and these.
    fn parts(&self) -> (Loss, &ClassWeights) {
        let hinge = |loss: Loss, options: &MarginOptions| {
            loss.margin(options.margin.get()).power(options.power).smoothing(options.smoothing.get())
        };
        match self {
            Self::WestonWatkins(o) => (hinge(Loss::weston_watkins(), o), &o.class_weights),
            Self::CrammerSinger(o) => (hinge(Loss::crammer_singer(), o), &o.class_weights),
            Self::OneVsRest(o) => (hinge(Loss::one_vs_rest(), o), &o.class_weights),
            Self::TopK(o) => {
                let loss = Loss::top_k(o.k.get()).margin(o.margin.get()).smoothing(o.smoothing.get());
                (loss, &o.class_weights)
            }
        }
    }

    /// The loss without its class weights.
    #[must_use]
    pub fn unweighted(&self) -> Loss {
        self.parts().0
    }

    /// The loss with its class weights counted out.
    ///
    /// # Errors
    /// [`LossMisfit`] when `class_weights` or `k` do not fit the classes.
    pub fn resolve(&self, class_names: &[String], counts: &[usize]) -> Result<Loss, LossMisfit> {
        let (mut loss, weights) = self.parts();
        loss.class_weights = weights.resolve(class_names, counts).map_err(LossMisfit::UnknownClass)?;
        loss.check(class_names.len())?;
        Ok(loss)
    }
}
