//! Folders in which nothing is touched that is not ours, files of strangers as input and output, and digests that know bytes again.
//!
//! Whole files are written by the library's `durable`. Imports nothing else.

mod digest;
mod growing;
mod input;
mod made;
mod output;
mod refusal;

pub use burn_svm::internals::durable::{Draft, PARTIAL, fresh, is_temporary, sync_folder_of, write, write_with};
pub use digest::Digest;
pub use growing::GrowingFile;
pub use input::{open, read, read_below};
pub use made::{FolderError, FolderKind, MARKER, OwnFiles, sweep};
pub use output::Output;
pub use refusal::Refusal;
