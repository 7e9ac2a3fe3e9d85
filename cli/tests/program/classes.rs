//! Many classes: a label that hardly repeats itself. What is trained is on the disk before it is measured, and it is measured in the
//! memory of its rows, not of all pairs of classes.

use crate::program::{Desk, Outcome, SMALL};
use burn_svm::internals::solver::{LogEntry, Observer};
use burn_svm_cli::config::LoadedConfig;
use burn_svm_cli::run::{self, RunFolder, recorded};
use std::path::PathBuf;

const CONFIG: &str = "\
[data.csv]
train = \"rows.csv\"
label = -1
[split]
validation = 0.05
[preprocess]
center = \"mean\"
scale = \"std\"
[objective]
lambda = 1e-4
[loss.crammer_singer]
[solver.sgd]
steps = 3
";

/// The program with a limit of its address space, in kilobytes.
fn limited(desk: &Desk, kilobytes: usize, args: &[&str]) -> Outcome {
    let mut command = std::process::Command::new("sh");
    let script = format!("ulimit -v {kilobytes}; exec \"$0\" \"$@\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_burn-svm")]).args(args).current_dir(desk.path(""));
    crate::program::outcome(&mut command)
}

/// The matrix of all pairs would be 3.2 GB.
#[test]
#[cfg(unix)]
fn twenty_thousand_classes_fit() {
    const K: usize = 20_000;
    let desk = Desk::new();
    let rows: String = (0..K + 2_000).map(|i| format!("{},{},{}\n", i % 97, i % 89, (i % K) * 8)).collect();
    desk.write("rows.csv", rows).write("my.toml", CONFIG);
    let trained = limited(&desk, 2_500_000, &["train", "my.toml", "--out", "run"]);
    assert_eq!(trained.code, Some(0), "{}", trained.stderr);
    let warning = "warning: 20000 different labels in 20900 training rows: is this a regression target?\n";
    assert!(trained.stderr.contains(warning), "{}", trained.stderr);
    assert!(desk.json("run/result.json")["peak_rss_bytes"].as_u64().unwrap() < 1_500_000_000);
    // Every class once, and the pairs that were confused: no more than there are rows.
    let matrix = desk.read("run/confusion.csv");
    assert!(matrix.starts_with("split,true,predicted,count\nvalidation,0,0,"), "{:.200}", matrix);
    assert!(matrix.lines().count() <= 1 + K + 1_100, "{}", matrix.lines().count());
    let record = recorded::read_confusion(&desk.path("run")).unwrap().unwrap();
    assert_eq!((record.split.as_str(), record.confusion.total()), ("validation", 1_100));
    assert_eq!(record.class_names, burn_svm_cli::model_file::load(&desk.path("run")).unwrap().class_names);
    for args in [&["evaluate", "run"][..], &["plot", "run"], &["report", "run"], &["predict", "run", "rows.csv"]] {
        let outcome = limited(&desk, 2_500_000, args);
        assert_eq!(outcome.code, Some(0), "{args:?}\n{}", outcome.stderr);
    }
    let json = limited(&desk, 2_500_000, &["evaluate", "run", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((json["confusion"]["n_classes"].as_u64(), json["rows"].as_u64()), (Some(20_000), Some(1_100)));
    let cells = json["confusion"]["cells"].as_array().unwrap();
    assert_eq!(cells.iter().map(|cell| cell[2].as_u64().unwrap()).sum::<u64>(), 1_100);
    assert!(cells.iter().all(|cell| cell.as_array().unwrap().len() == 3));
    assert_eq!(json["classes"].as_array().unwrap().len(), K);
    let certified = limited(&desk, 2_500_000, &["certify", "run"]);
    assert_eq!(certified.code, Some(1), "{}", certified.stderr);
    assert!(
        certified.problem().starts_with("bounds from 418000000 scores need at least 6.7 GB"),
        "{}",
        certified.stderr
    );
    // A run that would not fit is refused before anything is read into it.
    let dual = limited(&desk, 2_500_000, &["train", "my.toml", "--out", "dual", "--set", "solver={dual={}}"]);
    assert_eq!(dual.code, Some(2), "{}", dual.stderr);
    assert!(dual.problem().contains("418000000 dual variables"), "{}", dual.stderr);
}

#[test]
fn labels_that_hardly_repeat_are_wondered_at() {
    let desk = Desk::new();
    desk.write("my.toml", CONFIG.replace("validation = 0.05", "validation = 0"));
    let warned = |labels: &dyn Fn(usize) -> String| {
        desk.write("rows.csv", (0..500).map(|i| format!("{},1,{}\n", i % 7, labels(i))).collect::<String>());
        desk.succeed(&["train", "my.toml", "--out", "run", "--force", "-q"]).stderr
    };
    let question = |what: &str| format!("warning: 250 different labels in 500 training rows: is this {what}?\n");
    assert_eq!(warned(&|i| (3 * (i % 250)).to_string()), question("a regression target"));
    assert_eq!(warned(&|i| format!("id-{}", i % 250)), question("the column of the label"));
    assert_eq!(warned(&|i| (i % 100).to_string()), "");
    assert_eq!(warned(&|i| format!("word {}", i % 100)), "");
}

/// Takes the name of the file that follows the model away, at the last step.
struct Saboteur(PathBuf);

impl Observer for Saboteur {
    fn start(&mut self, _: u64) {}

    fn step(&mut self, _: u64) {
        let _ = std::fs::create_dir(&self.0);
    }

    fn log(&mut self, _: &LogEntry) {}

    fn interrupted(&self) -> bool {
        false
    }
}

/// Whatever fails behind the training, the model is there.
#[test]
fn a_model_is_saved_before_it_is_measured() {
    let calibrated =
        SMALL.replace("test = 0.2", "test = 0.2\nvalidation = 0.2") + "[calibration]\nmethod = \"platt\"\n";
    let path = calibrated
        .replace("lambda = 1e-3", "c = [0.01, 0.1]")
        .replace("[solver.sgd]\nlearning_rate = 0.01\nepochs = 2\n", "[solver.dual]\n");
    for (text, files) in [
        (&calibrated, &["model.safetensors"][..]),
        (&path, &["path/c-0.01.safetensors", "path/c-0.1.safetensors", "model.safetensors"]),
    ] {
        let desk = Desk::new();
        let config = LoadedConfig::parse(text, &desk.path("my.toml"), &[]).unwrap();
        let (device, prepared) = (run::open_device(&config).unwrap(), run::prepare(&config).unwrap());
        let mut folder = RunFolder::create(&desk.path("run"), text, false).unwrap();
        let mut saboteur = Saboteur(desk.path("run/confusion.csv"));
        let failed = run::train(&config, &prepared, &device, &mut folder, &mut saboteur).unwrap_err();
        assert!(failed.to_string().contains("confusion.csv"), "{failed}");
        assert!(!desk.path("run/result.json").exists());
        for file in files {
            let model = burn_svm_cli::model_file::load(&desk.path("run").join(file)).unwrap();
            assert!(model.calibration().is_some(), "{file}");
        }
        // And the whole run leaves the very bytes.
        let mut folder = RunFolder::create(&desk.path("whole"), text, false).unwrap();
        run::train(&config, &prepared, &device, &mut folder, &mut Saboteur(desk.path("whole"))).unwrap();
        files
            .iter()
            .for_each(|file| assert_eq!(desk.bytes(&format!("run/{file}")), desk.bytes(&format!("whole/{file}"))));
    }
}
