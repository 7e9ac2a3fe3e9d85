//! A lower bound of the objective from any weights, those of another solver among them.
//!
//! With a_i ∈ c_i·∂ℓ(s_i) at the scores s_i of the model, and all of a scaled by
//! `θ = ΔΣa / (‖W(a)‖² + 2·penalty(a))` (at most 1 where the dual variables have upper bounds), which is the best factor,
//! `D(θa) = θ·ΔΣa − θ²·(½‖W(a)‖² + penalty(a)) ≥ 0` bounds the objective from below whatever the model is. Loose as it may be: a
//! few epochs of the solver from there tighten it.

use super::{Ascent, DualConfig, SolveError, free, sweep};
use crate::loss::{Formulation, Loss, Power};
use crate::solver::{Certificate, Fit, Observer, Problem};

/// What can be said of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    /// The model's objective, and the bound that its own scores give.
    pub own: Certificate,
    /// The factor that made that bound.
    pub theta: f64,
    /// What the solver reached from there.
    pub fit: Fit,
    /// The model's objective, and the better of all bounds.
    pub tightened: Certificate,
}

/// Bounds the objective of a model from below by its scores `[n_train, n_classes]` on the training rows, then by the solver, which
/// starts from there and ends as `config` says. `primal` is the model's objective, `bias` its bias where that is not regularised.
///
/// # Errors
/// [`SolveError`] as of the solver.
pub fn certify(
    config: &DualConfig,
    problem: &Problem<'_>,
    primal: f64,
    scores: &[f64],
    bias: Option<&[f64]>,
    observer: &mut dyn Observer,
) -> Result<Proof, SolveError> {
    let (theta, bound, fit) = std::thread::scope(|scope| {
        let mut ascent = Ascent::new(config, problem, scope)?;
        let (theta, bound) = ascent.start_at(scores, bias)?;
        Ok::<_, SolveError>((theta, bound, ascent.run(observer)?))
    })?;
    let certificate = |dual: f64| Certificate {
        primal,
        dual,
        relative_gap: if primal > 0.0 { (primal - dual) / primal } else { 0.0 },
    };
    let own = certificate(problem.objective.lambda * bound);
    let better = fit.certificate.map_or(own.dual, |c| c.dual.max(own.dual));
    Ok(Proof { own, theta, fit, tightened: certificate(better) })
}

impl Ascent<'_, '_> {
    /// Puts the dual variables to θ times the subgradients at the given scores; returns θ and the dual there, in the scale of the
    /// solver.
    fn start_at(&mut self, scores: &[f64], bias: Option<&[f64]>) -> Result<(f64, f64), SolveError> {
        let state = &mut self.state;
        let k = state.n_classes;
        let mut place = vec![0; self.problem.source.features.n_rows()];
        self.problem.train.iter().enumerate().for_each(|(i, &row)| place[row as usize] = i);
        // Costs have the weights in them already.
        let plain = Loss { class_weights: None, ..state.loss.clone() };
        for ((sample, &row), a) in state.samples.iter().zip(&state.rows).zip(state.a.chunks_exact_mut(state.stride)) {
            let (i, a) = (place[row as usize], &mut a[..k]);
            plain.gradient_of_row(&scores[i * k..(i + 1) * k], sample.label, a);
            a.iter_mut().for_each(|q| *q = sample.cost * q.abs());
            if plain.formulation != Formulation::OneVsRest {
                a[sample.label] = 0.0;
            }
        }
        if self.is_free() {
            if let Some(bias) = bias {
                self.state.offset.copy_from_slice(bias);
            }
            free::balance(&mut self.state);
        }
        sweep::rebuild(&mut *self.rows, &mut self.state)?;
        let linear = self.state.loss.margin * self.state.a.iter().sum::<f64>();
        let penalty: f64 = self
            .state
            .samples
            .iter()
            .zip(self.state.a.chunks_exact(self.state.stride))
            .map(|(s, a)| if s.cost > 0.0 { self.state.loss.dual_penalty(s.cost, a) } else { 0.0 })
            .sum();
        let curvature = 2.0 * (self.half_square()? + penalty);
        let best = if curvature > 0.0 { linear / curvature } else { 1.0 };
        let theta = if self.state.loss.power == Power::Two { best } else { best.min(1.0) };
        self.state.a.iter_mut().for_each(|a| *a *= theta);
        sweep::rebuild(&mut *self.rows, &mut self.state)?;
        Ok((theta, theta * linear - theta * theta * curvature / 2.0))
    }
}
