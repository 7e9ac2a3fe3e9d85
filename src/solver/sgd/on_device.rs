//! Steps whose rows stay on a GPU: indices go there, and nothing comes back but what is logged.

use super::Stepper;
use super::config::SgdConfig;
use crate::data::batch::Batch;
use crate::model::LinearSvm;
use crate::objective::{DeviceBatch, DevicePass, ResidentLimits};
use crate::solver::{Problem, Route};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};

/// The pass on a GPU for a problem whose fused route goes there.
pub(super) fn pass<'a>(config: &SgdConfig, problem: &'a Problem<'_>) -> Option<DevicePass<'a>> {
    let there = problem.route() == Route::Fused && DevicePass::serves(problem.source.features, problem.device);
    let limits =
        ResidentLimits { memory: 1_000_000u64.saturating_mul(config.resident_mb as u64), ..ResidentLimits::default() };
    let device = &problem.device.device;
    there.then(|| DevicePass::new(problem.source, problem.n_classes, problem.objective, device, limits)).flatten()
}

/// What to say where rows do not stay on the device although they may.
pub(super) fn notice(config: &SgdConfig, problem: &Problem<'_>, pass: Option<&DevicePass<'_>>) -> Option<String> {
    let moved = pass.is_some_and(|pass| pass.n_chunks().is_none()) && config.resident_mb > 0;
    let bytes = DevicePass::bytes(problem.source.features).div_ceil(1_000_000);
    moved.then(|| {
        format!(
            "the rows would take {bytes} MB of the device, more than it has to spare or `resident_mb` allows: each batch is moved there"
        )
    })
}

impl Stepper<'_> {
    /// The gradient on the device, registered for the parameters of `model`; the objective where it is wanted.
    pub(super) fn on_device(
        &self,
        pass: &DevicePass<'_>,
        model: &LinearSvm,
        batch: DeviceBatch,
        want_loss: bool,
    ) -> (GradientsParams, Option<Tensor<1>>) {
        let plain = model.valid();
        let bias = plain.linear.bias.as_ref().map(|b| b.val());
        let found = pass.gradient(&plain.linear.weight.val(), bias.as_ref(), batch, want_loss);
        let logged = found.data_loss.map(|data| self.penalised(data, &plain));
        let mut gradients = GradientsParams::new();
        gradients.register::<2>(model.linear.weight.id, found.weight);
        if let (Some(owner), Some(db)) = (&model.linear.bias, found.bias) {
            gradients.register::<1>(owner.id, db);
        }
        (gradients, logged)
    }

    /// Rows to measure a model on: from the matrix on the device, where it is there.
    pub(super) fn batch(&self, rows: &[u32], device: &Device) -> Batch {
        match &self.on_device {
            Some(pass) if pass.n_chunks().is_some() => pass.batch(rows),
            _ => self.problem.source.gather(rows).to_device(device),
        }
    }
}
