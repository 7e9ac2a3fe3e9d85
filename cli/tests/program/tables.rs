//! Tables with named columns, from training to prediction, as a user has them.

use crate::program::{Case, Desk, Verdict, repository};
use std::fmt::Write;

const CONFIG: &str = "[data.csv]\ntrain = 'train.csv'\nlabel = 'kind'\nignore = ['id']\n[objective]\nc = 1.0\n[loss.crammer_singer]\n[solver.dual]\n";

/// Two features that tell the kind, and a number that means nothing.
fn rows() -> Vec<(f64, f64, &'static str)> {
    (0..30).map(|i| (f64::from(i % 3), f64::from(i % 3 * i % 2) + 0.5, ["ant", "bee", "cat"][i as usize % 3])).collect()
}

fn train_csv() -> String {
    let mut text = String::from("id,long,kind,wide\n");
    for (i, (long, wide, kind)) in rows().iter().enumerate() {
        writeln!(text, "{i},{long},{kind},{wide}").unwrap();
    }
    text
}

#[test]
fn columns_are_found_by_name_at_predict_and_evaluate() {
    let desk = Desk::new();
    desk.write("my.toml", CONFIG);
    desk.write("train.csv", train_csv());
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    let mut moved = String::from("wide\textra\tkind\tlong\n");
    let mut bare = String::from("long,wide\n");
    for (long, wide, kind) in rows() {
        writeln!(moved, "{wide}\tred\t{kind}\t{long}").unwrap();
        writeln!(bare, "{long},{wide}").unwrap();
    }
    desk.write("moved.tsv", &moved);
    desk.write("bare.csv", &bare);
    let own = desk.succeed(&["predict", "run", "train.csv", "--scores"]).stdout;
    assert_eq!(own.lines().count(), 30);
    assert_eq!(desk.succeed(&["predict", "run", "moved.tsv", "--scores"]).stdout, own);
    assert_eq!(desk.succeed(&["predict", "run", "bare.csv", "--scores"]).stdout, own);
    let own = desk.succeed(&["evaluate", "run", "--data", "train.csv", "--json"]).stdout;
    let moved = desk.succeed(&["evaluate", "run", "--data", "moved.tsv", "--json"]).stdout;
    assert_eq!(own.replace("train.csv", "moved.tsv"), moved);

    let mut verdict = Verdict::default();
    for (what, args, text, problem, hint) in [
        (
            "a feature is missing",
            &["predict", "run", "x.csv"][..],
            "long,kind\n1,ant\n",
            "x.csv:1: there is no column `wide`, which the model has as a feature",
            "columns are matched by their names in the header",
        ),
        (
            "a feature is no number",
            &["predict", "run", "x.csv"],
            "long,wide\n1,2\n\n1,wide\n",
            "x.csv:4: column `wide`: found `wide`, expected a number",
            "the model was trained on numbers in this column",
        ),
        (
            "no labels to evaluate against",
            &["evaluate", "run", "--data", "x.csv"],
            "long,wide\n1,2\n",
            "x.csv: has no labels to evaluate against",
            "`burn-svm predict` needs none",
        ),
        (
            "a label that the model does not have",
            &["evaluate", "run", "--data", "x.csv"],
            "long,wide,kind\n1,2,ant\n1,2,dog\n",
            "x.csv: record 2: label `dog` is not a class of the model",
            "the model's classes are ant, bee, cat",
        ),
        (
            "another delimiter",
            &["predict", "run", "x.csv"],
            "long/wide\n1/2\n",
            "x.csv:1: there is no column `long` (and 1 more), which the model has as a feature",
            "columns are matched by their names in the header",
        ),
    ] {
        desk.write("x.csv", text);
        verdict.hold(&Case { what, problem, hint }, &desk.run(args), 1);
    }
    verdict.assert();
}

#[test]
fn parquet_is_trained_on_evaluated_and_predicted() {
    let desk = Desk::new();
    for name in ["pandas.parquet", "typed.gzip.parquet", "quoted.csv", "bad.parquet"] {
        desk.write(name, std::fs::read(repository(&format!("cli/tests/fixtures/formats/{name}"))).unwrap());
    }
    let config =
        CONFIG.replace("csv]\ntrain = 'train.csv'", "parquet]\ntrain = 'pandas.parquet'\ntest = 'typed.gzip.parquet'");
    desk.write("my.toml", config.replace("ignore = ['id']", "weights = 'weight'"));
    let trained = desk.succeed(&["train", "my.toml", "--out", "run"]);
    assert!(trained.stderr.contains("column `__index_level_0__` is a row index or has no name, and is left out"));
    assert!(
        trained.stderr.contains("12 train, 0 validation, 12 test rows; 3 features (f32), 3 classes"),
        "{}",
        trained.stderr
    );
    let own = desk.succeed(&["predict", "run", "pandas.parquet", "--scores"]).stdout;
    assert_eq!(own.lines().filter(|line| line.contains('\t')).count(), 12);
    // The same rows in other types, and as text: columns are matched by name across formats.
    assert_eq!(desk.succeed(&["predict", "run", "typed.gzip.parquet", "--scores"]).stdout, own);
    assert_eq!(desk.succeed(&["predict", "run", "quoted.csv", "--scores"]).stdout, own);
    let report = desk.succeed(&["evaluate", "run", "--data", "typed.gzip.parquet"]).stdout;
    assert!(report.starts_with("12 rows: typed.gzip.parquet\n"), "{report}");
    let mut verdict = Verdict::default();
    let case = Case {
        what: "other columns",
        problem: "bad.parquet: there is no column `one` (and 2 more), which the model has as a feature",
        hint: "columns are matched by their names in the header",
    };
    verdict.hold(&case, &desk.run(&["predict", "run", "bad.parquet"]), 1);
    let train = desk
        .read("my.toml")
        .replace("pandas.parquet'", "bad.parquet'")
        .replace("weights = 'weight'", "")
        .replace("test =", "#");
    desk.write("bad.toml", train.replace("label = 'kind'", "label = 'label'\nignore = ['text', 'when', 'nan', 'y']"));
    let case = Case {
        what: "a missing cell",
        problem: "bad.parquet: record 3: column `lacks`: the value is missing",
        hint: "`missing = \"mean\"` of [preprocess] fills missing values in, as do \"median\" and \"most-frequent\"; `ignore` leaves the column out",
    };
    verdict.hold(&case, &desk.run(&["train", "bad.toml", "--out", "other"]), 1);
    verdict.assert();
}

/// A label that train does not have is never guessed at nor passed over: no model could get its rows right.
#[test]
fn labels_that_train_has_not_seen_are_refused_with_their_rows() {
    let desk = Desk::new();
    desk.write("my.toml", CONFIG.replace("train = 'train.csv'", "train = 'train.csv'\ntest = 'test.csv'"));
    desk.write("train.csv", train_csv());
    desk.write("test.csv", "long,wide,kind\n1,2,ant\n1,2,dog\n1,2,bee\n1,2,eel\n");
    let mut verdict = Verdict::default();
    let case = Case {
        what: "in the test part, at training",
        problem: "test.csv: record 2: label `dog` does not occur in the train part; 2 rows have such labels",
        hint: "no model could get these rows right: remove them, or train on rows of their classes; the train part has 3 classes: ant, \
               bee, cat",
    };
    verdict.hold(&case, &desk.run(&["train", "my.toml", "--out", "run"]), 1);
    assert!(!desk.path("run").exists());
    desk.write("plain.toml", CONFIG);
    desk.succeed(&["train", "plain.toml", "--out", "run", "-q"]);
    let at_evaluate = Case {
        what: "in a file, at evaluate",
        problem: "test.csv: record 2: label `dog` is not a class of the model",
        hint: "the model's classes are ant, bee, cat",
    };
    verdict.hold(&at_evaluate, &desk.run(&["evaluate", "run", "--data", "test.csv"]), 1);
    verdict.hold(
        &Case { what: "in a configuration, at evaluate", ..case },
        &desk.run(&["evaluate", "run", "--data", "my.toml"]),
        1,
    );
    // A class of train that the test part lacks is no mistake, and neither are labels where only features are looked at.
    desk.write("fewer.csv", "long,wide,kind\n1,2,ant\n0,0.5,ant\n");
    assert!(desk.succeed(&["evaluate", "run", "--data", "fewer.csv"]).stdout.starts_with("2 rows: fewer.csv"));
    assert_eq!(desk.succeed(&["predict", "run", "test.csv"]).stdout.lines().count(), 4);
    verdict.assert();
}

#[test]
fn bad_tables_end_with_file_and_line() {
    let mut verdict = Verdict::default();
    let lacks = "`missing = \"mean\"` of [preprocess] fills missing values in, as do \"median\" and \"most-frequent\"; `ignore` leaves the column out";
    for (what, text, problem, hint) in [
        ("missing", "id,long,kind\n1,2,a\n2,,b\n", "train.csv:3: column `long`: the value is missing", lacks),
        ("NA", "id,long,kind\n1,2,a\n2,NA,b\n", "train.csv:3: column `long`: the value is missing, found `NA`", lacks),
        (
            "ragged",
            "id,long,kind\n1,2,a\n2,3\n",
            "train.csv:3: found 2 cells, expected 3 as in the header",
            "is this the right delimiter? a cell that holds it must be quoted",
        ),
        (
            "label misspelt",
            "id,long,kinds\n1,2,a\n2,3,b\n",
            "train.csv:1: there is no column `kind`",
            "did you mean `kinds`?",
        ),
        (
            "one class",
            "id,long,kind\n1,2,a\n2,3,a\n",
            "train.csv: found one class only, `a` in 2 rows, expected at least two classes",
            "there is nothing to tell apart: are these the right labels?",
        ),
        (
            "open quote",
            "id,long,kind\n1,2,\"a\n2,3,b\n",
            "train.csv:2: a quote is opened and never closed",
            "a quote within quotes is written twice",
        ),
    ] {
        let desk = Desk::new();
        desk.write("my.toml", CONFIG);
        desk.write("train.csv", text);
        let outcome = desk.run(&["train", "my.toml", "--out", "run"]);
        verdict.hold(&Case { what, problem, hint }, &outcome, 1);
        assert!(!desk.path("run").exists(), "{what}: nothing is left behind");
    }
    verdict.assert();
}

/// A class of one row has nothing to be held out.
#[test]
fn rare_classes_are_learned_from_and_named() {
    let desk = Desk::new();
    let mut text = String::from("x,kind\n");
    for i in 0..43 {
        let kind = if i < 40 { ["ant", "bee"][i % 2] } else { ["cat", "dog", "eel"][i - 40] };
        writeln!(text, "{},{kind}", i % 7).unwrap();
    }
    desk.write("train.csv", text).write("my.toml", CONFIG.replace("ignore = ['id']\n", ""));
    for method in ["stratified", "random"] {
        let (method, seed) = (format!("split.method={method}"), if method == "random" { "seed=3" } else { "seed=0" });
        let out = desk.succeed(&[
            "train",
            "my.toml",
            "--out",
            "run",
            "--force",
            "--set",
            "split.test=0.3",
            "--set",
            &method,
            "--set",
            seed,
        ]);
        let note = "class `cat` (and 2 more) has a single row: it is learned from, and never held out";
        assert!(out.stderr.contains(note), "{method}: {}", out.stderr);
        assert!(!out.stderr.contains("no row to learn from"), "{method}: {}", out.stderr);
    }
    let last = desk.succeed(&[
        "train",
        "my.toml",
        "--out",
        "run",
        "--force",
        "--set",
        "split.test=2",
        "--set",
        "split.method=last",
    ]);
    let warning = "class `dog` (and 1 more) has no row to learn from, [split] holds all of them out";
    assert!(last.stderr.contains(warning), "{}", last.stderr);
}
