//! The content of one file.

use super::KeptColumn;
use crate::data::{Features, ImageShape, LabelColumn};

/// The content of one file: rows, labels where it has them, and the shape where the rows are images.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// One row a sample.
    pub features: Features<'static>,
    /// One label a row; `None` for a file without labels.
    pub labels: Option<LabelColumn>,
    /// For image formats.
    pub image_shape: Option<ImageShape>,
    /// The classes in column order where the format itself names them (CIFAR's `batches.meta.txt`); else the labels decide.
    pub class_names: Option<Vec<String>>,
    /// Remarks for the user.
    pub notes: Vec<String>,
    /// Columns that are carried along, as they were asked for.
    pub kept: Vec<KeptColumn>,
}

impl Table {
    /// Rows, and nothing beside them.
    #[must_use]
    pub const fn of(features: Features<'static>) -> Self {
        Self { features, labels: None, image_shape: None, class_names: None, notes: Vec::new(), kept: Vec::new() }
    }
}
