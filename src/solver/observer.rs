//! Listener of a solver.

use super::{GradientReport, LogEntry, Measurement, Snapshot};

/// Told how a solver is getting on, from the thread that it runs in.
pub trait Observer: Send {
    /// Title of the next run, before each of several that belong together.
    fn stage(&mut self, name: &str) {
        let _ = name;
    }

    /// Something that is probably wrong with the run.
    fn warning(&mut self, text: &str) {
        let _ = text;
    }

    /// Implementation of the gradient and its difference from autodiff, before the first step of a solver by gradients.
    fn gradient(&mut self, report: GradientReport) {
        let _ = report;
    }

    /// Before the first step: the largest number of steps; 0 if it is unknown.
    fn start(&mut self, steps: u64) {
        let _ = steps;
    }

    /// After every step; cheap, or nothing.
    fn step(&mut self, step: u64) {
        let _ = step;
    }

    /// At every logged moment.
    fn log(&mut self, entry: &LogEntry);

    /// At every measurement of a solver that bounds the optimum, which is a logged moment too, with the share of rows that are
    /// still being solved.
    fn bounds(&mut self, entry: &LogEntry, measurement: &Measurement, active: f64) {
        let _ = (measurement, active);
        self.log(entry);
    }

    /// Whether accuracies are to be measured on the way, where the solver does not need them itself.
    fn wants_accuracies(&self) -> bool {
        true
    }

    /// Whether the weights are to be told at logged moments; asked each time. Only `[solver.sgd]` tells them.
    fn wants_weights(&self) -> bool {
        false
    }

    /// The weights `[n_features, n_classes]`, for preprocessed features, after `step` updates, and without the bias.
    fn weights(&mut self, _step: u64, _weights: &[f32]) {}

    /// True when the run should end after the step in hand.
    fn interrupted(&self) -> bool {
        false
    }

    /// The snapshot to resume from, asked for once before the first step; `None` to begin.
    fn resume(&mut self) -> Option<Snapshot> {
        None
    }

    /// Whether to keep a snapshot, asked between two steps.
    fn wants_snapshot(&mut self) -> bool {
        false
    }

    /// The state to resume from; called when a snapshot was wanted, and before an interrupted run ends.
    fn snapshot(&mut self, snapshot: Snapshot) {
        let _ = snapshot;
    }
}

/// Nobody is told.
impl Observer for () {
    fn log(&mut self, _: &LogEntry) {}
}
