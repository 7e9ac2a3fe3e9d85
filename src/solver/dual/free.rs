//! A bias that is not regularised.
//!
//! Its dual has one more constraint a class, Σ_i β_ik = 0, which no single block can keep. The method of multipliers puts them
//! into the objective: b is the multiplier, and a penalty (B²/2)·‖Σ_i β_i‖² is the constant feature of a regularised bias. After
//! every sweep b is updated by the residual of the penalty, b ← b + B²·Σ_i β_i, and Σ_i β_i goes to 0. The penalty is large where b has far to go
//! and small where it has arrived, as rows can then share out what they have: a large B² makes each of them step by as little as 1/B². (D. Bertsekas, *Constrained
//! Optimization and Lagrange Multiplier Methods*, 1982.) A bound needs the constraints exactly: [`balance`] shrinks the dual
//! variables until they hold.

use super::state::DualState;
use crate::solver::Problem;
use std::collections::VecDeque;

/// Least penalty B², relative to the typical ‖x‖², for well-conditioned steps.
const SHARE: f64 = 0.25;
/// Steps, and the penalty, grow by this factor while steps keep their direction and size, as they do where every row is at its bound and
/// b has far to go; where they do not, the penalty falls by the other.
const GROWTH: f64 = 1.5;
const FALL: f64 = 0.7;
/// Steps never get longer than this: one of the method itself always ends, a longer one may have to be taken back.
const LONGEST: f64 = 4.0;
/// Product of two steps, as a share of the larger square, from which they count as alike.
const ALIKE: f64 = 0.98;

/// The outer steps of a run.
#[derive(Debug, Default)]
pub(super) struct Multipliers {
    /// Σ_i β_i of the last step, and its length.
    pub last: Vec<f64>,
    pub length: f64,
    /// Bounds of B².
    least: f64,
    most: f64,
}

impl Multipliers {
    /// For the λ of the state, whose penalty is set. At the most a step takes b as far as a margin where all rows pull it in one
    /// direction: with strong regularisation Σ_i β_i, which is at most Σ_i c_i, is small. At the least the penalty is of the size of
    /// a typical feature value.
    pub fn new(problem: &Problem<'_>, state: &mut DualState<'_>) -> Self {
        let square = SHARE * problem.source.typical_square(problem.train);
        let pull: f64 = state.samples.iter().map(|sample| sample.cost).sum();
        let far = if pull > 0.0 { state.loss.margins.largest() / pull } else { 0.0 };
        let sane = |square: f64| if square.is_finite() { square.clamp(1e-200, 1e200) } else { 1.0 };
        let least = sane(if square > 0.0 { square } else { far });
        let most = sane(far).max(least);
        state.bias_scale = most.sqrt();
        Self { last: Vec::new(), length: 0.0, least, most }
    }

    /// b ← b + γ·B²·Σ_i β_i, and the next penalty.
    pub fn step(&mut self, state: &mut DualState<'_>) {
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let scale = state.bias_scale;
        let missing: Vec<f64> = state.constant.iter().map(|w| w / scale).collect();
        let (now, last) = (product(&missing, &missing), product(&self.last, &self.last));
        let alike = product(&self.last, &missing) > ALIKE * now.max(last);
        self.length = if alike { (self.length * GROWTH).min(LONGEST) } else { 1.0 };
        for (offset, constant) in state.offset.iter_mut().zip(&state.constant) {
            *offset += self.length * scale * constant;
        }
        let square = scale * scale * if alike { GROWTH } else { FALL };
        state.bias_scale = square.clamp(self.least, self.most).sqrt();
        let factor = state.bias_scale / scale;
        state.constant.iter_mut().for_each(|w| *w *= factor);
        self.last = missing;
    }
}

/// Shrinks dual variables, which keeps them feasible, until Σ_i β_ik = 0 for every class.
pub(super) fn balance(state: &mut DualState<'_>) {
    let k = state.n_classes;
    let factors = factors(&flows(state), k, state.loss.margins.differences());
    for (sample, a) in state.samples.iter().zip(state.a.chunks_exact_mut(state.stride)) {
        let factors = &factors[sample.label * k..(sample.label + 1) * k];
        a.iter_mut().zip(factors).for_each(|(a, f)| *a *= f);
    }
}

/// The factor of every label and class, `[n_classes, n_classes]`, by which dual variables with such sums are shrunk.
pub(in crate::solver) fn factors(flows: &[f64], k: usize, differences: bool) -> Vec<f64> {
    if differences { flow_factors(flows, k) } else { binary_factors(flows, k) }
}

/// Sums of the dual variables by label and class, `[n_classes, n_classes]`.
fn flows(state: &DualState<'_>) -> Vec<f64> {
    let k = state.n_classes;
    let mut flows = vec![0.0; k * k];
    for (sample, a) in state.samples.iter().zip(state.a.chunks_exact(state.stride)) {
        flows[sample.label * k..(sample.label + 1) * k].iter_mut().zip(a).for_each(|(f, a)| *f += a);
    }
    flows
}

/// One-vs-rest: the larger side of each binary problem comes down to the smaller.
fn binary_factors(flows: &[f64], k: usize) -> Vec<f64> {
    let mut factors = vec![1.0; k * k];
    for j in 0..k {
        let own = flows[j * k + j];
        let others: f64 = (0..k).filter(|&i| i != j).map(|i| flows[i * k + j]).sum();
        for i in 0..k {
            let (mine, against) = if i == j { (own, others) } else { (others, own) };
            if mine > against {
                factors[i * k + j] = against / mine;
            }
        }
    }
    factors
}

/// Difference losses: the dual variables are flows from label to class, and what goes into a class must come out of it. Flow is
/// taken off paths from classes with too much going out to classes with too much coming in.
fn flow_factors(flows: &[f64], k: usize) -> Vec<f64> {
    let mut left = flows.to_vec();
    let mut surplus: Vec<f64> = (0..k).map(|i| (0..k).map(|j| flows[i * k + j] - flows[j * k + i]).sum()).collect();
    let rounding = flows.iter().sum::<f64>() * 1e-15;
    for from in 0..k {
        // Straight first: nearly all of it, where every class meets every other.
        for to in 0..k {
            let amount = surplus[from].min(-surplus[to]).min(left[from * k + to]);
            if amount > 0.0 {
                take(&mut left, &mut surplus, &[from, to], amount, k);
            }
        }
        while surplus[from] > rounding {
            let Some(path) = path(&left, &surplus, from, rounding, k) else {
                break;
            };
            let narrowest = path.windows(2).map(|p| left[p[0] * k + p[1]]).fold(f64::INFINITY, f64::min);
            let end = path[path.len() - 1];
            let amount = narrowest.min(surplus[from]).min(-surplus[end]);
            take(&mut left, &mut surplus, &path, amount, k);
        }
    }
    left.iter().zip(flows).map(|(left, flow)| if *flow > 0.0 { left / flow } else { 1.0 }).collect()
}

fn take(left: &mut [f64], surplus: &mut [f64], path: &[usize], amount: f64, k: usize) {
    for pair in path.windows(2) {
        let flow = &mut left[pair[0] * k + pair[1]];
        *flow = (*flow - amount).max(0.0);
    }
    surplus[path[0]] -= amount;
    surplus[path[path.len() - 1]] += amount;
}

/// A shortest path along flows from a class to one with too much coming in.
fn path(left: &[f64], surplus: &[f64], from: usize, rounding: f64, k: usize) -> Option<Vec<usize>> {
    let mut before = vec![usize::MAX; k];
    let mut queue = VecDeque::from([from]);
    before[from] = from;
    while let Some(at) = queue.pop_front() {
        for to in 0..k {
            if before[to] != usize::MAX || left[at * k + to] <= rounding {
                continue;
            }
            before[to] = at;
            if surplus[to] < -rounding {
                let mut path = vec![to];
                while *path.last()? != from {
                    path.push(before[*path.last()?]);
                }
                path.reverse();
                return Some(path);
            }
            queue.push_back(to);
        }
    }
    None
}

/// The bias of a difference loss is free up to a constant: its mean is put to 0.
#[allow(clippy::cast_precision_loss)]
pub(in crate::solver) fn centre(bias: &mut [f64]) {
    let mean = bias.iter().sum::<f64>() / bias.len() as f64;
    bias.iter_mut().for_each(|b| *b -= mean);
}
