//! The operation on Burn's GPU backends: its matrix products, and a kernel for the steps between them.

use super::extension::FusedOperation;
use crate::kernel::cube::{LabelBuffers, PenaltyFactors, RowFactors, charge, finish};
use crate::loss::Loss;
use burn::backend::TensorMetadata;
use burn::backend::ops::{FloatTensorOps, IntTensorOps};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{DType, IntDType, TensorData};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;

impl FusedOperation for CubeBackend {
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn fused_pass(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        labels: IntTensor<Self>,
        loss: Loss,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let Some(rule) = loss.charges() else { unreachable!("who serves the operation has asked") };
        let labels = if labels.dtype() == DType::I32 { labels } else { Self::int_cast(labels, IntDType::I32) };
        let shares = match &loss.class_weights {
            None => RowFactors::Equal,
            Some(weights) => {
                let weights: Vec<f32> = weights.iter().map(|&w| w as f32).collect();
                let len = weights.len();
                RowFactors::Classes(Self::float_from_data(TensorData::new(weights, [len]), &x.device()))
            }
        };
        let share = (1.0 / x.shape()[0].max(1) as f64) as f32;
        let scores = Self::float_matmul(x.clone(), weight.clone());
        let (bias, labels) = (into_contiguous(bias), LabelBuffers { values: into_contiguous(labels), places: None });
        let (losses, q) = charge(scores, Some(bias.clone()), labels, shares, rule, share);
        let product = Self::float_transpose(Self::float_matmul(Self::float_transpose(q.clone()), x));
        let penalty = PenaltyFactors { weight: 0.0, bias: 0.0 };
        let (dw, db) = finish(product, q.clone(), weight, Some(bias.clone()), penalty);
        (Self::float_sum(losses), q, dw, db.unwrap_or(bias))
    }
}
