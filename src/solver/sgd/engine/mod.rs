//! The engines, which compute gradients and make the steps of a run. One is chosen for a run ([`choose`]), and its loop asks for steps.
//!
//! | engine | models | gradient | step |
//! |---|---|---|---|
//! | [`InPlaceEngine`] | one or many | fused with the step | plain SGD on weights in place |
//! | [`Stepper`] | one | by Burn, by hand, or fused on the host or a GPU ([`Pass`]) | Burn's optimiser |
//! | [`Stack`] | many | in tensor operations over all models | plain, or Burn's optimiser |

mod in_place;
mod stack;
mod stepper;
mod team;
mod tensors;

use super::SgdConfig;
use super::feed::StepRows;
use super::optimizer::OptimizerName;
use super::stacked::Member;
use crate::objective::FusedPass;
use crate::solver::stop::WatchedMetric;
use crate::solver::{GradientRoute, Problem, Route, SolveError};
use in_place::InPlaceEngine;
use stack::Stack;
pub(super) use stepper::autodiff;
use stepper::{Pass, Stepper};
pub(super) use tensors::{Tensors, forget};

/// The parameters of a model, or a gradient with respect to them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Parameters {
    /// `[n_features, n_classes]`, row-major.
    pub weight: Vec<f32>,
    /// `[n_classes]`
    pub bias: Option<Vec<f32>>,
}

impl Parameters {
    /// Weight, then bias.
    pub fn values(&self) -> impl Iterator<Item = f64> + Clone + '_ {
        self.weight.iter().chain(self.bias.iter().flatten()).map(|&v| f64::from(v))
    }
}

/// One step: its rows, and the factor of the learning rates by warm-up and schedule.
pub(super) struct Step {
    pub drawn: StepRows,
    pub factor: f64,
}

/// Members and their minibatch objectives before a step.
pub(super) type Objectives = Vec<(usize, f64)>;

/// Computes gradients and makes the steps of all models of a run, which are numbered as its members.
pub(super) trait Engine: Send {
    /// The route of its gradient.
    fn route(&self) -> Route;

    /// A remark for the user.
    fn notice(&self) -> Option<String> {
        None
    }

    /// Whether rows are read by index, so that nothing has to be gathered ahead of the step.
    fn reads_in_place(&self) -> bool {
        false
    }

    /// Steps at most between two looks at the run.
    fn stride(&self) -> u64 {
        1
    }

    /// One step of every model; the objectives before it where they are wanted.
    fn step(&mut self, step: Step, want_loss: bool) -> Result<Objectives, SolveError>;

    /// Several steps; the objectives before the last where they are wanted.
    fn advance(&mut self, steps: Vec<Step>, want_loss: bool) -> Result<Objectives, SolveError> {
        let (count, mut objectives) = (steps.len(), Vec::new());
        for (step, number) in steps.into_iter().zip(1..) {
            objectives = self.step(step, want_loss && number == count)?;
        }
        Ok(objectives)
    }

    /// Takes members out that have diverged.
    fn remove(&mut self, lost: &[usize]) {
        let _ = lost;
    }

    /// The parameters of all members that have not been taken out.
    fn parameters(&self) -> Result<Vec<(usize, Parameters)>, SolveError>;

    /// The gradient of a member's objective at other parameters, over rows of the data set; changes nothing of the run.
    fn gradient(&mut self, member: &Member, at: &Parameters, rows: &[u32]) -> Result<Parameters, SolveError>;

    /// Capabilities of a run of one model; `None` where there are several.
    fn single(&mut self) -> Option<&mut dyn SingleModel> {
        None
    }
}

/// Capabilities of an engine with one model.
pub(super) trait SingleModel {
    /// Accuracy or data loss over rows of the data set.
    fn measure(&mut self, rows: &[u32], metric: WatchedMetric) -> Result<f64, SolveError>;

    /// The state of the optimiser, as Burn writes it.
    fn optimizer(&self) -> Result<Vec<u8>, SolveError>;

    /// Goes on from these parameters and this state.
    fn restore(&mut self, parameters: Parameters, optimizer: Vec<u8>) -> Result<(), SolveError>;
}

/// The engine of a run: the fastest that there is for its rows, device and optimiser, or the route that was asked for.
pub(super) fn choose<'a>(
    config: &'a SgdConfig,
    problem: &'a Problem<'a>,
    members: &'a [Member],
) -> Box<dyn Engine + 'a> {
    let fused = matches!(problem.gradient, GradientRoute::Auto | GradientRoute::Fused);
    let on_host = |member: &'a Member| {
        let there = fused && FusedPass::serves(problem.source.features, problem.device);
        there.then(|| FusedPass::new(problem.source, problem.n_classes, &member.objective)).flatten()
    };
    let [member] = members else {
        return match members.first().and_then(on_host) {
            Some(pass) if config.is_plain() => Box::new(InPlaceEngine::new(config, problem, members, pass)),
            _ => Box::new(Stack::new(config, problem, members)),
        };
    };
    let stepper = |pass| Box::new(Stepper::new(config, problem, member, pass));
    match on_host(member) {
        Some(pass) if config.is_plain() && in_place::suits(config, &pass) => {
            return Box::new(InPlaceEngine::new(config, problem, members, pass));
        }
        Some(pass) => return stepper(Pass::Fused(pass)),
        None => {}
    }
    #[cfg(all(feature = "cube", not(feature = "fusion")))]
    if fused && let Some(pass) = Pass::resident(config, problem, member) {
        return stepper(pass);
    }
    stepper(if problem.gradient == GradientRoute::Autodiff { Pass::Autodiff } else { Pass::Analytic })
}

impl SgdConfig {
    /// Whether a step is W ← W − η·g, nothing clipped.
    fn is_plain(&self) -> bool {
        self.optimizer == OptimizerName::Sgd && self.clip_value.is_none() && self.clip_norm.is_none()
    }
}

/// A failure of the device.
pub(super) fn failed(error: impl std::fmt::Debug) -> SolveError {
    SolveError::Device(format!("{error:?}"))
}

/// The share of rows that parameters get right.
#[allow(clippy::cast_precision_loss)]
fn accuracy(pass: &mut FusedPass<'_>, at: &Parameters, rows: &[u32]) -> f64 {
    pass.hits(&at.weight, at.bias.as_deref(), rows) as f64 / rows.len().max(1) as f64
}
