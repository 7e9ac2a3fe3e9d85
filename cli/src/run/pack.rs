//! Data into a folder of blocks: one pass over any data set, in bounded memory where its format is read in pieces.

use super::{RunError, encoded_on};
use crate::config::{ConfigError, LoadedConfig};
use crate::data::blocks::{BlockAbout, BlockConfig, BlockWriter, CellType, DataPart, PackSummary};
use crate::data::{Dataset, Encoding, LabelColumn};
use crate::format::pieces::{RowPiece, StreamedData};
use crate::format::{
    BlocksConfig, Classes, DataConfig, DataError, FloatType, Position, Reading, check_classes, check_size, class_rule,
    limit, unseen_label,
};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Blocks have at most this share of the memory, and 64 MB.
const SHARE: u64 = 16;
const BLOCK: u64 = 64 << 20;

/// Folder that was packed.
#[derive(Debug)]
pub struct PackResult {
    /// The folder as written.
    pub packed: PackSummary,
    /// Remarks for the user.
    pub notes: Vec<String>,
    /// Whether the data were in memory as a whole.
    pub was_whole: bool,
}

/// Tells of the rows so far; false ends the packing.
pub type Tell<'a> = dyn FnMut(u64) -> bool + Send + 'a;

/// Writes the data of a configuration as blocks to a folder; `None` where `tell` has ended it, with nothing left behind.
///
/// # Errors
/// [`RunError::Data`] when a file is bad, or the folder holds something else; [`RunError::Config`] when there is nothing to pack.
pub fn pack(
    config: &LoadedConfig,
    folder: &Path,
    replace: bool,
    tell: &mut Tell<'_>,
) -> Result<Option<PackResult>, RunError> {
    let run = &config.run;
    if let DataConfig::Blocks(BlocksConfig { dir }) = &run.data {
        let problem = format!("data.blocks: {} holds blocks already", dir.display());
        return Err(ConfigError::new(&config.file, problem).with_hint("pack the files that they were made of").into());
    }
    BlockWriter::check(folder, replace).map_err(|error| {
        let hint = if error.file == folder && folder.is_dir() {
            "`--force` writes them again"
        } else {
            "name a new or an empty folder with --out"
        };
        DataError::from(error).with_hint(hint)
    })?;
    let reading = Reading { float: FloatType::Auto, cells: run.preprocess.cell_rules(), encoding: None };
    let mut packer = Packer {
        folder,
        replace,
        seed: run.seed,
        files: files(&run.data),
        writer: None,
        train: LabelIndex::default(),
        test: LabelIndex::default(),
        weight: None,
        tell,
        stopped: false,
    };
    let streamed = run.data.in_pieces(&reading, &mut |part, piece| packer.piece(part, piece));
    let was_whole = matches!(streamed, Ok(None));
    let packed = match streamed {
        Ok(Some(facts)) => packer.finish(facts, None),
        Ok(None) => {
            let data = run.data.load_as(&reading)?;
            #[allow(clippy::cast_possible_truncation)]
            let train: Vec<u32> = (0..data.n_train as u32).collect();
            let data = encoded_on(config, &data, &train)?.unwrap_or(data);
            packer.whole(data)
        }
        Err(error) => Err(error),
    };
    match packed {
        Err(_) if packer.stopped => Ok(None),
        Err(error) => Err(error.into()),
        Ok((packed, notes)) => Ok(Some(PackResult { packed, notes, was_whole })),
    }
}

/// The file of the rows and that of the labels of a part, for messages.
#[derive(Debug, Clone, Default)]
struct PartFiles {
    rows: PathBuf,
    labels: PathBuf,
}

/// Those of the train part and of the test part.
fn files(data: &DataConfig) -> [PartFiles; 2] {
    let mut data = data.clone();
    let paths: Vec<(&str, PathBuf)> = data.paths_mut().into_iter().map(|(key, path)| (key, path.clone())).collect();
    let of = |stem: &str| {
        let found: Vec<&PathBuf> =
            paths.iter().filter(|(key, _)| key.starts_with(stem)).map(|(_, path)| path).collect();
        let first = || paths.first().map(|(_, path)| path.clone()).unwrap_or_default();
        let rows = found.first().map_or_else(first, |&path| path.clone());
        PartFiles { labels: found.last().map_or_else(|| rows.clone(), |&path| path.clone()), rows }
    };
    [of("train"), of("test")]
}

/// The labels of a part as they come: their names, their rows, and the first row of each.
#[derive(Debug, Default)]
struct LabelIndex {
    names: Vec<String>,
    ids: HashMap<String, u32>,
    rows: Vec<u64>,
    first: Vec<u64>,
    n_rows: u64,
}

impl LabelIndex {
    /// The rows of a column as indices into all names.
    fn number(&mut self, labels: &LabelColumn) -> Vec<u32> {
        let of_name = |name: &String| {
            #[allow(clippy::cast_possible_truncation)]
            *self.ids.entry(name.clone()).or_insert_with(|| {
                self.names.push(name.clone());
                self.names.len() as u32 - 1
            })
        };
        let ids: Vec<u32> = labels.names().iter().map(of_name).collect();
        self.rows.resize(self.names.len(), 0);
        self.first.resize(self.names.len(), u64::MAX);
        let mut number = |&id: &u32| {
            let id = ids[id as usize];
            self.rows[id as usize] += 1;
            self.first[id as usize] = self.first[id as usize].min(self.n_rows);
            self.n_rows += 1;
            id
        };
        labels.ids().iter().map(&mut number).collect()
    }

    /// A row a name.
    #[allow(clippy::cast_possible_truncation)]
    fn column(&self) -> LabelColumn {
        LabelColumn::from_ids(self.names.clone(), (0..self.names.len() as u32).collect())
    }
}

/// Pieces on their way into blocks.
struct Packer<'a, 'b> {
    folder: &'a Path,
    replace: bool,
    seed: u64,
    files: [PartFiles; 2],
    /// From the first rows on, so that bad data leave a folder as it was.
    writer: Option<BlockWriter>,
    train: LabelIndex,
    test: LabelIndex,
    /// Sum of the weights, where rows have weights.
    weight: Option<f64>,
    tell: &'a mut Tell<'b>,
    stopped: bool,
}

impl Packer<'_, '_> {
    fn piece(&mut self, part: DataPart, piece: RowPiece) -> Result<(), DataError> {
        let RowPiece { features, labels, weights } = piece;
        let n = labels.len();
        let ids = match part {
            DataPart::Train => self.train.number(&labels),
            DataPart::Test => self.test.number(&labels),
        };
        if part == DataPart::Train && weights.is_some() {
            *self.weight.get_or_insert(0.0) += weights.iter().flatten().map(|&w| f64::from(w)).sum::<f64>();
        }
        let is_weighted = weights.is_some();
        let writer = self.writer(CellType::of(&features), is_weighted)?;
        writer
            .put(part, &features, 0..n, &ids, weights.as_deref())
            .map_err(|error| self.located(part, error.into()))?;
        self.told()
    }

    /// An error about rows, at the file that they come from rather than at the folder.
    fn located(&self, part: DataPart, error: DataError) -> DataError {
        match error.file == self.folder && error.kind == crate::format::DataErrorKind::Content {
            true => DataError { file: self.files[part as usize].rows.clone(), hint: None, ..error },
            false => error,
        }
    }

    fn told(&mut self) -> Result<(), DataError> {
        self.stopped = !(self.tell)(self.train.n_rows + self.test.n_rows);
        if self.stopped { Err(DataError::path(self.folder, "stopped")) } else { Ok(()) }
    }

    fn writer(&mut self, cells: CellType, weights: bool) -> Result<&mut BlockWriter, DataError> {
        if self.writer.is_none() {
            let memory = limit::get();
            let block = Some(BLOCK.min(memory / SHARE));
            let config = BlockConfig { cells, weights, seed: self.seed, memory: memory / 2, block };
            self.writer = Some(BlockWriter::create(self.folder, config, self.replace)?);
        }
        self.writer.as_mut().ok_or_else(|| DataError::path(self.folder, "was not begun"))
    }

    /// Packs a data set that is in memory.
    fn whole(&mut self, data: Dataset) -> Result<(PackSummary, Vec<String>), DataError> {
        let Dataset { features, labels, class_names, n_train, weights, .. } = data;
        let column = |ids: &[u32]| LabelColumn::from_ids(class_names.clone(), ids.to_vec());
        for (part, rows) in [(DataPart::Train, 0..n_train), (DataPart::Test, n_train..labels.len())] {
            if rows.is_empty() {
                continue;
            }
            let index = if part == DataPart::Train { &mut self.train } else { &mut self.test };
            let ids = index.number(&column(&labels[rows.clone()]));
            let writer = self.writer(CellType::of(&features), weights.is_some())?;
            writer.put(part, &features, rows.clone(), &ids, weights.as_ref().map(|weights| &weights[rows]))?;
            self.told()?;
        }
        let facts = StreamedData {
            class_names: Some(class_names),
            feature_names: data.feature_names,
            image_shape: data.image_shape,
            notes: data.notes,
            first_is_unused: false,
        };
        self.finish(facts, data.encoding)
    }

    /// Decides about the classes, and writes the blocks.
    fn finish(
        &mut self,
        facts: StreamedData,
        encoding: Option<Encoding>,
    ) -> Result<(PackSummary, Vec<String>), DataError> {
        let [train_files, test_files] = &self.files;
        let mut notes = facts.notes;
        let column = self.train.column();
        let class_names = facts.class_names.map_or_else(|| class_rule(&column, &train_files.labels), Ok)?;
        let classes = Classes::new(&class_names);
        let train_classes = classes.named(&column).to_classes(&class_names).unwrap_or_default();
        let mut rows = vec![0; class_names.len()];
        train_classes.iter().zip(&self.train.rows).for_each(|(&class, n)| rows[class as usize] += n);
        notes.extend(check_classes(&class_names, &rows, &train_files.labels)?);
        if self.weight == Some(0.0) {
            let problem = format!("all {} weights are 0, which leaves nothing to learn from", self.train.n_rows);
            return Err(DataError::content(&train_files.rows, Position::File, problem));
        }
        let column = self.test.column();
        let test_classes = classes.named(&column).to_classes(&class_names).map_err(|at| {
            let record = usize::try_from(self.test.first[at] + 1).unwrap_or(usize::MAX);
            unseen_label(&test_files.labels, (record, column.name(at)), "", &class_names)
        })?;
        let Some(writer) = self.writer.take() else {
            return Err(DataError::content(&train_files.rows, Position::File, "found no row of data"));
        };
        let unused = usize::from(facts.first_is_unused);
        if writer.n_features() == unused {
            let problem = format!("found no feature in {} rows", self.train.n_rows);
            return Err(DataError::content(&train_files.rows, Position::File, problem));
        }
        check_size(writer.n_features() - unused, class_names.len(), &train_files.rows)?;
        let packed = writer.finish(BlockAbout {
            class_names,
            train_classes,
            test_classes,
            feature_names: facts.feature_names,
            image_shape: facts.image_shape,
            encoding,
            drops_first: facts.first_is_unused,
        })?;
        if packed.dropped > 0 {
            let cells = packed.dropped;
            let noun = if cells == 1 { "cell" } else { "cells" };
            notes.push(format!(
                "{}: dropped {cells} {noun} of features that train does not have",
                test_files.rows.display()
            ));
        }
        Ok((packed, notes))
    }
}
