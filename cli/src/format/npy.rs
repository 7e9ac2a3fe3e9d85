//! NumPy's files: an array in `.npy`, several in an `.npz` archive.
//!
//! ```text
//! \x93NUMPY, version (1, 2 or 3), length of the header, header:
//! {'descr': '<f4', 'fortran_order': False, 'shape': (1797, 64), }
//! then the elements, in the order that the header says
//! ```
//! Features are a matrix, or images of 3 dimensions (n, height, width) or 4 (n, height, width, channels): flattened, with their
//! channels brought into planes. `u1` stays bytes, other numbers become `f32`, or `f64` where
//! that would blur a column. Labels are a vector of integers or strings, or a one-hot matrix. A sparse matrix as
//! `scipy.sparse.save_npz` writes it is read as sparse rows. NaN is a missing value where `[preprocess]` has a rule for those.
//!
//! # References
//! NumPy documentation, module `numpy.lib.format`, "A simple format for saving numpy arrays to disk".

pub mod array;
mod frame;
mod header;
mod pieces;
mod sparse;
mod vectors;
mod zip;

use super::columns::ModelColumns;
use super::open::{ByteSource, looks_like};
use super::precision::{FloatType, is_regular};
use super::reading::Reading;
use super::{FilePart, assemble};
use crate::data::precision::blurred;
use crate::data::{Dataset, ImageShape, LabelColumn};
use crate::format::{DataError, Position, Table};
use crate::visible::listed;
use array::{Array, MissingCells};
use serde::{Deserialize, Serialize};
use sparse::Sparse;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `[data.npy]`: `.npy` files, or an `.npz` archive with all arrays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NpyConfig {
    /// The features to train on: `.npy`, `.npz`, or a sparse matrix of `scipy.sparse.save_npz`.
    pub train: PathBuf,
    /// The labels to train on, where they are not in `train`: `.npy`, or `.npz` with one array or one of a usual name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_labels: Option<PathBuf>,
    /// The features of the test part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// The labels of the test part, where they are not in `test`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_labels: Option<PathBuf>,
    /// The row weights: a `.npy` vector; or `.npz`, where they are its array `weights`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
    /// The names of the arrays in an archive.
    #[serde(default, skip_serializing_if = "Arrays::is_default")]
    pub arrays: Arrays,
}

/// The names of the arrays in an `.npz` archive, where they are not the usual ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Arrays {
    /// The features to train on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<String>,
    /// The labels to train on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    /// The features of a test part in the same archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_features: Option<String>,
    /// The labels of a test part in the same archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_labels: Option<String>,
    /// The row weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
}

const FEATURES: [&str; 8] = ["x_train", "X_train", "train_x", "train_images", "X", "x", "features", "data"];
const LABELS: [&str; 8] = ["y_train", "Y_train", "train_y", "train_labels", "y", "Y", "labels", "target"];
const TEST_FEATURES: [&str; 4] = ["x_test", "X_test", "test_x", "test_images"];
const TEST_LABELS: [&str; 4] = ["y_test", "Y_test", "test_y", "test_labels"];
const WEIGHTS: [&str; 3] = ["weights", "sample_weight", "w"];

impl Arrays {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl NpyConfig {
    /// The paths that are given, with their keys.
    pub fn paths_mut(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        let mut paths = vec![("train", &mut self.train)];
        paths.extend(self.train_labels.as_mut().map(|path| ("train_labels", path)));
        paths.extend(self.test.as_mut().map(|path| ("test", path)));
        paths.extend(self.test_labels.as_mut().map(|path| ("test_labels", path)));
        paths.extend(self.weights.as_mut().map(|path| ("weights", path)));
        paths
    }

    /// Reads both parts; where missing values are filled in, the rows are a frame.
    ///
    /// # Errors
    /// As for [`DataConfig::load_as`](super::DataConfig::load_as).
    pub fn load(&self, reading: &Reading<'_>) -> Result<Dataset, DataError> {
        let as_frame = match reading.encoding {
            Some(_) => FrameRule::Always,
            None if reading.cells.missing => FrameRule::Floats,
            None => FrameRule::Never,
        };
        let way = ReadingOptions { float: reading.float, as_frame };
        let arrays = &self.arrays;
        let train = Names {
            key: "train",
            features: Name::of(arrays.features.as_deref(), &[&FEATURES]),
            labels: Name::of(arrays.labels.as_deref(), &[&LABELS]),
        };
        let test = Names {
            key: "test",
            features: Name::of(arrays.test_features.as_deref(), &[&TEST_FEATURES]),
            labels: Name::of(arrays.test_labels.as_deref(), &[&TEST_LABELS]),
        };
        let mut notes = Vec::new();
        let opened = NpyFile::open(&self.train)?;
        let archive = match &opened {
            NpyFile::Archive(archive) => Some(Arc::clone(archive)),
            NpyFile::Array(_) => None,
        };
        let labels = self.train_labels.as_deref();
        let (mut train_part, image_shape) = part(opened, (&self.train, labels), &train, way, &mut notes)?;
        let way = ReadingOptions::of_part(&train_part);
        train_part.weights = self.row_weights(archive.as_deref(), train_part.features.n_rows())?;
        let test_part = match &self.test {
            None => {
                let archive = archive.filter(|archive| test.features.named.is_some() || test.features.is_in(archive));
                let labels = self.test_labels.as_deref();
                archive.map(|archive| part_of_archive(&archive, labels, &test, way, &mut notes)).transpose()?
            }
            Some(path) => {
                let labels = self.test_labels.as_deref();
                Some(part(NpyFile::open(path)?, (path, labels), &test.or(&train), way, &mut notes)?)
            }
        };
        let test_part = match test_part {
            Some((part, shape)) if shape != image_shape => {
                let problem = "rows are not of the shape that those of the train part have";
                return Err(DataError::content(part.file, Position::File, problem));
            }
            other => other.map(|(part, _)| part),
        };
        Ok(Dataset { image_shape, ..assemble(train_part, test_part, None, notes)? })
    }

    /// Row weights from their file, or from the archive of the train part where they are named.
    fn row_weights(&self, archive: Option<&zip::Archive>, n_rows: usize) -> Result<Option<Vec<f32>>, DataError> {
        let name = Name::of(self.arrays.weights.as_deref(), &[&WEIGHTS]);
        match (&self.weights, archive, name.named) {
            (Some(path), ..) => {
                let array = match NpyFile::open(path)? {
                    NpyFile::Array(array) => *array,
                    NpyFile::Archive(archive) => name.or_sole(&archive).pick(&archive, "row weights", "")?,
                };
                array.weights(n_rows).map(Some)
            }
            (None, Some(archive), Some(_)) => name.pick(archive, "row weights", "")?.weights(n_rows).map(Some),
            (None, ..) => Ok(None),
        }
    }
}

/// A file with one array or several.
enum NpyFile {
    Array(Box<Array>),
    Archive(Arc<zip::Archive>),
}

impl NpyFile {
    fn open(path: &Path) -> Result<Self, DataError> {
        Self::of(ByteSource::open(path)?)
    }

    fn of(source: ByteSource) -> Result<Self, DataError> {
        if source.head().starts_with(b"PK") {
            return Ok(Self::Archive(Arc::new(zip::Archive::open(source)?)));
        }
        if !source.head().starts_with(b"\x93NUMPY") {
            let problem = format!("found {}, expected a NumPy array or archive", looks_like(source.head()));
            return Err(DataError::content(source.file(), Position::Byte(0), problem)
                .with_hint("write it with numpy.save, numpy.savez or numpy.savez_compressed"));
        }
        Ok(Self::Array(Box::new(Array::open(source)?)))
    }
}

/// The names that an array may have; one that the user gave is the only one.
#[derive(Clone)]
struct Name<'a> {
    named: Option<&'a str>,
    usual: Vec<&'a str>,
}

impl<'a> Name<'a> {
    fn of(named: Option<&'a str>, usual: &[&[&'a str]]) -> Self {
        Self { named, usual: usual.concat() }
    }

    fn is_in(&self, archive: &zip::Archive) -> bool {
        self.usual.iter().any(|name| archive.names().any(|n| n == *name))
    }

    /// This name, or that of another part.
    fn or(&self, other: &Self) -> Self {
        Self { named: self.named.or(other.named), usual: [self.usual.as_slice(), &other.usual].concat() }
    }

    /// The same with the name of the only array of an archive among the usual ones.
    fn or_sole(&self, archive: &'a zip::Archive) -> Self {
        let mut names = archive.names();
        let sole = names.next().filter(|_| names.next().is_none());
        Self { named: self.named, usual: self.usual.iter().copied().chain(sole).collect() }
    }

    fn pick(&self, archive: &zip::Archive, what: &str, more: &str) -> Result<Array, DataError> {
        let candidates = self.named.map_or_else(|| self.usual.clone(), |name| vec![name]);
        if let Some(source) = candidates.iter().find_map(|name| archive.array(name)) {
            return Array::open(source?);
        }
        let problem = match self.named {
            Some(name) => format!("there is no array {}", super::quote(name)),
            None => format!("found no array of {what} by a usual name, such as `{}`", self.usual[self.usual.len() / 2]),
        };
        let names: Vec<String> = archive.names().map(str::to_owned).collect();
        let hint = format!("the archive has {}; [data.npy.arrays] names those to take{more}", listed(&names));
        Err(DataError::content(archive.file(), Position::File, problem).with_hint(hint))
    }
}

/// The names of the arrays of a part, and the key of its file.
struct Names<'a> {
    key: &'static str,
    features: Name<'a>,
    labels: Name<'a>,
}

impl Names<'_> {
    /// These names, or those of another part.
    fn or(&self, other: &Self) -> Self {
        Self { key: self.key, features: self.features.or(&other.features), labels: self.labels.or(&other.labels) }
    }
}

type PartAndShape = (FilePart, Option<ImageShape>);

/// A way to read features.
#[derive(Clone, Copy)]
struct ReadingOptions {
    float: FloatType,
    as_frame: FrameRule,
}

/// Which arrays become tables whose missing values are filled in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FrameRule {
    Never,
    Floats,
    Always,
}

impl ReadingOptions {
    /// That of a part, for the other one.
    const fn of_part(part: &FilePart) -> Self {
        let as_frame = if part.frame.is_some() { FrameRule::Always } else { FrameRule::Never };
        Self { float: FloatType::of_features(&part.features), as_frame }
    }
}

/// An array of labels and its file.
struct LabelArray<'a> {
    array: Array,
    file: &'a Path,
}

impl<'a> LabelArray<'a> {
    /// Those in a file of their own.
    fn of_file(file: &'a Path, name: &Name<'_>) -> Result<Self, DataError> {
        let array = match NpyFile::open(file)? {
            NpyFile::Array(array) => *array,
            NpyFile::Archive(archive) => {
                name.or(&Name::of(None, &[&LABELS, &TEST_LABELS])).or_sole(&archive).pick(&archive, "labels", "")?
            }
        };
        Ok(Self { array, file })
    }

    /// The labels of so many rows.
    fn of_rows(self, n_rows: usize, rows: &Path, notes: &mut Vec<String>) -> Result<LabelColumn, DataError> {
        let Self { array, file } = self;
        if let Some(n_columns) = array.n_columns() {
            notes.push(format!(
                "{}: the labels are a one-hot matrix of {n_columns} columns: a class is the number of its column, from 0",
                file.display()
            ));
        }
        let labels = array.labels()?;
        if labels.len() == n_rows {
            return Ok(labels);
        }
        let problem = format!("found {} labels, expected {n_rows} as {} has rows", labels.len(), rows.display());
        Err(DataError::content(file, Position::File, problem)
            .with_hint("do features and labels belong to the same part?"))
    }
}

fn part_of_archive(
    archive: &zip::Archive,
    labels: Option<&Path>,
    names: &Names<'_>,
    way: ReadingOptions,
    notes: &mut Vec<String>,
) -> Result<PartAndShape, DataError> {
    let file = archive.file();
    let sparse = Sparse::open(archive).filter(|_| names.features.named.is_none()).transpose()?;
    let features = || names.features.or_sole(archive).pick(archive, "features", "");
    let dense = if sparse.is_none() { Some(features()?) } else { None };
    let labels = match labels {
        Some(path) => LabelArray::of_file(path, &names.labels)?,
        None => {
            let more = format!(", `{}_labels` another file", names.key);
            LabelArray { array: names.labels.pick(archive, "labels", &more)?, file }
        }
    };
    match (sparse, dense) {
        (Some(sparse), _) => {
            if way.as_frame == FrameRule::Always {
                return Err(frame::no_table(file));
            }
            let label_file = labels.file;
            let labels = labels.of_rows(sparse.n_rows(), file, notes)?;
            Ok((FilePart::new(file, label_file, sparse.features(way.float, notes)?, labels), None))
        }
        (None, Some(dense)) => joined((dense, Some(&features as ReopenArray<'_>)), file, labels, way, notes),
        (None, None) => unreachable!("features are sparse or dense"),
    }
}

fn part(
    opened: NpyFile,
    (path, labels): (&Path, Option<&Path>),
    names: &Names<'_>,
    way: ReadingOptions,
    notes: &mut Vec<String>,
) -> Result<PartAndShape, DataError> {
    match (opened, labels) {
        (NpyFile::Archive(archive), labels) => part_of_archive(&archive, labels, names, way, notes),
        (NpyFile::Array(features), Some(labels)) => {
            let again = || Array::open(ByteSource::open(path)?);
            let again = is_regular(path).then_some(&again as ReopenArray<'_>);
            joined((*features, again), path, LabelArray::of_file(labels, &names.labels)?, way, notes)
        }
        (NpyFile::Array(_), None) => Err(DataError::path(path, "holds one array, the features: where are the labels?")
            .with_hint(format!("give their file as `{}_labels`, or both arrays in one .npz", names.key))),
    }
}

/// Opens an array once more.
type ReopenArray<'a> = &'a dyn Fn() -> Result<Array, DataError>;

fn joined(
    (features, again): (Array, Option<ReopenArray<'_>>),
    file: &Path,
    labels: LabelArray<'_>,
    way: ReadingOptions,
    notes: &mut Vec<String>,
) -> Result<PartAndShape, DataError> {
    let label_file = labels.file;
    let labels = labels.of_rows(features.n_rows(), file, notes)?;
    if way.as_frame == FrameRule::Always || way.as_frame == FrameRule::Floats && features.is_float() {
        let frame = frame::of_array(features, file)?;
        let part = FilePart::new(file, label_file, frame.unencoded(), labels);
        return Ok((FilePart { frame: Some(frame), ..part }, None));
    }
    let float = way.float;
    let float = if float == FloatType::Auto && !features.is_double() { FloatType::F32 } else { float };
    let mut first = Some(features);
    let read = |double| match (first.take(), again) {
        (None, Some(again)) => again()?.features(double),
        (Some(array), _) => array.features(double),
        (None, None) => unreachable!("what cannot be opened again is read once"),
    };
    let (features, shape) = float.read(again.is_some(), read, |features, _| !blurred(features).is_empty())?;
    Ok((FilePart::new(file, label_file, features, labels), shape))
}

/// True for the first bytes of an array or a zip archive.
pub(super) fn detect(head: &[u8]) -> bool {
    head.starts_with(b"\x93NUMPY") || head.starts_with(b"PK\x03\x04")
}

/// Reads a file: an array of features, or an archive with features and, perhaps, labels; those of a test part first.
pub(super) fn read(source: ByteSource, wanted: Option<&ModelColumns>) -> Result<Table, DataError> {
    let opened = NpyFile::of(source)?;
    let model = wanted.filter(|wanted| wanted.n_features > 0);
    let missing = if model.is_some() { MissingCells::RefusedByModel } else { MissingCells::Refused };
    let float = FloatType::of(wanted.is_some_and(|wanted| wanted.double));
    let encoding = wanted.and_then(|wanted| wanted.encoding.as_ref());
    let table = |array: Array| match encoding {
        Some(encoding) => frame::encoded(array, encoding),
        None => {
            let (features, image_shape) = array.with(missing).features(float == FloatType::F64)?;
            Ok(Table { image_shape, ..Table::of(features) })
        }
    };
    let keep = wanted.map_or(&[][..], |wanted| &wanted.keep);
    let archive = match opened {
        NpyFile::Array(array) if keep.is_empty() => return table(*array),
        NpyFile::Array(array) => return Err(frame::nothing_to_keep(&array)),
        NpyFile::Archive(archive) => archive,
    };
    let none = Arrays::default();
    let arrays = wanted.map_or(&none, |wanted| &wanted.arrays);
    let present = |name: &&str| archive.names().any(|n| n == *name);
    let find = |names: [&Option<String>; 2], usual: [&[&'static str]; 2]| {
        let given = names.into_iter().flatten().map(String::as_str);
        given.chain(usual.concat()).find(present).map(str::to_owned)
    };
    let labels = find([&arrays.test_labels, &arrays.labels], [&TEST_LABELS, &LABELS]);
    let labels = labels.map(|name| Name::of(Some(&name), &[]).pick(&archive, "labels", "")?.labels()).transpose()?;
    let given = [&arrays.test_features, &arrays.features].into_iter().flatten().map(String::as_str).find(present);
    let table = match Sparse::open(&archive).filter(|_| given.is_none()) {
        Some(_) if encoding.is_some() => return Err(frame::no_table(archive.file())),
        Some(sparse) => Table::of(sparse?.features(float, &mut Vec::new())?),
        None => {
            let named = find([&arrays.test_features, &arrays.features], [&TEST_FEATURES, &FEATURES]);
            let name = Name::of(named.as_deref(), &[&FEATURES]).or_sole(&archive);
            table(name.pick(&archive, "features", "")?)?
        }
    };
    // Labels of another part of the archive are none of these rows'.
    let labels = labels.filter(|labels| labels.len() == table.features.n_rows());
    let kept = frame::kept(&archive, keep, table.features.n_rows())?;
    Ok(Table { labels, kept, ..table })
}

#[cfg(test)]
mod tests;
