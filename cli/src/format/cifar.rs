//! CIFAR-10 and CIFAR-100 in their binary layout, as a folder or as the tar archive around it.
//!
//! ```text
//! CIFAR-10    data_batch_*.bin, test_batch.bin    label, 1024 red, 1024 green, 1024 blue: 3073 bytes a record
//! CIFAR-100   train.bin, test.bin                 coarse label, fine label, pixels as above: 3074 bytes
//! names       batches.meta.txt                    one class a line; fine_label_names.txt, coarse_label_names.txt
//! ```
//! A file may hold any number of records. An archive is read in one go and nothing is written to disk.
//!
//! # References
//! A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009;
//! <https://www.cs.toronto.edu/~kriz/cifar.html>, section "Binary version".

mod archive;

use super::open::{self, ByteSource, looks_like};
use super::pieces::{PieceSink, RowPiece, StreamedData, WeightFeed};
use super::{FilePart, assemble, limit, quote};
use crate::data::blocks::DataPart;
use crate::data::{Dataset, Dense, Features, ImageShape, LabelColumn};
use crate::format::{DataError, Position, Table};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const N_PIXELS: usize = 3 * 32 * 32;
const SHAPE: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };
/// No file of class names is longer.
const LONGEST_NAMES: u64 = 1 << 16;

/// `[data.cifar]`: where the batches are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CifarConfig {
    /// The folder with the `.bin` files, or the `.tar.gz` (`.tar.bz2`, `.tar`) around it.
    pub dir: PathBuf,
    /// CIFAR-100 only: which of its two labels to learn; `fine` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<CifarLabels>,
    /// A text file with a weight a line for each image to train on, in the order of the batches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<PathBuf>,
}

/// The two labels of a CIFAR-100 image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CifarLabels {
    /// One of 100 classes.
    #[default]
    Fine,
    /// One of 20 groups of classes.
    Coarse,
}

impl CifarConfig {
    /// The path, with its key.
    pub fn paths_mut(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        let mut paths = vec![("dir", &mut self.dir)];
        paths.extend(self.weights.as_mut().map(|path| ("weights", path)));
        paths
    }

    /// Reads all batches: those to train on in natural order, then the test batch where there is one.
    ///
    /// # Errors
    /// As for [`DataConfig::load`](super::DataConfig::load).
    pub fn load(&self) -> Result<Dataset, DataError> {
        let metadata = std::fs::metadata(&self.dir).map_err(|e| open::path_error(&self.dir, &e))?;
        let found = if metadata.is_dir() { self.read_folder()? } else { archive::read(self)? };
        let n_classes = found.class_names.len();
        let part = |records: CifarRecords| {
            let (pixels, labels) = (records.pixels, records.labels);
            let labels = LabelColumn::from_ids(found.class_names.clone(), labels.into_iter().map(u32::from).collect());
            let features = Features::U8(Dense::new(N_PIXELS, pixels));
            FilePart::new(&self.dir, &self.dir, features, labels)
        };
        debug_assert!(n_classes > 0);
        let train = part(found.train).weighted_by(self.weights.as_deref())?;
        let test = found.test.map(part);
        let dataset = assemble(train, test, Some(found.class_names), found.notes)?;
        Ok(Dataset { image_shape: Some(SHAPE), ..dataset })
    }

    /// Reads the batches of a folder one by one; `None` for an archive.
    pub(super) fn in_pieces(&self, sink: &mut PieceSink<'_>) -> Result<Option<StreamedData>, DataError> {
        let metadata = std::fs::metadata(&self.dir).map_err(|e| open::path_error(&self.dir, &e))?;
        if !metadata.is_dir() {
            return Ok(None);
        }
        let (batches, layout) = self.batches()?;
        let mut notes = Vec::new();
        let class_names = read_names(&self.dir, layout, &mut notes)?;
        let mut feed = WeightFeed::open(self.weights.as_deref())?;
        for batch in &batches {
            let (mut source, mut records) = (ByteSource::open(&self.dir.join(&batch.name))?, CifarRecords::default());
            records.append(&mut source, layout)?;
            check_labels(source.file(), &records.labels, class_names.len())?;
            let part = if batch.is_test { DataPart::Test } else { DataPart::Train };
            let weights = if batch.is_test { None } else { feed.next(records.labels.len())? };
            let labels = records.labels.into_iter().map(u32::from).collect();
            let labels = LabelColumn::from_ids(class_names.clone(), labels);
            let features = Features::U8(Dense::new(N_PIXELS, records.pixels));
            sink(part, RowPiece { features, labels, weights })?;
        }
        feed.end()?;
        let (class_names, image_shape) = (Some(class_names), Some(SHAPE));
        Ok(Some(StreamedData { class_names, image_shape, notes, ..StreamedData::default() }))
    }

    /// The files of a folder in their order, and the layout of their records.
    fn batches(&self) -> Result<(Vec<BatchFile>, RecordLayout), DataError> {
        let entries = std::fs::read_dir(&self.dir).map_err(|e| open::path_error(&self.dir, &e))?;
        let names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        let mut batches: Vec<BatchFile> = names.iter().filter_map(|name| BatchFile::of(name)).collect();
        let layout = self.layout(&batches, &names)?;
        batches.sort();
        Ok((batches, layout))
    }

    fn read_folder(&self) -> Result<CifarParts, DataError> {
        let dir = &self.dir;
        let (batches, layout) = self.batches()?;
        let total: u64 =
            batches.iter().filter_map(|b| std::fs::metadata(dir.join(&b.name)).ok()).map(|m| m.len()).sum();
        let mut notes = Vec::new();
        let class_names = read_names(dir, layout, &mut notes)?;
        let (mut train, mut test) = (CifarRecords::default(), None);
        // Room for the test part too, which ends up below: nothing is copied when the two are joined.
        train.reserve(dir, total)?;
        for batch in &batches {
            let mut source = ByteSource::open(&dir.join(&batch.name))?;
            let records = if batch.is_test { test.get_or_insert_with(CifarRecords::default) } else { &mut train };
            let first = records.append(&mut source, layout)?;
            check_labels(source.file(), &records.labels[first..], class_names.len())?;
        }
        Ok(CifarParts { train, test, class_names, notes })
    }

    /// Which of the two data sets it is, by the names of the files.
    fn layout(&self, batches: &[BatchFile], all_names: &[String]) -> Result<RecordLayout, DataError> {
        let fail = |problem: &str| DataError::content(&self.dir, Position::File, problem);
        let is_train = |is_100| batches.iter().any(|batch| batch.is_100 == is_100 && !batch.is_test);
        match (is_train(false), is_train(true), self.labels) {
            (true, false, None) if batches.iter().all(|batch| !batch.is_100) => Ok(RecordLayout::Cifar10),
            (false, true, labels) if batches.iter().all(|batch| batch.is_100) => {
                Ok(RecordLayout::Cifar100(labels.unwrap_or_default()))
            }
            (true, false, Some(_)) => {
                Err(fail("`labels` is given, but the files are those of CIFAR-10, which has one label"))
            }
            (true, _, _) | (_, true, _) => Err(fail("holds files of CIFAR-10 and CIFAR-100, expected one of them")),
            (false, false, _) => {
                let error = fail("holds neither `data_batch_*.bin` (CIFAR-10) nor `train.bin` (CIFAR-100)");
                let inner = all_names.iter().find(|name| name.starts_with("cifar-10"));
                Err(if all_names.iter().any(|name| name == "data_batch_1" || name == "train") {
                    error.with_hint(
                        "this is the Python version of the data set: `burn-svm fetch cifar10` downloads the binary one",
                    )
                } else if let Some(inner) = inner {
                    error.with_hint(format!("did you mean {}?", self.dir.join(inner).display()))
                } else {
                    error.with_hint("`dir` is the folder with the .bin files, or the .tar.gz itself")
                })
            }
        }
    }
}

/// True for the name of a batch.
pub(super) fn detect(path: &Path, head: &[u8]) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".bz2")).unwrap_or(name);
    // The first byte is a label: of ten classes, or the coarse one of twenty.
    name.ends_with(".bin") && matches!(head.first(), Some(0..100))
}

/// Reads one batch; the names of the classes come from the file next to it, if there is one.
pub(super) fn read(mut source: ByteSource) -> Result<Table, DataError> {
    let (file, found) = (source.file().to_path_buf(), looks_like(source.head()));
    let mut bytes = Vec::new();
    source.read_all(&mut bytes)?;
    let is_100 =
        file.file_name().and_then(|name| name.to_str()).and_then(BatchFile::of).is_some_and(|batch| batch.is_100);
    let fits = |layout: RecordLayout| bytes.len().is_multiple_of(layout.record());
    let fine = RecordLayout::Cifar100(CifarLabels::Fine);
    let layout = if fits(fine) && (is_100 || !fits(RecordLayout::Cifar10)) { fine } else { RecordLayout::Cifar10 };
    let class_names = match file.parent() {
        Some(folder) if file.exists() => read_names(folder, layout, &mut Vec::new())?,
        Some(_) | None => layout.digits(),
    };
    let mut records = CifarRecords { pixels: bytes, labels: Vec::new() };
    records.strip_labels(0, &file, layout, found)?;
    check_labels(&file, &records.labels, class_names.len())?;
    let labels = LabelColumn::from_ids(class_names.clone(), records.labels.into_iter().map(u32::from).collect());
    let features = Features::U8(Dense::new(N_PIXELS, records.pixels));
    let (labels, class_names) = (Some(labels), Some(class_names));
    Ok(Table { labels, image_shape: Some(SHAPE), class_names, ..Table::of(features) })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RecordLayout {
    Cifar10,
    Cifar100(CifarLabels),
}

impl RecordLayout {
    const fn label_bytes(self) -> usize {
        match self {
            Self::Cifar10 => 1,
            Self::Cifar100(_) => 2,
        }
    }

    const fn record(self) -> usize {
        self.label_bytes() + N_PIXELS
    }

    const fn label_at(self) -> usize {
        match self {
            Self::Cifar10 | Self::Cifar100(CifarLabels::Coarse) => 0,
            Self::Cifar100(CifarLabels::Fine) => 1,
        }
    }

    const fn names_file(self) -> &'static str {
        match self {
            Self::Cifar10 => "batches.meta.txt",
            Self::Cifar100(CifarLabels::Fine) => "fine_label_names.txt",
            Self::Cifar100(CifarLabels::Coarse) => "coarse_label_names.txt",
        }
    }

    /// Names where no file has them.
    fn digits(self) -> Vec<String> {
        let n_classes = match self {
            Self::Cifar10 => 10,
            Self::Cifar100(CifarLabels::Fine) => 100,
            Self::Cifar100(CifarLabels::Coarse) => 20,
        };
        (0..n_classes).map(|class: u8| class.to_string()).collect()
    }
}

/// A file of records, told by its name; ordered as the rows shall be: train before test, by number, then by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct BatchFile {
    is_test: bool,
    number: u64,
    name: String,
    is_100: bool,
}

impl BatchFile {
    fn of(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".bin")?;
        let (is_100, is_test) = match stem {
            "train" => (true, false),
            "test" => (true, true),
            "test_batch" => (false, true),
            _ if stem.starts_with("data_batch_") => (false, false),
            _ => return None,
        };
        let number = stem.trim_start_matches("data_batch_").parse().unwrap_or(u64::MAX);
        Some(Self { is_test, number, name: name.to_owned(), is_100 })
    }
}

/// Images and their label bytes.
#[derive(Debug, Default)]
struct CifarRecords {
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl CifarRecords {
    fn reserve(&mut self, file: &Path, n_bytes: u64) -> Result<(), DataError> {
        limit::check(file, n_bytes)?;
        let reserved = usize::try_from(n_bytes).is_ok_and(|n| self.pixels.try_reserve_exact(n).is_ok());
        let problem = || {
            DataError::content(
                file,
                Position::File,
                format!("{n_bytes} bytes do not fit into the memory of this machine"),
            )
        };
        if reserved { Ok(()) } else { Err(problem()) }
    }

    /// Appends all records of a file and returns the row of the first.
    fn append(&mut self, source: &mut ByteSource, layout: RecordLayout) -> Result<usize, DataError> {
        let (start, first, found) = (self.pixels.len(), self.labels.len(), looks_like(source.head()));
        source.read_all(&mut self.pixels)?;
        self.strip_labels(start, source.file(), layout, found)?;
        Ok(first)
    }

    /// Takes the label bytes out of the raw records from byte `start` on, in place.
    fn strip_labels(&mut self, start: usize, file: &Path, layout: RecordLayout, found: &str) -> Result<(), DataError> {
        let (record, n_bytes) = (layout.record(), self.pixels.len() - start);
        let (n_records, rest) = (n_bytes / record, n_bytes % record);
        if n_records == 0 {
            return Err(DataError::content(
                file,
                Position::File,
                format!("found {found}, expected records of {record} bytes"),
            )
            .with_hint("the binary version of CIFAR is needed: whole images, each behind its label"));
        }
        if rest != 0 {
            let problem = format!("the record has {rest} of {record} bytes");
            return Err(DataError::content(file, Position::Record(n_records + 1), problem)
                .with_hint("the file is cut off, or not the binary version of CIFAR"));
        }
        self.labels.reserve(n_records);
        for i in 0..n_records {
            let from = start + i * record;
            self.labels.push(self.pixels[from + layout.label_at()]);
            let pixels = from + layout.label_bytes();
            self.pixels.copy_within(pixels..pixels + N_PIXELS, start + i * N_PIXELS);
        }
        self.pixels.truncate(start + n_records * N_PIXELS);
        Ok(())
    }
}

/// Content of a folder or an archive.
struct CifarParts {
    train: CifarRecords,
    test: Option<CifarRecords>,
    class_names: Vec<String>,
    notes: Vec<String>,
}

fn check_labels(file: &Path, labels: &[u8], n_classes: usize) -> Result<(), DataError> {
    match labels.iter().position(|&label| usize::from(label) >= n_classes) {
        None => Ok(()),
        Some(row) => {
            let problem = format!("found label {}, expected 0 to {}", labels[row], n_classes - 1);
            Err(DataError::content(file, Position::Record(row + 1), problem)
                .with_hint("is this the binary version of CIFAR, with all of its class names?"))
        }
    }
}

fn read_names(folder: &Path, layout: RecordLayout, notes: &mut Vec<String>) -> Result<Vec<String>, DataError> {
    let path = folder.join(layout.names_file());
    if !path.is_file() {
        return Ok(names_or_digits(folder, layout, Vec::new(), notes));
    }
    let mut bytes = Vec::new();
    ByteSource::open(&path)?.read_up_to(&mut bytes, LONGEST_NAMES)?;
    Ok(names_or_digits(folder, layout, parse_names(&path, &bytes)?, notes))
}

fn names_or_digits(place: &Path, layout: RecordLayout, names: Vec<String>, notes: &mut Vec<String>) -> Vec<String> {
    if !names.is_empty() {
        return names;
    }
    let digits = layout.digits();
    let (place, last) = (place.display(), digits.len() - 1);
    notes.push(format!("{place}: no names in {}, so the classes are called 0 to {last}", layout.names_file()));
    digits
}

/// One name a line; blank lines are skipped.
fn parse_names(file: &Path, bytes: &[u8]) -> Result<Vec<String>, DataError> {
    let fail = |line, problem| DataError::content(file, Position::Line(line), problem);
    let mut names: Vec<String> = Vec::new();
    for (line, bytes) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let name =
            std::str::from_utf8(bytes).map_err(|_| fail(line, "the class name is not UTF-8 text".to_owned()))?.trim();
        if names.iter().any(|other| other == name) {
            return Err(fail(line, format!("class {} occurs twice", quote(name))));
        }
        if !name.is_empty() {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
