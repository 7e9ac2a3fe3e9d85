//! The bytes of a file in any order.

use super::arrow::parts::damaged;
use super::open::ByteSource;
use super::{DataError, limit};
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// A file of which any part can be read.
pub(super) struct RandomBytes {
    path: PathBuf,
    len: u64,
    content: Content,
}

enum Content {
    /// A file that is opened whenever it is read.
    File,
    /// Bytes from a pipe, or from a file that is compressed as a whole.
    Memory(Vec<u8>),
}

impl RandomBytes {
    /// Those of a source, which is kept in memory where it is no plain file.
    pub(super) fn of(mut source: ByteSource) -> Result<Self, DataError> {
        let path = source.file().to_path_buf();
        if let Some((_, len)) = source.reopen()? {
            return Ok(Self { path, len, content: Content::File });
        }
        let mut all = Vec::new();
        let len = source.read_all(&mut all)?;
        Ok(Self { path, len, content: Content::Memory(all) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Some bytes.
    pub(super) fn range(&self, start: u64, n: u64) -> Result<Vec<u8>, DataError> {
        let end = start.checked_add(n).filter(|end| *end <= self.len);
        let Some(end) = end else { return Err(damaged(&self.path, "a part of it lies behind its end")) };
        limit::check(&self.path, n)?;
        let mut found = Vec::new();
        match &self.content {
            #[allow(clippy::cast_possible_truncation)]
            Content::Memory(all) => found.extend_from_slice(&all[start as usize..end as usize]),
            Content::File => {
                let read = |found: &mut Vec<u8>| {
                    let mut file = File::open(&self.path)?;
                    file.seek(SeekFrom::Start(start))?;
                    file.take(n).read_to_end(found)
                };
                read(&mut found).map_err(|e| DataError::path(&self.path, format!("cannot be read: {e}")))?;
            }
        }
        if found.len() as u64 == n {
            Ok(found)
        } else {
            Err(damaged(&self.path, "it became shorter while it was read"))
        }
    }

    /// The same bytes in order.
    pub(super) fn source(&self) -> Result<ByteSource, DataError> {
        match &self.content {
            Content::File => ByteSource::open(&self.path),
            Content::Memory(all) => ByteSource::from_reader(&self.path, Box::new(Cursor::new(all.clone())), None),
        }
    }
}
