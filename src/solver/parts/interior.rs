//! The interior point method over blocks, for few features: of any scale, collinear, and with a bias that is free.
//!
//! A pass over the blocks answers an order. Beside the variables of the dual each block keeps its interior point, about four numbers a row and
//! class; the weights are kept before every step, and whatever has ended a run, the next goes on from them: points that have made the step
//! and points that have not are as good as any.

use super::blocks::{BlockLimits, source};
use super::conclusion::combine;
use super::coordinator::Outcome;
use super::hot::{Setting, numbers};
use super::messages::PartProof;
use super::part::{PartVariables, prove_rows};
use super::store::BlockStore;
use crate::data::SelectedRows;
use crate::model::BiasRule;
use crate::objective::Objective;
use crate::solver::checkpoint::Clock;
use crate::solver::newton::{
    InteriorAnswer, InteriorOrder, InteriorWork, JointIterate, JointSetting, Price, READS, answer, dual_variables,
};
use crate::solver::{Certificate, LogEntry, Measurement, Observer, SolveError, StopReason};

/// The choice between ascent and the interior point method, as of rows in memory.
pub(super) struct InteriorChoice {
    price: Option<Price>,
    /// Whether there is no other method, as under a bias that is free.
    pub is_alone: bool,
    /// Visits, and the smallest gap so far, after every pass.
    trail: Vec<(f64, f64)>,
}

impl InteriorChoice {
    /// # Errors
    /// [`SolveError::FreeInParts`], [`SolveError::NewtonInParts`] where there is no other method, and the system is too large.
    pub fn new(setting: &Setting, memory: f64, is_alone: bool) -> Result<Self, SolveError> {
        let Setting { objective, n_train, n_features, n_classes, .. } = setting;
        let (n_features, n_classes) = (*n_features, *n_classes);
        let price = Price::of_parts(objective, (*n_train, n_features, n_classes));
        let price = price.filter(|price| price.bytes <= memory);
        let is_alone = objective.bias == BiasRule::Free || is_alone;
        if is_alone && price.is_none() {
            return Err(match objective.bias {
                BiasRule::Free => SolveError::FreeInParts { n_features, n_classes },
                _ => SolveError::NewtonInParts { n_features, n_classes },
            });
        }
        Ok(Self { price, is_alone, trail: Vec::new() })
    }

    /// Weights of the interior point method that an earlier run over these blocks has kept for the same λ.
    ///
    /// # Errors
    /// [`SolveError::Storage`].
    pub fn kept(&self, setting: &Setting, store: &mut dyn BlockStore) -> Result<Option<Vec<f64>>, SolveError> {
        let kept = store.point(None)?.unwrap_or_default();
        let is_same = self.price.is_some() && kept.first() == Some(&setting.objective.lambda);
        Ok(is_same.then(|| kept[1..].to_vec()))
    }

    /// Whether the goal is further away than the price of the interior point method, once as much has been spent, and that has as many passes left as it
    /// is reckoned to take.
    #[allow(clippy::cast_precision_loss)]
    pub fn is_dear(&mut self, spent: f64, gap: f64, goal: f64, passes_left: u64) -> bool {
        let smallest = self.trail.last().map_or(f64::INFINITY, |&(_, gap)| gap);
        let gap = gap.min(smallest);
        self.trail.push((spent, gap));
        let half = self.trail.partition_point(|&(at, _)| at <= spent / 2.0);
        let before = half.checked_sub(1).and_then(|half| self.trail.get(half));
        let (Some(price), Some(&(at, before))) = (self.price, before) else { return false };
        let rate = (before / gap).ln() / (spent - at);
        let left = (gap / goal.max(f64::MIN_POSITIVE)).ln();
        // A gap that does not fall, or is no number, never arrives.
        let arrives = left <= rate * price.visits;
        spent >= price.visits && passes_left as f64 >= READS && !arrives
    }

    /// Whether the interior point method that has stopped so ends the run; it is not tried again.
    pub fn is_over(&mut self, stop: StopReason) -> bool {
        self.price = None;
        self.is_alone || stop != StopReason::NoProgress
    }
}

/// Bytes of the system of the interior point method over parts, by the numbers of rows, features and classes; `None` where it is too large
/// for any memory.
#[must_use]
pub fn system_bytes(objective: &Objective, counts: (usize, usize, usize)) -> Option<f64> {
    Price::of_parts(objective, counts).map(|price| price.bytes)
}

/// Work of a run so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunWork {
    pub clock: Clock,
    pub passes: u64,
    pub proofs: u64,
    pub visits: u64,
    /// The largest bound that was proved.
    pub bound: f64,
}

/// The result: its weights, why it ended, and the work of the whole run.
pub(super) struct InteriorOutcome {
    pub outcome: Outcome,
    pub stop: StopReason,
    pub work: RunWork,
}

/// Trains until the gap is proved, a limit is met, or precision is exhausted; from the weights of an earlier run where they are given.
///
/// # Errors
/// As [`super::solve_blocks`].
pub(super) fn solve(
    setting: &Setting,
    limits: &BlockLimits,
    store: &mut dyn BlockStore,
    observer: &mut dyn Observer,
    kept: Option<Vec<f64>>,
    work: RunWork,
) -> Result<InteriorOutcome, SolveError> {
    let Setting { objective, n_features, n_classes, .. } = setting;
    let joint =
        JointSetting { objective: objective.clone(), n_features: *n_features, n_classes: *n_classes, gap: limits.gap };
    let is_new = kept.is_none();
    let joint = JointIterate::new(joint, kept.unwrap_or_default());
    InteriorRun { setting, limits, store, joint, is_new, work, best: None }.run(observer)
}

struct InteriorRun<'s> {
    setting: &'s Setting,
    limits: &'s BlockLimits,
    store: &'s mut dyn BlockStore,
    joint: JointIterate,
    /// Whether points that blocks have are those of another run.
    is_new: bool,
    work: RunWork,
    best: Option<Outcome>,
}

impl InteriorRun<'_> {
    fn run(mut self, observer: &mut dyn Observer) -> Result<InteriorOutcome, SolveError> {
        loop {
            let RunWork { passes, proofs, .. } = self.work;
            let is_last = passes + proofs + 1 >= self.limits.passes;
            if let Some(reason) = self.ending(observer).or(is_last.then_some(StopReason::EpochLimit)) {
                self.joint.stop(reason);
            }
            let order = self.joint.order();
            if let InteriorWork::Prove { weights, factors } = &order.work {
                if let Some(found) = self.prove(weights, factors, observer)? {
                    return Ok(found);
                }
                continue;
            }
            let is_build = matches!(order.work, InteriorWork::Build(_));
            if is_build {
                let lambda = self.setting.objective.lambda;
                let weights: Vec<f64> = std::iter::once(lambda).chain(self.joint.weights()).collect();
                self.store.keep_point(None, &weights)?;
            }
            let Some(found) = self.pass(&order, observer)? else { continue };
            self.joint.tell(found)?;
            if is_build {
                self.is_new = false;
                self.report(observer, self.joint.measurement());
            }
        }
    }

    fn ending(&self, observer: &dyn Observer) -> Option<StopReason> {
        let is_over = |seconds| self.work.clock.elapsed().as_secs_f64() >= seconds;
        match () {
            () if observer.interrupted() => Some(StopReason::Interrupted),
            () if self.limits.seconds.is_some_and(is_over) => Some(StopReason::TimeLimit),
            () => None,
        }
    }

    /// The answer of all blocks; `None` where the run ends meanwhile.
    fn pass(
        &mut self,
        order: &InteriorOrder,
        observer: &mut dyn Observer,
    ) -> Result<Option<InteriorAnswer>, SolveError> {
        let (setting, n_blocks) = (self.setting, self.store.n_blocks());
        let mut all: Option<InteriorAnswer> = None;
        for block in 0..n_blocks {
            if let Some(reason) = self.ending(observer) {
                self.joint.stop(reason);
                return Ok(None);
            }
            let (rows, mut point) = self.read(block)?;
            let train = numbers(rows.len());
            let problem = setting.problem(source(setting, &rows), &train);
            // On a thread of the pool.
            let own = rayon::scope(|_| answer(&problem, setting.n_train, order, &mut point));
            if matches!(order.work, InteriorWork::Build(_)) {
                self.store.keep_point(Some(block), &point)?;
            }
            all = match all {
                None => Some(own),
                Some(all) => all.merge(own),
            };
            observer.step(self.work.passes);
        }
        self.work.passes += 1;
        self.work.visits += setting.n_train as u64;
        all.map(Some).ok_or_else(|| SolveError::Storage("there are no rows".into()))
    }

    /// The rows of a block, and its interior point.
    fn read(&mut self, block: usize) -> Result<(SelectedRows, Vec<f64>), SolveError> {
        let next = (block + 1 < self.store.n_blocks()).then_some(block + 1);
        let rows = self.store.read(block, next)?;
        let point = if self.is_new { None } else { self.store.point(Some(block))? };
        Ok((rows, point.unwrap_or_default()))
    }

    /// A pass that proves weights; the result where it is the last.
    fn prove(
        &mut self,
        weights: &[f64],
        factors: &[f64],
        observer: &mut dyn Observer,
    ) -> Result<Option<InteriorOutcome>, SolveError> {
        let (setting, n_blocks, k) = (self.setting, self.store.n_blocks(), self.setting.n_classes);
        let mut all: Option<PartProof> = None;
        for block in 0..n_blocks {
            let (rows, point) = self.read(block)?;
            let train = numbers(rows.len());
            let problem = setting.problem(source(setting, &rows), &train);
            let (train, a) = dual_variables(&problem, setting.n_train, factors, &point);
            let own = prove_rows(&problem, setting.n_train, &train, &a, k, weights);
            match &mut all {
                None => all = Some(own),
                Some(all) => all.merge(own),
            }
            if setting.objective.bias != BiasRule::Free {
                // Ascent may go on from here, and that for another λ begin.
                self.store.keep(block, &PartVariables::of(train, a))?;
            }
        }
        self.work.proofs += 1;
        let Some(all) = all else { return Err(SolveError::Storage("there are no rows".into())) };
        let (measured, bound) = combine(setting, all, n_blocks + 1, weights);
        self.work.bound = self.work.bound.max(bound.dual);
        let certificate = Certificate::proved(measured.value, measured.at_most, self.work.bound)?;
        self.report(observer, certificate.into());
        let found = Outcome::new(setting, weights, certificate, measured.evaluation);
        let is_better = |best: &Outcome| found.certificate.primal <= best.certificate.primal;
        if self.best.as_ref().is_none_or(is_better) {
            self.best = Some(found);
        }
        let ends = self.joint.conclude(certificate.relative_gap);
        let (Some(stop), Some(outcome)) = (self.joint.end().filter(|_| ends), self.best.take_if(|_| ends)) else {
            return Ok(None);
        };
        if matches!(stop, StopReason::GapReached | StopReason::NoProgress) {
            self.store.keep_point(None, &[])?;
        }
        Ok(Some(InteriorOutcome { outcome: outcome.bounded(self.work.bound)?, stop, work: self.work }))
    }

    #[allow(clippy::cast_precision_loss)]
    fn report(&self, observer: &mut dyn Observer, measurement: Measurement) {
        let RunWork { clock, passes, visits, .. } = self.work;
        let entry = LogEntry {
            step: passes,
            epoch: visits as f64 / self.setting.n_train.max(1) as f64,
            loss: Some(measurement.primal),
            train_accuracy: None,
            validation_accuracy: None,
            seconds: clock.elapsed().as_secs_f64(),
        };
        observer.bounds(&entry, &measurement, 1.0);
    }
}
