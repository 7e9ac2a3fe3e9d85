//! The cell of a feature: a number, a truth value, a date, a word, missing, or what is wrong with it.

use crate::data::CellKind;
use crate::format::date;
use crate::format::float::{self, Float};
use crate::format::labels::boolean;
use crate::format::quote;
use crate::format::reading::{FILLED, LACKS, OF_MODEL, WORD, is_missing_number};

const INFINITE: &str = "leave the cell empty and set `missing` of [preprocess], or `ignore` the column";
const READS_COMMAS: &str = "`decimal = \",\"` of [data.csv] reads decimal commas";
const NO_COMMAS: &str = "leave `decimal` out, or write all numbers with a comma";
/// The same where the rows are for a model.
const POINTS: &str = "the model was trained on decimal points: write 1.5, not 1,5";
const COMMAS: &str = "the model was trained on decimal commas: write 1,5, not 1.5";
const THOUSANDS: &str = "write numbers without a sign between thousands: 1234, not 1,234";

/// The separator of cells, and whether a comma stands before decimals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    pub(super) delimiter: u8,
    pub(super) comma: bool,
}

/// The kinds of cells that a column has: a bit each, none for missing ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Kinds(u8);

impl Kinds {
    pub(super) const NUMBER: Self = Self(1);
    pub(super) const DATE: Self = Self(2);
    pub(super) const TIME: Self = Self(4);
    pub(super) const WORD: Self = Self(8);

    /// That of a cell; a number out of range is a number.
    pub(super) fn of(cell: &[u8], comma: bool) -> Self {
        if is_missing_number(cell) {
            Self::default()
        } else if number::<f64>(cell, comma).is_some() || is_out_of_range(cell) {
            Self::NUMBER
        } else if date::days(cell).is_some() {
            Self::DATE
        } else if date::seconds(cell).is_some() {
            Self::TIME
        } else {
            Self::WORD
        }
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kind of a column of such cells: dates among times are midnights, any other mixture is text.
    pub(super) const fn column(self) -> CellKind {
        match self {
            Self(0) | Self::NUMBER => CellKind::Number,
            Self::DATE => CellKind::Date,
            Self::TIME | Self(6) => CellKind::Time,
            _ => CellKind::Text,
        }
    }
}

/// The number in a cell, finite as `f32`, too; `true` is 1 and `false` 0 in every spelling.
pub(super) fn number<T: Float>(cell: &[u8], comma: bool) -> Option<T> {
    let found = match cell.iter().position(|&b| b == b',') {
        _ if !comma => float::number(cell),
        _ if cell.contains(&b'.') => None,
        None => float::number(cell),
        Some(at) => float::number(&[&cell[..at], b".", &cell[at + 1..]].concat()),
    };
    found.or_else(|| boolean(cell).map(|is| T::of(f64::from(u8::from(is)))))
}

/// Infinity, or a number beyond single precision.
pub(super) fn is_out_of_range(cell: &[u8]) -> bool {
    let number = std::str::from_utf8(cell).ok().and_then(|text| text.parse::<f64>().ok());
    number.is_some_and(|number| !number.is_nan() && float::number::<f64>(cell).is_none())
}

/// Digits in threes behind commas: `1,234`, `-1,234,567.8`.
fn has_thousands(cell: &str) -> bool {
    let whole = cell.trim_start_matches(['+', '-', '$']).split('.').next().unwrap_or_default();
    let mut groups = whole.split(',');
    let digits = |group: &str| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit());
    groups.next().is_some_and(|first| digits(first) && first.len() <= 3)
        && whole.contains(',')
        && groups.all(|group| digits(group) && group.len() == 3)
}

pub(super) fn shown(cell: &[u8]) -> String {
    String::from_utf8_lossy(&cell[..cell.len().min(400)]).into_owned()
}

/// The mistake in the cell of a feature, and the advice in training or with a model.
pub(super) fn not_a_number(cell: &str, marks: Marks, of_model: bool) -> (String, &'static str) {
    let (word, lacks) = if of_model { (OF_MODEL, FILLED) } else { (WORD, LACKS) };
    let (no_comma, no_point) = if of_model { (POINTS, COMMAS) } else { (READS_COMMAS, NO_COMMAS) };
    if cell.is_empty() {
        return ("the value is missing".into(), lacks);
    }
    if is_missing_number(cell.as_bytes()) {
        return (format!("the value is missing, found {}", quote(cell)), lacks);
    }
    let found = quote(cell);
    match cell.parse::<f64>() {
        Ok(number) if number.is_finite() && marks.comma && cell.contains('.') => {
            (format!("found {found}, expected a number with a decimal comma"), no_point)
        }
        Ok(number) if number.is_finite() => (format!("{found} is beyond the range of f32"), "scale the column down"),
        Ok(_) => (format!("{found} is not finite"), INFINITE),
        Err(_) if marks.comma => (format!("found {found}, expected a number with a decimal comma"), word),
        Err(_) if marks.delimiter != b',' && cell.replacen(',', ".", 1).parse::<f64>().is_ok() => {
            (format!("found {found}, expected a number"), no_comma)
        }
        Err(_) if has_thousands(cell) => (format!("found {found}, expected a number"), THOUSANDS),
        Err(_) => (format!("found {found}, expected a number"), word),
    }
}
