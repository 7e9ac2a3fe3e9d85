//! Top-k hinge: the mean of the k worst classes is charged. Between Crammer-Singer (k = 1) and Weston-Watkins (k = n_classes − 1).

use super::smooth::{Smooth, largest};
use super::{
    MarginLoss, Power, assert_smoothing, assert_valid, label_mask, weigh_gradient, weigh_rows, weights_tensor,
};
use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay};
use burn::nn::loss::Reduction;
use burn::tensor::{Device, Int, Tensor};

/// Configuration of [`TopK`].
#[derive(Config, Debug)]
pub struct TopKConfig {
    /// How many of the worst classes are charged, 1 or more.
    pub k: usize,
    /// The margin Δ, at least 0. Default: 1.
    #[config(default = 1.0)]
    pub margin: f64,
    /// γ of Nesterov's smoothing, at least 0. Default: 0, none.
    #[config(default = 0.0)]
    pub smoothing: f64,
    /// One weight a class, at least 0; a row's loss is multiplied by the weight of its label. Default: all 1.
    pub class_weights: Option<Vec<f64>>,
}

impl TopKConfig {
    /// The loss, with its class weights on `device`.
    ///
    /// # Panics
    /// When a value is out of its range.
    #[must_use]
    pub fn init(&self, device: &Device) -> TopK {
        assert!(self.k > 0, "k must be 1 or more, got {}", self.k);
        assert_smoothing(self.smoothing, assert_valid(self.margin, 1, self.class_weights.as_deref()));
        TopK {
            k: self.k,
            margin: self.margin,
            smoothing: self.smoothing,
            class_weights: weights_tensor(self.class_weights.as_ref(), device),
        }
    }
}

/// Top-k multiclass hinge, the form that Lapin, Hein and Schiele call β.
///
/// ```text
/// ℓ(s, y) = weight_y · (1/k)·Σ of the k largest max(0, z_j)      z_j = Δ + s_j − s_y,  j ≠ y,  Δ = margin
///
/// ∂ℓ/∂s_j = weight_y · (1/k)·1[z_j > 0]  for the k classes with the largest z, the lowest index first on a tie
/// ∂ℓ/∂s_y = −Σ_{j≠y} ∂ℓ/∂s_j
/// ```
///
/// k = 1 is Crammer-Singer, k = n_classes − 1 Weston-Watkins divided by k; a larger k adds nothing to the sum. It bounds the
/// share of rows whose label is not among the k largest scores. Where a margin is exactly met the subgradient is 0. At equal
/// scores the loss is exactly Δ. One step costs k passes over the scores.
///
/// With `smoothing` γ the loss is the maximum of p·z − (γ/2)·‖p‖² over 0 ≤ p_j ≤ 1/k with Σp ≤ 1, and p its gradient: see
/// `docs/math.md`.
///
/// # References
/// M. Lapin, M. Hein and B. Schiele, *Top-k Multiclass SVM*, NIPS 2015, and *Loss Functions for Top-k Error*, CVPR 2016.
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Int, Tensor};
/// use burn_svm::internals::{device, loss::TopKConfig};
///
/// let device = device::cpu().expect("a CPU backend is compiled in");
/// let scores = Tensor::<2>::from_data([[1.0, 0.5, 1.5, 1.25]], &device);
/// let labels = Tensor::<1, Int>::from_data([0], &device);
/// let loss = TopKConfig::new(2).init(&device);
/// assert_eq!(loss.forward(scores, labels, Reduction::Mean).into_scalar::<f32>(), 1.375); // (1.5 + 1.25)/2
/// ```
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct TopK {
    /// How many of the worst classes are charged.
    pub k: usize,
    /// The margin Δ.
    pub margin: f64,
    /// γ of Nesterov's smoothing; 0 is none.
    pub smoothing: f64,
    /// One weight a class.
    pub class_weights: Option<Tensor<1>>,
}

impl ModuleDisplay for TopK {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let weighted = self.class_weights.is_some();
        content
            .add("k", &self.k)
            .add("margin", &self.margin)
            .add("smoothing", &self.smoothing)
            .add("class_weights", &weighted)
            .optional()
    }
}

impl TopK {
    fn smooth(&self) -> Option<Smooth> {
        (self.smoothing > 0.0).then_some(Smooth { gamma: self.smoothing, top: Some(self.k) })
    }

    /// Margins z_j = Δ + s_j − s_y with −∞ at the label, so that it is never among the worst.
    fn margins(&self, scores: Tensor<2>, labels: &Tensor<1, Int>) -> Tensor<2> {
        let [n_samples, n_classes] = scores.dims();
        let mask = label_mask(labels, n_classes);
        let correct = scores.clone().gather(1, labels.clone().reshape([n_samples, 1]));
        scores.sub(correct).add_scalar(self.margin).mask_fill(mask, f64::NEG_INFINITY)
    }

    #[allow(clippy::cast_precision_loss)]
    fn share(&self) -> f64 {
        1.0 / self.k as f64
    }

    /// The loss reduced to `[1]`; see [`MarginLoss::forward`].
    ///
    /// # Shapes
    /// - `scores`: `[n_samples, n_classes]`; `labels`: `[n_samples]`, values in `0..n_classes`
    pub fn forward(&self, scores: Tensor<2>, labels: Tensor<1, Int>, reduction: Reduction) -> Tensor<1> {
        MarginLoss::forward(self, scores, labels, reduction)
    }

    /// The loss of each sample, `[n_samples]`.
    pub fn forward_no_reduction(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        MarginLoss::forward_no_reduction(self, scores, labels)
    }

    /// ∂ℓ_i/∂s_ij, `[n_samples, n_classes]`.
    pub fn gradient(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<2> {
        MarginLoss::gradient(self, scores, labels)
    }
}

impl MarginLoss for TopK {
    fn name(&self) -> &'static str {
        "top_k"
    }

    fn forward_no_reduction(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        let [n_samples, _] = scores.dims();
        let margins = self.margins(scores, &labels);
        let charged = match self.smooth() {
            Some(smooth) => smooth.of_tensor(margins),
            None => {
                let (worst, _) = largest(margins.clone().without_autodiff(), self.k);
                let charged = Power::One.of_tensor(margins).mask_fill(worst.bool_not(), 0.0);
                charged.sum_dim(1).mul_scalar(self.share())
            }
        };
        weigh_rows(charged.reshape([n_samples]), labels, self.class_weights.as_ref())
    }

    fn gradient(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<2> {
        let shape = scores.dims();
        let mask = label_mask(&labels, shape[1]);
        let margins = self.margins(scores, &labels);
        let q = match self.smooth() {
            Some(smooth) => smooth.slopes(margins),
            None => {
                let (worst, _) = largest(margins.clone(), self.k);
                Power::One.slope_of_tensor(margins).mask_fill(worst.bool_not(), 0.0).mul_scalar(self.share())
            }
        };
        let total = q.clone().sum_dim(1).neg().expand(shape);
        weigh_gradient(q.mask_where(mask, total), labels, self.class_weights.as_ref())
    }

    fn kinks(&self, before: &[f64], after: &[f64], label: usize) -> Vec<usize> {
        if self.smoothing > 0.0 {
            return Vec::new();
        }
        let charged = |scores: &[f64]| -> Vec<usize> {
            let worst = worst_classes(scores, label, self.margin, self.k).into_iter();
            worst.filter(|(_, z)| *z > 0.0).map(|(j, _)| j).collect()
        };
        let (before_set, after_set) = (charged(before), charged(after));
        (0..before.len()).filter(|j| before_set.contains(j) != after_set.contains(j)).collect()
    }
}

/// The k classes with the largest margins and those margins; the lowest index first on a tie, NaN before numbers.
fn worst_classes(scores: &[f64], label: usize, margin: f64, k: usize) -> Vec<(usize, f64)> {
    let others = scores.iter().enumerate().filter(|(j, _)| *j != label);
    let mut worst: Vec<(usize, f64)> = others.map(|(j, s)| (j, margin + s - scores[label])).collect();
    // A stable sort keeps the order of the indices among equals; NaN of either sign comes first.
    worst.sort_by(|(_, a), (_, b)| b.partial_cmp(a).unwrap_or_else(|| b.is_nan().cmp(&a.is_nan())));
    worst.truncate(k);
    worst
}

/// The loss of one row on the host in f64, before class weights.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn of_row(scores: &[f64], label: usize, margin: f64, k: usize) -> f64 {
    let worst = worst_classes(scores, label, margin, k);
    worst.into_iter().map(|(_, z)| Power::One.of(z)).sum::<f64>() / k as f64
}

/// The same from the margins of a row, −∞ at the label, for the exact solver: no allocation.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn of_margins(margins: &[f64], k: usize) -> f64 {
    if margins.iter().any(|z| z.is_nan()) {
        return f64::NAN;
    }
    let (mut sum, mut left, mut limit) = (0.0, k, f64::INFINITY);
    // Equal margins are taken together, the largest first.
    while left > 0 {
        let below = margins.iter().copied().filter(|z| *z < limit || (*z == limit && left == k));
        let largest = below.fold(0.0, f64::max);
        if largest <= 0.0 {
            break;
        }
        let taken = left.min(margins.iter().filter(|z| **z == largest).count());
        sum += taken as f64 * largest;
        (left, limit) = (left - taken, largest);
    }
    sum / k as f64
}

/// Turns the scores of a row into its gradient and returns its loss, before class weights.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn charge(scores: &mut [f64], label: usize, margin: f64, k: usize) -> f64 {
    let worst = worst_classes(scores, label, margin, k);
    scores.fill(0.0);
    let (mut loss, mut total) = (0.0, 0.0);
    for (j, z) in worst {
        scores[j] = Power::One.slope(z) / k as f64;
        loss += Power::One.of(z);
        total += scores[j];
    }
    scores[label] = -total;
    loss / k as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_and_scores_give_one_value() {
        for seed in 0..200usize {
            let scores: Vec<f64> = (0..7).map(|j| ((seed * 31 + j * j * 17) % 9) as f64 / 2.0 - 2.0).collect();
            let label = seed % 7;
            let margin = |(j, s): (usize, &f64)| if j == label { f64::NEG_INFINITY } else { 1.0 + s - scores[label] };
            let margins: Vec<f64> = scores.iter().enumerate().map(margin).collect();
            for k in 1..9 {
                let (a, b) = (of_margins(&margins, k), of_row(&scores, label, 1.0, k));
                assert!((a - b).abs() <= 1e-14 * b, "{margins:?} {k}: {a} {b}");
            }
        }
        assert_eq!(of_margins(&[f64::INFINITY, 1.0, f64::INFINITY], 2), f64::INFINITY);
        assert!(of_margins(&[f64::NAN, 1.0], 1).is_nan());
    }
}
