//! The scores of raw rows on the host in f64, and how far rounding can have put them off.
//!
//! ```text
//! s_k = r · Σ_j (x_j − m_j)·v_jk + b_k,   v_jk = w_jk/scale_j        dense rows
//! s_k = r · (Σ_j x_j·v_jk − Σ_j m_j·v_jk) + b_k                      sparse rows, over the stored cells
//! ```
//!
//! r is 1, or one over the length of the centred row. With γ_m = m·u/(1 − m·u), u = 2⁻⁵³, and `v̄_j = max_k |v_jk|` a score of a row
//! of d cells is off by at most `r·γ_{d+8}·(Σ_j |x_j − m_j|·v̄_j) + 4u·max_k|b_k|`, for sparse rows with `|x_j|·v̄_j` of the stored
//! cells and `|m_j|·v̄_j` of all in the sum: one product more than those of the classes, and none that gets looser where features
//! have different scales. Of a few rows of bytes the largest |x_j − m_j| are taken together.

use crate::data::{Features, Scaler};
use crate::kernel::rounding::{UNIT, gamma};
use crate::kernel::{Reach, RowBlock, TiledWeights, Widen, Work, vectorized};
use rayon::prelude::*;
use std::borrow::Cow;

/// Rows that are scored together by one thread.
const CHUNK: usize = 512;
/// Rows that are widened and multiplied at a time: they and the weights stay in the second-level cache.
const ROWS: usize = 8;

/// Weights as they meet raw rows.
pub(crate) struct Scorer<'a> {
    scaler: &'a Scaler,
    n_features: usize,
    n_classes: usize,
    /// `[n_features, n_classes]`, divided by the scale.
    weight: Cow<'a, [f64]>,
    bias: Cow<'a, [f64]>,
}

/// Terms of the error bound of scores.
struct Envelope {
    /// v̄
    weight: Vec<f64>,
    /// Σ_j |m_j|·v̄_j where the centring goes through the weights, else 0.
    offset: f64,
    /// 4u·max_k|b_k|
    bias: f64,
    /// Σ_j m_j², where the length of a row is taken from it.
    square: f64,
}

impl<'a> Scorer<'a> {
    /// For weights `[n_features, n_classes]` and a bias `[n_classes]` for preprocessed features.
    pub fn new(weight: &'a [f64], bias: Option<&'a [f64]>, scaler: &'a Scaler, n_classes: usize) -> Self {
        let divided = |scale: &Vec<f64>| {
            let rows = weight.chunks_exact(n_classes).zip(scale);
            Cow::Owned(rows.flat_map(|(row, &s)| row.iter().map(move |w| w / s)).collect())
        };
        Self {
            scaler,
            n_features: weight.len() / n_classes,
            n_classes,
            weight: scaler.scale.as_ref().map_or(Cow::Borrowed(weight), divided),
            bias: bias.map_or_else(|| Cow::Owned(vec![0.0; n_classes]), Cow::Borrowed),
        }
    }

    /// Number of classes.
    pub const fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// `−Σ_j m_j·v_jk` of every class.
    fn offset(&self) -> Vec<f64> {
        let mut offset = vec![0.0; self.n_classes];
        for (row, &m) in self.weight.chunks_exact(self.n_classes).zip(self.scaler.mean.iter().flatten()) {
            offset.iter_mut().zip(row).for_each(|(o, v)| *o -= m * v);
        }
        offset
    }

    /// The weights `[n_features, n_classes]` for raw features, the offset of every score by centring, and the bias.
    pub fn folded(self) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let offset = self.offset();
        (self.weight.into_owned(), offset, self.bias.into_owned())
    }

    fn envelope(&self, features: &Features) -> Envelope {
        let is_dense = !matches!(features, Features::Sparse(_));
        let largest = |values: &[f64]| values.iter().fold(0.0f64, |most, v| most.max(v.abs()));
        let weight: Vec<f64> = self.weight.chunks_exact(self.n_classes).map(largest).collect();
        let mean = self.scaler.mean.as_deref().unwrap_or_default();
        let through = |(&m, v): (&f64, &f64)| m.abs() * v;
        let offset = if is_dense { 0.0 } else { mean.iter().zip(&weight).map(through).sum() };
        let square = if is_dense { 0.0 } else { mean.iter().map(|m| m * m).sum() };
        Envelope { weight, offset, bias: 4.0 * UNIT * largest(&self.bias), square }
    }

    /// Folds a function over the scores of the given rows, in parallel over fixed chunks; the results come in row order, so that a
    /// sum over them does not depend on the number of threads.
    ///
    /// `visit` gets the accumulator, the position in `rows`, the scores `[n_classes]`, and with `bounded` how far each of them is off at
    /// most (0 without).
    pub fn fold<T: Send>(
        &self,
        features: &Features,
        rows: &[u32],
        bounded: bool,
        init: impl Fn() -> T + Sync,
        visit: impl Fn(&mut T, usize, &[f64], f64) + Sync,
    ) -> Vec<T> {
        let (d, k) = (self.n_features, self.n_classes);
        let is_dense = !matches!(features, Features::Sparse(_));
        let by_class = is_dense.then(|| TiledWeights::<f64>::from_rows(&self.weight, k));
        let offset = if is_dense { vec![0.0; k] } else { self.offset() };
        let mean = self.scaler.mean.as_deref();
        let envelope = bounded.then(|| self.envelope(features));
        let chunk = |(index, rows): (usize, &[u32])| {
            let mut state = init();
            let mut scores = vec![0.0; ROWS * k];
            let mut cells = is_dense.then(|| RowBlock::new(ROWS, d));
            let mut farthest = FarthestCells::new(features, bounded, d);
            for (block, group) in rows.chunks(ROWS).enumerate() {
                match (&by_class, &mut cells) {
                    (Some(weights), Some(cells)) => {
                        widen(features, group, mean, d, cells);
                        weights.scores(cells, group.len(), &mut scores, k);
                    }
                    _ => self.sparse_scores(features, group, &mut scores),
                }
                let of_all = envelope.as_ref().zip(farthest.of(features, group, mean));
                let of_all = of_all.map(|(envelope, cells)| envelope.product(cells));
                for (i, &row) in group.iter().enumerate() {
                    let factor = self.scaler.row_factor(features, row as usize);
                    let error = envelope.as_ref().map_or(0.0, |e| match (of_all, &cells) {
                        (Some(product), _) => e.of(product, factor, self.scaler),
                        (None, Some(cells)) => e.of(e.product(&cells.row(i)[..d]), factor, self.scaler),
                        (None, None) => e.of_sparse(features, row, factor, self.scaler),
                    });
                    let scores = &mut scores[i * k..(i + 1) * k];
                    for (c, s) in scores.iter_mut().enumerate() {
                        *s = factor * (*s + offset[c]) + self.bias[c];
                    }
                    visit(&mut state, index * CHUNK + block * ROWS + i, scores, error);
                }
            }
            state
        };
        rows.par_chunks(CHUNK).enumerate().map(chunk).collect()
    }

    fn sparse_scores(&self, features: &Features, rows: &[u32], scores: &mut [f64]) {
        let k = self.n_classes;
        scores.fill(0.0);
        for (scores, &row) in scores.chunks_exact_mut(k).zip(rows) {
            features.for_each_cell(row as usize, |j, x| {
                if j < self.n_features {
                    scores.iter_mut().zip(&self.weight[j * k..(j + 1) * k]).for_each(|(s, w)| *s += x * w);
                }
            });
        }
    }
}

impl Envelope {
    /// Σ_j |x_j|·v̄_j of centred cells.
    fn product(&self, cells: &[f64]) -> f64 {
        vectorized(Magnitude { cells, weight: &self.weight })
    }

    /// Of a dense row with that product.
    fn of(&self, product: f64, factor: f64, scaler: &Scaler) -> f64 {
        let d = self.weight.len();
        let roundings = if scaler.unit_row { 2 * d + 24 } else { d + 8 };
        factor * gamma(roundings) * product + self.bias
    }

    /// Of a sparse row as it is stored.
    fn of_sparse(&self, features: &Features, row: u32, factor: f64, scaler: &Scaler) -> f64 {
        let (mut product, mut stored) = (0.0, 0);
        features.for_each_cell(row as usize, |j, x| {
            product += x.abs() * self.weight.get(j).copied().unwrap_or(0.0);
            stored += 1;
        });
        let d = self.weight.len();
        let sums = gamma(stored + 8) * product + gamma(d + 8) * self.offset;
        // The length of a centred row is what is left of the mean's when its cells are put in.
        let lengths = if scaler.unit_row {
            gamma(stored + d + 16) * (1.0 + 2.0 * self.square * factor * factor) * (product + self.offset)
        } else {
            0.0
        };
        factor * (sums + lengths) + self.bias
    }
}

/// Of a few rows of bytes, the cells that are farthest from the mean.
struct FarthestCells {
    low: Vec<u8>,
    high: Vec<u8>,
    /// `None` for rows other than bytes, or if it is not needed.
    out: Option<Vec<f64>>,
}

impl FarthestCells {
    fn new(features: &Features, bounded: bool, d: usize) -> Self {
        let bytes = bounded && matches!(features, Features::U8(_));
        let scratch = || vec![0; if bytes { d } else { 0 }];
        Self { low: scratch(), high: scratch(), out: bytes.then(|| vec![0.0; d]) }
    }

    fn of(&mut self, features: &Features, rows: &[u32], mean: Option<&[f64]>) -> Option<&[f64]> {
        let (Self { low, high, out: Some(out) }, Features::U8(dense)) = (self, features) else { return None };
        let mut cells: [&[u8]; ROWS] = [&[]; ROWS];
        cells.iter_mut().zip(rows).for_each(|(cells, &row)| *cells = dense.row(row as usize));
        vectorized(Reach { rows: &cells[..rows.len()], mean, low, high, out });
        Some(out)
    }
}

/// `Σ_j |x_j|·v̄_j`
struct Magnitude<'a> {
    cells: &'a [f64],
    weight: &'a [f64],
}

impl Work for Magnitude<'_> {
    type Output = f64;

    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    fn run(self) -> f64 {
        let ((cells, last_cells), (weight, last_weights)) = (self.cells.as_chunks::<8>(), self.weight.as_chunks::<8>());
        let mut sums = [0.0f64; 8];
        for i in 0..cells.len().min(weight.len()) {
            for l in 0..8 {
                sums[l] += cells[i][l].abs() * weight[i][l];
            }
        }
        for l in 0..last_cells.len().min(last_weights.len()) {
            sums[l] += last_cells[l].abs() * last_weights[l];
        }
        sums.iter().sum()
    }
}

/// Centred dense rows in double precision. Features that the model does not have are left out, those that the rows do not have are zero.
fn widen(features: &Features, rows: &[u32], mean: Option<&[f64]>, d: usize, block: &mut RowBlock<f64>) {
    fn of<T: Copy + Into<f64>>(cells: &[T], mean: Option<&[f64]>, out: &mut [f64]) {
        let there = cells.len().min(out.len());
        let (own, lacking) = out.split_at_mut(there);
        let (own_mean, lacking_mean) = mean.map(|mean| mean.split_at(there)).unzip();
        vectorized(Widen { cells, mean: own_mean, inverse: None, factor: 1.0, out: own });
        lacking.iter_mut().zip(lacking_mean.unwrap_or_default()).for_each(|(out, mean)| *out = -mean);
    }
    for (out, &row) in block.rows_mut().zip(rows) {
        let out = &mut out[..d];
        match features {
            Features::U8(dense) => of(dense.row(row as usize), mean, out),
            Features::F32(dense) => of(dense.row(row as usize), mean, out),
            Features::F64(dense) => of(dense.row(row as usize), mean, out),
            Features::Sparse(_) => unreachable!("sparse rows go another way"),
        }
    }
}
