//! Loops over the rows of a part, on the vector units of the processor: one class after another, all rows of each.

// Index loops over slices of one length: iterators are not inlined into code compiled for an instruction set.
#![allow(clippy::needless_range_loop)]

use super::pairs::{ProductPairs, StepShares};
use super::{FeasibleSet, InteriorPoint};
use crate::kernel::{Work, vectorized};

/// Loops that change the variables of a part, or what is made of them.
struct PointSweep<'a> {
    point: &'a mut InteriorPoint,
    shape: &'a FeasibleSet<'a>,
    kind: PointSweepKind<'a>,
}

enum PointSweepKind<'a> {
    Aim { target: f64 },
    Answer { target: f64, shares: &'a mut StepShares },
}

impl Work for PointSweep<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { point, shape, kind } = self;
        match kind {
            PointSweepKind::Aim { target } => point.aimed(shape, target),
            PointSweepKind::Answer { target, shares } => point.answered(shape, target, shares),
        }
    }
}

/// Loops over all pairs of a part.
struct PairSweep<'a> {
    pairs: [&'a mut ProductPairs; 3],
    kind: PairSweepKind<'a>,
}

enum PairSweepKind<'a> {
    Correct { products: &'a mut [f64], seconds: &'a mut [f64] },
    Centre { target: f64, length: f64 },
    Take { length: f64 },
}

impl Work for PairSweep<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { pairs: [own, upper, sum], kind } = self;
        match kind {
            PairSweepKind::Correct { products, seconds } => {
                own.correct(products, seconds);
                upper.correct(products, seconds);
                sum.correct(products, seconds);
            }
            PairSweepKind::Centre { target, length } => {
                own.centre(target, length);
                upper.centre(target, length);
                sum.centre(target, length);
            }
            PairSweepKind::Take { length } => {
                own.take(length);
                upper.take(length);
                sum.take(length);
            }
        }
    }
}

/// β of the right-hand side.
struct CoefficientSweep<'a> {
    point: &'a InteriorPoint,
    shape: &'a FeasibleSet<'a>,
    out: &'a mut [f64],
}

impl Work for CoefficientSweep<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.point.coefficients(self.shape, self.out);
    }
}

impl InteriorPoint {
    /// Puts q and D to those of an aim.
    pub fn aim(&mut self, shape: &FeasibleSet<'_>, target: f64) {
        vectorized(PointSweep { point: self, shape, kind: PointSweepKind::Aim { target } });
    }

    /// c·β of `a + Θq`, the right-hand side, `[n_classes, rows]`.
    pub fn right_hand_side(&self, shape: &FeasibleSet<'_>, out: &mut [f64]) {
        vectorized(CoefficientSweep { point: self, shape, out });
    }

    /// The steps of all variables from those of the scores; returns how far they can be gone.
    pub fn answer(&mut self, shape: &FeasibleSet<'_>, target: f64) -> f64 {
        let mut shares = StepShares::new(self.costs.len());
        vectorized(PointSweep { point: self, shape, kind: PointSweepKind::Answer { target, shares: &mut shares } });
        if !shares.check.iter().all(|check| check.is_finite()) {
            return f64::NAN;
        }
        1.0 / shares.largest.into_iter().fold(0.0, f64::max)
    }

    /// Corrects the aim for the product of the steps, of second order; Σ c·(products), and Σ c·(those of the steps).
    pub fn correct(&mut self) -> [f64; 2] {
        let n = self.costs.len();
        let (mut products, mut seconds) = (vec![0.0; n], vec![0.0; n]);
        let kind = PairSweepKind::Correct { products: &mut products, seconds: &mut seconds };
        vectorized(PairSweep { pairs: self.pairs(), kind });
        [products, seconds].map(|rows| rows.iter().zip(&self.costs).map(|(row, c)| c * row).sum())
    }

    /// Σ c·(products)
    pub fn products(&self) -> f64 {
        let n = self.costs.len();
        let of = |pairs: &ProductPairs| {
            let all = pairs.a.iter().zip(&pairs.t).enumerate();
            all.map(|(at, (a, t))| self.costs[at % n] * a * t).sum::<f64>()
        };
        of(&self.own) + of(&self.upper) + of(&self.sum)
    }

    /// Corrections for products that are far off the aim after a step of this length.
    pub fn centre(&mut self, target: f64, length: f64) {
        vectorized(PairSweep { pairs: self.pairs(), kind: PairSweepKind::Centre { target, length } });
    }

    /// Makes a step of this length.
    pub fn take(&mut self, length: f64) {
        vectorized(PairSweep { pairs: self.pairs(), kind: PairSweepKind::Take { length } });
    }

    /// Whether classes of a row meet in Θ.
    fn is_coupled(&self, shape: &FeasibleSet<'_>) -> bool {
        shape.curvature_of_sum > 0.0 || !self.sum.is_empty()
    }

    /// Whether numbers of the class of the rows are left out, and whether they are counted the other way than those of other classes.
    #[inline(always)]
    fn is_left_out(&self, shape: &FeasibleSet<'_>, class: usize) -> bool {
        class == self.label && shape.loss.margins.differences()
    }

    /// Σa of each row.
    #[inline(always)]
    fn totals(&self, out: &mut [f64]) {
        let n = out.len();
        out.fill(0.0);
        let mut first = 0;
        while first < self.own.a.len() {
            let a = &self.own.a[first..first + n];
            for i in 0..n {
                out[i] += a[i];
            }
            first += n;
        }
    }

    /// The scores of the class of the rows where margins are differences, 0 elsewhere.
    #[inline(always)]
    fn own_scores(&self, shape: &FeasibleSet<'_>, scores: &[f64], out: &mut [f64]) {
        let n = out.len();
        if shape.loss.margins.differences() {
            out.copy_from_slice(&scores[self.label * n..(self.label + 1) * n]);
        } else {
            out.fill(0.0);
        }
    }

    #[inline(always)]
    fn aimed(&mut self, shape: &FeasibleSet<'_>, target: f64) {
        let (n, k) = (self.costs.len(), shape.n_classes);
        let (mut shared, mut own) = (vec![0.0; n], vec![0.0; n]);
        self.totals(&mut shared);
        self.own_scores(shape, &self.scores, &mut own);
        let (shared, own, coupling) = (&mut shared[..n], &own[..n], &mut self.coupling[..n]);
        let (rho, kappa) = (shape.curvature_of_sum, shape.curvature);
        if let Some(cap) = shape.cap {
            let (s, eta, extra) = (&self.sum.a[..n], &self.sum.t[..n], &self.sum.extra[..n]);
            for i in 0..n {
                let inverse = 1.0 / s[i];
                let (missing, short) = (target - s[i] * eta[i] + extra[i], cap - shared[i] - s[i]);
                coupling[i] = rho + eta[i] * inverse;
                shared[i] = rho * shared[i] + (eta[i] + (missing - eta[i] * short) * inverse);
            }
        } else {
            for i in 0..n {
                coupling[i] = rho;
                shared[i] *= rho;
            }
        }
        for j in 0..k {
            if self.is_left_out(shape, j) {
                continue;
            }
            let (at, margin) = (j * n..(j + 1) * n, shape.margin(self.label, j));
            let sign = if j == self.label { 1.0 } else { -1.0 };
            let (a, t, extra) = (&self.own.a[at.clone()], &self.own.t[at.clone()], &self.own.extra[at.clone()]);
            let (a, t, extra, scores) = (&a[..n], &t[..n], &extra[..n], &self.scores[at.clone()][..n]);
            let (wanted, rate) = (&mut self.wanted[at.clone()][..n], &mut self.rate[at.clone()][..n]);
            let Some(hi) = shape.hi else {
                for i in 0..n {
                    let inverse = 1.0 / a[i];
                    let slack = kappa * a[i] + shared[i] - (margin - (own[i] + sign * scores[i])) - t[i];
                    wanted[i] = (target - a[i] * t[i] + extra[i]) * inverse - slack;
                    rate[i] = 1.0 / (t[i] * inverse + kappa);
                }
                continue;
            };
            let (b, xi, other) = (&self.upper.a[at.clone()], &self.upper.t[at.clone()], &self.upper.extra[at]);
            let (b, xi, other) = (&b[..n], &xi[..n], &other[..n]);
            for i in 0..n {
                // One division does for both bounds.
                let inverse = 1.0 / (a[i] * b[i]);
                let (of_own, of_upper) = (b[i] * inverse, a[i] * inverse);
                let slack = kappa * a[i] + shared[i] - (margin - (own[i] + sign * scores[i])) - t[i];
                // ξ, which is in the slack, and the correction of its own equation.
                let missing = target - b[i] * xi[i] + other[i];
                let of_bound = (missing - xi[i] * (hi - a[i] - b[i])) * of_upper + xi[i];
                wanted[i] = (target - a[i] * t[i] + extra[i]) * of_own - (slack + of_bound);
                rate[i] = 1.0 / (t[i] * of_own + kappa + xi[i] * of_upper);
            }
        }
    }

    /// Θ p in the place of p `[n_classes, rows]`; returns the sum of each row, of which the sum of the numbers as they are rounded would have no digit left.
    #[inline(always)]
    fn apply(&self, shape: &FeasibleSet<'_>, p: &mut [f64]) -> Vec<f64> {
        let n = self.costs.len();
        let (mut dot, mut total, mut common) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        let (dot_of, total_of) = (&mut dot[..n], &mut total[..n]);
        let mut first = 0;
        while first < p.len() {
            let (p, d) = (&p[first..first + n], &self.rate[first..first + n]);
            for i in 0..n {
                dot_of[i] += d[i] * p[i];
                total_of[i] += d[i];
            }
            first += n;
        }
        let (common, rho) = (&mut common[..n], &self.coupling[..n]);
        let is_coupled = self.is_coupled(shape);
        if is_coupled {
            for i in 0..n {
                let whole = dot_of[i] / (1.0 + rho[i] * total_of[i]);
                common[i] = rho[i] * whole;
                dot_of[i] = whole;
            }
        }
        let mut rest = vec![0.0; n];
        let rest = &mut rest[..n];
        first = 0;
        while first < p.len() {
            let (p, d) = (&mut p[first..first + n], &self.rate[first..first + n]);
            for i in 0..n {
                p[i] = d[i] * (p[i] - common[i]);
                rest[i] += p[i];
            }
            first += n;
        }
        if !is_coupled {
            return dot;
        }
        // Rounding has left it to the rates to carry; the cap has no room for it.
        for i in 0..n {
            let off = (rest[i] - dot_of[i]) / total_of[i];
            rest[i] = if rho[i] > 0.0 { off } else { 0.0 };
        }
        first = 0;
        while first < p.len() {
            let (p, d) = (&mut p[first..first + n], &self.rate[first..first + n]);
            for i in 0..n {
                p[i] -= d[i] * rest[i];
            }
            first += n;
        }
        dot
    }

    #[inline(always)]
    fn coefficients(&self, shape: &FeasibleSet<'_>, out: &mut [f64]) {
        let n = self.costs.len();
        out.copy_from_slice(&self.wanted);
        let mut whole = self.apply(shape, out);
        let (whole, costs) = (&mut whole[..n], &self.costs[..n]);
        for j in 0..shape.n_classes {
            if self.is_left_out(shape, j) {
                continue;
            }
            let sign = if j == self.label { 1.0 } else { -1.0 };
            let (a, out) = (&self.own.a[j * n..(j + 1) * n], &mut out[j * n..(j + 1) * n]);
            for i in 0..n {
                whole[i] += a[i];
                out[i] = sign * costs[i] * (out[i] + a[i]);
            }
        }
        if shape.loss.margins.differences() {
            let out = &mut out[self.label * n..(self.label + 1) * n];
            for i in 0..n {
                out[i] = costs[i] * whole[i];
            }
        }
    }

    #[inline(always)]
    fn answered(&mut self, shape: &FeasibleSet<'_>, target: f64, shares: &mut StepShares) {
        let (n, mut p) = (self.costs.len(), std::mem::take(&mut self.steps));
        let mut own = vec![0.0; n];
        self.own_scores(shape, &p, &mut own);
        for j in 0..shape.n_classes {
            let p = &mut p[j * n..(j + 1) * n];
            if self.is_left_out(shape, j) {
                p.fill(0.0);
                continue;
            }
            let sign = if j == self.label { 1.0 } else { -1.0 };
            let wanted = &self.wanted[j * n..(j + 1) * n];
            for i in 0..n {
                p[i] = wanted[i] - (own[i] + sign * p[i]);
            }
        }
        let sums = self.apply(shape, &mut p);
        let mut steps = vec![0.0; n];
        let steps = &mut steps[..n];
        if let Some(cap) = shape.cap {
            self.totals(steps);
            let (s, sums) = (&self.sum.a[..n], &sums[..n]);
            for i in 0..n {
                steps[i] = cap - steps[i] - s[i] - sums[i];
            }
            self.sum.answer(0..n, steps, target, shares);
        }
        for j in 0..shape.n_classes {
            if self.is_left_out(shape, j) {
                continue;
            }
            let at = j * n..(j + 1) * n;
            let p = &p[at.clone()][..n];
            self.own.answer(at.clone(), p, target, shares);
            if let Some(hi) = shape.hi {
                let (a, b) = (&self.own.a[at.clone()][..n], &self.upper.a[at.clone()][..n]);
                for i in 0..n {
                    steps[i] = hi - a[i] - b[i] - p[i];
                }
                self.upper.answer(at, steps, target, shares);
            }
        }
        self.steps = p;
    }
}
