//! The configuration of a run, composed of the `*Config` types of its parts.
//!
//! A TOML file, edited by `--set`, parsed by serde with unknown keys refused, then checked for what one key cannot know of
//! another. TOML is known only here and in the search. Imports everything below `run`.

mod document;
pub mod draft;
pub mod error;
mod hints;
mod preprocess;
pub mod search;
pub mod split;

pub use document::parse_assignment;
pub use error::{ConfigError, Place};
pub use preprocess::{BiasKind, Categories, PreprocessConfig};
pub use search::SearchConfig;
pub use split::{SplitTable, TrainRows};

use crate::calibration::CalibrationConfig;
use crate::data::MissingRule;
use crate::device::DeviceName;
use crate::fetch::FetchName;
use crate::format::{CellRules, Complaint, DataConfig};
use crate::loss::{LossConfig, Power};
use crate::objective::ObjectiveConfig;
use crate::solver::sgd::{Schedule, SgdConfig};
use crate::solver::{CheckpointConfig, EarlyStopping, GradientRoute, SMOOTH_HINT, SolverConfig};
use crate::visible;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use toml_edit::{DocumentMut, Value};

/// A whole configuration file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Seed of the one generator.
    #[serde(default)]
    pub seed: u64,
    /// Device of the computation.
    #[serde(default)]
    pub device: DeviceName,
    /// Threads of the CPU; 0 for all cores.
    #[serde(default)]
    pub threads: usize,
    /// Implementation of the gradient.
    #[serde(default)]
    pub gradient: GradientRoute,
    /// `[data.*]`
    pub data: DataConfig,
    /// `[split]`
    #[serde(default)]
    pub split: SplitTable,
    /// `[preprocess]`
    #[serde(default)]
    pub preprocess: PreprocessConfig,
    /// `[objective]`
    #[serde(default = "ObjectiveConfig::first_try")]
    pub objective: ObjectiveConfig,
    /// `[loss.*]`
    #[serde(default)]
    pub loss: LossConfig,
    /// `[solver.*]`
    #[serde(default)]
    pub solver: SolverConfig,
    /// `[early_stopping]`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// `[calibration]`
    #[serde(default)]
    pub calibration: CalibrationConfig,
    /// `[checkpoint]`
    #[serde(default)]
    pub checkpoint: CheckpointConfig,
    /// `[search]`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<Box<SearchConfig>>,
}

/// A configuration with the text it came from.
#[derive(Debug, Clone)]
pub struct LoadedConfig {
    /// The file.
    pub file: PathBuf,
    /// Parsed and checked.
    pub run: RunConfig,
    /// The document as used, overrides and found paths included; it runs again as it is.
    pub text: String,
}

impl LoadedConfig {
    /// Reads a configuration file and applies overrides `(key path, value)` in order.
    ///
    /// # Errors
    /// [`ConfigError`] when the file is not there, is not TOML, holds unknown or senseless keys, or names data that is not there.
    pub fn load(file: &Path, overrides: &[(Vec<String>, Value)]) -> Result<Self, ConfigError> {
        let text = document::read(file)?;
        let mut loaded = Self::parse(&text, file, overrides)?;
        loaded.resolve_paths()?;
        Ok(loaded)
    }

    /// Configuration that a model file carries; `model` is named in errors. Relative paths are looked up from `directory`, the one in
    /// which the run was started, where that is known; then as for [`LoadedConfig::load`].
    ///
    /// # Errors
    /// As [`LoadedConfig::load`].
    pub fn stored(text: &str, model: &Path, directory: Option<&Path>) -> Result<Self, ConfigError> {
        let mut loaded = Self::parse(text, model, &[])?;
        for path in loaded.run.data.paths_mut().into_iter().map(|(_, path)| path).chain(loaded.run.loss.cost_file_mut())
        {
            let there = directory.map(|directory| directory.join(&*path)).filter(|there| there.exists());
            *path = there.unwrap_or_else(|| std::mem::take(path));
        }
        loaded.resolve_paths().map_err(|e| e.with_hint("name the data with --data CONFIG-OR-FILE"))?;
        Ok(loaded)
    }

    /// The same from text, without looking for the data.
    ///
    /// # Errors
    /// As [`LoadedConfig::load`].
    pub fn parse(text: &str, file: &Path, overrides: &[(Vec<String>, Value)]) -> Result<Self, ConfigError> {
        let mut document = document::parse(text, file)?;
        for (path, value) in overrides {
            document::set(&mut document, path, value.clone()).map_err(|problem| {
                ConfigError::new(file, format!("--set {}: {problem}", visible::short(&path.join("."))))
            })?;
        }
        let written = text;
        let text = document.to_string();
        document::check_size(text.len(), file)?;
        check_choices(&document, file)?;
        document::check_costs(&document, file)?;
        let run: RunConfig = toml::from_str(&text).map_err(|error| {
            let mut error = hints::reworded(&error, &document, &text, file);
            if error.place.as_ref().is_some_and(|place| written.lines().nth(place.line - 1) != Some(&place.text)) {
                error.problem.push_str(" (a line that --set made)");
            }
            error
        })?;
        check(&run).map_err(|complaint| ConfigError::about(file, complaint))?;
        Ok(Self { file: file.to_path_buf(), run, text })
    }

    /// The name of the file without folder and extension: the name of its runs.
    #[must_use]
    pub fn name(&self) -> String {
        self.file.file_stem().map_or_else(|| "run".into(), |s| s.to_string_lossy().into_owned())
    }

    /// Finds relative paths from the working directory, then from the folder of the configuration.
    fn resolve_paths(&mut self) -> Result<(), ConfigError> {
        let folder = self.file.parent().map(Path::to_path_buf).unwrap_or_default();
        let (format, loss) = (self.run.data.name(), self.run.loss.unweighted().name());
        let mut moved = Vec::new();
        let of_data = self.run.data.paths_mut().into_iter().map(|(key, path)| (["data", format, key], path));
        let of_loss = self.run.loss.cost_file_mut().map(|path| (["loss", loss, "costs"], path));
        for (keys, path) in of_data.chain(of_loss) {
            let keys: Vec<&str> = keys.into_iter().filter(|key| !key.is_empty()).collect();
            let key = keys.join(".");
            if path.exists() {
                continue;
            }
            let beside = folder.join(&*path);
            if path.is_absolute() || !beside.exists() {
                let fetch = FetchName::of_path(path).map_or_else(String::new, |name| {
                    format!("`burn-svm fetch {name}` downloads it to data/{}; ", name.set().folder)
                });
                let hint = format!(
                    "{fetch}relative paths are looked up from the working directory, then from the folder of the configuration; \
                     `--set {key}=PATH` names another"
                );
                let problem = format!("{key}: `{}` is not there", path.display());
                return Err(ConfigError::new(&self.file, problem).with_hint(hint));
            }
            moved.push((keys, beside.clone()));
            *path = beside;
        }
        if let Ok(mut document) = self.text.parse::<DocumentMut>() {
            for (keys, path) in moved {
                let path = std::path::absolute(&path).unwrap_or(path);
                // TOML is UTF-8: a path that is not stays as it was written, for it would name another file.
                if let Some(path) = path.to_str() {
                    let _ = document::set(
                        &mut document,
                        &keys.iter().map(|&key| key.into()).collect::<Vec<_>>(),
                        Value::from(path),
                    );
                }
            }
            self.text = document.to_string();
        }
        Ok(())
    }
}

/// A clearer message than serde's for none or two of the tables of which there must be one.
fn check_choices(document: &DocumentMut, file: &Path) -> Result<(), ConfigError> {
    for (name, choices) in [
        (
            "data",
            "[data.digits], [data.idx], [data.cifar], [data.libsvm], [data.csv], [data.npy], [data.parquet], [data.arrow], [data.images] or `blocks` in [data]",
        ),
        ("loss", LossConfig::tables().as_str()),
        ("solver", "[solver.sgd], [solver.dual], [solver.lbfgs] or [solver.newton]"),
    ] {
        let found = document::choices(document, name);
        // Loss and solver have defaults.
        if name != "data" && document.get(name).is_none() {
            continue;
        }
        let problem = match found.as_slice() {
            [_] => continue,
            [] => format!("there is no [{name}.*] table: expected one of {choices}"),
            many => {
                let is_key = |choice: &str| name == "data" && choice == document::BLOCKS;
                let shown =
                    |t: &String| if is_key(t) { "`blocks` in [data]".to_owned() } else { format!("[{name}.{t}]") };
                let tables: Vec<String> = many.iter().map(shown).collect();
                format!("found {}: expected exactly one [{name}.*] table", tables.join(" and "))
            }
        };
        // A key that is no table at all is left to serde, which shows its place.
        if document.get(name).is_none_or(toml_edit::Item::is_table_like) {
            let misspelt = document.iter().map(|(key, _)| key).filter(|key| found.is_empty() && *key != name);
            let hint = { misspelt }.find(|key| strsim::jaro_winkler(key, name) > 0.75);
            return Err(ConfigError::new(file, problem).with_hint(hint.map_or_else(
                || "`burn-svm reference` lists every table and key".to_owned(),
                |key| format!("did you mean `{name}` where the file says `{key}`?"),
            )));
        }
    }
    Ok(())
}

/// The first conflict between optimiser, schedule and clipping of `[solver.sgd]`.
fn check_sgd(sgd: &SgdConfig) -> Result<(), Complaint> {
    if let Some((table, key, own)) = sgd.idle_table() {
        return Err(Complaint::new(
            format!("[solver.sgd.{table}] is set, but the {key} is `{own}`"),
            format!("set `{key} = \"{table}\"`, or remove the table"),
        ));
    }
    if sgd.clip_norm.is_some() && sgd.clip_value.is_some() {
        return Err(Complaint::new(
            "solver.sgd: both `clip_norm` and `clip_value` are set: expected at most one",
            "clip_norm scales a gradient that is too long, clip_value cuts each cell",
        ));
    }
    if sgd.schedule == Schedule::Noam && sgd.warmup_steps == 0 {
        return Err(Complaint::new(
            "solver.sgd: the schedule `noam` needs `warmup_steps`: found 0",
            "it rises to `learning_rate` over that many steps, then falls with the root of the steps",
        ));
    }
    Ok(())
}

/// No machine that trains linear models has more cores.
pub const MOST_THREADS: usize = 1024;

/// The first conflict between keys.
fn check(run: &RunConfig) -> Result<(), Complaint> {
    if run.threads > MOST_THREADS {
        let problem = format!("threads: found {}, expected at most {MOST_THREADS}", run.threads);
        return Err(Complaint::new(problem, "0 uses all cores"));
    }
    let given = run.objective.given();
    if given.len() != 1 {
        let found = if given.is_empty() { "none".to_owned() } else { format!("`{}`", given.join("` and `")) };
        return Err(Complaint::new(
            format!("[objective] needs exactly one of `lambda`, `reg` and `c`: found {found}"),
            "lambda: ½λ‖W‖²; reg: CS231n's reg·ΣW², λ = 2·reg; c: LIBLINEAR's C = 1/(λ·n)",
        ));
    }
    if run.preprocess.bias_scale.is_some() && run.preprocess.bias != BiasKind::Regularised {
        return Err(Complaint::new(
            "preprocess.bias_scale is set, but the bias is not regularised",
            "remove `bias_scale`, or set `bias = \"regularised\"`",
        ));
    }
    let CellRules { text, missing } = run.preprocess.cell_rules();
    let (is_table, is_array) = match run.data {
        DataConfig::Csv(_) | DataConfig::Parquet(_) | DataConfig::Arrow(_) => (true, false),
        _ => (false, matches!(run.data, DataConfig::Npy(_))),
    };
    if text && !is_table {
        return Err(Complaint::new(
            format!("preprocess.categories is set, but {} has no words", run.data.heading()),
            "it is for tables: [data.csv], [data.parquet], [data.arrow]",
        ));
    }
    if missing && !is_table && !is_array {
        return Err(Complaint::new(
            format!("preprocess.missing is set, but {} has no missing values", run.data.heading()),
            "it is for tables and arrays: [data.csv], [data.parquet], [data.arrow], [data.npy]",
        ));
    }
    if run.preprocess.indicator && run.preprocess.missing == MissingRule::Error {
        return Err(Complaint::new(
            "preprocess.indicator is set, but missing values are refused",
            "set `missing = \"mean\"`, \"median\" or \"most-frequent\", too",
        ));
    }
    if run.calibration.folds.is_some() && run.objective.is_path() {
        return Err(Complaint::new(
            "calibration.folds is set, but the models of a path are calibrated on its validation rows",
            "remove `folds`, or give one value of `c`",
        ));
    }
    if run.objective.is_path() && !matches!(run.solver, SolverConfig::Dual(_)) {
        return Err(Complaint::new(
            "objective.c: found several values: only [solver.dual] follows a path",
            "give one value, or train with [solver.dual]",
        ));
    }
    let loss = run.loss.unweighted();
    if loss.set.power == Power::Two && loss.set.smoothing > 0.0 {
        let name = loss.name();
        return Err(Complaint::new(
            format!("loss.{name}: both `smoothing` and power 2 are set"),
            "the squared hinge is smooth already: set `power = 1`, or remove `smoothing`",
        ));
    }
    match &run.solver {
        SolverConfig::Dual(_) | SolverConfig::Newton(_) => {
            if run.objective.strength(1).lambda <= 0.0 {
                let name = run.solver.name();
                return Err(Complaint::new(
                    format!("[solver.{name}] needs a regulariser: found a strength of 0 in [objective]"),
                    "without one there is no dual; give `lambda` or `reg` a value above 0, or use [solver.sgd]",
                ));
            }
        }
        SolverConfig::Sgd(sgd) => {
            if sgd.steps.is_some() && sgd.epochs.is_some() {
                return Err(Complaint::new(
                    "solver.sgd: both `steps` and `epochs` are set: expected at most one",
                    "steps count updates, epochs count passes over the training rows",
                ));
            }
            check_sgd(sgd)?;
        }
        SolverConfig::Lbfgs(_) => {
            if !loss.is_smooth() {
                let power = i64::from(loss.set.power);
                return Err(Complaint::new(
                    format!("[solver.lbfgs] needs a smooth loss, but {} with `power = {power}` has kinks", loss.name()),
                    SMOOTH_HINT,
                ));
            }
        }
    }
    let watches = matches!(run.solver, SolverConfig::Sgd(_));
    if run.early_stopping.is_some() && !watches {
        return Err(Complaint::new(
            format!("[early_stopping] is set, but [solver.{}] does not watch validation rows", run.solver.name()),
            "remove the table, or use [solver.sgd]: the other solvers end when the objective is solved",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BiasRule;

    const SMALL: &str = "[data.digits]\n[objective]\nlambda = 1e-3\n[loss.weston_watkins]\n[solver.sgd]\n";

    fn parse(text: &str, sets: &[&str]) -> Result<LoadedConfig, ConfigError> {
        let sets: Vec<_> = sets.iter().map(|s| parse_assignment(s).unwrap()).collect();
        LoadedConfig::parse(text, Path::new("x.toml"), &sets)
    }

    #[test]
    fn the_required_tables_alone_are_a_configuration() {
        let run = parse(SMALL, &[]).unwrap().run;
        assert_eq!((run.seed, run.threads, run.device.to_string()), (0, 0, "flex".into()));
        assert_eq!(run.preprocess.bias_rule(), BiasRule::Regularised { scale: 1.0 });
    }

    #[test]
    fn the_data_alone_are_a_configuration() {
        let full = "[data.digits]\n[objective]\nc = 1.0\n[loss.weston_watkins]\n[solver.dual]\ngap = 1e-3\n";
        assert_eq!(parse("[data.digits]\n", &[]).unwrap().run, parse(full, &[]).unwrap().run);
    }

    #[test]
    fn set_edits_the_document_before_it_is_parsed() {
        let loaded =
            parse(SMALL, &["solver.sgd.learning_rate=1e-6", "split.method=last", "device=ndarray", "seed = 7"])
                .unwrap();
        let SolverConfig::Sgd(sgd) = &loaded.run.solver else { panic!("sgd") };
        assert_eq!(sgd.learning_rate.get(), 1e-6);
        assert_eq!((loaded.run.seed, loaded.run.device.to_string()), (7, "ndarray".into()));
        // The document as used says the same.
        assert_eq!(parse(&loaded.text, &[]).unwrap().run, loaded.run);
        let error = parse(SMALL, &["solver.sgd.epoch=3"]).unwrap_err();
        assert!(error.problem.starts_with("unknown field `epoch`"), "{error}");
        assert_eq!(error.hint.as_deref(), Some("did you mean `epochs`?"));
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let run =
            parse(SMALL, &["solver.sgd.steps=9", "split.validation=0.1", "loss.weston_watkins.class_weights=balanced"])
                .unwrap()
                .run;
        let text = toml::to_string(&run).unwrap();
        assert_eq!(toml::from_str::<RunConfig>(&text).unwrap(), run);
    }
}
