//! Solvers: they minimise an [`Objective`] over the rows of a [`Problem`], and tell an [`Observer`] how it goes.
//!
//! A solver never prints and never touches files. Imports `objective` and what lies below it.

mod agreement;
pub mod checkpoint;
mod columns;
pub mod dual;
pub mod lbfgs;
pub mod newton;
mod observer;
pub mod parts;
pub mod sgd;
mod single;
pub mod stop;

pub use agreement::GradientReport;
pub use checkpoint::{CheckpointConfig, Snapshot};
pub use columns::used_columns;
pub use dual::{DualConfig, Finish};
pub use lbfgs::LbfgsConfig;
pub use newton::{NewtonConfig, NewtonMethod};
pub use observer::Observer;
pub use sgd::SgdConfig;
pub use stop::{EarlyStopping, StopReason, WatchedMetric};

use crate::data::batch::Source;
use crate::device::OpenDevice;
use crate::evaluation::Evaluation;
use crate::loss::{LabelOutOfRange, LossMisfit, check_labels};
use crate::objective::Objective;
use columns::UsedColumns;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The `[solver]` table: exactly one solver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SolverConfig {
    /// `[solver.sgd]`
    Sgd(Box<SgdConfig>),
    /// `[solver.dual]`
    Dual(DualConfig),
    /// `[solver.lbfgs]`
    Lbfgs(LbfgsConfig),
    /// `[solver.newton]`
    Newton(NewtonConfig),
}

/// The exact solver.
impl Default for SolverConfig {
    fn default() -> Self {
        Self::Dual(DualConfig::default())
    }
}

impl From<SgdConfig> for SolverConfig {
    fn from(config: SgdConfig) -> Self {
        Self::Sgd(Box::new(config))
    }
}

impl From<DualConfig> for SolverConfig {
    fn from(config: DualConfig) -> Self {
        Self::Dual(config)
    }
}

impl From<LbfgsConfig> for SolverConfig {
    fn from(config: LbfgsConfig) -> Self {
        Self::Lbfgs(config)
    }
}

impl From<NewtonConfig> for SolverConfig {
    fn from(config: NewtonConfig) -> Self {
        Self::Newton(config)
    }
}

impl SolverConfig {
    /// The name as the configuration spells it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sgd(_) => "sgd",
            Self::Dual(_) => "dual",
            Self::Lbfgs(_) => "lbfgs",
            Self::Newton(_) => "newton",
        }
    }

    /// Runs the solver.
    ///
    /// # Errors
    /// [`SolveError`] when a label is out of range, the device fails or the numbers make no sense.
    pub fn solve(&self, problem: &Problem<'_>, observer: &mut dyn Observer) -> Result<Fit, SolveError> {
        problem.objective.loss.check(problem.n_classes)?;
        // Once, on the host: the losses do not check on the device.
        let rows = problem.train.iter().chain(problem.validation);
        check_labels(rows.map(|&row| problem.source.labels[row as usize]), problem.n_classes)?;
        // Initial weights, where [solver.sgd] draws them, are those of all features.
        if !matches!(self, Self::Sgd(_))
            && let Some(columns) = UsedColumns::of(problem)
        {
            return Ok(columns.widen(self.run(&columns.problem(problem), observer)?, problem.n_classes));
        }
        self.run(problem, observer)
    }

    fn run(&self, problem: &Problem<'_>, observer: &mut dyn Observer) -> Result<Fit, SolveError> {
        let mut fit = match self {
            Self::Sgd(config) => problem.in_single(|problem| sgd::solve(config, problem, observer))?,
            Self::Dual(config) => dual::solve(config, problem, observer)?,
            Self::Lbfgs(config) => {
                problem.proved_as_read(problem.in_single(|problem| lbfgs::solve(config, problem, observer))?)?
            }
            Self::Newton(config) => newton::solve(config, problem, observer)?,
        };
        if fit.certificate.is_none() {
            fit.certificate = dual::certificate::of_run(problem, &fit)?;
        }
        Ok(fit)
    }
}

/// `gradient` of the configuration: the wanted implementation of the gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GradientRoute {
    /// The fastest of the others that there is for the solver, the rows and the device.
    #[default]
    Auto,
    /// [`Route::Autodiff`]
    Autodiff,
    /// [`Route::Analytic`]
    Analytic,
    /// [`Route::Fused`], or [`Route::Analytic`] where there is no fused pass.
    Fused,
}

/// Implementation of the gradient that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Burn's automatic differentiation of the loss.
    Autodiff,
    /// The gradient by hand, XᵀQ + λW, in tensor operations.
    Analytic,
    /// The gradient by hand in one pass over rows read in place ([`crate::objective::FusedPass`]); on a GPU over rows that stay
    /// there, with the margins in one kernel ([`crate::objective::DevicePass`]).
    Fused,
}

impl Route {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Autodiff, Self::Analytic, Self::Fused];

    /// The name as the configuration spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Autodiff => "autodiff",
            Self::Analytic => "analytic",
            Self::Fused => "fused",
        }
    }
}

/// Input of a solver.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    /// Rows, labels and preprocessing.
    pub source: Source<'a>,
    /// The rows to learn from.
    pub train: &'a [u32],
    /// The rows on which accuracy is watched.
    pub validation: &'a [u32],
    /// Number of classes.
    pub n_classes: usize,
    /// The function to minimise.
    pub objective: &'a Objective,
    /// Device of the computation.
    pub device: &'a OpenDevice,
    /// Implementation of the gradient that was asked for.
    pub gradient: GradientRoute,
    /// Seed of the one generator.
    pub seed: u64,
    /// Threads of the CPU, 1 or more.
    pub threads: usize,
    /// When to end before the time, for solvers that go by validation rows.
    pub early_stopping: Option<EarlyStopping>,
}

impl Problem<'_> {
    /// The weight of a row in the objective: its own times that of its class.
    #[must_use]
    pub fn row_weight(&self, row: u32) -> f64 {
        let label = self.source.labels[row as usize] as usize;
        self.source.weight(row) * self.objective.loss.class_weight(label)
    }
}

/// A logged moment of a run; a row of `metrics.csv`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Updates made before this moment.
    pub step: u64,
    /// Passes over the training rows made before this moment.
    pub epoch: f64,
    /// The minibatch objective, regulariser included, at the weights before this step's update.
    pub loss: Option<f64>,
    /// Accuracy on training rows, in entries that evaluated it.
    pub train_accuracy: Option<f64>,
    /// Accuracy on validation rows, in entries that evaluated it.
    pub validation_accuracy: Option<f64>,
    /// Seconds of solving up to this moment, evaluation excluded.
    pub seconds: f64,
}

/// Proved bounds on the optimum of the objective: it lies between `dual` and `primal`, rounding errors counted in.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Certificate {
    /// The objective at the weights of the [`Fit`], in f64.
    pub primal: f64,
    /// A lower bound of the objective at any weights.
    pub dual: f64,
    /// The weights lie above the optimum by no more than this share of `primal`: (primal − dual) / primal, and what rounding can
    /// have taken off `primal`.
    pub relative_gap: f64,
}

impl Certificate {
    /// From an objective, an upper bound of it in exact numbers, and a lower bound of the optimum.
    ///
    /// # Errors
    /// [`SolveError::NegativeGap`] where the bound lies above, [`SolveError::NotFinite`] where the objective is no number.
    pub fn proved(primal: f64, at_most: f64, dual: f64) -> Result<Self, SolveError> {
        if !(primal.is_finite() && at_most.is_finite() && dual.is_finite()) {
            return Err(SolveError::NotFinite { objective: primal.to_string() });
        }
        let gap = at_most - dual;
        if gap < 0.0 {
            return Err(SolveError::NegativeGap { bound: format!("{dual:e}"), objective: format!("{primal:e}") });
        }
        // 0 of 0 is reached; anything of 0 is not.
        let relative_gap = if gap == 0.0 { 0.0 } else { gap / primal };
        Ok(Self { primal, dual, relative_gap })
    }

    /// Upper bound of the objective in exact numbers.
    pub(crate) fn at_most(&self) -> f64 {
        self.dual + self.gap()
    }

    /// The same with a lower bound that was proved elsewhere, where that is better.
    pub(crate) fn with_bound(self, dual: f64) -> Self {
        let dual = dual.max(self.dual);
        Self { dual, relative_gap: (self.at_most() - dual).max(0.0) / self.primal, ..self }
    }

    /// Upper bound of the distance of the objective to the optimum.
    #[must_use]
    pub fn gap(&self) -> f64 {
        if self.primal > 0.0 { self.relative_gap * self.primal } else { self.primal - self.dual }
    }
}

/// The objective as a solver measures it on the way, in the precision of its own passes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measurement {
    /// At the solver's weights.
    pub primal: f64,
    /// Distance to the optimum, as a share of `primal`. An estimate, where there is no `dual`.
    pub relative_gap: f64,
    /// A lower bound of the objective at any weights, where one was proved.
    pub dual: Option<f64>,
}

impl From<Certificate> for Measurement {
    fn from(Certificate { primal, dual, relative_gap }: Certificate) -> Self {
        Self { primal, relative_gap, dual: Some(dual) }
    }
}

/// Result of a solver.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// `[n_features, n_classes]`, row-major, for preprocessed features; empty where the run diverged by `[solver.sgd]`.
    pub weight: Vec<f64>,
    /// `[n_classes]`.
    pub bias: Option<Vec<f64>>,
    /// Updates made.
    pub steps: u64,
    /// Passes over the training rows.
    pub epochs: f64,
    /// Why it ended.
    pub stop: StopReason,
    /// Time in the solver without evaluation.
    pub solve: Duration,
    /// Time spent on accuracies during the run.
    pub evaluate: Duration,
    /// The gradient that it went by, of a solver that has one.
    pub gradient: Option<GradientReport>,
    /// Bounds on the optimum, from a solver that has them, and of exactly these weights.
    pub certificate: Option<Certificate>,
    /// Of the training rows, where it came with the certificate.
    pub evaluation: Option<Evaluation>,
    /// With early stopping, the step whose weights these are: the best on the validation rows.
    pub best_step: Option<u64>,
}

/// Advice for L-BFGS on a loss with kinks.
pub const SMOOTH_HINT: &str = "weston_watkins and one_vs_rest with `power = 2`, and every loss with `smoothing`, are smooth; for the others use [solver.dual] or [solver.sgd]";

/// A run that cannot continue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SolveError {
    /// The device refused to compute.
    #[error("the device failed: {0}")]
    Device(String),
    /// The gradient is not that of Burn's autodiff: a bug, or a device that computes wrongly.
    #[error(
        "the {route} gradient of the first batch differs from Burn's autodiff by {difference} of its largest entry, expected at most {tolerance}"
    )]
    Gradient {
        /// Implementation of the gradient.
        route: &'static str,
        /// The relative difference.
        difference: String,
        /// The largest difference that is agreement.
        tolerance: String,
    },
    /// The objective has kinks, which a method of smooth functions cannot pass.
    #[error("[solver.lbfgs] needs a smooth loss, but {0} has kinks")]
    Kinks(String),
    /// A label is not the index of a class; the row is counted through the training rows, then the validation rows.
    #[error(transparent)]
    Label(#[from] LabelOutOfRange),
    /// The loss has a value out of its range, or does not fit the classes.
    #[error("the loss: {0}")]
    Loss(#[from] LossMisfit),
    /// The precision that was asked for is not there.
    #[error("[solver.lbfgs] precision = \"f64\": the device has none")]
    Precision,
    /// Without a regulariser there is no dual.
    #[error("[solver.dual] and [solver.newton] need a regulariser, but lambda is 0")]
    NoRegulariser,
    /// The Newton system does not fit.
    #[error(
        "[solver.newton] method = \"interior-point\" solves a system of {n_features} features times {n_classes} classes, which is too large"
    )]
    TooLarge {
        /// Features.
        n_features: usize,
        /// Classes.
        n_classes: usize,
    },
    /// The Newton system that a free bias needs over rows in parts does not fit.
    #[error(
        "a free bias over rows that are not in memory together needs a system of {n_features} features times {n_classes} classes, which is too large"
    )]
    FreeInParts {
        /// Features.
        n_features: usize,
        /// Classes.
        n_classes: usize,
    },
    /// The Newton system that was asked for over rows in parts does not fit.
    #[error(
        "[solver.newton] over rows that are not in memory together needs a system of {n_features} features times {n_classes} classes, which is too large"
    )]
    NewtonInParts {
        /// Features.
        n_features: usize,
        /// Classes.
        n_classes: usize,
    },
    /// The snapshot is one of another run.
    #[error("the checkpoint does not fit this run: {0}")]
    Snapshot(String),
    /// Blocks of rows, or the variables that are kept beside them, cannot be read or written.
    #[error("{0}")]
    Storage(String),
    /// Weak duality was violated beyond all rounding: a bug.
    #[error("a lower bound of {bound} was proved of an objective that is {objective}, which cannot be")]
    NegativeGap {
        /// The bound.
        bound: String,
        /// The objective.
        objective: String,
    },
    /// The numbers have left the range of double precision.
    #[error("the objective came out as {objective}, which is no finite number")]
    NotFinite {
        /// Its value.
        objective: String,
    },
}

impl SolveError {
    /// Advice for the user.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Device(_) => "`burn-svm devices` lists the devices; `--device flex` always works",
            Self::Gradient { .. } => {
                "set `gradient = \"autodiff\"`, and please report this with the configuration, the data and the device"
            }
            Self::NoRegulariser => "[solver.sgd] can",
            Self::FreeInParts { .. } => "give more memory; or train with `bias = \"regularised\"` or `bias = \"none\"`",
            Self::NewtonInParts { .. } => "[solver.dual] trains on such rows, too, or give more memory",
            Self::TooLarge { .. } => "leave `method` out, or set `method = \"proximal\"`",
            Self::Label(_) => "labels are class indices, and `n_classes` is their number",
            Self::Loss(_) => "the documentation of `Loss` states the range of every value",
            Self::Snapshot(_) => "train from the beginning, with --force instead of --resume",
            Self::Storage(_) => "`burn-svm pack` makes the blocks anew",
            Self::Kinks(_) => SMOOTH_HINT,
            Self::Precision => "set `precision = \"f32\"`, leave the key out, or use `--device flex`",
            Self::NegativeGap { .. } => "this is a bug; please report it with the configuration and the data",
            Self::NotFinite { .. } => {
                "bring the features to a common scale (`scale = \"std\"` in [preprocess]), or change `c`"
            }
        }
    }
}
