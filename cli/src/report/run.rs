//! The sections of a run.

use super::html::{charts, facts, image, note, section, table, text, tiles, verbatim};
use super::{Findings, ReportError};
use crate::config::LoadedConfig;
use crate::metric::{ClassReport, Confusion};
use crate::model::Classifier;
use crate::plot::confusion::ConfusionMatrix;
use crate::plot::curves::{self, RowCounts};
use crate::plot::pixels::Pixels;
use crate::plot::{canvas, templates};
use crate::run::recorded::ConfusionRecord;
use crate::run::{RunResult, advice};
use crate::shown;
use std::fmt::Write as _;

/// Classes of which a matrix of cells can still be read.
const MOST_CELLS: usize = 30;
/// Lines of the table of classes.
const MOST_CLASSES: usize = 100;
/// Lines of the table of the rows of each class.
const MOST_COUNTS: usize = 1_000;
/// Classes whose largest weights are listed, and how many of each.
const MOST_WEIGHED: usize = 12;
const LARGEST: usize = 8;
/// Pairs that are shown with examples.
pub(super) const PAIRS: usize = 6;

pub(super) fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// A number in six significant digits.
pub(super) fn number(value: f64) -> String {
    shown::number(value, 6)
}

/// Every section of a run, the most important first.
pub(super) fn sections(found: &Findings) -> Result<String, ReportError> {
    let mut out = head(&found.result);
    out += &section("certificate", "Certificate", &certificate(&found.result));
    out += &section("diverged", "Diverged", &diverged(found));
    out += &section("curves", "Curves", &all_curves(found).map_err(|problem| found.failed(problem))?);
    if let Some(record) = &found.confusion {
        let name = format!("Confusion on the {} split", record.split);
        out += &section("confusion", &name, &matrix(record).map_err(|problem| found.failed(problem))?);
        out += &section("confused", "Most often confused", &pairs(record, found));
    }
    if let Some(record) = &found.roc {
        let name = format!("Each class against the rest, {} split", record.split);
        out += &section("roc", &name, &charts(curves::roc_charts(record)).map_err(|problem| found.failed(problem))?);
    }
    out += &section("weights", "Weights of each class", &weights(found));
    if let Some(record) = &found.confusion {
        out += &section("classes", "Classes", &classes(&record.confusion, &record.class_names));
    }
    out += &section("path", "Regularisation path", &path(&found.result));
    out += &section("data", "Data", &data(found));
    out += &section("configuration", "Configuration", &verbatim(&found.config));
    Ok(out)
}

fn head(result: &RunResult) -> String {
    let mut values = Vec::new();
    let accuracies =
        [("test", result.test_accuracy), ("validation", result.validation_accuracy), ("train", result.train_accuracy)];
    for (name, accuracy) in accuracies {
        values.extend(accuracy.map(|a| (format!("{name} accuracy"), percent(a))));
    }
    values.extend(result.objective.map(|o| ("objective".to_owned(), number(o))));
    let above = result.relative_gap.and_then(|gap| shown::above(gap, |v| shown::number(v, 3)));
    values.extend(above.map(|above| ("the optimum".to_owned(), format!("at most {above}"))));
    values.push(("seconds of solving".to_owned(), format!("{:.2}", result.seconds_solve)));
    if result.objective.is_none() {
        values.push(("no model".to_owned(), result.stop_reason.replace('_', " ")));
    }
    tiles(&values)
}

fn certificate(result: &RunResult) -> String {
    let (Some(objective), Some(dual), Some(gap)) = (result.objective, result.dual_objective, result.relative_gap)
    else {
        return String::new();
    };
    let sentence = format!(
        "No weights whatsoever bring this objective below {}; these reach {}, which {} the best there is.",
        shown::at_least(dual, number),
        number(objective),
        shown::above(gap, |v| shown::number(v, 3))
            .map_or_else(|| "may be far above".into(), |above| format!("is at most {above}"))
    );
    format!("<p>{}</p>", text(sentence))
}

fn all_curves(found: &Findings) -> Result<String, String> {
    let rows = RowCounts::of(&found.result);
    charts(match &found.result.path {
        // The log is of several models, one after the other.
        Some(points) => curves::path_charts(points, rows),
        None => {
            let mut all = vec![curves::loss_chart(&found.metrics), curves::accuracy_chart(&found.metrics, rows)];
            all.extend(found.bounds.as_deref().map(curves::bounds_charts).unwrap_or_default());
            all
        }
    })
}

/// Facts about a run that diverged, and advice.
fn diverged(found: &Findings) -> String {
    if found.result.stop_reason != "diverged" {
        return String::new();
    }
    let losses = || found.metrics.iter().filter_map(|entry| Some((entry.step, entry.loss?)));
    let mut sentence = "The run diverged; there is no model.".to_owned();
    if let (Some((_, first)), Some((step, last))) = (losses().next(), losses().next_back()) {
        let last = if last.is_finite() { number(last) } else { "no finite number".into() };
        sentence = format!(
            "The objective was {} at the first step and {last} at step {step}: the run diverged, and there is no model.",
            number(first)
        );
    }
    let config = LoadedConfig::parse(&found.config, &found.folder.join("config.toml"), &[]).ok();
    let advice = config.map(|config| advice::after_divergence(&config, found.result.reg));
    format!(
        "<p>{}</p>{}",
        text(sentence),
        advice.map_or_else(String::new, |advice| format!("<p>To go on: {}.</p>", text(advice)))
    )
}

/// Cells to read where there are few classes, else the figure.
#[allow(clippy::cast_precision_loss)]
fn matrix(record: &ConfusionRecord) -> Result<String, String> {
    let ConfusionRecord { confusion, class_names, split } = record;
    let k = confusion.n_classes();
    if k > MOST_CELLS {
        let png = canvas::png(&ConfusionMatrix::new(confusion, class_names, split, ""))?;
        return Ok(format!("<div class=\"wide\">{}</div>", image(&png, "confusion matrix", "figure")));
    }
    let mut out = "<div class=\"wide\" tabindex=\"0\"><table class=\"matrix\"><thead><tr><th></th>".to_owned();
    class_names.iter().for_each(|name| {
        let _ = write!(out, "<th scope=\"col\">{}</th>", text(name));
    });
    out.push_str("</tr></thead><tbody>\n");
    let (support, _) = confusion.margins();
    for (i, name) in class_names.iter().enumerate() {
        let total = support[i];
        let _ = write!(out, "<tr><th scope=\"row\">{}</th>", text(name));
        for (j, predicted) in class_names.iter().enumerate() {
            let count = confusion.count(i, j);
            let share = count as f64 / total.max(1) as f64;
            let hue = if i == j { "--hit" } else { "--miss" };
            // The root: errors are small.
            let alpha = 0.75 * share.sqrt();
            let tip = format!("{count} of {total} {name} predicted as {predicted}: {}", percent(share));
            let _ = write!(
                out,
                "<td style=\"background:rgba(var({hue}),{alpha:.3})\" title=\"{}\">{count}</td>",
                text(tip)
            );
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>");
    out += &note("Rows are true classes, columns predicted ones; a cell is coloured by its share of the row.");
    Ok(out)
}

/// The pairs of classes that are most often confused, with images of them where the rows are images.
fn pairs(record: &ConfusionRecord, found: &Findings) -> String {
    let pairs = record.confusion.most_confused(PAIRS);
    if pairs.is_empty() || !found.has_images() {
        let row = |&(count, i, j): &(u64, usize, usize)| {
            vec![text(&record.class_names[i]), text(&record.class_names[j]), shown::grouped(count)]
        };
        let heads = ["class", "taken for", "rows"].map(String::from);
        let rows: Vec<Vec<String>> = pairs.iter().map(row).collect();
        return if rows.is_empty() { String::new() } else { table(&heads, &rows, &[false, false, true]) };
    }
    let mut out = String::new();
    for (count, i, j) in pairs {
        let (from, to) = (&record.class_names[i], &record.class_names[j]);
        let times = shown::grouped(count);
        let _ = writeln!(out, "<h3>{} taken for {}: {times} times</h3>", text(from), text(to));
        let Some(Ok(shown)) = &found.shown else { continue };
        let images: Vec<String> = shown
            .pairs
            .iter()
            .filter(|p| (p.label, p.predicted) == (i, j))
            .flat_map(|p| &p.images)
            .map(|(row, png)| image(png, &format!("{from} taken for {to}, record {row}"), "example"))
            .collect();
        if !images.is_empty() {
            let _ = writeln!(out, "<div class=\"pair\">{}</div>", images.join(""));
        }
    }
    if let Some(Err(reason)) = &found.shown {
        out += &note(format!("No examples are shown: {reason}"));
    }
    out
}

fn weights(found: &Findings) -> String {
    let Some(model) = &found.model else { return String::new() };
    let Ok(tiles) = templates::tiles(model) else { return largest_weights(model) };
    templates_of(&tiles, &model.class_names)
}

/// The pictures of the classes.
pub(super) fn templates_of(tiles: &[Pixels], names: &[String]) -> String {
    let one = |(tile, name): (&Pixels, &String)| {
        format!("<div>{}{}</div>", image(&tile.to_png(), &format!("weights of {name}"), "template"), text(name))
    };
    let pictures: Vec<String> = tiles.iter().zip(names).take(MOST_COUNTS).map(one).collect();
    let words =
        "One scale for all classes; bright pixels speak for the class, dark ones against it. The bias is left out.";
    format!("<div class=\"templates\">{}</div>{}", pictures.join("\n"), note(words))
}

/// The features that speak most for or against each class, by name.
fn largest_weights(model: &Classifier) -> String {
    let k = model.n_classes();
    let mut out = String::new();
    for (class, name) in model.class_names.iter().enumerate().take(MOST_WEIGHED) {
        let features = model.largest_weights(class, LARGEST);
        let row = |&j: &usize| vec![text(model.feature_name(j)), shown::number(model.weight[j * k + class], 4)];
        let rows: Vec<Vec<String>> = features.iter().map(row).collect();
        let heads = ["feature".to_owned(), "weight".to_owned()];
        if !rows.is_empty() {
            let _ = writeln!(out, "<div><h3>{}</h3>{}</div>", text(name), table(&heads, &rows, &[false, true]));
        }
    }
    if out.is_empty() {
        return out;
    }
    let scaled = if model.scaler.scale.is_some() { " of scaled features, so that they can be compared" } else { "" };
    let mut words = format!("The {LARGEST} largest weights of each class{scaled}; `burn-svm weights` lists more.");
    if k > MOST_WEIGHED {
        words += &format!(" The first {MOST_WEIGHED} of {k} classes.");
    }
    format!("<div class=\"weighed\">\n{out}</div>{}", note(words))
}

fn classes(confusion: &Confusion, names: &[String]) -> String {
    let reports = confusion.classes();
    let mut order: Vec<usize> = (0..reports.len()).collect();
    if order.len() > MOST_CLASSES {
        order.retain(|&k| reports[k].occurs());
        order.sort_by(|&a, &b| reports[a].f1.total_cmp(&reports[b].f1));
        order.truncate(MOST_CLASSES);
    }
    let share = |value: f64, of: bool| if of { format!("{value:.4}") } else { "–".to_owned() };
    let row = |name: &str, c: &ClassReport| {
        vec![
            text(name),
            share(c.precision, c.predicted > 0),
            share(c.recall, c.support > 0),
            share(c.f1, c.occurs()),
            shown::grouped(c.support),
        ]
    };
    let mut rows: Vec<Vec<String>> = order.iter().map(|&k| row(&names[k], &reports[k])).collect();
    rows.push(row("macro mean", &confusion.mean(false)));
    rows.push(row("weighted mean", &confusion.mean(true)));
    let heads = ["class", "precision", "recall", "F1", "rows"].map(String::from);
    let mut out = table(&heads, &rows, &[false, true, true, true, true]);
    if order.len() < reports.len() {
        out += &note(format!("The {} lowest F1 of {} classes.", order.len(), reports.len()));
    }
    out
}

fn path(result: &RunResult) -> String {
    let Some(points) = &result.path else { return String::new() };
    let share = |value: Option<f64>| value.map_or_else(|| "–".into(), percent);
    let rows: Vec<Vec<String>> = points
        .iter()
        .map(|p| {
            vec![
                text(number(p.c)),
                p.objective.map_or_else(|| "–".into(), number),
                p.relative_gap.map_or_else(|| "–".into(), |g| shown::number(g, 2)),
                share(p.train_accuracy),
                share(p.validation_accuracy),
                share(p.test_accuracy),
            ]
        })
        .collect();
    let heads = ["C", "objective", "gap", "train", "validation", "test"].map(String::from);
    table(&heads, &rows, &[true; 6])
}

fn data(found: &Findings) -> String {
    let result = &found.result;
    let mut values = vec![
        ("training rows".to_owned(), shown::grouped(result.n_samples as u64)),
        ("features".to_owned(), shown::grouped(result.n_features as u64)),
        ("classes".to_owned(), result.n_classes.to_string()),
    ];
    if let Some(model) = &found.model {
        if let Some(shape) = model.image_shape {
            let size = format!("{} × {}, {} channels", shape.width, shape.height, shape.channels);
            values.push(("images".to_owned(), size));
        }
        if let Some(loss) = model.loss() {
            values.push(("loss".to_owned(), loss.to_string()));
        }
    }
    let c = result.c.map_or_else(|| "infinite".into(), number);
    values
        .push(("strength".to_owned(), format!("lambda {}, reg {}, C {c}", number(result.lambda), number(result.reg))));
    values.push(("device".to_owned(), result.device.clone()));
    values.push((
        "steps".to_owned(),
        format!("{} ({} epochs), {}", result.steps, number(result.epochs), result.stop_reason.replace('_', " ")),
    ));
    if let Some(bytes) = result.peak_rss_bytes {
        values.push(("peak memory".to_owned(), format!("{} MB", bytes / 1_000_000)));
    }
    let mut out = facts(&values);
    if let Some(Err(reason)) = &found.shown {
        out += &note(format!("The rows of each class are not shown: {reason}"));
    }
    if let Some(Ok(shown)) = &found.shown {
        let rows: Vec<Vec<String>> = shown
            .counts
            .iter()
            .take(MOST_COUNTS)
            .map(|(name, counts)| std::iter::once(text(name)).chain(counts.iter().map(ToString::to_string)).collect())
            .collect();
        let heads = ["class", "train", "validation", "test"].map(String::from);
        out += &format!(
            "<h3>Rows of each class</h3><div class=\"long\" tabindex=\"0\">{}</div>",
            table(&heads, &rows, &[false, true, true, true])
        );
        if rows.len() < shown.counts.len() {
            out += &note(format!("The first {} of {} classes.", rows.len(), shown.counts.len()));
        }
    }
    out
}
