//! Files that grow line by line, held by one process at a time.

use super::{Refusal, fresh, input};
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Looks at a lock before it counts as taken.
const LOOKS: usize = 100;
const BETWEEN: Duration = Duration::from_millis(10);

/// A file that grows, locked while it is open. The lock ends with the process, however that ends.
#[derive(Debug)]
pub struct GrowingFile {
    path: PathBuf,
    file: File,
}

impl GrowingFile {
    /// Opens a file, or makes it; `None` where another process holds it. Its content is left as it is.
    ///
    /// # Errors
    /// The error of the system; [`Refusal`] for a link and for other things than files.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let mut options = File::options();
            let file = input::open_itself(options.read(true).write(true).create(true).truncate(false), path)?;
            input::refuse_special(&file.metadata()?)?;
            // Locks of Windows would keep readers away, too; and some file systems have none.
            if cfg!(unix) && is_taken(&file) {
                return Ok(None);
            }
            // Whoever held it before may have put another file in its place.
            if has_name(&file, path) {
                return Ok(Some(Self { path: path.to_path_buf(), file }));
            }
        }
    }

    /// Its content, `most` bytes at most.
    ///
    /// # Errors
    /// The error of the system; [`Refusal`] where it is longer.
    pub fn read(&mut self, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.rewind()?;
        let count = (&mut self.file).take(most.saturating_add(1)).read_to_end(&mut bytes)? as u64;
        if count > most { Err(Refusal::TooLarge { most }.into()) } else { Ok(bytes) }
    }

    /// Keeps the first `whole` of the bytes just read, and appends after them.
    ///
    /// # Errors
    /// The error of the system.
    pub fn keep(&mut self, bytes: &[u8], whole: usize) -> io::Result<()> {
        if self.has_other_names() {
            return self.replace(&bytes[..whole]);
        }
        self.file.set_len(whole as u64)?;
        self.file.seek(io::SeekFrom::End(0)).map(drop)
    }

    /// Begins anew, with these bytes.
    ///
    /// # Errors
    /// The error of the system.
    pub fn begin(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.has_other_names() {
            return self.replace(bytes);
        }
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(bytes)
    }

    /// Brings the bytes written to the disk.
    ///
    /// # Errors
    /// The error of the system.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// A file of several names (hard links) may be a copy of the user's under another of them: that one stays as it is.
    fn has_other_names(&self) -> bool {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            self.file.metadata().is_ok_and(|metadata| metadata.nlink() > 1)
        }
        #[cfg(not(unix))]
        false
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut file, partial) = fresh(&self.path)?;
        // Before it has its name, so that no other process can hold it; the old one is held until then.
        let placed = file.write_all(bytes).and_then(|()| file.sync_all());
        if let Err(error) = placed.and_then(|()| {
            let _ = file.try_lock();
            fs::rename(&partial, &self.path)
        }) {
            let _ = fs::remove_file(&partial);
            return Err(error);
        }
        self.file = file;
        Ok(())
    }
}

impl Write for GrowingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Whether another process holds a file for longer than a moment: a child of this one does, too, between its birth and its first
/// step.
fn is_taken(file: &File) -> bool {
    (0..LOOKS).all(|look| {
        if look > 0 {
            std::thread::sleep(BETWEEN);
        }
        matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock))
    })
}

/// Whether a path still names the file that was opened by it.
fn has_name(file: &File, path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let of = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        match (file.metadata(), fs::symlink_metadata(path)) {
            (Ok(opened), Ok(named)) => of(opened) == of(named),
            // Taken away since: the writes will say so.
            _ => true,
        }
    }
    #[cfg(not(unix))]
    {
        let _ = (file, path);
        true
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn one_holds_it_and_others_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut held = GrowingFile::open(&path).unwrap().unwrap();
        held.begin(b"one\n").unwrap();
        assert!(GrowingFile::open(&path).unwrap().is_none());
        held.write_all(b"two\n").unwrap();
        drop(held);
        let mut again = GrowingFile::open(&path).unwrap().unwrap();
        let bytes = again.read(100).unwrap();
        assert_eq!(bytes, b"one\ntwo\n");
        assert!(again.read(7).is_err());
        again.keep(&bytes, 4).unwrap();
        again.write_all(b"2\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"one\n2\n");
    }

    #[test]
    fn other_names_of_a_file_keep_their_content_and_links_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a"), folder.path().join("b"));
        for begin in [true, false] {
            fs::write(&path, "one\ntwo").unwrap();
            fs::hard_link(&path, &other).unwrap();
            let mut held = GrowingFile::open(&path).unwrap().unwrap();
            if begin {
                held.begin(b"new\n").unwrap();
            } else {
                let bytes = held.read(100).unwrap();
                held.keep(&bytes, 4).unwrap();
            }
            held.write_all(b"more\n").unwrap();
            assert!(GrowingFile::open(&path).unwrap().is_none(), "the file in its place is held, too");
            let expected = if begin { "new\nmore\n" } else { "one\nmore\n" };
            assert_eq!(
                (fs::read_to_string(&path).unwrap(), fs::read(&other).unwrap()),
                (expected.into(), b"one\ntwo".to_vec())
            );
            drop(held);
            fs::remove_file(&other).unwrap();
        }
        fs::remove_file(&path).unwrap();
        fs::write(&other, "mine").unwrap();
        std::os::unix::fs::symlink(&other, &path).unwrap();
        assert_eq!(Refusal::of(&GrowingFile::open(&path).unwrap_err()), Some(&Refusal::Link));
        assert_eq!(fs::read(&other).unwrap(), b"mine");
    }
}
