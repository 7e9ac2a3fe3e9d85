//! Names of strangers: classes, columns and files whose names hold what acts on a terminal, ends a line, turns the text around or
//! begins a formula. None of it reaches a terminal, a row stays a line, and the names come back from files as they were.

use crate::program::{Desk, Outcome};
use burn_svm::internals::visible;
use burn_svm_cli::run::recorded;
use std::fmt::Write as _;

/// Colours, a title, C1 bytes, line ends, a tab, DEL, a text turned around, formulas.
const CLASSES: [&str; 10] = [
    "a\u{1b}[31mred",
    "b\u{1b}]0;title\u{7}",
    "c\u{9b}2J\u{85}",
    "d\nerror: of nobody",
    "e\r\nf",
    "g\th",
    "i\u{7f}\u{8}",
    "j\u{202e}txt\u{2066}",
    "=HYPERLINK(\"x\")",
    "@SUM(1+1)*cmd|' /C calc'!A0",
];
const COLUMNS: [&str; 3] = ["x\u{1b}[2J\ny", "=1+1", "z\u{9b}\u{202e}"];

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// 200 rows in ten classes that three features tell apart. What a csv file begins with must be text; behind that anything goes.
fn table() -> String {
    let mut text = format!("{},{},\"la\u{1b}bel\"\n", "i".repeat(9_000), COLUMNS.map(quoted).join(","));
    for i in 0..200 {
        let (class, row) = (i % 10, i as f64);
        let angle = class as f64 * 0.628;
        let _ = writeln!(
            text,
            "0,{:.4},{:.4},{:.4},{}",
            10.0 * angle.cos() + row.sin(),
            10.0 * angle.sin() + row.cos(),
            1.0,
            quoted(CLASSES[class])
        );
    }
    text
}

const CONFIG: &str = "\
[data.csv]
train = \"rows.csv\"
label = \"la\\u001bbel\"
[split]
validation = 0.2
[objective]
lambda = 1e-4
[loss.crammer_singer]
[solver.dual]
[calibration]
method = \"platt\"
";

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("rows.csv", table()).write("my.toml", CONFIG);
    desk
}

/// Nothing acts: neither bytes below a blank but the line end (and the tab between columns, where there are some) nor DEL, C1 or
/// marks of direction.
#[track_caller]
fn is_quiet(what: &str, text: &str, tabs: bool) {
    let bad = text.chars().find(|&c| visible::acts(c) && c != '\n' && !(tabs && c == '\t'));
    assert!(bad.is_none(), "{what}: {bad:?} in\n{text:?}");
}

#[track_caller]
fn quiet(what: &str, outcome: &Outcome, tabs: bool) {
    is_quiet(what, &outcome.stdout, tabs);
    is_quiet(what, &outcome.stderr, false);
}

#[test]
fn nothing_that_is_printed_acts_on_a_terminal() {
    let desk = desk();
    for args in [
        &["train", "my.toml", "--out", "run"][..],
        &["train", "my.toml", "--out", "json", "--json"],
        &["evaluate", "run"],
        &["evaluate", "run", "--json"],
        &["evaluate", "run", "--data", "rows.csv"],
        &["certify", "run"],
        &["certify", "run", "--data", "rows.csv", "--json"],
        &["gradcheck", "my.toml"],
        &["plot", "run"],
        &["report", "run"],
        &["export", "run", "--to", "liblinear", "model.txt"],
        &["export", "run", "--to", "npz", "model.npz"],
    ] {
        let outcome = desk.run(args);
        assert_eq!(outcome.code, Some(0), "{args:?}\n{}", outcome.stderr);
        quiet(&format!("{args:?}"), &outcome, false);
        if args.contains(&"--json") {
            serde_json::from_str::<serde_json::Value>(&outcome.stdout).unwrap();
        }
    }
    // A class is a line of the table, and JSON has the names as they are.
    let table = desk.succeed(&["evaluate", "run"]).stdout;
    for (name, shown) in [(CLASSES[0], "a\\u{1b}[31mred"), (CLASSES[3], "d\\nerror: of nobody")] {
        assert!(table.lines().any(|line| line.starts_with(shown)), "{name:?}: {table}");
    }
    let json: serde_json::Value = serde_json::from_str(&desk.succeed(&["evaluate", "run", "--json"]).stdout).unwrap();
    let mut names: Vec<&str> =
        json["classes"].as_array().unwrap().iter().map(|c| c["class"].as_str().unwrap()).collect();
    let mut expected = CLASSES.to_vec();
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

#[test]
fn a_row_is_a_line_whatever_its_label_is() {
    let desk = desk();
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    let rows: Vec<String> = CLASSES.map(|name| visible::name(name).into_owned()).to_vec();
    for more in [&[][..], &["--scores"], &["--probabilities"]] {
        let args = [&["predict", "run", "rows.csv"], more].concat();
        let outcome = desk.succeed(&args);
        quiet(&format!("{args:?}"), &outcome, !more.is_empty());
        assert_eq!(outcome.stdout.lines().count(), 200, "{args:?}");
        for line in outcome.stdout.lines() {
            let cells: Vec<&str> = line.split('\t').collect();
            assert_eq!(cells.len(), if more.is_empty() { 1 } else { 11 }, "{line:?}");
            assert!(rows.iter().any(|name| name == cells[0]), "{line:?}");
        }
        desk.succeed(&[&args[..], &["--out", "labels"]].concat());
        assert_eq!(desk.read("labels"), outcome.stdout);
    }
}

#[test]
fn the_matrix_in_the_run_folder_has_the_names_and_no_formulas() {
    let desk = desk();
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    let model = burn_svm_cli::model_file::load(&desk.path("run")).unwrap();
    let record = recorded::read_confusion(&desk.path("run")).unwrap().unwrap();
    assert_eq!(record.class_names, model.class_names);
    let text = desk.read("run/confusion.csv");
    let mut cells = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    for record in cells.records() {
        for cell in &record.unwrap() {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
        }
    }
    desk.succeed(&["plot", "run"]);
}

/// Errors name columns, labels, keys and files, and suggest others.
#[test]
fn errors_and_hints_are_quiet_too() {
    let desk = desk();
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    desk.write("other.csv", table().replace("@SUM", "@SUM\u{1b}[5m"));
    desk.write("columns.csv", table().replacen("=1+1", "=1+1\u{1b}", 1));
    desk.write("label.toml", CONFIG.replace("la\\u001bbel", "la\\u001bbell"));
    desk.write("key.toml", format!("\"se\\u001b\\ned\" = 1\n{CONFIG}"));
    desk.write("raw.toml", format!("se\u{1b}ed = 1\n{CONFIG}"));
    let weights = "[loss.crammer_singer]\nclass_weights = { \"no\\u001b\\nclass\" = 2.0 }";
    desk.write("weights.toml", CONFIG.replace("[loss.crammer_singer]", weights));
    let missing = "[data.csv]\ntrain = \"no\\u001b\\u009bfile\"";
    desk.write("missing.toml", CONFIG.replace("[data.csv]\ntrain = \"rows.csv\"", missing));
    desk.write("images/a\u{1b}\u{9b}[1m/x.png", "no image").write("images/b/y.png", "no image");
    desk.write(
        "images.toml",
        CONFIG
            .replace("[data.csv]\ntrain = \"rows.csv\"\nlabel = \"la\\u001bbel\"", "[data.images]\ntrain = \"images\""),
    );
    for (args, text) in [
        (&["train", "label.toml"][..], "did you mean `la\\u{1b}bel`?"),
        (&["train", "key.toml"], "unknown field `se\\u{1b}\\ned`"),
        (&["train", "raw.toml"], "se\\u{1b}ed"),
        (&["train", "weights.toml"], "class_weights: `no\\u{1b}\\nclass` is not a class"),
        (&["train", "missing.toml"], "`no\\u{1b}\\u{9b}file` is not there"),
        (&["train", "images.toml"], "a\\u{1b}\\u{9b}[1m"),
        (&["evaluate", "run", "--data", "other.csv"], "is not a class of the model"),
        (&["evaluate", "run", "--data", "columns.csv"], "there is no column"),
        (&["predict", "run", "columns.csv"], "there is no column"),
        (&["evaluate", "no\u{1b}\u{9b}run"], "no\\u{1b}\\u{9b}run"),
        (
            &["train", "my.toml", "--out", "rows.csv\u{1b}/x\u{9b}", "--resume", "--set", "data.csv.label=\u{1b}[1m"],
            "[1m",
        ),
    ] {
        let outcome = desk.run(args);
        assert!(matches!(outcome.code, Some(1 | 2)), "{args:?}\n{}", outcome.stderr);
        assert!(outcome.stderr.contains(text), "{args:?}\n{}", outcome.stderr);
        quiet(&format!("{args:?}"), &outcome, false);
    }
    // A name does not begin a line of its own.
    let outcome = desk.run(&["evaluate", "run", "--data", "other.csv"]);
    assert!(outcome.hint().contains("d\\nerror: of nobody"), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{}", outcome.stderr);
}

/// A search shows its keys and values: on the way, in its table, and in its files.
#[test]
fn a_search_is_quiet_about_the_names_in_its_space() {
    let desk = desk();
    let plain = CONFIG.replace("[calibration]\nmethod = \"platt\"\n", "");
    let space = "[search]\nmetric = \"macro_f1\"\n[search.space]\n\"loss.crammer_singer.class_weights\" = [\"none\", { \"a\\u001b[31mred\" = 2.0, \"=HYPERLINK(\\\"x\\\")\" = 3.0, \"c\\u009b2J\\u0085\" = 3.0 }]\n";
    desk.write("s.toml", format!("{plain}{space}"));
    for args in [
        &["search", "s.toml", "--out", "s"][..],
        &["search", "s.toml", "--out", "json", "--json"],
        &["plot", "s"],
        &["report", "s"],
    ] {
        let outcome = desk.run(args);
        assert_eq!(outcome.code, Some(0), "{args:?}\n{}", outcome.stderr);
        quiet(&format!("{args:?}"), &outcome, false);
    }
    let wrong = "\"loss.crammer_singer.class_weights\" = [{ \"no\\u001b\\u009bclass\" = 2.0 }]\n";
    desk.write("wrong.toml", format!("{plain}[search]\n[search.space]\n{wrong}"));
    let outcome = desk.run(&["search", "wrong.toml", "--out", "t"]);
    assert!(matches!(outcome.code, Some(1 | 2)), "{}", outcome.stderr);
    quiet("a wrong space", &outcome, false);
    for key in ["a\\u001b[31m.b", "=x", "a\\nb"] {
        desk.write("key.toml", format!("{plain}[search]\n[search.space]\n\"{key}\" = [1, 2]\n"));
        let outcome = desk.run(&["search", "key.toml", "--out", "t"]);
        assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
        quiet(key, &outcome, false);
        assert_eq!(outcome.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{}", outcome.stderr);
    }
}

/// A model file by itself does not say which files are opened; that of a run folder does, and they are named.
#[test]
fn a_bare_model_file_opens_no_path_that_it_names() {
    let desk = Desk::new();
    desk.write("rows.csv", "1,0,a\n0,1,b\n1,0.1,a\n0.1,1,b\n".repeat(10));
    let text = "[data.csv]\ntrain = \"rows.csv\"\nlabel = -1\n[objective]\nlambda = 1e-2\n[loss.weston_watkins]\n[solver.dual]\n";
    desk.write("my.toml", text);
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    let copied = desk.bytes("run/model.safetensors");
    desk.write("copied", copied);
    for command in ["evaluate", "certify"] {
        let own = desk.succeed(&[command, "run"]);
        assert_eq!(
            own.stderr.lines().next().map(|l| l.starts_with("note: reads ") && l.ends_with("rows.csv")),
            Some(true),
            "{}",
            own.stderr
        );
        for file in ["run/model.safetensors", "copied"] {
            let refused = desk.run(&[command, file]);
            assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""), "{command} {file}");
            let problem = format!("{file}: is a bare model file: the data files that it names are not opened");
            assert_eq!(refused.problem(), problem);
            assert!(refused.hint().starts_with("name ") && refused.hint().contains("--data"), "{}", refused.hint());
            desk.succeed(&[command, file, "--data", "my.toml"]);
            desk.succeed(&[command, file, "--data", "rows.csv"]);
        }
    }
    // Nor is it looked at whether they are there.
    std::fs::rename(desk.path("rows.csv"), desk.path("moved.csv")).unwrap();
    for command in ["evaluate", "certify"] {
        desk.succeed(&[command, "copied", "--data", "moved.csv"]);
        assert!(desk.run(&[command, "run"]).problem().ends_with("is not there"));
    }
    desk.succeed(&["predict", "copied", "moved.csv"]);
}
