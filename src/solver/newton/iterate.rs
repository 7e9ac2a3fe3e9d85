//! An iterate of the interior point method: its variables, bounds and step.

use super::basis::BasisKind;
use super::point::{FeasibleSet, InteriorPoint};
use super::rows::{TrainingRows, gather};
use super::share::block_sums;
use super::system::{BlockPattern, System};
use crate::loss::Loss;
use crate::model::BiasRule;
use crate::solver::Problem;
use crate::solver::dual::free;
use rayon::prelude::*;

/// So much of the way to the bounds is gone.
const SHARE: f64 = 0.99;
/// Centrality correctors of a step, the length beyond which none is needed, and the length that one aims to add.
const CORRECTORS: usize = 3;
const FAR: f64 = 0.9;
const FURTHER: f64 = 0.3;
/// Multiply-adds of the system for each row and class from which correctors pay.
const DEAR: f64 = 250.0;

/// The smallest primal and the largest bound so far, of the objective divided by λ.
#[derive(Debug, Clone, Copy)]
pub(super) struct BestBounds {
    pub primal: f64,
    pub dual: f64,
}

impl BestBounds {
    pub fn relative(self) -> f64 {
        match self.primal - self.dual {
            gap if self.primal > 0.0 => (gap / self.primal).abs(),
            0.0 => 0.0,
            _ => f64::INFINITY,
        }
    }
}

/// μ of the products now, and the aim after a step predicted to leave `after` of them.
pub(super) fn aim(now: f64, after: f64, count: f64) -> Option<(f64, f64)> {
    let mu = now / count;
    let target = mu * (after / now).powi(3);
    (target.is_finite() && mu > 0.0).then_some((mu, target))
}

/// The shorter of two ways; none that is a number where one is none.
pub(super) fn shorter(least: f64, length: f64) -> f64 {
    if length < least || length.is_nan() { length } else { least }
}

/// The length of a step of which `length` leads to the bounds.
pub(super) fn gone(length: f64) -> Option<f64> {
    let length = (SHARE * length).min(1.0);
    (length > 1e-12).then_some(length)
}

/// The largest bound by multiples of dual variables; the linear term and the quadratic one.
pub(super) fn best_bound(loss: &Loss, linear: f64, quadratic: f64) -> f64 {
    let theta = if quadratic > 0.0 { linear / (2.0 * quadratic) } else { 1.0 };
    let theta = if loss.set.is_bounded() { theta.min(1.0) } else { theta };
    theta * (linear - theta * quadratic)
}

/// Weights, dual variables and slacks, with the best so far.
pub(super) struct Iterate<'a> {
    pub shape: FeasibleSet<'a>,
    pub blocks: BlockPattern,
    is_free: bool,
    pub rows: TrainingRows,
    pub points: Vec<InteriorPoint>,
    n_features: usize,
    correctors: usize,
    /// The weights in the basis of the rows, class after class.
    pub u: Vec<f64>,
    best: BestBounds,
    best_u: Vec<f64>,
    best_a: Vec<Vec<f64>>,
}

impl<'a> Iterate<'a> {
    /// The weights zero, the variables in the middle of their sets.
    #[allow(clippy::cast_precision_loss)]
    pub fn new(problem: &Problem<'a>, lambda: f64) -> Self {
        let loss: &'a Loss = &problem.objective.loss;
        let shape = FeasibleSet::new(loss, problem.n_classes);
        let rows = TrainingRows::new(problem, BasisKind::Orthogonal);
        let c = 1.0 / (lambda * problem.train.len() as f64);
        // A corrector costs as much as all else that is done to the rows.
        let blocks = FeasibleSet::blocks(loss);
        let system = blocks.count(problem.n_classes) as f64 * (rows.space.width * rows.space.width) as f64 / 2.0;
        let is_dear = system > DEAR * problem.n_classes as f64;
        let points: Vec<InteriorPoint> = rows
            .parts
            .par_iter()
            .map(|part| InteriorPoint::new(&shape, part.label, part.weights.iter().map(|w| c * w).collect()))
            .collect();
        Self {
            blocks,
            is_free: problem.objective.bias == BiasRule::Free,
            n_features: problem.source.features.n_features(),
            correctors: if is_dear { CORRECTORS } else { 0 },
            u: vec![0.0; rows.space.len()],
            best: BestBounds { primal: f64::INFINITY, dual: f64::NEG_INFINITY },
            best_u: vec![0.0; rows.space.len()],
            best_a: Vec::new(),
            shape,
            rows,
            points,
        }
    }

    /// The rows in the order of [`Iterate::variables`].
    pub fn order(&self) -> Vec<u32> {
        self.rows.parts.iter().flat_map(|part| &part.rows).chain(&self.rows.idle).copied().collect()
    }

    /// c·a of the best bound, `[rows, n_classes]`.
    pub fn variables(&self) -> Vec<f64> {
        let mut all = self.best_a.concat();
        // Rows of weight 0, and all of them where no bound was a number.
        all.resize(self.order().len() * self.shape.n_classes, 0.0);
        all
    }

    /// The best weights and their bias, for preprocessed features.
    pub fn weights(&self) -> (Vec<f64>, Vec<f64>) {
        let (weight, mut bias) = self.rows.space.weights(&self.best_u, self.n_features);
        if self.is_free && self.shape.loss.margins.differences() {
            free::centre(&mut bias);
        }
        (weight, bias)
    }

    /// Σ c·ℓ at scores of the points.
    fn data_loss(&self, scores: impl Fn(usize) -> Vec<f64> + Sync) -> f64 {
        let of = |(at, point): (usize, &InteriorPoint)| point.loss(&self.shape, &scores(at));
        let parts: Vec<f64> = self.points.par_iter().enumerate().map(of).collect();
        parts.iter().sum()
    }

    fn scores_at(&self, u: &[f64], at: usize) -> Vec<f64> {
        let part = &self.rows.parts[at];
        let mut scores = vec![0.0; part.rows.len() * self.shape.n_classes];
        part.scores(u, &mut scores);
        scores
    }

    /// Compares the weights, and those of the dual variables, with the best so far.
    pub fn measure(&mut self) -> BestBounds {
        let primal = self.rows.space.half_square(&self.u) + self.data_loss(|at| self.points[at].scores.clone());
        let mut a: Vec<Vec<f64>> = self.points.par_iter().map(|point| point.feasible(&self.shape)).collect();
        if self.is_free {
            self.balance(&mut a);
        }
        let (loss, k) = (self.shape.loss, self.shape.n_classes);
        let (mut linear, mut penalty) = (0.0, 0.0);
        for ((part, point), a) in self.rows.parts.iter().zip(&self.points).zip(&a) {
            for (a, &c) in a.chunks_exact(k).zip(&point.costs) {
                linear += loss.margins.linear(part.label, a);
                penalty += loss.dual_penalty(c, a);
            }
        }
        let sums = self.sums(&a);
        let (own, square) = self.rows.space.of_dual(&sums, &self.u);
        let dual = best_bound(loss, linear, square + penalty);
        let of_dual = square + self.data_loss(|at| self.scores_at(&own, at));
        if dual > self.best.dual {
            (self.best.dual, self.best_a) = (dual, a);
        }
        for (primal, u) in [(primal, &self.u), (of_dual, &own)] {
            if primal < self.best.primal {
                self.best.primal = primal;
                self.best_u.copy_from_slice(u);
            }
        }
        self.best
    }

    /// `Σ β(a) z` of dual variables c·a.
    pub fn sums(&self, a: &[Vec<f64>]) -> Vec<f64> {
        let (loss, k) = (self.shape.loss, self.shape.n_classes);
        gather(&self.rows.parts, self.size(), |at, beta| {
            let label = self.rows.parts[at].label;
            let rows = a[at].chunks_exact(k).zip(beta.chunks_exact_mut(k));
            rows.for_each(|(a, beta)| loss.dual_coefficients(label, a, beta));
        })
    }

    /// Numbers of a row, and classes.
    const fn size(&self) -> (usize, usize) {
        (self.rows.space.width, self.rows.space.n_classes)
    }

    /// Whether the sum of the weights of the constant over the classes is free.
    pub fn is_centred(&self) -> bool {
        self.is_free && self.shape.loss.margins.differences()
    }

    /// Goes back to the best weights and dual variables.
    pub fn take_best(&mut self) {
        self.u.copy_from_slice(&self.best_u);
        self.points.iter_mut().zip(&self.best_a).for_each(|(point, a)| point.put(a));
    }

    /// Shrinks dual variables until those of each class cancel.
    fn balance(&self, a: &mut [Vec<f64>]) {
        let k = self.shape.n_classes;
        let mut flows = vec![0.0; k * k];
        for (part, a) in self.rows.parts.iter().zip(&*a) {
            let own = &mut flows[part.label * k..(part.label + 1) * k];
            a.chunks_exact(k).for_each(|a| own.iter_mut().zip(a).for_each(|(f, a)| *f += a));
        }
        let factors = free::factors(&flows, k, self.shape.loss.margins.differences());
        for (part, a) in self.rows.parts.iter().zip(a) {
            let factors = &factors[part.label * k..(part.label + 1) * k];
            a.chunks_exact_mut(k).for_each(|a| a.iter_mut().zip(factors).for_each(|(a, f)| *a *= f));
        }
    }

    /// Has the weights as they are, which are the limit once they stand still, take the place of the best: so near the optimum their
    /// objectives are the same but for rounding.
    pub fn settle(&mut self) {
        self.best_u.copy_from_slice(&self.u);
    }

    /// A step of the method; μ before it, `None` where there is no step.
    pub fn step(&mut self) -> Option<f64> {
        self.points.par_iter_mut().for_each(|point| {
            point.plain();
            point.aim(&self.shape, 0.0);
        });
        let sums = block_sums(&self.shape, self.blocks, self.rows.space.width, (&self.rows.parts, &self.points));
        let system = System::new(&self.rows.space, self.blocks, sums, self.is_centred())?;
        let (_, length) = self.direction(&system, 0.0);
        let (now, count) = self.products(0.0);
        let (after, _) = self.products(length.min(1.0));
        let (mu, target) = aim(now, after, count)?;
        self.points.par_iter_mut().for_each(InteriorPoint::correct);
        let (mut du, mut length) = self.redirected(&system, target);
        // Correctors cost a solution each, which is cheap compared with the system (J. Gondzio, *Multiple centrality corrections*, 1996).
        for _ in 0..self.correctors {
            if length >= FAR {
                break;
            }
            let before = (du, length, self.points.clone());
            let further = (length + FURTHER).min(1.0);
            self.points.par_iter_mut().for_each(|point| point.centre(target, further));
            (du, length) = self.redirected(&system, target);
            let longer = length >= before.1 + 0.1 * FURTHER;
            if !longer {
                (du, length, self.points) = before;
                break;
            }
        }
        let length = gone(length)?;
        self.u.iter_mut().zip(&du).for_each(|(u, du)| *u += length * du);
        let u = &self.u;
        self.points.par_iter_mut().zip(&self.rows.parts).for_each(|(point, part)| {
            point.take(length);
            part.scores(u, &mut point.scores);
        });
        Some(mu)
    }

    /// [`Iterate::direction`] after a change of the aim.
    fn redirected(&mut self, system: &System, target: f64) -> (Vec<f64>, f64) {
        self.points.par_iter_mut().for_each(|point| point.aim(&self.shape, target));
        self.direction(system, target)
    }

    /// δu and the steps of all variables towards an aim; how far they can be gone.
    fn direction(&mut self, system: &System, target: f64) -> (Vec<f64>, f64) {
        let mut du =
            gather(&self.rows.parts, self.size(), |at, beta| self.points[at].right_hand_side(&self.shape, beta));
        du.iter_mut().zip(self.rows.space.regularised(&self.u)).for_each(|(du, r)| *du -= r);
        system.solve(&mut du);
        let (rows, shape) = (&self.rows, &self.shape);
        let answer = |(point, part): (&mut InteriorPoint, &super::rows::LabelRows)| {
            part.scores(&du, &mut point.steps);
            point.answer(shape, target)
        };
        let lengths: Vec<f64> = self.points.par_iter_mut().zip(&rows.parts).map(answer).collect();
        (du, lengths.into_iter().fold(f64::INFINITY, shorter))
    }

    fn products(&self, length: f64) -> (f64, f64) {
        let parts: Vec<(f64, f64)> = self.points.par_iter().map(|point| point.products(&self.shape, length)).collect();
        parts.iter().fold((0.0, 0.0), |(sum, count), part| (sum + part.0, count + part.1))
    }
}
