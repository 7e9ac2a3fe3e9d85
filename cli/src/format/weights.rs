//! Row weights: one number a row of the train part, from a text file next to the data or from the data themselves.

use super::float::number;
use super::open::ByteSource;
use super::quote;
use crate::format::{DataError, Position};
use std::path::Path;

pub(super) const HINT: &str = "a weight is a factor of the row's loss: 2 counts a row twice, 0 leaves it out";

/// Reads one weight a line, for as many rows as the train part has. Blank lines and lines that begin with `#` are skipped.
pub(super) fn read(path: &Path, n_rows: usize) -> Result<Vec<f32>, DataError> {
    fitting(of_file(path)?, path, n_rows)
}

/// Reads one weight a line.
pub(super) fn of_file(path: &Path) -> Result<Vec<f32>, DataError> {
    let mut text = Vec::new();
    ByteSource::open(path)?.read_all(&mut text)?;
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    let mut weights = Vec::new();
    for (line, n_line) in text.split(|&b| b == b'\n').zip(1..) {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let weight = number(line).filter(|w| is_weight(*w));
        weights.push(weight.ok_or_else(|| refused(path, Position::Line(n_line), &String::from_utf8_lossy(line)))?);
    }
    Ok(weights)
}

/// The weights, if there is one a row and they are not all 0.
pub(super) fn fitting(weights: Vec<f32>, path: &Path, n_rows: usize) -> Result<Vec<f32>, DataError> {
    if weights.len() != n_rows {
        let problem = format!("found {} weights, expected {n_rows}, one a row of the train part", weights.len());
        return Err(DataError::content(path, Position::File, problem).with_hint(HINT));
    }
    if weights.iter().all(|w| *w == 0.0) {
        let problem = format!("all {n_rows} weights are 0, which leaves nothing to learn from");
        return Err(DataError::content(path, Position::File, problem).with_hint(HINT));
    }
    Ok(weights)
}

/// Whether a number may be a weight.
pub(super) fn is_weight(value: f32) -> bool {
    value.is_finite() && value >= 0.0
}

/// The error for a word that is no weight.
fn refused(path: &Path, position: Position, found: &str) -> DataError {
    DataError::content(path, position, problem(found)).with_hint(HINT)
}

/// The message for a word that is no weight.
pub(super) fn problem(found: &str) -> String {
    format!("found {}, expected a weight: a number, 0 or more", quote(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(text: &str, n_rows: usize) -> Result<Vec<f32>, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w");
        std::fs::write(&path, text).unwrap();
        read(&path, n_rows).map_err(|e| DataError { file: "w".into(), ..e })
    }

    #[test]
    fn one_number_a_line_is_a_weight() {
        assert_eq!(weights("\u{feff}# mine\r\n1\r\n\n 0.25 \n3e1", 3).unwrap(), [1.0, 0.25, 30.0]);
    }

    #[test]
    fn other_lines_and_counts_are_refused() {
        for (text, problem) in [
            ("1\n-1\n1", "w:2: found `-1`, expected a weight: a number, 0 or more"),
            ("1\n\nnan\n1", "w:3: found `nan`, expected a weight"),
            ("1\ninf\n1", "w:2: found `inf`, expected a weight"),
            ("1\n1e39\n1", "w:2: found `1e39`, expected a weight"),
            ("1\n1,5\n1", "w:2: found `1,5`, expected a weight"),
            ("1\n1 # x\n1", "w:2: found `1 # x`, expected a weight"),
            ("", "w: found 0 weights, expected 3, one a row of the train part"),
            ("1\n1\n1\n1", "w: found 4 weights, expected 3"),
            ("0\n0\n-0", "w: all 3 weights are 0, which leaves nothing to learn from"),
        ] {
            let error = weights(text, 3).unwrap_err();
            assert!(error.to_string().starts_with(problem) && error.hint.is_some(), "{error}");
        }
    }
}
