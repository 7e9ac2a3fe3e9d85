//! Tables of typed columns that have to be encoded: numbers with missing values, and words.
//!
//! Missing are nulls, NaN and empty words; `NA` is a word here. Where a model, or the train part, has dates, timestamps become days, and
//! where it has times, dates become seconds.

use super::array::{self, Cells as TypedCells, Fault};
use super::layout::{Layout, Taken};
use super::rows::weights_of;
use super::table::{Batch, wrong};
use crate::data::{CellKind, Cells, Frame, FrameColumn, LabelColumn};
use crate::format::columns::Role;
use crate::format::known::{FrameRows, KnownColumns, none};
use crate::format::labels::push_text;
use crate::format::reading::{CellRules, OF_MODEL, WORD};
use crate::format::{DataError, limit, quote};
use arrow_array::ArrayRef;
use arrow_schema::{DataType, Schema};
use rayon::prelude::*;
use std::path::Path;

const DAY: f64 = 86_400.0;

/// A column of a file on its way into columns of a frame, several where it has lists.
struct Target {
    taken: Taken,
    kind: CellKind,
    fills: bool,
    /// The factor of its numbers: between days and seconds.
    factor: f64,
    cells: Vec<Cells>,
}

/// Columns as they grow.
pub(super) struct FrameBuilder<'a> {
    layout: &'a Layout,
    targets: Vec<Target>,
    labels: LabelColumn,
    weights: Option<Vec<f32>>,
}

fn kind_of(data_type: &DataType) -> CellKind {
    match data_type {
        DataType::Dictionary(_, values) => kind_of(values),
        DataType::Date32 | DataType::Date64 => CellKind::Date,
        DataType::Timestamp(..) => CellKind::Time,
        _ => match TypedCells::of(data_type) {
            TypedCells::Text => CellKind::Text,
            _ => CellKind::Number,
        },
    }
}

impl<'a> FrameBuilder<'a> {
    /// Columns by what they hold, or by what is known of them.
    pub(super) fn new(
        file: &Path,
        schema: &Schema,
        layout: &'a Layout,
        rules: CellRules,
        known: Option<&KnownColumns>,
    ) -> Result<Self, DataError> {
        if let Some(known) = known {
            known.fit(layout.width, file)?;
        }
        let mut targets = Vec::new();
        for taken in layout.columns.iter().filter(|taken| matches!(taken.role, Role::Feature(_))) {
            let field = schema.field(taken.column);
            let found = kind_of(field.data_type());
            let is_category = matches!(taken.role, Role::Feature(at) if layout.categories().contains(&at));
            let kind = known.map_or(if is_category { CellKind::Text } else { found }, |known| known.kinds[taken.start]);
            let is_refused = match known {
                Some(_) => found == CellKind::Text && kind != CellKind::Text,
                None => found == CellKind::Text && !is_category && !rules.text,
            };
            if is_refused {
                let hint = if known.is_some_and(|known| known.of_model) { OF_MODEL } else { WORD };
                let problem = format!("column {} holds text, expected numbers", quote(field.name()));
                return Err(wrong(file, &problem).with_hint(hint));
            }
            let factor = match (found, kind) {
                (CellKind::Time, CellKind::Date) => 1.0 / DAY,
                (CellKind::Date, CellKind::Time) => DAY,
                _ => 1.0,
            };
            let empty =
                if kind == CellKind::Text { Cells::Words(LabelColumn::new()) } else { Cells::Numbers(Vec::new()) };
            let fills = known.map_or(rules.missing, |known| known.fills[taken.start]);
            targets.push(Target { taken: *taken, kind, fills, factor, cells: vec![empty; taken.extent.width] });
        }
        let is_weighted = layout.columns.iter().any(|taken| taken.role == Role::Weight);
        Ok(Self { layout, targets, labels: LabelColumn::new(), weights: is_weighted.then(Vec::new) })
    }

    /// Puts the rows of a batch behind its own.
    pub(super) fn put(&mut self, file: &Path, batch: &Batch) -> Result<(), DataError> {
        let array = |column: usize| batch.columns.iter().find(|(c, _)| *c == column).map(|(_, array)| array);
        let layout = self.layout;
        let located = |column: usize, fault: Fault| layout.located(file, batch.first, column, fault);
        let put = |target: &mut Target| match array(target.taken.column) {
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
    pub(super) fn finish(self, file: &Path) -> Result<FrameRows, DataError> {
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
        Cells::Words(words) => (size_of::<u32>() * words.ids().len()) as u64,
    }
}

impl Target {
    fn put(&mut self, array: &ArrayRef) -> Result<(), Fault> {
        if let [Cells::Words(words)] = &mut self.cells[..] {
            return array::words(array, self.fills, words);
        }
        let width = self.cells.len();
        let found: Vec<f64> = if self.taken.is_many {
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
}
