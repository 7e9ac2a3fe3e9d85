//! Marks of a chart: curves with their uncertainty, points, a scale of colours.

use super::canvas::{Pen, TextMark, failed};
use super::chart::EM;
use super::palette::{INK, LOST, PAPER, QUIET};
use super::pixels::text_width;
use super::scale::{color, drawable};
use plotters::prelude::*;

/// Width of the scale of colours.
const BAR: f64 = 90.0;
/// Points of a line that are drawn; of more, the lowest and highest of each stretch.
pub(super) const MOST_POINTS: usize = 2_000;
/// The uncertainty of the values of a line, as half widths.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Spread {
    None,
    Band(Vec<f64>),
    Bars(Vec<f64>),
}

impl Spread {
    pub(super) fn at(&self, i: usize) -> f64 {
        match self {
            Self::None => 0.0,
            Self::Band(halves) | Self::Bars(halves) => halves.get(i).copied().unwrap_or(0.0),
        }
    }
}

/// A curve.
#[derive(Debug)]
pub(crate) struct Line {
    /// In the legend; empty for a line that is not named there.
    pub(crate) name: String,
    pub(crate) color: RGBColor,
    pub(crate) width: f64,
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) spread: Spread,
    /// Tip of the line as a whole, in the place of those of its points.
    pub(crate) tip: Option<String>,
    /// Ends with a cross.
    pub(crate) lost: bool,
    /// Its points are not marked, however few they are.
    pub(crate) plain: bool,
}

impl Line {
    pub(crate) fn new(name: impl Into<String>, color: RGBColor, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.into(),
            color,
            width: 1.75,
            points,
            spread: Spread::None,
            tip: None,
            lost: false,
            plain: false,
        }
    }

    pub(super) fn is_seen(&self) -> bool {
        self.points.iter().any(|p| drawable(p.0) && drawable(p.1))
    }
}

/// A point of a scatter plot.
#[derive(Debug)]
pub(crate) struct Dot {
    pub(crate) at: (f64, f64),
    /// `None` for what diverged, a cross.
    pub(crate) color: Option<RGBColor>,
    /// Ringed.
    pub(crate) best: bool,
    pub(crate) tip: String,
}

/// The values that the ends of the scale of colours stand for.
#[derive(Debug)]
pub(crate) struct ColorBar {
    pub(crate) name: String,
    pub(crate) low: String,
    pub(crate) high: String,
}

impl ColorBar {
    pub(super) fn width(&self) -> f64 {
        BAR + 34.0 + [&self.name, &self.low, &self.high].map(|text| text_width(text, EM)).iter().sum::<f64>()
    }

    #[allow(clippy::cast_precision_loss)]
    pub(super) fn draw<B: DrawingBackend>(&self, pen: &Pen<'_, B>, (x, y): (f64, f64)) -> Result<(), String> {
        const PIECES: usize = 45;
        pen.text(&self.name, TextMark::new(x + 4.0, y, EM).color(QUIET))?;
        let x = x + 4.0 + text_width(&self.name, EM) + 10.0;
        pen.text(&self.low, TextMark::new(x, y, EM))?;
        let x = x + text_width(&self.low, EM) + 6.0;
        for i in 0..PIECES {
            // Each to the end, below those that follow: between neighbours no gap is seen.
            let left = x + BAR * i as f64 / PIECES as f64;
            pen.fill((left, y - 5.0), (x + BAR, y + 5.0), color(i as f64 / (PIECES - 1) as f64))?;
        }
        pen.text(&self.high, TextMark::new(x + BAR + 6.0, y, EM))
    }
}

pub(super) fn disc<B: DrawingBackend>(
    pen: &Pen<'_, B>,
    at: (f64, f64),
    radius: f64,
    fill: RGBColor,
    ring: bool,
) -> Result<(), String> {
    let place = pen.point(at);
    if ring {
        pen.area.draw(&Circle::new(place, pen.unit(radius + 4.0), INK.filled())).map_err(failed)?;
        pen.area.draw(&Circle::new(place, pen.unit(radius + 2.0), PAPER.filled())).map_err(failed)?;
    }
    pen.area.draw(&Circle::new(place, pen.unit(radius), fill.filled())).map_err(failed)
}

pub(super) fn cross<B: DrawingBackend>(pen: &Pen<'_, B>, (x, y): (f64, f64)) -> Result<(), String> {
    pen.line((x - 5.0, y - 5.0), (x + 5.0, y + 5.0), LOST, 2.0)?;
    pen.line((x - 5.0, y + 5.0), (x + 5.0, y - 5.0), LOST, 2.0)
}

/// The points without those that have no place; of more than `most` the lowest and the highest of each stretch, which look the same.
pub(super) fn thinned(points: &[(f64, f64)], most: usize) -> Vec<(f64, f64)> {
    // Infinite values are drawn at the end of the axis.
    let drawn = |p: &&(f64, f64)| drawable(p.0) && !p.1.is_nan();
    let points: Vec<(f64, f64)> = points.iter().filter(drawn).copied().collect();
    let stretches = (most / 2).saturating_sub(1).max(1);
    if points.len() <= most || points.len() < 3 {
        return points;
    }
    let (first, rest) = (points[0], &points[1..points.len() - 1]);
    let mut kept = vec![first];
    for stretch in rest.chunks(rest.len().div_ceil(stretches)) {
        let by = |a: &(usize, &(f64, f64)), b: &(usize, &(f64, f64))| a.1.1.total_cmp(&b.1.1);
        let ends = [stretch.iter().enumerate().min_by(by), stretch.iter().enumerate().max_by(by)];
        let mut ends: Vec<usize> = ends.into_iter().flatten().map(|(i, _)| i).collect();
        ends.sort_unstable();
        ends.dedup();
        kept.extend(ends.into_iter().map(|i| stretch[i]));
    }
    kept.push(points[points.len() - 1]);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_points_are_drawn_up_to_what_can_be_seen() {
        let of = |n: usize| -> Vec<(f64, f64)> {
            (0..n).map(|i| (i as f64, if i == n / 3 { 99.0 } else { (i % 7) as f64 })).collect()
        };
        assert_eq!(thinned(&of(1_500), MOST_POINTS).len(), 1_500);
        let many = thinned(&of(1_000_000), MOST_POINTS);
        assert!(many.len() <= MOST_POINTS && many.is_sorted_by_key(|p| p.0));
        assert!(many.iter().any(|p| p.1 == 99.0), "the highest point of all is kept");
        assert_eq!((many[0].0, many[many.len() - 1].0), (0.0, 999_999.0));
    }
}
