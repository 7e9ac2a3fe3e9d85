//! An hour in one process: training with every solver, saving, loading, predicting, again and again. Memory and open files stay where
//! they are.
//!
//! ```sh
//! BURN_SVM_SOAK=3600 cargo test --release --test program soak:: -- --ignored --nocapture
//! ```

use burn_svm::internals::solver::{LogEntry, Observer};
use burn_svm_cli::config::LoadedConfig;
use burn_svm_cli::run::{self, RunFolder};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

struct Silent;

impl Observer for Silent {
    fn log(&mut self, _: &LogEntry) {}
}

/// Route of the gradient and solver.
const SOLVERS: [(&str, &str); 5] = [
    ("autodiff", "[solver.sgd]\noptimizer = \"adam\"\nepochs = 5\n"),
    ("analytic", "[solver.sgd]\noptimizer = \"momentum\"\nsampling = \"with-replacement\"\nepochs = 5\n"),
    ("fused", "[solver.sgd]\noptimizer = \"sgd\"\nlearning_rate = 0.02\nepochs = 5\n"),
    ("auto", "[solver.dual]\ngap = 1e-3\n"),
    ("auto", "[solver.lbfgs]\ntolerance = 1e-4\n"),
];

/// Trains with one solver, keeps checkpoints on the way, and predicts with the file that is left.
fn round((gradient, solver): (&str, &str), folder: &Path) {
    let text = format!(
        "gradient = \"{gradient}\"\n[data.digits]\n[split]\nvalidation = 0.1\ntest = 0.2\n\
         [preprocess]\ncenter = \"mean\"\nscale = \"std\"\n\
         [objective]\nlambda = 1e-2\n[loss.weston_watkins]\npower = 2\n[checkpoint]\nevery_steps = 10\n{solver}"
    );
    let config = LoadedConfig::parse(&text, Path::new("soak.toml"), &[]).unwrap();
    let prepared = run::prepare(&config).unwrap();
    let device = run::open_device(&config).unwrap();
    let mut record = RunFolder::create(folder, &config.text, true).unwrap();
    run::train(&config, &prepared, &device, &mut record, &mut Silent).unwrap();
    let model = burn_svm_cli::model_file::load(folder).unwrap();
    let measured = burn_svm::internals::evaluation::evaluate(&model, None, &prepared.data, &prepared.split.test, &[]);
    assert!(measured.confusion.accuracy() > 0.85, "{solver}");
}

/// Resident bytes and open files of this process.
fn held() -> Option<(u64, usize)> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some((kilobytes * 1024, fs::read_dir("/proc/self/fd").ok()?.count()))
}

/// Mean and largest values of a part of the hour: memory does not grow with the rounds.
#[derive(Default)]
struct Part {
    rounds: u64,
    bytes: f64,
    files: usize,
}

impl Part {
    #[allow(clippy::cast_precision_loss)]
    fn see(&mut self, (bytes, files): (u64, usize)) {
        self.rounds += 1;
        self.bytes += bytes as f64;
        self.files = self.files.max(files);
    }

    #[allow(clippy::cast_precision_loss)]
    fn mean(&self) -> f64 {
        self.bytes / self.rounds.max(1) as f64
    }
}

#[test]
#[ignore = "takes as long as BURN_SVM_SOAK says, two minutes by default"]
fn memory_and_open_files_stay_where_they_are() {
    let seconds = std::env::var("BURN_SVM_SOAK").ok().and_then(|s| s.parse().ok()).unwrap_or(120);
    let folder = tempfile::tempdir().unwrap();
    let (start, whole) = (Instant::now(), Duration::from_secs(seconds));
    // The first tenth warms up, a minute of it where there is one: the allocator keeps what each of its threads has needed at most.
    let warm = whole.mul_f64(0.1).max(Duration::from_secs(60).min(whole / 2));
    let (third, mut parts) = ((whole - warm) / 3, <[Part; 3]>::default());
    let (mut trainings, mut told) = (0u64, Duration::ZERO);
    while start.elapsed() < whole {
        SOLVERS.into_iter().for_each(|solver| round(solver, folder.path()));
        trainings += SOLVERS.len() as u64;
        let Some(now) = held() else {
            println!("skipped: the system does not say what a process holds");
            return;
        };
        let time = start.elapsed();
        if let Some(since) = time.checked_sub(warm) {
            let part = if since < third { 0 } else { 1 + usize::from(since >= 2 * third) };
            parts[part].see(now);
        }
        if time >= told {
            println!(
                "{:4} s, {trainings} trainings: {:.2} MB, {} open files",
                time.as_secs(),
                now.0 as f64 / 1e6,
                now.1
            );
            told = time + whole / 12;
        }
    }
    let [early, _, late] = &parts;
    assert!(early.rounds > 0 && late.rounds > 0, "too short for anything to be seen");
    println!(
        "{trainings} trainings in {seconds} s: {:.2} MB early, {:.2} MB late ({:+.2} %), open files {} and {}",
        early.mean() / 1e6,
        late.mean() / 1e6,
        100.0 * (late.mean() / early.mean() - 1.0),
        early.files,
        late.files
    );
    assert!(late.mean() <= 1.02 * early.mean(), "memory grows");
    assert!(late.files <= early.files, "open files grow");
}
