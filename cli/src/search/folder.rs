//! Which files of a folder are a search's; see `run::folder` for those of its best run.

use super::ledger::{CONFIG, LEDGER};
use super::refit;
use super::table::{BEST, JSON, TABLE};
use crate::durable::{FolderKind, OwnFiles, Refusal};
use crate::run::RecordError;
use crate::run::folder::{FIGURES, PAGE, check_below, figures, present};
use crate::run::record::{RunFolder, failed};
use std::fs;
use std::io;
use std::path::Path;

/// The files that searches make, but for figures and the best run.
const FILES: [&str; 5] = [CONFIG, LEDGER, TABLE, JSON, BEST];

/// The figures that searches have, without their endings.
pub const DRAWN: [&str; 3] = ["scatter", "heatmap", "curves"];

/// The files of a search in its folder; `None` where no search is. Touches nothing.
///
/// # Errors
/// [`RecordError::Io`] when the list cannot be read.
pub fn open(folder: &Path) -> Result<Option<OwnFiles>, RecordError> {
    if let Some(made) = OwnFiles::marked(folder)? {
        return Ok(Some(made));
    }
    // Those of version 0.1.0 have no list.
    let is_older = folder.join(CONFIG).is_file() && [LEDGER, JSON].iter().any(|name| folder.join(name).is_file());
    Ok(is_older.then(|| by_name(folder)))
}

/// A search without a list, in whose folder every file counts as ours that has a name of a search's files.
pub(super) fn by_name(folder: &Path) -> OwnFiles {
    let named = FILES.into_iter().map(str::to_owned).chain([PAGE.to_owned()]).chain(figures(&DRAWN));
    OwnFiles::unmarked(folder, FolderKind::Search, present(folder, named))
}

/// Refuses a folder in which a search would touch foreign files; returns the list of its own.
///
/// # Errors
/// [`RecordError::Taken`] when it holds a search and `force` is not set; [`RecordError::Io`] when it is no folder, or holds a run or
/// foreign files under names that the search would use.
pub(super) fn check(folder: &Path, force: bool) -> Result<OwnFiles, RecordError> {
    if folder.exists() && !folder.is_dir() {
        return Err(failed(folder)(io::Error::other("is a file, expected a folder")));
    }
    let found = match open(folder)? {
        None => crate::run::folder::open(folder)?,
        found => found,
    };
    if found.as_ref().is_some_and(|made| !made.is(FolderKind::Search)) {
        return Err(a_run(folder));
    }
    if let Some(made) = &found
        && !force
        && made.has(CONFIG)
        && folder.join(CONFIG).exists()
    {
        return Err(RecordError::Taken { folder: folder.to_path_buf() });
    }
    let made = found.unwrap_or_else(|| OwnFiles::unmarked(folder, FolderKind::Search, []));
    check_below(folder, &[FIGURES])?;
    let figures: Vec<String> = figures(&DRAWN).collect();
    let names: Vec<&str> = FILES.into_iter().chain(figures.iter().map(String::as_str)).collect();
    made.check(&names)?;
    best(folder)?;
    Ok(made)
}

/// The folder of a run is not that of a search.
pub(super) fn a_run(folder: &Path) -> RecordError {
    let refusal = Refusal::OtherKind { found: FolderKind::Run.in_words(), expected: FolderKind::Search.in_words() };
    failed(folder)(refusal.into())
}

/// Refuses a folder for the best run in which it would touch foreign files.
pub(super) fn best(folder: &Path) -> Result<(), RecordError> {
    let best = folder.join(refit::FOLDER);
    if fs::symlink_metadata(&best).is_ok_and(|metadata| metadata.is_symlink()) {
        return Err(failed(&best)(Refusal::Link.into()));
    }
    RunFolder::check(&best, true)
}
