//! The gradients of one model on the host, by autodiff, by hand and fused.

use super::{Parameters, Tensors, failed};
use crate::data::batch::Batch;
use crate::model::LinearSvm;
use crate::objective::FusedPass;
use crate::solver::sgd::feed::Drawn;
use crate::solver::sgd::stacked::Member;
use crate::solver::stop::WatchedMetric;
use crate::solver::{Problem, Route, SolveError};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};

/// A gradient registered for the parameters of a model, and the objective where it was wanted, `[1]`.
pub(super) struct Gradient {
    pub gradients: GradientsParams,
    pub objective: Option<Tensor<1>>,
}

impl Gradient {
    /// Registers tensors for the parameters of a model.
    pub fn new(
        owner: &LinearSvm,
        (weight, bias): (Tensor<2>, Option<Tensor<1>>),
        objective: Option<Tensor<1>>,
    ) -> Self {
        let mut gradients = GradientsParams::new();
        gradients.register::<2>(owner.linear.weight.id, weight);
        if let (Some(owner), Some(bias)) = (&owner.linear.bias, bias) {
            gradients.register::<1>(owner.id, bias);
        }
        Self { gradients, objective }
    }

    /// Read back. A loss that is constant leaves no gradient behind.
    pub fn read(mut self, owner: &LinearSvm) -> Result<Parameters, SolveError> {
        let weight = &owner.linear.weight;
        let of_weight = self.gradients.remove::<2>(weight.id).unwrap_or_else(|| weight.val().inner().zeros_like());
        let of_bias = owner
            .linear
            .bias
            .as_ref()
            .map(|bias| self.gradients.remove::<1>(bias.id).unwrap_or_else(|| bias.val().inner().zeros_like()));
        Parameters::of_tensors(of_weight, of_bias)
    }
}

/// A way to the gradient of one model.
pub(super) trait Differentiate: Send {
    /// Its name.
    const ROUTE: Route;

    /// The gradient of the objective over a batch.
    fn gradient(
        &mut self,
        tensors: &Tensors<'_>,
        model: &LinearSvm,
        drawn: Drawn,
        want_loss: bool,
    ) -> Result<Gradient, SolveError>;

    /// Whether rows are read by index.
    fn reads_in_place(&self) -> bool {
        false
    }

    /// A remark for the user.
    fn notice(&self) -> Option<String> {
        None
    }

    /// Accuracy or data loss of a model over rows of the data set.
    fn measure(
        &mut self,
        tensors: &Tensors<'_>,
        model: &LinearSvm,
        rows: &[u32],
        metric: WatchedMetric,
    ) -> Result<f64, SolveError> {
        tensors.measure(model, rows, metric, |rows| tensors.batch(rows))
    }
}

/// Burn's automatic differentiation of the objective.
pub(super) struct Autodiff;

impl Differentiate for Autodiff {
    const ROUTE: Route = Route::Autodiff;

    fn gradient(
        &mut self,
        tensors: &Tensors<'_>,
        model: &LinearSvm,
        drawn: Drawn,
        want_loss: bool,
    ) -> Result<Gradient, SolveError> {
        let total = tensors.objective(model, &drawn.batch(tensors));
        let objective = want_loss.then(|| total.clone().inner());
        Ok(Gradient { gradients: GradientsParams::from_grads(total.backward(), model), objective })
    }
}

/// The gradient of a member's objective by autodiff, whatever the engine of its run.
pub(in crate::solver::sgd) fn autodiff(
    problem: &Problem<'_>,
    member: &Member,
    at: &Parameters,
    rows: &[u32],
) -> Result<Parameters, SolveError> {
    let tensors = Tensors::new(problem, &member.objective);
    let model = tensors.model(at.clone());
    Autodiff.gradient(&tensors, &model, Drawn::of(rows.to_vec()), false)?.read(&model)
}

/// XᵀQ + λW in tensor operations.
pub(super) struct Analytic;

impl Differentiate for Analytic {
    const ROUTE: Route = Route::Analytic;

    fn gradient(
        &mut self,
        tensors: &Tensors<'_>,
        model: &LinearSvm,
        drawn: Drawn,
        want_loss: bool,
    ) -> Result<Gradient, SolveError> {
        // The optimiser wants parameters that are tied to autodiff; the gradient is computed on untied ones.
        let (plain, batch) = (model.valid(), drawn.batch(tensors));
        let objective = want_loss.then(|| tensors.objective(&plain, &batch));
        Ok(Gradient::new(model, tensors.gradient(&plain, &batch), objective))
    }
}

/// One pass over dense rows of the host where they lie.
pub(super) struct Fused<'a>(pub FusedPass<'a>);

impl Differentiate for Fused<'_> {
    const ROUTE: Route = Route::Fused;

    fn gradient(
        &mut self,
        tensors: &Tensors<'_>,
        model: &LinearSvm,
        drawn: Drawn,
        want_loss: bool,
    ) -> Result<Gradient, SolveError> {
        let weight = model.linear.weight.val().inner().into_data();
        let bias = model.linear.bias.as_ref().map(|b| b.val().inner().into_data());
        let weight = slice(&weight)?;
        let bias = bias.as_ref().map(slice).transpose()?;
        let found = self.0.at(weight, bias, &drawn.rows);
        let device = &tensors.device;
        let penalty = || tensors.objective.penalty(weight, bias);
        let objective = want_loss.then(|| Tensor::from_data([found.data_loss + penalty()], device));
        let dw = Tensor::from_data(TensorData::new(found.weight, model.linear.weight.shape()), device);
        let db = found.bias.map(|db| Tensor::from_data(&db[..], device));
        Ok(Gradient::new(model, (dw, db), objective))
    }

    fn reads_in_place(&self) -> bool {
        true
    }

    fn measure(
        &mut self,
        tensors: &Tensors<'_>,
        model: &LinearSvm,
        rows: &[u32],
        metric: WatchedMetric,
    ) -> Result<f64, SolveError> {
        match metric {
            WatchedMetric::Accuracy => Ok(accuracy(&mut self.0, &Parameters::of_model(model)?, rows)),
            WatchedMetric::Loss => tensors.measure(model, rows, metric, |rows| tensors.batch(rows)),
        }
    }
}

/// The share of rows that parameters get right.
#[allow(clippy::cast_precision_loss)]
pub(super) fn accuracy(pass: &mut FusedPass<'_>, at: &Parameters, rows: &[u32]) -> f64 {
    pass.hits(&at.weight, at.bias.as_deref(), rows) as f64 / rows.len().max(1) as f64
}

impl Drawn {
    /// The rows on the device.
    fn batch(self, tensors: &Tensors<'_>) -> Batch {
        self.gathered(tensors.source).to_device(&tensors.device)
    }
}

/// Single-precision values in host memory.
fn slice(data: &TensorData) -> Result<&[f32], SolveError> {
    data.as_slice::<f32>().map_err(failed)
}
