//! Writing a folder of blocks in one pass over the rows.

use super::bins::{Bins, RecordForm};
use super::coding::{self, is_block};
use super::manifest::{BlockEntry, Manifest, SavedFile};
use super::moments::{self, MOST_COLUMNS};
use super::{BlockError, CellType, DataPart, MANIFEST, MOMENTS};
use crate::data::{Encoding, Features, ImageShape, Moments};
use crate::durable::{self, Draft, is_temporary};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Bytes of a block in memory where there is room for more.
const BLOCK: u64 = 64 << 20;
/// The smallest blocks.
const SMALLEST: u64 = 1 << 12;

/// Settings of a writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockConfig {
    /// Representation of the cells.
    pub cells: CellType,
    /// Whether rows have weights.
    pub weights: bool,
    /// Seed of the order of the rows.
    pub seed: u64,
    /// Bytes of memory that writing may take, beside 16 MB.
    pub memory: u64,
    /// Bytes of a block in memory; `None` for 64 MB, or less in little memory.
    pub block: Option<u64>,
}

/// Facts about the data that are known when all rows have been read.
#[derive(Debug, Clone, Default)]
pub struct BlockAbout {
    /// Names of the classes in the order of their indices.
    pub class_names: Vec<String>,
    /// The class of each label that was put into the train part.
    pub train_classes: Vec<u32>,
    /// The same of the test part.
    pub test_classes: Vec<u32>,
    /// The names of the features.
    pub feature_names: Option<Vec<String>>,
    /// Of image data.
    pub image_shape: Option<ImageShape>,
    /// The encoding of the features.
    pub encoding: Option<Encoding>,
    /// Whether the first column of sparse rows is left out: that of index 0, where indices count from 1.
    pub drops_first: bool,
}

/// A folder that was written.
#[derive(Debug)]
pub struct PackSummary {
    /// Its manifest.
    pub manifest: Manifest,
    /// Cells of the test part in columns that the train part does not have, which were dropped.
    pub dropped: u64,
}

/// Writer of a folder of blocks. A folder that it has not finished holds no manifest; what it has written is removed with it.
pub struct BlockWriter {
    folder: PathBuf,
    config: BlockConfig,
    /// Bins and moments, from the first rows on.
    train: Option<(Bins, Option<Moments>)>,
    test: Option<Bins>,
    features: usize,
    /// Whether the folder was made by this writer.
    made: bool,
    finished: bool,
}

impl BlockWriter {
    /// Begins a folder, which must be new or empty, or hold nothing but an unfinished one; with `replace` a finished one, too.
    ///
    /// # Errors
    /// [`BlockError`] where something else is there, or the folder cannot be made.
    pub fn create(folder: &Path, config: BlockConfig, replace: bool) -> Result<Self, BlockError> {
        let made = !folder.exists();
        if made {
            fs::create_dir_all(folder).map_err(BlockError::of(folder))?;
        } else {
            clear(folder, replace)?;
        }
        Ok(Self { folder: folder.to_path_buf(), config, train: None, test: None, features: 0, made, finished: false })
    }

    /// Refuses a folder in which there is something else, as [`BlockWriter::create`] would; touches nothing.
    ///
    /// # Errors
    /// As there.
    pub fn check(folder: &Path, replace: bool) -> Result<(), BlockError> {
        if folder.exists() { ours(folder, replace).map(drop) } else { Ok(()) }
    }

    /// Removes a folder of blocks, or an unfinished one; one that holds something else stays as it is.
    ///
    /// # Errors
    /// [`BlockError`] as for [`BlockWriter::create`].
    pub fn remove(folder: &Path) -> Result<(), BlockError> {
        if !folder.exists() {
            return Ok(());
        }
        clear(folder, true)?;
        fs::remove_dir(folder).map_err(BlockError::of(folder))
    }

    /// Takes some rows as those of a part, each with the number of its label and, if rows have weights, its weight (1 by default).
    ///
    /// # Errors
    /// [`BlockError`] where the disk is full, or dense rows are wider or narrower than those before.
    ///
    /// # Panics
    /// When the features are of another kind, or there are fewer labels or weights than rows (programming errors).
    pub fn put(
        &mut self,
        part: DataPart,
        features: &Features,
        rows: Range<usize>,
        labels: &[u32],
        weights: Option<&[f32]>,
    ) -> Result<(), BlockError> {
        assert_eq!(CellType::of(features), self.config.cells, "features of one kind");
        assert!(labels.len() == rows.len() && weights.is_none_or(|w| w.len() == labels.len()), "a label a row");
        let (n, is_sparse) = (features.n_features(), self.config.cells == CellType::Csr);
        if !is_sparse && self.features > 0 && n != self.features {
            let problem = format!("found rows of {n} features behind rows of {}", self.features);
            return Err(BlockError::content(&self.folder, problem));
        }
        if part == DataPart::Train || !is_sparse {
            self.features = self.features.max(n);
        }
        let form = RecordForm { cells: self.config.cells, weights: self.config.weights, features: n };
        let (folder, seed) = (&self.folder, self.config.seed);
        match part {
            DataPart::Test => {
                let bins = self.test.get_or_insert_with(|| Bins::new(folder, form, seed, 1));
                bins.put(features, rows, labels, weights)
            }
            DataPart::Train => {
                let begin = || {
                    let first = (!rows.is_empty()).then_some(rows.start);
                    let moments = (n <= MOST_COLUMNS).then(|| Moments::new(Moments::shift_of(features, first)));
                    (Bins::new(folder, form, seed, 0), moments)
                };
                let (bins, sums) = self.train.get_or_insert_with(begin);
                *sums = sums.take().filter(|_| n <= MOST_COLUMNS).map(|mut sums| {
                    sums.widen(n);
                    sums.add_rows(features, rows.clone());
                    sums
                });
                bins.put(features, rows, labels, weights)
            }
        }
    }

    /// Features of the rows so far, with the first column that may be left out.
    #[must_use]
    pub const fn n_features(&self) -> usize {
        self.features
    }

    /// Writes the blocks and, last of all, the manifest.
    ///
    /// # Errors
    /// [`BlockError`] where the disk is full, or no row was put.
    pub fn finish(mut self, about: BlockAbout) -> Result<PackSummary, BlockError> {
        let Some((train, sums)) = self.train.take() else {
            return Err(BlockError::content(&self.folder, "found no row to train on"));
        };
        let drops = usize::from(about.drops_first);
        let features = self.features - drops;
        let config = self.config;
        let folder = &self.folder;
        let blocks = |part: DataPart, bins: Bins, classes: &[u32]| {
            let mut out = PartWriter { folder, part, features, drops, classes, entries: Vec::new(), dropped: 0 };
            out.write(bins, &config)?;
            Ok::<_, BlockError>((out.entries, out.dropped))
        };
        let (train, _) = blocks(DataPart::Train, train, &about.train_classes)?;
        let (test, dropped) = match self.test.take() {
            Some(bins) => blocks(DataPart::Test, bins, &about.test_classes)?,
            None => (Vec::new(), 0),
        };
        let moments = sums.map(|mut sums| {
            sums.widen(self.features);
            (0..drops).for_each(|_| sums.drop_first());
            moments::encode(&sums)
        });
        if let Some(bytes) = &moments {
            let file = folder.join(MOMENTS);
            durable::write(&file, bytes).map_err(BlockError::of(&file))?;
        }
        let saved = |bytes: Vec<u8>| SavedFile { bytes: bytes.len() as u64, crc32c: crc32c::crc32c(&bytes) };
        let manifest = Manifest {
            burn_svm_blocks: Manifest::version(),
            cells: config.cells,
            features,
            feature_names: about.feature_names,
            class_names: about.class_names,
            weights: config.weights,
            image_shape: about.image_shape,
            encoding: about.encoding,
            seed: config.seed,
            train,
            test,
            moments: moments.map(saved),
        };
        let text = serde_json::to_vec_pretty(&manifest).map_err(|e| BlockError::path(folder, e.to_string()))?;
        let file = folder.join(MANIFEST);
        durable::write(&file, &text).map_err(BlockError::of(&file))?;
        self.finished = true;
        Ok(PackSummary { manifest, dropped })
    }
}

impl Drop for BlockWriter {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // The bins remove their files.
        (self.train, self.test) = (None, None);
        // A file that stays does no harm: without a manifest it belongs to nothing.
        let _ = ours(&self.folder, false).map(|files| files.iter().for_each(|file| drop(fs::remove_file(file))));
        if self.made {
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

/// Writer of the blocks of a part.
struct PartWriter<'a> {
    folder: &'a Path,
    part: DataPart,
    features: usize,
    /// Columns that are left out in front.
    drops: usize,
    classes: &'a [u32],
    entries: Vec<BlockEntry>,
    dropped: u64,
}

impl PartWriter<'_> {
    /// Writes the rows of bins.
    fn write(&mut self, bins: Bins, config: &BlockConfig) -> Result<(), BlockError> {
        // A block is held as records, as rows and, of sparse ones, as bytes on their way.
        let most = (config.memory / 4).max(SMALLEST);
        let block = config.block.unwrap_or(BLOCK).clamp(SMALLEST, most);
        bins.drain(block, most, &mut |records| {
            let n = records.len();
            let bytes = records.size();
            let count = usize::try_from((bytes + block / 2) / block).unwrap_or(n).clamp(1, n);
            for i in 0..count {
                self.block(records.rows(n * i / count..n * (i + 1) / count))?;
            }
            Ok(())
        })
    }

    fn block(&mut self, mut rows: super::bins::ProvisionalRows) -> Result<(), BlockError> {
        if let Features::Sparse(csr) = &mut rows.features {
            (0..self.drops).for_each(|_| csr.unshift());
            self.dropped += csr.set_n_features(self.features) as u64;
        }
        rows.labels.iter_mut().for_each(|label| *label = self.classes[*label as usize]);
        let file = self.folder.join(self.part.file(self.entries.len()));
        let mut draft = Draft::begin(&file).map_err(BlockError::of(self.folder))?;
        let mut out = Counted { out: &mut draft, bytes: 0, crc32c: 0 };
        let coded =
            coding::StoredRows { features: &rows.features, labels: &rows.labels, weights: rows.weights.as_deref() };
        coding::write(&coded, &mut out).map_err(BlockError::of(&file))?;
        let cells = match &rows.features {
            Features::Sparse(csr) => csr.nnz(),
            dense => dense.n_rows() * dense.n_features(),
        };
        let (rows, cells) = (rows.labels.len() as u64, cells as u64);
        self.entries.push(BlockEntry { rows, cells, bytes: out.bytes, crc32c: out.crc32c });
        draft.finish().map_err(BlockError::of(&file))
    }
}

/// Bytes on their way, counted and summed up.
struct Counted<'a> {
    out: &'a mut Draft,
    bytes: u64,
    crc32c: u32,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Empties a folder that is ours.
fn clear(folder: &Path, replace: bool) -> Result<(), BlockError> {
    ours(folder, replace)?.iter().try_for_each(|file| fs::remove_file(file).map_err(BlockError::of(file)))
}

/// The files of a folder in which everything is ours, in the order in which they may be removed: what is left is ours whenever that ends.
pub(super) fn ours(folder: &Path, replace: bool) -> Result<Vec<PathBuf>, BlockError> {
    let entries = fs::read_dir(folder).map_err(BlockError::of(folder))?;
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry.map_err(BlockError::of(folder))?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let is_file = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
        if !is_file || !is_of_blocks(&path, &name) {
            return Err(BlockError::path(&path, "is there already, and no folder of blocks has such a file"));
        }
        if name == MANIFEST && !replace {
            return Err(BlockError::path(folder, "holds blocks already"));
        }
        files.push(path);
    }
    // The manifest first, without which the others are no folder of blocks any more, and sums before the blocks that they are known by.
    files.sort_by_key(|file| [MANIFEST, MOMENTS].iter().position(|name| file.ends_with(name)).unwrap_or(2));
    Ok(files)
}

/// Whether a file may be one of a folder of blocks, by its name and its beginning.
fn is_of_blocks(path: &Path, name: &str) -> bool {
    let number = |stem: &str| name.strip_prefix(stem)?.strip_prefix('-')?.strip_suffix(".bin");
    let is_numbered = [DataPart::Train, DataPart::Test]
        .iter()
        .filter_map(|part| number(part.stem()))
        .any(|digits| digits.len() >= 5 && digits.bytes().all(|b| b.is_ascii_digit()));
    let begins = |is: &dyn Fn(&[u8]) -> bool| {
        let mut head = Vec::new();
        let read = File::open(path).and_then(|file| file.take(64).read_to_end(&mut head));
        read.is_ok() && is(&head)
    };
    match name {
        MANIFEST => begins(&|head| String::from_utf8_lossy(head).contains("burn_svm_blocks")),
        // Sums have no mark; they are known by their company.
        MOMENTS => path.with_file_name(DataPart::Train.file(0)).exists(),
        _ => is_temporary(name) || (is_numbered && begins(&is_block)),
    }
}
