//! `burn-svm gradcheck`

use super::output::{self, number};
use super::{Failure, GradcheckArgs, LOUD, own_gradient, print, print_json};
use crate::config::LoadedConfig;
use crate::durable::Output;
use crate::gradcheck::{Coordinate, DeviceComparison, Judgement, Profile, Report, RowCheckInput, check_rows};
use crate::model::Classifier;
use crate::plot::{canvas, kink};
use crate::run::{self, RunError};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// Pictures of kinks.
const PICTURES: usize = 4;

pub(super) fn run(args: &GradcheckArgs) -> Result<ExitCode, Failure> {
    match &args.config {
        Some(config) => of_config(args, config),
        None => own_gradient::run(&args.own, args.json),
    }
}

fn of_config(args: &GradcheckArgs, config: &Path) -> Result<ExitCode, Failure> {
    let config = LoadedConfig::load(config, &args.changes.overrides(None)).map_err(RunError::from)?;
    let device = run::open_device(&config).map_err(RunError::from)?;
    let model = args.model.as_deref().map(Classifier::load).transpose().map_err(RunError::from)?;
    let prepared = run::prepare(&config)?;
    if let Some(model) = &model {
        fits(model, &prepared)?;
    }
    prepared.notes.iter().for_each(|note| LOUD.note(note));
    let given = model.as_ref().map(Classifier::narrow);
    let report = check_rows(&RowCheckInput {
        source: prepared.source(),
        rows: &prepared.split.train,
        n_classes: prepared.data.n_classes(),
        objective: &prepared.objective,
        weight: given.as_ref().map(|(weight, _)| weight.as_slice()),
        bias: given.as_ref().and_then(|(_, bias)| bias.as_deref()),
        device: &device,
        coordinates: args.coordinates,
        step: args.h,
        profiles: if args.plot.is_some() { PICTURES } else { 0 },
        seed: config.run.seed,
    })
    .map_err(RunError::from)?;
    if args.json {
        print_json(&report)?;
    } else {
        print(&text(&report))?;
    }
    if let Some(folder) = &args.plot {
        draw(folder, &report.profiles)?;
    }
    if report.verdict.passed {
        return Ok(ExitCode::SUCCESS);
    }
    output::error("the gradients disagree", report.verdict.cause.as_deref());
    Ok(ExitCode::FAILURE)
}

/// A PNG and an SVG for each kink.
fn draw(folder: &Path, profiles: &[Profile]) -> Result<(), Failure> {
    if profiles.is_empty() {
        LOUD.note("no coordinate met a kink: another `--set seed=N`, more --coordinates or a larger --h may");
        return Ok(());
    }
    let failed = |file: &Path| {
        let to = file.display().to_string();
        move |source| Failure::Output { to, source }
    };
    std::fs::create_dir_all(folder).map_err(failed(folder))?;
    for (profile, number) in profiles.iter().zip(1..) {
        let Some(figure) = kink::figure(profile) else { continue };
        let pictures = [("png", canvas::png(&figure)), ("svg", canvas::svg(&figure).map(String::into_bytes))];
        for (ending, bytes) in pictures {
            let file = folder.join(format!("kink-{number}.{ending}"));
            let bytes = bytes.map_err(|e| failed(&file)(std::io::Error::other(e)))?;
            let mut out = Output::open(&file, &[]).map_err(failed(&file))?;
            out.write_all(&bytes).and_then(|()| out.finish()).map_err(failed(&file))?;
        }
        LOUD.line(&format!("drawn: {} ({})", folder.join(format!("kink-{number}.svg")).display(), profile.parameter));
    }
    Ok(())
}

/// Refuses a model of another shape than the data.
fn fits(model: &Classifier, prepared: &run::PreparedData) -> Result<(), RunError> {
    let (d, k) = (prepared.data.features.n_features(), prepared.data.n_classes());
    if (model.n_features(), model.n_classes()) == (d, k) {
        return Ok(());
    }
    Err(RunError::Mismatch {
        problem: format!("the model is [{}, {}], the data needs [{d}, {k}]", model.n_features(), model.n_classes()),
        hint: "check a model on the data of its own configuration".into(),
    })
}

fn text(report: &Report) -> String {
    let mut out = String::new();
    let Report { loss, n_samples, n_features, n_classes, losses, .. } = report;
    let _ = writeln!(out, "{loss} on {n_samples} training rows, {n_features} features, {n_classes} classes\n");
    let expected = losses.expected_at_zero.map_or_else(String::new, |e| {
        let verdict = if losses.zero_is_right() { "exactly as it must be" } else { "WRONG" };
        format!("   expected {}: {verdict}", number(e))
    });
    let _ = writeln!(out, "loss at W = 0              {}{expected}", number(losses.at_zero));
    let _ = writeln!(out, "loss at W = 1e-4 * randn   {}", number(losses.at_random));
    for (regularised, title) in [(false, "without the regulariser"), (true, "with the regulariser")] {
        let lines: Vec<&Coordinate> = report.coordinates.iter().filter(|c| c.regularised == regularised).collect();
        if lines.is_empty() {
            continue;
        }
        let strength = if regularised { format!(", lambda {}", number(report.lambda)) } else { String::new() };
        let _ = writeln!(out, "\n{title}{strength}");
        lines.iter().for_each(|line| {
            let _ = writeln!(out, "{line}");
        });
    }
    if report.coordinates.iter().any(|c| !c.kinks.is_empty() || c.judgement == Judgement::KinkUnresolved) {
        out.push_str(
            "\nA kink: within the step the loss of the named row changes its slope, so that a centred difference is not the\n\
             gradient there (`centred`, and its error); the row was differenced on the side without the kink.\n",
        );
    }
    if let Some(device) = &report.device {
        out.push_str(&device_text(device));
    }
    let _ = writeln!(out, "\nwhole gradient in f64: autodiff against analytic {:.1e}", report.autodiff_vs_analytic);
    let verdict = if report.verdict.passed { "passed" } else { "FAILED" };
    let _ = writeln!(out, "{verdict}: {}", report.verdict);
    out
}

fn device_text(device: &DeviceComparison) -> String {
    let mut out = format!("\nwhole gradient on {} in {}, {} rows\n", device.device, device.precision, device.n_samples);
    let mut line = |name: &str, error: f64| {
        let _ = writeln!(out, "  {name:<26} {error:.1e}   (at most {:.0e})", device.tolerance);
    };
    line("autodiff against analytic", device.autodiff_vs_analytic);
    line("autodiff against f64", device.autodiff_vs_reference);
    line("analytic against f64", device.analytic_vs_reference);
    if let Some(fused) = device.fused_vs_reference {
        line("fused against f64", fused);
    }
    out
}
