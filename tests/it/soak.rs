//! An hour in one process: training with every solver, saving, loading, predicting, again and again. Memory and open files stay where
//! they are.
//!
//! ```sh
//! BURN_SVM_SOAK=3600 cargo test --release --test it soak:: -- --ignored --nocapture
//! ```

use burn_svm::config::LoadedConfig;
use burn_svm::model::Classifier;
use burn_svm::objective::Objective;
use burn_svm::run::{self, RunFolder};
use burn_svm::solver::{LogEntry, Observer};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

struct Silent;

impl Observer for Silent {
    fn log(&mut self, _: &LogEntry) {}
}

const SOLVERS: [&str; 4] = [
    "[solver.sgd]\noptimizer = \"adam\"\nepochs = 5\n",
    "[solver.sgd]\noptimizer = \"momentum\"\nsampling = \"with-replacement\"\nepochs = 5\n",
    "[solver.dual]\ngap = 1e-3\n",
    "[solver.lbfgs]\ntolerance = 1e-4\n",
];

/// Trains with one solver, keeps checkpoints on the way, and predicts with the file that is left.
fn round(solver: &str, folder: &Path) {
    let text = format!(
        "[data.digits]\n[split]\nvalidation = 0.1\ntest = 0.2\n[preprocess]\ncenter = \"mean\"\nscale = \"std\"\n\
         [objective]\nlambda = 1e-2\n[loss.weston_watkins]\npower = 2\n[checkpoint]\nevery_steps = 10\n{solver}"
    );
    let config = LoadedConfig::parse(&text, Path::new("soak.toml"), &[]).unwrap();
    let prepared = run::prepare(&config).unwrap();
    let device = run::open_device(&config).unwrap();
    let mut record = RunFolder::create(folder, &config.text, true).unwrap();
    run::train(&config, &prepared, &device, &mut record, &mut Silent).unwrap();
    let model = Classifier::load(folder).unwrap();
    let (data, rows) = (&prepared.data, &prepared.split.test);
    let measured = Objective::evaluate(None, &model, &data.features, &data.labels, None, rows, &[]);
    assert!(measured.confusion.accuracy() > 0.85, "{solver}");
}

/// Resident bytes and open files of this process.
fn held() -> Option<(u64, usize)> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((kilobytes * 1024, fs::read_dir("/proc/self/fd").ok()?.count()))
}

#[test]
#[ignore = "takes as long as BURN_SVM_SOAK says, a minute by default"]
fn memory_and_open_files_stay_where_they_are() {
    let seconds = std::env::var("BURN_SVM_SOAK").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    let folder = tempfile::tempdir().unwrap();
    let (start, whole) = (Instant::now(), Duration::from_secs(seconds));
    let mut seen: Vec<(Duration, u64, usize)> = Vec::new();
    let mut rounds = 0u64;
    while start.elapsed() < whole {
        SOLVERS.iter().for_each(|solver| round(solver, folder.path()));
        rounds += SOLVERS.len() as u64;
        let Some((bytes, files)) = held() else {
            println!("skipped: the system does not say what a process holds");
            return;
        };
        seen.push((start.elapsed(), bytes, files));
    }
    // The first tenth warms up.
    let of = |from: f64, to: f64| seen.iter().filter(move |s| s.0 >= whole.mul_f64(from) && s.0 < whole.mul_f64(to));
    let mean = |from: f64, to: f64| of(from, to).map(|s| s.1 as f64).sum::<f64>() / of(from, to).count() as f64;
    let (early, late) = (mean(0.1, 0.3), mean(0.8, 2.0));
    let files: Vec<usize> = [of(0.1, 0.3), of(0.8, 2.0)].into_iter().map(|s| s.map(|s| s.2).max().unwrap()).collect();
    println!(
        "{rounds} trainings in {seconds} s: {:.1} MB early, {:.1} MB late ({:+.2} %), open files {} and {}",
        early / 1e6,
        late / 1e6,
        100.0 * (late / early - 1.0),
        files[0],
        files[1]
    );
    assert!(late <= 1.02 * early, "memory grows");
    assert!(files[1] <= files[0], "open files grow");
}
