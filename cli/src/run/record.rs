//! The run folder, with all files of a run; `recorded` reads it again.
//!
//! `config.toml` as used, `metrics.csv` as it grows, `bounds.csv` of a solver that proves some, `model.safetensors`,
//! `confusion.csv`, `roc.csv`, `result.json`, `figures/`, and while it runs `checkpoint/`. A file gets its final name only when it is whole;
//! `metrics.csv` and `bounds.csv` are the exceptions, they grow line by line.

pub(in crate::run) mod blocks;
mod error;

pub use error::RecordError;
pub(crate) use error::failed;

use super::MODEL;
use super::blocks::DiskReport;
use super::checkpoint::{Checkpoint, Shelf};
use super::folder::{self, PATH_FOLDER};
use super::journal::{JSON_LINES, Journal};
use super::measure::CalibrationReport;
use super::path::{FinishedPoint, PathPoint};
use super::recorded::BoundsRow;
use super::roc::RocRecord;
use crate::durable::{self, GrowingFile, OwnFiles};
use crate::metric::Confusion;
use crate::solver::{LogEntry, Measurement, Snapshot, SolveError};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

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
    /// The relative difference of the first batch's gradient from Burn's autodiff.
    #[serde(default)]
    pub gradient_agreement: Option<f64>,
    /// Rows that were trained on.
    pub n_samples: usize,
    #[serde(default)]
    pub n_validation: usize,
    #[serde(default)]
    pub n_test: usize,
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
    #[serde(default)]
    pub calibration: Option<CalibrationReport>,
    pub seconds_load: f64,
    pub seconds_solve: f64,
    pub seconds_evaluate: f64,
    pub peak_rss_bytes: Option<u64>,
    /// Of a run whose rows stay on the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<DiskReport>,
    /// The working directory of the run, from which relative paths of its configuration count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<std::path::PathBuf>,
    /// Every C of a regularisation path; this result is of one of them, but for the seconds, which are of all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Vec<PathPoint>>,
}

/// A run folder that is being written.
#[derive(Debug)]
pub struct RunFolder {
    /// Files that the program has made in the folder.
    made: OwnFiles,
    metrics: csv::Writer<GrowingFile>,
    /// Made with its first row.
    bounds: Option<csv::Writer<GrowingFile>>,
    journal: Journal,
    /// The step of the checkpoint that is resumed.
    first_step: u64,
    /// Last log entry, for the rows of `bounds.csv`.
    last: Option<LogEntry>,
    shelf: Shelf,
    /// Snapshot to resume from, and the name of the run at that time.
    snapshot: Option<Snapshot>,
    name: Option<String>,
}

impl RunFolder {
    /// Whether a run may be written to `path`; touches nothing.
    ///
    /// # Errors
    /// [`RecordError::Taken`] when it holds a run and `force` is not set; [`RecordError::Io`] when it is no folder, or holds files that
    /// no run has made under names that this one would use.
    pub fn check(path: &Path, force: bool) -> Result<(), RecordError> {
        folder::check(path, force).map(drop)
    }

    /// Makes the folder and starts its records.
    ///
    /// # Errors
    /// As [`RunFolder::check`]; [`RecordError::Busy`] when another process is writing it; [`RecordError::Io`] when it cannot be made or
    /// written.
    pub fn create(path: &Path, config: &str, force: bool) -> Result<Self, RecordError> {
        let made = folder::check(path, force)?;
        fs::create_dir_all(path).map_err(failed(path))?;
        made.claim(&["config.toml", "metrics.csv"])?;
        // Before anything is taken away, because it says whether another process is writing here.
        let metrics = csv::Writer::from_writer(lines(&made, "metrics.csv", b"")?);
        folder::sweep(path);
        folder::remove_earlier(&made)?;
        folder::remove_blocks(&made)?;
        let journal = Journal::begin(&made, b"")?;
        let mut shelf = Shelf::of(path);
        shelf.clear()?;
        made.write("config.toml", config.as_bytes())?;
        Ok(Self { made, metrics, bounds: None, journal, first_step: 0, last: None, shelf, snapshot: None, name: None })
    }

    /// Goes on where a checkpoint was made: with its rows, and no others.
    ///
    /// # Errors
    /// [`RecordError::Busy`] when another process is writing it, [`RecordError::Io`] when it cannot be written.
    pub(super) fn go_on(path: &Path, config: &str, shelf: Shelf, from: Checkpoint) -> Result<Self, RecordError> {
        let Checkpoint { mut snapshot, identity, progress } = from;
        let made = folder::check(path, true)?;
        let mut rows = |name: &str| snapshot.take::<u8>(name).ok();
        let (metrics, bounds) = (rows("metrics.csv").unwrap_or_default(), rows("bounds.csv"));
        let journal = rows(JSON_LINES).unwrap_or_default();
        let appending = |name: &str, rows: &[u8]| {
            let file = lines(&made, name, rows)?;
            Ok::<_, RecordError>(csv::WriterBuilder::new().has_headers(rows.is_empty()).from_writer(file))
        };
        let metrics = appending("metrics.csv", &metrics)?;
        let journal = Journal::begin(&made, &journal)?;
        folder::sweep(path);
        let bounds = match bounds {
            Some(rows) => Some(appending("bounds.csv", &rows)?),
            None => {
                made.remove(&["bounds.csv"])?;
                None
            }
        };
        made.remove(&["result.json", "confusion.csv", "roc.csv"])?;
        made.write("config.toml", config.as_bytes())?;
        Ok(Self {
            made,
            metrics,
            bounds,
            journal,
            first_step: progress,
            last: None,
            shelf,
            snapshot: Some(snapshot),
            name: Some(identity.name),
        })
    }

    /// The snapshot that the solver of a resumed run begins with; `None` where it has nothing to go on from.
    pub(super) fn take_snapshot(&mut self) -> Option<Snapshot> {
        self.snapshot.take().filter(|snapshot| !snapshot.entries().is_empty())
    }

    /// The values of a path that were done before.
    pub(super) fn done_before(&mut self) -> Result<Vec<FinishedPoint>, SolveError> {
        self.snapshot.as_mut().map_or_else(|| Ok(Vec::new()), FinishedPoint::take)
    }

    /// The name of the run where it is not that of the configuration file.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Writes a checkpoint, with the rows as they are.
    pub(super) fn keep(&mut self, mut checkpoint: Checkpoint) -> Result<(), RecordError> {
        for name in ["metrics.csv", "bounds.csv", JSON_LINES] {
            if name != "bounds.csv" || self.bounds.is_some() {
                let rows = durable::read_below(self.path(), name, u64::MAX);
                checkpoint.snapshot.put(name, rows.map_err(failed(&self.path().join(name)))?);
            }
        }
        self.shelf.add(&checkpoint).map(drop)
    }

    /// Removes the checkpoints of a run that is finished.
    pub(super) fn drop_checkpoints(&mut self) -> Result<(), RecordError> {
        self.shelf.clear()
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.made.folder()
    }

    /// Path of a file of this name, which is the run's from now on.
    ///
    /// # Errors
    /// [`RecordError::Io`] when a foreign file has the name.
    pub fn file(&self, name: &str) -> Result<PathBuf, RecordError> {
        Ok(self.made.ours(name)?)
    }

    /// Path of the model.
    ///
    /// # Errors
    /// [`RecordError`] when a foreign file has the name.
    pub fn model_file(&self) -> Result<PathBuf, RecordError> {
        self.file(MODEL)
    }

    /// Appends a row to `metrics.csv`.
    ///
    /// # Errors
    /// [`RecordError::Io`] when it cannot be written.
    pub fn log(&mut self, entry: &LogEntry) -> Result<(), RecordError> {
        let file = self.path().join("metrics.csv");
        self.last = Some(*entry);
        let row = MetricsRow::from(*entry);
        self.metrics.serialize(&row).map_err(|e| failed(&file)(io::Error::other(e)))?;
        self.metrics.flush().map_err(failed(&file))?;
        self.journal.add("metrics", entry.step, &row)
    }

    /// Writes event files of TensorBoard from here on, into the folder `tensorboard`.
    ///
    /// # Errors
    /// [`RecordError::Io`] when they cannot be made.
    pub fn write_events(&mut self) -> Result<(), RecordError> {
        self.journal.open_events(&self.made, self.first_step)
    }

    /// Appends a row to `bounds.csv`, at the epoch and time that were logged last.
    ///
    /// # Errors
    /// [`RecordError::Io`] when it cannot be written.
    pub fn bounds(&mut self, measurement: &Measurement) -> Result<(), RecordError> {
        let file = self.path().join("bounds.csv");
        let writer = match &mut self.bounds {
            Some(writer) => writer,
            none => none.insert(csv::Writer::from_writer(lines(&self.made, "bounds.csv", b"")?)),
        };
        let Measurement { primal, dual, relative_gap } = *measurement;
        let (epoch, seconds) = self.last.map_or((0.0, 0.0), |e| (rounded(e.epoch), rounded(e.seconds)));
        let row = BoundsRow { epoch, primal, dual, relative_gap, seconds };
        writer.serialize(row).map_err(|e| failed(&file)(io::Error::other(e)))?;
        writer.flush().map_err(failed(&file))?;
        self.journal.add("bounds", self.last.map_or(0, |e| e.step), &row)
    }

    /// Writes `confusion.csv`: a matrix, or of more than [`crate::metric::MOST_DENSE`] classes the cells that are not zero.
    ///
    /// # Errors
    /// [`RecordError::Io`] when it cannot be written.
    pub fn confusion(&self, split: &str, confusion: &Confusion, class_names: &[String]) -> Result<(), RecordError> {
        let file = self.path().join("confusion.csv");
        let text = super::confusion::text(split, confusion, class_names);
        let bytes = text.map_err(|e| failed(&file)(io::Error::other(e)))?;
        self.made.claim(&["confusion.csv"])?;
        Ok(self.made.write("confusion.csv", &bytes)?)
    }

    /// Writes `roc.csv`.
    ///
    /// # Errors
    /// [`RecordError::Io`] when it cannot be written.
    pub fn roc(&self, record: &RocRecord) -> Result<(), RecordError> {
        let bytes = record.text().map_err(|e| failed(&self.path().join("roc.csv"))(io::Error::other(e)))?;
        self.made.claim(&["roc.csv"])?;
        Ok(self.made.write("roc.csv", &bytes)?)
    }

    /// Path of the model of one C.
    ///
    /// # Errors
    /// [`RecordError::Io`] when the folder for it cannot be made, or a foreign file has the name.
    pub fn path_model(&self, c: f64) -> Result<PathBuf, RecordError> {
        let file = self.file(&format!("{PATH_FOLDER}/c-{c}.safetensors"))?;
        if fs::symlink_metadata(&file).is_ok_and(|metadata| metadata.is_symlink()) {
            return Err(failed(&file)(durable::Refusal::Link.into()));
        }
        Ok(file)
    }

    /// Writes `path.csv`.
    ///
    /// # Errors
    /// [`RecordError::Io`] when it cannot be written.
    pub fn write_path(&self, points: &[PathPoint]) -> Result<(), RecordError> {
        let file = self.path().join("path.csv");
        let mut writer = csv::Writer::from_writer(Vec::new());
        for point in points {
            writer.serialize(point).map_err(|e| failed(&file)(io::Error::other(e)))?;
        }
        let bytes = writer.into_inner().map_err(|e| failed(&file)(io::Error::other(e.to_string())))?;
        Ok(self.made.write("path.csv", &bytes)?)
    }

    /// Writes `result.json`.
    ///
    /// # Errors
    /// [`RecordError::Io`] when it cannot be written.
    pub fn finish(&self, result: &RunResult) -> Result<(), RecordError> {
        let mut text = serde_json::to_string_pretty(result).unwrap_or_default();
        text.push('\n');
        Ok(self.made.write("result.json", text.as_bytes())?)
    }
}

/// Column order and names of `metrics.csv`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct MetricsRow {
    pub step: u64,
    pub epoch: f64,
    pub loss: Option<f64>,
    pub train_accuracy: Option<f64>,
    pub validation_accuracy: Option<f64>,
    pub seconds: f64,
}

impl From<LogEntry> for MetricsRow {
    fn from(e: LogEntry) -> Self {
        let LogEntry { step, epoch, loss, train_accuracy, validation_accuracy, seconds } = e;
        Self { step, epoch: rounded(epoch), loss, train_accuracy, validation_accuracy, seconds: rounded(seconds) }
    }
}

/// Six decimals: more would only hide the number.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// A file of a run that grows line by line, with the lines that it begins with. While it is open, no other process gets it this way.
pub(super) fn lines(made: &OwnFiles, name: &str, rows: &[u8]) -> Result<GrowingFile, RecordError> {
    let path = made.ours(name)?;
    let Some(mut file) = GrowingFile::open(&path).map_err(failed(&path))? else {
        return Err(RecordError::Busy { folder: made.folder().to_path_buf(), what: "run" });
    };
    file.begin(rows).map_err(failed(&path))?;
    Ok(file)
}

/// A name for a run that has none: `runs/<name>-<UTC time>`, with a number behind it where that is taken.
#[must_use]
pub fn fresh_folder(name: &str) -> PathBuf {
    let time = jiff::Timestamp::now().strftime("%Y%m%d-%H%M%S").to_string();
    let base = Path::new("runs").join(format!("{name}-{time}"));
    let numbered = (2..).map(|i| PathBuf::from(format!("{}-{i}", base.display())));
    std::iter::once(base.clone()).chain(numbered).find(|p| !p.exists()).unwrap_or(base)
}

#[cfg(test)]
mod tests {
    use super::super::recorded::{ConfusionRecord, read_bounds, read_confusion, read_metrics, read_path};
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
    fn bounds_and_confusion_read_back_as_they_were_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = RunFolder::create(folder.path(), "", false).unwrap();
        assert_eq!((read_bounds(folder.path()).unwrap(), read_confusion(folder.path()).unwrap()), (None, None));
        for dual in [None, Some(1.5)] {
            run.bounds(&Measurement { primal: 2.0, dual, relative_gap: 0.25 }).unwrap();
        }
        let row = |dual| BoundsRow { epoch: 0.0, primal: 2.0, dual, relative_gap: 0.25, seconds: 0.0 };
        assert_eq!(read_bounds(folder.path()).unwrap(), Some(vec![row(None), row(Some(1.5))]));
        let mut confusion = Confusion::new(2);
        confusion.add(1, 0);
        let class_names = vec!["a, \"b\"\n".to_owned(), "ω".to_owned()];
        run.confusion("test", &confusion, &class_names).unwrap();
        let read = read_confusion(folder.path()).unwrap().unwrap();
        assert_eq!(read, ConfusionRecord { split: "test".into(), class_names, confusion });
        for (text, problem) in [
            ("test,a,b\na,1,2\n", "found 1 lines of 2 classes"),
            ("test,a,b\nb,1,2\na,1,2\n", "line 2: expected the classes in the order"),
            ("test,a,b\na,1,-2\nb,1,2\n", "line 2: `-2` is not a count"),
            ("test,a,b\na,1\n", "CSV error"),
            ("", "found 0 lines of 0 classes"),
        ] {
            fs::write(folder.path().join("confusion.csv"), text).unwrap();
            let error = read_confusion(folder.path()).unwrap_err().to_string();
            assert!(error.contains(problem), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_forced_run_leaves_nothing_of_the_one_before_but_what_is_not_of_a_run() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::create(folder.path(), "", false).unwrap();
        fs::write(run.path_model(0.5).unwrap(), "model").unwrap();
        run.write_path(&[]).unwrap();
        fs::write(folder.path().join("path/notes.txt"), "mine").unwrap();
        drop(run);
        RunFolder::create(folder.path(), "", true).unwrap();
        assert!(!folder.path().join("path/c-0.5.safetensors").exists() && !folder.path().join("path.csv").exists());
        assert!(folder.path().join("path/notes.txt").exists());
        assert_eq!(read_path(folder.path()).unwrap(), None);
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
