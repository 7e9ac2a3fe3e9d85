//! The share of some rows in the steps of the interior point method over parts: all that the method needs of its rows are sums and minima.
//!
//! A row keeps its pairs of variables between two orders ([`FeasibleSet::kept`] numbers); everything else is computed anew from the weights and
//! the directions that an order brings.

use super::basis::triangle;
use super::device::DeviceRows;
use super::iterate::shorter;
use super::order::{
    Built, CorrectedStep, InteriorAnswer, InteriorOrder, InteriorWork, Predicted, RowSurvey, TakenStep, add,
};
use super::point::{FeasibleSet, InteriorPoint};
use super::rows::{LabelGroup, LabelRows, by_class, gather, grouped};
use super::system::{BlockPattern, BlockSums};
use crate::model::BiasRule;
use crate::solver::Problem;
use rayon::prelude::*;

/// Groups of rows whose numbers are in memory at a time.
const GROUPS: usize = 16;

/// The sums of the system's blocks over rows whose aim is set; on a device where the rows are there, too.
pub(super) fn block_sums(
    shape: &FeasibleSet<'_>,
    blocks: BlockPattern,
    width: usize,
    (parts, points): (&[LabelRows], &[InteriorPoint]),
    device: Option<&DeviceRows>,
) -> BlockSums {
    let on_device = device.and_then(|rows| {
        let numbers: Vec<Vec<f64>> = points.par_iter().map(|point| point.numbers(shape, blocks)).collect();
        rows.block_sums(parts, blocks, shape.n_classes, &numbers)
    });
    on_device.unwrap_or_else(|| {
        BlockSums::of(parts, width, blocks, shape.n_classes, &|at, room| points[at].numbers_in(shape, blocks, room))
    })
}

/// Some rows with their variables.
struct PartShare<'a> {
    shape: &'a FeasibleSet<'a>,
    /// Numbers of a row, and classes.
    size: (usize, usize),
    parts: Vec<LabelRows>,
    points: Vec<InteriorPoint>,
}

impl<'a> PartShare<'a> {
    fn read(
        problem: &Problem<'_>,
        c: f64,
        shape: &'a FeasibleSet<'a>,
        order: &InteriorOrder,
        groups: &[LabelGroup],
    ) -> Self {
        let read = |group: &LabelGroup| {
            let mut part = LabelRows::read(problem, group);
            order.map.apply(&mut part);
            if problem.objective.bias == BiasRule::Free {
                part.add_constant();
            }
            part
        };
        let parts: Vec<LabelRows> = groups.par_iter().map(read).collect();
        let points = points(c, shape, &parts);
        Self { shape, size: (order.u.len() / shape.n_classes, shape.n_classes), parts, points }
    }

    fn each(&mut self, work: impl Fn(&mut InteriorPoint, &LabelRows) + Sync) {
        self.points.par_iter_mut().zip(&self.parts).for_each(|(point, part)| work(point, part));
    }

    fn score(&mut self, u: &[f64]) {
        self.each(|point, part| part.scores(u, &mut point.scores));
    }

    /// Goes towards an aim with δu; how far that is possible.
    fn direct(&mut self, direction: &[f64], target: f64) -> f64 {
        let shape = self.shape;
        let answer = |(point, part): (&mut InteriorPoint, &LabelRows)| {
            part.scores(direction, &mut point.steps);
            point.answer(shape, target)
        };
        let lengths: Vec<f64> = self.points.par_iter_mut().zip(&self.parts).map(answer).collect();
        lengths.into_iter().fold(f64::INFINITY, shorter)
    }

    fn predict(&mut self, direction: &[f64]) -> f64 {
        let shape = self.shape;
        self.each(|point, _| {
            point.plain();
            point.aim(shape, 0.0);
        });
        self.direct(direction, 0.0)
    }

    fn correct(&mut self, step: &CorrectedStep) -> f64 {
        self.predict(&step.predicted);
        let shape = self.shape;
        self.each(|point, _| {
            point.correct();
            point.aim(shape, step.target);
        });
        self.direct(&step.direction, step.target)
    }

    fn right_hand_side(&mut self, target: f64) -> Vec<f64> {
        let shape = self.shape;
        gather(&self.parts, &mut self.points, self.size, |point, _, beta| {
            point.aim(shape, target);
            point.right_hand_side(shape, beta);
        })
    }

    fn answer(&mut self, order: &InteriorOrder) -> InteriorAnswer {
        self.score(&order.u);
        match &order.work {
            InteriorWork::Build(taken) => {
                if let Some(TakenStep { step, length }) = taken {
                    self.correct(step);
                    let u: Vec<f64> = order.u.iter().zip(&step.direction).map(|(u, du)| u + length * du).collect();
                    self.each(|point, _| point.take(*length));
                    self.score(&u);
                }
                InteriorAnswer::Build(Box::new(self.build()))
            }
            InteriorWork::Predict { direction, mu } => {
                let length = self.predict(direction);
                let mut products = [0.0; 2];
                self.points.iter_mut().for_each(|point| add(&mut products, &point.correct()));
                let (none, whole) = (self.right_hand_side(0.0), self.right_hand_side(*mu));
                InteriorAnswer::Predict(Predicted { length, products, none, whole })
            }
            InteriorWork::Correct(step) => InteriorAnswer::Correct(self.correct(step)),
            InteriorWork::Survey | InteriorWork::Prove { .. } => unreachable!("these need no numbers of rows"),
        }
    }

    fn build(&mut self) -> Built {
        let (shape, (width, k)) = (self.shape, self.size);
        self.each(|point, _| point.plain());
        let right_hand_side = self.right_hand_side(0.0);
        let blocks = block_sums(shape, FeasibleSet::blocks(shape.loss), width, (&self.parts, &self.points), None);
        let (mut flows, mut sums, mut penalty) = (vec![0.0; k * k], vec![0.0; k * k * width], 0.0);
        let (mut products, mut count, mut loss) = (0.0, 0.0, 0.0);
        for (part, point) in self.parts.iter().zip(&self.points) {
            let (a, label) = (point.feasible(shape), part.label);
            for (a, &c) in a.chunks_exact(k).zip(&point.costs) {
                add(&mut flows[label * k..(label + 1) * k], a);
                penalty += shape.loss.dual_penalty(c, a);
            }
            let mut columns = vec![0.0; a.len()];
            by_class(&a, k, &mut columns);
            part.add_product(&columns, &mut sums[label * k * width..(label + 1) * k * width]);
            (products, count) = (products + point.products(), count + point.count(shape));
            loss += point.loss(shape, &point.scores);
        }
        Built { blocks, right_hand_side, loss, products, count, penalty, flows, sums }
    }
}

/// In the middle of their sets.
fn points(c: f64, shape: &FeasibleSet<'_>, parts: &[LabelRows]) -> Vec<InteriorPoint> {
    let point = |part: &LabelRows| InteriorPoint::new(shape, part.label, part.weights.iter().map(|w| c * w).collect());
    parts.par_iter().map(point).collect()
}

#[allow(clippy::cast_precision_loss)]
fn cost(problem: &Problem<'_>, n_train: usize) -> f64 {
    1.0 / (problem.objective.lambda * n_train as f64)
}

/// Answers an order but for that of a proof; `variables` are those of the rows, which begin in the middle of their sets where they are not
/// known.
pub(in crate::solver) fn answer(
    problem: &Problem<'_>,
    n_train: usize,
    order: &InteriorOrder,
    variables: &mut Vec<f64>,
) -> InteriorAnswer {
    let shape = FeasibleSet::new(&problem.objective.loss, problem.n_classes);
    let (groups, _) = grouped(problem);
    if order.work == InteriorWork::Survey {
        return InteriorAnswer::Survey(survey(problem, &groups));
    }
    let is_known = is_of(&shape, &groups, variables);
    let (mut after, mut before) = (Vec::new(), variables.as_slice());
    let mut all: Option<InteriorAnswer> = None;
    // Of no rows once, for sums of the right size.
    let chunks: Vec<&[LabelGroup]> = if groups.is_empty() { vec![&[]] } else { groups.chunks(GROUPS).collect() };
    for groups in chunks {
        let mut share = PartShare::read(problem, cost(problem, n_train), &shape, order, groups);
        if is_known {
            before = put(&shape, &mut share.points, before);
        }
        let own = share.answer(order);
        share.points.iter().for_each(|point| point.write(&mut after));
        all = match all {
            None => Some(own),
            Some(all) => all.merge(own),
        };
    }
    if matches!(order.work, InteriorWork::Build(_)) {
        *variables = after;
    }
    all.unwrap_or_else(|| unreachable!("answers to one order"))
}

fn is_of(shape: &FeasibleSet<'_>, groups: &[LabelGroup], variables: &[f64]) -> bool {
    variables.len() == groups.iter().map(|group| group.rows.len()).sum::<usize>() * shape.kept()
}

/// Puts points to variables that were kept; returns those of the rows behind them.
fn put<'v>(shape: &FeasibleSet<'_>, points: &mut [InteriorPoint], mut kept: &'v [f64]) -> &'v [f64] {
    for point in points {
        let (own, others) = kept.split_at(point.costs.len() * shape.kept());
        point.read(own);
        kept = others;
    }
    kept
}

fn survey(problem: &Problem<'_>, groups: &[LabelGroup]) -> RowSurvey {
    let centred = problem.objective.bias == BiasRule::Free;
    let read = |group: &LabelGroup| {
        let mut part = LabelRows::read(problem, group);
        if centred {
            part.columns.splice(..0, std::iter::repeat_n(1.0, part.rows.len()));
        }
        part
    };
    let constant = usize::from(matches!(problem.objective.bias, BiasRule::Regularised { .. }));
    let width = problem.source.features.n_features() + constant + usize::from(centred);
    let mut all = RowSurvey { rows: 0, width, triangle: Vec::new() };
    for groups in groups.chunks(GROUPS) {
        let parts: Vec<LabelRows> = groups.par_iter().map(read).collect();
        let rows = parts.iter().map(|part| part.rows.len() as u64).sum();
        all.merge(&RowSurvey::of(rows, &triangle(&parts, width)));
    }
    all
}

/// The rows, and dual variables c·a in their set `[rows, n_classes]` of variables that were kept, those of each label and class shrunk by a
/// factor.
pub(in crate::solver) fn dual_variables(
    problem: &Problem<'_>,
    n_train: usize,
    factors: &[f64],
    variables: &[f64],
) -> (Vec<u32>, Vec<f64>) {
    let (shape, k, c) =
        (FeasibleSet::new(&problem.objective.loss, problem.n_classes), problem.n_classes, cost(problem, n_train));
    let (groups, idle) = grouped(problem);
    let (is_known, mut before) = (is_of(&shape, &groups, variables), variables);
    let (mut rows, mut all) = (Vec::new(), Vec::new());
    for group in &groups {
        let costs = group.rows.iter().map(|&row| c * problem.row_weight(row)).collect();
        let mut point = [InteriorPoint::new(&shape, group.label, costs)];
        if is_known {
            before = put(&shape, &mut point, before);
        }
        let factors = &factors[group.label * k..(group.label + 1) * k];
        let mut a = point[0].feasible(&shape);
        a.chunks_exact_mut(k).for_each(|a| a.iter_mut().zip(factors).for_each(|(a, f)| *a *= f));
        rows.extend_from_slice(&group.rows);
        all.extend(a);
    }
    rows.extend(idle);
    all.resize(rows.len() * k, 0.0);
    (rows, all)
}
