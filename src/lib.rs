//! Multiclass linear support vector machines on Burn.
#![warn(missing_docs)]

pub mod bounded;
pub mod cli;
pub mod config;
pub mod data;
pub mod device;
pub mod gradcheck;
pub mod loss;
pub mod metric;
pub mod model;
pub mod objective;
pub mod plot;
pub mod reference;
pub mod run;
pub mod solver;
