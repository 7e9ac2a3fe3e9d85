//! Files that are not read or written, although the system would.

use std::io;

/// Why a file is left alone. Travels as the inside of an [`io::Error`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Somebody else's file has the name.
    #[error("is there already, and this program has not made it")]
    Foreign,
    /// A folder of another kind than the one to be written.
    #[error("holds {found}, expected {expected} or an empty folder")]
    OtherKind {
        /// Content of the folder.
        found: &'static str,
        /// Kind of folder that was to be written.
        expected: &'static str,
    },
    /// A link within a folder, where something is to be written.
    #[error("is a link: nothing in the folder of a run or a search is written through one")]
    Link,
    /// A link out of a folder, where something is to be read.
    #[error("is a link out of the folder, which is not followed")]
    Outside,
    /// Not a file.
    #[error("is {found}, expected a file")]
    Special {
        /// Kind of the thing found.
        found: &'static str,
    },
    /// A pipe without another end.
    #[error("is a pipe, and nobody {does} it")]
    Deserted {
        /// Action that was waited for.
        does: &'static str,
    },
    /// More than may be read.
    #[error("more than {:.1} MiB would be read, which is the limit", *most as f64 / 1_048_576.0)]
    TooLarge {
        /// Bytes that may be read.
        most: u64,
    },
    /// The result would overwrite one of its inputs.
    #[error("is {what} itself, which the output would replace")]
    Input {
        /// The input that has this name.
        what: &'static str,
    },
    /// A link whose target is not there, where something is to be written.
    #[error("is a link to a file that is not there")]
    Dangling,
}

impl Refusal {
    /// A hint; `None` if it depends on the command.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Foreign => "move it away, or name another folder; `--force` takes away only what a run has made",
            Self::OtherKind { .. } => "name another folder with --out",
            Self::Link => "put the folder or file itself there; the folder of a run as a whole may be behind a link",
            Self::Outside => "copy the file into the folder, where it is meant to be read",
            // Whoever wants the file knows better which one.
            Self::Special { .. } => return None,
            Self::Deserted { .. } => "start the program at the other end first, or name a file",
            Self::TooLarge { .. } => "`--memory` sets the limit; is this the right file?",
            Self::Input { .. } => "name another file for the output",
            Self::Dangling => "remove the link, or name another file for the output",
        })
    }

    /// The refusal inside an error, where there is one.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> Self {
        let kind = if matches!(refusal, Refusal::TooLarge { .. }) {
            io::ErrorKind::FileTooLarge
        } else {
            io::ErrorKind::Other
        };
        Self::new(kind, refusal)
    }
}
