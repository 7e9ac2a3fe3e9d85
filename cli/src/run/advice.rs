//! Advice for runs of gradient descent that diverge.

use crate::config::LoadedConfig;
use crate::loss::Power;
use crate::shown::number;
use crate::solver::SolverConfig;
use crate::solver::sgd::optimizer::OptimizerName;

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
