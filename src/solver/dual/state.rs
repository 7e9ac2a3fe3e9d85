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

    /// Prefetches the state of a row that is visited soon.
    #[inline(always)]
    pub fn prefetch(&self, i: usize) {
        prefetch(&self.rows[i]);
        prefetch(&self.samples[i]);
        prefetch_all(&self.a[i * self.stride..(i + 1) * self.stride]);
    }

    /// Has row i visited again after so many epochs.
    #[allow(clippy::cast_possible_truncation)]
    pub fn sleep_for(&mut self, i: usize, epochs: usize) {
        (self.sleep[i], self.due[i]) = (epochs as u8, self.epoch + epochs as u32);
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
        let visit = self.loss.dual_visit(simd, sample, scores, a, self.tolerance, scratch);
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

    /// ½‖w_B‖² of the constant feature.
    pub fn constant_half_square(&self) -> f64 {
        self.constant.iter().map(|w| w * w).sum::<f64>() / 2.0
    }

    /// Offset of every row of scores, padded with −∞.
    pub fn shift(&self, out: &mut Vec<f64>) {
        out.clear();
        out.extend(self.constant.iter().zip(&self.offset).map(|(w, o)| self.bias_scale * w + o));
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
