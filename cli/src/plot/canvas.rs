//! One description of a figure, two files: SVG through plotters' own backend, PNG through a backend of this file.
//!
//! Lengths are in points, `f64`. A PNG has [`SCALE`] pixels a point, so that it is sharp on a projector. The font of a PNG is the
//! one inside the program (`assets/DejaVuSans-subset.ttf`: Latin, Greek, Cyrillic; other letters are boxes), the same on every machine; an SVG names
//! `sans-serif` and leaves the choice to its viewer. Pictures made of pixels (weights, large matrices) are laid over either:
//! copied in a PNG, embedded in an SVG.

use super::palette::{INK, NAMES, QUIET, hex};
use super::pixels::{PixelBackend, Pixels, text_width};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::fmt::Write as _;

/// Pixels of a PNG to a point.
pub const SCALE: u32 = 2;
/// Line height of a font, which plotters calls its size: this many times the em.
pub(super) const LINE_HEIGHT: f64 = 1.24;

/// Units of an SVG to a point: plotters counts in whole numbers, and a point is too coarse for a curve.
const SVG_SCALE: u32 = 8;
/// Tips that the keyboard reaches; of more only the first, and pointers reach all.
const MOST_STOPS: usize = 100;

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
    fn pictures(&self) -> Vec<ImagePlacement> {
        Vec::new()
    }

    /// Tips of points and lines, on a page.
    fn tips(&self) -> Vec<Tip> {
        Vec::new()
    }
}

/// Text of a point or a line, for pointers, keyboards and readers of screens.
#[derive(Debug, Clone, PartialEq)]
pub struct Tip {
    /// Lines of text.
    pub(super) text: String,
    /// One place, or those of a line.
    path: Vec<(f64, f64)>,
    /// Of a point.
    radius: f64,
}

impl Tip {
    pub(super) fn point(at: (f64, f64), radius: f64, text: String) -> Self {
        Self { text, path: vec![at], radius }
    }

    pub(super) const fn line(path: Vec<(f64, f64)>, text: String) -> Self {
        Self { text, path, radius: 0.0 }
    }
}

/// Pixels at a place.
#[derive(Debug, Clone)]
pub struct ImagePlacement {
    /// Left and upper edge.
    pub at: (f64, f64),
    /// Points to a pixel; in a PNG rounded to whole pixels.
    pub zoom: f64,
    /// The pixels.
    pub pixels: Pixels,
}

/// Position and style of a text.
#[derive(Clone, Copy)]
pub struct TextMark {
    pub(super) at: (f64, f64),
    /// The em.
    pub(super) size: f64,
    pub(super) color: RGBColor,
    pub(super) anchor: Pos,
    /// Read from below.
    pub(super) upright: bool,
}

impl TextMark {
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

    pub(super) fn text(&self, text: &str, how: TextMark) -> Result<(), String> {
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
        self.text(title, TextMark::new(x, 26.0, 19.0))?;
        for (i, line) in below.iter().enumerate() {
            #[allow(clippy::cast_precision_loss)]
            self.text(line, TextMark::new(x, 50.0 + 18.0 * i as f64, 12.0).color(QUIET))?;
        }
        Ok(())
    }
}

/// The figure as an SVG document.
///
/// # Errors
/// The error of plotters.
pub fn svg(figure: &impl Figure) -> Result<String, String> {
    let (width, height) = figure.size();
    let head = format!(
        "<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" xmlns=\"http://www.w3.org/2000/svg\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#FFFFFF\"/>"
    );
    Ok(format!("{head}\n{}</svg>\n", body(figure)?))
}

/// The figure as an element of a page that has a heading of its own: its colours are those of the page's style sheet, and its points
/// tell their values. `label` says what it is to readers of screens.
///
/// # Errors
/// Error of plotters.
pub(crate) fn inline(figure: &impl Figure, label: &str) -> Result<String, String> {
    let (width, height) = figure.size();
    let mut body = body(figure)?;
    for (color, name) in NAMES {
        // Text has no quotes in it, they are escaped.
        body = body.replace(&format!("\"{}\"", hex(color)), &format!("\"var({name})\""));
    }
    let label = escaped(label);
    let mut out = format!("<svg viewBox=\"0 0 {width} {height}\" role=\"group\" aria-label=\"{label}\">\n{body}");
    for (i, tip) in figure.tips().iter().enumerate() {
        tip.write(&mut out, (f64::from(width), f64::from(height)), i < MOST_STOPS);
    }
    Ok(out + "</svg>\n")
}

/// Everything of an SVG but its outermost element, in points.
fn body(figure: &impl Figure) -> Result<String, String> {
    let (width, height) = figure.size();
    let mut document = String::new();
    {
        let area = SVGBackend::with_string(&mut document, (width * SVG_SCALE, height * SVG_SCALE)).into_drawing_area();
        figure.draw(&Pen { area: &area, scale: f64::from(SVG_SCALE) })?;
        area.present().map_err(failed)?;
    }
    let content = document.split_once('>').and_then(|(_, rest)| rest.rsplit_once("</svg>")).map_or("", |(all, _)| all);
    // Said by every element, and true without being said.
    let content = content.replace(" opacity=\"1\"", "");
    let mut out = format!("<g transform=\"scale({})\">{content}</g>\n", 1.0 / f64::from(SVG_SCALE));
    for ImagePlacement { at, zoom, pixels } in figure.pictures() {
        let (width, height) = (f64::from(pixels.width) * zoom, f64::from(pixels.height) * zoom);
        let data = base64(&pixels.to_png());
        let _ = writeln!(
            out,
            "<image x=\"{}\" y=\"{}\" width=\"{width}\" height=\"{height}\" preserveAspectRatio=\"none\" \
             style=\"image-rendering:pixelated\" href=\"data:image/png;base64,{data}\"/>",
            at.0, at.1
        );
    }
    Ok(out)
}

impl Tip {
    /// The element of a page: a title for pointers; where the keyboard stops, the same as text that is seen while the focus is there.
    fn write(&self, out: &mut String, size: (f64, f64), stops: bool) {
        let focus = if stops { " tabindex=\"0\"" } else { "" };
        let label = escaped(&self.text.replace('\n', ", "));
        let title = escaped(&self.text);
        let _ = write!(out, "<g class=\"tip\"{focus} role=\"img\" aria-label=\"{label}\"><title>{title}</title>");
        let _ = match &self.path[..] {
            [(x, y)] => write!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{}\"/>", self.radius),
            path => {
                let points: Vec<String> = path.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
                write!(out, "<polyline points=\"{}\"/>", points.join(" "))
            }
        };
        if let (true, Some(&at)) = (stops, self.path.get(self.path.len() / 2)) {
            said(out, &self.text, at, size);
        }
        out.push_str("</g>\n");
    }
}

/// Lines of text in a box near a place, within the picture.
#[allow(clippy::cast_precision_loss)]
fn said(out: &mut String, text: &str, at: (f64, f64), size: (f64, f64)) {
    const EM: f64 = 12.0;
    let lines: Vec<&str> = text.lines().collect();
    // Fonts of readers are wider than ours by a little.
    let width = 1.1 * lines.iter().map(|line| text_width(line, EM)).fold(0.0, f64::max) + 14.0;
    let height = 16.0 * lines.len() as f64 + 8.0;
    let x = (at.0 + 12.0).min(size.0 - width).max(0.0);
    let above = at.1 - height - 10.0;
    let y = if above >= 0.0 { above } else { (at.1 + 12.0).min(size.1 - height).max(0.0) };
    let _ = write!(
        out,
        "<g class=\"said\"><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" rx=\"4\"/><text>"
    );
    for (i, line) in lines.iter().enumerate() {
        let _ =
            write!(out, "<tspan x=\"{:.1}\" y=\"{:.1}\">{}</tspan>", x + 7.0, y + 16.0 * (i + 1) as f64, escaped(line));
    }
    out.push_str("</text></g>");
}

/// Text as it may stand in an element or between quotes, of XML and of HTML.
pub(crate) fn escaped(value: &str) -> String {
    let mut out = String::new();
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && c != '\n' && c != '\t' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// The figure as a PNG file.
///
/// # Errors
/// The error of plotters.
pub fn png(figure: &impl Figure) -> Result<Vec<u8>, String> {
    Ok(pixels(figure, SCALE)?.to_png())
}

/// The figure with `scale` pixels to a point.
///
/// # Errors
/// As [`png`].
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(crate) fn pixels(figure: &impl Figure, scale: u32) -> Result<Pixels, String> {
    let (width, height) = figure.size();
    let mut canvas = Pixels::white(width * scale, height * scale);
    {
        let area = PixelBackend::new(&mut canvas).into_drawing_area();
        figure.draw(&Pen { area: &area, scale: f64::from(scale) })?;
    }
    for ImagePlacement { at, zoom, pixels } in figure.pictures() {
        let place = |points: f64| (points * f64::from(scale)).round().max(0.0) as u32;
        canvas.lay(&pixels, (place(at.0), place(at.1)), place(zoom).max(1));
    }
    Ok(canvas)
}

/// A name for a picture: no control characters, which XML forbids.
pub(crate) fn clean(name: &str) -> String {
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
