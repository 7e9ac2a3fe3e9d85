//! Hyper-parameter search: trials out of a space, trained and judged on folds, ranked, the best trained once more.
//!
//! ```text
//! space → trials → groups (stacks, paths, single ones) × folds = jobs → trials.jsonl → ranked table → best
//! ```
//!
//! A job is the unit of work and of the record: a kill interrupts a job, and leaves the jobs before it. Nothing of
//! the plan depends on the jobs done already, so that a resumed search does exactly the jobs that are missing. The test
//! rows are not touched before the search is over. Imports everything below `plot`; prints nothing.

mod draw;
pub mod fit;
pub mod folder;
pub mod folds;
pub mod ledger;
pub mod plan;
pub mod rank;
pub mod refit;
pub mod space;
pub mod table;

use crate::config::search::{HalvingConfig, Resource, SearchConfig};
use crate::config::{ConfigError, LoadedConfig, SplitTable};
use crate::data::Fold;
use crate::device::OpenDevice;
use crate::format::Complaint;
use crate::run::{self, PreparedData, RunError, RunResult};
use crate::solver::{LogEntry, Observer, SolverConfig};
use fit::{Bench, Rung};
use ledger::{Ledger, LedgerEntry};
use plan::{Group, Sizes, TrainingKind};
use rank::Standing;
use refit::Refit;
use space::Trial;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Largest number of trainings of a search.
const MOST_TRAININGS: usize = 1_000_000;
/// Bytes that the record of one is held in, with its curve.
const TRAINING: f64 = 2048.0;

/// Progress of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchProgress {
    /// Trainings done, in earlier sessions, too.
    pub done: usize,
    /// Trainings in all; an estimate where trials are thinned out or time is limited.
    pub total: usize,
    /// The best trial so far and its score.
    pub best: Option<(String, f64)>,
    /// Estimate of the time left, at the pace of this session.
    pub left: Option<Duration>,
    /// The training that ended last.
    pub last: String,
}

/// Told how a search is getting on.
pub trait Watcher: Send {
    /// Before the first job: trials, folds and trainings in all, and how many of them were done before.
    fn start(&mut self, trials: usize, folds: usize, total: usize, done: usize);
    /// Within a job: steps made, and steps in all.
    fn step(&mut self, step: u64, steps: u64);
    /// Something begins that is to be known of.
    fn stage(&mut self, text: &str);
    /// Something that the user should know.
    fn warning(&mut self, text: &str);
    /// After a job.
    fn done(&mut self, progress: &SearchProgress);
    /// True when the search should end with the step in hand.
    fn interrupted(&self) -> bool;
}

/// Reason for the end of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Every trial was trained as planned.
    Finished,
    /// The seconds of `[search]` were over.
    TimeLimit,
    /// The user asked to stop.
    Interrupted,
}

/// Result of a search.
#[derive(Debug)]
pub struct SearchOutcome {
    /// Ranked.
    pub standings: Vec<Standing>,
    /// Reason for its end.
    pub end: End,
    /// Trials planned.
    pub trials: usize,
    /// Trials that were trained together with others, and for the rest why not.
    pub stacked: usize,
    /// Reasons, with how many trials each concerns.
    pub alone: Vec<(&'static str, usize)>,
    /// Of the best trial, trained on training and validation rows.
    pub refit: Option<Box<RunResult>>,
}

/// A search that is ready to run: everything that can be wrong with a configuration has been looked for.
#[derive(Debug)]
pub struct SearchPlan<'a> {
    config: &'a LoadedConfig,
    search: &'a SearchConfig,
    /// The trials.
    pub trials: Vec<Trial>,
}

impl<'a> SearchPlan<'a> {
    /// Makes the trials.
    ///
    /// # Errors
    /// [`ConfigError`] when the `[search]` table or one of its trials makes no sense.
    pub fn new(config: &'a LoadedConfig) -> Result<Self, ConfigError> {
        let search = space::table(config)?;
        Ok(Self { config, search, trials: space::trials(config, search)? })
    }

    /// The shares of the resource, rung by rung; the last is 1.
    fn rungs(&self) -> Vec<Rung> {
        let Some(HalvingConfig { factor, rungs, resource }) = self.search.halving.clone() else {
            return vec![Rung { number: 0, share: 1.0, resource: Resource::Rows }];
        };
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
        let share = |number: usize| (factor.get() as f64).powi(-((rungs.get() - 1 - number) as i32));
        (0..rungs.get()).map(|number| Rung { number, share: share(number), resource }).collect()
    }

    /// Number of trials, of `n`, that continue on the next rung.
    fn survivors(&self, n: usize) -> usize {
        let factor = self.search.halving.as_ref().map_or(1, |h| h.factor.get());
        n.div_ceil(factor).max(1)
    }

    /// Trainings in all, at most.
    fn total(&self, folds: usize) -> usize {
        let mut n = self.trials.len();
        let mut total = 0;
        for _ in self.rungs() {
            total += n * folds;
            n = self.survivors(n);
        }
        total
    }

    /// The rows that trials are trained on and judged by.
    ///
    /// # Errors
    /// [`ConfigError`] when there are too few of them.
    pub fn folds(&self, prepared: &PreparedData) -> Result<Vec<Fold>, ConfigError> {
        let refused = |complaint| ConfigError::about(&self.config.file, complaint);
        let count = folds::count(self.search);
        let total = self.total(count);
        const FEWER: &str = "set fewer `folds`, `repeats` or `trials` of [search]";
        if total > MOST_TRAININGS {
            let problem = format!(
                "search: found {total} trainings ({} trials on {count} folds), expected at most {MOST_TRAININGS}",
                self.trials.len()
            );
            return Err(refused(Complaint::new(problem, FEWER)));
        }
        #[allow(clippy::cast_precision_loss)]
        let (rows, trainings) = (folds::pool(&prepared.split).len() as f64 * count as f64, total as f64);
        run::afford(&format!("{count} folds and {total} trainings"), 4.0 * rows + TRAINING * trainings, FEWER)
            .map_err(refused)?;
        let folds = folds::folds(self.config, self.search, &prepared.data, &prepared.split)?;
        let fewest = folds.iter().map(|fold| fold.train.len()).min().unwrap_or(0);
        let tables = self.trials.iter().map(|trial| &trial.config.run.split);
        let is_too_many = |table: &&SplitTable| table.train_rows.is_some_and(|rows| rows.of(fewest) > fewest);
        match { tables }.find(is_too_many) {
            Some(table) => Err(refused(table.too_many(fewest))),
            None => Ok(folds),
        }
    }

    /// Runs the search in a folder, or the rest of it.
    ///
    /// # Errors
    /// [`RunError`] when the device fails or the folder cannot be written.
    pub fn run(
        &self,
        mut prepared: PreparedData,
        folds: &[Fold],
        device: &OpenDevice,
        folder: &Path,
        ledger: Ledger,
        watcher: &mut dyn Watcher,
    ) -> Result<SearchOutcome, RunError> {
        let sizes = Sizes::of(&prepared.data.features, prepared.data.n_classes());
        let bench = Bench::new(&prepared.data, device, &self.trials, folds);
        let done: usize = ledger.entries.iter().map(|e| e.fits.len()).sum();
        let total = self.total(folds.len()).max(done);
        watcher.start(self.trials.len(), folds.len(), total, done);
        let session = Session {
            plan: self,
            bench: &bench,
            sizes,
            threads: run::threads(self.config.run.threads),
            spent: ledger::seconds(&ledger.entries),
            before: done,
            total,
            start: Instant::now(),
            ledger: Mutex::new(ledger),
            watcher: Mutex::new(&mut *watcher),
        };
        let end = session.climb()?;
        let ledger = session.ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
        let standings = rank::standings(&self.trials, folds, &ledger.entries, self.search.metric);
        let mut outcome = self.outcome(standings, end, sizes);
        let facts = table::Facts::of(self, &prepared, device, folds, &ledger.entries);
        table::write(&ledger.made, self, &outcome, &facts)?;
        if self.search.refit && end != End::Interrupted {
            let ranked = &outcome.standings;
            match refit::refit(ranked, &self.trials, &mut prepared, device, folder, done > 0, watcher)? {
                Refit::Nothing => {}
                Refit::Done(result) => outcome.refit = Some(result),
                Refit::Interrupted => outcome.end = End::Interrupted,
            }
            table::write(&ledger.made, self, &outcome, &facts)?;
        }
        Ok(outcome)
    }

    fn outcome(&self, standings: Vec<Standing>, end: End, sizes: Sizes) -> SearchOutcome {
        let all: Vec<usize> = (0..self.trials.len()).collect();
        let groups = plan::groups(&self.trials, &all, self.search, sizes);
        let stacked = groups.iter().filter(|g| g.kind == TrainingKind::Stack).map(|g| g.trials.len()).sum();
        let mut alone: Vec<(&'static str, usize)> = Vec::new();
        for trial in &self.trials {
            if let Some(reason) = plan::alone_because(trial, self.search) {
                match alone.iter_mut().find(|(r, _)| *r == reason) {
                    Some((_, count)) => *count += 1,
                    None => alone.push((reason, 1)),
                }
            }
        }
        SearchOutcome { standings, end, trials: self.trials.len(), stacked, alone, refit: None }
    }
}

/// A search at work.
struct Session<'a> {
    plan: &'a SearchPlan<'a>,
    bench: &'a Bench<'a>,
    sizes: Sizes,
    threads: usize,
    /// Seconds of earlier sessions.
    spent: f64,
    /// Trainings of earlier sessions.
    before: usize,
    total: usize,
    start: Instant,
    ledger: Mutex<Ledger>,
    watcher: Mutex<&'a mut dyn Watcher>,
}

/// A group on a fold.
struct SearchJob<'a> {
    name: String,
    group: &'a Group,
    fold: usize,
}

/// Passes a job's steps on.
struct JobObserver<'s, 'a> {
    session: &'s Session<'a>,
    steps: u64,
}

impl Observer for JobObserver<'_, '_> {
    fn start(&mut self, steps: u64) {
        self.steps = steps;
    }

    fn step(&mut self, step: u64) {
        lock(&self.session.watcher).step(step, self.steps);
    }

    fn log(&mut self, _: &LogEntry) {}

    fn interrupted(&self) -> bool {
        lock(&self.session.watcher).interrupted()
    }
}

/// A panic elsewhere leaves records, not broken invariants.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session<'_> {
    /// All rungs.
    fn climb(&self) -> Result<End, RunError> {
        let mut chosen: Vec<usize> = (0..self.plan.trials.len()).collect();
        for rung in self.plan.rungs() {
            let end = self.rung(rung, &chosen)?;
            if end != End::Finished {
                return Ok(end);
            }
            let ranked = self.standings();
            let of_rung = ranked.iter().filter(|s| s.rung == rung.number && s.score.is_some()).map(|s| s.trial);
            let mut best: Vec<usize> = of_rung.take(self.plan.survivors(chosen.len())).collect();
            best.sort_unstable();
            chosen = best;
        }
        Ok(End::Finished)
    }

    fn standings(&self) -> Vec<Standing> {
        rank::standings(self.bench.trials, self.bench.folds, &lock(&self.ledger).entries, self.plan.search.metric)
    }

    /// Does the jobs of a rung that are not done yet.
    fn rung(&self, rung: Rung, chosen: &[usize]) -> Result<End, RunError> {
        let groups = plan::groups(self.bench.trials, chosen, self.plan.search, self.sizes);
        let done: BTreeSet<String> = lock(&self.ledger).entries.iter().map(|e| e.job.clone()).collect();
        let all = groups.iter().flat_map(|group| (0..self.bench.folds.len()).map(move |fold| (group, fold)));
        let named = all.map(|(group, fold)| SearchJob { name: plan::job_name(rung.number, fold, group), group, fold });
        let jobs: Vec<SearchJob<'_>> = named.filter(|job| !done.contains(&job.name)).collect();
        // The exact solver is at its best with a thread to itself; the others share the cores of one job.
        let exact = |group: &Group| {
            group.trials.iter().all(|&t| matches!(self.bench.trials[t].config.run.solver, SolverConfig::Dual(_)))
        };
        let side_by_side = groups.iter().all(exact) && self.plan.config.run.device.backend.is_cpu();
        let workers = if side_by_side { self.threads.min(jobs.len()).max(1) } else { 1 };
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let work = || -> Result<End, RunError> {
            while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                if stop.load(Ordering::Relaxed) {
                    return Ok(End::Finished);
                }
                if self.time_is_up() {
                    return Ok(End::TimeLimit);
                }
                match self.job(rung, job, (self.threads / workers).max(1)) {
                    Ok(true) => {}
                    other => {
                        stop.store(true, Ordering::Relaxed);
                        return other.map(|_| End::Interrupted);
                    }
                }
            }
            Ok(End::Finished)
        };
        if workers == 1 {
            return work();
        }
        let ends: Vec<Result<End, RunError>> = std::thread::scope(|scope| {
            // If the system gives no more threads, those that are there do the jobs.
            let start = |_| std::thread::Builder::new().spawn_scoped(scope, work).ok();
            let handles: Vec<_> = (1..workers).map_while(start).collect();
            let mut ends = vec![work()];
            ends.extend(handles.into_iter().map(|h| h.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))));
            ends
        });
        let ends = ends.into_iter().collect::<Result<Vec<End>, RunError>>()?;
        let worst = [End::Interrupted, End::TimeLimit].into_iter().find(|end| ends.contains(end));
        Ok(worst.unwrap_or(End::Finished))
    }

    fn time_is_up(&self) -> bool {
        self.plan.search.seconds.is_some_and(|limit| self.elapsed() >= limit.get())
    }

    /// Seconds of the search so far, those of earlier sessions included.
    fn elapsed(&self) -> f64 {
        self.spent + self.start.elapsed().as_secs_f64()
    }

    /// Does one job and records it; false when it was interrupted.
    fn job(&self, rung: Rung, job: &SearchJob<'_>, threads: usize) -> Result<bool, RunError> {
        if lock(&self.watcher).interrupted() {
            return Ok(false);
        }
        let start = Instant::now();
        let mut listener = JobObserver { session: self, steps: 0 };
        let Some(fits) = self.bench.train(job.group, job.fold, rung, threads, &mut listener)? else {
            return Ok(false);
        };
        let (wall, elapsed) = (start.elapsed().as_secs_f64(), Some(self.elapsed()));
        let entry = LedgerEntry { job: job.name.clone(), wall, elapsed, fits };
        lock(&self.ledger).append(entry)?;
        let progress = self.progress(job);
        lock(&self.watcher).done(&progress);
        Ok(true)
    }

    #[allow(clippy::cast_precision_loss)]
    fn progress(&self, job: &SearchJob<'_>) -> SearchProgress {
        let done: usize = lock(&self.ledger).entries.iter().map(|e| e.fits.len()).sum();
        let now = done.saturating_sub(self.before);
        let pace = self.start.elapsed().as_secs_f64() / now.max(1) as f64;
        let mut left = pace * self.total.saturating_sub(done) as f64;
        if let Some(limit) = self.plan.search.seconds {
            left = left.min((limit.get() - self.elapsed()).max(0.0));
        }
        let best = self.standings().into_iter().find_map(|s| s.score.map(|score| (s.trial, score)));
        let fold = match self.bench.folds.len() {
            1 => String::new(),
            n => format!(", fold {} of {n}", job.fold + 1),
        };
        let trials = &job.group.trials;
        let what = match (job.group.kind, trials.as_slice()) {
            (TrainingKind::Alone, [one]) => format!("trial {one}"),
            (TrainingKind::Path, _) => format!("a path of {} trials", trials.len()),
            _ => format!("{} trials as one model", trials.len()),
        };
        SearchProgress {
            done,
            total: self.total,
            best: best.map(|(trial, score)| (self.bench.trials[trial].label(), score)),
            left: (now > 0).then(|| Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX)),
            last: format!("{what}{fold}"),
        }
    }
}
