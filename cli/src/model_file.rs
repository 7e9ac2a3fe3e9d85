//! Model files as commands take them: a model of ours, the one in a run folder, or a text model of LIBLINEAR.

use crate::durable::{self, Refusal};
use crate::format::limit;
use crate::liblinear;
use crate::model::Classifier;
use crate::model::file::{MODEL_FILE, ModelFileError};
use crate::suggestion;
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
            let is_missing = source.kind() == io::ErrorKind::NotFound;
            let near = || suggestion::path(file).map(|near| format!("did you mean {}?", visible::short(&near)));
            let meant = match file.parent() {
                Some(folder) if is_missing && file.ends_with(MODEL_FILE) => runs_below(folder),
                _ => None,
            };
            let meant = meant.or_else(|| is_missing.then(near).flatten());
            let usual = Refusal::of(source).and_then(Refusal::hint);
            meant.unwrap_or_else(|| usual.unwrap_or("MODEL is a run folder or its `model.safetensors`").to_owned())
        }
        ModelFileError::Content { file, .. } if file.extension().is_some_and(|e| e == "toml") => {
            let file = file.display().to_string();
            format!("this is a configuration: `burn-svm train {} --out RUN` makes the model", visible::short(&file))
        }
        ModelFileError::Content { file, .. } if file.extension().is_some_and(|e| e == "npz" || e == "onnx") => {
            "an exported model is for other programs: MODEL is the run folder that it came from".into()
        }
        ModelFileError::Line { .. } => {
            "MODEL may be a text model as LIBLINEAR's `train` writes it, of a classifier of two classes or more".into()
        }
        _ => "MODEL is a run folder or its `model.safetensors`, written by `burn-svm train`".into(),
    }
}

/// A hint at the run folders in a folder, the newest first.
#[must_use]
pub fn runs_below(folder: &Path) -> Option<String> {
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
