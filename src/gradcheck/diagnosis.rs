//! The likely cause of a disagreement, found by fitting the difference to the traces of common mistakes.

use super::ModelPoint;
use super::judge::Candidates;
use super::report::{Coordinate, Judgement, Losses, Parameter};
use super::routes::Gradient;

/// The share of the difference that a cause may leave unexplained, relative to its norm.
const UNEXPLAINED: f64 = 1e-3;
/// Values that a fit needs.
const ENOUGH: usize = 3;

/// One value of a gradient, with the terms that mistakes get wrong.
struct Evidence {
    /// The correct value.
    truth: f64,
    /// The value under suspicion.
    claim: f64,
    /// The value of the parameter itself.
    parameter: f64,
    /// The regulariser's part of the correct value.
    penalty: f64,
    /// The error of a gradient that counts the margin Δ of the correct class.
    own_class: f64,
    is_bias: bool,
    regularised: bool,
}

/// The likely cause of a failed check, as a phrase.
pub(super) fn cause(point: &ModelPoint<'_>, all: &[Candidates], lines: &[Coordinate], losses: &Losses) -> String {
    let failed = |claim: fn(&Coordinate) -> f64| {
        lines.iter().filter(|l| l.judgement != Judgement::KinkUnresolved).any(|l| {
            let loss = if l.regularised { losses.objective } else { losses.data_loss };
            let error = super::judge::relative_error(l.numerical, claim(l), loss);
            error.is_nan() || error > super::TOLERANCE
        })
    };
    let (analytic, autodiff) = (failed(|l| l.analytic), failed(|l| l.autodiff));
    let mut causes = Vec::new();
    causes.extend(at_zero(losses, point.n_samples(), point.n_classes));
    if analytic {
        let truth = if autodiff { None } else { Some(GradientSource::Autodiff) };
        causes.push(format!(
            "the analytic gradient: {}",
            explain(&evidence(point, all, lines, GradientSource::Analytic, truth), point)
        ));
    }
    if autodiff {
        let truth = if analytic { None } else { Some(GradientSource::Analytic) };
        causes.push(format!(
            "the autodiff gradient: {}",
            explain(&evidence(point, all, lines, GradientSource::Autodiff, truth), point)
        ));
    }
    if causes.is_empty() {
        causes.push(
            "autodiff and analytic differ, but not at the coordinates that were drawn: check more of them".into(),
        );
    }
    causes.join("; ")
}

/// A wrong loss at W = 0.
#[allow(clippy::cast_precision_loss)]
fn at_zero(losses: &Losses, n: usize, n_classes: usize) -> Option<String> {
    let expected = losses.expected_at_zero.filter(|_| !losses.zero_is_right())?;
    let ratio = losses.at_zero / expected;
    let is = |value: f64| (ratio - value).abs() < 1e-9 * value;
    let start = format!("the loss at W = 0 is {}, expected {expected}", losses.at_zero);
    let k = n_classes as f64;
    Some(if is(k / (k - 1.0)) {
        format!("{start}: the correct class is counted")
    } else if is(n as f64) {
        format!("{start}: off by a factor n, a sum instead of a mean")
    } else {
        format!("{start}: off by a factor {ratio:.6}")
    })
}

#[derive(Clone, Copy)]
enum GradientSource {
    Analytic,
    Autodiff,
}

impl GradientSource {
    const fn of(self, candidates: &Candidates) -> &Gradient {
        match self {
            Self::Analytic => &candidates.analytic,
            Self::Autodiff => &candidates.autodiff,
        }
    }
}

/// All coordinates where another route is known to be right, else the lines with their numerical values.
fn evidence(
    point: &ModelPoint<'_>,
    all: &[Candidates],
    lines: &[Coordinate],
    suspect: GradientSource,
    truth: Option<GradientSource>,
) -> Vec<Evidence> {
    let own = own_class(point);
    let k = point.n_classes;
    let compare = |candidates: &Candidates, parameter: Parameter, truth: f64| {
        let (value, factor) = point.parameter(parameter);
        Evidence {
            truth,
            claim: suspect.of(candidates).at(parameter, k),
            parameter: value,
            penalty: candidates.lambda * factor * value,
            own_class: own.at(parameter, k),
            is_bias: matches!(parameter, Parameter::Bias { .. }),
            regularised: candidates.lambda > 0.0,
        }
    };
    let Some(truth) = truth else {
        let judged = lines.iter().filter(|l| l.judgement != Judgement::KinkUnresolved);
        let built = judged.filter_map(|l| {
            let candidates = all.iter().find(|c| (c.lambda > 0.0) == l.regularised)?;
            Some(compare(candidates, l.parameter, l.numerical))
        });
        return built.collect();
    };
    let weights =
        (0..point.n_features).flat_map(|feature| (0..k).map(move |class| Parameter::Weight { feature, class }));
    let biases = point.bias.iter().flat_map(|_| (0..k).map(|class| Parameter::Bias { class }));
    let parameters: Vec<Parameter> = weights.chain(biases).collect();
    all.iter()
        .flat_map(|c| parameters.iter().map(|&p| compare(c, p, truth.of(c).at(p, k))).collect::<Vec<_>>())
        .collect()
}

/// −(1/n) Σ_{i: y_i = k} x_i: the error of each class's column where the margin Δ of a row's own class is counted.
#[allow(clippy::cast_precision_loss)]
fn own_class(point: &ModelPoint<'_>) -> Gradient {
    let (k, n) = (point.n_classes, point.n_samples() as f64);
    let mut weight = vec![0.0; point.weight.len()];
    let mut bias = vec![0.0; k];
    for (i, &label) in point.labels.iter().enumerate() {
        let label = label as usize;
        let x = &point.features[i * point.n_features..(i + 1) * point.n_features];
        x.iter().enumerate().for_each(|(j, x)| weight[j * k + label] -= x / n);
        bias[label] -= 1.0 / n;
    }
    Gradient { weight, bias: point.bias.as_ref().map(|_| bias) }
}

/// c with `values ≈ c·basis`, where that explains them.
fn fit(evidence: &[&Evidence], value: impl Fn(&Evidence) -> f64, basis: impl Fn(&Evidence) -> f64) -> Option<f64> {
    let informative = evidence.iter().filter(|e| basis(e) != 0.0).count();
    let sum = |f: &dyn Fn(&Evidence) -> f64| evidence.iter().map(|e| f(e)).sum::<f64>();
    let (norm, length) = (sum(&|e| value(e) * value(e)), sum(&|e| basis(e) * basis(e)));
    if informative < ENOUGH || norm == 0.0 || length == 0.0 {
        return None;
    }
    let c = sum(&|e| value(e) * basis(e)) / length;
    let left = sum(&|e| (value(e) - c * basis(e)).powi(2));
    (left.sqrt() <= UNEXPLAINED * norm.sqrt()).then_some(c)
}

fn differs(evidence: &[&Evidence]) -> bool {
    let off: f64 = evidence.iter().map(|e| (e.claim - e.truth).powi(2)).sum();
    let size: f64 = evidence.iter().map(|e| e.truth * e.truth).sum();
    // NaN differs.
    let agrees = off.sqrt() <= super::TOLERANCE * size.sqrt();
    !agrees
}

fn explain(evidence: &[Evidence], point: &ModelPoint<'_>) -> String {
    if evidence.iter().any(|e| !e.claim.is_finite() && e.truth.is_finite()) {
        return "it is not finite".into();
    }
    let plain: Vec<&Evidence> = evidence.iter().filter(|e| !e.regularised).collect();
    if differs(&plain) {
        return of_the_loss(&plain, point.n_samples());
    }
    let on: Vec<&Evidence> = evidence.iter().filter(|e| e.regularised).collect();
    of_the_penalty(&on)
}

/// The mistake in the gradient of the loss, as a sentence.
#[allow(clippy::cast_precision_loss)]
fn of_the_loss(evidence: &[&Evidence], n: usize) -> String {
    if evidence.iter().all(|e| e.claim == 0.0) {
        return "it is zero".into();
    }
    let n = n as f64;
    if let Some(c) = fit(evidence, |e| e.claim, |e| e.truth) {
        let is = |value: f64| (c - value).abs() <= 10.0 * UNEXPLAINED * value.abs();
        return if is(-1.0) {
            "the sign is flipped".into()
        } else if is(n) {
            format!("off by a factor n = {n}: a sum where the loss is a mean")
        } else if is(1.0 / n) {
            format!("off by a factor 1/n = 1/{n}: divided by n twice")
        } else {
            format!("a constant factor of {c:.4}")
        };
    }
    match fit(evidence, |e| e.claim - e.truth, |e| e.own_class) {
        Some(c) if c > 0.0 => "the correct class is counted: mask it before the sum over the classes".into(),
        Some(_) => "the correct class's own column is missing −(the number of violating classes)".into(),
        None => "none of the usual ones; is the loss's `kinks` complete?".into(),
    }
}

/// The mistake in the gradient of the regulariser, as a sentence.
fn of_the_penalty(evidence: &[&Evidence]) -> String {
    let weights: Vec<&Evidence> = evidence.iter().copied().filter(|e| !e.is_bias).collect();
    let biases: Vec<&Evidence> = evidence.iter().copied().filter(|e| e.is_bias).collect();
    if differs(&weights) {
        let Some(c) = fit(&weights, |e| e.claim - e.truth, |e| e.penalty) else {
            return "it differs only with the regulariser on, and not by a multiple of λW".into();
        };
        let is = |value: f64| (c - value).abs() <= 10.0 * UNEXPLAINED;
        return if is(-1.0) {
            "differs by λW: the regularisation gradient is missing".into()
        } else if is(1.0) || is(-0.5) {
            "off by a factor 2 in the regulariser: the penalty is (λ/2)‖W‖² = reg·‖W‖², its gradient λW = 2·reg·W"
                .into()
        } else if is(-2.0) {
            "the sign of the regularisation gradient is flipped".into()
        } else {
            format!("the regularisation gradient has a constant factor of {:.4}", 1.0 + c)
        };
    }
    match fit(&biases, |e| e.claim - e.truth, |e| e.parameter) {
        Some(c) if c > 0.0 => "the bias is regularised more than the objective says".into(),
        Some(_) => "the bias is regularised less than the objective says".into(),
        None => "none of the usual ones; is the loss's `kinks` complete?".into(),
    }
}
