//! A sigmoid for one class against the rest.
//!
//! p = σ(a·s + b) with the a, b of least cross-entropy to Platt's targets, (N₊ + 1)/(N₊ + 2) for rows of the class and
//! 1/(N₋ + 2) for the others, which stand for a prior and keep the optimum finite where the class is separable. Newton's
//! method with a ridge and backtracking, every logarithm in the form that neither overflows nor cancels: Lin, Lin, Weng, *A note
//! on Platt's probabilistic outputs for support vector machines*, Machine Learning 68, 2007.

const STEPS: usize = 100;
/// Added to the diagonal of the Hessian, relative to it.
const RIDGE: f64 = 1e-12;
/// The shortest step that is tried before giving up.
const SHORTEST: f64 = 1e-10;

/// a and b.
#[allow(clippy::cast_precision_loss)]
pub(super) fn fit(scores: &[f64], is_class: &[bool]) -> (f64, f64) {
    let positive = is_class.iter().filter(|&&is| is).count() as f64;
    let negative = is_class.len() as f64 - positive;
    let targets = [1.0 / (negative + 2.0), (positive + 1.0) / (positive + 2.0)];
    // Scores in units of their spread, so that the numbers below do not depend on the unit of the features.
    let n = scores.len().max(1) as f64;
    let mean = scores.iter().sum::<f64>() / n;
    let spread = (scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n).sqrt();
    let prior = ((positive + 1.0) / (negative + 1.0)).ln();
    if !(spread.is_finite() && spread > 0.0) {
        return (0.0, prior);
    }
    let rows: Vec<(f64, f64)> =
        scores.iter().zip(is_class).map(|(s, &is)| ((s - mean) / spread, targets[usize::from(is)])).collect();
    let (mut a, mut b) = (0.0, prior);
    let mut value = cross_entropy(&rows, a, b);
    for _ in 0..STEPS {
        let (gradient, hessian) = derivatives(&rows, a, b);
        if gradient.0.hypot(gradient.1) <= 1e-13 * n {
            break;
        }
        let (aa, ab, bb) = (hessian.0 * (1.0 + RIDGE) + RIDGE, hessian.1, hessian.2 * (1.0 + RIDGE) + RIDGE);
        let determinant = aa * bb - ab * ab;
        let da = -(bb * gradient.0 - ab * gradient.1) / determinant;
        let db = -(aa * gradient.1 - ab * gradient.0) / determinant;
        let descent = gradient.0 * da + gradient.1 * db;
        let mut step = 1.0;
        let taken = loop {
            let next = cross_entropy(&rows, a + step * da, b + step * db);
            if next < value + 1e-4 * step * descent {
                (a, b, value) = (a + step * da, b + step * db, next);
                break true;
            }
            step /= 2.0;
            if step < SHORTEST {
                break false;
            }
        };
        if !taken {
            // The last digits of the sum no longer tell; the full step is the better point by its gradient, or none is.
            let (next, _) = derivatives(&rows, a + da, b + db);
            if next.0.hypot(next.1) < gradient.0.hypot(gradient.1) {
                (a, b) = (a + da, b + db);
            }
            break;
        }
    }
    (a / spread, b - a * mean / spread)
}

/// Σ −t·log p − (1 − t)·log(1 − p) with p = σ(z), z = a·s + b: t·log(1 + e^(−z)) + (1 − t)·log(1 + e^z).
fn cross_entropy(rows: &[(f64, f64)], a: f64, b: f64) -> f64 {
    let row = |&(s, t): &(f64, f64)| {
        let z = a * s + b;
        (-z.abs()).exp().ln_1p() + if z >= 0.0 { (1.0 - t) * z } else { -t * z }
    };
    rows.iter().map(row).sum()
}

/// Gradient, and the three entries of the Hessian.
fn derivatives(rows: &[(f64, f64)], a: f64, b: f64) -> ((f64, f64), (f64, f64, f64)) {
    let (mut gradient, mut hessian) = ((0.0, 0.0), (0.0, 0.0, 0.0));
    for &(s, t) in rows {
        let z = a * s + b;
        let e = (-z.abs()).exp();
        let (p, q) = if z >= 0.0 { (1.0 / (1.0 + e), e / (1.0 + e)) } else { (e / (1.0 + e), 1.0 / (1.0 + e)) };
        gradient.0 += s * (p - t);
        gradient.1 += p - t;
        hessian.0 += s * s * p * q;
        hessian.1 += s * p * q;
        hessian.2 += p * q;
    }
    (gradient, hessian)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_class_that_is_not_there_and_scores_that_say_nothing() {
        // No row of the class: p = 1/(N + 2) everywhere.
        let (a, b) = fit(&[1.0, 2.0, 3.0, 4.0], &[false; 4]);
        for s in [1.0, 4.0] {
            assert!((1.0 / (1.0 + (-(a * s + b)).exp()) - 1.0 / 6.0).abs() < 1e-9, "{a} {b}");
        }
        let (a, b) = fit(&[5.0; 3], &[true, true, false]);
        assert!(a == 0.0 && (b - 1.5f64.ln()).abs() < 1e-15);
        assert_eq!(fit(&[f64::NAN, 1.0], &[true, false]).0, 0.0);
    }

    #[test]
    fn a_separable_class_keeps_a_finite_slope() {
        let scores: Vec<f64> = (0..40).map(|i| f64::from(i) * 1e6).collect();
        let is: Vec<bool> = (0..40).map(|i| i >= 20).collect();
        let (a, b) = fit(&scores, &is);
        assert!(a.is_finite() && a > 0.0 && b.is_finite(), "{a} {b}");
    }

    proptest! {
        #[test]
        fn the_gradient_is_zero_at_the_fit(
            scores in prop::collection::vec(-3.0..3.0f64, 30), is in prop::collection::vec(any::<bool>(), 30), unit in 1e-6..1e6f64,
        ) {
            let scaled: Vec<f64> = scores.iter().map(|s| s * unit).collect();
            let (a, b) = fit(&scaled, &is);
            let positive = is.iter().filter(|&&i| i).count() as f64;
            let targets = [1.0 / (32.0 - positive), (positive + 1.0) / (positive + 2.0)];
            let rows: Vec<(f64, f64)> = scores.iter().zip(&is).map(|(&s, &i)| (s, targets[usize::from(i)])).collect();
            let (gradient, _) = derivatives(&rows, a * unit, b);
            prop_assert!(gradient.0.hypot(gradient.1) < 1e-6, "{a} {b}: {gradient:?}");
        }
    }
}
