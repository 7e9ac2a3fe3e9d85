//! Blocks in a given order, the next of which is read while one is in use.

use super::{Block, BlockError, BlockFolder, DataPart};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Two blocks in memory: the one that was handed out, and the one that a thread reads meanwhile.
#[derive(Debug)]
pub struct ReadAhead {
    /// Dropped before the thread is waited for.
    blocks: Option<Receiver<Result<Block, BlockError>>>,
    reader: Option<JoinHandle<()>>,
    order: std::vec::IntoIter<(usize, u64)>,
    bytes: u64,
    waited: Duration,
}

impl ReadAhead {
    /// Begins to read blocks of a part in an order.
    ///
    /// # Panics
    /// When there is no block of such an index (a programming error).
    #[must_use]
    pub fn new(folder: &BlockFolder, part: DataPart, order: &[usize]) -> Self {
        let entries = folder.manifest().blocks(part);
        let sizes: Vec<(usize, u64)> = order.iter().map(|&index| (index, entries[index].bytes)).collect();
        // A block is read before there is room to hand it over: it is the second one in memory.
        let (sender, blocks) = sync_channel(0);
        let (folder, indices) = (folder.clone(), order.to_vec());
        let reader = thread::spawn(move || {
            for index in indices {
                let block = folder.read(part, index);
                let failed = block.is_err();
                // Nobody waits for more, or there is nothing more to be had.
                if sender.send(block).is_err() || failed {
                    return;
                }
            }
        });
        Self { blocks: Some(blocks), reader: Some(reader), order: sizes.into_iter(), bytes: 0, waited: Duration::ZERO }
    }

    /// Bytes that were read from the disk, of the blocks that were handed out.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Time for which the disk was waited for.
    #[must_use]
    pub const fn waited(&self) -> Duration {
        self.waited
    }
}

impl Iterator for ReadAhead {
    /// The index of a block, and the block.
    type Item = Result<(usize, Block), BlockError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = Instant::now();
        let block = self.blocks.as_ref()?.recv().ok()?;
        self.waited += start.elapsed();
        let (index, bytes) = self.order.next()?;
        self.bytes += bytes;
        Some(block.map(|block| (index, block)))
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.blocks = None;
        if let Some(reader) = self.reader.take() {
            // A thread that has panicked has nothing to say here.
            let _ = reader.join();
        }
    }
}
