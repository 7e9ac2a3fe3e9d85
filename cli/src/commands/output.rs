//! Everything that is printed. Data goes to stdout; progress, notes, warnings and errors to stderr.
//!
//! Nothing that is printed acts on a terminal but our own colours, whatever names the data have: who puts a name into a line makes
//! it one with [`visible::name`], and the rest is escaped here.

use crate::run::RunResult;
use crate::run::measure::{CalibrationReport, Comparison};
use crate::run::path::PathPoint;
use crate::shown;
use crate::visible;
use anstyle::{AnsiColor, Style};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();
const NOTE: Style = AnsiColor::Cyan.on_default();

/// Amount of text on standard error.
#[derive(Debug, Clone, Copy)]
pub struct Messages {
    /// Only errors and warnings.
    pub quiet: bool,
}

// A closed stderr is no reason to fail.
fn stderr_line(style: Style, label: &str, text: &str) {
    let _ = writeln!(anstream::stderr(), "{style}{label}:{style:#} {}", visible::lines(text));
}

impl Messages {
    /// Something that the user may want to know.
    pub fn note(self, text: &str) {
        if !self.quiet {
            stderr_line(NOTE, "note", text);
        }
    }

    /// Something that is probably wrong.
    pub fn warning(self, text: &str) {
        stderr_line(WARNING, "warning", text);
    }

    /// A plain line.
    pub fn line(self, text: &str) {
        if !self.quiet {
            let _ = writeln!(anstream::stderr(), "{}", visible::lines(text));
        }
    }
}

/// The end of a command that failed.
pub fn error(text: &str, hint: Option<&str>) {
    stderr_line(ERROR, "error", text);
    if let Some(text) = hint {
        self::hint(text);
    }
}

/// The next step.
pub fn hint(text: &str) {
    let _ = writeln!(anstream::stderr());
    stderr_line(HINT, "hint", text);
}

/// Writes text to stdout.
///
/// # Errors
/// The error of the system; a reader that has gone is none.
pub fn stdout(text: &str) -> io::Result<()> {
    write(&visible::lines(text))
}

/// Writes JSON to stdout.
///
/// # Errors
/// As [`stdout`].
pub fn json(text: &str) -> io::Result<()> {
    write(&visible::json(text))
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// A path as a word of a command: in quotes where a shell would take it for several words, or for something else.
pub(super) fn in_shell(path: &Path) -> String {
    let path = path.display().to_string();
    let is_plain = |c: char| c.is_alphanumeric() || "._-/\\:+@%,=~".contains(c);
    if path.chars().all(is_plain) { path } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// Significant digits for people: enough to compare, not more.
#[must_use]
pub fn number(value: f64) -> String {
    if value == 0.0 {
        "0".into()
    } else if (1e-3..1e6).contains(&value.abs()) {
        let digits = (5 - value.abs().log10().floor() as i32).clamp(0, 9) as usize;
        let text = format!("{value:.digits$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    } else {
        format!("{value:.5e}")
    }
}

/// Quality of probabilities before and after calibration: on the test rows, or else on the validation rows.
fn calibrated(report: &CalibrationReport) -> String {
    let method = report.temperature.map_or_else(|| report.method.clone(), |t| format!("temperature {}", number(t)));
    let (split, measured) = match report.test {
        Some(test) => ("test", Some(test)),
        None => ("validation", report.validation),
    };
    measured.map_or_else(String::new, |Comparison { before, after }| {
        format!(
            "{method}: expected error {:.4} -> {:.4}, log loss {} -> {} on {split}",
            before.expected_calibration_error,
            after.expected_calibration_error,
            number(before.log_loss),
            number(after.log_loss)
        )
    })
}

/// The block at the end of a run.
#[must_use]
pub fn summary(result: &RunResult, stop: &str, folder: &str) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<12} {value}");
    };
    if let (Some(objective), Some(data_loss)) = (result.objective, result.data_loss) {
        let penalty = number(objective - data_loss);
        row("objective", format!("{} (data loss {} + regulariser {penalty})", number(objective), number(data_loss)));
    }
    if let (Some(dual), Some(gap)) = (result.dual_objective, result.relative_gap) {
        row(
            "certificate",
            format!(
                "optimum at least {}; {} (relative gap {})",
                shown::at_least(dual, number),
                shown::above(gap, number)
                    .map_or_else(|| "this may be far above it".into(), |above| format!("this is at most {above} it")),
                shown::gap(gap)
            ),
        );
    }
    let accuracies =
        [("train", result.train_accuracy), ("validation", result.validation_accuracy), ("test", result.test_accuracy)];
    let shown: Vec<String> =
        accuracies.iter().filter_map(|(name, a)| a.map(|a| format!("{name} {}", percent(a)))).collect();
    if !shown.is_empty() {
        row("accuracy", shown.join(", "));
    }
    if let Some(calibration) = &result.calibration {
        row("calibration", calibrated(calibration));
    }
    let c = result.c.map_or_else(|| "infinite".into(), number);
    row("strength", format!("lambda {}, reg {}, C {c}", number(result.lambda), number(result.reg)));
    let best = result.best_step.map_or_else(String::new, |s| format!("; weights of step {s}, the best on validation"));
    row("stopped", format!("{stop}: {} steps, {} epochs{best}", result.steps, number(result.epochs)));
    let gradient = result.gradient.as_ref().map_or_else(String::new, |g| format!(", gradient {g}"));
    row("device", format!("{}{gradient}", result.device));
    row(
        "time",
        format!(
            "load {:.2} s, solve {:.2} s, evaluate {:.2} s{}",
            result.seconds_load,
            result.seconds_solve,
            result.seconds_evaluate,
            result.peak_rss_bytes.map_or_else(String::new, |b| format!("; peak memory {} MB", b / 1_000_000)),
        ),
    );
    if let Some(disk) = &result.blocks {
        let rate = number(disk.megabytes_per_second.round());
        let (passes, proofs, waiting) = (disk.passes, disk.proofs + disk.surveys, disk.seconds_waiting);
        row("disk", format!("{passes} passes and {proofs} to prove or fit, {rate} MB/s, waited for {waiting:.1} s"));
    }
    row("run", folder.to_owned());
    if let Some(path) = &result.path {
        out.insert_str(0, &path_table(path, result.c));
    }
    out
}

/// A line for each C of a path, the one that was chosen marked.
fn path_table(path: &[PathPoint], chosen: Option<f64>) -> String {
    let mut out = format!(
        "  {:>12} {:>12} {:>9} {:>8} {:>9} {:>10} {:>9} {:>8}\n",
        "C", "objective", "gap", "epochs", "train", "validation", "test", "seconds"
    );
    let share = |value: Option<f64>| value.map_or_else(|| "-".into(), percent);
    for point in path {
        let mark = if chosen == Some(point.c) { '*' } else { ' ' };
        let _ = writeln!(
            out,
            "{mark} {:>12} {:>12} {:>9} {:>8} {:>9} {:>10} {:>9} {:>8.2}",
            number(point.c),
            point.objective.map_or_else(|| "-".into(), number),
            point.relative_gap.map_or_else(|| "-".into(), |g| format!("{g:.1e}")),
            number(point.epochs),
            share(point.train_accuracy),
            share(point.validation_accuracy),
            share(point.test_accuracy),
            point.seconds,
        );
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_six_digits() {
        for (value, text) in [
            (0.0, "0"),
            (9.0, "9"),
            (5.254_385_4, "5.25439"),
            (768.25, "768.25"),
            (25_000.0, "25000"),
            (4.08e-10, "4.08000e-10"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
