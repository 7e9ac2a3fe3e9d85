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
//! use burn_svm::device;
//! use burn_svm::loss::WestonWatkinsConfig;
//! use burn_svm::model::LinearSvmConfig;
//!
//! let device = device::cpu().expect("a CPU backend is compiled in").autodiff();
//! let svm = LinearSvmConfig::new(64, 10).init(&device);
//! let loss = WestonWatkinsConfig::new().with_power(2).init(&device);
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

pub mod bounded;
pub mod calibration;
pub mod cli;
pub mod config;
pub mod data;
pub mod device;
pub mod durable;
pub mod evaluation;
pub mod fetch;
pub mod gradcheck;
pub mod kernel;
pub mod loss;
pub mod metric;
pub mod model;
pub mod objective;
pub mod plot;
pub mod reference;
pub mod report;
pub mod run;
pub mod search;
mod shown;
pub mod solver;
pub mod visible;
