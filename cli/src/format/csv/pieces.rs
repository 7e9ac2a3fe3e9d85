//! csv text in pieces.

use super::CsvConfig;
use super::parse::RowSink;
use super::row::{RecordRows, RowLayout};
use crate::data::blocks::DataPart;
use crate::data::precision::blurred;
use crate::format::DataError;
use crate::format::columns::Role;
use crate::format::float::Float;
use crate::format::open::ByteSource;
use crate::format::pieces::{PieceSink, RowPiece, StreamedData};
use crate::format::reading::Reading;
use std::path::Path;

/// Rows that are passed on as they are parsed.
struct Passing<'a, 'b> {
    part: DataPart,
    sink: &'a mut PieceSink<'b>,
    width: usize,
    is_weighted: bool,
    n_rows: usize,
}

impl<T: Float> RowSink<T> for Passing<'_, '_> {
    fn put(&mut self, pieces: Vec<RecordRows<T>>) -> Result<(), DataError> {
        for RecordRows { values, labels, weights, n_rows, .. } in pieces {
            self.n_rows += n_rows;
            let weights = self.is_weighted.then_some(weights);
            (self.sink)(self.part, RowPiece { features: T::features(self.width, values), labels, weights })?;
        }
        Ok(())
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn n_rows(&self) -> usize {
        self.n_rows
    }
}

impl CsvConfig {
    /// Reads both parts in pieces; `None` where there is something to encode.
    pub(in crate::format) fn in_pieces(
        &self,
        reading: &Reading<'_>,
        sink: &mut PieceSink<'_>,
    ) -> Result<Option<StreamedData>, DataError> {
        let mut facts = StreamedData::default();
        if self.is_encoded(reading) || reading.encoding.is_some() {
            return Ok(None);
        }
        let mut double = None;
        if !self.part_in_pieces(DataPart::Train, &self.train, &mut facts, &mut double, sink)? {
            return Ok(None);
        }
        if let Some(test) = &self.test {
            self.part_in_pieces(DataPart::Test, test, &mut facts, &mut double, sink)?;
        }
        Ok(Some(facts))
    }

    /// Reads a part; false where it has to be encoded, before anything was passed on.
    fn part_in_pieces(
        &self,
        part: DataPart,
        path: &Path,
        facts: &mut StreamedData,
        double: &mut Option<bool>,
        sink: &mut PieceSink<'_>,
    ) -> Result<bool, DataError> {
        self.check(path)?;
        let is_train = part == DataPart::Train;
        let names = facts.feature_names.clone();
        let mut opened = self.opened(ByteSource::open(path)?, names.as_deref(), names.is_some())?;
        if is_train && super::has_dates(&opened) {
            return Ok(false);
        }
        if is_train {
            facts.notes.extend(opened.note.take());
            for column in &opened.plan.nameless {
                facts.notes.push(format!("{}: column {column} has no name and is left out", path.display()));
            }
            facts.feature_names.clone_from(&opened.plan.feature_names);
        }
        let layout = RowLayout::plain(opened.plan.clone(), false);
        let double = match *double {
            Some(double) => double,
            None => *double.insert(!blurred(&opened.beginning(&layout)?).is_empty()),
        };
        let (width, is_weighted) = (layout.n_numbers, layout.plan.has(Role::Weight));
        let mut rows = Passing { part, sink, width, is_weighted, n_rows: 0 };
        if double {
            opened.rows::<f64>(&layout, &mut rows)?
        } else {
            opened.rows::<f32>(&layout, &mut rows)?
        }
        Ok(true)
    }
}
