//! csv and tsv text: a line a row, a column a feature, one column the label (RFC 4180).
//!
//! ```text
//! sepal_length,sepal_width,species
//! 5.1,3.5,setosa
//! ```
//! The first line is a header where the label is given by name, or where none of its feature cells is a number. Cells may be
//! quoted, with `""` for a quote and line ends within; lines may end in CRLF; a byte order mark is skipped, and so are blank
//! lines. Where there are names, the columns of a test part and of what is predicted are matched by them. A column without a
//! name is left out: pandas keeps its row index there.
//!
//! # References
//! Y. Shafranovich, *Common Format and MIME Type for Comma-Separated Values (CSV) Files*, RFC 4180, 2005.

mod cell;
mod parse;

use super::columns::{Column, Complaint, Plan, Special, Wanted};
use super::open::{Source, is_text, looks_like};
use super::precision::{FloatType, is_regular};
use super::{Part, assemble, weights};
use crate::data::precision::blurred;
use crate::data::{Dataset, Features};
use crate::format::{DataError, Position, Table};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// `[data.csv]`: text files, plain or compressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvConfig {
    /// The rows to train on.
    pub train: PathBuf,
    /// The rows of the test part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// The column of the label.
    pub label: Column,
    /// The column of the row weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Column>,
    /// Columns that are no features.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<Column>,
    /// Whether the first line is a header; told from the file where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// The separator of cells; told from the first line where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<Delimiter>,
    /// The sign before decimals.
    #[serde(default, skip_serializing_if = "Decimal::is_point")]
    pub decimal: Decimal,
}

/// The sign before the decimals of a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decimal {
    /// 1.5
    #[default]
    #[serde(rename = ".")]
    Point,
    /// 1,5
    #[serde(rename = ",")]
    Comma,
}

impl Decimal {
    #[allow(clippy::trivially_copy_pass_by_ref)]
    fn is_point(&self) -> bool {
        *self == Self::Point
    }
}

/// What separates the cells of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Delimiter(u8);

impl TryFrom<String> for Delimiter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_bytes() {
            [byte] if matches!(byte, b',' | b'\t' | b';' | b'|' | b' ' | b':') => Ok(Self(*byte)),
            _ => Err(format!(
                "`{}` is no delimiter: expected one of `,` `;` `|` `:` tab or a blank",
                text.escape_debug()
            )),
        }
    }
}

impl From<Delimiter> for String {
    fn from(delimiter: Delimiter) -> Self {
        char::from(delimiter.0).to_string()
    }
}

impl CsvConfig {
    /// The paths that are given, with their keys.
    pub fn paths_mut(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        let mut paths = vec![("train", &mut self.train)];
        paths.extend(self.test.as_mut().map(|path| ("test", path)));
        paths
    }

    /// What it says of columns.
    #[must_use]
    pub fn special(&self) -> Special {
        let (label, weights) = (Some(self.label.clone()), self.weights.clone());
        Special { label, weights, ignore: self.ignore.clone() }
    }

    /// Reads both parts with their floats in a precision.
    ///
    /// # Errors
    /// As for [`DataConfig::load_as`](super::DataConfig::load_as).
    pub fn load_as(&self, float: FloatType) -> Result<Dataset, DataError> {
        let mut notes = Vec::new();
        let (train, names) = self.part(&self.train, None, float, &mut notes)?;
        let float = FloatType::of_features(&train.features);
        let test = match &self.test {
            Some(path) => Some(self.part(path, names.as_deref(), float, &mut Vec::new())?.0),
            None => None,
        };
        Ok(Dataset { feature_names: names, ..assemble(train, test, None, notes)? })
    }

    fn part(
        &self,
        path: &Path,
        train: Option<&[String]>,
        float: FloatType,
        notes: &mut Vec<String>,
    ) -> Result<(Part, Option<Vec<String>>), DataError> {
        let (special, named) = (self.special(), matches!(self.label, Column::Name(_)));
        let header = self.header.or((named || train.is_some()).then_some(true));
        let delimiter = self.delimiter.map(|d| d.0);
        if self.decimal == Decimal::Comma && delimiter == Some(b',') {
            let problem = "`delimiter` and `decimal` of [data.csv] are both `,`";
            return Err(DataError::content(path, Position::File, problem)
                .with_hint("numbers with a decimal comma are separated by `;`, a tab or blanks"));
        }
        let read = |double| {
            let source = Source::open(path)?;
            refuse_binary(&source)?;
            let plan = |names, n_columns| Plan::of_table(names, n_columns, &special, train);
            read_as(double, source, (delimiter, self.decimal), header, &special, plan)
        };
        let (features, rows) = float
            .read(is_regular(path), read, |features, rows| blurred(features).into_iter().any(|j| rows.inexact[j]))?;
        for column in &rows.plan.nameless {
            notes.push(format!("{}: column {column} has no name and is left out", path.display()));
        }
        let weights = match rows.weights {
            Some(found) => Some(weights::fitting(found, path, rows.labels.len())?),
            None => None,
        };
        Ok((Part { weights, ..Part::new(path, path, features, rows.labels) }, rows.plan.feature_names))
    }
}

/// True for text with as many cells in the first two lines, or with the name of a csv file.
pub(super) fn detect(path: &Path, head: &[u8]) -> bool {
    is_text(head) && (named(path) || parse::looks_tabular(head))
}

/// `.csv` or `.tsv`, perhaps before the extension of a compression.
fn named(path: &Path) -> bool {
    let extension = |path: &Path| path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    let is_csv = |path: &Path| extension(path).is_some_and(|e| e == "csv" || e == "tsv");
    is_csv(path) || path.file_stem().is_some_and(|stem| is_csv(Path::new(stem)))
}

/// Reads a file for a model; labels where it has the column.
pub(super) fn read(source: Source, wanted: Option<&Wanted>) -> Result<Table, DataError> {
    refuse_binary(&source)?;
    let none = Wanted::default();
    let special = &wanted.unwrap_or(&none).special;
    let (header, delimiter) = wanted.map_or((None, None), |w| (w.header, w.delimiter.map(|d| d.0)));
    let decimal = wanted.map_or(Decimal::Point, |w| w.decimal);
    let plan = |names, n_columns| match wanted {
        Some(wanted) if wanted.n_features > 0 => Plan::for_model(names, n_columns, wanted),
        _ => Plan::of_table(names, n_columns, special, None),
    };
    let double = wanted.is_some_and(|wanted| wanted.double);
    let (features, rows) = read_as(double, source, (delimiter, decimal), header, special, plan)?;
    let labels = (!rows.labels.is_empty()).then_some(rows.labels);
    Ok(Table { features, labels, image_shape: None, class_names: None })
}

/// In double or single precision.
fn read_as(
    double: bool,
    source: Source,
    (delimiter, decimal): (Option<u8>, Decimal),
    header: Option<bool>,
    special: &Special,
    plan: impl FnOnce(Option<Vec<String>>, usize) -> Result<Plan, Complaint>,
) -> Result<(Features<'static>, parse::Rows), DataError> {
    let comma = decimal == Decimal::Comma;
    if double {
        parse::read::<f64>(source, delimiter, comma, header, special, plan)
    } else {
        parse::read::<f32>(source, delimiter, comma, header, special, plan)
    }
}

fn refuse_binary(source: &Source) -> Result<(), DataError> {
    if is_text(source.head()) {
        return Ok(());
    }
    let problem = format!("found {}, expected csv text", looks_like(source.head()));
    Err(DataError::content(source.file(), Position::File, problem))
}

#[cfg(test)]
mod tests;
