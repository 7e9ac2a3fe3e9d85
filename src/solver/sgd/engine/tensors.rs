//! The objective of one model in tensor operations, and measurements with it.

use super::{Parameters, failed};
use crate::data::batch::{Batch, Source};
use crate::loss::MarginLoss;
use crate::model::LinearSvm;
use crate::objective::{Objective, mean_loss, mean_loss_gradient};
use crate::solver::sgd::resume;
use crate::solver::stop::WatchedMetric;
use crate::solver::{Problem, SolveError};
use burn::module::Module;
use burn::tensor::{Device, Tensor};

/// Rows that are scored at once when accuracy is measured, and the cells that they may have together: 64 MB of floats, half of
/// what a storage buffer holds on many adapters.
const EVALUATION_ROWS: usize = 2_048;
const EVALUATION_CELLS: usize = 1 << 24;

/// Burn's autodiff keeps a note of every parameter that an optimiser returns, until a backward pass looks for those that nobody
/// holds any more. The routes that have no backward pass of their own make one here, of nothing: else every step would leave some
/// kilobytes behind.
pub(in crate::solver::sgd) fn forget(device: &Device) {
    let _ = Tensor::<1>::zeros([1], &device.clone().autodiff()).require_grad().backward();
}

/// The objective on a device.
pub(in crate::solver::sgd) struct Tensors<'a> {
    pub source: Source<'a>,
    pub objective: &'a Objective,
    pub device: Device,
    n_classes: usize,
    loss: Box<dyn MarginLoss>,
    offset: Option<Tensor<2>>,
}

impl<'a> Tensors<'a> {
    pub fn new(problem: &Problem<'a>, objective: &'a Objective) -> Self {
        let device = problem.device.device.clone();
        Self {
            source: problem.source,
            objective,
            n_classes: problem.n_classes,
            loss: objective.loss.init(&device),
            offset: problem.source.sparse_offset(&device),
            device,
        }
    }

    /// A model that is tied to autodiff.
    pub fn model(&self, Parameters { weight, bias }: Parameters) -> LinearSvm {
        resume::model(weight, bias, self.n_classes, &self.device)
    }

    /// Rows of the data set on the device.
    pub fn batch(&self, rows: &[u32]) -> Batch {
        self.source.gather(rows).to_device(&self.device)
    }

    fn data_loss(&self, model: &LinearSvm, batch: &Batch) -> Tensor<1> {
        mean_loss(self.loss.as_ref(), model.scores(&batch.rows, self.offset.as_ref()), batch)
    }

    /// Mean loss of the batch plus the penalty, `[1]`.
    pub fn objective(&self, model: &LinearSvm, batch: &Batch) -> Tensor<1> {
        self.objective.regulariser().penalised(self.data_loss(model, batch), model)
    }

    /// XᵀQ/n + λW and its bias part, by hand.
    pub fn gradient(&self, model: &LinearSvm, batch: &Batch) -> (Tensor<2>, Option<Tensor<1>>) {
        let offset = self.offset.as_ref();
        let q = mean_loss_gradient(self.loss.as_ref(), model.scores(&batch.rows, offset), batch);
        self.objective.regulariser().penalised_gradient(model, model.backward(&batch.rows, offset, q))
    }

    /// Accuracy or data loss over rows, which `batch` brings to the device; one read at the end.
    #[allow(clippy::cast_precision_loss)]
    pub fn measure(
        &self,
        model: &LinearSvm,
        rows: &[u32],
        metric: WatchedMetric,
        batch: impl Fn(&[u32]) -> Batch,
    ) -> Result<f64, SolveError> {
        let model = model.valid();
        let cells = self.source.features.n_features().max(self.n_classes).max(1);
        let chunks = rows.chunks((EVALUATION_CELLS / cells).clamp(1, EVALUATION_ROWS));
        let sum = match metric {
            WatchedMetric::Accuracy => {
                let hits = chunks.map(|rows| {
                    let batch = batch(rows);
                    model.predict(&batch.rows, self.offset.as_ref()).equal(batch.labels).int().sum()
                });
                let hits = hits.reduce(|a, b| a.add(b)).map_or(Ok(0), |sum| sum.try_into_scalar::<i64>());
                hits.map_err(failed)? as f64
            }
            WatchedMetric::Loss => {
                let losses = chunks.map(|rows| self.data_loss(&model, &batch(rows)).mul_scalar(rows.len() as f64));
                let loss = losses.reduce(|a, b| a.add(b)).map_or(Ok(0.0), |sum| sum.try_into_scalar::<f64>());
                loss.map_err(failed)?
            }
        };
        Ok(sum / rows.len().max(1) as f64)
    }
}

impl Parameters {
    /// Those of a module, read back.
    pub fn of_model(model: &LinearSvm) -> Result<Self, SolveError> {
        Self::of_tensors(model.linear.weight.val().inner(), model.linear.bias.as_ref().map(|b| b.val().inner()))
    }

    /// Read back from a device.
    pub fn of_tensors(weight: Tensor<2>, bias: Option<Tensor<1>>) -> Result<Self, SolveError> {
        let bias = bias.map(|bias| bias.into_data().try_to_vec_as::<f32>()).transpose().map_err(failed)?;
        Ok(Self { weight: weight.into_data().try_to_vec_as::<f32>().map_err(failed)?, bias })
    }
}
