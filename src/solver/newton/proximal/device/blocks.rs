//! The preconditioner of `proximal::blocks` on a device: its blocks are summed and multiplied there, and factorised on the host.

use super::numbers;
use crate::solver::SolveError;
use crate::solver::newton::gram::weighted_gram;
use crate::solver::newton::system::Factor;
use burn::tensor::{Tensor, TensorData};
use faer::Mat;
use rayon::prelude::*;

/// Roundings of a sum of squares that the diagonal is lifted by.
const LIFT: f64 = 16.0;

/// Factors of all classes.
pub(super) struct DeviceClassBlocks {
    /// T of `TᵀT = M⁻¹`, `[n_classes, width, width]`: a product of the two stays positive in single precision, where M⁻¹ itself would not.
    roots: Tensor<3>,
}

impl DeviceClassBlocks {
    /// Of rows `[rows, n_features]` with their numbers m `[rows, n_classes]`; a constant becomes the last feature. `None` where there are no rows, or
    /// rounding leaves a block without a factor.
    ///
    /// # Errors
    /// [`SolveError::Device`]
    pub fn new(
        rows: Vec<(Tensor<2>, Tensor<2>)>,
        constant: Option<f64>,
        rounding: f64,
    ) -> Result<Option<Self>, SolveError> {
        let Some((x, m)) = rows.first() else { return Ok(None) };
        let (n_classes, device, dtype) = (m.dims()[1], x.device(), x.dtype());
        let width = x.dims()[1] + usize::from(constant.is_some());
        let with_constant = |x: Tensor<2>| match constant {
            Some(constant) => {
                let column = Tensor::full([x.dims()[0], 1], constant, (&device, dtype));
                Tensor::cat(vec![x, column], 1)
            }
            None => x,
        };
        let mut sums: Vec<Tensor<2>> = vec![Tensor::zeros([width, width], (&device, dtype)); n_classes];
        for (x, m) in rows {
            let (n, x) = (x.dims()[0], with_constant(x));
            for (class, sum) in sums.iter_mut().enumerate() {
                *sum = sum.clone().add(weighted_gram(&x, m.clone().slice([0..n, class..class + 1])));
            }
        }
        let sums = sums.into_iter().map(numbers).collect::<Result<Vec<_>, _>>()?;
        let root = |sum: &Vec<f64>| {
            let matrix = Mat::from_fn(width, width, |i, j| sum[i * width + j] + f64::from(u8::from(i == j)));
            Factor::lifted(matrix, LIFT * rounding).map(|factor| factor.inverse_root())
        };
        let Some(roots) = sums.par_iter().map(root).collect::<Option<Vec<Mat<f64>>>>() else { return Ok(None) };
        let all: Vec<f64> =
            roots.iter().flat_map(|root| (0..width).flat_map(move |i| (0..width).map(move |j| root[(i, j)]))).collect();
        let roots = Tensor::from_data(TensorData::new(all, [n_classes, width, width]), (&device, dtype));
        Ok(Some(Self { roots }))
    }

    /// M⁻¹ v of `[width, n_classes]`.
    pub fn solve(&self, vector: &Tensor<2>) -> Tensor<2> {
        let once = self.roots.clone().matmul(vector.clone().transpose().unsqueeze_dim(2));
        self.roots.clone().transpose().matmul(once).squeeze_dim::<2>(2).transpose()
    }
}
