//! Dense rows on the processor: bytes or floats in place, cast block by block (those in double precision once they are preprocessed), multiplied by the kernels of this crate.
//!
//! Threads share the features: each holds its part of W and of the rows, so that one meeting a block is enough. While the caller solves
//! a block, the others load the next and compute its Gram matrix, which waits for no weights; for that the caller has fewer
//! features than they.

#![allow(clippy::needless_range_loop)]

use super::state::StateView;
use super::sweep::{Blocks, Changes, RowStorage, in_blocks};
use super::team::{ThreadTeam, WorkShare};
use crate::data::Features;
use crate::data::batch::Source;
use crate::kernel::{Real, RowBlock, TiledWeights, Work, prefetch_all, vectorized};
use crate::loss::dual::Scratch;
use crate::solver::{Problem, SolveError};
use std::ops::Range;
use std::thread::Scope;

/// Rows of a block at most.
pub(super) const BLOCK: usize = 32;
/// Features below which a part is not worth a thread.
const NARROWEST: usize = 384;
/// Distance in rows at which a row is prefetched.
const AHEAD: usize = 1;
/// Cost of solving a row, in products: a constant, and a term for each class.
const SOLVE: (usize, usize) = (12_000, 200);

/// Rows of a block: the Gram matrix costs a row `rows·d` operations against the `4·d·n_classes` of its scores and its update, and
/// the corrections through it `rows·n_classes`.
fn block_size(n_features: usize, n_classes: usize) -> usize {
    n_classes.min(n_features / 2).next_multiple_of(8).clamp(8, BLOCK)
}

/// The number of threads that share the features.
pub(super) fn part_count(problem: &Problem<'_>) -> usize {
    problem.threads.min(problem.source.features.n_features() / NARROWEST).max(1)
}

/// First features of the parts, and the end of the last. The first part has fewer, as its thread also solves the blocks; but
/// enough for the others to add changes and compute scores in the time that its own take with all else.
fn borders(n_features: usize, n_classes: usize, block_size: usize, count: usize) -> Vec<usize> {
    let (anytime, in_turn) = (block_size / 2, 2 * n_classes);
    let all = anytime + in_turn;
    let even = (n_features + (SOLVE.0 + SOLVE.1 * n_classes) / all) / count;
    let in_time = n_features * all / (in_turn + (count - 1) * all);
    let others = even.min(in_time);
    let first = n_features - others * (count - 1);
    (0..=count).map(|t| if t == 0 { 0 } else { first + (t - 1) * others }).collect()
}

/// Work of a part.
enum DenseJob {
    /// Adds the changes of the rows loaded before, loads the next, and answers with their scores where they are wanted.
    Turn { done: Changes, next: Vec<u32>, scores: bool },
    /// Loads the rows of the next [`DenseJob::Advance`], and answers with their Gram matrix.
    Prepare { next: Vec<u32> },
    /// Adds the changes of the rows at hand, moves to the `n` rows that were prepared, and answers with their scores.
    Advance { done: Changes, n: usize },
    /// W = 0
    Clear,
    /// Answers with ‖W‖².
    Square,
    /// Answers with W, row-major.
    Weights,
    /// Takes over W of all features, row-major.
    Hold(Vec<f64>),
}

/// Dense rows in place, preprocessed as they are read.
pub(in crate::solver) struct Preprocess<'a, T> {
    source: Source<'a>,
    features: Range<usize>,
    /// 1/scale and −mean/scale.
    inverse: Option<Vec<T>>,
    offset: Option<Vec<T>>,
}

impl<'a, T: Real> Preprocess<'a, T> {
    pub fn new(source: Source<'a>, features: Range<usize>) -> Self {
        let scaler = source.scaler;
        let scale = scaler.scale.as_ref().map(|s| &s[features.clone()]);
        let inverse = scale.map(|s| s.iter().map(|&s| T::from_f64(1.0 / s)).collect());
        let offset = scaler.mean.as_ref().map(|m| {
            let divisor = |j: usize| scale.map_or(1.0, |s| s[j]);
            let mean = m[features.clone()].iter().enumerate();
            mean.map(|(j, &m)| T::from_f64(-m / divisor(j))).collect()
        });
        Self { source, features, inverse, offset }
    }

    /// Loads rows to the start of a block.
    pub fn load(&self, rows: &[u32], out: &mut RowBlock<T>) {
        rows.iter().take(AHEAD).for_each(|&row| self.prefetch(row));
        for (p, (out, &row)) in out.rows_mut().zip(rows).enumerate() {
            if let Some(&row) = rows.get(p + AHEAD) {
                self.prefetch(row);
            }
            vectorized(Load { from: self, row, out });
        }
    }

    /// Asks for a row that is loaded soon.
    #[inline(always)]
    pub fn prefetch(&self, row: u32) {
        match self.source.features {
            Features::U8(d) => prefetch_all(&d.row(row as usize)[self.features.clone()]),
            Features::F32(d) => prefetch_all(&d.row(row as usize)[self.features.clone()]),
            Features::F64(d) => prefetch_all(&d.row(row as usize)[self.features.clone()]),
            Features::Sparse(_) => {}
        }
    }
}

/// Writes a preprocessed row, or the part of it that a [`Preprocess`] is for, to the start of `out`.
pub(super) struct Load<'a, 'p, T> {
    pub from: &'a Preprocess<'p, T>,
    pub row: u32,
    pub out: &'a mut [T],
}

impl<T: Real> Work for Load<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Preprocess { source, features, inverse, offset } = self.from;
        let (row, out) = (self.row as usize, self.out);
        let (inverse, offset) = (inverse.as_deref(), offset.as_deref());
        let factor = source.scaler.row_factor(source.features, row);
        match source.features {
            Features::U8(d) => Write { x: &d.row(row)[features.clone()], inverse, offset, factor, out }.run(),
            Features::F32(d) => Write { x: &d.row(row)[features.clone()], inverse, offset, factor, out }.run(),
            Features::F64(d) => {
                source.scaler.each_cell(&d.row(row)[features.clone()], features.start, factor, |j, x| {
                    out[j] = T::from_f64(x);
                })
            }
            Features::Sparse(_) => unreachable!("sparse rows have a solver of their own"),
        }
    }
}

/// The features of one thread.
struct Slice<'a, T> {
    preprocess: Preprocess<'a, T>,
    weights: TiledWeights<T>,
    rows: RowBlock<T>,
    /// The rows that come after them, where another thread is at the rows.
    prepared: RowBlock<T>,
    values: Vec<T>,
    out: Vec<T>,
}

pub(super) struct DenseStorage<'a, T> {
    team: ThreadTeam<Slice<'a, T>, DenseJob>,
    /// The other parts have been given the rows of the next call.
    prepared: bool,
    block_size: usize,
    n_features: usize,
    n_classes: usize,
}

impl<'a, T: Real> DenseStorage<'a, T> {
    pub fn new<'scope>(problem: &Problem<'a>, scope: &'scope Scope<'scope, '_>) -> Self
    where
        'a: 'scope,
    {
        let source = problem.source;
        let (d, k) = (source.features.n_features(), problem.n_classes);
        let (count, block_size) = (part_count(problem), block_size(d, k));
        let borders = borders(d, k, block_size, count);
        let parts = borders.windows(2).enumerate();
        let parts = parts.map(|(t, ends)| Slice::new(source, ends[0]..ends[1], k, t > 0)).collect();
        Self { team: ThreadTeam::new(scope, parts), prepared: false, block_size, n_features: d, n_classes: k }
    }
}

impl<T: Real> DenseStorage<'_, T> {
    /// Adds the other parts' scores to those of the first.
    fn take_scores(&mut self, scores: &mut [f64]) {
        for part in self.team.collect() {
            scores.iter_mut().zip(&part).for_each(|(sum, score)| *sum += score);
        }
    }
}

impl<'a, T: Real> Slice<'a, T> {
    fn new(source: Source<'a>, features: Range<usize>, n_classes: usize, ahead: bool) -> Self {
        let width = features.len();
        Self {
            preprocess: Preprocess::new(source, features),
            weights: TiledWeights::zeros(width, n_classes),
            rows: RowBlock::new(BLOCK, width),
            prepared: RowBlock::new(if ahead { BLOCK } else { 0 }, width),
            values: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Adds the changes of the rows loaded before.
    fn add(&mut self, done: &Changes) {
        self.values.clear();
        self.values.extend(done.values.iter().map(|&v| T::from_f64(v)));
        self.weights.add(&self.rows, &done.positions, &self.values);
    }

    fn load(&mut self, next: &[u32]) {
        self.preprocess.load(next, &mut self.rows);
    }

    /// Scores and Gram matrix of the first `n` rows, one after the other.
    fn scores_and_gram(&mut self, n: usize) -> Vec<f64> {
        let k = self.weights.n_classes();
        self.answer(n * (k + n), |part, out| {
            let (scores, gram) = out.split_at_mut(n * k);
            part.weights.scores(&part.rows, n, scores, k);
            part.rows.gram(n, gram);
        })
    }

    fn scores(&mut self, n: usize) -> Vec<f64> {
        let k = self.weights.n_classes();
        self.answer(n * k, |part, out| part.weights.scores(&part.rows, n, out, k))
    }

    /// The first `n` numbers of `out`, filled by `fill`, in double precision.
    fn answer(&mut self, n: usize, fill: impl FnOnce(&mut Self, &mut [T])) -> Vec<f64> {
        let mut out = std::mem::take(&mut self.out);
        out.resize(n, T::default());
        fill(self, &mut out);
        let answer = out.iter().map(|v| v.to_f64()).collect();
        self.out = out;
        answer
    }
}

impl<T: Real> WorkShare<DenseJob> for Slice<'_, T> {
    fn act(&mut self, job: &DenseJob) -> Vec<f64> {
        match job {
            DenseJob::Turn { done, next, scores } => {
                self.add(done);
                self.load(next);
                self.scores(if *scores { next.len() } else { 0 })
            }
            DenseJob::Prepare { next } => {
                self.preprocess.load(next, &mut self.prepared);
                self.answer(next.len() * next.len(), |part, out| part.prepared.gram(next.len(), out))
            }
            DenseJob::Advance { done, n } => {
                self.add(done);
                std::mem::swap(&mut self.rows, &mut self.prepared);
                self.scores(*n)
            }
            DenseJob::Clear => {
                self.weights.clear();
                Vec::new()
            }
            DenseJob::Square => vec![self.weights.square()],
            DenseJob::Weights => self.weights.to_rows().into_iter().map(Real::to_f64).collect(),
            DenseJob::Hold(values) => {
                let k = self.weights.n_classes();
                let own = &self.preprocess.features;
                self.weights = TiledWeights::from_rows(&values[own.start * k..own.end * k], k);
                Vec::new()
            }
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

impl<T: Real> RowStorage for DenseStorage<'_, T> {
    fn turn(&mut self, done: &Changes, next: &[u32], scores: Option<&mut [f64]>) -> Result<(), SolveError> {
        let job = DenseJob::Turn { done: done.clone(), next: next.to_vec(), scores: scores.is_some() };
        let parts = self.team.call(job);
        if let Some(scores) = scores {
            scores.fill(0.0);
            for part in &parts {
                scores.iter_mut().zip(part).for_each(|(sum, s)| *sum += s);
            }
        }
        Ok(())
    }

    fn look(&mut self, next: &[u32], after: &[u32], scores: &mut [f64]) -> Result<(), SolveError> {
        let job = |next: &[u32]| DenseJob::Turn { done: Changes::default(), next: next.to_vec(), scores: true };
        let alone = self.team.len() == 1;
        if !(alone || self.prepared) {
            self.team.post(job(next));
        }
        self.prepared = !(alone || after.is_empty());
        if self.prepared {
            self.team.post(job(after));
        }
        let own = self.team.own();
        own.load(next);
        scores.copy_from_slice(&own.scores(next.len()));
        if !alone {
            self.take_scores(scores);
        }
        Ok(())
    }

    fn ascend(
        &mut self,
        order: &[usize],
        count: usize,
        state: &mut StateView<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), SolveError> {
        in_blocks(self, &order[..count], state, scratch)
    }

    fn block_size(&self) -> usize {
        self.block_size
    }

    fn clear(&mut self) {
        self.team.call(DenseJob::Clear);
    }

    fn square_of_weights(&mut self) -> Result<f64, SolveError> {
        Ok(self.team.call(DenseJob::Square).iter().flatten().sum())
    }

    fn weights(&mut self) -> Result<Vec<f64>, SolveError> {
        Ok(self.team.call(DenseJob::Weights).concat())
    }

    fn hold(&mut self, values: &[f64]) -> Result<(), SolveError> {
        self.team.call(DenseJob::Hold(values.to_vec()));
        Ok(())
    }

    fn held_len(&self) -> usize {
        self.n_features * self.n_classes
    }
}

impl<T: Real> Blocks for DenseStorage<'_, T> {
    #[allow(clippy::cast_possible_truncation)]
    fn begin(
        &mut self,
        done: &Changes,
        next: &[u32],
        after: &[u32],
        scores: &mut [f64],
        gram: &mut [f32],
    ) -> Result<(), SolveError> {
        let (n, count) = (next.len(), scores.len());
        if self.team.len() > 1 {
            if !self.prepared {
                self.team.post(DenseJob::Prepare { next: next.to_vec() });
            }
            self.team.post(DenseJob::Advance { done: done.clone(), n });
            self.prepared = !after.is_empty();
            if self.prepared {
                self.team.post(DenseJob::Prepare { next: after.to_vec() });
            }
        }
        let own = self.team.own();
        own.add(done);
        own.load(next);
        let own = own.scores_and_gram(n);
        scores.copy_from_slice(&own[..count]);
        for (product, own) in gram.iter_mut().zip(&own[count..]) {
            *product = *own as f32;
        }
        if self.team.len() > 1 {
            for part in self.team.collect() {
                gram.iter_mut().zip(&part).for_each(|(sum, product)| *sum = (f64::from(*sum) + product) as f32);
            }
            self.take_scores(scores);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_all_features_and_the_first_has_no_more_than_the_others() {
        for d in [768, 3072, 12_288] {
            for k in [2, 10, 1000] {
                for count in 1..=d / NARROWEST {
                    let borders = borders(d, k, block_size(d, k), count);
                    assert_eq!((borders.len(), borders[0], borders[count]), (count + 1, 0, d));
                    let widths: Vec<usize> = borders.windows(2).map(|ends| ends[1] - ends[0]).collect();
                    assert!(
                        widths[0] > 0 && widths.iter().all(|w| *w + count > widths[0]),
                        "{d} {k} {count}: {widths:?}"
                    );
                    assert!(widths[1..].iter().all(|w| *w == widths[1]), "{d} {k} {count}: {widths:?}");
                }
            }
        }
    }
}
