//! Which rows of each block train, validate and test, and what is fitted on those that train.

use super::reader::{BlockReader, DiskUse};
use crate::config::{ConfigError, LoadedConfig};
use crate::data::blocks::{Block, BlockFolder, CellType, DataPart, Manifest};
use crate::data::{Center, Csr, Dataset, Dense, Encoding, Features, Moments, Scale, Scaler, class_totals};
use crate::format::DataError;
use crate::model::header_problem;
use crate::run::{PreparedData, RunError, Setup};
use std::ops::Range;
use std::time::Instant;

/// Data that stay on the disk, ready to train on.
#[derive(Debug)]
pub struct BlockData {
    /// The blocks.
    pub folder: BlockFolder,
    /// All that a run has of its data but the rows.
    pub prepared: PreparedData,
    /// Uses of the rows of each block.
    pub(super) shares: Shares,
    /// Passes that were made to fit something.
    pub(super) surveys: u64,
    pub(super) disk: DiskUse,
}

/// `wanted` of so many rows a block, in proportion.
#[allow(clippy::cast_possible_truncation)]
fn dealt(rows: &[u64], wanted: u64) -> Vec<u64> {
    let all = u128::from(rows.iter().sum::<u64>().max(1));
    let up_to = |rows: u64| (u128::from(wanted) * u128::from(rows) / all) as u64;
    let mut before = 0;
    let own = |&n: &u64| {
        before += n;
        up_to(before) - up_to(before - n)
    };
    rows.iter().map(own).collect()
}

/// Of each block to train on the rows that train, those that are held out at its end, and those of them, in front, that validate.
#[derive(Debug)]
pub(super) struct Shares {
    train: Vec<u64>,
    held: Vec<u64>,
    validation: Vec<u64>,
}

impl Shares {
    fn of(config: &LoadedConfig, manifest: &Manifest) -> Result<Self, ConfigError> {
        let refused = |problem: String, hint: &str| ConfigError::new(&config.file, problem).with_hint(hint);
        let split = &config.run.split;
        let n = manifest.rows(DataPart::Train);
        let all = usize::try_from(n).unwrap_or(usize::MAX);
        let validation = split.validation.rows_of(all) as u64;
        let test = split.test.map_or(0, |test| test.rows_of(all)) as u64;
        let own = manifest.rows(DataPart::Test);
        if split.test.is_some() && own > 0 {
            let problem = format!("split.test is set, but the data brings a test part of {own} rows of its own");
            return Err(refused(problem, "change `validation` or `test` of [split]"));
        }
        let held = validation.saturating_add(test);
        if held >= n {
            let problem = format!("[split] holds out {held} of {n} rows, which leaves none to train on");
            return Err(refused(problem, "change `validation` or `test` of [split]"));
        }
        let rows: Vec<u64> = manifest.train.iter().map(|block| block.rows).collect();
        let held = dealt(&rows, held);
        let left: Vec<u64> = rows.iter().zip(&held).map(|(n, held)| n - held).collect();
        let n_left = left.iter().sum::<u64>();
        let wanted =
            split.train_rows.map_or(n_left, |rows| rows.of(usize::try_from(n_left).unwrap_or(usize::MAX)) as u64);
        if wanted > n_left {
            let complaint = split.too_many(usize::try_from(n_left).unwrap_or(usize::MAX));
            return Err(refused(complaint.problem, &complaint.hint));
        }
        Ok(Self { train: dealt(&left, wanted), validation: dealt(&held, validation), held })
    }
}

impl BlockData {
    /// Deals out the rows of a folder and fits preprocessing and class weights, in a pass over the blocks where the folder does not
    /// have what it takes.
    ///
    /// # Errors
    /// [`RunError::Data`] for a damaged block, [`RunError::Config`] when split or class weights do not fit the data.
    pub fn new(config: &LoadedConfig, folder: BlockFolder) -> Result<Self, RunError> {
        let start = Instant::now();
        let disk = DiskUse::default();
        let manifest = folder.manifest();
        let shares = Shares::of(config, manifest)?;
        let mut data = without_rows(manifest);
        let names = data.feature_names.as_deref().unwrap_or_default();
        if let Some(problem) = header_problem(&data.class_names, names, data.encoding.as_ref(), &config.text) {
            let hint = "shorter names, or fewer columns: the model carries them, and must be read again";
            return Err(ConfigError::new(&config.file, problem).with_hint(hint).into());
        }
        let n = shares.train.iter().sum::<u64>();
        let is_whole = n == manifest.rows(DataPart::Train);
        let moments = if is_whole { folder.moments().map_err(DataError::from)? } else { None };
        // Weights that do not depend on the rows resolve without them.
        let no_rows = vec![0.0; manifest.class_names.len()];
        let counts = config.run.loss.is_balanced();
        let is_fitted = needs_moments(config) && moments.is_none();
        let survey = if counts || is_fitted { Some(Survey::make(&folder, &shares.train, &disk)?) } else { None };
        let (totals, found) = survey.map_or((no_rows, None), |survey| (survey.totals, survey.moments));
        let preprocess = &config.run.preprocess;
        let double = manifest.cells == CellType::F64;
        let empty = || Moments::new(vec![0.0; manifest.features]);
        let sums = moments.or(found).unwrap_or_else(empty);
        let scaler = Scaler::of_moments(&sums, preprocess.center, preprocess.scale, double);
        let scaler = scaler.without(data.encoding.iter().flat_map(Encoding::binary));
        let rows = usize::try_from(n).unwrap_or(usize::MAX);
        let Setup { scaler, objective, strength } =
            Setup::of_totals(config, &data.class_names, &totals, rows, || scaler)?;
        data.n_train = 0;
        let mut prepared = PreparedData::of_rows(data, Vec::new(), scaler, objective, strength);
        if shares.validation.iter().any(|&rows| rows > 0) {
            prepared.notes.push(
                "the rows that [split] holds out are the last of each block, which are shuffled, whatever its `method`"
                    .into(),
            );
        }
        prepared.load = start.elapsed();
        let surveys = u64::from(counts || is_fitted);
        Ok(Self { prepared, shares, surveys, disk, folder })
    }

    /// Rows to train on, to choose by, and to report on.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let sum = |rows: &[u64]| usize::try_from(rows.iter().sum::<u64>()).unwrap_or(usize::MAX);
        let manifest = self.folder.manifest();
        let own = usize::try_from(manifest.rows(DataPart::Test)).unwrap_or(usize::MAX);
        let Shares { train, held, validation } = &self.shares;
        (sum(train), sum(validation), own + sum(held) - sum(validation))
    }

    /// Rows of each block to train on.
    pub(super) fn train_rows(&self) -> Vec<usize> {
        self.shares.train.iter().map(|&rows| usize::try_from(rows).unwrap_or(usize::MAX)).collect()
    }

    /// Rows of a block.
    #[allow(clippy::cast_possible_truncation)]
    pub(super) fn range(&self, block: usize, held: Held) -> Range<u32> {
        let Shares { train, held: out, validation } = &self.shares;
        let all = self.folder.manifest().train[block].rows;
        let from = all - out[block];
        let range = match held {
            Held::Train => 0..train[block],
            Held::Validation => from..from + validation[block],
            Held::Test => from + validation[block]..all,
        };
        range.start as u32..range.end as u32
    }
}

/// Uses of rows of the blocks to train on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    Train,
    Validation,
    Test,
}

/// Whether the preprocessing depends on the rows.
fn needs_moments(config: &LoadedConfig) -> bool {
    let preprocess = &config.run.preprocess;
    preprocess.center == Center::Mean || matches!(preprocess.scale, Scale::Std | Scale::Minmax)
}

/// Sums over the rows to train on, made in a pass.
struct Survey {
    totals: Vec<f64>,
    moments: Option<Moments>,
}

impl Survey {
    fn make(folder: &BlockFolder, train: &[u64], disk: &DiskUse) -> Result<Self, DataError> {
        let k = folder.manifest().class_names.len();
        let mut survey = Self { totals: vec![0.0; k], moments: None };
        BlockReader::new(folder, DataPart::Train, disk).each(|index, block| {
            let Block { features, labels, weights } = block;
            #[allow(clippy::cast_possible_truncation)]
            let n = train[index] as u32;
            let rows: Vec<u32> = (0..n).collect();
            let own = class_totals(&labels, weights.as_deref(), &rows, k);
            survey.totals.iter_mut().zip(own).for_each(|(all, own)| *all += own);
            let moments =
                survey.moments.get_or_insert_with(|| Moments::new(Moments::shift_of(&features, (n > 0).then_some(0))));
            moments.add_rows(&features, 0..n as usize);
            Ok(())
        })?;
        Ok(survey)
    }
}

/// The data set of a folder without its rows.
pub(super) fn without_rows(manifest: &Manifest) -> Dataset {
    let d = manifest.features;
    let features = match manifest.cells {
        CellType::U8 => Features::U8(Dense::new(d, Vec::new())),
        CellType::F32 => Features::F32(Dense::new(d, Vec::new())),
        CellType::F64 => Features::F64(Dense::new(d, Vec::new())),
        CellType::Csr => Features::Sparse(Csr::new(d)),
    };
    Dataset { n_train: 0, ..of_block(manifest, Block { features, labels: Vec::new(), weights: None }) }
}

/// A block as a data set of its own.
pub(super) fn of_block(manifest: &Manifest, block: Block) -> Dataset {
    let Block { features, labels, weights } = block;
    Dataset {
        n_train: labels.len(),
        features,
        frame: None,
        encoding: manifest.encoding.clone(),
        labels,
        class_names: manifest.class_names.clone(),
        weights,
        feature_names: manifest.feature_names.clone(),
        image_shape: manifest.image_shape,
        notes: Vec::new(),
    }
}
