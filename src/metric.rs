//! What a set of scores is worth: accuracy, top-k, confusion matrix, and precision, recall and F1 of each class.

use serde::Serialize;

/// The class with the largest score, the lowest index on a tie.
#[must_use]
pub fn argmax(scores: &[f64]) -> usize {
    let mut best = 0;
    for (j, s) in scores.iter().enumerate().skip(1) {
        if *s > scores[best] || scores[best].is_nan() && !s.is_nan() {
            best = j;
        }
    }
    best
}

/// True when fewer than `k` classes stand before the label, a tie counting for the lower index.
#[must_use]
pub fn in_top_k(scores: &[f64], label: usize, k: usize) -> bool {
    let own = scores[label];
    let before = scores.iter().enumerate().filter(|&(j, s)| *s > own || (*s == own && j < label)).count();
    before < k && !own.is_nan()
}

/// Counts of predictions: rows of true classes, columns of predicted ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Confusion {
    n_classes: usize,
    counts: Vec<u64>,
}

/// How well one class is found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ClassReport {
    /// Of the rows predicted as this class, the share that is of it; 0 where there is none.
    pub precision: f64,
    /// Of the rows of this class, the share that was found; 0 where there is none.
    pub recall: f64,
    /// The harmonic mean of the two; 0 where both are.
    pub f1: f64,
    /// Rows of this class.
    pub support: u64,
    /// Rows predicted as this class.
    pub predicted: u64,
}

impl ClassReport {
    /// Whether the class is met at all, as a label or as a prediction.
    #[must_use]
    pub const fn occurs(&self) -> bool {
        self.support > 0 || self.predicted > 0
    }
}

impl Confusion {
    /// No predictions yet.
    #[must_use]
    pub fn new(n_classes: usize) -> Self {
        Self { n_classes, counts: vec![0; n_classes * n_classes] }
    }

    /// The matrix of these counts, row by row; `None` where they are not `n_classes` rows of `n_classes`.
    #[must_use]
    pub fn of_counts(n_classes: usize, counts: Vec<u64>) -> Option<Self> {
        (n_classes > 0 && n_classes.checked_mul(n_classes) == Some(counts.len())).then_some(Self { n_classes, counts })
    }

    /// Counts one row.
    pub fn add(&mut self, label: usize, predicted: usize) {
        self.counts[label * self.n_classes + predicted] += 1;
    }

    /// Adds the counts of another part of the data.
    pub fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(a, b)| *a += b);
    }

    /// Number of classes.
    #[must_use]
    pub const fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Rows of class `label` that were predicted as `predicted`.
    #[must_use]
    pub fn count(&self, label: usize, predicted: usize) -> u64 {
        self.counts[label * self.n_classes + predicted]
    }

    /// The `most` pairs (true, predicted) that are most often confused, with their counts, those that occur only; ties in the
    /// order of the classes.
    #[must_use]
    pub fn most_confused(&self, most: usize) -> Vec<(u64, usize, usize)> {
        let k = self.n_classes;
        let wrong = self.counts.iter().enumerate().filter(|&(at, &count)| count > 0 && at / k != at % k);
        let mut pairs: Vec<(u64, usize, usize)> = wrong.map(|(at, &count)| (count, at / k, at % k)).collect();
        pairs.sort_by_key(|&(count, i, j)| (std::cmp::Reverse(count), i, j));
        pairs.truncate(most);
        pairs
    }

    /// Rows counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The share of rows on the diagonal; 0 for no rows.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn accuracy(&self) -> f64 {
        let right: u64 = (0..self.n_classes).map(|k| self.count(k, k)).sum();
        if self.total() == 0 { 0.0 } else { right as f64 / self.total() as f64 }
    }

    /// Precision, recall and F1 of each class.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn classes(&self) -> Vec<ClassReport> {
        let k = self.n_classes;
        let mut predicted = vec![0u64; k];
        for row in self.counts.chunks_exact(k.max(1)) {
            predicted.iter_mut().zip(row).for_each(|(sum, count)| *sum += count);
        }
        let class = |(i, predicted): (usize, u64)| {
            let support: u64 = self.counts[i * k..(i + 1) * k].iter().sum();
            let right = self.count(i, i) as f64;
            let share = |of: u64| if of == 0 { 0.0 } else { right / of as f64 };
            let (precision, recall) = (share(predicted), share(support));
            let f1 = if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) };
            ClassReport { precision, recall, f1, support, predicted }
        };
        predicted.into_iter().enumerate().map(class).collect()
    }

    /// The mean over classes, each counting the same (`weighted = false`) or by its rows; 0 for no rows.
    ///
    /// Classes that are neither labels nor predictions of these rows are left out of the plain mean, as scikit-learn's
    /// `classification_report` leaves them out: they say nothing about the model.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn mean(&self, weighted: bool) -> ClassReport {
        let classes: Vec<ClassReport> = self.classes().into_iter().filter(ClassReport::occurs).collect();
        let total = self.total();
        let mut mean = ClassReport { precision: 0.0, recall: 0.0, f1: 0.0, support: total, predicted: total };
        for class in &classes {
            let share = if weighted { class.support as f64 / total.max(1) as f64 } else { 1.0 / classes.len() as f64 };
            mean.precision += share * class.precision;
            mean.recall += share * class.recall;
            mean.f1 += share * class.f1;
        }
        mean
    }

    /// The mean recall of the classes that have rows; 0 for no rows.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn balanced_accuracy(&self) -> f64 {
        let recalls: Vec<f64> = self.classes().iter().filter(|c| c.support > 0).map(|c| c.recall).collect();
        recalls.iter().sum::<f64>() / recalls.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_lowest_class() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
        assert_eq!(argmax(&[f64::NAN, 3.0, 2.0]), 1);
        assert!(in_top_k(&[1.0, 3.0, 3.0], 1, 1));
        assert!(!in_top_k(&[1.0, 3.0, 3.0], 2, 1));
        assert!(in_top_k(&[1.0, 3.0, 3.0], 2, 2));
    }

    #[test]
    fn class_reports_by_hand() {
        // true 0: 3 right, 1 taken for 1; true 1: 2 right; class 2 never seen, once predicted for a 1.
        let mut confusion = Confusion::new(3);
        for (label, predicted) in [(0, 0), (0, 0), (0, 0), (0, 1), (1, 1), (1, 1), (1, 2)] {
            confusion.add(label, predicted);
        }
        assert!((confusion.accuracy() - 5.0 / 7.0).abs() < 1e-15);
        let one = confusion.classes()[1];
        assert!((one.precision - 2.0 / 3.0).abs() < 1e-15 && (one.recall - 2.0 / 3.0).abs() < 1e-15);
        let two = ClassReport { precision: 0.0, recall: 0.0, f1: 0.0, support: 0, predicted: 1 };
        assert_eq!(confusion.classes()[2], two);
        assert!((confusion.balanced_accuracy() - (0.75 + 2.0 / 3.0) / 2.0).abs() < 1e-15);
        assert!((confusion.mean(false).recall - (0.75 + 2.0 / 3.0) / 3.0).abs() < 1e-15);
        assert!((confusion.mean(true).recall - confusion.accuracy()).abs() < 1e-15);
        // A fourth class that is not met changes none of the means.
        let mut wider = Confusion::new(4);
        for (label, predicted) in [(0, 0), (0, 0), (0, 0), (0, 1), (1, 1), (1, 1), (1, 2)] {
            wider.add(label, predicted);
        }
        assert_eq!((wider.mean(false), wider.mean(true)), (confusion.mean(false), confusion.mean(true)));
        assert_eq!(Confusion::new(2).mean(false).recall, 0.0);
        assert_eq!(confusion.most_confused(1), [(1, 0, 1)]);
    }
}
