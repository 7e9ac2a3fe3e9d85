//! Long work away from the interpreter: a pool of threads that lives as long as the work, signals, and progress.
//!
//! The pool is made anew each time, so that a process that was forked has one of its own; the calling thread waits beside it and asks
//! Python for signals, which only the main thread gets.

use burn_svm::{LogEntry, Measurement, Observer};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Between two looks at the signals.
const POLL: Duration = Duration::from_millis(20);

/// A moment of a run, as a dictionary in Python; bounds where the solver has any.
#[derive(Debug, Clone, Copy, IntoPyObject)]
pub struct Moment {
    epoch: f64,
    step: u64,
    seconds: f64,
    objective: Option<f64>,
    gap: Option<f64>,
}

/// The notes that a run leaves for the thread that waits for it.
#[derive(Default)]
struct Board {
    stop: AtomicBool,
    latest: Mutex<Option<Moment>>,
    warnings: Mutex<Vec<String>>,
}

/// The observer of a run.
pub struct Watch<'a> {
    board: &'a Board,
}

impl Watch<'_> {
    /// One more for another run of the same work.
    pub fn another(&self) -> Self {
        Self { board: self.board }
    }

    fn note(&self, moment: Moment) {
        *self.board.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(moment);
    }
}

impl Observer for Watch<'_> {
    fn warning(&mut self, text: &str) {
        self.board.warnings.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
    }

    fn log(&mut self, entry: &LogEntry) {
        let &LogEntry { epoch, step, seconds, loss, .. } = entry;
        self.note(Moment { epoch, step, seconds, objective: loss, gap: None });
    }

    fn bounds(&mut self, entry: &LogEntry, measurement: &Measurement, _: f64) {
        let &LogEntry { epoch, step, seconds, .. } = entry;
        let (objective, gap) = (Some(measurement.primal), Some(measurement.relative_gap));
        self.note(Moment { epoch, step, seconds, objective, gap });
    }

    fn wants_accuracies(&self) -> bool {
        false
    }

    fn interrupted(&self) -> bool {
        self.board.stop.load(Ordering::Relaxed)
    }
}

/// The outcome of work: what it made, and the exception of a signal or of the progress function that ended it early.
pub struct WorkResult<T> {
    pub value: T,
    pub warnings: Vec<String>,
    pub exception: Option<PyErr>,
}

/// Does work in a pool of `threads`, with the interpreter free for others. `progress` is called with each new [`Moment`]; the work ends
/// early where it returns true, and so after a signal.
pub fn supervise<T: Send>(
    py: Python<'_>,
    threads: usize,
    progress: Option<&Py<PyAny>>,
    work: impl FnOnce(Watch<'_>) -> T + Send,
) -> PyResult<WorkResult<T>> {
    let board = Board::default();
    let (value, exception) = py.detach(|| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build();
        let pool = pool.map_err(|e| PyRuntimeError::new_err(format!("{threads} threads: {e}")))?;
        let (done, ended) = channel();
        let (mut value, mut exception) = (None, None);
        pool.in_place_scope(|scope| {
            scope.spawn(|_| {
                value = Some(catch_unwind(AssertUnwindSafe(|| work(Watch { board: &board }))));
                let _ = done.send(());
            });
            while ended.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
                if exception.is_none() {
                    exception = Python::attach(|py| board.look(py, progress)).err();
                }
                if exception.is_some() {
                    board.stop.store(true, Ordering::Relaxed);
                }
            }
        });
        PyResult::Ok((value, exception))
    })?;
    let value = match value {
        Some(Ok(value)) => value,
        Some(Err(panic)) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            let text = text.unwrap_or_default();
            return Err(PyRuntimeError::new_err(format!("a mistake in burn-svm, please report it: {text}")));
        }
        None => return Err(PyRuntimeError::new_err("the work did not begin")),
    };
    let warnings = board.warnings.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(WorkResult { value, warnings, exception })
}

impl Board {
    /// Asks for signals, and hands the latest moment on.
    fn look(&self, py: Python<'_>, progress: Option<&Py<PyAny>>) -> PyResult<()> {
        py.check_signals()?;
        let Some(progress) = progress else { return Ok(()) };
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(moment) = latest
            && progress.call1(py, (moment,))?.is_truthy(py)?
        {
            self.stop.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}
