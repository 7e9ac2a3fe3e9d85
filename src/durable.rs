//! Files that are whole or not there.
//!
//! A file is written under a temporary name, brought to the disk, renamed, and its folder brought to the disk: whatever happens in
//! between, power cuts included, the final name holds the old content or the new, never half of one. The temporary name cannot be
//! guessed and is never one that is there already, so that no link is written through. Imports nothing.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// The ending of files that are being written.
pub const PARTIAL: &str = ".partial";
/// The beginning of their names; sixteen hexadecimal digits follow.
const TEMPORARY: &str = ".burn-svm.";
/// Names that are tried for one file: each has a chance of 2⁻⁶⁴ to be taken.
const TRIES: usize = 8;

/// Writes `bytes` to `file`, all or nothing.
///
/// # Errors
/// The error of the system; the temporary file is removed then, and the old content of `file` is still there.
pub fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    write_with(file, |out| out.write_all(bytes))
}

/// Writes the output of `content` to `file`, all or nothing.
///
/// # Errors
/// As [`write()`], or the error of `content`.
pub fn write_with(file: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut draft = Draft::begin(file)?;
    content(&mut draft)?;
    draft.finish()
}

/// A file that is being written under a temporary name in the folder of its own. It is removed unless it is finished.
#[derive(Debug)]
pub struct Draft {
    file: PathBuf,
    partial: PathBuf,
    out: Option<BufWriter<File>>,
}

impl Draft {
    /// Makes the temporary file.
    ///
    /// # Errors
    /// The error of the system.
    pub fn begin(file: &Path) -> io::Result<Self> {
        let (out, partial) = fresh(file)?;
        Ok(Self { file: file.to_path_buf(), partial, out: Some(BufWriter::new(out)) })
    }

    /// The temporary name.
    #[must_use]
    pub fn partial(&self) -> &Path {
        &self.partial
    }

    /// Gives the file its name, once it is on the disk.
    ///
    /// # Errors
    /// The error of the system; the temporary file is removed then.
    pub fn finish(mut self) -> io::Result<()> {
        if let Some(out) = self.out.take() {
            let kept = out.into_inner().map_err(io::IntoInnerError::into_error).and_then(|out| out.sync_all());
            if let Err(error) = kept.and_then(|()| fs::rename(&self.partial, &self.file)) {
                let _ = fs::remove_file(&self.partial);
                return Err(error);
            }
        }
        sync_folder_of(&self.file)
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.as_mut().map_or(Ok(0), |out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.out.take().is_some() {
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// A new file next to `file`, under a name that cannot be guessed.
pub fn fresh(file: &Path) -> io::Result<(File, PathBuf)> {
    let mut tried = 0;
    loop {
        let path = file.with_file_name(format!("{TEMPORARY}{:016x}{PARTIAL}", RandomState::new().hash_one(tried)));
        tried += 1;
        match File::options().write(true).read(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tried < TRIES => {}
            other => return other.map(|made| (made, path)),
        }
    }
}

/// Whether a name is one of those that files have while they are written.
#[must_use]
pub fn is_temporary(name: &str) -> bool {
    let digits = name.strip_prefix(TEMPORARY).and_then(|rest| rest.strip_suffix(PARTIAL));
    digits.is_some_and(|digits| digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Brings the names in the folder of `file` to the disk.
pub fn sync_folder_of(file: &Path) -> io::Result<()> {
    // Windows keeps no such promise and opens no folders.
    if cfg!(unix) {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // A folder that may be written but not read cannot be opened; the file is there all the same.
        if let Ok(folder) = File::open(folder) {
            return folder.sync_all();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.txt");
        write(&file, b"old").unwrap();
        let broken = write_with(&file, |out| {
            out.write_all(b"half of the new")?;
            Err(io::Error::other("the disk is full"))
        });
        assert_eq!(broken.unwrap_err().to_string(), "the disk is full");
        assert_eq!(fs::read(&file).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
        write(&file, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert!(write(&folder.path().join("missing/a.txt"), b"x").is_err());
    }

    #[test]
    fn temporary_names_differ_and_are_known_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x".repeat(255));
        let names: std::collections::BTreeSet<PathBuf> = (0..100).map(|_| fresh(&file).unwrap().1).collect();
        assert_eq!(names.len(), 100);
        assert!(names.iter().all(|path| is_temporary(path.file_name().unwrap().to_str().unwrap())));
        for other in [".burn-svm", ".burn-svm.partial", ".burn-svm.0123456789abcdeg.partial", "a.partial"] {
            assert!(!is_temporary(other), "{other}");
        }
        // The longest name that a file may have is no reason to fail.
        write(&file, b"x").unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_replaced_and_what_it_leads_to_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&other, "mine").unwrap();
        std::os::unix::fs::symlink(&other, &file).unwrap();
        write(&file, b"new").unwrap();
        assert_eq!((fs::read(&file).unwrap(), fs::read(&other).unwrap()), (b"new".to_vec(), b"mine".to_vec()));
    }
}
