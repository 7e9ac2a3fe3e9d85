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
//! with r, κ, hi and cap of the set ([`super::Set`]; the table is in `docs/math.md`, "One block").
//!
//! One-vs-rest falls apart into binary steps. References: Y. Wang and C. Scott, *An Exact Solver for the Weston-Watkins SVM
//! Subproblem*, ICML 2021; S. Keerthi et al., *A Sequential Dual Method for Large Scale Multi-class Linear SVMs*, KDD 2008.

// Index loops over slices of one length: iterators are not inlined into code compiled for an instruction set.
#![allow(clippy::needless_range_loop)]

pub use super::block::Jacobian;
use super::block::project;
use super::{Hinge, Loss, Margins, Power};
use pulp::{Scalar, Simd};

/// Numbers that are worked on together.
pub const LANES: usize = super::block::LANES;

/// A curvature q is as good as none when q·a is less than this share of the margins.
const FLAT: f64 = 1e-7;

/// The length of a row of scores or dual variables for the exact solver: `n_classes` rounded up to whole [`LANES`]. Scores are
/// padded with −∞, dual variables with 0.
#[must_use]
#[inline(always)]
pub const fn padded(n_classes: usize) -> usize {
    n_classes.next_multiple_of(LANES)
}

/// Scratch space of [`Loss::dual_visit`], each part padded.
#[derive(Debug)]
pub struct Scratch {
    /// G, −∞ at the label of a difference loss.
    margins: Vec<f64>,
    v: Vec<f64>,
    new: Vec<f64>,
    /// β(new) − β(old) of the visit.
    change: Vec<f64>,
    /// 0, 1, 2, ..
    places: Vec<f64>,
}

impl Scratch {
    /// For `n_classes` classes.
    #[must_use]
    pub fn new(n_classes: usize) -> Self {
        let fill = |value: f64| vec![value; padded(n_classes)];
        let (margins, v) = (fill(f64::NEG_INFINITY), fill(f64::NEG_INFINITY));
        let places = (0..padded(n_classes)).map(place).collect();
        Self { margins, v, new: fill(0.0), change: fill(0.0), places }
    }

    /// β(new) − β(old) of the last visit that changed anything, padded with zeros.
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

/// The number of a class in a vector.
#[inline(always)]
#[allow(clippy::cast_precision_loss)]
fn place(class: usize) -> f64 {
    class as f64
}

/// The curvature below which a block is as good as linear; `loss` is c·ℓ. (A function: most visits do not need it.)
#[cold]
#[inline(never)]
fn least_curvature(squared: bool, loss: f64, c: f64) -> f64 {
    // Not by c², which may underflow or overflow.
    FLAT * if squared { 1.0 / c } else { loss / c / c }
}

/// A sample's loss and its share of the duality gap.
#[derive(Debug, Clone, Copy)]
pub struct LossGap {
    /// c·ℓ
    pub loss: f64,
    /// c·ℓ − Σ_j a_j·G_j + penalty(a)
    pub gap: f64,
}

/// Margins G from scores s.
struct MarginShift<F> {
    /// G − s of the classes of a vector, by its place.
    of_lanes: F,
    /// G of the label.
    at_label: f64,
}

/// Result of a visit to a sample.
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
    /// Solves the block of one sample exactly: from its scores `s`, its squared norm `q` and c_i to the new dual variables.
    ///
    /// `a` holds the old variables and gets the new ones, `[n_classes]`. `c` includes the class weight.
    pub fn dual_step(&self, scores: &[f64], label: usize, q: f64, c: f64, a: &mut [f64]) {
        let k = scores.len();
        let (mut wide, mut block) = (vec![f64::NEG_INFINITY; padded(k)], vec![0.0; padded(k)]);
        wide[..k].copy_from_slice(scores);
        block[..k].copy_from_slice(a);
        let sample = Sample { label, square: q, cost: c };
        self.dual_visit(Scalar::new(), sample, &wide, &mut block, -1.0, &mut Scratch::new(k));
        a.copy_from_slice(&block[..k]);
    }

    /// The generalised Jacobian by the margins G of the step of [`Loss::dual_step`], at its result `a` and all else fixed; `rate` has
    /// the 1/q in it.
    #[must_use]
    pub fn dual_jacobian(&self, q: f64, c: f64, a: &[f64]) -> Jacobian {
        let block = self.set.block(q, c);
        if self.margins.differences() {
            let of_v = Jacobian::at(block, a);
            return Jacobian { rate: of_v.rate / q, ..of_v };
        }
        let inside = a.iter().map(|&a| a > 0.0 && a < block.hi).collect();
        Jacobian { inside, rate: 1.0 / (q + self.set.curvature(c)), coupling: 0.0 }
    }

    /// Measures a sample's loss and its share of the gap at its scores, and solves its block exactly unless that share is at most
    /// `tolerance`. `a` holds the old variables and gets the new ones; β's change is left in `scratch`. Scores and variables are
    /// [`padded`].
    #[inline(always)]
    pub fn dual_visit<S: Simd>(
        &self,
        simd: S,
        sample: Sample,
        scores: &[f64],
        a: &mut [f64],
        tolerance: f64,
        scratch: &mut Scratch,
    ) -> Visit {
        let Sample { label, square: q, cost: c } = sample;
        if c <= 0.0 {
            let changed = a.iter().any(|&a| a != 0.0);
            self.dual_coefficients(label, a, &mut scratch.change);
            scratch.change.iter_mut().for_each(|b| *b = -*b);
            a.fill(0.0);
            return Visit { loss: 0.0, gap: 0.0, changed };
        }
        let LossGap { loss, gap } = self.dual_measure(simd, sample, scores, a, scratch);
        if gap <= tolerance {
            return Visit { loss, gap, changed: false };
        }
        // A row of zeros has no curvature. A little of it, a majoriser, keeps the digits of a compared with G/q, and the step still ascends.
        let squared = !self.set.is_bounded();
        let flat = if squared { q * c < FLAT } else { q * c * c < FLAT * loss };
        let q = if flat { least_curvature(squared, loss, c) } else { q.max(f64::MIN_POSITIVE.sqrt()) };
        if !self.margins.differences() {
            self.binary_steps(simd, q, c, a, scratch);
        } else {
            let old = S::as_simd_f64s(a).0;
            let n = old.len();
            let margins = &S::as_simd_f64s(&scratch.margins).0[..n];
            let wanted = &mut S::as_mut_simd_f64s(&mut scratch.v).0[..n];
            let mut sums = simd.splat_f64s(0.0);
            for l in 0..n {
                sums = simd.add_f64s(sums, old[l]);
            }
            let sum = simd.reduce_sum_f64s(sums);
            let (sums, inverse) = (simd.splat_f64s(sum), simd.splat_f64s(1.0 / q));
            let (block, zero, one) = (self.set.block(q, c), simd.splat_f64s(0.0), simd.splat_f64s(1.0));
            let hi = simd.splat_f64s(block.hi);
            let (mut inside, mut count, mut full) = (zero, zero, zero);
            for l in 0..n {
                let old = old[l];
                let v = simd.mul_add_e_f64s(margins[l], inverse, simd.add_f64s(old, sums));
                wanted[l] = v;
                let (at_zero, at_hi) = (simd.equal_f64s(old, zero), simd.equal_f64s(old, hi));
                let outside = simd.or_m64s(at_zero, at_hi);
                inside = simd.add_f64s(inside, simd.select_f64s(outside, zero, v));
                count = simd.add_f64s(count, simd.select_f64s(outside, zero, one));
                full = simd.add_f64s(full, simd.select_f64s(at_hi, old, zero));
            }
            let (inside, count) = (simd.reduce_sum_f64s(inside), simd.reduce_sum_f64s(count));
            let guess = block.guess(sum, inside, count, simd.reduce_sum_f64s(full));
            project(simd, &scratch.v, block, guess, &mut scratch.new);
            if flat {
                let sum: f64 = scratch.new.iter().sum();
                let fit = if sum > block.cap { block.cap / sum } else { 1.0 };
                scratch.new.iter_mut().for_each(|a| *a *= fit);
            }
        }
        let changed = self.take_over(simd, label, a, scratch);
        Visit { loss, gap, changed }
    }

    /// Puts the new variables into `a` and β's change into `scratch`; whether there is one. (No write of a single lane: the vector
    /// that is read next would have to wait for it.)
    #[inline(always)]
    fn take_over<S: Simd>(&self, simd: S, label: usize, a: &mut [f64], scratch: &mut Scratch) -> bool {
        let old = S::as_mut_simd_f64s(a).0;
        let n = old.len();
        let (new, places) = (&S::as_simd_f64s(&scratch.new).0[..n], &S::as_simd_f64s(&scratch.places).0[..n]);
        let change = &mut S::as_mut_simd_f64s(&mut scratch.change).0[..n];
        let zero = simd.splat_f64s(0.0);
        let (mut sums, mut moved) = (zero, zero);
        for l in 0..n {
            let fall = simd.sub_f64s(old[l], new[l]);
            moved = simd.add_f64s(moved, simd.max_f64s(fall, simd.sub_f64s(zero, fall)));
            sums = simd.sub_f64s(sums, fall);
            change[l] = fall;
            old[l] = new[l];
        }
        let (sign, sum) = if self.margins.differences() { (1.0, simd.reduce_sum_f64s(sums)) } else { (-1.0, 0.0) };
        let (sign, sum, label) = (simd.splat_f64s(sign), simd.splat_f64s(sum), simd.splat_f64s(place(label)));
        for l in 0..n {
            let own = simd.mul_add_e_f64s(change[l], sign, sum);
            change[l] = simd.select_f64s(simd.equal_f64s(places[l], label), own, change[l]);
        }
        // A NaN counts as a change, and comes to light in the gap.
        simd.reduce_sum_f64s(moved) != 0.0
    }

    /// c·ℓ and the share of the gap; the margins G are left in `scratch`.
    #[inline(always)]
    fn dual_measure<S: Simd>(
        &self,
        simd: S,
        sample: Sample,
        scores: &[f64],
        a: &[f64],
        scratch: &mut Scratch,
    ) -> LossGap {
        let own = scores[sample.label];
        let (shift, at_label) = match &self.margins {
            Margins::Difference(delta) => (delta - own, f64::NEG_INFINITY),
            Margins::OneVsRest(delta) => (*delta, delta - own),
            Margins::Costs(costs) => {
                let (costs, own) = (S::as_simd_f64s(costs.of_label(sample.label)).0, simd.splat_f64s(own));
                let shift = |l: usize| simd.sub_f64s(costs[l], own);
                let shift = MarginShift { of_lanes: shift, at_label: f64::NEG_INFINITY };
                return self.measure_shifted(simd, sample, scores, a, shift, scratch);
            }
        };
        let shift = simd.splat_f64s(shift);
        self.measure_shifted(simd, sample, scores, a, MarginShift { of_lanes: |_| shift, at_label }, scratch)
    }

    /// [`Loss::dual_measure`] with margins from a shift.
    #[inline(always)]
    fn measure_shifted<S: Simd>(
        &self,
        simd: S,
        Sample { label, cost: c, .. }: Sample,
        scores: &[f64],
        a: &[f64],
        MarginShift { of_lanes: shift, at_label }: MarginShift<impl Fn(usize) -> S::f64s>,
        scratch: &mut Scratch,
    ) -> LossGap {
        let at_label = simd.splat_f64s(at_label);
        let (zero, label) = (simd.splat_f64s(0.0), simd.splat_f64s(place(label)));
        let (mut linear, mut sum, mut square) = (zero, zero, zero);
        let mut tops = simd.splat_f64s(f64::NEG_INFINITY);
        let variables = S::as_simd_f64s(a).0;
        let n = variables.len();
        let (scores, places) = (&S::as_simd_f64s(scores).0[..n], &S::as_simd_f64s(&scratch.places).0[..n]);
        let margins = &mut S::as_mut_simd_f64s(&mut scratch.margins).0[..n];
        for l in 0..n {
            let a = variables[l];
            let g = simd.select_f64s(simd.equal_f64s(places[l], label), at_label, simd.add_f64s(scores[l], shift(l)));
            margins[l] = g;
            // −∞ times zero is nothing.
            linear = simd.add_f64s(linear, simd.select_f64s(simd.equal_f64s(a, zero), zero, simd.mul_f64s(a, g)));
            // Not `max`, which would swallow a NaN.
            let hinge = simd.select_f64s(simd.less_than_or_equal_f64s(g, zero), zero, g);
            sum = simd.add_f64s(sum, hinge);
            square = simd.mul_add_e_f64s(hinge, hinge, square);
            tops = simd.max_f64s(tops, g);
        }
        let loss = match self.set.plain() {
            None => self.set.value(scratch.margins.iter().copied()),
            Some(Hinge::All(Power::One)) => simd.reduce_sum_f64s(sum),
            Some(Hinge::All(Power::Two)) => simd.reduce_sum_f64s(square),
            // The maximum passes a NaN over; the sum does not.
            Some(Hinge::Worst(_)) if simd.reduce_sum_f64s(sum).is_nan() => f64::NAN,
            Some(Hinge::Worst(power)) => power.of(simd.reduce_max_f64s(tops)),
        };
        let penalty = self.set.penalty_of(c, a);
        LossGap { loss: c * loss, gap: c * loss - simd.reduce_sum_f64s(linear) + penalty }
    }

    /// One-vs-rest: a ← clip(a + (Δ − f·s − γa/c)/(q + γ/c), 0, c), or with the square max(0, a + (Δ − f·s − a/(2c))/(q + 1/(2c))).
    #[inline(always)]
    fn binary_steps<S: Simd>(&self, simd: S, q: f64, c: f64, a: &[f64], scratch: &mut Scratch) {
        let (curvature, hi) = (self.set.curvature(c), self.set.limits(c).0);
        let (inverse, zero, hi) = (simd.splat_f64s(1.0 / (q + curvature)), simd.splat_f64s(0.0), simd.splat_f64s(hi));
        let curvature = simd.splat_f64s(curvature);
        let old = S::as_simd_f64s(a).0;
        let n = old.len();
        let margins = &S::as_simd_f64s(&scratch.margins).0[..n];
        let new = &mut S::as_mut_simd_f64s(&mut scratch.new).0[..n];
        for l in 0..n {
            let slope = simd.sub_f64s(margins[l], simd.mul_f64s(old[l], curvature));
            let step = simd.mul_add_e_f64s(slope, inverse, old[l]);
            new[l] = simd.max_f64s(simd.min_f64s(step, hi), zero);
        }
    }

    /// β of a sample from its dual variables: the weights of its row in `W(a) = Σ x_i β_iᵀ`.
    pub fn dual_coefficients(&self, label: usize, a: &[f64], beta: &mut [f64]) {
        self.margins.coefficients(label, a, beta);
    }

    /// A sample's c·ℓ and its share of the duality gap, `c·ℓ − Σ_j a_j·G_j + penalty(a)`; the latter never below 0 but for
    /// rounding. Scores and variables are [`padded`].
    #[must_use]
    #[inline(always)]
    pub fn dual_bounds<S: Simd>(
        &self,
        simd: S,
        sample: Sample,
        scores: &[f64],
        a: &[f64],
        scratch: &mut Scratch,
    ) -> LossGap {
        if sample.cost <= 0.0 {
            return LossGap { loss: 0.0, gap: 0.0 };
        }
        self.dual_measure(simd, sample, scores, a, scratch)
    }

    /// Growth of the dual by the step of the last visit, which has changed its sample's variables to `a`, by that step alone:
    /// `Σ_j G_j·Δa_j − (penalty(a) − penalty(a − Δa)) − ½‖x‖²·‖Δβ‖²`.
    #[must_use]
    #[inline(always)]
    pub fn dual_gain(&self, sample: Sample, a: &[f64], scratch: &mut Scratch) -> f64 {
        let Scratch { margins, change, new: old, .. } = scratch;
        let (mut linear, mut square) = (0.0, 0.0);
        for j in 0..a.len() {
            // The variable of a label is 0 throughout, or goes the other way.
            let is_label = j == sample.label;
            let step = if !is_label {
                -change[j]
            } else if self.margins.differences() {
                0.0
            } else {
                change[j]
            };
            linear += if step == 0.0 { 0.0 } else { step * margins[j] };
            square += change[j] * change[j];
            old[j] = a[j] - step;
        }
        let penalty = self.dual_penalty(sample.cost, a) - self.dual_penalty(sample.cost, old);
        linear - penalty - sample.square * square / 2.0
    }

    /// Brings dual variables `[n_classes]` of a sample into their set: what rounding has left outside is clipped, what is no number
    /// is 0.
    pub fn dual_clip(&self, label: usize, c: f64, a: &mut [f64]) {
        let (hi, cap) = self.set.limits(c);
        a.iter_mut().for_each(|a| *a = if c > 0.0 && *a > 0.0 { a.min(hi) } else { 0.0 });
        if self.margins.differences() {
            a[label] = 0.0;
        }
        let sum: f64 = a.iter().sum();
        if sum > cap {
            a.iter_mut().for_each(|a| *a *= cap / sum);
        }
    }

    /// pen(a) of a row.
    #[must_use]
    pub fn dual_penalty(&self, c: f64, a: &[f64]) -> f64 {
        self.set.penalty_of(c, a)
    }
}

#[cfg(test)]
mod tests;
