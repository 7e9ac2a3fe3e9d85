//! Probabilities from scores, by a map with one or two parameters that is fitted on rows the model has not learned from.
//!
//! The scores of a support vector machine are margins, not log-odds: their softmax is no probability. Two maps are known to
//! make them one; neither touches the weights.
//!
//! - **Temperature**: p = softmax(s/T) with the T > 0 of least negative log-likelihood (Guo, Pleiss, Sun, Weinberger, *On
//!   calibration of modern neural networks*, ICML 2017). One parameter; the order of the classes stays as it is.
//! - **Platt**: p_k ∝ σ(a_k·s_k + b_k), a sigmoid a class against the rest (Platt, *Probabilistic outputs for support vector
//!   machines*, 1999), divided by their sum. 2·n_classes parameters; the most probable class may differ from that of the
//!   largest score, which remains the prediction.
//!
//! All of it is computed from logarithms, so that no probability is lost to underflow. Imports `metric` and `bounded`.

mod platt;
pub mod quality;
mod temperature;

pub use quality::{Quality, QualitySum};
pub use temperature::{negative_log_likelihood, temperature_at_end};

use crate::bounded::WholeNumber;
use serde::{Deserialize, Serialize};

/// `method` of the `[calibration]` table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Calibration {
    /// Scores only.
    #[default]
    None,
    /// softmax(s/T)
    Temperature,
    /// A sigmoid a class, normalised.
    Platt,
}

/// The `[calibration]` table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CalibrationConfig {
    /// Map from scores to probabilities.
    pub method: Calibration,
    /// Folds of the training rows: models of the other folds score each, and the map is fitted on these scores. Absent: it is fitted on
    /// the validation rows, and on [`FOLDS`] folds where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folds: Option<WholeNumber<2, 100>>,
}

/// Folds of a calibration without validation rows.
pub const FOLDS: usize = 5;

/// A fitted map from scores to probabilities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "method")]
pub enum Calibrator {
    /// softmax(s/T)
    Temperature {
        /// T, above 0, in the unit of the scores.
        temperature: f64,
    },
    /// σ(slope_k·s_k + offset_k), divided by the sum over the classes.
    Platt {
        /// `[n_classes]`
        slope: Vec<f64>,
        /// `[n_classes]`
        offset: Vec<f64>,
    },
}

impl Calibrator {
    /// Fits the map of a method; `None` for [`Calibration::None`] and for no rows.
    ///
    /// # Shapes
    /// `scores`: `[n_samples, n_classes]` row-major; `labels`: `[n_samples]`, each below `n_classes`.
    #[must_use]
    pub fn fit(method: Calibration, scores: &[f64], labels: &[usize], n_classes: usize) -> Option<Self> {
        if labels.is_empty() || n_classes == 0 {
            return None;
        }
        match method {
            Calibration::None => None,
            Calibration::Temperature => {
                Some(Self::Temperature { temperature: temperature::fit(scores, labels, n_classes) })
            }
            Calibration::Platt => {
                let class = |k: usize| {
                    let own: Vec<f64> = scores.iter().skip(k).step_by(n_classes).copied().collect();
                    let is: Vec<bool> = labels.iter().map(|&l| l == k).collect();
                    platt::fit(&own, &is)
                };
                let (slope, offset) = (0..n_classes).map(class).unzip();
                Some(Self::Platt { slope, offset })
            }
        }
    }

    /// The name as the configuration spells it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Temperature { .. } => "temperature",
            Self::Platt { .. } => "platt",
        }
    }

    /// T, where there is one.
    #[must_use]
    pub const fn temperature(&self) -> Option<f64> {
        match self {
            Self::Temperature { temperature } => Some(*temperature),
            Self::Platt { .. } => None,
        }
    }

    /// Whether it can be applied to the scores of `n_classes` classes: parameters finite, one for each class, T above 0.
    #[must_use]
    pub fn fits(&self, n_classes: usize) -> bool {
        match self {
            Self::Temperature { temperature } => temperature.is_finite() && *temperature > 0.0,
            Self::Platt { slope, offset } => {
                slope.len() == n_classes
                    && offset.len() == n_classes
                    && slope.iter().chain(offset).all(|v| v.is_finite())
            }
        }
    }

    /// The logarithms of the probabilities of one row, in place of its scores.
    pub fn log_probabilities(&self, row: &mut [f64]) {
        match self {
            Self::Temperature { temperature } => row.iter_mut().for_each(|s| *s /= temperature),
            Self::Platt { slope, offset } => {
                for (s, (a, b)) in row.iter_mut().zip(slope.iter().zip(offset)) {
                    *s = log_sigmoid(a * *s + b);
                }
            }
        }
        log_softmax(row);
    }
}

/// s_k − log Σ_j exp(s_j), in place; the largest is subtracted first.
pub fn log_softmax(row: &mut [f64]) {
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|s| (s - top).exp()).sum();
    let log = top + sum.ln();
    row.iter_mut().for_each(|s| *s -= log);
}

/// log(1/(1 + exp(−z))) without overflow.
fn log_sigmoid(z: f64) -> f64 {
    z.min(0.0) - (-z.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn probabilities_of_far_scores_are_not_lost() {
        let mut row = [1e4, 0.0, -1e4];
        Calibrator::Temperature { temperature: 1.0 }.log_probabilities(&mut row);
        assert_eq!(row, [0.0, -1e4, -2e4]);
        let mut row = [-1000.0, -1001.0];
        let calibrator = Calibrator::Platt { slope: vec![1.0; 2], offset: vec![0.0; 2] };
        calibrator.log_probabilities(&mut row);
        // exp(−1000) would be 0, and 0/0 no probability.
        assert!((row[0] - (1.0 / (1.0 + (-1.0f64).exp())).ln()).abs() < 1e-12, "{row:?}");
    }

    #[test]
    fn what_cannot_be_applied_is_told() {
        let temperature = |temperature| Calibrator::Temperature { temperature };
        assert!(temperature(2.0).fits(3) && !temperature(0.0).fits(3) && !temperature(f64::NAN).fits(3));
        let platt = Calibrator::Platt { slope: vec![1.0, 1.0], offset: vec![0.0, f64::INFINITY] };
        assert!(!platt.fits(2));
        assert_eq!(Calibrator::fit(Calibration::None, &[1.0, 2.0], &[0], 2), None);
        assert_eq!(Calibrator::fit(Calibration::Platt, &[], &[], 2), None);
    }

    proptest! {
        #[test]
        fn probabilities_sum_to_one_and_temperature_keeps_the_order(
            row in prop::collection::vec(-1e3..1e3f64, 2..6), t in 1e-3..1e3f64, a in -3.0..3.0f64, b in -50.0..50.0f64,
        ) {
            let k = row.len();
            let calibrators =
                [Calibrator::Temperature { temperature: t }, Calibrator::Platt { slope: vec![a; k], offset: vec![b; k] }];
            for calibrator in calibrators {
                let mut log = row.clone();
                calibrator.log_probabilities(&mut log);
                let sum: f64 = log.iter().map(|l| l.exp()).sum();
                prop_assert!((sum - 1.0).abs() < 1e-12, "{:?} {:?}", calibrator, log);
                if calibrator.temperature().is_some() {
                    prop_assert_eq!(crate::metric::argmax(&log), crate::metric::argmax(&row));
                }
            }
        }
    }
}
