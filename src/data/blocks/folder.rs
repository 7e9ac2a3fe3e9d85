//! A folder of blocks that is read.

use super::coding::{Decoder, Head};
use super::moments;
use super::{Block, BlockEntry, BlockError, CellType, DataPart, MOMENTS, Manifest, SavedFile};
use crate::data::Moments;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// Bytes that are read together.
const READ: usize = 1 << 20;

/// A folder of blocks whose manifest has been read.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockFolder {
    folder: PathBuf,
    manifest: Manifest,
}

impl BlockFolder {
    /// Opens a folder.
    ///
    /// # Errors
    /// [`BlockError`] where there is no such folder, it was not finished, its manifest is damaged or of another version, or a file is
    /// missing or cut off.
    pub fn open(folder: &Path) -> Result<Self, BlockError> {
        let opened = Self { folder: folder.to_path_buf(), manifest: Manifest::read(folder)? };
        for part in [DataPart::Train, DataPart::Test] {
            for (index, entry) in opened.manifest.blocks(part).iter().enumerate() {
                has_bytes(&folder.join(part.file(index)), entry.bytes)?;
            }
        }
        Ok(opened)
    }

    /// Its content.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Reads a block.
    ///
    /// # Errors
    /// [`BlockError`] where its file is not there, cut off or damaged, or not the one that the manifest describes.
    ///
    /// # Panics
    /// When there is no block of this index (a programming error).
    pub fn read(&self, part: DataPart, index: usize) -> Result<Block, BlockError> {
        let entry = self.manifest.blocks(part)[index];
        let path = self.folder.join(part.file(index));
        let file = opened(&path, entry.bytes)?;
        let mut input = Checked { input: BufReader::with_capacity(READ, file.take(entry.bytes)), crc32c: 0 };
        let read = Decoder::new(&mut input, entry.bytes).read(self.head(entry));
        // A damaged byte is named as such, whatever it has led to.
        io::copy(&mut input, &mut io::sink()).map_err(BlockError::of(&path))?;
        agree(&path, input.crc32c, entry.crc32c)?;
        let block = read.map_err(BlockError::of(&path))?;
        let classes = self.manifest.class_names.len();
        match block.labels.iter().position(|&label| label as usize >= classes) {
            Some(row) => {
                let problem = format!("row {} has class {}, expected one of {classes}", row + 1, block.labels[row]);
                Err(BlockError::content(&path, problem))
            }
            None => Ok(block),
        }
    }

    fn head(&self, entry: BlockEntry) -> Head {
        let Manifest { cells, weights, features, .. } = self.manifest;
        Head { cells, weights, rows: entry.rows, features: features as u64, stored: entry.cells }
    }

    /// Sums over the columns of the rows to train on; `None` where there are very many columns.
    ///
    /// # Errors
    /// As [`BlockFolder::read`].
    pub fn moments(&self) -> Result<Option<Moments>, BlockError> {
        let Some(SavedFile { bytes: len, crc32c }) = self.manifest.moments else { return Ok(None) };
        let path = self.folder.join(MOMENTS);
        let mut bytes = Vec::new();
        opened(&path, len)?.take(len).read_to_end(&mut bytes).map_err(BlockError::of(&path))?;
        agree(&path, crc32c::crc32c(&bytes), crc32c)?;
        let found = moments::decode(&bytes, self.manifest.features);
        let found = found.filter(|found| found.rows == self.manifest.rows(DataPart::Train));
        found.map(Some).ok_or_else(|| BlockError::content(&path, "the sums are not those of as many rows and columns"))
    }

    /// Whether the cells are stored sparse.
    #[must_use]
    pub fn is_sparse(&self) -> bool {
        self.manifest.cells == CellType::Csr
    }
}

/// Refuses a file that is not there, or has not so many bytes.
fn has_bytes(path: &Path, bytes: u64) -> Result<(), BlockError> {
    let metadata = std::fs::metadata(path).map_err(BlockError::of(path))?;
    if !metadata.is_file() {
        return Err(BlockError::content(path, "is no file, expected one of a folder of blocks"));
    }
    if metadata.len() != bytes {
        let problem = format!("found {} bytes, expected {bytes}: the file is cut off or another one", metadata.len());
        return Err(BlockError::content(path, problem));
    }
    Ok(())
}

fn opened(path: &Path, bytes: u64) -> Result<File, BlockError> {
    has_bytes(path, bytes)?;
    File::open(path).map_err(BlockError::of(path))
}

fn agree(path: &Path, found: u32, expected: u32) -> Result<(), BlockError> {
    if found == expected {
        return Ok(());
    }
    let problem = format!("found checksum {found:08x}, expected {expected:08x}: the file is damaged");
    Err(BlockError::content(path, problem))
}

/// Bytes as they are read, summed up.
struct Checked<R> {
    input: R,
    crc32c: u32,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buffer)?;
        self.crc32c = crc32c::crc32c_append(self.crc32c, &buffer[..n]);
        Ok(n)
    }
}
