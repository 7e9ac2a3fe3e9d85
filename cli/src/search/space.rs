//! The trials: points of the space, each with the whole configuration that it makes.

use super::draw;
use crate::config::search::{
    Dimension, MOST_TRIALS as MOST, Metric, Range, Resource, SearchConfig, SearchMethod, Space,
};
use crate::config::{ConfigError, LoadedConfig};
use crate::data::streams;
use crate::format::Complaint;
use crate::run::afford;
use crate::solver::SolverConfig;
use crate::visible;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use toml_edit::Value;

/// Trials of a random search that does not say how many.
const DRAWN: usize = 20;
/// Bytes of a trial besides the text of its configuration, which it holds about twice.
const TRIAL: f64 = 4096.0;
/// Tables that all trials share.
const SHARED: [&str; 6] = ["data", "split", "search", "device", "threads", "calibration"];

/// The key of `[split]` that makes a learning curve: the rows that are held out are the same for all.
const TRAIN_ROWS: &str = "split.train_rows";

/// One point of the space.
#[derive(Debug, Clone)]
pub struct Trial {
    /// Its number, from 0.
    pub index: usize,
    /// The keys that it sets, in the order of the alphabet, with their values in TOML.
    pub values: Vec<(String, Value)>,
    /// The configuration that it makes.
    pub config: LoadedConfig,
}

impl Trial {
    /// `learning_rate 1e-7, reg 2.5e4`
    #[must_use]
    pub fn label(&self) -> String {
        let parts: Vec<String> = short_names(self.values.iter().map(|(key, _)| key.as_str()))
            .into_iter()
            .zip(&self.values)
            .map(|(name, (_, value))| format!("{} {}", visible::name(&name), visible::name(&shown(value))))
            .collect();
        parts.join(", ")
    }
}

/// A value without quotes and spaces around it.
#[must_use]
pub fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.value().clone(),
        Value::Float(number) => float(*number.value()),
        other => other.to_string().trim().to_owned(),
    }
}

/// A number as short as it can be written.
fn float(value: f64) -> String {
    if value == 0.0 || (1e-3..1e5).contains(&value.abs()) { format!("{value:?}") } else { format!("{value:e}") }
}

/// The last parts of dotted keys, as many of each as tell them apart.
#[must_use]
pub fn short_names<'a>(keys: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let tail = |key: &str, n: usize| {
        let parts: Vec<&str> = key.split('.').collect();
        parts[parts.len().saturating_sub(n)..].join(".")
    };
    let all = keys.clone();
    keys.map(|key| {
        let unique = |n: &usize| all.clone().filter(|other| tail(other, *n) == tail(key, *n)).count() == 1;
        (1..).find(|n| unique(n) || tail(key, *n) == key).map_or_else(|| key.to_owned(), |n| tail(key, n))
    })
    .collect()
}

/// The `[search]` table, checked against the rest of the configuration.
///
/// # Errors
/// [`ConfigError`] when there is none, or it makes no sense.
pub fn table(config: &LoadedConfig) -> Result<&SearchConfig, ConfigError> {
    let refused = |problem: String, hint: &str| Err(ConfigError::new(&config.file, problem).with_hint(hint));
    let Some(search) = config.run.search.as_deref() else {
        return refused("there is no [search] table".into(), "configs/search-cs231n.toml is an example");
    };
    if search.space.0.is_empty() {
        return refused(
            "search.space is empty: there is nothing to search".into(),
            "name keys and their values: \"solver.sgd.learning_rate\" = { log = [1e-4, 1.0], points = 5 }",
        );
    }
    let is_shared = |key: &&String| *key != TRAIN_ROWS && SHARED.contains(&key.split('.').next().unwrap_or_default());
    if let Some(key) = search.space.0.keys().find(is_shared) {
        return refused(
            format!("search.space.{}: all trials share this key", visible::short(key)),
            "the space is over seed, gradient, preprocess, objective, loss, solver, early_stopping and split.train_rows",
        );
    }
    if search.folds.get() == 1 {
        return refused(
            "search.folds: found 1, expected 0, or 2 or more".into(),
            "0 takes the validation rows of [split]",
        );
    }
    if search.folds.get() == 0 && config.run.split.validation.rows_of(usize::MAX) == 0 {
        return refused(
            "a search needs rows to judge trials by, but [split] holds none out and `folds` is not set".into(),
            "set `validation` of [split], for example 0.1, or `folds = 5` of [search]",
        );
    }
    let steps = search.halving.as_ref().is_some_and(|h| h.resource == Resource::Steps);
    if steps && !matches!(config.run.solver, SolverConfig::Sgd(_)) {
        return refused(
            format!(
                "search.halving.resource is `steps`, but [solver.{}] is not made of them",
                config.run.solver.name()
            ),
            "set `resource = \"rows\"`",
        );
    }
    if search.metric == Metric::Loss && search.space.0.keys().any(|key| key == "loss" || key.starts_with("loss.")) {
        return refused(
            "search.metric is `loss`, but the space is over losses, which have different scales".into(),
            "rank by `metric = \"accuracy\"` or \"macro_f1\"",
        );
    }
    Ok(search)
}

/// All trials of a search, each checked as a configuration of its own.
///
/// # Errors
/// [`ConfigError`] when the space is too large, a range has no number of points, or a trial makes no configuration.
pub fn trials(config: &LoadedConfig, search: &SearchConfig) -> Result<Vec<Trial>, ConfigError> {
    let refused = |complaint| ConfigError::about(&config.file, complaint);
    let most = search.trials.map(|trials| trials.get());
    let grid = match search.method {
        SearchMethod::Grid => Some(Grid::of(&search.space).map_err(refused)?),
        SearchMethod::Random => None,
    };
    let count = match &grid {
        Some(grid) => grid.count(most).map_err(refused)?,
        None => most.unwrap_or(DRAWN),
    };
    // Before any of them is made.
    #[allow(clippy::cast_precision_loss)]
    let bytes = count as f64 * (TRIAL + 2.0 * config.text.len() as f64);
    afford(&format!("{count} trials"), bytes, "set fewer `trials` of [search]").map_err(refused)?;
    let points = match grid {
        Some(grid) => grid.points(count, config.run.seed),
        None => random(&search.space, count, config.run.seed),
    };
    points.into_iter().enumerate().map(|(index, values)| trial(config, index, values)).collect()
}

fn trial(config: &LoadedConfig, index: usize, values: Vec<(String, Value)>) -> Result<Trial, ConfigError> {
    let sets: Vec<(Vec<String>, Value)> =
        values.iter().map(|(key, value)| (key.split('.').map(str::to_owned).collect(), value.clone())).collect();
    let named = |error: ConfigError| {
        let short = |(key, value): &(String, Value)| {
            format!("{} = {}", visible::short(key), visible::short(value.to_string().trim()))
        };
        let set: Vec<String> = values.iter().map(short).collect();
        let hint = error.hint.clone().unwrap_or_default();
        ConfigError::new(
            &config.file,
            format!(
                "search.space: with {}: {}",
                set.join(", "),
                error.problem.trim_end_matches(" (a line that --set made)")
            ),
        )
        .with_hint(hint)
    };
    let config = config.trial(&sets).map_err(named)?;
    if config.run.objective.is_path() {
        let problem = "objective.c: found several values: a trial of a search has one".to_owned();
        return Err(named(
            ConfigError::new(&config.file, problem).with_hint("put them into search.space, as \"objective.c\""),
        ));
    }
    Ok(Trial { index, values, config })
}

type Point = Vec<(String, Value)>;

/// A value of a file as the document of a trial takes it.
fn value_of(value: &toml::Value) -> Value {
    let text = value.as_float().filter(|v| v.is_finite()).map_or_else(|| value.to_string(), float);
    text.parse().unwrap_or_else(|_| Value::from(text))
}

/// A number in TOML as short as it can be written.
fn number(value: f64) -> Value {
    float(value).parse().unwrap_or_else(|_| Value::from(value))
}

/// Every combination, the last key running fastest. None is made before it is asked for.
struct Grid<'a> {
    axes: Vec<(&'a String, &'a Dimension, usize)>,
}

impl<'a> Grid<'a> {
    fn of(space: &'a Space) -> Result<Self, Complaint> {
        let axis = |(key, dimension): (&'a String, &'a Dimension)| match dimension {
            Dimension::Choices(values) => Ok((key, dimension, values.len())),
            Dimension::Range(Range { points: Some(points), .. }) => Ok((key, dimension, points.get())),
            Dimension::Range(_) => Err(Complaint::new(
                format!("search.space.{}: a grid needs to know how many `points` of the range", visible::short(key)),
                "add `points = 5`, or set `method = \"random\"`",
            )),
        };
        Ok(Self { axes: space.0.iter().map(axis).collect::<Result<_, _>>()? })
    }

    /// Combinations; `None` where there are more than a number holds.
    fn size(&self) -> Option<u64> {
        self.axes.iter().try_fold(1u64, |n, (_, _, length)| n.checked_mul(*length as u64))
    }

    /// Number of trials to take of the grid.
    fn count(&self, most: Option<usize>) -> Result<usize, Complaint> {
        let Some(size) = self.size() else {
            return Err(Complaint::new(
                format!("search.space: found more than {} combinations", u64::MAX),
                "set `method = \"random\"`, which draws each key by itself, or fewer `points`",
            ));
        };
        let wanted = most.map_or(size, |most| size.min(most as u64));
        if wanted > MOST as u64 {
            return Err(Complaint::new(
                format!("search.space: found {size} trials, expected at most {MOST}"),
                "set `trials`, which takes a drawn part",
            ));
        }
        #[allow(clippy::cast_possible_truncation)]
        Ok(wanted as usize)
    }

    /// All of it, or a drawn part in the order of the grid.
    fn points(&self, count: usize, seed: u64) -> Vec<Point> {
        let size = self.size().unwrap_or(0);
        let chosen: Vec<u64> =
            if (count as u64) < size { draw::part(size, count, &mut generator(seed)) } else { (0..size).collect() };
        chosen.into_iter().map(|at| self.point(at)).collect()
    }

    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    fn point(&self, mut at: u64) -> Point {
        let value = |(key, dimension, length): &(&String, &Dimension, usize)| {
            let i = (at % *length as u64) as usize;
            at /= *length as u64;
            let value = match dimension {
                Dimension::Choices(values) => value_of(&values[i]),
                Dimension::Range(range) => number(range.at(i as f64 / (length - 1).max(1) as f64)),
            };
            ((*key).clone(), value)
        };
        let mut values: Point = self.axes.iter().rev().map(value).collect();
        values.reverse();
        values
    }
}

fn generator(seed: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(streams::TRIALS);
    rng
}

/// Independent draws; the first trials of a longer search are those of a shorter one.
fn random(space: &Space, count: usize, seed: u64) -> Vec<Point> {
    let mut rng = generator(seed);
    let mut draw = |dimension: &Dimension| match dimension {
        Dimension::Choices(values) => value_of(&values[rng.random_range(0..values.len())]),
        Dimension::Range(range) => number(range.at(rng.random::<f64>())),
    };
    let draw_all = |space: &BTreeMap<String, Dimension>, draw: &mut dyn FnMut(&Dimension) -> Value| {
        space.iter().map(|(key, dimension)| (key.clone(), draw(dimension))).collect()
    };
    (0..count).map(|_| draw_all(&space.0, &mut draw)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const BASE: &str = "[data.digits]\n[split]\nvalidation = 0.2\n[objective]\nlambda = 1e-3\n[loss.weston_watkins]\n[solver.sgd]\n[search]\n";

    fn all(search: &str) -> Result<Vec<Trial>, String> {
        let config =
            LoadedConfig::parse(&format!("{BASE}{search}"), Path::new("x.toml"), &[]).map_err(|e| e.problem)?;
        let search = table(&config).map_err(|e| e.problem)?;
        trials(&config, search).map_err(|e| e.problem)
    }

    #[test]
    fn a_grid_is_every_combination_and_a_part_of_it_keeps_its_order() {
        let space = "[search.space]\n\"objective.lambda\" = [1e-3, 1e-2]\nsolver.sgd.learning_rate = { log = [1e-3, 1e-1], points = 3 }\n";
        let trials = all(space).unwrap();
        let labels: Vec<String> = trials.iter().map(Trial::label).collect();
        assert_eq!(labels.len(), 6);
        assert_eq!(labels[1], "lambda 0.001, learning_rate 0.01");
        assert_eq!(labels[5], "lambda 0.01, learning_rate 0.1");
        let SolverConfig::Sgd(sgd) = &trials[1].config.run.solver else { panic!("sgd") };
        assert_eq!((sgd.learning_rate.get(), trials[1].config.run.objective.strength(10).lambda), (0.01, 1e-3));
        assert!(trials[1].config.run.search.is_none());
        let part = all(&format!("trials = 4\n{space}")).unwrap();
        let part: Vec<String> = part.iter().map(Trial::label).collect();
        assert_eq!(part.len(), 4);
        let order: Vec<usize> = part.iter().map(|p| labels.iter().position(|l| l == p).unwrap()).collect();
        assert!(order.is_sorted(), "{order:?}");
    }

    #[test]
    fn of_a_grid_without_end_two_trials_are_two_trials() {
        let range =
            |i: usize| format!("\"loss.weston_watkins.margin{i}\" = {{ uniform = [1.0, 2.0], points = 9900 }}\n");
        let axes = |n: usize| toml::from_str::<Space>(&(0..n).map(range).collect::<String>()).unwrap();
        for n in [2, 4] {
            let space = axes(n);
            let grid = Grid::of(&space).unwrap();
            let points = grid.points(grid.count(Some(2)).unwrap(), 0);
            assert_eq!((points.len(), points[0].len()), (2, n));
            assert!(grid.count(None).unwrap_err().problem.starts_with("search.space: found 9"), "{n}");
        }
        let problem = Grid::of(&axes(5)).unwrap().count(Some(2)).unwrap_err().problem;
        assert_eq!(problem, "search.space: found more than 18446744073709551615 combinations");
        // A grid taken in full needs no draw.
        let space = axes(1);
        let grid = Grid::of(&space).unwrap();
        assert_eq!(grid.points(9900, 0).len(), 9900);
    }

    #[test]
    fn draws_are_inside_their_ranges_and_begin_alike() {
        let space = "method = \"random\"\ntrials = 40\n[search.space]\n\"objective.lambda\" = { log = [1e-6, 1e-2] }\nloss = [{ crammer_singer = {} }, { weston_watkins = { power = 2 } }]\n";
        let long = all(space).unwrap();
        let short = all(&space.replace("40", "5")).unwrap();
        for (a, b) in short.iter().zip(&long) {
            assert_eq!(a.label(), b.label());
        }
        let lambdas: Vec<f64> = long.iter().map(|t| t.config.run.objective.strength(1).lambda).collect();
        assert!(lambdas.iter().all(|l| (1e-6..=1e-2).contains(l)));
        // Uniform in the logarithm: about half below the geometric mean.
        let low = lambdas.iter().filter(|l| **l < 1e-4).count();
        assert!((8..32).contains(&low), "{low} of 40");
        assert!(long.iter().any(|t| t.config.run.loss.unweighted().name() == "crammer_singer"));
    }

    #[test]
    fn names_are_as_short_as_they_can_be() {
        let names =
            short_names(["solver.sgd.learning_rate", "solver.sgd.momentum.momentum", "loss", "a.loss"].into_iter());
        assert_eq!(names, ["learning_rate", "momentum", "loss", "a.loss"]);
    }
}
