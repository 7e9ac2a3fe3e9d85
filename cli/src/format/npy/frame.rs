//! Arrays as tables whose missing values are filled in, and arrays that are carried along.

use super::array::{Array, MissingCells};
use super::{Name, zip};
use crate::data::{CellKind, Cells, Encoding, Features, Frame, FrameColumn};
use crate::format::columns::ColumnRef;
use crate::format::known::KnownColumns;
use crate::format::reading::encoding_error;
use crate::format::{DataError, KeptColumn, Position, Table, quote};
use rayon::prelude::*;
use std::path::Path;

/// Columns of numbers without names, NaN where one is missing.
pub(super) fn of_array(array: Array, file: &Path) -> Result<Frame, DataError> {
    let (features, _) = array.with(MissingCells::Kept).features(true)?;
    let (n_rows, width) = (features.n_rows(), features.n_features());
    crate::format::limit::check(file, (n_rows as u64).saturating_mul(16 * width as u64))?;
    let column = |j: usize| {
        let values = match &features {
            Features::F64(rows) => (0..n_rows).map(|row| rows.row(row)[j]).collect(),
            Features::F32(rows) => (0..n_rows).map(|row| rows.row(row)[j].into()).collect(),
            Features::U8(rows) => (0..n_rows).map(|row| rows.row(row)[j].into()).collect(),
            Features::Sparse(_) => Vec::new(),
        };
        FrameColumn { name: None, kind: CellKind::Number, cells: Cells::Numbers(values) }
    };
    Ok(Frame::new((0..width).into_par_iter().map(column).collect()).unwrap_or_default())
}

/// Rows as a model encodes them.
pub(super) fn encoded(array: Array, encoding: &Encoding) -> Result<Table, DataError> {
    let file = array.file().to_path_buf();
    let frame = of_array(array, &file)?;
    let known = KnownColumns::of_encoding(encoding);
    known.fit(frame.columns().len(), &file)?;
    if let Some(at) = known.kinds.iter().position(|kind| *kind != CellKind::Number) {
        let name = known.names.as_ref().map_or_else(|| format!("{}", at + 1), |names| quote(&names[at]));
        let problem = format!("found an array of numbers, but column {name} of the model holds words or dates");
        return Err(DataError::content(&file, Position::File, problem)
            .with_hint("give the table itself: csv, Parquet or Arrow"));
    }
    let encoded = encoding.apply(&frame).map_err(|e| encoding_error(&file, &e))?;
    Ok(Table::of(encoded.features))
}

/// The error about sparse rows in the place of a table.
pub(super) fn no_table(file: &Path) -> DataError {
    let problem = "found sparse rows, expected an array, as the model was trained on";
    DataError::content(file, Position::File, problem).with_hint("save x.toarray()")
}

/// The error about a column of a single array.
pub(super) fn nothing_to_keep(array: &Array) -> DataError {
    let problem = "--keep: found one array, which has no column to keep";
    DataError::content(array.file(), Position::File, problem)
        .with_hint("numpy.savez(file, x=x, id=ids) has columns beside the rows")
}

/// The arrays of an archive that are carried along.
pub(super) fn kept(archive: &zip::Archive, keep: &[ColumnRef], n_rows: usize) -> Result<Vec<KeptColumn>, DataError> {
    let column = |column: &ColumnRef| {
        let name = column.name();
        let array = Name::of(Some(&name), &[]).pick(archive, "cells to keep", "")?.column()?;
        if array.len() == n_rows {
            return Ok(KeptColumn::of_array(name, array));
        }
        let problem = format!("--keep: array {} has {} cells, expected {n_rows}, one a row", quote(&name), array.len());
        Err(DataError::content(archive.file(), Position::File, problem).with_hint("name an array beside the rows"))
    };
    keep.iter().map(column).collect()
}
