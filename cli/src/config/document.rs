//! The text of a configuration: reading it, `--set`, and looking at its tables before serde does.

use super::error::{ConfigError, Place};
use crate::durable::{self, Refusal};
use crate::format::{ByteSource, DataError, DataErrorKind, Format};
use crate::{suggestion, visible};
use std::io;
use std::path::Path;
use toml_edit::{DocumentMut, Item, Table, Value};

/// Bytes of a configuration: a weight for each of 30,000 classes has room, and the model that carries the text is read again.
pub const MOST_BYTES: usize = 1 << 20;
/// Parts of a dotted key: the deepest of the reference has five.
const MOST_PARTS: usize = 16;

/// Refuses a text too long to be written by hand.
pub fn check_size(bytes: usize, file: &Path) -> Result<(), ConfigError> {
    if bytes <= MOST_BYTES { Ok(()) } else { Err(too_large(file)) }
}

fn too_large(file: &Path) -> ConfigError {
    let problem = format!("found a configuration of more than {MOST_BYTES} bytes, expected at most as many");
    ConfigError::new(file, problem)
        .with_hint("CONFIG.toml is a file such as `configs/quickstart.toml`; row weights and labels belong to the data")
}

/// The text of a configuration file, of which no more is read than one may have.
pub fn read(file: &Path) -> Result<String, ConfigError> {
    let read = read_text(file);
    // Data in the place of a configuration: no table and no key can be read from them.
    let is_toml = read.as_ref().is_ok_and(|text| text.parse::<DocumentMut>().is_ok());
    if is_toml || file.extension().is_some_and(|extension| extension == "toml") {
        return read;
    }
    match data_format(file)? {
        Some(format) => Err(ConfigError::new(file, format!("found a data file ({format}), expected a configuration"))
            .with_hint("`burn-svm init FILE` writes a configuration for a data file; configs/ has examples")),
        None => read,
    }
}

/// The format of a data file, by its content; of text that is neither, only where its name says so. An error for a kind that is not read.
fn data_format(file: &Path) -> Result<Option<Format>, ConfigError> {
    match ByteSource::open(file) {
        Ok(source) => Ok(Format::detect(source.file(), source.head())),
        Err(DataError { kind: DataErrorKind::Content, problem, hint: Some(hint), .. }) => {
            let found = problem.split(", expected").next().unwrap_or_default();
            Err(ConfigError::new(file, format!("{found}, expected a configuration")).with_hint(hint))
        }
        Err(_) => Ok(None),
    }
}

/// The configuration of a run folder, or a file of nearly the same name.
fn meant(file: &Path) -> Option<String> {
    let own = file.join("config.toml");
    if own.is_file() {
        let own = own.display().to_string();
        return Some(format!("a run folder: its configuration is {}", visible::short(&own)));
    }
    if file.exists() {
        return None;
    }
    suggestion::path(file).map(|near| format!("did you mean {}?", visible::short(&near)))
}

fn read_text(file: &Path) -> Result<String, ConfigError> {
    let failed = |error: io::Error| {
        let refused = Refusal::of(&error).and_then(Refusal::hint).map(str::to_owned);
        let hint = refused.or_else(|| meant(file));
        ConfigError::new(file, format!("cannot be read: {error}"))
            .with_hint(hint.unwrap_or_else(|| "`burn-svm init FILE` writes a configuration for a data file".into()))
    };
    let bytes = durable::read(file, MOST_BYTES as u64).map_err(|error| match Refusal::of(&error) {
        Some(Refusal::TooLarge { .. }) => too_large(file),
        _ => failed(error),
    })?;
    let broken = |_| failed(io::Error::new(io::ErrorKind::InvalidData, "stream did not contain valid UTF-8"));
    String::from_utf8(bytes).map_err(broken)
}

/// Parses the text, with errors at their place.
pub fn parse(text: &str, file: &Path) -> Result<DocumentMut, ConfigError> {
    check_size(text.len(), file)?;
    text.parse::<DocumentMut>().map_err(|error| {
        let place = error.span().map(|span| Place::of(text, &span));
        ConfigError::new(file, error.message().trim())
            .at(place)
            .with_hint("the file is TOML: lines `KEY = VALUE` below headings `[TABLE]`, with words in quotes")
    })
}

/// Splits `KEY=VALUE`; VALUE is TOML, or a plain string where it is not.
pub fn parse_assignment(text: &str) -> Result<(Vec<String>, Value), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not of the form KEY=VALUE"))?;
    let path: Vec<String> = key.trim().split('.').map(str::to_owned).collect();
    if path.iter().any(|part| part.is_empty() || part.contains(char::is_whitespace)) {
        return Err(format!("`{key}` is not a key such as `solver.sgd.learning_rate`"));
    }
    let value = value.trim();
    Ok((path, value.parse::<Value>().unwrap_or_else(|_| Value::from(value))))
}

/// Sets a dotted key, making the tables on the way.
pub fn set(document: &mut DocumentMut, path: &[String], value: Value) -> Result<(), String> {
    let Some((last, tables)) = path.split_last() else {
        return Err("an empty key".into());
    };
    if path.len() > MOST_PARTS {
        return Err(format!("found a key of {} parts, expected at most {MOST_PARTS}", path.len()));
    }
    let mut item: &mut Item = document.as_item_mut();
    for (depth, part) in tables.iter().enumerate() {
        let Some(table) = item.as_table_like_mut() else {
            return Err(format!("`{}` is not a table", path[..depth].join(".")));
        };
        item = table.entry(part).or_insert_with(|| {
            let mut table = Table::new();
            table.set_implicit(true);
            Item::Table(table)
        });
    }
    let Some(table) = item.as_table_like_mut() else {
        return Err(format!("`{}` is not a table", tables.join(".")));
    };
    let mut value = value;
    match table.get_mut(last) {
        // The comments before the key and behind the value stay.
        Some(old) => {
            if let Some(decor) = old.as_value().map(|v| v.decor().clone()) {
                *value.decor_mut() = decor;
            }
            *old = Item::Value(value);
        }
        None => {
            table.insert(last, Item::Value(value));
        }
    }
    Ok(())
}

/// The keys of a top-level table that are tables themselves.
pub fn subtables(document: &DocumentMut, name: &str) -> Vec<String> {
    let table = document.get(name).and_then(Item::as_table_like);
    table.map_or_else(Vec::new, |t| t.iter().filter(|(_, v)| v.is_table_like()).map(|(k, _)| k.to_owned()).collect())
}

/// The key of `[data]` that stands for a table.
pub const BLOCKS: &str = "blocks";

/// The tables of which there must be one, and the key that stands for one.
pub fn choices(document: &DocumentMut, name: &str) -> Vec<String> {
    let mut found = subtables(document, name);
    let has_key = |key| document.get(name).and_then(Item::as_table_like).is_some_and(|table| table.contains_key(key));
    if name == "data" && has_key(BLOCKS) && !found.iter().any(|table| table == BLOCKS) {
        found.push(BLOCKS.into());
    }
    found
}

/// Refuses a loss with both a margin and costs.
pub fn check_costs(document: &DocumentMut, file: &Path) -> Result<(), ConfigError> {
    let has = |loss: &str, key: &str| document["loss"][loss].get(key).is_some();
    let both = subtables(document, "loss").into_iter().find(|loss| has(loss, "margin") && has(loss, "costs"));
    both.map_or(Ok(()), |loss| {
        Err(ConfigError::new(file, format!("loss.{loss}: both `margin` and `costs` are set"))
            .with_hint("costs take the place of the margin: remove one of the two"))
    })
}
