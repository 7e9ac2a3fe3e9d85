//! The sections of a run.

use super::chart::{Series, curves};
use super::examples::Shown;
use super::html::{facts, image, note, section, table, text, tiles};
use super::{Findings, ReportError};
use crate::metric::{ClassReport, Confusion};
use crate::plot::confusion::Matrix;
use crate::plot::{canvas, templates};
use crate::run::RunResult;
use crate::run::path::PathPoint;
use crate::run::recorded::{BoundsRow, ConfusionRecord};
use crate::shown;
use crate::solver::LogEntry;
use std::fmt::Write as _;

/// Classes of which a matrix of cells can still be read.
const MOST_CELLS: usize = 30;
/// Lines of the table of classes.
const MOST_CLASSES: usize = 100;
/// Lines of the table of the rows of each class.
const MOST_COUNTS: usize = 1_000;
/// Pairs that are shown with examples.
pub(super) const PAIRS: usize = 6;

pub(super) fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// A number in six significant digits.
pub(super) fn number(value: f64) -> String {
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    if rounded == 0.0 || (1e-4..1e6).contains(&rounded.abs()) { format!("{rounded}") } else { format!("{rounded:e}") }
}

/// Every section of a run, the most important first.
pub(super) fn sections(found: &Findings) -> Result<String, ReportError> {
    let mut out = head(&found.result);
    out += &section("certificate", "Certificate", &certificate(&found.result));
    out += &section("curves", "Curves", &all_curves(found));
    if let Some(record) = &found.confusion {
        let name = format!("Confusion on the {} split", record.split);
        out += &section("confusion", &name, &matrix(record).map_err(|problem| found.failed(problem))?);
        out += &section("confused", "Most often confused", &pairs(record, found.shown.as_ref()));
    }
    out += &section("weights", "Weights of each class", &weights(found));
    if let Some(record) = &found.confusion {
        out += &section("classes", "Classes", &classes(&record.confusion, &record.class_names));
    }
    out += &section("path", "Regularisation path", &path(&found.result));
    out += &section("data", "Data", &data(found));
    out += &section("configuration", "Configuration", &format!("<pre>{}</pre>", text(&found.config)));
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
    values.extend(
        result.relative_gap.map(|g| ("beside the optimum".to_owned(), format!("at most {}", shown::above(g, number)))),
    );
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
        "No weights whatsoever bring this objective below {}; these reach {}, which is at most {} the best there is.",
        shown::at_least(dual, number),
        number(objective),
        shown::above(gap, number)
    );
    format!("<p>{}</p>", text(sentence))
}

fn all_curves(found: &Findings) -> String {
    let charts = match &found.result.path {
        // The log belongs to several models, one after the other.
        Some(points) => over_c(points),
        None => over_steps(&found.metrics, found.bounds.as_deref()),
    };
    if charts.is_empty() { charts } else { format!("<div class=\"charts\">{charts}</div>") }
}

const fn series(name: &'static str, color: &'static str, points: Vec<(f64, f64)>) -> Series {
    Series { name, color, points }
}

/// The models of a path.
fn over_c(points: &[PathPoint]) -> String {
    let of = |value: fn(&PathPoint) -> Option<f64>| -> Vec<(f64, f64)> {
        points.iter().filter_map(|p| value(p).map(|v| (p.c.log10(), v))).collect()
    };
    let accuracies = [
        series("train", "--c1", of(|p| p.train_accuracy)),
        series("validation", "--c2", of(|p| p.validation_accuracy)),
        series("test", "--c3", of(|p| p.test_accuracy)),
    ];
    let loss = [series("mean loss of the training rows", "--c1", of(|p| p.data_loss))];
    curves("accuracy of the model for each C", "log10 C", &accuracies, true)
        + &curves("data loss of the model for each C", "log10 C", &loss, false)
}

fn over_steps(metrics: &[LogEntry], bounds: Option<&[BoundsRow]>) -> String {
    #[allow(clippy::cast_precision_loss)]
    let of = |value: fn(&LogEntry) -> Option<f64>| -> Vec<(f64, f64)> {
        metrics.iter().filter_map(|e| value(e).map(|v| (e.step as f64, v))).collect()
    };
    let mut charts = curves("loss", "step", &[series("objective as logged", "--c1", of(|e| e.loss))], false);
    let accuracies = [
        series("train (sample)", "--c1", of(|e| e.train_accuracy)),
        series("validation", "--c2", of(|e| e.validation_accuracy)),
    ];
    charts += &curves("accuracy", "step", &accuracies, true);
    if let Some(rows) = bounds {
        let of = |value: fn(&BoundsRow) -> f64| rows.iter().map(|r| (r.epoch, value(r))).collect::<Vec<_>>();
        let sides = [series("primal", "--c1", of(|r| r.primal)), series("dual", "--c2", of(BoundsRow::about_dual))];
        charts += &curves("bounds, as measured", "epoch", &sides, false);
        let gaps = of(|r| r.relative_gap).into_iter().filter(|p| p.1 > 0.0).collect();
        charts += &curves("relative gap", "epoch", &[series("(primal − dual)/primal", "--c3", gaps)], false);
    }
    charts
}

/// Cells to read where there are few classes, else the figure.
#[allow(clippy::cast_precision_loss)]
fn matrix(record: &ConfusionRecord) -> Result<String, String> {
    let ConfusionRecord { confusion, class_names, split } = record;
    let k = confusion.n_classes();
    if k > MOST_CELLS {
        let png = canvas::png(&Matrix::new(confusion, class_names, split, ""))?;
        return Ok(format!("<div class=\"wide\">{}</div>", image(&png, "confusion matrix", "figure")));
    }
    let mut out = "<div class=\"wide\"><table class=\"matrix\"><thead><tr><th></th>".to_owned();
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
            let tip = format!("{count} of {total} {name}\npredicted as {predicted}: {}", percent(share));
            let _ = write!(
                out,
                "<td style=\"background:rgba(var({hue}),{alpha:.3})\" data-tip=\"{}\">{count}</td>",
                text(tip)
            );
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>");
    out += &note("Rows are true classes, columns predicted ones; a cell is coloured by its share of the row.");
    Ok(out)
}

fn pairs(record: &ConfusionRecord, shown: Option<&Result<Shown, String>>) -> String {
    let mut out = String::new();
    for (count, i, j) in record.confusion.most_confused(PAIRS) {
        let (from, to) = (&record.class_names[i], &record.class_names[j]);
        let _ = writeln!(out, "<h3>{} taken for {}: {count} times</h3>", text(from), text(to));
        let Some(Ok(shown)) = shown else { continue };
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
    if let (false, Some(Err(reason))) = (out.is_empty(), shown) {
        out += &note(format!("No examples are shown: {reason}"));
    }
    out
}

fn weights(found: &Findings) -> String {
    let Some(model) = &found.model else { return String::new() };
    match templates::tiles(model) {
        Err(_) => String::new(),
        Ok(tiles) => {
            let one = |(tile, name): (&crate::plot::pixels::Pixels, &String)| {
                format!("<div>{}{}</div>", image(&tile.to_png(), &format!("weights of {name}"), "template"), text(name))
            };
            let shown = tiles.iter().zip(&model.class_names).take(MOST_COUNTS);
            let pictures: Vec<String> = shown.map(one).collect();
            format!(
                "<div class=\"templates\">{}</div>{}",
                pictures.join("\n"),
                note(
                    "One scale for all classes; bright pixels speak for the class, dark ones against it. The bias is left out."
                )
            )
        }
    }
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
            c.support.to_string(),
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
                p.relative_gap.map_or_else(|| "–".into(), |g| format!("{g:.1e}")),
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
        ("training rows".to_owned(), result.n_samples.to_string()),
        ("features".to_owned(), result.n_features.to_string()),
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
    if let Some(Ok(shown)) = &found.shown {
        let rows: Vec<Vec<String>> = shown
            .counts
            .iter()
            .take(MOST_COUNTS)
            .map(|(name, counts)| std::iter::once(text(name)).chain(counts.iter().map(ToString::to_string)).collect())
            .collect();
        let heads = ["class", "train", "validation", "test"].map(String::from);
        out += &format!(
            "<h3>Rows of each class</h3><div class=\"long\">{}</div>",
            table(&heads, &rows, &[false, true, true, true])
        );
        if rows.len() < shown.counts.len() {
            out += &note(format!("The first {} of {} classes.", rows.len(), shown.counts.len()));
        }
    }
    out
}
