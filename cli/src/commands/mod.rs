//! The command line: each command a file, and how it ends.
//!
//! All printing is in `output`. Imports everything.

mod arguments;
mod certify;
mod completions;
mod devices;
mod evaluate;
mod evaluation;
mod export;
mod failure;
mod fetch;
mod gradcheck;
mod init;
mod layout;
mod numbers;
pub mod output;
mod own_data;
mod own_gradient;
mod pack;
mod plot;
mod predict;
mod progress;
mod reference;
mod refused;
mod report;
mod search;
mod selfcheck;
mod train;
mod train_blocks;
mod usage;
mod weights;

use crate::format::limit;
use crate::run;
use arguments::{
    CertifyArgs, Cli, Command, CompletionsArgs, DevicesArgs, EvaluateArgs, ExportArgs, FetchArgs, GradcheckArgs,
    InitArgs, PlotArgs, PredictArgs, PredictionLayout, ReportArgs, SearchArgs, SelfcheckArgs, TrainArgs, WeightsArgs,
};
use clap::Parser;
use failure::Failure;
use std::ffi::OsString;
use std::process::ExitCode;

/// Parses a command line, whose first word is the name of the program, runs the command, prints what went wrong, and tells the exit code.
#[must_use]
pub fn main<A: Into<OsString> + Clone>(args: impl IntoIterator<Item = A>) -> ExitCode {
    let words: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let cli = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(help) => {
            let _ = help.print();
            if let Some(missing) = usage::missing(&help, &words) {
                output::hint(&missing);
            }
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
        Command::Init(args) => init::run(args),
        Command::Train(args) => train::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Certify(args) => certify::run(args),
        Command::Predict(args) => predict::run(args),
        Command::Gradcheck(args) => gradcheck::run(args),
        Command::Pack(args) => pack::run(args),
        Command::Search(args) => search::run(args),
        Command::Plot(args) => plot::run(args),
        Command::Report(args) => report::run(args),
        Command::Fetch(args) => fetch::run(args),
        Command::Export(args) => export::run(args),
        Command::Devices(args) => devices::run(args),
        Command::Selfcheck(args) => selfcheck::run(args),
        Command::Weights(args) => weights::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man => completions::man(),
        Command::Reference => reference::run(),
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
