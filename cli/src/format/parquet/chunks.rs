//! The bytes of column chunks, whose pages ask for no more memory than they can fill.

use crate::format::{DataError, limit};
use ::parquet::basic::Compression;
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::reader::{ChunkReader, Length};
use bytes::{Buf as _, Bytes};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The bytes of a column in a row group.
pub(super) struct Chunk {
    /// Its place in the file.
    pub(super) start: u64,
    pub(super) bytes: Bytes,
    pub(super) codec: Compression,
}

/// Some chunks of a file, read as if they were the file.
pub(super) struct Chunks {
    len: u64,
    chunks: Vec<Chunk>,
    /// Bytes of levels, which are not compressed, before the values of the page whose header was read last.
    levels: Arc<AtomicUsize>,
}

impl Chunks {
    pub(super) fn new(len: u64, chunks: Vec<Chunk>) -> Self {
        Self { len, chunks, levels: Arc::default() }
    }

    /// The chunk that has a byte of the file, and what of it comes from there on.
    fn at(&self, start: u64) -> Result<(&Chunk, Bytes)> {
        let found = self.chunks.iter().find_map(|chunk| {
            let at = usize::try_from(start.checked_sub(chunk.start)?).ok().filter(|at| *at <= chunk.bytes.len())?;
            (at < chunk.bytes.len()).then(|| (chunk, chunk.bytes.slice(at..)))
        });
        found.ok_or_else(|| ParquetError::EOF("a page lies outside its column".into()))
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for Chunks {
    type T = Header;

    fn get_read(&self, start: u64) -> Result<Header> {
        let (chunk, bytes) = self.at(start)?;
        Ok(Header { bytes, codec: Some(chunk.codec), levels: Arc::clone(&self.levels) })
    }

    fn get_bytes(&self, start: u64, len: usize) -> Result<Bytes> {
        if len == 0 {
            return Ok(Bytes::new());
        }
        let (chunk, rest) = self.at(start)?;
        if len > rest.len() {
            return Err(ParquetError::EOF("a page ends early".into()));
        }
        let page = rest.slice(..len);
        if matches!(chunk.codec, Compression::GZIP(_)) {
            check_gzip(page.get(self.levels.load(Relaxed)..).unwrap_or_default())?;
        }
        Ok(page)
    }
}

/// The header of a page, which is checked before its first byte is read.
pub(super) struct Header {
    bytes: Bytes,
    /// Until it has been checked.
    codec: Option<Compression>,
    levels: Arc<AtomicUsize>,
}

impl Read for Header {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(codec) = self.codec.take() {
            let levels = check_page(&self.bytes, codec).map_err(io::Error::other)?;
            self.levels.store(levels, Relaxed);
        }
        let n = self.bytes.len().min(buffer.len());
        if n == 0 && !buffer.is_empty() {
            // The crate passes over as many values of unknown fields as they promise, and takes the end for one of them.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.bytes.copy_to_slice(&mut buffer[..n]);
        Ok(n)
    }
}

/// Holds the sizes that the header of a page promises against the limit of memory and the bytes that are there, and returns the
/// bytes of levels that are not compressed.
///
/// The sizes are its first fields: type, size, compressed size, perhaps a checksum, and a structure that begins with the number
/// of values; in the second version of pages it goes on with those of nulls and rows, the encoding and two sizes of levels.
///
/// # References
/// Apache Thrift, *Thrift compact protocol*, `doc/specs/thrift-compact-protocol.md`.
fn check_page(mut header: &[u8], codec: Compression) -> std::result::Result<usize, String> {
    let damaged = || "the header of a page is damaged".to_owned();
    let mut sizes = [0; 3];
    for size in &mut sizes {
        *size = field(&mut header).ok_or_else(damaged)?;
    }
    let [_, size, compressed] = sizes;
    let (mut id, mut next) = (3, byte(&mut header).ok_or_else(damaged)?);
    if next == I32 {
        varint(&mut header).ok_or_else(damaged)?;
        (id, next) = (4, byte(&mut header).ok_or_else(damaged)?);
    }
    let mut levels = 0;
    match id + (next >> 4) {
        DICTIONARY if field(&mut header).is_none_or(|n_values| n_values > size) => {
            return Err("a dictionary has more values than bytes".into());
        }
        SECOND_VERSION => {
            let mut fields = || field(&mut header).ok_or_else(damaged);
            let numbers = [fields()?, fields()?, fields()?, fields()?, fields()?, fields()?];
            levels = numbers[4] + numbers[5];
        }
        _ => {}
    }
    if let Some(problem) = limit::problem(size) {
        return Err(problem);
    }
    // The most bytes that one can become. Zstandard is given the size as a limit.
    let ratio = match codec {
        Compression::SNAPPY => 64,
        Compression::LZ4_RAW => 256,
        _ => u64::MAX,
    };
    if size > compressed.saturating_mul(ratio) {
        return Err("a page is larger than its bytes can become".into());
    }
    usize::try_from(levels).map_err(|_| damaged())
}

/// Unpacks gzip without keeping it where it could become larger than the limit of memory, for the crate unpacks whatever comes.
fn check_gzip(content: &[u8]) -> Result<()> {
    const RATIO: u64 = 1032;
    if (content.len() as u64).saturating_mul(RATIO) <= limit::get() {
        return Ok(());
    }
    let content = flate2::read::MultiGzDecoder::new(content).take(limit::get().saturating_add(1));
    // Damaged headers are left to the crate, which gets no further.
    match io::copy(&mut { content }, &mut io::sink()).map(limit::problem) {
        Ok(Some(problem)) => Err(ParquetError::General(problem)),
        Ok(None) | Err(_) => Ok(()),
    }
}

/// The header of a field of 32 bits, next to the one before.
const I32: u8 = 0x15;
/// The numbers of the fields of dictionaries and of pages of the second version.
const DICTIONARY: u8 = 7;
const SECOND_VERSION: u8 = 8;

fn byte(bytes: &mut &[u8]) -> Option<u8> {
    bytes.split_off_first().copied()
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..35).step_by(7) {
        let byte = byte(bytes)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// The next field, a number of 32 bits that is not negative.
fn field(bytes: &mut &[u8]) -> Option<u64> {
    let value = byte(bytes).filter(|header| *header == I32).and_then(|_| varint(bytes))?;
    (value & 1 == 0).then_some(value >> 1)
}

/// The sentence about data that need more memory than the limit, where an error says that.
pub(super) fn limit_of(file: &Path, error: &dyn std::error::Error) -> Option<DataError> {
    let is_limit = error.to_string().contains(&limit::exceeded().to_string());
    is_limit.then(|| limit::check(file, u64::MAX).err()).flatten()
}
