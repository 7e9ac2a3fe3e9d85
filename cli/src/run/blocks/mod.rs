//! Training from the disk: rows stay in blocks, of which two are in memory, and the dual variables in files of the run folder.
//!
//! A configuration comes here where the exact solver's rows do not fit into `--memory`: of `blocks` of `[data]` as they are, of files
//! packed under the run folder first. Everything that a whole data set would have to be in memory for is refused with a sentence.

mod certify;
mod descent;
mod find;
mod forecast;
mod measure;
mod path;
mod reader;
mod recorder;
mod rows;
mod sidecar;
mod state;
mod store;
mod train;

pub use certify::certify;
pub use find::{LargeData, check, find, is_too_large, of_model};
pub use forecast::{BlockForecast, forecast};
pub use measure::{BlockRows, evaluate};
pub use rows::BlockData;
pub use state::{go_on, pack_under, start, sweep};
pub use train::train;

use serde::{Deserialize, Serialize};

/// Work of the disk in a run whose rows stay there: `blocks` of `result.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct DiskReport {
    /// Blocks of rows to train on.
    pub blocks: usize,
    /// Passes over them that trained, and that proved; and one that counted classes or fitted the preprocessing, where it was made.
    pub passes: u64,
    pub proofs: u64,
    pub surveys: u64,
    /// Bytes of blocks that were read, and of dual variables that were read and written.
    pub bytes_read: u64,
    pub bytes_of_variables: u64,
    /// Bytes of blocks a second of the solver.
    pub megabytes_per_second: f64,
    /// Time for which the solver waited for blocks and variables.
    pub seconds_waiting: f64,
    /// Rows that were kept in memory in the end, and at most.
    pub hot_rows: usize,
    pub hot_rows_at_most: usize,
}

impl DiskReport {
    /// The same with the passes of another solution before it.
    fn after(self, before: Option<&Self>) -> Self {
        let Some(before) = before else { return self };
        Self { passes: self.passes + before.passes, proofs: self.proofs + before.proofs, ..self }
    }
}
