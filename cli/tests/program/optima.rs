//! The exact solver and the values of the losses against certified optima of an independent method: `fixtures/optima.json`, made by
//! `fixtures/optima.py` with an interior point solver. Small sets of the rule and the bundled digits run anywhere.

use crate::solvers::{shared, solve};
use burn_svm::internals::loss::{Formulation, Loss, Power};
use burn_svm::internals::solver::{Certificate, StopReason};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct Optima {
    tiny: Tiny,
    rows: Vec<Row>,
}

/// Rows in quarters.
#[derive(Deserialize)]
struct Tiny {
    quarters: Vec<Vec<i32>>,
    labels: Vec<u32>,
}

/// A problem in the C form, ½‖W‖² + C Σ w_i ℓ_i, with bounds on its optimum.
#[derive(Debug, Deserialize)]
struct Row {
    set: String,
    #[serde(rename = "C")]
    c: f64,
    loss: String,
    bias: String,
    #[serde(default = "one")]
    bias_scale: f64,
    #[serde(default = "one")]
    margin: f64,
    #[serde(default = "hinge")]
    power: Power,
    class_weights: Option<Vec<f64>>,
    /// The weight of row i is the i-th of these, again and again.
    row_weights: Option<Vec<usize>>,
    lower: f64,
    upper: f64,
    /// Of the tiny set only: `[n_features + 1 where the bias is regularised][n_classes]`.
    #[serde(rename = "W")]
    weight: Option<Vec<Vec<f64>>>,
    /// The free bias.
    b: Option<Vec<f64>>,
    k: Option<usize>,
    #[serde(default)]
    smoothing: f64,
}

fn one() -> f64 {
    1.0
}

fn hinge() -> Power {
    Power::One
}

fn optima() -> Optima {
    serde_json::from_str(include_str!("fixtures/optima.json")).unwrap()
}

impl Row {
    fn loss(&self) -> Loss {
        let formulation = Formulation::ALL.into_iter().find(|f| f.name() == self.loss).unwrap();
        let loss = Loss::new(formulation, self.margin, self.power).k(self.k.unwrap_or(1)).smoothing(self.smoothing);
        Loss { class_weights: self.class_weights.clone(), ..loss }
    }

    fn row_weight(&self, i: usize) -> usize {
        self.row_weights.as_ref().map_or(1, |w| w[i % w.len()])
    }

    /// The relative gap to ask for.
    fn gap(&self) -> f64 {
        if self.set == "tiny" { 1e-8 } else { 1e-6 }
    }

    /// The configuration of the problem; class names are those of the file.
    fn config(&self, data: &str, names: &[String], solver: &str) -> String {
        let mut text = format!("{data}[preprocess]\nbias = \"{}\"\n", self.bias);
        if self.bias == "regularised" {
            writeln!(text, "bias_scale = {:?}", self.bias_scale).unwrap();
        }
        let (c, loss, margin, gamma) = (self.c, &self.loss, self.margin, self.smoothing);
        writeln!(text, "[objective]\nc = {c:?}\n[loss.{loss}]\nmargin = {margin:?}\nsmoothing = {gamma:?}").unwrap();
        match self.k {
            Some(k) => writeln!(text, "k = {k}").unwrap(),
            None => writeln!(text, "power = {}", i64::from(self.power)).unwrap(),
        }
        if let Some(weights) = &self.class_weights {
            let table: Vec<String> = names.iter().zip(weights).map(|(n, w)| format!("\"{n}\" = {w:?}")).collect();
            writeln!(text, "class_weights = {{ {} }}", table.join(", ")).unwrap();
        }
        text + solver
    }
}

/// The lines of a libsvm file, each as often as its row weighs.
fn repeated(row: &Row, lines: impl Iterator<Item = String>) -> (String, usize) {
    let (mut text, mut n) = (String::new(), 0);
    for (i, line) in lines.enumerate() {
        for _ in 0..row.row_weight(i) {
            text.push_str(line.trim_end());
            text.push('\n');
            n += 1;
        }
    }
    (text, n)
}

/// The `[data]` and `[split]` tables of a problem, its class names in the order of the weights, and its number of rows.
fn data_of(row: &Row, tiny: &Tiny, folder: &Path) -> Option<(String, Vec<String>, usize)> {
    if row.set == "digits" {
        let names = (0..10).map(|k: u32| k.to_string()).collect();
        return Some(("[data.digits]\n[split]\nvalidation = 1597\nmethod = \"last\"\n".into(), names, 200));
    }
    let (lines, n) = if row.set == "tiny" {
        let cells = |x: &Vec<i32>| -> String {
            x.iter().enumerate().map(|(j, v)| format!(" {}:{}", j + 1, f64::from(*v) / 4.0)).collect()
        };
        repeated(row, tiny.quarters.iter().zip(&tiny.labels).map(|(x, y)| format!("{y}{}", cells(x))))
    } else {
        let text = std::fs::read_to_string(shared(&format!("data/libsvm/{}", row.set))?).unwrap();
        repeated(row, text.lines().map(String::from))
    };
    let labels: BTreeSet<i64> = lines.lines().map(|l| l.split(' ').next().unwrap().parse().unwrap()).collect();
    let file: PathBuf = folder.join("rows.txt");
    std::fs::write(&file, lines).unwrap();
    let data = format!("[data.libsvm]\ntrain = {:?}\n", file.display().to_string());
    Some((data, labels.iter().map(ToString::to_string).collect(), n))
}

#[test]
fn both_exact_solvers_reach_every_certified_optimum() {
    let optima = optima();
    let folder = tempfile::tempdir().unwrap();
    let mut checked = 0;
    for row in &optima.rows {
        let Some((data, names, n)) = data_of(row, &optima.tiny, folder.path()) else { continue };
        let ascent = "[solver.dual]\nfinish = \"never\"\nepochs = 20000";
        for (solver, gap) in [(ascent, row.gap()), ("[solver.newton]", 1e-8)] {
            let solver = format!("{solver}\ngap = {gap:?}\n");
            let (fit, _) = solve(&row.config(&data, &names, &solver));
            println!("{} {} {:?} {}: {} epochs, {:.2?}", row.set, row.loss, row.power, row.bias, fit.epochs, fit.solve);
            let Certificate { primal, dual, relative_gap } = fit.certificate.unwrap();
            let scale = row.c * n as f64;
            let (primal, dual) = (scale * primal, scale * dual);
            assert!((-1e-12..=gap).contains(&relative_gap), "{row:?}: {relative_gap}");
            let slack = 1e-10 * row.upper;
            assert!(dual <= row.upper + slack && row.lower <= primal + slack, "{row:?}: [{dual}, {primal}]");
            // The bounds of the independent method are as far apart as they are.
            assert!((primal - row.upper) / row.lower <= 1.1 * gap, "{row:?}: {primal}");
            checked += 1;
        }
    }
    println!("{checked} optima reached");
    assert!(checked >= 176, "only {checked} optima were checked");
}

/// Smoothed and squared losses have a second solver, which knows a free bias.
#[test]
fn lbfgs_reaches_the_optima_of_the_smooth_losses() {
    let optima = optima();
    let folder = tempfile::tempdir().unwrap();
    let mut checked = [0; 2];
    let small = |row: &&Row| ["tiny", "digits"].contains(&row.set.as_str());
    for row in optima.rows.iter().filter(small).filter(|row| row.loss().is_smooth()) {
        let Some((data, names, n)) = data_of(row, &optima.tiny, folder.path()) else { continue };
        let solver = "[solver.lbfgs]\ntolerance = 1e-7\nmemory = 30\nepochs = 5000\n";
        let text = format!("gradient = \"analytic\"\n{}", row.config(&data, &names, solver));
        let (fit, losses) = crate::lbfgs::solve(&text);
        assert_eq!(fit.stop, StopReason::GradientReached, "{row:?}");
        let found = losses.last().unwrap() * row.c * n as f64;
        assert!((found - row.upper).abs() <= 1e-7 * row.upper, "{row:?}: {found}");
        checked[usize::from(row.bias == "free")] += 1;
    }
    assert!(checked[0] >= 15 && checked[1] >= 4, "{checked:?}");
}

/// At the minimiser that the independent method found, our losses add up to its objective.
#[test]
fn the_losses_add_up_to_the_independent_objective() {
    let optima = optima();
    let mut checked = 0;
    for row in &optima.rows {
        let Some(weight) = &row.weight else { continue };
        let (loss, n_classes) = (row.loss(), weight[0].len());
        let mut objective = weight.iter().flatten().map(|w| w * w).sum::<f64>() / 2.0;
        for (i, (x, &label)) in optima.tiny.quarters.iter().zip(&optima.tiny.labels).enumerate() {
            let x = x.iter().map(|v| f64::from(*v) / 4.0).chain([row.bias_scale]);
            let mut scores = row.b.clone().unwrap_or_else(|| vec![0.0; n_classes]);
            for (x, weights) in x.zip(weight) {
                scores.iter_mut().zip(weights).for_each(|(s, w)| *s += x * w);
            }
            objective += row.c * row.row_weight(i) as f64 * loss.of_row(&scores, label as usize);
        }
        assert!((objective - row.upper).abs() <= 1e-8 * row.upper, "{row:?}: {objective}");
        checked += 1;
    }
    assert!(checked >= 53, "only {checked} objectives were checked");
}

/// The objective of the binary machine ½‖u‖² + C Σ h(1 − y·u·x), u with the weight of a constant feature at its end.
fn binary_objective(rows: &[(Vec<f64>, f64)], u: &[f64], c: f64, h: impl Fn(f64) -> f64) -> f64 {
    let score = |x: &[f64]| x.iter().chain([&1.0]).zip(u).map(|(x, u)| x * u).sum::<f64>();
    u.iter().map(|u| u * u).sum::<f64>() / 2.0 + c * rows.iter().map(|(x, y)| h(1.0 - y * score(x))).sum::<f64>()
}

/// Weston-Watkins, Crammer-Singer and top-k at C are the binary machine at 2C, and one-vs-rest at 2C is that twice.
#[test]
fn two_classes_are_one_binary_machine() {
    let Tiny { quarters, labels } = optima().tiny;
    let rows: Vec<(Vec<f64>, f64)> = quarters
        .iter()
        .zip(&labels)
        .map(|(x, l)| (x.iter().map(|v| f64::from(*v) / 4.0).collect(), f64::from(l % 2) * 2.0 - 1.0))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("two.txt");
    let line = |(x, y): &(Vec<f64>, f64)| {
        let cells: String = x.iter().enumerate().map(|(j, v)| format!(" {}:{v}", j + 1)).collect();
        format!("{y}{cells}\n")
    };
    std::fs::write(&file, rows.iter().map(line).collect::<String>()).unwrap();
    // The objective in the C form, and w₁ − w₀ with that of the bias.
    let of = |loss: &str, options: &str, c: f64| {
        let data = format!("[data.libsvm]\ntrain = {:?}\n[objective]\nc = {c:?}\n", file.display().to_string());
        let (fit, _) = solve(&format!("{data}[loss.{loss}]\n{options}[solver.dual]\ngap = 1e-9\nepochs = 20000\n"));
        let all: Vec<f64> = fit.weight.iter().chain(fit.bias.as_ref().unwrap()).copied().collect();
        let u: Vec<f64> = all.chunks(2).map(|w| w[1] - w[0]).collect();
        (fit.certificate.unwrap().primal * c * rows.len() as f64, u)
    };
    let close = |a: f64, b: f64| (a - b).abs() <= 3e-9 * b;
    for (options, h) in [
        ("", Box::new(|z: f64| z.max(0.0)) as Box<dyn Fn(f64) -> f64>),
        ("power = 2\n", Box::new(|z: f64| z.max(0.0).powi(2))),
        ("smoothing = 0.5\n", Box::new(|z: f64| if z < 0.5 { z.max(0.0).powi(2) } else { z - 0.25 })),
    ] {
        let (sum, u) = of("weston_watkins", options, 0.1);
        let binary = binary_objective(&rows, &u, 0.2, h);
        assert!((2.0 * sum - binary).abs() <= 1e-6 * binary, "{options}: twice {sum} is not {binary}");
        assert!(close(of("crammer_singer", options, 0.1).0, sum), "{options}");
        if !options.starts_with("power") {
            assert!(close(of("top_k", &format!("{options}k = 1\n"), 0.1).0, sum), "{options}");
        }
        let (rest, twice) = of("one_vs_rest", options, 0.2);
        assert!(close(rest, 4.0 * sum), "{options}: {rest} is not four times {sum}");
        // 2w₁ and w₁ − w₀ = 2w₁ of the two solvers, within their gaps.
        assert!(u.iter().zip(&twice).all(|(a, b)| (2.0 * a - b).abs() <= 1e-3), "{u:?} {twice:?}");
    }
}
