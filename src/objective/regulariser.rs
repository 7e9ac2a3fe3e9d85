//! The penalty (λ/2)·(‖W‖² + f·‖b‖²) and its gradient λW, λf·b, for slices and for tensors; f by the bias rule.

use crate::model::{BiasRule, LinearSvm};
use burn::module::Param;
use burn::tensor::Tensor;

/// The penalty of an objective.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regulariser {
    /// λ
    pub lambda: f64,
    /// The rule that gives f: 1/B², or 0.
    pub bias: BiasRule,
}

/// Factors of the parameters: those of a gradient, or the shares that a step takes off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decay {
    /// Of W.
    pub weight: f64,
    /// Of b.
    pub bias: f64,
}

impl Regulariser {
    /// The penalty from ‖W‖² and ‖b‖² (0 without a bias).
    #[must_use]
    pub fn of_squares(self, weight: f64, bias: f64) -> f64 {
        // Without a regulariser weights beyond all measure are no loss: 0·∞ would be one.
        if self.lambda == 0.0 { 0.0 } else { self.lambda / 2.0 * (weight + self.bias.penalty_factor() * bias) }
    }

    /// The penalty of parameters, in f64.
    #[must_use]
    pub fn penalty<T: Copy + Into<f64>>(self, weight: &[T], bias: Option<&[T]>) -> f64 {
        let square = |values: &[T]| values.iter().map(|&v| v.into() * v.into()).sum::<f64>();
        self.of_squares(square(weight), bias.map_or(0.0, square))
    }

    /// ηλ and ηλf: a step of gradient descent at the rate η takes these shares off W and b; at η = 1 the gradient is these times W and b.
    #[must_use]
    pub fn decay(self, rate: f64) -> Decay {
        let weight = rate * self.lambda;
        Decay { weight, bias: weight * self.bias.penalty_factor() }
    }

    /// Adds the penalty of `parameters` (`n_weights` of W, then b) to a value, returned, and its gradient to `gradient`.
    #[must_use]
    pub fn added(self, parameters: &[f64], n_weights: usize, value: f64, gradient: &mut [f64]) -> f64 {
        let Decay { weight, bias } = self.decay(1.0);
        gradient.iter_mut().zip(parameters).enumerate().fold(value, |value, (i, (g, x))| {
            let factor = if i < n_weights { weight } else { bias };
            *g += factor * x;
            value + factor * x * x / 2.0
        })
    }

    /// A loss `[1]` plus the penalty of a model, as tensors.
    #[must_use]
    pub fn penalised(self, loss: Tensor<1>, model: &LinearSvm) -> Tensor<1> {
        let Decay { weight: of_weight, bias: of_bias } = self.decay(1.0);
        let mut total = loss;
        if of_weight > 0.0 {
            let weight = model.linear.weight.val();
            total = total.add(weight.clone().mul(weight).sum().mul_scalar(of_weight / 2.0));
        }
        if let Some(bias) = model.linear.bias.as_ref().map(Param::val).filter(|_| of_bias > 0.0) {
            total = total.add(bias.clone().mul(bias).sum().mul_scalar(of_bias / 2.0));
        }
        total
    }

    /// The gradient of a loss by W and b plus that of the penalty of a model, as tensors.
    #[must_use]
    pub fn penalised_gradient(
        self,
        model: &LinearSvm,
        (mut weight, mut bias): (Tensor<2>, Option<Tensor<1>>),
    ) -> (Tensor<2>, Option<Tensor<1>>) {
        let Decay { weight: of_weight, bias: of_bias } = self.decay(1.0);
        if of_weight > 0.0 {
            weight = weight.add(model.linear.weight.val().mul_scalar(of_weight));
        }
        if let (Some(parameter), true) = (&model.linear.bias, of_bias > 0.0) {
            bias = bias.map(|bias| bias.add(parameter.val().mul_scalar(of_bias)));
        }
        (weight, bias)
    }
}
