//! The bytes of a block.
//!
//! ```text
//! BSVMBLK1 | cells u32 | weights u32 | rows u64 | features u64 | stored cells u64
//! sections: labels u32, weights f32, and dense cells; or of sparse rows their lengths u32, columns u32, values f32
//! ```
//! A section is cut into chunks of up to a mebibyte, `raw length u32 | stored length u32 | bytes`. Chunks of bytes and of sparse rows are
//! compressed by LZ4 where that pays; numbers of four bytes are brought into planes before, the first bytes of all of them first, and of
//! the columns of a row each is stored as the distance from the one before it.

use super::{Block, CellType};
use crate::data::{Csr, Dense, Features};
use std::io::{self, Read, Write};

const MAGIC: &[u8; 8] = b"BSVMBLK1";
/// Bytes of a chunk before compression.
const CHUNK: usize = 1 << 20;
/// The longest memory that is reserved in advance, in bytes of it for each byte of the file: numbers compress so far.
const RATIO: u64 = 32;

/// Rows of a block on their way to its file.
pub(super) struct StoredRows<'a> {
    pub(super) features: &'a Features<'a>,
    pub(super) labels: &'a [u32],
    pub(super) weights: Option<&'a [f32]>,
}

/// The head of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) cells: CellType,
    pub(super) weights: bool,
    pub(super) rows: u64,
    pub(super) features: u64,
    pub(super) stored: u64,
}

impl Head {
    const BYTES: usize = 40;

    fn bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let kind = match self.cells {
            CellType::U8 => 0u32,
            CellType::F32 => 1,
            CellType::F64 => 2,
            CellType::Csr => 3,
        };
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&kind.to_le_bytes());
        bytes[12..16].copy_from_slice(&u32::from(self.weights).to_le_bytes());
        for (to, number) in bytes[16..].chunks_exact_mut(8).zip([self.rows, self.features, self.stored]) {
            to.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }
}

/// Whether bytes are the beginning of a block.
pub(super) fn is_block(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

/// Writes a block.
pub(super) fn write(rows: &StoredRows<'_>, out: &mut dyn Write) -> io::Result<()> {
    let cells = CellType::of(rows.features);
    let stored = match rows.features {
        Features::Sparse(csr) => csr.nnz(),
        dense => dense.n_rows() * dense.n_features(),
    };
    let head = Head {
        cells,
        weights: rows.weights.is_some(),
        rows: rows.features.n_rows() as u64,
        features: rows.features.n_features() as u64,
        stored: stored as u64,
    };
    out.write_all(&head.bytes())?;
    let mut sections = Sections { out, compresses: matches!(cells, CellType::U8 | CellType::Csr) };
    sections.numbers(rows.labels, u32::to_le_bytes)?;
    if let Some(weights) = rows.weights {
        sections.numbers(weights, f32::to_le_bytes)?;
    }
    match rows.features {
        Features::U8(dense) => dense.values().chunks(CHUNK).try_for_each(|chunk| sections.chunk(chunk)),
        Features::F32(dense) => sections.numbers(dense.values(), f32::to_le_bytes),
        Features::F64(dense) => sections.numbers(dense.values(), f64::to_le_bytes),
        Features::Sparse(csr) => {
            #[allow(clippy::cast_possible_truncation)]
            let lengths: Vec<u32> = csr.offsets().windows(2).map(|pair| (pair[1] - pair[0]) as u32).collect();
            sections.numbers(&lengths, u32::to_le_bytes)?;
            let mut distances = csr.indices().to_vec();
            for (i, pair) in csr.offsets().windows(2).enumerate() {
                let columns = csr.row(i).0;
                let row = distances[pair[0]..pair[1]].iter_mut().skip(1);
                row.zip(columns).for_each(|(distance, before)| *distance -= before);
            }
            sections.numbers(&distances, u32::to_le_bytes)?;
            sections.numbers(csr.values(), f32::to_le_bytes)
        }
    }
}

/// Appends the bytes of numbers.
#[inline]
pub(super) fn append<T: Copy, const N: usize>(out: &mut Vec<u8>, numbers: &[T], bytes: impl Fn(T) -> [u8; N]) {
    let start = out.len();
    out.resize(start + N * numbers.len(), 0);
    let to = out[start..].as_chunks_mut::<N>().0;
    to.iter_mut().zip(numbers).for_each(|(to, &number)| *to = bytes(number));
}

/// Sections on their way to a file.
struct Sections<'a> {
    out: &'a mut dyn Write,
    compresses: bool,
}

impl Sections<'_> {
    fn numbers<T: Copy, const N: usize>(&mut self, numbers: &[T], bytes: impl Fn(T) -> [u8; N]) -> io::Result<()> {
        let mut chunk = Vec::with_capacity(CHUNK);
        for some in numbers.chunks(CHUNK / N) {
            chunk.clear();
            append(&mut chunk, some, &bytes);
            self.planes::<N>(&chunk)?;
        }
        Ok(())
    }

    fn planes<const N: usize>(&mut self, chunk: &[u8]) -> io::Result<()> {
        if !self.compresses {
            return self.chunk(chunk);
        }
        let planes: Vec<u8> = (0..N).flat_map(|plane| chunk.iter().skip(plane).step_by(N).copied()).collect();
        self.chunk(&planes)
    }

    fn chunk(&mut self, raw: &[u8]) -> io::Result<()> {
        let compressed = self.compresses.then(|| lz4_flex::block::compress(raw));
        let stored = compressed.as_deref().filter(|stored| stored.len() < raw.len() / 10 * 9).unwrap_or(raw);
        for len in [raw.len(), stored.len()] {
            self.out.write_all(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes())?;
        }
        self.out.write_all(stored)
    }
}

/// A block as it comes from a file, to be held against the manifest.
pub(super) struct Decoder<R> {
    input: R,
    /// Bytes that the file has.
    len: u64,
    chunk: Vec<u8>,
    stored: Vec<u8>,
}

impl<R: Read> Decoder<R> {
    pub(super) fn new(input: R, len: u64) -> Self {
        Self { input, len, chunk: Vec::new(), stored: Vec::new() }
    }

    /// Reads the block, whose head must be the expected one.
    pub(super) fn read(mut self, expected: Head) -> io::Result<Block> {
        let mut head = [0; Head::BYTES];
        self.input.read_exact(&mut head)?;
        if !is_block(&head) {
            return Err(damaged("found other bytes, expected a block of rows"));
        }
        if head != expected.bytes() {
            return Err(damaged("it is not the block that the manifest describes"));
        }
        let (rows, features, cells) = (size(expected.rows)?, size(expected.features)?, size(expected.stored)?);
        let compresses = matches!(expected.cells, CellType::U8 | CellType::Csr);
        let labels = self.numbers(rows, compresses, u32::from_le_bytes)?;
        let weights = expected.weights.then(|| self.numbers(rows, compresses, f32::from_le_bytes)).transpose()?;
        if weights.iter().flatten().any(|weight| !weight.is_finite() || *weight < 0.0) {
            return Err(damaged("found a weight that is no number of 0 or more"));
        }
        let features = match expected.cells {
            CellType::U8 => Features::U8(Dense::new(features, self.bytes(cells)?)),
            CellType::F32 => {
                Features::F32(Dense::new(features, finite(self.numbers(cells, false, f32::from_le_bytes)?)?))
            }
            CellType::F64 => {
                Features::F64(Dense::new(features, finite(self.numbers(cells, false, f64::from_le_bytes)?)?))
            }
            CellType::Csr => Features::Sparse(self.sparse(rows, features, cells)?),
        };
        if self.input.read(&mut [0])? > 0 {
            return Err(damaged("data go on behind the last row"));
        }
        Ok(Block { features, labels, weights })
    }

    fn sparse(&mut self, rows: usize, features: usize, cells: usize) -> io::Result<Csr<'static>> {
        let lengths = self.numbers(rows, true, u32::from_le_bytes)?;
        let mut columns = self.numbers(cells, true, u32::from_le_bytes)?;
        let values = finite(self.numbers(cells, true, f32::from_le_bytes)?)?;
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        for length in lengths {
            let start = offsets[offsets.len() - 1];
            let end = start + length as usize;
            let row = columns.get_mut(start..end).ok_or_else(|| damaged("the rows have more cells than there are"))?;
            let mut before = None;
            for column in row {
                let found = before.map_or(Some(*column), |last: u32| last.checked_add(*column).filter(|_| *column > 0));
                *column = found
                    .filter(|&found| (found as usize) < features)
                    .ok_or_else(|| damaged("the columns of a row do not increase, or there are fewer features"))?;
                before = Some(*column);
            }
            offsets.push(end);
        }
        if offsets[rows] != cells {
            return Err(damaged("the rows have fewer cells than there are"));
        }
        Ok(Csr::of(features, offsets, columns, values))
    }

    /// Room for so many elements, as far as the file may hold them.
    fn room<T>(&self, count: usize) -> Vec<T> {
        let most = usize::try_from(self.len.saturating_mul(RATIO)).unwrap_or(usize::MAX) / size_of::<T>();
        Vec::with_capacity(count.min(most))
    }

    fn bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut all = self.room(count);
        while all.len() < count {
            self.next(count - all.len())?;
            all.extend_from_slice(&self.chunk);
        }
        Ok(all)
    }

    fn numbers<const N: usize, T>(
        &mut self,
        count: usize,
        planes: bool,
        number: impl Fn([u8; N]) -> T,
    ) -> io::Result<Vec<T>> {
        let mut all = self.room(count);
        while all.len() < count {
            self.next((count - all.len()).saturating_mul(N))?;
            if !self.chunk.len().is_multiple_of(N) {
                return Err(damaged("a chunk ends within a number"));
            }
            if planes {
                let n = self.chunk.len() / N;
                let of = |i: usize| number(std::array::from_fn(|plane| self.chunk[plane * n + i]));
                all.extend((0..n).map(of));
            } else {
                all.extend(self.chunk.as_chunks().0.iter().map(|bytes| number(*bytes)));
            }
        }
        Ok(all)
    }

    /// Reads the next chunk, of at most so many bytes.
    fn next(&mut self, most: usize) -> io::Result<()> {
        let mut lengths = [0; 8];
        self.input.read_exact(&mut lengths)?;
        let [raw, stored] = [0, 4].map(|at| {
            let bytes = [lengths[at], lengths[at + 1], lengths[at + 2], lengths[at + 3]];
            u32::from_le_bytes(bytes) as usize
        });
        if raw == 0 || raw > most.min(CHUNK) || stored > raw {
            return Err(damaged("the lengths of its chunks do not fit together"));
        }
        self.chunk.resize(raw, 0);
        if stored == raw {
            return self.input.read_exact(&mut self.chunk);
        }
        self.stored.resize(stored, 0);
        self.input.read_exact(&mut self.stored)?;
        match lz4_flex::block::decompress_into(&self.stored, &mut self.chunk) {
            Ok(n) if n == raw => Ok(()),
            _ => Err(damaged("a chunk is not compressed as it should be")),
        }
    }
}

fn damaged(problem: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the file is damaged: {problem}"))
}

fn size(number: u64) -> io::Result<usize> {
    usize::try_from(number).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))
}

fn finite<T: Copy + Into<f64>>(values: Vec<T>) -> io::Result<Vec<T>> {
    // No branch a value: a sum of zeros, or NaN.
    let sum = values.iter().fold(0.0, |sum: f64, &x| sum + x.into() * 0.0);
    if sum == 0.0 { Ok(values) } else { Err(damaged("found a value that is not finite")) }
}
