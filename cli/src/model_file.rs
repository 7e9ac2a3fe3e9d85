//! Model files as commands take them: a model of ours, the one in a run folder, or a text model of LIBLINEAR.

use crate::durable::{self, Refusal};
use crate::format::limit;
use crate::liblinear;
use crate::model::Classifier;
use crate::model::file::{MODEL_FILE, ModelFileError};
use std::path::Path;

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

/// The hint of an error.
#[must_use]
pub fn hint(error: &ModelFileError) -> &'static str {
    match error {
        ModelFileError::Io { source, .. } => {
            Refusal::of(source).and_then(Refusal::hint).unwrap_or("MODEL is a run folder or its `model.safetensors`")
        }
        ModelFileError::Line { .. } => {
            "MODEL may be a text model as LIBLINEAR's `train` writes it, of a classifier of two classes or more"
        }
        _ => "MODEL is a run folder or its `model.safetensors`, written by `burn-svm train`",
    }
}
