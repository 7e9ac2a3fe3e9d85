//! Curves of a run: loss, accuracy, the bounds that the exact solver proves; and the models of a path over C.

use super::canvas::{Figure, GRID, INK, Pen, QUIET, Text, failed};
use super::pixels::text_width;
use crate::run::path::PathPoint;
use crate::run::recorded::BoundsRow;
use crate::solver::LogEntry;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;

const SIZE: (u32, u32) = (800, 500);
const BLUE: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);
const ORANGE: RGBColor = RGBColor(0xd9, 0x5f, 0x0e);
const GREEN: RGBColor = RGBColor(0x2b, 0x83, 0x4a);
/// A range of more than this factor is drawn on a logarithmic axis.
const DECADES: f64 = 30.0;

type Points = Vec<(f64, f64)>;

/// Sizes that are drawn. No run has larger ones; a file may, and the ticks of an axis beyond them are never at an end.
const LARGEST: f64 = 1e100;

/// Notation of the values of an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Number,
    Percent,
}

#[derive(Debug)]
struct Series {
    name: &'static str,
    color: RGBColor,
    points: Points,
}

/// One pair of axes.
#[derive(Debug)]
struct Panel {
    x: &'static str,
    y: &'static str,
    unit: Unit,
    series: Vec<Series>,
    /// The points have the logarithm to base 10 of what the axis is labelled with.
    decades: bool,
}

/// One or two panels below a heading.
#[derive(Debug)]
pub struct Curves {
    title: &'static str,
    below: String,
    panels: Vec<Panel>,
}

/// The objective over the steps as the solver logged it (of minibatches for SGD, of all rows for the exact solver), on a
/// logarithmic axis where it spans more than a factor of 30; `None` where no finite loss was logged.
#[must_use]
pub fn loss(metrics: &[LogEntry], name: &str) -> Option<Curves> {
    let (x, points) = over(metrics, |e| e.loss);
    let panel = Panel {
        x,
        y: "objective (data loss + regulariser)",
        unit: Unit::Number,
        series: vec![Series { name: "objective as logged", color: BLUE, points }],
        decades: false,
    };
    let lost = metrics.iter().filter(|e| e.loss.is_some_and(|l| !l.is_finite())).count();
    let below = if lost == 0 { name.to_owned() } else { format!("{name} · {lost} more were not finite") };
    Curves::of("Training loss", &below, vec![panel])
}

/// Accuracies over the steps; `None` where none was measured.
#[must_use]
pub fn accuracy(metrics: &[LogEntry], name: &str) -> Option<Curves> {
    let (x, train) = over(metrics, |e| e.train_accuracy);
    let (_, validation) = over(metrics, |e| e.validation_accuracy);
    let series = vec![
        Series { name: "train (sample)", color: BLUE, points: train },
        Series { name: "validation", color: ORANGE, points: validation },
    ];
    let panel = Panel { x, y: SHARE, unit: Unit::Percent, series, decades: false };
    Curves::of("Accuracy", name, vec![panel])
}

const SHARE: &str = "share of rows predicted right";

/// Accuracies and the mean data loss of the models of a path, over C on a logarithmic axis; `None` for a path without points.
#[must_use]
pub fn path(points: &[PathPoint], name: &str) -> Option<Curves> {
    let of = |value: fn(&PathPoint) -> Option<f64>| -> Points {
        let finite = |p: &PathPoint| value(p).filter(|v| v.is_finite()).map(|v| (p.c.log10(), v));
        points.iter().filter_map(finite).collect()
    };
    let accuracies = vec![
        Series { name: "train", color: BLUE, points: of(|p| p.train_accuracy) },
        Series { name: "validation", color: ORANGE, points: of(|p| p.validation_accuracy) },
        Series { name: "test", color: GREEN, points: of(|p| p.test_accuracy) },
    ];
    let loss = vec![Series { name: "mean loss of the training rows", color: BLUE, points: of(|p| p.data_loss) }];
    let panels = vec![
        Panel { x: "C", y: SHARE, unit: Unit::Percent, series: accuracies, decades: true },
        Panel { x: "C", y: "data loss", unit: Unit::Number, series: loss, decades: true },
    ];
    Curves::of("A model for each C", name, panels)
}

/// Primal and dual objective of the exact solver as it measured them, and the relative gap between them; `None` where it did not.
#[must_use]
pub fn bounds(rows: &[BoundsRow], name: &str) -> Option<Curves> {
    let of = |value: fn(&BoundsRow) -> f64| -> Points {
        rows.iter().map(|r| (r.epoch, value(r))).filter(|p| p.1.is_finite()).collect()
    };
    let sides = vec![
        Series { name: "primal", color: BLUE, points: of(|r| r.primal) },
        Series { name: "dual", color: ORANGE, points: of(BoundsRow::about_dual) },
    ];
    let gap: Points = of(|r| r.relative_gap).into_iter().filter(|p| p.1 > 0.0).collect();
    let gap = vec![Series { name: "(primal − dual) / primal", color: BLUE, points: gap }];
    let panels = vec![
        Panel { x: EPOCH, y: "objective", unit: Unit::Number, series: sides, decades: false },
        Panel { x: EPOCH, y: "relative duality gap", unit: Unit::Number, series: gap, decades: false },
    ];
    Curves::of("Bounds on the optimum, as measured", name, panels)
}

const EPOCH: &str = "epoch";

/// The finite values over the steps, and what to call the axis. The exact solver's steps are passes over the rows.
#[allow(clippy::cast_precision_loss)]
fn over(metrics: &[LogEntry], value: impl Fn(&LogEntry) -> Option<f64>) -> (&'static str, Points) {
    let finite = |e: &LogEntry| value(e).filter(|v| v.is_finite()).map(|v| (e.step as f64, v));
    let passes = metrics.iter().all(|e| e.step as f64 == e.epoch) && metrics.iter().any(|e| e.step > 0);
    (if passes { EPOCH } else { "step" }, metrics.iter().filter_map(finite).collect())
}

/// Minimum and maximum.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}

impl Panel {
    fn all(&self) -> impl Iterator<Item = (f64, f64)> {
        self.series.iter().flat_map(|s| s.points.iter().copied())
    }
}

impl Curves {
    fn of(title: &'static str, name: &str, mut panels: Vec<Panel>) -> Option<Self> {
        for panel in &mut panels {
            // NaN is in no range.
            let drawn = |v: f64| (-LARGEST..=LARGEST).contains(&v);
            let meant = |v: f64| panel.unit == Unit::Number || (0.0..=1.0).contains(&v);
            panel.series.iter_mut().for_each(|s| s.points.retain(|p| drawn(p.0) && drawn(p.1) && meant(p.1)));
        }
        panels.iter_mut().for_each(|panel| panel.series.retain(|s| !s.points.is_empty()));
        panels.retain(|panel| !panel.series.is_empty());
        (!panels.is_empty()).then(|| Self { title, below: name.to_owned(), panels })
    }
}

impl Figure for Curves {
    fn size(&self) -> (u32, u32) {
        if self.panels.len() > 1 { (1000, 460) } else { SIZE }
    }

    #[allow(clippy::cast_precision_loss)]
    fn draw<B: DrawingBackend>(&self, pen: &Pen<'_, B>) -> Result<(), String> {
        pen.heading(24.0, self.title, std::slice::from_ref(&self.below))?;
        let (width, height) = self.size();
        let each = f64::from(width) / self.panels.len() as f64;
        for (i, panel) in self.panels.iter().enumerate() {
            let left = each * i as f64;
            legend(pen, panel, left + each - 24.0)?;
            let area = pen
                .area
                .clone()
                .shrink(pen.point((left, 64.0)), (pen.width(each), pen.width(f64::from(height) - 64.0)));
            let (low, high) = range(panel.all().map(|p| p.1));
            if panel.unit == Unit::Percent {
                let pad = ((high - low) * 0.1).max(0.01);
                axes(pen, &area, panel, (low - pad).max(0.0)..(high + pad).min(1.0), percent)?;
            } else if low > 1.0 / LARGEST && high / low > DECADES {
                axes(pen, &area, panel, (low / 1.5..high * 1.5).log_scale(), power_of_ten)?;
            } else {
                // A curve of one value gets an axis of a tenth of it on either side.
                let flat = if high > low { 1e-3 } else { 0.1 };
                let pad = ((high - low) * 0.05).max(high.abs() * flat).max(f64::MIN_POSITIVE);
                let bottom = if low >= 0.0 { (low - pad).max(0.0) } else { low - pad };
                axes(pen, &area, panel, bottom..high + pad, |v| plain(v, high - low + pad))?;
            }
        }
        Ok(())
    }
}

/// Names and colours of the curves, right-aligned above their panel; never over the data.
fn legend<B: DrawingBackend>(pen: &Pen<'_, B>, panel: &Panel, right: f64) -> Result<(), String> {
    const SIZE: f64 = 13.0;
    let mut x = right;
    for series in panel.series.iter().rev() {
        pen.text(series.name, Text::new(x, 50.0, SIZE).right())?;
        x -= text_width(series.name, SIZE) + 8.0;
        pen.line((x - 18.0, 50.0), (x, 50.0), series.color, 2.5)?;
        x -= 40.0;
    }
    Ok(())
}

fn axes<B: DrawingBackend, Y>(
    pen: &Pen<'_, B>,
    area: &DrawingArea<B, plotters::coord::Shift>,
    panel: &Panel,
    y: Y,
    label: impl Fn(f64) -> String,
) -> Result<(), String>
where
    Y: plotters::coord::ranged1d::AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let (first, last) = range(panel.all().map(|p| p.0));
    let first = if !panel.decades && (first <= last * 0.2 || first == last) { 0.0 } else { first };
    // Of places that can hardly be told apart the ticks could not be told apart at all.
    let first = if last - first > 1e-9 * last.abs() || panel.decades { first } else { 0.0 };
    let last = if last - first > 1e-9 * last.abs() { last } else { first + 1.0 };
    let mut chart = ChartBuilder::on(area)
        .margin_top(pen.unit(6.0))
        .margin_right(pen.unit(24.0))
        .margin_bottom(pen.unit(12.0))
        .margin_left(pen.unit(14.0))
        .x_label_area_size(pen.unit(44.0))
        .y_label_area_size(pen.unit(70.0))
        .build_cartesian_2d(first..last, y)
        .map_err(failed)?;
    let whole = last - first >= 5.0;
    chart
        .configure_mesh()
        .x_desc(panel.x)
        .y_desc(panel.y)
        .axis_desc_style(pen.font(13.0, QUIET))
        .label_style(pen.font(12.0, INK))
        .set_all_tick_mark_size(pen.unit(4.0))
        .axis_style(RGBColor(0x9a, 0xa0, 0xa6))
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .x_labels(if area.dim_in_pixel().0 < pen.width(600.0) { 6 } else { 9 })
        .y_labels(8)
        .x_label_formatter(&|x| match (panel.decades, whole) {
            (true, _) => decade(*x, last - first),
            (false, true) => format!("{x:.0}"),
            (false, false) => plain(*x, last - first),
        })
        .y_label_formatter(&|y| label(*y))
        .draw()
        .map_err(failed)?;
    for series in &panel.series {
        let style = series.color.stroke_width(pen.width(1.75));
        chart.draw_series(LineSeries::new(series.points.iter().copied(), style)).map_err(failed)?;
        // A curve of few points shows where they are; one of a single point would not be seen at all.
        if series.points.len() <= 30 {
            let radius = pen.unit(if series.points.len() == 1 { 4.0 } else { 2.5 });
            let dots = series.points.iter().map(|&p| Circle::new(p, radius, series.color.filled()));
            chart.draw_series(dots).map_err(failed)?;
        }
    }
    Ok(())
}

fn percent(value: f64) -> String {
    let value = (value * 1e4).round() / 100.0;
    format!("{value} %")
}

/// A number with as many decimals as its axis needs.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn plain(value: f64, span: f64) -> String {
    let size = value.abs().max(span);
    if size >= 1e6 || (size > 0.0 && size < 1e-4) {
        return if value == 0.0 { "0".into() } else { format!("{value:.2e}") };
    }
    let decimals = if span > 0.0 { (1.5 - span.log10()).ceil().clamp(0.0, 7.0) as usize } else { 4 };
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".into() } else { text.to_owned() }
}

/// A value of a logarithmic axis.
fn power_of_ten(value: f64) -> String {
    if (1e-3..1e5).contains(&value) { format!("{}", (value * 1e6).round() / 1e6) } else { format!("{value:.0e}") }
}

/// A place on an axis of logarithms: over two decades and more only the powers of ten themselves.
fn decade(log: f64, span: f64) -> String {
    if span >= 2.0 && (log - log.round()).abs() > 1e-9 {
        return String::new();
    }
    let value = 10f64.powf(log);
    if (1e-3..1e5).contains(&value) { format!("{}", (value * 1e5).round() / 1e5) } else { format!("{value:.0e}") }
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
            assert!(svg(&accuracy(&metrics, "x").unwrap()).unwrap().contains("validation"));
        }
        assert!(loss(&[], "").is_none() && accuracy(&[], "").is_none());
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
        assert!(document.contains("primal") && document.contains("relative duality gap"));
        // A gap of zero has no place on a logarithmic axis.
        let document = svg(&bounds(&[row(1.0, 1.0)], "x").unwrap()).unwrap();
        assert!(!document.contains("relative duality gap"));
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
        let document = svg(&path(&[point(1e-4, 0.8), point(1e-2, 0.9), point(1.0, 0.95)], "x").unwrap()).unwrap();
        for label in ["A model for each C", "train", "data loss", "0.01", "1e-4"] {
            assert!(document.contains(label), "{label}");
        }
        assert!(!document.contains("validation"));
        assert!(svg(&path(&[point(0.5, 0.5)], "x").unwrap()).is_ok() && path(&[], "x").is_none());
        let labels = [(-4.0, 3.0, "1e-4"), (-2.5, 3.0, ""), (0.5, 1.0, "3.16228"), (-3.0, 3.0, "0.001")];
        labels.iter().for_each(|&(log, span, text)| assert_eq!(decade(log, span), text));
    }

    /// Ranges for which naive ticks of an axis would never end.
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
            assert!(path(&points, "x").is_none_or(|figure| svg(&figure).is_ok()), "{c:?}");
        }
    }

    #[test]
    fn numbers_of_axes_are_short() {
        for (value, span, text) in
            [(0.25, 1.0, "0.25"), (803.0, 700.0, "803"), (5.3, 0.5, "5.3"), (2e7, 1e7, "2.00e7"), (0.0, 1e-9, "0")]
        {
            assert_eq!(plain(value, span), text);
        }
        assert_eq!((percent(0.3658), percent(1.0)), ("36.58 %".into(), "100 %".into()));
        assert_eq!((power_of_ten(0.001), power_of_ten(1e-7)), ("0.001".into(), "1e-7".into()));
    }
}
