//! `trials.jsonl`: the record of the trainings, a line a job, appended as it ends. A line that was cut off by a kill is dropped and its
//! job done again, so that a resumed search ends with the table of one that was never stopped.

use super::folder;
use super::table::{BEST, JSON, TABLE};
use crate::config::ConfigError;
use crate::durable::{self, FolderKind, GrowingFile, OwnFiles};
use crate::format::limit;
use crate::run::RecordError;
use crate::run::folder::{FIGURES, read_text};
use crate::run::record::failed;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

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
    /// Number of trials that were trained as one.
    pub stacked: usize,
    /// Step and minibatch objective as logged.
    pub curve: Vec<(u64, f64)>,
}

/// A line of the file: trainings that were done together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Names the job within its search.
    pub job: String,
    /// Seconds from its beginning to its end, measuring included.
    pub wall: f64,
    /// Seconds of the search at its end, those of earlier sessions included; version 0.1.0 kept none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed: Option<f64>,
    /// Records of its trainings.
    pub fits: Vec<FitRecord>,
}

/// Seconds of a search by the clock, for jobs in parallel, too; of jobs without a time of their end the sum.
#[must_use]
pub fn seconds(entries: &[LedgerEntry]) -> f64 {
    let last = entries.iter().filter_map(|entry| entry.elapsed).reduce(f64::max);
    last.unwrap_or_else(|| entries.iter().map(|entry| entry.wall).sum())
}

/// The file, open at its end. While it is, no other process has it.
#[derive(Debug)]
pub struct Ledger {
    /// Files that the program has made in the folder.
    pub(super) made: OwnFiles,
    file: GrowingFile,
    /// Entries found when it was opened, and those added since.
    pub entries: Vec<LedgerEntry>,
}

impl Ledger {
    /// Begins a search in a folder.
    ///
    /// # Errors
    /// [`RecordError::Taken`] when it holds a search and `force` is not set; [`RecordError::Busy`] when another process is writing it;
    /// [`RecordError::Io`] when it cannot be written, or holds files that no search has made under names that this one would use.
    pub fn create(folder: &Path, config: &str, force: bool) -> Result<Self, RecordError> {
        let made = folder::check(folder, force)?;
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        made.claim(&[CONFIG, LEDGER])?;
        // Before anything is taken away, because it says whether another process is writing here.
        let mut file = Self::held(&made)?;
        sweep(folder);
        made.remove(&[TABLE, JSON, BEST])?;
        file.begin(b"").map_err(failed(&folder.join(LEDGER)))?;
        made.write(CONFIG, config.as_bytes())?;
        Ok(Self { made, file, entries: Vec::new() })
    }

    fn held(made: &OwnFiles) -> Result<GrowingFile, RecordError> {
        let path = made.ours(LEDGER)?;
        let busy = || RecordError::Busy { folder: made.folder().to_path_buf(), what: "search" };
        GrowingFile::open(&path).map_err(failed(&path))?.ok_or_else(busy)
    }

    /// Takes a search up where it was left.
    ///
    /// # Errors
    /// [`ConfigError`] when the folder holds none, or one of another configuration; [`RecordError`] when its file is damaged
    /// anywhere but at its end, or another process is writing it.
    pub fn resume(folder: &Path, config: &str) -> Result<Result<Self, RecordError>, ConfigError> {
        let found = match read_text(folder, CONFIG) {
            Ok(Some(found)) => found,
            Ok(None) => {
                let problem = format!("--resume: there is no `{CONFIG}`, the folder holds no search");
                return Err(ConfigError::new(folder, problem).with_hint("leave --resume out to begin one"));
            }
            Err(error) => return Ok(Err(error)),
        };
        if found != config {
            let differs = found.lines().zip(config.lines()).position(|(a, b)| a != b);
            let line = differs.unwrap_or_else(|| found.lines().count().min(config.lines().count())) + 1;
            let problem =
                format!("--resume: the search was begun with another configuration, different in line {line}");
            return Err(ConfigError::new(folder, problem)
                .with_hint(format!("`{CONFIG}` there is the configuration it was begun with")));
        }
        Ok(Self::read(folder))
    }

    fn read(folder: &Path) -> Result<Self, RecordError> {
        // Without a list, a configuration that is that of the search to the last byte says that the folder is the search's.
        let found = folder::open(folder)?.unwrap_or_else(|| folder::by_name(folder));
        if !found.is(FolderKind::Search) {
            return Err(folder::a_run(folder));
        }
        folder::best(folder)?;
        let path = folder.join(LEDGER);
        let mut file = Self::held(&found)?;
        let bytes = file.read(limit::get()).map_err(failed(&path))?;
        let (entries, whole) = of_lines(&bytes, &path)?;
        file.keep(&bytes, whole).map_err(failed(&path))?;
        sweep(folder);
        Ok(Self { made: found, file, entries })
    }

    /// The entries of a finished or interrupted search.
    ///
    /// # Errors
    /// [`RecordError`] when there are none, or the file is damaged.
    pub fn entries(folder: &Path) -> Result<Vec<LedgerEntry>, RecordError> {
        let Some(bytes) = crate::run::folder::read(folder, LEDGER)? else {
            return Err(RecordError::NotARun { folder: folder.to_path_buf(), missing: LEDGER });
        };
        Ok(of_lines(&bytes, &folder.join(LEDGER))?.0)
    }

    /// Appends a job in one write, and has the system keep it.
    ///
    /// # Errors
    /// [`RecordError::Io`] when it cannot be written.
    pub fn append(&mut self, entry: LedgerEntry) -> Result<(), RecordError> {
        let mut line = serde_json::to_vec(&entry).unwrap_or_default();
        line.push(b'\n');
        let path = self.made.folder().join(LEDGER);
        self.file.write_all(&line).and_then(|()| self.file.sync()).map_err(failed(&path))?;
        // As it will be read: a number may come back from its text in another last place.
        self.entries.push(serde_json::from_slice(&line).unwrap_or(entry));
        Ok(())
    }
}

/// The entries of the whole lines, and how many bytes those are. What stands there again (two processes of version 0.1.0 could write
/// one file) is what it was the first time: a job counts once, and so does a trial on a fold of a rung.
fn of_lines(bytes: &[u8], path: &Path) -> Result<(Vec<LedgerEntry>, usize), RecordError> {
    let (mut entries, mut whole) = (Vec::new(), 0);
    let (mut jobs, mut trained) = (BTreeSet::new(), BTreeSet::new());
    for (number, line) in bytes.split_inclusive(|&b| b == b'\n').enumerate() {
        if line.last() != Some(&b'\n') {
            break;
        }
        let mut entry: LedgerEntry = serde_json::from_slice(line).map_err(|e| RecordError::Content {
            file: path.to_path_buf(),
            problem: format!("line {}: {e}", number + 1),
        })?;
        whole += line.len();
        if jobs.insert(entry.job.clone()) {
            entry.fits.retain(|fit| trained.insert((fit.rung, fit.fold, fit.trial)));
            entries.push(entry);
        }
    }
    Ok((entries, whole))
}

/// Removes a line that a crash has left half written.
fn sweep(folder: &Path) {
    durable::sweep(folder);
    durable::sweep(&folder.join(FIGURES));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(job: &str) -> LedgerEntry {
        let fit = FitRecord {
            trial: job.bytes().map(usize::from).sum(),
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
        LedgerEntry { job: job.into(), wall: 1.5, elapsed: Some(2.5), fits: vec![fit] }
    }

    #[test]
    fn wherever_the_file_is_cut_whole_lines_are_kept_and_writing_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::create(folder.path(), "a = 1\n", false).unwrap();
        ["one", "two"].iter().for_each(|job| ledger.append(entry(job)).unwrap());
        drop(ledger);
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

    #[test]
    fn what_stands_there_twice_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::create(folder.path(), "", false).unwrap();
        ["one", "two", "one"].iter().for_each(|job| ledger.append(entry(job)).unwrap());
        // Another score of a job, and a trial under another name.
        let mut other = entry("two");
        other.fits[0].accuracy = Some(1.0);
        ledger.append(other.clone()).unwrap();
        other.job = "three".into();
        ledger.append(other).unwrap();
        drop(ledger);
        let three = LedgerEntry { job: "three".into(), fits: Vec::new(), ..entry("three") };
        let expected = [entry("one"), entry("two"), three];
        assert_eq!(Ledger::entries(folder.path()).unwrap(), expected);
        assert_eq!(Ledger::resume(folder.path(), "").unwrap().unwrap().entries, expected);
    }

    #[test]
    fn jobs_side_by_side_take_the_time_that_passed() {
        let at = |wall, elapsed| LedgerEntry { wall, elapsed, ..entry("one") };
        // Two pairs side by side, written in the order in which they ended.
        let pairs = [at(2.0, Some(2.0)), at(2.5, Some(2.5)), at(2.0, Some(4.0)), at(2.0, Some(4.5))];
        assert_eq!(seconds(&pairs), 4.5);
        // A search that 0.1.0 began, and its continuation, which counts on from there.
        let mut begun = vec![at(1.0, None), at(2.0, None)];
        assert_eq!(seconds(&begun), 3.0);
        begun.push(at(1.5, Some(4.5)));
        assert_eq!(seconds(&begun), 4.5);
        assert_eq!(seconds(&[]), 0.0);
    }

    #[test]
    fn one_process_at_a_time_has_it() {
        if !cfg!(unix) {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let mut held = Ledger::create(folder.path(), "", false).unwrap();
        held.append(entry("one")).unwrap();
        let busy = |found: Result<Ledger, RecordError>| matches!(found, Err(RecordError::Busy { what: "search", .. }));
        assert!(busy(Ledger::resume(folder.path(), "").unwrap()) && busy(Ledger::create(folder.path(), "", true)));
        drop(held);
        assert_eq!(Ledger::resume(folder.path(), "").unwrap().unwrap().entries.len(), 1);
    }
}
