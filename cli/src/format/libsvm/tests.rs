use super::*;
use crate::format::open::tests::{bzip2, gzip, source};
use crate::format::{Format, read_table};
use proptest::prelude::*;
use std::fmt::Write;

fn table(text: impl AsRef<[u8]>) -> Result<Table, DataError> {
    read(source(text.as_ref())?, None)
}

fn dense(text: &str) -> Vec<f32> {
    let Features::Sparse(csr) = table(text).unwrap().features else { panic!("expected sparse rows") };
    csr.to_dense()
}

fn load(train: &str, test: &str) -> Result<Dataset, DataError> {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["train", "test"].map(|name| folder.path().join(name));
    std::fs::write(&paths[0], train).unwrap();
    std::fs::write(&paths[1], test).unwrap();
    let [train, test] = paths;
    LibsvmConfig { train, test: Some(test), weights: None, index_base: IndexBase::Auto }.load_as(FloatType::Auto)
}

#[test]
fn rows_are_read_whatever_the_blanks() {
    let plain = dense("1 1:0.5 3:-2\n2 2:1e1\n");
    assert_eq!(plain, [0.5, 0.0, -2.0, 0.0, 10.0, 0.0]);
    assert_eq!(dense("\u{feff}# head\n\n  1\t1:0.5  3:-2 \t# cat\r\n \r\n2 2:+10.0#x"), plain);
    assert_eq!(dense("1 1: .5  3:\t-2\n2 2: 1e1"), plain);
    assert_eq!(dense("1 2:1\n1\n1 1:1"), [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
}

#[test]
fn labels_are_integers_or_words() {
    let data = load("+1 1:1\n1.0 1:1\n1\n-1.0e0 1:1\n-1 1:1\n15 1:1\n-0 1:1\n", "+1.0 1:1").unwrap();
    assert_eq!(data.class_names, ["-1", "0", "1", "15"]);
    assert_eq!(data.labels, [2, 2, 2, 0, 0, 3, 1, 2]);
    let amounts = load("1.5 1:1\n2.25 1:1\n", "1.5 1:1").unwrap_err();
    assert!(amounts.problem.starts_with("found label `1.5` among labels that are all numbers"), "{amounts}");
    let data = load("+1 1:1\nC# 1:1\n007 1:1\n7\n1e30 1:1\n", "007 1:1").unwrap();
    assert_eq!(data.class_names, ["+1", "007", "1e30", "7", "C#"]);
}

#[test]
fn a_file_without_labels_can_be_predicted_but_not_trained_on() {
    let table = table("1:0.5\n\n2:1\n").unwrap();
    assert!(table.labels.is_none());
    assert_eq!(table.features.n_rows(), 2);
    let error = load("1:0.5\n2:1\n", "").unwrap_err();
    assert!(
        error.to_string().ends_with("train:1:1: found `1:0.5`, expected a label before the first feature"),
        "{error}"
    );
}

#[test]
fn indices_count_from_one_or_from_zero() {
    let keys =
        |base: &str| toml::from_str::<LibsvmConfig>(&format!("train = ''\n{base}")).map(|config| config.index_base);
    assert_eq!(keys("").unwrap(), IndexBase::Auto);
    assert_eq!(keys("index_base = \"auto\"").unwrap(), IndexBase::Auto);
    assert_eq!((keys("index_base = 0").unwrap(), keys("index_base = 1").unwrap()), (IndexBase::Zero, IndexBase::One));
    for (base, problem) in [("2", "found 2, expected 0, 1 or"), ("\"zero\"", "found `zero`, expected 0, 1 or")] {
        assert!(keys(&format!("index_base = {base}")).unwrap_err().to_string().contains(problem), "{base}");
    }
    // An index 0 behind several pieces and blocks moves what was read before.
    let long = "1 1:2 3:4\n".repeat(1_000_000) + "1 0:1 2:3\n";
    assert!(long.len() as u64 > 9 << 20);
    let rows = dense(&long);
    assert_eq!((&rows[..4], &rows[rows.len() - 4..]), (&[0.0, 2.0, 0.0, 4.0][..], &[1.0, 0.0, 3.0, 0.0][..]));
    // Both parts count alike, whichever has the 0.
    for (train, test) in [("1 0:1 2:3\n2 1:2\n", "1 1:5\n"), ("1 1:1 2:3\n2 1:2\n", "1 0:5\n")] {
        let data = load(train, test).unwrap();
        assert_eq!(data.features.n_features(), 3, "{train}");
        let Features::Sparse(rows) = &data.features else { panic!("expected sparse rows") };
        let moved: u32 = if train.contains("0:") { 1 } else { 0 };
        assert_eq!(rows.row(2).0, [moved], "{train}");
        assert!(data.notes[0].contains("indices count from 0"), "{:?}", data.notes);
    }
    // Rows to predict count from the base that the configuration names.
    for (base, row) in [(IndexBase::Zero, [0.0, 5.0]), (IndexBase::Auto, [5.0, 0.0]), (IndexBase::One, [5.0, 0.0])] {
        let wanted = ModelColumns { n_features: 2, index_base: base, ..ModelColumns::default() };
        let Features::Sparse(mut rows) = read(source(b"1:5\n").unwrap(), Some(&wanted)).unwrap().features else {
            panic!()
        };
        rows.set_n_features(2);
        assert_eq!(rows.to_dense(), row, "{base:?}");
    }
    let wanted = ModelColumns { index_base: IndexBase::One, ..ModelColumns::default() };
    let error = read(source(b"1 0:5\n").unwrap(), Some(&wanted)).unwrap_err();
    assert!(error.to_string().ends_with(":1:3: feature index 0; indices count from 1"), "{error}");
}

#[test]
fn bad_lines_say_where_and_what() {
    for (text, expected) in [
        ("", "test: found an empty file, expected libsvm text"),
        ("# nothing\n\n", "test: found text without a row, expected libsvm text"),
        ("1\n2\n", "test: found no feature in 2 rows"),
        ("1 1:1\n\n1 12:1 7:1", "test:3:8: feature index 7 follows 12; indices must increase within a line"),
        ("1 2:1 2:1", "test:1:7: feature index 2 follows 2;"),
        ("1 2:1 0:1", "test:1:7: feature index 0 follows 2;"),
        ("1 -1:1", "test:1:3: found `-1:1`, expected `INDEX:VALUE`"),
        ("1 2147483649:1", "test:1:3: feature index `2147483649` is too large, expected at most 2147483648"),
        ("1 99999999999999999999999:1", "test:1:3: feature index `99999999999999999999999` is too large"),
        ("1 1:1\n1:1 2:1", "test:2:1: found `1:1`, expected a label before the first feature"),
        ("1:1\n1 2:1", "test:2:1: found `1`, expected `INDEX:VALUE`"),
        ("1 qid:3 1:1", "test:1:3: found `qid:3`; ranking data are not supported"),
        ("1 1:nan", "test:1:5: value `nan` is not finite"),
        ("1 1:-inf", "test:1:5: value `-inf` is not finite"),
        ("1 1:1e39", "test:1:5: value `1e39` is beyond the range of f32"),
        ("1 1:-1e999#", "test:1:5: value `-1e999` is beyond the range of f32"),
        ("1 1: 2:1", "test:1:5: found no value, expected a number after `INDEX:`"),
        ("1 1:x", "test:1:5: found value `x`, expected a number"),
        ("1 1:0,5", "test:1:5: found value `0,5`, expected a number"),
        ("1 1:2:3", "test:1:5: found value `2:3`, expected a number"),
        ("1 a:1", "test:1:3: found `a:1`, expected `INDEX:VALUE`"),
        ("1 1:1 5", "test:1:7: found `5`, expected `INDEX:VALUE`"),
        ("nan 1:1", "test:1:1: found label `nan`, expected an integer or a word"),
        ("1,2,3\n", "test: found no feature in 1 rows"),
        ("1,3 1:1\n", "test:1:1: found several labels, `1,3`, expected one"),
        ("5.1,3.5,1.4,0.2,setosa\n4.9 x\n", "test:2:5: found `x`, expected `INDEX:VALUE`"),
    ] {
        for bytes in [text.as_bytes().to_vec(), gzip(text.as_bytes()), bzip2(text.as_bytes())] {
            let error = table(bytes).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}\nexpected {expected}");
        }
    }
    assert!(table(b"\xff\xfe1\0").unwrap_err().to_string().contains("UTF-16"));
    assert!(table(b"\xe9t\xe9 1:1").unwrap_err().to_string().ends_with("is not UTF-8 text"));
    assert!(table("1 2:1 0:1").unwrap_err().hint.is_some());
    assert!(table("1:1\n1 2:1").unwrap_err().hint.unwrap().starts_with("the first row has no label"));
}

#[test]
fn lines_are_counted_across_blocks_and_pieces() {
    let mut text = String::new();
    for i in 0..400_000 {
        writeln!(text, "{} {}:0.25 {}:-17.5 # row {i}", i % 7, 1 + i % 50, 100 + i % 3).unwrap();
    }
    assert!(text.len() > 10 << 20);
    let table = table(&text).unwrap();
    let Features::Sparse(csr) = &table.features else { panic!("expected sparse rows") };
    assert_eq!((csr.n_rows(), csr.nnz(), csr.n_features()), (400_000, 800_000, 102));
    assert_eq!(csr.row(399_999), (&[49, 99][..], &[0.25, -17.5][..]));
    assert_eq!(table.labels.unwrap().name(399_999), "5");
    for line in [3, 123_456, 399_998] {
        let at = text.match_indices('\n').nth(line - 2).unwrap().0 + 1;
        let bad = format!("{}1 5:x\n{}1 y", &text[..at], &text[at..]);
        let expected = format!("test:{line}:5: found value `x`, expected a number");
        assert_eq!(super::tests::table(bad).unwrap_err().to_string(), expected);
    }
}

#[test]
fn the_test_part_takes_the_width_and_the_classes_of_train() {
    let data = load("a 1:1 3:1\nb 2:1\n", "b 1:5 4:1 9:1\na\n").unwrap();
    assert_eq!((data.features.n_features(), data.features.n_rows(), data.n_train), (3, 4, 2));
    assert_eq!((data.labels, data.class_names.join(" ")), (vec![0, 1, 1, 0], "a b".to_owned()));
    assert!(
        data.notes[0].ends_with("test: dropped 2 cells of features 4 to 9, which train does not have"),
        "{:?}",
        data.notes
    );
    assert_eq!(load("a 1:1 3:1\nb 2:1\n", "b 1:5\n").unwrap().features.n_features(), 3);
    let error = load("1 1:1\n2 1:1\n", "1 1:1\n\n3 1:1\n").unwrap_err();
    assert!(error.to_string().ends_with("test: record 2: label `3` does not occur in the train part"), "{error}");
    assert!(error.hint.unwrap().ends_with("the train part has 2 classes: 1, 2"));
    let error = load("1 1:1\n2 1:1\n", "1 1:1\n3 1:1\n4 1:1\n").unwrap_err();
    assert!(
        error.to_string().ends_with("label `3` does not occur in the train part; 2 rows have such labels"),
        "{error}"
    );
    let error = load("1 1:1\n1 2:1\n", "1 1:1").unwrap_err().to_string();
    assert!(error.ends_with("train: found one class only, `1` in 2 rows, expected at least two classes"), "{error}");
}

#[test]
fn the_format_is_told_by_the_content() {
    for text in ["1 1:0.5\n", "# x\n\n-1\n+1 3:2\n", "cat 12:1", "1:2 3:4"] {
        assert_eq!(Format::detect(Path::new("-"), text.as_bytes()), Some(Format::Libsvm), "{text}");
    }
    for text in ["", "a b\n1 1:1", "x: y: z", "\u{0}\u{0}"] {
        assert_eq!(Format::detect(Path::new("-"), text.as_bytes()), None, "{text}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    std::fs::write(&path, "12\n").unwrap();
    let error = read_table(&path, None).unwrap_err();
    assert!(
        error.to_string().ends_with("found text, expected one of npy, parquet, arrow, images, idx, cifar, libsvm, csv"),
        "{error}"
    );
}

#[test]
fn the_shared_files_have_the_sizes_that_their_page_gives() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/libsvm");
    if !folder.is_dir() {
        return println!("skipped: no shared data");
    }
    for (train, test, n_train, n_test, n_features, n_classes) in [
        ("letter.scale", Some("letter.scale.t"), 15_000, 5_000, 16, 26),
        ("pendigits", Some("pendigits.t"), 7_494, 3_498, 16, 10),
        ("vowel.scale", Some("vowel.scale.t"), 528, 462, 10, 11),
        ("dna.scale", Some("dna.scale.t"), 2_000, 1_175, 180, 3),
        ("segment.scale", None, 2_310, 0, 19, 7),
        ("vehicle.scale", None, 846, 0, 18, 4),
        ("glass.scale", None, 214, 0, 9, 6),
        ("news20-bydate.bz2", Some("news20-bydate.t.bz2"), 11_314, 7_532, 32_443, 20),
    ] {
        let config = LibsvmConfig {
            train: folder.join(train),
            test: test.map(|test| folder.join(test)),
            weights: None,
            index_base: IndexBase::Auto,
        };
        let data = config.load_as(FloatType::Auto).unwrap();
        let found = (data.n_train, data.labels.len() - data.n_train, data.features.n_features(), data.n_classes());
        assert_eq!(found, (n_train, n_test, n_features, n_classes), "{train}");
        if train.starts_with("news20") {
            let Features::Sparse(csr) = &data.features else { panic!("expected sparse rows") };
            assert_eq!((csr.nnz(), data.notes.len()), (1_475_137 + 946_375, 0));
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[0-9:.# \t\ne+a-]{0,300}") {
        let _ = table(&bytes);
        let _ = table(&text);
        let _ = detect(&bytes);
    }

    #[test]
    fn a_changed_byte_is_read_or_refused_in_its_place(at in 0usize..34, byte: u8) {
        let mut bytes = b"1 1:0.5 3:-2\n2 2:1e1 # x\n3 7:1\n-1\n".to_vec();
        bytes[at] = byte;
        if let Err(error) = blocks::read::<f32>(source(&bytes).unwrap(), true, &mut IndexBase::Auto) && let Position::LineColumn(line, _) = error.position {
            let changed = bytes[..at].iter().filter(|&&b| b == b'\n').count() + 1;
            prop_assert!(line == changed || line == changed + 1, "{}", error);
        }
    }

    #[test]
    fn what_is_written_is_read(rows in prop::collection::vec((0u8..5, prop::collection::btree_map(1u32..40, -9f32..9.0, 1..6)), 1..20)) {
        let mut text = String::new();
        for (label, cells) in &rows {
            write!(text, "{label}").unwrap();
            cells.iter().for_each(|(index, value)| write!(text, " {index}:{value}").unwrap());
            text.push('\n');
        }
        let Features::Sparse(csr) = table(&text).unwrap().features else { panic!("expected sparse rows") };
        for (i, (_, cells)) in rows.iter().enumerate() {
            let expected: (Vec<u32>, Vec<f32>) = cells.iter().map(|(index, value)| (index - 1, *value)).unzip();
            prop_assert_eq!(csr.row(i), (expected.0.as_slice(), expected.1.as_slice()));
        }
    }
}
