//! Columns whose digits single precision would lose: kept from every format, in training, prediction, proofs and exports.

use crate::program::{Desk, repository};
use burn_svm::internals::model::Classifier;
use std::fmt::Write as _;
use std::path::Path;

const N: usize = 600;

/// A time in seconds since 1970 that tells the class to within 10 s of 40, and a number that tells nothing.
fn rows() -> Vec<[f64; 2]> {
    let row = |i: usize| {
        let noise = i as f64 * 0.618_033_988_749_894_9;
        let noise = noise - noise.floor();
        [1.7e9 + 40.0 * (i % 3) as f64 + (10.0 * noise - 5.0), noise]
    };
    (0..N).map(row).collect()
}

fn csv(rows: &[[f64; 2]]) -> String {
    let mut text = String::from("time,other,kind\n");
    rows.iter().enumerate().for_each(|(i, [a, b])| writeln!(text, "{a},{b},c{}", i % 3).unwrap());
    text
}

fn libsvm(rows: &[[f64; 2]]) -> String {
    let mut text = String::new();
    rows.iter().enumerate().for_each(|(i, [a, b])| writeln!(text, "c{} 1:{a} 2:{b}", i % 3).unwrap());
    text
}

/// An array of numbers or strings as NumPy writes it.
fn npy(descr: &str, shape: &str, bytes: impl Iterator<Item = u8>) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    file.extend(header.bytes());
    file.extend(bytes);
    file
}

/// The rows in each format, with the tables that read them.
const TABLES: [(&str, &str); 4] = [
    ("rows.csv", "[data.csv]\ntrain = 'rows.csv'\nlabel = 'kind'\n"),
    ("rows.npy", "[data.npy]\ntrain = 'rows.npy'\ntrain_labels = 'labels.npy'\n"),
    ("rows.parquet", "[data.parquet]\ntrain = 'rows.parquet'\nlabel = 'kind'\n"),
    ("rows.svm", "[data.libsvm]\ntrain = 'rows.svm'\n"),
];

fn desk() -> Desk {
    let desk = Desk::new();
    let rows = rows();
    let labels = (0..N).flat_map(|i| ['c', ['0', '1', '2'][i % 3]]).flat_map(|c| u32::from(c).to_le_bytes());
    desk.write("rows.csv", csv(&rows))
        .write("rows.svm", libsvm(&rows))
        .write("rows.npy", npy("<f8", "(600, 2)", rows.iter().flatten().flat_map(|v| v.to_le_bytes())))
        .write("labels.npy", npy("<U2", "(600,)", labels))
        .write("rows.parquet", std::fs::read(repository("cli/tests/fixtures/formats/times.parquet")).unwrap());
    desk
}

const SCALED: &str = "[preprocess]\ncenter = 'mean'\nscale = 'std'\n";
const EXACT: &str = "[objective]\nc = 1.0\n[loss.crammer_singer]\n[solver.dual]\n";

fn model(desk: &Desk, run: &str) -> Classifier {
    Classifier::load(&desk.path(run)).unwrap()
}

/// Labels and scores as `predict` prints them.
fn predicted(desk: &Desk, run: &str, file: &str) -> (Vec<String>, Vec<f64>) {
    let out = desk.succeed(&["predict", run, file, "--scores"]).stdout;
    let (mut labels, mut scores) = (Vec::new(), Vec::new());
    for line in out.lines() {
        let mut words = line.split('\t');
        labels.push(words.next().unwrap().to_owned());
        scores.extend(words.map(|w| w.parse::<f64>().unwrap()));
    }
    (labels, scores)
}

/// `((x − mean)/scale)·weight + bias` by the numbers of the model file.
fn by_hand(model: &Classifier, rows: &[[f64; 2]]) -> Vec<f64> {
    let of = |values: &Option<Vec<f64>>, j: usize, none: f64| values.as_ref().map_or(none, |v| v[j]);
    let score = |row: &[f64; 2], c: usize| {
        let cell = |j: usize| (row[j] - of(&model.scaler.mean, j, 0.0)) / of(&model.scaler.scale, j, 1.0);
        (0..2).map(|j| cell(j) * model.weight[j * 3 + c]).sum::<f64>() + of(&model.bias, c, 0.0)
    };
    rows.iter().flat_map(|row| (0..3).map(move |c| score(row, c))).collect()
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    let size = expected.iter().fold(0.0f64, |most, s| most.max(s.abs()));
    assert_eq!(found.len(), expected.len(), "{what}");
    found.iter().zip(expected).for_each(|(a, b)| assert!((a - b).abs() <= tolerance * size, "{what}: {a} {b}"));
}

#[test]
fn times_are_told_apart_in_every_format() {
    let desk = desk();
    let mut first: Option<Classifier> = None;
    for (file, table) in TABLES {
        desk.write("my.toml", format!("{table}{SCALED}{EXACT}"));
        desk.succeed(&["train", "my.toml", "--out", file.split('.').next_back().unwrap(), "--quiet"]);
        let run = file.split('.').next_back().unwrap();
        let result = desk.json(&format!("{run}/result.json"));
        assert_eq!(
            (result["train_accuracy"].as_f64(), &result["stop_reason"]),
            (Some(1.0), &"gap_reached".into()),
            "{file}"
        );
        let model = model(&desk, run);
        assert!(
            model.scaler.double_rows && model.scaler.mean.as_ref().is_some_and(|m| (m[0] - 1.7e9 - 40.0).abs() < 1.0)
        );
        let (labels, scores) = predicted(&desk, run, file);
        assert!(labels.iter().enumerate().all(|(i, label)| *label == format!("c{}", i % 3)), "{file}");
        assert_close(&scores, &by_hand(&model, &rows()), 1e-12, file);
        let evaluated = desk.succeed(&["evaluate", run, "--json"]).stdout;
        assert!(evaluated.contains("\"accuracy\":1.0") || evaluated.contains("\"accuracy\": 1.0"), "{evaluated}");
        if let Some(first) = &first {
            assert_eq!(
                (&model.weight, &model.bias, &model.scaler),
                (&first.weight, &first.bias, &first.scaler),
                "{file}"
            );
        } else {
            first = Some(model);
        }
    }
    // Any format is scored as any other, a row alone as among others, from a pipe as from a file.
    let all = predicted(&desk, "csv", "rows.csv");
    for (file, _) in &TABLES[1..] {
        assert_eq!(predicted(&desk, "csv", file), all, "{file}");
    }
    desk.write("one.csv", csv(&rows()[7..8]));
    assert_eq!(predicted(&desk, "csv", "one.csv").1, all.1[21..24]);
    let mut piped = desk.command(&["predict", "csv", "-", "--scores"]);
    piped.stdin(std::fs::File::open(desk.path("one.csv")).unwrap());
    let piped = crate::program::outcome(&mut piped);
    assert_eq!(piped.stdout, desk.succeed(&["predict", "csv", "one.csv", "--scores"]).stdout);
}

#[test]
fn every_solver_sees_them_and_every_proof_holds() {
    let desk = desk();
    let (_, table) = TABLES[0];
    for (solver, settings) in [("newton", ""), ("lbfgs", ""), ("sgd", "learning_rate = 0.1\nepochs = 30\n")] {
        let loss = "[objective]\nc = 10.0\n[loss.crammer_singer]\nsmoothing = 0.5\n";
        desk.write("my.toml", format!("{table}{SCALED}{loss}[solver.{solver}]\n{settings}"));
        let trained = desk.succeed(&["train", "my.toml", "--out", solver]);
        assert!(!trained.stderr.contains("warning"), "{}", trained.stderr);
        assert_eq!(desk.json(&format!("{solver}/result.json"))["train_accuracy"], 1.0, "{solver}");
        assert_close(&predicted(&desk, solver, "rows.csv").1, &by_hand(&model(&desk, solver), &rows()), 1e-12, solver);
        let certified = desk.succeed(&["certify", solver, "--json"]).stdout;
        let certified: serde_json::Value = serde_json::from_str(&certified).unwrap();
        let number = |key: &str| certified[key].as_f64().unwrap();
        assert!(number("dual_objective") <= number("objective") && number("dual_objective") > 0.0, "{certified}");
    }
}

#[test]
fn an_outlier_hides_nothing() {
    let desk = desk();
    let mut rows = rows();
    rows[N - 1][0] = 0.0;
    desk.write("rows.csv", csv(&rows)).write("rows.svm", libsvm(&rows));
    for (file, table) in [TABLES[0], TABLES[3]] {
        let split = "[split]\nvalidation = 1\nmethod = 'last'\n";
        desk.write("my.toml", format!("{table}{split}{SCALED}{EXACT}"));
        let run = file.split('.').next_back().unwrap();
        desk.succeed(&["train", "my.toml", "--out", run, "--quiet"]);
        assert_eq!(desk.json(&format!("{run}/result.json"))["train_accuracy"], 1.0);
        assert_close(&predicted(&desk, run, file).1, &by_hand(&model(&desk, run), &rows), 1e-12, file);
    }
}

#[test]
fn a_test_part_is_kept_as_train_is() {
    let desk = desk();
    let rows = rows();
    desk.write("test.csv", csv(&rows[..9])).write("test.svm", libsvm(&rows[..9]) + "c0 1:1700000001.5 9:1\n");
    for (table, run) in
        [(TABLES[0].1.to_owned() + "test = 'test.csv'\n", "a"), (TABLES[3].1.to_owned() + "test = 'test.svm'\n", "b")]
    {
        desk.write("my.toml", format!("{table}{SCALED}{EXACT}"));
        let trained = desk.succeed(&["train", "my.toml", "--out", run]);
        assert_eq!(desk.json(&format!("{run}/result.json"))["test_accuracy"], 1.0);
        let dropped = trained.stderr.contains("test.svm: dropped 1 cell of features 3 to 9, which train does not have");
        assert_eq!(dropped, run == "b", "{}", trained.stderr);
    }
}

#[test]
fn what_cannot_be_kept_is_named() {
    let desk = desk();
    desk.write(
        "my.toml",
        format!(
            "{}[objective]\nc = 1.0\n[loss.crammer_singer]\n[solver.sgd]\nlearning_rate = 1e-20\nepochs = 1\n",
            TABLES[0].1
        ),
    );
    let trained = desk.succeed(&["train", "my.toml", "--out", "run"]);
    let warning = "warning: column `time`: its preprocessed values differ by less than they are rounded by in single precision, in \
                   which most products are computed: set `center = \"mean\"` and `scale = \"std\"` in [preprocess]";
    assert!(trained.stderr.contains(warning), "{}", trained.stderr);

    // A time in half of the cells that are stored, which are few.
    let mut text = String::new();
    for (i, [a, b]) in rows().iter().enumerate() {
        let time = if i % 2 == 0 { format!(" 2:{a}") } else { String::new() };
        writeln!(text, "c{}{time} 7:{b} {}:1", i % 3, 8 + i % 5).unwrap();
    }
    desk.write("rows.svm", text).write("my.toml", format!("{}{EXACT}", TABLES[3].1));
    let trained = desk.succeed(&["train", "my.toml", "--out", "sparse"]);
    let note = "rows.svm: feature 2 differs by less than its values are rounded by in single precision, in which sparse rows are kept: \
                subtract a constant from it, or write the rows as csv";
    assert!(trained.stderr.contains(note), "{}", trained.stderr);
    assert!(!model(&desk, "sparse").scaler.double_rows);
}

#[test]
fn ordinary_columns_stay_in_single_precision() {
    let desk = desk();
    let mut rows = rows();
    for (i, row) in rows.iter_mut().enumerate() {
        *row = [2_000.0 + (i % 3) as f64, 0.1 + row[1]];
    }
    desk.write("rows.csv", csv(&rows)).write("rows.svm", libsvm(&rows));
    for (file, table) in [TABLES[0], TABLES[3]] {
        desk.write("my.toml", format!("{table}{SCALED}{EXACT}"));
        desk.succeed(&["train", "my.toml", "--out", file.split('.').next_back().unwrap(), "--quiet"]);
        let model = model(&desk, file.split('.').next_back().unwrap());
        assert!(!model.scaler.double_rows);
        let single = |v: &f64| f64::from(*v as f32) == *v;
        assert!(model.scaler.mean.iter().chain(&model.scaler.scale).flatten().all(single));
    }
}

#[test]
fn exported_models_keep_them() {
    let desk = desk();
    desk.write("my.toml", format!("{}{SCALED}{EXACT}", TABLES[0].1));
    desk.succeed(&["train", "my.toml", "--out", "run", "--quiet"]);
    for (format, note) in [("npz", true), ("liblinear", true), ("onnx", false)] {
        let exported = desk.succeed(&["export", "run", "--to", format, &format!("m.{format}")]);
        assert_eq!(
            exported.stderr.contains("features lie far from zero: `bias` is as large as "),
            note,
            "{}",
            exported.stderr
        );
    }
    let (labels, scores) = predicted(&desk, "run", "rows.csv");
    // LIBLINEAR's text holds folded weights in double precision; its values are those of rows as the text model takes them.
    let read = burn_svm_cli::model_file::load(Path::new(&desk.path("m.liblinear"))).unwrap();
    let features = burn_svm::internals::data::Features::F64(burn_svm::internals::data::Dense::new(2, rows().concat()));
    let all: Vec<u32> = (0..N as u32).collect();
    assert_close(&read.scores(&features, &all), &scores, 1e-7, "liblinear");
    assert_eq!(labels.len(), N);
    // The graph takes doubles and subtracts the mean before the product.
    let onnx = desk.bytes("m.onnx");
    let has = |text: &[u8]| onnx.windows(text.len()).any(|w| w == text);
    assert!(has(b"Sub_centred") && has(b"Gemm_scores") && !has(b"Cast"));
}
