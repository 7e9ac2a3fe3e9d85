//! The interior point method, by itself and where ascent hands over to it, on features of scales from 1e-3 to 1e4.

use crate::solvers::solve;
use burn_svm::internals::solver::StopReason;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fmt::Write as _;
use std::path::Path;

/// Rows of three classes that overlap, their features multiplied by 10^(`spread`·U(−3, 4)), with a weight in the first column.
pub fn write(file: &Path, n: usize, spread: f64) {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let scales: Vec<f64> = (0..6).map(|_| 10f64.powf(spread * rng.random_range(-3.0..4.0))).collect();
    let mut text = String::new();
    for i in 0..n {
        let label = [0, 1, 1, 2, 1, 0][i % 6];
        write!(text, "{},{label}", [1.0, 0.0, 2.5][i % 3]).unwrap();
        for (j, scale) in scales.iter().enumerate() {
            let x: f64 = rng.random_range(-1.0..1.0) + if j % 3 == label { 0.7 } else { 0.2 };
            write!(text, ",{}", (x * scale) as f32).unwrap();
        }
        text.push('\n');
    }
    std::fs::write(file, text).unwrap();
}

pub const LOSSES: [&str; 11] = [
    "[loss.weston_watkins]\n",
    "[loss.weston_watkins]\npower = 2\n",
    "[loss.weston_watkins]\nsmoothing = 0.3\nclass_weights = \"balanced\"\n",
    "[loss.weston_watkins]\ncosts = { 0 = { 1 = 3.0 } }\n",
    "[loss.crammer_singer]\n",
    "[loss.crammer_singer]\npower = 2\n",
    "[loss.crammer_singer]\nsmoothing = 0.5\nmargin = 2.0\n",
    "[loss.top_k]\nk = 2\n",
    "[loss.one_vs_rest]\n",
    "[loss.one_vs_rest]\npower = 2\n",
    "[loss.one_vs_rest]\nsmoothing = 0.1\n",
];

/// Both ways bracket one optimum, and both end at their goal.
#[test]
fn every_loss_and_bias_ends_at_its_goal_whatever_the_scales() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    write(&file, 240, 1.0);
    let data = format!(
        "threads = 1\n[data.csv]\ntrain = {:?}\nheader = false\nlabel = 2\nweights = 1\n",
        file.display().to_string()
    );
    for loss in LOSSES {
        for bias in ["regularised", "free", "none"] {
            for c in [1e-3, 1.0, 1e4] {
                let problem = format!("{data}[preprocess]\nbias = \"{bias}\"\n[objective]\nc = {c:e}\n{loss}");
                let of = |solver: &str| {
                    let (fit, _) = solve(&format!("{problem}{solver}"));
                    let found = fit.certificate.unwrap();
                    assert_eq!(
                        fit.stop,
                        StopReason::GapReached,
                        "{solver}{problem}: {found:?}, {} iterations",
                        fit.steps
                    );
                    found
                };
                let (fine, own) = (of("[solver.newton]\ngap = 1e-6\n"), of("[solver.dual]\n"));
                assert!(fine.relative_gap <= 1e-6 && own.relative_gap <= 1e-3, "{problem}");
                assert!(own.dual <= fine.primal && fine.dual <= own.primal, "{problem}: {own:?} {fine:?}");
            }
        }
    }
}

/// Ascent that may not hand over stops short; where it may, the result does not depend on the number of threads.
#[test]
fn a_run_that_hands_over_is_repeatable() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    write(&file, 240, 1.0);
    let of = |threads: usize, solver: &str| {
        let data =
            format!("[data.csv]\ntrain = {:?}\nheader = false\nlabel = 2\nweights = 1\n", file.display().to_string());
        solve(&format!(
            "threads = {threads}\n{data}[objective]\nc = 1e2\n[loss.weston_watkins]\n[solver.dual]\n{solver}"
        ))
        .0
    };
    let alone = of(1, "finish = \"never\"\nepochs = 300\n");
    assert_eq!(alone.stop, StopReason::EpochLimit);
    assert!(alone.certificate.unwrap().relative_gap > 1e-2);
    let (one, two) = (of(1, ""), of(2, ""));
    assert_eq!((one.stop, one.steps), (StopReason::GapReached, two.steps));
    assert_eq!((one.weight, one.bias), (two.weight, two.bias));
    assert!(one.certificate.unwrap().relative_gap <= 1e-3);
}

/// Rows of two classes and a half: collinear columns, a constant, one far from zero, more columns than rows where `wide`.
fn write_collinear(file: &Path, order: impl Iterator<Item = usize>, wide: bool) {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let cells: Vec<f64> = (0..150 * 40).map(|_| rng.random_range(-1.0..1.0)).collect();
    let mut text = String::new();
    for i in order {
        let own = &cells[40 * i..40 * (i + 1)];
        let label = if own[0] + own[1] + 0.6 * own[4] > 0.1 { 0 } else { 1 + usize::from(own[2] > 0.3) };
        let bytes: Vec<f64> = own[..3].iter().map(|x| (127.0 * (x + 1.0)).round()).collect();
        write!(text, "{label},{},{},{},{},7,{}", bytes[0], bytes[1], bytes[2], bytes.iter().sum::<f64>(), 5e3 + own[3])
            .unwrap();
        let more = if wide { &own[4..] } else { &own[4..6] };
        more.iter().for_each(|x| write!(text, ",{:.3}", 1e-2 * x).unwrap());
        text.push('\n');
    }
    std::fs::write(file, text).unwrap();
}

/// Neither collinear columns nor constants nor more columns than rows stop it, and small problems end when the weights no longer change: the
/// solver, the seed and the order of the rows make no difference.
#[test]
fn collinear_features_are_solved_and_the_way_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    for (wide, n) in [(false, 150), (true, 25)] {
        let files = ["forth.csv", "back.csv"].map(|name| folder.path().join(name));
        write_collinear(&files[0], 0..n, wide);
        write_collinear(&files[1], (0..n).rev(), wide);
        for loss in [
            "[loss.weston_watkins]\n",
            "[loss.crammer_singer]\npower = 2\n",
            "[loss.one_vs_rest]\n",
            "[loss.one_vs_rest]\npower = 2\n",
            "[loss.one_vs_rest]\nsmoothing = 0.5\n",
        ] {
            for (bias, c) in [("regularised", 1e-3), ("free", 1.0), ("regularised", 1e5), ("free", 1e5)] {
                let of = |file: &Path, solver: &str| {
                    let data =
                        format!("[data.csv]\ntrain = {:?}\nheader = false\nlabel = 1\n", file.display().to_string());
                    let problem =
                        format!("threads = 1\n{data}[preprocess]\nbias = \"{bias}\"\n[objective]\nc = {c:e}\n{loss}");
                    let (fit, _) = solve(&format!("{problem}{solver}"));
                    assert_eq!(fit.stop, StopReason::GapReached, "{problem}{:?}", fit.certificate);
                    fit
                };
                // Rounding of scores, with columns of 5e3 and C = 1e5, alone takes some 1e-8 of a proof.
                let first = of(&files[0], "[solver.newton]\ngap = 1e-7\n");
                for other in [of(&files[0], "[solver.dual]\n"), of(&files[1], "[solver.dual]\ngap = 1e-2\n")] {
                    let size = first.weight.iter().map(|w| w * w).sum::<f64>().sqrt();
                    let pairs = first.weight.iter().zip(&other.weight);
                    let off = pairs.map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt() / size;
                    println!("wide {wide} {bias} {c:e} {}: weights differ by {off:.1e}", loss.trim());
                    assert!(off < 1e-8, "{bias} {c:e} {loss}: {off:e}");
                }
            }
        }
    }
}

/// Features of which none varies are nothing beside a free bias: no column is left, and the biases alone are the optimum, at which of four rows of one class
/// and one of the other the hinge of the one is 2.
#[test]
fn constant_features_beside_a_free_bias_leave_the_bias_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    std::fs::write(&file, "0,7.5,-3e4\n0,7.5,-3e4\n0,7.5,-3e4\n1,7.5,-3e4\n0,7.5,-3e4\n").unwrap();
    let data = format!("[data.csv]\ntrain = {:?}\nheader = false\nlabel = 1\n", file.display().to_string());
    for solver in ["[solver.dual]\n", "[solver.newton]\n", "[solver.newton]\nmethod = \"interior-point\"\n"] {
        for loss in ["[loss.weston_watkins]\n", "[loss.crammer_singer]\n", "[loss.one_vs_rest]\n"] {
            let problem =
                format!("threads = 1\n{data}[preprocess]\nbias = \"free\"\n[objective]\nc = 1.0\n{loss}{solver}");
            let (fit, _) = solve(&problem);
            assert_eq!(fit.stop, StopReason::GapReached, "{problem}{:?}", fit.certificate);
            assert!(fit.weight.iter().all(|&w| w == 0.0), "{problem}{:?}", fit.weight);
            // In sums of losses, of which one-vs-rest has two for the row.
            let sum = fit.certificate.unwrap().primal * 5.0;
            let expected = if loss.contains("one_vs_rest") { 4.0 } else { 2.0 };
            println!("{loss}{solver}: {sum}");
            assert!((sum - expected).abs() < 5e-3, "{problem}{sum}");
        }
    }
}

/// A problem whose system is too large for the interior point method and that is too hard for the proximal one in the time that it has: ascent goes
/// on from where it was, to the same optimum as by itself.
#[test]
fn ascent_goes_on_where_the_other_method_is_stuck() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let (n, d, k) = (360, 320, 26);
    let scales: Vec<f64> = (0..d).map(|_| 10f64.powf(rng.random_range(-1.0..1.0))).collect();
    let centres: Vec<f64> = (0..d * k).map(|_| 0.5 * rng.random_range(-1.0..1.0)).collect();
    let mut text = String::new();
    for i in 0..n {
        write!(text, "{}", i % k).unwrap();
        for j in 0..d {
            let x = 1.7 * rng.random_range(-1.0..1.0) + centres[i % k * d + j];
            write!(text, ",{}", (x * scales[j]) as f32).unwrap();
        }
        text.push('\n');
    }
    std::fs::write(&file, text).unwrap();
    let of = |solver: &str| {
        let data = format!("[data.csv]\ntrain = {:?}\nheader = false\nlabel = 1\n", file.display().to_string());
        let problem = format!("threads = 1\n{data}[objective]\nc = 1e3\n[loss.weston_watkins]\n");
        let (fit, seen) = solve(&format!("{problem}[solver.dual]\n{solver}"));
        assert_eq!(fit.stop, StopReason::GapReached, "{solver}{:?}", fit.certificate);
        (fit.weight, seen.len())
    };
    let (own, handed) = (of("finish = \"never\"\n"), of(""));
    assert_eq!(own.0, handed.0);
    assert!(handed.1 > own.1, "the other method was not tried: {} measurements", handed.1);
}

/// Kinds of rows on which rounding costs more than all else: features near 1e6 that separate the classes, more features than rows, seconds since 1970,
/// two of them beside the constant of a regularised bias, and a feature that is the sum of others but for its rounding.
#[test]
fn rows_at_the_end_of_the_precision_reach_their_goal() {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(21);
    let mut uniform = |n: usize| (0..n).map(|_| rng.random_range(-1.0..1.0)).collect::<Vec<f64>>();
    let apart = |k: usize| move |i: usize| i % k;
    let separated: Vec<Vec<f64>> = (0..40)
        .map(|i| {
            uniform(4).iter().enumerate().map(|(j, x)| 1e6 * (x + f64::from(u8::from(j == i % 2)) * 3.0)).collect()
        })
        .collect();
    let wide: Vec<Vec<f64>> = (0..36).map(|_| uniform(146)).collect();
    let seconds: Vec<Vec<f64>> = (0..90)
        .map(|i| {
            let own = uniform(2);
            vec![1.7e9 + (30 * (i % 3)) as f64 + (10.0 * own[0]).round(), own[1]]
        })
        .collect();
    let pair: Vec<Vec<f64>> = (0..12)
        .map(|_| {
            let own = uniform(4);
            vec![1.7e9 + (40.0 * own[0]).round(), 1.7e9 + (40.0 * own[1]).round(), own[2], own[3]]
        })
        .collect();
    let sums: Vec<Vec<f64>> = (0..60)
        .map(|_| {
            let own: Vec<f64> = uniform(3).iter().map(|x| f64::from(*x as f32)).collect();
            vec![own[0], own[1], own[2], f64::from((own[0] + own[1]) as f32)]
        })
        .collect();
    let standard = "center = \"mean\"\nscale = \"std\"\n";
    let free = "bias = \"free\"\n";
    for (name, rows, label, preprocess, c, gap, losses) in [
        ("separated", separated, 2, free, 1.0, 1e-6, vec!["weston_watkins", "one_vs_rest"]),
        ("wide", wide, 3, standard, 1e6, 1e-3, vec!["weston_watkins", "crammer_singer", "one_vs_rest"]),
        ("seconds", seconds, 3, free, 1e6, 1e-3, vec!["weston_watkins", "one_vs_rest"]),
        ("pair", pair, 3, "", 0.01, 1e-3, vec!["weston_watkins", "crammer_singer"]),
        ("sums", sums, 3, "", 0.1, 1e-9, vec!["weston_watkins", "crammer_singer"]),
    ] {
        let file = folder.path().join(format!("{name}.csv"));
        let of_row = |(i, row): (usize, &Vec<f64>)| {
            let cells: String = row.iter().map(|x| format!(",{x}")).collect();
            format!("{}{cells}\n", apart(label)(i))
        };
        std::fs::write(&file, rows.iter().enumerate().map(of_row).collect::<String>()).unwrap();
        for loss in losses {
            let (fit, _) = solve(&format!(
                "threads = 1\n[data.csv]\ntrain = {:?}\nheader = false\nlabel = 1\n[preprocess]\n{preprocess}[objective]\nc = {c:e}\n\
                 [loss.{loss}]\n[solver.dual]\ngap = {gap:e}\n",
                file.display().to_string()
            ));
            let certificate = fit.certificate.unwrap();
            assert_eq!(fit.stop, StopReason::GapReached, "{name} {loss}: {certificate:?}, {} steps", fit.steps);
        }
    }
}
