//! Rows in a folder of blocks, each of which fits into memory: data larger than memory, shuffled once while they are written.
//!
//! ```text
//! manifest.json       version, kind of the cells, features, classes, and of each block its rows, cells, bytes and checksum
//! block-00000.bin     rows to train on, in an order drawn by the seed; block-00001.bin, ...
//! test-00000.bin      rows of the test part, where there is one
//! moments.bin         sums over the columns of the rows to train on, from which preprocessing is fitted without a pass
//! ```
//! The manifest is written last: a folder without one is no folder of blocks. A checksum is held against every byte that is read, and
//! no number in a file makes the reader reserve memory for data that are not there. Numbers are little-endian.

mod bins;
mod coding;
mod folder;
mod manifest;
mod moments;
mod read_ahead;
#[cfg(test)]
mod tests;
mod writer;

pub use folder::BlockFolder;
pub use manifest::{BlockEntry, Manifest, SavedFile};
pub use read_ahead::ReadAhead;
pub use writer::{BlockAbout, BlockConfig, BlockWriter, PackSummary};

use super::Features;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// The name of the manifest.
pub const MANIFEST: &str = "manifest.json";
/// The name of the sums over the columns.
const MOMENTS: &str = "moments.bin";

/// Representation of the cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CellType {
    /// Dense bytes.
    U8,
    /// Dense floats in single precision.
    F32,
    /// Dense floats in double precision.
    F64,
    /// Compressed sparse rows in single precision.
    Csr,
}

impl CellType {
    /// The one of features in memory.
    #[must_use]
    pub const fn of(features: &Features) -> Self {
        match features {
            Features::U8(_) => Self::U8,
            Features::F32(_) => Self::F32,
            Features::F64(_) => Self::F64,
            Features::Sparse(_) => Self::Csr,
        }
    }

    /// The name in the manifest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Csr => "csr",
        }
    }

    /// Bytes of a stored cell in memory; of a sparse one with its column.
    const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::F32 => 4,
            Self::F64 | Self::Csr => 8,
        }
    }
}

/// Part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataPart {
    /// Rows to train on.
    Train,
    /// Rows that only measure.
    Test,
}

impl DataPart {
    const fn stem(self) -> &'static str {
        match self {
            Self::Train => "block",
            Self::Test => "test",
        }
    }

    /// The name of the file of a block.
    fn file(self, index: usize) -> String {
        format!("{}-{index:05}.bin", self.stem())
    }
}

/// Rows of a block with their classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Features `[rows, features]`.
    pub features: Features<'static>,
    /// A class index a row.
    pub labels: Vec<u32>,
    /// A weight a row, finite and not negative; `None` where all are 1.
    pub weights: Option<Vec<f32>>,
}

/// Folder or file of blocks that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", .file.display())]
pub struct BlockError {
    /// The folder or file.
    pub file: PathBuf,
    /// Content found and expected, lower case, without a full stop.
    pub problem: String,
    /// Whether the file is there, with other content than expected.
    pub is_content: bool,
}

impl BlockError {
    fn content(file: &Path, problem: impl Into<String>) -> Self {
        Self { file: file.to_path_buf(), problem: problem.into(), is_content: true }
    }

    fn path(file: &Path, problem: impl Into<String>) -> Self {
        Self { file: file.to_path_buf(), problem: problem.into(), is_content: false }
    }

    fn of(file: &Path) -> impl Fn(io::Error) -> Self + '_ {
        move |error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::content(file, "the file is cut off"),
            io::ErrorKind::InvalidData => Self::content(file, error.to_string()),
            _ => Self::path(file, error.to_string()),
        }
    }
}
