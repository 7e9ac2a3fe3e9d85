//! The engine of a device: rows, scores and variables stay there as tensors, and only sums come back. Rows are taken in blocks.

mod blocks;
mod precision;

use super::blocks::price;
use super::engine::ProximalEngine;
use crate::data::Features;
use crate::data::batch::{DeviceFeatures, SparseRows};
use crate::loss::{PieceTensors, Proximal, Response, Targets};
use crate::model::LinearSvm;
use crate::solver::{Problem, SolveError};
use blocks::DeviceClassBlocks;
use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

/// Cells of a block: as many floats as fit the smallest buffer of any driver, half of it.
const BLOCK_CELLS: usize = 1 << 24;
/// Bytes of rows that stay on a device that does not say how much memory it has; more are moved again for every product.
const RESIDENT_BYTES: u64 = 2_000_000_000;
/// The share of active rows below which they are copied together.
const FEW: f64 = 0.6;

/// Some rows.
struct DeviceBlock {
    /// Places in the training rows, and the rows.
    places: Vec<u32>,
    indices: Vec<u32>,
    /// Unless they are moved when they are needed.
    resident: Option<DeviceFeatures>,
    targets: Targets,
    scores: Tensor<2>,
    changes: Tensor<2>,
    centre: Tensor<2>,
    a: Tensor<2>,
    kept: Tensor<2>,
    active: Option<Active>,
}

/// The rows of a block whose variables change.
struct Active {
    rows: DeviceFeatures,
    targets: Targets,
    piece: PieceTensors,
}

pub(super) struct DeviceEngine<'a> {
    problem: &'a Problem<'a>,
    device: Device,
    dtype: DType,
    n_classes: usize,
    constant: Option<f64>,
    /// Of a free bias, `[1, n_classes]`.
    offset: Tensor<2>,
    /// −mean/scale of sparse rows that are centred, `[1, n_features]`.
    centring: Option<Tensor<2>>,
    gamma: f64,
    blocks: Vec<DeviceBlock>,
    n_rows: usize,
    n_active: usize,
    diagonal: Option<Tensor<2>>,
    /// The preconditioner in its place, and the products since the last one.
    class_blocks: Option<DeviceClassBlocks>,
    curved: usize,
    passes: f64,
}

/// Bytes of rows that stay on a device: half of its memory.
fn resident_bytes(device: &Device) -> u64 {
    #[cfg(all(feature = "cube", not(feature = "fusion")))]
    let total = crate::kernel::cube::MemoryLimits::of(device).and_then(|limits| limits.total);
    #[cfg(not(all(feature = "cube", not(feature = "fusion"))))]
    let total: Option<u64> = {
        let _ = device;
        None
    };
    total.map_or(RESIDENT_BYTES, |total| total / 2)
}

fn failed(error: impl std::fmt::Debug) -> SolveError {
    SolveError::Device(format!("{error:?}"))
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f64>, SolveError> {
    tensor.into_data().try_to_vec_as::<f64>().map_err(failed)
}

impl<'a> DeviceEngine<'a> {
    /// W = 0, a = 0; in f64, if the device has that, where asked for or where its products in f32 drop digits.
    ///
    /// # Errors
    /// [`SolveError::Device`]
    pub fn open(problem: &'a Problem<'a>, lambda: f64, constant: f64, double: bool) -> Result<Self, SolveError> {
        let engine = Self::new(problem, lambda, constant, double);
        let may_widen = engine.dtype == DType::F32 && engine.device.supports_dtype(DType::F64);
        let is_coarse = match engine.blocks.first().filter(|_| may_widen).map(|block| engine.rows(block)) {
            Some(DeviceFeatures::Dense(x)) => precision::has_coarse_products(&x, engine.n_classes)?,
            _ => false,
        };
        Ok(if is_coarse { Self::new(problem, lambda, constant, true) } else { engine })
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    fn new(problem: &'a Problem<'a>, lambda: f64, constant: f64, double: bool) -> Self {
        let device = problem.device.device.clone();
        let dtype = if double && device.supports_dtype(DType::F64) { DType::F64 } else { DType::F32 };
        let c = 1.0 / (lambda * problem.train.len() as f64);
        let places: Vec<u32> = (0..problem.train.len() as u32)
            .filter(|&place| problem.row_weight(problem.train[place as usize]) > 0.0)
            .collect();
        let (features, k) = (problem.source.features, problem.n_classes);
        let cells = match features {
            Features::U8(_) | Features::F32(_) | Features::F64(_) => features.n_features(),
            Features::Sparse(csr) => csr.nnz().div_ceil(csr.n_rows().max(1)) * k,
        };
        let mut engine = Self {
            problem,
            dtype,
            n_classes: k,
            constant: problem.objective.bias.has_bias().then_some(constant),
            offset: Tensor::zeros([1, k], (&device, dtype)),
            centring: problem.source.sparse_offset(&device).map(|o| o.cast(dtype)),
            gamma: 0.0,
            blocks: Vec::new(),
            n_rows: places.len(),
            n_active: 0,
            diagonal: None,
            class_blocks: None,
            curved: 0,
            passes: 0.0,
            device,
        };
        let stays = (places.len() * cells * 4) as u64 <= resident_bytes(&engine.device);
        let most = BLOCK_CELLS / cells.max(k).max(1);
        engine.blocks = places.chunks(most.max(1)).map(|places| engine.block(places, c, stays)).collect();
        engine
    }

    fn block(&self, places: &[u32], c: f64, stays: bool) -> DeviceBlock {
        let (problem, k) = (self.problem, self.n_classes);
        let indices: Vec<u32> = places.iter().map(|&place| problem.train[place as usize]).collect();
        let labels: Vec<usize> = indices.iter().map(|&row| problem.source.labels[row as usize] as usize).collect();
        let costs = indices.iter().map(|&row| c * problem.row_weight(row)).collect();
        let margins = &problem.objective.loss.margins;
        let zeros = Tensor::zeros([places.len(), k], (&self.device, self.dtype));
        DeviceBlock {
            places: places.to_vec(),
            resident: stays.then(|| self.gather(&indices)),
            targets: Targets::new(margins, &labels, costs, k, &self.device, self.dtype),
            scores: zeros.clone(),
            changes: zeros.clone(),
            centre: zeros.clone(),
            a: zeros.clone(),
            kept: zeros,
            active: None,
            indices,
        }
    }

    fn gather(&self, indices: &[u32]) -> DeviceFeatures {
        match self.problem.source.gather(indices).to_device(&self.device).rows {
            DeviceFeatures::Dense(x) => DeviceFeatures::Dense(x.cast(self.dtype)),
            DeviceFeatures::Sparse(sparse) => DeviceFeatures::Sparse(SparseRows {
                values: sparse.values.cast(self.dtype),
                factors: sparse.factors.map(|f| f.cast(self.dtype)),
                ..sparse
            }),
        }
    }

    fn rows(&self, block: &DeviceBlock) -> DeviceFeatures {
        block.resident.clone().unwrap_or_else(|| self.gather(&block.indices))
    }

    const fn step_of(&self) -> Proximal<'a> {
        Proximal { loss: &self.problem.objective.loss, gamma: self.gamma }
    }

    /// Weights as a model, with the contribution of the constant as its bias.
    fn model(&self, weights: &Tensor<2>, offset: bool) -> LinearSvm {
        let (d, k) = (self.problem.source.features.n_features(), self.n_classes);
        let Some(constant) = self.constant else {
            return LinearSvm { linear: Linear { weight: Param::from_tensor(weights.clone()), bias: None } };
        };
        let bias = weights.clone().slice([d..d + 1, 0..k]).mul_scalar(constant);
        let bias = if offset { bias.add(self.offset.clone()) } else { bias };
        let weight = Param::from_tensor(weights.clone().slice([0..d, 0..k]));
        LinearSvm { linear: Linear { weight, bias: Some(Param::from_tensor(bias.squeeze_dim(0))) } }
    }

    fn scores(&self, model: &LinearSvm, rows: &DeviceFeatures) -> Tensor<2> {
        model.scores(rows, self.centring.as_ref())
    }

    /// `Σ_i x_i q_iᵀ` of blocks, with a factor of the constant.
    fn gather_sums(&self, parts: Vec<(Tensor<2>, Option<Tensor<1>>)>, constant: Option<f64>) -> Tensor<2> {
        let sums = parts
            .into_iter()
            .reduce(|(weight, bias), (w, b)| (weight.add(w), bias.zip(b).map(|(bias, b)| bias.add(b))));
        match (sums, constant) {
            (None, _) => self.zeros(),
            (Some((weight, Some(bias))), Some(c)) => Tensor::cat(vec![weight, bias.mul_scalar(c).unsqueeze()], 0),
            (Some((weight, _)), _) => weight,
        }
    }

    /// Sums of the blocks, added up in f64.
    fn total(sums: Vec<Tensor<1>>) -> Result<f64, SolveError> {
        let sums = match sums.len() {
            0 => return Ok(0.0),
            1 => sums.into_iter().collect(),
            _ => vec![Tensor::cat(sums, 0)],
        };
        Ok(sums.into_iter().map(numbers).collect::<Result<Vec<_>, _>>()?.concat().iter().sum())
    }

    /// Finds the rows whose variables change.
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_precision_loss)]
    fn activate(&mut self) -> Result<(), SolveError> {
        let step = self.step_of();
        let pieces: Vec<PieceTensors> = self.blocks.iter().map(|block| step.pieces(&block.a, &block.targets)).collect();
        if pieces.is_empty() {
            return Ok(());
        }
        let counts = numbers(Tensor::cat(pieces.iter().map(|piece| piece.count.clone()).collect(), 0))?;
        let (mut first, mut all) = (0, 0);
        for (b, piece) in pieces.into_iter().enumerate() {
            let block = &self.blocks[b];
            let n = block.indices.len();
            let positions: Vec<u32> = (0..n as u32).filter(|&i| counts[first + i as usize] > 0.0).collect();
            first += n;
            all += positions.len();
            let active = if positions.is_empty() {
                None
            } else if positions.len() as f64 > FEW * n as f64 {
                Some(Active { rows: self.rows(block), targets: block.targets.clone(), piece })
            } else {
                let places: Vec<i32> = positions.iter().map(|&i| i as i32).collect();
                let places = Tensor::<1, Int>::from_data(TensorData::new(places, [positions.len()]), &self.device);
                let rows = match &block.resident {
                    Some(DeviceFeatures::Dense(x)) => DeviceFeatures::Dense(x.clone().select(0, places.clone())),
                    _ => self.gather(&positions.iter().map(|&i| block.indices[i as usize]).collect::<Vec<u32>>()),
                };
                Some(Active { rows, targets: block.targets.select(&places), piece: piece.select(&places) })
            };
            self.blocks[b].active = active;
        }
        self.n_active = all;
        Ok(())
    }
}

impl ProximalEngine for DeviceEngine<'_> {
    type Vector = Tensor<2>;

    fn rounding(&self) -> f64 {
        if self.dtype == DType::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) }
    }

    fn zeros(&self) -> Tensor<2> {
        let width = self.problem.source.features.n_features() + usize::from(self.constant.is_some());
        Tensor::zeros([width, self.n_classes], (&self.device, self.dtype))
    }

    fn dot(&self, a: &Tensor<2>, b: &Tensor<2>) -> Result<f64, SolveError> {
        Self::total(vec![a.clone().mul(b.clone()).sum()])
    }

    fn combine(&self, a: &Tensor<2>, factor: f64, b: &Tensor<2>) -> Tensor<2> {
        a.clone().mul_scalar(factor).add(b.clone())
    }

    fn host(&self, vector: &Tensor<2>) -> Result<Vec<f64>, SolveError> {
        numbers(vector.clone())
    }

    fn score(&mut self, weights: &Tensor<2>) -> Result<(), SolveError> {
        self.passes += 0.5;
        let model = self.model(weights, true);
        for b in 0..self.blocks.len() {
            self.blocks[b].scores = self.scores(&model, &self.rows(&self.blocks[b]));
        }
        Ok(())
    }

    fn respond(&mut self, gamma: f64) -> Result<(Response, Tensor<2>), SolveError> {
        self.gamma = gamma;
        self.passes += 0.5;
        let step = self.step_of();
        let model = self.model(&self.zeros(), false);
        let (mut all, mut parts) = (Vec::new(), Vec::new());
        for b in 0..self.blocks.len() {
            let block = &mut self.blocks[b];
            block.active = None;
            let (a, sums) = step.responses(block.scores.clone(), &block.targets, &block.centre);
            block.a = a.clone();
            all.push(sums);
            let beta = block.targets.coefficients(a);
            parts.push(model.backward(&self.rows(&self.blocks[b]), self.centring.as_ref(), beta));
        }
        let mut sums = Response::default();
        if !all.is_empty() {
            for of_block in numbers(Tensor::cat(all, 0))?.chunks_exact(3) {
                sums.add(Response { loss: of_block[0], excess: of_block[1], distance: of_block[2] });
            }
        }
        Ok((sums, self.gather_sums(parts, self.constant)))
    }

    fn prepare(&mut self) -> Result<(), SolveError> {
        self.activate()?;
        let many = std::mem::take(&mut self.curved);
        let width = self.problem.source.features.n_features() + usize::from(self.constant.is_some());
        let is_due = price(self.problem.source.features, width, self.n_classes).is_some_and(|price| many > price);
        if self.class_blocks.is_some() && !is_due {
            return Ok(());
        }
        self.passes += 0.5 * self.active();
        let (step, model) = (self.step_of(), self.model(&self.zeros(), false));
        let of = |active: &Active| {
            let squares = match &active.rows {
                DeviceFeatures::Dense(x) => DeviceFeatures::Dense(x.clone().mul(x.clone())),
                DeviceFeatures::Sparse(sparse) => {
                    let values = sparse.values.clone();
                    DeviceFeatures::Sparse(SparseRows { values: values.clone().mul(values), ..sparse.clone() })
                }
            };
            model.backward(&squares, None, step.diagonals(&active.targets, &active.piece))
        };
        let parts = self.blocks.iter().filter_map(|block| block.active.as_ref()).map(of).collect();
        self.diagonal = Some(self.gather_sums(parts, self.constant.map(|c| c * c)).add_scalar(1.0));
        self.class_blocks = None;
        if is_due {
            let of = |active: &Active| match &active.rows {
                DeviceFeatures::Dense(x) => Some((x.clone(), step.diagonals(&active.targets, &active.piece))),
                DeviceFeatures::Sparse(_) => None,
            };
            let rows = self.blocks.iter().filter_map(|block| block.active.as_ref().and_then(of)).collect();
            self.class_blocks = DeviceClassBlocks::new(rows, self.constant, self.rounding())?;
        }
        Ok(())
    }

    fn precondition(&self, vector: &Tensor<2>) -> Tensor<2> {
        match (&self.class_blocks, &self.diagonal) {
            (Some(blocks), _) => blocks.solve(vector),
            (None, Some(diagonal)) => vector.clone().div(diagonal.clone()),
            (None, None) => vector.clone(),
        }
    }

    fn curve(&mut self, vector: &Tensor<2>) -> Result<Tensor<2>, SolveError> {
        self.passes += self.active();
        self.curved += 1;
        let (step, model) = (self.step_of(), self.model(vector, false));
        let of = |active: &Active| {
            let changes = self.scores(&model, &active.rows);
            let q = step.curves(changes, &active.targets, &active.piece);
            model.backward(&active.rows, self.centring.as_ref(), q)
        };
        let parts = self.blocks.iter().filter_map(|block| block.active.as_ref()).map(of).collect();
        Ok(self.gather_sums(parts, self.constant).add(vector.clone()))
    }

    fn aim(&mut self, direction: &Tensor<2>) -> Result<(), SolveError> {
        self.passes += 0.5;
        let model = self.model(direction, false);
        for b in 0..self.blocks.len() {
            self.blocks[b].changes = self.scores(&model, &self.rows(&self.blocks[b]));
        }
        Ok(())
    }

    fn slope(&mut self, length: f64) -> Result<f64, SolveError> {
        let step = self.step_of();
        let of = |block: &DeviceBlock| {
            let scores = block.changes.clone().mul_scalar(length).add(block.scores.clone());
            let a = step.steps(scores, &block.targets, &block.centre);
            step.growths(block.changes.clone(), &block.targets, a)
        };
        Self::total(self.blocks.iter().map(of).collect())
    }

    fn step(&mut self, length: f64) {
        for block in &mut self.blocks {
            block.scores = block.changes.clone().mul_scalar(length).add(block.scores.clone());
        }
    }

    fn loss(&mut self, weights: &Tensor<2>) -> Result<f64, SolveError> {
        self.passes += 0.5;
        let (step, model) = (self.step_of(), self.model(weights, true));
        let of = |block: &DeviceBlock| step.loss_sum(self.scores(&model, &self.rows(block)), &block.targets);
        Self::total(self.blocks.iter().map(of).collect())
    }

    fn keep(&mut self) {
        self.blocks.iter_mut().for_each(|block| block.kept = block.a.clone());
    }

    fn kept(&self) -> Result<Vec<f64>, SolveError> {
        let k = self.n_classes;
        let mut all = vec![0.0; self.problem.train.len() * k];
        for block in &self.blocks {
            let a = numbers(block.kept.clone())?;
            for (&place, a) in block.places.iter().zip(a.chunks_exact(k)) {
                all[place as usize * k..][..k].copy_from_slice(a);
            }
        }
        Ok(all)
    }

    fn recentre(&mut self) {
        self.blocks.iter_mut().for_each(|block| block.centre = block.a.clone());
    }

    fn absorb(&mut self, weights: &mut Tensor<2>, constant: f64) -> Result<(), SolveError> {
        let (d, k) = (self.problem.source.features.n_features(), self.n_classes);
        if let Some(old) = self.constant.replace(constant) {
            let own = weights.clone().slice([d..d + 1, 0..k]);
            self.offset = self.offset.clone().add(own.mul_scalar(old));
            *weights = Tensor::cat(vec![weights.clone().slice([0..d, 0..k]), self.offset.zeros_like()], 0);
        }
        Ok(())
    }

    fn bias(&self, weights: &Tensor<2>) -> Result<Vec<f64>, SolveError> {
        let (d, k) = (self.problem.source.features.n_features(), self.n_classes);
        let own = self.constant.map(|constant| weights.clone().slice([d..d + 1, 0..k]).mul_scalar(constant));
        numbers(own.map_or_else(|| self.offset.clone(), |own| own.add(self.offset.clone())))
    }

    fn passes(&self) -> f64 {
        self.passes
    }

    #[allow(clippy::cast_precision_loss)]
    fn active(&self) -> f64 {
        self.n_active as f64 / self.n_rows.max(1) as f64
    }
}
