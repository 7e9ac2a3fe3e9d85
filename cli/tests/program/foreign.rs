//! Foreign files are not touched: files of others in a folder that is written, links that lead out of it, inputs that would be
//! outputs. And nothing in a folder of a stranger, or at the other end of a pipe, blocks the program without end.

#![cfg(unix)]

use crate::program::{Desk, Outcome, SMALL, outcome};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const MARKER: &str = ".burn-svm";
const FOREIGN: &str = "is there already, and this program has not made it";
const LINK: &str = "is a link: nothing in the folder of a run or a search is written through one";
const OUTSIDE: &str = "is a link out of the folder, which is not followed";

/// Files that runs make, and files that searches make.
const OF_RUNS: [&str; 13] = [
    "config.toml",
    "metrics.csv",
    "metrics.jsonl",
    "bounds.csv",
    "confusion.csv",
    "roc.csv",
    "model.safetensors",
    "result.json",
    "path.csv",
    "checkpoint/000001.safetensors",
    "figures/loss.png",
    "figures/weights.svg",
    "figures/bounds.png",
];
const OF_SEARCHES: [&str; 7] = [
    "search.toml",
    "trials.jsonl",
    "search.csv",
    "search.json",
    "best.toml",
    "figures/scatter.png",
    "figures/curves.svg",
];

/// A configuration that makes every file that runs have: bounds, a path, models of it.
fn path_config() -> String {
    SMALL
        .replace("[solver.sgd]\nlearning_rate = 0.01\nepochs = 2\n", "[solver.dual]\n")
        .replace("lambda = 1e-3", "c = [0.01, 0.1]")
        .replace("test = 0.2", "test = 0.2\nvalidation = 0.2")
}

fn search_config() -> String {
    let space = "[search]\nrefit = true\n[search.space]\n\"solver.sgd.learning_rate\" = [1e-3, 1e-2]\n\"objective.lambda\" = [1e-3, 1.0]\n";
    SMALL.replace("test = 0.2", "test = 0.2\nvalidation = 0.2") + space
}

fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("my.toml", SMALL).write("path.toml", path_config()).write("s.toml", search_config());
    desk
}

/// Everything below a folder: links by where they lead, files by their content.
fn all(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(folder: &Path, below: &str, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                walk(&entry.path(), &format!("{name}/"), found);
            } else if kind.is_symlink() {
                found.insert(name, fs::read_link(entry.path()).unwrap().into_os_string().into_encoded_bytes());
            } else {
                found.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, "", &mut found);
    found
}

fn refused(outcome: &Outcome, problem: &str) {
    assert_eq!((outcome.code, outcome.problem()), (Some(2), problem), "{}", outcome.stderr);
    assert!(!outcome.hint().is_empty(), "{}", outcome.stderr);
}

#[test]
fn somebodys_files_are_neither_overwritten_nor_taken_away() {
    for (names, command, how) in [
        (&OF_RUNS[..], ["train", "my.toml"], &["", "--force", "--resume"][..]),
        (&OF_SEARCHES[..], ["search", "s.toml"], &["", "--force"]),
    ] {
        for name in names {
            let desk = desk();
            desk.write(&format!("d/{name}"), "mine").write("d/notes.txt", "mine");
            let before = all(&desk.path("d"));
            for how in how {
                let mut args = vec![command[0], command[1], "--out", "d", "-q"];
                args.extend((!how.is_empty()).then_some(how));
                refused(&desk.run(&args), &format!("d/{name}: {FOREIGN}"));
                assert_eq!(all(&desk.path("d")), before, "{name} {how}");
            }
        }
    }
    // Without a list a configuration that is there counts as foreign, with any content.
    let desk = desk();
    desk.write("d/config.toml", SMALL);
    refused(&desk.run(&["train", "d/config.toml", "--out", "d", "--force"]), &format!("d/config.toml: {FOREIGN}"));
    // Pictures and pages, too: what `plot` and `report` draw from may be a run's, though its list is gone.
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    for name in [MARKER, "config.toml", "report.html"] {
        let _ = fs::remove_file(desk.path("run").join(name));
    }
    desk.write("run/report.html", "mine").write("run/figures/loss.png", "mine");
    let before = all(&desk.path("run"));
    refused(&desk.run(&["report", "run"]), &format!("run/report.html: {FOREIGN}"));
    refused(&desk.run(&["plot", "run"]), &format!("run/figures/loss.png: {FOREIGN}"));
    let mut after = all(&desk.path("run"));
    after.remove(MARKER);
    assert_eq!(after, before);
}

#[test]
fn what_does_not_clash_stays_beside_a_run() {
    let desk = desk();
    let theirs = [
        "notes.txt",
        "checkpoint/model.pt",
        "checkpoint/1.safetensors",
        "figures/mine.png",
        "path/notes.txt",
        "path/c-first.safetensors",
        "best/notes.txt",
        "report.html",
    ];
    for folder in ["run", "path", "s"] {
        for name in theirs {
            desk.write(&format!("{folder}/{name}"), format!("mine: {name}"));
        }
    }
    let stay = |folder: &str| {
        for name in theirs {
            assert_eq!(desk.read(&format!("{folder}/{name}")), format!("mine: {name}"));
        }
    };
    for how in [&[][..], &["--force"], &["--resume"], &["--set", "checkpoint.every_steps=3", "--force"]] {
        for (command, config, folder) in
            [("train", "my.toml", "run"), ("train", "path.toml", "path"), ("search", "s.toml", "s")]
        {
            desk.succeed(&[&[command, config, "--out", folder, "-q"], how].concat());
            stay(folder);
            assert_eq!(desk.path(folder).join("search.json").exists(), folder == "s");
            if how.contains(&"checkpoint.every_steps=3") && command == "search" {
                // Another configuration.
                desk.succeed(&["search", "s.toml", "--out", "s", "--force", "-q"]);
            }
        }
        // The files of the path are those of the run that is there now.
        assert!(desk.path("path/path/c-0.1.safetensors").exists());
    }
    desk.succeed(&["train", "path.toml", "--out", "path", "--force", "-q", "--set", "objective.c=2.0"]);
    assert!(!desk.path("path/path/c-0.1.safetensors").exists() && !desk.path("path/path.csv").exists());
    stay("path");
    // A foreign page is not replaced; one of ours is.
    refused(&desk.run(&["report", "run"]), &format!("run/report.html: {FOREIGN}"));
    fs::remove_file(desk.path("run/report.html")).unwrap();
    (0..2).for_each(|_| drop(desk.succeed(&["report", "run"])));
    // A file put there since, under a name of ours, is foreign.
    desk.write("run/bounds.csv", "mine");
    refused(&desk.run(&["train", "my.toml", "--out", "run", "--force"]), &format!("run/bounds.csv: {FOREIGN}"));
    assert_eq!(desk.read("run/bounds.csv"), "mine");
}

#[test]
fn a_run_and_a_search_do_not_overwrite_each_other() {
    let desk = desk();
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    desk.succeed(&["search", "s.toml", "--out", "s", "-q"]);
    for marked in [true, false] {
        if !marked {
            ["run", "s"].iter().for_each(|folder| fs::remove_file(desk.path(folder).join(MARKER)).unwrap());
        }
        let before = (all(&desk.path("run")), all(&desk.path("s")));
        for how in ["--force", "--resume"] {
            refused(
                &desk.run(&["train", "my.toml", "--out", "s", how]),
                "s: holds a search, expected a run or an empty folder",
            );
        }
        refused(
            &desk.run(&["search", "s.toml", "--out", "run", "--force"]),
            "run: holds a run, expected a search or an empty folder",
        );
        assert_eq!((all(&desk.path("run")), all(&desk.path("s"))), before);
    }
}

/// Folders of version 0.1.0 have no list.
#[test]
fn older_folders_are_known_again() {
    let desk = desk();
    let unlist = |folder: &str| fs::remove_file(desk.path(folder).join(MARKER)).unwrap();
    for (command, config, folder) in
        [("train", "my.toml", "run"), ("train", "path.toml", "path"), ("search", "s.toml", "s")]
    {
        let args = [command, config, "--out", folder, "-q"];
        desk.succeed(&args);
        for again in [&["--resume"][..], &["--force"], &["--resume"]] {
            unlist(folder);
            refused(&desk.run(&args), &format!("{folder}: holds a run already"));
            desk.succeed(&[&args, again].concat());
            if !desk.path(folder).join(MARKER).exists() {
                // A finished run that is only looked at.
                desk.succeed(&["report", folder]);
            }
        }
        unlist(folder);
        desk.write(&format!("{folder}/notes.txt"), "mine");
        for again in ["plot", "report", "plot", "report"] {
            desk.succeed(&[again, folder]);
        }
        assert!(desk.path(folder).join(MARKER).exists());
        assert!(!desk.read(&format!("{folder}/{MARKER}")).contains("notes"));
        desk.succeed(&[&args[..], &["--force"]].concat());
        assert_eq!(desk.read(&format!("{folder}/notes.txt")), "mine");
    }
    // One that was stopped has no result yet.
    let slow = ["--set", "solver.sgd.epochs=100000", "--set", "checkpoint.every_steps=5", "--out", "stopped", "-q"];
    let mut child = desk.command(&[&["train", "my.toml"], &slow[..]].concat()).spawn().unwrap();
    let start = Instant::now();
    while !desk.path("stopped/checkpoint/000002.safetensors").exists() && start.elapsed().as_secs() < 60 {
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    unlist("stopped");
    desk.succeed(&["train", "my.toml", "--out", "stopped", "--force", "-q"]);
}

/// A folder that was given away lists the names of its files as its own, and has links in their place.
#[test]
fn no_link_in_a_folder_is_written_through() {
    let desk = desk();
    desk.succeed(&["train", "path.toml", "--out", "given", "-q"]);
    desk.succeed(&["report", "given"]);
    desk.succeed(&["search", "s.toml", "--out", "s-given", "-q"]);
    desk.succeed(&["report", "s-given"]);
    let copy = |from: &str, to: &str| {
        let _ = fs::remove_dir_all(desk.path(to));
        assert!(Command::new("cp").args(["-r", from, to]).current_dir(desk.path("")).status().unwrap().success());
    };
    let run = |folder: &str| -> Vec<Outcome> {
        let commands: &[&[&str]] = if folder == "s" {
            &[
                &["plot", "s"],
                &["report", "s"],
                &["search", "s.toml", "--out", "s", "--resume"],
                &["search", "s.toml", "--out", "s", "--force"],
            ]
        } else {
            &[
                &["plot", "d"],
                &["report", "d"],
                &["train", "path.toml", "--out", "d", "--resume"],
                &[
                    "train",
                    "path.toml",
                    "--out",
                    "d",
                    "--force",
                    "--set",
                    "checkpoint.every_steps=1",
                    "--set",
                    "solver.dual.epochs=3",
                ],
            ]
        };
        commands.iter().map(|args| desk.run(args)).collect()
    };
    for (from, folder) in [("given", "d"), ("s-given", "s")] {
        let old = ["report.html.partial", "model.safetensors.partial", "metrics.csv.partial"].map(String::from);
        let drawn = ["figures/confusion.png", "figures/scatter.png", "best/figures/loss.png"];
        let mut names: Vec<String> = all(&desk.path(from)).into_keys().collect();
        names.retain(|name| !name.contains("figures") || drawn.contains(&name.as_str()));
        for (i, name) in names.iter().chain(&old).enumerate() {
            copy(from, folder);
            desk.write("precious", "mine");
            let _ = fs::remove_file(desk.path(folder).join(name));
            // One that leads nowhere yet would make a file there.
            let grows = [MARKER, "metrics.csv", "bounds.csv", "trials.jsonl"].contains(&name.as_str());
            let target = if i % 2 == 0 || grows { "precious" } else { "nowhere" };
            symlink(desk.path(target), desk.path(folder).join(name)).unwrap();
            run(folder);
            assert!(desk.read("precious") == "mine" && !desk.path("nowhere").exists(), "{name}");
        }
        let folders = if folder == "s" { &["figures", "best"][..] } else { &["figures", "path", "checkpoint"] };
        for name in folders {
            copy(from, folder);
            let _ = fs::remove_dir_all(desk.path("elsewhere"));
            fs::create_dir(desk.path("elsewhere")).unwrap();
            for mine in
                ["000001.safetensors", "c-0.1.safetensors", "loss.png", "scatter.png", "config.toml", "result.json"]
            {
                desk.write(&format!("elsewhere/{mine}"), "mine");
            }
            let before = all(&desk.path("elsewhere"));
            let _ = fs::remove_dir_all(desk.path(folder).join(name));
            symlink(desk.path("elsewhere"), desk.path(folder).join(name)).unwrap();
            let outcomes = run(folder);
            assert_eq!(all(&desk.path("elsewhere")), before, "{name}");
            assert!(outcomes.iter().any(|o| o.problem() == format!("{folder}/{name}: {LINK}")), "{name}: {outcomes:?}");
            assert!(outcomes[2..].iter().all(|o| o.code == Some(2)), "{name}: {outcomes:?}");
        }
    }
    // The folder as a whole may be behind a link, which the user has named.
    fs::create_dir(desk.path("real")).unwrap();
    symlink(desk.path("real"), desk.path("behind")).unwrap();
    desk.succeed(&["train", "my.toml", "--out", "behind", "-q"]);
    desk.succeed(&["report", "behind"]);
    assert!(desk.path("real/report.html").exists());
}

#[test]
fn no_link_out_of_a_folder_is_read() {
    let desk = desk();
    desk.succeed(&["train", "path.toml", "--out", "run", "-q"]);
    desk.succeed(&["train", "path.toml", "--out", "one", "--set", "objective.c=1.0", "-q"]);
    desk.succeed(&["search", "s.toml", "--out", "s", "-q"]);
    desk.write("secret", "the secret of somebody\n");
    for (name, commands) in [
        ("run/config.toml", &[&["report", "run"][..], &["train", "path.toml", "--out", "run", "--resume"]][..]),
        ("run/metrics.csv", &[&["report", "run"], &["plot", "run"]]),
        ("run/result.json", &[&["report", "run"], &["train", "path.toml", "--out", "run", "--resume"]]),
        ("run/confusion.csv", &[&["report", "run"], &["plot", "run"]]),
        ("run/roc.csv", &[&["report", "run"], &["plot", "run"]]),
        ("run/path.csv", &[&["plot", "run"]]),
        ("one/bounds.csv", &[&["report", "one"], &["plot", "one"]]),
        (
            "run/model.safetensors",
            &[&["report", "run"], &["plot", "run"], &["evaluate", "run"], &["predict", "run", "secret"]],
        ),
        ("s/search.toml", &[&["report", "s"], &["search", "s.toml", "--out", "s", "--resume"]]),
        ("s/search.json", &[&["report", "s"], &["plot", "s"]]),
        ("s/trials.jsonl", &[&["report", "s"], &["plot", "s"]]),
        ("s/best/config.toml", &[&["report", "s"]]),
        ("s/best", &[&["report", "s"]]),
    ] {
        let (path, kept) = (desk.path(name), desk.path("kept"));
        fs::rename(&path, &kept).unwrap();
        let target = if name == "s/best" { "kept" } else { "secret" };
        symlink(desk.path(target), &path).unwrap();
        for args in commands {
            let outcome = desk.run(args);
            let problem = outcome.problem();
            let is_named = problem.starts_with(name) && [OUTSIDE, LINK].iter().any(|text| problem.ends_with(text));
            assert!(outcome.code == Some(2) && is_named, "{name} {args:?}: {}", outcome.stderr);
            assert!(!(outcome.stdout + &outcome.stderr).contains("the secret"), "{name} {args:?}");
        }
        fs::remove_file(&path).unwrap();
        fs::rename(&kept, &path).unwrap();
    }
    // Links within the folder, and links that the user names, are followed.
    fs::rename(desk.path("run/config.toml"), desk.path("run/used.toml")).unwrap();
    symlink("used.toml", desk.path("run/config.toml")).unwrap();
    desk.succeed(&["report", "run"]);
    symlink(desk.path("run/model.safetensors"), desk.path("model")).unwrap();
    desk.succeed(&["export", "model", "--to", "npz", "model.npz"]);
}

/// Text that `predict` reads as rows of the bundled digits.
fn rows(n: usize) -> String {
    "0 1:1 2:3 64:2\n".repeat(n)
}

#[test]
fn an_output_is_no_input_and_no_half_file() {
    let desk = desk();
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    desk.write("rows", rows(9));
    fs::hard_link(desk.path("rows"), desk.path("hard")).unwrap();
    symlink("rows", desk.path("soft")).unwrap();
    symlink("nowhere", desk.path("dangling")).unwrap();
    fs::hard_link(desk.path("run/model.safetensors"), desk.path("model")).unwrap();
    let before = all(&desk.path(""));
    let model = "is the model itself, which the output would replace";
    let input = "is the input itself, which the output would replace";
    for (args, problem) in [
        (&["export", "run", "--to", "npz", "run/model.safetensors"][..], format!("run/model.safetensors: {model}")),
        (&["export", "run/model.safetensors", "--to", "npz", "model"], format!("model: {model}")),
        (&["predict", "run", "rows", "--out", "rows"], format!("rows: {input}")),
        (&["predict", "run", "rows", "--out", "hard"], format!("hard: {input}")),
        (&["predict", "run", "rows", "--out", "soft"], format!("soft: {input}")),
        (&["predict", "run", "soft", "--out", "hard"], format!("hard: {input}")),
        (&["predict", "run", "rows", "--out", "model"], format!("model: {model}")),
        (&["predict", "run", "rows", "--out", "run"], "run: is a folder, expected a file".into()),
        (&["export", "run", "--to", "onnx", "run"], "run: is a folder, expected a file".into()),
        (&["export", "run", "--to", "onnx", "dangling"], "dangling: is a link to a file that is not there".into()),
    ] {
        refused(&desk.run(args), &format!("cannot write to {problem}"));
        assert_eq!(all(&desk.path("")), before, "{args:?}");
    }
    let stdin = outcome(
        desk.command(&["predict", "run", "-", "--out", "rows"]).stdin(fs::File::open(desk.path("rows")).unwrap()),
    );
    refused(&stdin, &format!("cannot write to rows: {input}"));
    // A file that is replaced keeps who may read it, and a link of the user's keeps its target.
    desk.write("old", "old");
    fs::set_permissions(desk.path("old"), fs::Permissions::from_mode(0o640)).unwrap();
    symlink("old", desk.path("to-old")).unwrap();
    desk.succeed(&["predict", "run", "rows", "--out", "to-old"]);
    let metadata = fs::symlink_metadata(desk.path("old")).unwrap();
    assert_eq!((metadata.mode() & 0o777, desk.read("old").lines().count()), (0o640, 9));
    assert!(fs::symlink_metadata(desk.path("to-old")).unwrap().is_symlink());
    // Rows that turn out bad leave the old file, and no other.
    desk.write("bad", rows(9) + "x 0:z\n");
    let names = all(&desk.path("")).into_keys().collect::<Vec<_>>();
    assert_eq!(desk.run(&["predict", "run", "bad", "--out", "old"]).code, Some(1));
    assert_eq!(all(&desk.path("")).into_keys().collect::<Vec<_>>(), names);
    assert_eq!(desk.read("old").lines().count(), 9);
}

/// The program in a shell; `PROGRAM` stands for it.
fn shell(desk: &Desk, script: &str) -> Outcome {
    let line = script.replace("PROGRAM", env!("CARGO_BIN_EXE_burn-svm"));
    outcome(Command::new("bash").args(["-c", &line]).current_dir(desk.path("")).stdin(Stdio::null()))
}

fn has(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        println!("skipped: there is no `{program}`");
    }
    found
}

#[test]
fn what_is_no_file_is_written_straight_and_never_replaced() {
    if !has("bash") || !has("mkfifo") {
        return;
    }
    let desk = desk();
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    desk.write("rows", rows(9));
    let plain = desk.succeed(&["predict", "run", "rows"]).stdout;
    desk.succeed(&["export", "run", "--to", "npz", "plain"]);
    for out in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        assert_eq!(desk.succeed(&["predict", "run", "rows", "--out", out]).stdout, plain, "{out}");
        shell(&desk, &format!("PROGRAM export run --to npz {out} > npz"));
        assert_eq!(desk.bytes("npz"), desk.bytes("plain"), "{out}");
        // Earlier text on standard output stays before it.
        shell(&desk, &format!("(echo first; PROGRAM predict run rows --out {out}; echo last) > log"));
        assert_eq!(desk.read("log"), format!("first\n{plain}last\n"), "{out}");
    }
    let streamed = shell(
        &desk,
        "PROGRAM predict run rows --out >(cat > streamed); while [ ! -s streamed ]; do sleep 0.01; done; sleep 0.1",
    );
    assert_eq!((streamed.code, desk.read("streamed")), (Some(0), plain.clone()), "{}", streamed.stderr);
    let piped =
        shell(&desk, "mkfifo pipe; cat pipe > piped & PROGRAM predict run rows --out pipe; code=$?; wait; exit $code");
    assert_eq!((piped.code, desk.read("piped")), (Some(0), plain), "{}", piped.stderr);
    assert!(!fs::symlink_metadata(desk.path("pipe")).unwrap().is_file(), "the pipe is still one");
    desk.succeed(&["predict", "run", "rows", "--out", "/dev/null"]);
    desk.succeed(&["export", "run", "--to", "onnx", "/dev/null"]);
    for args in [&["predict", "run", "rows", "--out", "/dev/full"][..], &["export", "run", "--to", "npz", "/dev/full"]]
    {
        let full = desk.run(args);
        let problem = "cannot write to /dev/full: No space left on device (os error 28)";
        assert_eq!((full.code, full.problem()), (Some(1), problem), "{}", full.stderr);
    }
    for device in ["/dev/null", "/dev/full"] {
        assert!(!fs::metadata(device).unwrap().is_file(), "{device}");
    }
}

#[test]
fn half_predictions_do_not_get_the_final_name() {
    if !has("unshare") || !has("bash") {
        return;
    }
    let desk = desk();
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    desk.write("rows", rows(40_000));
    fs::create_dir(desk.path("small")).unwrap();
    let user = if fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) { "" } else { "--user --map-root-user" };
    let inside = "mount -t tmpfs -o size=16k tmpfs small || exit 77; echo old > small/out; PROGRAM predict run rows --out small/out; \
                  code=$?; cat small/out; ls -A small; exit $code";
    let full = shell(&desk, &format!("unshare {user} --mount bash -c '{inside}'"));
    if full.code == Some(77) || full.stderr.contains("unshare failed") {
        println!("skipped: no file system can be mounted");
        return;
    }
    assert_eq!((full.code, full.stdout.as_str()), (Some(1), "old\nout\n"), "{}", full.stderr);
    assert_eq!(full.problem(), "cannot write to small/out: No space left on device (os error 28)");
}

/// Runs a command that must end within seconds.
fn soon(desk: &Desk, args: &[&str]) -> Outcome {
    let start = Instant::now();
    let mut child = desk.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(60) {
            let _ = child.kill();
            panic!("{args:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let outcome = Outcome { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    assert!(!outcome.stderr.contains("panicked"), "{args:?}: {}", outcome.stderr);
    outcome
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Files of run and search folders, and the commands that read them.
const READ: [(&str, &[&[&str]]); 15] = [
    ("run/config.toml", &[&["report", "run"], &["train", "path.toml", "--out", "run", "--resume"]]),
    ("run/metrics.csv", &[&["report", "run"], &["plot", "run"], &["train", "path.toml", "--out", "run", "--force"]]),
    ("run/result.json", &[&["report", "run"], &["train", "path.toml", "--out", "run", "--resume"]]),
    ("run/confusion.csv", &[&["report", "run"], &["plot", "run"]]),
    ("run/roc.csv", &[&["report", "run"], &["plot", "run"]]),
    ("run/path.csv", &[&["plot", "run"]]),
    ("one/bounds.csv", &[&["report", "one"], &["plot", "one"]]),
    ("run/model.safetensors", &[&["report", "run"], &["plot", "run"], &["evaluate", "run"], &["certify", "run"]]),
    ("run/.burn-svm", &[&["report", "run"], &["plot", "run"], &["train", "path.toml", "--out", "run", "--resume"]]),
    ("s/search.toml", &[&["report", "s"], &["search", "s.toml", "--out", "s", "--resume"]]),
    ("s/search.json", &[&["report", "s"], &["plot", "s"]]),
    ("s/trials.jsonl", &[&["report", "s"], &["plot", "s"], &["search", "s.toml", "--out", "s", "--resume"]]),
    ("s/.burn-svm", &[&["report", "s"], &["plot", "s"], &["search", "s.toml", "--out", "s", "--resume"]]),
    ("s/best/result.json", &[&["report", "s"]]),
    (
        "stopped/checkpoint/000002.safetensors",
        &[&["train", "my.toml", "--out", "stopped", "--resume", "--set", "solver.sgd.epochs=1000"]],
    ),
];

fn given_away() -> Desk {
    let desk = desk();
    desk.succeed(&["train", "path.toml", "--out", "run", "-q"]);
    desk.succeed(&["train", "path.toml", "--out", "one", "--set", "objective.c=1.0", "-q"]);
    desk.succeed(&["search", "s.toml", "--out", "s", "-q"]);
    desk.succeed(&["train", "my.toml", "--out", "stopped", "-q"]);
    fs::create_dir(desk.path("stopped/checkpoint")).unwrap();
    desk
}

#[test]
fn pipes_and_devices_in_a_folder_are_a_sentence() {
    if !has("mkfifo") {
        return;
    }
    let desk = given_away();
    for (name, commands) in READ {
        let (path, kept) = (desk.path(name), desk.path("kept"));
        let whole = fs::rename(&path, &kept).is_ok();
        for what in ["pipe", "link to a pipe", "/dev/zero", "folder"] {
            match what {
                "pipe" => pipe(&path),
                "link to a pipe" => {
                    let _ = fs::remove_file(desk.path("other"));
                    pipe(&desk.path("other"));
                    symlink(desk.path("other"), &path).unwrap();
                }
                "folder" => fs::create_dir(&path).unwrap(),
                device => symlink(device, &path).unwrap(),
            }
            for args in commands {
                let outcome = soon(&desk, args);
                assert!(matches!(outcome.code, Some(1 | 2)), "{name} as {what} {args:?}: {}", outcome.stderr);
                let named = outcome.stderr.contains(&format!("{name}: is a"))
                    || outcome.stderr.contains(&format!("{name} cannot be used: is a"));
                assert!(named && !outcome.hint().is_empty(), "{name} as {what} {args:?}: {}", outcome.stderr);
            }
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
        }
        if whole {
            fs::rename(&kept, &path).unwrap();
        }
    }
}

#[test]
fn files_of_a_folder_are_bounded_like_all_that_is_read() {
    let desk = given_away();
    // Of 16 MiB and more, without taking room on the disk.
    for (name, commands) in READ {
        let (path, kept) = (desk.path(name), desk.path("kept"));
        let whole = fs::rename(&path, &kept).is_ok();
        fs::File::create(&path).unwrap().set_len(1 << 34).unwrap();
        for args in commands {
            // To begin anew is to read nothing.
            if args.contains(&"--force") {
                continue;
            }
            let outcome = soon(&desk, &[args, &["--memory", "8M"][..]].concat());
            let large = format!(
                "{} MiB would be read, which is the limit",
                if name.ends_with(".burn-svm") { "16.0" } else { "8.0" }
            );
            assert!(matches!(outcome.code, Some(1 | 2)), "{name} {args:?}: {}", outcome.stderr);
            assert!(
                outcome.stderr.contains(name) && outcome.stderr.contains(&large),
                "{name} {args:?}: {}",
                outcome.stderr
            );
        }
        fs::remove_file(&path).unwrap();
        if whole {
            fs::rename(&kept, &path).unwrap();
        }
    }
    // Text that takes many times its size in memory: names of no letter, rows of few digits.
    for (name, text, command) in [
        ("run/confusion.csv", "test".to_owned() + &",".repeat(100_000) + "\n", ["plot", "run"]),
        ("run/confusion.csv", "test".to_owned() + &",a".repeat(300_000) + "\n", ["report", "run"]),
        (
            "one/bounds.csv",
            "epoch,primal,dual,relative_gap,seconds\n".to_owned() + &"0,0,0,0,0\n".repeat(400_000),
            ["plot", "one"],
        ),
        (
            "run/metrics.csv",
            "step,epoch,loss,train_accuracy,validation_accuracy,seconds\n".to_owned() + &"0,0,,,,0\n".repeat(400_000),
            ["report", "run"],
        ),
    ] {
        let kept = desk.bytes(name);
        desk.write(name, text);
        let outcome = soon(&desk, &[&command[..], &["--memory", "8M"]].concat());
        assert_eq!(
            (outcome.code, outcome.problem()),
            (Some(1), format!("{name}: more than 8.0 MiB would be read, which is the limit").as_str())
        );
        assert_eq!(outcome.hint(), "`--memory` sets the limit; is this the right file?");
        desk.write(name, kept);
    }
}

/// Pipes that the user names are waited for, but not longer than the limit.
#[test]
fn a_pipe_with_nobody_at_its_other_end_is_a_sentence() {
    if !has("mkfifo") || !has("bash") {
        return;
    }
    let desk = desk();
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    desk.write("rows", rows(9)).write("csv.toml", SMALL.replace("[data.digits]", "[data.libsvm]\ntrain = 'pipe'"));
    pipe(&desk.path("pipe"));
    let reads = "is a pipe, and nobody writes to it";
    let commands: [(&[&str], String); 8] = [
        (&["train", "pipe", "--out", "other"], format!("pipe: cannot be read: {reads}")),
        (&["train", "csv.toml", "--out", "other"], format!("pipe: {reads}")),
        (&["evaluate", "pipe"], format!("pipe: {reads}")),
        (&["predict", "pipe", "rows"], format!("pipe: {reads}")),
        (&["predict", "run", "pipe"], format!("pipe: {reads}")),
        (&["evaluate", "run", "--data", "pipe"], format!("pipe: {reads}")),
        (
            &["predict", "run", "rows", "--out", "pipe"],
            "cannot write to pipe: is a pipe, and nobody reads from it".into(),
        ),
        (&["export", "run", "--to", "npz", "pipe"], "cannot write to pipe: is a pipe, and nobody reads from it".into()),
    ];
    // Readers and writers would find each other.
    for part in [&commands[..6], &commands[6..]] {
        std::thread::scope(|scope| {
            for (args, problem) in part {
                scope.spawn(|| refused(&soon(&desk, args), problem));
            }
        });
    }
    // Pipes with another end are read as before, also if it is slow to begin, or has been there already.
    let plain = desk.succeed(&["predict", "run", "rows"]).stdout;
    for script in [
        "PROGRAM predict run <(cat rows)",
        "PROGRAM predict run <(sleep 1; cat rows)",
        "PROGRAM predict <(cat run/model.safetensors) rows",
        "PROGRAM predict run - < rows",
        "cat rows | PROGRAM predict run -",
        "cat rows | PROGRAM predict run /dev/stdin",
        "(sleep 1; cat rows > pipe) & PROGRAM predict run pipe",
        "cat rows > pipe & sleep 0.5; PROGRAM predict run pipe",
        "(exec 3> pipe; sleep 1; cat rows >&3) & PROGRAM predict run pipe",
        "PROGRAM train <(cat my.toml) --out again -q && cmp again/model.safetensors run/model.safetensors && PROGRAM predict again rows",
        "cat my.toml | PROGRAM train /dev/stdin --out third -q && PROGRAM predict third rows",
    ] {
        let outcome = shell(&desk, script);
        assert_eq!((outcome.code, &outcome.stdout), (Some(0), &plain), "{script}: {}", outcome.stderr);
    }
}

#[test]
fn a_path_that_is_not_utf8_is_not_stored_as_another() {
    use std::os::unix::ffi::OsStrExt;
    let desk = desk();
    let folder = desk.path("").join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    if fs::create_dir(&folder).is_err() {
        println!("skipped: the file system takes no such names");
        return;
    }
    let config = SMALL.replace("[data.digits]", "[data.libsvm]\ntrain = \"rows\"");
    fs::write(folder.join("my.toml"), &config).unwrap();
    fs::write(folder.join("rows"), "a 1:1 3:2\nb 2:1\na 1:3\nb 2:2 3:1\n".repeat(9)).unwrap();
    let train = |out: &str| {
        let mut command = desk.command(&["train", "--out", out, "-q"]);
        outcome(command.arg(folder.join("my.toml")))
    };
    let trained = train("run");
    assert_eq!(trained.code, Some(0), "{}", trained.stderr);
    let model = desk.bytes("run/model.safetensors");
    let header = 8 + u64::from_le_bytes(*model.first_chunk().unwrap()) as usize;
    for stored in [&desk.bytes("run/config.toml"), &model[8..header]] {
        let text = String::from_utf8(stored.to_vec()).unwrap();
        assert!(text.contains("rows") && !text.contains('\u{fffd}') && !text.contains("caf"), "{text}");
    }
    assert_eq!(desk.read("run/config.toml"), config, "the path stays as it was written");
    let lost = desk.run(&["evaluate", "run"]);
    assert_eq!(lost.hint(), "name the data with --data CONFIG-OR-FILE", "{}", lost.stderr);
    let found = outcome(desk.command(&["evaluate", "run", "--data"]).arg(folder.join("my.toml")));
    assert_eq!(found.code, Some(0), "{}", found.stderr);
}
