//! Tables as they come: named columns of numbers, dates and words, some cells missing.

use super::{Csr, Features, LabelColumn};
use serde::{Deserialize, Serialize};

/// Kind of the cells of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellKind {
    /// Numbers and truth values (1 and 0).
    #[default]
    Number,
    /// Dates, as days since 1970-01-01.
    Date,
    /// Dates with a time of day, as seconds since 1970-01-01 00:00 UTC.
    Time,
    /// Words, the names of categories.
    Text,
}

/// Cells of a column, one a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cells {
    /// Numbers, NaN where one is missing.
    Numbers(Vec<f64>),
    /// Words, the empty one where one is missing.
    Words(LabelColumn),
}

impl Cells {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(values) => values.len(),
            Self::Words(words) => words.len(),
        }
    }

    /// True where there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the cell of a row is missing.
    #[must_use]
    pub fn is_missing(&self, row: usize) -> bool {
        match self {
            Self::Numbers(values) => values[row].is_nan(),
            Self::Words(words) => words.name(row).is_empty(),
        }
    }
}

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameColumn {
    /// The name, where the table has names.
    pub name: Option<String>,
    /// Kind of its cells; [`CellKind::Text`] for words, and for nothing else.
    pub kind: CellKind,
    /// One a row.
    pub cells: Cells,
}

impl FrameColumn {
    /// A named column of numbers, NaN where one is missing.
    #[must_use]
    pub fn numbers(name: impl Into<String>, values: Vec<f64>) -> Self {
        Self { name: Some(name.into()), kind: CellKind::Number, cells: Cells::Numbers(values) }
    }

    /// A named column of words; `None` and the empty word are missing.
    pub fn words<S: AsRef<str>>(name: impl Into<String>, words: impl IntoIterator<Item = Option<S>>) -> Self {
        let mut column = LabelColumn::new();
        words.into_iter().for_each(|word| column.push(word.as_ref().map_or("", AsRef::as_ref)));
        Self { name: Some(name.into()), kind: CellKind::Text, cells: Cells::Words(column) }
    }
}

/// A table of columns with the same number of rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Frame {
    columns: Vec<FrameColumn>,
    n_rows: usize,
}

impl Frame {
    /// A table of columns; `None` where there is none, or where they differ in their number of rows.
    #[must_use]
    pub fn new(columns: Vec<FrameColumn>) -> Option<Self> {
        let n_rows = columns.first()?.cells.len();
        let fits = |c: &FrameColumn| {
            c.cells.len() == n_rows && (c.kind == CellKind::Text) == matches!(c.cells, Cells::Words(_))
        };
        columns.iter().all(fits).then_some(Self { columns, n_rows })
    }

    /// Number of rows.
    #[must_use]
    pub const fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// As many rows without a column, the features of a table that is not encoded yet.
    #[must_use]
    pub fn unencoded(&self) -> Features<'static> {
        let mut rows = Csr::with_capacity(self.n_rows, 0);
        (0..self.n_rows).for_each(|_| rows.finish_row());
        Features::Sparse(rows)
    }

    /// The columns in order.
    #[must_use]
    pub fn columns(&self) -> &[FrameColumn] {
        &self.columns
    }

    /// The names of the columns, where all have one.
    #[must_use]
    pub fn names(&self) -> Option<Vec<String>> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// Replaces columns of words by the one that `other` makes of each, where it makes one.
    pub fn replace_words(&mut self, mut other: impl FnMut(usize, &LabelColumn) -> Option<LabelColumn>) {
        for (at, column) in self.columns.iter_mut().enumerate() {
            if let Cells::Words(words) = &mut column.cells
                && let Some(replaced) = other(at, words).filter(|replaced| replaced.len() == words.len())
            {
                *words = replaced;
            }
        }
    }

    /// Puts the rows of a table with the same columns below its own.
    ///
    /// # Panics
    /// When it has other columns (a programming error; readers check files).
    pub fn append(&mut self, other: Self) {
        assert_eq!(self.columns.len(), other.columns.len(), "tables of other columns");
        for (own, other) in self.columns.iter_mut().zip(other.columns) {
            match (&mut own.cells, other.cells) {
                (Cells::Numbers(own), Cells::Numbers(other)) => own.extend(other),
                (Cells::Words(own), Cells::Words(other)) => own.append(&other),
                _ => panic!("columns of another kind"),
            }
        }
        self.n_rows += other.n_rows;
    }
}
