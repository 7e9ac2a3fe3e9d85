//! Progress of a run: a bar on a terminal, plain lines elsewhere.

use super::output::{Messages, number};
use crate::report::ReportError;
use crate::report::watch::WatchPage;
use crate::shown;
use crate::solver::{GradientReport, LogEntry, Measurement, Observer};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Exit code after Ctrl-C.
pub(super) const INTERRUPTED: u8 = 130;

/// The first Ctrl-C (or SIGTERM) lets the step in hand finish; the second ends the program.
pub(super) fn on_ctrl_c() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    let handler = move || {
        if raised.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
    };
    // Without a handler Ctrl-C ends the program at once, as it does anywhere.
    let _ = ctrlc::set_handler(handler);
    stop
}

/// The shortest time between two lines of bounds.
const BETWEEN_LINES: Duration = Duration::from_millis(250);

/// Shows a run to the user and hears Ctrl-C.
pub struct ProgressDisplay {
    messages: Messages,
    bar: Option<ProgressBar>,
    steps: u64,
    /// The first step of this process, which may resume a run.
    first: Option<u64>,
    start: Instant,
    /// When the newest bounds were shown.
    newest: Instant,
    /// The newest accuracy, shown next to the loss that follows it, and on a bar until there is another.
    accuracy: Option<String>,
    stop: Arc<AtomicBool>,
    /// The page of a run that is watched.
    watch: Option<WatchPage>,
}

impl ProgressDisplay {
    /// A bar where stderr is a terminal, lines otherwise, nothing when quiet. `stop` is raised by Ctrl-C.
    #[must_use]
    pub fn new(messages: Messages, stop: Arc<AtomicBool>) -> Self {
        let bar = (!messages.quiet && std::io::stderr().is_terminal()).then(|| {
            let style = "{bar:32} {pos}/{len} steps  {per_sec}  {msg}  {eta} left";
            let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10)).with_style(style)
        });
        let now = Instant::now();
        Self { messages, bar, steps: 0, first: None, start: now, newest: now, accuracy: None, stop, watch: None }
    }

    /// Keeps a page of the run.
    pub(super) fn watched_by(&mut self, watch: WatchPage) {
        self.watch = Some(watch);
    }

    /// The page of the run, which is the observer's no more.
    pub(super) fn take_watch(&mut self) -> Option<WatchPage> {
        self.watch.take()
    }

    /// A page that cannot be written is given up, the run goes on.
    fn show(&mut self, change: impl FnOnce(&mut WatchPage) -> Result<(), ReportError>) {
        if let Some(Err(error)) = self.watch.as_mut().map(change) {
            self.messages.warning(&format!("the page is given up: {error}"));
            self.watch = None;
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn rate_and_rest(&self, step: u64) -> String {
        let seconds = self.start.elapsed().as_secs_f64();
        let made = step - self.first.unwrap_or(step).min(step);
        if made == 0 || seconds <= 0.0 {
            return String::new();
        }
        let rate = made as f64 / seconds;
        let left = self.steps.saturating_sub(step) as f64 / rate;
        let left = if self.steps > 0 { format!(", {left:.1} s left") } else { String::new() };
        format!(", {rate:.0} steps/s{left}")
    }
}

impl Observer for ProgressDisplay {
    fn stage(&mut self, name: &str) {
        if self.bar.is_none() {
            self.messages.line(name);
        }
    }

    fn warning(&mut self, text: &str) {
        self.messages.warning(text);
    }

    fn gradient(&mut self, GradientReport { route, agreement }: GradientReport) {
        let agrees = match agreement {
            None => String::new(),
            Some(0.0) => ", agrees with autodiff to the last bit".into(),
            Some(difference) => format!(", agrees with autodiff to {difference:.0e}"),
        };
        self.messages.line(&format!("gradient {}{agrees}", route.name()));
    }

    fn start(&mut self, steps: u64) {
        (self.steps, self.first) = (steps, None);
        self.start = Instant::now();
        if let Some(bar) = &self.bar {
            if steps > 0 {
                bar.set_length(steps)
            } else {
                bar.unset_length()
            }
            bar.reset();
        }
    }

    fn step(&mut self, step: u64) {
        let first = *self.first.get_or_insert(step.saturating_sub(1));
        if let Some(bar) = &self.bar {
            if step == first + 1 && first > 0 {
                // The rate and the time left count the steps of this process only.
                bar.reset_eta();
            }
            bar.set_position(step);
        }
    }

    fn wants_weights(&self) -> bool {
        self.watch.as_ref().is_some_and(WatchPage::wants_weights)
    }

    fn weights(&mut self, step: u64, weights: &[f32]) {
        self.show(|watch| watch.weights(step, weights));
    }

    fn log(&mut self, entry: &LogEntry) {
        self.show(|watch| watch.log(entry, None));
        let newest = [("validation", entry.validation_accuracy), ("train", entry.train_accuracy)];
        if let Some((name, accuracy)) = newest.into_iter().find_map(|(name, a)| a.map(|a| (name, a))) {
            self.accuracy = Some(format!(", {name} accuracy {accuracy:.4}"));
        }
        let Some(loss) = entry.loss else {
            return;
        };
        let newest = if self.bar.is_some() { self.accuracy.clone() } else { self.accuracy.take() };
        let message = format!("loss {}{}", number(loss), newest.unwrap_or_default());
        match &self.bar {
            Some(bar) => bar.set_message(message),
            None => {
                let of = if self.steps > 0 { format!(" / {}", self.steps) } else { String::new() };
                let place = format!("step {}{of} (epoch {:.2})", entry.step, entry.epoch);
                self.messages.line(&format!("{place}: {message}{}", self.rate_and_rest(entry.step)));
            }
        }
    }

    fn bounds(&mut self, entry: &LogEntry, m: &Measurement, active: f64) {
        self.show(|watch| watch.log(entry, Some(m)));
        let about = if m.dual.is_some() { "" } else { "about " };
        let gap = format!("relative gap {about}{:.1e}, {:.0} % of the rows active", m.relative_gap, 100.0 * active);
        match &self.bar {
            Some(bar) => bar.set_message(format!("primal {}, {gap}", number(m.primal))),
            // Hundreds of measurements in a second would be too many lines.
            None if self.newest.elapsed() < BETWEEN_LINES && entry.step > 1 => {}
            None => {
                self.newest = Instant::now();
                let dual = m
                    .dual
                    .map(|dual| format!(", optimum at least {}", shown::at_least(dual, number)))
                    .unwrap_or_default();
                let bounds = format!("primal {}{dual}", number(m.primal));
                self.messages.line(&format!("epoch {:.1}: {bounds}, {gap}, {:.1} s", entry.epoch, entry.seconds));
            }
        }
    }

    fn interrupted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
