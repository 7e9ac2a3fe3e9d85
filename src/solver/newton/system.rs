//! The Newton system `(R + AᵀΘA) δW = r`: its blocks over the rows, its factorisation.
//!
//! Block (k, l) is `Σ_i m_i·x_i x_iᵀ` with one number m_i a row. All blocks are computed together: the products `x_p·x_q`, q ≤ p, of some rows
//! make a matrix, and that times the matrix of the numbers m is one product of matrices.

use super::coordinates::Coordinates;
use super::rows::LabelRows;
use crate::data::packed;
use faer::linalg::matmul::matmul;
use faer::linalg::solvers::{Llt, SolveCore as _};
use faer::{Accum, Mat, MatMut, MatRef, Par, Side};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// Products of two features of one tile, or those of one feature where they are more.
const TILE: usize = 1024;
/// Shares of the rows where there are few tiles.
const SHARES: usize = 8;

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

    /// Numbers that are kept of a product of two features.
    const fn kept(self, n_classes: usize) -> usize {
        match self {
            Self::Meeting => n_classes * (n_classes + 1),
            Self::Apart | Self::All => self.count(n_classes),
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
    llt: Llt<f64>,
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

    /// `Σ_i m_i·x_p·x_q` over parts, a column for each number m.
    fn sums(&self, parts: &[LabelRows], kind: BlockPattern, n_classes: usize, numbers: &[Vec<f64>]) -> Vec<f64> {
        let kept = kind.kept(n_classes);
        let (mut sums, mut products) = (vec![0.0; self.len() * kept], Vec::new());
        for (part, numbers) in parts.iter().zip(numbers) {
            let n = part.rows.len();
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

/// Sums over rows that the blocks are made of: of one tile after another, for each number m those of its products.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::solver) struct BlockSums(#[serde(with = "packed")] Vec<f64>);

impl BlockSums {
    /// Of rows with the numbers m of every part, `[blocks][rows]`.
    pub(super) fn of(
        parts: &[LabelRows],
        width: usize,
        kind: BlockPattern,
        n_classes: usize,
        numbers: &[Vec<f64>],
    ) -> Self {
        if parts.is_empty() {
            return Self(vec![0.0; Self::count(width, kind, n_classes)]);
        }
        let tiles = Tile::all(width);
        let shares = SHARES.div_ceil(tiles.len());
        let length = parts.len().div_ceil(shares).max(1);
        let shares: Vec<usize> = (0..parts.len()).step_by(length).collect();
        let tasks: Vec<(&Tile, usize)> =
            tiles.iter().flat_map(|tile| shares.iter().map(move |&first| (tile, first))).collect();
        let run = |&(tile, first): &(&Tile, usize)| {
            let end = (first + length).min(parts.len());
            tile.sums(&parts[first..end], kind, n_classes, &numbers[first..end])
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

    const fn count(width: usize, kind: BlockPattern, n_classes: usize) -> usize {
        pairs(width).saturating_mul(kind.kept(n_classes))
    }

    /// Whether they are of such blocks.
    pub(super) const fn fits(&self, width: usize, kind: BlockPattern, n_classes: usize) -> bool {
        self.0.len() == Self::count(width, kind, n_classes)
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
        let factor = |classes: &Vec<usize>| {
            let mut matrix = assembled(space, &sums.0, kind, classes);
            if centred {
                centre(&mut matrix, space.width, classes.len());
            }
            Factor::new(matrix)
        };
        Some(Self { factors: groups.par_iter().map(factor).collect::<Option<Vec<Factor>>>()? })
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
    pub fn new(mut matrix: Mat<f64>) -> Option<Self> {
        let n = matrix.nrows();
        let scale: Vec<f64> = (0..n).map(|i| 1.0 / matrix[(i, i)].max(f64::MIN_POSITIVE).sqrt()).collect();
        for j in 0..n {
            (j..n).for_each(|i| matrix[(i, j)] *= scale[i] * scale[j]);
        }
        [1e-14, 1e-12, 1e-10, 1e-8].into_iter().find_map(|lift| {
            (0..n).for_each(|i| matrix[(i, i)] = 1.0 + lift);
            let llt = matrix.llt(Side::Lower).ok()?;
            Some(Self { scale: scale.clone(), llt })
        })
    }

    pub fn solve(&self, values: &mut [f64]) {
        let scaled = |values: &mut [f64]| values.iter_mut().zip(&self.scale).for_each(|(v, s)| *v *= s);
        scaled(values);
        let n = values.len();
        self.llt.solve_in_place_with_conj(faer::Conj::No, MatMut::from_column_major_slice_mut(values, n, 1));
        scaled(values);
    }
}
