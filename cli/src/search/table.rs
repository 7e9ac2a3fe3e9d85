//! `search.csv`, `search.json` and `best.toml`: the results of a search besides its records.

use super::ledger::{self, LedgerEntry};
use super::rank::Standing;
use super::{SearchOutcome, SearchPlan};
use crate::config::search::SearchConfig;
use crate::data::Fold;
use crate::device::OpenDevice;
use crate::durable::OwnFiles;
use crate::run::folder::read_text;
use crate::run::{PreparedData, RecordError, RunResult, peak_rss_bytes};
use crate::visible;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// The ranked table.
pub const TABLE: &str = "search.csv";
/// Everything, for programs.
pub const JSON: &str = "search.json";
/// The configuration of the best trial, which `train` takes.
pub const BEST: &str = "best.toml";

/// Facts of a search besides its standings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Of the program.
    pub version: String,
    /// Name of the configuration.
    pub config: String,
    /// With the adapter's name.
    pub device: String,
    /// The keys of the space.
    pub keys: Vec<String>,
    /// The `[search]` table's.
    pub method: String,
    /// The `[search]` table's.
    pub metric: String,
    /// Folds of cross-validation; 0 for a hold-out.
    pub folds: usize,
    /// Number of times that they were drawn.
    pub repeats: usize,
    /// Rows of a fold that are learned from; of the first.
    pub train_rows: usize,
    /// Rows of a fold that trials are judged by; of the first.
    pub validation_rows: usize,
    /// Rows for the test, which the search does not look at.
    pub test_rows: usize,
    /// Seconds of all jobs, measuring included; of jobs side by side those that passed.
    pub seconds: f64,
    /// Trainings.
    pub fits: usize,
    /// The largest resident memory so far.
    pub peak_rss_bytes: Option<u64>,
}

/// Content of `search.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchRecord {
    /// Configuration of the search.
    #[serde(flatten)]
    pub facts: Facts,
    /// `finished`, `time_limit` or `interrupted`.
    pub end: String,
    /// Trials planned.
    pub trials: usize,
    /// Trials that were trained as one model with others.
    pub stacked: usize,
    /// Why the others were not.
    pub alone: Vec<SingleTrials>,
    /// Ranked.
    pub standings: Vec<Standing>,
    /// `result.json` of the best trial, trained once more.
    pub refit: Option<RunResult>,
}

/// Trials that were trained one after another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SingleTrials {
    /// Why.
    pub reason: String,
    /// Number of trials.
    pub trials: usize,
}

impl Facts {
    pub(super) fn of(
        plan: &SearchPlan<'_>,
        prepared: &PreparedData,
        device: &OpenDevice,
        folds: &[Fold],
        entries: &[LedgerEntry],
    ) -> Self {
        let SearchConfig { method, metric, folds: parts, repeats, space, .. } = plan.search;
        let rows = |rows: fn(&Fold) -> usize| folds.first().map_or(0, rows);
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            config: plan.config.name(),
            device: device.label(),
            keys: space.0.keys().cloned().collect(),
            method: format!("{method:?}").to_lowercase(),
            metric: metric.name().into(),
            folds: parts.get(),
            repeats: repeats.get(),
            train_rows: rows(|f| f.train.len()),
            validation_rows: rows(|f| f.validation.len()),
            test_rows: prepared.split.test.len(),
            seconds: ledger::seconds(entries),
            fits: entries.iter().map(|e| e.fits.len()).sum(),
            peak_rss_bytes: peak_rss_bytes(),
        }
    }
}

fn content(file: &Path) -> impl FnOnce(String) -> RecordError + '_ {
    move |problem| RecordError::Io { file: file.to_path_buf(), source: io::Error::other(problem) }
}

/// Writes the three files.
pub(super) fn write(
    made: &OwnFiles,
    plan: &SearchPlan<'_>,
    outcome: &SearchOutcome,
    facts: &Facts,
) -> Result<(), RecordError> {
    let table = csv(&facts.keys, &outcome.standings).map_err(content(&made.folder().join(TABLE)))?;
    made.write(TABLE, &table)?;
    let record = SearchRecord {
        facts: facts.clone(),
        end: serde_json::to_value(outcome.end).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default(),
        trials: outcome.trials,
        stacked: outcome.stacked,
        alone: outcome.alone.iter().map(|(r, n)| SingleTrials { reason: (*r).to_owned(), trials: *n }).collect(),
        standings: outcome.standings.clone(),
        refit: outcome.refit.as_deref().cloned(),
    };
    let mut text = serde_json::to_string_pretty(&record).unwrap_or_default();
    text.push('\n');
    made.write(JSON, text.as_bytes())?;
    if let Some(best) = outcome.standings.first().filter(|s| s.score.is_some()) {
        made.write(BEST, plan.trials[best.trial].config.text.as_bytes())?;
    }
    Ok(())
}

fn csv(keys: &[String], standings: &[Standing]) -> Result<Vec<u8>, String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let fixed = ["score", "standard_error", "accuracy", "macro_f1", "loss", "train_accuracy", "relative_gap"];
    let names: Vec<_> = keys.iter().map(|key| visible::cell(key)).collect();
    let header = ["rank", "trial"].into_iter().chain(names.iter().map(AsRef::as_ref));
    let header = header.chain(["rung", "folds"]).chain(fixed).chain(["stop", "seconds"]);
    writer.write_record(header).map_err(|e| e.to_string())?;
    for s in standings {
        let number = |value: Option<f64>| value.map_or_else(String::new, |v| v.to_string());
        let value = |key: &String| s.values.get(key).map_or_else(String::new, |v| visible::cell(v).into_owned());
        let values = keys.iter().map(value);
        let measured = [s.score, s.standard_error, s.accuracy, s.macro_f1, s.loss, s.train_accuracy, s.relative_gap];
        let row = [s.rank.to_string(), s.trial.to_string()].into_iter().chain(values);
        let row = row.chain([s.rung.to_string(), s.folds.to_string()]).chain(measured.map(number));
        let row = row.chain([s.stop.clone(), format!("{:.6}", s.seconds)]);
        writer.write_record(row).map_err(|e| e.to_string())?;
    }
    writer.into_inner().map_err(|e| e.to_string())
}

/// Reads the result of a search in a folder.
///
/// # Errors
/// [`RecordError`] when the folder holds no finished search, or the file is damaged.
pub fn read(folder: &Path) -> Result<SearchRecord, RecordError> {
    let Some(text) = read_text(folder, JSON)? else {
        return Err(RecordError::NotARun { folder: folder.to_path_buf(), missing: JSON });
    };
    let file = folder.join(JSON);
    serde_json::from_str(&text).map_err(|e| RecordError::Content { file, problem: e.to_string() })
}
