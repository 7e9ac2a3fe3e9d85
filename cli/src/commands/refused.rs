//! Files that the commands leave alone.

use super::Failure;
use crate::durable::Refusal;
use crate::fetch::FetchError;
use crate::model::file::ModelFileError;
use crate::plot::PlotError;
use crate::report::ReportError;
use crate::run::{RecordError, RunError};
use std::path::{Path, PathBuf};

/// The refusal of a file that is the cause of a failure.
pub(super) fn refusal(failure: &Failure) -> Option<&Refusal> {
    let source = match failure {
        Failure::Run(
            RunError::Record(RecordError::Io { source, .. }) | RunError::Model(ModelFileError::Io { source, .. }),
        )
        | Failure::Plot(
            PlotError::Record(RecordError::Io { source, .. }) | PlotError::Model(ModelFileError::Io { source, .. }),
        )
        | Failure::Report(
            ReportError::Record(RecordError::Io { source, .. }) | ReportError::Model(ModelFileError::Io { source, .. }),
        )
        | Failure::Fetch(FetchError::Io { source, .. })
        | Failure::Output { source, .. } => source,
        _ => return None,
    };
    Refusal::of(source)
}

/// Advice for a refused file.
pub(super) fn hint(failure: &Failure) -> Option<&'static str> {
    let refusal = refusal(failure)?;
    refusal.hint().or(match failure {
        Failure::Output { .. } => Some("name a file, or - for standard output"),
        Failure::Run(RunError::Record(_))
        | Failure::Plot(PlotError::Record(_))
        | Failure::Report(ReportError::Record(_)) => {
            Some("the files of a run are those that `burn-svm train` has made, those of a search `burn-svm search`")
        }
        _ => None,
    })
}

/// The file of a model: itself, or the one in a run folder.
pub(super) fn model_file(model: &Path) -> PathBuf {
    if model.is_dir() { model.join("model.safetensors") } else { model.to_path_buf() }
}
