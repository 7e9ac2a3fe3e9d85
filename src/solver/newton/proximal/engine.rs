//! Weights, rows and dual variables where they are multiplied, and the conjugate gradients that they are multiplied for.

use crate::loss::Response;
use crate::solver::SolveError;

/// The rows of a problem with their scores S, their centre b and their variables a, on the processor or on a device.
///
/// A vector is `[n_features (and a constant), n_classes]`: weights, a gradient, a direction.
pub(super) trait ProximalEngine {
    type Vector: Clone;

    /// The relative rounding of a number.
    fn rounding(&self) -> f64;
    /// Weights 0.
    fn zeros(&self) -> Self::Vector;
    fn dot(&self, a: &Self::Vector, b: &Self::Vector) -> Result<f64, SolveError>;
    /// `a·factor + b`
    fn combine(&self, a: &Self::Vector, factor: f64, b: &Self::Vector) -> Self::Vector;
    fn host(&self, vector: &Self::Vector) -> Result<Vec<f64>, SolveError>;

    /// S = XW
    fn score(&mut self, weights: &Self::Vector) -> Result<(), SolveError>;
    /// a and its Jacobian at S; the sums over the rows, and `W(a) = Σ x_i β_i(a_i)ᵀ`.
    fn respond(&mut self, gamma: f64) -> Result<(Response, Self::Vector), SolveError>;
    /// The diagonal of `I + AᵀJA`, for [`ProximalEngine::precondition`].
    fn prepare(&mut self) -> Result<(), SolveError>;
    fn precondition(&self, vector: &Self::Vector) -> Self::Vector;
    /// `(I + AᵀJA)·v`, over the rows whose variables change.
    fn curve(&mut self, vector: &Self::Vector) -> Result<Self::Vector, SolveError>;
    /// The scores of a direction, for [`ProximalEngine::slope`] and [`ProximalEngine::step`].
    fn aim(&mut self, direction: &Self::Vector) -> Result<(), SolveError>;
    /// The slope of the loss of the rows so far along the direction.
    fn slope(&mut self, length: f64) -> Result<f64, SolveError>;
    /// Moves S by a step length.
    fn step(&mut self, length: f64);
    /// Σ c·ℓ at other weights.
    fn loss(&mut self, weights: &Self::Vector) -> Result<f64, SolveError>;

    /// Keeps a.
    fn keep(&mut self);
    /// The variables that were kept, of all training rows, `[n_train, n_classes]`.
    fn kept(&self) -> Result<Vec<f64>, SolveError>;
    /// b = a
    fn recentre(&mut self);
    /// Moves the contribution of the constant to the scores into an offset, so that its weights are 0, and sets another constant.
    fn absorb(&mut self, weights: &mut Self::Vector, constant: f64) -> Result<(), SolveError>;
    /// The sum that weights and the offset add to every score, `[n_classes]`.
    fn bias(&self, weights: &Self::Vector) -> Result<Vec<f64>, SolveError>;

    /// Passes over the rows so far, a product and its transpose over all of them being one.
    fn passes(&self) -> f64;
    /// The share of rows whose variables change.
    fn active(&self) -> f64;
}

/// A direction of descent with its slope.
pub(super) struct Direction<V> {
    pub vector: V,
    pub slope: f64,
    pub products: u64,
}

/// `(I + AᵀJA) p = −g` by preconditioned conjugate gradients, until the residual is `tolerance` of the first or `most` products were made.
pub(super) fn direction<E: ProximalEngine>(
    engine: &mut E,
    gradient: &E::Vector,
    tolerance: f64,
    most: u64,
    is_over: &dyn Fn() -> bool,
) -> Result<Direction<E::Vector>, SolveError> {
    let zero = engine.zeros();
    let (mut vector, mut residual) = (zero.clone(), engine.combine(gradient, -1.0, &zero));
    let mut step = engine.precondition(&residual);
    let first = engine.dot(&residual, &step)?;
    let (mut now, mut products) = (first, 0);
    while now > tolerance * tolerance * first && products < most && !is_over() {
        let curved = engine.curve(&step)?;
        let along = engine.dot(&step, &curved)?;
        products += 1;
        let length = now / along;
        if !(along > 0.0 && length.is_finite()) {
            break;
        }
        vector = engine.combine(&step, length, &vector);
        residual = engine.combine(&curved, -length, &residual);
        let next = engine.precondition(&residual);
        let after = engine.dot(&residual, &next)?;
        step = engine.combine(&step, after / now, &next);
        now = after;
    }
    let slope = engine.dot(gradient, &vector)?;
    Ok(Direction { vector, slope, products })
}
