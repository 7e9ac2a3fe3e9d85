//! The manifest of a folder of blocks.

use super::{BlockError, CellType, DataPart, MANIFEST};
use crate::data::{Encoding, ImageShape};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The version of the format.
const VERSION: u32 = 1;
/// Bytes of a manifest: the names of some millions of features.
const LONGEST: u64 = 1 << 28;

/// A file with its length and checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedFile {
    /// Its length.
    pub bytes: u64,
    /// CRC-32C of its bytes.
    pub crc32c: u32,
}

/// A block in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockEntry {
    /// Rows.
    pub rows: u64,
    /// Stored cells of sparse rows; rows times features of dense ones.
    pub cells: u64,
    /// Length of its file.
    pub bytes: u64,
    /// CRC-32C of its bytes.
    pub crc32c: u32,
}

impl BlockEntry {
    /// Bytes in memory.
    fn in_memory(&self, cells: CellType) -> u64 {
        let rows = if cells == CellType::Csr { 16 } else { 8 };
        self.cells.saturating_mul(cells.bytes() as u64).saturating_add(self.rows.saturating_mul(rows))
    }
}

/// Content of a folder of blocks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the format.
    pub burn_svm_blocks: u32,
    /// Representation of the cells.
    pub cells: CellType,
    /// Number of features.
    pub features: usize,
    /// The names of the features, where the data has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature_names: Option<Vec<String>>,
    /// Names of the classes in the order of their indices.
    pub class_names: Vec<String>,
    /// Whether the rows have weights.
    pub weights: bool,
    /// Of image data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_shape: Option<ImageShape>,
    /// The encoding that has made features of a table of words and numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// The seed of the order of the rows.
    pub seed: u64,
    /// Blocks of rows to train on.
    pub train: Vec<BlockEntry>,
    /// Blocks of the test part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<BlockEntry>,
    /// Sums over the columns of the rows to train on; left out where there are very many columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moments: Option<SavedFile>,
}

impl Manifest {
    pub(super) const fn version() -> u32 {
        VERSION
    }

    /// Blocks of a part.
    #[must_use]
    pub fn blocks(&self, part: DataPart) -> &[BlockEntry] {
        match part {
            DataPart::Train => &self.train,
            DataPart::Test => &self.test,
        }
    }

    /// Rows of a part.
    #[must_use]
    pub fn rows(&self, part: DataPart) -> u64 {
        self.blocks(part).iter().map(|block| block.rows).fold(0, u64::saturating_add)
    }

    /// Bytes of all rows in memory, with their classes and weights.
    #[must_use]
    pub fn in_memory(&self) -> u64 {
        let blocks = self.train.iter().chain(&self.test);
        blocks.map(|block| block.in_memory(self.cells)).fold(0, u64::saturating_add)
    }

    /// Bytes in memory of the largest block.
    #[must_use]
    pub fn largest_in_memory(&self) -> u64 {
        let blocks = self.train.iter().chain(&self.test);
        blocks.map(|block| block.in_memory(self.cells)).max().unwrap_or(0)
    }

    /// Reads the manifest of a folder and holds its numbers against each other.
    pub(super) fn read(folder: &Path) -> Result<Self, BlockError> {
        let file = folder.join(MANIFEST);
        let metadata = std::fs::metadata(&file);
        match &metadata {
            Err(_) if !folder.is_dir() => {
                let found = if folder.exists() { "is a file, expected" } else { "no such folder, expected one" };
                return Err(BlockError::path(folder, format!("{found} a folder of blocks")));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let problem = format!("is no folder of blocks, or was not finished: it has no {MANIFEST}");
                return Err(BlockError::content(folder, problem));
            }
            _ => {}
        }
        let metadata = metadata.map_err(BlockError::of(&file))?;
        if !metadata.is_file() || metadata.len() > LONGEST {
            return Err(BlockError::content(&file, format!("expected a file of at most {LONGEST} bytes")));
        }
        let mut text = Vec::new();
        let opened = File::open(&file).map_err(BlockError::of(&file))?;
        opened.take(LONGEST).read_to_end(&mut text).map_err(BlockError::of(&file))?;
        Self::parse(&text).map_err(|problem| BlockError::content(&file, problem))
    }

    fn parse(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Version {
            burn_svm_blocks: u32,
        }
        let unread = |error: serde_json::Error| format!("is no manifest of blocks: {error}");
        let Version { burn_svm_blocks: version } = serde_json::from_slice(text).map_err(unread)?;
        if version != VERSION {
            return Err(format!("found version {version} of the format, expected {VERSION}"));
        }
        let manifest: Self = serde_json::from_slice(text).map_err(unread)?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        let (features, classes) = (self.features, &self.class_names);
        if features == 0 || u32::try_from(features).is_err() {
            return Err(format!("found {features} features, expected 1 to {}", u32::MAX));
        }
        if classes.len() < 2 || classes.iter().collect::<HashSet<_>>().len() < classes.len() {
            return Err(format!("found {} names of classes, expected two or more, all different", classes.len()));
        }
        if let Some(found) = self.feature_names.as_ref().map(Vec::len).filter(|&found| found != features) {
            return Err(format!("found {found} names of features, expected {features}"));
        }
        if let Some(found) = self.encoding.as_ref().map(|e| e.names().len()).filter(|&found| found != features) {
            return Err(format!("the encoding makes {found} features, expected {features}"));
        }
        let pixels =
            self.image_shape.map(|s| [s.channels, s.height, s.width].into_iter().try_fold(1, usize::checked_mul));
        if pixels.is_some_and(|pixels| pixels != Some(features)) {
            return Err(format!("the images have not as many cells as there are features, {features}"));
        }
        if self.train.is_empty() {
            return Err("found no block of rows to train on".into());
        }
        let is_right = |block: &BlockEntry| {
            (1..=u64::from(u32::MAX)).contains(&block.rows)
                && match self.cells {
                    CellType::Csr => block.cells <= block.rows.saturating_mul(features as u64),
                    _ => Some(block.cells) == block.rows.checked_mul(features as u64),
                }
        };
        match self.train.iter().chain(&self.test).position(|block| !is_right(block)) {
            Some(at) => Err(format!("the numbers of rows and cells of block {at} do not fit together")),
            None => Ok(()),
        }
    }
}
