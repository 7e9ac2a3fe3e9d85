//! Dense rows on the processor: bytes or floats in place, cast block by block, multiplied by the kernels of this crate.
//!
//! Threads share the features: each holds its part of W and of the rows, so that one meeting a block is enough.

#![allow(clippy::needless_range_loop)]

use super::sweep::{Changes, Gram, Load, Rows};
use crate::data::Features;
use crate::data::batch::Source;
use crate::kernel::{ClassWeights, Real, RowBlock, Work, vectorized};
use crate::solver::{Problem, SolveError};
use rayon::prelude::*;
use std::ops::Range;

/// Rows of a block at most.
pub(super) const BLOCK: usize = 32;
/// The Gram matrices are kept where they need no more than this many bytes.
const GRAM_BYTES: usize = 1 << 30;
/// Features below which a part is not worth a thread.
const NARROWEST: usize = 256;

/// Rows of a block for a problem: a change of one row costs the others of its block one number a class each, and W one a feature.
pub(super) fn block_size(problem: &Problem<'_>) -> usize {
    (problem.source.features.n_features() / 2).next_multiple_of(8).min(BLOCK)
}

/// The features of one thread.
struct Part<T> {
    features: Range<usize>,
    weights: ClassWeights<T>,
    rows: RowBlock<T>,
    /// 1/scale and −mean/scale.
    inverse: Option<Vec<T>>,
    offset: Option<Vec<T>>,
    scores: Vec<T>,
    gram: Vec<T>,
}

pub(super) struct DenseRows<'a, T> {
    source: Source<'a>,
    parts: Vec<Part<T>>,
    /// K of each block, without the constant feature; empty before its first visit.
    grams: Vec<Vec<f32>>,
    scratch: Vec<f32>,
    keep: bool,
}

impl<'a, T: Real> DenseRows<'a, T> {
    pub fn new(problem: &Problem<'a>) -> Self {
        let source = problem.source;
        let (n, d, k) = (problem.train.len(), source.features.n_features(), problem.n_classes);
        let count = problem.threads.min(d / NARROWEST).max(1);
        let parts = (0..count).map(|t| Part::new(source, t * d / count..(t + 1) * d / count, k)).collect();
        let size = block_size(problem);
        let blocks = n.div_ceil(size);
        let keep = n.saturating_mul(size * size_of::<f32>()) <= GRAM_BYTES;
        Self { source, parts, grams: vec![Vec::new(); if keep { blocks } else { 0 }], scratch: Vec::new(), keep }
    }
}

impl<T: Real> Part<T> {
    fn new(source: Source<'_>, features: Range<usize>, n_classes: usize) -> Self {
        let scaler = source.scaler;
        let scale = scaler.scale.as_ref().map(|s| &s[features.clone()]);
        let inverse = scale.map(|s| s.iter().map(|&s| T::from_f64(1.0 / f64::from(s))).collect());
        let offset = scaler.mean.as_ref().map(|m| {
            let divisor = |j: usize| scale.map_or(1.0, |s| f64::from(s[j]));
            let mean = m[features.clone()].iter().enumerate();
            mean.map(|(j, &m)| T::from_f64(-f64::from(m) / divisor(j))).collect()
        });
        let width = features.len();
        Self {
            features,
            weights: ClassWeights::zeros(width, n_classes),
            rows: RowBlock::new(BLOCK, width),
            inverse,
            offset,
            scores: vec![T::default(); BLOCK * n_classes],
            gram: Vec::new(),
        }
    }

    fn turn(&mut self, source: Source<'_>, done: &Changes, values: &[T], next: Load<'_>, scores: bool) {
        self.weights.add(&self.rows, &done.positions, values);
        for (out, &row) in self.rows.rows_mut().zip(next.rows) {
            let range = self.features.clone();
            let (inverse, offset) = (self.inverse.as_deref(), self.offset.as_deref());
            let factor = source.scaler.row_factor(source.features, row as usize);
            match source.features {
                Features::U8(d) => vectorized(Write { x: &d.row(row as usize)[range], inverse, offset, factor, out }),
                Features::F32(d) => vectorized(Write { x: &d.row(row as usize)[range], inverse, offset, factor, out }),
                Features::Sparse(_) => unreachable!("sparse rows have a solver of their own"),
            }
        }
        if scores {
            let k = self.scores.len() / BLOCK;
            self.weights.scores(&self.rows, next.rows.len(), &mut self.scores, k);
        }
    }
}

/// `out = (x·inverse + offset)·factor`
struct Write<'a, X, T> {
    x: &'a [X],
    inverse: Option<&'a [T]>,
    offset: Option<&'a [T]>,
    factor: f64,
    out: &'a mut [T],
}

impl<X: Copy + Into<f64>, T: Real> Work for Write<'_, X, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let n = self.x.len();
        let (x, out) = (self.x, &mut self.out[..n]);
        match (self.inverse, self.offset) {
            (None, None) => {
                for j in 0..n {
                    out[j] = T::from_f64(x[j].into());
                }
            }
            (Some(inverse), None) => {
                let inverse = &inverse[..n];
                for j in 0..n {
                    out[j] = T::from_f64(x[j].into()) * inverse[j];
                }
            }
            (None, Some(offset)) => {
                let offset = &offset[..n];
                for j in 0..n {
                    out[j] = T::from_f64(x[j].into()) + offset[j];
                }
            }
            (Some(inverse), Some(offset)) => {
                let (inverse, offset) = (&inverse[..n], &offset[..n]);
                for j in 0..n {
                    out[j] = T::from_f64(x[j].into()) * inverse[j] + offset[j];
                }
            }
        }
        if self.factor != 1.0 {
            let factor = T::from_f64(self.factor);
            for out in out {
                *out = *out * factor;
            }
        }
    }
}

impl<T: Real> Rows for DenseRows<'_, T> {
    fn turn(&mut self, done: &Changes, next: Load<'_>, scores: Option<&mut [f64]>) -> Result<(), SolveError> {
        let source = self.source;
        let values: Vec<T> = done.values.iter().map(|&v| T::from_f64(v)).collect();
        let wanted = scores.is_some();
        if let [part] = &mut self.parts[..] {
            part.turn(source, done, &values, next, wanted);
        } else {
            self.parts.par_iter_mut().for_each(|part| part.turn(source, done, &values, next, wanted));
        }
        if let Some(scores) = scores {
            scores.fill(0.0);
            for part in &self.parts {
                scores.iter_mut().zip(&part.scores).for_each(|(sum, &s)| *sum += s.to_f64());
            }
        }
        Ok(())
    }

    fn gram(&mut self, load: Load<'_>) -> Result<Gram<'_>, SolveError> {
        let n = load.rows.len();
        let whole = self.keep && n == load.size;
        let known = self.keep && !self.grams[load.block].is_empty();
        if known {
            return Ok(Gram { values: &self.grams[load.block], stride: load.size, whole: true });
        }
        let products = |part: &mut Part<T>| {
            part.gram.resize(n * n, T::default());
            part.rows.gram(n, &mut part.gram);
        };
        if let [part] = &mut self.parts[..] {
            products(part);
        } else {
            self.parts.par_iter_mut().for_each(products);
        }
        self.scratch.clear();
        self.scratch.resize(n * n, 0.0);
        for part in &self.parts {
            #[allow(clippy::cast_possible_truncation)]
            self.scratch.iter_mut().zip(&part.gram).for_each(|(sum, &p)| *sum += p.to_f64() as f32);
        }
        if whole {
            self.grams[load.block] = self.scratch.clone();
        }
        Ok(Gram { values: &self.scratch, stride: n, whole })
    }

    fn clear(&mut self) {
        self.parts.iter_mut().for_each(|part| part.weights.clear());
    }

    fn square_of_weights(&self) -> Result<f64, SolveError> {
        Ok(self.parts.iter().map(|part| part.weights.square()).sum())
    }

    fn weights(&self) -> Result<Vec<f64>, SolveError> {
        Ok(self.parts.iter().flat_map(|part| part.weights.to_rows()).map(Real::to_f64).collect())
    }
}
