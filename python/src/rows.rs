//! NumPy arrays as rows of features, borrowed.

use burn_svm::Rows;
use burn_svm::internals::data::{Dense, Features, precision};
use numpy::{PyReadonlyArray1, PyReadonlyArray2};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Arrays in C order, or the parts of a CSR matrix: number of columns, offsets, column indices, values.
#[derive(FromPyObject)]
pub enum Matrix<'py> {
    #[pyo3(transparent)]
    U8(PyReadonlyArray2<'py, u8>),
    #[pyo3(transparent)]
    F32(PyReadonlyArray2<'py, f32>),
    #[pyo3(transparent)]
    F64(PyReadonlyArray2<'py, f64>),
    Csr(usize, PyReadonlyArray1<'py, u64>, PyReadonlyArray1<'py, u32>, PyReadonlyArray1<'py, f32>),
}

impl Matrix<'_> {
    /// The rows, checked.
    pub fn rows(&self) -> PyResult<Rows<'_>> {
        let rows = match self {
            Self::U8(x) => Rows::dense(slice(x.as_slice())?, x.as_array().ncols()),
            Self::F32(x) => Rows::dense(slice(x.as_slice())?, x.as_array().ncols()),
            Self::F64(x) => Rows::dense(slice(x.as_slice())?, x.as_array().ncols()),
            Self::Csr(n_features, offsets, columns, values) => {
                let offsets: Result<Vec<usize>, _> = slice(offsets.as_slice())?.iter().map(|&o| o.try_into()).collect();
                let offsets = offsets.map_err(|_| PyValueError::new_err("indptr: found a number beyond the memory"))?;
                Rows::csr(*n_features, offsets, slice(columns.as_slice())?, slice(values.as_slice())?)
            }
        };
        rows.map_err(refused)
    }
}

/// The values of an array that lies in C order.
pub fn slice<T, E: std::fmt::Display>(values: Result<&[T], E>) -> PyResult<&[T]> {
    values.map_err(|e| PyValueError::new_err(format!("expected an array in C order: {e}")))
}

/// An error of the library as Python's.
pub fn refused(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// Whether single precision would blur a column of rows.
#[pyfunction]
#[allow(clippy::needless_pass_by_value)]
pub fn is_blurred(rows: PyReadonlyArray2<'_, f64>) -> PyResult<bool> {
    let (values, n_features) = (slice(rows.as_slice())?.to_vec(), rows.as_array().ncols());
    Rows::dense(&values, n_features).map_err(refused)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(refused)?;
    Ok(pool.install(|| !precision::blurred(&Features::F64(Dense::new(n_features, values))).is_empty()))
}
