//! Rows as all parts read them: the cells, and the factors of each row after centring and scaling.

use crate::data::batch::{CANCELLING, Source};
use crate::data::sparse::Column;
use crate::data::{Csr, Dense, Features};
use crate::kernel::Real;
use rayon::prelude::*;

/// The share of cells up to which dense rows are better copied without their zeros, and how many rows tell.
const SPARSE: f64 = 0.3;
const SAMPLED: usize = 256;

/// Types of the columns and the values of stored cells.
pub(in crate::solver::dual) trait StoredCell: Send + Sync + 'static {
    type Column: Column;
    type Value: Copy + Into<f64> + Send + Sync;
}

/// As sparse data are.
pub(in crate::solver::dual) struct Floats;

impl StoredCell for Floats {
    type Column = u32;
    type Value = f32;
}

/// Three bytes a cell, for bytes.
pub(in crate::solver::dual) struct Bytes;

impl StoredCell for Bytes {
    type Column = u16;
    type Value = u8;
}

/// The rows of a kind.
pub(in crate::solver::dual) type CsrOf<'a, K> = Csr<'a, <K as StoredCell>::Column, <K as StoredCell>::Value>;

/// A copy of dense rows without their zeros.
#[derive(Debug, PartialEq)]
pub(in crate::solver::dual) enum SparseCopy {
    Floats(CsrOf<'static, Floats>),
    Bytes(CsrOf<'static, Bytes>),
}

/// The loaded rows: their cells divided by the scale.
#[derive(Debug, Clone)]
pub(super) struct LoadedRows<T> {
    pub rows: Vec<u32>,
    pub values: Vec<T>,
    ends: Vec<usize>,
}

/// r, p and ‖r·(x̂ − m̂)‖² of a row.
#[derive(Debug, Clone, Copy)]
pub(in crate::solver::dual) struct RowFacts {
    pub factor: f64,
    pub product: f64,
    pub square: f64,
}

/// Cells and factors common to all parts.
pub(in crate::solver::dual) struct CsrRows<'a, K: StoredCell> {
    pub csr: CsrOf<'a, K>,
    /// Change of the cells of each feature as rows are loaded; `None` where they stay as they are.
    pub cells: Option<Vec<CellMap>>,
    /// Mean of each feature less what the change takes off.
    pub center: Option<Vec<f64>>,
    pub center_square: f64,
    pub facts: Vec<RowFacts>,
}

/// `x → x·inverse − origin`: 1/scale, unless the scale is the same for all features and in the factors of the rows instead; and the mean of
/// a feature that every row has a cell of and that is far from 0. In V and τ that would leave few digits to the scores: each holds
/// multiples of the mean that cancel.
#[derive(Debug, Clone, Copy)]
pub(in crate::solver::dual) struct CellMap {
    inverse: f64,
    origin: f64,
}

impl CellMap {
    #[inline(always)]
    fn of(&self, x: f64) -> f64 {
        x * self.inverse - self.origin
    }
}

/// Ratio of the squares of a mean and a standard deviation from which a feature is far from 0.
const FAR: f64 = 64.0;

impl<T> Default for LoadedRows<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), values: Vec::new(), ends: Vec::new() }
    }
}

/// The divisor of all features, if that is one number.
fn common_divisor(source: Source<'_>) -> Option<f64> {
    let scale = source.scaler.scale.as_ref()?;
    let first = *scale.first()?;
    scale.iter().all(|&s| s == first).then_some(first)
}

/// The cells of dense rows that are not zero, where so few are not that it pays; the copy is smaller than the rows.
pub(in crate::solver::dual) fn copy(source: Source<'_>) -> Option<SparseCopy> {
    if source.scaler.scale.is_some() && common_divisor(source).is_none() {
        return None;
    }
    match source.features {
        Features::U8(rows) if rows.n_features() <= usize::from(u16::MAX) && sampled_density(rows) <= SPARSE => {
            Some(SparseCopy::Bytes(Csr::from_dense(rows)))
        }
        Features::F32(rows) if sampled_density(rows) <= SPARSE => Some(SparseCopy::Floats(Csr::from_dense(rows))),
        _ => None,
    }
}

/// The share of cells that are not zero, in rows from all over.
#[allow(clippy::cast_precision_loss)]
fn sampled_density<T: Copy + Default + PartialEq>(rows: &Dense<'_, T>) -> f64 {
    let (mut stored, mut cells) = (0, 0);
    for i in (0..rows.n_rows()).step_by(rows.n_rows().div_ceil(SAMPLED).max(1)) {
        stored += rows.row(i).iter().filter(|&&x| x != T::default()).count();
        cells += rows.n_features();
    }
    stored as f64 / cells as f64
}

impl<T: Real> LoadedRows<T> {
    #[inline(always)]
    pub fn cells<'s, K: StoredCell>(&'s self, shared: &'s CsrRows<'_, K>, i: usize) -> (&'s [K::Column], &'s [T]) {
        let start = if i == 0 { 0 } else { self.ends[i - 1] };
        (shared.csr.row(self.rows[i] as usize).0, &self.values[start..self.ends[i]])
    }

    pub fn load<K: StoredCell>(&mut self, shared: &CsrRows<'_, K>, rows: &[u32]) {
        self.rows.clear();
        self.values.clear();
        self.ends.clear();
        self.rows.extend_from_slice(rows);
        for &row in rows {
            let (indices, values) = shared.csr.row(row as usize);
            match &shared.cells {
                None => self.values.extend(values.iter().map(|&v| T::from_f64(v.into()))),
                Some(maps) => {
                    let changed = indices.iter().zip(values).map(|(&j, &v)| maps[j.into() as usize].of(v.into()));
                    self.values.extend(changed.map(T::from_f64));
                }
            }
            self.ends.push(self.values.len());
        }
    }
}

impl<'a, K: StoredCell> CsrRows<'a, K> {
    pub fn new(source: Source<'a>, csr: CsrOf<'a, K>) -> Self {
        let divisor = common_divisor(source);
        let scale = source.scaler.scale.as_ref().filter(|_| divisor.is_none());
        let inverse = |j: usize| scale.map_or(1.0, |scale| 1.0 / scale[j]);
        let d = csr.n_features();
        let mut center: Option<Vec<f64>> =
            source.scaler.mean.as_ref().map(|mean| (0..d).map(|j| mean[j] * inverse(j)).collect());
        let mut origins = vec![0.0; d];
        if let Some(center) = &mut center {
            for j in far_from_zero::<K>(&csr, |j, x| x * inverse(j), center) {
                origins[j] = std::mem::take(&mut center[j]);
            }
        }
        let map = |j: usize| CellMap { inverse: inverse(j), origin: origins[j] };
        let changes = scale.is_some() || origins.iter().any(|&origin| origin != 0.0);
        let cells = changes.then(|| (0..d).map(map).collect());
        let center_square = center.as_ref().map_or(0.0, |c| c.iter().map(|m| m * m).sum());
        let mut shared = Self { csr, cells, center, center_square, facts: Vec::new() };
        let divisor = divisor.unwrap_or(1.0);
        let rows = (0..shared.csr.n_rows()).into_par_iter();
        shared.facts = rows.map(|row| shared.facts_of(source, row, divisor)).collect();
        shared
    }

    /// Whether the means take digits off scores, so that weights are better held in double precision.
    #[allow(clippy::cast_precision_loss)]
    pub fn cancels(&self) -> bool {
        let squares: f64 = self.facts.iter().map(|facts| facts.factor * facts.factor * self.center_square).sum();
        let left: f64 = self.facts.iter().map(|facts| facts.square).sum();
        squares > CANCELLING * left
    }

    fn facts_of(&self, source: Source<'_>, row: usize, divisor: f64) -> RowFacts {
        let factor = source.scaler.row_factor(source.features, row) / divisor;
        let (mut product, mut square) = (0.0, self.center_square);
        let (indices, values) = self.csr.row(row);
        for (&j, &x) in indices.iter().zip(values) {
            let j = j.into() as usize;
            let x = self.cells.as_ref().map_or(x.into(), |maps| maps[j].of(x.into()));
            let m = self.center.as_ref().map_or(0.0, |c| c[j]);
            product += x * m;
            square += (x - m) * (x - m) - m * m;
        }
        RowFacts { factor, product, square: factor * factor * square.max(0.0) }
    }
}

/// The features that every row has a cell of and whose mean is far from 0, next to their spread.
#[allow(clippy::cast_precision_loss)]
fn far_from_zero<K: StoredCell>(csr: &CsrOf<'_, K>, scaled: impl Fn(usize, f64) -> f64, means: &[f64]) -> Vec<usize> {
    let n = csr.n_rows();
    let (mut counts, mut squares) = (vec![0usize; means.len()], vec![0.0; means.len()]);
    for row in 0..n {
        let (indices, values) = csr.row(row);
        for (&j, &x) in indices.iter().zip(values) {
            let j = j.into() as usize;
            counts[j] += 1;
            squares[j] += (scaled(j, x.into()) - means[j]).powi(2);
        }
    }
    (0..means.len()).filter(|&j| counts[j] == n && means[j] * means[j] * n as f64 > FAR * squares[j]).collect()
}
