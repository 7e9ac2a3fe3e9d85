//! What a run folder holds, read back: for figures and reports of any finished run.

use super::path::PathPoint;
use super::record::{MetricsRow, RecordError, RunResult, failed};
use crate::metric::Confusion;
use crate::solver::LogEntry;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// What a run's `result.json` says.
///
/// # Errors
/// [`RecordError`] when the folder is not a finished run, or the file is damaged.
pub fn read_result(folder: &Path) -> Result<RunResult, RecordError> {
    let file = folder.join("result.json");
    if !file.exists() {
        return Err(RecordError::NotARun { folder: folder.to_path_buf(), missing: "result.json" });
    }
    let text = std::fs::read_to_string(&file).map_err(|source| RecordError::Io { file: file.clone(), source })?;
    serde_json::from_str(&text).map_err(|e| RecordError::Content { file, problem: e.to_string() })
}

/// The rows of a run's `metrics.csv`.
///
/// # Errors
/// [`RecordError`] when the folder is not a run, or the file does not hold metrics.
pub fn read_metrics(folder: &Path) -> Result<Vec<LogEntry>, RecordError> {
    let file = folder.join("metrics.csv");
    if !file.exists() {
        return Err(RecordError::NotARun { folder: folder.to_path_buf(), missing: "metrics.csv" });
    }
    let wrong = |e: csv::Error| RecordError::Content { file: file.clone(), problem: e.to_string() };
    let text = whole_lines(&file)?;
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

/// The lines of a file that grows. A last one without an end is not counted: a full disk or a crash cut it off.
fn whole_lines(file: &Path) -> Result<Vec<u8>, RecordError> {
    let mut text = fs::read(file).map_err(failed(file))?;
    text.truncate(text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1));
    Ok(text)
}

/// A row of `bounds.csv`: what the exact solver had proved after so many passes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BoundsRow {
    /// Passes over the training rows.
    pub epoch: f64,
    /// The objective at the solver's weights.
    pub primal: f64,
    /// A lower bound of the objective at any weights.
    pub dual: f64,
    /// (primal − dual) / primal
    pub relative_gap: f64,
    /// Seconds of solving.
    pub seconds: f64,
}

/// The rows of a run's `bounds.csv`; `None` for a run that has proved nothing.
///
/// # Errors
/// [`RecordError::Content`] when the file does not hold bounds.
pub fn read_bounds(folder: &Path) -> Result<Option<Vec<BoundsRow>>, RecordError> {
    let file = folder.join("bounds.csv");
    if !file.exists() {
        return Ok(None);
    }
    let wrong = |e: csv::Error| RecordError::Content { file: file.clone(), problem: e.to_string() };
    let text = whole_lines(&file)?;
    let mut reader = csv::Reader::from_reader(text.as_slice());
    reader.deserialize().collect::<Result<_, _>>().map(Some).map_err(wrong)
}

/// The rows of a run's `path.csv`; `None` for a run of one C.
///
/// # Errors
/// [`RecordError::Content`] when the file does not hold a path.
pub fn read_path(folder: &Path) -> Result<Option<Vec<PathPoint>>, RecordError> {
    let file = folder.join("path.csv");
    if !file.exists() {
        return Ok(None);
    }
    let wrong = |e: csv::Error| RecordError::Content { file: file.clone(), problem: e.to_string() };
    let mut reader = csv::Reader::from_path(&file).map_err(wrong)?;
    reader.deserialize().collect::<Result<_, _>>().map(Some).map_err(wrong)
}

/// What `confusion.csv` holds.
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
    if !file.exists() {
        return Ok(None);
    }
    let problem = |problem: String| RecordError::Content { file: file.clone(), problem };
    let opened = fs::File::open(&file).map_err(failed(&file))?;
    let (split, class_names, confusion) = super::confusion::parse(opened).map_err(problem)?;
    Ok(Some(ConfusionRecord { split, class_names, confusion }))
}
