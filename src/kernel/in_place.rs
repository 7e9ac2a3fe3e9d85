//! Dense rows read in place, bytes or floats: scores and gradient without a copy of the rows.
//!
//! A cell is converted and centred in a register, once for up to ten classes. Both products go by parts of the features, so that
//! what is used again and again, the part of the weights or the sums, stays in registers and in the first-level cache. The sums
//! of a score and of a gradient are added up in an order that depends on the shape alone.

// Index loops over arrays of known length, which the compiler keeps in registers.
#![allow(clippy::needless_range_loop, clippy::manual_memcpy)]

mod gradient;

pub use gradient::{BatchSlopes, GradientTile, WeightPart};

use super::{AlignedBuffer, padded};
use pulp::{Simd, WithSimd};

/// Features of a part of the gradient: the pieces that threads share.
pub const PART: usize = 256;
/// Features of a part of the weights: those of ten classes stay in the first-level cache while sixteen rows go by. A multiple of [`PART`].
const WIDE: usize = 512;
/// Rows that [`PackedWeights::scores`] takes at once.
pub const GROUP: usize = 16;
/// The widest vector in floats.
const WIDEST: usize = 16;

/// A number as it is stored in a row.
pub trait CellValue: Copy + Default + Send + Sync + std::fmt::Debug + 'static {
    /// As a float.
    fn value(self) -> f32;
    /// The bits of the number, for sums that only keep it in use.
    fn bits(self) -> u32;
}

impl CellValue for u8 {
    #[inline(always)]
    fn value(self) -> f32 {
        f32::from(self)
    }

    #[inline(always)]
    fn bits(self) -> u32 {
        u32::from(self)
    }
}

impl CellValue for f32 {
    #[inline(always)]
    fn value(self) -> f32 {
        self
    }

    #[inline(always)]
    fn bits(self) -> u32 {
        self.to_bits()
    }
}

const fn lanes<S: Simd>() -> usize {
    size_of::<S::f32s>() / size_of::<f32>()
}

/// The first cells as a vector.
#[inline(always)]
fn load<S: Simd, C: CellValue>(cells: &[C]) -> S::f32s {
    #[inline(always)]
    fn first<S: Simd, C: CellValue, const L: usize>(cells: &[C]) -> S::f32s {
        let cells = &cells[..L];
        let mut values = [0.0f32; L];
        for l in 0..L {
            values[l] = cells[l].value();
        }
        S::as_simd_f32s(&values).0[0]
    }
    match lanes::<S>() {
        16 => first::<S, C, 16>(cells),
        8 => first::<S, C, 8>(cells),
        4 => first::<S, C, 4>(cells),
        2 => first::<S, C, 2>(cells),
        _ => first::<S, C, 1>(cells),
    }
}

/// A matrix of rows that is read in place by index; its values are `x − shift`.
#[derive(Debug, Clone, Copy)]
pub struct RowMatrix<'a, C> {
    cells: &'a [C],
    n_features: usize,
    shift: &'a PerFeature,
}

/// A number of each feature: its shift or a factor.
#[derive(Debug, Clone)]
pub struct PerFeature(AlignedBuffer<f32>);

impl PerFeature {
    /// The given ones, or zeros.
    #[must_use]
    pub fn new(n_features: usize, of: Option<&[f32]>) -> Self {
        let mut values = AlignedBuffer::zeros(padded(n_features));
        if let Some(of) = of {
            values.get_mut()[..n_features].copy_from_slice(of);
        }
        Self(values)
    }
}

impl<'a, C: CellValue> RowMatrix<'a, C> {
    /// Row-major `cells`, `n_features` to a row.
    ///
    /// # Panics
    /// When the cells do not fill rows, or the shift is of another width (programming errors).
    #[must_use]
    pub fn new(cells: &'a [C], n_features: usize, shift: &'a PerFeature) -> Self {
        assert!(n_features > 0 && cells.len().is_multiple_of(n_features), "cells that do not fill rows");
        assert!(shift.0.get().len() == padded(n_features), "a shift of another width");
        Self { cells, n_features, shift }
    }

    /// The cells of a row from feature `start` to the end of the part.
    #[inline(always)]
    fn part(&self, row: u32, start: usize, len: usize) -> &'a [C] {
        let first = row as usize * self.n_features + start;
        &self.cells[first..first + len]
    }

    /// Vector `l` of a part of a row, centred; zero beyond the end of the row.
    #[inline(always)]
    fn centred<S: Simd>(simd: S, part: &[C], l: usize, shift: S::f32s) -> S::f32s {
        let at = l * lanes::<S>();
        let x = if at + lanes::<S>() <= part.len() {
            load::<S, C>(&part[at..])
        } else {
            let mut last = [C::default(); WIDEST];
            last[..part.len() - at].copy_from_slice(&part[at..]);
            load::<S, C>(&last)
        };
        simd.sub_f32s(x, shift)
    }
}

/// Features `start..start + len` of the parts, `width` floats each, padded with zeros.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    len: usize,
    width: usize,
}

impl Span {
    /// Part number `part` of parts of `size` features.
    const fn of(part: usize, size: usize, n_features: usize) -> Self {
        let start = part * size;
        let left = n_features - start;
        let len = if left < size { left } else { size };
        Self { start, len, width: padded(len) }
    }
}

/// Classes of the next group: ten where there are registers for them, and the rest in one or two groups of up to five.
#[inline(always)]
fn next_columns<S: Simd>(left: usize) -> usize {
    match left {
        10.. if S::REGISTER_COUNT >= 32 => 10,
        9.. => 5,
        8 | 7 => 4,
        6 => 3,
        _ => left,
    }
}

/// Loops over some columns at a time.
trait ColumnLoop {
    /// N columns from `column` on, A rows or vectors of features at a time.
    fn columns<S: Simd, const A: usize, const N: usize>(&mut self, simd: S, column: usize);
}

/// All columns, in tiles that fit the registers.
#[inline(always)]
fn by_columns<S: Simd, W: ColumnLoop>(work: &mut W, simd: S, n_columns: usize) {
    let mut column = 0;
    while column < n_columns {
        let count = next_columns::<S>(n_columns - column);
        match count {
            10 => work.columns::<S, 2, 10>(simd, column),
            5 if S::REGISTER_COUNT >= 32 => work.columns::<S, 4, 5>(simd, column),
            5 => work.columns::<S, 2, 5>(simd, column),
            4 if S::REGISTER_COUNT >= 32 => work.columns::<S, 4, 4>(simd, column),
            4 => work.columns::<S, 2, 4>(simd, column),
            3 => work.columns::<S, 2, 3>(simd, column),
            2 => work.columns::<S, 4, 2>(simd, column),
            _ => work.columns::<S, 4, 1>(simd, column),
        }
        column += count;
    }
}

/// Weights in parts of 512 features, within a part class after class.
#[derive(Debug, Clone)]
pub struct PackedWeights {
    values: AlignedBuffer<f32>,
    n_features: usize,
    n_classes: usize,
}

impl PackedWeights {
    /// All zero.
    #[must_use]
    pub fn zeros(n_features: usize, n_classes: usize) -> Self {
        Self { values: AlignedBuffer::zeros(padded(n_features) * n_classes), n_features, n_classes }
    }

    /// From row-major `[n_features, n_classes]`, each feature divided by its `scale`.
    pub fn pack(&mut self, rows: &[f32], scale: Option<&[f32]>) {
        let k = self.n_classes;
        for (p, part) in self.values.get_mut().chunks_mut(WIDE * k).enumerate() {
            let span = Span::of(p, WIDE, self.n_features);
            let rows = &rows[span.start * k..(span.start + span.len) * k];
            // Sixteen features at a time: a cache line of each class.
            for first in (0..span.len).step_by(WIDEST) {
                let count = WIDEST.min(span.len - first);
                let block = &rows[first * k..(first + count) * k];
                for class in 0..k {
                    let line = &mut part[class * span.width + first..][..count];
                    for (l, w) in line.iter_mut().enumerate() {
                        *w = block[l * k + class];
                    }
                    if let Some(scale) = scale {
                        line.iter_mut().zip(&scale[span.start + first..]).for_each(|(w, s)| *w /= s);
                    }
                }
            }
        }
    }

    /// Row-major `[n_features, n_classes]`, each feature multiplied by its `scale`: the input of [`PackedWeights::pack`].
    #[must_use]
    pub fn to_rows(&self, scale: Option<&[f32]>) -> Vec<f32> {
        let k = self.n_classes;
        let mut rows = vec![0.0; self.n_features * k];
        for (p, part) in self.values.get().chunks(WIDE * k).enumerate() {
            let span = Span::of(p, WIDE, self.n_features);
            for class in 0..k {
                for (j, w) in part[class * span.width..][..span.len].iter().enumerate() {
                    rows[(span.start + j) * k + class] = w * scale.map_or(1.0, |scale| scale[span.start + j]);
                }
            }
        }
        rows
    }

    /// The scores x·W of up to [`GROUP`] rows, `[rows, stride]` of which the first `n_classes` of each row are written.
    pub fn scores<C: CellValue>(&self, rows: RowMatrix<'_, C>, indices: &[u32], out: &mut [f32], stride: usize) {
        assert!(indices.len() <= GROUP, "more rows than a group has");
        pulp::Arch::new().dispatch(Scores { rows, indices, weights: self, out, stride });
    }
}

struct Scores<'a, C> {
    rows: RowMatrix<'a, C>,
    indices: &'a [u32],
    weights: &'a PackedWeights,
    out: &'a mut [f32],
    stride: usize,
}

impl<C: CellValue> WithSimd for Scores<'_, C> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        self.fetch();
        let n_columns = self.weights.n_classes;
        by_columns(&mut self, simd, n_columns);
    }
}

impl<C: CellValue> ColumnLoop for Scores<'_, C> {
    /// N columns, R rows at a time, part by part; partial sums are stored in between.
    #[inline(always)]
    fn columns<S: Simd, const R: usize, const N: usize>(&mut self, simd: S, column: usize) {
        let zero = simd.splat_f32s(0.0);
        let mut sums = [[zero; N]; GROUP];
        let k = self.weights.n_classes;
        for (p, part) in self.weights.values.get().chunks(WIDE * k).enumerate() {
            let span = Span::of(p, WIDE, self.weights.n_features);
            let w = &part[column * span.width..(column + N) * span.width];
            let mut row = 0;
            while row + R <= self.indices.len() {
                self.tile::<S, R, N>(simd, span, w, row, &mut sums);
                row += R;
            }
            while row < self.indices.len() {
                self.tile::<S, 1, N>(simd, span, w, row, &mut sums);
                row += 1;
            }
        }
        for row in 0..self.indices.len() {
            let out = &mut self.out[row * self.stride + column..][..N];
            for c in 0..N {
                out[c] = simd.reduce_sum_f32s(sums[row][c]);
            }
        }
    }
}

impl<C: CellValue> Scores<'_, C> {
    /// Reads a cell of each cache line of the rows: loads that do not wait for each other, where the products would wait for memory
    /// at the beginning of each short run of cells. A third of the time of rows of floats.
    #[inline(always)]
    fn fetch(&self) {
        let line = 64 / size_of::<C>();
        let mut seen = 0;
        for r in 0..self.indices.len() {
            let cells = self.rows.part(self.indices[r], 0, self.rows.n_features);
            let mut at = 0;
            while at < cells.len() {
                seen ^= cells[at].bits();
                at += line;
            }
        }
        std::hint::black_box(seen);
    }

    #[inline(always)]
    fn tile<S: Simd, const R: usize, const N: usize>(
        &self,
        simd: S,
        span: Span,
        weights: &[f32],
        row: usize,
        sums: &mut [[S::f32s; N]; GROUP],
    ) {
        let zero = simd.splat_f32s(0.0);
        let n = span.len.div_ceil(lanes::<S>());
        let whole = span.len / lanes::<S>();
        let shift = &S::as_simd_f32s(&self.rows.shift.0.get()[span.start..span.start + span.width]).0[..n];
        let mut w: [&[S::f32s]; N] = [&[]; N];
        for c in 0..N {
            w[c] = &S::as_simd_f32s(&weights[c * span.width..(c + 1) * span.width]).0[..n];
        }
        let mut x: [&[C]; R] = [&[]; R];
        let mut tile = [[zero; N]; R];
        for r in 0..R {
            x[r] = &self.rows.part(self.indices[row + r], span.start, span.len)[..span.len];
            tile[r] = sums[row + r];
        }
        for l in 0..whole {
            let mut cells = [zero; R];
            for r in 0..R {
                cells[r] = simd.sub_f32s(load::<S, C>(&x[r][l * lanes::<S>()..]), shift[l]);
            }
            for c in 0..N {
                for r in 0..R {
                    tile[r][c] = simd.mul_add_e_f32s(cells[r], w[c][l], tile[r][c]);
                }
            }
        }
        if whole < n {
            for r in 0..R {
                let cells = RowMatrix::<C>::centred(simd, x[r], whole, shift[whole]);
                for c in 0..N {
                    tile[r][c] = simd.mul_add_e_f32s(cells, w[c][whole], tile[r][c]);
                }
            }
        }
        for r in 0..R {
            sums[row + r] = tile[r];
        }
    }
}

#[cfg(test)]
mod tests;
