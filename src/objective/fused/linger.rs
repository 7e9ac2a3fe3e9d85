//! Threads that wait for the next small piece of work before they sleep.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Time for which a thread waits for the next pass before it sleeps, and spins between two looks at the clock.
const MOMENT: Duration = Duration::from_micros(200);
const LOOKS: usize = 32;

/// Keeps the threads of the pool that share `count` pieces, besides the caller's own, awake for a moment after a pass: the next one
/// may come soon, and to wake a thread takes as long as a small pass.
pub(crate) fn linger(count: usize) {
    static WAITING: AtomicUsize = AtomicUsize::new(0);
    let own = rayon::current_thread_index();
    let wanted = count.min(rayon::current_num_threads()) - usize::from(own.is_some());
    while WAITING.load(Ordering::Relaxed) < wanted {
        WAITING.fetch_add(1, Ordering::Relaxed);
        rayon::spawn(move || {
            let start = Instant::now();
            // The calling thread has other work.
            while (own.is_none() || rayon::current_thread_index() != own) && start.elapsed() < MOMENT {
                if rayon::yield_now() == Some(rayon::Yield::Executed) {
                    break;
                }
                (0..LOOKS).for_each(|_| spin_loop());
            }
            WAITING.fetch_sub(1, Ordering::Relaxed);
        });
    }
}
