//! The method of a run in parts: ascent in rounds, the interior point method, or the one after the other.

use super::conclusion::combine;
use super::coordinator::{Coordinator, Limits, Outcome, Progress, Request};
use super::hot::{Setting, numbers};
use super::interior::InteriorChoice;
use super::messages::{Answers, PartProof};
use super::part::{PartVariables, prove_rows};
use crate::data::batch::Source;
use crate::solver::newton::{InteriorOrder, InteriorWork, JointIterate, JointSetting, READ, answer, dual_variables};
use crate::solver::{Certificate, SolveError, StopReason};

/// A state machine like the [`Coordinator`], which it has for ascent. The interior point method does all of the work under a bias that is free, and goes
/// on where ascent is further from the goal than its price.
pub struct Leader {
    ascent: Coordinator,
    setting: Setting,
    limits: Limits,
    n_parts: usize,
    relay: InteriorChoice,
    interior: Option<JointIterate>,
    /// Of the interior point method: the best that was proved, and the largest bound.
    best: Option<Outcome>,
    bound: f64,
    outcome: Option<Outcome>,
    progress: Progress,
}

impl Leader {
    /// All dual variables zero.
    ///
    /// # Errors
    /// [`SolveError::FreeInParts`] under a bias that is free, where the system of the interior point method is too large.
    pub fn new(setting: Setting, limits: Limits, n_parts: usize) -> Result<Self, SolveError> {
        let relay = InteriorChoice::new(&setting, f64::INFINITY, false)?;
        let ascent = Coordinator::new(setting.clone(), limits, n_parts);
        let progress = *ascent.progress();
        let mut leader = Self {
            ascent,
            setting,
            limits,
            n_parts,
            interior: None,
            best: None,
            bound: 0.0,
            outcome: None,
            progress,
            relay,
        };
        if leader.relay.is_alone {
            leader.interior = Some(leader.joint());
        }
        Ok(leader)
    }

    fn joint(&self) -> JointIterate {
        let Setting { objective, n_features, n_classes, .. } = &self.setting;
        let (objective, n_features, n_classes, gap) = (objective.clone(), *n_features, *n_classes, self.limits.gap);
        JointIterate::new(JointSetting { objective, n_features, n_classes, gap }, Vec::new())
    }

    /// The step that it waits for.
    #[must_use]
    pub fn request(&mut self) -> Request {
        match &self.interior {
            _ if self.outcome.is_some() => Request::Done,
            Some(interior) => Request::Interior(Box::new(interior.order())),
            None => self.ascent.request(),
        }
    }

    /// The answers of all parts to a request, those of a round in the order of the parts.
    ///
    /// # Errors
    /// As of the [`Coordinator`]; [`SolveError::Storage`] for answers to another request.
    pub fn tell(&mut self, request: &Request, answers: Answers) -> Result<(), SolveError> {
        match (request, answers) {
            (Request::Round(order, _), Answers::Round(answers)) if answers.len() == self.n_parts => {
                self.ascent.tell(order, answers)?;
                self.progress = *self.ascent.progress();
                self.choose();
            }
            (Request::Proof(order, _), Answers::Proof(proofs)) => {
                self.ascent.conclude(order, proofs)?;
                self.outcome = self.ascent.outcome().cloned();
            }
            (Request::Interior(order), Answers::Interior(found)) => self.step(order, *found)?,
            (Request::Interior(order), Answers::Proof(proofs)) => self.conclude(order, proofs)?,
            _ => return Err(other()),
        }
        Ok(())
    }

    #[allow(clippy::cast_precision_loss)]
    fn choose(&mut self) {
        let Progress { visits, hot_visits, round, relative_gap, .. } = self.progress;
        let spent = (visits + hot_visits) as f64 + READ * round as f64 * self.setting.n_train as f64;
        if relative_gap > self.limits.gap
            && self.relay.is_dear(spent, relative_gap, self.limits.gap, self.limits.rounds.saturating_sub(round))
        {
            self.interior = Some(self.joint());
        }
    }

    fn step(&mut self, order: &InteriorOrder, found: crate::solver::newton::InteriorAnswer) -> Result<(), SolveError> {
        let Some(interior) = &mut self.interior else { return Err(other()) };
        interior.tell(found)?;
        self.progress.round += 1;
        self.progress.visits += self.setting.n_train as u64;
        self.progress.slowest += (self.setting.n_train / self.n_parts.max(1)) as u64;
        if matches!(order.work, InteriorWork::Build(_)) {
            let now = interior.measurement();
            (self.progress.primal, self.progress.relative_gap) = (now.primal, now.relative_gap);
        }
        if self.progress.round + 1 >= self.limits.rounds {
            interior.stop(StopReason::EpochLimit);
        }
        Ok(())
    }

    fn conclude(&mut self, order: &InteriorOrder, proofs: Vec<PartProof>) -> Result<(), SolveError> {
        let (Some(interior), InteriorWork::Prove { weights, .. }) = (&mut self.interior, &order.work) else {
            return Err(other());
        };
        let all = proofs.into_iter().reduce(|mut all, part| {
            all.merge(part);
            all
        });
        let Some(all) = all else { return Err(other()) };
        let (measured, bound) = combine(&self.setting, all, self.n_parts + 1, weights);
        self.bound = self.bound.max(bound.dual);
        let certificate = Certificate::proved(measured.value, measured.at_most, self.bound)?;
        (self.progress.primal, self.progress.relative_gap) = (certificate.primal, certificate.relative_gap);
        let found = Outcome::new(&self.setting, weights, certificate, measured.evaluation);
        let better = self.best.take().filter(|best| best.certificate.primal < certificate.primal);
        let ends = interior.conclude(certificate.relative_gap);
        let stop = interior.end().filter(|_| ends);
        let best = better.map_or(Ok(found), |best| best.bounded(self.bound))?;
        match stop {
            Some(stop) if !self.relay.is_over(stop) => self.interior = None,
            Some(_) => self.outcome = Some(best),
            None => self.best = Some(best),
        }
        Ok(())
    }

    /// A request that not all parts have answered, because some were lost; none where they were lost between two. See
    /// [`Coordinator::abandon`].
    pub fn lost(&mut self, request: Option<Request>) {
        if let Some(interior) = &mut self.interior {
            return interior.lost();
        }
        match request {
            Some(request) => self.ascent.abandon(request),
            None => self.ascent.lost(),
        }
    }

    /// Ends after the next proof.
    pub fn stop(&mut self) {
        match &mut self.interior {
            Some(interior) => interior.stop(StopReason::Interrupted),
            None => self.ascent.stop(),
        }
    }

    /// The rows of a part that are not at home.
    #[must_use]
    pub fn away(&self, part: usize) -> Vec<u32> {
        self.ascent.away(part)
    }

    /// The variables of those rows.
    #[must_use]
    pub fn variables_away(&self, part: usize) -> PartVariables {
        self.ascent.variables_away(part)
    }

    /// The result, once it is done.
    #[must_use]
    pub const fn outcome(&self) -> Option<&Outcome> {
        self.outcome.as_ref()
    }

    /// After the last step.
    #[must_use]
    pub const fn progress(&self) -> &Progress {
        &self.progress
    }
}

fn other() -> SolveError {
    SolveError::Storage("answers: found those to another request, expected those of all parts to the last one".into())
}

/// Makes an order of the interior point method with the rows of a part.
///
/// # Errors
/// [`SolveError::Storage`] for an order of another run.
pub fn answer_interior(
    setting: &Setting,
    source: Source<'_>,
    order: &InteriorOrder,
    variables: &mut PartVariables,
) -> Result<Answers, SolveError> {
    let Setting { objective, n_features, n_classes, n_train, .. } = setting;
    if !order.fits(objective, *n_features, *n_classes) {
        return Err(SolveError::Storage("an order: found one of another run".into()));
    }
    let all = numbers(source.features.n_rows());
    let problem = setting.problem(source, &all);
    if let InteriorWork::Prove { weights, factors } = &order.work {
        let (rows, a) = dual_variables(&problem, *n_train, factors, &variables.point);
        let proof = prove_rows(&problem, *n_train, &rows, &a, *n_classes, weights);
        return Ok(Answers::Proof(vec![proof]));
    }
    Ok(Answers::Interior(Box::new(answer(&problem, *n_train, order, &mut variables.point))))
}
