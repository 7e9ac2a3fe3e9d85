//! `certify`, regularisation paths and the invariants of every certificate.

use crate::program::{Desk, Outcome};
use crate::solvers::solve;
use serde_json::Value;

const DATA: &str = "[data.digits]\n[split]\ntest = 0.2\nvalidation = 0.2\n[preprocess]\nscale = \"pixel\"\n";

fn run(desk: &Desk, args: &[&str]) -> Outcome {
    desk.run(args)
}

fn json(outcome: &Outcome) -> Value {
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    serde_json::from_str(&outcome.stdout).unwrap()
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("{key} in {value}"))
}

/// The model of SGD, under every loss and bias: the bound from its own scores is below the optimum, the solver's is close to it,
/// and both are below the model's objective, which is that of result.json.
#[test]
fn a_model_of_sgd_is_certified() {
    for (loss, bias) in [
        ("weston_watkins", "regularised"),
        ("weston_watkins", "free"),
        ("crammer_singer", "none"),
        ("crammer_singer", "free"),
        ("one_vs_rest", "free"),
        ("top_k]\nk = 2\nmargin = 0.5\n#", "regularised"),
        ("weston_watkins]\npower = 2\n#", "free"),
        ("one_vs_rest]\npower = 2\n#", "none"),
    ] {
        let problem = format!(
            "{}bias = \"{bias}\"\n[objective]\nlambda = 1e-2\n[loss.{loss}]\n",
            DATA.replace("scale = \"pixel\"\n", "scale = \"std\"\n")
        );
        let desk = Desk::new();
        desk.write("sgd.toml", format!("{problem}\n[solver.sgd]\nlearning_rate = 0.01\nepochs = 5\n"));
        let result = json(&run(&desk, &["train", "sgd.toml", "--out", "run", "--json"]));
        let certified = json(&run(&desk, &["certify", "run", "--json", "--gap", "1e-4"]));
        let objective = number(&certified, "objective");
        assert!((objective - number(&result, "objective")).abs() <= 1e-9 * objective, "{loss} {bias}");
        let (fit, _) = solve(&format!("{problem}\n[solver.dual]\ngap = 1e-6\n"));
        let optimum = fit.certificate.unwrap();
        let (own, tight) = (number(&certified, "own_bound"), number(&certified, "dual_objective"));
        assert!(own >= 0.0 && own <= optimum.primal, "{loss} {bias}: {own} {optimum:?}");
        assert!(tight >= own && tight <= optimum.primal * (1.0 + 1e-9), "{loss} {bias}: {tight} {optimum:?}");
        assert!(tight >= optimum.dual * (1.0 - 2e-4), "{loss} {bias}: {tight} {optimum:?}");
        assert!(objective >= optimum.dual * (1.0 - 1e-9), "{loss} {bias}: {objective} {optimum:?}");
    }
}

/// The optimum itself: the bound from its own scores is not far below, and one or two epochs close the rest.
#[test]
fn a_solved_model_is_certified_in_other_coordinates_too() {
    let desk = Desk::new();
    let problem = |scale: &str| {
        DATA.replace("scale = \"pixel\"", scale)
            + "bias = \"free\"\n[objective]\nc = 0.1\n[loss.weston_watkins]\npower = 2\n"
    };
    desk.write("dual.toml", format!("{}[solver.dual]\ngap = 1e-7\n", problem("scale = \"pixel\"")));
    desk.write("other.toml", format!("{}[solver.dual]\n", problem("center = \"mean\"\nscale = \"pixel\"")));
    json(&run(&desk, &["train", "dual.toml", "--out", "run", "--json"]));
    // A free bias absorbs the centring: the optimum is the same.
    for data in ["dual.toml", "other.toml"] {
        let certified = json(&run(&desk, &["certify", "run", "--data", data, "--json", "--gap", "1e-5"]));
        assert!(number(&certified, "own_relative_gap") < 1e-3, "{data}: {certified}");
        assert!(number(&certified, "relative_gap") < 2e-5, "{data}: {certified}");
        assert!(number(&certified, "theta") > 0.9, "{data}: {certified}");
    }
}

/// Rows that lack the last features of the model, preprocessed by their own means: features that are not there are zeros, and
/// their mean is 0. (Without centring both are the same rows, and so are the bounds.)
#[test]
fn narrower_sparse_rows_are_preprocessed_as_wide_as_the_model() {
    let desk = Desk::new();
    let row = |i: usize, n: usize| {
        let cells = (1..=n).filter(|j| (i * j) % 3 == 1 || j % 4 == i % 4).map(|j| format!(" {j}:{}", 1 + (i + j) % 5));
        format!("{}{}\n", i % 3, cells.collect::<String>())
    };
    let file = |n: usize| (0..60).map(|i| row(i, n)).collect::<String>();
    desk.write("wide.txt", file(20));
    desk.write("narrow.txt", file(12));
    let config = |data: &str, preprocess: &str| {
        format!(
            "[data.libsvm]\ntrain = \"{data}\"\n[split]\nvalidation = 0\n[preprocess]\n{preprocess}\n[objective]\nc = 0.1\n\
             [loss.weston_watkins]\n[solver.dual]\ngap = 1e-6\n"
        )
    };
    for preprocess in ["center = \"mean\"\nscale = \"std\"", "center = \"none\"\nscale = \"none\""] {
        desk.write("wide.toml", config("wide.txt", preprocess));
        desk.write("narrow.toml", config("narrow.txt", preprocess));
        json(&run(&desk, &["train", "wide.toml", "--out", "run", "--force", "--json"]));
        let trained = json(&run(&desk, &["train", "narrow.toml", "--out", "own", "--force", "--json"]));
        let certified = json(&run(&desk, &["certify", "run", "--data", "narrow.toml", "--json", "--gap", "1e-6"]));
        // The optimum that the solver reaches from the wide model is that of the narrow rows.
        let (found, own) = (number(&certified, "solver_objective"), number(&trained, "objective"));
        assert!((found - own).abs() < 3e-6 * own, "{preprocess}: {found} {own}");
    }
}

#[test]
fn a_path_that_stops_short_says_for_how_many_c() {
    let desk = Desk::new();
    let config = format!(
        "{DATA}[objective]\nc = [1e-6, 1, 10]\n[loss.weston_watkins]\n[solver.dual]\ngap = 1e-6\nepochs = 9\nfinish = \"never\"\n"
    );
    desk.write("path.toml", config);
    let outcome = run(&desk, &["train", "path.toml", "--out", "run"]);
    assert_eq!(outcome.code, Some(0));
    assert!(outcome.stderr.contains("warning: stopped short for 2 of 3 values of C: the objective may still be"));
    // One figure over C, and none over steps that belong to several models.
    assert!(desk.path("run/figures/path.svg").exists() && !desk.path("run/figures/loss.svg").exists());
}

/// A model is certified on the host, for any device in its configuration.
#[test]
fn the_device_of_the_run_need_not_be_there() {
    let desk = Desk::new();
    let config = format!("{DATA}[objective]\nc = 0.1\n[loss.weston_watkins]\n[solver.dual]\n");
    desk.write("run.toml", &config);
    desk.write("elsewhere.toml", format!("device = \"cuda:63\"\n{config}"));
    json(&run(&desk, &["train", "run.toml", "--out", "run", "--json"]));
    let certified = json(&run(&desk, &["certify", "run", "--data", "elsewhere.toml", "--json"]));
    assert!(number(&certified, "relative_gap") <= 2e-3, "{certified}");
}

#[test]
fn what_cannot_be_certified_is_a_sentence() {
    let desk = Desk::new();
    desk.write(
        "sgd.toml",
        format!(
            "{DATA}[objective]\nlambda = 1e-2\n[loss.weston_watkins]\n[solver.sgd]\nlearning_rate = 0.01\nepochs = 1\n"
        ),
    );
    json(&run(&desk, &["train", "sgd.toml", "--out", "run", "--json"]));
    let unit = DATA.replace("pixel", "unit-row");
    desk.write("unit.toml", format!("{unit}[objective]\nlambda = 1e-2\n[loss.weston_watkins]\n[solver.dual]\n"));
    let outcome = run(&desk, &["certify", "run", "--data", "unit.toml"]);
    assert_eq!(outcome.problem(), "the model and the objective bring rows to unit length differently");
    let none = DATA.to_owned() + "bias = \"none\"\n";
    desk.write("none.toml", format!("{none}[objective]\nlambda = 1e-2\n[loss.weston_watkins]\n[solver.dual]\n"));
    let outcome = run(&desk, &["certify", "run", "--data", "none.toml"]);
    assert_eq!(outcome.problem(), "the model has a bias, the objective has none");
    assert!(outcome.hint().contains("`bias` in [preprocess]"));
    let outcome = run(&desk, &["certify", "run", "--gap", "1.5"]);
    assert_eq!(outcome.code, Some(2));
}

/// A path, warm or cold, finds for every C what a run of its own finds, and leaves everything in its folder.
#[test]
fn a_path_is_a_run_for_every_c() {
    let desk = Desk::new();
    let config = |c: &str, warm: bool| {
        format!("{DATA}[objective]\nc = {c}\n[loss.crammer_singer]\n[solver.dual]\ngap = 1e-4\nwarm_start = {warm}\n")
    };
    desk.write("warm.toml", config("[10, 0.1, 1]", true));
    desk.write("cold.toml", config("[0.1, 1, 10]", false));
    let warm = json(&run(&desk, &["train", "warm.toml", "--out", "warm", "--json"]));
    let cold = json(&run(&desk, &["train", "cold.toml", "--out", "cold", "--json"]));
    let points = |result: &Value| result["path"].as_array().unwrap().clone();
    assert_eq!(points(&warm).len(), 3);
    let mut best: f64 = 0.0;
    for (i, c) in ["0.1", "1", "10"].into_iter().enumerate() {
        let name = format!("one-{c}");
        desk.write(&format!("{name}.toml"), config(c, true));
        let alone = json(&run(&desk, &["train", &format!("{name}.toml"), "--out", &name, "--json"]));
        assert!(alone.get("path").is_none());
        for point in [&points(&warm)[i], &points(&cold)[i]] {
            assert_eq!(number(point, "c"), c.parse::<f64>().unwrap());
            assert!(number(point, "relative_gap") <= 1e-4);
            let (a, b) = (number(point, "objective"), number(&alone, "objective"));
            assert!((a - b).abs() <= 1.1e-4 * b, "C {c}: {a} {b}");
            best = best.max(number(point, "validation_accuracy"));
        }
        assert!(desk.path(&format!("warm/path/c-{c}.safetensors")).exists());
    }
    assert_eq!(
        number(&warm, "validation_accuracy"),
        points(&warm).iter().map(|p| number(p, "validation_accuracy")).fold(0.0, f64::max)
    );
    assert!(best > 0.9);
    // The model of the run is that of the chosen C.
    let chosen = desk.path(&format!("warm/path/c-{}.safetensors", number(&warm, "c")));
    assert_eq!(std::fs::read(chosen).unwrap(), std::fs::read(desk.path("warm/model.safetensors")).unwrap());
    let table = std::fs::read_to_string(desk.path("warm/path.csv")).unwrap();
    assert!(
        table.starts_with("c,lambda,objective,data_loss,dual_objective,relative_gap,epochs,stop_reason,"),
        "{table}"
    );
    assert_eq!(table.lines().count(), 4);
    // A plain run over it leaves no path behind.
    run(&desk, &["train", "one-1.toml", "--out", "warm", "--force", "--quiet"]);
    assert!(!desk.path("warm/path.csv").exists());
}

/// All rows twice at C/2, and the features times 2 at C/4 with W/2, leave the optimum as it is.
#[test]
fn the_optimum_keeps_its_invariances() {
    let folder = tempfile::tempdir().unwrap();
    let line = |i: u32, factor: f64| {
        let cells: String =
            (1..=6).map(|j| format!(" {j}:{}", factor * f64::from((i * 7 + j * j * 5) % 11) - factor * 3.0)).collect();
        format!("{}{cells}\n", (i * i + i / 3) % 4)
    };
    let once: String = (0..40).map(|i| line(i, 1.0)).collect();
    let files =
        [("once", once.clone()), ("twice", once.repeat(2)), ("double", (0..40).map(|i| line(i, 2.0)).collect())];
    for bias in ["none", "free"] {
        for loss in ["weston_watkins", "crammer_singer"] {
            let mut found = Vec::new();
            for ((name, text), c) in files.iter().zip([0.4, 0.2, 0.1]) {
                let file = folder.path().join(name);
                std::fs::write(&file, text).unwrap();
                let (fit, _) = solve(&format!(
                    "[data.libsvm]\ntrain = {file:?}\n[preprocess]\nbias = \"{bias}\"\n[objective]\nc = {c}\n[loss.{loss}]\n[solver.dual]\ngap = 1e-8\nepochs = 100000\n"
                ));
                found.push((fit.certificate.unwrap(), fit.weight));
            }
            let (first, weight) = &found[0];
            for ((other, w), factor) in found[1..].iter().zip([1.0, 2.0]) {
                assert!(
                    (first.primal - other.primal).abs() <= 1e-7 * first.primal,
                    "{loss} {bias}: {first:?} {other:?}"
                );
                let difference: f64 = w.iter().zip(weight).map(|(a, b)| (factor * a - b).powi(2)).sum();
                let size: f64 = weight.iter().map(|b| b * b).sum();
                assert!(difference <= 1e-5 * size, "{loss} {bias}: {difference} of {size}");
            }
        }
    }
}

/// Wide rows are shared by features, sparse rows of many classes by classes: the optimum is that of one thread.
#[test]
fn threads_that_share_the_weights_reach_the_optimum_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let cell = |i: u32, j: u32| f64::from((i * 131 + j * j * 17 + i * j) % 23) / 23.0 - 0.4;
    let rows = |n: u32, classes: u32, columns: &dyn Fn(u32) -> Vec<u32>| -> String {
        let line = |i: u32| {
            let cells: String = columns(i).into_iter().map(|j| format!(" {}:{:.4}", j + 1, cell(i, j))).collect();
            format!("{}{cells}\n", i % classes)
        };
        (0..n).map(line).collect()
    };
    // Dense: 2,100 columns. Sparse: 120 of 3,000 cells and 200 classes, 24,000 products a row.
    let dense = rows(60, 4, &|_| (0..2100).collect());
    let sparse = rows(500, 200, &|i| (0..120).map(|j| j * 25 + (i * 7 + j) % 25).collect());
    for (name, text) in [("dense", dense), ("sparse", sparse)] {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        for preprocess in ["", "center = \"mean\"\nscale = \"std\"\n"] {
            let with = |threads: usize, gap: f64| {
                let text = format!(
                    "threads = {threads}\n[data.libsvm]\ntrain = {file:?}\n[preprocess]\n{preprocess}[objective]\nc = 0.01\n\
                     [loss.weston_watkins]\n[solver.dual]\ngap = {gap:?}\nepochs = 20000\n"
                );
                solve(&text).0.certificate.unwrap()
            };
            for (gap, threads) in [(1e-3, 2), (1e-3, 5), (1e-7, 2)] {
                let (one, two) = (with(1, gap), with(threads, gap));
                assert!(two.relative_gap <= gap, "{name} {preprocess}: {two:?}");
                assert!(
                    two.dual <= one.primal * (1.0 + 1e-7) && one.dual <= two.primal * (1.0 + 1e-7),
                    "{name} {preprocess}: {one:?} {two:?}"
                );
            }
        }
    }
}
