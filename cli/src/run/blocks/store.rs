//! Rows from the blocks, and variables beside the run.

use super::reader::BlockReader;
use super::rows::{BlockData, Held};
use super::sidecar::{self, Sidecar};
use crate::data::SelectedRows;
use crate::data::blocks::{Block, DataPart};
use crate::run::RunError;
use crate::solver::SolveError;
use crate::solver::parts::{BlockStore, HotRow, PartVariables};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The store of a run.
#[derive(Debug)]
pub(super) struct DiskStore<'a> {
    data: &'a BlockData,
    reader: BlockReader<'a>,
    /// Folder of the variables.
    folder: PathBuf,
    n_classes: usize,
    /// Whether variables are kept in single precision.
    single: bool,
    /// The error behind the sentence that the solver was given.
    failure: Option<RunError>,
}

impl<'a> DiskStore<'a> {
    pub(super) fn new(data: &'a BlockData, folder: &Path, single: bool) -> Self {
        let reader = BlockReader::new(&data.folder, DataPart::Train, &data.disk);
        let n_classes = data.prepared.data.n_classes();
        Self { data, reader, folder: folder.to_path_buf(), n_classes, single, failure: None }
    }

    /// A result of the solver with the error of the store where that has ended it.
    pub(super) fn settled<T>(&mut self, result: Result<T, SolveError>) -> Result<T, RunError> {
        result.map_err(|error| self.failure.take().unwrap_or_else(|| error.into()))
    }

    fn failed(&mut self, error: impl Into<RunError>) -> SolveError {
        let error = error.into();
        let problem = error.to_string();
        self.failure = Some(error);
        SolveError::Storage(problem)
    }

    fn file(&self, block: usize) -> PathBuf {
        self.folder.join(format!("block-{block:05}.dual"))
    }

    fn point_file(&self, block: Option<usize>) -> PathBuf {
        self.folder.join(block.map_or_else(|| "point.dual".into(), |block| format!("point-{block:05}.dual")))
    }

    fn hot_file(&self) -> PathBuf {
        self.folder.join("hot.dual")
    }

    fn load(&mut self, file: &Path, words: usize) -> Result<Option<Sidecar>, SolveError> {
        let start = Instant::now();
        let found = sidecar::read(file, words, self.n_classes).map_err(|error| self.failed(error))?;
        let (found, bytes) = found.map_or((None, 0), |(found, bytes)| (Some(found), bytes));
        self.data.disk.variables(bytes, start.elapsed());
        Ok(found)
    }

    fn save(&mut self, file: &Path, sidecar: &Sidecar, single: bool) -> Result<(), SolveError> {
        let start = Instant::now();
        let bytes = sidecar::write(file, sidecar, self.n_classes, single).map_err(|error| self.failed(error))?;
        self.data.disk.variables(bytes, start.elapsed());
        Ok(())
    }
}

impl BlockStore for DiskStore<'_> {
    fn n_blocks(&self) -> usize {
        self.data.folder.manifest().train.len()
    }

    fn read(&mut self, block: usize, next: Option<usize>) -> Result<SelectedRows, SolveError> {
        let Block { features, mut labels, weights } =
            self.reader.read(block, next).map_err(|error| self.failed(error))?;
        let rows = self.data.range(block, Held::Train);
        let n = rows.len();
        let features = if n < labels.len() { features.selected(&rows.collect::<Vec<u32>>()) } else { features };
        labels.truncate(n);
        let mut weights = weights.unwrap_or_else(|| vec![1.0; n]);
        weights.truncate(n);
        Ok(SelectedRows { features, labels, weights })
    }

    fn variables(&mut self, block: usize) -> Result<Option<PartVariables>, SolveError> {
        let found = self.load(&self.file(block), 1)?;
        Ok(found.map(|Sidecar { rows, a, .. }| PartVariables::of(rows, a)))
    }

    fn keep(&mut self, block: usize, variables: &PartVariables) -> Result<(), SolveError> {
        let (rows, a) = variables.rows();
        let sidecar = Sidecar { words: 1, rows: rows.to_vec(), a: a.to_vec() };
        self.save(&self.file(block), &sidecar, self.single)
    }

    fn hot(&mut self) -> Result<Vec<(usize, HotRow)>, SolveError> {
        let Some(Sidecar { rows, a, .. }) = self.load(&self.hot_file(), 2)? else { return Ok(Vec::new()) };
        let row = |(home, a): (&[u32], &[f64])| (home[0] as usize, HotRow { row: home[1], a: a.to_vec(), gap: 0.0 });
        Ok(rows.chunks_exact(2).zip(a.chunks_exact(self.n_classes)).map(row).collect())
    }

    #[allow(clippy::cast_possible_truncation)]
    fn keep_hot(&mut self, rows: &[(usize, HotRow)]) -> Result<(), SolveError> {
        let names = rows.iter().flat_map(|(block, row)| [*block as u32, row.row]).collect();
        let a = rows.iter().flat_map(|(_, row)| &row.a).copied().collect();
        self.save(&self.hot_file(), &Sidecar { words: 2, rows: names, a }, false)
    }

    fn point(&mut self, block: Option<usize>) -> Result<Option<Vec<f64>>, SolveError> {
        let start = Instant::now();
        let found = sidecar::read_point(&self.point_file(block)).map_err(|error| self.failed(error))?;
        self.data.disk.variables(found.as_ref().map_or(0, |point| size_of_val(point.as_slice())), start.elapsed());
        Ok(found)
    }

    fn keep_point(&mut self, block: Option<usize>, point: &[f64]) -> Result<(), SolveError> {
        let start = Instant::now();
        sidecar::write_point(&self.point_file(block), point).map_err(|error| self.failed(error))?;
        self.data.disk.variables(size_of_val(point), start.elapsed());
        Ok(())
    }
}
