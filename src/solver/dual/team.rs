//! Threads that share the parts of the weights and meet many thousand times a second.
//!
//! Between two meetings lie some ten microseconds of work, less than it takes to wake a sleeping thread: a waiting thread spins for a
//! while before it sleeps. A thread that has not begun is not waited for: the caller does its own part, then those that no other thread
//! has begun. If the processor has no time for the others, the caller is alone, and no slower than with one thread.

use std::collections::VecDeque;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope, Thread};
use std::time::{Duration, Instant};

/// Time of spinning before a thread sleeps.
const LOOK: Duration = Duration::from_micros(50);
/// Looks between two glances at the clock.
const LOOKS: usize = 32;

/// A part of the work, which one thread does.
pub(super) trait WorkShare<J>: Send {
    /// Does it.
    fn act(&mut self, job: &J) -> Vec<f64>;
}

/// A part, and where its thread and the caller meet. Jobs are done in the order in which they were posted.
struct Desk<P, J> {
    part: Mutex<P>,
    jobs: Mutex<VecDeque<Arc<J>>>,
    results: Mutex<VecDeque<Vec<f64>>>,
    /// Number of jobs posted, and of those done.
    posted: AtomicU64,
    done: AtomicU64,
    asleep: AtomicBool,
    closed: AtomicBool,
    /// The thread has panicked: it is gone, and the desk was not closed.
    dead: AtomicBool,
}

/// Tells when a thread ends.
struct ThreadEnd<'a>(&'a AtomicBool);

impl Drop for ThreadEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A panic elsewhere leaves numbers, not broken invariants.
fn lock<M>(mutex: &Mutex<M>) -> MutexGuard<'_, M> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<P: WorkShare<J>, J> Desk<P, J> {
    /// Does the next job, with the part in hand.
    fn work(&self, part: &mut P) {
        let Some(job) = lock(&self.jobs).pop_front() else {
            return;
        };
        let result = part.act(&job);
        lock(&self.results).push_back(result);
        self.done.fetch_add(1, Ordering::Release);
    }

    /// Completes the first `count` jobs: those that the thread is not at are done here.
    fn finish(&self, count: u64) {
        let start = Instant::now();
        while self.done.load(Ordering::Acquire) < count {
            if let Ok(mut part) = self.part.try_lock() {
                if self.done.load(Ordering::Acquire) < count {
                    self.work(&mut part);
                }
                continue;
            }
            (0..LOOKS).for_each(|_| spin_loop());
            if start.elapsed() > LOOK {
                assert!(!self.dead.load(Ordering::Acquire), "a thread of the exact solver has panicked");
                std::thread::yield_now();
            }
        }
    }

    /// The life of the thread of this desk.
    fn serve(&self) {
        let _leaving = ThreadEnd(&self.dead);
        let mut idle = Instant::now();
        while !self.closed.load(Ordering::Acquire) {
            if self.posted.load(Ordering::Acquire) > self.done.load(Ordering::Acquire) {
                match self.part.try_lock() {
                    Ok(mut part) => self.work(&mut part),
                    Err(_) => spin_loop(),
                }
                idle = Instant::now();
                continue;
            }
            (0..LOOKS).for_each(|_| spin_loop());
            if idle.elapsed() > LOOK {
                self.asleep.store(true, Ordering::SeqCst);
                let nothing = self.posted.load(Ordering::SeqCst) == self.done.load(Ordering::SeqCst);
                if nothing && !self.closed.load(Ordering::SeqCst) {
                    std::thread::park();
                }
                self.asleep.store(false, Ordering::SeqCst);
                idle = Instant::now();
            }
        }
    }
}

/// Another part, and its thread where the system gave one.
type Other<P, J> = (Arc<Desk<P, J>>, Option<Thread>);

/// The parts: the first is the caller's, each of the others has a thread.
pub(super) struct ThreadTeam<P, J> {
    own: P,
    others: Vec<Other<P, J>>,
    /// Number of jobs posted to the others, and of those whose results were collected.
    posted: u64,
    collected: u64,
}

impl<P, J> ThreadTeam<P, J>
where
    P: WorkShare<J>,
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
                    jobs: Mutex::default(),
                    results: Mutex::default(),
                    posted: AtomicU64::new(0),
                    done: AtomicU64::new(0),
                    asleep: AtomicBool::new(false),
                    closed: AtomicBool::new(false),
                    dead: AtomicBool::new(false),
                });
                let own = Arc::clone(&desk);
                // If the system gives no thread, the caller does the part, as it does for one that has not begun.
                let started = Builder::new().spawn_scoped(scope, move || own.serve());
                (desk, started.ok().map(|started| started.thread().clone()))
            })
            .collect();
        Self { own, others, posted: 0, collected: 0 }
    }

    /// The only part, where there is but one.
    pub fn alone(&mut self) -> Option<&mut P> {
        self.others.is_empty().then_some(&mut self.own)
    }

    /// The number of parts.
    pub fn len(&self) -> usize {
        1 + self.others.len()
    }

    /// The caller's part.
    pub fn own(&mut self) -> &mut P {
        &mut self.own
    }

    /// Gives the other parts a job, and does not wait for it.
    pub fn post(&mut self, job: J) {
        self.give(&Arc::new(job));
    }

    fn give(&mut self, job: &Arc<J>) {
        self.posted += 1;
        for (desk, thread) in &self.others {
            lock(&desk.jobs).push_back(Arc::clone(job));
            desk.posted.store(self.posted, Ordering::SeqCst);
            if let Some(thread) = thread.as_ref().filter(|_| desk.asleep.load(Ordering::SeqCst)) {
                thread.unpark();
            }
        }
    }

    /// The other parts' results of the first job that was posted and not collected yet.
    ///
    /// # Panics
    /// When a thread has panicked.
    pub fn collect(&mut self) -> Vec<Vec<f64>> {
        self.collected += 1;
        let results = self.others.iter().map(|(desk, _)| {
            desk.finish(self.collected);
            lock(&desk.results).pop_front().unwrap_or_default()
        });
        results.collect()
    }

    /// Has every part do a job, after what was posted and collected before; the results in the order of the parts.
    ///
    /// # Panics
    /// When a thread has panicked.
    pub fn call(&mut self, job: J) -> Vec<Vec<f64>> {
        if self.others.is_empty() {
            return vec![self.own.act(&job)];
        }
        debug_assert_eq!(self.posted, self.collected, "results of jobs that were posted are left");
        let job = Arc::new(job);
        self.give(&job);
        let mut results = vec![self.own.act(&job)];
        results.extend(self.collect());
        results
    }
}

impl<P, J> Drop for ThreadTeam<P, J> {
    fn drop(&mut self) {
        for (desk, thread) in &self.others {
            desk.closed.store(true, Ordering::SeqCst);
            thread.iter().for_each(Thread::unpark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Adder(f64);

    impl WorkShare<f64> for Adder {
        fn act(&mut self, job: &f64) -> Vec<f64> {
            self.0 += job;
            vec![self.0]
        }
    }

    #[test]
    fn every_part_does_every_job_and_answers_in_its_place() {
        std::thread::scope(|scope| {
            let mut team = ThreadTeam::new(scope, vec![Adder(0.0), Adder(10.0), Adder(20.0)]);
            assert_eq!(team.len(), 3);
            for i in 1..=1000 {
                if i == 500 {
                    // Longer than the time of spinning: the threads sleep and are woken.
                    std::thread::sleep(3 * LOOK);
                }
                let sum = f64::from(i);
                assert_eq!(team.call(1.0), [[sum], [10.0 + sum], [20.0 + sum]]);
            }
        });
    }

    #[test]
    fn jobs_that_were_posted_are_done_in_their_order() {
        std::thread::scope(|scope| {
            let mut team = ThreadTeam::new(scope, vec![Adder(0.0), Adder(10.0), Adder(20.0)]);
            let (mut others, mut expected) = (0.0, 0.0);
            team.post(0.0);
            for i in 1..=2000 {
                if i % 500 == 0 {
                    std::thread::sleep(3 * LOOK);
                }
                others += f64::from(i);
                team.post(f64::from(i));
                assert_eq!(team.collect(), [[10.0 + expected], [20.0 + expected]]);
                expected = others;
                assert_eq!(team.own().act(&1.0), [f64::from(i)]);
            }
            assert_eq!(team.collect(), [[10.0 + expected], [20.0 + expected]]);
            assert_eq!(team.call(0.0), [[2000.0], [10.0 + expected], [20.0 + expected]]);
        });
    }
}
