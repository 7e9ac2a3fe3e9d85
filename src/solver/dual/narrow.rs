//! Narrow dense rows on the processor: the weights of all classes stay in its first-level cache, so that rows come one by one and
//! nothing is gained by blocks.

#![allow(clippy::needless_range_loop)]

use super::dense::{Load, Preprocess};
use super::state::State;
use super::sweep::{Changes, Rows};
use crate::kernel::{FeatureWeights, Real, Work, vectorized};
use crate::loss::dual::{LANES, Scratch};
use crate::solver::{Problem, SolveError};
use pulp::{Simd, WithSimd};
use std::hint::black_box;

/// Rows that are loaded at once to be measured.
const BLOCK: usize = 32;
/// Bytes of weights up to which rows come one by one: 64 features of ten classes are faster so, 784 are not.
const LARGEST: usize = 8 << 10;

/// Whether the weights of a problem are few enough.
pub(super) fn suits<T: Real>(problem: &Problem<'_>) -> bool {
    let line = FeatureWeights::<T>::zeros(1, problem.n_classes).width();
    problem.source.features.n_features().saturating_mul(line * size_of::<T>()) <= LARGEST
}

pub(super) struct NarrowRows<'a, T> {
    preprocess: Preprocess<'a, T>,
    weights: FeatureWeights<T>,
    /// 0, 1, 2, ..: every feature.
    features: Vec<u32>,
    /// The loaded rows, `[BLOCK, n_features]`.
    rows: Vec<T>,
    /// A row's scores or change, with the padding of the weights.
    line: Vec<T>,
    n_classes: usize,
}

impl<'a, T: Real> NarrowRows<'a, T> {
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
    rows: &'w mut NarrowRows<'a, T>,
    done: &'w Changes,
    next: &'w [u32],
    scores: Option<&'w mut [f64]>,
}

impl<T: Real> Work for Turn<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let NarrowRows { preprocess, weights, features, rows, line, n_classes, .. } = self.rows;
        let (d, k) = (features.len(), *n_classes);
        for (&p, change) in self.done.positions.iter().zip(self.done.values.chunks_exact(k)) {
            for j in 0..k {
                line[j] = T::from_f64(change[j]);
            }
            line[k..].fill(T::default());
            weights.add(features, &rows[p * d..(p + 1) * d], line);
        }
        for (&row, out) in self.next.iter().zip(rows.chunks_exact_mut(d)) {
            Load { from: preprocess, row, out }.run();
        }
        for (scores, x) in self.scores.into_iter().flat_map(|s| s.chunks_exact_mut(k)).zip(rows.chunks_exact(d)) {
            weights.scores(features, x, line);
            for j in 0..k {
                scores[j] = line[j].to_f64();
            }
        }
    }
}

/// Rows one after another: score, solve, add.
struct Walk<'w, 'a, 's, T> {
    rows: &'w mut NarrowRows<'a, T>,
    order: &'w [usize],
    state: &'w mut State<'s>,
    /// What is added to the scores, and room for them.
    shift: &'w mut [f64],
    scores: &'w mut [f64],
    scratch: &'w mut Scratch,
}

impl<T: Real> WithSimd for Walk<'_, '_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, order, state, shift, scores, scratch } = self;
        let NarrowRows { preprocess, weights, features, rows, line, .. } = rows;
        let (d, k, stride) = (features.len(), state.n_classes, state.stride);
        let (mut row, rest) = rows.split_at_mut(d);
        let (mut following, constant) = (&mut rest[..d], state.bias_scale * state.bias_scale);
        let Some(first) = order.first() else { return };
        Load { from: preprocess, row: state.rows[*first], out: &mut *row }.run();
        for (visit, &i) in order.iter().enumerate() {
            // What the next visit needs is asked for now: it is on its way while this one computes.
            if let Some(&next) = order.get(visit + 1) {
                Load { from: preprocess, row: state.rows[next], out: &mut *following }.run();
                for line in 0..stride / LANES {
                    black_box(state.a[next * stride + line * LANES]);
                }
                black_box(state.samples[next].cost);
            }
            let sample = &mut state.samples[i];
            if sample.square == 0.0 {
                sample.square = constant + row.iter().map(|v| v.to_f64() * v.to_f64()).sum::<f64>();
            }
            let sample = *sample;
            weights.scores(features, row, line);
            let scores = &mut scores[..stride];
            for j in 0..stride {
                scores[j] = line[j].to_f64() + shift[j];
            }
            let a = &mut state.a[i * stride..(i + 1) * stride];
            let visit = state.loss.dual_visit(simd, sample, scores, a, state.tolerance, scratch);
            state.note(i, visit.loss, visit.gap);
            if visit.changed {
                let change = &scratch.change()[..stride];
                for j in 0..stride {
                    line[j] = T::from_f64(change[j]);
                    shift[j] += constant * change[j];
                }
                weights.add(features, row, line);
                for j in 0..k {
                    state.constant[j] += state.bias_scale * change[j];
                }
            }
            std::mem::swap(&mut row, &mut following);
        }
    }
}

impl<T: Real> Rows for NarrowRows<'_, T> {
    fn turn(&mut self, done: &Changes, next: &[u32], scores: Option<&mut [f64]>) -> Result<(), SolveError> {
        vectorized(Turn { rows: self, done, next, scores });
        Ok(())
    }

    fn ascend(&mut self, order: &[usize], state: &mut State<'_>, scratch: &mut Scratch) -> Result<(), SolveError> {
        let (mut shift, mut scores) = (Vec::new(), vec![0.0; state.stride]);
        state.shift(&mut shift);
        pulp::Arch::new().dispatch(Walk { rows: self, order, state, shift: &mut shift, scores: &mut scores, scratch });
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

    fn hold(&mut self, values: &[f64]) -> Result<(), SolveError> {
        values.chunks_exact(self.n_classes).enumerate().for_each(|(j, row)| self.weights.set_feature(j, row));
        Ok(())
    }

    fn held_len(&self) -> usize {
        self.features.len() * self.n_classes
    }
}
