//! A model on its own, with one of four implementations of the gradient, and one of Burn's optimisers.

use super::{Engine, Objectives, Parameters, SingleModel, Step, Tensors, accuracy, failed, forget};
use crate::model::LinearSvm;
use crate::objective::FusedPass;
#[cfg(all(feature = "cube", not(feature = "fusion")))]
use crate::objective::{DevicePass, ResidentLimits};
use crate::solver::sgd::SgdConfig;
use crate::solver::sgd::draws::initial_values;
use crate::solver::sgd::feed::StepRows;
use crate::solver::sgd::resume::restored;
use crate::solver::sgd::stacked::Member;
use crate::solver::stop::WatchedMetric;
use crate::solver::{Problem, Route, SolveError};
use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Tensor, TensorData};

/// Steps after which autodiff is made to forget the parameters of earlier steps.
const FORGET: u32 = 64;

/// A way to the gradient.
// One lives a run; a box would only cost a look at it a step.
#[allow(clippy::large_enum_variant)]
pub(super) enum Pass<'a> {
    /// Burn's automatic differentiation of the objective.
    Autodiff,
    /// XᵀQ + λW in tensor operations.
    Analytic,
    /// One pass over dense rows of the host, in place.
    Fused(FusedPass<'a>),
    /// One pass over dense rows on a GPU: indices go there, and only logged values come back.
    #[cfg(all(feature = "cube", not(feature = "fusion")))]
    Resident(DevicePass<'a>),
}

/// A gradient registered for the parameters of a model, and the objective where it was wanted, `[1]`.
type StepGradient = (GradientsParams, Option<Tensor<1>>);

impl<'a> Pass<'a> {
    /// The pass on a GPU; `None` where rows are sparse or the device has no kernels.
    #[cfg(all(feature = "cube", not(feature = "fusion")))]
    pub fn resident(config: &SgdConfig, problem: &Problem<'a>, member: &'a Member) -> Option<Self> {
        let (source, device) = (problem.source, problem.device);
        let memory = 1_000_000u64.saturating_mul(config.resident_mb as u64);
        let limits = ResidentLimits { memory, ..ResidentLimits::default() };
        let there = DevicePass::serves(source.features, device);
        let pass = || DevicePass::new(source, problem.n_classes, &member.objective, &device.device, limits);
        there.then(pass).flatten().map(Self::Resident)
    }

    /// The gradient of the objective over a batch.
    fn gradient(
        &mut self,
        tensors: &Tensors<'_>,
        model: &LinearSvm,
        drawn: StepRows,
        want_loss: bool,
    ) -> Result<StepGradient, SolveError> {
        // The optimiser wants parameters that are tied to autodiff; other gradients than its own are computed on untied ones.
        let weight = || model.linear.weight.val().inner();
        let bias = || model.linear.bias.as_ref().map(|b| b.val().inner());
        let batch = |drawn: StepRows| drawn.gathered(tensors.source).to_device(&tensors.device);
        match self {
            Self::Autodiff => {
                let total = tensors.objective(model, &batch(drawn));
                let objective = want_loss.then(|| total.clone().inner());
                Ok((GradientsParams::from_grads(total.backward(), model), objective))
            }
            Self::Analytic => {
                let (plain, batch) = (model.valid(), batch(drawn));
                let objective = want_loss.then(|| tensors.objective(&plain, &batch));
                Ok((registered(model, tensors.gradient(&plain, &batch)), objective))
            }
            Self::Fused(pass) => {
                let (shape, weight, bias) =
                    (model.linear.weight.shape(), weight().into_data(), bias().map(Tensor::into_data));
                let (weight, bias) = (slice(&weight)?, bias.as_ref().map(slice).transpose()?);
                let found = pass.at(weight, bias, &drawn.rows);
                let device = &tensors.device;
                let objective = || [found.data_loss + tensors.objective.penalty(weight, bias)];
                let objective = want_loss.then(|| Tensor::from_data(objective(), device));
                let dw = Tensor::from_data(TensorData::new(found.weight, shape), device);
                let db = found.bias.map(|db| Tensor::from_data(&db[..], device));
                Ok((registered(model, (dw, db)), objective))
            }
            #[cfg(all(feature = "cube", not(feature = "fusion")))]
            Self::Resident(pass) => {
                let batch = match drawn.host {
                    Some(host) => pass.upload(host),
                    None => pass.gather(&drawn.rows),
                };
                let found = pass.gradient(&weight(), bias().as_ref(), batch, want_loss);
                let penalised = |data| tensors.objective.regulariser().penalised(data, &model.valid());
                Ok((registered(model, (found.weight, found.bias)), found.data_loss.map(penalised)))
            }
        }
    }

    /// [`Pass::gradient`] of a member's objective at other parameters, read back.
    fn at(
        &mut self,
        problem: &Problem<'_>,
        member: &Member,
        at: &Parameters,
        rows: &[u32],
    ) -> Result<Parameters, SolveError> {
        let tensors = Tensors::new(problem, &member.objective);
        let model = tensors.model(at.clone());
        let (mut found, _) = self.gradient(&tensors, &model, StepRows::of(rows.to_vec()), false)?;
        // A loss that is constant leaves no gradient behind.
        let weight = &model.linear.weight;
        let dw = found.remove::<2>(weight.id).unwrap_or_else(|| weight.val().inner().zeros_like());
        let zeros = |bias: Tensor<1>| bias.inner().zeros_like();
        let bias = model.linear.bias.as_ref();
        let db = bias.map(|bias| found.remove::<1>(bias.id).unwrap_or_else(|| zeros(bias.val())));
        Parameters::of_tensors(dw, db)
    }
}

/// The gradient of a member's objective by autodiff, for every engine.
pub(in crate::solver::sgd) fn autodiff(
    problem: &Problem<'_>,
    member: &Member,
    at: &Parameters,
    rows: &[u32],
) -> Result<Parameters, SolveError> {
    Pass::Autodiff.at(problem, member, at, rows)
}

fn registered(owner: &LinearSvm, (weight, bias): (Tensor<2>, Option<Tensor<1>>)) -> GradientsParams {
    let mut gradients = GradientsParams::new();
    gradients.register::<2>(owner.linear.weight.id, weight);
    if let (Some(owner), Some(bias)) = (&owner.linear.bias, bias) {
        gradients.register::<1>(owner.id, bias);
    }
    gradients
}

/// Single-precision values in host memory.
fn slice(data: &TensorData) -> Result<&[f32], SolveError> {
    data.as_slice::<f32>().map_err(failed)
}

/// A model with its optimiser.
pub(super) struct Stepper<'a> {
    config: &'a SgdConfig,
    problem: &'a Problem<'a>,
    learning_rate: f64,
    tensors: Tensors<'a>,
    pass: Pass<'a>,
    model: LinearSvm,
    /// An empty model, in the place of the other while the optimiser has that.
    idle: LinearSvm,
    optimizer: ModuleOptimizer,
    /// Steps since autodiff was last made to forget.
    unseen: u32,
}

impl<'a> Stepper<'a> {
    pub fn new(config: &'a SgdConfig, problem: &'a Problem<'a>, member: &'a Member, pass: Pass<'a>) -> Self {
        let tensors = Tensors::new(problem, &member.objective);
        let model = tensors.model(initial_values(problem, member.init_std));
        let idle = tensors.model(Parameters { weight: Vec::new(), bias: None });
        let (learning_rate, optimizer) = (member.learning_rate, config.build_optimizer());
        Self { config, problem, learning_rate, tensors, pass, model, idle, optimizer, unseen: 0 }
    }
}

impl Engine for Stepper<'_> {
    fn route(&self) -> Route {
        match self.pass {
            Pass::Autodiff => Route::Autodiff,
            Pass::Analytic => Route::Analytic,
            Pass::Fused(_) => Route::Fused,
            #[cfg(all(feature = "cube", not(feature = "fusion")))]
            Pass::Resident(_) => Route::Fused,
        }
    }

    fn notice(&self) -> Option<String> {
        match &self.pass {
            #[cfg(all(feature = "cube", not(feature = "fusion")))]
            Pass::Resident(pass) if pass.n_chunks().is_none() && self.config.resident_mb > 0 => Some(format!(
                "the rows would take {} MB of the device, more than it has to spare or `resident_mb` allows: each batch is moved there",
                DevicePass::bytes(self.problem.source.features).div_ceil(1_000_000)
            )),
            _ => None,
        }
    }

    fn reads_in_place(&self) -> bool {
        match &self.pass {
            Pass::Autodiff | Pass::Analytic => false,
            Pass::Fused(_) => true,
            #[cfg(all(feature = "cube", not(feature = "fusion")))]
            Pass::Resident(pass) => pass.n_chunks().is_some(),
        }
    }

    fn step(&mut self, Step { drawn, factor }: Step, want_loss: bool) -> Result<Objectives, SolveError> {
        let (gradients, objective) = self.pass.gradient(&self.tensors, &self.model, drawn, want_loss)?;
        // Moved, not cloned, so that the optimiser may write in place.
        let model = std::mem::replace(&mut self.model, self.idle.clone());
        self.model = self.optimizer.step(self.learning_rate * factor, model, gradients);
        self.unseen += 1;
        if self.unseen == FORGET {
            self.unseen = 0;
            forget(&self.tensors.device);
        }
        let objective = objective.map(|loss| loss.try_into_scalar::<f64>()).transpose().map_err(failed)?;
        Ok(objective.into_iter().map(|objective| (0, objective)).collect())
    }

    fn parameters(&self) -> Result<Vec<(usize, Parameters)>, SolveError> {
        Ok(vec![(0, Parameters::of_model(&self.model)?)])
    }

    fn gradient(&mut self, member: &Member, at: &Parameters, rows: &[u32]) -> Result<Parameters, SolveError> {
        self.pass.at(self.problem, member, at, rows)
    }

    fn single(&mut self) -> Option<&mut dyn SingleModel> {
        Some(self)
    }
}

impl SingleModel for Stepper<'_> {
    fn measure(&mut self, rows: &[u32], metric: WatchedMetric) -> Result<f64, SolveError> {
        match &mut self.pass {
            Pass::Fused(pass) if metric == WatchedMetric::Accuracy => {
                Ok(accuracy(pass, &Parameters::of_model(&self.model)?, rows))
            }
            // From the matrix on the device, where it is there.
            #[cfg(all(feature = "cube", not(feature = "fusion")))]
            Pass::Resident(pass) if pass.n_chunks().is_some() => {
                self.tensors.measure(&self.model, rows, metric, |rows| pass.batch(rows))
            }
            _ => self.tensors.measure(&self.model, rows, metric, |rows| self.tensors.batch(rows)),
        }
    }

    fn optimizer(&self) -> Result<Vec<u8>, SolveError> {
        self.optimizer.into_bytes().map(|bytes| bytes.to_vec()).map_err(failed)
    }

    fn restore(&mut self, parameters: Parameters, optimizer: Vec<u8>) -> Result<(), SolveError> {
        self.model = self.tensors.model(parameters);
        self.optimizer = restored(self.config.build_optimizer(), optimizer, &self.tensors.device)?;
        Ok(())
    }
}
