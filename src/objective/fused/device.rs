//! The pass on a GPU: rows that stay there, batches by index, and the margins in one launch.
//!
//! ```text
//! X = rows of the resident matrix, by index, preprocessed     one launch a buffer that holds one of them
//! S = X·W                                                     Burn's product
//! Q, ℓ = weight_i/n · ∂ℓ_i/∂s_i, weight_i/n · ℓ_i             one launch, bias included
//! G = (QᵀX)ᵀ                                                  Burn's product
//! ∂W = G + λW,  ∂b = Σ_i q_i + λ'b                            one launch
//! ```
//!
//! Only the indices of a batch go to the device, and nothing comes back.

use super::{FusedGradient, Objective};
use crate::data::Features;
use crate::data::batch::{Batch, DeviceFeatures, HostBatch, Source};
use crate::device::OpenDevice;
use crate::kernel::cube::{
    Charges, HostCells, LabelBuffers, MemoryLimits, PenaltyFactors, Preprocessing, ResidentRows, RowFactors, charge,
    finish, float, floats, int, places,
};
use crate::loss::{Loss, MarginLoss};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use rayon::prelude::*;

/// Bytes that a gathered batch may have; more rows are taken in several turns.
const BATCH_BYTES: u64 = 1 << 28;

/// Limits of the data that stay on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResidentLimits {
    /// Bytes of all; a matrix that takes more is moved batch by batch. 0: nothing stays.
    pub memory: u64,
    /// Bytes of a buffer, where the device allows more.
    pub buffer: u64,
}

impl Default for ResidentLimits {
    fn default() -> Self {
        Self { memory: 2_000_000_000, buffer: u64::MAX }
    }
}

/// Gradients of the objective on the device.
#[derive(Debug, Clone)]
pub struct DeviceGradient {
    /// (1/n) Σ weight_i·ℓ_i, `[1]`, without the regulariser; where it was asked for.
    pub data_loss: Option<Tensor<1>>,
    /// `[n_features, n_classes]`
    pub weight: Tensor<2>,
    /// `[n_classes]`
    pub bias: Option<Tensor<1>>,
}

/// Weight and bias on the device, untied from autodiff.
#[derive(Clone, Copy)]
struct DeviceModel<'a> {
    weight: &'a Tensor<2>,
    bias: Option<&'a Tensor<1>>,
}

/// Share of a batch in a gradient.
#[derive(Clone, Copy)]
struct BatchShare {
    /// Rows over which the loss is a mean.
    n: usize,
    /// Factor of the penalty.
    penalty: f64,
}

/// The matrix, its labels and its weights on the device.
#[derive(Debug)]
struct ResidentMatrix {
    rows: ResidentRows,
    /// In i32, a value a row.
    labels: Tensor<1, Int>,
    weights: Option<Tensor<1>>,
    /// The weight of a row times that of its class; `None` where all are 1.
    shares: Option<CubeTensor>,
}

/// A batch of dense rows on the device.
#[derive(Debug, Clone)]
pub struct DeviceBatch {
    x: Tensor<2>,
    labels: Tensor<1, Int>,
    weights: Option<Tensor<1>>,
    /// Rows of the matrix, if labels and weights are those of the whole matrix.
    places: Option<Tensor<1, Int>>,
}

/// The data loss of batches of a source and the gradient of the objective, on a GPU.
#[derive(Debug)]
pub struct DevicePass<'a> {
    source: Source<'a>,
    objective: &'a Objective,
    n_classes: usize,
    device: Device,
    loss: Box<dyn MarginLoss>,
    charges: Option<Charges>,
    class_weights: Option<CubeTensor>,
    resident: Option<ResidentMatrix>,
    /// Rows that are gathered at once.
    most: usize,
}

impl<'a> DevicePass<'a> {
    /// Whether training takes this pass: with dense rows on a GPU backend, on any adapter.
    #[must_use]
    pub const fn serves(features: &Features, device: &OpenDevice) -> bool {
        let dense = !matches!(features, Features::Sparse(_));
        dense && device.name.backend.has_kernels()
    }

    /// For the dense rows of a source, which are brought to the device where the limits allow it; `None` where rows are sparse or the
    /// device is none of these.
    #[must_use]
    pub fn new(
        source: Source<'a>,
        n_classes: usize,
        objective: &'a Objective,
        device: &Device,
        limits: ResidentLimits,
    ) -> Option<Self> {
        let device = device.clone().without_autodiff();
        let there = MemoryLimits::of(&device)?;
        let limits = ResidentLimits {
            memory: limits.memory.min(there.total.map_or(u64::MAX, |total| total / 2)),
            buffer: limits.buffer.min(there.buffer),
        };
        let (loss, d) = (&objective.loss, source.features.n_features());
        if matches!(source.features, Features::Sparse(_)) {
            return None;
        }
        let widest = 4 * d.max(n_classes).max(1) as u64;
        let class_weights = loss.class_weights.as_deref();
        Some(Self {
            source,
            objective,
            n_classes,
            loss: loss.init(&device),
            charges: loss.charges(),
            class_weights: class_weights.map(|w| floats(narrow(w), &device)),
            resident: ResidentMatrix::new(source, n_classes, loss, limits, &device),
            most: usize::try_from(BATCH_BYTES.min(limits.buffer) / widest).unwrap_or(usize::MAX).max(1),
            device,
        })
    }

    /// Number of buffers of the rows on the device; `None` if they are moved batch by batch.
    #[must_use]
    pub fn n_chunks(&self) -> Option<usize> {
        self.resident.as_ref().map(|resident| resident.rows.n_chunks())
    }

    /// Bytes that the rows of a source take on the device, with labels, weights and factors; 0 for sparse rows.
    #[must_use]
    pub fn bytes(features: &Features) -> u64 {
        // Labels, weights, shares and factors: four words a row.
        cells(features).map_or(0, |c| ResidentRows::bytes(c, features.n_features()) + 16 * features.n_rows() as u64)
    }

    /// Rows of the data set on the device, gathered there or moved.
    #[must_use]
    pub fn gather(&self, rows: &[u32]) -> DeviceBatch {
        let Some(resident) = &self.resident else {
            return self.upload(self.source.gather(rows));
        };
        let at = places(rows.to_vec(), &self.device);
        DeviceBatch {
            x: tensor(resident.rows.gather(rows, &at)),
            labels: resident.labels.clone(),
            weights: resident.weights.clone(),
            places: Some(Tensor::from_primitive::<CubeBackend>(at)),
        }
    }

    /// A batch that was gathered on the host.
    #[must_use]
    pub fn upload(&self, batch: HostBatch) -> DeviceBatch {
        let Batch { rows, labels, weights } = batch.to_device(&self.device);
        let DeviceFeatures::Dense(x) = rows else { unreachable!("the rows are dense") };
        DeviceBatch { x, labels: labels.cast(DType::I32), weights, places: None }
    }

    /// The gradient at a model over a batch, with its slopes.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn turn(
        &self,
        DeviceModel { weight, bias }: DeviceModel<'_>,
        batch: DeviceBatch,
        share: BatchShare,
        want_loss: bool,
    ) -> (DeviceGradient, Tensor<2>) {
        let (losses, q) = self.charge(batch.x.clone().matmul(weight.clone()), bias, &batch, share.n);
        // As `LinearSvm::backward`: rows of X in order.
        let product = q.clone().transpose().matmul(batch.x).transpose();
        let decay = self.objective.regulariser().decay(share.penalty);
        let penalty = PenaltyFactors { weight: decay.weight as f32, bias: decay.bias as f32 };
        let primitive = bias.map(|b| float(b.clone()));
        let (dw, db) = finish(float(product), float(q.clone()), float(weight.clone()), primitive, penalty);
        let data_loss = want_loss.then(|| losses.sum());
        (DeviceGradient { data_loss, weight: tensor(dw), bias: db.map(tensor) }, q)
    }

    /// Losses `[rows]` and slopes `[rows, n_classes]` of scores without the bias, each row counting 1/n.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn charge(
        &self,
        scores: Tensor<2>,
        bias: Option<&Tensor<1>>,
        batch: &DeviceBatch,
        n: usize,
    ) -> (Tensor<1>, Tensor<2>) {
        let Some(rule) = self.charges else {
            let scores = bias.map_or(scores.clone(), |b| scores.add(b.clone().unsqueeze()));
            let (labels, weights) = batch.in_order();
            let rows = labels.dims()[0];
            let share = weights.unwrap_or_else(|| Tensor::ones([rows], &self.device)).div_scalar(n as f64);
            let losses = self.loss.forward_no_reduction(scores.clone(), labels.clone()).mul(share.clone());
            return (losses, self.loss.gradient(scores, labels).mul(share.reshape([rows, 1])));
        };
        let (places, shares) = match &batch.places {
            Some(places) => {
                let shares = self.resident.as_ref().and_then(|resident| resident.shares.clone());
                (Some(int(places.clone())), shares.map_or(RowFactors::Equal, RowFactors::Rows))
            }
            None => (None, self.shares(batch)),
        };
        let labels = LabelBuffers { values: int(batch.labels.clone()), places };
        let (losses, q) =
            charge(float(scores), bias.map(|b| float(b.clone())), labels, shares, rule, (1.0 / n as f64) as f32);
        (tensor(losses), tensor(q))
    }

    /// Weights of the rows of a batch that was moved.
    fn shares(&self, batch: &DeviceBatch) -> RowFactors {
        match (&batch.weights, &self.class_weights) {
            (None, None) => RowFactors::Equal,
            (None, Some(classes)) => RowFactors::Classes(classes.clone()),
            (Some(weights), None) => RowFactors::Rows(float(weights.clone())),
            (Some(weights), Some(classes)) => {
                let of_class = tensor::<1>(classes.clone()).select(0, batch.labels.clone());
                RowFactors::Rows(float(weights.clone().mul(of_class)))
            }
        }
    }

    /// The gradient of the objective at a model on the device, over a batch; the data loss where it is wanted. Nothing is read back.
    #[must_use]
    pub fn gradient(
        &self,
        weight: &Tensor<2>,
        bias: Option<&Tensor<1>>,
        batch: DeviceBatch,
        want_loss: bool,
    ) -> DeviceGradient {
        let share = BatchShare { n: batch.x.dims()[0], penalty: 1.0 };
        self.turn(DeviceModel { weight, bias }, batch, share, want_loss).0
    }

    /// As [`DevicePass::gradient`] over rows of the data set, in turns where they are many. With their slopes
    /// weight_i/n·∂ℓ_i/∂s_ij, turn by turn.
    #[must_use]
    pub fn over(
        &self,
        weight: &Tensor<2>,
        bias: Option<&Tensor<1>>,
        rows: &[u32],
        want_loss: bool,
    ) -> (DeviceGradient, Vec<Tensor<2>>) {
        let (mut sum, mut slopes): (Option<DeviceGradient>, _) = (None, Vec::new());
        for chunk in rows.chunks(self.most) {
            let share = BatchShare { n: rows.len(), penalty: if sum.is_none() { 1.0 } else { 0.0 } };
            let (found, q) = self.turn(DeviceModel { weight, bias }, self.gather(chunk), share, want_loss);
            slopes.push(q);
            sum = Some(match sum {
                None => found,
                Some(sum) => sum.plus(found),
            });
        }
        let decay = self.objective.regulariser().decay(1.0);
        let nothing = || DeviceGradient {
            data_loss: want_loss.then(|| Tensor::zeros([1], &self.device)),
            weight: weight.clone().mul_scalar(decay.weight),
            bias: bias.map(|b| b.clone().mul_scalar(decay.bias)),
        };
        (sum.unwrap_or_else(nothing), slopes)
    }

    /// A batch as the composed routes have it.
    #[must_use]
    pub fn batch(&self, rows: &[u32]) -> Batch {
        let batch = self.gather(rows);
        let (labels, weights) = batch.in_order();
        Batch { rows: DeviceFeatures::Dense(batch.x), labels, weights }
    }

    /// [`DevicePass::over`] with values on the host: weights `[n_features, n_classes]`, row-major, and a bias `[n_classes]`. The second
    /// are the slopes, `[rows, n_classes]`.
    ///
    /// # Errors
    /// When the device fails.
    ///
    /// # Panics
    /// When a length does not fit.
    pub fn at(&self, weight: &[f32], bias: Option<&[f32]>, rows: &[u32]) -> Result<(FusedGradient, Vec<f32>), String> {
        let (d, k) = (self.source.features.n_features(), self.n_classes);
        assert!(weight.len() == d * k && bias.is_none_or(|b| b.len() == k), "parameters of another shape");
        let weight = Tensor::<2>::from_data(TensorData::new(weight.to_vec(), [d, k]), &self.device);
        let bias = bias.map(|b| Tensor::<1>::from_data(TensorData::new(b.to_vec(), [k]), &self.device));
        let (found, slopes) = self.over(&weight, bias.as_ref(), rows, true);
        let data_loss = found.data_loss.map_or(Ok(0.0), |loss| loss.try_into_scalar::<f64>());
        let gradient = FusedGradient {
            data_loss: data_loss.map_err(|e| e.to_string())?,
            weight: read(found.weight)?,
            bias: found.bias.map(read).transpose()?,
        };
        let slopes: Result<Vec<Vec<f32>>, String> = slopes.into_iter().map(read).collect();
        Ok((gradient, slopes?.concat()))
    }
}

impl DeviceBatch {
    /// The labels and the weights of the rows, `[n]` each.
    fn in_order(&self) -> (Tensor<1, Int>, Option<Tensor<1>>) {
        match &self.places {
            None => (self.labels.clone(), self.weights.clone()),
            Some(places) => {
                let weights = self.weights.as_ref().map(|w| w.clone().select(0, places.clone()));
                (self.labels.clone().select(0, places.clone()), weights)
            }
        }
    }
}

impl DeviceGradient {
    fn plus(self, other: Self) -> Self {
        Self {
            data_loss: self.data_loss.zip(other.data_loss).map(|(a, b)| a.add(b)),
            weight: self.weight.add(other.weight),
            bias: self.bias.zip(other.bias).map(|(a, b)| a.add(b)),
        }
    }
}

impl ResidentMatrix {
    /// Brings a source to the device, if all of it fits the limits.
    #[allow(clippy::cast_possible_truncation, clippy::cast_possible_wrap)]
    fn new(source: Source<'_>, n_classes: usize, loss: &Loss, limits: ResidentLimits, device: &Device) -> Option<Self> {
        let Source { features, labels, scaler, weights } = source;
        let (cells, n, d) = (cells(features)?, features.n_rows(), features.n_features());
        if n == 0 || DevicePass::bytes(features) > limits.memory || 4 * n as u64 > limits.buffer {
            return None;
        }
        let factor = |row| scaler.row_factor(features, row) as f32;
        let factors: Option<Vec<f32>> = scaler.unit_row.then(|| (0..n).into_par_iter().map(factor).collect());
        let (mean, scale) = (scaler.mean.as_deref().map(narrow), scaler.scale.as_deref().map(narrow));
        let preprocessing =
            Preprocessing { mean: mean.as_deref(), scale: scale.as_deref(), factors: factors.as_deref() };
        // A row outside the split may have any label.
        let of_class = |label: usize| if label < n_classes { loss.class_weight(label) } else { 1.0 };
        let share = |(row, &label): (usize, &u32)| (source.weight(row as u32) * of_class(label as usize)) as f32;
        let shared = weights.is_some() || loss.class_weights.is_some();
        let ints: Vec<i32> = labels.iter().map(|&label| label as i32).collect();
        Some(Self {
            rows: ResidentRows::new(cells, d, preprocessing, limits.buffer, device)?,
            labels: Tensor::from_data(TensorData::new(ints, [n]), (device, DType::I32)),
            weights: weights.map(|w| Tensor::from_data(TensorData::new(w.to_vec(), [n]), (device, DType::F32))),
            shares: shared.then(|| floats(labels.iter().enumerate().map(share).collect(), device)),
        })
    }
}

/// The cells of dense rows.
fn cells<'a>(features: &'a Features<'_>) -> Option<HostCells<'a>> {
    match features {
        Features::U8(dense) => Some(HostCells::Bytes(dense.values())),
        Features::F32(dense) => Some(HostCells::Floats(dense.values())),
        Features::F64(_) | Features::Sparse(_) => None,
    }
}

#[allow(clippy::cast_possible_truncation)]
fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&v| v as f32).collect()
}

fn tensor<const D: usize>(primitive: CubeTensor) -> Tensor<D> {
    Tensor::from_primitive::<CubeBackend>(primitive)
}

fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, String> {
    tensor.into_data().try_to_vec_as::<f32>().map_err(|e| format!("{e:?}"))
}
