//! `burn-svm train`

use super::output::{self, Messages, in_shell};
use super::progress::ProgressDisplay;
use super::{Failure, TrainArgs, print, print_json, print_json_text, train_blocks};
use crate::config::LoadedConfig;
use crate::device::OpenDevice;
use crate::report::watch::WatchPage;
use crate::run::advice;
use crate::run::blocks::LargeData;
use crate::run::folder;
use crate::run::record::{self, RunFolder, RunResult};
use crate::run::resume::{self, FolderState};
use crate::run::{self, FinishedRun, PreparedData, RunError};
use crate::shown;
use crate::solver::{SolverConfig, StopReason};
use std::path::Path;
use std::process::ExitCode;

use super::progress::INTERRUPTED;

const ENDLESS: &str = "the temperature is at the end of its range: the validation rows are all predicted right, or as if at \
                       random; hold out more rows, or use `method = \"platt\"`, which stays finite";

pub(super) fn run(args: &TrainArgs) -> Result<ExitCode, Failure> {
    let messages = Messages { quiet: args.quiet };
    let config = LoadedConfig::load(&args.config.config, &args.config.changes.overrides(args.threads))
        .map_err(RunError::from)?;
    // Asked before the data are read, and again of the rows that there are.
    run::check_choice(&config, config.run.split.validation.rows_of(usize::MAX)).map_err(RunError::from)?;
    let device = run::open_device(&config).map_err(RunError::from)?;
    let path = args
        .out
        .clone()
        .or_else(|| resume::newest_folder(&config.name()).filter(|_| args.resume))
        .unwrap_or_else(|| record::fresh_folder(&config.name()));
    // Asked first, because a run that cannot be kept is not worth reading the data for; made last, so that data that cannot
    // be read leaves no folder behind.
    RunFolder::check(&path, args.force || args.resume).map_err(RunError::from)?;
    let standing =
        if args.resume { resume::standing(&path, &config).map_err(RunError::from)? } else { FolderState::Fresh };
    if let FolderState::Finished(result) = &standing {
        messages.note(&format!("{}: the run is finished, nothing is left to do", path.display()));
        run::blocks::sweep(&path)?;
        return again(args, result, &path);
    }
    if let Some(folder) = run::blocks::find(&config)? {
        return train_blocks::run(args, &config, &device, &path, LargeData::Packed(Box::new(folder)));
    }
    let prepared = match run::prepare(&config) {
        Err(error) if run::blocks::is_too_large(&config, &error) => {
            return train_blocks::run(args, &config, &device, &path, LargeData::Files);
        }
        prepared => prepared?,
    };
    run::check_choice(&config, prepared.split.validation.len()).map_err(RunError::from)?;
    if args.dry_run {
        announce(messages, &prepared, &device);
        print(&plan(&config, &prepared, &path))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut folder = match standing {
        FolderState::Stopped => {
            let resumed = resume::resume(&path, &config, &prepared, device.label()).map_err(RunError::from)?;
            resumed.notes.iter().for_each(|note| messages.warning(note));
            messages.note(&format!("resuming from {}", resumed.from));
            resumed.folder
        }
        FolderState::Fresh | FolderState::Finished(_) => {
            if args.resume {
                messages.note(&format!("{}: there is no checkpoint, the run begins", path.display()));
            }
            RunFolder::create(&path, &config.text, args.force || args.resume).map_err(RunError::from)?
        }
    };
    if args.tensorboard {
        folder.write_events().map_err(RunError::from)?;
    }
    announce(messages, &prepared, &device);
    if let Some(warning) = unstable(&config, &prepared) {
        messages.warning(&warning);
    }
    let mut progress = ProgressDisplay::new(messages, super::progress::on_ctrl_c());
    if args.watch {
        let watch = WatchPage::begin(&path, &prepared)?;
        messages.note(&format!("watch the run: open {} in a browser", watch.file().display()));
        progress.watched_by(watch);
    }
    let finished = run::train(&config, &prepared, &device, &mut folder, &mut progress);
    progress.finish();
    if let Some(watch) = progress.take_watch() {
        watch.end(finished.as_ref().ok().map(|finished| &finished.result))?;
    }
    if finished.is_err() && resume::has_checkpoint(&path) {
        messages.note(&format!("the last checkpoint is kept. To resume: {}", command(&path)));
    }
    conclude(args, &config, &finished?, prepared.strength.reg, &path)
}

/// Draws and prints what a run has left, and tells how it ended.
pub(super) fn conclude(
    args: &TrainArgs,
    config: &LoadedConfig,
    finished: &FinishedRun,
    reg: f64,
    path: &Path,
) -> Result<ExitCode, Failure> {
    let messages = Messages { quiet: args.quiet };
    if finished.result.calibration.as_ref().is_some_and(|c| c.temperature_at_end) {
        messages.warning(ENDLESS);
    }
    report(args, &finished.result, &finished.stop.to_string(), path)?;
    finished.remark.iter().for_each(|remark| messages.note(remark));
    Ok(match finished.stop {
        StopReason::Finished | StopReason::GapReached | StopReason::GradientReached | StopReason::EarlyStopping => {
            if let Some(warning) = far(&finished.result, finished.stop) {
                messages.warning(&warning);
            }
            ExitCode::SUCCESS
        }
        StopReason::EpochLimit | StopReason::TimeLimit | StopReason::NoProgress => {
            messages.warning(&stopped_short(config, &finished.result));
            ExitCode::SUCCESS
        }
        StopReason::Interrupted => {
            let to_go_on = command(path);
            messages.note(&format!("stopped early; the model as it stood is in the run folder. To resume: {to_go_on}"));
            ExitCode::from(INTERRUPTED)
        }
        StopReason::Diverged { step } => {
            output::error(
                &format!("the run diverged, seen at step {step}; no model was written"),
                Some(&advice::after_divergence(config, reg)),
            );
            ExitCode::FAILURE
        }
    })
}

/// The training that would follow: objective, solver, memory and run folder.
fn plan(config: &LoadedConfig, prepared: &PreparedData, path: &Path) -> String {
    let PreparedData { objective, strength, data, load, forecast, .. } = prepared;
    let c = strength.c.map_or_else(|| "-".into(), output::number);
    let megabytes = |bytes: f64| format!("{:.0} MB", (bytes / 1e6).ceil());
    #[allow(clippy::cast_precision_loss)]
    let rows = data.features.bytes() as f64;
    let facts = [
        ("loss", objective.loss.to_string()),
        (
            "strength",
            format!("lambda {}, reg {}, C {c}", output::number(strength.lambda), output::number(strength.reg)),
        ),
        ("solver", config.run.solver.name().to_owned()),
        ("memory", format!("rows {}, training at least {}", megabytes(rows), megabytes(*forecast))),
        ("time", format!("load {:.2} s", load.as_secs_f64())),
        ("run", format!("{}, not made", path.display())),
    ];
    facts.iter().map(|(name, value)| format!("{name:<12} {value}\n")).collect()
}

/// The command that resumes a run.
pub(super) fn command(path: &Path) -> String {
    format!("burn-svm train {} --out {} --resume", in_shell(&path.join("config.toml")), in_shell(path))
}

/// Draws the figures and prints the result.
fn report(args: &TrainArgs, result: &RunResult, stop: &str, path: &Path) -> Result<(), Failure> {
    crate::plot::draw(path, crate::plot::FigureFormat::default())?;
    if args.json {
        print_json(result)?;
    } else if !args.quiet {
        print(&output::summary(result, stop, &path.display().to_string()))?;
    }
    Ok(())
}

/// Repeats the result of a finished run.
fn again(args: &TrainArgs, result: &RunResult, path: &Path) -> Result<ExitCode, Failure> {
    if args.json {
        // As it was written: a number that is read need not be printed the same.
        let text = folder::read_text(path, "result.json").map_err(RunError::from)?;
        print_json_text(&text.unwrap_or_default())?;
    } else {
        report(args, result, &result.stop_reason.replace('_', " "), path)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Advice for a run by gradients that has made all its steps far from the optimum.
fn far(result: &RunResult, stop: StopReason) -> Option<String> {
    /// Relative gaps up to which accuracies are mostly those of the optimum.
    const NEAR: f64 = 0.5;
    let gap = result.relative_gap.filter(|&gap| gap > NEAR && stop == StopReason::Finished)?;
    Some(format!(
        "all steps were made, and the objective may still be {} the optimum: try a larger `learning_rate` with `schedule = \"cosine\"`, more \
         `epochs`, or features of one scale (`--set preprocess.center=mean --set preprocess.scale=std`); `[solver.dual]` finds the optimum \
         and has no learning rate",
        shown::above(gap, output::number)
    ))
}

/// State of a solution that misses its goal, the likely reason, and the command that helps.
fn stopped_short(config: &LoadedConfig, result: &RunResult) -> String {
    if let Some(points) = &result.path {
        let short: Vec<_> = points.iter().filter(|p| p.stop_reason != StopReason::GapReached.name()).collect();
        let gaps = short.iter().filter_map(|p| p.relative_gap);
        let (short, all, worst) = (short.len(), points.len(), shown::above(gaps.fold(0.0, f64::max), output::number));
        return format!(
            "stopped short for {short} of {all} values of C: the objective may still be {worst} the optimum"
        );
    }
    let Some(gap) = result.relative_gap else {
        return "stopped short: the gradient is not as small as asked for, and the objective may be far above the optimum"
            .into();
    };
    let exhausted = result.stop_reason == StopReason::NoProgress.name();
    let longer = match &config.run.solver {
        _ if exhausted => "more time does not help where the precision is exhausted, a larger `gap` does",
        SolverConfig::Dual(_) => "`--set solver.dual.seconds=600` gives it longer",
        SolverConfig::Newton(_) => "`--set solver.newton.seconds=600` gives it longer",
        SolverConfig::Sgd(_) | SolverConfig::Lbfgs(_) => "`[solver.dual]` finds the optimum",
    };
    format!(
        "stopped short: the objective may still be {} the optimum. Features of different scales and a large C·‖x‖² make a problem hard: \
         `--set preprocess.center=mean --set preprocess.scale=std` gives all features one scale, a smaller `c` regularises more; {longer}",
        shown::above(gap, output::number)
    )
}

fn announce(messages: Messages, prepared: &PreparedData, device: &OpenDevice) {
    let PreparedData { data, split, notes, warnings, .. } = prepared;
    messages.line(&format!(
        "{} train, {} validation, {} test rows; {} features ({}), {} classes; device {}",
        split.train.len(),
        split.validation.len(),
        split.test.len(),
        data.features.n_features(),
        data.features.kind(),
        data.n_classes(),
        device.label(),
    ));
    notes.iter().for_each(|note| messages.note(note));
    warnings.iter().for_each(|warning| messages.warning(warning));
    if device.is_software_adapter() {
        messages.warning("this adapter is software: it computes on the processor, more slowly than `--device flex`");
    }
}

/// Plain SGD with the hinge multiplies the weights by 1 − η·λ each step.
fn unstable(config: &LoadedConfig, prepared: &PreparedData) -> Option<String> {
    let reg = prepared.strength.reg;
    let rate = advice::too_fast(config, reg)?;
    Some(format!(
        "learning_rate {} is not below 1/reg = {}: plain SGD multiplies the weights by {} each step and will diverge",
        output::number(rate),
        output::number(1.0 / reg),
        output::number(1.0 - 2.0 * rate * reg),
    ))
}
