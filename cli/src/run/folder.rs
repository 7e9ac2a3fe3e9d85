//! Which files of a folder are a run's: those on the list that is kept there, or of a run that is older than such lists those with
//! the names that it gave them.

use super::checkpoint;
use super::journal::{self, EVENTS, JSON_LINES};
use super::record::blocks::remove_variables;
use super::record::{RecordError, failed};
use crate::data::blocks::BlockWriter;
use crate::durable::{self, FolderError, FolderKind, OwnFiles, Refusal};
use crate::format::limit;
use std::fs;
use std::io;
use std::path::Path;

/// Folder of the models of a path.
pub(super) const PATH_FOLDER: &str = "path";
/// Folders of the dual variables, and of the blocks, of a run whose rows stay on the disk.
pub(super) const DUAL: &str = "dual";
pub(super) const BLOCKS: &str = "blocks";
/// Folder of the figures.
pub const FIGURES: &str = "figures";
/// The page of a run or a search.
pub const PAGE: &str = "report.html";

/// The page of a run while it goes.
pub const WATCH: &str = "watch.html";
/// The weights of the classes over the steps, an animated picture.
pub const FRAMES: &str = "figures/frames.png";

/// The files that runs make, but for figures that are drawn again and the models of a path.
pub(super) const FILES: [&str; 11] = [
    "config.toml",
    "metrics.csv",
    JSON_LINES,
    "bounds.csv",
    "confusion.csv",
    "roc.csv",
    "model.safetensors",
    "result.json",
    "path.csv",
    WATCH,
    FRAMES,
];

/// The figures that runs have, without their endings.
pub const DRAWN: [&str; 7] = ["loss", "accuracy", "bounds", "path", "confusion", "roc", "weights"];

/// A file of a folder, bounded by the limit for reading, and never from outside of it; `None` where it is not there.
///
/// # Errors
/// [`RecordError::Io`] when it cannot be read, or is no file of the folder.
pub fn read(folder: &Path, name: &str) -> Result<Option<Vec<u8>>, RecordError> {
    match durable::read_below(folder, name, limit::get()) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        other => other.map(Some).map_err(failed(&folder.join(name))),
    }
}

/// As [`read`], for text.
///
/// # Errors
/// As there; [`RecordError::Content`] where it is not UTF-8.
pub fn read_text(folder: &Path, name: &str) -> Result<Option<String>, RecordError> {
    let text = read(folder, name)?.map(String::from_utf8).transpose();
    text.map_err(|_| RecordError::Content { file: folder.join(name), problem: "is not UTF-8 text".into() })
}

/// The paths of figures, below the folder of a run or a search.
pub fn figures<'a>(names: &'a [&'a str]) -> impl Iterator<Item = String> + 'a {
    let both = |name: &'a str| ["png", "svg"].map(move |ending| format!("{FIGURES}/{name}.{ending}"));
    names.iter().flat_map(move |name| both(name))
}

fn is_there(folder: &Path, name: &str) -> bool {
    fs::symlink_metadata(folder.join(name)).is_ok()
}

/// Those of some files that are in a folder.
pub fn present(folder: &Path, names: impl Iterator<Item = String>) -> Vec<String> {
    names.filter(|name| is_there(folder, name)).collect()
}

/// The models of a path that are in a folder.
fn path_models(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder.join(PATH_FOLDER)).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let names = names.filter_map(|name| name.into_string().ok()).filter(|name| is_path_model(name));
    names.map(|name| format!("{PATH_FOLDER}/{name}")).collect()
}

fn is_path_model(name: &str) -> bool {
    let c = name.strip_prefix("c-").and_then(|rest| rest.strip_suffix(".safetensors"));
    c.is_some_and(|c| c.parse::<f64>().is_ok())
}

/// The files of a run in its folder; `None` where no run is. Touches nothing.
///
/// # Errors
/// [`RecordError::Io`] when the list cannot be read.
pub fn open(folder: &Path) -> Result<Option<OwnFiles>, RecordError> {
    if let Some(made) = OwnFiles::marked(folder)? {
        return Ok(Some(made));
    }
    if !is_older_run(folder) {
        return Ok(None);
    }
    let named = FILES.into_iter().map(str::to_owned).chain([PAGE.to_owned()]).chain(figures(&DRAWN));
    let names = present(folder, named).into_iter().chain(path_models(folder));
    Ok(Some(OwnFiles::unmarked(folder, FolderKind::Run, names)))
}

/// A run without a list, of version 0.1.0: it has its configuration and a result, or a checkpoint.
fn is_older_run(folder: &Path) -> bool {
    if checkpoint::is_one_of(folder) {
        return true;
    }
    let Ok(Some(bytes)) = read(folder, "result.json") else { return false };
    let result: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    is_there(folder, "config.toml") && ["version", "stop_reason"].iter().all(|key| result[key].is_string())
}

/// Refuses a folder in which a run would touch foreign files; returns the list of its own.
///
/// # Errors
/// [`RecordError::Taken`] when it holds a run and `force` is not set; [`RecordError::Io`] when it is no folder, or holds a search or
/// foreign files under names that the run would use.
pub(crate) fn check(folder: &Path, force: bool) -> Result<OwnFiles, RecordError> {
    if folder.exists() && !folder.is_dir() {
        return Err(failed(folder)(io::Error::other("is a file, expected a folder")));
    }
    let made = open(folder)?;
    let marked = made.is_some();
    // Those of version 0.1.0 have no list.
    let older_search = || is_there(folder, "search.toml") && is_there(folder, "trials.jsonl");
    if made.as_ref().map_or_else(older_search, |made| !made.is(FolderKind::Run)) {
        let refusal = Refusal::OtherKind { found: FolderKind::Search.in_words(), expected: FolderKind::Run.in_words() };
        return Err(failed(folder)(refusal.into()));
    }
    if let Some(made) = &made
        && !force
        && ["config.toml", "result.json", "model.safetensors"]
            .iter()
            .any(|name| made.has(name) && is_there(folder, name))
    {
        return Err(RecordError::Taken { folder: folder.to_path_buf() });
    }
    let made = made.unwrap_or_else(|| OwnFiles::unmarked(folder, FolderKind::Run, []));
    check_below(folder, &[checkpoint::FOLDER, PATH_FOLDER, FIGURES, EVENTS])?;
    let figures: Vec<String> = figures(&DRAWN).collect();
    let names: Vec<&str> = FILES.into_iter().chain(figures.iter().map(String::as_str)).collect();
    made.check(&names)?;
    if let Some(file) = checkpoint::first_of(folder).filter(|_| !marked) {
        return Err(failed(&file)(Refusal::Foreign.into()));
    }
    Ok(made)
}

/// Refuses folders within a folder that are links or no folders.
pub(crate) fn check_below(folder: &Path, names: &[&str]) -> Result<(), RecordError> {
    for below in names.iter().map(|name| folder.join(name)) {
        match fs::symlink_metadata(&below) {
            Ok(metadata) if metadata.is_symlink() => return Err(failed(&below)(Refusal::Link.into())),
            Ok(metadata) if !metadata.is_dir() => return Err(failed(&below)(Refusal::Foreign.into())),
            _ => {}
        }
    }
    Ok(())
}

/// Removes the files of an earlier run in the folder, but for its figures, which are drawn again.
pub(super) fn remove_earlier(made: &OwnFiles) -> Result<(), FolderError> {
    let names = made.names();
    let of_path = |name: &str| name.strip_prefix("path/").is_some_and(is_path_model);
    let stale = names
        .iter()
        .map(String::as_str)
        .filter(|&name| (FILES.contains(&name) && !["config.toml", "metrics.csv"].contains(&name)) || of_path(name));
    made.remove(&stale.chain(journal::event_files(&names)).collect::<Vec<_>>())
}

/// Removes the variables and blocks of a run whose rows were on the disk, as far as they are its own.
pub(super) fn remove_blocks(made: &OwnFiles) -> Result<(), RecordError> {
    for name in [DUAL, BLOCKS].into_iter().filter(|name| made.has(name)) {
        let folder = made.folder().join(name);
        check_below(made.folder(), &[name])?;
        match name {
            DUAL => remove_variables(&folder)?,
            _ => BlockWriter::remove(&folder).map_err(|e| failed(&e.file)(io::Error::other(e.problem)))?,
        }
        // A folder that somebody has put a file into stays, and so does its name.
        if !folder.exists() {
            made.remove(&[name])?;
        }
    }
    Ok(())
}

/// Removes half-written files that a crash has left.
pub(super) fn sweep(folder: &Path) {
    durable::sweep(folder);
    [checkpoint::FOLDER, PATH_FOLDER, FIGURES].iter().for_each(|below| durable::sweep(&folder.join(below)));
}
