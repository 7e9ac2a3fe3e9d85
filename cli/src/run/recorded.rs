//! Content of a run folder, read back for figures and reports.

use super::folder;
use super::path::PathPoint;
use super::record::{MetricsRow, RecordError, RunResult};
use super::roc::{ClassCurve, RocRecord};
use crate::durable::Refusal;
use crate::format::limit;
use crate::metric::{Confusion, MOST_DENSE};
use crate::solver::LogEntry;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The `result.json` of a run.
///
/// # Errors
/// [`RecordError`] when the folder is not a finished run, or the file is damaged.
pub fn read_result(folder: &Path) -> Result<RunResult, RecordError> {
    let Some(text) = folder::read_text(folder, "result.json")? else {
        return Err(RecordError::NotARun { folder: folder.to_path_buf(), missing: "result.json" });
    };
    let file = folder.join("result.json");
    serde_json::from_str(&text).map_err(|e| RecordError::Content { file, problem: e.to_string() })
}

/// The rows of a run's `metrics.csv`.
///
/// # Errors
/// [`RecordError`] when the folder is not a run, or the file does not hold metrics.
pub fn read_metrics(folder: &Path) -> Result<Vec<LogEntry>, RecordError> {
    let file = folder.join("metrics.csv");
    let Some(text) = whole_lines::<LogEntry>(folder, "metrics.csv")? else {
        return Err(RecordError::NotARun { folder: folder.to_path_buf(), missing: "metrics.csv" });
    };
    let wrong = |e: csv::Error| RecordError::Content { file: file.clone(), problem: e.to_string() };
    let mut reader = csv::Reader::from_reader(text.as_slice());
    let rows = reader.deserialize::<MetricsRow>().map(|row| {
        row.map(|r| LogEntry {
            step: r.step,
            epoch: r.epoch,
            loss: r.loss,
            train_accuracy: r.train_accuracy,
            validation_accuracy: r.validation_accuracy,
            seconds: r.seconds,
        })
    });
    rows.collect::<Result<_, _>>().map_err(wrong)
}

/// The lines of a file that grows, each of which becomes a `Row`. A last one without an end is not counted: a full disk or a crash cut
/// it off.
fn whole_lines<Row>(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, RecordError> {
    let Some(mut text) = folder::read(folder, name)? else { return Ok(None) };
    text.truncate(text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1));
    let rows = text.iter().filter(|&&byte| byte == b'\n').count();
    fits(folder, name, (rows as u64).saturating_mul(size_of::<Row>() as u64))?;
    Ok(Some(text))
}

/// Refuses content that would be larger in memory than a file may be.
fn fits(folder: &Path, name: &str, bytes: u64) -> Result<(), RecordError> {
    if bytes <= limit::get() {
        return Ok(());
    }
    let refusal = Refusal::TooLarge { most: limit::get() };
    Err(RecordError::Io { file: folder.join(name), source: refusal.into() })
}

/// A row of `bounds.csv`: a measurement of a solver after a number of passes; in the last row the proved bounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BoundsRow {
    /// Passes over the training rows.
    pub epoch: f64,
    /// The objective at the solver's weights.
    pub primal: f64,
    /// A lower bound of the objective at any weights, where one was proved.
    pub dual: Option<f64>,
    /// Distance to the optimum, as a share of `primal`; an estimate, where there is no `dual`.
    pub relative_gap: f64,
    /// Seconds of solving.
    pub seconds: f64,
}

impl BoundsRow {
    /// The dual, or an estimate of it: for figures.
    #[must_use]
    pub fn about_dual(&self) -> f64 {
        self.dual.unwrap_or(self.primal * (1.0 - self.relative_gap))
    }
}

/// The rows of a run's `bounds.csv`; `None` for a run that has proved nothing.
///
/// # Errors
/// [`RecordError::Content`] when the file does not hold bounds.
pub fn read_bounds(folder: &Path) -> Result<Option<Vec<BoundsRow>>, RecordError> {
    let file = folder.join("bounds.csv");
    let wrong = |e: csv::Error| RecordError::Content { file: file.clone(), problem: e.to_string() };
    let Some(text) = whole_lines::<BoundsRow>(folder, "bounds.csv")? else { return Ok(None) };
    let mut reader = csv::Reader::from_reader(text.as_slice());
    reader.deserialize().collect::<Result<_, _>>().map(Some).map_err(wrong)
}

/// The rows of a run's `path.csv`; `None` for a run of one C.
///
/// # Errors
/// [`RecordError::Content`] when the file does not hold a path.
pub fn read_path(folder: &Path) -> Result<Option<Vec<PathPoint>>, RecordError> {
    let file = folder.join("path.csv");
    let wrong = |e: csv::Error| RecordError::Content { file: file.clone(), problem: e.to_string() };
    let Some(text) = whole_lines::<PathPoint>(folder, "path.csv")? else { return Ok(None) };
    let mut reader = csv::Reader::from_reader(text.as_slice());
    reader.deserialize().collect::<Result<_, _>>().map(Some).map_err(wrong)
}

/// Content of `confusion.csv`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusionRecord {
    /// `test`, `validation` or `train`.
    pub split: String,
    /// Names in column order.
    pub class_names: Vec<String>,
    /// The counts.
    pub confusion: Confusion,
}

/// A run's `confusion.csv`; `None` where there is none.
///
/// # Errors
/// [`RecordError::Content`] when the file holds no square matrix of counts, as a table or by its cells.
pub fn read_confusion(folder: &Path) -> Result<Option<ConfusionRecord>, RecordError> {
    let file = folder.join("confusion.csv");
    let Some(text) = folder::read(folder, "confusion.csv")? else { return Ok(None) };
    let problem = |problem: String| RecordError::Content { file: file.clone(), problem };
    // Names of one letter, and a matrix of them, take many times what their text does.
    let first = text.iter().take_while(|&&byte| byte != b'\n').filter(|&&byte| byte == b',').count() as u64;
    let names = first.saturating_mul(size_of::<String>() as u64 + 16);
    let cells = first.min(MOST_DENSE as u64).saturating_mul(first.min(MOST_DENSE as u64)).saturating_mul(8);
    fits(folder, "confusion.csv", names.saturating_add(cells))?;
    let (split, class_names, confusion) = super::confusion::parse(text.as_slice()).map_err(problem)?;
    Ok(Some(ConfusionRecord { split, class_names, confusion }))
}

/// The curves of a run's `roc.csv`; `None` where there is none.
///
/// # Errors
/// [`RecordError::Content`] when the file holds no such curves.
pub fn read_roc(folder: &Path) -> Result<Option<RocRecord>, RecordError> {
    let file = folder.join("roc.csv");
    let Some(text) = folder::read(folder, "roc.csv")? else { return Ok(None) };
    let lines = text.iter().filter(|&&byte| byte == b'\n').count() as u64;
    fits(folder, "roc.csv", lines.saturating_mul(size_of::<ClassCurve>() as u64 + 32))?;
    RocRecord::parse(text.as_slice()).map(Some).map_err(|problem| RecordError::Content { file, problem })
}
