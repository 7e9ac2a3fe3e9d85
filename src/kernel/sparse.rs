//! Sparse rows: weights with all classes of a feature side by side, so that a stored cell meets one run of memory.

#![allow(clippy::needless_range_loop)]

use super::{Aligned, Real};

/// Classes of a group: half a cache line in single precision.
const GROUP: usize = 8;

/// The weights of all classes for sparse rows, `[n_features, n_classes]` row-major with rows padded to whole groups.
#[derive(Debug, Clone)]
pub struct FeatureWeights<T> {
    values: Aligned<T>,
    n_classes: usize,
    width: usize,
}

impl<T: Real> FeatureWeights<T> {
    /// All zero.
    #[must_use]
    pub fn zeros(n_features: usize, n_classes: usize) -> Self {
        let width = n_classes.next_multiple_of(GROUP);
        Self { values: Aligned::zeros(width * n_features), n_classes, width }
    }

    /// All zero again.
    pub fn clear(&mut self) {
        self.values.get_mut().fill(T::default());
    }

    /// The classes with their padding: the length of what [`FeatureWeights::scores`] writes.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Row-major `[n_features, n_classes]`.
    #[must_use]
    pub fn to_rows(&self) -> Vec<T> {
        self.values.get().chunks_exact(self.width).flat_map(|row| row[..self.n_classes].iter().copied()).collect()
    }

    /// Puts the weights of feature `j`, `[n_classes]`.
    pub fn set_feature(&mut self, j: usize, values: &[f64]) {
        let row = &mut self.values.get_mut()[j * self.width..][..self.n_classes];
        row.iter_mut().zip(values).for_each(|(w, &value)| *w = T::from_f64(value));
    }

    /// ‖W‖² with the sum in f64.
    #[must_use]
    pub fn square(&self) -> f64 {
        self.values.get().iter().map(|w| w.to_f64() * w.to_f64()).sum()
    }

    /// The weights of feature `j`, padding included.
    #[must_use]
    #[inline]
    pub fn feature(&self, j: usize) -> &[T] {
        &self.values.get()[j * self.width..(j + 1) * self.width]
    }

    /// Writes `Σ x_j·w_j` over the stored cells to `out` `[width]`.
    #[inline(always)]
    pub fn scores(&self, indices: &[u32], values: &[T], out: &mut [T]) {
        let mut group = 0;
        while group < self.width {
            // Runs of up to four lines of weights stay in registers.
            match (self.width - group) / GROUP {
                1 => self.groups::<1>(indices, values, group, out),
                2 => self.groups::<2>(indices, values, group, out),
                3 => self.groups::<3>(indices, values, group, out),
                _ => self.groups::<4>(indices, values, group, out),
            }
            group += 4 * GROUP;
        }
    }

    #[inline(always)]
    fn groups<const M: usize>(&self, indices: &[u32], values: &[T], first: usize, out: &mut [T]) {
        let weights = self.values.get();
        let mut sums = [[T::default(); GROUP]; M];
        let n = indices.len().min(values.len());
        let (indices, values) = (&indices[..n], &values[..n]);
        for i in 0..n {
            let x = values[i];
            let start = indices[i] as usize * self.width + first;
            let line = &weights[start..start + M * GROUP];
            for m in 0..M {
                for l in 0..GROUP {
                    sums[m][l] += x * line[m * GROUP + l];
                }
            }
        }
        let out = &mut out[first..first + M * GROUP];
        for m in 0..M {
            for l in 0..GROUP {
                out[m * GROUP + l] = sums[m][l];
            }
        }
    }

    /// `w_j += x_j·change` for the stored cells; `change` `[width]`, zero in the padding.
    #[inline(always)]
    pub fn add(&mut self, indices: &[u32], values: &[T], change: &[T]) {
        let (width, weights) = (self.width, self.values.get_mut());
        let change = &change[..width];
        let n = indices.len().min(values.len());
        let (indices, values) = (&indices[..n], &values[..n]);
        for i in 0..n {
            let x = values[i];
            let start = indices[i] as usize * width;
            let row = &mut weights[start..start + width];
            for l in 0..width {
                row[l] += x * change[l];
            }
        }
    }
}
