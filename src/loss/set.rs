//! The set A of a loss and its penalty: `c·ℓ = max over a in A of Σ_j a_j·G_j − pen(a)`.
//!
//! | selection | A | Σ of |
//! |---|---|---|
//! | all | 0 ≤ a_j ≤ c | all positive margins |
//! | worst | a ≥ 0, Σa ≤ c | the largest one |
//! | top k | 0 ≤ a_j ≤ c/k, Σa ≤ c | the k largest ones, divided by k |
//!
//! A penalty rounds the maximum: `Σa²/(4c)` (without the bounds) makes each hinge its square, `(Σa)²/(4c)` makes the largest one its
//! square, `γΣa²/(2c)` is Nesterov's smoothing.

use super::block::FeasibleBlock;
use super::margins::index_mask;
use super::smooth::{Smoothing, largest};
use super::{Hinge, Power};
use burn::tensor::Tensor;

/// Which of the positive margins of a row are charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// Each by itself.
    All,
    /// The largest, the lowest class on a tie.
    Worst,
    /// The k largest, each with 1/k; k is 1 or more.
    Top(usize),
}

impl Selection {
    /// The powers of a margin that it is defined for.
    #[must_use]
    pub const fn powers(self) -> &'static [Power] {
        match self {
            Self::All | Self::Worst => &[Power::One, Power::Two],
            Self::Top(_) => &[Power::One],
        }
    }

    /// Largest number of margins that are charged, each with one over this; `None` without a limit.
    #[must_use]
    pub const fn count(self) -> Option<usize> {
        match self {
            Self::All => None,
            Self::Worst => Some(1),
            Self::Top(k) => Some(k),
        }
    }
}

/// pen(a)
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum DualPenalty {
    /// 0
    None,
    /// Σa²/(4c)
    Square,
    /// (Σa)²/(4c)
    SquareOfSum,
    /// γΣa²/(2c)
    Smooth(f64),
}

/// Selection and rounding of the margins of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Set {
    /// Which margins are charged.
    pub selection: Selection,
    /// The exponent p of a margin.
    pub power: Power,
    /// γ of Nesterov's smoothing, at power 1; 0 is none.
    pub smoothing: f64,
}

impl Set {
    /// pen
    pub(super) const fn penalty(&self) -> DualPenalty {
        match (self.power, self.selection) {
            _ if self.smoothing > 0.0 => DualPenalty::Smooth(self.smoothing),
            (Power::Two, Selection::All) => DualPenalty::Square,
            (Power::Two, Selection::Worst) => DualPenalty::SquareOfSum,
            (Power::One, _) | (Power::Two, Selection::Top(_)) => DualPenalty::None,
        }
    }

    /// Whether the maximiser is unique, so that the loss has a continuous gradient. The worst class changes at a tie, and the gradient
    /// jumps there at any power.
    #[must_use]
    pub const fn is_smooth(&self) -> bool {
        matches!(self.penalty(), DualPenalty::Square | DualPenalty::Smooth(_))
    }

    /// Whether A has an upper bound: without one any θa, θ ≥ 0, is in A.
    #[must_use]
    pub const fn is_bounded(&self) -> bool {
        matches!(self.penalty(), DualPenalty::None | DualPenalty::Smooth(_))
    }

    /// The upper bounds of each a_j and of Σa.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn limits(&self, c: f64) -> (f64, f64) {
        match self.selection {
            _ if !self.is_bounded() => (f64::INFINITY, f64::INFINITY),
            Selection::All => (c, f64::INFINITY),
            Selection::Worst => (f64::INFINITY, c),
            Selection::Top(k) => (c / k as f64, c),
        }
    }

    /// ∂²pen/∂a_j² where pen is a sum over the classes.
    pub(crate) fn curvature(&self, c: f64) -> f64 {
        match self.penalty() {
            DualPenalty::None | DualPenalty::SquareOfSum => 0.0,
            DualPenalty::Square => 1.0 / (2.0 * c),
            DualPenalty::Smooth(gamma) => gamma / c,
        }
    }

    /// ∂²pen/∂(Σa)² where pen is a function of the sum.
    pub(crate) fn curvature_of_sum(&self, c: f64) -> f64 {
        if self.penalty() == DualPenalty::SquareOfSum { 1.0 / (2.0 * c) } else { 0.0 }
    }

    /// The block of a row with ‖x‖² = q.
    #[inline(always)]
    pub(super) fn block(&self, q: f64, c: f64) -> FeasibleBlock {
        let ((hi, cap), squared) = (self.limits(c), 1.0 / (2.0 * c * q));
        let (r, kappa) = match self.penalty() {
            DualPenalty::None => (1.0, 1.0),
            DualPenalty::Square => (1.0 + squared, 1.0),
            DualPenalty::SquareOfSum => (1.0, 1.0 + squared),
            DualPenalty::Smooth(gamma) => (1.0 + gamma / (c * q), 1.0),
        };
        FeasibleBlock { r, kappa, hi, cap }
    }

    /// pen(a)
    #[inline(always)]
    pub(super) fn penalty_of(&self, c: f64, a: &[f64]) -> f64 {
        let square = |a: &[f64]| a.iter().map(|a| a * a).sum::<f64>();
        match self.penalty() {
            DualPenalty::None => 0.0,
            DualPenalty::Square => square(a) / (4.0 * c),
            DualPenalty::SquareOfSum => a.iter().sum::<f64>().powi(2) / (4.0 * c),
            DualPenalty::Smooth(gamma) => gamma * square(a) / (2.0 * c),
        }
    }

    /// The hinge that takes one pass over the margins in any precision; `None` for the k largest and what is smoothed.
    #[inline(always)]
    pub(super) const fn plain(&self) -> Option<Hinge> {
        match self.selection {
            _ if self.smoothing > 0.0 => None,
            Selection::All => Some(Hinge::All(self.power)),
            Selection::Worst => Some(Hinge::Worst(self.power)),
            Selection::Top(_) => None,
        }
    }

    /// The projection of Nesterov's smoothing, where there is one.
    pub(super) fn smooth(&self) -> Option<Smoothing> {
        (self.smoothing > 0.0).then_some(Smoothing { gamma: self.smoothing, top: self.selection.count() })
    }

    /// ℓ of margins; −∞ where a class is not charged.
    pub fn value(&self, margins: impl Iterator<Item = f64> + Clone) -> f64 {
        if let Some(smooth) = self.smooth() {
            return smooth.of_row(&margins.collect::<Vec<f64>>());
        }
        match self.selection {
            Selection::All => margins.map(|z| self.power.of(z)).sum(),
            Selection::Worst => {
                let worse = |worst: f64, z: f64| if z > worst || z.is_nan() { z } else { worst };
                self.power.of(margins.fold(f64::NEG_INFINITY, worse))
            }
            Selection::Top(k) => mean_of_largest(margins, k),
        }
    }

    /// Turns margins into ∂ℓ/∂G, a maximiser divided by c.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn slopes(&self, margins: &mut [f64]) {
        if let Some(smooth) = self.smooth() {
            smooth.slopes_of_row(margins);
        } else if let Some(hinge) = self.plain() {
            hinge.charge(margins, |_, z| z);
        } else {
            let k = self.selection.count().unwrap_or(1);
            let worst: Vec<(usize, f64)> = worst_classes(margins, k).map(|j| (j, margins[j])).collect();
            margins.fill(0.0);
            worst.into_iter().for_each(|(j, z)| margins[j] = self.power.slope(z) / k as f64);
        }
    }

    /// Which margins are charged.
    fn charged(&self, margins: &[f64]) -> Vec<bool> {
        let mut charged = vec![false; margins.len()];
        worst_classes(margins, self.selection.count().unwrap_or(margins.len()))
            .for_each(|j| charged[j] = margins[j] > 0.0);
        charged
    }

    /// The classes whose part in the active pattern differs between two rows of margins, where the gradient jumps there.
    pub(super) fn kinks(&self, before: &[f64], after: &[f64]) -> Vec<usize> {
        let (before, after) = (self.charged(before), self.charged(after));
        let jumps = match self.penalty() {
            DualPenalty::None => true,
            DualPenalty::Square | DualPenalty::Smooth(_) => false,
            // A mere sign change is no kink of a square, another worst class is.
            DualPenalty::SquareOfSum => before.contains(&true) && after.contains(&true),
        };
        (0..before.len()).filter(|&j| jumps && before[j] != after[j]).collect()
    }

    /// ℓ of margins `[n_samples, n_classes]`, `[n_samples, 1]`, in operations that Burn differentiates.
    pub(super) fn of_tensor(&self, margins: Tensor<2>) -> Tensor<2> {
        if let Some(smooth) = self.smooth() {
            return smooth.of_tensor(margins);
        }
        match self.selection {
            Selection::All => self.power.of_tensor(margins).sum_dim(1),
            Selection::Worst => self.power.of_tensor(margins.max_dim(1)),
            Selection::Top(k) => {
                let (worst, _) = largest(margins.clone().without_autodiff(), k);
                self.power.of_tensor(margins).mask_fill(worst.bool_not(), 0.0).sum_dim(1).mul_scalar(share(k))
            }
        }
    }

    /// ∂ℓ/∂G of margins `[n_samples, n_classes]`, by hand.
    pub(super) fn slopes_of_tensor(&self, margins: Tensor<2>) -> Tensor<2> {
        if let Some(smooth) = self.smooth() {
            return smooth.slopes(margins);
        }
        let shape = margins.dims();
        match self.selection {
            Selection::All => self.power.slope_of_tensor(margins),
            Selection::Worst => {
                let (worst, index) = margins.max_dim_with_indices(1);
                let slope = self.power.slope_of_tensor(worst).expand(shape);
                Tensor::zeros_like(&slope).mask_where(index_mask(index, shape[1]), slope)
            }
            Selection::Top(k) => {
                let (worst, _) = largest(margins.clone(), k);
                self.power.slope_of_tensor(margins).mask_fill(worst.bool_not(), 0.0).mul_scalar(share(k))
            }
        }
    }
}

#[allow(clippy::cast_precision_loss)]
fn share(k: usize) -> f64 {
    1.0 / k as f64
}

/// The k classes with the largest margins; the lowest index first on a tie, NaN before numbers.
fn worst_classes(margins: &[f64], k: usize) -> impl Iterator<Item = usize> {
    let mut order: Vec<usize> = (0..margins.len()).collect();
    let descending = |a: f64, b: f64| b.partial_cmp(&a).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()));
    // A stable sort keeps the order of the indices among equals.
    order.sort_by(|&i, &j| descending(margins[i], margins[j]));
    order.into_iter().take(k)
}

/// The sum of the k largest positive margins divided by k, without room for them.
#[allow(clippy::cast_precision_loss)]
fn mean_of_largest(margins: impl Iterator<Item = f64> + Clone, k: usize) -> f64 {
    if margins.clone().any(f64::is_nan) {
        return f64::NAN;
    }
    let (mut sum, mut left, mut limit) = (0.0, k, f64::INFINITY);
    // Equal margins are taken together, the largest first.
    while left > 0 {
        let below = margins.clone().filter(|z| *z < limit || (*z == limit && left == k));
        let largest = below.fold(0.0, f64::max);
        if largest <= 0.0 {
            break;
        }
        let taken = left.min(margins.clone().filter(|z| *z == largest).count());
        sum += taken as f64 * largest;
        (left, limit) = (left - taken, largest);
    }
    sum / k as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_margins_are_those_of_a_sort() {
        for seed in 0..200usize {
            let margins: Vec<f64> = (0..7).map(|j| ((seed * 31 + j * j * 17) % 9) as f64 / 2.0 - 2.0).collect();
            for k in 1..9 {
                let sum: f64 = worst_classes(&margins, k).map(|j| margins[j].max(0.0)).sum();
                let found = mean_of_largest(margins.iter().copied(), k);
                assert!((found - sum / k as f64).abs() <= 1e-14 * found, "{margins:?} {k}: {found}");
            }
        }
        assert_eq!(mean_of_largest([f64::INFINITY, 1.0, f64::INFINITY].into_iter(), 2), f64::INFINITY);
        assert!(mean_of_largest([f64::NAN, 1.0].into_iter(), 1).is_nan());
    }
}
