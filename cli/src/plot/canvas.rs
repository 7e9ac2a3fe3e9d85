//! One description of a figure, two files: SVG through plotters' own backend, PNG through a backend of this file.
//!
//! Lengths are in points, `f64`. A PNG has [`SCALE`] pixels a point, so that it is sharp on a projector. The font of a PNG is the
//! one inside the program (`assets/DejaVuSans-subset.ttf`: Latin, Greek, Cyrillic; other letters are boxes), the same on every machine; an SVG names
//! `sans-serif` and leaves the choice to its viewer. Pictures made of pixels (weights, large matrices) are laid over either:
//! copied in a PNG, embedded in an SVG.

use super::pixels::{PixelBackend, Pixels, text_width};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::fmt::Write as _;

/// Pixels of a PNG to a point.
pub const SCALE: u32 = 2;
/// Line height of a font, which plotters calls its size: this many times the em.
pub(super) const LINE_HEIGHT: f64 = 1.24;

/// Text that is read first.
pub(super) const INK: RGBColor = RGBColor(0x22, 0x26, 0x2b);
/// Text that is read second.
pub(super) const QUIET: RGBColor = RGBColor(0x5c, 0x63, 0x6b);
/// Lines that guide the eye.
pub(super) const GRID: RGBColor = RGBColor(0xe4, 0xe6, 0xe9);

/// A picture in points.
pub trait Figure {
    /// Width and height.
    fn size(&self) -> (u32, u32);

    /// Draws everything but [`Figure::pictures`].
    ///
    /// # Errors
    /// The error of plotters.
    fn draw<B: DrawingBackend>(&self, pen: &Pen<'_, B>) -> Result<(), String>;

    /// Pictures made of pixels, laid over the rest.
    fn pictures(&self) -> Vec<Placed> {
        Vec::new()
    }
}

/// Pixels at a place.
#[derive(Debug, Clone)]
pub struct Placed {
    /// Left and upper edge.
    pub at: (f64, f64),
    /// Points to a pixel; in a PNG rounded to whole pixels.
    pub zoom: f64,
    /// The pixels.
    pub pixels: Pixels,
}

/// Position and style of a text.
#[derive(Clone, Copy)]
pub struct Text {
    pub(super) at: (f64, f64),
    /// The em.
    pub(super) size: f64,
    pub(super) color: RGBColor,
    pub(super) anchor: Pos,
    /// Read from below.
    pub(super) upright: bool,
}

impl Text {
    pub(super) const fn new(x: f64, y: f64, size: f64) -> Self {
        Self { at: (x, y), size, color: INK, anchor: Pos { h_pos: HPos::Left, v_pos: VPos::Center }, upright: false }
    }

    pub(super) const fn color(self, color: RGBColor) -> Self {
        Self { color, ..self }
    }

    pub(super) const fn right(self) -> Self {
        Self { anchor: Pos { h_pos: HPos::Right, v_pos: VPos::Center }, ..self }
    }

    pub(super) const fn centred(self) -> Self {
        Self { anchor: Pos { h_pos: HPos::Center, v_pos: VPos::Center }, ..self }
    }

    /// Turned by a quarter, read from below, ending at its place.
    pub(super) const fn upright(self) -> Self {
        Self { upright: true, ..self.right() }
    }
}

/// Draws in points.
pub struct Pen<'a, B: DrawingBackend> {
    /// The whole picture, in the backend's own unit.
    pub(super) area: &'a DrawingArea<B, Shift>,
    /// The backend's units to a point.
    pub(super) scale: f64,
}

/// A failure of plotters as text.
pub(super) fn failed<E: std::error::Error + Send + Sync>(error: DrawingAreaErrorKind<E>) -> String {
    format!("{error:?}")
}

impl<B: DrawingBackend> Pen<'_, B> {
    #[allow(clippy::cast_possible_truncation)]
    pub(super) fn unit(&self, points: f64) -> i32 {
        (points * self.scale).round() as i32
    }

    pub(super) fn point(&self, (x, y): (f64, f64)) -> (i32, i32) {
        (self.unit(x), self.unit(y))
    }

    /// The style of text of a size in points.
    pub(super) fn font(&self, size: f64, color: RGBColor) -> TextStyle<'static> {
        ("sans-serif", size * LINE_HEIGHT * self.scale).into_font().color(&color)
    }

    pub(super) fn text(&self, text: &str, how: Text) -> Result<(), String> {
        let mut style = self.font(how.size, how.color).pos(how.anchor);
        if how.upright {
            style = style.transform(FontTransform::Rotate270);
        }
        self.area.draw_text(text, &style, self.point(how.at)).map_err(failed)
    }

    /// A rectangle between two corners.
    pub(super) fn fill(&self, from: (f64, f64), to: (f64, f64), color: RGBColor) -> Result<(), String> {
        let corners = [self.point(from), self.point(to)];
        self.area.draw(&Rectangle::new(corners, color.filled())).map_err(failed)
    }

    pub(super) fn line(&self, from: (f64, f64), to: (f64, f64), color: RGBColor, width: f64) -> Result<(), String> {
        let path = vec![self.point(from), self.point(to)];
        self.area.draw(&PathElement::new(path, color.stroke_width(self.width(width)))).map_err(failed)
    }

    #[allow(clippy::cast_sign_loss)]
    pub(super) fn width(&self, points: f64) -> u32 {
        self.unit(points).max(1) as u32
    }

    /// The heading of a figure; its second line says what is seen.
    pub(super) fn heading(&self, x: f64, title: &str, below: &[String]) -> Result<(), String> {
        self.text(title, Text::new(x, 26.0, 19.0))?;
        for (i, line) in below.iter().enumerate() {
            #[allow(clippy::cast_precision_loss)]
            self.text(line, Text::new(x, 50.0 + 18.0 * i as f64, 12.0).color(QUIET))?;
        }
        Ok(())
    }
}

/// The figure as an SVG document.
///
/// # Errors
/// The error of plotters.
pub fn svg(figure: &impl Figure) -> Result<String, String> {
    let mut document = String::new();
    {
        let area = SVGBackend::with_string(&mut document, figure.size()).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        figure.draw(&Pen { area: &area, scale: 1.0 })?;
        area.present().map_err(failed)?;
    }
    let mut pictures = String::new();
    for Placed { at, zoom, pixels } in figure.pictures() {
        let (width, height) = (f64::from(pixels.width) * zoom, f64::from(pixels.height) * zoom);
        let data = base64(&pixels.to_png());
        let _ = writeln!(
            pictures,
            "<image x=\"{}\" y=\"{}\" width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"none\" \
             style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{data}\"/>",
            at.0, at.1
        );
    }
    if let Some(end) = document.rfind("</svg>") {
        document.insert_str(end, &pictures);
    }
    Ok(document)
}

/// The figure as a PNG file.
///
/// # Errors
/// The error of plotters.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub fn png(figure: &impl Figure) -> Result<Vec<u8>, String> {
    let (width, height) = figure.size();
    let mut canvas = Pixels::white(width * SCALE, height * SCALE);
    {
        let area = PixelBackend::new(&mut canvas).into_drawing_area();
        figure.draw(&Pen { area: &area, scale: f64::from(SCALE) })?;
    }
    for Placed { at, zoom, pixels } in figure.pictures() {
        let place = |points: f64| (points * f64::from(SCALE)).round().max(0.0) as u32;
        canvas.lay(&pixels, (place(at.0), place(at.1)), place(zoom).max(1));
    }
    Ok(canvas.to_png())
}

/// A name for a picture: no control characters, which XML forbids.
pub(super) fn clean(name: &str) -> String {
    name.chars().map(|c| if c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c) { ' ' } else { c }).collect()
}

/// The name, or its beginning and an ellipsis, no wider than `width` points.
pub(super) fn fitted(name: &str, size: f64, width: f64) -> String {
    let name = clean(name);
    if text_width(&name, size) <= width {
        return name;
    }
    let chars: Vec<char> = name.chars().collect();
    let cut = |n: usize| chars[..n].iter().collect::<String>().trim_end().to_owned() + "…";
    (0..chars.len()).rev().map(cut).find(|text| text_width(text, size) <= width).unwrap_or_default()
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = (0..3).fold(0u32, |w, i| w << 8 | u32::from(group.get(i).copied().unwrap_or(0)));
        for i in 0..4 {
            let digit = ALPHABET[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= group.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_by_hand() {
        // RFC 4648, section 10.
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn names_are_cut_to_the_width_that_there_is() {
        assert_eq!(fitted("cat", 12.0, 100.0), "cat");
        let cut = fitted("a name far too long for its cell", 12.0, 60.0);
        assert!(cut.ends_with('…') && cut.starts_with("a name") && text_width(&cut, 12.0) <= 60.0, "{cut}");
        assert_eq!(fitted("Ελληνικά", 12.0, 1.0), "");
        assert_eq!(fitted("a\nb\u{0}", 12.0, 100.0), "a b ");
    }
}
