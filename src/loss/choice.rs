//! The losses as the configuration spells them: the `[loss.*]` tables.

use super::{Formulation, Loss, Power};
use crate::bounded::{NonNegative, Positive};
use crate::visible;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

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
    /// n / (n_classes · n_k), with n and n_k the sums of the row weights of all training rows and of those of a class: a row of
    /// weight 2 counts as two.
    #[must_use]
    pub const fn balanced() -> Self {
        Self::Named(NamedClassWeights::Balanced)
    }

    /// One weight a class, or `None` where all are 1.
    ///
    /// `totals` are the row weights of each class in the training split, summed: its rows where they have none.
    ///
    /// # Errors
    /// [`LossMisfit::UnknownClass`]
    #[allow(clippy::cast_precision_loss)]
    pub fn resolve(&self, class_names: &[String], totals: &[f64]) -> Result<Option<Vec<f64>>, LossMisfit> {
        match self {
            Self::Named(NamedClassWeights::None) => Ok(None),
            Self::Named(NamedClassWeights::Balanced) => {
                let (n, k) = (totals.iter().sum::<f64>(), totals.len() as f64);
                Ok(Some(totals.iter().map(|&n_k| if n_k == 0.0 { 0.0 } else { n / (k * n_k) }).collect()))
            }
            Self::Table(table) => {
                let mut weights = vec![1.0; class_names.len()];
                for (name, weight) in table {
                    weights[class_of(name, class_names, "class_weights")?] = weight.get();
                }
                Ok(Some(weights))
            }
        }
    }
}

/// `costs` of the configuration: Δ(y, j) of a label y and another class j.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected the path of a csv file or a table of numbers, 0 or more, such as `{ cat = { dog = 2.0 } }`"
)]
pub enum CostSource {
    /// A csv file with the names of the classes in its first row and its first column, which the program reads.
    File(PathBuf),
    /// Some costs by the names of label and class; those that are not named are 1.
    Table(BTreeMap<String, BTreeMap<String, NonNegative>>),
}

/// The keys of `[loss.weston_watkins]` and `[loss.crammer_singer]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DifferenceOptions {
    /// The margin Δ.
    pub margin: Positive,
    /// 1 or 2.
    pub power: Power,
    /// γ of Nesterov's smoothing; 0 is none.
    pub smoothing: NonNegative,
    /// `none`, `balanced` or a table.
    pub class_weights: ClassWeights,
    /// Costs in the place of the margin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub costs: Option<CostSource>,
}

/// The keys of `[loss.one_vs_rest]`.
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

impl Default for DifferenceOptions {
    fn default() -> Self {
        let MarginOptions { margin, power, smoothing, class_weights } = MarginOptions::default();
        Self { margin, power, smoothing, class_weights, costs: None }
    }
}

/// The keys of `[loss.top_k]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopKOptions {
    /// Number of worst classes that are charged.
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
    WestonWatkins(DifferenceOptions),
    /// `[loss.crammer_singer]`
    CrammerSinger(DifferenceOptions),
    /// `[loss.one_vs_rest]`
    OneVsRest(MarginOptions),
    /// `[loss.top_k]`
    TopK(TopKOptions),
}

/// Weston-Watkins with margin 1 and power 1.
impl Default for LossConfig {
    fn default() -> Self {
        Self::WestonWatkins(DifferenceOptions::default())
    }
}

/// A `[loss.*]` table that does not fit the classes of the data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LossMisfit {
    /// A key names no class.
    #[error("{key}: `{}` is not a class", visible::short(.name))]
    UnknownClass {
        /// The key.
        key: &'static str,
        /// The name.
        name: String,
    },
    /// There are fewer other classes than `k`.
    #[error("k: found {k}, expected at most {others}, the number of classes less one")]
    K {
        /// The value of `k`.
        k: usize,
        /// Classes besides the label's.
        others: usize,
    },
    /// A value is out of its range.
    #[error("{0}")]
    Value(String),
}

impl LossMisfit {
    /// Advice for the user.
    #[must_use]
    pub fn hint(&self, class_names: &[String]) -> String {
        match self {
            Self::UnknownClass { .. } => format!("the classes are {}", visible::listed(class_names)),
            Self::K { others, .. } => {
                format!("k = 1 is [loss.crammer_singer]; k = {others} is [loss.weston_watkins] divided by {others}")
            }
            Self::Value(_) => "the reference of the configuration states every range".into(),
        }
    }
}

/// The index of a class that a key names.
fn class_of(name: &str, class_names: &[String], key: &'static str) -> Result<usize, LossMisfit> {
    let unknown = || LossMisfit::UnknownClass { key, name: name.to_owned() };
    class_names.iter().position(|class| class == name).ok_or_else(unknown)
}

/// Costs of a table for all pairs, 1 where it names none.
fn costs_of(
    table: &BTreeMap<String, BTreeMap<String, NonNegative>>,
    names: &[String],
) -> Result<Vec<Vec<f64>>, LossMisfit> {
    let k = names.len();
    let mut rows: Vec<Vec<f64>> = (0..k).map(|y| (0..k).map(|j| f64::from(u8::from(y != j))).collect()).collect();
    for (label, costs) in table {
        let y = class_of(label, names, "costs")?;
        for (class, cost) in costs {
            let j = class_of(class, names, "costs")?;
            if j == y && cost.get() != 0.0 {
                let found = format!("costs.{label}: found {} for the class itself, expected 0 or nothing", cost.get());
                return Err(LossMisfit::Value(visible::name(&found).into_owned()));
            }
            rows[y][j] = cost.get();
        }
    }
    Ok(rows)
}

impl LossConfig {
    /// `[loss.a], [loss.b] or [loss.c]`: all of its tables.
    #[must_use]
    pub fn tables() -> String {
        let tables = Formulation::ALL.map(|formulation| format!("[loss.{}]", formulation.name())).join(", ");
        tables.rsplit_once(", ").map_or_else(String::new, |(others, last)| format!("{others} or {last}"))
    }

    /// Whether class weights depend on the rows.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        matches!(self.parts().1, ClassWeights::Named(NamedClassWeights::Balanced))
    }

    /// The loss without its class weights and costs, and these.
    fn parts(&self) -> (Loss, &ClassWeights, Option<&CostSource>) {
        let hinge = |loss: Loss, margin: Positive, power: Power, smoothing: NonNegative| {
            loss.margin(margin.get()).power(power).smoothing(smoothing.get())
        };
        let difference = |loss: Loss, o: &DifferenceOptions| hinge(loss, o.margin, o.power, o.smoothing);
        match self {
            Self::WestonWatkins(o) => (difference(Loss::weston_watkins(), o), &o.class_weights, o.costs.as_ref()),
            Self::CrammerSinger(o) => (difference(Loss::crammer_singer(), o), &o.class_weights, o.costs.as_ref()),
            Self::OneVsRest(o) => (hinge(Loss::one_vs_rest(), o.margin, o.power, o.smoothing), &o.class_weights, None),
            Self::TopK(o) => (hinge(Loss::top_k(o.k.get()), o.margin, Power::One, o.smoothing), &o.class_weights, None),
        }
    }

    /// The loss without its class weights and costs.
    #[must_use]
    pub fn unweighted(&self) -> Loss {
        self.parts().0
    }

    /// The file of the costs, where there is one, to be found and read by the program.
    pub const fn cost_file_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::WestonWatkins(DifferenceOptions { costs: Some(CostSource::File(path)), .. })
            | Self::CrammerSinger(DifferenceOptions { costs: Some(CostSource::File(path)), .. }) => Some(path),
            Self::WestonWatkins(_) | Self::CrammerSinger(_) | Self::OneVsRest(_) | Self::TopK(_) => None,
        }
    }

    /// The loss with its class weights counted out and its costs; those of a file are what it holds, `[n_classes][n_classes]`.
    ///
    /// # Errors
    /// [`LossMisfit`] when `class_weights`, `costs` or `k` do not fit the classes.
    pub fn resolve(
        &self,
        class_names: &[String],
        totals: &[f64],
        file: Option<&[Vec<f64>]>,
    ) -> Result<Loss, LossMisfit> {
        let (mut loss, weights, costs) = self.parts();
        loss.class_weights = weights.resolve(class_names, totals)?;
        match (costs, file) {
            (None, _) => (),
            (Some(CostSource::Table(table)), _) => loss = loss.costs(&costs_of(table, class_names)?),
            (Some(CostSource::File(_)), Some(costs)) => loss = loss.costs(costs),
            (Some(CostSource::File(path)), None) => {
                return Err(LossMisfit::Value(format!(
                    "costs: `{}` was not read",
                    visible::short(&path.display().to_string())
                )));
            }
        }
        loss.check(class_names.len())?;
        Ok(loss)
    }
}
