//! NumPy's files: an array in `.npy`, several in an `.npz` archive.
//!
//! ```text
//! \x93NUMPY, version (1, 2 or 3), length of the header, header:
//! {'descr': '<f4', 'fortran_order': False, 'shape': (1797, 64), }
//! then the elements, in the order that the header says
//! ```
//! Features are a matrix, or images of 3 dimensions (n, height, width) or 4 (n, height, width, channels): flattened, with their
//! channels brought into planes. `u1` stays bytes, other numbers become `f32`, or `f64` where
//! that would blur a column. Labels are a vector of integers or strings.
//!
//! # References
//! NumPy documentation, module `numpy.lib.format`, "A simple format for saving numpy arrays to disk".

mod array;
mod zip;

use super::columns::Wanted;
use super::open::{Source, looks_like};
use super::precision::{FloatType, is_regular};
use super::{Part, assemble};
use crate::data::precision::blurred;
use crate::data::{Dataset, ImageShape};
use crate::format::{DataError, Position, Table};
use crate::visible::listed;
use array::Array;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `[data.npy]`: `.npy` files, or an `.npz` archive with all arrays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NpyConfig {
    /// The features to train on: `.npy`, or `.npz` with at least features and labels.
    pub train: PathBuf,
    /// The labels to train on, where they are not in `train`.
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

    /// Reads both parts with their floats in a precision.
    ///
    /// # Errors
    /// As for [`DataConfig::load_as`](super::DataConfig::load_as).
    pub fn load_as(&self, float: FloatType) -> Result<Dataset, DataError> {
        let arrays = &self.arrays;
        let train = Names::of(arrays.features.as_deref(), &FEATURES, arrays.labels.as_deref(), &LABELS);
        let test =
            Names::of(arrays.test_features.as_deref(), &TEST_FEATURES, arrays.test_labels.as_deref(), &TEST_LABELS);
        let opened = Opened::open(&self.train)?;
        let archive = match &opened {
            Opened::Archive(archive) => Some(Arc::clone(archive)),
            Opened::Array(_) => None,
        };
        let named_weights = match (&archive, &arrays.weights) {
            (Some(archive), Some(name)) => Some(pick(archive, Some(name), &[], "row weights")?),
            _ => None,
        };
        let labels = self.train_labels.as_deref();
        let (mut train_part, image_shape) = part(opened, (&self.train, labels), "train", &train, float)?;
        let float = FloatType::of_features(&train_part.features);
        let n_rows = train_part.features.n_rows();
        train_part.weights = match (&self.weights, named_weights) {
            (Some(path), _) => Some(weights_of(path, n_rows)?),
            (None, Some(array)) => Some(array.weights(n_rows)?),
            (None, None) => None,
        };
        let test_part = match &self.test {
            None => {
                let archive = archive.filter(|archive| test.is_named() || test.is_in(archive));
                let of =
                    |archive: Arc<zip::Archive>| part_of_archive(&archive, self.test_labels.as_deref(), &test, float);
                archive.map(of).transpose()?
            }
            Some(path) => {
                let names = test.or(&train);
                Some(part(Opened::open(path)?, (path, self.test_labels.as_deref()), "test", &names, float)?)
            }
        };
        let test_part = match test_part {
            Some((part, shape)) if shape != image_shape => {
                let problem = "rows are not of the shape that those of the train part have";
                return Err(DataError::content(part.file, Position::File, problem));
            }
            other => other.map(|(part, _)| part),
        };
        Ok(Dataset { image_shape, ..assemble(train_part, test_part, None, Vec::new())? })
    }
}

/// A file with one array or several.
enum Opened {
    Array(Box<Array>),
    Archive(Arc<zip::Archive>),
}

impl Opened {
    fn open(path: &Path) -> Result<Self, DataError> {
        Self::of(Source::open(path)?)
    }

    fn of(source: Source) -> Result<Self, DataError> {
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

/// What the two arrays of a part may be called; a name that the user gave is the only one.
struct Names<'a> {
    features: Vec<&'a str>,
    labels: Vec<&'a str>,
    named: [Option<&'a str>; 2],
}

impl<'a> Names<'a> {
    fn of(features: Option<&'a str>, usual: &[&'a str], labels: Option<&'a str>, usual_labels: &[&'a str]) -> Self {
        Self { features: usual.to_vec(), labels: usual_labels.to_vec(), named: [features, labels] }
    }

    fn is_named(&self) -> bool {
        self.named[0].is_some()
    }

    fn is_in(&self, archive: &zip::Archive) -> bool {
        let names = archive.names();
        self.features.iter().any(|name| names.iter().any(|n| n == name))
    }

    /// These names, or those of another part.
    fn or(&self, other: &Self) -> Self {
        Self {
            features: [self.features.as_slice(), &other.features].concat(),
            labels: [self.labels.as_slice(), &other.labels].concat(),
            named: [self.named[0].or(other.named[0]), self.named[1].or(other.named[1])],
        }
    }
}

fn pick(archive: &zip::Archive, named: Option<&str>, usual: &[&str], what: &str) -> Result<Array, DataError> {
    let candidates = named.map_or_else(|| usual.to_vec(), |name| vec![name]);
    match candidates.iter().find_map(|name| archive.array(name)) {
        Some(source) => Array::open(source?),
        None => {
            let problem = match named {
                Some(name) => format!("there is no array {}", super::quote(name)),
                None => format!("found no array of {what} by a usual name, such as `{}`", usual[usual.len() / 2]),
            };
            let hint = format!("the archive has {}; [data.npy.arrays] names those to take", listed(&archive.names()));
            Err(DataError::content(archive.file(), Position::File, problem).with_hint(hint))
        }
    }
}

type PartAndShape = (Part, Option<ImageShape>);

fn part_of_archive(
    archive: &zip::Archive,
    labels: Option<&Path>,
    names: &Names<'_>,
    float: FloatType,
) -> Result<PartAndShape, DataError> {
    let features = || pick(archive, names.named[0], &names.features, "features");
    let features = (features()?, Some(&features as Again<'_>));
    match labels {
        Some(path) => joined(features, archive.file(), (labels_of(path)?, path), float),
        None => {
            let labels = pick(archive, names.named[1], &names.labels, "labels")?;
            joined(features, archive.file(), (labels, archive.file()), float)
        }
    }
}

fn part(
    opened: Opened,
    (path, labels): (&Path, Option<&Path>),
    key: &str,
    names: &Names<'_>,
    float: FloatType,
) -> Result<PartAndShape, DataError> {
    match (opened, labels) {
        (Opened::Archive(archive), labels) => part_of_archive(&archive, labels, names, float),
        (Opened::Array(features), Some(labels)) => {
            let again = || Array::open(Source::open(path)?);
            let again = is_regular(path).then_some(&again as Again<'_>);
            joined((*features, again), path, (labels_of(labels)?, labels), float)
        }
        (Opened::Array(_), None) => Err(DataError::path(path, "holds one array, the features: where are the labels?")
            .with_hint(format!("give their file as `{key}_labels`, or both arrays in one .npz"))),
    }
}

fn labels_of(path: &Path) -> Result<Array, DataError> {
    match Opened::open(path)? {
        Opened::Array(array) => Ok(*array),
        Opened::Archive(archive) => pick(&archive, None, &[&LABELS[..], &TEST_LABELS].concat(), "labels"),
    }
}

fn weights_of(path: &Path, n_rows: usize) -> Result<Vec<f32>, DataError> {
    match Opened::open(path)? {
        Opened::Array(array) => array.weights(n_rows),
        Opened::Archive(archive) => pick(&archive, None, &WEIGHTS, "row weights")?.weights(n_rows),
    }
}

/// Opens an array once more.
type Again<'a> = &'a dyn Fn() -> Result<Array, DataError>;

fn joined(
    (features, again): (Array, Option<Again<'_>>),
    file: &Path,
    (labels, label_file): (Array, &Path),
    float: FloatType,
) -> Result<PartAndShape, DataError> {
    let labels = labels.labels()?;
    if labels.len() != features.n_rows() {
        let problem =
            format!("found {} labels, expected {} as {} has rows", labels.len(), features.n_rows(), file.display());
        return Err(DataError::content(label_file, Position::File, problem)
            .with_hint("do features and labels belong to the same part?"));
    }
    let float = if float == FloatType::Auto && !features.is_double() { FloatType::F32 } else { float };
    let mut first = Some(features);
    let read = |double| match (first.take(), again) {
        (None, Some(again)) => again()?.features(double),
        (Some(array), _) => array.features(double),
        (None, None) => unreachable!("what cannot be opened again is read once"),
    };
    let (features, shape) = float.read(again.is_some(), read, |features, _| !blurred(features).is_empty())?;
    Ok((Part::new(file, label_file, features, labels), shape))
}

/// True for the first bytes of an array or a zip archive.
pub(super) fn detect(head: &[u8]) -> bool {
    head.starts_with(b"\x93NUMPY") || head.starts_with(b"PK\x03\x04")
}

/// Reads a file: an array of features, or an archive with features and, perhaps, labels; those of a test part first.
pub(super) fn read(source: Source, wanted: Option<&Wanted>) -> Result<Table, DataError> {
    let none = Arrays::default();
    let arrays = wanted.map_or(&none, |wanted| &wanted.arrays);
    let (features, labels) = match Opened::of(source)? {
        Opened::Array(array) => (*array, None),
        Opened::Archive(archive) => {
            let find = |names: &[Option<&String>], usual: [&[&str]; 2]| {
                let present = archive.names();
                let given = names.iter().flatten().map(|name| name.as_str());
                given.chain(usual.concat()).find(|name| present.iter().any(|n| n == name)).map(str::to_owned)
            };
            let features =
                find(&[arrays.test_features.as_ref(), arrays.features.as_ref()], [&TEST_FEATURES, &FEATURES]);
            let labels = find(&[arrays.test_labels.as_ref(), arrays.labels.as_ref()], [&TEST_LABELS, &LABELS]);
            let labels = labels.map(|name| pick(&archive, Some(&name), &[], "labels")).transpose()?;
            (pick(&archive, features.as_deref(), &FEATURES, "features")?, labels)
        }
    };
    let n_rows = features.n_rows();
    let labels = labels.map(Array::labels).transpose()?;
    // Labels of another part of the archive are none of these rows'.
    let labels = labels.filter(|labels| labels.len() == n_rows);
    let double = wanted.is_some_and(|wanted| wanted.double);
    let (features, image_shape) = features.features(double)?;
    Ok(Table { features, labels, image_shape, class_names: None, notes: Vec::new() })
}

#[cfg(test)]
mod tests;
