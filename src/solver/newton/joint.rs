//! The interior point method over parts: a state machine that asks all parts for an order and is told the sums of their answers.
//!
//! ```text
//! once:             a triangular factor of all rows, of which the basis is made
//! an iteration:     Build    the sums of the system at the weights, after the step before
//!                   Predict  how far the predicted step goes; with it the aim, and the right-hand side of the corrected step
//!                   Correct  how far that goes
//! at a small gap:   Prove
//! ```
//!
//! The same functions of rows, system and step as in memory, without centrality correctors, each of which would cost two more orders, and without
//! a polish at the end. A part whose variables are lost goes on from the middle of its sets: no condition ties them to the weights.

use super::basis::RowMap;
use super::coordinates::Coordinates;
use super::iterate::{BestBounds, aim, best_bound, gone};
use super::order::{
    Built, CorrectedStep, InteriorAnswer, InteriorOrder, InteriorWork, Predicted, RowSurvey, TakenStep,
};
use super::point::FeasibleSet;
use super::system::System;
use super::{MOST, STUCK};
use crate::model::BiasRule;
use crate::objective::Objective;
use crate::solver::dual::free;
use crate::solver::stop::StopReason;
use crate::solver::{Measurement, SolveError};

/// Sizes and limits.
#[derive(Debug, Clone)]
pub(in crate::solver) struct JointSetting {
    pub objective: Objective,
    pub n_features: usize,
    pub n_classes: usize,
    /// The relative gap that is to be proved.
    pub gap: f64,
}

/// The order that is waited for.
enum Phase {
    Survey,
    Build(Option<TakenStep>),
    Predict(Prediction),
    Correct(CorrectedStep),
    /// A proof, and the prediction that follows one that misses the goal.
    Prove(Option<Prediction>),
}

/// A system with the predicted step.
struct Prediction {
    system: Box<System>,
    direction: Vec<f64>,
    mu: f64,
    count: f64,
}

/// The state machine.
pub(in crate::solver) struct JointIterate {
    setting: JointSetting,
    phase: Phase,
    map: RowMap,
    space: Option<Coordinates>,
    /// The weights, class after class; those of an earlier run in the same coordinates to begin with.
    u: Vec<f64>,
    best: BestBounds,
    best_u: Vec<f64>,
    factors: Vec<f64>,
    /// The measured gap at which a proof is worth its price.
    promised: f64,
    smallest: f64,
    least: f64,
    stuck: u32,
    iterations: u64,
    end: Option<StopReason>,
}

impl JointIterate {
    /// From weights of an earlier run over the same rows, or from 0 where there are none.
    pub fn new(setting: JointSetting, u: Vec<f64>) -> Self {
        let k = setting.n_classes;
        Self {
            promised: setting.gap,
            setting,
            phase: Phase::Survey,
            map: RowMap::default(),
            space: None,
            u,
            best: BestBounds { primal: f64::INFINITY, dual: f64::NEG_INFINITY },
            best_u: Vec::new(),
            factors: vec![0.0; k * k],
            smallest: f64::INFINITY,
            least: f64::INFINITY,
            stuck: 0,
            iterations: 0,
            end: None,
        }
    }

    /// Ends after the next proof.
    pub fn stop(&mut self, reason: StopReason) {
        self.end.get_or_insert(reason);
        if !matches!(self.phase, Phase::Prove(_)) {
            self.phase = Phase::Prove(None);
        }
    }

    /// Why it ends, once it does.
    pub const fn end(&self) -> Option<StopReason> {
        self.end
    }

    /// The order that it waits for was not answered, or some parts have lost their variables: on from the weights.
    pub fn lost(&mut self) {
        if !matches!(self.phase, Phase::Survey | Phase::Prove(None)) {
            self.phase = Phase::Build(None);
        }
    }

    /// The bounds that were measured last.
    pub fn measurement(&self) -> Measurement {
        let primal = self.setting.objective.lambda * self.best.primal;
        Measurement { primal, relative_gap: self.best.relative(), dual: None }
    }

    /// The weights as they are after the order that it waits for.
    pub fn weights(&self) -> Vec<f64> {
        match &self.phase {
            Phase::Build(Some(taken)) => self.after(taken),
            _ => self.u.clone(),
        }
    }

    fn after(&self, taken: &TakenStep) -> Vec<f64> {
        self.u.iter().zip(&taken.step.direction).map(|(u, du)| u + taken.length * du).collect()
    }

    /// The order that it waits for.
    pub fn order(&self) -> InteriorOrder {
        let work = match &self.phase {
            Phase::Survey => InteriorWork::Survey,
            Phase::Build(taken) => InteriorWork::Build(taken.clone()),
            Phase::Predict(Prediction { direction, mu, .. }) => {
                InteriorWork::Predict { direction: direction.clone(), mu: *mu }
            }
            Phase::Correct(step) => InteriorWork::Correct(step.clone()),
            Phase::Prove(_) => InteriorWork::Prove { weights: self.ordered(), factors: self.factors.clone() },
        };
        InteriorOrder { map: self.map.clone(), u: self.u.clone(), work }
    }

    /// The best weights and, in the last row, those of the constant feature: `[n_features + 1, n_classes]`, for preprocessed features.
    fn ordered(&self) -> Vec<f64> {
        let (d, k) = (self.setting.n_features, self.setting.n_classes);
        let Some(space) = self.space.as_ref().filter(|_| !self.best_u.is_empty()) else {
            return vec![0.0; (d + 1) * k];
        };
        let (mut weights, mut bias) = space.weights(&self.best_u, d);
        if self.is_centred() {
            free::centre(&mut bias);
        }
        let scale = match self.setting.objective.bias {
            BiasRule::Regularised { scale } => scale,
            BiasRule::None | BiasRule::Free => 1.0,
        };
        weights.extend(bias.iter().map(|b| b / scale));
        weights
    }

    fn is_centred(&self) -> bool {
        let Objective { loss, bias, .. } = &self.setting.objective;
        *bias == BiasRule::Free && loss.margins.differences()
    }

    /// Takes the sums of all answers to the order.
    ///
    /// # Errors
    /// [`SolveError::NotFinite`] for rows whose squares leave the range of numbers.
    pub fn tell(&mut self, answer: InteriorAnswer) -> Result<(), SolveError> {
        let blocks = FeasibleSet::blocks(&self.setting.objective.loss);
        let size = self.space.as_ref().map(|space| (space.width, space.n_classes));
        if size.is_some_and(|size| !answer.fits(size, blocks)) {
            return Err(SolveError::Storage("an answer: found one of another run".into()));
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Build(None));
        match (phase, answer) {
            (Phase::Survey, InteriorAnswer::Survey(survey)) => self.begin(&survey),
            (Phase::Build(taken), InteriorAnswer::Build(built)) => {
                if let Some(taken) = taken {
                    self.u = self.after(&taken);
                    self.iterations += 1;
                }
                self.decide(*built)
            }
            (Phase::Predict(prediction), InteriorAnswer::Predict(found)) => self.correct(prediction, &found),
            (Phase::Correct(step), InteriorAnswer::Correct(length)) => match gone(length) {
                Some(length) => self.phase = Phase::Build(Some(TakenStep { step, length })),
                None => self.stop(StopReason::NoProgress),
            },
            (phase, _) => self.phase = phase,
        }
        match self.u.iter().all(|u| u.is_finite()) {
            true => Ok(()),
            false => Err(SolveError::NotFinite { objective: self.best.primal.to_string() }),
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn begin(&mut self, survey: &RowSurvey) {
        let (bias, k) = (self.setting.objective.bias, self.setting.n_classes);
        let (space, map) = Coordinates::of_triangle(survey.matrix(), survey.rows as f64, bias, k);
        if self.u.len() != space.len() {
            self.u = vec![0.0; space.len()];
        }
        (self.space, self.map) = (Some(space), map);
    }

    /// Measures the weights, and predicts the next step or asks for a proof.
    fn decide(&mut self, built: Built) {
        let (Some(now), Some(space)) = (self.measure(&built), &self.space) else { return };
        let centred = self.is_centred();
        let system = System::new(space, FeasibleSet::blocks(&self.setting.objective.loss), built.blocks, centred);
        let prediction = system.map(Box::new).map(|system| {
            let direction = solved(space, &system, &self.u, built.right_hand_side);
            Prediction { system, direction, mu: built.products / built.count, count: built.count }
        });
        let mu = prediction.as_ref().map_or(f64::NAN, |prediction| prediction.mu);
        (self.stuck, self.smallest) =
            if now.relative() < 0.9 * self.smallest { (0, now.relative()) } else { (self.stuck + 1, self.smallest) };
        if mu < 0.9 * self.least {
            (self.stuck, self.least) = (0, mu);
        }
        if prediction.is_none() || self.stuck > STUCK || self.iterations >= MOST {
            self.end.get_or_insert(StopReason::NoProgress);
        }
        self.phase = match prediction {
            Some(prediction) if self.end.is_none() && now.relative() > self.promised => Phase::Predict(prediction),
            prediction => Phase::Prove(prediction),
        };
    }

    /// Compares the weights and the dual variables with the best so far.
    fn measure(&mut self, built: &Built) -> Option<BestBounds> {
        let (space, loss, k) = (self.space.as_ref()?, &self.setting.objective.loss, self.setting.n_classes);
        self.factors = vec![1.0; k * k];
        if self.setting.objective.bias == BiasRule::Free {
            self.factors = free::factors(&built.flows, k, loss.margins.differences());
        }
        let (width, mut sums, mut linear) = (space.width, vec![0.0; space.len()], 0.0);
        let (mut a, mut beta) = (vec![0.0; k], vec![0.0; k]);
        for label in 0..k {
            let factors = &self.factors[label * k..(label + 1) * k];
            let flows = built.flows[label * k..(label + 1) * k].iter().zip(factors);
            linear += loss.margins.linear(label, &flows.map(|(flow, f)| flow * f).collect::<Vec<f64>>());
            for p in 0..width {
                a.iter_mut().zip(factors).enumerate().for_each(|(j, (a, f))| {
                    *a = f * built.sums[(label * k + j) * width + p];
                });
                loss.dual_coefficients(label, &a, &mut beta);
                beta.iter().enumerate().for_each(|(j, beta)| sums[j * width + p] += beta);
            }
        }
        // Variables that were shrunk have no larger penalty.
        let dual = best_bound(loss, linear, space.of_dual(&sums, &self.u).1 + built.penalty);
        let primal = space.half_square(&self.u) + built.loss;
        if primal < self.best.primal {
            self.best.primal = primal;
            self.best_u.clone_from(&self.u);
        }
        self.best.dual = self.best.dual.max(dual);
        // The variables as they are now are those that a proof takes.
        Some(BestBounds { primal: self.best.primal, dual })
    }

    fn correct(&mut self, prediction: Prediction, found: &Predicted) {
        let Some(space) = &self.space else { return };
        let Prediction { system, direction, mu, count } = prediction;
        let Some((_, target)) = aim(found.products, found.length, count) else {
            return self.stop(StopReason::NoProgress);
        };
        let share = target / mu;
        let mixed = found.none.iter().zip(&found.whole).map(|(none, whole)| none + share * (whole - none)).collect();
        let corrected = solved(space, &system, &self.u, mixed);
        self.phase = Phase::Correct(CorrectedStep { predicted: direction, target, direction: corrected });
    }

    /// Takes the relative gap that a proof has left; whether it is the last.
    pub fn conclude(&mut self, relative_gap: f64) -> bool {
        if relative_gap <= self.setting.gap {
            self.end = self.end.filter(|end| *end == StopReason::Interrupted).or(Some(StopReason::GapReached));
        }
        let now = self.best.relative();
        self.promised = self.promised.min(0.3 * now);
        if let (None, Phase::Prove(next)) = (self.end, std::mem::replace(&mut self.phase, Phase::Prove(None))) {
            self.phase = next.map_or(Phase::Build(None), Phase::Predict);
        }
        self.end.is_some()
    }
}

/// δu of a right-hand side.
fn solved(space: &Coordinates, system: &System, u: &[f64], mut values: Vec<f64>) -> Vec<f64> {
    values.iter_mut().zip(space.regularised(u)).for_each(|(value, r)| *value -= r);
    system.solve(&mut values);
    values
}
