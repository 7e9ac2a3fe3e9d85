//! The best trial trained once more, on training and validation rows: a run of its own in the folder `best`, with checkpoints, which
//! can be stopped and resumed like any other.

use super::rank::Standing;
use super::space::Trial;
use super::{Watcher, folds};
use crate::device::OpenDevice;
use crate::run::{self, PreparedData, RunError, RunFolder, RunResult, Setup, resume};
use crate::solver::{LogEntry, Observer, StopReason};
use std::path::Path;

/// The folder of the run, within that of the search.
pub const FOLDER: &str = "best";

/// Result of the final training.
#[derive(Debug)]
pub(super) enum Refit {
    /// Every trial diverged.
    Nothing,
    /// The run is in its folder, with this `result.json`.
    Done(Box<RunResult>),
    /// The user asked to stop; the run left a checkpoint.
    Interrupted,
}

/// Tells the watcher of the search.
struct RefitObserver<'a> {
    watcher: &'a mut dyn Watcher,
    steps: u64,
}

impl Observer for RefitObserver<'_> {
    fn warning(&mut self, text: &str) {
        self.watcher.warning(text);
    }

    fn start(&mut self, steps: u64) {
        self.steps = steps;
    }

    fn step(&mut self, step: u64) {
        self.watcher.step(step, self.steps);
    }

    fn log(&mut self, _: &LogEntry) {}

    fn interrupted(&self) -> bool {
        self.watcher.interrupted()
    }
}

/// Trains the first of the ranked trials. `taken_up`: the search is resumed, and the content of the folder is its own.
///
/// # Errors
/// [`RunError`] when the device fails or the folder cannot be written.
pub(super) fn refit(
    standings: &[Standing],
    trials: &[Trial],
    prepared: &mut PreparedData,
    device: &OpenDevice,
    folder: &Path,
    taken_up: bool,
    watcher: &mut dyn Watcher,
) -> Result<Refit, RunError> {
    let Some(best) = standings.first().filter(|s| s.score.is_some()) else {
        return Ok(Refit::Nothing);
    };
    let config = trials[best.trial].config.on_all_rows()?;
    let path = folder.join(FOLDER);
    // A run of another trial, left because the ranking has changed since, is begun anew.
    let standing = if taken_up { resume::standing(&path, &config).ok() } else { None };
    if let Some(resume::FolderState::Finished(result)) = standing {
        return Ok(Refit::Done(result));
    }
    prepared.split.train = folds::pool(&prepared.split);
    prepared.split.validation = Vec::new();
    if let Some(encoded) = run::encoded_on(&config, &prepared.data, &prepared.split.train)? {
        prepared.data = encoded;
    }
    let Setup { scaler, objective, strength } = Setup::new(&config, &prepared.data, &prepared.split.train, None)?;
    (prepared.scaler, prepared.objective, prepared.strength) = (scaler, objective, strength);
    watcher.stage(&format!("trial {} is trained once more, on {} rows", best.trial, prepared.split.train.len()));
    let resumed = match standing {
        Some(resume::FolderState::Stopped) => Some(resume::resume(&path, &config, prepared, device.label())?),
        _ => None,
    };
    let mut run_folder = match resumed {
        Some(resumed) => {
            watcher.stage(&format!("resuming from {}", resumed.from));
            resumed.notes.iter().for_each(|note| watcher.warning(note));
            resumed.folder
        }
        None => RunFolder::create(&path, &config.text, true)?,
    };
    let finished = run::train(&config, prepared, device, &mut run_folder, &mut RefitObserver { watcher, steps: 0 })?;
    Ok(match finished.stop {
        StopReason::Interrupted => Refit::Interrupted,
        _ => Refit::Done(Box::new(finished.result)),
    })
}
