//! The pages of a column chunk: headers, compression, levels; and what the cells in them are turned into.

use super::decode::{self, is_dictionary};
use super::footer::{Chunk, Column};
use super::kind::Kind;
use super::thrift::{Problem, Thrift};
use crate::format::limit;
use std::io::Read;

/// What is wrong, and in which row of the chunk, from 0, where it is one cell's fault.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) row: Option<usize>,
    pub(super) problem: String,
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self { row: None, problem }
    }
}

/// The header of a page.
#[derive(Default)]
struct Header {
    kind: i64,
    size: usize,
    compressed: usize,
    crc: Option<i64>,
    n: usize,
    encoding: i64,
    levels: i64,
    /// Of the second version: bytes of the levels, and whether the values are compressed.
    level_bytes: usize,
    is_compressed: bool,
}

const DATA: i64 = 0;
const DICTIONARY: i64 = 2;
const DATA_V2: i64 = 3;
const RLE: i64 = 3;

/// Reads the `n_rows` cells of a chunk, each of which `convert` turns into a value or says what is wrong with it.
pub(super) fn cells<T: Copy>(
    chunk: &Chunk,
    mut bytes: &[u8],
    column: &Column,
    kind: Kind,
    n_rows: usize,
    mut convert: impl FnMut(&[u8]) -> Result<T, String>,
) -> Result<Vec<T>, Fault> {
    let (mut found, mut dictionary, mut page) = (Vec::new(), None, Vec::new());
    while found.len() < n_rows {
        if bytes.is_empty() {
            let problem = format!("it has {} of the {n_rows} values that the footer promises", found.len());
            return Err(problem.into());
        }
        let header = Header::read(&mut bytes)?;
        let raw = bytes.split_off(..header.compressed).ok_or_else(|| "a page ends early".to_owned())?;
        header.check(raw)?;
        match header.kind {
            DICTIONARY => {
                let values = header.unpacked(chunk.codec, raw, &mut page)?;
                let mut entries = Vec::new();
                decode::values(0, kind.store, values, header.n, |cell| {
                    entries.push(convert(cell));
                    Ok::<_, Problem>(())
                })?;
                dictionary = Some(entries);
            }
            DATA | DATA_V2 => {
                if header.n > n_rows - found.len() {
                    return Err(Fault::from(format!("it has more values than the {n_rows} that the footer promises")));
                }
                let values = header
                    .present(chunk.codec, raw, &mut page, column.optional)
                    .map_err(|fault| fault.after(found.len()))?;
                if is_dictionary(header.encoding) {
                    let entries = dictionary.as_deref().ok_or_else(|| "a dictionary is missing".to_owned())?;
                    look_up(values, header.n, entries, &mut found)?;
                } else {
                    decode::values(header.encoding, kind.store, values, header.n, |cell| {
                        let value = convert(cell).map_err(|problem| Fault { row: Some(found.len()), problem })?;
                        found.push(value);
                        Ok::<_, Fault>(())
                    })?;
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

fn look_up<T: Copy>(values: &[u8], n: usize, entries: &[Result<T, String>], found: &mut Vec<T>) -> Result<(), Fault> {
    decode::positions(values, n, |at, count| {
        match entries.get(at) {
            Some(Ok(value)) if count == 1 => found.push(*value),
            Some(Ok(value)) => found.resize(found.len() + count, *value),
            Some(Err(problem)) => return Err(Fault { row: Some(found.len()), problem: problem.clone() }),
            None => return Err(Fault::from(format!("position {at} is beyond a dictionary of {}", entries.len()))),
        }
        Ok(())
    })
}

impl Fault {
    /// The same in a page behind so many rows.
    fn after(self, rows: usize) -> Self {
        Self { row: self.row.map(|row| row + rows), ..self }
    }
}

impl Header {
    fn read(bytes: &mut &[u8]) -> Result<Self, Problem> {
        let mut header = Self { is_compressed: true, levels: RLE, ..Self::default() };
        let (mut kind, mut sizes) = (None, [None; 2]);
        let mut thrift = Thrift::new(bytes);
        let size = |t: &mut Thrift<'_>, kind| t.size(kind).map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        thrift.structure(|t, id, field| {
            match id {
                1 => kind = Some(t.int(field)?),
                2 => sizes[0] = Some(size(t, field)?),
                3 => sizes[1] = Some(size(t, field)?),
                4 => header.crc = Some(t.int(field)?),
                5 | 7 | 8 => t.structure(|t, inner, field| {
                    match (id, inner) {
                        (_, 1) => header.n = size(t, field)?,
                        (5 | 7, 2) | (8, 4) => header.encoding = t.int(field)?,
                        (5, 3) => header.levels = t.int(field)?,
                        (8, 5 | 6) => header.level_bytes = header.level_bytes.saturating_add(size(t, field)?),
                        (8, 7) => header.is_compressed = Thrift::bool(field)?,
                        _ => t.skip(field)?,
                    }
                    Ok(())
                })?,
                _ => t.skip(field)?,
            }
            Ok(())
        })?;
        let (Some(kind), [Some(size), Some(compressed)]) = (kind, sizes) else {
            return Err("the header of a page is incomplete".into());
        };
        *bytes = &bytes[thrift.at()..];
        Ok(Self { kind, size, compressed, ..header })
    }

    fn check(&self, raw: &[u8]) -> Result<(), Problem> {
        let Some(expected) = self.crc else { return Ok(()) };
        let mut crc = flate2::Crc::new();
        crc.update(raw);
        if i64::from(crc.sum().cast_signed()) == expected {
            return Ok(());
        }
        Err("the checksum of a page does not match".into())
    }

    fn unpacked<'a>(&self, codec: i64, raw: &'a [u8], page: &'a mut Vec<u8>) -> Result<&'a [u8], Problem> {
        unpack(if self.is_compressed { codec } else { 0 }, raw, self.size, page)
    }

    /// The values of a page of which no cell may be missing.
    fn present<'a>(&self, codec: i64, raw: &'a [u8], page: &'a mut Vec<u8>, optional: bool) -> Result<&'a [u8], Fault> {
        let short = || Fault::from("a page ends within its levels".to_owned());
        let (levels, values) = if self.kind == DATA_V2 {
            let (levels, raw) = raw.split_at_checked(self.level_bytes).ok_or_else(short)?;
            let size = self.size.checked_sub(self.level_bytes).ok_or_else(short)?;
            (levels, Self { size, ..*self }.unpacked(codec, raw, page)?)
        } else {
            let all = self.unpacked(codec, raw, page)?;
            if !optional {
                return Ok(all);
            }
            if self.levels != RLE {
                return Err(Fault::from(format!("levels have the encoding {}", self.levels)));
            }
            let (len, rest) = all.split_first_chunk().ok_or_else(short)?;
            rest.split_at_checked(u32::from_le_bytes(*len) as usize).ok_or_else(short)?
        };
        match if optional { decode::first_missing(levels, self.n)? } else { None } {
            None => Ok(values),
            row => Err(Fault { row, problem: "the value is missing".into() }),
        }
    }
}

/// Unpacks a page of so many bytes. Memory grows as they arrive; a codec that needs it at once may ask for what its input can
/// possibly hold.
fn unpack<'a>(codec: i64, raw: &'a [u8], size: usize, page: &'a mut Vec<u8>) -> Result<&'a [u8], Problem> {
    if let Some(problem) = limit::problem(size as u64) {
        return Err(problem);
    }
    let damaged = |what: &str| format!("a page cannot be decompressed: {what}");
    let fits = |ratio: usize| size <= raw.len().saturating_mul(ratio);
    page.clear();
    match codec {
        0 => return if raw.len() == size { Ok(raw) } else { Err(damaged("its length is wrong")) },
        1 if fits(64) && snap::raw::decompress_len(raw).is_ok_and(|len| len == size) => {
            page.resize(size, 0);
            snap::raw::Decoder::new().decompress(raw, page).map_err(|e| damaged(&e.to_string()))?;
        }
        7 if fits(256) => {
            page.resize(size, 0);
            let n = lz4_flex::block::decompress_into(raw, page).map_err(|e| damaged(&e.to_string()))?;
            page.truncate(n);
        }
        1 | 7 => return Err(damaged("its length is wrong")),
        2 | 6 => {
            let mut reader: Box<dyn Read + '_> = match codec {
                2 => Box::new(flate2::read::MultiGzDecoder::new(raw)),
                _ => Box::new(crate::format::zstd::Zstd::new(raw)),
            };
            reader.by_ref().take(size as u64 + 1).read_to_end(page).map_err(|e| damaged(&e.to_string()))?;
        }
        3..=5 => {
            let name = ["LZO", "Brotli", "Hadoop's LZ4"][usize::try_from(codec - 3).unwrap_or_default()];
            return Err(format!("it is compressed by {name}, expected none, snappy, gzip, zstd or lz4_raw"));
        }
        _ => return Err(format!("its compression has the unknown number {codec}")),
    }
    if page.len() == size { Ok(page) } else { Err(damaged("its length is wrong")) }
}
