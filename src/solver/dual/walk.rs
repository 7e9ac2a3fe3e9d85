//! Rows that are taken one at a time: each is scored, solved, and added before the next is looked at.

#![allow(clippy::needless_range_loop)]

use super::state::State;
use crate::loss::dual::{LANES, Scratch};
use pulp::{Simd, WithSimd};
use std::hint::black_box;

/// Visits whose rows are brought near together: the time that memory takes to answer passes once for all of them.
pub(super) const GROUP: usize = 4;

/// What a walk asks of rows and weights.
pub(super) trait Singles {
    /// Brings near the rows of the next visits, at most [`GROUP`].
    fn fetch(&mut self, rows: &[u32]);

    /// The rows fetched last are at hand from now on, by their place among them.
    fn advance(&mut self);

    /// ‖x‖² of a row at hand.
    fn square(&self, place: usize) -> f64;

    /// Writes the scores of a row at hand, `[n_classes]` with any finite padding: no write of a single number, for which the
    /// vectors that are read next would have to wait.
    fn scores<S: Simd>(&mut self, simd: S, place: usize, out: &mut [f64]);

    /// `W += x·changeᵀ` for a row at hand; `change` is `[n_classes]`, padded with zeros.
    fn add<S: Simd>(&mut self, simd: S, place: usize, change: &[f64]);
}

/// Takes the rows of `order` to their maximisers, each at the weights that the one before has left.
pub(super) fn walk(rows: &mut impl Singles, order: &[usize], state: &mut State<'_>, scratch: &mut Scratch) {
    let (mut shift, mut scores) = (Vec::new(), vec![f64::NEG_INFINITY; state.stride]);
    state.shift(&mut shift);
    pulp::Arch::new().dispatch(Walk { rows, order, state, shift: &mut shift, scores: &mut scores, scratch });
}

struct Walk<'w, 's, R> {
    rows: &'w mut R,
    order: &'w [usize],
    state: &'w mut State<'s>,
    /// What is added to the scores, and room for them.
    shift: &'w mut [f64],
    scores: &'w mut [f64],
    scratch: &'w mut Scratch,
}

impl<R: Singles> WithSimd for Walk<'_, '_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        self.fetch(0);
        for first in (0..self.order.len()).step_by(GROUP) {
            self.rows.advance();
            self.fetch(first + GROUP);
            let last = (first + GROUP).min(self.order.len());
            for visit in first..last {
                self.visit(simd, visit - first, self.order[visit]);
            }
        }
    }
}

impl<R: Singles> Walk<'_, '_, R> {
    /// Asks for what the visits from `first` on need, all at once: it is on its way while those before compute.
    #[inline(always)]
    fn fetch(&mut self, first: usize) {
        let Self { rows, order, state, .. } = self;
        let order = order.get(first..).unwrap_or_default();
        let order = &order[..order.len().min(GROUP)];
        let mut list = [0; GROUP];
        let mut touched = 0.0;
        for p in 0..order.len() {
            let i = order[p];
            list[p] = state.rows[i];
            let a = &state.a[i * state.stride..(i + 1) * state.stride];
            for line in (0..state.stride).step_by(LANES) {
                touched += a[line];
            }
            touched += state.samples[i].cost;
        }
        black_box(touched);
        rows.fetch(&list[..order.len()]);
    }

    /// Puts the row of place `p`, row `i` of the state, to its maximiser.
    #[inline(always)]
    fn visit<S: Simd>(&mut self, simd: S, p: usize, i: usize) {
        let Self { rows, state, shift, scores, scratch, .. } = self;
        let (k, stride) = (state.n_classes, state.stride);
        let constant = state.bias_scale * state.bias_scale;
        let sample = &mut state.samples[i];
        if sample.square == 0.0 {
            sample.square = constant + rows.square(p);
        }
        let sample = *sample;
        rows.scores(simd, p, scores);
        let (scores, shift) = (&mut scores[..stride], &mut shift[..stride]);
        for j in 0..stride {
            scores[j] += shift[j];
        }
        let a = &mut state.a[i * stride..(i + 1) * stride];
        let visit = state.loss.dual_visit(simd, sample, scores, a, state.tolerance, scratch);
        state.note(i, visit.loss, visit.gap);
        if visit.changed {
            let change = &scratch.change()[..stride];
            rows.add(simd, p, change);
            for j in 0..stride {
                shift[j] += constant * change[j];
            }
            let weights = &mut state.constant[..k];
            for j in 0..k {
                weights[j] += state.bias_scale * change[j];
            }
        }
    }
}
