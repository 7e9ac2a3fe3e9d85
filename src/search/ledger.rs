//! `trials.jsonl`: what has been trained, a line a job, appended as it ends. A line that was cut off by a kill is dropped and its
//! job done again, so that a search that is taken up ends with the table of one that was never stopped.

use crate::config::ConfigError;
use crate::run::RecordError;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The name of the file.
pub const LEDGER: &str = "trials.jsonl";
/// The configuration of the search as used.
pub const CONFIG: &str = "search.toml";

/// One training: a trial on one fold at one rung.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitRecord {
    /// The trial's number.
    pub trial: usize,
    /// The rung of successive halving, from 0; 0 without.
    pub rung: usize,
    /// The fold's number.
    pub fold: usize,
    /// Why the solver ended, as `result.json` has it.
    pub stop: String,
    /// Updates made.
    pub steps: u64,
    /// Passes over the training rows.
    pub epochs: f64,
    /// On at most 5,000 training rows; `None` where it diverged, as below.
    pub train_accuracy: Option<f64>,
    /// On the validation rows.
    pub accuracy: Option<f64>,
    /// Mean F1 of the classes on the validation rows.
    pub macro_f1: Option<f64>,
    /// Data loss on the validation rows.
    pub loss: Option<f64>,
    /// Of the exact solver: (primal − dual) / primal.
    pub relative_gap: Option<f64>,
    /// Seconds of solving; of trials that were trained as one, their share.
    pub seconds: f64,
    /// How many trials were trained as one.
    pub stacked: usize,
    /// Step and minibatch objective as logged.
    pub curve: Vec<(u64, f64)>,
}

/// A line of the file: trainings that were done together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Names the job within its search.
    pub job: String,
    /// Seconds from its beginning to its end, measuring included.
    pub wall: f64,
    /// What it trained.
    pub fits: Vec<FitRecord>,
}

/// The file, open at its end.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    /// What it held when it was opened, and what came since.
    pub entries: Vec<Entry>,
}

fn failed(file: &Path) -> impl FnOnce(io::Error) -> RecordError + '_ {
    move |source| RecordError::Io { file: file.to_path_buf(), source }
}

impl Ledger {
    /// Begins a search in a folder.
    ///
    /// # Errors
    /// [`RecordError::Taken`] when it holds a search and `force` is not set; [`RecordError::Io`] when it cannot be written.
    pub fn create(folder: &Path, config: &str, force: bool) -> Result<Self, RecordError> {
        if folder.exists() && !folder.is_dir() {
            return Err(failed(folder)(io::Error::other("is a file, expected a folder")));
        }
        if !force && [CONFIG, "config.toml"].iter().any(|name| folder.join(name).exists()) {
            return Err(RecordError::Taken { folder: folder.to_path_buf() });
        }
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        for stale in [LEDGER, "search.csv", "search.json", "best.toml"] {
            match std::fs::remove_file(folder.join(stale)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(folder)(error)),
                _ => {}
            }
        }
        crate::run::record::write_whole(&folder.join(CONFIG), config.as_bytes())?;
        let path = folder.join(LEDGER);
        let file = File::create(&path).map_err(failed(&path))?;
        Ok(Self { path, file, entries: Vec::new() })
    }

    /// Takes a search up where it was left.
    ///
    /// # Errors
    /// [`ConfigError`] when the folder holds none, or one of another configuration; [`RecordError`] when its file is damaged
    /// anywhere but at its end.
    pub fn resume(folder: &Path, config: &str) -> Result<Result<Self, RecordError>, ConfigError> {
        let Ok(found) = std::fs::read_to_string(folder.join(CONFIG)) else {
            let problem = format!("--resume: there is no `{CONFIG}`, the folder holds no search");
            return Err(ConfigError::new(folder, problem).with_hint("leave --resume out to begin one"));
        };
        if found != config {
            let differs = found.lines().zip(config.lines()).position(|(a, b)| a != b);
            let line = differs.unwrap_or_else(|| found.lines().count().min(config.lines().count())) + 1;
            let problem =
                format!("--resume: the search was begun with another configuration, different in line {line}");
            return Err(ConfigError::new(folder, problem)
                .with_hint(format!("`{CONFIG}` there is the configuration it was begun with")));
        }
        Ok(Self::read(&folder.join(LEDGER)))
    }

    fn read(path: &Path) -> Result<Self, RecordError> {
        let bytes = match std::fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other.map_err(failed(path))?,
        };
        let (mut entries, mut whole) = (Vec::new(), 0);
        for (number, line) in bytes.split_inclusive(|&b| b == b'\n').enumerate() {
            if line.last() != Some(&b'\n') {
                break;
            }
            let entry: Entry = serde_json::from_slice(line).map_err(|e| RecordError::Content {
                file: path.to_path_buf(),
                problem: format!("line {}: {e}", number + 1),
            })?;
            entries.push(entry);
            whole += line.len();
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(failed(path))?;
        file.set_len(whole as u64).map_err(failed(path))?;
        Ok(Self { path: path.to_path_buf(), file, entries })
    }

    /// The entries of a finished or interrupted search.
    ///
    /// # Errors
    /// [`RecordError`] when there are none, or the file is damaged.
    pub fn entries(folder: &Path) -> Result<Vec<Entry>, RecordError> {
        let path = folder.join(LEDGER);
        if !path.exists() {
            return Err(RecordError::NotARun { folder: folder.to_path_buf(), missing: LEDGER });
        }
        let text = std::fs::read_to_string(&path).map_err(failed(&path))?;
        let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).enumerate();
        whole
            .map(|(number, line)| {
                serde_json::from_str(line).map_err(|e| RecordError::Content {
                    file: path.clone(),
                    problem: format!("line {}: {e}", number + 1),
                })
            })
            .collect()
    }

    /// Appends a job in one write, and has the system keep it.
    ///
    /// # Errors
    /// [`RecordError::Io`] when it cannot be written.
    pub fn append(&mut self, entry: Entry) -> Result<(), RecordError> {
        let mut line = serde_json::to_vec(&entry).unwrap_or_default();
        line.push(b'\n');
        self.file.write_all(&line).and_then(|()| self.file.sync_data()).map_err(failed(&self.path))?;
        // As it will be read: a number may come back from its text in another last place.
        self.entries.push(serde_json::from_slice(&line).unwrap_or(entry));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(job: &str) -> Entry {
        let fit = FitRecord {
            trial: 1,
            rung: 0,
            fold: 2,
            stop: "finished".into(),
            steps: 3,
            epochs: 0.1,
            train_accuracy: Some(0.1 + 0.2),
            accuracy: None,
            macro_f1: Some(1.0 / 3.0),
            loss: Some(1e-300),
            relative_gap: None,
            seconds: 0.5,
            stacked: 1,
            curve: vec![(0, 9.0), (100, 1e20)],
        };
        Entry { job: job.into(), wall: 1.5, fits: vec![fit] }
    }

    #[test]
    fn wherever_the_file_is_cut_whole_lines_are_kept_and_writing_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::create(folder.path(), "a = 1\n", false).unwrap();
        ["one", "two"].iter().for_each(|job| ledger.append(entry(job)).unwrap());
        let path = folder.path().join(LEDGER);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut ledger = Ledger::resume(folder.path(), "a = 1\n").unwrap().unwrap();
            let lines = whole[..cut].iter().filter(|&&b| b == b'\n').count();
            assert_eq!(ledger.entries, ["one", "two"][..lines].iter().map(|j| entry(j)).collect::<Vec<_>>());
            ledger.append(entry("new")).unwrap();
            let read = Ledger::entries(folder.path()).unwrap();
            assert_eq!((read.len(), read.last()), (lines + 1, Some(&entry("new"))));
        }
    }

    #[test]
    fn another_configuration_or_a_damaged_middle_is_not_taken_up() {
        let folder = tempfile::tempdir().unwrap();
        let error = Ledger::resume(folder.path(), "").unwrap_err();
        assert!(error.problem.contains("holds no search"), "{error}");
        Ledger::create(folder.path(), "a = 1\nb = 2\n", false).unwrap().append(entry("one")).unwrap();
        assert!(matches!(Ledger::create(folder.path(), "", false), Err(RecordError::Taken { .. })));
        let error = Ledger::resume(folder.path(), "a = 1\nb = 3\n").unwrap_err();
        assert!(error.problem.ends_with("different in line 2"), "{error}");
        std::fs::write(folder.path().join(LEDGER), "{\"job\":3}\n{}\n").unwrap();
        let error = Ledger::resume(folder.path(), "a = 1\nb = 2\n").unwrap().unwrap_err();
        assert!(error.to_string().contains("line 1: "), "{error}");
    }
}
