//! The training loop, of a run alone and of a stack: a run alone is a stack of one.

use super::engine::{self, Engine, Objectives, Parameters, Step, forget};
use super::feed::{self, StepRows};
use super::sampler::Sampler;
use super::stacked::{Member, MemberFit};
use super::{SgdConfig, agreement, draws};
use crate::solver::stop::{BestState, StopReason, WatchedMetric, is_diverged};
use crate::solver::{Fit, GradientReport, LogEntry, Observer, Problem, SolveError};
use std::time::{Duration, Instant};

/// Progress of a member.
#[derive(Debug, Clone, Default)]
pub(super) struct MemberState {
    pub first_loss: Option<f64>,
    curve: Vec<(u64, f64)>,
    /// Set once it has diverged: the logged step.
    lost: Option<u64>,
}

impl MemberState {
    /// Notes the objective of a logged step; true where it has diverged.
    fn note(&mut self, step: u64, loss: f64) -> bool {
        let first = *self.first_loss.get_or_insert(loss);
        if loss.is_finite() {
            self.curve.push((step, loss));
        }
        if is_diverged(loss, first) {
            self.lost = Some(step);
        }
        self.lost.is_some()
    }
}

/// A run between two steps.
pub(super) struct SgdRun<'a> {
    config: &'a SgdConfig,
    pub problem: &'a Problem<'a>,
    members: &'a [Member],
    pub engine: Box<dyn Engine + 'a>,
    pub states: Vec<MemberState>,
    /// Rows of the accuracy estimate.
    estimate: Vec<u32>,
    pub steps: u64,
    /// The step before which this stretch of the run ends: its last, or that of a visit to a block.
    until: u64,
    /// Steps of an epoch, where they are not those of the rows of the problem.
    per_epoch: Option<u64>,
    pub made: u64,
    stop: StopReason,
    pub solving: Duration,
    pub evaluating: Duration,
    pub clock: Instant,
    pub best: Option<BestState<Parameters>>,
}

/// Trains all members by the engine that suits them; the results come in their order.
pub(super) fn train(
    config: &SgdConfig,
    problem: &Problem<'_>,
    members: &[Member],
    observer: &mut dyn Observer,
) -> Result<Vec<MemberFit>, SolveError> {
    let fits = SgdRun::new(config, problem, members, engine::choose(config, problem, members)).train(observer);
    forget(&problem.device.device);
    fits
}

impl<'a> SgdRun<'a> {
    pub fn new(
        config: &'a SgdConfig,
        problem: &'a Problem<'a>,
        members: &'a [Member],
        engine: Box<dyn Engine + 'a>,
    ) -> Self {
        let steps = config.total_steps(problem.train.len());
        Self {
            config,
            problem,
            members,
            engine,
            states: vec![MemberState::default(); members.len()],
            estimate: draws::estimate_rows(problem),
            steps,
            until: steps,
            per_epoch: None,
            made: 0,
            stop: StopReason::Finished,
            solving: Duration::ZERO,
            evaluating: Duration::ZERO,
            clock: Instant::now(),
            best: problem.early_stopping.map(BestState::new),
        }
    }

    /// As a visit of a run of `steps` in all, `per_epoch` of which are an epoch, that ends before step `until`. Accuracies are not measured.
    pub fn visit(self, steps: u64, per_epoch: u64, until: u64) -> Self {
        Self { steps, until, per_epoch: Some(per_epoch), estimate: Vec::new(), ..self }
    }

    /// All of the run.
    pub fn train(mut self, observer: &mut dyn Observer) -> Result<Vec<MemberFit>, SolveError> {
        let (config, problem) = (self.config, self.problem);
        let mut sampler = Sampler::new(problem.train, config.sampling, config.batch_size.get(), problem.seed);
        let gradient = self.checked(&sampler, observer)?;
        observer.start(self.steps);
        if let Some(text) = self.engine.notice() {
            observer.warning(&text);
        }
        if let Some(kept) = self.engine.single().and_then(|_| observer.resume()) {
            self.restore(kept)?;
        }
        sampler.skip(self.made);
        self.make_steps(sampler, observer)?;
        self.outcome(gradient)
    }

    /// The gradient of the first batch, compared with autodiff.
    pub fn checked(&mut self, sampler: &Sampler, observer: &mut dyn Observer) -> Result<GradientReport, SolveError> {
        let agreement = agreement::of_first_batch(self.engine.as_mut(), self.problem, self.members, sampler)?;
        let gradient = GradientReport { route: self.engine.route(), agreement };
        observer.gradient(gradient);
        Ok(gradient)
    }

    /// The steps that are left, on batches of a sampler.
    pub fn make_steps(&mut self, sampler: Sampler, observer: &mut dyn Observer) -> Result<(), SolveError> {
        let (problem, left) = (self.problem, self.until.saturating_sub(self.made));
        if self.engine.reads_in_place() && problem.device.name.backend.is_cpu() {
            // In a thread of the pool, so that the others join each step.
            rayon::scope(|_| self.descend(&mut feed::inline(sampler), observer))?;
        } else if self.engine.reads_in_place() || problem.threads <= 1 {
            self.descend(&mut feed::inline(sampler), observer)?;
        } else {
            std::thread::scope(|scope| match feed::ahead(scope, problem.source, sampler.clone(), left) {
                Some(mut feed) => self.descend(&mut feed, observer),
                None => self.descend(&mut feed::inline(sampler), observer),
            })?;
        }
        Ok(())
    }

    /// Whether no step is to follow.
    pub fn is_over(&self) -> bool {
        self.made == self.steps
            || self.stop != StopReason::Finished
            || self.states.iter().all(|state| state.lost.is_some())
    }

    /// Passes over the rows after so many steps.
    #[allow(clippy::cast_precision_loss)]
    fn epochs_after(&self, steps: u64) -> f64 {
        match self.per_epoch {
            Some(per_epoch) => steps as f64 / per_epoch as f64,
            None => self.config.epochs_after(steps, self.problem.train.len()),
        }
    }

    /// Makes the steps.
    fn descend(
        &mut self,
        feed: &mut dyn Iterator<Item = StepRows>,
        observer: &mut dyn Observer,
    ) -> Result<(), SolveError> {
        let config = self.config;
        self.clock = Instant::now();
        while self.made < self.until {
            let (before, end) = (self.made, self.round_end());
            let drawn = feed.take(usize::try_from(end - before).unwrap_or(usize::MAX));
            let step = |(drawn, step)| Step { drawn, factor: config.rate_factor(step, self.steps) };
            let steps: Vec<Step> = drawn.zip(before..).map(step).collect();
            self.made = end;
            let log = config.is_logged(end - 1, self.steps);
            let objectives = self.engine.advance(steps, log)?;
            if log && self.note(objectives, observer) {
                break;
            }
            if log {
                self.tell_weights(observer)?;
            }
            let last = self.made == self.steps;
            let epoch_ends = self.epochs_after(before).floor() < self.epochs_after(end).floor();
            let enough = (epoch_ends || last) && self.log_accuracies(observer)?;
            observer.step(self.made);
            if enough && !last {
                self.stop = StopReason::EarlyStopping;
                break;
            }
            if !last && self.pass_by(observer)? {
                self.stop = StopReason::Interrupted;
                break;
            }
        }
        self.pause()
    }

    /// The next step at which the engine returns: after each logged one, and after as many as it makes at once.
    fn round_end(&self) -> u64 {
        let most = self.until.min(self.made + self.engine.stride());
        let logged = |step: &u64| self.config.is_logged(*step, self.steps);
        (self.made..most).find(logged).map_or(most, |step| step + 1)
    }

    /// Waits for the device and stops the clock of the solver.
    pub fn pause(&mut self) -> Result<(), SolveError> {
        self.problem.device.device.sync().map_err(engine::failed)?;
        self.solving += self.clock.elapsed();
        Ok(())
    }

    /// Notes the objectives before the last step, which of a run alone are logged, and takes out what has diverged; true where
    /// nothing is left.
    fn note(&mut self, objectives: Objectives, observer: &mut dyn Observer) -> bool {
        let step = self.made - 1;
        if let ([_], [(_, loss)]) = (self.members, &objectives[..]) {
            let seconds = (self.solving + self.clock.elapsed()).as_secs_f64();
            observer.log(&LogEntry { loss: Some(*loss), ..self.entry(step, seconds) });
        }
        let lost = objectives.into_iter().filter(|(member, loss)| self.states[*member].note(step, *loss));
        let lost: Vec<usize> = lost.map(|(member, _)| member).collect();
        if !lost.is_empty() {
            self.engine.remove(&lost);
        }
        self.states.iter().all(|state| state.lost.is_some())
    }

    /// Tells the weights of a run alone, where they are watched, outside the solver's clock.
    fn tell_weights(&mut self, observer: &mut dyn Observer) -> Result<(), SolveError> {
        if self.members.len() > 1 || !observer.wants_weights() {
            return Ok(());
        }
        self.pause()?;
        for (_, parameters) in self.engine.parameters()? {
            observer.weights(self.made, &parameters.weight);
        }
        self.clock = Instant::now();
        Ok(())
    }

    /// A logged moment without its numbers.
    fn entry(&self, step: u64, seconds: f64) -> LogEntry {
        let epoch = self.epochs_after(step);
        LogEntry { step, epoch, loss: None, train_accuracy: None, validation_accuracy: None, seconds }
    }

    /// Measures and logs the accuracies of a run alone, where they are watched, outside the solver's clock; true when early
    /// stopping has seen enough.
    fn log_accuracies(&mut self, observer: &mut dyn Observer) -> Result<bool, SolveError> {
        if self.engine.single().is_none()
            || self.per_epoch.is_some()
            || !(self.best.is_some() || observer.wants_accuracies())
        {
            return Ok(false);
        }
        self.pause()?;
        let start = Instant::now();
        let validation = self.problem.validation;
        let Some(single) = self.engine.single() else { return Ok(false) };
        let mut accuracy = |rows: &[u32]| match rows {
            [] => Ok(None),
            rows => single.measure(rows, WatchedMetric::Accuracy).map(Some),
        };
        let (train_accuracy, validation_accuracy) = (accuracy(&self.estimate)?, accuracy(validation)?);
        let mut enough = false;
        if let (Some(best), Some(accuracy)) = (&mut self.best, validation_accuracy) {
            let value = match best.metric() {
                WatchedMetric::Accuracy => accuracy,
                WatchedMetric::Loss => single.measure(validation, WatchedMetric::Loss)?,
            };
            for (_, parameters) in self.engine.parameters()? {
                enough = best.see(value, self.made, &parameters);
            }
        }
        self.evaluating += start.elapsed();
        let entry = self.entry(self.made, self.solving.as_secs_f64());
        observer.log(&LogEntry { train_accuracy, validation_accuracy, ..entry });
        self.clock = Instant::now();
        Ok(enough)
    }

    /// The results in the order of the members.
    pub fn outcome(mut self, gradient: GradientReport) -> Result<Vec<MemberFit>, SolveError> {
        let mut found: Vec<Option<Parameters>> = vec![None; self.members.len()];
        let mut best_step = None;
        if let Some((step, best)) = self.best.take().and_then(BestState::into_best) {
            (best_step, found[0]) = (Some(step), Some(best));
        } else {
            for (member, parameters) in self.engine.parameters()? {
                found[member] = Some(parameters);
            }
        }
        let n = u32::try_from(self.members.len().max(1)).unwrap_or(u32::MAX);
        let fits = std::mem::take(&mut self.states).into_iter().zip(found).map(|(state, parameters)| {
            let finite = |parameters: &Parameters| parameters.values().all(f64::is_finite);
            let parameters = parameters.filter(|parameters| state.lost.is_none() && finite(parameters));
            let stop = match (state.lost, &parameters) {
                (Some(step), _) => StopReason::Diverged { step },
                (None, None) => StopReason::Diverged { step: self.made },
                (None, Some(_)) => self.stop,
            };
            // A run ends with the logged step that shows the divergence.
            let steps = state.lost.map_or(self.made, |step| step + 1);
            let Parameters { weight, bias } = parameters.unwrap_or(Parameters { weight: Vec::new(), bias: None });
            let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
            let fit = Fit {
                weight: wide(weight),
                bias: bias.map(wide),
                steps,
                epochs: self.epochs_after(steps),
                stop,
                solve: self.solving / n,
                evaluate: self.evaluating / n,
                gradient: Some(gradient),
                certificate: None,
                evaluation: None,
                best_step,
            };
            MemberFit { fit, curve: state.curve }
        });
        Ok(fits.collect())
    }
}
