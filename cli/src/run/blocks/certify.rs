//! A certificate of a model over blocks that do not fit into memory.

use super::rows::BlockData;
use super::store::DiskStore;
use super::train::{OF_SYSTEM, room};
use crate::config::LoadedConfig;
use crate::data::blocks::BlockFolder;
use crate::device;
use crate::format::limit;
use crate::model::{BiasRule, Classifier};
use crate::run::certify::{CertifiedModel, TighteningLimits, coordinates};
use crate::run::record::blocks::remove_variables;
use crate::run::record::failed;
use crate::run::{RunError, open_device};
use crate::solver::Observer;
use crate::solver::parts::{BlockLimits, Setting, certify_blocks};
use std::path::PathBuf;

/// Passes of proofs that come on top of the epochs that are asked for.
const PROOFS: u64 = 2;

/// A folder for variables that nobody keeps.
struct ScratchFolder(PathBuf);

impl ScratchFolder {
    fn make() -> Result<Self, RunError> {
        let path = std::env::temp_dir().join(format!("burn-svm-certify-{}", std::process::id()));
        std::fs::create_dir(&path).map_err(failed(&path))?;
        Ok(Self(path))
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        // Files that stay are the system's to clear.
        let _ = remove_variables(&self.0);
    }
}

/// Certifies a model on the rows to train on of a configuration; the variables lie in the system's folder for temporary files meanwhile.
///
/// # Errors
/// [`RunError`] when the blocks are damaged, or the model does not fit them.
pub fn certify(
    config: &LoadedConfig,
    folder: BlockFolder,
    model: &Classifier,
    effort: TighteningLimits,
    observer: &mut dyn Observer,
) -> Result<CertifiedModel, RunError> {
    let mismatch = |problem: &str, hint: &str| Err(RunError::Mismatch { problem: problem.into(), hint: hint.into() });
    let data = BlockData::new(config, folder)?;
    let prepared = &data.prepared;
    let width = prepared.data.features.n_features();
    if prepared.data.class_names != model.class_names || width != model.n_features() {
        let problem = "the classes or the features of the blocks are not those of the model";
        return mismatch(problem, "certify with the data that the model was trained on");
    }
    let (weight, bias) = coordinates(model, &prepared.scaler)?;
    if prepared.objective.bias == BiasRule::None && bias.iter().any(|b| *b != 0.0) {
        let hint = "set `bias` in [preprocess] of the configuration that --data names";
        return mismatch("the model has a bias, the objective has none", hint);
    }
    let (n_train, ..) = data.counts();
    let setting = Setting {
        objective: prepared.objective.clone(),
        scaler: prepared.scaler.clone(),
        n_features: width,
        n_classes: model.n_classes(),
        n_train,
        device: device::open_cpu().map_or_else(|| open_device(config), Ok)?,
        seed: config.run.seed,
    };
    let limits = BlockLimits {
        gap: effort.gap.get(),
        passes: effort.epochs.get() as u64 + PROOFS,
        seconds: None,
        hot_rows: room(&data),
        double: false,
        memory: limit::get() as f64 * OF_SYSTEM,
        interior: false,
    };
    let scratch = ScratchFolder::make()?;
    let mut store = DiskStore::new(&data, &scratch.0, false);
    let proof = certify_blocks(&setting, limits, &mut store, &weight, &bias, observer);
    let proof = store.settled(proof)?;
    let rows = format!("train split of {}", config.file.display());
    Ok(CertifiedModel {
        proof,
        rows,
        n_samples: n_train,
        objective: prepared.objective.clone(),
        strength: prepared.strength,
    })
}
