//! The dual variables that maximise at given scores, kept near others by a proximal term: rows are free of each other.

use super::{FeasibleSet, InteriorPoint};

impl InteriorPoint {
    /// (A W)_j of a row.
    fn signed(&self, shape: &FeasibleSet<'_>, i: usize, j: usize) -> f64 {
        let of = |class: usize| self.scores[class * self.costs.len() + i];
        match (shape.loss.margins.differences(), j == self.label) {
            (true, _) => of(self.label) - of(j),
            (false, true) => of(j),
            (false, false) => -of(j),
        }
    }

    /// The dual variables as they are become the centre of the next step.
    pub fn take_as_centre(&mut self) {
        self.centre.clone_from(&self.own.a);
    }

    /// Puts the dual variables to a(W) at the scores, and the rates to those of its Jacobian; returns Σ c·(the maximum).
    pub fn maximise(&mut self, shape: &FeasibleSet<'_>, gamma: f64) -> f64 {
        let (n, stiff) = (self.costs.len(), gamma + shape.curvature);
        let (mut sum, hi) = (0.0, shape.hi.unwrap_or(f64::INFINITY));
        let classes: Vec<usize> = self.charged(shape).collect();
        let (mut centre, mut gains) = (vec![0.0; classes.len()], vec![0.0; classes.len()]);
        for i in 0..n {
            for (position, &j) in classes.iter().enumerate() {
                centre[position] = self.centre[j * n + i];
                gains[position] = shape.margin(self.label, j) - self.signed(shape, i, j);
            }
            let at = |tau: f64, at: usize| ((gamma * centre[at] + gains[at] - tau) / stiff).clamp(0.0, hi);
            let (tau, is_full) = shape.multiplier(classes.len(), stiff, hi, &at);
            let (mut total, mut value) = (0.0, 0.0);
            for (position, &j) in classes.iter().enumerate() {
                let a = at(tau, position);
                let off = a - centre[position];
                total += a;
                value += a * gains[position] - shape.curvature / 2.0 * a * a - gamma / 2.0 * off * off;
                self.own.a[j * n + i] = a;
                self.rate[j * n + i] = if a > 0.0 && a < hi { 1.0 / stiff } else { 0.0 };
            }
            self.coupling[i] = if is_full { FULL } else { shape.curvature_of_sum };
            sum += self.costs[i] * (value - shape.curvature_of_sum / 2.0 * total * total);
        }
        sum
    }
}

/// The coupling of a row whose sum is at its cap: as good as without bound.
const FULL: f64 = 1e30;

impl FeasibleSet<'_> {
    /// τ = ρ₀·Σa + η of the variables `at(τ, _)`, where η holds the sum at its cap, and whether it does.
    fn multiplier(&self, count: usize, stiff: f64, hi: f64, at: &dyn Fn(f64, usize) -> f64) -> (f64, bool) {
        let total = |tau: f64| (0..count).map(|j| at(tau, j)).sum::<f64>();
        let inside = |tau: f64| (0..count).filter(|&j| (f64::MIN_POSITIVE..hi).contains(&at(tau, j))).count() as f64;
        // The sum falls as τ rises, piecewise linear: Newton's method within a bracket.
        let root = |excess: &dyn Fn(f64) -> f64, more: f64| {
            let (mut low, mut tau, mut width) = (0.0, 0.0, 1.0);
            let mut high = f64::INFINITY;
            for _ in 0..100 {
                let over = excess(tau);
                if over == 0.0 {
                    break;
                }
                if over > 0.0 {
                    low = tau
                } else {
                    high = tau
                }
                let step = tau + over / (inside(tau) / stiff + more);
                let next = match () {
                    () if step > low && step < high => step,
                    () if high.is_finite() => f64::midpoint(low, high),
                    () => low + width,
                };
                width *= 2.0;
                if next == tau || next <= low || next >= high {
                    break;
                }
                tau = next;
            }
            tau
        };
        let rho = self.curvature_of_sum;
        let own = if rho > 0.0 { root(&|tau| total(tau) - tau / rho, 1.0 / rho) } else { 0.0 };
        match self.cap {
            Some(cap) if total(own) > cap => (root(&|tau| total(tau) - cap, 0.0), true),
            _ => (own, false),
        }
    }
}
