//! W(a) = Σ_i x_i β_iᵀ in f64, and bounds of the errors of its entries.

use super::{DualPoint, cast};
use crate::data::batch::Source;
use crate::data::{Csr, Features, packed};
use crate::kernel::rounding::{Sum, gamma};
use crate::kernel::{FeatureWeights, Reach, RowBlock, TiledWeights, Widen, Work, prefetch_all, vectorized};
use crate::model::BiasRule;
use pulp::{Simd, WithSimd};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Features of one task, which are those of one part of the weights.
const WIDTH: usize = 512;
/// Rows that are loaded at a time.
const ROWS: usize = 16;
/// Rows after which a sum of products goes into the sum of those sums: roundings add up within the one and within the other.
const CHUNK: usize = 512;
/// Shares of the rows, if there are fewer parts of features.
const SHARES: usize = 4;
/// Rows of a share, at least.
const LEAST: usize = 4096;
/// Bytes of sparse weights of which every share of the rows has its own.
const LARGEST: usize = 8 << 20;
/// Roundings of a cell (centred, scaled, brought to unit length) and of its product.
const CELL: usize = 8;

/// W(a) and bounds of its errors, for some of the features and some of the rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Product {
    /// `[features, n_classes]`
    #[serde(with = "packed")]
    pub weight: Vec<f64>,
    /// A_j
    #[serde(with = "packed")]
    pub magnitude: Vec<f64>,
    /// max_i |x_ij|, or more; zeros where the bias is not free.
    #[serde(with = "packed")]
    pub largest: Vec<f64>,
    /// Roundings of an entry.
    pub roundings: usize,
}

impl Product {
    /// ‖W‖², and how far off half of that is where, besides, a is less by `short` in all.
    pub(super) fn square(&self, n_classes: usize, short: f64) -> (f64, f64) {
        let (mut square, mut error) = (Sum::default(), Sum::default());
        for (j, row) in self.weight.chunks_exact(n_classes).enumerate() {
            let off = gamma(self.roundings) * self.magnitude[j] + 2.0 * short * self.largest[j];
            let mut size = 0.0;
            for &w in row {
                square.add(w * w);
                size += w.abs();
            }
            error.add(off * (size + cast(n_classes) * off));
        }
        (square.value(), error.value())
    }

    /// Whether it is of so many features and classes.
    pub(super) fn fits(&self, n_features: usize, n_classes: usize) -> bool {
        n_features.checked_mul(n_classes) == Some(self.weight.len())
            && self.magnitude.len() == n_features
            && self.largest.len() == n_features
            && u32::try_from(self.roundings).is_ok()
    }

    /// Adds the product of other rows.
    pub(super) fn add(&mut self, other: &Self) {
        self.weight.iter_mut().zip(&other.weight).for_each(|(a, b)| *a += b);
        self.magnitude.iter_mut().zip(&other.magnitude).for_each(|(a, b)| *a += b);
        self.largest.iter_mut().zip(&other.largest).for_each(|(a, b)| *a = a.max(*b));
        self.roundings = self.roundings.max(other.roundings) + 1;
    }
}

impl DualPoint<'_> {
    /// β of the positions, `[support, n_classes]`.
    fn betas(&self, support: &[u32]) -> Vec<f64> {
        let k = self.n_classes;
        let (mut a, mut betas) = (vec![0.0; k], vec![0.0; support.len() * k]);
        betas.chunks_exact_mut(k).zip(support).for_each(|(beta, &i)| self.read(i as usize, &mut a, beta));
        betas
    }

    /// One over the length of each row, where rows are divided by it.
    fn factors(&self) -> Vec<f64> {
        let Source { scaler, features, .. } = self.source;
        let factor = |&row: &u32| scaler.row_factor(features, row as usize);
        if scaler.unit_row { self.rows.par_iter().map(factor).collect() } else { Vec::new() }
    }

    /// Over the positions whose variables are not all zero.
    pub(super) fn product(&self, support: &[u32]) -> Product {
        match self.source.features {
            Features::Sparse(csr) => self.of_sparse(csr, support),
            Features::U8(_) | Features::F32(_) | Features::F64(_) => self.of_dense(support),
        }
    }

    fn of_dense(&self, support: &[u32]) -> Product {
        let (d, k) = (self.source.features.n_features(), self.n_classes);
        let ranges: Vec<Range<usize>> = (0..d).step_by(WIDTH).map(|start| start..(start + WIDTH).min(d)).collect();
        let shares = shares(support, SHARES.div_ceil(ranges.len()));
        let factors = self.factors();
        // Every part needs them.
        let betas = if ranges.len() > 1 { self.betas(support) } else { Vec::new() };
        let of = |features: &Range<usize>| {
            let task = FeatureTask { point: self, features: features.clone(), factors: &factors, betas: &betas };
            joined(shares.par_iter().map(|&(first, rows)| task.run(first, rows)).collect())
        };
        let parts: Vec<Product> = ranges.par_iter().map(of).collect();
        let roundings = parts.iter().map(|p| p.roundings).max().unwrap_or(0);
        let roundings = roundings + CELL + k + if self.source.scaler.unit_row { d } else { 0 };
        let (mut weight, mut magnitude, mut largest) = (Vec::with_capacity(d * k), Vec::new(), Vec::new());
        for part in parts {
            weight.extend(part.weight);
            magnitude.extend(part.magnitude);
            largest.extend(part.largest);
        }
        Product { weight, magnitude, largest, roundings }
    }

    /// `W = Σ_i r_i x_i β_iᵀ/scale − (mean/scale)·(Σ_i r_i β_i)ᵀ`: zeros are not met.
    fn of_sparse(&self, csr: &Csr, support: &[u32]) -> Product {
        let (d, k) = (csr.n_features(), self.n_classes);
        let bytes = FeatureWeights::<f64>::zeros(1, k).width() * d * size_of::<f64>();
        let shares = shares(support, if bytes <= LARGEST { SHARES } else { 1 });
        let parts: Vec<(Product, Vec<f64>, f64)> = shares
            .par_iter()
            .map(|&(_, rows)| pulp::Arch::new().dispatch(SparseTask { point: self, csr, rows }))
            .collect();
        let (mut total, mut size, mut products) = (vec![Sum::default(); k], Sum::default(), Vec::new());
        for (product, sums, magnitude) in parts {
            total.iter_mut().zip(sums).for_each(|(total, sum)| total.add(sum));
            size.add(magnitude);
            products.push(product);
        }
        let mut product = joined(products);
        let scaler = self.source.scaler;
        for (j, row) in product.weight.chunks_exact_mut(k).enumerate() {
            let scale = scaler.scale.as_ref().map_or(1.0, |s| s[j]);
            let mean = scaler.mean.as_ref().map_or(0.0, |m| m[j]);
            row.iter_mut().zip(&total).for_each(|(w, total)| *w = (*w - mean * total.value()) / scale);
            product.magnitude[j] = (product.magnitude[j] + mean.abs() * size.value()) / scale.abs();
            product.largest[j] = (product.largest[j] + mean.abs()) / scale.abs();
        }
        product.roundings = support.len() + CELL + k + self.lengths();
        product
    }

    /// Roundings that the length of a sparse row has in it, where it is divided by that; more where the row lies near the mean.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn lengths(&self) -> usize {
        let Source { scaler, features, .. } = self.source;
        if !scaler.unit_row {
            return 0;
        }
        let square: f64 = scaler.mean.iter().flatten().map(|m| m * m).sum();
        let factor = |&row: &u32| scaler.row_factor(features, row as usize);
        let nearest = if square > 0.0 { self.rows.iter().map(factor).fold(0.0, f64::max) } else { 0.0 };
        let cancelled = 1.0 + 2.0 * square * nearest * nearest;
        (cast(2 * features.n_features() + 16) * cancelled).min(1e18) as usize
    }
}

/// Positions in `count` parts, or in fewer of at least [`LEAST`], and how many come before; one without any where there is none.
fn shares(support: &[u32], count: usize) -> Vec<(usize, &[u32])> {
    if support.is_empty() {
        return vec![(0, support)];
    }
    let count = count.min(support.len() / LEAST).max(1);
    let length = support.len().div_ceil(count);
    support.chunks(length).enumerate().map(|(i, rows)| (i * length, rows)).collect()
}

fn joined(parts: Vec<Product>) -> Product {
    let none = || Product { weight: Vec::new(), magnitude: Vec::new(), largest: Vec::new(), roundings: 0 };
    let sum = |mut sum: Product, part: Product| {
        sum.add(&part);
        sum
    };
    parts.into_iter().reduce(sum).unwrap_or_else(none)
}

/// Some features of dense rows.
struct FeatureTask<'a> {
    point: &'a DualPoint<'a>,
    features: Range<usize>,
    /// Of every row of the point; none where all are 1.
    factors: &'a [f64],
    /// Of the whole support; none where they are read as they are needed.
    betas: &'a [f64],
}

impl FeatureTask<'_> {
    /// Over positions of the support, before which there are `first`.
    fn run(&self, first: usize, support: &[u32]) -> Product {
        let (point, width, k) = (self.point, self.features.len(), self.point.n_classes);
        let scaler = point.source.scaler;
        let own = self.features.clone();
        let mean = scaler.mean.as_deref().map(|m| &m[own.clone()]);
        let inverse = scaler.scale.as_deref().map(|s| s[own].iter().map(|s| 1.0 / s).collect::<Vec<f64>>());
        let mut block = RowBlock::<f64>::new(ROWS, width);
        let (mut total, mut part) = (TiledWeights::zeros(width, k), TiledWeights::zeros(width, k));
        let (mut magnitude, mut largest) = (vec![0.0; width], vec![0.0; width]);
        let (mut low, mut high, mut reach) = (vec![0; width], vec![0; width], vec![0.0; width]);
        let (mut a, mut beta) = (vec![0.0; k], vec![0.0; ROWS * k]);
        let positions: Vec<usize> = (0..ROWS).collect();
        let is_free = point.objective.bias == BiasRule::Free;
        let mut coming = support.chunks(ROWS).skip(1);
        let mut done = first;
        for chunk in support.chunks(CHUNK) {
            for rows in chunk.chunks(ROWS) {
                let mut sizes = [0.0; ROWS];
                for (r, &i) in rows.iter().enumerate() {
                    let beta = &mut beta[r * k..(r + 1) * k];
                    if self.betas.is_empty() {
                        point.read(i as usize, &mut a, beta);
                    } else {
                        beta.copy_from_slice(&self.betas[(done + r) * k..(done + r + 1) * k]);
                    }
                    sizes[r] = beta.iter().fold(0.0f64, |most, b| most.max(b.abs()));
                }
                done += rows.len();
                coming.next().into_iter().flatten().for_each(|&i| self.prefetch(i as usize));
                for (cells, &i) in block.rows_mut().zip(rows) {
                    self.load(i as usize, mean, inverse.as_deref(), &mut cells[..width]);
                }
                if let Features::U8(dense) = point.source.features {
                    // Of a few rows of bytes the cells that are farthest from the mean, all together.
                    let mut cells: [&[u8]; ROWS] = [&[]; ROWS];
                    let (mut size, mut longest) = (0.0, 0.0f64);
                    for ((cells, size_of_row), &i) in cells.iter_mut().zip(sizes).zip(rows) {
                        *cells = &dense.row(point.rows[i as usize] as usize)[self.features.clone()];
                        let factor = self.factor(i as usize);
                        (size, longest) = (size + factor * size_of_row, longest.max(factor));
                    }
                    let (low, high, out) = (&mut low, &mut high, &mut reach);
                    vectorized(Reach { rows: &cells[..rows.len()], mean, low, high, out });
                    for j in 0..width {
                        magnitude[j] += size * reach[j];
                        largest[j] = f64::max(largest[j], longest * reach[j]);
                    }
                } else {
                    let largest = is_free.then_some(&mut largest[..]);
                    // Rows beyond, left by an earlier group, have the size 0.
                    vectorized(Magnitudes { rows: block.values(), sizes, sums: &mut magnitude, largest });
                }
                part.add(&block, &positions[..rows.len()], &beta[..rows.len() * k]);
            }
            total.merge(&part);
            part.clear();
        }
        if let (Features::U8(_), Some(inverse)) = (point.source.features, &inverse) {
            let both = magnitude.iter_mut().zip(&mut largest).zip(inverse);
            both.for_each(|((magnitude, largest), s)| {
                (*magnitude, *largest) = (*magnitude * s.abs(), *largest * s.abs())
            });
        }
        let roundings = CHUNK.min(support.len()) + support.len().div_ceil(CHUNK);
        Product { weight: total.to_rows(), magnitude, largest, roundings }
    }

    /// r of a position.
    fn factor(&self, i: usize) -> f64 {
        self.factors.get(i).copied().unwrap_or(1.0)
    }

    /// Asks for a row that is loaded soon.
    fn prefetch(&self, i: usize) {
        let (row, own) = (self.point.rows[i] as usize, self.features.clone());
        match self.point.source.features {
            Features::U8(dense) => prefetch_all(&dense.row(row)[own]),
            Features::F32(dense) => prefetch_all(&dense.row(row)[own]),
            Features::F64(dense) => prefetch_all(&dense.row(row)[own]),
            Features::Sparse(_) => {}
        }
    }

    /// The preprocessed cells of a row.
    fn load(&self, i: usize, mean: Option<&[f64]>, inverse: Option<&[f64]>, out: &mut [f64]) {
        let (row, factor) = (self.point.rows[i] as usize, self.factor(i));
        let own = self.features.clone();
        match self.point.source.features {
            Features::U8(dense) => vectorized(Widen { cells: &dense.row(row)[own], mean, inverse, factor, out }),
            Features::F32(dense) => vectorized(Widen { cells: &dense.row(row)[own], mean, inverse, factor, out }),
            Features::F64(dense) => vectorized(Widen { cells: &dense.row(row)[own], mean, inverse, factor, out }),
            Features::Sparse(_) => unreachable!("sparse rows go another way"),
        }
    }
}

/// `A_j += Σ_r |x_rj|·max_k|β_rk|`, and the largest |x_rj| where that is asked for.
struct Magnitudes<'a> {
    /// Rows with their padding, one after another.
    rows: &'a [f64],
    /// max_k|β_rk|
    sizes: [f64; ROWS],
    sums: &'a mut [f64],
    largest: Option<&'a mut [f64]>,
}

impl Work for Magnitudes<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    fn run(self) {
        let Self { rows, sizes, sums, largest } = self;
        let (n, width) = (sums.len(), rows.len() / ROWS);
        for (rows, sizes) in rows.chunks_exact(4 * width).zip(sizes.as_chunks::<4>().0) {
            let (a, rest) = rows.split_at(width);
            let (b, rest) = rest.split_at(width);
            let (c, d) = rest.split_at(width);
            let (a, b, c, d) = (&a[..n], &b[..n], &c[..n], &d[..n]);
            for j in 0..n {
                let (near, far) =
                    (a[j].abs() * sizes[0] + b[j].abs() * sizes[1], c[j].abs() * sizes[2] + d[j].abs() * sizes[3]);
                sums[j] += near + far;
            }
        }
        if let Some(largest) = largest {
            for row in rows.chunks_exact(width) {
                let row = &row[..n];
                for j in 0..n {
                    let size = row[j].abs();
                    largest[j] = if size > largest[j] { size } else { largest[j] };
                }
            }
        }
    }
}

/// Some sparse rows: `Σ_i r_i x_i β_iᵀ`, with `Σ_i r_i β_i` and `Σ_i r_i max_k|β_ik|`.
struct SparseTask<'a> {
    point: &'a DualPoint<'a>,
    csr: &'a Csr<'a>,
    rows: &'a [u32],
}

impl WithSimd for SparseTask<'_> {
    type Output = (Product, Vec<f64>, f64);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let Self { point, csr, rows } = self;
        let (d, k) = (csr.n_features(), point.n_classes);
        let mut weights = FeatureWeights::<f64>::zeros(d, k);
        let mut line = vec![0.0; weights.width()];
        let (mut a, mut beta) = (vec![0.0; k], vec![0.0; k]);
        let (mut magnitude, mut largest) = (vec![0.0; d], vec![0.0f64; d]);
        let (mut total, mut size) = (vec![Sum::default(); k], Sum::default());
        let Source { features, scaler, .. } = point.source;
        for &i in rows {
            let row = point.rows[i as usize] as usize;
            let factor = scaler.row_factor(features, row);
            point.read(i as usize, &mut a, &mut beta);
            line[..k].iter_mut().zip(&beta).for_each(|(out, b)| *out = factor * b);
            total.iter_mut().zip(&line).for_each(|(sum, &b)| sum.add(b));
            let most = line.iter().fold(0.0f64, |most, b| most.max(b.abs()));
            size.add(most);
            let (indices, values) = csr.row(row);
            weights.add(simd, indices, values, &line);
            for (&j, &x) in indices.iter().zip(values) {
                let x = f64::from(x).abs();
                magnitude[j as usize] += x * most;
                largest[j as usize] = largest[j as usize].max(factor * x);
            }
        }
        let product = Product { weight: weights.into_rows(), magnitude, largest, roundings: rows.len() };
        (product, total.into_iter().map(Sum::value).collect(), size.value())
    }
}
