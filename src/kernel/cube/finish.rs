//! The gradients of weight and bias from the matrix products, in one launch.

use super::room;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::cubecl::{self, calculate_cube_count_elemwise};
use burn_cubecl::tensor::CubeTensor;

/// Units of a cube.
const UNITS: u32 = 256;

/// Penalty factors of weight and bias.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PenaltyFactors {
    /// λ
    pub weight: f32,
    /// λ times the factor of the bias.
    pub bias: f32,
}

/// XᵀQ + λW, `[n_features, n_classes]`, and the column sums of Q + λ'b, `[n_classes]`.
///
/// # Shapes
/// `product` XᵀQ `[n_features, n_classes]`, in any order in memory; `slopes` Q `[n, n_classes]`; `weight` as the product; `bias` `[n_classes]`.
#[must_use]
pub fn finish(
    product: CubeTensor,
    slopes: CubeTensor,
    weight: CubeTensor,
    bias: Option<CubeTensor>,
    penalty: PenaltyFactors,
) -> (CubeTensor, Option<CubeTensor>) {
    let (d, k) = (weight.meta.shape()[0], weight.meta.shape()[1]);
    let of_weight = room(&weight, [d, k]);
    let of_bias = room(&weight, [k]);
    let has_bias = bias.is_some();
    let client = weight.client.clone();
    let columns = if has_bias { k } else { 0 };
    let cubes = columns + (d * k).div_ceil(UNITS as usize);
    let dim = CubeDim::new_1d(UNITS);
    finish_kernel::launch(
        &client,
        calculate_cube_count_elemwise(&client, cubes * UNITS as usize, dim),
        dim,
        product.into_tensor_arg(),
        slopes.into_tensor_arg(),
        weight.clone().into_tensor_arg(),
        bias.unwrap_or(weight).into_tensor_arg(),
        of_weight.clone().into_tensor_arg(),
        of_bias.clone().into_tensor_arg(),
        penalty.weight,
        penalty.bias,
        has_bias,
    );
    (of_weight, has_bias.then_some(of_bias))
}

#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn finish_kernel(
    product: &Tensor<f32>,
    slopes: &Tensor<f32>,
    weight: &Tensor<f32>,
    bias: &Tensor<f32>,
    of_weight: &mut Tensor<f32>,
    of_bias: &mut Tensor<f32>,
    lambda: f32,
    lambda_of_bias: f32,
    #[comptime] has_bias: bool,
) {
    let n_classes = weight.shape(1);
    let columns = if comptime!(has_bias) { n_classes } else { 0usize.runtime() };
    let unit = UNIT_POS as usize;
    if CUBE_POS < columns {
        let class = CUBE_POS;
        let mut sums = Shared::new_slice(256usize);
        let mut sum = 0.0f32;
        let mut row = unit;
        while row < slopes.shape(0) {
            sum += slopes[row * slopes.stride(0) + class * slopes.stride(1)];
            row += 256;
        }
        sums[unit] = sum;
        sync_cube();
        let mut half = 128usize.runtime();
        while half > 0 {
            if unit < half {
                sums[unit] += sums[unit + half];
            }
            sync_cube();
            half /= 2;
        }
        if unit == 0 {
            of_bias[class] = sums[0] + lambda_of_bias * bias[class];
        }
    } else {
        let cell = (CUBE_POS - columns) * 256 + unit;
        if cell < weight.shape(0) * n_classes {
            let feature = cell / n_classes;
            let class = cell % n_classes;
            let found = product[feature * product.stride(0) + class * product.stride(1)];
            of_weight[cell] = found + lambda * weight[feature * weight.stride(0) + class * weight.stride(1)];
        }
    }
}
