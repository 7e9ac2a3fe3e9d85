//! The objective: the one place that scales anything.
//!
//! ```text
//! P(W, b) = (1/n) Σ_i weight_i · ℓ(s_i, y_i)  +  (λ/2)·‖W‖²  +  (λ/(2B²))·‖b‖²
//! ```
//!
//! n is the number of training rows, whatever their weights; the last term is there when the bias is regularised, with `bias_scale` B. λ is given as
//! `lambda` itself, as CS231n's `reg` (reg·ΣW², so λ = 2·reg), or as LIBLINEAR's `c` (C = 1/(λ·n)).
//! Imports `evaluation` and what lies below it.

mod fused;
mod proof;
mod regulariser;

pub(crate) use fused::{DenseRows, linger};
#[cfg(all(feature = "cube", not(feature = "fusion")))]
pub use fused::{DeviceBatch, DeviceGradient, DevicePass, ResidentLimits};
pub use fused::{FusedGradient, FusedPass, fused_loss};
pub(crate) use proof::{DualBound, DualPoint, DualSums};
pub use regulariser::{Decay, Regulariser};

use crate::bounded::{NonNegative, Positive};
use crate::data::batch::{Batch, Source};
use crate::evaluation::{self, Evaluation};
use crate::kernel::rounding::{Sum, UNIT};
use crate::loss::{Loss, MarginLoss};
use crate::model::{BiasRule, Scorer};
use burn::nn::loss::Reduction;
use burn::tensor::{Int, Tensor};
use serde::de::{self, IntoDeserializer, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The `[objective]` table: exactly one of the three.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ObjectiveConfig {
    /// λ of ½λ‖W‖².
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda: Option<NonNegative>,
    /// CS231n's factor of ‖W‖².
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reg: Option<NonNegative>,
    /// LIBLINEAR's factor of the summed loss, with ½‖W‖² as regulariser; several make a regularisation path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub c: Option<OneOrMany>,
}

/// Numbers of a list: each becomes a model, with a file of its own.
const MOST_VALUES: usize = 1_000;

/// One positive number, or a list of them.
#[derive(Debug, Clone, PartialEq)]
pub struct OneOrMany(Vec<Positive>);

impl OneOrMany {
    /// The numbers from the smallest to the largest, each once.
    #[must_use]
    pub fn ascending(&self) -> Vec<f64> {
        let mut values: Vec<f64> = self.0.iter().map(|v| v.get()).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        values
    }
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number in the range (0, inf) or a list of them")
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<OneOrMany, E> {
                Positive::deserialize(value.into_deserializer()).map(|v| OneOrMany(vec![v]))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<OneOrMany, E> {
                Positive::deserialize(value.into_deserializer()).map(|v| OneOrMany(vec![v]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<OneOrMany, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                    if values.len() > MOST_VALUES {
                        let problem = format!("found more than {MOST_VALUES} numbers: expected at most as many");
                        return Err(de::Error::custom(problem));
                    }
                }
                if values.is_empty() {
                    return Err(de::Error::custom("found an empty list: expected at least one number"));
                }
                Ok(OneOrMany(values))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl Serialize for OneOrMany {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }
}

/// The strength of the regularisation in its three forms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Strength {
    /// λ
    pub lambda: f64,
    /// λ/2
    pub reg: f64,
    /// 1/(λ·n); `None` where λ = 0.
    pub c: Option<f64>,
}

impl Strength {
    /// All forms of a λ for `n_samples` rows.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn of_lambda(lambda: f64, n_samples: usize) -> Self {
        let c = (lambda > 0.0).then(|| 1.0 / (lambda * n_samples as f64));
        Self { lambda, reg: lambda / 2.0, c }
    }
}

impl ObjectiveConfig {
    /// c = 1, where nothing is said.
    #[must_use]
    pub fn first_try() -> Self {
        Self { c: Positive::new(1.0).ok().map(|one| OneOrMany(vec![one])), ..Self::default() }
    }

    /// The names of the keys that are set.
    #[must_use]
    pub fn given(&self) -> Vec<&'static str> {
        let all = [("lambda", self.lambda.is_some()), ("reg", self.reg.is_some()), ("c", self.c.is_some())];
        all.into_iter().filter(|(_, set)| *set).map(|(name, _)| name).collect()
    }

    /// The strengths of a regularisation path from the strongest to the weakest; one where there is no path.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn strengths(&self, n_samples: usize) -> Vec<Strength> {
        let of = |c: f64| Strength { c: Some(c), ..Strength::of_lambda(1.0 / (c * n_samples as f64), n_samples) };
        match &self.c {
            Some(values) => values.ascending().into_iter().map(of).collect(),
            None => vec![self.strength(n_samples)],
        }
    }

    /// True where `c` is a list of different numbers.
    #[must_use]
    pub fn is_path(&self) -> bool {
        self.c.as_ref().is_some_and(|c| c.ascending().len() > 1)
    }

    /// The strength for a training split of `n_samples` rows, the strongest of a path; λ = 0 where nothing is set (the
    /// configuration refuses that).
    ///
    /// The form that the user gave is kept to the last bit; the other two are derived from it.
    #[must_use]
    pub fn strength(&self, n_samples: usize) -> Strength {
        if self.c.is_some() {
            return self.strengths(n_samples)[0];
        }
        let lambda = self.lambda.or(self.reg).map_or(0.0, NonNegative::get);
        Strength::of_lambda(if self.reg.is_some() { 2.0 * lambda } else { lambda }, n_samples)
    }
}

/// The data loss (1/n) Σ weight_i·ℓ_i of a batch of n rows at its scores `[n, n_classes]`, `[1]`.
#[must_use]
pub fn mean_loss(loss: &dyn MarginLoss, scores: Tensor<2>, batch: &Batch) -> Tensor<1> {
    let labels = batch.labels.clone();
    match &batch.weights {
        None => loss.forward(scores, labels, Reduction::Mean),
        Some(weights) => {
            let weights = weights.clone().cast(scores.dtype());
            loss.forward_no_reduction(scores, labels).mul(weights).mean()
        }
    }
}

/// The gradient of [`mean_loss`] with respect to the scores, weight_i·Q_i/n, `[n, n_classes]`.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn mean_loss_gradient(loss: &dyn MarginLoss, scores: Tensor<2>, batch: &Batch) -> Tensor<2> {
    let [n, _] = scores.dims();
    let weights = batch.weights.as_ref().map(|w| w.clone().cast(scores.dtype()).reshape([n, 1]));
    let q = loss.gradient(scores, batch.labels.clone()).div_scalar(n as f64);
    match weights {
        None => q,
        Some(weights) => q.mul(weights),
    }
}

/// Members of a stack that share a loss, in adjacent columns.
#[derive(Debug)]
pub struct MemberBlock {
    /// ℓ
    pub loss: Box<dyn MarginLoss>,
    /// Number of members.
    pub members: usize,
}

/// The scores of each block's members as rows `[n·members, n_classes]`, with the labels and weights that belong to them; the
/// members of a row of the batch stand one after another.
fn rows_of_blocks<'a>(
    blocks: &'a [MemberBlock],
    scores: &Tensor<2>,
    batch: &Batch,
) -> impl Iterator<Item = (&'a MemberBlock, Tensor<2>, Tensor<1, Int>, Option<Tensor<1>>)> {
    let [n, columns] = scores.dims();
    let k = columns / blocks.iter().map(|b| b.members).sum::<usize>().max(1);
    let (scores, batch) = (scores.clone(), batch.clone());
    blocks.iter().scan(0, move |at, block| {
        let m = block.members;
        let part = if m * k == columns { scores.clone() } else { scores.clone().slice([0..n, *at..*at + m * k]) };
        *at += m * k;
        let labels = batch.labels.clone().reshape([n, 1]).expand([n, m]).reshape([n * m]);
        let weights = batch.weights.as_ref().map(|w| {
            let weights = w.clone().cast(part.dtype());
            weights.reshape([n, 1]).expand([n, m]).reshape([n * m])
        });
        Some((block, part.reshape([n * m, k]), labels, weights))
    })
}

/// The data loss of each member of a stack at its scores `[n, members·n_classes]`, `[members]`; of each as [`mean_loss`].
#[must_use]
pub fn block_losses(blocks: &[MemberBlock], scores: Tensor<2>, batch: &Batch) -> Tensor<1> {
    let n = scores.dims()[0];
    let of = |(block, scores, labels, weights): (&MemberBlock, Tensor<2>, Tensor<1, Int>, Option<Tensor<1>>)| {
        let losses = block.loss.forward_no_reduction(scores, labels);
        let losses = weights.map_or(losses.clone(), |w| losses.mul(w));
        losses.reshape([n, block.members]).mean_dim(0).reshape([block.members])
    };
    Tensor::cat(rows_of_blocks(blocks, &scores, batch).map(of).collect(), 0)
}

/// The gradient of each member's data loss with respect to its scores, `[n, members·n_classes]`: by hand, or by autodiff of the loss.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn block_gradient(blocks: &[MemberBlock], scores: Tensor<2>, batch: &Batch, autodiff: bool) -> Tensor<2> {
    let [n, columns] = scores.dims();
    let of = |(block, scores, labels, weights): (&MemberBlock, Tensor<2>, Tensor<1, Int>, Option<Tensor<1>>)| {
        let rows = scores.dims()[0];
        let q = if autodiff {
            let scores = scores.autodiff().require_grad();
            let gradients = block.loss.forward_no_reduction(scores.clone(), labels).sum().backward();
            // A loss that is constant leaves no gradient behind.
            scores.grad(&gradients).unwrap_or_else(|| scores.inner().zeros_like())
        } else {
            block.loss.gradient(scores, labels)
        };
        let q = q.div_scalar(n as f64);
        let q = weights.map_or(q.clone(), |w| q.mul(w.reshape([rows, 1])));
        q.reshape([n, columns / blocks.iter().map(|b| b.members).sum::<usize>() * block.members])
    };
    let mut parts: Vec<Tensor<2>> = rows_of_blocks(blocks, &scores, batch).map(of).collect();
    if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 1) }
}

/// Loss, regularisation and bias rule: the function that a solver minimises.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// ℓ with its class weights.
    pub loss: Loss,
    /// λ
    pub lambda: f64,
    /// The bias rule.
    pub bias: BiasRule,
}

impl Objective {
    /// The penalty.
    #[must_use]
    pub const fn regulariser(&self) -> Regulariser {
        Regulariser { lambda: self.lambda, bias: self.bias }
    }

    /// The penalty (λ/2)·‖W‖² + (λ/(2B²))·‖b‖², in f64.
    #[must_use]
    pub fn penalty<T: Copy + Into<f64>>(&self, weight: &[T], bias: Option<&[T]>) -> f64 {
        self.regulariser().penalty(weight, bias)
    }

    /// The objective over the training rows at weights `[n_features, n_classes]` and a bias for preprocessed features, with what the
    /// evaluation of those rows found on the way.
    #[must_use]
    pub(crate) fn measure(
        &self,
        source: Source<'_>,
        rows: &[u32],
        n_classes: usize,
        weight: &[f64],
        bias: Option<&[f64]>,
    ) -> ObjectiveValue {
        let centring = source.scaler.scale.is_none().then(|| source.centring(rows)).flatten();
        let shifted = centring.as_ref().and_then(|scaler| Some(shifted(weight, bias, scaler.mean.as_deref()?)));
        let (scaler, own) = match (&centring, &shifted) {
            (Some(scaler), Some(own)) => (scaler, Some(own.as_slice())),
            _ => (source.scaler, bias),
        };
        let scorer = Scorer::new(weight, own, scaler, n_classes);
        let evaluation = evaluation::of_scorer(Some(&self.loss), &scorer, source, rows, &[]);
        self.with_loss(evaluation, weight, bias)
    }

    /// The objective of rows whose evaluation is known.
    #[must_use]
    pub(crate) fn with_loss(&self, evaluation: Evaluation, weight: &[f64], bias: Option<&[f64]>) -> ObjectiveValue {
        let square = |values: &[f64]| values.iter().map(|v| v * v).collect::<Sum>().value();
        let penalty = self.regulariser().of_squares(square(weight), bias.map_or(0.0, square));
        let (value, above) = (evaluation.data_loss + penalty, evaluation.data_loss_at_most + penalty);
        ObjectiveValue { value, at_most: (above * (1.0 + 16.0 * UNIT)).next_up(), evaluation }
    }
}

/// `b_k + Σ_j m_j w_jk` of every class in twice the digits, rounded once: the bias of the same scores for features less m.
fn shifted(weight: &[f64], bias: Option<&[f64]>, mean: &[f64]) -> Vec<f64> {
    let k = weight.len() / mean.len();
    let of = |class: usize| {
        let mut sum = Sum::default();
        sum.add(bias.map_or(0.0, |bias| bias[class]));
        for (w, m) in weight.chunks_exact(k).zip(mean) {
            let product = m * w[class];
            sum.add(product);
            sum.add(m.mul_add(w[class], -product));
        }
        sum.value()
    };
    (0..k).map(of).collect()
}

/// An objective in f64.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ObjectiveValue {
    /// The value.
    pub value: f64,
    /// An upper bound of that in exact numbers.
    pub at_most: f64,
    /// Of the rows.
    pub evaluation: Evaluation,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_are_one_number() {
        let config = |text: &str| toml::from_str::<ObjectiveConfig>(text).unwrap().strength(49_000);
        let reg = config("reg = 2.5e4");
        assert_eq!((reg.lambda, reg.reg), (5e4, 2.5e4));
        assert!((reg.c.unwrap() - 4.081_632_653e-10).abs() < 1e-19);
        let c = config("c = 0.01");
        assert!((c.lambda - 1.0 / 490.0).abs() < 1e-15 && c.c == Some(0.01));
        assert_eq!(config("lambda = 0.0").c, None);
    }

    #[test]
    fn the_bias_is_penalised_by_its_rule() {
        use crate::loss::{Formulation, Power};
        let objective =
            |bias| Objective { loss: Loss::new(Formulation::OneVsRest, 1.0, Power::One), lambda: 0.5, bias };
        let penalty = |rule| objective(rule).penalty(&[1.0, 2.0], Some(&[4.0]));
        assert_eq!(penalty(BiasRule::Regularised { scale: 1.0 }), 0.25 * 21.0);
        assert_eq!(penalty(BiasRule::Regularised { scale: 2.0 }), 0.25 * 9.0);
        assert_eq!(penalty(BiasRule::Free), 0.25 * 5.0);
    }
}
