//! The hinges that take one pass over the margins: value and slopes in one go and in place, in single or double precision.
//!
//! A class that is not charged has the margin −∞.

// Index loops over arrays of known length, which the compiler turns into vectors.
#![allow(clippy::needless_range_loop)]

use super::{Loss, Power};
use crate::kernel::Real;
#[cfg(all(feature = "cube", not(feature = "fusion")))]
use crate::kernel::cube::{ChargeKind, Charges};

/// Numbers that are worked on together.
const LANES: usize = 8;

/// A hinge of margins z.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hinge {
    /// Σ max(0, z)^p
    All(Power),
    /// max(0, largest z)^p
    Worst(Power),
}

impl Hinge {
    /// Turns scores into the slopes of their margins `margin(j, score)`; the value, and the sum of the slopes.
    #[inline(always)]
    pub(super) fn charge<T: Real>(self, scores: &mut [T], margin: impl Fn(usize, T) -> T) -> (T, T) {
        match self {
            Self::All(power) => all(scores, margin, power),
            Self::Worst(power) => worst(scores, margin, power),
        }
    }
}

/// max(0, z)^p, which keeps a NaN, and its slope, 0 where the margin is exactly met.
#[inline(always)]
fn charge<T: Real>(z: T, power: Power) -> (T, T) {
    let zero = T::default();
    let hinge = if z <= zero { zero } else { z };
    match power {
        Power::One => (hinge, if z > zero { T::from_f64(1.0) } else { zero }),
        Power::Two => (hinge * hinge, if z > zero { z + z } else { zero }),
    }
}

/// Σ max(0, z)^p and the sum of its slopes, which take the place of the scores.
#[inline(always)]
fn all<T: Real>(scores: &mut [T], margin: impl Fn(usize, T) -> T, power: Power) -> (T, T) {
    let (mut loss, mut total) = ([T::default(); LANES], [T::default(); LANES]);
    let whole = scores.len() / LANES * LANES;
    let mut at = 0;
    while at < whole {
        let group = &mut scores[at..at + LANES];
        for l in 0..LANES {
            let (value, slope) = charge(margin(at + l, group[l]), power);
            loss[l] += value;
            total[l] += slope;
            group[l] = slope;
        }
        at += LANES;
    }
    let rest = &mut scores[whole..];
    for l in 0..rest.len() {
        let (value, slope) = charge(margin(whole + l, rest[l]), power);
        loss[l] += value;
        total[l] += slope;
        rest[l] = slope;
    }
    (sum(loss), sum(total))
}

/// The largest margin to the power and its slope, which takes the place of its score, the lowest index on a tie; 0 elsewhere. A NaN is
/// the largest margin, with slope 0.
#[inline(always)]
fn worst<T: Real>(scores: &mut [T], margin: impl Fn(usize, T) -> T, power: Power) -> (T, T) {
    let zero = T::default();
    let (mut largest, mut index, mut invalid) = (T::from_f64(f64::NEG_INFINITY), 0, None);
    for j in 0..scores.len() {
        let z = margin(j, scores[j]);
        if z > largest {
            (largest, index) = (z, j);
        }
        if z.partial_cmp(&z).is_none() {
            invalid = Some(z);
        }
        scores[j] = zero;
    }
    if let Some(invalid) = invalid {
        return (invalid, zero);
    }
    let (value, slope) = charge(largest, power);
    scores[index] = slope;
    (value, slope)
}

#[inline(always)]
fn sum<T: Real>(values: [T; LANES]) -> T {
    let mut sum = T::default();
    for l in 0..LANES {
        sum += values[l];
    }
    sum
}

impl Loss {
    /// Turns the scores of a row into its gradient and returns its loss, class weight included: [`Loss::of_row`] and
    /// [`Loss::gradient_of_row`] in one go, in single precision. Scores beyond `n_classes` are −∞ and become 0. The k largest margins and
    /// what is smoothed go through double precision.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation)]
    pub(crate) fn charge_row(&self, scores: &mut [f32], n_classes: usize, label: usize) -> f32 {
        let Some(hinge) = self.set.plain() else {
            return self.charge_in_double(scores, n_classes, label);
        };
        let loss = self.margins.charge(scores, label, hinge);
        let weight = self.class_weight(label) as f32;
        if weight == 1.0 {
            return loss;
        }
        for j in 0..scores.len() {
            scores[j] *= weight;
        }
        weight * loss
    }

    /// The kernel of its margins on a GPU; `None` where they are composed of tensor operations.
    #[cfg(all(feature = "cube", not(feature = "fusion")))]
    #[allow(clippy::cast_possible_truncation)]
    pub(crate) fn charges(&self) -> Option<Charges> {
        let kind = match (self.set.plain()?, self.margins.differences()) {
            (Hinge::All(_), true) => ChargeKind::Sum,
            (Hinge::All(_), false) => ChargeKind::Each,
            (Hinge::Worst(_), true) => ChargeKind::Worst,
            (Hinge::Worst(_), false) => return None,
        };
        Some(Charges { kind, squared: self.set.power == Power::Two, margin: self.margins.constant()? as f32 })
    }

    #[inline(never)]
    #[allow(clippy::cast_possible_truncation)]
    fn charge_in_double(&self, scores: &mut [f32], n_classes: usize, label: usize) -> f32 {
        let wide: Vec<f64> = scores[..n_classes].iter().map(|&s| f64::from(s)).collect();
        let mut q = vec![0.0; n_classes];
        self.gradient_of_row(&wide, label, &mut q);
        scores.fill(0.0);
        scores.iter_mut().zip(&q).for_each(|(s, &q)| *s = q as f32);
        self.of_row(&wide, label) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loss::Formulation;

    /// Scores on a grid: margins are met exactly and tie.
    fn losses() -> Vec<Loss> {
        let plain = |f: Formulation| f.powers().iter().map(move |&p| Loss::new(f, 1.0, p));
        let more = |l: Loss| {
            let smooth = l.clone().power(Power::One).smoothing(0.5);
            [l.clone().class_weights((0..12).map(|c| f64::from(c) / 4.0).collect()), smooth, l]
        };
        Formulation::ALL.into_iter().flat_map(plain).flat_map(more).collect()
    }

    #[test]
    fn a_row_is_charged_as_the_host_charges_it() {
        for loss in losses() {
            for seed in 0..300usize {
                let k = 2 + seed % 11;
                let label = seed % k;
                let wide: Vec<f64> = (0..k).map(|j| ((seed * 31 + j * j * 17) % 9) as f64 / 2.0 - 2.0).collect();
                let mut q = vec![0.0; k];
                loss.gradient_of_row(&wide, label, &mut q);
                let mut row: Vec<f32> = wide.iter().map(|&s| s as f32).collect();
                row.resize(k.next_multiple_of(8), f32::NEG_INFINITY);
                let value = loss.charge_row(&mut row, k, label);
                assert_eq!(value, loss.of_row(&wide, label) as f32, "{loss:?} {wide:?} {label}");
                let expected = q.iter().map(|&q| q as f32).chain(std::iter::repeat_n(0.0, row.len() - k));
                assert!(row.iter().zip(expected).all(|(a, b)| *a == b), "{loss:?} {wide:?} {label}: {row:?} {q:?}");
            }
        }
    }

    #[test]
    fn a_score_that_is_no_number_costs_no_number() {
        for loss in losses() {
            for label in [0, 1] {
                let weight = loss.class_weight(label);
                let mut row = [0.0, 1.0, f32::NAN, f32::NEG_INFINITY];
                let value = loss.charge_row(&mut row, 3, label);
                assert!(value.is_nan() || loss.set.smoothing > 0.0, "{loss:?} {weight} {label}: {value}");
            }
        }
    }
}
