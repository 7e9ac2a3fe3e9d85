//! A preconditioner for dense rows: the blocks of `I + AᵀJA` that belong to one class each, factorised.
//!
//! ```text
//! M_k = I + Σ_i m_ik·x_i x_iᵀ        m_ik: the entry of J of row i and class k with itself
//! ```
//!
//! The diagonal of them leaves conjugate gradients as many products as the spread of the features demands, hundreds where C‖x‖² is large; what the blocks
//! leave out is between classes, whatever the features. They cost as much as some tens of products, and serve as long as those stay few.

use crate::data::Features;
use crate::solver::Problem;
use crate::solver::newton::gram::{BLOCK, GramSum};
use crate::solver::newton::system::Factor;
use rayon::prelude::*;

/// Bytes of all blocks.
const MOST: usize = 512 << 20;
/// Products that cost as much as the blocks of `width` features are `width / PRODUCTS`.
const PRODUCTS: usize = 12;

/// The products of a direction from which blocks pay, of so many numbers a row; `None` for sparse rows and blocks that are too large.
pub(super) fn price(features: &Features<'_>, width: usize, n_classes: usize) -> Option<usize> {
    let is_dense = !matches!(features, Features::Sparse(_));
    (is_dense && bytes(width, n_classes) <= MOST).then_some(width / PRODUCTS + 1)
}

/// Memory while they are made.
pub(super) const fn bytes(width: usize, n_classes: usize) -> usize {
    (2 * width + BLOCK).saturating_mul(width).saturating_mul(8).saturating_mul(n_classes)
}

/// Factors of all classes.
pub(super) struct ClassBlocks {
    factors: Vec<Factor>,
}

impl ClassBlocks {
    /// Of rows with their numbers m `[rows, n_classes]`; `constant` is the last feature. `None` where rounding leaves a block without a factor.
    pub fn new(problem: &Problem<'_>, rows: &[u32], numbers: &[f64], constant: Option<f64>) -> Option<Self> {
        let (features, k) = (problem.source.features, problem.n_classes);
        let (d, width) = (features.n_features(), features.n_features() + usize::from(constant.is_some()));
        let mut sums: Vec<GramSum> = (0..k).map(|_| GramSum::new(width)).collect();
        let (mut cells, mut columns) = (vec![0.0; d], Vec::new());
        for (rows, numbers) in rows.chunks(BLOCK).zip(numbers.chunks(BLOCK * k)) {
            let n = rows.len();
            columns.clear();
            columns.resize(width * n, constant.unwrap_or(0.0));
            for (r, &row) in rows.iter().enumerate() {
                problem.source.scaler.write_row_wide(features, row as usize, &mut cells);
                cells.iter().enumerate().for_each(|(j, &x)| columns[j * n + r] = x);
            }
            sums.par_iter_mut().enumerate().for_each(|(class, sum)| {
                let used = (0..n).filter(|r| numbers[r * k + class] > 0.0);
                let roots: Vec<(usize, f64)> = used.map(|r| (r, numbers[r * k + class].sqrt())).collect();
                sum.add(&columns, n, &roots, 1.0);
            });
        }
        let factor = |sum: GramSum| {
            let mut matrix = sum.finish();
            (0..width).for_each(|j| matrix[(j, j)] += 1.0);
            Factor::new(matrix)
        };
        Some(Self { factors: sums.into_par_iter().map(factor).collect::<Option<Vec<Factor>>>()? })
    }

    /// M⁻¹ v of `[width, n_classes]`.
    pub fn solve(&self, vector: &[f64]) -> Vec<f64> {
        let k = self.factors.len();
        let of = |(class, factor): (usize, &Factor)| {
            let mut own: Vec<f64> = vector.iter().skip(class).step_by(k).copied().collect();
            factor.solve(&mut own);
            own
        };
        let found: Vec<Vec<f64>> = self.factors.par_iter().enumerate().map(of).collect();
        let mut out = vec![0.0; vector.len()];
        for (class, own) in found.iter().enumerate() {
            out.iter_mut().skip(class).step_by(k).zip(own).for_each(|(out, v)| *out = *v);
        }
        out
    }
}
