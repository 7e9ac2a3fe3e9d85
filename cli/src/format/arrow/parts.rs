//! Files of typed columns, one or the part files of a folder, as one table.

use super::array::{CellFault, Extent, FeatureCell};
use super::cells::{ArrayKind, Numbers, kind_of};
use super::frame::FrameBuilder;
use super::layout::{FileColumn, Layout, RequiredNames};
use super::rows::{COLUMNS, TableRows};
use super::text::KeptColumn;
use crate::data::precision::blurred;
use crate::data::{Dense, Features, LabelColumn};
use crate::format::Complaint;
use crate::format::columns::{ColumnRef, Plan, find};
use crate::format::known::{FrameRows, KnownColumns};
use crate::format::open::{ByteSource, path_error};
use crate::format::pieces::{RowPiece, rows_of};
use crate::format::precision::FloatType;
use crate::format::reading::CellRules;
use crate::format::{DataError, Position, quote};
use arrow_array::ArrayRef;
use arrow_schema::{FieldRef, SchemaRef};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Values of a column that are decoded at a time.
const VALUES: usize = 1 << 20;
/// Rows of a table to be encoded that are decoded at a time.
const ROWS: usize = 8192;

/// A file of typed columns.
pub(in crate::format) trait TypedFile: Sized {
    /// The ends of the names of part files.
    const EXTENSIONS: &'static [&'static str];

    /// Reads what the file says of its columns.
    fn open(source: ByteSource) -> Result<Self, DataError>;

    fn path(&self) -> &Path;

    fn schema(&self) -> &SchemaRef;

    /// The number of rows, where the file says it before they are read.
    fn n_rows(&self) -> Option<u64>;

    /// Whether it can be read more than once.
    fn is_lasting(&self) -> bool;

    /// The beginning of a column, a row at least where the file has one.
    fn beginning(&mut self, column: usize) -> Result<Option<ArrayRef>, DataError>;

    /// Reads some columns, a portion at a time, and passes them on.
    fn read(
        &mut self,
        columns: &[usize],
        portion: Portion,
        sink: &mut dyn FnMut(ColumnBatch) -> Result<(), DataError>,
    ) -> Result<(), DataError>;
}

/// Part of a table that is decoded at a time, at most.
#[derive(Debug, Clone, Copy)]
pub(in crate::format) struct Portion {
    pub(in crate::format) rows: usize,
    /// Columns, all rows of which come before the next ones.
    pub(in crate::format) columns: usize,
}

/// Columns in some rows of a file.
pub(in crate::format) struct ColumnBatch {
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
pub(super) struct Parts<F> {
    pub(super) path: PathBuf,
    files: Vec<F>,
    /// The columns, by all files.
    columns: Vec<PartColumn>,
    kept: Vec<ColumnPieces>,
}

/// A column of some files.
#[derive(Clone)]
struct PartColumn {
    field: FieldRef,
    cells: ArrayKind,
}

/// A column that is carried along, in pieces.
struct ColumnPieces {
    column: usize,
    pieces: Vec<ArrayRef>,
}

pub(super) type PartRows = (Features<'static>, LabelColumn, Option<Vec<f32>>);

impl<F: TypedFile> Parts<F> {
    pub(super) fn open(path: &Path, notes: &mut Vec<String>) -> Result<Self, DataError> {
        if !path.is_dir() {
            return Self::new(path.to_path_buf(), vec![F::open(ByteSource::open(path)?)?]);
        }
        let names = part_files(path, F::EXTENSIONS)?;
        let files = names.iter().map(|file| F::open(ByteSource::open(file)?)).collect::<Result<Vec<_>, _>>()?;
        notes.push(format!("{}: read {} part files", path.display(), files.len()));
        Self::new(path.to_path_buf(), files)
    }

    pub(super) fn new(path: PathBuf, files: Vec<F>) -> Result<Self, DataError> {
        let mut columns = Vec::new();
        for file in &files {
            together(&mut columns, file, files[0].path())?;
        }
        Ok(Self { path, files, columns, kept: Vec::new() })
    }

    /// The names of the columns.
    pub(super) fn names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.field.name().clone()).collect()
    }

    /// Names columns to carry along.
    pub(super) fn keep(&mut self, keep: &[ColumnRef]) -> Result<(), DataError> {
        let names = self.names();
        let column = |column: &ColumnRef| match find(column, Some(&names), names.len()) {
            Ok(column) => Ok(ColumnPieces { column, pieces: Vec::new() }),
            Err(Complaint { problem, hint }) => Err(wrong(&self.path, &problem).with_hint(hint)),
        };
        self.kept = keep.iter().map(column).collect::<Result<_, _>>()?;
        Ok(())
    }

    pub(super) fn kept(&self) -> Result<Vec<KeptColumn>, DataError> {
        let column = |kept: &ColumnPieces| {
            let name = self.columns[kept.column].field.name().clone();
            let failed = |Complaint { problem, hint }| wrong(&self.path, &problem).with_hint(hint);
            KeptColumn::of_pieces(name, &kept.pieces).map_err(failed)
        };
        self.kept.iter().map(column).collect()
    }

    /// The columns to read for a layout, and those to keep.
    fn wanted(&mut self, layout: &Layout) -> Vec<usize> {
        let mut columns: Vec<usize> = layout.columns.iter().map(|taken| taken.column).collect();
        for kept in &mut self.kept {
            kept.pieces.clear();
            if !columns.contains(&kept.column) {
                columns.push(kept.column);
            }
        }
        columns
    }

    /// The features of a column, by the first row that there is.
    fn extent(&mut self, column: usize, cells: &ArrayKind) -> Result<Result<Extent, CellFault>, DataError> {
        if !matches!(cells, ArrayKind::Lists(_) | ArrayKind::Images) {
            return Ok(Ok(Extent::ONE));
        }
        for file in &mut self.files {
            if let Some(array) = file.beginning(column)? {
                return Ok(Extent::of(cells, &array));
            }
        }
        Ok(Ok(Extent::ONE))
    }

    pub(super) fn layout(
        &mut self,
        notes: &mut Vec<String>,
        expected: Option<RequiredNames>,
        is_encoded: bool,
        plan: impl FnOnce(Option<Vec<String>>, usize, Option<&[String]>) -> Result<Plan, Complaint>,
    ) -> Result<Layout, DataError> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for (c, PartColumn { field, cells }) in self.columns.clone().into_iter().enumerate() {
            columns.push(FileColumn { extent: self.extent(c, &cells)?, cells, field });
        }
        Layout::new(self.files[0].path(), columns, notes, expected, is_encoded, plan)
    }

    pub(super) fn read(&mut self, layout: &Layout, as_bytes: bool, float: FloatType) -> Result<PartRows, DataError> {
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
    pub(super) fn frame(
        &mut self,
        layout: &Layout,
        rules: CellRules,
        known: Option<&KnownColumns>,
    ) -> Result<FrameRows, DataError> {
        let mut rows = FrameBuilder::new(&self.path, layout, rules, known)?;
        let columns = self.wanted(layout);
        for file in &mut self.files {
            let path = file.path().to_path_buf();
            file.read(&columns, Portion { rows: ROWS, columns: COLUMNS }, &mut |batch| {
                carry(&mut self.kept, &batch);
                rows.put(&path, &batch)
            })?;
        }
        let rows = rows.finish(&self.path)?;
        Ok(match known {
            Some(known) => rows.spelt_as(known),
            None => rows.spelt(),
        })
    }

    /// Reads all rows and passes them on, some whole rows at a time; floats in double precision where a column has such numbers.
    pub(super) fn in_pieces(
        &mut self,
        layout: &Layout,
        as_bytes: bool,
        take: &mut dyn FnMut(RowPiece) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let width = layout.width;
        if as_bytes {
            return self.pass(layout, |values| Features::U8(Dense::new(width, values)), take);
        }
        if layout.columns.iter().any(|taken| taken.numbers == Some(Numbers::Double)) {
            return self.pass(layout, |values| Features::F64(Dense::new(width, values)), take);
        }
        self.pass(layout, |values| Features::F32(Dense::new(width, values)), take)
    }

    fn pass<T: FeatureCell>(
        &mut self,
        layout: &Layout,
        features: impl Fn(Vec<T>) -> Features<'static>,
        take: &mut dyn FnMut(RowPiece) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let columns = self.wanted(layout);
        let portion = Portion { rows: rows_of(layout.width * size_of::<T>()).min(ROWS), columns: usize::MAX };
        for file in &mut self.files {
            let path = file.path().to_path_buf();
            file.read(&columns, portion, &mut |batch| {
                let mut rows = TableRows::new(layout);
                rows.write(&path, 0, batch.first, &batch.columns)?;
                take(RowPiece { features: features(rows.values), labels: rows.labels, weights: rows.weights })
            })?;
        }
        Ok(())
    }

    fn rows<'l, T: FeatureCell>(&mut self, layout: &'l Layout) -> Result<TableRows<'l, T>, DataError> {
        let n_rows = self.files.iter().map(TypedFile::n_rows).sum::<Option<u64>>();
        let mut rows = TableRows::new(layout);
        if let Some(n_rows) = n_rows {
            rows.check(&self.path, n_rows)?;
            let len = usize::try_from(n_rows).unwrap_or(usize::MAX).saturating_mul(layout.width);
            let enough = rows.values.try_reserve_exact(len);
            enough.map_err(|_| wrong(&self.path, "the data do not fit into the memory of this machine"))?;
        }
        let columns = self.wanted(layout);
        let widest = layout.columns.iter().map(|taken| taken.extent.width).max().unwrap_or(1);
        for file in &mut self.files {
            let (path, before) = (file.path().to_path_buf(), rows.n_rows());
            let portion = Portion { rows: (VALUES / widest).clamp(1, 8192), columns: COLUMNS };
            file.read(&columns, portion, &mut |batch| {
                carry(&mut self.kept, &batch);
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

pub(super) fn is_part(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|e| extensions.iter().any(|known| e == *known))
}

/// Puts the columns to keep aside.
fn carry(kept: &mut [ColumnPieces], batch: &ColumnBatch) {
    for kept in kept {
        kept.pieces.extend(batch.columns.iter().filter(|(c, _)| *c == kept.column).map(|(_, array)| Arc::clone(array)));
    }
}

/// Puts the columns of a part file together with those of the files before it.
fn together<F: TypedFile>(columns: &mut Vec<PartColumn>, file: &F, first: &Path) -> Result<(), DataError> {
    let found = file.schema().fields().iter();
    let found: Vec<_> =
        found.map(|field| PartColumn { cells: ArrayKind::of(field.data_type()), field: Arc::clone(field) }).collect();
    if columns.is_empty() {
        *columns = found;
        return Ok(());
    }
    let fail = |problem: String| {
        let problem = format!("{problem} as in {}", first.display());
        Err(wrong(file.path(), &problem).with_hint("all part files have the same columns"))
    };
    if columns.len() != found.len() {
        return fail(format!("found {} columns, expected {}", found.len(), columns.len()));
    }
    for ((column, own), number) in columns.iter_mut().zip(found).zip(1..) {
        let is_kind = kind_of(column.field.data_type()) == kind_of(own.field.data_type());
        let is_open = column.cells == ArrayKind::Nothing || own.cells == ArrayKind::Nothing;
        let cells = column.cells.with(&own.cells).filter(|_| is_kind || is_open);
        let Some(cells) = cells.filter(|_| column.field.name() == own.field.name()) else {
            let shown = |field: &arrow_schema::Field| format!("{} of {}", quote(field.name()), field.data_type());
            return fail(format!("column {number} is {}, expected {}", shown(&own.field), shown(&column.field)));
        };
        let field = if column.cells == ArrayKind::Nothing { own.field } else { Arc::clone(&column.field) };
        *column = PartColumn { field, cells };
    }
    Ok(())
}
