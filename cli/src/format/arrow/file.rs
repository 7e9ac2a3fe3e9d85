//! A file of Arrow IPC by its footer, which says where the batches and their dictionaries lie.

use super::parts::{damaged, in_words, wrong};
use super::{MAGIC, MESSAGE, body_len, check_buffers};
use crate::format::DataError;
use crate::format::caught::caught;
use crate::format::random::RandomBytes;
use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::FileDecoder;
use arrow_ipc::{Block, Footer, root_as_footer};
use arrow_schema::SchemaRef;
use std::path::Path;
use std::sync::Arc;

/// Bytes behind the footer: its length and the mark of the format.
const TAIL: u64 = 10;

/// A file whose footer and dictionaries have been read.
pub(super) struct FooterFile {
    bytes: RandomBytes,
    pub(super) schema: SchemaRef,
    decoder: FileDecoder,
    blocks: Vec<Block>,
}

/// Content of a footer.
struct Contents {
    schema: SchemaRef,
    decoder: FileDecoder,
    dictionaries: Vec<Block>,
    blocks: Vec<Block>,
}

/// The footer of a file; `None` where it has none.
fn footer(bytes: &RandomBytes) -> Result<Option<Vec<u8>>, DataError> {
    let Some(end) = bytes.len().checked_sub(TAIL) else { return Ok(None) };
    let tail = bytes.range(end, TAIL)?;
    let len = tail.first_chunk().map_or(0, |len| u64::from(u32::from_le_bytes(*len)));
    match end.checked_sub(len) {
        Some(start) if tail.ends_with(MAGIC) && len > 0 => bytes.range(start, len).map(Some),
        _ => Ok(None),
    }
}

impl FooterFile {
    /// A file by its footer, or its bytes where it has none.
    pub(super) fn open(bytes: RandomBytes) -> Result<Result<Self, RandomBytes>, DataError> {
        let Some(footer) = footer(&bytes)? else { return Ok(Err(bytes)) };
        let path = bytes.path();
        let fail = |problem: String| damaged(path, &format!("the footer is damaged: {problem}"));
        let contents = caught(|| {
            let footer = root_as_footer(&footer).map_err(|_| fail("it cannot be read".into()))?;
            Contents::of(&footer, path).map_err(|e| e.unwrap_or_else(|| fail("it has no schema".into())))
        });
        let Contents { schema, mut decoder, dictionaries, blocks } =
            contents.unwrap_or_else(|| Err(fail("its numbers do not fit together".into())))?;
        for block in &dictionaries {
            let buffer = block_of(&bytes, block)?;
            let read = caught(|| decoder.read_dictionary(block, &buffer));
            read.ok_or_else(|| damaged(path, "a dictionary cannot be read"))?
                .map_err(|e| damaged(path, &in_words(&e)))?;
        }
        Ok(Ok(Self { bytes, schema, decoder, blocks }))
    }

    pub(super) const fn n_batches(&self) -> usize {
        self.blocks.len()
    }

    /// A batch by its number, from 0.
    pub(super) fn batch(&self, at: usize) -> Result<Option<RecordBatch>, DataError> {
        let block = &self.blocks[at];
        let buffer = block_of(&self.bytes, block)?;
        match caught(|| self.decoder.read_record_batch(block, &buffer)) {
            Some(Ok(batch)) => Ok(batch),
            Some(Err(error)) => Err(damaged(self.bytes.path(), &in_words(&error))),
            None => Err(damaged(self.bytes.path(), "a message does not fit together")),
        }
    }
}

impl Contents {
    /// `Err(None)` where there is no schema.
    fn of(footer: &Footer<'_>, path: &Path) -> Result<Self, Option<DataError>> {
        let schema = footer.schema().ok_or(None)?;
        if !schema.endianness().equals_to_target_endianness() {
            let problem = "the highest byte of a number comes first (big-endian), expected the lowest";
            return Err(Some(wrong(path, problem).with_hint("write the file on an ordinary machine, or as Parquet")));
        }
        let schema = Arc::new(try_fb_to_schema(schema).map_err(|e| damaged(path, &in_words(&e)))?);
        Ok(Self {
            decoder: FileDecoder::new(Arc::clone(&schema), footer.version()),
            schema,
            dictionaries: footer.dictionaries().iter().flatten().copied().collect(),
            blocks: footer.recordBatches().iter().flatten().copied().collect(),
        })
    }
}

/// The bytes of a message, which promise no more than memory holds.
fn block_of(bytes: &RandomBytes, block: &Block) -> Result<Buffer, DataError> {
    let path = bytes.path();
    let outside = || damaged(path, "a part of it lies behind its end");
    let number = |n: i64| u64::try_from(n).map_err(|_| outside());
    let (metadata, body) = (number(block.metaDataLength().into())?, number(block.bodyLength())?);
    let found = bytes.range(number(block.offset())?, metadata.checked_add(body).ok_or_else(outside)?)?;
    #[allow(clippy::cast_possible_truncation)]
    let (head, rest) = found.split_at(metadata as usize);
    // Before 2019 there was no mark.
    let before = if head.starts_with(&MESSAGE) { 8 } else { 4 };
    let message = head.get(before..).ok_or_else(outside)?;
    if body_len(path, message)? > body {
        return Err(outside());
    }
    check_buffers(path, message, rest)?;
    Ok(Buffer::from(found))
}
