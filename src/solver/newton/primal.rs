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
use super::gram::Gram;
use super::iterate::BestBounds;
use super::machine::{Machine, ScalarHinge, Task};
use super::point::FeasibleSet;
use super::record::{Candidate, NewtonLimits, NewtonProgress, NewtonResult, Record};
use super::rows::{LabelRows, SHARES, TrainingRows};
use crate::loss::{Loss, Selection};
use crate::model::BiasRule;
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

/// f of the machines of a loss that the method serves.
pub(super) fn factor(loss: &Loss, n_classes: usize) -> Option<f64> {
    let curvature = loss.set.curvature(1.0) + loss.set.curvature_of_sum(1.0);
    match loss.margins.differences() {
        _ if curvature <= 0.0 => None,
        true => (n_classes == 2).then_some(2.0),
        false => (loss.set.selection == Selection::All).then_some(1.0),
    }
}

/// The machines that are solved: of two classes one is the mirror of the other.
pub(super) const fn count(n_classes: usize) -> usize {
    if n_classes == 2 { 1 } else { n_classes }
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
        let mut run = PrimalRun::new(problem, objective, kind);
        let mut record = Record::new(problem, objective, limits, before);
        let (stop, mut steps) = run.iterate(&mut record, observer)?;
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

#[allow(clippy::cast_precision_loss)]
const fn progress(steps: u64) -> NewtonProgress {
    NewtonProgress { iterations: steps, passes: steps as f64 }
}

struct PrimalRun<'a> {
    task: Task<'a>,
    machines: Vec<Machine>,
    n_features: usize,
    n_classes: usize,
}

impl<'a> PrimalRun<'a> {
    #[allow(clippy::cast_precision_loss)]
    fn new(problem: &Problem<'a>, objective: &Objective, kind: BasisKind) -> Self {
        let (loss, k): (&'a Loss, usize) = (&problem.objective.loss, problem.n_classes);
        let shape = FeasibleSet::new(loss, k);
        let rows = TrainingRows::new(problem, kind);
        let c = 1.0 / (objective.lambda * problem.train.len() as f64);
        let factor = factor(loss, k).unwrap_or(1.0);
        let hi = shape.hi.unwrap_or(f64::INFINITY).min(shape.cap.unwrap_or(f64::INFINITY));
        let hinge = ScalarHinge::new(shape.curvature + shape.curvature_of_sum, hi);
        let weight: f64 = rows.parts.iter().flat_map(|part| &part.weights).sum();
        let square = problem.source.typical_square(problem.train).max(f64::MIN_POSITIVE);
        let task = Task {
            first_kappa: hinge.kappa.max(2.0 * loss.margins.largest() / hi),
            least_share: (LEAST / (c * factor * weight * square)).min(1.0),
            is_free: problem.objective.bias == BiasRule::Free,
            rows,
            shape,
            hinge,
            c,
            factor,
            weight,
        };
        let gram = Gram::new(&task.rows);
        let classes = if count(k) == 1 { 1..2 } else { 0..k };
        let machines = classes.map(|class| Machine::new(&task, class, gram.clone())).collect();
        Self { task, machines, n_features: problem.source.features.n_features(), n_classes: k }
    }

    /// Steps until the goal is proved, or for as long as there is progress; why it ends, and the number of steps.
    #[allow(clippy::cast_precision_loss)]
    fn iterate(
        &mut self,
        record: &mut Record<'_>,
        observer: &mut dyn Observer,
    ) -> Result<(StopReason, u64), SolveError> {
        let limits = record.limits;
        self.respond(&vec![true; self.machines.len()]);
        for steps in 0.. {
            let now = self.bounds();
            let end = match () {
                () if observer.interrupted() => Some(StopReason::Interrupted),
                () if limits.is_over() => Some(StopReason::TimeLimit),
                () if steps >= MOST || self.moving(now, record.promised).is_none() && !record.is_promising(now) => {
                    Some(StopReason::NoProgress)
                }
                () => None,
            };
            if record.is_promising(now) || end.is_some() {
                let reached = record.prove(now, self.candidate(), 0.0)?;
                match end {
                    Some(stop) => return Ok((stop, steps)),
                    None if reached => return Ok((StopReason::GapReached, steps)),
                    None => {}
                }
            }
            let Some(moving) = self.moving(now, record.promised) else { return Ok((StopReason::NoProgress, steps)) };
            let active = moving.iter().filter(|&&moves| moves).count() as f64 / moving.len() as f64;
            record.report(observer, now, active, progress(steps));
            self.step(&moving);
            observer.step(limits.steps + steps + 1);
        }
        unreachable!("steps are counted")
    }

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

    /// Which machines miss their share of the goal and can come nearer; `None` where there is none.
    #[allow(clippy::cast_precision_loss)]
    fn moving(&self, now: BestBounds, goal: f64) -> Option<Vec<bool>> {
        let most = goal * now.primal / (self.copies() * self.machines.len() as f64);
        let moves = |machine: &Machine| {
            let is_near = machine.bounds.gap() <= most;
            !is_near && !machine.is_exhausted()
        };
        let moving: Vec<bool> = self.machines.iter().map(moves).collect();
        moving.contains(&true).then_some(moving)
    }

    /// Classes that a machine stands for.
    #[allow(clippy::cast_precision_loss)]
    fn copies(&self) -> f64 {
        (self.n_classes / self.machines.len()) as f64
    }

    fn bounds(&self) -> BestBounds {
        let sum = |of: fn(&Machine) -> f64| self.copies() * self.machines.iter().map(of).sum::<f64>();
        BestBounds { primal: sum(|machine| machine.bounds.primal), dual: sum(|machine| machine.bounds.dual) }
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

    fn candidate(&self) -> Candidate {
        let (k, rows) = (self.n_classes, &self.task.rows);
        let mut v: Vec<f64> = self.machines.iter().flat_map(|machine| &machine.best).copied().collect();
        if self.machines.len() < k {
            v.splice(0..0, self.machines[0].best.iter().map(|v| -v).collect::<Vec<_>>());
        }
        let (weight, bias) = rows.space.weights(&v, self.n_features);
        let order: Vec<u32> = rows.parts.iter().flat_map(|part| &part.rows).chain(&rows.idle).copied().collect();
        let mut a = vec![0.0; order.len() * k];
        let differences = self.task.shape.loss.margins.differences();
        for machine in &self.machines {
            for part in &rows.parts {
                for (i, proof) in machine.proof[part.range()].iter().enumerate() {
                    let own = self.task.c * proof;
                    let row = &mut a[(part.first + i) * k..(part.first + i + 1) * k];
                    match (self.machines.len() < k, differences) {
                        (false, _) => row[machine.class] = own,
                        (true, false) => row.fill(own),
                        (true, true) => row[1 - part.label] = own,
                    }
                }
            }
        }
        Candidate { weight, bias, rows: order, a }
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
                let sum = &mut sums[machine.side_of(part.label)];
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
