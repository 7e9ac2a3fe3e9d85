//! The temperature of least negative log-likelihood.
//!
//! With β = 1/T the mean of −log p_y is L(β) = (1/n) Σ_i [log Σ_j exp(β·s_ij) − β·s_iy], convex in β:
//!
//! ```text
//! L'(β)  = (1/n) Σ_i (E_p[s_i] − s_iy)        L''(β) = (1/n) Σ_i Var_p[s_i] ≥ 0        p_i = softmax(β·s_i)
//! ```
//!
//! so its minimum is the root of L', found by Newton's method inside a bracket that every step narrows; a step that leaves the
//! bracket becomes a bisection.

/// β is searched between these, in units of 1/(spread of the scores): where every row is predicted right the likelihood has no
/// maximum, and where the scores are worse than none, its maximum is at β = 0.
const RANGE: (f64, f64) = (1e-3, 1e3);
/// Newton converges in about six steps, bisection to the last bit in sixty.
const STEPS: usize = 200;

/// Mean negative log-likelihood of softmax(s/T): its value and its first two derivatives in β = 1/T.
///
/// # Shapes
/// As in [`super::Calibrator::fit`].
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn negative_log_likelihood(scores: &[f64], labels: &[usize], n_classes: usize, beta: f64) -> [f64; 3] {
    let mut sums = [0.0; 3];
    for (row, &label) in scores.chunks_exact(n_classes).zip(labels) {
        let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // Moments about the largest score, for the sake of digits.
        let (mut z, mut first, mut second) = (0.0, 0.0, 0.0);
        for s in row.iter().map(|s| s - top) {
            let e = (beta * s).exp();
            z += e;
            first += e * s;
            second += e * s * s;
        }
        let mean = first / z;
        sums[0] += z.ln() - beta * (row[label] - top);
        sums[1] += mean - (row[label] - top);
        sums[2] += (second / z - mean * mean).max(0.0);
    }
    sums.map(|s| s / labels.len().max(1) as f64)
}

/// T; 1 where all scores of each row are the same, and every T is as good.
pub(super) fn fit(scores: &[f64], labels: &[usize], n_classes: usize) -> f64 {
    let spread = negative_log_likelihood(scores, labels, n_classes, 0.0)[2].sqrt();
    if !(spread.is_finite() && spread > 0.0) {
        return 1.0;
    }
    let (mut low, mut high) = (RANGE.0 / spread, RANGE.1 / spread);
    let slope = |beta: f64| {
        let [_, first, second] = negative_log_likelihood(scores, labels, n_classes, beta);
        (first, second)
    };
    if slope(low).0 >= 0.0 {
        return 1.0 / low;
    }
    if slope(high).0 <= 0.0 {
        return 1.0 / high;
    }
    let mut beta = 1.0 / spread;
    for _ in 0..STEPS {
        let (first, second) = slope(beta);
        if first == 0.0 {
            break;
        }
        if first < 0.0 {
            low = beta
        } else {
            high = beta
        }
        let newton = beta - first / second;
        let next = if newton > low && newton < high { newton } else { low + (high - low) / 2.0 };
        let moved = (next - beta).abs();
        beta = next;
        if moved <= 1e-14 * beta {
            break;
        }
    }
    1.0 / beta
}

/// Whether a temperature is at an end of its range: where every row is predicted right the likelihood grows up to T = 0, and
/// where the scores are worse than none, up to T = ∞.
#[must_use]
pub fn temperature_at_end(scores: &[f64], labels: &[usize], n_classes: usize, temperature: f64) -> bool {
    let spread = negative_log_likelihood(scores, labels, n_classes, 0.0)[2].sqrt();
    let beta = spread / temperature;
    beta >= 0.999 * RANGE.1 || beta <= 1.001 * RANGE.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn two_classes_by_hand() {
        // Of four rows with s = (1, 0) three are of class 0: σ(β) = 3/4, so β = log 3.
        let scores = [1.0, 0.0].repeat(4);
        let t = fit(&scores, &[0, 0, 0, 1], 2);
        assert!((t - 1.0 / 3f64.ln()).abs() < 1e-12, "{t}");
        // Ten times the scores, ten times the temperature.
        let scaled: Vec<f64> = scores.iter().map(|s| 10.0 * s).collect();
        assert!((fit(&scaled, &[0, 0, 0, 1], 2) - 10.0 * t).abs() < 1e-11);
    }

    #[test]
    fn where_the_likelihood_has_no_maximum_the_range_ends() {
        let scores = [2.0, 0.0, 0.0, 2.0];
        assert!((fit(&scores, &[0, 1], 2) - 1e-3).abs() < 1e-12, "all right: as cold as allowed");
        assert!((fit(&scores, &[1, 0], 2) - 1e3).abs() < 1e-6, "all wrong: as hot as allowed");
        assert!([1e-3, 1e3].iter().all(|&t| temperature_at_end(&scores, &[0, 1], 2, t)));
        assert!(!temperature_at_end(&scores, &[0, 1], 2, 1.0));
        assert_eq!(fit(&[3.0, 3.0], &[1], 2), 1.0);
        assert_eq!(fit(&[f64::NAN, 3.0], &[1], 2), 1.0);
    }

    proptest! {
        #[test]
        fn the_slope_of_the_likelihood_is_zero_at_the_temperature(
            scores in prop::collection::vec(-5.0..5.0f64, 40 * 3), labels in prop::collection::vec(0..3usize, 40),
            scale in 1e-6..1e6f64,
        ) {
            let scores: Vec<f64> = scores.iter().map(|s| s * scale).collect();
            let t = fit(&scores, &labels, 3);
            let [value, first, _] = negative_log_likelihood(&scores, &labels, 3, 1.0 / t);
            let spread = negative_log_likelihood(&scores, &labels, 3, 0.0)[2].sqrt();
            // Random labels are often no better than none: then the range ends.
            let at_end = (t / spread - 1e3).abs() < 1e-6;
            prop_assert!(first.abs() < 1e-9 * spread || (at_end && first >= 0.0), "T {t}: slope {first}");
            for other in [0.9 * t, 1.1 * t] {
                let beyond = at_end && other > t;
                prop_assert!(beyond || negative_log_likelihood(&scores, &labels, 3, 1.0 / other)[0] >= value);
            }
        }
    }
}
