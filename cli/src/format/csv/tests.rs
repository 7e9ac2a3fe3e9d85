use super::*;
use crate::data::{CellKind, Cells, Dense};
use crate::format::CellRules;
use crate::format::open::tests::{gzip, source};
use crate::format::{Format, read_table_for};
use proptest::prelude::*;
use std::fmt::Write;

fn config(text: &str) -> CsvConfig {
    toml::from_str(text).unwrap()
}

/// Trains on a text with the given keys.
fn load(text: impl AsRef<[u8]>, keys: &str) -> Result<Dataset, DataError> {
    load_both(text, None, keys)
}

fn load_both(train: impl AsRef<[u8]>, test: Option<&str>, keys: &str) -> Result<Dataset, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, train).unwrap();
    let mut config = config(&format!("train = 't.csv'\n{keys}"));
    config.train = path;
    if let Some(test) = test {
        let path = folder.path().join("u.csv");
        std::fs::write(&path, test).unwrap();
        config.test = Some(path);
    }
    config.load_as(FloatType::Auto).map_err(|e| DataError { file: e.file.file_name().unwrap().into(), ..e })
}

fn values(data: &Dataset) -> &[f32] {
    let Features::F32(dense) = &data.features else { panic!("expected floats") };
    dense.values()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats").join(name)
}

/// Values that `make_csv.py` writes.
fn expected() -> Vec<f32> {
    (0..36u8).map(|at| f32::from((7 * (at / 3) + 3 * (at % 3)) % 11) / 4.0 - 1.0).collect()
}

const CLASSES: [&str; 3] = ["ant", "bee, the", "the \"cat\"\nitself"];

#[test]
fn what_pandas_writes_is_read() {
    let mut keys = config("train = ''\nlabel = 'kind'\nweights = 'weight'\n");
    keys.train = fixture("pandas.csv");
    keys.test = Some(fixture("quoted.csv"));
    let data = keys.load_as(FloatType::Auto).unwrap();
    assert_eq!(values(&data), [expected(), expected()].concat());
    assert_eq!(data.class_names, CLASSES);
    assert_eq!(data.labels, (0..24).map(|i| i % 12 % 3).collect::<Vec<u32>>());
    let weights = (0..24u8).map(|i| if i < 12 { f32::from(i % 3) + 1.0 } else { 1.0 });
    assert_eq!(data.weights, Some(weights.collect()));
    assert_eq!(data.feature_names.unwrap(), ["one", "two", "three"]);
    assert!(data.notes[0].ends_with("pandas.csv: column 1 has no name and is left out"), "{:?}", data.notes);
}

#[test]
fn what_numpy_and_python_write_is_read() {
    let mut keys = config("train = ''\nlabel = -1\n");
    keys.train = fixture("plain.tsv");
    let data = keys.load_as(FloatType::Auto).unwrap();
    assert_eq!((values(&data), data.class_names.join(" ")), (expected().as_slice(), "0 1 2".into()));
    assert_eq!((data.n_train, data.feature_names), (12, None));
    let mut keys = config("train = ''\nlabel = 2\nignore = [\"other\"]\n");
    keys.train = fixture("quoted.csv");
    let data = keys.load_as(FloatType::Auto).unwrap();
    assert_eq!(
        (data.class_names.join("|"), data.feature_names.unwrap().join(" ")),
        (CLASSES.join("|"), "three one two".into())
    );
    let mut keys = crate::format::LibsvmConfig {
        train: fixture("dump.libsvm"),
        test: None,
        weights: None,
        index_base: Default::default(),
    };
    let data = keys.load_as(FloatType::Auto).unwrap();
    let Features::Sparse(csr) = &data.features else { panic!("expected sparse rows") };
    assert_eq!((csr.to_dense(), data.class_names.join(" ")), (expected(), "0 1 2".into()));
    assert_eq!(keys.paths_mut().len(), 1);
}

#[test]
fn a_header_is_told_by_its_names() {
    for (text, keys, header) in [
        ("a,b,y\n1,2,u\n3,4,v\n", "label = 'y'", true),
        ("a,b,y\n1,2,u\n3,4,v\n", "label = 3", true),
        ("1,2,u\n3,4,v\n", "label = 3", false),
        ("1,2,u\n3,4,v\n", "label = -1", false),
        ("u,1,2\nv,3,4\n", "label = 1\nheader = false", false),
        ("1,2,y\n1,2,u\n3,4,v\n", "label = 'y'", true),
        ("1,2,3\n1,2,u\n3,4,v\n", "label = 3\nheader = true", true),
    ] {
        let data = load(text, keys).unwrap();
        assert_eq!(values(&data), [1.0, 2.0, 3.0, 4.0], "{text}");
        assert_eq!((data.class_names.join(" ").as_str(), data.feature_names.is_some()), ("u v", header), "{text}");
    }
}

/// The first line by what stands in it and below, and the note where that is not plain.
#[test]
fn a_header_is_told_by_evidence() {
    let counts =
        "line 1 is taken for a header, because it counts the columns; `header = false` of [data.csv] says otherwise";
    let over = "line 1 is taken for a header, because it has words over numbers, though it has numbers, too; `header = false` of \
                [data.csv] says otherwise";
    let again = "line 1 is taken for a row, because `red` of column 1 comes again below; `header = true` of [data.csv] says otherwise";
    for (text, rows, note) in [
        ("0,1,2,label\n1,2,3,u\n4,5,6,v\n", 2, Some(counts)),
        ("0,1,2,3\n1,2,3,7\n4,5,6,8\n", 2, Some(counts)),
        ("0,1,2,label\n1,2,3,7\n4,5,6,8\n", 2, Some(over)),
        ("0,1,2,u\n1,2,3,u\n4,5,6,v\n", 3, None),
        ("id,2019,2020,kind\n1,2,3,u\n4,5,6,v\n", 2, Some(over)),
        ("a,b,kind\n1,2,u\n4,5,v\n", 2, None),
        ("1,2,u\n4,5,v\n", 2, None),
        ("hue,shape,kind\nred,round,u\nred,long,v\n", 2, None),
        ("red,round,u\nred,long,v\nblue,long,u\n", 3, Some(again)),
        ("day,hue,kind\n2024-03-01,red,u\n2024-03-02,blue,v\n", 2, None),
        ("NA,2,u\n4,5,v\n", 2, None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.csv");
        std::fs::write(&path, text).unwrap();
        let cells = CellRules { text: true, missing: true };
        let data = CsvConfig::of(&path).load(&Reading { cells, ..Reading::default() }).unwrap();
        assert_eq!((data.n_train, data.notes.first().map(String::as_str)), (rows, note), "{text}");
        let said = CsvConfig { header: Some(false), ..CsvConfig::of(&path) };
        assert!(said.load(&Reading { cells, ..Reading::default() }).unwrap().notes.is_empty(), "{text}");
    }
}

#[test]
fn missing_values_are_known_by_all_their_spellings() {
    let cells = CellRules { text: true, missing: true };
    let mut text = String::from("x,word,y\n");
    for spelling in crate::format::reading::MISSING {
        writeln!(text, "{spelling},{spelling},u\n1,w,v").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, text).unwrap();
    let data = CsvConfig::of(&path).load(&Reading { cells, ..Reading::default() }).unwrap();
    let frame = data.frame.unwrap();
    for column in frame.columns() {
        assert!((0..frame.n_rows()).all(|row| column.cells.is_missing(row) == (row % 2 == 0)), "{column:?}");
    }
    assert_eq!(data.features.n_rows(), frame.n_rows());
}

/// Kinds that the first lines do not tell are found all the same, in a file and in a pipe.
#[test]
fn columns_are_what_all_their_cells_are() {
    let cells = CellRules { text: true, missing: true };
    let mut text = String::from("late,zip,day,time,y\n");
    for i in 0..3000 {
        let (late, day) = if i < 2990 { ("1", "") } else { ("x", "2024-03-01") };
        let time = if i % 2 == 0 { "2024-03-01 00:00:10" } else { "2024-03-02" };
        writeln!(text, "{late},0{},{day},{time},{}", i % 3, ["u", "v"][i % 2]).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    std::fs::write(&path, &text).unwrap();
    let csv = CsvConfig { category: vec![ColumnRef::Name("zip".into())], ..CsvConfig::of(&path) };
    let frame = csv.load(&Reading { cells, ..Reading::default() }).unwrap().frame.unwrap();
    let kinds: Vec<CellKind> = frame.columns().iter().map(|column| column.kind).collect();
    assert_eq!(kinds, [CellKind::Text, CellKind::Text, CellKind::Date, CellKind::Time]);
    let Cells::Words(words) = &frame.columns()[1].cells else { panic!("words") };
    assert_eq!(words.class_names(), ["00", "01", "02"]);
    let Cells::Numbers(times) = &frame.columns()[3].cells else { panic!("numbers") };
    assert_eq!(times[..2], [19_783.0 * 86_400.0 + 10.0, 19_784.0 * 86_400.0]);
}

#[test]
fn cells_are_read_whatever_their_dress() {
    for text in [
        "1,2,u\n3,4,v\n",
        "1,2,u\r\n3,4,v\r\n",
        "\u{feff}1,2,u\n3,4,v",
        "\n1,2,u\n\n \r\n3,4,v\r",
        " 1 , +2.0 ,  u\n3e0,\"4\", \"v\" \n",
        "1;2;u\n3;4;v\n",
        "1\t2\tu\n3\t4\tv\n",
        "1|2|u\n\"3\"|40e-1|\"v\"\n",
    ] {
        let data = load(text, "label = -1\nheader = false").unwrap();
        assert_eq!(
            (values(&data), data.class_names.join(" ").as_str()),
            (&[1.0, 2.0, 3.0, 4.0][..], "u v"),
            "{text:?}"
        );
        assert_eq!(values(&load(gzip(text.as_bytes()), "label = -1\nheader = false").unwrap()).len(), 4);
    }
    let data = load("1 2 u\n3 4 v\n", "label = -1\ndelimiter = ' '").unwrap();
    assert_eq!(values(&data), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(load("1,2\n2,1.0\n3,+1\n", "label = 2\nheader = false").unwrap().class_names, ["1", "2"]);
}

#[test]
fn truth_values_are_one_and_zero() {
    for text in ["True,False,u\nfalse,TRUE,v\n", "a,b,c\ntrue,FALSE,u\n\"False\",tRUE,v\n", "a,b,c\n1,0,u\nfalse,1,v\n"]
    {
        let data = load(text, "label = -1").unwrap();
        assert_eq!(values(&data), [1.0, 0.0, 0.0, 1.0], "{text:?}");
        assert!(data.notes.is_empty());
    }
    let error = load("a,c\nTrue,u\nyes,v\n", "label = 2").unwrap_err().to_string();
    assert!(error.ends_with("t.csv:3: column `a`: found `yes`, expected a number"), "{error}");
}

#[test]
fn blanks_may_align_cells() {
    for text in [
        "1 2 u\n3 4 v\n",
        "  1   2  u\n 3  4 v  \n",
        "a   b kind \n\n1   2 u\n   \n3   4 v",
        " 1 2 \"u\" \r\n3  4 v\r\n",
    ] {
        let data = load(text, "label = -1\ndelimiter = ' '").unwrap();
        assert_eq!((values(&data), data.class_names.concat().as_str()), (&[1.0, 2.0, 3.0, 4.0][..], "uv"), "{text:?}");
    }
    let error = load(" 1  2  u\n3  4\n", "label = -1\ndelimiter = ' '").unwrap_err().to_string();
    assert!(error.ends_with("t.csv:2: found 2 cells, expected 3 as in the first row"), "{error}");
}

#[test]
fn a_comma_may_stand_before_decimals() {
    for text in ["1,5;-2;u\n,25;1e2;v\n", "a;b;c\n1,5;-2,0;u\n\"0,25\";1,0e2;v\n", "1,5\t-2\tu\n0,25\t100\tv\n"] {
        let data = load(text, "label = -1\ndecimal = ','").unwrap();
        assert_eq!(values(&data), [1.5, -2.0, 0.25, 100.0], "{text:?}");
    }
    for (text, keys, problem) in [
        ("1,5;u\n1.5;v\n", "", "t.csv:2: column 1: found `1.5`, expected a number with a decimal comma"),
        ("1,5;u\n1.000,5;v\n", "", "t.csv:2: column 1: found `1.000,5`, expected a number with a decimal comma"),
        ("1,5;u\n1,5;v\n", "delimiter = ','", "t.csv: `delimiter` and `decimal` of [data.csv] are both `,`"),
    ] {
        let error = load(text, &format!("label = -1\ndecimal = ','\n{keys}")).unwrap_err().to_string();
        assert!(error.ends_with(problem), "{error}");
    }
    let wanted =
        ModelColumns { n_features: 2, decimal: Decimal::Comma, header: Some(false), ..ModelColumns::default() };
    let table = read(source(b"1,5;2,5\n").unwrap(), Some(&wanted)).unwrap();
    assert_eq!(table.features, Features::F32(Dense::new(2, vec![1.5, 2.5])));
}

#[test]
fn bad_cells_are_named() {
    let head = "id,petal,kind\n1,0.5,u\n";
    for (row, problem) in [
        ("2,,v", "t.csv:3: column `petal`: the value is missing"),
        ("2,NA,v", "t.csv:3: column `petal`: the value is missing, found `NA`"),
        ("2,nan,v", "t.csv:3: column `petal`: the value is missing, found `nan`"),
        ("2,inf,v", "t.csv:3: column `petal`: `inf` is not finite"),
        ("2,1e39,v", "t.csv:3: column `petal`: `1e39` is beyond the range of f32"),
        ("2,red,v", "t.csv:3: column `petal`: found `red`, expected a number"),
        ("2,\"a\nb\",v", "t.csv:3: column `petal`: found `a\\nb`, expected a number"),
        ("\n\n2,1.5x,v", "t.csv:5: column `petal`: found `1.5x`, expected a number"),
        ("2,1,", "t.csv:3: column `kind`: the label is missing"),
        ("2,1,nan", "t.csv:3: column `kind`: found label `nan`, expected an integer or a word"),
        ("2,1", "t.csv:3: found 2 cells, expected 3 as in the header"),
        ("2", "t.csv:3: found 1 cell, expected 3 as in the header"),
        ("2,1,v,w,x", "t.csv:3: found 5 cells, expected 3 as in the header"),
        ("2,\"1\"x,v", "t.csv:3: found text behind the closing quote of `1`"),
        ("2,1,\"v\nw\n", "t.csv:3: a quote is opened and never closed"),
    ] {
        let error = load(format!("{head}{row}\n"), "label = 'kind'").unwrap_err();
        assert!(error.to_string().starts_with(problem), "{error}\nexpected {problem}");
        assert!(error.hint.is_some(), "{error}");
    }
    let error = load("a;y\n0,5;u\n", "label = 'y'").unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("`decimal = \",\"` of [data.csv] reads decimal commas"));
    let error = load("a,w,y\n1,1,u\n2,x,v\n", "label = 'y'\nweights = 'w'").unwrap_err();
    assert!(error.to_string().starts_with("t.csv:3: column `w`: found `x`, expected a weight"), "{error}");
    assert!(load(b"a,y\n1,\xff\n", "label = 'y'").unwrap_err().to_string().contains("is not UTF-8 text"));
}

#[test]
fn bad_files_and_columns_say_what_to_do() {
    for (text, keys, problem, hint) in [
        ("", "label = 'y'", "t.csv: found", ""),
        ("a,y\n", "label = 'y'", "t.csv: found no row of data", "header"),
        ("a,Kind\n1,u\n", "label = 'kind'", "t.csv:1: there is no column `kind`", "did you mean `Kind`?"),
        ("a,b\n1,u\n", "label = 'kind'", "t.csv:1: there is no column `kind`", "the columns are a, b"),
        (
            "1,u\n",
            "label = 'kind'\nheader = false",
            "t.csv:1: there is no header to look up column `kind` in",
            "number",
        ),
        ("1,u\n", "label = 3", "t.csv:1: there is no column 3 among 2", "-1 is the last"),
        ("1,u\n", "label = 0", "t.csv:1: there is no column 0 among 2", "count from 1"),
        ("1,u\n", "label = -3", "t.csv:1: there is no column -3 among 2", "count from 1"),
        ("a,y\n1,u\n", "label = 'y'\nweights = 'y'", "t.csv:1: column `y` is named twice", "one use"),
        ("a,a,y\n1,1,u\n", "label = 'y'", "t.csv:1: column `a` occurs twice", "rename"),
        ("u\nv\n", "label = 1", "t.csv:1: found no feature among 1 columns", "delimiter"),
        ("a,y\n1,u\n2,u\n", "label = 'y'", "t.csv: found one class only, `u` in 2 rows", "labels"),
        ("a,w,y\n1,0,u\n2,0,v\n", "label = 'y'\nweights = 'w'", "t.csv: all 2 weights are 0", "weight"),
        ("\0\0\u{8}", "label = 'y'", "t.csv: found an idx file, expected csv text", ""),
    ] {
        let error = load(text, keys).unwrap_err();
        assert!(error.to_string().starts_with(problem), "{error}\nexpected {problem}");
        assert!(error.hint.clone().unwrap_or_default().contains(hint), "{error:?}");
    }
    for (keys, problem) in
        [("label = 1\ndelimiter = 'x'", "`x` is no delimiter"), ("label = true", "expected the name of a column")]
    {
        let error = toml::from_str::<CsvConfig>(&format!("train = 'a'\n{keys}")).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn the_test_part_is_matched_by_name() {
    let train = "a,b,y\n1,2,u\n3,4,v\n";
    let data = load_both(train, Some("y,b,extra,a\nv,6,zz,5\n"), "label = 'y'").unwrap();
    assert_eq!((values(&data), data.labels.clone()), (&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..], vec![0, 1, 1]));
    let error = load_both(train, Some("y,a\nv,5\n"), "label = 'y'").unwrap_err();
    assert!(error.to_string().starts_with("u.csv:1: there is no column `b`, which train has as a feature"), "{error}");
    let error = load_both(train, Some("y,a,b\nw,5,6\n"), "label = 'y'").unwrap_err();
    assert!(error.to_string().starts_with("u.csv: record 1: label `w` does not occur in the train part"), "{error}");
}

#[test]
fn a_model_takes_its_columns_wherever_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let named = ModelColumns {
        n_features: 2,
        feature_names: Some(vec!["a".into(), "b".into()]),
        special: SpecialColumns { label: Some(ColumnRef::Name("y".into())), ..SpecialColumns::default() },
        ..ModelColumns::default()
    };
    let by_number = SpecialColumns {
        label: Some(ColumnRef::Number(-1)),
        ignore: vec![ColumnRef::Number(1)],
        ..SpecialColumns::default()
    };
    let unnamed = ModelColumns { feature_names: None, special: by_number, ..named.clone() };
    let read = |text: &str, wanted: &ModelColumns| {
        std::fs::write(&path, text).unwrap();
        read_table_for(&path, Some(Format::Csv), wanted)
    };
    for (text, wanted, labelled) in [
        ("b,y,c,a\n2,u,red,1\n", &named, true),
        ("a,b\n1,2\n", &named, false),
        ("9,1,2,u\n", &unnamed, true),
        ("1,2\n", &unnamed, false),
        ("id,a,b,y\n9,1,2,u\n", &unnamed, true),
    ] {
        let table = read(text, wanted).unwrap();
        assert_eq!(table.features, Features::F32(Dense::new(2, vec![1.0, 2.0])), "{text}");
        assert_eq!(table.labels.is_some(), labelled, "{text}");
    }
    let problem = |text: &str, wanted: &ModelColumns| read(text, wanted).unwrap_err().problem;
    assert_eq!(problem("a,c\n1,2\n", &named), "there is no column `b`, which the model has as a feature");
    assert_eq!(problem("c,d\n1,2\n", &named), "there is no column `a` (and 1 more), which the model has as a feature");
    assert_eq!(problem("a,b,a\n1,2,1\n", &named), "column `a` occurs twice");
    assert_eq!(problem("1,2,3,4,5\n", &unnamed), "found 5 columns, expected the 2 features of the model");
}

#[test]
fn lines_are_counted_across_blocks_pieces_and_quotes() {
    let mut text = String::from("id,label,x\n");
    for i in 0..300_000u32 {
        writeln!(text, "{i}.25,\"class {}\n{}\",-17.5", i % 7, "\"\"".repeat((i % 3) as usize)).unwrap();
    }
    assert!(text.len() > 8 << 20);
    let data = load(&text, "label = 2").unwrap();
    assert_eq!((data.n_train, data.n_classes()), (300_000, 21));
    assert_eq!(values(&data)[2 * 299_999..], [299_999.25, -17.5]);
    for row in [0, 123_456, 299_999] {
        let line = 2 * row + 2;
        let at = text.match_indices('\n').nth(line - 2).unwrap().0 + 1;
        let bad = format!("{}oops{}", &text[..at], &text[at..]);
        let error = load(bad, "label = 2").unwrap_err();
        assert!(error.to_string().starts_with(&format!("t.csv:{line}: column `id`: found `oops{row}.25`")), "{error}");
    }
}

#[test]
fn the_format_is_told_by_content_or_name() {
    for text in ["1,2,3\n", "a,b\n1,2\n", "a\tb\n1\t2", "x;y;z\n\n1;2;3\n", "\"a,b\",c\n1,2\n"] {
        assert_eq!(Format::detect(Path::new("-"), text.as_bytes()), Some(Format::Csv), "{text}");
    }
    for text in ["", "a\nb\n", "a,b\n1\n", "words in a line, and more\nof them\n"] {
        assert_eq!(Format::detect(Path::new("-"), text.as_bytes()), None, "{text}");
    }
    for name in ["x.csv", "x.tsv", "x.CSV.gz"] {
        assert_eq!(Format::detect(Path::new(name), b"a\nb\n"), Some(Format::Csv), "{name}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[a0-9.,;\"\n\r\t -]{0,200}") {
        for text in [bytes.as_slice(), text.as_bytes()] {
            let _ = source(text).and_then(|source| read(source, None));
            let _ = detect(Path::new("x.csv"), text);
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), text).unwrap();
            let cells = CellRules { text: true, missing: true };
            let _ = CsvConfig::of(file.path()).load(&Reading { cells, ..Reading::default() });
        }
    }

    #[test]
    fn what_is_written_is_read(
        rows in prop::collection::vec((prop::collection::vec(-9e9f32..9e9, 3), "[a-c\",;\n]{1,4}"), 1..20),
    ) {
        let mut writer = ::csv::Writer::from_writer(Vec::new());
        writer.write_record(["p", "q", "r", "class"]).unwrap();
        for (cells, label) in &rows {
            let cells = cells.iter().map(f32::to_string);
            writer.write_record(cells.chain([format!("x{label}x")])).unwrap();
        }
        let special = SpecialColumns { label: Some(ColumnRef::Name("class".into())), ..SpecialColumns::default() };
        let wanted = ModelColumns { n_features: 3, special, ..ModelColumns::default() };
        let table = read(source(&writer.into_inner().unwrap()).unwrap(), Some(&wanted)).unwrap();
        let expected: Vec<f32> = rows.iter().flat_map(|(cells, _)| cells.clone()).collect();
        prop_assert_eq!(table.features, Features::F32(Dense::new(3, expected)));
        let labels = table.labels.unwrap();
        for (i, (_, label)) in rows.iter().enumerate() {
            prop_assert_eq!(labels.name(i), format!("x{label}x"));
        }
    }
}
