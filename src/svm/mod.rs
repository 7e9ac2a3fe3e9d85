//! The front door: options, `fit`, and a model that predicts, proves and is saved.

mod labels;
mod model;
mod rows;

pub use labels::AsLabels;
pub use model::Model;
pub use rows::{AsRows, Rows};

use crate::calibration::{Calibrator, Method};
use crate::data::batch::Source;
use crate::data::{Center, Features, Scale, Scaler, streams};
use crate::device::{self, DeviceName, OpenDevice};
use crate::loss::{ClassWeights, Loss};
use crate::model::file::ModelFileError;
use crate::model::{BiasRule, Classifier, Origin, Training};
use crate::objective::Objective;
use crate::solver::dual::certificate;
use crate::solver::{Certificate, GradientRoute, Observer, Problem, SolveError, SolverConfig, StopReason};
use burn::nn::Linear;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::ops::Deref;
use std::time::Duration;

/// Folds whose scores a calibration is fitted on.
const FOLDS: usize = 5;

/// Anything that goes wrong between rows and a model, each in a sentence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SvmError {
    /// Rows that are ragged, empty or too many, and CSR arrays that do not fit each other.
    #[error("rows: found {found}, expected {expected}")]
    Shape {
        /// As it is.
        found: String,
        /// As it should be.
        expected: String,
    },
    /// A value that is NaN or infinite, or too large for single precision.
    #[error("row {row}, column {column}: found {found}, expected a finite number of single precision")]
    NotFinite {
        /// Counted from 0.
        row: usize,
        /// Counted from 0.
        column: usize,
        /// The value.
        found: f64,
    },
    /// Another number of labels than of rows.
    #[error("found {labels} labels for {rows} rows, expected one a row")]
    Labels {
        /// Number of rows.
        rows: usize,
        /// Number of labels.
        labels: usize,
    },
    /// Rows of one class only.
    #[error("every label is `{0}`: expected two classes or more")]
    OneClass(String),
    /// A label that the model has no class for.
    #[error("label `{label}` of row {row} is not a class of the model; the classes are {classes}")]
    UnknownLabel {
        /// Counted from 0.
        row: usize,
        /// The label.
        label: String,
        /// The first classes of the model.
        classes: String,
    },
    /// Rows of another width than the model's.
    #[error("found rows of {found} features, expected {expected} as in training")]
    Width {
        /// Of the rows.
        found: usize,
        /// Of the model.
        expected: usize,
    },
    /// An option out of its range, or one that does not fit the data.
    #[error("{0}")]
    Option(String),
    /// The device is not there, or failed.
    #[error("{0}")]
    Device(String),
    /// The solver gave up.
    #[error(transparent)]
    Solve(#[from] SolveError),
    /// Gradient descent that left the finite numbers.
    #[error("the run diverged, seen at step {step}: lower the learning rate, or scale the features")]
    Diverged {
        /// The logged step.
        step: u64,
    },
    /// A model file that cannot be read or written.
    #[error(transparent)]
    File(#[from] ModelFileError),
}

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
    calibration: Method,
    seed: u64,
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
            calibration: Method::None,
            seed: 0,
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
    pub fn calibration(self, method: Method) -> Self {
        Self { calibration: method, ..self }
    }

    /// Seed of initial weights, batches and folds.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
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
        let rows = x.as_rows()?;
        let (names, labels) = labels::classes(labels, rows.n_rows())?;
        let device = self.open(row_weights, rows.n_rows())?;
        let data = Data { features: &rows.features, labels: &labels, weights: row_weights, names: &names };
        self.with_threads(|threads| {
            let fit = |part: &[u32], observer: &mut dyn Observer| self.solve(&data, part, &device, threads, observer);
            #[allow(clippy::cast_possible_truncation)]
            let all: Vec<u32> = (0..labels.len() as u32).collect();
            let mut solution = fit(&all, observer)?;
            if self.calibration != Method::None {
                solution.model.calibrate(self.out_of_fold(&data, fit)?);
            }
            Ok(solution)
        })?
    }

    /// The linear layer at the end of a network as a model that scores the layer's inputs; the options say the objective that it was
    /// trained for on `n_samples` rows. `class_names` in the order of the layer's outputs.
    ///
    /// # Errors
    /// [`SvmError::Shape`] where the names are not one an output; [`SvmError::NotFinite`]; [`SvmError::Option`].
    pub fn head<S: AsRef<str>>(&self, linear: &Linear, class_names: &[S], n_samples: usize) -> Result<Model, SvmError> {
        let names: Vec<String> = class_names.iter().map(|name| name.as_ref().to_owned()).collect();
        let [_, n_classes] = linear.weight.dims();
        let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
        if names.len() != n_classes || distinct.len() != n_classes || n_classes < 2 {
            let found = format!("{} different names for {n_classes} outputs", distinct.len());
            return Err(SvmError::Shape { found, expected: "a name for each, and two or more".into() });
        }
        let weight = model::numbers(linear.weight.val(), n_classes)?;
        let bias = linear.bias.as_ref().map(|bias| model::numbers(bias.val(), n_classes)).transpose()?;
        let objective = self.objective(&names, None, n_samples)?;
        let rule = if bias.is_none() { BiasRule::None } else { objective.bias };
        let training = self.training(&Objective { bias: rule, ..objective }, n_samples);
        Ok(Model::of(Classifier {
            weight,
            bias,
            scaler: Scaler::default(),
            class_names: names,
            feature_names: None,
            image_shape: None,
            origin: Origin::Trained(Training { center: Center::None, scale: Scale::None, ..training }),
        }))
    }

    /// Checks what can be checked before the rows are looked at, and opens the device.
    fn open(&self, row_weights: Option<&[f32]>, n_rows: usize) -> Result<OpenDevice, SvmError> {
        if let Some(weights) = row_weights {
            if weights.len() != n_rows {
                let found = format!("{} weights for {n_rows} rows", weights.len());
                return Err(SvmError::Shape { found, expected: "one a row".into() });
            }
            if let Some((row, weight)) = weights.iter().enumerate().find(|(_, w)| !(w.is_finite() && **w >= 0.0)) {
                return Err(SvmError::Option(format!(
                    "weight of row {row}: found {weight}, expected a finite number, 0 or more"
                )));
            }
        }
        device::open(self.device).map_err(|e| SvmError::Device(format!("{e}; {}", e.hint)))
    }

    /// Runs work with the threads that are asked for.
    fn with_threads<T: Send>(&self, work: impl FnOnce(usize) -> T + Send) -> Result<T, SvmError> {
        if self.threads == 0 {
            return Ok(work(rayon::current_num_threads()));
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build();
        let pool = pool.map_err(|e| SvmError::Option(format!("threads: found {}: {e}", self.threads)))?;
        Ok(pool.install(|| work(self.threads)))
    }

    /// λ for n rows.
    #[allow(clippy::cast_precision_loss)]
    fn lambda_for(&self, n_samples: usize) -> Result<f64, SvmError> {
        let (name, value, lambda) = match self.penalty {
            Penalty::C(c) => ("c", c, 1.0 / (c * n_samples as f64)),
            Penalty::Lambda(lambda) => ("lambda", lambda, lambda),
            Penalty::Reg(reg) => ("reg", reg, 2.0 * reg),
        };
        let least = if name == "c" { value > 0.0 } else { value >= 0.0 };
        if least && value.is_finite() && lambda.is_finite() {
            return Ok(lambda);
        }
        let expected = if name == "c" { "a finite number above 0" } else { "a finite number, 0 or more" };
        Err(SvmError::Option(format!("{name}: found {value}, expected {expected}")))
    }

    /// What is minimised; class weights are resolved for rows of each class in `counts`.
    fn objective(&self, names: &[String], counts: Option<&[usize]>, n_samples: usize) -> Result<Objective, SvmError> {
        let lambda = self.lambda_for(n_samples)?;
        if let BiasRule::Regularised { scale } = self.bias
            && !(scale.is_finite() && scale > 0.0)
        {
            return Err(SvmError::Option(format!("bias: found the scale {scale}, expected a finite number above 0")));
        }
        let mut loss = self.loss.clone();
        if let Some(counts) = counts {
            let unknown = |name| SvmError::Option(format!("class_weights: `{name}` is not a class"));
            if let Some(weights) = self.class_weights.resolve(names, counts).map_err(unknown)? {
                loss.class_weights = Some(weights);
            }
        }
        loss.check(names.len()).map_err(|misfit| SvmError::Option(misfit.to_string()))?;
        Ok(Objective { loss, lambda, bias: self.bias })
    }

    /// What a model says of its training.
    fn training(&self, objective: &Objective, n_samples: usize) -> Training {
        Training {
            loss: objective.loss.clone(),
            lambda: objective.lambda,
            n_samples,
            bias: objective.bias,
            center: self.center,
            scale: self.scale,
            config: String::new(),
            calibration: None,
        }
    }

    /// Fits a model to some of the rows.
    fn solve(
        &self,
        data: &Data<'_>,
        train: &[u32],
        device: &OpenDevice,
        threads: usize,
        observer: &mut dyn Observer,
    ) -> Result<Solution, SvmError> {
        let mut counts = vec![0; data.names.len()];
        train.iter().for_each(|&row| counts[data.labels[row as usize] as usize] += 1);
        let objective = self.objective(data.names, Some(&counts), train.len())?;
        let scaler = Scaler::fit(data.features, train, self.center, self.scale);
        let problem = Problem {
            source: Source { features: data.features, labels: data.labels, scaler: &scaler, weights: data.weights },
            train,
            validation: &[],
            n_classes: data.names.len(),
            objective: &objective,
            device,
            gradient: self.gradient,
            seed: self.seed,
            threads,
            early_stopping: None,
        };
        let fit = device::guarded(device, || self.solver.solve(&problem, observer)).map_err(SolveError::Device)??;
        if let StopReason::Diverged { step } = fit.stop {
            return Err(SvmError::Diverged { step });
        }
        let (certificate, accuracy) = match (fit.certificate, &fit.evaluation) {
            (Some(certificate), Some(evaluation)) => (certificate, evaluation.confusion.accuracy()),
            _ => certificate::of_any(&problem, &fit.weight, fit.bias.as_deref())?,
        };
        let training = self.training(&objective, train.len());
        let classifier = Classifier {
            weight: fit.weight,
            bias: fit.bias,
            scaler,
            class_names: data.names.to_vec(),
            feature_names: None,
            image_shape: None,
            origin: Origin::Trained(training),
        };
        let model = Model::of(classifier);
        Ok(Solution {
            model,
            certificate,
            accuracy,
            stop: fit.stop,
            steps: fit.steps,
            epochs: fit.epochs,
            seconds: fit.solve,
        })
    }

    /// A calibration fitted on the scores of folds by models that have not seen them.
    fn out_of_fold(
        &self,
        data: &Data<'_>,
        fit: impl Fn(&[u32], &mut dyn Observer) -> Result<Solution, SvmError>,
    ) -> Result<Option<Calibrator>, SvmError> {
        let k = data.names.len();
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        generator.set_stream(streams::FOLDS);
        let mut fold_of = vec![0; data.labels.len()];
        for class in 0..k {
            #[allow(clippy::cast_possible_truncation)]
            let mut rows: Vec<usize> = (0..data.labels.len()).filter(|&i| data.labels[i] == class as u32).collect();
            if rows.len() < 2 {
                let problem = format!("class `{}` has {} row, expected 2 or more", data.names[class], rows.len());
                return Err(SvmError::Option(format!("calibration: {problem}")));
            }
            rows.shuffle(&mut generator);
            rows.iter().enumerate().for_each(|(at, &row)| fold_of[row] = (at + class) % FOLDS);
        }
        let (mut scores, mut labels) = (Vec::new(), Vec::new());
        for fold in 0..FOLDS {
            #[allow(clippy::cast_possible_truncation)]
            let (out, within): (Vec<u32>, Vec<u32>) =
                (0..data.labels.len() as u32).partition(|&row| fold_of[row as usize] == fold);
            if out.is_empty() {
                continue;
            }
            scores.extend(fit(&within, &mut ())?.model.classifier().scores(data.features, &out));
            labels.extend(out.iter().map(|&row| data.labels[row as usize] as usize));
        }
        Ok(Calibrator::fit(self.calibration, &scores, &labels, k))
    }
}

/// Training data, checked.
struct Data<'a> {
    features: &'a Features<'a>,
    labels: &'a [u32],
    weights: Option<&'a [f32]>,
    names: &'a [String],
}

/// A fitted [`Model`], to which it dereferences, with what its training proved.
#[derive(Debug, Clone)]
pub struct Solution {
    model: Model,
    certificate: Certificate,
    accuracy: f64,
    stop: StopReason,
    steps: u64,
    epochs: f64,
    seconds: Duration,
}

impl Solution {
    /// The objective over the training rows, in f64.
    #[must_use]
    pub const fn objective(&self) -> f64 {
        self.certificate.primal
    }

    /// Proved bounds on the optimum: tight from the exact solver, valid from every other; with a free bias or λ = 0 those others
    /// prove no more than that the optimum is not below 0.
    #[must_use]
    pub const fn certificate(&self) -> Certificate {
        self.certificate
    }

    /// The share of training rows that are predicted right.
    #[must_use]
    pub const fn train_accuracy(&self) -> f64 {
        self.accuracy
    }

    /// Why the solver ended.
    #[must_use]
    pub const fn stop_reason(&self) -> StopReason {
        self.stop
    }

    /// Updates made.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Passes over the training rows.
    #[must_use]
    pub const fn epochs(&self) -> f64 {
        self.epochs
    }

    /// Time in the solver.
    #[must_use]
    pub const fn seconds(&self) -> Duration {
        self.seconds
    }

    /// The model alone.
    #[must_use]
    pub fn into_model(self) -> Model {
        self.model
    }
}

impl Deref for Solution {
    type Target = Model;

    fn deref(&self) -> &Model {
        &self.model
    }
}
