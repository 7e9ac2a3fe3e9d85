//! One model, whose steps are made by one of Burn's optimisers.

use super::gradient::Differentiate;
use super::{Engine, Objectives, Parameters, Single, Step, Tensors, failed, forget};
use crate::model::LinearSvm;
use crate::solver::sgd::SgdConfig;
use crate::solver::sgd::draws::initial_values;
use crate::solver::sgd::feed::Drawn;
use crate::solver::sgd::resume::restored;
use crate::solver::sgd::stacked::Member;
use crate::solver::stop::WatchedMetric;
use crate::solver::{Problem, Route, SolveError};
use burn::optim::ModuleOptimizer;

/// Steps after which autodiff is made to forget the parameters of earlier steps.
const FORGET: u32 = 64;

/// A model with its optimiser, over a way to its gradient.
pub(super) struct Stepper<'a, D> {
    config: &'a SgdConfig,
    problem: &'a Problem<'a>,
    learning_rate: f64,
    tensors: Tensors<'a>,
    differentiate: D,
    model: LinearSvm,
    /// An empty model, in the place of the other while the optimiser has that.
    idle: LinearSvm,
    optimizer: ModuleOptimizer,
    /// Steps since autodiff was last made to forget.
    unseen: u32,
}

impl<'a, D: Differentiate> Stepper<'a, D> {
    pub fn new(config: &'a SgdConfig, problem: &'a Problem<'a>, member: &'a Member, differentiate: D) -> Self {
        let tensors = Tensors::new(problem, &member.objective);
        let model = tensors.model(initial_values(problem, member.init_std));
        let idle = tensors.model(Parameters { weight: Vec::new(), bias: None });
        let (learning_rate, optimizer) = (member.learning_rate, config.build_optimizer());
        Self { config, problem, learning_rate, tensors, differentiate, model, idle, optimizer, unseen: 0 }
    }
}

impl<D: Differentiate> Engine for Stepper<'_, D> {
    fn route(&self) -> Route {
        D::ROUTE
    }

    fn notice(&self) -> Option<String> {
        self.differentiate.notice()
    }

    fn reads_in_place(&self) -> bool {
        self.differentiate.reads_in_place()
    }

    fn step(&mut self, Step { drawn, factor }: Step, want_loss: bool) -> Result<Objectives, SolveError> {
        let found = self.differentiate.gradient(&self.tensors, &self.model, drawn, want_loss)?;
        // Moved, not cloned, so that the optimiser may write where the weights lie.
        let model = std::mem::replace(&mut self.model, self.idle.clone());
        self.model = self.optimizer.step(self.learning_rate * factor, model, found.gradients);
        self.unseen += 1;
        if self.unseen == FORGET {
            self.unseen = 0;
            forget(&self.tensors.device);
        }
        let objective = found.objective.map(|loss| loss.try_into_scalar::<f64>()).transpose().map_err(failed)?;
        Ok(objective.into_iter().map(|objective| (0, objective)).collect())
    }

    fn parameters(&self) -> Result<Vec<(usize, Parameters)>, SolveError> {
        Ok(vec![(0, Parameters::of_model(&self.model)?)])
    }

    fn gradient(&mut self, member: &Member, at: &Parameters, rows: &[u32]) -> Result<Parameters, SolveError> {
        let tensors = Tensors::new(self.problem, &member.objective);
        let model = tensors.model(at.clone());
        self.differentiate.gradient(&tensors, &model, Drawn::of(rows.to_vec()), false)?.read(&model)
    }

    fn single(&mut self) -> Option<&mut dyn Single> {
        Some(self)
    }
}

impl<D: Differentiate> Single for Stepper<'_, D> {
    fn measure(&mut self, rows: &[u32], metric: WatchedMetric) -> Result<f64, SolveError> {
        self.differentiate.measure(&self.tensors, &self.model, rows, metric)
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
