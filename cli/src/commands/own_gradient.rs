//! `burn-svm gradcheck --mine`: a gradient of one's own, entry by entry.

use super::{Failure, numbers, output, print, print_json};
use crate::format::npy::array;
use crate::format::{DataError, Position};
use crate::gradcheck::{OwnGradient, OwnReport, TOLERANCE, compare_own};
use crate::loss::{Formulation, Loss, Power};
use crate::run::RunError;
use clap::Args;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(super) struct OwnArgs {
    /// Gradient of your own in float64, (features, classes): it is compared entry by entry, and the likely mistake named
    #[arg(long, value_name = "GRAD.npy", requires_all = ["weights", "data", "labels"],
          conflicts_with_all = ["config", "set", "device", "coordinates", "model", "h", "plot"])]
    mine: Option<PathBuf>,
    /// Weights at which it was taken, (features, classes)
    #[arg(long, value_name = "W.npy", requires = "mine")]
    weights: Option<PathBuf>,
    /// Rows that it was taken over, (rows, features), with a column of ones for a bias
    #[arg(long, value_name = "X.npy", requires = "mine")]
    data: Option<PathBuf>,
    /// Class of each row, from 0
    #[arg(long, value_name = "y.npy", requires = "mine")]
    labels: Option<PathBuf>,
    /// Factor of ΣW² in the objective [default: 0]
    #[arg(long, value_name = "R", requires = "mine", value_parser = numbers::not_negative)]
    reg: Option<f64>,
    /// The same as λ of (λ/2)·ΣW²
    #[arg(long, value_name = "L", requires = "mine", conflicts_with = "reg", value_parser = numbers::not_negative)]
    lambda: Option<f64>,
    /// Loss: weston_watkins, crammer_singer or one_vs_rest [default: weston_watkins]
    #[arg(long, value_name = "NAME", requires = "mine", value_parser = formulation)]
    loss: Option<Formulation>,
    /// Margin of the loss [default: 1]
    #[arg(long, value_name = "DELTA", requires = "mine", value_parser = numbers::not_negative)]
    margin: Option<f64>,
    /// Exponent of the margins, 1 or 2 [default: 1]
    #[arg(long, value_name = "P", requires = "mine", value_parser = power)]
    power: Option<Power>,
}

fn formulation(text: &str) -> Result<Formulation, String> {
    let all = [Formulation::WestonWatkins, Formulation::CrammerSinger, Formulation::OneVsRest];
    let found = all.into_iter().find(|loss| loss.name() == text);
    found.ok_or_else(|| "expected `weston_watkins`, `crammer_singer` or `one_vs_rest`".into())
}

fn power(text: &str) -> Result<Power, String> {
    match text {
        "1" => Ok(Power::One),
        "2" => Ok(Power::Two),
        _ => Err("expected 1 or 2".into()),
    }
}

pub(super) fn run(args: &OwnArgs, json: bool) -> Result<ExitCode, Failure> {
    let report = compare(args)?;
    if json {
        print_json(&report)?;
    } else {
        print(&text(&report))?;
    }
    if report.passed {
        return Ok(ExitCode::SUCCESS);
    }
    output::error("the gradient differs", report.cause.as_deref());
    Ok(ExitCode::FAILURE)
}

fn compare(args: &OwnArgs) -> Result<OwnReport, RunError> {
    let OwnArgs { mine: Some(mine), weights: Some(weights), data: Some(data), labels: Some(labels), .. } = args else {
        unreachable!("the parser asks for all four")
    };
    let (gradient, weight, features) = (array::matrix(mine)?, array::matrix(weights)?, array::matrix(data)?);
    let [n_samples, n_features] = features.shape;
    let classes = array::indices(labels)?;
    expect(labels, classes.len() == n_samples, || {
        format!("found {} labels, expected {n_samples}, one a row", classes.len())
    })?;
    let [rows, n_classes] = weight.shape;
    expect(weights, rows == n_features, || {
        format!("found weights of {rows} features, expected {n_features}, as the rows have")
    })?;
    let outside = classes.iter().position(|&class| class >= n_classes);
    if let Some(row) = outside {
        let problem =
            format!("found class {}, expected one below {n_classes}, the columns of the weights", classes[row]);
        return Err(DataError::content(labels, Position::Record(row + 1), problem).into());
    }
    let [rows, columns] = gradient.shape;
    let fits = [[n_features, n_classes], [n_classes, n_features]].contains(&gradient.shape);
    expect(mine, fits, || {
        format!("the shape is ({rows}, {columns}), expected ({n_features}, {n_classes}), that of the weights")
    })?;
    let formulation = args.loss.unwrap_or(Formulation::WestonWatkins);
    let loss = Loss::new(formulation, args.margin.unwrap_or(1.0), args.power.unwrap_or(Power::One));
    let report = compare_own(&OwnGradient {
        gradient: &gradient.values,
        shape: gradient.shape,
        features: &features.values,
        labels: &classes.iter().map(|&class| u32::try_from(class).unwrap_or(u32::MAX)).collect::<Vec<_>>(),
        weight: &weight.values,
        n_classes,
        loss: &loss,
        lambda: args.lambda.unwrap_or(2.0 * args.reg.unwrap_or(0.0)),
        tolerance: TOLERANCE,
    });
    Ok(report?)
}

fn expect(file: &Path, holds: bool, problem: impl FnOnce() -> String) -> Result<(), DataError> {
    if holds { Ok(()) } else { Err(DataError::content(file, Position::File, problem())) }
}

fn text(report: &OwnReport) -> String {
    let OwnReport { loss, n_samples, n_features, n_classes, lambda, .. } = report;
    let mut out = format!(
        "{loss}, lambda {}, on {n_samples} rows, {n_features} features, {n_classes} classes\n",
        output::number(*lambda)
    );
    let wrong = report.worst.iter().filter(|entry| entry.relative_error > TOLERANCE);
    wrong.for_each(|entry| {
        let _ = writeln!(out, "{entry}");
    });
    let _ = writeln!(out, "{}: {report}", if report.passed { "passed" } else { "FAILED" });
    out
}
