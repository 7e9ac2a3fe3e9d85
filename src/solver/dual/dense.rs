//! Dense rows on the processor: bytes or floats in place, cast block by block, multiplied by the kernels of this crate.
//!
//! Threads share the features: each holds its part of W and of the rows, so that one meeting a block is enough.

#![allow(clippy::needless_range_loop)]

use super::state::State;
use super::sweep::{Blocks, Changes, Rows, in_blocks};
use super::team::{Part, Team};
use crate::data::Features;
use crate::data::batch::Source;
use crate::kernel::{ClassWeights, Real, RowBlock, Work, vectorized};
use crate::loss::dual::Scratch;
use crate::solver::{Problem, SolveError};
use std::ops::Range;
use std::thread::Scope;

/// Rows of a block at most.
pub(super) const BLOCK: usize = 32;
/// Features below which a part is not worth a thread.
const NARROWEST: usize = 1024;

/// Rows of a block: the Gram matrix costs a row `rows·d` operations against the `4·d·n_classes` of its scores and its update, and
/// the corrections through it `rows·n_classes`.
fn block_size(n_features: usize, n_classes: usize) -> usize {
    n_classes.min(n_features / 2).next_multiple_of(8).clamp(8, BLOCK)
}

fn part_count(problem: &Problem<'_>) -> usize {
    problem.threads.min(problem.source.features.n_features() / NARROWEST).max(1)
}

/// What the parts are asked to do.
enum Job {
    /// Adds the changes of the rows loaded before, loads the next, and answers with their scores where they are wanted.
    Turn { done: Changes, next: Vec<u32>, scores: bool },
    /// The same with scores, and answers with the Gram matrix of the rows loaded after them.
    Block { done: Changes, next: Vec<u32> },
    /// W = 0
    Clear,
    /// Answers with ‖W‖².
    Square,
    /// Answers with W, row-major.
    Weights,
    /// Takes over W of all features, row-major.
    Hold(Vec<f64>),
}

/// Dense rows where they are, and what is done to them as they are read.
pub(super) struct Preprocess<'a, T> {
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
        let inverse = scale.map(|s| s.iter().map(|&s| T::from_f64(1.0 / f64::from(s))).collect());
        let offset = scaler.mean.as_ref().map(|m| {
            let divisor = |j: usize| scale.map_or(1.0, |s| f64::from(s[j]));
            let mean = m[features.clone()].iter().enumerate();
            mean.map(|(j, &m)| T::from_f64(-f64::from(m) / divisor(j))).collect()
        });
        Self { source, features, inverse, offset }
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
            Features::Sparse(_) => unreachable!("sparse rows have a solver of their own"),
        }
    }
}

/// The features of one thread.
struct Slice<'a, T> {
    preprocess: Preprocess<'a, T>,
    weights: ClassWeights<T>,
    rows: RowBlock<T>,
    values: Vec<T>,
    out: Vec<T>,
}

pub(super) struct DenseRows<'a, T> {
    team: Team<Slice<'a, T>, Job>,
    block_size: usize,
    n_features: usize,
    n_classes: usize,
}

impl<'a, T: Real> DenseRows<'a, T> {
    pub fn new<'scope>(problem: &Problem<'a>, scope: &'scope Scope<'scope, '_>) -> Self
    where
        'a: 'scope,
    {
        let source = problem.source;
        let (d, k) = (source.features.n_features(), problem.n_classes);
        let count = part_count(problem);
        let parts = (0..count).map(|t| Slice::new(source, t * d / count..(t + 1) * d / count, k)).collect();
        let block_size = if count > 1 { BLOCK } else { block_size(d, k) };
        Self { team: Team::new(scope, parts), block_size, n_features: d, n_classes: k }
    }
}

impl<'a, T: Real> Slice<'a, T> {
    fn new(source: Source<'a>, features: Range<usize>, n_classes: usize) -> Self {
        let width = features.len();
        Self {
            preprocess: Preprocess::new(source, features),
            weights: ClassWeights::zeros(width, n_classes),
            rows: RowBlock::new(BLOCK, width),
            values: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Adds the changes of the rows loaded before, and loads the next.
    fn add_and_load(&mut self, done: &Changes, next: &[u32]) {
        self.values.clear();
        self.values.extend(done.values.iter().map(|&v| T::from_f64(v)));
        self.weights.add(&self.rows, &done.positions, &self.values);
        for (out, &row) in self.rows.rows_mut().zip(next) {
            vectorized(Load { from: &self.preprocess, row, out });
        }
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

impl<T: Real> Part<Job> for Slice<'_, T> {
    fn act(&mut self, job: &Job) -> Vec<f64> {
        match job {
            Job::Turn { done, next, scores } => {
                self.add_and_load(done, next);
                let k = self.weights.n_classes();
                let n = if *scores { next.len() } else { 0 };
                self.answer(n * k, |part, out| part.weights.scores(&part.rows, n, out, k))
            }
            Job::Block { done, next } => {
                self.add_and_load(done, next);
                let (n, k) = (next.len(), self.weights.n_classes());
                self.answer(n * (k + n), |part, out| {
                    let (scores, gram) = out.split_at_mut(n * k);
                    part.weights.scores(&part.rows, n, scores, k);
                    part.rows.gram(n, gram);
                })
            }
            Job::Clear => {
                self.weights.clear();
                Vec::new()
            }
            Job::Square => vec![self.weights.square()],
            Job::Weights => self.weights.to_rows().into_iter().map(Real::to_f64).collect(),
            Job::Hold(values) => {
                let k = self.weights.n_classes();
                let own = &self.preprocess.features;
                self.weights = ClassWeights::from_rows(&values[own.start * k..own.end * k], k);
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

impl<T: Real> Rows for DenseRows<'_, T> {
    fn turn(&mut self, done: &Changes, next: &[u32], scores: Option<&mut [f64]>) -> Result<(), SolveError> {
        let job = Job::Turn { done: done.clone(), next: next.to_vec(), scores: scores.is_some() };
        let parts = self.team.call(job);
        if let Some(scores) = scores {
            scores.fill(0.0);
            for part in &parts {
                scores.iter_mut().zip(part).for_each(|(sum, s)| *sum += s);
            }
        }
        Ok(())
    }

    fn ascend(&mut self, order: &[usize], state: &mut State<'_>, scratch: &mut Scratch) -> Result<(), SolveError> {
        in_blocks(self, order, state, scratch)
    }

    fn block_size(&self) -> usize {
        self.block_size
    }

    fn clear(&mut self) {
        self.team.call(Job::Clear);
    }

    fn square_of_weights(&mut self) -> Result<f64, SolveError> {
        Ok(self.team.call(Job::Square).iter().flatten().sum())
    }

    fn weights(&mut self) -> Result<Vec<f64>, SolveError> {
        Ok(self.team.call(Job::Weights).concat())
    }

    fn hold(&mut self, values: &[f64]) -> Result<(), SolveError> {
        self.team.call(Job::Hold(values.to_vec()));
        Ok(())
    }

    fn held_len(&self) -> usize {
        self.n_features * self.n_classes
    }
}

impl<T: Real> Blocks for DenseRows<'_, T> {
    #[allow(clippy::cast_possible_truncation)]
    fn begin(&mut self, done: &Changes, next: &[u32], scores: &mut [f64], gram: &mut [f32]) -> Result<(), SolveError> {
        let parts = self.team.call(Job::Block { done: done.clone(), next: next.to_vec() });
        let count = scores.len();
        for (i, sum) in scores.iter_mut().enumerate() {
            *sum = parts.iter().map(|part| part[i]).sum();
        }
        for (i, sum) in gram.iter_mut().enumerate() {
            *sum = parts.iter().map(|part| part[count + i]).sum::<f64>() as f32;
        }
        Ok(())
    }
}
