//! Training in code: the bundled digits, Weston-Watkins, minibatch gradient descent; then the model at work.
//!
//! `cargo run --release --example quickstart`

use burn_svm::internals::metric::argmax;
use burn_svm::internals::solver::{LogEntry, Observer};
use burn_svm_cli::config::LoadedConfig;
use burn_svm_cli::run::{self, RunFolder};
use std::error::Error;
use std::path::Path;

const CONFIG: &str = r#"
[data.digits]
[split]
validation = 0.1
test = 0.2
[preprocess]
center = "mean"
scale = "std"
[objective]
lambda = 1e-3
[loss.weston_watkins]
[solver.sgd]
batch_size = 64
epochs = 30
"#;

/// Prints the loss as it falls.
struct Printer;

impl Observer for Printer {
    fn log(&mut self, entry: &LogEntry) {
        if let Some(loss) = entry.loss {
            println!("step {:>3}  loss {loss:.4}", entry.step);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let config = LoadedConfig::parse(CONFIG, Path::new("quickstart.toml"), &[])?;
    let device = run::open_device(&config)?;
    let prepared = run::prepare(&config)?;
    let folder = std::env::temp_dir().join("burn-svm-quickstart");
    let mut folder = RunFolder::create(&folder, &config.text, true)?;
    let finished = run::train(&config, &prepared, &device, &mut folder, &mut Printer)?;
    println!("test accuracy {:.4}", finished.result.test_accuracy.unwrap_or_default());
    println!("run folder    {}", folder.path().display());

    // The model that was saved, on the first three test rows.
    let model = finished.model.ok_or("the run diverged")?;
    let rows = &prepared.split.test[..3];
    let scores = model.scores(&prepared.data.features, rows);
    for (row, scores) in rows.iter().zip(scores.chunks_exact(model.n_classes())) {
        let label = prepared.data.labels[*row as usize] as usize;
        println!("row {row}: predicted {}, is {}", model.class_names[argmax(scores)], model.class_names[label]);
    }
    Ok(())
}
