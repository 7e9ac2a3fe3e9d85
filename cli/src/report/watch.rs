//! The page of a run while it goes: curves, accuracies and templates, in one file that reloads itself in a browser; at the end a picture that
//! shows the templates grow.

use super::html::{self, charts, note, section, tiles};
use super::{ReportError, run};
use crate::data::ImageShape;
use crate::durable::{FolderKind, OwnFiles};
use crate::plot::canvas;
use crate::plot::curves::{self, RowCounts};
use crate::plot::pixels::{Pixels, animated};
use crate::plot::templates::{ImageWeights, Templates};
use crate::run::folder::{self, FRAMES, WATCH};
use crate::run::record::RecordError;
use crate::run::recorded::BoundsRow;
use crate::run::{PreparedData, RunResult};
use crate::shown;
use crate::solver::{LogEntry, Measurement};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Seconds after which the page reloads itself.
const RELOAD: u32 = 2;
/// Time between two pages.
const BETWEEN: Duration = Duration::from_millis(500);
/// Frames of the animated picture; of more, every second one stays.
const MOST_FRAMES: usize = 60;
/// Time that a frame stays, in hundredths of a second.
const FRAME: u16 = 20;

/// The page of a run that goes.
#[derive(Debug)]
pub struct WatchPage {
    made: OwnFiles,
    name: String,
    rows: RowCounts,
    class_names: Vec<String>,
    /// `None` where the rows are no images.
    shape: Option<ImageShape>,
    metrics: Vec<LogEntry>,
    bounds: Vec<BoundsRow>,
    tiles: Vec<Pixels>,
    frames: Vec<Pixels>,
    /// Weights that were told, and of how many one becomes a frame.
    told: usize,
    every: usize,
    written: Option<Instant>,
}

impl WatchPage {
    /// Begins the page of a run in its folder, which is there.
    ///
    /// # Errors
    /// [`ReportError`] when it cannot be written.
    pub fn begin(folder: &Path, prepared: &PreparedData) -> Result<Self, ReportError> {
        let made = folder::open(folder)?.unwrap_or_else(|| OwnFiles::unmarked(folder, FolderKind::Run, []));
        let (data, split) = (&prepared.data, &prepared.split);
        let n_weights = data.features.n_features() * data.n_classes();
        let is_image = ImageWeights::new(&vec![0.0; n_weights], &data.class_names, data.image_shape).is_ok();
        let mut watch = Self {
            made,
            name: super::name_of(folder),
            rows: RowCounts { train: split.train.len(), validation: split.validation.len(), test: split.test.len() },
            class_names: data.class_names.clone(),
            shape: data.image_shape.filter(|_| is_image),
            metrics: Vec::new(),
            bounds: Vec::new(),
            tiles: Vec::new(),
            frames: Vec::new(),
            told: 0,
            every: 1,
            written: None,
        };
        watch.write()?;
        Ok(watch)
    }

    /// The page.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.made.folder().join(WATCH)
    }

    /// Whether there is anything to show of the weights.
    #[must_use]
    pub const fn wants_weights(&self) -> bool {
        self.shape.is_some()
    }

    /// Notes a logged moment, and the bounds that were measured there.
    ///
    /// # Errors
    /// [`ReportError`] when the page cannot be written.
    pub fn log(&mut self, entry: &LogEntry, bounds: Option<&Measurement>) -> Result<(), ReportError> {
        self.metrics.push(*entry);
        if let Some(&Measurement { primal, dual, relative_gap }) = bounds {
            let LogEntry { epoch, seconds, .. } = *entry;
            self.bounds.push(BoundsRow { epoch, primal, dual, relative_gap, seconds });
        }
        self.write_in_time()
    }

    /// Notes the weights after a number of steps.
    ///
    /// # Errors
    /// As [`WatchPage::log`].
    pub fn weights(&mut self, step: u64, weights: &[f32]) -> Result<(), ReportError> {
        let values: Vec<f64> = weights.iter().map(|&w| f64::from(w)).collect();
        let Ok(weights) = ImageWeights::new(&values, &self.class_names, self.shape) else { return Ok(()) };
        self.tiles = weights.tiles();
        if self.told.is_multiple_of(self.every) {
            let steps = if step == 1 { "step" } else { "steps" };
            let line = format!("{} · after {} {steps}", canvas::clean(&self.name), shown::grouped(step));
            let frame = canvas::pixels(&Templates::of(&weights, line).even(), 1);
            self.frames.push(frame.map_err(|problem| self.failed(problem))?);
        }
        self.told += 1;
        if self.frames.len() > MOST_FRAMES {
            let mut kept = (0..).map(|i: usize| i.is_multiple_of(2));
            self.frames.retain(|_| kept.next().unwrap_or(true));
            self.every *= 2;
        }
        self.write_in_time()
    }

    /// Writes the page as it stays, with the result of a run that has one, and the animated picture.
    ///
    /// # Errors
    /// As [`WatchPage::log`].
    pub fn end(self, result: Option<&RunResult>) -> Result<(), ReportError> {
        let words = result.map_or_else(|| "failed".into(), |result| result.stop_reason.replace('_', " "));
        let mut body = self.body(result)?;
        if self.frames.len() > 1 {
            let picture = animated(&self.frames, FRAME).map_err(|problem| self.failed(problem))?;
            body += &section(
                "frames",
                "Templates over the steps",
                &html::image(&picture, "templates over the steps", "figure"),
            );
            self.made.write(FRAMES, &picture).map_err(RecordError::from)?;
        }
        let page = html::page(&self.name, &format!("the run has ended: {words}"), &body);
        Ok(self.made.write(WATCH, page.as_bytes()).map_err(RecordError::from)?)
    }

    fn failed(&self, problem: String) -> ReportError {
        ReportError::Draw { folder: self.made.folder().to_path_buf(), problem }
    }

    fn write_in_time(&mut self) -> Result<(), ReportError> {
        if self.written.is_none_or(|written| written.elapsed() >= BETWEEN) { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), ReportError> {
        let below = format!("a run that goes; the page reloads itself every {RELOAD} seconds");
        let page = html::live_page(RELOAD, &self.name, &below, &self.body(None)?);
        self.made.write(WATCH, page.as_bytes()).map_err(RecordError::from)?;
        self.written = Some(Instant::now());
        Ok(())
    }

    fn body(&self, result: Option<&RunResult>) -> Result<String, ReportError> {
        let mut out = tiles(&self.newest(result));
        let mut all = vec![curves::loss_chart(&self.metrics), curves::accuracy_chart(&self.metrics, self.rows)];
        if !self.bounds.is_empty() {
            all.extend(curves::bounds_charts(&self.bounds));
        }
        out += &section("curves", "Curves", &charts(all).map_err(|problem| self.failed(problem))?);
        if !self.tiles.is_empty() {
            out += &section("weights", "Weights of each class", &run::templates_of(&self.tiles, &self.class_names));
        }
        if self.metrics.is_empty() {
            out += &note("Nothing is logged yet.");
        }
        Ok(out)
    }

    /// The newest numbers; those of the whole run once it has ended.
    fn newest(&self, result: Option<&RunResult>) -> Vec<(String, String)> {
        let newest = |value: fn(&LogEntry) -> Option<f64>| self.metrics.iter().rev().find_map(value);
        let mut values = Vec::new();
        values.extend(self.metrics.last().map(|entry| ("step".into(), shown::grouped(entry.step))));
        values.extend(newest(|e| e.loss).map(|loss| ("objective as logged".into(), run::number(loss))));
        let (train, validation, test) = match result {
            Some(result) => (result.train_accuracy, result.validation_accuracy, result.test_accuracy),
            None => (newest(|e| e.train_accuracy), newest(|e| e.validation_accuracy), None),
        };
        let accuracies = [("train accuracy", train), ("validation accuracy", validation), ("test accuracy", test)];
        values.extend(accuracies.into_iter().filter_map(|(name, a)| a.map(|a| (name.to_owned(), run::percent(a)))));
        values
    }
}
