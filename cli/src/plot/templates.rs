//! The weights of each class as a picture, for models of images.
//!
//! As the CS231n notebook draws them: `255·(w − w_min)/(w_max − w_min)`, with **one** minimum and maximum over all classes and
//! channels, so that the pictures can be compared; the bias is left out. The weights are those of the model file: they score
//! preprocessed pixels, and the figure says so where they are not the raw ones.

use super::canvas::{Figure, ImagePlacement, Pen, SCALE, TextMark, fitted};
use super::pixels::{Pixels, text_width};
use crate::data::{Center, ImageShape, Scale};
use crate::model::Classifier;
use crate::shown::number;
use plotters::prelude::DrawingBackend;

const MARGIN: f64 = 24.0;
const TOP: f64 = 88.0;
/// The side of the largest tile, and the width of a row of tiles, in points.
const LARGEST: f64 = 160.0;
const ROW: f64 = 960.0;

/// Pictures of weights.
#[derive(Debug)]
pub struct Templates {
    tiles: Vec<Pixels>,
    names: Vec<String>,
    below: Vec<String>,
    columns: usize,
    /// Between tiles.
    gap: f64,
    /// Pixels of a PNG to a weight.
    zoom: u32,
}

/// Why a model's weights have no pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPicture(pub String);

/// Weights of images.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ImageWeights<'a> {
    /// `[n_features, n_classes]`, row-major.
    values: &'a [f64],
    names: &'a [String],
    shape: ImageShape,
}

impl<'a> ImageWeights<'a> {
    /// Weights `[n_features, n_classes]` of classes by name.
    ///
    /// # Errors
    /// [`NoPicture`] where the rows are no images of one or three channels.
    pub(crate) fn new(values: &'a [f64], names: &'a [String], shape: Option<ImageShape>) -> Result<Self, NoPicture> {
        let shape = shape.ok_or_else(|| NoPicture("the rows are not images".into()))?;
        let ImageShape { channels, height, width } = shape;
        let cells = channels.checked_mul(height).and_then(|cells| cells.checked_mul(width));
        if !matches!(channels, 1 | 3) || cells != values.len().checked_div(names.len()) {
            let problem = format!("images of {channels} channels, expected 1 (grey) or 3 (red, green, blue)");
            return Err(NoPicture(problem));
        }
        Ok(Self { values, names, shape })
    }

    fn of(model: &'a Classifier) -> Result<Self, NoPicture> {
        Self::new(&model.weight, &model.class_names, model.image_shape)
    }

    /// The smallest and the largest weight.
    fn ends(&self) -> (f64, f64) {
        self.values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &w| (l.min(w), h.max(w)))
    }

    /// The picture of each class by itself, a pixel a weight, on one scale.
    pub(crate) fn tiles(&self) -> Vec<Pixels> {
        (0..self.names.len()).map(|class| self.tile(class, 1, self.ends())).collect()
    }
}

/// The picture of each class by itself, a pixel a weight, on one scale.
///
/// # Errors
/// [`NoPicture`] where the rows are no images of one or three channels.
pub(crate) fn tiles(model: &Classifier) -> Result<Vec<Pixels>, NoPicture> {
    Ok(ImageWeights::of(model)?.tiles())
}

impl Templates {
    /// The pictures of a model, `run` being the name of its run.
    ///
    /// # Errors
    /// [`NoPicture`] where the rows are no images of one or three channels.
    pub fn new(model: &Classifier, run: &str) -> Result<Self, NoPicture> {
        Ok(Self::of(&ImageWeights::of(model)?, format!("{run} · {}, bias left out", kind(model))))
    }

    /// The pictures of weights, with a line of text.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    pub(crate) fn of(weights: &ImageWeights<'_>, line: String) -> Self {
        let ImageShape { height, width, .. } = weights.shape;
        let k = weights.names.len();
        let (low, high) = weights.ends();
        // Tiles of a shape of 16:9 or so; with fewer classes than columns, one row.
        let columns = ((k as f64 * 1.8 * height as f64 / width as f64).sqrt().ceil() as usize).clamp(1, k);
        let gap = if columns > 20 { 3.0 } else { 8.0 };
        let room = (ROW / columns as f64 - gap).min(LARGEST) * f64::from(SCALE);
        let block = ((width.max(height) as f64 / room.max(32.0)).ceil() as usize).max(1);
        let tiles: Vec<Pixels> = (0..k).map(|class| weights.tile(class, block, (low, high))).collect();
        let longest = f64::from(tiles.first().map_or(1, |t| t.width.max(t.height)));
        let below =
            vec![line, format!("one scale for all classes: {} is dark, {} is bright", number(low, 3), number(high, 3))];
        let zoom = ((room / longest).floor() as u32).max(1);
        Self { tiles, names: weights.names.to_vec(), below, columns, gap, zoom }
    }

    /// The same with tiles that are whole pixels where there is one to a point.
    pub(crate) fn even(mut self) -> Self {
        self.zoom = (self.zoom / SCALE * SCALE).max(SCALE);
        self
    }

    /// Width and height of a tile in points.
    fn tile(&self) -> (f64, f64) {
        let points = |pixels: u32| f64::from(pixels * self.zoom) / f64::from(SCALE);
        self.tiles.first().map_or((0.0, 0.0), |t| (points(t.width), points(t.height)))
    }

    /// Em of the names, 0 where tiles are too small for any.
    fn em(&self) -> f64 {
        match self.tile().0 {
            w if w >= 80.0 => 13.0,
            w if w >= 36.0 => 9.0,
            _ => 0.0,
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn place(&self, class: usize) -> (f64, f64) {
        let (width, height) = self.tile();
        let label = if self.em() > 0.0 { self.em() + 6.0 } else { 0.0 };
        let (row, column) = (class / self.columns, class % self.columns);
        (MARGIN + column as f64 * (width + self.gap), TOP + label + row as f64 * (height + label + self.gap))
    }
}

/// Meaning of the weights, by the preprocessing.
fn kind(model: &Classifier) -> String {
    let Some(training) = model.training() else {
        return "weights of the features as they are".into();
    };
    let centred = training.center == Center::Mean;
    let scaled = match training.scale {
        Scale::None => None,
        Scale::Pixel => Some("divided by 255"),
        Scale::Std => Some("divided by their standard deviation"),
        Scale::Minmax => Some("divided by their range"),
        Scale::UnitRow => Some("brought to unit length"),
    };
    let done: Vec<&str> = centred.then_some("centred").into_iter().chain(scaled).collect();
    if done.is_empty() {
        "weights of raw pixels".into()
    } else {
        format!("weights of preprocessed pixels ({})", done.join(", "))
    }
}

impl ImageWeights<'_> {
    /// One class: each pixel the mean of a block of weights, where the image is larger than its tile.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    fn tile(&self, class: usize, block: usize, (low, high): (f64, f64)) -> Pixels {
        let Self { values, names, shape } = *self;
        let k = names.len();
        let (width, height) = (shape.width.div_ceil(block), shape.height.div_ceil(block));
        let mut pixels = Pixels::white(width as u32, height as u32);
        let level = |w: f64| {
            let span = high - low;
            // Weights that are all the same are neither dark nor bright.
            if span > 0.0 { (255.0 * (w - low) / span).clamp(0.0, 255.0) as u8 } else { 127 }
        };
        let mean = |channel: usize, x: usize, y: usize| {
            let rows = y * block..((y + 1) * block).min(shape.height);
            let columns = x * block..((x + 1) * block).min(shape.width);
            let n = (rows.len() * columns.len()) as f64;
            let at = |r: usize, c: usize| (channel * shape.height + r) * shape.width + c;
            let cells = rows.flat_map(|r| columns.clone().map(move |c| (r, c)));
            cells.map(|(r, c)| values[at(r, c) * k + class]).sum::<f64>() / n
        };
        for y in 0..height {
            for x in 0..width {
                let color = [0, 1, 2].map(|c| level(mean(c.min(shape.channels - 1), x, y)));
                pixels.set(x as u32, y as u32, color);
            }
        }
        pixels
    }
}

impl Figure for Templates {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn size(&self) -> (u32, u32) {
        let (width, height) = self.tile();
        let last = self.place(self.tiles.len() - 1);
        let right = self.place(self.columns - 1).0 + width;
        let text = self.below.iter().map(|line| text_width(line, 12.0)).fold(0.0, f64::max);
        ((right.max(MARGIN + text) + MARGIN).ceil() as u32, (last.1 + height + MARGIN).ceil() as u32)
    }

    fn draw<B: DrawingBackend>(&self, pen: &Pen<'_, B>) -> Result<(), String> {
        pen.heading(MARGIN, "Weights of each class", &self.below)?;
        let em = self.em();
        for (class, name) in self.names.iter().enumerate().filter(|_| em > 0.0) {
            let (x, y) = self.place(class);
            let centre = x + self.tile().0 / 2.0;
            let name = fitted(name, em, self.tile().0);
            pen.text(&name, TextMark::new(centre, y - 3.0 - em / 2.0, em).centred())?;
        }
        Ok(())
    }

    fn pictures(&self) -> Vec<ImagePlacement> {
        let zoom = f64::from(self.zoom) / f64::from(SCALE);
        let placed =
            |(class, tile): (usize, &Pixels)| ImagePlacement { at: self.place(class), zoom, pixels: tile.clone() };
        self.tiles.iter().enumerate().map(placed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::canvas::{png, svg};
    use super::*;
    use crate::data::Scaler;
    use crate::loss::{Formulation, Loss, Power};
    use crate::model::{BiasRule, Origin, Training};

    fn model(shape: ImageShape, k: usize, weight: impl Fn(usize) -> f64) -> Classifier {
        let d = shape.channels * shape.height * shape.width;
        Classifier {
            weight: (0..d * k).map(weight).collect(),
            // Far outside the range of the weights: it must not move the scale.
            bias: Some(vec![1e9; k]),
            scaler: Scaler::default(),
            encoding: None,
            class_names: (0..k).map(|i| format!("κλάση {i}")).collect(),
            feature_names: None,
            image_shape: Some(shape),
            origin: Origin::Trained(Training {
                loss: Loss::new(Formulation::WestonWatkins, 1.0, Power::One),
                lambda: 1.0,
                n_samples: 1,
                bias: BiasRule::Free,
                center: Center::None,
                scale: Scale::None,
                config: String::new(),
                calibration: None,
            }),
        }
    }

    #[test]
    fn one_scale_over_all_classes_and_channels() {
        // Feature-major: weight 0, 1 of pixel 0 for two classes, ...
        let shape = ImageShape { channels: 1, height: 1, width: 2 };
        let grey = Templates::new(&model(shape, 2, |i| [-1.0, 0.0, 1.0, 3.0][i]), "run").unwrap();
        assert_eq!(grey.tiles[0].rgb, [0, 0, 0, 127, 127, 127]);
        assert_eq!(grey.tiles[1].rgb, [63, 63, 63, 255, 255, 255]);
        // Planes one after another: red, green, blue.
        let shape = ImageShape { channels: 3, height: 1, width: 1 };
        let colour = Templates::new(&model(shape, 2, |i| i as f64), "run").unwrap();
        assert_eq!((&colour.tiles[0].rgb[..], &colour.tiles[1].rgb[..]), (&[0, 102, 204][..], &[51, 153, 255][..]));
        let flat = Templates::new(&model(shape, 2, |_| 0.5), "run").unwrap();
        assert_eq!(flat.tiles[0].rgb, [127; 3]);
    }

    #[test]
    fn every_number_of_classes_and_every_shape_has_a_picture() {
        for (k, channels, height, width) in
            [(2, 1, 28, 28), (10, 3, 32, 32), (100, 3, 32, 32), (1000, 1, 28, 28), (3, 1, 1, 500), (2, 1, 700, 700)]
        {
            let shape = ImageShape { channels, height, width };
            let figure = Templates::new(&model(shape, k, |i| (i as f64 * 0.1).sin()), "run").unwrap();
            let (w, h) = figure.size();
            assert!(w <= 1100 && h <= 900, "{k} classes of {shape:?}: {w} x {h}");
            assert_eq!(svg(&figure).unwrap().matches("<image").count(), k);
            assert!(png(&figure).unwrap().starts_with(b"\x89PNG"));
        }
    }

    #[test]
    fn what_is_no_picture_says_why() {
        let two = ImageShape { channels: 2, height: 2, width: 2 };
        assert!(Templates::new(&model(two, 2, |_| 0.0), "").unwrap_err().0.starts_with("images of 2 channels"));
        let mut other = model(two, 2, |_| 0.0);
        other.image_shape = Some(ImageShape { channels: 1, ..two });
        assert!(Templates::new(&other, "").is_err(), "a shape that does not fit the weights");
        // Sizes in a foreign file whose product overflows to the right number.
        let third = (0xAAAA_AAAA_AAAA_AAAB_u64 as usize).wrapping_mul(other.n_features());
        assert_eq!(third.wrapping_mul(3), other.n_features());
        other.image_shape = Some(ImageShape { channels: 1, height: third, width: 3 });
        assert!(Templates::new(&other, "run").is_err());
        other.image_shape = None;
        assert_eq!(Templates::new(&other, "").unwrap_err(), NoPicture("the rows are not images".into()));
    }
}
