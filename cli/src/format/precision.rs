//! Precision of the floats of a file: single, unless that would blur a column.

use super::append::dropped;
use super::float::Float;
use super::{DataError, limit};
use crate::data::precision::{blurred, blurred_cells};
use crate::data::sparse::DENSE;
use crate::data::{Csr, Features};
use std::path::Path;

/// The precision in which the floats of a file are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FloatType {
    /// Single.
    #[default]
    F32,
    /// Double.
    F64,
    /// Double where single would blur a column.
    Auto,
}

impl FloatType {
    /// Double or single.
    #[must_use]
    pub const fn of(double: bool) -> Self {
        if double { Self::F64 } else { Self::F32 }
    }

    /// The one of features that were read.
    pub(super) const fn of_features(features: &Features) -> Self {
        Self::of(matches!(features, Features::F64(_)))
    }

    /// Reads floats and what comes with them; `read` is told whether in double precision, and is asked twice where it can `again` and
    /// the first reading is `doubtful`: ordinary files are never held in double precision.
    pub(super) fn read<R>(
        self,
        again: bool,
        mut read: impl FnMut(bool) -> Result<(Features<'static>, R), DataError>,
        doubtful: impl Fn(&Features, &R) -> bool,
    ) -> Result<(Features<'static>, R), DataError> {
        match self {
            Self::F32 => read(false),
            Self::F64 => read(true),
            Self::Auto if again => {
                let found = read(false)?;
                if !doubtful(&found.0, &found.1) {
                    return Ok(found);
                }
                let double = read(true)?;
                Ok(if blurred(&double.0).is_empty() { found } else { double })
            }
            Self::Auto => read(true).map(|(features, rest)| (features.settled(), rest)),
        }
    }
}

/// Whether a path can be read twice, as a pipe cannot.
pub(super) fn is_regular(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file())
}

/// Sparse rows as dense ones in double precision; cells beyond the width are dropped, with a note.
pub(super) fn dense_in_double(
    mut rows: Csr<'static, u32, f64>,
    width: Option<usize>,
    file: &Path,
    notes: &mut Vec<String>,
) -> Result<Features<'static>, DataError> {
    let found = rows.n_features();
    let width = width.unwrap_or(found);
    notes.extend(dropped(file, rows.set_n_features(width), width, found));
    limit::check(file, (width as u64).saturating_mul(8 * rows.n_rows() as u64))?;
    Ok(f64::features(width, rows.to_dense()))
}

/// Dense rows in double precision where single would blur a column and most cells are stored; a note where few are.
pub(super) fn exact(
    rows: Csr<'static, u32, f64>,
    file: &Path,
    notes: &mut Vec<String>,
) -> Result<Option<Features<'static>>, DataError> {
    let blurred = blurred_cells(&rows);
    let Some(first) = blurred.first() else { return Ok(None) };
    if rows.density() >= DENSE {
        return dense_in_double(rows, None, file, notes).map(Some);
    }
    let more = if blurred.len() > 1 { format!(" (and {} more)", blurred.len() - 1) } else { String::new() };
    notes.push(format!(
        "{}: feature {}{more} differs by less than its values are rounded by in single precision, in which sparse rows are kept: \
         subtract a constant from it, or write the rows as csv",
        file.display(),
        first + 1
    ));
    Ok(None)
}
