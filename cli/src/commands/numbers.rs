//! Ranges of numbers that are arguments.

use crate::config::MOST_THREADS;
use crate::gradcheck::{LARGEST_STEP, SMALLEST_STEP};

fn within(text: &str, most: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number <= most);
    number.ok_or_else(|| format!("expected a whole number from 0 to {most}"))
}

/// Threads where no configuration checks them.
pub(super) fn threads(text: &str) -> Result<usize, String> {
    within(text, MOST_THREADS)
}

/// Each coordinate is a line of the report.
pub(super) fn coordinates(text: &str) -> Result<usize, String> {
    within(text, 100_000)
}

/// The step of a finite difference.
pub(super) fn step(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|h| (SMALLEST_STEP..=LARGEST_STEP).contains(h));
    number.ok_or_else(|| format!("expected a number from {SMALLEST_STEP:e} to {LARGEST_STEP}"))
}

/// A strength or a margin.
pub(super) fn not_negative(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|v: &f64| v.is_finite() && *v >= 0.0);
    number.ok_or_else(|| "expected a number, zero or more".into())
}
