use super::MAGIC;
use super::chunks::{Chunk, Chunks};
use crate::data::{Dataset, Features};
use crate::format::columns::SpecialColumns;
use crate::format::open::tests::{gzip, source};
use crate::format::{ColumnRef, DataConfig, DataError, Format, ModelColumns, TypedConfig, read_source, read_table_for};
use ::parquet::basic::Compression;
use ::parquet::file::reader::ChunkReader as _;
use bytes::Bytes;
use proptest::prelude::*;
use std::io::Read as _;
use std::path::PathBuf;

fn fixture(name: &str) -> PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats").join(name)
}

fn config(name: &str, keys: &str) -> TypedConfig {
    let config: TypedConfig = toml::from_str(&format!("train = ''\n{keys}")).unwrap();
    TypedConfig { train: fixture(name), ..config }
}

fn load(name: &str, keys: &str) -> Result<Dataset, DataError> {
    load_config(&config(name, keys)).map_err(|e| DataError { file: e.file.file_name().unwrap().into(), ..e })
}

fn load_config(config: &TypedConfig) -> Result<Dataset, DataError> {
    DataConfig::Parquet(config.clone()).load()
}

/// Values that `make_parquet.py` writes.
fn expected() -> Vec<f32> {
    (0..36u8).map(|at| f32::from((7 * (at / 3) + 3 * (at % 3)) % 11) / 4.0 - 1.0).collect()
}

fn values<'a>(features: &'a Features<'_>) -> &'a [f32] {
    let Features::F32(dense) = features else { panic!("expected floats") };
    dense.values()
}

const CLASSES: [&str; 3] = ["ant", "bee, the", "the \"cat\"\nitself"];

#[test]
fn many_columns_and_row_groups_come_to_their_places() {
    let data = load("wide.parquet", "label = 'y'").unwrap();
    let cells = (0..40 * 20).map(|at| ((7 * (at / 20) + 13 * (at % 20)) % 101) as f32);
    assert_eq!(values(&data.features), cells.collect::<Vec<f32>>());
    assert_eq!(data.labels, (0..40).map(|i| i % 3).collect::<Vec<u32>>());
}

#[test]
fn what_pandas_writes_is_read() {
    let data = load("pandas.parquet", "label = 'kind'\nweights = 'weight'").unwrap();
    assert_eq!(values(&data.features), expected());
    assert_eq!((data.class_names.as_slice(), data.n_train), (CLASSES.map(str::to_owned).as_slice(), 12));
    assert_eq!(data.labels, (0..12).map(|i| i % 3).collect::<Vec<u32>>());
    assert_eq!(data.weights, Some((0..12u8).map(|i| f32::from(i % 3) + 1.0).collect()));
    assert_eq!(data.feature_names.unwrap(), ["one", "two", "three"]);
    let note = "pandas.parquet: column `__index_level_0__` is a row index or has no name, and is left out";
    assert!(data.notes[0].ends_with(note), "{:?}", data.notes);
}

#[test]
fn all_compressions_and_types_are_read_and_matched_by_name() {
    for codec in ["none", "gzip", "zstd", "lz4"] {
        let mut config = config("pandas.parquet", "label = 'kind'\nweights = 'weight'");
        config.test = Some(fixture(&format!("typed.{codec}.parquet")));
        let data = load_config(&config).unwrap();
        assert_eq!(values(&data.features), expected().repeat(2), "{codec}");
        assert_eq!(data.labels, (0..24).map(|i| i % 12 % 3).collect::<Vec<u32>>());
        assert_eq!(config.paths_mut().len(), 2);
    }
}

#[test]
fn all_encodings_are_read() {
    let data = load("encodings.parquet", "label = 'kind'\nignore = ['lengths']").unwrap();
    let rows: Vec<f32> = expected()
        .chunks(3)
        .zip(0..)
        .flat_map(|(row, i)| {
            let whole = |x: f32| x * 4.0;
            let flag = f32::from(u8::from(i % 3 == 1));
            let large = ((row[0] * 4.0 + 4.0) as u64) << 60;
            [
                whole(row[0]),
                whole(row[1]) * 1e12,
                row[2],
                row[0],
                whole(row[1]),
                whole(row[2]) + 4.0,
                large as f32,
                flag,
            ]
        })
        .collect();
    assert_eq!(values(&data.features), rows);
    assert_eq!(data.class_names, ["class 0", "class 1", "class 2"]);
    let data = load("encodings.parquet", "label = 'lengths'\nignore = ['kind']").unwrap();
    assert_eq!(data.class_names, CLASSES);
    let data = load("encodings.parquet", "label = 'flag'\nignore = ['kind', 'lengths']").unwrap();
    assert_eq!(data.class_names, ["false", "true"]);
    let data = load("encodings.parquet", "label = 6\nignore = ['kind', 9]").unwrap();
    assert_eq!((data.n_classes(), data.class_names[0].as_str()), (11, "0"));
}

#[test]
fn bytes_stay_bytes_where_both_parts_are() {
    let data = load("bytes.parquet", "label = -1").unwrap();
    let Features::U8(dense) = &data.features else { panic!("expected bytes") };
    assert_eq!((dense.row(0), dense.row(11)), (&[0, 3, 6, 9, 12, 0][..], &[77, 80, 83, 86, 89, 1][..]));
    assert_eq!(data.class_names, ["0", "1", "2"]);
    let mut config = config("encodings.parquet", "label = 'kind'\nignore = [1, 2, 3, 4, 5, 7, 8, 9]");
    assert_eq!(load_config(&config).unwrap().features.kind(), "f32", "sixteen bits are no byte");
    config = super::tests::config("bytes.parquet", "label = 'label'\nignore = ['p0', 'p1', 'p2', 'p3', 'p4']");
    assert_eq!(load_config(&config).unwrap().features.kind(), "u8");
}

#[test]
fn a_model_takes_its_columns_wherever_they_stand() {
    let named = |label: &str| ModelColumns {
        n_features: 3,
        feature_names: Some(["one", "two", "three"].map(str::to_owned).to_vec()),
        special: SpecialColumns { label: Some(ColumnRef::Name(label.into())), ..SpecialColumns::default() },
        ..ModelColumns::default()
    };
    let table = read_table_for(&fixture("typed.zstd.parquet"), None, &named("kind")).unwrap();
    assert_eq!((values(&table.features), table.labels.unwrap().len()), (expected().as_slice(), 12));
    let table = read_table_for(&fixture("typed.none.parquet"), Some(Format::Parquet), &named("class")).unwrap();
    assert!(table.labels.is_none());
    let bytes = std::fs::read(fixture("typed.gzip.parquet")).unwrap();
    for bytes in [gzip(&bytes), bytes] {
        let table = read_source(source(&bytes).unwrap(), None, Some(&named("kind"))).unwrap();
        assert_eq!(values(&table.features), expected(), "from memory");
    }
    let error = read_table_for(&fixture("bytes.parquet"), None, &named("kind")).unwrap_err();
    assert!(error.to_string().ends_with("there is no column `one` (and 2 more), which the model has as a feature"));
}

#[test]
fn bad_cells_and_columns_are_named() {
    let all = ["lacks", "nan", "infinite", "huge", "text", "when", "negative", "y"];
    let without =
        |kept: &str| all.iter().filter(|name| **name != kept).map(|name| format!("'{name}', ")).collect::<String>();
    for (column, problem) in [
        ("lacks", "bad.parquet: record 3: column `lacks`: the value is missing"),
        ("nan", "bad.parquet: record 2: column `nan`: the value is missing, found NaN"),
        ("infinite", "bad.parquet: record 4: column `infinite`: `inf` is not finite"),
        ("huge", "bad.parquet: record 5: column `huge`: `1e39` is beyond the range of f32"),
        ("text", "bad.parquet: record 1: column `text`: found `a`, expected a number"),
    ] {
        let error = load("bad.parquet", &format!("label = 'label'\nignore = [{}]", without(column))).unwrap_err();
        assert_eq!(error.to_string(), problem);
        assert!(error.hint.unwrap().contains("`ignore`"));
    }
    let ignored = without("y");
    for (keys, problem) in [
        ("label = 'y'", "bad.parquet: record 4: column `y`: the value is missing"),
        ("label = 'when'", "bad.parquet: column `when` holds times, expected labels"),
        ("label = 'kind'", "bad.parquet: there is no column `kind`"),
        (
            "label = 'label'\nweights = 'negative'",
            "bad.parquet: record 2: column `negative`: found `-1`, expected a weight",
        ),
        ("label = 'label'\nweights = 'text'", "bad.parquet: column `text` holds text, expected numbers"),
    ] {
        let used = ["when", "negative", "text"].into_iter().find(|name| keys.contains(&format!("'{name}'")));
        let ignored = format!("{ignored}'{}'", if keys.contains("'y'") { "label" } else { "y" });
        let ignored = used.map_or(ignored.clone(), |used| ignored.replace(&format!("'{used}', "), ""));
        let error = load("bad.parquet", &format!("{keys}\nignore = [{ignored}]")).unwrap_err();
        assert!(error.to_string().starts_with(problem), "{error}\nexpected {problem}");
        assert!(error.hint.is_some());
    }
    for (name, keys, problem) in [
        (
            "typed.none.parquet",
            "label = 'kind'",
            "typed.none.parquet: column `tags` holds lists or structures of text, expected numbers",
        ),
        (
            "typed.none.parquet",
            "label = 'kind'\nignore = ['tags']",
            "typed.none.parquet: column `pair` holds lists or structures, expected numbers",
        ),
        (
            "typed.none.parquet",
            "label = 'tags'",
            "typed.none.parquet: column `tags` holds lists or structures of text, expected labels",
        ),
        ("typed.none.parquet", "label = 'when'", "typed.none.parquet: column `when` holds dates, expected labels"),
        (
            "brotli.parquet",
            "label = 'label'",
            "brotli.parquet: column `a`: it is compressed by Brotli, expected none, snappy",
        ),
        ("pandas.csv", "label = 'kind'", "pandas.csv: byte 0: found text, expected a Parquet file"),
    ] {
        let error = load(name, keys).unwrap_err();
        assert!(error.to_string().starts_with(problem), "{error}\nexpected {problem}");
    }
}

#[test]
fn damaged_files_are_refused() {
    let whole = std::fs::read(fixture("encodings.parquet")).unwrap();
    let read = |bytes: &[u8]| {
        let special = SpecialColumns {
            label: Some(ColumnRef::Name("kind".into())),
            ignore: vec![ColumnRef::Name("lengths".into())],
            ..SpecialColumns::default()
        };
        let wanted = ModelColumns { special, ..ModelColumns::default() };
        read_source(source(bytes).unwrap(), Some(Format::Parquet), Some(&wanted))
    };
    let kept = read(&whole).unwrap();
    for cut in [4, 11, 100, whole.len() / 2, whole.len() - 1] {
        let error = read(&whole[..cut]).unwrap_err().to_string();
        assert_eq!(error, "test: the file is cut off: its footer is missing", "{cut}");
    }
    let n = whole.len();
    let with = |at: usize, bytes: &[u8]| [&whole[..at], bytes, &whole[at + bytes.len()..]].concat();
    for (bytes, problem) in [
        (with(n - 4, b"PARE"), "test: the file is encrypted"),
        (with(n - 8, &u32::MAX.to_le_bytes()), "test: the footer is longer than the file"),
        (with(n - 8, &[3, 0, 0, 0]), "test: the footer is damaged: "),
    ] {
        let error = read(&bytes).unwrap_err().to_string();
        assert!(error.starts_with(problem), "{error}\nexpected {problem}");
    }
    // Every page has a checksum: a byte of the data that changed is found.
    let (mut refused, mut changed) = (0, 0);
    for (at, byte) in whole.iter().enumerate().take(n / 3).skip(4) {
        match read(&with(at, &[byte ^ 0x40])) {
            Ok(table) => changed += usize::from(table != kept),
            Err(error) => {
                assert!(error.hint.is_some(), "{error}");
                refused += 1;
            }
        }
    }
    // The headers of pages have none: an encoding may become another one.
    assert!(refused > n / 6 && changed < 20, "{refused} refused, {changed} changed, of {n}");
}

#[test]
fn a_small_file_that_promises_much_is_refused() {
    // One row group whose footer says 2^40 rows: the numbers of rows stand in the footer twice.
    let whole = std::fs::read(fixture("bytes.parquet")).unwrap();
    let footer_len = u32::from_le_bytes(*whole[whole.len() - 8..].first_chunk().unwrap()) as usize;
    let start = whole.len() - 8 - footer_len;
    let mut footer = whole[start..whole.len() - 8].to_vec();
    let huge = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
    let mut at = 0;
    // Field 3 (a difference of one) with the type of i64, and zigzag 12.
    while let Some(found) = footer[at..].windows(2).position(|w| w == [0x16, 24]) {
        footer.splice(at + found + 1..at + found + 2, huge);
        at += found + 1 + huge.len();
    }
    let mut bytes = whole[..start].to_vec();
    bytes.extend(&footer);
    bytes.extend(u32::try_from(footer.len()).unwrap().to_le_bytes());
    bytes.extend(MAGIC);
    let error = read_source(source(&bytes).unwrap(), Some(Format::Parquet), None).unwrap_err().to_string();
    assert!(error.starts_with("test: the data need more than ") && error.ends_with("which is the limit"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_change_makes_it_panic(at in any::<prop::sample::Index>(), byte: u8, name in 0usize..5) {
        let names = ["pandas", "typed.none", "encodings", "bytes", "bad"];
        let mut bytes = std::fs::read(fixture(&format!("{}.parquet", names[name]))).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = source(&bytes).and_then(|source| read_source(source, Some(Format::Parquet), None));
    }
}

#[test]
fn a_header_that_promises_more_than_its_column_has_is_an_error() {
    // Type 0, sizes of 1 and 1, then field 5.
    let bytes = Bytes::from_static(&[0x15, 0, 0x15, 2, 0x15, 2, 0x2c, 0]);
    let chunk = Chunk { start: 4, bytes, codec: Compression::UNCOMPRESSED };
    let mut header = Chunks::new(12, vec![chunk]).get_read(4).unwrap();
    assert_eq!(std::io::copy(&mut header.by_ref().take(8), &mut std::io::sink()).unwrap(), 8);
    let error = std::io::copy(&mut header.take(8), &mut std::io::sink()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}
