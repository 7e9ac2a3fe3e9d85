//! Tables that have to be encoded: columns of numbers, dates and words, as their cells say.
//!
//! The first lines tell the kind of each column. Cells that are of another kind are kept in mind, and where there were any, all is read once
//! more with the kinds that all cells have.

use super::cell::Kinds;
use super::parse::{OpenText, RowSink};
use super::row::{Misfits, Piece, RowLayout};
use crate::data::encoding::{Code, EncodedColumn};
use crate::data::{CellKind, Cells, Encoding, Frame, FrameColumn, LabelColumn};
use crate::format::columns::Role;
use crate::format::labels::{Classes, class_names};
use crate::format::reading::CellRules;
use crate::format::{DataError, Position, quote};
use std::path::Path;

/// The rows of a text that has to be encoded.
pub(super) struct Rows {
    pub(super) frame: Frame,
    pub(super) labels: LabelColumn,
    pub(super) weights: Option<Vec<f32>>,
}

/// Columns as they grow.
struct Builder<'l> {
    layout: &'l RowLayout,
    numbers: Vec<Vec<f64>>,
    words: Vec<LabelColumn>,
    misfits: Vec<Misfits>,
    labels: LabelColumn,
    weights: Vec<f32>,
    n_rows: usize,
}

impl<'l> Builder<'l> {
    fn new(layout: &'l RowLayout) -> Self {
        let numbers = vec![Vec::new(); layout.n_numbers];
        let misfits = vec![Misfits::default(); layout.n_numbers];
        Self { layout, numbers, words: Vec::new(), misfits, labels: LabelColumn::new(), weights: Vec::new(), n_rows: 0 }
    }

    fn into_rows(self) -> Option<Rows> {
        let Self { layout, numbers, words, labels, weights, .. } = self;
        let (mut numbers, mut words) = (numbers.into_iter(), words.into_iter());
        let column = |(at, &kind): (usize, &CellKind)| {
            let name = layout.plan.feature_names.as_ref().map(|names| names[at].clone());
            let cells =
                if kind == CellKind::Text { Cells::Words(words.next()?) } else { Cells::Numbers(numbers.next()?) };
            Some(FrameColumn { name, kind, cells })
        };
        let columns: Option<Vec<FrameColumn>> = layout.kinds.iter().enumerate().map(column).collect();
        let weights = layout.plan.has(Role::Weight).then_some(weights);
        Some(Rows { frame: Frame::new(columns?)?, labels, weights })
    }
}

impl RowSink<f64> for Builder<'_> {
    fn put(&mut self, pieces: Vec<Piece<f64>>) {
        let width = self.layout.n_numbers;
        for piece in pieces {
            for (j, column) in self.numbers.iter_mut().enumerate() {
                column.extend(piece.values.iter().skip(j).step_by(width));
            }
            self.words.resize(piece.words.len(), LabelColumn::new());
            self.words.iter_mut().zip(&piece.words).for_each(|(all, words)| all.append(words));
            for (all, misfits) in self.misfits.iter_mut().zip(piece.misfits) {
                all.kinds = all.kinds.and(misfits.kinds);
                all.first = all.first.take().or(misfits.first);
            }
            self.labels.append(&piece.labels);
            self.weights.extend_from_slice(&piece.weights);
            self.n_rows += piece.n_rows;
        }
    }

    fn bytes(&self) -> u64 {
        (self.n_rows * (size_of::<f64>() * self.numbers.len() + size_of::<u32>() * self.words.len())) as u64
    }

    fn n_rows(&self) -> usize {
        self.n_rows
    }
}

/// Reads all rows of a table to train on; `again` opens it once more.
pub(super) fn learn(
    mut opened: OpenText,
    rules: CellRules,
    mut again: impl FnMut() -> Result<OpenText, DataError>,
    file: &Path,
) -> Result<Rows, DataError> {
    let mut seen = opened.kinds.clone();
    loop {
        let categories = opened.plan.categories.clone();
        let kind = |(at, kinds): (usize, &Kinds)| {
            if categories.contains(&at) { CellKind::Text } else { kinds.column() }
        };
        let kinds: Vec<CellKind> = seen.iter().enumerate().map(kind).collect();
        // Words in the first lines that nobody allowed are found where they stand.
        let allowed = |(at, kind): (usize, CellKind)| {
            let is_refused = kind == CellKind::Text && !rules.text && !categories.contains(&at);
            if is_refused { CellKind::Number } else { kind }
        };
        let kinds = kinds.into_iter().enumerate().map(allowed).collect();
        let layout = RowLayout::learning(opened.plan.clone(), kinds, rules);
        let mut rows = Builder::new(&layout);
        opened.rows(&layout, &mut rows)?;
        let before = seen.clone();
        for (place, misfits) in rows.misfits.iter().enumerate().filter(|(_, misfits)| misfits.first.is_some()) {
            let at = layout.feature(place);
            seen[at] = seen[at].and(misfits.kinds);
            if seen[at].column() == CellKind::Text && !rules.text {
                return Err(mixed(&layout, at, misfits, file));
            }
        }
        if seen == before {
            return rows.into_rows().map(spelt).ok_or_else(|| none(file));
        }
        opened = again()?;
    }
}

/// Columns that are known: those of the train part, or of a model.
pub(super) struct Columns {
    /// Their names, where they have names.
    pub(super) names: Option<Vec<String>>,
    kinds: Vec<CellKind>,
    fills: Vec<bool>,
    /// The categories of each column of words, by which others are spelt.
    categories: Vec<Vec<String>>,
    of_model: bool,
}

impl Columns {
    /// Those of a train part.
    pub(super) fn of_frame(frame: &Frame, rules: CellRules) -> Self {
        let categories = |column: &FrameColumn| match &column.cells {
            Cells::Words(words) => categories(words),
            Cells::Numbers(_) => Vec::new(),
        };
        Self {
            names: frame.names(),
            kinds: frame.columns().iter().map(|column| column.kind).collect(),
            fills: vec![rules.missing; frame.columns().len()],
            categories: frame.columns().iter().map(categories).collect(),
            of_model: false,
        }
    }

    /// Those of a model.
    pub(super) fn of_encoding(encoding: &Encoding) -> Self {
        let categories = |column: &EncodedColumn| match &column.code {
            Code::Category { names, .. } => names.clone(),
            Code::Number { .. } => Vec::new(),
        };
        Self {
            names: encoding.column_names(),
            kinds: encoding.columns().iter().map(EncodedColumn::kind).collect(),
            fills: encoding.columns().iter().map(EncodedColumn::fills).collect(),
            categories: encoding.columns().iter().map(categories).collect(),
            of_model: true,
        }
    }

    /// Reads all rows of a table with these columns.
    pub(super) fn read(self, opened: OpenText, file: &Path) -> Result<Rows, DataError> {
        let (found, expected) = (opened.plan.n_features, self.kinds.len());
        if found != expected {
            let problem = format!("found {found} columns of features, expected {expected}");
            return Err(DataError::content(file, Position::File, problem)
                .with_hint("columns are matched by name where both the training data and this file have a header"));
        }
        let mut layout = RowLayout::typed(opened.plan.clone(), self.kinds, self.fills);
        layout.of_model = self.of_model;
        let mut rows = Builder::new(&layout);
        opened.rows(&layout, &mut rows)?;
        let mut rows = rows.into_rows().ok_or_else(|| none(file))?;
        rows.frame.replace_words(|at, words| Some(Classes::new(&self.categories[at]).named(words).into_owned()));
        Ok(rows)
    }
}

fn none(file: &Path) -> DataError {
    DataError::content(file, Position::File, "found no column of features")
}

/// The categories of a column: those that are all numbers, or all truth values, have one spelling each, as labels have.
fn categories(words: &LabelColumn) -> Vec<String> {
    let mut there = LabelColumn::new();
    words.names().iter().filter(|name| !name.is_empty()).for_each(|name| there.push(name));
    class_names(&there)
}

/// Rows with one spelling of each category.
fn spelt(mut rows: Rows) -> Rows {
    rows.frame.replace_words(|_, words| Some(Classes::new(&categories(words)).named(words).into_owned()));
    rows
}

fn mixed(layout: &RowLayout, at: usize, misfits: &Misfits, file: &Path) -> DataError {
    let (line, cell) = misfits.first.clone().unwrap_or_default();
    let column = layout.plan.roles.iter().position(|role| *role == Role::Feature(at)).unwrap_or(at);
    let problem = format!(
        "{}: found {} in a column of {}",
        layout.plan.shown(column),
        quote(&cell),
        match layout.kinds[at] {
            CellKind::Date => "dates",
            CellKind::Time => "times",
            CellKind::Number | CellKind::Text => "numbers",
        }
    );
    DataError::content(file, Position::Line(line + 1), problem)
        .with_hint("a column is of one kind; `categories = \"one-hot\"` of [preprocess] takes any as words, `ignore` leaves it out")
}
