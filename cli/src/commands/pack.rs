//! `burn-svm pack`

use super::arguments::assignment;
use super::output::Messages;
use super::progress::{self, INTERRUPTED};
use super::{Failure, print, print_json};
use crate::config::LoadedConfig;
use crate::data::blocks::{DataPart, Manifest};
use crate::run::RunError;
use crate::run::pack::{PackResult, pack};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use toml_edit::Value;

/// Time between two lines of progress.
const BETWEEN_LINES: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  burn-svm pack configs/mine.toml --out data/mine-blocks
  burn-svm pack configs/mine.toml --set data.csv.train=big.csv.gz --memory 1G --out data/big")]
pub(in crate::commands) struct PackArgs {
    /// Configuration file (TOML), whose [data.*], `seed` and [preprocess] of words and missing values count
    #[arg(value_name = "CONFIG.toml")]
    config: PathBuf,
    /// Override a key of the configuration, e.g. data.csv.train=big.csv; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    set: Vec<(Vec<String>, Value)>,
    /// Folder of the blocks: a new or an empty one
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Overwrite the blocks in --out
    #[arg(long)]
    force: bool,
    /// Print only warnings and errors
    #[arg(long, short)]
    quiet: bool,
    /// Print the result as a JSON object on stdout
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &PackArgs) -> Result<ExitCode, Failure> {
    let config = LoadedConfig::load(&args.config, &args.set).map_err(RunError::from)?;
    let messages = Messages { quiet: args.quiet || args.json };
    let (stop, start) = (progress::on_ctrl_c(), Instant::now());
    let mut last = start;
    let packed = pack(&config, &args.out, args.force, &mut |rows| {
        if last.elapsed() > BETWEEN_LINES {
            last = Instant::now();
            messages.line(&format!("{rows} rows read, {:.0} s", start.elapsed().as_secs_f64()));
        }
        !stop.load(Ordering::Relaxed)
    })?;
    let Some(PackResult { packed, notes, was_whole }) = packed else {
        messages.note(&format!("stopped early: nothing is left in {}", args.out.display()));
        return Ok(ExitCode::from(INTERRUPTED));
    };
    notes.iter().for_each(|note| messages.note(note));
    if was_whole {
        messages.note("the data were read into memory as a whole: their format, or what is encoded of them, needs it");
    }
    let sizes = PackSizes::of(&packed.manifest, start.elapsed());
    if args.json {
        print_json(&sizes)?;
    } else if !args.quiet {
        print(&sizes.table(&packed.manifest, &args.out.display().to_string()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Sizes of a folder of blocks, as they are printed.
#[derive(serde::Serialize)]
struct PackSizes {
    rows: u64,
    test_rows: u64,
    features: usize,
    classes: usize,
    cells: &'static str,
    blocks: usize,
    bytes: u64,
    bytes_in_memory: u64,
    seconds: f64,
}

impl PackSizes {
    fn of(manifest: &Manifest, time: Duration) -> Self {
        let blocks = || manifest.train.iter().chain(&manifest.test);
        Self {
            rows: manifest.rows(DataPart::Train),
            test_rows: manifest.rows(DataPart::Test),
            features: manifest.features,
            classes: manifest.class_names.len(),
            cells: manifest.cells.name(),
            blocks: blocks().count(),
            bytes: blocks().map(|block| block.bytes).sum(),
            bytes_in_memory: manifest.in_memory(),
            seconds: time.as_secs_f64(),
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn table(&self, manifest: &Manifest, folder: &str) -> String {
        let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
        let weights = if manifest.weights { ", weighted" } else { "" };
        let facts = [
            ("rows", format!("{} train, {} test{weights}", self.rows, self.test_rows)),
            ("features", format!("{} ({}), {} classes", self.features, self.cells, self.classes)),
            (
                "blocks",
                format!("{}, {} ({} in memory)", self.blocks, megabytes(self.bytes), megabytes(self.bytes_in_memory)),
            ),
            ("time", format!("{:.2} s, {:.0} MB/s", self.seconds, self.bytes as f64 / 1e6 / self.seconds.max(1e-9))),
            ("folder", format!("{folder}, for `blocks` of [data]")),
        ];
        facts.iter().map(|(name, value)| format!("{name:<12} {value}\n")).collect()
    }
}
