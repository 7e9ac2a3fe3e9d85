use super::*;
use crate::format::{Format, read_table};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats/images").join(name)
}

/// Image `i` of `make_images.py` in planes.
fn expected(i: usize) -> Vec<u8> {
    let at = |p: usize| (40 * i + 17 * (p % 12 / 4) + 5 * (p % 4) + 60 * (p / 12)) % 256;
    (0..36).map(|p| at(p) as u8).collect()
}

#[test]
fn folders_are_classes_in_the_order_of_their_names() {
    let config = ImagesConfig { train: fixture("train"), test: Some(fixture("test")), weights: None };
    let data = config.load().unwrap();
    let Features::U8(images) = &data.features else { panic!("expected bytes") };
    assert_eq!(images.values(), (0..4).flat_map(expected).collect::<Vec<u8>>());
    assert_eq!(data.image_shape, Some(ImageShape { channels: 3, height: 3, width: 4 }));
    assert_eq!((data.labels, data.class_names.join(" "), data.n_train), (vec![0, 0, 1, 1], "ant bee".into(), 3));
}

#[test]
fn weights_come_in_the_order_of_the_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.txt");
    fs::write(&path, "2\n1\n0.5\n").unwrap();
    let mut config = ImagesConfig { train: fixture("train"), test: Some(fixture("test")), weights: Some(path.clone()) };
    assert_eq!(config.load().unwrap().weights, Some(vec![2.0, 1.0, 0.5, 1.0]));
    assert_eq!(config.paths_mut().len(), 3);
    fs::write(&path, "2\n1\n").unwrap();
    let error = config.load().unwrap_err().to_string();
    assert!(error.ends_with("weights.txt: found 2 weights, expected 3, one a row of the train part"), "{error}");
}

#[test]
fn every_kind_of_png_and_jpeg_is_decoded() {
    let image = |name: &str| read_image(&fixture("kinds").join(name)).unwrap();
    let rgb = ImageShape { channels: 3, height: 3, width: 4 };
    for name in ["palette.png", "alpha.png"] {
        assert_eq!((image(name).pixels, image(name).shape), (expected(0), rgb), "{name}");
    }
    for name in ["grey.png", "grey16.png"] {
        assert_eq!((image(name).pixels.as_slice(), image(name).shape.channels), (&expected(0)[..12], 1), "{name}");
    }
    for (name, values) in
        [("flat.jpg", &[200, 100, 50][..]), ("progressive.jpg", &[200, 100, 50]), ("flat-grey.jpg", &[77])]
    {
        let found = image(name);
        assert_eq!(found.shape.channels, values.len(), "{name}");
        for (plane, value) in found.pixels.chunks(12).zip(values) {
            assert!(plane.iter().all(|p| p.abs_diff(*value) <= 2), "{name}: {plane:?}");
        }
    }
    let table = read_table(&fixture("kinds/grey.png"), None).unwrap();
    assert_eq!((table.features.n_rows(), table.features.n_features()), (1, 12));
    assert_eq!(Format::detect(Path::new("-"), b"\xff\xd8\xff\xe0"), Some(Format::Images));
}

#[test]
fn odd_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    let load =
        || ImagesConfig { train: folder.path().to_path_buf(), test: None, weights: None }.load().map(|d| d.n_train);
    let problem = || load().unwrap_err().to_string();
    assert!(problem().ends_with("holds no PNG or JPEG file in a folder of its own class"));
    fs::copy(fixture("train/ant/0.png"), at("a/0.png")).unwrap();
    assert!(problem().contains("found one class only, `a` in 1 rows"), "{}", problem());
    fs::copy(fixture("train/bee/2.png"), at("b/2.PNG")).unwrap();
    fs::write(at("b/Thumbs.db"), "x").unwrap();
    fs::write(at("b/.hidden.png"), "x").unwrap();
    fs::write(at(".git/x.png"), "x").unwrap();
    fs::write(at("readme.txt"), "x").unwrap();
    assert_eq!(load(), Ok(2));
    fs::copy(fixture("kinds/grey.png"), at("b/1.png")).unwrap();
    assert!(problem().contains("1.png: is 4 x 3 pixels, grey, expected 4 x 3 pixels, RGB as"), "{}", problem());
    let whole = fs::read(fixture("train/ant/0.png")).unwrap();
    for (bytes, expected) in [
        (&whole[..whole.len() / 2], "1.png: the PNG image cannot be decoded: "),
        (&whole[..20], "1.png: the PNG image cannot be decoded: "),
        (b"GIF89a", "1.png: found a GIF image, expected a PNG or JPEG image"),
        (b"", "1.png: found an empty file, expected a PNG or JPEG image"),
        (b"\xff\xd8\xff\xe0abc", "1.png: the JPEG image cannot be decoded: "),
    ] {
        fs::write(at("b/1.png"), bytes).unwrap();
        assert!(problem().contains(expected), "{}\nexpected {expected}", problem());
        assert!(load().unwrap_err().hint.is_some());
    }
    fs::remove_file(at("b/1.png")).unwrap();
    let elsewhere = ImagesConfig { train: folder.path().to_path_buf(), test: Some(fixture("test")), weights: None };
    let error = elsewhere.load().unwrap_err().to_string();
    assert!(error.contains("label `bee` does not occur in the train part"), "{error}");
}

#[test]
fn damage_is_an_error_and_no_panic() {
    for name in ["train/ant/1.png", "kinds/flat.jpg", "kinds/palette.png", "kinds/progressive.jpg"] {
        let whole = fs::read(fixture(name)).unwrap();
        for cut in 0..whole.len() {
            let _ = decode(&whole[..cut]);
            let mut changed = whole.clone();
            changed[cut] ^= 0x55;
            let _ = decode(&changed);
        }
    }
}
