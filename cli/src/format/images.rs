//! Folders of images: one folder a class, PNG and JPEG files of one size.
//!
//! ```text
//! train/cat/001.png
//! train/dog/001.jpg
//! ```
//! The folder's name is the label. Rows come in the order of folder and file names, so that a split means the same everywhere.
//! Images are grey or red, green and blue, kept as bytes in planes; an alpha channel is dropped, 16 bits are cut to 8. Files
//! of other kinds are passed over.
//!
//! # References
//! ISO/IEC 15948, *Portable Network Graphics*; ITU-T T.81, *Digital compression and coding of continuous-tone still images*.

use super::open::{Source, fill, path_error};
use super::{Part, assemble, limit};
use crate::data::{Dataset, Dense, Features, ImageShape, LabelColumn};
use crate::durable;
use crate::format::{DataError, Position, Table};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;
use zune_jpeg::zune_core::result::DecodingResult;
use zune_png::PngDecoder;

const EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];
/// Pixels of the widest image that is read, a side.
const LONGEST: usize = 16_384;
const LAYOUT: &str = "a data set is a folder with one folder a class, each with PNG or JPEG files";

/// `[data.images]`: folders with one folder a class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImagesConfig {
    /// The folder to train on.
    pub train: PathBuf,
    /// The folder of the test part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// A text file with a weight a line for each image to train on, in the order of the names of folders and files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
}

impl ImagesConfig {
    /// The paths that are given, with their keys.
    pub fn paths_mut(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        let mut paths = vec![("train", &mut self.train)];
        paths.extend(self.test.as_mut().map(|path| ("test", path)));
        paths.extend(self.weights.as_mut().map(|path| ("weights", path)));
        paths
    }

    /// Reads both parts.
    ///
    /// # Errors
    /// As for [`DataConfig::load`](super::DataConfig::load).
    pub fn load(&self) -> Result<Dataset, DataError> {
        let (train, shape) = read_folder(&self.train, None)?;
        let test = self.test.as_deref().map(|test| read_folder(test, Some(&shape))).transpose()?;
        let train = train.weighted_by(self.weights.as_deref())?;
        // Names of folders stay as they are.
        let names = Some(train.labels.class_names());
        let dataset = assemble(train, test.map(|(part, _)| part), names, Vec::new())?;
        Ok(Dataset { image_shape: Some(shape.shape), ..dataset })
    }
}

/// The shape that all images have, and the file that has it.
#[derive(Debug, Clone)]
struct First {
    shape: ImageShape,
    file: PathBuf,
}

/// An image in planes.
pub(super) struct Image {
    pub(super) shape: ImageShape,
    pub(super) pixels: Vec<u8>,
}

fn read_folder(folder: &Path, first: Option<&First>) -> Result<(Part, First), DataError> {
    let files = files_of(folder)?;
    let Some((_, file)) = files.first() else {
        let problem = "holds no PNG or JPEG file in a folder of its own class";
        return Err(DataError::content(folder, Position::File, problem).with_hint(LAYOUT));
    };
    let first = match first {
        Some(first) => first.clone(),
        None => First { shape: read_image(file)?.shape, file: file.clone() },
    };
    let width = first.shape.channels * first.shape.height * first.shape.width;
    limit::check(folder, (width as u64).saturating_mul(files.len() as u64))?;
    let mut pixels = vec![0; width.saturating_mul(files.len())];
    pixels.par_chunks_mut(width).zip(&files).try_for_each(|(row, (_, file))| {
        let image = read_image(file)?;
        if image.shape != first.shape {
            return Err(odd(file, image.shape, &first));
        }
        row.copy_from_slice(&image.pixels);
        Ok(())
    })?;
    let mut labels = LabelColumn::new();
    files.iter().for_each(|(class, _)| labels.push(class));
    Ok((Part::new(folder, folder, Features::U8(Dense::new(width, pixels)), labels), first))
}

fn odd(file: &Path, shape: ImageShape, first: &First) -> DataError {
    let problem = format!("is {}, expected {} as {} is", shown(shape), shown(first.shape), first.file.display());
    DataError::content(file, Position::File, problem)
        .with_hint("bring all images to one size and kind first, for example `mogrify -resize 32x32! -colorspace sRGB`")
}

/// Size and kind of an image, in words.
pub(super) fn shown(shape: ImageShape) -> String {
    let kind = if shape.channels == 1 { "grey" } else { "RGB" };
    format!("{} x {} pixels, {kind}", shape.width, shape.height)
}

/// Class and path of every image, in the order of their names.
fn files_of(folder: &Path) -> Result<Vec<(String, PathBuf)>, DataError> {
    let mut files = Vec::new();
    for class in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        let name = class.file_name().unwrap_or_default();
        let Some(name) = name.to_str() else {
            return Err(DataError::content(
                &class,
                Position::File,
                "the folder's name is not UTF-8, but names a class",
            ));
        };
        if name.starts_with('.') {
            continue;
        }
        let images = entries(&class)?.into_iter().filter(|path| is_image(path) && path.is_file());
        files.extend(images.map(|path| (name.to_owned(), path)));
    }
    Ok(files)
}

fn is_image(path: &Path) -> bool {
    let hidden = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with('.'));
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    !hidden && extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let list = || fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>();
    let mut paths = list().map_err(|e| path_error(folder, &e))?;
    paths.sort_unstable();
    Ok(paths)
}

/// True for the first bytes of an image.
pub(super) fn detect(head: &[u8]) -> bool {
    head.starts_with(b"\x89PNG") || head.starts_with(b"\xff\xd8\xff")
}

/// Reads a single image as one row without a label.
pub(super) fn read(mut source: Source) -> Result<Table, DataError> {
    let mut bytes = Vec::new();
    source.read_all(&mut bytes)?;
    let image = decode(&bytes).map_err(|problem| damaged(source.file(), &problem))?;
    let features = Features::U8(Dense::new(image.pixels.len(), image.pixels));
    Ok(Table { features, labels: None, image_shape: Some(image.shape), class_names: None, notes: Vec::new() })
}

fn read_image(file: &Path) -> Result<Image, DataError> {
    let (mut opened, metadata) = durable::open(file).map_err(|e| path_error(file, &e))?;
    let (len, mut bytes) = (if metadata.is_file() { metadata.len() } else { 0 }, Vec::new());
    limit::check(file, len)?;
    fill(&mut opened, &mut bytes, u64::MAX, len).map_err(|e| path_error(file, &e))?;
    decode(&bytes).map_err(|problem| damaged(file, &problem))
}

fn damaged(file: &Path, problem: &str) -> DataError {
    DataError::content(file, Position::File, problem)
        .with_hint("open it in a viewer: is it whole? remove or replace it")
}

/// Decodes the bytes of an image file.
pub(super) fn decode(bytes: &[u8]) -> Result<Image, String> {
    if bytes.starts_with(b"\x89PNG") {
        return decode_png(bytes).map_err(|e| format!("the PNG image cannot be decoded: {e}"));
    }
    if bytes.starts_with(b"\xff\xd8") {
        return decode_jpeg(bytes).map_err(|e| format!("the JPEG image cannot be decoded: {e}"));
    }
    Err(format!("found {}, expected a PNG or JPEG image", super::open::looks_like(bytes)))
}

fn decode_png(bytes: &[u8]) -> Result<Image, String> {
    let options = options().png_set_strip_to_8bit(true);
    let mut decoder = PngDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| in_words(&format!("{e:?}")))?;
    check_size(decoder.dimensions().ok_or("it has no header")?)?;
    let pixels = decoder.decode().map_err(|e| in_words(&format!("{e:?}")))?;
    let DecodingResult::U8(pixels) = pixels else { return Err("it does not have 8 bits a channel".into()) };
    let (width, height) = decoder.dimensions().ok_or("it has no header")?;
    let (stored, channels) = match decoder.colorspace() {
        Some(ColorSpace::Luma) => (1, 1),
        Some(ColorSpace::LumaA) => (2, 1),
        Some(ColorSpace::RGB) => (3, 3),
        Some(ColorSpace::RGBA) => (4, 3),
        other => return Err(format!("its colours are {other:?}, expected grey or RGB")),
    };
    if pixels.len() != stored * height * width {
        return Err("it is cut off".into());
    }
    Ok(planes(&pixels, stored, ImageShape { channels, height, width }))
}

/// Decoded, with all that a decoder needs on the way, a pixel takes up to sixteen bytes.
fn check_size((width, height): (usize, usize)) -> Result<(), String> {
    limit::problem((width as u64).saturating_mul(height as u64).saturating_mul(16)).map_or(Ok(()), Err)
}

fn options() -> DecoderOptions {
    DecoderOptions::new_safe().set_strict_mode(true).set_max_width(LONGEST).set_max_height(LONGEST)
}

/// A decoder's message on one line.
fn in_words(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ").trim_matches('"').to_owned()
}

fn decode_jpeg(bytes: &[u8]) -> Result<Image, String> {
    let options = options();
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| in_words(&e.to_string()))?;
    let info = decoder.info().ok_or("it has no header")?;
    check_size((info.width.into(), info.height.into()))?;
    let channels = if info.components == 1 { 1 } else { 3 };
    let space = if channels == 1 { ColorSpace::Luma } else { ColorSpace::RGB };
    decoder.set_options(options.jpeg_set_out_colorspace(space));
    let pixels = decoder.decode().map_err(|e| in_words(&e.to_string()))?;
    let shape = ImageShape { channels, height: info.height.into(), width: info.width.into() };
    if pixels.len() != channels * shape.height * shape.width {
        return Err("it is cut off".into());
    }
    Ok(planes(&pixels, channels, shape))
}

/// Pixels of `stored` values each into planes of the first ones.
fn planes(pixels: &[u8], stored: usize, shape: ImageShape) -> Image {
    let planes = (0..shape.channels).flat_map(|plane| pixels.iter().skip(plane).step_by(stored).copied());
    Image { shape, pixels: planes.collect() }
}

#[cfg(test)]
mod tests;
