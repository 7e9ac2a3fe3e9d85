//! Training rows for products in f64: by label in parts, each with its columns one after another.
//!
//! They are held in the numbers z of a [`Basis`], with the constant of a free bias after them.

use super::basis::{Basis, BasisKind};
use super::class::dot;
use super::coordinates::Coordinates;
use super::device::{self, DeviceRows};
use super::point::FeasibleSet;
use crate::model::BiasRule;
use crate::solver::Problem;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;
use std::ops::Range;

/// Rows of a part.
const ROWS: usize = 256;
/// The largest relative change of the objective that a number of the rows may be left out for.
const NEGLIGIBLE: f64 = 1e-12;
/// Parts of a sum that threads take: a fixed number, so that the result does not depend on how many there are.
pub(super) const SHARES: usize = 16;

/// Some rows of one label.
pub(super) struct LabelRows {
    pub label: usize,
    /// Rows of the parts before.
    pub first: usize,
    /// Indices into the data set.
    pub rows: Vec<u32>,
    /// The weight of each row times that of its class.
    pub weights: Vec<f64>,
    /// `[width]` columns of as many numbers as there are rows.
    pub columns: Vec<f64>,
}

impl LabelRows {
    /// Places of the rows in the order of all parts.
    pub const fn range(&self) -> Range<usize> {
        self.first..self.first + self.rows.len()
    }

    /// Reads rows, with the constant feature of a regularised bias.
    pub fn read(problem: &Problem<'_>, group: &LabelGroup) -> Self {
        let (features, rows) = (problem.source.features, &group.rows);
        let d = features.n_features();
        let mut columns = vec![0.0; rows.len() * d];
        let mut cells = vec![0.0; d];
        for (r, &row) in rows.iter().enumerate() {
            problem.source.scaler.write_row_wide(features, row as usize, &mut cells);
            cells.iter().enumerate().for_each(|(j, &x)| columns[j * rows.len() + r] = x);
        }
        columns.extend(constant(problem).iter().flat_map(|&scale| std::iter::repeat_n(scale, rows.len())));
        let weights = rows.iter().map(|&row| problem.row_weight(row)).collect();
        Self { label: group.label, first: 0, rows: rows.clone(), weights, columns }
    }

    /// Adds the constant of a free bias after the other numbers.
    pub fn add_constant(&mut self) {
        self.columns.resize(self.columns.len() + self.rows.len(), 1.0);
    }

    /// Scores at weights, `[n_classes, rows]`.
    pub fn scores(&self, weights: &[f64], out: &mut [f64]) {
        let rows = self.matrix();
        let k = weights.len() / rows.ncols();
        let weights = MatRef::from_column_major_slice(weights, rows.ncols(), k);
        let out = MatMut::from_column_major_slice_mut(out, self.rows.len(), k);
        matmul(out, Accum::Replace, rows, weights, 1.0, Par::Seq);
    }

    /// Adds `Σ_i x_i β_iᵀ` to a sum, class after class; β `[n_classes, rows]`.
    pub fn add_product(&self, beta: &[f64], sum: &mut [f64]) {
        let (n, rows) = (self.rows.len(), self.matrix());
        let k = beta.len() / n;
        let beta = MatRef::from_column_major_slice(beta, n, k);
        let sum = MatMut::from_column_major_slice_mut(sum, rows.ncols(), k);
        matmul(sum, Accum::Add, rows.transpose(), beta, 1.0, Par::Seq);
    }

    /// Puts `out` to the scores at the weights of one class: loops for a caller on the vector units.
    #[inline(always)]
    pub fn put_scores(&self, weights: &[f64], out: &mut [f64]) {
        let n = self.rows.len();
        let (out, mut j) = (&mut out[..n], 0);
        out.fill(0.0);
        while j + 4 <= weights.len() {
            let (w, columns) = (&weights[j..j + 4], &self.columns[j * n..(j + 4) * n]);
            let (a, b) = (&columns[..n], &columns[n..2 * n]);
            let (c, d) = (&columns[2 * n..3 * n], &columns[3 * n..4 * n]);
            for i in 0..n {
                out[i] += (w[0] * a[i] + w[1] * b[i]) + (w[2] * c[i] + w[3] * d[i]);
            }
            j += 4;
        }
        while j < weights.len() {
            let (w, column) = (weights[j], &self.columns[j * n..(j + 1) * n]);
            for i in 0..n {
                out[i] += w * column[i];
            }
            j += 1;
        }
    }

    /// Adds `Σ_i x_i β_i` of one class to a sum: loops for a caller on the vector units.
    #[inline(always)]
    pub fn add_sums(&self, beta: &[f64], sum: &mut [f64]) {
        let n = self.rows.len();
        for (j, sum) in sum.iter_mut().enumerate() {
            *sum += dot(&self.columns[j * n..(j + 1) * n], beta);
        }
    }

    /// The rows `[rows, width]`.
    pub fn matrix(&self) -> MatRef<'_, f64> {
        MatRef::from_column_major_slice(&self.columns, self.rows.len(), self.columns.len() / self.rows.len())
    }
}

/// The constant feature that a regularised bias is the weight of.
const fn constant(problem: &Problem<'_>) -> Option<f64> {
    match problem.objective.bias {
        BiasRule::Regularised { scale } => Some(scale),
        BiasRule::None | BiasRule::Free => None,
    }
}

/// Rows of one label, indices into the data set.
pub(super) struct LabelGroup {
    pub label: usize,
    pub rows: Vec<u32>,
}

/// All rows with a weight above 0, a few together, and the rest.
pub(super) fn grouped(problem: &Problem<'_>) -> (Vec<LabelGroup>, Vec<u32>) {
    let mut by_label = vec![Vec::new(); problem.n_classes];
    let (weighted, idle): (Vec<u32>, Vec<u32>) = problem.train.iter().partition(|&&row| problem.row_weight(row) > 0.0);
    weighted.iter().for_each(|&row| by_label[problem.source.labels[row as usize] as usize].push(row));
    let groups = by_label
        .iter()
        .enumerate()
        .flat_map(|(label, rows)| rows.chunks(ROWS).map(move |rows| LabelGroup { label, rows: rows.to_vec() }))
        .collect();
    (groups, idle)
}

/// All rows with a weight above 0, and the rest.
pub(super) struct TrainingRows {
    pub parts: Vec<LabelRows>,
    /// Rows of weight 0.
    pub idle: Vec<u32>,
    pub space: Coordinates,
    /// The rows on the device of the problem, where sums over them are formed there.
    pub device: Option<DeviceRows>,
}

impl TrainingRows {
    /// Reads all of them, for an objective with this λ.
    #[allow(clippy::cast_precision_loss)]
    pub fn new(problem: &Problem<'_>, lambda: f64, kind: BasisKind) -> Self {
        let (groups, idle) = grouped(problem);
        let mut parts: Vec<LabelRows> = groups.par_iter().map(|group| LabelRows::read(problem, group)).collect();
        parts.iter_mut().fold(0, |first, part| {
            part.first = first;
            first + part.rows.len()
        });
        let (bias, d) = (problem.objective.bias, problem.source.features.n_features());
        let is_free = bias == BiasRule::Free;
        let width = d + usize::from(constant(problem).is_some());
        let negligible = negligible(problem, lambda, &parts);
        let basis = Basis::replace(&mut parts, width, is_free, kind, negligible);
        if is_free {
            parts.iter_mut().for_each(LabelRows::add_constant);
        }
        let space = Coordinates::new(basis, bias, problem.n_classes);
        let n = parts.iter().map(|part| part.rows.len()).sum::<usize>();
        let is_due = kind == BasisKind::Orthogonal && {
            let blocks = FeasibleSet::blocks(&problem.objective.loss);
            device::serves(problem, blocks.multiply_adds(problem.n_classes, n as f64, space.width as f64))
        };
        let device = is_due.then(|| DeviceRows::new(&problem.device.device, &parts, problem.n_classes));
        Self { parts, idle, space, device }
    }

    /// The rows of all parts.
    pub fn n_rows(&self) -> usize {
        self.parts.iter().map(|part| part.rows.len()).sum()
    }
}

/// The root mean square s of a number of the rows up to which its weights change nothing: with the dual variables a of the optimum they win `½s²(Σa)²` at
/// most, of an optimum of `½Δ·Σa` at least, and Σa is about Σc at most.
#[allow(clippy::cast_precision_loss)]
fn negligible(problem: &Problem<'_>, lambda: f64, parts: &[LabelRows]) -> f64 {
    let weights: f64 = parts.iter().flat_map(|part| &part.weights).sum();
    let margin = problem.objective.loss.margins.largest().max(f64::MIN_POSITIVE);
    (NEGLIGIBLE * margin * lambda * problem.train.len() as f64 / weights).sqrt()
}

/// `[rows, n_classes]` as `[n_classes, rows]`.
pub(super) fn by_class(values: &[f64], n_classes: usize, out: &mut [f64]) {
    let n = values.len() / n_classes;
    for (i, row) in values.chunks_exact(n_classes).enumerate() {
        row.iter().enumerate().for_each(|(j, value)| out[j * n + i] = *value);
    }
}

/// `Σ_i x_i β_iᵀ` over parts, class after class; `beta` writes β of a part, `[n_classes, rows]`, from what there is of it.
pub(super) fn gather<T: Send>(
    parts: &[LabelRows],
    of_parts: &mut [T],
    (width, k): (usize, usize),
    beta: impl Fn(&mut T, &LabelRows, &mut [f64]) + Sync,
) -> Vec<f64> {
    let length = parts.len().div_ceil(SHARES).max(1);
    let share = |(parts, of_parts): (&[LabelRows], &mut [T])| {
        let (mut sum, mut rows) = (vec![0.0; width * k], Vec::new());
        for (part, of_part) in parts.iter().zip(of_parts) {
            rows.clear();
            rows.resize(part.rows.len() * k, 0.0);
            beta(of_part, part, &mut rows);
            part.add_product(&rows, &mut sum);
        }
        sum
    };
    let sums: Vec<Vec<f64>> = parts.par_chunks(length).zip(of_parts.par_chunks_mut(length)).map(share).collect();
    let mut total = vec![0.0; width * k];
    sums.iter().for_each(|sum| total.iter_mut().zip(sum).for_each(|(total, sum)| *total += sum));
    total
}
