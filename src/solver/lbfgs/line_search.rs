//! A step length with the strong Wolfe conditions: Nocedal & Wright, algorithms 3.5 (bracket) and 3.6 (zoom).
//!
//! ```text
//! P(θ + t·d) ≤ P(θ) + c₁·t·∇P(θ)ᵀd          |∇P(θ + t·d)ᵀd| ≤ c₂·|∇P(θ)ᵀd|
//! ```
//!
//! Near the optimum the first condition compares numbers that differ by rounding only. There the slope decides instead, as in
//! W. Hager and H. Zhang, *A New Conjugate Gradient Method with Guaranteed Descent and an Efficient Line Search*, 2005
//! (approximate Wolfe conditions).

use super::dot;
use crate::solver::SolveError;

const C1: f64 = 1e-4;
const C2: f64 = 0.9;
/// Evaluations that one search may take.
const MOST: usize = 30;

/// A point with value and gradient of the function.
#[derive(Debug, Clone)]
pub(super) struct LinePoint {
    pub at: Vec<f64>,
    pub value: f64,
    pub gradient: Vec<f64>,
}

/// The function to minimise.
pub(super) trait Function {
    /// The function at a point.
    fn at(&mut self, at: Vec<f64>) -> Result<LinePoint, SolveError>;
    /// Whether no further evaluation may be made.
    fn is_exhausted(&self) -> bool;
}

/// A search along a direction of descent.
pub(super) struct Search<'a> {
    pub here: &'a LinePoint,
    pub direction: &'a [f64],
    /// ∇P(θ)ᵀd, below 0.
    pub slope: f64,
    /// The relative error of a value.
    pub noise: f64,
}

/// A tried step.
struct TriedStep {
    t: f64,
    slope: f64,
    point: LinePoint,
}

impl Search<'_> {
    /// The point at an acceptable step; where the evaluations run out, the lowest point found, if there is a lower one.
    pub fn run(&self, first: f64, function: &mut dyn Function) -> Result<Option<LinePoint>, SolveError> {
        let start = TriedStep { t: 0.0, slope: self.slope, point: self.here.clone() };
        let (mut before, mut t, mut tries) = (start, first, 0);
        while tries < MOST && !function.is_exhausted() {
            let trial = self.try_step(t, function)?;
            tries += 1;
            if !self.is_low(&trial) || (tries > 1 && !self.is_below(&trial, &before)) {
                return self.zoom(before, trial, tries, function);
            }
            if trial.slope.abs() <= -C2 * self.slope {
                return Ok(Some(trial.point));
            }
            if trial.slope >= 0.0 {
                return self.zoom(trial, before, tries, function);
            }
            // Further: where the cubic through both has its minimum, but at least twice and at most ten times as far.
            let guess = cubic(&before, &trial).filter(|g| g.is_finite()).unwrap_or(2.0 * t);
            t = guess.clamp(2.0 * t, 10.0 * t);
            before = trial;
        }
        Ok((before.t > 0.0).then_some(before.point))
    }

    /// Narrows a bracket: `low` is the lowest step that satisfies the first condition, the minimum lies towards `high`.
    fn zoom(
        &self,
        mut low: TriedStep,
        mut high: TriedStep,
        mut tries: usize,
        function: &mut dyn Function,
    ) -> Result<Option<LinePoint>, SolveError> {
        while tries < MOST && !function.is_exhausted() {
            let (left, right) = (low.t.min(high.t), low.t.max(high.t));
            let width = right - left;
            if width <= f64::EPSILON * right {
                break;
            }
            // The cubic's minimum, kept a tenth of the bracket away from its ends; the middle where it has none.
            let guess = cubic(&low, &high).filter(|g| g.is_finite()).unwrap_or_else(|| f64::midpoint(left, right));
            let trial = self.try_step(guess.clamp(left + 0.1 * width, right - 0.1 * width), function)?;
            tries += 1;
            if !self.is_low(&trial) || !self.is_below(&trial, &low) {
                high = trial;
                continue;
            }
            if trial.slope.abs() <= -C2 * self.slope {
                return Ok(Some(trial.point));
            }
            if trial.slope * (high.t - low.t) >= 0.0 {
                high = low;
            }
            low = trial;
        }
        Ok((low.t > 0.0 && low.point.value < self.here.value).then_some(low.point))
    }

    fn try_step(&self, t: f64, function: &mut dyn Function) -> Result<TriedStep, SolveError> {
        let at = self.here.at.iter().zip(self.direction).map(|(x, d)| x + t * d).collect();
        let point = function.at(at)?;
        Ok(TriedStep { t, slope: dot(&point.gradient, self.direction), point })
    }

    /// The first condition, or the slope's form of it where the values are equal but for rounding.
    fn is_low(&self, trial: &TriedStep) -> bool {
        let (value, start) = (trial.point.value, self.here.value);
        value <= start + C1 * trial.t * self.slope
            || ((value - start).abs() <= self.noise * start.abs() && trial.slope <= (2.0 * C1 - 1.0) * self.slope)
    }

    /// Whether a trial is lower than another one, by more than rounding could hide.
    fn is_below(&self, trial: &TriedStep, other: &TriedStep) -> bool {
        trial.point.value < other.point.value + self.noise * other.point.value.abs()
    }
}

/// The minimum of the cubic with the values and slopes of two steps (Nocedal & Wright, equation 3.59); `None` where it has none.
fn cubic(a: &TriedStep, b: &TriedStep) -> Option<f64> {
    let d1 = a.slope + b.slope - 3.0 * (a.point.value - b.point.value) / (a.t - b.t);
    let square = d1 * d1 - a.slope * b.slope;
    // Also where it is no number.
    if square.is_nan() || square < 0.0 {
        return None;
    }
    let d2 = (b.t - a.t).signum() * square.sqrt();
    Some(b.t - (b.t - a.t) * (b.slope + d2 - d1) / (b.slope - a.slope + 2.0 * d2))
}

#[cfg(test)]
mod tests {
    use super::*;

    type RealFunction = fn(f64) -> f64;

    /// A function of one variable.
    struct TestFunction {
        value: RealFunction,
        slope: RealFunction,
        left: usize,
    }

    impl Function for TestFunction {
        fn at(&mut self, at: Vec<f64>) -> Result<LinePoint, SolveError> {
            self.left -= 1;
            Ok(LinePoint { value: (self.value)(at[0]), gradient: vec![(self.slope)(at[0])], at })
        }

        fn is_exhausted(&self) -> bool {
            self.left == 0
        }
    }

    fn search(value: RealFunction, slope: RealFunction, first: f64, left: usize) -> Option<LinePoint> {
        let mut line = TestFunction { value, slope, left: left + 1 };
        let here = line.at(vec![0.0]).unwrap();
        let slope = here.gradient[0];
        (Search { here: &here, direction: &[1.0], slope, noise: 0.0 }).run(first, &mut line).unwrap()
    }

    #[test]
    fn steps_too_short_and_too_long_end_where_both_conditions_hold() {
        let functions: [(RealFunction, RealFunction); 3] = [
            (|t| (t - 3.0).powi(2), |t| 2.0 * (t - 3.0)),
            (|t| (t - 1.0).powi(4), |t| 4.0 * (t - 1.0).powi(3)),
            // Moré and Thuente's first: −t/(t² + 2), the minimum at √2, infinite curvature nowhere.
            (|t| -t / (t * t + 2.0), |t| (t * t - 2.0) / (t * t + 2.0).powi(2)),
        ];
        for (value, slope) in functions {
            for first in [1e-4, 1e-2, 1.0, 10.0, 1e3] {
                let found = search(value, slope, first, 100).expect("there is such a step");
                let (t, f) = (found.at[0], found.value);
                assert!(f <= value(0.0) + C1 * t * slope(0.0), "step {t} from {first} is not low enough");
                assert!(slope(t).abs() <= -C2 * slope(0.0), "step {t} from {first} is too steep");
            }
        }
    }

    #[test]
    fn values_that_are_not_finite_are_too_far() {
        let found = search(|t| if t > 2.0 { f64::NAN } else { (t - 1.0).powi(2) }, |t| 2.0 * (t - 1.0), 64.0, 100);
        assert!((found.unwrap().at[0] - 1.0).abs() <= C2);
    }

    #[test]
    fn without_evaluations_left_the_lowest_point_counts() {
        assert!(search(|t| (t - 3.0).powi(2), |t| 2.0 * (t - 3.0), 1e-3, 0).is_none());
        let found = search(|t| (t - 3.0).powi(2), |t| 2.0 * (t - 3.0), 1e-3, 1).unwrap();
        assert_eq!(found.at[0], 1e-3);
        // Uphill in spite of the slope: nothing is lower.
        assert!(search(|t| t, |_| -1.0, 1.0, 100).is_none());
    }
}
