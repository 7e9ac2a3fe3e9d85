//! Rows on their way from arrays to a matrix.

use super::array::{self, CellFault, Extent, FeatureCell};
use super::layout::{ColumnPlan, Layout};
use crate::data::LabelColumn;
use crate::format::columns::Role;
use crate::format::labels::push_text;
use crate::format::{DataError, limit, weights};
use arrow_array::{Array, ArrayRef};
use rayon::prelude::*;
use std::path::Path;

/// Rows that one task writes.
const ROWS: usize = 1024;
/// Columns that are decoded at the same time.
pub(in crate::format) const COLUMNS: usize = 16;

/// Rows of a table, one behind the other.
pub(super) struct TableRows<'a, T> {
    layout: &'a Layout,
    pub(super) values: Vec<T>,
    pub(super) labels: LabelColumn,
    pub(super) weights: Option<Vec<f32>>,
}

impl<'a, T: FeatureCell> TableRows<'a, T> {
    pub(super) fn new(layout: &'a Layout) -> Self {
        let is_weighted = layout.columns.iter().any(|taken| taken.role == Role::Weight);
        Self { layout, values: Vec::new(), labels: LabelColumn::new(), weights: is_weighted.then(Vec::new) }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.values.len() / self.layout.width
    }

    /// Holds so many rows against the limit of memory: what is kept and decoded, and twelve bytes for label and weight.
    pub(super) fn check(&self, file: &Path, n_rows: u64) -> Result<(), DataError> {
        let width = self.layout.width as u64;
        let a_row = (width + width.min(COLUMNS as u64)).saturating_mul(size_of::<T>() as u64).saturating_add(12);
        limit::check(file, a_row.saturating_mul(n_rows))
    }

    /// Writes some columns of the rows that begin with `first`.
    pub(super) fn write(
        &mut self,
        file: &Path,
        first: usize,
        in_file: usize,
        columns: &[(usize, ArrayRef)],
    ) -> Result<(), DataError> {
        let n = columns.first().map_or(0, |(_, array)| array.len());
        self.check(file, (first + n) as u64)?;
        let layout = self.layout;
        let taken = |column: usize| layout.columns.iter().find(|taken| taken.column == column);
        let columns: Vec<(&ColumnPlan, &ArrayRef)> =
            columns.iter().filter_map(|(c, array)| Some((taken(*c)?, array))).collect();
        let located = |taken: &ColumnPlan, fault| layout.located(file, in_file, taken.column, fault);
        let features: Vec<_> = columns.iter().filter(|(taken, _)| matches!(taken.role, Role::Feature(_))).collect();
        let found = features
            .par_iter()
            .map(|(taken, array)| array::features::<T>(array, taken.extent).map_err(|fault| located(taken, fault)));
        // Of several bad cells that of the first column is named.
        let found = found.collect::<Vec<_>>().into_iter().collect::<Result<Vec<Vec<T>>, _>>()?;
        let width = layout.width;
        let len = (first + n) * width;
        if self.values.len() < len {
            self.values.resize(len, T::default());
        }
        self.values[first * width..len].par_chunks_mut(ROWS * width).enumerate().for_each(|(i, rows)| {
            for (row, at) in rows.chunks_exact_mut(width).zip(i * ROWS..) {
                for ((taken, _), cells) in features.iter().zip(&found) {
                    let n = taken.extent.width;
                    row[taken.start..][..n].copy_from_slice(&cells[at * n..][..n]);
                }
            }
        });
        for (taken, array) in columns {
            match taken.role {
                Role::Label => array::labels(array, |label| push_text(&mut self.labels, label)),
                Role::Weight => weights_of(array).map(|found| self.weights.get_or_insert_default().extend(found)),
                Role::Feature(_) | Role::Ignored => Ok(()),
            }
            .map_err(|fault| located(taken, fault))?;
        }
        Ok(())
    }
}

/// Row weights of a column.
pub(super) fn weights_of(array: &ArrayRef) -> Result<Vec<f32>, CellFault> {
    let found: Vec<f32> = array::features(array, Extent::ONE)?;
    match found.iter().position(|weight| !weights::is_weight(*weight)) {
        Some(row) => Err(CellFault::new(row, weights::problem(&found[row].to_string()))),
        None => Ok(found),
    }
}
