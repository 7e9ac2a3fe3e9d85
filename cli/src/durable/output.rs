//! Output that the user has named: a file, written whole or not at all, or a pipe or device, written directly.

use super::{Draft, Refusal, input};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// An output that the user has named.
#[derive(Debug)]
pub struct Output(OutputSink);

#[derive(Debug)]
enum OutputSink {
    /// Standard output, or a pipe, a terminal, another device.
    Straight(BufWriter<Box<dyn OutputStream>>),
    /// A file that is there when all of it is.
    File(Draft),
}

trait OutputStream: Write + Send + std::fmt::Debug {}
impl<T: Write + Send + std::fmt::Debug> OutputStream for T {}

impl Output {
    /// Standard output.
    #[must_use]
    pub fn standard() -> Self {
        Self::straight(io::stdout())
    }

    fn straight(out: impl OutputStream + 'static) -> Self {
        Self(OutputSink::Straight(BufWriter::new(Box::new(out))))
    }

    /// Opens an output that does not replace one of `inputs`, each with the name of its kind.
    ///
    /// `-` is standard output. A pipe, a terminal, a device that is not a disk, and whatever the shell has opened (`/dev/stdout`, `>(...)`)
    /// are written as they are, and never replaced. A file is written under a temporary name, and gets its own when it is whole; through a link
    /// that the user names it is the target that is replaced.
    ///
    /// # Errors
    /// [`Refusal`] for inputs, folders, disks, links to nothing, and pipes without a reader; the error of the system.
    pub fn open(path: &Path, inputs: &[(&Path, &'static str)]) -> io::Result<Self> {
        match path.to_str() {
            Some("-" | "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1") => return Ok(Self::standard()),
            Some("/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2") => return Ok(Self::straight(io::stderr())),
            _ => {}
        }
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if fs::symlink_metadata(path).is_ok() {
                    return Err(Refusal::Dangling.into());
                }
                return Ok(Self(OutputSink::File(Draft::begin(path)?)));
            }
            Err(error) => return Err(error),
        };
        if let Some((_, what)) = inputs.iter().find(|(input, _)| is_same(&metadata, path, input)) {
            return Err(Refusal::Input { what }.into());
        }
        if input::handed_down(path) {
            return File::options().append(true).open(path).map(Self::straight);
        }
        if !metadata.is_file() {
            return special(path, &metadata);
        }
        let target = fs::canonicalize(path)?;
        let draft = Draft::begin(&target)?;
        // The permissions of the file stay.
        fs::set_permissions(draft.partial(), metadata.permissions())?;
        Ok(Self(OutputSink::File(draft)))
    }

    /// Ends the output: a file gets its name.
    ///
    /// # Errors
    /// The error of the system.
    pub fn finish(self) -> io::Result<()> {
        match self.0 {
            OutputSink::Straight(mut out) => out.flush(),
            OutputSink::File(draft) => draft.finish(),
        }
    }
}

fn special(path: &Path, metadata: &fs::Metadata) -> io::Result<Output> {
    let kind = metadata.file_type();
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return input::pipes::open_to_write(path).map(Output::straight);
        }
        if kind.is_char_device() {
            return File::options().write(true).open(path).map(Output::straight);
        }
    }
    let _ = path;
    Err(Refusal::Special { found: input::special(&kind).unwrap_or("something else") }.into())
}

/// Whether two paths lead to one file. `-` is the source of standard input.
fn is_same(output: &fs::Metadata, path: &Path, input: &Path) -> bool {
    let input = if input == Path::new("-") { PathBuf::from("/dev/stdin") } else { input.to_path_buf() };
    if !output.is_file() {
        return false;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let _ = path;
        fs::metadata(input).is_ok_and(|input| (input.dev(), input.ino()) == (output.dev(), output.ino()))
    }
    #[cfg(not(unix))]
    fs::canonicalize(input).is_ok_and(|input| fs::canonicalize(path).is_ok_and(|path| path == input))
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            OutputSink::Straight(out) => out.write(bytes),
            OutputSink::File(draft) => draft.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            OutputSink::Straight(out) => out.flush(),
            OutputSink::File(draft) => draft.flush(),
        }
    }
}
