//! The gradient of one model over rows that stay on a GPU: indices go there, and nothing comes back but what is logged.

use super::Tensors;
use super::gradient::{Differentiate, Gradient};
use crate::model::LinearSvm;
use crate::objective::{DevicePass, Objective, ResidentLimits};
use crate::solver::sgd::SgdConfig;
use crate::solver::sgd::feed::Drawn;
use crate::solver::stop::WatchedMetric;
use crate::solver::{Problem, Route, SolveError};
use burn::module::Module;

/// One pass over dense rows on a GPU.
pub(super) struct Resident<'a> {
    pass: DevicePass<'a>,
    /// Bytes that the rows would take, where they do not stay although they may.
    moved: Option<u64>,
}

/// The pass of a problem; `None` where rows are sparse or the device has no kernels.
pub(super) fn pass<'a>(config: &SgdConfig, problem: &'a Problem<'_>, objective: &'a Objective) -> Option<Resident<'a>> {
    let (source, device) = (problem.source, problem.device);
    if !DevicePass::serves(source.features, device) {
        return None;
    }
    let memory = 1_000_000u64.saturating_mul(config.resident_mb as u64);
    let limits = ResidentLimits { memory, ..ResidentLimits::default() };
    let pass = DevicePass::new(source, problem.n_classes, objective, &device.device, limits)?;
    let moved = pass.n_chunks().is_none() && config.resident_mb > 0;
    Some(Resident { pass, moved: moved.then(|| DevicePass::bytes(source.features)) })
}

impl Differentiate for Resident<'_> {
    const ROUTE: Route = Route::Fused;

    fn gradient(
        &mut self,
        tensors: &Tensors<'_>,
        model: &LinearSvm,
        drawn: Drawn,
        want_loss: bool,
    ) -> Result<Gradient, SolveError> {
        let plain = model.valid();
        let bias = plain.linear.bias.as_ref().map(|b| b.val());
        let batch = match drawn.host {
            Some(host) => self.pass.upload(host),
            None => self.pass.gather(&drawn.rows),
        };
        let found = self.pass.gradient(&plain.linear.weight.val(), bias.as_ref(), batch, want_loss);
        let objective = found.data_loss.map(|data| tensors.objective.regulariser().penalised(data, &plain));
        Ok(Gradient::new(model, (found.weight, found.bias), objective))
    }

    fn reads_in_place(&self) -> bool {
        self.pass.n_chunks().is_some()
    }

    fn notice(&self) -> Option<String> {
        let bytes = self.moved?.div_ceil(1_000_000);
        Some(format!(
            "the rows would take {bytes} MB of the device, more than it has to spare or `resident_mb` allows: each batch is moved there"
        ))
    }

    /// Over rows from the matrix on the device, where it is there.
    fn measure(
        &mut self,
        tensors: &Tensors<'_>,
        model: &LinearSvm,
        rows: &[u32],
        metric: WatchedMetric,
    ) -> Result<f64, SolveError> {
        let resident = self.reads_in_place();
        tensors.measure(model, rows, metric, |rows| if resident { self.pass.batch(rows) } else { tensors.batch(rows) })
    }
}
