//! Plain SGD on weights that change where they lie, for dense rows on the host: of one model, or of several side by side.
//!
//! ```text
//! s  = r·((x − mean)·V) + b                        scores of the batch, W = V·scale
//! q  = ∂ℓ/∂s                                       each model's loss, each model's columns
//! V ← V − ηλ·V − η/scale² ⊙ Σ (x − mean) ⊗ r·q   a cell is read and written once; no gradient in memory
//! ```
//!
//! Every sum has one order, whatever the number of threads.

// Index loops over slices of one length: what the compiler turns into vectors.
#![allow(clippy::needless_range_loop)]

use crate::data::batch::Source;
use crate::kernel::in_place::{GROUP, PackedWeights, PerFeature};
use crate::kernel::{Work, vectorized};
use crate::loss::Loss;
use crate::model::LinearSvm;
use crate::objective::{DenseRows, FusedPass, linger};
use crate::solver::sgd::optimizer::OptimizerName;
use crate::solver::sgd::{SgdConfig, values};
use crate::solver::{Problem, Route, SolveError};
use rayon::prelude::*;

/// Bytes of the rows of a batch, which are read twice.
const BATCH_BYTES: usize = 8 << 20;
/// Multiplications of a step that are not worth a second thread.
const ALONE: usize = 1_000_000;

/// Weights `[n_features, n_classes]`, row-major, and the bias of a model.
pub(super) type Parameters = (Vec<f32>, Option<Vec<f32>>);

/// Whether steps are of this kind: plain SGD, nothing clipped, on the fused route of the host.
pub(super) fn serves(config: &SgdConfig, problem: &Problem<'_>) -> bool {
    let plain = config.optimizer == OptimizerName::Sgd && config.clip_value.is_none() && config.clip_norm.is_none();
    plain && problem.route() == Route::Fused && FusedPass::serves(problem.source.features, problem.device)
}

/// The rows of a source, and what goes with them.
pub(super) struct Table<'a> {
    source: Source<'a>,
    rows: DenseRows<'a>,
    /// 1/scale²
    gain: Option<PerFeature>,
}

impl<'a> Table<'a> {
    /// `None` where the rows are sparse.
    pub fn new(source: Source<'a>) -> Option<Self> {
        let rows = DenseRows::of_source(&source)?;
        let gain: Option<Vec<f32>> = rows.scale.map(|scale| scale.iter().map(|s| 1.0 / (s * s)).collect());
        let gain = gain.map(|gain| PerFeature::new(gain.len(), Some(&gain)));
        Some(Self { source, rows, gain })
    }

    /// The length of a row.
    pub const fn n_features(&self) -> usize {
        self.rows.n_features
    }
}

/// The weights of a run, which are ahead of the model that Burn holds.
pub(super) struct Alone<'a> {
    table: Table<'a>,
    models: Option<Models>,
}

impl<'a> Alone<'a> {
    /// Where a run goes this way: where its steps are of this kind, with batches that the caches hold while they are read twice,
    /// and no scale, by which weights would be divided and multiplied when they are read and kept.
    pub fn new(config: &SgdConfig, problem: &Problem<'a>) -> Option<Self> {
        if !serves(config, problem) {
            return None;
        }
        let table = Table::new(problem.source)?;
        let bytes = config.batch_size.get().saturating_mul(table.rows.row_bytes());
        (table.gain.is_none() && bytes <= BATCH_BYTES).then_some(Self { table, models: None })
    }

    /// One step from the weights as they are, which are those of `model` where none has been made; the objective before it where
    /// it is wanted.
    pub fn step(
        &mut self,
        model: &LinearSvm,
        problem: &Problem<'_>,
        batch: &[u32],
        (rate, want_loss): (f64, bool),
    ) -> Result<Option<f64>, SolveError> {
        if self.models.is_none() {
            let weight = values(model.linear.weight.val().inner())?;
            let bias = model.linear.bias.as_ref().map(|b| values(b.val().inner())).transpose()?;
            self.models = Some(Models::new(&self.table, problem.n_classes, vec![(weight, bias)]));
        }
        let Some(models) = &mut self.models else { return Ok(None) };
        let objective = problem.objective;
        let penalty = want_loss.then(|| {
            let (weight, bias) = models.values(&self.table).swap_remove(0);
            objective.penalty(&weight, bias.as_deref())
        });
        let shrink = rate * objective.lambda;
        let shrink_bias = shrink * objective.bias.penalty_factor();
        let rule = Rule { loss: &objective.loss, rate, shrink, shrink_bias };
        let work = batch.len() * self.table.n_features() * problem.n_classes;
        let parallel = work > ALONE && rayon::current_num_threads() > 1;
        let data = models.step(&self.table, batch, &[rule], parallel)[0];
        Ok(penalty.map(|penalty| data + penalty))
    }

    /// The weights, where a step has been made since they were last taken.
    pub fn take(&mut self) -> Option<Parameters> {
        self.models.take().map(|models| models.values(&self.table).swap_remove(0))
    }
}

/// How a model takes a step.
pub(super) struct Rule<'a> {
    pub loss: &'a Loss,
    /// η
    pub rate: f64,
    /// ηλ, and what it is for the bias.
    pub shrink: f64,
    pub shrink_bias: f64,
}

/// Models side by side.
pub(super) struct Models {
    n_classes: usize,
    n_models: usize,
    /// V of all models, `[n_features, columns]`.
    weights: PackedWeights,
    bias: Option<Vec<f32>>,
    /// Scores, then −ηQ, of a batch, `[rows, columns]`.
    q: Vec<f32>,
    /// Of each group of rows: the gradient of the bias, `[columns]`, and the summed losses, `[models]`.
    of_bias: Vec<f32>,
    losses: Vec<f64>,
}

impl Models {
    pub fn new(table: &Table<'_>, n_classes: usize, values: Vec<Parameters>) -> Self {
        let (k, d, n_models) = (n_classes, table.n_features(), values.len());
        let columns = n_models * k;
        let mut rows = vec![0.0; d * columns];
        for (model, (weight, _)) in values.iter().enumerate() {
            for (out, w) in rows.chunks_exact_mut(columns).zip(weight.chunks_exact(k)) {
                out[model * k..(model + 1) * k].copy_from_slice(w);
            }
        }
        let mut weights = PackedWeights::zeros(d, columns);
        weights.pack(&rows, table.rows.scale);
        let bias: Option<Vec<Vec<f32>>> = values.into_iter().map(|(_, bias)| bias).collect();
        let bias = bias.map(|bias| bias.concat());
        Self { n_classes, n_models, weights, bias, q: Vec::new(), of_bias: Vec::new(), losses: Vec::new() }
    }

    /// W and bias of every model.
    pub fn values(&self, table: &Table<'_>) -> Vec<Parameters> {
        let k = self.n_classes;
        let rows = self.weights.to_rows(table.rows.scale);
        let of = |model: usize| {
            let columns = model * k..(model + 1) * k;
            let weight = rows.chunks_exact(self.n_models * k).flat_map(|row| &row[columns.clone()]).copied().collect();
            (weight, self.bias.as_ref().map(|bias| bias[columns.clone()].to_vec()))
        };
        (0..self.n_models).map(of).collect()
    }

    /// One step of every model; their data losses before it.
    #[allow(clippy::cast_possible_truncation)]
    pub fn step(&mut self, table: &Table<'_>, batch: &[u32], rules: &[Rule<'_>], parallel: bool) -> Vec<f64> {
        let (k, columns) = (self.n_classes, self.n_models * self.n_classes);
        let groups = batch.len().div_ceil(GROUP);
        self.q.resize(batch.len() * columns, 0.0);
        self.of_bias.clear();
        self.of_bias.resize(groups * columns, 0.0);
        self.losses.clear();
        self.losses.resize(groups * self.n_models, 0.0);
        let rates: Vec<f32> = rules.iter().map(|rule| -rule.rate as f32).collect();
        let shared = Shared { table, rules, rates: &rates, bias: self.bias.as_deref(), k, n: batch.len() };
        let weights = &self.weights;
        let charge = |(((q, of_bias), losses), indices): (Group<'_>, &[u32])| {
            table.rows.scores(weights, indices, q, columns);
            vectorized(Charge { shared: &shared, indices, q, of_bias, losses });
        };
        let shrink: Vec<f32> = rules.iter().flat_map(|rule| std::iter::repeat_n(rule.shrink as f32, k)).collect();
        if parallel {
            let groups = self.q.par_chunks_mut(GROUP * columns).zip(self.of_bias.par_chunks_mut(columns));
            let groups = groups.zip(self.losses.par_chunks_mut(self.n_models));
            groups.zip(batch.par_chunks(GROUP)).with_min_len(2).for_each(charge);
        } else {
            let groups = self.q.chunks_mut(GROUP * columns).zip(self.of_bias.chunks_mut(columns));
            groups.zip(self.losses.chunks_mut(self.n_models)).zip(batch.chunks(GROUP)).for_each(charge);
        }
        let q = (&self.q[..], columns);
        let mut parts = self.weights.parts_mut();
        if parallel {
            parts.par_iter_mut().for_each(|part| table.rows.add(part, batch, q, &shrink, table.gain.as_ref()));
        } else {
            parts.iter_mut().for_each(|part| table.rows.add(part, batch, q, &shrink, table.gain.as_ref()));
        }
        if parallel {
            linger(groups);
        }
        self.move_bias(rules);
        let sum = |model: usize| self.losses.iter().skip(model).step_by(self.n_models).sum();
        (0..self.n_models).map(sum).collect()
    }

    #[allow(clippy::cast_possible_truncation)]
    fn move_bias(&mut self, rules: &[Rule<'_>]) {
        let Some(bias) = &mut self.bias else { return };
        let columns = bias.len();
        for (c, b) in bias.iter_mut().enumerate() {
            let rule = &rules[c / self.n_classes];
            let gradient: f64 = self.of_bias.iter().skip(c).step_by(columns).map(|&v| f64::from(v)).sum();
            *b = ((1.0 - rule.shrink_bias) * f64::from(*b) - rule.rate * gradient) as f32;
        }
    }
}

/// Scores of a group of rows, its part of the bias's gradient, and its losses, as iterators zip them.
type Group<'a> = ((&'a mut [f32], &'a mut [f32]), &'a mut [f64]);

/// What all rows of a step share.
struct Shared<'a> {
    table: &'a Table<'a>,
    rules: &'a [Rule<'a>],
    /// −η
    rates: &'a [f32],
    bias: Option<&'a [f32]>,
    k: usize,
    n: usize,
}

/// From (x − mean)·V of a group of rows to −ηQ, model after model.
struct Charge<'a> {
    shared: &'a Shared<'a>,
    indices: &'a [u32],
    q: &'a mut [f32],
    of_bias: &'a mut [f32],
    losses: &'a mut [f64],
}

impl Work for Charge<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn run(self) {
        let Shared { table, rules, rates, bias, k, n } = *self.shared;
        let columns = self.of_bias.len();
        for r in 0..self.indices.len() {
            let index = self.indices[r];
            let share = (table.source.weight(index) / n as f64) as f32;
            let label = table.source.labels[index as usize] as usize;
            let factor = table.rows.factor(index);
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
                let loss = rules[model].loss.charge_row(row, k, label);
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
