//! The data that `evaluate` and `certify` take where `--data` is not given.

use super::LOUD;
use crate::config::LoadedConfig;
use crate::model::Classifier;
use crate::run::RunError;
use crate::run::recorded::read_result;
use std::path::Path;

/// The configuration that the model of a run folder carries; says which files will be read. `what` is to be named otherwise.
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
    let directory = read_result(path).ok().and_then(|result| result.working_directory);
    let mut config = LoadedConfig::stored(&training.config, path, directory.as_deref())?;
    let files: Vec<String> =
        config.run.data.paths_mut().into_iter().map(|(_, file)| file.display().to_string()).collect();
    if !files.is_empty() {
        LOUD.note(&format!("reads {}", files.join(", ")));
    }
    Ok(config)
}
