//! Multiclass **linear support vector machines** on [Burn](https://burn.dev): from rows in memory to the proved optimum.
//!
//! ```text
//! P(W, b) = (1/n) Σ_i weight_i · ℓ(s_i, y_i)  +  (λ/2)·‖W‖²  +  (λ/(2B²))·‖b‖²        s_i = x_i W + b
//! ```
//!
//! # A model
//!
//! ```
//! use burn_svm::{Loss, Svm};
//!
//! # let (x, labels, x_new) = ([[0.0f32, 0.1], [0.2, 0.0], [1.0, 1.1], [0.9, 1.0]], [0, 0, 1, 1], [[0.1f32, 0.1]]);
//! let model = Svm::new(Loss::weston_watkins()).c(1.0).fit(&x, &labels)?;
//! println!("{} proved within {:.1e}", model.objective(), model.certificate().relative_gap);
//! let names = model.predict(&x_new)?;
//! # assert_eq!(names, ["0"]);
//! # Ok::<(), burn_svm::SvmError>(())
//! ```
//!
//! [`Svm`] has the options: four losses with margins, powers, smoothing and costs for pairs of classes ([`Loss`]), bias rules, class and row
//! weights, scaling, solvers, devices, calibration. Rows are borrowed ([`Rows`]). The default is the exact solver, whose [`Certificate`]
//! bounds the distance to the optimum, rounding errors counted in.
//!
//! # The loss in a network of your own
//!
//! ```
//! use burn::nn::loss::Reduction;
//! use burn::tensor::{Distribution, Int, Tensor};
//! use burn_svm::{LinearSvmConfig, Power, WestonWatkinsLossConfig};
//!
//! let device = burn_svm::cpu_device().expect("a CPU backend is compiled in").autodiff();
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
//! [`fused_loss`] is the same in one pass without autodiff's tape; [`Svm::head`] makes a [`Model`] of the trained layer;
//! [`gradcheck::check`] compares a loss of your own ([`MarginLoss`]) with finite differences, and recognises kinks.
//!
//! # The program
//!
//! `burn-svm` (package `burn-svm-cli`) reads files, is driven by a configuration, keeps runs in folders, searches, draws and reports. A model that
//! was made here works with its commands.
//!
//! # Layers
//!
//! Imports run downwards only:
//!
//! ```text
//! svm
//! gradcheck · reference
//! solver
//! objective
//! evaluation
//! loss · model
//! calibration
//! data · metric
//! device · bounded · durable · visible · kernel
//! ```
#![warn(missing_docs)]
#![forbid(unsafe_code)]

mod bounded;
mod calibration;
mod data;
mod device;
mod durable;
mod evaluation;
pub mod gradcheck;
mod kernel;
mod loss;
mod metric;
mod model;
mod objective;
mod reference;
mod solver;
mod svm;
mod visible;

// The front door.
pub use svm::{AsLabels, AsRows, Cell, ClassIndices, Label, Model, Rows, Solution, Svm, SvmError};
// Its options and answers.
pub use bounded::{Fraction, NonNegative, Positive};
pub use calibration::Calibration;
pub use data::{Center, Scale};
// Tables of numbers and words.
pub use data::{CellKind, Cells, Encoding, EncodingError, Frame, FrameColumn, LabelColumn, MissingConfig, MissingRule};
pub use device::{DeviceName, cpu as cpu_device};
pub use evaluation::Evaluation;
pub use metric::Confusion;
pub use model::BiasRule;
pub use solver::{
    Certificate, DualConfig, Finish, GradientRoute, LbfgsConfig, LogEntry, Measurement, NewtonConfig, NewtonMethod,
    Observer, SgdConfig, SolveError, SolverConfig, StopReason,
};
// Losses as values, and as Burn modules for networks.
pub use loss::{
    ClassWeights, CrammerSingerLoss, CrammerSingerLossConfig, LabelOutOfRange, Loss, LossMisfit, MarginLoss,
    OneVsRestLoss, OneVsRestLossConfig, Power, TopKLoss, TopKLossConfig, WestonWatkinsLoss, WestonWatkinsLossConfig,
    labels_on,
};
pub use model::{LinearSvm, LinearSvmConfig};
pub use objective::fused_loss;

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
