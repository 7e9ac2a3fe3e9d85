//! Tables of typed columns that have to be encoded: numbers with missing values, dates, and words.
//!
//! Missing are nulls, NaN and empty words; `NA` is a word here. Text is dates where all of it is, and so are timestamps that are all
//! midnights. Where a model, or the train part, has dates, timestamps become days, and where it has times, dates become seconds.

use super::array::{self, CellFault};
use super::layout::{ColumnPlan, Layout};
use super::parts::{ColumnBatch, wrong};
use super::rows::weights_of;
use crate::data::{CellKind, Cells, Frame, FrameColumn, LabelColumn};
use crate::format::columns::Role;
use crate::format::known::{FrameRows, KnownColumns, none};
use crate::format::labels::push_text;
use crate::format::reading::{CellRules, OF_DATES, OF_MODEL, WORD};
use crate::format::{DataError, date, limit, quote};
use arrow_array::ArrayRef;
use rayon::prelude::*;
use std::path::Path;

const DAY: f64 = 86_400.0;

/// A column of a file on its way into columns of a frame, several where it has lists.
struct FrameTarget {
    taken: ColumnPlan,
    kind: CellKind,
    fills: bool,
    /// The factor of its numbers: between days and seconds.
    factor: f64,
    text: TextRule,
    cells: Vec<Cells>,
}

/// Use of the cells of a column of text or of times.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TextRule {
    /// Words, or nothing known of them.
    Words,
    /// Dates if all are, else words.
    DatesOrWords,
    /// Dates, while nobody allowed words.
    DatesOrNothing,
    /// Dates of a column that is known.
    Dates,
    /// Times of a column that is not known, dates where all are midnights.
    Times,
}

/// Columns as they grow.
pub(super) struct FrameBuilder<'a> {
    layout: &'a Layout,
    targets: Vec<FrameTarget>,
    labels: LabelColumn,
    weights: Option<Vec<f32>>,
}

/// Whether a word is a date or a time.
fn is_dated(word: &str) -> bool {
    date::days(word.as_bytes()).is_some() || date::seconds(word.as_bytes()).is_some()
}

impl<'a> FrameBuilder<'a> {
    /// Columns by what they hold, or by what is known of them.
    pub(super) fn new(
        file: &Path,
        layout: &'a Layout,
        rules: CellRules,
        known: Option<&KnownColumns>,
    ) -> Result<Self, DataError> {
        if let Some(known) = known {
            known.fit(layout.width, file)?;
        }
        let features = layout.columns.iter().filter(|taken| matches!(taken.role, Role::Feature(_)));
        let target = |taken: &ColumnPlan| match known {
            Some(known) => FrameTarget::known(*taken, known).map_err(|(expected, hint)| {
                wrong(file, &format!("{}, expected {expected}", layout.holds(taken.column))).with_hint(hint)
            }),
            None => Ok(FrameTarget::learning(*taken, layout, rules)),
        };
        let targets = features.map(target).collect::<Result<_, _>>()?;
        let is_weighted = layout.columns.iter().any(|taken| taken.role == Role::Weight);
        Ok(Self { layout, targets, labels: LabelColumn::new(), weights: is_weighted.then(Vec::new) })
    }

    /// Puts the rows of a batch behind its own.
    pub(super) fn put(&mut self, file: &Path, batch: &ColumnBatch) -> Result<(), DataError> {
        let array = |column: usize| batch.columns.iter().find(|(c, _)| *c == column).map(|(_, array)| array);
        let layout = self.layout;
        let located = |column: usize, fault: CellFault| layout.located(file, batch.first, column, fault);
        let put = |target: &mut FrameTarget| match array(target.taken.column) {
            Some(array) => target.put(array).map_err(|fault| located(target.taken.column, fault)),
            None => Ok(()),
        };
        // Of several bad cells that of the first column is named.
        self.targets.par_iter_mut().map(put).collect::<Vec<_>>().into_iter().collect::<Result<(), _>>()?;
        for taken in &layout.columns {
            let Some(array) = array(taken.column) else { continue };
            match taken.role {
                Role::Label => array::labels(array, |label| push_text(&mut self.labels, label)),
                Role::Weight => weights_of(array).map(|found| self.weights.get_or_insert_default().extend(found)),
                Role::Feature(_) | Role::Ignored => Ok(()),
            }
            .map_err(|fault| located(taken.column, fault))?;
        }
        limit::check(file, self.targets.iter().flat_map(|target| &target.cells).map(bytes).sum())
    }

    /// The table.
    pub(super) fn finish(mut self, file: &Path) -> Result<FrameRows, DataError> {
        self.targets.par_iter_mut().for_each(FrameTarget::settle);
        let names = &self.layout.feature_names;
        let columns = self.targets.into_iter().flat_map(|target| {
            let (start, kind) = (target.taken.start, target.kind);
            let named = move |(item, cells): (usize, Cells)| FrameColumn {
                name: Some(names[start + item].clone()),
                kind,
                cells,
            };
            target.cells.into_iter().enumerate().map(named)
        });
        let frame = Frame::new(columns.collect()).ok_or_else(|| none(file))?;
        if frame.n_rows() == 0 {
            return Err(wrong(file, "found no row of data"));
        }
        Ok(FrameRows { frame, labels: self.labels, weights: self.weights })
    }
}

/// Bytes that a column takes.
fn bytes(cells: &Cells) -> u64 {
    match cells {
        Cells::Numbers(values) => (size_of::<f64>() * values.len()) as u64,
        Cells::Words(words) => size_of_val(words.ids()) as u64,
    }
}

/// The numbers of words that are dates; the first row with another word where there is one.
fn dates(words: &LabelColumn, kind: CellKind) -> Result<Vec<f64>, usize> {
    let value = |word: &String| if word.is_empty() { Some(f64::NAN) } else { date::number(word.as_bytes(), kind) };
    let values: Vec<Option<f64>> = words.names().iter().map(value).collect();
    let of_row = |(row, id): (usize, &u32)| values[*id as usize].ok_or(row);
    words.ids().iter().enumerate().map(of_row).collect()
}

impl FrameTarget {
    fn new(taken: ColumnPlan, kind: CellKind, fills: bool, text: TextRule) -> Self {
        let is_words = kind == CellKind::Text;
        let empty = if is_words { Cells::Words(LabelColumn::new()) } else { Cells::Numbers(Vec::new()) };
        Self { taken, kind, fills, factor: 1.0, text, cells: vec![empty; taken.extent.width] }
    }

    /// A column of a train part.
    fn learning(taken: ColumnPlan, layout: &Layout, rules: CellRules) -> Self {
        let is_category = matches!(taken.role, Role::Feature(at) if layout.categories().contains(&at));
        let is_text = taken.kind == CellKind::Text && !is_category;
        let kind = if is_category { CellKind::Text } else { taken.kind };
        let text = match is_text {
            true if rules.text => TextRule::DatesOrWords,
            true => TextRule::DatesOrNothing,
            false if kind == CellKind::Time => TextRule::Times,
            false => TextRule::Words,
        };
        Self::new(taken, kind, rules.missing, text)
    }

    /// A column of which the kind is known; else what is expected, and a hint.
    fn known(taken: ColumnPlan, known: &KnownColumns) -> Result<Self, (&'static str, &'static str)> {
        let (found, kind) = (taken.kind, known.kinds[taken.start]);
        let text = if found == CellKind::Text { TextRule::Dates } else { TextRule::Words };
        let target = Self::new(taken, kind, known.fills[taken.start], text);
        let hint = |of_model| if known.of_model { of_model } else { WORD };
        match (found, kind) {
            _ if taken.is_nothing => Ok(target),
            (_, CellKind::Text) if taken.is_many => Err(("words", OF_MODEL)),
            (_, CellKind::Text) => Ok(Self { text: TextRule::Words, ..target }),
            (CellKind::Number, CellKind::Number) => Ok(target),
            (_, CellKind::Number) => Err(("numbers", hint(OF_MODEL))),
            (CellKind::Number, _) => Err(("dates", hint(OF_DATES))),
            (CellKind::Time, CellKind::Date) => Ok(Self { factor: 1.0 / DAY, ..target }),
            (CellKind::Date, CellKind::Time) => Ok(Self { factor: DAY, ..target }),
            _ => Ok(target),
        }
    }

    fn put(&mut self, array: &ArrayRef) -> Result<(), CellFault> {
        if let [Cells::Words(words)] = &mut self.cells[..] {
            let (n_names, n_rows) = (words.names().len(), words.len());
            let pushed = array::words(array, self.fills, words);
            let is_odd = |name: &String| !name.is_empty() && !is_dated(name);
            let odd = (n_names..words.names().len()).find(|&at| is_odd(&words.names()[at]));
            let Some(odd) = odd.filter(|_| self.text == TextRule::DatesOrNothing) else { return pushed };
            let row = words.ids()[n_rows..].iter().position(|&id| id as usize == odd).unwrap_or(0);
            let problem = format!("found {}, expected a number", quote(&words.names()[odd]));
            return Err(CellFault { hint: Some(WORD), ..CellFault::new(row, problem) });
        }
        let width = self.cells.len();
        let found: Vec<f64> = if self.text == TextRule::Dates {
            let mut words = LabelColumn::new();
            array::words(array, self.fills, &mut words)?;
            dates(&words, self.kind).map_err(|row| {
                let problem = format!("found {}, expected {}", quote(words.name(row)), date::example(self.kind));
                CellFault { hint: Some(OF_DATES), ..CellFault::new(row, problem) }
            })?
        } else if self.taken.is_many && self.fills {
            array::lists_or_missing(array, self.taken.extent)?
        } else if self.taken.is_many {
            array::features(array, self.taken.extent)?
        } else {
            array::numbers_or_missing(array, self.fills)?
        };
        for (item, cells) in self.cells.iter_mut().enumerate() {
            if let Cells::Numbers(values) = cells {
                values.extend(found.iter().skip(item).step_by(width).map(|x| x * self.factor));
            }
        }
        Ok(())
    }

    /// Words that are all dates become numbers, and times that are all midnights days, as csv has them.
    fn settle(&mut self) {
        if let (TextRule::Times, [Cells::Numbers(values)]) = (self.text, &mut self.cells[..]) {
            if values.iter().all(|x| x.is_nan() || x % DAY == 0.0) {
                values.iter_mut().for_each(|x| *x /= DAY);
                self.kind = CellKind::Date;
            }
            return;
        }
        let (TextRule::DatesOrWords | TextRule::DatesOrNothing, [Cells::Words(words)]) = (self.text, &self.cells[..])
        else {
            return;
        };
        if words.names().iter().all(String::is_empty) {
            return;
        }
        let found = [CellKind::Date, CellKind::Time].map(|kind| dates(words, kind).ok().map(|values| (kind, values)));
        if let Some((kind, values)) = found.into_iter().flatten().next() {
            (self.kind, self.cells) = (kind, vec![Cells::Numbers(values)]);
        }
    }
}

#[cfg(test)]
mod tests;
