//! Compressed sparse rows: what libsvm text becomes in memory.

use super::Dense;
use rayon::prelude::*;
use std::borrow::Cow;

/// The share of stored cells from which on dense rows need no more memory and are faster.
pub const DENSE: f64 = 0.5;
/// Dense rows that a thread goes through at once.
const ROWS: usize = 1024;

/// Sparse rows in CSR form, owned or borrowed; a cell that is not stored is zero.
///
/// Row `i` holds the pairs `(indices[k], values[k])` for `k` in `offsets[i]..offsets[i + 1]`, column indices strictly increasing.
#[derive(Debug, Clone, PartialEq)]
pub struct Csr<'a, I: Clone = u32, V: Clone = f32> {
    n_features: usize,
    offsets: Cow<'a, [usize]>,
    indices: Cow<'a, [I]>,
    values: Cow<'a, [V]>,
}

/// The number of a column, in more or fewer bytes.
pub trait Column: Copy + Default + Into<u32> + Send + Sync + 'static {
    /// Column `j` of the first 65,536, or of as many as `u32` can tell apart.
    fn of(j: usize) -> Self;
}

impl Column for u32 {
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)]
    fn of(j: usize) -> Self {
        j as Self
    }
}

impl Column for u16 {
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)]
    fn of(j: usize) -> Self {
        j as Self
    }
}

impl Default for Csr<'_> {
    fn default() -> Self {
        Self::of(0, vec![0], Vec::new(), Vec::new())
    }
}

impl<'a, I: Clone, V: Clone> Csr<'a, I, V> {
    /// Wraps cells whose offsets and columns are known to be in order.
    pub(crate) fn of(
        n_features: usize,
        offsets: impl Into<Cow<'a, [usize]>>,
        indices: impl Into<Cow<'a, [I]>>,
        values: impl Into<Cow<'a, [V]>>,
    ) -> Self {
        Self { n_features, offsets: offsets.into(), indices: indices.into(), values: values.into() }
    }

    /// The same matrix, borrowed.
    #[must_use]
    pub fn borrowed(&self) -> Csr<'_, I, V> {
        Csr::of(self.n_features, &*self.offsets, &*self.indices, &*self.values)
    }

    /// First cells of the rows, and the end of the last.
    #[must_use]
    #[inline(always)]
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// Column indices of all rows, one after another.
    #[must_use]
    pub fn indices(&self) -> &[I] {
        &self.indices
    }

    /// Values of all rows, one after another.
    #[must_use]
    pub fn values(&self) -> &[V] {
        &self.values
    }

    /// Number of rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of columns.
    #[must_use]
    pub const fn n_features(&self) -> usize {
        self.n_features
    }

    /// Number of stored cells.
    #[must_use]
    pub fn nnz(&self) -> usize {
        self.values.len()
    }

    /// Column indices and values of row `i`.
    #[must_use]
    #[inline(always)]
    pub fn row(&self, i: usize) -> (&[I], &[V]) {
        let range = self.offsets[i]..self.offsets[i + 1];
        (&self.indices[range.clone()], &self.values[range])
    }

    /// The cells of dense rows that are not zero.
    ///
    /// # Panics
    /// When there are more columns than `I` can tell apart (a programming error).
    #[must_use]
    pub fn from_dense(dense: &Dense<'_, V>) -> Self
    where
        I: Column,
        V: Copy + Default + PartialEq + Send + Sync,
    {
        let last: u32 = I::of(dense.n_features() - 1).into();
        assert_eq!(last as usize, dense.n_features() - 1, "too many columns");
        let n = dense.n_rows();
        let stored = |i| dense.row(i).iter().filter(|&&x| x != V::default()).count();
        let counts: Vec<usize> = (0..n).into_par_iter().map(stored).collect();
        let mut offsets = vec![0; n + 1];
        for i in 0..n {
            offsets[i + 1] = offsets[i] + counts[i];
        }
        let (mut indices, mut values) = (vec![I::default(); offsets[n]], vec![V::default(); offsets[n]]);
        let mut parts = Vec::new();
        let (mut rest_i, mut rest_v) = (indices.as_mut_slice(), values.as_mut_slice());
        for first in (0..n).step_by(ROWS) {
            let last = (first + ROWS).min(n);
            let (i, v);
            (i, rest_i) = rest_i.split_at_mut(offsets[last] - offsets[first]);
            (v, rest_v) = rest_v.split_at_mut(offsets[last] - offsets[first]);
            parts.push((first..last, i, v));
        }
        parts.into_par_iter().for_each(|(rows, indices, values)| {
            let mut gather = Gather::new(dense.n_features());
            let mut done = 0;
            for i in rows {
                let (columns, cells) = gather.row(dense.row(i));
                let end = done + columns.len();
                indices[done..end].copy_from_slice(columns);
                values[done..end].copy_from_slice(cells);
                done = end;
            }
        });
        Self::of(dense.n_features(), offsets, indices, values)
    }
}

impl Csr<'_> {
    /// An empty matrix of `n_features` columns.
    #[must_use]
    pub fn new(n_features: usize) -> Self {
        Self { n_features, ..Self::default() }
    }
}

impl<V: Copy + Default> Csr<'_, u32, V> {
    /// An empty matrix with room for `rows` rows and `cells` stored cells.
    #[must_use]
    pub fn with_capacity(rows: usize, cells: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self::of(0, offsets, Vec::with_capacity(cells), Vec::with_capacity(cells))
    }

    /// Gives memory back that is reserved but not used.
    pub fn shrink_to_fit(&mut self) {
        self.offsets.to_mut().shrink_to_fit();
        self.indices.to_mut().shrink_to_fit();
        self.values.to_mut().shrink_to_fit();
    }

    /// Appends one cell to the row that is being built. The caller keeps columns increasing; the width grows as needed.
    pub fn push_cell(&mut self, column: u32, value: V) {
        self.n_features = self.n_features.max(column as usize + 1);
        self.indices.to_mut().push(column);
        self.values.to_mut().push(value);
    }

    /// Closes the row that is being built.
    pub fn finish_row(&mut self) {
        self.offsets.to_mut().push(self.indices.len());
    }

    /// Makes the matrix exactly `n_features` wide: wider by zeros, or narrower by dropping cells; returns how many were dropped.
    pub fn set_n_features(&mut self, n_features: usize) -> usize {
        let mut dropped = 0;
        if n_features < self.n_features {
            let (mut kept, mut start) = (0, 0);
            let (offsets, indices, values) = (self.offsets.to_mut(), self.indices.to_mut(), self.values.to_mut());
            for row_end in &mut offsets[1..] {
                let end = *row_end;
                for k in start..end {
                    if (indices[k] as usize) < n_features {
                        indices[kept] = indices[k];
                        values[kept] = values[k];
                        kept += 1;
                    }
                }
                start = end;
                *row_end = kept;
            }
            dropped = indices.len() - kept;
            indices.truncate(kept);
            values.truncate(kept);
        }
        self.n_features = n_features;
        dropped
    }

    /// Moves all cells one column to the right, behind an empty first one.
    pub fn shift(&mut self) {
        self.indices.to_mut().iter_mut().for_each(|column| *column += 1);
        self.n_features += usize::from(self.n_features > 0);
    }

    /// Moves all cells one column to the left, over a first one in which there are none.
    pub(crate) fn unshift(&mut self) {
        self.indices.to_mut().iter_mut().for_each(|column| *column = column.saturating_sub(1));
        self.n_features = self.n_features.saturating_sub(1);
    }

    /// Makes room for the rows of `other`: where it is missing, for `growth` times the rows and cells that there will be.
    pub fn make_room(&mut self, other: &Csr<'_, u32, V>, growth: f64) {
        make_room(self.indices.to_mut(), other.nnz(), growth);
        make_room(self.values.to_mut(), other.nnz(), growth);
        make_room(self.offsets.to_mut(), other.n_rows(), growth);
    }

    /// Appends the rows of `other` below; the width becomes the larger of the two.
    pub fn append(&mut self, other: &Csr<'_, u32, V>) {
        let base = self.indices.len();
        self.n_features = self.n_features.max(other.n_features);
        self.indices.to_mut().extend_from_slice(&other.indices);
        self.values.to_mut().extend_from_slice(&other.values);
        self.offsets.to_mut().extend(other.offsets[1..].iter().map(|&o| o + base));
    }

    /// The share of cells that is stored, 0 for an empty matrix.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn density(&self) -> f64 {
        let cells = self.n_rows() as f64 * self.n_features as f64;
        if cells == 0.0 { 0.0 } else { self.nnz() as f64 / cells }
    }

    /// The same matrix as row-major dense values.
    #[must_use]
    pub fn to_dense(&self) -> Vec<V> {
        let mut dense = vec![V::default(); self.n_rows() * self.n_features];
        for i in 0..self.n_rows() {
            let (indices, values) = self.row(i);
            for (&j, &v) in indices.iter().zip(values) {
                dense[i * self.n_features + j as usize] = v;
            }
        }
        dense
    }
}

/// Makes room for `more` values: where it is missing, for `growth` times as many as there will be.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
pub fn make_room<T>(values: &mut Vec<T>, more: usize, growth: f64) {
    let needed = values.len() + more;
    if needed > values.capacity() {
        values.reserve_exact((needed as f64 * growth) as usize - values.len());
    }
}

impl Csr<'_, u32, f64> {
    /// The same matrix in single precision.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)]
    pub fn in_single(&self) -> Csr<'static> {
        let values: Vec<f32> = self.values.iter().map(|&v| v as f32).collect();
        Csr::of(self.n_features, self.offsets.to_vec(), self.indices.to_vec(), values)
    }
}

/// Gathers the cells of a dense row that are not zero.
struct Gather<I, V> {
    indices: Vec<I>,
    values: Vec<V>,
}

impl<I: Column, V: Copy + Default + PartialEq> Gather<I, V> {
    fn new(n_features: usize) -> Self {
        // One more: what comes after the last cell is written, too.
        Self { indices: vec![I::default(); n_features + 1], values: vec![V::default(); n_features + 1] }
    }

    /// Every cell is written, and the next one over it where it is zero: no branch a cell, one a run of them.
    fn row(&mut self, row: &[V]) -> (&[I], &[V]) {
        const RUN: usize = 8;
        let Self { indices, values } = self;
        let zeros = [V::default(); RUN];
        let mut count = 0;
        let mut keep = |j: usize, x: V| {
            (indices[count], values[count]) = (I::of(j), x);
            count += usize::from(x != V::default());
        };
        let (runs, rest) = row.as_chunks::<RUN>();
        for (r, run) in runs.iter().enumerate().filter(|(_, run)| **run != zeros) {
            run.iter().enumerate().for_each(|(l, &x)| keep(r * RUN + l, x));
        }
        rest.iter().enumerate().for_each(|(l, &x)| keep(runs.len() * RUN + l, x));
        (&indices[..count], &values[..count])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Csr<'static> {
        let mut csr = Csr::default();
        csr.push_cell(0, 1.0);
        csr.push_cell(3, 2.0);
        csr.finish_row();
        csr.finish_row();
        csr.push_cell(2, -1.0);
        csr.finish_row();
        csr
    }

    #[test]
    fn rows_come_back_as_they_went_in() {
        let csr = sample();
        assert_eq!((csr.n_rows(), csr.n_features(), csr.nnz()), (3, 4, 3));
        assert_eq!(csr.row(0), (&[0, 3][..], &[1.0, 2.0][..]));
        assert_eq!(csr.row(1), (&[][..], &[][..]));
        assert_eq!(csr.to_dense(), [1., 0., 0., 2., 0., 0., 0., 0., 0., 0., -1., 0.]);
    }

    #[test]
    fn the_cells_of_dense_rows_that_are_not_zero() {
        let csr = sample();
        let dense = Dense::new(csr.n_features(), csr.to_dense());
        assert_eq!(Csr::from_dense(&dense), csr);
        let bytes: Vec<u8> = (0..19 * 5).map(|i| if i % 7 < 3 || i / 19 == 2 { 0 } else { i }).collect();
        let csr: Csr<'_, u16, u8> = Csr::from_dense(&Dense::new(19, bytes.clone()));
        let mut dense = vec![0; bytes.len()];
        for i in 0..5 {
            let (indices, values) = csr.row(i);
            indices.iter().zip(values).for_each(|(&j, &v)| dense[i * 19 + usize::from(j)] = v);
        }
        assert_eq!(dense, bytes);
        assert_eq!(csr.nnz(), bytes.iter().filter(|b| **b != 0).count());
    }

    #[test]
    fn narrowing_drops_cells_and_keeps_rows() {
        let mut csr = sample();
        assert_eq!(csr.set_n_features(3), 1);
        assert_eq!(csr.to_dense(), [1., 0., 0., 0., 0., 0., 0., 0., -1.]);
        assert_eq!(csr.set_n_features(5), 0);
        assert_eq!(csr.n_features(), 5);
    }

    #[test]
    fn appending_shifts_the_offsets() {
        let mut csr = sample();
        csr.append(&sample());
        assert_eq!(csr.n_rows(), 6);
        assert_eq!(csr.row(5), (&[2][..], &[-1.0][..]));
    }
}
