//! The rows of a test part below those of train.

use super::DataError;
use super::Position;
use crate::data::Features;
use std::path::Path;

/// Appends rows, which have to have the features of train; sparse ones are cut or widened.
pub(super) fn append_rows(
    train: &mut Features<'_>,
    test: Features<'_>,
    file: &Path,
    notes: &mut Vec<String>,
) -> Result<(), DataError> {
    let (width, test_width) = (train.n_features(), test.n_features());
    let mismatch = |problem| Err(DataError::content(file, Position::File, problem));
    match (train, test) {
        (Features::Sparse(train), Features::Sparse(mut test)) => {
            notes.extend(dropped(file, test.set_n_features(width), width, test_width));
            train.append(&test);
            Ok(())
        }
        (
            Features::U8(_) | Features::F32(_) | Features::F64(_),
            Features::U8(_) | Features::F32(_) | Features::F64(_),
        ) if width != test_width => {
            mismatch(format!("rows have {test_width} features, expected {width} as in the train part"))
        }
        (Features::U8(train), Features::U8(test)) => {
            train.append(&test);
            Ok(())
        }
        (Features::F32(train), Features::F32(test)) => {
            train.append(&test);
            Ok(())
        }
        (Features::F64(train), Features::F64(test)) => {
            train.append(&test);
            Ok(())
        }
        (train, test) => {
            mismatch(format!("values are {}, expected {} as in the train part", test.kind(), train.kind()))
        }
    }
}

/// The note about cells of a test part that lie beyond the features of train.
pub(super) fn dropped(file: &Path, cells: usize, width: usize, test_width: usize) -> Option<String> {
    let columns =
        if test_width == width + 1 { format!("{test_width}") } else { format!("{} to {test_width}", width + 1) };
    let noun = if cells == 1 { "cell" } else { "cells" };
    let note =
        || format!("{}: dropped {cells} {noun} of features {columns}, which train does not have", file.display());
    (cells > 0).then(note)
}
