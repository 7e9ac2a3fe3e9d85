//! Figures of a finished run, drawn from its folder alone, so that any old run can be drawn again.
//!
//! Imports `run::record`, `model` and `metric`; never a live solver.

pub mod canvas;
pub(crate) mod chart;
pub mod confusion;
pub mod curves;
pub(crate) mod kink;
mod marks;
mod palette;
pub mod panels;
pub mod pixels;
pub(crate) mod scale;
pub mod search;
pub mod templates;

use crate::durable::{FolderError, FolderKind, OwnFiles, Refusal};
use crate::model::file::ModelFileError;
use crate::model_file;
use crate::run::folder::{self, FIGURES};
use crate::run::record::RecordError;
use crate::run::recorded;
use crate::search::folder as search_folder;
use canvas::Figure;
use clap::ValueEnum;
use curves::RowCounts;
use std::path::{Path, PathBuf};

/// A figure that cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlotError {
    /// The run folder cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The model of the run cannot be read.
    #[error(transparent)]
    Model(#[from] ModelFileError),
    /// The picture cannot be written.
    #[error("{file}: {problem}")]
    Draw {
        /// The picture.
        file: PathBuf,
        /// The problem.
        problem: String,
    },
}

/// The files that a figure is written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum FigureFormat {
    /// For talks and pages.
    Png,
    /// For print.
    Svg,
    /// One of each.
    #[default]
    Both,
}

/// Figures drawn, and figures left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FigureFiles {
    /// The files written.
    pub files: Vec<PathBuf>,
    /// Figures that the run has no data for, each with the reason.
    pub skipped: Vec<String>,
}

/// Writes figures into a folder.
struct Sheet {
    /// Files of the run in its folder.
    made: OwnFiles,
    format: FigureFormat,
    drawn: FigureFiles,
}

impl Sheet {
    fn put(&mut self, name: &str, figure: &impl Figure) -> Result<(), PlotError> {
        let files = [format!("{FIGURES}/{name}.png"), format!("{FIGURES}/{name}.svg")];
        let wanted = match self.format {
            FigureFormat::Png => &files[..1],
            FigureFormat::Svg => &files[1..],
            FigureFormat::Both => &files[..],
        };
        self.made.claim(&wanted.iter().map(String::as_str).collect::<Vec<_>>()).map_err(refused)?;
        if self.format != FigureFormat::Svg {
            self.write(&format!("{name}.png"), canvas::png(figure))?;
        }
        if self.format != FigureFormat::Png {
            self.write(&format!("{name}.svg"), canvas::svg(figure).map(String::into_bytes))?;
        }
        Ok(())
    }

    fn write(&mut self, name: &str, content: Result<Vec<u8>, String>) -> Result<(), PlotError> {
        let file = self.made.folder().join(FIGURES).join(name);
        let content = content.map_err(|problem| PlotError::Draw { file: file.clone(), problem })?;
        self.made.write(&format!("{FIGURES}/{name}"), &content).map_err(refused)?;
        self.drawn.files.push(file);
        Ok(())
    }

    /// A figure of an earlier run in the same folder would pass for one of this run.
    fn clear(&self, figure: &str) {
        let names: Vec<String> = folder::figures(&[figure]).collect();
        let _ = self.made.remove(&names.iter().map(String::as_str).collect::<Vec<_>>());
    }

    fn skip(&mut self, figure: &str, reason: &str) {
        self.clear(figure);
        self.drawn.skipped.push(format!("{figure}: not drawn, {reason}"));
    }

    fn put_or_skip(&mut self, name: &str, figure: Option<&impl Figure>, reason: &str) -> Result<(), PlotError> {
        match figure {
            Some(figure) => self.put(name, figure),
            None => {
                self.skip(name, reason);
                Ok(())
            }
        }
    }
}

/// A picture that cannot be written, or something else of the folder.
fn refused(trouble: FolderError) -> PlotError {
    let is_picture = trouble.file.parent().is_some_and(|folder| folder.ends_with(FIGURES));
    if is_picture && Refusal::of(&trouble.source).is_none() {
        return PlotError::Draw { problem: trouble.source.to_string(), file: trouble.file };
    }
    PlotError::Record(trouble.into())
}

/// Draws every figure of a run into its `figures/`.
///
/// # Errors
/// [`PlotError`] when the folder is not a run, one of its files is damaged, or a picture cannot be written.
pub fn draw(folder: &Path, format: FigureFormat) -> Result<FigureFiles, PlotError> {
    let metrics = recorded::read_metrics(folder)?;
    let made = folder::open(folder)?.unwrap_or_else(|| OwnFiles::unmarked(folder, FolderKind::Run, []));
    let mut sheet = Sheet { made, format, drawn: FigureFiles::default() };
    let name = run_name(folder);
    // A run that goes on has no result yet.
    let rows = recorded::read_result(folder).map_or_else(|_| RowCounts::default(), |result| RowCounts::of(&result));
    if let Some(points) = recorded::read_path(folder)? {
        // The log of a path is of several models, one after the other.
        sheet.put_or_skip("path", curves::path(&points, rows, &name).as_ref(), "no model was finished")?;
        ["loss", "accuracy"].into_iter().for_each(|figure| sheet.skip(figure, "a path has a model for each C"));
    } else {
        let reason = "no accuracy was measured on the way";
        sheet.put_or_skip("loss", curves::loss(&metrics, &name).as_ref(), "no finite loss was logged")?;
        sheet.put_or_skip("accuracy", curves::accuracy(&metrics, rows, &name).as_ref(), reason)?;
        sheet.clear("path");
    }
    if let Some(rows) = recorded::read_bounds(folder)? {
        sheet.put_or_skip("bounds", curves::bounds(&rows, &name).as_ref(), "no bounds were proved")?;
    } else {
        sheet.clear("bounds");
    }
    match recorded::read_confusion(folder)? {
        Some(found) => {
            let figure = confusion::ConfusionMatrix::new(&found.confusion, &found.class_names, &found.split, &name);
            sheet.put("confusion", &figure)?;
        }
        None => sheet.skip("confusion", "there is no confusion.csv (the run has no model, or is of an older version)"),
    }
    match recorded::read_roc(folder)? {
        Some(record) => sheet.put_or_skip("roc", curves::roc(&record, &name).as_ref(), "it has no curve")?,
        None => sheet.clear("roc"),
    }
    if folder.join("model.safetensors").exists() {
        match templates::Templates::new(&model_file::load(folder)?, &name) {
            Ok(figure) => sheet.put("weights", &figure)?,
            Err(reason) => sheet.skip("weights", &reason.0),
        }
    } else {
        sheet.skip("weights", "there is no model.safetensors");
    }
    Ok(sheet.drawn)
}

/// Draws every figure of a search into its `figures/`.
///
/// # Errors
/// [`PlotError`] when the folder is no search, its files are damaged, or a picture cannot be written.
pub fn draw_search(folder: &Path, format: FigureFormat) -> Result<FigureFiles, PlotError> {
    let record = crate::search::table::read(folder)?;
    let entries = crate::search::ledger::Ledger::entries(folder)?;
    let made = search_folder::open(folder)?.unwrap_or_else(|| OwnFiles::unmarked(folder, FolderKind::Search, []));
    let mut sheet = Sheet { made, format, drawn: FigureFiles::default() };
    let name = run_name(folder);
    let found = search::SearchFigures::new(&record, &entries, &name);
    let few = "the space has no two keys of numbers with several values each";
    sheet.put_or_skip("scatter", found.as_ref().and_then(search::SearchFigures::scatter).as_ref(), few)?;
    sheet.put_or_skip("heatmap", found.as_ref().and_then(search::SearchFigures::heatmap).as_ref(), few)?;
    let curves = found.as_ref().and_then(search::SearchFigures::curves);
    sheet.put_or_skip(
        "curves",
        curves.as_ref(),
        "no losses were logged, and no key is a number with several values",
    )?;
    Ok(sheet.drawn)
}

/// Name of the run in figures: that of its folder.
fn run_name(folder: &Path) -> String {
    let path = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    canvas::clean(&path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned()))
}
