//! A run as it goes: a bar on a terminal, plain lines elsewhere.

use super::output::{Messages, number};
use crate::solver::{LogEntry, Observer};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Shows a run to the user and hears Ctrl-C.
pub struct Progress {
    messages: Messages,
    bar: Option<ProgressBar>,
    steps: u64,
    start: Instant,
    stop: Arc<AtomicBool>,
}

impl Progress {
    /// A bar where stderr is a terminal, lines otherwise, nothing when quiet. `stop` is raised by Ctrl-C.
    #[must_use]
    pub fn new(messages: Messages, stop: Arc<AtomicBool>) -> Self {
        let bar = (!messages.quiet && std::io::stderr().is_terminal()).then(|| {
            let style = "{bar:32} {pos}/{len} steps  {per_sec}  {msg}  {eta} left";
            let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10)).with_style(style)
        });
        Self { messages, bar, steps: 0, start: Instant::now(), stop }
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
        if step == 0 || seconds <= 0.0 {
            return String::new();
        }
        let rate = step as f64 / seconds;
        format!(", {rate:.0} steps/s, {:.1} s left", self.steps.saturating_sub(step) as f64 / rate)
    }
}

impl Observer for Progress {
    fn start(&mut self, steps: u64) {
        self.steps = steps;
        self.start = Instant::now();
        if let Some(bar) = &self.bar {
            bar.set_length(steps);
            bar.reset();
        }
    }

    fn step(&mut self, step: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(step);
        }
    }

    fn log(&mut self, entry: &LogEntry) {
        let mut parts = Vec::new();
        if let Some(loss) = entry.loss {
            parts.push(format!("loss {}", number(loss)));
        }
        if let Some(accuracy) = entry.train_accuracy {
            parts.push(format!("train accuracy {accuracy:.4}"));
        }
        if let Some(accuracy) = entry.validation_accuracy {
            parts.push(format!("validation accuracy {accuracy:.4}"));
        }
        match &self.bar {
            Some(bar) if entry.loss.is_some() => bar.set_message(parts.join(", ")),
            Some(bar) => bar.suspend(|| self.messages.line(&format!("epoch {:.2}: {}", entry.epoch, parts.join(", ")))),
            None => {
                let rest = if entry.loss.is_some() { self.rate_and_rest(entry.step) } else { String::new() };
                let place = format!("step {} / {} (epoch {:.2})", entry.step, self.steps, entry.epoch);
                self.messages.line(&format!("{place}: {}{rest}", parts.join(", ")));
            }
        }
    }

    fn interrupted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
