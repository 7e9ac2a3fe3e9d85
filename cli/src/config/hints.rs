//! Hints of configuration errors: the key or the command that was probably meant.

use super::error::{ConfigError, Place};
use super::{RunConfig, document};
use crate::suggestion;
use crate::visible;
use std::path::Path;
use toml_edit::{DocumentMut, Item, Value};

/// A serde error at its place, with the key that was probably meant.
pub(super) fn reworded(error: &toml::de::Error, document: &DocumentMut, text: &str, file: &Path) -> ConfigError {
    let place = error.span().map(|span| Place::of(text, &span));
    // Keys come from the file.
    let message = visible::name(error.message().trim()).into_owned();
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let meant = match quoted.split_first() {
        Some((found, expected)) if message.starts_with("unknown") => elsewhere(document, found)
            .or_else(|| suggestion::nearest(found, expected.iter().copied(), suggestion::SIMILAR).map(str::to_owned)),
        _ => None,
    };
    let problem = in_words(&message);
    let hint = match meant {
        Some(name) => format!("did you mean `{name}`?"),
        None => step(document, &quoted, &problem),
    };
    ConfigError::new(file, problem).at(place).with_hint(hint)
}

/// The next step where no key was probably meant.
fn step(document: &DocumentMut, quoted: &[&str], problem: &str) -> String {
    if problem.ends_with("expected a table") {
        return "a table is a line `[NAME]` with its keys below, or `--set NAME.KEY=VALUE` on the command line".into();
    }
    let others = quoted.first().map_or_else(Vec::new, |key| tables_of_others(document, key));
    if !others.is_empty() {
        let tables: Vec<String> = others.iter().map(|table| format!("[{table}]")).collect();
        return format!("a key of {}, which this configuration does not have", tables.join(" and "));
    }
    "`burn-svm reference` lists every key with its default, unit and range".into()
}

/// A message of serde without the names of Rust's types.
fn in_words(message: &str) -> String {
    if message == "wanted string or table" || message.starts_with("invalid type: unit variant") {
        return "expected a table".into();
    }
    let Some((found, expected)) = message.split_once(", expected ").filter(|_| message.starts_with("invalid")) else {
        return message.to_owned();
    };
    let expected = match expected {
        "f64" => "a number",
        "i64" => "a whole number",
        "u64" | "usize" => "a whole number, zero or more",
        "a nonzero usize" => "a whole number, one or more",
        table if table.starts_with("struct ") => "a table",
        other => other,
    };
    format!("{found}, expected {expected}")
}

/// Tables with keys of their own, besides those of the data, the loss and the solver.
const TABLES: [&str; 7] = ["objective", "split", "preprocess", "calibration", "checkpoint", "early_stopping", "search"];

/// The full name of a key that stands at the top, where another table has a key of that name.
fn elsewhere(document: &DocumentMut, key: &str) -> Option<String> {
    let value = document.get(key)?.as_value()?;
    let chosen = ["solver", "loss", "data"].into_iter().flat_map(|name| {
        document::subtables(document, name).into_iter().map(move |table| vec![name.to_owned(), table])
    });
    let tables = chosen.chain(TABLES.into_iter().map(|table| vec![table.to_owned()]));
    let names = [key.to_owned(), key.to_lowercase()];
    let paths = tables.flat_map(|table| names.clone().map(|name| [table.clone(), vec![name]].concat()));
    { paths }.find(|path| fits(document, key, path, value)).map(|path| path.join("."))
}

/// Tables of other solvers and losses that have the key which stands at the top.
fn tables_of_others(document: &DocumentMut, key: &str) -> Vec<String> {
    let Some(value) = document.get(key).and_then(Item::as_value) else { return Vec::new() };
    let tables = ["solver", "loss"]
        .into_iter()
        .flat_map(|room| variants(room).into_iter().map(move |name| [room.to_owned(), name]));
    let have = tables.filter(|[room, name]| {
        let mut tried = document.clone();
        tried.remove(room);
        fits(&tried, key, &[room.clone(), name.clone(), key.to_owned()], value)
    });
    have.map(|table| table.join(".")).collect()
}

/// The tables of which a room takes one, as serde lists them.
fn variants(room: &str) -> Vec<String> {
    let Err(error) = toml::from_str::<RunConfig>(&format!("{room} = \"\"")) else { return Vec::new() };
    error.message().split('`').skip(1).step_by(2).skip(1).map(str::to_owned).collect()
}

/// Whether a table has a key, which now stands at the top of the document.
fn fits(document: &DocumentMut, key: &str, path: &[String], value: &Value) -> bool {
    let mut tried = document.clone();
    tried.remove(key);
    let unknown = format!("unknown field `{}`", path.last().map_or("", String::as_str));
    document::set(&mut tried, path, value.clone()).is_ok()
        && toml::from_str::<RunConfig>(&tried.to_string())
            .map_or_else(|error| !error.message().contains(&unknown), |_| true)
}
