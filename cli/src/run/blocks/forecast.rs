//! The memory that training from the disk takes, before it takes any.

use crate::config::LoadedConfig;
use crate::data::blocks::{BlockFolder, CellType, DataPart};
use crate::format::limit;
use crate::model::BiasRule;
use crate::objective::Objective;
use crate::solver::SolverConfig;
use crate::solver::parts::{hot_rows, system_bytes};

/// Matrices of the size of the weights that the exact solver holds in double precision: W, that of the order, of the block and of the proof.
const WEIGHTS: u64 = 4;
/// Numbers in double precision a row and class of the block at work: its variables, and those as the solver holds them.
const VARIABLES: u64 = 2;
/// Numbers of an interior point a row and class, at least.
const POINT: u64 = 2;

/// Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockForecast {
    /// Two blocks, the variables of one, and the weights.
    pub least: u64,
    /// Hot rows, at most.
    pub hot: u64,
}

/// The forecast for a configuration and a folder of blocks.
#[must_use]
pub fn forecast(config: &LoadedConfig, folder: &BlockFolder) -> BlockForecast {
    let manifest = folder.manifest();
    let (k, all) = (manifest.class_names.len() as u64, manifest.rows(DataPart::Train));
    let largest = manifest.largest_in_memory();
    let rows = manifest.train.iter().map(|block| block.rows).max().unwrap_or(0);
    let weights = (manifest.features as u64 + 1).saturating_mul(k);
    let (own, hot) = match &config.run.solver {
        SolverConfig::Sgd(solver) => {
            // Of rows in double precision the optimiser sees a copy.
            let copy = if manifest.cells == CellType::F64 { largest / 2 } else { 0 };
            (copy + weights.saturating_mul(4 * (3 + u64::from(solver.optimizer.states()))), 0)
        }
        solver if matches!(solver, SolverConfig::Newton(_)) || config.run.preprocess.bias_rule() == BiasRule::Free => {
            // A point as it was kept, and the next.
            let points = rows.saturating_mul(8 * POINT * 2 * k);
            (points.saturating_add(of_system(config, folder).unwrap_or(0)), 0)
        }
        _ => {
            let copy = if manifest.cells == CellType::Csr { largest } else { 0 };
            let variables = rows.saturating_mul(8 * VARIABLES * k);
            let room = hot_rows(manifest, usize::try_from(all).unwrap_or(usize::MAX), limit::get()) as u64;
            let hot = room.saturating_mul(manifest.in_memory() / all.max(1) + 8 * k);
            (copy + variables + weights.saturating_mul(8 * WEIGHTS), hot)
        }
    };
    BlockForecast { least: own.saturating_add(2 * largest), hot }
}

/// Bytes of the system of the interior point method; `None` where it is too large, or the loss is not known without the rows.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn of_system(config: &LoadedConfig, folder: &BlockFolder) -> Option<u64> {
    let (run, manifest) = (&config.run, folder.manifest());
    let names = &manifest.class_names;
    let Ok(loss) = run.loss.resolve(names, &vec![1.0; names.len()], None) else { return None };
    let objective = Objective { loss, lambda: 1.0, bias: run.preprocess.bias_rule() };
    let n = usize::try_from(manifest.rows(DataPart::Train)).unwrap_or(usize::MAX);
    system_bytes(&objective, (n, manifest.features, names.len())).map(|bytes| bytes as u64)
}
