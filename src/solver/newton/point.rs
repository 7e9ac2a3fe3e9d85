//! The variables of some rows between the bounds of their set, and their Newton steps.
//!
//! With a in units of c a row's conditions are, at W = Aᵀ(c·a),
//!
//! ```text
//! t_j = ξ_j + η + κ·a_j + ρ₀·Σa − G_j,   b_j = hi − a_j,   s = cap − Σa      all of them above 0, and
//! a_j·t_j = b_j·ξ_j = s·η = μ            b, ξ where there is a bound hi, s, η where there is a cap
//! ```
//!
//! and a step of Newton's method gives `δa = Θ·(q − A δW)` with `Θ = D − ρ/(1 + ρΣD)·D Dᵀ`, `D = 1/(t/a + ξ/b + κ)`, `ρ = η/s + ρ₀`.
//! Derived in `docs/math.md`, "The interior point method".

mod maximum;
mod numbers;
mod pairs;
mod sweep;

use super::system::BlockPattern;
use crate::loss::Loss;
use pairs::ProductPairs;

/// The set of a row in units of c, the same for all.
pub(super) struct FeasibleSet<'a> {
    pub loss: &'a Loss,
    pub n_classes: usize,
    /// hi and cap.
    pub hi: Option<f64>,
    pub cap: Option<f64>,
    /// κ and ρ₀: the curvatures of the penalty.
    pub curvature: f64,
    pub curvature_of_sum: f64,
    /// Δ(y, j), `[n_classes, n_classes]`; −∞ where a class has no margin.
    margins: Vec<f64>,
}

impl<'a> FeasibleSet<'a> {
    pub fn new(loss: &'a Loss, n_classes: usize) -> Self {
        let (hi, cap) = loss.set.limits(1.0);
        let zeros = vec![0.0; n_classes];
        let bound = |value: f64| value.is_finite().then_some(value);
        Self {
            loss,
            n_classes,
            hi: bound(hi),
            cap: bound(cap),
            curvature: loss.set.curvature(1.0),
            curvature_of_sum: loss.set.curvature_of_sum(1.0),
            margins: (0..n_classes)
                .flat_map(|label| loss.margins.of_row(&zeros, label).collect::<Vec<f64>>())
                .collect(),
        }
    }

    /// Δ(y, j).
    pub fn margin(&self, label: usize, j: usize) -> f64 {
        self.margins[label * self.n_classes + j]
    }

    /// Numbers that are kept of a row between steps.
    pub fn kept(&self) -> usize {
        2 * (self.n_classes * (1 + usize::from(self.hi.is_some())) + usize::from(self.cap.is_some()))
    }

    pub fn blocks(loss: &Loss) -> BlockPattern {
        let coupled = loss.set.limits(1.0).1.is_finite() || loss.set.curvature_of_sum(1.0) > 0.0;
        match (loss.margins.differences(), coupled) {
            (false, _) => BlockPattern::Apart,
            (true, false) => BlockPattern::Meeting,
            (true, true) => BlockPattern::All,
        }
    }
}

/// The larger of two numbers; the second where the first is no number.
#[inline(always)]
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

/// The variables of a part: numbers of all classes and rows lie class after class, `[n_classes, rows]`, as the loops over the rows of a class want them.
#[derive(Clone)]
pub(super) struct InteriorPoint {
    pub label: usize,
    /// c of each row.
    pub costs: Vec<f64>,
    /// a with t, b with ξ (none without a bound), and s of each row with η (none without a cap). A class without a margin has zeros.
    own: ProductPairs,
    upper: ProductPairs,
    sum: ProductPairs,
    /// Scores at W.
    pub scores: Vec<f64>,
    /// Of δW; δa once these are answered.
    pub steps: Vec<f64>,
    /// q and D.
    wanted: Vec<f64>,
    rate: Vec<f64>,
    /// ρ of each row.
    coupling: Vec<f64>,
    /// The centre of a proximal step.
    centre: Vec<f64>,
}

impl InteriorPoint {
    /// In the middle of the set.
    #[allow(clippy::cast_precision_loss)]
    pub fn new(shape: &FeasibleSet<'_>, label: usize, costs: Vec<f64>) -> Self {
        let (n, k, t) = (costs.len(), shape.n_classes, shape.loss.margins.largest().max(f64::MIN_POSITIVE));
        let charged = if shape.loss.margins.differences() { k - 1 } else { k };
        let middle = match (shape.hi, shape.cap) {
            (None, None) => t,
            (hi, cap) => (hi.unwrap_or(f64::INFINITY) / 2.0).min(cap.unwrap_or(f64::INFINITY) / (2 * charged) as f64),
        };
        let mut own = ProductPairs::new(middle, t, n * k);
        let mut upper = shape.hi.map_or_else(ProductPairs::default, |hi| ProductPairs::new(hi - middle, t, n * k));
        if shape.loss.margins.differences() {
            let column = label * n..(label + 1) * n;
            own.clear(column.clone());
            if shape.hi.is_some() {
                upper.clear(column);
            }
        }
        let sum =
            shape.cap.map_or_else(ProductPairs::default, |cap| ProductPairs::new(cap - charged as f64 * middle, t, n));
        let zeros = || vec![0.0; n * k];
        Self {
            label,
            costs,
            own,
            upper,
            sum,
            scores: zeros(),
            steps: zeros(),
            wanted: zeros(),
            rate: zeros(),
            coupling: vec![0.0; n],
            centre: Vec::new(),
        }
    }

    /// The classes with a margin.
    fn charged(&self, shape: &FeasibleSet<'_>) -> impl Iterator<Item = usize> + Clone + use<> {
        let own = shape.loss.margins.differences().then_some(self.label);
        (0..shape.n_classes).filter(move |&j| Some(j) != own)
    }

    /// Places of the numbers of a row.
    fn places(&self, i: usize) -> impl Iterator<Item = usize> + Clone + use<> {
        let n = self.costs.len();
        (i..self.rate.len()).step_by(n)
    }

    /// Σ c·(number of products)
    #[allow(clippy::cast_precision_loss)]
    pub fn count(&self, shape: &FeasibleSet<'_>) -> f64 {
        let charged = shape.n_classes - usize::from(shape.loss.margins.differences());
        let pairs = charged * if shape.hi.is_some() { 2 } else { 1 } + usize::from(shape.cap.is_some());
        self.costs.iter().map(|c| c * pairs as f64).sum()
    }

    /// Σ c·ℓ at scores `[n_classes, rows]`.
    pub fn loss(&self, shape: &FeasibleSet<'_>, scores: &[f64]) -> f64 {
        let (loss, mut row) = (shape.loss, vec![0.0; shape.n_classes]);
        let of = |(i, c): (usize, &f64)| {
            row.iter_mut().zip(self.places(i)).for_each(|(score, at)| *score = scores[at]);
            c * loss.set.value(loss.margins.of_row(&row, self.label))
        };
        self.costs.iter().enumerate().map(of).sum()
    }

    /// Adds the variables to those that are kept, [`FeasibleSet::kept`] a row.
    pub fn write(&self, out: &mut Vec<f64>) {
        let places = || (0..self.costs.len()).flat_map(|i| self.places(i));
        out.extend(places().flat_map(|at| self.own.values(at)));
        if !self.upper.is_empty() {
            out.extend(places().flat_map(|at| self.upper.values(at)));
        }
        out.extend((0..self.sum.len()).flat_map(|at| self.sum.values(at)));
    }

    /// Puts the variables to those that were kept.
    pub fn read(&mut self, kept: &[f64]) {
        let places: Vec<usize> = (0..self.costs.len()).flat_map(|i| self.places(i)).collect();
        let (own, others) = kept.split_at(2 * self.own.len());
        let (upper, sum) = others.split_at(2 * self.upper.len());
        self.own.read(places.iter().copied(), own);
        self.upper.read(places.into_iter(), upper);
        self.sum.read(0..self.sum.len(), sum);
    }

    fn pairs(&mut self) -> [&mut ProductPairs; 3] {
        [&mut self.own, &mut self.upper, &mut self.sum]
    }

    /// Aims the next step at the products themselves.
    pub fn plain(&mut self) {
        self.pairs().into_iter().for_each(ProductPairs::plain);
    }

    /// c·a, `[rows, n_classes]`.
    pub fn in_units(&self) -> Vec<f64> {
        let (n, k) = (self.costs.len(), self.rate.len() / self.costs.len());
        let mut all = vec![0.0; n * k];
        for (j, a) in self.own.a.chunks_exact(n).enumerate() {
            for (i, (a, c)) in a.iter().zip(&self.costs).enumerate() {
                all[i * k + j] = c * a;
            }
        }
        all
    }

    /// c·a brought into the set, `[rows, n_classes]`.
    pub fn feasible(&self, shape: &FeasibleSet<'_>) -> Vec<f64> {
        let mut all = self.in_units();
        for (a, &c) in all.chunks_exact_mut(shape.n_classes).zip(&self.costs) {
            shape.loss.dual_clip(self.label, c, a);
        }
        all
    }

    /// Puts the dual variables to c·a, `[rows, n_classes]`.
    pub fn put(&mut self, a: &[f64]) {
        for (i, a) in a.chunks_exact(self.own.len() / self.costs.len()).enumerate() {
            self.places(i).zip(a).for_each(|(at, a)| self.own.a[at] = a / self.costs[i]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const K: usize = 4;
    const N: usize = 11;

    fn random(n: usize, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n).map(|_| rng.random_range(0.5..2.0)).collect()
    }

    fn point(shape: &FeasibleSet<'_>) -> InteriorPoint {
        let mut point = InteriorPoint::new(shape, 1, random(N, 1));
        let kept = random(N * shape.kept(), 2);
        point.read(&kept);
        if shape.loss.margins.differences() {
            point.own.clear(N..2 * N);
            if shape.hi.is_some() {
                point.upper.clear(N..2 * N);
            }
        }
        point.scores = random(N * K, 3);
        point
    }

    /// Θ of a row between its margins.
    fn theta(point: &InteriorPoint, i: usize) -> Vec<Vec<f64>> {
        let d: Vec<f64> = point.places(i).map(|at| point.rate[at]).collect();
        let (rho, total) = (point.coupling[i], d.iter().sum::<f64>());
        let of = |j: usize, l: usize| if j == l { d[j] } else { 0.0 } - rho / (1.0 + rho * total) * d[j] * d[l];
        (0..K).map(|j| (0..K).map(|l| of(j, l)).collect()).collect()
    }

    /// The row of A of a margin: G = Δ − A W.
    fn row_of_map(differences: bool, j: usize) -> [f64; K] {
        let mut row = [0.0; K];
        match (differences, j == 1) {
            (true, true) => {}
            (true, false) => (row[1], row[j]) = (1.0, -1.0),
            (false, own) => row[j] = if own { 1.0 } else { -1.0 },
        }
        row
    }

    #[test]
    fn numbers_of_blocks_and_right_hand_sides_are_those_of_the_matrices() {
        let losses = [
            Loss::weston_watkins(),
            Loss::weston_watkins().squared(),
            Loss::crammer_singer(),
            Loss::crammer_singer().squared(),
            Loss::one_vs_rest(),
            Loss::top_k(2).smoothing(0.5),
        ];
        for loss in &losses {
            let shape = FeasibleSet::new(loss, K);
            let (blocks, differences) = (FeasibleSet::blocks(loss), loss.margins.differences());
            let mut point = point(&shape);
            point.aim(&shape, 0.1);
            let numbers = point.numbers(&shape, blocks);
            let mut right = vec![0.0; N * K];
            point.right_hand_side(&shape, &mut right);
            for i in 0..N {
                let (theta, c) = (theta(&point, i), point.costs[i]);
                let map: Vec<[f64; K]> = (0..K).map(|j| row_of_map(differences, j)).collect();
                for k in 0..K {
                    for l in 0..=k {
                        let expected: f64 = (0..K * K)
                            .map(|at| (at / K, at % K))
                            .map(|(j, m)| c * map[j][k] * theta[j][m] * map[m][l])
                            .sum();
                        let found = match blocks {
                            BlockPattern::All => numbers[(k * (k + 1) / 2 + l) * N + i],
                            _ if k == l => numbers[k * N + i],
                            // Of two classes of which one is the label.
                            BlockPattern::Meeting if k == 1 || l == 1 => numbers[(K + k + l - 1) * N + i],
                            BlockPattern::Meeting | BlockPattern::Apart => 0.0,
                        };
                        assert!((found - expected).abs() < 1e-12, "{loss:?} {k} {l}: {found} {expected}");
                    }
                    let step = |j: usize| (0..K).map(|m| theta[j][m] * point.wanted[m * N + i]).sum::<f64>();
                    let expected: f64 = (0..K).map(|j| c * map[j][k] * (step(j) + point.own.a[j * N + i])).sum();
                    let found = right[k * N + i];
                    assert!((found - expected).abs() < 1e-12, "{loss:?} {k}: {found} {expected}");
                }
            }
        }
    }

    /// The order in which parts keep variables: rows with their classes, a with t, then b with ξ, then s with η of the rows.
    #[test]
    #[allow(clippy::cast_precision_loss)]
    fn variables_are_kept_row_after_row() {
        let loss = Loss::weston_watkins();
        let shape = FeasibleSet::new(&loss, K);
        let mut point = InteriorPoint::new(&shape, 1, random(N, 1));
        let kept: Vec<f64> = (0..N * shape.kept()).map(|at| at as f64).collect();
        point.read(&kept);
        let (class, row) = (2, 3);
        let first = (2 * (row * K + class)) as f64;
        assert_eq!(point.own.values(class * N + row), [first, first + 1.0]);
        let mut again = Vec::new();
        point.write(&mut again);
        assert_eq!(again, kept);
    }
}
