//! Quality of probabilities: log loss, Brier score, expected calibration error.

use crate::metric::argmax;
use serde::{Deserialize, Serialize};

/// Bins of the expected calibration error, as in Guo et al. 2017.
pub const BINS: usize = 15;

/// Quality of probabilities on labelled rows; less is better in each.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Mean of −log p_y, in nats.
    pub log_loss: f64,
    /// Mean of Σ_k (p_k − \[k = y\])², from 0 to 2.
    pub brier: f64,
    /// Σ_b (n_b/n)·|right_b/n_b − confidence_b/n_b| over [`BINS`] bins of the largest probability, ((b−1)/15, b/15\]; 0 to 1.
    pub expected_calibration_error: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct ConfidenceBin {
    rows: u64,
    right: u64,
    confidence: f64,
}

/// Sums from which [`Quality`] follows.
#[derive(Debug, Clone, Default)]
pub struct QualitySum {
    rows: u64,
    log_loss: f64,
    brier: f64,
    bins: [ConfidenceBin; BINS],
}

impl QualitySum {
    /// Counts a row by the logarithms of its probabilities.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub fn add(&mut self, log_probabilities: &[f64], label: usize) {
        let best = argmax(log_probabilities);
        let confidence = log_probabilities[best].exp();
        let error = |(k, l): (usize, &f64)| (l.exp() - f64::from(u8::from(k == label))).powi(2);
        self.rows += 1;
        self.log_loss -= log_probabilities[label];
        self.brier += log_probabilities.iter().enumerate().map(error).sum::<f64>();
        let bin = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        let bin = &mut self.bins[bin];
        bin.rows += 1;
        bin.right += u64::from(best == label);
        bin.confidence += confidence;
    }

    /// Adds the sums of other rows.
    pub fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.log_loss += other.log_loss;
        self.brier += other.brier;
        for (a, b) in self.bins.iter_mut().zip(&other.bins) {
            a.rows += b.rows;
            a.right += b.right;
            a.confidence += b.confidence;
        }
    }

    /// The means; `None` for no rows.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn quality(&self) -> Option<Quality> {
        let n = self.rows as f64;
        let error = self.bins.iter().map(|b| (b.right as f64 - b.confidence).abs()).sum::<f64>() / n;
        (self.rows > 0).then(|| Quality {
            log_loss: self.log_loss / n,
            brier: self.brier / n,
            expected_calibration_error: error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_rows_by_hand() {
        let rows = [([0.8f64, 0.2], 0), ([0.8, 0.2], 1), ([0.1, 0.9], 1)];
        let mut sum = QualitySum::default();
        for (p, label) in rows {
            let mut part = QualitySum::default();
            part.add(&p.map(f64::ln), label);
            sum.merge(&part);
        }
        let found = sum.quality().unwrap();
        assert!((found.log_loss + (0.8f64.ln() + 0.2f64.ln() + 0.9f64.ln()) / 3.0).abs() < 1e-15);
        assert!((found.brier - (0.08 + 1.28 + 0.02) / 3.0).abs() < 1e-15);
        // One bin with 1 of 2 right at 0.8, one with 1 of 1 at 0.9.
        assert!((found.expected_calibration_error - (0.6 + 0.1) / 3.0).abs() < 1e-15);
        assert_eq!(QualitySum::default().quality(), None);
    }
}
