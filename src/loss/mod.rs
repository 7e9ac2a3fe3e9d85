//! Margin losses: `c·ℓ = max over a in A of Σ_j a_j·G_j − pen(a)`, margins G of a row and a set A with its penalty.
//!
//! Every loss obeys one contract, on every route (autodiff, analytic, host) and every device:
//!
//! - the subgradient at a margin that is exactly met is **0**;
//! - on a tie the **lowest class index** wins;
//! - the true class is masked before any reduction, so that a certain sample has a loss of exactly 0.
//!
//! [`Margins`] is G, [`Set`] is A and pen, [`Loss`] the pair as a value; [`Formulation`] lists the pairs that have a name, each with a
//! Burn module such as [`WestonWatkinsLoss`]. [`MarginLoss`] is the trait for a loss of your own. Imports only `bounded` and `kernel`.

mod block;
mod charge;
mod choice;
pub mod dual;
mod labels;
mod margins;
mod module;
mod proximal;
mod set;
mod smooth;
mod value;

pub use choice::{
    ClassWeights, CostSource, DifferenceOptions, LossConfig, LossMisfit, MarginOptions, NamedClassWeights, TopKOptions,
};
pub use labels::{LabelOutOfRange, check_labels, labels_on};
pub use margins::{Costs, Margins};
pub use module::{
    CrammerSingerLoss, CrammerSingerLossConfig, OneVsRestLoss, OneVsRestLossConfig, TopKLoss, TopKLossConfig,
    WestonWatkinsLoss, WestonWatkinsLossConfig,
};
pub(crate) use proximal::{PieceTensors, Proximal, Response, Room, Targets};
pub use set::{Selection, Set};
pub use value::{Formulation, Loss};

use burn::nn::loss::Reduction;
use burn::tensor::{Int, Tensor};
use charge::Hinge;
#[cfg(test)]
pub(crate) use margins::label_mask;
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
    fn of_tensor(self, z: Tensor<2>) -> Tensor<2> {
        let hinge = burn::tensor::activation::relu(z);
        match self {
            Self::One => hinge,
            Self::Two => hinge.clone().mul(hinge),
        }
    }

    /// The derivative of `max(0, z)^p` of a tensor.
    fn slope_of_tensor(self, z: Tensor<2>) -> Tensor<2> {
        match self {
            Self::One => {
                let dtype = z.dtype();
                z.greater_scalar(0.0).float().cast(dtype)
            }
            Self::Two => burn::tensor::activation::relu(z).mul_scalar(2.0),
        }
    }
}
