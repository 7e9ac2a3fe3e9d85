//! One self-contained page about a run or a search: everything is in the file, nothing is loaded from anywhere.
//!
//! Made from the folder; the data themselves are read again for example images, where they are still there. Imports `plot` and
//! what lies below it; prints nothing.

mod examples;
mod html;
mod run;
mod search;
pub mod watch;

pub use crate::run::folder::PAGE;

use crate::durable::{FolderKind, OwnFiles};
use crate::model::Classifier;
use crate::model::file::ModelFileError;
use crate::model_file;
use crate::run::RunResult;
use crate::run::folder::{self, read_text};
use crate::run::record::RecordError;
use crate::run::recorded::{self, BoundsRow, ConfusionRecord};
use crate::run::roc::RocRecord;
use crate::search::folder as search_folder;
use crate::search::ledger::{CONFIG, Ledger};
use crate::search::table;
use crate::solver::LogEntry;
use examples::RunExamples;
use std::path::{Path, PathBuf};

/// A page that cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The folder cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The model of the run cannot be read.
    #[error(transparent)]
    Model(#[from] ModelFileError),
    /// A picture cannot be drawn.
    #[error("{folder}: {problem}")]
    Draw {
        /// The folder of the run.
        folder: PathBuf,
        /// The failure.
        problem: String,
    },
}

/// Content of a run folder.
#[derive(Debug)]
struct Findings {
    folder: PathBuf,
    result: RunResult,
    config: String,
    metrics: Vec<LogEntry>,
    bounds: Option<Vec<BoundsRow>>,
    confusion: Option<ConfusionRecord>,
    roc: Option<RocRecord>,
    model: Option<Classifier>,
    /// From the data; why not, where they could not be read; `None` without a model.
    shown: Option<Result<RunExamples, String>>,
}

impl Findings {
    fn read(folder: &Path) -> Result<Self, ReportError> {
        let result = recorded::read_result(folder)?;
        let confusion = recorded::read_confusion(folder)?;
        let model = if folder.join("model.safetensors").exists() { Some(model_file::load(folder)?) } else { None };
        let config = read_text(folder, "config.toml")?.unwrap_or_default();
        let counts = confusion.as_ref().map(|c| &c.confusion);
        let shown = model.as_ref().map(|model| examples::read(&config, folder, model, counts));
        Ok(Self {
            folder: folder.to_path_buf(),
            result,
            config,
            metrics: recorded::read_metrics(folder)?,
            bounds: recorded::read_bounds(folder)?,
            confusion,
            roc: recorded::read_roc(folder)?,
            model,
            shown,
        })
    }

    /// Note on parts that are missing because the data cannot be read.
    fn lacks(&self) -> Option<String> {
        let reason = self.shown.as_ref()?.as_ref().err()?;
        let images = if self.has_images() { "no example images and " } else { "" };
        Some(format!("{images}no rows of each class: {reason}"))
    }

    fn has_images(&self) -> bool {
        self.model.as_ref().is_some_and(|model| model.image_shape.is_some())
    }

    fn failed(&self, problem: String) -> ReportError {
        ReportError::Draw { folder: self.folder.clone(), problem }
    }
}

/// A page that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFile {
    /// The page.
    pub file: PathBuf,
    /// Missing parts, with the reasons.
    pub notes: Vec<String>,
}

/// Writes the page of a run or a search into its folder.
///
/// # Errors
/// [`ReportError`] when the folder is neither, one of its files is damaged, or the page cannot be written.
pub fn write(folder: &Path) -> Result<ReportFile, ReportError> {
    let mut notes = Vec::new();
    let is_search = folder.join(table::JSON).exists();
    let page = if is_search { of_search(folder, &mut notes)? } else { of_run(folder, &mut notes)? };
    let (found, kind) = if is_search {
        (search_folder::open(folder)?, FolderKind::Search)
    } else {
        (folder::open(folder)?, FolderKind::Run)
    };
    let made = found.unwrap_or_else(|| OwnFiles::unmarked(folder, kind, []));
    made.write(PAGE, page.as_bytes()).map_err(RecordError::from)?;
    Ok(ReportFile { file: folder.join(PAGE), notes })
}

fn name_of(folder: &Path) -> String {
    let path = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

fn of_run(folder: &Path, notes: &mut Vec<String>) -> Result<String, ReportError> {
    let found = Findings::read(folder)?;
    notes.extend(found.lacks());
    let below = format!("a run of {}, burn-svm {}", found.result.config, found.result.version);
    Ok(html::page(&name_of(folder), &below, &run::sections(&found)?))
}

fn of_search(folder: &Path, notes: &mut Vec<String>) -> Result<String, ReportError> {
    let record = table::read(folder)?;
    let entries = Ledger::entries(folder)?;
    let config = read_text(folder, CONFIG)?.unwrap_or_default();
    let drawn = search::sections(&record, &entries, &config);
    let mut body = drawn.map_err(|problem| ReportError::Draw { folder: folder.to_path_buf(), problem })?;
    if record.refit.is_some() && read_text(folder, "best/result.json")?.is_some() {
        let best = folder.join("best");
        body += "<h1>The best, trained once more</h1>\n";
        let found = Findings::read(&best)?;
        notes.extend(found.lacks());
        body += &run::sections(&found)?;
    }
    let below = format!("a search of {}, burn-svm {}", record.facts.config, record.facts.version);
    Ok(html::page(&name_of(folder), &below, &body))
}
