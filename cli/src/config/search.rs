//! The `[search]` table: which keys vary over which values, how a trial is judged, and how much may be spent.
//!
//! ```toml
//! [search]
//! folds = 5
//! [search.space]
//! "solver.sgd.learning_rate" = { log = [1e-8, 1e-5], points = 4 }
//! "objective.reg" = [2.5e4, 5e4]
//! ```

use super::{ConfigError, LoadedConfig};
use crate::bounded::{Positive, WholeNumber};
use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use toml::Value;

/// Largest number of trials, and of the points of a range.
pub const MOST_TRIALS: usize = 100_000;
/// Keys of a space: a table of results has a column for each.
const MOST_KEYS: usize = 100;

/// Method of choosing trials from the space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchMethod {
    /// Every combination of the values; of a range, `points` of them.
    #[default]
    Grid,
    /// Each trial draws every key anew.
    Random,
}

/// Score of a trial, on the validation rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The share of rows that are right.
    #[default]
    Accuracy,
    /// The unweighted mean of the classes' F1.
    MacroF1,
    /// The data loss; less is better. Losses of different margins and formulations are different scales.
    Loss,
}

impl Metric {
    /// The name as the configuration spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::MacroF1 => "macro_f1",
            Self::Loss => "loss",
        }
    }

    /// Whether `value` ranks before `other`; NaN ranks behind everything.
    #[must_use]
    pub fn better(self, value: f64, other: f64) -> bool {
        match self {
            Self::Accuracy | Self::MacroF1 => value > other || (other.is_nan() && !value.is_nan()),
            Self::Loss => value < other || (other.is_nan() && !value.is_nan()),
        }
    }
}

/// Resource of which the early rungs of successive halving have less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Training rows, drawn stratified.
    #[default]
    Rows,
    /// Steps of `[solver.sgd]`.
    Steps,
}

/// The `[search.halving]` table: all trials with little, the best part of them with more, until the last rung has everything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HalvingConfig {
    /// Factor between rungs: one of this many trials continues, with this many times the resource.
    pub factor: WholeNumber<1, 1_000>,
    /// Number of times that trials are trained.
    pub rungs: WholeNumber<1, 50>,
    /// Resource that grows with each rung.
    pub resource: Resource,
}

impl Default for HalvingConfig {
    fn default() -> Self {
        Self { factor: WholeNumber::clamped(3), rungs: WholeNumber::clamped(3), resource: Resource::Rows }
    }
}

/// The `[search]` table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SearchConfig {
    /// Method of choosing trials.
    pub method: SearchMethod,
    /// Score by which trials are ranked.
    pub metric: Metric,
    /// Folds of cross-validation; 0 for the validation rows of `[split]`.
    pub folds: WholeNumber<0, 10_000>,
    /// Number of times that folds or validation rows are drawn.
    pub repeats: WholeNumber<1, 1_000>,
    /// Train the best once more on training and validation rows.
    pub refit: bool,
    /// Trials that are trained as one model at most.
    pub stacked: WholeNumber<1, MOST_TRIALS>,
    /// Trials at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trials: Option<WholeNumber<1, MOST_TRIALS>>,
    /// Seconds after which no training begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<Positive>,
    /// Keys of the configuration and what they may be.
    pub space: Space,
    /// Successive halving.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halving: Option<HalvingConfig>,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            method: SearchMethod::Grid,
            metric: Metric::Accuracy,
            folds: WholeNumber::clamped(0),
            repeats: WholeNumber::clamped(1),
            refit: false,
            stacked: WholeNumber::clamped(64),
            trials: None,
            seconds: None,
            space: Space::default(),
            halving: None,
        }
    }
}

/// Keys of the configuration by dotted path, and what each may be.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Space(pub BTreeMap<String, Dimension>);

/// Values of one key.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Dimension {
    /// One of these.
    Choices(Vec<Value>),
    /// A number of a range.
    Range(Range),
}

/// A range of numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// From and to, uniform in the logarithm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<[f64; 2]>,
    /// From and to, uniform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uniform: Option<[f64; 2]>,
    /// Number of values in a grid, both ends included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<WholeNumber<1, MOST_TRIALS>>,
}

impl Range {
    /// The number at a share of the way, 0 to 1; ends are met exactly, and inner numbers have six significant digits.
    #[must_use]
    pub fn at(&self, share: f64) -> f64 {
        let (low, high) = self.ends();
        if share <= 0.0 {
            return low;
        }
        if share >= 1.0 {
            return high;
        }
        let value = if self.log.is_some() { low * (high / low).powf(share) } else { low + (high - low) * share };
        format!("{value:.5e}").parse().unwrap_or(value)
    }

    fn ends(&self) -> (f64, f64) {
        let [low, high] = self.log.or(self.uniform).unwrap_or([0.0, 0.0]);
        (low, high)
    }

    /// The problem of its bounds; `None` if they are right.
    fn problem(&self) -> Option<String> {
        let (low, high) = self.ends();
        match (self.log, self.uniform) {
            (Some(_), Some(_)) => Some("found both `log` and `uniform`: expected one of them".into()),
            (None, None) => Some("expected `log = [FROM, TO]` or `uniform = [FROM, TO]`".into()),
            _ if !(low.is_finite() && high.is_finite() && low < high) => {
                Some(format!("found a range from {low} to {high}: expected two numbers, the smaller first"))
            }
            (Some(_), None) if low <= 0.0 => Some(format!("log: found {low}, expected numbers above 0")),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Space {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = toml::Table::deserialize(deserializer)?;
        let mut space = BTreeMap::new();
        walk("", table, &mut space).map_err(de::Error::custom)?;
        Ok(Self(space))
    }
}

/// Collects the dimensions below a path; keys may be quoted with their dots or nested.
fn walk(path: &str, table: toml::Table, space: &mut BTreeMap<String, Dimension>) -> Result<(), String> {
    for (key, value) in table {
        let path = if path.is_empty() { key } else { format!("{path}.{key}") };
        let dimension = match value {
            Value::Array(values) if values.is_empty() => return Err(format!("{path}: found an empty list of values")),
            Value::Array(values) => Dimension::Choices(values),
            Value::Table(table) if table.contains_key("log") || table.contains_key("uniform") => {
                let range: Range = table.try_into().map_err(|e: toml::de::Error| format!("{path}: {}", e.message()))?;
                if let Some(problem) = range.problem() {
                    return Err(format!("{path}: {problem}"));
                }
                Dimension::Range(range)
            }
            Value::Table(table) => {
                walk(&path, table, space)?;
                continue;
            }
            other => {
                return Err(format!(
                    "{path}: found {other}, expected a list of values, `{{ log = [FROM, TO] }}` or `{{ uniform = [FROM, TO] }}`"
                ));
            }
        };
        if space.insert(path.clone(), dimension).is_some() {
            return Err(format!("{path}: is there twice"));
        }
        if space.len() > MOST_KEYS {
            return Err(format!("found more than {MOST_KEYS} keys to search over, expected at most {MOST_KEYS}"));
        }
    }
    Ok(())
}

impl LoadedConfig {
    /// The same configuration without its `[search]` table and with keys set: what one trial of a search is trained by.
    ///
    /// # Errors
    /// As [`LoadedConfig::load`].
    pub fn trial(&self, values: &[(Vec<String>, toml_edit::Value)]) -> Result<Self, ConfigError> {
        let mut document = super::document::parse(&self.text, &self.file)?;
        document.remove("search");
        Self::parse(&document.to_string(), &self.file, values)
    }

    /// The same configuration with no row held out for validation or left out, and without what needs such rows: what the best trial of
    /// a search is trained by once more.
    ///
    /// # Errors
    /// As [`LoadedConfig::load`].
    pub fn on_all_rows(&self) -> Result<Self, ConfigError> {
        let mut document = super::document::parse(&self.text, &self.file)?;
        document.remove("early_stopping");
        document.get_mut("split").and_then(|split| split.as_table_like_mut()).map(|split| split.remove("train_rows"));
        let none = [(vec!["split".to_owned(), "validation".to_owned()], toml_edit::Value::from(0))];
        Self::parse(&document.to_string(), &self.file, &none)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(text: &str) -> Result<Space, String> {
        toml::from_str::<SearchConfig>(&format!("[space]\n{text}")).map(|s| s.space).map_err(|e| e.message().to_owned())
    }

    #[test]
    fn keys_may_be_quoted_or_nested_and_ranges_hit_their_ends() {
        let quoted = space("\"solver.sgd.learning_rate\" = { log = [1e-8, 1e-5], points = 4 }").unwrap();
        assert_eq!(quoted, space("solver.sgd.learning_rate = { log = [1e-8, 1e-5], points = 4 }").unwrap());
        let Dimension::Range(range) = &quoted.0["solver.sgd.learning_rate"] else { panic!("a range") };
        let values: Vec<f64> = (0..4).map(|i| range.at(f64::from(i) / 3.0)).collect();
        assert_eq!(values, [1e-8, 1e-7, 1e-6, 1e-5]);
        let uniform = Range { log: None, uniform: Some([0.5, 2.0]), points: None };
        assert_eq!((uniform.at(0.0), uniform.at(0.5), uniform.at(1.0)), (0.5, 1.25, 2.0));
    }

    #[test]
    fn ranges_without_sense_are_refused() {
        for (text, problem) in [
            ("a.b = 3", "a.b: found 3, expected a list of values"),
            ("a.b = []", "a.b: found an empty list"),
            ("a = { log = [0.0, 1.0] }", "a: log: found 0, expected numbers above 0"),
            ("a = { log = [1.0, 0.1] }", "a: found a range from 1 to 0.1"),
            ("a = { log = [1.0, 2.0], uniform = [1.0, 2.0] }", "a: found both"),
            ("a = { log = [1.0, 2.0], steps = 3 }", "a: unknown field `steps`"),
            ("a = { log = [1.0] }", "a: invalid length"),
            ("a.b = [1]\n\"a.b\" = [2]", "a.b: is there twice"),
            (
                "a = { log = [1.0, 2.0], points = 0 }",
                "a: invalid value: integer `0`, expected a whole number from 1 to",
            ),
            ("a = { log = [1.0, 2.0], points = 1000000000000 }", "a: invalid value: integer `1000000000000`, expected"),
        ] {
            let found = space(text).unwrap_err();
            assert!(found.starts_with(problem), "{text}: {found}");
        }
    }

    #[test]
    fn a_space_has_so_many_keys_and_no_more() {
        let keys = |n: usize| space(&(0..n).map(|i| format!("a.k{i} = [1]\n")).collect::<String>());
        assert_eq!(keys(100).unwrap().0.len(), 100);
        assert_eq!(keys(101).unwrap_err(), "found more than 100 keys to search over, expected at most 100");
    }

    #[test]
    fn not_a_number_ranks_last() {
        for metric in [Metric::Accuracy, Metric::MacroF1, Metric::Loss] {
            assert!(metric.better(0.5, f64::NAN) && !metric.better(f64::NAN, 0.5), "{metric:?}");
        }
        assert!(Metric::Accuracy.better(0.6, 0.5) && Metric::Loss.better(0.5, 0.6));
    }
}
