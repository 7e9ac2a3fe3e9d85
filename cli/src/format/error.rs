//! Errors of data files, with the place in the file.

use super::limit;
use crate::visible;
use std::fmt;
use std::path::{Path, PathBuf};

/// Place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Position {
    /// The file as a whole.
    File,
    /// A line of a text file, counted from 1.
    Line(usize),
    /// A line and a column (byte) of a text file, both counted from 1.
    LineColumn(usize, usize),
    /// A record (image, row) of a binary file, counted from 1.
    Record(usize),
    /// A byte offset, counted from 0.
    Byte(u64),
}

/// The part at fault, path or content, on which the exit code of the program depends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataErrorKind {
    /// The path is not there, or cannot be opened.
    Path,
    /// The content does not follow the format.
    Content,
}

/// A problem and the advice about it, before the file and the place are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub problem: String,
    pub hint: String,
}

impl Complaint {
    pub fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { problem: problem.into(), hint: hint.into() }
    }
}

/// A data file that cannot be used: where, what was found, what was expected, and a hint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct DataError {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// Place in the file.
    pub position: Position,
    /// Content found and expected, lower case, without a full stop.
    pub problem: String,
    /// Advice for the user.
    pub hint: Option<String>,
    /// Path or content.
    pub kind: DataErrorKind,
}

impl DataError {
    /// An error about the content of `file`.
    pub fn content(file: impl AsRef<Path>, position: Position, problem: impl Into<String>) -> Self {
        Self {
            file: file.as_ref().to_path_buf(),
            position,
            problem: problem.into(),
            hint: None,
            kind: DataErrorKind::Content,
        }
    }

    /// An error about the path itself.
    pub fn path(file: impl AsRef<Path>, problem: impl Into<String>) -> Self {
        Self { kind: DataErrorKind::Path, ..Self::content(file, Position::File, problem) }
    }

    /// Whether the data need more memory than the limit.
    pub(crate) fn is_of_memory(&self) -> bool {
        self.hint.as_deref() == Some(limit::HINT)
    }

    /// The same error with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In a folder of images, a name of a stranger.
        let file = self.file.display().to_string();
        let file = visible::name(&file);
        match self.position {
            Position::File => write!(f, "{file}: ")?,
            Position::Line(line) => write!(f, "{file}:{line}: ")?,
            Position::LineColumn(line, column) => write!(f, "{file}:{line}:{column}: ")?,
            Position::Record(record) => write!(f, "{file}: record {record}: ")?,
            Position::Byte(byte) => write!(f, "{file}: byte {byte}: ")?,
        }
        f.write_str(&self.problem)
    }
}
