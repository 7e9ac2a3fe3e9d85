//! The losses in plain loops: the reference for everything else in this crate, and a good start for readers.
//!
//! Slow on purpose, f64, no tensors. [`weston_watkins_naive`] is the loss and gradient as the CS231n notes write them, two
//! loops that touch one margin at a time. [`weston_watkins_by_class`] drops the inner loop's bookkeeping to one matrix column
//! at a time, and [`weston_watkins_matrix`] is the form that the crate computes with tensors, XᵀQ. The three return the same
//! numbers. [`crammer_singer_naive`], [`one_vs_rest_naive`] and [`top_k_naive`] are the loops of the other losses, [`smoothed_naive`]
//! those of Nesterov's smoothing.
//!
//! # From loops to a matrix product
//!
//! A positive margin z_ij = Δ + s_ij − s_iy of row i and another class j ≠ y_i pulls two columns of W:
//!
//! ```text
//! ∂ℓ_i/∂w_j  += p·z^(p−1)·x_i        ∂ℓ_i/∂w_y  −= p·z^(p−1)·x_i
//! ```
//!
//! Collect the factors of x_i in row i of a matrix Q `[n_samples, n_classes]`, and the double loop is one product:
//!
//! ```text
//! Q[i, j] = p·z_ij^(p−1)·1[z_ij > 0]   for j ≠ y_i          Q[i, y_i] = −Σ_{j≠y_i} Q[i, j]
//! dW      = (1/n)·XᵀQ + λW
//! ```
//!
//! Three things go wrong here most often:
//!
//! - **The label's own entry.** Its margin is Δ + s_y − s_y = Δ > 0, so it must be masked *before* the row is summed; at power 1
//!   `Q[i, y_i]` is then minus the *number of violating classes*. Summed first, every row counts one class too many.
//! - **The order of the rows.** Row i of Q belongs to row i of X. Collected by class (all rows of class 0, then of class 1, ...)
//!   the product pairs rows of X with factors of other rows, and nothing about its shape gives that away.
//! - **The regulariser.** The gradient of (λ/2)·Σ W² is λW, a matrix; nothing is summed. (With `reg`·ΣW² it is 2·reg·W.)
//!
//! Imports only `loss` (for [`Power`]).

use crate::loss::Power;

/// A small problem in host memory; a bias is a column of ones in `x`.
#[derive(Debug, Clone, Copy)]
pub struct ReferenceProblem<'a> {
    /// Row-major `[n_samples, n_features]`.
    pub x: &'a [f64],
    /// Class indices `[n_samples]`.
    pub labels: &'a [u32],
    /// Row-major `[n_features, n_classes]`.
    pub weight: &'a [f64],
    /// Number of classes.
    pub n_classes: usize,
    /// One weight a class; all 1 where it is `None`.
    pub class_weights: Option<&'a [f64]>,
    /// The margin Δ.
    pub margin: f64,
    /// Costs Δ(y, j) in the place of the margin, row-major `[n_classes, n_classes]`; not for one-vs-rest.
    pub costs: Option<&'a [f64]>,
    /// The power p.
    pub power: Power,
    /// λ of (λ/2)·ΣW².
    pub lambda: f64,
}

/// A loss, and its gradient with respect to W, row-major `[n_features, n_classes]`.
#[derive(Debug, Clone, PartialEq)]
pub struct LossAndGradient {
    /// (1/n) Σ_i weight_i·ℓ_i + (λ/2)·ΣW²
    pub loss: f64,
    /// Its derivative.
    pub gradient: Vec<f64>,
}

impl ReferenceProblem<'_> {
    fn n_samples(&self) -> usize {
        self.labels.len()
    }

    fn n_features(&self) -> usize {
        self.weight.len() / self.n_classes
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.x[i * self.n_features()..(i + 1) * self.n_features()]
    }

    fn label(&self, i: usize) -> usize {
        self.labels[i] as usize
    }

    fn class_weight(&self, i: usize) -> f64 {
        self.class_weights.map_or(1.0, |w| w[self.label(i)])
    }

    /// Δ of row i and another class.
    fn delta(&self, i: usize, class: usize) -> f64 {
        self.costs.map_or(self.margin, |costs| costs[self.label(i) * self.n_classes + class])
    }

    /// x_i·w_j
    fn score(&self, i: usize, class: usize) -> f64 {
        let mut score = 0.0;
        for (feature, x) in self.row(i).iter().enumerate() {
            score += x * self.weight[feature * self.n_classes + class];
        }
        score
    }

    /// z^p of a positive margin and its derivative.
    fn charge(&self, margin: f64) -> (f64, f64) {
        match self.power {
            Power::One => (margin, 1.0),
            Power::Two => (margin * margin, 2.0 * margin),
        }
    }

    /// Adds `factor`·x_i to a column of the gradient.
    fn pull(&self, gradient: &mut [f64], i: usize, class: usize, factor: f64) {
        for (feature, x) in self.row(i).iter().enumerate() {
            gradient[feature * self.n_classes + class] += factor * x;
        }
    }

    /// Divides sums over the rows by n and adds the regulariser: (λ/2)·ΣW² to the loss, λW to the gradient.
    #[allow(clippy::cast_precision_loss)]
    fn regularised(&self, mut loss: f64, mut gradient: Vec<f64>) -> LossAndGradient {
        let n = self.n_samples() as f64;
        loss /= n;
        for (gradient, w) in gradient.iter_mut().zip(self.weight) {
            *gradient /= n;
            *gradient += self.lambda * w;
            loss += self.lambda / 2.0 * w * w;
        }
        LossAndGradient { loss, gradient }
    }
}

/// Weston-Watkins in two loops, one margin at a time.
///
/// ```
/// use burn_svm::internals::{loss::Power, reference::{ReferenceProblem, weston_watkins_naive}};
///
/// // Scores 13, −7, 11 and label 0: max(0, −7 − 13 + 10) + max(0, 11 − 13 + 10) = 8.
/// let sample = ReferenceProblem {
///     x: &[1.0], labels: &[0], weight: &[13.0, -7.0, 11.0], n_classes: 3,
///     class_weights: None, margin: 10.0, costs: None, power: Power::One, lambda: 0.0,
/// };
/// let found = weston_watkins_naive(&sample);
/// assert_eq!((found.loss, found.gradient), (8.0, vec![-1.0, 0.0, 1.0]));
/// ```
#[must_use]
pub fn weston_watkins_naive(sample: &ReferenceProblem<'_>) -> LossAndGradient {
    let mut loss = 0.0;
    let mut gradient = vec![0.0; sample.weight.len()];
    for i in 0..sample.n_samples() {
        let label = sample.label(i);
        let correct = sample.score(i, label);
        for class in 0..sample.n_classes {
            if class == label {
                continue;
            }
            let margin = sample.score(i, class) - correct + sample.delta(i, class);
            if margin > 0.0 {
                let (value, slope) = sample.charge(margin);
                let weight = sample.class_weight(i);
                loss += weight * value;
                sample.pull(&mut gradient, i, class, weight * slope);
                sample.pull(&mut gradient, i, label, -weight * slope);
            }
        }
    }
    sample.regularised(loss, gradient)
}

/// Weston-Watkins, semi-vectorised: one column of scores, margins and factors at a time, over all rows.
#[must_use]
pub fn weston_watkins_by_class(sample: &ReferenceProblem<'_>) -> LossAndGradient {
    let n = sample.n_samples();
    let correct: Vec<f64> = (0..n).map(|i| sample.score(i, sample.label(i))).collect();
    let mut loss = 0.0;
    let mut gradient = vec![0.0; sample.weight.len()];
    // −Q[i, y_i], filled while the other classes pass.
    let mut violations = vec![0.0; n];
    for class in 0..sample.n_classes {
        let column: Vec<f64> = (0..n).map(|i| sample.score(i, class) - correct[i] + sample.delta(i, class)).collect();
        for i in (0..n).filter(|&i| class != sample.label(i) && column[i] > 0.0) {
            let (value, slope) = sample.charge(column[i]);
            let factor = sample.class_weight(i) * slope;
            loss += sample.class_weight(i) * value;
            sample.pull(&mut gradient, i, class, factor);
            violations[i] += factor;
        }
    }
    for (i, violation) in violations.into_iter().enumerate() {
        sample.pull(&mut gradient, i, sample.label(i), -violation);
    }
    sample.regularised(loss, gradient)
}

/// Weston-Watkins, fully vectorised: all margins, the mask, Q, and one product XᵀQ.
#[must_use]
pub fn weston_watkins_matrix(sample: &ReferenceProblem<'_>) -> LossAndGradient {
    let (n, d, k) = (sample.n_samples(), sample.n_features(), sample.n_classes);
    // Scores: S = XW.
    let mut cells = product(sample.x, sample.weight, [n, d, k]);
    let (mut loss, mut q) = (0.0, vec![0.0; n * k]);
    for (i, (scores, q)) in cells.chunks_exact_mut(k).zip(q.chunks_exact_mut(k)).enumerate() {
        let label = sample.label(i);
        let correct = scores[label];
        // Margins in place of scores, and the label's own one masked before anything is summed.
        scores.iter_mut().enumerate().for_each(|(j, s)| *s = *s - correct + sample.delta(i, j));
        scores[label] = 0.0;
        for (q, margin) in q.iter_mut().zip(scores).filter(|(_, margin)| **margin > 0.0) {
            let (value, slope) = sample.charge(*margin);
            loss += sample.class_weight(i) * value;
            *q = sample.class_weight(i) * slope;
        }
        q[label] = -q.iter().sum::<f64>();
    }
    let transposed: Vec<f64> = (0..d).flat_map(|j| (0..n).map(move |i| sample.x[i * d + j])).collect();
    sample.regularised(loss, product(&transposed, &q, [d, n, k]))
}

/// The product of row-major matrices `[rows, inner]` and `[inner, columns]`.
fn product(a: &[f64], b: &[f64], [rows, inner, columns]: [usize; 3]) -> Vec<f64> {
    let mut out = vec![0.0; rows * columns];
    for i in 0..rows {
        for j in 0..inner {
            for c in 0..columns {
                out[i * columns + c] += a[i * inner + j] * b[j * columns + c];
            }
        }
    }
    out
}

/// Crammer-Singer in loops: the worst other class, the lowest index on a tie.
#[must_use]
pub fn crammer_singer_naive(sample: &ReferenceProblem<'_>) -> LossAndGradient {
    let mut loss = 0.0;
    let mut gradient = vec![0.0; sample.weight.len()];
    for i in 0..sample.n_samples() {
        let label = sample.label(i);
        let correct = sample.score(i, label);
        let (mut worst, mut largest) = (label, f64::NEG_INFINITY);
        for class in 0..sample.n_classes {
            let margin = sample.score(i, class) - correct + sample.delta(i, class);
            if class != label && margin > largest {
                (worst, largest) = (class, margin);
            }
        }
        if largest > 0.0 {
            let (value, slope) = sample.charge(largest);
            let weight = sample.class_weight(i);
            loss += weight * value;
            sample.pull(&mut gradient, i, worst, weight * slope);
            sample.pull(&mut gradient, i, label, -weight * slope);
        }
    }
    sample.regularised(loss, gradient)
}

/// One-vs-rest in loops: a binary hinge a class, of the score itself.
#[must_use]
pub fn one_vs_rest_naive(sample: &ReferenceProblem<'_>) -> LossAndGradient {
    let mut loss = 0.0;
    let mut gradient = vec![0.0; sample.weight.len()];
    for i in 0..sample.n_samples() {
        for class in 0..sample.n_classes {
            let sign = if class == sample.label(i) { 1.0 } else { -1.0 };
            let margin = sample.margin - sign * sample.score(i, class);
            if margin > 0.0 {
                let (value, slope) = sample.charge(margin);
                let weight = sample.class_weight(i);
                loss += weight * value;
                sample.pull(&mut gradient, i, class, -sign * weight * slope);
            }
        }
    }
    sample.regularised(loss, gradient)
}

/// Top-k in loops at power 1: k times the worst class that was not yet taken, the lowest index on a tie.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn top_k_naive(sample: &ReferenceProblem<'_>, k: usize) -> LossAndGradient {
    let mut loss = 0.0;
    let mut gradient = vec![0.0; sample.weight.len()];
    for i in 0..sample.n_samples() {
        let label = sample.label(i);
        let correct = sample.score(i, label);
        let mut taken = vec![false; sample.n_classes];
        taken[label] = true;
        for _ in 0..k {
            let (mut worst, mut largest) = (label, 0.0);
            for class in (0..sample.n_classes).filter(|&class| !taken[class]) {
                let margin = sample.score(i, class) - correct + sample.delta(i, class);
                if margin > largest {
                    (worst, largest) = (class, margin);
                }
            }
            if worst == label {
                break;
            }
            taken[worst] = true;
            let share = sample.class_weight(i) / k as f64;
            loss += share * largest;
            sample.pull(&mut gradient, i, worst, share);
            sample.pull(&mut gradient, i, label, -share);
        }
    }
    sample.regularised(loss, gradient)
}

/// Nesterov's smoothing with `gamma` in loops: p_j = clip((z_j − t)/γ, 0, hi), with t by bisection where Σp may not exceed 1.
///
/// `own` is one-vs-rest, where each class has its own margin; the others compare with the label's score. With `most` the p_j are at most
/// 1/most and add up to at most 1: `Some(1)` is Crammer-Singer, `Some(k)` top-k, `None` a sum of Huber's hinges.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn smoothed_naive(sample: &ReferenceProblem<'_>, own: bool, most: Option<usize>, gamma: f64) -> LossAndGradient {
    let hi = 1.0 / most.unwrap_or(1) as f64;
    let mut loss = 0.0;
    let mut gradient = vec![0.0; sample.weight.len()];
    for i in 0..sample.n_samples() {
        let label = sample.label(i);
        let correct = sample.score(i, label);
        let charged: Vec<usize> = (0..sample.n_classes).filter(|&j| own || j != label).collect();
        let margin = |class: usize| match own {
            true if class == label => sample.margin - correct,
            true => sample.margin + sample.score(i, class),
            false => sample.score(i, class) - correct + sample.delta(i, class),
        };
        // t is measured from the largest margin, since γ may be tiny compared with it.
        let top = charged.iter().map(|&j| margin(j)).fold(0.0, f64::max);
        let p = |class: usize, t: f64| ((margin(class) - top - t) / gamma).clamp(0.0, hi);
        let sum = |t: f64| charged.iter().map(|&j| p(j, t)).sum::<f64>();
        let (mut low, mut high) = (-top, 0.0);
        if most.is_none() || sum(low) <= 1.0 {
            high = low;
        }
        loop {
            let t = f64::midpoint(low, high);
            if t <= low || t >= high {
                break;
            }
            if sum(t) > 1.0 { low = t } else { high = t }
        }
        for &class in &charged {
            let (p, weight) = (p(class, high), sample.class_weight(i));
            if p > 0.0 {
                loss += weight * (p * margin(class) - gamma / 2.0 * p * p);
                sample.pull(&mut gradient, i, class, if class == label { -weight * p } else { weight * p });
                if !own {
                    sample.pull(&mut gradient, i, label, -weight * p);
                }
            }
        }
    }
    sample.regularised(loss, gradient)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small integers, so that ties and met margins occur and sums are exact.
    fn problem(power: Power, class_weights: Option<&[f64]>, check: impl Fn(&ReferenceProblem<'_>)) {
        for seed in 0..40u32 {
            let value = |i: u32, range: u32| f64::from(i.wrapping_mul(2_654_435_761).rotate_left(9) % range) - 2.0;
            let x: Vec<f64> = (0..7 * 4).map(|i| value(i + 31 * seed, 5)).collect();
            let weight: Vec<f64> = (0..4 * 3).map(|i| value(i + 77 * seed, 4)).collect();
            let labels: Vec<u32> = (0..7).map(|i| (i + seed) % 3).collect();
            check(&ReferenceProblem {
                x: &x,
                labels: &labels,
                weight: &weight,
                n_classes: 3,
                class_weights,
                margin: 1.0,
                costs: None,
                power,
                lambda: 0.5,
            });
        }
    }

    #[test]
    fn three_forms_give_the_same_numbers() {
        for power in [Power::One, Power::Two] {
            for weights in [None, Some(&[1.0, 0.25, 2.0][..])] {
                problem(power, weights, |sample| {
                    let naive = weston_watkins_naive(sample);
                    assert_eq!(weston_watkins_by_class(sample), naive);
                    assert_eq!(weston_watkins_matrix(sample), naive);
                });
            }
        }
    }

    #[test]
    fn two_classes_make_the_worst_class_the_only_one() {
        let x = [0.5, -1.0, 2.0, 0.25];
        let (labels, weight) = ([0, 1], [0.5, -1.0, 0.25, 2.0]);
        let (margin, power) = (1.0, Power::One);
        let sample = ReferenceProblem {
            x: &x,
            labels: &labels,
            weight: &weight,
            n_classes: 2,
            class_weights: None,
            margin,
            costs: None,
            power,
            lambda: 0.1,
        };
        assert_eq!(crammer_singer_naive(&sample), weston_watkins_naive(&sample));
    }
}
