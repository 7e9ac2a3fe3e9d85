//! The cell of a feature: a number, a truth value, or what is wrong with it.

use crate::format::float::{self, Float};
use crate::format::labels::boolean;
use crate::format::quote;

/// Spellings of a missing value.
const MISSING: [&str; 10] = ["", "NA", "N/A", "na", "NaN", "nan", "null", "NULL", "None", "?"];

const CELL: &str = "every feature is a number: encode categories as numbers, or leave the column out with `ignore`";
const LACKS: &str = "fill missing values in or drop their rows before training, or leave the column out with `ignore`";

/// The separator of cells, and whether a comma stands before decimals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    pub(super) delimiter: u8,
    pub(super) comma: bool,
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

pub(super) fn shown(cell: &[u8]) -> String {
    String::from_utf8_lossy(&cell[..cell.len().min(400)]).into_owned()
}

/// What is wrong with the cell of a feature, and what to do.
pub(super) fn not_a_number(cell: &str, marks: Marks) -> (String, &'static str) {
    if cell.is_empty() {
        return ("the value is missing".into(), LACKS);
    }
    if MISSING.contains(&cell) {
        return (format!("the value is missing, found {}", quote(cell)), LACKS);
    }
    let found = quote(cell);
    match cell.parse::<f64>() {
        Ok(number) if number.is_finite() && marks.comma && cell.contains('.') => (
            format!("found {found}, expected a number with a decimal comma"),
            "leave `decimal` out, or write all numbers with a comma",
        ),
        Ok(number) if number.is_finite() => (format!("{found} is beyond the range of f32"), "scale the column down"),
        Ok(_) => (format!("{found} is not finite"), LACKS),
        Err(_) if marks.comma => (format!("found {found}, expected a number with a decimal comma"), CELL),
        Err(_) if marks.delimiter != b',' && cell.replacen(',', ".", 1).parse::<f64>().is_ok() => {
            (format!("found {found}, expected a number"), "`decimal = \",\"` of [data.csv] reads decimal commas")
        }
        Err(_) => (format!("found {found}, expected a number"), CELL),
    }
}
