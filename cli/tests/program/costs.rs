//! Costs Δ(y, j) in the place of the margin: optima of a slow solver, configurations, model files.

use crate::devices::{cost, error};
use burn_svm::internals::loss::{Loss, Power};
use burn_svm::internals::model::Classifier;
use burn_svm::internals::solver::{Fit, LogEntry, Observer};
use burn_svm_cli::config::LoadedConfig;
use burn_svm_cli::run::{self, RunFolder};
use std::path::Path;

struct Silent;

impl Observer for Silent {
    fn log(&mut self, _: &LogEntry) {}
}

const ROWS: &str = "2,0.5,cat\n-1,1,dog\n0.25,-2,fish\n1.5,0.5,cat\n-0.5,2,dog\n1,-1,fish\n0.5,0.5,dog\n-1,-1,cat\n";

/// A configuration over [`ROWS`] in a folder.
fn text(folder: &Path, loss: &str, solver: &str) -> String {
    std::fs::write(folder.join("rows.csv"), ROWS).unwrap();
    format!(
        "[data.csv]\ntrain = '{}'\nlabel = -1\n[split]\nvalidation = 0\n[preprocess]\nbias = \"none\"\n[objective]\nc = 0.7\n{loss}\n{solver}",
        folder.join("rows.csv").display()
    )
}

fn fit(text: &str) -> Result<(Fit, Loss), String> {
    let config = LoadedConfig::parse(text, Path::new("costs.toml"), &[]).map_err(|e| e.to_string())?;
    let prepared = run::prepare(&config).map_err(|e| e.to_string())?;
    let device = run::open_device(&config).unwrap();
    let fit = config.run.solver.solve(&prepared.problem(&config, &device), &mut Silent).map_err(|e| e.to_string())?;
    Ok((fit, prepared.objective.loss))
}

#[test]
fn equal_costs_are_a_margin_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let equal =
        "costs = { cat = { dog = 0.3, fish = 0.3 }, dog = { cat = 0.3, fish = 0.3 }, fish = { cat = 0.3, dog = 0.3 } }";
    for name in ["weston_watkins", "crammer_singer"] {
        for rounding in ["power = 1", "power = 2", "smoothing = 0.5"] {
            for solver in [
                "[solver.sgd]\nepochs = 5\nbatch_size = 3\nlearning_rate = 0.1",
                "[solver.dual]\ngap = 1e-10",
                "[solver.lbfgs]",
            ] {
                for route in ["autodiff", "analytic", "fused"] {
                    let of = |delta: &str| {
                        let loss = format!("[loss.{name}]\n{rounding}\n{delta}");
                        let text = format!("gradient = \"{route}\"\n{}", text(folder.path(), &loss, solver));
                        fit(&text).map(|(fit, _)| fit.weight.clone())
                    };
                    assert_eq!(of(equal), of("margin = 0.3"), "{name} {rounding} {solver} {route}");
                }
            }
        }
    }
}

/// ½‖W‖² + C Σ ℓ minimised by one dual variable at a time, in plain loops over [`ROWS`] with the classes cat, dog, fish: a_ij rises
/// along G_ij, between 0 and C, or with the square of power 2 against a_ij/(2C) or Σ_j a_ij/(2C).
fn slow(c: f64, costs: impl Fn(usize, usize) -> f64, power: Power, joint: bool) -> [[f64; 3]; 2] {
    let rows: Vec<(usize, [f64; 2])> = ROWS
        .lines()
        .map(|line| {
            let cells: Vec<&str> = line.split(',').collect();
            let label = ["cat", "dog", "fish"].iter().position(|name| *name == cells[2]).unwrap();
            (label, [cells[0].parse().unwrap(), cells[1].parse().unwrap()])
        })
        .collect();
    let mut a = vec![[0.0f64; 3]; rows.len()];
    let mut w = [[0.0f64; 3]; 2];
    for _ in 0..20_000 {
        for (i, (y, x)) in rows.iter().enumerate() {
            for j in (0..3).filter(|j| j != y) {
                let g = costs(*y, j) + x[0] * (w[0][j] - w[0][*y]) + x[1] * (w[1][j] - w[1][*y]);
                let q = 2.0 * (x[0] * x[0] + x[1] * x[1]);
                let old = a[i][j];
                a[i][j] = match power {
                    Power::One => (old + g / q).clamp(0.0, c),
                    Power::Two => {
                        let pressed = if joint { a[i].iter().sum() } else { old };
                        (old + (g - pressed / (2.0 * c)) / (q + 1.0 / (2.0 * c))).max(0.0)
                    }
                };
                for f in 0..2 {
                    w[f][j] -= (a[i][j] - old) * x[f];
                    w[f][*y] += (a[i][j] - old) * x[f];
                }
            }
        }
    }
    w
}

#[test]
fn the_exact_solver_reaches_the_optimum_of_a_slow_one() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["cat", "dog", "fish"];
    let row = |y: usize| {
        let cells = (0..3).filter(|j| *j != y).map(|j| format!("{} = {:?}", names[j], cost(y, j)));
        format!("{} = {{ {} }}", names[y], cells.collect::<Vec<_>>().join(", "))
    };
    let costs = format!("costs = {{ {} }}", (0..3).map(row).collect::<Vec<_>>().join(", "));
    for (name, power, joint) in [
        ("weston_watkins", Power::One, false),
        ("weston_watkins", Power::Two, false),
        ("crammer_singer", Power::Two, true),
    ] {
        let expected = slow(0.7, cost, power, joint).concat();
        let loss = format!("[loss.{name}]\npower = {}\n{costs}", i64::from(power));
        let (fit, _) = fit(&text(folder.path(), &loss, "[solver.dual]\ngap = 1e-12")).unwrap();
        let off = fit.weight.iter().zip(&expected).map(|(a, b)| error(*a, *b, 1.0)).fold(0.0, f64::max);
        assert!(off < 1e-6, "{name} {power:?}: {:?} {expected:?}", fit.weight);
    }
}

#[test]
fn a_file_is_the_table_and_the_model_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("costs.csv");
    std::fs::write(&path, "label,fish,dog,cat\ndog,1,0,2.5\ncat,1,2,0\nfish,0,1,0.25\n").unwrap();
    let table = "costs = { cat = { dog = 2 }, dog = { cat = 2.5 }, fish = { cat = 0.25 } }";
    let of = |costs: &str| text(folder.path(), &format!("[loss.crammer_singer]\n{costs}"), "[solver.dual]\ngap = 1e-9");
    let by_file = of("costs = \"costs.csv\"");
    std::fs::write(folder.path().join("run.toml"), &by_file).unwrap();
    // A relative path is found next to the configuration.
    let config = LoadedConfig::load(&folder.path().join("run.toml"), &[]).unwrap();
    let prepared = run::prepare(&config).unwrap();
    let device = run::open_device(&config).unwrap();
    let out = folder.path().join("out");
    let mut record = RunFolder::create(&out, &config.text, true).unwrap();
    run::train(&config, &prepared, &device, &mut record, &mut Silent).unwrap();
    let model = Classifier::load(&out.join("model.safetensors")).unwrap();
    let expected = Loss::crammer_singer().costs(&[vec![0.0, 2.0, 1.0], vec![2.5, 0.0, 1.0], vec![0.25, 1.0, 0.0]]);
    assert_eq!(model.class_names, ["cat", "dog", "fish"]);
    assert_eq!(model.loss(), Some(&expected));
    let (by_table, loss) = fit(&of(table)).unwrap();
    assert_eq!((loss, by_table.weight), (expected, model.weight.clone()));
}

#[test]
fn mistakes_in_a_configuration_are_told_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    for (keys, problem) in [
        ("margin = 2\ncosts = { cat = { dog = 2 } }", "loss.weston_watkins: both `margin` and `costs` are set"),
        ("costs = { cat = { bird = 2 } }", "loss.weston_watkins.costs: `bird` is not a class"),
        ("costs = { bird = { cat = 2 } }", "loss.weston_watkins.costs: `bird` is not a class"),
        (
            "costs = { cat = { cat = 2 } }",
            "loss.weston_watkins.costs.cat: found 2 for the class itself, expected 0 or nothing",
        ),
        ("costs = { cat = { dog = -2 } }", "expected the path of a csv file or a table of numbers, 0 or more"),
        ("costs = 3", "expected the path of a csv file or a table of numbers, 0 or more"),
    ] {
        let text = text(folder.path(), &format!("[loss.weston_watkins]\n{keys}"), "[solver.dual]");
        let said = fit(&text).unwrap_err();
        assert!(said.contains(problem), "{keys}: {said}");
    }
    for name in ["one_vs_rest", "top_k]\nk = 1\n#"] {
        let text = text(folder.path(), &format!("[loss.{name}]\ncosts = \"c.csv\""), "[solver.dual]");
        assert!(fit(&text).unwrap_err().contains("unknown field `costs`"));
    }
    let text = text(folder.path(), "[loss.weston_watkins]\ncosts = \"none.csv\"", "[solver.dual]");
    std::fs::write(folder.path().join("run.toml"), text).unwrap();
    let said = LoadedConfig::load(&folder.path().join("run.toml"), &[]).unwrap_err().to_string();
    assert!(said.contains("loss.weston_watkins.costs: `none.csv` is not there"), "{said}");
}
