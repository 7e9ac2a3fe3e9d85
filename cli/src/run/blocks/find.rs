//! Configurations whose rows do not fit into memory.

use super::forecast::of_system;
use crate::calibration::Calibration;
use crate::config::{ConfigError, LoadedConfig};
use crate::data::blocks::BlockFolder;
use crate::format::{BlocksConfig, DataConfig, DataError, limit};
use crate::run::{RunError, memory};
use crate::solver::SolverConfig;
use crate::solver::newton::NewtonMethod;
use crate::solver::sgd::sampler::Sampling;
use std::path::Path;

/// Data that do not fit into memory.
#[derive(Debug)]
pub enum LargeData {
    /// A folder of blocks.
    Packed(Box<BlockFolder>),
    /// Files that are to be packed.
    Files,
}

/// The blocks of a configuration where they do not fit into memory. Whether files do is known when they are read: [`is_too_large`].
///
/// # Errors
/// [`RunError::Data`] when the folder is damaged, or a block of it does not fit.
pub fn find(config: &LoadedConfig) -> Result<Option<BlockFolder>, RunError> {
    let DataConfig::Blocks(BlocksConfig { dir }) = &config.run.data else { return Ok(None) };
    let folder = BlockFolder::open(dir).map_err(DataError::from)?;
    let is_large = is_large(config, &folder);
    if is_large && check(config).is_ok() {
        limit::check(dir, folder.manifest().largest_in_memory())?;
    }
    Ok(is_large.then_some(folder))
}

/// Whether rows, and what the exact solver holds of each of them, are larger than memory.
fn is_large(config: &LoadedConfig, folder: &BlockFolder) -> bool {
    let manifest = folder.manifest();
    let rows = manifest.train.iter().map(|block| block.rows).fold(0, u64::saturating_add);
    // Without a system that fits the proximal method is the one, in memory.
    let is_in_memory = matches!(config.run.solver, SolverConfig::Newton(_)) && of_system(config, folder).is_none();
    let size = (manifest.features, manifest.class_names.len());
    let of_row = if is_exact(config) && !is_in_memory { memory::of_row(&config.run.solver, size) } else { 0 };
    manifest.in_memory().saturating_add(rows.saturating_mul(of_row)) > limit::get()
}

/// Whether the solver keeps its variables beside the blocks.
pub(super) fn is_exact(config: &LoadedConfig) -> bool {
    match &config.run.solver {
        SolverConfig::Dual(_) => true,
        SolverConfig::Newton(solver) => solver.method != NewtonMethod::Proximal,
        SolverConfig::Sgd(_) | SolverConfig::Lbfgs(_) => false,
    }
}

fn is_descent(config: &LoadedConfig) -> bool {
    matches!(config.run.solver, SolverConfig::Sgd(_))
}

/// A folder of blocks that is measured block by block.
///
/// # Errors
/// [`RunError::Data`] when it is damaged.
pub fn of_model(dir: &Path) -> Result<Option<BlockFolder>, RunError> {
    if !BlocksConfig::is_folder(dir) {
        return Ok(None);
    }
    let folder = BlockFolder::open(dir).map_err(DataError::from)?;
    Ok((folder.manifest().in_memory() > limit::get()).then_some(folder))
}

/// Whether the data of a solver that reads blocks could not be read for want of memory, so that packing them helps.
#[must_use]
pub fn is_too_large(config: &LoadedConfig, error: &RunError) -> bool {
    (is_exact(config) || is_descent(config)) && matches!(error, RunError::Data(error) if error.is_of_memory())
}

/// Refuses what needs all rows in memory.
///
/// # Errors
/// [`ConfigError`] with the way out.
pub fn check(config: &LoadedConfig) -> Result<(), ConfigError> {
    let run = &config.run;
    let refused = |what: &str, hint: &str| {
        let problem = format!(
            "{what} need{} all rows in memory, and they take more than {}, which is the limit",
            if what.ends_with('s') { "" } else { "s" },
            limit::shown(limit::get())
        );
        Err(ConfigError::new(&config.file, problem).with_hint(hint))
    };
    if let SolverConfig::Sgd(solver) = &run.solver {
        if solver.sampling == Sampling::WithReplacement {
            return refused("`sampling = \"with-replacement\"`", "leave it out: blocks and their rows are shuffled");
        }
        if run.early_stopping.is_some() {
            return refused("[early_stopping]", "leave it out, and make fewer `epochs`");
        }
    } else if !is_exact(config) {
        let method = if matches!(run.solver, SolverConfig::Newton(_)) { " method = \"proximal\"" } else { "" };
        let solver = format!("[solver.{}]{method}", run.solver.name());
        let hint = if method.is_empty() {
            "[solver.dual] and [solver.sgd] train from the disk, block by block; `--memory` sets the limit"
        } else {
            "leave `method` out, or take [solver.dual]: both train from the disk; `--memory` sets the limit"
        };
        return refused(&solver, hint);
    }
    if run.calibration.method != Calibration::None {
        return refused("[calibration]", "leave it out: scores, classes and the certificate do not depend on it");
    }
    Ok(())
}
