//! A lower bound of the objective that holds to the last digit.
//!
//! ```text
//! D(a) = λ·[ Σ_ij Δ_ij·a_ij − Σ_i pen_i(a_i) − ½‖W(a)‖² ]  ≤  P(W, b) for every W and b,    W(a) = Σ_i x_i β_iᵀ
//! ```
//!
//! at dual variables that are feasible, of which a and θa are both, 0 ≤ θ ≤ 1 (any θ ≥ 0 at power 2): the best of them is
//! `θ = Σ Δ·a / (‖W(a)‖² + 2·Σ pen)`. It is computed in f64 on the rows as they are and with the mean and the scale that stand in the model, less
//! all that rounding can have added. With m roundings a cell, `A_j = Σ_i |x_ij|·max_k|β_ik|` and `E_j = γ_m·A_j` an entry W_jk is off by
//! at most E_j, hence ½‖W‖² by `Σ_j E_j·‖w_j‖₁ + ½·K·Σ_j E_j²`. Derived in `docs/math.md`, "Bounds that hold".

mod product;

use super::Objective;
use crate::data::batch::Source;
use crate::kernel::rounding::{Sum, gamma, rounded_down};
use crate::model::BiasRule;
use product::Product;
use serde::{Deserialize, Serialize};

/// Dual variables over the training rows.
#[derive(Clone, Copy)]
pub(crate) struct DualPoint<'a> {
    pub source: Source<'a>,
    pub objective: &'a Objective,
    pub n_classes: usize,
    /// Indices of the training rows, or of some of them; a row of `a` each.
    pub rows: &'a [u32],
    /// The number of all training rows.
    pub n_train: usize,
    /// `[rows, stride]`, in the scale of the solver: the objective divided by λ.
    pub a: &'a [f64],
    pub stride: usize,
}

/// The bound of dual variables, and their weights.
#[derive(Debug, Clone)]
pub(crate) struct DualBound {
    /// A lower bound of the objective at any weights.
    pub dual: f64,
    /// The factor of the dual variables that gave it.
    pub theta: f64,
    /// W(θa) `[n_features, n_classes]`, for preprocessed features.
    pub weight: Vec<f64>,
    /// Of a regularised bias, that of W(θa), `[n_classes]`; zeros otherwise.
    pub bias: Vec<f64>,
}

/// Sums over the dual variables of some rows: those of all rows are their sum.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DualSums {
    linear: Sum,
    penalty: Sum,
    /// Σ_i β_ik and Σ_i |β_ik| of every class.
    balance: Vec<Sum>,
    size: Vec<Sum>,
    /// W(a)
    product: Product,
}

impl DualSums {
    /// Adds the sums over other rows.
    pub fn merge(&mut self, other: &Self) {
        self.linear.merge(other.linear);
        self.penalty.merge(other.penalty);
        self.balance.iter_mut().zip(&other.balance).for_each(|(sum, &more)| sum.merge(more));
        self.size.iter_mut().zip(&other.size).for_each(|(sum, &more)| sum.merge(more));
        self.product.add(&other.product);
    }

    /// Whether they are of so many features and classes.
    #[must_use]
    pub fn fits(&self, n_features: usize, n_classes: usize) -> bool {
        let sums = self.balance.len() == n_classes && self.size.len() == n_classes;
        sums && self.product.fits(n_features, n_classes)
    }

    /// The bound of the objective of the rows that are in the sums, and W(a).
    #[must_use]
    pub fn bound(self, objective: &Objective) -> DualBound {
        let bias_scale = match objective.bias {
            BiasRule::Regularised { scale } => scale,
            BiasRule::None | BiasRule::Free => 0.0,
        };
        let Self { product, .. } = &self;
        let k = self.balance.len();
        let constant: Vec<f64> = self.balance.iter().map(|b| bias_scale * b.value()).collect();
        // A violation of the constraints of a free bias is shrunk away, on paper: every a by less than `short` in all.
        let short = if objective.bias == BiasRule::Free { shortage(&self) } else { 0.0 };
        let (square, error) = product.square(k, short);
        let (of_bias, error_of_bias) = square_of_bias(&constant, &self.size, bias_scale);
        let (half, error) = ((square + of_bias) / 2.0, error + error_of_bias);
        let margin = objective.loss.margins.largest();
        let (linear, penalty) = (self.linear.value(), self.penalty.value());
        // Costs, limits and sums of a row, each rounded a few times; a shrunk by as much is feasible in exact numbers.
        let feasible = gamma(2 * k + 24) * (linear + penalty) + margin * short;
        let theta = best_factor(objective, linear, penalty + half);
        let rounded = theta * (gamma(24) * linear + feasible) + theta * theta * (gamma(24) * (penalty + half) + error);
        let value = theta * linear - theta * theta * (penalty + half);
        let lambda = objective.lambda;
        let dual = rounded_down(lambda * value, lambda * (1.0 + 1e-6) * rounded);
        let scaled = |mut values: Vec<f64>, factor: f64| {
            values.iter_mut().for_each(|w| *w *= factor);
            values
        };
        let weight = scaled(self.product.weight, theta);
        DualBound { dual, theta, weight, bias: scaled(constant, theta * bias_scale) }
    }
}

/// θ
fn best_factor(objective: &Objective, linear: f64, quadratic: f64) -> f64 {
    let best = if quadratic > 0.0 { linear / (2.0 * quadratic) } else { 1.0 };
    let best = if objective.loss.set.is_bounded() { best.min(1.0) } else { best };
    // At an optimum it is 1, but for rounding.
    if best.is_finite() && (best - 1.0).abs() > 1e-12 { best } else { 1.0 }
}

impl DualPoint<'_> {
    /// The bound, and W(a), where the rows are all training rows.
    #[must_use]
    pub fn prove(&self) -> DualBound {
        // The objective of weights is the same: a free bias takes up what is subtracted, whatever it is, and W(a) keeps the digits in which rows differ.
        let scaler = (self.objective.bias == BiasRule::Free).then(|| self.source.centring(self.rows)).flatten();
        let source = scaler.as_ref().map_or(self.source, |scaler| Source { scaler, ..self.source });
        DualPoint { source, ..*self }.sums().bound(self.objective)
    }

    fn label(&self, i: usize) -> usize {
        self.source.labels[self.rows[i] as usize] as usize
    }

    /// c_i = weight_i/(λn) of a position in the training rows.
    fn cost(&self, i: usize) -> f64 {
        let weight = self.source.weight(self.rows[i]) * self.objective.loss.class_weight(self.label(i));
        weight / (self.objective.lambda * cast(self.n_train))
    }

    /// Writes the feasible dual variables of a position to `a`, and their β to `beta`.
    fn read(&self, i: usize, a: &mut [f64], beta: &mut [f64]) {
        let (k, label) = (self.n_classes, self.label(i));
        a.copy_from_slice(&self.a[i * self.stride..i * self.stride + k]);
        self.objective.loss.dual_clip(label, self.cost(i), a);
        self.objective.loss.dual_coefficients(label, a, beta);
    }

    /// The positions whose variables are not all zero.
    #[allow(clippy::cast_possible_truncation)]
    fn support(&self) -> Vec<u32> {
        let (k, rows) = (self.n_classes, self.a.chunks_exact(self.stride).enumerate());
        let used = rows.filter(|(_, a)| a[..k].iter().any(|&a| a > 0.0));
        used.map(|(i, _)| i as u32).collect()
    }

    /// The sums over the rows.
    #[must_use]
    pub fn sums(&self) -> DualSums {
        let (support, k) = (self.support(), self.n_classes);
        let (mut a, mut beta) = (vec![0.0; k], vec![0.0; k]);
        let none = || vec![Sum::default(); k];
        let product = self.product(&support);
        let mut sums =
            DualSums { linear: Sum::default(), penalty: Sum::default(), balance: none(), size: none(), product };
        let bias = self.objective.bias != BiasRule::None;
        for i in support {
            let i = i as usize;
            self.read(i, &mut a, &mut beta);
            sums.linear.add(self.objective.loss.margins.linear(self.label(i), &a));
            let cost = self.cost(i);
            if cost > 0.0 {
                sums.penalty.add(self.objective.loss.dual_penalty(cost, &a));
            }
            if bias {
                sums.balance.iter_mut().zip(&beta).for_each(|(sum, &b)| sum.add(b));
                sums.size.iter_mut().zip(&beta).for_each(|(sum, b)| sum.add(b.abs()));
            }
        }
        sums
    }
}

#[allow(clippy::cast_precision_loss)]
fn cast(n: usize) -> f64 {
    n as f64
}

/// ‖w‖² of the constant feature of a regularised bias, and how far off half of that is.
fn square_of_bias(constant: &[f64], size: &[Sum], scale: f64) -> (f64, f64) {
    let off = |size: &Sum| scale * gamma(constant.len() + 12) * size.value();
    let error = constant.iter().zip(size).map(|(w, size)| off(size) * (w.abs() + off(size)));
    (constant.iter().map(|w| w * w).collect::<Sum>().value(), error.sum())
}

/// Upper bound of the reduction of dual variables, summed, after which Σ_i β_ik = 0 holds exactly for every class. The surplus of
/// one class is the deficit of others; it is taken off along paths of at most K − 1 steps, or off the larger side of a binary problem.
fn shortage(sums: &DualSums) -> f64 {
    let k = sums.balance.len();
    let rounded = 2.0 * Sum::ERROR + gamma(k + 4);
    let off = |(balance, size): (&Sum, &Sum)| balance.value().abs() + rounded * size.value();
    cast(k) * sums.balance.iter().zip(&sums.size).map(off).sum::<f64>()
}
