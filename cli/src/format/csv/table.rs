//! Tables that have to be encoded: columns of numbers, dates and words, as their cells say.
//!
//! The first lines tell the kind of each column. Cells that are of another kind are kept in mind, and where there were any, all is read once
//! more with the kinds that all cells have.

use super::cell::Kinds;
use super::parse::{OpenText, RowSink};
use super::row::{Misfits, RecordRows, RowLayout};
use crate::data::{CellKind, Cells, Frame, FrameColumn, LabelColumn, make_room};
use crate::format::columns::Role;
use crate::format::known::{FrameRows, KnownColumns, none};
use crate::format::reading::CellRules;
use crate::format::{DataError, Position, limit, quote};
use std::path::Path;

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

    fn into_rows(self) -> Option<FrameRows> {
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
        Some(FrameRows { frame: Frame::new(columns?)?, labels, weights })
    }
}

impl RowSink<f64> for Builder<'_> {
    fn put(&mut self, pieces: Vec<RecordRows<f64>>) -> Result<(), DataError> {
        let width = self.layout.n_numbers;
        for piece in pieces {
            let growth = limit::growth(self.bytes() + piece.bytes());
            for (j, column) in self.numbers.iter_mut().enumerate() {
                make_room(column, piece.n_rows, growth);
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
        Ok(())
    }

    fn bytes(&self) -> u64 {
        // Words and the label as numbers.
        (self.n_rows * (size_of::<f64>() * self.numbers.len() + size_of::<u32>() * (self.words.len() + 1))) as u64
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
) -> Result<FrameRows, DataError> {
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
            return rows.into_rows().map(FrameRows::spelt).ok_or_else(|| none(file));
        }
        opened = again()?;
    }
}

/// Reads all rows of a table with columns that are known.
pub(super) fn read(known: &KnownColumns, opened: OpenText, file: &Path) -> Result<FrameRows, DataError> {
    known.fit(opened.plan.n_features, file)?;
    let mut layout = RowLayout::typed(opened.plan.clone(), known.kinds.clone(), known.fills.clone());
    layout.of_model = known.of_model;
    let mut rows = Builder::new(&layout);
    opened.rows(&layout, &mut rows)?;
    Ok(rows.into_rows().ok_or_else(|| none(file))?.spelt_as(known))
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
