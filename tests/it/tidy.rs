//! The house rules, held by reading the source: imports run downwards, one place prints, files stay short, configurations parse.

use burn_svm::config::LoadedConfig;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms that it may import, from the top of the house to its cellar.
const ROOMS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    (
        "cli",
        &[
            "report",
            "plot",
            "search",
            "run",
            "config",
            "gradcheck",
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
            "fetch",
            "durable",
            "kernel",
            "shown",
        ],
    ),
    // Reads the folder of a run or a search, and its data once more.
    ("report", &["plot", "search", "run", "config", "solver", "model", "data", "metric", "durable", "shown"]),
    // Draws from run folders; never a live solver, but it knows the rows of metrics.csv.
    ("plot", &["search", "run", "solver", "loss", "model", "data", "metric", "durable", "visible"]),
    // Drives the pipeline many times over.
    (
        "search",
        &[
            "run",
            "config",
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
            "durable",
            "visible",
        ],
    ),
    (
        "run",
        &[
            "config",
            "gradcheck",
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
            "durable",
            "visible",
        ],
    ),
    (
        "config",
        &[
            "solver",
            "objective",
            "evaluation",
            "loss",
            "model",
            "calibration",
            "data",
            "device",
            "bounded",
            "visible",
            "fetch",
            "durable",
        ],
    ),
    ("gradcheck", &["objective", "loss", "model", "data", "metric", "device", "bounded"]),
    ("solver", &["objective", "evaluation", "loss", "model", "data", "metric", "device", "bounded", "kernel"]),
    ("objective", &["evaluation", "loss", "model", "data", "metric", "device", "bounded", "kernel"]),
    // A model measured on rows.
    ("evaluation", &["loss", "model", "data", "metric", "kernel"]),
    ("model", &["loss", "calibration", "data", "device", "bounded", "durable", "visible", "kernel"]),
    // Naive loops, the reference of the losses.
    ("reference", &["loss", "bounded"]),
    ("loss", &["bounded", "visible", "kernel"]),
    ("calibration", &["metric", "bounded"]),
    ("data", &["device", "bounded", "durable", "visible"]),
    ("metric", &[]),
    ("device", &[]),
    ("bounded", &[]),
    // Bounds in a few digits.
    ("shown", &[]),
    // Where data sets are published, and how they are downloaded.
    ("fetch", &["durable"]),
    ("durable", &[]),
    // Names of strangers, so that they can be printed.
    ("visible", &[]),
    ("kernel", &[]),
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

/// Every file of src: its path below src, and its lines without comments.
fn sources() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&src, &mut found);
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
        .map(|path| (path.strip_prefix(&src).unwrap().to_str().unwrap().replace('\\', "/"), code(path)))
        .collect()
}

fn room_of(file: &str) -> &str {
    file.split('/').next().unwrap_or_default().trim_end_matches(".rs")
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

#[test]
fn imports_run_downwards() {
    let mut wrong = String::new();
    for (file, code) in sources() {
        let room = room_of(&file);
        if room == "lib" {
            continue;
        }
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            wrong += &format!("src/{file}: the room `{room}` is not in the table of this test\n");
            continue;
        };
        for import in imports(&code) {
            if import != room && !allowed.contains(&import) {
                wrong += &format!("src/{file}: `{room}` imports `{import}`, which is not below it\n");
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    // The table itself runs downwards: no room names one above it.
    for (i, (room, allowed)) in ROOMS.iter().enumerate() {
        for name in *allowed {
            assert!(ROOMS.iter().position(|(other, _)| other == name) > Some(i), "{room} may not import {name}");
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
        if file == "cli/output.rs" || file.ends_with("/tests.rs") || file.contains("/tests/") {
            continue;
        }
        for word in ["println!", "eprintln!", "print!(", "eprint!(", "dbg!("] {
            assert!(!code.contains(word), "src/{file}: `{word}` outside cli/output.rs");
        }
    }
}

#[test]
fn nothing_is_left_to_do() {
    for (file, code) in sources() {
        for word in ["todo!", "unimplemented!", "FIXME", "XXX"] {
            assert!(!code.contains(word), "src/{file}: `{word}`");
        }
    }
}

#[test]
fn files_stay_short() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|(file, code)| (code.lines().count(), file))
        .filter(|(lines, _)| *lines > LONGEST)
        .map(|(lines, file)| format!("src/{file}: {lines} lines, at most {LONGEST}"))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn every_configuration_parses() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs");
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
