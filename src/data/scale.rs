//! Preprocessing: centring and scaling, fitted on the training split only and folded where it is affine.
//!
//! `x' = r · (x − mean) / scale`, with r = 1 unless rows are brought to unit length (r = 1/‖x − mean‖). Dense rows are
//! transformed batch by batch; sparse rows keep their zeros, and the offset `−mean/scale` goes through the weights.

use super::precision::single;
use super::{Features, Moments};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// `center` of the `[preprocess]` table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Center {
    /// Nothing is subtracted.
    #[default]
    None,
    /// The mean of each feature over the training split.
    Mean,
}

/// `scale` of the `[preprocess]` table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// Nothing is divided.
    #[default]
    None,
    /// Divide by 255.
    Pixel,
    /// Divide by each feature's standard deviation (of the training split, with n in the denominator).
    Std,
    /// Divide by each feature's range, (x − min)/(max − min); with `center = "mean"` the mean is subtracted instead of the minimum.
    Minmax,
    /// Divide each row by its Euclidean length.
    UnitRow,
}

/// Fitted preprocessing.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scaler {
    /// Mean that is subtracted from each feature.
    pub mean: Option<Vec<f64>>,
    /// Divisor of each feature.
    pub scale: Option<Vec<f64>>,
    /// Whether each row is divided by its length afterwards.
    pub unit_row: bool,
    /// Whether it was fitted on rows in double precision: rows that are scored have to be so, too.
    pub double_rows: bool,
}

/// Exact column sums of byte rows: 32-bit sums of at most 16,384 rows, added up in f64.
#[allow(clippy::cast_precision_loss)]
fn byte_means(dense: &super::Dense<'_, u8>, rows: &[u32]) -> Vec<f64> {
    let d = dense.n_features();
    let partial = |rows: &[u32]| {
        let mut sum = vec![0u32; d];
        for &row in rows {
            sum.iter_mut().zip(dense.row(row as usize)).for_each(|(s, &x)| *s += u32::from(x));
        }
        sum
    };
    // Integers: the order in which threads finish changes nothing.
    let sums: Vec<Vec<u32>> = rows.par_chunks(16_384).map(partial).collect();
    let mut total = vec![0.0; d];
    sums.iter().for_each(|s| total.iter_mut().zip(s).for_each(|(t, &v)| *t += f64::from(v)));
    total.iter_mut().for_each(|t| *t /= rows.len() as f64);
    total
}

/// Numbers in the precision of the rows that they were fitted on.
fn rounded(mut values: Vec<f64>, double: bool) -> Vec<f64> {
    if !double {
        values.iter_mut().for_each(|v| *v = single(*v));
    }
    values
}

impl Scaler {
    /// Fits on `rows` of `features`. A column that is constant there is left unscaled by `std` and `minmax`.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn fit(features: &Features, rows: &[u32], center: Center, scale: Scale) -> Self {
        let d = features.n_features();
        let double_rows = matches!(features, Features::F64(_));
        let fitted = Self { unit_row: scale == Scale::UnitRow, double_rows, ..Self::default() };
        match (center, scale) {
            (Center::None, Scale::None | Scale::UnitRow) => return fitted,
            (Center::None, Scale::Pixel) => return Self { scale: Some(vec![255.0; d]), ..fitted },
            (Center::Mean, Scale::None | Scale::Pixel | Scale::UnitRow) => {
                if let Features::U8(dense) = features {
                    let mean = Some(rounded(byte_means(dense, rows), double_rows));
                    let scale = (scale == Scale::Pixel).then(|| vec![255.0; d]);
                    return Self { mean, scale, ..fitted };
                }
            }
            (_, Scale::Std | Scale::Minmax) => {}
        }
        let empty = Moments::new(Moments::shift_of(features, rows.first().map(|&row| row as usize)));
        let sums = |rows: &[u32]| {
            let mut moments = empty.clone();
            moments.add_rows(features, rows.iter().map(|&row| row as usize));
            moments
        };
        let parts: Vec<Moments> = rows.par_chunks(16_384).map(sums).collect();
        let moments = parts.iter().fold(empty, Moments::merge);
        Self::of_moments(&moments, center, scale, double_rows)
    }

    /// Fits by the sums over the columns of the training rows.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn of_moments(moments: &Moments, center: Center, scale: Scale, double_rows: bool) -> Self {
        let (d, n, shift) = (moments.n_features(), moments.rows as f64, &moments.shift);
        let (mut min, mut max) = (moments.min.clone(), moments.max.clone());
        for j in 0..d {
            // A cell that a sparse row does not store is zero.
            if moments.stored[j] < n {
                min[j] = min[j].min(0.0);
                max[j] = max[j].max(0.0);
            }
        }
        let means: Vec<f64> = (0..d).map(|j| moments.sum[j] / n + shift[j]).collect();
        let divisors = match scale {
            Scale::None | Scale::UnitRow => None,
            Scale::Pixel => Some(vec![255.0; d]),
            Scale::Std => Some(
                (0..d)
                    .map(|j| {
                        let mean = moments.sum[j] / n;
                        let deviation = (moments.square[j] / n - mean * mean).max(0.0).sqrt();
                        if min[j] < max[j] && deviation > 0.0 { deviation } else { 1.0 }
                    })
                    .collect::<Vec<f64>>(),
            ),
            Scale::Minmax => {
                Some((0..d).map(|j| max[j] - min[j]).map(|range| if range > 0.0 { range } else { 1.0 }).collect())
            }
        };
        let mean = match (center, scale) {
            (Center::Mean, _) => Some(rounded(means, double_rows)),
            (Center::None, Scale::Minmax) => Some(min),
            (Center::None, _) => None,
        };
        let scale_of = divisors.map(|s| rounded(s, double_rows));
        Self { mean, scale: scale_of, unit_row: scale == Scale::UnitRow, double_rows }
    }

    /// The same with some features neither centred nor scaled: those that an encoding made, which are 1 or 0.
    #[must_use]
    pub fn without(mut self, features: impl Iterator<Item = usize>) -> Self {
        for j in features {
            self.mean.iter_mut().for_each(|mean| mean[j] = 0.0);
            self.scale.iter_mut().for_each(|scale| scale[j] = 1.0);
        }
        self
    }

    /// True when `x' = x`.
    #[must_use]
    pub const fn is_identity(&self) -> bool {
        self.mean.is_none() && self.scale.is_none() && !self.unit_row
    }

    /// The factor r of a row: 1, or one over the length of the centred row (1 for a row of length 0).
    #[must_use]
    pub fn row_factor(&self, features: &Features, row: usize) -> f64 {
        if !self.unit_row {
            return 1.0;
        }
        let mut square = 0.0;
        match (&self.mean, features) {
            (None, _) => features.for_each_cell(row, |_, x| square += x.powi(2)),
            (Some(mean), Features::U8(_) | Features::F32(_) | Features::F64(_)) => {
                features.for_each_cell(row, |j, x| square += (x - mean[j]).powi(2));
            }
            (Some(mean), Features::Sparse(_)) => {
                square = mean.iter().map(|m| m.powi(2)).sum();
                features.for_each_cell(row, |j, x| {
                    let m = mean[j];
                    square += (x - m).powi(2) - m * m;
                });
            }
        }
        if square > 0.0 { 1.0 / square.sqrt() } else { 1.0 }
    }

    /// Writes the transformed dense row `row` to `out`.
    #[allow(clippy::cast_possible_truncation)]
    pub fn write_row(&self, features: &Features, row: usize, out: &mut [f32]) {
        self.write_rows(features, &[row as u32], out);
    }

    /// Writes transformed dense rows to `out`, one after another.
    #[allow(clippy::cast_possible_truncation)]
    pub fn write_rows(&self, features: &Features, rows: &[u32], out: &mut [f32]) {
        let narrow = |values: &Vec<f64>| values.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let (mean, scale) = (self.mean.as_ref().map(narrow), self.scale.as_ref().map(narrow));
        let single = Single { mean: mean.as_deref(), scale: scale.as_deref() };
        for (out, &row) in out.chunks_exact_mut(features.n_features().max(1)).zip(rows) {
            let row = row as usize;
            match features {
                Features::U8(d) => single.write(d.row(row), out),
                Features::F32(d) => single.write(d.row(row), out),
                Features::F64(d) => {
                    let factor = self.row_factor(features, row);
                    self.each_cell(d.row(row), 0, factor, |j, x| out[j] = x as f32);
                    continue;
                }
                Features::Sparse(s) => single.write_sparse(s.row(row), out),
            }
            if self.unit_row {
                let r = self.row_factor(features, row) as f32;
                out.iter_mut().for_each(|v| *v *= r);
            }
        }
    }

    /// Writes the transformed dense row `row` to `out` in double precision.
    pub fn write_row_wide(&self, features: &Features, row: usize, out: &mut [f64]) {
        let factor = self.row_factor(features, row);
        let transformed = |j: usize, x: f64| {
            let mean = self.mean.as_ref().map_or(0.0, |m| m[j]);
            factor * (x - mean) / self.scale.as_ref().map_or(1.0, |s| s[j])
        };
        if matches!(features, Features::Sparse(_)) {
            out.iter_mut().enumerate().for_each(|(j, o)| *o = transformed(j, 0.0));
        }
        features.for_each_cell(row, |j, x| out[j] = transformed(j, x));
    }

    /// Mean and scale of a feature.
    pub(crate) fn of_feature(&self, j: usize) -> (f64, f64) {
        (self.mean.as_ref().map_or(0.0, |mean| mean[j]), self.scale.as_ref().map_or(1.0, |scale| scale[j]))
    }

    /// Calls `put` for the transformed cells of a part of a dense row whose factor is known; `first` is the feature of the first.
    #[inline(always)]
    pub(crate) fn each_cell(&self, cells: &[f64], first: usize, factor: f64, mut put: impl FnMut(usize, f64)) {
        let mean = self.mean.as_deref().map(|m| &m[first..first + cells.len()]);
        let scale = self.scale.as_deref().map(|s| &s[first..first + cells.len()]);
        for (j, &x) in cells.iter().enumerate() {
            put(j, factor * (x - mean.map_or(0.0, |m| m[j])) / scale.map_or(1.0, |s| s[j]));
        }
    }
}

/// Preprocessing in single precision.
struct Single<'a> {
    mean: Option<&'a [f32]>,
    scale: Option<&'a [f32]>,
}

impl Single<'_> {
    fn write<T: Copy + Into<f32>>(&self, row: &[T], out: &mut [f32]) {
        let cells = out.iter_mut().zip(row);
        match (self.mean, self.scale) {
            (None, None) => cells.for_each(|(o, &x)| *o = x.into()),
            (Some(mean), None) => cells.zip(mean).for_each(|((o, &x), m)| *o = x.into() - m),
            (None, Some(scale)) => cells.zip(scale).for_each(|((o, &x), s)| *o = x.into() / s),
            (Some(mean), Some(scale)) => {
                cells.zip(mean).zip(scale).for_each(|(((o, &x), m), s)| *o = (x.into() - m) / s);
            }
        }
    }

    fn write_sparse(&self, (indices, values): (&[u32], &[f32]), out: &mut [f32]) {
        let (mean, scale) = (|j: usize| self.mean.map_or(0.0, |m| m[j]), |j: usize| self.scale.map_or(1.0, |s| s[j]));
        match self.mean {
            None => out.fill(0.0),
            Some(_) => out.iter_mut().enumerate().for_each(|(j, o)| *o = -mean(j) / scale(j)),
        }
        for (&j, &v) in indices.iter().zip(values) {
            out[j as usize] = (v - mean(j as usize)) / scale(j as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Csr, Dense};

    const VALUES: [f32; 12] = [0., 4., 7., 2., 0., 7., 4., 8., 7., 100., 100., 100.];

    fn dense() -> Features<'static> {
        Features::F32(Dense::new(3, VALUES.to_vec()))
    }

    fn bytes() -> Features<'static> {
        Features::U8(Dense::new(3, VALUES.iter().map(|&v| v as u8).collect()))
    }

    fn sparse() -> Features<'static> {
        let mut csr = Csr::new(3);
        for row in VALUES.chunks(3) {
            row.iter().enumerate().filter(|(_, v)| **v != 0.0).for_each(|(j, &v)| csr.push_cell(j as u32, v));
            csr.finish_row();
        }
        Features::Sparse(csr)
    }

    #[test]
    fn fitted_on_the_training_rows_only_and_alike_for_every_storage() {
        // Row 3 is not in the training split; column 2 is constant there.
        let rows = [0, 1, 2];
        for features in [dense(), bytes(), sparse()] {
            let scaler = Scaler::fit(&features, &rows, Center::Mean, Scale::Std);
            assert_eq!(scaler.mean.as_deref(), Some(&[2., 4., 7.][..]), "{}", features.kind());
            let scale = scaler.scale.unwrap();
            assert!(
                (scale[0] - (8.0f64 / 3.0).sqrt()).abs() < 1e-6 && (scale[1] - (32.0f64 / 3.0).sqrt()).abs() < 1e-6
            );
            assert_eq!(scale[2], 1.0);
            let minmax = Scaler::fit(&features, &rows, Center::None, Scale::Minmax);
            assert_eq!(minmax.mean.as_deref(), Some(&[0., 0., 7.][..]));
            assert_eq!(minmax.scale.as_deref(), Some(&[4., 8., 1.][..]));
        }
    }

    #[test]
    fn rows_are_the_same_from_every_storage() {
        for center in [Center::None, Center::Mean] {
            for scale in [Scale::None, Scale::Pixel, Scale::Std, Scale::Minmax, Scale::UnitRow] {
                let written = |features: Features| {
                    let scaler = Scaler::fit(&features, &[0, 1, 2], center, scale);
                    let mut out = vec![f32::NAN; 3];
                    (0..4)
                        .flat_map(|i| {
                            scaler.write_row(&features, i, &mut out);
                            out.clone()
                        })
                        .collect::<Vec<f32>>()
                };
                let (a, b, c) = (written(dense()), written(bytes()), written(sparse()));
                for ((a, b), c) in a.iter().zip(b).zip(c) {
                    assert!((a - b).abs() < 1e-6 && (a - c).abs() < 1e-5, "{center:?} {scale:?} {a} {b} {c}");
                }
            }
        }
    }

    #[test]
    fn unit_rows_have_length_one() {
        let scaler = Scaler::fit(&sparse(), &[0, 1, 2], Center::Mean, Scale::UnitRow);
        let mut out = vec![0.0; 3];
        for i in 0..4 {
            scaler.write_row(&sparse(), i, &mut out);
            assert!((out.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5);
        }
    }
}
