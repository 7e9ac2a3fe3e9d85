//! Proof of a model's quality: its objective on training rows, and a bound of its distance to the optimum.

use super::blocks;
use super::labelled::{conform, renumbered};
use super::{PreparedData, RunError, labelled, open_device, prepare_for, threads};
use crate::bounded::Fraction;
use crate::config::LoadedConfig;
use crate::data::Scaler;
use crate::device::{self, DeviceName};
use crate::format::Complaint;
use crate::model::{BiasRule, Classifier, Training};
use crate::objective::{Objective, Strength};
use crate::solver::dual::certificate::{self, Proof};
use crate::solver::{DualConfig, GradientRoute, Observer, Problem, SolverConfig};
use std::num::NonZeroUsize;
use std::path::Path;

/// A model's certificate, with its rows and its objective.
#[derive(Debug)]
pub struct CertifiedModel {
    /// Bounds.
    pub proof: Proof,
    /// Name of the rows.
    pub rows: String,
    /// Number of rows.
    pub n_samples: usize,
    /// The objective that was bounded.
    pub objective: Objective,
    /// Its λ in three forms.
    pub strength: Strength,
}

/// Limits for tightening the bound.
#[derive(Debug, Clone, Copy)]
pub struct TighteningLimits {
    /// Until the solver's own relative gap is this.
    pub gap: Fraction,
    /// And no longer than this many epochs.
    pub epochs: NonZeroUsize,
    /// Threads of the CPU; `None` for the number in the configuration, else all.
    pub threads: Option<usize>,
}

/// Certifies a model on the training split of a configuration and for its objective, or on all rows of a file for the objective
/// that the model was trained for.
///
/// # Errors
/// [`RunError`] when the configuration or the data is bad, or the model does not fit it.
pub fn certify(
    path: &Path,
    model: &Classifier,
    effort: TighteningLimits,
    observer: &mut dyn Observer,
) -> Result<CertifiedModel, RunError> {
    if path.extension().is_some_and(|e| e == "toml") {
        return certify_by(&LoadedConfig::load(path, &[])?, model, effort, observer);
    }
    let Some(training) = model.training() else {
        return Err(RunError::Mismatch {
            problem: "a model of LIBLINEAR does not say which objective it was trained for".into(),
            hint: "name a configuration with --data: its data, preprocessing, [objective] and [loss] are taken".into(),
        });
    };
    let rows = labelled(path, model)?;
    let objective = Objective { loss: training.loss.clone(), lambda: training.lambda, bias: training.bias };
    let strength = Strength::of_lambda(objective.lambda, rows.rows.len());
    let prepared = PreparedData::of_rows(rows.data, rows.rows, model.scaler.clone(), objective, strength);
    // For the options of the solver; the files that it names are not looked at. A model that was made in code has none.
    let made_in_code = training.config.is_empty();
    let config = if made_in_code { None } else { Some(LoadedConfig::parse(&training.config, path, &[])?) };
    solve(config.as_ref(), prepared, rows.name, model, effort, observer)
}

/// Certifies a model on the training split of a configuration.
///
/// # Errors
/// As [`certify`].
pub fn certify_by(
    config: &LoadedConfig,
    model: &Classifier,
    effort: TighteningLimits,
    observer: &mut dyn Observer,
) -> Result<CertifiedModel, RunError> {
    if let Some(folder) = blocks::find(config)? {
        return blocks::certify(config, folder, model, effort, observer);
    }
    let mut prepared = prepare_for(config, model)?;
    let names = prepared.data.class_names.clone();
    let file = &config.file;
    prepared.data = renumbered(prepared.data, model, file)?;
    prepared.data.features = conform(prepared.data.features, model, file)?;
    // Features may have been added or put in another order since the scaler was fitted.
    prepared.scaler = super::scaler(config, &prepared.data, &prepared.split.train);
    // Class weights and costs are in the order of the data's classes, columns in that of the model's.
    let places: Vec<_> = model.class_names.iter().map(|name| names.iter().position(|n| n == name)).collect();
    prepared.objective.loss = prepared.objective.loss.reordered(&places);
    // The path's strongest is no more the model's than any other: its own counts where it is one of them.
    if let (true, Some(Training { lambda, .. })) = (config.run.objective.is_path(), model.training()) {
        prepared.objective.lambda = *lambda;
        prepared.strength = Strength::of_lambda(*lambda, prepared.split.train.len());
    }
    let name = format!("train split of {}", file.display());
    solve(Some(config), prepared, name, model, effort, observer)
}

fn solve(
    config: Option<&LoadedConfig>,
    prepared: PreparedData,
    rows: String,
    model: &Classifier,
    effort: TighteningLimits,
    observer: &mut dyn Observer,
) -> Result<CertifiedModel, RunError> {
    let (weight, bias) = coordinates(model, &prepared.scaler)?;
    let PreparedData { split, objective, .. } = &prepared;
    let cells = split.train.len() as f64 * model.n_classes() as f64;
    // A score and a dual variable each, in double precision.
    super::afford(&format!("bounds from {cells} scores"), 16.0 * cells, "certify with --data on fewer rows")
        .map_err(|Complaint { problem, hint }| RunError::Mismatch { problem, hint })?;
    if objective.bias == BiasRule::None && bias.iter().any(|b| *b != 0.0) {
        return Err(RunError::Mismatch {
            problem: "the model has a bias, the objective has none".into(),
            hint: "set `bias` in [preprocess] of the configuration that --data names".into(),
        });
    }
    // The bounds are computed on the host: the machine that certifies need not have the device of the run.
    let named = || config.map_or_else(|| device::open(DeviceName::default()), open_device);
    let device = device::open_cpu().map_or_else(named, Ok)?;
    let asked = effort.threads.unwrap_or_else(|| config.map_or(0, |config| config.run.threads));
    let problem = Problem {
        source: prepared.source(),
        train: &split.train,
        validation: &split.validation,
        n_classes: model.n_classes(),
        objective,
        device: &device,
        gradient: GradientRoute::Auto,
        seed: config.map_or(0, |config| config.run.seed),
        threads: threads(asked),
        early_stopping: None,
    };
    let solver = DualConfig { gap: effort.gap, epochs: Some(effort.epochs), ..own_options(config) };
    let proof = certificate::certify(&solver, &problem, &weight, Some(&bias), observer)?;
    Ok(CertifiedModel {
        proof,
        rows,
        n_samples: split.train.len(),
        objective: prepared.objective.clone(),
        strength: prepared.strength,
    })
}

fn own_options(config: Option<&LoadedConfig>) -> DualConfig {
    match config.map(|config| &config.run.solver) {
        Some(SolverConfig::Dual(own)) => DualConfig { seconds: None, ..own.clone() },
        _ => DualConfig::default(),
    }
}

/// The model's weights and bias for rows preprocessed as the objective wants them, in f64.
pub(super) fn coordinates(model: &Classifier, scaler: &Scaler) -> Result<(Vec<f64>, Vec<f64>), RunError> {
    if &model.scaler == scaler {
        return Ok((model.weight.clone(), model.bias_or_zeros()));
    }
    let (false, Some((mut weight, mut bias))) = (scaler.unit_row, model.folded_weights()) else {
        return Err(RunError::Mismatch {
            problem: "the model and the objective bring rows to unit length differently".into(),
            hint: "certify with the [preprocess] that the model was trained with".into(),
        });
    };
    let k = model.n_classes();
    for (j, row) in weight.chunks_exact_mut(k).enumerate() {
        let mean = scaler.mean.as_ref().map_or(0.0, |m| m[j]);
        let scale = scaler.scale.as_ref().map_or(1.0, |s| s[j]);
        for (w, b) in row.iter_mut().zip(&mut bias) {
            *b += mean * *w;
            *w *= scale;
        }
    }
    Ok((weight, bias))
}
