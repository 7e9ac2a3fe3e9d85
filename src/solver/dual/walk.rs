//! Rows that are taken one at a time: each is scored, solved, and added before the next is looked at.

#![allow(clippy::needless_range_loop)]

use super::state::StateView;
use crate::loss::dual::Scratch;
use pulp::{Simd, WithSimd};

/// Distances in visits at which a row, its place in memory, and its variables are prefetched.
const NEAR: usize = 4;
const AHEAD: usize = 8;
const FAR: usize = 12;

/// Operations of a walk on rows and weights.
pub(super) trait Singles {
    /// Prefetches the place of a row in memory.
    fn announce(&self, row: u32);

    /// Asks for a row that is visited soon.
    fn prefetch(&self, row: u32);

    /// Makes a row the one at hand.
    fn bring(&mut self, row: u32);

    /// ‖x‖² of the row at hand.
    fn square(&self) -> f64;

    /// Writes the scores of the row at hand, `[n_classes]` with any finite padding: no write of a single number, for which the
    /// vectors that are read next would have to wait.
    fn scores<S: Simd>(&mut self, simd: S, out: &mut [f64]);

    /// `W += x·changeᵀ` for the row at hand; `change` is `[n_classes]`, padded with zeros.
    fn add<S: Simd>(&mut self, simd: S, change: &[f64]);
}

/// Takes the first `count` rows of `order` to their maximisers, each at the weights that the one before has left.
pub(super) fn walk(
    rows: &mut impl Singles,
    order: &[usize],
    count: usize,
    state: &mut StateView<'_>,
    scratch: &mut Scratch,
) {
    let (mut shift, mut scores) = (Vec::new(), vec![f64::NEG_INFINITY; state.stride]);
    state.shift(&mut shift);
    pulp::Arch::new().dispatch(Walk { rows, order, count, state, shift: &mut shift, scores: &mut scores, scratch });
}

struct Walk<'w, 's, R> {
    rows: &'w mut R,
    order: &'w [usize],
    /// The rows of the order that are visited.
    count: usize,
    state: &'w mut StateView<'s>,
    /// Offset of the scores, and room for the scores.
    shift: &'w mut [f64],
    scores: &'w mut [f64],
    scratch: &'w mut Scratch,
}

impl<R: Singles> WithSimd for Walk<'_, '_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        for visit in 0..FAR.min(self.order.len()) {
            self.state.prefetch(self.order[visit]);
        }
        for visit in 0..self.count {
            if let Some(&i) = self.order.get(visit + FAR) {
                self.state.prefetch(i);
            }
            if let Some(&i) = self.order.get(visit + AHEAD) {
                self.rows.announce(self.state.rows[i]);
            }
            if let Some(&i) = self.order.get(visit + NEAR) {
                self.rows.prefetch(self.state.rows[i]);
            }
            self.visit(simd, self.order[visit]);
        }
    }
}

impl<R: Singles> Walk<'_, '_, R> {
    /// Puts row `i` of the state to its maximiser.
    #[inline(always)]
    fn visit<S: Simd>(&mut self, simd: S, i: usize) {
        let Self { rows, state, shift, scores, scratch, .. } = self;
        let stride = state.stride;
        let constant = state.bias_scale * state.bias_scale;
        rows.bring(state.rows[i]);
        let sample = &mut state.samples[i];
        if sample.square == 0.0 {
            sample.square = rows.square();
        }
        let square = sample.square;
        rows.scores(simd, scores);
        let (scores, shift) = (&mut scores[..stride], &mut shift[..stride]);
        for j in 0..stride {
            scores[j] += shift[j];
        }
        if state.visit(simd, i, square, scores, scratch) {
            let change = &scratch.change()[..stride];
            rows.add(simd, change);
            for j in 0..stride {
                shift[j] += constant * change[j];
            }
        }
    }
}
