//! The text: blocks of whole records that are read and parsed at the same time, cut into pieces for all cores.
//!
//! A line end within quotes ends no record. The number of quotes before it tells which it is: even outside, odd within.

use super::cell::{Marks, not_a_number, number, shown};
use crate::data::{Features, LabelColumn};
use crate::format::columns::{Column, Complaint, Plan, Role, Special};
use crate::format::float::{Float, prefix};
use crate::format::labels::push_text;
use crate::format::open::Source;
use crate::format::{DataError, Position};
use crate::format::{limit, quote, weights};
use rayon::prelude::*;
use std::borrow::Cow;
use std::path::Path;

/// Bytes that are read while the block before is parsed.
const BLOCK: u64 = 8 << 20;
/// Bytes that one task parses.
const PIECE: usize = 1 << 20;
/// What may separate cells, the likeliest first.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];

/// The rows of a file.
pub(super) struct Rows {
    pub(super) plan: Plan,
    /// Of each feature, whether single precision does not hold all its values as they are written.
    pub(super) inexact: Vec<bool>,
    /// Empty where there is no column of labels.
    pub(super) labels: LabelColumn,
    pub(super) weights: Option<Vec<f32>>,
}

/// The rows of some records.
#[derive(Default)]
struct Piece<T> {
    values: Vec<T>,
    inexact: Vec<bool>,
    labels: LabelColumn,
    weights: Vec<f32>,
    n_lines: usize,
}

impl<T: Copy> Piece<T> {
    /// Puts the rows of others behind its own.
    fn append(&mut self, pieces: Vec<Self>) {
        for piece in pieces {
            self.labels.append(&piece.labels);
            self.values.extend_from_slice(&piece.values);
            self.inexact.resize(piece.inexact.len(), false);
            self.inexact.iter_mut().zip(&piece.inexact).for_each(|(any, inexact)| *any |= inexact);
            self.weights.extend_from_slice(&piece.weights);
        }
    }
}

/// What is wrong in a piece: the line, from 0, and the words.
struct Fault {
    line: usize,
    problem: String,
    hint: Option<&'static str>,
}

/// Reads all rows; `plan` gives the columns their roles from the header, where there is one, and their number.
pub(super) fn read<T: Float>(
    mut source: Source,
    delimiter: Option<u8>,
    comma: bool,
    header: Option<bool>,
    special: &Special,
    plan: impl FnOnce(Option<Vec<String>>, usize) -> Result<Plan, Complaint>,
) -> Result<(Features<'static>, Rows), DataError> {
    let file = source.file().to_path_buf();
    let whole = |problem: &str| DataError::content(&file, Position::File, problem);
    if source.head().is_empty() {
        return Err(whole("found an empty file, expected csv text"));
    }
    if source.head().starts_with(b"\xef\xbb\xbf") {
        source.read_up_to(&mut Vec::new(), 3)?;
    }
    let (mut block, mut carry) = next_block(&mut source, Vec::new())?;
    let marks = Marks { delimiter: delimiter.unwrap_or_else(|| likeliest(&block, comma)), comma };
    let mut text = Text::new(&block, marks);
    text.skip_blank_lines();
    let start = (text.at, text.line);
    let first = text.record().map_err(|fault| fault.at(&file, 0))?;
    let has_header = header.unwrap_or_else(|| is_header(&first, special, comma));
    let names = has_header.then(|| first.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect());
    let plan = plan(names, first.len()).map_err(|Complaint { problem, hint }| {
        let position = Position::Line(start.1 + 1);
        DataError::content(&file, position, problem).with_hint(hint)
    })?;
    let (mut at, mut n_lines) = if has_header { (text.at, text.line) } else { start };
    let (mut rows, mut parsed) = (Piece::<T>::default(), Vec::new());
    while !block.is_empty() {
        let (pieces, next) = rayon::join(
            || parse(&block[at..], marks, &plan, n_lines, &file),
            || {
                rows.append(std::mem::take(&mut parsed));
                limit::check(&file, (size_of::<T>() * rows.values.len()) as u64)?;
                next_block(&mut source, std::mem::take(&mut carry))
            },
        );
        parsed = pieces?;
        n_lines += parsed.iter().map(|piece| piece.n_lines).sum::<usize>();
        (block, carry) = next?;
        at = 0;
    }
    rows.append(parsed);
    limit::check(&file, (size_of::<T>() * rows.values.len()) as u64)?;
    if rows.values.is_empty() {
        return Err(whole("found no row of data").with_hint("is there more than a header?"));
    }
    rows.values.shrink_to_fit();
    let weights = plan.has(Role::Weight).then_some(rows.weights);
    let features = T::features(plan.n_features, rows.values);
    Ok((features, Rows { plan, inexact: rows.inexact, labels: rows.labels, weights }))
}

/// True for text whose first two lines have the same number of cells, two or more.
pub(super) fn looks_tabular(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let mut text = Text::new(head, Marks { delimiter: likeliest(head, false), comma: false });
    text.skip_blank_lines();
    let Ok(first) = text.record() else { return false };
    let n_cells = first.len();
    text.skip_blank_lines();
    n_cells > 1 && (text.at == head.len() || text.record().is_ok_and(|second| second.len() == n_cells))
}

/// The delimiter that is most frequent outside quotes in the first line.
fn likeliest(text: &[u8], comma: bool) -> u8 {
    let (mut counts, mut quoted) = ([0usize; DELIMITERS.len()], false);
    let start = text.iter().position(|b| !matches!(b, b'\n' | b'\r')).unwrap_or(0);
    for &byte in &text[start..] {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => break,
            _ if quoted => {}
            _ => counts.iter_mut().zip(DELIMITERS).filter(|(_, d)| *d == byte).for_each(|(n, _)| *n += 1),
        }
    }
    counts[0] *= usize::from(!comma);
    let most = counts.iter().copied().max().unwrap_or(0);
    let best = counts.iter().position(|n| *n == most && most > 0);
    best.map_or(if comma { b';' } else { b',' }, |i| DELIMITERS[i])
}

/// A header has names: none of its cells is a number, but for those of columns that are given by number.
fn is_header(cells: &[Cow<'_, [u8]>], special: &Special, comma: bool) -> bool {
    use Column::{Name, Number};
    let given = || special.label.iter().chain(&special.weights).chain(&special.ignore);
    if given().any(|column| matches!(column, Name(_))) {
        return true;
    }
    let n = i64::try_from(cells.len()).unwrap_or(i64::MAX);
    let is_given = |at: i64| given().any(|column| matches!(column, Number(k) if *k == at + 1 || n + *k == at));
    let mut features = cells.iter().zip(0i64..).filter(|(_, at)| !is_given(*at)).peekable();
    features.peek().is_some() && features.all(|(cell, _)| number::<f32>(cell, comma).is_none())
}

/// The next whole records, and the beginning of a record after them.
fn next_block(source: &mut Source, mut block: Vec<u8>) -> Result<(Vec<u8>, Vec<u8>), DataError> {
    loop {
        if source.read_up_to(&mut block, BLOCK)? == 0 {
            return Ok((block, Vec::new()));
        }
        let mut odd = memchr::memchr_iter(b'"', &block).count() % 2 == 1;
        let end = memchr::memrchr2_iter(b'\n', b'"', &block).find(|&at| {
            odd ^= block[at] == b'"';
            block[at] == b'\n' && !odd
        });
        if let Some(end) = end {
            let carry = block.split_off(end + 1);
            return Ok((block, carry));
        }
    }
}

/// Parses whole records. An error counts from the lines before the block, so the first of them all is found in order.
fn parse<T: Float>(
    block: &[u8],
    marks: Marks,
    plan: &Plan,
    lines_before: usize,
    file: &Path,
) -> Result<Vec<Piece<T>>, DataError> {
    let parse = |bytes| Text::new(bytes, marks).piece(plan);
    let pieces: Vec<Result<Piece<T>, Fault>> = cut(block).into_par_iter().map(parse).collect();
    let (mut parsed, mut n_lines) = (Vec::with_capacity(pieces.len()), lines_before);
    for piece in pieces {
        let piece = piece.map_err(|fault| fault.at(file, n_lines))?;
        n_lines += piece.n_lines;
        parsed.push(piece);
    }
    Ok(parsed)
}

/// Pieces of about [`PIECE`] bytes that end with a record.
fn cut(mut block: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while block.len() > PIECE {
        let mut odd = memchr::memchr_iter(b'"', &block[..PIECE]).count() % 2 == 1;
        let end = memchr::memchr2_iter(b'\n', b'"', &block[PIECE..]).find(|&at| {
            odd ^= block[PIECE + at] == b'"';
            block[PIECE + at] == b'\n' && !odd
        });
        let Some(end) = end else { break };
        let (piece, rest) = block.split_at(PIECE + end + 1);
        pieces.push(piece);
        block = rest;
    }
    pieces.push(block);
    pieces
}

impl Fault {
    fn at(self, file: &Path, lines_before: usize) -> DataError {
        let hint = self.hint.map(str::to_owned);
        DataError { hint, ..DataError::content(file, Position::Line(lines_before + self.line + 1), self.problem) }
    }
}

/// Text on its way through a reader.
struct Text<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Lines before `at`.
    line: usize,
    marks: Marks,
}

impl<'a> Text<'a> {
    fn new(bytes: &'a [u8], marks: Marks) -> Self {
        Self { bytes, at: 0, line: 0, marks }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    /// True at a line end or the end of the text.
    fn at_line_end(&self) -> bool {
        matches!((self.peek(0), self.peek(1)), (None | Some(b'\n'), _) | (Some(b'\r'), Some(b'\n') | None))
    }

    fn skip_line_end(&mut self) {
        if self.peek(0) == Some(b'\r') {
            self.at += 1;
        }
        if self.peek(0) == Some(b'\n') {
            self.at += 1;
            self.line += 1;
        }
    }

    fn skip_blank_lines(&mut self) {
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
    fn align(&mut self, is_first: bool) {
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
    fn record(&mut self) -> Result<Vec<Cow<'a, [u8]>>, Fault> {
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
    fn cell(&mut self) -> Result<Cow<'a, [u8]>, Fault> {
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
    fn quoted(&mut self) -> Result<Cow<'a, [u8]>, Fault> {
        let opened = self.line;
        let fault = |line, problem: String, hint| Err(Fault { line, problem, hint: Some(hint) });
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

    /// All rows of the text.
    fn piece<T: Float>(mut self, plan: &Plan) -> Result<Piece<T>, Fault> {
        let mut piece = Piece { inexact: vec![false; plan.n_features], ..Piece::default() };
        // A cell has a byte and something behind it: blank lines make no rows, whatever the header promises.
        let n_rows = memchr::memchr_iter(b'\n', self.bytes).count() + 1;
        let most = (self.bytes.len() / 2).saturating_add(plan.n_features);
        piece.values.reserve_exact(n_rows.saturating_mul(plan.n_features).min(most));
        loop {
            self.skip_blank_lines();
            if self.at == self.bytes.len() {
                piece.n_lines = self.line;
                return Ok(piece);
            }
            self.row(plan, &mut piece)?;
        }
    }

    fn row<T: Float>(&mut self, plan: &Plan, into: &mut Piece<T>) -> Result<(), Fault> {
        let (base, start) = (into.values.len(), self.line);
        into.values.resize(base + plan.n_features, T::default());
        let values = &mut into.values[base..];
        let last = plan.roles.len() - 1;
        let plain = self.marks.delimiter != b' ' && !self.marks.comma;
        self.align(true);
        for (column, role) in plan.roles.iter().enumerate() {
            // Nearly every cell of nearly every file: a short number with a delimiter behind it.
            if plain
                && let Role::Feature(j) = role
                && let Some((value, exact, len)) = prefix::<T>(&self.bytes[self.at..])
                && self.peek(len) == Some(self.marks.delimiter)
                && column < last
            {
                values[*j] = value;
                into.inexact[*j] |= value.into() != exact;
                self.at += len + 1;
                continue;
            }
            match role {
                Role::Feature(j) => values[*j] = self.feature(plan, column, &mut into.inexact[*j])?,
                Role::Ignored => drop(self.cell()?),
                Role::Weight => {
                    let (line, cell) = (self.line, self.cell()?);
                    let weight = number(&cell, self.marks.comma).filter(|w| weights::is_weight(*w));
                    into.weights.push(weight.ok_or_else(|| {
                        let problem = format!("{}: {}", plan.shown(column), weights::problem(&shown(&cell)));
                        Fault { line, problem, hint: Some(weights::HINT) }
                    })?);
                }
                Role::Label => {
                    let (line, cell) = (self.line, self.cell()?);
                    push_text(&mut into.labels, &cell).map_err(|problem| Fault {
                        line,
                        problem: format!("{}: {problem}", plan.shown(column)),
                        hint: Some("the label is a whole number or a word"),
                    })?;
                }
            }
            self.align(false);
            if self.at_line_end() != (column == last) {
                return Err(self.ragged(plan, start, column + 1, column == last));
            }
            if column == last {
                self.skip_line_end();
            } else {
                self.at += 1;
            }
        }
        Ok(())
    }

    /// The number at hand.
    fn feature<T: Float>(&mut self, plan: &Plan, column: usize, inexact: &mut bool) -> Result<T, Fault> {
        let (line, cell) = (self.line, self.cell()?);
        let comma = self.marks.comma;
        let value: T = number(&cell, comma).ok_or_else(|| {
            let (problem, hint) = not_a_number(&shown(&cell), self.marks);
            Fault { line, problem: format!("{}: {problem}", plan.shown(column)), hint: Some(hint) }
        })?;
        *inexact = *inexact || number::<f64>(&cell, comma) != Some(value.into());
        Ok(value)
    }

    /// What is wrong with a row of another number of cells.
    fn ragged(&mut self, plan: &Plan, line: usize, mut found: usize, more: bool) -> Fault {
        if more {
            self.at += 1;
            found += self.record().map_or(1, |cells| cells.len());
        }
        let expected = plan.roles.len();
        let cells = if found == 1 { "cell" } else { "cells" };
        let like = if plan.names.is_some() { "the header" } else { "the first row" };
        let problem = format!("found {found} {cells}, expected {expected} as in {like}");
        Fault { line, problem, hint: Some("is this the right delimiter? a cell that holds it must be quoted") }
    }
}
