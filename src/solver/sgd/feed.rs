//! The batches of a run in their order, which is the same whether they are drawn when asked for or prepared ahead by a thread.

use super::sampler::Sampler;
use crate::data::batch::{HostBatch, Source};
use std::sync::mpsc::sync_channel;
use std::thread::{Builder, Scope};

/// Batches that are ready before the step that asks for them.
const AHEAD: usize = 2;

/// The rows of a step.
pub struct StepRows {
    /// Rows of the data set.
    pub rows: Vec<u32>,
    /// The same, ready to be moved to the device, where a thread has gathered them ahead.
    pub host: Option<HostBatch>,
}

impl StepRows {
    /// Rows that are not gathered yet.
    pub const fn of(rows: Vec<u32>) -> Self {
        Self { rows, host: None }
    }

    /// The rows in host memory.
    pub fn gathered(self, source: Source<'_>) -> HostBatch {
        self.host.unwrap_or_else(|| source.gather(&self.rows))
    }
}

/// Batches that are drawn when asked for.
pub fn inline(mut sampler: Sampler) -> impl Iterator<Item = StepRows> + Send {
    std::iter::repeat_with(move || StepRows::of(sampler.next_batch()))
}

/// `steps` batches that a thread gathers, casts and preprocesses while the device computes; `None` where the system has no thread
/// to give. They end early only where that thread panics, which its scope passes on.
pub fn ahead<'scope, 'a: 'scope>(
    scope: &'scope Scope<'scope, 'a>,
    source: Source<'a>,
    sampler: Sampler,
    steps: u64,
) -> Option<impl Iterator<Item = StepRows>> {
    let (sender, receiver) = sync_channel(AHEAD);
    let started = Builder::new().spawn_scoped(scope, move || {
        for (_, StepRows { rows, .. }) in (0..steps).zip(inline(sampler)) {
            let host = Some(source.gather(&rows));
            // The receiver is gone when the run ended early.
            if sender.send(StepRows { rows, host }).is_err() {
                break;
            }
        }
    });
    started.is_ok().then(|| receiver.into_iter())
}
