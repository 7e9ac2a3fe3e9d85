//! Treatment of cells that are no numbers.

use super::{DataError, FloatType, Position, quote};
use crate::data::{Encoding, EncodingError, UnseenCategories};
use std::path::Path;

/// Spellings of a missing value, as pandas reads them, and `?`.
pub const MISSING: [&str; 16] =
    ["", "NA", "N/A", "n/a", "na", "NaN", "nan", "-nan", "null", "NULL", "Null", "None", "<NA>", "#N/A", "NaT", "?"];

/// Advice about words, and about missing values.
pub(super) const WORD: &str =
    "`categories = \"one-hot\"` of [preprocess] takes words as categories; `ignore` leaves the column out";
pub(super) const LACKS: &str = "`missing = \"mean\"` of [preprocess] fills missing values in, as do \"median\" and \"most-frequent\"; `ignore` leaves the column out";
/// The same where the rows are for a model.
pub(super) const OF_MODEL: &str = "the model was trained on numbers in this column";
pub(super) const OF_DATES: &str = "the model was trained on dates in this column";
pub(super) const FILLED: &str =
    "the model was trained without `missing` of [preprocess], which would fill the value in";

/// Whether a cell is missing.
#[must_use]
pub fn is_missing(cell: &[u8]) -> bool {
    cell.len() <= 4 && MISSING.iter().any(|spelling| spelling.as_bytes() == cell)
}

/// Marks of a missing value among numbers or dates; among words they are categories.
const MARKS: [&str; 15] =
    ["-", "--", "---", "–", "—", ".", "..", "missing", "unknown", "none", "n.a.", "N.A.", "n.d.", "k.A.", "k. A."];

/// Whether a cell among numbers or dates is missing.
pub(super) fn is_missing_number(cell: &[u8]) -> bool {
    is_missing(cell) || (cell.len() <= 7 && MARKS.iter().any(|mark| mark.as_bytes() == cell))
}

/// Cells that are allowed besides numbers and dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CellRules {
    /// Words, which make their column one of categories.
    pub text: bool,
    /// Missing values.
    pub missing: bool,
}

/// A way to read a data set.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading<'a> {
    /// Precision of floats where a table is features as it is.
    pub float: FloatType,
    /// Cells that are allowed.
    pub cells: CellRules,
    /// The encoding of the model that the rows are for: it says what each column holds, and `cells` says nothing.
    pub encoding: Option<&'a Encoding>,
}

/// A table that does not fit an encoding, as an error about its file.
#[must_use]
pub fn encoding_error(file: &Path, error: &EncodingError) -> DataError {
    let position = match error {
        EncodingError::Missing { row, .. } | EncodingError::NotFinite { row, .. } => Position::Record(row + 1),
        _ => Position::File,
    };
    let hint = match error {
        EncodingError::Missing { .. } => "`missing` of [preprocess] fills missing values in",
        _ => "the columns must hold what those of the training data hold",
    };
    DataError::content(file, position, error.to_string()).with_hint(hint)
}

/// A note about categories that a model has not seen.
#[must_use]
pub fn unseen_note(unseen: &UnseenCategories) -> String {
    let UnseenCategories { column, first, rows } = unseen;
    let (rows, have) = if *rows == 1 { ("1 row".to_owned(), "has") } else { (format!("{rows} rows"), "have") };
    format!(
        "column {}: {rows} {have} a category that no training row has, as {}: none of its features is set",
        quote(column),
        quote(first)
    )
}
