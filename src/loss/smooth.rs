//! Nesterov's smoothing: a hinge loss is a maximum of linear functions of its margins, and a small quadratic rounds its kinks off.
//!
//! ```text
//! ℓ_γ(z) = max over p in P of  p·z − (γ/2)·‖p‖²          ∂ℓ_γ/∂z = the p that attains it (Danskin)
//! p_j = clip((z_j − t)/γ, 0, hi),    t = 0 where that keeps Σp ≤ 1, else the t at which Σp = 1
//! ```
//!
//! | loss | P | hi |
//! |---|---|---|
//! | Weston-Watkins, one-vs-rest | 0 ≤ p_j ≤ 1 | 1, and t = 0 |
//! | Crammer-Singer | p ≥ 0, Σp ≤ 1 | 1 |
//! | top-k | 0 ≤ p_j ≤ 1/k, Σp ≤ 1 | 1/k |
//!
//! γ → 0 gives the loss itself, which lies above by at most (γ/2)·max‖p‖². The slope is Lipschitz with 1/γ, so that nothing has a kink.
//! The root t lies within γ/k below the k-th largest margin, which is where both searches below begin.
//!
//! References: Y. Nesterov, *Smooth minimization of non-smooth functions*, Math. Prog. 103, 2005; S. Shalev-Shwartz and T. Zhang,
//! *Accelerated proximal stochastic dual coordinate ascent*, Math. Prog. 155, 2016; M. Lapin, M. Hein and B. Schiele, CVPR 2016.

use super::margins::index_mask;
use burn::tensor::activation::relu;
use burn::tensor::{Bool, DType, Tensor};

/// Infinite margins are taken to be this large when p is computed; the value keeps them.
const LARGEST: f64 = 1e30;

/// γ and the set P of a loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Smoothing {
    /// γ > 0
    pub gamma: f64,
    /// `Some(k)`: p_j ≤ 1/k and Σp ≤ 1; `None`: p_j ≤ 1, each by itself.
    pub top: Option<usize>,
}

/// The k largest entries of each row, the lowest index first on a tie: their mask, and the smallest of them as `[n_samples, 1]`.
///
/// Takes k passes over the row and no sort, which some backends would make on the host.
pub(crate) fn largest(z: Tensor<2>, k: usize) -> (Tensor<2, Bool>, Tensor<2>) {
    let n_classes = z.dims()[1];
    let (mut value, index) = z.clone().max_dim_with_indices(1);
    let mut chosen = index_mask(index, n_classes);
    for _ in 1..k.min(n_classes) {
        let rest = z.clone().mask_fill(chosen.clone(), f64::NEG_INFINITY);
        let (next, index) = rest.max_dim_with_indices(1);
        chosen = chosen.bool_or(index_mask(index, n_classes));
        value = next;
    }
    (chosen, value)
}

impl Smoothing {
    #[allow(clippy::cast_precision_loss)]
    fn hi(self) -> f64 {
        1.0 / self.top.unwrap_or(1) as f64
    }

    /// p for margins `[n_samples, n_classes]`; −∞ where a class is not charged. Nothing is differentiated.
    pub(crate) fn slopes(self, z: Tensor<2>) -> Tensor<2> {
        let (rate, hi) = (1.0 / self.gamma, self.hi());
        let z = z.clamp_max(LARGEST);
        let apart = z.clone().mul_scalar(rate).clamp(0.0, hi);
        let Some(k) = self.top else {
            return apart;
        };
        let within = apart.clone().sum_dim(1).lower_equal_scalar(1.0).expand(apart.dims());
        let (_, smallest) = largest(z.clone(), k);
        // The difference first: margins that are large compared with γ lose nothing.
        let bounded = below(z.sub(smallest).mul_scalar(rate), hi);
        bounded.mask_where(within, apart)
    }

    /// ℓ_γ of each row, `[n_samples, 1]`; p is a constant of it, so that its derivative with respect to `z` is p.
    pub(crate) fn of_tensor(self, z: Tensor<2>) -> Tensor<2> {
        let p = self.slopes(z.clone().without_autodiff());
        // A p other than 0 has z above 0; relu makes −∞·0 a 0.
        let linear = relu(z).mul(p.clone());
        linear.sub(p.clone().mul(p).mul_scalar(self.gamma / 2.0)).sum_dim(1)
    }

    /// Turns the margins of a row into p, on the host in f64.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn slopes_of_row(self, z: &mut [f64]) {
        let (gamma, hi) = (self.gamma, self.hi());
        let mut threshold = 0.0;
        if let Some(k) = self.top {
            let clipped = |z: f64, t: f64| ((z - t) / gamma).clamp(0.0, hi);
            z.iter_mut().filter(|z| **z > LARGEST).for_each(|z| *z = LARGEST);
            if z.iter().map(|&z| clipped(z, 0.0)).sum::<f64>() > 1.0 {
                let mut sorted = z.to_vec();
                sorted.sort_unstable_by(|a, b| b.total_cmp(a));
                let smallest = sorted[k.min(z.len()) - 1];
                z.iter_mut().for_each(|z| *z -= smallest);
                threshold = root(z, gamma, hi);
            }
        }
        z.iter_mut().for_each(|z| *z = ((*z - threshold) / gamma).clamp(0.0, hi));
    }

    /// ℓ_γ of the margins of a row, on the host in f64.
    pub(crate) fn of_row(self, z: &[f64]) -> f64 {
        let mut p = z.to_vec();
        self.slopes_of_row(&mut p);
        let charge = |(p, z): (&f64, &f64)| if *p == 0.0 { 0.0 } else { p * z - self.gamma / 2.0 * p * p };
        p.iter().zip(z).map(charge).sum()
    }
}

/// clip(d − τ, 0, hi) with τ in [−hi, 0] such that the sum over a row is 1: halvings down to the rounding of the type, then the
/// exact step on the piece.
fn below(d: Tensor<2>, hi: f64) -> Tensor<2> {
    let halvings = if d.dtype() == DType::F64 { 54 } else { 26 };
    let [n_samples, _] = d.dims();
    let at = |tau: &Tensor<2>| d.clone().sub(tau.clone()).clamp(0.0, hi);
    let mut tau = d.clone().slice([0..n_samples, 0..1]).zeros_like().sub_scalar(hi);
    let mut step = hi;
    for _ in 0..halvings {
        step /= 2.0;
        let next = tau.clone().add_scalar(step);
        let above = at(&next).sum_dim(1).greater_scalar(1.0);
        tau = tau.mask_where(above, next);
    }
    let p = at(&tau);
    let inside = p.clone().greater_scalar(0.0).bool_and(p.clone().lower_scalar(hi));
    let inside = inside.float().cast(p.dtype()).sum_dim(1).clamp_min(1.0);
    at(&tau.add(p.sum_dim(1).sub_scalar(1.0).div(inside)))
}

/// The τ at which Σ clip((d − τ)/γ, 0, hi) = 1, where the sum is above 1 for small τ: the last breakpoint before it, then the
/// exact step on the piece.
#[allow(clippy::cast_precision_loss)]
fn root(d: &[f64], gamma: f64, hi: f64) -> f64 {
    let sum = |t: f64| d.iter().map(|&d| ((d - t) / gamma).clamp(0.0, hi)).sum::<f64>();
    let width = gamma * hi;
    // All of the k largest are at hi there, and none of the others adds less than nothing: the sum is 1 or more.
    let mut breaks: Vec<f64> = d.iter().flat_map(|&d| [d, d - width]).filter(|b| (-width..=0.0).contains(b)).collect();
    breaks.sort_unstable_by(f64::total_cmp);
    let piece = breaks.partition_point(|&t| sum(t) > 1.0);
    let start = breaks[piece.saturating_sub(1)];
    let inside = d.iter().filter(|&&d| d > start && d - width <= start).count().max(1);
    start + (sum(start) - 1.0) * gamma / inside as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        /// No feasible move along a coordinate or a pair raises a concave function at its maximum.
        #[test]
        fn p_is_feasible_and_no_direction_improves_it(
            z in prop::collection::vec(prop_oneof![-3.0f64..3.0, Just(0.5), Just(1.0)], 1..8),
            gamma in prop_oneof![Just(0.01), Just(0.3), Just(1.0), Just(20.0)],
            top in prop::option::of(1usize..5),
        ) {
            let smooth = Smoothing { gamma, top };
            let value = |p: &[f64]| p.iter().zip(&z).map(|(p, z)| p * z - gamma / 2.0 * p * p).sum::<f64>();
            let feasible = |p: &[f64]| {
                let inside = p.iter().all(|p| (-1e-15..=smooth.hi() + 1e-15).contains(p));
                inside && (top.is_none() || p.iter().sum::<f64>() <= 1.0 + 1e-12)
            };
            let mut p = z.clone();
            smooth.slopes_of_row(&mut p);
            prop_assert!(feasible(&p), "{p:?}");
            let best = value(&p);
            prop_assert!((smooth.of_row(&z) - best).abs() <= 1e-12 * (1.0 + best.abs()));
            for i in 0..z.len() {
                for j in 0..z.len() {
                    for h in [1e-4, -1e-4, 1e-6, -1e-6] {
                        let mut other = p.clone();
                        other[i] += h;
                        if j != i {
                            other[j] -= h;
                        }
                        if feasible(&other) {
                            prop_assert!(value(&other) <= best + 1e-12 * (1.0 + best.abs()), "{p:?} -> {other:?}");
                        }
                    }
                }
            }
        }
    }
}
