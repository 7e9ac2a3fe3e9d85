//! Hints of configuration errors: the key or the command that was probably meant.

use super::error::{ConfigError, Place};
use super::{RunConfig, document};
use crate::suggestion;
use crate::visible;
use std::path::Path;
use toml_edit::DocumentMut;

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
    let hint = meant.map(|name| format!("did you mean `{name}`?"));
    ConfigError::new(file, in_words(&message)).at(place).with_hint(
        hint.unwrap_or_else(|| "`burn-svm reference` lists every key with its default, unit and range".into()),
    )
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
    let fits = |table: &Vec<String>| {
        let mut tried = document.clone();
        tried.remove(key);
        let path: Vec<String> = table.iter().cloned().chain([key.to_owned()]).collect();
        document::set(&mut tried, &path, value.clone()).is_ok()
            && toml::from_str::<RunConfig>(&tried.to_string())
                .map_or_else(|error| !error.message().contains(&format!("unknown field `{key}`")), |_| true)
    };
    { tables }.find(fits).map(|table| format!("{}.{key}", table.join(".")))
}
