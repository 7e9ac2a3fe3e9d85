//! Data: features as bytes, floats or sparse rows, labels with their names, splits, preprocessing and batches.
//!
//! Bytes stay bytes: an image set is never expanded as a whole, only batch by batch. Floats are single, and double only where single precision
//! would blur a column ([`precision`]). Imports only `device`, `bounded` and `durable`.

pub mod batch;
pub mod blocks;
pub mod encoding;
pub mod folds;
pub mod frame;
pub mod labels;
pub mod moments;
pub mod packed;
pub mod precision;
pub mod scale;
pub mod selection;
pub mod sparse;
pub mod split;

pub use encoding::{EncodedRows, Encoding, EncodingError, MissingConfig, MissingRule, UnseenCategories};
pub use folds::Fold;
pub use frame::{CellKind, Cells, Frame, FrameColumn};
pub use labels::{LabelColumn, class_totals};
pub use moments::Moments;
pub use scale::{Center, Scale, Scaler};
pub use selection::SelectedRows;
pub use sparse::{Csr, make_room};
pub use split::{Holdout, Split, SplitConfig, SplitMethod, sample};

use std::borrow::Cow;

/// Streams of the one seeded generator: each use draws from its own, so that none disturbs another.
pub mod streams {
    /// Initial weights.
    pub const INIT: u64 = 0;
    /// Minibatches.
    pub const SAMPLING: u64 = 1;
    /// Splits.
    pub const SPLIT: u64 = 2;
    /// Gradient checks.
    pub const GRADCHECK: u64 = 3;
    /// The rows on which the training accuracy is estimated during a run.
    pub const ESTIMATE: u64 = 4;
    /// The trials of a random search.
    pub const TRIALS: u64 = 5;
    /// The order of blocks.
    pub const BLOCKS: u64 = 6;
    /// The folds of a search, a stream for each repetition from here on.
    pub const FOLDS: u64 = 1 << 32;
}

/// A row-major dense matrix, owned or borrowed.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense<'a, T: Clone> {
    n_features: usize,
    values: Cow<'a, [T]>,
}

impl<'a, T: Copy> Dense<'a, T> {
    /// Wraps row-major `values`, `n_features` to a row.
    ///
    /// # Panics
    /// When the number of values is no multiple of `n_features` (a programming error; readers check files).
    #[must_use]
    pub fn new(n_features: usize, values: Vec<T>) -> Self {
        Self::of(n_features, Cow::Owned(values))
    }

    /// Wraps row-major `values`, owned or borrowed, as [`Dense::new`].
    pub(crate) fn of(n_features: usize, values: Cow<'a, [T]>) -> Self {
        assert!(
            n_features > 0 && values.len().is_multiple_of(n_features),
            "{} values do not fill rows of {n_features}",
            values.len()
        );
        Self { n_features, values }
    }

    /// Number of rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.values.len() / self.n_features
    }

    /// Number of columns.
    #[must_use]
    pub const fn n_features(&self) -> usize {
        self.n_features
    }

    /// Row `i`.
    #[must_use]
    pub fn row(&self, i: usize) -> &[T] {
        &self.values[i * self.n_features..(i + 1) * self.n_features]
    }

    /// Appends the rows of `other`, which has as many columns.
    pub fn append(&mut self, other: &Dense<'_, T>) {
        let values = self.values.to_mut();
        values.reserve_exact(other.values.len());
        values.extend_from_slice(&other.values);
    }

    /// The same matrix, borrowed.
    #[must_use]
    pub fn borrowed(&self) -> Dense<'_, T> {
        Dense { n_features: self.n_features, values: Cow::Borrowed(&self.values) }
    }

    /// All values, row after row.
    #[must_use]
    pub fn values(&self) -> &[T] {
        &self.values
    }
}

/// A feature matrix `[n_samples, n_features]` in the form in which it lies in memory.
#[derive(Debug, Clone, PartialEq)]
pub enum Features<'a> {
    /// Bytes, as images have them; cast batch by batch.
    U8(Dense<'a, u8>),
    /// Single-precision floats.
    F32(Dense<'a, f32>),
    /// Double-precision floats, where single precision would blur a column.
    F64(Dense<'a, f64>),
    /// Sparse rows.
    Sparse(Csr<'a>),
}

impl Features<'_> {
    /// The same matrix, borrowed.
    #[must_use]
    pub fn borrowed(&self) -> Features<'_> {
        match self {
            Self::U8(d) => Features::U8(d.borrowed()),
            Self::F32(d) => Features::F32(d.borrowed()),
            Self::F64(d) => Features::F64(d.borrowed()),
            Self::Sparse(s) => Features::Sparse(s.borrowed()),
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        match self {
            Self::U8(d) => d.n_rows(),
            Self::F32(d) => d.n_rows(),
            Self::F64(d) => d.n_rows(),
            Self::Sparse(s) => s.n_rows(),
        }
    }

    /// Number of columns.
    #[must_use]
    pub const fn n_features(&self) -> usize {
        match self {
            Self::U8(d) => d.n_features(),
            Self::F32(d) => d.n_features(),
            Self::F64(d) => d.n_features(),
            Self::Sparse(s) => s.n_features(),
        }
    }

    /// Bytes of the cells in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::U8(d) => d.values().len(),
            Self::F32(d) => size_of_val(d.values()),
            Self::F64(d) => size_of_val(d.values()),
            // A number and its feature.
            Self::Sparse(s) => 8 * s.nnz(),
        }
    }

    /// Sparse rows of which at least the share [`sparse::DENSE`] of the cells is stored, as dense rows.
    #[must_use]
    pub fn densified(self) -> Self {
        match self {
            Self::Sparse(s) if s.n_features() > 0 && s.density() >= sparse::DENSE => {
                Self::F32(Dense::new(s.n_features(), s.to_dense()))
            }
            other => other,
        }
    }

    /// `u8`, `f32`, `f64` or `sparse`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::U8(_) => "u8",
            Self::F32(_) => "f32",
            Self::F64(_) => "f64",
            Self::Sparse(_) => "sparse",
        }
    }

    /// Calls `visit(column, value)` for every cell of row `i` that is stored (all of them when dense).
    pub fn for_each_cell(&self, i: usize, mut visit: impl FnMut(usize, f64)) {
        match self {
            Self::U8(d) => d.row(i).iter().enumerate().for_each(|(j, &v)| visit(j, f64::from(v))),
            Self::F32(d) => d.row(i).iter().enumerate().for_each(|(j, &v)| visit(j, f64::from(v))),
            Self::F64(d) => d.row(i).iter().enumerate().for_each(|(j, &v)| visit(j, v)),
            Self::Sparse(s) => {
                let (indices, values) = s.row(i);
                indices.iter().zip(values).for_each(|(&j, &v)| visit(j as usize, f64::from(v)));
            }
        }
    }
}

/// Height, width and channels of an image, for the pictures that are drawn from weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ImageShape {
    /// Channels; planes one after another within a row (1 grey, 3 red, green, blue).
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Columns of pixels.
    pub width: usize,
}

/// A labelled data set: the rows of the train part first, then those of the test part that the data brings, if any.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// All rows; of a table that has to be encoded, no columns before it is.
    pub features: Features<'static>,
    /// The rows as they came, where they have to be encoded: text, missing values, dates.
    pub frame: Option<Frame>,
    /// The encoding that made `features` of `frame`.
    pub encoding: Option<Encoding>,
    /// A class index a row, in `0..class_names.len()`.
    pub labels: Vec<u32>,
    /// Names in column order.
    pub class_names: Vec<String>,
    /// Rows `0..n_train` are the train part, the rest the test part.
    pub n_train: usize,
    /// A weight a row, finite and not negative, of which training rows make use; `None` where all are 1.
    pub weights: Option<Vec<f32>>,
    /// The names of the features, where the data has them.
    pub feature_names: Option<Vec<String>>,
    /// For image data.
    pub image_shape: Option<ImageShape>,
    /// Remarks for the user (features of the test part that train does not have, ...).
    pub notes: Vec<String>,
}

impl Dataset {
    /// The data with its frame encoded, and the features named as the encoding names them; the frame itself is not copied.
    ///
    /// # Errors
    /// [`EncodingError`] where a cell does not fit the encoding.
    pub fn encoded(&self, encoding: Encoding) -> Result<(Self, Vec<UnseenCategories>), EncodingError> {
        let Some(frame) = &self.frame else { return Ok((self.clone(), Vec::new())) };
        let EncodedRows { features, unseen } = encoding.apply(frame)?;
        let data = Self {
            features,
            frame: None,
            feature_names: Some(encoding.names()),
            encoding: Some(encoding),
            labels: self.labels.clone(),
            class_names: self.class_names.clone(),
            n_train: self.n_train,
            weights: self.weights.clone(),
            image_shape: self.image_shape,
            notes: self.notes.clone(),
        };
        Ok((data, unseen))
    }

    /// Number of classes.
    #[must_use]
    pub fn n_classes(&self) -> usize {
        self.class_names.len()
    }
}
