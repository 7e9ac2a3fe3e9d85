//! The data of a model's own training: what `evaluate` and `certify` take where `--data` is not given.

use super::LOUD;
use crate::config::{ConfigError, LoadedConfig};
use crate::model::Classifier;
use crate::run::RunError;
use crate::run::recorded::read_result;
use std::path::Path;

/// The configuration that the model of a run folder carries; says which files will be read. `what` is asked for in its place.
///
/// A model file by itself has no say in which paths are opened: it may come from anywhere.
///
/// # Errors
/// [`RunError::Mismatch`] for a model file by itself; [`RunError::Config`] when the files are not there.
pub(super) fn own_config(path: &Path, model: &Classifier, what: &str) -> Result<LoadedConfig, RunError> {
    let refused = |problem: &str, more: &str| {
        Err(RunError::Mismatch {
            problem: format!("{}: {problem}", path.display()),
            hint: format!("name {what} with --data{more}"),
        })
    };
    let Some(training) = model.training() else {
        return refused("a model of LIBLINEAR does not say what it was trained on", "");
    };
    if training.config.is_empty() {
        return refused("a model that was made in code does not name the data that it was trained on", "");
    }
    if !path.is_dir() {
        let problem = "is a bare model file: the data files that it names are not opened";
        return refused(problem, ", or the run folder instead of the file in it");
    }
    let mut config = stored(&training.config, path)?;
    let files: Vec<String> =
        config.run.data.paths_mut().into_iter().map(|(_, file)| file.display().to_string()).collect();
    if !files.is_empty() {
        LOUD.note(&format!("reads {}", files.join(", ")));
    }
    Ok(config)
}

/// The configuration that a model carries, with the data where the run had them.
fn stored(text: &str, model: &Path) -> Result<LoadedConfig, ConfigError> {
    let directory = read_result(model).ok().and_then(|result| result.working_directory);
    LoadedConfig::stored(text, model, directory.as_deref())
}

/// Whether a data file is one that the model of a run folder was trained on; `false` for a model file by itself, whose paths are not
/// looked at.
pub(super) fn is_trained_on(path: &Path, model: &Classifier, data: &Path) -> bool {
    let Some(training) = model.training().filter(|_| path.is_dir()) else { return false };
    let (Ok(data), Ok(config)) = (data.canonicalize(), stored(&training.config, path)) else { return false };
    let mut run = config.run;
    let mut files = run.data.paths_mut().into_iter().filter(|(key, _)| key.starts_with("train"));
    files.any(|(_, file)| file.canonicalize().is_ok_and(|file| file == data))
}
