//! Dense rows on an accelerator: the same steps through Burn's products on the device of the run.

use super::dense::BLOCK;
use super::state::StateView;
use super::sweep::{Blocks, Changes, RowStorage, in_blocks};
use crate::data::batch::Source;
use crate::loss::dual::Scratch;
use crate::solver::{Problem, SolveError};
use burn::tensor::{DType, Device, Tensor, TensorData};

pub(super) struct DeviceStorage<'a> {
    source: Source<'a>,
    n_classes: usize,
    device: Device,
    dtype: DType,
    weight: Tensor<2>,
    loaded: Tensor<2>,
}

fn failed(error: impl std::fmt::Debug) -> SolveError {
    SolveError::Device(format!("{error:?}"))
}

impl<'a> DeviceStorage<'a> {
    /// In f64 where asked for, if the device has that.
    pub fn new(problem: &Problem<'a>, double: bool) -> Self {
        let device = problem.device.device.clone();
        let dtype = if double && device.supports_dtype(DType::F64) { DType::F64 } else { DType::F32 };
        let (d, k) = (problem.source.features.n_features(), problem.n_classes);
        Self {
            source: problem.source,
            n_classes: k,
            weight: Tensor::zeros([d, k], (&device, dtype)),
            loaded: Tensor::zeros([1, d], (&device, dtype)),
            device,
            dtype,
        }
    }

    fn load(&self, rows: &[u32]) -> Tensor<2> {
        let d = self.source.features.n_features();
        let shape = [rows.len(), d];
        let data = if self.dtype == DType::F64 {
            let mut values = vec![0.0f64; rows.len() * d];
            for (out, &row) in values.chunks_exact_mut(d).zip(rows) {
                self.source.scaler.write_row_wide(self.source.features, row as usize, out);
            }
            TensorData::new(values, shape)
        } else {
            let mut values = vec![0.0f32; rows.len() * d];
            self.source.scaler.write_rows(self.source.features, rows, &mut values);
            TensorData::new(values, shape)
        };
        Tensor::from_data(data, (&self.device, self.dtype))
    }
}

impl RowStorage for DeviceStorage<'_> {
    fn turn(&mut self, done: &Changes, next: &[u32], scores: Option<&mut [f64]>) -> Result<(), SolveError> {
        if !done.positions.is_empty() {
            let (k, n) = (self.n_classes, self.loaded.dims()[0]);
            let mut changes = vec![0.0; n * k];
            for (&p, change) in done.positions.iter().zip(done.values.chunks_exact(k)) {
                changes[p * k..(p + 1) * k].copy_from_slice(change);
            }
            let changes = Tensor::from_data(TensorData::new(changes, [n, k]), (&self.device, self.dtype));
            self.weight = self.weight.clone().add(self.loaded.clone().transpose().matmul(changes));
        }
        if next.is_empty() {
            return Ok(());
        }
        self.loaded = self.load(next);
        if let Some(scores) = scores {
            let product = self.loaded.clone().matmul(self.weight.clone()).into_data();
            scores.copy_from_slice(&product.try_to_vec_as::<f64>().map_err(failed)?);
        }
        Ok(())
    }

    fn ascend(
        &mut self,
        order: &[usize],
        count: usize,
        state: &mut StateView<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), SolveError> {
        in_blocks(self, &order[..count], state, scratch)
    }

    fn block_size(&self) -> usize {
        BLOCK
    }

    fn clear(&mut self) {
        self.weight = self.weight.zeros_like();
    }

    fn square_of_weights(&mut self) -> Result<f64, SolveError> {
        Ok(self.weights()?.iter().map(|w| w * w).sum())
    }

    fn weights(&mut self) -> Result<Vec<f64>, SolveError> {
        self.weight.to_data().try_to_vec_as::<f64>().map_err(failed)
    }

    fn hold(&mut self, values: &[f64]) -> Result<(), SolveError> {
        let shape = [self.source.features.n_features(), self.n_classes];
        self.weight = Tensor::from_data(TensorData::new(values.to_vec(), shape), (&self.device, self.dtype));
        Ok(())
    }

    fn held_len(&self) -> usize {
        self.source.features.n_features() * self.n_classes
    }
}

impl Blocks for DeviceStorage<'_> {
    fn begin(
        &mut self,
        done: &Changes,
        next: &[u32],
        _: &[u32],
        scores: &mut [f64],
        out: &mut [f32],
    ) -> Result<(), SolveError> {
        self.turn(done, next, Some(scores))?;
        let product = self.loaded.clone().matmul(self.loaded.clone().transpose()).into_data();
        out.copy_from_slice(&product.try_to_vec_as::<f32>().map_err(failed)?);
        Ok(())
    }
}
