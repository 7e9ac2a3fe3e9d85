//! Training in code, without a configuration file: the bundled digits, Weston-Watkins, minibatch gradient descent.
//!
//! `cargo run --release --example quickstart`

use burn_svm::bounded::{NonNegative, Positive};
use burn_svm::config::{PreprocessConfig, RunConfig};
use burn_svm::data::format::{DataConfig, DigitsConfig};
use burn_svm::data::{Center, Holdout, Scale, SplitConfig, SplitMethod};
use burn_svm::device::DeviceName;
use burn_svm::loss::{LossConfig, MarginOptions};
use burn_svm::objective::ObjectiveConfig;
use burn_svm::run;
use burn_svm::solver::{GradientRoute, LogEntry, Observer, SgdConfig, SolverConfig};
use std::error::Error;

/// Prints the loss as it falls.
struct Printer;

impl Observer for Printer {
    fn log(&mut self, entry: &LogEntry) {
        if let Some(loss) = entry.loss {
            println!("step {:>4}  loss {loss:.4}", entry.step);
        }
    }
}
