//! What the pass on a GPU is asked and what it gives, in every build.

use burn::tensor::Tensor;

/// What may stay on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResidentLimits {
    /// Bytes of all; a matrix that takes more is moved batch by batch. 0: nothing stays.
    pub memory: u64,
    /// Bytes of a buffer, where the device allows more.
    pub buffer: u64,
}

impl Default for ResidentLimits {
    fn default() -> Self {
        Self { memory: 2_000_000_000, buffer: u64::MAX }
    }
}

/// Gradients of the objective on the device.
#[derive(Debug, Clone)]
pub struct DeviceGradient {
    /// (1/n) Σ weight_i·ℓ_i, `[1]`, without the regulariser; where it was asked for.
    pub data_loss: Option<Tensor<1>>,
    /// `[n_features, n_classes]`
    pub weight: Tensor<2>,
    /// `[n_classes]`
    pub bias: Option<Tensor<1>>,
}
