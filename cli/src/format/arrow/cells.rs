//! Types of columns: what of a table their cells can be.

use crate::data::CellKind;
use arrow_schema::{DataType, Field};

/// Kind of the cells of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ArrayKind {
    Numbers(Numbers),
    Text,
    /// As many numbers in every row.
    Lists(Numbers),
    /// Missing values and nothing else.
    Nothing,
    /// Image files as Hugging Face's `datasets` keeps them: `struct<bytes: binary, path: string>`.
    Images,
    /// Cells that cannot be read, in words.
    Other(&'static str),
}

/// Unit of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Numbers {
    /// Unsigned bytes and booleans.
    Bytes,
    /// Numbers that single precision holds.
    Single,
    /// Numbers that it may not hold.
    Double,
}

impl ArrayKind {
    pub(super) fn of(kind: &DataType) -> Self {
        use DataType as D;
        let list = |item: &Field| match Self::of(item.data_type()) {
            Self::Numbers(numbers) => Self::Lists(numbers),
            Self::Text => Self::Other("lists or structures of text"),
            _ => Self::Other("lists or structures"),
        };
        match kind {
            D::UInt8 | D::Boolean => Self::Numbers(Numbers::Bytes),
            D::Float16 | D::Float32 => Self::Numbers(Numbers::Single),
            D::Int8 | D::Int16 | D::Int32 | D::Int64 | D::UInt16 | D::UInt32 | D::UInt64 | D::Float64 => {
                Self::Numbers(Numbers::Double)
            }
            D::Decimal32(..) | D::Decimal64(..) | D::Decimal128(..) | D::Decimal256(..) => {
                Self::Numbers(Numbers::Double)
            }
            D::Date32 | D::Date64 | D::Time32(_) | D::Time64(_) | D::Timestamp(..) | D::Duration(_) => {
                Self::Numbers(Numbers::Double)
            }
            D::Utf8 | D::LargeUtf8 | D::Utf8View => Self::Text,
            D::Binary | D::LargeBinary | D::BinaryView | D::FixedSizeBinary(_) => Self::Text,
            D::Dictionary(_, values) => Self::of(values),
            D::RunEndEncoded(_, values) => Self::of(values.data_type()),
            D::List(item) | D::LargeList(item) | D::FixedSizeList(item, _) => list(item),
            D::Struct(fields) if fields.iter().any(|f| f.name() == "bytes" && is_binary(f.data_type())) => Self::Images,
            D::Struct(_) | D::Map(..) | D::ListView(_) | D::LargeListView(_) => Self::Other("lists or structures"),
            D::Null => Self::Nothing,
            D::Interval(_) => Self::Other("intervals of months and days"),
            D::Union(..) => Self::Other("values of several types"),
        }
    }

    /// True for what is a label by its text.
    pub(super) fn is_label(&self, kind: &DataType) -> bool {
        matches!(self, Self::Numbers(_) | Self::Text) && !value_type(kind).is_temporal()
    }

    /// Cells of a column that has these in one file and `other` in the next; `None` where they do not go together.
    pub(super) fn with(&self, other: &Self) -> Option<Self> {
        Some(match (self, other) {
            (Self::Numbers(a), Self::Numbers(b)) => Self::Numbers(*a.max(b)),
            (Self::Lists(a), Self::Lists(b)) => Self::Lists(*a.max(b)),
            (cells, Self::Nothing) | (Self::Nothing, cells) => cells.clone(),
            (a, b) if a == b => a.clone(),
            _ => return None,
        })
    }

    /// True for several features in a column.
    pub(super) const fn is_many(&self) -> bool {
        matches!(self, Self::Lists(_) | Self::Images)
    }

    /// A noun for messages.
    pub(super) fn in_words(&self, kind: &DataType) -> &str {
        match (self, value_type(kind)) {
            (Self::Numbers(_), DataType::Date32 | DataType::Date64) => "dates",
            (Self::Numbers(_), kind) if kind.is_temporal() => "times",
            (Self::Numbers(_), _) => "numbers",
            (Self::Text, _) => "text",
            (Self::Nothing, _) => "nothing but missing values",
            (Self::Lists(_) | Self::Images, _) => "lists or structures",
            (Self::Other(what), _) => what,
        }
    }

    /// The numbers of which its features consist; `None` where it can be no feature.
    pub(super) const fn numbers(&self) -> Option<Numbers> {
        match self {
            Self::Numbers(numbers) | Self::Lists(numbers) => Some(*numbers),
            Self::Images => Some(Numbers::Bytes),
            Self::Text | Self::Nothing | Self::Other(_) => None,
        }
    }
}

const fn is_binary(kind: &DataType) -> bool {
    matches!(kind, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

/// The type of the values of a dictionary or of runs; else the type itself.
pub(super) fn value_type(kind: &DataType) -> &DataType {
    match kind {
        DataType::Dictionary(_, values) => value_type(values),
        DataType::RunEndEncoded(_, values) => value_type(values.data_type()),
        other => other,
    }
}

/// Kind of a column of a table to be encoded.
pub(super) fn kind_of(kind: &DataType) -> CellKind {
    match value_type(kind) {
        DataType::Date32 | DataType::Date64 => CellKind::Date,
        DataType::Timestamp(..) => CellKind::Time,
        other if ArrayKind::of(other) == ArrayKind::Text => CellKind::Text,
        _ => CellKind::Number,
    }
}
