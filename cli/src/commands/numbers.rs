//! Ranges of numbers that are arguments.

use crate::config::MOST_THREADS;

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
