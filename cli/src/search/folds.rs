//! The rows that trials are trained on and judged by: the validation rows of `[split]`, or stratified folds.

use crate::config::search::SearchConfig;
use crate::config::{ConfigError, LoadedConfig, RunConfig, split};
use crate::data::folds::stratified;
use crate::data::{Dataset, Fold, Holdout, Split, SplitConfig, SplitMethod};

/// The rows that are not for the test, ascending.
#[must_use]
pub fn pool(split: &Split) -> Vec<u32> {
    let mut rows = [&split.train[..], &split.validation[..]].concat();
    rows.sort_unstable();
    rows
}

/// Number of folds of a search.
#[must_use]
pub fn count(search: &SearchConfig) -> usize {
    search.folds.get().max(1) * search.repeats.get()
}

/// The folds of a search, those of the first repetition first.
///
/// # Errors
/// [`ConfigError`] when there are fewer rows than folds, or repetitions that would all be the same.
pub fn folds(
    config: &LoadedConfig,
    search: &SearchConfig,
    data: &Dataset,
    split: &Split,
) -> Result<Vec<Fold>, ConfigError> {
    let pool = pool(split);
    let refused = |problem: String, hint: &str| Err(ConfigError::new(&config.file, problem).with_hint(hint));
    let repeats = search.repeats.get();
    let parts = search.folds.get();
    if parts > 0 {
        let each = |repeat| stratified(&pool, &data.labels, data.n_classes(), parts, config.run.seed, repeat);
        let too_many = || {
            let problem = format!("search.folds: found {parts} folds of {} rows", pool.len());
            refused(problem, "each fold needs a row")
        };
        if parts > pool.len() {
            return too_many();
        }
        let folds: Vec<Fold> = (0..repeats as u64).flat_map(each).collect();
        return if folds.iter().any(|fold| fold.validation.is_empty()) { too_many() } else { Ok(folds) };
    }
    if repeats > 1 && config.run.split.method == SplitMethod::Last {
        let problem = "search.repeats: the last rows are the same each time".to_owned();
        return refused(problem, "set `method = \"stratified\"` of [split], or `folds` of [search]");
    }
    let first = Fold { train: split.train.clone(), validation: split.validation.clone() };
    let labels: Vec<u32> = pool.iter().map(|&r| data.labels[r as usize]).collect();
    let rule = SplitConfig { validation: Holdout::Rows(split.validation.len()), test: None, ..config.run.split.rule() };
    let again = |repeat: u64| {
        let split = rule.split(&labels, labels.len(), data.n_classes(), config.run.seed.wrapping_add(repeat));
        let split = split.unwrap_or_default();
        let rows = |positions: Vec<u32>| positions.into_iter().map(|p| pool[p as usize]).collect();
        Fold { train: rows(split.train), validation: rows(split.validation) }
    };
    Ok(std::iter::once(first).chain((1..repeats as u64).map(again)).collect())
}

/// The rows of a fold that a trial is trained on: those of `train_rows`, and of these a stratified part on an early rung of successive
/// halving.
#[must_use]
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub fn part(fold: &Fold, labels: &[u32], n_classes: usize, share: f64, run: &RunConfig) -> Vec<u32> {
    let learned = run.split.learned(&fold.train, labels, n_classes, run.seed);
    let learned = learned.unwrap_or_else(|| fold.train.clone());
    // Too few rows for a share of them stay whole.
    match (learned.len() as f64 * share).round() as usize {
        0 => learned,
        n => split::part(&learned, labels, n_classes, n, run.seed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_early_rung_has_a_part_of_the_rows_of_a_trial() {
        let labels: Vec<u32> = (0..100).map(|i| u32::from(i % 10 == 0)).collect();
        let fold = Fold { train: (0..100).collect(), validation: Vec::new() };
        let run = |rows: &str| {
            let text = format!("[data.digits]\n[split]\n{rows}\n");
            LoadedConfig::parse(&text, std::path::Path::new("x"), &[]).unwrap().run
        };
        let rows = part(&fold, &labels, 2, 0.3, &run(""));
        assert_eq!((rows.len(), rows.iter().filter(|&&r| labels[r as usize] == 1).count()), (30, 3));
        assert_eq!(part(&fold, &labels, 2, 1.0, &run("")), fold.train);
        let half = part(&fold, &labels, 2, 1.0, &run("train_rows = 0.5"));
        let rows = part(&fold, &labels, 2, 0.4, &run("train_rows = 0.5"));
        assert_eq!((half.len(), rows.len()), (50, 20));
        assert!(rows.iter().all(|row| half.contains(row)));
        assert_eq!(part(&Fold { train: vec![5], validation: vec![] }, &labels, 2, 0.1, &run("")), [5]);
    }
}
