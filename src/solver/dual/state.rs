//! The dual variables, and the state of each row.

#![allow(clippy::needless_range_loop)]

use crate::kernel::{prefetch, prefetch_all};
use crate::loss::Loss;
use crate::loss::dual::{LossGap, Sample, Scratch, padded};
use crate::solver::Problem;
use pulp::Simd;

/// A row that is found at its optimum sleeps for one epoch, then 3, 7, 15, and never more than this.
const LONGEST_SLEEP: u8 = 63;
/// A row is at its optimum when its share of the gap is below this share of the gap that the stopping rule allows an average row.
const SETTLED: f64 = 0.1;

/// Rows of a stretch that stay together in another order, and such groups in it; the number is prime, as data may repeat themselves.
const TOGETHER: usize = 16;
const STRETCH: usize = 61;

/// Primal and gap of the objective divided by λ.
#[derive(Debug, Clone, Copy)]
pub(in crate::solver) struct Bounds {
    pub primal: f64,
    pub gap: f64,
}

impl std::ops::Add for Bounds {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { primal: self.primal + other.primal, gap: self.gap + other.gap }
    }
}

impl Bounds {
    /// Of estimates: a gap below 0 is rounding, and as far from the truth as one above.
    pub fn relative(self) -> f64 {
        // 0 of 0 is reached; NaN never is.
        match (self.gap, self.primal) {
            (gap, primal) if primal > 0.0 => gap.abs() / primal,
            (0.0, 0.0) => 0.0,
            _ => f64::INFINITY,
        }
    }
}

/// The dual variables and what does not change while they do. Rows are in the order of `rows`.
#[derive(Debug)]
pub(in crate::solver) struct DualState<'a> {
    pub loss: &'a Loss,
    /// Indices into the data set.
    pub rows: Vec<u32>,
    /// See [`DualState::places`]; `None` where the order is the same.
    places: Option<Vec<usize>>,
    pub samples: Vec<Sample>,
    /// `[n_train, stride]`
    pub a: Vec<f64>,
    pub n_classes: usize,
    /// The classes with their padding.
    pub stride: usize,
    /// The value of the constant feature; 0 without one.
    pub bias_scale: f64,
    /// The weights of the constant feature.
    pub constant: Vec<f64>,
    /// Offset of every score; no variable of the dual.
    pub offset: Vec<f64>,
    /// c·ℓ of each row and its share of the gap when it was last met.
    pub seen: Vec<Bounds>,
    /// The first epoch in which a row is due again, and how long it slept last.
    pub(in crate::solver) due: Vec<u32>,
    pub(in crate::solver) sleep: Vec<u8>,
    pub epoch: u32,
    /// A row whose share of the gap is no more than this is left alone.
    pub tolerance: f64,
}

impl<'a> DualState<'a> {
    /// All variables of some rows zero. `c` = 1/(λn).
    pub fn new(problem: &Problem<'a>, rows: Vec<u32>, c: f64) -> Self {
        let loss = &problem.objective.loss;
        let samples: Vec<Sample> = rows.iter().map(|&row| sample(problem, row, c)).collect();
        let (n, k) = (rows.len(), problem.n_classes);
        Self {
            loss,
            rows,
            places: None,
            samples,
            a: vec![0.0; n * padded(k)],
            n_classes: k,
            stride: padded(k),
            bias_scale: 0.0,
            constant: vec![0.0; k],
            offset: vec![0.0; k],
            seen: vec![Bounds { primal: 0.0, gap: f64::INFINITY }; n],
            due: vec![0; n],
            sleep: vec![0; n],
            epoch: 0,
            tolerance: -1.0,
        }
    }

    /// All variables of the training rows zero, in an order in which any rows that follow each other come from everywhere: a few of each
    /// stretch, then the next few of each.
    pub fn dealt(problem: &Problem<'a>, c: f64) -> Self {
        let train = problem.train;
        let mut places = vec![0; train.len()];
        let mut rows = Vec::with_capacity(train.len());
        for turn in 0..STRETCH {
            for first in (turn * TOGETHER..train.len()).step_by(STRETCH * TOGETHER) {
                for at in first..(first + TOGETHER).min(train.len()) {
                    places[at] = rows.len();
                    rows.push(train[at]);
                }
            }
        }
        Self { places: Some(places), ..Self::new(problem, rows, c) }
    }

    /// The places of the training rows, in their order.
    pub fn places(&self) -> Vec<usize> {
        self.places.clone().unwrap_or_else(|| (0..self.rows.len()).collect())
    }

    /// Takes row i out, whose place the last one gets: its index into the data set and its variables, padded.
    pub fn remove(&mut self, i: usize) -> (u32, Vec<f64>) {
        let (stride, last) = (self.stride, self.rows.len() - 1);
        let own = self.a[i * stride..(i + 1) * stride].to_vec();
        self.a.copy_within(last * stride.., i * stride);
        self.a.truncate(last * stride);
        self.samples.swap_remove(i);
        self.seen.swap_remove(i);
        self.due.swap_remove(i);
        self.sleep.swap_remove(i);
        (self.rows.swap_remove(i), own)
    }

    /// Appends a row with its variables, padded.
    pub fn push(&mut self, problem: &Problem<'_>, row: u32, c: f64, a: &[f64]) {
        self.rows.push(row);
        self.samples.push(sample(problem, row, c));
        self.a.extend_from_slice(a);
        self.seen.push(Bounds { primal: 0.0, gap: f64::INFINITY });
        self.due.push(self.epoch);
        self.sleep.push(0);
    }

    /// The rows that are due in this epoch. (Without a branch, which the processor could not predict.)
    pub fn due(&self) -> Vec<usize> {
        let mut order = vec![0; self.due.len()];
        let mut count = 0;
        for i in 0..self.due.len() {
            order[count] = i;
            count += usize::from(self.due[i] <= self.epoch);
        }
        order.truncate(count);
        order
    }

    /// The gap that remains for a row at a relative gap of `target` decides how exactly rows are solved.
    #[allow(clippy::cast_precision_loss)]
    pub fn settle_at(&mut self, target: f64, primal: f64) {
        self.tolerance = SETTLED * target * primal / self.rows.len() as f64;
    }

    /// The share of rows that did not sleep through the last sweep.
    #[allow(clippy::cast_precision_loss)]
    pub fn active(&self) -> f64 {
        let awake = self.sleep.iter().filter(|&&sleep| sleep == 0).count();
        awake as f64 / self.rows.len() as f64
    }

    /// All costs, and the dual variables with them or back at zero, times `factor`; every row is due.
    pub fn rescale(&mut self, factor: f64, warm: bool) {
        self.samples.iter_mut().for_each(|s| s.cost *= factor);
        let factor = if warm { factor } else { 0.0 };
        self.a.iter_mut().for_each(|a| *a *= factor);
        self.sleep.fill(0);
        self.due.fill(self.epoch);
        if !warm {
            self.offset.fill(0.0);
        }
    }

    /// The bias at the current variables.
    pub fn bias(&self) -> Vec<f64> {
        self.constant.iter().zip(&self.offset).map(|(w, o)| self.bias_scale * w + o).collect()
    }

    /// Sum of the bounds of all rows at their last visits, without the regulariser.
    pub fn estimate(&self) -> Bounds {
        let (chunks, rest) = self.seen.as_chunks::<8>();
        let mut sums = [Bounds { primal: 0.0, gap: 0.0 }; 8];
        for seen in chunks {
            for l in 0..8 {
                sums[l] = sums[l] + seen[l];
            }
        }
        sums.iter().chain(rest).fold(Bounds { primal: 0.0, gap: 0.0 }, |sum, seen| sum + *seen)
    }

    /// ½‖w_B‖² of the constant feature.
    pub fn constant_half_square(&self) -> f64 {
        self.constant.iter().map(|w| w * w).sum::<f64>() / 2.0
    }

    /// All rows.
    pub fn view(&mut self) -> StateView<'_> {
        StateView {
            loss: self.loss,
            rows: &self.rows,
            samples: &mut self.samples,
            a: &mut self.a,
            n_classes: self.n_classes,
            stride: self.stride,
            bias_scale: self.bias_scale,
            constant: &mut self.constant,
            offset: &self.offset,
            seen: &mut self.seen,
            due: &mut self.due,
            sleep: &mut self.sleep,
            epoch: self.epoch,
            tolerance: self.tolerance,
            trail: None,
        }
    }
}

/// The steps of some visits.
#[derive(Debug, Default)]
pub(in crate::solver) struct Trail {
    /// Growth of the dual by them.
    pub gain: f64,
    /// Rows that have changed, and their variables before, `[changes, stride]`.
    rows: Vec<usize>,
    before: Vec<f64>,
}

/// Some rows of a [`DualState`] that follow each other, and weights of the constant feature.
pub(in crate::solver) struct StateView<'v> {
    loss: &'v Loss,
    pub rows: &'v [u32],
    pub samples: &'v mut [Sample],
    a: &'v mut [f64],
    pub n_classes: usize,
    pub stride: usize,
    pub bias_scale: f64,
    pub constant: &'v mut [f64],
    offset: &'v [f64],
    seen: &'v mut [Bounds],
    due: &'v mut [u32],
    sleep: &'v mut [u8],
    epoch: u32,
    tolerance: f64,
    /// Of the visits, where they may be taken back.
    pub trail: Option<Trail>,
}

impl<'v> StateView<'v> {
    /// The rows up to each of the `ends`, each with weights of the constant feature of its own.
    pub fn split(self, ends: &[usize], constants: &'v mut [f64]) -> Vec<Self> {
        let Self { loss, mut rows, mut samples, mut a, n_classes, stride, bias_scale, offset, .. } = self;
        let (mut seen, mut due, mut sleep, mut start) = (self.seen, self.due, self.sleep, 0);
        let each = ends.iter().zip(constants.chunks_exact_mut(n_classes)).map(|(&end, constant)| {
            let n = end - start;
            start = end;
            Self {
                loss,
                rows: rows.split_off(..n).unwrap_or_default(),
                samples: samples.split_off_mut(..n).unwrap_or_default(),
                a: a.split_off_mut(..n * stride).unwrap_or_default(),
                n_classes,
                stride,
                bias_scale,
                constant,
                offset,
                seen: seen.split_off_mut(..n).unwrap_or_default(),
                due: due.split_off_mut(..n).unwrap_or_default(),
                sleep: sleep.split_off_mut(..n).unwrap_or_default(),
                epoch: self.epoch,
                tolerance: self.tolerance,
                trail: None,
            }
        });
        each.collect()
    }

    /// Prefetches the state of a row that is visited soon.
    #[inline(always)]
    pub fn prefetch(&self, i: usize) {
        prefetch(&self.rows[i]);
        prefetch(&self.samples[i]);
        prefetch_all(&self.a[i * self.stride..(i + 1) * self.stride]);
    }

    /// Forgets the visits of the trail, so that another begins.
    pub fn begin_trail(&mut self) {
        let trail = self.trail.get_or_insert_default();
        trail.gain = 0.0;
        trail.rows.clear();
        trail.before.clear();
    }

    /// Takes the visits of the trail back, all but what they did to weights. Their rows are due again.
    pub fn take_back(&mut self) {
        let Some(trail) = &mut self.trail else { return };
        for (&i, before) in trail.rows.iter().zip(trail.before.chunks_exact(self.stride)).rev() {
            self.a[i * self.stride..(i + 1) * self.stride].copy_from_slice(before);
            self.due[i] = self.epoch;
        }
    }

    /// Records the result of a visit.
    #[inline(always)]
    pub fn note(&mut self, i: usize, loss: f64, gap: f64) {
        self.seen[i] = Bounds { primal: loss, gap };
        self.sleep[i] = if gap <= self.tolerance { (self.sleep[i] * 2 + 1).min(LONGEST_SLEEP) } else { 0 };
        self.due[i] = self.epoch + 1 + u32::from(self.sleep[i]);
    }

    /// Takes row i with ‖x‖² = `square`, the constant feature left out, to its maximiser at its scores, and moves the weights of the
    /// constant feature. Whether its variables changed: β by what is left in `scratch`.
    #[inline(always)]
    pub fn visit<S: Simd>(&mut self, simd: S, i: usize, square: f64, scores: &[f64], scratch: &mut Scratch) -> bool {
        // The constant feature of a free bias does not keep its value.
        let sample = Sample { square: square + self.bias_scale * self.bias_scale, ..self.samples[i] };
        let a = &mut self.a[i * self.stride..(i + 1) * self.stride];
        let kept = self.trail.as_mut().map_or(0, |trail| {
            let kept = trail.before.len();
            trail.before.extend_from_slice(a);
            kept
        });
        let visit = self.loss.dual_visit(simd, sample, scores, a, self.tolerance, scratch);
        match &mut self.trail {
            Some(trail) if visit.changed => {
                trail.gain += self.loss.dual_gain(sample, a, scratch);
                trail.rows.push(i);
            }
            Some(trail) => trail.before.truncate(kept),
            None => {}
        }
        self.note(i, visit.loss, visit.gap);
        if visit.changed {
            let k = self.n_classes;
            let (weights, change) = (&mut self.constant[..k], &scratch.change()[..k]);
            for j in 0..k {
                weights[j] += self.bias_scale * change[j];
            }
        }
        visit.changed
    }

    /// Measures a row at its scores and has it visited next where it was wrong to sleep. `own` are the scores of W(a); those of other
    /// weights say nothing of where the row itself is.
    #[inline(always)]
    pub fn measure<S: Simd>(&mut self, simd: S, i: usize, scores: &[f64], scratch: &mut Scratch, own: bool) -> Bounds {
        let a = &self.a[i * self.stride..(i + 1) * self.stride];
        let LossGap { loss: primal, gap } = self.loss.dual_bounds(simd, self.samples[i], scores, a, scratch);
        if own {
            self.seen[i] = Bounds { primal, gap };
        }
        if gap > self.tolerance {
            if own {
                self.sleep[i] = 0;
            }
            self.due[i] = self.epoch;
        }
        Bounds { primal, gap }
    }

    /// β of row i, `[n_classes]`.
    pub fn beta(&self, i: usize, out: &mut [f64]) {
        let a = &self.a[i * self.stride..(i + 1) * self.stride];
        self.loss.dual_coefficients(self.samples[i].label, a, out);
    }

    /// Offset of every row of scores, padded with −∞.
    pub fn shift(&self, out: &mut Vec<f64>) {
        out.clear();
        out.extend(self.constant.iter().zip(self.offset).map(|(w, o)| self.bias_scale * w + o));
        out.resize(self.stride, f64::NEG_INFINITY);
    }
}

/// C = 1/(λn): c_i of a row of weight 1.
#[allow(clippy::cast_precision_loss)]
pub(in crate::solver) fn cost(lambda: f64, n: usize) -> f64 {
    1.0 / (lambda * n as f64)
}

/// A row as its block sees it; the square is found out later.
fn sample(problem: &Problem<'_>, row: u32, c: f64) -> Sample {
    let label = problem.source.labels[row as usize] as usize;
    Sample { label, square: 0.0, cost: c * problem.row_weight(row) }
}

/// Scores `[rows, n_classes]` with the bias added and their padding, `[rows, stride]`.
#[inline(always)]
pub(in crate::solver) fn widen(scores: &[f64], n_classes: usize, shift: &[f64], out: &mut [f64]) {
    for (row, out) in scores.chunks_exact(n_classes).zip(out.chunks_exact_mut(shift.len())) {
        for j in 0..n_classes {
            out[j] = row[j] + shift[j];
        }
        for j in n_classes..shift.len() {
            out[j] = f64::NEG_INFINITY;
        }
    }
}
