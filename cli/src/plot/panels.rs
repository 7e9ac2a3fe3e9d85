//! Charts as figures: side by side in a file, alone on a page.

use super::canvas::{Figure, Pen, Tip};
use super::chart::{Area, Chart, ROW};
use plotters::prelude::DrawingBackend;

/// Charts side by side below a heading: a figure of a file.
#[derive(Debug)]
pub struct Panels {
    pub(crate) title: String,
    pub(crate) below: String,
    pub(crate) charts: Vec<Chart>,
}

/// Top of the charts of a file, below its heading.
const TOP: f64 = 68.0;

impl Panels {
    /// `None` without a chart.
    pub(crate) fn of(title: impl Into<String>, below: impl Into<String>, charts: Vec<Option<Chart>>) -> Option<Self> {
        let charts: Vec<Chart> = charts.into_iter().flatten().collect();
        (!charts.is_empty()).then(|| Self { title: title.into(), below: below.into(), charts })
    }
}

impl Figure for Panels {
    fn size(&self) -> (u32, u32) {
        if self.charts.len() > 1 { (1060, 470) } else { (800, 500) }
    }

    #[allow(clippy::cast_precision_loss)]
    fn draw<B: DrawingBackend>(&self, pen: &Pen<'_, B>) -> Result<(), String> {
        pen.heading(24.0, &self.title, std::slice::from_ref(&self.below))?;
        let (width, height) = self.size();
        let each = (f64::from(width) - 28.0) / self.charts.len() as f64;
        for (i, chart) in self.charts.iter().enumerate() {
            let area =
                Area { left: 20.0 + each * i as f64, top: TOP, width: each, height: f64::from(height) - TOP - 6.0 };
            chart.draw(pen, area)?;
        }
        Ok(())
    }
}

/// A chart by itself, as large as a column of a page and as legible on a phone.
#[derive(Debug)]
pub(crate) struct SingleChart<'a>(pub(crate) &'a Chart);

impl SingleChart<'_> {
    #[allow(clippy::cast_precision_loss)]
    fn area(&self) -> Area {
        let width = 430.0;
        Area { left: 0.0, top: 0.0, width, height: 290.0 + ROW * self.0.legend_rows(width) as f64 }
    }
}

impl Figure for SingleChart<'_> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn size(&self) -> (u32, u32) {
        let area = self.area();
        (area.width as u32, area.height as u32)
    }

    fn draw<B: DrawingBackend>(&self, pen: &Pen<'_, B>) -> Result<(), String> {
        self.0.draw(pen, self.area())
    }

    fn tips(&self) -> Vec<Tip> {
        self.0.tips(self.area())
    }
}
