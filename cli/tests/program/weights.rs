//! Row weights: a weight is a factor of the row's loss, on every device and route and in both solvers.

use crate::program::{Case, Desk, Verdict};
use burn_svm::internals::solver::{Fit, LogEntry, Observer};
use burn_svm_cli::config::LoadedConfig;
use burn_svm_cli::run;
use std::path::Path;

struct Silent;

impl Observer for Silent {
    fn log(&mut self, _: &LogEntry) {}
}

/// Thirty rows in three classes that overlap, with a weight each.
fn lines() -> Vec<(String, f32)> {
    (0..30u32)
        .map(|i| {
            let cells: Vec<String> = (1..=4u32)
                .map(|j| {
                    let own = f64::from(u8::from(j == i % 3 + 1));
                    format!("{j}:{:.3}", own + (f64::from(i * 7 + j * 5) * 0.9).sin())
                })
                .collect();
            (format!("{} {}\n", i % 3, cells.join(" ")), [1.0, 2.0, 0.0][i as usize % 7 % 3])
        })
        .collect()
}

/// Solves at C = 0.3 and returns the objective divided by λ: ½‖W‖² + C·Σ weight·ℓ.
fn solve(train: &str, weights: Option<&str>, rest: &str, route: &str) -> (f64, Fit) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("train");
    std::fs::write(&file, train).unwrap();
    let mut data = format!("gradient = \"{route}\"\n[data.libsvm]\ntrain = '{}'\n", file.display());
    if let Some(weights) = weights {
        let file = folder.path().join("weights");
        std::fs::write(&file, weights).unwrap();
        data.push_str(&format!("weights = '{}'\n", file.display()));
    }
    let config = LoadedConfig::parse(&format!("{data}[objective]\nc = 0.3\n{rest}"), Path::new("t.toml"), &[]).unwrap();
    let prepared = run::prepare(&config).unwrap();
    let device = run::open_device(&config).unwrap();
    let record = tempfile::tempdir().unwrap();
    let mut record = run::RunFolder::create(record.path(), &config.text, true).unwrap();
    let finished = run::train(&config, &prepared, &device, &mut record, &mut Silent).unwrap();
    let problem = prepared.problem(&config, &device);
    let fit = config.run.solver.solve(&problem, &mut Silent).unwrap();
    (finished.result.objective.unwrap() / prepared.objective.lambda, fit)
}

fn weighted_and_copied() -> [(String, Option<String>); 2] {
    let lines = lines();
    let weights: String = lines.iter().map(|(_, w)| format!("{w}\n")).collect();
    let plain: String = lines.iter().map(|(line, _)| line.as_str()).collect();
    let copied: String = lines.iter().map(|(line, w)| line.repeat(*w as usize)).collect();
    [(plain, Some(weights)), (copied, None)]
}

/// Weight 2 is the row twice and weight 0 is no row, at one C.
#[test]
fn a_weight_is_a_number_of_copies_for_the_exact_solver() {
    for loss in ["weston_watkins", "crammer_singer", "one_vs_rest"] {
        for power in [1, 2] {
            let rest = format!("[loss.{loss}]\npower = {power}\n[solver.dual]\ngap = 1e-9\nepochs = 50000\n");
            let [weighted, copied] = weighted_and_copied().map(|(train, weights)| {
                let (objective, fit) = solve(&train, weights.as_deref(), &rest, "autodiff");
                assert!(fit.certificate.unwrap().relative_gap <= 1e-9, "{loss} {power}: {:?}", fit.certificate);
                objective
            });
            let plain = solve(&weighted_and_copied()[0].0, None, &rest, "autodiff").0;
            assert!((weighted - copied).abs() <= 1e-6 * copied, "{loss} {power}: {weighted} {copied}");
            assert!((plain - copied).abs() > 1e-4 * copied, "{loss} {power}: the weights make no difference");
        }
    }
}

/// Classes are balanced by the weights of their rows.
#[test]
fn balanced_classes_count_a_weight_as_copies() {
    let rest = "[loss.weston_watkins]\nclass_weights = \"balanced\"\n[solver.dual]\ngap = 1e-9\n";
    let found = weighted_and_copied().map(|(train, weights)| solve(&train, weights.as_deref(), rest, "autodiff").0);
    assert!((found[0] - found[1]).abs() <= 1e-7 * found[1], "{found:?}");
    // The weights of the rows are not the same in each class.
    let mut totals = [0.0; 3];
    lines().iter().for_each(|(line, weight)| totals[usize::from(line.as_bytes()[0] - b'0')] += weight);
    assert!(totals[0] != totals[1] || totals[1] != totals[2], "{totals:?}");
}

#[test]
fn every_route_of_sgd_descend_to_the_weighted_optimum() {
    let dual = "[loss.weston_watkins]\npower = 2\n[solver.dual]\ngap = 1e-9\nepochs = 50000\n";
    let [(train, weights), _] = weighted_and_copied();
    let best = solve(&train, weights.as_deref(), dual, "autodiff").0;
    for route in ["autodiff", "analytic", "fused"] {
        let sgd =
            "[loss.weston_watkins]\npower = 2\n[solver.sgd]\nlearning_rate = 0.05\nbatch_size = 30\nepochs = 600\n";
        let found = solve(&train, weights.as_deref(), sgd, route).0;
        assert!(found >= best * (1.0 - 1e-8) && found <= best * 1.0001, "{route}: {found}, optimum {best}");
    }
}

#[test]
fn bad_weight_files_say_where_and_what() {
    let hint = "a weight is a factor of the row's loss: 2 counts a row twice, 0 leaves it out";
    let mut verdict = Verdict::default();
    for (what, text, problem) in [
        ("negative", "1\n-1\n1\n1\n", "w.txt:2: found `-1`, expected a weight: a number, 0 or more"),
        ("word", "1\n1\none\n1\n", "w.txt:3: found `one`, expected a weight: a number, 0 or more"),
        ("too few", "1\n1\n1\n", "w.txt: found 3 weights, expected 4, one a row of the train part"),
        ("all zero", "0\n0\n0\n0\n", "w.txt: all 4 weights are 0, which leaves nothing to learn from"),
    ] {
        let desk = Desk::new();
        desk.write("x.txt", "1 1:1\n2 1:2\n1 1:3\n2 1:4\n");
        desk.write("w.txt", text);
        desk.write(
            "my.toml",
            "[data.libsvm]\ntrain = 'x.txt'\nweights = 'w.txt'\n[objective]\nc = 1.0\n[loss.one_vs_rest]\n[solver.dual]\n",
        );
        let outcome = desk.run(&["train", "my.toml", "--out", "run"]);
        verdict.hold(&Case { what, problem, hint }, &outcome, 1);
        assert!(!desk.path("run").exists(), "{what}");
    }
    verdict.assert();
}
