//! Checkpoints: a run that was stopped anywhere and resumed leaves the files of one that never stopped, to the last byte;
//! another run is refused with the differences.

use crate::devices::wgpu_cpu;
use crate::program::{Case, Desk, SMALL, Verdict, repository};
use burn_svm::internals::solver::sgd::optimizer::OptimizerName;
use burn_svm::internals::solver::{LogEntry, Observer, StopReason};
use burn_svm_cli::config::{LoadedConfig, parse_assignment};
use burn_svm_cli::run::resume::{self, FolderState};
use burn_svm_cli::run::{self, RunFolder};
use std::fs;
use std::path::Path;

const DATA: &str = "\
threads = 1
[data.digits]
[split]
validation = 0.1
test = 0.2
[preprocess]
center = \"mean\"
scale = \"pixel\"
";

/// Stops a run after a number of steps.
struct StopAfter {
    steps: u64,
    made: u64,
}

impl Observer for StopAfter {
    fn step(&mut self, _: u64) {
        self.made += 1;
    }

    fn log(&mut self, _: &LogEntry) {}

    fn interrupted(&self) -> bool {
        self.made >= self.steps
    }
}

/// Trains in `folder`, resuming a checkpoint if there is one, for a number of steps at most.
fn train(text: &str, set: &[&str], folder: &Path, steps: u64) -> StopReason {
    let set: Vec<_> = set.iter().map(|s| parse_assignment(s).unwrap()).collect();
    let config = LoadedConfig::parse(text, Path::new("test.toml"), &set).unwrap_or_else(|e| panic!("{e}"));
    let prepared = run::prepare(&config).unwrap_or_else(|e| panic!("{e}"));
    let device = run::open_device(&config).unwrap();
    let mut record = match resume::standing(folder, &config).unwrap_or_else(|e| panic!("{e}")) {
        FolderState::Fresh => RunFolder::create(folder, &config.text, true).unwrap(),
        FolderState::Stopped => {
            resume::resume(folder, &config, &prepared, device.label()).unwrap_or_else(|e| panic!("{e}")).folder
        }
        FolderState::Finished(result) => panic!("finished already: {result:?}"),
    };
    let mut observer = StopAfter { steps, made: 0 };
    run::train(&config, &prepared, &device, &mut record, &mut observer).unwrap_or_else(|e| panic!("{e}")).stop
}

/// A file of numbers without its last column, the seconds.
fn without_seconds(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| line.rsplit_once(',').map_or(line, |(rest, _)| rest).to_owned() + "\n").collect()
}

/// Runs as a whole and in pieces of the given length; both leave the same files.
fn pieces_make_the_whole(text: &str, set: &[&str], pieces: &[u64]) {
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let stop = train(text, set, whole.path(), u64::MAX);
    assert_ne!(stop, StopReason::Interrupted);
    for &steps in pieces {
        assert_eq!(train(text, set, cut.path(), steps), StopReason::Interrupted, "{set:?}: {steps} steps are too many");
    }
    assert_eq!(train(text, set, cut.path(), u64::MAX), stop, "{set:?}");
    let name = |file: &fs::DirEntry| file.file_name().into_string().unwrap();
    let list = |folder: &Path| {
        let mut names: Vec<String> = fs::read_dir(folder).into_iter().flatten().map(|f| name(&f.unwrap())).collect();
        names.sort();
        names
    };
    assert_eq!(list(cut.path()), list(whole.path()), "{set:?}");
    let bytes = |folder: &Path, file: &str| fs::read(folder.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
    let models = list(&whole.path().join("path")).into_iter().map(|file| format!("path/{file}"));
    for model in models.chain(["model.safetensors".to_owned(), "confusion.csv".to_owned()]) {
        assert!(bytes(cut.path(), &model) == bytes(whole.path(), &model), "{set:?}: {model} differs");
    }
    for rows in ["metrics.csv", "bounds.csv", "path.csv"] {
        assert_eq!(
            without_seconds(&cut.path().join(rows)),
            without_seconds(&whole.path().join(rows)),
            "{set:?}: {rows}"
        );
    }
    let seconds: Vec<f64> = run::recorded::read_metrics(cut.path()).unwrap().iter().map(|row| row.seconds).collect();
    assert!(seconds.is_sorted(), "{set:?}: time goes on: {seconds:?}");
}

fn sgd(options: &str) -> String {
    format!(
        "{DATA}[objective]\nlambda = 1e-3\n[loss.weston_watkins]\n[solver.sgd]\nlearning_rate = 0.003\nepochs = 4\nlog_every = 5\n{options}"
    )
}

#[test]
fn every_optimiser_goes_on_as_if_it_had_never_stopped() {
    for optimizer in OptimizerName::ALL {
        let name = optimizer.name();
        let set = format!("solver.sgd.optimizer=\"{name}\"");
        pieces_make_the_whole(&sgd(""), &[&set], &[1, 6, 11]);
    }
    for options in [
        "optimizer = \"adam\"\n[solver.sgd.adam]\namsgrad = true\n",
        "optimizer = \"rmsprop\"\n[solver.sgd.rmsprop]\ncentered = true\nmomentum = 0.5\n",
        "optimizer = \"muon\"\nclip_norm = 0.1\n",
    ] {
        pieces_make_the_whole(&sgd(options), &[], &[3, 9]);
    }
}

#[test]
fn batches_schedules_and_routes_go_on_too() {
    for set in [
        ["solver.sgd.sampling=with-replacement", "solver.sgd.schedule=cosine"],
        ["solver.sgd.batch_size=7", "solver.sgd.warmup_steps=20"],
        ["solver.sgd.init_std=0.1", "gradient=analytic"],
        ["threads=2", "solver.sgd.optimizer=adam"],
        ["device=ndarray", "solver.sgd.optimizer=momentum"],
        ["preprocess.bias=none", "calibration.method=temperature"],
        ["gradient=fused", "solver.sgd.optimizer=adam"],
    ] {
        pieces_make_the_whole(&sgd(""), &set, &[1, 12, 5]);
    }
}

#[test]
fn early_stopping_remembers_the_best() {
    let text = sgd("") + "[early_stopping]\npatience = 3\n";
    for metric in ["accuracy", "loss"] {
        let metric = format!("early_stopping.metric={metric}");
        let set = ["solver.sgd.learning_rate=0.1", "solver.sgd.epochs=40", &metric];
        pieces_make_the_whole(&text, &set, &[1, 25, 11, 1, 1]);
    }
}

#[test]
fn sparse_rows_go_on_under_every_solver() {
    let desk = Desk::new();
    let rows: String = (0..400u32)
        .map(|i| {
            let cells: String =
                (0..6).map(|j| format!(" {}:{}", 1 + j * 20 + (i * (j + 3)) % 20, (i + j) % 5)).collect();
            format!("{}{cells}\n", (i * 7 + i / 13) % 3)
        })
        .collect();
    desk.write("rows", rows);
    let problem = |solver: &str| {
        let data = desk.path("rows");
        format!(
            "threads = 1\n[data.libsvm]\ntrain = {:?}\n[preprocess]\ncenter = \"mean\"\nscale = \"std\"\n[objective]\nc = 0.1\n[loss.weston_watkins]\npower = 2\n{solver}",
            data.to_str().unwrap()
        )
    };
    pieces_make_the_whole(&problem("[solver.sgd]\noptimizer = \"adam\"\nepochs = 5\n"), &[], &[2, 7]);
    pieces_make_the_whole(&problem("[solver.lbfgs]\n"), &[], &[1, 4, 2]);
    pieces_make_the_whole(&problem("[solver.dual]\ngap = 1e-4\n"), &[], &[1, 3, 2]);
    pieces_make_the_whole(
        &problem("[solver.dual]\ngap = 1e-4\nprecision = \"f64\"\n"),
        &["preprocess.bias=free"],
        &[2, 4],
    );
}

/// A stopped run is resumed with another end, and equals the run that had this end from the beginning.
fn ends_elsewhere(text: &str, short: &[&str], long: &[&str], steps: u64) {
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let stop = train(text, long, whole.path(), u64::MAX);
    assert_eq!(train(text, short, cut.path(), steps), StopReason::Interrupted, "{short:?}: {steps} steps are too many");
    assert_eq!(train(text, long, cut.path(), u64::MAX), stop, "{long:?}");
    let bytes = |folder: &Path| fs::read(folder.join("model.safetensors")).unwrap();
    // The metadata hold the configuration with the end that the run came to.
    assert!(bytes(cut.path()) == bytes(whole.path()), "{long:?}: the models differ");
    for rows in ["metrics.csv", "bounds.csv"] {
        let of = |folder: &Path| without_seconds(&folder.join(rows));
        assert_eq!(of(cut.path()), of(whole.path()), "{long:?}: {rows}");
    }
}

#[test]
fn a_stopped_run_goes_on_to_another_end() {
    for options in
        ["", "optimizer = \"adam\"\nschedule = \"noam\"\nwarmup_steps = 20\n", "schedule = \"exponential\"\n"]
    {
        ends_elsewhere(&sgd(options), &[], &["solver.sgd.epochs=7"], 12);
    }
    // Fewer than were asked for, and as many as are made.
    ends_elsewhere(&sgd(""), &[], &["solver.sgd.epochs=2"], 12);
    let by_steps = sgd("").replace("epochs = 4", "steps = 30");
    ends_elsewhere(&by_steps, &[], &["solver.sgd.steps=50"], 29);
    ends_elsewhere(&dual("gap = 1e-4\n"), &["solver.dual.epochs=6"], &["solver.dual.epochs=900"], 5);
    ends_elsewhere(&dual("gap = 1e-4\n"), &["solver.dual.seconds=1e9"], &["solver.dual.epochs=7"], 5);
    let lbfgs = format!("{DATA}[objective]\nlambda = 1e-3\n[loss.one_vs_rest]\npower = 2\n[solver.lbfgs]\n");
    ends_elsewhere(&lbfgs, &["solver.lbfgs.epochs=12"], &["solver.lbfgs.epochs=900"], 5);
}

fn dual(options: &str) -> String {
    format!("{DATA}[objective]\nc = 0.1\n[loss.crammer_singer]\n[solver.dual]\n{options}")
}

#[test]
fn the_exact_solver_goes_on_to_the_same_certificate() {
    pieces_make_the_whole(&dual("gap = 1e-4\n"), &[], &[1, 4, 2, 9]);
    pieces_make_the_whole(&dual("gap = 1e-4\n"), &["threads=2"], &[3, 5]);
    // Single precision gives way to double on the way.
    pieces_make_the_whole(&dual("gap = 1e-7\n"), &[], &[5, 20, 20]);
    pieces_make_the_whole(&dual("gap = 1e-4\n"), &["preprocess.bias=free"], &[3, 7]);
    pieces_make_the_whole(&dual("gap = 0\nepochs = 12\n"), &["device=ndarray"], &[1, 4]);
    // Rows that are too wide to come one by one, of which several threads share the features.
    let desk = Desk::new();
    // And rows of few cells, which are copied without their zeros.
    for cells in [11, 2] {
        let cell = |i: u32, j: u32| (i * 31 + j * j * 7 + i * j) % 11 * u32::from((i + 3 * j) % 11 < cells);
        let row = |i: u32| (0..800u32).map(|j| format!(",{}", cell(i, j))).collect::<String>();
        desk.write("wide.csv", (0..240).map(|i| format!("{}{}\n", i % 4, row(i))).collect::<String>());
        let wide = format!("[data.csv]\nlabel = 1\ntrain = {:?}", desk.path("wide.csv").to_str().unwrap());
        for threads in ["threads=1", "threads=2"] {
            pieces_make_the_whole(&dual("gap = 1e-5\n").replace("[data.digits]", &wide), &[threads], &[1, 3]);
        }
    }
}

#[test]
fn lbfgs_goes_on_with_its_curvature() {
    let text = |options: &str| {
        format!("{DATA}[objective]\nlambda = 1e-3\n[loss.one_vs_rest]\npower = 2\n[solver.lbfgs]\n{options}")
    };
    pieces_make_the_whole(&text(""), &[], &[1, 4, 9]);
    pieces_make_the_whole(&text("memory = 2\nprecision = \"f32\"\n"), &["gradient=analytic"], &[5, 3]);
    pieces_make_the_whole(&text("epochs = 20\n"), &["preprocess.bias=free"], &[0, 7]);
}

#[test]
fn a_path_goes_on_at_the_c_that_was_being_solved() {
    let path = |c: &str| dual("gap = 1e-4\n").replace("c = 0.1", c);
    pieces_make_the_whole(&path("c = [0.001, 0.01, 0.1]"), &[], &[2, 9, 20]);
    pieces_make_the_whole(&path("c = [0.001, 0.01, 0.1]"), &["solver.dual.warm_start=false"], &[9, 1, 12]);
    pieces_make_the_whole(&path("c = [0.1, 1.0]"), &["preprocess.bias=free", "split.validation=0"], &[1, 16]);
}

/// Within rounding: a device need not compute the same bits twice.
#[test]
fn a_run_on_an_adapter_goes_on_there_or_on_the_processor() {
    if wgpu_cpu().is_none() {
        return;
    }
    let set = ["device=wgpu:cpu", "solver.sgd.optimizer=adam", "solver.sgd.epochs=1", "solver.sgd.batch_size=200"];
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    train(&sgd(""), &set, whole.path(), u64::MAX);
    assert_eq!(train(&sgd(""), &set, cut.path(), 2), StopReason::Interrupted);
    assert_eq!(train(&sgd(""), &set, cut.path(), 2), StopReason::Interrupted);
    let on_flex = [&set[1..], &["device=flex"]].concat();
    assert_eq!(train(&sgd(""), &on_flex, cut.path(), u64::MAX), StopReason::Finished);
    let (a, b) =
        (burn_svm_cli::model_file::load(whole.path()).unwrap(), burn_svm_cli::model_file::load(cut.path()).unwrap());
    for (a, b) in a.weight.iter().zip(&b.weight) {
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
}

/// A driver whose adapter is lost: it panics in the middle of a run.
struct Lost(u64);

impl Observer for Lost {
    fn step(&mut self, _: u64) {
        self.0 += 1;
        assert!(self.0 < 5, "Parent device is lost\nand more that nobody wants to read");
    }

    fn log(&mut self, _: &LogEntry) {}
}

#[test]
fn a_lost_adapter_is_a_sentence_and_the_run_goes_on_on_the_processor() {
    if wgpu_cpu().is_none() {
        return;
    }
    let set = ["device=wgpu:cpu", "checkpoint.every_steps=2", "solver.sgd.epochs=1", "solver.sgd.batch_size=200"];
    let sets: Vec<_> = set.iter().map(|s| parse_assignment(s).unwrap()).collect();
    let config = LoadedConfig::parse(&sgd(""), Path::new("test.toml"), &sets).unwrap();
    let prepared = run::prepare(&config).unwrap();
    let device = run::open_device(&config).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut record = RunFolder::create(folder.path(), &config.text, true).unwrap();
    let error = run::train(&config, &prepared, &device, &mut record, &mut Lost(0)).unwrap_err();
    assert_eq!(error.to_string(), "the device failed: Parent device is lost");
    drop(record);
    assert!(resume::has_checkpoint(folder.path()));
    let on_flex = [&set[1..], &["device=flex"]].concat();
    assert_eq!(train(&sgd(""), &on_flex, folder.path(), u64::MAX), StopReason::Finished);
}

/// A folder in which a run of [`SMALL`] was ended after its third checkpoint.
fn stopped() -> Desk {
    let desk = Desk::new();
    desk.write("my.toml", SMALL).write("other.toml", SMALL.replace("0.01", "0.02").replace("1e-3", "2e-3"));
    train(SMALL, &["checkpoint.every_steps=4"], &desk.path("run"), 13);
    fs::remove_file(desk.path("run/result.json")).unwrap();
    fs::remove_file(desk.path("run/model.safetensors")).unwrap();
    desk
}

fn checkpoints(desk: &Desk) -> Vec<String> {
    let names = fs::read_dir(desk.path("run/checkpoint")).unwrap().map(|e| e.unwrap().file_name());
    let mut names: Vec<String> = names.map(|n| n.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_command_goes_on_and_says_from_where() {
    let desk = stopped();
    assert_eq!(checkpoints(&desk).len(), 2, "the last two are kept");
    desk.succeed(&["train", "my.toml", "--out", "whole", "-q"]);
    let outcome = desk.succeed(&["train", "my.toml", "--out", "run", "--resume"]);
    assert!(
        outcome.stderr.contains("note: resuming from run/checkpoint/000004.safetensors (step 13)\n"),
        "{}",
        outcome.stderr
    );
    assert_eq!(desk.bytes("run/model.safetensors"), desk.bytes("whole/model.safetensors"));
    assert!(!desk.path("run/checkpoint").exists(), "a finished run needs no checkpoint");
    let outcome = desk.succeed(&["train", "my.toml", "--out", "run", "--resume", "--json"]);
    assert_eq!(outcome.stderr, "note: run: the run is finished, nothing is left to do\n");
    assert_eq!(outcome.stdout, desk.read("run/result.json"));
    // Without a checkpoint the run begins, so that a loop around the command needs no case of its own.
    let outcome = desk.succeed(&["train", "my.toml", "--out", "new", "--resume"]);
    assert!(outcome.stderr.contains("note: new: there is no checkpoint, the run begins\n"), "{}", outcome.stderr);
    assert_eq!(desk.bytes("new/model.safetensors"), desk.bytes("whole/model.safetensors"));
}

#[test]
fn a_damaged_checkpoint_falls_back_to_the_one_before_it() {
    let desk = stopped();
    desk.succeed(&["train", "my.toml", "--out", "whole", "-q"]);
    let newest = format!("run/checkpoint/{}", checkpoints(&desk)[1]);
    let mut bytes = desk.bytes(&newest);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    desk.write(&newest, bytes).write("run/checkpoint/000009.safetensors.partial", "half of one");
    let outcome = desk.succeed(&["train", "my.toml", "--out", "run", "--resume"]);
    assert!(
        outcome.stderr.contains(&format!("warning: {newest} cannot be used: its checksum is wrong\n")),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("note: resuming from run/checkpoint/000003.safetensors (step 12)\n"));
    assert_eq!(desk.bytes("run/model.safetensors"), desk.bytes("whole/model.safetensors"));
}

/// A checkpoint of format version 1, after 20 of 60 steps; every later version must resume it.
#[test]
fn version_1_goes_on_for_ever() {
    let desk = Desk::new();
    let fixture = |name: &str| repository(&format!("cli/tests/fixtures/checkpoint-v1.{name}"));
    desk.write("run/checkpoint/000001.safetensors", fs::read(fixture("safetensors")).unwrap());
    let outcome = desk.succeed(&["train", &fixture("toml"), "--out", "run", "--resume"]);
    assert!(
        outcome.stderr.contains("resuming from run/checkpoint/000001.safetensors (step 20)\n"),
        "{}",
        outcome.stderr
    );
    let result = desk.json("run/result.json");
    assert_eq!((result["stop_reason"].as_str(), result["steps"].as_u64()), (Some("finished"), Some(60)));
    assert!(result["test_accuracy"].as_f64().unwrap() > 0.9, "{result}");
    let steps: Vec<u64> = run::recorded::read_metrics(&desk.path("run")).unwrap().iter().map(|row| row.step).collect();
    assert!(steps.starts_with(&[0, 10, 15, 20, 30]), "rows of before and after: {steps:?}");
}

#[test]
fn what_is_not_the_same_run_is_refused() {
    let mut verdict = Verdict::default();
    let mut refuse = |what: &str, desk: &Desk, args: &[&str], code: i32, problem: &str, hint: &str| {
        let outcome = desk.run(&[&["train"], args, &["-q"]].concat());
        verdict.hold(&Case { what, problem, hint }, &outcome, code);
    };
    let own = "`burn-svm train run/config.toml --out run --resume` resumes the run as it is; another run needs another --out, or --force";
    let desk = stopped();
    let resume = ["my.toml", "--out", "run", "--resume"];
    refuse(
        "another configuration",
        &desk,
        &["other.toml", "--out", "run", "--resume"],
        2,
        "run: cannot resume with another configuration: objective.lambda was 0.001, is 0.002; solver.sgd.learning_rate was 0.01, is 0.02",
        own,
    );
    refuse(
        "without --resume",
        &desk,
        &["my.toml", "--out", "run"],
        2,
        "run: holds a run already",
        "resume it with --resume, name another folder with --out, or overwrite it with --force",
    );
    let newest = format!("run/checkpoint/{}", checkpoints(&desk)[1]);
    let whole = desk.bytes(&newest);
    let key = b"\"format_version\":\"";
    let at = whole.windows(key.len()).position(|w| w == key).unwrap() + key.len();
    let mut newer = whole.clone();
    newer[at] = b'7';
    desk.write(&newest, newer);
    refuse(
        "a newer program",
        &desk,
        &resume,
        2,
        &format!(
            "{newest}: it has format version `7`, written by burn-svm {}; this program reads up to 1",
            env!("CARGO_PKG_VERSION")
        ),
        "resume with the program that wrote it",
    );
    desk.write(&newest, &whole[..100]).write(&format!("run/checkpoint/{}", checkpoints(&desk)[0]), "");
    refuse(
        "nothing but damage",
        &desk,
        &resume,
        1,
        "run/checkpoint: run/checkpoint/000004.safetensors cannot be used: it is cut off or no checkpoint; \
         run/checkpoint/000003.safetensors cannot be used: it is cut off or no checkpoint",
        "the file was changed or cut off: train again",
    );
    desk.succeed(&["train", "my.toml", "--out", "done", "-q"]);
    refuse(
        "a finished run of another configuration",
        &desk,
        &["other.toml", "--out", "done", "--resume"],
        2,
        "done: cannot resume with another configuration: objective.lambda was 0.001, is 0.002; solver.sgd.learning_rate was 0.01, is 0.02",
        &own.replace("run/config", "done/config").replace("--out run", "--out done"),
    );
    refuse(
        "a finished run that is to end later",
        &desk,
        &["my.toml", "--out", "done", "--resume", "--set", "solver.sgd.epochs=9"],
        2,
        "done: the run is finished and its checkpoints are gone: solver.sgd.epochs was 2.0, is 9.0",
        "a run goes on to another end only while it has a checkpoint, after Ctrl-C for example; train from the beginning with --force, or into another --out",
    );
    let stopped = stopped();
    refuse(
        "an end that lies behind",
        &stopped,
        &["my.toml", "--out", "run", "--resume", "--set", "solver.sgd.epochs=1"],
        2,
        "run: the run is at step 13 already, and would now end with step 12",
        "ask for more steps, or for a shorter run in another --out",
    );
    stopped.write("cosine.toml", SMALL.replace("epochs = 2", "epochs = 2\nschedule = \"cosine\""));
    train(&stopped.read("cosine.toml"), &[], &stopped.path("cosine"), 3);
    refuse(
        "an end that every step knows",
        &stopped,
        &["cosine.toml", "--out", "cosine", "--resume", "--set", "solver.sgd.epochs=9"],
        2,
        "cosine: cannot resume with another configuration: solver.sgd.epochs was 2.0, is 9.0; every learning rate of the schedule `cosine` depends on it",
        &own.replace("run/config", "cosine/config").replace("--out run", "--out cosine"),
    );
    desk.write("file", "");
    refuse(
        "a file",
        &desk,
        &["my.toml", "--out", "file", "--resume"],
        2,
        "file: is a file, expected a folder",
        "a run folder is a folder that can be written",
    );
    let both = desk.run(&["train", "my.toml", "--out", "run", "--resume", "--force"]);
    assert_eq!(both.code, Some(2));
    assert!(both.problem().contains("cannot be used with"), "{}", both.stderr);
    verdict.assert();
}

#[test]
fn other_data_are_refused() {
    let rows = "a 1:1 3:2\nb 2:1\na 1:3\nb 2:2 3:1\nc 3:4\nc 3:5\n".repeat(9);
    let text = SMALL.replace("[data.digits]", "[data.libsvm]\ntrain = \"rows\"");
    let desk = Desk::new();
    desk.write("my.toml", &text).write("rows", &rows);
    // Any checkpoint will do: one of a run that a signal ended is tried elsewhere.
    let stop = |desk: &Desk| {
        let absolute = text.replace("\"rows\"", &format!("{:?}", desk.path("rows").to_str().unwrap()));
        train(&absolute, &[], &desk.path("run"), 1)
    };
    assert_eq!(stop(&desk), StopReason::Interrupted);
    let mut verdict = Verdict::default();
    let hint = "put the files back as they were, or train from the beginning with --force";
    for (what, content, problem) in [
        (
            "a row less",
            rows.trim_end().rsplit_once('\n').unwrap().0.to_owned(),
            "the run had 54 rows of 3 features in 3 classes, there are now 53 rows of 3 features in 3 classes",
        ),
        (
            "one number",
            rows.replacen("1:3", "1:4", 1),
            "there are still 54 rows of 3 features in 3 classes, but not the same ones",
        ),
        (
            "one label",
            rows.replacen("b 2:1", "c 2:1", 1),
            "there are still 54 rows of 3 features in 3 classes, but not the same ones",
        ),
        (
            "two rows swapped",
            rows.replacen("a 1:1 3:2\nb 2:1\n", "b 2:1\na 1:1 3:2\n", 1),
            "there are still 54 rows of 3 features in 3 classes, but not the same ones",
        ),
    ] {
        desk.write("rows", content);
        let problem = format!("run: cannot resume with other data: {problem}");
        let outcome = desk.run(&["train", "my.toml", "--out", "run", "--resume", "-q"]);
        verdict.hold(&Case { what, problem: &problem, hint }, &outcome, 2);
    }
    verdict.assert();
    // Elsewhere and compressed, but the same.
    desk.write("rows", &rows);
    fs::rename(desk.path("rows"), desk.path("moved")).unwrap();
    desk.succeed(&["train", "my.toml", "--set", "data.libsvm.train=moved", "--out", "run", "--resume", "-q"]);
}

#[test]
fn two_processes_do_not_write_one_run() {
    if !cfg!(unix) {
        println!("skipped: locks are used on Unix only");
        return;
    }
    let desk = stopped();
    let text = SMALL.to_owned() + "[checkpoint]\nevery_steps = 4\n";
    let config = LoadedConfig::parse(&text, Path::new("my.toml"), &[]).unwrap();
    let prepared = run::prepare(&config).unwrap();
    let held = resume::resume(&desk.path("run"), &config, &prepared, "flex".into()).unwrap();
    for how in ["--resume", "--force"] {
        let outcome = desk.run(&["train", "my.toml", "--out", "run", how, "-q"]);
        assert_eq!((outcome.code, outcome.problem()), (Some(2), "run: another process is writing this run"), "{how}");
        assert_eq!(outcome.hint(), "wait for it to end, or name another folder with --out");
    }
    drop(held);
    desk.succeed(&["train", "my.toml", "--out", "run", "--resume", "-q"]);
}
