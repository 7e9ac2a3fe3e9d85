//! The state that a solver resumes from, and the rule of how often it is kept.
//!
//! A solver puts its variables into a [`Snapshot`] when its [`super::Observer`] wants one, and asks the observer for one before
//! its first step. Everything is kept to the last bit, so that a resumed run makes the steps of one that never stopped.
//! Snapshots become files in `run`.

use super::SolveError;
use crate::bounded::NonNegative;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

/// The `[checkpoint]` table: the times between snapshots, from which a run that was ended resumes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointConfig {
    /// Seconds between two checkpoints; 0 for none by time.
    pub every_seconds: NonNegative,
    /// Steps between two checkpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_steps: Option<NonZeroUsize>,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        let minute = NonNegative::new(60.0).unwrap_or_else(|_| unreachable!("60 is not negative"));
        Self { every_seconds: minute, every_steps: None }
    }
}

/// Time of the next checkpoint. Counted by a monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm {
    config: CheckpointConfig,
    last: Instant,
    steps: u64,
}

impl Rhythm {
    /// The first is due an interval from now.
    #[must_use]
    pub fn new(config: CheckpointConfig) -> Self {
        Self { config, last: Instant::now(), steps: 0 }
    }

    /// Counts a step; true when a checkpoint is due after it.
    pub fn step(&mut self) -> bool {
        self.steps += 1;
        let seconds = self.config.every_seconds.get();
        self.config.every_steps.is_some_and(|every| self.steps >= every.get() as u64)
            || (seconds > 0.0 && self.last.elapsed().as_secs_f64() >= seconds)
    }

    /// One was written.
    pub fn restart(&mut self) {
        (self.last, self.steps) = (Instant::now(), 0);
    }
}

/// The time of a solver, that before a resume included. Counted by a monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    before: Duration,
}

impl Clock {
    /// A clock that starts with the time spent earlier.
    #[must_use]
    pub fn after(before: Duration) -> Self {
        Self { start: Instant::now(), before }
    }

    /// The whole time.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.before + self.start.elapsed()
    }
}

/// Numbers of one kind.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Values {
    U8(Vec<u8>),
    U32(Vec<u32>),
    U64(Vec<u64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// A kind of number that a snapshot holds.
pub trait Number: Copy {
    /// Into the enum.
    fn wrap(values: Vec<Self>) -> Values;
    /// Out of it; `None` where it is another kind.
    fn unwrap(values: Values) -> Option<Vec<Self>>;
}

macro_rules! number {
    ($($kind:ty => $variant:ident),*) => {$(
        impl Number for $kind {
            fn wrap(values: Vec<Self>) -> Values {
                Values::$variant(values)
            }

            fn unwrap(values: Values) -> Option<Vec<Self>> {
                match values {
                    Values::$variant(values) => Some(values),
                    _ => None,
                }
            }
        }
    )*};
}

number!(u8 => U8, u32 => U32, u64 => U64, f32 => F32, f64 => F64);

/// The variables of a solver between two steps, by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    entries: BTreeMap<String, Values>,
}

impl Snapshot {
    /// Of named numbers, as a file holds them.
    #[must_use]
    pub const fn of(entries: BTreeMap<String, Values>) -> Self {
        Self { entries }
    }

    /// The values by name.
    #[must_use]
    pub const fn entries(&self) -> &BTreeMap<String, Values> {
        &self.entries
    }

    /// Whether something is held under a name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Keeps numbers.
    pub fn put<T: Number>(&mut self, name: &str, values: Vec<T>) {
        self.entries.insert(name.to_owned(), T::wrap(values));
    }

    /// Keeps a number.
    pub fn put_one<T: Number>(&mut self, name: &str, value: T) {
        self.put(name, vec![value]);
    }

    /// Keeps a time.
    #[allow(clippy::cast_possible_truncation)]
    pub fn put_time(&mut self, name: &str, time: Duration) {
        self.put_one(name, time.as_nanos() as u64);
    }

    /// Takes numbers out, however many there are.
    ///
    /// # Errors
    /// [`SolveError::Snapshot`] when they are not there or of another kind.
    pub fn take<T: Number>(&mut self, name: &str) -> Result<Vec<T>, SolveError> {
        let values = self.entries.remove(name).and_then(T::unwrap);
        values.ok_or_else(|| SolveError::Snapshot(format!("there is no `{name}` of the expected kind")))
    }

    /// Takes `len` numbers out.
    ///
    /// # Errors
    /// As [`Snapshot::take`], or when there are not as many.
    pub fn take_exactly<T: Number>(&mut self, name: &str, len: usize) -> Result<Vec<T>, SolveError> {
        let values = self.take(name)?;
        if values.len() == len {
            return Ok(values);
        }
        Err(SolveError::Snapshot(format!("`{name}` holds {} numbers, expected {len}", values.len())))
    }

    /// Takes a number out.
    ///
    /// # Errors
    /// As [`Snapshot::take_exactly`].
    pub fn take_one<T: Number>(&mut self, name: &str) -> Result<T, SolveError> {
        Ok(self.take_exactly(name, 1)?[0])
    }

    /// Takes a time out.
    ///
    /// # Errors
    /// As [`Snapshot::take_exactly`].
    pub fn take_time(&mut self, name: &str) -> Result<Duration, SolveError> {
        self.take_one(name).map(Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out_once_and_only_as_what_it_is() {
        let mut snapshot = Snapshot::default();
        snapshot.put("weight", vec![0.1f32, -0.0]);
        snapshot.put_one("step", 7u64);
        snapshot.put_time("time", Duration::from_nanos(1_000_000_007));
        assert_eq!(
            snapshot.clone().take_exactly::<f32>("weight", 3).unwrap_err().to_string(),
            "the checkpoint does not fit this run: `weight` holds 2 numbers, expected 3"
        );
        assert!(snapshot.clone().take::<f64>("weight").is_err());
        assert_eq!(snapshot.take::<f32>("weight").unwrap()[0].to_bits(), 0.1f32.to_bits());
        assert_eq!(snapshot.take_one::<u64>("step").unwrap(), 7);
        assert_eq!(snapshot.take_time("time").unwrap(), Duration::from_nanos(1_000_000_007));
        assert!(snapshot.take_one::<u64>("step").is_err());
    }

    #[test]
    fn a_rhythm_counts_steps_and_seconds() {
        let zero = NonNegative::new(0.0).unwrap();
        let mut never = Rhythm::new(CheckpointConfig { every_seconds: zero, every_steps: None });
        assert!((0..100).all(|_| !never.step()));
        let mut third = Rhythm::new(CheckpointConfig { every_seconds: zero, every_steps: NonZeroUsize::new(3) });
        let mut due = Vec::new();
        for step in 1..=7 {
            if third.step() {
                due.push(step);
                third.restart();
            }
        }
        assert_eq!(due, [3, 6]);
        let soon = NonNegative::new(1e-9).unwrap();
        let mut always = Rhythm::new(CheckpointConfig { every_seconds: soon, every_steps: None });
        std::thread::sleep(Duration::from_micros(1));
        assert!(always.step());
    }
}
