//! Weston-Watkins: every class that comes within the margin is charged. CS231n's "multiclass SVM loss".

use super::smooth::Smooth;
use super::{
    MarginLoss, Power, assert_smoothing, assert_valid, charge, label_mask, weigh_gradient, weigh_rows, weights_tensor,
};
use crate::kernel::Real;
use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay};
use burn::nn::loss::Reduction;
use burn::tensor::{Device, Int, Tensor};

/// Configuration of [`WestonWatkins`].
#[derive(Config, Debug)]
pub struct WestonWatkinsConfig {
    /// The margin Δ, at least 0. Default: 1.
    #[config(default = 1.0)]
    pub margin: f64,
    /// The power p of a margin: 1 (hinge) or 2 (squared hinge). Default: 1.
    #[config(default = 1)]
    pub power: usize,
    /// γ of Nesterov's smoothing, at least 0; above 0 at power 1 only. Default: 0, none.
    #[config(default = 0.0)]
    pub smoothing: f64,
    /// One weight a class, at least 0; a row's loss is multiplied by the weight of its label. Default: all 1.
    pub class_weights: Option<Vec<f64>>,
}

impl WestonWatkinsConfig {
    /// The loss, with its class weights on `device`.
    ///
    /// # Panics
    /// When a value is out of its range.
    #[must_use]
    pub fn init(&self, device: &Device) -> WestonWatkins {
        assert_smoothing(self.smoothing, assert_valid(self.margin, self.power, self.class_weights.as_deref()));
        WestonWatkins {
            margin: self.margin,
            power: self.power,
            smoothing: self.smoothing,
            class_weights: weights_tensor(self.class_weights.as_ref(), device),
        }
    }
}

/// Weston-Watkins multiclass hinge: the sum over all classes that come within the margin.
///
/// ```text
/// ℓ(s, y) = weight_y · Σ_{j≠y} max(0, Δ + s_j − s_y)^p        Δ = margin, p = power
///
/// ∂ℓ/∂s_j = weight_y · p·max(0, z_j)^(p−1)·1[z_j > 0]          z_j = Δ + s_j − s_y,  j ≠ y
/// ∂ℓ/∂s_y = −Σ_{j≠y} ∂ℓ/∂s_j
/// ```
///
/// Burn's `MultiMarginLoss` (PyTorch's) is this divided by `n_classes`. Where a margin is exactly met the subgradient is 0.
/// At equal scores the loss is exactly (K−1)·Δ^p.
///
/// With `smoothing` γ the loss is Huber's hinge, Σ_j min(max(0, z_j), γ)·(max(0, z_j) − min(max(0, z_j), γ)/2)/γ: see `docs/math.md`.
///
/// # References
/// J. Weston and C. Watkins, *Multi-class Support Vector Machines*, CSD-TR-98-04, Royal Holloway, 1998.
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Int, Tensor};
/// use burn_svm::internals::{device, loss::WestonWatkinsConfig};
///
/// let device = device::cpu().expect("a CPU backend is compiled in");
/// let scores = Tensor::<2>::from_data([[13.0, -7.0, 11.0]], &device);
/// let labels = Tensor::<1, Int>::from_data([0], &device);
/// let loss = WestonWatkinsConfig::new().with_margin(10.0).init(&device);
/// let value = loss.forward(scores, labels, Reduction::Mean).into_scalar::<f32>();
/// assert_eq!(value, 8.0); // max(0, 10 − 7 − 13) + max(0, 10 + 11 − 13)
/// ```
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct WestonWatkins {
    /// The margin Δ.
    pub margin: f64,
    /// The power p.
    pub power: usize,
    /// γ of Nesterov's smoothing; 0 is none.
    pub smoothing: f64,
    /// One weight a class.
    pub class_weights: Option<Tensor<1>>,
}

impl ModuleDisplay for WestonWatkins {
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

impl WestonWatkins {
    fn exponent(&self) -> Power {
        if self.power == 2 { Power::Two } else { Power::One }
    }

    fn smooth(&self) -> Option<Smooth> {
        (self.smoothing > 0.0).then_some(Smooth { gamma: self.smoothing, top: None })
    }

    /// Margins z_j = Δ + s_j − s_y, the label's own included (it is Δ).
    fn margins(&self, scores: Tensor<2>, labels: &Tensor<1, Int>) -> Tensor<2> {
        let [n_samples, _] = scores.dims();
        let correct = scores.clone().gather(1, labels.clone().reshape([n_samples, 1]));
        scores.sub(correct).add_scalar(self.margin)
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

impl MarginLoss for WestonWatkins {
    fn name(&self) -> &'static str {
        "weston_watkins"
    }

    fn forward_no_reduction(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        let [n_samples, n_classes] = scores.dims();
        let mask = label_mask(&labels, n_classes);
        let margins = self.margins(scores, &labels);
        let charged = match self.smooth() {
            Some(smooth) => smooth.of_tensor(margins.mask_fill(mask, f64::NEG_INFINITY)),
            None => self.exponent().of_tensor(margins).mask_fill(mask, 0.0).sum_dim(1),
        };
        weigh_rows(charged.reshape([n_samples]), labels, self.class_weights.as_ref())
    }

    fn gradient(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<2> {
        let shape = scores.dims();
        let mask = label_mask(&labels, shape[1]);
        let margins = self.margins(scores, &labels);
        let slope = match self.smooth() {
            Some(smooth) => smooth.slopes(margins),
            None => self.exponent().slope_of_tensor(margins),
        };
        let q = slope.mask_fill(mask.clone(), 0.0);
        let total = q.clone().sum_dim(1).neg().expand(shape);
        weigh_gradient(q.mask_where(mask, total), labels, self.class_weights.as_ref())
    }

    fn kinks(&self, before: &[f64], after: &[f64], label: usize) -> Vec<usize> {
        // The squared hinge and a smoothed one have a continuous slope where a margin changes sign.
        if self.exponent() == Power::Two || self.smoothing > 0.0 {
            return Vec::new();
        }
        let positive = |s: &[f64], j: usize| self.margin + s[j] - s[label] > 0.0;
        (0..before.len()).filter(|&j| j != label && positive(before, j) != positive(after, j)).collect()
    }
}

/// The loss of one row on the host in f64, before class weights.
pub(crate) fn of_row(scores: &[f64], label: usize, margin: f64, power: Power) -> f64 {
    let correct = scores[label];
    let charge = |(j, s): (usize, &f64)| if j == label { 0.0 } else { power.of(margin + s - correct) };
    scores.iter().enumerate().map(charge).sum()
}

/// Turns the scores of a row into its gradient and returns its loss, before class weights. Scores of −∞ stand for no class.
#[inline(always)]
pub(crate) fn charge<T: Real>(scores: &mut [T], label: usize, margin: T, power: Power) -> T {
    let correct = std::mem::replace(&mut scores[label], T::from_f64(f64::NEG_INFINITY));
    let (loss, total) = charge::all(scores, correct, margin, power);
    scores[label] = -total;
    loss
}
