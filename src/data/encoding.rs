//! Numbers out of a table: missing values filled, categories one-hot, fitted on training rows and kept in the model.
//!
//! ```text
//! age        →  age, and `age is missing` (1 or 0) where an indicator is asked for and training rows lack values
//! species    →  species=Adelie, species=Gentoo, ... (one of them 1, the others 0)
//! ```
//!
//! Rules. A missing number becomes the mean, the median or the most frequent value of the training rows (the smallest of several; 0
//! where they have none). A missing word becomes the most frequent category, or with an indicator a category of its own,
//! `species is missing`, where training rows lack words. A category that the training rows do not have is unseen: all its columns are 0.
//! The rows are dense where at least [`super::sparse::DENSE`] of the cells are not zero, else sparse.

mod encoder;

use super::Features;
use super::frame::{CellKind, Cells, Frame, FrameColumn};
use super::labels::{LabelColumn, in_order};
use super::precision::blurs;
use encoder::{Encoder, feed};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Treatment of missing values: `missing` of the `[preprocess]` table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingRule {
    /// They are refused.
    #[default]
    Error,
    /// The mean of a column of numbers.
    Mean,
    /// The median of a column of numbers, the mean of the middle two of an even number.
    Median,
    /// The most frequent value.
    MostFrequent,
}

/// Treatment of missing values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MissingConfig {
    /// Replacement of missing values.
    pub rule: MissingRule,
    /// Whether a column says where they were.
    pub indicator: bool,
}

/// Encoding of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// One column of numbers, and perhaps an indicator.
    Number {
        /// Kind of the cells.
        kind: CellKind,
        /// Origin that is subtracted in double precision, a whole number: 0 unless single precision would blur the column.
        origin: f64,
        /// Whether the features are kept in double precision for its sake.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        double: bool,
        /// Replacement of a missing value, less the origin; `None` if they are refused.
        fill: Option<f32>,
        /// Whether a column says where values were missing.
        indicator: bool,
    },
    /// A column for each category.
    Category {
        /// The categories in order.
        names: Vec<String>,
        /// The one that a missing word becomes, by position; `names.len()` where that is a category of its own; none where missing words
        /// are refused.
        fill: Option<usize>,
    },
}

/// A column and its encoding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EncodedColumn {
    /// The name, where the table has names.
    pub name: Option<String>,
    /// Its encoding.
    pub code: Code,
}

impl EncodedColumn {
    /// Features that it becomes.
    fn width(&self) -> usize {
        match &self.code {
            Code::Number { indicator, .. } => 1 + usize::from(*indicator),
            Code::Category { names, fill } => names.len() + usize::from(*fill == Some(names.len())),
        }
    }

    /// Kind of its cells.
    #[must_use]
    pub const fn kind(&self) -> CellKind {
        match self.code {
            Code::Number { kind, .. } => kind,
            Code::Category { .. } => CellKind::Text,
        }
    }

    /// Whether a missing value is filled.
    #[must_use]
    pub const fn fills(&self) -> bool {
        matches!(self.code, Code::Number { fill: Some(_), .. } | Code::Category { fill: Some(_), .. })
    }
}

/// Encodings of all columns of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Encoding {
    columns: Vec<EncodedColumn>,
}

/// A table that does not fit an encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodingError {
    /// A missing cell where none may be.
    #[error("row {row}, column `{column}`: the value is missing")]
    Missing {
        /// Counted from 0.
        row: usize,
        /// Its name.
        column: String,
    },
    /// A number that is infinite, or too large for single precision.
    #[error("row {row}, column `{column}`: found a number that is not finite in single precision")]
    NotFinite {
        /// Counted from 0.
        row: usize,
        /// Its name.
        column: String,
    },
    /// A column that is not there, or of another kind.
    #[error("column `{column}`: found {found}, expected {expected}")]
    Column {
        /// Its name.
        column: String,
        /// As it is.
        found: &'static str,
        /// As it should be.
        expected: &'static str,
    },
}

/// Categories of a column that training rows do not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnseenCategories {
    /// The column.
    pub column: String,
    /// The first of them.
    pub first: String,
    /// Rows that have such a category.
    pub rows: usize,
}

/// The features of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct EncodedRows {
    /// One row a row of the table.
    pub features: Features<'static>,
    /// By column.
    pub unseen: Vec<UnseenCategories>,
}

impl Encoding {
    /// Fits on some `rows` of a table.
    ///
    /// # Errors
    /// [`EncodingError`] for a missing cell in these rows where missing values are refused.
    pub fn fit(frame: &Frame, rows: &[u32], missing: MissingConfig) -> Result<Self, EncodingError> {
        let columns = frame.columns().par_iter().enumerate().map(|(at, column)| {
            let lacks = rows.iter().find(|&&row| column.cells.is_missing(row as usize));
            if let (Some(&row), MissingRule::Error) = (lacks, missing.rule) {
                return Err(EncodingError::Missing { row: row as usize, column: shown(column.name.as_deref(), at) });
            }
            let code = match &column.cells {
                Cells::Numbers(values) => number(values, rows, column.kind, missing, lacks.is_some()),
                Cells::Words(words) => category(words, rows, missing, lacks.is_some()),
            };
            Ok(EncodedColumn { name: column.name.clone(), code })
        });
        let mut encoding = Self { columns: columns.collect::<Result<_, _>>()? };
        if encoding.is_double() && !encoding.encoder(frame, &mut Vec::new()).is_ok_and(|encoder| encoder.is_dense()) {
            // Sparse rows are in single precision.
            for column in &mut encoding.columns {
                if let Code::Number { double, .. } = &mut column.code {
                    *double = false;
                }
            }
        }
        Ok(encoding)
    }

    /// Whether the features are in double precision.
    #[must_use]
    pub fn is_double(&self) -> bool {
        self.columns.iter().any(|column| matches!(column.code, Code::Number { double: true, .. }))
    }

    /// The columns of the table, each with what becomes of it.
    #[must_use]
    pub fn columns(&self) -> &[EncodedColumn] {
        &self.columns
    }

    /// The names of the columns of the table, where all have one.
    #[must_use]
    pub fn column_names(&self) -> Option<Vec<String>> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// Number of features.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.columns.iter().map(EncodedColumn::width).sum()
    }

    /// The names of the features: `age`, `age is missing`, `species=Adelie`.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut all = Vec::with_capacity(self.n_features());
        for (at, column) in self.columns.iter().enumerate() {
            let name = shown(column.name.as_deref(), at);
            let missing = || format!("{name} is missing");
            match &column.code {
                Code::Number { indicator, .. } => {
                    all.push(name.clone());
                    all.extend(indicator.then(missing));
                }
                Code::Category { names, fill } => {
                    all.extend(names.iter().map(|category| format!("{name}={category}")));
                    all.extend((*fill == Some(names.len())).then(missing));
                }
            }
        }
        all
    }

    /// The features that are 1 or 0: categories and indicators. They are neither centred nor scaled.
    pub fn binary(&self) -> impl Iterator<Item = usize> + '_ {
        let mut at = 0;
        self.columns.iter().flat_map(move |column| {
            let first = at;
            at += column.width();
            first + usize::from(matches!(column.code, Code::Number { .. }))..at
        })
    }

    /// The origins that are not 0, with their features.
    pub fn origins(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        let mut next = 0;
        self.columns.iter().filter_map(move |column| {
            let at = next;
            next += column.width();
            match column.code {
                Code::Number { origin, .. } if origin != 0.0 => Some((at, origin)),
                _ => None,
            }
        })
    }

    /// Whether it can be that of a model with so many features: checked of what a file says.
    #[must_use]
    pub fn is_sound(&self, n_features: usize) -> bool {
        let sound = |column: &EncodedColumn| match &column.code {
            Code::Number { kind, origin, fill, .. } => {
                *kind != CellKind::Text && origin.is_finite() && fill.is_none_or(f32::is_finite)
            }
            Code::Category { names, fill } => fill.is_none_or(|fill| fill <= names.len()),
        };
        self.columns.iter().all(sound) && self.n_features() == n_features
    }

    /// The features of a table; its columns are found by name where both have names, else in order.
    ///
    /// # Errors
    /// [`EncodingError`] where a column is not there or of another kind, and where a cell is missing that may not be.
    pub fn apply(&self, frame: &Frame) -> Result<EncodedRows, EncodingError> {
        let mut unseen = Vec::new();
        let encoder = self.encoder(frame, &mut unseen)?;
        let features = if self.is_double() { encoder.in_double() } else { encoder.features() };
        Ok(EncodedRows { features, unseen })
    }

    fn encoder<'f>(&self, frame: &'f Frame, unseen: &mut Vec<UnseenCategories>) -> Result<Encoder<'f>, EncodingError> {
        let mut feeds = Vec::with_capacity(self.columns.len());
        for (at, column) in self.columns.iter().enumerate() {
            let found = self.find(frame, at)?;
            feeds.push(feed(column, found, at, unseen)?);
        }
        let widths: Vec<usize> = self.columns.iter().map(EncodedColumn::width).collect();
        Ok(Encoder { feeds, widths, n_rows: frame.n_rows(), n_features: self.n_features() })
    }

    /// The column of a table for the column at a place.
    fn find<'f>(&self, frame: &'f Frame, at: usize) -> Result<&'f FrameColumn, EncodingError> {
        let name = self.columns[at].name.as_deref();
        let named = name.is_some() && frame.columns().iter().all(|column| column.name.is_some());
        let found = if named {
            frame.columns().iter().find(|column| column.name.as_deref() == name)
        } else {
            frame.columns().get(at)
        };
        let absent = || EncodingError::Column {
            column: shown(name, at),
            found: "no such column",
            expected: "it as in training",
        };
        found.ok_or_else(absent)
    }
}

/// The name of a column; one without is called by its number.
fn shown(name: Option<&str>, at: usize) -> String {
    name.map_or_else(|| format!("x{}", at + 1), str::to_owned)
}

/// The encoding of a column of numbers.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn number(values: &[f64], rows: &[u32], kind: CellKind, missing: MissingConfig, lacks: bool) -> Code {
    let mut there: Vec<f64> = rows.iter().map(|&row| values[row as usize]).filter(|x| !x.is_nan()).collect();
    let middle = mean(&there);
    let double = blurs(&there);
    let origin = if double { middle.round() } else { 0.0 };
    let fill = match missing.rule {
        MissingRule::Error => None,
        MissingRule::Mean => Some(middle),
        MissingRule::Median => Some(median(&mut there)),
        MissingRule::MostFrequent => Some(most_frequent(&mut there)),
    };
    let fill = fill.map(|fill| (fill - origin) as f32);
    Code::Number { kind, origin, double, fill, indicator: missing.indicator && lacks }
}

/// The encoding of a column of words.
fn category(words: &LabelColumn, rows: &[u32], missing: MissingConfig, lacks: bool) -> Code {
    let mut counts = vec![0usize; words.names().len()];
    rows.iter().for_each(|&row| counts[words.ids()[row as usize] as usize] += 1);
    let there = words.names().iter().zip(&counts).filter(|(name, count)| **count > 0 && !name.is_empty());
    let by_name: HashMap<&str, usize> = there.map(|(name, &count)| (name.as_str(), count)).collect();
    let names = in_order(by_name.keys().map(|&name| name.to_owned()).collect());
    // The first of several.
    let most = names.iter().enumerate().rev().max_by_key(|(_, name)| by_name[name.as_str()]).map(|(at, _)| at);
    let fill = match missing.rule {
        MissingRule::Error => None,
        _ if missing.indicator && lacks => Some(names.len()),
        _ => Some(most.unwrap_or(names.len())),
    };
    Code::Category { names, fill }
}

#[allow(clippy::cast_precision_loss)]
fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

fn median(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let (middle, is_odd) = (values.len() / 2, values.len() % 2 == 1);
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if is_odd {
        return upper;
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    f64::midpoint(lower, upper)
}

fn most_frequent(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let (mut best, mut most) = (0.0, 0);
    for run in values.chunk_by(|a, b| a == b) {
        if run.len() > most {
            (best, most) = (run[0], run.len());
        }
    }
    best
}

#[cfg(test)]
mod tests;
