//! A chart: two axes with round ticks, and what lies between them. Every picture with axes is one, in figures and on pages.

use super::canvas::{Pen, TextMark, Tip, failed, fitted};
use super::marks::{ColorBar, Dot, Line, MOST_POINTS, Spread, cross, disc, thinned};
use super::palette::{AXIS, GRID, QUIET};
use super::pixels::text_width;
use super::scale::{Axis, Tick, Unit, drawable};
use plotters::prelude::*;

/// Em of all text but headings.
pub(super) const EM: f64 = 12.0;
/// Room left of, right of and below the rectangle of the axes.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 16.0;
const BOTTOM: f64 = 42.0;
/// Height of the name of the upward axis, and of each row of the legend.
pub(super) const ROW: f64 = 19.0;
/// Points that tell their values: of all lines of a chart together, and of each of them at least and at most.
const ALL_TIPS: usize = 100;
const LEAST_TIPS: usize = 8;
const MOST_TIPS: usize = 60;
/// Points of all lines of a chart together, and of each of them at least.
const ALL_POINTS: usize = 12_000;
const LEAST_POINTS: usize = 8;

/// Two axes and what is between them.
#[derive(Debug)]
pub(crate) struct Chart {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    /// Later ones on top.
    pub(crate) lines: Vec<Line>,
    pub(crate) dots: Vec<Dot>,
    pub(crate) bar: Option<ColorBar>,
}

/// A rectangle, in points.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Area {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

impl Area {
    fn x(&self, share: f64) -> f64 {
        self.left + self.width * share
    }

    fn y(&self, share: f64) -> f64 {
        self.top + self.height * (1.0 - share)
    }
}

/// The ends of a range of values as a pair of points that an axis can be made of.
fn ends_of(lines: &[Line]) -> (Vec<f64>, Vec<f64>) {
    let points =
        || lines.iter().flat_map(|line| line.points.iter().enumerate().map(move |(i, p)| (*p, line.spread.at(i))));
    let x = points().map(|(p, _)| p.0).collect();
    let y = points().flat_map(|(p, half)| [p.1 - half, p.1 + half]).collect();
    (x, y)
}

impl Chart {
    /// The chart of some lines, those without a drawable point left out; `None` where none is left.
    pub(crate) fn of_lines(
        title: impl Into<String>,
        x: (&str, Unit),
        y: (&str, Unit),
        mut lines: Vec<Line>,
    ) -> Option<Self> {
        lines.retain(Line::is_seen);
        let (xs, ys) = ends_of(&lines);
        let x_axis = Axis::even(x.0, x.1, xs.into_iter())?.down_to_zero();
        let y_axis = Axis::new(y.0, y.1, ys.into_iter())?.padded(0.06);
        Some(Self { title: title.into(), x: x_axis, y: y_axis, lines, dots: Vec::new(), bar: None })
    }

    /// The widths of the entries of the legend.
    fn entries(&self) -> Vec<(String, RGBColor, f64)> {
        // A line that is what the axis says needs no entry.
        let named = self.lines.iter().filter(|line| !line.name.is_empty() && line.name != self.y.name());
        named
            .map(|line| {
                let name = fitted(&line.name, EM, 170.0);
                let width = text_width(&name, EM) + 42.0;
                (name, line.color, width)
            })
            .collect()
    }

    /// Rows of the legend below the name of the upward axis; 0 where it fits beside it.
    pub(super) fn legend_rows(&self, width: f64) -> usize {
        let entries = self.entries();
        let bar = self.bar.as_ref().map_or(0.0, ColorBar::width);
        let all: f64 = entries.iter().map(|entry| entry.2).sum::<f64>() + bar;
        if text_width(&self.y.title(), EM) + all + 20.0 <= width {
            return 0;
        }
        let mut rows = 1;
        let mut x = 0.0;
        for (_, _, wide) in &entries {
            if x + wide > width && x > 0.0 {
                (rows, x) = (rows + 1, 0.0);
            }
            x += wide;
        }
        rows
    }

    /// The rectangle between the axes.
    #[allow(clippy::cast_precision_loss)]
    fn inner(&self, area: Area) -> Area {
        let head = ROW * (1 + self.legend_rows(area.width)) as f64;
        Area {
            left: area.left + LEFT,
            top: area.top + head + 4.0,
            width: area.width - LEFT - RIGHT,
            height: area.height - head - 4.0 - BOTTOM,
        }
    }

    pub(super) fn draw<B: DrawingBackend>(&self, pen: &Pen<'_, B>, area: Area) -> Result<(), String> {
        let inner = self.inner(area);
        self.draw_head(pen, area)?;
        self.draw_axes(pen, inner)?;
        let most = (ALL_POINTS / self.lines.len().max(1)).clamp(LEAST_POINTS, MOST_POINTS);
        for line in &self.lines {
            self.draw_spread(pen, inner, line)?;
        }
        for line in &self.lines {
            self.draw_line(pen, inner, line, most)?;
        }
        for dot in &self.dots {
            let at = self.place(inner, dot.at);
            match dot.color {
                None => cross(pen, at)?,
                Some(fill) => {
                    // Seen on white and on black, whatever its colour.
                    disc(pen, at, 7.5, QUIET, dot.best)?;
                    disc(pen, at, 6.75, fill, false)?;
                }
            }
        }
        Ok(())
    }

    fn place(&self, inner: Area, (x, y): (f64, f64)) -> (f64, f64) {
        (inner.x(self.x.at(x)), inner.y(self.y.at(y)))
    }

    /// The name of the upward axis, the legend, the scale of colours.
    fn draw_head<B: DrawingBackend>(&self, pen: &Pen<'_, B>, area: Area) -> Result<(), String> {
        let middle = area.top + ROW / 2.0;
        pen.text(&self.y.title(), TextMark::new(area.left + 4.0, middle, EM).color(QUIET))?;
        let entries = self.entries();
        let beside = self.legend_rows(area.width) == 0;
        let right = area.left + area.width - RIGHT;
        let bar = self.bar.as_ref().map_or(0.0, ColorBar::width);
        let all: f64 = entries.iter().map(|entry| entry.2).sum();
        let first = area.left + 4.0;
        let (mut x, mut y) = if beside { (right - all - bar, middle) } else { (first, middle + ROW) };
        for (name, color, wide) in entries {
            if !beside && x + wide > area.left + area.width && x > first {
                (x, y) = (first, y + ROW);
            }
            pen.line((x + 2.0, y), (x + 20.0, y), color, 2.5)?;
            pen.text(&name, TextMark::new(x + 26.0, y, EM))?;
            x += wide;
        }
        self.bar.as_ref().map_or(Ok(()), |bar| bar.draw(pen, (x, y)))
    }

    fn draw_axes<B: DrawingBackend>(&self, pen: &Pen<'_, B>, inner: Area) -> Result<(), String> {
        let (bottom, right) = (inner.top + inner.height, inner.left + inner.width);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let (across, upwards) = ((inner.width / 60.0) as usize, (inner.height / 36.0) as usize);
        let mut last = f64::NEG_INFINITY;
        for Tick { share, label } in self.x.ticks(across) {
            let at = inner.x(share);
            let Some(label) = label else {
                pen.line((at, bottom), (at, bottom + 3.0), AXIS, 0.75)?;
                continue;
            };
            pen.line((at, inner.top), (at, bottom), GRID, 1.0)?;
            pen.line((at, bottom), (at, bottom + 5.0), AXIS, 1.0)?;
            let half = text_width(&label, EM) / 2.0;
            if at - half > last + 6.0 {
                pen.text(&label, TextMark::new(at, bottom + 14.0, EM).centred())?;
                last = at + half;
            }
        }
        let mut last = f64::INFINITY;
        for Tick { share, label } in self.y.ticks(upwards) {
            let at = inner.y(share);
            let Some(label) = label else {
                pen.line((inner.left - 3.0, at), (inner.left, at), AXIS, 0.75)?;
                continue;
            };
            pen.line((inner.left, at), (right, at), GRID, 1.0)?;
            pen.line((inner.left - 5.0, at), (inner.left, at), AXIS, 1.0)?;
            if at < last - EM - 2.0 {
                pen.text(&label, TextMark::new(inner.left - 8.0, at, EM).right())?;
                last = at;
            }
        }
        pen.line((inner.left, inner.top), (inner.left, bottom), AXIS, 1.0)?;
        pen.line((inner.left, bottom), (right, bottom), AXIS, 1.0)?;
        pen.text(&self.x.title(), TextMark::new(inner.x(0.5), bottom + 32.0, EM).color(QUIET).centred())
    }

    fn draw_spread<B: DrawingBackend>(&self, pen: &Pen<'_, B>, inner: Area, line: &Line) -> Result<(), String> {
        let end = |i: usize, side: f64| {
            let (x, y) = line.points[i];
            self.place(inner, (x, y + side * line.spread.at(i)))
        };
        let n = line.points.len();
        match &line.spread {
            Spread::Band(_) if n > 1 => {
                let outline = (0..n).map(|i| end(i, 1.0)).chain((0..n).rev().map(|i| end(i, -1.0)));
                let outline: Vec<(i32, i32)> = outline.map(|p| pen.point(p)).collect();
                pen.area.draw(&Polygon::new(outline, line.color.mix(0.18).filled())).map_err(failed)
            }
            Spread::Band(_) | Spread::Bars(_) => (0..n).try_for_each(|i| {
                let (high, low) = (end(i, 1.0), end(i, -1.0));
                pen.line(high, low, line.color, 1.25)?;
                [high, low].iter().try_for_each(|&(x, y)| pen.line((x - 4.0, y), (x + 4.0, y), line.color, 1.25))
            }),
            Spread::None => Ok(()),
        }
    }

    fn draw_line<B: DrawingBackend>(
        &self,
        pen: &Pen<'_, B>,
        inner: Area,
        line: &Line,
        most: usize,
    ) -> Result<(), String> {
        let places: Vec<(f64, f64)> = thinned(&line.points, most).into_iter().map(|p| self.place(inner, p)).collect();
        let path: Vec<(i32, i32)> = places.iter().map(|&p| pen.point(p)).collect();
        pen.area.draw(&PathElement::new(path, line.color.stroke_width(pen.width(line.width)))).map_err(failed)?;
        // A curve of few points shows where they are; one of a single point would not be seen at all.
        if places.len() <= 30 && !line.plain && line.tip.is_none() && !line.name.is_empty() {
            places.iter().try_for_each(|&at| disc(pen, at, 3.0, line.color, false))?;
        }
        match places.last() {
            Some(&end) if line.lost => cross(pen, end),
            _ => Ok(()),
        }
    }

    /// Tips of points and lines.
    pub(crate) fn tips(&self, area: Area) -> Vec<Tip> {
        let inner = self.inner(area);
        let most = (ALL_POINTS / self.lines.len().max(1)).clamp(LEAST_POINTS, MOST_POINTS);
        let each = (ALL_TIPS / self.lines.len().max(1)).clamp(LEAST_TIPS, MOST_TIPS);
        let mut tips = Vec::new();
        for line in &self.lines {
            if let Some(text) = &line.tip {
                let path = thinned(&line.points, most).into_iter().map(|p| self.place(inner, p)).collect();
                tips.push(Tip::line(path, text.clone()));
            } else if !line.name.is_empty() {
                let every = line.points.len().div_ceil(each).max(1);
                let said =
                    line.points.iter().enumerate().step_by(every).filter(|(_, p)| drawable(p.0) && drawable(p.1));
                tips.extend(said.map(|(i, &p)| Tip::point(self.place(inner, p), 6.0, self.values(line, i))));
            }
        }
        tips.extend(self.dots.iter().map(|dot| Tip::point(self.place(inner, dot.at), 9.0, dot.tip.clone())));
        tips
    }

    /// The values of a point in words.
    fn values(&self, line: &Line, i: usize) -> String {
        let (x, y) = line.points[i];
        let half = match line.spread.at(i) {
            0.0 => String::new(),
            half => format!(" ± {}", self.y.unit().write(half, 2)),
        };
        format!("{}: {}{half}\n{} {}", line.name, self.y.unit().write(y, 4), self.x.name(), self.x.unit().write(x, 4))
    }
}

#[cfg(test)]
mod tests {
    use super::super::canvas::{Figure as _, inline, png, svg};
    use super::super::palette::INK;
    use super::super::panels::{Panels, SingleChart};
    use super::*;

    fn chart(lines: Vec<Line>) -> Option<Chart> {
        Chart::of_lines("a chart", ("step", Unit::Number), ("loss", Unit::Number), lines)
    }

    #[test]
    fn a_chart_needs_a_point_and_survives_every_value() {
        assert!(chart(vec![]).is_none());
        assert!(chart(vec![Line::new("a", INK, vec![(0.0, f64::NAN)])]).is_none());
        for points in [
            vec![(0.0, 1.0)],
            vec![(0.0, 0.0), (9.0, 0.0)],
            vec![(0.0, 800.0), (9.0, 5.0), (10.0, f64::INFINITY)],
            vec![(0.0, -1.0), (9.0, 1e300)],
            vec![(0.0, 1e-300), (1e19, 1e-310)],
        ] {
            let one = chart(vec![Line::new("a & b", INK, points.clone())]).unwrap();
            let document = inline(&SingleChart(&one), "<loss>").unwrap();
            assert!(
                document.contains("<polyline") && document.contains("&lt;loss&gt;") && document.contains("a &amp; b")
            );
            assert!(!document.contains("NaN") && !document.contains("inf"), "{points:?}\n{document}");
            let file = Panels::of("t", "b", vec![Some(one)]).unwrap();
            assert!(svg(&file).is_ok() && png(&file).unwrap().starts_with(b"\x89PNG"));
        }
    }

    #[test]
    fn bands_and_bars_are_as_wide_as_the_error() {
        let with = |spread: Spread| Line { spread, ..Line::new("validation", INK, vec![(0.0, 0.5), (1.0, 0.7)]) };
        let one = chart(vec![with(Spread::Band(vec![0.1, 0.1]))]).unwrap();
        assert!((one.y.at(0.8) - one.y.at(0.7)).abs() > 0.1, "the axis has room for the band");
        assert_eq!(svg(&Panels::of("", "", vec![Some(one)]).unwrap()).unwrap().matches("<polygon").count(), 1);
        let bars = chart(vec![with(Spread::Bars(vec![0.1, 0.2]))]).unwrap();
        let tips = bars.tips(Area { left: 0.0, top: 0.0, width: 400.0, height: 300.0 });
        assert_eq!(tips[1].text, "validation: 0.7 ± 0.2\nstep 1");
    }

    #[test]
    fn a_legend_that_does_not_fit_beside_the_axis_gets_rows() {
        let lines = |n: usize| {
            (0..n).map(|i| Line::new(format!("class {i} of many"), INK, vec![(0.0, 1.0), (1.0, 2.0)])).collect()
        };
        assert_eq!(chart(lines(2)).unwrap().legend_rows(500.0), 0);
        let ten = chart(lines(10)).unwrap();
        assert!((3..=5).contains(&ten.legend_rows(430.0)), "{}", ten.legend_rows(430.0));
        assert_eq!(SingleChart(&ten).size().1, 290 + 19 * ten.legend_rows(430.0) as u32);
    }
}
