//! The members of a zip archive: the directory by the crate `zip`, the bytes as a stream.

use crate::format::caught::caught;
use crate::format::open::ByteSource;
use crate::format::{DataError, Position};
use flate2::Crc;
use flate2::read::DeflateDecoder;
use std::fs::File;
use std::io::{self, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zip::CompressionMethod;
use zip::result::ZipError;

/// An archive and what its directory lists.
pub(super) struct Archive {
    file: PathBuf,
    bytes: MemberBytes,
    members: Vec<ArchiveMember>,
}

enum MemberBytes {
    File,
    Memory(Arc<[u8]>),
}

struct ArchiveMember {
    name: String,
    method: CompressionMethod,
    crc: u32,
    compressed: u64,
    size: u64,
    start: u64,
}

trait ReadSeek: Read + Seek + Send {}
impl<T: Read + Seek + Send> ReadSeek for T {}

impl Archive {
    /// Reads the directory of an archive; one from a pipe, or compressed once more, is kept in memory.
    pub(super) fn open(mut source: ByteSource) -> Result<Self, DataError> {
        let file = source.file().to_path_buf();
        let bytes = if source.reopen()?.is_some() {
            MemberBytes::File
        } else {
            let mut all = Vec::new();
            source.read_all(&mut all)?;
            MemberBytes::Memory(all.into())
        };
        let mut archive = Self { file, bytes, members: Vec::new() };
        let directory = caught(|| archive.directory()).unwrap_or_else(|| Err("its data contradict each other".into()));
        archive.members = directory.map_err(|problem| damaged(&archive.file, &problem))?;
        Ok(archive)
    }

    fn directory(&self) -> Result<Vec<ArchiveMember>, String> {
        let reader = self.reader().map_err(|e| e.to_string())?;
        let mut archive = zip::ZipArchive::new(reader).map_err(in_words)?;
        (0..archive.len())
            .map(|at| {
                let entry = archive.by_index_raw(at).map_err(in_words)?;
                Ok(ArchiveMember {
                    name: entry.name().map_err(in_words)?.into_owned(),
                    method: entry.compression(),
                    crc: entry.crc32(),
                    compressed: entry.compressed_size(),
                    size: entry.size(),
                    start: entry.data_start().ok_or("a member has no header")?,
                })
            })
            .collect()
    }

    fn reader(&self) -> io::Result<Box<dyn ReadSeek>> {
        Ok(match &self.bytes {
            MemberBytes::File => Box::new(BufReader::with_capacity(1 << 18, File::open(&self.file)?)),
            MemberBytes::Memory(bytes) => Box::new(Cursor::new(Arc::clone(bytes))),
        })
    }

    /// The file that it was read from.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// The names of the arrays: those of the members without `.npy`.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|m| array_name(&m.name))
    }

    /// The bytes of an array.
    pub(super) fn array(&self, name: &str) -> Option<Result<ByteSource, DataError>> {
        let member = self.members.iter().find(|m| array_name(&m.name) == name)?;
        let label = PathBuf::from(format!("{}[{name}]", self.file.display()));
        let reader = self.member(member).map_err(|e| damaged(&label, &e.to_string()));
        Some(reader.and_then(|reader| ByteSource::from_reader(&label, reader, None)))
    }

    fn member(&self, member: &ArchiveMember) -> io::Result<Box<dyn Read + Send>> {
        let mut reader = self.reader()?;
        reader.seek(SeekFrom::Start(member.start))?;
        let raw = reader.take(member.compressed);
        let inner: Box<dyn Read + Send> = match member.method {
            CompressionMethod::Stored => Box::new(raw),
            CompressionMethod::Deflated => Box::new(DeflateDecoder::new(raw)),
            other => return Err(invalid(&format!("compression method {other} is not one of NumPy's"))),
        };
        Ok(Box::new(CheckedReader { inner, crc: Crc::new(), left: member.size, expected: member.crc }))
    }
}

fn damaged(file: &Path, problem: &str) -> DataError {
    DataError::content(file, Position::File, format!("the archive is cut off or damaged: {problem}"))
        .with_hint("download or copy the file again")
}

/// The crate's sentence on one line.
fn in_words(error: ZipError) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn array_name(member: &str) -> &str {
    member.strip_suffix(".npy").unwrap_or(member)
}

/// Passes bytes on and holds their number and checksum against the directory.
struct CheckedReader {
    inner: Box<dyn Read + Send>,
    crc: Crc,
    left: u64,
    expected: u32,
}

impl Read for CheckedReader {
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
