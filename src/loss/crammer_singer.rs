//! Crammer-Singer: only the worst class is charged. What LIBLINEAR's `-s 4` minimises.

use super::smooth::Smooth;
use super::{
    MarginLoss, Power, assert_smoothing, assert_valid, charge, index_mask, label_mask, weigh_gradient, weigh_rows,
    weights_tensor,
};
use crate::kernel::Real;
use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay};
use burn::nn::loss::Reduction;
use burn::tensor::{Device, Int, Tensor};

/// Configuration of [`CrammerSinger`].
#[derive(Config, Debug)]
pub struct CrammerSingerConfig {
    /// The margin Δ, at least 0. Default: 1.
    #[config(default = 1.0)]
    pub margin: f64,
    /// The power p of the margin: 1 (hinge) or 2 (squared hinge). Default: 1.
    #[config(default = 1)]
    pub power: usize,
    /// γ of Nesterov's smoothing, at least 0; above 0 at power 1 only. Default: 0, none.
    #[config(default = 0.0)]
    pub smoothing: f64,
    /// One weight a class, at least 0; a row's loss is multiplied by the weight of its label. Default: all 1.
    pub class_weights: Option<Vec<f64>>,
}

impl CrammerSingerConfig {
    /// The loss, with its class weights on `device`.
    ///
    /// # Panics
    /// When a value is out of its range.
    #[must_use]
    pub fn init(&self, device: &Device) -> CrammerSinger {
        assert_smoothing(self.smoothing, assert_valid(self.margin, self.power, self.class_weights.as_deref()));
        CrammerSinger {
            margin: self.margin,
            power: self.power,
            smoothing: self.smoothing,
            class_weights: weights_tensor(self.class_weights.as_ref(), device),
        }
    }
}

/// Crammer-Singer multiclass hinge: the margin of the worst other class.
///
/// ```text
/// ℓ(s, y) = weight_y · max(0, max_{j≠y} (Δ + s_j − s_y))^p     Δ = margin, p = power
///
/// with m = the lowest j ≠ y that attains the maximum z, and g = weight_y · p·z^(p−1)·1[z > 0]:
/// ∂ℓ/∂s_m = g,   ∂ℓ/∂s_y = −g,   0 elsewhere
/// ```
///
/// The `multiclass_hinge_loss` of optax and the multiclass hinge of scikit-learn's metrics are this with Δ = 1, p = 1. Where
/// the margin is exactly met the subgradient is 0. At equal scores the loss is exactly Δ^p.
///
/// With `smoothing` γ the loss is the maximum of p·z − (γ/2)·‖p‖² over p ≥ 0 with Σp ≤ 1 and the gradient p: see `docs/math.md`.
///
/// # References
/// K. Crammer and Y. Singer, *On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines*, JMLR 2, 2001.
///
/// ```
/// use burn::nn::loss::Reduction;
/// use burn::tensor::{Int, Tensor};
/// use burn_svm::internals::{device, loss::CrammerSingerConfig};
///
/// let device = device::cpu().expect("a CPU backend is compiled in");
/// let scores = Tensor::<2>::from_data([[1.0, 0.5, 1.5]], &device);
/// let labels = Tensor::<1, Int>::from_data([0], &device);
/// let loss = CrammerSingerConfig::new().init(&device);
/// assert_eq!(loss.forward(scores, labels, Reduction::Mean).into_scalar::<f32>(), 1.5);
/// ```
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct CrammerSinger {
    /// The margin Δ.
    pub margin: f64,
    /// The power p.
    pub power: usize,
    /// γ of Nesterov's smoothing; 0 is none.
    pub smoothing: f64,
    /// One weight a class.
    pub class_weights: Option<Tensor<1>>,
}

impl ModuleDisplay for CrammerSinger {
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

impl CrammerSinger {
    fn exponent(&self) -> Power {
        if self.power == 2 { Power::Two } else { Power::One }
    }

    fn smooth(&self) -> Option<Smooth> {
        (self.smoothing > 0.0).then_some(Smooth { gamma: self.smoothing, top: Some(1) })
    }

    /// Margins z_j = Δ + s_j − s_y with −∞ at the label, so that it is never the worst class.
    fn margins(&self, scores: Tensor<2>, labels: &Tensor<1, Int>) -> Tensor<2> {
        let [n_samples, n_classes] = scores.dims();
        let mask = label_mask(labels, n_classes);
        let correct = scores.clone().gather(1, labels.clone().reshape([n_samples, 1]));
        scores.sub(correct).add_scalar(self.margin).mask_fill(mask, f64::NEG_INFINITY)
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

impl MarginLoss for CrammerSinger {
    fn name(&self) -> &'static str {
        "crammer_singer"
    }

    fn forward_no_reduction(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        let [n_samples, _] = scores.dims();
        let margins = self.margins(scores, &labels);
        let charged = match self.smooth() {
            Some(smooth) => smooth.of_tensor(margins),
            None => self.exponent().of_tensor(margins.max_dim(1)),
        };
        weigh_rows(charged.reshape([n_samples]), labels, self.class_weights.as_ref())
    }

    fn gradient(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<2> {
        let shape = scores.dims();
        let label = label_mask(&labels, shape[1]);
        let margins = self.margins(scores, &labels);
        if let Some(smooth) = self.smooth() {
            let p = smooth.slopes(margins);
            let total = p.clone().sum_dim(1).neg().expand(shape);
            return weigh_gradient(p.mask_where(label, total), labels, self.class_weights.as_ref());
        }
        let (worst, index) = margins.max_dim_with_indices(1);
        let slope = self.exponent().slope_of_tensor(worst).expand(shape);
        let q = Tensor::zeros_like(&slope)
            .mask_where(index_mask(index, shape[1]), slope.clone())
            .mask_where(label, slope.neg());
        weigh_gradient(q, labels, self.class_weights.as_ref())
    }

    fn kinks(&self, before: &[f64], after: &[f64], label: usize) -> Vec<usize> {
        if self.smoothing > 0.0 {
            return Vec::new();
        }
        let winner = |s: &[f64]| worst_class(s, label, self.margin).filter(|(_, z)| *z > 0.0).map(|(j, _)| j);
        match (self.exponent(), winner(before), winner(after)) {
            (_, Some(a), Some(b)) if a != b => vec![a.min(b), a.max(b)],
            // A mere sign change is a kink of the hinge, not of the squared hinge.
            (Power::One, Some(a), None) | (Power::One, None, Some(a)) => vec![a],
            (Power::One | Power::Two, _, _) => Vec::new(),
        }
    }
}

/// The class with the largest margin and that margin; the lowest index on a tie; NaN wins over numbers.
fn worst_class(scores: &[f64], label: usize, margin: f64) -> Option<(usize, f64)> {
    let mut worst: Option<(usize, f64)> = None;
    for (j, s) in scores.iter().enumerate().filter(|(j, _)| *j != label) {
        let z = margin + s - scores[label];
        if worst.is_none_or(|(_, w)| z > w || (z.is_nan() && !w.is_nan())) {
            worst = Some((j, z));
        }
    }
    worst
}

/// The loss of one row on the host in f64, before class weights.
pub(crate) fn of_row(scores: &[f64], label: usize, margin: f64, power: Power) -> f64 {
    worst_class(scores, label, margin).map_or(0.0, |(_, z)| power.of(z))
}

/// Turns the scores of a row into its gradient and returns its loss, before class weights. Scores of −∞ stand for no class.
#[inline(always)]
pub(crate) fn charge<T: Real>(scores: &mut [T], label: usize, margin: T, power: Power) -> T {
    let correct = std::mem::replace(&mut scores[label], T::from_f64(f64::NEG_INFINITY));
    let (loss, slope) = charge::worst(scores, correct, margin, power);
    scores[label] = -slope;
    loss
}
