//! An archive whose sum is right becomes a folder: only the files of the table, and the folder has its name when all are there.

use super::{FetchError, RemoteSet};
use crate::durable;
use flate2::read::GzDecoder;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

/// Checks the folder that is unpacked into: it may hold only files that this program leaves there.
fn earlier(set: &RemoteSet, part: &Path, metadata: &fs::Metadata) -> Result<(), FetchError> {
    let other = |problem: String| Err(FetchError::Other { file: part.to_path_buf(), problem });
    if !metadata.is_dir() {
        return other("it is no folder".into());
    }
    durable::sweep(part);
    for entry in fs::read_dir(part).map_err(io_error(part))?.flatten() {
        let name = entry.file_name();
        if !set.unpacked.iter().any(|(known, _)| name == *known) {
            return other(format!("it holds `{}`, which is not of the data set", name.display()));
        }
    }
    Ok(())
}

/// Whether the folder is there and complete.
///
/// # Errors
/// [`FetchError::Other`] when it is there, but something in it is missing or has another length.
pub(super) fn check(set: &RemoteSet, folder: &Path) -> Result<bool, FetchError> {
    if !folder.exists() {
        return Ok(false);
    }
    for &(name, bytes) in set.unpacked {
        let problem = match fs::metadata(folder.join(name)) {
            Err(_) => format!("it has no `{name}`"),
            Ok(found) if bytes > 0 && found.len() != bytes => {
                format!("its `{name}` has {} bytes, expected {bytes}", found.len())
            }
            Ok(_) => continue,
        };
        return Err(FetchError::Other { file: folder.to_path_buf(), problem });
    }
    Ok(true)
}

fn io_error(file: &Path) -> impl FnOnce(io::Error) -> FetchError + '_ {
    move |source| FetchError::Io { file: file.to_path_buf(), source }
}

/// Unpacks into `FOLDER.part` and renames it. What a process that was ended has left there is overwritten file by file; anything else
/// that is there belongs to the user, and stays.
pub(super) fn unpack(set: &RemoteSet, archive: &Path, folder: &Path) -> Result<(), FetchError> {
    let mut part = folder.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let io = io_error;
    match fs::symlink_metadata(&part) {
        Err(_) => fs::create_dir(&part).map_err(io(&part))?,
        Ok(metadata) => earlier(set, &part, &metadata)?,
    }
    let input = BufReader::with_capacity(1 << 18, File::open(archive).map_err(io(archive))?);
    let mut tar = tar::Archive::new(GzDecoder::new(input));
    for entry in tar.entries().map_err(io(archive))? {
        let mut entry = entry.map_err(io(archive))?;
        let path = entry.path().map_err(io(archive))?.into_owned();
        let wanted = set.unpacked.iter().find(|(name, _)| path.file_name().is_some_and(|found| found == *name));
        // The name is the table's, never the archive's: nothing is written elsewhere.
        let Some((name, _)) = wanted.filter(|_| entry.header().entry_type().is_file()) else { continue };
        let target = part.join(name);
        durable::write_with(&target, |out| io::copy(&mut entry, out).map(drop)).map_err(io(&target))?;
    }
    check(set, &part)?;
    fs::rename(&part, folder).map_err(io(folder))
}
