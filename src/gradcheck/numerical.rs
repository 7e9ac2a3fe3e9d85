//! Finite differences of the mean loss, row by row, that step around kinks.
//!
//! Moving one weight W[j, k] by t moves column k of the scores by t·x_j and nothing else, so that a difference costs
//! O(n · n_classes). The differences are taken **per row** and then averaged: the rounding of the sum over the rows never
//! enters, and a kink in one row leaves the others centred.
//!
//! ```text
//! row without a kink:           (ℓ(h) − ℓ(−h)) / 2h
//! kink between 0 and h:         ( 3ℓ(0) − 4ℓ(−h/2) + ℓ(−h)) / h        exact up to and including power 2
//! kink between −h and 0:        (−3ℓ(0) + 4ℓ( h/2) − ℓ( h)) / h
//! kinks on both sides:          the same with h/10, down to 1e-9
//! ```

use super::report::{Kink, Side};
use super::routes::to_host;
use super::{GradcheckError, ModelPoint};
use burn::tensor::{DType, Int, Tensor, TensorData};

/// The usual step of the first attempt.
pub const STEP: f64 = 1e-5;
/// The smallest step.
pub const SMALLEST_STEP: f64 = 1e-9;

/// A numerical derivative of the mean loss.
#[derive(Debug, Clone)]
pub(super) struct Derivative {
    pub value: f64,
    /// By centred differences only.
    pub centred: f64,
    /// The smallest step used.
    pub step: f64,
    /// Rows are numbered within the sample.
    pub kinks: Vec<Kink>,
}

impl Derivative {
    pub fn resolved(&self) -> bool {
        self.kinks.iter().all(|k| k.side != Side::Both)
    }
}

/// One row on its way to a difference.
struct PendingKink {
    row: usize,
    kink: Option<(Side, Vec<usize>)>,
}

/// The losses of the sample as a function of a shift of one column of the scores.
pub(super) struct ShiftedColumn<'a> {
    pub point: &'a ModelPoint<'a>,
    /// `[n_samples, n_classes]`
    pub scores: &'a [f64],
    pub class: usize,
    /// Derivative of each row's score with respect to the parameter.
    pub slope: &'a [f64],
}

impl ShiftedColumn<'_> {
    pub fn row(&self, row: usize, shift: f64) -> Vec<f64> {
        let k = self.point.n_classes;
        let mut scores = self.scores[row * k..(row + 1) * k].to_vec();
        scores[self.class] += shift * self.slope[row];
        scores
    }

    /// The weighted losses of rows at their shifts, in one pass.
    pub fn losses(&self, at: &[(usize, f64)]) -> Result<Vec<f64>, GradcheckError> {
        let scores: Vec<f64> = at.iter().flat_map(|&(row, shift)| self.row(row, shift)).collect();
        let labels: Vec<u32> = at.iter().map(|&(row, _)| self.point.labels[row]).collect();
        let mut losses = self.point.losses(scores, &labels)?;
        losses.iter_mut().zip(at).for_each(|(loss, &(row, _))| *loss *= self.point.row_weight(row));
        Ok(losses)
    }

    /// The derivative at shift 0, starting with `step`.
    #[allow(clippy::cast_precision_loss)]
    pub fn derivative(&self, step: f64) -> Result<Derivative, GradcheckError> {
        let n = self.slope.len();
        let (mut sum, mut centred, mut kinks) = (0.0, 0.0, Vec::new());
        let mut rows: Vec<usize> = (0..n).collect();
        let mut h = step;
        loop {
            let both: Vec<_> = rows.iter().flat_map(|&r| [(r, -h), (r, h)]).collect();
            let losses = self.losses(&both)?;
            let smallest = h / 10.0 < SMALLEST_STEP * 0.99;
            let mut left = Vec::new();
            let mut one_sided = Vec::new();
            for (&row, pair) in rows.iter().zip(losses.chunks_exact(2)) {
                let difference = (pair[1] - pair[0]) / (2.0 * h);
                if rows.len() == n {
                    centred += difference;
                }
                let pending = PendingKink { row, kink: self.kink(row, h) };
                match &pending.kink {
                    None => sum += difference,
                    Some((Side::Both, _)) => left.push(pending),
                    Some(_) => one_sided.push(pending),
                }
            }
            sum += self.one_sided(&one_sided, h)?;
            kinks.extend(one_sided.into_iter().filter_map(|p| self.named(p)));
            if left.is_empty() || smallest {
                kinks.extend(left.into_iter().filter_map(|p| self.named(p)));
                kinks.sort_by_key(|k| k.row);
                return Ok(Derivative { value: sum / n as f64, centred: centred / n as f64, step: h, kinks });
            }
            rows = left.into_iter().map(|p| p.row).collect();
            h /= 10.0;
        }
    }

    fn named(&self, pending: PendingKink) -> Option<Kink> {
        let PendingKink { row, kink } = pending;
        kink.map(|(side, classes)| Kink { row, label: self.point.labels[row] as usize, classes, side })
    }

    /// The side of the row's kink within h, and its classes.
    fn kink(&self, row: usize, h: f64) -> Option<(Side, Vec<usize>)> {
        if self.slope[row] == 0.0 {
            return None;
        }
        let label = self.point.labels[row] as usize;
        let here = self.row(row, 0.0);
        let mut before = self.point.loss.kinks(&self.row(row, -h), &here, label);
        let after = self.point.loss.kinks(&here, &self.row(row, h), label);
        let side = match (before.is_empty(), after.is_empty()) {
            (true, true) => return None,
            (false, true) => Side::Before,
            (true, false) => Side::After,
            (false, false) => Side::Both,
        };
        before.extend(after);
        before.sort_unstable();
        before.dedup();
        Some((side, before))
    }

    /// The sum of the one-sided derivatives of rows.
    fn one_sided(&self, rows: &[PendingKink], h: f64) -> Result<f64, GradcheckError> {
        if rows.is_empty() {
            return Ok(0.0);
        }
        let towards = |p: &PendingKink| if matches!(p.kink, Some((Side::After, _))) { -h } else { h };
        let at: Vec<_> = rows.iter().flat_map(|p| [0.0, 0.5, 1.0].map(|t| (p.row, t * towards(p)))).collect();
        let losses = self.losses(&at)?;
        let slope = |(p, l): (&PendingKink, &[f64])| (-3.0 * l[0] + 4.0 * l[1] - l[2]) / towards(p);
        Ok(rows.iter().zip(losses.chunks_exact(3)).map(slope).sum())
    }
}

impl ModelPoint<'_> {
    /// The losses of rows of scores in f64 on the CPU, class weights included.
    pub(super) fn losses(&self, scores: Vec<f64>, labels: &[u32]) -> Result<Vec<f64>, GradcheckError> {
        let shape = [labels.len(), self.n_classes];
        let scores = Tensor::<2>::from_data(TensorData::new(scores, shape), (&self.device, DType::F64));
        to_host(self.loss.forward_no_reduction(scores, self.labels_tensor(labels)))
    }

    #[allow(clippy::cast_possible_wrap)]
    pub(super) fn labels_tensor(&self, labels: &[u32]) -> Tensor<1, Int> {
        let labels: Vec<i32> = labels.iter().map(|&l| l as i32).collect();
        let shape = [labels.len()];
        Tensor::from_data(TensorData::new(labels, shape), &self.device)
    }
}
