//! Passes over the rows: an epoch of block steps, a measurement, and W(a) rebuilt.
//!
//! An epoch takes the rows that are due in random order. Narrow rows (`narrow`) and sparse ones on one thread come one by one
//! (`walk`), others a block at a time. The scores of a block are computed in one go; while its rows are solved one after another, a
//! change of one reaches the scores of the others through the Gram matrix `K = X_B·X_Bᵀ`, and W gets the changes of the whole block
//! in one go, together with the scores of the next block. These are the steps of plain coordinate ascent in the same order, at the
//! price of matrix products. The blocks are new ones every epoch: with blocks that stay, whose Gram matrices could be kept, the rows
//! of a block always follow each other, and twice to three times as many epochs are needed.

// Index loops over slices of one length, which the compiler turns into vectors.
#![allow(clippy::needless_range_loop)]

use super::state::{Bounds, DualState, StateView, widen};
use crate::loss::dual::Scratch;
use crate::solver::SolveError;
use pulp::{Simd, WithSimd};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// β's changes of rows of the block that was loaded last.
#[derive(Debug, Clone, Default)]
pub(in crate::solver) struct Changes {
    /// Positions in the list of loaded rows.
    pub positions: Vec<usize>,
    /// `[positions, n_classes]`.
    pub values: Vec<f64>,
}

impl Changes {
    pub fn clear(&mut self) {
        self.positions.clear();
        self.values.clear();
    }
}

/// Representation of the rows, with the products that a sweep needs.
pub(in crate::solver) trait RowStorage: Send {
    /// Adds `Σ x βᵀ` of the changes of the rows loaded before to W, then loads the next rows, and writes their scores where asked
    /// for, `[rows, n_classes]`.
    fn turn(&mut self, done: &Changes, next: &[u32], scores: Option<&mut [f64]>) -> Result<(), SolveError>;

    /// Loads rows and writes their scores, with no changes pending; the rows `after` them are the `next` of the next call, unless
    /// there are none, and may be seen to meanwhile.
    fn look(&mut self, next: &[u32], after: &[u32], scores: &mut [f64]) -> Result<(), SolveError> {
        let _ = after;
        self.turn(&Changes::default(), next, Some(scores))
    }

    /// Takes the first `count` rows of an order to their maximisers one after another, each at the weights that the one before has
    /// left.
    fn ascend(
        &mut self,
        order: &[usize],
        count: usize,
        state: &mut StateView<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), SolveError>;

    /// Takes the rows that are due to their maximisers in random order.
    fn sweep(
        &mut self,
        mut due: Vec<usize>,
        state: &mut DualState<'_>,
        scratch: &mut Scratch,
        rng: &mut ChaCha8Rng,
    ) -> Result<(), SolveError> {
        due.shuffle(rng);
        self.ascend(&due, due.len(), &mut state.view(), scratch)
    }

    /// See [`measure`].
    fn measure(&mut self, state: &mut DualState<'_>, scratch: &mut Scratch, own: bool) -> Result<Bounds, SolveError> {
        measure_rows(self, &mut state.view(), scratch, own)
    }

    /// See [`rebuild`].
    fn rebuild(&mut self, state: &mut DualState<'_>) -> Result<(), SolveError> {
        rebuild_rows(self, &mut state.view())
    }

    /// Number of rows that are loaded at once.
    fn block_size(&self) -> usize;

    /// W = 0, with no changes pending.
    fn clear(&mut self);

    /// `‖W‖²`
    fn square_of_weights(&mut self) -> Result<f64, SolveError>;

    /// W `[n_features, n_classes]` for preprocessed features.
    fn weights(&mut self) -> Result<Vec<f64>, SolveError>;

    /// The representation of W, to the last bit; W itself in the simplest case.
    fn held(&mut self) -> Result<Vec<f64>, SolveError> {
        self.weights()
    }

    /// Writes [`RowStorage::held`] to the start of `out`.
    fn copy_held(&mut self, out: &mut [f64]) -> Result<(), SolveError> {
        let held = self.held()?;
        out[..held.len()].copy_from_slice(&held);
        Ok(())
    }

    /// Restores the result of [`RowStorage::held`], with no changes pending. The length is checked by [`hold`].
    fn hold(&mut self, values: &[f64]) -> Result<(), SolveError>;

    /// Puts W `[n_features, n_classes]` for preprocessed features, with no changes pending.
    fn set_weights(&mut self, weights: &[f64]) -> Result<(), SolveError> {
        self.hold(weights)
    }

    /// Whether rows that follow each other belong to one thread.
    fn is_shared_out(&self) -> bool {
        false
    }

    /// Length of the result of [`RowStorage::held`].
    fn held_len(&self) -> usize;
}

/// Takes back what [`RowStorage::held`] gave.
pub(in crate::solver) fn hold(rows: &mut dyn RowStorage, values: &[f64]) -> Result<(), SolveError> {
    let expected = rows.held_len();
    if values.len() != expected {
        return Err(SolveError::Snapshot(format!("the weights are {} numbers, expected {expected}", values.len())));
    }
    rows.hold(values)
}

/// Rows whose weights are changed a block at a time.
pub(in crate::solver) trait Blocks: RowStorage {
    /// [`RowStorage::turn`] with scores, and the Gram matrix of the rows that it loads, `[rows, rows]`. What can be done for the rows
    /// `after` them, which are the `next` of the next call unless there are none, may be done meanwhile.
    fn begin(
        &mut self,
        done: &Changes,
        next: &[u32],
        after: &[u32],
        scores: &mut [f64],
        gram: &mut [f32],
    ) -> Result<(), SolveError>;
}

/// One pass over the rows that are due in random order, every one to its maximiser. Returns the number of rows visited.
pub(in crate::solver) fn epoch(
    rows: &mut dyn RowStorage,
    state: &mut DualState<'_>,
    scratch: &mut Scratch,
    rng: &mut ChaCha8Rng,
) -> Result<usize, SolveError> {
    let due = state.due();
    let visited = due.len();
    rows.sweep(due, state, scratch, rng)?;
    state.epoch += 1;
    Ok(visited)
}

/// [`RowStorage::ascend`] in blocks.
pub(in crate::solver) fn in_blocks(
    rows: &mut impl Blocks,
    order: &[usize],
    state: &mut StateView<'_>,
    scratch: &mut Scratch,
) -> Result<(), SolveError> {
    let k = state.n_classes;
    let (mut scores, mut gram, mut changes) = (Vec::new(), Vec::new(), Changes::default());
    let (mut wide, mut shift) = (Vec::new(), Vec::new());
    let size = rows.block_size();
    let load: Vec<u32> = order.iter().map(|&i| state.rows[i]).collect();
    let mut coming = load.chunks(size);
    for block in order.chunks(size) {
        let next = coming.next().unwrap_or_default();
        let after = coming.clone().next().unwrap_or_default();
        scores.resize(block.len() * k, 0.0);
        gram.resize(block.len() * block.len(), 0.0);
        rows.begin(&changes, next, after, &mut scores, &mut gram)?;
        changes.clear();
        wide.resize(block.len() * state.stride, 0.0);
        state.shift(&mut shift);
        let (gram, scores, wide, shift, changes) = (&gram, &scores, &mut wide, &shift, &mut changes);
        pulp::Arch::new().dispatch(SolveBlock { state, block, gram, scores, wide, shift, changes, scratch });
    }
    rows.turn(&changes, &[], None)
}

/// Solves the rows of a block one after another. `wide` follows every change, `changes` collects those of β.
struct SolveBlock<'a, 's> {
    state: &'a mut StateView<'s>,
    block: &'a [usize],
    gram: &'a [f32],
    scores: &'a [f64],
    /// Scores with their padding.
    wide: &'a mut [f64],
    shift: &'a [f64],
    changes: &'a mut Changes,
    scratch: &'a mut Scratch,
}

impl WithSimd for SolveBlock<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { state, block, gram, scores, wide, shift, changes, scratch } = self;
        let (k, stride, n) = (state.n_classes, state.stride, block.len());
        let square = state.bias_scale * state.bias_scale;
        widen(scores, k, shift, wide);
        for p in 0..n {
            let i = block[p];
            let products = &gram[p * n..][..n];
            if !state.visit(simd, i, f64::from(products[p]), &wide[p * stride..(p + 1) * stride], scratch) {
                continue;
            }
            let change = S::as_simd_f64s(&scratch.change()[..stride]).0;
            changes.positions.push(p);
            changes.values.extend_from_slice(&scratch.change()[..k]);
            for later in p + 1..n {
                let product = simd.splat_f64s(f64::from(products[later]) + square);
                let scores = &mut S::as_mut_simd_f64s(&mut wide[later * stride..][..stride]).0[..change.len()];
                for v in 0..change.len() {
                    scores[v] = simd.mul_add_e_f64s(product, change[v], scores[v]);
                }
            }
        }
    }
}

/// Measures the rows of a block at their scores.
struct Measure<'a, 's> {
    state: &'a mut StateView<'s>,
    first: usize,
    scores: &'a [f64],
    wide: &'a mut [f64],
    shift: &'a [f64],
    scratch: &'a mut Scratch,
    own: bool,
}

impl WithSimd for Measure<'_, '_> {
    type Output = Bounds;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Bounds {
        let Self { state, first, scores, wide, shift, scratch, own } = self;
        widen(scores, state.n_classes, shift, wide);
        let mut sum = Bounds { primal: 0.0, gap: 0.0 };
        for (p, scores) in wide.chunks_exact(shift.len()).enumerate() {
            let row = state.measure(simd, first + p, scores, scratch, own);
            sum.primal += row.primal;
            sum.gap += row.gap;
        }
        sum
    }
}

/// Rows that are measured, or put back together, at once.
fn chunks(rows: &(impl RowStorage + ?Sized), state: &StateView<'_>) -> Vec<std::ops::Range<usize>> {
    let (n, size) = (state.rows.len(), rows.block_size());
    (0..n).step_by(size).map(|start| start..(start + size).min(n)).collect()
}

/// Every row's loss and share of the gap at the weights as they are, W(a) where they are its `own`; the primal without its
/// regulariser.
pub(in crate::solver) fn measure(
    rows: &mut dyn RowStorage,
    state: &mut DualState<'_>,
    scratch: &mut Scratch,
    own: bool,
) -> Result<Bounds, SolveError> {
    rows.measure(state, scratch, own)
}

/// [`measure`] of some rows.
pub(super) fn measure_rows(
    rows: &mut (impl RowStorage + ?Sized),
    state: &mut StateView<'_>,
    scratch: &mut Scratch,
    own: bool,
) -> Result<Bounds, SolveError> {
    let (mut scores, mut wide, mut shift) = (Vec::new(), Vec::new(), Vec::new());
    state.shift(&mut shift);
    let mut sum = Bounds { primal: 0.0, gap: 0.0 };
    let mut chunks = chunks(rows, state).into_iter().peekable();
    while let Some(range) = chunks.next() {
        let after = chunks.peek().cloned().unwrap_or_default();
        scores.resize(range.len() * state.n_classes, 0.0);
        rows.look(&state.rows[range.clone()], &state.rows[after], &mut scores)?;
        wide.resize(range.len() * state.stride, 0.0);
        let (scores, wide, shift) = (&scores, &mut wide, &shift);
        let part = pulp::Arch::new().dispatch(Measure { state, first: range.start, scores, wide, shift, scratch, own });
        sum.primal += part.primal;
        sum.gap += part.gap;
    }
    Ok(sum)
}

/// W(a) from the dual variables alone, without the rounding errors summed up in W.
pub(in crate::solver) fn rebuild(rows: &mut dyn RowStorage, state: &mut DualState<'_>) -> Result<(), SolveError> {
    rows.rebuild(state)
}

/// [`rebuild`] of what some rows add to W.
pub(super) fn rebuild_rows(rows: &mut (impl RowStorage + ?Sized), state: &mut StateView<'_>) -> Result<(), SolveError> {
    rows.clear();
    state.constant.fill(0.0);
    let mut beta = vec![0.0; state.n_classes];
    let mut changes = Changes::default();
    for range in chunks(rows, state) {
        let (mut next, mut load) = (Changes::default(), Vec::new());
        for i in range {
            state.beta(i, &mut beta);
            if beta.iter().any(|b| *b != 0.0) {
                next.positions.push(load.len());
                next.values.extend_from_slice(&beta);
                load.push(state.rows[i]);
                state.constant.iter_mut().zip(&beta).for_each(|(w, b)| *w += state.bias_scale * b);
            }
        }
        rows.turn(&changes, &load, None)?;
        changes = next;
    }
    rows.turn(&changes, &[], None)
}
