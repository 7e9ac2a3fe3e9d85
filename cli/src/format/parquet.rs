//! Apache Parquet: tables whose columns have names and types, written by pandas, pyarrow, polars, DuckDB, Spark.
//!
//! ```text
//! PAR1 | column chunks: pages of values, each compressed | footer: schema, row groups, where the chunks lie | length | PAR1
//! ```
//! Columns of integers, floats, decimals and booleans are features; the label may be text, too. All encodings and the
//! compressions none, snappy, gzip, zstd and lz4_raw are read. Lists and structures, dates and times are no features. Columns
//! are matched by name, as those of csv files are; where all features are unsigned bytes or booleans, they stay bytes.
//!
//! # References
//! Apache Parquet, *File format* and *Encodings*, <https://parquet.apache.org/docs/file-format/>.

mod decode;
mod footer;
mod kind;
mod page;
mod thrift;

use super::columns::{Column, Plan, Role, Special, Wanted};
use super::open::{Source, looks_like};
use super::precision::FloatType;
use super::{Part, assemble, limit, quote, weights};
use crate::data::precision::{blurred, single};
use crate::data::{Dataset, Dense, Features, LabelColumn};
use crate::format::labels::push_text;
use crate::format::{DataError, Position, Table};
use footer::{Footer, Group};
use kind::{Kind, Meaning};
use page::Fault;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

const MAGIC: &[u8] = b"PAR1";
/// Columns that are decoded at the same time.
const BATCH: usize = 16;
/// Rows that one task writes.
const ROWS: usize = 1024;

const CELL: &str = "every feature is a number: encode the column as numbers, or leave it out with `ignore`";
const LACKS: &str = "fill missing values in or drop their rows before training, or leave the column out with `ignore`";

/// `[data.parquet]`: tables with typed columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParquetConfig {
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
}

impl ParquetConfig {
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
        Special { label, weights, ignore: self.ignore.clone(), ..Special::default() }
    }

    /// Reads both parts with their floats in a precision.
    ///
    /// # Errors
    /// As for [`DataConfig::load_as`](super::DataConfig::load_as).
    pub fn load_as(&self, float: FloatType) -> Result<Dataset, DataError> {
        let (mut notes, special) = (Vec::new(), self.special());
        let mut train = Opened::open(Source::open(&self.train)?)?;
        let plan = train.plan(&mut notes, |names, n| Plan::of_table(names, n, &special, None))?;
        let names = plan.feature_names.clone();
        let mut test = self.test.as_deref().map(|path| Opened::open(Source::open(path)?)).transpose()?;
        let test_plan = match &test {
            Some(test) => {
                Some(test.plan(&mut Vec::new(), |found, n| Plan::of_table(found, n, &special, names.as_deref()))?)
            }
            None => None,
        };
        // Both parts are kept in the same way.
        let pairs = || std::iter::once((&train, &plan)).chain(test.as_ref().zip(test_plan.as_ref()));
        let as_bytes = pairs().all(|(part, plan)| part.is_bytes(plan));
        let part = |opened: &mut Opened, plan: &Plan, float: FloatType| -> Result<Part, DataError> {
            let features = opened.features(plan, as_bytes, float)?;
            let (labels, weights) = opened.labels_and_weights(plan)?;
            let path = &opened.file;
            let weights = weights.map(|found| weights::fitting(found, path, labels.len())).transpose()?;
            Ok(Part { weights, ..Part::new(path, path, features, labels) })
        };
        let train = part(&mut train, &plan, float)?;
        let float = FloatType::of_features(&train.features);
        let test = test.as_mut().zip(test_plan.as_ref()).map(|(test, plan)| part(test, plan, float)).transpose()?;
        Ok(Dataset { feature_names: names, ..assemble(train, test, None, notes)? })
    }
}

/// True for the first bytes of a file.
pub(super) fn detect(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

/// Reads a file for a model; labels where it has the column.
pub(super) fn read(source: Source, wanted: Option<&Wanted>) -> Result<Table, DataError> {
    let mut opened = Opened::open(source)?;
    let plan = opened.plan(&mut Vec::new(), |names, n| match wanted {
        Some(wanted) if wanted.n_features > 0 => Plan::for_model(names, n, wanted),
        Some(wanted) => Plan::of_table(names, n, &wanted.special, None),
        None => Plan::of_table(names, n, &Special::default(), None),
    })?;
    let as_bytes = opened.is_bytes(&plan);
    let float = FloatType::of(wanted.is_some_and(|wanted| wanted.double));
    let features = opened.features(&plan, as_bytes, float)?;
    let (labels, _) = opened.labels_and_weights(&plan)?;
    let labels = (!labels.is_empty()).then_some(labels);
    Ok(Table { features, labels, image_shape: None, class_names: None, notes: Vec::new() })
}

/// A file whose footer has been read.
struct Opened {
    file: PathBuf,
    bytes: Bytes,
    len: u64,
    footer: Footer,
}

enum Bytes {
    File(File),
    Memory(Vec<u8>),
}

/// A feature as it is kept.
trait Cell: Copy + Default + Send + Sync {
    fn of(kind: Kind, cell: &[u8]) -> Result<Self, String>;
}

impl Cell for f32 {
    #[inline]
    #[allow(clippy::cast_possible_truncation)]
    fn of(kind: Kind, cell: &[u8]) -> Result<Self, String> {
        f64::of(kind, cell).map(|number| number as Self)
    }
}

impl Cell for f64 {
    #[inline]
    fn of(kind: Kind, cell: &[u8]) -> Result<Self, String> {
        let number = kind.number(cell);
        if single(number).is_finite() {
            return Ok(number);
        }
        Err(if number.is_nan() {
            "the value is missing, found NaN".into()
        } else if number.is_infinite() {
            format!("`{number}` is not finite")
        } else {
            format!("`{number:e}` is beyond the range of f32")
        })
    }
}

impl Cell for u8 {
    fn of(kind: Kind, cell: &[u8]) -> Result<Self, String> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        match kind.number(cell) {
            number @ 0.0..=255.0 => Ok(number as Self),
            number => Err(format!("{number} is no unsigned byte, which is the type of the column")),
        }
    }
}

impl Opened {
    /// Reads the footer; a file from a pipe, or compressed once more, is kept in memory.
    fn open(mut source: Source) -> Result<Self, DataError> {
        let file = source.file().to_path_buf();
        if !source.head().starts_with(MAGIC) {
            let problem = format!("found {}, expected a Parquet file", looks_like(source.head()));
            return Err(DataError::content(&file, Position::Byte(0), problem));
        }
        let (bytes, len) = if let Some((file, len)) = source.reopen()? {
            (Bytes::File(file), len)
        } else {
            let mut all = Vec::new();
            let len = source.read_all(&mut all)?;
            (Bytes::Memory(all), len)
        };
        let mut opened = Self { file, bytes, len, footer: Footer::default() };
        let tail = opened.range(len.saturating_sub(8), len.min(8))?;
        let footer_len = match tail.split_first_chunk() {
            Some((len, b"PAR1")) => u64::from(u32::from_le_bytes(*len)),
            Some((_, b"PARE")) => {
                return Err(opened.wrong("the file is encrypted").with_hint("write it again without encryption"));
            }
            _ => {
                return Err(opened.wrong("the file is cut off: its footer is missing").with_hint("get the file again"));
            }
        };
        let Some(start) = len.checked_sub(footer_len + 12) else {
            return Err(opened.damaged("the footer is longer than the file"));
        };
        let footer = opened.range(start + 4, footer_len)?;
        opened.footer =
            Footer::read(&footer).map_err(|problem| opened.damaged(&format!("the footer is damaged: {problem}")))?;
        if opened.footer.n_rows() == 0 {
            return Err(opened.wrong("found no row of data"));
        }
        Ok(opened)
    }

    fn wrong(&self, problem: &str) -> DataError {
        DataError::content(&self.file, Position::File, problem)
    }

    fn damaged(&self, problem: &str) -> DataError {
        self.wrong(problem).with_hint("the file is damaged: get it again")
    }

    /// Some of its bytes.
    fn range(&mut self, start: u64, len: u64) -> Result<Vec<u8>, DataError> {
        let end = start.checked_add(len).filter(|end| *end <= self.len);
        let Some(end) = end else { return Err(self.damaged("a part of it lies behind its end")) };
        let mut found = Vec::new();
        match &mut self.bytes {
            #[allow(clippy::cast_possible_truncation)]
            Bytes::Memory(all) => found.extend_from_slice(&all[start as usize..end as usize]),
            Bytes::File(file) => {
                file.seek(SeekFrom::Start(start))
                    .and_then(|_| file.take(len).read_to_end(&mut found))
                    .map_err(|e| DataError::path(&self.file, format!("cannot be read: {e}")))?;
            }
        }
        if found.len() as u64 == len { Ok(found) } else { Err(self.damaged("it became shorter while it was read")) }
    }

    /// The roles of the columns. pandas keeps its row index in a column with a name of its own.
    fn plan(
        &self,
        notes: &mut Vec<String>,
        plan: impl FnOnce(Option<Vec<String>>, usize) -> Result<Plan, super::columns::Complaint>,
    ) -> Result<Plan, DataError> {
        let is_index = |name: &str| name.starts_with("__index_level_") && name.ends_with("__");
        let names = |keep: bool| {
            let columns = self.footer.columns.iter();
            columns.map(|c| if keep || !is_index(&c.name) { c.name.clone() } else { String::new() }).collect()
        };
        let n = self.footer.columns.len();
        let fail = |super::columns::Complaint { problem, hint }| self.wrong(&problem).with_hint(hint);
        let mut plan = plan(Some(names(false)), n).map_err(fail)?;
        let shown = std::mem::take(&mut plan.nameless);
        plan.names = Some(names(true));
        for column in shown {
            let shown = plan.shown(column - 1);
            notes.push(format!("{}: {shown} is a row index or has no name, and is left out", self.file.display()));
        }
        for (column, role) in self.footer.columns.iter().zip(&plan.roles).filter(|(_, role)| **role != Role::Ignored) {
            let what = match (&column.kind, role) {
                (Ok(Kind { meaning: Meaning::Text, .. }), Role::Feature(_) | Role::Weight) => "text",
                (Ok(_), _) => continue,
                (Err(what), _) => what,
            };
            let expected = if *role == Role::Label { "labels" } else { "numbers" };
            let problem = format!("column {} holds {what}, expected {expected}", quote(&column.name));
            return Err(self.wrong(&problem).with_hint(CELL));
        }
        Ok(plan)
    }

    /// True where every feature is an unsigned byte.
    fn is_bytes(&self, plan: &Plan) -> bool {
        let mut features = self.footer.columns.iter().zip(&plan.roles).filter(|(_, r)| matches!(r, Role::Feature(_)));
        features.all(|(column, _)| column.kind.as_ref().is_ok_and(|kind| kind.is_byte()))
    }

    fn features(&mut self, plan: &Plan, as_bytes: bool, float: FloatType) -> Result<Features<'static>, DataError> {
        let width = plan.n_features;
        if as_bytes {
            return Ok(Features::U8(Dense::new(width, self.matrix(plan)?)));
        }
        // Of each feature, whether single precision may not hold it.
        let mut wide = vec![false; width];
        for (column, role) in self.footer.columns.iter().zip(&plan.roles) {
            if let (Role::Feature(j), Ok(kind)) = (role, &column.kind) {
                wide[*j] = kind.is_double();
            }
        }
        let read = |double| {
            let features = if double {
                Features::F64(Dense::new(width, self.matrix(plan)?))
            } else {
                Features::F32(Dense::new(width, self.matrix(plan)?))
            };
            Ok((features, ()))
        };
        let doubtful = |features: &Features, (): &()| blurred(features).into_iter().any(|j| wide[j]);
        float.read(true, read, doubtful).map(|(features, ())| features)
    }

    fn labels_and_weights(&mut self, plan: &Plan) -> Result<(LabelColumn, Option<Vec<f32>>), DataError> {
        let mut labels = LabelColumn::new();
        let column = |role| plan.roles.iter().position(|r| *r == role);
        if let Some(column) = column(Role::Label) {
            let mut seen = LabelColumn::new();
            let found = self.column(plan, column, |kind, cell| {
                push_text(&mut seen, &kind.text(cell))?;
                u32::try_from(seen.len() - 1).map_err(|_| "there are too many labels".into())
            })?;
            found.into_iter().for_each(|at| labels.push(seen.name(at as usize)));
        }
        let weights = column(Role::Weight).map(|column| {
            self.column(plan, column, |kind, cell| {
                let weight = f32::of(kind, cell)?;
                if weights::is_weight(weight) { Ok(weight) } else { Err(weights::problem(&weight.to_string())) }
            })
        });
        Ok((labels, weights.transpose()?))
    }

    /// All features, row-major: some columns of a row group at a time.
    fn matrix<T: Cell>(&mut self, plan: &Plan) -> Result<Vec<T>, DataError> {
        let width = plan.n_features;
        let extra = width.min(BATCH) as u64;
        // What is kept and decoded, and twelve bytes for label and weight.
        let a_row = (width as u64 + extra).saturating_mul(size_of::<T>() as u64).saturating_add(12);
        limit::check(&self.file, a_row.saturating_mul(self.footer.n_rows()))?;
        let features = plan.roles.iter().enumerate().filter_map(|(column, role)| match role {
            Role::Feature(j) => Some((*j, column)),
            Role::Label | Role::Weight | Role::Ignored => None,
        });
        let features: Vec<(usize, usize)> = features.collect();
        let groups = std::mem::take(&mut self.footer.groups);
        let (mut values, mut first) = (Vec::new(), 0);
        for group in &groups {
            for batch in features.chunks(BATCH) {
                let chunks = batch.iter().map(|&(_, c)| self.chunk(group, c)).collect::<Result<Vec<_>, _>>()?;
                let found = batch.par_iter().zip(&chunks).map(|(&(_, column), bytes)| {
                    self.cells(group, column, bytes, |kind, cell| T::of(kind, cell))
                        .map_err(|fault| self.fault(plan, column, first, fault))
                });
                let found = found.collect::<Vec<_>>().into_iter().collect::<Result<Vec<_>, _>>()?;
                // The cells are there: the memory for them is needed.
                let n = found.first().map_or(0, Vec::len);
                let len = (first + n) * width;
                values.reserve_exact(len.saturating_sub(values.len()));
                values.resize(len, T::default());
                values[first * width..].par_chunks_mut(ROWS * width).enumerate().for_each(|(i, rows)| {
                    for (row, at) in rows.chunks_exact_mut(width).zip(i * ROWS..) {
                        batch.iter().zip(&found).for_each(|(&(j, _), column)| row[j] = column[at]);
                    }
                });
            }
            first = values.len() / width;
        }
        self.footer.groups = groups;
        Ok(values)
    }

    /// One column, converted.
    fn column<T: Copy>(
        &mut self,
        plan: &Plan,
        column: usize,
        mut convert: impl FnMut(Kind, &[u8]) -> Result<T, String>,
    ) -> Result<Vec<T>, DataError> {
        let groups = std::mem::take(&mut self.footer.groups);
        let mut all = Vec::new();
        for group in &groups {
            let bytes = self.chunk(group, column)?;
            let found = self.cells(group, column, &bytes, &mut convert);
            all.append(&mut found.map_err(|fault| self.fault(plan, column, all.len(), fault))?);
        }
        self.footer.groups = groups;
        Ok(all)
    }

    fn chunk(&mut self, group: &Group, column: usize) -> Result<Vec<u8>, DataError> {
        let chunk = &group.chunks[self.footer.columns[column].leaf];
        self.range(chunk.start, chunk.len)
    }

    fn cells<T: Copy>(
        &self,
        group: &Group,
        column: usize,
        bytes: &[u8],
        mut convert: impl FnMut(Kind, &[u8]) -> Result<T, String>,
    ) -> Result<Vec<T>, Fault> {
        let column = &self.footer.columns[column];
        let kind = column.kind.clone().map_err(Fault::from)?;
        let n_rows = usize::try_from(group.n_rows).map_err(|_| Fault::from("it has too many rows".to_owned()))?;
        page::cells(&group.chunks[column.leaf], bytes, column, kind, n_rows, |cell| convert(kind, cell))
    }

    /// An error in a column, whose group begins at a row.
    fn fault(&self, plan: &Plan, column: usize, first: usize, fault: Fault) -> DataError {
        let (shown, problem) = (plan.shown(column), fault.problem);
        let Some(row) = fault.row else {
            return self.damaged(&format!("{shown}: {problem}"));
        };
        let hint = match plan.roles[column] {
            Role::Weight => weights::HINT,
            Role::Label => "the label is a whole number or a word",
            Role::Feature(_) | Role::Ignored => LACKS,
        };
        DataError::content(&self.file, Position::Record(first + row + 1), format!("{shown}: {problem}")).with_hint(hint)
    }
}

#[cfg(test)]
mod tests;
