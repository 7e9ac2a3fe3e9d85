//! Sums over columns, from which preprocessing is fitted.

use super::Features;

/// Sums over the columns of some rows, in f64, from which preprocessing is fitted; integers are summed exactly. Those of the parts of a
/// data set add up to those of the whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Number of rows.
    pub rows: u64,
    /// A typical row that is subtracted, so that a large mean does not swallow the variance.
    pub(super) shift: Vec<f64>,
    pub(super) sum: Vec<f64>,
    pub(super) square: Vec<f64>,
    pub(super) min: Vec<f64>,
    pub(super) max: Vec<f64>,
    /// Cells that are stored; the others of sparse rows are zero.
    pub(super) stored: Vec<f64>,
}

impl Moments {
    /// Sums that are kept of a column.
    pub const SUMS: usize = 6;

    /// The sums over no rows, to be taken of values less `shift`; a column each.
    #[must_use]
    pub fn new(shift: Vec<f64>) -> Self {
        let d = shift.len();
        Self {
            rows: 0,
            shift,
            sum: vec![0.0; d],
            square: vec![0.0; d],
            min: vec![f64::INFINITY; d],
            max: vec![f64::NEG_INFINITY; d],
            stored: vec![0.0; d],
        }
    }

    /// The row that is subtracted of features: the given one of dense rows, none of sparse ones.
    #[must_use]
    pub fn shift_of(features: &Features, row: Option<usize>) -> Vec<f64> {
        let mut shift = vec![0.0; features.n_features()];
        if let (Features::U8(_) | Features::F32(_) | Features::F64(_), Some(row)) = (features, row) {
            features.for_each_cell(row, |j, x| shift[j] = x);
        }
        shift
    }

    /// Number of columns.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.shift.len()
    }

    /// The sums with more columns behind the others, all of them zero in the rows so far.
    pub fn widen(&mut self, n_features: usize) {
        let Self { shift, sum, square, min, max, stored, .. } = self;
        [shift, sum, square, stored].into_iter().for_each(|sums| sums.resize(n_features.max(sums.len()), 0.0));
        min.resize(n_features.max(min.len()), f64::INFINITY);
        max.resize(n_features.max(max.len()), f64::NEG_INFINITY);
    }

    /// Takes the first column away.
    pub(crate) fn drop_first(&mut self) {
        let Self { shift, sum, square, min, max, stored, .. } = self;
        [shift, sum, square, min, max, stored].into_iter().for_each(|sums| drop(sums.drain(..1)));
    }

    /// Adds some rows.
    pub fn add_rows(&mut self, features: &Features, rows: impl ExactSizeIterator<Item = usize>) {
        self.rows += rows.len() as u64;
        for row in rows {
            features.for_each_cell(row, |j, x| {
                let v = x - self.shift[j];
                self.sum[j] += v;
                self.square[j] += v * v;
                self.min[j] = self.min[j].min(x);
                self.max[j] = self.max[j].max(x);
                self.stored[j] += 1.0;
            });
        }
    }

    /// Adds the sums over other rows, of which as much is subtracted.
    pub(super) fn merge(mut self, other: &Self) -> Self {
        self.rows += other.rows;
        for j in 0..self.sum.len() {
            self.sum[j] += other.sum[j];
            self.square[j] += other.square[j];
            self.min[j] = self.min[j].min(other.min[j]);
            self.max[j] = self.max[j].max(other.max[j]);
            self.stored[j] += other.stored[j];
        }
        self
    }

    /// The sums, one of all columns after the other.
    #[must_use]
    pub fn columns(&self) -> [&[f64]; Self::SUMS] {
        [&self.shift, &self.sum, &self.square, &self.min, &self.max, &self.stored]
    }

    /// The same from [`Moments::columns`].
    pub fn of_columns<'a>(rows: u64, mut sums: impl Iterator<Item = &'a [f64]>) -> Option<Self> {
        let mut next = || sums.next().map(<[f64]>::to_vec);
        Some(Self { rows, shift: next()?, sum: next()?, square: next()?, min: next()?, max: next()?, stored: next()? })
    }
}
