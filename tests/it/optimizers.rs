//! The optimisers by name: each one trains, and the plain ones make the steps of the textbook.

use burn_svm::config::LoadedConfig;
use burn_svm::objective::Objective;
use burn_svm::run::{self, Prepared};
use burn_svm::solver::sgd::optimizer::OptimizerName;
use burn_svm::solver::{Fit, LogEntry, Observer};
use std::path::Path;

struct Silent;

impl Observer for Silent {
    fn log(&mut self, _: &LogEntry) {}
}

fn solve(solver: &str) -> (Prepared, Fit) {
    let text = format!(
        "[data.digits]\n[preprocess]\ncenter = \"mean\"\nscale = \"std\"\nbias = \"none\"\n[objective]\nlambda = 0.05\n\
         [loss.weston_watkins]\npower = 2\n[solver.sgd]\n{solver}"
    );
    let config = LoadedConfig::parse(&text, Path::new("test.toml"), &[]).unwrap();
    let prepared = run::prepare(&config).unwrap();
    let device = run::open_device(&config).unwrap();
    let fit = config.run.solver.solve(&prepared.problem(&config, &device), &mut Silent).unwrap();
    (prepared, fit)
}

/// The gradient of the whole objective by loops in f64, `[n_features, n_classes]`.
fn gradient(prepared: &Prepared, weight: &[f64]) -> Vec<f64> {
    let (features, k) = (&prepared.data.features, prepared.data.n_classes());
    let Objective { loss, lambda, .. } = &prepared.objective;
    let n = prepared.split.train.len() as f64;
    let mut total: Vec<f64> = weight.iter().map(|w| lambda * w).collect();
    let mut x = vec![0.0; features.n_features()];
    let mut q = vec![0.0; k];
    for &row in &prepared.split.train {
        prepared.scaler.write_row_wide(features, row as usize, &mut x);
        let scores: Vec<f64> = (0..k).map(|c| x.iter().enumerate().map(|(j, v)| v * weight[j * k + c]).sum()).collect();
        loss.gradient_of_row(&scores, prepared.data.labels[row as usize] as usize, &mut q);
        for (j, v) in x.iter().enumerate() {
            q.iter().enumerate().for_each(|(c, q)| total[j * k + c] += v * q / n);
        }
    }
    total
}

/// Full batches leave nothing to chance: three steps of each rule by hand, from zero weights.
#[test]
fn plain_momentum_and_nesterov_make_the_steps_of_the_textbook() {
    const RATE: f64 = 1e-3;
    const KEPT: f64 = 0.8;
    for name in ["sgd", "momentum", "nesterov"] {
        let table = if name == "sgd" { String::new() } else { format!("[solver.sgd.{name}]\nmomentum = {KEPT}\n") };
        let (prepared, fit) =
            solve(&format!("optimizer = \"{name}\"\nlearning_rate = {RATE}\nbatch_size = 1797\nsteps = 3\n{table}"));
        let mut weight = vec![0.0; fit.weight.len()];
        let mut velocity = vec![0.0; fit.weight.len()];
        for _ in 0..3 {
            let slope = gradient(&prepared, &weight);
            for ((w, v), g) in weight.iter_mut().zip(&mut velocity).zip(slope) {
                *v = if name == "sgd" { g } else { KEPT * *v + g };
                *w -= RATE * if name == "nesterov" { g + KEPT * *v } else { *v };
            }
        }
        let size = weight.iter().fold(0.0f64, |m, w| m.max(w.abs()));
        for (found, expected) in fit.weight.iter().zip(&weight) {
            assert!((f64::from(*found) - expected).abs() < 1e-5 * size, "{name}: {found} against {expected}");
        }
    }
}

#[test]
fn every_optimiser_comes_near_the_optimum() {
    for name in OptimizerName::ALL {
        let rate = match name {
            OptimizerName::Sgd | OptimizerName::Momentum | OptimizerName::Nesterov => 2e-3,
            OptimizerName::Adam | OptimizerName::AdamW | OptimizerName::RmsProp | OptimizerName::Lion => 2e-3,
            OptimizerName::AdaGrad => 5e-2,
        };
        let schedule = "schedule = \"linear\"\nbatch_size = 64\nepochs = 40";
        let (prepared, fit) = solve(&format!("optimizer = \"{}\"\nlearning_rate = {rate}\n{schedule}\n", name.name()));
        let slope = gradient(&prepared, &fit.weight.iter().map(|&w| f64::from(w)).collect::<Vec<_>>());
        let start = gradient(&prepared, &vec![0.0; fit.weight.len()]);
        let norm = |v: &[f64]| v.iter().map(|g| g * g).sum::<f64>().sqrt();
        let share = norm(&slope) / norm(&start);
        assert!(share < 0.05, "{}: the gradient at the end is {share} of that at zero", name.name());
    }
}
