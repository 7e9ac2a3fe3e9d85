//! Loss and gradient of dense rows in one pass over them, on the host.
//!
//! ```text
//! for each block of rows that fits the cache:
//!     s_i = r_i·((x_i − mean)·(W/scale)) + b        scores, a few rows at a time
//!     q_i = weight_i/n · ∂ℓ_i/∂s_i                  in place of the scores, with the loss
//!     ∂W += (r_i·q_i) ⊗ (x_i − mean)/scale          a part of the features at a time;  ∂b += q_i
//! ```
//!
//! Bytes and floats are read in place, by index: no batch is gathered, cast or centred in memory. Every sum is added up in an
//! order that depends on shapes alone, so that any number of threads gives the same bits.

#[cfg(all(feature = "cube", not(feature = "fusion")))]
mod device;
mod linger;
mod operation;
mod rows;
mod workspace;

#[cfg(all(feature = "cube", not(feature = "fusion")))]
pub use device::{DeviceBatch, DeviceGradient, DevicePass, ResidentLimits};
pub(crate) use linger::linger;
pub use operation::fused_loss;
pub(crate) use rows::DenseRows;

use super::{Decay, Objective};
use crate::data::Features;
use crate::data::batch::Source;
use crate::device::{Backend, OpenDevice};
use workspace::{GradientRoom, HostModel, PassTarget, Workspace};

/// The data loss of batches of a source and the gradient of the objective, one pass each.
#[derive(Debug)]
pub struct FusedPass<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) rows: DenseRows<'a>,
    objective: &'a Objective,
    work: Workspace,
}

/// The data loss of a batch, and the gradient of the objective, on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct FusedGradient {
    /// (1/n) Σ weight_i·ℓ_i, without the regulariser ([`Objective::penalty`]).
    pub data_loss: f64,
    /// That of the objective, regulariser included, `[n_features, n_classes]`, row-major.
    pub weight: Vec<f32>,
    /// The same for the bias, `[n_classes]`.
    pub bias: Option<Vec<f32>>,
}

impl<'a> FusedPass<'a> {
    /// Whether training takes this pass: with rows of bytes or single-precision floats on Burn's own CPU backend.
    #[must_use]
    pub fn serves(features: &Features, device: &OpenDevice) -> bool {
        matches!(features, Features::U8(_) | Features::F32(_)) && device.name.backend == Backend::Flex
    }

    /// For rows of bytes or single-precision floats; `None` for others.
    #[must_use]
    pub fn new(source: Source<'a>, n_classes: usize, objective: &'a Objective) -> Option<Self> {
        let rows = DenseRows::of_source(&source)?;
        Some(Self { source, objective, work: Workspace::new(rows.n_features, n_classes), rows })
    }

    /// At weights `[n_features, n_classes]`, row-major, and a bias `[n_classes]`, over `rows`, which may repeat.
    ///
    /// # Panics
    /// When a length does not fit.
    #[must_use]
    pub fn at(&mut self, weight: &[f32], bias: Option<&[f32]>, rows: &[u32]) -> FusedGradient {
        self.pass(weight, bias, rows, None)
    }

    /// Number of `rows` that the weights and the bias classify correctly, the lowest index winning a tie.
    ///
    /// # Panics
    /// When a length does not fit.
    #[must_use]
    pub fn hits(&mut self, weight: &[f32], bias: Option<&[f32]>, rows: &[u32]) -> usize {
        self.check(weight, bias);
        let label = |row: u32| self.source.labels[row as usize] as usize;
        self.work.hits(&self.rows, HostModel { weight, bias }, rows, label)
    }

    fn check(&self, weight: &[f32], bias: Option<&[f32]>) {
        let (d, k) = (self.rows.n_features, self.work.n_classes);
        assert!(weight.len() == d * k && bias.is_none_or(|b| b.len() == k), "parameters of another shape");
    }

    /// As [`FusedPass::at`], and writes weight_i/n·∂ℓ_i/∂s_ij to `q`, `[rows, n_classes]`.
    pub(crate) fn with_slopes(
        &mut self,
        weight: &[f32],
        bias: Option<&[f32]>,
        rows: &[u32],
        q: &mut [f32],
    ) -> FusedGradient {
        self.pass(weight, bias, rows, Some(q))
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn pass(&mut self, weight: &[f32], bias: Option<&[f32]>, rows: &[u32], q: Option<&mut [f32]>) -> FusedGradient {
        let (d, k) = (self.rows.n_features, self.work.n_classes);
        self.check(weight, bias);
        let loss = &self.objective.loss;
        let Decay { weight: lambda, bias: factor } = self.objective.regulariser().decay(1.0);
        let factor = factor as f32;
        let mut of_weight = vec![0.0; d * k];
        let mut of_bias: Vec<f32> = match bias {
            Some(bias) => bias.iter().map(|b| factor * b).collect(),
            None => vec![0.0; k],
        };
        let (source, n) = (self.source, rows.len() as f64);
        let label = |row: u32| (source.labels[row as usize] as usize, (source.weight(row) / n) as f32);
        let target = PassTarget { indices: rows, loss, label, lambda: lambda as f32, q };
        let out = GradientRoom { weight: &mut of_weight, bias: &mut of_bias };
        let data_loss = self.work.pass(&self.rows, HostModel { weight, bias }, target, out);
        FusedGradient { data_loss, weight: of_weight, bias: bias.map(|_| of_bias) }
    }
}
