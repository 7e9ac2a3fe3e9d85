//! Faults that a run survives: it is killed, the disk is full, folders cannot be written or are gone, the data change under it.
//! After each the run folder can be read, no file has half its content under a final name, the last checkpoint is valid, and the
//! run resumes to the model of one that was left alone.
//!
//! `BURN_SVM_KILLS=100 cargo test --release --test program faults::` kills a hundred times; a few times by default.

#![cfg(unix)]

use crate::program::{Desk, Outcome, outcome, repository};
use burn_svm_cli::run::checkpoint::Shelf;
use burn_svm_cli::run::recorded;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROBLEM: &str = "\
threads = 1
[data.digits]
[split]
validation = 0.1
[preprocess]
center = \"mean\"
scale = \"pixel\"
[objective]
lambda = 1e-3
[loss.weston_watkins]
power = 2
[checkpoint]
every_steps = 20
";

fn sgd(steps: usize) -> String {
    format!("{PROBLEM}[solver.sgd]\noptimizer = \"adam\"\nbatch_size = 20\nlog_every = 50\nsteps = {steps}\n")
}

fn kills() -> usize {
    std::env::var("BURN_SVM_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(5)
}

fn start(desk: &Desk, args: &[&str]) -> Child {
    desk.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Waits until something is so, for as long as a busy machine may take.
fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Checks the invariants of a run folder; returns the steps of its newest checkpoint.
fn sound(run: &Path) -> u64 {
    for folder in [run.to_path_buf(), run.join("checkpoint"), run.join("figures")] {
        for file in fs::read_dir(folder).into_iter().flatten().map(|e| e.unwrap().path()) {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            if name == "model.safetensors" {
                burn_svm_cli::model_file::load(&file).unwrap();
            } else if name == "result.json" {
                serde_json::from_slice::<serde_json::Value>(&fs::read(&file).unwrap()).unwrap();
            } else if name.ends_with(".png") {
                assert!(fs::read(&file).unwrap().ends_with(b"IEND\xae\x42\x60\x82"), "{name}");
            } else if name.ends_with(".svg") {
                assert!(fs::read_to_string(&file).unwrap().trim_end().ends_with("</svg>"), "{name}");
            }
        }
    }
    if run.join("metrics.csv").exists() {
        recorded::read_metrics(run).unwrap();
        recorded::read_bounds(run).unwrap();
        recorded::read_confusion(run).unwrap();
    }
    if Shelf::of(run).is_empty() {
        return 0;
    }
    let (newest, _, damaged) = Shelf::of(run).newest().unwrap();
    assert_eq!(damaged, Vec::<String>::new());
    newest.progress
}

/// Finishes the run and compares it with one that was left alone.
fn ends_as_if_nothing_had_happened(desk: &Desk) {
    desk.succeed(&["train", "my.toml", "--out", "run", "--resume", "-q"]);
    if !desk.path("whole").exists() {
        desk.succeed(&["train", "my.toml", "--out", "whole", "-q"]);
    }
    sound(&desk.path("run"));
    assert_eq!(desk.bytes("run/model.safetensors"), desk.bytes("whole/model.safetensors"));
    let rows = |name: &str| -> Vec<String> {
        let text = desk.read(&format!("{name}/metrics.csv"));
        text.lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect()
    };
    assert_eq!(rows("run"), rows("whole"));
}

/// Kills a run again and again at moments of all kinds. Nothing that a checkpoint holds is lost.
fn killed(config: &str, kills: usize) -> u64 {
    let desk = Desk::new();
    desk.write("my.toml", config);
    let (mut last, mut moment) = (0, 0x2545_f491_4f6c_dd1d_u64);
    for kill in 0..kills {
        let mut child = start(&desk, &["train", "my.toml", "--out", "run", "--resume", "-q"]);
        moment = moment.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_micros(3_000 + (moment >> 33) % 120_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let progress = sound(&desk.path("run"));
        if desk.path("run/result.json").exists() {
            assert!(kill > 0, "the run is too short to be killed");
            break;
        }
        // On a path the count begins anew with each C.
        assert!(progress >= last || config.contains("c = ["), "kill {kill}: {last} steps were safe, {progress} are");
        last = progress;
    }
    ends_as_if_nothing_had_happened(&desk);
    last
}

#[test]
fn a_run_of_sgd_that_is_killed_loses_nothing() {
    let safe = killed(&sgd(1_000 * kills()), kills());
    println!("{} kills of SGD, {safe} steps safe at the last", kills());
}

#[test]
fn a_run_of_the_exact_solver_that_is_killed_loses_nothing() {
    let solver = format!("[solver.dual]\ngap = 0\nfinish = \"never\"\nepochs = {}\n", 100 * kills());
    let safe = killed(&(PROBLEM.replace("every_steps = 20", "every_steps = 5") + &solver), kills());
    println!("{} kills of the exact solver, {safe} epochs safe at the last", kills());
}

#[test]
fn a_path_that_is_killed_loses_nothing() {
    let config =
        PROBLEM.replace("lambda = 1e-3", "c = [0.01, 0.1, 1.0]").replace("every_steps = 20", "every_steps = 3");
    let solver = format!("[solver.dual]\ngap = 0\nfinish = \"never\"\nepochs = {}\n", 30 * kills());
    killed(&(config + &solver), kills());
}

#[test]
fn a_run_of_lbfgs_that_is_killed_loses_nothing() {
    let solver = "[solver.lbfgs]\ntolerance = 1e-12\nmemory = 3\n";
    killed(&(PROBLEM.replace("every_steps = 20", "every_steps = 2") + solver), kills().min(20));
}

/// Sends a signal by the command of that name: the library forbids what calling the system would need.
fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Whether a process has a handler of SIGINT; true where there is no /proc to ask.
fn catches_interrupts(child: &Child) -> bool {
    let Ok(status) = std::fs::read_to_string(format!("/proc/{}/status", child.id())) else { return true };
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
    u64::from_str_radix(caught.trim(), 16).is_ok_and(|mask| mask & 2 != 0)
}

#[test]
fn ctrl_c_keeps_a_checkpoint_and_a_second_one_ends_at_once() {
    let desk = Desk::new();
    desk.write("my.toml", sgd(20_000).replace("every_steps = 20", "every_steps = 200"));
    for signals in [1, 2] {
        let child = desk
            .command(&["train", "my.toml", "--out", "run", "--resume"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let before = Shelf::of(&desk.path("run")).is_empty();
        wait_for("a checkpoint", || !before || !Shelf::of(&desk.path("run")).is_empty());
        wait_for("somebody who listens", || catches_interrupts(&child));
        std::thread::sleep(Duration::from_millis(60));
        (0..signals).for_each(|_| signal(&child, "-INT"));
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(130), "{stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
        if signals == 1 {
            let note = "To resume: burn-svm train run/config.toml --out run --resume\n";
            assert!(stderr.ends_with(note), "{stderr}");
            assert_eq!(desk.json("run/result.json")["stop_reason"], "interrupted");
        }
        assert!(sound(&desk.path("run")) > 0);
    }
    // As the note says.
    desk.succeed(&["train", "run/config.toml", "--out", "run", "--resume", "-q"]);
    desk.succeed(&["train", "my.toml", "--out", "whole", "-q"]);
    assert_eq!(desk.bytes("run/model.safetensors"), desk.bytes("whole/model.safetensors"));
    assert_eq!(desk.json("run/result.json")["config"], "my", "the run keeps its name");
}

/// A shell with a limit or a file system of its own; `None` with a line where the machine does not allow it.
fn shell(desk: &Desk, script: &str) -> Outcome {
    let mut command = Command::new("bash");
    let line = script.replace("PROGRAM", env!("CARGO_BIN_EXE_burn-svm"));
    outcome(command.args(["-c", &line]).current_dir(desk.path("")).stdin(Stdio::null()))
}

fn has(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: there is no `{program}`");
    }
    found
}

/// RLIMIT_FSIZE ends the program in the middle of a write.
#[test]
fn a_limit_on_the_size_of_files_leaves_no_half_ones() {
    if !has("bash") {
        return;
    }
    for blocks in [1, 4, 9, 12, 16] {
        let desk = Desk::new();
        desk.write("my.toml", sgd(1_500));
        let limited =
            shell(&desk, &format!("ulimit -c 0; ulimit -f {blocks}; exec PROGRAM train my.toml --out run -q"));
        assert_ne!(limited.code, Some(0), "{blocks} blocks are enough for a model and its figures");
        sound(&desk.path("run"));
        ends_as_if_nothing_had_happened(&desk);
    }
}

/// A file system of a few pages, mounted where only the program sees it.
#[test]
fn a_full_disk_is_a_sentence_and_the_run_goes_on_elsewhere() {
    if !has("unshare") || !has("bash") {
        return;
    }
    let desk = Desk::new();
    desk.write("my.toml", sgd(1_500));
    fs::create_dir(desk.path("small")).unwrap();
    let mut full = 0;
    for kilobytes in [8, 28, 40, 52, 64, 120] {
        let _ = fs::remove_dir_all(desk.path("run"));
        let inside = format!(
            "mount -t tmpfs -o size={kilobytes}k tmpfs small || exit 77; PROGRAM train my.toml --out small/run -q; code=$?; \
             cp -r small/run run 2>/dev/null; exit $code"
        );
        let user = if is_root() { "" } else { "--user --map-root-user" };
        let outcome = shell(&desk, &format!("unshare {user} --mount bash -c '{inside}'"));
        if outcome.code == Some(77) || outcome.stderr.contains("unshare failed") {
            println!("skipped: no file system can be mounted");
            return;
        }
        if outcome.code != Some(0) {
            full += 1;
            // A model without room for its figures is a run that is done, but for the drawing.
            let code = if outcome.problem().contains("/figures/") { 1 } else { 2 };
            assert_eq!(outcome.code, Some(code), "{kilobytes} kB: {}", outcome.stderr);
            assert!(outcome.problem().ends_with("No space left on device (os error 28)"), "{}", outcome.stderr);
            assert!(outcome.problem().contains("small/run"), "{}", outcome.stderr);
        }
        if desk.path("run").exists() {
            sound(&desk.path("run"));
            ends_as_if_nothing_had_happened(&desk);
        }
    }
    assert!(full >= 2, "only {full} of the disks were full");
    // Standard output may be a full disk, too.
    let outcome = shell(&desk, "PROGRAM train my.toml --out other -q --json > /dev/full");
    assert_eq!(
        (outcome.code, outcome.problem()),
        (Some(1), "cannot write to standard output: No space left on device (os error 28)")
    );
    sound(&desk.path("other"));
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// The program as a user who may not write everywhere; as the current user, unless that is root.
fn ordinary(desk: &Desk, args: &[&str]) -> Option<Command> {
    if !is_root() {
        return Some(desk.command(args));
    }
    if !has("setpriv") {
        return None;
    }
    // A copy of the program that anybody may execute.
    let program = desk.path("program");
    if !program.exists() {
        fs::copy(env!("CARGO_BIN_EXE_burn-svm"), &program).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(desk.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program).args(args);
    command.current_dir(desk.path("")).stdin(Stdio::null()).env("HOME", desk.path(""));
    Some(command)
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn folders_that_may_not_be_written_are_a_sentence() {
    let desk = Desk::new();
    desk.write("my.toml", sgd(6_000));
    fs::create_dir(desk.path("closed")).unwrap();
    allow(&desk.path("closed"), 0o555);
    let Some(mut command) = ordinary(&desk, &["train", "my.toml", "--out", "closed/run", "-q"]) else {
        return;
    };
    let refused = outcome(&mut command);
    assert_eq!(
        (refused.code, refused.problem()),
        (Some(2), "closed/run: Permission denied (os error 13)"),
        "{}",
        refused.stderr
    );
    assert_eq!(refused.hint(), "a run folder is a folder that can be written");

    // In the middle of a run.
    let Some(mut command) = ordinary(&desk, &["train", "my.toml", "--out", "run"]) else {
        return;
    };
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("two checkpoints", || desk.path("run/checkpoint/000002.safetensors").exists());
    allow(&desk.path("run/checkpoint"), 0o555);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("error: run/checkpoint/") && stderr.contains("Permission denied"), "{stderr}");
    assert!(
        stderr.contains("note: the last checkpoint is kept. To resume: burn-svm train run/config.toml"),
        "{stderr}"
    );
    assert!(sound(&desk.path("run")) > 0);
    allow(&desk.path("run/checkpoint"), 0o777);
    allow(&desk.path("run"), 0o777);
    ends_as_if_nothing_had_happened(&desk);
}

#[test]
fn a_run_folder_that_is_removed_stays_removed() {
    let desk = Desk::new();
    desk.write("my.toml", sgd(200_000));
    let child = desk
        .command(&["train", "my.toml", "--out", "run"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("a checkpoint", || !Shelf::of(&desk.path("run")).is_empty());
    // A rename takes it away at once, where removing file by file would race with the run.
    fs::rename(desk.path("run"), desk.path("gone")).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("error: run/") && stderr.contains("No such file or directory"), "{stderr}");
    assert!(!stderr.contains("panicked") && !desk.path("run").exists(), "{stderr}");
    assert!(sound(&desk.path("gone")) > 0);
}

/// The data are in memory: a change of their files shows when the run is resumed.
#[test]
fn data_that_change_under_a_run_change_nothing_and_stop_a_resume() {
    let rows: String = (0..300u32).map(|i| format!("{} 1:{} 2:{} 3:{}\n", i % 3, i % 7, (i * 3) % 5, i % 3)).collect();
    let config = sgd(6_000).replace("[data.digits]", "[data.libsvm]\ntrain = \"rows\"");
    let desk = Desk::new();
    desk.write("my.toml", &config).write("rows", &rows);
    let mut left = start(&desk, &["train", "my.toml", "--out", "left", "-q"]);
    let mut killed = start(&desk, &["train", "my.toml", "--out", "run", "-q"]);
    let checkpoint =
        |run: &str| !Shelf::of(&desk.path(run)).is_empty() || desk.path(&format!("{run}/result.json")).exists();
    wait_for("checkpoints", || checkpoint("left") && checkpoint("run"));
    desk.write("rows", &rows[..rows.len() / 2]);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(left.wait().unwrap().success());
    let refused = desk.run(&["train", "my.toml", "--out", "run", "--resume", "-q"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(
        refused.problem().starts_with("run: cannot resume with other data: the run had 300 rows"),
        "{}",
        refused.stderr
    );
    desk.write("rows", &rows);
    ends_as_if_nothing_had_happened(&desk);
    assert_eq!(desk.bytes("left/model.safetensors"), desk.bytes("whole/model.safetensors"));
}

#[test]
fn sizes_beyond_the_memory_are_refused_before_any_is_taken() {
    if !cfg!(target_os = "linux") || !has("bash") {
        println!("skipped: limits are read on Linux");
        return;
    }
    let desk = Desk::new();
    desk.write("rows", "a 1:1\nb 500000000:1\na 2:1\nb 3:1\n");
    let model = "for 1000000000 weights of the model and its file";
    for (solver, need) in [
        ("[solver.sgd]", "for 1000000000 weights, held 3 times in 4 bytes"),
        ("[solver.dual]", model),
        ("[solver.lbfgs]", model),
    ] {
        let config = PROBLEM
            .replace("[data.digits]", "[data.libsvm]\ntrain = \"rows\"")
            .replace("[split]\nvalidation = 0.1\n", "");
        desk.write("my.toml", config.replace("center = \"mean\"\nscale = \"pixel\"\n", "") + solver);
        let outcome = shell(&desk, "ulimit -v 4000000; exec PROGRAM train my.toml --out run -q");
        assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
        let problem = outcome.problem();
        assert!(problem.starts_with("my.toml: training needs at least "), "{}", outcome.stderr);
        assert!(problem.contains(need), "{problem}");
        assert!(problem.contains("GB are free"), "{problem}");
        assert!(outcome.hint().starts_with("feature numbers far beyond"), "{}", outcome.hint());
        assert!(!desk.path("run").exists());
    }
}

/// The forecast of a run, against what its peak grows by from a smaller one: nearly all of it, and no more.
#[test]
fn sparse_peaks_are_forecast() {
    if !cfg!(target_os = "linux") {
        println!("skipped: the peak is read on Linux");
        return;
    }
    let desk = Desk::new();
    desk.write("my.toml", "[data.libsvm]\ntrain = 'rows'\n[objective]\nc = 0.01\n[solver.dual]\ngap = 0.5\n");
    // Megabytes that are forecast, of rows and of training, and bytes at the peak.
    let measured = |rows: String| {
        desk.write("rows", rows);
        let seen = desk.succeed(&["train", "my.toml", "--dry-run", "--out", "seen"]).stdout;
        let line = seen.lines().find(|line| line.starts_with("memory")).unwrap();
        let megabytes: Vec<f64> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        desk.succeed(&["train", "my.toml", "--out", "run", "--force", "-q"]);
        (megabytes.iter().sum::<f64>(), desk.json("run/result.json")["peak_rss_bytes"].as_f64().unwrap() / 1e6)
    };
    let cells = |from: usize, to: usize| (from..to).map(|j| format!(" {j}:1")).collect::<String>();
    let all = |d: usize| {
        (0..1000).map(|i| format!("{}{}\n", i % 3, cells(i * d / 1000 + 1, (i + 1) * d / 1000 + 1))).collect()
    };
    let few = |d: usize| {
        (0..300)
            .map(|i| {
                format!("{}{}{}\n", i % 3, cells(i + 1, i + 20), if i == 0 { format!(" {d}:1") } else { String::new() })
            })
            .collect()
    };
    for (what, small, large) in [
        ("every feature", measured(all(500_000)), measured(all(2_000_000))),
        ("a few", measured(few(2_000_000)), measured(few(12_000_000))),
    ] {
        let (forecast, peak) = (large.0 - small.0, large.1 - small.1);
        assert!((0.75..=1.05).contains(&(forecast / peak)), "{what}: {forecast} MB of {peak} MB");
    }
}

/// A system that gives few threads, and an environment that asks for very many: the same models, and an end.
#[test]
fn threads_that_cannot_be_had_are_done_without() {
    if !has("bash") || !has("setpriv") || !is_root() {
        println!("skipped: only root can become a user of whom nothing else runs");
        return;
    }
    let desk = Desk::new();
    let program = desk.path("program");
    fs::copy(env!("CARGO_BIN_EXE_burn-svm"), &program).unwrap();
    allow(&program, 0o755);
    allow(&desk.path(""), 0o777);
    let dual = "[solver.dual]\ngap = 1e-2\n".to_owned();
    let threads = |config: String| config.replace("threads = 1", "threads = 3");
    desk.write("sgd.toml", threads(sgd(40)));
    desk.write("autodiff.toml", threads(sgd(40)).replace("threads = 3", "threads = 3\ngradient = \"autodiff\""));
    desk.write("dual.toml", threads(PROBLEM.to_owned() + &dual));
    desk.write("lbfgs.toml", threads(PROBLEM.to_owned() + "[solver.lbfgs]\n"));
    let space = "[search]\nfolds = 2\n[search.space]\n\"loss.weston_watkins.power\" = [1, 2]\n";
    desk.write("search.toml", threads(PROBLEM.to_owned() + &dual + space));
    desk.succeed(&["train", "dual.toml", "--out", "model", "-q"]);
    desk.write("rows", "0 1:1 2:3 64:2\n".repeat(20_000));
    for (user, processes) in (1..=5).map(|processes| (61_000 + processes, processes)) {
        for (n, command) in [
            "train sgd.toml --out OUT",
            "train autodiff.toml --out OUT",
            "train dual.toml --out OUT",
            "train lbfgs.toml --out OUT",
            "search search.toml --out OUT",
            "certify model",
            "evaluate model",
            "predict model rows --out OUT",
            "gradcheck sgd.toml",
            "selfcheck --device flex",
        ]
        .into_iter()
        .enumerate()
        {
            let command = command.replace("OUT", &format!("out-{processes}-{n}"));
            let script = format!(
                "exec timeout 120 setpriv --reuid={user} --regid={user} --clear-groups bash -c \
                 'ulimit -u {processes}; exec ./program {command}'"
            );
            let ended = shell(&desk, &script);
            assert_eq!(ended.code, Some(0), "{processes} threads, {command}: {}", ended.stderr);
        }
    }
}

#[test]
fn an_environment_that_asks_for_very_many_threads_gets_some() {
    let desk = Desk::new();
    desk.write("my.toml", sgd(40).replace("threads = 1", "threads = 0"));
    for threads in ["100000", "0", "-1", "many", "18446744073709551616", ""] {
        for args in [&["train", "my.toml", "--out", "run", "--force", "-q"][..], &["evaluate", "run"]] {
            let mut command = desk.command(args);
            let mut child =
                command.env("RAYON_NUM_THREADS", threads).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let start = Instant::now();
            while child.try_wait().unwrap().is_none() && start.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(2));
            }
            let _ = child.kill();
            assert_eq!(child.wait().unwrap().code(), Some(0), "`{threads}` threads, {args:?}");
        }
    }
}

/// Durations are never differences of the time of day, which a clock that is set back would make negative.
#[test]
fn only_the_names_of_runs_look_at_the_time_of_day() {
    fn files(folder: &Path, found: &mut Vec<PathBuf>) {
        for path in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if path.is_dir() { files(&path, found) } else { found.push(path) }
        }
    }
    let mut found = Vec::new();
    files(Path::new(&repository("src")), &mut found);
    files(Path::new(&repository("cli/src")), &mut found);
    let uses = |word: &str| -> Vec<String> {
        let with = found.iter().filter(|file| fs::read_to_string(file).unwrap().contains(word));
        with.map(|file| file.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    };
    // Events of TensorBoard have the time of day.
    assert_eq!(uses("SystemTime"), ["journal.rs"]);
    assert_eq!(uses("Timestamp::now"), ["record.rs"]);
    assert!(uses("Instant::now").len() > 5);
}
