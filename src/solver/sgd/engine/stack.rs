//! Several models in tensor operations: M members of K classes are M·K columns of one product.
//!
//! ```text
//! scores  [B, M·K] = X·[W_1 … W_M]            X is read once for all members
//! Q       [B, M·K]: the loss of each block by itself, with the labels of the batch for every block
//! W_m     ← W_m − η_m·(XᵀQ_m + λ_m·W_m)       a learning rate, a λ and a loss for each member
//! ```

use super::columns::Columns;
use super::{Engine, Objectives, Parameters, Step, failed};
use crate::loss::Loss;
use crate::objective::{Block, Regulariser, block_gradient, block_losses};
use crate::solver::sgd::SgdConfig;
use crate::solver::sgd::draws::initial_values;
use crate::solver::sgd::stacked::Member;
use crate::solver::{GradientRoute, Problem, Route, SolveError};
use burn::tensor::{Device, Tensor};

/// The models of a run side by side.
pub(super) struct Stack<'a> {
    config: &'a SgdConfig,
    problem: &'a Problem<'a>,
    members: &'a [Member],
    device: Device,
    blocks: Vec<Block>,
    /// The members in the order of their blocks, and whether each is masked.
    alive: Vec<usize>,
    columns: Columns,
}

impl<'a> Stack<'a> {
    pub fn new(config: &'a SgdConfig, problem: &'a Problem<'a>, members: &'a [Member]) -> Self {
        let device = problem.device.device.clone();
        // Members of one loss stand side by side.
        let mut losses: Vec<&Loss> = Vec::new();
        let mut of: Vec<usize> = Vec::new();
        for member in members {
            let known = losses.iter().position(|l| **l == member.objective.loss).unwrap_or(losses.len());
            if known == losses.len() {
                losses.push(&member.objective.loss);
            }
            of.push(known);
        }
        let mut alive: Vec<usize> = (0..members.len()).collect();
        alive.sort_by_key(|&m| of[m]);
        let count = |loss: usize| of.iter().filter(|o| **o == loss).count();
        let blocks =
            losses.iter().enumerate().map(|(i, loss)| Block { loss: loss.init(&device), members: count(i) }).collect();
        let initial: Vec<_> = alive.iter().map(|&m| initial_values(problem, members[m].init_std)).collect();
        let columns = Columns::new(config, problem, &initial, &device);
        Self { config, problem, members, device, blocks, alive, columns }
    }

    fn is_autodiff(&self) -> bool {
        self.problem.gradient == GradientRoute::Autodiff
    }

    fn regularisers(&self) -> Vec<Regulariser> {
        self.alive.iter().map(|&m| self.members[m].objective.regulariser()).collect()
    }

    /// The objectives from data loss, ‖W‖² and ‖b‖² of every block, `[3, blocks]`. A member that is masked, not taken out, is no
    /// longer looked at.
    fn objectives(&self, values: Tensor<2>) -> Result<Objectives, SolveError> {
        let values = values.into_data().try_to_vec_as::<f64>().map_err(failed)?;
        let m = self.alive.len();
        let of = |(at, &member): (usize, &usize)| {
            let [data, weight, bias] = [0, 1, 2].map(|row| values[row * m + at]);
            let penalty = self.members[member].objective.regulariser().of_squares(weight, bias);
            (!self.columns.is_off(at)).then_some((member, data + penalty))
        };
        Ok(self.alive.iter().enumerate().filter_map(of).collect())
    }
}

impl Engine for Stack<'_> {
    fn route(&self) -> Route {
        if self.is_autodiff() { Route::Autodiff } else { Route::Analytic }
    }

    fn step(&mut self, Step { drawn, factor }: Step, want_loss: bool) -> Result<Objectives, SolveError> {
        let batch = drawn.gathered(self.problem.source).to_device(&self.device);
        let scores = self.columns.scores(&batch.rows);
        let before = want_loss.then(|| {
            let (weight, bias) = self.columns.squares();
            Tensor::stack(vec![block_losses(&self.blocks, scores.clone(), &batch), weight, bias], 0)
        });
        let q = block_gradient(&self.blocks, scores, &batch, self.is_autodiff());
        let rates: Vec<f64> = self.alive.iter().map(|&m| self.members[m].learning_rate * factor).collect();
        let regularisers = self.regularisers();
        self.columns.update(&batch.rows, q, &rates, &regularisers);
        before.map_or(Ok(Vec::new()), |before| self.objectives(before))
    }

    /// Takes blocks out, or masks them where an optimiser holds a state for them.
    fn remove(&mut self, lost: &[usize]) {
        let lost: Vec<bool> = self.alive.iter().map(|member| lost.contains(member)).collect();
        if !self.columns.switch_off(&lost) {
            return;
        }
        let mut at = 0;
        for block in &mut self.blocks {
            let gone = lost[at..at + block.members].iter().filter(|l| **l).count();
            at += block.members;
            block.members -= gone;
        }
        self.blocks.retain(|block| block.members > 0);
        let mut lost = lost.iter();
        self.alive.retain(|_| !lost.next().copied().unwrap_or(false));
    }

    fn parameters(&self) -> Result<Vec<(usize, Parameters)>, SolveError> {
        Ok(self.alive.iter().copied().zip(self.columns.read()?).collect())
    }

    fn gradient(&mut self, member: &Member, at: &Parameters, rows: &[u32]) -> Result<Parameters, SolveError> {
        let batch = self.problem.source.gather(rows).to_device(&self.device);
        let mut columns = Columns::new(self.config, self.problem, std::slice::from_ref(at), &self.device);
        let blocks = [Block { loss: member.objective.loss.init(&self.device), members: 1 }];
        let q = block_gradient(&blocks, columns.scores(&batch.rows), &batch, self.is_autodiff());
        columns.differentiate(&batch.rows, q, &[member.objective.regulariser()]);
        Ok(columns.read()?.swap_remove(0))
    }
}
