//! Folders of blocks, as `burn-svm pack` writes them: data larger than memory, or data that are read again and again.

use super::{DataError, FloatType, Position, limit};
use crate::data::blocks::{Block, BlockError, BlockFolder, CellType, DataPart, MANIFEST, Manifest, ReadAhead};
use crate::data::{Csr, Dataset, Dense, Features};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Bytes of memory that a byte of a file may become: numbers are compressed no further.
const MOST_PACKED: u64 = 32;

/// `blocks` of `[data]`: a folder that `burn-svm pack` has made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlocksConfig {
    /// The folder.
    pub dir: PathBuf,
}

impl From<BlockError> for DataError {
    fn from(BlockError { file, problem, is_content, .. }: BlockError) -> Self {
        if !is_content {
            return Self::path(file, problem);
        }
        Self::content(file, Position::File, problem).with_hint("write the blocks again with `burn-svm pack`")
    }
}

impl BlocksConfig {
    /// The path, which has no key of its own.
    pub fn paths_mut(&mut self) -> Vec<(&'static str, &mut PathBuf)> {
        vec![("", &mut self.dir)]
    }

    /// Whether a path is a folder of blocks.
    #[must_use]
    pub fn is_folder(path: &Path) -> bool {
        path.join(MANIFEST).is_file()
    }

    /// The blocks of the test part of a folder, or all where it has none, one after another.
    ///
    /// # Errors
    /// [`DataError`] when the folder is damaged.
    pub fn read_ahead(dir: &Path) -> Result<ReadAhead, DataError> {
        let folder = BlockFolder::open(dir)?;
        let part = if folder.manifest().test.is_empty() { DataPart::Train } else { DataPart::Test };
        let order: Vec<usize> = (0..folder.manifest().blocks(part).len()).collect();
        Ok(ReadAhead::new(&folder, part, &order))
    }

    /// Reads all blocks into memory, in their order, which is that of no file.
    ///
    /// # Errors
    /// As for [`DataConfig::load_as`](super::DataConfig::load_as); more rows than memory has room for.
    pub fn load(&self, float: FloatType) -> Result<Dataset, DataError> {
        let folder = BlockFolder::open(&self.dir)?;
        let manifest = folder.manifest();
        limit::check(&self.dir, manifest.in_memory())?;
        let n_train = manifest.rows(DataPart::Train);
        let total = n_train.saturating_add(manifest.rows(DataPart::Test));
        if total > u64::from(u32::MAX) {
            let problem = format!("found {total} rows, expected at most {} to be held in memory", u32::MAX);
            return Err(DataError::content(&self.dir, Position::File, problem));
        }
        let mut rows = Joined::new(manifest);
        for part in [DataPart::Train, DataPart::Test] {
            let order: Vec<usize> = (0..manifest.blocks(part).len()).collect();
            for block in ReadAhead::new(&folder, part, &order) {
                rows.append(block?.1);
            }
        }
        let Joined { features, labels, mut weights } = rows;
        let features = features.into_features(manifest.features);
        // Weights of rows that only measure are 1.
        weights.iter_mut().for_each(|weights| weights.resize(labels.len(), 1.0));
        Ok(Dataset {
            features: if float == FloatType::F32 { features.in_single() } else { features },
            frame: None,
            encoding: manifest.encoding.clone(),
            labels,
            class_names: manifest.class_names.clone(),
            n_train: usize::try_from(n_train).unwrap_or(usize::MAX),
            weights,
            feature_names: manifest.feature_names.clone(),
            image_shape: manifest.image_shape,
            notes: Vec::new(),
        })
    }
}

/// Cells of all blocks.
enum BlockCells {
    U8(Vec<u8>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Sparse(Csr<'static>),
}

impl BlockCells {
    fn into_features(self, width: usize) -> Features<'static> {
        match self {
            Self::U8(values) => Features::U8(Dense::new(width, values)),
            Self::F32(values) => Features::F32(Dense::new(width, values)),
            Self::F64(values) => Features::F64(Dense::new(width, values)),
            Self::Sparse(mut csr) => {
                csr.set_n_features(width);
                Features::Sparse(csr)
            }
        }
    }
}

/// Rows of all blocks.
struct Joined {
    features: BlockCells,
    labels: Vec<u32>,
    weights: Option<Vec<f32>>,
}

impl Joined {
    /// Room for the rows, as far as the files can hold them.
    fn new(manifest: &Manifest) -> Self {
        let blocks = || manifest.train.iter().chain(&manifest.test);
        let most = blocks().map(|block| block.bytes).fold(0, u64::saturating_add).saturating_mul(MOST_PACKED);
        let room = |count: u64, size: usize| usize::try_from(count.min(most / size as u64)).unwrap_or(0);
        let stored = blocks().map(|block| block.cells).fold(0, u64::saturating_add);
        let features = match manifest.cells {
            CellType::U8 => BlockCells::U8(Vec::with_capacity(room(stored, 1))),
            CellType::F32 => BlockCells::F32(Vec::with_capacity(room(stored, 4))),
            CellType::F64 => BlockCells::F64(Vec::with_capacity(room(stored, 8))),
            CellType::Csr => {
                let rows = blocks().map(|block| block.rows).fold(0, u64::saturating_add);
                BlockCells::Sparse(Csr::with_capacity(room(rows, 8), room(stored, 8)))
            }
        };
        Self { features, labels: Vec::new(), weights: manifest.weights.then(Vec::new) }
    }

    fn append(&mut self, block: Block) {
        match (&mut self.features, &block.features) {
            (BlockCells::U8(all), Features::U8(rows)) => all.extend_from_slice(rows.values()),
            (BlockCells::F32(all), Features::F32(rows)) => all.extend_from_slice(rows.values()),
            (BlockCells::F64(all), Features::F64(rows)) => all.extend_from_slice(rows.values()),
            (BlockCells::Sparse(all), Features::Sparse(rows)) => all.append(rows),
            _ => unreachable!("all blocks of a folder have cells of one type"),
        }
        self.labels.extend(block.labels);
        if let (Some(all), Some(weights)) = (&mut self.weights, block.weights) {
            all.extend(weights);
        }
    }
}
