use super::*;
use crate::format::DataErrorKind;
use crate::format::open::tests::{gzip, source};
use proptest::prelude::*;

fn idx(code: u8, dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, code, u8::try_from(dims.len()).unwrap()];
    dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn images(bytes: &[u8]) -> Result<Features<'static>, DataError> {
    let mut source = source(bytes)?;
    IdxHeader::of_images(&mut source)?.read_features(&mut source)
}

fn labels(bytes: &[u8], n: usize) -> Result<LabelColumn, DataError> {
    let mut source = source(bytes)?;
    IdxHeader::of_labels(&mut source, Path::new("images"), n)?.read_labels(&mut source)
}

/// Two parts of three 2×2 images in a fresh folder.
fn data_set(test_dims: &[u32]) -> (tempfile::TempDir, IdxConfig) {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: Vec<u8>| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let config = IdxConfig {
        train_images: write("train-images-idx3-ubyte.gz", gzip(&idx(8, &[3, 2, 2], &[7; 12]))),
        train_labels: write("train-labels-idx1-ubyte", idx(8, &[3], &[5, 3, 5])),
        test_images: Some(write("test-pictures", idx(8, test_dims, &[9; 12]))),
        test_labels: Some(write("test-labels", idx(9, &[3], &[3, 3, 5]))),
        weights: None,
    };
    (folder, config)
}

#[test]
fn both_parts_make_a_data_set() {
    let (_folder, config) = data_set(&[3, 2, 2]);
    let data = config.load().unwrap();
    assert_eq!((data.features.n_rows(), data.features.n_features(), data.features.kind()), (6, 4, "u8"));
    assert_eq!(
        (data.labels, data.class_names, data.n_train),
        (vec![1, 0, 1, 0, 0, 1], vec!["3".into(), "5".into()], 3)
    );
    assert_eq!(data.image_shape, Some(ImageShape { channels: 1, height: 2, width: 2 }));
}

#[test]
fn parts_of_different_shape_do_not_fit() {
    for dims in [[3, 1, 4], [3, 4, 1]] {
        let (_folder, config) = data_set(&dims);
        assert!(config.load().unwrap_err().to_string().contains("expected images of 2x2 as in the train part"));
    }
    let (_folder, mut config) = data_set(&[3, 2, 2]);
    config.test_labels = None;
    let error = config.load().unwrap_err();
    assert_eq!(error.kind, DataErrorKind::Path);
    assert!(error.to_string().contains("without `test_labels`"));
}

#[test]
fn one_file_finds_the_labels_beside_it() {
    let (_folder, config) = data_set(&[3, 2, 2]);
    let table = super::super::read_table(&config.train_images, None).unwrap();
    assert_eq!(table.labels.unwrap().name(0), "5");
    let table = super::super::read_table(&config.test_images.unwrap(), None).unwrap();
    assert!(table.labels.is_none());
    let error = super::super::read_table(&config.train_labels, None).unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("these look like labels"));
}

#[test]
fn the_format_is_told_by_the_content() {
    assert!(detect(&idx(8, &[60_000, 28, 28], &[])));
    // A dark CIFAR image may begin with the same four bytes.
    assert!(!detect(&[0, 0, 8, 3, 12, 9, 9, 7, 8, 9, 9, 9, 10, 11, 12, 13]));
    assert!(!detect(&[0, 0, 8, 3, 0, 0, 0, 1]));
}

#[test]
fn every_element_type_is_read() {
    let values = |code, data: &[u8]| match images(&idx(code, &[2, 1], data)).unwrap() {
        Features::F32(dense) => dense.values().to_vec(),
        Features::U8(dense) => dense.values().iter().map(|&v| f32::from(v)).collect(),
        Features::F64(_) | Features::Sparse(_) => panic!("idx files are dense"),
    };
    assert_eq!(values(0x08, &[1, 255]), [1.0, 255.0]);
    assert_eq!(values(0x09, &[1, 255]), [1.0, -1.0]);
    assert_eq!(values(0x0b, &[1, 0, 255, 254]), [256.0, -2.0]);
    assert_eq!(values(0x0c, &[0, 1, 0, 0, 255, 255, 255, 253]), [65536.0, -3.0]);
    assert_eq!(values(0x0d, &[0x3f, 0xc0, 0, 0, 0xbf, 0, 0, 0]), [1.5, -0.5]);
    assert_eq!(values(0x0e, &[1.5f64.to_be_bytes(), (-0.25f64).to_be_bytes()].concat()), [1.5, -0.25]);
    assert_eq!(labels(&idx(0x0c, &[2], &[255, 255, 255, 255, 0, 0, 0, 7]), 2).unwrap().class_names(), ["-1", "7"]);
}

#[test]
fn bad_images_say_where_and_what() {
    let nan = [f32::NAN.to_be_bytes(), 1f32.to_be_bytes()].concat();
    let large = [1f64.to_be_bytes(), 1e300f64.to_be_bytes()].concat();
    for (bytes, expected) in [
        (vec![], "test: byte 0: found an empty file, expected an idx file"),
        (vec![0, 0], "test: byte 0: found binary data of another kind, expected an idx file"),
        (b"\x89PNG\r\n".to_vec(), "test: byte 0: found a PNG image, expected"),
        (b"<!DOCTYPE html>".to_vec(), "test: byte 0: found an HTML or XML page, expected"),
        (b"1 1:0.5\n".to_vec(), "test: byte 0: found text, expected"),
        (vec![0, 0, 7, 1, 0], "test: byte 0: element code 0x07 is unknown"),
        (vec![0, 0, 8, 3, 0, 0], "test: byte 0: the file ends within the header of 3 dimensions"),
        (vec![0, 0, 8, 0], "test: byte 0: the header has no dimension"),
        (idx(8, &[3], &[1; 3]), "test: byte 3: found one dimension, expected"),
        (idx(8, &[1; 4], &[1]), "test: byte 3: found 4 dimensions, expected 2 or 3"),
        (idx(8, &[0, 2, 2], &[]), "test: byte 0: the header says 0x2x2, which holds nothing"),
        (idx(8, &[2, 0, 2], &[]), "test: byte 0: the header says 2x0x2, which holds nothing"),
        (idx(8, &[u32::MAX; 3], &[1; 9]), "test: byte 0: the header says 4294967295x4294967295x4294967295, more than"),
        (idx(8, &[u32::MAX, 16, 16], &[1; 600]), "test: record 3: the file ends here, expected 4294967295 records"),
        (idx(8, &[3, 2, 2], &[1; 11]), "test: record 3: the file ends here, expected 3 records"),
        (idx(8, &[3, 2, 2], &[1; 8]), "test: record 3: the file ends here"),
        (idx(8, &[3, 2, 2], &[1; 13]), "test: byte 28: data continue, expected the end after 3 records"),
        (idx(0x0b, &[3, 2, 2], &[1; 23]), "test: record 3: the file ends here"),
        (idx(0x0b, &[3, 2, 2], &[1; 25]), "test: byte 40: data continue"),
        (idx(0x0d, &[2, 1], &nan), "test: record 1: found a value that is not finite"),
        (idx(0x0e, &[2, 1], &large), "test: record 2: found a value that is not finite or beyond the range of f32"),
    ] {
        for bytes in [gzip(&bytes), bytes] {
            let error = images(&bytes).unwrap_err();
            assert!(error.to_string().starts_with(expected), "{error}\nexpected {expected}");
            assert_eq!(error.kind, DataErrorKind::Content);
        }
    }
}

#[test]
fn bad_labels_say_where_and_what() {
    for (bytes, expected) in [
        (idx(8, &[2], &[1, 2]), "test: found 2 labels, expected 3 as images has rows"),
        (idx(8, &[3, 1, 1], &[1, 2, 3]), "test: byte 3: found 3 dimensions, expected labels in one"),
        (idx(0x0d, &[3], &[0; 12]), "test: byte 3: found floating-point labels, expected integers"),
        (idx(8, &[3], &[1, 2]), "test: record 3: the file ends here, expected 3 records"),
        (idx(8, &[3], &[1, 2, 3, 4]), "test: byte 11: data continue"),
    ] {
        let error = labels(&bytes, 3).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}\nexpected {expected}");
    }
}

// Sums by NumPy over the decompressed files.
#[test]
fn mnist_is_read_as_it_is() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/mnist");
    if !folder.is_dir() {
        return println!("skipped: no shared data");
    }
    let config = IdxConfig {
        train_images: folder.join("train-images-idx3-ubyte.gz"),
        train_labels: folder.join("train-labels-idx1-ubyte.gz"),
        test_images: Some(folder.join("t10k-images-idx3-ubyte.gz")),
        test_labels: Some(folder.join("t10k-labels-idx1-ubyte.gz")),
        weights: None,
    };
    let data = config.load().unwrap();
    let Features::U8(images) = &data.features else { panic!("expected bytes") };
    assert_eq!((images.n_rows(), images.n_features(), data.n_train, data.n_classes()), (70_000, 784, 60_000, 10));
    let (train, test) = images.values().split_at(60_000 * 784);
    let sum = |values: &[u8]| values.iter().map(|&v| u64::from(v)).sum::<u64>();
    assert_eq!((sum(train), sum(test)), (1_567_298_545, 264_923_200));
    let sum = |labels: &[u32]| labels.iter().zip(1u64..).map(|(&l, i)| u64::from(l) * i).sum::<u64>();
    assert_eq!((sum(&data.labels[..60_000]), sum(&data.labels[60_000..])), (8_023_005_948, 221_901_817));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = images(&bytes);
        let _ = labels(&bytes, 3);
        let _ = images(&[&[0, 0], bytes.as_slice()].concat());
    }

    #[test]
    fn a_changed_byte_does_not_make_it_panic(at in 0usize..40, byte: u8, code in 8u8..15, cut in 0usize..40) {
        let mut bytes = idx(code, &[3, 2, 2], &[1; 24]);
        bytes[at] = byte;
        if let Ok(features) = images(&bytes) {
            prop_assert!(features.n_rows() * features.n_features() <= 24);
        }
        let _ = images(&bytes[..cut]);
        let _ = labels(&bytes, 3);
    }
}
