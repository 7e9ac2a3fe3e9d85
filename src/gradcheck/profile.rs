//! The mean loss along one coordinate around a kink, for a picture: the corner, the slopes on its two sides, and the chord of the
//! centred difference.

use super::numerical::ShiftedColumn;
use super::report::{Coordinate, Kink, Parameter, Side};
use super::routes::to_host;
use super::{GradcheckError, ModelPoint};
use burn::tensor::{DType, Tensor, TensorData};
use serde::Serialize;

/// Steps that are followed to each side.
const REACH: f64 = 5.0;
/// Points to a step.
const FINENESS: i32 = 10;
/// Halvings of the interval that holds the corner.
const HALVINGS: usize = 40;

/// The mean loss, without the regulariser, as a function of the shift t of one weight.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    /// The weight that is shifted.
    pub parameter: Parameter,
    /// The kink within the step: that of the row whose slope changes most.
    pub kink: Kink,
    /// The step h of the centred difference.
    pub step: f64,
    /// t, and the mean loss at t less that at 0, from −5h to 5h.
    pub points: Vec<(f64, f64)>,
    /// Shift of the corner, where the row's margin is 0.
    pub corner: f64,
    /// The slope of the mean loss at t = 0: the gradient.
    pub gradient: f64,
    /// The slope beyond the corner, but for kinks of other rows.
    pub beyond: f64,
    /// The slope of the chord from −h to h: the centred difference.
    pub centred: f64,
}

impl ModelPoint<'_> {
    /// The profiles along the first coordinates that have a kink to one side.
    pub(super) fn profiles(&self, lines: &[Coordinate], most: usize) -> Result<Vec<Profile>, GradcheckError> {
        let scores = self.scores();
        let of_line = |line: &Coordinate| {
            let slope = self.slope(line.parameter);
            let one_sided = line.kinks.iter().filter(|kink| kink.side != Side::Both);
            let kink = one_sided.max_by(|a, b| slope[a.row].abs().total_cmp(&slope[b.row].abs()))?.clone();
            Some(self.profile(
                line,
                kink,
                &ShiftedColumn { point: self, scores: &scores, class: line.parameter.class(), slope: &slope },
            ))
        };
        lines.iter().filter(|line| !line.regularised).filter_map(of_line).take(most).collect()
    }

    #[allow(clippy::cast_precision_loss)]
    fn profile(&self, line: &Coordinate, kink: Kink, shifted: &ShiftedColumn<'_>) -> Result<Profile, GradcheckError> {
        let (n, h) = (self.n_samples(), self.step);
        let rows: Vec<usize> = (0..n).collect();
        let mean = |t: f64| -> Result<f64, GradcheckError> {
            let at: Vec<(usize, f64)> = rows.iter().map(|&row| (row, t)).collect();
            Ok(shifted.losses(&at)?.iter().sum::<f64>() / n as f64)
        };
        let here = mean(0.0)?;
        #[allow(clippy::cast_possible_truncation)]
        let last = REACH as i32 * FINENESS;
        let shifts = (-last..=last).map(|i| h * f64::from(i) / f64::from(FINENESS));
        let points: Result<Vec<_>, _> = shifts.map(|t| mean(t).map(|loss| (t, loss - here))).collect();
        let corner = self.corner(&kink, shifted);
        let jump = self.jump(&kink, shifted, corner)?;
        let Coordinate { parameter, analytic: gradient, centred, .. } = *line;
        Ok(Profile { parameter, kink, step: h, points: points?, corner, gradient, beyond: gradient + jump, centred })
    }

    /// The shift of the kink, between 0 and the step on its side.
    fn corner(&self, kink: &Kink, shifted: &ShiftedColumn<'_>) -> f64 {
        let here = shifted.row(kink.row, 0.0);
        let (mut near, mut far) = (0.0, if kink.side == Side::After { self.step } else { -self.step });
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(near, far);
            let there = shifted.row(kink.row, middle);
            let (before, after) = if far > 0.0 { (&here, &there) } else { (&there, &here) };
            if self.loss.kinks(before, after, kink.label).is_empty() { near = middle } else { far = middle }
        }
        far
    }

    /// The change of the mean loss's slope at the corner, away from t = 0: that of the row's own.
    #[allow(clippy::cast_precision_loss)]
    fn jump(&self, kink: &Kink, shifted: &ShiftedColumn<'_>, corner: f64) -> Result<f64, GradcheckError> {
        let (k, class) = (self.n_classes, shifted.class);
        let scores = [0.0, corner + 1e-3 * self.step * corner.signum()].map(|t| shifted.row(kink.row, t)).concat();
        let scores = Tensor::<2>::from_data(TensorData::new(scores, [2, k]), (&self.device, DType::F64));
        let label = self.labels[kink.row];
        let q = to_host(self.loss.gradient(scores, self.labels_tensor(&[label, label])))?;
        Ok((q[k + class] - q[class]) * shifted.slope[kink.row] * self.row_weight(kink.row) / self.n_samples() as f64)
    }
}
