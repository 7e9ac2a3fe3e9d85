//! A method of second order for the classes of one-vs-rest, or for two classes, each on its own.
//!
//! A class that has its share of the gap rests until it is too large for the others.

use super::class::{ClassBounds, ClassState, Task, count};
use super::iterate::BestBounds;
use super::record::{Candidate, Record, progress};
use crate::solver::stop::StopReason;
use crate::solver::{Observer, Problem, SolveError};

/// A solver of the problem of a class.
pub(super) trait ClassMachine: Send {
    fn state(&self) -> &ClassState;

    /// Whether nothing but rounding is left.
    fn is_exhausted(&self) -> bool;
}

/// All of them.
pub(super) struct ClassRun<'a, M> {
    pub task: Task<'a>,
    pub machines: Vec<M>,
    n_features: usize,
    n_classes: usize,
}

impl<'a, M: ClassMachine> ClassRun<'a, M> {
    pub fn new(task: Task<'a>, problem: &Problem<'_>, machine: impl Fn(&Task<'_>, usize) -> M) -> Self {
        let k = problem.n_classes;
        let classes = if count(k) == 1 { 1..2 } else { 0..k };
        let machines = classes.map(|class| machine(&task, class)).collect();
        Self { task, machines, n_features: problem.source.features.n_features(), n_classes: k }
    }

    /// Steps until the goal is proved, or for as long as there is progress; why it ends, and the number of steps. `step` moves some of the machines, none beyond
    /// a gap, and returns the number of its steps.
    ///
    /// # Errors
    /// As [`Record::prove`].
    #[allow(clippy::cast_precision_loss)]
    pub fn iterate(
        &mut self,
        most: u64,
        record: &mut Record<'_>,
        observer: &mut dyn Observer,
        mut step: impl FnMut(&mut Self, &[bool], f64) -> u64,
    ) -> Result<(StopReason, u64), SolveError> {
        let (limits, mut steps) = (record.limits, 0);
        loop {
            let now = self.bounds();
            let end = match () {
                () if observer.interrupted() => Some(StopReason::Interrupted),
                () if limits.is_over() => Some(StopReason::TimeLimit),
                () if steps >= most || self.moving(now, record.promised).is_none() && !record.is_promising(now) => {
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
            steps += step(self, &moving, self.share(now, record.promised));
            observer.step(limits.steps + steps);
        }
    }

    /// Which machines miss their share of the goal and can come nearer; `None` where there is none.
    fn moving(&self, now: BestBounds, goal: f64) -> Option<Vec<bool>> {
        let most = self.share(now, goal);
        let moves = |machine: &M| {
            let is_near = machine.state().bounds.gap() <= most;
            !is_near && !machine.is_exhausted()
        };
        let moving: Vec<bool> = self.machines.iter().map(moves).collect();
        moving.contains(&true).then_some(moving)
    }

    /// The share of a machine in a relative gap.
    #[allow(clippy::cast_precision_loss)]
    fn share(&self, now: BestBounds, goal: f64) -> f64 {
        goal * now.primal / (self.copies() * self.machines.len() as f64)
    }

    /// Classes that a machine stands for.
    #[allow(clippy::cast_precision_loss)]
    fn copies(&self) -> f64 {
        (self.n_classes / self.machines.len()) as f64
    }

    pub fn bounds(&self) -> BestBounds {
        let sum = |of: fn(ClassBounds) -> f64| {
            self.copies() * self.machines.iter().map(|machine| of(machine.state().bounds)).sum::<f64>()
        };
        BestBounds { primal: sum(|bounds| bounds.primal), dual: sum(|bounds| bounds.dual) }
    }

    /// The best weights, class after class.
    pub fn weights(&self) -> Vec<f64> {
        let mut v: Vec<f64> = self.machines.iter().flat_map(|machine| &machine.state().best).copied().collect();
        if self.machines.len() < self.n_classes {
            v.splice(0..0, self.machines[0].state().best.iter().map(|v| -v).collect::<Vec<_>>());
        }
        v
    }

    pub fn candidate(&self) -> Candidate {
        let (k, rows) = (self.n_classes, &self.task.rows);
        let (weight, bias) = rows.space.weights(&self.weights(), self.n_features);
        let order: Vec<u32> = rows.parts.iter().flat_map(|part| &part.rows).chain(&rows.idle).copied().collect();
        let mut a = vec![0.0; order.len() * k];
        let differences = self.task.shape.loss.margins.differences();
        for machine in self.machines.iter().map(M::state) {
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
