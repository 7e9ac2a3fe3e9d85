//! The ranked table of the trainings.

use super::ledger::{FitRecord, LedgerEntry};
use super::space::{Trial, shown};
use crate::config::search::Metric;
use crate::data::Fold;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A trial's place. Means are over its folds at the last rung that it reached; `None` where one of them diverged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// From 1.
    pub rank: usize,
    /// The trial's number.
    pub trial: usize,
    /// Its keys, as TOML without quotes.
    pub values: BTreeMap<String, String>,
    /// The rung, from 0.
    pub rung: usize,
    /// Folds that were trained there.
    pub folds: usize,
    /// Score by which it is ranked.
    pub score: Option<f64>,
    /// Standard error of the score: over folds, or of a share of the validation rows.
    pub standard_error: Option<f64>,
    /// On the validation rows.
    pub accuracy: Option<f64>,
    /// On the validation rows.
    pub macro_f1: Option<f64>,
    /// Data loss on the validation rows.
    pub loss: Option<f64>,
    /// On a sample of the training rows.
    pub train_accuracy: Option<f64>,
    /// The largest of the folds.
    pub relative_gap: Option<f64>,
    /// Why the solver ended; of several reasons the one that is not the usual.
    pub stop: String,
    /// Seconds of solving, over all folds and rungs.
    pub seconds: f64,
}

impl Standing {
    /// Whether a fold diverged.
    #[must_use]
    pub fn diverged(&self) -> bool {
        self.stop == "diverged"
    }
}

/// The mean; `None` where a value is missing or there is none.
#[allow(clippy::cast_precision_loss)]
fn mean(values: impl Iterator<Item = Option<f64>> + Clone) -> Option<f64> {
    let n = values.clone().count();
    values.sum::<Option<f64>>().filter(|_| n > 0).map(|sum| sum / n as f64)
}

/// The standard error of the mean over folds; of one fold and a share of rows, that of a share.
#[allow(clippy::cast_precision_loss)]
fn standard_error(values: &[Option<f64>], metric: Metric, rows: usize) -> Option<f64> {
    let mean = mean(values.iter().copied())?;
    let n = values.len() as f64;
    if values.len() > 1 {
        let square: f64 = values.iter().flatten().map(|v| (v - mean) * (v - mean)).sum();
        return Some((square / (n - 1.0) / n).sqrt());
    }
    (metric == Metric::Accuracy && rows > 0).then(|| (mean * (1.0 - mean) / rows as f64).sqrt())
}

/// The score of a training.
#[must_use]
pub fn score(metric: Metric, fit: &FitRecord) -> Option<f64> {
    match metric {
        Metric::Accuracy => fit.accuracy,
        Metric::MacroF1 => fit.macro_f1,
        Metric::Loss => fit.loss,
    }
}

/// Ranks every trial that was trained at all: the furthest rung first, there those with all their folds first, there by score;
/// diverged trials are last, and ties go to the earlier trial.
#[must_use]
pub fn standings(trials: &[Trial], folds: &[Fold], entries: &[LedgerEntry], metric: Metric) -> Vec<Standing> {
    let mut of: BTreeMap<usize, Vec<&FitRecord>> = BTreeMap::new();
    entries.iter().flat_map(|e| &e.fits).for_each(|fit| of.entry(fit.trial).or_default().push(fit));
    let one = |(trial, all): (usize, Vec<&FitRecord>)| {
        let rung = all.iter().map(|f| f.rung).max().unwrap_or(0);
        let mut fits: Vec<&FitRecord> = all.iter().copied().filter(|f| f.rung == rung).collect();
        fits.sort_by_key(|f| f.fold);
        let of = |value: fn(&FitRecord) -> Option<f64>| mean(fits.iter().map(|f| value(f)));
        let scores: Vec<Option<f64>> = fits.iter().map(|f| score(metric, f)).collect();
        let rows = fits.first().map_or(0, |f| folds.get(f.fold).map_or(0, |fold| fold.validation.len()));
        let rare = ["diverged", "epoch_limit", "time_limit", "no_progress"];
        let stop = rare
            .iter()
            .find(|r| fits.iter().any(|f| f.stop == **r))
            .map_or_else(|| fits.first().map_or_else(String::new, |f| f.stop.clone()), |r| (*r).to_owned());
        let values = trials
            .get(trial)
            .map_or_else(BTreeMap::new, |t| t.values.iter().map(|(key, value)| (key.clone(), shown(value))).collect());
        Standing {
            rank: 0,
            trial,
            values,
            rung,
            folds: fits.len(),
            score: mean(scores.iter().copied()),
            standard_error: standard_error(&scores, metric, rows),
            accuracy: of(|f| f.accuracy),
            macro_f1: of(|f| f.macro_f1),
            loss: of(|f| f.loss),
            train_accuracy: of(|f| f.train_accuracy),
            relative_gap: fits.iter().filter_map(|f| f.relative_gap).reduce(f64::max),
            stop,
            seconds: all.iter().map(|f| f.seconds).sum(),
        }
    };
    let mut table: Vec<Standing> = of.into_iter().map(one).collect();
    let value = |s: &Standing| s.score.unwrap_or(f64::NAN);
    table.sort_by(|a, b| {
        let by_score = || match (metric.better(value(a), value(b)), metric.better(value(b), value(a))) {
            (true, _) => std::cmp::Ordering::Less,
            (_, true) => std::cmp::Ordering::Greater,
            _ => a.trial.cmp(&b.trial),
        };
        let whole = |s: &Standing| s.folds == folds.len();
        b.rung.cmp(&a.rung).then(whole(b).cmp(&whole(a))).then_with(by_score)
    });
    table.iter_mut().zip(1..).for_each(|(standing, rank)| standing.rank = rank);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(trial: usize, rung: usize, fold: usize, accuracy: Option<f64>) -> FitRecord {
        FitRecord {
            trial,
            rung,
            fold,
            stop: if accuracy.is_none() { "diverged" } else { "finished" }.into(),
            steps: 1,
            epochs: 1.0,
            train_accuracy: accuracy,
            accuracy,
            macro_f1: accuracy,
            loss: accuracy.map(|a| 1.0 - a),
            relative_gap: None,
            seconds: 1.0,
            stacked: 1,
            curve: Vec::new(),
        }
    }

    fn table(fits: Vec<FitRecord>, n_folds: usize, metric: Metric) -> Vec<(usize, Option<f64>)> {
        let folds = vec![Fold { train: vec![], validation: vec![0; 100] }; n_folds];
        let entries = [LedgerEntry { job: String::new(), wall: 0.0, elapsed: None, fits }];
        standings(&[], &folds, &entries, metric).into_iter().map(|s| (s.trial, s.score)).collect()
    }

    #[test]
    fn the_best_is_first_what_diverged_is_last_and_ties_go_to_the_earlier() {
        let fits =
            vec![fit(0, 0, 0, None), fit(1, 0, 0, Some(0.5)), fit(2, 0, 0, Some(0.75)), fit(3, 0, 0, Some(0.75))];
        let expected = [(2, Some(0.75)), (3, Some(0.75)), (1, Some(0.5)), (0, None)];
        assert_eq!(table(fits.clone(), 1, Metric::Accuracy), expected);
        let by_loss = [(2, Some(0.25)), (3, Some(0.25)), (1, Some(0.5)), (0, None)];
        assert_eq!(table(fits, 1, Metric::Loss), by_loss);
    }

    #[test]
    fn a_fold_that_diverged_spoils_the_mean_and_a_later_rung_ranks_first() {
        let fits = vec![
            fit(0, 0, 0, Some(0.9)),
            fit(0, 0, 1, None),
            fit(1, 0, 0, Some(0.5)),
            fit(1, 0, 1, Some(0.25)),
            fit(2, 0, 0, Some(0.95)),
            fit(3, 0, 0, Some(0.1)),
            fit(3, 0, 1, Some(0.1)),
            fit(3, 1, 0, Some(0.2)),
            fit(3, 1, 1, Some(0.4)),
        ];
        let table = table(fits, 2, Metric::Accuracy);
        let order: Vec<usize> = table.iter().map(|(trial, _)| *trial).collect();
        assert_eq!(order, [3, 1, 0, 2], "{table:?}");
        assert_eq!((table[1].1, table[2].1), (Some(0.375), None));
    }

    #[test]
    fn the_error_of_a_share_is_that_of_its_rows_and_that_of_folds_is_over_them() {
        let of_rows = standard_error(&[Some(0.36)], Metric::Accuracy, 1000).unwrap();
        assert!((of_rows - 0.015_178_9).abs() < 1e-6);
        let of_folds = standard_error(&[Some(0.3), Some(0.5)], Metric::Accuracy, 1000).unwrap();
        assert!((of_folds - 0.1).abs() < 1e-12);
        assert_eq!(standard_error(&[Some(0.3)], Metric::Loss, 1000), None);
    }
}
