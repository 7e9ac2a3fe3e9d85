//! A configuration that cannot be used: file, line, key, what was found, what was expected, and a hint.

use crate::format::Complaint;
use crate::visible;
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
    /// Content found and expected.
    pub problem: String,
    /// Advice for the user.
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

/// Characters of a line that are shown, and how many of them before the place.
const SHOWN: usize = 200;
const BEFORE: usize = 60;

impl Place {
    /// The line as it is printed, where the place begins in it, and how wide it is: of a long line the part around the place,
    /// and nothing that acts on a terminal.
    fn shown(&self) -> (String, usize, usize) {
        let from = if self.text.chars().count() <= SHOWN { 0 } else { (self.column - 1).saturating_sub(BEFORE) };
        let escaped = |from: usize, count: usize| {
            // A tab is a place wide, as the column counts it.
            let part: String =
                self.text.chars().skip(from).take(count).map(|c| if c == '\t' { ' ' } else { c }).collect();
            visible::name(&part).into_owned()
        };
        let (head, tail) = (if from > 0 { "..." } else { "" }, SHOWN + BEFORE);
        let before = escaped(from, (self.column - 1).saturating_sub(from));
        let end = if self.text.chars().count() > from + tail { "..." } else { "" };
        let text = format!("{head}{}{end}", escaped(from, tail));
        let start = head.len() + before.chars().count();
        let width = escaped(self.column - 1, self.width.min(tail)).chars().count().max(1);
        (text.clone(), start, width.min(text.chars().count().saturating_sub(start).max(1)))
    }
}

impl ConfigError {
    /// An error without a place in the text.
    pub fn new(file: &Path, problem: impl Into<String>) -> Self {
        Self { file: file.to_path_buf(), place: None, problem: problem.into(), hint: None }
    }

    /// A complaint about a configuration.
    pub(crate) fn about(file: &Path, Complaint { problem, hint }: Complaint) -> Self {
        Self::new(file, problem).with_hint(hint)
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
        let (text, before, width) = place.shown();
        let caret = format!("{}{}", " ".repeat(before), "^".repeat(width));
        write!(
            f,
            "{file}:{}:{}: {}\n{gutter} |\n{number} | {text}\n{gutter} | {caret}",
            place.line, place.column, self.problem
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str, span: Range<usize>) -> Vec<String> {
        let text = format!("a = 1\n{line}\n");
        let place = Place::of(&text, &(span.start + 6..span.end + 6));
        let error = ConfigError::new(Path::new("x.toml"), "wrong").at(Some(place));
        error.to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_caret_is_under_the_place_whatever_the_line_is() {
        assert_eq!(shown("b = x", 4..5), ["x.toml:2:5: wrong", "  |", "2 | b = x", "  |     ^"]);
        assert_eq!(shown("\u{1b}\tb = x", 6..7)[2..], ["2 | \\u{1b} b = x", "  |            ^"]);
        for at in [0, 3, 5_000, 99_999] {
            let line = format!("{}X{}", "é".repeat(at), "é".repeat(99_999 - at));
            let lines = shown(&line, at * 2..at * 2 + 1);
            assert!(lines[2].chars().count() < 300, "{at}");
            let column = lines[3].chars().position(|c| c == '^').unwrap();
            assert_eq!(lines[2].chars().nth(column), Some('X'), "{at}");
            assert_eq!(lines[3].matches('^').count(), 1, "{at}");
        }
        // A range that ends beyond the part shown is underlined up to there.
        let lines = shown(&"x".repeat(5_000), 10..4_000);
        assert!(lines[3].chars().count() <= lines[2].chars().count() && lines[3].contains("^^^"));
    }
}
