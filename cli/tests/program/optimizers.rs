//! The optimisers by name: each one trains, and the plain ones make the steps of the textbook.

use burn_svm::internals::objective::Objective;
use burn_svm::internals::solver::sgd::optimizer::OptimizerName;
use burn_svm::internals::solver::{Fit, LogEntry, Observer};
use burn_svm_cli::config::LoadedConfig;
use burn_svm_cli::run::{self, PreparedData};
use std::path::Path;

struct Silent;

impl Observer for Silent {
    fn log(&mut self, _: &LogEntry) {}
}

fn solve(solver: &str) -> (PreparedData, Fit) {
    solve_with_bias("none", solver)
}

fn solve_with_bias(bias: &str, solver: &str) -> (PreparedData, Fit) {
    let text = format!(
        "[data.digits]\n[preprocess]\ncenter = \"mean\"\nscale = \"std\"\nbias = \"{bias}\"\n[objective]\nlambda = 0.05\n\
         [loss.weston_watkins]\npower = 2\n[solver.sgd]\n{solver}"
    );
    let config = LoadedConfig::parse(&text, Path::new("test.toml"), &[]).unwrap();
    let prepared = run::prepare(&config).unwrap();
    let device = run::open_device(&config).unwrap();
    let fit = config.run.solver.solve(&prepared.problem(&config, &device), &mut Silent).unwrap();
    (prepared, fit)
}

/// The gradient of the whole objective by loops in f64, `[n_features, n_classes]`.
fn gradient(prepared: &PreparedData, weight: &[f64]) -> Vec<f64> {
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
            assert!((found - expected).abs() < 1e-5 * size, "{name}: {found} against {expected}");
        }
    }
}

#[test]
fn every_optimiser_comes_near_the_optimum() {
    for name in OptimizerName::ALL {
        let rate = match name {
            OptimizerName::Sgd | OptimizerName::Momentum | OptimizerName::Nesterov => 2e-3,
            OptimizerName::Adam | OptimizerName::AdamW | OptimizerName::RmsProp | OptimizerName::Lion => 2e-3,
            OptimizerName::AdaGrad | OptimizerName::Lamb | OptimizerName::Adafactor => 5e-2,
            OptimizerName::Adan => 2e-3,
            OptimizerName::Muon => 5e-3,
        };
        let schedule = "schedule = \"linear\"\nbatch_size = 64\nepochs = 40";
        let (prepared, fit) = solve(&format!("optimizer = \"{}\"\nlearning_rate = {rate}\n{schedule}\n", name.name()));
        let slope = gradient(&prepared, &fit.weight);
        let start = gradient(&prepared, &vec![0.0; fit.weight.len()]);
        let norm = |v: &[f64]| v.iter().map(|g| g * g).sum::<f64>().sqrt();
        let share = norm(&slope) / norm(&start);
        assert!(share < 0.05, "{}: the gradient at the end is {share} of that at zero", name.name());
    }
}

/// One full-batch step of plain SGD, in units of the learning rate: the gradient as it was applied.
fn applied(clip: &str) -> Vec<f64> {
    const RATE: f64 = 1e-3;
    let (_, fit) = solve(&format!("learning_rate = {RATE}\nbatch_size = 1797\nsteps = 1\n{clip}"));
    fit.weight.iter().map(|w| -w / RATE).collect()
}

#[test]
fn clipping_scales_a_long_gradient_and_cuts_large_cells() {
    let norm = |v: &[f64]| v.iter().map(|g| g * g).sum::<f64>().sqrt();
    let free = applied("");
    let length = norm(&free);
    let scaled = applied(&format!("clip_norm = {}", length / 4.0));
    assert!((norm(&scaled) - length / 4.0).abs() < 1e-4 * length);
    let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5 * length);
    assert!(close(&scaled, &free.iter().map(|g| g / 4.0).collect::<Vec<_>>()));
    assert!(close(&applied(&format!("clip_norm = {}", 4.0 * length)), &free), "a short gradient was changed");
    let most = free.iter().fold(0.0f64, |m, g| m.max(g.abs())) / 3.0;
    let cut = applied(&format!("clip_value = {most}"));
    assert!(close(&cut, &free.iter().map(|g| g.clamp(-most, most)).collect::<Vec<_>>()));
    assert!(cut != free);
}

/// Muon's update of the weights is orthogonal but for what five Newton-Schulz iterations leave; the bias goes by AdamW, whose first
/// step is the learning rate in every cell.
#[test]
fn muon_takes_the_weights_and_adamw_the_bias() {
    const RATE: f64 = 1e-2;
    let (_, fit) = solve_with_bias(
        "regularised",
        &format!("optimizer = \"muon\"\nlearning_rate = {RATE}\nbatch_size = 1797\nsteps = 1\nclip_norm = 100.0"),
    );
    for b in fit.bias.unwrap() {
        assert!((b.abs() - RATE).abs() < 1e-4 * RATE, "{b}");
    }
    // Columns of a 64 × 10 matrix, scaled by √(64/10). The gradients of the classes add up to 0, so that nine directions are left.
    let scale = RATE * 6.4f64.sqrt();
    let trace: f64 = fit.weight.iter().map(|w| (w / scale).powi(2)).sum();
    assert!((9.0 * 0.4..9.0 * 1.5).contains(&trace), "the squared singular values add up to {trace}");
}

#[test]
fn a_warm_up_and_a_schedule_make_the_steps_that_they_say() {
    let (_, constant) = solve("learning_rate = 1e-3\nbatch_size = 1797\nsteps = 1\n");
    let (_, warm) = solve("learning_rate = 1e-3\nwarmup_steps = 4\nbatch_size = 1797\nsteps = 1\n");
    for (a, b) in constant.weight.iter().zip(&warm.weight) {
        assert!((a / 4.0 - b).abs() < 1e-9, "{a} {b}");
    }
    for schedule in ["linear", "cosine", "exponential", "step", "noam"] {
        let (prepared, fit) = solve(&format!(
            "learning_rate = 5e-3\nschedule = \"{schedule}\"\nwarmup_steps = 20\nbatch_size = 64\nepochs = 40\n"
        ));
        let norm = |v: &[f64]| v.iter().map(|g| g * g).sum::<f64>().sqrt();
        let end = gradient(&prepared, &fit.weight);
        let share = norm(&end) / norm(&gradient(&prepared, &vec![0.0; fit.weight.len()]));
        assert!(share < 0.05, "{schedule}: {share}");
    }
}

/// The model that comes back is the one of the best validation value, which is not the last.
#[test]
fn early_stopping_keeps_the_best_weights() {
    for metric in ["accuracy", "loss"] {
        let text = format!(
            "[data.digits]\n[split]\nvalidation = 0.3\ntest = 0.2\n[preprocess]\nscale = \"pixel\"\n[objective]\nlambda = 1e-6\n\
             [loss.weston_watkins]\n[solver.sgd]\nlearning_rate = 20.0\nepochs = 300\nbatch_size = 32\n\
             [early_stopping]\npatience = 3\nmetric = \"{metric}\"\n"
        );
        let config = LoadedConfig::parse(&text, Path::new("test.toml"), &[]).unwrap();
        let prepared = run::prepare(&config).unwrap();
        let device = run::open_device(&config).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut record = run::RunFolder::create(folder.path(), &config.text, false).unwrap();
        let result = run::train(&config, &prepared, &device, &mut record, &mut Silent).unwrap().result;
        assert_eq!(result.stop_reason, "early_stopping", "{metric}");
        let best = result.best_step.unwrap();
        let per_epoch = result.n_samples.div_ceil(32) as u64;
        assert_eq!(best + 3 * per_epoch, result.steps, "{metric}: three epochs after the best one");
        let metrics = std::fs::read_to_string(folder.path().join("metrics.csv")).unwrap();
        let accuracies: Vec<(u64, f64)> = metrics
            .lines()
            .filter_map(|line| {
                let cells: Vec<&str> = line.split(',').collect();
                Some((cells[0].parse().ok()?, cells[4].parse().ok()?))
            })
            .collect();
        let (_, kept) = accuracies.iter().find(|(step, _)| *step == best).unwrap();
        assert!(
            (kept - result.validation_accuracy.unwrap()).abs() < 1e-12,
            "{metric}: other weights than those of the best step"
        );
        if metric == "accuracy" {
            assert!(accuracies.iter().all(|(step, a)| a < kept || (a == kept && *step >= best)), "{accuracies:?}");
        }
    }
}
