//! Batches prepared ahead: one thread gathers, casts and preprocesses the next while the device computes.

use super::sampler::Sampler;
use crate::data::batch::{HostBatch, Source};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, Scope};

/// Batches that are ready before the step that asks for them.
const AHEAD: usize = 2;

/// The rows of a step: gathered, or their indices where they are read in place.
pub enum Drawn {
    /// Ready to be moved to the device.
    Gathered(HostBatch),
    /// Rows of the data set.
    Rows(Vec<u32>),
}

/// Where the next batch comes from. The sequence is the same every way.
pub enum Feed<'a> {
    /// Drawn when asked for, and not gathered.
    InPlace(Box<Sampler>),
    /// Prepared when asked for.
    Inline(Source<'a>, Box<Sampler>),
    /// Prepared ahead by a thread.
    Ahead(Receiver<HostBatch>),
}

impl<'a> Feed<'a> {
    /// Starts a feed of `steps` batches; with a thread of its own where `ahead`.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, 'a>,
        source: Source<'a>,
        sampler: Sampler,
        steps: u64,
        ahead: bool,
    ) -> Self
    where
        'a: 'scope,
    {
        if !ahead {
            return Self::Inline(source, Box::new(sampler));
        }
        let (sender, receiver) = sync_channel(AHEAD);
        let mut own = sampler.clone();
        let started = Builder::new().spawn_scoped(scope, move || {
            for _ in 0..steps {
                // The receiver is gone when the run ended early.
                if sender.send(source.gather(&own.next_batch())).is_err() {
                    break;
                }
            }
        });
        // The system may have no thread to give.
        started.map_or_else(|_| Self::Inline(source, Box::new(sampler)), |_| Self::Ahead(receiver))
    }

    /// The next batch; `None` when the thread is gone.
    pub fn next_batch(&mut self) -> Option<Drawn> {
        match self {
            Self::InPlace(sampler) => Some(Drawn::Rows(sampler.next_batch())),
            Self::Inline(source, sampler) => Some(Drawn::Gathered(source.gather(&sampler.next_batch()))),
            Self::Ahead(receiver) => receiver.recv().ok().map(Drawn::Gathered),
        }
    }
}
