//! The interior point method for the problem of a class on its own (`class`), where a row has one dual variable.
//!
//! With a in units of the cost of a row, t, ξ ≥ 0 and b = hi − a, all of them above 0,
//!
//! ```text
//! t − ξ = κ·a − G,   a·t = b·ξ = μ                        b, ξ where there is a bound hi
//! δa = D·(q − f·y·(z·δv)),   D = 1/(t/a + ξ/b + κ),   q = G − κ·a + (μ + e)/a − (μ + e')/b + ξ·(hi − a − b)/b
//! (R + C·f·Σ w D z zᵀ) δv = C·Σ w·y·(a + D·q)·z − Rv
//! ```
//!
//! with corrections e, e' for the products of predicted steps: the method of `iterate`, whose classes go one way together. A class on its own goes
//! as far as it can, and its rows stay in the caches from one step to the next.

mod sweep;

use super::basis::BasisKind;
use super::class::{ClassState, ClassSums, Task};
use super::classes::{ClassMachine, ClassRun};
use super::iterate::{Iterate, aim, gone};
use super::record::{NewtonLimits, NewtonResult, Record, progress};
use super::rows::{LabelRows, SHARES};
use super::system::Factor;
use super::{MOST, STUCK, polished};
use crate::kernel::vectorized;
use crate::objective::Objective;
use crate::solver::stop::StopReason;
use crate::solver::{Observer, Problem, SolveError};
use faer::Mat;
use rayon::prelude::*;
use sweep::{ScalarPoint, StepSums, Sweep, SweepKind};

/// Steps of a class before it is the turn of the next, where one of all classes has no more multiply-adds than these.
const ROUND: u64 = 4;
const SHORT: f64 = 3e8;

/// Part of a step from which it counts as whole, and whole steps without a smaller gap after which rounding is all that is left.
const WHOLE: f64 = 0.9;
const VAIN: u32 = 2;

/// Runs from the middle of the sets until the gap is proved; λ is that of `objective`. `before` is a bound that was proved before.
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
        let mut run = ClassRun::new(Task::new(problem, objective, BasisKind::Orthogonal), problem, ScalarInterior::new);
        let mut record = Record::new(problem, objective, limits, before);
        let round = if limits.polish { 1 } else { run.round() };
        let step = |run: &mut ClassRun<'_, ScalarInterior>, moving: &[bool], most: f64| run.step(moving, round, most);
        let (stop, mut steps) = run.iterate(MOST, &mut record, observer, step)?;
        if stop == StopReason::NoProgress || (stop == StopReason::GapReached && limits.polish) {
            let (weights, candidate) = (run.weights(), run.candidate());
            let mut iterate = Iterate::over(problem, objective.lambda, run.task.rows);
            iterate.put(&weights, &candidate.a);
            steps += polished(&mut iterate, &mut record, observer)?;
        }
        record.finish(stop, progress(steps), observer)
    })
}

impl ClassRun<'_, ScalarInterior> {
    #[allow(clippy::cast_precision_loss)]
    fn round(&self) -> u64 {
        let (n, width) = (self.task.rows.n_rows() as f64, self.task.rows.space.width as f64);
        if n * width * width * self.machines.len() as f64 <= SHORT { ROUND } else { 1 }
    }

    /// Steps of those that move, until their gaps are at most `most`.
    pub fn step(&mut self, moving: &[bool], round: u64, most: f64) -> u64 {
        let task = &self.task;
        self.machines.par_iter_mut().zip(moving).filter(|(_, moves)| **moves).for_each(|(machine, _)| {
            for _ in 0..round {
                if machine.is_exhausted() || machine.state.bounds.gap() <= most {
                    break;
                }
                machine.step(task);
            }
        });
        round
    }
}

/// The weights of a class, and its variables between their bounds.
pub(super) struct ScalarInterior {
    state: ClassState,
    points: Vec<ScalarPoint>,
    /// Σ w·(number of products)
    count: f64,
    /// The smallest μ so far, and steps in which it has not come down by a tenth; whole steps in which the gap has not.
    least: f64,
    stuck: u32,
    vain: u32,
    has_failed: bool,
}

impl ClassMachine for ScalarInterior {
    fn state(&self) -> &ClassState {
        &self.state
    }

    fn is_exhausted(&self) -> bool {
        self.has_failed || self.stuck > STUCK || self.vain > VAIN
    }
}

impl ScalarInterior {
    /// At v = 0, the variables in the middle of their sets.
    pub fn new(task: &Task<'_>, class: usize) -> Self {
        let mut machine = Self {
            state: ClassState::new(task, class),
            points: task.rows.parts.iter().map(|part| ScalarPoint::new(task, part, class)).collect(),
            count: if task.hinge.hi.is_finite() { 2.0 * task.weight } else { task.weight },
            least: f64::INFINITY,
            stuck: 0,
            vain: 0,
            has_failed: false,
        };
        machine.has_failed = machine.take(task, 0.0).is_none();
        machine
    }

    /// A step of the method.
    fn step(&mut self, task: &Task<'_>) {
        let gap = self.state.bounds.gap();
        let Some((mu, length)) = self.stepped(task) else { return self.has_failed = true };
        (self.stuck, self.least) = if mu < 0.9 * self.least { (0, mu) } else { (self.stuck + 1, self.least) };
        // Whole steps end all residuals, and leave a gap of the products; one that stays although they are less is one of rounding.
        let (falls, is_whole) = (self.state.bounds.gap() < 0.9 * gap, length >= WHOLE);
        let is_near = task.c / task.factor * mu * self.count <= gap;
        self.vain = if is_whole && is_near && !falls { self.vain + 1 } else { 0 };
    }

    /// μ before the step and the length of it; `None` where there is no step.
    fn stepped(&mut self, task: &Task<'_>) -> Option<(f64, f64)> {
        let (system, right) = self.system(task)?;
        let predicted = self.direction(task, &system, &right);
        let found = self.swept(task, SweepKind::Predict { direction: &predicted })?;
        let (mu, target) = aim(found.along, 1.0 / found.largest, self.count)?;
        let [none, whole] = &found.class.products;
        let right: Vec<f64> = none.iter().zip(whole).map(|(none, whole)| none + target * whole).collect();
        let direction = self.direction(task, &system, &right);
        let corrected = self.swept(task, SweepKind::Correct { direction: &direction, target })?;
        let length = gone(1.0 / corrected.largest)?;
        self.state.v.iter_mut().zip(&direction).for_each(|(v, dv)| *v += length * dv);
        self.take(task, length)?;
        Some((mu, length))
    }

    /// δv of a right-hand side in units of C.
    fn direction(&self, task: &Task<'_>, system: &Factor, right: &[f64]) -> Vec<f64> {
        let mut values = task.rows.space.regularised(&self.state.v);
        values.iter_mut().zip(right).for_each(|(value, right)| *value = task.c * right - *value);
        system.solve(&mut values);
        values
    }

    /// The factorised system, and the right-hand side for products of 0.
    fn system(&mut self, task: &Task<'_>) -> Option<(Factor, Vec<f64>)> {
        let device = task.rows.device.as_ref();
        let kind = SweepKind::Aim { sums: device.is_none() };
        let StepSums { mut gram, class: ClassSums { products: [right, _], .. }, .. } = self.swept(task, kind)?;
        if let Some(device) = device {
            let (rows, width) = (task.rows.parts.iter().zip(&self.points), task.rows.space.width);
            let numbers: Vec<f64> = rows.flat_map(|(part, point)| point.numbers(&part.weights)).collect();
            match device.gram(0..task.shape.n_classes, &numbers) {
                Some(sum) => gram = Mat::from_fn(width, width, |i, j| sum[i * width + j]),
                None => gram = self.swept(task, SweepKind::Aim { sums: true })?.gram,
            }
        }
        let mut matrix = faer::Scale(task.c * task.factor) * &gram;
        let penalty = task.rows.space.penalty();
        let mut block = matrix.as_mut().submatrix_mut(0, 0, penalty.nrows(), penalty.ncols());
        block += penalty;
        Some((Factor::new(matrix)?, right))
    }

    /// Sums over all parts; `None` where they are no numbers.
    fn swept(&mut self, task: &Task<'_>, kind: SweepKind<'_>) -> Option<StepSums> {
        let width = task.rows.space.width;
        let share = |(parts, points): (&[LabelRows], &mut [ScalarPoint])| {
            let (mut sums, mut room) = (StepSums::of(width, kind), [Vec::new(), Vec::new()]);
            for (part, point) in parts.iter().zip(points) {
                vectorized(Sweep { kind, hinge: task.hinge, part, point, sums: &mut sums, room: &mut room });
            }
            sums
        };
        let length = task.rows.parts.len().div_ceil(SHARES).max(1);
        let shares: Vec<StepSums> =
            task.rows.parts.par_chunks(length).zip(self.points.par_chunks_mut(length)).map(share).collect();
        let mut total = StepSums::of(width, kind);
        shares.iter().for_each(|share| total.add(share));
        total.is_finite.then_some(total)
    }

    /// Goes a part of the way, and finds the bounds.
    fn take(&mut self, task: &Task<'_>, length: f64) -> Option<()> {
        let found = self.swept(task, SweepKind::Take { length })?;
        let points = &self.points;
        self.state.measure(task, &found.class, 1.0, |at| &points[at].weighted);
        Some(())
    }
}
