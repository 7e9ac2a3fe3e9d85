//! Precision of columns: which of them single precision would blur.
//!
//! A column is blurred where the rounding errors of its values are large against their spread: seconds since 1970 are rounded by up to
//! 64 s, whatever it is that they tell apart. The median error is held against the standard deviation, and in each quarter of the
//! values, in their order, against the range of that quarter, so that neither an outlier nor a second group far away hides a loss.

use super::{Csr, Dense, Features};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Rows in which every column is looked at, and those of columns that are doubtful there.
const ROWS: [usize; 2] = [64, 1024];
/// Largest median rounding error, as a share of the standard deviation, and of the range of a quarter; a tenth of it
/// in the few rows.
const TOLERANCE: (f64, f64) = (1e-6, 1e-4);
/// Values of a quarter, at least; where there are fewer, parts are larger.
const QUARTER: usize = 8;

/// The number that single precision makes of one.
#[must_use]
#[inline(always)]
#[allow(clippy::cast_possible_truncation)]
pub fn single(value: f64) -> f64 {
    f64::from(value as f32)
}

/// The number of single precision next to `x` that is no further from 0.
#[must_use]
#[allow(clippy::cast_possible_truncation)]
pub fn towards_zero(x: f64) -> f32 {
    let near = x as f32;
    if f64::from(near).abs() > x.abs() { f32::from_bits(near.to_bits() - 1) } else { near }
}

/// The columns that single precision blurs, in their order; of rows in single precision those that it may have blurred.
#[must_use]
pub fn blurred(features: &Features) -> Vec<usize> {
    match features {
        Features::U8(_) => Vec::new(),
        Features::F32(rows) => of_dense(rows, Errors::Likely),
        Features::F64(rows) => of_dense(rows, Errors::Known),
        Features::Sparse(rows) => of_sparse(rows, Errors::Likely),
    }
}

/// Whether single precision blurs a column of numbers; those that are not finite are passed over.
#[must_use]
pub fn blurs(column: &[f64]) -> bool {
    let blurs = |most: usize, multiple: f64| {
        let sample = sampled(column.len(), most).map(|i| column[i]).filter(|x| x.is_finite());
        Errors::Known.blur(sample.collect(), multiple)
    };
    blurs(ROWS[0], 0.1) && blurs(ROWS[1], 1.0)
}

/// The columns of sparse rows that single precision blurs.
#[must_use]
pub fn blurred_cells(rows: &Csr<'_, u32, f64>) -> Vec<usize> {
    of_sparse(rows, Errors::Known)
}

impl Features<'_> {
    /// Rows in double precision as rows in single precision; others as they are.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)]
    pub fn in_single(self) -> Self {
        match self {
            Self::F64(rows) => {
                Self::F32(Dense::new(rows.n_features(), rows.values().iter().map(|&x| x as f32).collect()))
            }
            other => other,
        }
    }

    /// Rows in double precision stay so only where single precision would blur a column.
    #[must_use]
    pub fn settled(self) -> Self {
        if blurred(&self).is_empty() { self.in_single() } else { self }
    }
}

/// Rounding errors of values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Errors {
    /// Of values in double precision.
    Known,
    /// Those that rounded values have had, at most.
    Likely,
}

impl Errors {
    fn of(self, x: f64) -> f64 {
        match self {
            Self::Known => (x - single(x)).abs(),
            Self::Likely => x.abs() * f64::from(f32::EPSILON) / 2.0,
        }
    }

    /// Whether values are blurred, by a multiple of the tolerance. Rounded values may be all the same and have differed before.
    #[allow(clippy::cast_precision_loss)]
    fn blur(self, mut values: Vec<f64>, multiple: f64) -> bool {
        values.sort_unstable_by(f64::total_cmp);
        if values.is_empty() {
            return false;
        }
        let differ = |values: &[f64]| self == Self::Likely || values.first() != values.last();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let deviation = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        let parts = (values.len() / QUARTER).clamp(1, 4);
        let mut quarters = values.chunks(values.len().div_ceil(parts).max(1));
        let in_quarter = |part: &[f64]| {
            differ(part) && self.median(part) > multiple * TOLERANCE.1 * (part[part.len() - 1] - part[0])
        };
        differ(&values) && (self.median(&values) > multiple * TOLERANCE.0 * deviation || quarters.any(in_quarter))
    }

    /// The median error of values.
    fn median(self, values: &[f64]) -> f64 {
        let mut errors: Vec<f64> = values.iter().map(|&x| self.of(x)).collect();
        let middle = errors.len() / 2;
        *errors.select_nth_unstable_by(middle, f64::total_cmp).1
    }
}

/// Up to `most` of `n` rows, from all over.
fn sampled(n: usize, most: usize) -> impl Iterator<Item = usize> {
    let count = n.min(most);
    (0..count).map(move |i| i * n / count)
}

fn of_dense<T: Copy + Into<f64> + Sync>(rows: &Dense<'_, T>, errors: Errors) -> Vec<usize> {
    let values = |j: usize, most| sampled(rows.n_rows(), most).map(|i| rows.row(i)[j].into()).collect::<Vec<f64>>();
    let blurs = |&j: &usize| errors.blur(values(j, ROWS[0]), 0.1) && errors.blur(values(j, ROWS[1]), 1.0);
    (0..rows.n_features()).into_par_iter().filter(blurs).collect()
}

fn of_sparse<T: Copy + Default + Into<f64>>(rows: &Csr<'_, u32, T>, errors: Errors) -> Vec<usize> {
    let blurs = |most: usize, multiple: f64, among: &dyn Fn(u32) -> bool| {
        let mut columns: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for i in sampled(rows.n_rows(), most) {
            let (indices, values) = rows.row(i);
            let cells = indices.iter().zip(values).filter(|(j, _)| among(**j));
            cells.for_each(|(&j, &x)| columns.entry(j).or_default().push(x.into()));
        }
        columns.retain(|_, values| {
            // Cells that are not stored are zero.
            values.resize(rows.n_rows().min(most), 0.0);
            errors.blur(std::mem::take(values), multiple)
        });
        columns
    };
    let doubtful = blurs(ROWS[0], 0.1, &|_| true);
    if doubtful.is_empty() {
        return Vec::new();
    }
    blurs(ROWS[1], 1.0, &|j| doubtful.contains_key(&j)).into_keys().map(|j| j as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from 0 to 1 that repeat after a long time.
    fn noise(i: usize) -> f64 {
        (i as f64 * 0.618_033_988_749_894_9).fract()
    }

    fn is_blurred(n: usize, of: impl Fn(usize) -> f64) -> bool {
        let values: Vec<f64> = (0..n).map(of).collect();
        let found = blurred(&Features::F64(Dense::new(1, values.clone())));
        let rounded = Features::F64(Dense::new(1, values)).in_single();
        assert!(found.is_empty() || blurred(&rounded) == [0], "what is blurred is in doubt once it has been");
        !found.is_empty()
    }

    #[test]
    fn columns_that_lose_what_they_tell_apart_are_blurred() {
        let time = |i: usize| 1.7e9 + 40.0 * (i % 3) as f64 + 5.0 * noise(i);
        for n in [10, 600, 5_000] {
            assert!(is_blurred(n, time), "{n}");
        }
        assert!(is_blurred(600, |i| if i == 17 { 0.0 } else { time(i) }), "an outlier");
        assert!(is_blurred(600, |i| if i % 2 == 0 { noise(i) } else { time(i) }), "two groups");
        assert!(is_blurred(600, |i| 5_400_000.0 + 30_000.0 * noise(i)), "metres to the north");
        assert!(is_blurred(600, |i| 1.7e9 + 3e7 * noise(i)), "a year of seconds");
        assert!(is_blurred(600, |i| 123_456_789.0 + i as f64), "numbers of customers");
        assert!(is_blurred(600, |i| 1.0 + 1e-9 * noise(i)), "all the same in single precision");
    }

    #[test]
    fn ordinary_columns_are_not() {
        for scale in [1e-30, 1e-3, 1.0, 1e30] {
            assert!(!is_blurred(600, |i| scale * (noise(i) - 0.3)), "{scale}");
            assert!(!is_blurred(600, |i| scale * (1.0 + noise(i))), "{scale}");
        }
        assert!(!is_blurred(600, |i| 2_000.0 + (i % 30) as f64), "years");
        assert!(!is_blurred(600, |i| 16_000_000.0 + (i % 30) as f64), "whole numbers that fit");
        assert!(!is_blurred(600, |_| 1.7e9 + 0.1), "a constant");
        assert!(!is_blurred(600, |i| if i % 3 == 0 { 0.1 } else { 0.7 }), "few values");
        assert!(!is_blurred(600, |i| 2.8 + (5.0 * noise(i)).floor() / 10.0), "tenths");
        assert!(
            !is_blurred(600, |i| if i % 10 == 0 { noise(i) } else { -0.999 + 1e-3 * noise(i) }),
            "most are near the end of the range"
        );
        assert!(!is_blurred(600, |_| 0.0) && !is_blurred(1, |_| 0.1));
    }

    #[test]
    fn sparse_columns_are_doubtful_where_most_cells_are_stored() {
        let mut csr = Csr::new(3);
        for i in 0..600 {
            csr.push_cell(0, 1.7e9f32);
            if i % 10 == 0 {
                csr.push_cell(1, 1.7e9);
            }
            csr.push_cell(2, noise(i) as f32);
            csr.finish_row();
        }
        assert_eq!(blurred(&Features::Sparse(csr)), [0]);
    }
}
