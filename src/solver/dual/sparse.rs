//! Sparse rows, in place or copied from dense ones of few cells: the weights of all classes of a feature side by side.
//!
//! Rows keep their zeros under centring. With x̂ = x/scale and m̂ = mean/scale a preprocessed row is r·(x̂ − m̂), so that
//! `W = V − m̂ τᵀ` with V = Σ r·x̂ βᵀ and τ = Σ r·β, and the scores of a row are
//!
//! ```text
//! r·(x̂·V − p τ − g + ‖m̂‖²·τ)        p = x̂·m̂,  g = m̂·V
//! ```
//!
//! A feature that every row has a cell of and that is far from 0 is centred as its cells are read instead, so that the terms do not cancel.
//! A step touches the stored cells of its row and a few vectors of length `n_classes`. On one thread rows come one by one; several
//! threads share the classes, each with its part of W, and meet twice a block, for the scores and for the Gram matrix.

#![allow(clippy::needless_range_loop)]

use super::state::StateView;
use super::sweep::{Blocks, Changes, RowStorage, in_blocks};
use super::team::{ThreadTeam, WorkShare};
use super::walk::walk;
use crate::kernel::{FeatureWeights, Real};
use crate::loss::dual::Scratch;
use crate::solver::{Problem, SolveError};
use pulp::{Simd, WithSimd};
use std::ops::Range;
use std::sync::Arc;
use std::thread::Scope;
pub(super) use stored::{Bytes, CsrOf, CsrRows, Floats, SparseCopy, StoredCell, copy};
use stored::{LoadedRows, RowFacts};

/// Rows of a block where threads share the classes.
const BLOCK: usize = 8;
/// Rows that are measured at once on one thread, where a walk takes them one at a time.
const MEASURED: usize = 32;
/// Stored cells of a row times classes below which threads would spend their time meeting.
const WORTHWHILE: usize = 10_000;

/// Work of a part.
enum SparseJob<T> {
    /// Adds the changes of the rows loaded before, takes over the next, and answers with their scores where they are wanted.
    Turn { done: Changes, next: Arc<LoadedRows<T>>, scores: bool },
    /// Answers with every `count`-th row of the Gram matrix of the loaded rows from a part's first on, up to the diagonal.
    Gram { count: usize },
    /// W = 0
    Clear,
    /// Answers with ‖W‖².
    Square,
    /// Answers with W of the classes of a part, row-major.
    Weights,
    /// Answers with V, τ and g of the classes of a part, row-major.
    Held,
    /// Sets V, τ and g of the classes, row-major.
    Hold { values: Vec<f64>, n_classes: usize },
}

/// The classes of one thread.
struct ClassShare<'a, T, K: StoredCell> {
    shared: Arc<CsrRows<'a, K>>,
    loaded: Arc<LoadedRows<T>>,
    /// The number of this part.
    place: usize,
    classes: Range<usize>,
    weights: FeatureWeights<T>,
    /// τ and g, see above.
    tau: Vec<f64>,
    g: Vec<f64>,
    /// A row's scores or change, with the padding of the weights.
    line: Vec<T>,
    /// The row that a walk is at.
    at_hand: u32,
    /// A row with its zeros, for products among rows.
    dense: Vec<f32>,
}

pub(super) struct SparseStorage<'a, T, K: StoredCell> {
    shared: Arc<CsrRows<'a, K>>,
    n_classes: usize,
    team: ThreadTeam<ClassShare<'a, T, K>, SparseJob<T>>,
    /// The classes of each part.
    classes: Vec<Range<usize>>,
}

/// The number of threads that share the classes.
pub(super) fn part_count<K: StoredCell>(problem: &Problem<'_>, csr: &CsrOf<'_, K>) -> usize {
    let cells = csr.nnz() / csr.n_rows().max(1);
    problem.threads.min(cells * problem.n_classes / WORTHWHILE).clamp(1, problem.n_classes)
}

impl<'a, T: Real, K: StoredCell> ClassShare<'a, T, K> {
    fn new(shared: Arc<CsrRows<'a, K>>, place: usize, classes: Range<usize>) -> Self {
        let k = classes.len();
        let weights = FeatureWeights::zeros(shared.csr.n_features(), k);
        let line = vec![T::default(); weights.width()];
        let (tau, g) = (vec![0.0; k], vec![0.0; k]);
        let (loaded, dense) = (Arc::default(), Vec::new());
        Self { shared, loaded, place, classes, weights, tau, g, line, at_hand: 0, dense }
    }

    /// Every `count`-th row of the Gram matrix from this part's first on, up to the diagonal.
    fn products(&mut self, count: usize) -> Vec<f64> {
        let Self { shared, loaded, dense, .. } = self;
        let mut gram = Vec::new();
        dense.resize(shared.csr.n_features(), 0.0);
        for i in (self.place..loaded.rows.len()).step_by(count) {
            let (indices, values) = loaded.cells(shared, i);
            for (&j, x) in indices.iter().zip(values) {
                #[allow(clippy::cast_possible_truncation)]
                let narrow = x.to_f64() as f32;
                dense[j.into() as usize] = narrow;
            }
            let row = shared.facts[loaded.rows[i] as usize];
            for other in 0..i {
                let (indices, values) = loaded.cells(shared, other);
                let product: f64 =
                    indices.iter().zip(values).map(|(&j, x)| f64::from(dense[j.into() as usize]) * x.to_f64()).sum();
                let column = shared.facts[loaded.rows[other] as usize];
                let centred = product - row.product - column.product + shared.center_square;
                gram.push(row.factor * column.factor * centred);
            }
            gram.push(row.square);
            loaded.cells(shared, i).0.iter().for_each(|&j| dense[j.into() as usize] = 0.0);
        }
        gram
    }

    /// W = V − m̂ τᵀ of these classes for the preprocessed features.
    fn dense_weights(&self) -> Vec<f64> {
        let (d, k) = (self.shared.csr.n_features(), self.classes.len());
        let mut rows = Vec::with_capacity(d * k);
        for j in 0..d {
            let m = self.shared.center.as_ref().map_or(0.0, |c| c[j]);
            rows.extend(self.weights.feature(j).iter().zip(&self.tau).map(|(v, tau)| v.to_f64() - m * tau));
        }
        rows
    }
}

impl<T: Real, K: StoredCell> ClassShare<'_, T, K> {
    /// Takes V, τ and g of these classes out of those of all `n_classes`.
    fn hold(&mut self, values: &[f64], n_classes: usize) {
        let d = self.shared.csr.n_features();
        for (j, row) in values.chunks_exact(n_classes).enumerate() {
            let own = &row[self.classes.clone()];
            if j < d {
                self.weights.set_feature(j, own);
            } else if j == d {
                self.tau.copy_from_slice(own);
            } else {
                self.g.copy_from_slice(own);
            }
        }
    }
}

/// Adds `x βᵀ` of changes of loaded rows to the weights of a part's classes.
struct WeightUpdate<'w, 'a, T, K: StoredCell> {
    part: &'w mut ClassShare<'a, T, K>,
    done: &'w Changes,
    n_classes: usize,
}

impl<T: Real, K: StoredCell> WithSimd for WeightUpdate<'_, '_, T, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let ClassShare { shared, loaded, classes, weights, tau, g, line, .. } = self.part;
        let k = classes.len();
        for (done, &p) in self.done.positions.iter().enumerate() {
            let (indices, values) = loaded.cells(shared, p);
            let RowFacts { factor, product, .. } = shared.facts[loaded.rows[p] as usize];
            let change = &self.done.values[done * self.n_classes..][..self.n_classes][classes.clone()];
            for c in 0..k {
                line[c] = T::from_f64(factor * change[c]);
            }
            line[k..].fill(T::default());
            weights.add(simd, indices, values, line);
            if shared.center.is_some() {
                for c in 0..k {
                    tau[c] += factor * change[c];
                    g[c] += factor * product * change[c];
                }
            }
        }
    }
}

/// Scores of the loaded rows for a part's classes, `[rows, classes]`.
struct Score<'w, 'a, T, K: StoredCell> {
    part: &'w mut ClassShare<'a, T, K>,
    scores: &'w mut [f64],
}

impl<T: Real, K: StoredCell> WithSimd for Score<'_, '_, T, K> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let ClassShare { shared, loaded, classes, weights, tau, g, line, .. } = self.part;
        let k = classes.len();
        for p in 0..loaded.rows.len() {
            let (indices, values) = loaded.cells(shared, p);
            let RowFacts { factor, product, .. } = shared.facts[loaded.rows[p] as usize];
            weights.scores(simd, indices, values, line);
            let scores = &mut self.scores[p * k..][..k];
            for c in 0..k {
                let shift = (shared.center_square - product) * tau[c] - g[c];
                scores[c] = factor * (line[c].to_f64() + shift);
            }
        }
    }
}

impl<T: Real, K: StoredCell> WorkShare<SparseJob<T>> for ClassShare<'_, T, K> {
    fn act(&mut self, job: &SparseJob<T>) -> Vec<f64> {
        match job {
            SparseJob::Turn { done, next, scores } => {
                let n_classes = done.values.len() / done.positions.len().max(1);
                pulp::Arch::new().dispatch(WeightUpdate { part: self, done, n_classes });
                self.loaded = Arc::clone(next);
                let mut out = vec![0.0; if *scores { next.rows.len() * self.classes.len() } else { 0 }];
                if *scores {
                    pulp::Arch::new().dispatch(Score { part: self, scores: &mut out });
                }
                out
            }
            SparseJob::Gram { count } => self.products(*count),
            SparseJob::Clear => {
                self.weights.clear();
                self.tau.fill(0.0);
                self.g.fill(0.0);
                Vec::new()
            }
            SparseJob::Square if self.shared.center.is_none() => vec![self.weights.square()],
            SparseJob::Square => vec![self.dense_weights().iter().map(|w| w * w).sum()],
            SparseJob::Weights => self.dense_weights(),
            SparseJob::Held => {
                let mut held: Vec<f64> = self.weights.to_rows().into_iter().map(Real::to_f64).collect();
                held.extend(self.tau.iter().chain(&self.g));
                held
            }
            SparseJob::Hold { values, n_classes } => {
                self.hold(values, *n_classes);
                Vec::new()
            }
        }
    }
}

impl<'a, T: Real, K: StoredCell> SparseStorage<'a, T, K> {
    pub fn new<'scope>(problem: &Problem<'a>, shared: Arc<CsrRows<'a, K>>, scope: &'scope Scope<'scope, '_>) -> Self
    where
        'a: 'scope,
    {
        let (k, count) = (problem.n_classes, part_count::<K>(problem, &shared.csr));
        let classes: Vec<Range<usize>> = (0..count).map(|t| t * k / count..(t + 1) * k / count).collect();
        let part =
            |(place, classes): (usize, &Range<usize>)| ClassShare::new(Arc::clone(&shared), place, classes.clone());
        Self {
            team: ThreadTeam::new(scope, classes.iter().enumerate().map(part).collect()),
            n_classes: k,
            classes,
            shared,
        }
    }

    /// Columns of the parts side by side, `[rows, n_classes]`.
    fn join(&self, parts: &[Vec<f64>], out: &mut [f64]) {
        for (classes, part) in self.classes.iter().zip(parts) {
            for (row, own) in out.chunks_exact_mut(self.n_classes).zip(part.chunks_exact(classes.len())) {
                row[classes.clone()].copy_from_slice(own);
            }
        }
    }
}

impl<T: Real, K: StoredCell> RowStorage for SparseStorage<'_, T, K> {
    fn turn(&mut self, done: &Changes, next: &[u32], scores: Option<&mut [f64]>) -> Result<(), SolveError> {
        if let Some(part) = self.team.alone() {
            pulp::Arch::new().dispatch(WeightUpdate { part, done, n_classes: self.n_classes });
            let loaded = Arc::make_mut(&mut part.loaded);
            loaded.load(&self.shared, next);
            if let Some(scores) = scores {
                pulp::Arch::new().dispatch(Score { part, scores });
            }
            return Ok(());
        }
        let mut fresh = LoadedRows::default();
        fresh.load(&self.shared, next);
        let parts =
            self.team.call(SparseJob::Turn { done: done.clone(), next: Arc::new(fresh), scores: scores.is_some() });
        if let Some(scores) = scores {
            self.join(&parts, scores);
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
        if let Some(part) = self.team.alone() {
            walk(part, order, count, state, scratch);
            return Ok(());
        }
        in_blocks(self, &order[..count], state, scratch)
    }

    fn block_size(&self) -> usize {
        if self.team.len() == 1 { MEASURED } else { BLOCK }
    }

    fn clear(&mut self) {
        self.team.call(SparseJob::Clear);
    }

    fn square_of_weights(&mut self) -> Result<f64, SolveError> {
        Ok(self.team.call(SparseJob::Square).iter().flatten().sum())
    }

    fn weights(&mut self) -> Result<Vec<f64>, SolveError> {
        let parts = self.team.call(SparseJob::Weights);
        let mut rows = vec![0.0; self.shared.csr.n_features() * self.n_classes];
        self.join(&parts, &mut rows);
        Ok(rows)
    }

    /// V, τ and g below each other, `[n_features + 2, n_classes]`.
    fn held(&mut self) -> Result<Vec<f64>, SolveError> {
        let parts = self.team.call(SparseJob::Held);
        let mut rows = vec![0.0; self.held_len()];
        self.join(&parts, &mut rows);
        Ok(rows)
    }

    fn hold(&mut self, values: &[f64]) -> Result<(), SolveError> {
        self.team.call(SparseJob::Hold { values: values.to_vec(), n_classes: self.n_classes });
        Ok(())
    }

    /// With τ = 0, so that V = W.
    fn set_weights(&mut self, weights: &[f64]) -> Result<(), SolveError> {
        let k = self.n_classes;
        let mut held = weights.to_vec();
        held.resize(self.held_len(), 0.0);
        let (rows, sums) = held.split_at_mut(weights.len());
        for (row, &center) in rows.chunks_exact(k).zip(self.shared.center.iter().flatten()) {
            sums[k..].iter_mut().zip(row).for_each(|(g, v)| *g += center * v);
        }
        self.hold(&held)
    }

    fn held_len(&self) -> usize {
        (self.shared.csr.n_features() + 2) * self.n_classes
    }
}

impl<T: Real, K: StoredCell> Blocks for SparseStorage<'_, T, K> {
    #[allow(clippy::cast_possible_truncation)]
    fn begin(
        &mut self,
        done: &Changes,
        next: &[u32],
        _: &[u32],
        scores: &mut [f64],
        out: &mut [f32],
    ) -> Result<(), SolveError> {
        self.turn(done, next, Some(scores))?;
        let (count, n) = (self.team.len(), out.len().isqrt());
        let parts = self.team.call(SparseJob::Gram { count });
        for (first, part) in parts.iter().enumerate() {
            let mut products = part.iter();
            for i in (first..n).step_by(count) {
                for (j, &product) in products.by_ref().take(i + 1).enumerate() {
                    (out[i * n + j], out[j * n + i]) = (product as f32, product as f32);
                }
            }
        }
        Ok(())
    }
}

mod single;
mod stored;
#[cfg(test)]
mod tests;
