//! Columns of a table that has to be encoded: those of a train part, or of a model, and the rows of such a table.

use super::labels::{Classes, class_names};
use super::reading::CellRules;
use super::{DataError, Position};
use crate::data::encoding::{Code, EncodedColumn};
use crate::data::{CellKind, Cells, Encoding, Frame, FrameColumn, LabelColumn};
use std::path::Path;

/// Rows of a table that has to be encoded.
pub(super) struct FrameRows {
    pub(super) frame: Frame,
    pub(super) labels: LabelColumn,
    pub(super) weights: Option<Vec<f32>>,
}

impl FrameRows {
    /// One spelling of each category: where all are numbers, or all truth values, as labels are spelt.
    pub(super) fn spelt(mut self) -> Self {
        self.frame.replace_words(|_, words| Some(Classes::new(&categories(words)).named(words).into_owned()));
        self
    }

    /// Categories as they are spelt in known columns.
    pub(super) fn spelt_as(mut self, known: &KnownColumns) -> Self {
        self.frame.replace_words(|at, words| Some(Classes::new(&known.categories[at]).named(words).into_owned()));
        self
    }
}

/// Columns that a table must have.
pub(super) struct KnownColumns {
    /// Their names, where they have names.
    pub(super) names: Option<Vec<String>>,
    pub(super) kinds: Vec<CellKind>,
    /// Whether missing values are filled.
    pub(super) fills: Vec<bool>,
    /// The categories of each column of words, by which others are spelt.
    categories: Vec<Vec<String>>,
    pub(super) of_model: bool,
}

impl KnownColumns {
    /// Those of a train part.
    pub(super) fn of_frame(frame: &Frame, rules: CellRules) -> Self {
        let categories = |column: &FrameColumn| match &column.cells {
            Cells::Words(words) => categories(words),
            Cells::Numbers(_) => Vec::new(),
        };
        Self {
            names: frame.names(),
            kinds: frame.columns().iter().map(|column| column.kind).collect(),
            fills: vec![rules.missing; frame.columns().len()],
            categories: frame.columns().iter().map(categories).collect(),
            of_model: false,
        }
    }

    /// Those of a model.
    pub(super) fn of_encoding(encoding: &Encoding) -> Self {
        let categories = |column: &EncodedColumn| match &column.code {
            Code::Category { names, .. } => names.clone(),
            Code::Number { .. } => Vec::new(),
        };
        Self {
            names: encoding.column_names(),
            kinds: encoding.columns().iter().map(EncodedColumn::kind).collect(),
            fills: encoding.columns().iter().map(EncodedColumn::fills).collect(),
            categories: encoding.columns().iter().map(categories).collect(),
            of_model: true,
        }
    }

    /// Refuses another number of columns.
    pub(super) fn fit(&self, found: usize, file: &Path) -> Result<(), DataError> {
        let expected = self.kinds.len();
        if found == expected {
            return Ok(());
        }
        let problem = format!("found {found} columns of features, expected {expected}");
        Err(DataError::content(file, Position::File, problem)
            .with_hint("columns are matched by name where both the training data and this file have a header"))
    }
}

/// The error about a table without a feature.
pub(super) fn none(file: &Path) -> DataError {
    DataError::content(file, Position::File, "found no column of features")
}

fn categories(words: &LabelColumn) -> Vec<String> {
    let mut there = LabelColumn::new();
    words.names().iter().filter(|name| !name.is_empty()).for_each(|name| there.push(name));
    class_names(&there)
}
