//! Quality of a trained model on its splits, and of its probabilities: fitted on the validation split, measured before and after.

use super::{PreparedData, RunResult};
use crate::calibration::{Calibrator, Quality, QualitySum, log_softmax};
use crate::data::Features;
use crate::evaluation::{Evaluation, evaluate};
use crate::metric::Confusion;
use crate::model::Classifier;
use crate::objective::Objective;
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Objective and accuracies over the whole splits, in f64, of the training rows where they were not evaluated before; the predictions
/// on the split of [`super::rows_to_report`].
pub(super) fn accuracies(
    model: &Classifier,
    objective: &Objective,
    prepared: &PreparedData,
    train: Option<Evaluation>,
    result: &mut RunResult,
) -> Confusion {
    let start = Instant::now();
    let data = &prepared.data;
    let evaluate = |rows: &[u32]| (!rows.is_empty()).then(|| evaluate(model, Some(&objective.loss), data, rows, &[]));
    let train = train.or_else(|| evaluate(&prepared.split.train));
    let [validation, test] = [&prepared.split.validation, &prepared.split.test].map(|rows| evaluate(rows));
    let accuracy = |e: &Option<Evaluation>| e.as_ref().map(|e| e.confusion.accuracy());
    if let Some(train) = &train {
        result.data_loss = Some(train.data_loss);
        result.objective = Some(train.data_loss + objective.penalty(&model.weight, model.bias.as_deref()));
    }
    (result.train_accuracy, result.validation_accuracy, result.test_accuracy) =
        (accuracy(&train), accuracy(&validation), accuracy(&test));
    result.seconds_evaluate += start.elapsed().as_secs_f64();
    let reported = test.or(validation).or(train).map(|e| e.confusion);
    reported.unwrap_or_else(|| Confusion::new(model.n_classes()))
}

/// Quality of probabilities on the same rows: the softmax of the scores, and the calibrated ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Of softmax(scores).
    pub before: Quality,
    /// Of the calibration.
    pub after: Quality,
}

/// Calibration in `result.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CalibrationReport {
    /// `temperature` or `platt`.
    pub method: String,
    /// T, where there is one.
    pub temperature: Option<f64>,
    /// Whether T is at an end of its range, because the likelihood has no maximum inside it.
    pub temperature_at_end: bool,
    /// Rows that it was fitted on.
    pub rows: usize,
    /// Folds, where it was fitted on scores out of fold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folds: Option<usize>,
    /// On those rows.
    pub validation: Option<Comparison>,
    /// On rows that neither the weights nor the calibration have seen.
    pub test: Option<Comparison>,
}

/// Measures a calibration on labelled rows; `None` for no rows.
#[must_use]
pub fn compare(
    model: &Classifier,
    calibrator: &Calibrator,
    features: &Features,
    labels: &[u32],
    rows: &[u32],
) -> Option<Comparison> {
    let start = || (QualitySum::default(), QualitySum::default(), Vec::new());
    let parts = model.fold_scores(features, rows, start, |(before, after, log), position, scores| {
        let label = labels[rows[position] as usize] as usize;
        for calibrated in [false, true] {
            log.clear();
            log.extend_from_slice(scores);
            if calibrated {
                calibrator.log_probabilities(log);
                after.add(log, label);
            } else {
                log_softmax(log);
                before.add(log, label);
            }
        }
    });
    let (mut before, mut after, _) = start();
    for part in &parts {
        before.merge(&part.0);
        after.merge(&part.1);
    }
    Some(Comparison { before: before.quality()?, after: after.quality()? })
}
