//! A run folder that cannot be made, written, read or gone on with.

use crate::durable::FolderError;
use std::io;
use std::path::{Path, PathBuf};

/// A run folder that cannot be made, written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The folder holds a run already.
    #[error("{folder}: holds a run already")]
    Taken {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder is not a run.
    #[error("{folder}: is not a run folder: there is no `{missing}`")]
    NotARun {
        /// The folder.
        folder: PathBuf,
        /// The file that was looked for.
        missing: &'static str,
    },
    /// Another process is writing the run or the search.
    #[error("{folder}: another process is writing this {what}")]
    Busy {
        /// The folder.
        folder: PathBuf,
        /// `run` or `search`.
        what: &'static str,
    },
    /// A run cannot resume, because its checkpoint belongs to another run.
    #[error("{problem}")]
    Differs {
        /// The difference.
        problem: String,
        /// Advice for the user.
        hint: String,
    },
    /// The system refused.
    #[error("{file}: {source}")]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// A damaged file of the run.
    #[error("{file}: {problem}")]
    Content {
        /// The file.
        file: PathBuf,
        /// Content found.
        problem: String,
    },
}

impl From<FolderError> for RecordError {
    fn from(FolderError { file, source }: FolderError) -> Self {
        Self::Io { file, source }
    }
}

pub(crate) fn failed(file: &Path) -> impl FnOnce(io::Error) -> RecordError + '_ {
    move |source| RecordError::Io { file: file.to_path_buf(), source }
}
