//! `burn-svm evaluate`

use super::{EvaluateArgs, Failure, output, print, print_json};
use crate::config::LoadedConfig;
use crate::model::Classifier;
use crate::run::{self, Labelled, RunError};
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

pub(super) fn run(args: &EvaluateArgs) -> Result<ExitCode, Failure> {
    let model = Classifier::load(&args.model).map_err(RunError::from)?;
    let labelled = match &args.data {
        Some(path) => run::labelled(path, &model)?,
        None => own_data(&args.model, &model)?,
    };
    // Top-k with k at least the number of classes says nothing.
    let top: Vec<usize> = [args.top].into_iter().filter(|&k| k > 1 && k < model.n_classes()).collect();
    let evaluation = run::evaluate(&model, &labelled, &top);
    let loss = model.loss();
    if args.json {
        let confusion = &evaluation.confusion;
        let classes: Vec<_> = model
            .class_names
            .iter()
            .enumerate()
            .map(|(k, name)| json!({"class": name, "report": confusion.class(k)}))
            .collect();
        let matrix: Vec<Vec<u64>> =
            (0..model.n_classes()).map(|i| (0..model.n_classes()).map(|j| confusion.count(i, j)).collect()).collect();
        print_json(&json!({
            "data": labelled.name,
            "rows": confusion.total(),
            "accuracy": confusion.accuracy(),
            "top_k": evaluation.top_k.iter().map(|(k, share)| json!({"k": k, "share": share})).collect::<Vec<_>>(),
            "data_loss": evaluation.data_loss,
            "loss": loss,
            "classes": classes,
            "macro_mean": confusion.mean(false),
            "weighted_mean": confusion.mean(true),
            "confusion": matrix,
        }))?;
    } else {
        let described =
            loss.map(|l| format!("{}, margin {}, power {}", l.formulation.name(), l.margin, i64::from(l.power)));
        print(&output::evaluation(
            &labelled.name,
            evaluation.data_loss,
            described.as_deref(),
            &evaluation.top_k,
            &evaluation.confusion,
            &model.class_names,
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The data of the configuration that the model carries.
fn own_data(path: &Path, model: &Classifier) -> Result<Labelled, RunError> {
    let Some(training) = model.training() else {
        return Err(RunError::Mismatch {
            problem: format!("{}: a model of LIBLINEAR does not say what it was trained on", path.display()),
            hint: "name the rows to measure it on with --data".into(),
        });
    };
    let config = LoadedConfig::stored(&training.config, path)?;
    run::labelled_by(&config, model)
}
