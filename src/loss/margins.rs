//! The margins G of a row: what a loss sees of its scores.
//!
//! | margins | G_j | ∂/∂s of Σ_j p_j·G_j |
//! |---|---|---|
//! | difference | Δ + s_j − s_y, j ≠ y | p_j at j ≠ y, −Σp at y |
//! | one-vs-rest | Δ − f_j·s_j, f_y = 1, f_j = −1 else | −f_j·p_j |
//!
//! A class that has no margin, the label's own of a difference, has G = −∞: it is never charged.

use super::Plain;
use crate::kernel::Real;
use burn::tensor::{Bool, Int, Tensor};

/// Margins of scores, with Δ in units of the scores.
#[derive(Debug, Clone, PartialEq)]
pub enum Margins {
    /// Δ + s_j − s_y for every class j but the label y.
    Difference(f64),
    /// Δ − s_y of the label, Δ + s_j of every other class.
    OneVsRest(f64),
}

/// (s − own) + Δ; −∞ for a score of −∞ even where the label's own is that.
#[inline(always)]
fn shifted<T: Real>(score: T, own: T, delta: T) -> T {
    if score == T::from_f64(f64::NEG_INFINITY) { score } else { (score - own) + delta }
}

impl Margins {
    /// Whether margins compare the label's score with another; each class has its own margin otherwise.
    #[must_use]
    pub const fn differences(&self) -> bool {
        match self {
            Self::Difference(_) => true,
            Self::OneVsRest(_) => false,
        }
    }

    /// Δ where all margins have the same.
    #[must_use]
    pub const fn constant(&self) -> Option<f64> {
        match self {
            Self::Difference(delta) | Self::OneVsRest(delta) => Some(*delta),
        }
    }

    /// The largest Δ.
    #[must_use]
    pub fn largest(&self) -> f64 {
        match self {
            Self::Difference(delta) | Self::OneVsRest(delta) => *delta,
        }
    }

    /// G_j in f64.
    fn at(&self, scores: &[f64], label: usize, j: usize) -> f64 {
        match self {
            Self::Difference(_) if j == label => f64::NEG_INFINITY,
            Self::Difference(delta) => delta + scores[j] - scores[label],
            Self::OneVsRest(delta) if j == label => delta - scores[j],
            Self::OneVsRest(delta) => delta + scores[j],
        }
    }

    /// G of a row in f64, `[n_classes]`.
    pub fn of_row<'a>(&'a self, scores: &'a [f64], label: usize) -> impl Iterator<Item = f64> + Clone + 'a {
        (0..scores.len()).map(move |j| self.at(scores, label, j))
    }

    /// Σ_j a_j·∂G_j/∂Δ·Δ: the part of Σ_j a_j·G_j that does not depend on the scores.
    #[must_use]
    pub fn linear(&self, _label: usize, a: &[f64]) -> f64 {
        match self {
            Self::Difference(delta) | Self::OneVsRest(delta) => delta * a.iter().sum::<f64>(),
        }
    }

    /// Turns the slopes by G into those by the scores.
    pub(super) fn pull_back(&self, slopes: &mut [f64], label: usize) {
        slopes[label] = if self.differences() { -slopes.iter().sum::<f64>() } else { -slopes[label] };
    }

    /// β of dual variables, a row of `W(a) = Σ x_i β_iᵀ`: minus what [`Margins::pull_back`] makes of them.
    pub(super) fn coefficients(&self, label: usize, a: &[f64], beta: &mut [f64]) {
        beta.iter_mut().zip(a).for_each(|(b, a)| *b = -a);
        beta[label] = if self.differences() { a.iter().sum::<f64>() - a[label] } else { a[label] };
    }

    /// Turns scores into the slopes of a plain hinge by them, and returns its value. Scores of −∞ stand for no class.
    #[inline(always)]
    pub(super) fn charge<T: Real>(&self, scores: &mut [T], label: usize, hinge: Plain) -> T {
        match self {
            Self::Difference(delta) => {
                let delta = T::from_f64(*delta);
                let own = std::mem::replace(&mut scores[label], T::from_f64(f64::NEG_INFINITY));
                let (value, total) = hinge.charge(scores, |_, score| shifted(score, own, delta));
                scores[label] = -total;
                value
            }
            Self::OneVsRest(delta) => {
                let delta = T::from_f64(*delta);
                scores[label] = -scores[label];
                let (value, _) = hinge.charge(scores, |_, score| shifted(score, T::default(), delta));
                scores[label] = -scores[label];
                value
            }
        }
    }

    /// G of scores `[n_samples, n_classes]` in Burn's operations.
    pub(super) fn of_tensor(&self, scores: Tensor<2>, labels: &Tensor<1, Int>) -> Tensor<2> {
        let mask = label_mask(labels, scores.dims()[1]);
        match self {
            Self::Difference(delta) => {
                scores.clone().sub(own_scores(scores, labels)).add_scalar(*delta).mask_fill(mask, f64::NEG_INFINITY)
            }
            Self::OneVsRest(delta) => {
                let negated = scores.clone().neg();
                scores.mask_where(mask, negated).add_scalar(*delta)
            }
        }
    }

    /// Turns slopes by G `[n_samples, n_classes]` into those by the scores.
    pub(super) fn pull_back_tensor(&self, slopes: Tensor<2>, labels: &Tensor<1, Int>) -> Tensor<2> {
        let shape = slopes.dims();
        let own = if self.differences() { slopes.clone().sum_dim(1).neg().expand(shape) } else { slopes.clone().neg() };
        slopes.mask_where(label_mask(labels, shape[1]), own)
    }
}

/// s_y of each row, `[n_samples, 1]`.
fn own_scores(scores: Tensor<2>, labels: &Tensor<1, Int>) -> Tensor<2> {
    let [n_samples, _] = scores.dims();
    scores.gather(1, labels.clone().reshape([n_samples, 1]))
}

/// `true` where a column is the row's label, `[n_samples, n_classes]`; no device synchronisation.
pub(crate) fn label_mask(labels: &Tensor<1, Int>, n_classes: usize) -> Tensor<2, Bool> {
    let [n_samples] = labels.dims();
    index_mask(labels.clone().reshape([n_samples, 1]), n_classes)
}

/// `true` where a column is the row's index; `indices` `[n_samples, 1]`.
pub(super) fn index_mask(indices: Tensor<2, Int>, n_classes: usize) -> Tensor<2, Bool> {
    let [n_samples, _] = indices.dims();
    let shape = [n_samples, n_classes];
    #[allow(clippy::cast_possible_wrap)]
    let classes = Tensor::<1, Int>::arange(0..n_classes as i64, &indices.device()).reshape([1, n_classes]);
    classes.expand(shape).equal(indices.expand(shape))
}
