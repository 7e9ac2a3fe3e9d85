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

use super::system::BlockPattern;
use crate::loss::Loss;

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

/// Two numbers whose product goes to μ, with their steps.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ProductPair {
    /// Of the dual side, a, b or s, and of the primal, t, ξ or η.
    pub a: f64,
    t: f64,
    da: f64,
    dt: f64,
    /// Correction added to the target of the product.
    extra: f64,
}

/// Products outside `[LEAST, MOST]` of the aim are brought back to it by a centrality corrector.
const LEAST: f64 = 0.1;
const MOST: f64 = 10.0;

impl ProductPair {
    const fn new(a: f64, t: f64) -> Self {
        Self { a, t, da: 0.0, dt: 0.0, extra: 0.0 }
    }

    /// Residual of a·t.
    fn missing(&self, target: f64) -> f64 {
        target - self.a * self.t + self.extra
    }

    /// The step of t where that of a is given; the larger of the shares `−δa/a` and `−δt/t` that a whole step takes away, or 0.
    #[inline(always)]
    fn answer(&mut self, da: f64, target: f64) -> f64 {
        // One division does for three quotients.
        let inverse = 1.0 / (self.a * self.t);
        let dt = (self.missing(target) - self.t * da) * self.t * inverse;
        (self.da, self.dt) = (da, dt);
        let (of_a, of_t) = (-da * self.t * inverse, -dt * self.a * inverse);
        larger(of_a, of_t)
    }

    /// Correction that brings the product after a step of this length back towards the target.
    fn centring(&self, target: f64, length: f64) -> f64 {
        let product = self.product(length);
        (product.max(LEAST * target).min(MOST * target) - product).max(-MOST * target)
    }

    fn product(&self, length: f64) -> f64 {
        (self.a + length * self.da) * (self.t + length * self.dt)
    }

    fn take(&mut self, length: f64) {
        self.a += length * self.da;
        self.t += length * self.dt;
    }
}

/// The larger of two numbers; the second where the first is no number.
#[inline(always)]
pub(super) fn larger(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

/// The variables of a part.
#[derive(Clone)]
pub(super) struct InteriorPoint {
    pub label: usize,
    /// c of each row.
    pub costs: Vec<f64>,
    /// `[rows, n_classes]`: a with t, b with ξ (none without a bound), and of a row s with η (none without a cap).
    pub own: Vec<ProductPair>,
    upper: Vec<ProductPair>,
    sum: Vec<ProductPair>,
    /// Scores at W, `[rows, n_classes]`.
    pub scores: Vec<f64>,
    /// Of δW.
    pub steps: Vec<f64>,
    /// q and D.
    wanted: Vec<f64>,
    pub rate: Vec<f64>,
    /// ρ of each row.
    pub coupling: Vec<f64>,
    /// The centre of a proximal step, `[rows, n_classes]`.
    pub centre: Vec<f64>,
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
        let mut own = vec![ProductPair::new(middle, t); n * k];
        let mut upper = shape.hi.map_or_else(Vec::new, |hi| vec![ProductPair::new(hi - middle, t); n * k]);
        if shape.loss.margins.differences() {
            own.chunks_exact_mut(k)
                .chain(upper.chunks_exact_mut(k))
                .for_each(|row| row[label] = ProductPair::default());
        }
        let sum = shape.cap.map_or_else(Vec::new, |cap| vec![ProductPair::new(cap - charged as f64 * middle, t); n]);
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
    pub fn charged(&self, shape: &FeasibleSet<'_>) -> impl Iterator<Item = usize> + Clone + use<> {
        let own = shape.loss.margins.differences().then_some(self.label);
        (0..shape.n_classes).filter(move |&j| Some(j) != own)
    }

    /// Residual of s = cap − Σa.
    fn short(&self, shape: &FeasibleSet<'_>, i: usize, total: f64) -> f64 {
        shape.cap.map_or(0.0, |cap| cap - total - self.sum[i].a)
    }

    /// Puts q and D to those of an aim.
    pub fn aim(&mut self, shape: &FeasibleSet<'_>, target: f64) {
        let k = shape.n_classes;
        let margins = &shape.margins[self.label * k..(self.label + 1) * k];
        for i in 0..self.costs.len() {
            let row = i * k..(i + 1) * k;
            let total: f64 = self.own[row.clone()].iter().map(|pair| pair.a).sum();
            let mut shared = shape.curvature_of_sum * total;
            self.coupling[i] = shape.curvature_of_sum + self.sum.get(i).map_or(0.0, |pair| pair.t / pair.a);
            if let Some(pair) = self.sum.get(i) {
                shared += pair.t + (pair.missing(target) - pair.t * self.short(shape, i, total)) / pair.a;
            }
            let (scores, differences) = (&self.scores[row.clone()], shape.loss.margins.differences());
            let own = if differences { scores[self.label] } else { 0.0 };
            let upper = self.upper.get(row.clone()).zip(shape.hi);
            let out = self.wanted[row.clone()].iter_mut().zip(&mut self.rate[row.clone()]);
            for (j, ((pair, (margin, score)), (wanted, rate))) in
                self.own[row].iter().zip(margins.iter().zip(scores)).zip(out).enumerate()
            {
                let is_own = j == self.label;
                if is_own && differences {
                    continue;
                }
                let signed = if is_own { *score } else { own - score };
                let slack = shape.curvature * pair.a + shared - (margin - signed) - pair.t;
                let Some((upper, hi)) = upper else {
                    let inverse = 1.0 / pair.a;
                    *wanted = pair.missing(target) * inverse - slack;
                    *rate = 1.0 / (pair.t * inverse + shape.curvature);
                    continue;
                };
                // One division does for both bounds.
                let (upper, inverse) = (&upper[j], 1.0 / (pair.a * upper[j].a));
                let (of_own, of_upper) = (upper.a * inverse, pair.a * inverse);
                // ξ, which is in the slack, and the correction of its own equation.
                let of_bound = (upper.missing(target) - upper.t * (hi - pair.a - upper.a)) * of_upper + upper.t;
                *wanted = pair.missing(target) * of_own - (slack + of_bound);
                *rate = 1.0 / (pair.t * of_own + shape.curvature + upper.t * of_upper);
            }
        }
    }

    /// Θ p of a row, in the place of p; returns its sum, of which the sum of the numbers as they are rounded would have no digit left.
    fn apply(&self, shape: &FeasibleSet<'_>, i: usize, p: &mut [f64]) -> f64 {
        let rate = &self.rate[i * shape.n_classes..(i + 1) * shape.n_classes];
        let rho = self.coupling[i];
        let (dot, sum) = p.iter().zip(rate).fold((0.0, 0.0), |(dot, sum), (p, d)| (dot + d * p, sum + d));
        let common = if rho > 0.0 { rho * dot / (1.0 + rho * sum) } else { 0.0 };
        p.iter_mut().zip(rate).for_each(|(p, d)| *p = d * (*p - common));
        let whole = dot / (1.0 + rho * sum);
        if rho > 0.0 {
            // Rounding has left it to the rates to carry; the cap has no room for it.
            let off = (p.iter().sum::<f64>() - whole) / sum;
            p.iter_mut().zip(rate).for_each(|(p, d)| *p -= d * off);
        }
        whole
    }

    /// c·β of `a + Θq`, the right-hand side, `[rows, n_classes]`.
    pub fn right_hand_side(&self, shape: &FeasibleSet<'_>, out: &mut [f64]) {
        let k = shape.n_classes;
        let mut values = vec![0.0; k];
        for (i, out) in out.chunks_exact_mut(k).enumerate() {
            values.copy_from_slice(&self.wanted[i * k..(i + 1) * k]);
            let sum = self.apply(shape, i, &mut values);
            values.iter_mut().zip(&self.own[i * k..]).for_each(|(v, pair)| *v = self.costs[i] * (*v + pair.a));
            shape.loss.dual_coefficients(self.label, &values, out);
            if shape.loss.margins.differences() {
                out[self.label] =
                    self.costs[i] * (sum + self.own[i * k..(i + 1) * k].iter().map(|pair| pair.a).sum::<f64>());
            }
        }
    }

    /// The numbers m of each block, `[blocks][rows]`.
    pub fn numbers(&self, shape: &FeasibleSet<'_>, blocks: BlockPattern) -> Vec<f64> {
        let (n, k, y) = (self.costs.len(), shape.n_classes, self.label);
        let mut out = vec![0.0; blocks.count(k) * n];
        for i in 0..n {
            let (d, c) = (&self.rate[i * k..(i + 1) * k], self.costs[i]);
            let total: f64 = d.iter().sum();
            match blocks {
                BlockPattern::Apart => (0..k).for_each(|j| out[j * n + i] = c * d[j]),
                BlockPattern::Meeting => {
                    for j in 0..k {
                        out[j * n + i] = c * if j == y { total } else { d[j] };
                        out[(k + j) * n + i] = if j == y { 0.0 } else { -c * d[j] };
                    }
                }
                BlockPattern::All => {
                    // Without differences: where the sum is at its cap, they would lose the remaining digits of Θ.
                    let rho = self.coupling[i];
                    let whole = 1.0 + rho * total;
                    for j in 0..k {
                        for l in 0..=j {
                            let number = match (j == y, l == y) {
                                (true, true) => total / whole,
                                (true, false) => -d[l] / whole,
                                (false, true) => -d[j] / whole,
                                (false, false) if j == l => {
                                    let others: f64 = d[..j].iter().chain(&d[j + 1..]).sum();
                                    d[j] * (1.0 + rho * others) / whole
                                }
                                (false, false) => -rho * d[j] * d[l] / whole,
                            };
                            out[(j * (j + 1) / 2 + l) * n + i] = c * number;
                        }
                    }
                }
            }
        }
        out
    }

    /// The steps of all variables from those of the scores; returns how far they can be gone.
    pub fn answer(&mut self, shape: &FeasibleSet<'_>, target: f64) -> f64 {
        let (k, differences) = (shape.n_classes, shape.loss.margins.differences());
        let (mut p, mut largest) = (vec![0.0; k], 0.0f64);
        for i in 0..self.costs.len() {
            let row = i * k..(i + 1) * k;
            let (steps, wanted) = (&self.steps[row.clone()], &self.wanted[row.clone()]);
            let own = if differences { steps[self.label] } else { 0.0 };
            p.iter_mut().zip(wanted).zip(steps).for_each(|((p, wanted), step)| *p = wanted - (own - step));
            p[self.label] = if differences { 0.0 } else { wanted[self.label] - steps[self.label] };
            let sum = self.apply(shape, i, &mut p);
            if !p.iter().all(|p| p.is_finite()) {
                return f64::NAN;
            }
            if !self.sum.is_empty() {
                let total: f64 = self.own[row.clone()].iter().map(|pair| pair.a).sum();
                let short = self.short(shape, i, total);
                largest = larger(self.sum[i].answer(short - sum, target), largest);
            }
            let mut upper = self.upper.get_mut(row.clone()).zip(shape.hi);
            let mut sum_of_steps = 0.0;
            for (j, (pair, &da)) in self.own[row].iter_mut().zip(&p).enumerate() {
                if differences && j == self.label {
                    continue;
                }
                largest = larger(pair.answer(da, target), largest);
                sum_of_steps += pair.dt;
                if let Some((upper, hi)) = &mut upper {
                    let upper = &mut upper[j];
                    largest = larger(upper.answer(*hi - pair.a - upper.a - da, target), largest);
                    sum_of_steps += upper.dt;
                }
            }
            if !sum_of_steps.is_finite() {
                return f64::NAN;
            }
        }
        1.0 / largest
    }

    /// Σ c·(number of products)
    #[allow(clippy::cast_precision_loss)]
    pub fn count(&self, shape: &FeasibleSet<'_>) -> f64 {
        let charged = shape.n_classes - usize::from(shape.loss.margins.differences());
        let pairs = charged * if shape.hi.is_some() { 2 } else { 1 } + usize::from(shape.cap.is_some());
        self.costs.iter().map(|c| c * pairs as f64).sum()
    }

    /// Σ c·(products)
    pub fn products(&self) -> f64 {
        let (k, mut sum) = (self.own.len() / self.costs.len(), 0.0);
        for (i, c) in self.costs.iter().enumerate() {
            let row = i * k..(i + 1) * k;
            let of = |pairs: &[ProductPair]| pairs.iter().map(|pair| pair.a * pair.t).sum::<f64>();
            let upper = self.upper.get(row.clone()).map_or(0.0, of);
            sum += c * (of(&self.own[row]) + upper + self.sum.get(i).map_or(0.0, |pair| pair.a * pair.t));
        }
        sum
    }

    /// Σ c·ℓ at scores `[rows, n_classes]`.
    pub fn loss(&self, shape: &FeasibleSet<'_>, scores: &[f64]) -> f64 {
        let loss = shape.loss;
        let row = |(scores, c): (&[f64], &f64)| c * loss.set.value(loss.margins.of_row(scores, self.label));
        scores.chunks_exact(shape.n_classes).zip(&self.costs).map(row).sum::<f64>()
    }

    /// Adds the variables to those that are kept, [`FeasibleSet::kept`] a row.
    pub fn write(&self, out: &mut Vec<f64>) {
        let pairs = self.own.iter().chain(&self.upper).chain(&self.sum);
        out.extend(pairs.flat_map(|pair| [pair.a, pair.t]));
    }

    /// Puts the variables to those that were kept.
    pub fn read(&mut self, kept: &[f64]) {
        self.pairs().zip(kept.chunks_exact(2)).for_each(|(pair, kept)| *pair = ProductPair::new(kept[0], kept[1]));
    }

    fn pairs(&mut self) -> impl Iterator<Item = &mut ProductPair> {
        self.own.iter_mut().chain(&mut self.upper).chain(&mut self.sum)
    }

    /// Aims the next step at the products themselves.
    pub fn plain(&mut self) {
        self.pairs().for_each(|pair| pair.extra = 0.0);
    }

    /// Corrects the aim for the product of the steps, of second order; Σ c·(products), and Σ c·(those of the steps).
    pub fn correct(&mut self) -> [f64; 2] {
        let (k, mut sums) = (self.own.len() / self.costs.len(), [0.0; 2]);
        for (i, c) in self.costs.iter().enumerate() {
            let mut row = [0.0; 2];
            let mut correct = |pairs: &mut [ProductPair]| {
                for pair in pairs {
                    pair.extra = -pair.da * pair.dt;
                    row[0] += pair.a * pair.t;
                    row[1] -= pair.extra;
                }
            };
            correct(&mut self.own[i * k..(i + 1) * k]);
            for pairs in [self.upper.get_mut(i * k..(i + 1) * k), self.sum.get_mut(i..=i)].into_iter().flatten() {
                correct(pairs);
            }
            sums.iter_mut().zip(row).for_each(|(sum, row)| *sum += c * row);
        }
        sums
    }

    /// Corrections for products that are far off the aim after a step of this length. A class without a margin has none.
    pub fn centre(&mut self, target: f64, length: f64) {
        self.pairs().filter(|pair| pair.a > 0.0).for_each(|pair| pair.extra += pair.centring(target, length));
    }

    /// Makes a step of this length.
    pub fn take(&mut self, length: f64) {
        self.pairs().for_each(|pair| pair.take(length));
    }

    /// c·a, `[rows, n_classes]`.
    pub fn in_units(&self) -> Vec<f64> {
        let k = self.own.len() / self.costs.len();
        self.own.iter().enumerate().map(|(at, pair)| self.costs[at / k] * pair.a).collect()
    }

    /// c·a brought into the set, `[rows, n_classes]`.
    pub fn feasible(&self, shape: &FeasibleSet<'_>) -> Vec<f64> {
        let mut all = self.in_units();
        for (a, &c) in all.chunks_exact_mut(shape.n_classes).zip(&self.costs) {
            shape.loss.dual_clip(self.label, c, a);
        }
        all
    }

    /// Puts the dual variables to c·a.
    pub fn put(&mut self, a: &[f64]) {
        let k = self.own.len() / self.costs.len();
        self.own.iter_mut().zip(a).enumerate().for_each(|(at, (pair, a))| pair.a = a / self.costs[at / k]);
    }
}
