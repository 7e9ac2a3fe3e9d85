//! The folder of a run whose rows are on the disk: begun, gone on with after whatever has ended it, and the blocks in it.
//!
//! There are no checkpoints: the variables of each block are on the disk after each visit to it, those of hot rows after each pass, and any of
//! them are feasible. `dual/state.json` says of which data they are.

use super::find::LargeData;
use super::find::is_exact;
use crate::config::LoadedConfig;
use crate::data::blocks::{BlockFolder, Manifest};
use crate::durable;
use crate::format::DataError;
use crate::run::checkpoint::{Checkpoint, Identity, Shelf};
use crate::run::folder::{BLOCKS, DUAL, read_text};
use crate::run::pack::{Tell, pack};
use crate::run::record::{RecordError, RunFolder, failed};
use crate::run::resume::same_config;
use crate::run::{RunError, folder};
use crate::solver::Snapshot;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::UNIX_EPOCH;

const STATE: &str = "dual/state.json";

/// Data of the variables, and files of the blocks that the run has packed itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// Name of the run.
    name: String,
    /// CRC-32C of the manifest, and with it of all blocks.
    manifest: Option<u32>,
    /// Path, length and time of each file that was packed.
    sources: Option<Vec<(String, u64, u64)>>,
}

/// Whether a run folder has variables that a run may go on from.
fn standing(path: &Path) -> Option<State> {
    let text = read_text(path, STATE).ok()??;
    serde_json::from_str(&text).ok()
}

fn sources(config: &LoadedConfig) -> Vec<(String, u64, u64)> {
    let mut data = config.run.data.clone();
    let of = |file: &Path| {
        let metadata = std::fs::metadata(file).ok();
        let time = metadata.as_ref().and_then(|m| m.modified().ok()?.duration_since(UNIX_EPOCH).ok());
        let length = metadata.map_or(0, |metadata| metadata.len());
        #[allow(clippy::cast_possible_truncation)]
        (file.display().to_string(), length, time.map_or(0, |time| time.as_nanos() as u64))
    };
    data.paths_mut().into_iter().map(|(_, file)| of(file)).collect()
}

/// Begins a run, with nothing left of an earlier one.
///
/// # Errors
/// As [`RunFolder::create`].
pub fn start(path: &Path, config: &LoadedConfig, force: bool) -> Result<RunFolder, RunError> {
    Ok(RunFolder::create(path, &config.text, force)?)
}

/// Goes on with the run in a folder, from its newest checkpoint where it has some; `None` where it has kept nothing. With remarks for the user.
///
/// # Errors
/// [`RecordError::Busy`] when another process is writing it, [`RecordError::Io`] when it cannot be written, [`RecordError::Differs`] when it is
/// another run, [`RecordError::Content`] when no checkpoint can be read.
pub fn go_on(path: &Path, config: &LoadedConfig) -> Result<Option<(RunFolder, Vec<String>)>, RunError> {
    let Some(State { name, .. }) = standing(path) else { return Ok(None) };
    let mut shelf = Shelf::of(path);
    if !shelf.is_empty() {
        let (checkpoint, file, mut notes) = shelf.newest()?;
        same_config(path, &checkpoint.identity.config, config)?;
        notes.push(format!("resuming from {} (step {})", file.display(), checkpoint.progress));
        return Ok(Some((RunFolder::go_on(path, &config.text, shelf, checkpoint)?, notes)));
    }
    let mut snapshot = Snapshot::default();
    let is_exact = is_exact(config);
    // Without a checkpoint gradients begin anew.
    for file in ["metrics.csv", "bounds.csv", "metrics.jsonl"].into_iter().filter(|_| is_exact) {
        // The last line may be half written.
        if let Some(mut rows) = folder::read(path, file)? {
            rows.truncate(rows.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1));
            snapshot.put(file, rows);
        }
    }
    let note = match is_exact {
        true => "resuming from the variables that the run has kept",
        false => "there is no checkpoint, the run begins, on the blocks that it has",
    };
    let blank = String::new;
    let identity =
        Identity { name, config: config.text.clone(), data: blank(), shape: blank(), device: blank(), threads: 0 };
    let checkpoint = Checkpoint { identity, progress: 0, snapshot };
    Ok(Some((RunFolder::go_on(path, &config.text, shelf, checkpoint)?, vec![note.into()])))
}

/// The blocks of a run: those that it was given, those that it has packed before it was ended, or those that it packs now; `None` where
/// `tell` has ended that. `said` is told before it begins.
///
/// # Errors
/// [`RunError::Data`] when a file is bad; [`RecordError::Differs`] when they are not those that the run began with.
pub fn pack_under(
    folder: &RunFolder,
    config: &LoadedConfig,
    data: LargeData,
    said: &mut dyn FnMut(&str),
    tell: &mut Tell<'_>,
) -> Result<Option<BlockFolder>, RunError> {
    let before = standing(folder.path());
    let blocks = match data {
        LargeData::Packed(blocks) => *blocks,
        LargeData::Files => {
            let files = sources(config);
            if before.as_ref().is_some_and(|before| before.sources.as_ref() != Some(&files)) {
                return Err(other_data(folder.path()));
            }
            let below = folder.own_folder(BLOCKS)?;
            match BlockFolder::open(&below) {
                Ok(blocks) if before.is_some() => blocks,
                _ => {
                    said(&format!(
                        "the rows do not fit into memory: they are packed into {}, which is removed at the end of the run",
                        below.display()
                    ));
                    let Some(packed) = pack(config, &below, true, tell)? else { return Ok(None) };
                    packed.notes.iter().for_each(|note| said(note));
                    keep_state(folder, config, None, Some(files))?;
                    BlockFolder::open(&below).map_err(DataError::from)?
                }
            }
        }
    };
    let manifest = digest(blocks.manifest());
    let before = standing(folder.path());
    if before.as_ref().and_then(|before| before.manifest).is_some_and(|before| before != manifest) {
        return Err(other_data(folder.path()));
    }
    keep_state(folder, config, Some(manifest), before.and_then(|before| before.sources))?;
    Ok(Some(blocks))
}

/// Removes what a finished run that was ended before its last breath has left on the disk.
///
/// # Errors
/// [`RecordError::Io`] when it cannot be removed.
pub fn sweep(path: &Path) -> Result<(), RunError> {
    Ok(folder::open(path)?.map_or(Ok(()), |made| folder::remove_blocks(&made))?)
}

fn digest(manifest: &Manifest) -> u32 {
    crc32c::crc32c(&serde_json::to_vec(manifest).unwrap_or_default())
}

fn other_data(path: &Path) -> RunError {
    RunError::Record(RecordError::Differs {
        problem: format!("{}: cannot resume with other data than the run began with", path.display()),
        hint: "put the files back as they were, or train from the beginning with --force".into(),
    })
}

fn keep_state(
    folder: &RunFolder,
    config: &LoadedConfig,
    manifest: Option<u32>,
    sources: Option<Vec<(String, u64, u64)>>,
) -> Result<(), RunError> {
    folder.own_folder(DUAL)?;
    let name = folder.name().map_or_else(|| config.name(), str::to_owned);
    let text = serde_json::to_vec_pretty(&State { name, manifest, sources }).unwrap_or_default();
    let file = folder.path().join(STATE);
    Ok(durable::write(&file, &text).map_err(failed(&file))?)
}
