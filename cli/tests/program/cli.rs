//! The commands as a user meets them: output, files and exit codes.

use crate::program::{Desk, Outcome, SMALL, outcome, repository};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

/// The contract of `result.json`.
const RESULT_KEYS: [&str; 30] = [
    "version",
    "config",
    "device",
    "gradient",
    "gradient_agreement",
    "n_samples",
    "n_validation",
    "n_test",
    "n_features",
    "n_classes",
    "steps",
    "epochs",
    "stop_reason",
    "lambda",
    "reg",
    "c",
    "objective",
    "data_loss",
    "dual_objective",
    "gap",
    "relative_gap",
    "train_accuracy",
    "validation_accuracy",
    "test_accuracy",
    "calibration",
    "seconds_load",
    "seconds_solve",
    "seconds_evaluate",
    "peak_rss_bytes",
    "working_directory",
];

/// The figures of a run of images, in the order in which they are drawn.
const FIGURES: [[&str; 2]; 5] = [
    ["loss.png", "loss.svg"],
    ["accuracy.png", "accuracy.svg"],
    ["confusion.png", "confusion.svg"],
    ["roc.png", "roc.svg"],
    ["weights.png", "weights.svg"],
];

/// A folder with the small configuration and its run.
fn trained() -> Desk {
    let desk = Desk::new();
    desk.write("my.toml", SMALL);
    desk.succeed(&["train", "my.toml", "--out", "run", "--quiet"]);
    desk
}

/// The keys of a JSON object in the order of the text, where each stands on a line of its own.
fn keys_in_order(json: &str) -> Vec<String> {
    json.lines().filter_map(|line| line.strip_prefix("  \"")?.split('"').next().map(str::to_owned)).collect()
}

/// Two 8×8 images as an idx file.
fn two_images() -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 8, 0, 0, 0, 8];
    bytes.extend((0..128).map(|i| (i % 17) as u8));
    bytes
}

#[test]
fn the_quickstart_reaches_its_accuracy() {
    let desk = Desk::new();
    let trained = desk.succeed(&["train", &repository("configs/quickstart.toml"), "--out", "run"]);
    let result = desk.json("run/result.json");
    let number = |key: &str| result[key].as_f64().unwrap();
    assert!(number("test_accuracy") >= 0.95, "{result}");
    assert!(number("objective") > 0.05 && number("objective") < 0.2, "{result}");
    assert!(number("objective") > number("data_loss"));
    assert_eq!((result["stop_reason"].as_str(), result["config"].as_str()), (Some("finished"), Some("quickstart")));
    assert!(number("peak_rss_bytes") < 500e6);
    assert!(
        trained.stdout.starts_with("objective ") && trained.stdout.ends_with("run          run\n"),
        "{}",
        trained.stdout
    );
    assert!(trained.stderr.contains("step 0 / 630 (epoch 0.00): loss 9\n"), "{}", trained.stderr);
    assert!(trained.stderr.contains(" steps/s, ") && trained.stderr.contains(" s left\n"), "{}", trained.stderr);
}

#[test]
fn a_run_folder_holds_what_the_contract_says_and_no_more() {
    let desk = trained();
    let list = |folder: &str| {
        let mut names: Vec<String> =
            fs::read_dir(desk.path(folder)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let files = [
        ".burn-svm",
        "config.toml",
        "confusion.csv",
        "figures",
        "metrics.csv",
        "metrics.jsonl",
        "model.safetensors",
        "result.json",
        "roc.csv",
    ];
    assert_eq!(list("run"), files);
    assert_eq!(
        list("run/figures"),
        FIGURES.concat().iter().copied().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    );
    assert!(desk.read("run/figures/loss.svg").starts_with("<svg"));
    assert!(desk.read("run/confusion.csv").starts_with("test,0,1,2,3,4,5,6,7,8,9\n0,"));
    assert_eq!(keys_in_order(&desk.read("run/result.json")), RESULT_KEYS);
    assert_eq!(desk.read("run/config.toml"), SMALL);
    let metrics = desk.read("run/metrics.csv");
    let mut rows = metrics.lines();
    assert_eq!(rows.next(), Some("step,epoch,loss,train_accuracy,validation_accuracy,seconds"));
    assert!(rows.next().unwrap().starts_with("0,0.0,9.0,,,"), "{metrics}");
    // 1,438 training rows in batches of 128 for two epochs: steps 0 to 23, and the accuracies after the last.
    let steps: Vec<&str> = metrics.lines().skip(1).map(|row| row.split(',').next().unwrap()).collect();
    assert!(steps.contains(&"23"), "the loss of the last step is logged: {metrics}");
    assert_eq!(steps.last(), Some(&"24"));
    assert!(metrics.lines().all(|row| row.split(',').count() == 6));
}

#[test]
fn the_configuration_of_a_run_runs_again_as_it_is() {
    let desk = Desk::new();
    desk.write("deep/my.toml", SMALL.replace("[data.digits]", "[data.libsvm]\ntrain = \"rows\""))
        .write("deep/rows", "a 1:1 3:2\nb 2:1\na 1:3\nb 2:2 3:1\nc 3:4\nc 3:5\n".repeat(9));
    let set =
        ["--set", "seed=5", "--set", "solver.sgd.epochs=3", "--set", "solver.sgd.optimizer=adam", "--threads", "1"];
    // The data lies next to the configuration, not in the working directory.
    desk.succeed(&[&["train", "deep/my.toml", "--out", "one", "-q"], &set[..]].concat());
    fs::create_dir(desk.path("elsewhere")).unwrap();
    let again = outcome(
        desk.command(&["train", "../one/config.toml", "--out", "../two", "-q"]).current_dir(desk.path("elsewhere")),
    );
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert_eq!(desk.bytes("one/model.safetensors"), desk.bytes("two/model.safetensors"));
    assert_eq!(desk.read("one/config.toml"), desk.read("two/config.toml"));
    assert_ne!(desk.read("one/config.toml"), desk.read("deep/my.toml"));
}

#[test]
fn json_is_the_result_and_nothing_else_is_on_stdout() {
    let desk = Desk::new();
    desk.write("my.toml", SMALL);
    let trained = desk.succeed(&["train", "my.toml", "--out", "run", "--json"]);
    assert_eq!(trained.stdout, desk.read("run/result.json"));
    assert!(trained.stderr.contains("loss 9"));
    let quiet = desk.succeed(&["train", "my.toml", "--out", "two", "--json", "--quiet"]);
    assert_eq!((quiet.stdout, quiet.stderr.as_str()), (desk.read("two/result.json"), ""));
}

#[test]
fn quiet_prints_nothing() {
    let desk = Desk::new();
    desk.write("my.toml", SMALL);
    let quiet = desk.succeed(&["train", "my.toml", "--out", "run", "--quiet"]);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
}

#[test]
fn a_run_is_not_overwritten_unless_forced() {
    let desk = trained();
    let before = desk.bytes("run/model.safetensors");
    let refused = desk.run(&["train", "my.toml", "--out", "run", "--set", "seed=1"]);
    assert_eq!((refused.code, refused.problem()), (Some(2), "run: holds a run already"));
    assert_eq!(refused.hint(), "resume it with --resume, name another folder with --out, or overwrite it with --force");
    assert_eq!(desk.bytes("run/model.safetensors"), before);
    desk.succeed(&["train", "my.toml", "--out", "run", "--set", "seed=1", "--force", "-q"]);
    assert_ne!(desk.bytes("run/model.safetensors"), before);
}

#[test]
fn without_out_each_run_has_a_folder_of_its_own() {
    let desk = Desk::new();
    desk.write("my.toml", SMALL);
    for _ in 0..3 {
        desk.succeed(&["train", "my.toml", "-q"]);
    }
    let names: Vec<_> =
        fs::read_dir(desk.path("runs")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 3);
    assert!(names.iter().all(|name| name.starts_with("my-20")), "{names:?}");
}

#[test]
fn no_colours_off_a_terminal() {
    let desk = trained();
    for arguments in [
        &["train", "my.toml", "--out", "two"][..],
        &["train", "nope.toml"],
        &["train", "my.toml", "--out", "run"],
        &["nope"],
        &["--help"],
    ] {
        for no_color in [false, true] {
            let mut command =
                desk.command(&[arguments, if arguments.contains(&"two") { &["--force"][..] } else { &[] }].concat());
            if no_color {
                command.env("NO_COLOR", "1");
            }
            let outcome = outcome(&mut command);
            assert!(
                !outcome.stdout.contains('\u{1b}') && !outcome.stderr.contains('\u{1b}'),
                "{arguments:?} {outcome:?}"
            );
        }
    }
    // NO_COLOR wins over forced colours.
    let forced =
        |key: &str| outcome(desk.command(&["train", "nope.toml"]).env("CLICOLOR_FORCE", "1").env(key, "1")).stderr;
    assert!(forced("X").contains('\u{1b}') && !forced("NO_COLOR").contains('\u{1b}'));
}

#[test]
fn evaluate_agrees_with_the_result() {
    let desk = trained();
    let result = desk.json("run/result.json");
    let table = desk.succeed(&["evaluate", "run"]);
    assert_eq!(table.stderr, "");
    let accuracy = result["test_accuracy"].as_f64().unwrap();
    assert!(table.stdout.starts_with("359 rows: test split of run\n"), "{}", table.stdout);
    assert!(table.stdout.contains(&format!("\naccuracy     {:.2} %\n", 100.0 * accuracy)), "{}", table.stdout);
    assert!(table.stdout.contains("\ntop-5        "), "{}", table.stdout);
    for word in
        ["precision", "recall", "F1", "macro mean", "weighted mean", "confusion (rows: true, columns: predicted)"]
    {
        assert!(table.stdout.contains(word), "{word}");
    }
    let json = |arguments: &[&str]| -> Value {
        serde_json::from_str(&desk.succeed(&[&["evaluate", "--json"], arguments].concat()).stdout).unwrap()
    };
    let own = json(&["run"]);
    assert_eq!((own["accuracy"].as_f64(), own["rows"].as_u64()), (Some(accuracy), Some(359)));
    let sum: u64 = own["confusion"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|r| r.as_array().unwrap())
        .map(|c| c.as_u64().unwrap())
        .sum();
    assert_eq!(sum, 359);
    assert_eq!(own["classes"].as_array().unwrap().len(), 10);
    // The same by the model file, by the configuration, and the training split where nothing is held out.
    assert_eq!(json(&["run/model.safetensors", "--data", "my.toml"])["confusion"], own["confusion"]);
    assert_eq!(json(&["run", "--data", "my.toml"])["confusion"], own["confusion"]);
    desk.write("all.toml", SMALL.replace("test = 0.2", ""));
    assert_eq!(json(&["run", "--data", "all.toml"])["data"], "train split of all.toml");
    desk.write("validation.toml", SMALL.replace("test = 0.2", "validation = 0.2"));
    assert_eq!(json(&["run", "--data", "validation.toml"])["data"], "validation split of validation.toml");
    let top = |k: &str| json(&["run", "--top", k])["top_k"].clone();
    assert_eq!(top("2")[0]["k"], 2);
    for k in ["0", "1", "10", "99"] {
        assert_eq!(top(k), Value::Array(vec![]), "top-{k} says nothing");
    }
}

#[test]
fn predict_writes_a_label_a_row() {
    let desk = trained();
    desk.write("images", two_images());
    let predicted = desk.succeed(&["predict", "run", "images"]);
    assert_eq!((predicted.stdout.lines().count(), predicted.stderr.as_str()), (2, ""));
    let scored = desk.succeed(&["predict", "run", "images", "--scores"]);
    for (line, label) in scored.stdout.lines().zip(predicted.stdout.lines()) {
        let mut words = line.split('\t');
        assert_eq!(words.next(), Some(label));
        let scores: Vec<f64> = words.map(|s| s.parse().unwrap()).collect();
        let best = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        assert_eq!((scores.len(), scores.iter().position(|&s| s == best)), (10, label.parse().ok()), "{line}");
    }
    let written = desk.succeed(&["predict", "run", "images", "--out", "labels.txt"]);
    assert_eq!((written.stdout.as_str(), desk.read("labels.txt")), ("", predicted.stdout.clone()));
    for format in [&[][..], &["--format", "idx"]] {
        let mut command = desk.command(&[&["predict", "run", "-"], format].concat());
        command.stdin(Stdio::from(File::open(desk.path("images")).unwrap()));
        assert_eq!(outcome(&mut command).stdout, predicted.stdout);
    }
    let refused = desk.run(&["predict", "run", "images", "--out", "no/such/folder"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
    assert_eq!(refused.problem(), "cannot write to no/such/folder: No such file or directory (os error 2)");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let desk = trained();
    let mut many = vec![0, 0, 8, 3];
    many.extend([20_000u32, 8, 8].iter().flat_map(|n| n.to_be_bytes()));
    many.resize(16 + 20_000 * 64, 7);
    desk.write("images", many);
    let mut child = desk
        .command(&["predict", "run", "images", "--scores"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut line).unwrap();
    drop(reader);
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((child.wait().unwrap().code(), errors.as_str()), (Some(0), ""));
    assert!(line.contains('\t'));
}

#[test]
fn plot_draws_the_figures_again() {
    let desk = trained();
    let names: Vec<String> = FIGURES.concat().iter().map(|name| format!("run/figures/{name}")).collect();
    let before: Vec<Vec<u8>> = names.iter().map(|name| desk.bytes(name)).collect();
    fs::remove_dir_all(desk.path("run/figures")).unwrap();
    let drawn = desk.succeed(&["plot", "run"]);
    assert_eq!((drawn.stdout, drawn.stderr.as_str()), (names.join("\n") + "\n", ""));
    for (name, before) in names.iter().zip(before) {
        assert_eq!(desk.bytes(name), before, "{name}");
    }
    for (format, kept) in [("png", 0), ("svg", 1)] {
        let drawn = desk.succeed(&["plot", "run", "--format", format]).stdout;
        let expected: String = FIGURES.iter().map(|pair| format!("run/figures/{}\n", pair[kept])).collect();
        assert_eq!(drawn, expected);
    }
    for (folder, problem, hint) in [
        (
            "nope",
            "nope: is not a run folder: there is no `metrics.csv`",
            "RUN_DIR is a folder that `burn-svm train` made",
        ),
        (".", ".: is not a run folder: there is no `metrics.csv`", "the folder holds a run: name ./run"),
    ] {
        let refused = desk.run(&["plot", folder]);
        assert_eq!((refused.code, refused.problem()), (Some(2), problem));
        assert_eq!(refused.hint(), hint);
    }
    for (file, content) in [
        ("metrics.csv", "step,loss\n1,x\n"),
        ("confusion.csv", "test,a\n"),
        ("roc.csv", "split,curve,class,area,x,y\ntest,roc,a,1,0,nan\n"),
        ("model.safetensors", "no"),
        ("bounds.csv", "1\n"),
    ] {
        let whole = fs::read(desk.path(&format!("run/{file}"))).ok();
        desk.write(&format!("run/{file}"), content);
        let refused = desk.run(&["plot", "run"]);
        // No bounds at all are bounds of no rows.
        if file == "bounds.csv" {
            assert_eq!(refused.code, Some(0), "{}", refused.stderr);
            continue;
        }
        assert_eq!(refused.code, Some(1), "{}", refused.stderr);
        assert!(refused.problem().starts_with(&format!("run/{file}: ")), "{}", refused.stderr);
        desk.write(&format!("run/{file}"), whole.unwrap());
    }
}

#[test]
fn plot_draws_what_it_can_of_an_old_run() {
    let desk = trained();
    fs::remove_file(desk.path("run/confusion.csv")).unwrap();
    fs::remove_file(desk.path("run/model.safetensors")).unwrap();
    let drawn = desk.succeed(&["plot", "run", "--format", "svg"]);
    assert_eq!(drawn.stdout, "run/figures/loss.svg\nrun/figures/accuracy.svg\nrun/figures/roc.svg\n");
    let notes = "note: confusion: not drawn, there is no confusion.csv (the run has no model, or is of an older version)\n\
                 note: weights: not drawn, there is no model.safetensors\n";
    assert_eq!(drawn.stderr, notes);
    assert!(!desk.path("run/figures/weights.png").exists(), "a picture without its source is gone");
}

#[test]
fn the_exact_solver_leaves_its_bounds() {
    let desk = Desk::new();
    let solver = SMALL.find("[solver.sgd]").unwrap();
    desk.write("my.toml", format!("{}[solver.dual]\ngap = 0.1\n", &SMALL[..solver]));
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    let bounds = desk.read("run/bounds.csv");
    assert!(bounds.starts_with("epoch,primal,dual,relative_gap,seconds\n") && bounds.lines().count() >= 2, "{bounds}");
    assert!(desk.read("run/figures/bounds.svg").contains("primal"));
    let drawn = desk.succeed(&["plot", "run", "--format", "png"]);
    assert!(drawn.stdout.contains("run/figures/bounds.png\n"), "{}", drawn.stdout);
    assert_eq!(drawn.stderr, "note: accuracy: not drawn, no accuracy was measured on the way\n");
}

#[test]
fn devices_lists_every_backend() {
    let desk = Desk::new();
    let listed = desk.succeed(&["devices"]).stdout;
    for backend in burn_svm::internals::device::Backend::ALL {
        let line = listed.lines().find(|line| line.starts_with(&format!("{} ", backend.name()))).unwrap();
        assert_eq!(line.contains(" yes "), backend.compiled_in(), "{line}");
    }
    assert!(listed.contains("\nUsed unless a configuration or --device says otherwise: flex, "), "{listed}");
    let json: Value = serde_json::from_str(&desk.succeed(&["devices", "--json"]).stdout).unwrap();
    assert_eq!(json["backends"].as_array().unwrap().len(), burn_svm::internals::device::Backend::ALL.len());
    assert_eq!(json["default"], "flex");
    assert!(json["measured"].is_null() && !listed.contains("Measured"), "{listed}");
}

#[test]
fn devices_measures_the_processor_when_asked() {
    let desk = Desk::new();
    let listed = desk.succeed(&["devices", "--measure", "--threads", "1", "--json"]).stdout;
    let json: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(json["measured"]["threads"], 1);
    for rate in ["read_bytes_per_second", "flops_per_second"] {
        assert!(json["measured"][rate].as_f64().unwrap() > 1e7, "{listed}");
    }
}

fn diverge(desk: &Desk, more: &[&str]) -> Outcome {
    desk.write("my.toml", SMALL.replace("lambda = 1e-3", "reg = 2e4").replace("epochs = 2", "steps = 200"));
    desk.run(&[&["train", "my.toml", "--out", "run", "--force"], more].concat())
}

#[test]
fn a_run_that_diverges_says_so_and_leaves_no_model() {
    let desk = Desk::new();
    let diverged = diverge(&desk, &["--quiet"]);
    assert_eq!((diverged.code, diverged.stdout.as_str()), (Some(1), ""));
    assert_eq!(diverged.problem(), "the run diverged, seen at step 100; no model was written");
    assert_eq!(
        diverged.hint(),
        "plain SGD is stable only for a learning_rate below 1/reg = 5e-5: try `--set solver.sgd.learning_rate=5e-6`"
    );
    let warning = "warning: learning_rate 0.01 is not below 1/reg = 5.00000e-5: plain SGD multiplies the weights by -399 each step \
                   and will diverge\n";
    assert!(diverged.stderr.starts_with(warning), "the warning comes before the run: {}", diverged.stderr);
    assert!(!desk.path("run/model.safetensors").exists());
    let result = desk.json("run/result.json");
    assert_eq!(
        (result["stop_reason"].as_str(), &result["objective"], &result["test_accuracy"]),
        (Some("diverged"), &Value::Null, &Value::Null)
    );
    assert_eq!(keys_in_order(&desk.read("run/result.json")), RESULT_KEYS);
    assert!(desk.path("run/figures/loss.svg").exists());
    let evaluated = desk.run(&["evaluate", "run"]);
    assert_eq!(evaluated.code, Some(2));
    assert_eq!(evaluated.hint(), "MODEL is a run folder or its `model.safetensors`");
    // A rate just inside the bound is fine.
    let stable = diverge(&desk, &["--set", "solver.sgd.learning_rate=4e-5", "--quiet"]);
    assert_eq!((stable.code, stable.stderr.as_str()), (Some(0), ""));
    // Another optimiser has another bound, and another hint.
    let adam = diverge(&desk, &["--set", "solver.sgd.optimizer=adam", "--set", "solver.sgd.learning_rate=1e30", "-q"]);
    assert_eq!(adam.code, Some(1));
    assert!(!adam.stderr.contains("1/reg") && adam.hint().starts_with("lower `learning_rate`"), "{}", adam.stderr);
}

#[cfg(unix)]
#[test]
fn ctrl_c_finishes_the_step_and_keeps_the_model() {
    let desk = Desk::new();
    desk.write("my.toml", SMALL.replace("epochs = 2", "epochs = 1000000\nlog_every = 1000"));
    let mut child = desk
        .command(&["train", "my.toml", "--out", "run"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("step 0 ") {
        line.clear();
        assert!(errors.read_line(&mut line).unwrap() > 0, "the run ended before its first step");
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
    let note = "note: stopped early; the model as it stood is in the run folder. To resume: burn-svm train run/config.toml --out run --resume\n";
    assert!(rest.ends_with(note), "{rest}");
    let result = desk.json("run/result.json");
    assert_eq!(result["stop_reason"], "interrupted");
    assert!(result["objective"].as_f64().unwrap().is_finite() && result["steps"].as_u64().unwrap() > 0);
    desk.succeed(&["evaluate", "run"]);
    desk.succeed(&["plot", "run"]);
    assert_eq!(desk.run(&["train", "my.toml", "--out", "run"]).code, Some(2), "an interrupted run is a run");
}

#[test]
fn help_names_every_option() {
    let desk = Desk::new();
    let help = |arguments: &[&str]| desk.succeed(arguments).stdout;
    let whole = help(&["--help"]);
    assert!(whole.contains("Exit codes: 0 done; 1 failed; 2 usage, configuration, device or a path"), "{whole}");
    for (command, options) in [
        (
            "train",
            &[
                "CONFIG.toml",
                "--set <KEY=VALUE>",
                "--device <D>",
                "--threads <N>",
                "--out <DIR>",
                "--force",
                "--resume",
                "--quiet",
                "--json",
            ][..],
        ),
        ("evaluate", &["MODEL", "--data <CONFIG-OR-FILE>", "--top <K>", "--json"]),
        ("predict", &["MODEL", "FILE", "--format <F>", "--scores", "--probabilities", "--out <FILE>"]),
        (
            "gradcheck",
            &[
                "CONFIG.toml",
                "--set <KEY=VALUE>",
                "--coordinates <N>",
                "--model <MODEL>",
                "--h <H>",
                "--plot <DIR>",
                "--mine <GRAD.npy>",
                "--json",
            ],
        ),
        ("plot", &["RUN_DIR", "--format <F>"]),
        ("devices", &["--json"]),
        ("selfcheck", &["--device <D>", "--json"]),
    ] {
        assert!(whole.contains(&format!("\n  {command} ")), "{command}: {whole}");
        let text = help(&[command, "--help"]);
        for option in options {
            assert!(text.contains(option), "{command} {option}: {text}");
        }
    }
    assert_eq!(help(&["--version"]), format!("burn-svm {}\n", env!("CARGO_PKG_VERSION")));
    let nothing = desk.run(&[]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (Some(2), ""));
    assert!(nothing.stderr.contains("Usage: "));
}
