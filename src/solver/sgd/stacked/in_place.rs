//! A stack on the host: dense rows are read where they lie, and the weights change where they lie.
//!
//! Members go in teams, one team a thread at a time: a team's weights stay in the second-level cache, and teams meet only where
//! somebody looks at the run. With plain SGD a step needs no gradient in memory:
//!
//! ```text
//! s  = f·r·((x − mean)·V) + b              scores of all members, W = f·V·scale
//! q  = ∂ℓ/∂s                                each member's loss, each member's block
//! f' = f·(1 − ηλ)
//! V += (x − mean)/scale² ⊗ (−η/f')·r·q      the regulariser is in the factor
//! ```

// Index loops over slices of one length: what the compiler turns into vectors.
#![allow(clippy::needless_range_loop)]

use super::{LARGEST, Member, Outcome, Parameters, SMALLEST, State, initial_values};
use crate::kernel::in_place::{GROUP, PackedWeights, PerFeature};
use crate::kernel::{Work, vectorized};
use crate::loss::Loss;
use crate::objective::DenseRows;
use crate::solver::sgd::optimizer::OptimizerName;
use crate::solver::sgd::sampler::Sampler;
use crate::solver::sgd::{SgdConfig, StopReason};
use crate::solver::{Observer, Problem, Route};
use rayon::prelude::*;
use std::time::Instant;

/// Bytes of the weights of a team.
const TEAM_BYTES: usize = 1 << 20;
/// Steps that teams make between two meetings.
const STEPS: u64 = 50;

/// Whether a stack goes this way.
pub(super) fn serves(config: &SgdConfig, problem: &Problem<'_>) -> bool {
    config.optimizer == OptimizerName::Sgd && config.clip_value.is_none() && problem.route() == Route::Fused
}

/// What all teams share.
struct Shared<'a> {
    config: &'a SgdConfig,
    problem: &'a Problem<'a>,
    members: &'a [Member],
    rows: DenseRows<'a>,
    /// 1/scale²
    gain: Option<PerFeature>,
    steps: u64,
}

impl Shared<'_> {
    fn is_logged(&self, step: u64) -> bool {
        step.is_multiple_of(self.config.log_every.get() as u64) || step + 1 == self.steps
    }
}

/// Trains all members; `None` where the rows are sparse.
pub(super) fn descend(
    config: &SgdConfig,
    problem: &Problem<'_>,
    members: &[Member],
    mut sampler: Sampler,
    observer: &mut dyn Observer,
) -> Option<Outcome> {
    let rows = DenseRows::of_source(&problem.source)?;
    let gain: Option<Vec<f32>> = rows.scale.map(|scale| scale.iter().map(|s| 1.0 / (s * s)).collect());
    let gain = gain.map(|gain| PerFeature::new(gain.len(), Some(&gain)));
    let steps = config.total_steps(problem.train.len());
    let shared = Shared { config, problem, members, rows, gain, steps };
    let mut teams = teams(&shared);
    let clock = Instant::now();
    let (mut made, mut stop) = (0, StopReason::Finished);
    while made < steps && teams.iter().any(|team| !team.alive.is_empty()) {
        let batches: Vec<Vec<u32>> = (0..STEPS.min(steps - made)).map(|_| sampler.next_batch()).collect();
        teams.par_iter_mut().for_each(|team| {
            for (step, batch) in (made..).zip(&batches) {
                team.step(&shared, step, batch);
            }
        });
        made += batches.len() as u64;
        observer.step(made);
        if observer.interrupted() && made < steps {
            stop = StopReason::Interrupted;
            break;
        }
    }
    let solving = clock.elapsed();
    let mut outcome = Outcome { states: Vec::new(), weights: vec![None; members.len()], made, stop, solving };
    let mut states: Vec<(usize, State)> = Vec::with_capacity(members.len());
    for team in teams {
        for (member, values) in team.read(&shared) {
            outcome.weights[member] = Some(values);
        }
        states.extend(team.states);
    }
    states.sort_by_key(|(member, _)| *member);
    outcome.states = states.into_iter().map(|(_, state)| state).collect();
    Some(outcome)
}

/// The members in teams of equal size, as many as the threads share evenly.
fn teams(shared: &Shared<'_>) -> Vec<Team> {
    let (d, k) = (shared.rows.n_features, shared.problem.n_classes);
    let most = (TEAM_BYTES / (4 * d * k).max(1)).max(1);
    let threads = rayon::current_num_threads();
    let n = shared.members.len();
    let turns = n.div_ceil(most * threads);
    let size = n.div_ceil(turns * threads).max(1);
    let all: Vec<usize> = (0..n).collect();
    all.chunks(size).map(|members| Team::new(shared, members)).collect()
}

/// Some members and their weights.
struct Team {
    /// The members in the order of their blocks, without those that have diverged.
    alive: Vec<usize>,
    states: Vec<(usize, State)>,
    /// V of all blocks, `[n_features, blocks·n_classes]`.
    weights: PackedWeights,
    /// f
    factors: Vec<f64>,
    bias: Option<Vec<f32>>,
    /// Scores, then Q, of a batch, `[rows, stride]`.
    q: Vec<f32>,
}

/// What a step is for each block.
struct Blocks<'a> {
    losses: Vec<&'a Loss>,
    /// f before the step, and −η/f' after it.
    factors: Vec<f32>,
    rates: Vec<f32>,
    /// Summed: the data loss, and the gradient of the bias, `[blocks·n_classes]`.
    loss: Vec<f64>,
    of_bias: Vec<f32>,
}

impl Team {
    fn new(shared: &Shared<'_>, members: &[usize]) -> Self {
        let values = members.iter().map(|&m| initial_values(shared.problem, shared.members[m].init_std)).collect();
        let (weights, bias) = packed(shared, values);
        Self {
            alive: members.to_vec(),
            states: members.iter().map(|&m| (m, State::default())).collect(),
            weights,
            factors: vec![1.0; members.len()],
            bias,
            q: Vec::new(),
        }
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn step(&mut self, shared: &Shared<'_>, step: u64, batch: &[u32]) {
        if self.alive.is_empty() {
            return;
        }
        let (problem, k) = (shared.problem, shared.problem.n_classes);
        let logged = shared.is_logged(step);
        let penalties = logged.then(|| self.penalties(shared));
        let of = |value: fn(&Member) -> f64| self.alive.iter().map(move |&m| value(&shared.members[m]));
        let schedule = shared.config.rate_factor(step, shared.steps);
        let rates: Vec<f64> = of(|m| m.learning_rate).map(|rate| rate * schedule).collect();
        let shrink: Vec<f64> = rates.iter().zip(of(|m| m.lambda)).map(|(rate, lambda)| rate * lambda).collect();
        let after: Vec<f64> = self.factors.iter().zip(&shrink).map(|(f, s)| f * (1.0 - s)).collect();
        // Then the factors go into the weights before anything is added.
        let fold = after.iter().any(|f| !(SMALLEST..=LARGEST).contains(&f.abs()));
        let divisor = |f: &f64| if fold { 1.0 } else { *f };
        let mut blocks = Blocks {
            losses: self.alive.iter().map(|&m| &shared.members[m].loss).collect(),
            factors: self.factors.iter().map(|&f| f as f32).collect(),
            rates: rates.iter().zip(&after).map(|(rate, f)| (-rate / divisor(f)) as f32).collect(),
            loss: vec![0.0; self.alive.len()],
            of_bias: vec![0.0; self.alive.len() * k],
        };
        let stride = blocks.of_bias.len();
        self.q.resize(batch.len() * stride, 0.0);
        let share = 1.0 / batch.len() as f64;
        for (q, indices) in self.q.chunks_mut(GROUP * stride).zip(batch.chunks(GROUP)) {
            shared.rows.scores(&self.weights, indices, q, stride);
            for (q, &index) in q.chunks_exact_mut(stride).zip(indices) {
                let share = (problem.source.weight(index) * share) as f32;
                let label = problem.source.labels[index as usize] as usize;
                let factor = shared.rows.factor(index);
                vectorized(Charge { q, bias: self.bias.as_deref(), k, label, share, factor, blocks: &mut blocks });
            }
        }
        self.factors = after;
        if fold {
            self.fold(shared);
        }
        shared.rows.add(&mut self.weights, batch, &self.q, stride, shared.gain.as_ref());
        if let Some(bias) = &mut self.bias {
            let kept = problem.objective.bias.penalty_factor();
            for (c, b) in bias.iter_mut().enumerate() {
                let (rate, shrink) = (rates[c / k], shrink[c / k] * kept);
                *b = (f64::from(*b) * (1.0 - shrink) - rate * f64::from(blocks.of_bias[c])) as f32;
            }
        }
        if let Some(penalties) = penalties {
            self.log(shared, step, &blocks.loss, &penalties);
        }
    }

    /// What the regulariser costs each block.
    fn penalties(&self, shared: &Shared<'_>) -> Vec<f64> {
        let values = self.values(shared);
        let square = |values: &[f32]| values.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>();
        let factor = shared.problem.objective.bias.penalty_factor();
        let of = |(&member, (weight, bias)): (&usize, &Parameters)| {
            let lambda = shared.members[member].lambda;
            // Without a regulariser weights beyond all measure are no loss: 0·∞ would be one.
            let all = || square(weight) + factor * bias.as_deref().map_or(0.0, square);
            if lambda == 0.0 { 0.0 } else { lambda / 2.0 * all() }
        };
        self.alive.iter().zip(&values).map(of).collect()
    }

    /// Notes the objectives before a step, and takes out what has diverged.
    #[allow(clippy::cast_possible_truncation)]
    fn log(&mut self, shared: &Shared<'_>, step: u64, data: &[f64], penalties: &[f64]) {
        let mut kept = Vec::new();
        for (at, &member) in self.alive.iter().enumerate() {
            let Some((_, state)) = self.states.iter_mut().find(|(m, _)| *m == member) else { continue };
            // In single precision, as a run alone reads it from its device.
            if !state.note(step, f64::from((data[at] + penalties[at]) as f32)) {
                kept.push(at);
            }
        }
        if kept.len() == self.alive.len() {
            return;
        }
        if kept.is_empty() {
            self.alive.clear();
            self.factors.clear();
            return;
        }
        let values = self.values(shared);
        self.alive = kept.iter().map(|&at| self.alive[at]).collect();
        self.set(shared, kept.iter().map(|&at| values[at].clone()).collect());
    }

    fn fold(&mut self, shared: &Shared<'_>) {
        let values = self.values(shared);
        self.set(shared, values);
    }

    fn set(&mut self, shared: &Shared<'_>, values: Vec<Parameters>) {
        self.factors = vec![1.0; values.len()];
        (self.weights, self.bias) = packed(shared, values);
    }

    /// W `[n_features, n_classes]` row-major and the bias of every block.
    #[allow(clippy::cast_possible_truncation)]
    fn values(&self, shared: &Shared<'_>) -> Vec<Parameters> {
        let (k, d) = (shared.problem.n_classes, shared.rows.n_features);
        let rows = self.weights.to_rows(shared.rows.scale);
        let columns = self.alive.len() * k;
        let of = |(block, &factor): (usize, &f64)| {
            let cell = |at: usize| (f64::from(rows[at / k * columns + block * k + at % k]) * factor) as f32;
            let bias = self.bias.as_ref().map(|bias| bias[block * k..(block + 1) * k].to_vec());
            ((0..d * k).map(cell).collect(), bias)
        };
        self.factors.iter().enumerate().map(of).collect()
    }

    fn read(&self, shared: &Shared<'_>) -> Vec<(usize, Parameters)> {
        self.alive.iter().copied().zip(self.values(shared)).collect()
    }
}

/// Blocks side by side.
fn packed(shared: &Shared<'_>, values: Vec<Parameters>) -> (PackedWeights, Option<Vec<f32>>) {
    let (k, d) = (shared.problem.n_classes, shared.rows.n_features);
    let columns = values.len() * k;
    let mut rows = vec![0.0; d * columns];
    for (block, (weight, _)) in values.iter().enumerate() {
        for (out, w) in rows.chunks_exact_mut(columns).zip(weight.chunks_exact(k)) {
            out[block * k..(block + 1) * k].copy_from_slice(w);
        }
    }
    let mut weights = PackedWeights::zeros(d, columns);
    weights.pack(&rows, shared.rows.scale);
    let bias: Option<Vec<Vec<f32>>> = values.into_iter().map(|(_, bias)| bias).collect();
    (weights, bias.map(|bias| bias.concat()))
}

/// From (x − mean)·V of a row to what is added to V, block after block.
struct Charge<'a, 'b> {
    q: &'a mut [f32],
    bias: Option<&'a [f32]>,
    k: usize,
    label: usize,
    share: f32,
    factor: f32,
    blocks: &'a mut Blocks<'b>,
}

impl Work for Charge<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let k = self.k;
        for block in 0..self.blocks.losses.len() {
            let columns = block * k..(block + 1) * k;
            let row = &mut self.q[columns.clone()];
            let factor = self.factor * self.blocks.factors[block];
            for c in 0..k {
                row[c] *= factor;
            }
            if let Some(bias) = self.bias {
                let bias = &bias[columns.clone()][..k];
                for c in 0..k {
                    row[c] += bias[c];
                }
            }
            let loss = self.blocks.losses[block].charge_row(row, k, self.label);
            self.blocks.loss[block] += f64::from(self.share) * f64::from(loss);
            let of_bias = &mut self.blocks.of_bias[columns][..k];
            let rate = self.share * self.factor * self.blocks.rates[block];
            for c in 0..k {
                of_bias[c] += self.share * row[c];
                row[c] *= rate;
            }
        }
    }
}
