//! `.npy` arrays in pieces: rows that lie one after another.

use super::array::Array;
use super::{LABELS, LabelArray, Name, NpyConfig};
use crate::data::LabelColumn;
use crate::data::blocks::DataPart;
use crate::format::open::ByteSource;
use crate::format::pieces::{PieceSink, RowPiece, StreamedData, rows_of};
use crate::format::reading::Reading;
use crate::format::{DataError, Position};
use std::path::Path;

impl NpyConfig {
    /// Reads both parts in pieces; `None` where rows lie in an archive or column after column, or missing values are filled in.
    pub(in crate::format) fn in_pieces(
        &self,
        reading: &Reading<'_>,
        sink: &mut PieceSink<'_>,
    ) -> Result<Option<StreamedData>, DataError> {
        let test = self.test.as_deref().map(|path| (path, self.test_labels.as_deref()));
        let (Some(mut train), false) =
            (LabelledPart::open(&self.train, self.train_labels.as_deref())?, reading.encoding.is_some())
        else {
            return Ok(None);
        };
        let mut test = match test.map(|(path, labels)| LabelledPart::open(path, labels)).transpose()? {
            Some(None) => return Ok(None),
            other => other.flatten(),
        };
        if reading.cells.missing {
            return Ok(None);
        }
        let mut facts = StreamedData { image_shape: train.array.image_shape(), ..StreamedData::default() };
        let weights = self.row_weights(None, train.array.n_rows())?;
        let name = Name::of(self.arrays.labels.as_deref(), &[&LABELS]);
        train.pass(&name, &mut facts.notes, &mut |rows, features, labels| {
            let weights = weights.as_ref().map(|weights| weights[rows].to_vec());
            sink(DataPart::Train, RowPiece { features, labels, weights })
        })?;
        if let Some(test) = &mut test {
            if test.array.image_shape() != facts.image_shape {
                let problem = "rows are not of the shape that those of the train part have";
                return Err(DataError::content(test.path, Position::File, problem));
            }
            let name = Name::of(self.arrays.test_labels.as_deref(), &[]).or(&name);
            test.pass(&name, &mut facts.notes, &mut |_, features, labels| {
                sink(DataPart::Test, RowPiece { features, labels, weights: None })
            })?;
        }
        Ok(Some(facts))
    }
}

/// The rows of a part and the file of their labels.
struct LabelledPart<'a> {
    array: Array,
    path: &'a Path,
    labels: &'a Path,
}

type TakeRows<'t> =
    dyn FnMut(std::ops::Range<usize>, crate::data::Features<'static>, LabelColumn) -> Result<(), DataError> + 't;

impl<'a> LabelledPart<'a> {
    fn open(path: &'a Path, labels: Option<&'a Path>) -> Result<Option<Self>, DataError> {
        let source = ByteSource::open(path)?;
        let (Some(labels), true) = (labels, source.head().starts_with(b"\x93NUMPY")) else { return Ok(None) };
        let array = Array::begin(source)?;
        Ok(array.is_in_rows().then_some(Self { array, path, labels }))
    }

    fn pass(&mut self, name: &Name<'_>, notes: &mut Vec<String>, take: &mut TakeRows<'_>) -> Result<(), DataError> {
        let (n, together) = (self.array.n_rows(), rows_of(self.array.row_bytes()));
        let labels = LabelArray::of_file(self.labels, name)?.of_rows(n, self.path, notes)?;
        for first in (0..n).step_by(together) {
            let rows = first..(first + together).min(n);
            let features = self.array.next_rows(first, rows.len())?;
            let labels = LabelColumn::from_ids(labels.names().to_vec(), labels.ids()[rows.clone()].to_vec());
            take(rows, features, labels)?;
        }
        Ok(())
    }
}
