//! Sparse rows one at a time, where all classes belong to one thread.

#![allow(clippy::needless_range_loop)]

use super::{Classes, RowFacts};
use crate::kernel::Real;
use crate::solver::dual::walk::Singles;
use pulp::Simd;
use std::hint::black_box;
use std::sync::Arc;

/// Numbers of four bytes in a cache line.
const LINE: usize = 16;

impl<T: Real> Singles for Classes<'_, T> {
    /// Rows that are scaled are copied; others are only touched, a number of each cache line.
    #[inline(always)]
    fn fetch(&mut self, rows: &[u32]) {
        let Self { shared, coming, .. } = self;
        if shared.inverse.is_some() {
            return coming.load(shared, rows);
        }
        coming.rows.clear();
        coming.rows.extend_from_slice(rows);
        let mut touched = 0;
        for p in 0..rows.len() {
            let (indices, values) = shared.csr.row(rows[p] as usize);
            for i in (0..indices.len().min(values.len())).step_by(LINE) {
                touched ^= indices[i] ^ values[i].to_bits();
            }
        }
        black_box(touched);
    }

    #[inline(always)]
    fn advance(&mut self) {
        std::mem::swap(Arc::make_mut(&mut self.loaded), &mut self.coming);
    }

    #[inline(always)]
    fn square(&self, place: usize) -> f64 {
        self.shared.facts[self.loaded.rows[place] as usize].square
    }

    #[inline(always)]
    fn scores<S: Simd>(&mut self, simd: S, place: usize, out: &mut [f64]) {
        let Self { shared, loaded, weights, tau, g, line, .. } = self;
        let row = loaded.rows[place] as usize;
        if shared.inverse.is_some() {
            let (indices, values) = loaded.cells(shared, place);
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
    fn add<S: Simd>(&mut self, simd: S, place: usize, change: &[f64]) {
        let Self { shared, loaded, weights, tau, g, line, .. } = self;
        let row = loaded.rows[place] as usize;
        let RowFacts { factor, product, .. } = shared.facts[row];
        let stride = change.len();
        let (own, padding) = line.split_at_mut(stride);
        for c in 0..stride {
            own[c] = T::from_f64(factor * change[c]);
        }
        padding.fill(T::default());
        if shared.inverse.is_some() {
            let (indices, values) = loaded.cells(shared, place);
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
