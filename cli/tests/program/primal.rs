//! Newton's method on the objective: the gradient at its end, and the interior point method's optimum on awkward rows.

use crate::solvers::solve;
use burn_svm::internals::solver::{Fit, StopReason};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fmt::Write as _;
use std::path::Path;

/// Rows with labels and weights.
struct Sample {
    rows: Vec<Vec<f32>>,
    labels: Vec<usize>,
    weights: Vec<f64>,
}

/// Columns of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Columns {
    /// Of scales from 1e-3 to 1e3.
    Scaled,
    /// Some of them constant, zero or doubled; one is the sum of two others, one is far from zero.
    Dependent,
    /// More of them than rows.
    Many,
    /// Zeros, but for one cell in eight, stored as sparse rows without weights.
    Sparse,
}

impl Sample {
    fn new(columns: Columns, n_classes: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let (n, d) = if columns == Columns::Many { (200, 400) } else { (1500, 40) };
        let scales: Vec<f64> = (0..d).map(|_| 10f64.powf(rng.random_range(-3.0..3.0))).collect();
        let labels: Vec<usize> = (0..n).map(|i| i * i % 7 % n_classes).collect();
        let mut cell = |label: usize, j: usize| {
            let x = rng.random_range(-1.0..1.0) + if j % n_classes == label { 0.4 } else { 0.0 };
            let is_zero = columns == Columns::Sparse && rng.random_range(0..8) > 0;
            if is_zero { 0.0 } else { (x * scales[j]) as f32 }
        };
        let mut rows: Vec<Vec<f32>> = labels.iter().map(|&label| (0..d).map(|j| cell(label, j)).collect()).collect();
        if columns == Columns::Dependent {
            for row in &mut rows {
                (row[3], row[4], row[5], row[6]) = (7.0, 0.0, row[0], row[1] + row[2]);
                row[7] = 4096.0 + row[7] / scales[7] as f32;
            }
        }
        let weight = |i: usize| if columns == Columns::Sparse { 1.0 } else { [1.0, 0.5, 3.0, 0.0][i % 4] };
        Self { rows, labels, weights: (0..n).map(weight).collect() }
    }

    /// Writes csv with the weights in front, or libsvm text.
    fn write(&self, file: &Path) {
        let is_csv = file.extension().is_some_and(|name| name == "csv");
        let mut text = String::new();
        for ((row, label), weight) in self.rows.iter().zip(&self.labels).zip(&self.weights) {
            if is_csv {
                write!(text, "{weight},{label}").unwrap();
                row.iter().for_each(|x| write!(text, ",{x}").unwrap());
            } else {
                write!(text, "{label}").unwrap();
                let cells = row.iter().enumerate().filter(|(_, x)| **x != 0.0);
                cells.for_each(|(j, x)| write!(text, " {}:{x}", j + 1).unwrap());
            }
            text.push('\n');
        }
        std::fs::write(file, text).unwrap();
    }

    /// The largest slope of the objective, relative to the sum of the sizes of its terms; `slope` is −∂ℓ/∂G of a margin.
    fn gradient(&self, fit: &Fit, c: f64, bias: &str, slope: impl Fn(f64) -> f64) -> f64 {
        let (d, k) = (self.rows[0].len(), fit.weight.len() / self.rows[0].len());
        let own = fit.bias.clone().unwrap_or_else(|| vec![0.0; k]);
        let mut worst = 0.0f64;
        for (class, &bias_of_class) in own.iter().enumerate() {
            let (mut sums, mut sizes) = (vec![0.0; d + 1], vec![0.0; d + 1]);
            for ((row, &label), weight) in self.rows.iter().zip(&self.labels).zip(&self.weights) {
                let y = if label == class { 1.0 } else { -1.0 };
                let cells = || row.iter().map(|&x| f64::from(x)).chain([1.0]);
                let score: f64 = cells()
                    .zip((0..d).map(|j| fit.weight[j * k + class]).chain([bias_of_class]))
                    .map(|(x, w)| x * w)
                    .sum();
                let beta = c * weight * slope(1.0 - y * score);
                cells().enumerate().for_each(|(j, x)| {
                    sums[j] -= beta * y * x;
                    sizes[j] += (beta * x).abs();
                });
            }
            let regularised =
                (0..d).map(|j| fit.weight[j * k + class]).chain((bias == "regularised").then_some(bias_of_class));
            regularised.enumerate().for_each(|(j, w)| (sums[j], sizes[j]) = (sums[j] + w, sizes[j] + w.abs()));
            let last = if bias == "none" { d } else { d + 1 };
            let off = (0..last).filter(|&j| sizes[j] > 0.0).map(|j| sums[j].abs() / sizes[j]);
            worst = off.fold(worst, f64::max);
        }
        worst
    }
}

const BIASES: [&str; 3] = ["regularised", "free", "none"];

fn problem(file: &Path, bias: &str, c: f64, loss: &str) -> String {
    let name = format!("train = {:?}\n", file.display().to_string());
    let data = if file.extension().is_some_and(|name| name == "csv") {
        format!("[data.csv]\n{name}header = false\nlabel = 2\nweights = 1\n")
    } else {
        format!("[data.libsvm]\n{name}")
    };
    format!("threads = 1\n{data}[preprocess]\nbias = \"{bias}\"\n[objective]\nc = {c:e}\n{loss}")
}

fn solved(text: &str) -> Fit {
    let (fit, _) = solve(text);
    assert_eq!(fit.stop, StopReason::GapReached, "{text}: {:?}, {} steps", fit.certificate, fit.steps);
    fit
}

/// In the piece of the optimum a step ends at it, by way of either solver: of most gradients rounding is all that is left, where the gap of 1e-9 that is asked
/// for would leave 1e-5.
#[test]
fn the_gradient_vanishes_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut found = Vec::new();
    for (columns, name) in [(Columns::Scaled, "rows.csv"), (Columns::Sparse, "rows.txt")] {
        let file = folder.path().join(name);
        let sample = Sample::new(columns, 4);
        sample.write(&file);
        for (loss, gamma) in [("power = 2", None), ("smoothing = 1.5", Some(1.5)), ("smoothing = 0.2", Some(0.2))] {
            for (bias, c) in BIASES.into_iter().flat_map(|bias| [1e-4, 1.0, 1e3].map(|c| (bias, c))) {
                let text = problem(&file, bias, c, &format!("[loss.one_vs_rest]\n{loss}\n"));
                for solver in ["newton", "dual"] {
                    let fit = solved(&format!("{text}[solver.{solver}]\ngap = 1e-9\n"));
                    let slope =
                        |margin: f64| gamma.map_or(2.0 * margin.max(0.0), |gamma| (margin / gamma).clamp(0.0, 1.0));
                    let off = sample.gradient(&fit, c, bias, slope);
                    println!("{columns:?} {loss} {bias} {c:e} {solver}: {off:.1e} after {} steps", fit.steps);
                    assert!(off < 1e-4, "{off:e}: {solver}\n{text}");
                    found.push(off);
                }
            }
        }
    }
    let exact = found.iter().filter(|&&off| off < 1e-10).count();
    assert!(4 * exact >= 3 * found.len(), "{exact} of {} gradients vanish", found.len());
}

/// The bounds of both methods bracket one optimum.
#[test]
fn the_interior_point_method_finds_the_same_optimum() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    let cases = [
        (Columns::Dependent, 4, "[loss.one_vs_rest]\npower = 2\nclass_weights = \"balanced\"\n"),
        (Columns::Dependent, 4, "[loss.one_vs_rest]\nsmoothing = 0.5\nmargin = 2.0\n"),
        (Columns::Many, 4, "[loss.one_vs_rest]\npower = 2\n"),
        (Columns::Scaled, 2, "[loss.one_vs_rest]\npower = 2\n"),
        (Columns::Scaled, 2, "[loss.weston_watkins]\npower = 2\n"),
        (Columns::Dependent, 2, "[loss.crammer_singer]\npower = 2\n"),
        (Columns::Scaled, 2, "[loss.crammer_singer]\nsmoothing = 0.3\n"),
        (Columns::Scaled, 2, "[loss.weston_watkins]\npower = 2\ncosts = { 0 = { 1 = 3.0 } }\n"),
    ];
    for (columns, n_classes, loss) in cases {
        Sample::new(columns, n_classes).write(&file);
        for (bias, c) in BIASES.into_iter().flat_map(|bias| [1e-3, 1.0, 1e4].map(|c| (bias, c))) {
            let text = problem(&file, bias, c, loss);
            let of = |method: &str| solved(&format!("{text}[solver.newton]\ngap = 1e-7\nmethod = {method:?}\n"));
            let (own, other) = (of("auto"), of("interior-point"));
            println!("{columns:?} {bias} {c:e} {}: {} steps, {}", loss.trim(), own.steps, other.steps);
            let (own, other) = (own.certificate.unwrap(), other.certificate.unwrap());
            assert!(own.dual <= other.primal && other.dual <= own.primal, "{text}: {own:?} {other:?}");
        }
    }
}

/// Rows of weight 0 are no rows: a class of such rows only has no margin above 0, and stays out of the way.
#[test]
fn a_class_without_rows_is_solved() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    let mut sample = Sample::new(Columns::Scaled, 4);
    sample.weights = sample.labels.iter().map(|&label| if label == 2 { 0.0 } else { 1.0 }).collect();
    sample.write(&file);
    for bias in BIASES {
        let text = problem(&file, bias, 1.0, "[loss.one_vs_rest]\npower = 2\n");
        let of = |method: &str| {
            let fit = solved(&format!("{text}[solver.newton]\ngap = 1e-9\nmethod = {method:?}\n"));
            fit.certificate.unwrap()
        };
        let (own, other) = (of("auto"), of("interior-point"));
        assert!(own.dual <= other.primal && other.dual <= own.primal, "{text}: {own:?} {other:?}");
    }
}
