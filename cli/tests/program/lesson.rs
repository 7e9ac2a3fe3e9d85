//! Commands of the lesson on the SVM question of CS231n: a gradient of one's own, pictures of kinks, the page of a run that goes.

use crate::program::{Desk, SMALL};
use std::fs;

/// A `.npy` file of little-endian elements.
fn npy(descr: &str, shape: &str, bytes: impl Iterator<Item = u8>) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let length = u16::try_from(header.len()).unwrap();
    let start = [&b"\x93NUMPY\x01\x00"[..], &length.to_le_bytes(), header.as_bytes()].concat();
    start.into_iter().chain(bytes).collect()
}

fn floats(shape: &str, values: &[f64]) -> Vec<u8> {
    npy("<f8", shape, values.iter().flat_map(|v| v.to_le_bytes()))
}

/// Two rows of two features in three classes. Scores 1, 0, 2 and 0, 1, 0 with labels 0 and 1: margins 0 and 2 of row 0, 0 and 0 of row 1, so
/// that Q is −1, 0, 1 and 0, 0, 0, and the gradient of the loss half of x_0 times Q.
fn desk(gradient: &[u8]) -> Desk {
    let desk = Desk::new();
    desk.write("X.npy", floats("2, 2", &[1.0, 0.0, 0.0, 1.0]))
        .write("W.npy", floats("2, 3", &[1.0, 0.0, 2.0, 0.0, 1.0, 0.0]))
        .write("y.npy", npy("<i8", "2,", [0i64, 1].iter().flat_map(|v| v.to_le_bytes())))
        .write("dW.npy", gradient);
    desk
}

const MINE: [&str; 9] = ["gradcheck", "--mine", "dW.npy", "--weights", "W.npy", "--data", "X.npy", "--labels", "y.npy"];

#[test]
fn a_gradient_of_ones_own_is_compared_entry_by_entry() {
    let right = [-0.5, 0.0, 0.5, 0.0, 0.0, 0.0];
    let desk = desk(&floats("2, 3", &right));
    let outcome = desk.succeed(&MINE);
    assert!(
        outcome.stdout.starts_with("weston_watkins, margin 1, power 1, lambda 0, on 2 rows, 2 features, 3 classes\n")
    );
    assert!(
        outcome.stdout.ends_with("passed: 6 of 6 entries agree; largest relative error 0.00e0\n"),
        "{}",
        outcome.stdout
    );
    // reg is reg·ΣW², lambda half of it: with 0.25 and 0.5 the regulariser's part is W/2.
    let weight = [1.0, 0.0, 2.0, 0.0, 1.0, 0.0];
    let regularised: Vec<f64> = right.iter().zip(weight).map(|(g, w)| g + w / 2.0).collect();
    desk.write("dW.npy", floats("2, 3", &regularised));
    for strength in [["--reg", "0.25"], ["--lambda", "0.5"]] {
        desk.succeed(&[&MINE[..], &strength].concat());
    }
    let outcome = desk.run(&[&MINE[..], &["--reg", "0.5"]].concat());
    assert_eq!(outcome.code, Some(1));
    // Of two rows a half is as well a division by their number.
    let cause = "the gradient of the regulariser is half of what it should be, or: the regulariser is divided by the number of rows, too";
    assert!(
        outcome.stdout.contains("W[1, 1]: mine 5.000000e-1, right 1.000000e0, relative error 3.33e-1\n"),
        "{}",
        outcome.stdout
    );
    assert!(outcome.stdout.contains("FAILED: 3 of 6 entries agree"), "{}", outcome.stdout);
    assert!(
        outcome.stderr.contains("error: the gradient differs") && outcome.stderr.contains(cause),
        "{}",
        outcome.stderr
    );
    let outcome = desk.run(&[&MINE[..], &["--reg", "0.5", "--json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(
        (json["cause"].as_str(), json["passed"].as_bool(), json["agreed"].as_u64()),
        (Some(cause), Some(false), Some(3))
    );
    // Another loss: of Crammer-Singer the same at these rows, of one-vs-rest not.
    desk.write("dW.npy", floats("2, 3", &right));
    desk.succeed(&[&MINE[..], &["--loss", "crammer_singer"]].concat());
    assert_eq!(desk.run(&[&MINE[..], &["--loss", "one_vs_rest"]].concat()).code, Some(1));
    desk.write("dW.npy", floats("3, 2", &[-0.5, 0.0, 0.0, 0.0, 0.5, 0.0]));
    let outcome = desk.run(&MINE);
    assert!(outcome.code == Some(1) && outcome.stderr.contains("it is transposed"), "{}", outcome.stderr);
}

#[test]
fn files_that_do_not_fit_are_named() {
    let right = floats("2, 3", &[-0.5, 0.0, 0.5, 0.0, 0.0, 0.0]);
    for (name, content, problem) in [
        ("dW.npy", floats("6,", &[0.0; 6]), "dW.npy: byte 0: the shape is (6), expected a matrix"),
        ("dW.npy", floats("3, 3", &[0.0; 9]), "dW.npy: the shape is (3, 3), expected (2, 3), that of the weights"),
        ("dW.npy", floats("2, 3", &[f64::NAN; 6]), "dW.npy: record 1: column 1: a value is missing, found NaN"),
        ("W.npy", floats("3, 2", &[0.0; 6]), "W.npy: found weights of 3 features, expected 2, as the rows have"),
        ("y.npy", npy("<i8", "1,", 0i64.to_le_bytes().into_iter()), "y.npy: found 1 labels, expected 2, one a row"),
        ("y.npy", npy("|u1", "2,", [0u8, 3].into_iter()), "y.npy: record 2: found class 3, expected one below 3"),
        (
            "y.npy",
            floats("2,", &[0.0, 1.0]),
            "y.npy: byte 0: found elements of another kind, expected integers as class indices",
        ),
        ("X.npy", b"not an array".to_vec(), "X.npy: byte 0: found "),
    ] {
        let desk = desk(&right);
        desk.write(name, content);
        let outcome = desk.run(&MINE);
        assert_eq!(outcome.code, Some(1), "{problem}: {}", outcome.stderr);
        assert!(outcome.stderr.contains(problem), "expected {problem}, found {}", outcome.stderr);
    }
    let desk = desk(&right);
    fs::remove_file(desk.path("W.npy")).unwrap();
    assert_eq!(desk.run(&MINE).code, Some(2));
    for wrong in [&["gradcheck"][..], &["gradcheck", "--mine", "dW.npy"], &["gradcheck", "--reg", "1"]] {
        assert_eq!(desk.run(wrong).code, Some(2), "{wrong:?}");
    }
    for more in
        [&["--h", "1e-6"][..], &["my.toml"], &["--reg", "1", "--lambda", "1"], &["--reg", "-1"], &["--loss", "hinge"]]
    {
        assert_eq!(desk.run(&[&MINE[..], more].concat()).code, Some(2), "{more:?}");
    }
}

#[test]
fn kinks_are_drawn_where_there_are_some() {
    let desk = Desk::new();
    desk.write("my.toml", SMALL);
    // Margins are near 1 at small weights, and steps so long that some change their sign in every coordinate.
    let wide = ["gradcheck", "my.toml", "--h", "0.5", "--coordinates", "5", "--plot", "pictures/kinks"];
    let outcome = desk.succeed(&wide);
    assert!(outcome.stdout.contains(", centred: ") && outcome.stdout.contains(", off by "), "{}", outcome.stdout);
    let svg = desk.read("pictures/kinks/kink-1.svg");
    for words in ["A kink along W[", "less the tangent at t = 0", "chord from -h to h", "slope beyond"] {
        assert!(svg.contains(words), "{words}");
    }
    assert!(desk.bytes("pictures/kinks/kink-1.png").starts_with(b"\x89PNG"));
    assert!(outcome.stderr.contains("drawn: pictures/kinks/kink-1.svg (W["), "{}", outcome.stderr);
    let none = desk.succeed(&["gradcheck", "my.toml", "--h", "1e-9", "--coordinates", "2", "--plot", "none"]);
    assert!(none.stderr.contains("no coordinate met a kink"), "{}", none.stderr);
    assert!(!desk.path("none").exists());
    for h in ["0", "2", "nan", "1e-10", "x"] {
        let outcome = desk.run(&["gradcheck", "my.toml", "--h", h]);
        assert!(
            outcome.code == Some(2) && outcome.stderr.contains("a number from 1e-9 to 1"),
            "{h}: {}",
            outcome.stderr
        );
    }
}

#[test]
fn a_run_that_is_watched_keeps_a_page_and_ends_with_an_animated_picture() {
    let desk = Desk::new();
    desk.write("my.toml", SMALL);
    let outcome = desk.succeed(&["train", "my.toml", "--out", "run", "--watch", "--set", "solver.sgd.log_every=5"]);
    assert!(outcome.stderr.contains("note: watch the run: open run/watch.html in a browser"), "{}", outcome.stderr);
    let page = desk.read("run/watch.html");
    assert!(page.contains("the run has ended: finished") && !page.contains("http-equiv"), "the end reloads nothing");
    for words in ["Training loss", "Accuracy", "Weights of each class", "Templates over the steps", "test accuracy"] {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("src=\"http") && !page.contains("href=\"http"), "everything is in the page");
    // acTL, the chunk of an animation, has the number of frames: one for each logged step.
    let picture = desk.bytes("run/figures/frames.png");
    let at = picture.windows(4).position(|chunk| chunk == b"acTL").unwrap() + 4;
    let frames = u32::from_be_bytes(picture[at..at + 4].try_into().unwrap()) as usize;
    let logged =
        desk.read("run/metrics.csv").lines().skip(1).filter(|line| !line.split(',').nth(2).unwrap().is_empty()).count();
    assert_eq!(frames, logged);
    // The same model as without, and nothing of the page is left by a later run.
    let model = desk.bytes("run/model.safetensors");
    desk.succeed(&["train", "my.toml", "--out", "run", "--force", "-q", "--set", "solver.sgd.log_every=5"]);
    assert!(desk.bytes("run/model.safetensors") == model);
    assert!(!desk.path("run/watch.html").exists() && !desk.path("run/figures/frames.png").exists());
    // A page of somebody else is not written over.
    desk.write("other/watch.html", "mine");
    let outcome = desk.run(&["train", "my.toml", "--out", "other", "--watch"]);
    assert!(outcome.code == Some(2) && desk.read("other/watch.html") == "mine", "{}", outcome.stderr);
}

#[test]
fn the_exact_solver_is_watched_with_its_bounds() {
    let desk = Desk::new();
    desk.write("exact.toml", "[data.digits]\n[objective]\nc = 1.0\n[loss.crammer_singer]\n[solver.dual]\n");
    desk.succeed(&["train", "exact.toml", "--out", "run", "--watch", "-q"]);
    let page = desk.read("run/watch.html");
    assert!(page.contains("the run has ended: gap reached") && page.contains("Relative gap"));
    assert!(!desk.path("run/figures/frames.png").exists(), "its weights are not told on the way");
}
