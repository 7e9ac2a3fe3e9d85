//! The mean of W over the sweeps: a better primal point than W(a) where that swings to and fro.
//!
//! The hinge is linear where the dual is quadratic: near the optimum a row that is off by δ costs δ in the primal and δ² in the
//! dual. Sweeps take W(a) around the optimum, and their mean cancels much of it. A point V that is not W(a) has a certificate, too:
//!
//! ```text
//! P(V) − D(a) = Σ_i [c_i·ℓ_i(V) − a_i·G_i(V) + penalty(a_i)] + ½‖V − W(a)‖²
//! ```
//!
//! with every summand at least 0 again. Sweep t counts with the weight t³ (O. Shamir and T. Zhang, *Stochastic Gradient Descent for
//! Non-smooth Optimization*, ICML 2013). Whether the mean or W(a) is measured is decided now and then.

use super::state::Bounds;
use super::{Ascent, BestWeights, SolveError, sweep};
use crate::data::Features;
use crate::model::BiasRule;
use crate::solver::Problem;

/// η of the weights (η + 1)/(t + η) with which the t-th W comes into the mean.
const ETA: f64 = 3.0;
/// Cells of the rows visited before the next W enters the mean, as a multiple of the number of features.
const CELLS: usize = 20;

/// The mean so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Mean {
    /// As the rows hold it, and the weights of the constant feature.
    pub held: Vec<f64>,
    pub constant: Vec<f64>,
    /// Number of W in the mean, and of rows visited when the last was added.
    pub count: u64,
    pub visited: u64,
    /// Number of measurements of the gap, and whether the mean was the better point when both were measured.
    pub measured: u64,
    pub leads: bool,
}

impl Mean {
    /// Adds the next W.
    #[allow(clippy::cast_precision_loss)]
    fn take(&mut self, held: Vec<f64>, constant: &[f64]) {
        self.count += 1;
        if self.count == 1 {
            (self.held, self.constant) = (held, constant.to_vec());
            return;
        }
        let rate = (ETA + 1.0) / (self.count as f64 + ETA);
        let constants = self.constant.iter_mut().zip(constant);
        for (mean, &w) in self.held.iter_mut().zip(&held).chain(constants) {
            *mean += rate * (w - *mean);
        }
    }

    /// Empty again, on the way to another λ.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// After how many visits a W comes into the mean, where there is one: a mean takes away what the sweeps add by chance, which is
/// much where there are more rows than features; and a free bias is no linear function of the dual variables.
pub(super) fn interval(problem: &Problem<'_>) -> Option<u64> {
    let features = problem.source.features;
    let (n, d) = (problem.train.len(), features.n_features());
    let cells = match features {
        Features::Sparse(csr) => csr.nnz() / csr.n_rows().max(1),
        _ => d,
    };
    let suits = d < n && problem.objective.bias != BiasRule::Free && problem.device.name.backend.is_cpu();
    suits.then_some((CELLS * d / cells.max(1)) as u64)
}

impl Ascent<'_, '_> {
    /// After a sweep.
    pub(super) fn average(&mut self) -> Result<(), SolveError> {
        if self.mean_after.is_some_and(|visits| self.visited >= self.mean.visited + visits) {
            self.mean.visited = self.visited;
            let held = self.rows.held()?;
            self.mean.take(held, &self.state.constant);
        }
        Ok(())
    }

    /// Measures the mean where it leads, W(a) where not, and keeps the best primal point. With an estimate of the primal at W(a) the
    /// mean has its chance at the second measurement, the eighth, the 32nd ..: it leads when it is below the estimate, or else
    /// below W(a), which is then measured, too.
    pub(super) fn measure_points(&mut self, estimate: Option<Bounds>) -> Result<Bounds, SolveError> {
        self.mean.measured += u64::from(estimate.is_some());
        let turn = self.mean.measured.is_power_of_two() && !self.mean.measured.trailing_zeros().is_multiple_of(2);
        let chance = estimate.filter(|_| turn);
        if self.mean.count < 2 || !(self.mean.leads || chance.is_some()) {
            return self.measure_dual();
        }
        let mean = self.measure_mean()?;
        let Some(estimate) = chance else { return Ok(mean) };
        self.mean.leads = mean.primal < estimate.primal;
        if self.mean.leads {
            return Ok(mean);
        }
        let dual = self.measure_dual()?;
        self.mean.leads = mean.primal < dual.primal;
        Ok(if self.mean.leads { mean } else { dual })
    }

    fn measure_dual(&mut self) -> Result<Bounds, SolveError> {
        let mut now = sweep::measure(&mut *self.rows, &mut self.state, &mut self.scratch, true)?;
        now.primal += self.half_square()?;
        self.offer(now.primal)?;
        Ok(now)
    }

    fn measure_mean(&mut self) -> Result<Bounds, SolveError> {
        let (held, weights) = (self.rows.held()?, self.rows.weights()?);
        let constant = std::mem::replace(&mut self.state.constant, self.mean.constant.clone());
        sweep::hold(&mut *self.rows, &self.mean.held)?;
        let mut now = sweep::measure(&mut *self.rows, &mut self.state, &mut self.scratch, false)?;
        now.primal += self.half_square()?;
        let mean = self.rows.weights()?;
        let pairs = mean.iter().zip(&weights).chain(self.mean.constant.iter().zip(&constant));
        now.gap += pairs.map(|(v, w)| (v - w) * (v - w)).sum::<f64>() / 2.0;
        self.offer(now.primal)?;
        self.state.constant = constant;
        self.rows.hold(&held)?;
        Ok(now)
    }

    /// Keeps the weights at hand if no primal was smaller.
    fn offer(&mut self, primal: f64) -> Result<(), SolveError> {
        if self.best.as_ref().is_none_or(|best| primal < best.primal) {
            let (weight, bias) = (self.rows.weights()?, self.state.bias());
            self.best = Some(BestWeights { primal, weight, bias });
        }
        Ok(())
    }
}
