//! Model files of LIBLINEAR: they are read with the same predictions, and damaged ones are refused with file and line.
//!
//! tests/fixtures/liblinear/make.py made the fixtures with LIBLINEAR 2.50.

use crate::program::{Case, Desk, Verdict, repository};
use burn_svm::internals::loss::{Formulation, Power};
use burn_svm::internals::model::{Classifier, Origin};
use burn_svm_cli::format::read_table;
use proptest::prelude::*;
use std::path::Path;

fn fixture(name: &str) -> String {
    repository(&format!("cli/tests/fixtures/liblinear/{name}"))
}

fn said() -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(fixture("said.json")).unwrap()).unwrap()
}

fn rows_of(model: &str) -> String {
    fixture(&format!("{}.rows", model.split('-').next().unwrap()))
}

#[test]
fn every_solver_says_what_liblinear_says() {
    let desk = Desk::new();
    let said = said();
    assert_eq!(said.as_object().unwrap().len(), 11);
    for (name, said) in said.as_object().unwrap() {
        let predicted = desk.succeed(&["predict", &fixture(name), &rows_of(name), "--scores"]).stdout;
        let expected = said["labels"].as_array().unwrap();
        assert_eq!(predicted.lines().count(), expected.len());
        for (i, line) in predicted.lines().enumerate() {
            let mut words = line.split('\t');
            assert_eq!(words.next().unwrap(), expected[i].to_string(), "{name} row {i}");
            let mut scores: Vec<f64> = words.map(|w| w.parse().unwrap()).collect();
            if name.starts_with("two") {
                // The classes are [second, first], and LIBLINEAR gives the value of the first.
                assert_eq!(scores[0], -scores[1]);
                scores.remove(0);
            }
            let values = said["values"][i].as_array().unwrap();
            assert_eq!(scores.len(), values.len());
            for (score, value) in scores.iter().zip(values) {
                let value = value.as_f64().unwrap();
                assert!((score - value).abs() <= 1e-14 * (1.0 + value.abs()), "{name} row {i}: {score} {value}");
            }
        }
    }
}

#[test]
fn losses_are_known_for_the_solvers_of_margin_losses() {
    let loss = |name: &str| {
        burn_svm_cli::model_file::load(Path::new(&fixture(name)))
            .unwrap()
            .loss()
            .map(|l| (l.formulation(), l.set.power))
    };
    assert_eq!(loss("three-4.model"), Some((Formulation::CrammerSinger, Power::One)));
    assert_eq!(loss("three-3.model"), Some((Formulation::OneVsRest, Power::One)));
    for squared in ["three-1.model", "three-2.model", "three-5.model"] {
        assert_eq!(loss(squared), Some((Formulation::OneVsRest, Power::Two)));
    }
    for logistic in ["three-0.model", "three-6.model", "three-7.model"] {
        assert_eq!(loss(logistic), None);
    }
}

#[test]
fn evaluate_measures_them() {
    let desk = Desk::new();
    for (name, described) in [
        ("three-4.model", "(crammer_singer, margin 1, power 1)"),
        ("two-1.model", "(one_vs_rest, margin 1, power 2)"),
        ("three-7.model", "data loss    unknown: the model was trained for another loss than a margin loss"),
    ] {
        let shown = desk.succeed(&["evaluate", &fixture(name), "--data", &rows_of(name)]).stdout;
        assert!(shown.lines().any(|line| line.ends_with(described)), "{shown}");
        let json = desk.succeed(&["evaluate", &fixture(name), "--data", &rows_of(name), "--json"]).stdout;
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(json["accuracy"].as_f64().unwrap() > 0.8, "{json}");
        assert_eq!(json["data_loss"].is_null(), name == "three-7.model");
        assert_eq!(json["loss"].is_null(), name == "three-7.model");
    }
    let outcome = desk.run(&["evaluate", &fixture("three-4.model")]);
    let problem = format!("{}: a model of LIBLINEAR does not say what it was trained on", fixture("three-4.model"));
    assert_eq!(
        (outcome.code, outcome.problem(), outcome.hint()),
        (Some(1), problem.as_str(), "name the rows to measure it on with --data")
    );
}

#[test]
fn the_loss_between_two_classes_is_twice_the_binary_one() {
    let desk = Desk::new();
    let said = said();
    let labels: Vec<f64> = std::fs::read_to_string(fixture("two.rows"))
        .unwrap()
        .lines()
        .map(|line| line.split(' ').next().unwrap().parse().unwrap())
        .collect();
    let values = said["two-1.model"]["values"].as_array().unwrap();
    let hinges = labels.iter().zip(values).map(|(y, v)| (1.0 - y * v[0].as_f64().unwrap()).max(0.0).powi(2));
    let mean = hinges.sum::<f64>() / labels.len() as f64;
    let json = desk.succeed(&["evaluate", &fixture("two-1.model"), "--data", &fixture("two.rows"), "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!((json["data_loss"].as_f64().unwrap() - 2.0 * mean).abs() < 1e-12);
}

/// The rows of `-wi` in docs/math.md: LIBLINEAR trained with `-c 0.7 -w7 10 -w-3 0.1`, and what is said to be the same here.
#[test]
fn class_weights_are_those_of_the_table() {
    let desk = Desk::new();
    let rows = std::fs::read_to_string(fixture("three.rows")).unwrap();
    let trained = |rows: &str, loss: &str, weights: &str| {
        let data = "[data.libsvm]\ntrain = 'rows'\n[preprocess]\nbias = 'none'\n[objective]\nc = 0.7\n";
        let text = format!("{data}[loss.{loss}\nclass_weights = {{ {weights} }}\n[solver.dual]\ngap = 1e-9\n");
        desk.write("rows", rows).write("my.toml", text);
        desk.succeed(&["train", "my.toml", "--out", "run", "--force", "-q"]);
        burn_svm_cli::model_file::load(&desk.path("run")).unwrap()
    };
    let theirs = |name: &str| burn_svm_cli::model_file::load(Path::new(&fixture(name))).unwrap();
    let column = |model: &Classifier, class: &str| -> Vec<f64> {
        let (k, at) = (model.n_classes(), model.class_names.iter().position(|name| name == class).unwrap());
        model.weight.chunks_exact(k).map(|row| row[at]).collect()
    };
    let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let all = "7 = 10, \"-3\" = 0.1";
    let (joint, each) = (trained(&rows, "crammer_singer]", all), trained(&rows, "one_vs_rest]\npower = 2", all));
    for (class, weight) in [("7", "10"), ("-3", "0.1"), ("12", "1")] {
        let off = distance(&column(&joint, class), &column(&theirs("weighted-4.model"), class));
        assert!(off < 1e-4, "-s 4, {class}: {off}");
        // One class against the rest, in a file of its own.
        let lines = rows.lines().map(|line| {
            let (label, cells) = line.split_once(' ').unwrap_or((line, ""));
            format!("{} {cells}\n", if label == class { class } else { "rest" })
        });
        let machine =
            trained(&lines.collect::<String>(), "one_vs_rest]\npower = 2", &format!("\"{class}\" = {weight}"));
        let theirs = column(&theirs("weighted-1.model"), class);
        let off = distance(&column(&machine, class), &theirs);
        assert!(off < 1e-4, "-s 1, {class}: {off}");
        // All classes in one file weigh negative rows, too.
        assert!(distance(&column(&each, class), &theirs) > 1e-2, "-s 1, {class}");
    }
}

#[test]
fn damaged_files_are_refused_with_their_line() {
    const HINT: &str =
        "MODEL may be a text model as LIBLINEAR's `train` writes it, of a classifier of two classes or more";
    let good = "solver_type MCSVM_CS\nnr_class 3\nlabel 2 0 1\nnr_feature 2\nbias 1\nw\n1 2 3 \n4 5 6 \n7 8 9 \n";
    let desk = Desk::new();
    desk.write("rows", "2 1:1\n0 2:1\n");
    desk.write("good", good);
    assert_eq!(desk.succeed(&["predict", "good", "rows", "--scores"]).stdout, "1\t8\t10\t12\n1\t11\t13\t15\n");
    desk.write("order", good.replace("nr_class 3\nlabel 2 0 1", "label 2 0 1\n\nnr_class 3").replace('\n', "\r\n"));
    assert_eq!(desk.succeed(&["predict", "order", "rows"]).stdout, "1\n1\n");
    let mut verdict = Verdict::default();
    for (from, to, problem) in [
        (
            "MCSVM_CS",
            "L2R_L1LOSS_SVR_DUAL",
            "m:1: found a model of regression, `L2R_L1LOSS_SVR_DUAL`, expected a classifier",
        ),
        ("MCSVM_CS", "ONECLASS_SVM", "m:1: found a one-class model, `ONECLASS_SVM`, expected a classifier"),
        ("MCSVM_CS", "C_SVC", "m:1: found the solver type `C_SVC`, expected one of LIBLINEAR's for classification"),
        ("MCSVM_CS", "", "m:1: found the solver type nothing, expected one of LIBLINEAR's for classification"),
        ("nr_class 3", "nr_class x", "m:2: `nr_class`: found `x`, expected a whole number, one or more"),
        ("nr_class 3", "nr_class -3", "m:2: `nr_class`: found `-3`, expected a whole number, one or more"),
        ("nr_class 3", "nr_class 4", "m:6: found 3 labels, expected nr_class 4"),
        ("nr_class 3", "nr_class 1152921504606846976", "m:6: found 3 labels, expected nr_class 1152921504606846976"),
        ("nr_class 3\nlabel 2 0 1", "nr_class 1\nlabel 2", "m:6: found 1 class, expected two or more"),
        ("nr_class 3\n", "", "m:5: found the weights, but no `nr_class` before them"),
        ("label 2 0 1\n", "", "m:5: found the weights, but no `label` before them"),
        ("label 2 0 1", "label 2 0 cat", "m:3: `label`: found `cat`, expected integers"),
        ("label 2 0 1", "label 2 0 +2", "m:3: label 2 is there twice"),
        ("nr_feature 2", "nr_feature 0", "m:6: nr_feature is 0, expected one or more"),
        ("nr_feature 2", "nr_feature 2\nnr_feature 2", "m:5: `nr_feature` is there twice"),
        (
            "nr_feature 2",
            "nr_feature 1152921504606846976",
            "m:9: the file ends after 3 of 1152921504606846977 rows of weights: it is cut off",
        ),
        (
            "nr_feature 2",
            "nr_feature 18446744073709551615",
            "m:9: the file ends after 3 of 18446744073709551615 rows of weights: it is cut off",
        ),
        (
            "nr_feature 2",
            "nr_feature 18446744073709551616",
            "m:4: `nr_feature`: found `18446744073709551616`, expected a whole number, one or more",
        ),
        ("nr_feature 2", "nr_feature 1", "m:9: found more than the 2 rows of weights that nr_feature and bias promise"),
        ("bias 1", "bias -1", "m:9: found more than the 2 rows of weights that nr_feature and bias promise"),
        ("bias 1", "bias inf", "m:5: found `inf`, expected a finite number"),
        ("bias 1", "bios 1", "m:5: found `bios`, expected solver_type, nr_class, label, nr_feature, bias or w"),
        ("4 5 6", "4 5", "m:8: found 2 weights, expected 3"),
        ("4 5 6", "4 5 6 7", "m:8: found 4 weights, expected 3"),
        ("4 5 6", "4 5 six", "m:8: found `six`, expected a finite number"),
        ("4 5 6", "4 nan 6", "m:8: found `nan`, expected a finite number"),
        ("4 5 6", "4 5 1e999", "m:8: found `1e999`, expected a finite number"),
        ("7 8 9 \n", "", "m:8: the file ends after 2 of 3 rows of weights: it is cut off"),
        ("w\n1 2 3 \n4 5 6 \n7 8 9 \n", "", "m:5: the file ends before `w`, which the weights follow: it is cut off"),
    ] {
        assert_eq!(good.matches(from).count(), 1, "{from}");
        desk.write("m", good.replace(from, to));
        let case = Case { what: to, problem, hint: HINT };
        verdict.hold(&case, &desk.run(&["predict", "m", "rows"]), 1);
    }
    desk.write("m", [good.as_bytes(), &[0xff, b'\n']].concat());
    let case = Case { what: "bytes", problem: "m:10: found bytes that are not text", hint: HINT };
    verdict.hold(&case, &desk.run(&["evaluate", "m", "--data", "rows"]), 1);
    verdict.assert();
}

#[test]
fn models_that_liblinear_trained_for_other_tasks_are_refused() {
    for (name, problem) in [
        ("regression.model", "found a model of regression, `L2R_L2LOSS_SVR`, expected a classifier"),
        ("one-class.model", "found a one-class model, `ONECLASS_SVM`, expected a classifier"),
    ] {
        let error = burn_svm_cli::model_file::load(Path::new(&fixture(name))).unwrap_err().to_string();
        assert_eq!(error, format!("{}:1: {problem}", fixture(name)));
    }
}

#[test]
fn as_safetensors_they_keep_every_digit_and_their_origin() {
    let model = burn_svm_cli::model_file::load(Path::new(&fixture("three-1.model"))).unwrap();
    let copy = Classifier::from_bytes(&model.to_bytes(), Path::new("copy")).unwrap();
    assert_eq!((&copy.weight, &copy.class_names), (&model.weight, &model.class_names));
    let (Origin::Liblinear(a), Origin::Liblinear(b)) = (&model.origin, &copy.origin) else { panic!("{copy:?}") };
    assert_eq!((a.solver, &a.loss), (b.solver, &b.loss));
    let table = read_table(Path::new(&fixture("three.rows")), None).unwrap();
    let rows = burn_svm_cli::run::all_rows(&table.features);
    assert_eq!(model.scores(&table.features, &rows), copy.scores(&table.features, &rows));
}

proptest! {
    #[test]
    fn no_change_of_a_file_makes_it_panic(at in any::<prop::sample::Index>(), put in "[0-9a-z .\\n-]{0,4}", cut in any::<prop::sample::Index>()) {
        let mut bytes = std::fs::read(fixture("two-1.model")).unwrap();
        let at = 12 + at.index(bytes.len() - 16);
        bytes.splice(at..at + put.len().min(4), put.bytes());
        bytes.truncate(bytes.len().max(12) - cut.index(4));
        if let Ok(model) = burn_svm_cli::liblinear::read(&bytes, Path::new("m")) {
            let table = read_table(Path::new(&fixture("two.rows")), None).unwrap();
            let features = burn_svm_cli::run::conform(table.features, &model, Path::new("rows")).unwrap();
            let _ = model.scores(&features, &burn_svm_cli::run::all_rows(&features));
            let _ = model.folded_weights();
        }
    }
}
