//! Advice about runs of gradient descent that diverge, and about models that hardly tell the classes apart.

use crate::config::LoadedConfig;
use crate::loss::Power;
use crate::metric::Confusion;
use crate::model::Classifier;
use crate::shown::{number, percent};
use crate::solver::SolverConfig;
use crate::solver::sgd::optimizer::OptimizerName;
use crate::visible;

/// The learning rate of plain SGD where it is beyond the limit of 1/reg: each step multiplies the weights by 1 − 2·rate·reg.
#[must_use]
pub fn too_fast(config: &LoadedConfig, reg: f64) -> Option<f64> {
    let SolverConfig::Sgd(sgd) = &config.run.solver else {
        return None;
    };
    let set = config.run.loss.unweighted().set;
    let plain = sgd.optimizer == OptimizerName::Sgd && set.power == Power::One && set.smoothing == 0.0;
    Some(sgd.learning_rate.get()).filter(|rate| plain && rate * reg >= 1.0)
}

/// Advice after a divergence, with a learning rate to try: a tenth of the one that was, or of the limit.
#[must_use]
pub fn after_divergence(config: &LoadedConfig, reg: f64) -> String {
    let SolverConfig::Sgd(sgd) = &config.run.solver else {
        return "bring the features to a common scale: [preprocess] center = \"mean\", scale = \"std\"".into();
    };
    let too_fast = too_fast(config, reg).is_some();
    let rate = sgd.learning_rate.get().min(if too_fast { 1.0 / reg } else { f64::INFINITY }) / 10.0;
    let next = format!("`--set solver.sgd.learning_rate={rate:.0e}`");
    if too_fast {
        return format!(
            "plain SGD is stable only for a learning_rate below 1/reg = {}: try {next}",
            number(1.0 / reg, 6)
        );
    }
    format!(
        "lower `learning_rate`: try {next}, or bring the features to a common scale: [preprocess] center = \"mean\", scale = \"std\""
    )
}

/// Rows of a class from which on a prediction of it is expected.
const ENOUGH: u64 = 3;
/// Share of the errors of a constant prediction that a model has to avoid.
const USEFUL: f64 = 0.1;

/// A remark on classes that are never predicted, and on a model that is hardly better than the prediction of the largest class for all
/// rows; `None` where neither is so.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn about_predictions(split: &str, confusion: &Confusion, model: &Classifier) -> Option<String> {
    let (support, predicted) = confusion.margins();
    let is_missed = |&class: &usize| support[class] >= ENOUGH && predicted[class] == 0;
    let missed: Vec<String> = (0..support.len()).filter(is_missed).map(|k| model.class_names[k].clone()).collect();
    let largest = (0..support.len()).rev().max_by_key(|&class| support[class])?;
    let (own, constant) = (confusion.accuracy(), support[largest] as f64 / confusion.total().max(1) as f64);
    let mut parts = Vec::new();
    if !missed.is_empty() {
        let (noun, verb) = if missed.len() == 1 { ("class", "is") } else { ("classes", "are") };
        parts.push(format!("{noun} {} {verb} predicted for none of the {split} rows", visible::listed(&missed)));
    }
    if support.len() > 1 && own < constant + USEFUL * (1.0 - constant) {
        parts.push(format!(
            "{} of the {split} rows are predicted right; predicting `{}` for every row would get {} right",
            percent(own, 3),
            visible::short(&model.class_names[largest]),
            percent(constant, 3)
        ));
    }
    if !missed.is_empty() && model.loss().is_some_and(|loss| loss.class_weights.is_none()) {
        parts.push(
            "`class_weights = \"balanced\"` in the table of the loss gives small classes the weight of large ones"
                .into(),
        );
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}
