//! List of the files that the program has made in a folder, kept there so that no other file is overwritten or removed.
//!
//! A name is on the list before there is a file of that name, so that a crash in between leaves a name too many and never a file that
//! is not known again. A line is added by one write at the end; one that was cut off is not read.

use super::input::{open_itself, refuse_special};
use super::{Refusal, is_temporary, read_below, write};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The name of the list.
pub const MARKER: &str = ".burn-svm";
/// Bytes that a list may have; a run makes some dozens of files.
const LONGEST: u64 = 1 << 24;
/// Before a name that is no longer on the list.
const GONE: char = '-';

/// The kind of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FolderKind {
    /// A run.
    Run,
    /// A search.
    Search,
}

impl FolderKind {
    /// With its article.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Run => "a run",
            Self::Search => "a search",
        }
    }

    /// The first line of the list.
    const fn heading(self) -> &'static str {
        match self {
            Self::Run => "# A run of burn-svm, which overwrites and removes only what it has made:",
            Self::Search => "# A search of burn-svm, which overwrites and removes only what it has made:",
        }
    }
}

/// A file or folder that cannot be opened or written, and the error.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {source}")]
pub struct FolderError {
    /// The file or folder.
    pub file: PathBuf,
    /// The error of the system, or a [`Refusal`].
    pub source: io::Error,
}

fn trouble(file: &Path) -> impl FnOnce(io::Error) -> FolderError + '_ {
    move |source| FolderError { file: file.to_path_buf(), source }
}

fn refused(file: &Path, refusal: Refusal) -> FolderError {
    FolderError { file: file.to_path_buf(), source: refusal.into() }
}

/// The files of a folder that are ours.
#[derive(Debug)]
pub struct OwnFiles {
    folder: PathBuf,
    /// Kind of the folder; `None` if a crash has cut it off.
    kind: Option<FolderKind>,
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    names: BTreeSet<String>,
    /// Whether it is in the folder.
    kept: bool,
    /// Whether its last line is whole.
    whole: bool,
}

impl List {
    fn of(text: &str) -> Self {
        let mut names = BTreeSet::new();
        let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        for line in lines.filter(|line| !line.starts_with('#') && !line.is_empty()) {
            if let Some(gone) = line.strip_prefix(GONE) {
                names.remove(gone);
            } else {
                names.insert(line.to_owned());
            }
        }
        Self { names, kept: true, whole: text.ends_with('\n') }
    }
}

impl OwnFiles {
    /// The list of a folder; `None` where it has none.
    ///
    /// # Errors
    /// [`FolderError`] when it cannot be read, or a file of its name is another one.
    pub fn marked(folder: &Path) -> Result<Option<Self>, FolderError> {
        let marker = folder.join(MARKER);
        if fs::symlink_metadata(&marker).is_ok_and(|metadata| metadata.is_symlink()) {
            return Err(refused(&marker, Refusal::Link));
        }
        let bytes = match read_below(folder, MARKER, LONGEST) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            other => other.map_err(trouble(&marker))?,
        };
        let text = String::from_utf8_lossy(&bytes);
        let heading = text.lines().next().unwrap_or_default();
        let kind = [FolderKind::Run, FolderKind::Search].into_iter().find(|kind| kind.heading() == heading);
        // A crash may have cut off the heading, before there was anything else.
        let cut =
            || FolderKind::Run.heading().starts_with(heading) || FolderKind::Search.heading().starts_with(heading);
        if kind.is_none() && !cut() {
            return Err(refused(&marker, Refusal::Foreign));
        }
        Ok(Some(Self { folder: folder.to_path_buf(), kind, list: Mutex::new(List::of(&text)) }))
    }

    /// A folder without a list, in which these files are ours. The list is written before the first of them is.
    #[must_use]
    pub fn unmarked(folder: &Path, kind: FolderKind, names: impl IntoIterator<Item = String>) -> Self {
        let list = List { names: names.into_iter().collect(), kept: false, whole: true };
        Self { folder: folder.to_path_buf(), kind: Some(kind), list: Mutex::new(list) }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the folder is, or may become, the folder of this.
    #[must_use]
    pub fn is(&self, kind: FolderKind) -> bool {
        self.kind.is_none_or(|own| own == kind)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the file of this name is ours.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.list().names.contains(name)
    }

    /// The names of all that is ours, whether it is there or not.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.list().names.iter().cloned().collect()
    }

    /// Refuses names under which something is that is not ours.
    ///
    /// # Errors
    /// [`Refusal::Foreign`].
    pub fn check(&self, names: &[&str]) -> Result<(), FolderError> {
        let is_there = |name: &&&str| !self.has(name) && fs::symlink_metadata(self.folder.join(name)).is_ok();
        match names.iter().find(is_there) {
            None => Ok(()),
            Some(name) => Err(refused(&self.folder.join(name), Refusal::Foreign)),
        }
    }

    /// Puts names on the list, before their files are written.
    ///
    /// # Errors
    /// [`Refusal::Foreign`] where a foreign file is there; the error of the system.
    pub fn claim(&self, names: &[&str]) -> Result<(), FolderError> {
        let kept = self.list().kept;
        if !kept && !self.begin(names)? {
            // Another process has begun the list in the meantime.
            if let Some(other) = Self::marked(&self.folder)? {
                *self.list() = other.list.into_inner().unwrap_or_else(PoisonError::into_inner);
            }
        }
        self.check(names)?;
        let fresh: Vec<&str> = names.iter().copied().filter(|name| !self.has(name)).collect();
        self.add(&fresh, "")?;
        self.list().names.extend(fresh.into_iter().map(str::to_owned));
        Ok(())
    }

    /// Writes a list if there is none; false if there is one.
    fn begin(&self, names: &[&str]) -> Result<bool, FolderError> {
        let marker = self.folder.join(MARKER);
        if fs::symlink_metadata(&marker).is_ok() {
            return Ok(false);
        }
        self.check(names)?;
        let mut list = self.list();
        list.names.extend(names.iter().map(|&name| name.to_owned()));
        let mut text = format!("{}\n", self.kind.unwrap_or(FolderKind::Run).heading());
        list.names.iter().for_each(|name| {
            text.push_str(name);
            text.push('\n');
        });
        let mut file = match File::options().write(true).create_new(true).open(&marker) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
            other => other.map_err(trouble(&marker))?,
        };
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(trouble(&marker))?;
        list.kept = true;
        Ok(true)
    }

    /// Adds lines in one write.
    fn add(&self, names: &[&str], before: &str) -> Result<(), FolderError> {
        if names.is_empty() {
            return Ok(());
        }
        let marker = self.folder.join(MARKER);
        let mut list = self.list();
        let mut text = if list.whole { String::new() } else { "\n".to_owned() };
        names.iter().for_each(|name| {
            text.push_str(before);
            text.push_str(name);
            text.push('\n');
        });
        let added = open_itself(File::options().append(true), &marker).and_then(|mut file| {
            refuse_special(&file.metadata()?)?;
            file.write_all(text.as_bytes()).and_then(|()| file.sync_data())
        });
        // After a failed write the end of the list is unknown.
        list.whole = added.is_ok();
        added.map_err(trouble(&marker))
    }

    /// The path of a file of this name, with the folders on the way to it, which are made. Nothing on the way is a link.
    ///
    /// # Errors
    /// [`Refusal::Link`]; what the system says.
    pub fn path(&self, name: &str) -> Result<PathBuf, FolderError> {
        let file = self.folder.join(name);
        for folder in Path::new(name).ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()) {
            let folder = self.folder.join(folder);
            match fs::symlink_metadata(&folder) {
                Ok(metadata) if metadata.is_symlink() => return Err(refused(&folder, Refusal::Link)),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // Not with the folders above it: a run folder that was removed stays removed.
                    fs::create_dir(&folder).map_err(trouble(&folder))?;
                }
                Err(error) => return Err(trouble(&folder)(error)),
            }
        }
        Ok(file)
    }

    /// The path of a file that is ours, or becomes it.
    ///
    /// # Errors
    /// As [`OwnFiles::claim`] and [`OwnFiles::path`].
    pub fn ours(&self, name: &str) -> Result<PathBuf, FolderError> {
        let file = self.path(name)?;
        self.claim(&[name])?;
        Ok(file)
    }

    /// Writes a file, all or nothing.
    ///
    /// # Errors
    /// As [`OwnFiles::ours`], or the error of the system.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), FolderError> {
        let file = self.ours(name)?;
        write(&file, bytes).map_err(trouble(&file))
    }

    /// Removes files, as far as they are ours.
    ///
    /// # Errors
    /// [`Refusal::Link`]; what the system says.
    pub fn remove(&self, names: &[&str]) -> Result<(), FolderError> {
        let ours: Vec<&str> = names.iter().copied().filter(|name| self.has(name)).collect();
        for name in &ours {
            let file = self.folder.join(name);
            if fs::symlink_metadata(&file).is_ok() {
                fs::remove_file(self.path(name)?).map_err(trouble(&file))?;
            }
        }
        if self.list().kept {
            self.add(&ours, "-")?;
        }
        self.list().names.retain(|name| !ours.contains(&name.as_str()));
        Ok(())
    }
}

/// Removes the temporary files that a crash has left in a folder that is ours. A link to a folder is not followed.
pub fn sweep(folder: &Path) {
    if !fs::symlink_metadata(folder).is_ok_and(|metadata| metadata.is_dir()) {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_temporary) {
            // One that stays does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(trouble: FolderError) -> (String, Option<Refusal>) {
        let name = trouble.file.file_name().unwrap().to_string_lossy().into_owned();
        (name, Refusal::of(&trouble.source).cloned())
    }

    #[test]
    fn only_what_is_ours_is_written_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("theirs"), "t").unwrap();
        let made = OwnFiles::unmarked(folder.path(), FolderKind::Run, []);
        assert!(!at(MARKER).exists());
        made.write("ours", b"o").unwrap();
        made.write("deep/ours", b"o").unwrap();
        assert_eq!(refusal(made.write("theirs", b"x").unwrap_err()), ("theirs".into(), Some(Refusal::Foreign)));
        made.remove(&["theirs", "ours", "none"]).unwrap();
        assert_eq!(fs::read(at("theirs")).unwrap(), b"t");
        assert!(!at("ours").exists());
        // Read again, the list is equal.
        let again = OwnFiles::marked(folder.path()).unwrap().unwrap();
        assert_eq!(again.names(), ["deep/ours"]);
        assert!(again.is(FolderKind::Run) && !again.is(FolderKind::Search));
        // A stranger's file in place of one of ours stays.
        fs::write(at("ours"), "t").unwrap();
        assert!(again.write("ours", b"x").is_err());
        again.write("deep/ours", b"new").unwrap();
        assert_eq!(fs::read(at("deep/ours")).unwrap(), b"new");
    }

    #[test]
    fn a_list_that_was_cut_off_anywhere_is_read_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let made = OwnFiles::unmarked(folder.path(), FolderKind::Search, ["a".to_owned(), "bc".to_owned()]);
        made.claim(&["def"]).unwrap();
        made.remove(&["a"]).unwrap();
        let marker = folder.path().join(MARKER);
        let whole = fs::read(&marker).unwrap();
        let heading = FolderKind::Search.heading().len();
        for cut in 0..=whole.len() {
            fs::write(&marker, &whole[..cut]).unwrap();
            let made = OwnFiles::marked(folder.path()).unwrap().unwrap();
            assert!(made.is(FolderKind::Search), "{cut}");
            assert_eq!(made.is(FolderKind::Run), cut < heading, "{cut}");
            let text = String::from_utf8_lossy(&whole[..cut]).into_owned();
            let lines = || text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            let gone = lines().any(|line| line == "-a\n");
            let mut names: Vec<String> =
                lines().map(|l| l.trim_end().to_owned()).filter(|l| !l.starts_with(['#', '-'])).collect();
            names.retain(|name| !(gone && name == "a"));
            assert_eq!(made.names(), names, "{cut}");
            made.claim(&["new"]).unwrap();
            assert!(OwnFiles::marked(folder.path()).unwrap().unwrap().has("new"), "{cut}");
        }
        fs::write(&marker, "somebody's own notes\n").unwrap();
        assert_eq!(refusal(OwnFiles::marked(folder.path()).unwrap_err()).1, Some(Refusal::Foreign));
    }

    #[cfg(unix)]
    #[test]
    fn no_link_is_written_through() {
        use std::os::unix::fs::symlink;
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(other.path().join("a"), "mine").unwrap();
        let made = OwnFiles::unmarked(folder.path(), FolderKind::Run, ["deep/a".to_owned(), "b".to_owned()]);
        symlink(other.path(), folder.path().join("deep")).unwrap();
        symlink(other.path().join("a"), folder.path().join("b")).unwrap();
        assert_eq!(refusal(made.write("deep/a", b"x").unwrap_err()), ("deep".into(), Some(Refusal::Link)));
        assert_eq!(refusal(made.remove(&["deep/a"]).unwrap_err()), ("deep".into(), Some(Refusal::Link)));
        made.write("b", b"x").unwrap();
        assert_eq!(fs::read(folder.path().join("b")).unwrap(), b"x");
        fs::remove_file(folder.path().join(MARKER)).unwrap();
        symlink(other.path().join("a"), folder.path().join(MARKER)).unwrap();
        assert!(OwnFiles::marked(folder.path()).is_err());
        assert_eq!(fs::read(other.path().join("a")).unwrap(), b"mine");
    }
}
