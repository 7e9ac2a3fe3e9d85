//! Listener of a solver over blocks.

use super::reader::DiskUse;
use super::train::DiskRun;
use crate::run::checkpoint::{Checkpoint, Identity};
use crate::run::record::{RecordError, RunFolder};
use crate::run::threads;
use crate::solver::checkpoint::Rhythm;
use crate::solver::{GradientReport, LogEntry, Measurement, Observer, Snapshot};
use std::time::Instant;

/// Writes down what a solver says, keeps its checkpoints, and tells of the disk.
pub(super) struct BlockRecorder<'a, 'f> {
    observer: &'a mut dyn Observer,
    folder: &'f mut RunFolder,
    disk: &'a DiskUse,
    start: Instant,
    /// Bytes that were read before.
    before: u64,
    failure: Option<RecordError>,
    /// Of the checkpoints; of which data they are, the folder of variables says.
    identity: Identity,
    rhythm: Rhythm,
    progress: u64,
}

impl<'a, 'f> BlockRecorder<'a, 'f> {
    pub(super) fn new(run: &DiskRun<'a>, observer: &'a mut dyn Observer, folder: &'f mut RunFolder) -> Self {
        let (config, disk) = (run.config, &run.data.disk);
        let identity = Identity {
            name: folder.name().map_or_else(|| config.name(), str::to_owned),
            config: config.text.clone(),
            data: String::new(),
            shape: String::new(),
            device: run.device.label(),
            threads: threads(config.run.threads),
        };
        let (before, _) = disk.bytes();
        let rhythm = Rhythm::new(config.run.checkpoint);
        Self { observer, folder, disk, start: Instant::now(), before, failure: None, identity, rhythm, progress: 0 }
    }

    /// The first failed write.
    pub(super) fn failure(self) -> Result<(), RecordError> {
        self.failure.map_or(Ok(()), Err)
    }

    fn note(&mut self, written: Result<(), RecordError>) {
        self.failure = self.failure.take().or(written.err());
    }
}

impl Observer for BlockRecorder<'_, '_> {
    fn start(&mut self, steps: u64) {
        self.observer.start(steps);
    }

    fn step(&mut self, step: u64) {
        self.progress = step;
        self.observer.step(step);
    }

    fn log(&mut self, entry: &LogEntry) {
        let written = self.folder.log(entry);
        self.note(written);
        self.observer.log(entry);
    }

    fn gradient(&mut self, report: GradientReport) {
        self.observer.gradient(report);
    }

    fn warning(&mut self, text: &str) {
        self.observer.warning(text);
    }

    fn wants_accuracies(&self) -> bool {
        false
    }

    fn wants_weights(&self) -> bool {
        self.observer.wants_weights()
    }

    fn weights(&mut self, step: u64, weights: &[f32]) {
        self.observer.weights(step, weights);
    }

    fn resume(&mut self) -> Option<Snapshot> {
        self.folder.take_snapshot()
    }

    fn wants_snapshot(&mut self) -> bool {
        self.rhythm.step()
    }

    fn snapshot(&mut self, snapshot: Snapshot) {
        if self.failure.is_none() {
            let checkpoint = Checkpoint { identity: self.identity.clone(), progress: self.progress, snapshot };
            let kept = self.folder.keep(checkpoint);
            self.note(kept);
            self.rhythm.restart();
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn bounds(&mut self, entry: &LogEntry, measurement: &Measurement, active: f64) {
        let written = self.folder.log(entry).and_then(|()| self.folder.bounds(measurement));
        self.note(written);
        self.observer.bounds(entry, measurement, active);
        let (bytes, _) = self.disk.bytes();
        self.observer.stage(&format!(
            "pass {}: {:.0} MB/s from the disk, waited for {:.1} s",
            entry.step,
            (bytes - self.before) as f64 / 1e6 / self.start.elapsed().as_secs_f64().max(1e-9),
            self.disk.seconds_waiting()
        ));
    }

    fn interrupted(&self) -> bool {
        // A run whose records cannot be written is stopped at once, not at its end.
        self.failure.is_some() || self.observer.interrupted()
    }
}
