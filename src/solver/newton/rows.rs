//! Training rows for products in f64: by label in parts, each with its columns one after another, brought to a common size.
//!
//! Columns are divided by their root mean square, and the weights are multiplied by it, in the linear algebra only: with `u_j = s_j·w_j` the
//! scores are the same, and the regulariser is `½ Σ_j ‖u_j‖²/s_j²`.

use crate::model::BiasRule;
use crate::solver::Problem;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Rows of a part.
const ROWS: usize = 256;
/// Parts of a sum that threads take: a fixed number, so that the result does not depend on how many there are.
const SHARES: usize = 16;

/// Some rows of one label.
pub(super) struct Part {
    pub label: usize,
    /// Indices into the data set.
    pub rows: Vec<u32>,
    /// The weight of each row times that of its class.
    pub weights: Vec<f64>,
    /// `[width]` columns of as many numbers as there are rows.
    pub columns: Vec<f64>,
}

impl Part {
    /// The rows `[rows, width]`.
    pub fn matrix(&self) -> MatRef<'_, f64> {
        MatRef::from_column_major_slice(&self.columns, self.rows.len(), self.columns.len() / self.rows.len())
    }
}

/// All rows with a weight above 0, and the rest.
pub(super) struct Rows {
    pub parts: Vec<Part>,
    /// Rows of weight 0.
    pub idle: Vec<u32>,
    /// Features, and the constant of a bias.
    pub width: usize,
    /// s, `[width]`.
    pub scales: Vec<f64>,
    /// Of each column: 1/s² and 1/B² of a regularised bias, 0 of a free one.
    pub penalties: Vec<f64>,
    n_classes: usize,
}

impl Rows {
    /// Reads all of them.
    #[allow(clippy::cast_precision_loss)]
    pub fn new(problem: &Problem<'_>) -> Self {
        let (features, d) = (problem.source.features, problem.source.features.n_features());
        let bias = problem.objective.bias;
        let width = d + usize::from(bias.has_bias());
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
            let mut columns = vec![1.0; rows.len() * width];
            let mut cells = vec![0.0; d];
            for (r, &row) in rows.iter().enumerate() {
                problem.source.scaler.write_row_wide(features, row as usize, &mut cells);
                cells.iter().enumerate().for_each(|(j, &x)| columns[j * rows.len() + r] = x);
            }
            let weights = rows.iter().map(|&row| problem.row_weight(row)).collect();
            Part { label, rows: rows.to_vec(), weights, columns }
        };
        let mut parts: Vec<Part> = chunks.par_iter().map(read).collect();
        let mut scales = vec![1.0; width];
        for (j, scale) in scales.iter_mut().enumerate().take(d) {
            let column = |part: &Part| {
                part.columns[j * part.rows.len()..(j + 1) * part.rows.len()].iter().map(|x| x * x).sum::<f64>()
            };
            let size = (parts.iter().map(column).sum::<f64>() / weighted.len().max(1) as f64).sqrt();
            *scale = if size > 0.0 && size.is_finite() { size } else { 1.0 };
        }
        parts.par_iter_mut().for_each(|part| {
            let rows = part.rows.len();
            part.columns
                .chunks_exact_mut(rows)
                .zip(&scales)
                .for_each(|(column, s)| column.iter_mut().for_each(|x| *x /= s));
        });
        let mut penalties: Vec<f64> = scales.iter().map(|s| 1.0 / (s * s)).collect();
        match bias {
            BiasRule::Regularised { scale } => penalties[d] = 1.0 / (scale * scale),
            BiasRule::Free => penalties[d] = 0.0,
            BiasRule::None => {}
        }
        Self { parts, idle, width, scales, penalties, n_classes: problem.n_classes }
    }

    /// The numbers of all weights, class after class.
    pub fn len(&self) -> usize {
        self.width * self.n_classes
    }

    /// Scores of a part at weights, `[rows, n_classes]`.
    pub fn scores(&self, part: &Part, weights: &[f64], out: &mut [f64]) {
        let weights = MatRef::from_column_major_slice(weights, self.width, self.n_classes);
        let out = MatMut::from_row_major_slice_mut(out, part.rows.len(), self.n_classes);
        matmul(out, Accum::Replace, part.matrix(), weights, 1.0, Par::Seq);
    }

    /// `Σ_i x_i β_iᵀ`, class after class; `beta` writes β of the part in that place, `[rows, n_classes]`.
    pub fn gather(&self, beta: impl Fn(usize, &mut [f64]) + Sync) -> Vec<f64> {
        let length = self.parts.len().div_ceil(SHARES).max(1);
        let share = |(first, parts): (usize, &[Part])| {
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

    /// Weights `[n_features, n_classes]` and the bias, for preprocessed features.
    pub fn weights(&self, u: &[f64], n_features: usize) -> (Vec<f64>, Vec<f64>) {
        let k = self.n_classes;
        let at = |j: usize, class: usize| u[class * self.width + j] / self.scales[j];
        let weight = (0..n_features).flat_map(|j| (0..k).map(move |class| at(j, class))).collect();
        let bias =
            if self.width > n_features { (0..k).map(|class| at(n_features, class)).collect() } else { vec![0.0; k] };
        (weight, bias)
    }
}
