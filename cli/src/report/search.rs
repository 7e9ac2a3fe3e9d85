//! The sections of a search.

use super::html::{charts, facts, note, section, table, text, tiles, verbatim};
use super::run::{number, percent};
use crate::plot::search::{SearchFigures, written};
use crate::search::ledger::LedgerEntry;
use crate::search::space::short_names;
use crate::search::table::SearchRecord;
use crate::shown;

/// Every section of a search, without those of its best run.
pub(super) fn sections(record: &SearchRecord, entries: &[LedgerEntry], config: &str) -> Result<String, String> {
    let mut out = head(record);
    let found = SearchFigures::new(record, entries, "");
    out += &section(
        "trials",
        "Trials",
        &found.as_ref().map_or_else(|| Ok(String::new()), |found| pictures(record, found))?,
    );
    out += &section("ranking", "Ranking", &ranking(record));
    out += &section("judged", "How trials were judged", &judged(record));
    Ok(out + &section("search", "Configuration of the search", &verbatim(config)))
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

/// Trials over two keys, or the score along the only one; the losses of all of them.
fn pictures(record: &SearchRecord, found: &SearchFigures<'_>) -> Result<String, String> {
    let mut all = found.scatter_charts();
    let has_pair = all.iter().any(Option::is_some);
    all.extend([found.scores_chart(), found.losses_chart()]);
    let drawn = charts(all)?;
    if drawn.is_empty() {
        return Ok(drawn);
    }
    let mut words = "Point at a trial for its values, or go to it with the tab key.".to_owned();
    if has_pair {
        words += " The best is ringed.";
    }
    if record.standings.iter().any(|standing| standing.diverged()) {
        words += " A cross is a trial that diverged.";
    }
    if record.facts.folds.max(record.facts.repeats) > 1 {
        words += " Losses are those of the first fold.";
    }
    Ok(drawn + &note(words))
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
            row.extend(record.facts.keys.iter().map(|key| text(written(s.values.get(key).map_or("", String::as_str)))));
            row.push(s.score.map_or_else(|| "–".into(), |v| score(record, v)));
            row.push(s.standard_error.map_or_else(|| "–".into(), |e| score(record, e)));
            row.push(share(s.macro_f1));
            row.push(s.loss.map_or_else(|| "–".into(), number));
            row.push(share(s.train_accuracy));
            row.push(s.relative_gap.map_or_else(|| "–".into(), |g| shown::number(g, 2)));
            row.push(text(s.stop.replace('_', " ")));
            row
        })
        .collect();
    let numbers: Vec<bool> = (0..heads.len()).map(|i| i + 1 < heads.len()).collect();
    format!("<div class=\"long\" tabindex=\"0\">{}</div>", table(&heads, &rows, &numbers))
}

fn judged(record: &SearchRecord) -> String {
    let f = &record.facts;
    let rows = match f.folds {
        0 => format!("{} held-out rows, {} to learn from; drawn {}", f.validation_rows, f.train_rows, times(f.repeats)),
        k => format!(
            "{k}-fold cross-validation, {}; {} rows to learn from, {} to judge by",
            times(f.repeats),
            f.train_rows,
            f.validation_rows
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

fn times(n: usize) -> String {
    if n == 1 { "once".into() } else { format!("{n} times") }
}

/// Certainty of the choice.
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
