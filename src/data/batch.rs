//! Minibatches: rows gathered, cast and preprocessed on the host, then moved to a device in one piece.

use super::{Dense, Features, Scaler, precision};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rayon::prelude::*;

/// Ratio of the squares of all means and of a typical row beyond which single precision leaves too few digits.
pub(crate) const CANCELLING: f64 = 1e3;

/// Standard deviations from which the mean of a feature is far from zero, and rows that are asked.
const DISTANT: f64 = 30.0;
const SAMPLE: usize = 256;

/// The rows of a data set with the preprocessing that goes with them: the source of batches.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// All rows of the data set.
    pub features: &'a Features<'a>,
    /// A class index a row.
    pub labels: &'a [u32],
    /// Fitted preprocessing.
    pub scaler: &'a Scaler,
    /// A weight a row; `None` where all are 1.
    pub weights: Option<&'a [f32]>,
}

/// A batch in host memory, ready to be moved.
#[derive(Debug, Clone)]
pub struct HostBatch {
    rows: HostRows,
    labels: Vec<i32>,
    weights: Option<Vec<f32>>,
    n_features: usize,
}

#[derive(Debug, Clone)]
enum HostRows {
    Dense(Vec<f32>),
    Sparse { rows: Vec<i32>, columns: Vec<i32>, values: Vec<f32>, factors: Option<Vec<f32>> },
}

/// A batch on a device.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Preprocessed features.
    pub rows: DeviceFeatures,
    /// Class indices `[n_samples]`.
    pub labels: Tensor<1, Int>,
    /// The weight of each row, `[n_samples]`; `None` where all are 1.
    pub weights: Option<Tensor<1>>,
}

/// Features of a batch on a device.
// One lives at a time; a box would only cost an allocation a step.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone)]
pub enum DeviceFeatures {
    /// `[n_samples, n_features]`
    Dense(Tensor<2>),
    /// The stored cells of sparse rows.
    Sparse(SparseRows),
}

/// The stored cells of sparse rows in coordinate form, divided by `scale` and by the row's length where that is asked for.
///
/// The centring is not in them: the scores get `factor · (offset · W)` added, with `offset = −mean/scale`.
#[derive(Debug, Clone)]
pub struct SparseRows {
    /// Number of rows of the batch.
    pub n_rows: usize,
    /// The row of each cell, `[nnz]`.
    pub rows: Tensor<1, Int>,
    /// The column of each cell, `[nnz]`.
    pub columns: Tensor<1, Int>,
    /// The value of each cell, `[nnz, 1]`.
    pub values: Tensor<2>,
    /// The factor of each row, `[n_rows, 1]`; `None` where all are 1.
    pub factors: Option<Tensor<2>>,
}

impl Source<'_> {
    /// The weight of a row, without that of its class.
    #[must_use]
    pub fn weight(&self, row: u32) -> f64 {
        self.weights.map_or(1.0, |w| f64::from(w[row as usize]))
    }

    /// The preprocessing with features that are far from zero brought near it, for dense rows where none is centred; `None` where there is none. Where a bias takes
    /// up what is subtracted, scores are the same and keep the digits in which rows differ.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn centring(&self, rows: &[u32]) -> Option<Scaler> {
        let Self { features, scaler, .. } = *self;
        if scaler.unit_row || scaler.mean.is_some() || !matches!(features, Features::F32(_) | Features::F64(_)) {
            return None;
        }
        let sample = || rows.iter().step_by((rows.len() / SAMPLE).max(1)).map(|&row| row as usize);
        let (n, d) = (sample().len().max(1) as f64, features.n_features());
        let (mut first, mut sum, mut square) = (vec![0.0; d], vec![0.0; d], vec![0.0; d]);
        features.for_each_cell(sample().next()?, |j, x| first[j] = x);
        for row in sample() {
            features.for_each_cell(row, |j, x| {
                let off = x - first[j];
                sum[j] += off;
                square[j] += off * off;
            });
        }
        let of = |j: usize| {
            let off = sum[j] / n;
            let (mean, variance) = (first[j] + off, square[j] / n - off * off);
            if mean * mean > DISTANT * DISTANT * variance { mean } else { 0.0 }
        };
        let mean: Vec<f64> = (0..d).map(of).collect();
        mean.iter().any(|&mean| mean != 0.0).then(|| Scaler { mean: Some(mean), ..scaler.clone() })
    }

    /// Mean ‖x‖² of some preprocessed rows, of 256 to 511 where there are so many.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn typical_square(&self, rows: &[u32]) -> f64 {
        let sample = rows.iter().step_by((rows.len() / 256).max(1));
        let (count, means) = (sample.len().max(1) as f64, self.square_of_means());
        let mut dense = Vec::new();
        let square = |&row: &u32| {
            let row = row as usize;
            let Features::Sparse(csr) = self.features else {
                dense.resize(self.features.n_features(), 0.0);
                self.scaler.write_row_wide(self.features, row, &mut dense);
                return dense.iter().map(|x| x * x).sum::<f64>();
            };
            // Every cell that is not stored is −mean/scale.
            let (factor, (indices, values)) = (self.scaler.row_factor(self.features, row), csr.row(row));
            let cells = indices.iter().zip(values).map(|(&j, &x)| {
                let (mean, scale) = self.scaler.of_feature(j as usize);
                let own = factor * (f64::from(x) - mean) / scale;
                if mean == 0.0 { own * own } else { own * own - (factor * mean / scale).powi(2) }
            });
            (cells.sum::<f64>() + factor * factor * means).max(0.0)
        };
        sample.map(square).sum::<f64>() / count
    }

    /// ‖mean/scale‖²
    fn square_of_means(&self) -> f64 {
        let of = |j: usize| {
            let (mean, scale) = self.scaler.of_feature(j);
            (mean / scale).powi(2)
        };
        if self.scaler.mean.is_some() { (0..self.features.n_features()).map(of).sum() } else { 0.0 }
    }

    /// Whether products of sparse rows, which are corrected for the means, lose too many digits in single precision.
    #[must_use]
    pub fn cancels(&self, rows: &[u32]) -> bool {
        matches!(self.features, Features::Sparse(_)) && self.square_of_means() > CANCELLING * self.typical_square(rows)
    }

    /// Gathers rows by index.
    #[must_use]
    #[allow(clippy::cast_possible_wrap, clippy::cast_possible_truncation)]
    pub fn gather(&self, rows: &[u32]) -> HostBatch {
        let d = self.features.n_features();
        let labels = rows.iter().map(|&r| self.labels[r as usize] as i32).collect();
        let weights = self.weights.map(|w| rows.iter().map(|&r| w[r as usize]).collect());
        let rows = match self.features {
            Features::U8(_) | Features::F32(_) | Features::F64(_) => {
                let mut values = vec![0.0f32; rows.len() * d];
                self.scaler.write_rows(self.features, rows, &mut values);
                HostRows::Dense(values)
            }
            Features::Sparse(csr) => {
                let (mut at, mut columns, mut values) = (Vec::new(), Vec::new(), Vec::new());
                let mut factors = Vec::with_capacity(rows.len());
                for (i, &row) in rows.iter().enumerate() {
                    let factor = self.scaler.row_factor(self.features, row as usize) as f32;
                    let (indices, cells) = csr.row(row as usize);
                    for (&j, &v) in indices.iter().zip(cells) {
                        at.push(i as i32);
                        columns.push(j as i32);
                        values.push(factor * v / self.scaler.scale.as_ref().map_or(1.0, |s| s[j as usize] as f32));
                    }
                    factors.push(factor);
                }
                if columns.is_empty() {
                    // A batch of empty rows: one cell of value 0, since a tensor needs at least one element.
                    at.push(0);
                    columns.push(0);
                    values.push(0.0);
                }
                let factors = (self.scaler.unit_row && self.scaler.mean.is_some()).then_some(factors);
                HostRows::Sparse { rows: at, columns, values, factors }
            }
        };
        HostBatch { rows, labels, weights, n_features: d }
    }

    /// Rows in double precision as preprocessed rows in single precision, which want no preprocessing any more.
    #[must_use]
    pub fn preprocessed(&self) -> Option<Features<'static>> {
        const ROWS: usize = 256;
        let Features::F64(rows) = self.features else { return None };
        let d = rows.n_features();
        let mut values = vec![0.0f32; rows.n_rows() * d];
        values.par_chunks_mut(ROWS * d).enumerate().for_each(|(i, out)| {
            #[allow(clippy::cast_possible_truncation)]
            let rows: Vec<u32> = (i * ROWS..).take(out.len() / d).map(|row| row as u32).collect();
            self.scaler.write_rows(self.features, &rows, out);
        });
        Some(Features::F32(Dense::new(d, values)))
    }

    /// The columns that are still blurred in single precision once they are preprocessed, by a look at some of the rows.
    #[must_use]
    pub fn blurred(&self, rows: &[u32]) -> Vec<usize> {
        const MOST: usize = 1024;
        if !matches!(self.features, Features::F64(_)) {
            return Vec::new();
        }
        let d = self.features.n_features();
        let mut values = vec![0.0; rows.len().min(MOST) * d];
        let sample = rows.iter().step_by(rows.len().div_ceil(MOST).max(1));
        values.chunks_exact_mut(d).zip(sample).for_each(|(out, &row)| {
            self.scaler.write_row_wide(self.features, row as usize, out);
        });
        precision::blurred(&Features::F64(Dense::new(d, values)))
    }

    /// `−mean/scale` as `[1, n_features]` on a device: what sparse batches still need for centring.
    #[must_use]
    pub fn sparse_offset(&self, device: &Device) -> Option<Tensor<2>> {
        let (Features::Sparse(_), Some(mean)) = (self.features, &self.scaler.mean) else {
            return None;
        };
        #[allow(clippy::cast_possible_truncation)]
        let offset: Vec<f32> = match &self.scaler.scale {
            None => mean.iter().map(|&m| -m as f32).collect(),
            Some(scale) => mean.iter().zip(scale).map(|(&m, &s)| -m as f32 / s as f32).collect(),
        };
        let d = offset.len();
        Some(Tensor::from_data(TensorData::new(offset, [1, d]), device))
    }
}

impl HostBatch {
    /// Number of rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.labels.len()
    }

    /// Moves the batch to a device; no synchronisation.
    #[must_use]
    pub fn to_device(self, device: &Device) -> Batch {
        let n = self.labels.len();
        let ints = |values: Vec<i32>| {
            let len = values.len();
            Tensor::<1, Int>::from_data(TensorData::new(values, [len]), device)
        };
        let column = |values: Vec<f32>| {
            let len = values.len();
            Tensor::<2>::from_data(TensorData::new(values, [len, 1]), device)
        };
        let rows = match self.rows {
            HostRows::Dense(values) => {
                DeviceFeatures::Dense(Tensor::from_data(TensorData::new(values, [n, self.n_features]), device))
            }
            HostRows::Sparse { rows, columns, values, factors } => DeviceFeatures::Sparse(SparseRows {
                n_rows: n,
                rows: ints(rows),
                columns: ints(columns),
                values: column(values),
                factors: factors.map(column),
            }),
        };
        let weights = self.weights.map(|w| Tensor::from_data(TensorData::new(w, [n]), device));
        Batch { rows, labels: ints(self.labels), weights }
    }
}
