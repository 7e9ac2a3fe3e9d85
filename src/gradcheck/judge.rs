//! Lines and verdict: numerical values against the candidates.

use super::numerical::{Derivative, SMALLEST_STEP, ShiftedColumn};
use super::report::{Coordinate, GradientPoint, Judgement, Losses, Parameter, Report, Verdict};
use super::routes::{Gradient, relative};
use super::{GradcheckError, ModelPoint, TOLERANCE, WHOLE_TOLERANCE, diagnosis};
use rand::seq::{SliceRandom, index};
use rand_chacha::ChaCha8Rng;

/// Differences below this times max(1, loss) are no error, whatever their ratio to a tiny gradient.
const FLOOR: f64 = 1e-9;
/// A relative error above this calls for a smaller step, or is rounding.
const DOUBT: f64 = 1e-7;

/// The gradients to check at one λ.
pub(super) struct Candidates {
    pub lambda: f64,
    pub analytic: Gradient,
    pub autodiff: Gradient,
}

impl Candidates {
    /// ‖autodiff − analytic‖ over the larger of their norms.
    fn discrepancy(&self) -> f64 {
        relative(self.autodiff.distance(&self.analytic), self.autodiff.norm().max(self.analytic.norm()))
    }
}

impl Gradient {
    pub(super) fn at(&self, parameter: Parameter, n_classes: usize) -> f64 {
        match parameter {
            Parameter::Weight { feature, class } => self.weight[feature * n_classes + class],
            Parameter::Bias { class } => self.bias.as_ref().map_or(0.0, |b| b[class]),
        }
    }
}

/// |a − b| / (|a| + |b|); 0 where that is in doubt, but the difference is below the floor; NaN where one of them is.
pub(super) fn relative_error(a: f64, b: f64, loss: f64) -> f64 {
    let difference = (a - b).abs();
    if difference == 0.0 {
        return 0.0;
    }
    let error = difference / (a.abs() + b.abs());
    if error > DOUBT && difference <= FLOOR * loss.max(1.0) { 0.0 } else { error }
}

/// The larger of the two; NaN where one of them is.
fn worse(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

impl ModelPoint<'_> {
    /// Coordinates to check: a fifth of them biases where there are any, the others weights of features that some row has.
    pub(super) fn draw_coordinates(&self, count: usize, rng: &mut ChaCha8Rng) -> Vec<Parameter> {
        let (d, k) = (self.n_features, self.n_classes);
        let used = |&j: &usize| self.features.iter().skip(j).step_by(d).any(|x| *x != 0.0);
        let features: Vec<usize> = (0..d).filter(used).collect();
        let features = if features.is_empty() { (0..d).collect() } else { features };
        let biases = if self.bias.is_some() { count.div_ceil(5).min(k) } else { 0 };
        let weights = (count - biases).min(features.len() * k);
        let mut drawn: Vec<Parameter> = index::sample(rng, features.len() * k, weights)
            .into_iter()
            .map(|i| Parameter::Weight { feature: features[i / k], class: i % k })
            .collect();
        drawn.extend(index::sample(rng, k, biases).into_iter().map(|class| Parameter::Bias { class }));
        drawn.shuffle(rng);
        drawn
    }

    /// The value of a parameter and the factor of its square in (λ/2)·(...).
    pub(super) fn parameter(&self, parameter: Parameter) -> (f64, f64) {
        match parameter {
            Parameter::Weight { feature, class } => (self.weight[feature * self.n_classes + class], 1.0),
            Parameter::Bias { class } => (self.bias.as_ref().map_or(0.0, |b| b[class]), self.rule.penalty_factor()),
        }
    }

    /// The centred difference of the penalty, of which only this parameter's summand changes.
    fn penalty_difference(&self, parameter: Parameter, lambda: f64) -> f64 {
        let regulariser = self.regulariser(lambda);
        let penalty = |shift: f64| match parameter {
            Parameter::Weight { .. } => regulariser.penalty(&[self.parameter(parameter).0 + shift], None),
            Parameter::Bias { .. } => regulariser.penalty(&[], Some(&[self.parameter(parameter).0 + shift])),
        };
        (penalty(self.step) - penalty(-self.step)) / (2.0 * self.step)
    }

    /// Derivative of each row's score with respect to the parameter.
    pub(super) fn slope(&self, parameter: Parameter) -> Vec<f64> {
        match parameter {
            Parameter::Weight { feature, .. } => {
                self.features.iter().skip(feature).step_by(self.n_features).copied().collect()
            }
            Parameter::Bias { .. } => vec![1.0; self.n_samples()],
        }
    }

    /// One line.
    fn line(&self, parameter: Parameter, candidates: &Candidates, found: &Derivative, loss: f64) -> Coordinate {
        let penalty = self.penalty_difference(parameter, candidates.lambda);
        let numerical = found.value + penalty;
        let analytic = candidates.analytic.at(parameter, self.n_classes);
        let autodiff = candidates.autodiff.at(parameter, self.n_classes);
        let against = |value: f64| worse(relative_error(value, analytic, loss), relative_error(value, autodiff, loss));
        let (relative_error, centred) = (against(numerical), found.centred + penalty);
        let judgement = match (found.resolved(), relative_error <= TOLERANCE) {
            (false, _) => Judgement::KinkUnresolved,
            (true, true) => Judgement::Agreed,
            (true, false) => Judgement::Failed,
        };
        Coordinate {
            parameter,
            regularised: candidates.lambda > 0.0,
            numerical,
            analytic,
            autodiff,
            centred,
            centred_error: against(centred),
            relative_error,
            step: found.step,
            kinks: found.kinks.clone(),
            judgement,
        }
    }

    /// The lines of one parameter, one for each λ; a line in doubt is tried again with smaller steps, the best stays.
    fn lines(
        &self,
        parameter: Parameter,
        candidates: &[Candidates],
        scores: &[f64],
        losses: &[f64],
    ) -> Result<Vec<Coordinate>, GradcheckError> {
        let slope = self.slope(parameter);
        let shifted = ShiftedColumn { point: self, scores, class: parameter.class(), slope: &slope };
        let all = |found: &Derivative| -> Vec<Coordinate> {
            candidates.iter().zip(losses).map(|(c, &loss)| self.line(parameter, c, found, loss)).collect()
        };
        let mut best = all(&shifted.derivative(self.step)?);
        for step in [10.0, 100.0, 1000.0].map(|times| self.step / times) {
            if step < SMALLEST_STEP || !best.iter().any(in_doubt) {
                break;
            }
            for (best, line) in best.iter_mut().zip(all(&shifted.derivative(step)?)) {
                if in_doubt(best) && line.relative_error < best.relative_error {
                    *best = line;
                }
            }
        }
        Ok(best)
    }

    /// Everything but the device.
    pub(super) fn report(
        &self,
        candidates: &[Candidates],
        at: GradientPoint,
        at_random: f64,
        count: usize,
        seed: u64,
        rng: &mut ChaCha8Rng,
    ) -> Result<Report, GradcheckError> {
        let scores = self.scores();
        let data_loss = self.data_loss(&scores)?;
        let losses = Losses {
            at_zero: self.data_loss(&vec![0.0; scores.len()])?,
            expected_at_zero: self.expected_at_zero,
            at_random,
            data_loss,
            objective: data_loss + self.penalty(),
        };
        let totals = [data_loss, losses.objective];
        let mut by_lambda = vec![Vec::new(); candidates.len()];
        for parameter in self.draw_coordinates(count, rng) {
            let lines = self.lines(parameter, candidates, &scores, &totals)?;
            by_lambda.iter_mut().zip(lines).for_each(|(all, line)| all.push(line));
        }
        let coordinates = by_lambda.concat();
        let whole = candidates.iter().map(Candidates::discrepancy).fold(0.0, worse);
        let mut verdict = summary(&coordinates);
        verdict.passed = verdict.failed == 0 && losses.zero_is_right() && whole <= WHOLE_TOLERANCE;
        if !verdict.passed {
            verdict.cause = Some(diagnosis::cause(self, candidates, &coordinates, &losses));
        }
        Ok(Report {
            loss: self.loss.name().to_owned(),
            n_samples: self.n_samples(),
            n_features: self.n_features,
            n_classes: self.n_classes,
            lambda: self.lambda,
            bias: self.rule,
            seed,
            at,
            losses,
            coordinates,
            autodiff_vs_analytic: whole,
            device: None,
            profiles: Vec::new(),
            verdict,
        })
    }
}

/// Whether a line is worse than correct code has to be, so that a smaller step is worth trying.
fn in_doubt(line: &Coordinate) -> bool {
    line.judgement != Judgement::KinkUnresolved && (line.relative_error.is_nan() || line.relative_error > DOUBT)
}

fn summary(lines: &[Coordinate]) -> Verdict {
    let count = |judgement| lines.iter().filter(|l| l.judgement == judgement).count();
    let judged = lines.iter().filter(|l| l.judgement != Judgement::KinkUnresolved);
    Verdict {
        checked: lines.len(),
        agreed: count(Judgement::Agreed),
        kinks: lines.iter().filter(|l| !l.kinks.is_empty()).count(),
        unresolved: count(Judgement::KinkUnresolved),
        failed: count(Judgement::Failed),
        max_relative_error: judged.map(|l| l.relative_error).fold(0.0, worse),
        cause: None,
        passed: false,
    }
}
