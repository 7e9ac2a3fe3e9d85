//! Cells of typed columns as text, and columns that are carried along to predictions.

use super::array::{bytes, plain};
use crate::format::{Complaint, date, quote};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, Float16Type, Float32Type,
    Float64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt64Type,
};
use arrow_array::{Array, ArrayRef, StringArray, downcast_integer_array};
use arrow_schema::{DataType, TimeUnit};
use arrow_select::concat::concat;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::sync::Arc;

/// A column that is carried along from the rows to their predictions.
#[derive(Debug, Clone)]
pub struct KeptColumn {
    name: String,
    array: ArrayRef,
}

impl PartialEq for KeptColumn {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && *self.array == *other.array
    }
}

impl KeptColumn {
    /// A column of text.
    #[must_use]
    pub fn of_text(name: String, cells: Vec<String>) -> Self {
        Self { name, array: Arc::new(StringArray::from(cells)) }
    }

    /// A column in pieces, one behind the other.
    pub(in crate::format) fn of_pieces(name: String, pieces: &[ArrayRef]) -> Result<Self, Complaint> {
        let unread = || Complaint::new(format!("column {} cannot be kept", quote(&name)), "leave it out of --keep");
        let pieces = pieces.iter().map(|piece| plain(piece).map_err(|_| unread())).collect::<Result<Vec<_>, _>>()?;
        let arrays: Vec<&dyn Array> = pieces.iter().map(AsRef::as_ref).collect();
        let array = match concat(&arrays) {
            Ok(array) => array,
            // Part files with numbers of different sizes.
            Err(_) => Arc::new(StringArray::from_iter(
                pieces
                    .iter()
                    .flat_map(|piece| (0..piece.len()).map(|row| piece.is_valid(row).then(|| cell(piece, row)))),
            )),
        };
        Ok(Self { name, array })
    }

    /// A column of an array.
    pub(in crate::format) const fn of_array(name: String, array: ArrayRef) -> Self {
        Self { name, array }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Type of the cells.
    #[must_use]
    pub fn kind(&self) -> DataType {
        self.array.data_type().clone()
    }

    /// Some cells with their type.
    #[must_use]
    pub fn slice(&self, first: usize, n: usize) -> ArrayRef {
        self.array.slice(first, n)
    }

    /// A cell as text, empty where it is missing.
    #[must_use]
    pub fn text(&self, row: usize) -> Cow<'_, str> {
        match self.array.as_string_opt::<i32>() {
            _ if self.array.is_null(row) => Cow::Borrowed(""),
            Some(text) => Cow::Borrowed(text.value(row)),
            None => Cow::Owned(cell(&self.array, row)),
        }
    }

    /// A cell as JSON: numbers and truth values as such.
    #[must_use]
    pub fn json(&self, row: usize) -> Value {
        let array = &self.array;
        match array.data_type() {
            _ if array.is_null(row) => Value::Null,
            DataType::Boolean => json!(array.as_boolean().value(row)),
            DataType::UInt64 => json!(array.as_primitive::<UInt64Type>().value(row)),
            kind if kind.is_integer() => cell(array, row).parse::<i64>().map_or(Value::Null, |number| json!(number)),
            kind if kind.is_floating() => cell(array, row).parse::<f64>().map_or(Value::Null, |number| json!(number)),
            _ => json!(self.text(row)),
        }
    }
}

/// A cell that is there as text: words as they are, numbers in the shortest digits, dates and times as ISO 8601 has them.
pub(super) fn cell(array: &ArrayRef, row: usize) -> String {
    use DataType as D;
    if let Some(text) = bytes(array) {
        return String::from_utf8_lossy(text(row)).into_owned();
    }
    let time = |nanoseconds: i128, zone: &Option<Arc<str>>| date::time(nanoseconds, zone.is_some());
    match array.data_type() {
        D::Boolean => array.as_boolean().value(row).to_string(),
        D::Float16 => array.as_primitive::<Float16Type>().value(row).to_string(),
        D::Float32 => array.as_primitive::<Float32Type>().value(row).to_string(),
        D::Float64 => array.as_primitive::<Float64Type>().value(row).to_string(),
        D::Decimal32(..) => array.as_primitive::<Decimal32Type>().value_as_string(row),
        D::Decimal64(..) => array.as_primitive::<Decimal64Type>().value_as_string(row),
        D::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(row),
        D::Decimal256(..) => array.as_primitive::<Decimal256Type>().value_as_string(row),
        D::Date32 => date::day(array.as_primitive::<Date32Type>().value(row).into()),
        D::Date64 => date::day(array.as_primitive::<Date64Type>().value(row).div_euclid(86_400_000)),
        D::Timestamp(TimeUnit::Second, zone) => {
            time(i128::from(array.as_primitive::<TimestampSecondType>().value(row)) * 1_000_000_000, zone)
        }
        D::Timestamp(TimeUnit::Millisecond, zone) => {
            time(i128::from(array.as_primitive::<TimestampMillisecondType>().value(row)) * 1_000_000, zone)
        }
        D::Timestamp(TimeUnit::Microsecond, zone) => {
            time(i128::from(array.as_primitive::<TimestampMicrosecondType>().value(row)) * 1_000, zone)
        }
        D::Timestamp(TimeUnit::Nanosecond, zone) => {
            time(array.as_primitive::<TimestampNanosecondType>().value(row).into(), zone)
        }
        _ => {
            let array = array.as_ref();
            downcast_integer_array!(
                array => array.value(row).to_string(),
                _ => super::array::number(array, row).map_or_else(String::new, |number| number.to_string())
            )
        }
    }
}
