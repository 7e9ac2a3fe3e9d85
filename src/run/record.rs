//! The run folder: what a run leaves behind, and how it is read again.
//!
//! `config.toml` as used, `metrics.csv` as it grows, `model.safetensors`, `result.json`, `figures/`. A file gets its final name
//! only when it is whole; `metrics.csv` is the exception, it grows line by line.

use crate::solver::LogEntry;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A run folder that cannot be made, written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The folder holds a run already.
    #[error("{folder}: holds a run already")]
    Taken {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder is not a run.
    #[error("{folder}: is not a run folder: there is no `{missing}`")]
    NotARun {
        /// The folder.
        folder: PathBuf,
        /// What was looked for.
        missing: &'static str,
    },
    /// The system refused.
    #[error("{file}: {source}")]
    Io {
        /// The file or folder.
        file: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file of the run does not hold what it should.
    #[error("{file}: {problem}")]
    Content {
        /// The file.
        file: PathBuf,
        /// What was found.
        problem: String,
    },
}

fn failed(file: &Path) -> impl FnOnce(io::Error) -> RecordError + '_ {
    move |source| RecordError::Io { file: file.to_path_buf(), source }
}

/// The numbers of a finished run; `null` where not applicable. The keys are the contract of `result.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct RunResult {
    /// Of the program.
    pub version: String,
    /// Name of the configuration.
    pub config: String,
    /// With the adapter's name.
    pub device: String,
    pub gradient: Option<String>,
    pub n_samples: usize,
    pub n_features: usize,
    pub n_classes: usize,
    pub steps: u64,
    pub epochs: f64,
    pub stop_reason: String,
    /// With early stopping only, the step whose weights the model has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_step: Option<u64>,
    pub lambda: f64,
    pub reg: f64,
    pub c: Option<f64>,
    pub objective: Option<f64>,
    pub data_loss: Option<f64>,
    pub dual_objective: Option<f64>,
    pub gap: Option<f64>,
    pub relative_gap: Option<f64>,
    pub train_accuracy: Option<f64>,
    pub validation_accuracy: Option<f64>,
    pub test_accuracy: Option<f64>,
    pub seconds_load: f64,
    pub seconds_solve: f64,
    pub seconds_evaluate: f64,
    pub peak_rss_bytes: Option<u64>,
}

/// A run folder that is being written.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    metrics: csv::Writer<fs::File>,
}

impl RunFolder {
    /// Whether a run may be written to `path`; touches nothing.
    ///
    /// # Errors
    /// [`RecordError::Taken`] when it holds a run and `force` is not set; [`RecordError::Io`] when it is no folder.
    pub fn check(path: &Path, force: bool) -> Result<(), RecordError> {
        if path.exists() && !path.is_dir() {
            return Err(failed(path)(io::Error::other("is a file, expected a folder")));
        }
        if !force && ["config.toml", "result.json", "model.safetensors"].iter().any(|f| path.join(f).exists()) {
            return Err(RecordError::Taken { folder: path.to_path_buf() });
        }
        Ok(())
    }

    /// Makes the folder and starts its records.
    ///
    /// # Errors
    /// [`RecordError::Taken`] when it holds a run and `force` is not set; [`RecordError::Io`] when it cannot be made or written.
    pub fn create(path: &Path, config: &str, force: bool) -> Result<Self, RecordError> {
        Self::check(path, force)?;
        fs::create_dir_all(path).map_err(failed(path))?;
        for stale in ["result.json", "model.safetensors"] {
            match fs::remove_file(path.join(stale)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(path)(error)),
                _ => {}
            }
        }
        write_whole(&path.join("config.toml"), config.as_bytes())?;
        let metrics = path.join("metrics.csv");
        let file = fs::File::create(&metrics).map_err(failed(&metrics))?;
        Ok(Self { path: path.to_path_buf(), metrics: csv::Writer::from_writer(file) })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a row to `metrics.csv`.
    ///
    /// # Errors
    /// [`RecordError::Io`] when it cannot be written.
    pub fn log(&mut self, entry: &LogEntry) -> Result<(), RecordError> {
        let file = self.path.join("metrics.csv");
        let row = MetricsRow::from(*entry);
        self.metrics.serialize(row).map_err(|e| failed(&file)(io::Error::other(e)))?;
        self.metrics.flush().map_err(failed(&file))
    }

    /// Writes `result.json`.
    ///
    /// # Errors
    /// [`RecordError::Io`] when it cannot be written.
    pub fn finish(&self, result: &RunResult) -> Result<(), RecordError> {
        let mut text = serde_json::to_string_pretty(result).unwrap_or_default();
        text.push('\n');
        write_whole(&self.path.join("result.json"), text.as_bytes())
    }
}

/// Column order and names of `metrics.csv`.
#[derive(Debug, Serialize, Deserialize)]
struct MetricsRow {
    step: u64,
    epoch: f64,
    loss: Option<f64>,
    train_accuracy: Option<f64>,
    validation_accuracy: Option<f64>,
    seconds: f64,
}

impl From<LogEntry> for MetricsRow {
    fn from(e: LogEntry) -> Self {
        let LogEntry { step, epoch, loss, train_accuracy, validation_accuracy, seconds } = e;
        Self { step, epoch: rounded(epoch), loss, train_accuracy, validation_accuracy, seconds: rounded(seconds) }
    }
}

/// Six decimals: more would only hide the number.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// Writes a file under a temporary name and renames it.
fn write_whole(file: &Path, bytes: &[u8]) -> Result<(), RecordError> {
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    fs::write(&partial, bytes).map_err(failed(&partial))?;
    fs::rename(&partial, file).map_err(failed(file))
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
    let mut reader = csv::Reader::from_path(&file).map_err(wrong)?;
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

/// A name for a run that has none: `runs/<name>-<UTC time>`, with a number behind it where that is taken.
#[must_use]
pub fn fresh_folder(name: &str) -> PathBuf {
    let time = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    let base = Path::new("runs").join(format!("{name}-{time}"));
    let numbered = (2..).map(|i| PathBuf::from(format!("{}-{i}", base.display())));
    std::iter::once(base.clone()).chain(numbered).find(|p| !p.exists()).unwrap_or(base)
}

/// The largest resident memory of this process so far, in bytes; `None` where the system does not say.
#[must_use]
pub fn peak_rss_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_read_back_as_they_were_logged() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = RunFolder::create(folder.path(), "seed = 0\n", false).unwrap();
        let first = LogEntry {
            step: 0,
            epoch: 0.0,
            loss: Some(9.5),
            train_accuracy: None,
            validation_accuracy: None,
            seconds: 0.25,
        };
        let second = LogEntry { step: 10, loss: None, validation_accuracy: Some(0.5), ..first };
        run.log(&first).unwrap();
        run.log(&second).unwrap();
        let text = fs::read_to_string(folder.path().join("metrics.csv")).unwrap();
        assert!(
            text.starts_with("step,epoch,loss,train_accuracy,validation_accuracy,seconds\n0,0.0,9.5,,,0.25\n"),
            "{text}"
        );
        assert_eq!(read_metrics(folder.path()).unwrap(), [first, second]);
    }

    #[test]
    fn a_folder_with_a_run_is_not_overwritten_unless_forced() {
        let folder = tempfile::tempdir().unwrap();
        RunFolder::create(folder.path(), "a", false).unwrap();
        assert!(matches!(RunFolder::create(folder.path(), "b", false), Err(RecordError::Taken { .. })));
        RunFolder::create(folder.path(), "b", true).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("config.toml")).unwrap(), "b");
    }
}
