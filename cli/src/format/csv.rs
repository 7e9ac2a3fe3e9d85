//! csv and tsv text: a line a row, a column a feature, one column the label (RFC 4180).
//!
//! ```text
//! sepal_length,sepal_width,species
//! 5.1,3.5,setosa
//! ```
//! The first line is a header where the label is given by name; else by what stands in it and below (`header`). Cells may be
//! quoted, with `""` for a quote and line ends within; lines may end in CRLF; a byte order mark is skipped, and so are blank
//! lines. Where there are names, the columns of a test part and of what is predicted are matched by them. A column without a
//! name is left out: pandas keeps its row index there.
//!
//! # References
//! Y. Shafranovich, *Common Format and MIME Type for Comma-Separated Values (CSV) Files*, RFC 4180, 2005.

mod cell;
mod header;
mod parse;
mod pieces;
mod row;
mod table;
mod text;

pub(super) use parse::{CsvHead, last_record_end};

use super::columns::{ColumnRef, ModelColumns, Plan, Role, SpecialColumns};
use super::float::Float;
use super::foreign;
use super::known::KnownColumns;
use super::open::{ByteSource, is_text};
use super::precision::{FloatType, is_regular};
use super::reading::{Reading, encoding_error, unseen_note};
use super::{FilePart, assemble, weights};
use crate::data::precision::blurred;
use crate::data::{CellKind, Dataset, EncodedRows, Features, LabelColumn};
use crate::format::{DataError, Position, Table};
use cell::Marks;
use parse::{OpenText, Settings};
use row::RowLayout;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use text::CsvText;

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
    pub label: ColumnRef,
    /// The column of the row weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<ColumnRef>,
    /// Columns that are no features.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<ColumnRef>,
    /// Columns of categories, whatever their cells look like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub category: Vec<ColumnRef>,
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

/// Separator of the cells of a line.
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
    /// A file of rows to train on, the last column the label.
    #[must_use]
    pub fn of(train: &Path) -> Self {
        Self {
            train: train.to_path_buf(),
            test: None,
            label: ColumnRef::Number(-1),
            weights: None,
            ignore: Vec::new(),
            category: Vec::new(),
            header: None,
            delimiter: None,
            decimal: Decimal::Point,
        }
    }

    /// The names of all columns but those without one, where the first line is a header.
    ///
    /// # Errors
    /// As for [`CsvConfig::load`].
    pub fn names(&self) -> Result<Option<Vec<String>>, DataError> {
        let special = self.special();
        let settings = self.settings(&special, self.header);
        let source = ByteSource::open(&self.train)?;
        refuse_binary(&source)?;
        let opened =
            parse::open(source, &settings, |names, n_columns| Plan::of_table(names, n_columns, &special, None))?;
        Ok(opened.plan.names.map(|names| names.into_iter().filter(|name| !name.is_empty()).collect()))
    }

    fn settings<'a>(&self, special: &'a SpecialColumns, header: Option<bool>) -> Settings<'a> {
        let (delimiter, comma) = (self.delimiter.map(|d| d.0), self.decimal == Decimal::Comma);
        Settings { delimiter, comma, header, special, wanted: None }
    }

    /// The paths that are given, with their keys.
    pub fn paths_mut(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        let mut paths = vec![("train", &mut self.train)];
        paths.extend(self.test.as_mut().map(|path| ("test", path)));
        paths
    }

    /// The columns that it names.
    #[must_use]
    pub fn special(&self) -> SpecialColumns {
        let (label, weights) = (Some(self.label.clone()), self.weights.clone());
        SpecialColumns { label, weights, ignore: self.ignore.clone(), category: self.category.clone() }
    }

    /// Reads both parts as features.
    ///
    /// # Errors
    /// As for [`DataConfig::load_as`](super::DataConfig::load_as).
    pub fn load_as(&self, float: FloatType) -> Result<Dataset, DataError> {
        self.load(&Reading { float, ..Reading::default() })
    }

    /// Reads both parts; where there is something to encode, the rows are a frame.
    ///
    /// # Errors
    /// As for [`DataConfig::load_as`](super::DataConfig::load_as).
    pub fn load(&self, reading: &Reading<'_>) -> Result<Dataset, DataError> {
        let mut notes = Vec::new();
        let of_model = || reading.encoding.map(KnownColumns::of_encoding);
        let read = self.part(&self.train, None, of_model(), reading, &mut notes)?;
        let (train, names) = (read.part, read.names);
        let reading = Reading { float: FloatType::of_features(&train.features), ..*reading };
        let known =
            || of_model().or_else(|| train.frame.as_ref().map(|frame| KnownColumns::of_frame(frame, reading.cells)));
        let test = match &self.test {
            Some(path) => Some(self.part(path, names.as_deref(), known(), &reading, &mut Vec::new())?.part),
            None => None,
        };
        Ok(Dataset { feature_names: names, ..assemble(train, test, None, notes)? })
    }

    fn part(
        &self,
        path: &Path,
        train: Option<&[String]>,
        known: Option<KnownColumns>,
        reading: &Reading<'_>,
        notes: &mut Vec<String>,
    ) -> Result<CsvPart, DataError> {
        self.check(path)?;
        let names = known.as_ref().and_then(|columns| columns.names.as_deref()).or(train);
        let open = |source: ByteSource| self.opened(source, names, train.is_some());
        let (rules, is_encoded) = (reading.cells, self.is_encoded(reading));
        let pipe = Pipe::new(path, is_encoded && known.is_none())?;
        let mut opened = open(pipe.source(path)?)?;
        notes.extend(opened.note.take());
        for column in &opened.plan.nameless {
            notes.push(format!("{}: column {column} has no name and is left out", path.display()));
        }
        let names = opened.plan.feature_names.clone();
        let has_dates = has_dates(&opened);
        let rows = match known {
            Some(columns) => table::read(&columns, opened, path)?,
            None if is_encoded || has_dates => table::learn(opened, rules, || open(pipe.source(path)?), path)?,
            None => return plain(path, opened, names, || open(pipe.source(path)?), reading.float),
        };
        let features = rows.frame.unencoded();
        let weights = rows.weights.map(|found| weights::fitting(found, path, rows.labels.len())).transpose()?;
        let part = FilePart { weights, frame: Some(rows.frame), ..FilePart::new(path, path, features, rows.labels) };
        Ok(CsvPart { part, names })
    }

    fn check(&self, path: &Path) -> Result<(), DataError> {
        if self.decimal == Decimal::Comma && self.delimiter.is_some_and(|d| d.0 == b',') {
            let problem = "`delimiter` and `decimal` of [data.csv] are both `,`";
            return Err(DataError::content(path, Position::File, problem)
                .with_hint("numbers with a decimal comma are separated by `;`, a tab or blanks"));
        }
        Ok(())
    }

    /// Whether cells may be words or missing.
    fn is_encoded(&self, reading: &Reading<'_>) -> bool {
        reading.cells.text || reading.cells.missing || !self.category.is_empty()
    }

    /// Opens a part whose features have these names; a test part has a header where the train part has one.
    fn opened(&self, source: ByteSource, names: Option<&[String]>, is_test: bool) -> Result<OpenText, DataError> {
        refuse_binary(&source)?;
        let (special, named) = (self.special(), matches!(self.label, ColumnRef::Name(_)));
        let settings = self.settings(&special, self.header.or((named || is_test).then_some(true)));
        parse::open(source, &settings, |found, n_columns| Plan::of_table(found, n_columns, &special, names))
    }
}

fn has_dates(opened: &OpenText) -> bool {
    opened.kinds.iter().any(|kinds| matches!(kinds.column(), CellKind::Date | CellKind::Time))
}

/// A part, and the names of its columns of features.
struct CsvPart {
    part: FilePart,
    names: Option<Vec<String>>,
}

/// The bytes of what can be read only once, where it has to be read twice.
struct Pipe(Option<Vec<u8>>);

impl Pipe {
    fn new(path: &Path, twice: bool) -> Result<Self, DataError> {
        if !twice || is_regular(path) {
            return Ok(Self(None));
        }
        let mut bytes = Vec::new();
        ByteSource::open(path)?.read_all(&mut bytes)?;
        Ok(Self(Some(bytes)))
    }

    fn source(&self, path: &Path) -> Result<ByteSource, DataError> {
        match &self.0 {
            Some(bytes) => ByteSource::from_reader(path, Box::new(std::io::Cursor::new(bytes.clone())), None),
            None => ByteSource::open(path),
        }
    }
}

/// A table that is features as it is.
fn plain(
    path: &Path,
    opened: OpenText,
    names: Option<Vec<String>>,
    again: impl Fn() -> Result<OpenText, DataError>,
    float: FloatType,
) -> Result<CsvPart, DataError> {
    let mut first = Some(opened);
    let read = |double| {
        let opened = first.take().map_or_else(&again, Ok)?;
        let layout = RowLayout::plain(opened.plan.clone(), false);
        features(double, opened, &layout)
    };
    let (features, rows) =
        float.read(is_regular(path), read, |features, rows| blurred(features).into_iter().any(|j| rows.inexact[j]))?;
    let weights = rows.weights.map(|found| weights::fitting(found, path, rows.labels.len())).transpose()?;
    Ok(CsvPart { part: FilePart { weights, ..FilePart::new(path, path, features, rows.labels) }, names })
}

/// Labels and weights that come with features.
struct RowExtras {
    /// Of each feature, whether single precision does not hold all its values as they are written.
    inexact: Vec<bool>,
    /// Empty where there is no column of labels.
    labels: LabelColumn,
    weights: Option<Vec<f32>>,
}

/// In double or single precision.
fn features(double: bool, opened: OpenText, layout: &RowLayout) -> Result<(Features<'static>, RowExtras), DataError> {
    fn of<T: Float>(opened: OpenText, layout: &RowLayout) -> Result<(Features<'static>, RowExtras), DataError> {
        let (features, rows) = opened.features::<T>(layout)?;
        let weights = layout.plan.has(Role::Weight).then_some(rows.weights);
        Ok((features, RowExtras { inexact: rows.inexact, labels: rows.labels, weights }))
    }
    if double { of::<f64>(opened, layout) } else { of::<f32>(opened, layout) }
}

/// True for text with as many cells in the first two lines, or with the name of a csv file.
pub(super) fn detect(path: &Path, head: &[u8]) -> bool {
    is_text(head) && (named(path) || header::looks_tabular(head))
}

/// Whether text that may be libsvm text, with times of day for example, is csv: by its name, or by commas in every line.
pub(super) fn is_likelier(path: &Path, head: &[u8]) -> bool {
    let first = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    named(path) || first.iter().filter(|&&byte| byte == b',').count() > 1 && header::looks_tabular(head)
}

/// `.csv` or `.tsv`, perhaps before the extension of a compression.
fn named(path: &Path) -> bool {
    let extension = |path: &Path| path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    let is_csv = |path: &Path| extension(path).is_some_and(|e| e == "csv" || e == "tsv");
    is_csv(path) || path.file_stem().is_some_and(|stem| is_csv(Path::new(stem)))
}

/// The header and the columns of a text for a model.
pub(super) fn head(source: ByteSource, wanted: &ModelColumns) -> Result<CsvHead, DataError> {
    Ok(open_for(source, Some(wanted))?.head())
}

/// The cells of some columns, a vector for each, of the rows that the reader of the features finds.
pub(super) fn cells_of(
    file: &Path,
    text: &[u8],
    delimiter: u8,
    columns: &[usize],
) -> Result<Vec<Vec<String>>, DataError> {
    let mut text = CsvText::new(text, Marks { delimiter, comma: false });
    let mut cells = vec![Vec::new(); columns.len()];
    loop {
        text.skip_blank_lines();
        if text.at == text.bytes.len() {
            return Ok(cells);
        }
        let record = text.record().map_err(|fault| fault.at(file, 0))?;
        for (cells, &at) in cells.iter_mut().zip(columns) {
            cells.push(String::from_utf8_lossy(record.get(at).map_or(&[][..], |cell| cell)).into_owned());
        }
    }
}

/// Opens a text for a model.
fn open_for(source: ByteSource, wanted: Option<&ModelColumns>) -> Result<OpenText, DataError> {
    refuse_binary(&source)?;
    let none = ModelColumns::default();
    let special = &wanted.unwrap_or(&none).special;
    let (header, delimiter) = wanted.map_or((None, None), |w| (w.header, w.delimiter.map(|d| d.0)));
    let comma = wanted.is_some_and(|w| w.decimal == Decimal::Comma);
    let model = wanted.filter(|wanted| wanted.n_features > 0);
    let settings = Settings { delimiter, comma, header, special, wanted: model };
    parse::open(source, &settings, |names, n_columns| match model {
        Some(wanted) => Plan::for_model(names, n_columns, wanted),
        None => Plan::of_table(names, n_columns, special, None),
    })
}

/// Reads a file for a model; labels where it has the column.
pub(super) fn read(source: ByteSource, wanted: Option<&ModelColumns>) -> Result<Table, DataError> {
    let file = source.file().to_path_buf();
    let model = wanted.filter(|wanted| wanted.n_features > 0);
    let opened = open_for(source, wanted)?;
    let table = |features, labels: LabelColumn, notes| {
        let labels = (!labels.is_empty()).then_some(labels);
        Table { labels, notes, ..Table::of(features) }
    };
    if let Some(encoding) = model.and_then(|wanted| wanted.encoding.as_ref()) {
        let rows = table::read(&KnownColumns::of_encoding(encoding), opened, &file)?;
        let EncodedRows { features, unseen } = encoding.apply(&rows.frame).map_err(|e| encoding_error(&file, &e))?;
        return Ok(table(features, rows.labels, unseen.iter().map(unseen_note).collect()));
    }
    let layout = RowLayout::plain(opened.plan.clone(), model.is_some());
    let (features, rows) = features(wanted.is_some_and(|wanted| wanted.double), opened, &layout)?;
    Ok(table(features, rows.labels, Vec::new()))
}

fn refuse_binary(source: &ByteSource) -> Result<(), DataError> {
    if is_text(source.head()) {
        return Ok(());
    }
    Err(foreign::unexpected(source.file(), source.head(), Position::File, "csv text"))
}

#[cfg(test)]
mod tests;
