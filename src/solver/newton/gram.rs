//! Sums of `w·z zᵀ` over a set of rows that changes little from step to step.

use super::rows::{LabelRows, TrainingRows};
use burn::tensor::Tensor;
use faer::linalg::matmul::triangular::{BlockStructure, matmul};
use faer::{Accum, Mat, MatRef, Par};
use rayon::prelude::*;

/// Rows that are multiplied at a time.
pub(super) const BLOCK: usize = 1024;
/// Groups of parts that are summed side by side: a fixed number, so that the result does not depend on that of the threads.
const SHARES: usize = 8;

/// The lower triangle of `Σ w·z zᵀ` over the rows of a set.
#[derive(Clone)]
pub(super) struct Gram {
    pub matrix: Mat<f64>,
    /// Of every row, in the order of the parts, whether it is in the set.
    inside: Vec<bool>,
}

impl Gram {
    /// Of all rows.
    pub fn new(rows: &TrainingRows) -> Self {
        let length = rows.parts.len().div_ceil(SHARES).max(1);
        let share = |parts: &[LabelRows]| {
            let mut sum = Mat::zeros(rows.space.width, rows.space.width);
            let all: Vec<usize> = parts.iter().flat_map(LabelRows::range).collect();
            add(&mut sum, parts, 1.0, &all);
            sum
        };
        let sums: Vec<Mat<f64>> = rows.parts.par_chunks(length).map(share).collect();
        let mut matrix = Mat::zeros(rows.space.width, rows.space.width);
        sums.iter().for_each(|sum| matrix += sum);
        Self { matrix, inside: vec![true; rows.n_rows()] }
    }

    /// Goes over to another set of rows: by the rows that differ, or from nothing where that is less.
    pub fn update(&mut self, rows: &TrainingRows, is_inside: impl Fn(usize) -> bool) {
        let (mut kept, mut entering, mut leaving) = (Vec::new(), Vec::new(), Vec::new());
        for (row, inside) in self.inside.iter_mut().enumerate() {
            let before = std::mem::replace(inside, is_inside(row));
            match (*inside, before) {
                (true, true) => kept.push(row),
                (true, false) => entering.push(row),
                (false, true) => leaving.push(row),
                (false, false) => {}
            }
        }
        if kept.len() <= leaving.len() {
            self.matrix.fill(0.0);
            add(&mut self.matrix, &rows.parts, 1.0, &kept);
        } else {
            add(&mut self.matrix, &rows.parts, -1.0, &leaving);
        }
        add(&mut self.matrix, &rows.parts, 1.0, &entering);
    }
}

/// Adds `sign·Σ w·z zᵀ` of rows in ascending order.
fn add(sum: &mut Mat<f64>, parts: &[LabelRows], sign: f64, mut rows: &[usize]) {
    let width = sum.nrows();
    let mut all = GramSum { matrix: std::mem::replace(sum, Mat::zeros(0, 0)), ..GramSum::new(width) };
    for part in parts {
        let (own, others) = rows.split_at(rows.partition_point(|&row| row < part.range().end));
        rows = others;
        let roots: Vec<(usize, f64)> =
            own.iter().map(|row| (row - part.first, part.weights[row - part.first].sqrt())).collect();
        all.add(&part.columns, part.rows.len(), &roots, sign);
    }
    *sum = all.finish();
}

/// The lower triangle of `Σ m·z zᵀ`, to which rows are added a block at a time.
pub(super) struct GramSum {
    matrix: Mat<f64>,
    /// √m·z of the rows of the block so far, `[width, BLOCK]`, and their sign.
    block: Vec<f64>,
    held: usize,
    sign: f64,
}

impl GramSum {
    pub fn new(width: usize) -> Self {
        Self { matrix: Mat::zeros(width, width), block: vec![0.0; BLOCK * width], held: 0, sign: 1.0 }
    }

    /// Adds some of `n` rows, which lie column after column, with √m of each.
    pub fn add(&mut self, columns: &[f64], n: usize, roots: &[(usize, f64)], sign: f64) {
        for roots in roots.chunks(BLOCK) {
            if self.held + roots.len() > BLOCK || sign != self.sign {
                self.multiply();
                self.sign = sign;
            }
            for (column, block) in columns.chunks_exact(n).zip(self.block.chunks_exact_mut(BLOCK)) {
                roots.iter().zip(&mut block[self.held..]).for_each(|(&(r, root), cell)| *cell = root * column[r]);
            }
            self.held += roots.len();
        }
    }

    fn multiply(&mut self) {
        if self.held > 0 {
            let rows = MatRef::from_column_major_slice_with_stride(&self.block, self.held, self.matrix.nrows(), BLOCK);
            let (lower, whole) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
            let to = self.matrix.as_mut();
            matmul(to, lower, Accum::Add, rows.transpose(), whole, rows, whole, self.sign, Par::Seq);
        }
        self.held = 0;
    }

    /// The sum.
    pub fn finish(mut self) -> Mat<f64> {
        self.multiply();
        self.matrix
    }
}

/// `Σ m·z zᵀ` of rows `[rows, width]` with their numbers m `[rows, 1]`, on their device.
pub(super) fn weighted_gram(rows: &Tensor<2>, numbers: Tensor<2>) -> Tensor<2> {
    rows.clone().transpose().matmul(rows.clone().mul(numbers))
}
