//! Columns of a table on their way into features.

use super::{Code, EncodedColumn, EncodingError, UnseenCategories, shown};
use crate::data::frame::{Cells, FrameColumn};
use crate::data::sparse::DENSE;
use crate::data::{Csr, Dense, Features};
use rayon::prelude::*;
use std::collections::HashMap;

/// Rows that a thread encodes at once, and chunks of them that are encoded before they are put together.
const ROWS: usize = 1 << 14;
const CHUNKS: usize = 16;

/// A column on its way into features.
pub(super) enum Feed<'a> {
    Number {
        values: &'a [f64],
        origin: f64,
        fill: Option<f32>,
        indicator: bool,
    },
    /// The position of the category of each word of the column; `None` where it is unseen.
    Category {
        ids: &'a [u32],
        position: Vec<Option<usize>>,
    },
}

/// A column with what becomes of its cells, checked.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn feed<'f>(
    column: &EncodedColumn,
    found: &'f FrameColumn,
    at: usize,
    unseen: &mut Vec<UnseenCategories>,
) -> Result<Feed<'f>, EncodingError> {
    let name = || shown(column.name.as_deref(), at);
    let missing = |row: Option<usize>| match row {
        Some(row) if !column.fills() => Err(EncodingError::Missing { row, column: name() }),
        _ => Ok(()),
    };
    match (&column.code, &found.cells) {
        (&Code::Number { origin, fill, indicator, .. }, Cells::Numbers(values)) => {
            missing(values.iter().position(|x| x.is_nan()))?;
            if let Some(row) = values.iter().position(|x| ((x - origin) as f32).is_infinite()) {
                return Err(EncodingError::NotFinite { row, column: name() });
            }
            Ok(Feed::Number { values, origin, fill, indicator })
        }
        (Code::Category { names, fill }, Cells::Words(words)) => {
            let known: HashMap<&str, usize> = names.iter().map(String::as_str).zip(0..).collect();
            let width = column.width();
            let of = |word: &String| {
                if word.is_empty() { fill.filter(|&at| at < width) } else { known.get(word.as_str()).copied() }
            };
            let position: Vec<Option<usize>> = words.names().iter().map(of).collect();
            if fill.is_none()
                && let Some(id) = words.names().iter().position(String::is_empty)
            {
                missing(words.ids().iter().position(|&i| i as usize == id))?;
            }
            let is_unseen = |id: usize| position[id].is_none() && !words.names()[id].is_empty();
            if let Some(first) = (0..position.len()).find(|&id| is_unseen(id)) {
                let rows = words.ids().par_iter().filter(|&&id| is_unseen(id as usize)).count();
                unseen.push(UnseenCategories { column: name(), first: words.names()[first].clone(), rows });
            }
            Ok(Feed::Category { ids: words.ids(), position })
        }
        (Code::Number { .. }, Cells::Words(_)) => {
            Err(EncodingError::Column { column: name(), found: "words", expected: "numbers as in training" })
        }
        (Code::Category { .. }, Cells::Numbers(_)) => {
            Err(EncodingError::Column { column: name(), found: "numbers", expected: "words as in training" })
        }
    }
}

/// All columns on their way into features.
pub(super) struct Encoder<'a> {
    pub(super) feeds: Vec<Feed<'a>>,
    pub(super) widths: Vec<usize>,
    pub(super) n_rows: usize,
    pub(super) n_features: usize,
}

impl Encoder<'_> {
    /// Calls `put` for the cells of a row that may not be zero, in order.
    #[inline(always)]
    fn cells(&self, row: usize, mut put: impl FnMut(usize, f64)) {
        let mut first = 0;
        for (feed, width) in self.feeds.iter().zip(&self.widths) {
            match feed {
                Feed::Number { values, origin, fill, indicator } => {
                    let x = values[row];
                    let missing = x.is_nan();
                    put(first, if missing { f64::from(fill.unwrap_or(0.0)) } else { x - origin });
                    if *indicator && missing {
                        put(first + 1, 1.0);
                    }
                }
                Feed::Category { ids, position } => {
                    if let Some(at) = position[ids[row] as usize] {
                        put(first + at, 1.0);
                    }
                }
            }
            first += width;
        }
    }

    /// Cells that are not zero.
    #[allow(clippy::cast_possible_truncation)]
    fn stored(&self) -> usize {
        let count = |row| {
            let mut count = 0;
            self.cells(row, |_, x| count += usize::from(x as f32 != 0.0));
            count
        };
        (0..self.n_rows).into_par_iter().with_min_len(ROWS).map(count).sum()
    }

    /// Whether so many cells are not zero that rows are dense.
    #[allow(clippy::cast_precision_loss)]
    fn is_full(&self, stored: usize) -> bool {
        self.n_features > 0 && stored as f64 >= DENSE * (self.n_rows * self.n_features) as f64
    }

    /// The same, counted.
    pub(super) fn is_dense(&self) -> bool {
        self.is_full(self.stored())
    }

    /// Dense rows in double precision.
    pub(super) fn in_double(&self) -> Features<'static> {
        Features::F64(self.dense(|x| x))
    }

    fn dense<T: Copy + Default + Send>(&self, of: impl Fn(f64) -> T + Sync) -> Dense<'static, T> {
        let mut values = vec![T::default(); self.n_rows * self.n_features];
        values.par_chunks_mut(ROWS * self.n_features.max(1)).enumerate().for_each(|(chunk, values)| {
            for (i, out) in values.chunks_exact_mut(self.n_features).enumerate() {
                self.cells(chunk * ROWS + i, |j, x| out[j] = of(x));
            }
        });
        Dense::new(self.n_features, values)
    }

    /// Rows in single precision, sparse where most cells are zero.
    #[allow(clippy::cast_possible_truncation)]
    pub(super) fn features(&self) -> Features<'static> {
        let stored = self.stored();
        if self.is_full(stored) {
            return Features::F32(self.dense(|x| x as f32));
        }
        let mut all = Csr::with_capacity(self.n_rows, stored);
        for first in (0..self.n_rows).step_by(ROWS * CHUNKS) {
            let last = (first + ROWS * CHUNKS).min(self.n_rows);
            let starts: Vec<usize> = (first..last).step_by(ROWS).collect();
            let parts: Vec<Csr<'_>> =
                starts.into_par_iter().map(|start| self.sparse(start, (start + ROWS).min(last))).collect();
            parts.iter().for_each(|part| all.append(part));
        }
        all.set_n_features(self.n_features);
        Features::Sparse(all)
    }

    #[allow(clippy::cast_possible_truncation)]
    fn sparse(&self, first: usize, last: usize) -> Csr<'static> {
        let mut rows = Csr::with_capacity(last - first, (last - first) * self.feeds.len());
        for row in first..last {
            self.cells(row, |j, x| {
                if x as f32 != 0.0 {
                    rows.push_cell(j as u32, x as f32);
                }
            });
            rows.finish_row();
        }
        rows
    }
}
