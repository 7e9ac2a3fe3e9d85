//! The text: blocks of whole records that are read and parsed at the same time, cut into pieces for all cores.
//!
//! A line end within quotes ends no record. The number of quotes before it tells which it is: even outside, odd within.

use super::cell::{Kinds, Marks};
use super::header::{HeaderVerdict, Opening, likeliest};
use super::row::{RecordRows, RowLayout};
use super::text::{CsvText, TextFault};
use crate::data::{Features, make_room};
use crate::format::columns::{Complaint, ModelColumns, Plan, Role, SpecialColumns};
use crate::format::float::Float;
use crate::format::limit;
use crate::format::open::ByteSource;
use crate::format::{DataError, Position};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Bytes that are read while the block before is parsed.
const BLOCK: u64 = 8 << 20;
/// Bytes that one task parses.
const PIECE: usize = 1 << 20;

/// Settings of a text, by the configuration or the model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings<'a> {
    /// Separator; the likeliest one by default.
    pub(super) delimiter: Option<u8>,
    /// Whether a comma stands before decimals.
    pub(super) comma: bool,
    /// Whether the first line is a header; decided by its cells by default.
    pub(super) header: Option<bool>,
    pub(super) special: &'a SpecialColumns,
    /// The model that the rows are for.
    pub(super) wanted: Option<&'a ModelColumns>,
}

/// A text whose columns are known, before its rows.
pub(super) struct OpenText {
    pub(super) plan: Plan,
    /// Of each feature, the kinds of its cells in the first lines.
    pub(super) kinds: Vec<Kinds>,
    pub(super) note: Option<String>,
    file: PathBuf,
    source: ByteSource,
    marks: Marks,
    block: Vec<u8>,
    carry: Vec<u8>,
    at: usize,
    n_lines: usize,
}

/// Beginning of a text: its header and its columns.
pub(in crate::format) struct CsvHead {
    /// Bytes up to the first row, 0 without a header.
    pub(in crate::format) len: usize,
    pub(in crate::format) delimiter: u8,
    pub(in crate::format) names: Option<Vec<String>>,
    pub(in crate::format) n_columns: usize,
}

/// Target of rows as they are parsed.
pub(super) trait RowSink<T>: Send {
    /// Puts the rows of pieces behind its own.
    fn put(&mut self, pieces: Vec<RecordRows<T>>) -> Result<(), DataError>;

    /// Bytes of the rows so far.
    fn bytes(&self) -> u64;

    /// Rows so far.
    fn n_rows(&self) -> usize;
}

impl<T: Copy + Send> RowSink<T> for RecordRows<T> {
    fn put(&mut self, pieces: Vec<Self>) -> Result<(), DataError> {
        for piece in pieces {
            let bytes = self.bytes() + piece.bytes();
            self.labels.append(&piece.labels);
            make_room(&mut self.values, piece.values.len(), limit::growth(bytes));
            self.values.extend_from_slice(&piece.values);
            self.inexact.resize(piece.inexact.len(), false);
            self.inexact.iter_mut().zip(&piece.inexact).for_each(|(any, inexact)| *any |= inexact);
            self.weights.extend_from_slice(&piece.weights);
            self.n_rows += piece.n_rows;
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        // Numbers and the label.
        (size_of::<T>() * self.values.len() + 4 * self.n_rows) as u64
    }

    fn n_rows(&self) -> usize {
        self.n_rows
    }
}

/// Opens a text; `plan` gives the columns their roles from the header, where there is one, and their number.
pub(super) fn open(
    mut source: ByteSource,
    settings: &Settings<'_>,
    plan: impl Fn(Option<Vec<String>>, usize) -> Result<Plan, Complaint>,
) -> Result<OpenText, DataError> {
    let file = source.file().to_path_buf();
    if source.head().is_empty() {
        return Err(DataError::content(&file, Position::File, "found an empty file, expected csv text"));
    }
    if source.head().starts_with(b"\xef\xbb\xbf") {
        source.read_up_to(&mut Vec::new(), 3)?;
    }
    let (block, carry) = next_block(&mut source, Vec::new())?;
    let delimiter = settings.delimiter.unwrap_or_else(|| likeliest(&block, settings.comma));
    let marks = Marks { delimiter, comma: settings.comma };
    let mut text = CsvText::new(&block, marks);
    text.skip_blank_lines();
    let (start, line) = (text.at, text.line);
    let first = text.record().map_err(|fault| fault.at(&file, 0))?;
    let opening = Opening::new(&first, &text);
    let HeaderVerdict { is_header, note } = match (settings.header, settings.wanted) {
        (Some(is_header), _) => HeaderVerdict { is_header, note: None },
        (None, Some(wanted)) => opening.verdict_for(wanted),
        (None, None) => opening.verdict(settings.special),
    };
    let names = is_header.then(|| first.iter().map(|cell| String::from_utf8_lossy(cell).into_owned()).collect());
    let plan = plan(names, first.len()).map_err(|Complaint { problem, hint }| {
        DataError::content(&file, Position::Line(line + 1), problem).with_hint(hint)
    })?;
    let mut kinds = vec![Kinds::default(); plan.n_features];
    for (column, role) in plan.roles.iter().enumerate() {
        if let Role::Feature(at) = role {
            kinds[*at] = opening.kinds(column, is_header);
        }
    }
    let (at, n_lines) = if is_header { (text.at, text.line) } else { (start, line) };
    Ok(OpenText { plan, kinds, note, source, marks, carry, at, n_lines, block, file })
}

impl OpenText {
    /// The beginning of the text, for those who cut it into parts.
    pub(super) fn head(self) -> CsvHead {
        let has_header = self.plan.names.is_some();
        let (len, delimiter) = (if has_header { self.at } else { 0 }, self.marks.delimiter);
        CsvHead { len, delimiter, n_columns: self.plan.roles.len(), names: self.plan.names }
    }

    /// Reads all rows.
    pub(super) fn rows<T: Float>(mut self, layout: &RowLayout, into: &mut impl RowSink<T>) -> Result<(), DataError> {
        let mut parsed = Vec::new();
        while !self.block.is_empty() {
            let (pieces, next) = rayon::join(
                || parse(&self.block[self.at..], self.marks, layout, self.n_lines, &self.file),
                || {
                    into.put(std::mem::take(&mut parsed))?;
                    limit::check(&self.file, into.bytes())?;
                    next_block(&mut self.source, std::mem::take(&mut self.carry))
                },
            );
            parsed = pieces?;
            self.n_lines += parsed.iter().map(|piece| piece.n_lines).sum::<usize>();
            (self.block, self.carry) = next?;
            self.at = 0;
        }
        into.put(parsed)?;
        limit::check(&self.file, into.bytes())?;
        if into.n_rows() > 0 {
            return Ok(());
        }
        Err(DataError::content(&self.file, Position::File, "found no row of data")
            .with_hint("is there more than a header?"))
    }

    /// The rows of the first megabytes, in double precision.
    pub(super) fn beginning(&self, layout: &RowLayout) -> Result<Features<'static>, DataError> {
        let mut rows = RecordRows::default();
        rows.put(parse(&self.block[self.at..], self.marks, layout, self.n_lines, &self.file)?)?;
        Ok(f64::features(layout.n_numbers, rows.values))
    }

    /// Reads all rows of a table that is features as it is.
    pub(super) fn features<T: Float>(
        self,
        layout: &RowLayout,
    ) -> Result<(Features<'static>, RecordRows<T>), DataError> {
        let mut rows = RecordRows::default();
        self.rows(layout, &mut rows)?;
        rows.values.shrink_to_fit();
        Ok((T::features(layout.n_numbers, std::mem::take(&mut rows.values)), rows))
    }
}

/// The next whole records, and the beginning of a record after them.
fn next_block(source: &mut ByteSource, mut block: Vec<u8>) -> Result<(Vec<u8>, Vec<u8>), DataError> {
    loop {
        if source.read_up_to(&mut block, BLOCK)? == 0 {
            return Ok((block, Vec::new()));
        }
        if let Some(end) = last_record_end(&block) {
            let carry = block.split_off(end);
            return Ok((block, carry));
        }
    }
}

/// The end of the last whole record: behind the last line end outside of quotes.
pub(in crate::format) fn last_record_end(block: &[u8]) -> Option<usize> {
    let mut odd = memchr::memchr_iter(b'"', block).count() % 2 == 1;
    let mut ends = memchr::memrchr2_iter(b'\n', b'"', block);
    let end = ends.find(|&at| {
        odd ^= block[at] == b'"';
        block[at] == b'\n' && !odd
    });
    end.map(|end| end + 1)
}

/// Parses whole records. An error counts from the lines before the block, so the first of them all is found in order. Lines of misfits
/// count from the start of the text, too.
fn parse<T: Float>(
    block: &[u8],
    marks: Marks,
    layout: &RowLayout,
    lines_before: usize,
    file: &Path,
) -> Result<Vec<RecordRows<T>>, DataError> {
    let parse = |bytes| CsvText::new(bytes, marks).piece(layout);
    let pieces: Vec<Result<RecordRows<T>, TextFault>> = cut(block).into_par_iter().map(parse).collect();
    let (mut parsed, mut n_lines) = (Vec::with_capacity(pieces.len()), lines_before);
    for piece in pieces {
        let mut piece = piece.map_err(|fault| fault.at(file, n_lines))?;
        piece.misfits.iter_mut().flat_map(|misfits| &mut misfits.first).for_each(|(line, _)| *line += n_lines);
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
