//! Margin losses: one file a formulation, each with its formula, forward pass, analytic gradient and host reference.
//!
//! Every loss obeys one contract, on every route (autodiff, analytic, host) and every device:
//!
//! - the subgradient at a margin that is exactly met is **0**;
//! - on a tie the **lowest class index** wins;
//! - the true class is masked before any reduction, so that a certain sample has a loss of exactly 0.
//!
//! Imports only `bounded` and `kernel`. [`Loss`] is the one list of formulations; [`MarginLoss`] is what a loss of your own implements.

mod block;
mod charge;
mod choice;
pub mod crammer_singer;
pub mod dual;
mod labels;
pub mod one_vs_rest;
mod smooth;
pub mod top_k;
pub mod weston_watkins;

pub use choice::{
    ClassWeights, Formulation, Loss, LossConfig, LossMisfit, MarginOptions, NamedClassWeights, TopKOptions,
};
pub use crammer_singer::{CrammerSinger, CrammerSingerConfig};
pub use labels::{LabelOutOfRange, check_labels, labels_on};
pub use one_vs_rest::{OneVsRest, OneVsRestConfig};
pub use top_k::{TopK, TopKConfig};
pub use weston_watkins::{WestonWatkins, WestonWatkinsConfig};

use burn::nn::loss::Reduction;
use burn::tensor::{Bool, DType, Device, Int, Tensor};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// A loss of scores and labels, with its gradient with respect to the scores.
///
/// Implement it for a loss of your own to check it with [`crate::gradcheck`].
///
/// # Shapes
/// `scores` `[n_samples, n_classes]`, any float type that the device computes in, f16 and bf16 included; `labels` `[n_samples]`, values
/// in `0..n_classes`, which is not checked on the device ([`labels_on`] checks on the host). Losses have the type of the scores: a
/// sum in f16 ends at 65,504.
pub trait MarginLoss: Debug + Send + Sync {
    /// The name as the configuration spells it.
    fn name(&self) -> &'static str;

    /// The loss of each sample, `[n_samples]`, class weights included.
    fn forward_no_reduction(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1>;

    /// The analytic gradient `Q[i, j] = ∂ℓ_i / ∂s_ij`, `[n_samples, n_classes]`, class weights included, not reduced; so that
    /// `∂(Σ ℓ_i)/∂W = XᵀQ`.
    fn gradient(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<2>;

    /// The loss reduced to `[1]`: the sum, or the sum divided by `n_samples` (never by the sum of the weights).
    fn forward(&self, scores: Tensor<2>, labels: Tensor<1, Int>, reduction: Reduction) -> Tensor<1> {
        let loss = self.forward_no_reduction(scores, labels);
        match reduction {
            Reduction::Sum => loss.sum(),
            // Not `sum().div_scalar(n)`: its gradient in Burn 0.22 is rounded to f32, whatever the type of the tensor.
            Reduction::Mean | Reduction::BatchMean | Reduction::Auto => loss.mean(),
        }
    }

    /// The classes at which the loss of one row has a kink somewhere between two score vectors, that is, whose part in the
    /// active pattern differs. A loss without kinks keeps the default, an empty list.
    fn kinks(&self, before: &[f64], after: &[f64], label: usize) -> Vec<usize> {
        let _ = (before, after, label);
        Vec::new()
    }
}

/// The exponent of the margin: 1 is the hinge, 2 the squared hinge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub enum Power {
    /// max(0, z)
    #[default]
    One,
    /// max(0, z)²
    Two,
}

impl TryFrom<i64> for Power {
    type Error = String;
    fn try_from(value: i64) -> Result<Self, String> {
        match value {
            1 => Ok(Self::One),
            2 => Ok(Self::Two),
            other => Err(format!("{other} is not a power of the margin: expected 1 (hinge) or 2 (squared hinge)")),
        }
    }
}

impl From<Power> for i64 {
    fn from(power: Power) -> i64 {
        match power {
            Power::One => 1,
            Power::Two => 2,
        }
    }
}

impl Power {
    /// `max(0, z)^p`
    #[must_use]
    pub fn of(self, z: f64) -> f64 {
        // Not `z.max(0.0)`, which would swallow a NaN.
        let hinge = if z <= 0.0 { 0.0 } else { z };
        match self {
            Self::One => hinge,
            Self::Two => hinge * hinge,
        }
    }

    /// The derivative of `max(0, z)^p`, with slope 0 at `z = 0`.
    #[must_use]
    pub fn slope(self, z: f64) -> f64 {
        match self {
            Self::One => f64::from(u8::from(z > 0.0)),
            Self::Two => {
                if z > 0.0 {
                    2.0 * z
                } else {
                    0.0
                }
            }
        }
    }

    /// `max(0, z)^p` of a tensor. `relu`, not `clamp_min`: its slope at 0 is 0 on every backend.
    pub(crate) fn of_tensor(self, z: Tensor<2>) -> Tensor<2> {
        let hinge = burn::tensor::activation::relu(z);
        match self {
            Self::One => hinge,
            Self::Two => hinge.clone().mul(hinge),
        }
    }

    /// The derivative of `max(0, z)^p` of a tensor.
    pub(crate) fn slope_of_tensor(self, z: Tensor<2>) -> Tensor<2> {
        match self {
            Self::One => {
                let dtype = z.dtype();
                z.greater_scalar(0.0).float().cast(dtype)
            }
            Self::Two => burn::tensor::activation::relu(z).mul_scalar(2.0),
        }
    }
}

/// `true` where a column is the row's label, `[n_samples, n_classes]`; no device synchronisation.
pub(crate) fn label_mask(labels: &Tensor<1, Int>, n_classes: usize) -> Tensor<2, Bool> {
    let [n_samples] = labels.dims();
    index_mask(labels.clone().reshape([n_samples, 1]), n_classes)
}

/// `true` where a column is the row's index; `indices` `[n_samples, 1]`.
pub(crate) fn index_mask(indices: Tensor<2, Int>, n_classes: usize) -> Tensor<2, Bool> {
    let [n_samples, _] = indices.dims();
    let shape = [n_samples, n_classes];
    #[allow(clippy::cast_possible_wrap)]
    let classes = Tensor::<1, Int>::arange(0..n_classes as i64, &indices.device()).reshape([1, n_classes]);
    classes.expand(shape).equal(indices.expand(shape))
}

/// Multiplies each row's loss by the weight of its class.
pub(crate) fn weigh_rows(loss: Tensor<1>, labels: Tensor<1, Int>, weights: Option<&Tensor<1>>) -> Tensor<1> {
    match weights {
        None => loss,
        Some(weights) => {
            let row = weights.clone().select(0, labels).cast(loss.dtype());
            loss.mul(row)
        }
    }
}

/// Multiplies each row of a gradient by the weight of its class.
pub(crate) fn weigh_gradient(q: Tensor<2>, labels: Tensor<1, Int>, weights: Option<&Tensor<1>>) -> Tensor<2> {
    match weights {
        None => q,
        Some(weights) => {
            let [n_samples, _] = q.dims();
            let row = weights.clone().select(0, labels).cast(q.dtype()).reshape([n_samples, 1]);
            q.mul(row)
        }
    }
}

/// Checks what `init` of a loss is given; a wrong value here is a programming error, files are checked on loading.
pub(crate) fn assert_valid(margin: f64, power: usize, class_weights: Option<&[f64]>) -> Power {
    assert!(margin.is_finite() && margin >= 0.0, "the margin must be finite and not negative, got {margin}");
    if let Some(weights) = class_weights {
        assert!(
            weights.iter().all(|w| w.is_finite() && *w >= 0.0),
            "class weights must be finite and not negative, got {weights:?}"
        );
    }
    match power {
        1 => Power::One,
        2 => Power::Two,
        other => panic!("the power of the margin must be 1 or 2, got {other}"),
    }
}

/// Checks γ of a smoothed loss as [`assert_valid`] does; 0 is none.
pub(crate) fn assert_smoothing(smoothing: f64, power: Power) {
    assert!(
        smoothing.is_finite() && smoothing >= 0.0,
        "the smoothing must be finite and not negative, got {smoothing}"
    );
    assert!(smoothing == 0.0 || power == Power::One, "the squared hinge is smooth already: smoothing needs power 1");
}

/// The class weights on a device, in f64 where it has that, so that scores in f64 lose nothing; [`weigh_rows`] casts them to
/// the type of the scores.
pub(crate) fn weights_tensor(class_weights: Option<&Vec<f64>>, device: &Device) -> Option<Tensor<1>> {
    let plain = device.clone().without_autodiff();
    let dtype = if plain.supports_dtype(DType::F64) { DType::F64 } else { DType::F32 };
    class_weights.map(|w| Tensor::<1>::from_data(w.as_slice(), (&plain, dtype)))
}
