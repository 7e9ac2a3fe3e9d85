//! A model measured on rows of a data set, in f64 on the host.

use crate::data::Dataset;
use crate::data::batch::Source;
use crate::kernel::rounding::{Sum, UNIT, gamma};
use crate::loss::Loss;
use crate::metric::{ClassCurves, Confusion, argmax, in_top_k};
use crate::model::{Classifier, Scorer};
use rayon::prelude::*;

/// A model measured on rows of a data set.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Evaluation {
    /// (1/rows) Σ weight_i·ℓ_i; NaN where no loss was given.
    pub data_loss: f64,
    /// An upper bound of that in exact numbers.
    pub data_loss_at_most: f64,
    /// Predictions against labels.
    pub confusion: Confusion,
    /// Of the `top_k` asked for, the share of rows with the label among the k largest scores.
    pub top_k: Vec<(usize, f64)>,
}

/// Data loss (where a loss is given) and predictions of a model on `rows` of a data set. Accuracies count rows, whatever their weights;
/// `top` lists the k of the top-k accuracies that are wanted.
#[must_use]
pub fn evaluate(model: &Classifier, loss: Option<&Loss>, data: &Dataset, rows: &[u32], top: &[usize]) -> Evaluation {
    let Dataset { features, labels, weights, .. } = data;
    let source = Source { features, labels, scaler: &model.scaler, weights: weights.as_deref() };
    of_scorer(loss, &model.scorer(), source, rows, top)
}

/// Scores of all rows and classes up to which [`class_curves`] are made; they take 128 MiB.
pub const MOST_SCORES: usize = 1 << 24;

/// ROC and precision-recall curves of each class against all others; `None` where rows times classes are more than [`MOST_SCORES`].
#[must_use]
pub fn class_curves(model: &Classifier, data: &Dataset, rows: &[u32]) -> Option<Vec<ClassCurves>> {
    let k = model.n_classes();
    rows.len().checked_mul(k).filter(|scores| *scores <= MOST_SCORES)?;
    let visit = |scores: &mut Vec<f64>, _: usize, row: &[f64]| scores.extend_from_slice(row);
    let parts = model.fold_scores(&data.features, rows, Vec::new, visit);
    let of_class = |class: usize| {
        let scores = parts.iter().flat_map(|part| part.iter().skip(class).step_by(k));
        let labels = rows.iter().map(|&row| data.labels[row as usize] as usize == class);
        ClassCurves::new(scores.copied().zip(labels).collect())
    };
    Some((0..k).into_par_iter().map(of_class).collect())
}

/// Rows of a chunk, added up.
struct ChunkSums {
    sum: Sum,
    at_most: Sum,
    /// Label and prediction of each row.
    predicted: Vec<(usize, usize)>,
    hits: Vec<u64>,
}

/// [`evaluate`] by scores; `scorer` has the preprocessing, not `source`.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn of_scorer(
    loss: Option<&Loss>,
    scorer: &Scorer<'_>,
    source: Source<'_>,
    rows: &[u32],
    top: &[usize],
) -> Evaluation {
    // Predictions rather than a matrix a chunk: with many classes the matrices would be larger than the data.
    let start = || ChunkSums {
        sum: Sum::default(),
        at_most: Sum::default(),
        predicted: Vec::new(),
        hits: vec![0u64; top.len()],
    };
    let visit = |part: &mut ChunkSums, position: usize, scores: &[f64], error: f64| {
        let label = source.labels[rows[position] as usize] as usize;
        if let Some(loss) = loss {
            let weight = source.weight(rows[position]);
            part.sum.add(weight * loss.of_row(scores, label));
            // A margin is a difference of two scores; every loss grows with each of its margins.
            let largest = scores.iter().fold(0.0f64, |most, s| most.max(s.abs()));
            let lift = 2.0 * error + 8.0 * UNIT * (largest + loss.margins.largest());
            part.at_most.add(weight * loss.of_lifted_row(scores, label, lift));
        }
        part.predicted.push((label, argmax(scores)));
        for (hit, &k) in part.hits.iter_mut().zip(top) {
            *hit += u64::from(in_top_k(scores, label, k));
        }
    };
    let parts = scorer.fold(source.features, rows, loss.is_some(), start, visit);
    let mut confusion = Confusion::new(scorer.n_classes());
    let (mut sum, mut at_most, mut hits) = (Sum::default(), Sum::default(), vec![0; top.len()]);
    for part in &parts {
        sum.merge(part.sum);
        at_most.merge(part.at_most);
        part.predicted.iter().for_each(|&(label, predicted)| confusion.add(label, predicted));
        hits.iter_mut().zip(&part.hits).for_each(|(a, b)| *a += b);
    }
    let n = rows.len().max(1) as f64;
    let top_k = top.iter().zip(hits).map(|(&k, h)| (k, h as f64 / n)).collect();
    // The loss of a row is a sum over classes, or a maximum; smoothed ones have a division and a root in them.
    let rounded = 1.0 + gamma(16 * scorer.n_classes() + 64);
    let mean = |sum: Sum| if loss.is_some() { sum.value() / n } else { f64::NAN };
    Evaluation { data_loss: mean(sum), data_loss_at_most: mean(at_most) * rounded, confusion, top_k }
}
