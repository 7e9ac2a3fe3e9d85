//! A lower bound of the objective from any weights, those of another solver among them.
//!
//! With a_i ∈ c_i·∂ℓ(s_i) at the scores s_i of the model, and all of a scaled by the best factor θ, D(θa) ≥ 0 bounds the objective from
//! below whatever the model is (`docs/math.md`, "Bounds that hold"). Loose as it may be: a few epochs of the solver from there tighten it.

use super::{Ascent, DualConfig, Finish, SolveError, free, sweep};
use crate::bounded::Fraction;
use crate::evaluation::Evaluation;
use crate::loss::Loss;
use crate::model::{BiasRule, Scorer};
use crate::objective::DualPoint;
use crate::solver::columns::UsedColumns;
use crate::solver::newton::Price;
use crate::solver::{Certificate, Fit, LogEntry, Observer, Problem, StopReason};
use std::num::NonZeroUsize;

/// Bounds of a model's objective.
#[derive(Debug, Clone, PartialEq)]
pub struct Proof {
    /// The model's objective, and the bound that its own scores give.
    pub own: Certificate,
    /// The factor that made that bound.
    pub theta: f64,
    /// The result of the solver, started from there.
    pub fit: Fit,
    /// The model's objective, and the better of all bounds.
    pub tightened: Certificate,
}

/// Bounds the objective of weights `[n_features, n_classes]` and a bias for preprocessed features from below by their scores on the
/// training rows, then by the solver, which starts from there and ends as `config` says.
///
/// # Errors
/// [`SolveError`] as of the solver.
pub fn certify(
    config: &DualConfig,
    problem: &Problem<'_>,
    weight: &[f64],
    bias: Option<&[f64]>,
    observer: &mut dyn Observer,
) -> Result<Proof, SolveError> {
    let measured = problem.objective.measure(problem.source, problem.train, problem.n_classes, weight, bias);
    let certificate = |dual: f64| Certificate::proved(measured.value, measured.at_most, dual);
    // Before the solver works for nothing.
    certificate(0.0)?;
    let (theta, bound, fit) = match UsedColumns::of(problem) {
        Some(columns) => {
            let k = problem.n_classes;
            let own = columns.narrow(weight, k);
            let (theta, bound, fit) = ascend_from(config, &columns.problem(problem), &own, bias, observer)?;
            (theta, bound, columns.widen(fit, k))
        }
        None => ascend_from(config, problem, weight, bias, observer)?,
    };
    let own = certificate(bound)?;
    let better = fit.certificate.map_or(own.dual, |c| c.dual.max(own.dual));
    Ok(Proof { own, theta, fit, tightened: certificate(better)? })
}

/// θ, the bound there, and the result of the solver from there.
fn ascend_from(
    config: &DualConfig,
    problem: &Problem<'_>,
    weight: &[f64],
    bias: Option<&[f64]>,
    observer: &mut dyn Observer,
) -> Result<(f64, f64, Fit), SolveError> {
    std::thread::scope(|scope| {
        let mut ascent = Ascent::new(config, problem, scope)?;
        let (theta, bound) = ascent.start_at(weight, bias)?;
        Ok((theta, bound, ascent.run(observer)?))
    })
}

/// The certificate of weights by their own scores, with the evaluation of the training rows; `None` where there is no regulariser, or a
/// bias that is not regularised.
///
/// # Errors
/// [`SolveError::NotFinite`] where the objective is no number.
pub(crate) fn of_weights(
    problem: &Problem<'_>,
    weight: &[f64],
    bias: Option<&[f64]>,
) -> Result<Option<(Certificate, Evaluation)>, SolveError> {
    let objective = problem.objective;
    let finite = weight.iter().chain(bias.into_iter().flatten()).all(|w| w.is_finite());
    if objective.lambda <= 0.0 || objective.bias == BiasRule::Free || !finite {
        return Ok(None);
    }
    let measured = objective.measure(problem.source, problem.train, problem.n_classes, weight, bias);
    let (k, n) = (problem.n_classes, problem.train.len());
    let mut a = vec![0.0; n * k];
    slopes(problem, n, weight, bias, &mut a, k);
    let (source, rows) = (problem.source, problem.train);
    let point = DualPoint { source, objective, n_classes: k, rows, n_train: n, a: &a, stride: k };
    let certificate = Certificate::proved(measured.value, measured.at_most, point.prove().dual)?;
    Ok(Some((certificate, measured.evaluation)))
}

/// The certificate of any finite weights: [`of_weights`], else the bound 0 of every objective; with the accuracy on the training rows.
///
/// # Errors
/// As [`of_weights`].
pub(crate) fn of_any(
    problem: &Problem<'_>,
    weight: &[f64],
    bias: Option<&[f64]>,
) -> Result<(Certificate, f64), SolveError> {
    if let Some((certificate, evaluation)) = of_weights(problem, weight, bias)? {
        return Ok((certificate, evaluation.confusion.accuracy()));
    }
    let measured = problem.objective.measure(problem.source, problem.train, problem.n_classes, weight, bias);
    let certificate = Certificate::proved(measured.value, measured.at_most, 0.0)?;
    Ok((certificate, measured.evaluation.confusion.accuracy()))
}

/// Passes of another solver compared with which a certificate is cheap, and the share of them that the ascent for it may take.
const LONG: f64 = 20.0;
const SHARE: f64 = 1.0;
/// A gap with which the ascent for a certificate is content, and dual variables that it may have.
const CONTENT: f64 = 0.05;
const MOST_VARIABLES: usize = 50_000_000;

/// Observer that ignores all messages.
struct Silent;

impl Observer for Silent {
    fn log(&mut self, _: &LogEntry) {}
}

/// The certificate of what another solver has trained, if it is cheap compared with the training: of the optimum of a small problem, else
/// by the scores of the weights and a few epochs of ascent from there. `None` where it would cost much, or nothing can be proved.
///
/// # Errors
/// [`SolveError`] as of the solver.
pub(crate) fn of_run(problem: &Problem<'_>, fit: &Fit) -> Result<Option<Certificate>, SolveError> {
    let (weight, bias) = (&fit.weight, fit.bias.as_deref());
    let finite = weight.iter().chain(bias.into_iter().flatten()).all(|w| w.is_finite());
    let is_small = Price::of(problem).is_some_and(|price| price.is_small);
    let on_host = problem.device.name.backend.is_cpu();
    let fits = on_host && problem.train.len().saturating_mul(problem.n_classes) <= MOST_VARIABLES;
    let is_complete =
        matches!(fit.stop, StopReason::Finished | StopReason::EarlyStopping | StopReason::GradientReached);
    if !is_complete || problem.objective.lambda <= 0.0 || !finite || !(is_small || fit.epochs >= LONG && fits) {
        return Ok(None);
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let epochs = (SHARE * fit.epochs).clamp(5.0, 25.0) as usize;
    let own = if is_small { None } else { of_weights(problem, weight, bias)? };
    if let Some((own, _)) = own.filter(|(own, _)| own.relative_gap <= CONTENT) {
        return Ok(Some(own));
    }
    let config = DualConfig {
        gap: Fraction::new(CONTENT).unwrap_or_else(|_| unreachable!("0.05 is a fraction")),
        epochs: NonZeroUsize::new(epochs),
        finish: if is_small { Finish::Auto } else { Finish::Never },
        ..DualConfig::default()
    };
    Ok(Some(certify(&config, problem, weight, bias, &mut Silent)?.tightened))
}

/// Writes c_i·|∂ℓ_i| at the scores of weights to `a` `[rows, stride]`: dual variables that are feasible, of the rows of a problem that has
/// `n_train` in all.
pub(in crate::solver) fn slopes(
    problem: &Problem<'_>,
    n_train: usize,
    weight: &[f64],
    bias: Option<&[f64]>,
    a: &mut [f64],
    stride: usize,
) {
    let k = problem.n_classes;
    // Costs have the weights in them already.
    let plain = Loss { class_weights: None, ..problem.objective.loss.clone() };
    let scorer = Scorer::new(weight, bias, problem.source.scaler, k);
    let parts = scorer.fold(problem.source.features, problem.train, false, Vec::new, |out, position, scores, _| {
        let row = problem.train[position];
        let label = problem.source.labels[row as usize] as usize;
        let cost = super::cost(problem.objective.lambda, n_train) * problem.row_weight(row);
        let start = out.len();
        out.resize(start + k, 0.0);
        let a = &mut out[start..];
        plain.gradient_of_row(scores, label, a);
        a.iter_mut().for_each(|q| *q = cost * q.abs());
        if plain.margins.differences() {
            a[label] = 0.0;
        }
    });
    let all = parts.iter().flat_map(|part| part.chunks_exact(k));
    a.chunks_exact_mut(stride).zip(all).for_each(|(a, slopes)| a[..k].copy_from_slice(slopes));
}

impl Ascent<'_, '_> {
    /// Puts the dual variables to θ times the subgradients at the scores of weights; returns θ and the bound there.
    fn start_at(&mut self, weight: &[f64], bias: Option<&[f64]>) -> Result<(f64, f64), SolveError> {
        let stride = self.state.stride;
        let problem = Problem { train: &self.state.rows, ..*self.problem };
        slopes(&problem, problem.train.len(), weight, bias, &mut self.state.a, stride);
        if self.is_free() {
            if let Some(bias) = bias {
                self.state.offset.copy_from_slice(bias);
            }
            free::balance(&mut self.state);
        }
        let proven = self.prove();
        self.bound = proven.dual;
        self.state.a.iter_mut().for_each(|a| *a *= proven.theta);
        sweep::rebuild(&mut *self.rows, &mut self.state)?;
        Ok((proven.theta, proven.dual))
    }
}
