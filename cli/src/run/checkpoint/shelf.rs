//! The checkpoints in the folder of a run: which is the newest that can be read, and which go.

use super::super::record::{RecordError, failed};
use super::{Checkpoint, CheckpointFault, FOLDER, FORMAT};
use crate::durable::{self, Refusal};
use crate::format::limit;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Checkpoints that are kept.
const KEPT: usize = 2;

/// The checkpoints of a run folder.
#[derive(Debug)]
pub struct Shelf {
    run: PathBuf,
    /// The number of the next.
    next: u64,
    /// Those that are known to be good, the oldest first.
    good: Vec<u64>,
}

impl Shelf {
    /// Of a run folder.
    #[must_use]
    pub fn of(run: &Path) -> Self {
        let next = numbers(run).last().map_or(1, |last| last + 1);
        Self { run: run.to_path_buf(), next, good: Vec::new() }
    }

    /// Whether there is any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        numbers(&self.run).is_empty()
    }

    fn file(&self, number: u64) -> PathBuf {
        self.run.join(name(number))
    }

    /// The newest checkpoint that can be read, its file, and the problems of those after it.
    ///
    /// # Errors
    /// [`RecordError::Differs`] when a newer program wrote it, [`RecordError::Content`] when none can be read.
    pub fn newest(&mut self) -> Result<(Checkpoint, PathBuf, Vec<String>), RecordError> {
        let mut notes = Vec::new();
        for number in numbers(&self.run).into_iter().rev() {
            let file = self.file(number);
            let read = durable::read_below(&self.run, &name(number), limit::get());
            let read = read.map_err(|e| CheckpointFault::Damaged(e.to_string()));
            match read.and_then(|bytes| Checkpoint::from_bytes(&bytes)) {
                Ok(checkpoint) => {
                    self.good = vec![number];
                    return Ok((checkpoint, file, notes));
                }
                Err(CheckpointFault::Damaged(problem)) => {
                    notes.push(format!("{} cannot be used: {problem}", file.display()))
                }
                Err(CheckpointFault::Newer(problem)) => {
                    let problem = format!("{}: {problem}", file.display());
                    return Err(RecordError::Differs { problem, hint: "resume with the program that wrote it".into() });
                }
            }
        }
        Err(RecordError::Content { file: self.run.join(FOLDER), problem: notes.join("; ") })
    }

    /// Adds a checkpoint, and removes all but the last two that are good.
    ///
    /// # Errors
    /// [`RecordError::Io`] when it cannot be written.
    pub fn add(&mut self, checkpoint: &Checkpoint) -> Result<PathBuf, RecordError> {
        let folder = self.run.join(FOLDER);
        match fs::symlink_metadata(&folder) {
            Ok(metadata) if metadata.is_symlink() => return Err(failed(&folder)(Refusal::Link.into())),
            Ok(_) => {}
            // Not with the folders above it: a run folder that was removed stays removed.
            Err(_) => fs::create_dir(&folder).map_err(failed(&folder))?,
        }
        let file = self.file(self.next);
        checkpoint.save(&file)?;
        self.good.push(self.next);
        self.next += 1;
        let first = self.good.len().saturating_sub(KEPT);
        self.good.drain(..first);
        for number in numbers(&self.run).into_iter().filter(|number| !self.good.contains(number)) {
            // One too many does no harm.
            let _ = fs::remove_file(self.file(number));
        }
        Ok(file)
    }

    /// Removes all checkpoints and half-written remains, but no other file in the folder.
    ///
    /// # Errors
    /// [`RecordError::Io`] when the system refuses.
    pub fn clear(&mut self) -> Result<(), RecordError> {
        let folder = self.run.join(FOLDER);
        if fs::symlink_metadata(&folder).is_ok_and(|metadata| metadata.is_symlink()) {
            return Err(failed(&folder)(Refusal::Link.into()));
        }
        durable::sweep(&folder);
        for file in files(&self.run).map(|(file, _)| file) {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&file)(error)),
                _ => {}
            }
        }
        match fs::remove_dir(&folder) {
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {
                Err(failed(&folder)(error))
            }
            _ => Ok(()),
        }
    }
}

/// The name of a checkpoint within the run folder.
fn name(number: u64) -> String {
    format!("{FOLDER}/{number:06}.safetensors")
}

/// The checkpoints of a run folder in any order, each with its number, and half ones without.
fn files(run: &Path) -> impl Iterator<Item = (PathBuf, Option<u64>)> {
    let folder = run.join(FOLDER);
    let is_folder = fs::symlink_metadata(&folder).is_ok_and(|metadata| metadata.is_dir());
    let entries = is_folder.then(|| fs::read_dir(&folder)).into_iter().flatten().flatten().flatten();
    entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let (name, whole) = name.strip_suffix(durable::PARTIAL).map_or((name.as_str(), true), |name| (name, false));
        let number = name.strip_suffix(".safetensors").filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
        let number = number.parse().ok().filter(|&number| self::name(number).ends_with(&format!("/{name}")))?;
        Some((entry.path(), whole.then_some(number)))
    })
}

/// The numbers of the checkpoints of a run folder, in order.
pub(super) fn numbers(run: &Path) -> Vec<u64> {
    let mut numbers: Vec<u64> = files(run).filter_map(|(_, number)| number).collect();
    numbers.sort_unstable();
    numbers
}

/// The first checkpoint of a run folder by its name, damaged or not.
pub(in crate::run) fn first_of(run: &Path) -> Option<PathBuf> {
    numbers(run).first().map(|&number| run.join(name(number)))
}

/// Whether a folder holds a file that begins as a checkpoint does.
pub(in crate::run) fn is_one_of(run: &Path) -> bool {
    let begins = |number: u64| {
        let bytes = durable::read_below(run, &name(number), limit::get()).unwrap_or_default();
        let head = bytes.first_chunk().map_or(0, |len| u64::from_le_bytes(*len)).min(bytes.len() as u64);
        let head = &bytes[..usize::try_from(head).unwrap_or(0)];
        head.windows(FORMAT.len()).any(|words| words == FORMAT.as_bytes())
    };
    numbers(run).into_iter().any(begins)
}
