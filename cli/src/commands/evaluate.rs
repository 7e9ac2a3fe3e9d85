//! `burn-svm evaluate`

use super::output::in_shell;
use super::own_data::{is_trained_on, own_config};
use super::{EvaluateArgs, Failure, LOUD, evaluation, print, print_json};
use crate::calibration::Calibrator;
use crate::config::LoadedConfig;
use crate::evaluation::{Evaluation, class_curves};
use crate::metric::{ClassCurves, ClassReport, Confusion, mean};
use crate::model::Classifier;
use crate::model_file;
use crate::run::blocks::{self, BlockData, BlockRows};
use crate::run::measure::{Comparison, compare};
use crate::run::{self, LabelledRows, RunError};
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

pub(super) fn run(args: &EvaluateArgs) -> Result<ExitCode, Failure> {
    let model = model_file::load(&args.model).map_err(RunError::from)?;
    let config = match &args.data {
        Some(path) if path.extension().is_none_or(|e| e != "toml") => {
            if let Some(folder) = blocks::of_model(path)? {
                return from_disk(args, &model, &BlockRows::to_report(&folder));
            }
            None
        }
        Some(path) => Some(LoadedConfig::load(path, &[]).map_err(RunError::from)?),
        None => Some(own_config(&args.model, &model, "the rows to measure it on")?),
    };
    let labelled = match (&config, &args.data) {
        (Some(config), _) => match blocks::find(config)? {
            Some(folder) => {
                let data = BlockData::new(config, folder)?;
                return from_disk(args, &model, &BlockRows::of_config(&data, config));
            }
            None => run::labelled_by(config, &model)?,
        },
        (None, Some(path)) => run::labelled(path, &model)?,
        (None, None) => unreachable!("without --data there is a configuration"),
    };
    labelled.data.notes.iter().for_each(|note| LOUD.note(note));
    if let Some(data) = args.data.as_deref().filter(|data| is_trained_on(&args.model, &model, data)) {
        LOUD.note(&seen(data, &args.model));
    }
    // Top-k with k at least the number of classes says nothing.
    let top: Vec<usize> = [args.top].into_iter().filter(|&k| k > 1 && k < model.n_classes()).collect();
    let evaluation = run::evaluate(&model, &labelled, &top);
    let LabelledRows { data, rows, name } = &labelled;
    let curves = class_curves(&model, data, rows);
    let calibration = model.calibration().and_then(|calibrator| {
        compare(&model, calibrator, &data.features, &data.labels, rows).map(|comparison| (calibrator, comparison))
    });
    if args.json {
        print_json(&as_json(&model, name, &evaluation, curves.as_deref(), calibration))?;
    } else {
        print(&evaluation::text(&evaluation::EvaluationText {
            name,
            evaluation: &evaluation,
            curves: curves.as_deref(),
            loss: model.loss().map(ToString::to_string),
            calibration: calibration.map(|(calibrator, comparison)| (calibrator.name(), comparison)),
            class_names: &model.class_names,
        }))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Remark on a measurement of rows that were learned from.
fn seen(data: &Path, run: &Path) -> String {
    format!(
        "{} holds rows that the model has learned from, so it does better here than on new rows; `burn-svm evaluate {}` measures those \
         held out, if there are any",
        data.display(),
        in_shell(run)
    )
}

/// Measures a model on blocks that do not fit into memory together.
fn from_disk(args: &EvaluateArgs, model: &Classifier, rows: &BlockRows<'_>) -> Result<ExitCode, Failure> {
    let top: Vec<usize> = [args.top].into_iter().filter(|&k| k > 1 && k < model.n_classes()).collect();
    let evaluation = blocks::evaluate(model, rows, &top)?;
    LOUD.note("read block by block: without the areas under the curves, which need all scores");
    if args.json {
        print_json(&as_json(model, &rows.name, &evaluation, None, None))?;
    } else {
        print(&evaluation::text(&evaluation::EvaluationText {
            name: &rows.name,
            evaluation: &evaluation,
            curves: None,
            loss: model.loss().map(ToString::to_string),
            calibration: None,
            class_names: &model.class_names,
        }))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(
    model: &Classifier,
    name: &str,
    evaluation: &Evaluation,
    curves: Option<&[ClassCurves]>,
    calibration: Option<(&Calibrator, Comparison)>,
) -> serde_json::Value {
    let confusion = &evaluation.confusion;
    let area = |class: usize, of: fn(&ClassCurves) -> Option<f64>| curves.and_then(|curves| of(&curves[class]));
    let class = |(i, (name, report)): (usize, (&String, ClassReport))| {
        let (roc_auc, average_precision) = (area(i, |c| c.roc_auc), area(i, |c| c.average_precision));
        json!({"class": name, "report": report, "roc_auc": roc_auc, "average_precision": average_precision})
    };
    let classes: Vec<_> = model.class_names.iter().zip(confusion.classes()).enumerate().map(class).collect();
    let calibration = calibration.map(|(calibrator, comparison)| {
        json!({
            "method": calibrator.name(),
            "temperature": calibrator.temperature(),
            "before": comparison.before,
            "after": comparison.after,
        })
    });
    json!({
        "data": name,
        "rows": confusion.total(),
        "accuracy": confusion.accuracy(),
        "balanced_accuracy": confusion.balanced_accuracy(),
        "roc_auc": curves.and_then(|curves| mean(curves.iter().map(|c| c.roc_auc))),
        "average_precision": curves.and_then(|curves| mean(curves.iter().map(|c| c.average_precision))),
        "top_k": evaluation.top_k.iter().map(|(k, share)| json!({"k": k, "share": share})).collect::<Vec<_>>(),
        "data_loss": evaluation.data_loss,
        "loss": model.loss(),
        "calibration": calibration,
        "classes": classes,
        "macro_mean": confusion.mean(false),
        "weighted_mean": confusion.mean(true),
        "confusion": matrix(confusion),
    })
}

/// Every cell, row after row; of many classes those that are not zero.
fn matrix(confusion: &Confusion) -> serde_json::Value {
    let k = confusion.n_classes();
    if confusion.is_dense() {
        return (0..k).map(|i| (0..k).map(|j| confusion.count(i, j)).collect::<Vec<u64>>()).collect();
    }
    let cells = confusion.cells().map(|(i, j, count)| json!([i, j, count]));
    json!({"n_classes": k, "cells": cells.collect::<Vec<_>>()})
}
