//! Some rows of a data set, copied: they can be kept, appended to, and sent.

use super::batch::Source;
use super::{Csr, Dense, Features, packed};
use serde::{Deserialize, Serialize};

/// Rows with their labels and weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(into = "SentRows", try_from = "SentRows")]
pub struct SelectedRows {
    /// In the form of the data set.
    pub features: Features<'static>,
    /// A class index a row.
    pub labels: Vec<u32>,
    /// A weight a row.
    pub weights: Vec<f32>,
}

impl Features<'_> {
    /// A copy of some rows.
    #[must_use]
    pub fn selected(&self, rows: &[u32]) -> Features<'static> {
        fn dense<T: Copy>(from: &Dense<'_, T>, rows: &[u32]) -> Dense<'static, T> {
            let values = rows.iter().flat_map(|&row| from.row(row as usize)).copied().collect();
            Dense::new(from.n_features(), values)
        }
        match self {
            Self::U8(from) => Features::U8(dense(from, rows)),
            Self::F32(from) => Features::F32(dense(from, rows)),
            Self::F64(from) => Features::F64(dense(from, rows)),
            Self::Sparse(from) => {
                let cells = rows.iter().map(|&row| from.row(row as usize).0.len()).sum();
                let mut csr = Csr::with_capacity(rows.len(), cells);
                for &row in rows {
                    let (indices, values) = from.row(row as usize);
                    indices.iter().zip(values).for_each(|(&j, &value)| csr.push_cell(j, value));
                    csr.finish_row();
                }
                csr.set_n_features(from.n_features());
                Features::Sparse(csr)
            }
        }
    }
}

impl SelectedRows {
    /// Copies of some rows.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)]
    pub fn of(source: Source<'_>, rows: &[u32]) -> Self {
        Self {
            features: source.features.selected(rows),
            labels: rows.iter().map(|&row| source.labels[row as usize]).collect(),
            weights: rows.iter().map(|&row| source.weight(row) as f32).collect(),
        }
    }

    /// Appends other rows of the same data set. Rows that are of another kind all the same, which no data set has, are an error of
    /// the program.
    ///
    /// # Panics
    /// When the kinds differ.
    pub fn append(&mut self, other: &Self) {
        match (&mut self.features, &other.features) {
            (Features::U8(to), Features::U8(from)) => to.append(from),
            (Features::F32(to), Features::F32(from)) => to.append(from),
            (Features::F64(to), Features::F64(from)) => to.append(from),
            (Features::Sparse(to), Features::Sparse(from)) => to.append(from),
            (to, from) => unreachable!("rows of {} and rows of {}", to.kind(), from.kind()),
        }
        self.labels.extend_from_slice(&other.labels);
        self.weights.extend_from_slice(&other.weights);
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Keeps some rows.
    #[must_use]
    pub fn kept(&self, rows: &[u32]) -> Self {
        Self {
            features: self.features.selected(rows),
            labels: rows.iter().map(|&row| self.labels[row as usize]).collect(),
            weights: rows.iter().map(|&row| self.weights[row as usize]).collect(),
        }
    }
}

/// [`SelectedRows`] as they are sent.
#[derive(Serialize, Deserialize)]
struct SentRows {
    n_features: usize,
    cells: SentCells,
    #[serde(with = "packed")]
    labels: Vec<u32>,
    #[serde(with = "packed")]
    weights: Vec<f32>,
}

#[derive(Serialize, Deserialize)]
enum SentCells {
    U8(#[serde(with = "packed")] Vec<u8>),
    F32(#[serde(with = "packed")] Vec<f32>),
    F64(#[serde(with = "packed")] Vec<f64>),
    Sparse {
        #[serde(with = "packed")]
        offsets: Vec<u64>,
        #[serde(with = "packed")]
        columns: Vec<u32>,
        #[serde(with = "packed")]
        values: Vec<f32>,
    },
}

impl From<SelectedRows> for SentRows {
    fn from(rows: SelectedRows) -> Self {
        let cells = match &rows.features {
            Features::U8(dense) => SentCells::U8(dense.values().to_vec()),
            Features::F32(dense) => SentCells::F32(dense.values().to_vec()),
            Features::F64(dense) => SentCells::F64(dense.values().to_vec()),
            Features::Sparse(csr) => SentCells::Sparse {
                offsets: csr.offsets().iter().map(|&offset| offset as u64).collect(),
                columns: csr.indices().to_vec(),
                values: csr.values().to_vec(),
            },
        };
        Self { n_features: rows.features.n_features(), cells, labels: rows.labels, weights: rows.weights }
    }
}

impl TryFrom<SentRows> for SelectedRows {
    type Error = &'static str;

    fn try_from(sent: SentRows) -> Result<Self, Self::Error> {
        let SentRows { n_features: d, cells, labels, weights } = sent;
        let n = labels.len();
        let is_whole = weights.len() == n
            && d > 0
            && match &cells {
                SentCells::U8(values) => n.checked_mul(d) == Some(values.len()),
                SentCells::F32(values) => n.checked_mul(d) == Some(values.len()),
                SentCells::F64(values) => n.checked_mul(d) == Some(values.len()),
                SentCells::Sparse { offsets, columns, values } => {
                    offsets.len() == n + 1
                        && offsets[0] == 0
                        && offsets.is_sorted()
                        && offsets[n] == values.len() as u64
                        && columns.len() == values.len()
                        && columns.iter().all(|&j| (j as usize) < d)
                }
            };
        if !is_whole {
            return Err("rows whose cells, labels and weights do not fit each other");
        }
        let features = match cells {
            SentCells::U8(values) => Features::U8(Dense::new(d, values)),
            SentCells::F32(values) => Features::F32(Dense::new(d, values)),
            SentCells::F64(values) => Features::F64(Dense::new(d, values)),
            SentCells::Sparse { offsets, columns, values } => {
                // No larger than the number of values.
                let offsets: Vec<usize> = offsets.into_iter().filter_map(|offset| offset.try_into().ok()).collect();
                Features::Sparse(Csr::of(d, offsets, columns, values))
            }
        };
        Ok(Self { features, labels, weights })
    }
}
