//! Measures and probabilities: the numbers of scikit-learn and SciPy (`tests/fixtures/make_evaluation.py`), and the commands
//! that show them.

use crate::program::{Desk, SMALL, repository};
use burn_svm::internals::calibration::{Calibration, Calibrator, QualitySum, log_softmax, negative_log_likelihood};
use burn_svm::internals::metric::{ClassCurves, ClassReport, Confusion, argmax, in_top_k, mean};
use serde_json::Value;

struct Fixture {
    json: Value,
    scores: Vec<f64>,
    labels: Vec<usize>,
    k: usize,
}

fn fixture() -> Fixture {
    let text = std::fs::read_to_string(repository("cli/tests/fixtures/evaluation.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    let scores = numbers(&json["scores"]);
    let labels = numbers(&json["labels"]).into_iter().map(|l| l as usize).collect();
    let k = json["n_classes"].as_u64().unwrap() as usize;
    Fixture { json, scores, labels, k }
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[track_caller]
fn near(found: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() <= tolerance * expected.abs().max(1.0), "found {found}, expected {expected}");
}

#[test]
fn the_classification_report_of_scikit_learn() {
    let Fixture { json, scores, labels, k } = fixture();
    let mut confusion = Confusion::new(k);
    for (row, &label) in scores.chunks(k).zip(&labels) {
        confusion.add(label, argmax(row));
    }
    for (i, row) in json["confusion"].as_array().unwrap().iter().enumerate() {
        let found: Vec<f64> = (0..k).map(|j| confusion.count(i, j) as f64).collect();
        assert_eq!(found, numbers(row));
    }
    near(confusion.accuracy(), &json["accuracy"], 1e-14);
    near(confusion.balanced_accuracy(), &json["balanced_accuracy"], 1e-14);
    let hits = scores.chunks(k).zip(&labels).filter(|(row, label)| in_top_k(row, **label, 2)).count();
    near(hits as f64 / labels.len() as f64, &json["top_2"], 1e-14);
    let same = |found: &ClassReport, expected: &Value| {
        near(found.precision, &expected["precision"], 1e-14);
        near(found.recall, &expected["recall"], 1e-14);
        near(found.f1, &expected["f1-score"], 1e-14);
        near(found.support as f64, &expected["support"], 0.0);
    };
    let report = &json["report"];
    let classes = confusion.classes();
    // Class 3 is predicted but has no rows; class 4 is not met, and not in the report of scikit-learn.
    (0..4).for_each(|c| same(&classes[c], &report[c.to_string()]));
    assert!(report.get("4").is_none() && !classes[4].occurs());
    same(&confusion.mean(false), &report["macro avg"]);
    same(&confusion.mean(true), &report["weighted avg"]);
}

#[test]
fn the_areas_below_the_curves_of_scikit_learn() {
    let Fixture { json, scores, labels, k } = fixture();
    let of = |class: usize, map: fn(f64) -> f64| {
        let rows = scores.chunks(k).zip(&labels).map(|(row, &label)| (map(row[class]), label == class));
        ClassCurves::new(rows.collect())
    };
    for class in 0..3 {
        // NumPy rounds halves to even.
        for (map, expected) in [((|s| s) as fn(f64) -> f64, &json), (f64::round_ties_even, &json["tied"])] {
            let curves = of(class, map);
            near(curves.roc_auc.unwrap(), &expected["roc_auc"][class], 1e-14);
            near(curves.average_precision.unwrap(), &expected["average_precision"][class], 1e-14);
        }
    }
    // Classes without rows have no curves, and are left out of the mean.
    let all: Vec<ClassCurves> = (0..k).map(|class| of(class, |s| s)).collect();
    assert!(all[3].roc_auc.is_none() && all[4].average_precision.is_none());
    let expected: f64 = numbers(&json["roc_auc"]).iter().sum::<f64>() / 3.0;
    assert!((mean(all.iter().map(|c| c.roc_auc)).unwrap() - expected).abs() < 1e-14);
}

/// `evaluate` of a run, and the curves that its folder keeps.
#[test]
fn evaluate_tells_the_areas_that_the_run_keeps() {
    let desk = calibrated("none");
    let found: Value = serde_json::from_str(&desk.succeed(&["evaluate", "run", "--json"]).stdout).unwrap();
    let kept = desk.read("run/roc.csv");
    assert!(kept.starts_with("split,curve,class,area,x,y\ntest,roc,0,"), "{}", &kept[..80]);
    for (name, kind) in [("roc_auc", "roc"), ("average_precision", "precision_recall")] {
        let areas: Vec<f64> = found["classes"].as_array().unwrap().iter().map(|c| c[name].as_f64().unwrap()).collect();
        assert!(areas.iter().all(|area| (0.5..=1.0).contains(area)), "{areas:?}");
        near(areas.iter().sum::<f64>() / 10.0, &found[name], 1e-14);
        for (class, area) in areas.iter().enumerate() {
            let start = format!("test,{kind},{class},");
            let line = kept.lines().find(|line| line.starts_with(&start)).unwrap();
            near(line.split(',').nth(3).unwrap().parse().unwrap(), &serde_json::json!(area), 1e-14);
        }
    }
    let table = desk.succeed(&["evaluate", "run"]).stdout;
    assert!(table.contains("\nROC AUC      0.9") && table.contains("      rows   ROC AUC   PR area\n"), "{table}");
    // One class alone has nothing to be told from.
    desk.write("rows", "3 1:3 20:9\n3 5:9 40:2\n");
    let alone = desk.succeed(&["evaluate", "run", "--data", "rows"]).stdout;
    assert!(alone.contains("\nROC AUC      none: there is only one class here\n"), "{alone}");
}

fn quality_is(scores: &[f64], labels: &[usize], k: usize, map: impl Fn(&mut [f64]), expected: &Value) {
    let mut sum = QualitySum::default();
    for (row, &label) in scores.chunks(k).zip(labels) {
        let mut row = row.to_vec();
        map(&mut row);
        sum.add(&row, label);
    }
    let found = sum.quality().unwrap();
    near(found.log_loss, &expected["log_loss"], 1e-7);
    near(found.brier, &expected["brier"], 1e-7);
    near(found.expected_calibration_error, &expected["expected_calibration_error"], 1e-7);
}

#[test]
fn the_temperature_and_the_sigmoids_of_scipy() {
    let Fixture { json, scores, labels, k } = fixture();
    quality_is(&scores, &labels, k, log_softmax, &json["before"]);
    let temperature = Calibrator::fit(Calibration::Temperature, &scores, &labels, k).unwrap();
    let t = temperature.temperature().unwrap();
    near(t, &json["temperature"]["temperature"], 1e-7);
    let [_, slope, _] = negative_log_likelihood(&scores, &labels, k, 1.0 / t);
    assert!(slope.abs() < 1e-13, "{slope}");
    quality_is(&scores, &labels, k, |row| temperature.log_probabilities(row), &json["temperature"]["after"]);
    let platt = Calibrator::fit(Calibration::Platt, &scores, &labels, k).unwrap();
    let Calibrator::Platt { slope, offset } = &platt else { panic!("platt") };
    for (found, expected) in [(slope, &json["platt"]["slope"]), (offset, &json["platt"]["offset"])] {
        found.iter().zip(expected.as_array().unwrap()).for_each(|(found, expected)| near(*found, expected, 1e-6));
    }
    quality_is(&scores, &labels, k, |row| platt.log_probabilities(row), &json["platt"]["after"]);
}

/// A desk with a run calibrated by a method on a fifth of the training rows.
fn calibrated(method: &str) -> Desk {
    let desk = Desk::new();
    let validated = SMALL.replace("test = 0.2", "validation = 0.2\ntest = 0.2");
    desk.write("my.toml", format!("{validated}\n[calibration]\nmethod = \"{method}\"\n"));
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    desk
}

#[test]
fn without_validation_rows_the_map_is_fitted_out_of_fold() {
    let desk = Desk::new();
    let exact = "[data.digits]\n[split]\ntest = 0.2\n[objective]\nc = 0.001\n[loss.crammer_singer]\n[solver.dual]\n";
    desk.write("my.toml", exact);
    desk.succeed(&["train", "my.toml", "--out", "plain", "-q"]);
    let set = ["--set", "calibration.method=temperature"];
    desk.succeed(&[&["train", "my.toml", "--out", "run", "-q"], &set[..]].concat());
    let [plain, result] = ["plain", "run"].map(|run| desk.json(&format!("{run}/result.json")));
    let report = &result["calibration"];
    // The model learns from all rows, and every one of them is scored by a model that has not seen it.
    assert_eq!(result["objective"], plain["objective"]);
    assert_eq!((report["rows"].as_u64(), report["folds"].as_u64()), (Some(1438), Some(5)));
    assert!(report["validation"].is_null());
    let error = |when: &str| report["test"][when]["expected_calibration_error"].as_f64().unwrap();
    assert!(error("after") < 0.03 && error("after") < error("before") / 3.0, "{report}");
    // A temperature of scores out of fold is near the one of held-out rows.
    let validated = [&set[..], &["--set", "split.validation=0.2"]].concat();
    desk.succeed(&[&["train", "my.toml", "--out", "held", "-q"], &validated[..]].concat());
    let of = |json: &Value| json["calibration"]["temperature"].as_f64().unwrap();
    let held = of(&desk.json("held/result.json"));
    assert!((of(&result) / held).ln().abs() < 0.35, "{} {held}", of(&result));
    // Named folds are taken although rows validate, and every run has the same.
    let named = [&validated[..], &["--set", "calibration.folds=3"]].concat();
    for run in ["three", "again"] {
        desk.succeed(&[&["train", "my.toml", "--out", run, "-q"], &named[..]].concat());
    }
    let three = desk.json("three/result.json");
    assert_eq!((three["calibration"]["folds"].as_u64(), three["calibration"]["rows"].as_u64()), (Some(3), Some(1150)));
    assert_eq!(of(&three), of(&desk.json("again/result.json")));
}

#[test]
fn a_calibrated_run_says_what_it_has_gained() {
    for method in ["temperature", "platt"] {
        let desk = calibrated(method);
        let report = &desk.json("run/result.json")["calibration"];
        assert_eq!((report["method"].as_str(), report["rows"].as_u64()), (Some(method), Some(288)));
        assert_eq!(report["temperature"].is_number(), method == "temperature");
        for split in ["validation", "test"] {
            let loss = |when: &str| report[split][when]["log_loss"].as_f64().unwrap();
            assert!(loss("after") < loss("before"), "{method} {split}: {report}");
            let error = |when: &str| report[split][when]["expected_calibration_error"].as_f64().unwrap();
            // A sigmoid sees one score alone, and is the less sure for it.
            let most = if method == "temperature" { 0.08 } else { 0.2 };
            assert!(error("after") < error("before") && error("after") < most, "{method} {split}: {report}");
        }
        // `evaluate` finds the same numbers in the model file.
        let text = desk.succeed(&["evaluate", "run", "--json"]).stdout;
        let evaluated: Value = serde_json::from_str(&text).unwrap();
        // A number that has been read from JSON may be off in its last bit, those of the calibration among them.
        for when in ["before", "after"] {
            for (measure, expected) in report["test"][when].as_object().unwrap() {
                near(evaluated["calibration"][when][measure].as_f64().unwrap(), expected, 1e-13);
            }
        }
        assert_eq!(evaluated["calibration"]["temperature"], report["temperature"]);
        let table = desk.succeed(&["evaluate", "run"]).stdout;
        for line in ["\nlog loss     ", "\nBrier score  ", "\ncalibration  expected error "] {
            assert!(table.contains(line), "{line}: {table}");
        }
    }
}

#[test]
fn calibration_leaves_weights_and_predictions_as_they_are() {
    let plain = calibrated("none");
    assert!(plain.json("run/result.json")["calibration"].is_null());
    plain.write("rows", "0 1:3 20:9\n0 5:9 40:2 41:16\n");
    let scores = plain.succeed(&["predict", "run", "rows", "--scores"]).stdout;
    for method in ["temperature", "platt"] {
        let desk = calibrated(method);
        desk.write("rows", plain.read("rows"));
        assert_eq!(desk.succeed(&["predict", "run", "rows", "--scores"]).stdout, scores, "{method}");
        let shown = desk.succeed(&["predict", "run", "rows", "--probabilities"]).stdout;
        for (line, scored) in shown.lines().zip(scores.lines()) {
            let mut words = line.split('\t');
            assert_eq!(words.next(), scored.split('\t').next());
            let probabilities: Vec<f64> = words.map(|p| p.parse().unwrap()).collect();
            assert_eq!(probabilities.len(), 10);
            assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{line}");
            let label: usize = scored.split('\t').next().unwrap().parse().unwrap();
            assert!(method == "platt" || argmax(&probabilities) == label, "{line}");
        }
        assert_eq!(shown.lines().count(), 2);
    }
}

#[test]
fn a_model_without_probabilities_says_how_to_get_them() {
    let desk = calibrated("none");
    desk.write("rows", "0 1:3\n");
    let refused = desk.run(&["predict", "run", "rows", "--probabilities"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    assert_eq!(refused.problem(), "run: the model has no probabilities, only scores");
    let again = "train run/config.toml --set calibration.method=temperature --out run --force";
    assert_eq!(refused.hint(), format!("they come with a calibration: `burn-svm {again}`"));
    let words: Vec<&str> = again.split(' ').collect();
    desk.succeed(&words);
    desk.succeed(&["predict", "run", "rows", "--probabilities"]);
    let desk = calibrated("none");
    desk.write("rows", "0 1:3\n");
    assert_eq!(desk.run(&["predict", "run", "rows", "--probabilities", "--scores"]).code, Some(2));
    let text = desk.succeed(&["evaluate", "run", "--json"]).stdout;
    assert!(serde_json::from_str::<Value>(&text).unwrap()["calibration"].is_null());
}

#[test]
fn a_temperature_without_an_optimum_is_a_warning() {
    let desk = Desk::new();
    desk.write("rows", "a 1:1\nb 2:1\n".repeat(20));
    let text = "[data.libsvm]\ntrain = \"rows\"\n[split]\nvalidation = 0.5\n[objective]\nlambda = 1e-3\n[loss.one_vs_rest]\n\
                [solver.sgd]\n[calibration]\nmethod = \"temperature\"\n";
    desk.write("my.toml", text);
    let trained = desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    assert!(trained.stderr.starts_with("warning: the temperature is at the end of its range: "), "{}", trained.stderr);
    assert_eq!(desk.json("run/result.json")["calibration"]["temperature_at_end"], true);
    let platt = desk.succeed(&["train", "my.toml", "--out", "two", "-q", "--set", "calibration.method=platt"]);
    assert!(
        platt.stderr.starts_with("warning: all steps were made, and the objective may still be "),
        "{}",
        platt.stderr
    );
    assert!(!platt.stderr.contains("temperature"), "{}", platt.stderr);
}

#[test]
fn a_file_with_some_of_the_classes_is_measured_on_those() {
    let desk = calibrated("temperature");
    desk.write("rows", "3 1:3 20:9\n3 5:9 40:2\n7 41:16\n");
    let text = desk.succeed(&["evaluate", "run", "--data", "rows", "--json"]).stdout;
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((found["rows"].as_u64(), found["data"].as_str()), (Some(3), Some("rows")));
    let supports: u64 =
        found["classes"].as_array().unwrap().iter().map(|c| c["report"]["support"].as_u64().unwrap()).sum();
    assert_eq!((supports, found["macro_mean"]["support"].as_u64()), (3, Some(3)));
    let table = desk.succeed(&["evaluate", "run", "--data", "rows"]).stdout;
    assert!(table.contains(" of 10 classes are not met here and left out of the means)\n"), "{table}");
}
