//! L-BFGS: certified optima, agreement with the exact solver, devices, routes, storages, limits.

use crate::devices::{cpu_devices, wgpu_cpu};
use burn_svm::internals::device::OpenDevice;
use burn_svm::internals::solver::{Certificate, Fit, LogEntry, Observer, SolveError, StopReason, lbfgs};
use burn_svm_cli::config::LoadedConfig;
use burn_svm_cli::run;
use std::path::{Path, PathBuf};

/// Remembers the losses.
#[derive(Default)]
struct Watch {
    losses: Vec<f64>,
}

impl Observer for Watch {
    fn log(&mut self, entry: &LogEntry) {
        self.losses.extend(entry.loss);
    }
}

fn solve_on(text: &str, device: Option<&OpenDevice>) -> (Fit, Vec<f64>) {
    let config = LoadedConfig::parse(text, Path::new("test.toml"), &[]).unwrap_or_else(|e| panic!("{e}"));
    let prepared = run::prepare(&config).unwrap();
    let opened = run::open_device(&config).unwrap();
    let mut watch = Watch::default();
    let fit = config.run.solver.solve(&prepared.problem(&config, device.unwrap_or(&opened)), &mut watch).unwrap();
    (fit, watch.losses)
}

pub fn solve(text: &str) -> (Fit, Vec<f64>) {
    solve_on(text, None)
}

fn digits(loss: &str, solver: &str) -> String {
    format!(
        "[data.digits]\n[preprocess]\ncenter = \"mean\"\nscale = \"std\"\n[objective]\nlambda = 1e-2\n\
         [loss.{loss}]\npower = 2\n{solver}"
    )
}

fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(name);
    if !path.exists() {
        println!("skipped: no shared data ({name})");
        return None;
    }
    Some(path)
}

/// `../shared/reference/optima.json`: optima of the squared Weston-Watkins loss by Newton's method with the full Hessian, with the bias
/// penalised and free.
#[test]
fn small_problems_reach_their_certified_optima() {
    let Some(reference) = shared("reference/optima.json") else { return };
    let optima: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(reference).unwrap()).unwrap();
    let mut checked = [0, 0];
    for row in optima["rows"].as_array().unwrap().iter().filter(|row| row["loss"] == "ww2") {
        let (c, set, bias) = (row["C"].as_f64().unwrap(), row["set"].as_str().unwrap(), row["bias"].as_str().unwrap());
        // The sparse rows of this set take seconds where C is large.
        if set == "dna.scale" && c > 0.1 {
            continue;
        }
        let Some(data) = shared(&format!("data/libsvm/{set}")) else { return };
        let (fit, losses) = solve(&format!(
            "gradient = \"analytic\"\n[data.libsvm]\ntrain = {data:?}\n[preprocess]\nbias = \"{bias}\"\n[objective]\nc = {c:?}\n\
             [loss.weston_watkins]\npower = 2\n[solver.lbfgs]\ntolerance = 1e-7\nmemory = 30\nepochs = 20000\n"
        ));
        assert_eq!(fit.stop, StopReason::GradientReached, "{set} {bias} {c}");
        let optimum = row["objective_mean_form"].as_f64().unwrap();
        let found = *losses.last().unwrap();
        assert!((found - optimum).abs() <= 1e-6 * optimum, "{set} {bias} {c}: {found} against {optimum}");
        let Certificate { primal, dual, .. } = fit.certificate.unwrap();
        // Rows are kept in single precision, which moves the optimum by about 1e-8 of itself.
        let slack = 1e-7 * optimum;
        assert!(dual <= optimum + slack && optimum <= primal + slack, "{set} {c}: {dual} {optimum} {primal}");
        checked[usize::from(bias == "free")] += 1;
    }
    assert!(checked[0] >= 5 && checked[1] >= 5, "{checked:?}");
}

/// Two solvers that share nothing, one optimum.
#[test]
fn the_optimum_is_that_of_the_exact_solver() {
    for loss in ["weston_watkins", "one_vs_rest"] {
        let (fit, losses) = solve(&digits(loss, "[solver.lbfgs]\ntolerance = 1e-8\n"));
        let exact = solve(&digits(loss, "[solver.dual]\ngap = 1e-9\nepochs = 20000\n")).0.certificate.unwrap();
        let Certificate { primal, dual, relative_gap } = fit.certificate.unwrap();
        // Rows of [solver.lbfgs] are preprocessed in single precision.
        let slack = 1e-7 * primal;
        assert!(primal + slack >= exact.dual && dual <= exact.primal + slack, "{loss}: {fit:?} {exact:?}");
        assert!(relative_gap < 1e-7 && (primal - exact.primal).abs() < slack, "{loss}: {relative_gap}");
        assert!(losses.windows(2).all(|pair| pair[1] <= pair[0] * (1.0 + 1e-14)), "{loss}: the objective rose");
    }
}

#[test]
fn every_device_and_route_finds_it() {
    let mut devices = cpu_devices();
    devices.extend(wgpu_cpu().cloned());
    for loss in ["weston_watkins", "one_vs_rest"] {
        let (_, exact) = solve(&digits(loss, "[solver.lbfgs]\ntolerance = 1e-8\n"));
        let exact = exact.last().unwrap();
        for device in &devices {
            for gradient in ["autodiff", "analytic"] {
                for precision in ["", "precision = \"f32\"\n"] {
                    // A software adapter takes seconds for each.
                    if device.is_software_adapter() && (precision.is_empty() || loss == "one_vs_rest") {
                        continue;
                    }
                    let solver = format!("[solver.lbfgs]\ntolerance = 1e-5\nepochs = 400\n{precision}");
                    let text = format!("gradient = \"{gradient}\"\n{}", digits(loss, &solver));
                    let (fit, losses) = solve_on(&text, Some(device));
                    let found = losses.last().unwrap();
                    let what =
                        format!("{loss} {} {gradient} {precision}: {found} {exact} {:?}", device.label(), fit.stop);
                    assert!((found - exact).abs() < 1e-5 * exact, "{what}");
                    assert!(fit.stop == StopReason::GradientReached || fit.stop == StopReason::NoProgress, "{what}");
                }
            }
        }
    }
}

/// Sparse and dense rows, centred, scaled and by unit length: the same file with and without its zeros written out.
#[test]
fn sparse_and_dense_rows_have_one_optimum() {
    let folder = tempfile::tempdir().unwrap();
    let mut lines = [String::new(), String::new()];
    for i in 0..60u32 {
        let label = i % 3;
        let cells: Vec<f32> = (0..11u32)
            .map(|j| if j == i % 11 || j == 3 * label { ((i * 7 + j) % 5) as f32 - 1.5 } else { 0.0 })
            .collect();
        for (line, dense) in lines.iter_mut().zip([false, true]) {
            line.push_str(&label.to_string());
            for (j, v) in cells.iter().enumerate().filter(|(_, v)| dense || **v != 0.0) {
                line.push_str(&format!(" {}:{v}", j + 1));
            }
            line.push('\n');
        }
    }
    let files = ["sparse.txt", "dense.txt"].map(|name| folder.path().join(name));
    files.iter().zip(&lines).for_each(|(file, text)| std::fs::write(file, text).unwrap());
    for scale in ["none", "std", "unit-row"] {
        for center in ["none", "mean"] {
            for gradient in ["autodiff", "analytic"] {
                let [a, b] = files.clone().map(|file| {
                    let (fit, losses) = solve(&format!(
                        "gradient = \"{gradient}\"\n[data.libsvm]\ntrain = {file:?}\n[preprocess]\ncenter = {center:?}\n\
                         scale = {scale:?}\nbias = \"free\"\n[objective]\nc = 0.5\n[loss.weston_watkins]\npower = 2\n\
                         class_weights = \"balanced\"\n[solver.lbfgs]\ntolerance = 1e-9\n"
                    ));
                    assert_eq!(fit.stop, StopReason::GradientReached, "{center} {scale}");
                    *losses.last().unwrap()
                });
                assert!((a - b).abs() <= 1e-6 * a, "{center} {scale} {gradient}: {a} {b}");
            }
        }
    }
}

/// Row weights and class weights together, compared with the exact solver.
#[test]
fn weighted_rows_have_the_optimum_of_the_exact_solver() {
    let folder = tempfile::tempdir().unwrap();
    let (file, weights) = (folder.path().join("rows.txt"), folder.path().join("weights.txt"));
    let row =
        |i: u32| format!("{} 1:{} 2:{} 3:1\n", i % 3, f64::from(i * 7 % 11) / 4.0 - 1.0, f64::from(i * i % 5) / 2.0);
    std::fs::write(&file, (0..40).map(row).collect::<String>()).unwrap();
    std::fs::write(&weights, (0..40).map(|i| format!("{}\n", f64::from(i % 4) / 2.0)).collect::<String>()).unwrap();
    let optimum = |gradient: &str, weights: &str, solver: &str| {
        let (fit, losses) = solve(&format!(
            "gradient = \"{gradient}\"\n[data.libsvm]\ntrain = {file:?}\n{weights}[objective]\nc = 1.0\n[loss.weston_watkins]\n\
             power = 2\nclass_weights = {{ 1 = 3.0 }}\n{solver}"
        ));
        fit.certificate.map_or_else(|| *losses.last().unwrap(), |c| c.primal)
    };
    let weighted = format!("weights = {weights:?}\n");
    let exact = optimum("analytic", &weighted, "[solver.dual]\ngap = 1e-9\nepochs = 20000\n");
    for gradient in ["autodiff", "analytic"] {
        let found = optimum(gradient, &weighted, "[solver.lbfgs]\n");
        assert!((found - exact).abs() < 1e-7 * exact, "{gradient}: {found} against {exact}");
        let plain = optimum(gradient, "", "[solver.lbfgs]\n");
        assert!((plain - exact).abs() > 1e-2 * exact, "the weights make a difference");
    }
}

#[test]
fn it_is_deterministic_and_keeps_its_limits() {
    let text = digits("weston_watkins", "[solver.lbfgs]\n");
    let (first, second) = (solve(&text).0, solve(&text).0);
    assert_eq!((&first.weight, &first.bias, first.steps), (&second.weight, &second.bias, second.steps));
    let (short, losses) = solve(&digits("weston_watkins", "[solver.lbfgs]\nepochs = 7\n"));
    assert_eq!((short.stop, short.epochs), (StopReason::EpochLimit, 7.0));
    assert!(losses.last() < losses.first() && short.weight.iter().any(|w| *w != 0.0));
    let (timed, _) = solve(&digits("weston_watkins", "[solver.lbfgs]\nseconds = 1e-9\n"));
    assert_eq!((timed.stop, timed.steps), (StopReason::TimeLimit, 0));
    // More digits than single precision has: an end, not an endless search.
    let (single, _) = solve(&digits("weston_watkins", "[solver.lbfgs]\ntolerance = 1e-15\nprecision = \"f32\"\n"));
    assert_eq!(single.stop, StopReason::NoProgress);
    // Proved in f64 all the same.
    assert!(single.certificate.unwrap().relative_gap < 1e-3, "{:?}", single.certificate);
}

#[test]
fn kinks_are_refused_by_the_library_too() {
    let text = digits("crammer_singer", "[solver.dual]\n");
    let config = LoadedConfig::parse(&text, Path::new("test.toml"), &[]).unwrap();
    let prepared = run::prepare(&config).unwrap();
    let device = run::open_device(&config).unwrap();
    let problem = prepared.problem(&config, &device);
    let error = lbfgs::solve(&lbfgs::LbfgsConfig::default(), &problem, &mut Watch::default()).unwrap_err();
    assert_eq!(error, SolveError::Kinks("crammer_singer at power 2".into()));
    assert!(error.hint().contains("[solver.dual]"));
}
