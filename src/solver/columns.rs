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

impl<'a> UsedColumns<'a> {
    /// Of sparse rows most of whose features do not occur; `None` for others.
    #[allow(clippy::cast_possible_truncation)]
    pub fn of(problem: &Problem<'a>) -> Option<Self> {
        let Features::Sparse(csr) = problem.source.features else { return None };
        let d = csr.n_features();
        let mut place = vec![u32::MAX; d];
        let saved = |used: usize| (d - used).saturating_mul(problem.n_classes) >= WORTHWHILE && used <= d / FEW;
        if !saved(0) {
            return None;
        }
        let mut used = 0;
        for &j in csr.indices() {
            if place[j as usize] == u32::MAX {
                place[j as usize] = 0;
                used += 1;
            }
        }
        let scaler = problem.source.scaler;
        // The mean of the others is 0 where it was fitted to these rows.
        let is_shifted = |j: usize| place[j] == u32::MAX && scaler.mean.as_ref().is_some_and(|mean| mean[j] != 0.0);
        if !saved(used) || (0..d).any(is_shifted) {
            return None;
        }
        let used: Vec<u32> = (0..d as u32).filter(|&j| place[j as usize] != u32::MAX).collect();
        used.iter().zip(0..).for_each(|(&j, at)| place[j as usize] = at);
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
