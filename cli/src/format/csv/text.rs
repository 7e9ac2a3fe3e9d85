//! Text cell by cell: quotes, line ends, blanks that align cells.

use super::cell::Marks;
use crate::format::{DataError, Position, quote};
use std::borrow::Cow;
use std::path::Path;

/// Mistake in a piece: the line, from 0, and the words.
pub(super) struct TextFault {
    pub(super) line: usize,
    pub(super) problem: String,
    pub(super) hint: Option<&'static str>,
}

impl TextFault {
    pub(super) fn at(self, file: &Path, lines_before: usize) -> DataError {
        let hint = self.hint.map(str::to_owned);
        DataError { hint, ..DataError::content(file, Position::Line(lines_before + self.line + 1), self.problem) }
    }
}

/// Text on its way through a reader.
pub(super) struct CsvText<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    /// Lines before `at`.
    pub(super) line: usize,
    pub(super) marks: Marks,
}

impl<'a> CsvText<'a> {
    pub(super) fn new(bytes: &'a [u8], marks: Marks) -> Self {
        Self { bytes, at: 0, line: 0, marks }
    }

    pub(super) fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    /// True at a line end or the end of the text.
    pub(super) fn at_line_end(&self) -> bool {
        matches!((self.peek(0), self.peek(1)), (None | Some(b'\n'), _) | (Some(b'\r'), Some(b'\n') | None))
    }

    pub(super) fn skip_line_end(&mut self) {
        if self.peek(0) == Some(b'\r') {
            self.at += 1;
        }
        if self.peek(0) == Some(b'\n') {
            self.at += 1;
            self.line += 1;
        }
    }

    pub(super) fn skip_blank_lines(&mut self) {
        loop {
            let (at, line) = (self.at, self.line);
            while self.peek(0).is_some_and(|b| b == b' ' || b == b'\t' && b != self.marks.delimiter) {
                self.at += 1;
            }
            if !self.at_line_end() || self.at == self.bytes.len() {
                // Blanks before the first cell belong to it.
                (self.at, self.line) = if self.at == self.bytes.len() { (self.at, self.line) } else { (at, line) };
                return;
            }
            self.skip_line_end();
        }
    }

    /// Several blanks in a row are one delimiter, and none before the first cell or behind the last.
    pub(super) fn align(&mut self, is_first: bool) {
        if self.marks.delimiter != b' ' {
            return;
        }
        let blanks = self.bytes[self.at..].iter().take_while(|b| **b == b' ').count();
        self.at += blanks;
        // The delimiter is still to be passed.
        if blanks > 0 && !is_first && !self.at_line_end() {
            self.at -= 1;
        }
    }

    /// All cells of a record, as text.
    pub(super) fn record(&mut self) -> Result<Vec<Cow<'a, [u8]>>, TextFault> {
        let mut cells = Vec::new();
        self.align(true);
        loop {
            cells.push(self.cell()?);
            self.align(false);
            if self.at_line_end() {
                self.skip_line_end();
                return Ok(cells);
            }
            self.at += 1;
        }
    }

    /// The cell at hand without blanks and quotes; stops at the delimiter or line end behind it.
    pub(super) fn cell(&mut self) -> Result<Cow<'a, [u8]>, TextFault> {
        let blanks =
            self.bytes[self.at..].iter().take_while(|b| matches!(b, b' ' | b'\t') && **b != self.marks.delimiter);
        let start = self.at + blanks.count();
        if self.bytes.get(start) == Some(&b'"') {
            self.at = start + 1;
            return self.quoted();
        }
        let rest = &self.bytes[self.at..];
        let len = memchr::memchr2(self.marks.delimiter, b'\n', rest).unwrap_or(rest.len());
        let mut cell = &rest[..len];
        if rest.get(len) != Some(&self.marks.delimiter) && cell.ends_with(b"\r") {
            cell = &cell[..len - 1];
        }
        self.at += cell.len();
        Ok(Cow::Borrowed(cell.trim_ascii()))
    }

    /// The rest of a quoted cell.
    fn quoted(&mut self) -> Result<Cow<'a, [u8]>, TextFault> {
        let opened = self.line;
        let fault = |line, problem: String, hint| Err(TextFault { line, problem, hint: Some(hint) });
        let mut cell = Cow::Borrowed(&self.bytes[self.at..self.at]);
        loop {
            let rest = &self.bytes[self.at..];
            let Some(len) = memchr::memchr(b'"', rest) else {
                return fault(
                    opened,
                    "a quote is opened and never closed".into(),
                    "a quote within quotes is written twice",
                );
            };
            self.line += memchr::memchr_iter(b'\n', &rest[..len]).count();
            if cell.is_empty() {
                cell = Cow::Borrowed(&rest[..len]);
            } else {
                cell.to_mut().extend_from_slice(&rest[..len]);
            }
            self.at += len + 1;
            if self.peek(0) != Some(b'"') {
                break;
            }
            cell.to_mut().push(b'"');
            self.at += 1;
        }
        while self.peek(0).is_some_and(|b| matches!(b, b' ' | b'\t') && b != self.marks.delimiter) {
            self.at += 1;
        }
        if self.at_line_end() || self.peek(0) == Some(self.marks.delimiter) {
            return Ok(cell);
        }
        let problem = format!("found text behind the closing quote of {}", quote(&String::from_utf8_lossy(&cell)));
        fault(self.line, problem, "a quote within quotes is written twice")
    }
}
