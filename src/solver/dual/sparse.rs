//! Sparse rows: plain coordinate ascent with the weights of all classes of a feature side by side.
//!
//! Rows keep their zeros under centring. With x̂ = x/scale and m̂ = mean/scale a preprocessed row is r·(x̂ − m̂), so that
//! `W = V − m̂ τᵀ` with V = Σ r·x̂ βᵀ and τ = Σ r·β, and the scores of a row are
//!
//! ```text
//! r·(x̂·V − p τ − g + ‖m̂‖²·τ) + B·w_B        p = x̂·m̂,  g = m̂·V
//! ```
//!
//! A step touches the stored cells of its row and a few vectors of length `n_classes`. All in f64.

use super::{Bounds, Rows, State, Step};
use crate::data::Features;
use crate::data::batch::Source;
use crate::solver::{Problem, SolveError};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

pub(super) struct SparseRows<'a> {
    source: Source<'a>,
    train: &'a [u32],
    n_classes: usize,
    bias_scale: f64,
    /// 1/scale and mean/scale of each feature.
    inverse: Option<Vec<f64>>,
    center: Option<Vec<f64>>,
    center_square: f64,
    /// r, p and ‖r·(x̂ − m̂)‖² + B² of each row.
    rows: Vec<RowFacts>,
    /// `[n_features, n_classes]`.
    v: Vec<f64>,
    tau: Vec<f64>,
    g: Vec<f64>,
    constant: Vec<f64>,
}

#[derive(Clone, Copy)]
struct RowFacts {
    factor: f64,
    product: f64,
    square: f64,
}

impl<'a> SparseRows<'a> {
    pub(super) fn new(problem: &'a Problem<'a>, bias_scale: f64) -> Self {
        let source = problem.source;
        let inverse: Option<Vec<f64>> =
            source.scaler.scale.as_ref().map(|s| s.iter().map(|&s| 1.0 / f64::from(s)).collect());
        let center: Option<Vec<f64>> = source.scaler.mean.as_ref().map(|m| {
            m.iter().enumerate().map(|(j, &m)| f64::from(m) * inverse.as_ref().map_or(1.0, |i| i[j])).collect()
        });
        let center_square = center.as_ref().map_or(0.0, |c| c.iter().map(|m| m * m).sum());
        let k = problem.n_classes;
        let mut rows = Self {
            source,
            train: problem.train,
            n_classes: k,
            bias_scale,
            inverse,
            center,
            center_square,
            rows: Vec::new(),
            v: vec![0.0; source.features.n_features() * k],
            tau: vec![0.0; k],
            g: vec![0.0; k],
            constant: vec![0.0; k],
        };
        rows.rows = problem.train.iter().map(|&row| rows.facts(row as usize)).collect();
        rows
    }

    fn facts(&self, row: usize) -> RowFacts {
        let factor = self.source.scaler.row_factor(self.source.features, row);
        let (mut product, mut square) = (0.0, self.center_square);
        self.for_each_cell(row, |j, x| {
            let m = self.center.as_ref().map_or(0.0, |c| c[j]);
            product += x * m;
            square += (x - m) * (x - m) - m * m;
        });
        RowFacts { factor, product, square: factor * factor * square.max(0.0) + self.bias_scale * self.bias_scale }
    }

    /// Cells of x̂.
    fn for_each_cell(&self, row: usize, mut visit: impl FnMut(usize, f64)) {
        let Features::Sparse(csr) = self.source.features else {
            return;
        };
        let (indices, values) = csr.row(row);
        for (&j, &x) in indices.iter().zip(values) {
            let j = j as usize;
            visit(j, f64::from(x) * self.inverse.as_ref().map_or(1.0, |s| s[j]));
        }
    }

    fn scores(&self, i: usize, scores: &mut [f64]) {
        let k = self.n_classes;
        let facts = self.rows[i];
        scores.fill(0.0);
        self.for_each_cell(self.train[i] as usize, |j, x| {
            scores.iter_mut().zip(&self.v[j * k..(j + 1) * k]).for_each(|(s, w)| *s += x * w);
        });
        for (c, s) in scores.iter_mut().enumerate() {
            let shift = (self.center_square - facts.product) * self.tau[c] - self.g[c];
            *s = facts.factor * (*s + shift) + self.bias_scale * self.constant[c];
        }
    }

    /// Adds `x_i changeᵀ` to the weights.
    fn update(&mut self, i: usize, change: &[f64]) {
        let k = self.n_classes;
        let RowFacts { factor, product, .. } = self.rows[i];
        let mut v = std::mem::take(&mut self.v);
        self.for_each_cell(self.train[i] as usize, |j, x| {
            let x = factor * x;
            v[j * k..(j + 1) * k].iter_mut().zip(change).for_each(|(w, c)| *w += x * c);
        });
        self.v = v;
        for (c, change) in change.iter().enumerate() {
            if self.center.is_some() {
                self.tau[c] += factor * change;
                self.g[c] += factor * product * change;
            }
            self.constant[c] += self.bias_scale * change;
        }
    }

    /// ½‖W‖², the constant feature included.
    fn half_square(&self) -> f64 {
        self.dense_weights().iter().chain(&self.constant).map(|w| w * w).sum::<f64>() / 2.0
    }

    /// W in f64.
    fn dense_weights(&self) -> Vec<f64> {
        let k = self.n_classes;
        let mut weight = self.v.clone();
        if let Some(center) = &self.center {
            for (row, m) in weight.chunks_exact_mut(k).zip(center) {
                row.iter_mut().zip(&self.tau).for_each(|(w, t)| *w -= m * t);
            }
        }
        weight
    }
}

impl Rows for SparseRows<'_> {
    fn epoch(&mut self, state: &mut State<'_>, rng: &mut ChaCha8Rng) -> Result<Bounds, SolveError> {
        let mut order: Vec<usize> = (0..self.train.len()).collect();
        order.shuffle(rng);
        let mut step = Step::new(self.n_classes);
        let mut scores = vec![0.0; self.n_classes];
        let mut met = Bounds { primal: 0.0, gap: 0.0 };
        for i in order {
            self.scores(i, &mut scores);
            if step.take(state, i, &scores, self.rows[i].square, &mut met) {
                self.update(i, &step.change);
            }
        }
        met.primal += self.half_square();
        Ok(met)
    }

    fn certify(&mut self, state: &State<'_>) -> Result<Bounds, SolveError> {
        let k = self.n_classes;
        for values in [&mut self.v, &mut self.tau, &mut self.g, &mut self.constant] {
            values.fill(0.0);
        }
        let mut beta = vec![0.0; k];
        for i in 0..self.train.len() {
            state.beta(i, &mut beta);
            if beta.iter().any(|b| *b != 0.0) {
                self.update(i, &beta);
            }
        }
        let (mut loss, mut gap) = (0.0, 0.0);
        for i in 0..self.train.len() {
            self.scores(i, &mut beta);
            let (l, g) = state.row_bounds(i, &beta);
            loss += l;
            gap += g;
        }
        Ok(Bounds { primal: loss + self.half_square(), gap })
    }

    #[allow(clippy::cast_possible_truncation)]
    fn weights(&mut self) -> Result<(Vec<f32>, Vec<f32>), SolveError> {
        let narrow = |values: &[f64]| values.iter().map(|&w| w as f32).collect();
        Ok((narrow(&self.dense_weights()), narrow(&self.constant)))
    }
}
