//! The Newton system `(R + AᵀΘA) δW = r`: its blocks over the rows, its factorisation.
//!
//! Block (k, l) is `Σ_i m_i·x_i x_iᵀ` with one number m_i a row. All blocks are computed together: the products `x_p·x_q`, q ≤ p, of some rows
//! make a matrix, and that times the matrix of the numbers m is one product of matrices. Where rows are wide, each block is a product of its own.

use super::cholesky::factorise;
use super::coordinates::Coordinates;
use super::gram::GramSum;
use super::rows::LabelRows;
use crate::data::packed;
use faer::linalg::matmul::matmul;
use faer::linalg::triangular_solve::{solve_lower_triangular_in_place, solve_upper_triangular_in_place};
use faer::{Accum, Mat, MatMut, MatRef, Par};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Products of two features of one tile, or those of one feature where they are more.
const TILE: usize = 1024;
/// Shares of the rows where there are few tiles.
const SHARES: usize = 8;
/// Numbers of a row from which each block is a product of matrices of its own, and blocks that are held at a time.
pub(super) const WIDE: usize = 256;
const MATRICES: usize = 16;

/// Which blocks there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockPattern {
    /// One a class, nothing between classes.
    Apart,
    /// Those of a class with itself over all rows; those of two classes over the rows of one of these labels.
    Meeting,
    /// All over all rows.
    All,
}

impl BlockPattern {
    /// Numbers m of a row, those that are not zero.
    pub const fn count(self, n_classes: usize) -> usize {
        match self {
            Self::Apart => n_classes,
            Self::Meeting => 2 * n_classes,
            Self::All => n_classes * (n_classes + 1) / 2,
        }
    }

    /// Multiply-adds of the sums over n rows of so many numbers.
    #[allow(clippy::cast_precision_loss)]
    pub fn multiply_adds(self, n_classes: usize, n: f64, width: f64) -> f64 {
        self.count(n_classes) as f64 * n * width * width / 2.0
    }

    /// Numbers that are kept of a product of two features.
    const fn kept(self, n_classes: usize) -> usize {
        match self {
            Self::Meeting => n_classes * (n_classes + 1),
            Self::Apart | Self::All => self.count(n_classes),
        }
    }

    /// The labels of the rows that a kept sum is over, and its number m.
    pub const fn source(self, n_classes: usize, kept: usize) -> (Range<usize>, usize) {
        match self {
            Self::Meeting if kept >= n_classes => {
                let label = kept / n_classes - 1;
                (label..label + 1, n_classes + kept % n_classes)
            }
            Self::Apart | Self::Meeting | Self::All => (0..n_classes, kept),
        }
    }

    /// Indices of the numbers of block (k, l), l ≤ k, whose sum is the block.
    fn of(self, n_classes: usize, k: usize, l: usize) -> (usize, Option<usize>) {
        match self {
            Self::All => (k * (k + 1) / 2 + l, None),
            Self::Meeting if k != l => ((k + 1) * n_classes + l, Some((l + 1) * n_classes + k)),
            Self::Apart | Self::Meeting => (k, None),
        }
    }
}

/// A factorised system.
pub(super) struct System {
    /// One of all classes, or one a class.
    factors: Vec<Factor>,
}

pub(super) struct Factor {
    /// 1/√ of the diagonal.
    scale: Vec<f64>,
    /// L, below the diagonal and on it.
    lower: Mat<f64>,
}

/// Features `first..last`, each with those up to itself.
struct Tile {
    first: usize,
    last: usize,
}

const fn pairs(features: usize) -> usize {
    features * (features + 1) / 2
}

impl Tile {
    fn all(width: usize) -> Vec<Self> {
        let (mut tiles, mut first) = (Vec::new(), 0);
        while first < width {
            let mut last = first + 1;
            while last < width && pairs(last + 1) - pairs(first) <= TILE {
                last += 1;
            }
            tiles.push(Self { first, last });
            first = last;
        }
        tiles
    }

    const fn len(&self) -> usize {
        pairs(self.last) - pairs(self.first)
    }

    /// `Σ_i m_i·x_p·x_q` over some of the parts, a column for each number m.
    fn sums(
        &self,
        parts: &[LabelRows],
        some: Range<usize>,
        kind: BlockPattern,
        n_classes: usize,
        numbers: &NumbersOfPart<'_>,
    ) -> Vec<f64> {
        let kept = kind.kept(n_classes);
        let (mut sums, mut products, mut room) = (vec![0.0; self.len() * kept], Vec::new(), Vec::new());
        for at in some {
            let (part, n) = (&parts[at], parts[at].rows.len());
            let numbers = numbers(at, &mut room);
            products.clear();
            for p in self.first..self.last {
                let x = &part.columns[p * n..(p + 1) * n];
                for q in 0..=p {
                    products.extend(x.iter().zip(&part.columns[q * n..(q + 1) * n]).map(|(a, b)| a * b));
                }
            }
            let products = MatRef::from_column_major_slice(&products, n, self.len());
            let mut add = |first: usize, numbers: &[f64]| {
                let count = numbers.len() / n;
                let sums = &mut sums[first * self.len()..(first + count) * self.len()];
                let sums = MatMut::from_column_major_slice_mut(sums, self.len(), count);
                let numbers = MatRef::from_column_major_slice(numbers, n, count);
                matmul(sums, Accum::Add, products.transpose(), numbers, 1.0, Par::Seq);
            };
            if kind == BlockPattern::Meeting {
                let (own, between) = numbers.split_at(n * n_classes);
                add(0, own);
                add((part.label + 1) * n_classes, between);
            } else {
                add(0, numbers);
            }
        }
        sums
    }
}

/// The lower triangle of `Σ m·z zᵀ` with one of the numbers m of some labels, `[width, width]`.
fn gram(
    parts: &[LabelRows],
    width: usize,
    (labels, number): (Range<usize>, usize),
    numbers: &NumbersOfPart<'_>,
) -> Vec<f64> {
    let (mut sum, mut room) = (GramSum::new(width), Vec::new());
    for (at, part) in parts.iter().enumerate().filter(|(_, part)| labels.contains(&part.label)) {
        let n = part.rows.len();
        let own = numbers(at, &mut room)[number * n..(number + 1) * n].iter().enumerate();
        for sign in [1.0, -1.0] {
            let used = own.clone().filter(|(_, m)| sign * **m > 0.0 || m.is_nan());
            let roots: Vec<(usize, f64)> = used.map(|(r, m)| (r, (sign * m).sqrt())).collect();
            sum.add(&part.columns, n, &roots, sign);
        }
    }
    let matrix = sum.finish();
    (0..width).flat_map(|p| (0..width).map(move |q| (p, q))).map(|at| matrix[at]).collect()
}

/// The numbers m of a part, `[blocks, rows]`, in room for them: made when they are wanted, which costs little beside the sums, and not held for all rows.
pub(super) type NumbersOfPart<'a> = dyn for<'r> Fn(usize, &'r mut Vec<f64>) -> &'r [f64] + Sync + 'a;

/// Sums over rows that the blocks are made of: of one tile after another, for each number m those of its products.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::solver) struct BlockSums(#[serde(with = "packed")] Vec<f64>);

impl BlockSums {
    /// Of rows with the numbers m of every part.
    pub(super) fn of(
        parts: &[LabelRows],
        width: usize,
        kind: BlockPattern,
        n_classes: usize,
        numbers: &NumbersOfPart<'_>,
    ) -> Self {
        if parts.is_empty() {
            return Self(vec![0.0; Self::count(width, kind, n_classes)]);
        }
        if width >= WIDE {
            let gram = |at: usize| Some(gram(parts, width, kind.source(n_classes, at), numbers));
            return Self::from_matrices((width, MATRICES), kind, n_classes, gram)
                .unwrap_or_else(|| unreachable!("the host has all of them"));
        }
        let tiles = Tile::all(width);
        let shares = SHARES.div_ceil(tiles.len());
        let length = parts.len().div_ceil(shares).max(1);
        let shares: Vec<usize> = (0..parts.len()).step_by(length).collect();
        let tasks: Vec<(&Tile, usize)> =
            tiles.iter().flat_map(|tile| shares.iter().map(move |&first| (tile, first))).collect();
        let run = |&(tile, first): &(&Tile, usize)| {
            let end = (first + length).min(parts.len());
            tile.sums(parts, first..end, kind, n_classes, numbers)
        };
        let found: Vec<Vec<f64>> = tasks.par_iter().map(run).collect();
        let mut all = Vec::with_capacity(Self::count(width, kind, n_classes));
        for parts in found.chunks(shares.len()) {
            let first = all.len();
            all.extend_from_slice(&parts[0]);
            parts[1..].iter().for_each(|part| all[first..].iter_mut().zip(part).for_each(|(t, v)| *t += v));
        }
        Self(all)
    }

    /// Of the lower triangles of all that are kept, each `[width, width]`, some of which are made at a time.
    pub(super) fn from_matrices(
        (width, at_a_time): (usize, usize),
        kind: BlockPattern,
        n_classes: usize,
        matrix: impl Fn(usize) -> Option<Vec<f64>> + Sync,
    ) -> Option<Self> {
        let (tiles, kept) = (Tile::all(width), kind.kept(n_classes));
        let mut all = vec![0.0; Self::count(width, kind, n_classes)];
        for first in (0..kept).step_by(at_a_time) {
            let some = first..kept.min(first + at_a_time);
            let found: Vec<Option<Vec<f64>>> = some.clone().into_par_iter().map(&matrix).collect();
            for (at, matrix) in some.zip(found) {
                let (matrix, mut first) = (matrix?, 0);
                for tile in &tiles {
                    let triangle = (tile.first..tile.last).flat_map(|p| &matrix[p * width..=p * width + p]);
                    all[first + at * tile.len()..].iter_mut().zip(triangle).for_each(|(out, sum)| *out = *sum);
                    first += kept * tile.len();
                }
            }
        }
        Some(Self(all))
    }

    const fn count(width: usize, kind: BlockPattern, n_classes: usize) -> usize {
        pairs(width).saturating_mul(kind.kept(n_classes))
    }

    /// Whether they are of such blocks.
    pub(super) const fn fits(&self, width: usize, kind: BlockPattern, n_classes: usize) -> bool {
        self.0.len() == Self::count(width, kind, n_classes)
    }

    /// The largest difference from others, relative to the largest of them.
    #[cfg(test)]
    pub(super) fn distance(&self, other: &Self) -> f64 {
        let largest = other.0.iter().fold(0.0f64, |largest, sum| largest.max(sum.abs()));
        self.0.iter().zip(&other.0).fold(0.0f64, |all, (a, b)| all.max((a - b).abs())) / largest
    }

    /// Adds those of other rows.
    pub(super) fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, more)| *sum += more);
    }
}

impl System {
    /// From the sums of all rows; where `centred`, the sum of the weights of the last feature over the classes is kept where it is. `None` where
    /// rounding leaves the system without a factorisation.
    pub fn new(space: &Coordinates, kind: BlockPattern, sums: BlockSums, centred: bool) -> Option<Self> {
        let n_classes = space.n_classes;
        let groups: Vec<Vec<usize>> = match kind {
            BlockPattern::Apart => (0..n_classes).map(|class| vec![class]).collect(),
            BlockPattern::Meeting | BlockPattern::All => vec![(0..n_classes).collect()],
        };
        let assemble = |classes: &Vec<usize>| {
            let mut matrix = assembled(space, &sums.0, kind, classes);
            if centred {
                centre(&mut matrix, space.width, classes.len());
            }
            matrix
        };
        let matrices: Vec<Mat<f64>> = groups.par_iter().map(assemble).collect();
        drop(sums);
        Some(Self { factors: matrices.into_par_iter().map(Factor::new).collect::<Option<Vec<Factor>>>()? })
    }

    /// δW of a right-hand side, in its place.
    pub fn solve(&self, values: &mut [f64]) {
        let length = values.len() / self.factors.len();
        values.par_chunks_exact_mut(length).zip(&self.factors).for_each(|(values, factor)| factor.solve(values));
    }
}

/// The lower triangle of the blocks of some classes.
fn assembled(space: &Coordinates, mut sums: &[f64], kind: BlockPattern, classes: &[usize]) -> Mat<f64> {
    let (width, n_classes) = (space.width, space.n_classes);
    let mut matrix = Mat::<f64>::zeros(width * classes.len(), width * classes.len());
    for tile in &Tile::all(width) {
        let length = tile.len();
        let (own, others) = sums.split_at(length * kind.kept(n_classes));
        sums = others;
        for (a, &k) in classes.iter().enumerate() {
            for (b, &l) in classes.iter().enumerate().take(a + 1) {
                let (one, other) = kind.of(n_classes, k, l);
                let mut at = 0;
                for p in tile.first..tile.last {
                    for q in 0..=p {
                        let value = own[one * length + at] + other.map_or(0.0, |other| own[other * length + at]);
                        matrix[(a * width + p, b * width + q)] = value;
                        if a != b {
                            matrix[(a * width + q, b * width + p)] = value;
                        }
                        at += 1;
                    }
                }
            }
        }
    }
    let penalty = space.penalty();
    for a in 0..classes.len() {
        let mut block = matrix.as_mut().submatrix_mut(a * width, a * width, penalty.nrows(), penalty.ncols());
        block += penalty;
    }
    matrix
}

/// Adds a multiple of 11ᵀ to the block of the biases.
#[allow(clippy::cast_precision_loss)]
fn centre(matrix: &mut Mat<f64>, width: usize, classes: usize) {
    let at = |class: usize| class * width + width - 1;
    let size = (0..classes).map(|k| matrix[(at(k), at(k))]).fold(f64::MIN_POSITIVE, f64::max) / classes as f64;
    for k in 0..classes {
        (0..=k).for_each(|l| matrix[(at(k), at(l))] += size);
    }
}

impl Factor {
    /// Of a lower triangle. What rounding has made indefinite is lifted a little.
    pub fn new(matrix: Mat<f64>) -> Option<Self> {
        Self::lifted(matrix, 1e-14)
    }

    /// The same, with the diagonal lifted by this share of it at least.
    pub fn lifted(mut matrix: Mat<f64>, least: f64) -> Option<Self> {
        let n = matrix.nrows();
        let scale: Vec<f64> = (0..n).map(|i| 1.0 / matrix[(i, i)].max(f64::MIN_POSITIVE).sqrt()).collect();
        for j in 0..n {
            (j..n).for_each(|i| matrix[(i, j)] *= scale[i] * scale[j]);
        }
        [1.0, 1e2, 1e4, 1e6].into_iter().find_map(|more| {
            (0..n).for_each(|i| matrix[(i, i)] = 1.0 + more * least);
            let mut lower = matrix.clone();
            factorise(&mut lower)?;
            Some(Self { scale: scale.clone(), lower })
        })
    }

    /// T with `TᵀT` the inverse.
    pub fn inverse_root(&self) -> Mat<f64> {
        let n = self.scale.len();
        let mut root = Mat::from_fn(n, n, |i, j| if i == j { self.scale[i] } else { 0.0 });
        solve_lower_triangular_in_place(self.lower.as_ref(), root.as_mut(), Par::Seq);
        root
    }

    pub fn solve(&self, values: &mut [f64]) {
        let scaled = |values: &mut [f64]| values.iter_mut().zip(&self.scale).for_each(|(v, s)| *v *= s);
        scaled(values);
        let n = values.len();
        let (lower, mut column) = (self.lower.as_ref(), MatMut::from_column_major_slice_mut(&mut *values, n, 1));
        solve_lower_triangular_in_place(lower, column.as_mut(), Par::Seq);
        solve_upper_triangular_in_place(lower.transpose(), column, Par::Seq);
        scaled(values);
    }
}
