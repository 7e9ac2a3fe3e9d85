use super::*;
use crate::format::open::tests::{bzip2, gzip};
use crate::format::{Format, read_table};
use proptest::prelude::*;
use std::fs;
use tempfile::TempDir;

/// Records of one colour: the label, then the label again as pixels.
fn records(labels: &[u8]) -> Vec<u8> {
    labels.iter().flat_map(|&label| std::iter::once(label).chain([label; N_PIXELS])).collect()
}

fn records_100(labels: &[(u8, u8)]) -> Vec<u8> {
    labels.iter().flat_map(|&(coarse, fine)| [coarse, fine].into_iter().chain([fine; N_PIXELS])).collect()
}

fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).unwrap());
    folder
}

fn tar(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, format!("cifar-10-batches-bin/{name}"), bytes.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn load(dir: impl AsRef<Path>) -> Result<Dataset, DataError> {
    CifarConfig { dir: dir.as_ref().to_path_buf(), labels: None, weights: None }.load()
}

const NAMES: &[u8] = b"ant\nbee\ncat\r\n\n";

fn small() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("data_batch_10.bin", records(&[2])),
        ("test_batch.bin", records(&[1, 2])),
        ("data_batch_9.bin", records(&[1, 0])),
        ("batches.meta.txt", NAMES.to_vec()),
        ("readme.html", b"<html>".to_vec()),
    ]
}

#[test]
fn weights_come_in_the_order_of_the_batches() {
    let dir = folder(&small());
    let path = dir.path().join("weights.txt");
    std::fs::write(&path, "2\n0\n3\n").unwrap();
    let mut config = CifarConfig { dir: dir.path().to_path_buf(), labels: None, weights: Some(path) };
    assert_eq!(config.load().unwrap().weights, Some(vec![2.0, 0.0, 3.0, 1.0, 1.0]));
    assert_eq!(config.paths_mut().len(), 2);
}

#[test]
fn a_folder_and_every_archive_of_it_are_the_same() {
    let dir = folder(&small());
    let data = load(dir.path()).unwrap();
    let Features::U8(images) = &data.features else { panic!("expected bytes") };
    assert_eq!(images.values().chunks(N_PIXELS).map(|image| image[N_PIXELS - 1]).collect::<Vec<_>>(), [1, 0, 2, 1, 2]);
    assert_eq!((data.labels.as_slice(), data.n_train, data.image_shape), (&[1, 0, 2, 1, 2][..], 3, Some(SHAPE)));
    assert_eq!(data.class_names, ["ant", "bee", "cat"]);
    assert!(data.notes.is_empty(), "{:?}", data.notes);
    let plain = tar(&small());
    let archives = folder(&[("a.tar", plain.clone()), ("b.tgz", gzip(&plain)), ("c", bzip2(&plain))]);
    for name in ["a.tar", "b.tgz", "c"] {
        assert_eq!(load(archives.path().join(name)).unwrap(), data, "{name}");
    }
}

#[test]
fn long_paths_in_an_archive_are_understood() {
    let deep = "very_long_name_of_a_folder_/".repeat(10);
    let name = |name: &str| -> &'static str { Box::leak(format!("{deep}{name}").into_boxed_str()) };
    let files: Vec<_> = small().into_iter().map(|(file, bytes)| (name(file), bytes)).collect();
    let dir = folder(&[("a.tar", tar(&files))]);
    assert_eq!(load(dir.path().join("a.tar")).unwrap().labels, [1, 0, 2, 1, 2]);
}

#[test]
fn cifar_100_has_two_labels() {
    let dir = folder(&[
        ("train.bin", records_100(&[(1, 0), (0, 99)])),
        ("test.bin", records_100(&[(0, 0)])),
        ("coarse_label_names.txt", b"fish\nflowers\n".to_vec()),
    ]);
    let data = load(dir.path()).unwrap();
    assert_eq!((data.labels.as_slice(), data.n_classes(), data.notes.len()), (&[0, 99, 0][..], 100, 2));
    let coarse =
        CifarConfig { dir: dir.path().to_path_buf(), labels: Some(CifarLabels::Coarse), weights: None }.load().unwrap();
    assert_eq!((coarse.labels.as_slice(), coarse.class_names.join(" ")), (&[1, 0, 0][..], "fish flowers".to_owned()));
    let table = read_table(&dir.path().join("test.bin"), None).unwrap();
    assert_eq!((table.features.n_rows(), table.class_names.unwrap().len()), (1, 100));
}

#[test]
fn without_names_the_classes_are_digits() {
    let dir = folder(&[("data_batch_1.bin", records(&[9, 4]))]);
    let data = load(dir.path()).unwrap();
    assert_eq!((data.labels, data.n_train), (vec![9, 4], 2));
    assert_eq!(data.class_names.join(""), "0123456789");
    assert!(
        data.notes[0].ends_with("no names in batches.meta.txt, so the classes are called 0 to 9"),
        "{:?}",
        data.notes
    );
    assert!(data.notes[1].ends_with("no row of class 0, 1, 2, 3, 5, 6, 7, 8"), "{:?}", data.notes);
}

#[test]
fn one_batch_is_a_table() {
    let dir = folder(&small());
    let path = dir.path().join("test_batch.bin");
    assert_eq!(Format::detect(&path, &records(&[1])), Some(Format::Cifar));
    let table = read_table(&path, None).unwrap();
    assert_eq!((table.features.n_rows(), table.labels.unwrap().name(1)), (2, "cat"));
}

#[test]
fn bad_files_say_where_and_what() {
    let with = |name: &'static str, bytes: Vec<u8>| {
        let mut files = small();
        files.retain(|(other, _)| *other != name);
        files.push((name, bytes));
        files
    };
    for (files, expected) in [
        (
            with("test_batch.bin", records(&[1])[..99].to_vec()),
            "test_batch.bin: found binary data of another kind, expected records",
        ),
        (with("test_batch.bin", vec![]), "test_batch.bin: found an empty file, expected records of 3073 bytes"),
        (
            with("data_batch_9.bin", records(&[1, 1])[..4000].to_vec()),
            "data_batch_9.bin: record 2: the record has 927 of 3073 bytes",
        ),
        (with("data_batch_9.bin", records(&[1, 3])), "data_batch_9.bin: record 2: found label 3, expected 0 to 2"),
        (with("test_batch.bin", records(&[200])), "test_batch.bin: record 1: found label 200, expected 0 to 2"),
        (with("batches.meta.txt", b"ant\nbee\nant".to_vec()), "batches.meta.txt:3: class `ant` occurs twice"),
        (with("batches.meta.txt", b"ant\n\xff".to_vec()), "batches.meta.txt:2: the class name is not UTF-8 text"),
        (with("train.bin", vec![]), ": holds files of CIFAR-10 and CIFAR-100, expected one of them"),
        (vec![("data_batch_1", vec![])], ": holds neither `data_batch_*.bin` (CIFAR-10) nor `train.bin` (CIFAR-100)"),
        (
            vec![("data_batch_1.bin", records(&[4, 4]))],
            ": found one class only, `4` in 2 rows, expected at least two classes",
        ),
    ] {
        let dir = folder(&files);
        let error = load(dir.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\nexpected {expected}");
        let archive = folder(&[("a.tar.gz", gzip(&tar(&files)))]);
        let error = load(archive.path().join("a.tar.gz")).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\nexpected {expected}");
    }
    let dir = folder(&small());
    let config = CifarConfig { dir: dir.path().to_path_buf(), labels: Some(CifarLabels::Coarse), weights: None };
    assert!(config.load().unwrap_err().to_string().contains("`labels` is given, but the files are those of CIFAR-10"));
    let error = load(dir.path().join("readme.html")).unwrap_err().to_string();
    assert!(error.ends_with("found an HTML or XML page, expected a folder or a tar archive"), "{error}");
}

#[test]
fn a_cut_archive_is_an_error() {
    let plain = tar(&small());
    let packed = gzip(&plain);
    // Up to the last entry, which no reader misses; after it come zeros only.
    for (bytes, step, end) in [(&plain, 997, plain.len() - 2000), (&packed, 7, packed.len())] {
        for cut in (600..end).step_by(step).filter(|&cut| cut < end) {
            let dir = folder(&[("a", bytes[..cut].to_vec())]);
            assert!(load(dir.path().join("a")).is_err(), "cut at {cut} of {end}");
        }
    }
    let mut twice = small();
    twice.push(("data_batch_9.bin", records(&[1])));
    let dir = folder(&[("a", tar(&twice))]);
    assert!(
        load(dir.path().join("a")).unwrap_err().to_string().ends_with("data_batch_9.bin: occurs twice in the archive")
    );
}

// Sums by NumPy over the files in the archive.
#[test]
fn the_small_cifar_10_is_read_as_it_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/cifar-10-binary-small.tar.gz");
    if !path.is_file() {
        return println!("skipped: no shared data");
    }
    let data = load(path).unwrap();
    let Features::U8(images) = &data.features else { panic!("expected bytes") };
    assert_eq!((images.n_rows(), images.n_features(), data.n_train), (10_000, 3072, 8000));
    assert_eq!((data.class_names[0].as_str(), data.class_names[9].as_str()), ("airplane", "truck"));
    let (train, test) = images.values().split_at(8000 * N_PIXELS);
    let sum = |values: &[u8]| values.iter().map(|&v| u64::from(v)).sum::<u64>();
    assert_eq!((sum(train), sum(test)), (2_963_265_034, 744_790_182));
    let sum = |labels: &[u32]| labels.iter().zip(1u64..).map(|(&l, i)| u64::from(l) * i).sum::<u64>();
    assert_eq!((sum(&data.labels[..8000]), sum(&data.labels[8000..])), (144_292_786, 9_025_585));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..7000), at in 0usize..6000, byte: u8) {
        let mut changed = tar(&small());
        let place = at * 7 % changed.len();
        changed[place] = byte;
        let files = [("data_batch_1.bin", bytes.clone()), ("batches.meta.txt", bytes.clone()), ("x.tar", changed), ("y", bytes)];
        let dir = folder(&files);
        for path in ["", "x.tar", "y"] {
            let _ = load(dir.path().join(path));
        }
        for (name, _) in &files {
            let _ = read_table(&dir.path().join(name), Some(Format::Cifar));
        }
    }
}
