//! libsvm (svmlight) text: a line a row, only the cells that are not zero.
//!
//! ```text
//! LABEL INDEX:VALUE INDEX:VALUE ...  # comment
//! ```
//! Indices count from 1 and increase within a line. A label is an integer (`1`, `+1` and `1.0` are the same) or any other
//! word. Blank lines and comments are skipped; blanks may be tabs, lines may end in CRLF. Ranking data (`qid:`) are refused.
//!
//! # References
//! C.-C. Chang and C.-J. Lin, *LIBSVM: a library for support vector machines*, README, section "Usage";
//! T. Joachims, *SVMlight*, section "How to use".

mod blocks;
mod line;

use super::open::{Source, is_text, looks_like};
use super::{Part, assemble};
use crate::data::{Dataset, Features, LabelColumn};
use crate::format::{DataError, Position, Table};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// `[data.libsvm]`: text files, plain or compressed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LibsvmConfig {
    /// The rows to train on.
    pub train: PathBuf,
    /// The rows of the test part; features that train does not have are dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// A text file with a weight a line for each row to train on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
}

impl LibsvmConfig {
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
        let (train, test) = rayon::join(|| read_part(&self.train), || self.test.as_deref().map(read_part).transpose());
        assemble(train?.weighted_by(self.weights.as_deref())?, test?, None, Vec::new())
    }
}

/// True for the first bytes of a text with `INDEX:VALUE` cells.
pub(super) fn detect(head: &[u8]) -> bool {
    is_text(head) && line::first_cells(head).is_some()
}

/// Reads a file whose rows all have a label, or all have none.
pub(super) fn read(source: Source) -> Result<Table, DataError> {
    let labelled = line::first_cells(source.head()) != Some(line::Cells::WithoutLabel);
    let (features, labels) = blocks::read(source, labelled)?;
    let labels = if labelled { Some(labels) } else { None };
    Ok(Table { features: Features::Sparse(features), labels, image_shape: None, class_names: None })
}

fn read_part(path: &Path) -> Result<Part, DataError> {
    let source = Source::open(path)?;
    if !source.head().is_empty() && !is_text(source.head()) {
        let problem = format!("found {}, expected libsvm text", looks_like(source.head()));
        return Err(DataError::content(path, Position::File, problem));
    }
    let (features, labels): (_, LabelColumn) = blocks::read(source, true)?;
    Ok(Part::new(path, path, Features::Sparse(features), labels))
}

#[cfg(test)]
mod tests;
