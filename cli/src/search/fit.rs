//! A group of trials trained and measured on one fold.

use super::folds;
use super::ledger::FitRecord;
use super::plan::{Group, TrainingKind};
use super::space::Trial;
use crate::config::LoadedConfig;
use crate::config::search::Resource;
use crate::data::Fold;
use crate::data::{Dataset, Scaler, sample};
use crate::device::OpenDevice;
use crate::evaluation::evaluate;
use crate::run::{RunError, Setup, classifier, encoded_on, problem, scaler};
use crate::solver::sgd::stacked::{self, Member};
use crate::solver::{Fit, LogEntry, Measurement, Observer, Problem, SgdConfig, SolverConfig, StopReason, dual};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

/// Training rows on which a trial's accuracy is measured, as well as on the validation rows.
pub const TRAIN_ROWS: usize = 5_000;
/// Points of a curve that are kept.
const POINTS: usize = 100;

/// Share of the resource in a rung of successive halving.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rung {
    /// Its number, from 0.
    pub number: usize,
    /// The share of the resource.
    pub share: f64,
    /// The resource.
    pub resource: Resource,
}

/// Input common to all jobs of a search.
#[derive(Debug)]
pub struct Bench<'a> {
    /// The data.
    pub data: &'a Dataset,
    /// Device of the computation.
    pub device: &'a OpenDevice,
    /// The trials.
    pub trials: &'a [Trial],
    /// The folds.
    pub folds: &'a [Fold],
    /// By what it was fitted on: it does not differ between the trials of most searches.
    preprocessed: Mutex<Vec<(String, FoldRows)>>,
}

/// Preprocessing of the rows of a fold.
#[derive(Debug, Clone)]
struct FoldRows {
    scaler: Scaler,
    /// The data as encoded on these rows, where it has to be encoded.
    data: Option<Arc<Dataset>>,
}

/// Preprocessings that are kept, and those with data.
const KEPT: usize = 8;
const KEPT_DATA: usize = 2;

/// Everything that a trial has fitted on the rows of a fold.
struct OnFold {
    fitted: Setup,
    data: Option<Arc<Dataset>>,
}

/// Passes steps on and keeps the objectives that are logged.
struct Keeper<'a> {
    inner: &'a mut dyn Observer,
    curve: Vec<(u64, f64)>,
}

impl Observer for Keeper<'_> {
    fn start(&mut self, steps: u64) {
        self.inner.start(steps);
    }

    fn step(&mut self, step: u64) {
        self.inner.step(step);
    }

    fn log(&mut self, entry: &LogEntry) {
        if let Some(loss) = entry.loss.filter(|l| l.is_finite()) {
            self.curve.push((entry.step, loss));
        }
    }

    fn bounds(&mut self, entry: &LogEntry, _: &Measurement, _: f64) {
        self.log(entry);
    }

    fn wants_accuracies(&self) -> bool {
        false
    }

    fn interrupted(&self) -> bool {
        self.inner.interrupted()
    }
}

/// At most [`POINTS`] of a curve, its ends included.
fn thinned(curve: Vec<(u64, f64)>) -> Vec<(u64, f64)> {
    let n = curve.len();
    if n <= POINTS {
        return curve;
    }
    (0..POINTS).map(|i| curve[i * (n - 1) / (POINTS - 1)]).collect()
}

impl<'a> Bench<'a> {
    /// A bench without preprocessing fitted yet.
    #[must_use]
    pub fn new(data: &'a Dataset, device: &'a OpenDevice, trials: &'a [Trial], folds: &'a [Fold]) -> Self {
        Self { data, device, trials, folds, preprocessed: Mutex::new(Vec::new()) }
    }

    /// Trains and measures a group on a fold; `None` when it was interrupted.
    ///
    /// # Errors
    /// [`RunError`] when the device fails or class weights do not fit.
    pub fn train(
        &self,
        group: &Group,
        fold: usize,
        rung: Rung,
        threads: usize,
        observer: &mut dyn Observer,
    ) -> Result<Option<Vec<FitRecord>>, RunError> {
        let share = if rung.resource == Resource::Rows { rung.share } else { 1.0 };
        let run = &self.trials[group.trials[0]].config.run;
        let rows = folds::part(&self.folds[fold], &self.data.labels, self.data.n_classes(), share, run);
        let fitted = self.fitted(group, fold, &rows)?;
        let job = GroupJob { bench: self, group, fold, rung, rows: &rows, fitted: &fitted, threads };
        let fits = match group.kind {
            TrainingKind::Alone => job.alone(observer)?,
            TrainingKind::Stack => job.stack(observer)?,
            TrainingKind::Path => job.path(observer)?,
        };
        if fits.iter().any(|(fit, _)| fit.stop == StopReason::Interrupted) || fits.len() < group.trials.len() {
            return Ok(None);
        }
        let measured = fits.into_iter().enumerate().map(|(i, (fit, curve))| job.measure(i, fit, curve));
        Ok(Some(measured.collect()))
    }

    /// The state that each trial of a group fits on its rows, preprocessing included.
    fn fitted(&self, group: &Group, fold: usize, rows: &[u32]) -> Result<Vec<OnFold>, RunError> {
        let mut all = Vec::new();
        for &trial in &group.trials {
            let config = &self.trials[trial].config;
            let FoldRows { scaler, data } = self.preprocessed(config, fold, rows)?;
            let fitted = Setup::new(config, data.as_deref().unwrap_or(self.data), rows, Some(scaler))?;
            all.push(OnFold { fitted, data });
        }
        Ok(all)
    }

    fn preprocessed(&self, config: &LoadedConfig, fold: usize, rows: &[u32]) -> Result<FoldRows, RunError> {
        let preprocess = &config.run.preprocess;
        let name = format!(
            "{fold} {} {:?} {:?} {:?}",
            rows.len(),
            preprocess.center,
            preprocess.scale,
            preprocess.missing_config()
        );
        let kept = || self.preprocessed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = kept().iter().find(|(n, _)| *n == name) {
            return Ok(known.clone());
        }
        let data = encoded_on(config, self.data, rows)?.map(Arc::new);
        let scaler = scaler(config, data.as_deref().unwrap_or(self.data), rows);
        let most = if data.is_some() { KEPT_DATA } else { KEPT };
        let fresh = FoldRows { scaler, data };
        let mut kept = kept();
        if kept.len() >= most {
            kept.remove(0);
        }
        kept.push((name, fresh.clone()));
        Ok(fresh)
    }
}

/// A group at work on a fold.
struct GroupJob<'a> {
    bench: &'a Bench<'a>,
    group: &'a Group,
    fold: usize,
    rung: Rung,
    rows: &'a [u32],
    fitted: &'a [OnFold],
    threads: usize,
}

type FoldFits = Vec<(Fit, Vec<(u64, f64)>)>;

impl GroupJob<'_> {
    fn config(&self, i: usize) -> &LoadedConfig {
        &self.bench.trials[self.group.trials[i]].config
    }

    /// The data of the fold.
    fn data(&self, i: usize) -> &Dataset {
        self.fitted[i].data.as_deref().unwrap_or(self.bench.data)
    }

    fn problem(&self, i: usize) -> Problem<'_> {
        let Bench { device, folds, .. } = self.bench;
        let Setup { scaler, objective, .. } = &self.fitted[i].fitted;
        let problem = problem(self.config(i), self.data(i), scaler, objective, device);
        let validation = &folds[self.fold].validation;
        Problem { train: self.rows, validation, threads: self.threads, ..problem }
    }

    /// The table of a trial with the steps of the rung.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
    fn of_rung(&self, sgd: &SgdConfig) -> SgdConfig {
        if self.rung.resource == Resource::Rows || self.rung.share >= 1.0 {
            return sgd.clone();
        }
        let steps = (sgd.total_steps(self.rows.len()) as f64 * self.rung.share).round().max(1.0);
        SgdConfig { steps: NonZeroUsize::new(steps as usize), epochs: None, ..sgd.clone() }
    }

    fn alone(&self, observer: &mut dyn Observer) -> Result<FoldFits, RunError> {
        let solver = match &self.config(0).run.solver {
            SolverConfig::Sgd(sgd) => SolverConfig::Sgd(Box::new(self.of_rung(sgd))),
            other => other.clone(),
        };
        let mut keeper = Keeper { inner: observer, curve: Vec::new() };
        let fit = solver.solve(&self.problem(0), &mut keeper)?;
        Ok(vec![(fit, keeper.curve)])
    }

    fn stack(&self, observer: &mut dyn Observer) -> Result<FoldFits, RunError> {
        let mut members = Vec::new();
        let mut table = None;
        for (i, fitted) in self.fitted.iter().enumerate() {
            let SolverConfig::Sgd(sgd) = &self.config(i).run.solver else {
                unreachable!("only [solver.sgd] is stacked");
            };
            members.push(Member::new(sgd, &fitted.fitted.objective));
            table.get_or_insert_with(|| self.of_rung(sgd));
        }
        let Some(table) = table else { return Ok(Vec::new()) };
        let fits = stacked::solve(&table, &self.problem(0), &members, observer)?;
        Ok(fits.into_iter().map(|member| (member.fit, member.curve)).collect())
    }

    fn path(&self, observer: &mut dyn Observer) -> Result<FoldFits, RunError> {
        let SolverConfig::Dual(solver) = &self.config(0).run.solver else {
            unreachable!("only [solver.dual] follows a path");
        };
        let lambda = |i: usize| self.fitted[i].fitted.objective.lambda;
        let mut order: Vec<usize> = (0..self.fitted.len()).collect();
        order.sort_by(|&a, &b| lambda(b).total_cmp(&lambda(a)));
        let lambdas: Vec<f64> = order.iter().map(|&i| lambda(i)).collect();
        let problem = self.problem(order[0]);
        let mut keeper = Keeper { inner: observer, curve: Vec::new() };
        let mut done: Vec<Option<Fit>> = vec![None; order.len()];
        dual::solve_path(solver, &problem, &lambdas, &mut keeper, &mut |at, fit| {
            done[order[at]] = Some(fit);
            Ok::<(), RunError>(())
        })?;
        Ok(done.into_iter().map_while(|fit| fit.map(|fit| (fit, Vec::new()))).collect())
    }

    /// Measures a model on the validation rows and on a sample of the training rows, in f64 on the host.
    fn measure(&self, i: usize, fit: Fit, curve: Vec<(u64, f64)>) -> FitRecord {
        let mut record = FitRecord {
            trial: self.group.trials[i],
            rung: self.rung.number,
            fold: self.fold,
            stop: fit.stop.name().into(),
            steps: fit.steps,
            epochs: fit.epochs,
            train_accuracy: None,
            accuracy: None,
            macro_f1: None,
            loss: None,
            relative_gap: fit.certificate.map(|c| c.relative_gap),
            seconds: fit.solve.as_secs_f64(),
            stacked: if self.group.kind == TrainingKind::Stack { self.group.trials.len() } else { 1 },
            curve: thinned(curve),
        };
        if matches!(fit.stop, StopReason::Diverged { .. }) {
            return record;
        }
        let (data, Setup { scaler, objective, .. }) = (self.data(i), &self.fitted[i].fitted);
        let model = classifier(self.config(i), data, scaler, objective, self.rows.len(), fit);
        let loss = Some(&objective.loss);
        let evaluate = |rows: &[u32]| evaluate(&model, loss, data, rows, &[]);
        let validation = evaluate(&self.bench.folds[self.fold].validation);
        record.accuracy = Some(validation.confusion.accuracy());
        record.macro_f1 = Some(validation.confusion.mean(false).f1);
        record.loss = Some(validation.data_loss);
        record.train_accuracy = Some(evaluate(&sample(self.rows, TRAIN_ROWS, 0)).confusion.accuracy());
        record
    }
}
