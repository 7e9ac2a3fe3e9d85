//! Precision of the floats of a file: single, unless that would blur a column.

use super::DataError;
use crate::data::Features;
use crate::data::precision::blurred;
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
