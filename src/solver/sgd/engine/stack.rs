//! Several models in tensor operations: M members of K classes are M·K columns of one product.
//!
//! ```text
//! scores  [B, M·K] = X·[W_1 … W_M]            X is read once for all members
//! Q       [B, M·K]: the loss of each block by itself, with the labels of the batch for every block
//! W_m     ← W_m − η_m·(XᵀQ_m + λ_m·W_m)       a learning rate, a λ and a loss for each member
//! ```

use super::{Engine, Objectives, Parameters, Step, failed};
use crate::data::Features;
use crate::data::batch::{Batch, DeviceFeatures};
use crate::loss::Loss;
use crate::model::LinearSvm;
use crate::objective::{Decay, MemberBlock, block_gradient, block_losses};
use crate::solver::sgd::SgdConfig;
use crate::solver::sgd::draws::initial_values;
use crate::solver::sgd::stacked::Member;
use crate::solver::{GradientRoute, Problem, Route, SolveError};
use burn::module::Param;
use burn::nn::Linear;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

/// Below and above this the factor of a block is multiplied into its weights.
const SMALLEST: f64 = 1e-4;
const LARGEST: f64 = 1e4;

/// The models of a run side by side.
///
/// For dense rows the weights lie as `[M·K, D]`, which the gradient (QᵀX) fits without a transposition; for sparse rows as
/// `[D, M·K]`, of which a cell needs one row.
pub(super) struct Stack<'a> {
    config: &'a SgdConfig,
    problem: &'a Problem<'a>,
    members: &'a [Member],
    device: Device,
    blocks: Vec<MemberBlock>,
    /// The members in the order of their blocks.
    alive: Vec<usize>,
    /// Blocks that are masked: those of an optimiser, which holds a state for them, are not taken out.
    off: Vec<bool>,
    weight: Tensor<2>,
    /// Whether the weights lie as `[M·K, D]`.
    upright: bool,
    bias: Option<Tensor<1>>,
    offset: Option<Tensor<2>>,
    /// W = factor·weight for each block: with plain SGD the shrinking by 1 − ηλ costs a number, not a pass over the weights.
    factors: Vec<f64>,
    /// Burn's optimiser where it is not plain SGD; at the learning rate 1 and weights 0 it gives the negative step of every cell.
    optimizer: Option<Box<(ModuleOptimizer, LinearSvm)>>,
}

impl<'a> Stack<'a> {
    pub fn new(config: &'a SgdConfig, problem: &'a Problem<'a>, members: &'a [Member]) -> Self {
        Self::at(config, problem, members, &|member| initial_values(problem, member.init_std))
    }

    fn at(
        config: &'a SgdConfig,
        problem: &'a Problem<'a>,
        members: &'a [Member],
        parameters: &dyn Fn(&Member) -> Parameters,
    ) -> Self {
        let device = problem.device.device.clone();
        // Members of one loss stand side by side.
        let mut losses: Vec<(&Loss, Vec<usize>)> = Vec::new();
        for (i, member) in members.iter().enumerate() {
            match losses.iter_mut().find(|(loss, _)| **loss == member.objective.loss) {
                Some((_, of)) => of.push(i),
                None => losses.push((&member.objective.loss, vec![i])),
            }
        }
        let block = |(loss, of): &(&Loss, Vec<usize>)| MemberBlock { loss: loss.init(&device), members: of.len() };
        let blocks = losses.iter().map(block).collect();
        let alive: Vec<usize> = losses.into_iter().flat_map(|(_, of)| of).collect();
        let initial: Vec<Parameters> = alive.iter().map(|&m| parameters(&members[m])).collect();
        let (m, k, d) = (initial.len(), problem.n_classes, problem.source.features.n_features());
        let upright = !matches!(problem.source.features, Features::Sparse(_));
        let mut values = vec![0.0f32; m * k * d];
        for (block, initial) in initial.iter().enumerate() {
            for (cell, &value) in initial.weight.iter().enumerate() {
                let (j, c) = (cell / k, block * k + cell % k);
                values[if upright { c * d + j } else { j * m * k + c }] = value;
            }
        }
        let shape = if upright { [m * k, d] } else { [d, m * k] };
        let weight = Tensor::<2>::from_data(TensorData::new(values, shape), &device);
        let biases: Option<Vec<&[f32]>> = initial.iter().map(|initial| initial.bias.as_deref()).collect();
        let bias = biases.map(|b| Tensor::<1>::from_data(TensorData::new(b.concat(), [m * k]), &device));
        let optimizer = (!config.is_plain()).then(|| {
            let tracked = device.clone().autodiff();
            let weight = Param::from_tensor(Tensor::zeros(shape, &tracked));
            let bias = bias.as_ref().map(|_| Param::from_tensor(Tensor::zeros([m * k], &tracked)));
            Box::new((config.build_optimizer(), LinearSvm { linear: Linear { weight, bias } }))
        });
        let offset = problem.source.sparse_offset(&device);
        let (off, factors) = (vec![false; m], vec![1.0; m]);
        Self { config, problem, members, device, blocks, alive, off, weight, upright, bias, offset, factors, optimizer }
    }

    fn is_autodiff(&self) -> bool {
        self.problem.gradient == GradientRoute::Autodiff
    }

    /// A number of each block for each of its columns, `[M·K]`.
    #[allow(clippy::cast_possible_truncation)]
    fn spread(&self, values: impl IntoIterator<Item = f64>) -> Tensor<1> {
        let each = values.into_iter().flat_map(|v| std::iter::repeat_n(v as f32, self.problem.n_classes));
        let each: Vec<f32> = each.collect();
        let n = each.len();
        Tensor::from_data(TensorData::new(each, [n]), &self.device)
    }

    /// The shape of a vector over the columns as it meets the weights.
    fn beside_weights(&self) -> [usize; 2] {
        let n = self.alive.len() * self.problem.n_classes;
        if self.upright { [n, 1] } else { [1, n] }
    }

    /// The stored weights as a module of M·K classes, without bias; sparse rows only.
    fn module(&self) -> LinearSvm {
        LinearSvm { linear: Linear { weight: Param::from_tensor(self.weight.clone()), bias: None } }
    }

    /// The scores of all blocks, `[B, M·K]`.
    fn scores(&self, rows: &DeviceFeatures) -> Tensor<2> {
        let mut scores = match rows {
            DeviceFeatures::Dense(x) => x.clone().matmul(self.weight.clone().transpose()),
            DeviceFeatures::Sparse(_) => self.module().scores(rows, self.offset.as_ref()),
        };
        if self.factors.iter().any(|f| (f - 1.0).abs() > 0.0) {
            scores = scores.mul(self.spread(self.factors.iter().copied()).unsqueeze());
        }
        self.bias.iter().fold(scores, |scores, bias| scores.add(bias.clone().unsqueeze()))
    }

    /// Q of all blocks, `[B, M·K]`.
    fn slopes(&self, scores: Tensor<2>, batch: &Batch) -> Tensor<2> {
        block_gradient(&self.blocks, scores, batch, self.is_autodiff())
    }

    /// XᵀQ in the layout of the weights.
    fn product(&self, rows: &DeviceFeatures, q: Tensor<2>) -> Tensor<2> {
        match rows {
            DeviceFeatures::Dense(x) => q.transpose().matmul(x.clone()),
            DeviceFeatures::Sparse(_) => self.module().backward(rows, self.offset.as_ref(), q).0,
        }
    }

    /// The decay of every block at its learning rate.
    fn decays(&self, rates: impl Iterator<Item = f64>) -> Vec<Decay> {
        let of = |(&m, rate): (&usize, f64)| self.members[m].objective.regulariser().decay(rate);
        self.alive.iter().zip(rates).map(of).collect()
    }

    /// weight ← weight − (η/factor')·XᵀQ with factor' = factor·(1 − ηλ).
    fn step_plainly(&mut self, rows: &DeviceFeatures, q: Tensor<2>, rates: &[f64]) {
        let decays = self.decays(rates.iter().copied());
        self.factors.iter_mut().zip(&decays).for_each(|(factor, decay)| *factor *= 1.0 - decay.weight);
        if self.factors.iter().any(|f| !(SMALLEST..=LARGEST).contains(&f.abs())) {
            let all = self.spread(self.factors.iter().copied()).reshape(self.beside_weights());
            self.factors.fill(1.0);
            self.weight.inplace(|weight| weight.mul(all));
        }
        let of_bias = self.bias.is_some().then(|| column_sums(&q));
        let scaled = self.spread(rates.iter().zip(&self.factors).map(|(rate, factor)| rate / factor));
        let step = self.product(rows, q.mul(scaled.unsqueeze()));
        self.weight.inplace(|weight| weight.sub(step));
        if let (Some(bias), Some(gradient)) = (self.bias.take(), of_bias) {
            let kept = self.spread(decays.iter().map(|decay| 1.0 - decay.bias));
            self.bias = Some(bias.mul(kept).sub(gradient.mul(self.spread(rates.iter().copied()))));
        }
    }

    /// XᵀQ + λW in the layout of the weights, and the gradient of the bias; of blocks whose factor is 1.
    fn gradients(&self, rows: &DeviceFeatures, q: Tensor<2>) -> (Tensor<2>, Option<Tensor<1>>) {
        let decays = self.decays(std::iter::repeat(1.0));
        let bias = self.bias.clone();
        let bias = bias.map(|bias| column_sums(&q).add(bias.mul(self.spread(decays.iter().map(|d| d.bias)))));
        let decay = self.spread(decays.iter().map(|d| d.weight)).reshape(self.beside_weights());
        (self.product(rows, q).add(self.weight.clone().mul(decay)), bias)
    }

    /// The step of Burn's optimiser, multiplied by each block's learning rate.
    fn step_by(
        &mut self,
        (optimizer, idle): &mut (ModuleOptimizer, LinearSvm),
        rows: &DeviceFeatures,
        q: Tensor<2>,
        rates: &[f64],
    ) {
        let (of_weight, of_bias) = self.gradients(rows, q);
        let mut gradients = GradientsParams::new();
        gradients.register::<2>(idle.linear.weight.id, of_weight);
        if let (Some(bias), Some(gradient)) = (&idle.linear.bias, of_bias) {
            gradients.register::<1>(bias.id, gradient);
        }
        let moved = optimizer.step(1.0, idle.clone(), gradients).linear;
        let (rates, shape) = (self.spread(rates.iter().copied()), self.beside_weights());
        let step = moved.weight.val().inner().mul(rates.clone().reshape(shape));
        self.weight.inplace(|weight| weight.add(step));
        self.bias = self.bias.take().zip(moved.bias).map(|(bias, moved)| bias.add(moved.val().inner().mul(rates)));
        self.mask();
    }

    /// Fills the parameters of blocks that are switched off with 0. Not a product, as they may not be finite.
    fn mask(&mut self) {
        if !self.off.contains(&true) {
            return;
        }
        let off: Tensor<1, Bool> =
            self.spread(self.off.iter().map(|&off| f64::from(u8::from(off)))).greater_scalar(0.5);
        let of_weight = off.clone().reshape(self.beside_weights()).expand(self.weight.dims());
        self.weight.inplace(|weight| weight.mask_fill(of_weight, 0.0));
        self.bias = self.bias.take().map(|bias| bias.mask_fill(off, 0.0));
    }

    /// ‖W‖² and ‖b‖² of every block, `[blocks]` each.
    fn squares(&self) -> (Tensor<1>, Tensor<1>) {
        let (m, k) = (self.alive.len(), self.problem.n_classes);
        let by_block = |columns: Tensor<1>| columns.reshape([m, k]).sum_dim(1).reshape([m]);
        let square = self.weight.clone().mul(self.weight.clone());
        let columns = square.sum_dim(usize::from(self.upright)).reshape([m * k]);
        let columns = columns.mul(self.spread(self.factors.iter().map(|f| f * f)));
        let bias = self.bias.clone().map(|bias| by_block(bias.clone().mul(bias)));
        (by_block(columns), bias.unwrap_or_else(|| Tensor::zeros([m], &self.device)))
    }

    /// The objectives from data loss, ‖W‖² and ‖b‖² of every block, `[3, blocks]`.
    fn objectives(&self, values: Tensor<2>) -> Result<Objectives, SolveError> {
        let values = values.into_data().try_to_vec_as::<f64>().map_err(failed)?;
        let m = self.alive.len();
        let of = |(at, &member): (usize, &usize)| {
            let [data, weight, bias] = [0, 1, 2].map(|row| values[row * m + at]);
            let penalty = self.members[member].objective.regulariser().of_squares(weight, bias);
            (!self.off[at]).then_some((member, data + penalty))
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
        let scores = self.scores(&batch.rows);
        let before = want_loss.then(|| {
            let (weight, bias) = self.squares();
            Tensor::stack(vec![block_losses(&self.blocks, scores.clone(), &batch), weight, bias], 0)
        });
        let q = self.slopes(scores, &batch);
        let rates: Vec<f64> = self.alive.iter().map(|&m| self.members[m].learning_rate * factor).collect();
        match self.optimizer.take() {
            None => self.step_plainly(&batch.rows, q, &rates),
            Some(mut optimizer) => {
                self.step_by(&mut optimizer, &batch.rows, q, &rates);
                self.optimizer = Some(optimizer);
            }
        }
        before.map_or(Ok(Vec::new()), |before| self.objectives(before))
    }

    /// Takes blocks out and moves the others together; masks them where an optimiser holds a state for them.
    fn remove(&mut self, lost: &[usize]) {
        let (m, k, d) = (self.alive.len(), self.problem.n_classes, self.problem.source.features.n_features());
        if self.optimizer.is_some() {
            self.off.iter_mut().zip(&self.alive).for_each(|(off, member)| *off |= lost.contains(member));
            return self.mask();
        }
        let kept: Vec<usize> = (0..m).filter(|&at| !lost.contains(&self.alive[at])).collect();
        let mut at = 0;
        for block in &mut self.blocks {
            let all = at..at + block.members;
            at = all.end;
            block.members = kept.iter().filter(|at| all.contains(at)).count();
        }
        self.blocks.retain(|block| block.members > 0);
        self.factors = kept.iter().map(|&at| self.factors[at]).collect();
        self.alive = kept.iter().map(|&at| self.alive[at]).collect();
        self.off.truncate(kept.len());
        let left = kept.len();
        if left == 0 {
            return;
        }
        let kept: Vec<i32> = kept.into_iter().map(|at| i32::try_from(at).unwrap_or(i32::MAX)).collect();
        let kept = Tensor::<1, Int>::from_data(TensorData::new(kept, [left]), &self.device);
        let weight = self.weight.clone();
        self.weight = if self.upright {
            weight.reshape([m, k * d]).select(0, kept.clone()).reshape([left * k, d])
        } else {
            weight.reshape([d, m, k]).select(1, kept.clone()).reshape([d, left * k])
        };
        self.bias = self.bias.take().map(|bias| bias.reshape([m, k]).select(0, kept).reshape([left * k]));
    }

    #[allow(clippy::cast_possible_truncation)]
    fn parameters(&self) -> Result<Vec<(usize, Parameters)>, SolveError> {
        let (m, k, d) = (self.alive.len(), self.problem.n_classes, self.problem.source.features.n_features());
        if m == 0 {
            return Ok(Vec::new());
        }
        let Parameters { weight, bias } = Parameters::of_tensors(self.weight.clone(), self.bias.clone())?;
        let one = |(block, &member): (usize, &usize)| {
            let cell = |at: usize| {
                let (j, c) = (at / k, block * k + at % k);
                let stored = weight[if self.upright { c * d + j } else { j * m * k + c }];
                (f64::from(stored) * self.factors[block]) as f32
            };
            let bias = bias.as_ref().map(|b| b[block * k..(block + 1) * k].to_vec());
            (member, Parameters { weight: (0..d * k).map(cell).collect(), bias })
        };
        Ok(self.alive.iter().enumerate().map(one).collect())
    }

    fn gradient(&mut self, member: &Member, at: &Parameters, rows: &[u32]) -> Result<Parameters, SolveError> {
        let batch = self.problem.source.gather(rows).to_device(&self.device);
        let mut one = Stack::at(self.config, self.problem, std::slice::from_ref(member), &|_| at.clone());
        let q = one.slopes(one.scores(&batch.rows), &batch);
        (one.weight, one.bias) = one.gradients(&batch.rows, q);
        Ok(one.parameters()?.swap_remove(0).1)
    }
}

/// The sums of the columns of Q, `[M·K]`.
fn column_sums(q: &Tensor<2>) -> Tensor<1> {
    q.clone().sum_dim(0).reshape([q.dims()[1]])
}
