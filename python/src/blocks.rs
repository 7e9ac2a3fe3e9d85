//! Training from a folder of blocks on the disk, and making one of rows that come in pieces.

use crate::fit::Fitted;
use crate::options::Options;
use crate::parts::features;
use crate::rows::{Matrix, refused, slice};
use crate::supervise::{Watch, supervise};
use burn_svm::StopReason;
use burn_svm::internals::data::blocks::{
    Block, BlockAbout, BlockConfig, BlockError, BlockFolder, BlockWriter, CellType, DataPart, ReadAhead,
};
use burn_svm::internals::data::{Moments, SelectedRows, class_totals};
use burn_svm::internals::solver::SolveError;
use burn_svm::internals::solver::parts::{self, BlockLimits, BlockStore, HotRow, PartVariables, Setting, solve_blocks};
use numpy::PyReadonlyArray1;
use pyo3::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Content of a folder, as a dictionary in Python.
#[derive(IntoPyObject)]
pub struct FolderContent {
    classes: Vec<String>,
    n_features: usize,
    feature_names: Option<Vec<String>>,
    n_samples: u64,
    /// Whether rows are kept in double precision.
    double: bool,
    largest_block: u64,
    encoded: bool,
}

/// The content of a folder of blocks.
#[pyfunction]
pub fn folder_content(folder: PathBuf) -> PyResult<FolderContent> {
    let folder = BlockFolder::open(&folder).map_err(refused)?;
    let manifest = folder.manifest();
    Ok(FolderContent {
        classes: manifest.class_names.clone(),
        n_features: manifest.features,
        feature_names: manifest.feature_names.clone(),
        n_samples: manifest.rows(DataPart::Train),
        double: manifest.cells == CellType::F64,
        largest_block: manifest.largest_in_memory(),
        encoded: manifest.encoding.is_some(),
    })
}

/// Weights of the rows of each class of a folder, in one pass.
#[pyfunction]
pub fn folder_totals(py: Python<'_>, folder: PathBuf) -> PyResult<Vec<f64>> {
    let folder = BlockFolder::open(&folder).map_err(refused)?;
    let k = folder.manifest().class_names.len();
    let all: Vec<usize> = (0..folder.manifest().train.len()).collect();
    let sums = py.detach(|| {
        let mut totals = vec![0.0; k];
        for read in ReadAhead::new(&folder, DataPart::Train, &all) {
            let (_, Block { labels, weights, .. }) = read?;
            let rows: Vec<u32> = (0..).take(labels.len()).collect();
            let own = class_totals(&labels, weights.as_deref(), &rows, k);
            totals.iter_mut().zip(own).for_each(|(total, own)| *total += own);
        }
        Ok::<_, BlockError>(totals)
    });
    sums.map_err(refused)
}

/// Blocks of a folder, with the dual variables of each in a file.
struct FolderStore<'a> {
    folder: &'a BlockFolder,
    ahead: Option<(usize, ReadAhead)>,
    variables: &'a Path,
    n_classes: usize,
    single: bool,
}

impl FolderStore<'_> {
    fn file(&self, block: usize) -> PathBuf {
        self.variables.join(format!("block-{block:05}.dual"))
    }

    fn point_file(&self, block: Option<usize>) -> PathBuf {
        self.variables.join(block.map_or_else(|| "point".into(), |block| format!("point-{block:05}")))
    }
}

fn failed(error: impl std::fmt::Display) -> SolveError {
    SolveError::Storage(error.to_string())
}

impl BlockStore for FolderStore<'_> {
    fn n_blocks(&self) -> usize {
        self.folder.manifest().train.len()
    }

    fn read(&mut self, block: usize, next: Option<usize>) -> Result<SelectedRows, SolveError> {
        let one = |block: usize| ReadAhead::new(self.folder, DataPart::Train, &[block]);
        let ahead = self.ahead.take().filter(|(at, _)| *at == block).map(|(_, ahead)| ahead);
        let found = ahead.unwrap_or_else(|| one(block)).next();
        let lost = || failed("the thread that reads blocks has ended");
        let (_, Block { features, labels, weights }) = found.ok_or_else(lost)?.map_err(failed)?;
        self.ahead = next.map(|next| (next, one(next)));
        let weights = weights.unwrap_or_else(|| vec![1.0; labels.len()]);
        Ok(SelectedRows { features, labels, weights })
    }

    fn variables(&mut self, block: usize) -> Result<Option<PartVariables>, SolveError> {
        let file = self.file(block);
        if !file.exists() {
            return Ok(None);
        }
        let shape = parts::Shape { n_features: 0, n_classes: self.n_classes };
        let bytes = fs::read(&file).map_err(failed)?;
        parts::from_bytes(&bytes, shape).map(Some).map_err(failed)
    }

    fn keep(&mut self, block: usize, variables: &PartVariables) -> Result<(), SolveError> {
        let kept = if self.single { variables.in_single() } else { variables.clone() };
        let bytes = parts::to_bytes(&kept).map_err(failed)?;
        let file = self.file(block);
        fs::write(&file, bytes).map_err(|error| failed(format!("{}: {error}", file.display())))
    }

    // A run that ended early is not gone on with.
    fn hot(&mut self) -> Result<Vec<(usize, HotRow)>, SolveError> {
        Ok(Vec::new())
    }

    fn keep_hot(&mut self, _: &[(usize, HotRow)]) -> Result<(), SolveError> {
        Ok(())
    }

    fn point(&mut self, block: Option<usize>) -> Result<Option<Vec<f64>>, SolveError> {
        let file = self.point_file(block);
        if !file.exists() {
            return Ok(None);
        }
        let bytes = fs::read(&file).map_err(failed)?;
        Ok(Some(bytes.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()))
    }

    fn keep_point(&mut self, block: Option<usize>, point: &[f64]) -> Result<(), SolveError> {
        let bytes: Vec<u8> = point.iter().flat_map(|value| value.to_le_bytes()).collect();
        let file = self.point_file(block);
        fs::write(&file, bytes).map_err(|error| failed(format!("{}: {error}", file.display())))
    }
}

/// The gap below which variables are kept, and that below which weights are held, in double precision.
const FINE: f64 = 1e-6;
const NARROW: f64 = 1e-5;

/// Fits a model to the rows to train on of a folder of blocks, with two of them in memory, in `memory` bytes besides; dual variables lie in the
/// folder `variables`.
#[pyfunction]
#[pyo3(signature = (folder, variables, options, gap, passes, memory, progress=None))]
#[allow(clippy::needless_pass_by_value, clippy::too_many_arguments)]
pub fn fit_folder<'py>(
    py: Python<'py>,
    folder: PathBuf,
    variables: PathBuf,
    options: Options,
    gap: f64,
    passes: u64,
    memory: u64,
    progress: Option<Py<PyAny>>,
) -> PyResult<(Fitted<'py>, u64, Option<Py<PyAny>>)> {
    let folder = BlockFolder::open(&folder).map_err(refused)?;
    let svm = options.svm()?;
    let manifest = folder.manifest();
    let n = usize::try_from(manifest.rows(DataPart::Train)).map_err(refused)?;
    let start = Instant::now();
    let double = manifest.cells == CellType::F64;
    let work = |mut watch: Watch<'_>| {
        let moments = if options.needs_sums() { Some(sums(&folder)?) } else { None };
        let names = &manifest.class_names;
        let setting = svm.setting(names, manifest.features, n, moments.as_ref(), double).map_err(failed)?;
        let limits = BlockLimits {
            gap,
            passes,
            seconds: None,
            hot_rows: parts::hot_rows(manifest, n, memory),
            double: gap < NARROW,
            memory: memory as f64 / 2.0,
            interior: false,
        };
        let (n_classes, single) = (names.len(), gap > FINE);
        let mut store = FolderStore { folder: &folder, ahead: None, variables: &variables, n_classes, single };
        let outcome = solve_blocks(&setting, limits, &mut store, &mut watch)?;
        Ok::<_, SolveError>((setting, outcome))
    };
    let outcome = supervise(py, options.threads, progress.as_ref(), work)?;
    let (setting, found): (Setting, parts::BlockOutcome) = match (outcome.value, outcome.exception.is_some()) {
        (Ok(found), _) => found,
        (Err(_), true) => return Err(outcome.exception.unwrap_or_else(|| refused("interrupted"))),
        (Err(error), false) => return Err(refused(error)),
    };
    let progress = parts::Progress {
        round: found.passes,
        primal: found.outcome.certificate.primal,
        relative_gap: found.outcome.certificate.relative_gap,
        eta: 1.0,
        hot_rows: found.hot_rows,
        visits: found.visits,
        slowest: found.visits,
        hot_visits: 0,
    };
    let names = &manifest.class_names;
    let solution = svm.solution_of_parts(&setting, names, &found.outcome, &progress, gap, start.elapsed());
    let ended = outcome.exception.filter(|_| found.stop == StopReason::Interrupted);
    Ok((Fitted::new(py, &solution)?, found.passes + found.proofs, ended.map(|e| e.into_value(py).into_any())))
}

/// Sums over the columns of the rows to train on.
fn sums(folder: &BlockFolder) -> Result<Moments, SolveError> {
    if let Some(moments) = folder.moments().map_err(failed)? {
        return Ok(moments);
    }
    let mut all: Option<Moments> = None;
    let indices: Vec<usize> = (0..folder.manifest().train.len()).collect();
    for read in ReadAhead::new(folder, DataPart::Train, &indices) {
        let (_, Block { features, .. }) = read.map_err(failed)?;
        let moments = all.get_or_insert_with(|| Moments::new(Moments::shift_of(&features, Some(0))));
        moments.add_rows(&features, 0..features.n_rows());
    }
    all.ok_or_else(|| failed("there are no rows"))
}

/// A writer of a folder of blocks from rows that come in pieces.
#[pyclass(module = "burn_svm._native")]
pub struct FolderWriter(Option<BlockWriter>);

#[pymethods]
impl FolderWriter {
    /// In a new or empty folder, of rows in the form of `first`, with weights or without, in `memory` bytes.
    #[new]
    #[allow(clippy::needless_pass_by_value)]
    fn new(folder: PathBuf, first: Matrix<'_>, weights: bool, seed: u64, memory: u64) -> PyResult<Self> {
        let cells = match first {
            Matrix::U8(_) => CellType::U8,
            Matrix::F32(_) => CellType::F32,
            Matrix::F64(_) => CellType::F64,
            Matrix::Csr(..) => CellType::Csr,
        };
        let config = BlockConfig { cells, weights, seed, memory, block: None };
        let writer = BlockWriter::create(&folder, config, false).map_err(refused)?;
        Ok(Self(Some(writer)))
    }

    /// Takes rows with the number of the label of each, and weights.
    #[pyo3(signature = (rows, labels, n_features, weights=None))]
    #[allow(clippy::needless_pass_by_value)]
    fn put(
        &mut self,
        rows: Matrix<'_>,
        labels: PyReadonlyArray1<'_, u32>,
        n_features: usize,
        weights: Option<PyReadonlyArray1<'_, f32>>,
    ) -> PyResult<()> {
        let features = features(&rows, n_features)?;
        let weights = weights.as_ref().map(|weights| slice(weights.as_slice())).transpose()?;
        let writer = self.0.as_mut().ok_or_else(|| refused("the folder is finished"))?;
        let n = features.n_rows();
        writer.put(DataPart::Train, &features, 0..n, slice(labels.as_slice())?, weights).map_err(refused)
    }

    /// Writes the blocks; `classes` has the class of each number of a label.
    fn finish(&mut self, names: Vec<String>, classes: Vec<u32>) -> PyResult<()> {
        let writer = self.0.take().ok_or_else(|| refused("the folder is finished"))?;
        let about = BlockAbout { class_names: names, train_classes: classes, ..BlockAbout::default() };
        writer.finish(about).map(drop).map_err(refused)
    }
}
