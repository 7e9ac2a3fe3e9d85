//! Batches prepared ahead: one thread gathers, casts and preprocesses the next while the device computes.

use super::sampler::Sampler;
use crate::data::batch::{HostBatch, Source};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, Scope};

/// Batches that are ready before the step that asks for them.
const AHEAD: usize = 2;

/// The rows of a step.
pub struct Drawn {
    /// Rows of the data set.
    pub rows: Vec<u32>,
    /// Where a thread has gathered them ahead: the same, ready to be moved to the device.
    pub host: Option<HostBatch>,
}

impl Drawn {
    /// Rows that nobody has gathered yet.
    #[must_use]
    pub const fn of(rows: Vec<u32>) -> Self {
        Self { rows, host: None }
    }

    /// The rows in host memory.
    #[must_use]
    pub fn gathered(self, source: Source<'_>) -> HostBatch {
        self.host.unwrap_or_else(|| source.gather(&self.rows))
    }
}

/// The batches of a run in their order, which is the same either way.
pub enum Feed {
    /// Drawn when asked for.
    Inline(Box<Sampler>),
    /// Drawn and gathered ahead by a thread.
    Ahead(Receiver<Drawn>),
}

impl Feed {
    /// Starts a thread that prepares `steps` batches ahead.
    pub fn ahead<'scope, 'a: 'scope>(
        scope: &'scope Scope<'scope, 'a>,
        source: Source<'a>,
        sampler: Sampler,
        steps: u64,
    ) -> Self {
        let (sender, receiver) = sync_channel(AHEAD);
        let mut own = sampler.clone();
        let started = Builder::new().spawn_scoped(scope, move || {
            for _ in 0..steps {
                let rows = own.next_batch();
                let host = Some(source.gather(&rows));
                // The receiver is gone when the run ended early.
                if sender.send(Drawn { rows, host }).is_err() {
                    break;
                }
            }
        });
        // The system may have no thread to give.
        started.map_or_else(|_| Self::Inline(Box::new(sampler)), |_| Self::Ahead(receiver))
    }
}

impl Iterator for Feed {
    type Item = Drawn;

    /// The next batch; `None` after the last one that a thread prepares (or when it panicked, which its scope passes on).
    fn next(&mut self) -> Option<Drawn> {
        match self {
            Self::Inline(sampler) => Some(Drawn::of(sampler.next_batch())),
            Self::Ahead(receiver) => receiver.recv().ok(),
        }
    }
}
