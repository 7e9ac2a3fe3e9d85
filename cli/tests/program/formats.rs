//! Bad data files of every format end with exit code 1, the file and the line, record or byte, and a hint; never with a panic,
//! never with a run folder.

use crate::program::{Case, Desk, Verdict, outcome, shared};
use flate2::Compression;
use std::fs::File;
use std::io::Write;
use std::process::Stdio;

const CONFIG: &str = "\
[objective]
lambda = 1e-3
[loss.weston_watkins]
[solver.sgd]
epochs = 1
";

fn idx(element: u8, dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, element, dims.len() as u8];
    dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_be_bytes()).collect()
}

fn images() -> Vec<u8> {
    idx(8, &[4, 2, 2], &(0..16).collect::<Vec<u8>>())
}

fn labels() -> Vec<u8> {
    idx(8, &[4], &[0, 1, 0, 1])
}

/// CIFAR records with these labels.
fn cifar(labels: &[u8]) -> Vec<u8> {
    labels.iter().flat_map(|&label| [vec![label], vec![label * 3; 3072]].concat()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A compressed fixture that this crate has no encoder for.
fn packed(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/fixtures/formats/bytes.{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn cut(mut bytes: Vec<u8>, by: usize) -> Vec<u8> {
    bytes.truncate(bytes.len() - by);
    bytes
}

fn corrupt(mut bytes: Vec<u8>) -> Vec<u8> {
    let middle = bytes.len() / 2;
    bytes[middle..middle + 3].iter_mut().for_each(|b| *b ^= 0x5a);
    bytes
}

/// A tar archive of CIFAR files.
fn tar(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, format!("cifar-10-batches-bin/{name}"), bytes.as_slice()).unwrap();
    }
    archive.into_inner().unwrap()
}

/// A row: the mistake, the file that has it, its bytes, the problem, the hint.
type Row = (&'static str, &'static str, Vec<u8>, &'static str, &'static str);

/// Trains on good files with the bad one among them.
fn hold(data: &str, good: &[(&str, Vec<u8>)], rows: &[Row]) {
    let mut verdict = Verdict::default();
    for (what, file, bytes, problem, hint) in rows {
        let desk = Desk::new();
        desk.write("my.toml", format!("{data}\n{CONFIG}"));
        good.iter().for_each(|(name, bytes)| {
            desk.write(name, bytes);
        });
        desk.write(file, bytes);
        let outcome = desk.run(&["train", "my.toml", "--out", "run"]);
        verdict.hold(&Case { what, problem, hint }, &outcome, 1);
        assert!(!desk.path("run").exists() && outcome.stdout.is_empty(), "{what}: nothing is left behind");
        assert!(outcome.problem().contains(file.split('/').next().unwrap()), "{what}: names the file");
    }
    verdict.assert();
}

const AGAIN: &str = "download or copy the file again";
const CUT: &str = "the file is cut off: get it again";
const MNIST: &str = "MNIST's files are called `train-images-idx3-ubyte` and the like, plain or compressed";
const FINITE: &str = "replace missing values, or drop their rows, before training";
const PARTS: &str = "do images and labels belong to the same part?";
const DAMAGED: &str = "the header is damaged: get the file again";
const LABELS: &str = "there is nothing to tell apart: are these the right labels?";

#[test]
fn idx_files() {
    let data = "[data.idx]\ntrain_images = \"images\"\ntrain_labels = \"labels\"";
    let tall = [floats(&[1.0, 2.0]), floats(&[f32::NAN, 3.0])].concat();
    hold(
        data,
        &[("images", images()), ("labels", labels())],
        &[
            (
                "truncated",
                "images",
                cut(images(), 3),
                "images: record 4: the file ends here, expected 4 records as its header says",
                CUT,
            ),
            (
                "truncated header",
                "images",
                images()[..9].to_vec(),
                "images: byte 0: the file ends within the header of 3 dimensions",
                "",
            ),
            (
                "empty",
                "images",
                vec![],
                "images: byte 0: found an empty file, expected an idx file, which starts with two zero bytes",
                MNIST,
            ),
            (
                "wrong magic",
                "images",
                [b"\x89PNG".to_vec(), images()].concat(),
                "images: byte 0: found a PNG image, expected an idx file, which starts with two zero bytes",
                MNIST,
            ),
            (
                "text",
                "images",
                b"5,0,0,0\n".to_vec(),
                "images: byte 0: found text, expected an idx file, which starts with two zero bytes",
                MNIST,
            ),
            (
                "unknown element",
                "images",
                idx(7, &[4, 1], &[0; 4]),
                "images: byte 0: element code 0x07 is unknown, expected 08, 09, 0b, 0c, 0d or 0e",
                "",
            ),
            (
                "ragged",
                "images",
                idx(8, &[4, 2, 2], &[0; 17]),
                "images: byte 32: data continue, expected the end after 4 records as the header says",
                DAMAGED,
            ),
            (
                "huge header",
                "images",
                idx(8, &[u32::MAX, 65_535, 65_535], b"abc"),
                "labels: found 4 labels, expected 4294967295 as images has rows",
                PARTS,
            ),
            (
                "overflowing header",
                "images",
                idx(8, &[u32::MAX, u32::MAX, u32::MAX], b"abc"),
                "images: byte 0: the header says 4294967295x4294967295x4294967295, more than any memory holds",
                "",
            ),
            (
                "huge rows",
                "images",
                idx(8, &[4, 65_535, 65_535], b"abc"),
                "images: record 1: the file ends here, expected 4 records as its header says",
                CUT,
            ),
            (
                "no rows",
                "images",
                idx(8, &[0, 2, 2], b""),
                "images: byte 0: the header says 0x2x2, which holds nothing",
                "",
            ),
            (
                "NaN",
                "images",
                idx(0x0d, &[4, 1], &tall),
                "images: record 3: found a value that is not finite or beyond the range of f32",
                FINITE,
            ),
            (
                "labels as images",
                "images",
                labels(),
                "images: byte 3: found one dimension, expected rows of features or images",
                "these look like labels",
            ),
            (
                "four dimensions",
                "images",
                idx(8, &[4, 1, 1, 1], &[0; 4]),
                "images: byte 3: found 4 dimensions, expected 2 or 3",
                "",
            ),
            (
                "truncated labels",
                "labels",
                cut(labels(), 1),
                "labels: record 4: the file ends here, expected 4 records as its header says",
                CUT,
            ),
            (
                "missing label",
                "labels",
                idx(8, &[3], &[0, 1, 0]),
                "labels: found 3 labels, expected 4 as images has rows",
                PARTS,
            ),
            (
                "no labels at all",
                "labels",
                vec![],
                "labels: byte 0: found an empty file, expected an idx file, which starts with two zero bytes",
                MNIST,
            ),
            (
                "images as labels",
                "labels",
                images(),
                "labels: byte 3: found 3 dimensions, expected labels in one",
                "these look like images",
            ),
            (
                "labels that are no integers",
                "labels",
                idx(0x0d, &[4], &floats(&[0.0, 1.0, 0.5, 1.0])),
                "labels: byte 3: found floating-point labels, expected integers",
                "",
            ),
            (
                "one class",
                "labels",
                idx(8, &[4], &[7; 4]),
                "labels: found one class only, `7` in 4 rows, expected at least two classes",
                LABELS,
            ),
            (
                "truncated gzip",
                "images",
                cut(gzip(&images()), 9),
                "images: the gzip stream ends early: the file is cut off",
                AGAIN,
            ),
            (
                "corrupt gzip",
                "images",
                corrupt(gzip(&images())),
                "images: the gzip stream is corrupt: corrupt deflate stream",
                AGAIN,
            ),
            (
                "truncated bzip2",
                "images",
                cut(bzip2(&images()), 9),
                "images: the bzip2 stream ends early: the file is cut off",
                AGAIN,
            ),
            (
                "corrupt bzip2",
                "images",
                corrupt(bzip2(&images())),
                "images: the bzip2 stream is corrupt: bzip2: invalid data",
                AGAIN,
            ),
            (
                "truncated xz",
                "images",
                packed("xz")[..300].to_vec(),
                "images: the xz stream ends early: the file is cut off",
                AGAIN,
            ),
            (
                "truncated zstd",
                "images",
                packed("zst")[..300].to_vec(),
                "images: the zstd stream ends early: the file is cut off",
                AGAIN,
            ),
        ],
    );
}

#[test]
fn cifar_files() {
    let data = "[data.cifar]\ndir = \"c\"";
    let good = [("c/data_batch_1.bin", cifar(&[0, 1, 2])), ("c/test_batch.bin", cifar(&[1, 2]))];
    let python = "this is the Python version of the data set: `burn-svm fetch cifar10` downloads the binary one";
    let short = "the file is cut off, or not the binary version of CIFAR";
    let names = |text: &str| text.as_bytes().to_vec();
    hold(
        data,
        &good,
        &[
            (
                "truncated",
                "c/data_batch_1.bin",
                cut(cifar(&[0, 1, 2]), 5),
                "c/data_batch_1.bin: record 3: the record has 3068 of 3073 bytes",
                short,
            ),
            (
                "truncated test",
                "c/test_batch.bin",
                cut(cifar(&[0, 1]), 5),
                "c/test_batch.bin: record 2: the record has 3068 of 3073 bytes",
                short,
            ),
            (
                "empty",
                "c/data_batch_2.bin",
                vec![],
                "c/data_batch_2.bin: found an empty file, expected records of 3073 bytes",
                "the binary version of CIFAR is needed: whole images, each behind its label",
            ),
            (
                "text",
                "c/data_batch_1.bin",
                b"airplane 1 2 3\n".to_vec(),
                "c/data_batch_1.bin: found text, expected records of 3073 bytes",
                "the binary version of CIFAR is needed: whole images, each behind its label",
            ),
            (
                "label out of range",
                "c/data_batch_1.bin",
                cifar(&[0, 1, 12]),
                "c/data_batch_1.bin: record 3: found label 12, expected 0 to 9",
                "is this the binary version of CIFAR, with all of its class names?",
            ),
            (
                "one class",
                "c/data_batch_1.bin",
                cifar(&[3, 3, 3]),
                "c: found one class only, `3` in 3 rows, expected at least two classes",
                LABELS,
            ),
            (
                "more labels than names",
                "c/batches.meta.txt",
                names("cat\ndog\n"),
                "c/data_batch_1.bin: record 3: found label 2, expected 0 to 1",
                "is this the binary version of CIFAR, with all of its class names?",
            ),
            (
                "a name twice",
                "c/batches.meta.txt",
                names("cat\ndog\ncat\n"),
                "c/batches.meta.txt:3: class `cat` occurs twice",
                "",
            ),
            (
                "names not in UTF-8",
                "c/batches.meta.txt",
                b"cat\nd\xf6g\nx\n".to_vec(),
                "c/batches.meta.txt:2: the class name is not UTF-8 text",
                "",
            ),
            (
                "CIFAR-10 and CIFAR-100",
                "c/train.bin",
                vec![0; 3074],
                "c: holds files of CIFAR-10 and CIFAR-100, expected one of them",
                "",
            ),
            (
                "truncated gzip",
                "c/data_batch_1.bin",
                cut(gzip(&cifar(&[0, 1])), 9),
                "c/data_batch_1.bin: the gzip stream ends early: the file is cut off",
                AGAIN,
            ),
        ],
    );
    hold(
        data,
        &[],
        &[
            (
                "the Python version",
                "c/data_batch_1",
                vec![0; 9],
                "c: holds neither `data_batch_*.bin` (CIFAR-10) nor `train.bin` (CIFAR-100)",
                python,
            ),
            (
                "one folder too high",
                "c/cifar-10-batches-bin/data_batch_1.bin",
                cifar(&[0, 1]),
                "c: holds neither `data_batch_*.bin` (CIFAR-10) nor `train.bin` (CIFAR-100)",
                "did you mean c/cifar-10-batches-bin?",
            ),
            (
                "another folder",
                "c/readme.txt",
                vec![],
                "c: holds neither `data_batch_*.bin` (CIFAR-10) nor `train.bin` (CIFAR-100)",
                "`dir` is the folder with the .bin files, or the .tar.gz itself",
            ),
        ],
    );
}

#[test]
fn cifar_archives() {
    let batches = || tar(&[("data_batch_1.bin", cifar(&[0, 1, 2])), ("test_batch.bin", cifar(&[1, 2]))]);
    hold(
        "[data.cifar]\ndir = \"c\"",
        &[],
        &[
            (
                "truncated",
                "c",
                cut(batches(), 5000),
                "c: the archive is cut off or damaged: unexpected end of file",
                AGAIN,
            ),
            (
                "truncated gzip",
                "c",
                cut(gzip(&batches()), 20),
                "c: the archive is cut off or damaged: incomplete deflate stream",
                AGAIN,
            ),
            (
                "corrupt gzip",
                "c",
                corrupt(gzip(&batches())),
                "c: the archive is cut off or damaged: corrupt deflate stream",
                AGAIN,
            ),
            ("empty", "c", vec![], "c: found an empty file, expected a folder or a tar archive", ""),
            ("text", "c", b"1 1:1\n".to_vec(), "c: found text, expected a folder or a tar archive", ""),
            (
                "a truncated batch",
                "c",
                tar(&[("data_batch_1.bin", cut(cifar(&[0, 1]), 5))]),
                "c/data_batch_1.bin: record 2: the record has 3068 of 3073 bytes",
                "the file is cut off, or not the binary version of CIFAR",
            ),
            (
                "a batch twice",
                "c",
                tar(&[("data_batch_1.bin", cifar(&[0, 1])), ("data_batch_1.bin", cifar(&[0, 1]))]),
                "c/data_batch_1.bin: occurs twice in the archive",
                "",
            ),
            (
                "nothing of CIFAR",
                "c",
                tar(&[("x.txt", vec![1])]),
                "c: holds neither `data_batch_*.bin` (CIFAR-10) nor `train.bin` (CIFAR-100)",
                "`dir` is the folder with the .bin files, or the .tar.gz itself",
            ),
        ],
    );
}

#[test]
fn libsvm_files() {
    let text = |text: &str| text.as_bytes().to_vec();
    let many = || text(&"1 1:1\n2 2:1\n".repeat(1000));
    let line = "a line is `LABEL INDEX:VALUE INDEX:VALUE ...`";
    let missing = "replace missing values, or leave their cells out";
    hold(
        "[data.libsvm]\ntrain = \"rows\"",
        &[],
        &[
            (
                "truncated",
                "rows",
                text("1 1:1\n2 2:"),
                "rows:2:5: found no value, expected a number after `INDEX:`",
                line,
            ),
            ("truncated index", "rows", text("1 1:1\n2 2"), "rows:2:3: found `2`, expected `INDEX:VALUE`", line),
            ("empty", "rows", vec![], "rows: found an empty file, expected libsvm text", ""),
            (
                "only comments",
                "rows",
                text("# nothing\n\n"),
                "rows: found text without a row, expected libsvm text",
                "",
            ),
            ("corrupt", "rows", text("1 1:1\n2 2:1x 3:1\n"), "rows:2:5: found value `1x`, expected a number", line),
            (
                "binary",
                "rows",
                images(),
                "rows: found an idx file, expected libsvm text",
                "`[data.idx]` reads it, `--format idx` where a command has no table",
            ),
            (
                "UTF-16",
                "rows",
                b"\xff\xfe1\0 \x001\0:\x001\0".to_vec(),
                "rows: found UTF-16 text, expected libsvm text",
                "save it as UTF-8: `iconv -f UTF-16 -t UTF-8 FILE > NEW`",
            ),
            (
                "csv",
                "rows",
                text("1,2,3\n4,5,6\n"),
                "rows: found no feature in 2 rows, expected `INDEX:VALUE` after the label",
                line,
            ),
            ("NaN", "rows", text("1 1:1\n2 2:nan\n"), "rows:2:5: value `nan` is not finite", missing),
            ("infinite", "rows", text("1 1:1\n\n2 2:-inf\n"), "rows:3:5: value `-inf` is not finite", missing),
            (
                "beyond f32",
                "rows",
                text("1 1:1\n2 2:1e39\n"),
                "rows:2:5: value `1e39` is beyond the range of f32",
                "scale the feature down",
            ),
            (
                "missing label",
                "rows",
                text("1 1:1\n1:2 2:1\n"),
                "rows:2:1: found `1:2`, expected a label before the first feature",
                line,
            ),
            (
                "label NaN",
                "rows",
                text("1 1:1\nnan 2:1\n"),
                "rows:2:1: found label `nan`, expected an integer or a word",
                line,
            ),
            (
                "unsorted",
                "rows",
                text("1 1:1\n2 2:1 1:1\n"),
                "rows:2:7: feature index 1 follows 2; indices must increase within a line",
                "sort the cells of each line by their index, and write each once",
            ),
            (
                "index 0",
                "rows",
                text("1 1:1\n2 2:1 0:1\n"),
                "rows:2:7: feature index 0 follows 2; indices must increase within a line",
                "sort the cells of each line by their index, and write each once",
            ),
            (
                "negative index",
                "rows",
                text("1 -1:1\n2 2:1\n"),
                "rows:1:3: found `-1:1`, expected `INDEX:VALUE`",
                "indices count from 1",
            ),
            (
                "huge index",
                "rows",
                text("1 1:1\n2 4000000000:1\n"),
                "rows:2:3: feature index `4000000000` is too large, expected at most 2147483648",
                "is the index right? the largest sets the number of features",
            ),
            (
                "wide",
                "rows",
                text("1 1:1\n2 2147483648:1\n"),
                "rows: found 2147483648 features and 2 classes, expected at most 1073741824 weights",
                "is one feature index wrong? the largest sets the number of features",
            ),
            (
                "ranking",
                "rows",
                text("1 qid:1 1:1\n"),
                "rows:1:3: found `qid:1`; ranking data are not supported",
                "remove the `qid:` column",
            ),
            (
                "one class",
                "rows",
                text("1 1:1\n1 2:1\n"),
                "rows: found one class only, `1` in 2 rows, expected at least two classes",
                LABELS,
            ),
            (
                "truncated gzip",
                "rows",
                cut(gzip(&many()), 9),
                "rows: the gzip stream ends early: the file is cut off",
                AGAIN,
            ),
            (
                "corrupt gzip",
                "rows",
                corrupt(gzip(&many())),
                "rows: the gzip stream is corrupt: corrupt deflate stream",
                AGAIN,
            ),
            (
                "truncated bzip2",
                "rows",
                cut(bzip2(&many()), 9),
                "rows: the bzip2 stream ends early: the file is cut off",
                AGAIN,
            ),
            (
                "corrupt bzip2",
                "rows",
                corrupt(bzip2(&many())),
                "rows: the bzip2 stream is corrupt: bzip2: invalid data",
                AGAIN,
            ),
            (
                "zstd",
                "rows",
                b"\x28\xb5\x2f\xfdabc".to_vec(),
                "rows: the zstd stream ends early: the file is cut off",
                AGAIN,
            ),
        ],
    );
    let good = [("rows", text("1 1:1\n2 2:1\n"))];
    hold(
        "[data.libsvm]\ntrain = \"rows\"\ntest = \"test\"",
        &good,
        &[
            (
                "a class that train does not have",
                "test",
                text("1 1:1\n3 1:1\n"),
                "test: record 2: label `3` does not occur in the train part",
                "no model could get these rows right: remove them, or train on rows of their classes; the train part has 2 classes: 1, 2",
            ),
            (
                "truncated test part",
                "test",
                text("1 1:1\n2 1:"),
                "test:2:5: found no value, expected a number after `INDEX:`",
                line,
            ),
        ],
    );
}

/// A model of two features and the classes 1 and 2.
fn with_model() -> Desk {
    let desk = Desk::new();
    desk.write("my.toml", format!("[data.libsvm]\ntrain = \"rows\"\n{CONFIG}")).write("rows", "1 1:1\n2 2:1\n");
    desk.succeed(&["train", "my.toml", "--out", "run", "--quiet"]);
    desk
}

#[test]
fn predict_and_evaluate_refuse_what_train_refuses() {
    let desk = with_model();
    desk.write("cut", "1 1:1\n2 2:")
        .write("empty", "")
        .write("text", "hello\n")
        .write("wide", idx(8, &[2, 3], &[0; 6]))
        .write("nolabels", "1:1\n2:1\n")
        .write("other", "1 1:1\n9 1:1\n")
        .write("cut.gz", cut(gzip(b"1 1:1\n2 2:1\n"), 6))
        .write("batch.bin", cut(cifar(&[1, 2]), 3));
    let mut verdict = Verdict::default();
    let line = "a line is `LABEL INDEX:VALUE INDEX:VALUE ...`";
    let formats = "expected one of npy, parquet, arrow, images, idx, cifar, libsvm, csv";
    let text = "name the format with --format: `csv` for cells between commas, semicolons, tabs or blanks";
    for (arguments, code, problem, hint) in [
        (
            &["predict", "run", "cut"][..],
            1,
            "cut:2:5: found no value, expected a number after `INDEX:`".to_owned(),
            line,
        ),
        (&["predict", "run", "empty"], 1, format!("empty: found an empty file, {formats}"), ""),
        (&["predict", "run", "text"], 1, format!("text: found text, {formats}"), text),
        (
            &["predict", "run", "text", "--format", "libsvm"],
            1,
            "text: found no feature in 1 rows, expected `INDEX:VALUE` after the label".to_owned(),
            "a line is `LABEL INDEX:VALUE INDEX:VALUE ...`",
        ),
        (
            &["predict", "run", "wide"],
            1,
            "wide: rows have 3 features, the model expects 2".to_owned(),
            "give the model data of the kind that it was trained on",
        ),
        (&["predict", "run", "cut.gz"], 1, "cut.gz: the gzip stream ends early: the file is cut off".to_owned(), AGAIN),
        (
            &["predict", "run", "batch.bin"],
            1,
            "batch.bin: record 2: the record has 3070 of 3073 bytes".to_owned(),
            "the file is cut off, or not the binary version of CIFAR",
        ),
        (&["predict", "run", "nope"], 2, "nope: no such file or directory".to_owned(), ""),
        (
            &["predict", "run", "."],
            2,
            ".: is a directory, expected a file".to_owned(),
            "`[data.images]` reads a folder of images, `[data.parquet]` and `[data.arrow]` a folder of part files",
        ),
        (
            &["evaluate", "run", "--data", "nolabels"],
            1,
            "nolabels: has no labels to evaluate against".to_owned(),
            "`burn-svm predict` needs none",
        ),
        (
            &["evaluate", "run", "--data", "other"],
            1,
            "other: record 2: label `9` is not a class of the model".to_owned(),
            "the model's classes are 1, 2",
        ),
        (
            &["evaluate", "run", "--data", "cut"],
            1,
            "cut:2:5: found no value, expected a number after `INDEX:`".to_owned(),
            line,
        ),
        (&["evaluate", "run", "--data", "nope"], 2, "nope: no such file or directory".to_owned(), ""),
    ] {
        let outcome = desk.run(arguments);
        verdict.hold(&Case { what: &arguments.join(" "), problem: &problem, hint }, &outcome, code);
        assert_eq!(outcome.stdout, "");
    }
    verdict.assert();
}

#[test]
fn standard_input_is_named_in_messages() {
    let desk = with_model();
    desk.write("cut", "1 1:1\n2 2:");
    let mut command = desk.command(&["predict", "run", "-"]);
    command.stdin(Stdio::from(File::open(desk.path("cut")).unwrap()));
    let outcome = outcome(&mut command);
    assert_eq!(
        (outcome.code, outcome.problem()),
        (Some(1), "stdin:2:5: found no value, expected a number after `INDEX:`")
    );
}

#[test]
fn real_files_that_are_cut_off_are_refused() {
    let Some(folder) = shared("data/mnist") else { return };
    let desk = Desk::new();
    for name in ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"] {
        let whole = std::fs::read(folder.join(name)).unwrap();
        desk.write(name, &whole[..whole.len() / 2]);
    }
    desk.write("labels", std::fs::read(folder.join("train-labels-idx1-ubyte.gz")).unwrap());
    let images = "[data.idx]\ntrain_images = \"train-images-idx3-ubyte.gz\"\ntrain_labels = ";
    for (labels, file) in
        [("labels", "train-images-idx3-ubyte.gz"), ("train-labels-idx1-ubyte.gz", "train-labels-idx1-ubyte.gz")]
    {
        desk.write("my.toml", format!("{images}\"{labels}\"\n{CONFIG}"));
        let outcome = desk.run(&["train", "my.toml", "--out", "run"]);
        let problem = format!("{file}: the gzip stream ends early: the file is cut off");
        assert_eq!((outcome.code, outcome.problem(), outcome.hint()), (Some(1), problem.as_str(), AGAIN));
    }
}
