//! Rows to look at: of each pair that is often confused, those that the model is surest of.

use super::run::PAIRS;
use crate::config::LoadedConfig;
use crate::data::{Dataset, ImageShape};
use crate::metric::{Confusion, argmax};
use crate::model::Classifier;
use crate::plot::pixels::Pixels;
use crate::run::recorded::read_result;
use crate::run::{self, rows_to_report};
use std::path::Path;

/// Images of a pair.
const IMAGES: usize = 8;

/// Examples from the data of a run.
#[derive(Debug)]
pub(super) struct RunExamples {
    pub(super) pairs: Vec<Pair>,
    /// Rows of each class in train, validation and test.
    pub(super) counts: Vec<(String, [usize; 3])>,
}

/// Rows of a class that are taken for another.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) label: usize,
    pub(super) predicted: usize,
    /// The number of the row in the data, and its picture.
    pub(super) images: Vec<(u32, Vec<u8>)>,
}

/// Reads the data that a run was trained on once more.
///
/// # Errors
/// Why there is nothing to show, in words.
pub(super) fn read(
    config: &str,
    folder: &Path,
    model: &Classifier,
    confusion: Option<&Confusion>,
) -> Result<RunExamples, String> {
    let directory = read_result(folder).ok().and_then(|result| result.working_directory);
    let config =
        LoadedConfig::stored(config, &folder.join("config.toml"), directory.as_deref()).map_err(|e| e.problem)?;
    let prepared = run::prepare(&config).map_err(|e| e.to_string())?;
    let data = &prepared.data;
    if data.class_names != model.class_names || data.features.n_features() != model.n_features() {
        return Err("the data are no longer those that the model was trained on".into());
    }
    let splits = [&prepared.split.train, &prepared.split.validation, &prepared.split.test];
    let mut counts: Vec<(String, [usize; 3])> = data.class_names.iter().map(|name| (name.clone(), [0; 3])).collect();
    for (split, rows) in splits.into_iter().enumerate() {
        rows.iter().for_each(|&r| counts[data.labels[r as usize] as usize].1[split] += 1);
    }
    let mut shown = RunExamples { pairs: Vec::new(), counts };
    let (Some(shape), Some(confusion)) = (data.image_shape, confusion) else {
        return Ok(shown);
    };
    if !matches!(shape.channels, 1 | 3) {
        return Ok(shown);
    }
    let (_, rows) = rows_to_report(&prepared.split);
    let wrong = mistakes(model, data, rows);
    let highest = if data.image_shape.is_some() { brightest(data, rows) } else { 1.0 };
    for (_, label, predicted) in confusion.most_confused(PAIRS) {
        let mut of: Vec<&Misprediction> =
            wrong.iter().filter(|m| (m.label, m.predicted) == (label, predicted)).collect();
        of.sort_by(|a, b| b.lead.total_cmp(&a.lead).then(a.row.cmp(&b.row)));
        let images = of.iter().take(IMAGES).map(|m| (m.row, picture(data, shape, m.row, highest).to_png())).collect();
        shown.pairs.push(Pair { label, predicted, images });
    }
    Ok(shown)
}

/// A row that is predicted wrong, and by how much the wrong class leads.
struct Misprediction {
    row: u32,
    label: usize,
    predicted: usize,
    lead: f64,
}

fn mistakes(model: &Classifier, data: &Dataset, rows: &[u32]) -> Vec<Misprediction> {
    let parts = model.fold_scores(&data.features, rows, Vec::new, |found, position, scores| {
        let row = rows[position];
        let (label, predicted) = (data.labels[row as usize] as usize, argmax(scores));
        if label != predicted {
            found.push(Misprediction { row, label, predicted, lead: scores[predicted] - scores[label] });
        }
    });
    parts.into_iter().flatten().collect()
}

/// The largest value of the first rows: 255 of bytes, whatever it is of floats.
fn brightest(data: &Dataset, rows: &[u32]) -> f64 {
    let mut highest = f64::from(f32::MIN_POSITIVE);
    for &row in rows.iter().take(200) {
        data.features.for_each_cell(row as usize, |_, v| highest = highest.max(v));
    }
    highest
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn picture(data: &Dataset, shape: ImageShape, row: u32, highest: f64) -> Pixels {
    let mut pixels = Pixels::white(shape.width as u32, shape.height as u32);
    let plane = shape.width * shape.height;
    let mut cells = vec![0.0; plane * shape.channels];
    data.features.for_each_cell(row as usize, |j, v| cells[j] = v);
    for at in 0..plane {
        let channel =
            |c: usize| (255.0 * (cells[(c % shape.channels) * plane + at] / highest).clamp(0.0, 1.0)).round() as u8;
        let (x, y) = ((at % shape.width) as u32, (at / shape.width) as u32);
        pixels.set(x, y, [channel(0), channel(1), channel(2)]);
    }
    pixels
}
