//! Rows: each cell by what its column is for.

use super::cell::{Kinds, is_out_of_range, not_a_number, number, shown};
use super::text::{CsvText, TextFault};
use crate::data::{CellKind, LabelColumn};
use crate::format::columns::{Plan, Role};
use crate::format::float::{Float, prefix};
use crate::format::labels::push_text;
use crate::format::reading::{CellRules, OF_DATES, WORD, is_missing, is_missing_number};
use crate::format::{date, quote, weights};

/// Use of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// A number, in this place of a row.
    Number(usize),
    /// A date or a time, in this place of a row.
    Dated(usize, CellKind),
    /// Words, the column of this number.
    Words(usize),
    Label,
    Weight,
    Ignored,
}

/// The columns of a text with their uses.
pub(super) struct RowLayout {
    pub(super) plan: Plan,
    uses: Vec<Use>,
    /// Of each feature of the plan; all numbers for a table that is features as it is.
    pub(super) kinds: Vec<CellKind>,
    /// Numbers of a row.
    pub(super) n_numbers: usize,
    n_words: usize,
    /// Whether words are allowed in columns of numbers.
    words: bool,
    /// Of each feature of the plan, whether values may be missing.
    fills: Vec<bool>,
    /// Whether cells that are not of the kind of their column are kept in mind, for another reading.
    learns: bool,
    /// Whether the rows are for a model.
    pub(super) of_model: bool,
}

impl RowLayout {
    /// A table that is features as it is.
    pub(super) fn plain(plan: Plan, of_model: bool) -> Self {
        let kinds = vec![CellKind::Number; plan.n_features];
        let fills = vec![false; plan.n_features];
        Self { of_model, ..Self::typed(plan, kinds, fills) }
    }

    /// A table of columns of these kinds, to be learned: other cells are kept in mind where they are allowed.
    pub(super) fn learning(plan: Plan, kinds: Vec<CellKind>, rules: CellRules) -> Self {
        let fills = vec![rules.missing; plan.n_features];
        Self { words: rules.text, learns: true, ..Self::typed(plan, kinds, fills) }
    }

    /// A table of columns of these kinds, in which values may be missing where they are filled.
    pub(super) fn typed(plan: Plan, kinds: Vec<CellKind>, fills: Vec<bool>) -> Self {
        let is_text = |kind: &CellKind| *kind == CellKind::Text;
        let n_words = kinds.iter().filter(|kind| is_text(kind)).count();
        let place = |at: usize| kinds[..at].iter().filter(|kind| is_text(kind)).count();
        let of = |role: &Role| match *role {
            Role::Feature(at) if is_text(&kinds[at]) => Use::Words(place(at)),
            Role::Feature(at) if kinds[at] == CellKind::Number => Use::Number(at - place(at)),
            Role::Feature(at) => Use::Dated(at - place(at), kinds[at]),
            Role::Label => Use::Label,
            Role::Weight => Use::Weight,
            Role::Ignored => Use::Ignored,
        };
        let uses = plan.roles.iter().map(of).collect();
        let n_numbers = kinds.len() - n_words;
        Self { uses, n_numbers, n_words, kinds, words: false, fills, learns: false, of_model: false, plan }
    }

    /// Whether values of a column may be missing.
    fn fills(&self, column: usize) -> bool {
        matches!(self.plan.roles[column], Role::Feature(at) if self.fills[at])
    }

    /// The feature of a place of a row.
    pub(super) fn feature(&self, place: usize) -> usize {
        let numbers = self.kinds.iter().enumerate().filter(|(_, kind)| **kind != CellKind::Text);
        numbers.map(|(at, _)| at).nth(place).unwrap_or(place)
    }
}

/// Cells of a column that are not of its kind.
#[derive(Clone, Default)]
pub(super) struct Misfits {
    pub(super) kinds: Kinds,
    /// The first, with its line.
    pub(super) first: Option<(usize, String)>,
}

impl Misfits {
    fn add(&mut self, kinds: Kinds, line: usize, cell: &[u8]) {
        self.kinds = self.kinds.and(kinds);
        self.first.get_or_insert_with(|| (line, shown(cell)));
    }
}

/// The rows of some records.
#[derive(Default)]
pub(super) struct RecordRows<T> {
    pub(super) values: Vec<T>,
    /// Of each number, whether single precision does not hold all its values as they are written.
    pub(super) inexact: Vec<bool>,
    /// Of each column of words.
    pub(super) words: Vec<LabelColumn>,
    /// Of each number; empty where nothing is learned.
    pub(super) misfits: Vec<Misfits>,
    pub(super) labels: LabelColumn,
    pub(super) weights: Vec<f32>,
    pub(super) n_rows: usize,
    pub(super) n_lines: usize,
}

impl CsvText<'_> {
    /// All rows of the text.
    pub(super) fn piece<T: Float>(mut self, layout: &RowLayout) -> Result<RecordRows<T>, TextFault> {
        let width = layout.n_numbers;
        let mut piece = RecordRows {
            inexact: vec![false; width],
            words: vec![LabelColumn::new(); layout.n_words],
            misfits: vec![Misfits::default(); if layout.learns { width } else { 0 }],
            ..RecordRows::default()
        };
        // A cell has a byte and something behind it: blank lines make no rows, whatever the header promises.
        let n_rows = memchr::memchr_iter(b'\n', self.bytes).count() + 1;
        let most = (self.bytes.len() / 2).saturating_add(width);
        piece.values.reserve_exact(n_rows.saturating_mul(width).min(most));
        loop {
            self.skip_blank_lines();
            if self.at == self.bytes.len() {
                piece.n_lines = self.line;
                return Ok(piece);
            }
            self.row(layout, &mut piece)?;
            piece.n_rows += 1;
        }
    }

    fn row<T: Float>(&mut self, layout: &RowLayout, into: &mut RecordRows<T>) -> Result<(), TextFault> {
        let (base, start) = (into.values.len(), self.line);
        into.values.resize(base + layout.n_numbers, T::default());
        let last = layout.uses.len() - 1;
        let plain = self.marks.delimiter != b' ' && !self.marks.comma;
        self.align(true);
        for (column, &to) in layout.uses.iter().enumerate() {
            // Nearly every cell of nearly every file: a short number with a delimiter behind it.
            if plain
                && let Use::Number(j) = to
                && let Some((value, exact, len)) = prefix::<T>(&self.bytes[self.at..])
                && self.peek(len) == Some(self.marks.delimiter)
                && column < last
            {
                into.values[base + j] = value;
                into.inexact[j] |= value.into() != exact;
                self.at += len + 1;
                continue;
            }
            match to {
                Use::Number(j) => into.values[base + j] = self.number(layout, column, j, into)?,
                Use::Dated(j, kind) => into.values[base + j] = self.dated(layout, column, j, kind, into)?,
                Use::Words(j) => self.word(layout, column, &mut into.words[j])?,
                Use::Ignored => drop(self.cell()?),
                Use::Weight => self.weight(layout, column, &mut into.weights)?,
                Use::Label => self.label(layout, column, &mut into.labels)?,
            }
            self.align(false);
            if self.at_line_end() != (column == last) {
                return Err(self.ragged(layout, start, column + 1, column == last));
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
    fn number<T: Float>(
        &mut self,
        layout: &RowLayout,
        column: usize,
        j: usize,
        into: &mut RecordRows<T>,
    ) -> Result<T, TextFault> {
        let (line, cell) = (self.line, self.cell()?);
        let comma = self.marks.comma;
        if let Some(value) = number::<T>(&cell, comma) {
            into.inexact[j] = into.inexact[j] || number::<f64>(&cell, comma) != Some(value.into());
            return Ok(value);
        }
        if self.is_let_pass(layout, (column, j), line, &cell, into) {
            return Ok(T::of(f64::NAN));
        }
        Err(self.bad_number(layout, column, line, &cell))
    }

    /// The date or time at hand, as a number.
    fn dated<T: Float>(
        &mut self,
        layout: &RowLayout,
        column: usize,
        j: usize,
        kind: CellKind,
        into: &mut RecordRows<T>,
    ) -> Result<T, TextFault> {
        let (line, cell) = (self.line, self.cell()?);
        if let Some(value) = date::number(&cell, kind) {
            return Ok(T::of(value));
        }
        if self.is_let_pass(layout, (column, j), line, &cell, into) {
            return Ok(T::of(f64::NAN));
        }
        let expected = date::example(kind);
        if is_missing_number(&cell) {
            return Err(self.bad_number(layout, column, line, &cell));
        }
        let problem = format!("{}: found {}, expected {expected}", layout.plan.shown(column), quote(&shown(&cell)));
        let hint = if layout.of_model { OF_DATES } else { WORD };
        Err(TextFault { line, problem, hint: Some(hint) })
    }

    /// Whether a cell that is not of the kind of its column stays for now, as a missing value: where it is one that is allowed, or one that
    /// says that the column is of another kind.
    fn is_let_pass<T>(
        &self,
        layout: &RowLayout,
        (column, j): (usize, usize),
        line: usize,
        cell: &[u8],
        into: &mut RecordRows<T>,
    ) -> bool {
        if is_missing_number(cell) {
            return layout.fills(column);
        }
        if !layout.learns || is_out_of_range(cell) {
            return false;
        }
        let kinds = Kinds::of(cell, self.marks.comma);
        if kinds == Kinds::WORD && !layout.words {
            return false;
        }
        into.misfits[j].add(kinds, line, cell);
        true
    }

    fn bad_number(&self, layout: &RowLayout, column: usize, line: usize, cell: &[u8]) -> TextFault {
        let (problem, hint) = not_a_number(&shown(cell), self.marks, layout.of_model);
        TextFault { line, problem: format!("{}: {problem}", layout.plan.shown(column)), hint: Some(hint) }
    }

    fn word(&mut self, layout: &RowLayout, column: usize, into: &mut LabelColumn) -> Result<(), TextFault> {
        let (line, cell) = (self.line, self.cell()?);
        if is_missing(&cell) {
            if !layout.fills(column) {
                return Err(self.bad_number(layout, column, line, &cell));
            }
            into.push("");
            return Ok(());
        }
        let Ok(word) = std::str::from_utf8(&cell) else {
            let problem = format!("{}: {} is not UTF-8 text", layout.plan.shown(column), quote(&shown(&cell)));
            return Err(TextFault { line, problem, hint: Some("save the file as UTF-8") });
        };
        into.push(word);
        Ok(())
    }

    fn weight(&mut self, layout: &RowLayout, column: usize, into: &mut Vec<f32>) -> Result<(), TextFault> {
        let (line, cell) = (self.line, self.cell()?);
        let weight = number(&cell, self.marks.comma).filter(|w| weights::is_weight(*w));
        into.push(weight.ok_or_else(|| {
            let problem = format!("{}: {}", layout.plan.shown(column), weights::problem(&shown(&cell)));
            TextFault { line, problem, hint: Some(weights::HINT) }
        })?);
        Ok(())
    }

    fn label(&mut self, layout: &RowLayout, column: usize, into: &mut LabelColumn) -> Result<(), TextFault> {
        let (line, cell) = (self.line, self.cell()?);
        push_text(into, &cell).map_err(|problem| TextFault {
            line,
            problem: format!("{}: {problem}", layout.plan.shown(column)),
            hint: Some(match &*cell {
                b"" => {
                    "a row without a label cannot be learned from: take it out of the file; `predict` needs no labels"
                }
                _ => "the label is a whole number or a word",
            }),
        })
    }

    /// The mistake of a row with another number of cells.
    fn ragged(&mut self, layout: &RowLayout, line: usize, mut found: usize, more: bool) -> TextFault {
        if more {
            self.at += 1;
            found += self.record().map_or(1, |cells| cells.len());
        }
        let expected = layout.uses.len();
        let cells = if found == 1 { "cell" } else { "cells" };
        let like = if layout.plan.names.is_some() { "the header" } else { "the first row" };
        let problem = format!("found {found} {cells}, expected {expected} as in {like}");
        TextFault { line, problem, hint: Some("is this the right delimiter? a cell that holds it must be quoted") }
    }
}
