//! Arrays of Arrow as the cells of a table: numbers, labels, lists of numbers and images.
//!
//! Dates are days since 1970-01-01, timestamps seconds since 1970-01-01 00:00 UTC, times of day seconds since midnight, durations
//! seconds.

use super::cells::ArrayKind;
use super::text;
use crate::data::precision::single;
use crate::data::{ImageShape, LabelColumn};
use crate::format::images;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DurationMicrosecondType,
    DurationMillisecondType, DurationNanosecondType, DurationSecondType, Float16Type, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, RunEndIndexType, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, UInt64Array, downcast_integer_array};
use arrow_schema::{DataType, TimeUnit};
use arrow_select::take::take;
use rayon::prelude::*;
use std::sync::Arc;

const INFINITE: &str = "make it null and set `missing` of [preprocess], or `ignore` the column";
const NO_IMAGE: &str = "the image is missing: `bytes` is empty";

/// A feature as it is kept.
pub(super) trait FeatureCell: Copy + Default + Send + Sync + From<u8> {
    /// `None` where it cannot hold a number.
    fn of(number: f64) -> Option<Self>;
}

impl FeatureCell for f64 {
    #[inline]
    fn of(number: f64) -> Option<Self> {
        single(number).is_finite().then_some(number)
    }
}

impl FeatureCell for f32 {
    #[inline]
    #[allow(clippy::cast_possible_truncation)]
    fn of(number: f64) -> Option<Self> {
        Some(number as Self).filter(|single| single.is_finite())
    }
}

impl FeatureCell for u8 {
    #[inline]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn of(number: f64) -> Option<Self> {
        (0.0..=255.0).contains(&number).then_some(number as Self)
    }
}

/// A cell that is not what its column is for.
#[derive(Debug)]
pub(super) struct CellFault {
    /// Its row in the array, from 0.
    pub(super) row: usize,
    /// Its place in the list of that row.
    pub(super) item: Option<usize>,
    /// Whether it is unlike that of the first row.
    pub(super) is_odd: bool,
    pub(super) problem: String,
    /// Whether there is no value.
    pub(super) is_missing: bool,
    /// Advice other than that of its column.
    pub(super) hint: Option<&'static str>,
}

impl CellFault {
    pub(super) fn new(row: usize, problem: impl Into<String>) -> Self {
        Self { row, item: None, is_odd: false, problem: problem.into(), is_missing: false, hint: None }
    }

    fn odd(row: usize, problem: String) -> Self {
        Self { is_odd: true, ..Self::new(row, problem) }
    }

    fn odd_length(row: usize, n: usize, width: usize) -> Self {
        Self::odd(row, format!("found a list of {n}, expected {width} numbers as in the first row"))
    }

    fn missing(row: usize, problem: &str) -> Self {
        Self { is_missing: true, ..Self::new(row, problem) }
    }

    /// A number that a feature cannot be.
    fn of_number(row: usize, number: f64) -> Self {
        if number.is_nan() {
            Self::missing(row, "the value is missing, found NaN")
        } else if number.is_infinite() {
            Self { hint: Some(INFINITE), ..Self::new(row, format!("`{number}` is not finite")) }
        } else {
            let problem = format!("`{number:e}` is beyond the range of f32");
            Self { hint: Some("scale the column down, or `ignore` it"), ..Self::new(row, problem) }
        }
    }
}

/// The features of a column, row by row.
pub(super) fn features<T: FeatureCell>(array: &ArrayRef, extent: Extent) -> Result<Vec<T>, CellFault> {
    let (array, width) = (plain(array)?, extent.width);
    present(&array)?;
    if let Some(shape) = extent.shape {
        return pixels(&array, shape);
    }
    let Some((items, mut lengths)) = items(&array) else { return numbers(array.as_ref()) };
    if let Some((row, n)) = lengths.by_ref().enumerate().find(|(_, n)| *n != width) {
        return Err(CellFault::odd_length(row, n, width));
    }
    features(&items, Extent::ONE).map_err(|fault: CellFault| CellFault {
        row: fault.row / width,
        item: Some(fault.row % width),
        ..fault
    })
}

/// The numbers of a column, NaN where one is missing, as nulls and NaN are.
pub(super) fn numbers_or_missing(array: &ArrayRef, fills: bool) -> Result<Vec<f64>, CellFault> {
    let array = plain(array)?;
    if !fills {
        present(&array)?;
    }
    if array.data_type() == &DataType::Null {
        return Ok(vec![f64::NAN; array.len()]);
    }
    let (found, nulls): (Vec<LabelNumber>, _) = (numbers(array.as_ref())?, array.logical_nulls());
    let is_null = |row: usize| nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
    let number = |(row, number): (usize, &LabelNumber)| match number.0 {
        _ if is_null(row) => Ok(f64::NAN),
        number if number.is_nan() && fills => Ok(number),
        number if single(number).is_finite() => Ok(number),
        number => Err(CellFault::of_number(row, number)),
    };
    found.iter().enumerate().map(number).collect()
}

/// The numbers of lists row by row, NaN where one, or a whole list, is missing.
pub(super) fn lists_or_missing(array: &ArrayRef, extent: Extent) -> Result<Vec<f64>, CellFault> {
    let (lists, width) = (plain(array)?, extent.width);
    let Some((items, lengths)) = items(&lists) else { return features(array, extent) };
    let items = numbers_or_missing(&items, true);
    let items = items.map_err(|fault| CellFault { row: fault.row / width, item: Some(fault.row % width), ..fault })?;
    let nulls = lists.logical_nulls();
    let (mut found, mut at) = (Vec::with_capacity(width * lists.len()), 0);
    for (row, n) in lengths.enumerate() {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            found.resize(found.len() + width, f64::NAN);
        } else if n == width {
            found.extend_from_slice(&items[at..at + n]);
        } else {
            return Err(CellFault::odd_length(row, n, width));
        }
        at += n;
    }
    Ok(found)
}

/// The words of a column, the empty one where one is missing; of other columns, the text of their cells.
pub(super) fn words(array: &ArrayRef, fills: bool, into: &mut LabelColumn) -> Result<(), CellFault> {
    let array = plain(array)?;
    let nulls = array.logical_nulls();
    let text = bytes(&array);
    for row in 0..array.len() {
        let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        let pushed = match &text {
            _ if is_null && fills => push_word(into, b""),
            _ if is_null || !fills && text.as_ref().is_some_and(|text| text(row).is_empty()) => {
                return Err(CellFault::missing(row, "the value is missing"));
            }
            Some(text) => push_word(into, text(row)),
            None => push_word(into, text::cell(&array, row).as_bytes()),
        };
        pushed.map_err(|problem| CellFault::new(row, problem))?;
    }
    Ok(())
}

fn push_word(into: &mut LabelColumn, word: &[u8]) -> Result<(), String> {
    let word = std::str::from_utf8(word).map_err(|_| "the text is not UTF-8".to_owned())?;
    into.push(word);
    Ok(())
}

/// The labels of a column, as a csv file would have them, one after another.
pub(super) fn labels(array: &ArrayRef, mut push: impl FnMut(&[u8]) -> Result<(), String>) -> Result<(), CellFault> {
    let array = plain(array)?;
    present(&array)?;
    let mut push = |row: usize, label: &[u8]| push(label).map_err(|problem| CellFault::new(row, problem));
    let rows = 0..array.len();
    if let Some(text) = bytes(&array) {
        return { rows }.try_for_each(|row| push(row, text(row)));
    }
    if let Some(bools) = array.as_boolean_opt() {
        return { rows }.try_for_each(|row| push(row, if bools.value(row) { b"true" } else { b"false" }));
    }
    let array = array.as_ref();
    downcast_integer_array!(
        array => {
            let mut numbers = array.values().iter().enumerate();
            numbers.try_for_each(|(row, number)| push(row, number.to_string().as_bytes()))
        },
        _ => {
            let numbers: Vec<LabelNumber> = numbers(array)?;
            numbers.iter().enumerate().try_for_each(|(row, number)| push(row, number.0.to_string().as_bytes()))
        }
    )
}

/// A number of a label, which may be anything.
#[derive(Clone, Copy, Default)]
struct LabelNumber(f64);

impl From<u8> for LabelNumber {
    fn from(number: u8) -> Self {
        Self(number.into())
    }
}

impl FeatureCell for LabelNumber {
    fn of(number: f64) -> Option<Self> {
        Some(Self(number))
    }
}

/// Features of one column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) width: usize,
    /// Of images.
    pub(super) shape: Option<ImageShape>,
}

impl Extent {
    pub(super) const ONE: Self = Self { width: 1, shape: None };

    /// The features in the first row of a column.
    pub(super) fn of(cells: &ArrayKind, array: &ArrayRef) -> Result<Self, CellFault> {
        let first = plain(&array.slice(0, array.len().min(1)))?;
        present(&first)?;
        match cells {
            ArrayKind::Images => {
                let none = || CellFault::new(0, NO_IMAGE);
                let content = file(&first).filter(|files| !files.is_null(0)).and_then(bytes).ok_or_else(none)?;
                let shape = images::decode(content(0)).map_err(|problem| CellFault::new(0, problem))?.shape;
                Ok(Self { width: shape.channels * shape.height * shape.width, shape: Some(shape) })
            }
            ArrayKind::Lists(_) => {
                let width = items(&first).and_then(|(_, mut lengths)| lengths.next()).unwrap_or(0);
                if width == 0 { Err(CellFault::new(0, "the list is empty")) } else { Ok(Self { width, shape: None }) }
            }
            ArrayKind::Numbers(_) | ArrayKind::Text | ArrayKind::Nothing | ArrayKind::Other(_) => Ok(Self::ONE),
        }
    }
}

/// The values of a dictionary, or of runs, a row each; other arrays as they are.
pub(super) fn plain(array: &ArrayRef) -> Result<ArrayRef, CellFault> {
    let damaged = |what: &str| CellFault::new(0, format!("its {what} damaged"));
    if let Some(dictionary) = array.as_any_dictionary_opt() {
        let taken = take(dictionary.values(), dictionary.keys(), None);
        return plain(&taken.map_err(|_| damaged("dictionary is"))?);
    }
    let of_runs = run_values::<Int16Type>(array)
        .or_else(|| run_values::<Int32Type>(array))
        .or_else(|| run_values::<Int64Type>(array));
    match of_runs {
        Some(values) => plain(&values.ok_or_else(|| damaged("runs are"))?),
        None => Ok(Arc::clone(array)),
    }
}

/// The values of runs, a row each; `None` for what is none, or has other ends of runs.
fn run_values<R: RunEndIndexType>(array: &ArrayRef) -> Option<Option<ArrayRef>> {
    let runs = array.as_run_opt::<R>()?;
    let rows = (0..runs.len()).map(|row| runs.get_physical_index(row) as u64);
    Some(take(runs.values(), &UInt64Array::from_iter_values(rows), None).ok())
}

/// Refuses missing values: the one place that sees them.
fn present(array: &ArrayRef) -> Result<(), CellFault> {
    let Some(nulls) = array.logical_nulls().filter(|nulls| nulls.null_count() > 0) else { return Ok(()) };
    let first = (0..array.len()).find(|&row| nulls.is_null(row)).unwrap_or(0);
    Err(CellFault::missing(first, "the value is missing"))
}

type Lengths = Box<dyn Iterator<Item = usize>>;

/// The elements of lists, those of one behind those of the other, and their lengths; `None` for what is no list.
fn items(array: &ArrayRef) -> Option<(ArrayRef, Lengths)> {
    if let Some(lists) = array.as_fixed_size_list_opt() {
        let n = usize::try_from(lists.value_length()).ok()?;
        return Some((Arc::clone(lists.values()), Box::new(std::iter::repeat_n(n, lists.len()))));
    }
    let (values, offsets): (_, Vec<usize>) = if let Some(lists) = array.as_list_opt::<i32>() {
        (lists.values(), lists.offsets().iter().map(|&at| at.unsigned_abs() as usize).collect())
    } else {
        let lists = array.as_list_opt::<i64>()?;
        (lists.values(), lists.offsets().iter().map(|&at| usize::try_from(at).unwrap_or(0)).collect())
    };
    let values = values.slice(offsets[0], offsets[array.len()] - offsets[0]);
    Some((values, Box::new((1..offsets.len()).map(move |row| offsets[row] - offsets[row - 1]))))
}

pub(super) type Reader<'a> = Box<dyn Fn(usize) -> &'a [u8] + Send + Sync + 'a>;

/// The bytes of each row of text or binary values.
pub(super) fn bytes(array: &ArrayRef) -> Option<Reader<'_>> {
    Some(match array.data_type() {
        DataType::Utf8 => Box::new(|row| array.as_string::<i32>().value(row).as_bytes()),
        DataType::LargeUtf8 => Box::new(|row| array.as_string::<i64>().value(row).as_bytes()),
        DataType::Utf8View => Box::new(|row| array.as_string_view().value(row).as_bytes()),
        DataType::Binary => Box::new(|row| array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => Box::new(|row| array.as_binary::<i64>().value(row)),
        DataType::BinaryView => Box::new(|row| array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => Box::new(|row| array.as_fixed_size_binary().value(row)),
        _ => return None,
    })
}

/// The image files of a column.
fn file(array: &ArrayRef) -> Option<&ArrayRef> {
    array.as_struct_opt()?.column_by_name("bytes")
}

fn pixels<T: FeatureCell>(array: &ArrayRef, shape: ImageShape) -> Result<Vec<T>, CellFault> {
    let Some((files, content)) = file(array).and_then(|files| Some((files, bytes(files)?))) else {
        return Err(CellFault::new(0, NO_IMAGE));
    };
    let decoded = (0..array.len()).into_par_iter().map(|row| {
        if files.is_null(row) {
            return Err(CellFault::new(row, NO_IMAGE));
        }
        let image = images::decode(content(row)).map_err(|problem| CellFault::new(row, problem))?;
        // Grey among RGB, without loss.
        let image = if shape.channels == 3 { image.in_channels(3) } else { image };
        if image.shape != shape {
            let (found, expected) = (images::shown(image.shape), images::shown(shape));
            return Err(CellFault::odd(row, format!("the image is {found}, expected {expected} as in the first row")));
        }
        Ok(image.pixels)
    });
    // Of several bad rows the first is named.
    let decoded: Vec<Result<Vec<u8>, CellFault>> = decoded.collect();
    let mut found = Vec::with_capacity(array.len() * shape.channels * shape.height * shape.width);
    for image in decoded {
        found.extend(image?.into_iter().map(T::from));
    }
    Ok(found)
}

/// The number of a row that has one.
pub(super) fn number(array: &dyn Array, row: usize) -> Option<f64> {
    numbers::<LabelNumber>(array.slice(row, 1).as_ref()).ok().map(|found| found[0].0)
}

/// Reads every number of an array.
#[allow(clippy::cast_precision_loss)]
fn numbers<T: FeatureCell>(array: &dyn Array) -> Result<Vec<T>, CellFault> {
    use DataType as D;
    use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
    let a = array;
    match a.data_type() {
        D::Boolean => Ok(a.as_boolean().values().iter().map(|is| T::from(u8::from(is))).collect()),
        D::UInt8 => Ok(a.as_primitive::<UInt8Type>().values().iter().map(|&byte| T::from(byte)).collect()),
        D::Int8 => each::<Int8Type, T>(a, f64::from),
        D::Int16 => each::<Int16Type, T>(a, f64::from),
        D::Int32 => each::<Int32Type, T>(a, f64::from),
        D::Int64 => each::<Int64Type, T>(a, |number| number as f64),
        D::UInt16 => each::<UInt16Type, T>(a, f64::from),
        D::UInt32 => each::<UInt32Type, T>(a, f64::from),
        D::UInt64 => each::<UInt64Type, T>(a, |number| number as f64),
        D::Float16 => each::<Float16Type, T>(a, f64::from),
        D::Float32 => each::<Float32Type, T>(a, f64::from),
        D::Float64 => each::<Float64Type, T>(a, |number| number),
        D::Decimal32(_, scale) => each::<Decimal32Type, T>(a, |number| f64::from(number) / power(*scale)),
        D::Decimal64(_, scale) => each::<Decimal64Type, T>(a, |number| number as f64 / power(*scale)),
        D::Decimal128(_, scale) => each::<Decimal128Type, T>(a, |number| number as f64 / power(*scale)),
        D::Decimal256(_, scale) => {
            each::<Decimal256Type, T>(a, |number| number.to_string().parse().unwrap_or(f64::NAN) / power(*scale))
        }
        D::Date32 => each::<Date32Type, T>(a, f64::from),
        D::Date64 => each::<Date64Type, T>(a, |time| time as f64 / 86_400e3),
        D::Time32(Second) => each::<Time32SecondType, T>(a, f64::from),
        D::Time32(_) => each::<Time32MillisecondType, T>(a, |time| f64::from(time) / 1e3),
        D::Time64(Microsecond) => each::<Time64MicrosecondType, T>(a, |time| time as f64 / 1e6),
        D::Time64(_) => each::<Time64NanosecondType, T>(a, |time| time as f64 / 1e9),
        D::Timestamp(Second, _) => each::<TimestampSecondType, T>(a, |time| time as f64),
        D::Timestamp(Millisecond, _) => each::<TimestampMillisecondType, T>(a, |time| time as f64 / 1e3),
        D::Timestamp(Microsecond, _) => each::<TimestampMicrosecondType, T>(a, |time| time as f64 / 1e6),
        D::Timestamp(Nanosecond, _) => each::<TimestampNanosecondType, T>(a, |time| time as f64 / 1e9),
        D::Duration(Second) => each::<DurationSecondType, T>(a, |time| time as f64),
        D::Duration(Millisecond) => each::<DurationMillisecondType, T>(a, |time| time as f64 / 1e3),
        D::Duration(Microsecond) => each::<DurationMicrosecondType, T>(a, |time| time as f64 / 1e6),
        D::Duration(Nanosecond) => each::<DurationNanosecondType, T>(a, |time| time as f64 / 1e9),
        other => Err(CellFault::new(0, format!("found {other}, expected numbers"))),
    }
}

fn power(scale: i8) -> f64 {
    10f64.powi(scale.into())
}

fn each<P: ArrowPrimitiveType, T: FeatureCell>(
    array: &dyn Array,
    number: impl Fn(P::Native) -> f64,
) -> Result<Vec<T>, CellFault> {
    let values = array.as_primitive::<P>().values();
    let mut found = Vec::with_capacity(values.len());
    for &value in values {
        let number = number(value);
        match T::of(number) {
            Some(cell) => found.push(cell),
            None => return Err(CellFault::of_number(found.len(), number)),
        }
    }
    Ok(found)
}
