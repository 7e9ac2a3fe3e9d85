//! Recorder of a solver's messages: rows in the run folder, checkpoints, and the observer of the caller.

use super::checkpoint::{Checkpoint, Identity};
use super::path::FinishedPoint;
use super::record::{RecordError, RunFolder};
use super::{LoadedConfig, OpenDevice, PreparedData};
use crate::solver::checkpoint::Rhythm;
use crate::solver::{GradientReport, LogEntry, Measurement, Observer, Snapshot};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// A panic elsewhere leaves records, not broken invariants.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Passes the messages of the solver on to the run folder, and to the observer of the caller.
pub(super) struct Recorder<'a> {
    folder: &'a Mutex<&'a mut RunFolder>,
    observer: &'a mut dyn Observer,
    failure: Option<RecordError>,
    config: &'a LoadedConfig,
    prepared: &'a PreparedData,
    device: &'a OpenDevice,
    /// Read over all data, and so not before the first checkpoint.
    identity: OnceLock<Identity>,
    rhythm: Rhythm,
    progress: u64,
    /// The finished C of a path; its rows are written elsewhere.
    pub done: Option<&'a Mutex<Vec<FinishedPoint>>>,
}

impl<'a> Recorder<'a> {
    pub fn new(
        folder: &'a Mutex<&'a mut RunFolder>,
        observer: &'a mut dyn Observer,
        config: &'a LoadedConfig,
        prepared: &'a PreparedData,
        device: &'a OpenDevice,
    ) -> Self {
        Self {
            folder,
            observer,
            failure: None,
            config,
            prepared,
            device,
            identity: OnceLock::new(),
            rhythm: Rhythm::new(config.run.checkpoint),
            progress: 0,
            done: None,
        }
    }

    /// The first failed write.
    pub fn failure(self) -> Result<(), RecordError> {
        self.failure.map_or(Ok(()), Err)
    }

    fn note(&mut self, result: Result<(), RecordError>) {
        if let Err(error) = result {
            self.failure.get_or_insert(error);
        }
    }

    fn row(&mut self, entry: &LogEntry, measurement: Option<&Measurement>) {
        if self.done.is_none() {
            let result = lock(self.folder).log(entry);
            self.note(result);
            if let Some(measurement) = measurement {
                let result = lock(self.folder).bounds(measurement);
                self.note(result);
            }
        }
    }

    fn keep(&self, mut snapshot: Snapshot) -> Result<(), RecordError> {
        let identity = || Identity::of(self.config, self.prepared, self.device.label());
        if let Some(done) = self.done {
            FinishedPoint::keep(&lock(done), &mut snapshot);
        }
        let identity = self.identity.get_or_init(identity).clone();
        lock(self.folder).keep(Checkpoint { identity, progress: self.progress, snapshot })
    }
}

impl Observer for Recorder<'_> {
    fn stage(&mut self, name: &str) {
        self.observer.stage(name);
    }

    fn warning(&mut self, text: &str) {
        self.observer.warning(text);
    }

    fn gradient(&mut self, report: GradientReport) {
        self.observer.gradient(report);
    }

    fn start(&mut self, steps: u64) {
        self.observer.start(steps);
    }

    fn step(&mut self, step: u64) {
        self.progress = step;
        self.observer.step(step);
    }

    fn log(&mut self, entry: &LogEntry) {
        self.row(entry, None);
        self.observer.log(entry);
    }

    fn bounds(&mut self, entry: &LogEntry, measurement: &Measurement, active: f64) {
        self.row(entry, Some(measurement));
        self.observer.bounds(entry, measurement, active);
    }

    fn wants_weights(&self) -> bool {
        self.observer.wants_weights()
    }

    fn weights(&mut self, step: u64, weights: &[f32]) {
        self.observer.weights(step, weights);
    }

    fn interrupted(&self) -> bool {
        // A run whose records cannot be written is stopped at once, not at its end.
        self.failure.is_some() || self.observer.interrupted()
    }

    fn resume(&mut self) -> Option<Snapshot> {
        lock(self.folder).take_snapshot()
    }

    fn wants_snapshot(&mut self) -> bool {
        self.rhythm.step()
    }

    fn snapshot(&mut self, snapshot: Snapshot) {
        if self.failure.is_none() {
            let result = self.keep(snapshot);
            self.note(result);
            self.rhythm.restart();
        }
    }
}
