//! The maximiser over the block of one sample: the one piece of arithmetic that all difference losses share.
//!
//! `a_j = clip((v_j − t)/r, 0, hi)` with `t = κ·Σa` where that keeps `Σa ≤ cap`, else the t with `Σa = cap`.

use pulp::Simd;

/// Numbers that are worked on together; scratch space is padded to a multiple of it.
pub(super) const LANES: usize = 8;

/// The shape of the feasible block and of its curvature.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Block {
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
    for &v in v {
        let z = simd.mul_f64s(simd.sub_f64s(v, t), rate);
        let a = simd.max_f64s(simd.min_f64s(z, hi), zero);
        sums = simd.add_f64s(sums, a);
        // Strictly inside is what clipping leaves as it was, but for the ends.
        let at_end = simd.or_m64s(simd.equal_f64s(a, zero), simd.equal_f64s(a, hi));
        inside = simd.add_f64s(inside, simd.select_f64s(at_end, zero, one));
    }
    (simd.reduce_sum_f64s(sums), simd.reduce_sum_f64s(inside))
}

/// The root of κ·Σa(t) − t, or of Σa(t) − cap where the cap binds, between `low`, where it is positive, and `high`, where it is
/// not: Newton's method from `start`, exact once it is on the root's piece of the piecewise linear function, with a bisection
/// wherever it would leave the bracket or come back to one of its ends (it can run in circles between two pieces).
#[inline(always)]
fn root<S: Simd>(
    simd: S,
    v: &[S::f64s],
    block: Block,
    capped: bool,
    (mut low, mut high): (f64, f64),
    start: f64,
) -> f64 {
    const ROUNDING: f64 = 4.0 * f64::EPSILON;
    let rate = 1.0 / block.r;
    let mut t = if start > low && start < high { start } else { low };
    // Each bisection halves the bracket, so that 2,200 steps would do for any two doubles; a handful is usual.
    for _ in 0..2200 {
        let (sum, inside) = total(simd, v, t, rate, block.hi);
        let (value, fall) = if capped {
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
        if (newton - t).abs() <= ROUNDING * t.abs() || high - low <= ROUNDING * high {
            break;
        }
        t = if newton > low && newton < high { newton } else { f64::midpoint(low, high) };
    }
    t
}

/// Writes the maximiser over the block to `a`, padded as `v`; the label's v, and whatever pads `v`, is −∞. `sum` is that of the
/// old variables: where the search starts.
#[inline(always)]
pub(super) fn project<S: Simd>(simd: S, v: &[f64], block: Block, sum: f64, a: &mut [f64]) {
    let (v, a) = (S::as_simd_f64s(v).0, S::as_mut_simd_f64s(a).0);
    let zero = simd.splat_f64s(0.0);
    let mut tops = zero;
    for &v in v {
        tops = simd.max_f64s(tops, v);
    }
    let top = simd.reduce_max_f64s(tops);
    if top <= 0.0 {
        a.fill(zero);
        return;
    }
    let rate = 1.0 / block.r;
    // κ·Σa(t) − t falls from a positive value at 0 to −top at the largest v; where it is still positive at t = κ·cap, the cap
    // binds.
    let limit = block.kappa * block.cap;
    let capped = limit < top && total(simd, v, limit, rate, block.hi).0 >= block.cap;
    let (low, start) = if capped { (limit, limit) } else { (0.0, block.kappa * sum) };
    let t = simd.splat_f64s(root(simd, v, block, capped, (low, top), start));
    let (rate, hi) = (simd.splat_f64s(rate), simd.splat_f64s(block.hi));
    for (a, &v) in a.iter_mut().zip(v) {
        let z = simd.mul_f64s(simd.sub_f64s(v, t), rate);
        *a = simd.max_f64s(simd.min_f64s(z, hi), zero);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newton_does_not_run_in_circles_between_two_pieces() {
        // Far more classes at their bound than inside: every piece points to the other.
        let block = Block { r: 1.0, kappa: 1.0, hi: 0.1, cap: f64::INFINITY };
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
