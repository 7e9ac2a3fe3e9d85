//! The `[split]` table: rows that are held out, and how many of the others are learned from.

use crate::data::{Dataset, Holdout, Split, SplitConfig, SplitMethod};
use crate::format::Complaint;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The `[split]` table.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SplitTable {
    /// Rows held out of train for validation.
    pub validation: Holdout,
    /// Method of choosing them.
    pub method: SplitMethod,
    /// Rows held out for the test; only where the data brings no test part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Holdout>,
    /// Rows to learn from, of those that are not held out; all where it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_rows: Option<TrainRows>,
}

/// A number of rows to learn from, or their fraction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TrainRows {
    /// This many rows, at least 1.
    Rows(usize),
    /// This share of the rows, in (0, 1].
    Fraction(f64),
}

impl TrainRows {
    /// The number of rows out of `n`, at least 1.
    #[must_use]
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn of(self, n: usize) -> usize {
        match self {
            Self::Rows(rows) => rows,
            Self::Fraction(fraction) => ((fraction * n as f64).round() as usize).max(1),
        }
    }
}

impl Serialize for TrainRows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Rows(rows) => serializer.serialize_u64(*rows as u64),
            Self::Fraction(fraction) => serializer.serialize_f64(*fraction),
        }
    }
}

impl<'de> Deserialize<'de> for TrainRows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Number {
            Rows(i64),
            Fraction(f64),
        }
        const EXPECTED: &str = "a number of rows (an integer from 1) or a fraction in the range (0, 1]";
        let found = Number::deserialize(deserializer).map_err(|_| de::Error::custom(format!("expected {EXPECTED}")))?;
        match found {
            Number::Rows(rows) => {
                let found = usize::try_from(rows).ok().filter(|rows| *rows > 0).map(Self::Rows);
                found.ok_or_else(|| de::Error::invalid_value(de::Unexpected::Signed(rows), &EXPECTED))
            }
            Number::Fraction(fraction) if fraction > 0.0 && fraction <= 1.0 => Ok(Self::Fraction(fraction)),
            Number::Fraction(fraction) => Err(de::Error::invalid_value(de::Unexpected::Float(fraction), &EXPECTED)),
        }
    }
}

impl SplitTable {
    /// The rule by which rows are held out.
    #[must_use]
    pub const fn rule(&self) -> SplitConfig {
        SplitConfig { validation: self.validation, method: self.method, test: self.test }
    }

    /// The rows that train, validate and test; `train_rows` is left to the trials of a search.
    ///
    /// # Errors
    /// [`Complaint`] where nothing is left to learn from, or fewer rows than are asked for.
    pub(crate) fn split(&self, data: &Dataset, seed: u64, is_search: bool) -> Result<Split, Complaint> {
        let n_classes = data.n_classes();
        let split = self.rule().split(&data.labels, data.n_train, n_classes, seed);
        let split = split.map_err(|e| Complaint::new(e.to_string(), "change `validation` or `test` of [split]"))?;
        if is_search {
            return Ok(split);
        }
        let train = self
            .learned(&split.train, &data.labels, n_classes, seed)
            .ok_or_else(|| self.too_many(split.train.len()))?;
        Ok(Split { train, ..split })
    }

    /// The complaint about fewer rows than are asked for.
    pub(crate) fn too_many(&self, n: usize) -> Complaint {
        let found = self.train_rows.map_or(0, |rows| rows.of(n));
        let problem = format!("split.train_rows: found {found}, expected at most {n}, the rows to learn from");
        Complaint::new(problem, "a fraction, 1.0 for all, holds for data of any size")
    }

    /// The rows to learn from out of those of a training split: each class in proportion, those of a smaller number among those of a
    /// larger one; `None` where there are fewer.
    #[must_use]
    pub fn learned(&self, train: &[u32], labels: &[u32], n_classes: usize, seed: u64) -> Option<Vec<u32>> {
        match self.train_rows.map(|rows| rows.of(train.len())) {
            None => Some(train.to_vec()),
            Some(n) if n > train.len() => None,
            Some(n) => Some(part(train, labels, n_classes, n, seed)),
        }
    }
}

/// So many of some rows, each class in proportion.
#[must_use]
pub fn part(rows: &[u32], labels: &[u32], n_classes: usize, n: usize, seed: u64) -> Vec<u32> {
    if n >= rows.len() {
        return rows.to_vec();
    }
    let of_rows: Vec<u32> = rows.iter().map(|&row| labels[row as usize]).collect();
    let others = Holdout::Rows(rows.len() - n);
    let rule = SplitConfig { validation: others, method: SplitMethod::Stratified, test: None };
    // A class that would be left out keeps a row.
    let Split { train, .. } = rule.split(&of_rows, of_rows.len(), n_classes, seed).unwrap_or_default();
    train.into_iter().map(|at| rows[at as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_rows_is_stratified_and_in_every_larger_one() {
        let labels: Vec<u32> = (0..100).map(|i| u32::from(i % 10 == 0)).collect();
        let rows: Vec<u32> = (0..100).collect();
        let mut before = Vec::new();
        for n in [10, 30, 50, 100] {
            let found = part(&rows, &labels, 2, n, 3);
            assert_eq!((found.len(), found.iter().filter(|&&r| labels[r as usize] == 1).count()), (n, n / 10));
            assert!(before.iter().all(|row| found.contains(row)), "{n}");
            before = found;
        }
        assert_eq!(part(&[5], &labels, 2, 1, 0), [5]);
        // The last row of a class stays.
        assert_eq!(part(&rows, &labels, 2, 1, 0).len(), 2);
    }

    #[test]
    fn a_number_or_a_fraction_of_rows() {
        let table = |rows: &str| toml::from_str::<SplitTable>(&format!("train_rows = {rows}"));
        for (text, n) in [("7", 7), ("0.25", 50), ("1.0", 200), ("1", 1), ("0.0001", 1)] {
            let found = table(text).unwrap();
            assert_eq!(found.train_rows.unwrap().of(200), n, "{text}");
            assert!(toml::to_string(&found).unwrap().ends_with(&format!("train_rows = {text}\n")), "{text}");
        }
        for text in ["0", "-3", "0.0", "1.5", "nan", "'all'"] {
            let problem = table(text).unwrap_err().message().to_owned();
            assert!(
                problem.contains("a number of rows (an integer from 1) or a fraction in the range (0, 1]"),
                "{problem}"
            );
        }
        let all = SplitTable { train_rows: Some(TrainRows::Rows(4)), ..SplitTable::default() };
        assert_eq!(all.learned(&[0, 1, 2], &[0, 1, 0], 2, 0), None);
    }
}
