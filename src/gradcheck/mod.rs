//! Gradient checks: numerical, analytic and autodiff side by side, with the kinks of a margin loss named and stepped around.
//!
//! A margin loss is piecewise smooth. Where a margin changes its sign within the step of a finite difference, the difference
//! is not the gradient, and a plain gradient check reports an error of 1e-2 for code that is right. Here such rows are found
//! through [`MarginLoss::kinks`], differenced on the side without a kink, and named in the report.
//!
//! - [`check`] is for any [`MarginLoss`], one of your own included.
//! - [`check_rows`] draws rows from a data set, checks an [`Objective`] there, and compares a device with f64.
//! - [`compare_on_device`] is the second half of that: the whole gradient on a device in its own precision.
//! - [`compare_own`] compares a gradient from outside, entry by entry, and names the mistake that explains the difference.
//!
//! # What is compared, and how closely
//!
//! Numerical values are differences in f64 on the CPU, h = 1e-5 ([`STEP`]) unless another is given, taken row by row (see the source of `numerical`). The penalty
//! is differenced apart from the loss: it is a sum over the coordinates, so that only its own summand changes, and λ = 5e4
//! on raw pixels does not drown the loss's difference in the rounding of the total.
//!
//! `relative error = |a − b| / (|a| + |b|)`, taken as 0 when it is above 1e-7 although `|a − b| ≤ 1e-9·max(1, loss)`: the
//! rounding of the loss over a step allows no better for a tiny gradient. A line carries the larger of
//! numerical against analytic and numerical against autodiff. Correct code gives 1e-7 or better. Above that smaller
//! steps (h/10, h/100, h/1000) are tried and the best line stays, which the squared hinge on raw pixels needs: its slope is
//! continuous where a margin changes its sign, but bends within the step. A line fails above [`TOLERANCE`] = 1e-6. A wrong formula is off by 1e-3 and more. Over **all** coordinates, autodiff and analytic must agree to
//! [`WHOLE_TOLERANCE`] = 1e-10 in f64, as norms, and on a device in f32 to [`DEVICE_TOLERANCE`] = 1e-5.
//!
//! Nothing here prints; [`Coordinate`] and [`Verdict`] display themselves as one line each.
//! Imports `objective`, `loss`, `model`, `data`, `device`.

mod device;
mod diagnosis;
mod judge;
mod numerical;
mod own;
mod profile;
mod report;
mod routes;
mod rows;
#[cfg(test)]
mod tests;

pub use device::compare_on_device;
pub use numerical::{SMALLEST_STEP, STEP};
pub use own::{Entry, OwnGradient, OwnReport, compare_own};
pub use profile::Profile;
pub use report::{
    Coordinate, DeviceComparison, GradientPoint, Judgement, Kink, Losses, Parameter, Report, Side, Verdict,
};
pub use rows::{RowCheckInput, check_rows};

use crate::data::batch::{Batch, DeviceFeatures};
use crate::data::streams;
use crate::loss::{MarginLoss, check_labels};
use crate::model::{BiasRule, LinearSvm};
use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{DType, Device, Tensor, TensorData};
use judge::Candidates;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use routes::HostObjective;

#[allow(unused_imports)] // for the links of the documentation
use crate::objective::{Objective, Regulariser};

/// The largest relative error of a line that agrees.
pub const TOLERANCE: f64 = 1e-6;
/// The largest relative norm between autodiff and analytic over all coordinates in f64.
pub const WHOLE_TOLERANCE: f64 = 1e-10;
/// The largest relative norm between gradients on a device in single precision and the f64 reference.
pub const DEVICE_TOLERANCE: f64 = 1e-5;
/// Rows that [`check_rows`] draws.
pub const ROWS: usize = 500;
/// The usual number of coordinates.
pub const COORDINATES: usize = 20;
/// The largest step of a difference.
pub const LARGEST_STEP: f64 = 1.0;
/// The standard deviation of the random weights.
const DEVIATION: f64 = 1e-4;

/// A gradient check that could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GradcheckError {
    /// The build has no backend that computes in f64 on the CPU.
    #[error("a gradient check needs a CPU backend, and this build has none")]
    NoCpuBackend,
    /// There is nothing to check on.
    #[error("a gradient check needs at least one row of at least two classes")]
    NoRows,
    /// Lengths that do not fit together, or labels that are no class indices.
    #[error("a gradient check got {found}, expected {expected}")]
    Input {
        /// As it is.
        found: String,
        /// As it should be.
        expected: String,
    },
    /// A loss that answers in another float type or shape than that of its scores.
    #[error("`{loss}` answers scores of type F64 with {found}, expected {expected}")]
    Answer {
        /// Its name.
        loss: &'static str,
        /// Of which type and shape.
        found: String,
        /// As the contract of [`MarginLoss`] has it.
        expected: String,
    },
    /// A device failed.
    #[error("the device failed: {0}")]
    Device(String),
}

/// [`GradcheckError::Input`] unless something holds.
fn expect(
    holds: bool,
    found: impl FnOnce() -> String,
    expected: impl FnOnce() -> String,
) -> Result<(), GradcheckError> {
    if holds { Ok(()) } else { Err(GradcheckError::Input { found: found(), expected: expected() }) }
}

impl GradcheckError {
    /// Advice for the user.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NoCpuBackend => "build with `--features flex`",
            Self::NoRows => "check the split: the training rows are what is checked on",
            Self::Input { .. } => "features are row-major [n_samples, n_features], weights [n_features, n_classes]",
            Self::Answer { .. } => "compute in the type of the scores: `scores.dtype()`, and cast constants to it",
            Self::Device(_) => "`--device flex` checks on the CPU alone",
        }
    }
}

/// Input of [`check`]. [`Inputs::new`] sets all but the first four fields to their defaults.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    /// The loss, built on [`crate::device::cpu`].
    pub loss: &'a dyn MarginLoss,
    /// Row-major `[n_samples, n_features]`.
    pub features: &'a [f64],
    /// Class indices `[n_samples]`.
    pub labels: &'a [u32],
    /// Number of classes.
    pub n_classes: usize,
    /// A weight a row, `[n_samples]`; `None` where all are 1.
    pub row_weights: Option<&'a [f64]>,
    /// Row-major `[n_features, n_classes]`; 1e-4 times standard normal numbers where it is `None`.
    pub weight: Option<&'a [f64]>,
    /// `[n_classes]`, used with `weight` where the rule has a bias; zeros where it is `None`.
    pub bias: Option<&'a [f64]>,
    /// λ of (λ/2)·‖W‖²; with 0 the gradient is checked without the regulariser only.
    pub lambda: f64,
    /// Whether there is a bias, and whether it is penalised.
    pub bias_rule: BiasRule,
    /// The mean loss at W = 0, where it is known.
    pub expected_at_zero: Option<f64>,
    /// Coordinates to check.
    pub coordinates: usize,
    /// The step h of the differences, at least [`SMALLEST_STEP`].
    pub step: f64,
    /// Coordinates with a kink, at most, along which the loss is followed ([`Report::profiles`]).
    pub profiles: usize,
    /// Seed of the random weights and coordinates.
    pub seed: u64,
}

impl<'a> Inputs<'a> {
    /// A check at random weights with no regulariser and no bias, of [`COORDINATES`] coordinates.
    #[must_use]
    pub fn new(loss: &'a dyn MarginLoss, features: &'a [f64], labels: &'a [u32], n_classes: usize) -> Self {
        Self {
            loss,
            features,
            labels,
            n_classes,
            row_weights: None,
            weight: None,
            bias: None,
            lambda: 0.0,
            bias_rule: BiasRule::None,
            expected_at_zero: None,
            coordinates: COORDINATES,
            step: STEP,
            profiles: 0,
            seed: 0,
        }
    }
}

/// The objective of a sample at one point, on the f64 CPU device.
struct ModelPoint<'a> {
    device: Device,
    loss: &'a dyn MarginLoss,
    features: &'a [f64],
    labels: &'a [u32],
    n_features: usize,
    n_classes: usize,
    row_weights: Option<&'a [f64]>,
    weight: Vec<f64>,
    bias: Option<Vec<f64>>,
    lambda: f64,
    rule: BiasRule,
    expected_at_zero: Option<f64>,
    step: f64,
}

/// Checks the gradient of a loss on dense rows.
///
/// ```
/// use burn_svm::internals::gradcheck::{Inputs, check};
/// use burn_svm::internals::{device, loss::WestonWatkinsLossConfig};
///
/// let loss = WestonWatkinsLossConfig::new().init(&device::cpu().expect("a CPU backend is compiled in"));
/// let rows = [[1.0, 0.2], [-0.5, 1.0], [0.3, -2.0]].concat();
/// let report = check(&Inputs::new(&loss, &rows, &[0, 1, 2], 3)).unwrap();
/// assert!(report.verdict.passed, "{}", report.verdict);
/// ```
///
/// # Errors
/// [`GradcheckError`] when the build has no CPU backend, there are no rows, lengths do not fit together, a label is not below `n_classes`,
/// the step is out of its range,
/// the loss answers in another float type or shape than that of its scores, or a device fails.
pub fn check(inputs: &Inputs<'_>) -> Result<Report, GradcheckError> {
    let n = inputs.labels.len();
    if n == 0 || inputs.n_classes < 2 {
        return Err(GradcheckError::NoRows);
    }
    let cells = inputs.features.len();
    expect(cells.is_multiple_of(n), || format!("{cells} features for {n} labels"), || "as many to each row".into())?;
    if let Err(outside) = check_labels(inputs.labels.iter().copied(), inputs.n_classes) {
        let expected = || format!("class indices below {}", inputs.n_classes);
        expect(false, || format!("label {} of row {}", outside.label, outside.row), expected)?;
    }
    let weights = inputs.row_weights.map_or(n, <[f64]>::len);
    expect(weights == n, || format!("{weights} row weights for {n} rows"), || "one a row".into())?;
    let step = inputs.step;
    let is_step = (SMALLEST_STEP..=LARGEST_STEP).contains(&step);
    expect(is_step, || format!("a step of {step}"), || format!("{SMALLEST_STEP:e} to {LARGEST_STEP}"))?;
    let device = crate::device::cpu().ok_or(GradcheckError::NoCpuBackend)?;
    let n_features = inputs.features.len() / n;
    let size = n_features * inputs.n_classes;
    let mut rng = generator(inputs.seed);
    let random = normal(size, &mut rng);
    let random_bias = inputs.bias_rule.has_bias().then(|| normal(inputs.n_classes, &mut rng));
    let mut point = ModelPoint {
        device,
        loss: inputs.loss,
        features: inputs.features,
        labels: inputs.labels,
        n_features,
        n_classes: inputs.n_classes,
        row_weights: inputs.row_weights,
        weight: random,
        bias: random_bias,
        lambda: inputs.lambda,
        rule: inputs.bias_rule,
        expected_at_zero: inputs.expected_at_zero,
        step: inputs.step,
    };
    point.check_answers()?;
    let at_random = point.data_loss(&point.scores())?;
    let mut at = GradientPoint::Random;
    if let Some(weight) = inputs.weight {
        expect(weight.len() == size, || format!("{} weights", weight.len()), || size.to_string())?;
        at = GradientPoint::Model;
        point.weight = weight.to_vec();
        let given = inputs.bias.map_or_else(|| vec![0.0; inputs.n_classes], <[f64]>::to_vec);
        expect(given.len() == inputs.n_classes, || format!("{} biases", given.len()), || inputs.n_classes.to_string())?;
        point.bias = inputs.bias_rule.has_bias().then_some(given);
    }
    let candidates = point.candidates()?;
    let mut report = point.report(&candidates, at, at_random, inputs.coordinates, inputs.seed, &mut rng)?;
    report.profiles = point.profiles(&report.coordinates, inputs.profiles)?;
    Ok(report)
}

/// The generator of all draws of a gradient check.
fn generator(seed: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(streams::GRADCHECK);
    rng
}

/// Small normal weights, rounded to f32, so that a device in single precision can be at the same point.
#[allow(clippy::cast_possible_truncation)]
fn normal(count: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let draw = |_| f64::from((DEVIATION * Distribution::<f64>::sample(&StandardNormal, rng)) as f32);
    (0..count).map(draw).collect()
}

impl ModelPoint<'_> {
    fn n_samples(&self) -> usize {
        self.labels.len()
    }

    fn row_weight(&self, row: usize) -> f64 {
        self.row_weights.map_or(1.0, |w| w[row])
    }

    /// XW + b, `[n_samples, n_classes]`.
    fn scores(&self) -> Vec<f64> {
        let k = self.n_classes;
        let mut scores = vec![0.0; self.n_samples() * k];
        for (i, out) in scores.chunks_exact_mut(k).enumerate() {
            let x = &self.features[i * self.n_features..(i + 1) * self.n_features];
            for (x, w) in x.iter().zip(self.weight.chunks_exact(k)).filter(|(x, _)| **x != 0.0) {
                out.iter_mut().zip(w).for_each(|(s, w)| *s += x * w);
            }
            if let Some(bias) = &self.bias {
                out.iter_mut().zip(bias).for_each(|(s, b)| *s += b);
            }
        }
        scores
    }

    /// Asks the loss of one row for its value and gradient, whose types and shapes are those of the scores.
    fn check_answers(&self) -> Result<(), GradcheckError> {
        let scores = Tensor::<2>::zeros([1, self.n_classes], (&self.device, DType::F64));
        let labels = || self.labels_tensor(&self.labels[..1]);
        let right = |what: &str, dtype: DType, found: &[usize], expected: &[usize]| {
            if dtype == DType::F64 && found == expected {
                return Ok(());
            }
            Err(GradcheckError::Answer {
                loss: self.loss.name(),
                found: format!("a {what} of type {dtype:?} and shape {found:?}"),
                expected: format!("F64 and {expected:?}"),
            })
        };
        let value = self.loss.forward_no_reduction(scores.clone(), labels());
        right("loss", value.dtype(), &value.dims(), &[1])?;
        let gradient = self.loss.gradient(scores, labels());
        right("gradient", gradient.dtype(), &gradient.dims(), &[1, self.n_classes])
    }

    /// The mean loss at scores, without the regulariser.
    #[allow(clippy::cast_precision_loss)]
    fn data_loss(&self, scores: &[f64]) -> Result<f64, GradcheckError> {
        let losses = self.losses(scores.to_vec(), self.labels)?;
        let weighted = losses.iter().enumerate().map(|(row, loss)| self.row_weight(row) * loss);
        Ok(weighted.sum::<f64>() / self.n_samples() as f64)
    }

    fn regulariser(&self, lambda: f64) -> Regulariser {
        Regulariser { lambda, bias: self.rule }
    }

    /// (λ/2)·‖W‖² and its part of the bias.
    fn penalty(&self) -> f64 {
        self.regulariser(self.lambda).penalty(&self.weight, self.bias.as_deref())
    }

    fn model(&self, device: &Device) -> LinearSvm {
        let options = (device, DType::F64);
        let weight = TensorData::new(self.weight.clone(), [self.n_features, self.n_classes]);
        let bias = self.bias.clone().map(|bias| TensorData::new(bias, [self.n_classes]));
        let linear = Linear {
            weight: Param::from_tensor(Tensor::from_data(weight, options)),
            bias: bias.map(|bias| Param::from_tensor(Tensor::from_data(bias, options))),
        };
        LinearSvm { linear }
    }

    /// The gradients to check, with the regulariser off and, where λ > 0, on.
    fn candidates(&self) -> Result<Vec<Candidates>, GradcheckError> {
        let x = TensorData::new(self.features.to_vec(), [self.n_samples(), self.n_features]);
        let batch = Batch {
            rows: DeviceFeatures::Dense(Tensor::from_data(x, (&self.device, DType::F64))),
            labels: self.labels_tensor(self.labels),
            weights: self.row_weights.map(|w| Tensor::from_data(w, (&self.device, DType::F64))),
        };
        let plain = self.model(&self.device);
        let tracked = self.model(&self.device.clone().autodiff());
        let lambdas = if self.lambda > 0.0 { vec![0.0, self.lambda] } else { vec![0.0] };
        let both = lambdas.into_iter().map(|lambda| {
            let route = HostObjective { loss: self.loss, regulariser: self.regulariser(lambda) };
            let analytic = route.analytic(&plain, &batch, None)?;
            Ok(Candidates { lambda, analytic, autodiff: route.autodiff(&tracked, &batch, None)? })
        });
        both.collect()
    }
}
