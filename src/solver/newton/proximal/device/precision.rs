//! The digits of a device's products: where a library takes tensor cores for products in single precision, 10 binary digits of each factor count
//! instead of 23, which no method of second order can use.

use super::{failed, numbers};
use crate::data::batch::DeviceFeatures;
use crate::model::LinearSvm;
use crate::solver::SolveError;
use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor};

/// A factor of 1 + 2⁻¹² has a digit that tensor cores drop.
const DIGIT: f64 = 1.0 / 4096.0;

/// Whether products of rows `[rows, n_features]` with weights, or sums over them, have fewer digits than f32.
///
/// # Errors
/// [`SolveError::Device`]
pub(super) fn has_coarse_products(rows: &Tensor<2>, n_classes: usize) -> Result<bool, SolveError> {
    let ([n, d], device) = (rows.dims(), rows.device());
    let model = |weights: Tensor<2>| LinearSvm { linear: Linear { weight: Param::from_tensor(weights), bias: None } };
    let (zero, rows) = (model(Tensor::zeros([d, n_classes], &device)), DeviceFeatures::Dense(rows.clone().abs()));
    let scores = |weights: Tensor<2>| model(weights).scores(&rows, None);
    let sums = |q: Tensor<2>| zero.backward(&rows, None, q).0;
    Ok(is_coarse(scores, [d, n_classes], &device)? || is_coarse(sums, [n, n_classes], &device)?)
}

/// Whether a product with nonnegative numbers, linear in its argument of this shape, loses the last digits of the argument.
///
/// # Errors
/// [`SolveError::Device`]
fn is_coarse(product: impl Fn(Tensor<2>) -> Tensor<2>, shape: [usize; 2], device: &Device) -> Result<bool, SolveError> {
    let ones = Tensor::<2>::ones(shape, device);
    let expected = product(ones.clone()).mul_scalar(1.0 + DIGIT);
    let off = product(ones.mul_scalar(1.0 + DIGIT)).sub(expected.clone()).abs().sum();
    let sums = numbers(Tensor::cat(vec![off, expected.sum()], 0))?;
    match sums[..] {
        [off, sum] => Ok(off > 0.5 * DIGIT * sum),
        _ => Err(failed(sums)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tensor cores keep 10 digits behind the first, f32 all of them.
    #[test]
    fn products_that_drop_digits_are_coarse() {
        let device = crate::device::cpu().unwrap();
        let rows = Tensor::<2>::random([40, 300], burn::tensor::Distribution::Uniform(0.0, 255.0), &device);
        let exact = |weights: Tensor<2>| rows.clone().matmul(weights);
        let coarse = |weights: Tensor<2>| rows.clone().matmul(weights.mul_scalar(1024.0).round().div_scalar(1024.0));
        assert!(!is_coarse(exact, [300, 3], &device).unwrap());
        assert!(is_coarse(coarse, [300, 3], &device).unwrap());
        assert!(!has_coarse_products(&rows, 3).unwrap());
        let empty = |weights: Tensor<2>| rows.zeros_like().matmul(weights);
        assert!(!is_coarse(empty, [300, 3], &device).unwrap());
    }
}
