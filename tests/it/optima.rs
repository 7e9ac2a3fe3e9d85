//! The exact solver and the values of the losses against certified optima of an independent method: `fixtures/optima.json`, made by
//! `fixtures/optima.py` with an interior point solver. Small sets of the rule and the bundled digits run anywhere.

use crate::solvers::{shared, solve};
use burn_svm::loss::{Formulation, Loss, Power};
use burn_svm::solver::Certificate;
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
    smoothing: Option<f64>,
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
    /// What the solver or the losses do not offer yet.
    fn lacks(&self) -> Option<&'static str> {
        if self.k.is_some() {
            Some("top_k")
        } else if self.smoothing.is_some() {
            Some("smoothing")
        } else {
            None
        }
    }

    fn loss(&self) -> Loss {
        let formulation = Formulation::ALL.into_iter().find(|f| f.name() == self.loss).unwrap();
        Loss { class_weights: self.class_weights.clone(), ..Loss::new(formulation, self.margin, self.power) }
    }

    fn row_weight(&self, i: usize) -> usize {
        self.row_weights.as_ref().map_or(1, |w| w[i % w.len()])
    }

    /// The relative gap to ask for.
    fn gap(&self) -> f64 {
        if self.set == "tiny" { 1e-8 } else { 1e-6 }
    }

    /// The configuration of the problem for the exact solver; class names are those of the file.
    fn config(&self, data: &str, names: &[String]) -> String {
        let mut text = format!("{data}[preprocess]\nbias = \"{}\"\n", self.bias);
        if self.bias == "regularised" {
            writeln!(text, "bias_scale = {:?}", self.bias_scale).unwrap();
        }
        let (c, loss, margin, power) = (self.c, &self.loss, self.margin, i64::from(self.power));
        writeln!(text, "[objective]\nc = {c:?}\n[loss.{loss}]\nmargin = {margin:?}\npower = {power}").unwrap();
        if let Some(weights) = &self.class_weights {
            let table: Vec<String> = names.iter().zip(weights).map(|(n, w)| format!("\"{n}\" = {w:?}")).collect();
            writeln!(text, "class_weights = {{ {} }}", table.join(", ")).unwrap();
        }
        text + &format!("[solver.dual]\ngap = {:?}\nepochs = 20000\n", self.gap())
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
fn the_solver_reaches_every_certified_optimum() {
    let optima = optima();
    let folder = tempfile::tempdir().unwrap();
    let (mut checked, mut without) = (0, BTreeSet::new());
    for row in &optima.rows {
        // The configuration says that the exact solver cannot.
        if let Some(lack) = row.lacks() {
            without.insert(lack);
            continue;
        }
        let Some((data, names, n)) = data_of(row, &optima.tiny, folder.path()) else { continue };
        let (fit, _) = solve(&row.config(&data, &names));
        println!("{} {} {:?} {}: {} epochs, {:.2?}", row.set, row.loss, row.power, row.bias, fit.epochs, fit.solve);
        let Certificate { primal, dual, relative_gap } = fit.certificate.unwrap();
        let scale = row.c * n as f64;
        let (primal, dual) = (scale * primal, scale * dual);
        assert!((-1e-12..=row.gap()).contains(&relative_gap), "{row:?}: {relative_gap}");
        let slack = 1e-10 * row.upper;
        assert!(dual <= row.upper + slack && row.lower <= primal + slack, "{row:?}: [{dual}, {primal}]");
        assert!((primal - row.lower) / row.lower <= 1.1 * row.gap(), "{row:?}: {primal}");
        checked += 1;
    }
    println!("{checked} optima reached; not offered: {without:?}");
    assert!(checked >= 33, "only {checked} optima were checked");
}

/// At the minimiser that the independent method found, our losses add up to its objective.
#[test]
fn the_losses_add_up_to_the_independent_objective() {
    let optima = optima();
    let mut checked = 0;
    for row in optima.rows.iter().filter(|row| row.lacks().is_none()) {
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
    assert!(checked >= 28, "only {checked} objectives were checked");
}
