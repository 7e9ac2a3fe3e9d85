//! One array: its header, and its elements as features.

mod rows;

use super::header::{HeaderProblem, OBJECT, conversion, element, parse, shown};
use super::vectors::ascii;
use super::{Name, NpyFile};
use crate::data::precision::single;
use crate::data::{Dense, Features, ImageShape};
use crate::format::float::Float;
use crate::format::open::{ByteSource, looks_like};
use crate::format::reading::{FILLED, LACKS};
use crate::format::{DataError, Position};
use crate::format::{limit, quote};
use half::f16;
use std::path::{Path, PathBuf};

/// A header of more bytes is no header.
const LONGEST: u64 = 1 << 20;
/// A feature, in messages.
pub(super) const VALUE: &str = "the value";
/// Bytes that are decoded at a time.
const CHUNK: u64 = 1 << 20;

/// An array whose header has been read.
pub(super) struct Array {
    pub(super) file: PathBuf,
    pub(super) source: ByteSource,
    pub(super) kind: u8,
    pub(super) size: usize,
    pub(super) big: bool,
    fortran: bool,
    shape: Vec<usize>,
    pub(super) n_bytes: u64,
    missing: MissingCells,
}

/// Treatment of NaN among features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MissingCells {
    /// Refused in training.
    Refused,
    /// Refused by a model that does not fill it in.
    RefusedByModel,
    /// Kept, to be filled in.
    Kept,
}

/// A matrix of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberMatrix {
    /// Row-major.
    pub values: Vec<f64>,
    /// Rows and columns.
    pub shape: [usize; 2],
}

/// Reads a matrix of finite numbers in double precision, from a `.npy` file or an archive with one array.
///
/// # Errors
/// [`DataError`] when the file is not there, or not such an array.
pub fn matrix(path: &Path) -> Result<NumberMatrix, DataError> {
    Array::alone(path)?.matrix()
}

/// Reads a vector of whole numbers, such as class indices.
///
/// # Errors
/// As for [`matrix`].
pub fn indices(path: &Path) -> Result<Vec<usize>, DataError> {
    Array::alone(path)?.whole_numbers("class indices")
}

impl Array {
    /// The one array of a file.
    fn alone(path: &Path) -> Result<Self, DataError> {
        match NpyFile::open(path)? {
            NpyFile::Array(array) => Ok(*array),
            NpyFile::Archive(archive) => Name::of(None, &[]).or_sole(&archive).pick(&archive, "numbers", ""),
        }
    }

    /// Opens an array that is kept in memory.
    pub(super) fn open(source: ByteSource) -> Result<Self, DataError> {
        let array = Self::begin(source)?;
        // Elements become floats, unless they are bytes or text.
        let becomes_float = matches!((array.kind, array.size), (b'f' | b'i' | b'u', 2..));
        let n_bytes = array.n_bytes;
        limit::check(&array.file, if becomes_float { n_bytes / array.size as u64 * 4 } else { n_bytes })?;
        Ok(array)
    }

    /// Reads the header.
    pub(super) fn begin(mut source: ByteSource) -> Result<Self, DataError> {
        let file = source.file().to_path_buf();
        let wrong = |problem: String| DataError::content(&file, Position::Byte(0), problem);
        if !source.head().starts_with(b"\x93NUMPY") {
            let problem = format!("found {}, expected a NumPy array", looks_like(source.head()));
            return Err(wrong(problem).with_hint("write it with numpy.save, numpy.savez or numpy.savez_compressed"));
        }
        let mut start = Vec::new();
        source.read_up_to(&mut start, 8)?;
        let version = start.get(6).copied().unwrap_or_default();
        let width = match version {
            1 => 2,
            2 | 3 => 4,
            other => return Err(wrong(format!("version {other} of the format is unknown, expected 1, 2 or 3"))),
        };
        source.read_up_to(&mut start, width)?;
        let len = start.get(8..).unwrap_or_default().iter().rev().fold(0, |len, &b| (len << 8) | u64::from(b));
        let mut header = Vec::new();
        let whole = start.len() as u64 == 8 + width;
        if !whole || len > LONGEST || source.read_up_to(&mut header, len)? < len {
            return Err(
                wrong("the file ends within its header".to_owned()).with_hint("the file is cut off: get it again")
            );
        }
        let header = String::from_utf8_lossy(&header).into_owned();
        let parsed = parse(&header).map_err(|problem| match problem {
            HeaderProblem::Damaged(problem) => wrong(format!("the header is not NumPy's: {problem}")),
            HeaderProblem::Records => wrong("elements are records, expected numbers or strings".into())
                .with_hint("save numpy.lib.recfunctions.structured_to_unstructured(x)"),
        })?;
        let (descr, fortran, shape) = parsed;
        let (kind, size, big) = element(&descr).ok_or_else(|| {
            wrong(format!("elements are {}, expected numbers or strings", quote(&descr))).with_hint(conversion(&descr))
        })?;
        let n_bytes = shape.iter().try_fold(size as u64, |n, &dim| n.checked_mul(dim as u64));
        let Some(n_bytes) = n_bytes.filter(|n| usize::try_from(*n).is_ok()) else {
            return Err(wrong(format!("the shape is {}, more than any memory holds", shown(&shape))));
        };
        if n_bytes == 0 {
            return Err(wrong(format!("the shape is {}, which holds nothing", shown(&shape))));
        }
        Ok(Self { file, source, kind, size, big, fortran, shape, n_bytes, missing: MissingCells::Refused })
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// The same with another treatment of NaN.
    pub(super) fn with(self, missing: MissingCells) -> Self {
        Self { missing, ..self }
    }

    pub(super) fn wrong(&self, problem: String) -> DataError {
        DataError::content(&self.file, Position::Byte(0), problem)
    }

    pub(super) fn n_rows(&self) -> usize {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Columns of a matrix of more than one.
    pub(super) fn n_columns(&self) -> Option<usize> {
        match self.shape[..] {
            [_, columns] if columns > 1 => Some(columns),
            _ => None,
        }
    }

    /// One dimension, or two of which the second is 1.
    fn is_vector(&self) -> bool {
        matches!(self.shape.as_slice(), [_] | [_, 1])
    }

    /// Rows of features, and the shape where they are images.
    pub(super) fn features(mut self, double: bool) -> Result<(Features<'static>, Option<ImageShape>), DataError> {
        if !matches!(self.shape.len(), 2..=4) {
            let problem = format!("the shape is {}, expected rows of features or images", shown(&self.shape));
            return Err(self
                .wrong(problem)
                .with_hint("features are (n, features), (n, height, width) or (n, height, width, channels)"));
        }
        self.expect_numbers()?;
        let (order, image_shape) = self.order();
        let width = self.shape[1..].iter().product();
        let features = if self.size == 1 && self.kind != b'i' {
            let mut bytes = Vec::new();
            let got = self.source.read_up_to(&mut bytes, self.n_bytes)?;
            self.expect_whole(got)?;
            Features::U8(Dense::new(width, self.arranged(bytes, &order)))
        } else {
            self.arranged_floats(width, &order, double)?
        };
        Ok((features, image_shape))
    }

    /// Whether elements may be NaN.
    pub(super) const fn is_float(&self) -> bool {
        self.kind == b'f'
    }

    /// Whether there are elements that single precision does not hold.
    pub(super) const fn is_double(&self) -> bool {
        matches!((self.kind, self.size), (b'f', 8) | (b'i' | b'u', 4 | 8))
    }

    fn arranged_floats(&mut self, width: usize, order: &[usize], double: bool) -> Result<Features<'static>, DataError> {
        if double {
            limit::check(&self.file, self.n_bytes / self.size as u64 * 8)?;
            let values = self.floats::<f64>(VALUE)?;
            return Ok(f64::features(width, self.arranged(values, order)));
        }
        let values = self.floats::<f32>(VALUE)?;
        Ok(f32::features(width, self.arranged(values, order)))
    }

    /// The dimensions in the order in which they are kept, slowest first: images in planes.
    fn order(&self) -> (Vec<usize>, Option<ImageShape>) {
        match self.shape[..] {
            [_, height, width] => (vec![0, 1, 2], Some(ImageShape { channels: 1, height, width })),
            [_, channels @ (1 | 3), height, width] if !matches!(width, 1 | 3 | 4) => {
                (vec![0, 1, 2, 3], Some(ImageShape { channels, height, width }))
            }
            [_, height, width, channels] => (vec![0, 3, 1, 2], Some(ImageShape { channels, height, width })),
            _ => ((0..self.shape.len()).collect(), None),
        }
    }

    /// Elements row-major in the given order of dimensions.
    pub(super) fn arranged<T: Copy>(&self, values: Vec<T>, order: &[usize]) -> Vec<T> {
        let n = self.shape.len();
        if !self.fortran && order.is_sorted() {
            return values;
        }
        let stride = |dim: usize| -> usize {
            if self.fortran { self.shape[..dim].iter().product() } else { self.shape[dim + 1..].iter().product() }
        };
        let dims: Vec<(usize, usize)> = order.iter().map(|&dim| (self.shape[dim], stride(dim))).collect();
        let (mut index, mut at) = (vec![0; n], 0);
        let mut arranged = Vec::with_capacity(values.len());
        loop {
            arranged.push(values[at]);
            let mut dim = n;
            loop {
                if dim == 0 {
                    return arranged;
                }
                dim -= 1;
                index[dim] += 1;
                at += dims[dim].1;
                if index[dim] < dims[dim].0 {
                    break;
                }
                at -= dims[dim].0 * dims[dim].1;
                index[dim] = 0;
            }
        }
    }

    /// All elements as finite floats, in the order of the file.
    pub(super) fn floats<T: Float>(&mut self, what: &str) -> Result<Vec<T>, DataError> {
        let (mut values, got) = self.some_floats(self.n_bytes, 0, what)?;
        self.expect_whole(got)?;
        values.shrink_to_fit();
        Ok(values)
    }

    /// The floats in the next bytes, and how many bytes there were; `before` elements have been read.
    fn some_floats<T: Float>(&mut self, n_bytes: u64, before: usize, what: &str) -> Result<(Vec<T>, u64), DataError> {
        let (mut values, mut bytes, mut got) = (Vec::new(), Vec::new(), 0);
        let chunk = CHUNK / self.size as u64 * self.size as u64;
        while got < n_bytes {
            bytes.clear();
            let want = chunk.min(n_bytes - got);
            let n = self.source.read_up_to(&mut bytes, want)?;
            got += n;
            for element in bytes.chunks_exact(self.size) {
                let value = self.number(element);
                let is_kept = value.is_nan() && self.missing == MissingCells::Kept;
                if !single(value).is_finite() && !is_kept {
                    return Err(self.odd(value, before + values.len(), what));
                }
                values.push(T::of(value));
            }
            if n < want {
                break;
            }
        }
        Ok((values, got))
    }

    /// The error about a number that cannot be what it is for: by row, and by column in a matrix.
    fn odd(&self, value: f64, element: usize, what: &str) -> DataError {
        let (n_rows, width) = (self.n_rows(), self.shape[1..].iter().product::<usize>().max(1));
        let (row, column) =
            if self.fortran { (element % n_rows, element / n_rows) } else { (element / width, element % width) };
        let problem = match value {
            _ if value.is_nan() => format!("{what} is missing, found NaN"),
            _ if value.is_infinite() => format!("{what}, `{value}`, is not finite"),
            _ => format!("{what}, `{value:e}`, is beyond the range of f32"),
        };
        let column = if self.n_columns().is_some() { format!("column {}: ", column + 1) } else { String::new() };
        let hint = match self.missing {
            _ if what != VALUE => "replace it, or drop its row",
            _ if !value.is_nan() => {
                "NaN and `missing` of [preprocess] have it filled in; too large values can be scaled down"
            }
            MissingCells::RefusedByModel => FILLED,
            MissingCells::Refused | MissingCells::Kept => LACKS,
        };
        DataError::content(&self.file, Position::Record(row + 1), column + &problem).with_hint(hint)
    }

    pub(super) fn expect_whole(&mut self, got: u64) -> Result<(), DataError> {
        if got < self.n_bytes {
            let problem = format!("the file ends after {got} of the {} bytes that its header promises", self.n_bytes);
            return Err(
                DataError::content(&self.file, Position::File, problem).with_hint("the file is cut off: get it again")
            );
        }
        if self.source.at_end()? {
            return Ok(());
        }
        let problem = format!("data go on after the {} bytes that the header promises", self.n_bytes);
        Err(DataError::content(&self.file, Position::File, problem)
            .with_hint("the header is damaged: get the file again"))
    }

    /// The bytes of an element, the first being the lowest.
    pub(super) fn bits(&self, element: &[u8]) -> u64 {
        let mut bytes = [0; 8];
        for (from, to) in bytes.iter_mut().enumerate() {
            *to = if self.big { element.iter().rev().nth(from) } else { element.get(from) }.copied().unwrap_or(0);
        }
        u64::from_le_bytes(bytes)
    }

    #[allow(clippy::cast_precision_loss)]
    pub(super) fn number(&self, element: &[u8]) -> f64 {
        let bits = self.bits(element);
        let spare = 64 - 8 * self.size.min(8);
        match (self.kind, self.size) {
            #[allow(clippy::cast_possible_truncation)]
            (b'f', 2) => f16::from_bits(bits as u16).to_f64(),
            #[allow(clippy::cast_possible_truncation)]
            (b'f', 4) => f64::from(f32::from_bits(bits as u32)),
            (b'f', _) => f64::from_bits(bits),
            #[allow(clippy::cast_possible_wrap)]
            (b'i', _) => ((bits << spare) as i64 >> spare) as f64,
            _ => bits as f64,
        }
    }

    /// The numbers of a vector.
    pub(super) fn vector<T: Float>(mut self, what: &str) -> Result<Vec<T>, DataError> {
        self.expect_vector("numbers")?;
        self.expect_numbers()?;
        self.floats(what)
    }

    /// The numbers of a matrix.
    pub(super) fn matrix(mut self) -> Result<NumberMatrix, DataError> {
        let [rows, columns] = self.shape[..] else {
            return Err(self.wrong(format!("the shape is {}, expected a matrix", shown(&self.shape))));
        };
        self.expect_numbers()?;
        limit::check(&self.file, self.n_bytes / self.size as u64 * 8)?;
        let values = self.floats::<f64>(VALUE);
        let values = values.map_err(|error| error.with_hint("only finite numbers can be compared: replace it"))?;
        Ok(NumberMatrix { values: self.arranged(values, &[0, 1]), shape: [rows, columns] })
    }

    /// The numbers of a vector of integers.
    pub(super) fn whole_numbers(mut self, what: &str) -> Result<Vec<usize>, DataError> {
        self.expect_vector(what)?;
        if !matches!(self.kind, b'i' | b'u') {
            return Err(self.wrong(format!("found elements of another kind, expected integers as {what}")));
        }
        let mut bytes = Vec::new();
        let got = self.source.read_up_to(&mut bytes, self.n_bytes)?;
        self.expect_whole(got)?;
        let numbers = bytes.chunks_exact(self.size).map(|element| self.bits(element));
        let negative = |bits: u64| self.kind == b'i' && bits >> (8 * self.size - 1) == 1;
        let numbers = numbers.map(|bits| usize::try_from(bits).ok().filter(|_| !negative(bits)));
        let numbers = numbers.collect::<Option<Vec<_>>>();
        numbers.ok_or_else(|| self.wrong(format!("found a negative number among the {what}")))
    }

    /// The one text of an array without dimensions.
    pub(super) fn word(mut self) -> Result<String, DataError> {
        let mut bytes = Vec::new();
        let got = self.source.read_up_to(&mut bytes, self.n_bytes)?;
        self.expect_whole(got)?;
        Ok(if self.kind == b'U' { self.text(&bytes) } else { ascii(&bytes) })
    }

    pub(super) fn expect_numbers(&self) -> Result<(), DataError> {
        if self.kind == OBJECT {
            return Err(self
                .wrong("elements are Python objects, expected numbers".into())
                .with_hint("save numpy.array(x.tolist(), dtype=numpy.float32)"));
        }
        if matches!(self.kind, b'U' | b'S') {
            return Err(self.wrong("found strings, expected numbers".into()).with_hint("these look like labels"));
        }
        Ok(())
    }

    pub(super) fn expect_vector(&self, what: &str) -> Result<(), DataError> {
        if self.is_vector() {
            return Ok(());
        }
        Err(self.wrong(format!("the shape is {}, expected a vector of {what}", shown(&self.shape))))
    }
}
