//! A rectangle with axes, for the figures that are drawn without a chart of plotters.

use super::canvas::{GRID, Pen, QUIET, Text};
use super::pixels::text_width;
use super::scale::Axis;
use plotters::prelude::DrawingBackend;

/// The lowest and highest of some numbers, or 0 and 1.
pub(super) fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low < high {
        (low, high)
    } else if low == high {
        (low - 0.5, high + 0.5)
    } else {
        (0.0, 1.0)
    }
}

/// A rectangle in points with axes.
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Frame {
    pub(super) fn x(&self, share: f64) -> f64 {
        self.left + self.width * share
    }

    pub(super) fn y(&self, share: f64) -> f64 {
        self.top + self.height * (1.0 - share)
    }

    /// Lines, ticks and names; `pad` is the empty share at either end of both axes.
    pub(super) fn axes<B: DrawingBackend>(
        &self,
        pen: &Pen<'_, B>,
        (x, x_name): (&[(f64, String)], &str),
        (y, y_name): (&[(f64, String)], &str),
        grid: bool,
    ) -> Result<(), String> {
        let mut last = f64::NEG_INFINITY;
        for (share, label) in x {
            let at = self.x(*share);
            if grid {
                pen.line((at, self.top), (at, self.top + self.height), GRID, 1.0)?;
            }
            let half = text_width(label, 11.0) / 2.0;
            if at - half > last + 4.0 {
                pen.text(label, Text::new(at, self.top + self.height + 14.0, 11.0).centred())?;
                last = at + half;
            }
        }
        let mut last = f64::INFINITY;
        for (share, label) in y {
            let at = self.y(*share);
            if grid {
                pen.line((self.left, at), (self.left + self.width, at), GRID, 1.0)?;
            }
            if at < last - 13.0 {
                pen.text(label, Text::new(self.left - 7.0, at, 11.0).right())?;
                last = at;
            }
        }
        pen.text(x_name, Text::new(self.x(0.5), self.top + self.height + 34.0, 12.0).color(QUIET).centred())?;
        pen.text(y_name, Text::new(self.left, self.top - 14.0, 12.0).color(QUIET).right())
    }
}

/// Pulls shares away from the ends of an axis.
pub(super) fn inset(share: f64) -> f64 {
    0.05 + 0.9 * share
}

pub(super) fn inset_ticks(axis: &Axis) -> Vec<(f64, String)> {
    axis.ticks().into_iter().map(|(share, label)| (inset(share), label)).collect()
}
