//! From scores to losses and slopes in one launch.

use super::room;
use burn::tensor::DType;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::cubecl::{self, calculate_cube_count_elemwise};
use burn_cubecl::tensor::CubeTensor;

/// Units of a cube. A row has one of them, or all where there are more classes than [`NARROW`].
const UNITS: u32 = 64;
const NARROW: usize = 64;

/// Reduction of the margins of a row to its loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChargeKind {
    /// Σ over the other classes of max(0, s_j − s_y + Δ)^p
    Sum,
    /// The largest of these, the lowest class on a tie.
    Worst,
    /// Σ over all classes of max(0, Δ ∓ s_j)^p
    Each,
}

/// A loss of margins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Charges {
    /// Reduction of the margins.
    pub kind: ChargeKind,
    /// Whether p is 2; else 1.
    pub squared: bool,
    /// Δ
    pub margin: f32,
}

/// Labels of rows, in i32.
#[derive(Debug, Clone)]
pub struct LabelBuffers {
    /// `[n]`, in the order of the rows, or a table.
    pub values: CubeTensor,
    /// Indices into that table, `[n]` in u32; the shares of [`RowFactors::Rows`] are then in a table as well.
    pub places: Option<CubeTensor>,
}

/// Weight of a row, besides the common share.
#[derive(Debug, Clone)]
pub enum RowFactors {
    /// 1
    Equal,
    /// A factor a row, in the order of the labels.
    Rows(CubeTensor),
    /// A factor a class.
    Classes(CubeTensor),
}

/// Parameters known when the kernel is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct ChargeForm {
    kind: ChargeKind,
    squared: bool,
    bias: bool,
    by_index: bool,
    by_row: bool,
    by_class: bool,
    lanes: u32,
}

/// The weighted loss of each row, `[n]`, and its gradient with respect to the scores, `[n, n_classes]`; of `scores` `[n, n_classes]`
/// without the `bias` `[n_classes]`. Each row counts `share` times its own.
///
/// The slope at a margin that is exactly met is 0. A NaN among the margins makes the loss NaN, and its own slope 0. A label that is no
/// class makes loss and slopes NaN.
///
/// # Panics
/// When a shape does not fit.
#[must_use]
pub fn charge(
    scores: CubeTensor,
    bias: Option<CubeTensor>,
    labels: LabelBuffers,
    shares: RowFactors,
    rule: Charges,
    share: f32,
) -> (CubeTensor, CubeTensor) {
    let (n, k) = (scores.meta.shape()[0], scores.meta.shape()[1]);
    assert!(scores.dtype == DType::F32, "scores in f32");
    let (losses, slopes) = (room(&scores, [n]), room(&scores, [n, k]));
    if n == 0 {
        return (losses, slopes);
    }
    let lanes = if k <= NARROW { 1 } else { UNITS };
    let form = ChargeForm {
        kind: rule.kind,
        squared: rule.squared,
        bias: bias.is_some(),
        by_index: labels.places.is_some(),
        by_row: matches!(shares, RowFactors::Rows(_)),
        by_class: matches!(shares, RowFactors::Classes(_)),
        lanes,
    };
    let LabelBuffers { values: labels, places } = labels;
    let indices = places.unwrap_or_else(|| labels.clone());
    assert!(
        indices.meta.num_elements() == n && bias.as_ref().is_none_or(|b| b.meta.num_elements() == k),
        "shapes that do not fit"
    );
    // Unused inputs are bound to a buffer that exists.
    let shares = match shares {
        RowFactors::Equal => scores.clone(),
        RowFactors::Rows(shares) | RowFactors::Classes(shares) => shares,
    };
    let client = scores.client.clone();
    let dim = CubeDim::new_1d(UNITS);
    charge_kernel::launch(
        &client,
        calculate_cube_count_elemwise(&client, n * lanes as usize, dim),
        dim,
        scores.clone().into_tensor_arg(),
        bias.unwrap_or_else(|| scores.clone()).into_tensor_arg(),
        labels.into_tensor_arg(),
        indices.into_tensor_arg(),
        shares.into_tensor_arg(),
        losses.clone().into_tensor_arg(),
        slopes.clone().into_tensor_arg(),
        rule.margin,
        share,
        f32::NAN,
        form,
    );
    (losses, slopes)
}

/// max(0, z)^p, which keeps a NaN.
#[cube]
fn charged(z: f32, #[comptime] squared: bool) -> f32 {
    let hinge = select(z > 0.0f32, z, select(z.is_nan(), z, 0.0f32));
    if comptime!(squared) { hinge * hinge } else { hinge }
}

/// Its slope: 0 where the margin is exactly met.
#[cube]
fn slope(z: f32, #[comptime] squared: bool) -> f32 {
    let mut steep = 1.0f32.runtime();
    if comptime!(squared) {
        steep = z + z;
    }
    select(z > 0.0f32, steep, 0.0f32)
}

// Conditions known when the kernel is compiled stand alone in their `if`.
#[cube(launch)]
#[allow(clippy::too_many_arguments, clippy::collapsible_if)]
fn charge_kernel(
    scores: &Tensor<f32>,
    bias: &Tensor<f32>,
    labels: &Tensor<i32>,
    indices: &Tensor<u32>,
    shares: &Tensor<f32>,
    losses: &mut Tensor<f32>,
    slopes: &mut Tensor<f32>,
    margin: f32,
    share: f32,
    nan: f32,
    #[comptime] form: ChargeForm,
) {
    let lanes = form.lanes.comptime() as usize;
    let n_classes = scores.shape(1);
    let row = ABSOLUTE_POS / lanes;
    let lane = ABSOLUTE_POS % lanes;
    if row >= scores.shape(0) {
        terminate!();
    }
    let mut at = row;
    if comptime!(form.by_index) {
        at = indices[row] as usize;
    }
    // A negative label is a large one here.
    let label = labels[at] as u32 as usize;
    let mut weight = share;
    if comptime!(form.by_row) {
        weight *= shares[at];
    }
    if label >= n_classes {
        weight = nan;
    }
    let label = select(label < n_classes, label, 0usize.runtime());
    if comptime!(form.by_class) {
        weight *= shares[label];
    }
    let first = row * scores.stride(0);
    let step = scores.stride(1);
    let mut own = scores[first + label * step];
    if comptime!(form.bias) {
        own += bias[label];
    }

    // Sums of this lane's classes; the largest margin, its class (n_classes: none yet), and a NaN that was met.
    let mut loss = 0.0f32;
    let mut total = 0.0f32;
    let mut largest = 0.0f32;
    let mut worst = n_classes;
    let mut invalid = 0.0f32;
    let mut j = lane;
    while j < n_classes {
        let mut score = scores[first + j * step];
        if comptime!(form.bias) {
            score += bias[j];
        }
        if comptime!(form.kind == ChargeKind::Each) {
            let sign = select(j == label, -1.0f32, 1.0f32);
            let z = sign * score + margin;
            loss += charged(z, form.squared);
            slopes[row * n_classes + j] = weight * sign * slope(z, form.squared);
        } else if j != label {
            let z = (score - own) + margin;
            if comptime!(form.kind == ChargeKind::Worst) {
                if z.is_nan() {
                    invalid = z;
                } else if worst == n_classes || z > largest {
                    largest = z;
                    worst = j;
                }
            } else {
                let steep = slope(z, form.squared);
                loss += charged(z, form.squared);
                total += steep;
                slopes[row * n_classes + j] = weight * steep;
            }
        }
        j += lanes;
    }

    if comptime!(form.lanes > 1) {
        // Pairs of lanes, then pairs of pairs.
        let mut sums = Shared::new_slice(64usize);
        let mut totals = Shared::new_slice(64usize);
        let mut classes = Shared::new_slice(64usize);
        let worst_of_all = comptime!(form.kind == ChargeKind::Worst);
        sums[lane] = if comptime!(worst_of_all) { invalid } else { loss };
        totals[lane] = if comptime!(worst_of_all) { largest } else { total };
        classes[lane] = worst;
        sync_cube();
        let mut half = 32usize.runtime();
        while half > 0 {
            if lane < half {
                sums[lane] += sums[lane + half];
                if comptime!(worst_of_all) {
                    let z = totals[lane + half];
                    let class = classes[lane + half];
                    let held = classes[lane];
                    let better = z > totals[lane] || (z == totals[lane] && class < held);
                    if class < n_classes && (held == n_classes || better) {
                        totals[lane] = z;
                        classes[lane] = class;
                    }
                } else {
                    totals[lane] += totals[lane + half];
                }
            }
            sync_cube();
            half /= 2;
        }
        if comptime!(worst_of_all) {
            invalid = sums[0];
            largest = totals[0];
            worst = classes[0];
        } else {
            loss = sums[0];
            total = totals[0];
        }
    }

    if comptime!(form.kind == ChargeKind::Worst) {
        let mut steep = slope(largest, form.squared);
        loss = charged(largest, form.squared);
        if invalid.is_nan() {
            steep = 0.0f32;
            loss = invalid;
        }
        let mut j = lane;
        while j < n_classes {
            let sign = select(j == worst, 1.0f32, select(j == label, -1.0f32, 0.0f32));
            slopes[row * n_classes + j] = weight * sign * steep;
            j += lanes;
        }
    }
    if comptime!(form.kind == ChargeKind::Sum) {
        if label % lanes == lane {
            slopes[row * n_classes + label] = -(weight * total);
        }
    }
    if lane == 0 {
        losses[row] = weight * loss;
    }
}
