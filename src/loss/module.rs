//! The losses as Burn modules: one implementation, and a documented door for each formulation.
//!
//! The forward pass is composed of Burn's operations, which its autodiff differentiates; the gradient by hand shares nothing with it but
//! the margins, so that a comparison of the two means something.

use super::{Loss, MarginLoss, Margins, Power, Selection, Set};
use burn::config::Config;
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay};
use burn::nn::loss::Reduction;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

/// A loss with its class weights on a device.
#[derive(Module, Debug)]
pub(super) struct LossModule {
    #[module(skip)]
    loss: Loss,
    /// In f64 where the device has that, so that scores in f64 lose nothing.
    class_weights: Option<Tensor<1>>,
    /// Δ(y, j) `[n_classes, n_classes]`, likewise.
    costs: Option<Tensor<2>>,
}

impl LossModule {
    pub(super) fn new(loss: Loss, device: &Device) -> Self {
        let plain = device.clone().without_autodiff();
        let dtype = if plain.supports_dtype(DType::F64) { DType::F64 } else { DType::F32 };
        let class_weights = loss.class_weights.as_ref().map(|w| Tensor::from_data(w.as_slice(), (&plain, dtype)));
        let costs = if let Margins::Costs(costs) = &loss.margins {
            let shape = [costs.n_classes(); 2];
            Some(Tensor::from_data(TensorData::new(costs.rows().concat(), shape), (&plain, dtype)))
        } else {
            None
        };
        Self { loss, class_weights, costs }
    }

    fn margins(&self, scores: Tensor<2>, labels: &Tensor<1, Int>) -> Tensor<2> {
        let dtype = scores.dtype();
        let costs = self.costs.as_ref().map(|costs| costs.clone().select(0, labels.clone()).cast(dtype));
        self.loss.margins.of_tensor(scores, labels, costs)
    }

    /// The weight of each row's class, `[n_samples]`.
    fn weights(&self, labels: Tensor<1, Int>, dtype: DType) -> Option<Tensor<1>> {
        self.class_weights.as_ref().map(|weights| weights.clone().select(0, labels).cast(dtype))
    }

    fn content(&self, content: Content) -> Option<Content> {
        let Set { selection, power, smoothing } = self.loss.set;
        let content = if let Selection::Top(k) = selection { content.add("k", &k) } else { content };
        let content = match self.loss.margins.constant() {
            Some(delta) => content.add("margin", &delta),
            None => content.add("costs", &true),
        };
        let power = usize::from(power == Power::Two) + 1;
        let weighted = self.class_weights.is_some();
        content.add("power", &power).add("smoothing", &smoothing).add("class_weights", &weighted).optional()
    }
}

impl MarginLoss for LossModule {
    fn name(&self) -> &'static str {
        self.loss.name()
    }

    fn forward_no_reduction(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        let [n_samples, _] = scores.dims();
        let loss = self.loss.set.of_tensor(self.margins(scores, &labels)).reshape([n_samples]);
        match self.weights(labels, loss.dtype()) {
            None => loss,
            Some(weights) => loss.mul(weights),
        }
    }

    fn gradient(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<2> {
        let slopes = self.loss.set.slopes_of_tensor(self.margins(scores, &labels));
        let q = self.loss.margins.pull_back_tensor(slopes, &labels);
        let [n_samples, _] = q.dims();
        match self.weights(labels, q.dtype()) {
            None => q,
            Some(weights) => q.mul(weights.reshape([n_samples, 1])),
        }
    }

    fn kinks(&self, before: &[f64], after: &[f64], label: usize) -> Vec<usize> {
        let margins = |scores| self.loss.margins.of_row(scores, label).collect::<Vec<f64>>();
        self.loss.set.kinks(&margins(before), &margins(after))
    }
}

fn with_costs(loss: Loss, costs: Option<&[Vec<f64>]>) -> Loss {
    match costs {
        Some(costs) => loss.costs(costs),
        None => loss,
    }
}

/// A door: the module and its configuration, with the fields that all have.
macro_rules! door {
    ($(#[$doc:meta])* $name:ident; $config:ident { $($own:tt)* } |$c:ident| $loss:expr) => {
        #[doc = concat!("Configuration of [`", stringify!($name), "`].")]
        #[derive(Config, Debug)]
        pub struct $config {
            $($own)*
            /// The margin Δ in units of the scores, at least 0; costs take its place. Default: 1.
            #[config(default = 1.0)]
            pub margin: f64,
            /// γ of Nesterov's smoothing, at least 0; above 0 at power 1 only. Default: 0, none.
            #[config(default = 0.0)]
            pub smoothing: f64,
            /// One weight a class, at least 0; a row's loss is multiplied by the weight of its label. Default: all 1.
            pub class_weights: Option<Vec<f64>>,
        }

        impl $config {
            /// The loss, with its class weights on `device`.
            ///
            /// # Panics
            /// When a value is out of its range.
            #[must_use]
            pub fn init(&self, device: &Device) -> $name {
                let $c = self;
                let class_weights = self.class_weights.clone();
                let loss = Loss { class_weights, ..$loss.smoothing(self.smoothing) };
                if let Err(misfit) = loss.check_alone() {
                    panic!("{misfit}");
                }
                $name { module: LossModule::new(loss, device) }
            }
        }

        $(#[$doc])*
        #[derive(Module, Debug)]
        #[module(custom_display)]
        pub struct $name {
            module: LossModule,
        }

        impl ModuleDisplay for $name {
            fn custom_settings(&self) -> Option<DisplaySettings> {
                DisplaySettings::new().with_new_line_after_attribute(false).optional()
            }

            fn custom_content(&self, content: Content) -> Option<Content> {
                self.module.content(content)
            }
        }

        impl $name {
            /// The loss reduced to `[1]`; see [`MarginLoss::forward`].
            ///
            /// # Shapes
            /// - `scores`: `[n_samples, n_classes]`; `labels`: `[n_samples]`, values in `0..n_classes`
            pub fn forward(&self, scores: Tensor<2>, labels: Tensor<1, Int>, reduction: Reduction) -> Tensor<1> {
                MarginLoss::forward(&self.module, scores, labels, reduction)
            }

            /// The loss of each sample, `[n_samples]`.
            pub fn forward_no_reduction(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
                MarginLoss::forward_no_reduction(&self.module, scores, labels)
            }

            /// ∂ℓ_i/∂s_ij, `[n_samples, n_classes]`.
            pub fn gradient(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<2> {
                MarginLoss::gradient(&self.module, scores, labels)
            }
        }

        impl MarginLoss for $name {
            fn name(&self) -> &'static str {
                self.module.name()
            }

            fn forward_no_reduction(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
                self.module.forward_no_reduction(scores, labels)
            }

            fn gradient(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<2> {
                self.module.gradient(scores, labels)
            }

            fn kinks(&self, before: &[f64], after: &[f64], label: usize) -> Vec<usize> {
                self.module.kinks(before, after, label)
            }
        }
    };
}

door! {
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
    /// With `costs` Δ is Δ(y, j), the cost of taking a row of class y for one of class j.
    ///
    /// With `smoothing` γ the loss is Huber's hinge, Σ_j min(max(0, z_j), γ)·(max(0, z_j) − min(max(0, z_j), γ)/2)/γ: see `docs/math.md`.
    ///
    /// # References
    /// J. Weston and C. Watkins, *Multi-class Support Vector Machines*, CSD-TR-98-04, Royal Holloway, 1998.
    ///
    /// ```
    /// use burn::nn::loss::Reduction;
    /// use burn::tensor::{Int, Tensor};
    /// use burn_svm::internals::{device, loss::WestonWatkinsLossConfig};
    ///
    /// let device = device::cpu().expect("a CPU backend is compiled in");
    /// let scores = Tensor::<2>::from_data([[13.0, -7.0, 11.0]], &device);
    /// let labels = Tensor::<1, Int>::from_data([0], &device);
    /// let loss = WestonWatkinsLossConfig::new().with_margin(10.0).init(&device);
    /// let value = loss.forward(scores, labels, Reduction::Mean).into_scalar::<f32>();
    /// assert_eq!(value, 8.0); // max(0, 10 − 7 − 13) + max(0, 10 + 11 − 13)
    /// ```
    WestonWatkinsLoss; WestonWatkinsLossConfig {
        /// The power p of a margin: the hinge or the squared hinge. Default: 1.
        #[config(default = "Power::One")]
        pub power: Power,
        /// A cost Δ(y, j) for each label y and class j, `[n_classes][n_classes]`; see [`Loss::costs`]. Default: none.
        pub costs: Option<Vec<Vec<f64>>>,
    } |c| with_costs(Loss::weston_watkins().margin(c.margin).power(c.power), c.costs.as_deref())
}

door! {
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
    /// With `costs` Δ is Δ(y, j), the cost of taking a row of class y for one of class j.
    ///
    /// With `smoothing` γ the loss is the maximum of p·z − (γ/2)·‖p‖² over p ≥ 0 with Σp ≤ 1 and the gradient p: see `docs/math.md`.
    ///
    /// # References
    /// K. Crammer and Y. Singer, *On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines*, JMLR 2, 2001.
    ///
    /// ```
    /// use burn::nn::loss::Reduction;
    /// use burn::tensor::{Int, Tensor};
    /// use burn_svm::internals::{device, loss::CrammerSingerLossConfig};
    ///
    /// let device = device::cpu().expect("a CPU backend is compiled in");
    /// let scores = Tensor::<2>::from_data([[1.0, 0.5, 1.5]], &device);
    /// let labels = Tensor::<1, Int>::from_data([0], &device);
    /// let loss = CrammerSingerLossConfig::new().init(&device);
    /// assert_eq!(loss.forward(scores, labels, Reduction::Mean).into_scalar::<f32>(), 1.5);
    /// ```
    CrammerSingerLoss; CrammerSingerLossConfig {
        /// The power p of the margin: the hinge or the squared hinge. Default: 1.
        #[config(default = "Power::One")]
        pub power: Power,
        /// A cost Δ(y, j) for each label y and class j, `[n_classes][n_classes]`; see [`Loss::costs`]. Default: none.
        pub costs: Option<Vec<Vec<f64>>>,
    } |c| with_costs(Loss::crammer_singer().margin(c.margin).power(c.power), c.costs.as_deref())
}

door! {
    /// One-vs-rest hinge: `n_classes` independent binary losses.
    ///
    /// ```text
    /// ℓ(s, y) = weight_y · Σ_j max(0, Δ − f_j·s_j)^p               f_j = +1 for j = y, −1 else;  Δ = margin, p = power
    ///
    /// ∂ℓ/∂s_j = −weight_y · f_j · p·max(0, z_j)^(p−1)·1[z_j > 0]   z_j = Δ − f_j·s_j
    /// ```
    ///
    /// At a margin that is exactly met the subgradient is 0. At zero scores the loss is exactly K·Δ^p.
    ///
    /// With `smoothing` γ the loss is Huber's hinge in place of each max(0, z_j): see `docs/math.md`.
    ///
    /// # References
    /// R. Rifkin and A. Klautau, *In Defense of One-Vs-All Classification*, JMLR 5, 2004.
    ///
    /// ```
    /// use burn::nn::loss::Reduction;
    /// use burn::tensor::{Int, Tensor};
    /// use burn_svm::internals::{device, loss::OneVsRestLossConfig};
    ///
    /// let device = device::cpu().expect("a CPU backend is compiled in");
    /// let scores = Tensor::<2>::from_data([[2.0, -0.5, -3.0]], &device);
    /// let labels = Tensor::<1, Int>::from_data([0], &device);
    /// let loss = OneVsRestLossConfig::new().init(&device);
    /// assert_eq!(loss.forward(scores, labels, Reduction::Mean).into_scalar::<f32>(), 0.5);
    /// ```
    OneVsRestLoss; OneVsRestLossConfig {
        /// The power p of a margin: the hinge or the squared hinge. Default: 1.
        #[config(default = "Power::One")]
        pub power: Power,
    } |c| Loss::one_vs_rest().margin(c.margin).power(c.power)
}

door! {
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
    /// use burn_svm::internals::{device, loss::TopKLossConfig};
    ///
    /// let device = device::cpu().expect("a CPU backend is compiled in");
    /// let scores = Tensor::<2>::from_data([[1.0, 0.5, 1.5, 1.25]], &device);
    /// let labels = Tensor::<1, Int>::from_data([0], &device);
    /// let loss = TopKLossConfig::new(2).init(&device);
    /// assert_eq!(loss.forward(scores, labels, Reduction::Mean).into_scalar::<f32>(), 1.375); // (1.5 + 1.25)/2
    /// ```
    TopKLoss; TopKLossConfig {
        /// Number of worst classes that are charged, 1 or more.
        pub k: usize,
    } |c| Loss::top_k(c.k).margin(c.margin)
}
