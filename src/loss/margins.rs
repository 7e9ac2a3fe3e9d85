//! The margins G of a row, of which a loss is a function.
//!
//! | margins | G_j | ∂/∂s of Σ_j p_j·G_j |
//! |---|---|---|
//! | difference | Δ + s_j − s_y, j ≠ y | p_j at j ≠ y, −Σp at y |
//! | costs | Δ(y, j) + s_j − s_y, j ≠ y | the same |
//! | one-vs-rest | Δ − f_j·s_j, f_y = 1, f_j = −1 else | −f_j·p_j |
//!
//! A class that has no margin, the label's own of a difference, has G = −∞: it is never charged.

use super::{Hinge, dual::padded};
use crate::kernel::Real;
use burn::tensor::{Bool, Int, Tensor};
use std::sync::Arc;

/// Margins of scores, with Δ in units of the scores.
#[derive(Debug, Clone, PartialEq)]
pub enum Margins {
    /// Δ + s_j − s_y for every class j but the label y.
    Difference(f64),
    /// Δ(y, j) + s_j − s_y for every class j but the label y.
    Costs(Costs),
    /// Δ − s_y of the label, Δ + s_j of every other class.
    OneVsRest(f64),
}

/// The costs Δ(y, j) of taking a row of class y for one of class j, in units of the scores.
#[derive(Debug, Clone, PartialEq)]
pub struct Costs {
    n_classes: usize,
    /// `[n_classes, padded(n_classes)]`, padded with 0.
    values: Arc<[f64]>,
    largest: f64,
    /// The reason why this is no matrix of costs.
    pub(super) problem: Option<String>,
}

impl Costs {
    /// From a row for each label y, a number for each class j; [`super::Loss::check`] refuses other shapes and values.
    #[must_use]
    pub fn new(rows: &[Vec<f64>]) -> Self {
        let n_classes = rows.len();
        let mut values = vec![0.0; n_classes * padded(n_classes)];
        values.chunks_exact_mut(padded(n_classes).max(1)).zip(rows).for_each(|(out, row)| {
            out.iter_mut().zip(row.iter().take(n_classes)).for_each(|(out, &cost)| *out = cost);
        });
        let cell = |y: usize, j: usize| {
            let (found, at) = (rows[y][j], format!("costs: found {} for label {y} and class {j}", rows[y][j]));
            match (found.is_finite() && found >= 0.0, y == j) {
                (true, true) if found != 0.0 => Some(format!("{at}, expected 0: the right class costs nothing")),
                (true, _) => None,
                (false, _) => Some(format!("{at}, expected a finite number, at least 0")),
            }
        };
        let ragged = rows.iter().position(|row| row.len() != n_classes).map(|y| {
            format!("costs: found {} numbers for label {y} of {n_classes}, expected {n_classes}", rows[y].len())
        });
        let nothing = || "costs: all are 0, expected one above 0: every row would be right at W = 0".to_owned();
        let problem = ragged
            .or_else(|| (0..n_classes * n_classes).find_map(|i| cell(i / n_classes, i % n_classes)))
            .or_else(|| values.iter().all(|&cost| cost == 0.0).then(nothing));
        let largest = values.iter().copied().fold(0.0, f64::max);
        Self { n_classes, values: values.into(), largest, problem }
    }

    /// Number of classes.
    #[must_use]
    pub const fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Δ(y, ·), padded with 0.
    #[inline(always)]
    pub(super) fn of_label(&self, label: usize) -> &[f64] {
        let stride = padded(self.n_classes);
        &self.values[label * stride..(label + 1) * stride]
    }

    /// A row for each label, `n_classes` numbers each.
    #[must_use]
    pub fn rows(&self) -> Vec<Vec<f64>> {
        (0..self.n_classes).map(|y| self.of_label(y)[..self.n_classes].to_vec()).collect()
    }
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
            Self::Difference(_) | Self::Costs(_) => true,
            Self::OneVsRest(_) => false,
        }
    }

    /// Δ where all margins have the same.
    #[must_use]
    pub const fn constant(&self) -> Option<f64> {
        match self {
            Self::Difference(delta) | Self::OneVsRest(delta) => Some(*delta),
            Self::Costs(_) => None,
        }
    }

    /// The largest Δ.
    #[must_use]
    pub const fn largest(&self) -> f64 {
        match self {
            Self::Difference(delta) | Self::OneVsRest(delta) => *delta,
            Self::Costs(costs) => costs.largest,
        }
    }

    /// G of a row in f64, `[n_classes]`.
    pub fn of_row<'a>(&'a self, scores: &'a [f64], label: usize) -> impl Iterator<Item = f64> + Clone + 'a {
        let (delta, costs, own, at_label) = match self {
            Self::Difference(delta) => (*delta, None, scores[label], f64::NEG_INFINITY),
            Self::Costs(costs) => (0.0, Some(costs.of_label(label)), scores[label], f64::NEG_INFINITY),
            Self::OneVsRest(delta) => (*delta, None, 0.0, delta - scores[label]),
        };
        let margin = move |(j, s): (usize, &f64)| costs.map_or(delta, |costs| costs[j]) + s - own;
        scores.iter().enumerate().map(move |(j, s)| if j == label { at_label } else { margin((j, s)) })
    }

    /// Σ_j a_j·∂G_j/∂Δ·Δ: the part of Σ_j a_j·G_j that does not depend on the scores.
    #[must_use]
    pub fn linear(&self, label: usize, a: &[f64]) -> f64 {
        match self {
            Self::Difference(delta) | Self::OneVsRest(delta) => delta * a.iter().sum::<f64>(),
            Self::Costs(costs) => costs.of_label(label).iter().zip(a).map(|(cost, a)| cost * a).sum(),
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
    pub(super) fn charge<T: Real>(&self, scores: &mut [T], label: usize, hinge: Hinge) -> T {
        match self {
            Self::Difference(delta) => {
                let delta = T::from_f64(*delta);
                differences(scores, label, hinge, |_| delta)
            }
            Self::Costs(costs) => {
                let costs = costs.of_label(label);
                differences(scores, label, hinge, |j| T::from_f64(costs.get(j).copied().unwrap_or(0.0)))
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

    /// G of scores `[n_samples, n_classes]` in Burn's operations; `costs` is Δ(y, ·) of each row where there are costs.
    pub(super) fn of_tensor(&self, scores: Tensor<2>, labels: &Tensor<1, Int>, costs: Option<Tensor<2>>) -> Tensor<2> {
        let [n_samples, n_classes] = scores.dims();
        let mask = label_mask(labels, n_classes);
        let signed = if self.differences() {
            let own = scores.clone().gather(1, labels.clone().reshape([n_samples, 1]));
            scores.sub(own)
        } else {
            let negated = scores.clone().neg();
            scores.mask_where(mask.clone(), negated)
        };
        let margins = match costs {
            Some(costs) => signed.add(costs),
            None => signed.add_scalar(self.largest()),
        };
        if self.differences() { margins.mask_fill(mask, f64::NEG_INFINITY) } else { margins }
    }

    /// Turns slopes by G `[n_samples, n_classes]` into those by the scores.
    pub(super) fn pull_back_tensor(&self, slopes: Tensor<2>, labels: &Tensor<1, Int>) -> Tensor<2> {
        let shape = slopes.dims();
        let own = if self.differences() { slopes.clone().sum_dim(1).neg().expand(shape) } else { slopes.clone().neg() };
        slopes.mask_where(label_mask(labels, shape[1]), own)
    }
}

/// [`Margins::charge`] of differences with the Δ of each class.
#[inline(always)]
fn differences<T: Real>(scores: &mut [T], label: usize, hinge: Hinge, delta: impl Fn(usize) -> T) -> T {
    let own = std::mem::replace(&mut scores[label], T::from_f64(f64::NEG_INFINITY));
    let (value, total) = hinge.charge(scores, |j, score| shifted(score, own, delta(j)));
    scores[label] = -total;
    value
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
