//! Sparse rows: stored cells in place, the weights of all classes of a feature side by side.
//!
//! Rows keep their zeros under centring. With x̂ = x/scale and m̂ = mean/scale a preprocessed row is r·(x̂ − m̂), so that
//! `W = V − m̂ τᵀ` with V = Σ r·x̂ βᵀ and τ = Σ r·β, and the scores of a row are
//!
//! ```text
//! r·(x̂·V − p τ − g + ‖m̂‖²·τ)        p = x̂·m̂,  g = m̂·V
//! ```
//!
//! A step touches the stored cells of its row and a few vectors of length `n_classes`. On one thread rows come one by one; several
//! threads share the classes, each with its part of W, and meet once a block.

use super::sweep::{Changes, Gram, Load, Rows};
use crate::data::Csr;
use crate::data::batch::Source;
use crate::kernel::{FeatureWeights, Real, Work, vectorized};
use crate::solver::{Problem, SolveError};
use rayon::prelude::*;
use std::ops::Range;

/// Rows of a block where threads share the classes.
const BLOCK: usize = 64;
/// Classes below which a part is not worth a thread.
const FEWEST: usize = 4;

/// The loaded rows: their cells divided by the scale.
#[derive(Debug, Default)]
struct Loaded<T> {
    rows: Vec<u32>,
    values: Vec<T>,
    ends: Vec<usize>,
}

/// r, p and ‖r·(x̂ − m̂)‖² of a row.
#[derive(Debug, Clone, Copy)]
struct RowFacts {
    factor: f64,
    product: f64,
    square: f64,
}

/// What the rows have in common.
struct Shared<'a> {
    csr: &'a Csr,
    /// 1/scale and mean/scale of each feature.
    inverse: Option<Vec<f64>>,
    center: Option<Vec<f64>>,
    center_square: f64,
    facts: Vec<RowFacts>,
}

/// The classes of one thread.
struct Part<T> {
    classes: Range<usize>,
    weights: FeatureWeights<T>,
    /// τ and g, see above.
    tau: Vec<f64>,
    g: Vec<f64>,
    /// `[rows, classes]`
    scores: Vec<f64>,
    /// A row's scores or change, with the padding of the weights.
    line: Vec<T>,
    /// A row with its zeros, for products among rows.
    dense: Vec<f32>,
    gram: Vec<f32>,
}

pub(super) struct SparseRows<'a, T> {
    shared: Shared<'a>,
    n_classes: usize,
    loaded: Loaded<T>,
    parts: Vec<Part<T>>,
    grams: Vec<Vec<f32>>,
    square: [f32; 1],
}

/// Rows of a block for a problem: one, or enough for threads to share.
pub(super) fn block_size(problem: &Problem<'_>) -> usize {
    if part_count(problem) > 1 { BLOCK } else { 1 }
}

fn part_count(problem: &Problem<'_>) -> usize {
    problem.threads.min(problem.n_classes / FEWEST).max(1)
}

impl<T: Real> Loaded<T> {
    #[inline(always)]
    fn cells<'s>(&'s self, shared: &Shared<'s>, i: usize) -> (&'s [u32], &'s [T]) {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        (shared.csr.row(self.rows[i] as usize).0, &self.values[start..self.ends[i]])
    }

    fn load(&mut self, shared: &Shared<'_>, rows: &[u32]) {
        self.rows.clear();
        self.values.clear();
        self.ends.clear();
        self.rows.extend_from_slice(rows);
        for &row in rows {
            let (indices, values) = shared.csr.row(row as usize);
            match &shared.inverse {
                None => self.values.extend(values.iter().map(|&v| T::from_f64(v.into()))),
                Some(inverse) => {
                    let scaled = indices.iter().zip(values).map(|(&j, &v)| f64::from(v) * inverse[j as usize]);
                    self.values.extend(scaled.map(T::from_f64));
                }
            }
            self.ends.push(self.values.len());
        }
    }
}

impl<'a> Shared<'a> {
    fn new(source: Source<'a>, csr: &'a Csr) -> Self {
        let inverse: Option<Vec<f64>> =
            source.scaler.scale.as_ref().map(|s| s.iter().map(|&s| 1.0 / f64::from(s)).collect());
        let center: Option<Vec<f64>> = source.scaler.mean.as_ref().map(|m| {
            m.iter().enumerate().map(|(j, &m)| f64::from(m) * inverse.as_ref().map_or(1.0, |i| i[j])).collect()
        });
        let center_square = center.as_ref().map_or(0.0, |c| c.iter().map(|m| m * m).sum());
        let mut shared = Self { csr, inverse, center, center_square, facts: Vec::new() };
        shared.facts = (0..csr.n_rows()).into_par_iter().map(|row| shared.facts_of(source, row)).collect();
        shared
    }

    fn facts_of(&self, source: Source<'_>, row: usize) -> RowFacts {
        let factor = source.scaler.row_factor(source.features, row);
        let (mut product, mut square) = (0.0, self.center_square);
        let (indices, values) = self.csr.row(row);
        for (&j, &x) in indices.iter().zip(values) {
            let j = j as usize;
            let x = f64::from(x) * self.inverse.as_ref().map_or(1.0, |s| s[j]);
            let m = self.center.as_ref().map_or(0.0, |c| c[j]);
            product += x * m;
            square += (x - m) * (x - m) - m * m;
        }
        RowFacts { factor, product, square: factor * factor * square.max(0.0) }
    }
}

impl<T: Real> Part<T> {
    fn new(classes: Range<usize>, n_features: usize) -> Self {
        let k = classes.len();
        let weights = FeatureWeights::zeros(n_features, k);
        let line = vec![T::default(); weights.width()];
        Self {
            classes,
            weights,
            tau: vec![0.0; k],
            g: vec![0.0; k],
            scores: Vec::new(),
            line,
            dense: Vec::new(),
            gram: Vec::new(),
        }
    }

    /// Adds `x βᵀ` of changes of loaded rows to the weights of these classes.
    #[inline(always)]
    fn add(&mut self, shared: &Shared<'_>, loaded: &Loaded<T>, done: &Changes, n_classes: usize) {
        for (&p, change) in done.positions.iter().zip(done.values.chunks_exact(n_classes)) {
            let (indices, values) = loaded.cells(shared, p);
            let RowFacts { factor, product, .. } = shared.facts[loaded.rows[p] as usize];
            let change = &change[self.classes.clone()];
            for (line, &c) in self.line.iter_mut().zip(change) {
                *line = T::from_f64(factor * c);
            }
            self.line[change.len()..].fill(T::default());
            self.weights.add(indices, values, &self.line);
            if shared.center.is_some() {
                for ((tau, g), &c) in self.tau.iter_mut().zip(&mut self.g).zip(change) {
                    *tau += factor * c;
                    *g += factor * product * c;
                }
            }
        }
    }

    #[inline(always)]
    fn score(&mut self, shared: &Shared<'_>, loaded: &Loaded<T>) {
        let k = self.classes.len();
        self.scores.resize(loaded.rows.len() * k, 0.0);
        for (p, scores) in self.scores.chunks_exact_mut(k).enumerate() {
            let (indices, values) = loaded.cells(shared, p);
            let RowFacts { factor, product, .. } = shared.facts[loaded.rows[p] as usize];
            self.weights.scores(indices, values, &mut self.line);
            for (c, (s, line)) in scores.iter_mut().zip(&self.line).enumerate() {
                let shift = (shared.center_square - product) * self.tau[c] - self.g[c];
                *s = factor * (line.to_f64() + shift);
            }
        }
    }

    /// Every `count`-th row of the Gram matrix, up to the diagonal.
    #[allow(clippy::cast_possible_truncation)]
    fn products(&mut self, shared: &Shared<'_>, loaded: &Loaded<T>, first: usize, count: usize) {
        let n = loaded.rows.len();
        self.gram.clear();
        self.dense.resize(shared.csr.n_features(), 0.0);
        for i in (first..n).step_by(count) {
            let (indices, values) = loaded.cells(shared, i);
            for (&j, x) in indices.iter().zip(values) {
                self.dense[j as usize] = x.to_f64() as f32;
            }
            let row = shared.facts[loaded.rows[i] as usize];
            for other in 0..i {
                let (indices, values) = loaded.cells(shared, other);
                let product: f64 =
                    indices.iter().zip(values).map(|(&j, x)| f64::from(self.dense[j as usize]) * x.to_f64()).sum();
                let column = shared.facts[loaded.rows[other] as usize];
                let centred = product - row.product - column.product + shared.center_square;
                self.gram.push((row.factor * column.factor * centred) as f32);
            }
            self.gram.push(row.square as f32);
            loaded.cells(shared, i).0.iter().for_each(|&j| self.dense[j as usize] = 0.0);
        }
    }
}

/// The changes of the loaded rows, then the scores of fresh ones.
struct Turn<'a, 's, T> {
    part: &'a mut Part<T>,
    shared: &'a Shared<'s>,
    loaded: &'a Loaded<T>,
    done: &'a Changes,
    n_classes: usize,
    fresh: Option<&'a Loaded<T>>,
}

impl<T: Real> Work for Turn<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.part.add(self.shared, self.loaded, self.done, self.n_classes);
        if let Some(fresh) = self.fresh {
            self.part.score(self.shared, fresh);
        }
    }
}

impl<'a, T: Real> SparseRows<'a, T> {
    pub fn new(problem: &Problem<'a>, csr: &'a Csr) -> Self {
        let (k, count) = (problem.n_classes, part_count(problem));
        let parts = (0..count).map(|t| Part::new(t * k / count..(t + 1) * k / count, csr.n_features())).collect();
        Self {
            shared: Shared::new(problem.source, csr),
            n_classes: k,
            loaded: Loaded { rows: Vec::new(), values: Vec::new(), ends: Vec::new() },
            parts,
            grams: vec![Vec::new(); if count > 1 { problem.train.len().div_ceil(BLOCK) } else { 0 }],
            square: [0.0],
        }
    }

    /// W = V − m̂ τᵀ for the preprocessed features.
    fn dense_weights(&self) -> Vec<f64> {
        let (d, k) = (self.shared.csr.n_features(), self.n_classes);
        let mut rows = vec![0.0; d * k];
        for part in &self.parts {
            for (j, row) in rows.chunks_exact_mut(k).enumerate() {
                let m = self.shared.center.as_ref().map_or(0.0, |c| c[j]);
                let weights = part.weights.feature(j);
                for ((w, v), tau) in row[part.classes.clone()].iter_mut().zip(weights).zip(&part.tau) {
                    *w = v.to_f64() - m * tau;
                }
            }
        }
        rows
    }
}

impl<T: Real> Rows for SparseRows<'_, T> {
    fn turn(&mut self, done: &Changes, next: Load<'_>, scores: Option<&mut [f64]>) -> Result<(), SolveError> {
        let Self { shared, n_classes, loaded, parts, .. } = self;
        let k = *n_classes;
        if let [part] = &mut parts[..] {
            vectorized(Turn { part, shared, loaded, done, n_classes: k, fresh: None });
            loaded.load(shared, next.rows);
            if let Some(scores) = scores {
                let nothing = Changes::default();
                vectorized(Turn { part, shared, loaded, done: &nothing, n_classes: k, fresh: Some(loaded) });
                scores.copy_from_slice(&part.scores);
            }
            return Ok(());
        }
        let mut fresh = Loaded { rows: Vec::new(), values: Vec::new(), ends: Vec::new() };
        fresh.load(shared, next.rows);
        let wanted = scores.is_some();
        parts.par_iter_mut().for_each(|part| {
            vectorized(Turn { part, shared, loaded, done, n_classes: k, fresh: wanted.then_some(&fresh) });
        });
        *loaded = fresh;
        if let Some(scores) = scores {
            for part in parts {
                let width = part.classes.len();
                for (row, own) in scores.chunks_exact_mut(k).zip(part.scores.chunks_exact(width)) {
                    row[part.classes.clone()].copy_from_slice(own);
                }
            }
        }
        Ok(())
    }

    #[allow(clippy::cast_possible_truncation)]
    fn gram(&mut self, load: Load<'_>) -> Result<Gram<'_>, SolveError> {
        if self.parts.len() == 1 {
            self.square = [self.shared.facts[load.rows[0] as usize].square as f32];
            return Ok(Gram { values: &self.square, stride: 1, whole: false });
        }
        let n = load.rows.len();
        let whole = n == load.size;
        if self.grams[load.block].len() == load.size * load.size {
            return Ok(Gram { values: &self.grams[load.block], stride: load.size, whole: true });
        }
        let (shared, loaded, count) = (&self.shared, &self.loaded, self.parts.len());
        self.parts.par_iter_mut().enumerate().for_each(|(first, part)| part.products(shared, loaded, first, count));
        let mut gram = vec![0.0; n * n];
        for (first, part) in self.parts.iter().enumerate() {
            let mut products = part.gram.iter();
            for i in (first..n).step_by(count) {
                for (j, &product) in products.by_ref().take(i + 1).enumerate() {
                    (gram[i * n + j], gram[j * n + i]) = (product, product);
                }
            }
        }
        self.grams[load.block] = gram;
        Ok(Gram { values: &self.grams[load.block], stride: n, whole })
    }

    fn clear(&mut self) {
        for part in &mut self.parts {
            part.weights.clear();
            part.tau.fill(0.0);
            part.g.fill(0.0);
        }
    }

    fn square_of_weights(&self) -> Result<f64, SolveError> {
        let d = self.shared.csr.n_features();
        let mut sum = 0.0;
        for part in &self.parts {
            for j in 0..d {
                let m = self.shared.center.as_ref().map_or(0.0, |c| c[j]);
                for (v, tau) in part.weights.feature(j).iter().zip(&part.tau) {
                    sum += (v.to_f64() - m * tau).powi(2);
                }
            }
        }
        Ok(sum)
    }

    fn weights(&self) -> Result<Vec<f64>, SolveError> {
        Ok(self.dense_weights())
    }
}
