//! Some of the training rows: local passes from weights that are not theirs alone.

use super::messages::{Answer, Contribution, HotRow, Order, PartProof, ProofOrder, Returned};
use crate::data::precision::towards_zero;
use crate::data::{SelectedRows, packed};
use crate::evaluation::{self, Evaluation};
use crate::loss::dual::{Scratch, padded};
use crate::model::{BiasRule, Scorer};
use crate::objective::{DualPoint, Objective};
use crate::solver::dual::state::{DualState, cost};
use crate::solver::dual::storage::rows;
use crate::solver::dual::sweep::{self, RowStorage};
use crate::solver::{Problem, SolveError};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::thread::Scope;

/// The dual variables of a part, and how to take its last round back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PartVariables {
    /// Indices of the rows that are at home.
    #[serde(with = "packed")]
    pub(super) rows: Vec<u32>,
    /// `[rows, n_classes]`
    #[serde(with = "packed")]
    pub(super) a: Vec<f64>,
    /// Positions of the rows that the last round has moved, and their variables before it, `[moved, n_classes]`.
    #[serde(with = "packed")]
    pub(super) moved: Vec<u32>,
    #[serde(with = "packed")]
    pub(super) before: Vec<f64>,
    /// The interior point of all rows of the part, where there is one.
    #[serde(with = "packed")]
    pub(super) point: Vec<f64>,
}

impl PartVariables {
    /// All zero.
    #[must_use]
    pub fn zero(rows: &[u32], n_classes: usize) -> Self {
        Self { rows: rows.to_vec(), a: vec![0.0; rows.len() * n_classes], ..Self::default() }
    }

    /// Those of all `rows` of a part that was lost, from an earlier state of it, without the rows that are `away`: what the state
    /// does not know is 0.
    #[must_use]
    pub fn restored(&self, rows: &[u32], away: &[u32], n_classes: usize) -> Self {
        let place: std::collections::HashMap<u32, usize> = self.rows.iter().copied().zip(0..).collect();
        let away: std::collections::HashSet<u32> = away.iter().copied().collect();
        let mut variables =
            Self { rows: rows.iter().copied().filter(|row| !away.contains(row)).collect(), ..Self::default() };
        variables.a = vec![0.0; variables.rows.len() * n_classes];
        for (row, a) in variables.rows.iter().zip(variables.a.chunks_exact_mut(n_classes)) {
            if let Some(&at) = place.get(row) {
                a.copy_from_slice(&self.a[at * n_classes..(at + 1) * n_classes]);
            }
        }
        variables
    }

    /// A copy to be kept elsewhere: as before the steps of the last round, of rows that are not 0, in single precision, rounded towards 0,
    /// which leaves variables feasible.
    #[must_use]
    pub fn snapshot(&self, n_classes: usize) -> Self {
        let mut a = self.a.clone();
        for (&at, before) in self.moved.iter().zip(self.before.chunks_exact(n_classes)) {
            a[at as usize * n_classes..][..n_classes].copy_from_slice(before);
        }
        let mut kept = Self::default();
        for (row, a) in self.rows.iter().zip(a.chunks_exact(n_classes)) {
            if a.iter().any(|a| *a != 0.0) {
                kept.rows.push(*row);
                kept.a.extend(a.iter().map(|a| f64::from(towards_zero(*a))));
            }
        }
        kept
    }

    /// The same in single precision, rounded as a [snapshot](Self::snapshot) is.
    #[must_use]
    pub fn in_single(&self) -> Self {
        let single = |a: &[f64]| a.iter().map(|a| f64::from(towards_zero(*a))).collect();
        let (rows, moved) = (self.rows.clone(), self.moved.clone());
        Self { rows, a: single(&self.a), moved, before: single(&self.before), point: self.point.clone() }
    }

    /// With the variables of rows that these do not have, from others.
    #[must_use]
    pub fn filled(&self, others: &Self, n_classes: usize) -> Self {
        let mut all = self.clone();
        let known: std::collections::HashSet<u32> = self.rows.iter().copied().collect();
        for (row, a) in others.rows.iter().zip(others.a.chunks_exact(n_classes)).filter(|(row, _)| !known.contains(row))
        {
            all.rows.push(*row);
            all.a.extend_from_slice(a);
        }
        all
    }

    /// The variables of some rows, `[rows, n_classes]`.
    #[must_use]
    pub fn of(rows: Vec<u32>, a: Vec<f64>) -> Self {
        Self { rows, a, ..Self::default() }
    }

    /// Whether they are those of some of `n_rows` rows.
    #[must_use]
    pub(super) fn fits(&self, n_rows: usize, n_classes: usize) -> bool {
        self.a.len() == self.rows.len() * n_classes && self.rows.iter().all(|&row| (row as usize) < n_rows)
    }

    /// The rows, and their variables `[rows, n_classes]`.
    #[must_use]
    pub fn rows(&self) -> (&[u32], &[f64]) {
        (&self.rows, &self.a)
    }
}

/// A part at work: its rows in the form in which they are multiplied, and its variables.
pub struct Part<'scope, 'env> {
    problem: Problem<'env>,
    scope: &'scope Scope<'scope, 'env>,
    /// 1/(λn)
    c: f64,
    n_train: usize,
    /// Its number, which its random order depends on.
    place: u64,
    state: DualState<'env>,
    rows: Box<dyn RowStorage + 'scope>,
    double: bool,
    scratch: Scratch,
    /// Of the last round: see [`PartVariables`].
    moved: Vec<u32>,
    before: Vec<f64>,
}

impl<'scope, 'env> Part<'scope, 'env> {
    /// A part of a problem whose `source` has its rows, on one thread of the processor; `n_train` counts the rows of all parts.
    #[must_use]
    pub fn new(
        problem: &Problem<'env>,
        n_train: usize,
        place: usize,
        variables: PartVariables,
        double: bool,
        scope: &'scope Scope<'scope, 'env>,
    ) -> Self {
        let problem = Problem { threads: 1, ..*problem };
        let k = problem.n_classes;
        let c = cost(problem.objective.lambda, n_train);
        let PartVariables { rows: indices, a, moved, before, .. } = variables;
        let mut state = DualState::new(&problem, indices, c);
        state.a.chunks_exact_mut(padded(k)).zip(a.chunks_exact(k)).for_each(|(to, from)| to[..k].copy_from_slice(from));
        if let BiasRule::Regularised { scale } = problem.objective.bias {
            state.bias_scale = scale;
        }
        let rows = rows(&problem, double, scope);
        let (place, scratch) = (place as u64, Scratch::new(k));
        Self { problem, scope, c, n_train, place, state, rows, double, scratch, moved, before }
    }

    /// The variables, to be kept.
    #[must_use]
    pub fn variables(&self) -> PartVariables {
        let k = self.problem.n_classes;
        let (stride, mut a) = (self.state.stride, vec![0.0; self.state.rows.len() * k]);
        a.chunks_exact_mut(k)
            .zip(self.state.a.chunks_exact(stride))
            .for_each(|(to, from)| to.copy_from_slice(&from[..k]));
        let (rows, moved, before) = (self.state.rows.clone(), self.moved.clone(), self.before.clone());
        PartVariables { rows, a, moved, before, ..PartVariables::default() }
    }

    /// Takes all but the share `eta` of the last round's steps back.
    pub fn settle(&mut self, eta: f64) {
        let (k, stride) = (self.problem.n_classes, self.state.stride);
        if eta != 1.0 {
            for (&i, before) in self.moved.iter().zip(self.before.chunks_exact(k)) {
                let own = &mut self.state.a[i as usize * stride..][..k];
                own.iter_mut().zip(before).for_each(|(a, b)| *a = b + eta * (*a - b));
            }
        }
        self.moved.clear();
        self.before.clear();
    }

    fn take_back(&mut self, returned: &[Returned]) {
        let mut wide = vec![0.0; self.state.stride];
        for (row, a) in returned {
            wide[..a.len()].copy_from_slice(a);
            self.state.push(&self.problem, *row, self.c, &wide);
        }
    }

    /// Puts the weights of all parts, with those of the constant feature in the last row.
    fn put_weights(&mut self, weights: &[f64]) -> Result<(), SolveError> {
        let k = self.problem.n_classes;
        let (own, constant) = weights.split_at(weights.len() - k);
        self.state.constant.copy_from_slice(constant);
        self.rows.set_weights(own)
    }

    /// The weights as they are held.
    fn held_weights(&mut self) -> Result<Vec<f64>, SolveError> {
        let mut weights = self.rows.weights()?;
        weights.extend_from_slice(&self.state.constant);
        Ok(weights)
    }

    /// A round: settles the last one, measures all rows at the weights of the order, offers those that are worst off, and takes the
    /// others to their maximisers a few times, as if they were alone.
    ///
    /// # Errors
    /// [`SolveError`] of the rows' storage.
    pub fn round(&mut self, order: &Order, returned: &[Returned]) -> Result<Contribution, SolveError> {
        self.settle(order.eta);
        self.take_back(returned);
        if order.double != self.double {
            self.double = order.double;
            self.rows = rows(&self.problem, self.double, self.scope);
        }
        self.state.tolerance = order.tolerance;
        let mean_loss = match &order.mean {
            Some(mean) => {
                self.put_weights(mean)?;
                Some(sweep::measure(&mut *self.rows, &mut self.state, &mut self.scratch, false)?.primal)
            }
            None => None,
        };
        self.put_weights(&order.weights)?;
        let bounds = sweep::measure(&mut *self.rows, &mut self.state, &mut self.scratch, true)?;
        let offers = self.offer(order.quota);
        if order.passes > 0 {
            self.schedule(order.passes);
        }
        self.keep(order.passes);
        let start = self.held_weights()?;
        let mut generator = ChaCha8Rng::seed_from_u64(order.seed);
        generator.set_stream(self.place);
        let mut visited = 0;
        for _ in 0..order.passes {
            visited += sweep::epoch(&mut *self.rows, &mut self.state, &mut self.scratch, &mut generator)?;
            if self.state.seen.iter().all(|seen| seen.gap <= self.state.tolerance) {
                break;
            }
        }
        let mut delta = self.held_weights()?;
        delta.iter_mut().zip(&start).for_each(|(now, before)| *now -= before);
        let mut contribution = Contribution {
            loss: bounds.primal,
            gap: bounds.gap,
            mean_loss,
            delta,
            linear: 0.0,
            penalty_slope: 0.0,
            penalty_curvature: 0.0,
            offers,
            visited: visited as u64,
        };
        self.compare(&mut contribution);
        Ok(contribution)
    }

    /// Of every row at home its share of the gap when it was last met.
    #[must_use]
    pub fn gaps(&self) -> Vec<f64> {
        self.state.seen.iter().map(|seen| seen.gap).collect()
    }

    /// [`Part::round`], with copies of the rows that it offers.
    ///
    /// # Errors
    /// As there.
    pub fn answer(&mut self, order: &Order, returned: &[Returned]) -> Result<Answer, SolveError> {
        let contribution = self.round(order, returned)?;
        let rows: Vec<u32> = contribution.offers.iter().map(|offer| offer.row).collect();
        let cells = (!rows.is_empty()).then(|| SelectedRows::of(self.problem.source, &rows));
        Ok(Answer { contribution, cells })
    }

    /// Has the rows that are off by more than the tolerance visited in this round, the others not.
    fn schedule(&mut self, passes: u32) {
        let state = &mut self.state;
        for i in 0..state.rows.len() {
            state.sleep[i] = 0;
            state.due[i] = if state.seen[i].gap <= state.tolerance { state.epoch + passes } else { state.epoch };
        }
    }

    /// Keeps the variables of the rows that may be visited in this round.
    #[allow(clippy::cast_possible_truncation)]
    fn keep(&mut self, passes: u32) {
        let (k, stride, state) = (self.problem.n_classes, self.state.stride, &self.state);
        for i in (0..state.rows.len()).filter(|&i| state.due[i] < state.epoch + passes) {
            self.moved.push(i as u32);
            self.before.extend_from_slice(&state.a[i * stride..][..k]);
        }
    }

    /// Sums over the rows that have moved, of which alone the variables are kept.
    fn compare(&mut self, contribution: &mut Contribution) {
        let (k, stride) = (self.problem.n_classes, self.state.stride);
        let (moved, before) = (std::mem::take(&mut self.moved), std::mem::take(&mut self.before));
        let loss = self.state.loss;
        let mut change = vec![0.0; k];
        for (&i, old) in moved.iter().zip(before.chunks_exact(k)) {
            let now = &self.state.a[i as usize * stride..][..k];
            if now == old {
                continue;
            }
            let sample = self.state.samples[i as usize];
            change.iter_mut().zip(now).zip(old).for_each(|((change, now), old)| *change = now - old);
            contribution.linear += loss.margins.linear(sample.label, &change);
            if sample.cost > 0.0 {
                // pen is a quadratic form: pen(a + ηδ) = pen(a) + η·slope + η²·pen(δ).
                let of_change = loss.dual_penalty(sample.cost, &change);
                let both = loss.dual_penalty(sample.cost, now) - loss.dual_penalty(sample.cost, old);
                contribution.penalty_slope += both - of_change;
                contribution.penalty_curvature += 2.0 * of_change;
            }
            self.moved.push(i);
            self.before.extend_from_slice(old);
        }
    }

    /// Gives up the rows with the largest shares of the gap, at most `quota` and none that is within the tolerance.
    fn offer(&mut self, quota: usize) -> Vec<HotRow> {
        let (state, k) = (&mut self.state, self.problem.n_classes);
        if quota == 0 {
            return Vec::new();
        }
        let gap = |state: &DualState<'_>, i: usize| state.seen[i].gap;
        let mut worst: Vec<usize> = (0..state.rows.len()).filter(|&i| gap(state, i) > state.tolerance).collect();
        if worst.len() > quota {
            worst.select_nth_unstable_by(quota - 1, |&i, &j| gap(state, j).total_cmp(&gap(state, i)).then(i.cmp(&j)));
            worst.truncate(quota);
        }
        // From the last on, so that those that come into their places have been seen to.
        worst.sort_unstable_by(|i, j| j.cmp(i));
        let offers = worst.into_iter().map(|i| {
            let gap = gap(state, i);
            let (row, mut a) = state.remove(i);
            a.truncate(k);
            HotRow { row, a, gap }
        });
        offers.collect()
    }

    /// The part's share of a proof: sums over its variables, and its losses at weights.
    #[must_use]
    pub fn prove(&mut self, order: &ProofOrder, returned: &[Returned]) -> PartProof {
        self.settle(order.eta);
        self.take_back(returned);
        prove_rows(&self.problem, self.n_train, &self.state.rows, &self.state.a, self.state.stride, &order.weights)
    }
}

/// The share of some rows in a proof: sums over their variables `[rows, stride]`, and their losses at weights.
pub(super) fn prove_rows(
    problem: &Problem<'_>,
    n_train: usize,
    rows: &[u32],
    a: &[f64],
    stride: usize,
    weights: &[f64],
) -> PartProof {
    let (source, objective, k) = (problem.source, problem.objective, problem.n_classes);
    let point = DualPoint { source, objective, n_classes: k, rows, n_train, a, stride };
    let (weight, bias) = split_weights(objective, weights, k);
    let scorer = Scorer::new(weight, bias.as_deref(), source.scaler, k);
    let evaluation = evaluation::of_scorer(Some(&objective.loss), &scorer, source, rows, &[]);
    #[allow(clippy::cast_precision_loss)]
    let share = rows.len() as f64 / n_train as f64;
    // Of no rows the losses are 0.
    let of = |loss: f64| if rows.is_empty() { 0.0 } else { share * loss };
    let (data_loss, data_loss_at_most) = (of(evaluation.data_loss), of(evaluation.data_loss_at_most));
    PartProof { sums: point.sums(), evaluation: Evaluation { data_loss, data_loss_at_most, ..evaluation } }
}

/// The weights of the features, and the bias that those of the constant feature make.
pub(super) fn split_weights<'w>(objective: &Objective, weights: &'w [f64], k: usize) -> (&'w [f64], Option<Vec<f64>>) {
    let (own, constant) = weights.split_at(weights.len() - k);
    let bias = match objective.bias {
        BiasRule::Regularised { scale } => Some(constant.iter().map(|w| scale * w).collect()),
        BiasRule::Free => Some(constant.to_vec()),
        BiasRule::None => None,
    };
    (own, bias)
}
