//! The fused pass as a Burn operation with a backward pass of its own.

use super::rows::{Cells, DenseRows};
use super::workspace::{Target, Workspace};
use crate::kernel::in_place::PerFeature;
use crate::loss::Loss;
use crate::model::LinearSvm;
use burn::nn::loss::Reduction;
use burn::tensor::{Int, Tensor};

/// The mean loss of dense rows under a linear model, `(1/n) Σ ℓ(x_i W + b, y_i)`, `[1]`: what
/// `loss.init(&device).forward(model.forward(x), labels, Reduction::Mean)` is, with ∂W and ∂b computed in the same pass.
///
/// One operation with a hand-written backward pass where `x` lies on Burn's own CPU backend in f32: inside any network, under any
/// optimiser, with a gradient with respect to `x` when that is tracked. Elsewhere it is composed of tensor operations. First-order only.
///
/// # Shapes
/// `x` `[n_samples, n_features]`, `labels` `[n_samples]`, values in `0..n_classes`.
///
/// # Panics
/// When a shape does not fit, or, in the fused pass, when a label is not a class.
///
/// ```
/// use burn::tensor::{Distribution, Int, Tensor};
/// use burn_svm::loss::{Formulation, Loss, Power};
/// use burn_svm::{device, model::LinearSvmConfig, objective::fused_loss};
///
/// let device = device::cpu().expect("a CPU backend is compiled in").autodiff();
/// let svm = LinearSvmConfig::new(64, 10).init(&device);
/// let x = Tensor::<2>::random([32, 64], Distribution::Default, &device);
/// let labels = Tensor::<1, Int>::arange(0..32, &device).remainder_scalar(10);
/// let loss = fused_loss(&svm, x, labels, &Loss::new(Formulation::WestonWatkins, 1.0, Power::One));
/// let gradients = loss.backward();
/// assert!(svm.linear.weight.grad(&gradients).is_some());
/// ```
#[must_use]
pub fn fused_loss(model: &LinearSvm, x: Tensor<2>, labels: Tensor<1, Int>, loss: &Loss) -> Tensor<1> {
    #[cfg(feature = "flex")]
    if flex::serves(model, &x) {
        return flex::loss(model, x, labels, loss);
    }
    loss.init(&x.device()).forward(model.forward(x), labels, Reduction::Mean)
}

/// What one pass over plain rows gives.
struct Found {
    loss: f64,
    /// ∂ℓ/∂scores of the mean, `[n, n_classes]`.
    q: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// The mean loss of `x` `[n, n_features]` and its gradients.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn pass(x: &[f32], weight: &[f32], bias: &[f32], labels: &[usize], loss: &Loss) -> Found {
    let (n, k) = (labels.len(), bias.len());
    let d = weight.len() / k;
    let mut found = Found { loss: 0.0, q: vec![0.0; n * k], weight: vec![0.0; d * k], bias: vec![0.0; k] };
    if n == 0 {
        return found;
    }
    let shift = PerFeature::new(d, None);
    let rows = DenseRows { cells: Cells::Floats(x), n_features: d, shift, scale: None, factors: None };
    let indices: Vec<u32> = (0..n as u32).collect();
    let share = (1.0 / n as f64) as f32;
    let label = |row: u32| (labels[row as usize], share);
    let target = Target { indices: &indices, loss, label, lambda: 0.0, q: Some(&mut found.q) };
    found.loss = Workspace::new(d, k).pass(&rows, (weight, Some(bias)), target, (&mut found.weight, &mut found.bias));
    found
}

#[cfg(feature = "flex")]
mod flex {
    use super::{Loss, pass};
    use crate::model::LinearSvm;
    use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
    use burn::backend::autodiff::grads::Gradients;
    use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
    use burn::backend::ops::FloatTensorOps;
    use burn::backend::tensor::{FloatTensor, IntTensor};
    use burn::backend::{Autodiff, Backend, Dispatch, DispatchTensorKind, Flex, TensorMetadata, backend_extension};
    use burn::tensor::{DType, Int, Tensor, TensorData};

    /// Whether the fused operation takes these: f32 on Burn's own CPU backend.
    pub fn serves(model: &LinearSvm, x: &Tensor<2>) -> bool {
        let on_flex = matches!(x.clone().into_dispatch().kind, DispatchTensorKind::Flex(_));
        on_flex && x.dtype() == DType::F32 && model.linear.weight.dtype() == DType::F32
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
    #[backend_extension(Flex, Autodiff)]
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
        ) -> FloatTensor<Self>;
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

    fn class(label: i64) -> usize {
        usize::try_from(label).unwrap_or(usize::MAX)
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
}
