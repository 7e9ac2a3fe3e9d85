//! The proximal step of a row and its slope, for the proximal Newton method.
//!
//! ```text
//! a(G) = argmax over a in A of  a·G − pen(a) − (γ/2)·‖a − b‖²         b the centre, γ ≥ 0
//!      : a_j = clip((G_j + γ·b_j − t)/r, 0, hi),    r = ∂²pen + γ,    t as in a block step
//! ```
//!
//! The maximum is convex in G with the gradient a, and `∂a/∂G = (I_S − ω·1_S 1_Sᵀ)/r`, S the coordinates strictly inside
//! (Y. Nesterov, 2005; R. T. Rockafellar, *Augmented Lagrangians and applications of the proximal point algorithm*, 1976).

mod tensors;

pub(crate) use tensors::{PieceTensors, Targets};

use super::block::{FeasibleBlock, LANES, project};
use super::{Loss, Margins, dual::padded};
use pulp::Scalar;

/// The steps of a loss at one γ; where γ is 0 its penalty is curved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proximal<'a> {
    pub loss: &'a Loss,
    pub gamma: f64,
}

/// Sums over the margins of a row at its step.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Response {
    /// c·ℓ
    pub loss: f64,
    /// c·ℓ − a·G + pen(a), the row's share of the duality gap; at least 0 but for rounding.
    pub excess: f64,
    /// (γ/2)·‖a − b‖²
    pub distance: f64,
}

impl Response {
    pub fn add(&mut self, other: Self) {
        self.loss += other.loss;
        self.excess += other.excess;
        self.distance += other.distance;
    }
}

/// Room for a row.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    margins: Vec<f64>,
    wanted: Vec<f64>,
    new: Vec<f64>,
}

impl Room {
    pub fn new(n_classes: usize) -> Self {
        let fill = |value: f64| vec![value; padded(n_classes).max(LANES)];
        Self { margins: fill(0.0), wanted: fill(f64::NEG_INFINITY), new: fill(0.0) }
    }
}

/// The linear piece that a row is on.
#[derive(Debug, Clone, Copy)]
struct Piece {
    rate: f64,
    coupling: f64,
    hi: f64,
}

/// Scales the values strictly inside to the sum that the cap leaves, against rounding: the piece is recognised by that sum.
fn fill(a: &mut [f64], FeasibleBlock { hi, cap, .. }: FeasibleBlock) {
    let inside: f64 = a.iter().filter(|&&a| a < hi).sum();
    let full: f64 = a.iter().filter(|&&a| a >= hi).sum();
    if inside > 0.0 {
        a.iter_mut().filter(|a| **a < hi).for_each(|a| *a *= (cap - full) / inside);
    }
}

impl Proximal<'_> {
    fn block(&self, c: f64) -> FeasibleBlock {
        let set = &self.loss.set;
        let (hi, cap) = set.limits(c);
        FeasibleBlock { r: set.curvature(c) + self.gamma, kappa: set.curvature_of_sum(c), hi, cap }
    }

    /// Writes a of scores `[n_classes]` to `a`; `c` is above 0.
    pub fn step(
        &self,
        label: usize,
        c: f64,
        scores: &[f64],
        centre: &[f64],
        a: &mut [f64],
        room: &mut Room,
    ) -> Response {
        let (k, block) = (a.len(), self.block(c));
        let (margins, wanted) = (&mut room.margins[..k], &mut room.wanted);
        margins.iter_mut().zip(self.loss.margins.of_row(scores, label)).for_each(|(m, g)| *m = g);
        let rate = 1.0 / block.r;
        let (mut sum, mut linear, mut positive) = (0.0, 0.0, 0.0);
        for j in 0..k {
            let v = margins[j] + self.gamma * centre[j];
            wanted[j] = v;
            a[j] = (v * rate).clamp(0.0, block.hi);
            sum += a[j];
            if v > 0.0 {
                (linear, positive) = (linear + v, positive + 1.0);
            }
        }
        if block.kappa > 0.0 || sum > block.cap {
            // Newton's step from t = 0, were there no upper bounds: never beyond the largest.
            let start = if block.kappa > 0.0 {
                block.kappa * linear / (block.r + block.kappa * positive)
            } else {
                (linear - block.r * block.cap) / positive
            };
            project(Scalar::new(), wanted, block, start, &mut room.new);
            a.copy_from_slice(&room.new[..k]);
            if sum > block.cap {
                fill(a, block);
            }
        }
        self.response(c, margins, centre, a)
    }

    fn response(&self, c: f64, margins: &[f64], centre: &[f64], a: &[f64]) -> Response {
        let loss = c * self.loss.set.value(margins.iter().copied());
        let (mut product, mut distance) = (0.0, 0.0);
        for ((&a, &g), &b) in a.iter().zip(margins).zip(centre) {
            // −∞ times zero is nothing.
            product += if a == 0.0 { 0.0 } else { a * g };
            distance += (a - b) * (a - b);
        }
        let excess = loss - product + self.loss.dual_penalty(c, a);
        Response { loss, excess, distance: self.gamma / 2.0 * distance }
    }

    /// Σ_j a_j·δG_j for the scores of a direction: how fast the maximum grows.
    pub fn growth(&self, label: usize, scores: &[f64], a: &[f64]) -> f64 {
        let (own, differences) = (scores[label], self.loss.margins.differences());
        let change = |j: usize| match (differences, j == label) {
            (true, _) => scores[j] - own,
            (false, true) => -own,
            (false, false) => scores[j],
        };
        (0..a.len()).map(|j| a[j] * change(j)).sum()
    }

    #[allow(clippy::cast_precision_loss)]
    fn piece(&self, c: f64, a: &[f64]) -> Piece {
        const ROUNDING: f64 = 1e-12;
        let FeasibleBlock { r, kappa, hi, cap } = self.block(c);
        let coupling = if cap.is_finite() || kappa > 0.0 {
            let count = a.iter().filter(|&&a| a > 0.0 && a < hi).count() as f64;
            let full = a.iter().sum::<f64>() >= cap * (1.0 - ROUNDING);
            if full { 1.0 / count.max(1.0) } else { kappa / (r + kappa * count) }
        } else {
            0.0
        };
        Piece { rate: 1.0 / r, coupling, hi }
    }

    /// True where a changes with the scores.
    pub fn is_active(&self, c: f64, a: &[f64]) -> bool {
        let Piece { coupling, hi, .. } = self.piece(c, a);
        a.iter().any(|&a| a > 0.0 && a < hi) && coupling < 1.0
    }

    /// Turns the scores of a direction into the change of ∂/∂s of the maximum: −β(∂a/∂G·δG).
    pub fn curve(&self, label: usize, c: f64, a: &[f64], scores: &mut [f64]) {
        let Piece { rate, coupling, hi } = self.piece(c, a);
        let own = if self.loss.margins.differences() { scores[label] } else { 0.0 };
        if !self.loss.margins.differences() {
            scores[label] = -scores[label];
        }
        let mut sum = 0.0;
        for (x, &a) in scores.iter_mut().zip(a) {
            *x = if a > 0.0 && a < hi { rate * (*x - own) } else { 0.0 };
            sum += *x;
        }
        let shared = coupling * sum;
        if shared != 0.0 {
            scores.iter_mut().zip(a).filter(|(_, a)| **a > 0.0 && **a < hi).for_each(|(x, _)| *x -= shared);
        }
        self.loss.margins.pull_back(scores, label);
    }

    /// The diagonal of that matrix.
    #[allow(clippy::cast_precision_loss)]
    pub fn diagonal(&self, label: usize, c: f64, a: &[f64], out: &mut [f64]) {
        let Piece { rate, coupling, hi } = self.piece(c, a);
        let inside = |a: f64| a > 0.0 && a < hi;
        let count = a.iter().filter(|&&a| inside(a)).count() as f64;
        let each = rate * (1.0 - coupling);
        out.iter_mut().zip(a).for_each(|(out, &a)| *out = if inside(a) { each } else { 0.0 });
        if self.loss.margins.differences() {
            out[label] = rate * count * (1.0 - coupling * count);
        }
    }
}

#[cfg(test)]
mod tests;
