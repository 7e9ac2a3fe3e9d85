use crate::data::{CellKind, Cells, Dataset, Frame};
use crate::format::arrow::tests::{table, written};
use crate::format::{CellRules, DataConfig, DataError, Reading, TypedConfig};
use arrow_array::builder::{Decimal128Builder, Float64Builder, ListBuilder, StringBuilder};
use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{
    ArrayRef, BooleanArray, Date32Array, Date64Array, DictionaryArray, Float32Array, Float64Array, Int8Array,
    Int32Array, Int64Array, LargeStringArray, NullArray, RecordBatch, RunArray, StringArray, StringViewArray,
    StructArray, TimestampMillisecondArray, TimestampSecondArray, UInt8Array, UInt64Array,
};
use std::path::Path;
use std::sync::Arc;

const ALL: CellRules = CellRules { text: true, missing: true };
const NONE: CellRules = CellRules { text: false, missing: false };

fn load_at(path: &Path, keys: &str, cells: CellRules) -> Result<Dataset, DataError> {
    let config: TypedConfig = toml::from_str(&format!("train = ''\nlabel = 'y'\n{keys}")).unwrap();
    let config = TypedConfig { train: path.to_path_buf(), ..config };
    let is_parquet = path.is_dir() || path.to_string_lossy().ends_with("parquet");
    let config = if is_parquet { DataConfig::Parquet(config) } else { DataConfig::Arrow(config) };
    let data = config.load_as(&Reading { cells, ..Reading::default() });
    data.map_err(|e| DataError { file: e.file.file_name().unwrap().into(), ..e })
}

/// A table of a column `x` and a label, as each container has it.
fn batch(x: ArrayRef) -> RecordBatch {
    let labels: StringArray = (0..x.len()).map(|i| Some(["u", "v"][i % 2])).collect();
    table(vec![("x", x), ("y", Arc::new(labels))])
}

fn each(x: ArrayRef, keys: &str, cells: CellRules, check: impl Fn(&str, Result<Dataset, DataError>)) {
    let folder = tempfile::tempdir().unwrap();
    for (bytes, name) in written(&batch(x)).iter().zip(["a.arrow", "b.arrow", "c.arrows", "d.parquet"]) {
        // Parquet has no runs.
        if !bytes.is_empty() {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            check(name, load_at(&path, keys, cells));
        }
    }
}

fn shown(frame: &Frame) -> (CellKind, Vec<String>) {
    let column = &frame.columns()[0];
    let cells = match &column.cells {
        Cells::Numbers(values) => values.iter().map(f64::to_string).collect(),
        Cells::Words(words) => (0..words.len()).map(|row| words.name(row).to_owned()).collect(),
    };
    (column.kind, cells)
}

fn words(cells: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(cells.to_vec()))
}

/// Arrays of each type, with what they are in a table with missing values, and in one whose column is a category.
#[test]
fn every_type_is_numbers_dates_or_words() {
    use CellKind::{Date, Number, Text, Time};
    let day = Some(19_783);
    let dictionary = |keys: Vec<Option<i8>>, values: ArrayRef| -> ArrayRef {
        Arc::new(DictionaryArray::<Int8Type>::new(Int8Array::from(keys), values))
    };
    let mut prices = Decimal128Builder::new().with_precision_and_scale(20, 2).unwrap();
    prices.append_value(-150);
    prices.append_null();
    let midnights = TimestampSecondArray::from(vec![Some(172_800), None]);
    let zoned = TimestampSecondArray::from(vec![Some(90), None]).with_timezone("+02:00");
    for (what, array, kind, cells, category) in [
        ("text", words(&[Some("b"), None]), Text, ["b", ""], ["b", ""]),
        ("empty text", words(&[Some("b"), Some("")]), Text, ["b", ""], ["b", ""]),
        ("large text", Arc::new(LargeStringArray::from(vec![Some("b"), None])), Text, ["b", ""], ["b", ""]),
        ("views", Arc::new(StringViewArray::from(vec![Some("b"), None])), Text, ["b", ""], ["b", ""]),
        ("digits as text", words(&[Some("007"), Some("NA")]), Text, ["007", "NA"], ["007", "NA"]),
        ("dates as text", words(&[Some("2024-03-01"), None]), Date, ["19783", "NaN"], ["2024-03-01", ""]),
        (
            "times as text",
            words(&[Some("1970-01-01 00:01:30"), Some("1970-01-02")]),
            Time,
            ["90", "86400"],
            ["1970-01-01 00:01:30", "1970-01-02"],
        ),
        (
            "dates among words",
            words(&[Some("2024-03-01"), Some("soon")]),
            Text,
            ["2024-03-01", "soon"],
            ["2024-03-01", "soon"],
        ),
        ("dates", Arc::new(Date32Array::from(vec![day, None])), Date, ["19783", "NaN"], ["2024-03-01", ""]),
        (
            "long dates",
            Arc::new(Date64Array::from(vec![86_400_000, 0])),
            Date,
            ["1", "0"],
            ["1970-01-02", "1970-01-01"],
        ),
        (
            "times",
            Arc::new(TimestampMillisecondArray::from(vec![Some(90_250), None])),
            Time,
            ["90.25", "NaN"],
            ["1970-01-01 00:01:30.25", ""],
        ),
        ("midnights", Arc::new(midnights), Date, ["2", "NaN"], ["1970-01-03 00:00:00", ""]),
        ("times with a zone", Arc::new(zoned), Time, ["90", "NaN"], ["1970-01-01 00:01:30Z", ""]),
        ("truth", Arc::new(BooleanArray::from(vec![Some(true), None])), Number, ["1", "NaN"], ["true", ""]),
        ("small", Arc::new(Float32Array::from(vec![0.5, f32::NAN])), Number, ["0.5", "NaN"], ["0.5", "NaN"]),
        (
            "large",
            Arc::new(UInt64Array::from(vec![Some(1 << 40), None])),
            Number,
            ["1099511627776", "NaN"],
            ["1099511627776", ""],
        ),
        ("decimals", Arc::new(prices.finish()), Number, ["-1.5", "NaN"], ["-1.50", ""]),
        ("nothing", Arc::new(NullArray::new(2)), Number, ["NaN", "NaN"], ["", ""]),
        ("no text", words(&[None, None]), Text, ["", ""], ["", ""]),
        ("a dictionary", dictionary(vec![Some(1), None], words(&[Some("a"), Some("b")])), Text, ["b", ""], ["b", ""]),
        (
            "a dictionary with a null and a word twice",
            dictionary(vec![Some(0), Some(1)], words(&[None, Some("b"), Some("b")])),
            Text,
            ["", "b"],
            ["", "b"],
        ),
        (
            "a dictionary of numbers",
            dictionary(vec![Some(1), None], Arc::new(Int64Array::from(vec![7, 8]))),
            Number,
            ["8", "NaN"],
            ["8", ""],
        ),
        (
            "a dictionary of dates",
            dictionary(vec![Some(0), None], Arc::new(Date32Array::from(vec![day]))),
            Date,
            ["19783", "NaN"],
            ["2024-03-01", ""],
        ),
    ] {
        each(Arc::clone(&array), "", ALL, |name, found| {
            let found = shown(found.unwrap().frame.as_ref().unwrap());
            assert_eq!(found, (kind, cells.map(str::to_owned).to_vec()), "{what} {name}");
        });
        each(array, "category = ['x']", ALL, |name, found| {
            let found = shown(found.unwrap().frame.as_ref().unwrap());
            assert_eq!(found, (Text, category.map(str::to_owned).to_vec()), "{what} {name}");
        });
    }
}

#[test]
fn runs_are_rows_in_arrow_files() {
    let ends = Int32Array::from(vec![2, 3, 5]);
    let values = StringArray::from(vec![Some("a"), None, Some("b")]);
    let runs: RunArray<Int32Type> = RunArray::try_new(&ends, &values).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.arrow");
    let batch = batch(Arc::new(runs));
    let mut file = std::fs::File::create(&path).unwrap();
    let mut writer = arrow_ipc::writer::FileWriter::try_new(&mut file, &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    drop(writer);
    let found = load_at(&path, "", ALL).unwrap();
    assert_eq!(
        shown(found.frame.as_ref().unwrap()),
        (CellKind::Text, ["a", "a", "", "b", "b"].map(str::to_owned).to_vec())
    );
}

#[test]
fn what_cannot_be_a_feature_is_named() {
    let mut lists = ListBuilder::new(StringBuilder::new());
    (0..2).for_each(|_| {
        lists.values().append_value("a");
        lists.append(true);
    });
    let one: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
    let pair: ArrayRef = Arc::new(StructArray::try_from(vec![("a", one)]).unwrap());
    let lists: ArrayRef = Arc::new(lists.finish());
    let lacks = "fills missing values in";
    for (array, keys, cells, problem, hint) in [
        (lists, "", ALL, "column `x` holds lists or structures of text, expected numbers", "`ignore` leaves"),
        (pair, "", ALL, "column `x` holds lists or structures, expected numbers", "`ignore` leaves"),
        (words(&[Some("a"), Some("b")]), "", NONE, "record 1: column `x`: found `a`, expected a number", "one-hot"),
        (
            words(&[Some("2024-03-01"), Some("b")]),
            "",
            NONE,
            "record 2: column `x`: found `b`, expected a number",
            "one-hot",
        ),
        (words(&[Some("2024-03-01"), None]), "", NONE, "record 2: column `x`: the value is missing", lacks),
        (words(&[Some("a"), None]), "category = ['x']", NONE, "record 2: column `x`: the value is missing", lacks),
        (Arc::new(NullArray::new(2)), "", NONE, "record 1: column `x`: the value is missing", lacks),
        (
            Arc::new(Float64Array::from(vec![1.0, f64::INFINITY])),
            "",
            ALL,
            "record 2: column `x`: `inf` is not finite",
            "make it null",
        ),
    ] {
        each(array, keys, cells, |name, found| {
            let error = found.unwrap_err();
            assert_eq!(error.to_string(), format!("{name}: {problem}"));
            assert!(error.hint.as_ref().is_some_and(|found| found.contains(hint)), "{problem}: {:?}", error.hint);
        });
    }
}

#[test]
fn lists_may_lack_numbers_and_whole_rows() {
    let mut lists = ListBuilder::new(Float64Builder::new());
    lists.append_value([Some(1.0), None]);
    lists.append_null();
    lists.append_value([Some(f64::NAN), Some(4.0)]);
    let lists: ArrayRef = Arc::new(lists.finish());
    let columns = |data: Dataset| {
        let frame = data.frame.unwrap();
        let shown = |at: usize| match &frame.columns()[at].cells {
            Cells::Numbers(values) => values.iter().map(f64::to_string).collect::<Vec<_>>().join(" "),
            Cells::Words(_) => panic!("expected numbers"),
        };
        (frame.names().unwrap().join(" "), shown(0), shown(1))
    };
    each(Arc::clone(&lists), "", ALL, |name, found| {
        let expected = ("x[0] x[1]".to_owned(), "1 NaN NaN".to_owned(), "NaN NaN 4".to_owned());
        assert_eq!(columns(found.unwrap()), expected, "{name}");
    });
    each(lists, "", NONE, |name, found| {
        let error = found.unwrap_err();
        assert_eq!(error.to_string(), format!("{name}: record 2: column `x`: the value is missing"));
    });
}

#[test]
fn long_whole_numbers_are_rounded_with_a_note() {
    for (array, is_noted) in [
        (Arc::new(Int64Array::from(vec![1, (1 << 53) + 1])) as ArrayRef, true),
        (Arc::new(UInt64Array::from(vec![1, u64::MAX])), true),
        (Arc::new(Int64Array::from(vec![1, (1 << 53) - (1 << 30)])), false),
    ] {
        for cells in [ALL, NONE] {
            each(Arc::clone(&array), "", cells, |name, found| {
                let notes = found.unwrap().notes;
                let note = "column `x` has whole numbers beyond 2^53, which are rounded";
                assert_eq!(notes.iter().any(|found| found.starts_with(note)), is_noted, "{name} {notes:?}");
            });
        }
        // As codes they are whole.
        each(array, "category = ['x']", ALL, |name, found| {
            let data = found.unwrap();
            assert!(data.notes.is_empty(), "{name}");
            let (_, cells) = shown(data.frame.as_ref().unwrap());
            assert!(
                ["9007199254740993", "18446744073709551615", "9007198180999168"].contains(&&*cells[1]),
                "{cells:?}"
            );
        });
    }
}

#[test]
fn part_files_may_differ_in_sizes_and_in_what_is_missing() {
    let parts = |arrays: &[ArrayRef]| {
        let folder = tempfile::tempdir().unwrap();
        for (at, array) in arrays.iter().enumerate() {
            let bytes = &written(&batch(Arc::clone(array)))[3];
            std::fs::write(folder.path().join(format!("part-{at}.parquet")), bytes).unwrap();
        }
        let found = load_at(folder.path(), "", ALL).map(|data| shown(&data.frame.unwrap()));
        found.map_err(|error| error.to_string())
    };
    let text = |cells: &[&str]| cells.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>();
    let nothing: ArrayRef = Arc::new(NullArray::new(2));
    let (bytes, floats): (ArrayRef, ArrayRef) =
        (Arc::new(UInt8Array::from(vec![7, 8])), Arc::new(Float64Array::from(vec![0.5, 1e10])));
    assert_eq!(
        parts(&[bytes.clone(), floats.clone()]),
        Ok((CellKind::Number, text(&["7", "8", "0.5", "10000000000"])))
    );
    assert_eq!(parts(&[nothing.clone(), floats]), Ok((CellKind::Number, text(&["NaN", "NaN", "0.5", "10000000000"]))));
    let dates: ArrayRef = Arc::new(Date32Array::from(vec![1, 2]));
    assert_eq!(parts(&[nothing.clone(), dates.clone()]), Ok((CellKind::Date, text(&["NaN", "NaN", "1", "2"]))));
    let (first, second) = (words(&[Some("a"), Some("b")]), words(&[Some("c"), Some("a")]));
    assert_eq!(parts(&[first.clone(), nothing, second]), Ok((CellKind::Text, text(&["a", "b", "", "", "c", "a"]))));
    let problem = parts(&[first, bytes.clone()]).unwrap_err();
    assert!(problem.starts_with("part-1.parquet: column 1 is `x` of UInt8, expected `x` of Utf8 as in "), "{problem}");
    let problem = parts(&[bytes, dates]).unwrap_err();
    assert!(
        problem.starts_with("part-1.parquet: column 1 is `x` of Date32, expected `x` of UInt8 as in "),
        "{problem}"
    );
}
