//! The proof that ends a run in parts: all of its sums are sums over parts.

use super::coordinator::{Coordinator, Outcome};
use super::hot::Setting;
use super::messages::{PartProof, ProofOrder};
use super::part::split_weights;
use crate::model::BiasRule;
use crate::objective::{DualBound, Objective, ObjectiveValue};
use crate::solver::{Certificate, SolveError};

/// The goal of measurements after one that a proof did not confirm, relative to the measured gap.
const STRICTER: f64 = 0.5;
/// Ratio of the proved gap to the measured one from which the precision of the passes is not enough.
const ELSEWHERE: f64 = 1.5;

impl Coordinator {
    /// The answers of all parts to [`Request::Proof`], in their order.
    ///
    /// # Errors
    /// [`SolveError::NegativeGap`], [`SolveError::NotFinite`].
    pub fn conclude(&mut self, order: &ProofOrder, parts: Vec<PartProof>) -> Result<(), SolveError> {
        // Steps that were settled and taken home are not made twice.
        self.eta = 1.0;
        let hot = self.hot.prove(&self.setting, &order.weights);
        let all = parts.into_iter().chain(hot).reduce(|mut all, part| {
            all.merge(part);
            all
        });
        let Some(all) = all else { return Ok(()) };
        let (measured, bound) = combine(&self.setting, all, self.n_parts + 1, &order.weights);
        self.bound = self.bound.max(bound.dual);
        let certificate = Certificate::proved(measured.value, measured.at_most, self.bound)?;
        if certificate.relative_gap <= self.limits.gap || self.last {
            self.outcome = Some(Outcome::new(&self.setting, &order.weights, certificate, measured.evaluation));
            return Ok(());
        }
        // On from W(a) as it is, without the errors of single precision.
        if !std::mem::take(&mut self.is_rebuilding) {
            self.goal = self.goal.min(STRICTER * self.progress.relative_gap);
            self.double |= certificate.relative_gap > ELSEWHERE * self.progress.relative_gap;
        }
        self.wants_proof = false;
        self.weights = bound.as_weights(&self.setting.objective);
        (self.best, self.dual) = (None, f64::NEG_INFINITY);
        Ok(())
    }
}

impl PartProof {
    /// Adds the share of another part.
    pub fn merge(&mut self, other: Self) {
        self.sums.merge(&other.sums);
        self.evaluation.data_loss += other.evaluation.data_loss;
        self.evaluation.data_loss_at_most += other.evaluation.data_loss_at_most;
        self.evaluation.confusion.merge(&other.evaluation.confusion);
    }
}

/// The objective at the weights that were asked about, and the bound of all dual variables, from the shares of `n_parts` parts.
#[allow(clippy::cast_precision_loss)]
pub(super) fn combine(
    setting: &Setting,
    all: PartProof,
    n_parts: usize,
    weights: &[f64],
) -> (ObjectiveValue, DualBound) {
    let PartProof { sums, mut evaluation } = all;
    // Shares and sums are rounded.
    evaluation.data_loss_at_most *= 1.0 + 8.0 * (n_parts as f64 + 1.0) * f64::EPSILON;
    let (weight, bias) = split_weights(&setting.objective, weights, setting.n_classes);
    (setting.objective.with_loss(evaluation, weight, bias.as_deref()), sums.bound(&setting.objective))
}

impl DualBound {
    /// W(a) of the dual variables as they are, without θ, in the form of [`super::Order`].
    #[must_use]
    pub(super) fn as_weights(&self, objective: &Objective) -> Vec<f64> {
        let inverse = if self.theta > 0.0 { 1.0 / self.theta } else { 0.0 };
        let scale = match objective.bias {
            BiasRule::Regularised { scale } => scale,
            BiasRule::None | BiasRule::Free => 1.0,
        };
        let weight = self.weight.iter().map(|w| w * inverse);
        weight.chain(self.bias.iter().map(|b| b * inverse / scale)).collect()
    }
}
