//! The second product, Σ_i (x_i − shift)·q_i, a part of the features and some classes at a time: for itself, or added to weights.

// Index loops over arrays of known length, which the compiler keeps in registers.
#![allow(clippy::needless_range_loop, clippy::manual_memcpy)]

use super::{CellValue, ColumnLoop, PART, PackedWeights, PerFeature, RowMatrix, Span, WIDE, by_columns, lanes, load};
use crate::kernel::AlignedBuffer;
use pulp::{Simd, WithSimd};

/// Rows whose products are summed before they are added to weights.
const ROWS: usize = 512;

/// The gradient with respect to some features and classes: the sums Σ_i (x_i − shift)·q_i, class after class.
#[derive(Debug, Clone)]
pub struct GradientTile {
    values: AlignedBuffer<f32>,
    span: Span,
    first_class: usize,
    n_classes: usize,
}

impl GradientTile {
    /// Zero, for the features of a part and the classes `first_class..first_class + n_classes`.
    #[must_use]
    pub fn new(part: usize, n_features: usize, first_class: usize, n_classes: usize) -> Self {
        let span = Span::of(part, PART, n_features);
        Self { values: AlignedBuffer::zeros(span.width * n_classes), span, first_class, n_classes }
    }

    /// Zero again.
    pub fn clear(&mut self) {
        self.values.get_mut().fill(0.0);
    }

    /// Adds `Σ_i (x_i − shift)·q_i`, with `q` `[indices, stride]` over all classes.
    pub fn add<C: CellValue>(&mut self, rows: RowMatrix<'_, C>, indices: &[u32], q: &[f32], stride: usize) {
        let Self { values, span, first_class, n_classes } = self;
        let sums =
            SumTarget { values: values.get_mut(), class: span.width, offset: 0, span: *span, shrink: None, gain: None };
        let classes = (*first_class, *n_classes);
        pulp::Arch::new().dispatch(GradientUpdate { rows, indices, q, stride, classes, sums });
    }

    /// The first feature, and the number of features.
    #[must_use]
    pub const fn features(&self) -> (usize, usize) {
        (self.span.start, self.span.len)
    }

    /// Adds the sums of another tile of the same features and classes.
    pub fn merge(&mut self, other: &Self) {
        self.values.get_mut().iter_mut().zip(other.values.get()).for_each(|(v, w)| *v += w);
    }

    /// Adds the sums to `out`, rows `[features, row]` of which the classes of the tile are touched.
    pub fn unpack(&self, out: &mut [f32], row: usize) {
        let values = self.values.get();
        for j in 0..self.span.len {
            let out = &mut out[j * row + self.first_class..][..self.n_classes];
            for (class, v) in out.iter_mut().enumerate() {
                *v += values[class * self.span.width + j];
            }
        }
    }
}

/// Some features of [`PackedWeights`], to be changed by one thread.
#[derive(Debug)]
pub struct WeightPart<'a> {
    values: &'a mut [f32],
    wide: Span,
    n_features: usize,
    n_classes: usize,
}

impl PackedWeights {
    /// All features, part by part.
    pub fn parts_mut(&mut self) -> Vec<WeightPart<'_>> {
        let (n_features, n_classes) = (self.n_features, self.n_classes);
        let parts = self.values.get_mut().chunks_mut(WIDE * n_classes).enumerate();
        let part = |(part, values)| {
            let wide = Span::of(part, WIDE, n_features);
            WeightPart { values, wide, n_features, n_classes }
        };
        parts.map(part).collect()
    }
}

/// Q of a batch: the slope of each row by the scores of each class.
#[derive(Debug, Clone, Copy)]
pub struct BatchSlopes<'a> {
    /// `[rows, stride]`
    pub values: &'a [f32],
    /// Distance between two rows.
    pub stride: usize,
}

impl WeightPart<'_> {
    /// `w_jc ← w_jc − shrink_c·w_jc + gain_j·Σ_i (x_ij − shift_j)·q_ic` for the features of the part, with `q` `[indices, stride]`.
    pub fn add<C: CellValue>(
        &mut self,
        rows: RowMatrix<'_, C>,
        indices: &[u32],
        BatchSlopes { values: q, stride }: BatchSlopes<'_>,
        shrink: &[f32],
        gain: Option<&PerFeature>,
    ) {
        for part in self.wide.start / PART..(self.wide.start + self.wide.len).div_ceil(PART) {
            let span = Span::of(part, PART, self.n_features);
            // Sums in single precision are kept short.
            for (block, indices) in indices.chunks(ROWS).enumerate() {
                let shrink = (block == 0).then_some(shrink);
                let offset = span.start - self.wide.start;
                let sums = SumTarget { values: self.values, class: self.wide.width, offset, span, shrink, gain };
                let q = &q[block * ROWS * stride..];
                pulp::Arch::new().dispatch(GradientUpdate {
                    rows,
                    indices,
                    q,
                    stride,
                    classes: (0, self.n_classes),
                    sums,
                });
            }
        }
    }
}

/// Target of sums: `values[c·class + offset..]` of class `c`, less its share of the old values; times the gain of their feature.
struct SumTarget<'a> {
    values: &'a mut [f32],
    class: usize,
    offset: usize,
    span: Span,
    shrink: Option<&'a [f32]>,
    gain: Option<&'a PerFeature>,
}

struct GradientUpdate<'a, C> {
    rows: RowMatrix<'a, C>,
    indices: &'a [u32],
    q: &'a [f32],
    stride: usize,
    /// The first class of the sums among those of `q`, and their number.
    classes: (usize, usize),
    sums: SumTarget<'a>,
}

impl<C: CellValue> WithSimd for GradientUpdate<'_, C> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let n_columns = self.classes.1;
        by_columns(&mut self, simd, n_columns);
    }
}

impl<C: CellValue> ColumnLoop for GradientUpdate<'_, C> {
    /// N columns, V vectors of features at a time.
    #[inline(always)]
    fn columns<S: Simd, const V: usize, const N: usize>(&mut self, simd: S, column: usize) {
        let (n, whole) = (self.sums.span.len.div_ceil(lanes::<S>()), self.sums.span.len / lanes::<S>());
        let mut l = 0;
        while l + V <= whole {
            self.vectors::<S, V, N>(simd, column, l);
            l += V;
        }
        while l < n {
            self.vectors::<S, 1, N>(simd, column, l);
            l += 1;
        }
    }
}

impl<C: CellValue> GradientUpdate<'_, C> {
    #[inline(always)]
    fn vectors<S: Simd, const V: usize, const N: usize>(&mut self, simd: S, column: usize, l: usize) {
        let span = self.sums.span;
        let zero = simd.splat_f32s(0.0);
        let shifts = S::as_simd_f32s(&self.rows.shift.0.get()[span.start..span.start + span.width]).0;
        let mut shift = [zero; V];
        for v in 0..V {
            shift[v] = shifts[l + v];
        }
        let mut sums = [[zero; N]; V];
        let first = self.classes.0 + column;
        let whole = (l + V) * lanes::<S>() <= span.len;
        for i in 0..self.indices.len() {
            let q = &self.q[i * self.stride + first..][..N];
            let part = self.rows.part(self.indices[i], span.start, span.len);
            let mut x = [zero; V];
            if whole {
                let part = &part[l * lanes::<S>()..][..V * lanes::<S>()];
                for v in 0..V {
                    x[v] = simd.sub_f32s(load::<S, C>(&part[v * lanes::<S>()..]), shift[v]);
                }
            } else {
                for v in 0..V {
                    x[v] = RowMatrix::<C>::centred(simd, part, l + v, shift[v]);
                }
            }
            for c in 0..N {
                let factor = simd.splat_f32s(q[c]);
                for v in 0..V {
                    sums[v][c] = simd.mul_add_e_f32s(x[v], factor, sums[v][c]);
                }
            }
        }
        let mut gain = [simd.splat_f32s(1.0); V];
        if let Some(of) = self.sums.gain {
            let of = S::as_simd_f32s(&of.0.get()[span.start..span.start + span.width]).0;
            for v in 0..V {
                gain[v] = of[l + v];
            }
        }
        for c in 0..N {
            let start = (column + c) * self.sums.class + self.sums.offset;
            let out = S::as_mut_simd_f32s(&mut self.sums.values[start..start + span.width]).0;
            let less = match self.sums.shrink {
                Some(shrink) => simd.splat_f32s(-shrink[column + c]),
                None => zero,
            };
            for v in 0..V {
                let kept = simd.mul_add_e_f32s(out[l + v], less, out[l + v]);
                out[l + v] = simd.mul_add_e_f32s(sums[v][c], gain[v], kept);
            }
        }
    }
}
