//! The fused pass as a Burn operation with a backward pass of its own.

use crate::loss::Loss;
use crate::model::LinearSvm;
use burn::nn::loss::Reduction;
use burn::tensor::{Int, Tensor};

/// The mean loss of dense rows under a linear model, `(1/n) Σ ℓ(x_i W + b, y_i)`, `[1]`: what
/// `loss.init(&device).forward(model.forward(x), labels, Reduction::Mean)` is, with ∂W and ∂b computed in the same pass.
///
/// One operation with a hand-written backward pass where `x` lies in f32 on Burn's own CPU backend or on a GPU: inside any network, under
/// any optimiser, with a gradient with respect to `x` when that is tracked. On a GPU scores and gradients are Burn's matrix products, and
/// what lies between them is one kernel; top-k and smoothed losses are composed of tensor operations there, as everything is on
/// other backends and in a build with `fusion`. First-order only.
///
/// # Shapes
/// `x` `[n_samples, n_features]`, `labels` `[n_samples]`, values in `0..n_classes`.
///
/// # Panics
/// When a shape does not fit, or, in the fused pass on a CPU, when a label is not a class; on a GPU, which is not waited for, such a label
/// makes the loss NaN.
///
/// ```
/// use burn::tensor::{Distribution, Int, Tensor};
/// use burn_svm::internals::loss::{Formulation, Loss, Power};
/// use burn_svm::internals::{device, model::LinearSvmConfig, objective::fused_loss};
///
/// let device = device::cpu().expect("a CPU backend is compiled in").autodiff();
/// let svm = LinearSvmConfig::new(64, 10).init(&device);
/// let x = Tensor::<2>::random([32, 64], Distribution::Default, &device);
/// let labels = Tensor::<1, Int>::arange(0..32, &device).remainder_scalar(10);
/// let loss = fused_loss(&svm, x, labels, &Loss::new(Formulation::WestonWatkins, 1.0, Power::One));
/// let gradients = loss.backward();
/// assert!(svm.linear.weight.grad(&gradients).is_some());
/// ```
#[must_use]
pub fn fused_loss(model: &LinearSvm, x: Tensor<2>, labels: Tensor<1, Int>, loss: &Loss) -> Tensor<1> {
    #[cfg(any(feature = "flex", all(feature = "cube", not(feature = "fusion"))))]
    if extension::serves(model, &x, loss) {
        return extension::loss(model, x, labels, loss);
    }
    loss.init(&x.device()).forward(model.forward(x), labels, Reduction::Mean)
}

#[cfg(any(feature = "flex", all(feature = "cube", not(feature = "fusion"))))]
mod extension;
#[cfg(feature = "flex")]
mod on_cpu;
#[cfg(all(feature = "cube", not(feature = "fusion")))]
mod on_gpu;
