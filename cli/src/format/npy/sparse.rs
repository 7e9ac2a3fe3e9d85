//! Sparse matrices as `scipy.sparse.save_npz` writes them: csr, csc and coo.
//!
//! ```text
//! format.npy ('csr'), shape.npy, data.npy and
//! csr, csc: indices.npy, indptr.npy
//! coo: row.npy, col.npy
//! ```
//! Cells come in any order, and those of one place are added up, as SciPy does.
//!
//! # References
//! SciPy, `scipy.sparse.save_npz`; the compressed formats in `scipy.sparse.csr_matrix`.

use super::array::Array;
use super::zip::Archive;
use crate::data::precision::blurred;
use crate::data::{Csr, Features};
use crate::format::float::Float;
use crate::format::precision::{FloatType, dense_in_double, exact};
use crate::format::{DataError, Position, limit, quote};

/// The largest number of columns.
const MOST_COLUMNS: usize = 1 << 31;

/// The members that every sparse matrix has.
const MEMBERS: [&str; 3] = ["format", "shape", "data"];

/// A sparse matrix whose shape has been read.
pub(super) struct Sparse<'a> {
    archive: &'a Archive,
    format: CellOrder,
    n_rows: usize,
    n_columns: usize,
}

/// The order of the cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CellOrder {
    Rows,
    Columns,
    StoredCells,
}

/// Cells in the order of their rows.
struct StoredCells<T> {
    /// The first cell of each row, and the end.
    starts: Vec<usize>,
    columns: Vec<usize>,
    values: Vec<T>,
}

impl<'a> Sparse<'a> {
    /// The matrix of an archive; `None` where it is none.
    pub(super) fn open(archive: &'a Archive) -> Option<Result<Self, DataError>> {
        let is_sparse = MEMBERS.iter().all(|member| archive.names().any(|name| name == *member));
        is_sparse.then(|| Self::read_shape(archive))
    }

    fn read_shape(archive: &'a Archive) -> Result<Self, DataError> {
        let name = member(archive, "format")?.word()?;
        let format = match name.as_str() {
            "csr" => CellOrder::Rows,
            "csc" => CellOrder::Columns,
            "coo" => CellOrder::StoredCells,
            other => {
                let problem = format!("found a sparse matrix in the format {}, expected csr, csc or coo", quote(other));
                return Err(DataError::content(archive.file(), Position::File, problem)
                    .with_hint("write it with scipy.sparse.save_npz(file, x.tocsr())"));
            }
        };
        let shape = member(archive, "shape")?.whole_numbers("sizes")?;
        let &[n_rows, n_columns] = shape.as_slice() else {
            return Err(wrong(archive, &format!("its shape has {} sizes, expected rows and columns", shape.len())));
        };
        if n_rows == 0 || n_columns == 0 || n_columns > MOST_COLUMNS {
            let problem = format!("it is {n_rows} x {n_columns}, expected rows and 1 to {MOST_COLUMNS} columns");
            return Err(wrong(archive, &problem));
        }
        Ok(Self { archive, format, n_rows, n_columns })
    }

    pub(super) const fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The rows in a precision: sparse in single, dense in double; see [`exact`].
    pub(super) fn features(&self, float: FloatType, notes: &mut Vec<String>) -> Result<Features<'static>, DataError> {
        let file = self.archive.file();
        if float == FloatType::F64 {
            return dense_in_double(self.rows()?, None, file, notes);
        }
        let found = Features::Sparse(self.rows()?);
        let is_double = member(self.archive, "data")?.is_double();
        if float == FloatType::F32 || !is_double || blurred(&found).is_empty() {
            return Ok(found);
        }
        Ok(exact(self.rows()?, file, notes)?.unwrap_or(found))
    }

    fn rows<T: Float>(&self) -> Result<Csr<'static, u32, T>, DataError> {
        let StoredCells { starts, columns, values } = self.cells()?;
        let mut rows = Csr::<u32, T>::with_capacity(self.n_rows, values.len());
        let mut row: Vec<(u32, T)> = Vec::new();
        for range in starts.windows(2) {
            let (columns, values) = (&columns[range[0]..range[1]], &values[range[0]..range[1]]);
            // At most 2^31 columns.
            #[allow(clippy::cast_possible_truncation)]
            row.extend(columns.iter().map(|&column| column as u32).zip(values.iter().copied()));
            if !row.is_sorted_by(|a, b| a.0 < b.0) {
                row.sort_by_key(|&(column, _)| column);
                row.dedup_by(|next, kept| {
                    let same = next.0 == kept.0;
                    if same {
                        kept.1 = T::of(kept.1.into() + next.1.into());
                    }
                    same
                });
            }
            row.drain(..).for_each(|(column, value)| rows.push_cell(column, value));
            rows.finish_row();
        }
        rows.set_n_features(self.n_columns);
        Ok(rows)
    }

    fn cells<T: Float>(&self) -> Result<StoredCells<T>, DataError> {
        let values = member(self.archive, "data")?.vector::<T>("a stored value")?;
        // Rows, columns and their order, beside the result.
        limit::check(
            self.archive.file(),
            (values.len() as u64 * 3).saturating_add((self.n_rows as u64).saturating_mul(2)).saturating_mul(8),
        )?;
        let indices = |name: &str, below: usize| self.indices(name, values.len(), below);
        match self.format {
            CellOrder::Rows => {
                let starts = self.starts(self.n_rows, values.len())?;
                Ok(StoredCells { starts, columns: indices("indices", self.n_columns)?, values })
            }
            CellOrder::Columns => {
                let starts = self.starts(self.n_columns, values.len())?;
                let rows = indices("indices", self.n_rows)?;
                let ranges = starts.windows(2).enumerate();
                let columns: Vec<usize> =
                    ranges.flat_map(|(column, r)| std::iter::repeat_n(column, r[1] - r[0])).collect();
                Ok(by_row(self.n_rows, &rows, &columns, &values))
            }
            CellOrder::StoredCells => {
                let (rows, columns) = (indices("row", self.n_rows)?, indices("col", self.n_columns)?);
                Ok(by_row(self.n_rows, &rows, &columns, &values))
            }
        }
    }

    /// The first cell of each of `n` rows or columns, and the end.
    fn starts(&self, n: usize, n_cells: usize) -> Result<Vec<usize>, DataError> {
        let starts = member(self.archive, "indptr")?.whole_numbers("positions")?;
        let whole = starts.first() == Some(&0) && starts.last() == Some(&n_cells);
        if starts.len() == n + 1 && whole && starts.is_sorted() {
            return Ok(starts);
        }
        Err(wrong(self.archive, &format!("its `indptr` does not divide {n_cells} cells among {n} rows or columns")))
    }

    fn indices(&self, name: &str, len: usize, below: usize) -> Result<Vec<usize>, DataError> {
        let indices = member(self.archive, name)?.whole_numbers("indices")?;
        if indices.len() != len {
            let problem = format!("its {} has {} entries, expected {len} as `data` has", quote(name), indices.len());
            return Err(wrong(self.archive, &problem));
        }
        match indices.iter().find(|&&index| index >= below) {
            None => Ok(indices),
            Some(index) => {
                Err(wrong(self.archive, &format!("its {} has {index}, expected less than {below}", quote(name))))
            }
        }
    }
}

/// Cells brought into the order of their rows.
fn by_row<T: Float>(n_rows: usize, rows: &[usize], columns: &[usize], values: &[T]) -> StoredCells<T> {
    let mut starts = vec![0; n_rows + 1];
    rows.iter().for_each(|&row| starts[row + 1] += 1);
    (0..n_rows).for_each(|row| starts[row + 1] += starts[row]);
    let mut next = starts.clone();
    let mut cells = StoredCells { starts, columns: vec![0; columns.len()], values: vec![T::default(); values.len()] };
    for ((&row, &column), &value) in rows.iter().zip(columns).zip(values) {
        let at = next[row];
        (cells.columns[at], cells.values[at]) = (column, value);
        next[row] += 1;
    }
    cells
}

fn member(archive: &Archive, name: &str) -> Result<Array, DataError> {
    match archive.array(name) {
        Some(source) => Array::open(source?),
        None => Err(wrong(archive, &format!("it has no array {}", quote(name)))),
    }
}

fn wrong(archive: &Archive, problem: &str) -> DataError {
    DataError::content(archive.file(), Position::File, format!("the sparse matrix is damaged: {problem}"))
        .with_hint("write it with scipy.sparse.save_npz")
}
