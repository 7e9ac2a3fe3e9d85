//! `burn-svm train` where the rows stay on the disk.

use super::output::Messages;
use super::progress::{self, INTERRUPTED, ProgressDisplay};
use super::{Failure, TrainArgs, print, train};
use crate::config::LoadedConfig;
use crate::device::OpenDevice;
use crate::format::limit;
use crate::run::RunError;
use crate::run::blocks::{self, BlockData, BlockForecast, LargeData};
use crate::run::record::RunFolder;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

pub(super) fn run(
    args: &TrainArgs,
    config: &LoadedConfig,
    device: &OpenDevice,
    path: &Path,
    data: LargeData,
) -> Result<ExitCode, Failure> {
    let messages = Messages { quiet: args.quiet };
    blocks::check(config).map_err(RunError::from)?;
    if args.dry_run {
        print(&plan(config, path, &data))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut folder = open(args, config, path, messages)?;
    if args.tensorboard {
        folder.write_events().map_err(RunError::from)?;
    }
    if args.watch {
        messages.note("--watch: there is no page of a run whose rows stay on the disk");
    }
    let stop = progress::on_ctrl_c();
    let packed = blocks::pack_under(&folder, config, data, &mut |text| messages.note(text), &mut |_| {
        !stop.load(Ordering::Relaxed)
    })?;
    let Some(packed) = packed else {
        messages.note(&format!("stopped before the rows were packed. To resume: {}", train::command(path)));
        return Ok(ExitCode::from(INTERRUPTED));
    };
    let data = BlockData::new(config, packed)?;
    announce(messages, &data, device);
    let mut progress = ProgressDisplay::new(messages, stop);
    let finished = blocks::train(config, &data, device, &mut folder, &mut progress);
    progress.finish();
    if finished.is_err() {
        messages.note(&format!("what was learned is kept. To resume: {}", train::command(path)));
    }
    train::conclude(args, config, &finished?, data.prepared.strength.reg, path)
}

fn open(args: &TrainArgs, config: &LoadedConfig, path: &Path, messages: Messages) -> Result<RunFolder, Failure> {
    if args.resume {
        if let Some((folder, notes)) = blocks::go_on(path, config)? {
            notes.iter().for_each(|note| messages.note(note));
            return Ok(folder);
        }
        messages.note(&format!("{}: the run has kept nothing, it begins", path.display()));
    }
    Ok(blocks::start(path, config, args.force || args.resume)?)
}

/// The training that would follow.
fn plan(config: &LoadedConfig, path: &Path, data: &LargeData) -> String {
    let rows = match data {
        LargeData::Packed(folder) => {
            let manifest = folder.manifest();
            format!("{} blocks, {} in memory", manifest.train.len(), limit::shown(manifest.in_memory()))
        }
        LargeData::Files => "files, packed into blocks under the run folder first".into(),
    };
    let limit = limit::shown(limit::get());
    let memory = match data {
        LargeData::Packed(folder) => {
            let BlockForecast { least, hot } = blocks::forecast(config, folder);
            let hot = if hot > 0 { format!(", and up to {} of hot rows", limit::shown(hot)) } else { String::new() };
            format!("at most {limit}; training at least {}{hot}", limit::shown(least))
        }
        LargeData::Files => format!("at most {limit}"),
    };
    let facts = [
        ("solver", format!("{}, from the disk", config.run.solver.name())),
        ("rows", rows),
        ("memory", memory),
        ("run", format!("{}, not made", path.display())),
    ];
    facts.iter().map(|(name, value)| format!("{name:<12} {value}\n")).collect()
}

fn announce(messages: Messages, data: &BlockData, device: &OpenDevice) {
    let (train, validation, test) = data.counts();
    let rows = &data.prepared.data;
    messages.line(&format!(
        "{train} train, {validation} validation, {test} test rows in {} blocks on the disk; {} features ({}), {} classes; device {}",
        data.folder.manifest().train.len(),
        rows.features.n_features(),
        rows.features.kind(),
        rows.n_classes(),
        device.label(),
    ));
    data.prepared.notes.iter().for_each(|note| messages.note(note));
}
