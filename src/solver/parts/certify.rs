//! A certificate of any weights over rows that do not fit into memory together.

use super::blocks::{BlockLimits, BlockOutcome, solve_blocks, source};
use super::conclusion::combine;
use super::hot::{Setting, numbers};
use super::interior::InteriorChoice;
use super::messages::PartProof;
use super::part::{PartVariables, prove_rows};
use super::store::BlockStore;
use crate::evaluation::{self, Evaluation};
use crate::model::{BiasRule, Scorer};
use crate::solver::dual::certificate::{Proof, slopes};
use crate::solver::dual::free;
use crate::solver::{Certificate, Fit, Observer, Problem, SolveError};
use std::time::{Duration, Instant};

/// Bounds the objective of weights `[n_features, n_classes]` and a bias by their scores in one pass over the blocks, then by the
/// solver, which starts from there: the same as [`crate::solver::dual::certificate::certify`] of rows in memory. The store ends with the
/// variables of the solver. A free bias takes a pass more, and its solver is the interior point method, which begins anew.
///
/// # Errors
/// [`SolveError`] as of [`solve_blocks`]; [`SolveError::FreeInParts`] before the first pass.
pub fn certify_blocks(
    setting: &Setting,
    limits: BlockLimits,
    store: &mut dyn BlockStore,
    weight: &[f64],
    bias: &[f64],
    observer: &mut dyn Observer,
) -> Result<Proof, SolveError> {
    let start = Instant::now();
    // Before the passes over the blocks are made for nothing.
    InteriorChoice::new(setting, limits.memory, limits.interior)?;
    // Under a free bias the solver begins in the middle of the sets instead.
    let is_kept = setting.objective.bias != BiasRule::Free;
    let (own, theta, _) = own_bound(setting, store, (weight, bias), is_kept)?;
    if is_kept {
        scale(store, theta)?;
    }
    let solved = solve_blocks(setting, limits, store, observer)?;
    let BlockOutcome { outcome, stop, passes, visits, .. } = solved;
    let better = outcome.certificate.dual.max(own.dual);
    #[allow(clippy::cast_precision_loss)]
    let fit = Fit {
        weight: outcome.weight,
        bias: outcome.bias,
        steps: passes,
        epochs: visits as f64 / setting.n_train.max(1) as f64,
        stop,
        solve: start.elapsed(),
        evaluate: Duration::ZERO,
        gradient: None,
        certificate: Some(outcome.certificate),
        evaluation: Some(outcome.evaluation),
        best_step: None,
    };
    // The gap of the objective at most, as it was proved, with the better bound.
    let at_most = own.dual + own.gap();
    Ok(Proof { own, theta, fit, tightened: Certificate::proved(own.primal, at_most.max(own.primal), better)? })
}

/// The objective of weights `[n_features, n_classes]` and a bias, the predictions for the rows, and the bound that the scores give, in one pass over
/// the blocks: 0 without a regulariser, or with a bias that is not regularised.
///
/// # Errors
/// [`SolveError::Storage`], [`SolveError::NotFinite`].
pub fn measure_blocks(
    setting: &Setting,
    store: &mut dyn BlockStore,
    weight: &[f64],
    bias: Option<&[f64]>,
) -> Result<(Certificate, Evaluation), SolveError> {
    let objective = &setting.objective;
    if objective.lambda > 0.0 && objective.bias != BiasRule::Free {
        let zero = vec![0.0; setting.n_classes];
        let weights = (weight, bias.unwrap_or(&zero));
        let (certificate, _, evaluation) = own_bound(setting, store, weights, false)?;
        return Ok((certificate, evaluation));
    }
    let mut all: Option<Evaluation> = None;
    for block in 0..store.n_blocks() {
        let rows = store.read(block, (block + 1 < store.n_blocks()).then_some(block + 1))?;
        let indices = numbers(rows.len());
        let source = source(setting, &rows);
        let scorer = Scorer::new(weight, bias, source.scaler, setting.n_classes);
        let own = evaluation::of_scorer(Some(&objective.loss), &scorer, source, &indices, &[]);
        #[allow(clippy::cast_precision_loss)]
        let share = indices.len() as f64 / setting.n_train as f64;
        let of = |loss: f64| if indices.is_empty() { 0.0 } else { share * loss };
        let own = Evaluation { data_loss: of(own.data_loss), data_loss_at_most: of(own.data_loss_at_most), ..own };
        match &mut all {
            None => all = Some(own),
            Some(all) => {
                all.data_loss += own.data_loss;
                all.data_loss_at_most += own.data_loss_at_most;
                all.confusion.merge(&own.confusion);
            }
        }
    }
    let Some(evaluation) = all else { return Err(SolveError::Storage("there are no rows".into())) };
    let measured = objective.with_loss(evaluation, weight, bias);
    Ok((Certificate::proved(measured.value, measured.at_most, 0.0)?, measured.evaluation))
}

/// Weights in the form of [`super::Order`].
fn ordered(setting: &Setting, weight: &[f64], bias: &[f64]) -> Vec<f64> {
    let scale = match setting.objective.bias {
        BiasRule::Regularised { scale } => scale,
        BiasRule::None | BiasRule::Free => 1.0,
    };
    weight.iter().copied().chain(bias.iter().map(|b| b / scale)).collect()
}

/// The bound that the scores of weights give, with θ and the predictions; their subgradients are kept as the variables of the blocks where
/// that is wanted.
fn own_bound(
    setting: &Setting,
    store: &mut dyn BlockStore,
    (weight, bias): (&[f64], &[f64]),
    keep: bool,
) -> Result<(Certificate, f64, Evaluation), SolveError> {
    let weights = &ordered(setting, weight, bias);
    let (n_blocks, k) = (store.n_blocks(), setting.n_classes);
    let factors = match setting.objective.bias {
        BiasRule::Free => Some(cancelling_factors(setting, store, (weight, bias))?),
        BiasRule::None | BiasRule::Regularised { .. } => None,
    };
    let mut all: Option<PartProof> = None;
    for block in 0..n_blocks {
        let rows = store.read(block, (block + 1 < n_blocks).then_some(block + 1))?;
        let indices = numbers(rows.len());
        let problem = setting.problem(source(setting, &rows), &indices);
        let mut a = subgradients(setting, &problem, (weight, bias));
        for (a, &label) in a.chunks_exact_mut(k).zip(&problem.source.labels[..indices.len()]) {
            let own = factors.iter().flat_map(|factors| &factors[label as usize * k..]);
            a.iter_mut().zip(own).for_each(|(a, factor)| *a *= factor);
        }
        let own = prove_rows(&problem, setting.n_train, &indices, &a, k, weights);
        match &mut all {
            None => all = Some(own),
            Some(all) => all.merge(own),
        }
        if keep {
            store.keep(block, &PartVariables::of(indices.clone(), a))?;
        }
    }
    let Some(all) = all else { return Err(SolveError::Storage("there are no rows".into())) };
    let (measured, bound) = combine(setting, all, n_blocks, weights);
    Ok((Certificate::proved(measured.value, measured.at_most, bound.dual)?, bound.theta, measured.evaluation))
}

/// Dual variables c_i·|∂ℓ_i| at the scores of weights, `[rows, n_classes]`.
fn subgradients(setting: &Setting, problem: &Problem<'_>, (weight, bias): (&[f64], &[f64])) -> Vec<f64> {
    let mut a = vec![0.0; problem.train.len() * setting.n_classes];
    slopes(problem, setting.n_train, weight, Some(bias), &mut a, setting.n_classes);
    a
}

/// The factors by which the subgradients at the scores of weights are shrunk until those of each class cancel, in one pass over the blocks.
fn cancelling_factors(
    setting: &Setting,
    store: &mut dyn BlockStore,
    (weight, bias): (&[f64], &[f64]),
) -> Result<Vec<f64>, SolveError> {
    let (n_blocks, k) = (store.n_blocks(), setting.n_classes);
    let mut flows = vec![0.0; k * k];
    for block in 0..n_blocks {
        let rows = store.read(block, (block + 1 < n_blocks).then_some(block + 1))?;
        let indices = numbers(rows.len());
        let problem = setting.problem(source(setting, &rows), &indices);
        let a = subgradients(setting, &problem, (weight, bias));
        for (a, &label) in a.chunks_exact(k).zip(&problem.source.labels[..indices.len()]) {
            let own = &mut flows[label as usize * k..(label as usize + 1) * k];
            own.iter_mut().zip(a).for_each(|(flow, a)| *flow += a);
        }
    }
    Ok(free::factors(&flows, k, setting.objective.loss.margins.differences()))
}

/// Multiplies all variables by θ.
fn scale(store: &mut dyn BlockStore, theta: f64) -> Result<(), SolveError> {
    for block in 0..store.n_blocks() {
        if let Some(mut variables) = store.variables(block)? {
            variables.a.iter_mut().for_each(|a| *a *= theta);
            store.keep(block, &variables)?;
        }
    }
    Ok(())
}
