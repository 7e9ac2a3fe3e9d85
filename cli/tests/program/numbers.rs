//! Extreme numbers for every key of a configuration, and for the arguments of the commands: a sentence or a run that ends when it is
//! told to, in bounded memory. Never a panic, an abort, or a wait without end.

#![cfg(unix)]

use crate::program::{Desk, Outcome, SMALL};
use crate::reference_config::{entries, set, with};
use std::collections::BTreeSet;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use toml_edit::{DocumentMut, Value};

/// Replacements of a number.
const EXTREMES: [&str; 9] =
    ["0", "-1", "1000000000000", "9223372036854775807", "1e12", "1e308", "1e-308", "5e-324", "0.9999999999999999"];

/// The program with 3 GB of address space; after two seconds it gets the signal of Ctrl-C.
fn limited(desk: &Desk, args: &[&str]) -> Outcome {
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_burn-svm");
    command.arg("-c").arg("ulimit -v 3000000; exec \"$0\" \"$@\"").arg(program).args(args);
    command.current_dir(desk.path("")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let read = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stdout.read_to_string(&mut text);
        text
    });
    let errors = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        text
    });
    let start = Instant::now();
    let mut asked = false;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        let waited = start.elapsed();
        if waited > Duration::from_secs(2) && !asked {
            asked = true;
            let _ = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        }
        if waited > Duration::from_secs(60) {
            child.kill().unwrap();
            panic!("{args:?} does not end, and does not hear that it is to");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    Outcome { code: status.code(), stdout: read.join().unwrap(), stderr: errors.join().unwrap() }
}

/// The fault in the end of a command; `None` if it ended as it should.
fn fault(outcome: &Outcome) -> Option<String> {
    let said = !outcome.problem().is_empty();
    match outcome.code {
        _ if outcome.stderr.contains("panicked") => Some("a panic".into()),
        Some(0 | 130) => None,
        Some(1 | 2) if said => None,
        code => Some(format!("exit {code:?}")),
    }
}

/// Whether a value of the reference is a number, or a list of them.
fn is_number(value: &Value) -> bool {
    value.is_integer() || value.is_float()
}

/// The smallest configuration in which a key means something, with the key set.
fn holding(path: &str, value: &Value) -> DocumentMut {
    let (entries, _) = entries();
    let (table, _) = path.rsplit_once('.').unwrap_or(("", path));
    let owner: String = table.split('.').take(2).flat_map(|part| [part, "."]).collect();
    let mut document = with("split.validation", 0.2);
    set(&mut document, "split.test", 0.2);
    if table == "search" || table.starts_with("search.") {
        let space: Value = "{ \"solver.sgd.learning_rate\" = [1e-3, 1e-2] }".parse().unwrap();
        set(&mut document, "search.space", space);
    }
    for (other, entry) in entries.iter().filter(|(p, e)| p.starts_with(&owner) && e.prose.contains("Required.")) {
        set(&mut document, other, entry.value.clone());
    }
    if let Some(of) = table.strip_prefix("solver.sgd.") {
        let schedules = ["linear", "cosine", "exponential", "step"];
        set(&mut document, if schedules.contains(&of) { "solver.sgd.schedule" } else { "solver.sgd.optimizer" }, of);
    }
    if table == "solver.lbfgs" {
        set(&mut document, "loss.weston_watkins.power", 2);
    }
    if table == "objective" {
        document["objective"] = toml_edit::table();
    }
    set(&mut document, path, value.clone());
    document
}

/// Keys whose numbers are in lists or tables, with the text around them.
const WITHIN: [(&str, &str, &str); 8] = [
    (
        "search.space",
        "solver.sgd.learning_rate",
        "{ \"solver.sgd.learning_rate\" = { log = [1e-4, 1.0], points = NUMBER } }",
    ),
    (
        "search.space",
        "points, twice",
        "{ \"solver.sgd.learning_rate\" = { log = [1e-4, 1.0], points = NUMBER }, \"objective.lambda\" = { log = [1e-4, 1.0], points = 9900 } }",
    ),
    ("search.space", "from", "{ \"objective.lambda\" = { log = [NUMBER, 1.0], points = 3 } }"),
    ("search.space", "to", "{ \"objective.lambda\" = { uniform = [0.0, NUMBER], points = 3 } }"),
    ("search.space", "values", "{ \"solver.sgd.batch_size\" = [NUMBER, 10] }"),
    ("objective.c", "a path", "[0.01, NUMBER]"),
    ("loss.weston_watkins.class_weights", "of a class", "{ 3 = NUMBER }"),
    ("data.csv.label", "a column", "NUMBER"),
];

/// Every configuration of the test: its name and its text.
fn cases() -> Vec<(String, String)> {
    let (entries, _) = entries();
    let mut cases = Vec::new();
    for path in entries.iter().filter(|(_, e)| is_number(&e.value)).map(|(path, _)| path) {
        for extreme in EXTREMES {
            let document = holding(path, &extreme.parse().unwrap());
            cases.push((format!("{path} = {extreme}"), document.to_string()));
        }
    }
    for (path, what, value) in WITHIN {
        for extreme in EXTREMES {
            let document = holding(path, &value.replace("NUMBER", extreme).parse().unwrap());
            let mut text = document.to_string();
            if path == "objective.c" {
                text = text.replace("[solver.sgd]", "[solver.dual]");
            }
            cases.push((format!("{path} ({what}) = {extreme}"), text));
        }
    }
    cases
}

#[test]
fn every_number_is_taken_or_refused_in_a_sentence() {
    let desk = Desk::new();
    desk.write("data/iris.csv", (0..40).map(|i| format!("{i},{},{}\n", i % 7, i % 2)).collect::<String>());
    let cases = cases();
    let keys: BTreeSet<&str> = cases.iter().map(|(what, _)| what.split(' ').next().unwrap()).collect();
    for known in ["seed", "solver.sgd.muon.newton_schulz_steps", "search.halving.rungs", "early_stopping.patience"] {
        assert!(keys.contains(known), "{known} is not among {keys:?}");
    }
    assert!(keys.len() > 60, "{}", keys.len());
    let (next, faults, taken) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Mutex::new(BTreeSet::new()));
    let work = || {
        while let Some((i, (what, text))) = {
            let i = next.fetch_add(1, Ordering::Relaxed);
            cases.get(i).map(|case| (i, case))
        } {
            let (file, out) = (format!("c{i}.toml"), format!("r{i}"));
            desk.write(&file, text);
            let command = if text.contains("[search") { "search" } else { "train" };
            let outcome = limited(&desk, &[command, &file, "--out", &out, "--memory", "256M", "--threads", "2", "-q"]);
            if let Some(fault) = fault(&outcome) {
                faults.lock().unwrap().push(format!("{what}: {fault}\n{}\n{text}", outcome.stderr));
            }
            if outcome.code == Some(0) {
                taken.lock().unwrap().insert(what.split(' ').next().unwrap());
            }
            let _ = std::fs::remove_dir_all(desk.path(&out));
        }
    };
    std::thread::scope(|scope| {
        (0..3).for_each(|_| drop(scope.spawn(work)));
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{} of {}\n{}", faults.len(), cases.len(), faults.join("\n"));
    // The configurations are right but for their number: most keys have an extreme that they take.
    let taken = taken.into_inner().unwrap();
    assert!(taken.len() > 50, "{taken:?}");
}

/// A request for more than there is, or for a run that never ends, is refused before it begins, with the range and the place.
#[test]
fn what_is_too_much_says_how_much_is_allowed() {
    let desk = Desk::new();
    let base = SMALL.replace("test = 0.2", "test = 0.2\nvalidation = 0.2");
    let rates = "[search.space]\n\"solver.sgd.learning_rate\" = [1e-3, 1e-2]\n";
    let search = |table: &str| format!("{base}\n[search]\n{table}\n{rates}");
    let space = |table: &str, space: &str| format!("{base}\n[search]\n{table}\n[search.space]\n{space}\n");
    let points = |n: &str| format!("\"solver.sgd.learning_rate\" = {{ log = [1e-3, 1.0], points = {n} }}");
    let deep = "a.".repeat(50_000) + "b";
    let many: String = (0..101).map(|i| format!("k{i} = [1]\n")).collect();
    for (text, problem) in [
        (search("repeats = 100000000"), "invalid value: integer `100000000`, expected a whole number from 1 to 1000"),
        (search("folds = 100000000"), "invalid value: integer `100000000`, expected a whole number from 0 to 10000"),
        (search("[search.halving]\nrungs = 9223372036854775807"), "expected a whole number from 1 to 50"),
        (search("trials = 1000000000000"), "expected a whole number from 1 to 100000"),
        (space("", &points("1000000000000")), "expected a whole number from 1 to 100000"),
        (space("", &points("9223372036854775807")), "expected a whole number from 1 to 100000"),
        (
            space("folds = 1000\nrepeats = 1000", &points("2")),
            "found 2000000 trainings (2 trials on 1000000 folds), expected at most 1000000",
        ),
        (space("", &many), "found more than 100 keys to search over, expected at most 100"),
        (space("", &format!("\"{deep}\" = [1]")), "found a key of 50001 parts, expected at most 16"),
        (
            base.replace(
                "learning_rate = 0.01",
                "optimizer = \"muon\"\nmuon.newton_schulz_steps = 9223372036854775807",
            ),
            "expected a whole number from 1 to 100",
        ),
        (base.replace("lambda = 1e-3", &format!("c = [{}]", "1.5,".repeat(1_001))), "found more than 1000 numbers"),
    ] {
        desk.write("my.toml", &text);
        let command = if text.contains("[search]") { "search" } else { "train" };
        let start = Instant::now();
        let found = limited(&desk, &[command, "my.toml", "--out", "out"]);
        assert_eq!(found.code, Some(2), "{problem}\n{}", found.stderr);
        assert!(found.stderr.contains(problem), "{problem}\n{:.2000}", found.stderr);
        assert!(start.elapsed() < Duration::from_secs(10) && !desk.path("out").exists(), "{problem}");
        assert!(found.stderr.len() < 5_000, "{problem}: {} bytes", found.stderr.len());
    }
    // A bound has its place: line, column, caret.
    desk.write("my.toml", search("repeats = 100000000"));
    let found = desk.run(&["search", "my.toml"]);
    assert!(
        found.stderr.contains("my.toml:24:11: ") && found.stderr.contains("24 | repeats = 100000000\n"),
        "{}",
        found.stderr
    );
}

#[test]
fn two_trials_of_a_grid_without_end_are_two_trials() {
    let desk = Desk::new();
    let axes: String =
        ["solver.sgd.learning_rate", "objective.lambda", "solver.sgd.init_std", "loss.weston_watkins.margin"]
            .map(|key| format!("\"{key}\" = {{ log = [1e-3, 1e-1], points = 9900 }}\n"))
            .concat();
    let base = SMALL.replace("test = 0.2", "test = 0.2\nvalidation = 0.2");
    desk.write("my.toml", format!("{base}\n[search]\ntrials = 2\n[search.space]\n{axes}"));
    let found = limited(&desk, &["search", "my.toml", "--out", "s", "-q"]);
    assert_eq!(found.code, Some(0), "{}", found.stderr);
    assert_eq!(desk.json("s/search.json")["fits"].as_u64(), Some(2));
    let memory = desk.json("s/search.json")["peak_rss_bytes"].as_u64().unwrap();
    assert!(memory < 400_000_000, "{memory}");
}

#[test]
fn a_configuration_has_a_size() {
    let desk = Desk::new();
    let filled = |bytes: usize| format!("{SMALL}{}", format!("# {}\n", "x".repeat(97)).repeat(bytes / 100));
    desk.write("fits.toml", filled(1_000_000)).write("large.toml", filled(100_000_000));
    desk.succeed(&["train", "fits.toml", "--out", "run", "-q"]);
    // The model that it trained is read again.
    desk.succeed(&["evaluate", "run", "-q"].map(|a| if a == "-q" { "--json" } else { a }));
    let found = limited(&desk, &["train", "/dev/zero", "--out", "other"]);
    assert!(found.code == Some(2) && found.problem().contains("/dev/zero"), "{}", found.stderr);
    for args in [["train", "large.toml", "--out", "other"], ["search", "large.toml", "--out", "other"]] {
        let found = limited(&desk, &args);
        assert_eq!(found.code, Some(2), "{}", found.stderr);
        assert!(
            found.problem().ends_with(": found a configuration of more than 1048576 bytes, expected at most as many")
        );
        assert!(!desk.path("other").exists());
    }
    let long = format!("seed={}", "1".repeat(100_000));
    let found = limited(&desk, &["train", "fits.toml", "--out", "other", "--set", &long]);
    assert_eq!(found.code, Some(2), "{}", found.stderr);
    assert!(found.stderr.len() < 2_000, "{} bytes", found.stderr.len());
    let deep = format!("{}b=1", "a.".repeat(30_000));
    let found = limited(&desk, &["train", "fits.toml", "--out", "other", "--set", &deep]);
    assert_eq!(found.code, Some(2));
    assert!(found.problem().ends_with("found a key of 30001 parts, expected at most 16"), "{:.500}", found.stderr);
}

#[test]
fn arguments_have_ranges_too() {
    let desk = Desk::new();
    desk.write("my.toml", SMALL);
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    let huge = usize::MAX.to_string();
    for (args, code, text) in [
        (&["evaluate", "run", "--top", &huge][..], 0, "accuracy"),
        (&["evaluate", "run", "--top", "-1"], 2, "expected"),
        (&["gradcheck", "my.toml", "--coordinates", "100001"], 2, "expected a whole number from 0 to 100000"),
        (&["gradcheck", "my.toml", "--coordinates", "100000"], 0, "passed"),
        (&["gradcheck", "my.toml", "--coordinates", "0"], 0, "passed"),
        (&["certify", "run", "--threads", "100000"], 2, "expected a whole number from 0 to 1024"),
        (&["certify", "run", "--epochs", &huge], 0, "tightened"),
        (&["certify", "run", "--epochs", "0"], 2, "--epochs"),
        (&["devices", "--measure", "--threads", "60000"], 2, "--threads"),
        (&["train", "my.toml", "--out", "x", "--threads", "100000"], 2, "threads: found 100000, expected at most 1024"),
        (&["evaluate", "run", "--memory", "1e30"], 2, "is no amount of memory"),
    ] {
        let found = limited(&desk, args);
        assert_eq!(found.code, Some(code), "{args:?}\n{}", found.stderr);
        assert!(
            format!("{}{}", found.stdout, found.stderr).contains(text),
            "{args:?}\n{}{}",
            found.stdout,
            found.stderr
        );
    }
}
