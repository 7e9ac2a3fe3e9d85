//! Dense rows read in place, with their preprocessing.

use crate::data::Features;
use crate::data::batch::Source;
use crate::kernel::in_place::{BatchSlopes, PackedWeights, PerFeature, RowMatrix, WeightPart};
use rayon::prelude::*;

/// A dense matrix, read in place.
#[derive(Debug, Clone, Copy)]
pub(crate) enum DenseCells<'a> {
    Bytes(&'a [u8]),
    Floats(&'a [f32]),
}

/// Dense rows as kernels read them, with their preprocessing.
#[derive(Debug)]
pub(crate) struct DenseRows<'a> {
    pub cells: DenseCells<'a>,
    pub n_features: usize,
    /// Values subtracted from each feature before anything else.
    pub shift: PerFeature,
    /// Divisor of each feature.
    pub scale: Option<Vec<f32>>,
    /// The factor of each row of the matrix.
    pub factors: Option<Vec<f32>>,
}

impl<'a> DenseRows<'a> {
    /// The rows of a source; `None` where they are neither bytes nor single-precision floats.
    #[allow(clippy::cast_possible_truncation)]
    pub fn of_source(source: &Source<'a>) -> Option<Self> {
        let Source { features, scaler, .. } = *source;
        let cells = match features {
            Features::U8(dense) => DenseCells::Bytes(dense.values()),
            Features::F32(dense) => DenseCells::Floats(dense.values()),
            Features::F64(_) | Features::Sparse(_) => return None,
        };
        let single = |values: &Vec<f64>| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let factor = |row| scaler.row_factor(features, row) as f32;
        Some(Self {
            cells,
            n_features: features.n_features(),
            shift: PerFeature::new(features.n_features(), scaler.mean.as_ref().map(single).as_deref()),
            scale: scaler.scale.as_ref().map(single),
            factors: scaler.unit_row.then(|| (0..features.n_rows()).into_par_iter().map(factor).collect()),
        })
    }

    /// The factor of a row of the matrix.
    #[inline(always)]
    pub fn factor(&self, index: u32) -> f32 {
        match &self.factors {
            Some(factors) => factors[index as usize],
            None => 1.0,
        }
    }

    /// The scores (x − shift)·W of up to [`GROUP`](crate::kernel::in_place::GROUP) rows, without their factors, `[rows, stride]`.
    pub fn scores(&self, weights: &PackedWeights, indices: &[u32], out: &mut [f32], stride: usize) {
        match self.cells {
            DenseCells::Bytes(cells) => {
                weights.scores(RowMatrix::new(cells, self.n_features, &self.shift), indices, out, stride);
            }
            DenseCells::Floats(cells) => {
                weights.scores(RowMatrix::new(cells, self.n_features, &self.shift), indices, out, stride);
            }
        }
    }

    /// `w_jc ← w_jc − shrink_c·w_jc + gain_j·Σ_i (x_ij − shift_j)·q_ic` for the features of a part, with `q` `[indices, stride]`.
    pub fn add(
        &self,
        part: &mut WeightPart<'_>,
        indices: &[u32],
        q: BatchSlopes<'_>,
        shrink: &[f32],
        gain: Option<&PerFeature>,
    ) {
        match self.cells {
            DenseCells::Bytes(cells) => {
                part.add(RowMatrix::new(cells, self.n_features, &self.shift), indices, q, shrink, gain)
            }
            DenseCells::Floats(cells) => {
                part.add(RowMatrix::new(cells, self.n_features, &self.shift), indices, q, shrink, gain)
            }
        }
    }

    /// The length of a row in memory.
    pub const fn row_bytes(&self) -> usize {
        match self.cells {
            DenseCells::Bytes(_) => self.n_features,
            DenseCells::Floats(_) => 4 * self.n_features,
        }
    }
}
