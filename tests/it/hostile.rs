//! Files from a stranger: small ones that unpack to large ones, and headers that promise what is not there. With a limit every
//! format ends with exit code 1 and a sentence, in the memory that the limit allows.

use crate::program::{Case, Desk, SMALL, Verdict, outcome, repository};
use flate2::Compression;
use flate2::write::GzEncoder;
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

/// A tar archive with one batch of so many bytes, of zeros.
fn tar(mib: usize) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_path("data_batch_1.bin").unwrap();
    header.set_size((mib as u64) << 20);
    header.set_mode(0o644);
    header.set_cksum();
    bomb(header.as_bytes(), &[0], mib)
}

/// The header of a grey image of so many pixels a side, and nothing behind it.
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
            "open it in a viewer: is it whole? remove or replace it"
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

/// What comes by standard input is called `stdin` in messages, and a file may have that name.
#[test]
fn standard_input_is_not_a_file_of_that_name() {
    let desk = Desk::new();
    let fixture = |name: &str| repository(&format!("tests/fixtures/formats/{name}"));
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
