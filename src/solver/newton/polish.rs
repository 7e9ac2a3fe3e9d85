//! The end of the method: proximal Newton steps, with which weights and dual variables come to agree to the last digits.
//!
//! ```text
//! a_i(W) = argmax over the set of a·G_i(W) − penalty(a) − (γ/2)‖a − b_i‖²       b: the dual variables before
//! W      = argmin ½‖W‖² + Σ c_i·(the maximum)                                    by Newton's method; then b ← a(W)
//! ```
//!
//! Products that go to 0 leave a system in which rounding errors of the multiplier of a row outweigh the rest; here γ keeps them in bounds. At
//! the optimum a step changes nothing. Reference: R. T. Rockafellar, *Augmented Lagrangians and applications of the proximal point algorithm*, Math. Oper.
//! Res. 1, 1976.

use super::iterate::Iterate;
use super::point::InteriorPoint;
use rayon::prelude::*;

/// γ in units of the margin: it falls where steps do not get shorter, and rises where rounding spoils their systems.
const START: f64 = 1e-2;
const LEAST: f64 = 1e-8;
const MOST: f64 = 1e8;
/// Newton steps of one outer step, halvings of one of them.
const NEWTON: u64 = 30;
const HALVINGS: i32 = 30;
/// Relative length below which a Newton step counts as none, and an outer step; outer steps without a shorter one that end the method, and all outer steps.
const STILL_INSIDE: f64 = 1e-13;
const STILL: f64 = 1e-12;
const PATIENCE: u32 = 6;
const OUTER: u64 = 40;
/// Changes of the value, relative to it, that count as rounding.
const ROUNDING: f64 = 1e-10;

impl Iterate<'_> {
    /// Continues until the weights no longer change; returns the number of Newton steps. `halt` is asked before each of them, `enough` after each outer step.
    pub fn polish(&mut self, mut halt: impl FnMut() -> bool, mut enough: impl FnMut(&mut Self) -> bool) -> u64 {
        let (mut gamma, mut least, mut waited, mut steps) = (START, f64::INFINITY, 0, 0);
        for _ in 0..OUTER {
            self.points.par_iter_mut().for_each(InteriorPoint::take_as_centre);
            let before = self.u.clone();
            let (made, found) = self.minimise(gamma, &mut halt);
            steps += made;
            if !found {
                if gamma >= MOST {
                    break;
                }
                gamma *= 100.0;
                continue;
            }
            let change = distance(&self.u, &before) / size(&self.u).max(f64::MIN_POSITIVE);
            waited += 1;
            if change < 0.5 * least {
                (least, waited) = (change, 0);
            } else {
                gamma = (0.1 * gamma).max(LEAST);
            }
            if halt() || enough(self) || least <= STILL || waited >= PATIENCE {
                break;
            }
        }
        steps
    }

    /// Minimises over the weights with the dual variables of the maximum: the number of Newton steps, and whether the minimum is found.
    fn minimise(&mut self, gamma: f64, halt: &mut dyn FnMut() -> bool) -> (u64, bool) {
        let mut value = self.augmented(gamma);
        for made in 0..NEWTON {
            if halt() {
                return (made, true);
            }
            let a: Vec<Vec<f64>> = self.points.par_iter().map(InteriorPoint::in_units).collect();
            let mut du = self.sums(&a);
            du.iter_mut().zip(self.rows.space.regularised(&self.u)).for_each(|(du, r)| *du -= r);
            let slope = du.clone();
            let Some(system) = self.system() else { return (made, false) };
            system.solve(&mut du);
            let decrease: f64 = slope.iter().zip(&du).map(|(s, d)| s * d).sum();
            if size(&du) <= STILL_INSIDE * size(&self.u) || decrease == 0.0 {
                return (made, true);
            }
            let before = self.u.clone();
            let at = |iterate: &mut Self, length: f64| {
                iterate.u.iter_mut().zip(&before).zip(&du).for_each(|((u, b), d)| *u = b + length * d);
                iterate.augmented(gamma)
            };
            if decrease.abs() <= ROUNDING * value.abs() {
                // The value does not tell whether a part of the step is better.
                let is_worse = at(self, 1.0) > value + ROUNDING * value.abs();
                if is_worse {
                    at(self, 0.0);
                }
                return (made + 1, !is_worse);
            }
            let lengths = (0..HALVINGS).map(|halving| 0.5f64.powi(halving));
            let mut values = lengths.map(|length| (length, at(self, length)));
            let Some((_, now)) = values.find(|(length, now)| *now <= value - 1e-4 * length * decrease) else {
                at(self, 0.0);
                return (made + 1, false);
            };
            value = now;
        }
        (NEWTON, true)
    }

    /// The objective of the inner problem at the weights, with a(W) in the points.
    fn augmented(&mut self, gamma: f64) -> f64 {
        let (rows, shape, u) = (&self.rows, &self.shape, &self.u);
        let of = |(point, part): (&mut InteriorPoint, &super::rows::LabelRows)| {
            part.scores(u, &mut point.scores);
            point.maximise(shape, gamma)
        };
        let values: Vec<f64> = self.points.par_iter_mut().zip(&rows.parts).map(of).collect();
        rows.space.half_square(u) + values.iter().sum::<f64>()
    }
}

fn size(v: &[f64]) -> f64 {
    v.iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}
