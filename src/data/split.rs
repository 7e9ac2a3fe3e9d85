//! Seeded hold-outs: which rows train, which validate, which test. Rows are indices; nothing is copied.

use super::streams;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// Number of rows to hold out, or their fraction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Holdout {
    /// This many rows.
    Rows(usize),
    /// This share of the rows, in [0, 1).
    Fraction(f64),
}

impl Default for Holdout {
    fn default() -> Self {
        Self::Rows(0)
    }
}

impl Holdout {
    /// The number of rows out of `n`.
    #[must_use]
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn rows_of(self, n: usize) -> usize {
        match self {
            Self::Rows(rows) => rows,
            Self::Fraction(fraction) => (fraction * n as f64).round() as usize,
        }
    }
}

impl Serialize for Holdout {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Rows(rows) => serializer.serialize_u64(*rows as u64),
            Self::Fraction(fraction) => serializer.serialize_f64(*fraction),
        }
    }
}

impl<'de> Deserialize<'de> for Holdout {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Holdout;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of rows (an integer) or a fraction in the range [0, 1)")
            }
            fn visit_i64<E: de::Error>(self, rows: i64) -> Result<Holdout, E> {
                usize::try_from(rows)
                    .map(Holdout::Rows)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(rows), &self))
            }
            fn visit_u64<E: de::Error>(self, rows: u64) -> Result<Holdout, E> {
                usize::try_from(rows)
                    .map(Holdout::Rows)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(rows), &self))
            }
            fn visit_f64<E: de::Error>(self, fraction: f64) -> Result<Holdout, E> {
                if (0.0..1.0).contains(&fraction) {
                    Ok(Holdout::Fraction(fraction))
                } else {
                    Err(E::invalid_value(de::Unexpected::Float(fraction), &self))
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Method of choosing the rows that are held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitMethod {
    /// The last rows, as the CS231n notebook does.
    Last,
    /// Drawn with the seed.
    Random,
    /// Drawn with the seed, every class in proportion.
    #[default]
    Stratified,
}

/// The `[split]` table.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SplitConfig {
    /// Rows held out of train for validation.
    pub validation: Holdout,
    /// Method of choosing them.
    pub method: SplitMethod,
    /// Rows held out for the test; only where the data brings no test part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Holdout>,
}

/// Row indices of the three splits, each ascending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// The rows to learn from.
    pub train: Vec<u32>,
    /// The rows to choose by.
    pub validation: Vec<u32>,
    /// The rows to report on.
    pub test: Vec<u32>,
}

/// A split that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Nothing would be left to learn from.
    #[error("[split] holds out {held_out} of {n_rows} rows, which leaves none to train on")]
    NothingLeft {
        /// Rows asked for.
        held_out: usize,
        /// Rows there are.
        n_rows: usize,
    },
    /// `test` is set although the data has a test part.
    #[error("split.test is set, but the data brings a test part of {rows} rows of its own")]
    TestTwice {
        /// Rows of the data's own test part.
        rows: usize,
    },
}

impl SplitConfig {
    /// Splits rows `0..n_train` of a data set; the rows after them are its own test part. A class that would have no row to learn
    /// from keeps one, but for the last rows, which are held out as they are.
    ///
    /// # Errors
    /// [`SplitError`] when nothing is left to train on, or a test split is asked for twice.
    #[allow(clippy::cast_possible_truncation)]
    pub fn split(&self, labels: &[u32], n_train: usize, n_classes: usize, seed: u64) -> Result<Split, SplitError> {
        let own_test = labels.len() - n_train;
        if own_test > 0 && self.test.is_some_and(|t| t.rows_of(n_train) > 0) {
            return Err(SplitError::TestTwice { rows: own_test });
        }
        let test_rows = self.test.map_or(0, |t| t.rows_of(n_train));
        let validation_rows = self.validation.rows_of(n_train.saturating_sub(test_rows));
        let held_out = test_rows.saturating_add(validation_rows);
        if held_out >= n_train {
            return Err(SplitError::NothingLeft { held_out, n_rows: n_train });
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(crate::data::streams::SPLIT);
        let mut rows: Vec<u32> = (0..n_train as u32).collect();
        let mut take = |rows: &mut Vec<u32>, count: usize| match self.method {
            SplitMethod::Last => rows.split_off(rows.len() - count),
            SplitMethod::Random => {
                rows.shuffle(&mut rng);
                sorted(rows.split_off(rows.len() - count))
            }
            SplitMethod::Stratified => take_stratified(rows, count, labels, n_classes, &mut rng),
        };
        let mut test = take(&mut rows, test_rows);
        let mut validation = take(&mut rows, validation_rows);
        if self.method != SplitMethod::Last && held_out > 0 {
            let mut is_learned = vec![false; n_classes];
            rows.iter().for_each(|&row| is_learned[labels[row as usize] as usize] = true);
            for held in [&mut validation, &mut test] {
                held.retain(|&row| {
                    std::mem::replace(&mut is_learned[labels[row as usize] as usize], true) || {
                        rows.push(row);
                        false
                    }
                });
            }
        }
        test.extend(n_train as u32..labels.len() as u32);
        Ok(Split { train: sorted(rows), validation, test })
    }
}

fn sorted(mut rows: Vec<u32>) -> Vec<u32> {
    rows.sort_unstable();
    rows
}

/// Takes `count` rows, each class in proportion, by the largest-remainder rule.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn take_stratified(rows: &mut Vec<u32>, count: usize, labels: &[u32], k: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
    if count == 0 {
        return Vec::new();
    }
    let total = rows.len();
    let mut by_class: Vec<Vec<u32>> = vec![Vec::new(); k];
    rows.iter().for_each(|&r| by_class[labels[r as usize] as usize].push(r));
    let exact: Vec<f64> = by_class.iter().map(|c| count as f64 * c.len() as f64 / total as f64).collect();
    let mut quota: Vec<usize> = exact.iter().map(|e| e.floor() as usize).collect();
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by(|&a, &b| (exact[b] - exact[b].floor()).total_cmp(&(exact[a] - exact[a].floor())).then(a.cmp(&b)));
    let missing = count - quota.iter().sum::<usize>();
    order.iter().cycle().filter(|&&c| exact[c] > 0.0).take(missing).for_each(|&c| quota[c] += 1);
    let mut taken = Vec::with_capacity(count);
    rows.clear();
    for (class, quota) in by_class.iter_mut().zip(quota) {
        class.shuffle(rng);
        let keep = class.len() - quota.min(class.len());
        taken.extend(class.drain(keep..));
        rows.append(class);
    }
    rows.sort_unstable();
    sorted(taken)
}

/// Up to `most` of `rows` in ascending order: all, or a sample that the seed decides.
#[must_use]
pub fn sample(rows: &[u32], most: usize, seed: u64) -> Vec<u32> {
    let mut rows = rows.to_vec();
    if rows.len() <= most {
        return rows;
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(streams::ESTIMATE);
    let mut sample = rows.partial_shuffle(&mut rng, most).0.to_vec();
    sample.sort_unstable();
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(n: usize) -> Vec<u32> {
        (0..n).map(|i| if i % 10 == 0 { 1 } else { 0 }).collect()
    }

    fn config(validation: Holdout, method: SplitMethod, test: Option<Holdout>) -> SplitConfig {
        SplitConfig { validation, method, test }
    }

    #[test]
    fn last_takes_the_last_rows_and_keeps_the_test_part_apart() {
        let split = config(Holdout::Rows(3), SplitMethod::Last, None).split(&labels(12), 10, 2, 0).unwrap();
        assert_eq!(split.train, [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(split.validation, [7, 8, 9]);
        assert_eq!(split.test, [10, 11]);
    }

    #[test]
    fn every_row_is_in_exactly_one_split() {
        for method in [SplitMethod::Last, SplitMethod::Random, SplitMethod::Stratified] {
            let split = config(Holdout::Fraction(0.25), method, Some(Holdout::Rows(17)))
                .split(&labels(100), 100, 2, 7)
                .unwrap();
            let mut all = [split.train.clone(), split.validation.clone(), split.test.clone()].concat();
            all.sort_unstable();
            assert_eq!(all, (0..100).collect::<Vec<u32>>(), "{method:?}");
            assert_eq!((split.test.len(), split.validation.len()), (17, 21), "{method:?}");
        }
    }

    #[test]
    fn stratified_keeps_the_proportions_and_depends_on_the_seed() {
        let config = config(Holdout::Rows(20), SplitMethod::Stratified, None);
        let (a, b) = (config.split(&labels(200), 200, 2, 1).unwrap(), config.split(&labels(200), 200, 2, 2).unwrap());
        for split in [&a, &b] {
            assert_eq!(split.validation.iter().filter(|&&r| r % 10 == 0).count(), 2);
        }
        assert_ne!(a, b);
        assert_eq!(a, config.split(&labels(200), 200, 2, 1).unwrap());
    }

    #[test]
    fn a_class_keeps_a_row_to_learn_from() {
        let labels: Vec<u32> = (0..45).map(|i: u32| if i < 40 { i % 2 } else { 2 + (i - 40) / 2 }).collect();
        for method in [SplitMethod::Random, SplitMethod::Stratified] {
            for seed in 0..50 {
                let split = config(Holdout::Fraction(0.4), method, Some(Holdout::Fraction(0.4)));
                let split = split.split(&labels, 45, 5, seed).unwrap();
                let mut classes: Vec<u32> = split.train.iter().map(|&r| labels[r as usize]).collect();
                classes.dedup();
                classes.sort_unstable();
                classes.dedup();
                assert_eq!(classes, [0, 1, 2, 3, 4], "{method:?} {seed}");
                let mut all = [split.train, split.validation, split.test].concat();
                all.sort_unstable();
                assert_eq!(all, (0..45).collect::<Vec<u32>>(), "{method:?} {seed}");
            }
        }
        let last = config(Holdout::Rows(5), SplitMethod::Last, None).split(&labels, 45, 5, 0).unwrap();
        assert_eq!(last.validation, [40, 41, 42, 43, 44]);
    }

    #[test]
    fn impossible_splits_are_refused() {
        let all = config(Holdout::Rows(10), SplitMethod::Random, None);
        assert_eq!(all.split(&labels(10), 10, 2, 0), Err(SplitError::NothingLeft { held_out: 10, n_rows: 10 }));
        let twice = config(Holdout::Rows(0), SplitMethod::Last, Some(Holdout::Fraction(0.5)));
        assert_eq!(twice.split(&labels(12), 10, 2, 0), Err(SplitError::TestTwice { rows: 2 }));
    }

    #[test]
    fn integers_are_rows_and_floats_are_fractions() {
        let parse = |text: &str| toml::from_str::<SplitConfig>(text);
        assert_eq!(parse("validation = 1000").unwrap().validation, Holdout::Rows(1000));
        assert_eq!(parse("validation = 0.1").unwrap().validation, Holdout::Fraction(0.1));
        let error = parse("validation = 1.5").unwrap_err().to_string();
        assert!(error.contains("expected a number of rows (an integer) or a fraction in the range [0, 1)"), "{error}");
    }
}
