//! Choice of the representation of rows.

use super::parallel::{RowShares, thread_count};
use super::sparse::{self, Bytes, CsrOf, Floats, SparseCopy, StoredCell};
use super::sweep::RowStorage;
use super::{dense, device, narrow};
use crate::data::Features;
use crate::solver::Problem;
use std::sync::Arc;
use std::thread::Scope;

/// By the storage, the device, the precision and the threads.
pub(in crate::solver) fn rows<'scope, 'env>(
    problem: &Problem<'env>,
    double: bool,
    scope: &'scope Scope<'scope, 'env>,
) -> Box<dyn RowStorage + 'scope> {
    match problem.source.features {
        Features::Sparse(csr) => sparse_rows::<Floats>(problem, csr.borrowed(), double, scope),
        _ if !problem.device.name.backend.is_cpu() => Box::new(device::DeviceStorage::new(problem, double)),
        _ if double && narrow::suits::<f64>(problem) => {
            shared_out(problem, || Box::new(narrow::NarrowStorage::<f64>::new(problem)))
        }
        _ if !double && narrow::suits::<f32>(problem) => {
            shared_out(problem, || Box::new(narrow::NarrowStorage::<f32>::new(problem)))
        }
        _ => match sparse::copy(problem.source) {
            Some(SparseCopy::Floats(csr)) => sparse_rows::<Floats>(problem, csr, double, scope),
            Some(SparseCopy::Bytes(csr)) => sparse_rows::<Bytes>(problem, csr, double, scope),
            None if dense::part_count(problem) >= thread_count(problem) => dense_rows(problem, double, scope),
            None => shared_out(problem, || dense_rows(&Problem { threads: 1, ..*problem }, double, scope)),
        },
    }
}

/// Storages for each of the threads that the rows are shared out to.
fn shared_out<'scope>(
    problem: &Problem<'_>,
    new: impl Fn() -> Box<dyn RowStorage + 'scope>,
) -> Box<dyn RowStorage + 'scope> {
    match thread_count(problem) {
        1 => new(),
        count => Box::new(RowShares::new((0..count).map(|_| new()).collect(), problem)),
    }
}

fn dense_rows<'scope, 'env>(
    problem: &Problem<'env>,
    double: bool,
    scope: &'scope Scope<'scope, 'env>,
) -> Box<dyn RowStorage + 'scope> {
    if double {
        Box::new(dense::DenseStorage::<f64>::new(problem, scope))
    } else {
        Box::new(dense::DenseStorage::<f32>::new(problem, scope))
    }
}

fn sparse_rows<'scope, 'env, K: StoredCell>(
    problem: &Problem<'env>,
    csr: CsrOf<'env, K>,
    double: bool,
    scope: &'scope Scope<'scope, 'env>,
) -> Box<dyn RowStorage + 'scope> {
    let rows = Arc::new(sparse::CsrRows::new(problem.source, csr));
    let alone = Problem { threads: 1, ..*problem };
    let new = |problem: &Problem<'env>| -> Box<dyn RowStorage + 'scope> {
        let rows = Arc::clone(&rows);
        if double || rows.cancels() {
            Box::new(sparse::SparseStorage::<f64, K>::new(problem, rows, scope))
        } else {
            Box::new(sparse::SparseStorage::<f32, K>::new(problem, rows, scope))
        }
    };
    // The sums of centred rows are no part of W, by which threads that share rows out judge their steps.
    if rows.center.is_some() || sparse::part_count::<K>(problem, &rows.csr) >= thread_count(problem) {
        new(problem)
    } else {
        shared_out(problem, || new(&alone))
    }
}
