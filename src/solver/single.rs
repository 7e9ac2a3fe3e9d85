//! Rows in single precision for solvers that see no others.

use super::dual::certificate;
use super::{Fit, Problem, SolveError};
use crate::data::batch::Source;
use crate::data::{Features, Scaler};

impl Problem<'_> {
    /// Solves for rows in single precision, which is all that gradients are computed from: rows in double precision are preprocessed
    /// before they are rounded.
    pub(super) fn in_single<T>(&self, solve: impl FnOnce(&Problem<'_>) -> T) -> T {
        let Some(features) = self.source.preprocessed() else { return solve(self) };
        let scaler = Scaler::default();
        solve(&Problem { source: Source { features: &features, scaler: &scaler, ..self.source }, ..*self })
    }
    /// The certificate of a fit to rounded rows, proved again on the rows as they were read.
    pub(super) fn proved_as_read(&self, fit: Fit) -> Result<Fit, SolveError> {
        if fit.certificate.is_none() || !matches!(self.source.features, Features::F64(_)) {
            return Ok(fit);
        }
        let (certificate, evaluation) = certificate::of_weights(self, &fit.weight, fit.bias.as_deref())?.unzip();
        Ok(Fit { certificate, evaluation, ..fit })
    }
}
