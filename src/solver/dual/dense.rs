//! Dense rows in blocks: the same steps as plain coordinate ascent, at the price of matrix products.
//!
//! A block of rows X_B is cast once; its scores X_B·W come from one product, and while its samples are solved one after another
//! a change of one sample reaches the scores of the others through the Gram matrix K = X_B·X_Bᵀ, which is kept from the first
//! pass on; W gets the changes of the whole block in one product. A thread prepares the next block meanwhile. Products run on
//! the device of the run, in f32 or f64.

use super::{Bounds, Rows, State, Step};
use crate::data::batch::Source;
use crate::solver::{Problem, SolveError};
use burn::tensor::{DType, Device, Tensor, TensorData};
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::sync::mpsc::sync_channel;

/// Rows of a block.
const BLOCK: usize = 64;
/// Blocks that are prepared ahead.
const AHEAD: usize = 2;
/// The Gram matrices are kept where they need no more than this many bytes.
const GRAM_BYTES: usize = 1 << 30;

pub(super) struct DenseRows<'a> {
    source: Source<'a>,
    train: &'a [u32],
    device: Device,
    dtype: DType,
    ahead: bool,
    bias_scale: f64,
    n_classes: usize,
    weight: Tensor<2>,
    constant: Vec<f64>,
    /// K of each block, with the constant feature; empty before its first pass.
    grams: Vec<Vec<f32>>,
    grams_wide: Vec<Vec<f64>>,
    keep: bool,
}

fn failed(error: impl std::fmt::Debug) -> SolveError {
    SolveError::Device(format!("{error:?}"))
}

/// A block that is ready: its rows as a tensor, and its Gram matrix where it was not known.
struct Ready {
    block: usize,
    x: Tensor<2>,
    gram: Option<Tensor<2>>,
}

impl<'a> DenseRows<'a> {
    pub(super) fn new(problem: &'a Problem<'a>, bias_scale: f64, double: bool) -> Self {
        let device = problem.device.device.clone();
        let dtype = if double && device.supports_dtype(DType::F64) { DType::F64 } else { DType::F32 };
        let (d, k) = (problem.source.features.n_features(), problem.n_classes);
        let blocks = problem.train.len().div_ceil(BLOCK);
        let bytes = problem.train.len() * BLOCK * if dtype == DType::F64 { 8 } else { 4 };
        Self {
            source: problem.source,
            train: problem.train,
            weight: Tensor::zeros([d, k], (&device, dtype)),
            device,
            dtype,
            ahead: problem.threads > 1,
            bias_scale,
            n_classes: k,
            constant: vec![0.0; k],
            grams: vec![Vec::new(); if dtype == DType::F32 { blocks } else { 0 }],
            grams_wide: vec![Vec::new(); if dtype == DType::F64 { blocks } else { 0 }],
            keep: bytes <= GRAM_BYTES,
        }
    }

    fn rows_of(&self, block: usize) -> std::ops::Range<usize> {
        block * BLOCK..((block + 1) * BLOCK).min(self.train.len())
    }

    /// The rows of a block as `[rows, n_features]`.
    fn load(&self, block: usize) -> Tensor<2> {
        let rows = &self.train[self.rows_of(block)];
        let d = self.source.features.n_features();
        let shape = [rows.len(), d];
        let data = if self.dtype == DType::F64 {
            let mut values = vec![0.0f64; rows.len() * d];
            for (out, &row) in values.chunks_exact_mut(d).zip(rows) {
                self.source.scaler.write_row_wide(self.source.features, row as usize, out);
            }
            TensorData::new(values, shape)
        } else {
            let mut values = vec![0.0f32; rows.len() * d];
            for (out, &row) in values.chunks_exact_mut(d).zip(rows) {
                self.source.scaler.write_row(self.source.features, row as usize, out);
            }
            TensorData::new(values, shape)
        };
        Tensor::from_data(data, (&self.device, self.dtype))
    }

    fn prepare(&self, block: usize, want_gram: bool) -> Ready {
        let x = self.load(block);
        let known =
            if self.dtype == DType::F64 { !self.grams_wide[block].is_empty() } else { !self.grams[block].is_empty() };
        let gram = (want_gram && !known).then(|| x.clone().matmul(x.clone().transpose()));
        Ready { block, x, gram }
    }

    /// Calls `visit` with every block in the given order, each prepared ahead by a thread where there is a second core.
    fn for_each_block(
        &self,
        order: &[usize],
        want_gram: bool,
        mut visit: impl FnMut(Ready) -> Result<(), SolveError>,
    ) -> Result<(), SolveError> {
        if !self.ahead {
            return order.iter().try_for_each(|&block| visit(self.prepare(block, want_gram)));
        }
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(AHEAD);
            scope.spawn(move || {
                for &block in order {
                    if sender.send(self.prepare(block, want_gram)).is_err() {
                        break;
                    }
                }
            });
            order.iter().try_for_each(|_| visit(receiver.recv().map_err(failed)?))
        })
    }

    fn scores(&self, weight: &Tensor<2>, constant: &[f64], x: &Tensor<2>) -> Result<Vec<f64>, SolveError> {
        let mut scores: Vec<f64> =
            x.clone().matmul(weight.clone()).into_data().try_to_vec_as::<f64>().map_err(failed)?;
        if self.bias_scale != 0.0 {
            for row in scores.chunks_exact_mut(self.n_classes) {
                row.iter_mut().zip(constant).for_each(|(s, w)| *s += self.bias_scale * w);
            }
        }
        Ok(scores)
    }

    /// ½‖W‖², the constant feature included.
    fn half_square(&self) -> Result<f64, SolveError> {
        let values = self.weight.to_data().try_to_vec_as::<f64>().map_err(failed)?;
        Ok(values.iter().chain(&self.constant).map(|w| w * w).sum::<f64>() / 2.0)
    }

    fn tensor(&self, values: Vec<f64>, rows: usize) -> Tensor<2> {
        Tensor::from_data(TensorData::new(values, [rows, self.n_classes]), (&self.device, self.dtype))
    }
}

/// The Gram matrix of a block in either precision.
enum Gram<'a> {
    Single(&'a [f32]),
    Wide(&'a [f64]),
}

impl Gram<'_> {
    fn get(&self, i: usize) -> f64 {
        match self {
            Self::Single(values) => f64::from(values[i]),
            Self::Wide(values) => values[i],
        }
    }
}

/// Solves the samples of a block in the given order; returns whether any changed. `scores` follow every change, `changes`
/// collects β's.
#[allow(clippy::too_many_arguments)]
fn solve_block(
    state: &mut State<'_>,
    first: usize,
    order: &[usize],
    gram: &Gram<'_>,
    scores: &mut [f64],
    changes: &mut [f64],
    step: &mut Step,
    met: &mut Bounds,
) -> bool {
    let (k, b) = (state.n_classes, order.len());
    let square = state.bias_scale * state.bias_scale;
    let mut any = false;
    for (done, &i) in order.iter().enumerate() {
        let q = gram.get(i * b + i) + square;
        if !step.take(state, first + i, &scores[i * k..(i + 1) * k], q, met) {
            continue;
        }
        any = true;
        changes[i * k..(i + 1) * k].iter_mut().zip(&step.change).for_each(|(c, d)| *c += d);
        for &j in &order[done + 1..] {
            let product = gram.get(i * b + j) + square;
            scores[j * k..(j + 1) * k].iter_mut().zip(&step.change).for_each(|(s, d)| *s += product * d);
        }
    }
    any
}

impl Rows for DenseRows<'_> {
    fn epoch(&mut self, state: &mut State<'_>, rng: &mut ChaCha8Rng) -> Result<Bounds, SolveError> {
        let k = self.n_classes;
        let mut order: Vec<usize> = (0..self.train.len().div_ceil(BLOCK)).collect();
        order.shuffle(rng);
        let (mut weight, mut constant) = (self.weight.clone(), self.constant.clone());
        let mut fresh: Vec<(usize, TensorData)> = Vec::new();
        let mut step = Step::new(k);
        let mut met = Bounds { primal: 0.0, gap: 0.0 };
        self.for_each_block(&order, true, |ready| {
            let range = self.rows_of(ready.block);
            let mut inner: Vec<usize> = (0..range.len()).collect();
            inner.shuffle(rng);
            let mut scores = self.scores(&weight, &constant, &ready.x)?;
            let mut changes = vec![0.0; range.len() * k];
            let new_gram = ready.gram.map(Tensor::into_data);
            let values = match &new_gram {
                Some(data) if self.dtype == DType::F64 => Gram::Wide(data.as_slice::<f64>().map_err(failed)?),
                Some(data) => Gram::Single(data.as_slice::<f32>().map_err(failed)?),
                None if self.dtype == DType::F64 => Gram::Wide(&self.grams_wide[ready.block]),
                None => Gram::Single(&self.grams[ready.block]),
            };
            if solve_block(state, range.start, &inner, &values, &mut scores, &mut changes, &mut step, &mut met) {
                for change in changes.chunks_exact(k) {
                    constant.iter_mut().zip(change).for_each(|(w, c)| *w += self.bias_scale * c);
                }
                let changes = self.tensor(changes, range.len());
                weight = weight.clone().add(ready.x.transpose().matmul(changes));
            }
            if let (Some(data), true) = (new_gram, self.keep) {
                fresh.push((ready.block, data));
            }
            Ok(())
        })?;
        (self.weight, self.constant) = (weight, constant);
        for (block, data) in fresh {
            if self.dtype == DType::F64 {
                self.grams_wide[block] = data.try_to_vec::<f64>().map_err(failed)?;
            } else {
                self.grams[block] = data.try_to_vec::<f32>().map_err(failed)?;
            }
        }
        met.primal += self.half_square()?;
        Ok(met)
    }

    fn certify(&mut self, state: &State<'_>) -> Result<Bounds, SolveError> {
        let k = self.n_classes;
        let order: Vec<usize> = (0..self.train.len().div_ceil(BLOCK)).collect();
        let mut weight = self.weight.zeros_like();
        let mut constant = vec![0.0; k];
        self.for_each_block(&order, false, |ready| {
            let range = self.rows_of(ready.block);
            let mut beta = vec![0.0; range.len() * k];
            for (out, i) in beta.chunks_exact_mut(k).zip(range.clone()) {
                state.beta(i, out);
                constant.iter_mut().zip(out.iter()).for_each(|(w, b)| *w += self.bias_scale * b);
            }
            if beta.iter().any(|b| *b != 0.0) {
                let beta = self.tensor(beta, range.len());
                weight = weight.clone().add(ready.x.transpose().matmul(beta));
            }
            Ok(())
        })?;
        let (mut loss, mut gap) = (0.0, 0.0);
        self.for_each_block(&order, false, |ready| {
            let scores = self.scores(&weight, &constant, &ready.x)?;
            for (scores, i) in scores.chunks_exact(k).zip(self.rows_of(ready.block)) {
                let (l, g) = state.row_bounds(i, scores);
                loss += l;
                gap += g;
            }
            Ok(())
        })?;
        (self.weight, self.constant) = (weight, constant);
        Ok(Bounds { primal: loss + self.half_square()?, gap })
    }

    #[allow(clippy::cast_possible_truncation)]
    fn weights(&mut self) -> Result<(Vec<f32>, Vec<f32>), SolveError> {
        let weight = self.weight.to_data().try_to_vec_as::<f32>().map_err(failed)?;
        Ok((weight, self.constant.iter().map(|&w| w as f32).collect()))
    }
}
