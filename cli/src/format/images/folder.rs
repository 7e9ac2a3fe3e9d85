//! The files of a folder of images: which are images, of which class, and which are passed over.

use super::decode::{KINDS, Kind};
use crate::durable;
use crate::format::open::path_error;
use crate::format::{DataError, Position};
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Extensions of images: what has one and is none is damaged.
const EXTENSIONS: [&str; 14] =
    ["png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "dib", "tif", "tiff", "gif", "pgm", "ppm", "pnm"];
/// Files that systems leave in folders.
const OF_SYSTEMS: [&str; 3] = ["thumbs.db", "desktop.ini", "__macosx"];
/// The first bytes of a file that say what it is.
const HEAD: u64 = 1024;

/// An image and its class.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LabelledImage {
    pub(super) class: String,
    pub(super) file: PathBuf,
}

/// Content of a folder.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Images in the order of their classes and of their names.
    pub(super) images: Vec<LabelledImage>,
    /// Files passed over, by kind.
    passed: BTreeMap<String, usize>,
}

impl Listing {
    /// Lists a folder with a folder a class; folders below that belong to the class.
    pub(super) fn of(folder: &Path) -> Result<Self, DataError> {
        let mut listing = Self::default();
        for path in entries(folder)? {
            if path.is_dir() {
                listing.class(&path)?;
            } else if is_image(&path)? {
                listing.pass(format!("{} in no class folder", kind(&path)));
            } else {
                listing.pass(kind(&path));
            }
        }
        Ok(listing)
    }

    fn class(&mut self, folder: &Path) -> Result<(), DataError> {
        let name = folder.file_name().unwrap_or_default();
        let Some(name) = name.to_str() else {
            let problem = "the folder's name is not UTF-8, but names a class";
            return Err(DataError::content(folder, Position::File, problem));
        };
        let (before, passed) = (self.images.len(), self.passed.clone());
        self.walk(name, folder)?;
        if self.images.len() > before {
            return Ok(());
        }
        let found = self.passed.iter().map(|(kind, n)| (kind.clone(), n - passed.get(kind).unwrap_or(&0)));
        let found = counted(&found.filter(|(_, n)| *n > 0).collect());
        let found = if found.is_empty() { String::new() } else { format!(", found {found}") };
        Err(DataError::content(folder, Position::File, format!("the class has no image{found}"))
            .with_hint(format!("images are {KINDS}; remove the folder if it is no class")))
    }

    fn walk(&mut self, class: &str, folder: &Path) -> Result<(), DataError> {
        for path in entries(folder)? {
            if path.is_dir() {
                // A link might lead back up.
                if path.is_symlink() { self.pass("links to folders".to_owned()) } else { self.walk(class, &path)? }
            } else if is_image(&path)? {
                self.images.push(LabelledImage { class: class.to_owned(), file: path });
            } else {
                self.pass(kind(&path));
            }
        }
        Ok(())
    }

    fn pass(&mut self, kind: String) {
        *self.passed.entry(kind).or_default() += 1;
    }

    /// The note about what was passed over.
    pub(super) fn note(&self, folder: &Path) -> Option<String> {
        let n: usize = self.passed.values().sum();
        let files = if n == 1 { "file" } else { "files" };
        (n > 0).then(|| format!("{}: {n} {files} passed over: {}", folder.display(), counted(&self.passed)))
    }
}

/// The kinds with their numbers, the most frequent first.
fn counted(kinds: &BTreeMap<String, usize>) -> String {
    let mut kinds: Vec<_> = kinds.iter().collect();
    kinds.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    kinds.iter().map(|(kind, n)| format!("{n} {kind}")).collect::<Vec<_>>().join(", ")
}

/// The extension of a file, for a note.
fn kind(path: &Path) -> String {
    match extension(path) {
        Some(extension) => format!(".{}", extension.escape_debug()),
        None => "without an extension".to_owned(),
    }
}

fn extension(path: &Path) -> Option<String> {
    path.extension().map(|extension| extension.to_string_lossy().to_lowercase())
}

/// Whether a file has the name or the content of an image.
fn is_image(path: &Path) -> Result<bool, DataError> {
    if !path.is_file() {
        return Ok(false);
    }
    if extension(path).is_some_and(|extension| EXTENSIONS.contains(&extension.as_str())) {
        return Ok(true);
    }
    let mut head = Vec::new();
    let opened = durable::open(path).and_then(|(file, _)| file.take(HEAD).read_to_end(&mut head));
    opened.map(|_| Kind::of(&head).is_some()).map_err(|e| path_error(path, &e))
}

/// The entries of a folder by their names, without those that are hidden or of the system.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let list = || fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<std::io::Result<Vec<_>>>();
    let mut paths = list().map_err(|e| path_error(folder, &e))?;
    let is_of_system = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        name.starts_with('.') || OF_SYSTEMS.contains(&name.as_str())
    };
    paths.retain(|path| !is_of_system(path));
    paths.sort_unstable();
    Ok(paths)
}
