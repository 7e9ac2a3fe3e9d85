//! Failures of the commands: the sentence, the hint and the exit code.

use super::refused;
use crate::durable::Refusal;
use crate::fetch::FetchError;
use crate::format::DataErrorKind;
use crate::gradcheck::GradcheckError;
use crate::model::file::ModelFileError;
use crate::model_file;
use crate::plot::PlotError;
use crate::report::ReportError;
use crate::run::{RecordError, RunError};

/// A failure that ended a command.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Plot(#[from] PlotError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("cannot write to {to}: {source}")]
    Output { to: String, source: std::io::Error },
}

impl Failure {
    pub(super) fn exit_code(&self) -> u8 {
        match refused::refusal(self) {
            Some(Refusal::TooLarge { .. }) => return 1,
            Some(_) => return 2,
            None => {}
        }
        match self {
            Self::Run(RunError::Config(_) | RunError::Device(_)) => 2,
            Self::Run(RunError::Data(e)) => match e.kind {
                DataErrorKind::Path => 2,
                DataErrorKind::Content => 1,
            },
            Self::Run(RunError::Record(e))
            | Self::Plot(PlotError::Record(e))
            | Self::Report(ReportError::Record(e)) => match e {
                RecordError::Taken { .. }
                | RecordError::NotARun { .. }
                | RecordError::Busy { .. }
                | RecordError::Differs { .. }
                | RecordError::Io { .. } => 2,
                RecordError::Content { .. } => 1,
            },
            Self::Run(RunError::Model(ModelFileError::Io { .. })) => 2,
            Self::Fetch(FetchError::Io { .. } | FetchError::NotCompiledIn { .. }) => 2,
            Self::Fetch(_) => 1,
            Self::Run(RunError::Gradcheck(GradcheckError::NoCpuBackend)) => 2,
            Self::Run(RunError::Model(_) | RunError::Solve(_) | RunError::Gradcheck(_) | RunError::Mismatch { .. })
            | Self::Plot(PlotError::Draw { .. } | PlotError::Model(_))
            | Self::Report(ReportError::Draw { .. } | ReportError::Model(_))
            | Self::Output { .. } => 1,
        }
    }

    pub(super) fn hint(&self) -> Option<String> {
        if let Some(hint) = refused::hint(self) {
            return Some(hint.to_owned());
        }
        match self {
            Self::Run(RunError::Config(e)) => e.hint.clone(),
            Self::Run(RunError::Device(e)) => Some(e.hint.clone()),
            Self::Run(RunError::Data(e)) => e.hint.clone(),
            Self::Run(RunError::Model(e)) | Self::Plot(PlotError::Model(e)) | Self::Report(ReportError::Model(e)) => {
                Some(model_file::hint(e))
            }
            Self::Run(RunError::Mismatch { hint, .. }) => Some(hint.clone()),
            Self::Run(RunError::Gradcheck(e)) => Some(e.hint().to_owned()),
            Self::Fetch(e) => Some(e.hint().to_owned()),
            Self::Run(RunError::Solve(e)) => Some(e.hint().to_owned()),
            Self::Run(RunError::Record(e))
            | Self::Plot(PlotError::Record(e))
            | Self::Report(ReportError::Record(e)) => match e {
                RecordError::Taken { .. } => {
                    Some("resume it with --resume, name another folder with --out, or overwrite it with --force".into())
                }
                RecordError::Busy { .. } => Some("wait for it to end, or name another folder with --out".into()),
                RecordError::Differs { hint, .. } => Some(hint.clone()),
                RecordError::NotARun { folder, .. } => Some(
                    model_file::runs_below(folder)
                        .unwrap_or_else(|| "RUN_DIR is a folder that `burn-svm train` made".into()),
                ),
                RecordError::Io { .. } => Some("a run folder is a folder that can be written".into()),
                RecordError::Content { .. } => Some("the file was changed or cut off: train again".into()),
            },
            Self::Plot(PlotError::Draw { .. }) | Self::Report(ReportError::Draw { .. }) | Self::Output { .. } => None,
        }
    }
}
