use super::*;
use crate::format::{Format, read_table, read_table_for};
use std::fs;

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
fn every_kind_is_decoded_whatever_its_name() {
    let image = |name: &str| read_image(&fixture("kinds").join(name)).unwrap();
    let (grey, rgb) = (&expected(0)[..12], &expected(0)[..]);
    let (deep, alpha) = (&[Omission::Depth][..], &[Omission::Alpha][..]);
    for (name, pixels, losses) in [
        ("palette.png", rgb, &[][..]),
        ("alpha.png", rgb, &[]),
        ("grey.png", grey, &[]),
        ("webp.jpg", rgb, &[]),
        ("bmp.jpg", rgb, &[]),
        ("tiff.jpg", rgb, &[]),
        ("deflated.tif", rgb, &[]),
        ("gif.jpg", rgb, &[]),
        ("ppm.jpg", rgb, &[]),
        ("flat.pgm", &[77; 12], &[]),
        ("grey16.png", grey, deep),
        ("grey16.tif", grey, deep),
        ("grey16.pgm", grey, deep),
        ("clear.png", rgb, alpha),
        ("clear.webp", rgb, alpha),
        ("clear.tiff", rgb, alpha),
        ("turned.png", rgb, &[Omission::Orientation]),
        ("turned.webp", rgb, &[Omission::Orientation]),
        ("turned.tiff", rgb, &[Omission::Orientation]),
        ("two.png", rgb, &[Omission::Frames]),
        ("two.webp", rgb, &[Omission::Frames]),
        ("two.tiff", rgb, &[Omission::Frames]),
        ("two.gif", rgb, &[Omission::Frames]),
    ] {
        let found = image(name);
        let shape = ImageShape { channels: pixels.len() / 12, height: 3, width: 4 };
        assert_eq!((found.pixels.as_slice(), found.shape, found.losses.as_slice()), (pixels, shape, losses), "{name}");
    }
}

#[test]
fn jpeg_is_decoded_in_grey_and_in_colour() {
    for (name, values, losses) in [
        ("flat.jpg", &[200, 100, 50][..], &[][..]),
        ("progressive.jpg", &[200, 100, 50], &[]),
        ("flat-grey.jpg", &[77], &[]),
        ("cmyk.jpg", &[200, 100, 50], &[]),
        ("turned.jpg", &[200, 100, 50], &[Omission::Orientation]),
    ] {
        let found = read_image(&fixture("kinds").join(name)).unwrap();
        assert_eq!((found.shape.channels, found.losses.as_slice()), (values.len(), losses), "{name}");
        for (plane, value) in found.pixels.chunks(12).zip(values) {
            assert!(plane.iter().all(|p| p.abs_diff(*value) <= 3), "{name}: {plane:?}");
        }
    }
}

#[test]
fn colours_that_are_not_read_are_named() {
    for (name, problem) in [
        ("cmyk.tif", "the TIFF image cannot be decoded: its colours are CMYK(8), expected grey or RGB of 8 or 16 bits"),
        ("palette.tif", "Photometric interpretation RGBPalette"),
        ("bits.tif", "its colours are Gray(1), expected grey or RGB"),
        ("floats.tif", "its colours are Gray(32), expected grey or RGB"),
    ] {
        let error = read_image(&fixture("kinds").join(name)).unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
        assert!(error.hint.unwrap().contains("mogrify -format png -type TrueColor -depth 8"), "{name}");
    }
    for (bytes, problem) in [
        (&b"P2\n1 1\n255\n7\n"[..], "found a PNM image in text, expected an image: PNG, JPEG"),
        (b"P5\n1 1\n15\n\x07", "its largest value is 15, expected 255 or 65535"),
        (b"P5 1 1 1000\n\x03\x00", "its largest value is 1000, expected 255 or 65535"),
        (b"BM is text, not an image\n", "found text, expected an image"),
        (b"P5 1:2 3:4\nP6 1:1\n", "found text, expected an image"),
        (b"II*\0", "the TIFF image cannot be decoded"),
        (b"GIF89a", "the GIF image cannot be decoded"),
        (b"RIFF\x04\0\0\0WEBP", "the WebP image cannot be decoded"),
    ] {
        let error = decode(bytes).unwrap_err();
        assert!(error.contains(problem), "{error}\nexpected {problem}");
    }
    // A comment stands where a program likes to sign.
    assert_eq!(decode(b"P5\n# by hand\n1 2\n255\n\x07\x01").unwrap().pixels, [7, 1]);
}

#[test]
fn a_file_alone_is_a_row() {
    let table = read_table(&fixture("kinds/grey.png"), None).unwrap();
    assert_eq!((table.features.n_rows(), table.features.n_features()), (1, 12));
    let of_colours = ModelColumns { n_features: 36, ..ModelColumns::default() };
    let table = read_table_for(&fixture("kinds/grey.png"), None, &of_colours).unwrap();
    assert_eq!(table.features, Features::U8(Dense::new(36, expected(0)[..12].repeat(3))));
    for name in ["webp.jpg", "bmp.jpg", "tiff.jpg", "gif.jpg", "ppm.jpg", "flat.jpg", "grey.png"] {
        let head = fs::read(fixture("kinds").join(name)).unwrap();
        assert_eq!(Format::detect(Path::new("-"), &head), Some(Format::Images), "{name}");
    }
}

/// A folder of a data set that is being made.
struct FixtureFolder(tempfile::TempDir);

impl FixtureFolder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn copy(&self, fixture_name: &str, name: &str) -> &Self {
        fs::copy(fixture(fixture_name), self.at(name)).unwrap();
        self
    }

    fn write(&self, name: &str, bytes: &[u8]) -> &Self {
        fs::write(self.at(name), bytes).unwrap();
        self
    }

    fn load(&self) -> Result<Dataset, DataError> {
        ImagesConfig { train: self.0.path().to_path_buf(), test: None, weights: None }.load()
    }

    fn problem(&self) -> String {
        self.load().unwrap_err().to_string()
    }
}

#[test]
fn nothing_is_passed_over_without_a_word() {
    let made = FixtureFolder::new();
    made.copy("train/ant/0.png", "a/0.png").copy("train/bee/2.png", "b/2.PNG");
    // Files that systems and programs leave there are ignored.
    for name in ["b/Thumbs.db", "b/.hidden.png", ".git/x.png", "a/.DS_Store", "desktop.ini", "__MACOSX/x.png"] {
        made.write(name, b"x");
    }
    let data = made.load().unwrap();
    assert_eq!((data.n_train, data.notes.as_slice()), (2, &[][..]));
    made.write("a/notes.txt", b"x").write("labels.txt", b"x").write("b/draft.xcf", b"x").write("b/README", b"x");
    made.copy("train/ant/1.png", "stray.png")
        .copy("train/ant/1.png", "a/2019/deep/1.png")
        .copy("kinds/webp.jpg", "a/named");
    let data = made.load().unwrap();
    let expected = "5 files passed over: 2 .txt, 1 .png in no class folder, 1 .xcf, 1 without an extension";
    assert!(data.notes[0].ends_with(expected), "{:?}", data.notes);
    assert_eq!((data.n_train, data.labels.as_slice(), data.notes.len()), (4, &[0, 0, 0, 1][..], 1));
    made.write("eel/one.avif", b"x").write("eel/two.avif", b"x");
    assert!(made.problem().ends_with("eel: the class has no image, found 2 .avif"), "{}", made.problem());
    fs::remove_dir_all(made.at("eel/x").parent().unwrap()).unwrap();
    fs::create_dir(made.at("elk")).unwrap();
    assert!(made.problem().ends_with("elk: the class has no image"), "{}", made.problem());
    assert!(made.load().unwrap_err().hint.unwrap().contains("WebP, BMP, TIFF, GIF"));
}

#[cfg(unix)]
#[test]
fn links_to_folders_do_not_lead_in_circles() {
    let made = FixtureFolder::new();
    made.copy("train/ant/0.png", "a/0.png").copy("train/bee/2.png", "b/2.png");
    std::os::unix::fs::symlink("..", made.at("a/up")).unwrap();
    std::os::unix::fs::symlink("b", made.at("c")).unwrap();
    let data = made.load().unwrap();
    assert_eq!((data.n_train, data.class_names.join(" ").as_str()), (3, "a b c"));
    assert!(data.notes[0].ends_with("1 file passed over: 1 links to folders"), "{:?}", data.notes);
}

#[test]
fn grey_images_among_others_become_rgb() {
    let made = FixtureFolder::new();
    made.copy("kinds/grey.png", "a/0.png").copy("train/bee/2.png", "b/2.png").copy("kinds/grey16.png", "b/3.png");
    let data = made.load().unwrap();
    let grey = expected(0)[..12].repeat(3);
    let rows = [grey.clone(), expected(2), grey].concat();
    assert_eq!(data.features, Features::U8(Dense::new(36, rows)));
    assert_eq!(data.image_shape.map(|shape| shape.channels), Some(3));
    assert!(
        data.notes[0].ends_with("1 image has 16 bits a channel, of which the upper 8 are kept"),
        "{:?}",
        data.notes
    );
    // A test part cannot change the train part.
    let grey = FixtureFolder::new();
    grey.copy("kinds/grey.png", "ant/0.png").copy("kinds/grey.png", "bee/0.png");
    let mut config = ImagesConfig { train: grey.0.path().to_path_buf(), test: Some(fixture("test")), weights: None };
    let error = config.load().unwrap_err();
    assert!(error.to_string().contains("3.png: is 4 x 3 pixels, RGB, expected 4 x 3 pixels, grey as"), "{error}");
    assert_eq!(error.hint.unwrap(), "`mogrify -colorspace Gray` makes images grey");
    (config.train, config.test) = (fixture("train"), Some(grey.0.path().to_path_buf()));
    assert_eq!(config.load().unwrap().features.n_features(), 36);
}

#[test]
fn odd_files_are_named() {
    let made = FixtureFolder::new();
    assert!(made.problem().ends_with("holds no image in a folder of its own class"));
    made.copy("train/ant/0.png", "a/0.png");
    assert!(made.problem().contains("found one class only, `a` in 1 rows"), "{}", made.problem());
    made.copy("train/bee/2.png", "b/2.png");
    made.write("b/1.png", b"P5 5 7 255\n\xff").write("b/1.png", &[b"P5 5 7 255\n", &[200; 35][..]].concat());
    let error = made.load().unwrap_err();
    assert!(error.to_string().contains("1.png: is 5 x 7 pixels, RGB, expected 4 x 3 pixels, RGB as"), "{error}");
    assert_eq!(error.hint.unwrap(), "`mogrify -resize '4x3!'` brings images to one size");
    let whole = fs::read(fixture("train/ant/0.png")).unwrap();
    for (bytes, expected) in [
        (&whole[..whole.len() / 2], "1.png: the PNG image cannot be decoded: "),
        (&whole[..20], "1.png: the PNG image cannot be decoded: "),
        (b"", "1.png: found an empty file, expected an image: PNG, JPEG"),
        (b"GIF89b", "1.png: found a GIF image, expected an image: PNG, JPEG"),
        (b"\xff\xd8\xff\xe0abc", "1.png: the JPEG image cannot be decoded: "),
    ] {
        made.write("b/1.png", bytes);
        assert!(made.problem().contains(expected), "{}\nexpected {expected}", made.problem());
        assert!(made.load().unwrap_err().hint.is_some());
    }
    fs::remove_file(made.at("b/1.png")).unwrap();
    let elsewhere = ImagesConfig { train: made.0.path().to_path_buf(), test: Some(fixture("test")), weights: None };
    let error = elsewhere.load().unwrap_err().to_string();
    assert!(error.contains("label `bee` does not occur in the train part"), "{error}");
}

#[test]
fn damage_is_an_error_and_no_panic() {
    for name in [
        "train/ant/1.png",
        "kinds/flat.jpg",
        "kinds/palette.png",
        "kinds/progressive.jpg",
        "kinds/two.webp",
        "kinds/bmp.jpg",
        "kinds/tiff.jpg",
        "kinds/deflated.tif",
        "kinds/two.gif",
        "kinds/grey16.pgm",
    ] {
        let whole = fs::read(fixture(name)).unwrap();
        for cut in 0..whole.len() {
            let _ = decode(&whole[..cut]);
            let mut changed = whole.clone();
            changed[cut] ^= 0x55;
            let _ = decode(&changed);
        }
    }
}

#[test]
fn a_directory_that_promises_more_values_than_the_file_has_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fs::read(fixture("kinds/grey16.tif")).unwrap();
    let first = u32::from_le_bytes(whole[4..8].try_into().unwrap()) as usize;
    // The count of the second entry, of 4-byte numbers; and an entry that lies outside of the file.
    for (at, value) in [(first + 2 + 12 + 4, 5_000_000u32), (first, 60_000)] {
        let mut bytes = whole.clone();
        let length = if at == first { 2 } else { 4 };
        bytes[at..at + length].copy_from_slice(&value.to_le_bytes()[..length]);
        let path = folder.path().join("a.tif");
        fs::write(&path, bytes).unwrap();
        let error = read_image(&path).unwrap_err().to_string();
        assert!(error.ends_with("the TIFF image cannot be decoded: it is cut off"), "{error}");
    }
}
