//! Limit of the memory that reading a file may take.
//!
//! Every reader grows only by the bytes that have arrived, and asks here before it grows: a small file that unpacks to a large one, or
//! whose header promises more than it holds, is refused with a sentence before it takes the machine down.

use crate::format::{DataError, Position};
use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use sysinfo::{Process, ProcessRefreshKind, ProcessesToUpdate, System};

static LIMIT: AtomicU64 = AtomicU64::new(0);

/// The bytes that the reading of one file may take; three quarters of the machine's memory, or of the control group's, where
/// nothing was set and the system says how much that is.
#[must_use]
pub fn get() -> u64 {
    static DEFAULT: OnceLock<u64> = OnceLock::new();
    match LIMIT.load(Ordering::Relaxed) {
        0 => *DEFAULT.get_or_init(|| Memory::look().total.map_or(u64::MAX, |bytes| bytes / 4 * 3)),
        set => set,
    }
}

/// The limit, where one was set.
#[must_use]
pub fn asked() -> Option<u64> {
    Some(LIMIT.load(Ordering::Relaxed)).filter(|&bytes| bytes > 0)
}

/// Sets the limit for the whole process; 0 brings the default back.
pub fn set(bytes: u64) {
    LIMIT.store(bytes, Ordering::Relaxed);
}

/// The memory that this process may use, in bytes; `None` where the system does not say.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// That of the machine, or of the control group where it has less.
    pub total: Option<u64>,
    /// Free memory, with swap, within the limit of the address space (`ulimit -v`).
    pub free: Option<u64>,
}

impl Memory {
    /// The memory at this moment.
    #[must_use]
    pub fn look() -> Self {
        let mut system = System::new();
        system.refresh_memory();
        let id = sysinfo::get_current_pid().ok();
        let wanted = ProcessRefreshKind::nothing().with_memory();
        let ids = id.as_slice();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(ids), false, wanted);
        let process = id.and_then(|id| system.process(id));
        let known = |bytes: u64| Some(bytes).filter(|&bytes| bytes > 0);
        let (machine, free) = (known(system.total_memory()), known(system.available_memory() + system.free_swap()));
        // Files that the system keeps in memory count as used by a group, though it gives them back.
        let group = process.and_then(Process::cgroup_limits).filter(|group| Some(group.total_memory) < machine);
        let of_group = group.as_ref().map(|group| group.total_memory.saturating_sub(group.rss));
        let of_process =
            address_space().zip(process).map(|(most, process)| most.saturating_sub(process.virtual_memory()));
        Self {
            total: [machine, group.map(|group| group.total_memory)].into_iter().flatten().min(),
            free: [free, of_group, of_process].into_iter().flatten().min(),
        }
    }
}

/// The limit of the address space.
fn address_space() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::As).current;
    #[cfg(not(unix))]
    None
}

/// Reads a number of bytes: `500M`, `8G`, `8GiB`, `1.5e9`; K, M, G and T are powers of 1024.
///
/// # Errors
/// Text found and expected.
pub fn parse(text: &str) -> Result<u64, String> {
    let expected = || format!("`{text}` is no amount of memory: expected bytes, such as 500M or 8G");
    let lower = text.trim().to_ascii_lowercase();
    let number = lower.trim_end_matches('b').trim_end_matches('i');
    let (digits, shift) = match number.char_indices().next_back().ok_or_else(expected)? {
        (at, 'k') => (&number[..at], 10),
        (at, 'm') => (&number[..at], 20),
        (at, 'g') => (&number[..at], 30),
        (at, 't') => (&number[..at], 40),
        _ => (number, 0),
    };
    let value: f64 = digits.trim().parse().map_err(|_| expected())?;
    let bytes = value * f64::from(1u32 << (shift / 2)).powi(2);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    if (1.0..1.8e19).contains(&bytes) { Ok(bytes as u64) } else { Err(expected()) }
}

/// An amount of memory as people write it.
#[must_use]
pub fn shown(bytes: u64) -> String {
    #[allow(clippy::cast_precision_loss)]
    let value = bytes as f64;
    match bytes {
        0..1_048_576 => format!("{:.1} KiB", value / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", value / 1024f64.powi(2)),
        _ => format!("{:.1} GiB", value / 1024f64.powi(3)),
    }
}

/// The sentence about data that need more than the limit; `None` where they do not.
pub(super) fn problem(bytes: u64) -> Option<String> {
    (bytes > get()).then(words)
}

fn words() -> String {
    format!("the data need more than {} of memory, which is the limit", shown(get()))
}

/// The error of a reader whose data would need more.
pub(super) fn exceeded() -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, words())
}

/// Advice for data above the limit.
pub(super) const HINT: &str = "`--memory` sets the limit; is this the right file?";

/// Refuses data that need more than the limit.
pub(crate) fn check(file: &Path, bytes: u64) -> Result<(), DataError> {
    match problem(bytes) {
        None => Ok(()),
        Some(problem) => Err(DataError::content(file, Position::File, problem).with_hint(HINT)),
    }
}

/// Share of the limit up to which vectors hold room that is not needed yet.
const ROOM: f64 = 0.9;

/// Growth near the limit.
const LEAST_GROWTH: f64 = 1.0 + 1.0 / 64.0;

/// Factor by which vectors grow that will take so many bytes in all: 2, or less near the limit.
pub(super) fn growth(bytes: u64) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let most = ROOM * get() as f64 / bytes.max(1) as f64;
    most.clamp(LEAST_GROWTH, 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_grow_up_to_the_limit() {
        let near = get() / 4 * 3;
        let factors = [growth(0), growth(1), growth(near), growth(u64::MAX)];
        assert!(factors[0] == 2.0 && factors[1] == 2.0 && factors[3] == LEAST_GROWTH, "{factors:?}");
        assert!((factors[2] - ROOM * 4.0 / 3.0).abs() < 1e-6, "{factors:?}");
    }

    #[test]
    fn amounts_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("1", 1),
            ("1k", 1024),
            ("1.5 KiB", 1536),
            ("500M", 500 << 20),
            ("8GB", 8 << 30),
            ("2T", 2 << 40),
            ("1e9", 1_000_000_000),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["", "x", "-1", "0", "1Q", "nan", "inf", "1e99", "G", "µ"] {
            assert!(parse(text).unwrap_err().contains("such as 500M or 8G"), "{text}");
        }
        assert_eq!(
            (shown(1536).as_str(), shown(3 << 19).as_str(), shown(8 << 30).as_str()),
            ("1.5 KiB", "1.5 MiB", "8.0 GiB")
        );
    }
}
