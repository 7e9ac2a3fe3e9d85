//! What a configuration makes of a set of training rows: preprocessing, objective, strength.

use super::RunError;
use super::costs;
use crate::config::{ConfigError, LoadedConfig};
use crate::data::{Dataset, Scaler};
use crate::objective::{Objective, Strength};

/// Everything of a run that is fitted on its training rows.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// Preprocessing.
    pub scaler: Scaler,
    /// What is minimised.
    pub objective: Objective,
    /// λ in its three forms.
    pub strength: Strength,
}

impl Fitted {
    /// Fits on `train` rows of `data`; a `scaler` that was fitted on the same rows for the same `[preprocess]` is taken as it is.
    ///
    /// # Errors
    /// [`RunError::Config`] when the class weights or `k` of the loss do not fit the classes.
    pub fn new(config: &LoadedConfig, data: &Dataset, train: &[u32], scaler: Option<Scaler>) -> Result<Self, RunError> {
        let run = &config.run;
        let mut counts = vec![0; data.n_classes()];
        train.iter().for_each(|&r| counts[data.labels[r as usize] as usize] += 1);
        let file = run.loss.clone().cost_file_mut().map(|path| costs::read(path, &data.class_names)).transpose()?;
        let loss = run.loss.resolve(&data.class_names, &counts, file.as_deref()).map_err(|misfit| {
            ConfigError::new(&config.file, format!("loss.{}.{misfit}", run.loss.unweighted().name()))
                .with_hint(misfit.hint(&data.class_names))
        })?;
        let fit = || Scaler::fit(&data.features, train, run.preprocess.center, run.preprocess.scale);
        let strength = run.objective.strength(train.len());
        let objective = Objective { loss, lambda: strength.lambda, bias: run.preprocess.bias_rule() };
        Ok(Self { scaler: scaler.unwrap_or_else(fit), objective, strength })
    }
}
