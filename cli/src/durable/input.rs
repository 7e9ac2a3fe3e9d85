//! Reading files: bounded, never waited for without end, and in a folder never from outside of it.

use super::Refusal;
use std::fs::{self, File, FileType, Metadata};
use std::io::{self, Cursor, Read};
use std::path::Path;

/// Opens a path that the user has named: a file, a device, or a pipe with a writer, now or within ten seconds. Folders are
/// opened, too, where the system does.
///
/// # Errors
/// The error of the system; [`Refusal`] for a pipe without a writer.
pub fn open(path: &Path) -> io::Result<(Box<dyn Read + Send>, Metadata)> {
    #[cfg(unix)]
    if !handed_down(path) && pipes::is_pipe(&fs::metadata(path)?.file_type()) {
        return pipes::open_to_read(path);
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok((Box::new(file), metadata))
}

/// A path that stands for a file which this process has been given open, by the shell for example: opening it waits for no other end.
pub(super) fn handed_down(path: &Path) -> bool {
    path.starts_with("/dev/fd") || path.starts_with("/proc") || path == Path::new("/dev/stdin")
}

/// Reads a path that the user has named, at most `most` bytes of it.
///
/// # Errors
/// As [`open`]; [`Refusal`] for folders and devices, and for more than `most` bytes.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (mut input, metadata) = open(path)?;
    let kind = metadata.file_type();
    if let Some(found) = special(&kind).filter(|_| !is_pipe(&kind) && (kind.is_dir() || !handed_down(path))) {
        return Err(Refusal::Special { found }.into());
    }
    bounded(&mut input, if kind.is_file() { metadata.len() } else { 0 }, most)
}

/// Reads a file of a folder, `most` bytes of it at most. Links are followed within the folder only.
///
/// # Errors
/// The error of the system; [`Refusal`] for links out of the folder, for other things than files, and for more than `most` bytes.
pub fn read_below(folder: &Path, name: &str, most: u64) -> io::Result<Vec<u8>> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let path = fs::canonicalize(folder.join(name))?;
    if !path.starts_with(fs::canonicalize(folder)?) {
        return Err(Refusal::Outside.into());
    }
    refuse_special(&fs::metadata(&path)?)?;
    let mut file = open_itself(File::options().read(true), &path)?;
    let metadata = file.metadata()?;
    refuse_special(&metadata)?;
    bounded(&mut file, metadata.len(), most)
}

/// Opens a file and not where a link of that name leads; a pipe is not waited for.
pub(super) fn open_itself(options: &mut fs::OpenOptions, path: &Path) -> io::Result<File> {
    if let Ok(metadata) = fs::symlink_metadata(path) {
        if metadata.is_symlink() {
            return Err(Refusal::Link.into());
        }
        refuse_special(&metadata)?;
    }
    // Nobody can put another in its place in the meantime.
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        // These flags are small numbers on every system.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        options.custom_flags(flags).open(path).map_err(|error| {
            if fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink()) { Refusal::Link.into() } else { error }
        })
    }
    #[cfg(not(unix))]
    options.open(path)
}

pub(super) fn refuse_special(metadata: &Metadata) -> io::Result<()> {
    special(&metadata.file_type()).map_or(Ok(()), |found| Err(Refusal::Special { found }.into()))
}

/// The kind of a path that is no file.
pub(super) fn special(kind: &FileType) -> Option<&'static str> {
    if kind.is_file() {
        return None;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return Some("a pipe");
        }
        if kind.is_char_device() || kind.is_block_device() {
            return Some("a device");
        }
        if kind.is_socket() {
            return Some("a socket");
        }
    }
    Some(if kind.is_dir() { "a folder" } else { "something else" })
}

pub(super) fn is_pipe(kind: &FileType) -> bool {
    special(kind) == Some("a pipe")
}

fn bounded(input: &mut dyn Read, known: u64, most: u64) -> io::Result<Vec<u8>> {
    let too_large = || io::Error::from(Refusal::TooLarge { most });
    if known > most {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    let sure = usize::try_from(known).map_err(|_| io::ErrorKind::OutOfMemory)?;
    bytes.try_reserve_exact(sure).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let count = input.take(most.saturating_add(1)).read_to_end(&mut bytes)? as u64;
    if count > most { Err(too_large()) } else { Ok(bytes) }
}

/// Named pipes. Opening one waits for the other end: here for ten seconds at most.
#[cfg(unix)]
pub(super) mod pipes {
    use super::{Cursor, File, FileType, Metadata, Path, Read, Refusal, io};
    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
    use std::time::{Duration, Instant};

    /// Time for which the other end is waited for.
    const PATIENCE: Duration = Duration::from_secs(10);
    const GLANCE: Duration = Duration::from_millis(5);

    pub fn is_pipe(kind: &FileType) -> bool {
        kind.is_fifo()
    }

    fn waiting_not(options: &mut std::fs::OpenOptions, path: &Path) -> io::Result<File> {
        options.custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)
    }

    fn waiting(file: &File) -> io::Result<()> {
        Ok(fcntl_setfl(file, fcntl_getfl(file)? - OFlags::NONBLOCK)?)
    }

    /// Opens a pipe to read from.
    pub fn open_to_read(path: &Path) -> io::Result<(Box<dyn Read + Send>, Metadata)> {
        let mut file = waiting_not(File::options().read(true), path)?;
        let metadata = file.metadata()?;
        let (start, mut first) = (Instant::now(), [0]);
        let first = loop {
            match file.read(&mut first) {
                // No writer yet, or one that has come and gone without a byte.
                Ok(0) if start.elapsed() > PATIENCE => return Err(Refusal::Deserted { does: "writes to" }.into()),
                Ok(0) => std::thread::sleep(GLANCE),
                Ok(_) => break first.to_vec(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Vec::new(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        waiting(&file)?;
        Ok((Box::new(Cursor::new(first).chain(file)), metadata))
    }

    /// Opens a pipe to write to.
    pub fn open_to_write(path: &Path) -> io::Result<File> {
        let start = Instant::now();
        loop {
            match waiting_not(File::options().write(true), path) {
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
                    if start.elapsed() > PATIENCE {
                        return Err(Refusal::Deserted { does: "reads from" }.into());
                    }
                    std::thread::sleep(GLANCE);
                }
                other => {
                    let file = other?;
                    waiting(&file)?;
                    return Ok(file);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), [7; 100]).unwrap();
        let path = folder.path().join("a");
        for read in [&read(&path, 100), &read_below(folder.path(), "a", 100)] {
            assert_eq!(read.as_ref().unwrap(), &[7; 100]);
        }
        for read in [read(&path, 99), read_below(folder.path(), "a", 99)] {
            assert_eq!(Refusal::of(&read.unwrap_err()), Some(&Refusal::TooLarge { most: 99 }));
        }
        let refused = [read(folder.path(), 9), read_below(folder.path(), ".", 9)];
        for read in refused {
            assert_eq!(read.unwrap_err().to_string(), "is a folder, expected a file");
        }
        assert_eq!(read_below(folder.path(), "b", 9).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_within_a_folder_only() {
        use std::os::unix::fs::symlink;
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("deep")).unwrap();
        fs::write(at("deep/own"), "o").unwrap();
        symlink("deep/own", at("inside")).unwrap();
        symlink(outside.path().join("secret"), at("file")).unwrap();
        symlink(outside.path(), at("folder")).unwrap();
        symlink("nowhere", at("nothing")).unwrap();
        assert_eq!(read_below(folder.path(), "inside", 9).unwrap(), b"o");
        for name in ["file", "folder/secret", "deep/../file"] {
            let error = read_below(folder.path(), name, 9).unwrap_err();
            assert_eq!(Refusal::of(&error), Some(&Refusal::Outside), "{name}");
        }
        assert_eq!(read_below(folder.path(), "nothing", 9).unwrap_err().kind(), io::ErrorKind::NotFound);
        // The folder itself may be behind a link, and so may what the user names.
        symlink(folder.path(), outside.path().join("link")).unwrap();
        assert_eq!(read_below(&outside.path().join("link"), "inside", 9).unwrap(), b"o");
        assert_eq!(read(&at("file"), 9).unwrap(), b"s");
    }

    #[cfg(unix)]
    #[test]
    fn devices_are_no_files() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.path().join("zero")).unwrap();
        assert!(Refusal::of(&read_below(folder.path(), "zero", 9).unwrap_err()).is_some());
        assert_eq!(read(Path::new("/dev/zero"), 9).unwrap_err().to_string(), "is a device, expected a file");
    }
}
