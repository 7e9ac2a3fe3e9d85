//! Definitions of the commands: arguments, their help and examples.

use super::numbers;
use super::own_gradient::OwnArgs;
use super::pack::PackArgs;
use crate::bounded::Fraction;
use crate::config::parse_assignment;
use crate::device::DeviceName;
use crate::export::ExportFormat;
use crate::fetch::FetchName;
use crate::format::{Format, limit};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use toml_edit::Value;

const AFTER_HELP: &str = "\
Examples:
  burn-svm init measurements.csv --label species
  burn-svm train measurements.toml --out runs/mine
  burn-svm evaluate runs/mine
  burn-svm predict runs/mine new.csv

Exit codes: 0 done; 1 failed; 2 usage, configuration, device or a path that is not there; 130 after Ctrl-C.";

/// Multiclass linear support vector machines, on CPU or GPU, with a proof of how close each model is to the best one
#[derive(Debug, Parser)]
#[command(name = "burn-svm", version, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
    /// Memory limit for data and training, e.g. 500M or 8G [default: 3/4 of the machine's memory]
    #[arg(long, global = true, value_name = "BYTES", value_parser = limit::parse)]
    pub(super) memory: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Look at a data file and write a configuration for it
    Init(InitArgs),
    /// Train a model from a configuration file
    Train(TrainArgs),
    /// Measure a model: accuracy, top-k, per-class table, confusion matrix, loss
    Evaluate(EvaluateArgs),
    /// Prove how far a model is from the optimum of its objective
    Certify(CertifyArgs),
    /// Predict the label of each row of a file
    Predict(PredictArgs),
    /// List the largest weights of each class by feature name
    Weights(WeightsArgs),
    /// Compare numerical, analytic and autodiff gradients
    Gradcheck(GradcheckArgs),
    /// Write data as blocks, to be read faster, or block by block where they exceed memory
    Pack(PackArgs),
    /// Train the combinations of a [search] table, and rank them
    Search(SearchArgs),
    /// Redraw the figures of a finished run or search
    Plot(PlotArgs),
    /// Write one self-contained HTML page about a run or a search, into its folder
    Report(ReportArgs),
    /// Convert a model for another program: NumPy, LIBLINEAR, ONNX
    Export(ExportArgs),
    /// Download a public data set and check it
    Fetch(FetchArgs),
    /// List the backends of this build and the devices of this machine
    Devices(DevicesArgs),
    /// Check a device against the f64 reference on the host
    Selfcheck(SelfcheckArgs),
    /// Print every key of a configuration with its meaning, default and range
    #[command(after_help = "Example:\n  burn-svm reference | less")]
    Reference,
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page (roff)
    #[command(after_help = "Example:\n  burn-svm man > burn-svm.1 && man ./burn-svm.1")]
    Man,
}

pub(super) fn assignment(text: &str) -> Result<(Vec<String>, Value), String> {
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
pub(super) struct ConfigArgs {
    /// Configuration file (TOML); `burn-svm reference` explains every key
    #[arg(value_name = "CONFIG.toml")]
    pub(super) config: PathBuf,
    #[command(flatten)]
    pub(super) changes: Overrides,
}

/// Changes of a configuration.
#[derive(Debug, Args)]
pub(super) struct Overrides {
    /// Override a key of the configuration, e.g. solver.sgd.learning_rate=1e-6; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    pub(super) set: Vec<(Vec<String>, Value)>,
    /// Device: flex, ndarray, wgpu, wgpu:cpu, wgpu:0, vulkan, cuda:0, ... [default: that of the configuration, or flex]
    #[arg(long, value_name = "D")]
    pub(super) device: Option<DeviceName>,
}

impl Overrides {
    pub(super) fn overrides(&self, threads: Option<usize>) -> Vec<(Vec<String>, Value)> {
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
#[command(after_help = "\
Examples:
  burn-svm train configs/quickstart.toml --out runs/digits
  burn-svm train configs/dual.toml --set objective.c=0.1 --threads 1
  burn-svm train runs/digits/config.toml --out runs/digits --resume")]
pub(super) struct TrainArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// CPU threads, 0 for all cores [default: that of the configuration, or 0]
    #[arg(long, value_name = "N", value_parser = count)]
    pub(super) threads: Option<usize>,
    /// Run folder [default: runs/<config name>-<time>]
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Overwrite the run in --out
    #[arg(long, conflicts_with = "resume")]
    pub(super) force: bool,
    /// Resume the run in --out from its last checkpoint; without --out, the newest run of this configuration in runs/
    #[arg(long)]
    pub(super) resume: bool,
    /// Write event files for TensorBoard into the folder tensorboard of the run
    #[arg(long)]
    pub(super) tensorboard: bool,
    /// Keep a page in the run folder that shows curves and templates while the run goes, and reloads itself in a browser
    #[arg(long)]
    pub(super) watch: bool,
    /// Read the data, print what would be trained and how much memory that takes, and train nothing
    #[arg(long, conflicts_with_all = ["resume", "force", "tensorboard", "watch"])]
    pub(super) dry_run: bool,
    /// Print only warnings and errors
    #[arg(long, short)]
    pub(super) quiet: bool,
    /// Print the result as a JSON object on stdout
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  burn-svm search configs/search-cs231n.toml --out runs/grid
  burn-svm search configs/search-cs231n.toml --out runs/grid --resume")]
pub(super) struct SearchArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// CPU threads, 0 for all cores [default: that of the configuration, or 0]
    #[arg(long, value_name = "N", value_parser = count)]
    pub(super) threads: Option<usize>,
    /// Folder of the search [default: runs/<config name>-<time>]
    #[arg(long, value_name = "DIR", required_if_eq("resume", "true"))]
    pub(super) out: Option<PathBuf>,
    /// Resume the search in --out
    #[arg(long, conflicts_with = "force")]
    pub(super) resume: bool,
    /// Overwrite the search in --out
    #[arg(long)]
    pub(super) force: bool,
    /// Print only warnings and errors
    #[arg(long, short)]
    pub(super) quiet: bool,
    /// Print the result as a JSON object on stdout
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  burn-svm evaluate runs/digits
  burn-svm evaluate runs/mine --data new.csv --json")]
pub(super) struct EvaluateArgs {
    /// Run folder, model.safetensors, or a model file of LIBLINEAR
    #[arg(value_name = "MODEL")]
    pub(super) model: PathBuf,
    /// File with labels, or a configuration, whose test rows are taken (else its validation rows, else its train rows) [default: the configuration of the run]
    #[arg(long, value_name = "CONFIG-OR-FILE")]
    pub(super) data: Option<PathBuf>,
    /// Number of largest scores for top-k accuracy
    #[arg(long, value_name = "K", default_value = "5", value_parser = count)]
    pub(super) top: usize,
    /// Print a JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  burn-svm certify runs/mnist
  burn-svm certify liblinear.model --data config.toml --gap 1e-4")]
pub(super) struct CertifyArgs {
    /// Run folder, model.safetensors, or a model file of LIBLINEAR
    #[arg(value_name = "MODEL")]
    pub(super) model: PathBuf,
    /// File with labels, or a configuration, whose training rows and objective are taken [default: the configuration of the run]
    #[arg(long, value_name = "CONFIG-OR-FILE")]
    pub(super) data: Option<PathBuf>,
    /// Relative duality gap at which tightening the bound stops
    #[arg(long, value_name = "G", default_value = "1e-3", value_parser = gap)]
    pub(super) gap: Fraction,
    /// Maximum number of epochs of the exact solver
    #[arg(long, value_name = "N", default_value = "1000")]
    pub(super) epochs: NonZeroUsize,
    /// CPU threads, 0 for all cores [default: 0]
    #[arg(long, value_name = "N", value_parser = numbers::threads)]
    pub(super) threads: Option<usize>,
    /// Print a JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// Layout of predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PredictionLayout {
    /// The label, then numbers behind tabs; no header
    Plain,
    /// A header, then a line for each row
    Csv,
    /// A JSON object for each row
    Jsonl,
    /// A table of typed columns; needs --out
    Parquet,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  burn-svm predict runs/mine new.csv
  burn-svm predict runs/mine new.csv --output csv --keep id --probabilities --out labels.csv
  burn-svm predict runs/mine new.parquet --output parquet --keep id --scores --out labels.parquet
  zcat rows.csv.gz | burn-svm predict runs/mine - --scores")]
pub(super) struct PredictArgs {
    /// Run folder, model.safetensors, or a model file of LIBLINEAR
    #[arg(value_name = "MODEL")]
    pub(super) model: PathBuf,
    /// Data file, or - for standard input
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Format of FILE [default: detected from its content]
    #[arg(long, value_name = "F")]
    pub(super) format: Option<Format>,
    /// Take the first line of csv text as a header [default: detected; rows without one have the features in the order of training]
    #[arg(long)]
    pub(super) header: bool,
    /// Add the score of every class
    #[arg(long)]
    pub(super) scores: bool,
    /// Add the probability of every class; needs a model trained with [calibration]
    #[arg(long, conflicts_with = "scores")]
    pub(super) probabilities: bool,
    /// Layout of the output
    #[arg(long, value_name = "LAYOUT", default_value = "plain")]
    pub(super) output: PredictionLayout,
    /// Column to carry along, by name or number (of an npz: an array); may be repeated
    #[arg(long, value_name = "COLUMN")]
    pub(super) keep: Vec<String>,
    /// Output file, or - for stdout [default: -]
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  burn-svm weights runs/mine --top 10
  burn-svm weights runs/mine --json")]
pub(super) struct WeightsArgs {
    /// Run folder, model.safetensors, or a model file of LIBLINEAR
    #[arg(value_name = "MODEL")]
    pub(super) model: PathBuf,
    /// Number of features listed for each class
    #[arg(long, value_name = "N", default_value = "20")]
    pub(super) top: NonZeroUsize,
    /// Print a JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  burn-svm gradcheck configs/cs231n.toml --plot kinks
  burn-svm gradcheck configs/quickstart.toml --device wgpu --coordinates 5
  burn-svm gradcheck --mine dW.npy --weights W.npy --data X.npy --labels y.npy --reg 5e1")]
pub(super) struct GradcheckArgs {
    /// Configuration file (TOML), unless a gradient of your own is given by --mine
    #[arg(value_name = "CONFIG.toml", required_unless_present = "mine")]
    pub(super) config: Option<PathBuf>,
    #[command(flatten)]
    pub(super) changes: Overrides,
    /// Number of coordinates of the gradient to check
    #[arg(long, value_name = "N", default_value = "20", value_parser = numbers::coordinates)]
    pub(super) coordinates: usize,
    /// Check at the weights of this model [default: random weights]
    #[arg(long, value_name = "MODEL")]
    pub(super) model: Option<PathBuf>,
    /// Step of the finite differences
    #[arg(long, value_name = "H", default_value = "1e-5", value_parser = numbers::step)]
    pub(super) h: f64,
    /// Folder for pictures of the loss along the first coordinates that meet a kink
    #[arg(long, value_name = "DIR")]
    pub(super) plot: Option<PathBuf>,
    #[command(flatten)]
    pub(super) own: OwnArgs,
    /// Print a JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  burn-svm plot runs/digits --format svg")]
pub(super) struct PlotArgs {
    /// Folder of a run or a search
    #[arg(value_name = "RUN_DIR")]
    pub(super) run: PathBuf,
    /// File format
    #[arg(long, value_name = "F", default_value = "both")]
    pub(super) format: crate::plot::FigureFormat,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  burn-svm report runs/digits")]
pub(super) struct ReportArgs {
    /// Folder of a run or a search
    #[arg(value_name = "RUN_DIR")]
    pub(super) folder: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  burn-svm fetch mnist")]
pub(super) struct FetchArgs {
    /// Data set
    #[arg(value_name = "DATASET")]
    pub(super) dataset: FetchName,
    /// Folder in which the folder of the data set is made
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub(super) dir: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  burn-svm export runs/digits --to onnx digits.onnx")]
pub(super) struct ExportArgs {
    /// Run folder, model.safetensors, or a model file of LIBLINEAR
    #[arg(value_name = "MODEL")]
    pub(super) model: PathBuf,
    /// File format
    #[arg(long, value_name = "FORMAT")]
    pub(super) to: ExportFormat,
    /// Output file, or - for stdout
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  burn-svm devices
  burn-svm devices --measure --threads 1")]
pub(super) struct DevicesArgs {
    /// Measure memory bandwidth and multiply-adds a second of the processor; takes some seconds and 512 MB
    #[arg(long)]
    pub(super) measure: bool,
    /// Threads to measure with [default: all cores]
    #[arg(long, value_name = "N", requires = "measure", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
    /// Print a JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  burn-svm selfcheck --device wgpu")]
pub(super) struct SelfcheckArgs {
    /// Device: flex, ndarray, wgpu, wgpu:cpu, wgpu:0, vulkan, cuda:0, ... [default: flex]
    #[arg(long, value_name = "D")]
    pub(super) device: Option<DeviceName>,
    /// Print a JSON object
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  burn-svm completions bash > ~/.local/share/bash-completion/completions/burn-svm
  burn-svm completions zsh > ~/.zfunc/_burn-svm")]
pub(super) struct CompletionsArgs {
    /// Shell
    #[arg(value_name = "SHELL")]
    pub(super) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  burn-svm init penguins.csv --label species
  burn-svm init data.parquet --out first.toml && burn-svm train first.toml")]
pub(super) struct InitArgs {
    /// Data file, or a folder of images
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Column of the label, by name or by number from 1 [default: one that is called like a label, else the last]
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub(super) label: Option<String>,
    /// Configuration to write, or - for stdout [default: the name of FILE with .toml, in the working directory]
    #[arg(long, value_name = "CONFIG.toml")]
    pub(super) out: Option<PathBuf>,
    /// Overwrite a configuration that is there
    #[arg(long)]
    pub(super) force: bool,
}
