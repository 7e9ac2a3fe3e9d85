//! MNIST-style idx files: images and labels in a file each, big-endian.
//!
//! ```text
//! byte 0, 1   0
//! byte 2      element: 08 u8, 09 i8, 0B i16, 0C i32, 0D f32, 0E f64
//! byte 3      number of dimensions
//! then        one u32 a dimension: rows, then height and width (images) or features (tables); labels have rows only
//! then        the elements, last dimension fastest
//! ```
//! Bytes stay bytes, other elements become `f32`.
//!
//! # References
//! Y. LeCun, C. Cortes, C. J. C. Burges, *The MNIST database of handwritten digits*, section "File formats".

use super::open::{ByteSource, checked_product, looks_like};
use super::pieces::{PieceSink, RowPiece, StreamedData, WeightFeed, rows_of};
use super::{FilePart, assemble};
use crate::data::blocks::DataPart;
use crate::data::{Dataset, Dense, Features, ImageShape, LabelColumn};
use crate::format::{DataError, Position, Table};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// `[data.idx]`: the files of an MNIST-style data set, plain or compressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdxConfig {
    /// Images (three dimensions) or rows of features (two) to train on.
    pub train_images: PathBuf,
    /// One integer an image.
    pub train_labels: PathBuf,
    /// Images of the test part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_images: Option<PathBuf>,
    /// Labels of the test part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_labels: Option<PathBuf>,
    /// A text file with a weight a line for each image to train on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
}

impl IdxConfig {
    /// The paths that are given, with their keys.
    pub fn paths_mut(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        let mut paths = vec![("train_images", &mut self.train_images), ("train_labels", &mut self.train_labels)];
        paths.extend(self.test_images.as_mut().map(|path| ("test_images", path)));
        paths.extend(self.test_labels.as_mut().map(|path| ("test_labels", path)));
        paths.extend(self.weights.as_mut().map(|path| ("weights", path)));
        paths
    }

    /// Reads both parts.
    ///
    /// # Errors
    /// As for [`DataConfig::load`](super::DataConfig::load).
    pub fn load(&self) -> Result<Dataset, DataError> {
        let test_paths = self.test_paths()?;
        let (train, test) = rayon::join(
            || read_part(&self.train_images, &self.train_labels),
            || test_paths.map(|(images, labels)| read_part(images, labels)).transpose(),
        );
        let (train, image_shape) = train?;
        let train = train.weighted_by(self.weights.as_deref())?;
        let test = match test? {
            None => None,
            Some((test, shape)) if shape == image_shape => Some(test),
            Some((test, shape)) => return Err(other_shape(&test.file, shape, image_shape)),
        };
        Ok(Dataset { image_shape, ..assemble(train, test, None, Vec::new())? })
    }

    fn test_paths(&self) -> Result<Option<(&PathBuf, &PathBuf)>, DataError> {
        match (&self.test_images, &self.test_labels) {
            (Some(images), Some(labels)) => Ok(Some((images, labels))),
            (None, None) => Ok(None),
            (Some(alone), None) => Err(one_of_two(alone, "`test_images` is given without `test_labels`")),
            (None, Some(alone)) => Err(one_of_two(alone, "`test_labels` is given without `test_images`")),
        }
    }

    /// Reads both parts in pieces.
    pub(super) fn in_pieces(&self, sink: &mut PieceSink<'_>) -> Result<StreamedData, DataError> {
        let mut feed = WeightFeed::open(self.weights.as_deref())?;
        let test = self.test_paths()?;
        let image_shape = part_in_pieces(&self.train_images, &self.train_labels, &mut |features, labels| {
            let weights = feed.next(labels.len())?;
            sink(DataPart::Train, RowPiece { features, labels, weights })
        })?;
        feed.end()?;
        if let Some((images, labels)) = test {
            let shape = part_in_pieces(images, labels, &mut |features, labels| {
                sink(DataPart::Test, RowPiece { features, labels, weights: None })
            })?;
            if shape != image_shape {
                return Err(other_shape(images, shape, image_shape));
            }
        }
        Ok(StreamedData { image_shape, ..StreamedData::default() })
    }
}

fn other_shape(file: &Path, found: Option<ImageShape>, expected: Option<ImageShape>) -> DataError {
    let (found, expected) = (describe(found), describe(expected));
    let problem = format!("rows are {found}, expected {expected} as in the train part");
    DataError::content(file, Position::File, problem)
}

fn part_in_pieces(
    image_file: &Path,
    label_file: &Path,
    take: &mut dyn FnMut(Features<'static>, LabelColumn) -> Result<(), DataError>,
) -> Result<Option<ImageShape>, DataError> {
    let (mut images, mut labels) = (ByteSource::open(image_file)?, ByteSource::open(label_file)?);
    let header = IdxHeader::of_images(&mut images)?;
    let label_header = IdxHeader::of_labels(&mut labels, image_file, header.n_rows)?;
    let together = rows_of(header.width * header.element.size());
    for first in (0..header.n_rows).step_by(together) {
        let n = together.min(header.n_rows - first);
        take(header.rows(&mut images, first, n)?, label_header.labels(&mut labels, first, n)?)?;
    }
    header.expect_end(&mut images)?;
    label_header.expect_end(&mut labels)?;
    header.image_shape()
}

fn one_of_two(given: &Path, problem: &str) -> DataError {
    DataError::path(given, problem).with_hint("give both, or neither and hold rows out with [split] `test`")
}

/// True for the first bytes of an idx file of a size that occurs.
pub(super) fn detect(head: &[u8]) -> bool {
    let [0, 0, element, n_dims @ 1..=4, sizes @ ..] = head else { return false };
    let (sizes, _) = sizes.as_chunks::<4>();
    let plausible = |size: &&[u8; 4]| size[0] == 0 && **size != [0; 4];
    IdxElement::of(*element).is_some()
        && sizes.iter().take(usize::from(*n_dims)).filter(plausible).count() == usize::from(*n_dims)
}

/// Reads an image file, and the label file next to it, if there is one by MNIST's naming.
pub(super) fn read(mut images: ByteSource) -> Result<Table, DataError> {
    let header = IdxHeader::of_images(&mut images)?;
    let labels = match sibling_labels(images.file()) {
        Some(path) => {
            let mut source = ByteSource::open(&path)?;
            let labels = IdxHeader::of_labels(&mut source, images.file(), header.n_rows)?;
            Some(labels.read_labels(&mut source)?)
        }
        None => None,
    };
    let features = header.read_features(&mut images)?;
    Ok(Table { labels, image_shape: header.image_shape()?, ..Table::of(features) })
}

fn read_part(image_file: &Path, label_file: &Path) -> Result<(FilePart, Option<ImageShape>), DataError> {
    let (mut images, mut labels) = (ByteSource::open(image_file)?, ByteSource::open(label_file)?);
    let header = IdxHeader::of_images(&mut images)?;
    let label_header = IdxHeader::of_labels(&mut labels, image_file, header.n_rows)?;
    let labels = label_header.read_labels(&mut labels)?;
    let features = header.read_features(&mut images)?;
    Ok((FilePart::new(image_file, label_file, features, labels), header.image_shape()?))
}

/// `train-images-idx3-ubyte.gz` has `train-labels-idx1-ubyte.gz` next to it, or the same without `.gz`.
fn sibling_labels(images: &Path) -> Option<PathBuf> {
    let name = images.file_name()?.to_str()?;
    let labels = name.replace("images", "labels").replace("idx3", "idx1").replace("idx2", "idx1");
    let other = labels.strip_suffix(".gz").map_or_else(|| format!("{labels}.gz"), str::to_owned);
    let there = |name: String| Some(images.with_file_name(name)).filter(|path| path.is_file());
    if name.contains("images") { there(labels).or_else(|| there(other)) } else { None }
}

fn describe(shape: Option<ImageShape>) -> String {
    shape.map_or("no images".to_owned(), |shape| format!("images of {}x{}", shape.height, shape.width))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IdxElement {
    U8,
    I8,
    I16,
    I32,
    F32,
    F64,
}

impl IdxElement {
    const fn of(code: u8) -> Option<Self> {
        match code {
            0x08 => Some(Self::U8),
            0x09 => Some(Self::I8),
            0x0b => Some(Self::I16),
            0x0c => Some(Self::I32),
            0x0d => Some(Self::F32),
            0x0e => Some(Self::F64),
            _ => None,
        }
    }

    const fn size(self) -> usize {
        match self {
            Self::U8 | Self::I8 => 1,
            Self::I16 => 2,
            Self::I32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    const fn is_integer(self) -> bool {
        match self {
            Self::U8 | Self::I8 | Self::I16 | Self::I32 => true,
            Self::F32 | Self::F64 => false,
        }
    }

    /// One big-endian element; `bytes` is exactly as long as the element.
    fn value(self, bytes: &[u8]) -> f64 {
        let bits = bytes.iter().fold(0u64, |bits, &byte| bits << 8 | u64::from(byte));
        let bits32 = u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(0);
        let [.., high, low] = bits32.to_be_bytes();
        match self {
            Self::U8 => f64::from(low),
            Self::I8 => f64::from(i8::from_be_bytes([low])),
            Self::I16 => f64::from(i16::from_be_bytes([high, low])),
            Self::I32 => f64::from(bits32.cast_signed()),
            Self::F32 => f64::from(f32::from_bits(bits32)),
            Self::F64 => f64::from_bits(bits),
        }
    }
}

/// Header of the file, with the sizes checked as far as they can be.
struct IdxHeader {
    file: PathBuf,
    element: IdxElement,
    dims: Vec<u64>,
    n_rows: usize,
    width: usize,
    n_bytes: u64,
}

impl IdxHeader {
    fn parse(source: &mut ByteSource) -> Result<Self, DataError> {
        let file = source.file().to_path_buf();
        let fail = |problem: String| DataError::content(&file, Position::Byte(0), problem);
        let found = looks_like(source.head());
        let mut magic = Vec::new();
        source.read_up_to(&mut magic, 4)?;
        let &[0, 0, code, n_dims] = magic.as_slice() else {
            return Err(fail(format!("found {found}, expected an idx file, which starts with two zero bytes"))
                .with_hint("MNIST's files are called `train-images-idx3-ubyte` and the like, plain or compressed"));
        };
        let Some(element) = IdxElement::of(code) else {
            return Err(fail(format!("element code 0x{code:02x} is unknown, expected 08, 09, 0b, 0c, 0d or 0e")));
        };
        let mut sizes = Vec::new();
        if source.read_up_to(&mut sizes, 4 * u64::from(n_dims))? < 4 * u64::from(n_dims) {
            return Err(fail(format!("the file ends within the header of {n_dims} dimensions")));
        }
        let (sizes, _) = sizes.as_chunks::<4>();
        let dims: Vec<u64> = sizes.iter().map(|&size| u64::from(u32::from_be_bytes(size))).collect();
        let Some((&n_rows, rest)) = dims.split_first() else {
            return Err(fail("the header has no dimension".to_owned()));
        };
        if dims.contains(&0) {
            return Err(fail(format!("the header says {}, which holds nothing", product(&dims))));
        }
        let n_bytes = checked_product(&dims).and_then(|n| n.checked_mul(element.size() as u64));
        let width = checked_product(rest).and_then(|n| usize::try_from(n).ok());
        let (Some(n_bytes), Some(width), Ok(n_rows)) = (n_bytes, width, usize::try_from(n_rows)) else {
            return Err(fail(format!("the header says {}, more than any memory holds", product(&dims))));
        };
        Ok(Self { file, element, dims, n_rows, width, n_bytes })
    }

    fn of_images(source: &mut ByteSource) -> Result<Self, DataError> {
        let header = Self::parse(source)?;
        match header.dims.len() {
            2 | 3 => Ok(header),
            1 => Err(header
                .wrong("found one dimension, expected rows of features or images")
                .with_hint("these look like labels")),
            n => Err(header.wrong(&format!("found {n} dimensions, expected 2 or 3"))),
        }
    }

    fn of_labels(source: &mut ByteSource, images: &Path, n_images: usize) -> Result<Self, DataError> {
        let header = Self::parse(source)?;
        if header.dims.len() != 1 {
            let problem = format!("found {} dimensions, expected labels in one", header.dims.len());
            return Err(header.wrong(&problem).with_hint("these look like images"));
        }
        if !header.element.is_integer() {
            return Err(header.wrong("found floating-point labels, expected integers"));
        }
        if header.n_rows != n_images {
            let problem =
                format!("found {} labels, expected {n_images} as {} has rows", header.n_rows, images.display());
            return Err(DataError::content(&header.file, Position::File, problem)
                .with_hint("do images and labels belong to the same part?"));
        }
        Ok(header)
    }

    fn wrong(&self, problem: &str) -> DataError {
        DataError::content(&self.file, Position::Byte(3), problem)
    }

    fn image_shape(&self) -> Result<Option<ImageShape>, DataError> {
        let [_, height, width] = self.dims[..] else { return Ok(None) };
        let size = |n| usize::try_from(n).map_err(|_| self.wrong("the image is too large"));
        Ok(Some(ImageShape { channels: 1, height: size(height)?, width: size(width)? }))
    }

    fn read_features(&self, source: &mut ByteSource) -> Result<Features<'static>, DataError> {
        if self.element == IdxElement::U8 {
            return Ok(Features::U8(Dense::new(self.width, self.read_bytes(source)?)));
        }
        let (mut values, mut bytes, mut left) = (Vec::new(), Vec::new(), self.n_bytes);
        while left > 0 {
            bytes.clear();
            let got = source.read_up_to(&mut bytes, left.min(1 << 20))?;
            self.narrowed(&bytes, 0, &mut values)?;
            if got < left.min(1 << 20) {
                return Err(self.cut(self.n_bytes - left + got));
            }
            left -= got;
        }
        self.expect_end(source)?;
        values.shrink_to_fit();
        Ok(Features::F32(Dense::new(self.width, values)))
    }

    /// Appends elements to those of the rows from `first` on.
    fn narrowed(&self, bytes: &[u8], first: usize, values: &mut Vec<f32>) -> Result<(), DataError> {
        for element in bytes.chunks_exact(self.element.size()) {
            let value = narrow(self.element.value(element));
            values.push(value.ok_or_else(|| {
                let problem = "found a value that is not finite or beyond the range of f32".to_owned();
                DataError::content(&self.file, Position::Record(first + values.len() / self.width + 1), problem)
                    .with_hint("replace missing values, or drop their rows, before training")
            })?);
        }
        Ok(())
    }

    /// The bytes of the next rows, of which `first` have been read.
    fn next(&self, source: &mut ByteSource, first: usize, n: usize) -> Result<Vec<u8>, DataError> {
        let row = self.n_bytes / self.n_rows as u64;
        let mut bytes = Vec::new();
        let got = source.read_up_to(&mut bytes, row * n as u64)?;
        if got < row * n as u64 { Err(self.cut(row * first as u64 + got)) } else { Ok(bytes) }
    }

    /// The next rows of features.
    fn rows(&self, source: &mut ByteSource, first: usize, n: usize) -> Result<Features<'static>, DataError> {
        let bytes = self.next(source, first, n)?;
        if self.element == IdxElement::U8 {
            return Ok(Features::U8(Dense::new(self.width, bytes)));
        }
        let mut values = Vec::new();
        self.narrowed(&bytes, first, &mut values)?;
        Ok(Features::F32(Dense::new(self.width, values)))
    }

    /// The next labels.
    fn labels(&self, source: &mut ByteSource, first: usize, n: usize) -> Result<LabelColumn, DataError> {
        Ok(self.labels_of(&self.next(source, first, n)?))
    }

    fn labels_of(&self, bytes: &[u8]) -> LabelColumn {
        let mut labels = LabelColumn::new();
        for element in bytes.chunks_exact(self.element.size()) {
            labels.push(&self.element.value(element).to_string());
        }
        labels
    }

    fn read_labels(&self, source: &mut ByteSource) -> Result<LabelColumn, DataError> {
        Ok(self.labels_of(&self.read_bytes(source)?))
    }

    /// All elements as they stand in the file, which must end after them.
    fn read_bytes(&self, source: &mut ByteSource) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        let got = source.read_up_to(&mut bytes, self.n_bytes)?;
        if got < self.n_bytes {
            return Err(self.cut(got));
        }
        self.expect_end(source)?;
        bytes.shrink_to_fit();
        Ok(bytes)
    }

    fn cut(&self, n_bytes: u64) -> DataError {
        let row = self.n_bytes / self.n_rows as u64;
        let record = usize::try_from(n_bytes / row).unwrap_or(usize::MAX).saturating_add(1);
        let problem = format!("the file ends here, expected {} records as its header says", self.n_rows);
        DataError::content(&self.file, Position::Record(record), problem).with_hint("the file is cut off: get it again")
    }

    fn expect_end(&self, source: &mut ByteSource) -> Result<(), DataError> {
        if source.at_end()? {
            return Ok(());
        }
        let end = 4 + 4 * self.dims.len() as u64 + self.n_bytes;
        let problem = format!("data continue, expected the end after {} records as the header says", self.n_rows);
        Err(DataError::content(&self.file, Position::Byte(end), problem)
            .with_hint("the header is damaged: get the file again"))
    }
}

/// The value as `f32` where it is finite there.
#[allow(clippy::cast_possible_truncation)]
fn narrow(value: f64) -> Option<f32> {
    Some(value as f32).filter(|value| value.is_finite())
}

fn product(dims: &[u64]) -> String {
    dims.iter().map(u64::to_string).collect::<Vec<_>>().join("x")
}

#[cfg(test)]
mod tests;
