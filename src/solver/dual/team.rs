//! Threads that share the parts of the weights and meet many thousand times a second.
//!
//! A meeting takes some ten microseconds of work, less than it takes to wake a sleeping thread: who waits looks for a while before it
//! sleeps. And nobody waits for a thread that has not begun: the caller does its part, then whatever the others have not taken
//! up yet. Where the processor has no time for them the caller is alone, and no slower than with one thread.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Scope, Thread};
use std::time::{Duration, Instant};

/// How long to look before sleeping.
const LOOK: Duration = Duration::from_micros(50);
/// Looks between two glances at the clock.
const LOOKS: usize = 32;

/// What a part does for a job.
pub(super) trait Part<J>: Send {
    /// Does it.
    fn act(&mut self, job: &J) -> Vec<f64>;
}

/// A part, and where its thread and the caller meet. Jobs are numbered.
struct Desk<P, J> {
    part: Mutex<P>,
    job: Mutex<Option<Arc<J>>>,
    result: Mutex<Vec<f64>>,
    /// The newest job that lies here, that somebody has taken up, and that is done.
    posted: AtomicU64,
    taken: AtomicU64,
    done: AtomicU64,
    asleep: AtomicBool,
    closed: AtomicBool,
    /// The thread is gone, though nobody has closed the desk: it has panicked.
    dead: AtomicBool,
}

/// Tells when a thread ends.
struct Leaving<'a>(&'a AtomicBool);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A panic elsewhere leaves numbers, not broken invariants.
fn lock<M>(mutex: &Mutex<M>) -> MutexGuard<'_, M> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<P: Part<J>, J> Desk<P, J> {
    /// Takes job `number` up and does it, unless somebody has.
    fn work(&self, number: u64) -> bool {
        if self.taken.compare_exchange(number - 1, number, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return false;
        }
        let Some(job) = lock(&self.job).take() else {
            return false;
        };
        *lock(&self.result) = lock(&self.part).act(&job);
        self.done.store(number, Ordering::Release);
        true
    }

    /// Waits for a job that is being done.
    fn wait(&self, number: u64) {
        let start = Instant::now();
        while self.done.load(Ordering::Acquire) != number {
            (0..LOOKS).for_each(|_| spin_loop());
            if start.elapsed() > LOOK {
                assert!(!self.dead.load(Ordering::Acquire), "a thread of the exact solver has panicked");
                std::thread::yield_now();
            }
        }
    }

    /// The life of the thread of this desk.
    fn serve(&self) {
        let _leaving = Leaving(&self.dead);
        let mut seen = 0;
        let mut idle = Instant::now();
        while !self.closed.load(Ordering::Acquire) {
            let posted = self.posted.load(Ordering::Acquire);
            if posted > seen {
                seen = posted;
                self.work(posted);
                idle = Instant::now();
                continue;
            }
            (0..LOOKS).for_each(|_| spin_loop());
            if idle.elapsed() > LOOK {
                self.asleep.store(true, Ordering::SeqCst);
                if self.posted.load(Ordering::SeqCst) == seen && !self.closed.load(Ordering::SeqCst) {
                    std::thread::park();
                }
                self.asleep.store(false, Ordering::SeqCst);
                idle = Instant::now();
            }
        }
    }
}

/// The parts: the first is the caller's, each of the others has a thread.
pub(super) struct Team<P, J> {
    own: P,
    others: Vec<(Arc<Desk<P, J>>, Thread)>,
    number: u64,
}

impl<P, J> Team<P, J>
where
    P: Part<J>,
    J: Send + Sync,
{
    /// Starts a thread for each part but the first; they end when the team is dropped.
    pub fn new<'scope>(scope: &'scope Scope<'scope, '_>, parts: Vec<P>) -> Self
    where
        P: 'scope,
        J: 'scope,
    {
        let mut parts = parts.into_iter();
        let Some(own) = parts.next() else {
            unreachable!("a team has at least one part");
        };
        let others = parts
            .map(|part| {
                let desk = Arc::new(Desk {
                    part: Mutex::new(part),
                    job: Mutex::new(None),
                    result: Mutex::new(Vec::new()),
                    posted: AtomicU64::new(0),
                    taken: AtomicU64::new(0),
                    done: AtomicU64::new(0),
                    asleep: AtomicBool::new(false),
                    closed: AtomicBool::new(false),
                    dead: AtomicBool::new(false),
                });
                let own = Arc::clone(&desk);
                let thread = scope.spawn(move || own.serve()).thread().clone();
                (desk, thread)
            })
            .collect();
        Self { own, others, number: 0 }
    }

    /// The only part, where there is but one.
    pub fn alone(&mut self) -> Option<&mut P> {
        self.others.is_empty().then_some(&mut self.own)
    }

    /// The number of parts.
    pub fn len(&self) -> usize {
        1 + self.others.len()
    }

    /// Has every part do a job; the results in the order of the parts.
    ///
    /// # Panics
    /// When a thread has panicked.
    pub fn call(&mut self, job: J) -> Vec<Vec<f64>> {
        if self.others.is_empty() {
            return vec![self.own.act(&job)];
        }
        let job = Arc::new(job);
        self.number += 1;
        for (desk, thread) in &self.others {
            *lock(&desk.job) = Some(Arc::clone(&job));
            desk.posted.store(self.number, Ordering::SeqCst);
            if desk.asleep.load(Ordering::SeqCst) {
                thread.unpark();
            }
        }
        let mut results = vec![self.own.act(&job)];
        for (desk, _) in &self.others {
            if !desk.work(self.number) {
                desk.wait(self.number);
            }
            results.push(std::mem::take(&mut *lock(&desk.result)));
        }
        results
    }
}

impl<P, J> Drop for Team<P, J> {
    fn drop(&mut self) {
        for (desk, thread) in &self.others {
            desk.closed.store(true, Ordering::SeqCst);
            thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Adder(f64);

    impl Part<f64> for Adder {
        fn act(&mut self, job: &f64) -> Vec<f64> {
            self.0 += job;
            vec![self.0]
        }
    }

    #[test]
    fn every_part_does_every_job_and_answers_in_its_place() {
        std::thread::scope(|scope| {
            let mut team = Team::new(scope, vec![Adder(0.0), Adder(10.0), Adder(20.0)]);
            assert_eq!(team.len(), 3);
            for i in 1..=1000 {
                if i == 500 {
                    // Longer than anybody looks: the threads sleep and are woken.
                    std::thread::sleep(3 * LOOK);
                }
                let sum = f64::from(i);
                assert_eq!(team.call(1.0), [[sum], [10.0 + sum], [20.0 + sum]]);
            }
        });
    }
}
