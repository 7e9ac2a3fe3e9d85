//! Problems without the features that no row has: their weights are 0 at the optimum.
//!
//! Hashed text has millions of features of which a few thousand occur. A solver's memory and its passes over the weights go with all of
//! them, its result with those that occur.

use super::{Fit, Problem};
use crate::data::batch::Source;
use crate::data::{Csr, Features, Scaler};

/// Share of the features that occur, and numbers of weights saved, from which on it pays.
const FEW: usize = 4;
const WORTHWHILE: usize = 1 << 20;

/// The rows with the features that occur.
pub(super) struct UsedColumns<'a> {
    /// The features in order.
    used: Vec<u32>,
    n_features: usize,
    features: Features<'a>,
    scaler: Scaler,
}

/// The features that a solver other than `[solver.sgd]` works on, in order, where most do not occur in sparse rows; `None` where it
/// works on all.
#[must_use]
#[allow(clippy::cast_possible_truncation)]
pub fn used_columns(features: &Features<'_>, n_classes: usize) -> Option<Vec<u32>> {
    let Features::Sparse(csr) = features else { return None };
    let d = csr.n_features();
    let pays = |used: usize| (d - used).saturating_mul(n_classes) >= WORTHWHILE && used <= d / FEW;
    if !pays(0) {
        return None;
    }
    let mut occurs = vec![false; d];
    csr.indices().iter().for_each(|&j| occurs[j as usize] = true);
    let used: Vec<u32> = (0..d as u32).filter(|&j| occurs[j as usize]).collect();
    pays(used.len()).then_some(used)
}

impl<'a> UsedColumns<'a> {
    /// Of sparse rows most of whose features do not occur; `None` for others.
    pub fn of(problem: &Problem<'a>) -> Option<Self> {
        let used = used_columns(problem.source.features, problem.n_classes)?;
        let Features::Sparse(csr) = problem.source.features else { return None };
        let (d, scaler) = (csr.n_features(), problem.source.scaler);
        let mut place = vec![u32::MAX; d];
        used.iter().zip(0..).for_each(|(&j, at)| place[j as usize] = at);
        // The mean of the others is 0 where it was fitted to these rows.
        if (0..d).any(|j| place[j] == u32::MAX && scaler.of_feature(j).0 != 0.0) {
            return None;
        }
        let of = |values: &Option<Vec<f64>>| {
            values.as_ref().map(|values| used.iter().map(|&j| values[j as usize]).collect::<Vec<f64>>())
        };
        let scaler = Scaler { mean: of(&scaler.mean), scale: of(&scaler.scale), ..*scaler };
        let indices: Vec<u32> = csr.indices().iter().map(|&j| place[j as usize]).collect();
        let features = Features::Sparse(Csr::of(used.len(), csr.offsets(), indices, csr.values()));
        Some(Self { used, n_features: d, features, scaler })
    }

    /// The problem of these features.
    pub fn problem<'s>(&'s self, problem: &Problem<'s>) -> Problem<'s> {
        Problem { source: Source { features: &self.features, scaler: &self.scaler, ..problem.source }, ..*problem }
    }

    /// The weights of these features, of `weight` `[n_features, n_classes]`.
    pub fn narrow(&self, weight: &[f64], n_classes: usize) -> Vec<f64> {
        self.used.iter().flat_map(|&j| &weight[j as usize * n_classes..][..n_classes]).copied().collect()
    }

    /// The fit to all features.
    pub fn widen(&self, fit: Fit, n_classes: usize) -> Fit {
        if fit.weight.is_empty() {
            return fit;
        }
        let mut weight = vec![0.0; self.n_features * n_classes];
        for (&j, own) in self.used.iter().zip(fit.weight.chunks_exact(n_classes)) {
            weight[j as usize * n_classes..][..n_classes].copy_from_slice(own);
        }
        Fit { weight, ..fit }
    }
}
