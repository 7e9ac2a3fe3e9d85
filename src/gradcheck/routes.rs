//! The gradient of the objective by the two routes that training has, on any device and in any precision.

use super::GradcheckError;
use crate::data::batch::Batch;
use crate::loss::MarginLoss;
use crate::model::LinearSvm;
use crate::objective::{Regulariser, mean_loss, mean_loss_gradient};
use burn::module::Param;
use burn::tensor::Tensor;

/// ∂P/∂W `[n_features, n_classes]` and ∂P/∂b `[n_classes]`, row-major, on the host.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Gradient {
    pub weight: Vec<f64>,
    pub bias: Option<Vec<f64>>,
}

impl Gradient {
    /// Weight, then bias.
    pub fn values(&self) -> impl Iterator<Item = f64> + '_ {
        self.weight.iter().chain(self.bias.iter().flatten()).copied()
    }

    /// The Euclidean length.
    pub fn norm(&self) -> f64 {
        self.values().map(|v| v * v).sum::<f64>().sqrt()
    }

    /// ‖self − other‖
    pub fn distance(&self, other: &Self) -> f64 {
        self.values().zip(other.values()).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
    }
}

/// An error that has to be 0 where the scale is.
pub(super) fn relative(distance: f64, scale: f64) -> f64 {
    if distance == 0.0 { 0.0 } else { distance / scale }
}

/// The objective: the mean loss plus the penalty.
pub(super) struct HostObjective<'a> {
    pub loss: &'a dyn MarginLoss,
    pub regulariser: Regulariser,
}

impl HostObjective<'_> {
    /// The gradient by automatic differentiation; `model` lies on an autodiff device.
    pub fn autodiff(
        &self,
        model: &LinearSvm,
        batch: &Batch,
        offset: Option<&Tensor<2>>,
    ) -> Result<Gradient, GradcheckError> {
        let scores = model.scores(&batch.rows, offset);
        let gradients = self.regulariser.penalised(mean_loss(self.loss, scores, batch), model).backward();
        let (weight, bias) = (model.linear.weight.val(), model.linear.bias.as_ref().map(Param::val));
        // A loss that is constant leaves no gradient behind.
        let weight = weight.grad(&gradients).unwrap_or_else(|| weight.inner().zeros_like());
        let bias = bias.map(|bias| bias.grad(&gradients).unwrap_or_else(|| bias.inner().zeros_like()));
        read(weight, bias)
    }

    /// The gradient by hand: XᵀQ/n + λW.
    pub fn analytic(
        &self,
        model: &LinearSvm,
        batch: &Batch,
        offset: Option<&Tensor<2>>,
    ) -> Result<Gradient, GradcheckError> {
        let scores = model.scores(&batch.rows, offset);
        let q = mean_loss_gradient(self.loss, scores, batch);
        let (weight, bias) = self.regulariser.penalised_gradient(model, model.backward(&batch.rows, offset, q));
        read(weight, bias)
    }
}

fn read(weight: Tensor<2>, bias: Option<Tensor<1>>) -> Result<Gradient, GradcheckError> {
    Ok(Gradient { weight: to_host(weight)?, bias: bias.map(to_host).transpose()? })
}

/// The values of a tensor in f64.
pub(super) fn to_host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f64>, GradcheckError> {
    tensor.into_data().try_to_vec_as::<f64>().map_err(|e| GradcheckError::Device(format!("{e:?}")))
}
