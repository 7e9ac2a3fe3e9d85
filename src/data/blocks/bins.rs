//! Rows on their way into blocks: each is dealt into a bin that the seed draws, and the rows of a bin are shuffled when all have come.
//!
//! A bin holds records one behind the other, in memory up to [`BUFFER`] bytes and then in a file without a name that lasts:
//! `label u32 | weight f32 | stored cells u32, columns u32 (of sparse rows) | cells`. Which bin a row comes into depends on the seed and
//! on its number alone, not on the batches in which rows arrive.

use super::coding::append;
use super::{BlockError, CellType};
use crate::data::{Csr, Dense, Features};
use crate::durable;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fs::{self, File};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Number of bins.
const BINS: usize = 64;
/// Bytes of a bin that are kept until they are written together.
const BUFFER: usize = 1 << 18;

/// The form of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordForm {
    pub(super) cells: CellType,
    pub(super) weights: bool,
    /// Features of dense rows.
    pub(super) features: usize,
}

impl RecordForm {
    fn head(self) -> usize {
        4 + if self.weights { 4 } else { 0 } + if self.cells == CellType::Csr { 4 } else { 0 }
    }

    /// Bytes behind the head of a record.
    fn body(self, head: &[u8]) -> usize {
        match self.cells {
            CellType::Csr => 8 * word(head, self.head() - 4) as usize,
            dense => dense.bytes() * self.features,
        }
    }

    fn write(self, features: &Features, row: usize, label: u32, weight: Option<f32>, out: &mut Vec<u8>) {
        out.extend_from_slice(&label.to_le_bytes());
        if self.weights {
            out.extend_from_slice(&weight.unwrap_or(1.0).to_le_bytes());
        }
        match features {
            Features::U8(dense) => out.extend_from_slice(dense.row(row)),
            Features::F32(dense) => append(out, dense.row(row), f32::to_le_bytes),
            Features::F64(dense) => append(out, dense.row(row), f64::to_le_bytes),
            Features::Sparse(csr) => {
                let (columns, values) = csr.row(row);
                #[allow(clippy::cast_possible_truncation)]
                out.extend_from_slice(&(columns.len() as u32).to_le_bytes());
                append(out, columns, u32::to_le_bytes);
                append(out, values, f32::to_le_bytes);
            }
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

/// Rows of some bins, in memory.
pub(super) struct Records {
    form: RecordForm,
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

/// Rows as features, with their provisional labels.
pub(super) struct ProvisionalRows {
    pub(super) features: Features<'static>,
    pub(super) labels: Vec<u32>,
    pub(super) weights: Option<Vec<f32>>,
}

impl Records {
    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Bytes of all of them.
    pub(super) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Brings the rows into another order.
    fn shuffle(&mut self, rng: &mut impl Rng) {
        for i in (1..self.starts.len()).rev() {
            self.starts.swap(i, rng.random_range(0..=i));
        }
    }

    /// Some of the rows.
    pub(super) fn rows(&self, range: Range<usize>) -> ProvisionalRows {
        let form = self.form;
        let records = || self.starts[range.clone()].iter().map(|&start| &self.bytes[start..]);
        let body = |record: &'_ [u8]| form.head()..form.head() + form.body(record);
        let cells = |size: usize| range.len() * form.features * size;
        let features = match form.cells {
            CellType::U8 => {
                let mut values = Vec::with_capacity(cells(1));
                records().for_each(|record| values.extend_from_slice(&record[body(record)]));
                Features::U8(Dense::new(form.features, values))
            }
            CellType::F32 => {
                let mut values = Vec::with_capacity(cells(1));
                let number = |bytes: &[u8; 4]| f32::from_le_bytes(*bytes);
                records().for_each(|record| values.extend(record[body(record)].as_chunks().0.iter().map(number)));
                Features::F32(Dense::new(form.features, values))
            }
            CellType::F64 => {
                let mut values = Vec::with_capacity(cells(1));
                let number = |bytes: &[u8; 8]| f64::from_le_bytes(*bytes);
                records().for_each(|record| values.extend(record[body(record)].as_chunks().0.iter().map(number)));
                Features::F64(Dense::new(form.features, values))
            }
            CellType::Csr => {
                let stored = records().map(|record| form.body(record) / 8).sum();
                let mut csr = Csr::with_capacity(range.len(), stored);
                for record in records() {
                    let (columns, values) = record[body(record)].split_at(form.body(record) / 2);
                    for (column, value) in columns.as_chunks().0.iter().zip(values.as_chunks().0) {
                        csr.push_cell(u32::from_le_bytes(*column), f32::from_le_bytes(*value));
                    }
                    csr.finish_row();
                }
                Features::Sparse(csr)
            }
        };
        let weights = form.weights.then(|| records().map(|record| f32::from_bits(word(record, 4))).collect());
        ProvisionalRows { features, labels: records().map(|record| word(record, 0)).collect(), weights }
    }
}

/// A bin.
#[derive(Default)]
struct Bin {
    buffer: Vec<u8>,
    /// Its file, and the name that it has until it is read.
    file: Option<(File, PathBuf)>,
    written: u64,
}

impl Bin {
    fn bytes(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    fn flush(&mut self, folder: &Path) -> Result<(), BlockError> {
        if self.file.is_none() {
            self.file = Some(durable::fresh(&folder.join("bin")).map_err(BlockError::of(folder))?);
        }
        if let Some((file, path)) = &mut self.file {
            file.write_all(&self.buffer).map_err(BlockError::of(path))?;
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// The records in order, those in the file first.
    fn reader(&mut self) -> Result<Box<dyn Read + '_>, BlockError> {
        let Some((file, path)) = &mut self.file else { return Ok(Box::new(self.buffer.as_slice())) };
        file.seek(SeekFrom::Start(0)).map_err(BlockError::of(path))?;
        Ok(Box::new(BufReader::with_capacity(BUFFER, file).chain(self.buffer.as_slice())))
    }
}

impl Drop for Bin {
    fn drop(&mut self) {
        if let Some((file, path)) = self.file.take() {
            drop(file);
            let _ = fs::remove_file(path);
        }
    }
}

/// The bins of a part.
pub(super) struct Bins {
    folder: PathBuf,
    form: RecordForm,
    bins: Vec<Bin>,
    draws: ChaCha8Rng,
}

impl Bins {
    /// Empty bins, whose draws are those of a stream of the seed.
    pub(super) fn new(folder: &Path, form: RecordForm, seed: u64, stream: u64) -> Self {
        let mut draws = ChaCha8Rng::seed_from_u64(seed);
        draws.set_stream(stream);
        Self { folder: folder.to_path_buf(), form, bins: (0..BINS).map(|_| Bin::default()).collect(), draws }
    }

    fn bin(&mut self) -> &mut Bin {
        let at = self.draws.random_range(0..BINS);
        &mut self.bins[at]
    }

    /// Deals rows out.
    pub(super) fn put(
        &mut self,
        features: &Features,
        rows: Range<usize>,
        labels: &[u32],
        weights: Option<&[f32]>,
    ) -> Result<(), BlockError> {
        let (form, folder) = (self.form, self.folder.clone());
        for (i, (row, &label)) in rows.zip(labels).enumerate() {
            let bin = self.bin();
            form.write(features, row, label, weights.map(|weights| weights[i]), &mut bin.buffer);
            if bin.buffer.len() >= BUFFER {
                bin.flush(&folder)?;
            }
        }
        Ok(())
    }

    /// Hands over the rows, shuffled, as many bins together as have about `block` bytes. A bin of more than `most` bytes is dealt out
    /// once more. The bins are removed on the way.
    pub(super) fn drain(
        mut self,
        block: u64,
        most: u64,
        take: &mut dyn FnMut(Records) -> Result<(), BlockError>,
    ) -> Result<(), BlockError> {
        let bins = std::mem::take(&mut self.bins);
        let mut group: Vec<Bin> = Vec::new();
        for bin in bins {
            let together = group.iter().map(Bin::bytes).sum::<u64>();
            if !group.is_empty() && together + bin.bytes() > block + block / 4 {
                self.shuffled(std::mem::take(&mut group), take)?;
            }
            if bin.bytes() > most {
                self.dealt_again(bin, block, most, take)?;
            } else if bin.bytes() > 0 {
                group.push(bin);
            }
        }
        if group.is_empty() { Ok(()) } else { self.shuffled(group, take) }
    }

    fn shuffled(
        &mut self,
        group: Vec<Bin>,
        take: &mut dyn FnMut(Records) -> Result<(), BlockError>,
    ) -> Result<(), BlockError> {
        let mut records = Records { form: self.form, bytes: Vec::new(), starts: Vec::new() };
        let len = group.iter().map(Bin::bytes).sum::<u64>();
        records.bytes.reserve_exact(usize::try_from(len).unwrap_or(0));
        for mut bin in group {
            let read = bin.reader()?.read_to_end(&mut records.bytes);
            read.map_err(BlockError::of(&self.folder))?;
        }
        let mut at = 0;
        while at < records.bytes.len() {
            records.starts.push(at);
            at += self.form.head() + self.form.body(&records.bytes[at..]);
        }
        records.shuffle(&mut self.draws);
        take(records)
    }

    /// Deals the rows of a large bin into bins of its own.
    fn dealt_again(
        &mut self,
        mut bin: Bin,
        block: u64,
        most: u64,
        take: &mut dyn FnMut(Records) -> Result<(), BlockError>,
    ) -> Result<(), BlockError> {
        let (form, folder) = (self.form, self.folder.clone());
        let mut again = Self::new(&folder, form, self.draws.random(), 0);
        let (mut left, mut record) = (bin.bytes(), Vec::new());
        let mut reader = bin.reader()?;
        let mut read = |from: usize, to: usize, record: &mut Vec<u8>| {
            record.resize(to, 0);
            reader.read_exact(&mut record[from..]).map_err(BlockError::of(&folder))
        };
        while left > 0 {
            read(0, form.head(), &mut record)?;
            let len = form.head() + form.body(&record);
            read(form.head(), len, &mut record)?;
            left -= len as u64;
            let bin = again.bin();
            bin.buffer.extend_from_slice(&record);
            if bin.buffer.len() >= BUFFER {
                bin.flush(&folder)?;
            }
        }
        drop(reader);
        drop(bin);
        // A row that is larger than all bins together is a bin of its own.
        let most = if again.bins.iter().filter(|bin| bin.bytes() > 0).count() > 1 { most } else { u64::MAX };
        again.drain(block, most, take)
    }
}
