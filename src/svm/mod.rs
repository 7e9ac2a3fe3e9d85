//! The front door: options, `fit`, and a model that predicts, proves and is saved.

mod error;
mod fit;
mod labels;
mod model;
mod parts;
mod rows;
mod solution;

pub use error::SvmError;
pub use labels::{AsLabels, ClassIndices, Label};
pub use model::Model;
pub use rows::{AsRows, Cell, Rows};
pub use solution::Solution;

use crate::calibration::Calibration;
use crate::data::{Center, Scale, Scaler};
use crate::device::DeviceName;
use crate::loss::{ClassWeights, Loss};
use crate::model::{BiasRule, Classifier, Origin, Training};
use crate::objective::Objective;
use crate::solver::{GradientRoute, Observer, SolverConfig};
use burn::nn::Linear;
use fit::TrainingData;
use std::borrow::Cow;

/// λ in the form in which it was given.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Penalty {
    C(f64),
    Lambda(f64),
    Reg(f64),
}

/// A linear support vector machine to be fitted: a loss, and options that all have defaults.
///
/// ```text
/// P(W, b) = (1/n) Σ_i weight_i · ℓ(x_i W + b, y_i)  +  (λ/2)·‖W‖²  +  (λ/(2B²))·‖b‖²
/// ```
///
/// ```
/// use burn_svm::{Loss, Svm};
///
/// # let (x, labels) = ([[0.0f32, 0.1], [0.2, 0.0], [1.0, 1.1], [0.9, 1.0]], ["low", "low", "high", "high"]);
/// # let (x_new, folder) = ([[0.1f32, 0.1]], std::env::temp_dir().join(format!("fit-{}", std::process::id())));
/// # std::fs::create_dir_all(&folder)?;
/// # let file = folder.join("model.safetensors");
/// let model = Svm::new(Loss::weston_watkins()).c(1.0).fit(&x, &labels)?;
/// println!("{} proved within {:.1e}", model.objective(), model.certificate().relative_gap);
/// let names = model.predict(&x_new)?;
/// model.save(&file)?;
/// # assert_eq!(names, ["low"]);
/// # assert!(model.certificate().relative_gap <= 1e-3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// | option | default |
/// |---|---|
/// | `c`, `lambda` or `reg` | C = 1, λ = 1/(C·n) |
/// | `bias` | regularised with B = 1 |
/// | `center`, `scale` | none |
/// | `class_weights` | none |
/// | `solver` | [`DualConfig`](crate::DualConfig): the exact optimum, relative gap 1e-3 |
/// | `device`, `threads` | `flex`, all cores |
/// | `calibration` | none |
/// | `seed` | 0 |
/// | `double` | no: rows of `f64` become `f32` unless that would blur a column |
///
/// Options are checked by `fit`, which answers with a sentence.
#[derive(Debug, Clone)]
pub struct Svm {
    loss: Loss,
    penalty: Penalty,
    bias: BiasRule,
    center: Center,
    scale: Scale,
    class_weights: ClassWeights,
    solver: SolverConfig,
    gradient: GradientRoute,
    device: DeviceName,
    threads: usize,
    calibration: Calibration,
    seed: u64,
    double: bool,
}

impl Svm {
    /// With the defaults.
    #[must_use]
    pub fn new(loss: Loss) -> Self {
        Self {
            loss,
            penalty: Penalty::C(1.0),
            bias: BiasRule::Regularised { scale: 1.0 },
            center: Center::None,
            scale: Scale::None,
            class_weights: ClassWeights::default(),
            solver: SolverConfig::Dual(crate::solver::DualConfig::default()),
            gradient: GradientRoute::Auto,
            device: DeviceName::default(),
            threads: 0,
            calibration: Calibration::None,
            seed: 0,
            double: false,
        }
    }

    /// LIBLINEAR's C: λ = 1/(C·n) for n rows.
    #[must_use]
    pub fn c(self, c: f64) -> Self {
        Self { penalty: Penalty::C(c), ..self }
    }

    /// λ of (λ/2)·‖W‖².
    #[must_use]
    pub fn lambda(self, lambda: f64) -> Self {
        Self { penalty: Penalty::Lambda(lambda), ..self }
    }

    /// CS231n's factor: reg·‖W‖², so λ = 2·reg.
    #[must_use]
    pub fn reg(self, reg: f64) -> Self {
        Self { penalty: Penalty::Reg(reg), ..self }
    }

    /// The bias: regularised, free or none.
    #[must_use]
    pub fn bias(self, bias: BiasRule) -> Self {
        Self { bias, ..self }
    }

    /// Centring, fitted on the training rows and kept in the model.
    #[must_use]
    pub fn center(self, center: Center) -> Self {
        Self { center, ..self }
    }

    /// Scaling, fitted on the training rows and kept in the model.
    #[must_use]
    pub fn scale(self, scale: Scale) -> Self {
        Self { scale, ..self }
    }

    /// Weights of classes, balanced or by name.
    #[must_use]
    pub fn class_weights(self, class_weights: ClassWeights) -> Self {
        Self { class_weights, ..self }
    }

    /// The solver: a [`DualConfig`](crate::DualConfig), [`SgdConfig`](crate::SgdConfig) or [`LbfgsConfig`](crate::LbfgsConfig).
    #[must_use]
    pub fn solver(self, solver: impl Into<SolverConfig>) -> Self {
        Self { solver: solver.into(), ..self }
    }

    /// The engine of gradients, for solvers that have one.
    #[must_use]
    pub fn gradient(self, gradient: GradientRoute) -> Self {
        Self { gradient, ..self }
    }

    /// The device: `"flex".parse()?`, `"wgpu:0".parse()?`.
    #[must_use]
    pub fn device(self, device: DeviceName) -> Self {
        Self { device, ..self }
    }

    /// Threads of the CPU; 0 for those of the thread pool at hand.
    #[must_use]
    pub fn threads(self, threads: usize) -> Self {
        Self { threads, ..self }
    }

    /// Probabilities from scores, by a map that is fitted on the scores of five folds, each by a model that has not seen it: six
    /// fits in all.
    #[must_use]
    pub fn calibration(self, method: Calibration) -> Self {
        Self { calibration: method, ..self }
    }

    /// Seed of initial weights, batches and folds.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Whether rows in double precision stay so in any case.
    #[must_use]
    pub fn double(self, double: bool) -> Self {
        Self { double, ..self }
    }

    /// Fits a model to rows and their labels.
    ///
    /// # Errors
    /// [`SvmError`] for rows and labels that do not fit, options out of range, devices that fail and runs that diverge.
    pub fn fit<X: AsRows + ?Sized, L: AsLabels + ?Sized>(&self, x: &X, labels: &L) -> Result<Solution, SvmError> {
        self.fit_with(x, labels, None, &mut ())
    }

    /// Fits a model to rows, their labels and a weight a row, and tells an observer how it goes; `&mut ()` is one that does not care.
    ///
    /// A weight is a factor of the loss of its row. n of the objective is the number of rows, whatever they weigh.
    ///
    /// # Errors
    /// As [`Svm::fit`].
    pub fn fit_with<X: AsRows + ?Sized, L: AsLabels + ?Sized>(
        &self,
        x: &X,
        labels: &L,
        row_weights: Option<&[f32]>,
        observer: &mut dyn Observer,
    ) -> Result<Solution, SvmError> {
        let features = x.as_rows()?.features;
        let (names, labels) = labels::classes(labels, features.n_rows())?;
        let device = self.open(row_weights, features.n_rows())?;
        self.with_threads(|threads| {
            let features = self.settled(features);
            let data = TrainingData { features: &features, labels: &labels, weights: row_weights, names: &names };
            let fit = |part: &[u32], observer: &mut dyn Observer| self.solve(&data, part, &device, threads, observer);
            let mut solution = fit(&data.all(), observer)?;
            if self.calibration != Calibration::None {
                solution.model.calibrate(self.out_of_fold(&data, fit)?);
            }
            Ok(solution)
        })?
    }

    /// Fits a model for each C of a path, from the smallest to the largest, each from the dual variables of the one before, to all rows or
    /// to those that `part` names; n of the objective is their number. An interrupted path ends with the model that was being fitted.
    ///
    /// # Errors
    /// As [`Svm::fit`], and [`SvmError::Option`] where the solver is not the exact one.
    pub fn fit_path<X: AsRows + ?Sized, L: AsLabels + ?Sized>(
        &self,
        x: &X,
        labels: &L,
        cs: &[f64],
        part: Option<&[u32]>,
        row_weights: Option<&[f32]>,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Solution>, SvmError> {
        let features = x.as_rows()?.features;
        let (names, labels) = labels::classes(labels, features.n_rows())?;
        let device = self.open(row_weights, features.n_rows())?;
        self.with_threads(|threads| {
            let features = self.settled(features);
            let data = TrainingData { features: &features, labels: &labels, weights: row_weights, names: &names };
            let part = part.map_or_else(|| data.all().into(), Cow::Borrowed);
            self.solve_path(&data, &part, cs, &device, threads, observer)
        })?
    }

    /// Weights `[n_features, n_classes]`, row-major, and a bias `[n_classes]`, whoever found them, as a model of the objective that the
    /// options say, on `n_samples` rows; preprocessing, solver and calibration have no say. `class_names` in the order of the scores.
    ///
    /// # Errors
    /// [`SvmError::Shape`] where names, weights and bias do not fit each other; [`SvmError::NotFinite`]; [`SvmError::Option`].
    pub fn model<S: AsRef<str>>(
        &self,
        weight: Vec<f64>,
        bias: Option<Vec<f64>>,
        class_names: &[S],
        n_samples: usize,
    ) -> Result<Model, SvmError> {
        let names: Vec<String> = class_names.iter().map(|name| name.as_ref().to_owned()).collect();
        let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
        let n_classes = names.len();
        if distinct.len() != n_classes || n_classes < 2 {
            let found = format!("{} different names for {n_classes} outputs", distinct.len());
            return Err(SvmError::Shape { found, expected: "a name for each, and two or more".into() });
        }
        let n_biases = bias.as_ref().map_or(n_classes, Vec::len);
        if weight.is_empty() || !weight.len().is_multiple_of(n_classes) || n_biases != n_classes {
            let found = format!("{} weights and {n_biases} biases for {n_classes} classes", weight.len());
            return Err(SvmError::Shape { found, expected: "a weight for each feature and class".into() });
        }
        for values in [Some(&weight), bias.as_ref()].into_iter().flatten() {
            model::finite(values, n_classes)?;
        }
        let objective = self.objective(&names, None, n_samples)?;
        if bias.is_some() && !objective.bias.has_bias() {
            return Err(SvmError::Option("bias: the layer has one, the options say that there is none".into()));
        }
        let rule = if bias.is_none() { BiasRule::None } else { objective.bias };
        let training = self.training(&Objective { bias: rule, ..objective }, n_samples);
        Ok(Model::of(Classifier {
            weight,
            bias,
            scaler: Scaler { double_rows: self.double, ..Scaler::default() },
            encoding: None,
            class_names: names,
            feature_names: None,
            image_shape: None,
            origin: Origin::Trained(Training { center: Center::None, scale: Scale::None, ..training }),
        }))
    }

    /// The linear layer at the end of a network as a model that scores the layer's inputs; the options say the objective that it was
    /// trained for on `n_samples` rows; those of preprocessing, solver and calibration have no say. `class_names` in the order of the
    /// layer's outputs.
    ///
    /// # Errors
    /// [`SvmError::Shape`] where the names are not one an output; [`SvmError::NotFinite`]; [`SvmError::Option`].
    pub fn head<S: AsRef<str>>(&self, linear: &Linear, class_names: &[S], n_samples: usize) -> Result<Model, SvmError> {
        let [_, n_classes] = linear.weight.dims();
        if class_names.len() != n_classes {
            let distinct: std::collections::BTreeSet<&str> = class_names.iter().map(AsRef::as_ref).collect();
            let found = format!("{} different names for {n_classes} outputs", distinct.len());
            return Err(SvmError::Shape { found, expected: "a name for each, and two or more".into() });
        }
        let weight = model::numbers(linear.weight.val(), n_classes)?;
        let bias = linear.bias.as_ref().map(|bias| model::numbers(bias.val(), n_classes)).transpose()?;
        self.model(weight, bias, class_names, n_samples)
    }
}
