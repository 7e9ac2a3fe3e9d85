//! A model measured block by block.

use super::reader::{BlockReader, DiskUse};
use super::rows::{BlockData, Held, of_block};
use crate::config::LoadedConfig;
use crate::data::blocks::{BlockFolder, DataPart};
use crate::evaluation::{self, Evaluation};
use crate::format::DataError;
use crate::loss::Loss;
use crate::metric::Confusion;
use crate::model::Classifier;
use crate::run::RunError;
use crate::run::labelled::{conform, renumbered};
use std::ops::Range;

/// Rows of a folder that a model is measured on.
#[derive(Debug)]
pub struct BlockRows<'a> {
    folder: &'a BlockFolder,
    part: DataPart,
    /// Of each block; all where it is not set.
    held: Option<(&'a BlockData, Held)>,
    /// Name of the rows.
    pub name: String,
}

impl<'a> BlockRows<'a> {
    /// The test part, or all rows where there is none.
    #[must_use]
    pub fn to_report(folder: &'a BlockFolder) -> Self {
        let name = folder.path().display().to_string();
        match folder.manifest().test.is_empty() {
            true => Self { folder, part: DataPart::Train, held: None, name },
            false => Self { folder, part: DataPart::Test, held: None, name: format!("test part of {name}") },
        }
    }

    /// The rows of a configuration that test, else those that validate, else those that train.
    #[must_use]
    pub fn of_config(data: &'a BlockData, config: &LoadedConfig) -> Self {
        let (_, validation, test) = data.counts();
        let (name, held) = match (test, validation) {
            (1.., _) => ("test", Held::Test),
            (_, 1..) => ("validation", Held::Validation),
            _ => ("train", Held::Train),
        };
        Self { name: format!("{name} split of {}", config.file.display()), ..Self::held(data, held) }
    }

    fn held(data: &'a BlockData, held: Held) -> Self {
        let folder = &data.folder;
        match held == Held::Test && !folder.manifest().test.is_empty() {
            true => Self { folder, part: DataPart::Test, held: None, name: String::new() },
            false => Self { folder, part: DataPart::Train, held: Some((data, held)), name: String::new() },
        }
    }

    #[allow(clippy::cast_possible_truncation)]
    fn of_block(&self, index: usize) -> Range<u32> {
        let all = || 0..self.folder.manifest().blocks(self.part)[index].rows as u32;
        self.held.map_or_else(all, |(data, held)| data.range(index, held))
    }
}

/// Measures a model on rows, two blocks of which are in memory.
///
/// # Errors
/// [`RunError`] when a block is damaged or does not fit the model.
pub fn evaluate(model: &Classifier, rows: &BlockRows<'_>, top: &[usize]) -> Result<Evaluation, RunError> {
    let mut sums = Sums::new(model.n_classes(), top);
    sums.read(rows, &DiskUse::default(), model, model.loss())?;
    Ok(sums.evaluation())
}

/// The rows that validate, and those that test, of a run.
pub(super) fn held_out(data: &BlockData, model: &Classifier, loss: &Loss) -> Result<[Option<Evaluation>; 2], RunError> {
    let (_, validation, test) = data.counts();
    let of = |held: Held, n: usize| {
        if n == 0 {
            return Ok(None);
        }
        let mut sums = Sums::new(model.n_classes(), &[]);
        sums.read(&BlockRows::held(data, held), &data.disk, model, Some(loss))?;
        Ok::<_, RunError>(Some(sums.evaluation()))
    };
    Ok([of(Held::Validation, validation)?, of(Held::Test, test)?])
}

/// Evaluations of blocks, added up.
struct Sums<'a> {
    top: &'a [usize],
    rows: f64,
    loss: f64,
    at_most: f64,
    confusion: Confusion,
    hits: Vec<f64>,
}

impl<'a> Sums<'a> {
    fn new(n_classes: usize, top: &'a [usize]) -> Self {
        let confusion = Confusion::new(n_classes);
        Self { top, rows: 0.0, loss: 0.0, at_most: 0.0, confusion, hits: vec![0.0; top.len()] }
    }

    fn read(
        &mut self,
        rows: &BlockRows<'_>,
        disk: &DiskUse,
        model: &Classifier,
        loss: Option<&Loss>,
    ) -> Result<(), RunError> {
        let (folder, mut misfit) = (rows.folder, None);
        let read = BlockReader::new(folder, rows.part, disk).each(|index, block| {
            let rows: Vec<u32> = rows.of_block(index).collect();
            if rows.is_empty() || misfit.is_some() {
                return Ok(());
            }
            let fitting = renumbered(of_block(folder.manifest(), block), model, folder.path()).and_then(|mut data| {
                let features = if model.scaler.double_rows { data.features } else { data.features.in_single() };
                data.features = conform(features, model, folder.path())?;
                Ok(data)
            });
            match fitting {
                Ok(data) => self.add(&evaluation::evaluate(model, loss, &data, &rows, self.top), rows.len()),
                Err(error) => misfit = Some(error),
            }
            Ok::<(), DataError>(())
        });
        misfit.map_or_else(|| Ok(read?), Err)
    }

    #[allow(clippy::cast_precision_loss)]
    fn add(&mut self, own: &Evaluation, rows: usize) {
        let n = rows as f64;
        self.rows += n;
        self.loss += n * own.data_loss;
        self.at_most += n * own.data_loss_at_most;
        self.confusion.merge(&own.confusion);
        self.hits.iter_mut().zip(&own.top_k).for_each(|(hits, (_, share))| *hits += n * share);
    }

    fn evaluation(self) -> Evaluation {
        let n = self.rows.max(1.0);
        Evaluation {
            data_loss: self.loss / n,
            data_loss_at_most: self.at_most / n,
            confusion: self.confusion,
            top_k: self.top.iter().zip(self.hits).map(|(&k, hits)| (k, hits / n)).collect(),
        }
    }
}
