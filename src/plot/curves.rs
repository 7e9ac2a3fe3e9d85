//! Loss and accuracy over the steps of a run.

use crate::solver::LogEntry;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::prelude::*;

const SIZE: (u32, u32) = (800, 500);
const LOSS: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);
const TRAIN: RGBColor = RGBColor(0x1f, 0x5f, 0xa8);
const VALIDATION: RGBColor = RGBColor(0xd9, 0x5f, 0x0e);

type Points = Vec<(f64, f64)>;

#[allow(clippy::cast_precision_loss)]
fn points(metrics: &[LogEntry], value: impl Fn(&LogEntry) -> Option<f64>) -> Points {
    let finite = |e: &LogEntry| value(e).filter(|v| v.is_finite()).map(|v| (e.step as f64, v));
    metrics.iter().filter_map(finite).collect()
}

/// Minimum and maximum of one coordinate.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}

/// The objective over the steps as the solver logged it (of minibatches for SGD, of all rows for the exact solver), on a logarithmic axis where it spans more than a factor of 30; `None` where no loss
/// was logged.
#[must_use]
pub fn loss(metrics: &[LogEntry]) -> Option<Result<String, String>> {
    let points = points(metrics, |e| e.loss);
    if points.is_empty() {
        return None;
    }
    let (low, high) = range(points.iter().map(|p| p.1));
    let series = [Series { name: "objective as logged", color: LOSS, points: &points }];
    let frame = Frame { title: "Training loss", y: "objective (data loss + regulariser)" };
    Some(if low > 0.0 && high / low > 30.0 {
        render(&frame, &series, (low / 1.5..high * 1.5).log_scale())
    } else {
        let pad = ((high - low) * 0.05).max(high.abs() * 1e-3).max(1e-9);
        render(&frame, &series, (low - pad).max(0.0f64.min(low))..high + pad)
    })
}

/// Accuracies over the steps; `None` where none was measured.
#[must_use]
pub fn accuracy(metrics: &[LogEntry]) -> Option<Result<String, String>> {
    let train = points(metrics, |e| e.train_accuracy);
    let validation = points(metrics, |e| e.validation_accuracy);
    let all = || train.iter().chain(&validation).map(|p| p.1);
    if train.is_empty() && validation.is_empty() {
        return None;
    }
    let (low, high) = range(all());
    let pad = ((high - low) * 0.1).max(0.01);
    let series = [
        Series { name: "train (sample)", color: TRAIN, points: &train },
        Series { name: "validation", color: VALIDATION, points: &validation },
    ];
    let frame = Frame { title: "Accuracy", y: "share of rows predicted right" };
    Some(render(&frame, &series, (low - pad).max(0.0)..(high + pad).min(1.0)))
}

struct Series<'a> {
    name: &'a str,
    color: RGBColor,
    points: &'a Points,
}

struct Frame<'a> {
    title: &'a str,
    y: &'a str,
}

fn render<Y>(frame: &Frame<'_>, series: &[Series<'_>], y: Y) -> Result<String, String>
where
    Y: plotters::coord::ranged1d::AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64> + YLabels,
{
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let text = |e: DrawingAreaErrorKind<_>| format!("{e:?}");
        root.fill(&WHITE).map_err(text)?;
        let last = series.iter().flat_map(|s| s.points.iter().map(|p| p.0)).fold(1.0, f64::max);
        let mut chart = ChartBuilder::on(&root)
            .caption(frame.title, ("sans-serif", 24))
            .margin(16)
            .x_label_area_size(48)
            .y_label_area_size(76)
            .build_cartesian_2d(0.0..last, y)
            .map_err(text)?;
        chart
            .configure_mesh()
            .x_desc("step")
            .y_desc(frame.y)
            .axis_desc_style(("sans-serif", 16))
            .label_style(("sans-serif", 14))
            .light_line_style(WHITE)
            .bold_line_style(RGBColor(0xe2, 0xe2, 0xe2))
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| <Y::CoordDescType as YLabels>::label(*y))
            .draw()
            .map_err(text)?;
        let shown = series.iter().filter(|s| !s.points.is_empty());
        for line in shown {
            let color = line.color;
            chart
                .draw_series(LineSeries::new(line.points.iter().copied(), color.stroke_width(2)))
                .map_err(text)?
                .label(line.name)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], color.stroke_width(2)));
            if line.points.len() == 1 {
                let dots = line.points.iter().map(|&p| Circle::new(p, 4, color.filled()));
                chart.draw_series(dots).map_err(text)?;
            }
        }
        chart
            .configure_series_labels()
            .background_style(WHITE.mix(0.85))
            .border_style(RGBColor(0xbb, 0xbb, 0xbb))
            .label_font(("sans-serif", 15))
            .draw()
            .map_err(text)?;
        root.present().map_err(text)?;
    }
    Ok(svg)
}

/// How the values of an axis are written.
pub trait YLabels {
    /// A value as text.
    fn label(value: f64) -> String;
}

impl YLabels for plotters::coord::types::RangedCoordf64 {
    fn label(value: f64) -> String {
        if value.abs() >= 1000.0 { format!("{value:.0}") } else { format!("{}", (value * 1000.0).round() / 1000.0) }
    }
}

impl YLabels for plotters::coord::combinators::LogCoord<f64> {
    fn label(value: f64) -> String {
        if (1e-3..1e5).contains(&value) { format!("{value}") } else { format!("{value:e}") }
    }
}

#[cfg(test)]
mod tests {
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
        for losses in [vec![780.0, 100.0, 5.0], vec![1.0, 0.9], vec![0.0], vec![f64::NAN, 1.0], vec![5.0, 5.0, 5.0]] {
            let metrics: Vec<LogEntry> = losses.iter().enumerate().map(|(i, &l)| entry(i as u64 * 100, l)).collect();
            let svg = loss(&metrics).unwrap().unwrap();
            assert!(svg.starts_with("<svg") && svg.contains("Training loss"), "{losses:?}");
            assert!(accuracy(&metrics).unwrap().unwrap().contains("validation"));
        }
        assert!(loss(&[]).is_none() && accuracy(&[]).is_none());
    }
}
