//! Tables of typed columns: their configuration, and how they are read to train on and for a model.

use super::ArrowFile;
use super::layout::{Layout, RequiredNames, is_index};
use super::parts::{Parts, TypedFile, is_part};
use crate::data::blocks::DataPart;
use crate::data::{self, Dataset, Features, Frame};
use crate::format::columns::{ColumnRef, ModelColumns, Plan, SpecialColumns};
use crate::format::known::KnownColumns;
use crate::format::open::ByteSource;
use crate::format::parquet::ParquetFile;
use crate::format::pieces::{RowPiece, StreamedData};
use crate::format::precision::FloatType;
use crate::format::reading::{CellRules, Reading, encoding_error, unseen_note};
use crate::format::{DataError, FilePart, Format, Table, assemble, weights};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// `[data.parquet]` and `[data.arrow]`: tables with typed columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TypedConfig {
    /// The rows to train on: a file, or a folder of part files.
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
    /// Columns of categories, whatever their cells are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub category: Vec<ColumnRef>,
}

impl TypedConfig {
    /// The paths that are given, with their keys.
    pub fn paths_mut(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        let mut paths = vec![("train", &mut self.train)];
        paths.extend(self.test.as_mut().map(|path| ("test", path)));
        paths
    }

    /// The names of the columns of a file, or of part files, but for the row index of pandas.
    ///
    /// # Errors
    /// As for [`DataConfig::load_as`](crate::format::DataConfig::load_as).
    pub fn names(format: Format, file: &Path) -> Result<Vec<String>, DataError> {
        let names = match format {
            Format::Parquet => Parts::<ParquetFile>::open(file, &mut Vec::new())?.names(),
            _ => Parts::<ArrowFile>::open(file, &mut Vec::new())?.names(),
        };
        Ok(names.into_iter().filter(|name| !is_index(name)).collect())
    }

    /// The format of the part files of a folder; `None` where it has none.
    #[must_use]
    pub fn format_of_folder(folder: &Path) -> Option<Format> {
        let has = |extensions: &[&str]| {
            let mut entries = std::fs::read_dir(folder).ok()?;
            Some(entries.any(|entry| entry.is_ok_and(|entry| is_part(&entry.path(), extensions))))
        };
        if has(ParquetFile::EXTENSIONS)? {
            return Some(Format::Parquet);
        }
        has(ArrowFile::EXTENSIONS)?.then_some(Format::Arrow)
    }

    /// Columns that it names.
    #[must_use]
    pub fn special(&self) -> SpecialColumns {
        let (label, weights) = (Some(self.label.clone()), self.weights.clone());
        SpecialColumns { label, weights, ignore: self.ignore.clone(), category: self.category.clone() }
    }

    /// Reads both parts with their floats in a precision.
    ///
    /// # Errors
    /// As for [`DataConfig::load_as`](crate::format::DataConfig::load_as).
    pub(in crate::format) fn load_as<F: TypedFile>(&self, reading: &Reading<'_>) -> Result<Dataset, DataError> {
        let mut notes = Vec::new();
        let known = reading.encoding.map(KnownColumns::of_encoding);
        let mut train = Parts::<F>::open(&self.train, &mut notes)?;
        let layout = self.layout(&mut train, known.as_ref(), &mut notes)?;
        let has_rules = reading.cells != CellRules::default() || !self.category.is_empty();
        if has_rules || known.is_some() || layout.has_kinds() {
            return self.load_encoded(&mut train, &layout, known, reading, notes);
        }
        let mut test = self.test.as_deref().map(|path| Parts::<F>::open(path, &mut notes)).transpose()?;
        let test_layout = test.as_mut().map(|test| self.test_layout(test, &layout)).transpose()?;
        // Both parts are kept in the same way.
        let as_bytes = layout.is_bytes && test_layout.as_ref().is_none_or(|test| test.is_bytes);
        let part = |parts: &mut Parts<F>, layout: &Layout, float| -> Result<FilePart, DataError> {
            let (features, labels, weights) = parts.read(layout, as_bytes, float)?;
            let weights = weights.map(|found| weights::fitting(found, &parts.path, labels.len())).transpose()?;
            Ok(FilePart { weights, ..FilePart::new(&parts.path, &parts.path, features, labels) })
        };
        let train = part(&mut train, &layout, reading.float)?;
        layout.note_long(&mut notes, |j| largest(&train.features, j));
        let float = FloatType::of_features(&train.features);
        let test =
            test.as_mut().zip(test_layout.as_ref()).map(|(test, layout)| part(test, layout, float)).transpose()?;
        let dataset = assemble(train, test, None, notes)?;
        Ok(Dataset { feature_names: Some(layout.feature_names), image_shape: layout.image_shape, ..dataset })
    }

    /// Reads both parts in pieces; `None` where there is something to encode.
    pub(in crate::format) fn in_pieces<F: TypedFile>(
        &self,
        reading: &Reading<'_>,
        sink: &mut dyn FnMut(DataPart, RowPiece) -> Result<(), DataError>,
    ) -> Result<Option<StreamedData>, DataError> {
        let mut notes = Vec::new();
        if reading.cells != CellRules::default() || !self.category.is_empty() || reading.encoding.is_some() {
            return Ok(None);
        }
        let mut train = Parts::<F>::open(&self.train, &mut notes)?;
        let layout = self.layout(&mut train, None, &mut notes)?;
        if layout.has_kinds() {
            return Ok(None);
        }
        let mut test = self.test.as_deref().map(|path| Parts::<F>::open(path, &mut notes)).transpose()?;
        let test_layout = test.as_mut().map(|test| self.test_layout(test, &layout)).transpose()?;
        let as_bytes = layout.is_bytes && test_layout.as_ref().is_none_or(|test| test.is_bytes);
        train.in_pieces(&layout, as_bytes, &mut |piece| sink(DataPart::Train, piece))?;
        if let (Some(test), Some(layout)) = (&mut test, &test_layout) {
            test.in_pieces(layout, as_bytes, &mut |piece| sink(DataPart::Test, piece))?;
        }
        let (feature_names, image_shape) = (Some(layout.feature_names), layout.image_shape);
        Ok(Some(StreamedData { feature_names, image_shape, notes, ..StreamedData::default() }))
    }

    /// The columns of a test part that are features as they are.
    fn test_layout<F: TypedFile>(&self, test: &mut Parts<F>, train: &Layout) -> Result<Layout, DataError> {
        let (special, expected) = (self.special(), RequiredNames { names: &train.feature_names, of_model: false });
        test.layout(&mut Vec::new(), Some(expected), false, |names, n, expected| {
            Plan::of_table(names, n, &special, expected)
        })
    }

    /// The columns of a part that may have to be encoded.
    fn layout<F: TypedFile>(
        &self,
        parts: &mut Parts<F>,
        known: Option<&KnownColumns>,
        notes: &mut Vec<String>,
    ) -> Result<Layout, DataError> {
        let special = self.special();
        let names = known.and_then(|known| known.names.as_deref());
        let of_model = known.is_some_and(|known| known.of_model);
        let expected = names.map(|names| RequiredNames { names, of_model });
        parts.layout(notes, expected, true, |names, n, expected| Plan::of_table(names, n, &special, expected))
    }

    /// Reads both parts of a table that has to be encoded.
    fn load_encoded<F: TypedFile>(
        &self,
        train: &mut Parts<F>,
        layout: &Layout,
        of_model: Option<KnownColumns>,
        reading: &Reading<'_>,
        mut notes: Vec<String>,
    ) -> Result<Dataset, DataError> {
        let part =
            |parts: &mut Parts<F>, layout: &Layout, known: Option<&KnownColumns>| -> Result<FilePart, DataError> {
                let rows = parts.frame(layout, reading.cells, known)?;
                let weights = rows.weights.map(|found| weights::fitting(found, &parts.path, rows.labels.len()));
                let (weights, features) = (weights.transpose()?, rows.frame.unencoded());
                let part = FilePart::new(&parts.path, &parts.path, features, rows.labels);
                Ok(FilePart { weights, frame: Some(rows.frame), ..part })
            };
        let train = part(train, layout, of_model.as_ref())?;
        let frame = train.frame.as_ref();
        let largest = |j: usize| match frame.map(|frame| &frame.columns()[j].cells) {
            Some(data::Cells::Numbers(values)) => values.iter().fold(0.0, |most: f64, x| most.max(x.abs())),
            _ => 0.0,
        };
        layout.note_long(&mut notes, largest);
        let names = frame.and_then(Frame::names);
        let known = of_model.or_else(|| frame.map(|frame| KnownColumns::of_frame(frame, reading.cells)));
        let test = match &self.test {
            Some(path) => {
                let mut test = Parts::<F>::open(path, &mut notes)?;
                let layout = self.layout(&mut test, known.as_ref(), &mut Vec::new())?;
                Some(part(&mut test, &layout, known.as_ref())?)
            }
            None => None,
        };
        Ok(Dataset { feature_names: names, ..assemble(train, test, None, notes)? })
    }
}

/// The largest size of a feature.
fn largest(features: &Features, j: usize) -> f64 {
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, |most: f64, x| most.max(x.abs()));
    match features {
        Features::F32(dense) => most(&mut dense.values().iter().skip(j).step_by(dense.n_features()).map(|&x| x.into())),
        Features::F64(dense) => most(&mut dense.values().iter().skip(j).step_by(dense.n_features()).copied()),
        Features::U8(_) | Features::Sparse(_) => 0.0,
    }
}

/// Reads a file for a model; labels where it has the column.
pub(in crate::format) fn read<F: TypedFile>(
    source: ByteSource,
    wanted: Option<&ModelColumns>,
) -> Result<Table, DataError> {
    let path = source.file().to_path_buf();
    read_parts(Parts::new(path, vec![F::open(source)?])?, wanted)
}

/// Reads the part files of a folder for a model; `None` where it has none.
pub(in crate::format) fn read_folder(folder: &Path, wanted: Option<&ModelColumns>) -> Option<Result<Table, DataError>> {
    fn read<F: TypedFile>(folder: &Path, wanted: Option<&ModelColumns>) -> Result<Table, DataError> {
        read_parts(Parts::<F>::open(folder, &mut Vec::new())?, wanted)
    }
    Some(match TypedConfig::format_of_folder(folder)? {
        Format::Parquet => read::<ParquetFile>(folder, wanted),
        _ => read::<ArrowFile>(folder, wanted),
    })
}

fn read_parts<F: TypedFile>(mut parts: Parts<F>, wanted: Option<&ModelColumns>) -> Result<Table, DataError> {
    parts.keep(wanted.map_or(&[], |wanted| &wanted.keep))?;
    let expected =
        wanted.and_then(|wanted| wanted.feature_names.as_deref()).map(|names| RequiredNames { names, of_model: true });
    let encoding = wanted.and_then(|wanted| wanted.encoding.as_ref());
    let layout = parts.layout(&mut Vec::new(), expected, encoding.is_some(), |names, n, expected| match wanted {
        Some(wanted) if wanted.n_features > 0 => {
            let feature_names = expected.map(<[String]>::to_vec);
            let n_features = feature_names.as_ref().map_or(wanted.n_features, Vec::len);
            Plan::for_model(names, n, &ModelColumns { n_features, feature_names, ..wanted.clone() })
        }
        Some(wanted) => Plan::of_table(names, n, &wanted.special, None),
        None => Plan::of_table(names, n, &SpecialColumns::default(), None),
    })?;
    if let Some(encoding) = encoding {
        let rows = parts.frame(&layout, CellRules::default(), Some(&KnownColumns::of_encoding(encoding)))?;
        let encoded = encoding.apply(&rows.frame).map_err(|e| encoding_error(&parts.path, &e))?;
        let labels = (!rows.labels.is_empty()).then_some(rows.labels);
        let notes = encoded.unseen.iter().map(unseen_note).collect();
        return Ok(Table { labels, notes, kept: parts.kept()?, ..Table::of(encoded.features) });
    }
    let float = FloatType::of(wanted.is_some_and(|wanted| wanted.double));
    let (features, labels, _) = parts.read(&layout, layout.is_bytes, float)?;
    let labels = (!labels.is_empty()).then_some(labels);
    Ok(Table { labels, image_shape: layout.image_shape, kept: parts.kept()?, ..Table::of(features) })
}
