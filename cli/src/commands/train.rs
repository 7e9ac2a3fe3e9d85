//! `burn-svm train`

use super::output::{self, Messages, in_shell};
use super::progress::ProgressDisplay;
use super::{Failure, TrainArgs, print, print_json, print_json_text, train_blocks};
use crate::config::{LoadedConfig, PreprocessConfig};
use crate::data::{Center, Scale};
use crate::device::OpenDevice;
use crate::report::watch::WatchPage;
use crate::run::advice;
use crate::run::blocks::LargeData;
use crate::run::folder;
use crate::run::record::{self, RunFolder, RunResult};
use crate::run::resume::{self, FolderState};
use crate::run::{self, FinishedRun, PreparedData, RunError};
use crate::shown;
use crate::solver::{Finish, SolverConfig, StopReason};
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
    report(args, &finished.result, &ends(&finished.result, finished.stop), path)?;
    finished.remark.iter().for_each(|remark| messages.note(remark));
    Ok(match finished.stop {
        StopReason::Finished | StopReason::GapReached | StopReason::GradientReached | StopReason::EarlyStopping => {
            if let Some(warning) = far(config, &finished.result, finished.stop) {
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

/// End of a run; of a path, the number of its models that reached the gap.
fn ends(result: &RunResult, stop: StopReason) -> String {
    match &result.path {
        Some(points) if stop != StopReason::Interrupted => {
            let reached = points.iter().filter(|point| point.stop_reason == StopReason::GapReached.name()).count();
            format!("gap reached for {reached} of {} values of C", points.len())
        }
        _ => stop.to_string(),
    }
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

/// Advice for a run by gradients that has ended far from the optimum.
fn far(config: &LoadedConfig, result: &RunResult, stop: StopReason) -> Option<String> {
    /// Relative gaps up to which accuracies are mostly those of the optimum.
    const NEAR: f64 = 0.5;
    let gap = result.relative_gap.filter(|&gap| gap > NEAR)?;
    let still = format!("the objective may still be {} the optimum", distance(gap));
    let scales = scaling(config).map_or_else(String::new, |command| format!(", or features of one scale ({command})"));
    match (&config.run.solver, stop) {
        (SolverConfig::Sgd(_), StopReason::Finished) => Some(format!(
            "all steps were made, and {still}: try a larger `learning_rate` with `schedule = \"cosine\"`, more `epochs`{scales}; \
             `[solver.dual]` finds the optimum and has no learning rate"
        )),
        (SolverConfig::Lbfgs(_), StopReason::GradientReached) => Some(format!(
            "the gradient is as small as asked for, and {still}: try a smaller `tolerance`{scales}; `[solver.dual]` finds the optimum"
        )),
        _ => None,
    }
}

/// Bound of an objective with a relative gap, in words that "the optimum" follows.
fn distance(gap: f64) -> String {
    shown::above(gap, output::number).unwrap_or_else(|| "far above".into())
}

/// The options that give all features one scale, where the run does not have them.
fn scaling(config: &LoadedConfig) -> Option<&'static str> {
    let PreprocessConfig { center, scale, .. } = &config.run.preprocess;
    let has_one = matches!((center, scale), (Center::Mean, Scale::Std) | (_, Scale::Minmax | Scale::UnitRow));
    (!has_one).then_some("`--set preprocess.center=mean --set preprocess.scale=std`")
}

/// State of a solution that misses its goal, the likely reason, and the command that helps.
fn stopped_short(config: &LoadedConfig, result: &RunResult) -> String {
    /// Relative gaps near the end of double precision.
    const FINE: f64 = 1e-6;
    let (mut which, mut gap, mut stop) = (String::new(), result.relative_gap, result.stop_reason.as_str());
    if let Some(points) = &result.path {
        let short: Vec<_> = points.iter().filter(|p| p.stop_reason != StopReason::GapReached.name()).collect();
        which = format!(" for {} of {} values of C", short.len(), points.len());
        let worst = short.iter().max_by(|a, b| a.relative_gap.unwrap_or(1.0).total_cmp(&b.relative_gap.unwrap_or(1.0)));
        (gap, stop) = worst.map_or((gap, stop), |point| (point.relative_gap, point.stop_reason.as_str()));
    }
    let Some(gap) = gap else {
        return "stopped short: the gradient is not as small as asked for, and the objective may be far above the optimum"
            .into();
    };
    let (exhausted, at_epochs) = (stop == StopReason::NoProgress.name(), stop == StopReason::EpochLimit.name());
    let still = format!("stopped short{which}: the objective may still be {} the optimum", distance(gap));
    if exhausted && gap <= FINE {
        return format!("{still}. Double precision proves little more: a larger `gap` is reached");
    }
    let longer = match &config.run.solver {
        SolverConfig::Dual(dual) if dual.finish == Finish::Never => {
            "`--set solver.dual.finish=auto` lets a method of second order finish"
        }
        SolverConfig::Lbfgs(_) if at_epochs => "more `epochs` give it longer, and `[solver.dual]` finds the optimum",
        SolverConfig::Sgd(_) | SolverConfig::Lbfgs(_) => "`[solver.dual]` finds the optimum",
        _ if exhausted => "more time does not help, a larger `gap` does",
        SolverConfig::Dual(_) if at_epochs => "without `epochs` it goes on until the gap is reached",
        SolverConfig::Dual(_) => "`--set solver.dual.seconds=600` gives it longer",
        SolverConfig::Newton(_) => "`--set solver.newton.seconds=600` gives it longer",
    };
    let reason = match scaling(config) {
        Some(command) => format!(
            "Features of different scales and a large C·‖x‖² make a problem hard: {command} gives all features one scale, a smaller `c` \
             regularises more"
        ),
        None => "A large C·‖x‖² makes a problem hard: a smaller `c` regularises more".into(),
    };
    format!("{still}. {reason}; {longer}")
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
