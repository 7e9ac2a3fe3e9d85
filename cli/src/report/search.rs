//! The sections of a search.

use super::chart::{Dot, Line, Series, curves, lines, scatter};
use super::html::{facts, note, section, table, text, tiles};
use super::run::{number, percent};
use crate::plot::scale::{Axis, hex};
use crate::plot::search::{Found, Key, ceiling};
use crate::search::ledger::LedgerEntry;
use crate::search::rank::Standing;
use crate::search::space::short_names;
use crate::search::table::SearchRecord;
use std::collections::BTreeMap;

/// Every section of a search, without those of its best run.
pub(super) fn sections(record: &SearchRecord, entries: &[LedgerEntry], config: &str) -> String {
    let mut out = head(record);
    let found = Found::new(record, entries, "");
    out += &section("trials", "Trials", &found.as_ref().map_or_else(String::new, |f| pictures(record, f)));
    out += &section("ranking", "Ranking", &ranking(record));
    out += &section("judged", "How trials were judged", &judged(record));
    out + &section("search", "Configuration of the search", &format!("<pre>{}</pre>", text(config)))
}

fn score(record: &SearchRecord, value: f64) -> String {
    if record.facts.metric == "loss" { number(value) } else { percent(value) }
}

fn head(record: &SearchRecord) -> String {
    let mut values = Vec::new();
    if let Some(best) = record.standings.first() {
        let error = best.standard_error.map_or_else(String::new, |e| {
            if record.facts.metric == "loss" { format!(" ± {}", number(e)) } else { format!(" ± {:.2}", 100.0 * e) }
        });
        values.extend(best.score.map(|s| {
            (format!("best validation {}", record.facts.metric.replace('_', " ")), score(record, s) + &error)
        }));
    }
    if let Some(refit) = &record.refit {
        values.extend(refit.test_accuracy.map(|a| ("test accuracy, trained once more".to_owned(), percent(a))));
    }
    values.push(("trials".to_owned(), format!("{} of {}", record.standings.len(), record.trials)));
    values.push(("diverged".to_owned(), record.standings.iter().filter(|s| s.diverged()).count().to_string()));
    values.push((format!("seconds for {} trainings", record.facts.fits), format!("{:.1}", record.facts.seconds)));
    tiles(&values)
}

/// The keys of a trial and what came of it.
fn tip(record: &SearchRecord, standing: &Standing) -> String {
    let names = short_names(record.facts.keys.iter().map(String::as_str));
    let mut lines = vec![format!("rank {}, trial {}", standing.rank, standing.trial)];
    for (key, name) in record.facts.keys.iter().zip(names) {
        lines.push(format!("{name} {}", standing.values.get(key).map_or("", String::as_str)));
    }
    let measured = [("validation", standing.accuracy), ("train", standing.train_accuracy)];
    lines.extend(measured.iter().filter_map(|(name, v)| v.map(|v| format!("{name} {}", percent(v)))));
    if standing.diverged() {
        lines.push("diverged".into());
    }
    lines.join("\n")
}

fn pictures(record: &SearchRecord, found: &Found<'_>) -> String {
    let mut charts = String::new();
    let keys = found.keys();
    if let [x, y, ..] = keys {
        for (name, value) in MEASURES {
            charts += &over_two(record, name, value, x, y);
        }
    } else if let [x] = keys {
        let along = |value: fn(&Standing) -> Option<f64>| {
            let mut points: Vec<(f64, f64)> =
                record.standings.iter().filter_map(|s| Some((x.of(s)?, value(s)?))).collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            // A logarithm where the values span decades.
            points.into_iter().map(|p| (if x.axis.is_log() { p.0.log10() } else { p.0 }, p.1)).collect::<Vec<_>>()
        };
        let name = if x.axis.is_log() { format!("log10 {}", x.name) } else { x.name.clone() };
        let series = [
            Series { name: "validation", color: "--c2", points: along(|s| s.accuracy) },
            Series { name: "train", color: "--c1", points: along(|s| s.train_accuracy) },
        ];
        charts += &curves("accuracy", &name, &series, true);
    }
    charts += &losses(record, found);
    if charts.is_empty() {
        return charts;
    }
    let mut words = "Point at a trial for its values. A cross is a trial that diverged; the best is ringed.".to_owned();
    if record.facts.folds.max(record.facts.repeats) > 1 {
        words += " Losses are those of the first fold.";
    }
    format!("<div class=\"charts\">{charts}</div>{}", note(words))
}

/// Trials whose losses are drawn, the best of all.
const MOST_LINES: usize = 1000;

/// The losses of all trials over their steps.
fn losses(record: &SearchRecord, found: &Found<'_>) -> String {
    let mut points: BTreeMap<usize, Vec<(f64, f64)>> = found.losses().into_iter().collect();
    let scores = || record.standings.iter().filter_map(|s| s.score);
    let (low, high) = scores().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let is_loss = record.facts.metric == "loss";
    let share = |v: f64| if high > low { (v - low) / (high - low) } else { 0.5 };
    let line = |standing: &Standing| {
        Some(Line {
            points: points.remove(&standing.trial)?,
            tone: standing.score.map(|v| hex(if is_loss { 1.0 - share(v) } else { share(v) })),
            best: standing.rank == 1,
            tip: tip(record, standing),
        })
    };
    let mut all: Vec<Line> = record.standings.iter().take(MOST_LINES).filter_map(line).collect();
    // The best last, on top.
    all.reverse();
    let top = ceiling(all.iter().flat_map(|line| line.points.iter().copied()));
    let mut ends = if low > high { [String::new(), String::new()] } else { [score(record, low), score(record, high)] };
    if is_loss {
        ends.reverse();
    }
    lines("loss of every trial", ("step", "loss"), &all, top, (&record.facts.metric.replace('_', " "), &ends))
}

type Measure = (&'static str, fn(&Standing) -> Option<f64>);
const MEASURES: [Measure; 2] = [("validation accuracy", |s| s.accuracy), ("train accuracy", |s| s.train_accuracy)];

fn over_two(record: &SearchRecord, name: &str, value: fn(&Standing) -> Option<f64>, x: &Key, y: &Key) -> String {
    let values: Vec<f64> = record.standings.iter().filter_map(value).collect();
    let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    let share = |v: f64| if high > low { (v - low) / (high - low) } else { 0.5 };
    let dot = |standing: &Standing| {
        Some(Dot {
            x: x.of(standing)?,
            y: y.of(standing)?,
            fill: value(standing).map(|v| hex(share(v))),
            best: standing.rank == 1,
            tip: tip(record, standing),
        })
    };
    // The best last, on top.
    let dots: Vec<Dot> = record.standings.iter().rev().filter_map(dot).collect();
    let ends = if values.is_empty() { [String::new(), String::new()] } else { [percent(low), percent(high)] };
    let (x_axis, y_axis): (&Axis, &Axis) = (&x.axis, &y.axis);
    scatter(name, (x_axis, &x.name), (y_axis, &y.name), &dots, &ends)
}

fn ranking(record: &SearchRecord) -> String {
    let names = short_names(record.facts.keys.iter().map(String::as_str));
    let metric = record.facts.metric.replace('_', " ");
    let mut heads = vec!["rank".to_owned(), "trial".to_owned()];
    heads.extend(names);
    heads.extend([
        metric,
        "±".into(),
        "macro F1".into(),
        "loss".into(),
        "train".into(),
        "gap".into(),
        "stopped".into(),
    ]);
    let share = |v: Option<f64>| v.map_or_else(|| "–".to_owned(), percent);
    let rows: Vec<Vec<String>> = record
        .standings
        .iter()
        .map(|s| {
            let mut row = vec![s.rank.to_string(), s.trial.to_string()];
            row.extend(record.facts.keys.iter().map(|key| text(s.values.get(key).map_or("", String::as_str))));
            row.push(s.score.map_or_else(|| "–".into(), |v| score(record, v)));
            row.push(s.standard_error.map_or_else(|| "–".into(), |e| score(record, e)));
            row.push(share(s.macro_f1));
            row.push(s.loss.map_or_else(|| "–".into(), number));
            row.push(share(s.train_accuracy));
            row.push(s.relative_gap.map_or_else(|| "–".into(), |g| format!("{g:.1e}")));
            row.push(text(s.stop.replace('_', " ")));
            row
        })
        .collect();
    let numbers: Vec<bool> = (0..heads.len()).map(|i| i + 1 < heads.len()).collect();
    format!("<div class=\"long\">{}</div>", table(&heads, &rows, &numbers))
}

fn judged(record: &SearchRecord) -> String {
    let f = &record.facts;
    let rows = match f.folds {
        0 => format!("{} held-out rows, {} to learn from; drawn {} times", f.validation_rows, f.train_rows, f.repeats),
        k => format!(
            "{k}-fold cross-validation, {} times; {} rows to learn from, {} to judge by",
            f.repeats, f.train_rows, f.validation_rows
        ),
    };
    let together = match (record.stacked, record.alone.as_slice()) {
        (0, []) => "one after another".to_owned(),
        (n, alone) => {
            let mut parts = Vec::new();
            if n > 0 {
                parts.push(format!("{n} as stacked models"));
            }
            parts
                .extend(alone.iter().map(|a| format!("{} one after another: {}", a.trials, a.reason.replace('`', ""))));
            parts.join("; ")
        }
    };
    let mut values = vec![
        ("ranked by".to_owned(), f.metric.replace('_', " ")),
        ("on".to_owned(), rows),
        ("test rows, not looked at before the end".to_owned(), f.test_rows.to_string()),
        ("space".to_owned(), format!("{}: {}", f.method, f.keys.join(", "))),
        ("trained".to_owned(), together),
        ("ended".to_owned(), record.end.replace('_', " ")),
        ("device".to_owned(), f.device.clone()),
    ];
    values.extend(f.peak_rss_bytes.map(|b| ("peak memory".to_owned(), format!("{} MB", b / 1_000_000))));
    let within = within_error(record);
    facts(&values) + &within.map_or_else(String::new, note)
}

/// Note on the standard error of the best score, and the trials within it.
fn within_error(record: &SearchRecord) -> Option<String> {
    let best = record.standings.first()?;
    let (score, error) = best.score.zip(best.standard_error)?;
    let near = record.standings.iter().filter(|s| s.score.is_some_and(|v| (v - score).abs() <= error)).count();
    let size = if record.facts.metric == "loss" { number(error) } else { format!("{:.2} points", 100.0 * error) };
    Some(format!(
        "The best score has a standard error of {size}; {near} of {} trials are within it of the best, and the best of many is a little too good: the test rows say what it is worth.",
        record.standings.len()
    ))
}
