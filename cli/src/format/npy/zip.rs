//! The members of a zip archive, as much of the format as NumPy's archives have: stored and deflated members, zip64.
//!
//! # References
//! PKWARE, *.ZIP File Format Specification*, version 6.3.10, sections 4.3 to 4.5.

use crate::format::open::Source;
use crate::format::{DataError, Position};
use flate2::Crc;
use flate2::read::DeflateDecoder;
use std::fs::File;
use std::io::{self, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The end record may have a comment of 65,535 bytes behind it.
const TAIL: u64 = 65_557;

/// An archive and what its directory lists.
pub(super) struct Archive {
    file: PathBuf,
    bytes: Bytes,
    members: Vec<Member>,
}

enum Bytes {
    File,
    Memory(Arc<[u8]>),
}

struct Member {
    name: String,
    method: u16,
    crc: u32,
    compressed: u64,
    size: u64,
    header: u64,
}

trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

impl Archive {
    /// Reads the directory of an archive; one from a pipe, or compressed once more, is kept in memory.
    pub(super) fn open(mut source: Source) -> Result<Self, DataError> {
        let file = source.file().to_path_buf();
        let bytes = if source.reopen()?.is_some() {
            Bytes::File
        } else {
            let mut all = Vec::new();
            source.read_all(&mut all)?;
            Bytes::Memory(all.into())
        };
        let mut archive = Self { file, bytes, members: Vec::new() };
        archive.members = archive.reader().and_then(|mut reader| directory(&mut *reader)).map_err(|e| {
            let problem = format!("the archive is cut off or damaged: {e}");
            DataError::content(&archive.file, Position::File, problem).with_hint("download or copy the file again")
        })?;
        Ok(archive)
    }

    fn reader(&self) -> io::Result<Box<dyn ReadSeek>> {
        Ok(match &self.bytes {
            Bytes::File => Box::new(BufReader::with_capacity(1 << 18, File::open(&self.file)?)),
            Bytes::Memory(bytes) => Box::new(Cursor::new(Arc::clone(bytes))),
        })
    }

    /// The file that it was read from.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// The names of the arrays: those of the members without `.npy`.
    pub(super) fn names(&self) -> Vec<String> {
        self.members.iter().map(|m| array_name(&m.name).to_owned()).collect()
    }

    /// The bytes of an array.
    pub(super) fn array(&self, name: &str) -> Option<Result<Source, DataError>> {
        let member = self.members.iter().find(|m| array_name(&m.name) == name)?;
        let label = PathBuf::from(format!("{}[{name}]", self.file.display()));
        let reader = self.member(member).map_err(|e| {
            DataError::content(&label, Position::File, format!("the archive is cut off or damaged: {e}"))
                .with_hint("download or copy the file again")
        });
        Some(reader.and_then(|reader| Source::from_reader(&label, reader, None)))
    }

    fn member(&self, member: &Member) -> io::Result<Box<dyn Read + Send>> {
        let mut reader = self.reader()?;
        reader.seek(SeekFrom::Start(member.header))?;
        let mut header = [0; 30];
        reader.read_exact(&mut header)?;
        if !header.starts_with(b"PK\x03\x04") {
            return Err(invalid("a member has no header"));
        }
        let skip = u64::from(u16_at(&header, 26)?) + u64::from(u16_at(&header, 28)?);
        reader.seek(SeekFrom::Start(member.header.saturating_add(30 + skip)))?;
        let raw = reader.take(member.compressed);
        let inner: Box<dyn Read + Send> = match member.method {
            0 => Box::new(raw),
            8 => Box::new(DeflateDecoder::new(raw)),
            other => return Err(invalid(&format!("compression method {other} is not one of NumPy's"))),
        };
        Ok(Box::new(Checked { inner, crc: Crc::new(), left: member.size, expected: member.crc }))
    }
}

fn array_name(member: &str) -> &str {
    member.strip_suffix(".npy").unwrap_or(member)
}

/// Passes bytes on and holds their number and checksum against the directory.
struct Checked {
    inner: Box<dyn Read + Send>,
    crc: Crc,
    left: u64,
    expected: u32,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.crc.update(&buffer[..n]);
        let over = self.left < n as u64;
        self.left = self.left.saturating_sub(n as u64);
        if over || (n == 0 && !buffer.is_empty() && (self.left > 0 || self.crc.sum() != self.expected)) {
            return Err(invalid("the bytes of a member do not match its checksum"));
        }
        Ok(n)
    }
}

fn invalid(problem: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, problem.to_owned())
}

fn part(bytes: &[u8], at: usize, len: usize) -> io::Result<&[u8]> {
    at.checked_add(len).and_then(|end| bytes.get(at..end)).ok_or_else(|| invalid("the directory ends early"))
}

fn u16_at(bytes: &[u8], at: usize) -> io::Result<u16> {
    Ok(u16::from_le_bytes(part(bytes, at, 2)?.try_into().unwrap_or_default()))
}

fn u32_at(bytes: &[u8], at: usize) -> io::Result<u32> {
    Ok(u32::from_le_bytes(part(bytes, at, 4)?.try_into().unwrap_or_default()))
}

fn u64_at(bytes: &[u8], at: usize) -> io::Result<u64> {
    Ok(u64::from_le_bytes(part(bytes, at, 8)?.try_into().unwrap_or_default()))
}

/// Where the directory is: its offset and length.
fn find_directory(reader: &mut dyn ReadSeek) -> io::Result<(u64, u64)> {
    let len = reader.seek(SeekFrom::End(0))?;
    let from = len.saturating_sub(TAIL);
    reader.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    reader.take(TAIL).read_to_end(&mut tail)?;
    let end = tail.windows(4).rposition(|w| w == b"PK\x05\x06").ok_or_else(|| invalid("it has no directory"))?;
    part(&tail, end, 22)?;
    let (size, offset) = (u32_at(&tail, end + 12)?, u32_at(&tail, end + 16)?);
    if offset != u32::MAX && size != u32::MAX {
        return Ok((offset.into(), size.into()));
    }
    let locator = end.checked_sub(20).ok_or_else(|| invalid("its directory is lost"))?;
    if part(&tail, locator, 4)? != b"PK\x06\x07" {
        return Err(invalid("its directory is lost"));
    }
    reader.seek(SeekFrom::Start(u64_at(&tail, locator + 8)?))?;
    let mut record = [0; 56];
    reader.read_exact(&mut record)?;
    Ok((u64_at(&record, 48)?, u64_at(&record, 40)?))
}

fn directory(reader: &mut dyn ReadSeek) -> io::Result<Vec<Member>> {
    let (offset, size) = find_directory(reader)?;
    reader.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    reader.take(size).read_to_end(&mut bytes)?;
    let (mut members, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if part(&bytes, at, 4)? != b"PK\x01\x02" {
            return Err(invalid("an entry of its directory is damaged"));
        }
        let (name, extra) = (usize::from(u16_at(&bytes, at + 28)?), usize::from(u16_at(&bytes, at + 30)?));
        let comment = usize::from(u16_at(&bytes, at + 32)?);
        let mut fields = [u32_at(&bytes, at + 24)?, u32_at(&bytes, at + 20)?, u32_at(&bytes, at + 42)?].map(u64::from);
        large_fields(part(&bytes, at + 46 + name, extra)?, &mut fields)?;
        members.push(Member {
            name: String::from_utf8_lossy(part(&bytes, at + 46, name)?).into_owned(),
            method: u16_at(&bytes, at + 10)?,
            crc: u32_at(&bytes, at + 16)?,
            compressed: fields[1],
            size: fields[0],
            header: fields[2],
        });
        at += 46 + name + extra + comment;
    }
    Ok(members)
}

/// Size, compressed size and offset that need more than 32 bits stand in the extra field.
fn large_fields(mut extra: &[u8], fields: &mut [u64; 3]) -> io::Result<()> {
    while extra.len() >= 4 {
        let (id, len) = (u16_at(extra, 0)?, usize::from(u16_at(extra, 2)?));
        let body = part(extra, 4, len)?;
        if id == 1 {
            let large = fields.iter_mut().filter(|field| **field == u64::from(u32::MAX));
            for (i, field) in large.enumerate() {
                *field = u64_at(body, 8 * i)?;
            }
        }
        extra = &extra[4 + len..];
    }
    Ok(())
}
