//! One-vs-rest: one binary hinge a class, its own class against all others. What LIBLINEAR's `-s 3` and `-s 1` minimise.

use super::smooth::Smooth;
use super::{
    MarginLoss, Power, assert_smoothing, assert_valid, charge, label_mask, weigh_gradient, weigh_rows, weights_tensor,
};
use crate::kernel::Real;
use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay};
use burn::nn::loss::Reduction;
use burn::tensor::{Device, Int, Tensor};

/// Configuration of [`OneVsRest`].
#[derive(Config, Debug)]
pub struct OneVsRestConfig {
    /// The margin Δ, at least 0. Default: 1.
    #[config(default = 1.0)]
    pub margin: f64,
    /// The power p of a margin: 1 (hinge) or 2 (squared hinge). Default: 1.
    #[config(default = 1)]
    pub power: usize,
    /// γ of Nesterov's smoothing, at least 0; above 0 at power 1 only. Default: 0, none.
    #[config(default = 0.0)]
    pub smoothing: f64,
    /// One weight a class, at least 0; the weight of a row's label multiplies all its binary losses. Default: all 1.
    pub class_weights: Option<Vec<f64>>,
}

impl OneVsRestConfig {
    /// The loss, with its class weights on `device`.
    ///
    /// # Panics
    /// When a value is out of its range.
    #[must_use]
    pub fn init(&self, device: &Device) -> OneVsRest {
        assert_smoothing(self.smoothing, assert_valid(self.margin, self.power, self.class_weights.as_deref()));
        OneVsRest {
            margin: self.margin,
            power: self.power,
            smoothing: self.smoothing,
            class_weights: weights_tensor(self.class_weights.as_ref(), device),
        }
    }
}

/// One-vs-rest hinge: `n_classes` independent binary losses.
///
/// ```text
/// ℓ(s, y) = weight_y · Σ_j max(0, Δ − f_j·s_j)^p               f_j = +1 for j = y, −1 else;  Δ = margin, p = power
///
/// ∂ℓ/∂s_j = −weight_y · f_j · p·max(0, z_j)^(p−1)·1[z_j > 0]   z_j = Δ − f_j·s_j
/// ```
///
/// Where a margin is exactly met the subgradient is 0. At zero scores the loss is exactly K·Δ^p.
///
/// With `smoothing` γ the loss is Huber's hinge in place of each max(0, z_j): see `docs/math.md`.
///
/// # References
/// R. Rifkin and A. Klautau, *In Defense of One-Vs-All Classification*, JMLR 5, 2004.
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Int, Tensor};
/// use burn_svm::internals::{device, loss::OneVsRestConfig};
///
/// let device = device::cpu().expect("a CPU backend is compiled in");
/// let scores = Tensor::<2>::from_data([[2.0, -0.5, -3.0]], &device);
/// let labels = Tensor::<1, Int>::from_data([0], &device);
/// let loss = OneVsRestConfig::new().init(&device);
/// assert_eq!(loss.forward(scores, labels, Reduction::Mean).into_scalar::<f32>(), 0.5);
/// ```
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct OneVsRest {
    /// The margin Δ.
    pub margin: f64,
    /// The power p.
    pub power: usize,
    /// γ of Nesterov's smoothing; 0 is none.
    pub smoothing: f64,
    /// One weight a class.
    pub class_weights: Option<Tensor<1>>,
}

impl ModuleDisplay for OneVsRest {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let weighted = self.class_weights.is_some();
        content
            .add("margin", &self.margin)
            .add("power", &self.power)
            .add("smoothing", &self.smoothing)
            .add("class_weights", &weighted)
            .optional()
    }
}

impl OneVsRest {
    fn exponent(&self) -> Power {
        if self.power == 2 { Power::Two } else { Power::One }
    }

    fn smooth(&self) -> Option<Smooth> {
        (self.smoothing > 0.0).then_some(Smooth { gamma: self.smoothing, top: None })
    }

    /// Margins z_j = Δ − f_j·s_j and the mask of the labels.
    fn margins(&self, scores: Tensor<2>, labels: &Tensor<1, Int>) -> (Tensor<2>, Tensor<2, burn::tensor::Bool>) {
        let [_, n_classes] = scores.dims();
        let mask = label_mask(labels, n_classes);
        let negated = scores.clone().neg();
        (scores.mask_where(mask.clone(), negated).add_scalar(self.margin), mask)
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

impl MarginLoss for OneVsRest {
    fn name(&self) -> &'static str {
        "one_vs_rest"
    }

    fn forward_no_reduction(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        let [n_samples, _] = scores.dims();
        let (margins, _) = self.margins(scores, &labels);
        let charged = match self.smooth() {
            Some(smooth) => smooth.of_tensor(margins),
            None => self.exponent().of_tensor(margins).sum_dim(1),
        };
        weigh_rows(charged.reshape([n_samples]), labels, self.class_weights.as_ref())
    }

    fn gradient(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<2> {
        let (margins, mask) = self.margins(scores, &labels);
        let slope = match self.smooth() {
            Some(smooth) => smooth.slopes(margins),
            None => self.exponent().slope_of_tensor(margins),
        };
        let negated = slope.clone().neg();
        weigh_gradient(slope.mask_where(mask, negated), labels, self.class_weights.as_ref())
    }

    fn kinks(&self, before: &[f64], after: &[f64], label: usize) -> Vec<usize> {
        if self.exponent() == Power::Two || self.smoothing > 0.0 {
            return Vec::new();
        }
        let positive = |s: &[f64], j: usize| margin_of(s, j, label, self.margin) > 0.0;
        (0..before.len()).filter(|&j| positive(before, j) != positive(after, j)).collect()
    }
}

/// z_j = Δ − f_j·s_j
fn margin_of(scores: &[f64], j: usize, label: usize, margin: f64) -> f64 {
    if j == label { margin - scores[j] } else { margin + scores[j] }
}

/// The loss of one row on the host in f64, before class weights.
pub(crate) fn of_row(scores: &[f64], label: usize, margin: f64, power: Power) -> f64 {
    (0..scores.len()).map(|j| power.of(margin_of(scores, j, label, margin))).sum()
}

/// Turns the scores of a row into its gradient and returns its loss, before class weights. Scores of −∞ stand for no class.
#[inline(always)]
pub(crate) fn charge<T: Real>(scores: &mut [T], label: usize, margin: T, power: Power) -> T {
    scores[label] = -scores[label];
    let (loss, _) = charge::all(scores, T::default(), margin, power);
    scores[label] = -scores[label];
    loss
}
