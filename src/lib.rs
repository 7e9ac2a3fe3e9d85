//! Multiclass **linear support vector machines** on [Burn](https://burn.dev).
//!
//! ```text
//! P(W, b) = (1/n) Σ_i weight_i · ℓ(s_i, y_i)  +  (λ/2)·‖W‖²  +  (λ/(2B²))·‖b‖²        s_i = x_i W + b
//! ```
//!
//! A Burn module ([`model::LinearSvm`]) scores rows, a margin loss ([`loss`]) says what the scores cost, gradients come from
//! Burn's autodiff or by hand, [`gradcheck`] holds the two against finite differences, and a [`solver`] minimises P on a
//! [`device`] that is chosen at run time. The program `burn-svm` does all that from a TOML file; this is the library beneath it.
//!
//! # The loss in a network of your own
//!
//! ```
//! use burn::nn::loss::Reduction;
//! use burn::tensor::{Distribution, Int, Tensor};
//! use burn_svm::internals::device;
//! use burn_svm::internals::loss::{Power, WestonWatkinsLossConfig};
//! use burn_svm::internals::model::LinearSvmConfig;
//!
//! let device = device::cpu().expect("a CPU backend is compiled in").autodiff();
//! let svm = LinearSvmConfig::new(64, 10).init(&device);
//! let loss = WestonWatkinsLossConfig::new().with_power(Power::Two).init(&device);
//!
//! let x = Tensor::<2>::random([32, 64], Distribution::Default, &device);
//! let labels = Tensor::<1, Int>::arange(0..32, &device).remainder_scalar(10);
//! let value = loss.forward(svm.forward(x), labels, Reduction::Mean);
//! let gradients = value.backward();
//! assert!(svm.linear.weight.grad(&gradients).is_some());
//! ```
//!
//! # Training in code
//!
//! [`config::LoadedConfig`] holds a configuration, [`run::prepare`] reads and splits the data, [`run::train`] trains and leaves
//! a run folder. `examples/quickstart.rs` does it in thirty lines.
//!
//! # Layers
//!
//! Imports run downwards only:
//!
//! ```text
//! main → cli
//!        report
//!        plot
//!        search
//!        run
//!        config
//!        gradcheck · reference
//!        solver
//!        objective
//!        evaluation
//!        loss · model
//!        calibration
//!        data · metric
//!        device · bounded · durable · visible · kernel · fetch
//! ```
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod bounded;
mod calibration;
mod data;
mod device;
mod durable;
mod evaluation;
mod gradcheck;
mod kernel;
mod loss;
mod metric;
mod model;
mod objective;
mod reference;
mod solver;
mod svm;
mod visible;

pub use calibration::Method as Calibration;
pub use data::{Center, Scale};
pub use device::{DeviceError, DeviceName, OpenDevice, cpu as cpu_device, open as open_device};
pub use evaluation::Evaluation;
pub use loss::{ClassWeights, Loss, MarginLoss, NamedClassWeights, Power};
pub use metric::Confusion;
pub use model::{BiasRule, LinearSvm, LinearSvmConfig};
pub use solver::{
    Certificate, DualConfig, GradientRoute, LbfgsConfig, LogEntry, Measurement, Observer, SgdConfig, SolveError,
    SolverConfig, StopReason,
};
pub use svm::{AsLabels, AsRows, Cell, Label, Model, Rows, Solution, Svm, SvmError};

/// The rooms of the library, for the program, the tests and the benchmarks. No promise is made about anything in here.
#[doc(hidden)]
pub mod internals {
    macro_rules! rooms {
        ($($room:ident)*) => { $(pub mod $room { pub use crate::$room::*; })* };
    }

    rooms! {
        bounded calibration data device durable evaluation gradcheck kernel loss metric model objective reference solver visible
    }
}
