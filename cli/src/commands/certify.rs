//! `burn-svm certify`

use super::output::{Messages, number};
use super::own_data::own_config;
use super::progress::{self, ProgressDisplay};
use super::{CertifyArgs, Failure, print, print_json};
use crate::device;
use crate::model_file;
use crate::run::certify::{CertifiedModel, TighteningLimits, certify, certify_by};
use crate::run::{self, RunError};
use crate::shown;
use crate::solver::{Certificate, StopReason};
use serde_json::json;
use std::fmt::Write as _;
use std::process::ExitCode;

pub(super) fn run(args: &CertifyArgs) -> Result<ExitCode, Failure> {
    let model = model_file::load(&args.model).map_err(RunError::from)?;
    run::use_threads(args.threads.unwrap_or(0));
    let effort = TighteningLimits { gap: args.gap, epochs: args.epochs, threads: args.threads.map(device::at_most) };
    let mut progress = ProgressDisplay::new(Messages { quiet: args.json }, progress::on_ctrl_c());
    let certified = match &args.data {
        Some(path) => certify(path, &model, effort, &mut progress),
        None => own_config(&args.model, &model, "a configuration, for its train split, [objective] and [loss],")
            .and_then(|config| certify_by(&config, &model, effort, &mut progress)),
    };
    progress.finish();
    let certified = certified?;
    if args.json {
        print_json(&as_json(&certified))?;
    } else {
        print(&text(&certified))?;
    }
    Ok(if certified.proof.fit.stop == StopReason::Interrupted { ExitCode::from(130) } else { ExitCode::SUCCESS })
}

fn as_json(certified: &CertifiedModel) -> serde_json::Value {
    let CertifiedModel { proof, rows, n_samples, objective, strength } = certified;
    json!({
        "rows": rows,
        "n_samples": n_samples,
        "loss": objective.loss.name(),
        "power": i64::from(objective.loss.set.power),
        "margin": objective.loss.margins.constant(),
        "lambda": strength.lambda,
        "reg": strength.reg,
        "c": strength.c,
        "objective": proof.own.primal,
        "own_bound": proof.own.dual,
        "own_relative_gap": proof.own.relative_gap,
        "theta": proof.theta,
        "epochs": proof.fit.epochs,
        "seconds": proof.fit.solve.as_secs_f64(),
        "stop_reason": proof.fit.stop.name(),
        "solver_objective": proof.fit.certificate.map(|c| c.primal),
        "solver_relative_gap": proof.fit.certificate.map(|c| c.relative_gap),
        "dual_objective": proof.tightened.dual,
        "gap": proof.tightened.gap(),
        "relative_gap": proof.tightened.relative_gap,
    })
}

fn text(certified: &CertifiedModel) -> String {
    let CertifiedModel { proof, rows, n_samples, objective, strength } = certified;
    let mut out = String::new();
    let loss = &objective.loss;
    let c = strength.c.map_or_else(|| "infinite".into(), number);
    let _ = writeln!(
        out,
        "{n_samples} rows: {rows}\nobjective    {loss}; lambda {}, reg {}, C {c}",
        number(strength.lambda),
        number(strength.reg),
    );
    let _ = writeln!(out, "model        {}", number(proof.own.primal));
    let _ = writeln!(
        out,
        "own bound    optimum at least {}, relative gap {} (from the model's scores, theta {})",
        shown::at_least(proof.own.dual, number),
        shown::gap(proof.own.relative_gap),
        number(proof.theta),
    );
    let _ = writeln!(
        out,
        "tightened    optimum at least {}, relative gap {}: {}",
        shown::at_least(proof.tightened.dual, number),
        shown::gap(proof.tightened.relative_gap),
        above(proof.tightened),
    );
    if let Some(solver) = proof.fit.certificate {
        let _ = writeln!(
            out,
            "solver       {} epochs, {:.2} s: objective {}, relative gap {} ({})",
            number(proof.fit.epochs),
            proof.fit.solve.as_secs_f64(),
            number(solver.primal),
            shown::gap(solver.relative_gap),
            proof.fit.stop,
        );
    }
    out
}

/// Upper bound of the model's distance to the optimum, in words.
fn above(Certificate { primal, dual, relative_gap }: Certificate) -> String {
    match shown::above(relative_gap, number) {
        Some(above) => format!("the model is at most {above} the optimum"),
        None if dual > 0.0 => "the model may be far above the optimum".into(),
        None => format!("the model is at most {} above the optimum, which may be 0", number(primal - dual)),
    }
}
