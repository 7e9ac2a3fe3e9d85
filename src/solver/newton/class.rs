//! The problem of one weight vector v, that of a class of one-vs-rest or of two classes, and what is proved of it.
//!
//! ```text
//! P(v) = ½ vᵀRv + (C/f)·Σ w_i·h(Δ − f·y_i·v·z_i)        h(G) = max over 0 ≤ a ≤ hi of a·G − κ/2·a²
//! D(a) = (C/f)·Σ w_i (Δ·a_i − κ/2·a_i²) − ½‖C·Σ w_i a_i y_i x_i‖²
//! ```
//!
//! f is 1; it is 2 for the difference losses of two classes, whose weights are v and −v.

use super::basis::BasisKind;
use super::iterate::best_multiple;
use super::point::FeasibleSet;
use super::rows::TrainingRows;
use crate::loss::{Loss, Selection};
use crate::model::BiasRule;
use crate::objective::Objective;
use crate::solver::Problem;

/// Sums that are formed side by side, and those of a product.
pub(super) const LANES: usize = 8;
const WIDE: usize = 4 * LANES;

/// The function h of a margin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ScalarHinge {
    pub kappa: f64,
    inverse: f64,
    pub hi: f64,
}

impl ScalarHinge {
    pub const fn new(kappa: f64, hi: f64) -> Self {
        Self { kappa, inverse: 1.0 / kappa, hi }
    }

    /// a(G)
    #[inline(always)]
    pub fn slope(self, margin: f64) -> f64 {
        let a = self.inverse * margin;
        let a = if a > 0.0 { a } else { 0.0 };
        if a < self.hi { a } else { self.hi }
    }

    #[inline(always)]
    pub fn is_curved(self, a: f64) -> bool {
        a > 0.0 && a < self.hi
    }

    /// Σ w·h, in sums that are formed side by side.
    #[inline(always)]
    pub fn loss(self, side: ClassSide, scores: &[f64], weights: &[f64]) -> f64 {
        let of = |score: f64, w: f64| {
            let margin = side.margin - side.reach * score;
            let a = self.slope(margin);
            w * a * (margin - 0.5 * self.kappa * a)
        };
        let n = scores.len().min(weights.len());
        let (mut lanes, mut rest, mut at) = ([0.0; LANES], 0.0, 0);
        while at + LANES <= n {
            let (scores, weights) = (&scores[at..at + LANES], &weights[at..at + LANES]);
            for i in 0..LANES {
                lanes[i] += of(scores[i], weights[i]);
            }
            at += LANES;
        }
        for i in at..n {
            rest += of(scores[i], weights[i]);
        }
        for lane in lanes {
            rest += lane;
        }
        rest
    }
}

/// The rows and the constants of all classes.
pub(super) struct Task<'a> {
    pub rows: TrainingRows,
    pub shape: FeasibleSet<'a>,
    pub hinge: ScalarHinge,
    /// C and f.
    pub c: f64,
    pub factor: f64,
    pub is_free: bool,
    /// Σw
    pub weight: f64,
}

impl<'a> Task<'a> {
    /// λ is that of `objective`.
    #[allow(clippy::cast_precision_loss)]
    pub fn new(problem: &Problem<'a>, objective: &Objective, kind: BasisKind) -> Self {
        let (loss, k): (&'a Loss, usize) = (&problem.objective.loss, problem.n_classes);
        let (shape, rows) = (FeasibleSet::new(loss, k), TrainingRows::new(problem, objective.lambda, kind));
        let hi = shape.hi.unwrap_or(f64::INFINITY).min(shape.cap.unwrap_or(f64::INFINITY));
        Self {
            weight: rows.parts.iter().flat_map(|part| &part.weights).sum(),
            rows,
            hinge: ScalarHinge::new(shape.curvature + shape.curvature_of_sum, hi),
            shape,
            c: 1.0 / (objective.lambda * problem.train.len() as f64),
            factor: factor(loss, k).unwrap_or(1.0),
            is_free: problem.objective.bias == BiasRule::Free,
        }
    }

    /// Of a class and the rows of a label: which of the two sides they are on, y·f, and Δ.
    pub fn side(&self, label: usize, class: usize) -> ClassSide {
        let is_own = label == class;
        let other = if self.shape.loss.margins.differences() { 1 - label } else { class };
        let sign = if is_own { 1.0 } else { -1.0 };
        ClassSide { at: usize::from(!is_own), sign, reach: sign * self.factor, margin: self.shape.margin(label, other) }
    }
}

/// The rows of one label as a class sees them.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClassSide {
    /// 0 for those of its class, 1 for the others.
    pub at: usize,
    /// y
    pub sign: f64,
    /// y·f
    pub reach: f64,
    /// Δ
    pub margin: f64,
}

/// Sums over the rows of one side: of w·a, Δ·w·a and w·a².
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SideSums {
    pub mass: f64,
    pub linear: f64,
    pub square: f64,
}

impl SideSums {
    pub fn add(&mut self, more: Self) {
        self.mass += more.mass;
        self.linear += more.linear;
        self.square += more.square;
    }
}

/// The objective and the bound of a class.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClassBounds {
    pub primal: f64,
    pub dual: f64,
}

impl ClassBounds {
    pub fn gap(self) -> f64 {
        self.primal - self.dual
    }
}

/// Sums over all rows at weights and dual variables.
#[derive(Debug, Clone, Default)]
pub(super) struct ClassSums {
    /// Σ w·h
    pub loss: f64,
    pub sides: [SideSums; 2],
    /// `Σ w·a·z` of each side.
    pub products: [Vec<f64>; 2],
}

impl ClassSums {
    pub fn add(&mut self, more: &Self) {
        self.loss += more.loss;
        self.sides.iter_mut().zip(more.sides).for_each(|(side, more)| side.add(more));
        for (sum, more) in self.products.iter_mut().flatten().zip(more.products.iter().flatten()) {
            *sum += more;
        }
    }
}

/// The weights of a class, and the best so far.
pub(super) struct ClassState {
    pub class: usize,
    pub v: Vec<f64>,
    /// The smallest objective and the largest bound so far, their weights and their dual variables divided by C.
    pub bounds: ClassBounds,
    pub best: Vec<f64>,
    pub proof: Vec<f64>,
}

impl ClassState {
    /// At v = 0.
    pub fn new(task: &Task<'_>, class: usize) -> Self {
        Self {
            class,
            v: vec![0.0; task.rows.space.width],
            bounds: ClassBounds { primal: f64::INFINITY, dual: f64::NEG_INFINITY },
            best: vec![0.0; task.rows.space.width],
            proof: vec![0.0; task.rows.n_rows()],
        }
    }

    /// Which of the sums rows of a label belong to.
    pub fn side_of(&self, label: usize) -> usize {
        usize::from(label != self.class)
    }

    /// Compares the weights, and a share of the dual variables of which `weighted` has w·a of a part, with the best so far; returns the objective.
    pub fn measure<'w>(
        &mut self,
        task: &Task<'_>,
        found: &ClassSums,
        share: f64,
        weighted: impl Fn(usize) -> &'w [f64],
    ) -> f64 {
        let cost = task.c / task.factor;
        // A free bias needs as much on one side as on the other.
        let masses = found.sides.map(|side| side.mass);
        let least = masses[0].min(masses[1]);
        let balance = masses.map(|mass| if task.is_free && mass > least { least / mass } else { 1.0 });
        let factors = balance.map(|balance| balance * share);
        let of = |value: &dyn Fn(&SideSums, f64) -> f64| {
            value(&found.sides[0], factors[0]) + value(&found.sides[1], factors[1])
        };
        let linear = cost * of(&|side, factor| factor * side.linear);
        let penalty = cost * 0.5 * task.hinge.kappa * of(&|side, factor| factor * factor * side.square);
        let weights: Vec<f64> = found.products[0]
            .iter()
            .zip(&found.products[1])
            .map(|(own, other)| task.c * (factors[0] * own - factors[1] * other))
            .collect();
        let quadratic = task.rows.space.of_dual(&weights, &self.v).1 + penalty;
        let theta = best_multiple(linear, quadratic, task.hinge.hi.is_finite());
        let primal = task.rows.space.half_square(&self.v) + cost * found.loss;
        if primal < self.bounds.primal {
            self.bounds.primal = primal;
            self.best.copy_from_slice(&self.v);
        }
        let dual = theta * (linear - theta * quadratic);
        if dual > self.bounds.dual {
            self.bounds.dual = dual;
            for (at, part) in task.rows.parts.iter().enumerate() {
                let factor = theta * factors[self.side_of(part.label)];
                let rows = self.proof[part.range()].iter_mut().zip(weighted(at));
                rows.for_each(|(proof, weighted)| *proof = factor * weighted);
            }
        }
        primal
    }
}

/// f of the problems of a loss each of whose classes has one of its own; `None` where classes meet.
pub(super) fn factor(loss: &Loss, n_classes: usize) -> Option<f64> {
    match loss.margins.differences() {
        true => (n_classes == 2).then_some(2.0),
        false => (loss.set.selection == Selection::All).then_some(1.0),
    }
}

/// The problems that are solved: of two classes one is the mirror of the other.
pub(super) const fn count(n_classes: usize) -> usize {
    if n_classes == 2 { 1 } else { n_classes }
}

/// Σ a·b, in sums that are formed side by side. Loops by index, which are a part of their caller for certain, and of its instruction set.
#[inline(always)]
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let (mut lanes, mut at) = ([0.0; WIDE], 0);
    while at + WIDE <= n {
        let (a, b) = (&a[at..at + WIDE], &b[at..at + WIDE]);
        for i in 0..WIDE {
            lanes[i] += a[i] * b[i];
        }
        at += WIDE;
    }
    let mut half = WIDE / 2;
    while half > 0 {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
        half /= 2;
    }
    let mut rest = 0.0;
    for i in at..n {
        rest += a[i] * b[i];
    }
    lanes[0] + rest
}
