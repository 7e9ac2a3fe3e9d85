//! The confusion matrix: rows of true classes, columns of predicted ones.
//!
//! A cell is coloured by its share of the row, so that a rare class is as visible as a frequent one; the root of the share is
//! what darkens, because errors are small. Counts and names are written where they fit. More than a hundred classes are drawn as
//! pixels, of which the faintest is still seen, and the pairs that are most often confused are named next to them.

use super::canvas::{Figure, ImagePlacement, Pen, SCALE, TextMark, clean, fitted};
use super::palette::{AXIS, INK, QUIET};
use super::pixels::{Pixels, text_width};
use crate::metric::Confusion;
use crate::shown::{grouped, percent};
use plotters::prelude::*;

/// Most classes whose names are written along the matrix.
const NAMED: usize = 100;
/// Length of a side of the matrix, in points, where names and counts need no more.
const SIDE: f64 = 500.0;
/// Smallest and largest em that is worth reading.
const SMALLEST: f64 = 6.0;
const LARGEST: f64 = 14.0;
/// Left edge of everything.
const MARGIN: f64 = 24.0;
/// Top of the matrix, in points.
const TOP: f64 = 84.0;
/// Pixels of a PNG to a cell where there are many.
const SMALLEST_DOT: f64 = 3.0;
const ABSENT: RGBColor = RGBColor(0xf4, 0xf4, 0xf4);

/// A confusion matrix with the names of its classes.
#[derive(Debug)]
pub struct ConfusionMatrix<'a> {
    confusion: &'a Confusion,
    names: &'a [String],
    title: String,
    below: Vec<String>,
    /// Rows of each class.
    support: Vec<u64>,
    pairs: Vec<(u64, usize, usize)>,
}

/// Positions and sizes, in points.
struct MatrixLayout {
    /// Side of a cell.
    cell: f64,
    side: f64,
    /// Width left of the matrix, height below it.
    left: f64,
    below: f64,
    /// Em of the names; `None` where there are too many.
    names: Option<f64>,
    /// Names of columns are upright.
    upright: bool,
    /// Em of the counts, where they fit.
    counts: Option<f64>,
    /// Classes to a pixel where there are more than a matrix of pixels holds.
    block: usize,
}

impl<'a> ConfusionMatrix<'a> {
    /// A figure of predictions on the `split` named.
    #[must_use]
    pub fn new(confusion: &'a Confusion, names: &'a [String], split: &str, run: &str) -> Self {
        let k = confusion.n_classes();
        let (support, _) = confusion.margins();
        let rows = grouped(confusion.total());
        let line = format!("{run} · {rows} rows, accuracy {}; {k} classes", percent(confusion.accuracy(), 4));
        let pairs = confusion.most_confused(14);
        let title = format!("Confusion on the {split} split");
        let mut figure = Self { confusion, names, title, below: vec![line], support, pairs };
        let block = figure.layout().block;
        if block > 1 {
            figure.below[0] += &format!("; each dot is the fullest of {block} × {block} cells");
        }
        figure
    }

    #[allow(clippy::cast_precision_loss)]
    fn layout(&self) -> MatrixLayout {
        let k = self.confusion.n_classes();
        if k > NAMED {
            // A dot of one pixel is lost on a projector.
            let dots = (SIDE * f64::from(SCALE) / SMALLEST_DOT) as usize;
            let block = k.div_ceil(dots);
            let drawn = k.div_ceil(block) as f64;
            let zoom = ((SIDE * f64::from(SCALE)) / drawn).floor().max(1.0);
            let cell = zoom / f64::from(SCALE);
            return MatrixLayout {
                cell,
                side: cell * drawn,
                left: 70.0,
                below: 50.0,
                names: None,
                upright: false,
                counts: None,
                block,
            };
        }
        let cell = (SIDE / k as f64).clamp(10.0, 120.0).floor();
        let em = (cell * 0.75).min(LARGEST - 1.0);
        let widest = self.names.iter().map(|n| text_width(&clean(n), em)).fold(0.0, f64::max);
        let upright = widest > cell - 6.0;
        let widest = widest.min(150.0);
        let digits = (0..k * k).map(|i| self.confusion.count(i / k, i % k)).max().unwrap_or(0);
        let count = ((cell - 3.0) / text_width(&grouped(digits), 1.0)).min(cell * 0.6).min(LARGEST);
        MatrixLayout {
            cell,
            side: cell * k as f64,
            left: MARGIN + 22.0 + widest + 8.0,
            below: 8.0 + if upright { widest } else { em + 4.0 } + 28.0,
            names: Some(em),
            upright,
            counts: (count >= SMALLEST).then_some(count),
            block: 1,
        }
    }

    /// Share of a cell of its row; `None` where the row has no rows.
    #[allow(clippy::cast_precision_loss)]
    fn share(&self, i: usize, j: usize) -> Option<f64> {
        (self.support[i] > 0).then(|| self.confusion.count(i, j) as f64 / self.support[i] as f64)
    }

    /// The largest share of each block of cells, row after row of blocks; `None` where none of its rows has rows. In time for
    /// the cells that are not zero.
    #[allow(clippy::cast_precision_loss)]
    fn fullest(&self, block: usize) -> Vec<Option<f64>> {
        let drawn = self.confusion.n_classes().div_ceil(block);
        let mut most = vec![None; drawn * drawn];
        for (i, _) in self.support.iter().enumerate().filter(|(_, support)| **support > 0) {
            most[i / block * drawn..(i / block + 1) * drawn].iter_mut().for_each(|cell| {
                cell.get_or_insert(0.0);
            });
        }
        for (i, j, count) in self.confusion.cells() {
            let share = count as f64 / self.support[i] as f64;
            let cell = &mut most[i / block * drawn + j / block];
            *cell = cell.map(|most: f64| most.max(share));
        }
        most
    }

    fn color(&self, share: Option<f64>) -> RGBColor {
        share.map_or(ABSENT, |share| self.tone(share))
    }

    /// The colour of a share of a row.
    fn tone(&self, share: f64) -> RGBColor {
        let faintest = if self.confusion.n_classes() > NAMED && share > 0.0 { 0.3 } else { 0.0 };
        shade(faintest + (1.0 - faintest) * share.sqrt())
    }

    fn cells<B: DrawingBackend>(&self, pen: &Pen<'_, B>, at: &MatrixLayout) -> Result<(), String> {
        let k = self.confusion.n_classes();
        for (i, j) in (0..k * k).map(|n| (n / k, n % k)) {
            let share = self.share(i, j);
            let (color, share) = (self.color(share), share.unwrap_or(0.0));
            #[allow(clippy::cast_precision_loss)]
            let (x, y) = (at.left + at.cell * j as f64, TOP + at.cell * i as f64);
            // White and grey are what is there already.
            if share > 0.0 || self.support[i] == 0 {
                pen.fill((x, y), (x + at.cell, y + at.cell), color)?;
            }
            let count = self.confusion.count(i, j);
            if let Some(size) = at.counts.filter(|_| count > 0 || k <= 12) {
                let ink = if share > 0.3 {
                    WHITE
                } else if count == 0 {
                    RGBColor(0xb4, 0xb9, 0xbe)
                } else {
                    INK
                };
                let text = TextMark::new(x + at.cell / 2.0, y + at.cell / 2.0, size).centred().color(ink);
                pen.text(&grouped(count), text)?;
            }
        }
        Ok(())
    }

    #[allow(clippy::cast_precision_loss)]
    fn labels<B: DrawingBackend>(&self, pen: &Pen<'_, B>, at: &MatrixLayout) -> Result<(), String> {
        let k = self.confusion.n_classes();
        let bottom = TOP + at.side;
        if let Some(em) = at.names {
            for (i, name) in self.names.iter().enumerate() {
                let middle = at.cell * (i as f64 + 0.5);
                let name = fitted(name, em, 150.0);
                pen.text(&name, TextMark::new(at.left - 6.0, TOP + middle, em).right())?;
                let below = TextMark::new(at.left + middle, bottom + 6.0, em);
                let below = if at.upright {
                    below.upright()
                } else {
                    TextMark { at: (below.at.0, bottom + 4.0 + em / 2.0), ..below.centred() }
                };
                pen.text(&name, below)?;
            }
        } else {
            let step = tick(k);
            for class in (0..k).step_by(step) {
                let middle = at.cell * (class as f64 / at.block as f64 + 0.5);
                pen.line((at.left - 4.0, TOP + middle), (at.left, TOP + middle), QUIET, 0.5)?;
                pen.line((at.left + middle, bottom), (at.left + middle, bottom + 4.0), QUIET, 0.5)?;
                pen.text(&class.to_string(), TextMark::new(at.left - 7.0, TOP + middle, 11.0).right())?;
                pen.text(&class.to_string(), TextMark::new(at.left + middle, bottom + 13.0, 11.0).centred())?;
            }
        }
        let what = if at.names.is_some() { "" } else { ", by position" };
        let centre = at.left + at.side / 2.0;
        pen.text(
            &format!("predicted class{what}"),
            TextMark::new(centre, bottom + at.below - 10.0, 12.0).centred().color(QUIET),
        )?;
        let side = TextMark::new(MARGIN + 4.0, TOP + at.side / 2.0, 12.0).color(QUIET);
        pen.text(&format!("true class{what}"), TextMark { upright: true, ..side.centred() })
    }

    /// Colour bar, and the pairs that are most often confused.
    fn legend<B: DrawingBackend>(&self, pen: &Pen<'_, B>, at: &MatrixLayout) -> Result<(), String> {
        let (x, high) = (at.left + at.side + 26.0, bar_height(at));
        let step = 1.0 / f64::from(SCALE);
        let mut y = 0.0;
        while y < high {
            let share = (1.0 - y / high).powi(2);
            pen.fill((x, TOP + y), (x + 14.0, TOP + y + step), self.tone(share))?;
            y += step;
        }
        for share in [0.0, 0.01, 0.05, 0.2, 0.5, 1.0f64] {
            let y = TOP + high * (1.0 - share.sqrt());
            pen.line((x + 14.0, y), (x + 18.0, y), QUIET, 0.5)?;
            pen.text(&format!("{} %", share * 100.0), TextMark::new(x + 22.0, y, 11.0))?;
        }
        pen.text("share of the true class", TextMark::new(x, TOP - 14.0, 11.0).color(QUIET))?;
        if !self.lists_pairs(at) || self.pairs.is_empty() {
            return Ok(());
        }
        let mut y = TOP + high + 34.0;
        pen.text("most confused: true → predicted", TextMark::new(x, y, 11.0).color(QUIET))?;
        for &(count, i, j) in &self.pairs {
            y += 17.0;
            pen.text(&grouped(count), TextMark::new(x + 34.0, y, 11.0).right())?;
            let half = (PAIRS - 34.0 - 10.0 - 18.0) / 2.0;
            let pair = format!("{} → {}", fitted(&self.names[i], 11.0, half), fitted(&self.names[j], 11.0, half));
            pen.text(&pair, TextMark::new(x + 44.0, y, 11.0))?;
        }
        Ok(())
    }

    fn lists_pairs(&self, at: &MatrixLayout) -> bool {
        at.counts.is_none() && at.side > 400.0
    }
}

/// Width of the list of pairs.
const PAIRS: f64 = 280.0;

fn bar_height(at: &MatrixLayout) -> f64 {
    at.side.clamp(120.0, 200.0)
}

impl Figure for ConfusionMatrix<'_> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn size(&self) -> (u32, u32) {
        let at = self.layout();
        let beside = if self.lists_pairs(&at) { PAIRS + 26.0 + MARGIN } else { 150.0 + MARGIN };
        let width = (at.left + at.side + beside).max(text_width(&self.below[0], 12.0) + 2.0 * MARGIN);
        let height = (TOP + at.side + at.below + 6.0).max(TOP + bar_height(&at) + 20.0);
        (width.ceil() as u32, height.ceil() as u32)
    }

    fn draw<B: DrawingBackend>(&self, pen: &Pen<'_, B>) -> Result<(), String> {
        let at = self.layout();
        pen.heading(MARGIN, &self.title, &self.below)?;
        if at.names.is_some() {
            self.cells(pen, &at)?;
        }
        let (right, bottom) = (at.left + at.side, TOP + at.side);
        for (from, to) in [
            ((at.left, TOP), (right, TOP)),
            ((at.left, bottom), (right, bottom)),
            ((at.left, TOP), (at.left, bottom)),
            ((right, TOP), (right, bottom)),
        ] {
            pen.line(from, to, AXIS, 0.5)?;
        }
        self.labels(pen, &at)?;
        self.legend(pen, &at)
    }

    #[allow(clippy::cast_possible_truncation)]
    fn pictures(&self) -> Vec<ImagePlacement> {
        let at = self.layout();
        if at.names.is_some() {
            return Vec::new();
        }
        let k = self.confusion.n_classes();
        let drawn = k.div_ceil(at.block);
        let mut pixels = Pixels::white(drawn as u32, drawn as u32);
        for (n, share) in self.fullest(at.block).into_iter().enumerate() {
            let RGBColor(r, g, b) = self.color(share);
            pixels.set((n % drawn) as u32, (n / drawn) as u32, [r, g, b]);
        }
        vec![ImagePlacement { at: (at.left, TOP), zoom: at.cell, pixels }]
    }
}

/// White to dark blue; 0 is white exactly.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn shade(value: f64) -> RGBColor {
    const STOPS: [(f64, f64, f64); 5] =
        [(255.0, 255.0, 255.0), (205.0, 224.0, 241.0), (120.0, 176.0, 216.0), (41.0, 112.0, 180.0), (8.0, 40.0, 96.0)];
    let at = value.clamp(0.0, 1.0) * 4.0;
    let i = (at.floor() as usize).min(3);
    let t = at - i as f64;
    let mix = |a: f64, b: f64| (a + (b - a) * t).round() as u8;
    let (a, b) = (STOPS[i], STOPS[i + 1]);
    RGBColor(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2))
}

/// Classes between two marks, so that there are about ten.
fn tick(k: usize) -> usize {
    (0..9).flat_map(|e| [1, 2, 5].map(|f| f * 10usize.pow(e))).find(|step| k / step <= 12).unwrap_or(k)
}

#[cfg(test)]
mod tests {
    use super::super::canvas::{png, svg};
    use super::*;

    fn matrix(k: usize) -> (Confusion, Vec<String>) {
        let mut confusion = Confusion::new(k);
        for i in 0..k * 20 {
            let label = i % k;
            confusion.add(label, if i % 7 < 5 { label } else { (label * label + i) % k });
        }
        (confusion, (0..k).map(|i| format!("<class> {i}")).collect())
    }

    #[test]
    fn every_number_of_classes_has_a_picture() {
        for k in [2, 3, 10, 20, 60, 100, 101, 1000, 2001, 30_000] {
            let (confusion, names) = matrix(k);
            let figure = ConfusionMatrix::new(&confusion, &names, "test", "run");
            let document = svg(&figure).unwrap();
            assert!(document.contains("Confusion on the test split"));
            assert_eq!(document.contains("data:image/png"), k > NAMED, "{k}");
            assert_eq!(document.contains("most confused"), k >= 60, "{k}");
            let (width, height) = figure.size();
            assert!(width < 1500 && height < 1400, "{k}: {width} x {height}");
            let picture = png(&figure).unwrap();
            // IHDR: width and height.
            assert_eq!(picture[16..20], (width * SCALE).to_be_bytes());
            assert_eq!(picture[20..24], (height * SCALE).to_be_bytes());
        }
    }

    #[test]
    fn counts_are_written_where_they_fit() {
        let mut confusion = Confusion::new(2);
        (0..12_345).for_each(|_| confusion.add(1, 0));
        let names = ["no".to_owned(), "yes".to_owned()];
        let document = svg(&ConfusionMatrix::new(&confusion, &names, "validation", "run")).unwrap();
        assert!(document.contains("12,345") && document.contains("\nyes\n"), "{document}");
        // The row without rows is grey, not white.
        assert!(document.contains("#F4F4F4"));
    }

    #[test]
    fn colours_and_marks_by_hand() {
        assert_eq!((shade(0.0), shade(1.0)), (WHITE, RGBColor(8, 40, 96)));
        assert_eq!([101, 1000, 5000].map(tick), [10, 100, 500]);
    }
}
