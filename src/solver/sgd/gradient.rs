//! The gradient of a step by each of the routes of the host, and the objective.

use super::{SolveError, Stepper};
use crate::data::batch::Batch;
use crate::model::LinearSvm;
use crate::objective::{mean_loss, mean_loss_gradient};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};

impl Stepper<'_> {
    /// Mean loss of the batch plus the regulariser, `[1]`.
    pub(super) fn objective(&self, model: &LinearSvm, batch: &Batch) -> Tensor<1> {
        let scores = model.scores(&batch.rows, self.offset.as_ref());
        self.penalised(mean_loss(self.loss.as_ref(), scores, batch), model)
    }

    /// A data loss plus the regulariser, `[1]`.
    pub(super) fn penalised(&self, data: Tensor<1>, model: &LinearSvm) -> Tensor<1> {
        let objective = self.problem.objective;
        if objective.lambda == 0.0 {
            return data;
        }
        let weight = model.linear.weight.val();
        let mut total = data.add(weight.clone().mul(weight).sum().mul_scalar(objective.lambda / 2.0));
        let factor = objective.bias.penalty_factor();
        if let Some(bias) = model.linear.bias.as_ref().filter(|_| factor > 0.0) {
            let bias = bias.val();
            total = total.add(bias.clone().mul(bias).sum().mul_scalar(factor * objective.lambda / 2.0));
        }
        total
    }

    /// XᵀQ/n + λW and its bias part, by hand, at the values of `model`, registered for the parameters of `owner`.
    pub(super) fn analytic(&self, model: &LinearSvm, owner: &LinearSvm, batch: &Batch) -> GradientsParams {
        let objective = self.problem.objective;
        let scores = model.scores(&batch.rows, self.offset.as_ref());
        let q = mean_loss_gradient(self.loss.as_ref(), scores, batch);
        let (mut dw, db) = model.backward(&batch.rows, self.offset.as_ref(), q);
        if objective.lambda > 0.0 {
            dw = model.linear.weight.val().mul_scalar(objective.lambda).add(dw);
        }
        let mut gradients = GradientsParams::new();
        gradients.register::<2>(owner.linear.weight.id, dw);
        if let (Some(owner), Some(bias), Some(mut db)) = (&owner.linear.bias, &model.linear.bias, db) {
            let factor = objective.lambda * objective.bias.penalty_factor();
            if factor > 0.0 {
                db = db.add(bias.val().mul_scalar(factor));
            }
            gradients.register::<1>(owner.id, db);
        }
        gradients
    }

    /// The gradient in one pass over rows where they lie, registered for the parameters of `model`; the objective where it is
    /// wanted.
    pub(super) fn fused(
        &mut self,
        model: &LinearSvm,
        rows: &[u32],
        device: &Device,
        want_loss: bool,
    ) -> Result<(GradientsParams, Option<Tensor<1>>), SolveError> {
        let (problem, linear) = (self.problem, &model.linear);
        let Some(pass) = &mut self.fused else {
            return Err(SolveError::Device("there is no fused pass for these rows".into()));
        };
        let weight = linear.weight.val().inner().into_data();
        let bias = linear.bias.as_ref().map(|b| b.val().inner().into_data());
        let weight = slice(&weight)?;
        let bias = bias.as_ref().map(slice).transpose()?;
        let found = pass.at(weight, bias, rows);
        let penalty = || problem.objective.penalty(weight, bias);
        let logged = want_loss.then(|| Tensor::from_data([found.data_loss + penalty()], device));
        let mut gradients = GradientsParams::new();
        let dw = TensorData::new(found.weight, linear.weight.shape());
        gradients.register::<2>(linear.weight.id, Tensor::from_data(dw, device));
        if let (Some(owner), Some(db)) = (&linear.bias, found.bias) {
            gradients.register::<1>(owner.id, Tensor::from_data(&db[..], device));
        }
        Ok((gradients, logged))
    }
}

/// Single-precision values in host memory.
fn slice(data: &TensorData) -> Result<&[f32], SolveError> {
    data.as_slice::<f32>().map_err(|e| SolveError::Device(format!("{e:?}")))
}
