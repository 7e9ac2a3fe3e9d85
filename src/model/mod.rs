//! The linear model: a Burn module, the classifier that it becomes once trained, and its file.
//!
//! Imports `data` and what lies below it.

pub mod classifier;
pub mod file;
mod header;
mod origin;
mod scorer;

pub use classifier::Classifier;
pub use header::header_problem;
pub use origin::{Liblinear, LiblinearSolver, Origin, Training};
pub(crate) use scorer::Scorer;

use crate::data::batch::{DeviceFeatures, SparseRows};
use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// Regularisation of the bias.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BiasRule {
    /// The penalty includes λ/(2·scale²)·‖b‖²: the same as a constant feature of value `scale`.
    Regularised {
        /// The value B of the constant feature.
        scale: f64,
    },
    /// A bias without penalty.
    Free,
    /// No bias.
    None,
}

impl BiasRule {
    /// Whether the model has a bias.
    #[must_use]
    pub fn has_bias(self) -> bool {
        !matches!(self, Self::None)
    }

    /// The factor of ‖b‖² relative to that of ‖W‖²: 1/B², or 0.
    #[must_use]
    pub fn penalty_factor(self) -> f64 {
        match self {
            Self::Regularised { scale } => 1.0 / (scale * scale),
            Self::Free | Self::None => 0.0,
        }
    }
}

/// Configuration of [`LinearSvm`].
#[derive(Config, Debug)]
pub struct LinearSvmConfig {
    /// Width of the input.
    pub n_features: usize,
    /// Number of classes.
    pub n_classes: usize,
    /// Whether to add a bias. Default: true.
    #[config(default = true)]
    pub bias: bool,
    /// Initial parameters. Default: zeros; a convex objective has the same optimum from any start.
    #[config(default = "Initializer::Zeros")]
    pub initializer: Initializer,
}

impl LinearSvmConfig {
    /// The module on a device.
    #[must_use]
    pub fn init(&self, device: &Device) -> LinearSvm {
        let linear = LinearConfig::new(self.n_features, self.n_classes)
            .with_bias(self.bias)
            .with_initializer(self.initializer.clone())
            .init(device);
        LinearSvm { linear }
    }
}

/// A linear scorer, `s = xW + b`: the head of any network whose loss is a [`MarginLoss`](crate::MarginLoss).
///
/// ```
/// use burn::tensor::Tensor;
/// use burn_svm::internals::{device, model::LinearSvmConfig};
///
/// let device = device::cpu().expect("a CPU backend is compiled in");
/// let svm = LinearSvmConfig::new(4, 3).init(&device);
/// let scores = svm.forward(Tensor::ones([2, 4], &device));
/// assert_eq!(scores.dims(), [2, 3]);
/// ```
#[derive(Module, Debug)]
pub struct LinearSvm {
    /// `weight` `[n_features, n_classes]` and `bias` `[n_classes]`.
    pub linear: Linear,
}

impl LinearSvm {
    /// A module with given parameters: `weight` row-major `[n_features, n_classes]`, `bias` `[n_classes]`.
    ///
    /// # Panics
    /// When `weight` does not fill rows of `n_classes`.
    #[must_use]
    pub fn from_values(weight: Vec<f32>, bias: Option<Vec<f32>>, n_classes: usize, device: &Device) -> Self {
        let n_features = weight.len() / n_classes;
        let weight = Tensor::<2>::from_data(TensorData::new(weight, [n_features, n_classes]), device);
        let bias = bias.map(|b| Param::from_tensor(Tensor::<1>::from_data(TensorData::new(b, [n_classes]), device)));
        Self { linear: Linear { weight: Param::from_tensor(weight), bias } }
    }

    /// The scores of dense rows.
    ///
    /// # Shapes
    /// `x`: `[n_samples, n_features]`; returns `[n_samples, n_classes]`.
    #[must_use]
    pub fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.linear.forward(x)
    }

    /// The scores of a batch, `[n_samples, n_classes]`; `offset` `[1, n_features]` centres sparse rows
    /// ([`crate::data::batch::Source::sparse_offset`]).
    #[must_use]
    pub fn scores(&self, rows: &DeviceFeatures, offset: Option<&Tensor<2>>) -> Tensor<2> {
        match rows {
            DeviceFeatures::Dense(x) => self.forward(x.clone()),
            DeviceFeatures::Sparse(sparse) => self.sparse_scores(sparse, offset),
        }
    }

    /// Gathers the rows of W that the cells name, scales them, and adds them up by row: O(nnz · n_classes), any backend.
    fn sparse_scores(&self, sparse: &SparseRows, offset: Option<&Tensor<2>>) -> Tensor<2> {
        let weight = self.linear.weight.val();
        let [_, n_classes] = weight.dims();
        let cells = weight.clone().select(0, sparse.columns.clone()).mul(sparse.values.clone());
        let zeros = Tensor::zeros([sparse.n_rows, n_classes], (&sparse.values.device(), weight.dtype()));
        let mut scores = zeros.select_assign(0, sparse.rows.clone(), cells, IndexingUpdateOp::Add);
        if let Some(offset) = offset {
            let shift = offset.clone().matmul(weight);
            scores = match &sparse.factors {
                None => scores.add(shift),
                Some(factors) => scores.add(factors.clone().matmul(shift)),
            };
        }
        match &self.linear.bias {
            None => scores,
            Some(bias) => scores.add(bias.val().unsqueeze()),
        }
    }

    /// ∂/∂W and ∂/∂b of `Σ Q ⊙ scores`: `XᵀQ` and the column sums of Q.
    #[must_use]
    pub fn backward(
        &self,
        rows: &DeviceFeatures,
        offset: Option<&Tensor<2>>,
        q: Tensor<2>,
    ) -> (Tensor<2>, Option<Tensor<1>>) {
        let bias = self.linear.bias.is_some().then(|| q.clone().sum_dim(0).squeeze_dim(0));
        let weight = match rows {
            // (QᵀX)ᵀ rather than XᵀQ: the rows of X are read in order, two to three times as fast with a batch of 200.
            DeviceFeatures::Dense(x) => q.transpose().matmul(x.clone()).transpose(),
            DeviceFeatures::Sparse(sparse) => {
                let cells = q.clone().select(0, sparse.rows.clone()).mul(sparse.values.clone());
                let zeros = Tensor::zeros(self.linear.weight.shape(), (&q.device(), q.dtype()));
                let direct = zeros.select_assign(0, sparse.columns.clone(), cells, IndexingUpdateOp::Add);
                match offset {
                    None => direct,
                    Some(offset) => {
                        let total = match &sparse.factors {
                            None => q.sum_dim(0),
                            Some(factors) => factors.clone().transpose().matmul(q),
                        };
                        direct.add(offset.clone().transpose().matmul(total))
                    }
                }
            }
        };
        (weight, bias)
    }

    /// The class with the largest score of each row, the lowest index on a tie, `[n_samples]`.
    #[must_use]
    pub fn predict(&self, rows: &DeviceFeatures, offset: Option<&Tensor<2>>) -> Tensor<1, Int> {
        let scores = self.scores(rows, offset);
        let [n_samples, _] = scores.dims();
        scores.argmax(1).reshape([n_samples])
    }
}
