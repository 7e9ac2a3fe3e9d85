//! Panics inside crates that read files of strangers: each becomes an answer instead of a message and an end.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// True while a panic on this thread says nothing.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// The result of `work`, which stays on this thread; `None` where it panicked.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
    let outer = QUIET.replace(true);
    // State left half done is dropped with its file.
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    QUIET.set(outer);
    result.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_none_and_the_next_work_goes_on() {
        let empty: &[u8] = &[];
        assert_eq!(caught(|| empty[std::hint::black_box(3)]), None);
        assert_eq!(caught(|| caught(|| empty[0]).is_none()), Some(true));
        assert!(!QUIET.get());
    }
}
