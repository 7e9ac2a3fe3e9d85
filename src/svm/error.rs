//! Anything that goes wrong between rows and a model.

use crate::data::EncodingError;
use crate::loss::{LabelOutOfRange, LossMisfit};
use crate::model::file::ModelFileError;
use crate::solver::SolveError;

/// Anything that goes wrong between rows and a model, each in a sentence.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SvmError {
    /// Rows that are ragged, empty or too many, and CSR arrays that do not fit each other.
    #[error("rows: found {found}, expected {expected}")]
    Shape {
        /// As it is.
        found: String,
        /// As it should be.
        expected: String,
    },
    /// A value that is NaN or infinite, or too large for single precision.
    #[error("row {row}, column {column}: found {found}, expected a finite number of single precision")]
    NotFinite {
        /// Counted from 0.
        row: usize,
        /// Counted from 0.
        column: usize,
        /// The value.
        found: f64,
    },
    /// Another number of labels than of rows.
    #[error("found {labels} labels for {rows} rows, expected one a row")]
    Labels {
        /// Number of rows.
        rows: usize,
        /// Number of labels.
        labels: usize,
    },
    /// A label that is not the index of a class.
    #[error(transparent)]
    LabelIndex(#[from] LabelOutOfRange),
    /// Rows of one class only.
    #[error("every label is `{0}`: expected two classes or more")]
    OneClass(String),
    /// A label that the model has no class for.
    #[error("label `{label}` of row {row} is not a class of the model; the classes are {classes}")]
    UnknownLabel {
        /// Counted from 0.
        row: usize,
        /// The label.
        label: String,
        /// The first classes of the model.
        classes: String,
    },
    /// Rows of another width than the model's.
    #[error("found rows of {found} features, expected {expected} as in training")]
    Width {
        /// Of the rows.
        found: usize,
        /// Of the model.
        expected: usize,
    },
    /// An option out of its range, or one that does not fit the data.
    #[error("{0}")]
    Option(String),
    /// A loss that does not fit the classes.
    #[error(transparent)]
    Loss(#[from] LossMisfit),
    /// The device is not there, or failed.
    #[error("{0}")]
    Device(String),
    /// The solver gave up.
    #[error(transparent)]
    Solve(#[from] SolveError),
    /// Gradient descent that left the finite numbers.
    #[error("the run diverged, seen at step {step}: lower the learning rate, or scale the features")]
    Diverged {
        /// The logged step.
        step: u64,
    },
    /// A table that does not fit the encoding of a model.
    #[error(transparent)]
    Encoding(#[from] EncodingError),
    /// A model file that cannot be read or written.
    #[error(transparent)]
    File(#[from] ModelFileError),
}
