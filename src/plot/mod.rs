//! Figures of a finished run, drawn from its folder alone, so that any old run can be drawn again.
//!
//! Imports `run::record`; never a live solver.

pub mod curves;

use crate::run::record::{self, RecordError};
use std::path::{Path, PathBuf};

/// A figure that cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlotError {
    /// The run folder cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The picture cannot be written.
    #[error("{file}: {problem}")]
    Draw {
        /// The picture.
        file: PathBuf,
        /// What went wrong.
        problem: String,
    },
}

/// Draws every figure of a run into its `figures/`; returns the files.
///
/// # Errors
/// [`PlotError`] when the folder is not a run, or a picture cannot be written.
pub fn draw(folder: &Path) -> Result<Vec<PathBuf>, PlotError> {
    let metrics = record::read_metrics(folder)?;
    let figures = folder.join("figures");
    std::fs::create_dir_all(&figures).map_err(|e| PlotError::Draw { file: figures.clone(), problem: e.to_string() })?;
    let mut files = Vec::new();
    for (name, figure) in [("loss.svg", curves::loss(&metrics)), ("accuracy.svg", curves::accuracy(&metrics))] {
        let Some(figure) = figure else { continue };
        let file = figures.join(name);
        let svg = figure.map_err(|problem| PlotError::Draw { file: file.clone(), problem })?;
        std::fs::write(&file, svg).map_err(|e| PlotError::Draw { file: file.clone(), problem: e.to_string() })?;
        files.push(file);
    }
    Ok(files)
}
