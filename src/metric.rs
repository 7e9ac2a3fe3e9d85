//! Measures of scores: accuracy, top-k, confusion matrix, and precision, recall and F1 of each class.

mod curves;

pub use curves::{ClassCurves, mean, mean_curve};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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

/// Classes up to which every cell of a confusion matrix is kept; beyond, those that are not zero.
pub const MOST_DENSE: usize = 1_000;

/// Counts of predictions: rows of true classes, columns of predicted ones. In memory for the rows that are counted, however many
/// classes there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    n_classes: usize,
    cells: ConfusionCells,
}

/// The cells of a matrix; by the number of classes one or the other, so that equal matrices are equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum ConfusionCells {
    /// Row after row.
    Dense(Vec<u64>),
    /// Those that are not zero, by label and prediction.
    Sparse(BTreeMap<(usize, usize), u64>),
}

/// Precision, recall and F1 of one class.
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
        let cells = if n_classes <= MOST_DENSE {
            ConfusionCells::Dense(vec![0; n_classes * n_classes])
        } else {
            ConfusionCells::Sparse(BTreeMap::new())
        };
        Self { n_classes, cells }
    }

    /// The matrix of these counts, row by row; `None` where they are not `n_classes` rows of `n_classes`.
    #[must_use]
    pub fn of_counts(n_classes: usize, counts: Vec<u64>) -> Option<Self> {
        if n_classes == 0 || n_classes.checked_mul(n_classes) != Some(counts.len()) {
            return None;
        }
        if n_classes <= MOST_DENSE {
            return Some(Self { n_classes, cells: ConfusionCells::Dense(counts) });
        }
        let mut confusion = Self::new(n_classes);
        counts.into_iter().enumerate().for_each(|(at, count)| confusion.put(at / n_classes, at % n_classes, count));
        Some(confusion)
    }

    /// Adds to a cell.
    ///
    /// # Panics
    /// When a class is out of range (a programming error).
    pub fn put(&mut self, label: usize, predicted: usize, count: u64) {
        assert!(label < self.n_classes && predicted < self.n_classes, "no class {label} or {predicted}");
        match &mut self.cells {
            ConfusionCells::Dense(counts) => {
                let cell = &mut counts[label * self.n_classes + predicted];
                *cell = cell.saturating_add(count);
            }
            ConfusionCells::Sparse(_) if count == 0 => {}
            ConfusionCells::Sparse(cells) => {
                let cell = cells.entry((label, predicted)).or_insert(0);
                *cell = cell.saturating_add(count);
            }
        }
    }

    /// Counts one row.
    pub fn add(&mut self, label: usize, predicted: usize) {
        self.put(label, predicted, 1);
    }

    /// Whether it is of so many classes, which one that came from elsewhere may not be.
    pub(crate) fn fits(&self, n_classes: usize) -> bool {
        let of_classes = match &self.cells {
            ConfusionCells::Dense(counts) => n_classes.checked_mul(n_classes) == Some(counts.len()),
            ConfusionCells::Sparse(cells) => cells.keys().all(|&(label, predicted)| label.max(predicted) < n_classes),
        };
        of_classes && self.n_classes == n_classes
    }

    /// Adds the counts of another part of the data.
    pub fn merge(&mut self, other: &Self) {
        other.cells().for_each(|(label, predicted, count)| self.put(label, predicted, count));
    }

    /// Number of classes.
    #[must_use]
    pub const fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Whether every cell is kept: whether the whole matrix is worth writing.
    #[must_use]
    pub const fn is_dense(&self) -> bool {
        matches!(self.cells, ConfusionCells::Dense(_))
    }

    /// Rows of class `label` that were predicted as `predicted`.
    #[must_use]
    pub fn count(&self, label: usize, predicted: usize) -> u64 {
        match &self.cells {
            ConfusionCells::Dense(counts) => counts[label * self.n_classes + predicted],
            ConfusionCells::Sparse(cells) => cells.get(&(label, predicted)).copied().unwrap_or(0),
        }
    }

    /// The cells that are not zero, as (true, predicted, count), row after row.
    pub fn cells(&self) -> Box<dyn Iterator<Item = (usize, usize, u64)> + '_> {
        let k = self.n_classes;
        match &self.cells {
            ConfusionCells::Dense(counts) => {
                let all = counts.iter().enumerate().map(move |(at, &count)| (at / k, at % k, count));
                Box::new(all.filter(|cell| cell.2 > 0))
            }
            ConfusionCells::Sparse(cells) => Box::new(cells.iter().map(|(&(i, j), &count)| (i, j, count))),
        }
    }

    /// The `most` pairs (true, predicted) that are most often confused, with their counts, those that occur only; ties in the
    /// order of the classes.
    #[must_use]
    pub fn most_confused(&self, most: usize) -> Vec<(u64, usize, usize)> {
        let mut pairs: Vec<(u64, usize, usize)> =
            self.cells().filter(|(i, j, _)| i != j).map(|(i, j, count)| (count, i, j)).collect();
        pairs.sort_by_key(|&(count, i, j)| (std::cmp::Reverse(count), i, j));
        pairs.truncate(most);
        pairs
    }

    /// Rows counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.cells().fold(0, |sum, cell| sum.saturating_add(cell.2))
    }

    /// The share of rows on the diagonal; 0 for no rows.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn accuracy(&self) -> f64 {
        let right = (0..self.n_classes).fold(0u64, |sum, k| sum.saturating_add(self.count(k, k)));
        let total = self.total();
        if total == 0 { 0.0 } else { right as f64 / total as f64 }
    }

    /// Rows of each class, and rows predicted as it.
    #[must_use]
    pub fn margins(&self) -> (Vec<u64>, Vec<u64>) {
        let (mut support, mut predicted) = (vec![0u64; self.n_classes], vec![0u64; self.n_classes]);
        for (i, j, count) in self.cells() {
            support[i] = support[i].saturating_add(count);
            predicted[j] = predicted[j].saturating_add(count);
        }
        (support, predicted)
    }

    /// Precision, recall and F1 of each class.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn classes(&self) -> Vec<ClassReport> {
        let (support, predicted) = self.margins();
        let class = |(i, (support, predicted)): (usize, (u64, u64))| {
            let right = self.count(i, i) as f64;
            let share = |of: u64| if of == 0 { 0.0 } else { right / of as f64 };
            let (precision, recall) = (share(predicted), share(support));
            let f1 = if precision + recall == 0.0 { 0.0 } else { 2.0 * precision * recall / (precision + recall) };
            ClassReport { precision, recall, f1, support, predicted }
        };
        support.into_iter().zip(predicted).enumerate().map(class).collect()
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

    /// The same predictions among few classes and among so many that a matrix of all cells would not fit.
    #[test]
    fn many_classes_have_the_same_measures_in_the_memory_of_their_rows() {
        let pairs: Vec<(usize, usize)> =
            (0..3_000).map(|i| (i * i % 700, if i % 3 == 0 { i % 41 } else { i * i % 700 })).collect();
        let of = |k: usize, scale: usize| {
            let mut confusion = Confusion::new(k);
            pairs.iter().for_each(|&(label, predicted)| confusion.add(label * scale, predicted * scale));
            confusion
        };
        let (few, many) = (of(700, 1), of(70_000, 100));
        assert!(few.is_dense() && !many.is_dense());
        assert_eq!((few.accuracy(), few.total()), (many.accuracy(), many.total()));
        assert_eq!((few.mean(false), few.mean(true)), (many.mean(false), many.mean(true)));
        assert_eq!(few.balanced_accuracy(), many.balanced_accuracy());
        let scaled = |found: Vec<(u64, usize, usize)>| -> Vec<(u64, usize, usize)> {
            found.into_iter().map(|(count, i, j)| (count, i * 100, j * 100)).collect()
        };
        assert_eq!(scaled(few.most_confused(50)), many.most_confused(50));
        let mut both = many.clone();
        both.merge(&many);
        assert_eq!(both.total(), 6_000);
        assert_eq!(both.count(100, 100), 2 * many.count(100, 100));
        // A whole matrix of counts is the same however it is kept.
        let k = MOST_DENSE + 1;
        let mut counts = vec![0; k * k];
        counts[3 * k + 4] = 5;
        let read = Confusion::of_counts(k, counts).unwrap();
        assert_eq!(read.cells().collect::<Vec<_>>(), [(3, 4, 5)]);
    }
}
