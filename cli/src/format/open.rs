//! Opens a file or standard input, decompresses on the way, and reads without trusting what headers promise.
//!
//! Compression is told by the first bytes, not by the name: gzip (RFC 1952, also several members), bzip2 and xz (also several
//! streams), Zstandard (also several frames). The readers of binary formats ask for a number of bytes and get a vector that grows only as data arrive,
//! so that no header can make the program reserve memory for data that are not there.

use super::foreign;
use super::limit;
use super::zstd;
use crate::durable::{self, Refusal};
use crate::format::{DataError, Position};
use crate::{suggestion, visible};
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use std::fs::File;
use std::io::{self, BufReader, Cursor, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Bytes that are looked at to tell compression and format; a tar header has its magic at byte 257.
const HEAD: usize = 8192;
/// KiB that an xz decoder may take: `xz -9` needs 65 MiB.
const XZ_MEMORY: u32 = 512 << 10;
const BZIP2_MAGIC: &[u8] = b"BZh";
const BZIP2_BLOCKS: [&[u8]; 2] = [b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90"];

/// Compression of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    Plain,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Codec {
    fn of(head: &[u8]) -> Self {
        if head.starts_with(b"\x1f\x8b\x08") {
            Self::Gzip
        } else if head.starts_with(BZIP2_MAGIC)
            && matches!(head.get(3), Some(b'1'..=b'9'))
            && BZIP2_BLOCKS.iter().any(|block| head[4..].starts_with(&block[..block.len().min(head.len() - 4)]))
        {
            Self::Bzip2
        } else if head.starts_with(b"\xfd7zXZ\0") {
            Self::Xz
        } else if head.starts_with(b"\x28\xb5\x2f\xfd") {
            Self::Zstd
        } else {
            Self::Plain
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }
}

const FOLDERS: &str =
    "`[data.images]` reads a folder of images, `[data.parquet]` and `[data.arrow]` a folder of part files";

/// An opened file: its decompressed bytes in order, with a look at the first ones.
pub struct ByteSource {
    file: PathBuf,
    codec: Codec,
    head: Vec<u8>,
    taken: u64,
    rest: Box<dyn Read + Send>,
    plain_len: Option<u64>,
    /// True where `file` is the path that was opened.
    opened: bool,
}

impl ByteSource {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    /// Path: not there, not readable, a directory. Content: a broken compression.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        if path == Path::new("-") {
            return Self::from_reader(Path::new("stdin"), Box::new(io::stdin()), None);
        }
        let (file, metadata) = durable::open(path).map_err(|e| path_error(path, &e))?;
        if metadata.is_dir() {
            return Err(DataError::path(path, "is a directory, expected a file").with_hint(FOLDERS));
        }
        let len = metadata.is_file().then_some(metadata.len());
        Ok(Self { opened: true, ..Self::from_reader(path, file, len)? })
    }

    /// Wraps any bytes; `len` is their number where it is known, `file` the name for messages.
    ///
    /// # Errors
    /// As for [`ByteSource::open`].
    pub fn from_reader(file: &Path, mut raw: Box<dyn Read + Send>, len: Option<u64>) -> Result<Self, DataError> {
        let mut magic = Vec::with_capacity(16);
        raw.by_ref().take(16).read_to_end(&mut magic).map_err(|e| read_error(file, Codec::Plain, &e))?;
        let codec = Codec::of(&magic);
        let whole = Cursor::new(magic).chain(raw);
        let mut rest: Box<dyn Read + Send> = match codec {
            Codec::Plain => Box::new(whole),
            Codec::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 18, whole))),
            Codec::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(BufReader::with_capacity(1 << 18, whole))),
            Codec::Xz => Box::new(XzReader::new_mem_limit(
                BufReader::with_capacity(1 << 18, whole),
                true,
                u32::try_from(limit::get() >> 10).map_or(XZ_MEMORY, |kib| kib.clamp(1 << 10, XZ_MEMORY)),
            )),
            Codec::Zstd => {
                zstd::reader(BufReader::with_capacity(1 << 18, whole)).map_err(|e| read_error(file, codec, &e))?
            }
        };
        let mut head = Vec::with_capacity(HEAD);
        rest.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(|e| read_error(file, codec, &e))?;
        foreign::refuse(file, &head)?;
        let plain_len = if codec == Codec::Plain { len } else { None };
        Ok(Self { file: file.to_path_buf(), codec, head, taken: 0, rest, plain_len, opened: false })
    }

    /// The file's name, for messages.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A plain file on its own, to be read in any order, and its length; `None` for a stream.
    pub(super) fn reopen(&self) -> Result<Option<(File, u64)>, DataError> {
        let Some((path, len)) = self.opened.then_some(&self.file).zip(self.plain_len) else { return Ok(None) };
        Ok(Some((File::open(path).map_err(|e| path_error(path, &e))?, len)))
    }

    /// The first bytes after decompression (8 KiB, or all where there are fewer).
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Appends up to `want` bytes to `into` and returns how many there were.
    ///
    /// # Errors
    /// Content: a broken compressed stream, or more data than memory. Path: the device fails.
    pub fn read_up_to(&mut self, into: &mut Vec<u8>, want: u64) -> Result<u64, DataError> {
        let known = self.plain_len.map_or(0, |len| len.saturating_sub(self.taken));
        fill(self, into, want, known).map_err(|e| self.fail(&e))
    }

    /// Appends all bytes that are left.
    ///
    /// # Errors
    /// As for [`ByteSource::read_up_to`].
    pub fn read_all(&mut self, into: &mut Vec<u8>) -> Result<u64, DataError> {
        self.read_up_to(into, u64::MAX)
    }

    /// True when no byte is left.
    ///
    /// # Errors
    /// As for [`ByteSource::read_up_to`].
    pub fn at_end(&mut self) -> Result<bool, DataError> {
        let mut byte = Vec::new();
        Ok(self.read_up_to(&mut byte, 1)? == 0)
    }

    /// The failed read of this source, as an error for the user.
    #[must_use]
    pub fn fail(&self, error: &io::Error) -> DataError {
        read_error(&self.file, self.codec, error)
    }
}

impl Read for ByteSource {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = usize::try_from(self.taken).unwrap_or(usize::MAX);
        let n = match self.head.get(at..) {
            Some(left) if !left.is_empty() => {
                let n = left.len().min(buffer.len());
                buffer[..n].copy_from_slice(&left[..n]);
                n
            }
            Some(_) | None => self.rest.read(buffer)?,
        };
        self.taken += n as u64;
        Ok(n)
    }
}

/// Appends up to `want` bytes of `reader` to `into`; reserves at once only for the `known` bytes that are surely there, and
/// grows by doubling as more arrive, up to [`limit`].
pub(super) fn fill(reader: &mut dyn Read, into: &mut Vec<u8>, want: u64, known: u64) -> io::Result<u64> {
    let sure = usize::try_from(want.min(known)).map_err(|_| io::Error::from(ErrorKind::OutOfMemory))?;
    let room = limit::get().saturating_sub(into.len() as u64);
    if sure as u64 > room {
        return Err(limit::exceeded());
    }
    into.try_reserve_exact(sure).map_err(|_| io::Error::from(ErrorKind::OutOfMemory))?;
    let n = reader.take(want.min(room.saturating_add(1))).read_to_end(into)? as u64;
    if n > room { Err(limit::exceeded()) } else { Ok(n) }
}

/// The product of `sizes` where it fits.
pub(super) fn checked_product(sizes: &[u64]) -> Option<u64> {
    sizes.iter().try_fold(1u64, |product, &size| product.checked_mul(size))
}

/// Kind of a file that is not of the expected format, by its first bytes.
pub(super) fn looks_like(head: &[u8]) -> &'static str {
    const KNOWN: [(&[u8], &str); 15] = [
        (b"\xff\xfe", foreign::UTF_16),
        (b"\xfe\xff", foreign::UTF_16),
        (b"\x89PNG", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"\x93NUMPY", "a NumPy array"),
        (b"PK\x03\x04", "a zip or npz archive"),
        (b"PAR1", "a Parquet file"),
        (b"ARROW1", "an Arrow file"),
        (b"GIF8", "a GIF image"),
        (b"II*\0", "a TIFF image"),
        (b"MM\0*", "a TIFF image"),
        (b"<", "an HTML or XML page"),
        (b"\0\0\x08", "an idx file"),
        (b"version https://git-lfs", "a Git LFS pointer"),
        (b"@relation", "an ARFF file"),
    ];
    if head.is_empty() {
        return "an empty file";
    }
    if head.get(257..262) == Some(b"ustar") {
        return "a tar archive";
    }
    match head {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => return "a WebP image",
        [1..=127, 0, 1..=127, 0, 1..=127, 0, 1..=127, 0, ..] => return foreign::UTF_16,
        [b'B', b'M', ..] if !is_text(head) => return "a BMP image",
        [_, _, _, _, b'f', b't', b'y', b'p', b'a', b'v', b'i', ..] => return "an AVIF image",
        _ => {}
    }
    let known = KNOWN.iter().find(|(magic, _)| head.starts_with(magic));
    known.map_or(if is_text(head) { "text" } else { "binary data of another kind" }, |(_, name)| name)
}

/// True for bytes that a text file may hold.
pub(super) fn is_text(head: &[u8]) -> bool {
    !head.is_empty() && head.iter().all(|&b| b >= 0x20 || matches!(b, b'\t' | b'\n' | b'\r' | 0x0b | 0x0c))
}

pub(super) fn path_error(path: &Path, error: &io::Error) -> DataError {
    if let Some(refusal) = Refusal::of(error) {
        let error = DataError::path(path, refusal.to_string());
        return match refusal.hint() {
            Some(hint) => error.with_hint(hint),
            None => error,
        };
    }
    match error.kind() {
        ErrorKind::NotFound => {
            let missing = DataError::path(path, "no such file or directory");
            match suggestion::path(path) {
                Some(near) => missing.with_hint(format!("did you mean {}?", visible::short(&near))),
                None => missing,
            }
        }
        ErrorKind::PermissionDenied => DataError::path(path, "permission denied"),
        ErrorKind::NotADirectory => DataError::path(path, "no such file: a part of the path is not a directory"),
        _ => DataError::path(path, format!("cannot be opened: {error}")),
    }
}

fn read_error(file: &Path, codec: Codec, error: &io::Error) -> DataError {
    let name = codec.name();
    if error.kind() == ErrorKind::OutOfMemory {
        return DataError::content(file, Position::File, "the data do not fit into the memory of this machine");
    }
    if error.kind() == ErrorKind::FileTooLarge && error.raw_os_error().is_none() {
        return DataError::content(file, Position::File, error.to_string()).with_hint(limit::HINT);
    }
    if error.raw_os_error().is_some() || codec == Codec::Plain {
        return DataError::path(file, format!("cannot be read: {error}"));
    }
    let problem = if error.kind() == ErrorKind::UnexpectedEof {
        format!("the {name} stream ends early: the file is cut off")
    } else {
        format!("the {name} stream is corrupt: {error}")
    };
    DataError::content(file, Position::File, problem).with_hint("download or copy the file again")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::format::DataErrorKind;
    use std::io::Write;

    /// The bytes as a source called `test`.
    pub fn source(bytes: &[u8]) -> Result<ByteSource, DataError> {
        ByteSource::from_reader(Path::new("test"), Box::new(Cursor::new(bytes.to_vec())), Some(bytes.len() as u64))
    }

    pub fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    pub fn bzip2(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<u8>, DataError> {
        let mut all = Vec::new();
        source(bytes)?.read_all(&mut all)?;
        Ok(all)
    }

    fn noise(n: usize) -> Vec<u8> {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..n).map(|_| next()).collect()
    }

    #[test]
    fn plain_and_compressed_bytes_come_out_the_same() {
        for n in [0, 1, 15, 16, 17, HEAD, HEAD + 1, 300_000] {
            let data = noise(n);
            assert_eq!(read(&data).unwrap(), data);
            assert_eq!(read(&gzip(&data)).unwrap(), data, "gzip of {n}");
            assert_eq!(read(&bzip2(&data)).unwrap(), data, "bzip2 of {n}");
        }
    }

    #[test]
    fn several_members_are_read_as_one() {
        let (a, b) = (noise(70_000), noise(10));
        let joined = [a.clone(), b.clone()].concat();
        assert_eq!(read(&[gzip(&a), gzip(b""), gzip(&b)].concat()).unwrap(), joined);
        assert_eq!(read(&[bzip2(&a), bzip2(&b)].concat()).unwrap(), joined);
    }

    #[test]
    fn a_cut_stream_is_an_error_wherever_it_is_cut() {
        let data = noise(3000);
        for whole in [gzip(&data), bzip2(&data), [bzip2(&data), bzip2(&data)].concat()] {
            let full = read(&whole).unwrap();
            for cut in 4..whole.len() {
                match read(&whole[..cut]) {
                    Ok(bytes) => {
                        assert_eq!(bytes.len() * 2, full.len(), "only the seam of two streams is a whole file")
                    }
                    Err(error) => assert_eq!(error.kind, DataErrorKind::Content, "{error}"),
                }
            }
        }
    }

    #[test]
    fn a_changed_byte_is_an_error_that_names_the_file() {
        for mut whole in [gzip(&noise(3000)), bzip2(&noise(3000))] {
            let middle = whole.len() / 2;
            whole[middle] ^= 0xff;
            let error = read(&whole).unwrap_err();
            assert!(error.to_string().starts_with("test: the "), "{error}");
            assert!(error.hint.is_some());
        }
    }

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats").join(name)).unwrap()
    }

    /// The bytes that `make_compressed.py` packs.
    fn packed() -> Vec<u8> {
        (0..20_000u32).map(|i| ((i * i + i / 7) % 251) as u8).collect()
    }

    #[test]
    fn xz_and_zstd_are_read_with_all_their_streams() {
        for name in ["xz", "zst"] {
            assert_eq!(read(&fixture(&format!("bytes.{name}"))).unwrap(), packed(), "{name}");
            assert_eq!(read(&fixture(&format!("bytes2.{name}"))).unwrap(), packed().repeat(2), "{name}");
        }
    }

    #[test]
    fn cut_and_changed_xz_and_zstd_are_errors() {
        for name in ["bytes.xz", "bytes.zst", "bytes2.xz", "bytes2.zst"] {
            let whole = fixture(name);
            for cut in (7..whole.len()).step_by(13) {
                match read(&whole[..cut]) {
                    Ok(bytes) => assert_eq!(bytes, packed(), "{name}: only the seam of two is a whole file"),
                    Err(error) => {
                        assert!(
                            error.to_string().ends_with("stream ends early: the file is cut off"),
                            "{name} {cut}: {error}"
                        );
                    }
                }
            }
            let mut refused = 0;
            for at in (12..whole.len()).step_by(29) {
                let mut changed = whole.clone();
                changed[at] ^= 0xff;
                match read(&changed) {
                    // A skippable frame may hold anything, and some bits of a header mean nothing.
                    Ok(bytes) => assert!(bytes == packed() || bytes == packed().repeat(2), "{name} {at}"),
                    Err(error) => {
                        refused += 1;
                        assert!(
                            error.to_string().starts_with("test: ") && error.hint.is_some(),
                            "{name} {at}: {error}"
                        );
                    }
                }
            }
            assert!(refused > 20, "{name}: {refused}");
        }
    }

    #[test]
    fn paths_that_are_no_files_are_path_errors() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_path_buf(), folder.path().join("none"), folder.path().join("none/deep")] {
            let error = ByteSource::open(&path).err().unwrap();
            assert_eq!(error.kind, DataErrorKind::Path);
        }
    }

    #[test]
    fn memory_is_reserved_for_what_arrives_only() {
        let mut all = Vec::new();
        assert_eq!(source(b"abc").unwrap().read_up_to(&mut all, 1 << 60).unwrap(), 3);
        assert!(all.capacity() < 1 << 20);
        let mut all = Vec::new();
        assert_eq!(source(&gzip(&noise(40_000))).unwrap().read_up_to(&mut all, 1 << 60).unwrap(), 40_000);
        assert!(all.capacity() <= 1 << 17);
        let mut exact = Vec::new();
        source(&noise(100_000)).unwrap().read_up_to(&mut exact, 99_999).unwrap();
        assert_eq!(exact.capacity(), 99_999);
    }
}
