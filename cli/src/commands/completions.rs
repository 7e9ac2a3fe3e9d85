//! `burn-svm completions` and `burn-svm man`: text that clap makes of the definitions.

use super::{Cli, CompletionsArgs, Failure, print};
use clap::CommandFactory;
use std::process::ExitCode;

pub(super) fn run(args: &CompletionsArgs) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "burn-svm", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

/// The manual: a page of the program, then one of each command.
pub(super) fn man() -> Result<ExitCode, Failure> {
    let mut program = Cli::command();
    program.build();
    let mut text = Vec::new();
    let pages =
        std::iter::once(program.clone()).chain(program.get_subcommands().filter(|c| c.get_name() != "help").cloned());
    for page in pages {
        clap_mangen::Man::new(page)
            .render(&mut text)
            .map_err(|source| Failure::Output { to: "a page".into(), source })?;
    }
    print(&String::from_utf8_lossy(&text))?;
    Ok(ExitCode::SUCCESS)
}
