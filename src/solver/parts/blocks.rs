//! Rows that do not fit into memory together: block after block, with the hot rows in between.
//!
//! ```text
//! every pass, in random order, block b:  measure its rows at W; give up the worst; a few exact passes over the others; W ← W + ΔW_b;
//!                                        a few passes over the hot rows, which stay in memory
//! until:                                 the gaps that were met promise the goal; one more pass proves it
//! ```
//!
//! Blocks follow one another, so that every step counts in full. Without the hot rows a block would forget what the others have taught:
//! K. Chang and D. Roth, *Selective block minimization for faster convergence of limited memory large-scale linear models*, KDD 2011.

use super::conclusion::combine;
use super::coordinator::Outcome;
use super::hot::{HotRows, Setting};
use super::interior::{self, InteriorChoice};
use super::messages::{HotRow, Order, PartProof, Returned};
use super::part::{Part, PartVariables, prove_rows};
use super::store::BlockStore;
use crate::data::SelectedRows;
use crate::data::batch::Source;
use crate::solver::checkpoint::Clock;
use crate::solver::dual::state::Bounds;
use crate::solver::newton::READ;
use crate::solver::{Certificate, LogEntry, Measurement, Observer, SolveError, StopReason};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// Passes over a block when it is there; and over the hot rows after it, until they are visited as many times as rows of the block, but
/// within these.
const PASSES: u32 = 10;
const HOT_PASSES: std::ops::RangeInclusive<usize> = 10..=50;
/// A row is left alone when its share of the gap is below this share of what an average row may have in the end.
const SETTLED: f64 = 0.1;
/// Rounds in a row in which a hot row is at its optimum after which it goes home: where there is room, and where more than this share of it
/// is taken.
const CALM: u8 = 3;
const CALM_IN_LITTLE_ROOM: u8 = 1;
const LITTLE_ROOM: f64 = 0.75;
/// Part of the room that is left for hot rows which a block may take.
const SHARE_OF_ROOM: usize = 2;
/// The goal of the next proof, relative to the gaps that were met, after one that missed it.
const STRICTER: f64 = 0.5;

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockLimits {
    /// The relative gap that is to be proved.
    pub gap: f64,
    /// Passes over the blocks, at most, those of proofs included.
    pub passes: u64,
    /// Seconds.
    pub seconds: Option<f64>,
    /// Hot rows, at most.
    pub hot_rows: usize,
    /// Whether weights are held in double precision.
    pub double: bool,
    /// Bytes that the system of the interior point method may take.
    pub memory: f64,
    /// Whether that method does all of the work, whatever its price.
    pub interior: bool,
}

/// Result of a run over blocks.
#[derive(Debug, Clone)]
pub struct BlockOutcome {
    /// Weights with their certificate.
    pub outcome: Outcome,
    /// Why it ended.
    pub stop: StopReason,
    /// Passes over the blocks: to train, and to prove.
    pub passes: u64,
    /// See `passes`.
    pub proofs: u64,
    /// Visits to rows, those to hot rows included.
    pub visits: u64,
    /// Hot rows in the end.
    pub hot_rows: usize,
}

/// Trains on blocks until the gap is proved, or a limit is met. Dual variables that the store has are taken up.
///
/// # Errors
/// [`SolveError::Storage`], or as of a solver in memory.
pub fn solve_blocks(
    setting: &Setting,
    limits: BlockLimits,
    store: &mut dyn BlockStore,
    observer: &mut dyn Observer,
) -> Result<BlockOutcome, SolveError> {
    let mut run = BlockRun::new(setting, limits, store)?;
    observer.start(0);
    let mut relay = InteriorChoice::new(setting, limits.memory, limits.interior)?;
    let kept = relay.kept(setting, run.store)?;
    if relay.is_alone || kept.is_some() {
        let found = run.finish(kept, observer)?;
        if relay.is_over(found.stop) {
            return Ok(found);
        }
    }
    if run.is_resumed {
        run.prove()?;
    }
    loop {
        let mut stop = run.pass(observer)?;
        if run.seconds_are_up() {
            stop = Some(StopReason::TimeLimit);
        } else if run.passes + run.proofs + 1 >= limits.passes {
            stop = stop.or(Some(StopReason::EpochLimit));
        }
        let left = limits.passes.saturating_sub(run.passes + run.proofs);
        if stop.is_none() && relay.is_dear(run.spent(), run.estimate.relative(), run.goal, left) {
            let found = run.finish(None, observer)?;
            if relay.is_over(found.stop) {
                return Ok(found);
            }
        }
        let is_promising = run.estimate.relative() * run.optimism <= run.goal;
        if stop.is_none() && !is_promising {
            continue;
        }
        let (outcome, reached) = run.prove()?;
        run.report(observer, outcome.certificate.into());
        if reached || stop.is_some() {
            let stop = if reached && stop != Some(StopReason::Interrupted) {
                StopReason::GapReached
            } else {
                stop.unwrap_or(StopReason::GapReached)
            };
            return Ok(BlockOutcome {
                outcome,
                stop,
                passes: run.passes,
                proofs: run.proofs,
                visits: run.visits,
                hot_rows: run.hot.len(),
            });
        }
    }
}

struct BlockRun<'s> {
    setting: &'s Setting,
    limits: BlockLimits,
    store: &'s mut dyn BlockStore,
    clock: Clock,
    generator: ChaCha8Rng,
    is_resumed: bool,
    /// W, in the form of [`Order`].
    weights: Vec<f64>,
    hot: HotRows,
    /// Rows on their way home.
    returned: Vec<Vec<Returned>>,
    /// Of hot rows that an earlier run has kept.
    before: Vec<(usize, HotRow)>,
    /// The bounds as blocks were met in the last pass.
    estimate: Bounds,
    /// Ratio of the last proved gap to the estimate, and the gap that is to be estimated before the next proof.
    optimism: f64,
    goal: f64,
    bound: f64,
    double: bool,
    passes: u64,
    proofs: u64,
    visits: u64,
    blocks: u64,
}

impl<'s> BlockRun<'s> {
    fn new(setting: &'s Setting, limits: BlockLimits, store: &'s mut dyn BlockStore) -> Result<Self, SolveError> {
        if setting.objective.lambda <= 0.0 {
            return Err(SolveError::NoRegulariser);
        }
        let n_blocks = store.n_blocks();
        let before = store.hot()?;
        let mut is_resumed = !before.is_empty();
        for block in 0..n_blocks {
            is_resumed |= store.variables(block)?.is_some();
        }
        Ok(Self {
            limits,
            clock: Clock::after(Duration::ZERO),
            generator: ChaCha8Rng::seed_from_u64(setting.seed),
            is_resumed,
            weights: vec![0.0; (setting.n_features + 1) * setting.n_classes],
            hot: HotRows::default(),
            returned: vec![Vec::new(); n_blocks],
            before,
            estimate: Bounds { primal: 0.0, gap: f64::INFINITY },
            optimism: 0.5,
            goal: limits.gap,
            bound: 0.0,
            double: limits.double,
            passes: 0,
            proofs: 0,
            visits: 0,
            blocks: 0,
            setting,
            store,
        })
    }

    /// Lets the interior point method finish.
    fn finish(&mut self, kept: Option<Vec<f64>>, observer: &mut dyn Observer) -> Result<BlockOutcome, SolveError> {
        let Self { clock, passes, proofs, visits, bound, .. } = *self;
        let work = interior::RunWork { clock, passes, proofs, visits, bound };
        let found = interior::solve(self.setting, &self.limits, self.store, observer, kept, work)?;
        let interior::RunWork { passes, proofs, visits, bound, .. } = found.work;
        (self.passes, self.proofs, self.visits, self.bound) = (passes, proofs, visits, bound);
        let (outcome, stop, hot_rows) = (found.outcome, found.stop, self.hot.len());
        Ok(BlockOutcome { outcome, stop, passes, proofs, visits, hot_rows })
    }

    /// Visits so far; to read a row counts as one.
    #[allow(clippy::cast_precision_loss)]
    fn spent(&self) -> f64 {
        self.visits as f64 + READ * (self.passes + self.proofs) as f64 * self.setting.n_train as f64
    }

    fn seconds_are_up(&self) -> bool {
        self.limits.seconds.is_some_and(|seconds| self.clock.elapsed().as_secs_f64() >= seconds)
    }

    /// The variables of a block: kept, or 0, with those that earlier hot rows of it had.
    #[allow(clippy::cast_possible_truncation)]
    fn variables(&mut self, block: usize, n_rows: usize) -> Result<PartVariables, SolveError> {
        let k = self.setting.n_classes;
        let kept = self.store.variables(block)?;
        let all: Vec<u32> = (0..n_rows as u32).collect();
        let Some(mut kept) = kept else {
            let mut away = self.hot.of_part(block);
            away.extend(self.returned[block].iter().map(|(row, _)| *row));
            return Ok(PartVariables::default().restored(&all, &away, k));
        };
        if !kept.fits(n_rows, k) {
            let problem = format!("the variables of block {block} do not fit its {n_rows} rows of {k} classes");
            return Err(SolveError::Storage(problem));
        }
        // Rows that were hot when an earlier run ended come home.
        let earlier: Vec<HotRow> = self.before.extract_if(.., |(home, _)| *home == block).map(|(_, row)| row).collect();
        let mut away = self.hot.of_part(block);
        away.extend(self.returned[block].iter().map(|(row, _)| *row));
        if self.is_resumed && kept.rows.len() + away.len() < n_rows {
            let known: std::collections::HashSet<u32> = kept.rows.iter().copied().collect();
            for row in earlier.into_iter().filter(|row| !known.contains(&row.row) && row.a.len() == k) {
                kept.rows.push(row.row);
                kept.a.extend(row.a);
            }
            kept = kept.restored(&all, &away, k);
        }
        Ok(kept)
    }

    /// Share of the gap up to which a row is left alone; every row is visited before anything is known.
    #[allow(clippy::cast_precision_loss)]
    fn tolerance(&self) -> f64 {
        if self.passes == 0 {
            return -1.0;
        }
        SETTLED * self.goal * self.estimate.primal / self.setting.n_train as f64
    }

    #[allow(clippy::cast_precision_loss)]
    fn order(&self, n_rows: usize) -> Order {
        let share = n_rows as f64 / self.setting.n_train as f64;
        let room = self.limits.hot_rows.saturating_sub(self.hot.len());
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // Of the room that is left, more than the block's own share: hot rows of other blocks may have gone home.
        let quota = ((share * self.limits.hot_rows as f64).ceil() as usize).max(room / SHARE_OF_ROOM);
        Order {
            weights: self.weights.clone(),
            eta: 1.0,
            tolerance: self.tolerance(),
            quota: quota.min(room),
            passes: PASSES,
            double: self.double,
            seed: self.setting.seed.wrapping_add(self.blocks),
            mean: None,
        }
    }

    /// A pass over all blocks; the reason where it must be the last.
    fn pass(&mut self, observer: &mut dyn Observer) -> Result<Option<StopReason>, SolveError> {
        let mut order: Vec<usize> = (0..self.store.n_blocks()).collect();
        order.shuffle(&mut self.generator);
        let mut met = Bounds { primal: 0.0, gap: 0.0 };
        let mut stop = None;
        for (at, &block) in order.iter().enumerate() {
            if observer.interrupted() {
                stop = Some(StopReason::Interrupted);
            } else if self.seconds_are_up() {
                stop = Some(StopReason::TimeLimit);
            }
            if stop.is_some() {
                break;
            }
            met = met + self.visit(block, order.get(at + 1).copied())?;
            self.blocks += 1;
            observer.step(self.passes);
        }
        self.passes += 1;
        let own = Order { passes: 0, quota: 0, ..self.order(0) };
        if let Some(hot) = self.hot.work(self.setting, &own)? {
            met = met + Bounds { primal: hot.loss, gap: hot.gap };
        }
        self.store.keep_hot(&self.hot.list(self.setting.n_classes))?;
        if stop.is_none() {
            self.estimate = Bounds { primal: met.primal + self.half_square(), gap: met.gap };
            let lambda = self.setting.objective.lambda;
            let primal = lambda * self.estimate.primal;
            self.report(observer, Measurement { primal, relative_gap: self.estimate.relative(), dual: None });
        }
        Ok(stop)
    }

    fn half_square(&self) -> f64 {
        self.weights.iter().map(|w| w * w).sum::<f64>() / 2.0
    }

    /// A visit to a block: its bounds as they were met.
    fn visit(&mut self, block: usize, next: Option<usize>) -> Result<Bounds, SolveError> {
        let rows = self.store.read(block, next)?;
        let n_rows = rows.len();
        if n_rows == 0 {
            return Ok(Bounds { primal: 0.0, gap: 0.0 });
        }
        let variables = self.variables(block, n_rows)?;
        let order = self.order(n_rows);
        let returned = std::mem::take(&mut self.returned[block]);
        let setting = self.setting;
        let source = source(setting, &rows);
        let all = variables.rows.clone();
        let problem = setting.problem(source, &all);
        let (answer, variables) = std::thread::scope(|scope| {
            let mut part = Part::new(&problem, setting.n_train, block, variables, order.double, scope);
            let answer = part.answer(&order, &returned)?;
            part.settle(1.0);
            Ok::<_, SolveError>((answer, part.variables()))
        })?;
        self.store.keep(block, &variables)?;
        let contribution = answer.contribution;
        self.add(&contribution.delta);
        self.visits += contribution.visited;
        if let Some(cells) = &answer.cells {
            self.hot.welcome(block, &contribution.offers, cells);
        }
        let own = Order { weights: self.weights.clone(), passes: self.hot_passes(n_rows), quota: 0, ..order };
        if let Some(hot) = self.hot.work(setting, &own)? {
            self.add(&hot.delta);
            self.visits += hot.visited;
        }
        self.hot.count_calm(own.tolerance);
        for (home, rows) in
            self.hot.farewell(self.calm(), self.returned.len(), setting.n_classes).into_iter().enumerate()
        {
            self.returned[home].extend(rows);
        }
        Ok(Bounds { primal: contribution.loss, gap: contribution.gap })
    }

    /// Passes over the hot rows after a block.
    #[allow(clippy::cast_possible_truncation)]
    fn hot_passes(&self, n_rows: usize) -> u32 {
        let as_many = PASSES as usize * n_rows / self.hot.len().max(1);
        as_many.clamp(*HOT_PASSES.start(), *HOT_PASSES.end()) as u32
    }

    /// Rounds after which a calm row goes home.
    #[allow(clippy::cast_precision_loss)]
    fn calm(&self) -> u8 {
        let is_little = self.hot.len() as f64 > LITTLE_ROOM * self.limits.hot_rows as f64;
        if is_little { CALM_IN_LITTLE_ROOM } else { CALM }
    }

    fn add(&mut self, delta: &[f64]) {
        self.weights.iter_mut().zip(delta).for_each(|(w, d)| *w += d);
    }

    /// A pass that proves the weights as they are, and puts W(a) together anew: the result, and whether it reaches the goal.
    fn prove(&mut self) -> Result<(Outcome, bool), SolveError> {
        let (setting, n_blocks) = (self.setting, self.store.n_blocks());
        let mut all: Option<PartProof> = self.hot.prove(setting, &self.weights);
        for block in 0..n_blocks {
            let rows = self.store.read(block, (block + 1 < n_blocks).then_some(block + 1))?;
            let mut variables = self.variables(block, rows.len())?;
            for (row, a) in std::mem::take(&mut self.returned[block]) {
                variables.rows.push(row);
                variables.a.extend(a);
            }
            self.store.keep(block, &variables)?;
            let problem = setting.problem(source(setting, &rows), &variables.rows);
            let (rows, a, k) = (&variables.rows, &variables.a, setting.n_classes);
            let own = prove_rows(&problem, setting.n_train, rows, a, k, &self.weights);
            match &mut all {
                None => all = Some(own),
                Some(all) => all.merge(own),
            }
        }
        self.proofs += 1;
        let Some(all) = all else { return Err(SolveError::Storage("there are no rows".into())) };
        let (measured, bound) = combine(setting, all, n_blocks + 1, &self.weights);
        self.bound = self.bound.max(bound.dual);
        let certificate = Certificate::proved(measured.value, measured.at_most, self.bound)?;
        let met = self.estimate.relative();
        if met.is_finite() {
            self.optimism = (certificate.relative_gap / met).clamp(0.1, 1.0);
            self.goal = self.goal.min(STRICTER * met).max(1e-3 * self.limits.gap);
        }
        let outcome = Outcome::new(setting, &self.weights, certificate, measured.evaluation);
        self.weights = bound.as_weights(&setting.objective);
        let reached = certificate.relative_gap <= self.limits.gap;
        Ok((outcome, reached))
    }

    #[allow(clippy::cast_precision_loss)]
    fn report(&self, observer: &mut dyn Observer, measurement: Measurement) {
        let entry = LogEntry {
            step: self.passes,
            epoch: self.visits as f64 / self.setting.n_train as f64,
            loss: Some(measurement.primal),
            train_accuracy: None,
            validation_accuracy: None,
            seconds: self.clock.elapsed().as_secs_f64(),
        };
        observer.bounds(&entry, &measurement, 1.0);
    }
}

pub(in crate::solver) fn source<'a>(setting: &'a Setting, rows: &'a SelectedRows) -> Source<'a> {
    Source { features: &rows.features, labels: &rows.labels, scaler: &setting.scaler, weights: Some(&rows.weights) }
}
