//! The objective and its gradient over all training rows, computed on the device chunk by chunk.

use super::LbfgsConfig;
use super::line_search::{Function, LinePoint};
use crate::data::Features;
use crate::data::batch::{Batch, DeviceFeatures, SparseRows};
use crate::loss::MarginLoss;
use crate::model::LinearSvm;
use crate::objective::{mean_loss, mean_loss_gradient};
use crate::solver::agreement::{self, GradientReport, MOST_WEIGHTS, sample};
use crate::solver::checkpoint::Clock;
use crate::solver::dual::Precision;
use crate::solver::{GradientRoute, Problem, Route, SolveError};
use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{DType, Device, FloatDType, Tensor, TensorData};

/// Cells of the features (of the scores' cells for sparse rows) that are multiplied at once.
const CHUNK_CELLS: usize = 1 << 22;
/// Bytes of rows that stay on the device from pass to pass; more are gathered again at every pass.
const RESIDENT_BYTES: usize = 1 << 30;

pub(super) struct FullBatch<'a> {
    problem: &'a Problem<'a>,
    route: Route,
    loss: Box<dyn MarginLoss>,
    offset: Option<Tensor<2>>,
    resident: Option<Vec<Batch>>,
    chunk: usize,
    dtype: DType,
    device: Device,
    passes: u64,
    most_passes: u64,
    /// When the time is up: that of the solver and the seconds.
    clock: (Clock, f64),
}

impl<'a> FullBatch<'a> {
    pub fn new(config: &LbfgsConfig, problem: &'a Problem<'a>, clock: Clock) -> Result<Self, SolveError> {
        let device = problem.device.device.clone();
        let double = device.supports_dtype(DType::F64);
        let dtype = match config.precision {
            Some(Precision::F64) if !double => return Err(SolveError::Precision),
            Some(Precision::F32) => DType::F32,
            Some(Precision::F64) => DType::F64,
            None if double => DType::F64,
            None => DType::F32,
        };
        let features = problem.source.features;
        let n = problem.train.len();
        let (bytes, cells) = match features {
            Features::U8(_) | Features::F32(_) | Features::F64(_) => {
                (4 * n * features.n_features(), features.n_features())
            }
            Features::Sparse(csr) => {
                let stored: usize = problem.train.iter().map(|&r| csr.row(r as usize).0.len()).sum();
                (12 * stored, stored.div_ceil(n) * problem.n_classes)
            }
        };
        let chunk = (CHUNK_CELLS / cells.max(1)).clamp(1, n);
        let mut batch = Self {
            problem,
            // There is no fused pass in double precision; by hand is the faster of the others.
            route: match problem.gradient {
                GradientRoute::Autodiff => Route::Autodiff,
                GradientRoute::Auto | GradientRoute::Analytic | GradientRoute::Fused => Route::Analytic,
            },
            loss: problem.objective.loss.init(&device),
            offset: problem.source.sparse_offset(&device).map(|o| o.cast(float(dtype))),
            resident: None,
            chunk,
            dtype,
            device,
            passes: 0,
            most_passes: config.epochs.get() as u64,
            clock: (clock, config.seconds.map_or(f64::INFINITY, crate::bounded::Positive::get)),
        };
        if bytes <= RESIDENT_BYTES {
            batch.resident = Some(problem.train.chunks(chunk).map(|rows| batch.gather(rows)).collect());
        }
        Ok(batch)
    }

    /// Route of the gradient, and its difference from autodiff on the first rows, at zero weights.
    ///
    /// # Errors
    /// [`SolveError::Gradient`] where it disagrees.
    pub fn agreement(&self) -> Result<GradientReport, SolveError> {
        let report = |agreement| Ok(GradientReport { route: self.route, agreement });
        if self.route == Route::Autodiff || self.n_weights() > MOST_WEIGHTS {
            return report(None);
        }
        let (d, k) = (self.problem.source.features.n_features(), self.problem.n_classes);
        let rows = sample(self.problem.train, d.max(k));
        let of = |route: Route, rows: &[u32]| {
            let (_, weight, bias) = self.chunk(route, &self.model(&vec![0.0; self.len()], route), &self.gather(rows));
            let mut values = host(weight)?;
            values.extend(bias.map_or(Ok(Vec::new()), host)?);
            Ok::<_, SolveError>(values.into_iter())
        };
        let row = of(Route::Autodiff, &rows[..rows.len().min(1)])?;
        let found = agreement::difference(of(self.route, rows)?, of(Route::Autodiff, rows)?, row);
        let tolerance = agreement::tolerance(self.is_double());
        report(found.map(|found| agreement::judged(self.route, found, tolerance)).transpose()?)
    }

    fn gather(&self, rows: &[u32]) -> Batch {
        self.problem.source.gather(rows).to_device(&self.device)
    }

    /// Cells of W.
    pub fn n_weights(&self) -> usize {
        self.problem.source.features.n_features() * self.problem.n_classes
    }

    /// Parameters: the cells of W, then the bias.
    pub fn len(&self) -> usize {
        let bias = if self.problem.objective.bias.has_bias() { self.problem.n_classes } else { 0 };
        self.n_weights() + bias
    }

    /// Passes over the training rows so far.
    pub fn passes(&self) -> u64 {
        self.passes
    }

    /// Continues after a number of passes.
    pub fn set_passes(&mut self, passes: u64) {
        self.passes = passes;
    }

    pub fn is_double(&self) -> bool {
        self.dtype == DType::F64
    }

    /// The relative rounding error of a value.
    pub fn noise(&self) -> f64 {
        if self.is_double() { 1e-14 } else { 1e-7 }
    }

    /// The model at given parameters, tied to autodiff where the route goes there.
    fn model(&self, at: &[f64], route: Route) -> LinearSvm {
        let device = match route {
            Route::Autodiff => self.device.clone().autodiff(),
            Route::Analytic | Route::Fused => self.device.clone(),
        };
        let (d, k) = (self.problem.source.features.n_features(), self.problem.n_classes);
        let (weight, bias) = at.split_at(d * k);
        let options = || (&device, self.dtype);
        let weight = Tensor::<2>::from_data(TensorData::new(weight.to_vec(), [d, k]), options());
        let bias = (!bias.is_empty())
            .then(|| Param::from_tensor(Tensor::<1>::from_data(TensorData::new(bias.to_vec(), [k]), options())));
        LinearSvm { linear: Linear { weight: Param::from_tensor(weight), bias } }
    }

    /// The summed loss of a chunk, and the gradients of that.
    fn chunk(&self, route: Route, model: &LinearSvm, batch: &Batch) -> (Tensor<1>, Tensor<2>, Option<Tensor<1>>) {
        let rows = cast(&batch.rows, self.dtype);
        let scores = model.scores(&rows, self.offset.as_ref());
        #[allow(clippy::cast_precision_loss)]
        let n = scores.dims()[0] as f64;
        match route {
            Route::Analytic | Route::Fused => {
                let loss = mean_loss(self.loss.as_ref(), scores.clone(), batch);
                let q = mean_loss_gradient(self.loss.as_ref(), scores, batch).mul_scalar(n);
                let (weight, bias) = model.backward(&rows, self.offset.as_ref(), q);
                (loss.mul_scalar(n), weight, bias)
            }
            Route::Autodiff => {
                let loss = mean_loss(self.loss.as_ref(), scores, batch);
                let gradients = loss.backward();
                let Linear { weight, bias } = &model.linear;
                let of_weight = weight.grad(&gradients).unwrap_or_else(|| weight.val().inner().zeros_like());
                let of_bias = bias.as_ref().map(|b| b.grad(&gradients).unwrap_or_else(|| b.val().inner().zeros_like()));
                (loss.inner().mul_scalar(n), of_weight.mul_scalar(n), of_bias.map(|b| b.mul_scalar(n)))
            }
        }
    }
}

impl Function for FullBatch<'_> {
    /// One pass over the rows; one wait for the device at its end.
    #[allow(clippy::cast_precision_loss)]
    fn at(&mut self, at: Vec<f64>) -> Result<LinePoint, SolveError> {
        self.passes += 1;
        let model = self.model(&at, self.route);
        let (mut losses, mut weight, mut bias) = (Vec::new(), None::<Tensor<2>>, None::<Tensor<1>>);
        let mut add = |batch: &Batch| {
            let (loss, dw, db) = self.chunk(self.route, &model, batch);
            losses.push(loss);
            weight = Some(weight.take().map_or_else(|| dw.clone(), |w| w.add(dw.clone())));
            bias = match (bias.take(), db) {
                (Some(sum), Some(db)) => Some(sum.add(db)),
                (sum, db) => db.or(sum),
            };
        };
        match &self.resident {
            Some(batches) => batches.iter().for_each(&mut add),
            None => self.problem.train.chunks(self.chunk).for_each(|rows| add(&self.gather(rows))),
        }
        let n = self.problem.train.len() as f64;
        // Losses are added up on the host, so that single precision loses nothing over many chunks.
        let value = host(Tensor::cat(losses, 0))?.iter().sum::<f64>() / n;
        let mut gradient = match weight {
            Some(weight) => host(weight)?,
            None => vec![0.0; self.n_weights()],
        };
        if let Some(bias) = bias {
            gradient.extend(host(bias)?);
        }
        gradient.iter_mut().for_each(|g| *g /= n);
        let value = self.problem.objective.regulariser().added(&at, self.n_weights(), value, &mut gradient);
        Ok(LinePoint { at, value, gradient })
    }

    fn is_exhausted(&self) -> bool {
        self.passes >= self.most_passes || self.clock.0.elapsed().as_secs_f64() >= self.clock.1
    }
}

fn host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f64>, SolveError> {
    tensor.into_data().try_to_vec_as::<f64>().map_err(|e| SolveError::Device(format!("{e:?}")))
}

fn float(dtype: DType) -> FloatDType {
    if dtype == DType::F64 { FloatDType::F64 } else { FloatDType::F32 }
}

/// The rows in another precision; nothing is done where it is theirs.
fn cast(rows: &DeviceFeatures, dtype: DType) -> DeviceFeatures {
    match rows {
        DeviceFeatures::Dense(x) => DeviceFeatures::Dense(x.clone().cast(float(dtype))),
        DeviceFeatures::Sparse(sparse) => DeviceFeatures::Sparse(SparseRows {
            values: sparse.values.clone().cast(float(dtype)),
            factors: sparse.factors.clone().map(|f| f.cast(float(dtype))),
            ..sparse.clone()
        }),
    }
}
