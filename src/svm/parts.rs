//! Problems whose rows lie in parts that somebody else holds: on other machines, or in blocks.

use super::{Model, Rows, Solution, Svm, SvmError};
use crate::data::{Features, Moments, Scaler};
use crate::device;
use crate::model::{Classifier, Origin};
use crate::solver::StopReason;
use crate::solver::parts::{Outcome, Progress, Setting};
use std::time::Duration;

impl<'a> Rows<'a> {
    /// As the library keeps them.
    #[doc(hidden)]
    #[must_use]
    pub fn into_features(self) -> Features<'a> {
        self.features
    }
}

impl Svm {
    /// The common ground of all parts; `moments` of all rows, where the preprocessing needs them, and whether rows are in double precision.
    ///
    /// # Errors
    /// [`SvmError::Option`] for options out of range; [`SvmError::Loss`] where the loss does not fit the classes.
    #[doc(hidden)]
    pub fn setting(
        &self,
        names: &[String],
        n_features: usize,
        n_train: usize,
        moments: Option<&Moments>,
        double_rows: bool,
    ) -> Result<Setting, SvmError> {
        let device = device::open(self.device).map_err(|e| SvmError::Device(format!("{e}; {}", e.hint)))?;
        let empty = Moments::new(vec![0.0; n_features]);
        let moments = moments.unwrap_or(&empty);
        if moments.n_features() != n_features {
            let found = format!("sums over {} columns", moments.n_features());
            return Err(SvmError::Shape { found, expected: format!("{n_features}") });
        }
        Ok(Setting {
            objective: self.objective(names, None, n_train)?,
            scaler: Scaler::of_moments(moments, self.center, self.scale, double_rows),
            n_features,
            n_classes: names.len(),
            n_train,
            device,
            seed: self.seed,
        })
    }

    /// The result of a run in parts; `goal` is the relative gap that was asked for.
    #[doc(hidden)]
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn solution_of_parts(
        &self,
        setting: &Setting,
        names: &[String],
        outcome: &Outcome,
        progress: &Progress,
        goal: f64,
        seconds: Duration,
    ) -> Solution {
        let classifier = Classifier {
            weight: outcome.weight.clone(),
            bias: outcome.bias.clone(),
            scaler: setting.scaler.clone(),
            encoding: None,
            class_names: names.to_vec(),
            feature_names: None,
            image_shape: None,
            origin: Origin::Trained(self.training(&setting.objective, setting.n_train)),
        };
        let reached = outcome.certificate.relative_gap <= goal;
        Solution {
            model: Model::of(classifier),
            certificate: outcome.certificate,
            accuracy: outcome.evaluation.confusion.accuracy(),
            stop: if reached { StopReason::GapReached } else { StopReason::EpochLimit },
            steps: progress.visits,
            epochs: progress.round as f64,
            seconds,
        }
    }
}
