//! Products of the rows with weights, and of their transpose, on the processor: dense rows cast block by block, sparse ones by their cells.

use crate::data::batch::Source;
use crate::data::{Csr, Features};
use crate::kernel::{FeatureWeights, Real, RowBlock, TiledWeights};
use crate::solver::dual::dense::Preprocess;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Dense rows that are cast at a time.
const BLOCK: usize = 32;
/// Shares of the rows that threads take, at most: a fixed number, so that the result does not depend on how many there are.
const SHARES: usize = 16;
/// Rows of a share, at least, and bytes of the sums of all of them.
const LEAST: usize = 64;
const MOST_BYTES: usize = 1 << 28;

/// Sum over the rows with the numbers q of each, `[rows, n_classes]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowSum {
    /// Nothing.
    None,
    /// `Σ_i x_i q_iᵀ`
    Plain,
    /// `Σ_i (x_i∘x_i) q_iᵀ`
    Squares,
}

/// The rows of a source, preprocessed, each with a constant for the bias where there is one.
pub(super) struct RowProducts<'a> {
    source: Source<'a>,
    n_classes: usize,
    /// The constant.
    pub constant: Option<f64>,
}

/// Part of the rows.
struct Share<'s, T> {
    rows: &'s [u32],
    first: usize,
    weights: Option<&'s Weights<T>>,
    sum: RowSum,
    out: &'s mut [f64],
}

/// Weights for raw rows, and the offset of the scores.
struct Weights<T> {
    held: WeightLayout<T>,
    /// Of the bias, and for sparse rows −Σ_j m_j·w_j/s_j, which is multiplied by the factor of the row.
    constant: Vec<f64>,
    centring: Vec<f64>,
}

enum WeightLayout<T> {
    Dense(TiledWeights<T>),
    Sparse(FeatureWeights<T>),
}

impl<'a> RowProducts<'a> {
    pub const fn new(source: Source<'a>, n_classes: usize, constant: Option<f64>) -> Self {
        Self { source, n_classes, constant }
    }

    /// Features, and the constant.
    pub const fn width(&self) -> usize {
        self.source.features.n_features() + if self.constant.is_some() { 1 } else { 0 }
    }

    /// Puts the scores at weights `[width, n_classes]` to `out` `[rows, n_classes]`, where weights are given; has `visit` change a row of `out`
    /// by its position; and adds up. Products are in the precision T, sums of all shares in f64.
    pub fn sweep<T: Real>(
        &self,
        rows: &[u32],
        weights: Option<&[f64]>,
        out: &mut [f64],
        sum: RowSum,
        visit: impl Fn(usize, &mut [f64]) + Sync,
    ) -> Vec<f64> {
        let k = self.n_classes;
        let weights = weights.map(|weights| self.hold::<T>(weights));
        let most = (MOST_BYTES / (self.width() * k * size_of::<T>())).clamp(2, SHARES);
        let length = rows.len().div_ceil(most).max(LEAST);
        let share = |(at, (rows, out)): (usize, (&[u32], &mut [f64]))| {
            let share = Share { rows, first: at * length, weights: weights.as_ref(), sum, out };
            match self.source.features {
                Features::Sparse(csr) => {
                    pulp::Arch::new().dispatch(SparseShare { products: self, csr, share, visit: &visit })
                }
                Features::U8(_) | Features::F32(_) | Features::F64(_) => self.dense(share, &visit),
            }
        };
        let sums: Vec<Vec<f64>> =
            rows.par_chunks(length).zip(out.par_chunks_mut(length * k)).enumerate().map(share).collect();
        let mut total = vec![0.0; if sum == RowSum::None { 0 } else { self.width() * k }];
        sums.iter().for_each(|sum| total.iter_mut().zip(sum).for_each(|(total, sum)| *total += sum));
        total
    }

    fn hold<T: Real>(&self, weights: &[f64]) -> Weights<T> {
        let (d, k) = (self.source.features.n_features(), self.n_classes);
        let (of_features, of_constant) = weights.split_at(d * k);
        let constant =
            self.constant.map_or_else(|| vec![0.0; k], |constant| of_constant.iter().map(|w| constant * w).collect());
        let scaler = self.source.scaler;
        let mut centring = vec![0.0; k];
        let held = if matches!(self.source.features, Features::Sparse(_)) {
            let mut held = FeatureWeights::zeros(d, k);
            let mut row = vec![0.0; k];
            for (j, w) in of_features.chunks_exact(k).enumerate() {
                let scale = scaler.scale.as_ref().map_or(1.0, |s| s[j]);
                row.iter_mut().zip(w).for_each(|(v, w)| *v = w / scale);
                held.set_feature(j, &row);
                let mean = scaler.mean.as_ref().map_or(0.0, |m| m[j]);
                centring.iter_mut().zip(&row).for_each(|(c, v)| *c -= mean * v);
            }
            WeightLayout::Sparse(held)
        } else {
            WeightLayout::Dense(TiledWeights::from_rows(of_features, k))
        };
        Weights { held, constant, centring }
    }

    fn dense<T: Real>(&self, share: Share<'_, T>, visit: &(impl Fn(usize, &mut [f64]) + Sync)) -> Vec<f64> {
        let (d, k) = (self.source.features.n_features(), self.n_classes);
        let Share { rows, first, weights, sum, out } = share;
        let preprocess = Preprocess::<T>::new(self.source, 0..d);
        let (mut block, mut narrow) = (RowBlock::<T>::new(BLOCK, d), vec![T::default(); BLOCK * k]);
        let positions: Vec<usize> = (0..BLOCK).collect();
        let mut total = (sum != RowSum::None).then(|| (TiledWeights::<T>::zeros(d, k), vec![0.0; k]));
        for (at, (rows, out)) in rows.chunks(BLOCK).zip(out.chunks_mut(BLOCK * k)).enumerate() {
            preprocess.load(rows, &mut block);
            if let Some(Weights { held: WeightLayout::Dense(held), constant, .. }) = weights {
                held.scores(&block, rows.len(), &mut narrow, k);
                out.iter_mut()
                    .zip(&narrow)
                    .zip(constant.iter().cycle())
                    .for_each(|((out, s), constant)| *out = s.to_f64() + constant);
            }
            out.chunks_exact_mut(k).enumerate().for_each(|(i, out)| visit(first + at * BLOCK + i, out));
            if let Some((total, of_constant)) = &mut total {
                if sum == RowSum::Squares {
                    for row in block.rows_mut() {
                        row.iter_mut().for_each(|x| *x = T::from_f64(x.to_f64() * x.to_f64()));
                    }
                }
                narrow.iter_mut().zip(&*out).for_each(|(q, out)| *q = T::from_f64(*out));
                total.add(&block, &positions[..rows.len()], &narrow);
                add_rows(of_constant, out);
            }
        }
        total.map_or_else(Vec::new, |(total, of_constant)| {
            let total = total.to_rows().into_iter().map(Real::to_f64);
            total.chain(self.of_constant(sum, &of_constant)).collect()
        })
    }

    /// The sums of the constant from those of the numbers.
    fn of_constant(&self, sum: RowSum, of_rows: &[f64]) -> impl Iterator<Item = f64> {
        let factor = self.constant.map(|c| if sum == RowSum::Squares { c * c } else { c });
        factor.into_iter().flat_map(move |factor| of_rows.iter().map(move |q| factor * q))
    }
}

fn add_rows(sums: &mut [f64], rows: &[f64]) {
    rows.chunks_exact(sums.len()).for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, v)| *sum += v));
}

/// Part of sparse rows.
struct SparseShare<'s, 'p, T, V> {
    products: &'s RowProducts<'p>,
    csr: &'s Csr<'p>,
    share: Share<'s, T>,
    visit: &'s V,
}

impl<T: Real, V: Fn(usize, &mut [f64]) + Sync> WithSimd for SparseShare<'_, '_, T, V> {
    type Output = Vec<f64>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f64> {
        let Self { products, csr, share, visit } = self;
        let (d, k, scaler) = (csr.n_features(), products.n_classes, products.source.scaler);
        let Share { rows, first, weights, sum, out } = share;
        let mut total = FeatureWeights::<T>::zeros(if sum == RowSum::None { 0 } else { d }, k);
        let (mut line, mut squares) = (vec![T::default(); total.width()], Vec::new());
        let (mut of_rows, mut of_factors) = (vec![0.0; k], vec![0.0; k]);
        for (i, (&row, out)) in rows.iter().zip(out.chunks_exact_mut(k)).enumerate() {
            let (indices, values) = csr.row(row as usize);
            let factor = scaler.row_factor(products.source.features, row as usize);
            if let Some(Weights { held: WeightLayout::Sparse(held), constant, centring }) = weights {
                held.scores(simd, indices, values, &mut line);
                for c in 0..k {
                    out[c] = factor * (line[c].to_f64() + centring[c]) + constant[c];
                }
            }
            visit(first + i, out);
            if sum == RowSum::None {
                continue;
            }
            let factor = if sum == RowSum::Squares { factor * factor } else { factor };
            for c in 0..k {
                of_rows[c] += out[c];
                of_factors[c] += factor * out[c];
                line[c] = T::from_f64(factor * out[c]);
            }
            if sum == RowSum::Squares {
                // (x − m)² without m², which is that of every row.
                let mean = |j: u32| scaler.mean.as_ref().map_or(0.0, |m| m[j as usize]);
                let square = |(&j, &x): (&u32, &f32)| (f64::from(x) - 2.0 * mean(j)) * f64::from(x);
                squares.clear();
                squares.extend(indices.iter().zip(values).map(square));
                total.add(simd, indices, &squares, &line);
            } else {
                total.add(simd, indices, values, &line);
            }
        }
        if sum == RowSum::None {
            return Vec::new();
        }
        let mut all: Vec<f64> = total.into_rows().into_iter().map(Real::to_f64).collect();
        for (j, row) in all.chunks_exact_mut(k).enumerate() {
            let scale = scaler.scale.as_ref().map_or(1.0, |s| s[j]);
            let mean = scaler.mean.as_ref().map_or(0.0, |m| m[j]);
            let (centre, scale) = if sum == RowSum::Squares { (-mean * mean, scale * scale) } else { (mean, scale) };
            row.iter_mut().zip(&of_factors).for_each(|(v, q)| *v = (*v - centre * q) / scale);
        }
        all.extend(products.of_constant(sum, &of_rows));
        all
    }
}
