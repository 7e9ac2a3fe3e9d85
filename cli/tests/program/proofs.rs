//! A certificate is never wrong: random small problems of every kind, each model read back from the disk and measured in twice the
//! digits of f64.
//!
//! For every run, with P in double-double arithmetic on the rows as they were read and with the mean and the scale of the stored model:
//! the bound lies below P of the stored model and of every other weights at hand (weak duality: they all lie above the optimum), P of the
//! stored model lies within the gap that is claimed of it, and the run says that it reached its goal exactly where the gap says so.
//! `BURN_SVM_PROOFS=2000 cargo test --release --test program proofs:: -- --nocapture` tries as many as that.

use crate::double::{Double, Exact};
use burn_svm::internals::model::Classifier;
use burn_svm::internals::solver::dual::certificate;
use burn_svm::internals::solver::{DualConfig, LogEntry, Observer};
use burn_svm_cli::config::LoadedConfig;
use burn_svm_cli::run::{self, RunFolder, RunResult};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;

struct Silent;

impl Observer for Silent {
    fn log(&mut self, _: &LogEntry) {}
}

/// Random part of a problem, without the strength of the objective and the solver.
struct Case {
    data: String,
    is_sparse: bool,
    n_classes: usize,
    preprocess: String,
    loss: String,
    is_smooth: bool,
    bias: &'static str,
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| rng.random_range(0.0..1.0)).sum::<f64>() - 6.0
}

/// Rows of one of the kinds that people bring: a label, cells.
fn table(rng: &mut ChaCha8Rng, n: usize, d: usize, k: usize) -> Vec<(usize, Vec<f64>)> {
    let spread = *[0.0, 0.0, 3.0, 15.0].choose(rng).unwrap();
    let scales: Vec<f64> = (0..d).map(|_| 10f64.powf(rng.random_range(-1.0..1.0) * spread)).collect();
    let far = *[0.0, 0.0, 1.0, 1e3, 1e6].choose(rng).unwrap();
    let offsets: Vec<f64> = (0..d).map(|_| far * normal(rng)).collect();
    let (whole, holes, separable) = (rng.random_bool(0.3), rng.random_bool(0.4), rng.random_bool(0.3));
    let centres: Vec<f64> = (0..d * k).map(|_| 2.0 * normal(rng)).collect();
    (0..n)
        .map(|i| {
            let mut label = if i < k { i } else { rng.random_range(0..k) };
            let mut x: Vec<f64> = (0..d)
                .map(|j| {
                    let value = normal(rng) + if separable { 0.0 } else { 0.5 * centres[j * k + label] };
                    if holes && rng.random_bool(0.5) {
                        0.0
                    } else if whole {
                        value.round()
                    } else {
                        value
                    }
                })
                .collect();
            if separable && i >= k {
                let score = |c: usize| (0..d).map(|j| x[j] * centres[j * k + c]).sum::<f64>();
                label = (0..k).max_by(|&a, &b| score(a).total_cmp(&score(b))).unwrap();
            }
            for j in 0..d {
                x[j] = (x[j] + offsets[j]) * scales[j];
            }
            (label, x)
        })
        .collect()
}

fn case(rng: &mut ChaCha8Rng) -> Case {
    let (n, d) = (rng.random_range(5..40), rng.random_range(1..9));
    let k = rng.random_range(2..6usize).min(n);
    let (is_sparse, weighted) = (rng.random_bool(0.4), rng.random_bool(0.2));
    let mut data = String::new();
    for (label, x) in table(rng, n, d, k) {
        let weight = *[0.0, 0.5, 1.0, 3.0].choose(rng).unwrap();
        write!(data, "{label}").unwrap();
        for (j, x) in x.iter().enumerate() {
            if !is_sparse {
                write!(data, ",{:e}", *x as f32).unwrap();
            } else if *x != 0.0 {
                write!(data, " {}:{:e}", j + 1, *x as f32).unwrap();
            }
        }
        if weighted && !is_sparse {
            write!(data, ",{}", if data.lines().count() <= k { 1.0 } else { weight }).unwrap();
        }
        data.push('\n');
    }
    let smoothing = if rng.random_bool(0.25) { *[0.01, 0.5, 3.0].choose(rng).unwrap() } else { 0.0 };
    let name = *["weston_watkins", "crammer_singer", "one_vs_rest", "top_k"].choose(rng).unwrap();
    let power = if smoothing > 0.0 || name == "top_k" { 1 } else { rng.random_range(1..3) };
    let mut loss = format!(
        "[loss.{name}]\nmargin = {:?}\nsmoothing = {smoothing:?}\n",
        [1.0, 1.0, 0.3, 20.0].choose(rng).unwrap()
    );
    if name == "top_k" {
        writeln!(loss, "k = {}", rng.random_range(1..k.max(2))).unwrap();
    } else {
        writeln!(loss, "power = {power}").unwrap();
    }
    if matches!(name, "weston_watkins" | "crammer_singer") && rng.random_bool(0.3) {
        let of = |y: usize, rng: &mut ChaCha8Rng| {
            let cells = (0..k).filter(|j| *j != y).map(|j| {
                format!("{j} = {:?}", [3.0, 1.0, 0.1, 0.0][..if y == 0 { 3 } else { 4 }].choose(rng).unwrap())
            });
            format!("{y} = {{ {} }}", cells.collect::<Vec<_>>().join(", "))
        };
        let rows: Vec<String> = (0..k).map(|y| of(y, rng)).collect();
        let margin = loss.lines().nth(1).unwrap().to_owned();
        loss = loss.replace(&margin, &format!("costs = {{ {} }}", rows.join(", ")));
    }
    if rng.random_bool(0.2) {
        loss += "class_weights = \"balanced\"\n";
    }
    let bias = *["regularised", "free", "free", "none"].choose(rng).unwrap();
    let mut preprocess = format!("bias = \"{bias}\"\n");
    if bias == "regularised" {
        writeln!(preprocess, "bias_scale = {:?}", [1.0, 0.1, 30.0].choose(rng).unwrap()).unwrap();
    }
    if rng.random_bool(0.6) {
        let scale = ["none", "std", "minmax", "unit-row", "pixel"].choose(rng).unwrap();
        let center = ["none", "mean"].choose(rng).unwrap();
        write!(preprocess, "center = \"{center}\"\nscale = \"{scale}\"\n").unwrap();
    }
    let is_smooth = smoothing > 0.0 || (power == 2 && name != "crammer_singer");
    let data = format!("{}\n{data}", if weighted && !is_sparse { format!("weights {}", d + 2) } else { String::new() });
    Case { data, is_sparse, n_classes: k, preprocess, loss, is_smooth, bias }
}

/// A problem and what a run has left of it: the result and the model of the run, then of every C of a path.
type Trained = (run::PreparedData, Vec<(RunResult, Classifier)>);

/// Runs a configuration and reads back what is on the disk.
fn trained(text: &str, folder: &Path) -> Result<Trained, String> {
    let config = LoadedConfig::parse(text, &folder.join("case.toml"), &[]).map_err(|e| e.to_string())?;
    let prepared = run::prepare(&config).map_err(|e| e.to_string())?;
    let device = run::open_device(&config).map_err(|e| e.to_string())?;
    let out = folder.join("run");
    let mut record = RunFolder::create(&out, text, true).map_err(|e| e.to_string())?;
    run::train(&config, &prepared, &device, &mut record, &mut Silent).map_err(|e| e.to_string())?;
    let result: RunResult = serde_json::from_str(&std::fs::read_to_string(out.join("result.json")).unwrap()).unwrap();
    let mut models = vec![(result.clone(), burn_svm_cli::model_file::load(&out.join("model.safetensors")).unwrap())];
    let files = || std::fs::read_dir(out.join("path")).into_iter().flatten().map(|entry| entry.unwrap().path());
    let c_of = |file: &Path| file.file_stem()?.to_str()?.strip_prefix("c-")?.parse::<f64>().ok();
    for point in result.path.iter().flatten() {
        // A number may lose its last bit in JSON.
        let is_own = |file: &std::path::PathBuf| c_of(file).is_some_and(|c| (c / point.c - 1.0).abs() < 1e-9);
        let file = files().find(is_own).unwrap();
        let of = RunResult {
            objective: point.objective,
            dual_objective: point.dual_objective,
            relative_gap: point.relative_gap,
            gap: point.relative_gap.zip(point.objective).map(|(gap, objective)| gap * objective),
            stop_reason: point.stop_reason.clone(),
            ..result.clone()
        };
        models.push((of, burn_svm_cli::model_file::load(&file).unwrap()));
    }
    Ok((prepared, models))
}

/// Holds one certificate to the model that it is of and to all weights that are known.
fn check(
    exact: &Exact<'_>,
    result: &RunResult,
    model: &Classifier,
    target: Option<f64>,
    others: &[&Classifier],
    what: &str,
) {
    let claimed = result.objective.unwrap();
    let (Some(dual), Some(gap), Some(relative)) = (result.dual_objective, result.gap, result.relative_gap) else {
        panic!("no certificate: {what}");
    };
    assert!(claimed.is_finite() && dual.is_finite() && relative >= 0.0, "{claimed} {dual} {relative}: {what}");
    let own = exact.of_model(model);
    let above = own.minus(Double::of(dual));
    assert!((own.0 - claimed).abs() <= 1e-9 * own.0 + gap, "P = {own:?}, claimed {claimed:e}: {what}");
    assert!(!above.is_above(Double::of(gap * (1.0 + 1e-14))), "P − D = {above:?}, claimed {gap:e}: {what}");
    for other in others.iter().copied().chain([model]) {
        let value = exact.objective(model.training().unwrap().lambda, &other.weight, other.bias.as_deref());
        assert!(!Double::of(dual).is_above(value), "D = {dual:e} above {value:?}: {what}");
    }
    if let Some(target) = target {
        let reached = result.stop_reason == "gap_reached";
        assert_eq!(reached, relative <= target, "{relative:e} of {target:e}, {}: {what}", result.stop_reason);
    }
}

/// `certify` for weights that no solver has made: their own bound and the solver's lie below P of all weights.
fn certify_others(exact: &Exact<'_>, text: &str, known: &[&Classifier], rng: &mut ChaCha8Rng, what: &str) {
    let config = LoadedConfig::parse(text, Path::new("case.toml"), &[]).unwrap();
    let device = run::open_device(&config).unwrap();
    let problem = exact.prepared.problem(&config, &device);
    let lambda = problem.objective.lambda;
    let factor = *[0.0, 0.5, 1.0, 1.0, 1e3].choose(rng).unwrap();
    let mut other =
        |values: &[f64]| values.iter().map(|w| factor * w * (1.0 + 0.1 * normal(rng))).collect::<Vec<f64>>();
    let weight = other(&known[0].weight);
    let bias = known[0].bias.as_deref().map(&mut other);
    let effort = DualConfig { epochs: NonZeroUsize::new(20), ..DualConfig::default() };
    let proof = certificate::certify(&effort, &problem, &weight, bias.as_deref(), &mut Silent);
    let proof = proof.unwrap_or_else(|error| panic!("{error}: {what}"));
    let own = exact.objective(lambda, &weight, bias.as_deref());
    let solved = exact.objective(lambda, &proof.fit.weight, proof.fit.bias.as_deref());
    let values = known.iter().map(|model| exact.objective(lambda, &model.weight, model.bias.as_deref()));
    for value in values.chain([own, solved]) {
        for dual in [proof.own.dual, proof.tightened.dual, proof.fit.certificate.unwrap().dual] {
            assert!(!Double::of(dual).is_above(value), "certify: D = {dual:e} above {value:?}: {what}");
        }
    }
    for (value, certificate) in [(own, proof.own), (own, proof.tightened), (solved, proof.fit.certificate.unwrap())] {
        let above = value.minus(Double::of(certificate.dual));
        assert!(
            !above.is_above(Double::of(certificate.gap() * (1.0 + 1e-14))),
            "certify: {above:?}, {certificate:?}: {what}"
        );
    }
}

/// Number of problems that ended at their goal, by bias.
#[derive(Default, Debug)]
struct Tally {
    reached: usize,
    short: usize,
    refused: usize,
}

#[test]
fn no_bound_lies_above_and_no_stored_model_outside_its_certificate() {
    let count = std::env::var("BURN_SVM_PROOFS").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let first = std::env::var("BURN_SVM_PROOFS_FROM").ok().and_then(|n| n.parse().ok()).unwrap_or(0u64);
    let folder = tempfile::tempdir().unwrap();
    let (mut tallies, mut worst): ([Tally; 3], f64) = Default::default();
    for seed in first..first + count {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let case = case(&mut rng);
        let file = folder.path().join(if case.is_sparse { "rows.svm" } else { "rows.csv" });
        let (head, rows) = case.data.split_once('\n').unwrap();
        std::fs::write(&file, rows).unwrap();
        let table = if case.is_sparse {
            format!("[data.libsvm]\ntrain = {:?}\n", file.display().to_string())
        } else {
            let weights = head.strip_prefix("weights ").map(|w| format!("weights = {w}\n")).unwrap_or_default();
            format!("[data.csv]\ntrain = {:?}\nheader = false\nlabel = 1\n{weights}", file.display().to_string())
        };
        let c = 10f64.powf(rng.random_range(-10.0..6.0));
        let strength = if rng.random_bool(0.2) {
            format!("c = [{c:e}, {:e}, {:e}]\n", 30.0 * c, 1e4 * c)
        } else {
            format!("c = {c:e}\n")
        };
        let gap = *[1e-3, 1e-3, 1e-5, 1e-9].choose(&mut rng).unwrap();
        let is_path = strength.contains('[');
        let precision = *["", "", "precision = \"f64\"\n", "precision = \"f32\"\n"].choose(&mut rng).unwrap();
        let problem = |c: &str| format!("{table}[preprocess]\n{}[objective]\n{c}{}", case.preprocess, case.loss);
        let lbfgs = case.is_smooth && !is_path && rng.random_bool(0.3);
        let newton = !lbfgs && !is_path && rng.random_bool(0.3);
        let solver = if lbfgs {
            format!("[solver.lbfgs]\nepochs = 200\n{precision}")
        } else if newton {
            format!("[solver.newton]\ngap = {gap:e}\n")
        } else {
            format!("[solver.dual]\ngap = {gap:e}\nepochs = 400\n{precision}")
        };
        let text = format!("threads = 1\n{}{solver}", problem(&strength));
        let what = format!("seed {seed}, {} classes\n{text}\n{rows}", case.n_classes);
        let tally = &mut tallies[["regularised", "free", "none"].iter().position(|b| *b == case.bias).unwrap()];
        let (prepared, models) = match trained(&text, folder.path()) {
            Ok(found) => found,
            Err(problem) => {
                assert!(!problem.contains("which cannot be"), "{problem}: {what}");
                tally.refused += 1;
                continue;
            }
        };
        let exact = Exact::new(&prepared);
        let mut others: Vec<Classifier> = models.iter().map(|(_, model)| model.clone()).collect();
        // Better weights, for a sharper test.
        let finer =
            format!("threads = 1\n{}[solver.dual]\ngap = 1e-11\nepochs = 2000\n", problem(&format!("c = {c:e}\n")));
        if let Ok((_, finer)) = trained(&finer, folder.path()) {
            others.extend(finer.into_iter().map(|(_, model)| model));
        }
        let others: Vec<&Classifier> = others.iter().collect();
        certify_others(&exact, &text, &others, &mut rng, &what);
        if lbfgs && models[0].0.dual_objective.is_none() {
            assert_eq!(case.bias, "free", "{what}");
            continue;
        }
        for (result, model) in &models {
            check(&exact, result, model, (!lbfgs).then_some(gap), &others, &what);
            if result.stop_reason == "gap_reached" {
                tally.reached += 1;
            } else {
                tally.short += 1;
            }
            worst = worst.max(result.relative_gap.unwrap());
            if std::env::var_os("BURN_SVM_PROOFS_SHOW").is_some() && result.stop_reason == "epoch_limit" {
                println!("{seed} {} {:e} c {:?} gap {gap:e}", case.bias, result.relative_gap.unwrap(), result.c);
            }
        }
    }
    println!("regularised, free, none: {tallies:?}");
    let all = tallies.iter().map(|t| t.reached + t.short).sum::<usize>() as u64;
    let refused = tallies.iter().map(|t| t.refused).sum::<usize>() as u64;
    assert!(all >= count * 9 / 10 && refused <= count / 10, "{tallies:?}");
}

/// One run from rows in csv, held to twice the digits; its result.
fn proved(rows: &str, rest: &str, gap: f64) -> Vec<RunResult> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    std::fs::write(&file, rows).unwrap();
    let table = format!("[data.csv]\ntrain = {:?}\nheader = false\nlabel = 1\n", file.display().to_string());
    let (prepared, models) = trained(&format!("{table}{rest}"), folder.path()).unwrap();
    let exact = Exact::new(&prepared);
    let all: Vec<&Classifier> = models.iter().map(|(_, model)| model).collect();
    models.iter().for_each(|(result, model)| check(&exact, result, model, Some(gap), &all, rest));
    models.into_iter().map(|(result, _)| result).collect()
}

/// Rows of three unequal classes that lie apart a little, features of spread 1 around `far`.
fn clouds(n: usize, far: f64) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut rows = String::new();
    for i in 0..n {
        let label = [0, 1, 1, 2, 1, 0, 1][i % 7];
        let x: Vec<String> =
            (0..4).map(|j| format!("{}", (normal(&mut rng) + f64::from(label == j) + far) as f32)).collect();
        writeln!(rows, "{label},{}", x.join(",")).unwrap();
    }
    rows
}

/// The optimum over a free bias at strong regularisation is that of b alone: the rows of the largest class meet their margin, and all
/// others miss it. The method of multipliers used to run away there.
#[test]
fn a_free_bias_comes_to_its_optimum_at_every_c() {
    let four = "1,0\n-2,1\n0,1\n1,1\n".lines().map(|line| line.split_once(',').unwrap());
    let four: String = four.map(|(x, label)| format!("{label},{x}\n")).collect();
    for (name, rows) in [("four rows", four), ("clouds", clouds(70, 0.0))] {
        for loss in ["weston_watkins", "crammer_singer", "one_vs_rest", "top_k]\nk = 1\nmargin = 2.0\n#"] {
            for power in [1, 2] {
                let power = if loss.starts_with("top_k") { String::new() } else { format!("power = {power}\n") };
                for c in [1e-10, 1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0] {
                    let rest = format!(
                        "[preprocess]\nbias = \"free\"\n[objective]\nc = {c:e}\n[loss.{loss}]\n{power}[solver.dual]\nepochs = 3000\n"
                    );
                    let found = proved(&rows, &rest, 1e-3);
                    assert_eq!(found[0].stop_reason, "gap_reached", "{name}: {:?}, {rest}", found[0].relative_gap);
                }
                // From the weakest to the strongest loss, each from the variables of the one before, and each by itself.
                for warm_start in [true, false] {
                    let rest = format!(
                        "[preprocess]\nbias = \"free\"\n[objective]\nc = [1e-6, 1e-4, 1e-2, 1]\n[loss.{loss}]\n{power}[solver.dual]\nepochs = 3000\nwarm_start = {warm_start}\n"
                    );
                    for found in proved(&rows, &rest, 1e-3) {
                        assert_eq!(found.stop_reason, "gap_reached", "{name}: {:?}, {rest}", found.relative_gap);
                    }
                }
            }
        }
    }
}

/// Features whose mean is far from zero, and objectives far from one: the bound is of the problem as it was read.
#[test]
fn bounds_hold_far_from_zero_and_far_from_one() {
    for far in [445.0, 1e5, 1e6, 1.7e9] {
        for scale in ["std", "none", "minmax"] {
            let rest = format!(
                "[preprocess]\ncenter = \"mean\"\nscale = \"{scale}\"\n[objective]\nc = 1.0\n[loss.weston_watkins]\n[solver.dual]\n"
            );
            let found = proved(&clouds(70, far), &rest, 1e-3);
            assert_eq!(found[0].stop_reason, "gap_reached", "{far} {scale}: {:?}", found[0].relative_gap);
        }
    }
    for lambda in [6e44, 1e200, 1e-30] {
        let rest = format!("[objective]\nlambda = {lambda:e}\n[loss.crammer_singer]\n[solver.dual]\nepochs = 50\n");
        proved(&clouds(35, 0.0), &rest, 1e-3);
    }
}

/// Digits as bytes, without a scale: weights in single precision lose the certificate of those in double.
#[test]
fn the_certificate_is_of_the_weights_on_the_disk() {
    for (c, gap) in [(100.0, 1e-6), (1e4, 1e-3)] {
        let text = format!(
            "[data.digits]\n[split]\ntest = 0.8\n[preprocess]\nbias = \"regularised\"\n[objective]\nc = {c:e}\n[loss.weston_watkins]\n[solver.dual]\ngap = {gap:e}\nepochs = 500\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let (prepared, models) = trained(&text, folder.path()).unwrap();
        let (result, model) = &models[0];
        check(&Exact::new(&prepared), result, model, Some(gap), &[], &text);
    }
}

/// Dual variables that are all zero prove 0, which is a bound, and their weights are zeros.
#[test]
fn weights_of_which_nothing_can_be_proved_have_the_bound_zero() {
    let text = "[data.digits]\n[split]\ntest = 0.9\n[preprocess]\nbias = \"free\"\n[objective]\nlambda = 1e-2\n[loss.crammer_singer]\n[solver.dual]\n";
    let config = LoadedConfig::parse(text, Path::new("case.toml"), &[]).unwrap();
    let prepared = run::prepare(&config).unwrap();
    let device = run::open_device(&config).unwrap();
    let problem = prepared.problem(&config, &device);
    // Whoever scores so high for a class has all rows of the others at their bound, and none of its own: no flow comes back.
    let (weight, mut bias) = (vec![0.0; 640], vec![0.0; 10]);
    bias[3] = 1e6;
    let effort = DualConfig { epochs: Some(NonZeroUsize::MIN), ..DualConfig::default() };
    let proof = certificate::certify(&effort, &problem, &weight, Some(&bias), &mut Silent).unwrap();
    assert_eq!((proof.own.dual, proof.own.relative_gap >= 1.0), (0.0, true));
    assert!(proof.tightened.dual >= 0.0 && proof.fit.weight.len() == 640);
}
