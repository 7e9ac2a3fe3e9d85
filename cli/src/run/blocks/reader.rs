//! Blocks as they are asked for, the next of which is read meanwhile.

use crate::data::blocks::{Block, BlockFolder, DataPart, ReadAhead};
use crate::format::DataError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts of what the disk has done so far, for all who ask.
#[derive(Debug, Default)]
pub(super) struct DiskUse {
    bytes: AtomicU64,
    variables: AtomicU64,
    nanoseconds: AtomicU64,
}

impl DiskUse {
    #[allow(clippy::cast_possible_truncation)]
    pub(super) fn wait(&self, time: Duration) {
        self.nanoseconds.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }

    pub(super) fn variables(&self, bytes: usize, time: Duration) {
        self.variables.fetch_add(bytes as u64, Ordering::Relaxed);
        self.wait(time);
    }

    /// Bytes of blocks, bytes of variables.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.bytes.load(Ordering::Relaxed), self.variables.load(Ordering::Relaxed))
    }

    #[allow(clippy::cast_precision_loss)]
    pub(super) fn seconds_waiting(&self) -> f64 {
        self.nanoseconds.load(Ordering::Relaxed) as f64 / 1e9
    }
}

/// A reader of the blocks of a part.
#[derive(Debug)]
pub(super) struct BlockReader<'a> {
    folder: &'a BlockFolder,
    part: DataPart,
    ahead: Option<(usize, ReadAhead)>,
    disk: &'a DiskUse,
}

impl<'a> BlockReader<'a> {
    pub(super) const fn new(folder: &'a BlockFolder, part: DataPart, disk: &'a DiskUse) -> Self {
        Self { folder, part, ahead: None, disk }
    }

    /// A block; the next one is read while it is in use.
    pub(super) fn read(&mut self, index: usize, next: Option<usize>) -> Result<Block, DataError> {
        let ahead = self.ahead.take().filter(|(at, _)| *at == index).map(|(_, ahead)| ahead);
        let mut reading = ahead.unwrap_or_else(|| ReadAhead::new(self.folder, self.part, &[index]));
        let found = reading.next();
        self.disk.bytes.fetch_add(reading.bytes(), Ordering::Relaxed);
        self.disk.wait(reading.waited());
        let lost = || DataError::path(self.folder.path(), "the thread that reads blocks has ended");
        let (_, block) = found.ok_or_else(lost)??;
        self.ahead = next.map(|next| (next, ReadAhead::new(self.folder, self.part, &[next])));
        Ok(block)
    }

    /// All blocks in their order.
    pub(super) fn each(
        &mut self,
        mut visit: impl FnMut(usize, Block) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let n = self.folder.manifest().blocks(self.part).len();
        (0..n).try_for_each(|index| {
            let block = self.read(index, (index + 1 < n).then_some(index + 1))?;
            visit(index, block)
        })
    }
}
