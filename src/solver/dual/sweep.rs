//! Passes over the rows: an epoch of block steps, a measurement, and W(a) rebuilt.
//!
//! Rows come in blocks. The scores of the rows of a block that are due are computed in one go; while they are solved one after
//! another, a change of one reaches the scores of the others through the Gram matrix `K = X_B·X_Bᵀ`, and W gets the changes of
//! the whole block in one go, together with the scores of the next block. These are the steps of plain coordinate ascent in the
//! same order, at the price of matrix products.

// Index loops over slices of one length: what the compiler turns into vectors.
#![allow(clippy::needless_range_loop)]

use super::state::{Bounds, State};
use crate::kernel::{self, Work};
use crate::loss::dual::{Sample, Scratch};
use crate::solver::SolveError;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// β's changes of rows of the block that was loaded last.
#[derive(Debug, Default)]
pub(super) struct Changes {
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

/// Products among the rows of a block.
pub(super) struct Gram<'a> {
    pub values: &'a [f32],
    pub stride: usize,
    /// Whether rows and columns are those of the whole block, or of the loaded rows only.
    pub whole: bool,
}

/// Rows to load.
#[derive(Clone, Copy)]
pub(super) struct Load<'a> {
    pub block: usize,
    /// Indices into the data set.
    pub rows: &'a [u32],
    /// Rows that the block has in all.
    pub size: usize,
}

/// How rows are held and multiplied.
pub(super) trait Rows {
    /// Adds `Σ x βᵀ` of the changes of the rows loaded before to W, then loads the next rows, and writes their scores where asked
    /// for, `[rows, n_classes]`.
    fn turn(&mut self, done: &Changes, next: Load<'_>, scores: Option<&mut [f64]>) -> Result<(), SolveError>;

    /// The Gram matrix of the block loaded last.
    fn gram(&mut self, load: Load<'_>) -> Result<Gram<'_>, SolveError>;

    /// W = 0, with no changes pending.
    fn clear(&mut self);

    /// `‖W‖²`
    fn square_of_weights(&self) -> Result<f64, SolveError>;

    /// W `[n_features, n_classes]` for preprocessed features.
    fn weights(&self) -> Result<Vec<f64>, SolveError>;
}

const NOTHING: Load<'_> = Load { block: 0, rows: &[], size: 0 };

/// Space that every block uses anew.
#[derive(Default)]
struct Space {
    awake: Vec<usize>,
    rows: Vec<u32>,
    scores: Vec<f64>,
    order: Vec<usize>,
}

impl Space {
    /// Loads the rows at the positions in `awake`.
    fn load(&mut self, state: &State<'_>, block: usize) {
        let range = state.block(block);
        self.rows.clear();
        self.rows.extend(self.awake.iter().map(|&i| state.rows[range.start + i]));
        self.scores.resize(self.rows.len() * state.n_classes, 0.0);
    }
}

/// One pass over the rows that are due in random order, every block to its maximiser. Returns the number of rows visited.
pub(super) fn epoch(
    rows: &mut dyn Rows,
    state: &mut State<'_>,
    scratch: &mut Scratch,
    rng: &mut ChaCha8Rng,
) -> Result<usize, SolveError> {
    let mut blocks: Vec<usize> = (0..state.n_blocks()).collect();
    blocks.shuffle(rng);
    let (mut space, mut changes, mut visited) = (Space::default(), Changes::default(), 0);
    for block in blocks {
        state.awake(block, &mut space.awake);
        if space.awake.is_empty() {
            continue;
        }
        visited += space.awake.len();
        space.load(state, block);
        let load = Load { block, rows: &space.rows, size: state.block(block).len() };
        rows.turn(&changes, load, Some(&mut space.scores))?;
        let gram = rows.gram(load)?;
        space.order.clear();
        space.order.extend(0..space.awake.len());
        space.order.shuffle(rng);
        changes.clear();
        let first = state.block(block).start;
        let (awake, order, scores) = (&space.awake, &space.order, &mut space.scores);
        kernel::vectorized(SolveBlock { state, first, awake, order, gram, scores, changes: &mut changes, scratch });
    }
    rows.turn(&changes, NOTHING, None)?;
    state.epoch += 1;
    Ok(visited)
}

/// Solves the loaded rows of a block in the given order. `scores` follow every change, `changes` collects those of β.
struct SolveBlock<'a, 's> {
    state: &'a mut State<'s>,
    first: usize,
    awake: &'a [usize],
    order: &'a [usize],
    gram: Gram<'a>,
    scores: &'a mut [f64],
    changes: &'a mut Changes,
    scratch: &'a mut Scratch,
}

impl Work for SolveBlock<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { state, first, awake, order, gram, scores, changes, scratch } = self;
        let k = state.n_classes;
        let square = state.bias_scale * state.bias_scale;
        state.add_shift(scores);
        for done in 0..order.len() {
            let p = order[done];
            let i = first + awake[p];
            let place = if gram.whole { awake[p] } else { p };
            let products = &gram.values[place * gram.stride..][..gram.stride];
            let q = f64::from(products[place]) + square;
            let visit = state.loss.dual_visit(
                Sample { square: q, ..state.samples[i] },
                &scores[p * k..(p + 1) * k],
                &mut state.a[i * k..(i + 1) * k],
                state.tolerance,
                scratch,
            );
            state.note(i, visit.loss, visit.gap);
            if !visit.changed {
                continue;
            }
            let change = &scratch.change()[..k];
            changes.positions.push(p);
            changes.values.extend_from_slice(change);
            for next in done + 1..order.len() {
                let later = order[next];
                let product = f64::from(products[if gram.whole { awake[later] } else { later }]) + square;
                let scores = &mut scores[later * k..][..k];
                for j in 0..k {
                    scores[j] += product * change[j];
                }
            }
            let constant = &mut state.constant[..k];
            for j in 0..k {
                constant[j] += state.bias_scale * change[j];
            }
        }
    }
}

/// Measures the rows of a block at their scores.
struct Measure<'a, 's> {
    state: &'a mut State<'s>,
    first: usize,
    scores: &'a mut [f64],
    scratch: &'a mut Scratch,
}

impl Work for Measure<'_, '_> {
    type Output = Bounds;

    #[inline(always)]
    fn run(self) -> Bounds {
        let Self { state, first, scores, scratch } = self;
        let k = state.n_classes;
        state.add_shift(scores);
        let mut sum = Bounds { primal: 0.0, gap: 0.0 };
        for p in 0..scores.len() / k {
            let row = state.measure(first + p, &scores[p * k..(p + 1) * k], scratch);
            sum.primal += row.primal;
            sum.gap += row.gap;
        }
        sum
    }
}

/// Every row's loss and share of the gap at W as it is; the primal without its regulariser.
pub(super) fn measure(rows: &mut dyn Rows, state: &mut State<'_>, scratch: &mut Scratch) -> Result<Bounds, SolveError> {
    let mut space = Space::default();
    let (nothing, mut sum) = (Changes::default(), Bounds { primal: 0.0, gap: 0.0 });
    for block in 0..state.n_blocks() {
        let range = state.block(block);
        space.awake.clear();
        space.awake.extend(0..range.len());
        space.load(state, block);
        let load = Load { block, rows: &space.rows, size: range.len() };
        rows.turn(&nothing, load, Some(&mut space.scores))?;
        let part = kernel::vectorized(Measure { state, first: range.start, scores: &mut space.scores, scratch });
        sum.primal += part.primal;
        sum.gap += part.gap;
    }
    Ok(sum)
}

/// W(a) from the dual variables alone: what rounding has added up in W is gone.
pub(super) fn rebuild(rows: &mut dyn Rows, state: &mut State<'_>) -> Result<(), SolveError> {
    let k = state.n_classes;
    rows.clear();
    state.constant.fill(0.0);
    let (mut space, mut changes) = (Space::default(), Changes::default());
    let mut beta = vec![0.0; k];
    for block in 0..state.n_blocks() {
        let range = state.block(block);
        space.awake.clear();
        let mut next = Changes::default();
        for i in range.clone() {
            state.beta(i, &mut beta);
            if beta.iter().any(|b| *b != 0.0) {
                next.positions.push(space.awake.len());
                next.values.extend_from_slice(&beta);
                space.awake.push(i - range.start);
                state.constant.iter_mut().zip(&beta).for_each(|(w, b)| *w += state.bias_scale * b);
            }
        }
        space.load(state, block);
        rows.turn(&changes, Load { block, rows: &space.rows, size: range.len() }, None)?;
        changes = next;
    }
    rows.turn(&changes, NOTHING, None)
}
