//! The engine of the processor: all numbers in f64, products of the conjugate gradients in f32 where they may be.

use super::blocks::{self, ClassBlocks};
use super::engine::ProximalEngine;
use super::products::{RowProducts, RowSum};
use crate::loss::{Loss, Proximal, Response, Room};
use crate::solver::{Problem, SolveError};
use rayon::prelude::*;

/// Rows that threads take at a time.
const CHUNK: usize = 512;

pub(super) struct HostEngine<'a> {
    problem: &'a Problem<'a>,
    loss: &'a Loss,
    products: RowProducts<'a>,
    n_classes: usize,
    /// Whether the products of conjugate gradients may be in single precision, and those of the preconditioner.
    narrow: bool,
    keeps_digits: bool,
    /// Places in the training rows of those of a weight above 0, the rows themselves, their labels and c.
    places: Vec<u32>,
    rows: Vec<u32>,
    samples: Vec<(usize, f64)>,
    offset: Vec<f64>,
    gamma: f64,
    /// `[rows, n_classes]`: S, that of a direction, b, a.
    scores: Vec<f64>,
    changes: Vec<f64>,
    centre: Vec<f64>,
    a: Vec<f64>,
    kept: Vec<f64>,
    /// Positions whose variables change, and their rows.
    active: Vec<u32>,
    active_rows: Vec<u32>,
    diagonal: Vec<f64>,
    /// The preconditioner in its place, and the products since the last one.
    blocks: Option<ClassBlocks>,
    curved: usize,
    passes: f64,
}

impl<'a> HostEngine<'a> {
    /// W = 0, a = 0.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    pub fn new(problem: &'a Problem<'a>, lambda: f64, constant: f64, narrow: bool) -> Self {
        let k = problem.n_classes;
        let bias = problem.objective.bias;
        let c = 1.0 / (lambda * problem.train.len() as f64);
        let places: Vec<u32> = (0..problem.train.len() as u32)
            .filter(|&place| problem.row_weight(problem.train[place as usize]) > 0.0)
            .collect();
        let rows: Vec<u32> = places.iter().map(|&place| problem.train[place as usize]).collect();
        let sample = |&row: &u32| (problem.source.labels[row as usize] as usize, c * problem.row_weight(row));
        let zeros = || vec![0.0; rows.len() * k];
        let keeps_digits = !problem.source.cancels(problem.train);
        Self {
            problem,
            loss: &problem.objective.loss,
            products: RowProducts::new(problem.source, k, bias.has_bias().then_some(constant)),
            n_classes: k,
            narrow: narrow && keeps_digits,
            keeps_digits,
            samples: rows.iter().map(sample).collect(),
            offset: vec![0.0; k],
            gamma: 0.0,
            scores: zeros(),
            changes: zeros(),
            centre: zeros(),
            a: zeros(),
            kept: zeros(),
            active: Vec::new(),
            active_rows: Vec::new(),
            diagonal: Vec::new(),
            blocks: None,
            curved: 0,
            passes: 0.0,
            places,
            rows,
        }
    }

    const fn step_of(&self) -> Proximal<'a> {
        Proximal { loss: self.loss, gamma: self.gamma }
    }

    fn scores_at(&mut self, weights: &[f64], mut out: Vec<f64>, offset: bool) -> Vec<f64> {
        self.passes += 0.5;
        let shift = &self.offset;
        self.products.sweep::<f64>(&self.rows, Some(weights), &mut out, RowSum::None, |_, scores| {
            if offset {
                scores.iter_mut().zip(shift).for_each(|(s, o)| *s += o);
            }
        });
        out
    }

    /// Puts a to its steps, and finds the rows where it changes.
    #[allow(clippy::cast_possible_truncation)]
    fn react(&mut self) -> Response {
        let (k, step, samples) = (self.n_classes, self.step_of(), &self.samples);
        let (scores, centre) = (&self.scores, &self.centre);
        let chunk = |(at, a): (usize, &mut [f64])| {
            let (mut room, mut sums, mut active) = (Room::new(k), Response::default(), Vec::new());
            for (i, a) in (at * CHUNK..).zip(a.chunks_exact_mut(k)) {
                let (row, (label, c)) = (i * k..(i + 1) * k, samples[i]);
                sums.add(step.step(label, c, &scores[row.clone()], &centre[row], a, &mut room));
                if step.is_active(c, a) {
                    active.push(i as u32);
                }
            }
            (sums, active)
        };
        let found: Vec<(Response, Vec<u32>)> = self.a.par_chunks_mut(CHUNK * k).enumerate().map(chunk).collect();
        let mut sums = Response::default();
        self.active.clear();
        for (part, active) in found {
            sums.add(part);
            self.active.extend(active);
        }
        self.active_rows = self.active.iter().map(|&i| self.rows[i as usize]).collect();
        sums
    }

    /// W(a): rows without a positive variable add nothing to it.
    fn of_variables(&mut self) -> Vec<f64> {
        let (k, samples, a) = (self.n_classes, &self.samples, &self.a);
        let used: Vec<usize> =
            (0..self.rows.len()).filter(|&i| a[i * k..(i + 1) * k].iter().any(|&a| a != 0.0)).collect();
        let rows: Vec<u32> = used.iter().map(|&i| self.rows[i]).collect();
        let (mut beta, loss) = (vec![0.0; used.len() * k], self.loss);
        self.passes += 0.5 * share(used.len(), self.rows.len());
        self.products.sweep::<f64>(&rows, None, &mut beta, RowSum::Plain, |at, beta| {
            let i = used[at];
            loss.dual_coefficients(samples[i].0, &a[i * k..(i + 1) * k], beta);
        })
    }
}

impl ProximalEngine for HostEngine<'_> {
    type Vector = Vec<f64>;

    fn rounding(&self) -> f64 {
        f64::EPSILON
    }

    fn zeros(&self) -> Vec<f64> {
        vec![0.0; self.products.width() * self.n_classes]
    }

    fn dot(&self, a: &Vec<f64>, b: &Vec<f64>) -> Result<f64, SolveError> {
        Ok(a.iter().zip(b).map(|(a, b)| a * b).sum())
    }

    fn combine(&self, a: &Vec<f64>, factor: f64, b: &Vec<f64>) -> Vec<f64> {
        a.iter().zip(b).map(|(a, b)| a * factor + b).collect()
    }

    fn host(&self, vector: &Vec<f64>) -> Result<Vec<f64>, SolveError> {
        Ok(vector.clone())
    }

    fn score(&mut self, weights: &Vec<f64>) -> Result<(), SolveError> {
        let out = std::mem::take(&mut self.scores);
        self.scores = self.scores_at(weights, out, true);
        Ok(())
    }

    fn respond(&mut self, gamma: f64) -> Result<(Response, Vec<f64>), SolveError> {
        self.gamma = gamma;
        let sums = self.react();
        Ok((sums, self.of_variables()))
    }

    fn prepare(&mut self) -> Result<(), SolveError> {
        let many = std::mem::take(&mut self.curved);
        let price = blocks::price(self.problem.source.features, self.products.width(), self.n_classes);
        let price = price.filter(|&price| many > price);
        if self.blocks.is_some() && price.is_none() {
            return Ok(());
        }
        self.passes += 0.5 * self.active();
        let (k, step) = (self.n_classes, self.step_of());
        let (active, samples, a) = (&self.active, &self.samples, &self.a);
        let mut out = vec![0.0; active.len() * k];
        let visit = |at: usize, out: &mut [f64]| {
            let i = active[at] as usize;
            step.diagonal(samples[i].0, samples[i].1, &a[i * k..(i + 1) * k], out);
        };
        self.diagonal = if self.keeps_digits {
            self.products.sweep::<f32>(&self.active_rows, None, &mut out, RowSum::Squares, visit)
        } else {
            self.products.sweep::<f64>(&self.active_rows, None, &mut out, RowSum::Squares, visit)
        };
        self.diagonal.iter_mut().for_each(|m| *m += 1.0);
        self.blocks = None;
        if price.is_some() {
            self.blocks = ClassBlocks::new(self.problem, &self.active_rows, &out, self.products.constant);
        }
        Ok(())
    }

    fn precondition(&self, vector: &Vec<f64>) -> Vec<f64> {
        match &self.blocks {
            Some(blocks) => blocks.solve(vector),
            None => vector.iter().zip(&self.diagonal).map(|(v, m)| v / m).collect(),
        }
    }

    fn curve(&mut self, vector: &Vec<f64>) -> Result<Vec<f64>, SolveError> {
        self.passes += self.active();
        self.curved += 1;
        let (k, step) = (self.n_classes, self.step_of());
        let (active, samples, a) = (&self.active, &self.samples, &self.a);
        let mut out = vec![0.0; active.len() * k];
        let visit = |at: usize, scores: &mut [f64]| {
            let i = active[at] as usize;
            step.curve(samples[i].0, samples[i].1, &a[i * k..(i + 1) * k], scores);
        };
        let (rows, weights) = (&self.active_rows, Some(vector.as_slice()));
        let mut curved = if self.narrow {
            self.products.sweep::<f32>(rows, weights, &mut out, RowSum::Plain, visit)
        } else {
            self.products.sweep::<f64>(rows, weights, &mut out, RowSum::Plain, visit)
        };
        curved.iter_mut().zip(vector).for_each(|(c, v)| *c += v);
        Ok(curved)
    }

    fn aim(&mut self, direction: &Vec<f64>) -> Result<(), SolveError> {
        let out = std::mem::take(&mut self.changes);
        self.changes = self.scores_at(direction, out, false);
        Ok(())
    }

    fn slope(&mut self, length: f64) -> Result<f64, SolveError> {
        let (k, step) = (self.n_classes, self.step_of());
        let (scores, changes, centre) = (&self.scores, &self.changes, &self.centre);
        let chunk = |(at, samples): (usize, &[(usize, f64)])| {
            let (mut room, mut a, mut there, mut sum) = (Room::new(k), vec![0.0; k], vec![0.0; k], 0.0);
            for (i, &(label, c)) in (at * CHUNK..).zip(samples) {
                let row = i * k..(i + 1) * k;
                let changes = &changes[row.clone()];
                let moved = scores[row.clone()].iter().zip(changes).map(|(s, change)| s + length * change);
                there.iter_mut().zip(moved).for_each(|(there, s)| *there = s);
                step.step(label, c, &there, &centre[row], &mut a, &mut room);
                sum += step.growth(label, changes, &a);
            }
            sum
        };
        let sums: Vec<f64> = self.samples.par_chunks(CHUNK).enumerate().map(chunk).collect();
        Ok(sums.iter().sum())
    }

    fn step(&mut self, length: f64) {
        self.scores.iter_mut().zip(&self.changes).for_each(|(s, change)| *s += length * change);
    }

    fn loss(&mut self, weights: &Vec<f64>) -> Result<f64, SolveError> {
        let k = self.n_classes;
        let out = std::mem::take(&mut self.changes);
        self.changes = self.scores_at(weights, out, true);
        let (loss, samples) = (self.loss, &self.samples);
        let rows = self.changes.chunks_exact(k).zip(samples);
        Ok(rows.map(|(scores, &(label, c))| c * loss.set.value(loss.margins.of_row(scores, label))).sum())
    }

    fn keep(&mut self) {
        self.kept.copy_from_slice(&self.a);
    }

    fn kept(&self) -> Result<Vec<f64>, SolveError> {
        let k = self.n_classes;
        let mut all = vec![0.0; self.problem.train.len() * k];
        for (&place, a) in self.places.iter().zip(self.kept.chunks_exact(k)) {
            all[place as usize * k..][..k].copy_from_slice(a);
        }
        Ok(all)
    }

    fn recentre(&mut self) {
        self.centre.copy_from_slice(&self.a);
    }

    fn absorb(&mut self, weights: &mut Vec<f64>, constant: f64) -> Result<(), SolveError> {
        self.offset = self.bias(weights)?;
        let features = weights.len() - self.n_classes;
        weights[features..].fill(0.0);
        self.products.constant = Some(constant);
        Ok(())
    }

    fn bias(&self, weights: &Vec<f64>) -> Result<Vec<f64>, SolveError> {
        let of = |constant: f64| {
            let own = &weights[weights.len() - self.n_classes..];
            own.iter().zip(&self.offset).map(|(u, offset)| constant * u + offset).collect()
        };
        Ok(self.products.constant.map_or_else(|| self.offset.clone(), of))
    }

    fn passes(&self) -> f64 {
        self.passes
    }

    fn active(&self) -> f64 {
        share(self.active.len(), self.rows.len())
    }
}

#[allow(clippy::cast_precision_loss)]
fn share(part: usize, all: usize) -> f64 {
    part as f64 / all.max(1) as f64
}
