//! Sparse rows: weights with all classes of a feature side by side, so that a stored cell meets one run of memory.

#![allow(clippy::needless_range_loop)]

use super::{AlignedBuffer, Real};
use pulp::Simd;

/// Classes of a feature that are stored in half a cache line of single precision; more of them get whole cache lines.
const FEW: usize = 8;

/// The weights of all classes for sparse rows, `[n_features, n_classes]` row-major with rows padded to whole vectors.
#[derive(Debug, Clone)]
pub struct FeatureWeights<T> {
    values: AlignedBuffer<T>,
    n_classes: usize,
    width: usize,
}

impl<T: Real> FeatureWeights<T> {
    /// All zero.
    #[must_use]
    pub fn zeros(n_features: usize, n_classes: usize) -> Self {
        let width = if n_classes <= FEW { FEW } else { n_classes.next_multiple_of(64 / size_of::<T>()) };
        Self { values: AlignedBuffer::zeros(width * n_features), n_classes, width }
    }

    /// All zero again.
    pub fn clear(&mut self) {
        self.values.get_mut().fill(T::default());
    }

    /// The classes with their padding: the length of the output of [`FeatureWeights::scores`].
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Row-major `[n_features, n_classes]`.
    #[must_use]
    pub fn to_rows(&self) -> Vec<T> {
        self.values.get().chunks_exact(self.width).flat_map(|row| row[..self.n_classes].iter().copied()).collect()
    }

    /// [`FeatureWeights::to_rows`] in the memory that the weights have.
    #[must_use]
    pub fn into_rows(self) -> Vec<T> {
        let (k, width) = (self.n_classes, self.width);
        let AlignedBuffer { mut values, start, len } = self.values;
        let n_features = len / width;
        for j in 0..n_features {
            let from = start + j * width;
            values.copy_within(from..from + k, j * k);
        }
        values.truncate(n_features * k);
        values
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

    /// Vectors of an instruction set that a feature's classes fill; 0 where they do not fill one.
    #[inline(always)]
    const fn vectors<S: Simd>(&self) -> usize {
        self.width / (size_of::<T::Lanes<S>>() / size_of::<T>())
    }

    /// Writes `Σ x_j·w_j` over the stored cells to `out` `[width]`.
    #[inline(always)]
    pub fn scores<S: Simd, I: Copy + Into<u32>, X: Copy + Into<f64>>(
        &self,
        simd: S,
        indices: &[I],
        values: &[X],
        out: &mut [T],
    ) {
        let (mut first, count) = (0, self.vectors::<S>());
        if count == 0 {
            return self.few(indices, values, out);
        }
        while first < count {
            // Sums of up to four vectors stay in registers, those of several cells apart: they do not wait for each other.
            match count - first {
                1 => self.run::<S, I, X, 1, 4>(simd, indices, values, first, out),
                2 => self.run::<S, I, X, 2, 4>(simd, indices, values, first, out),
                3 => self.run::<S, I, X, 3, 2>(simd, indices, values, first, out),
                _ => self.run::<S, I, X, 4, 2>(simd, indices, values, first, out),
            }
            first += 4;
        }
    }

    #[inline(always)]
    fn run<S: Simd, I: Copy + Into<u32>, X: Copy + Into<f64>, const M: usize, const U: usize>(
        &self,
        simd: S,
        indices: &[I],
        values: &[X],
        first: usize,
        out: &mut [T],
    ) {
        let (count, weights) = (self.vectors::<S>(), T::lanes::<S>(self.values.get()));
        let mut sums = [[T::splat(simd, T::default()); M]; U];
        let n = indices.len().min(values.len());
        let (columns, last_columns) = indices[..n].as_chunks::<U>();
        let (cells, last_cells) = values[..n].as_chunks::<U>();
        for i in 0..columns.len().min(cells.len()) {
            for u in 0..U {
                let x = T::splat(simd, T::from_f64(cells[i][u].into()));
                let line = &weights[columns[i][u].into() as usize * count + first..][..M];
                for m in 0..M {
                    sums[u][m] = T::mul_add(simd, x, line[m], sums[u][m]);
                }
            }
        }
        for i in 0..last_columns.len().min(last_cells.len()) {
            let x = T::splat(simd, T::from_f64(last_cells[i].into()));
            let line = &weights[last_columns[i].into() as usize * count + first..][..M];
            for m in 0..M {
                sums[0][m] = T::mul_add(simd, x, line[m], sums[0][m]);
            }
        }
        let (one, out) = (T::splat(simd, T::from_f64(1.0)), &mut T::lanes_mut::<S>(out)[first..first + M]);
        for m in 0..M {
            let mut sum = sums[0][m];
            for u in 1..U {
                sum = T::mul_add(simd, sums[u][m], one, sum);
            }
            out[m] = sum;
        }
    }

    /// The same where the classes of a feature are fewer than a vector holds.
    #[inline(always)]
    fn few<I: Copy + Into<u32>, X: Copy + Into<f64>>(&self, indices: &[I], values: &[X], out: &mut [T]) {
        const U: usize = 4;
        let (weights, _) = self.values.get().as_chunks::<FEW>();
        let mut sums = [[T::default(); FEW]; U];
        let n = indices.len().min(values.len());
        let (columns, last_columns) = indices[..n].as_chunks::<U>();
        let (cells, last_cells) = values[..n].as_chunks::<U>();
        for i in 0..columns.len().min(cells.len()) {
            for u in 0..U {
                let (x, line) = (T::from_f64(cells[i][u].into()), &weights[columns[i][u].into() as usize]);
                for l in 0..FEW {
                    sums[u][l] += x * line[l];
                }
            }
        }
        for i in 0..last_columns.len().min(last_cells.len()) {
            let (x, line) = (T::from_f64(last_cells[i].into()), &weights[last_columns[i].into() as usize]);
            for l in 0..FEW {
                sums[0][l] += x * line[l];
            }
        }
        let out = &mut out[..FEW];
        for l in 0..FEW {
            out[l] = sums[0][l] + sums[1][l] + (sums[2][l] + sums[3][l]);
        }
    }

    /// `w_j += x_j·change` for the stored cells; `change` `[width]`, zero in the padding.
    #[inline(always)]
    pub fn add<S: Simd, I: Copy + Into<u32>, X: Copy + Into<f64>>(
        &mut self,
        simd: S,
        indices: &[I],
        values: &[X],
        change: &[T],
    ) {
        match self.vectors::<S>() {
            0 => self.add_few(indices, values, change),
            1 => self.add_run::<S, I, X, 1>(simd, indices, values, change),
            2 => self.add_run::<S, I, X, 2>(simd, indices, values, change),
            count => {
                let weights = T::lanes_mut::<S>(self.values.get_mut());
                let change = &T::lanes::<S>(change)[..count];
                let n = indices.len().min(values.len());
                for i in 0..n {
                    let x = T::splat(simd, T::from_f64(values[i].into()));
                    let line = &mut weights[indices[i].into() as usize * count..][..count];
                    for m in 0..count {
                        line[m] = T::mul_add(simd, x, change[m], line[m]);
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn add_run<S: Simd, I: Copy + Into<u32>, X: Copy + Into<f64>, const M: usize>(
        &mut self,
        simd: S,
        indices: &[I],
        values: &[X],
        change: &[T],
    ) {
        let (weights, _) = T::lanes_mut::<S>(self.values.get_mut()).as_chunks_mut::<M>();
        let mut changes = [T::splat(simd, T::default()); M];
        changes.copy_from_slice(&T::lanes::<S>(change)[..M]);
        let n = indices.len().min(values.len());
        let (indices, values) = (&indices[..n], &values[..n]);
        for i in 0..n {
            let x = T::splat(simd, T::from_f64(values[i].into()));
            let line = &mut weights[indices[i].into() as usize];
            for m in 0..M {
                line[m] = T::mul_add(simd, x, changes[m], line[m]);
            }
        }
    }

    #[inline(always)]
    fn add_few<I: Copy + Into<u32>, X: Copy + Into<f64>>(&mut self, indices: &[I], values: &[X], change: &[T]) {
        let (weights, _) = self.values.get_mut().as_chunks_mut::<FEW>();
        let change = &change[..FEW];
        let n = indices.len().min(values.len());
        let (indices, values) = (&indices[..n], &values[..n]);
        for i in 0..n {
            let (x, line) = (T::from_f64(values[i].into()), &mut weights[indices[i].into() as usize]);
            for l in 0..FEW {
                line[l] += x * change[l];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulp::WithSimd;

    struct Check<T> {
        d: usize,
        k: usize,
        cells: usize,
        values: Vec<T>,
    }

    impl<T: Real> WithSimd for Check<T> {
        type Output = ();

        fn with_simd<S: Simd>(self, simd: S) {
            let Self { d, k, cells, values } = self;
            let value = |i: usize| ((i * 7919 + 13) % 101) as f64 / 64.0 - 0.5;
            let mut weights = FeatureWeights::<T>::zeros(d, k);
            for j in 0..d {
                weights.set_feature(j, &(0..k).map(|c| value(j * k + c)).collect::<Vec<f64>>());
            }
            let indices: Vec<u32> = (0..cells).map(|i| u32::try_from((i * 5 + 1) % d).unwrap()).collect();
            let mut out = vec![T::from_f64(7.0); weights.width()];
            weights.scores(simd, &indices, &values[..cells], &mut out);
            for c in 0..k {
                let expected: f64 = (0..cells).map(|i| values[i].to_f64() * value(indices[i] as usize * k + c)).sum();
                assert!((out[c].to_f64() - expected).abs() < 1e-4, "{d} {k} {cells} {c}");
            }
            assert!(out[k..].iter().all(|v| v.to_f64() == 0.0), "padding");
            let mut change = vec![T::default(); weights.width()];
            (0..k).for_each(|c| change[c] = T::from_f64(value(c + 3)));
            weights.add(simd, &indices, &values[..cells], &change);
            let rows = weights.to_rows();
            for j in 0..d {
                let x: f64 = (0..cells).filter(|&i| indices[i] as usize == j).map(|i| values[i].to_f64()).sum();
                for c in 0..k {
                    let expected = value(j * k + c) + x * value(c + 3);
                    assert!((rows[j * k + c].to_f64() - expected).abs() < 1e-4, "{d} {k} {cells} {j} {c}");
                }
            }
        }
    }

    fn check<T: Real>(d: usize, k: usize, cells: usize) {
        let values: Vec<T> = (0..cells).map(|i| T::from_f64((i % 9) as f64 / 8.0 - 0.5)).collect();
        pulp::Arch::new().dispatch(Check { d, k, cells, values: values.clone() });
        Check { d, k, cells, values }.with_simd(pulp::Scalar::new());
    }

    #[test]
    fn scores_and_updates_of_every_width() {
        for k in [2, 8, 9, 16, 17, 26, 33, 48, 65, 131] {
            for cells in [0, 1, 3, 4, 7, 50] {
                check::<f32>(23, k, cells);
                check::<f64>(23, k, cells);
            }
        }
    }
}
