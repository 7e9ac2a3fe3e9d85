//! An iterate of the interior point method: its variables, bounds and step.

use super::basis::BasisKind;
use super::point::{FeasibleSet, InteriorPoint};
use super::rows::{LabelRows, TrainingRows, by_class, gather};
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
const DEAR: f64 = 2_000.0;

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

/// μ of the products now, and the aim after a predicted step of which `length` leads to the bounds: `now` is Σ c·a·t, `second` Σ c·δa·δt. `None` where
/// one of them is no number.
pub(super) fn aim([now, second]: [f64; 2], length: f64, count: f64) -> Option<(f64, f64)> {
    let (mu, length) = (now / count, length.clamp(0.0, 1.0));
    // Towards products of 0 they fall in proportion, but for the second order.
    let after = (1.0 - length) * now + length * length * second;
    let after = if after < 0.0 { 0.0 } else { after };
    let target = mu * (after / now).powi(3);
    (target.is_finite() && mu > 0.0).then_some((mu, target))
}

/// The shorter of two ways; none that is a number where one is none.
pub(super) fn shorter(least: f64, length: f64) -> f64 {
    if length < least || length.is_nan() { length } else { least }
}

/// The length of a step of which `length` leads to the bounds.
pub(super) fn gone(length: f64) -> Option<f64> {
    let length = SHARE * length;
    (length > 1e-12).then_some(length.min(1.0))
}

/// The multiple of dual variables in their set whose bound is the largest; the linear term and the quadratic one.
pub(super) fn best_multiple(linear: f64, quadratic: f64, is_bounded: bool) -> f64 {
    let theta = if quadratic > 0.0 { linear / (2.0 * quadratic) } else { 1.0 };
    if is_bounded { theta.min(1.0) } else { theta }
}

/// The largest bound by multiples of dual variables.
pub(super) fn best_bound(loss: &Loss, linear: f64, quadratic: f64) -> f64 {
    let theta = best_multiple(linear, quadratic, loss.set.is_bounded());
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
    /// Σ c·(number of products)
    count: f64,
    correctors: usize,
    /// The weights in the basis of the rows, class after class.
    pub u: Vec<f64>,
    best: BestBounds,
    best_u: Vec<f64>,
    best_a: Vec<Vec<f64>>,
}

impl<'a> Iterate<'a> {
    /// The weights zero, the variables in the middle of their sets.
    pub fn new(problem: &Problem<'a>, lambda: f64) -> Self {
        Self::over(problem, lambda, TrainingRows::new(problem, lambda, BasisKind::Orthogonal))
    }

    /// The same, of rows that were read before.
    #[allow(clippy::cast_precision_loss)]
    pub fn over(problem: &Problem<'a>, lambda: f64, rows: TrainingRows) -> Self {
        let loss: &'a Loss = &problem.objective.loss;
        let shape = FeasibleSet::new(loss, problem.n_classes);
        let c = 1.0 / (lambda * problem.train.len() as f64);
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
            count: points.iter().map(|point| point.count(&shape)).sum(),
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

    /// Σ c·ℓ at other weights.
    fn data_loss(&self, u: &[f64]) -> f64 {
        let of = |(point, part): (&InteriorPoint, &LabelRows)| {
            let mut scores = vec![0.0; part.rows.len() * self.shape.n_classes];
            part.scores(u, &mut scores);
            point.loss(&self.shape, &scores)
        };
        let parts: Vec<f64> = self.points.par_iter().zip(&self.rows.parts).map(of).collect();
        parts.iter().sum()
    }

    /// Compares the weights, and those of the dual variables, with the best so far.
    pub fn measure(&mut self) -> BestBounds {
        let of = |point: &InteriorPoint| (point.loss(&self.shape, &point.scores), point.feasible(&self.shape));
        let (losses, mut a): (Vec<f64>, Vec<Vec<f64>>) = self.points.par_iter().map(of).collect();
        let primal = self.rows.space.half_square(&self.u) + losses.iter().sum::<f64>();
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
        let of_dual = square + self.data_loss(&own);
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
        gather(&self.rows.parts, &mut a.iter().collect::<Vec<_>>(), self.size(), |a, part, beta| {
            let mut rows = vec![0.0; a.len()];
            let of_rows = a.chunks_exact(k).zip(rows.chunks_exact_mut(k));
            of_rows.for_each(|(a, beta)| loss.dual_coefficients(part.label, a, beta));
            by_class(&rows, k, beta);
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

    /// Puts the best to weights of another method and its dual variables c·a, in the order of the rows.
    pub fn put(&mut self, u: &[f64], mut a: &[f64]) {
        self.best_u.copy_from_slice(u);
        let of_part = |part: &LabelRows| {
            let (own, others) = a.split_at(part.rows.len() * self.shape.n_classes);
            a = others;
            own.to_vec()
        };
        self.best_a = self.rows.parts.iter().map(of_part).collect();
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

    /// A step of the method; μ before it, `None` where there is no step. Rows are swept as often as sums over all of them are needed, and no more:
    /// their variables come from memory each time.
    pub fn step(&mut self) -> Option<f64> {
        let right_hand_side = self.aimed(0.0, None);
        let system = self.system()?;
        let predicted = self.direction(&system, right_hand_side, 0.0, true);
        let (mu, target) = aim(predicted.products, predicted.length, self.count)?;
        let right_hand_side = self.aimed(target, None);
        let InteriorStep { mut du, mut length, .. } = self.direction(&system, right_hand_side, target, false);
        // A corrector costs a solution, and as much as all else that is done to the rows (J. Gondzio, *Multiple centrality corrections*, 1996).
        for _ in 0..self.correctors {
            if length >= FAR {
                break;
            }
            let before = (du, length, self.points.clone());
            let further = (length + FURTHER).min(1.0);
            let right_hand_side = self.aimed(target, Some(further));
            InteriorStep { du, length, .. } = self.direction(&system, right_hand_side, target, false);
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
            point.plain();
            part.scores(u, &mut point.scores);
        });
        Some(mu)
    }

    /// The system of an aim.
    pub fn system(&self) -> Option<System> {
        let (rows, points) = (&self.rows, &self.points);
        let sums = block_sums(&self.shape, self.blocks, rows.space.width, (&rows.parts, points), rows.device.as_ref());
        System::new(&rows.space, self.blocks, sums, self.is_centred())
    }

    /// The right-hand side of a step towards products of `target`, once those far off it after a step of length `further` are corrected.
    fn aimed(&mut self, target: f64, further: Option<f64>) -> Vec<f64> {
        let (shape, size) = (&self.shape, self.size());
        gather(&self.rows.parts, &mut self.points, size, |point, _, beta| {
            if let Some(further) = further {
                point.centre(target, further);
            }
            point.aim(shape, target);
            point.right_hand_side(shape, beta);
        })
    }

    /// δu of a right-hand side and the steps of all variables; those that predict become the correction of the next aim.
    fn direction(&mut self, system: &System, mut du: Vec<f64>, target: f64, predicts: bool) -> InteriorStep {
        du.iter_mut().zip(self.rows.space.regularised(&self.u)).for_each(|(du, r)| *du -= r);
        system.solve(&mut du);
        let shape = &self.shape;
        let answer = |(point, part): (&mut InteriorPoint, &LabelRows)| {
            part.scores(&du, &mut point.steps);
            let length = point.answer(shape, target);
            let products = if predicts { point.correct() } else { [0.0; 2] };
            (length, products)
        };
        let found: Vec<(f64, [f64; 2])> = self.points.par_iter_mut().zip(&self.rows.parts).map(answer).collect();
        let length = found.iter().map(|(length, _)| *length).fold(f64::INFINITY, shorter);
        let products = [0, 1].map(|at| found.iter().map(|(_, products)| products[at]).sum::<f64>());
        InteriorStep { du, length, products }
    }
}

/// A step towards an aim.
struct InteriorStep {
    du: Vec<f64>,
    /// Length that leads to the bounds.
    length: f64,
    /// Of a step that predicts: Σ c·(products), and Σ c·(those of the steps).
    products: [f64; 2],
}
