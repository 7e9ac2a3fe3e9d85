//! Result of a gradient check: plain values for JSON, and each line and the verdict as a sentence.

use super::Profile;
use crate::model::BiasRule;
use serde::Serialize;
use std::fmt;

/// A gradient check, complete.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The loss's name.
    pub loss: String,
    /// Rows on which it was checked.
    pub n_samples: usize,
    /// Features of the data.
    pub n_features: usize,
    /// Classes of the data.
    pub n_classes: usize,
    /// λ of the lines with the regulariser on.
    pub lambda: f64,
    /// The bias rule.
    pub bias: BiasRule,
    /// The seed of all draws.
    pub seed: u64,
    /// The weights at which the gradients were taken.
    pub at: GradientPoint,
    /// Losses of the usual first checks.
    pub losses: Losses,
    /// The coordinates with the regulariser off, then the same ones with it on (where λ > 0).
    pub coordinates: Vec<Coordinate>,
    /// Autodiff against analytic over all coordinates in f64, ‖a − b‖/scale, the larger of off and on.
    pub autodiff_vs_analytic: f64,
    /// The whole gradient on a device, where one was asked for.
    pub device: Option<DeviceComparison>,
    /// The loss along coordinates with a kink, where it was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<Profile>,
    /// The summary.
    pub verdict: Verdict,
}

/// The weights at which gradients were taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GradientPoint {
    /// 1e-4 times standard normal numbers.
    Random,
    /// The weights of a model.
    Model,
}

/// Mean losses of the rows without the regulariser, and the whole objective at the point checked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Losses {
    /// At W = 0, b = 0.
    pub at_zero: f64,
    /// Its exact value: for ten classes and margin 1, 9 (Weston-Watkins), 1 or 10, times the mean class weight.
    pub expected_at_zero: Option<f64>,
    /// At 1e-4 times standard normal numbers.
    pub at_random: f64,
    /// Loss at the weights that were checked.
    pub data_loss: f64,
    /// The same with the regulariser.
    pub objective: f64,
}

impl Losses {
    /// Whether the loss at W = 0 is the expected one, to rounding.
    #[must_use]
    pub fn zero_is_right(&self) -> bool {
        self.expected_at_zero.is_none_or(|expected| (self.at_zero - expected).abs() <= 1e-12 * expected.abs().max(1.0))
    }
}

/// A parameter of the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Parameter {
    /// One entry of W.
    Weight {
        /// Its row.
        feature: usize,
        /// Its column.
        class: usize,
    },
    /// One entry of b.
    Bias {
        /// Its index.
        class: usize,
    },
}

impl Parameter {
    /// The class whose score it moves.
    #[must_use]
    pub const fn class(self) -> usize {
        match self {
            Self::Weight { class, .. } | Self::Bias { class } => class,
        }
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Weight { feature, class } => write!(f, "W[{feature}, {class}]"),
            Self::Bias { class } => write!(f, "b[{class}]"),
        }
    }
}

/// The side of the point on which a row has a kink within the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Between W − h and W: the row was differenced on the other side.
    Before,
    /// Between W and W + h: the row was differenced on the other side.
    After,
    /// On both sides, down to the smallest step: the row has no difference to compare with.
    Both,
}

/// A kink of one row's loss within the step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kink {
    /// The row, in the numbering of the data set.
    pub row: usize,
    /// Its label.
    pub label: usize,
    /// The classes whose part in the loss changes.
    pub classes: Vec<usize>,
    /// Direction in which the kink lies.
    pub side: Side,
}

/// Judgement of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// The three values agree.
    Agreed,
    /// Some do not.
    Failed,
    /// A kink on both sides, however small the step: nothing to compare with, and no failure.
    KinkUnresolved,
}

/// One line: a coordinate of the gradient by three routes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Coordinate {
    /// Which.
    pub parameter: Parameter,
    /// Whether the regulariser was on.
    pub regularised: bool,
    /// By finite differences; rows with a kink by one-sided ones.
    pub numerical: f64,
    /// By hand: XᵀQ/n (+ λW).
    pub analytic: f64,
    /// By Burn's automatic differentiation.
    pub autodiff: f64,
    /// Centred differences of all rows, kinks included: the number of a plain gradient check.
    pub centred: f64,
    /// The relative error of `centred`, as `relative_error`.
    pub centred_error: f64,
    /// The larger of numerical against analytic and numerical against autodiff.
    pub relative_error: f64,
    /// The smallest step that was needed.
    pub step: f64,
    /// The rows with a kink within the step.
    pub kinks: Vec<Kink>,
    /// The outcome.
    pub judgement: Judgement,
}

impl fmt::Display for Coordinate {
    /// `numerical: 0.449971 analytic: 0.449971 autodiff: 0.449971, relative error: 5.636661e-10`, and the kinks with the centred
    /// difference and its error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { numerical, analytic, autodiff, relative_error, .. } = self;
        write!(
            f,
            "numerical: {numerical:.6} analytic: {analytic:.6} autodiff: {autodiff:.6}, relative error: {relative_error:.6e}"
        )?;
        if !self.kinks.is_empty() {
            write!(f, ", centred: {:.6}, off by {:.1e}", self.centred, self.centred_error)?;
        }
        let word = if self.judgement == Judgement::KinkUnresolved { "kink unresolved" } else { "kink" };
        for (i, kink) in self.kinks.iter().take(SHOWN_KINKS).enumerate() {
            let Kink { row, label, classes, .. } = kink;
            let classes: Vec<_> = classes.iter().map(ToString::to_string).collect();
            let start = if i == 0 { format!(", {word} at") } else { ",".into() };
            write!(f, "{start} row {row} (label {label}, class {})", classes.join(" and "))?;
        }
        if self.kinks.len() > SHOWN_KINKS {
            write!(f, " and {} more rows", self.kinks.len() - SHOWN_KINKS)?;
        }
        if self.judgement == Judgement::Failed { f.write_str(", FAILED") } else { Ok(()) }
    }
}

/// Kinks that a line names before it counts the others.
const SHOWN_KINKS: usize = 2;

/// The whole gradient of the objective on a device in its own precision.
///
/// Errors are relative norms, ‖a − b‖/scale, with scale = ‖XᵀQ/n‖ + ‖λW‖ of the f64 reference: at an optimum the two terms
/// cancel, and dividing by the norm of their sum would say nothing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceComparison {
    /// The device as named, with its adapter.
    pub device: String,
    /// The precision of the device's scores.
    pub precision: String,
    /// Rows.
    pub n_samples: usize,
    /// Rows that lie so near a kink that the device's precision puts them on the other side; there the reference follows the
    /// device.
    pub kink_rows: usize,
    /// The largest difference of scores, over the largest score.
    pub scores: f64,
    /// Autodiff against analytic, both on the device.
    pub autodiff_vs_analytic: f64,
    /// Autodiff on the device against the f64 reference.
    pub autodiff_vs_reference: f64,
    /// Analytic on the device against the f64 reference.
    pub analytic_vs_reference: f64,
    /// The fused pass over the same rows against the f64 reference; `None` where training has no fused route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fused_vs_reference: Option<f64>,
    /// Largest error allowed of each.
    pub tolerance: f64,
    /// Whether they are.
    pub ok: bool,
}

/// The summary of a gradient check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// Lines.
    pub checked: usize,
    /// Lines on which the three values agree, those close to a kink included.
    pub agreed: usize,
    /// Lines with a kink within the step.
    pub kinks: usize,
    /// Lines whose kink could not be stepped around.
    pub unresolved: usize,
    /// Lines on which the values disagree.
    pub failed: usize,
    /// The largest relative error of the lines that were judged.
    pub max_relative_error: f64,
    /// The likely cause of a failure.
    pub cause: Option<String>,
    /// Whether everything agrees: lines, loss at W = 0, the whole gradient, the device.
    pub passed: bool,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} coordinates agreed", self.agreed, self.checked)?;
        if self.kinks > 0 {
            write!(f, ", {} of them checked next to a kink", self.kinks - self.unresolved)?;
        }
        if self.unresolved > 0 {
            write!(f, ", {} kinks unresolved", self.unresolved)?;
        }
        if self.failed > 0 {
            write!(f, ", {} failed", self.failed)?;
        }
        write!(f, "; largest relative error {:.2e}", self.max_relative_error)?;
        match &self.cause {
            Some(cause) => write!(f, "; likely cause: {cause}"),
            None => Ok(()),
        }
    }
}
