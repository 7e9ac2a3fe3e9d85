//! Arrow IPC: tables as pyarrow, polars, DuckDB and R write them, as a file (Feather version 2) or as a stream.
//!
//! ```text
//! file:    ARROW1 0 0 | stream | footer | its length | ARROW1
//! stream:  messages: FF FF FF FF | length | metadata | body;  first the schema, then batches of rows and their dictionaries
//! ```
//! A file is read by its footer, a batch at a time; a stream, and a file whose footer was lost, from front to back. Bodies may be
//! compressed by lz4 or zstd. The crate `arrow-ipc` decodes a message; what a message promises is held against the limit of
//! memory and the bytes that came first.
//!
//! # References
//! Apache Arrow, *Columnar format*, "Serialization and Interprocess Communication",
//! <https://arrow.apache.org/docs/format/Columnar.html>.

mod array;
mod cells;
mod file;
mod frame;
mod layout;
pub(super) mod parts;
pub(super) mod rows;
pub(super) mod table;
pub(super) mod text;

use super::caught::caught;
use super::foreign;
use super::open::ByteSource;
use super::random::RandomBytes;
use super::{DataError, Position, limit};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::{Message, root_as_message};
use arrow_schema::{ArrowError, SchemaRef};
use file::FooterFile;
use parts::{ColumnBatch, Portion, TypedFile, damaged, in_words, wrong};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: &[u8] = b"ARROW1";
/// The beginning of files of the first version of Feather, which are not read.
const FIRST_FEATHER: &[u8] = b"FEA1";
/// The mark of a message.
const MESSAGE: [u8; 4] = [0xff; 4];
/// Bytes of metadata that every message has.
const SMALLEST: u32 = 16;

/// True for the first bytes of a file or a stream.
pub(super) fn detect(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
        || head.starts_with(FIRST_FEATHER)
        || (head.starts_with(&MESSAGE) && head.get(7) == Some(&0))
}

/// A file or a stream of which the schema and the first batch have been read.
pub(super) struct ArrowFile {
    path: PathBuf,
    schema: SchemaRef,
    /// The first batch that has rows.
    first: Option<RecordBatch>,
    content: BatchSource,
    is_lasting: bool,
}

enum BatchSource {
    /// With the number of the first batch that has rows.
    File(FooterFile, usize),
    /// Messages behind the first batch, until they are read.
    Stream(Option<StreamMessages>),
}

impl ArrowFile {
    fn of_file(file: FooterFile, path: PathBuf) -> Result<Self, DataError> {
        let schema = Arc::clone(&file.schema);
        let is_empty = |batch: &Option<RecordBatch>| batch.as_ref().is_none_or(|batch| batch.num_rows() == 0);
        let (mut at, mut first) = (0, None);
        while at < file.n_batches() && is_empty(&first) {
            first = file.batch(at)?;
            at += 1;
        }
        let first = first.filter(|batch| batch.num_rows() > 0);
        Ok(Self { path, schema, first, content: BatchSource::File(file, at.saturating_sub(1)), is_lasting: true })
    }

    fn of_stream(source: ByteSource) -> Result<Self, DataError> {
        let path = source.file().to_path_buf();
        let is_lasting = source.reopen()?.is_some();
        let mut rest = StreamMessages::new(source)?;
        let first = rest.next()?;
        let Some(schema) = rest.decoder.schema() else {
            return Err(damaged(&path, "it has no schema"));
        };
        Ok(Self { path, schema, first, content: BatchSource::Stream(Some(rest)), is_lasting })
    }
}

impl TypedFile for ArrowFile {
    const EXTENSIONS: &'static [&'static str] = &["arrow", "feather", "arrows", "ipc"];

    fn open(source: ByteSource) -> Result<Self, DataError> {
        if !source.head().starts_with(MAGIC) {
            return Self::of_stream(source);
        }
        let path = source.file().to_path_buf();
        match FooterFile::open(RandomBytes::of(source)?)? {
            Ok(file) => Self::of_file(file, path),
            Err(bytes) => Self::of_stream(bytes.source()?),
        }
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn n_rows(&self) -> Option<u64> {
        None
    }

    fn is_lasting(&self) -> bool {
        self.is_lasting
    }

    fn beginning(&mut self, column: usize) -> Result<Option<ArrayRef>, DataError> {
        Ok(self.first.as_ref().map(|batch| Arc::clone(batch.column(column))))
    }

    fn read(
        &mut self,
        columns: &[usize],
        portion: Portion,
        sink: &mut dyn FnMut(ColumnBatch) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let mut first = 0;
        let mut pass_on = |batch: &RecordBatch| {
            for at in (0..batch.num_rows()).step_by(portion.rows) {
                let n = portion.rows.min(batch.num_rows() - at);
                let columns = columns.iter().map(|&c| (c, batch.column(c).slice(at, n))).collect();
                sink(ColumnBatch { first: first + at, columns })?;
            }
            first += batch.num_rows();
            Ok::<(), DataError>(())
        };
        if let BatchSource::File(file, at) = &self.content {
            self.first.iter().try_for_each(&mut pass_on)?;
            return (at + 1..file.n_batches()).try_for_each(|at| file.batch(at)?.iter().try_for_each(&mut pass_on));
        }
        let BatchSource::Stream(rest) = &mut self.content else { return Ok(()) };
        let (mut messages, mut next) = match rest.take() {
            Some(rest) => (rest, self.first.clone()),
            None => {
                let mut again = StreamMessages::new(ByteSource::open(&self.path)?)?;
                let first = again.next()?;
                (again, first)
            }
        };
        while let Some(batch) = next {
            pass_on(&batch)?;
            next = messages.next()?;
        }
        Ok(())
    }
}

/// The messages of a stream, and what is known by those that came.
struct StreamMessages {
    source: ByteSource,
    decoder: StreamDecoder,
    /// Whether a message was decoded.
    decoder_began: bool,
}

impl StreamMessages {
    fn new(mut source: ByteSource) -> Result<Self, DataError> {
        if !detect(source.head()) || source.head().starts_with(FIRST_FEATHER) {
            if !source.head().starts_with(FIRST_FEATHER) {
                return Err(foreign::unexpected(source.file(), source.head(), Position::Byte(0), "an Arrow file"));
            }
            let problem = "found the first version of Feather, expected Arrow IPC";
            return Err(DataError::content(source.file(), Position::Byte(0), problem)
                .with_hint("`pyarrow.feather.write_feather(table, FILE)` writes one"));
        }
        if source.head().starts_with(MAGIC) {
            // polars puts a table of its own there, which only the footer leads past.
            // Zeros fill the beginning up, to 8 bytes or to 64.
            let fill = source.head()[MAGIC.len()..].iter().position(|&byte| byte != 0).unwrap_or(2);
            let start = MAGIC.len() + fill;
            let first = source.head().get(start..).and_then(<[u8]>::first_chunk).map(|len| u32::from_le_bytes(*len));
            if first.is_some_and(|len| (1..SMALLEST).contains(&len)) {
                return Err(
                    wrong(source.file(), "the file is cut off: its footer is missing").with_hint("get the file again")
                );
            }
            source.read_up_to(&mut Vec::new(), start as u64)?;
        }
        Ok(Self { source, decoder: StreamDecoder::new(), decoder_began: false })
    }

    fn damaged(&self, problem: &str) -> DataError {
        damaged(self.source.file(), problem)
    }

    /// Exactly so many bytes; `None` where there are none.
    fn bytes(&mut self, n: u64) -> Result<Option<Vec<u8>>, DataError> {
        let mut found = Vec::new();
        match self.source.read_up_to(&mut found, n)? {
            0 if n > 0 => Ok(None),
            len if len == n => Ok(Some(found)),
            _ => Err(self.cut()),
        }
    }

    fn cut(&self) -> DataError {
        wrong(self.source.file(), "the file is cut off within a message").with_hint("get the file again")
    }

    /// The next batch that has rows; `None` at the end.
    fn next(&mut self) -> Result<Option<RecordBatch>, DataError> {
        loop {
            let Some(mut head) = self.bytes(4)? else { return Ok(None) };
            // Before 2019 there was no mark.
            if head == MESSAGE {
                head = self.bytes(4)?.ok_or_else(|| self.cut())?;
            }
            let len = head.first_chunk().map_or(0, |len| u32::from_le_bytes(*len));
            // The footer follows the end of the stream.
            if len == 0 || head == MAGIC[..4] {
                return Ok(None);
            }
            // The mark of the first message is still to come, that of the others has been decoded.
            let mark = if self.decoder_began { &[][..] } else { &MESSAGE[..] };
            self.decoder_began = true;
            let mut message = [mark, &len.to_le_bytes()].concat();
            let metadata = self.bytes(len.into())?.ok_or_else(|| self.cut())?;
            let body_len = body_len(self.source.file(), &metadata)?;
            let body = if body_len > 0 { self.bytes(body_len)?.ok_or_else(|| self.cut())? } else { Vec::new() };
            check_buffers(self.source.file(), &metadata, &body)?;
            message.extend(metadata);
            if let Some(batch) = self.decode(message, body)?.filter(|batch| batch.num_rows() > 0) {
                return Ok(Some(batch));
            }
        }
    }

    fn decode(&mut self, message: Vec<u8>, body: Vec<u8>) -> Result<Option<RecordBatch>, DataError> {
        let decoder = &mut self.decoder;
        let decoded = caught(|| {
            let mut batch = None;
            // The decoder takes up a message without a body when more comes: the mark of the next one.
            for part in [message, body, MESSAGE.to_vec()] {
                let mut part = Buffer::from(part);
                while !part.is_empty() {
                    batch = decoder.decode(&mut part)?.or(batch);
                }
            }
            Ok::<_, ArrowError>(batch)
        });
        match decoded {
            Some(Ok(batch)) => Ok(batch),
            Some(Err(error)) => Err(self.damaged(&in_words(&error))),
            None => Err(self.damaged("a message does not fit together")),
        }
    }
}

/// The bytes behind the metadata of a message.
fn body_len(file: &Path, metadata: &[u8]) -> Result<u64, DataError> {
    let message = caught(|| root_as_message(metadata).map(|message| message.bodyLength()));
    let len = message.and_then(Result::ok).and_then(|len| u64::try_from(len).ok());
    let len = len.ok_or_else(|| damaged(file, "a message cannot be read"))?;
    limit::check(file, len)?;
    Ok(len)
}

/// Refuses compressed buffers that become larger than the limit of memory: each begins with its length.
fn check_buffers(file: &Path, metadata: &[u8], body: &[u8]) -> Result<(), DataError> {
    let Some(total) = caught(|| root_as_message(metadata).map(|message| unpacked(&message, body))) else {
        return Err(damaged(file, "a message cannot be read"));
    };
    limit::check(file, total.unwrap_or(0))
}

/// Bytes of the buffers of a message once they are decompressed, as it states them.
fn unpacked(message: &Message, body: &[u8]) -> u64 {
    let dictionary = message.header_as_dictionary_batch().and_then(|batch| batch.data());
    let Some(batch) = message.header_as_record_batch().or(dictionary) else { return 0 };
    let (Some(_), Some(buffers)) = (batch.compression(), batch.buffers()) else { return 0 };
    let lengths = buffers.iter().filter_map(|buffer| {
        let at = usize::try_from(buffer.offset()).ok()?;
        let len = body.get(at..)?.first_chunk().map(|len| i64::from_le_bytes(*len))?;
        u64::try_from(len).ok()
    });
    lengths.fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests;
