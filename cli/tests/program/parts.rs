//! Rows that threads share out: the optimum of one thread, limits, interruptions and paths.

use crate::program::Desk;
use burn_svm::internals::solver::{LogEntry, Observer, StopReason};
use burn_svm_cli::config::{LoadedConfig, parse_assignment};
use burn_svm_cli::run::resume::{self, FolderState};
use burn_svm_cli::run::{self, FinishedRun, RunFolder};
use std::fmt::Write as _;
use std::path::Path;

/// Rows for two threads, sorted by label, of three classes that overlap.
fn desk() -> Desk {
    let (desk, mut text, mut state) = (Desk::new(), String::from("a,b,c,d,label\n"), 1u64);
    let mut uniform = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 24) as f64
    };
    for row in 0..44_000 {
        let label = row * 3 / 44_000;
        for column in 0..4 {
            let centre = if column == label { 0.6 } else { 0.0 };
            let _ = write!(text, "{:.5},", centre + uniform() + uniform());
        }
        let _ = writeln!(text, "{label}");
    }
    desk.write("rows.csv", text);
    desk
}

fn config(desk: &Desk, set: &[&str]) -> LoadedConfig {
    let set: Vec<_> = set.iter().map(|s| parse_assignment(s).unwrap()).collect();
    let text = format!(
        "seed = 1\n[data.csv]\ntrain = {:?}\nlabel = \"label\"\n[preprocess]\ncenter = \"mean\"\nscale = \"std\"\n\
         [loss.weston_watkins]\n[objective]\nc = 0.01\n[solver.dual]\ngap = 1e-4\nfinish = \"never\"\n",
        desk.path("rows.csv")
    );
    LoadedConfig::parse(&text, Path::new("test.toml"), &set).unwrap_or_else(|e| panic!("{e}"))
}

/// Ends the run after some steps.
struct Watcher {
    left: usize,
}

const PATIENT: Watcher = Watcher { left: usize::MAX };

impl Observer for Watcher {
    fn log(&mut self, _: &LogEntry) {}

    fn step(&mut self, _: u64) {
        self.left = self.left.saturating_sub(1);
    }

    fn interrupted(&self) -> bool {
        self.left == 0
    }
}

fn train(desk: &Desk, name: &str, set: &[&str], watcher: &mut Watcher) -> FinishedRun {
    let config = config(desk, set);
    let prepared = run::prepare(&config).unwrap_or_else(|e| panic!("{e}"));
    let device = run::open_device(&config).unwrap();
    let folder = desk.path(name);
    let mut record = match resume::standing(&folder, &config).unwrap_or_else(|e| panic!("{e}")) {
        FolderState::Fresh => RunFolder::create(&folder, &config.text, true).unwrap(),
        FolderState::Stopped => {
            resume::resume(&folder, &config, &prepared, device.label()).unwrap_or_else(|e| panic!("{e}")).folder
        }
        FolderState::Finished(result) => panic!("finished already: {result:?}"),
    };
    run::train(&config, &prepared, &device, &mut record, watcher).unwrap_or_else(|e| panic!("{e}"))
}

fn agree(one: &FinishedRun, other: &FinishedRun, gap: f64) {
    let bounds = |run: &FinishedRun| (run.result.objective.unwrap(), run.result.dual_objective.unwrap());
    let ((above, below), (other_above, other_below)) = (bounds(one), bounds(other));
    assert!(below <= other_above && other_below <= above, "{below} to {above}, {other_below} to {other_above}");
    assert!(other.result.relative_gap.unwrap() <= gap, "{:?}", other.result.relative_gap);
}

#[test]
fn two_threads_prove_the_optimum_of_one() {
    let desk = desk();
    for loss in ["loss.weston_watkins.margin=2.0", "loss.weston_watkins.power=2", "loss.weston_watkins.smoothing=0.5"] {
        let one = train(&desk, "one", &[loss, "threads=1"], &mut Watcher { ..PATIENT });
        let two = train(&desk, "two", &[loss, "threads=2"], &mut Watcher { ..PATIENT });
        assert_eq!((one.stop, two.stop), (StopReason::GapReached, StopReason::GapReached), "{loss}");
        assert_ne!(one.result.objective, two.result.objective, "{loss}: two threads went the way of one");
        agree(&one, &two, 1e-4);
        std::fs::remove_dir_all(desk.path("one")).unwrap();
        std::fs::remove_dir_all(desk.path("two")).unwrap();
    }
}

#[test]
fn tight_goals_and_limits_end_as_they_do_on_one_thread() {
    let desk = desk();
    let tight = train(&desk, "tight", &["threads=2", "solver.dual.gap=1e-7"], &mut Watcher { ..PATIENT });
    assert_eq!(tight.stop, StopReason::GapReached);
    let short = train(
        &desk,
        "short",
        &["threads=2", "solver.dual.gap=1e-11", "solver.dual.epochs=21"],
        &mut Watcher { ..PATIENT },
    );
    assert_eq!(short.stop, StopReason::EpochLimit);
    assert!(short.result.relative_gap.unwrap() > 1e-11);
    agree(&tight, &short, 1.0);
}

#[test]
fn a_run_in_pieces_leaves_the_same_model() {
    let desk = desk();
    let whole = train(&desk, "whole", &["threads=2"], &mut Watcher { ..PATIENT });
    let stopped = train(&desk, "cut", &["threads=2"], &mut Watcher { left: 2 });
    assert_eq!(stopped.stop, StopReason::Interrupted);
    let resumed = train(&desk, "cut", &["threads=2"], &mut Watcher { ..PATIENT });
    assert_eq!(resumed.stop, StopReason::GapReached);
    agree(&whole, &resumed, 1e-4);
    let model = |name: &str| std::fs::read(desk.path(name).join("model.safetensors")).unwrap();
    assert!(model("whole") == model("cut"), "the weights of a run in pieces are others");
}

#[test]
fn each_strength_of_a_path_is_proved() {
    let desk = desk();
    train(&desk, "path", &["threads=2", "objective.c=[0.001,0.01,0.1]"], &mut Watcher { ..PATIENT });
    let table = desk.read("path/path.csv");
    assert_eq!(table.lines().count(), 4, "{table}");
    for line in table.lines().skip(1) {
        assert!(line.contains("gap"), "{line}");
    }
}
