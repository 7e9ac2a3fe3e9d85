//! An archive whose sum is right becomes a folder: only the files of the table, and the folder has its name when all are there.

use super::{FetchError, RemoteSet};
use flate2::read::GzDecoder;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

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

/// Unpacks into `FOLDER.part` and renames it.
pub(super) fn unpack(set: &RemoteSet, archive: &Path, folder: &Path) -> Result<(), FetchError> {
    let mut part = folder.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let io = |file: &Path| {
        let file = file.to_path_buf();
        move |source| FetchError::Io { file, source }
    };
    match fs::remove_dir_all(&part) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io(&part)(e)),
        _ => fs::create_dir_all(&part).map_err(io(&part))?,
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
        let mut out = File::create(&target).map_err(io(&target))?;
        io::copy(&mut entry, &mut out).map_err(io(&target))?;
    }
    check(set, &part)?;
    fs::rename(&part, folder).map_err(io(folder))
}
