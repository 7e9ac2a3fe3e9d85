//! Sparse rows one at a time, where all classes belong to one thread.

#![allow(clippy::needless_range_loop)]

use super::{ClassShare, RowFacts, StoredCell};
use crate::kernel::{Real, prefetch, prefetch_all};
use crate::solver::dual::walk::Singles;
use pulp::Simd;
use std::sync::Arc;

impl<T: Real, K: StoredCell> Singles for ClassShare<'_, T, K> {
    #[inline(always)]
    fn announce(&self, row: u32) {
        prefetch(&self.shared.csr.offsets()[row as usize]);
        prefetch(&self.shared.facts[row as usize]);
    }

    #[inline(always)]
    fn prefetch(&self, row: u32) {
        let (indices, values) = self.shared.csr.row(row as usize);
        prefetch_all(indices);
        prefetch_all(values);
    }

    /// Rows whose cells change are copied.
    #[inline(always)]
    fn bring(&mut self, row: u32) {
        self.at_hand = row;
        if self.shared.cells.is_some() {
            Arc::make_mut(&mut self.loaded).load(&self.shared, &[row]);
        }
    }

    #[inline(always)]
    fn square(&self) -> f64 {
        self.shared.facts[self.at_hand as usize].square
    }

    #[inline(always)]
    fn scores<S: Simd>(&mut self, simd: S, out: &mut [f64]) {
        let Self { shared, loaded, at_hand, weights, tau, g, line, .. } = self;
        let row = *at_hand as usize;
        if shared.cells.is_some() {
            let (indices, values) = loaded.cells(shared, 0);
            weights.scores(simd, indices, values, line);
        } else {
            let (indices, values) = shared.csr.row(row);
            weights.scores(simd, indices, values, line);
        }
        let RowFacts { factor, product, .. } = shared.facts[row];
        let stride = out.len();
        let line = &line[..stride];
        for c in 0..stride {
            out[c] = factor * line[c].to_f64();
        }
        if shared.center.is_some() {
            let (k, shift) = (tau.len(), shared.center_square - product);
            let (g, out) = (&g[..k], &mut out[..k]);
            for c in 0..k {
                out[c] += factor * (shift * tau[c] - g[c]);
            }
        }
    }

    #[inline(always)]
    fn add<S: Simd>(&mut self, simd: S, change: &[f64]) {
        let Self { shared, loaded, at_hand, weights, tau, g, line, .. } = self;
        let row = *at_hand as usize;
        let RowFacts { factor, product, .. } = shared.facts[row];
        let stride = change.len();
        let (own, padding) = line.split_at_mut(stride);
        for c in 0..stride {
            own[c] = T::from_f64(factor * change[c]);
        }
        padding.fill(T::default());
        if shared.cells.is_some() {
            let (indices, values) = loaded.cells(shared, 0);
            weights.add(simd, indices, values, line);
        } else {
            let (indices, values) = shared.csr.row(row);
            weights.add(simd, indices, values, line);
        }
        if shared.center.is_some() {
            let k = tau.len();
            let (g, change) = (&mut g[..k], &change[..k]);
            for c in 0..k {
                tau[c] += factor * change[c];
                g[c] += factor * product * change[c];
            }
        }
    }
}
