//! A basis of the space of the rows in which features of any scale, collinear ones among them, make a well-conditioned system.
//!
//! ```text
//! x − m = B z      z: `rank` numbers of a common size, orthogonal over the rows; m: the mean under a free bias, else 0
//! v = Bᵀw,  w·(x − m) = v·z      the smallest w of a v is w = L v,  ‖w‖² = vᵀ(LᵀL)v
//! ```
//!
//! The z come from a QR factorisation of the columns, each divided by its root mean square, those of the largest features first: a feature
//! that depends on the ones before it has no number of its own. All of it in the linear algebra only: the problem stays the user's.
//! A common size without orthogonality is had by the columns divided by their root mean square alone.

use super::rows::LabelRows;
use crate::data::packed;
use faer::linalg::matmul::matmul;
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// A column of which less than this share is its own depends on the ones before it; so does one of which less than the larger is, if that is too small to
/// change the objective.
const DEPENDENT: f64 = 1e-11;
const ALMOST: f64 = 1e-6;
/// A column that varies by less than this share of its size is constant.
const CONSTANT: f64 = 1e-13;
/// Groups of parts that are factorised side by side: a fixed number, so that the result does not depend on that of the threads.
const SHARES: usize = 16;

/// Which numbers z take the place of the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BasisKind {
    /// Orthogonal over the rows.
    Orthogonal,
    /// The columns themselves at a common size; orthogonal where there are more of them than rows.
    Scaled,
}

/// The map from the columns of a row to its numbers z.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::solver) struct RowMap {
    /// Of every column what is taken off, and its root mean square then; 0 for one that is constant.
    #[serde(with = "packed")]
    mean: Vec<f64>,
    #[serde(with = "packed")]
    scale: Vec<f64>,
    /// The columns that vary, those of the largest first, and the places among them of those with a number of their own.
    #[serde(with = "packed")]
    order: Vec<u32>,
    #[serde(with = "packed")]
    kept: Vec<u32>,
    /// R of those, column after column.
    #[serde(with = "packed")]
    factor: Vec<f64>,
}

impl RowMap {
    #[allow(clippy::cast_possible_truncation)]
    fn new(mean: Vec<f64>, scale: Vec<f64>) -> Self {
        let mut order: Vec<u32> = (0..scale.len() as u32).filter(|&j| scale[j as usize] > 0.0).collect();
        order.sort_by(|&a, &b| scale[b as usize].total_cmp(&scale[a as usize]));
        Self { mean, scale, order, kept: Vec::new(), factor: Vec::new() }
    }

    /// The columns that vary, in their order.
    fn columns(&self) -> impl Iterator<Item = usize> + Clone + '_ {
        self.order.iter().map(|&j| j as usize)
    }

    /// Columns of a row, and its numbers.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.mean.len(), self.kept.len().max(1))
    }

    /// Whether its parts fit each other.
    pub(super) fn is_whole(&self) -> bool {
        let (width, rank, all) = (self.mean.len(), self.kept.len(), self.order.len());
        self.scale.len() == width
            && self.order.iter().all(|&j| (j as usize) < width)
            && self.kept.iter().all(|&at| (at as usize) < all)
            && rank.checked_mul(rank) == Some(self.factor.len())
    }

    /// Puts the numbers z in the place of the columns of some rows.
    pub(super) fn apply(&self, rows: &mut LabelRows) {
        self.pick(rows);
        self.solve(rows);
    }

    /// Keeps the columns that vary, of a common size, without their mean.
    fn pick(&self, rows: &mut LabelRows) {
        let of = |j: usize| rows.column(j).iter().map(move |x| (x - self.mean[j]) / self.scale[j]);
        rows.columns = self.columns().flat_map(of).collect();
    }

    /// Z = X R⁻¹ of columns that were picked; without one that varies, a number that is 0 throughout.
    fn solve(&self, rows: &mut LabelRows) {
        let (n, rank) = (rows.rows.len(), self.kept.len());
        if rank == 0 {
            rows.columns = vec![0.0; n];
            return;
        }
        let mut columns: Vec<f64> = self.kept.iter().flat_map(|&at| rows.column(at as usize)).copied().collect();
        let factor = MatRef::from_column_major_slice(&self.factor, rank, rank);
        let cells = MatMut::from_column_major_slice_mut(&mut columns, n, rank);
        solve_lower_triangular_in_place(factor.transpose(), cells.transpose_mut(), Par::Seq);
        rows.columns = columns;
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Basis {
    pub rank: usize,
    mean: Vec<f64>,
    /// B and L, `[width, rank]`.
    expand: Mat<f64>,
    lift: Mat<f64>,
    /// LᵀL.
    penalty: Mat<f64>,
}

impl Basis {
    /// Of the columns of all parts, which are replaced by z. `centred` takes the mean off; a root mean square of less than `negligible` changes nothing.
    #[allow(clippy::cast_precision_loss)]
    pub fn replace(parts: &mut [LabelRows], width: usize, centred: bool, kind: BasisKind, negligible: f64) -> Self {
        let n = parts.iter().map(|part| part.rows.len()).sum::<usize>().max(1) as f64;
        let moment = |j: usize, of: &dyn Fn(f64) -> f64| {
            let sum = |part: &LabelRows| part.column(j).iter().map(|&x| of(x)).sum::<f64>();
            parts.iter().map(sum).sum::<f64>() / n
        };
        let mean: Vec<f64> = (0..width).map(|j| if centred { moment(j, &|x| x) } else { 0.0 }).collect();
        let scale: Vec<f64> = (0..width)
            .map(|j| {
                let (own, whole) = (moment(j, &|x| (x - mean[j]).powi(2)).sqrt(), moment(j, &|x| x * x).sqrt());
                size(own, whole)
            })
            .collect();
        let map = RowMap::new(mean, scale);
        parts.par_iter_mut().for_each(|part| map.pick(part));
        if kind == BasisKind::Scaled && !map.order.is_empty() && map.order.len() as f64 <= n {
            return Self::scaled(map);
        }
        let triangle = triangle(parts, map.order.len());
        let (basis, map) = Self::orthogonal(map, &triangle, n.sqrt(), negligible);
        parts.par_iter_mut().for_each(|part| map.solve(part));
        basis
    }

    /// Of `n` rows of which [`triangle`] is known, with a column of ones in front where their mean is to be taken off.
    pub fn of_triangle(triangle: MatRef<'_, f64>, n: f64, centred: bool) -> (Self, RowMap) {
        let first = usize::from(centred);
        let width = triangle.ncols() - first;
        let length = |j: usize, from: usize| {
            let below = (from..triangle.nrows()).map(|i| triangle[(i, j + first)].powi(2));
            (below.sum::<f64>() / n).sqrt()
        };
        let mean = |j: usize| if centred { triangle[(0, j + first)] / triangle[(0, 0)] } else { 0.0 };
        let scale = (0..width).map(|j| size(length(j, first), length(j, 0))).collect();
        let map = RowMap::new((0..width).map(mean).collect(), scale);
        let picked = Mat::from_fn(triangle.nrows().saturating_sub(first), map.order.len(), |i, at| {
            let j = map.order[at] as usize;
            triangle[(i + first, j + first)] / map.scale[j]
        });
        Self::orthogonal(map, &picked, n.sqrt(), 0.0)
    }

    /// Of columns that were picked, by their R.
    #[allow(clippy::cast_possible_truncation)]
    fn orthogonal(map: RowMap, triangle: &Mat<f64>, length: f64, negligible: f64) -> (Self, RowMap) {
        let least = |at: usize| (negligible / map.scale[map.order[at] as usize]).clamp(DEPENDENT, ALMOST);
        let (kept, coefficients) = independent(triangle, length, least);
        let (rank, width) = (kept.len(), map.mean.len());
        let mean = map.mean.clone();
        if rank == 0 {
            let (none, one) = (Mat::zeros(width, 1), Mat::identity(1, 1));
            return (Self { rank: 1, mean, expand: none.clone(), lift: none, penalty: one }, map);
        }
        let factor = Mat::from_fn(rank, rank, |i, j| coefficients[(i, kept[j])]);
        let order: Vec<usize> = map.columns().collect();
        let mut expand = Mat::<f64>::zeros(width, rank);
        for (at, &j) in order.iter().enumerate() {
            (0..rank).for_each(|i| expand[(j, i)] = map.scale[j] * coefficients[(i, at)]);
        }
        let lift = if rank == width {
            inverse(factor.as_ref(), |i| (order[i], map.scale[order[i]]))
        } else {
            smallest(&expand, &order, rank)
        };
        let penalty = product(lift.transpose(), lift.as_ref());
        let map = RowMap {
            kept: kept.iter().map(|&at| at as u32).collect(),
            factor: factor.col_iter().flat_map(|column| column.iter().copied().collect::<Vec<f64>>()).collect(),
            ..map
        };
        (Self { rank, mean, expand, lift, penalty }, map)
    }

    /// Of the columns that vary, divided by their scale.
    fn scaled(map: RowMap) -> Self {
        let (rank, width) = (map.order.len(), map.mean.len());
        let (mut expand, mut lift) = (Mat::zeros(width, rank), Mat::zeros(width, rank));
        let mut penalty = Mat::zeros(rank, rank);
        for (at, j) in map.columns().enumerate() {
            (expand[(j, at)], lift[(j, at)]) = (map.scale[j], 1.0 / map.scale[j]);
            penalty[(at, at)] = lift[(j, at)] * lift[(j, at)];
        }
        Self { rank, mean: map.mean, expand, lift, penalty }
    }

    /// LᵀL v.
    pub fn penalty(&self) -> MatRef<'_, f64> {
        self.penalty.as_ref()
    }

    /// w = L v.
    pub fn weights(&self, v: &[f64]) -> Vec<f64> {
        times(self.lift.as_ref(), v)
    }

    /// Change of the scores by w through the mean.
    pub fn shift(&self, w: &[f64]) -> f64 {
        self.mean.iter().zip(w).map(|(m, w)| m * w).sum()
    }

    /// v of `w = B g`, the weights of dual variables with `g = Σ β z`, and ½‖w‖².
    pub fn of_dual(&self, g: &[f64]) -> (Vec<f64>, f64) {
        let w = times(self.expand.as_ref(), g);
        (times(self.expand.transpose(), &w), w.iter().map(|w| w * w).sum::<f64>() / 2.0)
    }
}

impl LabelRows {
    pub(super) fn column(&self, j: usize) -> &[f64] {
        &self.columns[j * self.rows.len()..(j + 1) * self.rows.len()]
    }
}

/// The root mean square of a column, 0 where it is constant or out of range; `whole` is that with its mean.
fn size(own: f64, whole: f64) -> f64 {
    if own.is_finite() && own > CONSTANT * whole { own } else { 0.0 }
}

/// R of a QR factorisation of all rows.
pub(super) fn triangle(parts: &[LabelRows], width: usize) -> Mat<f64> {
    let length = parts.len().div_ceil(SHARES).max(1);
    // Enough rows at a time for the factorisation to be cheaper than reading them; some where there is no column.
    let least = (2 * width).max(1);
    let share = |parts: &[LabelRows]| {
        let mut sum = Mat::<f64>::zeros(0, width);
        let mut first = 0;
        while first < parts.len() {
            let (mut last, mut rows) = (first, 0);
            while last < parts.len() && rows < least {
                rows += parts[last].rows.len();
                last += 1;
            }
            let stacked: Vec<MatRef<'_, f64>> = parts[first..last].iter().map(LabelRows::matrix).collect();
            sum = stack(&sum, &stacked);
            first = last;
        }
        sum
    };
    let shares: Vec<Mat<f64>> = parts.par_chunks(length).map(share).collect();
    let Some((first, others)) = shares.split_first() else { return Mat::zeros(0, width) };
    others.iter().fold(first.clone(), |sum, other| stack(&sum, &[other.as_ref()]))
}

/// R of matrices one below the other.
pub(super) fn stack(above: &Mat<f64>, below: &[MatRef<'_, f64>]) -> Mat<f64> {
    let rows = above.nrows() + below.iter().map(|part| part.nrows()).sum::<usize>();
    let mut all = Mat::<f64>::zeros(rows, above.ncols());
    let mut at = 0;
    for part in std::iter::once(above.as_ref()).chain(below.iter().copied()) {
        all.as_mut().subrows_mut(at, part.nrows()).copy_from(part);
        at += part.nrows();
    }
    if rows == 0 || above.ncols() == 0 { all } else { all.qr().thin_R().to_owned() }
}

/// The columns that do not depend on those before them, and all columns in terms of an orthogonal basis whose vectors have the given
/// length: Gram-Schmidt, twice. Of a column that does not depend on others at least a share `least` is its own.
fn independent(columns: &Mat<f64>, length: f64, least: impl Fn(usize) -> f64) -> (Vec<usize>, Mat<f64>) {
    let (rows, width) = (columns.nrows(), columns.ncols());
    let mut coefficients = Mat::<f64>::zeros(rows.min(width), width);
    let (mut kept, mut basis) = (Vec::new(), Vec::<Vec<f64>>::new());
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for j in 0..width {
        let mut column: Vec<f64> = (0..rows).map(|i| columns[(i, j)]).collect();
        let whole = dot(&column, &column).sqrt();
        for _ in 0..2 {
            for (k, direction) in basis.iter().enumerate() {
                let share = dot(direction, &column);
                coefficients[(k, j)] += share / length;
                column.iter_mut().zip(direction).for_each(|(c, d)| *c -= share * d);
            }
        }
        let own = dot(&column, &column).sqrt();
        if basis.len() < rows && own > least(j) * whole {
            coefficients[(basis.len(), j)] = own / length;
            column.iter_mut().for_each(|c| *c /= own);
            basis.push(column);
            kept.push(j);
        }
    }
    (kept, coefficients)
}

/// `S⁻¹ R⁻¹` where every feature has a number of its own: row i of R⁻¹ is that of feature `of(i).0`, of scale `of(i).1`.
fn inverse(factor: MatRef<'_, f64>, of: impl Fn(usize) -> (usize, f64)) -> Mat<f64> {
    let rank = factor.nrows();
    let mut inverse = Mat::<f64>::identity(rank, rank);
    solve_upper_triangular_in_place(factor, inverse.as_mut(), Par::Seq);
    let mut lift = Mat::<f64>::zeros(rank, rank);
    for i in 0..rank {
        let (feature, scale) = of(i);
        (0..rank).for_each(|k| lift[(feature, k)] = inverse[(i, k)] / scale);
    }
    lift
}

/// `B (BᵀB)⁻¹`, from a QR factorisation of B with its largest rows first.
fn smallest(expand: &Mat<f64>, order: &[usize], rank: usize) -> Mat<f64> {
    let sorted = Mat::from_fn(order.len(), rank, |i, k| expand[(order[i], k)]);
    let factors = sorted.qr();
    let mut thin = factors.compute_thin_Q();
    // L = Q T⁻ᵀ, so that T Lᵀ = Qᵀ.
    solve_upper_triangular_in_place(factors.thin_R(), thin.as_mut().transpose_mut(), Par::Seq);
    let mut lift = Mat::<f64>::zeros(expand.nrows(), rank);
    for (i, &j) in order.iter().enumerate() {
        (0..rank).for_each(|k| lift[(j, k)] = thin[(i, k)]);
    }
    lift
}

fn product(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
    let mut out = Mat::zeros(a.nrows(), b.ncols());
    matmul(out.as_mut(), Accum::Replace, a, b, 1.0, Par::Seq);
    out
}

fn times(matrix: MatRef<'_, f64>, v: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; matrix.nrows()];
    let (rows, columns) = (matrix.nrows(), matrix.ncols());
    let (to, from) =
        (MatMut::from_column_major_slice_mut(&mut out, rows, 1), MatRef::from_column_major_slice(v, columns, 1));
    matmul(to, Accum::Replace, matrix, from, 1.0, Par::Seq);
    out
}
