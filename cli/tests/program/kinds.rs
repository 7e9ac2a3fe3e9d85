//! Whole kinds of input: each spelling of a truth value and each kind of label in every format; runs that stop short, and say so.

use crate::program::{Desk, SMALL};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, LargeStringArray, RecordBatch, StringArray, StringViewArray, UInt8Array, UInt64Array,
};
use burn_svm::Cells;
use burn_svm_cli::format::{CellRules, DataConfig, Reading};
use parquet::arrow::ArrowWriter;
use std::fs::File;
use std::sync::Arc;

/// A column `x` of numbers and a column `y`, as Parquet, as an Arrow file and as an Arrow stream.
fn typed(desk: &Desk, y: &ArrayRef) -> [DataConfig; 3] {
    let x: ArrayRef = Arc::new(Float64Array::from_iter_values((0..y.len()).map(|i| i as f64)));
    let batch = RecordBatch::try_from_iter([("x", x), ("y", Arc::clone(y))]).unwrap();
    let create = |name: &str| File::create(desk.path(name)).unwrap();
    let mut writer = ArrowWriter::try_new(create("a.parquet"), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let mut writer = arrow_ipc::writer::FileWriter::try_new(create("a.arrow"), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    let mut writer = arrow_ipc::writer::StreamWriter::try_new(create("a.arrows"), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    ["a.parquet", "a.arrow", "a.arrows"].map(|name| {
        let format = if name.ends_with("parquet") { "parquet" } else { "arrow" };
        config(format, &format!("train = '{}'\nlabel = 'y'", desk.path(name).display()))
    })
}

fn config(format: &str, keys: &str) -> DataConfig {
    toml::from_str(&format!("[{format}]\n{keys}\n")).unwrap()
}

/// A file that NumPy could have written.
fn npy(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    header += &" ".repeat((10 + header.len() + 1).next_multiple_of(64) - 11 - header.len());
    header.push('\n');
    let len = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\0", &len[..], header.as_bytes(), bytes].concat()
}

/// Labels in a file of NumPy beside as many rows.
fn arrays(desk: &Desk, n: usize, descr: &str, labels: &[u8]) -> DataConfig {
    let x: Vec<u8> = (0..n).flat_map(|i| (i as f32).to_le_bytes()).collect();
    desk.write("x.npy", npy("<f4", &format!("({n}, 1)"), &x)).write("y.npy", npy(descr, &format!("({n},)"), labels));
    let [x, y] = ["x.npy", "y.npy"].map(|name| desk.path(name).display().to_string());
    config("npy", &format!("train = '{x}'\ntrain_labels = '{y}'"))
}

/// Labels as text, in csv and libsvm.
fn texts(desk: &Desk, labels: &[&str]) -> Vec<DataConfig> {
    let quote = |label: &str| format!("\"{}\"", label.replace('"', "\"\""));
    let lines = |line: &dyn Fn(usize, &str) -> String| {
        labels.iter().enumerate().map(|(i, label)| line(i, label)).collect::<String>()
    };
    let bare = !labels.iter().any(|label| label.contains([',', ' ', '\n', '"']));
    desk.write("quoted.csv", format!("x,y\n{}", lines(&|i, label| format!("{i},{}\n", quote(label)))));
    desk.write("bare.csv", format!("x,y\n{}", lines(&|i, label| format!("{i},{label}\n"))));
    desk.write("rows.svm", lines(&|i, label| format!("{label} 1:{i}\n")));
    let mut all = vec!["quoted.csv"];
    all.extend(bare.then_some(["bare.csv", "rows.svm"]).into_iter().flatten());
    let of = |name: &str| {
        let path = desk.path(name).display().to_string();
        if name.ends_with("svm") {
            config("libsvm", &format!("train = '{path}'"))
        } else {
            config("csv", &format!("train = '{path}'\nlabel = 'y'"))
        }
    };
    all.into_iter().map(of).collect()
}

/// Strings as NumPy keeps them, four bytes a letter.
fn unicode(labels: &[&str]) -> (String, Vec<u8>) {
    let width = labels.iter().map(|label| label.chars().count()).max().unwrap();
    let letters = |label: &&str| label.chars().chain(std::iter::repeat('\0')).take(width).collect::<Vec<_>>();
    let bytes = labels.iter().flat_map(letters).flat_map(|letter| u32::from(letter).to_le_bytes()).collect();
    (format!("<U{width}"), bytes)
}

#[test]
fn each_kind_of_label_has_one_name_in_every_format() {
    let strings = |labels: &[&str]| -> Vec<ArrayRef> {
        vec![
            Arc::new(StringArray::from(labels.to_vec())),
            Arc::new(LargeStringArray::from(labels.to_vec())),
            Arc::new(StringViewArray::from(labels.to_vec())),
            Arc::new(BinaryArray::from_iter_values(labels)),
            Arc::new(DictionaryArray::<Int32Type>::from_iter(labels.iter().copied())),
        ]
    };
    let wide = 1i64 << 60;
    for (what, text, columns, numpy, expected) in [
        (
            "whole numbers",
            vec!["2", "0", "-1", "2"],
            vec![
                Arc::new(Int8Array::from(vec![2, 0, -1, 2])) as ArrayRef,
                Arc::new(Int16Array::from(vec![2, 0, -1, 2])),
                Arc::new(Int32Array::from(vec![2, 0, -1, 2])),
                Arc::new(Int64Array::from(vec![2, 0, -1, 2])),
                Arc::new(Float32Array::from(vec![2.0, 0.0, -1.0, 2.0])),
                Arc::new(Float64Array::from(vec![2.0, 0.0, -1.0, 2.0])),
            ],
            vec![
                ("|i1", [2i8, 0, -1, 2].map(|x| x as u8).to_vec()),
                ("<i8", [2i64, 0, -1, 2].map(i64::to_le_bytes).concat()),
                (">i4", [2i32, 0, -1, 2].map(i32::to_be_bytes).concat()),
                ("<f8", [2f64, 0.0, -1.0, 2.0].map(f64::to_le_bytes).concat()),
            ],
            vec!["-1", "0", "2"],
        ),
        ("signs and points", vec!["+1", "1.0", "2", "1"], vec![], vec![], vec!["1", "2"]),
        (
            "bytes",
            vec!["7", "200"],
            vec![Arc::new(UInt8Array::from(vec![7, 200])), Arc::new(UInt64Array::from(vec![7, 200]))],
            vec![("|u1", vec![7, 200])],
            vec!["7", "200"],
        ),
        (
            "large numbers",
            vec!["1152921504606846976", "1152921504606846977"],
            vec![Arc::new(Int64Array::from(vec![wide, wide + 1]))],
            vec![],
            vec!["1152921504606846976", "1152921504606846977"],
        ),
        (
            "words",
            vec!["bee", "ant", "größe", "bee"],
            strings(&["bee", "ant", "größe", "bee"]),
            vec![],
            vec!["ant", "bee", "größe"],
        ),
        (
            "blanks, quotes and line ends",
            vec!["a b", "c, \"d\"\ne", "a b"],
            strings(&["a b", "c, \"d\"\ne", "a b"]),
            vec![],
            vec!["a b", "c, \"d\"\ne"],
        ),
        ("codes", vec!["007", "7", "1e3"], strings(&["007", "7", "1e3"]), vec![], vec!["007", "1e3", "7"]),
    ] {
        let desk = Desk::new();
        let names = |config: &DataConfig| config.load().unwrap_or_else(|e| panic!("{what}: {e}")).class_names;
        texts(&desk, &text).iter().for_each(|config| assert_eq!(names(config), expected, "{what} {config:?}"));
        for column in &columns {
            for config in typed(&desk, column) {
                assert_eq!(names(&config), expected, "{what} {config:?} {}", column.data_type());
            }
        }
        let (descr, bytes) = unicode(&text);
        assert_eq!(names(&arrays(&desk, text.len(), &descr, &bytes)), expected, "{what} {descr}");
        for (descr, bytes) in numpy {
            assert_eq!(names(&arrays(&desk, text.len(), descr, &bytes)), expected, "{what} {descr}");
        }
    }
}

#[test]
fn each_spelling_of_a_truth_value_is_one_in_every_format() {
    let spellings = [["True", "False"], ["true", "false"], ["TRUE", "FALSE"], ["tRUE", "fALSE"]];
    let expected = ["false", "true"];
    for [yes, no] in spellings {
        let labels = [yes, no, yes, "true", "FALSE"];
        let desk = Desk::new();
        let names = |config: &DataConfig| config.load().unwrap().class_names;
        texts(&desk, &labels).iter().for_each(|config| assert_eq!(names(config), expected, "{labels:?} {config:?}"));
        let (descr, bytes) = unicode(&labels);
        assert_eq!(names(&arrays(&desk, 5, &descr, &bytes)), expected, "{labels:?}");
        assert_eq!(names(&arrays(&desk, 5, "|b1", &[1, 0, 1, 1, 0])), expected);
        let columns: [ArrayRef; 2] = [
            Arc::new(StringArray::from(labels.to_vec())),
            Arc::new(BooleanArray::from(vec![true, false, true, true, false])),
        ];
        for column in &columns {
            typed(&desk, column).iter().for_each(|config| assert_eq!(names(config), expected, "{config:?}"));
        }
        // As a feature it is 1 and 0, whatever the rules for words are.
        desk.write("x.csv", format!("x,y\n{yes},u\n{no},v\n\"{yes}\",u\n"));
        let config = config("csv", &format!("train = '{}'\nlabel = 'y'", desk.path("x.csv").display()));
        for (text, missing) in [(false, false), (true, true)] {
            let data = config.load_as(&Reading { cells: CellRules { text, missing }, ..Reading::default() }).unwrap();
            let value = |row| {
                let mut found = 0.0;
                data.features.for_each_cell(row, |_, x| found += x);
                found
            };
            let values: Vec<f64> = match &data.frame {
                None => (0..3).map(&value).collect(),
                Some(frame) => match &frame.columns()[0].cells {
                    Cells::Numbers(values) => values.clone(),
                    Cells::Words(_) => panic!("{yes} is taken for a word"),
                },
            };
            assert_eq!(values, [1.0, 0.0, 1.0], "{yes}");
        }
    }
}

/// Raw features of very different scales, and too few steps: a run says how far it may be, why, and which key helps.
#[test]
fn a_run_that_stops_short_says_how_far_and_what_to_set() {
    let desk = Desk::new();
    let text: String = (0..200).map(|i| format!("{},{},{}\n", i * 37 % 1000, f64::from(i % 7) / 1e3, i % 3)).collect();
    desk.write("raw.csv", text).write("digits.toml", SMALL);
    desk.write("raw.toml", "[data.csv]\ntrain = 'raw.csv'\nlabel = -1\n[objective]\nc = 1e3\n");
    for (what, args, words) in [
        (
            "few steps",
            vec!["digits.toml", "--set", "solver.sgd.learning_rate=1e-7", "--set", "solver.sgd.epochs=400"],
            vec![
                "all steps were made, and the objective may still be ",
                " the optimum: try a larger `learning_rate`",
                "`[solver.dual]` finds",
            ],
        ),
        (
            "few epochs",
            vec!["raw.toml", "--set", "solver.dual.epochs=1", "--set", "solver.dual.finish=never"],
            vec![
                "stopped short: the objective may still be ",
                "preprocess.scale=std",
                "`--set solver.dual.finish=auto`",
            ],
        ),
    ] {
        let mut all = vec!["train"];
        all.extend(args);
        all.extend(["--out", what]);
        let outcome = desk.succeed(&all);
        for word in words {
            assert!(outcome.stderr.contains(word), "{what}: {word}\n{}", outcome.stderr);
        }
        assert!(outcome.stdout.contains("optimum at least"), "{what}\n{}", outcome.stdout);
    }
    // The advice, typed as it stands.
    let outcome = desk.succeed(&[
        "train",
        "raw.toml",
        "--set",
        "solver.dual.epochs=1",
        "--set",
        "solver.dual.finish=auto",
        "--out",
        "advised",
    ]);
    assert!(!outcome.stderr.contains("stopped short"), "{}", outcome.stderr);
    // At the optimum there is nothing to say.
    let outcome = desk.succeed(&["train", "raw.toml", "--out", "whole"]);
    assert!(!outcome.stderr.contains("stopped short"), "{}", outcome.stderr);
}
