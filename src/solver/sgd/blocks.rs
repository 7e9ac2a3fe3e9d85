//! Minibatch descent over rows that come in blocks, one of which is in memory and the next on its way.
//!
//! ```text
//! every epoch:   the blocks in an order drawn anew
//! of each block: its rows in an order drawn anew, in batches of `batch_size`, the last of which may be smaller
//! ```
//! Steps, learning rates and optimisers are those of a run in memory. A batch never has rows of two blocks, so that blocks are to be
//! shuffled when they are written. A visit to a block is the run resumed from the snapshot that the visit before it has left.

use super::run::SgdRun;
use super::sampler::{Sampler, Sampling};
use super::stacked::Member;
use super::{SgdConfig, engine};
use crate::data::streams;
use crate::solver::parts::{BlockStore, Setting, source};
use crate::solver::{Fit, GradientReport, GradientRoute, Observer, Problem, Snapshot, SolveError};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Numbers of rows of the blocks, and the steps that they make.
struct BlockPlan {
    seed: u64,
    /// Batches of each block.
    batches: Vec<u64>,
    per_epoch: u64,
    steps: u64,
}

/// A visit to a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BlockVisit {
    block: usize,
    /// The block after it.
    next: Option<usize>,
    /// Its first step, and that behind its last.
    first: u64,
    end: u64,
}

impl BlockPlan {
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn new(config: &SgdConfig, seed: u64, rows: &[usize]) -> Self {
        let batches: Vec<u64> = rows.iter().map(|rows| rows.div_ceil(config.batch_size.get()) as u64).collect();
        let per_epoch = batches.iter().sum::<u64>().max(1);
        let of_epochs =
            || ((config.epochs.map_or(10.0, crate::bounded::Positive::get) * per_epoch as f64).round() as u64).max(1);
        let steps = config.steps.map_or_else(of_epochs, |steps| steps.get() as u64);
        Self { seed, batches, per_epoch, steps }
    }

    /// The blocks that have rows, in the order of an epoch.
    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.batches.len()).filter(|&block| self.batches[block] > 0).collect();
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed.wrapping_add(epoch));
        generator.set_stream(streams::BLOCKS);
        order.shuffle(&mut generator);
        order
    }

    /// The visit that a step is of; `None` where no block has rows.
    fn visit(&self, step: u64) -> Option<BlockVisit> {
        let epoch = step / self.per_epoch;
        let order = self.order(epoch);
        let mut first = epoch * self.per_epoch;
        for (at, &block) in order.iter().enumerate() {
            let end = first + self.batches[block];
            if step < end {
                let after = || order.get(at + 1).copied().or_else(|| self.order(epoch + 1).first().copied());
                let next = if end < self.steps { after() } else { None };
                return Some(BlockVisit { block, next, first, end: end.min(self.steps) });
            }
            first = end;
        }
        None
    }
}

/// Input of a run over blocks besides the rows.
#[derive(Debug, Clone, Copy)]
pub struct BlockInput<'a> {
    /// All but the rows.
    pub setting: &'a Setting,
    /// Implementation of the gradient that was asked for.
    pub gradient: GradientRoute,
    /// Threads of the CPU, 1 or more.
    pub threads: usize,
    /// Rows of each block.
    pub rows: &'a [usize],
}

/// Runs the solver over blocks; see the module's documentation. `sampling` is not followed: rows of a block are shuffled. An observer's
/// snapshot is that of a run of the same blocks.
///
/// # Errors
/// [`SolveError::Storage`] of the store, else as of [`super::solve`].
pub fn solve_blocks(
    config: &SgdConfig,
    input: BlockInput<'_>,
    store: &mut dyn BlockStore,
    observer: &mut dyn Observer,
) -> Result<Fit, SolveError> {
    let plan = BlockPlan::new(config, input.setting.seed, input.rows);
    observer.start(plan.steps);
    let mut state = BlockDescent { made: 0, kept: observer.resume(), report: None };
    if let Some(kept) = &state.kept {
        state.made = kept.clone().take_one("made")?;
    }
    loop {
        let Some(visit) = plan.visit(state.made.min(plan.steps - 1)) else {
            return Err(SolveError::Storage("there are no rows".into()));
        };
        let rows = store.read(visit.block, visit.next)?;
        let setting = input.setting;
        let train: Vec<u32> = (0..).take(rows.len()).collect();
        let problem = Problem {
            gradient: input.gradient,
            threads: input.threads,
            ..setting.problem(source(setting, &rows), &train)
        };
        let fit = problem.in_single(|problem| state.make(config, problem, &plan, visit, observer));
        engine::forget(&setting.device.device);
        if let Some(fit) = fit? {
            return Ok(fit);
        }
    }
}

/// A run between two visits.
struct BlockDescent {
    made: u64,
    kept: Option<Snapshot>,
    report: Option<GradientReport>,
}

impl BlockDescent {
    /// Makes the steps of a visit; the result where they were the last.
    fn make(
        &mut self,
        config: &SgdConfig,
        problem: &Problem<'_>,
        plan: &BlockPlan,
        visit: BlockVisit,
        observer: &mut dyn Observer,
    ) -> Result<Option<Fit>, SolveError> {
        let members = [Member::new(config, problem.objective)];
        let engine = engine::choose(config, problem, &members);
        let mut run = SgdRun::new(config, problem, &members, engine).visit(plan.steps, plan.per_epoch, visit.end);
        let seed = plan.seed.wrapping_add(visit.first);
        let mut sampler = Sampler::new(problem.train, Sampling::Shuffle, config.batch_size.get(), seed);
        let report = match self.report {
            Some(report) => report,
            None => run.checked(&sampler, observer)?,
        };
        self.report = Some(report);
        run.made = visit.first;
        if let Some(kept) = self.kept.take() {
            run.restore(kept)?;
        }
        sampler.skip(run.made - visit.first.min(run.made));
        run.make_steps(sampler, observer)?;
        if run.is_over() {
            return run.outcome(report).map(|mut fits| Some(fits.swap_remove(0).fit));
        }
        (self.made, self.kept) = (run.made, run.snapshot()?);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_visits_every_block_once_and_its_batches_follow_each_other() {
        let config = SgdConfig {
            batch_size: std::num::NonZeroUsize::new(10).unwrap(),
            epochs: crate::bounded::Positive::new(2.5).ok(),
            ..SgdConfig::default()
        };
        let plan = BlockPlan::new(&config, 7, &[25, 0, 10, 99]);
        assert_eq!((plan.per_epoch, plan.steps), (14, 35));
        let (mut step, mut orders, mut next) = (0, vec![Vec::new(); 3], None);
        while step < plan.steps {
            let visit = plan.visit(step).unwrap();
            assert!(visit.first == step && (step == 0 || next == Some(visit.block)), "{visit:?}");
            assert_eq!(plan.visit(visit.end - 1), Some(visit));
            orders[usize::try_from(step / 14).unwrap()].push(visit.block);
            (step, next) = (visit.end, visit.next);
        }
        assert_eq!((step, next), (35, None));
        for order in &mut orders[..2] {
            order.sort_unstable();
            assert_eq!(*order, [0, 2, 3]);
        }
        assert!(BlockPlan::new(&config, 7, &[0, 0]).visit(0).is_none());
    }
}
