//! Choice of the representation of rows.

use super::sparse::{self, Bytes, CellType, CsrOf, Floats, SparseCopy};
use super::sweep::RowStorage;
use super::{dense, device, narrow};
use crate::data::Features;
use crate::solver::Problem;
use std::thread::Scope;

/// By the storage, the device and the precision.
pub(in crate::solver) fn rows<'scope, 'env>(
    problem: &Problem<'env>,
    double: bool,
    scope: &'scope Scope<'scope, 'env>,
) -> Box<dyn RowStorage + 'scope> {
    match problem.source.features {
        Features::Sparse(csr) => sparse_rows::<Floats>(problem, csr.borrowed(), double, scope),
        _ if !problem.device.name.backend.is_cpu() => Box::new(device::DeviceStorage::new(problem, double)),
        _ if double && narrow::suits::<f64>(problem) => Box::new(narrow::NarrowStorage::<f64>::new(problem)),
        _ if !double && narrow::suits::<f32>(problem) => Box::new(narrow::NarrowStorage::<f32>::new(problem)),
        _ => match sparse::copy(problem.source) {
            Some(SparseCopy::Floats(csr)) => sparse_rows::<Floats>(problem, csr, double, scope),
            Some(SparseCopy::Bytes(csr)) => sparse_rows::<Bytes>(problem, csr, double, scope),
            None if double => Box::new(dense::DenseStorage::<f64>::new(problem, scope)),
            None => Box::new(dense::DenseStorage::<f32>::new(problem, scope)),
        },
    }
}

fn sparse_rows<'scope, 'env, K: CellType>(
    problem: &Problem<'env>,
    csr: CsrOf<'env, K>,
    double: bool,
    scope: &'scope Scope<'scope, 'env>,
) -> Box<dyn RowStorage + 'scope> {
    let rows = sparse::CsrRows::new(problem.source, csr);
    if double || rows.cancels() {
        Box::new(sparse::SparseStorage::<f64, K>::new(problem, rows, scope))
    } else {
        Box::new(sparse::SparseStorage::<f32, K>::new(problem, rows, scope))
    }
}
