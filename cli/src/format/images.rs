//! Folders of images: one folder a class, image files of one size.
//!
//! ```text
//! train/cat/001.png
//! train/cat/2024/a.webp
//! train/dog/001.jpg
//! ```
//! The folder's name is the label; folders within it belong to the class. Rows come in the order of the paths, so that a split means the
//! same everywhere. Images are grey or red, green and blue, kept as bytes in planes: grey ones become RGB where others are, palettes are
//! looked up. A note says what is lost: the lower 8 of 16 bits, alpha channels, an orientation in the Exif data, further frames; and
//! what is passed over.

mod decode;
mod folder;

use super::columns::ModelColumns;
use super::open::{ByteSource, fill, path_error};
use super::{FilePart, assemble, limit};
use crate::data::{Dataset, Dense, Features, ImageShape, LabelColumn};
use crate::durable;
use crate::format::{DataError, Position, Table};
pub(super) use decode::decode;
use decode::{Image, KINDS, Kind, Omission};
use folder::{LabelledImage, Listing};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

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
        let mut notes = Vec::new();
        let (train, first) = read_folder(&self.train, None, &mut notes)?;
        let test = self.test.as_deref().map(|test| read_folder(test, Some(&first), &mut notes)).transpose()?;
        let train = train.weighted_by(self.weights.as_deref())?;
        // Names of folders stay as they are.
        let names = Some(train.labels.class_names());
        let dataset = assemble(train, test.map(|(part, _)| part), names, notes)?;
        Ok(Dataset { image_shape: Some(first.shape), ..dataset })
    }
}

/// The shape that all images have, and the file that has it.
#[derive(Debug, Clone)]
struct First {
    shape: ImageShape,
    file: PathBuf,
}

/// Reads a part; a test part has the shape of the train part.
fn read_folder(
    folder: &Path,
    of_train: Option<&First>,
    notes: &mut Vec<String>,
) -> Result<(FilePart, First), DataError> {
    let listing = Listing::of(folder)?;
    notes.extend(listing.note(folder));
    let Some(LabelledImage { file, .. }) = listing.images.first() else {
        return Err(DataError::content(folder, Position::File, "holds no image in a folder of its own class")
            .with_hint(format!("a data set is a folder with one folder a class, each with images: {KINDS}")));
    };
    let mut first = match of_train {
        Some(first) => first.clone(),
        None => First { shape: read_image(file)?.shape, file: file.clone() },
    };
    let losses = Omission::ALL.map(|_| AtomicUsize::new(0));
    let mut pixels = read_pixels(folder, &listing.images, &first, &losses, of_train.is_none())?;
    if pixels.is_none() {
        first.shape.channels = 3;
        losses.iter().for_each(|n| n.store(0, Ordering::Relaxed));
        pixels = read_pixels(folder, &listing.images, &first, &losses, false)?;
    }
    let lost = Omission::ALL.into_iter().zip(losses.map(AtomicUsize::into_inner)).filter(|(_, n)| *n > 0);
    notes.extend(lost.map(|(loss, n)| format!("{}: {}", folder.display(), loss.of(n))));
    let mut labels = LabelColumn::new();
    listing.images.iter().for_each(|image| labels.push(&image.class));
    let features = Features::U8(Dense::new(width_of(first.shape), pixels.unwrap_or_default()));
    Ok((FilePart::new(folder, folder, features, labels), first))
}

/// All images in rows; `None` where one is RGB, the first is grey, and the rows `may_turn` RGB.
fn read_pixels(
    folder: &Path,
    images: &[LabelledImage],
    first: &First,
    losses: &[AtomicUsize; Omission::ALL.len()],
    may_turn: bool,
) -> Result<Option<Vec<u8>>, DataError> {
    let width = width_of(first.shape);
    limit::check(folder, (width as u64).saturating_mul(images.len() as u64))?;
    let mut pixels = vec![0; width.saturating_mul(images.len())];
    let turns = AtomicBool::new(false);
    pixels.par_chunks_mut(width).zip(images).try_for_each(|(row, LabelledImage { file, .. })| {
        if turns.load(Ordering::Relaxed) {
            return Ok(());
        }
        let image = read_image(file)?.in_channels(first.shape.channels);
        if may_turn && (image.shape.channels, first.shape.channels) == (3, 1) {
            turns.store(true, Ordering::Relaxed);
            return Ok(());
        }
        if image.shape != first.shape {
            return Err(odd(file, image.shape, first));
        }
        for loss in &image.losses {
            losses[*loss as usize].fetch_add(1, Ordering::Relaxed);
        }
        row.copy_from_slice(&image.pixels);
        Ok(())
    })?;
    Ok((!turns.into_inner()).then_some(pixels))
}

const fn width_of(shape: ImageShape) -> usize {
    shape.channels * shape.height * shape.width
}

/// The error about an image of another shape.
fn odd(file: &Path, shape: ImageShape, first: &First) -> DataError {
    let problem = format!("is {}, expected {} as {} is", shown(shape), shown(first.shape), first.file.display());
    let ImageShape { height, width, .. } = first.shape;
    let hint = if (shape.height, shape.width) == (height, width) {
        "`mogrify -colorspace Gray` makes images grey".to_owned()
    } else {
        format!("`mogrify -resize '{width}x{height}!'` brings images to one size")
    };
    DataError::content(file, Position::File, problem).with_hint(hint)
}

/// Size and kind of an image, in words.
pub(super) fn shown(shape: ImageShape) -> String {
    let kind = if shape.channels == 1 { "grey" } else { "RGB" };
    format!("{} x {} pixels, {kind}", shape.width, shape.height)
}

/// True for the first bytes of an image.
pub(super) fn detect(head: &[u8]) -> bool {
    Kind::of(head).is_some()
}

/// Reads a single image as one row without a label; a grey one in RGB, where the model has three times as many features.
pub(super) fn read(mut source: ByteSource, wanted: Option<&ModelColumns>) -> Result<Table, DataError> {
    let mut bytes = Vec::new();
    source.read_all(&mut bytes)?;
    let image = decode(&bytes).map_err(|problem| damaged(source.file(), &problem))?;
    let turns = wanted.is_some_and(|wanted| wanted.n_features == 3 * image.pixels.len());
    let Image { shape, pixels, .. } = if turns { image.in_channels(3) } else { image };
    let features = Features::U8(Dense::new(pixels.len(), pixels));
    Ok(Table { image_shape: Some(shape), ..Table::of(features) })
}

fn read_image(file: &Path) -> Result<Image, DataError> {
    let (mut opened, metadata) = durable::open(file).map_err(|e| path_error(file, &e))?;
    let (len, mut bytes) = (if metadata.is_file() { metadata.len() } else { 0 }, Vec::new());
    limit::check(file, len)?;
    fill(&mut opened, &mut bytes, u64::MAX, len).map_err(|e| path_error(file, &e))?;
    decode(&bytes).map_err(|problem| damaged(file, &problem))
}

fn damaged(file: &Path, problem: &str) -> DataError {
    let convert = "`mogrify -format png -type TrueColor -depth 8 FILE` writes a PNG of what other programs can read: then remove FILE";
    DataError::content(file, Position::File, problem).with_hint(format!("open it in a viewer: is it whole? {convert}"))
}

#[cfg(test)]
mod tests;
