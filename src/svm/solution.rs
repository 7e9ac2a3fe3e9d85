//! A fitted model with what its training proved.

use super::Model;
use crate::solver::{Certificate, StopReason};
use std::ops::Deref;
use std::time::Duration;

/// A fitted [`Model`], to which it dereferences, with what its training proved.
#[derive(Debug, Clone)]
pub struct Solution {
    pub(super) model: Model,
    pub(super) certificate: Certificate,
    pub(super) accuracy: f64,
    pub(super) stop: StopReason,
    pub(super) steps: u64,
    pub(super) epochs: f64,
    pub(super) seconds: Duration,
}

impl Solution {
    /// The objective over the training rows, in f64.
    #[must_use]
    pub const fn objective(&self) -> f64 {
        self.certificate.primal
    }

    /// Proved bounds on the optimum: tight from the exact solver, valid from every other; with a free bias or λ = 0 those others
    /// prove no more than that the optimum is not below 0.
    #[must_use]
    pub const fn certificate(&self) -> Certificate {
        self.certificate
    }

    /// The share of training rows that are predicted right.
    #[must_use]
    pub const fn train_accuracy(&self) -> f64 {
        self.accuracy
    }

    /// Why the solver ended.
    #[must_use]
    pub const fn stop_reason(&self) -> StopReason {
        self.stop
    }

    /// Updates made.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Passes over the training rows.
    #[must_use]
    pub const fn epochs(&self) -> f64 {
        self.epochs
    }

    /// Time in the solver.
    #[must_use]
    pub const fn seconds(&self) -> Duration {
        self.seconds
    }

    /// The model alone.
    #[must_use]
    pub fn into_model(self) -> Model {
        self.model
    }
}

impl Deref for Solution {
    type Target = Model;

    fn deref(&self) -> &Model {
        &self.model
    }
}
