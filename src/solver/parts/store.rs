//! Blocks of rows wherever they lie, with what is kept beside them.

use super::messages::HotRow;
use super::part::PartVariables;
use crate::data::SelectedRows;
use crate::solver::SolveError;

/// Blocks of rows, and the dual variables of each, wherever they are kept.
pub trait BlockStore {
    /// Number of blocks.
    fn n_blocks(&self) -> usize;

    /// The rows of a block; the one that is asked for next is named, where there is one, and may be read ahead.
    ///
    /// # Errors
    /// [`SolveError::Storage`].
    fn read(&mut self, block: usize, next: Option<usize>) -> Result<SelectedRows, SolveError>;

    /// The variables of a block as they were kept last; `None` where there are none.
    ///
    /// # Errors
    /// [`SolveError::Storage`].
    fn variables(&mut self, block: usize) -> Result<Option<PartVariables>, SolveError>;

    /// Keeps the variables of a block.
    ///
    /// # Errors
    /// [`SolveError::Storage`].
    fn keep(&mut self, block: usize, variables: &PartVariables) -> Result<(), SolveError>;

    /// The hot rows of each block as they were kept last.
    ///
    /// # Errors
    /// [`SolveError::Storage`].
    fn hot(&mut self) -> Result<Vec<(usize, HotRow)>, SolveError>;

    /// Keeps the hot rows, each with its block, after every pass.
    ///
    /// # Errors
    /// [`SolveError::Storage`].
    fn keep_hot(&mut self, rows: &[(usize, HotRow)]) -> Result<(), SolveError>;

    /// The interior point of a block as it was kept last, or, of no block, that of the weights.
    ///
    /// # Errors
    /// [`SolveError::Storage`].
    fn point(&mut self, block: Option<usize>) -> Result<Option<Vec<f64>>, SolveError>;

    /// Keeps the interior point of a block, or of no block that of the weights.
    ///
    /// # Errors
    /// [`SolveError::Storage`].
    fn keep_point(&mut self, block: Option<usize>, point: &[f64]) -> Result<(), SolveError>;
}
