//! Files from a stranger: small ones that unpack to large ones, and headers that promise more than there is. With a limit every
//! format ends with exit code 1 and a sentence, in the memory that the limit allows.

use crate::program::{Case, Desk, SMALL, Verdict, outcome, repository};
use burn_svm_cli::{plot, report};
use flate2::Compression;
use flate2::write::GzEncoder;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::io::Write;

/// Gzip of the same bytes again and again: `n` MiB in a thousandth of that.
fn bomb(head: &[u8], unit: &[u8], n: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(head).unwrap();
    let block = unit.repeat((1 << 20) / unit.len());
    (0..n).for_each(|_| encoder.write_all(&block).unwrap());
    encoder.finish().unwrap()
}

fn idx(dims: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
    bytes
}

fn npy(shape: &str) -> Vec<u8> {
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes()].concat()
}

/// A tar archive with one batch of zeros of the given length.
fn tar(mib: usize) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_path("data_batch_1.bin").unwrap();
    header.set_size((mib as u64) << 20);
    header.set_mode(0o644);
    header.set_cksum();
    bomb(header.as_bytes(), &[0], mib)
}

/// The header of a square grey image with nothing after it.
fn png(side: u32) -> Vec<u8> {
    let chunk = |body: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(body);
        [&(body.len() as u32 - 4).to_be_bytes(), body, &crc.sum().to_be_bytes()].concat()
    };
    let header = [b"IHDR", &side.to_be_bytes()[..], &side.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(&header), chunk(b"IDAT"), chunk(b"IEND")].concat()
}

#[test]
fn a_bomb_ends_with_a_sentence_and_not_with_the_machine() {
    let desk = Desk::new();
    desk.write("small.toml", SMALL);
    desk.succeed(&["train", "small.toml", "--out", "run", "-q"]);
    let mut verdict = Verdict::default();
    let row = [b"1,".repeat(63), b"2\n".to_vec()].concat();
    for (format, bytes, problem) in [
        ("csv", bomb(b"", &row, 64), "x: the data need more than 32.0 MiB of memory, which is the limit"),
        (
            "csv",
            bomb(&[&row[..126], b"\""].concat(), b"x", 64),
            "x: the data need more than 32.0 MiB of memory, which is the limit",
        ),
        ("libsvm", bomb(b"", b"1 1:1 2:1\n", 64), "x: the data need more than 32.0 MiB of memory, which is the limit"),
        ("libsvm", bomb(b"1 ", b"1", 64), "x: the data need more than 32.0 MiB of memory, which is the limit"),
        (
            "idx",
            bomb(&idx(&[64 << 20, 1, 1]), &[0], 64),
            "x: the data need more than 32.0 MiB of memory, which is the limit",
        ),
        ("cifar", bomb(b"", &[0], 64), "x: the data need more than 32.0 MiB of memory, which is the limit"),
        ("npy", npy("99999, 99999"), "x: the data need more than 32.0 MiB of memory, which is the limit"),
        (
            "images",
            png(16_000),
            "x: the PNG image cannot be decoded: the data need more than 32.0 MiB of memory, which is the limit",
        ),
        ("images", bomb(&png(10), &[0], 64), "x: the data need more than 32.0 MiB of memory, which is the limit"),
    ] {
        desk.write("x", bytes);
        let outcome = desk.run(&["predict", "run", "x", "--format", format, "--memory", "32M"]);
        let hint = if outcome.problem().contains("PNG") {
            "open it in a viewer: is it whole? `mogrify -format png -type TrueColor -depth 8 FILE` writes a PNG of what other programs can read: then remove FILE"
        } else {
            "`--memory` sets the limit; is this the right file?"
        };
        verdict.hold(&Case { what: format, problem, hint }, &outcome, 1);
    }
    desk.write("x", tar(64));
    desk.write("tar.toml", SMALL.replace("[data.digits]", "[data.cifar]\ndir = 'x'"));
    let case = Case {
        what: "tar",
        problem: "x: the data need more than 32.0 MiB of memory, which is the limit",
        hint: "`--memory` sets the limit; is this the right file?",
    };
    verdict.hold(&case, &desk.run(&["--memory", "32M", "train", "tar.toml", "--out", "other"]), 1);
    verdict.assert();
    let outcome = desk.run(&["predict", "run", "x", "--memory", "much"]);
    assert_eq!(outcome.code, Some(2));
    assert!(
        outcome.stderr.contains("`much` is no amount of memory: expected bytes, such as 500M or 8G"),
        "{}",
        outcome.stderr
    );
}

/// Standard input is called `stdin` in messages, and a file may have that name.
#[test]
fn standard_input_is_not_a_file_of_that_name() {
    let desk = Desk::new();
    let fixture = |name: &str| repository(&format!("cli/tests/fixtures/formats/{name}"));
    let data = format!("[data.parquet]\ntrain = '{}'\nlabel = 'kind'\nweights = 'weight'", fixture("pandas.parquet"));
    desk.write("my.toml", SMALL.replace("[data.digits]", &data));
    desk.succeed(&["train", "my.toml", "--out", "run", "-q"]);
    let own = desk.succeed(&["predict", "run", &fixture("pandas.parquet")]).stdout;
    desk.write("stdin", "PAR1 and nothing else PAR1");
    let input = std::fs::File::open(fixture("pandas.parquet")).unwrap();
    let found = outcome(desk.command(&["predict", "run", "-"]).stdin(input));
    assert_eq!((found.code, found.stdout), (Some(0), own), "{}", found.stderr);
}

/// A header of many columns over blank lines asked for memory for all the cells that the lines could have had.
#[test]
fn blank_lines_under_a_wide_header_cost_nothing() {
    let desk = Desk::new();
    desk.write("small.toml", SMALL);
    desk.succeed(&["train", "small.toml", "--out", "run", "-q"]);
    let header = (0..100_000).map(|j| format!("c{j}")).collect::<Vec<_>>().join(",");
    desk.write("x.csv", format!("{header}\n{}", "\n".repeat(4 << 20)));
    let outcome = desk.run(&["predict", "run", "x.csv", "--memory", "64M"]);
    assert_eq!(
        (outcome.code, outcome.problem()),
        (Some(1), "x.csv:1: found 100000 columns, expected the 64 features of the model")
    );
    desk.write("csv.toml", SMALL.replace("[data.digits]", "[data.csv]\ntrain = 'x.csv'\nlabel = 'c0'"));
    let outcome = desk.run(&["train", "csv.toml", "--out", "other", "--memory", "64M"]);
    assert_eq!((outcome.code, outcome.problem()), (Some(1), "x.csv: found no row of data"));
}

/// Replacements of a number in the file of a stranger.
const NASTY: [&str; 16] = [
    "-1",
    "0",
    "-0.0",
    "1e308",
    "-1e308",
    "1e-320",
    "18446744073709551615",
    "9007199254740993",
    "4294967296",
    "1000000000",
    "null",
    "NaN",
    "inf",
    "1e999",
    "\"\"",
    "",
];

/// A text with one of its numbers replaced, a line twice, a piece gone, or an end cut off.
fn changed(text: &str, rng: &mut ChaCha8Rng) -> String {
    let bytes = text.as_bytes();
    let of_number = |b: u8| b.is_ascii_digit() || b"+-.".contains(&b);
    let at = rng.random_range(0..bytes.len());
    let numbers: Vec<usize> =
        (0..bytes.len()).filter(|&i| bytes[i].is_ascii_digit() && (i == 0 || !of_number(bytes[i - 1]))).collect();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let whole = |out: Vec<u8>| String::from_utf8_lossy(&out).into_owned();
    match rng.random_range(0..8) {
        0 => whole(bytes[..at].to_vec()),
        1 => whole([&bytes[..at], &bytes[(at + rng.random_range(1..40)).min(bytes.len())..]].concat()),
        2 => {
            let line = rng.random_range(0..lines.len());
            [&lines[..=line], &lines[line..]].concat().concat()
        }
        _ if numbers.is_empty() => String::new(),
        _ => {
            let from = numbers[rng.random_range(0..numbers.len())];
            let len = bytes[from..].iter().position(|&b| !of_number(b)).unwrap_or(bytes.len() - from);
            let other = NASTY[rng.random_range(0..NASTY.len())];
            format!("{}{other}{}", &text[..from], &text[from + len..])
        }
    }
}

/// Folders of runs and searches are given away. Whatever their files hold is drawn or refused with a sentence, in seconds.
/// `BURN_SVM_CHANGES` says how often; 100 times without.
#[test]
fn a_folder_of_a_stranger_is_drawn_or_refused() {
    let times = std::env::var("BURN_SVM_CHANGES").ok().and_then(|n| n.parse().ok()).unwrap_or(100);
    let desk = Desk::new();
    let space = "[search]\nrefit = true\n[search.space]\n\"solver.sgd.learning_rate\" = [1e-3, 1e-2, 1e9]\n\"objective.lambda\" = [1e-3, 1.0]\n";
    desk.write("s.toml", SMALL.replace("test = 0.2", "test = 0.2\nvalidation = 0.2") + space);
    desk.succeed(&["search", "s.toml", "--out", "s", "-q"]);
    let solved = SMALL.replace("[solver.sgd]\nlearning_rate = 0.01\nepochs = 2\n", "[solver.dual]\n");
    let path = solved.replace("lambda = 1e-3", "c = [0.01, 0.1]").replace("test = 0.2", "test = 0.2\nvalidation = 0.2");
    desk.write("r.toml", &solved).write("p.toml", path);
    ["r", "p"].iter().for_each(|run| drop(desk.succeed(&["train", &format!("{run}.toml"), "--out", run, "-q"])));
    let files = [
        "s/search.json",
        "s/trials.jsonl",
        "s/best/result.json",
        "s/best/metrics.csv",
        "s/best/confusion.csv",
        "r/result.json",
        "r/metrics.csv",
        "r/bounds.csv",
        "r/confusion.csv",
        "r/roc.csv",
        "p/path.csv",
    ];
    let mut rng = ChaCha8Rng::seed_from_u64(times);
    let mut refused = 0;
    for time in 0..times {
        let file = files[time as usize % files.len()];
        let whole = desk.read(file);
        assert!(whole.lines().count() > 0, "{file} is empty");
        let text = changed(&whole, &mut rng);
        desk.write(file, &text);
        let folder = desk.path(&file[..1]);
        let start = std::time::Instant::now();
        let done = std::panic::catch_unwind(|| {
            let page = report::write(&folder).map(drop).map_err(|e| e.to_string());
            let both = plot::FigureFormat::Both;
            let drawn = match file.split('/').collect::<Vec<_>>()[..] {
                ["s", "best", _] => plot::draw(&folder.join("best"), both),
                ["s", _] => plot::draw_search(&folder, both),
                _ => plot::draw(&folder, both),
            };
            page.and(drawn.map(drop).map_err(|e| e.to_string()))
        });
        let done = done.unwrap_or_else(|_| panic!("change {time} of {file} panics:\n{text}"));
        assert!(start.elapsed().as_secs() < 60, "change {time} of {file} takes {:?}:\n{text}", start.elapsed());
        if let Err(problem) = done {
            assert!(problem.contains(&file[2..]) && problem.lines().count() == 1, "change {time} of {file}: {problem}");
            refused += 1;
        }
        desk.write(file, &whole);
    }
    println!("{refused} of {times} changes were refused");
    assert!(0 < refused && refused < times);
}
