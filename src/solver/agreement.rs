//! Burn's autodiff as the judge of the gradients that are computed another way, on the first rows of a run.
//!
//! ```text
//! difference = max_j |g_j − a_j| / max(max_j |a_j|, max_j |a¹_j| / 1000)          0 where g = a
//! ```
//!
//! g is the gradient of a batch by the engine of the run, a by autodiff on the same device, a¹ that of the batch's first row alone:
//! where the rows of a batch cancel, only rounding is left. In single precision up to 1e-3 is agreement. Sums of n products
//! in different orders differ by about √n·6e-8 of their terms, so that 1e-5 is seen; products of 10 bits, as tensor cores make
//! them, come to 5e-4; a missing term, a wrong factor or a wrong class is a difference of the order of a row's share, 1/n and more.

use super::{Route, SolveError};

/// The route of a run's gradient, and its difference from autodiff.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GradientReport {
    /// Its route.
    pub route: Route,
    /// The relative difference from autodiff on the first batch; `None` for autodiff itself, and where there is nothing to compare
    /// (a gradient beyond single precision, or of more than 2²⁶ weights).
    pub agreement: Option<f64>,
}

/// Weights of a model that is compared; the copies of more may find no memory.
pub(super) const MOST_WEIGHTS: usize = 1 << 26;
/// Rows of a batch that are compared, and their cells.
const MOST_ROWS: usize = 256;
const MOST_CELLS: usize = 1 << 20;
/// Beyond these sizes sums in single precision overflow or lose their digits, each order in its own way.
const SIZES: std::ops::RangeInclusive<f64> = 1e-30..=1e30;

/// The rows that are compared of those of a batch, by the cells of a row.
pub(super) fn sample(batch: &[u32], cells: usize) -> &[u32] {
    &batch[..batch.len().min((MOST_CELLS / cells.max(1)).clamp(1, MOST_ROWS))]
}

/// The largest difference that is agreement.
pub(super) const fn tolerance(double: bool) -> f64 {
    if double { 1e-9 } else { 1e-3 }
}

/// The relative difference of two gradients; `row` is that of one row by the judge. `None` where the judge has none.
pub(super) fn difference(
    found: impl Iterator<Item = f64>,
    judge: impl Iterator<Item = f64> + Clone,
    row: impl Iterator<Item = f64>,
) -> Option<f64> {
    // Not `f64::max`, which would swallow a NaN.
    let worse = |worst: f64, value: f64| if worst.is_nan() || value <= worst { worst } else { value };
    let largest = judge.clone().map(f64::abs).fold(0.0, worse);
    let scale = worse(largest, row.map(f64::abs).fold(0.0, worse) / 1000.0);
    let distance = found.zip(judge).map(|(a, b)| (a - b).abs()).fold(0.0, worse);
    if distance == 0.0 && largest.is_finite() {
        return Some(0.0);
    }
    SIZES.contains(&scale).then(|| if distance.is_nan() { f64::INFINITY } else { distance / scale })
}

/// The difference, where that is agreement.
///
/// # Errors
/// [`SolveError::Gradient`] where it is not.
pub(super) fn judged(route: Route, difference: f64, tolerance: f64) -> Result<f64, SolveError> {
    if difference <= tolerance {
        return Ok(difference);
    }
    let (difference, tolerance) = (format!("{difference:.1e}"), format!("{tolerance:e}"));
    Err(SolveError::Gradient { route: route.name(), difference, tolerance })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_relative_to_the_largest_entry_or_a_thousandth_of_a_row() {
        let of = |found: [f64; 2], judge: [f64; 2], row: [f64; 2]| {
            difference(found.into_iter(), judge.into_iter(), row.into_iter())
        };
        assert_eq!(of([1.0, 2.5], [1.0, 2.0], [0.0; 2]), Some(0.25));
        assert_eq!(of([0.0; 2], [0.0; 2], [0.0; 2]), Some(0.0));
        assert_eq!(of([0.5, 0.0], [0.0; 2], [0.0, -1000.0]), Some(0.5), "what is left of rows that cancel");
        assert_eq!(of([f64::NAN, 0.0], [1.0; 2], [1.0; 2]), Some(f64::INFINITY));
        assert_eq!(of([1.0; 2], [f64::NAN, 1.0], [1.0; 2]), None, "the judge has no number");
        assert_eq!(of([1e32; 2], [2e32; 2], [1.0; 2]), None);
    }
}
