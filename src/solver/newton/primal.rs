//! Newton's method on the objective itself, for losses that are curved and whose classes meet no others: one-vs-rest, and two classes.
//!
//! ```text
//! repeat:  for every class on its own: v ← v + t·d      d the direction of Newton's method, t the end of a search along it     (machine.rs)
//! until:   the objectives of all classes and their duals at a(v) are proved to lie within `gap`
//! ```
//!
//! The objective is piecewise quadratic: in the piece of the optimum one step ends at it, and the bound is exact there. A class that has its share of the gap
//! rests. A problem so small that its time is negligible goes on until the weights no longer change. Reference: S. S. Keerthi and D. DeCoste, *A modified finite Newton method for fast solution of large scale linear SVMs*, JMLR 6, 2005.

use super::ROUNDING;
use super::basis::BasisKind;
use super::class::{Task, factor};
use super::classes::{ClassMachine as _, ClassRun};
use super::gram::Gram;
use super::machine::{Machine, Stages};
use super::record::{NewtonLimits, NewtonResult, Record, progress};
use super::rows::{LabelRows, SHARES, TrainingRows};
use crate::loss::Loss;
use crate::objective::Objective;
use crate::solver::stop::StopReason;
use crate::solver::{Observer, Problem, SolveError};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

/// Steps of a class after which the method is given up.
const MOST: u64 = 500;
/// The mean change of a margin, in units of it, by which the least C is chosen.
const LEAST: f64 = 10.0;

/// Whether the method serves a loss: one that is curved and whose classes meet no others.
pub(super) fn serves(loss: &Loss, n_classes: usize) -> bool {
    loss.set.curvature(1.0) + loss.set.curvature_of_sum(1.0) > 0.0 && factor(loss, n_classes).is_some()
}

/// Runs from zero until the gap is proved; λ is that of `objective`. `before` is a bound that was proved before.
///
/// # Errors
/// As [`super::solve`].
pub(super) fn finish(
    problem: &Problem<'_>,
    objective: &Objective,
    limits: NewtonLimits,
    before: Option<f64>,
    observer: &mut dyn Observer,
) -> Result<NewtonResult, SolveError> {
    // On a thread of the pool: from outside every one of many short loops would wait for another thread to wake.
    rayon::scope(|_| {
        let kind = if limits.polish { BasisKind::Orthogonal } else { BasisKind::Scaled };
        let task = Task::new(problem, objective, kind);
        let (gram, stages) = (Gram::new(&task.rows), stages(&task, problem));
        let machine = |task: &Task<'_>, class| Machine::new(task, class, gram.clone(), stages);
        let mut run = ClassRun::new(task, problem, machine);
        run.respond(&vec![true; run.machines.len()]);
        let mut record = Record::new(problem, objective, limits, before);
        let step = |run: &mut ClassRun<'_, Machine>, moving: &[bool], _| {
            run.step(moving);
            1
        };
        let (stop, mut steps) = run.iterate(MOST, &mut record, observer, step)?;
        let mut is_at_rest = true;
        if limits.polish && matches!(stop, StopReason::GapReached | StopReason::NoProgress) {
            let polished;
            (polished, is_at_rest) = run.polish(|| observer.interrupted() || limits.is_over());
            steps += polished;
            record.prove(run.bounds(), run.candidate(), ROUNDING)?;
        }
        let found = record.finish(stop, progress(steps), observer)?;
        // The next method polishes them.
        let stop = if is_at_rest || found.stop != StopReason::GapReached { found.stop } else { StopReason::NoProgress };
        Ok(NewtonResult { stop, ..found })
    })
}

fn stages(task: &Task<'_>, problem: &Problem<'_>) -> Stages {
    let square = problem.source.typical_square(problem.train).max(f64::MIN_POSITIVE);
    Stages {
        kappa: task.hinge.kappa.max(2.0 * problem.objective.loss.margins.largest() / task.hinge.hi),
        share: (LEAST / (task.c * task.factor * task.weight * square)).min(1.0),
    }
}

impl ClassRun<'_, Machine> {
    /// Steps until the weights no longer change, which then are the optimum but for rounding: their number, and whether the weights have come to rest.
    fn polish(&mut self, mut halt: impl FnMut() -> bool) -> (u64, bool) {
        let mut steps = 0;
        self.machines.iter_mut().for_each(Machine::begin_polish);
        while steps < MOST && !halt() {
            let moving: Vec<bool> = self.machines.iter().map(|machine| !machine.is_still()).collect();
            if !moving.contains(&true) {
                break;
            }
            self.step(&moving);
            steps += 1;
        }
        let at_rest: Vec<bool> = self.machines.iter_mut().map(Machine::settle).collect();
        (steps, !at_rest.contains(&false))
    }

    fn step(&mut self, moving: &[bool]) {
        let task = &self.task;
        self.machines
            .par_iter_mut()
            .zip(moving)
            .filter(|(_, moves)| **moves)
            .for_each(|(machine, _)| machine.direct(task));
        let mut advancing: Vec<&mut Machine> = self
            .machines
            .iter_mut()
            .zip(moving)
            .filter(|(machine, moves)| **moves && !machine.step.is_empty())
            .map(|(machine, _)| machine)
            .collect();
        let steps = scores(&task.rows, &advancing.iter().map(|machine| machine.step.as_slice()).collect::<Vec<_>>());
        advancing.par_iter_mut().zip(&steps).for_each(|(machine, steps)| machine.advance(task, steps));
        self.respond(moving);
    }

    /// Puts the dual variables and bounds of some machines to those of their scores.
    fn respond(&mut self, moving: &[bool]) {
        let task = &self.task;
        let mut moved: Vec<&mut Machine> =
            self.machines.iter_mut().zip(moving).filter(|(_, moves)| **moves).map(|(machine, _)| machine).collect();
        moved.par_iter_mut().for_each(|machine| machine.respond(task));
        let sums = sums(&task.rows, &moved.iter().map(|machine| &**machine).collect::<Vec<_>>());
        moved.par_iter_mut().zip(sums).for_each(|(machine, sums)| machine.measure(task, sums));
    }
}

/// Scores of all rows at some weights.
fn scores(rows: &TrainingRows, weights: &[&[f64]]) -> Vec<Vec<f64>> {
    let count = weights.len();
    let weights = weights.concat();
    let weights = MatRef::from_column_major_slice(&weights, rows.space.width, count);
    let of = |part: &LabelRows| {
        let n = part.rows.len();
        let mut out = vec![0.0; n * count];
        let to = MatMut::from_column_major_slice_mut(&mut out, n, count);
        matmul(to, Accum::Replace, part.matrix(), weights, 1.0, Par::Seq);
        out
    };
    let parts: Vec<Vec<f64>> = rows.parts.par_iter().map(of).collect();
    let column = |at: usize| {
        let of_part = |out: &Vec<f64>| at * (out.len() / count)..(at + 1) * (out.len() / count);
        parts.iter().map(|out| &out[of_part(out)]).collect::<Vec<_>>().concat()
    };
    (0..count).map(column).collect()
}

/// `Σ w·a·z` of both sides of some machines.
fn sums(rows: &TrainingRows, machines: &[&Machine]) -> Vec<[Vec<f64>; 2]> {
    let (width, count) = (rows.space.width, machines.len());
    let length = rows.parts.len().div_ceil(SHARES).max(1);
    let share = |parts: &[LabelRows]| {
        let mut sums = vec![[vec![0.0; width], vec![0.0; width]]; count];
        let mut found = vec![0.0; width * count];
        for part in parts {
            let weighted: Vec<f64> =
                machines.iter().map(|machine| &machine.weighted[part.range()]).collect::<Vec<_>>().concat();
            let weighted = MatRef::from_column_major_slice(&weighted, part.rows.len(), count);
            let to = MatMut::from_column_major_slice_mut(&mut found, width, count);
            matmul(to, Accum::Replace, part.matrix().transpose(), weighted, 1.0, Par::Seq);
            for ((machine, sums), found) in machines.iter().zip(&mut sums).zip(found.chunks_exact(width)) {
                let sum = &mut sums[machine.state().side_of(part.label)];
                sum.iter_mut().zip(found).for_each(|(sum, found)| *sum += found);
            }
        }
        sums
    };
    let shares: Vec<Vec<[Vec<f64>; 2]>> = rows.parts.par_chunks(length).map(share).collect();
    let mut total = vec![[vec![0.0; width], vec![0.0; width]]; count];
    for share in &shares {
        for (total, own) in total.iter_mut().flatten().zip(share.iter().flatten()) {
            total.iter_mut().zip(own).for_each(|(total, own)| *total += own);
        }
    }
    total
}
