//! `configs/reference.toml` compared with the code, both ways. Nothing here lists keys: those that the code accepts are learned from serde's
//! own sentences ("unknown field `?`, expected one of ..."), so that a key added anywhere fails here until it is documented.

use burn_svm::internals::solver::SolverConfig;
use burn_svm::internals::solver::sgd::optimizer::OptimizerName;
use burn_svm_cli::config::{LoadedConfig, RunConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use toml_edit::{DocumentMut, InlineTable, Item, Value};

pub const REFERENCE: &str = include_str!("../../../configs/reference.toml");
/// Smallest configuration; `lambda` as in the reference.
const REQUIRED: &str = "[data.digits]\n[objective]\nlambda = 1e-3\n[solver.sgd]\n[loss.weston_watkins]\n";
/// The heading of the one key that stands for a table.
const SOURCE: &str = "data";
const BOGUS: &str = "no_such_key";

/// A key of the reference.
#[derive(Debug)]
pub struct LedgerEntry {
    pub value: Value,
    /// Commented out.
    pub off: bool,
    /// The prose above it.
    pub prose: String,
}

/// The reference line by line: entries by dotted key, and the tables with whether they are commented out.
pub fn entries() -> (BTreeMap<String, LedgerEntry>, BTreeMap<String, bool>) {
    let (mut entries, mut tables) = (BTreeMap::new(), BTreeMap::new());
    let (mut table, mut prose) = (String::new(), String::new());
    for line in REFERENCE.lines() {
        let off = line.starts_with('#') && line.chars().nth(1).is_some_and(|c| c != ' ');
        let code = if off { &line[1..] } else { line };
        if line.trim().is_empty() || line == "#" {
            prose.clear();
        } else if let Some(text) = code.strip_prefix("# ") {
            prose.push_str(text);
            prose.push(' ');
        } else if let Some(name) = code.strip_prefix('[') {
            name.strip_suffix(']').unwrap_or_else(|| panic!("not a table: {line}")).clone_into(&mut table);
            assert!(tables.insert(table.clone(), off).is_none(), "[{table}] is there twice");
            prose.clear();
        } else {
            let (key, value) = code.split_once(" = ").unwrap_or_else(|| panic!("neither prose, table nor key: {line}"));
            let value = value.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
            let dotted = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
            assert!(!prose.is_empty(), "{dotted} is not explained");
            let entry = LedgerEntry { value, off, prose: std::mem::take(&mut prose) };
            assert!(entries.insert(dotted.clone(), entry).is_none(), "{dotted} is there twice");
        }
    }
    (entries, tables)
}

/// The smallest document that can hold `path` set to `value`: of the tables of which there must be one, that of `path`.
pub fn with(path: &str, value: impl Into<Value>) -> DocumentMut {
    let mut document: DocumentMut = REQUIRED.parse().unwrap();
    set(&mut document, path, value);
    document
}

pub fn set(document: &mut DocumentMut, path: &str, value: impl Into<Value>) {
    let parts: Vec<&str> = path.split('.').collect();
    if let ["data" | "loss" | "solver", choice, ..] = parts[..] {
        let table = document[parts[0]].as_table_mut().unwrap();
        if !table.contains_key(choice) {
            table.clear();
        }
    }
    let (last, tables) = parts.split_last().unwrap();
    let mut item: &mut Item = document.as_item_mut();
    for part in tables {
        item = &mut item[*part];
        if item.is_none() {
            *item = toml_edit::table();
        }
    }
    item[*last] = Item::Value(value.into());
}

fn serde_error(document: &DocumentMut) -> Option<String> {
    toml::from_str::<RunConfig>(&document.to_string()).err().map(|e| e.message().to_owned())
}

/// `a` and `b` of "unknown <kind> `x`, expected `a` or `b`"; `None` for any other sentence.
fn expected(message: &str, kind: &str) -> Option<Vec<String>> {
    let rest = message.strip_prefix(&format!("unknown {kind} `{BOGUS}`"))?;
    Some(rest.split('`').skip(1).step_by(2).map(str::to_owned).collect())
}

/// The value that the code accepts at `path`, found by offering it a table with an unknown key.
enum Found {
    Key,
    Table(Vec<String>),
    /// A table of which only one key may be there, such as `[data]`, or a word of a list.
    Choice(Vec<String>),
}

fn probe(path: &str) -> Found {
    let document = if path.is_empty() { with(BOGUS, 1) } else { with(path, InlineTable::from_iter([(BOGUS, 1)])) };
    let message = serde_error(&document).unwrap_or_default();
    match (expected(&message, "field"), expected(&message, "variant")) {
        (Some(fields), _) => Found::Table(fields),
        (None, Some(variants)) => Found::Choice(variants),
        (None, None) => Found::Key,
    }
}

/// Every table and key that the code accepts below `path`.
fn accepted(path: &str, tables: &mut BTreeSet<String>, keys: &mut BTreeSet<String>) {
    let below = |name: &String| if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
    match probe(path) {
        Found::Table(fields) => {
            tables.extend((!path.is_empty()).then(|| path.to_owned()));
            fields.iter().for_each(|name| accepted(&below(name), tables, keys));
        }
        // `[data]` itself is no table of the file; a choice of words is a key.
        Found::Choice(variants) if variants.iter().any(|name| matches!(probe(&below(name)), Found::Table(_))) => {
            variants.iter().for_each(|name| accepted(&below(name), tables, keys));
        }
        Found::Choice(_) | Found::Key => {
            keys.insert(path.to_owned());
        }
    }
}

#[test]
fn the_reference_names_exactly_the_keys_of_the_code() {
    let (entries, tables) = entries();
    let (mut code_tables, mut code_keys) = (BTreeSet::new(), BTreeSet::new());
    accepted("", &mut code_tables, &mut code_keys);
    let written: BTreeSet<String> = entries.keys().cloned().collect();
    assert_eq!(
        code_keys.difference(&written).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "keys that the reference lacks"
    );
    assert_eq!(
        written.difference(&code_keys).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "keys that the code does not know"
    );
    let tables: BTreeSet<String> = tables.into_keys().filter(|table| table != SOURCE).collect();
    assert_eq!(tables, code_tables, "tables of the reference and of the code");
    // The search itself must have gone all the way down.
    for known in ["seed", "data.idx.train_images", "loss.one_vs_rest.class_weights", "solver.sgd.lion.beta_2"] {
        assert!(code_keys.contains(known), "{known} was not found among {code_keys:?}");
    }
}

#[test]
fn the_values_that_are_written_out_are_the_defaults() {
    let parse =
        |text: &str| LoadedConfig::parse(text, Path::new("reference.toml"), &[]).unwrap_or_else(|e| panic!("{e}")).run;
    let (reference, plain) = (parse(REFERENCE), parse(REQUIRED));
    let written = saved(&plain);
    let (entries, _) = entries();
    let mut silent = Vec::new();
    for (path, entry) in entries.iter().filter(|(_, e)| !e.off) {
        let default = path.split('.').try_fold(written.as_item(), |item, part| item.get(part));
        match default.and_then(Item::as_value) {
            Some(default) => assert_eq!(same_form(default), same_form(&entry.value), "{path}"),
            None => silent.push(path.as_str()),
        }
    }
    // Defaults that a configuration does not write when it is saved are compared by what they do.
    assert_eq!(silent, ["preprocess.bias_scale", "solver.sgd.epochs"]);
    assert_eq!(reference.preprocess.bias_rule(), plain.preprocess.bias_rule());
    let names = ["a".to_owned(), "b".to_owned()];
    assert_eq!(reference.loss.resolve(&names, &[1.0, 5.0], None), plain.loss.resolve(&names, &[1.0, 5.0], None));
    let (SolverConfig::Sgd(a), SolverConfig::Sgd(b)) = (&reference.solver, &plain.solver) else {
        panic!("both are [solver.sgd]");
    };
    assert_eq!(a.total_steps(12_345), b.total_steps(12_345));
}

/// Prefix of the keys of a table's owner: a table within a table needs the required keys of that one.
fn owner_of(table: &str) -> String {
    table.split('.').take(2).flat_map(|part| [part, "."]).collect()
}

#[test]
fn the_tables_that_are_commented_out_hold_their_defaults() {
    let (entries, tables) = entries();
    for table in tables.iter().filter(|(table, off)| **off && *table != SOURCE).map(|(table, _)| table) {
        let keys: Vec<(&str, &LedgerEntry)> = entries
            .iter()
            .filter_map(|(p, e)| Some((p.strip_prefix(table)?.strip_prefix('.')?, e)))
            .filter(|(k, _)| !k.contains('.'))
            .collect();
        let mut empty = with(table, InlineTable::new());
        // The required keys of the table.
        let owner = owner_of(table);
        for (path, entry) in entries.iter().filter(|(p, e)| p.starts_with(&owner) && e.prose.contains("Required.")) {
            set(&mut empty, path, entry.value.clone());
        }
        let mut full = empty.clone();
        for (key, entry) in &keys {
            set(&mut full, &format!("{table}.{key}"), entry.value.clone());
        }
        let parse = |document: &DocumentMut| {
            let run = toml::from_str::<RunConfig>(&document.to_string()).unwrap_or_else(|e| panic!("[{table}]: {e}"));
            saved(&run)
        };
        let (empty, full) = (parse(&empty), parse(&full));
        let value = |document: &DocumentMut, key: &str| {
            let parts = table.split('.').chain([key]);
            parts
                .into_iter()
                .try_fold(document.as_item(), |i, part| i.get(part))
                .and_then(Item::as_value)
                .map(same_form)
        };
        for (key, entry) in &keys {
            let stated = value(&full, key).or_else(|| Some(same_form(&entry.value)));
            match value(&empty, key) {
                Some(default) => assert_eq!(stated, Some(default), "{table}.{key}"),
                None => assert!(
                    entry.prose.contains("No default") || entry.prose.contains("Default \""),
                    "{table}.{key} has no default in the code; its prose must say `No default`: {}",
                    entry.prose
                ),
            }
        }
    }
}

/// Every commented key is accepted by the whole of the checks when it is uncommented, in place of at most one other key.
#[test]
fn what_is_commented_out_can_be_uncommented() {
    let (entries, tables) = entries();
    let loads =
        |document: &DocumentMut| LoadedConfig::parse(&document.to_string(), Path::new("reference.toml"), &[]).is_ok();
    for (path, entry) in entries.iter().filter(|(_, e)| e.off) {
        let (table, _) = path.rsplit_once('.').unwrap();
        let mut document: DocumentMut = REFERENCE.parse().unwrap();
        if let Some(owner) = table.strip_prefix("solver.sgd.") {
            let is_optimizer = OptimizerName::ALL.iter().any(|name| name.name() == owner);
            set(&mut document, if is_optimizer { "solver.sgd.optimizer" } else { "solver.sgd.schedule" }, owner);
        }
        if table == "solver.lbfgs" {
            set(&mut document, "loss.weston_watkins.power", 2);
        }
        if tables[table] {
            let below = owner_of(table);
            for (path, entry) in entries.iter().filter(|(p, e)| p.starts_with(&below) && e.prose.contains("Required."))
            {
                set(&mut document, path, entry.value.clone());
            }
        }
        set(&mut document, path, entry.value.clone());
        let others: Vec<&str> = entries
            .iter()
            .filter(|(other, e)| !e.off && other.rsplit_once('.').is_some_and(|(t, _)| t == table))
            .map(|(other, _)| other.rsplit_once('.').unwrap().1)
            .collect();
        let instead = others.iter().any(|other| {
            let mut document = document.clone();
            let table = table.split('.').fold(document.as_item_mut(), |item, part| &mut item[part]);
            table.as_table_like_mut().unwrap().remove(other);
            loads(&document)
        });
        assert!(loads(&document) || instead, "{path} cannot be uncommented:\n{document}");
    }
}

/// Choices and ranges, as the code itself words them, stand in the prose of their key.
#[test]
fn choices_and_ranges_are_stated() {
    for (path, entry) in &entries().0 {
        let says =
            |text: &str| assert!(entry.prose.contains(text), "{path}: the prose must say `{text}`: {}", entry.prose);
        let message = serde_error(&with(path, BOGUS)).unwrap_or_default();
        if let Some(choices) = expected(&message, "variant") {
            says(&choices.join(" | "));
        } else if message.contains("expected a boolean") {
            says("true | false");
        }
        let message = serde_error(&with(path, f64::NEG_INFINITY)).unwrap_or_default();
        if let Some((_, range)) = message.split_once("expected a number in the range ") {
            says(range.trim());
        }
        let message = serde_error(&with(path, 0)).unwrap_or_default();
        if message.contains("nonzero") {
            says("1 or more");
        }
        let message = serde_error(&with(path, -1)).unwrap_or_default();
        if let Some((_, range)) = message.split_once("expected a whole number from ") {
            says(&format!("an integer from {}", range.trim()));
        }
    }
}

/// The configuration with every default written out that serde writes.
fn saved(run: &RunConfig) -> DocumentMut {
    toml::to_string(run).unwrap().parse().unwrap()
}

/// Numbers by their value, in any notation; everything else as it is written.
fn same_form(value: &Value) -> String {
    let number = value.as_float().or_else(|| value.as_integer().map(|i| i as f64));
    number.map_or_else(|| value.to_string().trim().to_owned(), |n| format!("{n:e}"))
}
