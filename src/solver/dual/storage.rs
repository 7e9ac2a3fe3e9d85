//! Choice of the representation of rows.

use super::sparse::{self, Bytes, Cells, Copied, Floats, Kind};
use super::sweep::Rows;
use super::{dense, device, narrow};
use crate::data::Features;
use crate::solver::Problem;
use std::thread::Scope;

/// By the storage, the device and the precision.
pub(super) fn rows<'scope, 'env>(
    problem: &Problem<'env>,
    double: bool,
    scope: &'scope Scope<'scope, 'env>,
) -> Box<dyn Rows + 'scope> {
    match problem.source.features {
        Features::Sparse(csr) => sparse_rows::<Floats>(problem, csr.borrowed(), double, scope),
        _ if !problem.device.name.backend.is_cpu() => Box::new(device::DeviceRows::new(problem, double)),
        _ if double && narrow::suits::<f64>(problem) => Box::new(narrow::NarrowRows::<f64>::new(problem)),
        _ if !double && narrow::suits::<f32>(problem) => Box::new(narrow::NarrowRows::<f32>::new(problem)),
        _ => match sparse::copy(problem.source) {
            Some(Copied::Floats(csr)) => sparse_rows::<Floats>(problem, csr, double, scope),
            Some(Copied::Bytes(csr)) => sparse_rows::<Bytes>(problem, csr, double, scope),
            None if double => Box::new(dense::DenseRows::<f64>::new(problem, scope)),
            None => Box::new(dense::DenseRows::<f32>::new(problem, scope)),
        },
    }
}

fn sparse_rows<'scope, 'env, K: Kind>(
    problem: &Problem<'env>,
    csr: Cells<'env, K>,
    double: bool,
    scope: &'scope Scope<'scope, 'env>,
) -> Box<dyn Rows + 'scope> {
    if double {
        Box::new(sparse::SparseRows::<f64, K>::new(problem, csr, scope))
    } else {
        Box::new(sparse::SparseRows::<f32, K>::new(problem, csr, scope))
    }
}
