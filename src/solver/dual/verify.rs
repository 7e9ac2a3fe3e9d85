//! Proof of the model that a run leaves: its own objective against a bound that holds to the last digit.
//!
//! The passes of the solver are in its own precision, and so are its measurements: they decide when to verify. The proof is
//! computed in f64 on the rows as they are: the objective at the very weights that are handed out, and the dual at the variables as
//! they stand ([`DualPoint`]). The evaluation of the training rows that comes of it is handed out, too.

use super::state::Bounds;
use super::{Ascent, BestWeights, SolveError};
use crate::objective::{DualBound, DualPoint, Objective, ObjectiveValue};
use crate::solver::Certificate;

/// The next goal of a measurement, relative to the measured gap, after one that met the goal without a proof.
const STRICTER: f64 = 0.5;
/// Ratio of the proved gap to the measured one from which the precision of the passes is not enough.
const ELSEWHERE: f64 = 1.5;
/// A bound that misses the goal by this factor at the measured objective misses it at the true one.
const MARGIN: f64 = 2.5;

/// The weights to hand out, and their objective.
pub(super) struct MeasuredWeights {
    pub weight: Vec<f64>,
    pub bias: Vec<f64>,
    pub measured: ObjectiveValue,
}

/// Weights and their certificate.
pub(super) type Proved = (MeasuredWeights, Certificate);

impl Ascent<'_, '_> {
    /// The objective at the λ of the run.
    fn objective(&self) -> Objective {
        Objective { lambda: self.lambda, ..self.problem.objective.clone() }
    }

    /// The bound of the dual variables as they are.
    pub(super) fn prove(&self) -> DualBound {
        let objective = self.objective();
        let state = &self.state;
        let point = DualPoint {
            source: self.problem.source,
            objective: &objective,
            n_classes: state.n_classes,
            rows: &state.rows,
            n_train: state.rows.len(),
            a: &state.a,
            stride: state.stride,
        };
        point.prove()
    }

    /// # Errors
    /// [`SolveError::NotFinite`] where the objective is no number.
    fn candidate(&self, weight: Vec<f64>, mut bias: Vec<f64>) -> Result<MeasuredWeights, SolveError> {
        let rule = self.problem.objective.bias;
        self.centre(&mut bias);
        let given = rule.has_bias().then_some(bias.as_slice());
        let measured =
            self.objective().measure(self.problem.source, self.problem.train, self.state.n_classes, &weight, given);
        if !measured.at_most.is_finite() {
            return Err(SolveError::NotFinite { objective: measured.value.to_string() });
        }
        Ok(MeasuredWeights { weight, bias, measured })
    }

    /// The weights that the run would hand out now, if they are proved to reach the goal; `None` if the run must continue.
    ///
    /// # Errors
    /// [`SolveError::NegativeGap`] where the bound lies above the objective, [`SolveError::NotFinite`], [`SolveError::Device`].
    pub(super) fn verify(&mut self, now: Bounds) -> Result<Option<Proved>, SolveError> {
        let target = self.config.gap.get();
        self.bound = self.bound.max(self.prove().dual);
        let measured = self.lambda * now.primal;
        if measured - self.bound > MARGIN * target * measured {
            // Too low a bound for any weights.
            self.distrust(now, (measured - self.bound) / measured)?;
            return Ok(None);
        }
        let (candidate, certificate) = self.better(!self.double)?;
        if certificate.relative_gap <= target {
            return Ok(Some((candidate, certificate)));
        }
        // Which forgets the best of single precision, where that is left.
        self.distrust(now, certificate.relative_gap)?;
        let primal = candidate.measured.value / self.lambda;
        self.best = Some(BestWeights { primal, weight: candidate.weight, bias: candidate.bias });
        Ok(None)
    }

    /// [`Ascent::verify`] without a measurement before, for W at hand: what it costs where it succeeds is all that a proof costs.
    ///
    /// # Errors
    /// As [`Ascent::verify`].
    pub(super) fn verify_at_once(&mut self) -> Result<Option<Proved>, SolveError> {
        self.bound = self.bound.max(self.prove().dual);
        let (weight, bias) = (self.rows.weights()?, self.state.bias());
        let candidate = self.candidate(weight, bias)?;
        let certificate = self.certificate(&candidate.measured)?;
        Ok((certificate.relative_gap <= self.config.gap.get()).then_some((candidate, certificate)))
    }

    /// Proof at the end of a run that has met a limit; `or_else` as of [`Ascent::better`], whose two more passes nobody waits for who has interrupted
    /// the run.
    ///
    /// # Errors
    /// As [`Ascent::verify`].
    pub(super) fn prove_anyway(&mut self, or_else: bool) -> Result<Proved, SolveError> {
        self.bound = self.bound.max(self.prove().dual);
        self.better(or_else)
    }

    /// The best weights that were measured; where these miss the goal, with `or_else` those of the dual variables in double precision, if
    /// they cost less: weights that are held in single precision may cost more.
    fn better(&mut self, or_else: bool) -> Result<Proved, SolveError> {
        let (weight, bias) = match self.best.take() {
            Some(best) => (best.weight, best.bias),
            None => (self.rows.weights()?, self.state.bias()),
        };
        let found = self.candidate(weight, bias)?;
        let certificate = self.certificate(&found.measured)?;
        if certificate.relative_gap > self.config.gap.get() && or_else {
            // Computed again: to keep these weights would double the memory, and mostly others are handed out.
            let DualBound { weight, bias, .. } = self.prove();
            let bias = if self.is_free() { self.state.bias() } else { bias };
            let other = self.candidate(weight, bias)?;
            if other.measured.at_most < found.measured.at_most {
                let certificate = self.certificate(&other.measured)?;
                return Ok((other, certificate));
            }
        }
        Ok((found, certificate))
    }

    fn certificate(&self, measured: &ObjectiveValue) -> Result<Certificate, SolveError> {
        Certificate::proved(measured.value, measured.at_most, self.bound)
    }

    /// A measurement has promised more than could be proved.
    fn distrust(&mut self, now: Bounds, proved: f64) -> Result<(), SolveError> {
        self.goal = self.goal.min(STRICTER * now.relative());
        let elsewhere = proved > ELSEWHERE * now.relative();
        if elsewhere && !self.double && self.config.precision.is_none() {
            self.widen()?;
        }
        Ok(())
    }
}
