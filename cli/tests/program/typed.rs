//! Typed tables and arrays: rows of one kind for a model of another, columns that are carried along, predictions as Parquet.

use crate::program::{Case, Desk, Verdict, repository};
use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Float64Type, Int64Type, TimestampSecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, NullArray, RecordBatch, StringArray,
    TimestampSecondArray,
};
use arrow_schema::DataType;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fmt::Write as _;
use std::fs::File;
use std::sync::Arc;

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn parquet(desk: &Desk, name: &str, batch: &RecordBatch) {
    let mut writer = ArrowWriter::try_new(File::create(desk.path(name)).unwrap(), batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn read(desk: &Desk, name: &str) -> RecordBatch {
    let file = File::open(desk.path(name)).unwrap();
    let batches = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batches: Vec<RecordBatch> = batches.map(Result::unwrap).collect();
    arrow_select::concat::concat_batches(&batches[0].schema(), &batches).unwrap()
}

/// Numbers, words and dates that tell two classes apart, as csv.
fn rows(labels: [&str; 2]) -> String {
    (0..40).fold("id,x,hue,day,label\n".to_owned(), |mut text, i| {
        let hue = ["red", "blue"][i % 2];
        writeln!(text, "{},{}.5,{hue},2024-03-{:02},{}", 100 + i, 3 * (i % 2), 1 + i % 28, labels[i % 2]).unwrap();
        text
    })
}

const CONFIG: &str = "[data.csv]\ntrain = 'rows.csv'\nlabel = 'label'\nignore = ['id']\n[preprocess]\ncategories = 'one-hot'\nmissing = 'mean'\n[calibration]\nmethod = 'temperature'\n";

fn trained(labels: [&str; 2]) -> Desk {
    let desk = Desk::new();
    desk.write("rows.csv", rows(labels)).write("my.toml", CONFIG).succeed(&["train", "my.toml", "--out", "run", "-q"]);
    desk
}

/// New rows with columns that are no features.
fn new_rows() -> RecordBatch {
    let day = Date32Array::from(vec![Some(19_790), None, Some(19_791)]);
    batch(vec![
        ("when", Arc::new(TimestampSecondArray::from(vec![Some(90), None, Some(0)])) as ArrayRef),
        ("hue", Arc::new(StringArray::from(vec![Some("blue"), Some("red"), None]))),
        ("id", Arc::new(Int64Array::from(vec![Some((1 << 53) + 1), Some(8), None]))),
        ("x", Arc::new(Float64Array::from(vec![Some(3.5), Some(0.5), Some(3.5)]))),
        ("day", Arc::new(day)),
        ("good", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
    ])
}

#[test]
fn predictions_are_a_parquet_table_with_types() {
    for (labels, kind) in [
        (["yes", "no"], DataType::Utf8),
        (["3", "-7"], DataType::Int64),
        (["True", "False"], DataType::Boolean),
        (["1", "two"], DataType::Utf8),
    ] {
        let desk = trained(labels);
        parquet(&desk, "new.parquet", &new_rows());
        let base = ["predict", "run", "new.parquet", "--output", "parquet", "--out", "out.parquet"];
        let keep = ["--keep", "id", "--keep", "when", "--keep", "day", "--keep", "good", "--keep", "hue"];
        desk.succeed(&[&base[..], &keep, &["--scores"]].concat());
        let found = read(&desk, "out.parquet");
        let names: Vec<String> = found.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names[..6], ["id", "when", "day", "good", "hue", "prediction"]);
        assert_eq!((found.num_rows(), found.num_columns(), found.column(5).data_type()), (3, 8, &kind), "{labels:?}");
        // Kept columns are as they were.
        for name in ["id", "when", "day", "good", "hue"] {
            assert_eq!(found.column_by_name(name), new_rows().column_by_name(name), "{name}");
        }
        assert_eq!(found.column(0).as_primitive::<Int64Type>().value(0), 9_007_199_254_740_993);
        assert!(found.column(1).as_primitive::<TimestampSecondType>().is_null(1));
        assert_eq!(found.column(2).as_primitive::<Date32Type>().value(2), 19_791);
        let is_second = match kind {
            DataType::Int64 => found.column(5).as_primitive::<Int64Type>().value(0) == -7,
            DataType::Boolean => !found.column(5).as_boolean().value(0),
            _ => found.column(5).as_string::<i32>().value(0) == labels[1],
        };
        assert!(is_second, "{labels:?}");
        // Scores and probabilities are those of the other layouts, to the last digit.
        for option in ["--scores", "--probabilities"] {
            desk.succeed(&[&base[..], &[option]].concat());
            let found = read(&desk, "out.parquet");
            let lines = desk.succeed(&["predict", "run", "new.parquet", option]).stdout;
            for (row, line) in lines.lines().enumerate() {
                let expected: Vec<f64> = line.split('\t').skip(1).map(|value| value.parse().unwrap()).collect();
                let value = |column: usize| found.column(column).as_primitive::<Float64Type>().value(row);
                assert_eq!([value(1), value(2)], expected[..], "{option} {row}");
            }
        }
    }
}

#[test]
fn a_parquet_table_needs_a_file_and_names_of_its_own() {
    let desk = trained(["yes", "no"]);
    parquet(&desk, "new.parquet", &new_rows());
    let mut verdict = Verdict::default();
    let mut refused = |what: &str, args: &[&str], problem: &str, hint: &str| {
        let outcome = desk.run(&[&["predict", "run", "new.parquet"], args].concat());
        verdict.hold(&Case { what, problem, hint }, &outcome, outcome.code.unwrap_or(0));
        assert!(matches!(outcome.code, Some(1 | 2)), "{what}: {outcome:?}");
    };
    refused(
        "no file",
        &["--output", "parquet"],
        "--output parquet: found no --out, and a terminal cannot show the file",
        "`--out FILE` names it, `--out -` sends it to standard output",
    );
    refused(
        "twice",
        &["--output", "csv", "--keep", "id", "--keep", "id"],
        "--keep: column `id` would stand in the output twice",
        "give it another name in the file, or leave it out of --keep",
    );
    refused(
        "no such column",
        &["--output", "csv", "--keep", "idd"],
        "new.parquet: there is no column `idd`",
        "did you mean `id`?",
    );
    verdict.assert();
    // A file that stands there stays where the rows are bad.
    desk.write("kept.txt", "mine").write("bad.csv", "x,hue,day\nred,1,2\n");
    let outcome = desk.run(&["predict", "run", "bad.csv", "--output", "parquet", "--out", "kept.txt"]);
    assert_eq!((outcome.code, desk.read("kept.txt").as_str()), (Some(1), "mine"));
}

#[test]
fn columns_of_every_table_are_carried_along() {
    let desk = trained(["yes", "no"]);
    parquet(&desk, "new.parquet", &new_rows());
    let kept = |file: &str, output: &str| {
        let keep = ["--keep", "id", "--keep", "when", "--keep", "day", "--keep", "good"];
        desk.succeed(&[&["predict", "run", file, "--output", output], &keep[..]].concat()).stdout
    };
    let expected = "id,when,day,good,prediction\n9007199254740993,1970-01-01 00:01:30,2024-03-08,true,no\n8,,,,yes\n,1970-01-01 00:00:00,2024-03-09,false,no\n";
    assert_eq!(kept("new.parquet", "csv"), expected);
    let lines = kept("new.parquet", "jsonl");
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    let expected = serde_json::json!({
        "id": 9_007_199_254_740_993_i64, "when": "1970-01-01 00:01:30", "day": "2024-03-08", "good": true, "prediction": "no"
    });
    assert_eq!(first, expected);
    // From a pipe, and out of Arrow.
    let mut stream = arrow_ipc::writer::StreamWriter::try_new(Vec::new(), &new_rows().schema()).unwrap();
    stream.write(&new_rows()).unwrap();
    stream.finish().unwrap();
    desk.write("new.arrows", stream.get_ref());
    assert_eq!(kept("new.arrows", "jsonl"), lines);
    let piped = |file: &str| {
        let mut command = desk.command(&["predict", "run", "-", "--output", "csv", "--keep", "id"]);
        crate::program::outcome(command.stdin(File::open(desk.path(file)).unwrap())).stdout
    };
    assert_eq!(piped("new.arrows"), "id,prediction\n9007199254740993,no\n8,yes\n,no\n");
    assert_eq!(piped("new.parquet"), piped("new.arrows"));
    // Of csv the header names what a number asks for.
    desk.write("new.csv", "x,hue,id,day\n3.5,blue,007,2024-03-01\n");
    let found = desk.succeed(&["predict", "run", "new.csv", "--output", "csv", "--keep", "3"]).stdout;
    assert_eq!(found, "id,prediction\n007,no\n");
}

/// A model takes rows of any type that says the same, and names those that do not.
#[test]
fn a_model_of_a_table_takes_other_types_of_the_same_columns() {
    let desk = trained(["yes", "no"]);
    let base = |x: ArrayRef, hue: ArrayRef, day: ArrayRef| batch(vec![("x", x), ("hue", hue), ("day", day)]);
    let x: ArrayRef = Arc::new(Float64Array::from(vec![3.5]));
    let hue: ArrayRef = Arc::new(StringArray::from(vec!["blue"]));
    let day: ArrayRef = Arc::new(Date32Array::from(vec![19_790]));
    let times: ArrayRef = Arc::new(TimestampSecondArray::from(vec![19_790 * 86_400]));
    let text: ArrayRef = Arc::new(StringArray::from(vec!["2024-03-08"]));
    let nothing: ArrayRef = Arc::new(NullArray::new(1));
    let missing: ArrayRef = Arc::new(Float64Array::from(vec![None]));
    let scores = |name: &str, rows: &RecordBatch| {
        parquet(&desk, name, rows);
        desk.succeed(&["predict", "run", name, "--scores"]).stdout
    };
    let expected = scores("dates.parquet", &base(x.clone(), hue.clone(), day.clone()));
    assert_eq!(scores("times.parquet", &base(x.clone(), hue.clone(), times)), expected);
    assert_eq!(scores("text.parquet", &base(x.clone(), hue.clone(), text.clone())), expected);
    let lacking = scores("null.parquet", &base(missing, hue.clone(), day.clone()));
    assert_eq!(scores("nothing.parquet", &base(nothing.clone(), hue.clone(), day.clone())), lacking);
    desk.write("lacking.csv", "x,hue,day\n,blue,2024-03-08\n");
    assert_eq!(desk.succeed(&["predict", "run", "lacking.csv", "--scores"]).stdout, lacking);
    scores("no-words.parquet", &base(x.clone(), nothing, day.clone()));
    let mut verdict = Verdict::default();
    let (numbers, dates) =
        ("the model was trained on numbers in this column", "the model was trained on dates in this column");
    for (what, rows, problem, hint) in [
        ("text", base(hue.clone(), hue.clone(), day.clone()), "column `x` holds text, expected numbers", numbers),
        ("dates", base(day.clone(), hue.clone(), day.clone()), "column `x` holds dates, expected numbers", numbers),
        ("numbers", base(x.clone(), hue.clone(), x.clone()), "column `day` holds numbers, expected dates", dates),
        (
            "words",
            base(x.clone(), hue.clone(), hue.clone()),
            "record 1: column `day`: found `blue`, expected a date as 2024-03-01",
            dates,
        ),
        (
            "no such column",
            batch(vec![("x", x.clone()), ("day", day.clone())]),
            "there is no column `hue`, which the model has as a feature",
            "columns are matched by their names in the header",
        ),
    ] {
        parquet(&desk, "bad.parquet", &rows);
        let problem = format!("bad.parquet: {problem}");
        verdict.hold(&Case { what, problem: &problem, hint }, &desk.run(&["predict", "run", "bad.parquet"]), 1);
    }
    verdict.assert();
}

/// ONNX takes the table itself, of Parquet as of csv; the others say what they leave out.
#[test]
fn exports_of_a_table_take_its_columns_or_name_the_encoded_ones() {
    let desk = trained(["yes", "no"]);
    let day = Date32Array::from_iter_values((0..40).map(|i| 19_783 + i % 28));
    let table = batch(vec![
        ("x", Arc::new(Float64Array::from_iter_values((0..40).map(|i| f64::from(3 * (i % 2)) + 0.5))) as ArrayRef),
        ("hue", Arc::new(StringArray::from_iter_values((0..40).map(|i| ["red", "blue"][i % 2])))),
        ("day", Arc::new(day)),
        ("label", Arc::new(StringArray::from_iter_values((0..40).map(|i| ["yes", "no"][i % 2])))),
    ]);
    parquet(&desk, "rows.parquet", &table);
    desk.write("typed.toml", CONFIG.replace("csv", "parquet").replace("ignore = ['id']\n", ""));
    desk.succeed(&["train", "typed.toml", "--out", "typed", "-q"]);
    for run in ["run", "typed"] {
        let file = format!("{run}.onnx");
        assert!(!desk.succeed(&["export", run, "--to", "onnx", &file]).stderr.contains("encoding"));
        let note = "holds no encoding: `x` has 4 columns, x, hue=blue, hue=red, day, with missing values filled in; `--to onnx` takes the table as it comes";
        for format in ["npz", "liblinear"] {
            let seen = desk.succeed(&["export", run, "--to", format, &format!("{run}.{format}")]).stderr;
            assert!(seen.contains(note), "{run} {format}: {seen}");
        }
    }
    // One model, whichever table it was trained on, but for the configuration that it carries.
    assert_eq!(desk.bytes("run.onnx"), desk.bytes("typed.onnx"));
    assert_eq!(desk.bytes("run.liblinear"), desk.bytes("typed.liblinear"));
}

/// Bytes of a matrix of doubles as NumPy writes it.
fn npy(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let len = (10 + header.len() + 1).next_multiple_of(64) - 10;
    header += &" ".repeat(len - header.len() - 1);
    header.push('\n');
    [b"\x93NUMPY\x01\0", &u16::try_from(len).unwrap().to_le_bytes()[..], header.as_bytes(), bytes].concat()
}

fn doubles(rows: &[[f64; 2]]) -> Vec<u8> {
    npy(
        "<f8",
        &format!("({}, 2)", rows.len()),
        &rows.as_flattened().iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>(),
    )
}

fn zipped(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut writer, bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn missing_values_of_arrays_are_filled_in_or_named() {
    let desk = Desk::new();
    let row = |i: usize| if i % 7 == 3 { [f64::NAN, (i % 2) as f64] } else { [(i % 5) as f64, (i % 2) as f64] };
    let rows: Vec<[f64; 2]> = (0..40).map(row).collect();
    let labels: Vec<u8> = (0..40u8).flat_map(|i| i64::from(i % 2).to_le_bytes()).collect();
    desk.write("x.npy", doubles(&rows)).write("y.npy", npy("<i8", "(40,)", &labels));
    let text: String = (0..40).map(|i| format!("{},{}\n", row(i).map(|x| x.to_string()).join(","), i % 2)).collect();
    desk.write("rows.csv", text);
    let preprocess = "[preprocess]\nmissing = 'median'\nindicator = true\n";
    desk.write("npy.toml", format!("[data.npy]\ntrain = 'x.npy'\ntrain_labels = 'y.npy'\n{preprocess}"));
    desk.write("csv.toml", format!("[data.csv]\ntrain = 'rows.csv'\nlabel = -1\n{preprocess}"));
    for format in ["npy", "csv"] {
        desk.succeed(&["train", &format!("{format}.toml"), "--out", format, "-q"]);
    }
    let new = [[f64::NAN, 1.0], [2.0, f64::NAN], [4.0, 0.0]];
    desk.write("new.npy", doubles(&new)).write("new.csv", "NaN,1\n2,NaN\n4,0\n");
    let scores = desk.succeed(&["predict", "npy", "new.npy", "--scores"]).stdout;
    assert_eq!(scores, desk.succeed(&["predict", "csv", "new.csv", "--scores"]).stdout);
    assert_eq!(scores, desk.succeed(&["predict", "csv", "new.npy", "--scores"]).stdout);
    desk.succeed(&["evaluate", "npy"]);
    desk.succeed(&["certify", "npy"]);
    let features = burn_svm_cli::model_file::load(&desk.path("npy")).unwrap().encoding.unwrap().names();
    assert_eq!(features, ["x1", "x1 is missing", "x2"]);
    // `init` sees it, too, and an archive keeps names beside the rows.
    let archive = |rows: &[[f64; 2]], n: usize| {
        zipped(&[
            ("x.npy", doubles(rows)),
            ("y.npy", npy("<i8", &format!("({n},)"), &labels[..8 * n])),
            ("id.npy", npy("<U2", &format!("({n},)"), &"a\0\0\0b\0\0\0".repeat(n).into_bytes())),
        ])
    };
    desk.write("all.npz", archive(&rows, 40)).write("new.npz", archive(&new, 3));
    desk.succeed(&["init", "all.npz"]);
    desk.succeed(&["train", "all.toml", "--out", "all", "-q"]);
    let found = desk.succeed(&["predict", "all", "new.npz", "--output", "csv", "--keep", "id", "--keep", "y"]).stdout;
    assert!(found.starts_with("id,y,prediction\nab,0,") && found.lines().count() == 4, "{found}");
    let mut verdict = Verdict::default();
    let lacks = "`missing = \"mean\"` of [preprocess] fills missing values in, as do \"median\" and \"most-frequent\"; `ignore` leaves the column out";
    let outcome = desk.run(&[
        "train",
        "npy.toml",
        "--out",
        "z",
        "--set",
        "preprocess.missing=error",
        "--set",
        "preprocess.indicator=false",
    ]);
    verdict.hold(
        &Case { what: "no rule", problem: "x.npy: record 4: column 1: the value is missing, found NaN", hint: lacks },
        &outcome,
        1,
    );
    desk.write("whole.npy", doubles(&(0..40).map(|i| [(i % 5) as f64, (i % 2) as f64]).collect::<Vec<_>>()));
    desk.succeed(&[
        "train",
        "npy.toml",
        "--out",
        "whole",
        "-q",
        "--set",
        "data.npy.train=whole.npy",
        "--set",
        "preprocess.missing=error",
        "--set",
        "preprocess.indicator=false",
    ]);
    let hint = "the model was trained without `missing` of [preprocess], which would fill the value in";
    let case = Case {
        what: "a model without a rule",
        problem: "new.npy: record 1: column 1: the value is missing, found NaN",
        hint,
    };
    verdict.hold(&case, &desk.run(&["predict", "whole", "new.npy"]), 1);
    desk.write("inf.npy", doubles(&[[1.0, f64::INFINITY]]));
    let hint = "NaN and `missing` of [preprocess] have it filled in; too large values can be scaled down";
    let case = Case { what: "infinite", problem: "inf.npy: record 1: column 2: the value, `inf`, is not finite", hint };
    verdict.hold(&case, &desk.run(&["predict", "npy", "inf.npy"]), 1);
    verdict.assert();
}

/// A learning curve is a search over the number of training rows.
#[test]
fn a_learning_curve_is_a_search_over_training_rows() {
    let desk = Desk::new();
    let config = std::fs::read_to_string(repository("configs/search-learning-curve.toml")).unwrap();
    desk.write("my.toml", &config);
    desk.succeed(&["search", "my.toml", "--out", "s", "-q", "--set", "search.repeats=2"]);
    let found = desk.json("s/search.json");
    let mut points: Vec<(f64, f64, f64)> = found["standings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|standing| {
            let share: f64 = standing["values"]["split.train_rows"].as_str().unwrap().parse().unwrap();
            (share, standing["score"].as_f64().unwrap(), standing["standard_error"].as_f64().unwrap())
        })
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert_eq!((points.len(), points[0].0, points[7].0), (8, 0.02, 1.0));
    // More rows are better, and by more than the errors from the first to the last.
    assert!(points[7].1 - points[0].1 > 3.0 * (points[0].2 + points[7].2), "{points:?}");
    assert!(desk.read("s/figures/curves.svg").contains("train rows"));
    desk.write("my.toml", config.split("[search]").next().unwrap());
    for (rows, n) in [("100", 100), ("0.5", 575), ("1.0", 1150)] {
        let rows = format!("split.train_rows={rows}");
        desk.succeed(&["train", "my.toml", "--out", "run", "--force", "-q", "--set", &rows]);
        let result = desk.json("run/result.json");
        assert_eq!((result["n_samples"].as_u64(), result["n_validation"].as_u64()), (Some(n), Some(288)), "{rows}");
    }
    let outcome = desk.run(&["train", "my.toml", "--out", "run", "--force", "--set", "split.train_rows=5000"]);
    let problem = "my.toml: split.train_rows: found 5000, expected at most 1150, the rows to learn from";
    assert_eq!((outcome.code, outcome.problem()), (Some(2), problem));
    let many = desk
        .write("big.toml", config.replace("{ log = [0.02, 1.0], points = 8 }", "[10, 5000]"))
        .run(&["search", "big.toml", "--out", "b"]);
    assert_eq!(many.problem(), problem.replace("my.toml", "big.toml"));
    assert_eq!(many.hint(), "a fraction, 1.0 for all, holds for data of any size");
}
