//! Made-up mistakes of every kind, alone and together, are named; what is none of them is not.

use super::*;

const N: usize = 30;
const D: usize = 5;
const K: usize = 4;
const LAMBDA: f64 = 0.7;

/// A problem with no two rows, weights or counts alike.
struct OwnCase {
    x: Vec<f64>,
    labels: Vec<u32>,
    weight: Vec<f64>,
    loss: Loss,
    lambda: f64,
    shape: [usize; 2],
}

/// Numbers from −1 to 1 without a pattern.
fn noise(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1u32 << 30) - 1.0
    };
    (0..count).map(|_| next()).collect()
}

impl OwnCase {
    fn of(d: usize, lambda: f64) -> Self {
        let labels = (0..N).map(|i| (i * 7 + i / 3) as u32 % K as u32).collect();
        let (x, weight) = (noise(N * d, 1), noise(d * K, 2));
        Self { x, labels, weight, loss: Loss::weston_watkins(), lambda, shape: [d, K] }
    }

    fn own<'a>(&'a self, gradient: &'a [f64]) -> OwnGradient<'a> {
        OwnGradient {
            gradient,
            shape: self.shape,
            features: &self.x,
            labels: &self.labels,
            weight: &self.weight,
            n_classes: K,
            loss: &self.loss,
            lambda: self.lambda,
            tolerance: super::super::TOLERANCE,
        }
    }

    fn report(&self, gradient: &[f64]) -> OwnReport {
        compare_own(&self.own(gradient)).unwrap()
    }

    /// Q by loops, for the hinge alone: independent of the crate's.
    fn q(&self) -> Vec<Vec<f64>> {
        let d = self.x.len() / N;
        let row = |i: usize| {
            let label = self.labels[i] as usize;
            let score = |c: usize| (0..d).map(|j| self.x[i * d + j] * self.weight[j * K + c]).sum::<f64>();
            let mut q: Vec<f64> = (0..K).map(|c| f64::from(u8::from(score(c) - score(label) + 1.0 > 0.0))).collect();
            q[label] = 0.0;
            q[label] = -q.iter().sum::<f64>();
            q
        };
        (0..N).map(row).collect()
    }

    /// a·XᵀQ/n + b·λW
    fn made(&self, q: &[Vec<f64>], a: f64, b: f64) -> Vec<f64> {
        let d = self.x.len() / N;
        let cell = |at: usize| (0..N).map(|i| self.x[i * d + at / K] * q[i][at % K]).sum::<f64>() / N as f64;
        (0..d * K).map(|at| a * cell(at) + b * self.lambda * self.weight[at]).collect()
    }

    /// The right Q, its entry at each label put through `entry`.
    fn at_label(&self, entry: impl Fn(f64) -> f64) -> Vec<Vec<f64>> {
        let mut q = self.q();
        q.iter_mut().zip(&self.labels).for_each(|(q, &label)| q[label as usize] = entry(q[label as usize]));
        q
    }
}

const MISSING: &str = "the gradient of the regulariser is missing";
const HALF: &str = "the gradient of the regulariser is half of what it should be";
const SUM: &str = "the sum over the rows is not divided by their number";
const LABEL: &str = "the part of the correct class is missing";
const LARGE: &str = "the entry of Q at the label is one too large: 1 − count in the place of −count";
const COUNTED: &str = "the correct class is counted: −(count + 1) at the label in the place of −count";
const ORDER: &str = "the rows of Q are in the order of the classes, those of X in the order of the samples";
const OF_W: &str =
    "the regulariser's gradient is the sum of W in the place of W: it is a matrix, and nothing is summed";

#[test]
fn the_right_gradient_agrees_whatever_the_regulariser_is() {
    for lambda in [0.0, 1e-6, LAMBDA, 1e6] {
        let problem = OwnCase::of(D, lambda);
        let report = problem.report(&problem.made(&problem.q(), 1.0, 1.0));
        assert!(report.passed && report.cause.is_none() && report.agreed == D * K, "{lambda}: {report}");
        assert_eq!((report.n_samples, report.n_features, report.n_classes, report.worst.len()), (N, D, K, D * K));
    }
}

#[test]
fn each_mistake_alone_is_named() {
    let problem = OwnCase::of(D, LAMBDA);
    let (q, n) = (problem.q(), N as f64);
    let mut by_class: Vec<usize> = (0..N).collect();
    by_class.sort_by_key(|&i| problem.labels[i]);
    let sorted: Vec<Vec<f64>> = by_class.iter().map(|&i| q[i].clone()).collect();
    let others = problem.at_label(|_| 0.0);
    let label: Vec<Vec<f64>> =
        q.iter().zip(&others).map(|(q, o)| q.iter().zip(o).map(|(a, b)| a - b).collect()).collect();
    let total: f64 = problem.weight.iter().sum();
    let summed =
        |share: f64| -> Vec<f64> { problem.made(&q, 1.0, 0.0).iter().map(|v| v + share * LAMBDA * total).collect() };
    for (gradient, cause) in [
        (problem.made(&q, 1.0, 0.0), MISSING),
        (problem.made(&q, 1.0, 0.5), HALF),
        (problem.made(&q, 1.0, 2.0), "the gradient of the regulariser is twice what it should be"),
        (problem.made(&q, 1.0, -1.0), "the gradient of the regulariser has the wrong sign"),
        (problem.made(&q, 1.0, 1.0 / n), "the regulariser is divided by the number of rows, too"),
        (problem.made(&q, n, 1.0), SUM),
        (problem.made(&q, n, n), "everything is multiplied by the number of rows, the regulariser too"),
        (problem.made(&q, 1.0 / n, 1.0), "the gradient of the loss is divided by the number of rows twice"),
        (problem.made(&q, -1.0, -1.0), "the sign is turned"),
        (problem.made(&q, -1.0, 1.0), "the sign of the gradient of the loss is turned"),
        (problem.made(&others, 1.0, 1.0), LABEL),
        (problem.made(&label, 1.0, 1.0), "the part of the other classes is missing"),
        (problem.made(&problem.at_label(|q| q + 1.0), 1.0, 1.0), LARGE),
        (problem.made(&problem.at_label(|q| q - 1.0), 1.0, 1.0), COUNTED),
        (problem.made(&sorted, 1.0, 1.0), ORDER),
        (summed(1.0), OF_W),
        (summed(0.5), OF_W),
    ] {
        let report = problem.report(&gradient);
        assert!(!report.passed && report.agreed < report.entries, "{cause}: {report}");
        assert_eq!(report.cause.as_deref(), Some(cause));
    }
}

#[test]
fn mistakes_together_are_named_together() {
    let problem = OwnCase::of(D, LAMBDA);
    let (q, n) = (problem.q(), N as f64);
    let (large, none) = (problem.at_label(|q| q + 1.0), problem.at_label(|_| 0.0));
    for (gradient, causes) in [
        (problem.made(&q, n, 0.0), vec![SUM, MISSING]),
        (problem.made(&large, 1.0, 0.0), vec![LARGE, MISSING]),
        (problem.made(&large, n, 0.5), vec![SUM, LARGE, HALF]),
        (problem.made(&none, 1.0, 0.5), vec![LABEL, HALF]),
        (problem.made(&problem.at_label(|q| q - 1.0), -1.0, -1.0), vec!["the sign is turned", COUNTED]),
    ] {
        assert_eq!(problem.report(&gradient).cause, Some(causes.join("; ")));
    }
}

#[test]
fn what_is_no_common_mistake_is_not_named() {
    for lambda in [0.0, LAMBDA] {
        let problem = OwnCase::of(D, lambda);
        let q = problem.q();
        let right = problem.made(&q, 1.0, 1.0);
        let with = |change: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
            right.iter().enumerate().map(|(i, v)| change(i, *v)).collect()
        };
        for gradient in [
            noise(D * K, 9),
            problem.made(&q, 0.9, 1.0),
            with(&|i, v| v + 1e-4 * (i as f64).sin()),
            // A common mistake in all entries but one.
            with(&|i, v| if i == 3 { v } else { -v }),
            // Two that are common, each in half of the entries.
            with(&|i, v| if i < D * K / 2 { -v } else { N as f64 * v }),
        ] {
            let report = problem.report(&gradient);
            assert!(!report.passed && report.cause.is_none(), "{lambda}: {report}");
        }
    }
    // Nothing tells a forgotten regulariser from a right one where there is none.
    let problem = OwnCase::of(D, 0.0);
    assert!(problem.report(&problem.made(&problem.q(), 1.0, 0.0)).passed);
}

#[test]
fn explanations_that_cannot_be_told_apart_are_all_named() {
    // With two rows a half and a division by their number are one.
    let mut problem = OwnCase::of(D, LAMBDA);
    problem.x.truncate(2 * D);
    problem.labels.truncate(2);
    let own = problem.own(&problem.weight);
    let data = own.product(&own.slopes());
    let gradient: Vec<f64> = data.iter().zip(&problem.weight).map(|(d, w)| d + LAMBDA / 2.0 * w).collect();
    let cause = problem.report(&gradient).cause.unwrap();
    assert!(
        cause.contains(HALF) && cause.contains(", or: ") && cause.contains("divided by the number of rows, too"),
        "{cause}"
    );
}

#[test]
fn a_transposed_gradient_is_seen_by_its_shape_or_its_values() {
    for d in [D, K] {
        let mut problem = OwnCase::of(d, LAMBDA);
        let q = problem.q();
        let (right, missing) = (problem.made(&q, 1.0, 1.0), problem.made(&q, 1.0, 0.0));
        problem.shape = [K, d];
        let cause = |gradient: &[f64]| problem.report(&turned(gradient, [d, K])).cause;
        assert_eq!(cause(&right).as_deref(), Some("it is transposed"));
        assert_eq!(cause(&missing), Some(format!("it is transposed; {MISSING}")));
        let other = cause(&noise(d * K, 9));
        assert_eq!(other.is_some(), d != K, "{other:?}");
        if let Some(text) = other {
            assert_eq!(text, "it is transposed; beside that no common mistake explains it");
        }
    }
}

#[test]
fn wrong_entries_of_one_class_or_feature_and_no_numbers_are_said() {
    let problem = OwnCase::of(D, LAMBDA);
    let right = problem.made(&problem.q(), 1.0, 1.0);
    let cause = |wrong: &dyn Fn(usize) -> bool, value: f64| {
        let gradient: Vec<f64> = right.iter().enumerate().map(|(i, v)| if wrong(i) { v + value } else { *v }).collect();
        problem.report(&gradient).cause
    };
    assert_eq!(cause(&|i| i % K == 2, 0.3).as_deref(), Some("no common mistake; every wrong entry is of class 2"));
    assert_eq!(cause(&|i| i / K == 4, 0.3).as_deref(), Some("no common mistake; every wrong entry is of feature 4"));
    assert_eq!(cause(&|i| i == 7, 0.3), None);
    assert_eq!(cause(&|i| i == 7, f64::NAN).as_deref(), Some("entries that are no finite numbers"));
}

#[test]
fn other_losses_have_their_own_gradients() {
    for loss in [Loss::weston_watkins().squared(), Loss::crammer_singer(), Loss::one_vs_rest(), Loss::top_k(2)] {
        let problem = OwnCase { loss, ..OwnCase::of(D, LAMBDA) };
        let own = problem.own(&problem.weight);
        let data = own.product(&own.slopes());
        let of = |b: f64| data.iter().zip(&problem.weight).map(|(d, w)| d + b * LAMBDA * w).collect::<Vec<f64>>();
        assert!(problem.report(&of(1.0)).passed, "{}", problem.loss);
        assert_eq!(problem.report(&of(0.0)).cause.as_deref(), Some(MISSING), "{}", problem.loss);
        assert!(!problem.report(&OwnCase::of(D, LAMBDA).made(&problem.q(), 1.0, 1.0)).passed, "{}", problem.loss);
    }
}

#[test]
fn input_that_does_not_fit_is_refused_in_words() {
    let problem = OwnCase::of(D, LAMBDA);
    let gradient = problem.made(&problem.q(), 1.0, 1.0);
    let own = problem.own(&gradient);
    let labels = vec![K as u32; N];
    for (wrong, words) in [
        (OwnGradient { shape: [D, D], ..own }, "got a gradient of shape (5, 5), expected (5, 4), that of W"),
        (OwnGradient { weight: &gradient[1..], ..own }, "got 19 weights, expected 5 x 4"),
        (OwnGradient { gradient: &gradient[1..], ..own }, "got 19 values of a gradient"),
        (OwnGradient { features: &problem.x[1..], ..own }, "got 149 features for 30 labels"),
        (OwnGradient { labels: &labels, ..own }, "got label 4 of row 0, expected class indices below 4"),
        (OwnGradient { labels: &[], ..own }, "at least one row"),
        (OwnGradient { loss: &Loss::top_k(4), ..own }, "expected a loss of 4 classes"),
    ] {
        let error = compare_own(&wrong).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}
