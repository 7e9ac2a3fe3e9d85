//! Help for people: examples that parse, completions, the manual, weights by name, and the next step after a bare mistake.

use crate::program::{Case, Desk, SMALL, Verdict, outcome, repository};
use std::fs;

const COMMANDS: [&str; 17] = [
    "init",
    "train",
    "evaluate",
    "certify",
    "predict",
    "weights",
    "gradcheck",
    "search",
    "plot",
    "report",
    "export",
    "fetch",
    "devices",
    "selfcheck",
    "reference",
    "completions",
    "man",
];

#[test]
fn every_command_has_a_sentence_and_an_example() {
    let desk = Desk::new();
    let whole = desk.succeed(&["--help"]).stdout;
    let listed =
        whole.lines().filter_map(|line| line.strip_prefix("  ")?.split_once("  ")).map(|(name, _)| name.trim());
    let listed: Vec<&str> =
        listed.filter(|name| !name.is_empty() && !name.starts_with('-') && *name != "help").collect();
    for command in &listed {
        let help = desk.succeed(&[command, "--help"]).stdout;
        let example = help.lines().find_map(|line| line.strip_prefix("  burn-svm "));
        let example = example.unwrap_or_else(|| panic!("{command} has no example: {help}"));
        assert!(example.contains(&format!("{command} ")) || example == *command, "{command}: {example}");
    }
    for command in COMMANDS {
        assert!(listed.contains(&command), "{command}: {listed:?}");
    }
}

#[test]
fn completions_and_the_manual_name_every_command() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = desk.succeed(&["completions", shell]).stdout;
        COMMANDS.iter().for_each(|command| assert!(script.contains(command), "{shell}: {command}"));
        assert!(script.contains("--probabilities") || script.contains("probabilities"), "{shell}");
    }
    let refused = desk.run(&["completions", "tcsh"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("bash"), "{refused:?}");
    let manual = desk.succeed(&["man"]).stdout;
    assert!(manual.contains(".TH") && manual.contains("Exit codes"), "{manual}");
    COMMANDS.iter().for_each(|command| assert!(manual.contains(command), "{command}"));
}

/// Two classes that the first feature separates, by far the larger weight.
const TABLE: &str =
    "size,noise,kind\n-2,0.1,small\n-1,-0.2,small\n-1.5,0.3,small\n1,0.2,large\n2,-0.1,large\n1.5,0.0,large\n";
const CONFIG: &str = "[data.csv]\ntrain = \"table.csv\"\nlabel = \"kind\"\n[preprocess]\nscale = \"std\"\n[objective]\nc = 1.0\n\
                      [loss.weston_watkins]\n[solver.dual]\n";

#[test]
fn weights_are_listed_by_name_the_largest_first() {
    let desk = Desk::new();
    desk.write("table.csv", TABLE);
    desk.write("my.toml", CONFIG);
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    let listed = desk.succeed(&["weights", "run", "--top", "1"]).stdout;
    for class in ["class large, bias ", "class small, bias "] {
        let lines: Vec<&str> = listed.lines().skip_while(|line| !line.starts_with(class)).take(3).collect();
        assert!(lines[1].starts_with("feature") && lines[1].ends_with("per raw unit"), "{listed}");
        assert!(lines[2].starts_with("size "), "{listed}");
    }
    assert!(!listed.contains("noise"), "{listed}");
    let json: serde_json::Value = serde_json::from_str(&desk.succeed(&["weights", "run", "--json"]).stdout).unwrap();
    let first = &json[0]["weights"];
    assert_eq!((json[0]["class"].as_str(), first[0]["feature"].as_str()), (Some("large"), Some("size")));
    // W of two classes is a mirror, and the weight of a scaled column is that of the raw one times its deviation.
    let number = |class: usize, key: &str| json[class]["weights"][0][key].as_f64().unwrap();
    assert!((number(0, "weight") + number(1, "weight")).abs() < 1e-9, "{json}");
    let deviation = ((4.0 + 1.0 + 2.25) / 3.0f64).sqrt();
    assert!((number(0, "weight") / number(0, "raw_weight") - deviation).abs() < 1e-6, "{json}");
    // Without names, features have the numbers of the rows of `weight`.
    desk.write("digits.toml", SMALL);
    desk.succeed(&["train", "digits.toml", "--out", "digits", "-q"]);
    assert!(desk.succeed(&["weights", "digits"]).stdout.contains("\nfeature 2"));
    assert_eq!(desk.run(&["weights", "digits", "--top", "0"]).code, Some(2));
}

#[test]
fn a_bare_mistake_gets_the_next_step() {
    let desk = Desk::new();
    desk.write("table.csv", TABLE);
    desk.write("my.toml", CONFIG);
    desk.succeed(&["train", "my.toml", "--out", "runs/mine", "-q"]);
    let of_folder = desk.run(&["predict", "runs", "table.csv"]);
    assert_eq!(of_folder.hint(), "the folder holds a run: name runs/mine");
    desk.succeed(&["train", "my.toml", "--out", "runs/other", "-q"]);
    let of_folder = desk.run(&["evaluate", "runs"]);
    assert_eq!(of_folder.hint(), "the folder holds runs, name one of them: runs/other, runs/mine");
    let of_data = desk.run(&["train", "table.csv"]);
    assert_eq!(
        (of_data.code, of_data.problem()),
        (Some(2), "table.csv: found a data file (csv), expected a configuration")
    );
    assert!(of_data.hint().starts_with("`burn-svm init FILE`"), "{of_data:?}");
    for (key, hint) in [
        ("validation=0.1", "did you mean `split.validation`?"),
        ("margin=2", "did you mean `loss.weston_watkins.margin`?"),
        ("gap=1e-4", "did you mean `solver.dual.gap`?"),
        ("label=x", "did you mean `data.csv.label`?"),
        ("scale=std", "did you mean `preprocess.scale`?"),
    ] {
        let refused = desk.run(&["train", "my.toml", "--set", key]);
        assert_eq!((refused.code, refused.hint()), (Some(2), hint), "{refused:?}");
    }
    desk.write("sgd.toml", SMALL);
    assert_eq!(desk.run(&["train", "sgd.toml", "--set", "log_every=1"]).hint(), "did you mean `solver.sgd.log_every`?");
}

#[test]
fn a_key_of_another_table_and_a_table_without_keys_get_the_next_step() {
    const TABLES: &str =
        "a table is a line `[NAME]` with its keys below, or `--set NAME.KEY=VALUE` on the command line";
    let desk = Desk::new();
    desk.write("table.csv", TABLE);
    desk.write("my.toml", CONFIG);
    let mut verdict = Verdict::default();
    for (key, hint) in [
        ("log_every=1", "a key of [solver.sgd], which this configuration does not have"),
        ("k=2", "a key of [loss.top_k], which this configuration does not have"),
        ("Gap=0.1", "did you mean `solver.dual.gap`?"),
        ("split=0.2", TABLES),
        ("solver=sgd", TABLES),
    ] {
        let outcome = desk.run(&["train", "my.toml", "--set", key]);
        verdict.hold(&Case { what: key, problem: outcome.problem(), hint }, &outcome, 2);
    }
    verdict.assert();
}

/// Arguments that are left out, files of another kind, and files in the place of others.
#[test]
fn a_wrong_file_gets_the_next_step() {
    let desk = Desk::new();
    desk.write("table.csv", TABLE);
    desk.write("my.toml", CONFIG);
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    fs::copy(repository("cli/tests/fixtures/formats/pandas.parquet"), desk.path("t.parquet")).unwrap();
    desk.write("wide.csv", [b"\xff\xfe".to_vec(), utf_16(TABLE)].concat());
    desk.write("bare.csv", utf_16(TABLE));
    desk.write(
        "book.xlsx",
        b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x13\0\0\0[Content_Types].xmlxl/workbook.xml",
    );
    desk.write("rows.csv", TABLE.split_once('\n').unwrap().1);
    desk.write("folder/x", "");
    const FOLDERS: &str =
        "`[data.images]` reads a folder of images, `[data.parquet]` and `[data.arrow]` a folder of part files";
    const UTF_8: &str = "save it as UTF-8: `iconv -f UTF-16 -t UTF-8 FILE > NEW`";
    const EXCEL: &str =
        "save it as csv in the spreadsheet program, or `pandas.read_excel(FILE).to_csv(\"table.csv\", index=False)`";
    let mut verdict = Verdict::default();
    for (arguments, code, problem, hint) in [
        (
            &["train", "my.toml", "--set", "data.csv.train=t.parquet"][..],
            1,
            "t.parquet: found a Parquet file, expected csv text",
            "`[data.parquet]` reads it, `--format parquet` where a command has no table",
        ),
        (
            &["train", "my.toml", "--set", "data.csv.train=book.xlsx"],
            1,
            "book.xlsx: found an Excel workbook (xlsx), expected a format that is read, such as csv, Parquet or npy",
            EXCEL,
        ),
        (
            &["train", "my.toml", "--set", "data.csv.train=wide.csv"],
            1,
            "wide.csv: found UTF-16 text, expected csv text",
            UTF_8,
        ),
        (
            &["train", "my.toml", "--set", "data.csv.train=bare.csv"],
            1,
            "bare.csv: found UTF-16 text, expected csv text",
            UTF_8,
        ),
        (
            &["train", "my.toml", "--set", "data.csv.train=folder"],
            2,
            "folder: is a directory, expected a file",
            FOLDERS,
        ),
        (
            &["train", "my.toml", "--set", "data.csv.train=rows.csv"],
            1,
            "rows.csv:1: there is no column `kind`",
            "is the first line a row? `header = false` reads it as one, and `label = -1` is the last column",
        ),
        (&["train", "book.xlsx"], 2, "book.xlsx: found an Excel workbook (xlsx), expected a configuration", EXCEL),
    ] {
        let outcome = desk.run(arguments);
        verdict.hold(&Case { what: &arguments.join(" "), problem, hint }, &outcome, code);
    }
    verdict.assert();
    // The advice on a file without a header holds.
    desk.succeed(&[
        "train",
        "my.toml",
        "--set",
        "data.csv.train=rows.csv",
        "--set",
        "data.csv.header=false",
        "--set",
        "data.csv.label=-1",
        "--out",
        "bare",
        "-q",
    ]);
    let lacking = desk.run(&["predict", "run"]);
    assert_eq!(
        (lacking.code, lacking.hint()),
        (Some(2), "<FILE> is: Data file, or - for standard input"),
        "{lacking:?}"
    );
}

/// Bare rows in a form that is not that of the training data.
#[test]
fn a_bare_row_gets_the_next_step() {
    let desk = Desk::new();
    desk.write("table.csv", TABLE);
    desk.write("my.toml", CONFIG);
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    for row in ["1,5;2", "1,2,7,4", "1,x", "1,5 2", "1.5,2,a,b"] {
        desk.write("row", format!("{row}\n"));
        let refused = desk.run(&["predict", "run", "row", "--format", "csv"]);
        assert!(
            refused.hint().starts_with("is the first line a row? A row without a header has 2 cells, "),
            "{row}: {refused:?}"
        );
    }
}

#[test]
fn a_run_folder_is_evaluated_from_any_folder() {
    let desk = Desk::new();
    fs::create_dir_all(desk.path("here/data")).unwrap();
    fs::create_dir_all(desk.path("there/data")).unwrap();
    desk.write("here/data/table.csv", TABLE);
    desk.write("here/my.toml", CONFIG.replace("table.csv", "data/table.csv"));
    let inside = |folder: &str, arguments: &[&str]| {
        let mut command = desk.command(arguments);
        outcome(command.current_dir(desk.path(folder)))
    };
    assert_eq!(inside("here", &["train", "my.toml", "--out", "run", "-q"]).code, Some(0));
    let near = inside("here", &["evaluate", "run"]);
    let far = inside("there", &["evaluate", "../here/run"]);
    assert_eq!((near.code, far.code), (Some(0), Some(0)), "{far:?}");
    let table = |text: &str| text.lines().skip(1).collect::<Vec<_>>().join("\n");
    assert_eq!(table(&near.stdout), table(&far.stdout));
    assert!(far.stderr.contains(&desk.path("here/data/table.csv").display().to_string()), "{far:?}");
    // A file of the same name in the folder of the command is not the one that was trained on.
    desk.write("there/data/table.csv", TABLE.replace("small", "large"));
    assert_eq!(table(&inside("there", &["evaluate", "../here/run"]).stdout), table(&near.stdout));
    // Data that are gone there are looked for as before.
    fs::rename(desk.path("here/data"), desk.path("here/gone")).unwrap();
    desk.write("there/data/table.csv", TABLE);
    assert_eq!(table(&inside("there", &["evaluate", "../here/run"]).stdout), table(&near.stdout));
}
