//! Narrow dense rows on the processor: the weights of all classes stay in its first-level cache, so that rows come one by one and
//! nothing is gained by blocks.

#![allow(clippy::needless_range_loop)]

use super::dense::{Load, Preprocess};
use super::state::StateView;
use super::sweep::{Changes, RowStorage};
use super::walk::{Singles, walk};
use crate::kernel::{FeatureWeights, Real, Work};
use crate::loss::dual::Scratch;
use crate::solver::{Problem, SolveError};
use pulp::{Simd, WithSimd};

/// Rows that are loaded at once to be measured.
const BLOCK: usize = 32;
/// Bytes of weights up to which rows come one by one: 64 features of ten classes are faster so, 784 are not.
const LARGEST: usize = 8 << 10;

/// Whether the weights of a problem are few enough.
pub(super) fn suits<T: Real>(problem: &Problem<'_>) -> bool {
    let line = FeatureWeights::<T>::zeros(1, problem.n_classes).width();
    problem.source.features.n_features().saturating_mul(line * size_of::<T>()) <= LARGEST
}

pub(super) struct NarrowStorage<'a, T> {
    preprocess: Preprocess<'a, T>,
    weights: FeatureWeights<T>,
    /// 0, 1, 2, ..: every feature.
    features: Vec<u32>,
    /// The loaded rows, `[BLOCK, n_features]`; in a walk the row at hand is the first.
    rows: Vec<T>,
    /// A row's scores or change, with the padding of the weights.
    line: Vec<T>,
    n_classes: usize,
}

impl<'a, T: Real> NarrowStorage<'a, T> {
    #[allow(clippy::cast_possible_truncation)]
    pub fn new(problem: &Problem<'a>) -> Self {
        let (d, k) = (problem.source.features.n_features(), problem.n_classes);
        let weights = FeatureWeights::zeros(d, k);
        Self {
            preprocess: Preprocess::new(problem.source, 0..d),
            features: (0..d as u32).collect(),
            rows: vec![T::default(); BLOCK * d],
            line: vec![T::default(); weights.width()],
            n_classes: k,
            weights,
        }
    }
}

/// Adds changes of loaded rows, loads the next, and scores them where asked for.
struct Turn<'w, 'a, T> {
    rows: &'w mut NarrowStorage<'a, T>,
    done: &'w Changes,
    next: &'w [u32],
    scores: Option<&'w mut [f64]>,
}

impl<T: Real> WithSimd for Turn<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let NarrowStorage { preprocess, weights, features, rows, line, n_classes, .. } = self.rows;
        let (d, k) = (features.len(), *n_classes);
        for (&p, change) in self.done.positions.iter().zip(self.done.values.chunks_exact(k)) {
            for j in 0..k {
                line[j] = T::from_f64(change[j]);
            }
            line[k..].fill(T::default());
            weights.add(simd, features, &rows[p * d..(p + 1) * d], line);
        }
        for (&row, out) in self.next.iter().zip(rows.chunks_exact_mut(d)) {
            Load { from: preprocess, row, out }.run();
        }
        for (scores, x) in self.scores.into_iter().flat_map(|s| s.chunks_exact_mut(k)).zip(rows.chunks_exact(d)) {
            weights.scores(simd, features, x, line);
            for j in 0..k {
                scores[j] = line[j].to_f64();
            }
        }
    }
}

impl<T: Real> Singles for NarrowStorage<'_, T> {
    /// A dense row needs no look-up of its place.
    #[inline(always)]
    fn announce(&self, _: u32) {}

    #[inline(always)]
    fn prefetch(&self, row: u32) {
        self.preprocess.prefetch(row);
    }

    #[inline(always)]
    fn bring(&mut self, row: u32) {
        let d = self.features.len();
        Load { from: &self.preprocess, row, out: &mut self.rows[..d] }.run();
    }

    #[inline(always)]
    fn square(&self) -> f64 {
        self.rows[..self.features.len()].iter().map(|v| v.to_f64() * v.to_f64()).sum()
    }

    #[inline(always)]
    fn scores<S: Simd>(&mut self, simd: S, out: &mut [f64]) {
        let Self { weights, features, rows, line, .. } = self;
        let (d, stride) = (features.len(), out.len());
        weights.scores(simd, features, &rows[..d], line);
        let line = &line[..stride];
        for j in 0..stride {
            out[j] = line[j].to_f64();
        }
    }

    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, change: &[f64]) {
        let Self { weights, features, rows, line, .. } = self;
        let (d, stride) = (features.len(), change.len());
        let (own, padding) = line.split_at_mut(stride);
        for j in 0..stride {
            own[j] = T::from_f64(change[j]);
        }
        padding.fill(T::default());
        weights.add(simd, features, &rows[..d], line);
    }
}

impl<T: Real> RowStorage for NarrowStorage<'_, T> {
    fn turn(&mut self, done: &Changes, next: &[u32], scores: Option<&mut [f64]>) -> Result<(), SolveError> {
        pulp::Arch::new().dispatch(Turn { rows: self, done, next, scores });
        Ok(())
    }

    fn ascend(
        &mut self,
        order: &[usize],
        count: usize,
        state: &mut StateView<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), SolveError> {
        walk(self, order, count, state, scratch);
        Ok(())
    }

    fn block_size(&self) -> usize {
        BLOCK
    }

    fn clear(&mut self) {
        self.weights.clear();
    }

    fn square_of_weights(&mut self) -> Result<f64, SolveError> {
        Ok(self.weights.square())
    }

    fn weights(&mut self) -> Result<Vec<f64>, SolveError> {
        Ok(self.weights.to_rows().into_iter().map(Real::to_f64).collect())
    }

    fn copy_held(&mut self, out: &mut [f64]) -> Result<(), SolveError> {
        for (j, out) in out[..self.held_len()].chunks_exact_mut(self.n_classes).enumerate() {
            out.iter_mut().zip(self.weights.feature(j)).for_each(|(out, w)| *out = w.to_f64());
        }
        Ok(())
    }

    fn hold(&mut self, values: &[f64]) -> Result<(), SolveError> {
        values.chunks_exact(self.n_classes).enumerate().for_each(|(j, row)| self.weights.set_feature(j, row));
        Ok(())
    }

    fn held_len(&self) -> usize {
        self.features.len() * self.n_classes
    }
}
