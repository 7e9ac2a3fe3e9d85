//! The proof that ends a run in parts: all of its sums are sums over parts.

use super::coordinator::{Coordinator, Outcome};
use super::messages::{PartProof, ProofOrder};
use super::part::split_weights;
use crate::evaluation::Evaluation;
use crate::model::BiasRule;
use crate::objective::DualSums;
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
    #[allow(clippy::cast_precision_loss)]
    pub fn conclude(&mut self, order: &ProofOrder, parts: Vec<PartProof>) -> Result<(), SolveError> {
        // What was settled and taken home is not done twice.
        self.eta = 1.0;
        let n = self.setting.n_train as f64;
        let hot = self.hot.prove(&self.setting, &order.weights);
        let mut sums: Option<DualSums> = None;
        let mut evaluation: Option<Evaluation> = None;
        for PartProof { sums: own, n_rows, evaluation: of_part } in parts.into_iter().chain(hot) {
            match &mut sums {
                None => sums = Some(own),
                Some(sums) => sums.merge(&own),
            }
            let share = n_rows as f64 / n;
            // An empty part has no loss; the products and sums are rounded upwards.
            let of = |loss: f64| if n_rows == 0 { 0.0 } else { share * loss };
            match &mut evaluation {
                None => {
                    let (data_loss, at_most) = (of(of_part.data_loss), of(of_part.data_loss_at_most));
                    evaluation = Some(Evaluation { data_loss, data_loss_at_most: at_most, ..of_part });
                }
                Some(all) => {
                    all.data_loss += of(of_part.data_loss);
                    all.data_loss_at_most += of(of_part.data_loss_at_most);
                    all.confusion.merge(&of_part.confusion);
                }
            }
        }
        let (Some(sums), Some(mut evaluation)) = (sums, evaluation) else { return Ok(()) };
        evaluation.data_loss_at_most *= 1.0 + 8.0 * (self.n_parts as f64 + 2.0) * f64::EPSILON;
        let (weight, bias) = split_weights(&self.setting.objective, &order.weights, self.setting.n_classes);
        let measured = self.setting.objective.with_loss(evaluation, weight, bias.as_deref());
        let bound = sums.bound(&self.setting.objective);
        self.bound = self.bound.max(bound.dual);
        let certificate = Certificate::proved(measured.value, measured.at_most, self.bound)?;
        if certificate.relative_gap <= self.limits.gap || self.last {
            let evaluation = measured.evaluation;
            self.outcome = Some(Outcome { weight: weight.to_vec(), bias, certificate, evaluation });
            return Ok(());
        }
        // On from W(a) as it is, without the errors of single precision.
        if !std::mem::take(&mut self.is_rebuilding) {
            self.goal = self.goal.min(STRICTER * self.progress.relative_gap);
            self.double |= certificate.relative_gap > ELSEWHERE * self.progress.relative_gap;
        }
        self.wants_proof = false;
        self.rebuild(bound.weight, bound.theta, bound.bias);
        Ok(())
    }

    /// W(a) of the dual variables as they are, from that of θa.
    fn rebuild(&mut self, mut weight: Vec<f64>, theta: f64, mut bias: Vec<f64>) {
        if theta <= 0.0 {
            return;
        }
        let scale = match self.setting.objective.bias {
            BiasRule::Regularised { scale } => scale,
            _ => 1.0,
        };
        weight.iter_mut().for_each(|w| *w /= theta);
        bias.iter_mut().for_each(|b| *b /= theta * scale);
        weight.extend(bias);
        self.weights = weight;
        (self.best, self.dual) = (None, f64::NEG_INFINITY);
    }
}
