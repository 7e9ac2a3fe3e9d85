//! Image files of every kind, decoded to grey or RGB bytes in planes. The kind is told by the content.
//!
//! # References
//! ISO/IEC 15948, *Portable Network Graphics*; ITU-T T.81, *Digital compression and coding of continuous-tone still images*; RFC 9649,
//! *WebP Image Format*; *TIFF*, revision 6.0; *Graphics Interchange Format*, version 89a; JEITA CP-3451, *Exif*, section 4.6.4.

use crate::data::ImageShape;
use crate::format::caught::caught;
use crate::format::limit;
use crate::format::open::looks_like;
use std::fmt::{Debug, Display};
use std::io::Cursor;
use std::num::NonZeroU64;
use tiff::ColorType;
use tiff::tags::Tag;
use zune_bmp::BmpDecoder;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;
use zune_jpeg::zune_core::result::DecodingResult;
use zune_ppm::PPMDecoder;

/// The kinds that are read, for messages.
pub(super) const KINDS: &str = "PNG, JPEG, WebP, BMP, TIFF, GIF or binary PNM";

/// Pixels of the widest image that is read, a side.
const LONGEST: usize = 16_384;

/// The kind of an image file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Png,
    Jpeg,
    Webp,
    Bmp,
    Tiff,
    Gif,
    Pnm,
}

impl Kind {
    /// The kind by the first bytes.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x89, b'P', b'N', b'G', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            // The size of the second header, so that no text is taken for one.
            [b'B', b'M', _, _, _, _, _, _, _, _, _, _, _, _, 12..=124, 0, 0, 0, ..] => Some(Self::Bmp),
            [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Some(Self::Tiff),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [b'P', b'5' | b'6', ..] if pnm_header(head).is_some() => Some(Self::Pnm),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Webp => "WebP",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
            Self::Gif => "GIF",
            Self::Pnm => "PNM",
        }
    }

    fn decode(self, bytes: &[u8]) -> Result<DecodedImage, String> {
        match self {
            Self::Png => png(bytes),
            Self::Jpeg => jpeg(bytes),
            Self::Webp => webp(bytes),
            Self::Bmp => bmp(bytes),
            Self::Tiff => tiff(bytes),
            Self::Gif => gif(bytes),
            Self::Pnm => pnm(bytes),
        }
    }
}

/// A loss on the way from the file to the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Omission {
    /// The lower 8 of 16 bits.
    Depth,
    /// An alpha channel that is not opaque everywhere.
    Alpha,
    /// An orientation in the metadata.
    Orientation,
    /// Further frames or pages.
    Frames,
}

impl Omission {
    pub(super) const ALL: [Self; 4] = [Self::Depth, Self::Alpha, Self::Orientation, Self::Frames];

    /// The sentence about `n` images.
    pub(super) fn of(self, n: usize) -> String {
        let images = if n == 1 { "1 image has".to_owned() } else { format!("{n} images have") };
        match self {
            Self::Depth => format!("{images} 16 bits a channel, of which the upper 8 are kept"),
            Self::Alpha => format!(
                "{images} transparent pixels, whose alpha channel is left out: `mogrify -background white -alpha remove` puts them on white"
            ),
            Self::Orientation => format!(
                "{images} an orientation in the Exif data, which is not applied (as in torchvision and Keras): `mogrify -auto-orient` turns the pixels"
            ),
            Self::Frames => format!("{images} several frames or pages, of which the first is read"),
        }
    }
}

/// An image in planes.
#[derive(Debug)]
pub(in crate::format) struct Image {
    pub(in crate::format) shape: ImageShape,
    pub(in crate::format) pixels: Vec<u8>,
    pub(super) losses: Vec<Omission>,
}

impl Image {
    /// The same image in RGB, where it is grey and RGB is asked for.
    pub(in crate::format) fn in_channels(self, channels: usize) -> Self {
        if (self.shape.channels, channels) != (1, 3) {
            return self;
        }
        Self { shape: ImageShape { channels, ..self.shape }, pixels: self.pixels.repeat(3), ..self }
    }
}

/// Pixels as a decoder gives them: one to four values each, the second and the fourth being alpha.
struct DecodedImage {
    width: usize,
    height: usize,
    values: usize,
    pixels: Vec<u8>,
    deep: bool,
    several: bool,
    orientation: Option<u16>,
}

impl DecodedImage {
    fn new((width, height): (usize, usize), values: usize, pixels: Vec<u8>) -> Self {
        Self { width, height, values, pixels, deep: false, several: false, orientation: None }
    }

    /// The planes of grey or of red, green and blue.
    fn in_planes(self) -> Result<Image, String> {
        let Self { width, height, values, ref pixels, .. } = self;
        if pixels.is_empty() || pixels.len() != values * height * width {
            return Err("it is cut off".into());
        }
        let channels = if values < 3 { 1 } else { 3 };
        let alpha = values % 2 == 0 && pixels.iter().skip(values - 1).step_by(values).any(|&alpha| alpha < u8::MAX);
        let turned = self.orientation.is_some_and(|orientation| orientation > 1);
        let found = [self.deep, alpha, turned, self.several];
        let losses = Omission::ALL.into_iter().zip(found).filter(|(_, found)| *found).map(|(loss, _)| loss).collect();
        let planes = (0..channels).flat_map(|plane| pixels.iter().skip(plane).step_by(values).copied());
        Ok(Image { shape: ImageShape { channels, height, width }, pixels: planes.collect(), losses })
    }
}

/// Decodes a file; a decoder that panics has met a damaged one.
pub(in crate::format) fn decode(bytes: &[u8]) -> Result<Image, String> {
    let Some(kind) = Kind::of(bytes) else {
        let ascii = bytes.starts_with(b"P2") || bytes.starts_with(b"P3");
        let found = if ascii { "a PNM image in text" } else { looks_like(bytes) };
        return Err(format!("found {found}, expected an image: {KINDS}"));
    };
    let decoded = caught(|| kind.decode(bytes));
    let decoded = decoded.unwrap_or_else(|| Err("its data contradict each other".into()));
    decoded
        .and_then(DecodedImage::in_planes)
        .map_err(|problem| format!("the {} image cannot be decoded: {problem}", kind.name()))
}

/// Decoded, with all that a decoder needs on the way, a pixel takes up to sixteen bytes.
fn check_size((width, height): (usize, usize)) -> Result<(usize, usize), String> {
    if width.max(height) > LONGEST {
        return Err(format!("it is {width} x {height} pixels, expected at most {LONGEST} a side"));
    }
    limit::problem((width as u64).saturating_mul(height as u64).saturating_mul(16)).map_or(Ok((width, height)), Err)
}

fn memory() -> usize {
    usize::try_from(limit::get()).unwrap_or(usize::MAX)
}

/// A decoder's message on one line, cut to a bearable length.
fn in_words(error: impl Display) -> String {
    const MESSAGE: usize = 200;
    let line = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    line.trim_matches('"').chars().take(MESSAGE).collect()
}

/// The message of a decoder that has none for people.
fn debugged(error: impl Debug) -> String {
    in_words(format!("{error:?}"))
}

fn options() -> DecoderOptions {
    DecoderOptions::new_safe().set_strict_mode(true).set_max_width(LONGEST).set_max_height(LONGEST)
}

fn png(bytes: &[u8]) -> Result<DecodedImage, String> {
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), png::Limits { bytes: memory() });
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(in_words)?;
    let info = reader.info();
    let size = check_size((info.width as usize, info.height as usize))?;
    let deep = info.bit_depth == png::BitDepth::Sixteen;
    let several = info.animation_control.is_some_and(|animation| animation.num_frames > 1);
    let mut pixels = vec![0; reader.output_buffer_size().ok_or("it is too large")?];
    let frame = reader.next_frame(&mut pixels).map_err(in_words)?;
    let orientation = reader.info().exif_metadata.as_deref().and_then(orientation);
    Ok(DecodedImage { deep, several, orientation, ..DecodedImage::new(size, frame.color_type.samples(), pixels) })
}

fn jpeg(bytes: &[u8]) -> Result<DecodedImage, String> {
    let options = options();
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(in_words)?;
    let info = decoder.info().ok_or("it has no header")?;
    let size = check_size((info.width.into(), info.height.into()))?;
    let (values, space) = if info.components == 1 { (1, ColorSpace::Luma) } else { (3, ColorSpace::RGB) };
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    let pixels = decoder.decode().map_err(in_words)?;
    let orientation = decoder.exif().and_then(|exif| orientation(exif));
    Ok(DecodedImage { orientation, ..DecodedImage::new(size, values, pixels) })
}

fn webp(bytes: &[u8]) -> Result<DecodedImage, String> {
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(bytes)).map_err(in_words)?;
    decoder.set_memory_limit(memory());
    let (width, height) = decoder.dimensions();
    let size = check_size((width as usize, height as usize))?;
    let mut pixels = vec![0; decoder.output_buffer_size().ok_or("it is too large")?];
    decoder.read_image(&mut pixels).map_err(in_words)?;
    let orientation = decoder.exif_metadata().ok().flatten().and_then(|exif| orientation(&exif));
    let (values, several) = (if decoder.has_alpha() { 4 } else { 3 }, decoder.num_frames() > 1);
    Ok(DecodedImage { several, orientation, ..DecodedImage::new(size, values, pixels) })
}

fn bmp(bytes: &[u8]) -> Result<DecodedImage, String> {
    let mut decoder = BmpDecoder::new_with_options(ZCursor::new(bytes), options());
    decoder.decode_headers().map_err(debugged)?;
    let size = check_size(decoder.dimensions().ok_or("it has no header")?)?;
    let values = decoder.colorspace().ok_or("it has no header")?.num_components();
    Ok(DecodedImage::new(size, values, decoder.decode().map_err(debugged)?))
}

/// Refuses a TIFF whose first directory promises more values than the file has bytes, for which the decoder takes memory before it looks.
fn check_directory(bytes: &[u8]) -> Result<(), String> {
    let cut_off = || "it is cut off".to_owned();
    let is_little = bytes.starts_with(b"II");
    let number = |at: u64, length: u64| {
        let end = usize::try_from(at.saturating_add(length)).map_err(|_| cut_off())?;
        let field = usize::try_from(at).ok().and_then(|start| bytes.get(start..end)).ok_or_else(cut_off)?;
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Ok::<u64, String>(if is_little { field.iter().rev().fold(0, add) } else { field.iter().fold(0, add) })
    };
    let is_big = number(2, 2)? == 43;
    // Bytes of an offset, of the number of entries, and of an entry.
    let (word, count, entry) = if is_big { (8, 8, 20) } else { (4, 2, 12) };
    let first = number(word, word)?;
    for at in 0..number(first, count)? {
        let at = first.saturating_add(count).saturating_add(entry * at);
        let size = match number(at.saturating_add(2), 2)? {
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16..=18 => 8,
            _ => 1,
        };
        if number(at.saturating_add(4), word)?.saturating_mul(size) > bytes.len() as u64 {
            return Err(cut_off());
        }
    }
    Ok(())
}

fn tiff(bytes: &[u8]) -> Result<DecodedImage, String> {
    check_directory(bytes)?;
    let mut limits = tiff::decoder::Limits::default();
    (limits.decoding_buffer_size, limits.intermediate_buffer_size) = (memory(), memory());
    let mut decoder = tiff::decoder::Decoder::new(Cursor::new(bytes)).map_err(in_words)?.with_limits(limits);
    let (width, height) = decoder.dimensions().map_err(in_words)?;
    let size = check_size((width as usize, height as usize))?;
    let values = match decoder.colortype().map_err(in_words)? {
        ColorType::Gray(8 | 16) => 1,
        ColorType::GrayA(8 | 16) => 2,
        ColorType::RGB(8 | 16) => 3,
        ColorType::RGBA(8 | 16) => 4,
        other => return Err(format!("its colours are {other:?}, expected grey or RGB of 8 or 16 bits")),
    };
    let mut tag = |tag| decoder.find_tag_unsigned::<u16>(tag).map_err(in_words);
    let orientation = tag(Tag::Orientation)?;
    if values > 1 && tag(Tag::PlanarConfiguration)? == Some(2) {
        return Err("its channels are stored one after another, expected pixel by pixel".into());
    }
    let (deep, pixels) = match decoder.read_image().map_err(in_words)? {
        tiff::decoder::DecodingResult::U8(pixels) => (false, pixels),
        tiff::decoder::DecodingResult::U16(pixels) => (true, upper_bytes(&pixels)),
        _ => return Err("its values are not whole numbers from 0".into()),
    };
    Ok(DecodedImage { deep, several: decoder.more_images(), orientation, ..DecodedImage::new(size, values, pixels) })
}

fn gif(bytes: &[u8]) -> Result<DecodedImage, String> {
    const VALUES: usize = 4;
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    options
        .set_memory_limit(NonZeroU64::new(limit::get()).map_or(gif::MemoryLimit::Unlimited, gif::MemoryLimit::Bytes));
    options.check_frame_consistency(true);
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(in_words)?;
    let size = check_size((decoder.width().into(), decoder.height().into()))?;
    let mut pixels = vec![0; size.0 * size.1 * VALUES];
    let frame = decoder.read_next_frame().map_err(in_words)?.ok_or("it has no frame")?;
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let row = usize::from(frame.width) * VALUES;
    for (y, line) in frame.buffer.chunks_exact(row.max(1)).enumerate() {
        let at = ((top + y) * size.0 + left) * VALUES;
        pixels.get_mut(at..at + row).ok_or("its frame is larger than the image")?.copy_from_slice(line);
    }
    let several = decoder.next_frame_info().is_ok_and(|next| next.is_some());
    Ok(DecodedImage { several, ..DecodedImage::new(size, VALUES, pixels) })
}

fn pnm(bytes: &[u8]) -> Result<DecodedImage, String> {
    let mut decoder = PPMDecoder::new_with_options(ZCursor::new(bytes), options());
    decoder.decode_headers().map_err(debugged)?;
    let size = check_size(decoder.dimensions().ok_or("it has no header")?)?;
    let values = decoder.colorspace().ok_or("it has no header")?.num_components();
    if let Some([.., white]) = pnm_header(bytes).filter(|[.., white]| !matches!(white, 255 | 65_535)) {
        return Err(format!("its largest value is {white}, expected 255 or 65535"));
    }
    let (deep, pixels) = match decoder.decode().map_err(debugged)? {
        DecodingResult::U8(pixels) => (false, pixels),
        DecodingResult::U16(pixels) => (true, upper_bytes(&pixels)),
        _ => return Err("its values are not whole numbers from 0".into()),
    };
    Ok(DecodedImage { deep, ..DecodedImage::new(size, values, pixels) })
}

/// Width, height and the value of white of a PNM image.
fn pnm_header(bytes: &[u8]) -> Option<[u32; 3]> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]);
    let uncommented = head.split('\n').map(|line| line.split('#').next().unwrap_or_default());
    let mut words = uncommented.flat_map(str::split_ascii_whitespace).skip(1);
    let mut number = || words.next()?.parse().ok();
    Some([number()?, number()?, number()?])
}

fn upper_bytes(values: &[u16]) -> Vec<u8> {
    values.iter().map(|value| value.to_be_bytes()[0]).collect()
}

/// The orientation in Exif data, 1 being upright.
fn orientation(exif: &[u8]) -> Option<u16> {
    const TAG: u16 = 0x0112;
    let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let little = tiff.starts_with(b"II");
    let number = |at: usize, len: usize| {
        let bytes = tiff.get(at..at.checked_add(len)?)?;
        let digits = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
        Some(if little { bytes.iter().rev().fold(0, digits) } else { bytes.iter().fold(0, digits) })
    };
    let directory = number(4, 4)?;
    let mut entries = (0..number(directory, 2)?).map(|entry| directory + 2 + 12 * entry);
    let entry = entries.find(|&entry| number(entry, 2) == Some(TAG.into()))?;
    number(entry + 8, 2).and_then(|value| u16::try_from(value).ok())
}
