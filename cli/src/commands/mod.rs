//! The command line: definitions of the commands, and how a failure becomes a sentence and an exit code.
//!
//! All printing is in `output`, one file a command. Imports everything.

mod certify;
mod devices;
mod evaluate;
mod evaluation;
mod export;
mod fetch;
mod gradcheck;
mod numbers;
pub mod output;
mod own_data;
mod plot;
mod predict;
mod progress;
mod refused;
mod report;
mod search;
mod selfcheck;
mod train;

use crate::bounded::Fraction;
use crate::config::parse_assignment;
use crate::device::DeviceName;
use crate::durable::Refusal;
use crate::export::ExportFormat;
use crate::fetch::{FetchError, FetchName};
use crate::format::DataErrorKind;
use crate::format::{Format, limit};
use crate::gradcheck::GradcheckError;
use crate::model::file::ModelFileError;
use crate::model_file;
use crate::plot::PlotError;
use crate::report::ReportError;
use crate::run::{self, RecordError, RunError};
use clap::{Args, Parser, Subcommand};
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use toml_edit::Value;

/// Multiclass linear support vector machines on Burn.
#[derive(Debug, Parser)]
#[command(name = "burn-svm", version, about, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done; 1 failed; 2 usage, configuration, device or a path that is not there; 130 after Ctrl-C."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    /// The memory that the reading of a file, and what a configuration asks for, may take, such as 500M or 8G; three quarters of the machine's by default
    #[arg(long, global = true, value_name = "BYTES", value_parser = limit::parse)]
    memory: Option<u64>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Train a model as a configuration says; leaves a run folder
    Train(TrainArgs),
    /// Measure a model: accuracy, top-k, per-class table, confusion matrix, loss
    Evaluate(EvaluateArgs),
    /// Prove how far a model is from the optimum of its objective
    Certify(CertifyArgs),
    /// Predict the label of each row of a file
    Predict(PredictArgs),
    /// Hold numerical, analytic and autodiff gradients against each other
    Gradcheck(GradcheckArgs),
    /// Search hyper-parameters: the grid or random search of a configuration's [search] table, ranked
    Search(SearchArgs),
    /// Draw the figures of a finished run or search again
    Plot(PlotArgs),
    /// Write one self-contained HTML page about a run or a search
    Report(ReportArgs),
    /// Write a model in the format of another program: NumPy, LIBLINEAR, ONNX
    Export(ExportArgs),
    /// Download the official files of mnist, fashion-mnist or cifar10, and check them
    Fetch(FetchArgs),
    /// List what is compiled in, what this machine has, and which would be used
    Devices(DevicesArgs),
    /// Hold what a device computes against f64 on the host, as a table
    Selfcheck(SelfcheckArgs),
}

fn assignment(text: &str) -> Result<(Vec<String>, Value), String> {
    parse_assignment(text)
}

fn gap(text: &str) -> Result<Fraction, String> {
    let number: f64 = text.parse().map_err(|_| "expected a number in the range [0, 1)".to_owned())?;
    Fraction::new(number).map_err(|e| e.to_string())
}

fn count(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "expected a whole number, zero or more".to_owned())
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// The configuration, TOML; see configs/
    #[arg(value_name = "CONFIG.toml")]
    config: PathBuf,
    /// Set a key of the configuration, for example solver.sgd.learning_rate=1e-6
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    set: Vec<(Vec<String>, Value)>,
    /// Where to compute: flex, ndarray, wgpu, wgpu:cpu, wgpu:0, vulkan, cuda:0 ...
    #[arg(long, value_name = "D")]
    device: Option<DeviceName>,
}

impl ConfigArgs {
    fn overrides(&self, threads: Option<usize>) -> Vec<(Vec<String>, Value)> {
        let mut set = self.set.clone();
        if let Some(device) = self.device {
            set.push((vec!["device".into()], Value::from(device.to_string())));
        }
        if let Some(threads) = threads {
            set.push((vec!["threads".into()], Value::from(i64::try_from(threads).unwrap_or(i64::MAX))));
        }
        set
    }
}

#[derive(Debug, Args)]
struct TrainArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Threads of the CPU; 0 for all cores
    #[arg(long, value_name = "N", value_parser = count)]
    threads: Option<usize>,
    /// The run folder; runs/<config name>-<time> by default
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Overwrite the run that --out holds
    #[arg(long, conflicts_with = "resume")]
    force: bool,
    /// Go on with the run that --out holds, or the newest of this configuration in runs/, from its last checkpoint
    #[arg(long)]
    resume: bool,
    /// Print nothing but warnings and errors
    #[arg(long, short)]
    quiet: bool,
    /// Print the result as a JSON object on stdout
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct SearchArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Threads of the CPU; 0 for all cores
    #[arg(long, value_name = "N", value_parser = count)]
    threads: Option<usize>,
    /// The folder of the search; runs/<config name>-<time> by default
    #[arg(long, value_name = "DIR", required_if_eq("resume", "true"))]
    out: Option<PathBuf>,
    /// Take up the search that --out holds, where it was stopped or killed
    #[arg(long, conflicts_with = "force")]
    resume: bool,
    /// Overwrite the search that --out holds
    #[arg(long)]
    force: bool,
    /// Print nothing but warnings and errors
    #[arg(long, short)]
    quiet: bool,
    /// Print the result as a JSON object on stdout
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct EvaluateArgs {
    /// A run folder, its model.safetensors, or a model file of LIBLINEAR
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// A configuration (its test, else validation, else train split) or a data file with labels; of a run folder by default what its model was trained on
    #[arg(long, value_name = "CONFIG-OR-FILE")]
    data: Option<PathBuf>,
    /// Also report how often the label is among the K largest scores
    #[arg(long, value_name = "K", default_value = "5", value_parser = count)]
    top: usize,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct CertifyArgs {
    /// A run folder, its model.safetensors, or a model file of LIBLINEAR
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// A configuration (its train split, preprocessing, [objective] and [loss]) or a data file with labels (all rows, for the objective that the model was trained for); of a run folder by default what its model was trained on
    #[arg(long, value_name = "CONFIG-OR-FILE")]
    data: Option<PathBuf>,
    /// Tighten the bound until the exact solver, started from the model, has this relative duality gap
    #[arg(long, value_name = "G", default_value = "1e-3", value_parser = gap)]
    gap: Fraction,
    /// And for no more than this many epochs
    #[arg(long, value_name = "N", default_value = "1000")]
    epochs: NonZeroUsize,
    /// Threads of the CPU; 0 for all cores
    #[arg(long, value_name = "N", value_parser = numbers::threads)]
    threads: Option<usize>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct PredictArgs {
    /// A run folder, its model.safetensors, or a model file of LIBLINEAR
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// A data file, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The format of FILE, where it cannot be told from its content
    #[arg(long, value_name = "F")]
    format: Option<Format>,
    /// Print the score of every class behind the label, separated by tabs
    #[arg(long)]
    scores: bool,
    /// Print the probability of every class behind the label; needs a model trained with [calibration]
    #[arg(long, conflicts_with = "scores")]
    probabilities: bool,
    /// Write to a file instead of stdout; - is stdout
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct GradcheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// How many coordinates of the gradient to check
    #[arg(long, value_name = "N", default_value = "20", value_parser = numbers::coordinates)]
    coordinates: usize,
    /// Check at the weights of a trained model instead of random ones
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct PlotArgs {
    /// The folder of a run or a search
    #[arg(value_name = "RUN_DIR")]
    run: PathBuf,
    /// The files to write
    #[arg(long, value_name = "F", default_value = "both")]
    format: crate::plot::Format,
}

#[derive(Debug, Args)]
struct ReportArgs {
    /// The folder of a run or a search
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

#[derive(Debug, Args)]
struct FetchArgs {
    /// The data set
    #[arg(value_name = "DATASET")]
    dataset: FetchName,
    /// The folder in which the folder of the data set is made; the configurations look in data
    #[arg(long, value_name = "DIR", default_value = "data")]
    dir: PathBuf,
}

#[derive(Debug, Args)]
struct ExportArgs {
    /// A run folder, its model.safetensors, or a model file of LIBLINEAR
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// The format
    #[arg(long, value_name = "FORMAT")]
    to: ExportFormat,
    /// The file to write; - is stdout
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
struct DevicesArgs {
    /// Measure read bandwidth and multiply-add rate of the processor, which takes some seconds and 512 MB
    #[arg(long)]
    measure: bool,
    /// Threads that are measured together [default: all cores]
    #[arg(long, value_name = "N", requires = "measure", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct SelfcheckArgs {
    /// The device to check: flex, ndarray, wgpu, wgpu:cpu, wgpu:0, vulkan, cuda:0 ...
    #[arg(long, value_name = "D")]
    device: Option<DeviceName>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// Why a command ended without doing its work.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Plot(#[from] PlotError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("cannot write to {to}: {source}")]
    Output { to: String, source: std::io::Error },
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match refused::refusal(self) {
            Some(Refusal::TooLarge { .. }) => return 1,
            Some(_) => return 2,
            None => {}
        }
        match self {
            Self::Run(RunError::Config(_) | RunError::Device(_)) => 2,
            Self::Run(RunError::Data(e)) => match e.kind {
                DataErrorKind::Path => 2,
                DataErrorKind::Content => 1,
            },
            Self::Run(RunError::Record(e))
            | Self::Plot(PlotError::Record(e))
            | Self::Report(ReportError::Record(e)) => match e {
                RecordError::Taken { .. }
                | RecordError::NotARun { .. }
                | RecordError::Busy { .. }
                | RecordError::Differs { .. }
                | RecordError::Io { .. } => 2,
                RecordError::Content { .. } => 1,
            },
            Self::Run(RunError::Model(ModelFileError::Io { .. })) => 2,
            Self::Fetch(FetchError::Io { .. } | FetchError::NotCompiledIn { .. }) => 2,
            Self::Fetch(_) => 1,
            Self::Run(RunError::Gradcheck(GradcheckError::NoCpuBackend)) => 2,
            Self::Run(RunError::Model(_) | RunError::Solve(_) | RunError::Gradcheck(_) | RunError::Mismatch { .. })
            | Self::Plot(PlotError::Draw { .. } | PlotError::Model(_))
            | Self::Report(ReportError::Draw { .. } | ReportError::Model(_))
            | Self::Output { .. } => 1,
        }
    }

    fn hint(&self) -> Option<String> {
        if let Some(hint) = refused::hint(self) {
            return Some(hint.to_owned());
        }
        match self {
            Self::Run(RunError::Config(e)) => e.hint.clone(),
            Self::Run(RunError::Device(e)) => Some(e.hint.clone()),
            Self::Run(RunError::Data(e)) => e.hint.clone(),
            Self::Run(RunError::Model(e)) | Self::Plot(PlotError::Model(e)) | Self::Report(ReportError::Model(e)) => {
                Some(model_file::hint(e).to_owned())
            }
            Self::Run(RunError::Mismatch { hint, .. }) => Some(hint.clone()),
            Self::Run(RunError::Gradcheck(e)) => Some(e.hint().to_owned()),
            Self::Fetch(e) => Some(e.hint().to_owned()),
            Self::Run(RunError::Solve(e)) => Some(e.hint().to_owned()),
            Self::Run(RunError::Record(e))
            | Self::Plot(PlotError::Record(e))
            | Self::Report(ReportError::Record(e)) => match e {
                RecordError::Taken { .. } => Some(
                    "go on with it with --resume, name another folder with --out, or overwrite it with --force".into(),
                ),
                RecordError::Busy { .. } => Some("wait for it to end, or name another folder with --out".into()),
                RecordError::Differs { hint, .. } => Some(hint.clone()),
                RecordError::NotARun { .. } => Some("RUN_DIR is a folder that `burn-svm train` made".into()),
                RecordError::Io { .. } => Some("a run folder is a folder that can be written".into()),
                RecordError::Content { .. } => Some("the file was changed or cut off: train again".into()),
            },
            Self::Plot(PlotError::Draw { .. }) | Self::Report(ReportError::Draw { .. }) | Self::Output { .. } => None,
        }
    }
}

/// Parses a command line, whose first word is the name of the program, runs the command, prints what went wrong, and tells the exit code.
#[must_use]
pub fn main<A: Into<OsString> + Clone>(args: impl IntoIterator<Item = A>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(help) => {
            let _ = help.print();
            return ExitCode::from(u8::try_from(help.exit_code()).unwrap_or(2));
        }
    };
    if let Some(bytes) = cli.memory {
        limit::set(bytes);
    }
    match &cli.command {
        // These have a number of threads of their own.
        Command::Train(_) | Command::Search(_) | Command::Gradcheck(_) | Command::Certify(_) => {}
        _ => run::use_threads(0),
    }
    let result = match &cli.command {
        Command::Train(args) => train::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Certify(args) => certify::run(args),
        Command::Predict(args) => predict::run(args),
        Command::Gradcheck(args) => gradcheck::run(args),
        Command::Search(args) => search::run(args),
        Command::Plot(args) => plot::run(args),
        Command::Report(args) => report::run(args),
        Command::Fetch(args) => fetch::run(args),
        Command::Export(args) => export::run(args),
        Command::Devices(args) => devices::run(args),
        Command::Selfcheck(args) => selfcheck::run(args),
    };
    result.unwrap_or_else(|failure| {
        output::error(&failure.to_string(), failure.hint().as_deref());
        ExitCode::from(failure.exit_code())
    })
}

/// Prints to stdout.
fn print(text: &str) -> Result<(), Failure> {
    output::stdout(text).map_err(|source| Failure::Output { to: "standard output".into(), source })
}

const LOUD: output::Messages = output::Messages { quiet: false };

/// Prints JSON text to stdout.
fn print_json_text(text: &str) -> Result<(), Failure> {
    output::json(text).map_err(|source| Failure::Output { to: "standard output".into(), source })
}

/// A JSON value as a line.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    print_json_text(&text)
}
