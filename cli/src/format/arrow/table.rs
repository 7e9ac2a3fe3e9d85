//! Tables of typed columns: which array is which features of a row, in one file or in a folder of part files.

use super::array::{Cell, Cells, Extent, Fault, Numbers};
use super::frame::FrameBuilder;
use super::layout::{Expected, Found, Layout};
use super::rows::Rows;
use crate::data::precision::blurred;
use crate::data::{Dataset, Dense, Features, Frame, LabelColumn};
use crate::format::Complaint;
use crate::format::columns::{Column, Plan, Special, Wanted};
use crate::format::known::{FrameRows, KnownColumns};
use crate::format::open::{Source, path_error};
use crate::format::precision::FloatType;
use crate::format::reading::{CellRules, Reading, encoding_error, unseen_note};
use crate::format::{DataError, Part, Position, Table, assemble, quote, weights};
use arrow_array::ArrayRef;
use arrow_schema::{Schema, SchemaRef};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Values of a column that are decoded at a time.
const VALUES: usize = 1 << 20;
/// Rows of a table to be encoded that are decoded at a time.
const ROWS: usize = 8192;

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
    pub label: Column,
    /// The column of the row weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Column>,
    /// Columns that are no features.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<Column>,
    /// Columns of categories, whatever their cells are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub category: Vec<Column>,
}

impl TypedConfig {
    /// The paths that are given, with their keys.
    pub fn paths_mut(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        let mut paths = vec![("train", &mut self.train)];
        paths.extend(self.test.as_mut().map(|path| ("test", path)));
        paths
    }

    /// Columns that it names.
    #[must_use]
    pub fn special(&self) -> Special {
        let (label, weights) = (Some(self.label.clone()), self.weights.clone());
        Special { label, weights, ignore: self.ignore.clone(), category: self.category.clone() }
    }

    /// Reads both parts with their floats in a precision.
    ///
    /// # Errors
    /// As for [`DataConfig::load_as`](crate::format::DataConfig::load_as).
    pub(in crate::format) fn load_as<F: TypedFile>(&self, reading: &Reading<'_>) -> Result<Dataset, DataError> {
        let is_encoded =
            reading.cells != CellRules::default() || !self.category.is_empty() || reading.encoding.is_some();
        if is_encoded {
            return self.load_encoded::<F>(reading);
        }
        let float = reading.float;
        let (mut notes, special) = (Vec::new(), self.special());
        let mut train = Parts::<F>::open(&self.train, &mut notes)?;
        let layout = train.layout(&mut notes, None, false, |names, n, _| Plan::of_table(names, n, &special, None))?;
        let mut test = self.test.as_deref().map(|path| Parts::<F>::open(path, &mut notes)).transpose()?;
        let test_layout = match &mut test {
            Some(test) => Some(test.layout(
                &mut Vec::new(),
                Some(Expected { names: &layout.feature_names, whose: "train" }),
                false,
                |names, n, expected| Plan::of_table(names, n, &special, expected),
            )?),
            None => None,
        };
        // Both parts are kept in the same way.
        let as_bytes = layout.is_bytes && test_layout.as_ref().is_none_or(|test| test.is_bytes);
        let part = |parts: &mut Parts<F>, layout: &Layout, float| -> Result<Part, DataError> {
            let (features, labels, weights) = parts.read(layout, as_bytes, float)?;
            let weights = weights.map(|found| weights::fitting(found, &parts.path, labels.len())).transpose()?;
            Ok(Part { weights, ..Part::new(&parts.path, &parts.path, features, labels) })
        };
        let train = part(&mut train, &layout, float)?;
        let float = FloatType::of_features(&train.features);
        let test =
            test.as_mut().zip(test_layout.as_ref()).map(|(test, layout)| part(test, layout, float)).transpose()?;
        let dataset = assemble(train, test, None, notes)?;
        Ok(Dataset { feature_names: Some(layout.feature_names), image_shape: layout.image_shape, ..dataset })
    }

    /// Reads both parts of a table that has to be encoded.
    fn load_encoded<F: TypedFile>(&self, reading: &Reading<'_>) -> Result<Dataset, DataError> {
        let mut notes = Vec::new();
        let of_model = || reading.encoding.map(KnownColumns::of_encoding);
        let train = self.part::<F>(&self.train, of_model().as_ref(), reading, &mut notes)?;
        let names = train.frame.as_ref().and_then(Frame::names);
        let known =
            of_model().or_else(|| train.frame.as_ref().map(|frame| KnownColumns::of_frame(frame, reading.cells)));
        let test = self.test.as_deref();
        let test = test.map(|path| self.part::<F>(path, known.as_ref(), reading, &mut Vec::new())).transpose()?;
        Ok(Dataset { feature_names: names, ..assemble(train, test, None, notes)? })
    }

    fn part<F: TypedFile>(
        &self,
        path: &Path,
        known: Option<&KnownColumns>,
        reading: &Reading<'_>,
        notes: &mut Vec<String>,
    ) -> Result<Part, DataError> {
        let special = self.special();
        let mut parts = Parts::<F>::open(path, notes)?;
        let names = known.and_then(|known| known.names.as_deref());
        let whose = if known.is_some_and(|known| known.of_model) { "the model" } else { "train" };
        let expected = names.map(|names| Expected { names, whose });
        let layout =
            parts.layout(notes, expected, true, |names, n, expected| Plan::of_table(names, n, &special, expected))?;
        let rows = parts.frame(&layout, reading.cells, known)?;
        let weights = rows.weights.map(|found| weights::fitting(found, path, rows.labels.len())).transpose()?;
        let features = rows.frame.unencoded();
        Ok(Part { weights, frame: Some(rows.frame), ..Part::new(path, path, features, rows.labels) })
    }
}

/// Reads a file for a model; labels where it has the column.
pub(in crate::format) fn read<F: TypedFile>(source: Source, wanted: Option<&Wanted>) -> Result<Table, DataError> {
    let path = source.file().to_path_buf();
    read_parts(Parts { path, files: vec![F::open(source)?] }, wanted)
}

/// Reads the part files of a folder for a model; `None` where it has none.
pub(in crate::format) fn read_folder<F: TypedFile>(
    folder: &Path,
    wanted: Option<&Wanted>,
) -> Option<Result<Table, DataError>> {
    let mut entries = std::fs::read_dir(folder).ok()?;
    entries.any(|entry| entry.is_ok_and(|entry| is_part(&entry.path(), F::EXTENSIONS))).then_some(())?;
    Some(Parts::<F>::open(folder, &mut Vec::new()).and_then(|parts| read_parts(parts, wanted)))
}

fn read_parts<F: TypedFile>(mut parts: Parts<F>, wanted: Option<&Wanted>) -> Result<Table, DataError> {
    let expected =
        wanted.and_then(|wanted| wanted.feature_names.as_deref()).map(|names| Expected { names, whose: "the model" });
    let encoding = wanted.and_then(|wanted| wanted.encoding.as_ref());
    let layout = parts.layout(&mut Vec::new(), expected, encoding.is_some(), |names, n, expected| match wanted {
        Some(wanted) if wanted.n_features > 0 => {
            let feature_names = expected.map(<[String]>::to_vec);
            let n_features = feature_names.as_ref().map_or(wanted.n_features, Vec::len);
            Plan::for_model(names, n, &Wanted { n_features, feature_names, ..wanted.clone() })
        }
        Some(wanted) => Plan::of_table(names, n, &wanted.special, None),
        None => Plan::of_table(names, n, &Special::default(), None),
    })?;
    if let Some(encoding) = encoding {
        let rows = parts.frame(&layout, CellRules::default(), Some(&KnownColumns::of_encoding(encoding)))?;
        let encoded = encoding.apply(&rows.frame).map_err(|e| encoding_error(&parts.path, &e))?;
        let labels = (!rows.labels.is_empty()).then_some(rows.labels);
        let notes = encoded.unseen.iter().map(unseen_note).collect();
        return Ok(Table { features: encoded.features, labels, image_shape: None, class_names: None, notes });
    }
    let float = FloatType::of(wanted.is_some_and(|wanted| wanted.double));
    let (features, labels, _) = parts.read(&layout, layout.is_bytes, float)?;
    let labels = (!labels.is_empty()).then_some(labels);
    Ok(Table { features, labels, image_shape: layout.image_shape, class_names: None, notes: Vec::new() })
}

/// A file of typed columns.
pub(in crate::format) trait TypedFile: Sized {
    /// The ends of the names of part files.
    const EXTENSIONS: &'static [&'static str];

    /// Reads what the file says of its columns.
    fn open(source: Source) -> Result<Self, DataError>;

    fn path(&self) -> &Path;

    fn schema(&self) -> &SchemaRef;

    /// The number of rows, where the file says it before they are read.
    fn n_rows(&self) -> Option<u64>;

    /// Whether it can be read more than once.
    fn is_lasting(&self) -> bool;

    /// The beginning of a column, a row at least where the file has one.
    fn beginning(&mut self, column: usize) -> Result<Option<ArrayRef>, DataError>;

    /// Reads some columns, up to `most` rows at a time, and passes them on.
    fn read(
        &mut self,
        columns: &[usize],
        most: usize,
        sink: &mut dyn FnMut(Batch) -> Result<(), DataError>,
    ) -> Result<(), DataError>;
}

/// Columns in some rows of a file.
pub(in crate::format) struct Batch {
    /// The first of the rows, from 0.
    pub(in crate::format) first: usize,
    /// The columns by their numbers, from 0.
    pub(in crate::format) columns: Vec<(usize, ArrayRef)>,
}

/// A sentence about the content of a file.
pub(in crate::format) fn wrong(file: &Path, problem: &str) -> DataError {
    DataError::content(file, Position::File, problem)
}

/// The sentence about a damaged file.
pub(in crate::format) fn damaged(file: &Path, problem: &str) -> DataError {
    wrong(file, problem).with_hint("the file is damaged: get it again")
}

/// A message of a crate on one line.
pub(in crate::format) fn in_words(error: &dyn std::error::Error) -> String {
    const LONGEST: usize = 200;
    crate::visible::name(&error.to_string()).chars().take(LONGEST).collect()
}

/// A file, or the part files of a folder in the order of their names, as one table.
struct Parts<F> {
    path: PathBuf,
    files: Vec<F>,
}

type Read = (Features<'static>, LabelColumn, Option<Vec<f32>>);

impl<F: TypedFile> Parts<F> {
    fn open(path: &Path, notes: &mut Vec<String>) -> Result<Self, DataError> {
        if !path.is_dir() {
            return Ok(Self { path: path.to_path_buf(), files: vec![F::open(Source::open(path)?)?] });
        }
        let names = part_files(path, F::EXTENSIONS)?;
        let files = names.iter().map(|file| F::open(Source::open(file)?)).collect::<Result<Vec<_>, _>>()?;
        notes.push(format!("{}: read {} part files", path.display(), files.len()));
        let (first, others) = files.split_first().expect("a folder without part files is refused");
        others.iter().try_for_each(|file| same_columns(first, file))?;
        Ok(Self { path: path.to_path_buf(), files })
    }

    fn schema(&self) -> &Schema {
        self.files[0].schema()
    }

    /// The features of a column, by the first row that there is.
    fn extent(&mut self, column: usize, cells: &Cells) -> Result<Result<Extent, Fault>, DataError> {
        if !matches!(cells, Cells::Lists(_) | Cells::Images) {
            return Ok(Ok(Extent::ONE));
        }
        for file in &mut self.files {
            if let Some(array) = file.beginning(column)? {
                return Ok(Extent::of(cells, &array));
            }
        }
        Ok(Ok(Extent::ONE))
    }

    fn layout(
        &mut self,
        notes: &mut Vec<String>,
        expected: Option<Expected>,
        is_encoded: bool,
        plan: impl FnOnce(Option<Vec<String>>, usize, Option<&[String]>) -> Result<Plan, Complaint>,
    ) -> Result<Layout, DataError> {
        let fields = self.schema().fields.clone();
        let mut columns = Vec::with_capacity(fields.len());
        for (c, field) in fields.iter().enumerate() {
            let cells = Cells::of(field.data_type());
            columns.push(Found { extent: self.extent(c, &cells)?, cells, field: Arc::clone(field) });
        }
        Layout::new(self.files[0].path(), columns, notes, expected, is_encoded, plan)
    }

    fn read(&mut self, layout: &Layout, as_bytes: bool, float: FloatType) -> Result<Read, DataError> {
        if as_bytes {
            let rows = self.rows::<u8>(layout)?;
            return Ok((Features::U8(Dense::new(layout.width, rows.values)), rows.labels, rows.weights));
        }
        // Of each feature, whether single precision may not hold it.
        let mut wide = vec![false; layout.width];
        for taken in layout.columns.iter().filter(|taken| taken.numbers == Some(Numbers::Double)) {
            wide[taken.start..][..taken.extent.width].fill(true);
        }
        let again = self.files.iter().all(F::is_lasting) || !wide.contains(&true);
        let read = |double| {
            Ok(if double {
                let rows = self.rows(layout)?;
                (Features::F64(Dense::new(layout.width, rows.values)), (rows.labels, rows.weights))
            } else {
                let rows = self.rows(layout)?;
                (Features::F32(Dense::new(layout.width, rows.values)), (rows.labels, rows.weights))
            })
        };
        let doubtful = |features: &Features, _: &_| blurred(features).into_iter().any(|j| wide[j]);
        let (features, (labels, weights)) = float.read(again, read, doubtful)?;
        Ok((features, labels, weights))
    }

    /// The rows as a table that is still to be encoded.
    fn frame(
        &mut self,
        layout: &Layout,
        rules: CellRules,
        known: Option<&KnownColumns>,
    ) -> Result<FrameRows, DataError> {
        let mut rows = FrameBuilder::new(&self.path, self.schema(), layout, rules, known)?;
        let columns: Vec<usize> = layout.columns.iter().map(|taken| taken.column).collect();
        for file in &mut self.files {
            let path = file.path().to_path_buf();
            file.read(&columns, ROWS, &mut |batch| rows.put(&path, &batch))?;
        }
        let rows = rows.finish(&self.path)?;
        Ok(match known {
            Some(known) => rows.spelt_as(known),
            None => rows.spelt(),
        })
    }

    fn rows<'l, T: Cell>(&mut self, layout: &'l Layout) -> Result<Rows<'l, T>, DataError> {
        let n_rows = self.files.iter().map(TypedFile::n_rows).sum::<Option<u64>>();
        let mut rows = Rows::new(layout);
        if let Some(n_rows) = n_rows {
            rows.check(&self.path, n_rows)?;
            let len = usize::try_from(n_rows).unwrap_or(usize::MAX).saturating_mul(layout.width);
            let enough = rows.values.try_reserve_exact(len);
            enough.map_err(|_| wrong(&self.path, "the data do not fit into the memory of this machine"))?;
        }
        let columns: Vec<usize> = layout.columns.iter().map(|taken| taken.column).collect();
        let widest = layout.columns.iter().map(|taken| taken.extent.width).max().unwrap_or(1);
        for file in &mut self.files {
            let (path, before) = (file.path().to_path_buf(), rows.n_rows());
            file.read(&columns, (VALUES / widest).clamp(1, 8192), &mut |batch| {
                rows.write(&path, before + batch.first, batch.first, &batch.columns)
            })?;
        }
        if rows.n_rows() == 0 {
            return Err(wrong(&self.path, "found no row of data"));
        }
        Ok(rows)
    }
}

/// The part files of a folder, in the order of their names. Names that begin with `_` or `.` are those of other things.
fn part_files(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>, DataError> {
    let list = || std::fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>();
    let mut paths = list().map_err(|e| path_error(folder, &e))?;
    paths.retain(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(['_', '.'])));
    paths.sort_unstable();
    if let Some(inner) = paths.iter().find(|path| path.is_dir()) {
        let problem = format!("holds the folder {}, expected part files only", inner.display());
        return Err(wrong(folder, &problem).with_hint(
            "columns that are told by the names of folders are not read: write the table as one file, for example \
             `pandas.read_parquet(FOLDER).to_parquet(FILE)`",
        ));
    }
    paths.retain(|path| is_part(path, extensions));
    if paths.is_empty() {
        let names = extensions.iter().map(|e| format!("*.{e}")).collect::<Vec<_>>().join(" or ");
        return Err(wrong(folder, &format!("is a folder without a part file, expected {names}")));
    }
    Ok(paths)
}

fn is_part(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|e| extensions.iter().any(|known| e == *known))
}

/// Holds a part file to the names and types of the first one.
fn same_columns<F: TypedFile>(first: &F, other: &F) -> Result<(), DataError> {
    let (expected, found) = (first.schema().fields(), other.schema().fields());
    let fail = |problem: String| {
        let problem = format!("{problem} as in {}", first.path().display());
        Err(wrong(other.path(), &problem).with_hint("all part files have the same columns"))
    };
    if expected.len() != found.len() {
        return fail(format!("found {} columns, expected {}", found.len(), expected.len()));
    }
    let differs = |(a, b): &(&Arc<arrow_schema::Field>, &Arc<arrow_schema::Field>)| {
        a.name() != b.name() || Cells::of(a.data_type()) != Cells::of(b.data_type())
    };
    match expected.iter().zip(found).zip(1..).find(|(fields, _)| differs(fields)) {
        None => Ok(()),
        Some(((a, b), column)) => {
            let shown = |field: &arrow_schema::Field| format!("{} of {}", quote(field.name()), field.data_type());
            fail(format!("column {column} is {}, expected {}", shown(b), shown(a)))
        }
    }
}
