//! Training rows for products in f64: by label in parts, each with its columns one after another.
//!
//! They are held in the numbers z of a [`Basis`], with the constant of a free bias after them: a class has the weights v of these, with the
//! same scores and the regulariser `½ vᵀ(LᵀL)v`.

use super::basis::{Basis, BasisKind};
use crate::model::BiasRule;
use crate::solver::Problem;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;
use std::ops::Range;

/// Rows of a part.
const ROWS: usize = 256;
/// Parts of a sum that threads take: a fixed number, so that the result does not depend on how many there are.
pub(super) const SHARES: usize = 16;

/// Some rows of one label.
pub(super) struct LabelRows {
    pub label: usize,
    /// Rows of the parts before.
    pub first: usize,
    /// Indices into the data set.
    pub rows: Vec<u32>,
    /// The weight of each row times that of its class.
    pub weights: Vec<f64>,
    /// `[width]` columns of as many numbers as there are rows.
    pub columns: Vec<f64>,
}

impl LabelRows {
    /// Places of the rows in the order of all parts.
    pub const fn range(&self) -> Range<usize> {
        self.first..self.first + self.rows.len()
    }

    /// The rows `[rows, width]`.
    pub fn matrix(&self) -> MatRef<'_, f64> {
        MatRef::from_column_major_slice(&self.columns, self.rows.len(), self.columns.len() / self.rows.len())
    }
}

/// All rows with a weight above 0, and the rest.
pub(super) struct TrainingRows {
    pub parts: Vec<LabelRows>,
    /// Rows of weight 0.
    pub idle: Vec<u32>,
    /// Numbers of a row.
    pub width: usize,
    basis: Basis,
    bias: BiasRule,
    n_classes: usize,
}

impl TrainingRows {
    /// Reads all of them.
    #[allow(clippy::cast_precision_loss)]
    pub fn new(problem: &Problem<'_>, kind: BasisKind) -> Self {
        let (features, d) = (problem.source.features, problem.source.features.n_features());
        let bias = problem.objective.bias;
        // A regularised bias is the weight of a constant feature.
        let constant = match bias {
            BiasRule::Regularised { scale } => Some(scale),
            BiasRule::None | BiasRule::Free => None,
        };
        let mut by_label = vec![Vec::new(); problem.n_classes];
        let (weighted, idle): (Vec<u32>, Vec<u32>) =
            problem.train.iter().partition(|&&row| problem.row_weight(row) > 0.0);
        weighted.iter().for_each(|&row| by_label[problem.source.labels[row as usize] as usize].push(row));
        let chunks: Vec<(usize, &[u32])> = by_label
            .iter()
            .enumerate()
            .flat_map(|(label, rows)| rows.chunks(ROWS).map(move |rows| (label, rows)))
            .collect();
        let read = |&(label, rows): &(usize, &[u32])| {
            let mut columns = vec![0.0; rows.len() * d];
            let mut cells = vec![0.0; d];
            for (r, &row) in rows.iter().enumerate() {
                problem.source.scaler.write_row_wide(features, row as usize, &mut cells);
                cells.iter().enumerate().for_each(|(j, &x)| columns[j * rows.len() + r] = x);
            }
            columns.extend(constant.iter().flat_map(|&scale| std::iter::repeat_n(scale, rows.len())));
            let weights = rows.iter().map(|&row| problem.row_weight(row)).collect();
            LabelRows { label, first: 0, rows: rows.to_vec(), weights, columns }
        };
        let mut parts: Vec<LabelRows> = chunks.par_iter().map(read).collect();
        parts.iter_mut().fold(0, |first, part| {
            part.first = first;
            first + part.rows.len()
        });
        let is_free = bias == BiasRule::Free;
        let basis = Basis::replace(&mut parts, d + usize::from(constant.is_some()), is_free, kind);
        if is_free {
            parts.iter_mut().for_each(|part| part.columns.resize(part.columns.len() + part.rows.len(), 1.0));
        }
        Self { parts, idle, width: basis.rank + usize::from(is_free), basis, bias, n_classes: problem.n_classes }
    }

    /// The rows of all parts.
    pub fn n_rows(&self) -> usize {
        self.parts.iter().map(|part| part.rows.len()).sum()
    }

    /// The numbers of all weights, class after class.
    pub fn len(&self) -> usize {
        self.width * self.n_classes
    }

    /// Scores of a part at weights, `[rows, n_classes]`.
    pub fn scores(&self, part: &LabelRows, weights: &[f64], out: &mut [f64]) {
        let weights = MatRef::from_column_major_slice(weights, self.width, self.n_classes);
        let out = MatMut::from_row_major_slice_mut(out, part.rows.len(), self.n_classes);
        matmul(out, Accum::Replace, part.matrix(), weights, 1.0, Par::Seq);
    }

    /// `Σ_i x_i β_iᵀ`, class after class; `beta` writes β of the part in that place, `[rows, n_classes]`.
    pub fn gather(&self, beta: impl Fn(usize, &mut [f64]) + Sync) -> Vec<f64> {
        let length = self.parts.len().div_ceil(SHARES).max(1);
        let share = |(first, parts): (usize, &[LabelRows])| {
            let (mut sum, mut rows) = (vec![0.0; self.len()], Vec::new());
            for (at, part) in parts.iter().enumerate() {
                rows.clear();
                rows.resize(part.rows.len() * self.n_classes, 0.0);
                beta(first * length + at, &mut rows);
                let rows = MatRef::from_row_major_slice(&rows, part.rows.len(), self.n_classes);
                let out = MatMut::from_column_major_slice_mut(&mut sum, self.width, self.n_classes);
                matmul(out, Accum::Add, part.matrix().transpose(), rows, 1.0, Par::Seq);
            }
            sum
        };
        let sums: Vec<Vec<f64>> = self.parts.par_chunks(length).enumerate().map(share).collect();
        let mut total = vec![0.0; self.len()];
        sums.iter().for_each(|sum| total.iter_mut().zip(sum).for_each(|(total, sum)| *total += sum));
        total
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
