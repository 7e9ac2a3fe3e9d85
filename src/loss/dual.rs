//! The dual side of the losses: one exact block step for all of them.
//!
//! With c_i = weight_i/(λn) the objective divided by λ is `½‖W‖² + Σ c_i·ℓ_i`, and its dual has one block a_i of `n_classes`
//! variables a sample. For a difference loss (label y, a_iy = 0) `W(a) = Σ_i x_i β_iᵀ` with β_ij = −a_ij, β_iy = Σ_j a_ij; for
//! one-vs-rest β_ij = f_ij·a_ij. Maximising over one block, all others fixed, has the closed form
//!
//! ```text
//! a_j = clip((v_j − t)/r, 0, hi)    v_j = G_j/q + a_j + Σa (the old a),   q = ‖x‖²,   G_j = Δ + s_j − s_y
//! t = κ·Σa where that keeps Σa ≤ cap, else the t with Σa = cap
//! ```
//!
//! | loss | r | κ | hi | cap |
//! |---|---|---|---|---|
//! | Weston-Watkins, p = 1 | 1 | 1 | c | ∞ |
//! | Weston-Watkins, p = 2 | 1 + 1/(2cq) | 1 | ∞ | ∞ |
//! | Crammer-Singer, p = 1 | 1 | 1 | ∞ | c |
//! | Crammer-Singer, p = 2 | 1 | 1 + 1/(2cq) | ∞ | ∞ |
//! | top-k | 1 | 1 | c/k | c |
//! | smoothed with γ | 1 + γ/(cq) | 1 | as at γ = 0 | as at γ = 0 |
//!
//! One-vs-rest falls apart into binary steps. References: Y. Wang and C. Scott, *An Exact Solver for the Weston-Watkins SVM
//! Subproblem*, ICML 2021; S. Keerthi et al., *A Sequential Dual Method for Large Scale Multi-class Linear SVMs*, KDD 2008.

// Index loops over slices of one length: what the compiler turns into vectors.
#![allow(clippy::needless_range_loop)]

use super::block::{Block, LANES, project};
use super::{Formulation, Loss, Power, top_k};

/// Scratch space of [`Loss::dual_visit`].
#[derive(Debug)]
pub struct Scratch {
    /// G, padded with −∞.
    margins: Vec<f64>,
    v: Vec<f64>,
    new: Vec<f64>,
    /// β(new) − β(old) of the visit, `[n_classes]` and padding.
    change: Vec<f64>,
}

impl Scratch {
    /// For `n_classes` classes.
    #[must_use]
    pub fn new(n_classes: usize) -> Self {
        let padded = n_classes.next_multiple_of(LANES);
        let fill = |value: f64| vec![value; padded];
        Self { margins: fill(f64::NEG_INFINITY), v: fill(f64::NEG_INFINITY), new: fill(0.0), change: fill(0.0) }
    }

    /// β(new) − β(old) of the last visit that changed anything; longer than `n_classes`, with zeros at the end.
    #[must_use]
    #[inline(always)]
    pub fn change(&self) -> &[f64] {
        &self.change
    }
}

/// One sample, as its block step sees it.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// The class.
    pub label: usize,
    /// ‖x‖², the constant feature included.
    pub square: f64,
    /// c_i = weight_i/(λn), class weight included.
    pub cost: f64,
}

/// What a visit to a sample found, and whether it changed anything.
#[derive(Debug, Clone, Copy)]
pub struct Visit {
    /// c·ℓ before the step.
    pub loss: f64,
    /// The sample's share of the duality gap before the step.
    pub gap: f64,
    /// Whether the dual variables changed.
    pub changed: bool,
}

impl Loss {
    fn block(&self, q: f64, c: f64) -> Block {
        let squared = 1.0 / (2.0 * c * q);
        let r = 1.0 + self.smoothing / (c * q);
        let free = f64::INFINITY;
        match (self.formulation, self.power) {
            (Formulation::WestonWatkins, Power::One) => Block { r, kappa: 1.0, hi: c, cap: free },
            (Formulation::WestonWatkins, Power::Two) => Block { r: 1.0 + squared, kappa: 1.0, hi: free, cap: free },
            (Formulation::CrammerSinger, Power::One) => Block { r, kappa: 1.0, hi: free, cap: c },
            #[allow(clippy::cast_precision_loss)]
            (Formulation::TopK, _) => Block { r, kappa: 1.0, hi: c / self.k as f64, cap: c },
            (Formulation::CrammerSinger, Power::Two) => Block { r: 1.0, kappa: 1.0 + squared, hi: free, cap: free },
            // Separable: `binary_steps`.
            (Formulation::OneVsRest, _) => Block { r: 1.0, kappa: 0.0, hi: c, cap: free },
        }
    }

    /// Solves the block of one sample exactly: from its scores `s`, its squared norm `q` and c_i to the new dual variables.
    ///
    /// `a` holds the old variables and gets the new ones, `[n_classes]`. `c` includes the class weight.
    pub fn dual_step(&self, scores: &[f64], label: usize, q: f64, c: f64, a: &mut [f64]) {
        let mut scratch = Scratch::new(scores.len());
        self.dual_visit(Sample { label, square: q, cost: c }, scores, a, -1.0, &mut scratch);
    }

    /// Measures a sample's loss and its share of the gap at its scores, and solves its block exactly unless that share is at most
    /// `tolerance`. `a` holds the old variables and gets the new ones; β's change is left in `scratch`.
    #[inline(always)]
    pub fn dual_visit(
        &self,
        sample: Sample,
        scores: &[f64],
        a: &mut [f64],
        tolerance: f64,
        scratch: &mut Scratch,
    ) -> Visit {
        let Sample { label, square: q, cost: c } = sample;
        let k = a.len();
        if c <= 0.0 {
            let changed = a.iter().any(|&a| a != 0.0);
            self.dual_coefficients(label, a, &mut scratch.change[..k]);
            scratch.change.iter_mut().for_each(|b| *b = -*b);
            a.fill(0.0);
            return Visit { loss: 0.0, gap: 0.0, changed };
        }
        let (loss, gap) = self.dual_measure(sample, scores, a, &mut scratch.margins);
        if gap <= tolerance {
            return Visit { loss, gap, changed: false };
        }
        let Scratch { margins, v, new, change } = scratch;
        let padded = v.len();
        let (margins, new, change) = (&margins[..padded], &mut new[..padded], &mut change[..padded]);
        // A row of zeros has no curvature; a tiny one keeps the step finite and exact.
        let q = q.max(f64::MIN_POSITIVE.sqrt());
        if self.formulation == Formulation::OneVsRest {
            new[..k].copy_from_slice(a);
            self.binary_steps(self.power, scores, label, q, c, &mut new[..k]);
        } else {
            let mut sum = 0.0;
            for j in 0..k {
                sum += a[j];
            }
            let inverse = 1.0 / q;
            for j in 0..k {
                v[j] = margins[j] * inverse + (a[j] + sum);
            }
            project(v, self.block(q, c), sum, new);
        }
        let (mut sum, mut moved) = (0.0, 0.0);
        for j in 0..k {
            let difference = new[j] - a[j];
            moved += difference.abs();
            sum += difference;
            change[j] = -difference;
            a[j] = new[j];
        }
        if self.formulation == Formulation::OneVsRest {
            change[label] = -change[label];
        } else {
            change[label] += sum;
        }
        // A NaN counts as a change, and comes to light in the gap.
        Visit { loss, gap, changed: moved != 0.0 }
    }

    /// c·ℓ and the share of the gap; the margins G (−∞ at the label of a difference loss) are left in `margins`.
    #[inline(always)]
    fn dual_measure(&self, sample: Sample, scores: &[f64], a: &[f64], margins: &mut [f64]) -> (f64, f64) {
        let Sample { label, cost: c, .. } = sample;
        let k = a.len();
        let (scores, margins) = (&scores[..k], &mut margins[..k]);
        let own = scores[label];
        let one_vs_rest = self.formulation == Formulation::OneVsRest;
        let shift = if one_vs_rest { self.margin } else { self.margin - own };
        for j in 0..k {
            margins[j] = scores[j] + shift;
        }
        margins[label] = if one_vs_rest { self.margin - own } else { f64::NEG_INFINITY };
        let (mut linear, mut sum, mut square, mut top) = (0.0, 0.0, 0.0, f64::NEG_INFINITY);
        for j in 0..k {
            let (g, a) = (margins[j], a[j]);
            linear += if a == 0.0 { 0.0 } else { a * g };
            // Not `max`, which would swallow a NaN.
            let hinge = if g <= 0.0 { 0.0 } else { g };
            sum += hinge;
            square += hinge * hinge;
            top = if g <= top { top } else { g };
        }
        let loss = match (self.formulation, self.power) {
            _ if self.smoothing > 0.0 => self.smoothed_of_margins(margins),
            (Formulation::TopK, _) => top_k::of_margins(margins, self.k),
            (Formulation::WestonWatkins | Formulation::OneVsRest, Power::One) => sum,
            (Formulation::WestonWatkins | Formulation::OneVsRest, Power::Two) => square,
            (Formulation::CrammerSinger, power) => power.of(top),
        };
        (c * loss, c * loss - linear + self.dual_penalty(c, a))
    }

    /// One-vs-rest: a ← clip(a + (Δ − f·s − γa/c)/(q + γ/c), 0, c), or with the square max(0, a + (Δ − f·s − a/(2c))/(q + 1/(2c))).
    #[inline(always)]
    fn binary_steps(&self, power: Power, scores: &[f64], label: usize, q: f64, c: f64, a: &mut [f64]) {
        for (j, (a, &s)) in a.iter_mut().zip(scores).enumerate() {
            let margin = if j == label { self.margin - s } else { self.margin + s };
            *a = match power {
                Power::One => {
                    let curvature = self.smoothing / c;
                    (*a + (margin - *a * curvature) / (q + curvature)).clamp(0.0, c)
                }
                Power::Two => {
                    let curvature = 1.0 / (2.0 * c);
                    (*a + (margin - *a * curvature) / (q + curvature)).max(0.0)
                }
            };
        }
    }

    /// β of a sample from its dual variables: the weights of its row in `W(a) = Σ x_i β_iᵀ`.
    pub fn dual_coefficients(&self, label: usize, a: &[f64], beta: &mut [f64]) {
        match self.formulation {
            Formulation::WestonWatkins | Formulation::CrammerSinger | Formulation::TopK => {
                beta.iter_mut().zip(a).for_each(|(b, a)| *b = -a);
                beta[label] = a.iter().sum::<f64>() - a[label];
            }
            Formulation::OneVsRest => {
                beta.iter_mut().zip(a).for_each(|(b, a)| *b = -a);
                beta[label] = a[label];
            }
        }
    }

    /// A sample's c·ℓ and its share of the duality gap, `c·ℓ − Σ_j a_j·G_j + penalty(a)`; the latter never below 0 but for
    /// rounding.
    #[must_use]
    #[inline(always)]
    pub fn dual_bounds(&self, sample: Sample, scores: &[f64], a: &[f64], scratch: &mut Scratch) -> (f64, f64) {
        if sample.cost <= 0.0 {
            return (0.0, 0.0);
        }
        self.dual_measure(sample, scores, a, &mut scratch.margins)
    }

    /// What the squared losses subtract in the dual, Σa²/(4c), or (Σa)²/(4c) for Crammer-Singer; and smoothed ones, γΣa²/(2c).
    #[must_use]
    #[inline(always)]
    pub fn dual_penalty(&self, c: f64, a: &[f64]) -> f64 {
        match (self.power, self.formulation) {
            (Power::One, _) | (Power::Two, Formulation::TopK) if self.smoothing == 0.0 => 0.0,
            (Power::One, _) | (Power::Two, Formulation::TopK) => {
                self.smoothing * a.iter().map(|a| a * a).sum::<f64>() / (2.0 * c)
            }
            (Power::Two, Formulation::CrammerSinger) => a.iter().sum::<f64>().powi(2) / (4.0 * c),
            (Power::Two, Formulation::WestonWatkins | Formulation::OneVsRest) => {
                a.iter().map(|a| a * a).sum::<f64>() / (4.0 * c)
            }
        }
    }
}

#[cfg(test)]
mod tests;
