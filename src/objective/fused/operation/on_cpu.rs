//! The operation on Burn's own CPU backend.

use super::extension::FusedOperation;
use crate::kernel::in_place::PerFeature;
use crate::loss::Loss;
use crate::objective::fused::rows::{DenseCells, DenseRows};
use crate::objective::fused::workspace::{GradientRoom, HostModel, PassTarget, Workspace};
use burn::backend::ops::FloatTensorOps;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::TensorData;

/// Result of one pass over plain rows.
struct PassResult {
    loss: f64,
    /// ∂ℓ/∂scores of the mean, `[n, n_classes]`.
    q: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// The mean loss of `x` `[n, n_features]` and its gradients.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn pass(x: &[f32], weight: &[f32], bias: &[f32], labels: &[usize], loss: &Loss) -> PassResult {
    let (n, k) = (labels.len(), bias.len());
    let d = weight.len() / k;
    let mut found = PassResult { loss: 0.0, q: vec![0.0; n * k], weight: vec![0.0; d * k], bias: vec![0.0; k] };
    if n == 0 {
        return found;
    }
    let shift = PerFeature::new(d, None);
    let rows = DenseRows { cells: DenseCells::Floats(x), n_features: d, shift, scale: None, factors: None };
    let indices: Vec<u32> = (0..n as u32).collect();
    let share = (1.0 / n as f64) as f32;
    let label = |row: u32| (labels[row as usize], share);
    let target = PassTarget { indices: &indices, loss, label, lambda: 0.0, q: Some(&mut found.q) };
    let model = HostModel { weight, bias: Some(bias) };
    let out = GradientRoom { weight: &mut found.weight, bias: &mut found.bias };
    found.loss = Workspace::new(d, k).pass(&rows, model, target, out);
    found
}

impl FusedOperation for Flex {
    fn fused_pass(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        labels: IntTensor<Self>,
        loss: Loss,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (n, d, k) = (x.shape()[0], weight.shape()[0], weight.shape()[1]);
        let [x, weight, bias] = [x.to_contiguous(), weight.to_contiguous(), bias.to_contiguous()];
        let values = |tensor: &'_ FloatTensor<Self>| tensor.as_slice::<f32>().map(<[f32]>::to_vec);
        let (Some(of_x), Some(weight), Some(bias)) = (x.as_slice::<f32>(), values(&weight), values(&bias)) else {
            unreachable!("contiguous tensors in f32")
        };
        let labels: Vec<usize> = labels.into_data().iter::<i64>().map(class).collect();
        assert!(labels.iter().all(|&label| label < k), "a label is not a class: {k} classes");
        let found = pass(of_x, &weight, &bias, &labels, &loss);
        #[allow(clippy::cast_possible_truncation)]
        let value = vec![found.loss as f32];
        let tensor = |values: Vec<f32>, shape: Vec<usize>| {
            Self::float_from_data(TensorData::new(values, shape), &Default::default())
        };
        (
            tensor(value, vec![1]),
            tensor(found.q, vec![n, k]),
            tensor(found.weight, vec![d, k]),
            tensor(found.bias, vec![k]),
        )
    }
}

fn class(label: i64) -> usize {
    usize::try_from(label).unwrap_or(usize::MAX)
}
