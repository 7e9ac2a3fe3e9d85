//! Folders within a run folder for data that stay on the disk.

use super::{RecordError, RunFolder, failed};
use crate::run::folder;
use std::fs;
use std::path::{Path, PathBuf};

impl RunFolder {
    /// A folder of this name, which is made and is the run's from now on.
    ///
    /// # Errors
    /// [`RecordError::Io`] when a foreign file or folder has the name, or it cannot be made.
    pub(in crate::run) fn own_folder(&self, name: &str) -> Result<PathBuf, RecordError> {
        folder::check_below(self.path(), &[name])?;
        let path = self.file(name)?;
        fs::create_dir_all(&path).map_err(failed(&path))?;
        Ok(path)
    }

    /// Removes what is kept of blocks and variables on the disk.
    pub(in crate::run) fn drop_blocks(&self) -> Result<(), RecordError> {
        folder::remove_blocks(&self.made)
    }
}

/// Removes the variables of a run.
pub(in crate::run) fn remove_variables(folder: &Path) -> Result<(), RecordError> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_ours =
            |name: &str| name.ends_with(".dual") || name == "state.json" || crate::durable::is_temporary(name);
        if name.to_str().is_some_and(is_ours) {
            fs::remove_file(entry.path()).map_err(failed(&entry.path()))?;
        }
    }
    // Somebody's file in it keeps the folder.
    let _ = fs::remove_dir(folder);
    Ok(())
}
