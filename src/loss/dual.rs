//! The dual side of the losses: one exact block step for all of them.
//!
//! With c_i = weight_i/(λn) the objective divided by λ is `½‖W‖² + Σ c_i·ℓ_i`, and its dual has one block a_i of `n_classes`
//! variables a sample. For a difference loss (label y, a_iy = 0) `W(a) = Σ_i x_i β_iᵀ` with β_ij = −a_ij, β_iy = Σ_j a_ij; for
//! one-vs-rest β_ij = f_ij·a_ij. Maximising over one block, all others fixed, has the closed form
//!
//! ```text
//! a_j = clip((v_j − t)/r, 0, hi)    v_j = G_j/q + a_j + Σa (the old a),   q = ‖x‖²,   G_j = Δ + s_j − s_y
//! t = κ·Σa where that keeps Σa ≤ cap, else the t with Σa = cap
//! ```
//!
//! | loss | r | κ | hi | cap |
//! |---|---|---|---|---|
//! | Weston-Watkins, p = 1 | 1 | 1 | c | ∞ |
//! | Weston-Watkins, p = 2 | 1 + 1/(2cq) | 1 | ∞ | ∞ |
//! | Crammer-Singer, p = 1 | 1 | 1 | ∞ | c |
//! | Crammer-Singer, p = 2 | 1 | 1 + 1/(2cq) | ∞ | ∞ |
//!
//! One-vs-rest falls apart into binary steps. References: Y. Wang and C. Scott, *An Exact Solver for the Weston-Watkins SVM
//! Subproblem*, ICML 2021; S. Keerthi et al., *A Sequential Dual Method for Large Scale Multi-class Linear SVMs*, KDD 2008.

use super::{Formulation, Loss, Power};

/// The shape of the feasible block and of its curvature.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Block {
    r: f64,
    kappa: f64,
    hi: f64,
    cap: f64,
}

/// `Σ_j clip((v_j − t)/r, 0, hi)` and its slope −m/r, as (sum, number of coordinates strictly inside).
fn total(v: &[f64], t: f64, block: Block) -> (f64, usize) {
    let (mut sum, mut inside) = (0.0, 0);
    for &v in v {
        let a = (v - t) / block.r;
        if a >= block.hi {
            sum += block.hi;
        } else if a > 0.0 {
            sum += a;
            inside += 1;
        }
    }
    (sum, inside)
}

/// The root between `low`, where `target(Σa(t), t)` is positive, and `high`, where it is not: Newton's method, exact once it is
/// on the root's piece of the piecewise linear function, with a bisection wherever it would leave the bracket or come back to
/// one of its ends (it can run in circles between two pieces).
fn root(
    v: &[f64],
    block: Block,
    mut low: f64,
    mut high: f64,
    target: impl Fn(f64, f64) -> f64,
    fall: impl Fn(f64) -> f64,
) -> f64 {
    const ROUNDING: f64 = 4.0 * f64::EPSILON;
    let mut t = low;
    // Each bisection halves the bracket, so that 2,200 steps would do for any two doubles; a handful is usual.
    for _ in 0..2200 {
        let (sum, inside) = total(v, t, block);
        let value = target(sum, t);
        if value > 0.0 {
            low = t;
        } else {
            high = t;
        }
        #[allow(clippy::cast_precision_loss)]
        let fall = fall(inside as f64 / block.r);
        let newton = if fall > 0.0 { t + value / fall } else { f64::NAN };
        if (newton - t).abs() <= ROUNDING * t.abs() || high - low <= ROUNDING * high {
            break;
        }
        t = if newton > low && newton < high { newton } else { f64::midpoint(low, high) };
    }
    t
}

/// Writes the maximiser over the block to `a`; the label's v is −∞.
fn project(v: &[f64], block: Block, a: &mut [f64]) {
    let top = v.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if top <= 0.0 {
        a.fill(0.0);
        return;
    }
    // κ·Σa(t) − t falls from a positive value at 0 to −top at the largest v.
    let mut t = root(v, block, 0.0, top, |sum, t| block.kappa * sum - t, |m| block.kappa * m + 1.0);
    if total(v, t, block).0 > block.cap {
        t = root(v, block, t, top, |sum, _| sum - block.cap, |m| m);
    }
    for (a, &v) in a.iter_mut().zip(v) {
        *a = ((v - t) / block.r).clamp(0.0, block.hi);
    }
}

impl Loss {
    /// Solves the block of one sample exactly: from its scores `s`, its squared norm `q` and c_i to the new dual variables.
    ///
    /// `a` holds the old variables and gets the new ones; `v` is scratch space; all `[n_classes]`. `c` includes the class weight.
    pub fn dual_step(&self, scores: &[f64], label: usize, q: f64, c: f64, a: &mut [f64], v: &mut [f64]) {
        if c <= 0.0 {
            a.fill(0.0);
            return;
        }
        let squared = 1.0 / (2.0 * c * q);
        let block = match (self.formulation, self.power) {
            (Formulation::WestonWatkins, Power::One) => Block { r: 1.0, kappa: 1.0, hi: c, cap: f64::INFINITY },
            (Formulation::WestonWatkins, Power::Two) => {
                Block { r: 1.0 + squared, kappa: 1.0, hi: f64::INFINITY, cap: f64::INFINITY }
            }
            (Formulation::CrammerSinger, Power::One) => Block { r: 1.0, kappa: 1.0, hi: f64::INFINITY, cap: c },
            (Formulation::CrammerSinger, Power::Two) => {
                Block { r: 1.0, kappa: 1.0 + squared, hi: f64::INFINITY, cap: f64::INFINITY }
            }
            (Formulation::OneVsRest, power) => return self.binary_steps(power, scores, label, q, c, a),
        };
        let sum: f64 = a.iter().sum();
        let own = scores[label];
        for ((v, &s), &a) in v.iter_mut().zip(scores).zip(a.iter()) {
            *v = (self.margin + s - own) / q + a + sum;
        }
        v[label] = f64::NEG_INFINITY;
        project(v, block, a);
        a[label] = 0.0;
    }

    /// One-vs-rest: a ← clip(a + (Δ − f·s)/q, 0, c), or with the square max(0, a + (Δ − f·s − a/(2c))/(q + 1/(2c))).
    fn binary_steps(&self, power: Power, scores: &[f64], label: usize, q: f64, c: f64, a: &mut [f64]) {
        for (j, (a, &s)) in a.iter_mut().zip(scores).enumerate() {
            let margin = if j == label { self.margin - s } else { self.margin + s };
            *a = match power {
                Power::One => (*a + margin / q).clamp(0.0, c),
                Power::Two => {
                    let curvature = 1.0 / (2.0 * c);
                    (*a + (margin - *a * curvature) / (q + curvature)).max(0.0)
                }
            };
        }
    }

    /// β of a sample from its dual variables: the weights of its row in `W(a) = Σ x_i β_iᵀ`.
    pub fn dual_coefficients(&self, label: usize, a: &[f64], beta: &mut [f64]) {
        match self.formulation {
            Formulation::WestonWatkins | Formulation::CrammerSinger => {
                beta.iter_mut().zip(a).for_each(|(b, a)| *b = -a);
                beta[label] = a.iter().sum::<f64>() - a[label];
            }
            Formulation::OneVsRest => {
                beta.iter_mut().zip(a).for_each(|(b, a)| *b = -a);
                beta[label] = a[label];
            }
        }
    }

    /// A sample's share of the duality gap, `c·ℓ − Σ_j a_j·G_j + penalty(a)`; never below 0 but for rounding.
    #[must_use]
    pub fn gap_of_row(&self, scores: &[f64], label: usize, c: f64, a: &[f64]) -> f64 {
        if c <= 0.0 {
            return 0.0;
        }
        // c has the class weight in it already.
        let unweighted = Self::new(self.formulation, self.margin, self.power);
        let own = scores[label];
        let margin = |j: usize| match self.formulation {
            Formulation::WestonWatkins | Formulation::CrammerSinger => self.margin + scores[j] - own,
            Formulation::OneVsRest if j == label => self.margin - own,
            Formulation::OneVsRest => self.margin + scores[j],
        };
        let linear: f64 = a.iter().enumerate().map(|(j, &a)| if a == 0.0 { 0.0 } else { a * margin(j) }).sum();
        c * unweighted.of_row(scores, label) - linear + self.dual_penalty(c, a)
    }

    /// What the squared losses subtract in the dual: Σa²/(4c), or (Σa)²/(4c) for Crammer-Singer.
    #[must_use]
    pub fn dual_penalty(&self, c: f64, a: &[f64]) -> f64 {
        match (self.power, self.formulation) {
            (Power::One, _) => 0.0,
            (Power::Two, Formulation::CrammerSinger) => a.iter().sum::<f64>().powi(2) / (4.0 * c),
            (Power::Two, Formulation::WestonWatkins | Formulation::OneVsRest) => {
                a.iter().map(|a| a * a).sum::<f64>() / (4.0 * c)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The block's objective: Σ a·G − ½q(‖a − a_old‖² + (Σ(a − a_old))²) − penalty(a), or its separable form.
    fn block_value(loss: &Loss, scores: &[f64], label: usize, q: f64, c: f64, old: &[f64], a: &[f64]) -> f64 {
        let mut value = -loss.dual_penalty(c, a);
        let (mut square, mut sum) = (0.0, 0.0);
        for j in 0..a.len() {
            let g = match loss.formulation {
                Formulation::OneVsRest if j == label => loss.margin - scores[j],
                Formulation::OneVsRest => loss.margin + scores[j],
                _ => loss.margin + scores[j] - scores[label],
            };
            let change = a[j] - old[j];
            value += change * g;
            square += change * change;
            sum += change;
        }
        let joint = if loss.formulation == Formulation::OneVsRest { 0.0 } else { sum * sum };
        value - 0.5 * q * (square + joint)
    }

    fn feasible(loss: &Loss, c: f64, a: &[f64]) -> bool {
        let tolerance = c * 1e-9;
        let nonnegative = a.iter().all(|&a| a >= 0.0);
        match (loss.formulation, loss.power) {
            (_, Power::Two) => nonnegative,
            (Formulation::CrammerSinger, Power::One) => nonnegative && a.iter().sum::<f64>() <= c + tolerance,
            (Formulation::WestonWatkins | Formulation::OneVsRest, Power::One) => {
                nonnegative && a.iter().all(|&a| a <= c + tolerance)
            }
        }
    }

    #[test]
    fn newton_does_not_run_in_circles_between_two_pieces() {
        // Far more classes at their bound than inside: every piece points to the other.
        let block = Block { r: 1.0, kappa: 1.0, hi: 0.1, cap: f64::INFINITY };
        for shift in 0..200 {
            let v: Vec<f64> = (0..11).map(|j| 0.02 * f64::from((j * 7 + shift) % 13) + 0.3).collect();
            let mut a = vec![0.0; v.len()];
            project(&v, block, &mut a);
            let t: f64 = a.iter().sum();
            for (a, v) in a.iter().zip(&v) {
                assert!((a - (v - t).clamp(0.0, 0.1)).abs() < 1e-14, "{v} {a} {t}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

        #[test]
        fn the_step_is_feasible_and_no_direction_improves_it(
            scores in prop::collection::vec(-3.0f64..3.0, 2..8),
            start in prop::collection::vec(prop_oneof![Just(0.0), Just(1.0), 0.0f64..1.0], 8),
            label in 0usize..8,
            q in 0.05f64..20.0,
            c in 0.01f64..5.0,
            which in 0usize..6,
        ) {
            let k = scores.len();
            let label = label % k;
            let loss = Loss::new(Formulation::ALL[which / 2], 1.0, if which % 2 == 0 { Power::One } else { Power::Two });
            // Blocks at their bounds are where the pieces meet.
            let share = if loss.formulation == Formulation::CrammerSinger { 1.0 / k as f64 } else { 1.0 };
            let mut old: Vec<f64> = start[..k].iter().map(|s| s * c * share).collect();
            if loss.formulation != Formulation::OneVsRest {
                old[label] = 0.0;
            }
            let (mut a, mut v) = (old.clone(), vec![0.0; k]);
            loss.dual_step(&scores, label, q, c, &mut a, &mut v);
            prop_assert!(feasible(&loss, c, &a), "{loss:?} {a:?} c {c}");
            let best = block_value(&loss, &scores, label, q, c, &old, &a);
            // Optimal for a concave function on a convex set: no feasible move along a coordinate or a pair improves.
            for i in 0..k {
                for j in 0..k {
                    for h in [1e-4, -1e-4] {
                        let mut other = a.clone();
                        other[i] += h * c;
                        if j != i {
                            other[j] -= h * c;
                        }
                        let allowed = loss.formulation == Formulation::OneVsRest || other[label] == 0.0;
                        if allowed && feasible(&loss, c, &other) {
                            let value = block_value(&loss, &scores, label, q, c, &old, &other);
                            prop_assert!(value <= best + 1e-10 * (1.0 + best.abs()), "{loss:?} {a:?} -> {other:?}");
                        }
                    }
                }
            }
        }

        #[test]
        fn no_row_has_a_negative_gap(
            scores in prop::collection::vec(-3.0f64..3.0, 2..8),
            start in prop::collection::vec(0.0f64..1.0, 8),
            c in 0.01f64..5.0,
            which in 0usize..6,
        ) {
            let k = scores.len();
            let loss = Loss::new(Formulation::ALL[which / 2], 1.0, if which % 2 == 0 { Power::One } else { Power::Two });
            let mut a: Vec<f64> = start[..k].iter().map(|s| s * c / k as f64).collect();
            if loss.formulation != Formulation::OneVsRest {
                a[0] = 0.0;
            }
            prop_assert!(loss.gap_of_row(&scores, 0, c, &a) >= -1e-12);
        }
    }
}
