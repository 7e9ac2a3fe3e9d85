//! From configuration to model: determinism, agreement of routes, backends and storages, known optima, and real data.

use crate::program::{Desk, SMALL, repository, shared};
use burn_svm::internals::model::Classifier;
use burn_svm::internals::solver::{LogEntry, Observer};
use burn_svm_cli::config::{LoadedConfig, parse_assignment};
use burn_svm_cli::run::{self, PreparedData, RunFolder};
use std::fmt::Write;
use std::path::{Path, PathBuf};

struct Silent;

impl Observer for Silent {
    fn log(&mut self, _: &LogEntry) {}
}

fn load(text: &str, set: &[&str]) -> LoadedConfig {
    let set: Vec<_> = set.iter().map(|s| parse_assignment(s).unwrap()).collect();
    LoadedConfig::parse(text, Path::new("test.toml"), &set).unwrap()
}

/// Trains in this process.
fn train(text: &str, set: &[&str]) -> (PreparedData, Classifier) {
    let config = load(text, set);
    let prepared = run::prepare(&config).unwrap_or_else(|e| panic!("{e}"));
    let device = run::open_device(&config).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut record = RunFolder::create(folder.path(), &config.text, true).unwrap();
    let finished = run::train(&config, &prepared, &device, &mut record, &mut Silent).unwrap();
    let model = finished.model.unwrap_or_else(|| panic!("{set:?}: {:?}", finished.stop));
    (prepared, model)
}

/// The largest difference of two models' parameters, relative to the largest parameter.
fn distance(a: &Classifier, b: &Classifier) -> f64 {
    let all = |m: &Classifier| -> Vec<f64> { m.weight.iter().chain(m.bias.iter().flatten()).copied().collect() };
    let (a, b) = (all(a), all(b));
    assert_eq!(a.len(), b.len());
    let largest = a.iter().fold(f64::MIN_POSITIVE, |m, v| m.max(v.abs()));
    a.iter().zip(&b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max) / largest
}

/// Tolerance for results that differ by rounding only; a flipped hinge somewhere is one row's share of one step.
const ROUNDING: f64 = 2e-4;

// ---- determinism

#[test]
fn the_same_seed_is_the_same_model_byte_for_byte() {
    let desk = Desk::new();
    desk.write("my.toml", SMALL);
    let model = |out: &str, more: &[&str]| {
        desk.succeed(&[&["train", "my.toml", "--out", out, "-q"], more].concat());
        desk.bytes(&format!("{out}/model.safetensors"))
    };
    let first = model("a", &[]);
    assert_eq!(first, model("b", &[]));
    assert_ne!(first, model("c", &["--set", "seed=1"]));
    // The number of threads is part of the configuration that a model carries, and of nothing else in it.
    let tensors = |bytes: &[u8]| bytes[8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize..].to_vec();
    let (one, two) = (model("d", &["--threads", "1"]), model("e", &["--threads", "2"]));
    assert_eq!(tensors(&one), tensors(&first));
    assert_eq!(tensors(&two), tensors(&first));
    for set in [
        "solver.sgd.optimizer=adam",
        "solver.sgd.sampling=with-replacement",
        "gradient=analytic",
        "gradient=autodiff",
        "solver.sgd.init_std=0.1",
    ] {
        assert_eq!(model("f", &["--set", set, "--force"]), model("g", &["--set", set, "--force"]), "{set}");
    }
}

// ---- routes and backends

#[test]
fn every_route_gives_the_same_model() {
    for loss in ["weston_watkins", "crammer_singer", "one_vs_rest"] {
        for power in ["1", "2"] {
            for bias in ["regularised", "free", "none"] {
                let text = SMALL.replace("weston_watkins", loss);
                let (power, bias) = (format!("loss.{loss}.power={power}"), format!("preprocess.bias={bias}"));
                let set = [power.as_str(), &bias, "solver.sgd.init_std=0.01"];
                let by = |route: &str| train(&text, &[&set[..], &[&format!("gradient={route}")]].concat()).1;
                let autodiff = by("autodiff");
                for route in ["analytic", "fused"] {
                    let distance = distance(&autodiff, &by(route));
                    assert!(distance < ROUNDING, "{loss} {power} {bias} {route}: {distance}");
                }
                let (auto, fused) = (by("auto"), by("fused"));
                assert!(auto.weight == fused.weight && auto.bias == fused.bias);
            }
        }
    }
}

#[test]
fn every_backend_gives_the_same_model() {
    let (_, flex) = train(SMALL, &["solver.sgd.init_std=0.01"]);
    for device in ["ndarray", "wgpu:cpu"] {
        if burn_svm::internals::device::open(device.parse().unwrap()).is_err() {
            println!("skipped: no adapter ({device})");
            continue;
        }
        let steps = if device == "ndarray" { vec![] } else { vec!["solver.sgd.steps=6", "solver.sgd.batch_size=16"] };
        let text = if device == "ndarray" { SMALL.to_owned() } else { SMALL.replace("epochs = 2\n", "") };
        let set = |device: &'static str| [steps.clone(), vec!["solver.sgd.init_std=0.01", device]].concat();
        let other = train(&text, &set(if device == "ndarray" { "device=ndarray" } else { "device=wgpu:cpu" })).1;
        let reference = if device == "ndarray" { flex.clone() } else { train(&text, &set("device=flex")).1 };
        let distance = distance(&reference, &other);
        assert!(distance < ROUNDING, "{device}: {distance}");
    }
}

// ---- storage and preprocessing

/// Rows of small integers, three in four of them zero, with three classes.
fn sparse_rows(n: usize, d: usize) -> (Vec<u8>, Vec<u8>) {
    let mut state = 7u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 24
    };
    let labels: Vec<u8> = (0..n).map(|i| (i % 3) as u8).collect();
    let cell = |label: u8, j: usize, a: u32, b: u32| match () {
        () if a < 64 => 1 + (b % 9) as u8,
        () if j % 3 == usize::from(label) && a < 110 => 10 + (b % 5) as u8,
        () => 0,
    };
    let cells =
        labels.iter().flat_map(|&l| (0..d).map(move |j| (l, j))).map(|(l, j)| cell(l, j, next(), next())).collect();
    (cells, labels)
}

/// The same rows as an idx table of bytes and as libsvm text, with the configuration of each.
fn both_storages(desk: &Desk) -> (String, String) {
    let (n, d) = (120, 30);
    let (cells, labels) = sparse_rows(n, d);
    let mut text = String::new();
    for (row, label) in cells.chunks(d).zip(&labels) {
        write!(text, "{label}").unwrap();
        row.iter().enumerate().filter(|(_, v)| **v > 0).for_each(|(j, v)| write!(text, " {}:{v}", j + 1).unwrap());
        text.push('\n');
    }
    let idx = |dims: &[usize], data: &[u8]| {
        let header = dims.iter().flat_map(|&n| (n as u32).to_be_bytes());
        [0, 0, 8, dims.len() as u8].into_iter().chain(header).chain(data.iter().copied()).collect::<Vec<u8>>()
    };
    desk.write("rows", text).write("images", idx(&[n, d], &cells)).write("labels", idx(&[n], &labels));
    let path = |name: &str| desk.path(name).to_str().unwrap().to_owned();
    let body = "[split]\nvalidation = 0.2\n[objective]\nlambda = 1e-2\n[loss.weston_watkins]\n\
                [solver.sgd]\nbatch_size = 10\nepochs = 4\ninit_std = 0.01\n";
    let dense = format!("[data.idx]\ntrain_images = '{}'\ntrain_labels = '{}'\n{body}", path("images"), path("labels"));
    (dense, format!("[data.libsvm]\ntrain = '{}'\n{body}", path("rows")))
}

#[test]
fn dense_and_sparse_storage_of_the_same_rows_give_the_same_model() {
    let desk = Desk::new();
    let (dense, sparse) = both_storages(&desk);
    for center in ["none", "mean"] {
        for scale in ["none", "pixel", "std", "minmax", "unit-row"] {
            // There is no fused pass over sparse rows: those go by hand.
            for gradient in ["autodiff", "analytic", "fused"] {
                let (center, scale) = (format!("preprocess.center={center}"), format!("preprocess.scale={scale}"));
                let gradient = format!("gradient={gradient}");
                let rate = if scale.ends_with("none") {
                    "solver.sgd.learning_rate=1e-3"
                } else {
                    "solver.sgd.learning_rate=0.1"
                };
                let set = [center.as_str(), &scale, &gradient, rate];
                let ((dense_data, a), (sparse_data, b)) = (train(&dense, &set), train(&sparse, &set));
                assert_eq!((dense_data.data.features.kind(), sparse_data.data.features.kind()), ("u8", "sparse"));
                assert_eq!(dense_data.split, sparse_data.split);
                let distance = distance(&a, &b);
                assert!(distance < ROUNDING, "{set:?}: {distance}");
                // And the same scores for the same rows, whichever storage they come in.
                let rows: Vec<u32> = (0..120).collect();
                let (s, t) = (a.scores(&dense_data.data.features, &rows), a.scores(&sparse_data.data.features, &rows));
                let largest = s.iter().fold(0.0f64, |m, v| m.max(v.abs()));
                assert!(s.iter().zip(&t).all(|(x, y)| (x - y).abs() <= 1e-10 * largest), "{set:?}");
            }
        }
    }
}

#[test]
fn preprocessing_is_fitted_on_the_training_rows_only() {
    let desk = Desk::new();
    // The last two rows are held out and far away.
    desk.write("rows", "a 1:1 2:2\nb 1:3 2:2\na 1:5 2:2\nb 1:7 2:2\na 1:1000 2:900\nb 1:-1000 2:-900\n");
    let text = format!(
        "[data.libsvm]\ntrain = '{}'\n[split]\nvalidation = 1\ntest = 1\nmethod = \"last\"\n[preprocess]\ncenter = \"mean\"\nscale = \"std\"\n\
         [objective]\nlambda = 1\n[loss.crammer_singer]\n[solver.sgd]\nepochs = 1\n",
        desk.path("rows").display()
    );
    let (prepared, model) = train(&text, &[]);
    assert_eq!(
        (&prepared.split.train[..], &prepared.split.validation[..], &prepared.split.test[..]),
        (&[0, 1, 2, 3][..], &[4][..], &[5][..])
    );
    assert_eq!(model.scaler.mean.as_deref(), Some(&[4.0, 2.0][..]));
    // The second column is constant in train: it stays unscaled.
    assert_eq!(model.scaler.scale.as_deref(), Some(&[f64::from(5f32.sqrt()), 1.0][..]));
}

// ---- labels

#[test]
fn labels_may_be_words_or_any_integers() {
    let desk = Desk::new();
    let config = "[objective]\nlambda = 1e-3\n[loss.weston_watkins]\n[solver.sgd]\nlearning_rate = 0.1\nbatch_size = 4\nepochs = 40\n";
    desk.write("words.toml", format!("[data.libsvm]\ntrain = \"words\"\n{config}"))
        .write("words", "owl 3:1\ncat 1:1\ndög 2:1\n".repeat(8))
        .write("bare", "1:2\n2:2\n3:2\n");
    desk.succeed(&["train", "words.toml", "--out", "run", "-q"]);
    assert_eq!(desk.succeed(&["predict", "run", "words"]).stdout, "owl\ncat\ndög\n".repeat(8));
    // Rows without labels are predicted too.
    assert_eq!(desk.succeed(&["predict", "run", "bare"]).stdout, "cat\ndög\nowl\n");
    desk.write("signs.toml", format!("[data.libsvm]\ntrain = \"signs\"\n{config}"))
        .write("signs", "+1 1:1\n-1 2:1\n".repeat(8));
    desk.succeed(&["train", "signs.toml", "--out", "two", "-q"]);
    assert_eq!(desk.succeed(&["predict", "two", "signs"]).stdout, "1\n-1\n".repeat(8));
}

#[test]
fn classes_with_a_gap_keep_their_names() {
    let Some(glass) = shared("data/libsvm/glass.scale") else { return };
    let glass = glass.to_str().unwrap();
    let desk = Desk::new();
    desk.write(
        "glass.toml",
        format!(
            "[data.libsvm]\ntrain = '{glass}'\n[objective]\nc = 1.0\n[loss.weston_watkins]\n\
             [solver.sgd]\nlearning_rate = 0.1\nschedule = \"linear\"\nbatch_size = 16\nepochs = 100\n"
        ),
    );
    desk.succeed(&["train", "glass.toml", "--out", "run", "-q"]);
    let result = desk.json("run/result.json");
    assert_eq!(result["n_classes"], 6);
    let predicted = desk.succeed(&["predict", "run", glass]).stdout;
    let truth = std::fs::read_to_string(glass).unwrap();
    let hits = predicted.lines().zip(truth.lines()).filter(|(p, t)| t.split(' ').next() == Some(p)).count();
    assert!(predicted.lines().all(|label| ["1", "2", "3", "5", "6", "7"].contains(&label)));
    let share = hits as f64 / 214.0;
    assert!((share - result["train_accuracy"].as_f64().unwrap()).abs() < 1e-12 && share > 0.6, "{share}");
}

// ---- known optima

/// The certified optimum of a row of the shared reference, in the mean form.
fn optimum(reference: &Path, set: &str, loss: &str, c: f64) -> f64 {
    let all: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(reference).unwrap()).unwrap();
    let row = all["rows"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["set"] == set && r["loss"] == loss && r["C"].as_f64() == Some(c) && r["bias"] == "regularised");
    row.unwrap_or_else(|| panic!("{set} {loss} {c}"))["objective_mean_form"].as_f64().unwrap()
}

#[test]
fn a_decaying_learning_rate_reaches_the_certified_optimum() {
    let (Some(reference), Some(folder)) = (shared("reference/optima.json"), shared("data/libsvm")) else { return };
    // Allowed excess over the optimum, at least twice the measured one.
    for (set, short, loss, power, c, rate, excess) in [
        ("vowel.scale", "ww", "weston_watkins", 1, 0.1, 0.02, 1e-3),
        ("vowel.scale", "ww2", "weston_watkins", 2, 0.1, 0.02, 5e-4),
        ("vowel.scale", "cs", "crammer_singer", 1, 0.1, 0.02, 2e-3),
        ("vehicle.scale", "cs", "crammer_singer", 1, 1.0, 0.1, 1e-2),
    ] {
        let text = format!(
            "[data.libsvm]\ntrain = '{}'\n[objective]\nc = {c:?}\n[loss.{loss}]\npower = {power}\n\
             [solver.sgd]\nlearning_rate = {rate}\nschedule = \"linear\"\nbatch_size = 16\nepochs = 300\n",
            folder.join(set).display()
        );
        let (prepared, model) = train(&text, &["gradient=analytic"]);
        let rows = &prepared.split.train;
        let measured = burn_svm::internals::evaluation::evaluate(
            &model,
            Some(&prepared.objective.loss),
            &prepared.data,
            rows,
            &[],
        );
        let objective = measured.data_loss + prepared.objective.penalty(&model.weight, model.bias.as_deref());
        let best = optimum(&reference, set, short, c);
        println!("{set} {short} C = {c}: {objective:.9}, optimum {best:.9}, excess {:.2e}", objective / best - 1.0);
        assert!(objective >= best * (1.0 - 1e-9), "{set} {short}: {objective} is below the certified optimum {best}");
        assert!(objective <= best * (1.0 + excess), "{set} {short}: {objective}, optimum {best}");
    }
}

// ---- real images

fn sets(assignments: &[(&str, PathBuf)]) -> Vec<String> {
    assignments.iter().flat_map(|(key, path)| ["--set".to_owned(), format!("{key}={}", path.display())]).collect()
}

#[test]
fn mnist_reaches_its_accuracy() {
    let Some(folder) = shared("data/mnist") else { return };
    let set = sets(&[
        ("data.idx.train_images", folder.join("train-images-idx3-ubyte.gz")),
        ("data.idx.train_labels", folder.join("train-labels-idx1-ubyte.gz")),
        ("data.idx.test_images", folder.join("t10k-images-idx3-ubyte.gz")),
        ("data.idx.test_labels", folder.join("t10k-labels-idx1-ubyte.gz")),
    ]);
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    let desk = Desk::new();
    desk.succeed(&[&["train", &repository("configs/mnist.toml"), "--out", "run", "-q"], &set[..]].concat());
    let result = desk.json("run/result.json");
    println!("MNIST: test accuracy {}", result["test_accuracy"]);
    assert!(result["test_accuracy"].as_f64().unwrap() >= 0.915, "{result}");
    // The images stay bytes: 55 MB of them.
    assert!(result["peak_rss_bytes"].as_u64().unwrap() < 250_000_000, "{result}");
    // A test file alone gives the same accuracy; its labels are next to it.
    let images = folder.join("t10k-images-idx3-ubyte.gz");
    let alone = desk.succeed(&["evaluate", "run", "--data", images.to_str().unwrap(), "--json"]).stdout;
    let alone: serde_json::Value = serde_json::from_str(&alone).unwrap();
    assert_eq!((&alone["accuracy"], alone["rows"].as_u64()), (&result["test_accuracy"], Some(10_000)));
}

#[test]
fn cifar_is_trained_on_from_its_archive() {
    let Some(archive) = shared("data/cifar-10-binary-small.tar.gz") else { return };
    let set = format!("data.cifar.dir={}", archive.display());
    let desk = Desk::new();
    let more = ["--set", &set, "--set", "split.validation=500", "--set", "solver.sgd.steps=300"];
    desk.succeed(&[&["train", &repository("configs/cs231n.toml"), "--out", "run", "-q"], &more[..]].concat());
    let result = desk.json("run/result.json");
    assert_eq!(
        (result["n_samples"].as_u64(), result["n_features"].as_u64(), result["n_classes"].as_u64()),
        (Some(7500), Some(3072), Some(10))
    );
    assert!(result["test_accuracy"].as_f64().unwrap() > 0.2, "{result}");
    assert!(result["peak_rss_bytes"].as_u64().unwrap() < 300_000_000, "{result}");
    let losses = losses(&desk);
    assert!(within(losses[0].1, 757.0, 822.0), "{losses:?}");
    let table = desk.succeed(&["evaluate", "run"]).stdout;
    assert!(table.contains("\nairplane ") && table.contains("\ntruck "), "{table}");
}

/// Steps and losses of a run's metrics.csv.
fn losses(desk: &Desk) -> Vec<(u64, f64)> {
    let row = |line: &str| {
        let mut cells = line.split(',');
        let step = cells.next()?.parse().ok()?;
        Some((step, cells.nth(1)?.parse().ok()?))
    };
    desk.read("run/metrics.csv").lines().skip(1).filter_map(row).collect()
}

fn within(value: f64, low: f64, high: f64) -> bool {
    (low..=high).contains(&value)
}

// The bands are four standard deviations around the notebook's losses.
#[test]
fn the_notebook_of_cs231n_comes_out_on_the_full_cifar() {
    let Some(folder) = std::env::var_os("BURN_SVM_CIFAR10").map(PathBuf::from).filter(|f| f.exists()) else {
        return println!("skipped: BURN_SVM_CIFAR10 names no folder");
    };
    let desk = Desk::new();
    for seed in 0..3 {
        let (dir, seed_set) = (format!("data.cifar.dir={}", folder.display()), format!("seed={seed}"));
        let more = ["--set", &dir, "--set", &seed_set];
        desk.succeed(
            &[&["train", &repository("configs/cs231n.toml"), "--out", "run", "-q", "--force"], &more[..]].concat(),
        );
        for (step, loss) in losses(&desk) {
            let (low, high) = match step {
                0 => (757.0, 822.0),
                100 => (275.0, 300.0),
                200 => (103.0, 113.0),
                300 => (40.5, 44.5),
                400 => (17.3, 20.6),
                500 => (8.8, 12.0),
                1000.. => (4.4, 6.6),
                _ => continue,
            };
            assert!(within(loss, low, high), "seed {seed}: loss {loss} at step {step}, expected {low} to {high}");
        }
        let result = desk.json("run/result.json");
        let number = |key: &str| result[key].as_f64().unwrap();
        println!(
            "seed {seed}: objective {}, train {}, test {}",
            number("objective"),
            number("train_accuracy"),
            number("test_accuracy")
        );
        assert!(number("objective") > 5.254385 && number("objective") < 5.42, "{result}");
        assert!(number("train_accuracy") >= 0.355 && number("test_accuracy") >= 0.345, "{result}");
        assert!(number("peak_rss_bytes") < 500e6, "{result}");
    }
}
