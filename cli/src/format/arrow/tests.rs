use crate::data::{Cells, Dataset, Features, FrameColumn, ImageShape};
use crate::format::columns::SpecialColumns;
use crate::format::open::tests::{gzip, source};
use crate::format::{
    ColumnRef, DataConfig, DataError, Format, ModelColumns, Table, TypedConfig, limit, read_source, read_table_for,
};
use arrow_array::builder::{FixedSizeListBuilder, Float32Builder, ListBuilder};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, DictionaryArray, Float64Array, Int32Array, Int64Array, NullArray, RecordBatch, StringArray,
    StructArray,
};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats").join(name)
}

/// Loads files by their names in a folder: Parquet or Arrow by the name.
fn load_at(train: &Path, test: Option<&Path>, keys: &str) -> Result<Dataset, DataError> {
    let config: TypedConfig = toml::from_str(&format!("train = ''\n{keys}")).unwrap();
    let config = TypedConfig { train: train.to_path_buf(), test: test.map(Path::to_path_buf), ..config };
    let is_parquet = |path: &Path| path.to_string_lossy().contains("parquet");
    let config = if is_parquet(train) { DataConfig::Parquet(config) } else { DataConfig::Arrow(config) };
    config.load().map_err(|e| DataError { file: e.file.file_name().unwrap().into(), ..e })
}

fn load(name: &str, keys: &str) -> Result<Dataset, DataError> {
    load_at(&fixture(name), None, keys)
}

fn values(features: &Features) -> Vec<f64> {
    match features {
        Features::U8(dense) => dense.values().iter().map(|&x| x.into()).collect(),
        Features::F32(dense) => dense.values().iter().map(|&x| x.into()).collect(),
        Features::F64(dense) => dense.values().to_vec(),
        Features::Sparse(_) => panic!("expected dense rows"),
    }
}

/// The numbers of a table, row by row.
fn rows(data: &Dataset) -> Vec<f64> {
    let Some(frame) = &data.frame else { return values(&data.features) };
    let number = |column: &FrameColumn, row: usize| match &column.cells {
        Cells::Numbers(values) => values[row],
        Cells::Words(_) => panic!("expected numbers"),
    };
    (0..frame.n_rows()).flat_map(|row| frame.columns().iter().map(move |column| number(column, row))).collect()
}

/// Values that `make_typed.py` writes as `kinds`.
fn expected() -> Vec<f64> {
    let row = |i: u32| {
        let x = f64::from(i);
        let code = 10.0 * f64::from(i % 3);
        let times = [1.0 + x, x + 0.5, 60.0 * x + 30.0, x / 4.0];
        [vec![f64::from(i % 2), x / 4.0, code, x / 4.0 - 1.0], times.to_vec(), vec![x, -x, 0.5, x, 2.0 * x]].concat()
    };
    (0..12).flat_map(row).collect()
}

const NAMES: [&str; 13] = [
    "flag", "half", "code", "price", "day", "at", "clock", "took", "emb[0]", "emb[1]", "emb[2]", "fixed[0]", "fixed[1]",
];

#[test]
fn every_type_is_read_from_every_container() {
    for name in ["kinds.parquet", "kinds.arrow", "kinds.lz4.feather", "kinds.zstd.arrow", "kinds.arrows"] {
        let data = load(name, "label = 'kind'").unwrap();
        assert_eq!(rows(&data), expected(), "{name}");
        assert_eq!((data.class_names.join(" "), data.n_train), ("ant bee cat".into(), 12), "{name}");
        assert_eq!(data.labels, (0..12).map(|i| i % 3).collect::<Vec<u32>>(), "{name}");
        assert_eq!(data.feature_names.unwrap(), NAMES, "{name}");
        // Labels of numbers in a dictionary, decimals and truth values.
        let classes = |label: &str| load(name, &format!("label = '{label}'\nignore = ['kind']")).unwrap().class_names;
        assert_eq!((classes("code").join(" "), classes("flag").join(" ")), ("0 10 20".into(), "false true".into()));
    }
}

#[test]
fn what_polars_and_pandas_write_is_read() {
    for name in ["polars.arrow", "polars.zstd.arrow"] {
        let data = load(name, "label = 'kind'").unwrap();
        let expected = (0..12).flat_map(|i| [f64::from(i) / 8.0, f64::from(i), f64::from(i + 1)]);
        assert_eq!(rows(&data), expected.collect::<Vec<_>>(), "{name}");
        assert_eq!(data.class_names, ["ant", "bee", "cat"], "{name}");
        let bytes = std::fs::read(fixture(name)).unwrap();
        let error = read(&bytes[..bytes.len() - 12]).unwrap_err();
        assert_eq!(error.to_string(), "test: the file is cut off: its footer is missing", "{name}");
    }
    let data = load("pandas.feather", "label = -1").unwrap();
    assert_eq!(values(&data.features), (0..12).map(|i| f64::from(i) / 4.0).collect::<Vec<_>>());
}

#[test]
fn a_test_part_and_a_model_may_have_the_other_container_and_order() {
    let data = load_at(&fixture("kinds.parquet"), Some(&fixture("kinds.parquet")), "label = 'kind'").unwrap();
    assert_eq!((data.n_train, rows(&data)), (12, expected().repeat(2)));
    let wanted = |names: &[&str]| ModelColumns {
        n_features: names.len(),
        feature_names: Some(names.iter().map(|&name| name.to_owned()).collect()),
        special: SpecialColumns { label: Some(ColumnRef::Name("kind".into())), ..SpecialColumns::default() },
        ..ModelColumns::default()
    };
    let names = ["emb[0]", "emb[1]", "emb[2]", "half"];
    let rows: Vec<f64> = expected().chunks(13).flat_map(|row| [row[8], row[9], row[10], row[1]]).collect();
    for name in ["kinds.parquet", "kinds.arrow", "kinds.arrows"] {
        let table = read_table_for(&fixture(name), None, &wanted(&names)).unwrap();
        assert_eq!((values(&table.features), table.labels.unwrap().len()), (rows.clone(), 12), "{name}");
        // From a pipe, and compressed as a whole.
        let bytes = std::fs::read(fixture(name)).unwrap();
        for bytes in [gzip(&bytes), bytes] {
            let table = read_source(source(&bytes).unwrap(), None, Some(&wanted(&names))).unwrap();
            assert_eq!(values(&table.features), rows, "{name}");
        }
    }
    let problem =
        |names: &[&str]| read_table_for(&fixture("kinds.arrow"), None, &wanted(names)).unwrap_err().to_string();
    let found = problem(&["emb[0]", "emb[1]", "half"]);
    assert!(found.ends_with("kinds.arrow: column `emb` is 3 features, expected 2, which the model has"), "{found}");
    let found = problem(&["other[0]", "half"]);
    assert!(found.ends_with("there is no column `other[0]`, which the model has as a feature"), "{found}");
    // A model without names takes lists by their number.
    let plain = ModelColumns {
        n_features: 1,
        special: SpecialColumns { label: Some(ColumnRef::Number(-1)), ..SpecialColumns::default() },
        ..ModelColumns::default()
    };
    let table = read_table_for(&fixture("pandas.feather"), None, &plain).unwrap();
    assert_eq!((table.features.n_features(), table.labels.unwrap().len()), (1, 12));
}

#[test]
fn images_are_decoded_and_keep_their_shape() {
    let data = load("images.parquet", "label = 'label'").unwrap();
    let Features::U8(images) = &data.features else { panic!("expected bytes") };
    let at = |i: usize, p: usize| (40 * i + 17 * (p % 12 / 4) + 5 * (p % 4) + 60 * (p / 12)) % 256;
    assert_eq!(images.values(), (0..4).flat_map(|i| (0..36).map(move |p| at(i, p) as u8)).collect::<Vec<_>>());
    assert_eq!(data.image_shape, Some(ImageShape { channels: 3, height: 3, width: 4 }));
    assert_eq!(data.feature_names.unwrap()[35], "image[35]");
}

/// The bytes of a table as each container has them.
pub(super) fn written(batch: &RecordBatch) -> [Vec<u8>; 4] {
    let mut all = [const { Vec::new() }; 4];
    let [file, compressed, stream, parquet] = &mut all;
    let mut writer = FileWriter::try_new(file, &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
    let mut writer = FileWriter::try_new_with_options(compressed, &batch.schema(), options).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    let mut writer = StreamWriter::try_new(stream, &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    let mut writer = ArrowWriter::try_new(parquet, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    all
}

pub(super) fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn lists(rows: &[Option<&[f32]>]) -> ArrayRef {
    let mut lists = ListBuilder::new(Float32Builder::new());
    for row in rows {
        match row {
            Some(row) => {
                lists.values().append_slice(row);
                lists.append(true);
            }
            None => lists.append(false),
        }
    }
    Arc::new(lists.finish())
}

fn read(bytes: &[u8]) -> Result<Table, DataError> {
    let special = SpecialColumns { label: Some(ColumnRef::Name("y".into())), ..SpecialColumns::default() };
    read_source(source(bytes).unwrap(), None, Some(&ModelColumns { special, ..ModelColumns::default() }))
}

fn image(name: &str) -> Vec<u8> {
    std::fs::read(fixture("images").join(name)).unwrap()
}

fn images(files: &[Option<&[u8]>]) -> ArrayRef {
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter(files.iter().copied()));
    let paths: ArrayRef = Arc::new(StringArray::from_iter(files.iter().map(|_| Some("x.png"))));
    Arc::new(StructArray::try_from(vec![("bytes", bytes), ("path", paths)]).unwrap())
}

#[test]
fn odd_cells_are_named_by_row_and_column_in_every_container() {
    let mut fixed = FixedSizeListBuilder::new(Float32Builder::new(), 2);
    fixed.values().append_slice(&[1.0, 2.0, 3.0, f32::NAN]);
    fixed.append(true);
    fixed.append(true);
    let codes = DictionaryArray::<Int32Type>::new(
        Int32Array::from(vec![Some(1), None]),
        Arc::new(StringArray::from(vec!["u", "v"])),
    );
    let (colour, grey) = (image("kinds/palette.png"), image("kinds/grey.png"));
    let (lack, odd) = ("fills missing values in", "a column of lists has as many numbers in every row");
    let (text, words) = ("every feature is a number", "takes words as categories");
    for (column, problem, hint) in [
        (
            lists(&[Some(&[1.0, 2.0]), Some(&[1.0])]),
            "record 2: column `x`: found a list of 1, expected 2 numbers as in the first row",
            odd,
        ),
        (
            lists(&[Some(&[1.0, 2.0]), Some(&[1.0, f32::INFINITY])]),
            "record 2: column `x[1]`: `inf` is not finite",
            "make it null",
        ),
        (lists(&[Some(&[1.0]), None]), "record 2: column `x`: the value is missing", lack),
        (lists(&[Some(&[]), Some(&[1.0])]), "record 1: column `x`: the list is empty", text),
        (Arc::new(fixed.finish()), "record 2: column `x[1]`: the value is missing, found NaN", lack),
        (Arc::new(Float64Array::from(vec![Some(1.0), None])), "record 2: column `x`: the value is missing", lack),
        (Arc::new(StringArray::from(vec!["a", "b"])), "column `x` holds text, expected numbers", words),
        (Arc::new(codes), "column `x` holds text, expected numbers", words),
        (Arc::new(NullArray::new(2)), "column `x` holds nothing but missing values, expected numbers", text),
        (
            images(&[Some(&grey), Some(&colour)]),
            "record 2: column `x`: the image is 4 x 3 pixels, RGB, expected 4 x 3 pixels, grey as in the first row",
            odd,
        ),
        (images(&[Some(&colour), None]), "record 2: column `x`: the image is missing: `bytes` is empty", text),
        (
            images(&[Some(&colour), Some(b"no image")]),
            "record 2: column `x`: found text, expected an image: PNG, JPEG, WebP, BMP, TIFF, GIF or binary PNM",
            text,
        ),
    ] {
        let batch = table(vec![("x", column), ("y", Arc::new(StringArray::from(vec!["u", "v"])))]);
        for bytes in written(&batch) {
            let error = read(&bytes).unwrap_err();
            assert_eq!(error.to_string(), format!("test: {problem}"));
            assert!(error.hint.as_ref().is_some_and(|found| found.contains(hint)), "{problem}: {:?}", error.hint);
        }
    }
}

#[test]
fn doubles_are_kept_where_single_precision_would_blur_them() {
    let times: Vec<f64> = (0..600).map(|i| 1.7e9 + 40.0 * f64::from(i % 3) + f64::from(i % 7) / 8.0).collect();
    let labels: Vec<String> = (0..600).map(|i| format!("c{}", i % 3)).collect();
    let batch =
        table(vec![("x", Arc::new(Float64Array::from(times.clone()))), ("y", Arc::new(StringArray::from(labels)))]);
    let folder = tempfile::tempdir().unwrap();
    for (bytes, name) in written(&batch).iter().zip(["a.arrow", "b.arrow", "c.arrows", "d.parquet"]) {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let Features::F64(dense) = load_at(&path, None, "label = 'y'").unwrap().features else {
            panic!("expected doubles")
        };
        assert_eq!(dense.values(), times, "{name}");
    }
}

#[test]
fn a_folder_of_part_files_is_one_table() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("parquet");
    std::fs::create_dir(&folder).unwrap();
    let problem = |keys: &str| load_at(&folder, None, keys).unwrap_err().to_string();
    assert_eq!(
        problem("label = 'y'"),
        "parquet: is a folder without a part file, expected *.parquet or *.parq or *.pq"
    );
    let part = |name: &str, x: ArrayRef, labels: &[&str]| {
        let batch = table(vec![("x", x), ("y", Arc::new(StringArray::from(labels.to_vec())))]);
        let path = folder.join(name);
        std::fs::write(&path, &written(&batch)[3]).unwrap();
        path
    };
    part("part-1.parquet", Arc::new(Float64Array::from(vec![3.0])), &["v"]);
    part("part-0.parquet", Arc::new(Float64Array::from(vec![1.0, 2.0])), &["u", "v"]);
    part("part-2.parquet", Arc::new(Float64Array::from(Vec::<f64>::new())), &[]);
    std::fs::write(folder.join("_SUCCESS"), "").unwrap();
    std::fs::write(folder.join("notes.txt"), "x").unwrap();
    let data = load_at(&folder, None, "label = 'y'").unwrap();
    assert_eq!((values(&data.features), data.labels), (vec![1.0, 2.0, 3.0], vec![0, 1, 1]));
    assert!(data.notes[0].ends_with("parquet: read 3 part files"), "{:?}", data.notes);
    let wanted = ModelColumns {
        special: SpecialColumns { label: Some(ColumnRef::Name("y".into())), ..SpecialColumns::default() },
        ..ModelColumns::default()
    };
    let table = read_table_for(&folder, None, &wanted).unwrap();
    assert_eq!((values(&table.features), table.labels.unwrap().len()), (vec![1.0, 2.0, 3.0], 3));
    let bad = part("part-3.parquet", Arc::new(Float64Array::from(vec![Some(5.0), None])), &["u", "v"]);
    assert_eq!(problem("label = 'y'"), "part-3.parquet: record 2: column `x`: the value is missing");
    part("part-3.parquet", Arc::new(StringArray::from(vec!["a"])), &["u"]);
    let found = problem("label = 'y'");
    assert!(found.starts_with("part-3.parquet: column 1 is `x` of Utf8, expected `x` of Float64 as in "), "{found}");
    std::fs::remove_file(bad).unwrap();
    std::fs::create_dir(folder.join("year=2024")).unwrap();
    let found = problem("label = 'y'");
    assert!(
        found.starts_with("parquet: holds the folder ") && found.ends_with("year=2024, expected part files only"),
        "{found}"
    );
}

#[test]
fn damaged_files_are_refused() {
    let whole = std::fs::read(fixture("kinds.arrow")).unwrap();
    for cut in [9, 40, 700, 2000, 3500] {
        let error = read(&whole[..cut]).unwrap_err();
        assert!(error.hint.is_some(), "{cut}: {error}");
    }
    // Without its footer, a file is as good as a stream.
    let wanted = ModelColumns {
        special: SpecialColumns { label: Some(ColumnRef::Name("kind".into())), ..SpecialColumns::default() },
        ..ModelColumns::default()
    };
    let table = read_source(source(&whole[..whole.len() - 12]).unwrap(), None, Some(&wanted)).unwrap();
    assert_eq!(values(&table.features), expected());
    for (bytes, problem) in [
        (b"FEA1....".to_vec(), "test: byte 0: found the first version of Feather, expected Arrow IPC"),
        (b"a,b\n1,2\n".to_vec(), "test: byte 0: found text, expected an Arrow file"),
        (b"ARROW1\0\0".to_vec(), "test: it has no schema"),
    ] {
        let error = read_source(source(&bytes).unwrap(), Some(Format::Arrow), None).unwrap_err();
        assert_eq!(error.to_string(), problem);
        assert!(error.hint.is_some());
    }
    let none = table_of(0);
    for bytes in written(&none) {
        assert_eq!(read(&bytes).unwrap_err().to_string(), "test: found no row of data");
    }
}

fn table_of(n: i64) -> RecordBatch {
    let labels: Vec<String> = (0..n).map(|i| format!("c{}", i % 2)).collect();
    table(vec![("x", Arc::new(Int64Array::from_iter_values(0..n))), ("y", Arc::new(StringArray::from(labels)))])
}

/// A compressed buffer begins with its length, and may say anything.
#[test]
fn a_small_message_that_promises_much_is_refused() {
    let [_, compressed, ..] = written(&table_of(1000));
    let length = 8000u64.to_le_bytes();
    let at = compressed.windows(8).position(|window| window == length).unwrap();
    for huge in [1u64 << 40, u64::MAX >> 1] {
        let mut bytes = compressed.clone();
        bytes[at..at + 8].copy_from_slice(&huge.to_le_bytes());
        let error = read(&bytes).unwrap_err().to_string();
        assert!(
            error.starts_with("test: the data need more than ") && error.ends_with("which is the limit"),
            "{error}"
        );
    }
    assert!(limit::get() < 1 << 40);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_change_makes_it_panic(at in any::<prop::sample::Index>(), byte: u8, name in 0usize..5) {
        let names = ["kinds.arrow", "kinds.zstd.arrow", "kinds.arrows", "polars.arrow", "kinds.parquet"];
        let mut bytes = std::fs::read(fixture(names[name])).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = source(&bytes).and_then(|source| read_source(source, None, None));
    }
}
