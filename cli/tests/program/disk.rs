//! Rows that stay on the disk: the optimum of a run in memory, kills at any moment, damage, refusals, and the memory that was promised.

use crate::program::{Case, Desk, Verdict, outcome};
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A number that looks drawn.
fn noise(i: usize) -> f64 {
    (i as f64 * 0.618_033_988_749_894_9).fract()
}

const FEATURES: usize = 12;

/// A cell of rows in three classes that overlap.
fn cell(row: usize, column: usize, class: usize) -> f64 {
    let drawn: f64 = (0..4).map(|i| noise(31 * row + 7 * column + 3_001 * i * (column + 1) + i) - 0.5).sum();
    drawn + if column % 3 == class { 0.5 } else { 0.0 }
}

/// Numbers sorted by class; the test part is a tenth.
fn csv(desk: &Desk, n: usize) -> &'static str {
    let text = |n: usize| {
        (0..n)
            .map(|i| {
                let class = 3 * i / n;
                let cells: Vec<String> = (0..FEATURES).map(|j| format!("{:.4}", cell(i, j, class))).collect();
                format!("{},{}\n", ["ash", "oak", "fir"][class], cells.join(","))
            })
            .collect::<String>()
    };
    desk.write("train.csv", text(n)).write("test.csv", text(n / 10));
    "[data.csv]\ntrain = \"train.csv\"\ntest = \"test.csv\"\nlabel = 1\nheader = false\n"
}

fn libsvm(desk: &Desk, n: usize) -> &'static str {
    let line = |i: usize| {
        let class = 3 * i / n;
        let cells = (0..FEATURES).filter(|j| noise(17 * i + j) < 0.3).map(|j| {
            let copy = j + FEATURES * (i % 5);
            format!(" {}:{:.4}", copy + 1, cell(i, j, class))
        });
        format!("{class}{}\n", cells.collect::<String>())
    };
    desk.write("a.libsvm", (0..n).map(line).collect::<String>());
    desk.write("w.txt", (0..n).map(|i| format!("{}\n", 1 + i % 3)).collect::<String>());
    "[data.libsvm]\ntrain = \"a.libsvm\"\nweights = \"w.txt\"\n"
}

fn idx(desk: &Desk, n: usize) -> &'static str {
    let head = |dims: &[u32]| {
        let dims = dims.iter().flat_map(|dim| dim.to_be_bytes());
        [0, 0, 8, u8::try_from(dims.clone().count() / 4).unwrap()].into_iter().chain(dims).collect::<Vec<u8>>()
    };
    let byte = |i: usize, j: usize| ((cell(i, j, 3 * i / n) + 2.5) * 50.0) as u8;
    let pixels = (0..n).flat_map(|i| (0..FEATURES).map(move |j| byte(i, j)));
    let rows = u32::try_from(n).unwrap();
    desk.write("x.idx", [head(&[rows, 3, 4]), pixels.collect()].concat());
    desk.write("y.idx", [head(&[rows]), (0..n).map(|i| (3 * i / n) as u8).collect()].concat());
    "[data.idx]\ntrain_images = \"x.idx\"\ntrain_labels = \"y.idx\"\n"
}

/// A file that NumPy could have written.
fn npy(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    header += &" ".repeat((10 + header.len() + 1).next_multiple_of(64) - 11 - header.len());
    header.push('\n');
    let len = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\0", &len[..], header.as_bytes(), bytes].concat()
}

/// Floats sorted by class, 9.6 MB of them.
fn floats(desk: &Desk) -> &'static str {
    let n = 200_000;
    let class = |i: usize| 3 * i / n;
    let cells: Vec<u8> =
        (0..n).flat_map(|i| (0..FEATURES).flat_map(move |j| (cell(i, j, class(i)) as f32).to_le_bytes())).collect();
    desk.write("x.npy", npy("<f4", &format!("({n}, {FEATURES})"), &cells));
    desk.write("y.npy", npy("|u1", &format!("({n},)"), &(0..n).map(|i| class(i) as u8).collect::<Vec<u8>>()));
    "[data.npy]\ntrain = \"x.npy\"\ntrain_labels = \"y.npy\"\n"
}

fn solver(preprocess: &str, gap: &str) -> String {
    format!("{preprocess}\n[objective]\nc = 0.1\n[loss.crammer_singer]\n[solver.dual]\ngap = {gap}\n")
}

const BLOCKS: &str = "[data]\nblocks = \"blocks\"\n";
const SCALED: &str = "[preprocess]\ncenter = \"mean\"\nscale = \"std\"";

/// Packs the data into small blocks.
fn pack(desk: &Desk, table: &str) {
    desk.write("pack.toml", format!("{table}{}", solver("", "1e-3")));
    desk.succeed(&["pack", "pack.toml", "--out", "blocks", "--force", "--memory", "8M"]);
}

/// The interval that a run has proved its optimum to lie in.
fn proved(desk: &Desk, run: &str) -> (f64, f64) {
    let result = desk.json(&format!("{run}/result.json"));
    assert_eq!(result["stop_reason"], "gap_reached", "{run}");
    (result["dual_objective"].as_f64().unwrap(), result["objective"].as_f64().unwrap())
}

fn agree(what: &str, a: (f64, f64), b: (f64, f64)) {
    let room = 1e-9 * a.1;
    assert!(a.0 <= b.1 + room && b.0 <= a.1 + room, "{what}: {a:?} and {b:?}");
}

/// A run folder has neither blocks nor variables left.
fn is_clean(desk: &Desk, run: &str) {
    for name in ["dual", "blocks"] {
        assert!(!desk.path(&format!("{run}/{name}")).exists(), "{run}/{name} is left");
    }
}

/// A way to write rows, and what they are trained with.
struct Format {
    name: &'static str,
    write: fn(&Desk, usize) -> &'static str,
    preprocess: &'static str,
    gap: &'static str,
}

#[test]
fn the_optimum_from_the_disk_is_that_in_memory() {
    let desk = Desk::new();
    let formats = [
        Format { name: "csv", write: csv, preprocess: SCALED, gap: "1e-5" },
        Format { name: "libsvm", write: libsvm, preprocess: "", gap: "1e-4" },
        Format { name: "idx", write: idx, preprocess: "[preprocess]\nscale = \"pixel\"", gap: "1e-4" },
    ];
    for Format { name, write, preprocess, gap } in formats {
        let table = write(&desk, 60_000);
        pack(&desk, table);
        desk.write("memory.toml", format!("{table}{}", solver(preprocess, gap)));
        desk.write("disk.toml", format!("{BLOCKS}{}", solver(preprocess, gap)));
        desk.succeed(&["train", "memory.toml", "--out", "memory", "--force", "--quiet"]);
        desk.succeed(&["train", "disk.toml", "--out", "disk", "--force", "--quiet", "--memory", "1M"]);
        agree(name, proved(&desk, "memory"), proved(&desk, "disk"));
        let (memory, disk) = (desk.json("memory/result.json"), desk.json("disk/result.json"));
        assert!(memory["blocks"].is_null());
        assert!(disk["blocks"]["blocks"].as_u64() > Some(1) && disk["blocks"]["passes"].as_u64() > Some(0), "{disk}");
        let accuracy = |result: &serde_json::Value| result["train_accuracy"].as_f64().unwrap();
        assert!((accuracy(&memory) - accuracy(&disk)).abs() < 0.01, "{name}");
        is_clean(&desk, "disk");
        // Measured block by block, the model is the one that is measured as a whole.
        let measured = |limit: &str| {
            let json = desk.succeed(&["evaluate", "disk", "--data", "blocks", "--json", "--memory", limit]).stdout;
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            (json["rows"].clone(), json["confusion"].clone(), json["data_loss"].as_f64().unwrap())
        };
        let (whole, parts) = (measured("1G"), measured("1M"));
        assert_eq!((&whole.0, &whole.1), (&parts.0, &parts.1), "{name}");
        assert!((whole.2 - parts.2).abs() < 1e-12 * whole.2, "{name}");
    }
}

#[test]
fn files_larger_than_memory_are_packed_under_the_run() {
    let desk = Desk::new();
    let table = floats(&desk);
    desk.write("a.toml", format!("{table}[split]\nvalidation = 0.1\ntest = 0.1\n{}", solver(SCALED, "1e-3")));
    let run = desk.succeed(&["train", "a.toml", "--out", "run", "--memory", "8M"]);
    assert!(run.stderr.contains("they are packed into run/blocks"), "{}", run.stderr);
    assert!(run.stderr.contains("MB/s from the disk"), "{}", run.stderr);
    is_clean(&desk, "run");
    let result = desk.json("run/result.json");
    assert_eq!(
        (result["n_samples"].as_u64(), result["n_validation"].as_u64(), result["n_test"].as_u64()),
        (Some(160_000), Some(20_000), Some(20_000))
    );
    for accuracy in ["validation_accuracy", "test_accuracy"] {
        assert!(result[accuracy].as_f64() > Some(0.6), "{result}");
    }
    assert_eq!(desk.run(&["train", "a.toml", "--out", "run", "--memory", "8M", "--resume"]).code, Some(0));
}

/// Runs the program and kills it after a while; whether it was still there.
fn killed(desk: &Desk, args: &[&str], after: Duration) -> bool {
    let mut child = desk.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while start.elapsed() < after {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    true
}

#[test]
fn a_run_that_is_killed_at_any_moment_ends_at_the_optimum() {
    let desk = Desk::new();
    let table = floats(&desk);
    desk.write("a.toml", format!("{table}{}", solver(SCALED, "1e-3")));
    desk.succeed(&["train", "a.toml", "--out", "memory", "--quiet"]);
    let args = ["train", "a.toml", "--out", "run", "--memory", "8M", "--quiet", "--resume"];
    let start = Instant::now();
    desk.succeed(&args);
    let whole = start.elapsed();
    agree("not killed", proved(&desk, "memory"), proved(&desk, "run"));
    let mut kills = 0;
    for round in 0..10 {
        let _ = fs::remove_dir_all(desk.path("run"));
        // Twice in a run, at moments spread over it.
        for part in [0, 1] {
            let moment = whole.mul_f64((0.05 + 0.9 * noise(2 * round + part)) / (1 + part) as f64);
            kills += usize::from(killed(&desk, &args, moment));
        }
        desk.succeed(&args);
        agree(&format!("killed in round {round}"), proved(&desk, "memory"), proved(&desk, "run"));
        is_clean(&desk, "run");
    }
    assert!(kills >= 8, "{kills} of 20 kills came in time");
}

/// A run that was killed when it had variables.
fn stopped(desk: &Desk, args: &[&str]) {
    stopped_at(desk, args, "run/dual/hot.dual");
}

/// Kills a run once it has written a file.
fn stopped_at(desk: &Desk, args: &[&str], file: &str) {
    let _ = fs::remove_dir_all(desk.path("run"));
    let mut child = desk.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !desk.path(file).exists() {
        assert!(child.try_wait().unwrap().is_none(), "the run has ended");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

fn damage(desk: &Desk, name: &str) {
    let mut bytes = desk.bytes(name);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(desk.path(name), bytes).unwrap();
}

#[test]
fn damage_and_strangers_in_a_run_are_sentences() {
    let desk = Desk::new();
    let table = csv(&desk, 60_000);
    pack(&desk, table);
    desk.write("a.toml", format!("{BLOCKS}{}", solver(SCALED, "1e-7")));
    let args = ["train", "a.toml", "--out", "run", "--memory", "1M", "--quiet"];
    let resumed = [&args[..], &["--resume"]].concat();
    stopped(&desk, &args);
    damage(&desk, "run/dual/block-00003.dual");
    let run = desk.run(&resumed);
    assert!(run.problem().starts_with("run/dual/block-00003.dual: found checksum "), "{}", run.stderr);
    assert_eq!((run.code, run.hint()), (Some(1), "the file was changed or cut off: train again"));
    // Without the file its variables begin at 0.
    fs::remove_file(desk.path("run/dual/block-00003.dual")).unwrap();
    desk.succeed(&[&resumed[..], &["--set", "solver.dual.epochs=3"]].concat());

    stopped(&desk, &args);
    desk.write("run/dual/notes.txt", "mine");
    let whole = desk.bytes("blocks/block-00002.bin");
    damage(&desk, "blocks/block-00002.bin");
    let run = desk.run(&resumed);
    assert!(run.problem().starts_with("blocks/block-00002.bin: found checksum "), "{}", run.stderr);
    assert_eq!((run.code, run.hint()), (Some(1), "write the blocks again with `burn-svm pack`"));
    fs::write(desk.path("blocks/block-00002.bin"), whole).unwrap();
    desk.succeed(&[&resumed[..], &["--set", "solver.dual.epochs=3"]].concat());
    assert_eq!(desk.read("run/dual/notes.txt"), "mine");
    assert_eq!(fs::read_dir(desk.path("run/dual")).unwrap().count(), 1);

    // Other blocks than those that the run began with.
    stopped(&desk, &args);
    desk.succeed(&["pack", "pack.toml", "--out", "blocks", "--force", "--memory", "8M", "--set", "seed=1"]);
    let run = desk.run(&resumed);
    assert_eq!(run.problem(), "run: cannot resume with other data than the run began with");
    // A folder of somebody else's.
    desk.write("other/blocks/mine.bin", "mine");
    desk.write("b.toml", format!("{}{}", floats(&desk), solver("", "1e-3")));
    let run = desk.run(&["train", "b.toml", "--out", "other", "--memory", "8M"]);
    assert_eq!((run.code, desk.read("other/blocks/mine.bin").as_str()), (Some(2), "mine"), "{}", run.stderr);
}

/// Features of scales from 1e-3 to 1e4 as they come: a free bias, one at which ascent would give up, and Newton's method by name.
#[test]
fn raw_rows_and_a_free_bias_are_trained_from_the_disk() {
    let desk = Desk::new();
    let table = raw(&desk, 20_000);
    pack(&desk, table);
    for (bias, method) in [("free", "dual"), ("regularised", "dual"), ("none", "newton")] {
        let rest = solver(&format!("[preprocess]\nbias = \"{bias}\""), "1e-6").replace("dual", method);
        desk.write("memory.toml", format!("{table}{rest}"));
        desk.write("disk.toml", format!("{BLOCKS}{rest}"));
        desk.succeed(&["train", "memory.toml", "--out", "memory", "--force", "--quiet"]);
        let args = ["train", "disk.toml", "--out", "run", "--quiet", "--memory", "1M"];
        let is_alone = bias == "free" || method == "newton";
        let file = if is_alone { "run/dual/point-00000.dual" } else { "run/dual/hot.dual" };
        stopped_at(&desk, &[&args[..], &["--force"]].concat(), file);
        desk.succeed(&[&args[..], &["--resume"]].concat());
        agree(bias, proved(&desk, "memory"), proved(&desk, "run"));
        let passes = desk.json("run/result.json")["blocks"]["passes"].as_u64().unwrap();
        assert!(passes <= 200, "{bias}: {passes} passes");
        is_clean(&desk, "run");
    }
    let plan = desk.succeed(&["train", "disk.toml", "--dry-run", "--memory", "1M"]).stdout;
    assert!(plan.contains("newton, from the disk") && plan.contains("training at least "), "{plan}");
}

/// A model with a free bias, certified over blocks, has the bounds that it has in memory.
#[test]
fn a_free_bias_is_certified_block_by_block() {
    let desk = Desk::new();
    let table = raw(&desk, 20_000);
    pack(&desk, table);
    let rest = solver("[preprocess]\nbias = \"free\"", "1e-1");
    desk.write("a.toml", format!("{BLOCKS}{rest}"));
    desk.succeed(&["train", "a.toml", "--out", "run", "--quiet"]);
    let certify = |limit: &str| -> serde_json::Value {
        let json = desk.succeed(&["certify", "run", "--json", "--gap", "1e-6", "--memory", limit]);
        serde_json::from_str(&json.stdout).unwrap()
    };
    let (whole, parts) = (certify("1G"), certify("1M"));
    let number = |json: &serde_json::Value, key: &str| json[key].as_f64().unwrap();
    for (key, room) in [("objective", 1e-9), ("own_bound", 1e-6), ("theta", 1e-6), ("dual_objective", 2e-6)] {
        let (whole, parts) = (number(&whole, key), number(&parts, key));
        assert!((whole - parts).abs() < room * whole.abs(), "{key}: {whole} and {parts}");
    }
    assert!(number(&parts, "own_bound") < number(&parts, "dual_objective"), "{parts}");
}

/// A table whose features have scales from 1e-3 to 1e4.
fn raw(desk: &Desk, n: usize) -> &'static str {
    let raw = |i: usize, j: usize| (cell(i, j, 3 * i / n) + 3.0) * 10f64.powf(7.0 * noise(j + 1) - 3.0);
    let line = |i: usize| {
        let cells: Vec<String> = (0..FEATURES).map(|j| format!("{:e}", raw(i, j))).collect();
        format!("{},{}\n", 3 * i / n, cells.join(","))
    };
    desk.write("raw.csv", (0..n).map(line).collect::<String>());
    "[data.csv]\ntrain = \"raw.csv\"\nlabel = 1\nheader = false\n"
}

#[test]
fn what_needs_all_rows_in_memory_is_refused_with_the_way_out() {
    let desk = Desk::new();
    let table = csv(&desk, 6_000);
    pack(&desk, table);
    let mut verdict = Verdict::default();
    let limit = "all rows in memory, and they take more than 64.0 KiB, which is the limit";
    desk.write("a.toml", format!("{BLOCKS}[split]\nvalidation = 0.1\n{}", solver("", "1e-3")));
    let set = "calibration.method=platt";
    let problem = format!("a.toml: [calibration] needs {limit}");
    let hint = "leave it out: scores, classes and the certificate do not depend on it";
    let run = desk.run(&["train", "a.toml", "--set", set, "--out", "run", "--memory", "64K"]);
    verdict.hold(&Case { what: set, problem: &problem, hint }, &run, 2);
    for (set, what, hint) in [
        (
            "solver.sgd.sampling=with-replacement",
            "`sampling = \"with-replacement\"` needs",
            "leave it out: blocks and their rows are shuffled",
        ),
        ("early_stopping.patience=3", "[early_stopping] needs", "leave it out, and make fewer `epochs`"),
    ] {
        desk.write("a.toml", format!("{BLOCKS}[split]\nvalidation = 0.1\n{DESCENT}"));
        let problem = format!("a.toml: {what} {limit}");
        let outcome = desk.run(&["train", "a.toml", "--set", set, "--out", "run", "--memory", "64K"]);
        verdict.hold(&Case { what: set, problem: &problem, hint }, &outcome, 2);
    }
    for solver in ["[solver.lbfgs]", "[solver.newton] method = \"proximal\""] {
        let table = solver.replace("] ", "]\n");
        desk.write("a.toml", format!("{BLOCKS}[objective]\nc = 0.1\n[loss.weston_watkins]\npower = 2\n{table}\n"));
        let problem = format!("a.toml: {solver} needs {limit}");
        let hint = if solver.contains("method") {
            "leave `method` out, or take [solver.dual]: both train from the disk; `--memory` sets the limit"
        } else {
            "[solver.dual] and [solver.sgd] train from the disk, block by block; `--memory` sets the limit"
        };
        let outcome = desk.run(&["train", "a.toml", "--out", "run", "--memory", "64K"]);
        verdict.hold(&Case { what: solver, problem: &problem, hint }, &outcome, 2);
    }
    verdict.assert();
    assert!(!desk.path("run").exists());
}

/// The forecast names what is certainly held, which is less than the peak of the run.
#[test]
fn a_dry_run_forecasts_the_memory_of_blocks() {
    let desk = Desk::new();
    pack(&desk, floats(&desk));
    desk.write("a.toml", format!("{BLOCKS}{}", solver(SCALED, "1e-2")));
    let plan = desk.succeed(&["train", "a.toml", "--dry-run", "--memory", "4M"]).stdout;
    let (_, forecast) = plan.split_once("at most 4.0 MiB; training at least ").expect(&plan);
    let (least, hot) = forecast.split_once(", and up to ").expect(&plan);
    let (number, unit) = least.split_once(' ').expect(&plan);
    let least = number.parse::<f64>().unwrap() * if unit == "MiB" { 1_048_576.0 } else { 1_024.0 };
    assert!(hot.contains(" of hot rows") && least > 1e6 && least < 4e6, "{plan}");
    desk.succeed(&["train", "a.toml", "--out", "run", "--memory", "4M", "--quiet"]);
    assert!(desk.json("run/result.json")["peak_rss_bytes"].as_f64() > Some(least));
    desk.write("b.toml", format!("{BLOCKS}{DESCENT}"));
    let plan = desk.succeed(&["train", "b.toml", "--dry-run", "--memory", "4M"]).stdout;
    assert!(plan.contains("at most 4.0 MiB; training at least 1.") && !plan.contains("hot rows"), "{plan}");
}

const DESCENT: &str = "[preprocess]\ncenter = \"mean\"\nscale = \"std\"\n[objective]\nlambda = 1e-2\n[loss.crammer_singer]\n\
    [solver.sgd]\nlearning_rate = 0.05\nschedule = \"cosine\"\nepochs = 4\n[checkpoint]\nevery_steps = 100\n";

#[test]
fn gradients_from_the_disk_come_to_the_same_objective_and_resume_to_the_last_bit() {
    let desk = Desk::new();
    let table = floats(&desk);
    pack(&desk, table);
    desk.write("a.toml", format!("{BLOCKS}[split]\nvalidation = 0.1\n{DESCENT}"));
    for (name, set) in [("plain", "solver.sgd.batch_size=64"), ("adam", "solver.sgd.optimizer=adam")] {
        let disk =
            ["train", "a.toml", "--set", set, "--out", "run", "--memory", "1M", "--quiet", "--threads", "1", "--force"];
        desk.succeed(&["train", "a.toml", "--set", set, "--out", "memory", "--quiet", "--force"]);
        desk.succeed(&disk);
        let (memory, found) = (desk.json("memory/result.json"), desk.json("run/result.json"));
        let number = |result: &serde_json::Value, key: &str| result[key].as_f64().unwrap();
        assert!((number(&memory, "objective") / number(&found, "objective") - 1.0).abs() < 0.02, "{name}: {found}");
        assert!(
            (number(&memory, "validation_accuracy") - number(&found, "validation_accuracy")).abs() < 0.02,
            "{name}"
        );
        assert_eq!((number(&found, "epochs"), found["stop_reason"].as_str()), (4.0, Some("finished")), "{name}");
        assert_eq!(found["blocks"]["passes"], 4, "{name}");
        assert!(number(&found, "relative_gap") < 0.5 && number(&found, "dual_objective") > 0.0, "{found}");
        is_clean(&desk, "run");
        let model = desk.bytes("run/model.safetensors");
        // Killed twice once there is a checkpoint.
        let go_on = [&disk[..disk.len() - 1], &["--resume"]].concat();
        let _ = fs::remove_dir_all(desk.path("run"));
        for kill in 1..3 {
            let mut child = desk.command(&go_on).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            while !desk.path(&format!("run/checkpoint/{:06}.safetensors", 2 * kill)).exists() {
                assert!(child.try_wait().unwrap().is_none(), "{name}: the run has ended");
                std::thread::sleep(Duration::from_millis(1));
            }
            child.kill().unwrap();
            child.wait().unwrap();
        }
        desk.succeed(&go_on);
        assert!(desk.bytes("run/model.safetensors") == model, "{name}: another model after two kills");
        assert!(!desk.path("run/checkpoint").exists());
        is_clean(&desk, "run");
    }
    let run =
        desk.run(&["train", "a.toml", "--set", "solver.sgd.learning_rate=1e6", "--out", "wild", "--memory", "1M"]);
    assert!(run.problem().starts_with("the run diverged"), "{}", run.stderr);
    is_clean(&desk, "wild");
}

/// A path from the disk has the models of runs of their own, and one that is killed goes on with the C that it was at.
#[test]
fn a_path_from_the_disk_has_the_optima_of_each_c() {
    let desk = Desk::new();
    let table = csv(&desk, 30_000);
    pack(&desk, table);
    desk.write("a.toml", format!("{BLOCKS}[split]\nvalidation = 0.2\n{}", solver(SCALED, "1e-3")));
    let args =
        ["train", "a.toml", "--set", "objective.c=[0.1,0.001,0.01]", "--out", "run", "--memory", "1M", "--quiet"];
    stopped(&desk, &args);
    desk.succeed(&[&args[..], &["--resume"]].concat());
    is_clean(&desk, "run");
    let result = desk.json("run/result.json");
    let points = result["path"].as_array().unwrap().clone();
    let number = |point: &serde_json::Value, key: &str| point[key].as_f64().unwrap();
    assert_eq!(points.iter().map(|point| number(point, "c")).collect::<Vec<_>>(), [0.001, 0.01, 0.1]);
    for point in &points {
        let c = format!("objective.c={}", number(point, "c"));
        desk.succeed(&["train", "a.toml", "--set", &c, "--out", "one", "--force", "--memory", "1M", "--quiet"]);
        agree(&c, proved(&desk, "one"), (number(point, "dual_objective"), number(point, "objective")));
    }
    let best = points.iter().map(|point| number(point, "validation_accuracy")).fold(0.0, f64::max);
    assert_eq!(number(&result, "validation_accuracy"), best);
}

/// Certified over blocks, a model has the bounds that it has in memory; its predictions are those of the rows as they come.
#[test]
fn models_are_certified_and_predict_block_by_block() {
    let desk = Desk::new();
    let table = csv(&desk, 30_000);
    pack(&desk, table);
    desk.write("a.toml", format!("{BLOCKS}{}", solver(SCALED, "1e-3")));
    desk.succeed(&["train", "a.toml", "--out", "run", "--memory", "1M", "--quiet"]);
    let certify = |limit: &str| -> serde_json::Value {
        let json = desk.succeed(&["certify", "run", "--json", "--gap", "1e-4", "--epochs", "40", "--memory", limit]);
        serde_json::from_str(&json.stdout).unwrap()
    };
    let (whole, parts) = (certify("1G"), certify("1M"));
    let number = |json: &serde_json::Value, key: &str| json[key].as_f64().unwrap();
    for key in ["objective", "own_bound", "theta"] {
        let (whole, parts) = (number(&whole, key), number(&parts, key));
        assert!((whole - parts).abs() < 1e-6 * whole.abs(), "{key}: {whole} and {parts}");
    }
    for found in [&whole, &parts] {
        assert!(number(found, "relative_gap") < 2e-3, "{found}");
    }
    let lines = desk.succeed(&["predict", "run", "blocks", "--memory", "1M"]).stdout.lines().count();
    assert_eq!(lines, 3_000);
}

/// 160 MB of rows with a limit of 48 MB: the resident memory of the program itself, and no more than the limit beside it.
#[cfg(target_os = "linux")]
#[test]
fn the_memory_that_was_promised_is_kept() {
    let desk = Desk::new();
    let (n, d) = (400_000, 100);
    let drawn: Vec<f32> = (0..100_003).map(|i| (cell(i, i % 5, 4)) as f32).collect();
    let of = |i: usize, j: usize| {
        drawn[(i * 7_919 + j * 104_729) % drawn.len()] + if j % 4 == 4 * i / n { 0.2 } else { 0.0 }
    };
    let cells: Vec<u8> = (0..n).flat_map(|i| (0..d).flat_map(move |j| of(i, j).to_le_bytes())).collect();
    desk.write("x.npy", npy("<f4", &format!("({n}, {d})"), &cells));
    drop(cells);
    let labels: Vec<u8> = (0..n).map(|i| (4 * i / n) as u8).collect();
    desk.write("y.npy", npy("|u1", &format!("({n},)"), &labels));
    desk.write("a.toml", format!("[data.npy]\ntrain = \"x.npy\"\ntrain_labels = \"y.npy\"\n{}", solver("", "1e-2")));
    let peak = |run: &str| desk.json(&format!("{run}/result.json"))["peak_rss_bytes"].as_u64().unwrap();
    desk.write("small.toml", "[data.digits]\n[objective]\nc = 0.1\n[loss.crammer_singer]\n[solver.dual]\n");
    desk.succeed(&["train", "small.toml", "--out", "small", "--quiet"]);
    let run = outcome(&mut desk.command(&["train", "a.toml", "--out", "run", "--memory", "48M", "--threads", "2"]));
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let (own, peak) = (peak("small"), peak("run"));
    assert!(peak <= own + (48 << 20), "{peak} bytes at the peak, of which the program has {own}");
}
