//! Exported models, read back by small readers of their own: the scores are those of `predict`.
//!
//! tests/interop/export.py compares the same files with NumPy, LIBLINEAR and onnxruntime.

use crate::program::{Case, Desk, SMALL, Verdict, repository};
use std::collections::HashMap;

/// Two features and the classes 1 and 2, or words; raw features far from zero.
fn config(scale: &str, center: &str, loss: &str) -> String {
    format!(
        "[data.libsvm]\ntrain = \"rows\"\n[preprocess]\nscale = \"{scale}\"\ncenter = \"{center}\"\n[objective]\nlambda = 1e-2\n\
         [loss.{loss}]\n[solver.sgd]\nlearning_rate = 0.1\nepochs = 20\ninit_std = 0.1\n"
    )
}

const THREE: &str =
    "cat 1:101 2:5 3:1\ncat 1:102.5 2:5\ndog 1:103 2:-4\ndog 1:101 2:-3.25 3:7\nowl 1:98 2:1\nowl 1:96.5 3:2\n";
const TWO: &str = "4 1:101 2:5 3:1\n4 1:102.5 2:5\n-9 1:103 2:-4\n-9 1:101 2:-3.25 3:7\n4\n";

fn trained(rows: &str, scale: &str, center: &str, loss: &str) -> Desk {
    let desk = Desk::new();
    desk.write("rows", rows).write("my.toml", config(scale, center, loss));
    desk.succeed(&["train", "my.toml", "--out", "run", "--quiet"]);
    desk
}

/// Labels and scores as `predict` gives them.
fn predicted(desk: &Desk, model: &str) -> (Vec<String>, Vec<Vec<f64>>) {
    let out = desk.succeed(&["predict", model, "rows", "--scores"]).stdout;
    out.lines()
        .map(|line| {
            let mut words = line.split('\t').map(str::to_owned);
            (words.next().unwrap(), words.map(|w| w.parse().unwrap()).collect())
        })
        .unzip()
}

/// The rows as dense cells.
fn cells(rows: &str, width: usize) -> Vec<Vec<f64>> {
    rows.lines()
        .map(|line| {
            let mut row = vec![0.0; width];
            for cell in line.split(' ').skip(1) {
                let (j, v) = cell.split_once(':').unwrap();
                row[j.parse::<usize>().unwrap() - 1] = v.parse().unwrap();
            }
            row
        })
        .collect()
}

fn assert_close(found: &[Vec<f64>], expected: &[Vec<f64>], tolerance: f64, what: &str) {
    let scale = expected.iter().flatten().fold(0.0f64, |m, v| m.max(v.abs()));
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().flatten().zip(expected.iter().flatten()) {
        assert!((a - b).abs() <= tolerance * scale, "{what}: {a} {b}");
    }
}

fn products(rows: &[Vec<f64>], weight: &[f64], bias: &[f64]) -> Vec<Vec<f64>> {
    let k = bias.len();
    let score =
        |row: &Vec<f64>, c: usize| row.iter().enumerate().map(|(j, x)| x * weight[j * k + c]).sum::<f64>() + bias[c];
    rows.iter().map(|row| (0..k).map(|c| score(row, c)).collect()).collect()
}

fn word(bytes: &[u8], at: usize, size: usize) -> usize {
    bytes[at..at + size].iter().rev().fold(0, |n, &b| n << 8 | usize::from(b))
}

/// The entries of a zip archive that is not compressed, by its central directory.
fn entries(zip: &[u8]) -> HashMap<String, Vec<u8>> {
    let end = zip.len() - 22;
    assert_eq!(&zip[end..end + 4], b"PK\x05\x06");
    let mut at = word(zip, end + 16, 4);
    let mut found = HashMap::new();
    for _ in 0..word(zip, end + 10, 2) {
        assert_eq!((&zip[at..at + 4], word(zip, at + 10, 2)), (&b"PK\x01\x02"[..], 0));
        let (sum, size, name) = (word(zip, at + 16, 4), word(zip, at + 24, 4), word(zip, at + 28, 2));
        let local = word(zip, at + 42, 4);
        assert_eq!(&zip[local..local + 4], b"PK\x03\x04");
        let start = local + 30 + word(zip, local + 26, 2) + word(zip, local + 28, 2);
        let content = zip[start..start + size].to_vec();
        assert_eq!(crc32(&content), sum);
        found.insert(String::from_utf8(zip[at + 46..at + 46 + name].to_vec()).unwrap(), content);
        at += 46 + name;
    }
    assert_eq!(at, end);
    found
}

/// Bit by bit, as the polynomial says.
fn crc32(bytes: &[u8]) -> usize {
    let mut sum = u32::MAX;
    for &byte in bytes {
        sum ^= u32::from(byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 };
        }
    }
    !sum as usize
}

/// The header and the values of a `.npy` array.
fn array(npy: &[u8]) -> (String, &[u8]) {
    assert_eq!(&npy[..8], b"\x93NUMPY\x01\x00");
    let start = 10 + word(npy, 8, 2);
    assert_eq!((start % 64, npy[start - 1]), (0, b'\n'));
    (String::from_utf8(npy[10..start].to_vec()).unwrap().trim_end().to_owned(), &npy[start..])
}

fn doubles(bytes: &[u8]) -> Vec<f64> {
    bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
}

#[test]
fn npz_holds_the_folded_weights() {
    for (scale, center) in [("none", "none"), ("std", "mean"), ("minmax", "none"), ("pixel", "mean")] {
        let desk = trained(THREE, scale, center, "weston_watkins");
        desk.succeed(&["export", "run", "--to", "npz", "m.npz"]);
        let entries = entries(&desk.bytes("m.npz"));
        assert_eq!(entries.len(), 3);
        let (header, weight) = array(&entries["weight.npy"]);
        assert_eq!(header, "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 3), }");
        let (header, bias) = array(&entries["bias.npy"]);
        assert_eq!(header, "{'descr': '<f8', 'fortran_order': False, 'shape': (3,), }");
        let (header, classes) = array(&entries["classes.npy"]);
        assert_eq!(header, "{'descr': '<U3', 'fortran_order': False, 'shape': (3,), }");
        let text: String = classes.chunks_exact(4).map(|c| char::from_u32(word(c, 0, 4) as u32).unwrap()).collect();
        assert_eq!(text, "catdogowl");
        let found = products(&cells(THREE, 3), &doubles(weight), &doubles(bias));
        assert_close(&found, &predicted(&desk, "run").1, 1e-13, scale);
    }
    let desk = trained(TWO, "none", "none", "one_vs_rest");
    desk.succeed(&["export", "run", "--to", "npz", "m.npz"]);
    let entries = entries(&desk.bytes("m.npz"));
    let (header, classes) = array(&entries["classes.npy"]);
    assert_eq!(header, "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }");
    assert_eq!(classes.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect::<Vec<_>>(), [-9, 4]);
}

#[test]
fn liblinear_files_are_read_back_with_the_same_scores() {
    for (loss, solver) in
        [("one_vs_rest", "L2R_L1LOSS_SVC_DUAL"), ("crammer_singer", "MCSVM_CS"), ("weston_watkins", "MCSVM_CS")]
    {
        let desk = trained(THREE, "std", "mean", loss);
        let outcome = desk.succeed(&["export", "run", "--to", "liblinear", "m.model"]);
        assert!(outcome.stderr.contains("the classes became: 0 cat, 1 dog, 2 owl"), "{}", outcome.stderr);
        let unknown = "LIBLINEAR has no solver of the model's loss: written as MCSVM_CS, which predicts the same";
        assert_eq!(outcome.stderr.contains(unknown), loss == "weston_watkins");
        let head = format!("solver_type {solver}\nnr_class 3\nlabel 0 1 2\nnr_feature 3\nbias 1\nw\n");
        assert!(desk.read("m.model").starts_with(&head), "{}", desk.read("m.model"));
        let ((names, scores), (labels, copied)) = (predicted(&desk, "run"), predicted(&desk, "m.model"));
        assert_close(&copied, &scores, 1e-13, loss);
        let renamed: Vec<&str> = labels.iter().map(|l| ["cat", "dog", "owl"][l.parse::<usize>().unwrap()]).collect();
        assert_eq!(renamed, names);
    }
    for loss in ["one_vs_rest", "crammer_singer", "weston_watkins"] {
        let desk = trained(TWO, "std", "mean", loss);
        desk.succeed(&["export", "run", "--to", "liblinear", "m.model"]);
        assert!(desk.read("m.model").contains("\nlabel 4 -9\n"), "{}", desk.read("m.model"));
        let ((names, scores), (labels, copied)) = (predicted(&desk, "run"), predicted(&desk, "m.model"));
        let halves: Vec<Vec<f64>> = scores.iter().map(|s| vec![(s[0] - s[1]) / 2.0, (s[1] - s[0]) / 2.0]).collect();
        assert_close(&copied, &halves, 1e-13, loss);
        assert_eq!(labels, names);
    }
}

#[test]
fn a_model_of_liblinear_is_written_as_it_was_read() {
    let desk = Desk::new();
    for name in ["three-0", "three-1", "three-4", "two-1", "two-6"] {
        let file = repository(&format!("cli/tests/fixtures/liblinear/{name}.model"));
        desk.succeed(&["export", &file, "--to", "liblinear", "copy"]);
        let (ours, theirs) = (desk.read("copy"), std::fs::read_to_string(&file).unwrap());
        let numbers = |text: &str| -> Vec<f64> {
            text.split_once("\nw\n").unwrap().1.split_whitespace().map(|w| w.parse().unwrap()).collect()
        };
        let head = |text: &str| text.split_once("\nbias").unwrap().0.to_owned();
        assert_eq!(head(&ours), head(&theirs), "{name}");
        let scale = if name == "two-1" { 2.0 } else { 1.0 };
        let (ours, mut theirs) = (numbers(&ours), numbers(&theirs));
        // A bias of value 2 is written as one of value 1.
        *theirs.last_mut().unwrap() *= scale;
        assert_eq!(ours, theirs, "{name}");
    }
}

/// The fields of a protobuf message: number, and the varint or the bytes.
fn fields(mut message: &[u8]) -> Vec<(u64, u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message);
        match key & 7 {
            0 => found.push((key >> 3, varint(&mut message), &[][..])),
            2 => {
                let length = varint(&mut message) as usize;
                let (content, rest) = message.split_at(length);
                found.push((key >> 3, 0, content));
                message = rest;
            }
            other => panic!("wire type {other}"),
        }
    }
    found
}

fn all(message: &[u8], number: u64) -> Vec<&[u8]> {
    fields(message).into_iter().filter(|f| f.0 == number).map(|f| f.2).collect()
}

fn text(message: &[u8], number: u64) -> String {
    String::from_utf8(all(message, number)[0].to_vec()).unwrap()
}

#[test]
fn onnx_holds_a_graph_that_scores_alike() {
    for (scale, center) in [("none", "none"), ("std", "mean"), ("unit-row", "none"), ("unit-row", "mean")] {
        let desk = trained(THREE, scale, center, "crammer_singer");
        desk.succeed(&["export", "run", "--to", "onnx", "m.onnx"]);
        let bytes = desk.bytes("m.onnx");
        let version = |message: &[u8], number| fields(message).into_iter().find(|f| f.0 == number).unwrap().1;
        assert_eq!((version(&bytes, 1), version(all(&bytes, 8)[0], 2)), (7, 13));
        let names = all(&bytes, 14)[0];
        assert_eq!((text(names, 1), text(names, 2)), ("class_names".into(), r#"["cat","dog","owl"]"#.into()));
        let graph = all(&bytes, 7)[0];
        let operators: Vec<String> = all(graph, 1).iter().map(|node| text(node, 4)).collect();
        let normalised = ["ReduceL2", "Equal", "Where", "Div"];
        let mut expected = vec!["Cast"];
        match (scale, center) {
            ("unit-row", "mean") => expected.extend(std::iter::once("Sub").chain(normalised)),
            ("unit-row", _) => expected.extend(normalised),
            _ => {}
        }
        expected.extend(["Gemm", "Cast", "ArgMax", "Gather"]);
        assert_eq!(operators, expected);
        assert_eq!(all(graph, 11).iter().map(|m| text(m, 1)).collect::<Vec<_>>(), ["features"]);
        assert_eq!(all(graph, 12).iter().map(|m| text(m, 1)).collect::<Vec<_>>(), ["scores", "label", "class"]);
        let (words, numbers): (Vec<&[u8]>, Vec<&[u8]>) =
            all(graph, 5).into_iter().partition(|tensor| text(tensor, 8) == "class_names");
        assert_eq!(all(words[0], 6), ["cat", "dog", "owl"].map(str::as_bytes));
        let tensors: HashMap<String, Vec<f64>> =
            numbers.iter().map(|tensor| (text(tensor, 8), doubles(all(tensor, 9)[0]))).collect();
        let mut rows = cells(THREE, 3);
        for row in &mut rows {
            if let Some(mean) = tensors.get("mean") {
                row.iter_mut().zip(mean).for_each(|(x, m)| *x -= m);
            }
            if scale == "unit-row" {
                let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
                row.iter_mut().for_each(|x| *x /= length);
            }
        }
        let found = products(&rows, &tensors["weight"], &tensors["bias"]);
        assert_close(&found, &predicted(&desk, "run").1, 1e-12, scale);
    }
}

#[test]
fn a_calibration_is_in_the_graph_and_the_others_say_that_they_leave_it_out() {
    for (method, tensor) in [("temperature", "temperature"), ("platt", "slope")] {
        let desk = Desk::new();
        desk.write("rows", THREE).write("my.toml", config("std", "mean", "crammer_singer"));
        let method = format!("calibration.method={method}");
        desk.succeed(&[
            "train",
            "my.toml",
            "--out",
            "run",
            "--quiet",
            "--set",
            &method,
            "--set",
            "calibration.folds=2",
        ]);
        desk.succeed(&["export", "run", "--to", "onnx", "m.onnx"]);
        let bytes = desk.bytes("m.onnx");
        let graph = all(&bytes, 7)[0];
        let outputs: Vec<String> = all(graph, 12).iter().map(|m| text(m, 1)).collect();
        assert_eq!(outputs, ["scores", "label", "class", "probabilities"]);
        let tensors = all(graph, 5);
        let kept = tensors.iter().find(|found| text(found, 8) == tensor).unwrap();
        let model = desk.bytes("run/model.safetensors");
        let length = usize::try_from(u64::from_le_bytes(model[..8].try_into().unwrap())).unwrap();
        let header: serde_json::Value = serde_json::from_slice(&model[8..8 + length]).unwrap();
        let calibration = header["__metadata__"]["calibration"].as_str().unwrap();
        let stored = &serde_json::from_str::<serde_json::Value>(calibration).unwrap()["map"][tensor];
        let expected: Vec<f64> = match stored.as_array() {
            Some(values) => values.iter().map(|v| v.as_f64().unwrap()).collect(),
            None => vec![stored.as_f64().unwrap()],
        };
        assert_eq!(doubles(all(kept, 9)[0]), expected);
        for format in ["npz", "liblinear"] {
            let said = desk.succeed(&["export", "run", "--to", format, "m"]).stderr;
            let expected = "the calibration is left out: scores, and no probabilities; `--to onnx` has both";
            assert!(said.contains(expected), "{said}");
        }
    }
}

#[test]
fn what_cannot_be_exported_is_a_sentence() {
    let desk = trained(THREE, "unit-row", "none", "crammer_singer");
    let unit = |format: &str| {
        format!(
            "run: the model divides each row by its length (scale = \"unit-row\"), which no weights of {format} can hold"
        )
    };
    let hint = "`--to onnx` can hold it; or train on rows that have unit length in the file, without `scale`";
    let missing = "cannot write to none/m: No such file or directory (os error 2)";
    let mut verdict = Verdict::default();
    for (arguments, code, problem, hint) in [
        (&["export", "run", "--to", "npz", "m"][..], 1, unit("npz"), hint),
        (&["export", "run", "--to", "liblinear", "m"], 1, unit("LIBLINEAR"), hint),
        (&["export", "run", "--to", "onnx", "none/m"], 1, missing.into(), ""),
        (
            &["export", "rows", "--to", "onnx", "m"],
            1,
            "rows: not a safetensors file: header too large".into(),
            "MODEL is a run folder or its `model.safetensors`, written by `burn-svm train`",
        ),
        (
            &["export", "none", "--to", "onnx", "m"],
            2,
            "none: No such file or directory (os error 2)".into(),
            "MODEL is a run folder or its `model.safetensors`",
        ),
    ] {
        let outcome = desk.run(arguments);
        verdict.hold(&Case { what: &arguments.join(" "), problem: &problem, hint }, &outcome, code);
        assert!(!desk.path("m").exists() && !desk.path("m.partial").exists());
    }
    verdict.assert();
    let outcome = desk.run(&["export", "run", "--to", "pickle", "m"]);
    for expected in ["invalid value 'pickle' for '--to <FORMAT>'", "[possible values: npz, liblinear, onnx]"] {
        assert!(outcome.code == Some(2) && outcome.stderr.contains(expected), "{}", outcome.stderr);
    }
}

#[test]
fn equal_models_give_equal_files() {
    let desk = Desk::new();
    desk.write("my.toml", SMALL);
    desk.succeed(&["train", "my.toml", "--out", "run", "--quiet"]);
    for format in ["npz", "liblinear", "onnx"] {
        for file in ["a", "b"] {
            desk.succeed(&["export", "run", "--to", format, file]);
        }
        assert_eq!(desk.bytes("a"), desk.bytes("b"), "{format}");
    }
}
