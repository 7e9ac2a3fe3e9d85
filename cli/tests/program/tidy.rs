//! The house rules, held by reading the source: imports run downwards, one place prints, files stay short, a name is one type, configurations parse.

use burn_svm_cli::config::LoadedConfig;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each room of the library and the rooms that it may import, from the top of the house to its cellar.
const LIBRARY: &[(&str, &[&str])] = &[
    (
        "svm",
        &[
            "solver",
            "objective",
            "evaluation",
            "loss",
            "model",
            "calibration",
            "data",
            "metric",
            "device",
            "bounded",
            "visible",
        ],
    ),
    ("gradcheck", &["objective", "loss", "model", "data", "metric", "device", "bounded"]),
    ("solver", &["objective", "evaluation", "loss", "model", "data", "metric", "device", "bounded", "kernel"]),
    ("objective", &["evaluation", "loss", "model", "data", "metric", "device", "bounded", "kernel"]),
    // A model measured on rows.
    ("evaluation", &["loss", "model", "data", "metric", "kernel"]),
    ("model", &["loss", "calibration", "data", "device", "bounded", "durable", "kernel"]),
    // Naive loops, the reference of the losses.
    ("reference", &["loss", "bounded"]),
    ("loss", &["bounded", "visible", "kernel"]),
    ("calibration", &["metric", "bounded"]),
    ("data", &["device", "bounded", "durable"]),
    ("metric", &[]),
    ("device", &[]),
    ("bounded", &[]),
    // Files that are whole or not there.
    ("durable", &[]),
    // Names of strangers, so that they can be printed.
    ("visible", &[]),
    ("kernel", &[]),
];

/// The rooms of the program from the top to the cellar; each may import those below it, and the library.
const PROGRAM: &[&str] = &[
    "main",
    "commands",
    "report",
    "plot",
    "search",
    "run",
    "config",
    "model_file",
    "liblinear",
    "export",
    "format",
    "fetch",
    "durable",
    "protobuf",
    "shown",
    "suggestion",
];

/// Lines that a file may have.
const LONGEST: usize = 450;

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
        if entry.is_dir() {
            files(&entry, found);
        } else if entry.extension().is_some_and(|e| e == "rs") {
            found.push(entry);
        }
    }
}

/// A file of the repository, as the root of it.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// Every file of the library or of the program: its path in the repository, and its lines without comments.
fn sources_below(folder: &str) -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    files(&root.join(folder), &mut found);
    found.sort();
    let code = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        text.lines()
            .map(|line| if line.trim_start().starts_with("//") { "" } else { line })
            .collect::<Vec<_>>()
            .join("\n")
    };
    found
        .iter()
        .map(|path| (path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/"), code(path)))
        .collect()
}

/// All of them.
fn sources() -> Vec<(String, String)> {
    [sources_below("src"), sources_below("cli/src")].concat()
}

fn room_of(file: &str) -> &str {
    let below = file.trim_start_matches("cli/").trim_start_matches("src/");
    below.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

/// The rooms that code names behind `crate::`, also in `crate::{a, b}`.
fn imports(code: &str) -> BTreeSet<&str> {
    let word = |text: &'static str| move |c: char| !(c.is_alphanumeric() || text.contains(c));
    let mut found = BTreeSet::new();
    for (at, marker) in code.match_indices("crate::") {
        let rest = &code[at + marker.len()..];
        match rest.strip_prefix('{') {
            Some(group) => {
                let (mut depth, mut begins) = (0, true);
                for (i, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => begins = true,
                        c if begins && depth == 0 && !c.is_whitespace() => {
                            found.insert(group[i..].split(word("_")).next().unwrap_or_default());
                            begins = false;
                        }
                        _ => {}
                    }
                }
            }
            None => {
                found.insert(rest.split(word("_")).next().unwrap_or_default());
            }
        }
    }
    found.remove("");
    found
}

/// The imports of some files that run upwards, where `allowed` are those of a room.
fn upward(sources: &[(String, String)], allowed: impl Fn(&str) -> Option<Vec<&'static str>>) -> String {
    let mut wrong = String::new();
    for (file, code) in sources {
        let room = room_of(file);
        if room == "lib" {
            continue;
        }
        let Some(allowed) = allowed(room) else {
            wrong += &format!("{file}: the room `{room}` is not in the table of this test\n");
            continue;
        };
        for import in imports(code) {
            if import != room && !allowed.contains(&import) {
                wrong += &format!("{file}: `{room}` imports `{import}`, which is not below it\n");
            }
        }
    }
    wrong
}

#[test]
fn imports_run_downwards() {
    let library = |room: &str| LIBRARY.iter().find(|(name, _)| *name == room).map(|(_, allowed)| allowed.to_vec());
    let program = |room: &str| {
        let at = PROGRAM.iter().position(|name| *name == room)?;
        Some([&PROGRAM[at + 1..], &LIBRARY.iter().map(|(name, _)| *name).collect::<Vec<_>>()].concat())
    };
    let wrong = upward(&sources_below("src"), library) + &upward(&sources_below("cli/src"), program);
    assert!(wrong.is_empty(), "\n{wrong}");
    // The table itself runs downwards: no room names one above it.
    for (i, (room, allowed)) in LIBRARY.iter().enumerate() {
        for name in *allowed {
            assert!(LIBRARY.iter().position(|(other, _)| other == name) > Some(i), "{room} may not import {name}");
        }
    }
}

#[test]
fn imports_are_found_in_every_form() {
    let code = "use crate::data::{Csr, Dense};\nuse crate::{loss::Loss, model::{A, B}, bounded};\nlet x = crate::metric::argmax(s);";
    assert_eq!(imports(code).into_iter().collect::<Vec<_>>(), ["bounded", "data", "loss", "metric", "model"]);
}

#[test]
fn one_place_prints() {
    for (file, code) in sources() {
        // Tests may say that they were skipped.
        let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        if file == "cli/src/commands/output.rs" || file.ends_with("/tests.rs") || file.contains("/tests/") {
            continue;
        }
        for word in ["println!", "eprintln!", "print!(", "eprint!(", "dbg!("] {
            assert!(!code.contains(word), "{file}: `{word}` outside commands/output.rs");
        }
    }
}

#[test]
fn nothing_is_left_to_do() {
    for (file, code) in sources() {
        for word in ["todo!", "unimplemented!", "FIXME", "XXX"] {
            assert!(!code.contains(word), "{file}: `{word}`");
        }
    }
}

#[test]
fn files_stay_short() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|(file, code)| (code.lines().count(), file))
        .filter(|(lines, _)| *lines > LONGEST)
        .map(|(lines, file)| format!("{file}: {lines} lines, at most {LONGEST}"))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// The name that a line at the left margin declares as a type or trait.
fn declared(line: &str) -> Option<&str> {
    let line = match line.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ")?.1,
        Some(rest) => rest.trim_start(),
        None => line,
    };
    let (kind, rest) = line.split_once(' ')?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    ["struct", "enum", "trait", "type"].contains(&kind).then_some(&rest[..end])
}

#[test]
fn a_name_is_one_type() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (file, code) in [sources(), sources_below("python/src")].concat() {
        for name in code.lines().filter_map(declared) {
            places.entry(name.to_owned()).or_default().push(file.clone());
        }
    }
    assert!(places.len() > 300, "{} types", places.len());
    places.retain(|_, files| files.len() > 1);
    assert!(places.is_empty(), "names of several types: {places:#?}");
}

/// Whether a line is a comment whose first words are a clause without a noun.
fn begins_with_a_clause(line: &str) -> bool {
    let text = line.trim_start();
    let Some(text) = text.strip_prefix("//") else { return false };
    let text = text.trim_start_matches(['/', '!']);
    ["What ", "How ", "Where "].iter().any(|word| {
        let rest = text.trim_start().strip_prefix(word);
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_lowercase() || c == '`'))
    })
}

#[test]
fn comments_begin_with_a_noun() {
    let mut found = Vec::new();
    for folder in ["src", "cli/src", "tests", "cli/tests", "benches", "examples", "cli/examples"] {
        files(&root().join(folder), &mut found);
    }
    assert!(found.len() > 200, "{} files", found.len());
    let mut wrong = String::new();
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
        for (i, line) in text.lines().enumerate().filter(|(_, line)| begins_with_a_clause(line)) {
            wrong += &format!("{name}:{}: begin with a noun phrase: {}\n", i + 1, line.trim());
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn every_configuration_parses() {
    let folder = root().join("configs");
    let mut count = 0;
    for path in
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "toml"))
    {
        let text = fs::read_to_string(&path).unwrap();
        LoadedConfig::parse(&text, &path, &[]).unwrap_or_else(|e| panic!("{e}"));
        count += 1;
    }
    assert!(count >= 4, "{count} configurations");
}

/// The words of code that stand in backticks in the recipes: files that are there, items that are declared or used.
#[test]
fn recipes_name_what_exists() {
    let text = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let recipes = text.split_once("## Recipes").unwrap().1;
    let quoted: Vec<&str> = recipes.split('`').skip(1).step_by(2).collect();
    let code = [sources(), sources_below("tests"), sources_below("cli/tests"), sources_below("fuzz")].concat();
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let words: BTreeSet<&str> = code.iter().flat_map(|(_, code)| code.split(|c: char| !is_part(c))).collect();
    let (mut files, mut items, mut wrong) = (0, 0, String::new());
    for word in quoted {
        let is_file = word.contains('/') || [".rs", ".toml", ".md", ".py"].iter().any(|end| word.ends_with(end));
        if word.contains('<') || word.contains(' ') {
            continue;
        }
        if is_file {
            files += 1;
            // A name by itself lies in some folder that was named before.
            let found = root().join(word).exists() || code.iter().any(|(path, _)| path.ends_with(&format!("/{word}")));
            if !found {
                wrong += &format!("CONTRIBUTING.md: there is no file `{word}`\n");
            }
        } else if word.chars().all(|c| is_part(c) || c == ':') && word.len() > 2 {
            items += 1;
            if let Some(part) = word.split("::").find(|part| !part.is_empty() && !words.contains(part)) {
                wrong += &format!("CONTRIBUTING.md: no code has the word `{part}` of `{word}`\n");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(files > 15 && items > 20, "{files} files and {items} items are too few: where are the recipes?");
}
