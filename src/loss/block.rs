//! The maximiser over the block of one sample: the one piece of arithmetic that all difference losses share.
//!
//! `a_j = clip((v_j − t)/r, 0, hi)` with `t = κ·Σa` where that keeps `Σa ≤ cap`, else the t with `Σa = cap`.

// Index loops over slices of one length: iterators are not inlined into code compiled for an instruction set.
#![allow(clippy::needless_range_loop)]

use pulp::Simd;

/// Numbers that are worked on together; scratch space is padded to a multiple of it.
pub(super) const LANES: usize = 8;

/// The shape of the feasible block and of its curvature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct FeasibleBlock {
    pub r: f64,
    pub kappa: f64,
    pub hi: f64,
    pub cap: f64,
}

/// `Σ_j clip((v_j − t)/r, 0, hi)` and its slope −m/r, as (sum, number of coordinates strictly inside).
#[inline(always)]
fn total<S: Simd>(simd: S, v: &[S::f64s], t: f64, rate: f64, hi: f64) -> (f64, f64) {
    let (zero, one) = (simd.splat_f64s(0.0), simd.splat_f64s(1.0));
    let (t, rate, hi) = (simd.splat_f64s(t), simd.splat_f64s(rate), simd.splat_f64s(hi));
    let (mut sums, mut inside) = (zero, zero);
    for l in 0..v.len() {
        let z = simd.mul_f64s(simd.sub_f64s(v[l], t), rate);
        let a = simd.max_f64s(simd.min_f64s(z, hi), zero);
        sums = simd.add_f64s(sums, a);
        // Strictly inside are the values that clipping leaves unchanged, but for the ends.
        let at_end = simd.or_m64s(simd.equal_f64s(a, zero), simd.equal_f64s(a, hi));
        inside = simd.add_f64s(inside, simd.select_f64s(at_end, zero, one));
    }
    (simd.reduce_sum_f64s(sums), simd.reduce_sum_f64s(inside))
}

impl FeasibleBlock {
    /// Estimate of the root, if the same coordinates are inside and at their bound as before: from the sum of v of those inside,
    /// their number, and the sum `full` of those at their bound; `sum` is that of all old variables.
    #[inline(always)]
    pub fn guess(self, sum: f64, inside: f64, count: f64, full: f64) -> f64 {
        const ROUNDING: f64 = 1e-9;
        let Self { r, kappa, cap, .. } = self;
        if sum >= cap * (1.0 - ROUNDING) {
            (inside + r * (full - cap)) / count
        } else {
            kappa * (inside + r * full) / (r + kappa * count)
        }
    }
}

/// The t of the maximiser, between 0 and `high`, the largest v: the root of κ·Σa(t) − t up to t = κ·cap, of Σa(t) − cap beyond. Where
/// the cap is finite κ is 1, so that this is one falling function of pieces that are linear. Newton's method from `start`, exact once it is on the root's piece, with a
/// bisection wherever it would leave the bracket or come back to one of its ends (it can run in circles between two pieces).
#[inline(always)]
fn root<S: Simd>(simd: S, v: &[S::f64s], block: FeasibleBlock, mut high: f64, start: f64) -> f64 {
    const ROUNDING: f64 = 4.0 * f64::EPSILON;
    let (rate, limit) = (1.0 / block.r, block.kappa * block.cap);
    let mut low = 0.0;
    let mut t = if start > low && start < high {
        start
    } else if limit < high {
        limit
    } else {
        low
    };
    // Each bisection halves the bracket, so that 2,200 steps would do for any two doubles; a handful is usual.
    for _ in 0..2200 {
        let (sum, inside) = total(simd, v, t, rate, block.hi);
        let (value, fall) = if t > limit {
            (sum - block.cap, inside * rate)
        } else {
            (block.kappa * sum - t, block.kappa * inside * rate + 1.0)
        };
        if value > 0.0 {
            low = t;
        } else {
            high = t;
        }
        let newton = if fall > 0.0 { t + value / fall } else { f64::NAN };
        if value == 0.0 || (newton - t).abs() <= ROUNDING * t.abs() || high - low <= ROUNDING * high {
            break;
        }
        t = if newton > low && newton < high { newton } else { f64::midpoint(low, high) };
    }
    t
}

/// Writes the maximiser over the block to `a`, padded as `v`; the label's v, and whatever pads `v`, is −∞. The search starts at
/// `guess`.
#[inline(always)]
pub(super) fn project<S: Simd>(simd: S, v: &[f64], block: FeasibleBlock, guess: f64, a: &mut [f64]) {
    let a = S::as_mut_simd_f64s(a).0;
    let n = a.len();
    let v = &S::as_simd_f64s(v).0[..n];
    let zero = simd.splat_f64s(0.0);
    let mut tops = zero;
    for l in 0..v.len() {
        tops = simd.max_f64s(tops, v[l]);
    }
    let top = simd.reduce_max_f64s(tops);
    if top <= 0.0 {
        a.fill(zero);
        return;
    }
    let t = simd.splat_f64s(root(simd, v, block, top, guess));
    let (rate, hi) = (simd.splat_f64s(1.0 / block.r), simd.splat_f64s(block.hi));
    for l in 0..n {
        let z = simd.mul_f64s(simd.sub_f64s(v[l], t), rate);
        a[l] = simd.max_f64s(simd.min_f64s(z, hi), zero);
    }
}

/// An element of the generalised Jacobian ∂a/∂v of the maximiser: `rate·(I_S − coupling·1_S 1_Sᵀ)`, S the coordinates strictly between 0 and
/// hi; symmetric and positive semidefinite. G = q·v, so that ∂a/∂G is this divided by q.
///
/// With a_j = (v_j − t)/r, ∂t/∂v_j is 1/|S| for j in S where Σa = cap, and κ/(r + κ|S|) where t = κ·Σa.
#[derive(Debug, Clone, PartialEq)]
pub struct Jacobian {
    /// S
    pub inside: Vec<bool>,
    /// 1/r
    pub rate: f64,
    /// ∂t/∂v_j of every j in S.
    pub coupling: f64,
}

impl Jacobian {
    /// At a maximiser `a`.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn at(block: FeasibleBlock, a: &[f64]) -> Self {
        const ROUNDING: f64 = 1e-12;
        let FeasibleBlock { r, kappa, hi, cap } = block;
        let inside: Vec<bool> = a.iter().map(|&a| a > 0.0 && a < hi).collect();
        let count = inside.iter().filter(|&&inside| inside).count() as f64;
        let full = a.iter().sum::<f64>() >= cap * (1.0 - ROUNDING);
        let coupling = if full { 1.0 / count.max(1.0) } else { kappa / (r + kappa * count) };
        Self { inside, rate: 1.0 / r, coupling }
    }

    /// The product with a vector, in its place.
    pub fn apply(&self, x: &mut [f64]) {
        x.iter_mut().zip(&self.inside).for_each(|(x, &inside)| *x *= f64::from(u8::from(inside)));
        let shared = self.coupling * x.iter().sum::<f64>();
        x.iter_mut().zip(&self.inside).filter(|(_, inside)| **inside).for_each(|(x, _)| *x = self.rate * (*x - shared));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newton_does_not_run_in_circles_between_two_pieces() {
        // Far more classes at their bound than inside: every piece points to the other.
        let block = FeasibleBlock { r: 1.0, kappa: 1.0, hi: 0.1, cap: f64::INFINITY };
        for shift in 0..200 {
            let v: Vec<f64> = (0..11).map(|j| 0.02 * f64::from((j * 7 + shift) % 13) + 0.3).collect();
            let padded: Vec<f64> = v.iter().copied().chain([f64::NEG_INFINITY; 5]).collect();
            let mut a = vec![0.0; padded.len()];
            project(pulp::Scalar::new(), &padded, block, 0.0, &mut a);
            let t: f64 = a.iter().sum();
            for (a, v) in a.iter().zip(&v) {
                assert!((a - (v - t).clamp(0.0, 0.1)).abs() < 1e-14, "{v} {a} {t}");
            }
        }
    }
}
