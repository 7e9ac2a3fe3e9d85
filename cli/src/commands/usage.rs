//! The next step after a command line that lacks an argument.

use super::arguments::Cli;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command, CommandFactory};
use std::ffi::OsString;

/// The meaning of each argument that is missing; `None` where none is.
pub(super) fn missing(error: &clap::Error, words: &[OsString]) -> Option<String> {
    let Some(ContextValue::Strings(names)) = error.get(ContextKind::InvalidArg) else { return None };
    let program = Cli::command();
    let command = words.iter().find_map(|word| program.find_subcommand(word))?;
    let meanings: Vec<String> = names.iter().filter_map(|name| meaning(command, name)).collect();
    (!meanings.is_empty()).then(|| meanings.join("; "))
}

/// `FILE: Data file, or - for standard input`
fn meaning(command: &Command, name: &str) -> Option<String> {
    let is_named = |arg: &&Arg| {
        arg.get_value_names().is_some_and(|values| values.iter().any(|v| name.ends_with(&format!("<{v}>"))))
    };
    let arg = command.get_arguments().find(is_named)?;
    Some(format!("{name} is: {}", arg.get_help()?))
}
