//! Plain SGD on weights that are updated in place, for dense rows on the host: of one model, or of several in adjacent columns.
//!
//! ```text
//! s  = r·((x − mean)·V) + b                        scores of the batch, W = V·scale
//! q  = ∂ℓ/∂s                                       each model's loss, each model's columns
//! V ← V − ηλ·V − η/scale² ⊙ Σ (x − mean) ⊗ r·q   a cell is read and written once; no gradient in memory
//! ```
//!
//! Every sum has one order, for any number of threads.

// Index loops over slices of one length, which the compiler turns into vectors.
#![allow(clippy::needless_range_loop)]

use super::{Objectives, Parameters, Step};
use crate::kernel::in_place::{BatchSlopes, GROUP, PackedWeights, PerFeature};
use crate::kernel::{Work, vectorized};
use crate::objective::{DenseRows, FusedPass, Objective, linger};
use crate::solver::sgd::stacked::Member;
use rayon::prelude::*;

/// Multiplications of a step that are not worth a second thread.
const ALONE: usize = 1_000_000;

/// Some members and their weights, side by side.
pub(super) struct MemberTeam {
    /// The members in the order of their columns, without those that have diverged.
    pub alive: Vec<usize>,
    n_classes: usize,
    /// 1/scale²
    gain: Option<PerFeature>,
    /// V of all models, `[n_features, columns]`.
    weights: PackedWeights,
    bias: Option<Vec<f32>>,
    /// Scores, then −ηQ, of a batch, `[rows, columns]`.
    q: Vec<f32>,
    /// Of each group of rows: the gradient of the bias, `[columns]`, and the summed losses, `[models]`.
    of_bias: Vec<f32>,
    losses: Vec<f64>,
}

/// The objective of a model, and the learning rate of a step.
struct Rule<'a> {
    objective: &'a Objective,
    /// η
    rate: f64,
}

impl MemberTeam {
    pub fn new(rows: &DenseRows<'_>, n_classes: usize, values: &[(usize, Parameters)]) -> Self {
        let (k, d, columns) = (n_classes, rows.n_features, values.len() * n_classes);
        let mut all = vec![0.0; d * columns];
        for (model, (_, values)) in values.iter().enumerate() {
            for (out, w) in all.chunks_exact_mut(columns).zip(values.weight.chunks_exact(k)) {
                out[model * k..(model + 1) * k].copy_from_slice(w);
            }
        }
        let mut weights = PackedWeights::zeros(d, columns);
        weights.pack(&all, rows.scale.as_deref());
        let bias: Option<Vec<&[f32]>> = values.iter().map(|(_, values)| values.bias.as_deref()).collect();
        let bias = bias.map(|bias| bias.concat());
        let gain: Option<Vec<f32>> = rows.scale.as_ref().map(|scale| scale.iter().map(|s| 1.0 / (s * s)).collect());
        let gain = gain.map(|gain| PerFeature::new(gain.len(), Some(&gain)));
        let alive = values.iter().map(|(member, _)| *member).collect();
        Self { alive, n_classes, gain, weights, bias, q: Vec::new(), of_bias: Vec::new(), losses: Vec::new() }
    }

    /// W and bias of every model.
    pub fn values(&self, rows: &DenseRows<'_>) -> Vec<(usize, Parameters)> {
        let (k, all) = (self.n_classes, self.weights.to_rows(rows.scale.as_deref()));
        let of = |(model, &member): (usize, &usize)| {
            let columns = model * k..(model + 1) * k;
            let row = all.chunks_exact(self.alive.len() * k);
            let weight = row.flat_map(|row| &row[columns.clone()]).copied().collect();
            (member, Parameters { weight, bias: self.bias.as_ref().map(|bias| bias[columns].to_vec()) })
        };
        self.alive.iter().enumerate().map(of).collect()
    }

    /// Makes steps; the objectives before the last where they are wanted.
    pub fn advance(
        &mut self,
        pass: &FusedPass<'_>,
        members: &[Member],
        steps: &[Step],
        want_loss: bool,
        threads: bool,
    ) -> Objectives {
        let mut objectives = Vec::new();
        for (Step { drawn, factor }, number) in steps.iter().zip(1..) {
            let before = if want_loss && number == steps.len() { self.values(&pass.rows) } else { Vec::new() };
            let losses = self.step(pass, members, &drawn.rows, *factor, threads);
            let total = |((member, at), data): ((usize, Parameters), f64)| {
                let penalty = members[member].objective.penalty(&at.weight, at.bias.as_deref());
                // In single precision, as the other engines read it from their device.
                #[allow(clippy::cast_possible_truncation)]
                let objective = (data + penalty) as f32;
                (member, f64::from(objective))
            };
            objectives = before.into_iter().zip(losses).map(total).collect();
        }
        objectives
    }

    /// One step of every model; their data losses before it.
    #[allow(clippy::cast_possible_truncation)]
    pub fn step(
        &mut self,
        pass: &FusedPass<'_>,
        members: &[Member],
        batch: &[u32],
        factor: f64,
        threads: bool,
    ) -> Vec<f64> {
        let (k, models, columns) = (self.n_classes, self.alive.len(), self.alive.len() * self.n_classes);
        if models == 0 {
            return Vec::new();
        }
        let parallel = threads && batch.len() * pass.rows.n_features * columns > ALONE;
        let rule = |&member: &usize| {
            let Member { learning_rate, objective, .. } = &members[member];
            Rule { objective, rate: learning_rate * factor }
        };
        let rules: &[Rule<'_>] = &self.alive.iter().map(rule).collect::<Vec<_>>();
        let groups = batch.len().div_ceil(GROUP);
        self.q.resize(batch.len() * columns, 0.0);
        self.of_bias.clear();
        self.of_bias.resize(groups * columns, 0.0);
        self.losses.clear();
        self.losses.resize(groups * models, 0.0);
        let rates: Vec<f32> = rules.iter().map(|rule| -rule.rate as f32).collect();
        let rows = &pass.rows;
        let shared = StepInput { pass, rules, rates: &rates, bias: self.bias.as_deref(), k, n: batch.len() };
        let weights = &self.weights;
        let charge = |(((q, of_bias), losses), indices): (RowGroup<'_>, &[u32])| {
            rows.scores(weights, indices, q, columns);
            vectorized(TeamSlopes { shared: &shared, indices, q, of_bias, losses });
        };
        let shrink = |rule: &Rule<'_>| rule.objective.regulariser().decay(rule.rate).weight as f32;
        let shrink: Vec<f32> = rules.iter().flat_map(|rule| std::iter::repeat_n(shrink(rule), k)).collect();
        if parallel {
            let groups = self.q.par_chunks_mut(GROUP * columns).zip(self.of_bias.par_chunks_mut(columns));
            let groups = groups.zip(self.losses.par_chunks_mut(models));
            groups.zip(batch.par_chunks(GROUP)).with_min_len(2).for_each(charge);
        } else {
            let groups = self.q.chunks_mut(GROUP * columns).zip(self.of_bias.chunks_mut(columns));
            groups.zip(self.losses.chunks_mut(models)).zip(batch.chunks(GROUP)).for_each(charge);
        }
        let q = BatchSlopes { values: &self.q, stride: columns };
        let mut parts = self.weights.parts_mut();
        if parallel {
            parts.par_iter_mut().for_each(|part| rows.add(part, batch, q, &shrink, self.gain.as_ref()));
        } else {
            parts.iter_mut().for_each(|part| rows.add(part, batch, q, &shrink, self.gain.as_ref()));
        }
        if parallel {
            linger(groups);
        }
        self.move_bias(rules);
        (0..models).map(|model| self.losses.iter().skip(model).step_by(models).sum()).collect()
    }

    #[allow(clippy::cast_possible_truncation)]
    fn move_bias(&mut self, rules: &[Rule<'_>]) {
        let Some(bias) = &mut self.bias else { return };
        let columns = bias.len();
        for (c, b) in bias.iter_mut().enumerate() {
            let Rule { objective, rate } = &rules[c / self.n_classes];
            let shrink = objective.regulariser().decay(*rate).bias;
            let gradient: f64 = self.of_bias.iter().skip(c).step_by(columns).map(|&v| f64::from(v)).sum();
            *b = ((1.0 - shrink) * f64::from(*b) - rate * gradient) as f32;
        }
    }
}

/// Scores of a group of rows, its part of the bias's gradient, and its losses, as iterators zip them.
type RowGroup<'a> = ((&'a mut [f32], &'a mut [f32]), &'a mut [f64]);

/// The part of a step that all rows share.
struct StepInput<'a> {
    pass: &'a FusedPass<'a>,
    rules: &'a [Rule<'a>],
    /// −η
    rates: &'a [f32],
    bias: Option<&'a [f32]>,
    k: usize,
    n: usize,
}

/// From (x − mean)·V of a group of rows to −ηQ, model after model.
struct TeamSlopes<'a> {
    shared: &'a StepInput<'a>,
    indices: &'a [u32],
    q: &'a mut [f32],
    of_bias: &'a mut [f32],
    losses: &'a mut [f64],
}

impl Work for TeamSlopes<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn run(self) {
        let StepInput { pass, rules, rates, bias, k, n } = *self.shared;
        let columns = self.of_bias.len();
        for r in 0..self.indices.len() {
            let index = self.indices[r];
            let share = (pass.source.weight(index) / n as f64) as f32;
            let label = pass.source.labels[index as usize] as usize;
            let factor = pass.rows.factor(index);
            let all = &mut self.q[r * columns..(r + 1) * columns];
            for model in 0..rules.len() {
                let at = model * k..(model + 1) * k;
                let row = &mut all[at.clone()];
                match bias {
                    Some(bias) => {
                        let bias = &bias[at.clone()][..k];
                        for c in 0..k {
                            row[c] = factor * row[c] + bias[c];
                        }
                    }
                    None => {
                        for c in 0..k {
                            row[c] *= factor;
                        }
                    }
                }
                let loss = rules[model].objective.loss.charge_row(row, k, label);
                self.losses[model] += f64::from(share) * f64::from(loss);
                let of_bias = &mut self.of_bias[at][..k];
                let rate = share * factor * rates[model];
                for c in 0..k {
                    of_bias[c] += share * row[c];
                    row[c] *= rate;
                }
            }
        }
    }
}
