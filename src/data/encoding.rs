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
//! The rows are dense where at least [`DENSE`] of the cells are not zero, else sparse.

use super::frame::{CellKind, Cells, Frame, FrameColumn};
use super::labels::{LabelColumn, in_order};
use super::precision::blurs;
use super::sparse::DENSE;
use super::{Csr, Dense, Features};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Rows that a thread encodes at once, and chunks of them that are encoded before they are put together.
const ROWS: usize = 1 << 14;
const CHUNKS: usize = 16;

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
pub struct Unseen {
    /// The column.
    pub column: String,
    /// The first of them.
    pub first: String,
    /// Rows that have such a category.
    pub rows: usize,
}

/// The features of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoded {
    /// One row a row of the table.
    pub features: Features<'static>,
    /// By column.
    pub unseen: Vec<Unseen>,
}

/// A column on its way into features.
enum Feed<'a> {
    Number {
        values: &'a [f64],
        origin: f64,
        fill: Option<f32>,
        indicator: bool,
    },
    /// The position of the category of each word of the column; `None` where it is unseen.
    Category {
        ids: &'a [u32],
        position: Vec<Option<usize>>,
    },
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
        Ok(Self { columns: columns.collect::<Result<_, _>>()? })
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
    pub fn apply(&self, frame: &Frame) -> Result<Encoded, EncodingError> {
        let mut feeds = Vec::with_capacity(self.columns.len());
        let mut unseen = Vec::new();
        for (at, column) in self.columns.iter().enumerate() {
            let found = self.find(frame, at)?;
            feeds.push(feed(column, found, at, &mut unseen)?);
        }
        let widths: Vec<usize> = self.columns.iter().map(EncodedColumn::width).collect();
        let encoder = Encoder { feeds, widths, n_rows: frame.n_rows(), n_features: self.n_features() };
        Ok(Encoded { features: encoder.features(), unseen })
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
    let origin = if blurs(&there) { middle.round() } else { 0.0 };
    let fill = match missing.rule {
        MissingRule::Error => None,
        MissingRule::Mean => Some(middle),
        MissingRule::Median => Some(median(&mut there)),
        MissingRule::MostFrequent => Some(most_frequent(&mut there)),
    };
    let fill = fill.map(|fill| (fill - origin) as f32);
    Code::Number { kind, origin, fill, indicator: missing.indicator && lacks }
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

/// A column with what becomes of its cells, checked.
#[allow(clippy::cast_possible_truncation)]
fn feed<'f>(
    column: &EncodedColumn,
    found: &'f FrameColumn,
    at: usize,
    unseen: &mut Vec<Unseen>,
) -> Result<Feed<'f>, EncodingError> {
    let name = || shown(column.name.as_deref(), at);
    let missing = |row: Option<usize>| match row {
        Some(row) if !column.fills() => Err(EncodingError::Missing { row, column: name() }),
        _ => Ok(()),
    };
    match (&column.code, &found.cells) {
        (&Code::Number { origin, fill, indicator, .. }, Cells::Numbers(values)) => {
            missing(values.iter().position(|x| x.is_nan()))?;
            if let Some(row) = values.iter().position(|x| ((x - origin) as f32).is_infinite()) {
                return Err(EncodingError::NotFinite { row, column: name() });
            }
            Ok(Feed::Number { values, origin, fill, indicator })
        }
        (Code::Category { names, fill }, Cells::Words(words)) => {
            let known: HashMap<&str, usize> = names.iter().map(String::as_str).zip(0..).collect();
            let width = column.width();
            let of = |word: &String| {
                if word.is_empty() { fill.filter(|&at| at < width) } else { known.get(word.as_str()).copied() }
            };
            let position: Vec<Option<usize>> = words.names().iter().map(of).collect();
            if fill.is_none()
                && let Some(id) = words.names().iter().position(String::is_empty)
            {
                missing(words.ids().iter().position(|&i| i as usize == id))?;
            }
            let is_unseen = |id: usize| position[id].is_none() && !words.names()[id].is_empty();
            if let Some(first) = (0..position.len()).find(|&id| is_unseen(id)) {
                let rows = words.ids().par_iter().filter(|&&id| is_unseen(id as usize)).count();
                unseen.push(Unseen { column: name(), first: words.names()[first].clone(), rows });
            }
            Ok(Feed::Category { ids: words.ids(), position })
        }
        (Code::Number { .. }, Cells::Words(_)) => {
            Err(EncodingError::Column { column: name(), found: "words", expected: "numbers as in training" })
        }
        (Code::Category { .. }, Cells::Numbers(_)) => {
            Err(EncodingError::Column { column: name(), found: "numbers", expected: "words as in training" })
        }
    }
}

/// All columns on their way into features.
struct Encoder<'a> {
    feeds: Vec<Feed<'a>>,
    widths: Vec<usize>,
    n_rows: usize,
    n_features: usize,
}

impl Encoder<'_> {
    /// Calls `put` for the cells of a row that may not be zero, in order.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)]
    fn cells(&self, row: usize, mut put: impl FnMut(usize, f32)) {
        let mut first = 0;
        for (feed, width) in self.feeds.iter().zip(&self.widths) {
            match feed {
                Feed::Number { values, origin, fill, indicator } => {
                    let x = values[row];
                    let missing = x.is_nan();
                    put(first, if missing { fill.unwrap_or(0.0) } else { (x - origin) as f32 });
                    if *indicator && missing {
                        put(first + 1, 1.0);
                    }
                }
                Feed::Category { ids, position } => {
                    if let Some(at) = position[ids[row] as usize] {
                        put(first + at, 1.0);
                    }
                }
            }
            first += width;
        }
    }

    /// Cells that are not zero.
    fn stored(&self) -> usize {
        let count = |row| {
            let mut count = 0;
            self.cells(row, |_, x| count += usize::from(x != 0.0));
            count
        };
        (0..self.n_rows).into_par_iter().with_min_len(ROWS).map(count).sum()
    }

    #[allow(clippy::cast_precision_loss)]
    fn features(&self) -> Features<'static> {
        let stored = self.stored();
        let cells = self.n_rows * self.n_features;
        if self.n_features > 0 && stored as f64 >= DENSE * cells as f64 {
            let mut values = vec![0.0f32; cells];
            values.par_chunks_mut(ROWS * self.n_features).enumerate().for_each(|(chunk, values)| {
                for (i, out) in values.chunks_exact_mut(self.n_features).enumerate() {
                    self.cells(chunk * ROWS + i, |j, x| out[j] = x);
                }
            });
            return Features::F32(Dense::new(self.n_features, values));
        }
        let mut all = Csr::with_capacity(self.n_rows, stored);
        for first in (0..self.n_rows).step_by(ROWS * CHUNKS) {
            let last = (first + ROWS * CHUNKS).min(self.n_rows);
            let starts: Vec<usize> = (first..last).step_by(ROWS).collect();
            let parts: Vec<Csr<'_>> =
                starts.into_par_iter().map(|start| self.sparse(start, (start + ROWS).min(last))).collect();
            parts.iter().for_each(|part| all.append(part));
        }
        all.set_n_features(self.n_features);
        Features::Sparse(all)
    }

    #[allow(clippy::cast_possible_truncation)]
    fn sparse(&self, first: usize, last: usize) -> Csr<'static> {
        let mut rows = Csr::with_capacity(last - first, (last - first) * self.feeds.len());
        for row in first..last {
            self.cells(row, |j, x| {
                if x != 0.0 {
                    rows.push_cell(j as u32, x);
                }
            });
            rows.finish_row();
        }
        rows
    }
}

#[cfg(test)]
mod tests;
