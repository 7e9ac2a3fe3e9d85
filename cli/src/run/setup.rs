//! Everything that a configuration fits on its training rows: preprocessing, objective, strength.

use super::{RunError, costs, threads};
use crate::config::{ConfigError, LoadedConfig};
use crate::data::batch::Source;
use crate::data::{Dataset, Scaler, class_totals};
use crate::device::OpenDevice;
use crate::model::{Classifier, Origin, Training};
use crate::objective::{Objective, Strength};
use crate::solver::{Fit, Problem};

/// Everything of a run that is fitted on its training rows.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Preprocessing.
    pub scaler: Scaler,
    /// The objective.
    pub objective: Objective,
    /// λ in its three forms.
    pub strength: Strength,
}

impl Setup {
    /// Fits on `train` rows of `data`; a `scaler` that was fitted on the same rows for the same `[preprocess]` is taken as it is.
    ///
    /// # Errors
    /// [`RunError::Config`] when the class weights or `k` of the loss do not fit the classes.
    pub fn new(config: &LoadedConfig, data: &Dataset, train: &[u32], scaler: Option<Scaler>) -> Result<Self, RunError> {
        let totals = class_totals(&data.labels, data.weights.as_deref(), train, data.n_classes());
        let fit = || scaler.unwrap_or_else(|| super::scaler(config, data, train));
        Self::of_totals(config, &data.class_names, &totals, train.len(), fit)
    }

    /// The same from the weights of all training rows of each class, their number, and preprocessing.
    ///
    /// # Errors
    /// As [`Setup::new`].
    pub(super) fn of_totals(
        config: &LoadedConfig,
        class_names: &[String],
        totals: &[f64],
        n_train: usize,
        scaler: impl FnOnce() -> Scaler,
    ) -> Result<Self, RunError> {
        let run = &config.run;
        let file = run.loss.clone().cost_file_mut().map(|path| costs::read(path, class_names)).transpose()?;
        let loss = run.loss.resolve(class_names, totals, file.as_deref()).map_err(|misfit| {
            ConfigError::new(&config.file, format!("loss.{}.{misfit}", run.loss.unweighted().name()))
                .with_hint(misfit.hint(class_names))
        })?;
        let strength = run.objective.strength(n_train);
        let objective = Objective { loss, lambda: strength.lambda, bias: run.preprocess.bias_rule() };
        Ok(Self { scaler: scaler(), objective, strength })
    }
}

/// The problem of a configuration, without rows.
pub(crate) fn problem<'a>(
    config: &LoadedConfig,
    data: &'a Dataset,
    scaler: &'a Scaler,
    objective: &'a Objective,
    device: &'a OpenDevice,
) -> Problem<'a> {
    let Dataset { features, labels, weights, .. } = data;
    Problem {
        source: Source { features, labels, scaler, weights: weights.as_deref() },
        train: &[],
        validation: &[],
        n_classes: data.n_classes(),
        objective,
        device,
        gradient: config.run.gradient,
        seed: config.run.seed,
        threads: threads(config.run.threads),
        early_stopping: config.run.early_stopping,
    }
}

/// The model of a fit.
pub(crate) fn classifier(
    config: &LoadedConfig,
    data: &Dataset,
    scaler: &Scaler,
    objective: &Objective,
    n_samples: usize,
    fit: Fit,
) -> Classifier {
    Classifier {
        weight: fit.weight,
        bias: fit.bias,
        scaler: scaler.clone(),
        encoding: data.encoding.clone(),
        class_names: data.class_names.clone(),
        feature_names: data.feature_names.clone(),
        image_shape: data.image_shape,
        origin: Origin::Trained(Training {
            loss: objective.loss.clone(),
            lambda: objective.lambda,
            n_samples,
            bias: objective.bias,
            center: config.run.preprocess.center,
            scale: config.run.preprocess.scale,
            config: config.text.clone(),
            calibration: None,
        }),
    }
}
