//! Pixels: an image in memory, its PNG, and a plotters backend that draws smooth lines and text on it.

use super::canvas::LINE_HEIGHT;
use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontTransform,
};
use std::convert::Infallible;
use std::sync::LazyLock;

static FONT_FILE: &[u8] = include_bytes!("../../assets/DejaVuSans-subset.ttf");
static FONT: LazyLock<Option<FontRef<'static>>> = LazyLock::new(|| FontRef::try_from_slice(FONT_FILE).ok());

/// An image, three bytes a pixel, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Red, green, blue of each pixel.
    pub rgb: Vec<u8>,
}

impl Pixels {
    /// A white image.
    #[must_use]
    pub fn white(width: u32, height: u32) -> Self {
        Self { width, height, rgb: vec![255; width as usize * height as usize * 3] }
    }

    /// Sets a pixel.
    pub fn set(&mut self, x: u32, y: u32, color: [u8; 3]) {
        let at = (y as usize * self.width as usize + x as usize) * 3;
        self.rgb[at..at + 3].copy_from_slice(&color);
    }

    fn get(&self, x: u32, y: u32) -> [u8; 3] {
        let at = (y as usize * self.width as usize + x as usize) * 3;
        [self.rgb[at], self.rgb[at + 1], self.rgb[at + 2]]
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn blend(&mut self, (x, y): (i32, i32), rgb: (u8, u8, u8), alpha: f64) {
        if x < 0 || y < 0 || x >= self.width as i32 || y >= self.height as i32 || alpha <= 0.0 {
            return;
        }
        let (x, y) = (x as u32, y as u32);
        let below = self.get(x, y);
        let mix = |new: u8, old: u8| (f64::from(new) * alpha + f64::from(old) * (1.0 - alpha)).round() as u8;
        let alpha_one = [mix(rgb.0, below[0]), mix(rgb.1, below[1]), mix(rgb.2, below[2])];
        self.set(x, y, alpha_one);
    }

    /// Copies another image, each of its pixels `zoom` wide and high; what lies outside is left out.
    pub fn lay(&mut self, other: &Self, at: (u32, u32), zoom: u32) {
        for y in 0..(other.height * zoom).min(self.height.saturating_sub(at.1)) {
            for x in 0..(other.width * zoom).min(self.width.saturating_sub(at.0)) {
                self.set(at.0 + x, at.1 + y, other.get(x / zoom, y / zoom));
            }
        }
    }

    /// The image as a PNG file: eight bits, RGB.
    #[must_use]
    pub fn to_png(&self) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_compression(png::Compression::Balanced);
        // Writing to memory does not fail, and no figure is without pixels.
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&self.rgb));
        debug_assert!(written.is_ok(), "{written:?}");
        file
    }
}

/// Pictures one after the other, endlessly, as an animated PNG of the size of the first; each stays for some hundredths of a second, the last
/// for ten times as many.
///
/// # Errors
/// Sentence of the encoder, for instance where there is no picture.
pub fn animated(frames: &[Pixels], hundredths: u16) -> Result<Vec<u8>, String> {
    let (Some(first), Ok(count)) = (frames.first(), u32::try_from(frames.len())) else {
        return Err("an animation needs a picture".into());
    };
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, first.width, first.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::High);
    let written = encoder.set_animated(count, 0).and_then(|()| encoder.write_header()).and_then(|mut writer| {
        for (frame, left) in frames.iter().zip((0..count).rev()) {
            let mut same = Pixels::white(first.width, first.height);
            same.lay(frame, (0, 0), 1);
            writer.set_frame_delay(if left == 0 { hundredths.saturating_mul(10) } else { hundredths }, 100)?;
            writer.write_image_data(&same.rgb)?;
        }
        writer.finish()
    });
    written.map_err(|e| e.to_string())?;
    Ok(file)
}

/// The width of a line of text, its em being `size`, in the unit of `size`.
#[must_use]
pub fn text_width(text: &str, size: f64) -> f64 {
    FONT.as_ref().map_or(0.0, |font| {
        let units = f64::from(font.units_per_em().unwrap_or(1000.0));
        let advance = |c: char| f64::from(font.h_advance_unscaled(font.glyph_id(c)));
        text.chars().map(advance).sum::<f64>() * size / units
    })
}

/// Draws on [`Pixels`].
pub(super) struct PixelBackend<'a> {
    canvas: &'a mut Pixels,
}

type DrawingResult = Result<(), DrawingErrorKind<Infallible>>;

impl<'a> PixelBackend<'a> {
    pub(super) fn new(canvas: &'a mut Pixels) -> Self {
        Self { canvas }
    }

    /// All pixels by their distance to a piece of a line: smooth, with round ends, so that the pieces of a path join.
    #[allow(clippy::cast_possible_truncation)]
    fn stroke(&mut self, from: BackendCoord, to: BackendCoord, width: u32, color: BackendColor) {
        let (a, b) = ((f64::from(from.0), f64::from(from.1)), (f64::from(to.0), f64::from(to.1)));
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let length = (dx * dx + dy * dy).max(f64::MIN_POSITIVE);
        let reach = f64::from(width) / 2.0 + 0.5;
        let rows = (a.1.min(b.1) - reach).max(0.0)..=(a.1.max(b.1) + reach).min(f64::from(self.canvas.height));
        for y in rows.start().floor() as i32..=rows.end().ceil() as i32 {
            // The part of the piece that lies within reach of this row.
            let along = |y: f64| if dy == 0.0 { None } else { Some(((y - a.1) / dy).clamp(0.0, 1.0)) };
            let ends = [f64::from(y) - reach, f64::from(y) + reach].map(along);
            let (t0, t1) = if let [Some(t0), Some(t1)] = ends { (t0, t1) } else { (0.0, 1.0) };
            let (x0, x1) = (a.0 + t0 * dx, a.0 + t1 * dx);
            let left = (x0.min(x1) - reach).floor().max(0.0) as i32;
            let right = (x0.max(x1) + reach).ceil().min(f64::from(self.canvas.width)) as i32;
            for x in left..=right {
                let (px, py) = (f64::from(x) - a.0, f64::from(y) - a.1);
                let t = ((px * dx + py * dy) / length).clamp(0.0, 1.0);
                let distance = (px - t * dx).hypot(py - t * dy);
                self.canvas.blend((x, y), color.rgb, (reach - distance).clamp(0.0, 1.0) * color.alpha);
            }
        }
    }

    /// Text with its em of `size` pixels, upright text turned by a quarter to the left around `at`.
    fn write<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) {
        let Some(font) = FONT.as_ref() else { return };
        let em = style.size() / LINE_HEIGHT;
        let units = font.units_per_em().unwrap_or(1000.0);
        #[allow(clippy::cast_possible_truncation)]
        let scale = PxScale::from(em as f32 * font.height_unscaled() / units);
        let scaled = font.as_scaled(scale);
        let width = text_width(text, em);
        let left = match style.anchor().h_pos {
            HPos::Left => 0.0,
            HPos::Center => -width / 2.0,
            HPos::Right => -width,
        };
        // From the place to the base line, as the SVG backend has it: half the x-height down where it is centred.
        let down = match style.anchor().v_pos {
            VPos::Top => 0.76 * em,
            VPos::Center => 0.27 * em,
            VPos::Bottom => -0.27 * em,
        };
        let upright = matches!(style.transform(), FontTransform::Rotate270);
        let color = style.color();
        let mut x = left;
        for c in text.chars() {
            let id = scaled.glyph_id(c);
            #[allow(clippy::cast_possible_truncation)]
            let glyph: Glyph = id.with_scale_and_position(scale, point(x as f32, down as f32));
            x += f64::from(scaled.h_advance(id));
            let Some(outline) = font.outline_glyph(glyph) else { continue };
            let bounds = outline.px_bounds();
            #[allow(clippy::cast_possible_truncation)]
            let (left, top) = (bounds.min.x as i32, bounds.min.y as i32);
            outline.draw(|i, j, cover| {
                #[allow(clippy::cast_possible_wrap)]
                let (dx, dy) = (left + i as i32, top + j as i32);
                let place = if upright { (at.0 + dy, at.1 - dx) } else { (at.0 + dx, at.1 + dy) };
                self.canvas.blend(place, color.rgb, f64::from(cover).min(1.0) * color.alpha);
            });
        }
    }
}

impl DrawingBackend for PixelBackend<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (self.canvas.width, self.canvas.height)
    }

    fn ensure_prepared(&mut self) -> DrawingResult {
        Ok(())
    }

    fn present(&mut self) -> DrawingResult {
        Ok(())
    }

    fn draw_pixel(&mut self, at: BackendCoord, color: BackendColor) -> DrawingResult {
        self.canvas.blend(at, color.rgb, color.alpha);
        Ok(())
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> DrawingResult {
        self.stroke(from, to, style.stroke_width(), style.color());
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> DrawingResult {
        let path: Vec<BackendCoord> = path.into_iter().collect();
        path.windows(2).for_each(|ends| self.stroke(ends[0], ends[1], style.stroke_width(), style.color()));
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(&mut self, at: BackendCoord, radius: u32, style: &S, _fill: bool) -> DrawingResult {
        self.stroke(at, at, 2 * radius, style.color());
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> DrawingResult {
        self.write(text, style, at);
        Ok(())
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let em = style.size() / LINE_HEIGHT;
        Ok((text_width(text, em).ceil() as u32, em.ceil() as u32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_is_there_and_knows_the_letters_of_europe() {
        let font = FONT.as_ref().unwrap();
        for c in "AZaz09 äéñøßčłżğ ΑΩαω ЖЯжя → ≤ ½ λ … − %".chars() {
            assert_ne!(font.glyph_id(c).0, 0, "{c}");
        }
        // DejaVu Sans: the digits are 1303 of 2048 units wide.
        assert!((text_width("2026", 2048.0) - 4.0 * 1303.0).abs() < 1.0);
    }

    /// A decoder of no more than what is written here.
    fn decoded(file: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut rgb).unwrap();
        assert_eq!((frame.color_type, frame.bit_depth), (png::ColorType::Rgb, png::BitDepth::Eight));
        (frame.width, frame.height, rgb)
    }

    #[test]
    fn pixels_survive_their_file() {
        let mut pixels = Pixels::white(31, 17);
        for (i, byte) in pixels.rgb.iter_mut().enumerate() {
            *byte = if i < 400 { (i * i % 251) as u8 } else { (i / 100) as u8 };
        }
        let file = pixels.to_png();
        assert_eq!(decoded(&file), (31, 17, pixels.rgb));
        // The last chunk and its checksum are the same in every PNG.
        assert!(file.ends_with(b"\0\0\0\0IEND\xae\x42\x60\x82"));
    }

    #[test]
    fn strokes_stay_inside_and_have_their_width() {
        let mut canvas = Pixels::white(20, 20);
        let black = BackendColor { alpha: 1.0, rgb: (0, 0, 0) };
        PixelBackend::new(&mut canvas).stroke((-50, 10), (70, 10), 4, black);
        let dark = |y: u32| 255 - u32::from(canvas.get(10, y)[0]);
        // Three whole rows and two halves.
        assert_eq!((0..20).map(dark).sum::<u32>(), 3 * 255 + 2 * 127);
        let empty = Pixels::white(20, 20);
        PixelBackend::new(&mut canvas).stroke((-9, -9), (-3, -2), 2, black);
        canvas.lay(&empty, (15, 15), 3);
        assert_eq!(canvas.get(19, 10), [0, 0, 0], "what does not fit is left out, the rest is as it was");
    }
}
