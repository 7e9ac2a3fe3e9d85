//! The pass itself: rows shared out in pieces, within a piece block after block.

// Index loops over slices of one length, which the compiler turns into vectors.
#![allow(clippy::needless_range_loop)]

use super::linger::linger;
use super::rows::{DenseCells, DenseRows};
use crate::kernel::in_place::{CellValue, GROUP, GradientTile, PART, PackedWeights, RowMatrix};
use crate::kernel::{Work, vectorized};
use crate::loss::Loss;
use crate::metric::argmax;
use rayon::prelude::*;

/// Bytes of rows of a block, which stays in the second-level cache from the scores to the gradient, and the bounds of their number.
const BLOCK_BYTES: usize = 3 << 18;
const BLOCK_ROWS: (usize, usize) = (GROUP, 512);
/// Classes of a tile of the gradient.
const CLASSES: usize = 40;
/// Rows are shared out in up to this many pieces, a power of two,
const PIECES: usize = 16;
/// each of at least this many multiplications,
const PIECE: usize = 3_000_000;
/// and rows, where the gradient of a piece is small enough for the second-level cache, and where it is not;
const PIECE_ROWS: (usize, usize) = (64, 512);
const SMALL: usize = 1 << 19;
/// the gradients of all have up to this many bytes.
const PIECES_BYTES: usize = 64 << 20;
/// Scores of a row lie in whole groups of this many.
const LANES: usize = 8;

/// Weight and bias of a model on the host.
#[derive(Clone, Copy)]
pub(crate) struct HostModel<'a> {
    /// `[n_features, n_classes]`, row-major.
    pub weight: &'a [f32],
    /// `[n_classes]`
    pub bias: Option<&'a [f32]>,
}

/// Room for a gradient, in the shapes of the model.
pub(crate) struct GradientRoom<'a> {
    pub weight: &'a mut [f32],
    pub bias: &'a mut [f32],
}

/// Input of a pass, besides the matrix.
pub(crate) struct PassTarget<'a, L> {
    /// The rows of the matrix.
    pub indices: &'a [u32],
    pub loss: &'a Loss,
    /// The label of a row of the matrix and its share of the sum, without the weight of its class.
    pub label: L,
    /// λ
    pub lambda: f32,
    /// Target of Q, `[indices, n_classes]`; `None` if it is not wanted.
    pub q: Option<&'a mut [f32]>,
}

/// Room to work in, for one shape.
#[derive(Debug)]
pub(crate) struct Workspace {
    n_features: usize,
    pub n_classes: usize,
    weights: PackedWeights,
    bias: Vec<f32>,
    pieces: Vec<GradientPiece>,
}

/// Work of one thread: some of the rows, from the scores to their sum in the gradient.
#[derive(Debug)]
struct GradientPiece {
    /// Part after part, within a part class after class.
    tiles: Vec<GradientTile>,
    of_bias: Vec<f32>,
    loss: f64,
    /// That of a block, which is summed by itself: errors grow with its rows, not with all.
    bias_of_block: Vec<f32>,
    /// Scores, then Q, of a block, `[rows, stride]`.
    q: Vec<f32>,
}

/// The term λW of a gradient.
struct WeightDecay<'a> {
    weight: &'a [f32],
    lambda: f32,
}

/// Input common to the pieces of a pass.
struct PassInput<'a, 'w, L> {
    matrix: &'a DenseRows<'a>,
    weights: &'w PackedWeights,
    bias: &'w [f32],
    loss: &'a Loss,
    label: &'w L,
    n_classes: usize,
}

impl Workspace {
    pub fn new(n_features: usize, n_classes: usize) -> Self {
        Self {
            n_features,
            n_classes,
            weights: PackedWeights::zeros(n_features, n_classes),
            bias: vec![0.0; n_classes],
            pieces: Vec::new(),
        }
    }

    /// Number of pieces of `n` rows: a function of the shape alone, and so are the sums.
    fn count(&self, n: usize) -> usize {
        let cells = self.n_features * self.n_classes;
        let rows = if 4 * cells <= SMALL { PIECE_ROWS.0 } else { PIECE_ROWS.1 };
        let most = (n.saturating_mul(cells) / PIECE).min(n / rows).min(PIECES_BYTES / (4 * cells));
        1 << most.clamp(1, PIECES).ilog2()
    }

    /// One pass: writes λW plus the gradient of the loss by the weights to `out.weight`, adds that by the bias to `out.bias`, and
    /// returns the summed loss.
    pub fn pass<L: Fn(u32) -> (usize, f32) + Sync>(
        &mut self,
        rows: &DenseRows<'_>,
        model: HostModel<'_>,
        target: PassTarget<'_, L>,
        out: GradientRoom<'_>,
    ) -> f64 {
        self.set(model, rows.scale.as_deref());
        let (n, k) = (target.indices.len(), self.n_classes);
        let count = self.count(n);
        while self.pieces.len() < count {
            self.pieces.push(GradientPiece::new(self.n_features, k));
        }
        let share = n.div_ceil(count).max(1);
        let pieces = &mut self.pieces[..count];
        let (weights, bias) = (&self.weights, &self.bias[..]);
        let shared = PassInput { matrix: rows, weights, bias, loss: target.loss, label: &target.label, n_classes: k };
        if n == 0 {
            pieces.iter_mut().for_each(GradientPiece::clear);
        }
        let q = Slopes::new(target.q, share * k, count);
        let of_piece =
            |((piece, indices), q): ((&mut GradientPiece, &[u32]), Option<&mut [f32]>)| piece.run(&shared, indices, q);
        let parallel = count > 1 && rayon::current_num_threads() > 1;
        if parallel {
            pieces.par_iter_mut().zip(target.indices.par_chunks(share)).zip(q.0).for_each(of_piece);
        } else {
            pieces.iter_mut().zip(target.indices.chunks(share)).zip(q.0).for_each(of_piece);
        }
        if parallel {
            linger(count);
        }
        for piece in &self.pieces[..count] {
            out.bias.iter_mut().zip(&piece.of_bias).for_each(|(b, v)| *b += v);
        }
        let decay = WeightDecay { weight: model.weight, lambda: target.lambda };
        self.unpack(count, rows.scale.as_deref(), decay, out.weight, parallel);
        self.pieces[..count].iter().map(|piece| piece.loss).sum()
    }

    fn set(&mut self, HostModel { weight, bias }: HostModel<'_>, scale: Option<&[f32]>) {
        self.weights.pack(weight, scale);
        match bias {
            Some(bias) => self.bias.copy_from_slice(bias),
            None => self.bias.fill(0.0),
        }
    }

    /// The rows whose label has the largest score, the lowest index on a tie.
    pub fn hits(
        &mut self,
        rows: &DenseRows<'_>,
        model: HostModel<'_>,
        indices: &[u32],
        label: impl Fn(u32) -> usize + Sync,
    ) -> usize {
        self.set(model, rows.scale.as_deref());
        let (stride, weights) = (self.n_classes.next_multiple_of(LANES), &self.weights);
        let of_chunk = |indices: &[u32]| {
            let (mut scores, mut wide) = (vec![0.0; GROUP * stride], vec![0.0; self.n_classes]);
            let mut hits = 0;
            for indices in indices.chunks(GROUP) {
                rows.scores(weights, indices, &mut scores, stride);
                for (&index, scores) in indices.iter().zip(scores.chunks_exact(stride)) {
                    let factor = rows.factor(index);
                    let each = wide.iter_mut().zip(scores).zip(&self.bias);
                    each.for_each(|((wide, score), bias)| *wide = f64::from(factor * score + bias));
                    hits += usize::from(argmax(&wide) == label(index));
                }
            }
            hits
        };
        indices.par_chunks(BLOCK_ROWS.1).map(of_chunk).sum()
    }

    /// λW plus the tiles, row-major.
    fn unpack(
        &mut self,
        count: usize,
        scale: Option<&[f32]>,
        WeightDecay { weight, lambda }: WeightDecay<'_>,
        out: &mut [f32],
        parallel: bool,
    ) {
        let k = self.n_classes;
        let groups = k.div_ceil(CLASSES);
        let Some((first, others)) = self.pieces[..count].split_first_mut() else { return };
        let unpack = |(part, (out, tiles)): (usize, (&mut [f32], &mut [GradientTile]))| {
            let (start, len) = tiles[0].features();
            out.fill(0.0);
            for (group, tile) in tiles.iter_mut().enumerate() {
                others.iter().for_each(|piece| tile.merge(&piece.tiles[part * groups + group]));
                tile.unpack(out, k);
            }
            if let Some(scale) = scale {
                let rows = out.chunks_exact_mut(k).zip(&scale[start..start + len]);
                rows.for_each(|(out, scale)| out.iter_mut().for_each(|v| *v /= scale));
            }
            out.iter_mut().zip(&weight[start * k..(start + len) * k]).for_each(|(v, w)| *v += lambda * w);
        };
        if parallel {
            out.par_chunks_mut(PART * k).zip(first.tiles.par_chunks_mut(groups)).enumerate().for_each(unpack);
        } else {
            out.chunks_mut(PART * k).zip(first.tiles.chunks_mut(groups)).enumerate().for_each(unpack);
        }
    }
}

impl GradientPiece {
    fn new(n_features: usize, n_classes: usize) -> Self {
        let (parts, groups) = (n_features.div_ceil(PART), n_classes.div_ceil(CLASSES));
        let tile = |part: usize, group: usize| {
            let first = group * CLASSES;
            GradientTile::new(part, n_features, first, CLASSES.min(n_classes - first))
        };
        Self {
            tiles: (0..parts).flat_map(|part| (0..groups).map(move |group| tile(part, group))).collect(),
            of_bias: vec![0.0; n_classes.next_multiple_of(LANES)],
            bias_of_block: vec![0.0; n_classes.next_multiple_of(LANES)],
            loss: 0.0,
            q: Vec::new(),
        }
    }

    fn clear(&mut self) {
        self.tiles.iter_mut().for_each(GradientTile::clear);
        self.of_bias.fill(0.0);
        self.loss = 0.0;
    }

    /// Loss and gradient of the rows, from zero; Q to `out`.
    fn run<L: Fn(u32) -> (usize, f32)>(
        &mut self,
        shared: &PassInput<'_, '_, L>,
        indices: &[u32],
        out: Option<&mut [f32]>,
    ) {
        let rows = shared.matrix;
        self.clear();
        match rows.cells {
            DenseCells::Bytes(cells) => {
                self.blocks(shared, RowMatrix::new(cells, rows.n_features, &rows.shift), indices, out)
            }
            DenseCells::Floats(cells) => {
                self.blocks(shared, RowMatrix::new(cells, rows.n_features, &rows.shift), indices, out)
            }
        }
    }

    fn blocks<C: CellValue, L: Fn(u32) -> (usize, f32)>(
        &mut self,
        shared: &PassInput<'_, '_, L>,
        matrix: RowMatrix<'_, C>,
        indices: &[u32],
        mut out: Option<&mut [f32]>,
    ) {
        let (stride, k) = (self.of_bias.len(), shared.n_classes);
        let block = (BLOCK_BYTES / shared.matrix.row_bytes().max(1)).clamp(BLOCK_ROWS.0, BLOCK_ROWS.1) / GROUP * GROUP;
        self.q.resize(block.min(indices.len()) * stride, 0.0);
        for (number, indices) in indices.chunks(block).enumerate() {
            self.bias_of_block.fill(0.0);
            for (q, indices) in self.q.chunks_mut(GROUP * stride).zip(indices.chunks(GROUP)) {
                shared.weights.scores(matrix, indices, q, stride);
                self.loss += vectorized(SlopeLoop { q, of_bias: &mut self.bias_of_block, indices, shared });
            }
            self.of_bias.iter_mut().zip(&self.bias_of_block).for_each(|(b, v)| *b += v);
            for tile in &mut self.tiles {
                tile.add(matrix, indices, &self.q, stride);
            }
            if let Some(out) = &mut out {
                let out = out[number * block * k..].chunks_exact_mut(k).take(indices.len());
                out.zip(self.q.chunks_exact(stride)).for_each(|(out, q)| out.copy_from_slice(&q[..k]));
            }
        }
    }
}

/// The part of Q that each piece writes; `None` if Q is not wanted.
struct Slopes<'a>(Vec<Option<&'a mut [f32]>>);

impl<'a> Slopes<'a> {
    fn new(q: Option<&'a mut [f32]>, share: usize, count: usize) -> Self {
        let mut pieces: Vec<_> = q.map(|q| q.chunks_mut(share.max(1)).map(Some).collect()).unwrap_or_default();
        pieces.resize_with(count, || None);
        Self(pieces)
    }
}

/// From x·W to Q for a few rows.
struct SlopeLoop<'a, 'w, L> {
    q: &'w mut [f32],
    of_bias: &'w mut [f32],
    indices: &'w [u32],
    shared: &'w PassInput<'a, 'w, L>,
}

impl<L: Fn(u32) -> (usize, f32)> Work for SlopeLoop<'_, '_, L> {
    type Output = f64;

    #[inline(always)]
    fn run(self) -> f64 {
        // Plain index loops, which are compiled for the vector units with the rest.
        let PassInput { matrix, bias, loss, label, n_classes, .. } = *self.shared;
        let stride = self.of_bias.len();
        let bias = &bias[..n_classes];
        let mut sum = 0.0;
        for r in 0..self.indices.len() {
            let index = self.indices[r];
            let (label, share) = label(index);
            let factor = matrix.factor(index);
            let row = &mut self.q[r * stride..(r + 1) * stride];
            for c in 0..bias.len() {
                row[c] = factor * row[c] + bias[c];
            }
            for c in bias.len()..stride {
                row[c] = f32::NEG_INFINITY;
            }
            sum += f64::from(share) * f64::from(loss.charge_row(row, n_classes, label));
            let of_bias = &mut self.of_bias[..stride];
            for c in 0..stride {
                row[c] *= share;
                of_bias[c] += row[c];
                row[c] *= factor;
            }
        }
        sum
    }
}
