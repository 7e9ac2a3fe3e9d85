//! Pairs of numbers whose products go to μ.

use super::larger;
use std::ops::Range;

/// Products outside `[LEAST, MOST]` of the aim are brought back to it by a centrality corrector.
const LEAST: f64 = 0.1;
const MOST: f64 = 10.0;

/// Two numbers each whose product goes to μ, with their steps: columns of one length.
#[derive(Debug, Clone, Default)]
pub(super) struct ProductPairs {
    /// Of the dual side, a, b or s, and of the primal, t, ξ or η.
    pub a: Vec<f64>,
    pub t: Vec<f64>,
    da: Vec<f64>,
    dt: Vec<f64>,
    /// Correction added to the target of the product.
    pub extra: Vec<f64>,
}

/// Ways that some pairs can go, of each row.
pub(super) struct StepShares {
    /// The largest of the shares `−δa/a` and `−δt/t` that a whole step takes away, or 0.
    pub largest: Vec<f64>,
    /// A number unless one of the steps is none.
    pub check: Vec<f64>,
}

impl StepShares {
    pub fn new(rows: usize) -> Self {
        Self { largest: vec![0.0; rows], check: vec![0.0; rows] }
    }
}

impl ProductPairs {
    /// So many of one kind.
    pub fn new(a: f64, t: f64, count: usize) -> Self {
        let zeros = || vec![0.0; count];
        Self { a: vec![a; count], t: vec![t; count], da: zeros(), dt: zeros(), extra: zeros() }
    }

    pub const fn len(&self) -> usize {
        self.a.len()
    }

    pub const fn is_empty(&self) -> bool {
        self.a.is_empty()
    }

    /// Puts some of them to 0.
    pub fn clear(&mut self, at: Range<usize>) {
        self.a[at.clone()].fill(0.0);
        self.t[at].fill(0.0);
    }

    /// Both numbers of one of them.
    pub fn values(&self, at: usize) -> [f64; 2] {
        [self.a[at], self.t[at]]
    }

    /// Puts those at some places to numbers that were kept.
    pub fn read(&mut self, places: impl Iterator<Item = usize>, kept: &[f64]) {
        for (at, kept) in places.zip(kept.chunks_exact(2)) {
            (self.a[at], self.t[at]) = (kept[0], kept[1]);
        }
        for steps in [&mut self.da, &mut self.dt, &mut self.extra] {
            steps.fill(0.0);
        }
    }

    /// Takes the corrections back.
    pub fn plain(&mut self) {
        self.extra.fill(0.0);
    }

    /// The steps of t where those of a are given, of the rows of one column.
    #[inline(always)]
    pub fn answer(&mut self, at: Range<usize>, steps: &[f64], target: f64, shares: &mut StepShares) {
        let n = at.len();
        let (a, t, extra) = (&self.a[at.clone()][..n], &self.t[at.clone()][..n], &self.extra[at.clone()][..n]);
        let (da, dt, steps) = (&mut self.da[at.clone()][..n], &mut self.dt[at][..n], &steps[..n]);
        let (largest, check) = (&mut shares.largest[..n], &mut shares.check[..n]);
        for i in 0..n {
            // One division does for three quotients.
            let inverse = 1.0 / (a[i] * t[i]);
            let missing = target - a[i] * t[i] + extra[i];
            da[i] = steps[i];
            dt[i] = (missing - t[i] * steps[i]) * t[i] * inverse;
            let (of_a, of_t) = (-da[i] * t[i] * inverse, -dt[i] * a[i] * inverse);
            largest[i] = larger(larger(of_a, of_t), largest[i]);
            check[i] += da[i] + dt[i];
        }
    }

    /// Corrects the aim for the product of the steps; adds the products of each row, and those of its steps.
    #[inline(always)]
    pub fn correct(&mut self, products: &mut [f64], seconds: &mut [f64]) {
        let (n, mut first) = (products.len(), 0);
        while first < self.a.len() {
            let at = first..first + n;
            let (a, t) = (&self.a[at.clone()][..n], &self.t[at.clone()][..n]);
            let (da, dt, extra) = (&self.da[at.clone()][..n], &self.dt[at.clone()][..n], &mut self.extra[at][..n]);
            let (products, seconds) = (&mut products[..n], &mut seconds[..n]);
            for i in 0..n {
                extra[i] = -da[i] * dt[i];
                products[i] += a[i] * t[i];
                seconds[i] -= extra[i];
            }
            first += n;
        }
    }

    /// Corrections that bring products far off the target after a step of this length back towards it. Pairs of zeros need none.
    #[inline(always)]
    pub fn centre(&mut self, target: f64, length: f64) {
        let n = self.a.len();
        let (a, t, da, dt) = (&self.a[..n], &self.t[..n], &self.da[..n], &self.dt[..n]);
        let extra = &mut self.extra[..n];
        for i in 0..n {
            let product = (a[i] + length * da[i]) * (t[i] + length * dt[i]);
            let inside = larger(product, LEAST * target);
            let inside = if inside < MOST * target { inside } else { MOST * target };
            let centring = larger(inside - product, -MOST * target);
            extra[i] += if a[i] > 0.0 { centring } else { 0.0 };
        }
    }

    /// Makes a step of this length.
    #[inline(always)]
    pub fn take(&mut self, length: f64) {
        let n = self.a.len();
        let (a, t, da, dt) = (&mut self.a[..n], &mut self.t[..n], &self.da[..n], &self.dt[..n]);
        for i in 0..n {
            a[i] += length * da[i];
            t[i] += length * dt[i];
        }
    }
}
