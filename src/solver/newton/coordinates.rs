//! The weights of the numbers z of a row: a class has the weights v of these, with the same scores and the regulariser `½ vᵀ(LᵀL)v`.

use super::basis::{Basis, RowMap};
use crate::model::BiasRule;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// A [`Basis`] and, under a free bias, the constant after its numbers.
#[derive(Debug)]
pub(super) struct Coordinates {
    /// Numbers of a row.
    pub width: usize,
    pub n_classes: usize,
    basis: Basis,
    bias: BiasRule,
}

impl Coordinates {
    pub fn new(basis: Basis, bias: BiasRule, n_classes: usize) -> Self {
        Self { width: basis.rank + usize::from(bias == BiasRule::Free), basis, bias, n_classes }
    }

    /// Of `n` rows of which a triangular factor is known, with the map to their numbers.
    pub fn of_triangle(triangle: MatRef<'_, f64>, n: f64, bias: BiasRule, n_classes: usize) -> (Self, RowMap) {
        let (basis, map) = Basis::of_triangle(triangle, n, bias == BiasRule::Free);
        (Self::new(basis, bias, n_classes), map)
    }

    /// The numbers of all weights, class after class.
    pub const fn len(&self) -> usize {
        self.width * self.n_classes
    }

    /// LᵀL, which leaves a free bias alone, `[rank, rank]`.
    pub fn penalty(&self) -> MatRef<'_, f64> {
        self.basis.penalty()
    }

    /// The gradient of the regulariser, class after class.
    pub fn regularised(&self, v: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; v.len()];
        let (rank, width, k) = (self.basis.rank, self.width, v.len() / self.width);
        let from = MatRef::from_column_major_slice_with_stride(v, rank, k, width);
        let to = MatMut::from_column_major_slice_with_stride_mut(&mut out, rank, k, width);
        matmul(to, Accum::Replace, self.penalty(), from, 1.0, Par::Seq);
        out
    }

    /// The regulariser.
    pub fn half_square(&self, v: &[f64]) -> f64 {
        self.regularised(v).iter().zip(v).map(|(p, v)| p * v).sum::<f64>() / 2.0
    }

    /// The weights of dual variables of which [`TrainingRows::gather`] has made `sums`, with the bias of `v` where that is free, and their
    /// regulariser.
    pub fn of_dual(&self, sums: &[f64], v: &[f64]) -> (Vec<f64>, f64) {
        let (mut all, mut square) = (v.to_vec(), 0.0);
        for (own, sums) in all.chunks_exact_mut(self.width).zip(sums.chunks_exact(self.width)) {
            let (found, half) = self.basis.of_dual(&sums[..self.basis.rank]);
            own[..self.basis.rank].copy_from_slice(&found);
            square += half;
        }
        (all, square)
    }

    /// Weights `[n_features, n_classes]` and the bias, for preprocessed features.
    pub fn weights(&self, v: &[f64], n_features: usize) -> (Vec<f64>, Vec<f64>) {
        let k = self.n_classes;
        let (mut weight, mut bias) = (vec![0.0; n_features * k], vec![0.0; k]);
        for (class, v) in v.chunks_exact(self.width).enumerate() {
            let of_class = self.basis.weights(&v[..self.basis.rank]);
            (0..n_features).for_each(|j| weight[j * k + class] = of_class[j]);
            bias[class] = match self.bias {
                BiasRule::Regularised { scale } => scale * of_class[n_features],
                BiasRule::Free => v[self.basis.rank] - self.basis.shift(&of_class),
                BiasRule::None => 0.0,
            };
        }
        (weight, bias)
    }
}
