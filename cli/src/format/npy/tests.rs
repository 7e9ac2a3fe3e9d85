use super::*;
use crate::data::{Dense, Features, ImageShape};
use crate::format::open::tests::source;
use crate::format::{Format, read_table};
use proptest::prelude::*;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats").join(name)
}

fn archive(name: &str) -> zip::Archive {
    zip::Archive::open(ByteSource::open(&fixture(name)).unwrap()).unwrap()
}

fn array(archive: &zip::Archive, name: &str) -> Array {
    Array::open(archive.array(name).unwrap().unwrap()).unwrap()
}

/// The integers of `make_npy.py`; its floats are a quarter of them minus 1.
fn integers() -> Vec<u8> {
    (0..36u8).map(|at| (7 * (at / 3) + 3 * (at % 3)) % 11).collect()
}

fn config(text: &str) -> NpyConfig {
    toml::from_str(text).unwrap()
}

fn load(config: &NpyConfig, float: FloatType) -> Result<Dataset, DataError> {
    config.load(&Reading { float, ..Reading::default() })
}

#[test]
fn every_kind_of_element_is_read_in_both_orders() {
    let archive = archive("kinds.npz");
    assert_eq!(archive.names().count(), 22);
    for name in archive.names() {
        let (features, shape) = array(&archive, name).features(false).unwrap();
        let of = |f: fn(u8) -> f32| Features::F32(Dense::new(3, integers().into_iter().map(f).collect()));
        let expected = match name {
            "integer u1" | "integer F" => Features::U8(Dense::new(3, integers())),
            name if name.starts_with("float") => of(|i| f32::from(i) / 4.0 - 1.0),
            _ => of(f32::from),
        };
        assert_eq!((features, shape), (expected, None), "{name}");
    }
}

#[test]
fn labels_are_integers_or_strings() {
    let archive = archive("labels.npz");
    for (name, classes) in [
        ("<U", "ant bee céfalo"),
        (">U", "ant bee céfalo"),
        ("i", "-1 0 1"),
        ("f", "-1 0 1"),
        ("S", "ant bee cat"),
        ("b", "false true"),
    ] {
        let labels = array(&archive, name).labels().unwrap();
        assert_eq!((labels.len(), labels.class_names().join(" ").as_str()), (12, classes), "{name}");
    }
    for name in ["<U", "S"] {
        let error = array(&archive, name).weights(12).unwrap_err();
        assert!(error.to_string().contains("found strings, expected numbers"), "{error}");
    }
}

#[test]
fn images_come_in_planes_with_their_test_part_and_weights() {
    let mut config = config("train = ''\n[arrays]\nweights = 'sample_weight'");
    config.train = fixture("images.npz");
    let data = load(&config, FloatType::Auto).unwrap();
    assert_eq!(data.image_shape, Some(ImageShape { channels: 3, height: 2, width: 2 }));
    let Features::U8(dense) = &data.features else { panic!("expected bytes") };
    assert_eq!((dense.n_rows(), data.n_train), (15, 12));
    assert_eq!(dense.row(1), [12, 15, 18, 21, 13, 16, 19, 22, 14, 17, 20, 23]);
    assert_eq!(dense.row(13), dense.row(1));
    assert_eq!((data.labels[13], data.class_names.join(" ").as_str()), (1, "ant bee céfalo"));
    assert_eq!(data.weights.unwrap()[..5], [1.0, 2.0, 3.0, 1.0, 2.0]);
    let table = read_table(&fixture("images.npz"), None).unwrap();
    assert_eq!((table.features.n_rows(), table.labels.unwrap().len()), (3, 3));
}

#[test]
fn arrays_in_files_of_their_own_are_joined() {
    let mut config = config("train = ''");
    (config.train, config.train_labels) = (fixture("version3.npy"), Some(fixture("version2.npy")));
    let data = load(&config, FloatType::Auto).unwrap();
    assert_eq!((data.features.n_features(), data.class_names.join(" ").as_str()), (3, "0 1 2"));
    assert_eq!(config.paths_mut().len(), 2);
    config.weights = Some(fixture("version2.npy"));
    assert_eq!(load(&config, FloatType::Auto).unwrap().weights.unwrap()[..3], [0.0, 1.0, 2.0]);
    config.train_labels = None;
    let error = load(&config, FloatType::Auto).unwrap_err();
    assert!(error.to_string().ends_with("holds one array, the features: where are the labels?"), "{error}");
    config.train_labels = Some(fixture("images.npz"));
    config.weights = None;
    config.arrays.features = Some("z".into());
    assert!(load(&config, FloatType::Auto).is_ok(), "the archive has labels of twelve rows");
    config.arrays.labels = Some("sample_weight".into());
    assert_eq!(load(&config, FloatType::Auto).unwrap().class_names, ["1", "2", "3"], "a key that is set holds");
    config.arrays.labels = None;
    config.train = fixture("kinds.npz");
    let error = load(&config, FloatType::Auto).unwrap_err();
    assert!(error.to_string().ends_with("kinds.npz: there is no array `z`"), "{error}");
    assert!(error.hint.unwrap().contains("[data.npy.arrays]"));
    config.arrays.features = Some("integer u1".into());
    assert_eq!(load(&config, FloatType::Auto).unwrap().features.kind(), "u8");
    let error = read_table(&fixture("kinds.npz"), None).unwrap_err();
    assert!(error.to_string().contains("found no array of features by a usual name"), "{error}");
}

fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn bad_arrays_say_what_is_wrong() {
    let header =
        |descr: &str, shape: &str| format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
    let nan = [1f32, 2.0, f32::NAN, 4.0].map(f32::to_le_bytes).concat();
    for (bytes, problem) in [
        (b"".to_vec(), "found an empty file, expected a NumPy array"),
        (b"1,2\n".to_vec(), "found text, expected a NumPy array"),
        (b"\x93NUMPY\x09\0\0\0".to_vec(), "version 9 of the format is unknown, expected 1, 2 or 3"),
        (b"\x93NUMPY\x01".to_vec(), "the file ends within its header"),
        (b"\x93NUMPY\x02\0\x01".to_vec(), "the file ends within its header"),
        (b"\x93NUMPY\x01\0\xff\0{'d".to_vec(), "the file ends within its header"),
        (b"\x93NUMPY\x02\0\xff\xff\xff\xff{'d".to_vec(), "the file ends within its header"),
        (npy("{}", b""), "the header is not NumPy's: it has no `descr`"),
        (npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}", b""), "elements are records"),
        (npy(&header("<c8", "2, 2"), &[0; 32]), "elements are `<c8`, expected numbers or strings"),
        (npy(&header("|O", "2, 2"), &[0; 32]), "elements are Python objects, expected numbers"),
        (npy(&header("<f4", "2, x"), &[0; 16]), "its shape has `x`"),
        (npy(&header("<f4", "4"), &[0; 16]), "the shape is (4), expected rows of features or images"),
        (npy(&header("<f4", "1, 1, 1, 1, 4"), &[0; 16]), "expected rows of features or images"),
        (npy(&header("<f4", "0, 4"), b""), "the shape is (0, 4), which holds nothing"),
        (npy(&header("<f8", "9999999999, 9999999999"), b""), "more than any memory holds"),
        (npy(&header("<f4", "2, 2"), &[0; 15]), "the file ends after 15 of the 16 bytes that its header promises"),
        (npy(&header("|u1", "99999, 99999"), &[0; 15]), "the file ends after 15 of the 9999800001 bytes"),
        (npy(&header("<f4", "2, 2"), &[0; 17]), "data go on after the 16 bytes that the header promises"),
        (npy(&header("<f4", "2, 2"), &nan), "test: record 2: column 1: the value is missing, found NaN"),
        (npy(&header("<U1", "2, 2"), &[0; 16]), "found strings, expected numbers"),
    ] {
        let error = source(&bytes)
            .and_then(Array::open)
            .and_then(|array| array.features(false))
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(error.contains(problem), "{error}\nexpected {problem}");
    }
    let labels = |bytes: Vec<u8>| source(&bytes).and_then(Array::open).and_then(Array::labels).map(|_| ()).unwrap_err();
    assert!(
        labels(npy(&header("<f4", "2, 2"), &[0; 16]))
            .to_string()
            .contains("record 1: a matrix of labels has a single 1 a row")
    );
    let error = labels(npy(&header("<f4", "1, 2, 2"), &[0; 16])).to_string();
    assert!(error.contains("the shape is (1, 2, 2), expected a vector of labels"), "{error}");
    assert!(labels(npy(&header("<f4", "4"), &nan)).to_string().starts_with("test: record 3: found label `NaN`"));
    assert!(labels(npy(&header("<U1", "4"), &[0; 16])).to_string().starts_with("test: record 1: the label is missing"));
}

#[test]
fn sparse_matrices_of_every_format_are_the_same_rows() {
    let dense: Vec<f32> = integers().into_iter().map(f32::from).collect();
    for name in ["csr.npz", "csc.npz", "coo.npz", "unsorted.npz"] {
        let mut config = config("train = ''");
        (config.train, config.train_labels) = (fixture(name), Some(fixture("version2.npy")));
        let data = load(&config, FloatType::Auto).unwrap();
        let Features::Sparse(rows) = &data.features else { panic!("{name}: expected sparse rows") };
        assert_eq!((rows.n_rows(), rows.n_features(), rows.to_dense()), (12, 3, dense.clone()), "{name}");
        let columns = (0..12).map(|row| rows.row(row).0);
        assert!(columns.map(<[u32]>::to_vec).all(|columns| columns.is_sorted_by(|a, b| a < b)), "{name}");
        assert_eq!((data.class_names.join(" "), data.notes.len()), ("0 1 2".into(), 0), "{name}");
        let exact = load(&config, FloatType::F64).unwrap().features;
        let doubles = dense.iter().map(|&x| f64::from(x)).collect();
        assert_eq!(exact, Features::F64(Dense::new(3, doubles)), "{name}");
        // To predict.
        let table = read_table(&fixture(name), None).unwrap();
        assert_eq!((table.features, table.labels), (data.features.clone(), None), "{name}");
        // A key that is set holds, and labels are not looked for among the parts of the matrix.
        config.arrays.features = Some("data".into());
        let error = load(&config, FloatType::Auto).unwrap_err().to_string();
        assert!(error.contains("labels, expected") || error.contains("expected rows of features"), "{name}: {error}");
        (config.arrays.features, config.train_labels) = (None, None);
        let hint = load(&config, FloatType::Auto).unwrap_err().hint.unwrap();
        assert!(hint.ends_with("[data.npy.arrays] names those to take, `train_labels` another file"), "{name}: {hint}");
    }
    for name in ["bsr", "dia"] {
        let error = read_table(&fixture(&format!("{name}.npz")), None).unwrap_err();
        let problem = format!("found a sparse matrix in the format `{name}`, expected csr, csc or coo");
        assert!(error.to_string().ends_with(&problem), "{error}");
        assert!(error.hint.unwrap().contains("scipy.sparse.save_npz(file, x.tocsr())"));
    }
}

/// A sparse matrix of two rows and three columns, with some of its parts in the place of what is right.
fn sparse(parts: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let numbers = |values: &[i64]| {
        let header = format!("{{'descr': '<i8', 'fortran_order': False, 'shape': ({},), }}", values.len());
        npy(&header, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
    };
    let format = npy("{'descr': '|S3', 'fortran_order': False, 'shape': (), }", b"csr");
    let mut members = std::collections::BTreeMap::from([
        ("format", format),
        ("shape", numbers(&[2, 3])),
        ("data", numbers(&[5, 6])),
        ("indices", numbers(&[2, 0])),
        ("indptr", numbers(&[0, 1, 2])),
    ]);
    members.extend(parts.iter().cloned());
    let mut writer = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        writer.start_file(format!("{name}.npy"), ::zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut writer, &bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn damaged_sparse_matrices_say_what_is_wrong() {
    let numbers = |values: &[i64]| {
        let header = format!("{{'descr': '<i8', 'fortran_order': False, 'shape': ({},), }}", values.len());
        npy(&header, &values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())
    };
    let read = |parts: &[(&str, Vec<u8>)]| source(&sparse(parts)).and_then(|source| read(source, None));
    let Features::Sparse(rows) = read(&[]).unwrap().features else { panic!("expected sparse rows") };
    assert_eq!(rows.to_dense(), [0.0, 0.0, 5.0, 6.0, 0.0, 0.0]);
    for (member, values, problem) in [
        ("indices", &[2, 3][..], "its `indices` has 3, expected less than 3"),
        ("indices", &[2, -1], "found a negative number among the indices"),
        ("indices", &[2], "its `indices` has 1 entries, expected 2 as `data` has"),
        ("indptr", &[0, 2, 1], "its `indptr` does not divide 2 cells among 2 rows or columns"),
        ("indptr", &[0, 1, 3], "its `indptr` does not divide 2 cells"),
        ("indptr", &[1, 1, 2], "its `indptr` does not divide 2 cells"),
        ("indptr", &[0, 2], "its `indptr` does not divide 2 cells"),
        ("shape", &[2, 3, 4], "its shape has 3 sizes, expected rows and columns"),
        ("shape", &[0, 3], "it is 0 x 3, expected rows and 1 to 2147483648 columns"),
        ("shape", &[2, i64::MAX], "expected rows and 1 to 2147483648 columns"),
        ("shape", &[i64::MAX, 3], "the data need more than"),
        ("format", &[7], "found a sparse matrix in the format"),
    ] {
        let error = read(&[(member, numbers(values))]).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}\nexpected {problem}");
    }
    let format = npy("{'descr': '|S3', 'fortran_order': False, 'shape': (), }", b"coo");
    let of_cells = [("format", format), ("row", numbers(&[0, 1])), ("col", numbers(&[2, 0]))];
    assert!(read(&of_cells).is_ok());
    let tall = ("shape", numbers(&[i64::MAX, 3]));
    let error = read(&[&of_cells[..], &[tall]].concat()).unwrap_err().to_string();
    assert!(error.contains("the data need more than"), "{error}");
    let text = npy("{'descr': '<U1', 'fortran_order': False, 'shape': (2,), }", &[0; 8]);
    let error = read(&[("data", text)]).unwrap_err().to_string();
    assert!(error.contains("found strings, expected numbers"), "{error}");
}

#[test]
fn archives_of_one_array_need_no_name() {
    let mut config = config("train = ''");
    (config.train, config.train_labels) = (fixture("sole-x.npz"), Some(fixture("sole-y.npz")));
    let data = load(&config, FloatType::Auto).unwrap();
    assert_eq!(data.features, Features::U8(Dense::new(3, integers())));
    assert_eq!(data.class_names.join(" "), "0 1 2");
    assert_eq!(read_table(&fixture("sole-x.npz"), None).unwrap().features.n_rows(), 12);
    config.train_labels = None;
    let error = load(&config, FloatType::Auto).unwrap_err();
    assert!(error.to_string().contains("found no array of labels by a usual name"), "{error}");
    assert!(
        error.hint.unwrap().starts_with("the archive has arr_0; [data.npy.arrays] names those to take, `train_labels`")
    );
}

#[test]
fn one_hot_labels_are_the_numbers_of_their_columns() {
    let mut config = config("train = ''");
    (config.train, config.train_labels) = (fixture("version3.npy"), Some(fixture("one-hot.npy")));
    let data = load(&config, FloatType::Auto).unwrap();
    assert_eq!((data.class_names.join(" "), &data.labels[..4]), ("0 1 2".into(), &[0, 1, 2, 0][..]));
    let note = "the labels are a one-hot matrix of 3 columns: a class is the number of its column, from 0";
    assert!(data.notes[0].ends_with(note), "{:?}", data.notes);
    config.train_labels = Some(fixture("version3.npy"));
    let error = load(&config, FloatType::Auto).unwrap_err();
    assert!(
        error.to_string().contains("record 1: a matrix of labels has a single 1 a row (one-hot), this row has not"),
        "{error}"
    );
    assert!(error.hint.unwrap().contains("y.argmax(axis=1)"));
}

#[test]
fn elements_that_are_no_numbers_come_with_a_way_to_numbers() {
    for (name, problem, hint) in [
        (
            "objects.npy",
            "elements are Python objects, expected numbers",
            "numpy.array(x.tolist(), dtype=numpy.float32)",
        ),
        ("records.npy", "elements are records, expected numbers or strings", "structured_to_unstructured(x)"),
        ("times.npy", "elements are `<M8[D]`, expected numbers or strings", "x.astype(numpy.int64)"),
        ("complex.npy", "elements are `<c16`, expected numbers or strings", "numpy.hstack([x.real, x.imag])"),
        ("long.npy", "elements are `<f16`, expected numbers or strings", "x.astype(numpy.float64)"),
    ] {
        let error = read_table(&fixture(name), None).unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
        assert!(error.hint.as_deref().unwrap().contains(hint), "{name}: {:?}", error.hint);
    }
    let labels = Array::open(ByteSource::open(&fixture("objects.npy")).unwrap()).unwrap().labels().unwrap_err();
    assert_eq!(labels.hint.unwrap(), "save y.astype(str)");
}

#[test]
fn damaged_archives_are_refused() {
    let whole = std::fs::read(fixture("images.npz")).unwrap();
    let archive = |bytes: &[u8]| source(bytes).and_then(|source| read(source, None));
    assert!(archive(&whole).is_ok());
    for cut in [4, 100, whole.len() / 2, whole.len() - 30, whole.len() - 1] {
        let error = archive(&whole[..cut]).unwrap_err().to_string();
        assert!(error.starts_with("test: the archive is cut off or damaged"), "{cut}: {error}");
    }
    let at = whole.windows(4).position(|w| w == [0, 1, 2, 3]).unwrap();
    let mut changed = whole.clone();
    let last = changed.windows(4).rposition(|w| w == [32, 33, 34, 35]).unwrap();
    assert!(last > at);
    changed[last] ^= 1;
    let error = archive(&changed).unwrap_err().to_string();
    assert!(error.contains("do not match its checksum"), "{error}");
}

#[test]
fn the_format_is_told_by_the_content() {
    for name in ["version3.npy", "kinds.npz"] {
        let source = ByteSource::open(&fixture(name)).unwrap();
        assert_eq!(Format::detect(Path::new("-"), source.head()), Some(Format::Npy), "{name}");
    }
}

proptest! {
    #[test]
    fn no_change_makes_it_panic(at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>(), labels: bool) {
        for name in ["labels.npz", "images.npz", "version2.npy", "csr.npz", "coo.npz"] {
            let mut bytes = std::fs::read(fixture(name)).unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let cut = if labels { bytes.len() } else { cut.index(bytes.len()) };
            let _ = source(&bytes[..cut]).and_then(|source| read(source, None));
        }
    }
}
