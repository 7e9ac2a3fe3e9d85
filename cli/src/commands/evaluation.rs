//! The text of `burn-svm evaluate`.

use super::output::{number, percent};
use crate::evaluation::{Evaluation, MOST_SCORES};
use crate::metric::{ClassCurves, ClassReport, Confusion, mean};
use crate::run::measure::Comparison;
use crate::visible;
use std::fmt::Write as _;

/// Content of an evaluation as text.
pub(super) struct EvaluationText<'a> {
    /// Name of the rows.
    pub(super) name: &'a str,
    pub(super) evaluation: &'a Evaluation,
    /// Of each class; `None` where there are too many scores.
    pub(super) curves: Option<&'a [ClassCurves]>,
    /// The loss in words; `None` where the model's is no margin loss.
    pub(super) loss: Option<String>,
    /// Method and quality of the probabilities.
    pub(super) calibration: Option<(&'static str, Comparison)>,
    pub(super) class_names: &'a [String],
}

/// Classes of which each has a line; of more only the worst have.
const MOST_LINES: usize = 100;
/// Number of those.
const WORST: usize = 20;

/// Accuracy, probabilities, per-class table and confusion matrix.
pub(super) fn text(evaluated: &EvaluationText<'_>) -> String {
    let EvaluationText { name, evaluation, curves, loss, calibration, class_names } = evaluated;
    let confusion = &evaluation.confusion;
    let mut out = String::new();
    let mut row = |name: &str, value: String| {
        let _ = writeln!(out, "{name:<12} {value}");
    };
    row("accuracy", percent(confusion.accuracy()));
    row("balanced", format!("{} (mean recall)", percent(confusion.balanced_accuracy())));
    for (k, share) in &evaluation.top_k {
        row(&format!("top-{k}"), percent(*share));
    }
    match curves {
        Some(curves) => {
            let area = |of: fn(&ClassCurves) -> Option<f64>| mean(curves.iter().map(of));
            let mut mean_row = |name: &str, area: Option<f64>, what: &str| {
                let text = |area| format!("{area:.4} ({what}, mean over classes against the rest)");
                row(name, area.map_or_else(|| "none: there is only one class here".into(), text));
            };
            mean_row("ROC AUC", area(|c| c.roc_auc), "area below the curve");
            mean_row("PR area", area(|c| c.average_precision), "average precision");
        }
        None => row("ROC AUC", format!("not computed: more than {MOST_SCORES} scores, rows times classes")),
    }
    row(
        "data loss",
        loss.as_ref().map_or_else(
            || "unknown: the model was trained for another loss than a margin loss".into(),
            |loss| format!("{} ({loss})", number(evaluation.data_loss)),
        ),
    );
    if let Some((method, Comparison { before, after })) = calibration {
        row("log loss", format!("{} ({} before {method})", number(after.log_loss), number(before.log_loss)));
        row("Brier score", format!("{} ({} before)", number(after.brier), number(before.brier)));
        let errors = [after, before].map(|q| q.expected_calibration_error);
        row("calibration", format!("expected error {:.4} ({:.4} before)", errors[0], errors[1]));
    }
    let head = format!("{} rows: {}\n", confusion.total(), visible::name(name));
    let names: Vec<String> = class_names.iter().map(|name| visible::name(name).into_owned()).collect();
    head + &out + "\n" + &class_table(confusion, *curves, &names) + "\n" + &confusion_table(confusion, &names)
}

/// A line a class, or a line for the worst of many; `-` where 0 would be divided by 0. The areas below the curves stand last, where there
/// are any.
fn class_table(confusion: &Confusion, curves: Option<&[ClassCurves]>, names: &[String]) -> String {
    let wide = names.iter().map(|n| n.chars().count()).max().unwrap_or(0).clamp(13, 30);
    let heads = if curves.is_some() { format!(" {:>9} {:>9}", "ROC AUC", "PR area") } else { String::new() };
    let mut out = format!("{:<wide$} {:>9} {:>9} {:>9} {:>9}{heads}\n", "class", "precision", "recall", "F1", "rows");
    let share = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
    let mut line = |name: &str, c: &ClassReport, areas: Option<[Option<f64>; 2]>| {
        let (precision, recall) =
            (Some(c.precision).filter(|_| c.predicted > 0), Some(c.recall).filter(|_| c.support > 0));
        let f1 = Some(c.f1).filter(|_| c.occurs());
        let (precision, recall, f1) = (share(precision), share(recall), share(f1));
        let name = shortened(name, wide);
        let areas = areas.map_or_else(String::new, |[roc, pr]| format!(" {:>9} {:>9}", share(roc), share(pr)));
        let _ = writeln!(out, "{name:<wide$} {precision:>9} {recall:>9} {f1:>9} {:>9}{areas}", c.support);
    };
    let classes = confusion.classes();
    let mut order: Vec<usize> = (0..classes.len()).collect();
    if classes.len() > MOST_LINES {
        order.retain(|&k| classes[k].occurs());
        order.sort_by(|&a, &b| classes[a].f1.total_cmp(&classes[b].f1));
        order.truncate(WORST);
    }
    let areas = |k: usize| curves.map(|curves| [curves[k].roc_auc, curves[k].average_precision]);
    order.iter().for_each(|&k| line(&names[k], &classes[k], areas(k)));
    let of_all = |of: fn(&ClassCurves) -> Option<f64>| curves.and_then(|curves| mean(curves.iter().map(of)));
    let means = curves.map(|_| [of_all(|c| c.roc_auc), of_all(|c| c.average_precision)]);
    line("macro mean", &confusion.mean(false), means);
    line("weighted mean", &confusion.mean(true), None);
    if classes.len() > MOST_LINES {
        let _ = writeln!(out, "(the {} lowest F1 of {} classes; --json has all)", order.len(), classes.len());
    }
    let absent = classes.iter().filter(|c| !c.occurs()).count();
    if absent > 0 {
        let _ = writeln!(out, "({absent} of {} classes are not met here and left out of the means)", classes.len());
    }
    out
}

fn shortened(name: &str, width: usize) -> String {
    if name.chars().count() <= width {
        return name.to_owned();
    }
    name.chars().take(width - 1).chain(std::iter::once('…')).collect()
}

/// Rows of true classes, columns of predicted ones; only the most confused pairs where the matrix is too wide to read.
fn confusion_table(confusion: &Confusion, names: &[String]) -> String {
    const WIDEST: usize = 26;
    // Characters of a line for the columns.
    const LINE: usize = 80;
    let mut out = String::new();
    let k = confusion.n_classes();
    if k > WIDEST {
        out.push_str("most confused (true → predicted)\n");
        for (count, i, j) in confusion.most_confused(20) {
            let _ = writeln!(out, "{count:>7}  {} → {}", names[i], names[j]);
        }
        return out;
    }
    let wide = names.iter().map(|n| n.chars().count()).max().unwrap_or(1).clamp(1, 16);
    let count = (0..k * k).map(|i| confusion.count(i / k, i % k)).max().unwrap_or(0).to_string().len();
    let cell = count.max(wide.min((LINE / k).saturating_sub(1).max(6)));
    out.push_str("confusion (rows: true, columns: predicted)\n");
    let _ = write!(out, "{:<wide$}", "");
    names.iter().for_each(|name| {
        let _ = write!(out, " {:>cell$}", shortened(name, cell));
    });
    out.push('\n');
    for (i, name) in names.iter().enumerate() {
        let _ = write!(out, "{:<wide$}", shortened(name, wide));
        for j in 0..k {
            let _ = write!(out, " {:>cell$}", confusion.count(i, j));
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_confusions_become_a_list_of_pairs() {
        let names: Vec<String> = (0..30).map(|i| format!("class {i}")).collect();
        let mut confusion = Confusion::new(30);
        confusion.add(3, 4);
        confusion.add(3, 4);
        confusion.add(5, 5);
        assert_eq!(
            confusion_table(&confusion, &names),
            "most confused (true → predicted)\n      2  class 3 → class 4\n"
        );
    }

    #[test]
    fn what_cannot_be_divided_is_a_dash() {
        let names = ["a", "b", "c"].map(String::from);
        let mut confusion = Confusion::new(3);
        confusion.add(0, 0);
        confusion.add(0, 1);
        let table = class_table(&confusion, None, &names);
        let lines: Vec<Vec<&str>> = table.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["a", "1.0000", "0.5000", "0.6667", "2"]);
        assert_eq!(lines[2], ["b", "0.0000", "-", "0.0000", "0"]);
        assert_eq!(lines[3], ["c", "-", "-", "-", "0"]);
        assert_eq!(table.lines().last(), Some("(1 of 3 classes are not met here and left out of the means)"));
    }

    #[test]
    fn of_many_classes_the_worst_have_a_line() {
        let names: Vec<String> = (0..300).map(|i| format!("class {i}")).collect();
        let mut confusion = Confusion::new(300);
        (0..300).for_each(|i| confusion.add(i, if i == 7 { 8 } else { i }));
        let table = class_table(&confusion, None, &names);
        assert_eq!(table.lines().count(), 1 + WORST + 2 + 1);
        assert!(table.lines().nth(1).unwrap().starts_with("class 7 "), "{table}");
        assert!(table.ends_with("(the 20 lowest F1 of 300 classes; --json has all)\n"));
    }
}
