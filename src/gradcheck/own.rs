//! A gradient from outside, compared entry by entry with the right one, and the mistake that explains the difference.
//!
//! The right gradient of the mean loss plus (λ/2)·‖W‖² is XᵀQ/n + λW with Q as in [`crate::reference`]. A mistake of each of three kinds
//! puts something else in the place of a part: another scale (a sum, a turned sign), another Q (the entry of the label, rows in another order),
//! another regulariser. A mistake is named only where it explains **every** entry, as closely as a right gradient has to agree; a
//! combination is named where it takes all of its parts, and of several explanations those of the fewest mistakes, all of them.

use super::{GradcheckError, expect};
use crate::loss::{Loss, Power, check_labels};
use serde::Serialize;
use std::fmt;

/// Entries that a report lists.
const LISTED: usize = 20;
/// Differences below this times the largest entry are rounding.
const ROUNDING: f64 = 1e-12;

/// A gradient of the mean loss plus (λ/2)·‖W‖² that was computed elsewhere. There is no bias: one is a column of ones in the features.
#[derive(Debug, Clone, Copy)]
pub struct OwnGradient<'a> {
    /// The gradient to judge, row-major.
    pub gradient: &'a [f64],
    /// Its shape: `[n_features, n_classes]`, or the transposed one.
    pub shape: [usize; 2],
    /// Row-major `[n_samples, n_features]`.
    pub features: &'a [f64],
    /// Class indices `[n_samples]`.
    pub labels: &'a [u32],
    /// Row-major `[n_features, n_classes]`.
    pub weight: &'a [f64],
    /// Number of classes.
    pub n_classes: usize,
    /// The loss.
    pub loss: &'a Loss,
    /// λ, twice `reg`.
    pub lambda: f64,
    /// The relative error |a − b| / (|a| + |b|) up to which entries agree; [`super::TOLERANCE`] as a rule.
    pub tolerance: f64,
}

/// An entry of a gradient.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Entry {
    /// Its row.
    pub feature: usize,
    /// Its column.
    pub class: usize,
    /// Its value in the gradient that was given.
    pub own: f64,
    /// The right value.
    pub right: f64,
    /// |own − right| / (|own| + |right|)
    pub relative_error: f64,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { feature, class, own, right, relative_error } = self;
        write!(f, "W[{feature}, {class}]: mine {own:.6e}, right {right:.6e}, relative error {relative_error:.2e}")
    }
}

/// The outcome of [`compare_own`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OwnReport {
    /// The loss's name.
    pub loss: String,
    /// Rows of the features.
    pub n_samples: usize,
    /// Columns of the features.
    pub n_features: usize,
    /// Classes.
    pub n_classes: usize,
    /// λ, twice `reg`.
    pub lambda: f64,
    /// Entries of the gradient.
    pub entries: usize,
    /// Those that agree.
    pub agreed: usize,
    /// The largest relative error.
    pub max_relative_error: f64,
    /// The entries with the largest errors.
    pub worst: Vec<Entry>,
    /// The likely cause of a difference, where there is one that explains all of it.
    pub cause: Option<String>,
    /// Whether all entries agree.
    pub passed: bool,
}

impl fmt::Display for OwnReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entries, agreed, max_relative_error, .. } = self;
        write!(f, "{agreed} of {entries} entries agree; largest relative error {max_relative_error:.2e}")?;
        self.cause.as_ref().map_or(Ok(()), |cause| write!(f, "; likely cause: {cause}"))
    }
}

/// Compares a gradient from outside with the right one, entry by entry.
///
/// ```
/// use burn_svm::gradcheck::{OwnGradient, compare_own};
/// use burn_svm::Loss;
///
/// // Scores 2, 3, −1 and label 0: class 1 alone is charged, so that Q is −1, 1, 0.
/// let own = OwnGradient {
///     gradient: &[-1.0, 1.0, 0.0], shape: [1, 3], features: &[1.0], labels: &[0], weight: &[2.0, 3.0, -1.0], n_classes: 3,
///     loss: &Loss::weston_watkins(), lambda: 0.0, tolerance: 1e-6,
/// };
/// assert!(compare_own(&own)?.passed);
/// let report = compare_own(&OwnGradient { lambda: 0.5, ..own })?;
/// assert_eq!(report.cause.as_deref(), Some("the gradient of the regulariser is missing"));
/// # Ok::<(), burn_svm::gradcheck::GradcheckError>(())
/// ```
///
/// # Errors
/// [`GradcheckError`] when there are no rows, lengths or the shape do not fit together, a label is not below `n_classes`, or the loss does
/// not fit the classes.
pub fn compare_own(own: &OwnGradient<'_>) -> Result<OwnReport, GradcheckError> {
    own.check()?;
    let (d, k) = (own.n_features(), own.n_classes);
    let transposed = own.shape == [k, d] && d != k;
    let gradient = if transposed { turned(own.gradient, own.shape) } else { own.gradient.to_vec() };
    let q = own.slopes();
    let data = own.product(&q);
    let penalty: Vec<f64> = own.weight.iter().map(|w| own.lambda * w).collect();
    let right: Vec<f64> = data.iter().zip(&penalty).map(|(a, b)| a + b).collect();
    let floor = ROUNDING * largest(&data).max(largest(&penalty));
    let errors: Vec<f64> = gradient.iter().zip(&right).map(|(a, b)| error(*a, *b, floor)).collect();
    let agrees = |error: &f64| *error <= own.tolerance;
    let agreed = errors.iter().filter(|e| agrees(e)).count();
    let mut order: Vec<usize> = (0..errors.len()).collect();
    order.sort_by(|&a, &b| errors[b].total_cmp(&errors[a]));
    let entry =
        |i: usize| Entry { feature: i / k, class: i % k, own: gradient[i], right: right[i], relative_error: errors[i] };
    let passed = agreed == errors.len() && !transposed;
    let cause = if passed {
        None
    } else if gradient.iter().any(|v| !v.is_finite()) {
        Some("entries that are no finite numbers".into())
    } else {
        let suspects = Suspects { own, q, right: data, penalty };
        let wrong: Vec<usize> = (0..errors.len()).filter(|&i| !agrees(&errors[i])).collect();
        suspects.cause(&gradient, transposed).or_else(|| place(&wrong, k))
    };
    Ok(OwnReport {
        loss: own.loss.to_string(),
        n_samples: own.labels.len(),
        n_features: d,
        n_classes: k,
        lambda: own.lambda,
        entries: errors.len(),
        agreed,
        max_relative_error: order.first().map_or(0.0, |&i| errors[i]),
        worst: order.into_iter().take(LISTED).map(entry).collect(),
        cause,
        passed,
    })
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m, v| m.max(v.abs()))
}

/// |a − b| / (|a| + |b|); 0 for rounding, infinite where one of them is no number.
fn error(a: f64, b: f64, floor: f64) -> f64 {
    let difference = (a - b).abs();
    if !difference.is_finite() {
        f64::INFINITY
    } else if difference <= floor {
        0.0
    } else {
        difference / (a.abs() + b.abs())
    }
}

/// The transposed matrix.
fn turned(values: &[f64], [rows, columns]: [usize; 2]) -> Vec<f64> {
    (0..columns).flat_map(|j| (0..rows).map(move |i| values[i * columns + j])).collect()
}

/// The one row or column that holds all wrong entries, as a sentence.
fn place(wrong: &[usize], k: usize) -> Option<String> {
    let first = *wrong.first()?;
    if wrong.len() > 1 && wrong.iter().all(|i| i % k == first % k) {
        return Some(format!("no common mistake; every wrong entry is of class {}", first % k));
    }
    let in_a_row = wrong.len() > 1 && wrong.iter().all(|i| i / k == first / k);
    in_a_row.then(|| format!("no common mistake; every wrong entry is of feature {}", first / k))
}

impl OwnGradient<'_> {
    fn n_features(&self) -> usize {
        self.features.len() / self.labels.len()
    }

    fn check(&self) -> Result<(), GradcheckError> {
        let (n, k) = (self.labels.len(), self.n_classes);
        if n == 0 || k < 2 || self.features.is_empty() {
            return Err(GradcheckError::NoRows);
        }
        let cells = self.features.len();
        expect(
            cells.is_multiple_of(n),
            || format!("{cells} features for {n} labels"),
            || "as many to each row".into(),
        )?;
        if let Err(outside) = check_labels(self.labels.iter().copied(), k) {
            let found = || format!("label {} of row {}", outside.label, outside.row);
            expect(false, found, || format!("class indices below {k}"))?;
        }
        let d = self.n_features();
        expect(self.weight.len() == d * k, || format!("{} weights", self.weight.len()), || format!("{d} x {k}"))?;
        let [rows, columns] = self.shape;
        let fits = self.shape == [d, k] || self.shape == [k, d];
        expect(fits, || format!("a gradient of shape ({rows}, {columns})"), || format!("({d}, {k}), that of W"))?;
        let values = self.gradient.len();
        expect(values == d * k, || format!("{values} values of a gradient"), || format!("{d} x {k}"))?;
        let misfit = self.loss.check(k).err().map(|misfit| misfit.to_string());
        expect(misfit.is_none(), || misfit.clone().unwrap_or_default(), || format!("a loss of {k} classes"))
    }

    /// Q `[n_samples, n_classes]`
    fn slopes(&self) -> Vec<f64> {
        let (d, k) = (self.n_features(), self.n_classes);
        let mut q = vec![0.0; self.labels.len() * k];
        for ((x, q), &label) in self.features.chunks_exact(d).zip(q.chunks_exact_mut(k)).zip(self.labels) {
            let mut scores = vec![0.0; k];
            for (x, w) in x.iter().zip(self.weight.chunks_exact(k)) {
                scores.iter_mut().zip(w).for_each(|(s, w)| *s += x * w);
            }
            self.loss.gradient_of_row(&scores, label as usize, q);
        }
        q
    }

    /// XᵀQ/n
    #[allow(clippy::cast_precision_loss)]
    fn product(&self, q: &[f64]) -> Vec<f64> {
        let (d, k, n) = (self.n_features(), self.n_classes, self.labels.len() as f64);
        let mut out = vec![0.0; d * k];
        for (x, q) in self.features.chunks_exact(d).zip(q.chunks_exact(k)) {
            for (x, out) in x.iter().zip(out.chunks_exact_mut(k)) {
                out.iter_mut().zip(q).for_each(|(out, q)| *out += x * q);
            }
        }
        out.iter_mut().for_each(|v| *v /= n);
        out
    }
}

/// The two parts of the gradient on a scale of their own, and the mistake behind it.
struct TermFactors {
    data: f64,
    penalty: f64,
    text: Option<&'static str>,
}

/// A matrix in the place of XᵀQ/n.
struct DataTerm {
    values: Vec<f64>,
    text: Option<&'static str>,
}

/// A multiple of λW, and one of λΣW in every entry.
struct PenaltyTerm {
    weight: f64,
    sum: f64,
    text: Option<&'static str>,
}

/// The parts of the right gradient, and what common mistakes make of them.
struct Suspects<'a> {
    own: &'a OwnGradient<'a>,
    q: Vec<f64>,
    right: Vec<f64>,
    penalty: Vec<f64>,
}

impl Suspects<'_> {
    /// The mistakes that explain every entry.
    fn cause(&self, gradient: &[f64], transposed: bool) -> Option<String> {
        const TURNED: &str = "it is transposed";
        let with = |text: String| if text.is_empty() { TURNED.to_owned() } else { format!("{TURNED}; {text}") };
        let direct = self.explain(gradient);
        if transposed {
            return Some(with(direct.unwrap_or_else(|| "beside that no common mistake explains it".into())));
        }
        let [rows, columns] = self.own.shape;
        let square = || if rows == columns { self.explain(&turned(gradient, self.own.shape)) } else { None };
        direct.or_else(|| square().map(with))
    }

    /// The explanations by the fewest mistakes; no text where none is needed.
    fn explain(&self, gradient: &[f64]) -> Option<String> {
        let (scales, penalties) = (self.scales(), self.penalties());
        let (mut fewest, mut found) = (usize::MAX, Vec::new());
        for data in &self.data() {
            for penalty in &penalties {
                for scale in &scales {
                    let texts = [scale.text, data.text, penalty.text];
                    let count = texts.iter().flatten().count();
                    // Without a regulariser nothing tells whether it has the scale of the rest.
                    let is_vague = scale.penalty != 1.0 && penalty.weight == 0.0 && penalty.sum == 0.0;
                    if count > fewest || is_vague || !self.explains(gradient, scale, data, penalty) {
                        continue;
                    }
                    if count < fewest {
                        (fewest, found) = (count, Vec::new());
                    }
                    found.push(texts.into_iter().flatten().collect::<Vec<_>>().join("; "));
                }
            }
        }
        (!found.is_empty()).then(|| found.join(", or: "))
    }

    fn explains(&self, gradient: &[f64], scale: &TermFactors, data: &DataTerm, penalty: &PenaltyTerm) -> bool {
        let (weight, sum) = (scale.penalty * penalty.weight, scale.penalty * penalty.sum * self.sum());
        let sizes = [scale.data * largest(&data.values), weight * largest(&self.penalty), sum];
        let floor = ROUNDING * largest(&sizes);
        let mut entries = gradient.iter().zip(&data.values).zip(&self.penalty);
        entries.all(|((own, data), penalty)| {
            error(*own, scale.data * data + weight * penalty + sum, floor) <= self.own.tolerance
        })
    }

    /// λΣW
    fn sum(&self) -> f64 {
        self.penalty.iter().sum()
    }

    fn is_regularised(&self) -> bool {
        self.penalty.iter().any(|v| *v != 0.0)
    }

    #[allow(clippy::cast_precision_loss)]
    fn scales(&self) -> Vec<TermFactors> {
        let n = self.own.labels.len() as f64;
        let scale = |data, penalty, text| TermFactors { data, penalty, text: Some(text) };
        let mut scales = vec![
            TermFactors { data: 1.0, penalty: 1.0, text: None },
            scale(n, 1.0, "the sum over the rows is not divided by their number"),
            scale(1.0 / n, 1.0, "the gradient of the loss is divided by the number of rows twice"),
        ];
        if self.is_regularised() {
            scales.extend([
                scale(-1.0, 1.0, "the sign of the gradient of the loss is turned"),
                scale(-1.0, -1.0, "the sign is turned"),
                scale(n, n, "everything is multiplied by the number of rows, the regulariser too"),
                scale(
                    1.0 / n,
                    1.0 / n,
                    "everything is divided by the number of rows once too often, the regulariser too",
                ),
            ]);
        } else {
            scales.push(scale(-1.0, 1.0, "the sign is turned"));
        }
        scales
    }

    #[allow(clippy::cast_precision_loss)]
    fn penalties(&self) -> Vec<PenaltyTerm> {
        let right = PenaltyTerm { weight: 1.0, sum: 0.0, text: None };
        if !self.is_regularised() {
            return vec![right];
        }
        let factor = |weight, text| PenaltyTerm { weight, sum: 0.0, text: Some(text) };
        let summed = |sum| {
            let text =
                "the regulariser's gradient is the sum of W in the place of W: it is a matrix, and nothing is summed";
            PenaltyTerm { weight: 0.0, sum, text: Some(text) }
        };
        let n = self.own.labels.len() as f64;
        vec![
            right,
            factor(0.0, "the gradient of the regulariser is missing"),
            factor(0.5, "the gradient of the regulariser is half of what it should be"),
            factor(2.0, "the gradient of the regulariser is twice what it should be"),
            factor(-1.0, "the gradient of the regulariser has the wrong sign"),
            factor(1.0 / n, "the regulariser is divided by the number of rows, too"),
            summed(1.0),
            summed(0.5),
        ]
    }

    fn data(&self) -> Vec<DataTerm> {
        let (own, k) = (self.own, self.own.n_classes);
        // Of Q with each entry put through a function of whether it is the label's, and its value.
        let made = |entry: &dyn Fn(bool, f64) -> f64| {
            let of = |(at, q): (usize, &f64)| entry(at % k == own.labels[at / k] as usize, *q);
            own.product(&self.q.iter().enumerate().map(of).collect::<Vec<_>>())
        };
        let data = |values, text| DataTerm { values, text: Some(text) };
        let mut order: Vec<usize> = (0..own.labels.len()).collect();
        order.sort_by_key(|&i| own.labels[i]);
        let by_class = order.iter().flat_map(|&i| &self.q[i * k..(i + 1) * k]).copied().collect::<Vec<_>>();
        let mut all = vec![
            DataTerm { values: self.right.clone(), text: None },
            data(made(&|label, q| if label { 0.0 } else { q }), "the part of the correct class is missing"),
            data(made(&|label, q| if label { q } else { 0.0 }), "the part of the other classes is missing"),
            data(
                own.product(&by_class),
                "the rows of Q are in the order of the classes, those of X in the order of the samples",
            ),
        ];
        // Elsewhere the label's entry is no count.
        if own.loss.name() == "weston_watkins" && own.loss.set.power == Power::One && own.loss.set.smoothing == 0.0 {
            let shifted = |by: f64| made(&|label, q| if label { q + by } else { q });
            all.extend([
                data(shifted(1.0), "the entry of Q at the label is one too large: 1 − count in the place of −count"),
                data(shifted(-1.0), "the correct class is counted: −(count + 1) at the label in the place of −count"),
            ]);
        }
        all
    }
}

#[cfg(test)]
mod tests;
