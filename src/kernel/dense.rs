//! Dense rows: scores, updates and Gram matrices of a block of rows that fits the cache.

// Index loops over arrays of known length, which the compiler keeps in registers.
#![allow(clippy::needless_range_loop)]

use super::{AlignedBuffer, Real, padded};
use pulp::{Simd, WithSimd};

/// Features of one part of the weights: the parts of all classes stay in the first-level cache while a block goes by.
const PART: usize = 512;
/// Rows of a register tile, with 32 registers and with 16.
const TILE_ROWS: usize = 4;
const TILE_ROWS_FEW: usize = 2;
/// Columns of a register tile.
const TILE_COLUMNS: usize = 5;
/// Rows of a Gram matrix that are computed up to the same column.
const GRAM_ROWS: usize = 8;

/// A few preprocessed rows, each padded with zeros to whole cache lines.
#[derive(Debug)]
pub struct RowBlock<T> {
    values: AlignedBuffer<T>,
    width: usize,
}

impl<T: Real> RowBlock<T> {
    /// Room for `rows` rows of `n_features` cells, all zero.
    #[must_use]
    pub fn new(rows: usize, n_features: usize) -> Self {
        let width = padded(n_features);
        Self { values: AlignedBuffer::zeros(rows * width), width }
    }

    /// The rows one after another for writing, each with its padding, which must stay zero.
    pub fn rows_mut(&mut self) -> std::slice::ChunksExactMut<'_, T> {
        self.values.get_mut().chunks_exact_mut(self.width)
    }

    /// A row with its padding.
    #[must_use]
    pub fn row(&self, row: usize) -> &[T] {
        &self.values.get()[row * self.width..(row + 1) * self.width]
    }

    /// The rows one after another, each with its padding.
    #[must_use]
    pub fn values(&self) -> &[T] {
        self.values.get()
    }

    /// The Gram matrix of the first `n` rows, `[n, n]`.
    pub fn gram(&self, n: usize, out: &mut [T]) {
        for start in (0..n).step_by(GRAM_ROWS) {
            let end = (start + GRAM_ROWS).min(n);
            let band = ProductTiles { rows: self, start, end, columns: self, n_columns: end, out, stride: n };
            pulp::Arch::new().dispatch(band);
        }
        for i in 0..n {
            for j in i + 1..n {
                out[i * n + j] = out[j * n + i];
            }
        }
    }
}

/// Columns of the same length that can be read part by part.
trait ColumnSource<T>: Sync {
    fn part(&self, column: usize, start: usize, len: usize) -> &[T];
}

impl<T: Real> ColumnSource<T> for RowBlock<T> {
    #[inline(always)]
    fn part(&self, column: usize, start: usize, len: usize) -> &[T] {
        let start = column * self.width + start;
        &self.values.get()[start..start + len]
    }
}

/// The weights of all classes for dense rows, `[n_features, n_classes]` held in parts of 512 features, within a part class
/// after class.
#[derive(Debug, Clone)]
pub struct TiledWeights<T> {
    values: AlignedBuffer<T>,
    n_features: usize,
    n_classes: usize,
    width: usize,
}

impl<T: Real> ColumnSource<T> for TiledWeights<T> {
    #[inline(always)]
    fn part(&self, column: usize, start: usize, len: usize) -> &[T] {
        let start = start * self.n_classes + column * len;
        &self.values.get()[start..start + len]
    }
}

impl<T: Real> TiledWeights<T> {
    /// All zero.
    #[must_use]
    pub fn zeros(n_features: usize, n_classes: usize) -> Self {
        let width = padded(n_features);
        Self { values: AlignedBuffer::zeros(width * n_classes), n_features, n_classes, width }
    }

    /// All zero again.
    pub fn clear(&mut self) {
        self.values.get_mut().fill(T::default());
    }

    /// `W += V`, for weights of the same shape.
    pub fn merge(&mut self, other: &Self) {
        self.values.get_mut().iter_mut().zip(other.values.get()).for_each(|(w, &v)| *w += v);
    }

    /// The number of classes.
    #[must_use]
    pub const fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Row-major `[n_features, n_classes]`.
    #[must_use]
    pub fn to_rows(&self) -> Vec<T> {
        let k = self.n_classes;
        let mut rows = vec![T::default(); self.n_features * k];
        for start in (0..self.n_features).step_by(PART) {
            let len = PART.min(self.width - start);
            for class in 0..k {
                let part = self.part(class, start, len);
                for (j, &w) in part.iter().take(self.n_features - start).enumerate() {
                    rows[(start + j) * k + class] = w;
                }
            }
        }
        rows
    }

    /// From row-major `[n_features, n_classes]`.
    #[must_use]
    pub fn from_rows(rows: &[f64], n_classes: usize) -> Self {
        let mut weights = Self::zeros(rows.len() / n_classes, n_classes);
        let width = weights.width;
        for (j, row) in rows.chunks_exact(n_classes).enumerate() {
            let start = j / PART * PART;
            let len = PART.min(width - start);
            for (class, &w) in row.iter().enumerate() {
                weights.values.get_mut()[start * n_classes + class * len + j - start] = T::from_f64(w);
            }
        }
        weights
    }

    /// ‖W‖² with the sum in f64.
    #[must_use]
    pub fn square(&self) -> f64 {
        self.values.get().iter().map(|w| w.to_f64() * w.to_f64()).sum()
    }

    /// The scores of the first `n` rows, `[n, stride]` of which the first `n_classes` of each row are written.
    pub fn scores(&self, rows: &RowBlock<T>, n: usize, out: &mut [T], stride: usize) {
        products(rows, n, self, self.n_classes, out, stride);
    }

    /// `W += Σ_r x_r q_rᵀ` over the rows at `positions` of the block, with `q` `[positions, n_classes]`.
    pub fn add(&mut self, rows: &RowBlock<T>, positions: &[usize], q: &[T]) {
        if positions.is_empty() {
            return;
        }
        let n_classes = self.n_classes;
        for (part, values) in self.values.get_mut().chunks_mut(PART * n_classes).enumerate() {
            pulp::Arch::new().dispatch(AddPart { rows, positions, q, n_classes, start: part * PART, values });
        }
    }
}

/// `out[r, c] = x_r · w_c`
fn products<T: Real, C: ColumnSource<T>>(
    rows: &RowBlock<T>,
    n: usize,
    columns: &C,
    n_columns: usize,
    out: &mut [T],
    stride: usize,
) {
    pulp::Arch::new().dispatch(ProductTiles { rows, start: 0, end: n, columns, n_columns, out, stride });
}

struct ProductTiles<'a, T, C> {
    rows: &'a RowBlock<T>,
    start: usize,
    end: usize,
    columns: &'a C,
    n_columns: usize,
    out: &'a mut [T],
    stride: usize,
}

impl<T: Real, C: ColumnSource<T>> WithSimd for ProductTiles<'_, T, C> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let mut row = self.start;
        while row < self.end {
            let left = self.end - row;
            if S::REGISTER_COUNT >= 32 && left >= TILE_ROWS {
                self.band::<S, TILE_ROWS>(simd, row);
                row += TILE_ROWS;
            } else if left >= TILE_ROWS_FEW {
                self.band::<S, TILE_ROWS_FEW>(simd, row);
                row += TILE_ROWS_FEW;
            } else {
                self.band::<S, 1>(simd, row);
                row += 1;
            }
        }
    }
}

impl<T: Real, C: ColumnSource<T>> ProductTiles<'_, T, C> {
    #[inline(always)]
    fn band<S: Simd, const R: usize>(&mut self, simd: S, row: usize) {
        let count = self.n_columns.div_ceil(TILE_COLUMNS);
        for t in 0..count {
            let (start, end) = (t * self.n_columns / count, (t + 1) * self.n_columns / count);
            match end - start {
                5 => self.tile::<S, R, 5>(simd, row, start),
                4 => self.tile::<S, R, 4>(simd, row, start),
                3 => self.tile::<S, R, 3>(simd, row, start),
                2 => self.tile::<S, R, 2>(simd, row, start),
                _ => self.tile::<S, R, 1>(simd, row, start),
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const R: usize, const N: usize>(&mut self, simd: S, row: usize, column: usize) {
        let zero = T::splat(simd, T::default());
        let mut sums = [[zero; N]; R];
        let width = self.rows.width;
        for start in (0..width).step_by(PART) {
            let len = PART.min(width - start);
            let n = len / (size_of::<T::Lanes<S>>() / size_of::<T>());
            let mut x: [&[T::Lanes<S>]; R] = [&[]; R];
            for r in 0..R {
                x[r] = &T::lanes::<S>(self.rows.part(row + r, start, len))[..n];
            }
            let mut w: [&[T::Lanes<S>]; N] = [&[]; N];
            for c in 0..N {
                w[c] = &T::lanes::<S>(self.columns.part(column + c, start, len))[..n];
            }
            for l in 0..n {
                let mut cells = [zero; R];
                for r in 0..R {
                    cells[r] = x[r][l];
                }
                for c in 0..N {
                    let weight = w[c][l];
                    for r in 0..R {
                        sums[r][c] = T::mul_add(simd, cells[r], weight, sums[r][c]);
                    }
                }
            }
        }
        for r in 0..R {
            let out = &mut self.out[(row + r) * self.stride + column..][..N];
            for c in 0..N {
                out[c] = T::sum(simd, sums[r][c]);
            }
        }
    }
}

struct AddPart<'a, T> {
    rows: &'a RowBlock<T>,
    positions: &'a [usize],
    q: &'a [T],
    n_classes: usize,
    start: usize,
    values: &'a mut [T],
}

impl<T: Real> WithSimd for AddPart<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // Fewer columns where there are fewer registers: R·N coefficients and R rows stay in them.
        let columns = if S::REGISTER_COUNT >= 32 { TILE_COLUMNS } else { 2 };
        let count = self.n_classes.div_ceil(columns);
        for t in 0..count {
            let (start, end) = (t * self.n_classes / count, (t + 1) * self.n_classes / count);
            match end - start {
                5 => self.columns::<S, 5>(simd, start),
                4 => self.columns::<S, 4>(simd, start),
                3 => self.columns::<S, 3>(simd, start),
                2 => self.columns::<S, 2>(simd, start),
                _ => self.columns::<S, 1>(simd, start),
            }
        }
    }
}

impl<T: Real> AddPart<'_, T> {
    #[inline(always)]
    fn columns<S: Simd, const N: usize>(&mut self, simd: S, column: usize) {
        let mut done = 0;
        while done < self.positions.len() {
            let left = self.positions.len() - done;
            if left >= TILE_ROWS {
                self.tile::<S, TILE_ROWS, N>(simd, done, column);
                done += TILE_ROWS;
            } else {
                self.tile::<S, 1, N>(simd, done, column);
                done += 1;
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const R: usize, const N: usize>(&mut self, simd: S, first: usize, column: usize) {
        let len = self.values.len() / self.n_classes;
        let n = len / (size_of::<T::Lanes<S>>() / size_of::<T>());
        let zero = T::splat(simd, T::default());
        let mut factors = [[zero; N]; R];
        let mut x: [&[T::Lanes<S>]; R] = [&[]; R];
        for r in 0..R {
            let q = &self.q[(first + r) * self.n_classes + column..][..N];
            for c in 0..N {
                factors[r][c] = T::splat(simd, q[c]);
            }
            x[r] = &T::lanes::<S>(self.rows.part(self.positions[first + r], self.start, len))[..n];
        }
        let mut rest = T::lanes_mut::<S>(&mut self.values[column * len..(column + N) * len]);
        let mut w: [&mut [T::Lanes<S>]; N] = [(); N].map(|()| [].as_mut_slice());
        for c in 0..N {
            (w[c], rest) = rest.split_at_mut(n);
        }
        for l in 0..n {
            let mut cells = [zero; R];
            for r in 0..R {
                cells[r] = x[r][l];
            }
            for c in 0..N {
                let mut sum = w[c][l];
                for r in 0..R {
                    sum = T::mul_add(simd, cells[r], factors[r][c], sum);
                }
                w[c][l] = sum;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(i: usize) -> f64 {
        ((i * 7919 + 13) % 101) as f64 / 101.0 - 0.5
    }

    fn check<T: Real>(rows: usize, d: usize, k: usize, tolerance: f64) {
        let mut block = RowBlock::<T>::new(rows, d);
        let x: Vec<f64> = (0..rows * d).map(value).collect();
        for (out, row) in block.rows_mut().zip(x.chunks_exact(d)) {
            out.iter_mut().zip(row).for_each(|(o, &v)| *o = T::from_f64(v));
        }
        let w: Vec<f64> = (0..d * k).map(|i| value(i + 5)).collect();
        let mut weights = TiledWeights::<T>::from_rows(&w, k);
        let back: Vec<f64> = weights.to_rows().iter().map(|v| v.to_f64()).collect();
        assert!(back.iter().zip(&w).all(|(a, b)| (a - b).abs() < 1e-7));
        let stride = k + 3;
        let mut scores = vec![T::default(); rows * stride];
        weights.scores(&block, rows, &mut scores, stride);
        for r in 0..rows {
            for c in 0..k {
                let expected: f64 = (0..d).map(|j| x[r * d + j] * w[j * k + c]).sum();
                assert!((scores[r * stride + c].to_f64() - expected).abs() < tolerance, "{rows} {d} {k}: {r} {c}");
            }
        }
        let mut gram = vec![T::default(); rows * rows];
        block.gram(rows, &mut gram);
        let expected: f64 = (0..d).map(|j| x[j] * x[(rows - 1) * d + j]).sum();
        assert!((gram[rows - 1].to_f64() - expected).abs() < tolerance);
        let positions: Vec<usize> = (0..rows).filter(|r| r % 3 != 1).collect();
        let q: Vec<T> = (0..positions.len() * k).map(|i| T::from_f64(value(i + 3))).collect();
        weights.add(&block, &positions, &q);
        let added = weights.to_rows();
        for j in 0..d {
            for c in 0..k {
                let sum: f64 = positions.iter().enumerate().map(|(p, r)| x[r * d + j] * q[p * k + c].to_f64()).sum();
                assert!((added[j * k + c].to_f64() - w[j * k + c] - sum).abs() < tolerance);
            }
        }
    }

    #[test]
    fn products_and_updates_of_every_shape() {
        for (rows, d, k) in
            [(1, 1, 2), (3, 16, 5), (5, 17, 11), (64, 100, 10), (7, 513, 3), (9, 1100, 26), (2, 40, 131)]
        {
            check::<f32>(rows, d, k, 1e-4);
            check::<f64>(rows, d, k, 1e-12);
        }
    }
}
