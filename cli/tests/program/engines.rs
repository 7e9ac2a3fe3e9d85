//! The engines of SGD as the program runs them: one result on every device, memory that stays, rows that do not fit, bad labels.

use crate::devices::{wgpu_cpu, worst};
use crate::program::Desk;
use burn_svm::internals::solver::{LogEntry, Observer, Problem, SolveError};
use burn_svm_cli::config::LoadedConfig;
use burn_svm_cli::run;
use std::path::Path;

const RUN: &str = "[data.digits]\n[split]\nvalidation = 100\n[preprocess]\ncenter = \"mean\"\nscale = \"std\"\n[objective]\nlambda = 1e-2\n\
                   [solver.sgd]\nlearning_rate = 0.002\nbatch_size = 50\nsteps = 60\nlog_every = 20\n";

/// Training by the program: rows that stay, rows that are moved, and the processor end with the same weights, log the same losses and
/// measure the same accuracies; each says its route.
#[test]
fn a_run_is_that_of_the_processor() {
    if wgpu_cpu().is_none() {
        return;
    }
    for loss in ["[loss.weston_watkins]\npower = 2\n", "[loss.top_k]\nk = 2\nsmoothing = 0.5\n"] {
        let desk = Desk::new();
        desk.write("run.toml", format!("{RUN}{loss}"));
        let run = |out: &str, set: &[&str]| {
            let more = set.iter().flat_map(|s| ["--set", s]).collect::<Vec<_>>();
            let outcome = desk.succeed(&[&["train", "run.toml", "--out", out][..], &more].concat());
            let result = desk.json(&format!("{out}/result.json"));
            let metrics: Vec<f64> =
                desk.read(&format!("{out}/metrics.csv")).lines().skip(1).flat_map(numbers).collect();
            let numbers =
                ["objective", "train_accuracy", "validation_accuracy"].map(|key| result[key].as_f64().unwrap());
            (result["gradient"].as_str().unwrap().to_owned(), numbers, metrics, outcome.stderr + &outcome.stdout)
        };
        let processor = run("flex", &[]);
        assert_eq!(processor.0, "fused");
        for set in [&["device=wgpu:cpu"][..], &["device=wgpu:cpu", "solver.sgd.resident_mb=0"]] {
            let found = run(&format!("gpu-{}", set.len()), set);
            assert_eq!(found.0, if cfg!(feature = "fusion") { "analytic" } else { "fused" });
            assert!(found.3.contains(&format!("gradient {}", found.0)), "{}", found.3);
            assert!(worst(&found.1, &processor.1) <= 1e-4, "{loss} {set:?}: {:?} {:?}", found.1, processor.1);
            assert!(worst(&found.2, &processor.2) <= 1e-4, "{loss} {set:?}: {:?} {:?}", found.2, processor.2);
        }
    }
}

/// Rows that may stay on the device and do not fit are mentioned, with their size.
#[test]
fn rows_that_do_not_fit_are_mentioned() {
    if wgpu_cpu().is_none() || cfg!(feature = "fusion") {
        return;
    }
    let desk = Desk::new();
    // 20,000 rows of 60 floats: 4.8 MB, and four words a row.
    let rows: String = (0..20_000).map(|i| format!("{}{}\n", i % 3, ",0.5".repeat(60))).collect();
    desk.write("rows.csv", rows).write(
        "run.toml",
        "[data.csv]\ntrain = \"rows.csv\"\nheader = false\nlabel = 1\n[objective]\nlambda = 1e-2\n[loss.crammer_singer]\n\
         [solver.sgd]\nsteps = 2\nresident_mb = 4\n",
    );
    let run = |set: &str| {
        desk.succeed(&["train", "run.toml", "--device", "wgpu:cpu", "--force", "--out", "run", "--set", set])
    };
    let told = run("solver.sgd.resident_mb=4").stderr;
    assert!(told.contains("the rows would take 6 MB of the device"), "{told}");
    for quiet in ["solver.sgd.resident_mb=0", "solver.sgd.resident_mb=6"] {
        assert!(!run(quiet).stderr.contains("the rows would take"), "{quiet}");
    }
}

/// Step, epoch, loss and accuracies of a line of metrics.csv, without the seconds; 0 where there is none.
fn numbers(line: &str) -> Vec<f64> {
    let cells: Vec<&str> = line.split(',').collect();
    cells[..cells.len() - 1].iter().map(|cell| cell.parse().unwrap_or(0.0)).collect()
}

/// Steps without a backward pass of their own leave nothing behind in autodiff: a parameter a step would be 40 MB here.
#[test]
fn memory_does_not_grow_with_the_steps() {
    let desk = Desk::new();
    desk.write(
        "run.toml",
        "[data.digits]\n[preprocess]\nscale = \"pixel\"\n[objective]\nlambda = 1e-3\n[loss.weston_watkins]\n\
         [solver.sgd]\nlearning_rate = 0.01\nbatch_size = 4\nsampling = \"with-replacement\"\nlog_every = 5000\n",
    );
    for gradient in ["fused", "analytic", "autodiff"] {
        let peak = |steps: usize| {
            let (gradient, steps) = (format!("gradient={gradient}"), format!("solver.sgd.steps={steps}"));
            let args =
                ["train", "run.toml", "--set", &gradient, "--set", &steps, "--threads", "1", "--json", "--force"];
            let outcome = desk.run(&[&args[..], &["--out", "run"]].concat());
            assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
            let result: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
            result["peak_rss_bytes"].as_u64()
        };
        let (Some(few), Some(many)) = (peak(1_000), peak(16_000)) else {
            println!("skipped: this system does not say how much memory a process has had");
            return;
        };
        assert!(many < few + 12_000_000, "{gradient}: {few} bytes after 1,000 steps, {many} after 16,000");
    }
}

struct Silent;

impl Observer for Silent {
    fn log(&mut self, _: &LogEntry) {}
}

/// A solver is given labels by its caller; each refuses one that no class has, and names the row.
#[test]
fn solvers_refuse_labels_out_of_range() {
    for solver in ["sgd", "dual", "lbfgs"] {
        let text =
            format!("[data.digits]\n[objective]\nlambda = 1.0\n[loss.weston_watkins]\npower = 2\n[solver.{solver}]\n");
        let config = LoadedConfig::parse(&text, Path::new("test.toml"), &[]).unwrap();
        let prepared = run::prepare(&config).unwrap();
        let device = run::open_device(&config).unwrap();
        let mut labels = prepared.data.labels.clone();
        labels[prepared.split.train[5] as usize] = 10;
        let mut problem: Problem<'_> = prepared.problem(&config, &device);
        problem.source.labels = &labels;
        let error = config.run.solver.solve(&problem, &mut Silent).unwrap_err();
        let SolveError::Label(label) = &error else { panic!("{solver}: {error}") };
        assert_eq!((label.row, label.label, label.n_classes), (5, 10, 10), "{solver}");
        assert_eq!(error.to_string(), "label 10 of row 5 is out of range: expected a class index below 10");
    }
}
