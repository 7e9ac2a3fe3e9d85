//! The maximiser over the block of one sample: the one piece of arithmetic that all difference losses share.
//!
//! `a_j = clip((v_j − t)/r, 0, hi)` with `t = κ·Σa` where that keeps `Σa ≤ cap`, else the t with `Σa = cap`.

// Index loops over slices of one length: what the compiler turns into vectors.
#![allow(clippy::needless_range_loop)]

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
fn total(v: &[[f64; LANES]], t: f64, rate: f64, hi: f64) -> (f64, f64) {
    let (mut sums, mut inside) = ([0.0; LANES], [0.0; LANES]);
    for v in v {
        for l in 0..LANES {
            let z = (v[l] - t) * rate;
            let a = if z < hi { z } else { hi };
            sums[l] += if a > 0.0 { a } else { 0.0 };
            inside[l] += if z > 0.0 && z < hi { 1.0 } else { 0.0 };
        }
    }
    let (mut sum, mut count) = (0.0, 0.0);
    for l in 0..LANES {
        sum += sums[l];
        count += inside[l];
    }
    (sum, count)
}

/// The root of κ·Σa(t) − t, or of Σa(t) − cap where the cap binds, between `low`, where it is positive, and `high`, where it is
/// not: Newton's method from `start`, exact once it is on the root's piece of the piecewise linear function, with a bisection
/// wherever it would leave the bracket or come back to one of its ends (it can run in circles between two pieces).
#[inline(always)]
fn root(v: &[[f64; LANES]], block: Block, capped: bool, (mut low, mut high): (f64, f64), start: f64) -> f64 {
    const ROUNDING: f64 = 4.0 * f64::EPSILON;
    let rate = 1.0 / block.r;
    let mut t = if start > low && start < high { start } else { low };
    // Each bisection halves the bracket, so that 2,200 steps would do for any two doubles; a handful is usual.
    for _ in 0..2200 {
        let (sum, inside) = total(v, t, rate, block.hi);
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
pub(super) fn project(v: &[f64], block: Block, sum: f64, a: &mut [f64]) {
    let (v, _) = v.as_chunks::<LANES>();
    let (a, _) = a.as_chunks_mut::<LANES>();
    let a = &mut a[..v.len()];
    let mut tops = [f64::NEG_INFINITY; LANES];
    for v in v {
        for l in 0..LANES {
            tops[l] = if v[l] > tops[l] { v[l] } else { tops[l] };
        }
    }
    let mut top = f64::NEG_INFINITY;
    for l in 0..LANES {
        top = if tops[l] > top { tops[l] } else { top };
    }
    if top <= 0.0 {
        for a in a {
            *a = [0.0; LANES];
        }
        return;
    }
    let rate = 1.0 / block.r;
    // κ·Σa(t) − t falls from a positive value at 0 to −top at the largest v; where it is still positive at t = κ·cap, the cap
    // binds.
    let limit = block.kappa * block.cap;
    let capped = limit < top && total(v, limit, rate, block.hi).0 >= block.cap;
    let (low, start) = if capped { (limit, limit) } else { (0.0, block.kappa * sum) };
    let t = root(v, block, capped, (low, top), start);
    for i in 0..v.len() {
        for l in 0..LANES {
            let z = (v[i][l] - t) * rate;
            let z = if z < block.hi { z } else { block.hi };
            a[i][l] = if z > 0.0 { z } else { 0.0 };
        }
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
            project(&padded, block, 0.0, &mut a);
            let t: f64 = a.iter().sum();
            for (a, v) in a.iter().zip(&v) {
                assert!((a - (v - t).clamp(0.0, 0.1)).abs() < 1e-14, "{v} {a} {t}");
            }
        }
    }
}
