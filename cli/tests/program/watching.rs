//! For those who watch a run or read its output by program: JSON lines, event files, dry runs, layouts of predictions.

use crate::program::{Desk, SMALL};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

fn trained() -> Desk {
    let desk = Desk::new();
    desk.write("my.toml", SMALL);
    desk.succeed(&["train", "my.toml", "--out", "run", "--quiet", "--tensorboard"]);
    desk
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

#[test]
fn json_lines_have_the_rows_of_the_csv_files() {
    let desk = trained();
    let lines = json_lines(&desk.read("run/metrics.jsonl"));
    let table = desk.bytes("run/metrics.csv");
    let mut csv = csv::Reader::from_reader(table.as_slice());
    let steps: Vec<u64> = csv.records().map(|row| row.unwrap()[0].parse().unwrap()).collect();
    let of_metrics: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "metrics").collect();
    assert_eq!(of_metrics.iter().map(|line| line["step"].as_u64().unwrap()).collect::<Vec<_>>(), steps);
    assert!(of_metrics[0]["loss"].as_f64().unwrap() > 8.9, "{}", of_metrics[0]);
    // A solver that proves bounds has lines of them.
    desk.write("exact.toml", "[data.digits]\n[objective]\nc = 1.0\n[loss.crammer_singer]\n[solver.dual]\n");
    desk.succeed(&["train", "exact.toml", "--out", "exact", "-q"]);
    let lines = json_lines(&desk.read("exact/metrics.jsonl"));
    let bounds: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "bounds").collect();
    assert_eq!(bounds.len() + 1, desk.read("exact/bounds.csv").lines().count());
    assert!(bounds.last().unwrap()["relative_gap"].as_f64().unwrap() <= 1e-3);
}

/// The records of an event file: length, checksum, message, checksum.
fn messages(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        found.push(bytes[12..12 + length].to_vec());
        bytes = &bytes[16 + length..];
    }
    found
}

fn event_files(desk: &Desk) -> Vec<String> {
    let entries = fs::read_dir(desk.path("run/tensorboard")).unwrap();
    entries.map(|entry| format!("run/tensorboard/{}", entry.unwrap().file_name().to_str().unwrap())).collect()
}

#[test]
fn event_files_hold_a_value_of_each_measure_and_go_with_the_run() {
    let desk = trained();
    let files = event_files(&desk);
    assert_eq!(files.len(), 1, "{files:?}");
    let events = messages(&desk.bytes(&files[0]));
    let holds = |event: &[u8], text: &str| event.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds(&events[0], "brain.Event:2"));
    let with_loss = |line: &&str| line.split(',').nth(2).is_some_and(|cell| !cell.is_empty());
    let rows = desk.read("run/metrics.csv").lines().skip(1).filter(with_loss).count();
    assert!(rows > 1);
    assert_eq!(events.iter().filter(|event| holds(event, "\u{4}loss")).count(), rows);
    assert!(events.iter().any(|event| holds(event, "validation_accuracy") || holds(event, "train_accuracy")));
    // A new run in the folder takes them away, and a file that is not the run's stays.
    desk.write("run/tensorboard/mine.txt", "mine");
    desk.succeed(&["train", "my.toml", "--out", "run", "--quiet", "--force"]);
    assert_eq!(event_files(&desk), ["run/tensorboard/mine.txt"]);
}

#[test]
fn a_dry_run_says_what_would_be_trained_and_leaves_nothing() {
    let desk = Desk::new();
    desk.write("my.toml", SMALL);
    let said = desk.succeed(&["train", "my.toml", "--out", "run", "--dry-run"]);
    for fact in [
        "loss         weston_watkins",
        "strength     lambda ",
        "solver       sgd",
        "memory       rows 1 MB, training at least ",
        "run          run, not made",
    ] {
        assert!(said.stdout.contains(fact), "{fact}: {said:?}");
    }
    assert!(said.stderr.contains("10 classes") && !desk.path("run").exists(), "{said:?}");
    assert_eq!(desk.run(&["train", "my.toml", "--dry-run", "--resume"]).code, Some(2));
}

const ROWS: &str = "a,b,kind\n1,2,=x\n-1,0.5,\"y, z\"\n1.5,2,=x\n-2,0.1,\"y, z\"\n";
const CONFIG: &str =
    "[data.csv]\ntrain = \"rows.csv\"\nlabel = \"kind\"\n[objective]\nc = 1.0\n[loss.weston_watkins]\n[solver.dual]\n";

#[test]
fn predictions_come_as_lines_csv_or_json() {
    let desk = Desk::new();
    desk.write("rows.csv", ROWS);
    desk.write("my.toml", CONFIG);
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    let out = |arguments: &[&str]| desk.succeed(&[&["predict", "run", "rows.csv"], arguments].concat()).stdout;
    assert_eq!(out(&[]), "=x\ny, z\n=x\ny, z\n");
    assert_eq!(out(&["--output", "csv"]), "prediction\n'=x\n\"y, z\"\n'=x\n\"y, z\"\n");
    assert_eq!(json_lines(&out(&["--output", "jsonl"]))[1], serde_json::json!({"prediction": "y, z"}));
    // The scores are those of plain lines to the last digit, under the names of their classes.
    let plain: Vec<Vec<f64>> = out(&["--scores"])
        .lines()
        .map(|line| line.split('\t').skip(1).map(|cell| cell.parse().unwrap()).collect())
        .collect();
    let text = out(&["--output", "csv", "--scores"]);
    let mut csv = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(csv.headers().unwrap().iter().collect::<Vec<_>>(), ["prediction", "score_=x", "score_y, z"]);
    for (row, expected) in csv.records().zip(&plain) {
        let found: Vec<f64> = row.unwrap().iter().skip(1).map(|cell| cell.parse().unwrap()).collect();
        assert_eq!(&found, expected);
    }
    for (row, expected) in json_lines(&out(&["--output", "jsonl", "--scores"])).iter().zip(&plain) {
        // The reader of this test may be off by the last bit.
        for (name, expected) in ["=x", "y, z"].iter().zip(expected) {
            let off = row["scores"][name].as_f64().unwrap() - expected;
            assert!(off.abs() <= f64::EPSILON * expected.abs(), "{row}: {expected}");
        }
    }
    desk.succeed(&["predict", "run", "rows.csv", "--output", "csv", "--out", "labels.csv"]);
    assert_eq!(desk.read("labels.csv"), out(&["--output", "csv"]));
    assert_eq!(desk.run(&["predict", "run", "rows.csv", "--output", "xml"]).code, Some(2));
}

#[test]
fn probabilities_sum_to_one_in_every_layout() {
    let desk = Desk::new();
    desk.write(
        "my.toml",
        format!("{SMALL}[calibration]\nmethod = \"temperature\"\n")
            .replace("test = 0.2", "test = 0.2\nvalidation = 0.2"),
    );
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    let row = "1:1 3:5 4:13 5:9\n";
    let sum = |text: &str| {
        let values = json_lines(text)[0]["probabilities"].as_object().unwrap().clone();
        (values.len(), values.values().map(|p| p.as_f64().unwrap()).sum::<f64>())
    };
    desk.write("row.svm", format!("? {row}"));
    let (count, total) =
        sum(&desk.succeed(&["predict", "run", "row.svm", "--output", "jsonl", "--probabilities"]).stdout);
    assert!(count == 10 && (total - 1.0).abs() < 1e-12, "{count} {total}");
}

/// Rows with columns that are no features, a quoted line end, and a blank line.
const PASSENGERS: &str = "id,a,note,b\n7,1,\"one\nline\",2\n\n8,-1,,0.5\n=9,1.5,c,2\n";

#[test]
fn kept_columns_stand_before_the_prediction() {
    let desk = Desk::new();
    desk.write("rows.csv", ROWS).write("my.toml", CONFIG).write("new.csv", PASSENGERS);
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    let kept = ["--output", "csv", "--keep", "id", "--keep", "note"];
    let expected = "id,note,prediction\n7,\"one\nline\",'=x\n8,,\"y, z\"\n'=9,c,'=x\n";
    assert_eq!(desk.succeed(&[&["predict", "run", "new.csv"], &kept[..]].concat()).stdout, expected);
    let rows = json_lines(&desk.succeed(&["predict", "run", "new.csv", "--output", "jsonl", "--keep", "1"]).stdout);
    assert_eq!((rows[1]["id"].as_str(), rows[1]["prediction"].as_str()), (Some("8"), Some("y, z")));
    let refused = |arguments: &[&str]| desk.run(&[&["predict", "run", "new.csv"], arguments].concat());
    let unknown = refused(&["--output", "csv", "--keep", "idd"]);
    assert_eq!((unknown.code, unknown.hint()), (Some(1), "did you mean `id`?"));
    assert!(refused(&["--keep", "id"]).problem().starts_with("--keep: plain lines have no columns"));
    desk.write("digits.toml", SMALL).write("row.svm", "1 3:5\n");
    desk.succeed(&["train", "digits.toml", "--out", "digits", "-q"]);
    let libsvm = desk.run(&["predict", "digits", "row.svm", "--output", "csv", "--keep", "id"]);
    assert!(libsvm.code == Some(1) && libsvm.problem().contains("libsvm text, which has no columns"), "{libsvm:?}");
}

/// The program with a pipe at both ends.
fn piped(desk: &Desk, arguments: &[&str]) -> (Child, ChildStdin, Receiver<String>) {
    let mut command = desk.command(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (sender, receiver) = channel();
    let output = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let input = child.stdin.take().unwrap();
    (child, input, receiver)
}

#[test]
fn a_line_in_is_a_line_out() {
    let desk = Desk::new();
    desk.write("rows.csv", ROWS).write("my.toml", CONFIG);
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    for header in ["", "b,a,other\n"] {
        let (mut child, mut input, output) = piped(&desk, &["predict", "run", "-"]);
        input.write_all(header.as_bytes()).unwrap();
        for (a, expected) in [(2.0, "=x"), (-2.0, "y, z"), (1.5, "=x")] {
            let row = if header.is_empty() { format!("{a},1\n") } else { format!("1,{a},\n") };
            input.write_all(row.as_bytes()).unwrap();
            input.flush().unwrap();
            // The end of input is far away: without streaming this would wait for ever.
            assert_eq!(output.recv_timeout(Duration::from_secs(20)).as_deref(), Ok(expected), "{header:?} {a}");
        }
        drop(input);
        assert!(child.wait().unwrap().success());
    }
    // A mistake is found at its line of the whole, after the rows before it.
    let (mut child, mut input, output) = piped(&desk, &["predict", "run", "-"]);
    input.write_all(b"1,2\n").unwrap();
    assert!(output.recv_timeout(Duration::from_secs(20)).is_ok());
    input.write_all(b"1,two\n").unwrap();
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let mut whole = desk.command(&["predict", "run", "-"]);
    let mut child = whole.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"1,2\n1,2\n").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    input.write_all(b"1,two\n").unwrap();
    drop(input);
    let said = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    assert!(said.contains("stdin:3"), "{said}");
}
