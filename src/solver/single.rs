//! Rows in single precision for solvers that see no others.

use super::Problem;
use crate::data::Scaler;
use crate::data::batch::Source;

impl Problem<'_> {
    /// Solves for rows in single precision, which is all that gradients are computed from: rows in double precision are preprocessed
    /// before they are rounded.
    pub(super) fn in_single<T>(&self, solve: impl FnOnce(&Problem<'_>) -> T) -> T {
        let Some(features) = self.source.preprocessed() else { return solve(self) };
        let scaler = Scaler::default();
        solve(&Problem { source: Source { features: &features, scaler: &scaler, ..self.source }, ..*self })
    }
}
