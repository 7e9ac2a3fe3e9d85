//! The tar archive around CIFAR's files, read front to back.

use super::{
    BatchFile, CifarConfig, CifarParts, CifarRecords, LONGEST_NAMES, N_PIXELS, check_labels, names_or_digits,
    parse_names,
};
use crate::format::limit;
use crate::format::open::{ByteSource, fill, looks_like};
use crate::format::{DataError, Position};
use std::io;
use std::path::{Path, PathBuf};
use tar::Archive;

/// No path in an archive is longer.
const LONGEST_PATH: u64 = 1 << 14;

/// A file of the archive as it stands there.
struct ArchiveEntry {
    batch: BatchFile,
    path: PathBuf,
    bytes: Vec<u8>,
}

/// Reads the entries in the order of the archive, and joins them in the order of their names.
pub(super) fn read(config: &CifarConfig) -> Result<CifarParts, DataError> {
    let file = &config.dir;
    let source = ByteSource::open(file)?;
    if source.head().get(257..262) != Some(b"ustar") {
        let problem = format!("found {}, expected a folder or a tar archive", looks_like(source.head()));
        return Err(DataError::content(file, Position::File, problem));
    }
    let (mut entries, names_files, all_names) = read_entries(file, source)?;
    entries.sort_by(|a, b| a.batch.cmp(&b.batch));
    if let Some(pair) = entries.windows(2).find(|pair| pair[0].batch == pair[1].batch) {
        return Err(DataError::content(&pair[1].path, Position::File, "occurs twice in the archive"));
    }
    let batches: Vec<BatchFile> = entries.iter().map(|entry| entry.batch.clone()).collect();
    let layout = config.layout(&batches, &all_names)?;
    let names = match names_files.iter().find(|(name, _)| name == layout.names_file()) {
        Some((name, bytes)) => parse_names(&file.join(name), bytes)?,
        None => Vec::new(),
    };
    let mut notes = Vec::new();
    let class_names = names_or_digits(file, layout, names, &mut notes);
    let (mut train, mut test) = (CifarRecords::default(), None);
    train.reserve(file, entries.iter().map(|entry| (entry.bytes.len() / layout.record() * N_PIXELS) as u64).sum())?;
    for entry in entries {
        // Each entry is freed as soon as its pixels have been copied.
        let found = looks_like(&entry.bytes);
        let mut records = CifarRecords { pixels: entry.bytes, labels: Vec::new() };
        records.strip_labels(0, &entry.path, layout, found)?;
        check_labels(&entry.path, &records.labels, class_names.len())?;
        let whole = if entry.batch.is_test { test.get_or_insert_with(CifarRecords::default) } else { &mut train };
        whole.pixels.extend_from_slice(&records.pixels);
        whole.labels.extend_from_slice(&records.labels);
    }
    Ok(CifarParts { train, test, class_names, notes })
}

/// Names of files that are kept for messages.
const MOST_NAMES: usize = 1000;

type NamesFile = (String, Vec<u8>);

/// Batches, files with names of classes, and names of all files.
type Entries = (Vec<ArchiveEntry>, Vec<NamesFile>, Vec<String>);

fn read_entries(file: &Path, source: ByteSource) -> Result<Entries, DataError> {
    let fail = |error: io::Error| damaged(file, &error);
    let mut archive = Archive::new(source);
    let (mut batches, mut names_files, mut all_names) = (Vec::new(), Vec::new(), Vec::new());
    let (mut long_path, mut total) = (None, 0u64);
    // Raw: otherwise the headers of long paths would be read into memory whatever their size.
    for entry in archive.entries().map_err(fail)?.raw(true) {
        let mut entry = entry.map_err(fail)?;
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() {
            let mut path = Vec::new();
            fill(&mut entry, &mut path, LONGEST_PATH, 0).map_err(fail)?;
            long_path = Some(path);
            continue;
        }
        if !kind.is_file() && !kind.is_contiguous() {
            continue;
        }
        let path = long_path.take().unwrap_or_else(|| entry.header().path_bytes().into_owned());
        let path = String::from_utf8_lossy(&path);
        let name = path.trim_end_matches('\0').rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
        if all_names.len() < MOST_NAMES {
            all_names.push(name.clone());
        }
        let (size, mut bytes) = (entry.size(), Vec::new());
        if let Some(batch) = BatchFile::of(&name) {
            total = total.saturating_add(size);
            limit::check(file, total)?;
            if fill(&mut entry, &mut bytes, size, 0).map_err(fail)? < size {
                return Err(damaged(file, &io::ErrorKind::UnexpectedEof.into()));
            }
            bytes.shrink_to_fit();
            batches.push(ArchiveEntry { batch, path: file.join(name), bytes });
        } else if name == "batches.meta.txt" || name.ends_with("_label_names.txt") {
            fill(&mut entry, &mut bytes, size.min(LONGEST_NAMES), 0).map_err(fail)?;
            names_files.push((name, bytes));
        }
    }
    // The bytes after the last entry hold the checksum of the compressed stream.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(fail)?;
    Ok((batches, names_files, all_names))
}

fn damaged(file: &Path, error: &io::Error) -> DataError {
    DataError::content(file, Position::File, format!("the archive is cut off or damaged: {error}"))
        .with_hint("download or copy the file again")
}
