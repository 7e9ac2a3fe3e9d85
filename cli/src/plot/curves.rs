//! Curves over a run: loss, accuracy, the bounds that the exact solver proves; curves over a path in C, and over the
//! threshold of a score.

use super::chart::Chart;
use super::marks::{Line, Spread};
use super::palette::{AXIS, CLASSES, DUAL, INK, PRIMAL, TEST, TRAIN, VALIDATION};
use super::panels::Panels;
use super::scale::{Axis, Unit, drawable};
use crate::run::RunResult;
use crate::run::path::PathPoint;
use crate::run::recorded::BoundsRow;
use crate::run::roc::{ClassCurve, CurveKind, RocRecord};
use crate::solver::LogEntry;
use crate::solver::sgd::ESTIMATE_ROWS;
use crate::solver::stop::is_diverged;
use plotters::style::RGBColor;

type Points = Vec<(f64, f64)>;

/// Rows that accuracies are measured on, for their standard errors; 0 where that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowCounts {
    pub(crate) train: usize,
    pub(crate) validation: usize,
    pub(crate) test: usize,
}

impl RowCounts {
    /// Those of a run that is finished.
    #[must_use]
    pub const fn of(result: &RunResult) -> Self {
        Self { train: result.n_samples, validation: result.n_validation, test: result.n_test }
    }
}

/// Shares of `rows` rows that are predicted right, with a band of ± √(p(1−p)/n) where n is known.
#[allow(clippy::cast_precision_loss)]
fn shares(name: &str, color: RGBColor, points: Points, rows: usize) -> Line {
    // A value in a file may be no share.
    let points: Points = points.into_iter().filter(|p| (0.0..=1.0).contains(&p.1)).collect();
    let errors = points.iter().map(|&(_, p)| (p * (1.0 - p) / rows as f64).sqrt()).collect();
    Line { spread: if rows > 0 { Spread::Band(errors) } else { Spread::None }, ..Line::new(name, color, points) }
}

const SHARE: &str = "accuracy ± standard error";
const EPOCH: &str = "epoch";
const GAP: &str = "(primal - dual) / primal";
const LOSS: &str = "mean loss of the training rows";

/// The finite values over the steps, and what to call the axis. The exact solver's steps are passes over the rows.
#[allow(clippy::cast_precision_loss)]
fn over(metrics: &[LogEntry], value: impl Fn(&LogEntry) -> Option<f64>) -> (&'static str, Points) {
    let passes = metrics.iter().all(|e| e.step as f64 == e.epoch) && metrics.iter().any(|e| e.step > 0);
    let points = metrics.iter().filter_map(|e| value(e).map(|v| (e.step as f64, v)));
    (if passes { EPOCH } else { "step" }, points.collect())
}

/// The objective over the steps as the solver logged it (of minibatches for SGD, of all rows for the exact solver), on a logarithmic
/// axis where it spans more than a factor of 30; a cross where it diverged.
pub(crate) fn loss_chart(metrics: &[LogEntry]) -> Option<Chart> {
    let (x, mut points) = over(metrics, |e| e.loss);
    let first = points.first()?.1;
    let lost = points.last().is_some_and(|last| is_diverged(last.1, first));
    // NaN counts as beyond every number.
    points.iter_mut().filter(|p| !drawable(p.1)).for_each(|p| p.1 = f64::INFINITY);
    let line = Line { lost, ..Line::new(if lost { "objective, × diverged" } else { "objective" }, PRIMAL, points) };
    Chart::of_lines("Training loss", (x, Unit::Number), ("objective", Unit::Number), vec![line])
}

/// Accuracies over the steps.
pub(crate) fn accuracy_chart(metrics: &[LogEntry], rows: RowCounts) -> Option<Chart> {
    let (x, train) = over(metrics, |e| e.train_accuracy);
    let (_, validation) = over(metrics, |e| e.validation_accuracy);
    let name = if rows.train > ESTIMATE_ROWS { "train (sample)" } else { "train" };
    let lines = vec![
        shares(name, TRAIN, train, rows.train.min(ESTIMATE_ROWS)),
        shares("validation", VALIDATION, validation, rows.validation),
    ];
    Chart::of_lines("Accuracy", (x, Unit::Number), (SHARE, Unit::Percent), lines)
}

/// Accuracies and the mean data loss of the models of a path, over C.
pub(crate) fn path_charts(points: &[PathPoint], rows: RowCounts) -> Vec<Option<Chart>> {
    let of = |value: fn(&PathPoint) -> Option<f64>| -> Points {
        points.iter().filter_map(|p| value(p).map(|v| (p.c, v))).collect()
    };
    let accuracies = vec![
        shares("train", TRAIN, of(|p| p.train_accuracy), rows.train),
        shares("validation", VALIDATION, of(|p| p.validation_accuracy), rows.validation),
        shares("test", TEST, of(|p| p.test_accuracy), rows.test),
    ];
    let loss = vec![Line::new(LOSS, TRAIN, of(|p| p.data_loss))];
    let over_c = |title: &str, y: (&str, Unit), lines: Vec<Line>| {
        let mut chart = Chart::of_lines(title, ("C", Unit::Number), y, lines)?;
        chart.x = Axis::decades("C", Unit::Number, points.iter().map(|p| p.c))?.inset();
        Some(chart)
    };
    vec![
        over_c("Accuracy of the model for each C", (SHARE, Unit::Percent), accuracies),
        over_c("Data loss of the model for each C", (LOSS, Unit::Number), loss),
    ]
}

/// Primal and dual objective of the exact solver as it measured them, and the relative gap between them.
pub(crate) fn bounds_charts(rows: &[BoundsRow]) -> Vec<Option<Chart>> {
    let of = |value: fn(&BoundsRow) -> f64| -> Points { rows.iter().map(|r| (r.epoch, value(r))).collect() };
    let sides = vec![Line::new("primal", PRIMAL, of(|r| r.primal)), Line::new("dual", DUAL, of(BoundsRow::about_dual))];
    let gap = of(|r| r.relative_gap).into_iter().filter(|p| p.1 > 0.0).collect();
    let x = (EPOCH, Unit::Number);
    vec![
        Chart::of_lines("Bounds on the optimum, as measured", x, ("objective", Unit::Number), sides),
        Chart::of_lines("Relative gap", x, (GAP, Unit::Number), vec![Line::new(GAP, INK, gap)]),
    ]
}

/// The ROC curves and the precision-recall curves of a run, each class with the area below it.
pub(crate) fn roc_charts(record: &RocRecord) -> Vec<Option<Chart>> {
    let chart = |kind: CurveKind, title: &str, x: &str, y: &str| {
        let curves = || record.curves.iter().filter(move |curve| curve.kind == kind);
        let mut lines: Vec<Line> = curves().enumerate().map(|(i, curve)| of_class(i, curve)).collect();
        if kind == CurveKind::Roc && !lines.is_empty() {
            lines.insert(0, Line { width: 1.0, ..Line::new("", AXIS, vec![(0.0, 0.0), (1.0, 1.0)]) });
        }
        let mut chart = Chart::of_lines(title, (x, Unit::Number), (y, Unit::Number), lines)?;
        let ends = || [0.0, 1.0].into_iter();
        chart.x = Axis::even(x, Unit::Number, ends())?;
        chart.y = Axis::even(y, Unit::Number, ends())?;
        Some(chart)
    };
    vec![
        chart(CurveKind::Roc, "ROC, with the area below", "false positive rate", "true positive rate"),
        chart(CurveKind::PrecisionRecall, "Precision and recall, with the average precision", "recall", "precision"),
    ]
}

fn of_class(i: usize, curve: &ClassCurve) -> Line {
    let (name, color) = match curve.class.as_str() {
        "" => ("mean of the classes", INK),
        name => (name, CLASSES[i % CLASSES.len()]),
    };
    let name = super::canvas::fitted(name, super::chart::EM, 110.0);
    Line { width: 1.5, plain: true, ..Line::new(format!("{name} {:.3}", curve.area), color, curve.points.clone()) }
}

/// Curves of any values over the steps, each with its name, on a common axis; `None` without a finite point.
#[must_use]
pub fn side_by_side(title: &str, below: &str, y: &str, curves: Vec<(&str, Vec<(f64, f64)>)>) -> Option<Panels> {
    let lines = curves.into_iter().zip(CLASSES).map(|((name, points), color)| Line::new(name, color, points)).collect();
    Panels::of(title, below, vec![Chart::of_lines(title, ("step", Unit::Number), (y, Unit::Number), lines)])
}

/// The figure of the loss; `None` where no finite loss was logged.
#[must_use]
pub fn loss(metrics: &[LogEntry], name: &str) -> Option<Panels> {
    let lost = metrics.iter().filter(|e| e.loss.is_some_and(|l| !l.is_finite())).count();
    let below = if lost == 0 { name.to_owned() } else { format!("{name} · {lost} values were not finite") };
    Panels::of("Training loss", below, vec![loss_chart(metrics)])
}

/// The figure of the accuracies on the way; `None` where none was measured.
#[must_use]
pub fn accuracy(metrics: &[LogEntry], rows: RowCounts, name: &str) -> Option<Panels> {
    Panels::of("Accuracy", name, vec![accuracy_chart(metrics, rows)])
}

/// The figure of a path; `None` for a path without points.
#[must_use]
pub fn path(points: &[PathPoint], rows: RowCounts, name: &str) -> Option<Panels> {
    Panels::of("A model for each C", name, path_charts(points, rows))
}

/// The figure of the bounds; `None` where nothing was measured.
#[must_use]
pub fn bounds(rows: &[BoundsRow], name: &str) -> Option<Panels> {
    Panels::of("Bounds on the optimum, as measured", name, bounds_charts(rows))
}

/// The figure of [`RocRecord`]; `None` where it has no curve.
#[must_use]
pub fn roc(record: &RocRecord, name: &str) -> Option<Panels> {
    let title = format!("Each class against the rest, {} split", record.split);
    let below = format!("{name} · ROC with the area below it, precision over recall with the average precision");
    Panels::of(title, below, roc_charts(record))
}

#[cfg(test)]
mod tests {
    use super::super::canvas::{png, svg};
    use super::*;

    fn entry(step: u64, loss: f64) -> LogEntry {
        LogEntry {
            step,
            epoch: 0.0,
            loss: Some(loss),
            train_accuracy: None,
            validation_accuracy: Some(0.5),
            seconds: 0.0,
        }
    }

    #[test]
    fn curves_are_drawn_for_every_kind_of_run() {
        for losses in [
            vec![780.0, 100.0, 5.0],
            vec![1.0, 0.9],
            vec![0.0],
            vec![f64::NAN, 1.0],
            vec![5.0, 5.0, 5.0],
            vec![-1.0, 1e300],
            vec![1e-300, 1e-310],
            vec![1e-5, f64::INFINITY, 1e30],
        ] {
            let metrics: Vec<LogEntry> = losses.iter().enumerate().map(|(i, &l)| entry(i as u64 * 100, l)).collect();
            let figure = loss(&metrics, "a <run> & \"more\"").unwrap();
            let document = svg(&figure).unwrap();
            assert!(document.starts_with("<svg") && document.contains("Training loss"), "{losses:?}");
            assert!(document.contains("a &lt;run&gt; &amp; &quot;more&quot;"));
            assert!(png(&figure).unwrap().starts_with(b"\x89PNG"));
            assert!(svg(&accuracy(&metrics, RowCounts::default(), "x").unwrap()).unwrap().contains("validation"));
        }
        assert!(loss(&[], "").is_none() && accuracy(&[], RowCounts::default(), "").is_none());
        assert!(loss(&[entry(0, f64::NAN)], "").is_none());
    }

    #[test]
    fn bounds_are_drawn_with_and_without_a_gap() {
        let row = |epoch: f64, dual: f64| BoundsRow {
            epoch,
            primal: 1.0,
            dual: None,
            relative_gap: 1.0 - dual,
            seconds: 0.1,
        };
        let document = svg(&bounds(&[row(1.0, -5.0), row(2.0, 0.5), row(3.0, 0.9999)], "x").unwrap()).unwrap();
        assert!(document.contains("primal") && document.contains("(primal - dual) / primal"));
        // A gap of zero has no place on a logarithmic axis.
        let document = svg(&bounds(&[row(1.0, 1.0)], "x").unwrap()).unwrap();
        assert!(!document.contains("(primal - dual) / primal"));
        assert!(bounds(&[], "").is_none());
    }

    #[test]
    fn a_path_is_drawn_over_the_logarithm_of_c() {
        let point = |c: f64, accuracy: f64| PathPoint {
            c,
            lambda: 1.0,
            objective: Some(1.0),
            data_loss: Some(1.0 - accuracy),
            dual_objective: None,
            relative_gap: None,
            epochs: 1.0,
            stop_reason: "gap_reached".into(),
            train_accuracy: Some(accuracy),
            validation_accuracy: None,
            test_accuracy: None,
            seconds: 0.0,
        };
        let document =
            svg(&path(&[point(1e-4, 0.8), point(1e-2, 0.9), point(1.0, 0.95)], RowCounts::default(), "x").unwrap())
                .unwrap();
        for label in ["A model for each C", "train", "mean loss", "0.01", "1e-4"] {
            assert!(document.contains(label), "{label}");
        }
        assert!(!document.contains("validation"));
        assert!(
            svg(&path(&[point(0.5, 0.5)], RowCounts::default(), "x").unwrap()).is_ok()
                && path(&[], RowCounts::default(), "x").is_none()
        );
    }

    /// Each of these had no end to the ticks of an axis, or would have.
    #[test]
    fn numbers_that_no_run_has_are_drawn_or_left_out() {
        const HUGE: f64 = 1e308;
        let far = 18_446_744_073_709_551_615;
        for steps in [[far - 4_096, far], [0, far], [far, far]] {
            for losses in
                [[0.02, HUGE], [-HUGE, HUGE], [HUGE, HUGE], [5e-324, 1.0], [1e-308, 1e308], [0.5, 0.5 + 1e-16]]
            {
                let metrics: Vec<LogEntry> = steps.iter().zip(losses).map(|(&s, l)| entry(s, l)).collect();
                if let Some(figure) = loss(&metrics, "x") {
                    assert!(svg(&figure).is_ok() && png(&figure).is_ok(), "{steps:?} {losses:?}");
                }
            }
        }
        let row =
            |epoch: f64| BoundsRow { epoch, primal: HUGE, dual: Some(-HUGE), relative_gap: 5e-324, seconds: -1.0 };
        for epochs in [[f64::NAN, f64::INFINITY], [0.0, HUGE], [1.0, 1.0 + f64::EPSILON], [-1.0, -HUGE]] {
            assert!(bounds(&epochs.map(row), "x").is_none_or(|figure| svg(&figure).is_ok()), "{epochs:?}");
        }
        let point = |c: f64, value: f64| PathPoint {
            c,
            lambda: 1.0,
            objective: None,
            data_loss: Some(value),
            dual_objective: None,
            relative_gap: None,
            epochs: 1.0,
            stop_reason: String::new(),
            train_accuracy: Some(value),
            validation_accuracy: Some(0.5),
            test_accuracy: None,
            seconds: 0.0,
        };
        for (c, value) in [([-1.0, 0.0], -1.0), ([1.0, 1.0 + f64::EPSILON], HUGE), ([1e-320, HUGE], 7.0)] {
            let points = [point(c[0], value), point(c[1], 0.02)];
            assert!(path(&points, RowCounts::default(), "x").is_none_or(|figure| svg(&figure).is_ok()), "{c:?}");
        }
    }

    #[test]
    fn accuracies_have_a_band_of_their_standard_error() {
        let metrics = [0, 100].map(|step| entry(step, 1.0));
        let rows = RowCounts { train: 0, validation: 100, test: 0 };
        let chart = accuracy_chart(&metrics, rows).unwrap();
        // √(0.5·0.5/100).
        assert_eq!((chart.lines.len(), &chart.lines[0].spread), (1, &Spread::Band(vec![0.05, 0.05])));
        assert_eq!(accuracy_chart(&metrics, RowCounts::default()).unwrap().lines[0].spread, Spread::None);
    }

    #[test]
    fn a_run_that_diverged_ends_with_a_cross() {
        let chart = loss_chart(&[entry(0, 9.0), entry(10, f64::NAN)]).unwrap();
        assert!(chart.lines[0].lost && chart.lines[0].name.contains("diverged"));
        assert!(!loss_chart(&[entry(0, 9.0), entry(10, 8.0)]).unwrap().lines[0].lost);
    }

    #[test]
    fn classes_have_a_curve_each_and_a_diagonal_to_be_better_than() {
        let curve = |kind, class: &str| ClassCurve {
            kind,
            class: class.into(),
            area: 0.75,
            points: vec![(0.0, 0.0), (0.2, 0.8), (1.0, 1.0)],
        };
        let curves =
            vec![curve(CurveKind::Roc, "cat"), curve(CurveKind::Roc, "dog"), curve(CurveKind::PrecisionRecall, "cat")];
        let charts: Vec<Chart> =
            roc_charts(&RocRecord { split: "test".into(), curves }).into_iter().flatten().collect();
        assert_eq!(charts.iter().map(|chart| chart.lines.len()).collect::<Vec<_>>(), [3, 1]);
        assert_eq!(charts[0].lines[1].name, "cat 0.750");
        assert!(roc(&RocRecord { split: String::new(), curves: vec![] }, "x").is_none());
    }
}
