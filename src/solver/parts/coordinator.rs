//! The coordinator: a state machine that asks all parts for a round or for a proof and is told their answers.

use super::hot::{HotRows, Setting};
use super::messages::{Answer, Contribution, Order, ProofOrder, Returned};
use super::part::{PartVariables, split_weights};
use crate::evaluation::Evaluation;
use crate::solver::dual::state::Bounds;
use crate::solver::newton::InteriorOrder;
use crate::solver::{Certificate, SolveError};
use serde::{Deserialize, Serialize};

/// Share of the gap, of what an average row may have in the end, up to which a row is left alone.
const SETTLED: f64 = 0.1;
/// Below this gap single precision cannot certify, and after so many rounds without progress it is given up, too.
const SINGLE_PRECISION_GAP: f64 = 1e-5;
const STUCK: u32 = 4;
/// Exponent of the number of a round, its weight in the mean of W.
const MEAN: f64 = 3.0;
/// Passes of a part over its rows in a round, and of the coordinator over the hot rows at most.
const PASSES: u32 = 5;
const HOT_PASSES: u32 = 50;
/// Share of all rows that may become hot in a round.
const HOT_SHARE: f64 = 0.03;
/// Share of the gap, of what an average row has now, up to which a row is left alone.
const TOLERANCE: f64 = 0.1;
/// Rounds in a row in which a hot row is at its optimum after which it goes home.
const CALM: u8 = 3;

/// Limits and sizes of a run in parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// The relative gap that is to be proved.
    pub gap: f64,
    /// Rounds, at most.
    pub rounds: u64,
    /// Hot rows, at most; 0 for none.
    pub hot_rows: usize,
    /// Whether weights are held in double precision from the beginning.
    pub double: bool,
}

/// A step that the coordinator waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// [`super::Part::round`] of every part; with the rows that come home to each.
    Round(Order, Vec<Vec<Returned>>),
    /// [`super::Part::prove`] of every part.
    Proof(ProofOrder, Vec<Vec<Returned>>),
    /// [`super::answer_interior`] of every part.
    Interior(Box<InteriorOrder>),
    /// Nothing: it is done.
    Done,
}

/// Weights with their certificate.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// `[n_features, n_classes]`, for preprocessed features.
    pub weight: Vec<f64>,
    /// Of a regularised bias.
    pub bias: Option<Vec<f64>>,
    /// Bounds on the optimum.
    pub certificate: Certificate,
    /// Of the training rows.
    pub evaluation: Evaluation,
}

impl Outcome {
    /// Of weights in the form of [`Order`].
    pub(super) fn new(setting: &Setting, weights: &[f64], certificate: Certificate, evaluation: Evaluation) -> Self {
        let (weight, bias) = split_weights(&setting.objective, weights, setting.n_classes);
        Self { weight: weight.to_vec(), bias, certificate, evaluation }
    }

    /// With another bound of the optimum, which was proved as well.
    pub(super) fn bounded(self, dual: f64) -> Result<Self, SolveError> {
        let primal = self.certificate.primal;
        let at_most = primal.max(self.certificate.dual + self.certificate.gap());
        Ok(Self { certificate: Certificate::proved(primal, at_most, dual)?, ..self })
    }
}

/// Progress after a round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Rounds made.
    pub round: u64,
    /// The objective at the best weights, and its distance to the dual bound as a share of it.
    pub primal: f64,
    /// See `primal`.
    pub relative_gap: f64,
    /// The share of the parts' steps that was taken.
    pub eta: f64,
    /// Hot rows.
    pub hot_rows: usize,
    /// Visits to rows so far: by all parts, by the slowest part of each round, and by the coordinator.
    pub visits: u64,
    /// See `visits`.
    pub slowest: u64,
    /// See `visits`.
    pub hot_visits: u64,
}

/// The state machine.
pub struct Coordinator {
    pub(super) setting: Setting,
    pub(super) limits: Limits,
    pub(super) n_parts: usize,
    /// W, in the form of [`Order`].
    pub(super) weights: Vec<f64>,
    mean: Vec<f64>,
    mean_weight: f64,
    mean_leads: bool,
    /// The best weights that were measured, and their primal.
    pub(super) best: Option<(f64, Vec<f64>)>,
    /// The largest dual that was measured, and the largest bound that was proved (of the objective itself).
    pub(super) dual: f64,
    pub(super) bound: f64,
    pub(super) hot: HotRows,
    returned: Vec<Vec<Returned>>,
    pub(super) eta: f64,
    pub(super) double: bool,
    /// The measured gap at which a proof is tried.
    pub(super) goal: f64,
    gap: f64,
    stuck: u32,
    pub(super) wants_proof: bool,
    pub(super) is_rebuilding: bool,
    pub(super) last: bool,
    pub(super) outcome: Option<Outcome>,
    pub(super) progress: Progress,
}

impl Coordinator {
    /// All dual variables zero.
    #[must_use]
    pub fn new(setting: Setting, limits: Limits, n_parts: usize) -> Self {
        let weights = vec![0.0; (setting.n_features + 1) * setting.n_classes];
        Self {
            limits,
            n_parts,
            mean: vec![0.0; weights.len()],
            weights,
            mean_weight: 0.0,
            mean_leads: false,
            best: None,
            dual: f64::NEG_INFINITY,
            bound: 0.0,
            hot: HotRows::default(),
            returned: vec![Vec::new(); n_parts],
            eta: 1.0,
            double: limits.double,
            goal: limits.gap,
            gap: f64::INFINITY,
            stuck: 0,
            wants_proof: false,
            is_rebuilding: false,
            last: false,
            outcome: None,
            progress: Progress {
                round: 0,
                primal: f64::INFINITY,
                relative_gap: f64::INFINITY,
                eta: 1.0,
                hot_rows: 0,
                visits: 0,
                slowest: 0,
                hot_visits: 0,
            },
            setting,
        }
    }

    /// The step that it waits for.
    #[must_use]
    pub fn request(&mut self) -> Request {
        if self.outcome.is_some() {
            return Request::Done;
        }
        let returned = std::mem::replace(&mut self.returned, vec![Vec::new(); self.n_parts]);
        if self.wants_proof {
            let weights = self.best.as_ref().map_or_else(|| self.weights.clone(), |(_, weights)| weights.clone());
            return Request::Proof(ProofOrder { weights, eta: self.eta }, returned);
        }
        Request::Round(self.order(), returned)
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    fn order(&self) -> Order {
        let quota = (HOT_SHARE * self.setting.n_train as f64 / self.n_parts as f64).ceil() as usize;
        let room = self.limits.hot_rows.saturating_sub(self.hot.len()) / self.n_parts;
        let first = self.progress.round == 0;
        Order {
            weights: self.weights.clone(),
            eta: self.eta,
            tolerance: self.tolerance(),
            quota: if first || self.n_parts == 1 { 0 } else { quota.min(room) },
            passes: PASSES,
            double: self.double,
            seed: self.setting.seed.wrapping_add(self.progress.round),
            mean: self.is_turn_of_mean().then(|| self.mean.clone()),
        }
    }

    /// Whether the mean of W is measured: where it was better than W, and now and then.
    fn is_turn_of_mean(&self) -> bool {
        let round = self.progress.round;
        round >= 4 && (self.mean_leads || (round.is_power_of_two() && round.trailing_zeros().is_multiple_of(2)))
    }

    /// Share of the gap, of the objective divided by λ, up to which a row is left alone.
    #[allow(clippy::cast_precision_loss)]
    fn tolerance(&self) -> f64 {
        if !self.gap.is_finite() {
            return -1.0;
        }
        (TOLERANCE * self.gap / self.setting.n_train as f64).max(self.settled())
    }

    /// Ends after the next proof.
    pub fn stop(&mut self) {
        (self.last, self.wants_proof) = (true, true);
    }

    /// A part was lost, and has begun again from other variables ([`super::PartVariables::restored`]): W is put together anew. What was
    /// measured and proved remains true.
    pub fn lost(&mut self) {
        self.wants_proof = true;
        self.is_rebuilding = true;
    }

    /// A request that not all parts have answered, because some were [lost](Self::lost): the rows that it sent home are on their way again,
    /// and the other parts have the variables that they had before it.
    pub fn abandon(&mut self, request: Request) {
        if let Request::Round(_, returned) | Request::Proof(_, returned) = request {
            self.returned = returned;
        }
        self.lost();
    }

    /// The answers of all parts to [`Request::Round`], in their order.
    ///
    /// # Errors
    /// [`SolveError`] of the hot rows' storage, [`SolveError::NotFinite`].
    pub fn tell(&mut self, order: &Order, answers: Vec<Answer>) -> Result<(), SolveError> {
        let own = Order { passes: 0, quota: 0, eta: 1.0, tolerance: self.settled(), ..order.clone() };
        let hot = self.hot.work(&self.setting, &own)?;
        self.measure(order, &answers, hot.as_ref())?;
        self.hot.count_calm(self.settled());
        self.progress.round += 1;
        self.step(&answers);
        for (part, Answer { contribution, cells }) in answers.iter().enumerate() {
            if let Some(cells) = cells {
                self.hot.welcome(part, &contribution.offers, cells);
            }
        }
        self.returned = self.hot.farewell(CALM, self.n_parts, self.setting.n_classes);
        let own =
            Order { weights: self.weights.clone(), passes: HOT_PASSES, tolerance: self.tolerance(), mean: None, ..own };
        let hot = self.hot.work(&self.setting, &own)?;
        if let Some(hot) = hot {
            self.weights.iter_mut().zip(&hot.delta).for_each(|(w, d)| *w += d);
            self.progress.hot_visits += hot.visited;
        }
        self.average();
        self.progress.visits += answers.iter().map(|a| a.contribution.visited).sum::<u64>();
        self.progress.slowest += answers.iter().map(|a| a.contribution.visited).max().unwrap_or(0);
        self.progress.hot_rows = self.hot.len();
        Ok(())
    }

    /// Tolerance of a row that is at its optimum for good.
    #[allow(clippy::cast_precision_loss)]
    fn settled(&self) -> f64 {
        if self.progress.primal.is_finite() {
            SETTLED * self.goal * self.progress.primal / self.setting.objective.lambda / self.setting.n_train as f64
        } else {
            -1.0
        }
    }

    /// The bounds at the weights of an order.
    fn measure(&mut self, order: &Order, answers: &[Answer], hot: Option<&Contribution>) -> Result<(), SolveError> {
        let all = || answers.iter().map(|answer| &answer.contribution).chain(hot);
        let half = square(&order.weights) / 2.0;
        let primal = half + all().map(|c| c.loss).sum::<f64>();
        let dual = primal - all().map(|c| c.gap).sum::<f64>();
        let mut points = vec![(primal, &order.weights)];
        if let Some(mean) = &order.mean {
            let of_mean = square(mean) / 2.0 + all().filter_map(|c| c.mean_loss).sum::<f64>();
            self.mean_leads = of_mean < primal;
            points.push((of_mean, mean));
        }
        for (primal, weights) in points {
            if self.best.as_ref().is_none_or(|(best, _)| primal < *best) {
                self.best = Some((primal, weights.clone()));
            }
        }
        self.dual = self.dual.max(dual);
        let best = self.best.as_ref().map_or(primal, |(best, _)| *best);
        let gap = best - self.dual;
        if !gap.is_finite() {
            return Err(SolveError::NotFinite { objective: primal.to_string() });
        }
        self.stuck = if gap > 0.95 * self.gap { self.stuck + 1 } else { 0 };
        self.gap = gap.min(self.gap);
        let relative = Bounds { primal: best, gap }.relative();
        let lambda = self.setting.objective.lambda;
        (self.progress.primal, self.progress.relative_gap) = (lambda * best, relative);
        let near = self.limits.gap < SINGLE_PRECISION_GAP && relative < 3.0 * SINGLE_PRECISION_GAP;
        self.double |= near || self.stuck >= STUCK;
        self.last |= self.progress.round + 1 >= self.limits.rounds;
        self.wants_proof = relative <= self.goal || self.last;
        Ok(())
    }

    /// The parts' changes with the best factor: along them the dual is a parabola.
    fn step(&mut self, answers: &[Answer]) {
        let mut delta = vec![0.0; self.weights.len()];
        let (mut slope, mut curvature) = (0.0, 0.0);
        for Answer { contribution, .. } in answers {
            delta.iter_mut().zip(&contribution.delta).for_each(|(sum, d)| *sum += d);
            slope += contribution.linear - contribution.penalty_slope;
            curvature += contribution.penalty_curvature;
        }
        slope -= self.weights.iter().zip(&delta).map(|(w, d)| w * d).sum::<f64>();
        curvature += square(&delta);
        self.eta = match curvature {
            _ if self.n_parts == 1 => 1.0,
            curvature if curvature > 0.0 => (slope / curvature).clamp(0.0, 1.0),
            _ => 1.0,
        };
        self.progress.eta = self.eta;
        self.weights.iter_mut().zip(&delta).for_each(|(w, d)| *w += self.eta * d);
    }

    #[allow(clippy::cast_precision_loss)]
    fn average(&mut self) {
        let weight = (self.progress.round as f64).powf(MEAN);
        self.mean_weight += weight;
        let rate = weight / self.mean_weight;
        self.mean.iter_mut().zip(&self.weights).for_each(|(mean, w)| *mean += rate * (w - *mean));
    }

    /// The result, once it is done.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// After the last round.
    #[must_use]
    pub const fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The rows of a part that are not at home: hot, or on their way home.
    #[must_use]
    pub fn away(&self, part: usize) -> Vec<u32> {
        let mut away = self.hot.of_part(part);
        away.extend(self.returned[part].iter().map(|(row, _)| row));
        away
    }

    /// The variables of those rows.
    #[must_use]
    pub fn variables_away(&self, part: usize) -> PartVariables {
        let hot = self.hot.list(self.setting.n_classes).into_iter().filter(|(home, _)| *home == part);
        let all = hot.map(|(_, hot)| (hot.row, hot.a)).chain(self.returned[part].iter().cloned());
        let (rows, a): (Vec<u32>, Vec<Vec<f64>>) = all.unzip();
        PartVariables::of(rows, a.concat())
    }
}

fn square(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum()
}
