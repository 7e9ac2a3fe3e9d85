//! Tables with named columns, from training to prediction, as a user has them.

use crate::program::{Case, Desk, Verdict};
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
            "every feature is a number: encode categories as numbers, or leave the column out with `ignore`",
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
fn bad_tables_end_with_file_and_line() {
    let mut verdict = Verdict::default();
    let lacks = "fill missing values in or drop their rows before training, or leave the column out with `ignore`";
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
