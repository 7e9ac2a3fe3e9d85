//! The program `burn-svm`: file formats, configuration, run folders, search, figures, report and commands around the library
//! [`burn_svm`].
//!
//! # Layers
//!
//! Imports run downwards only:
//!
//! ```text
//! main → commands
//!        report
//!        plot
//!        search
//!        run
//!        config
//!        model_file
//!        format · export · liblinear
//!        durable · fetch · protobuf · shown · suggestion
//!        burn_svm
//! ```
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod commands;
pub mod config;
pub mod durable;
pub mod export;
pub mod fetch;
pub mod format;
pub mod liblinear;
pub mod model_file;
pub mod plot;
mod protobuf;
pub mod report;
pub mod run;
pub mod search;
mod shown;
mod suggestion;

pub use commands::main;

// The rooms of the library, under the names that they have there.
use burn_svm::internals::{
    bounded, calibration, data, device, evaluation, gradcheck, kernel, loss, metric, model, objective, solver, visible,
};
