//! A matrix of bytes or floats that stays on the device, and batches of its rows by index.

use super::{floats, places, room};
use burn::tensor::Device;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::cubecl::{self, calculate_cube_count_elemwise};
use burn_cubecl::tensor::CubeTensor;
use std::ops::Range;

/// Largest size of a buffer on any device, as places in it are counted in 32 bits.
const MOST: u64 = 1 << 30;
/// Units of a cube.
const UNITS: u32 = 256;

/// Preprocessing of a cell: factor·(x − mean)/scale.
#[derive(Debug, Clone, Copy, Default)]
pub struct Preprocessing<'a> {
    /// A value a feature.
    pub mean: Option<&'a [f32]>,
    /// A value a feature.
    pub scale: Option<&'a [f32]>,
    /// A value a row of the matrix.
    pub factors: Option<&'a [f32]>,
}

/// Consecutive rows in one buffer.
#[derive(Debug)]
struct RowChunk {
    first: usize,
    n_rows: usize,
    cells: CubeTensor,
}

/// A dense matrix on the device, in as many buffers as it needs.
#[derive(Debug)]
pub struct ResidentRows {
    chunks: Vec<RowChunk>,
    n_rows: usize,
    n_features: usize,
    form: GatherForm,
    mean: CubeTensor,
    scale: CubeTensor,
    factors: CubeTensor,
}

/// Parameters known when the kernel is compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct GatherForm {
    mean: bool,
    scale: bool,
    factors: bool,
    bytes: bool,
}

/// The cells of a dense matrix on the host, row by row.
#[derive(Debug, Clone, Copy)]
pub enum HostCells<'a> {
    /// Bytes, which stay bytes on the device.
    Bytes(&'a [u8]),
    /// Floats.
    Floats(&'a [f32]),
}

impl HostCells<'_> {
    const fn len(&self) -> usize {
        match self {
            Self::Bytes(cells) => cells.len(),
            Self::Floats(cells) => cells.len(),
        }
    }

    /// Words of 32 bits that a row has on the device: bytes are filled up to whole words.
    const fn words(&self, n_features: usize) -> usize {
        match self {
            Self::Bytes(_) => n_features.div_ceil(4),
            Self::Floats(_) => n_features,
        }
    }

    /// Some rows on the device.
    fn upload(&self, n_features: usize, rows: Range<usize>, device: &Device) -> CubeTensor {
        let range = rows.start * n_features..rows.end * n_features;
        match self {
            Self::Bytes(cells) => {
                let pack = |row: &[u8]| row.chunks(4).map(word).collect::<Vec<u32>>();
                places(cells[range].chunks(n_features).flat_map(pack).collect(), device)
            }
            Self::Floats(cells) => places(cells[range].iter().map(|v| v.to_bits()).collect(), device),
        }
    }
}

/// Up to four bytes, the first the lowest.
fn word(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

impl ResidentRows {
    /// Bytes of a matrix on the device, without its tables.
    #[must_use]
    pub const fn bytes(cells: HostCells<'_>, n_features: usize) -> u64 {
        if n_features == 0 {
            return 0;
        }
        4 * (cells.len() / n_features * cells.words(n_features)) as u64
    }

    /// Brings a matrix of `n_features` columns to a device, in buffers of up to `limit` bytes; `None` where not even a row fits.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)]
    pub fn new(
        cells: HostCells<'_>,
        n_features: usize,
        preprocessing: Preprocessing<'_>,
        limit: u64,
        device: &Device,
    ) -> Option<Self> {
        if n_features == 0 || cells.len() == 0 {
            return None;
        }
        let n_rows = cells.len() / n_features;
        let most = (limit.min(MOST) / (4 * cells.words(n_features) as u64)) as usize;
        if most == 0 {
            return None;
        }
        let chunk = |first: usize| {
            let end = (first + most).min(n_rows);
            RowChunk { first, n_rows: end - first, cells: cells.upload(n_features, first..end, device) }
        };
        let Preprocessing { mean, scale, factors } = preprocessing;
        let table = |values: Option<&[f32]>| floats(values.unwrap_or(&[0.0]).to_vec(), device);
        Some(Self {
            chunks: (0..n_rows).step_by(most).map(chunk).collect(),
            n_rows,
            n_features,
            form: GatherForm {
                mean: mean.is_some(),
                scale: scale.is_some(),
                factors: factors.is_some(),
                bytes: matches!(cells, HostCells::Bytes(_)),
            },
            mean: table(mean),
            scale: table(scale),
            factors: table(factors),
        })
    }

    /// Number of buffers of the matrix.
    #[must_use]
    pub const fn n_chunks(&self) -> usize {
        self.chunks.len()
    }

    /// Number of features.
    #[must_use]
    pub const fn n_features(&self) -> usize {
        self.n_features
    }

    /// The rows at `places`, `[n]` in u32, which hold `indices`: `[n, n_features]`, preprocessed. A launch for each buffer that holds one
    /// of them.
    ///
    /// # Panics
    /// When an index is not that of a row.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)]
    pub fn gather(&self, indices: &[u32], places: &CubeTensor) -> CubeTensor {
        let (n, d) = (indices.len(), self.n_features);
        assert!(indices.iter().all(|&row| (row as usize) < self.n_rows), "a row that the matrix does not have");
        let batch = room(&self.mean, [n, d]);
        let (client, dim) = (&self.mean.client, CubeDim::new_1d(UNITS));
        for chunk in &self.chunks {
            let rows = chunk.first..chunk.first + chunk.n_rows;
            if !indices.iter().any(|&row| rows.contains(&(row as usize))) {
                continue;
            }
            gather_kernel::launch(
                client,
                calculate_cube_count_elemwise(client, n * d, dim),
                dim,
                chunk.cells.clone().into_tensor_arg(),
                places.clone().into_tensor_arg(),
                self.mean.clone().into_tensor_arg(),
                self.scale.clone().into_tensor_arg(),
                self.factors.clone().into_tensor_arg(),
                batch.clone().into_tensor_arg(),
                chunk.first as u32,
                chunk.n_rows as u32,
                self.form,
            );
        }
        batch
    }
}

/// A unit a cell of the batch. Floats lie in the buffer as the words that hold them.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
fn gather_kernel(
    cells: &Tensor<u32>,
    places: &Tensor<u32>,
    mean: &Tensor<f32>,
    scale: &Tensor<f32>,
    factors: &Tensor<f32>,
    batch: &mut Tensor<f32>,
    first: u32,
    n_rows: u32,
    #[comptime] form: GatherForm,
) {
    let n_features = batch.shape(1);
    let row = ABSOLUTE_POS / n_features;
    let feature = ABSOLUTE_POS % n_features;
    if row >= batch.shape(0) {
        terminate!();
    }
    let index = places[row];
    if index < first || index - first >= n_rows {
        terminate!();
    }
    let at = (index - first) as usize;
    let mut value = if comptime!(form.bytes) {
        let word = cells[at * n_features.div_ceil(4) + feature / 4];
        f32::cast_from((word >> (8 * (feature % 4) as u32)) & 255u32)
    } else {
        f32::reinterpret(cells[at * n_features + feature])
    };
    if comptime!(form.mean) {
        value -= mean[feature];
    }
    if comptime!(form.scale) {
        value /= scale[feature];
    }
    if comptime!(form.factors) {
        value *= factors[index as usize];
    }
    batch[ABSOLUTE_POS] = value;
}
