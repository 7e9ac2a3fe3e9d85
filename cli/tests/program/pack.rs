//! Folders of blocks: the rows of every format come back, whatever the order; folders that are damaged, foreign or half done.

use crate::program::{Case, Desk, Verdict};
use burn_svm::internals::data::Dataset;
use burn_svm_cli::config::LoadedConfig;
use burn_svm_cli::format::{FloatType, Reading};
use std::fs;
use std::path::Path;

const SOLVER: &str = "[objective]\nc = 0.1\n[loss.crammer_singer]\n[solver.dual]\ngap = 1e-6\n";

/// A number that looks drawn.
fn noise(i: usize) -> f64 {
    (i as f64 * 0.618_033_988_749_894_9).fract()
}

/// A file that NumPy could have written.
fn npy(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    header += &" ".repeat((10 + header.len() + 1).next_multiple_of(64) - 11 - header.len());
    header.push('\n');
    let len = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\0", &len[..], header.as_bytes(), bytes].concat()
}

fn idx(dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
    bytes.extend(data);
    bytes
}

/// The rows of a part as text, in an order of their own.
fn rows(data: &Dataset, is_test: bool) -> Vec<String> {
    let range = if is_test { data.n_train..data.labels.len() } else { 0..data.n_train };
    let row = |i: usize| {
        let mut cells = Vec::new();
        data.features.for_each_cell(i, |j, x| cells.push((j, x)));
        let weight = data.weights.as_ref().map(|weights| weights[i]);
        format!("{cells:?} {} {weight:?}", data.class_names[data.labels[i] as usize])
    };
    let mut rows: Vec<String> = range.map(row).collect();
    rows.sort();
    rows
}

fn load(desk: &Desk, config: &str) -> Dataset {
    let config = LoadedConfig::load(&desk.path(config), &[]).unwrap();
    let cells = config.run.preprocess.cell_rules();
    let reading = Reading { float: FloatType::Auto, cells, encoding: None };
    config.run.data.load_as(&reading).unwrap()
}

/// Packs the data of a table; the same data in memory, and those of the blocks.
fn both(desk: &Desk, table: &str) -> (Dataset, Dataset) {
    desk.write("a.toml", format!("{table}{SOLVER}"));
    desk.write("b.toml", format!("[data]\nblocks = \"blocks\"\n{SOLVER}"));
    desk.succeed(&["pack", "a.toml", "--out", "blocks", "--force", "--memory", "8M"]);
    (load(desk, "a.toml"), load(desk, "b.toml"))
}

fn agree(what: &str, (a, b): (Dataset, Dataset)) {
    assert_eq!(a.features.kind(), b.features.kind(), "{what}");
    assert_eq!(
        (&a.class_names, &a.feature_names, a.image_shape),
        (&b.class_names, &b.feature_names, b.image_shape),
        "{what}"
    );
    assert_eq!((a.features.n_features(), a.n_train), (b.features.n_features(), b.n_train), "{what}");
    for is_test in [false, true] {
        let (a, b) = (rows(&a, is_test), rows(&b, is_test));
        let other = a.iter().zip(&b).find(|(a, b)| a != b);
        assert!(a.len() == b.len() && other.is_none(), "{what}: {other:?}");
    }
    let first =
        |data: &Dataset| data.labels[..200].iter().map(|&k| data.class_names[k as usize].clone()).collect::<Vec<_>>();
    assert_ne!(first(&a), first(&b), "{what}: the order is another one");
}

/// Numbers in three classes, one after another; the test part is a tenth.
fn csv(desk: &Desk, n: usize) -> &'static str {
    let line = |i: usize, class: usize| {
        format!(
            "{},{:.3},{i},{},{}\n",
            noise(i),
            noise(3 * i) - 0.5 * class as f64,
            ["ash", "oak", "fir"][class],
            i % 4
        )
    };
    let text = |n: usize| (0..n).map(|i| line(i, 3 * i / n)).collect::<String>();
    let header = "a,b,count,tree,w\n";
    desk.write("train.csv", format!("{header}{}", text(n))).write("test.csv", format!("{header}{}", text(n / 10)));
    "[data.csv]\ntrain = \"train.csv\"\ntest = \"test.csv\"\nlabel = \"tree\"\nweights = \"w\"\n"
}

#[test]
fn rows_of_every_format_come_back_in_another_order() {
    let desk = Desk::new();
    let table = csv(&desk, 30_000);
    agree("csv", both(&desk, table));
    let times = (0..3_000).map(|i| format!("{},{}\n", 1_700_000_000 + 37 * i, i / 1_500)).collect::<String>();
    desk.write("times.csv", times);
    let (a, b) = both(&desk, "[data.csv]\ntrain = \"times.csv\"\nlabel = -1\nheader = false\n");
    assert_eq!(a.features.kind(), "f64");
    agree("seconds since 1970", (a, b));

    let line = |i: usize, first: usize| {
        format!(
            "{} {first}:{:.2} {}:1 {}:2.5\n",
            ["+1", "-1"][usize::from(2 * i > 3_000)],
            noise(i),
            3 + i % 7,
            20 + i % 900
        )
    };
    for first in [1, 0] {
        let text: String = (0..3_000).map(|i| line(i, first)).collect();
        desk.write("a.libsvm", text).write("t.libsvm", "1 2:1 5000:1\n-1 7:3\n");
        desk.write("w.txt", (0..3_000).map(|i| format!("{}\n", i % 3)).collect::<String>());
        let table = "[data.libsvm]\ntrain = \"a.libsvm\"\ntest = \"t.libsvm\"\nweights = \"w.txt\"\n";
        agree(&format!("libsvm from {first}"), both(&desk, table));
    }

    let bytes: Vec<u8> = (0..600 * 12).map(|i| (i * 31 % 251) as u8).collect();
    let labels: Vec<u8> = (0..600).map(|i| (i / 60) as u8).collect();
    desk.write("x.idx", idx(&[600, 3, 4], &bytes)).write("y.idx", idx(&[600], &labels));
    agree("idx", both(&desk, "[data.idx]\ntrain_images = \"x.idx\"\ntrain_labels = \"y.idx\"\n"));
    desk.write("x.npy", npy("|u1", "(600, 2, 2, 3)", &bytes)).write("y.npy", npy("|u1", "(600,)", &labels));
    agree("npy images", both(&desk, "[data.npy]\ntrain = \"x.npy\"\ntrain_labels = \"y.npy\"\n"));
    let doubles: Vec<u8> = (0..600 * 12).flat_map(|i| noise(i).to_le_bytes()).collect();
    desk.write("x.npy", npy("<f8", "(600, 12)", &doubles));
    agree("npy", both(&desk, "[data.npy]\ntrain = \"x.npy\"\ntrain_labels = \"y.npy\"\n"));
    for (batch, shift) in [("data_batch_1.bin", 0), ("data_batch_2.bin", 5), ("test_batch.bin", 1)] {
        let record = |i: usize| [vec![(i / 20 + shift) as u8], vec![(i * 2 + shift) as u8; 3072]].concat();
        desk.write(&format!("cifar/{batch}"), (0..100).flat_map(record).collect::<Vec<u8>>());
    }
    agree("cifar", both(&desk, "[data.cifar]\ndir = \"cifar\"\n"));
    agree("digits", both(&desk, "[data.digits]\n"));
}

#[test]
fn typed_tables_come_back_with_all_their_columns() {
    use arrow_array::{ArrayRef, Float32Array, Float64Array, RecordBatch, StringArray};
    use std::sync::Arc;
    let desk = Desk::new();
    // More columns than are decoded at once, in several row groups.
    let n = 20_000;
    let column =
        |j: usize| -> ArrayRef { Arc::new(Float32Array::from_iter_values((0..n).map(|i| noise(i * 40 + j) as f32))) };
    let doubles: ArrayRef = Arc::new(Float64Array::from_iter_values((0..n).map(noise)));
    let labels: ArrayRef = Arc::new(StringArray::from_iter_values((0..n).map(|i| ["yes", "no"][2 * i / n])));
    for with_double in [false, true] {
        let mut columns: Vec<(String, ArrayRef)> = (0..20).map(|j| (format!("x{j}"), column(j))).collect();
        columns.extend(with_double.then(|| ("d".to_owned(), Arc::clone(&doubles))));
        columns.push(("y".into(), Arc::clone(&labels)));
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let properties =
            parquet::file::properties::WriterProperties::builder().set_max_row_group_row_count(Some(9_000)).build();
        let file = fs::File::create(desk.path("a.parquet")).unwrap();
        let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let file = fs::File::create(desk.path("a.arrow")).unwrap();
        let mut writer = arrow_ipc::writer::FileWriter::try_new(file, &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        for format in ["parquet", "arrow"] {
            desk.write("a.toml", "");
            agree(format, both(&desk, &format!("[data.{format}]\ntrain = \"a.{format}\"\nlabel = \"y\"\n")));
        }
    }
}

#[test]
fn every_command_takes_blocks_for_data() {
    let desk = Desk::new();
    both(&desk, csv(&desk, 3_000));
    for config in ["a", "b"] {
        desk.succeed(&["train", &format!("{config}.toml"), "--out", config, "--quiet"]);
    }
    let number = |run: &str, key: &str| desk.json(&format!("{run}/result.json"))[key].as_f64().unwrap();
    let (a, b) = (number("a", "objective"), number("b", "objective"));
    assert!((a - b).abs() <= 2e-6 * a, "{a} {b}");
    assert_eq!(number("a", "test_accuracy"), number("b", "test_accuracy"));
    for args in [
        &["evaluate", "b"][..],
        &["evaluate", "a", "--data", "b.toml"],
        &["evaluate", "b", "--data", "blocks"],
        &["certify", "b", "--gap", "1e-4"],
    ] {
        desk.succeed(args);
    }
    let accuracy = |args: &[&str]| {
        desk.succeed(&[args, &["--json"]].concat())
            .stdout
            .lines()
            .find(|line| line.contains("\"accuracy\""))
            .unwrap()
            .to_owned()
    };
    assert_eq!(accuracy(&["evaluate", "a"]), accuracy(&["evaluate", "b", "--data", "blocks"]));
    // Features are known by name.
    let lines = |run: &str| desk.succeed(&["predict", run, "test.csv"]).stdout;
    assert_eq!(lines("b").lines().count(), 300);
    for (name, keys) in [
        ("sgd", "[solver.sgd]\nepochs = 1\n"),
        ("lbfgs", "[solver.lbfgs]\n"),
        ("newton", "[solver.newton]\n"),
        ("path", "[solver.dual]\n"),
    ] {
        let (c, power) = if name == "path" { ("[0.01, 0.1]", 1) } else { ("0.1", 2) };
        let split = "[split]\nvalidation = 0.2\n[preprocess]\ncenter = \"mean\"\nscale = \"std\"\n";
        let text = format!(
            "[data]\nblocks = \"blocks\"\n{split}[objective]\nc = {c}\n[loss.weston_watkins]\npower = {power}\n{keys}"
        );
        desk.write("c.toml", text);
        desk.succeed(&["train", "c.toml", "--out", name, "--quiet"]);
    }
    let text = format!(
        "[data]\nblocks = \"blocks\"\n[search]\nfolds = 2\n[search.space]\n\"objective.c\" = {{ log = [0.01, 0.1], points = 2 }}\n{SOLVER}"
    );
    desk.write("s.toml", text);
    desk.succeed(&["search", "s.toml", "--out", "s", "--quiet"]);
}

#[test]
fn tables_of_words_are_encoded_before_they_are_packed() {
    let desk = Desk::new();
    let line = |i: usize| {
        format!(
            "{},{},{}\n",
            ["red", "blue", ""][i % 3],
            if i.is_multiple_of(7) { String::new() } else { noise(i).to_string() },
            i % 2
        )
    };
    desk.write("w.csv", format!("hue,size,y\n{}", (0..300).map(line).collect::<String>()));
    let table = "[data.csv]\ntrain = \"w.csv\"\nlabel = \"y\"\n[preprocess]\ncategories = \"one-hot\"\nmissing = \"mean\"\nindicator = true\n";
    desk.write("a.toml", format!("{table}{SOLVER}")).write("b.toml", format!("[data]\nblocks = \"blocks\"\n{SOLVER}"));
    let packed = desk.succeed(&["pack", "a.toml", "--out", "blocks"]);
    assert!(packed.stderr.contains("the data were read into memory as a whole"), "{}", packed.stderr);
    for config in ["a", "b"] {
        desk.succeed(&["train", &format!("{config}.toml"), "--out", config, "--quiet"]);
    }
    // Both models take raw rows.
    let lines = |run: &str| desk.succeed(&["predict", run, "w.csv"]).stdout;
    assert_eq!(lines("a"), lines("b"));
}

#[test]
fn the_seed_alone_decides_about_the_order() {
    let desk = Desk::new();
    let table = csv(&desk, 3_000);
    desk.write("a.toml", format!("{table}{SOLVER}"));
    let pack = |out: &str, seed: &str| desk.succeed(&["pack", "a.toml", "--set", seed, "--out", out, "--memory", "1M"]);
    pack("one", "seed=1");
    pack("again", "seed=1");
    pack("two", "seed=2");
    let bytes = |folder: &str| desk.bytes(&format!("{folder}/block-00000.bin"));
    assert!(bytes("one") == bytes("again") && bytes("one") != bytes("two"));
}

#[test]
fn what_is_wrong_is_said_and_leaves_nothing_behind() {
    let desk = Desk::new();
    let table = csv(&desk, 300);
    desk.write("a.toml", format!("{table}{SOLVER}")).write("b.toml", format!("[data]\nblocks = \"blocks\"\n{SOLVER}"));
    let mut verdict = Verdict::default();
    let mut hold = |what: &str, args: &[&str], code, problem: &str, hint: &str| {
        verdict.hold(&Case { what, problem, hint }, &desk.run(args), code);
    };
    let again = "write the blocks again with `burn-svm pack`";
    hold(
        "no folder",
        &["train", "b.toml"],
        2,
        "b.toml: data.blocks: `blocks` is not there",
        "relative paths are looked up from the working directory, then from the folder of the configuration; `--set data.blocks=PATH` names another",
    );
    fs::create_dir(desk.path("blocks")).unwrap();
    hold(
        "an empty folder",
        &["train", "b.toml"],
        1,
        "blocks: is no folder of blocks, or was not finished: it has no manifest.json",
        again,
    );
    desk.write("blocks/notes.txt", "mine");
    hold(
        "somebody's folder",
        &["pack", "a.toml", "--out", "blocks", "--force"],
        2,
        "blocks/notes.txt: is there already, and no folder of blocks has such a file",
        "name a new or an empty folder with --out",
    );
    assert_eq!(desk.read("blocks/notes.txt"), "mine");
    fs::remove_file(desk.path("blocks/notes.txt")).unwrap();
    desk.succeed(&["pack", "a.toml", "--out", "blocks"]);
    hold(
        "packed already",
        &["pack", "a.toml", "--out", "blocks"],
        2,
        "blocks: holds blocks already",
        "`--force` writes them again",
    );
    hold(
        "blocks of blocks",
        &["pack", "b.toml", "--out", "c"],
        2,
        "b.toml: data.blocks: blocks holds blocks already",
        "pack the files that they were made of",
    );
    desk.write(
        "c.toml",
        format!("{table}[data]\nblocks = \"blocks\"\n{SOLVER}")
            .replace("[data.csv]", "[data]\nblocks = \"blocks\"\n[data.csv]")
            .replacen("[data]\nblocks = \"blocks\"\n[objective]", "[objective]", 1),
    );
    hold(
        "two sources",
        &["train", "c.toml"],
        2,
        "c.toml: found [data.csv] and `blocks` in [data]: expected exactly one [data.*] table",
        "`burn-svm reference` lists every table and key",
    );
    hold(
        "too little memory",
        &["train", "b.toml", "--memory", "2K"],
        1,
        "blocks: the data need more than 2.0 KiB of memory, which is the limit",
        "`--memory` sets the limit; is this the right file?",
    );
    desk.write("d.toml", format!("[data]\nblocks = \"blocks\"\n[preprocess]\nmissing = \"mean\"\n{SOLVER}"));
    hold(
        "preprocessing of tables",
        &["train", "d.toml"],
        2,
        "d.toml: preprocess.missing is set, but `blocks` of [data] has no missing values",
        "it is for tables and arrays: [data.csv], [data.parquet], [data.arrow], [data.npy]",
    );
    verdict.assert();
    // A bad row in the middle of a large file, a label that train lacks, one class only: nothing is left.
    for (file, content, problem) in [
        ("train.csv", format!("a,tree\n{}x,oak\n", "1,ash\n".repeat(1_000_000)), "train.csv:1000002:"),
        (
            "test.csv",
            "a,b,count,tree,w\n1,2,3,elm,1\n".to_owned(),
            "test.csv: record 1: label `elm` does not occur in the train part",
        ),
        ("train.csv", "a,tree\n1,ash\n2,ash\n".to_owned(), "train.csv: found one class only, `ash` in 2 rows"),
        ("train.csv", "a,tree,w\n1,ash,0\n2,oak,0\n".to_owned(), "train.csv: all 2 weights are 0"),
    ] {
        csv(&desk, 300);
        desk.write(file, content);
        let text = if file == "train.csv" && problem.contains("weights") || file == "test.csv" {
            table.to_owned()
        } else {
            "[data.csv]\ntrain = \"train.csv\"\nlabel = \"tree\"\n".to_owned()
        };
        let text = if problem.contains("weights") { text.replace("test = \"test.csv\"\n", "") } else { text };
        desk.write("e.toml", format!("{text}{SOLVER}"));
        let outcome = desk.run(&["pack", "e.toml", "--out", "e", "--memory", "16M"]);
        assert!(outcome.code == Some(1) && outcome.problem().starts_with(problem), "{outcome:?}");
        assert!(!desk.path("e").exists(), "{problem}");
    }
    // A damaged block is named; a folder that loses a file, too.
    let block = desk.path("blocks/block-00000.bin");
    let mut bytes = fs::read(&block).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&block, &bytes).unwrap();
    let outcome = desk.run(&["train", "b.toml", "--out", "r"]);
    assert!(
        outcome.code == Some(1) && outcome.problem().starts_with("blocks/block-00000.bin: found checksum "),
        "{outcome:?}"
    );
    fs::write(&block, &bytes[..middle]).unwrap();
    let outcome = desk.run(&["train", "b.toml", "--out", "r"]);
    assert!(outcome.code == Some(1) && outcome.problem().contains("the file is cut off or another one"), "{outcome:?}");
    fs::remove_file(&block).unwrap();
    assert_eq!(desk.run(&["train", "b.toml", "--out", "r"]).code, Some(2));
    assert!(!desk.path("r").exists());
}

/// Names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
#[cfg(unix)]
fn a_killed_pack_opens_nowhere_and_is_begun_again() {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};
    let desk = Desk::new();
    let table = csv(&desk, 400_000);
    desk.write("a.toml", format!("{table}{SOLVER}")).write("b.toml", format!("[data]\nblocks = \"blocks\"\n{SOLVER}"));
    let pack = ["pack", "a.toml", "--out", "blocks", "--memory", "16M"];
    let start = |desk: &Desk| desk.command(&pack).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    for (signal, more) in [("-KILL", 0), ("-KILL", 30), ("-KILL", 300), ("-INT", 0)] {
        let mut child = start(&desk);
        let began = Instant::now();
        while names(&desk.path("blocks")).is_empty() {
            assert!(began.elapsed() < Duration::from_secs(60), "no file within a minute");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(more));
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        let code = child.wait().unwrap().code();
        if signal == "-INT" && code == Some(130) {
            assert!(!desk.path("blocks").join("block-00000.bin").exists() && names(&desk.path("blocks")).is_empty());
            continue;
        }
        if code.is_none() {
            let outcome = desk.run(&["train", "b.toml", "--out", "r"]);
            assert!(outcome.code == Some(1) && outcome.problem().contains("was not finished"), "{outcome:?}");
        } else {
            // It was ready before.
            fs::remove_dir_all(desk.path("blocks")).unwrap();
        }
    }
    desk.succeed(&pack);
    let left = names(&desk.path("blocks"));
    assert!(
        left.iter().all(|name| !name.contains("partial")) && left.contains(&"manifest.json".to_owned()),
        "{left:?}"
    );
}
