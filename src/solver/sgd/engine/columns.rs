//! The weights of a stack on a device, and their update.

use super::Parameters;
use crate::data::Features;
use crate::data::batch::Rows;
use crate::model::LinearSvm;
use crate::objective::{Decay, Regulariser};
use crate::solver::sgd::SgdConfig;
use crate::solver::{Problem, SolveError};
use burn::module::Param;
use burn::nn::Linear;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};

/// Below and above this the factor of a block is multiplied into its weights.
const SMALLEST: f64 = 1e-4;
const LARGEST: f64 = 1e4;

/// Weights and bias of all blocks.
///
/// For dense rows the weights lie as `[M·K, D]`, which the gradient (QᵀX) fits without a transposition; for sparse rows as
/// `[D, M·K]`, of which a cell needs one row.
pub(super) struct Columns {
    weight: Tensor<2>,
    /// Whether the weights lie as `[M·K, D]`.
    upright: bool,
    bias: Option<Tensor<1>>,
    offset: Option<Tensor<2>>,
    n_classes: usize,
    n_features: usize,
    kind: Kind,
    device: Device,
}

/// How the weights are updated.
enum Kind {
    /// W = factor·weight for each block: the shrinking by 1 − ηλ costs a number, not a pass over the weights.
    Plain { factors: Vec<f64> },
    /// Burn's optimiser at the learning rate 1 and the weights 0 gives the negative step of every cell.
    Stepped { optimizer: Box<ModuleOptimizer>, idle: LinearSvm, off: Vec<bool> },
}

impl Columns {
    pub(super) fn new(config: &SgdConfig, problem: &Problem<'_>, initial: &[Parameters], device: &Device) -> Self {
        let (m, k, d) = (initial.len(), problem.n_classes, problem.source.features.n_features());
        let upright = !matches!(problem.source.features, Features::Sparse(_));
        let mut values = vec![0.0f32; m * k * d];
        for (block, values_of) in initial.iter().enumerate() {
            for (cell, &value) in values_of.weight.iter().enumerate() {
                let (j, c) = (cell / k, block * k + cell % k);
                values[if upright { c * d + j } else { j * m * k + c }] = value;
            }
        }
        let shape = if upright { [m * k, d] } else { [d, m * k] };
        let weight = Tensor::<2>::from_data(TensorData::new(values, shape), device);
        let biases: Option<Vec<&[f32]>> = initial.iter().map(|values| values.bias.as_deref()).collect();
        let bias = biases.map(|b| b.concat()).map(|b| Tensor::<1>::from_data(TensorData::new(b, [m * k]), device));
        let kind = if config.is_plain() {
            Kind::Plain { factors: vec![1.0; m] }
        } else {
            let tracked = device.clone().autodiff();
            let idle = LinearSvm {
                linear: Linear {
                    weight: Param::from_tensor(Tensor::zeros(shape, &tracked)),
                    bias: bias.as_ref().map(|_| Param::from_tensor(Tensor::zeros([m * k], &tracked))),
                },
            };
            Kind::Stepped { optimizer: Box::new(config.build_optimizer()), idle, off: vec![false; m] }
        };
        Self {
            weight,
            upright,
            bias,
            offset: problem.source.sparse_offset(device),
            n_classes: k,
            n_features: d,
            kind,
            device: device.clone(),
        }
    }

    fn blocks(&self) -> usize {
        match &self.kind {
            Kind::Plain { factors } => factors.len(),
            Kind::Stepped { off, .. } => off.len(),
        }
    }

    /// A number of each block for each of its columns, `[M·K]`.
    #[allow(clippy::cast_possible_truncation)]
    fn spread(&self, values: &[f64]) -> Tensor<1> {
        let each: Vec<f32> = values.iter().flat_map(|&v| std::iter::repeat_n(v as f32, self.n_classes)).collect();
        let n = each.len();
        Tensor::from_data(TensorData::new(each, [n]), &self.device)
    }

    /// A vector over the columns as it meets scores.
    fn beside_scores(columns: Tensor<1>) -> Tensor<2> {
        let n = columns.dims()[0];
        columns.reshape([1, n])
    }

    /// A vector over the columns as it meets the weights.
    fn beside_weights(&self, columns: Tensor<1>) -> Tensor<2> {
        let n = columns.dims()[0];
        columns.reshape(if self.upright { [n, 1] } else { [1, n] })
    }

    /// The stored weights as a module of M·K classes, without bias; sparse rows only.
    fn module(&self) -> LinearSvm {
        LinearSvm { linear: Linear { weight: Param::from_tensor(self.weight.clone()), bias: None } }
    }

    /// The scores of all blocks, `[B, M·K]`.
    pub(super) fn scores(&self, rows: &Rows) -> Tensor<2> {
        let mut scores = match rows {
            Rows::Dense(x) => x.clone().matmul(self.weight.clone().transpose()),
            Rows::Sparse(_) => self.module().scores(rows, self.offset.as_ref()),
        };
        if let Kind::Plain { factors } = &self.kind
            && factors.iter().any(|f| (f - 1.0).abs() > 0.0)
        {
            scores = scores.mul(Self::beside_scores(self.spread(factors)));
        }
        match &self.bias {
            None => scores,
            Some(bias) => scores.add(Self::beside_scores(bias.clone())),
        }
    }

    /// XᵀQ in the layout of the weights.
    fn product(&self, rows: &Rows, q: Tensor<2>) -> Tensor<2> {
        match rows {
            Rows::Dense(x) => q.transpose().matmul(x.clone()),
            Rows::Sparse(_) => self.module().backward(rows, self.offset.as_ref(), q).0,
        }
    }

    /// Makes the step of every block at its learning rate.
    pub(super) fn update(&mut self, rows: &Rows, q: Tensor<2>, rates: &[f64], regularisers: &[Regulariser]) {
        if matches!(self.kind, Kind::Plain { .. }) {
            self.step_plainly(rows, q, rates, regularisers);
        } else {
            self.step_by_optimizer(rows, q, rates, regularisers);
        }
    }

    /// weight ← weight − (η/factor')·XᵀQ with factor' = factor·(1 − ηλ).
    fn step_plainly(&mut self, rows: &Rows, q: Tensor<2>, rates: &[f64], regularisers: &[Regulariser]) {
        let of_bias = self.bias.is_some().then(|| column_sums(&q));
        let decays: Vec<Decay> = rates.iter().zip(regularisers).map(|(&rate, of)| of.decay(rate)).collect();
        let shrink: Vec<f64> = decays.iter().map(|decay| 1.0 - decay.weight).collect();
        let Kind::Plain { factors } = &mut self.kind else { return };
        factors.iter_mut().zip(&shrink).for_each(|(f, s)| *f *= s);
        if factors.iter().any(|f| !(SMALLEST..=LARGEST).contains(&f.abs())) {
            let all = std::mem::replace(factors, vec![1.0; shrink.len()]);
            let all = self.beside_weights(self.spread(&all));
            self.weight.inplace(|weight| weight.mul(all));
        }
        let Kind::Plain { factors } = &self.kind else { return };
        let scaled: Vec<f64> = rates.iter().zip(factors).map(|(rate, factor)| rate / factor).collect();
        let step = self.product(rows, q.mul(Self::beside_scores(self.spread(&scaled))));
        self.weight.inplace(|weight| weight.sub(step));
        if let (Some(bias), Some(gradient)) = (self.bias.take(), of_bias) {
            let kept: Vec<f64> = decays.iter().map(|decay| 1.0 - decay.bias).collect();
            self.bias = Some(bias.mul(self.spread(&kept)).sub(gradient.mul(self.spread(rates))));
        }
    }

    /// XᵀQ + λW in the layout of the weights, and the gradient of the bias.
    fn gradient(&self, rows: &Rows, q: Tensor<2>, regularisers: &[Regulariser]) -> (Tensor<2>, Option<Tensor<1>>) {
        let decays = regularisers.iter().map(|of| of.decay(1.0));
        let (of_weight, of_bias): (Vec<f64>, Vec<f64>) = decays.map(|decay| (decay.weight, decay.bias)).unzip();
        let bias = self.bias.clone().map(|bias| column_sums(&q).add(bias.mul(self.spread(&of_bias))));
        let decay = self.beside_weights(self.spread(&of_weight));
        (self.product(rows, q).add(self.weight.clone().mul(decay)), bias)
    }

    /// Puts the gradient in the place of the parameters.
    pub(super) fn differentiate(&mut self, rows: &Rows, q: Tensor<2>, regularisers: &[Regulariser]) {
        (self.weight, self.bias) = self.gradient(rows, q, regularisers);
    }

    fn step_by_optimizer(&mut self, rows: &Rows, q: Tensor<2>, rates: &[f64], regularisers: &[Regulariser]) {
        let (gradient, of_bias) = self.gradient(rows, q, regularisers);
        let rates = self.spread(rates);
        let off = self.switched_off();
        let weight_rates = self.beside_weights(rates.clone());
        let mask = off.as_ref().map(|off| self.mask_of_weights(off.clone()));
        let Kind::Stepped { optimizer, idle, .. } = &mut self.kind else { return };
        let mut gradients = GradientsParams::new();
        gradients.register::<2>(idle.linear.weight.id, gradient);
        if let (Some(bias), Some(gradient)) = (&idle.linear.bias, of_bias) {
            gradients.register::<1>(bias.id, gradient);
        }
        let moved = optimizer.step(1.0, idle.clone(), gradients);
        let mut step = moved.linear.weight.val().inner().mul(weight_rates);
        if let Some(mask) = mask {
            // Not a product with 0: what is switched off may not be finite.
            step = step.mask_fill(mask, 0.0);
        }
        self.weight.inplace(|weight| weight.add(step));
        if let (Some(bias), Some(moved)) = (self.bias.take(), moved.linear.bias) {
            let mut step = moved.val().inner().mul(rates);
            if let Some(off) = off {
                step = step.mask_fill(off, 0.0);
            }
            self.bias = Some(bias.add(step));
        }
    }

    /// `true` at the columns of blocks that are switched off, `[M·K]`; `None` where all are on.
    fn switched_off(&self) -> Option<Tensor<1, Bool>> {
        let Kind::Stepped { off, .. } = &self.kind else { return None };
        let flags: Vec<f64> = off.iter().map(|&o| f64::from(u8::from(o))).collect();
        off.contains(&true).then(|| self.spread(&flags).greater_scalar(0.5))
    }

    fn mask_of_weights(&self, off: Tensor<1, Bool>) -> Tensor<2, Bool> {
        let n = off.dims()[0];
        off.reshape(if self.upright { [n, 1] } else { [1, n] }).expand(self.weight.dims())
    }

    /// ‖W‖² and ‖b‖² of every block, `[blocks]` each.
    pub(super) fn squares(&self) -> (Tensor<1>, Tensor<1>) {
        let (m, k) = (self.blocks(), self.n_classes);
        let by_block = |columns: Tensor<1>| columns.reshape([m, k]).sum_dim(1).reshape([m]);
        let square = self.weight.clone().mul(self.weight.clone());
        let columns = square.sum_dim(usize::from(self.upright)).reshape([m * k]);
        let columns = match &self.kind {
            Kind::Plain { factors } => {
                let squared: Vec<f64> = factors.iter().map(|f| f * f).collect();
                columns.mul(self.spread(&squared))
            }
            Kind::Stepped { .. } => columns,
        };
        let bias = match &self.bias {
            None => Tensor::zeros([m], &self.device),
            Some(bias) => by_block(bias.clone().mul(bias.clone())),
        };
        (by_block(columns), bias)
    }

    /// Whether a block is masked.
    pub(super) fn is_off(&self, block: usize) -> bool {
        matches!(&self.kind, Kind::Stepped { off, .. } if off[block])
    }

    /// Switches blocks off; true where they were taken out, and the others moved together.
    pub(super) fn switch_off(&mut self, lost: &[bool]) -> bool {
        let (k, d) = (self.n_classes, self.n_features);
        let columns: Option<Tensor<1, Bool>> = match &mut self.kind {
            Kind::Stepped { off, .. } => {
                off.iter_mut().zip(lost).for_each(|(off, lost)| *off |= lost);
                self.switched_off()
            }
            Kind::Plain { .. } => None,
        };
        if let Some(off) = columns {
            let mask = self.mask_of_weights(off.clone());
            self.weight = self.weight.clone().mask_fill(mask, 0.0);
            self.bias = self.bias.take().map(|bias| bias.mask_fill(off, 0.0));
            return false;
        }
        let Kind::Plain { factors } = &mut self.kind else { return false };
        let m = factors.len();
        let kept: Vec<i32> = (0..).zip(lost).filter(|(_, lost)| !**lost).map(|(i, _)| i).collect();
        let mut flags = lost.iter();
        factors.retain(|_| !flags.next().copied().unwrap_or(false));
        let left = kept.len();
        if left == 0 {
            return true;
        }
        let kept = Tensor::<1, Int>::from_data(TensorData::new(kept, [left]), &self.device);
        let weight = self.weight.clone();
        self.weight = if self.upright {
            weight.reshape([m, k * d]).select(0, kept.clone()).reshape([left * k, d])
        } else {
            weight.reshape([d, m, k]).select(1, kept.clone()).reshape([d, left * k])
        };
        self.bias = self.bias.take().map(|bias| bias.reshape([m, k]).select(0, kept).reshape([left * k]));
        true
    }

    /// Weights `[D, K]` row-major and bias of every block.
    #[allow(clippy::cast_possible_truncation)]
    pub(super) fn read(&self) -> Result<Vec<Parameters>, SolveError> {
        let (m, k, d) = (self.blocks(), self.n_classes, self.n_features);
        if m == 0 {
            return Ok(Vec::new());
        }
        let Parameters { weight, bias } = Parameters::of_tensors(self.weight.clone(), self.bias.clone())?;
        let one = |block: usize| {
            let factor = match &self.kind {
                Kind::Plain { factors } => factors[block],
                Kind::Stepped { .. } => 1.0,
            };
            let cell = |at: usize| {
                let (j, c) = (at / k, block * k + at % k);
                let stored = weight[if self.upright { c * d + j } else { j * m * k + c }];
                (f64::from(stored) * factor) as f32
            };
            Parameters {
                weight: (0..d * k).map(cell).collect(),
                bias: bias.as_ref().map(|b| b[block * k..(block + 1) * k].to_vec()),
            }
        };
        Ok((0..m).map(one).collect())
    }
}

/// The sums of the columns of Q, `[M·K]`.
fn column_sums(q: &Tensor<2>) -> Tensor<1> {
    q.clone().sum_dim(0).reshape([q.dims()[1]])
}
