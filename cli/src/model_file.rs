//! Model files as commands take them: a model of ours, the one in a run folder, or a text model of LIBLINEAR.

use crate::durable::{self, Refusal};
use crate::format::limit;
use crate::liblinear;
use crate::model::Classifier;
use crate::model::file::{MODEL_FILE, ModelFileError};
use crate::visible;
use std::io;
use std::path::Path;

/// Run folders that are looked at for a hint.
const MOST_RUNS: usize = 1000;

/// Reads a model file, or the one in a run folder, or a model file of LIBLINEAR, told by its first word.
///
/// # Errors
/// [`ModelFileError`] when it is not there or not a model.
pub fn load(path: &Path) -> Result<Classifier, ModelFileError> {
    let (file, bytes) = if path.is_dir() {
        (path.join(MODEL_FILE), durable::read_below(path, MODEL_FILE, limit::get()))
    } else {
        (path.to_path_buf(), durable::read(path, limit::get()))
    };
    let bytes = bytes.map_err(|source| ModelFileError::Io { file: file.clone(), source })?;
    if liblinear::detect(&bytes) { liblinear::read(&bytes, &file) } else { Classifier::from_bytes(&bytes, &file) }
}

/// The hint of an error: of a folder without a model, the models of the folders in it.
#[must_use]
pub fn hint(error: &ModelFileError) -> String {
    match error {
        ModelFileError::Io { file, source } => {
            let below = file.parent().filter(|_| source.kind() == io::ErrorKind::NotFound).and_then(models_below);
            let usual = Refusal::of(source).and_then(Refusal::hint);
            below.unwrap_or_else(|| usual.unwrap_or("MODEL is a run folder or its `model.safetensors`").to_owned())
        }
        ModelFileError::Line { .. } => {
            "MODEL may be a text model as LIBLINEAR's `train` writes it, of a classifier of two classes or more".into()
        }
        _ => "MODEL is a run folder or its `model.safetensors`, written by `burn-svm train`".into(),
    }
}

/// The run folders in a folder, the newest first.
fn models_below(folder: &Path) -> Option<String> {
    let runs = std::fs::read_dir(folder).ok()?.flatten().filter_map(|entry| {
        let changed = std::fs::metadata(entry.path().join(MODEL_FILE)).ok()?.modified().ok()?;
        Some((changed, entry.path().display().to_string()))
    });
    let mut runs: Vec<_> = runs.take(MOST_RUNS).collect();
    runs.sort();
    let names: Vec<String> = runs.into_iter().rev().map(|(_, name)| name).collect();
    let first = names.first()?;
    Some(match names.len() {
        1 => format!("the folder holds a run: name {}", visible::short(first)),
        _ => format!("the folder holds runs, name one of them: {}", visible::listed(&names)),
    })
}
