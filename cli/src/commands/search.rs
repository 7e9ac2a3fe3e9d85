//! `burn-svm search`

use super::output::{self, Messages, number, percent};
use super::progress::INTERRUPTED;
use super::{Failure, SearchArgs, print, print_json};
use crate::config::LoadedConfig;
use crate::run::{self, RunError, record};
use crate::search::ledger::Ledger;
use crate::search::rank::Standing;
use crate::search::refit::FOLDER;
use crate::search::space::short_names;
use crate::search::table::{self, SearchRecord};
use crate::search::{End, SearchOutcome, SearchPlan, SearchProgress, Watcher};
use crate::visible;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(super) fn run(args: &SearchArgs) -> Result<ExitCode, Failure> {
    let messages = Messages { quiet: args.quiet };
    let config = LoadedConfig::load(&args.config.config, &args.config.changes.overrides(args.threads))
        .map_err(RunError::from)?;
    let plan = SearchPlan::new(&config).map_err(RunError::from)?;
    let device = run::open_device(&config).map_err(RunError::from)?;
    let folder = args.out.clone().unwrap_or_else(|| record::fresh_folder(&config.name()));
    let prepared = run::prepare(&config)?;
    let folds = plan.folds(&prepared).map_err(RunError::from)?;
    let ledger = if args.resume {
        Ledger::resume(&folder, &config.text).map_err(RunError::from)?
    } else {
        Ledger::create(&folder, &config.text, args.force)
    };
    let ledger = ledger.map_err(RunError::from)?;
    prepared.notes.iter().for_each(|note| messages.note(note));
    prepared.warnings.iter().for_each(|warning| messages.warning(warning));
    let mut watcher = JobBar::new(messages, super::progress::on_ctrl_c());
    let outcome = plan.run(prepared, &folds, &device, &folder, ledger, &mut watcher);
    watcher.finish();
    let outcome = outcome?;
    outcome.alone.iter().for_each(|(reason, trials)| {
        messages.note(&format!("{trials} of {} trials were trained one after another: {reason}", outcome.trials));
    });
    let record = table::read(&folder).map_err(RunError::from)?;
    if outcome.end != End::Interrupted {
        crate::plot::draw_search(&folder, crate::plot::FigureFormat::default())?;
        if outcome.refit.is_some() {
            crate::plot::draw(&folder.join(FOLDER), crate::plot::FigureFormat::default())?;
        }
    }
    if args.json {
        print_json(&record)?;
    } else if !args.quiet {
        print(&text(&record, &folder.display().to_string()))?;
    }
    Ok(end(messages, &outcome))
}

fn end(messages: Messages, outcome: &SearchOutcome) -> ExitCode {
    match outcome.end {
        End::Interrupted => {
            messages.note("stopped early; the same command with --out DIR --resume takes the search up");
            return ExitCode::from(INTERRUPTED);
        }
        End::TimeLimit => messages.warning("the seconds of [search] were over before every trial was trained"),
        End::Finished => {}
    }
    if outcome.standings.is_empty() {
        output::error("no trial was trained", Some("give `seconds` of [search] more time"));
        return ExitCode::FAILURE;
    }
    if outcome.standings.iter().all(|s| s.score.is_none()) {
        output::error("every trial diverged", Some("lower the learning rates of search.space"));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Lines of the table that are shown.
const SHOWN: usize = 20;

/// The ranked table with its remarks.
fn text(record: &SearchRecord, folder: &str) -> String {
    let facts = &record.facts;
    let names = short_names(facts.keys.iter().map(String::as_str));
    let names = names.iter().map(|name| visible::name(name).into_owned());
    let mut out = String::new();
    let mut cells: Vec<Vec<String>> = Vec::new();
    let head = ["rank", "trial"].map(String::from).into_iter().chain(names);
    cells.push(head.chain([facts.metric.clone(), "±".into(), "train".into(), "stopped".into()]).collect());
    for standing in record.standings.iter().take(SHOWN) {
        cells.push(line(standing, record));
    }
    let width = |column: usize| cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..cells[0].len()).map(width).collect();
    for row in &cells {
        let padded = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:>width$}"));
        let _ = writeln!(out, "{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    }
    if record.standings.len() > SHOWN {
        let _ = writeln!(out, "({} more in {})", record.standings.len() - SHOWN, table::TABLE);
    }
    out.push('\n');
    let mut row = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<12} {value}");
    };
    row("judged by", judged_by(record));
    if let Some(refit) = &record.refit {
        let test = refit.test_accuracy.map_or_else(String::new, |a| format!(", test {}", percent(a)));
        let train = refit.train_accuracy.map_or_else(|| "diverged".into(), percent);
        row("refit", format!("on {} rows: train {train}{test}; {folder}/best", refit.n_samples));
    }
    let diverged = record.standings.iter().filter(|s| s.diverged()).count();
    let together = if record.stacked > 0 { format!(", {} as stacked models", record.stacked) } else { String::new() };
    row("trials", format!("{} of {}{together}, {diverged} diverged", record.standings.len(), record.trials));
    let memory = facts.peak_rss_bytes.map_or_else(String::new, |b| format!("; peak memory {} MB", b / 1_000_000));
    row("time", format!("{:.1} s for {} trainings{memory}", facts.seconds, facts.fits));
    row("search", folder.to_owned());
    out
}

fn line(standing: &Standing, record: &SearchRecord) -> Vec<String> {
    let share = record.facts.metric != "loss";
    let shown = |value: Option<f64>| match value {
        None => "-".to_owned(),
        Some(v) if share => percent(v),
        Some(v) => number(v),
    };
    let value = |key: &String| standing.values.get(key).map_or_else(String::new, |v| visible::name(v).into_owned());
    let values = record.facts.keys.iter().map(value);
    let error = standing
        .standard_error
        .map_or_else(|| "-".to_owned(), |e| if share { format!("{:.2}", 100.0 * e) } else { number(e) });
    [standing.rank.to_string(), standing.trial.to_string()]
        .into_iter()
        .chain(values)
        .chain([
            shown(standing.score),
            error,
            standing.train_accuracy.map_or_else(|| "-".into(), percent),
            standing.stop.replace('_', " "),
        ])
        .collect()
}

/// Which rows decided, and how sure they are.
fn judged_by(record: &SearchRecord) -> String {
    let facts = &record.facts;
    let rows = match (facts.folds, facts.repeats) {
        (0, 1) => format!("{} validation rows", facts.validation_rows),
        (0, n) => format!("{n} draws of {} validation rows", facts.validation_rows),
        (k, 1) => format!("{k}-fold cross-validation"),
        (k, n) => format!("{n} times {k}-fold cross-validation"),
    };
    let best = record.standings.first();
    let Some((error, score)) = best.and_then(|s| s.standard_error.zip(s.score)) else {
        return rows;
    };
    let within = record.standings.iter().filter(|s| s.score.is_some_and(|v| (v - score).abs() <= error)).count();
    let error = if facts.metric == "loss" { number(error) } else { format!("{:.2} points", 100.0 * error) };
    format!("{rows}; standard error {error}: {within} of {} trials are within it of the best", record.standings.len())
}

/// A bar on a terminal, a line a job elsewhere.
struct JobBar {
    messages: Messages,
    bar: Option<ProgressBar>,
    stop: Arc<AtomicBool>,
}

impl JobBar {
    fn new(messages: Messages, stop: Arc<AtomicBool>) -> Self {
        let bar = (!messages.quiet && std::io::stderr().is_terminal()).then(|| {
            let style = "{bar:32} {pos}/{len} trainings  {prefix}  {msg}";
            let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10)).with_style(style)
        });
        Self { messages, bar, stop }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn rest(left: Duration) -> String {
    let seconds = left.as_secs();
    if seconds >= 100 { format!("{} min left", seconds.div_ceil(60)) } else { format!("{seconds} s left") }
}

impl Watcher for JobBar {
    fn start(&mut self, trials: usize, folds: usize, total: usize, done: usize) {
        let before = if done > 0 { format!(", {done} of them done before") } else { String::new() };
        let each = if folds == 1 { String::new() } else { format!(" on {folds} folds") };
        self.messages.line(&format!("{trials} trials{each}: {total} trainings{before}"));
        if let Some(bar) = &self.bar {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        }
    }

    fn step(&mut self, step: u64, steps: u64) {
        if let Some(bar) = &self.bar {
            let of = if steps > 0 { format!("/{steps}") } else { String::new() };
            bar.set_prefix(format!("step {step}{of}"));
        }
    }

    fn stage(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(visible::name(text).into_owned()),
            None => self.messages.line(text),
        }
    }

    fn warning(&mut self, text: &str) {
        self.messages.warning(text);
    }

    fn done(&mut self, progress: &SearchProgress) {
        let best = progress.best.as_ref().map_or_else(
            || "nothing has converged".to_owned(),
            |(label, score)| format!("best so far {} ({label})", number(*score)),
        );
        let left = progress.left.map_or_else(String::new, |left| format!(", {}", rest(left)));
        match &self.bar {
            Some(bar) => {
                bar.set_position(progress.done as u64);
                bar.set_message(format!("{best}{left}"));
            }
            None => {
                self.messages.line(&format!("{} / {}: {}; {best}{left}", progress.done, progress.total, progress.last))
            }
        }
    }

    fn interrupted(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
