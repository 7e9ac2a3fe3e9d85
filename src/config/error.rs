//! A configuration that cannot be used: file, line, key, what was found, what was expected, and a hint.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A configuration error; the program ends with exit code 2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// The file, as the user named it.
    pub file: PathBuf,
    /// Line and column, counted from 1, with the text of the line.
    pub place: Option<Place>,
    /// What was found and what was expected.
    pub problem: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// A place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// Characters to underline.
    pub width: usize,
    /// The line itself.
    pub text: String,
}

impl Place {
    /// The place of a byte range in `source`.
    #[must_use]
    pub fn of(source: &str, span: &Range<usize>) -> Self {
        let start = (0..=span.start.min(source.len())).rev().find(|&i| source.is_char_boundary(i)).unwrap_or(0);
        let before = &source[..start];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let text = source[line_start..].lines().next().unwrap_or_default().to_owned();
        let column = source[line_start..start].chars().count() + 1;
        let rest = text.chars().count().saturating_sub(column - 1);
        let width = span.end.saturating_sub(span.start).clamp(1, rest.max(1));
        Self { line: before.matches('\n').count() + 1, column, width, text }
    }
}

impl ConfigError {
    /// An error without a place in the text.
    pub fn new(file: &Path, problem: impl Into<String>) -> Self {
        Self { file: file.to_path_buf(), place: None, problem: problem.into(), hint: None }
    }

    /// The same error with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same error at a place.
    #[must_use]
    pub fn at(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        let Some(place) = &self.place else {
            return write!(f, "{file}: {}", self.problem);
        };
        let number = place.line.to_string();
        let gutter = " ".repeat(number.len());
        let caret = format!("{}{}", " ".repeat(place.column - 1), "^".repeat(place.width));
        write!(
            f,
            "{file}:{}:{}: {}\n{gutter} |\n{number} | {}\n{gutter} | {caret}",
            place.line, place.column, self.problem, place.text
        )
    }
}
