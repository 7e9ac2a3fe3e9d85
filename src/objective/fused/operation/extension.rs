//! The operation's face to Burn: who serves it, and its backward pass.

use crate::loss::Loss;
use crate::model::LinearSvm;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, DispatchTensorKind, backend_extension};
use burn::tensor::{DType, Int, Tensor};

/// Whether the fused operation takes these: f32 on a backend that has it, and there this loss.
pub fn serves(model: &LinearSvm, x: &Tensor<2>, loss: &Loss) -> bool {
    let tensor = x.clone().into_dispatch();
    let mut kind = &tensor.kind;
    while let DispatchTensorKind::Autodiff(inner) = kind {
        kind = inner;
    }
    let there = match kind {
        #[cfg(feature = "flex")]
        DispatchTensorKind::Flex(_) => true,
        #[cfg(all(feature = "cube", not(feature = "fusion")))]
        DispatchTensorKind::Cube(_) => loss.charges().is_some(),
        _ => {
            let _ = loss;
            false
        }
    };
    there && x.dtype() == DType::F32 && model.linear.weight.dtype() == DType::F32
}

pub fn loss(model: &LinearSvm, x: Tensor<2>, labels: Tensor<1, Int>, loss: &Loss) -> Tensor<1> {
    let weight = model.linear.weight.val();
    let [d, k] = weight.dims();
    let [n, width] = x.dims();
    assert!(width == d && labels.dims() == [n], "rows, labels and weights do not fit each other");
    let bias = match &model.linear.bias {
        Some(bias) => bias.val(),
        None => Tensor::zeros([k], &x.device()),
    };
    let [x, weight, bias] = [x.into_dispatch(), weight.into_dispatch(), bias.into_dispatch()];
    Tensor::from_dispatch(Dispatch::fused_loss(x, weight, bias, labels.into_dispatch(), loss.clone()))
}

/// The fused pass on a backend.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    Cube: cfg(all(feature = "cube", not(feature = "fusion"))),
    Autodiff
)]
pub trait FusedOperation: Backend {
    /// The mean loss `[1]` and its gradients with respect to scores, weight and bias; nothing is tracked.
    fn fused_pass(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        labels: IntTensor<Self>,
        loss: Loss,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// The mean loss `[1]`, tracked where an operand is.
    fn fused_loss(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        labels: IntTensor<Self>,
        loss: Loss,
    ) -> FloatTensor<Self> {
        Self::fused_pass(x, weight, bias, labels, loss).0
    }
}

/// The backward pass: the gradients of forward, times that of the loss; with respect to the rows, Q·Wᵀ.
#[derive(Debug)]
struct FusedBackward;

impl<B: FusedOperation> Backward<B, 3> for FusedBackward {
    /// Q, W, ∂W, ∂b
    type State = [FloatTensor<B>; 4];

    fn backward(self, ops: Ops<Self::State, 3>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let [of_x, of_weight, of_bias] = ops.parents;
        let [q, weight, dw, db] = ops.state;
        let upstream = gradients.consume::<B>(&ops.node);
        let column = B::float_reshape(upstream.clone(), [1, 1].into());
        if let Some(node) = of_x {
            let dx = B::float_matmul(q, B::float_transpose(weight));
            gradients.register::<B>(node.id, B::float_mul(dx, column.clone()));
        }
        if let Some(node) = of_weight {
            gradients.register::<B>(node.id, B::float_mul(dw, column));
        }
        if let Some(node) = of_bias {
            gradients.register::<B>(node.id, B::float_mul(db, upstream));
        }
    }
}

impl<B: FusedOperation, C: CheckpointStrategy> FusedOperation for Autodiff<B, C> {
    fn fused_pass(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        labels: IntTensor<Self>,
        loss: Loss,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let [x, weight, bias] = [x, weight, bias].map(|t| t.into_primitive());
        let (loss, q, dw, db) = B::fused_pass(x, weight, bias, labels, loss);
        use burn::backend::AutodiffBackend;
        (Self::from_inner(loss), Self::from_inner(q), Self::from_inner(dw), Self::from_inner(db))
    }

    fn fused_loss(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        labels: IntTensor<Self>,
        loss: Loss,
    ) -> FloatTensor<Self> {
        let guards = [x.node(), weight.node(), bias.node()];
        let [x, weight, bias] = [x, weight, bias].map(|t| t.into_primitive());
        let (value, q, dw, db) = B::fused_pass(x, weight.clone(), bias, labels, loss);
        match FusedBackward.prepare::<C>(guards).compute_bound().stateful() {
            OpsKind::Tracked(tracked) => tracked.finish([q, weight, dw, db], value),
            OpsKind::UnTracked(untracked) => untracked.finish(value),
        }
    }
}
