//! Loss and gradient of dense rows in one pass over them, on the host.
//!
//! ```text
//! for each block of rows that fits the cache:
//!     s_i = r_i·((x_i − mean)·(W/scale)) + b        scores, a few rows at a time
//!     q_i = weight_i/n · ∂ℓ_i/∂s_i                  in place of the scores, with the loss
//!     ∂W += (r_i·q_i) ⊗ (x_i − mean)/scale          a part of the features at a time;  ∂b += q_i
//! ```
//!
//! Bytes and floats are read where they lie, by index: no batch is gathered, cast or centred in memory. Every sum is added up in an
//! order that depends on shapes alone, so that any number of threads gives the same bits.

// Index loops over slices of one length: what the compiler turns into vectors.
#![allow(clippy::needless_range_loop)]

#[cfg(all(feature = "cube", not(feature = "fusion")))]
mod device;
#[cfg(not(all(feature = "cube", not(feature = "fusion"))))]
#[path = "fused/no_device.rs"]
mod device;
mod operation;

pub use device::{DeviceBatch, DeviceGradient, DevicePass, ResidentLimits};
pub use operation::fused_loss;

use super::Objective;
use crate::data::Features;
use crate::data::batch::Source;
use crate::device::{Backend, OpenDevice};
use crate::kernel::in_place::{Cell, GROUP, GradientTile, PART, PackedWeights, Rows, Shift};
use crate::kernel::{Work, vectorized};
use crate::loss::Loss;
use rayon::prelude::*;

/// Bytes of rows between two meetings of the threads, and the bounds of their number.
const BLOCK_BYTES: usize = 3 << 18;
const BLOCK_ROWS: (usize, usize) = (64, 2_048);
/// Rows of a small batch that are one piece of work; a group has up to [`GROUP`].
const FEW: usize = 8;
const SMALL: usize = 512;
/// Classes of a tile of the gradient.
const CLASSES: usize = 40;
/// Pieces of work that a gradient falls into at least.
const PIECES: usize = 8;
/// Multiplications for which it is not worth waking a thread.
const ALONE: usize = 200_000;
/// Scores of a row lie in whole groups of this many.
const LANES: usize = 8;

/// A dense matrix where it lies.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cells<'a> {
    Bytes(&'a [u8]),
    Floats(&'a [f32]),
}

/// Dense rows with the preprocessing that goes with them.
#[derive(Debug)]
pub(crate) struct DenseRows<'a> {
    cells: Cells<'a>,
    n_features: usize,
    shift: Shift,
    scale: Option<&'a [f32]>,
    /// The factor of each row of the matrix.
    factors: Option<Vec<f32>>,
}

impl<'a> DenseRows<'a> {
    /// The rows of a source; `None` where they are sparse.
    #[allow(clippy::cast_possible_truncation)]
    fn of_source(source: &Source<'a>) -> Option<Self> {
        let Source { features, scaler, .. } = *source;
        let cells = match features {
            Features::U8(dense) => Cells::Bytes(dense.values()),
            Features::F32(dense) => Cells::Floats(dense.values()),
            Features::Sparse(_) => return None,
        };
        let factor = |row| scaler.row_factor(features, row) as f32;
        Some(Self {
            cells,
            n_features: features.n_features(),
            shift: Shift::new(features.n_features(), scaler.mean.as_deref()),
            scale: scaler.scale.as_deref(),
            factors: scaler.unit_row.then(|| (0..features.n_rows()).into_par_iter().map(factor).collect()),
        })
    }

    const fn row_bytes(&self) -> usize {
        match self.cells {
            Cells::Bytes(_) => self.n_features,
            Cells::Floats(_) => 4 * self.n_features,
        }
    }
}

/// What a pass is over, besides the matrix.
pub(crate) struct Target<'a, L> {
    /// The rows of the matrix.
    pub indices: &'a [u32],
    pub loss: &'a Loss,
    /// The label of a row of the matrix and its share of the sum, without the weight of its class.
    pub label: L,
    /// λ
    pub lambda: f32,
    /// Where Q is wanted: `[indices, n_classes]`.
    pub q: Option<&'a mut [f32]>,
}

/// Scores of a group, its part of the bias's gradient, and its loss, as iterators zip them.
type Scored<'a> = ((&'a mut [f32], &'a mut [f32]), &'a mut f64);

/// Room to work in, for one shape.
#[derive(Debug)]
pub(crate) struct Workspace {
    n_features: usize,
    n_classes: usize,
    weights: PackedWeights,
    bias: Vec<f32>,
    /// Part after part, within a part class after class, each for several slices of a block.
    tiles: Vec<GradientTile>,
    slices: usize,
    /// Scores, then Q, of a block, `[rows, stride]`; what is left of them for the bias, `[groups, stride]`; the losses of groups.
    q: Vec<f32>,
    biases: Vec<f32>,
    losses: Vec<f64>,
}

impl Workspace {
    pub fn new(n_features: usize, n_classes: usize) -> Self {
        let (parts, groups) = (n_features.div_ceil(PART), n_classes.div_ceil(CLASSES));
        let slices = PIECES.div_ceil(parts * groups);
        let tile = |part: usize, group: usize| {
            let first = group * CLASSES;
            GradientTile::new(part, n_features, first, CLASSES.min(n_classes - first))
        };
        let tiles = (0..parts).flat_map(|p| (0..groups * slices).map(move |g| tile(p, g / slices))).collect();
        Self {
            n_features,
            n_classes,
            weights: PackedWeights::zeros(n_features, n_classes),
            bias: vec![0.0; n_classes],
            tiles,
            slices,
            q: Vec::new(),
            biases: Vec::new(),
            losses: Vec::new(),
        }
    }

    const fn stride(&self) -> usize {
        self.n_classes.next_multiple_of(LANES)
    }

    /// One pass: writes λW plus the gradient with respect to the weights to `of_weight` (row-major), adds that of the bias to
    /// `of_bias`, and returns the summed loss.
    pub fn pass<L: Fn(u32) -> (usize, f32) + Sync>(
        &mut self,
        rows: &DenseRows<'_>,
        (weight, bias): (&[f32], Option<&[f32]>),
        mut target: Target<'_, L>,
        (of_weight, of_bias): (&mut [f32], &mut [f32]),
    ) -> f64 {
        self.weights.pack(weight, rows.scale);
        match bias {
            Some(bias) => self.bias.copy_from_slice(bias),
            None => self.bias.fill(0.0),
        }
        let n = target.indices.len();
        let parallel = rayon::current_num_threads() > 1 && n * self.n_features * self.n_classes > ALONE;
        let group = if n <= SMALL { FEW } else { GROUP };
        let block = (BLOCK_BYTES / rows.row_bytes().max(1)).clamp(BLOCK_ROWS.0, BLOCK_ROWS.1).next_multiple_of(GROUP);
        self.tiles.iter_mut().for_each(GradientTile::clear);
        let (stride, mut sum, mut done) = (self.stride(), 0.0, 0);
        for indices in target.indices.chunks(block) {
            let groups = indices.len().div_ceil(group);
            self.q.resize(indices.len() * stride, 0.0);
            self.biases.resize(groups * stride, 0.0);
            self.losses.resize(groups, 0.0);
            match rows.cells {
                Cells::Bytes(cells) => {
                    let matrix = Rows::new(cells, self.n_features, &rows.shift);
                    self.block(rows, matrix, indices, &target, (group, parallel));
                }
                Cells::Floats(cells) => {
                    let matrix = Rows::new(cells, self.n_features, &rows.shift);
                    self.block(rows, matrix, indices, &target, (group, parallel));
                }
            }
            sum += self.losses.iter().sum::<f64>();
            for bias in self.biases.chunks_exact(stride) {
                of_bias.iter_mut().zip(bias).for_each(|(b, v)| *b += v);
            }
            if let Some(out) = &mut target.q {
                let out = out[done * self.n_classes..].chunks_exact_mut(self.n_classes);
                out.zip(self.q.chunks_exact(stride)).for_each(|(out, q)| out.copy_from_slice(&q[..self.n_classes]));
            }
            done += indices.len();
        }
        self.unpack(rows.scale, (weight, target.lambda), of_weight, parallel);
        sum
    }

    /// Scores, losses and Q of a block, then what it adds to the gradient.
    fn block<C: Cell, L: Fn(u32) -> (usize, f32) + Sync>(
        &mut self,
        rows: &DenseRows<'_>,
        matrix: Rows<'_, C>,
        indices: &[u32],
        target: &Target<'_, L>,
        (group, parallel): (usize, bool),
    ) {
        let (stride, n_classes, weights, bias) = (self.stride(), self.n_classes, &self.weights, &self.bias[..]);
        let factors = rows.factors.as_deref();
        let charge = |(((q, biases), sum), indices): (Scored<'_>, &[u32])| {
            weights.scores(matrix, indices, q, stride);
            let label = &target.label;
            *sum = vectorized(Charge { q, biases, indices, factors, bias, n_classes, loss: target.loss, label });
        };
        if parallel {
            let scored = self.q.par_chunks_mut(group * stride).zip(self.biases.par_chunks_mut(stride));
            scored.zip(&mut self.losses).zip(indices.par_chunks(group)).for_each(charge);
        } else {
            let scored = self.q.chunks_mut(group * stride).zip(self.biases.chunks_mut(stride));
            scored.zip(&mut self.losses).zip(indices.chunks(group)).for_each(charge);
        }
        let (q, slices) = (&self.q[..], self.slices);
        let slice = indices.len().div_ceil(slices);
        let add = |(number, tile): (usize, &mut GradientTile)| {
            let start = (number % slices * slice).min(indices.len());
            let end = (start + slice).min(indices.len());
            tile.add(matrix, &indices[start..end], &q[start * stride..], stride);
        };
        if parallel {
            self.tiles.par_iter_mut().enumerate().for_each(add);
        } else {
            self.tiles.iter_mut().enumerate().for_each(add);
        }
    }

    /// λW plus the tiles, row-major.
    fn unpack(&self, scale: Option<&[f32]>, (weight, lambda): (&[f32], f32), out: &mut [f32], parallel: bool) {
        let k = self.n_classes;
        let per_part = self.tiles.len() / self.n_features.div_ceil(PART);
        let unpack = |(out, tiles): (&mut [f32], &[GradientTile])| {
            let (start, len) = tiles[0].features();
            let weight = &weight[start * k..(start + len) * k];
            out.fill(0.0);
            tiles.iter().for_each(|tile| tile.unpack(out, k));
            if let Some(scale) = scale {
                let rows = out.chunks_exact_mut(k).zip(&scale[start..start + len]);
                rows.for_each(|(out, scale)| out.iter_mut().for_each(|v| *v /= scale));
            }
            out.iter_mut().zip(weight).for_each(|(v, w)| *v += lambda * w);
        };
        if parallel {
            out.par_chunks_mut(PART * k).zip(self.tiles.par_chunks(per_part)).for_each(unpack);
        } else {
            out.chunks_mut(PART * k).zip(self.tiles.chunks(per_part)).for_each(unpack);
        }
    }
}

/// From x·W to Q for a few rows.
struct Charge<'a, L> {
    q: &'a mut [f32],
    biases: &'a mut [f32],
    indices: &'a [u32],
    factors: Option<&'a [f32]>,
    bias: &'a [f32],
    n_classes: usize,
    loss: &'a Loss,
    label: &'a L,
}

impl<L: Fn(u32) -> (usize, f32)> Work for Charge<'_, L> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        // Plain index loops, which are compiled for the processor at hand with the rest.
        let stride = self.biases.len();
        for c in 0..stride {
            self.biases[c] = 0.0;
        }
        let mut sum = 0.0;
        for (r, &index) in self.indices.iter().enumerate() {
            let (label, share) = (self.label)(index);
            let factor = match self.factors {
                Some(factors) => factors[index as usize],
                None => 1.0,
            };
            let row = &mut self.q[r * stride..(r + 1) * stride];
            let bias = &self.bias[..self.n_classes];
            for c in 0..bias.len() {
                row[c] = factor * row[c] + bias[c];
            }
            for c in bias.len()..stride {
                row[c] = f32::NEG_INFINITY;
            }
            sum += f64::from(share) * f64::from(self.loss.charge_row(row, self.n_classes, label));
            let biases = &mut self.biases[..stride];
            for c in 0..stride {
                row[c] *= share;
                biases[c] += row[c];
                row[c] *= factor;
            }
        }
        sum
    }
}

/// The data loss of batches of a source and the gradient of the objective, one pass each.
#[derive(Debug)]
pub struct FusedPass<'a> {
    source: Source<'a>,
    objective: &'a Objective,
    rows: DenseRows<'a>,
    work: Workspace,
}

/// The data loss of a batch, and the gradient of the objective, on the host.
#[derive(Debug, Clone, PartialEq)]
pub struct FusedGradient {
    /// (1/n) Σ weight_i·ℓ_i, without the regulariser ([`Objective::penalty`]).
    pub data_loss: f64,
    /// That of the objective, regulariser included, `[n_features, n_classes]`, row-major.
    pub weight: Vec<f32>,
    /// The same for the bias, `[n_classes]`.
    pub bias: Option<Vec<f32>>,
}

impl<'a> FusedPass<'a> {
    /// Whether training goes this way: with dense rows on Burn's own CPU backend.
    #[must_use]
    pub fn serves(features: &Features, device: &OpenDevice) -> bool {
        !matches!(features, Features::Sparse(_)) && device.name.backend == Backend::Flex
    }

    /// For the dense rows of a source; `None` where they are sparse.
    #[must_use]
    pub fn new(source: Source<'a>, n_classes: usize, objective: &'a Objective) -> Option<Self> {
        let rows = DenseRows::of_source(&source)?;
        Some(Self { source, objective, work: Workspace::new(rows.n_features, n_classes), rows })
    }

    /// At weights `[n_features, n_classes]`, row-major, and a bias `[n_classes]`, over `rows`, which may repeat.
    ///
    /// # Panics
    /// When a length does not fit.
    #[must_use]
    pub fn at(&mut self, weight: &[f32], bias: Option<&[f32]>, rows: &[u32]) -> FusedGradient {
        self.pass(weight, bias, rows, None)
    }

    /// As [`FusedPass::at`], and writes weight_i/n·∂ℓ_i/∂s_ij to `q`, `[rows, n_classes]`.
    pub(crate) fn with_slopes(
        &mut self,
        weight: &[f32],
        bias: Option<&[f32]>,
        rows: &[u32],
        q: &mut [f32],
    ) -> FusedGradient {
        self.pass(weight, bias, rows, Some(q))
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    fn pass(&mut self, weight: &[f32], bias: Option<&[f32]>, rows: &[u32], q: Option<&mut [f32]>) -> FusedGradient {
        let (d, k) = (self.work.n_features, self.work.n_classes);
        assert!(weight.len() == d * k && bias.is_none_or(|b| b.len() == k), "parameters of another shape");
        let Objective { loss, lambda, bias: rule } = self.objective;
        let factor = (lambda * rule.penalty_factor()) as f32;
        let mut of_weight = vec![0.0; d * k];
        let mut of_bias: Vec<f32> = match bias {
            Some(bias) => bias.iter().map(|b| factor * b).collect(),
            None => vec![0.0; self.work.n_classes],
        };
        let (source, n) = (self.source, rows.len() as f64);
        let label = |row: u32| (source.labels[row as usize] as usize, (source.weight(row) / n) as f32);
        let target = Target { indices: rows, loss, label, lambda: *lambda as f32, q };
        let data_loss = self.work.pass(&self.rows, (weight, bias), target, (&mut of_weight, &mut of_bias));
        FusedGradient { data_loss, weight: of_weight, bias: bias.map(|_| of_bias) }
    }
}
