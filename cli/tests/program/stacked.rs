//! Stacked training: every member gets the model that it gets alone, with any neighbours.

use crate::devices::wgpu_cpu;
use burn_svm::internals::device::{self, OpenDevice};
use burn_svm::internals::solver::sgd::SgdConfig;
use burn_svm::internals::solver::sgd::optimizer::OptimizerName;
use burn_svm::internals::solver::sgd::stacked::{self, Member, MemberFit, hindrance};
use burn_svm::internals::solver::{Fit, LogEntry, Observer, SolverConfig, StopReason};
use burn_svm_cli::config::LoadedConfig;
use burn_svm_cli::run::{self, PreparedData, Setup};
use std::path::Path;

struct Silent;

impl Observer for Silent {
    fn log(&mut self, _: &LogEntry) {}
}

/// Keeps the objectives that a run logs.
#[derive(Default)]
struct Curve(Vec<(u64, f64)>);

impl Observer for Curve {
    fn log(&mut self, entry: &LogEntry) {
        self.0.extend(entry.loss.filter(|l| l.is_finite()).map(|loss| (entry.step, loss)));
    }

    fn wants_accuracies(&self) -> bool {
        false
    }
}

fn load(text: &str) -> LoadedConfig {
    LoadedConfig::parse(text, Path::new("test.toml"), &[]).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn sgd(config: &LoadedConfig) -> &SgdConfig {
    let SolverConfig::Sgd(sgd) = &config.run.solver else { panic!("sgd") };
    sgd
}

/// Parameters of a member: learning rate, λ, the table of its loss.
type Own<'a> = (f64, f64, &'a str);

/// The configuration of one member; `shared` is everything but learning rate, λ and loss.
fn config_of(shared: &str, (rate, lambda, loss): Own<'_>) -> LoadedConfig {
    load(&format!("{shared}learning_rate = {rate:e}\n[objective]\nlambda = {lambda:e}\n{loss}\n"))
}

fn prepare(config: &LoadedConfig, prepared: Option<&mut PreparedData>) -> Option<PreparedData> {
    match prepared {
        None => Some(run::prepare(config).unwrap()),
        Some(prepared) => {
            let fitted = Setup::new(config, &prepared.data, &prepared.split.train, None).unwrap();
            (prepared.scaler, prepared.objective, prepared.strength) =
                (fitted.scaler, fitted.objective, fitted.strength);
            None
        }
    }
}

/// The members alone, and as a stack.
fn both(shared: &str, members: &[Own<'_>], device: &OpenDevice) -> (Vec<(Fit, Curve)>, Vec<MemberFit>) {
    let first = config_of(shared, members[0]);
    let mut prepared = prepare(&first, None).unwrap();
    let (mut alone, mut stack) = (Vec::new(), Vec::new());
    for &own in members {
        let config = config_of(shared, own);
        prepare(&config, Some(&mut prepared));
        let mut curve = Curve::default();
        let fit = config.run.solver.solve(&prepared.problem(&config, device), &mut curve).unwrap();
        alone.push((fit, curve));
        stack.push(Member::new(sgd(&config), &prepared.objective));
    }
    let problem = prepared.problem(&first, device);
    (alone, stacked::solve(sgd(&first), &problem, &stack, &mut Silent).unwrap())
}

/// ‖a − b‖ / ‖a‖ over all parameters.
fn distance(a: &Fit, b: &Fit) -> f64 {
    let all = |f: &Fit| -> Vec<f64> { f.weight.iter().chain(f.bias.iter().flatten()).copied().collect() };
    let (a, b) = (all(a), all(b));
    assert_eq!(a.len(), b.len());
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(&b).map(|(x, y)| x - y)) / norm(&mut a.iter().copied())
}

/// Holds a stack to its members alone, up to rounding: a hinge that flips is one row's share of a step.
fn same(shared: &str, members: &[Own<'_>], device: &OpenDevice, tolerance: f64) {
    let (alone, stack) = both(shared, members, device);
    assert_eq!(alone.len(), stack.len());
    for (((one, curve), grown), own) in alone.iter().zip(&stack).zip(members) {
        let what = format!("{own:?} on {} of\n{shared}", device.label());
        assert_eq!((one.stop, one.steps), (grown.fit.stop, grown.fit.steps), "{what}");
        assert_eq!(one.epochs, grown.fit.epochs, "{what}");
        if matches!(one.stop, StopReason::Diverged { .. }) {
            assert!(grown.fit.weight.is_empty() && grown.fit.bias.is_none(), "{what}");
        } else {
            let distance = distance(one, &grown.fit);
            assert!(distance <= tolerance, "{what}\nthe weights differ by {distance}");
            assert!(one.weight.iter().any(|w| w.abs() > 1e-6), "{what}\nnothing was learned");
        }
        assert_eq!(curve.0.len(), grown.curve.len(), "{what}");
        for ((step, loss), (_, other)) in curve.0.iter().zip(&grown.curve) {
            let close = (loss - other).abs() <= 1e-3 * loss.abs().max(1e-3) || loss.abs() > 1e6;
            assert!(close, "{what}\nstep {step}: {loss} against {other}");
        }
    }
}

fn shared(data: &str, preprocess: &str, top: &str, solver: &str) -> String {
    format!("{top}\n[data.{data}]\n[preprocess]\n{preprocess}\n[solver.sgd]\n{solver}\n")
}

fn flex() -> OpenDevice {
    device::open("flex".parse().unwrap()).unwrap()
}

const SCALED: &str = "center = \"mean\"\nscale = \"std\"";
const WW: &str = "[loss.weston_watkins]";
const SHORT: &str = "batch_size = 50\nsteps = 60\nlog_every = 20\ninit_std = 1e-2\n";

#[test]
fn rates_strengths_and_losses_of_a_stack_are_those_of_single_runs_on_every_route() {
    let members: &[Own<'_>] = &[
        (0.01, 1e-3, WW),
        (0.1, 1e-2, "[loss.crammer_singer]\nmargin = 2.0"),
        (0.001, 0.5, WW),
        (0.01, 0.0, "[loss.one_vs_rest]\npower = 2"),
        (0.1, 1e-2, "[loss.top_k]\nk = 3"),
        (0.05, 1e-3, "[loss.weston_watkins]\nclass_weights = \"balanced\"\nsmoothing = 0.5"),
        (0.02, 1e-1, "[loss.crammer_singer]\nmargin = 2.0"),
    ];
    for route in ["autodiff", "analytic", "fused"] {
        for bias in ["regularised", "free", "none"] {
            let preprocess = format!("{SCALED}\nbias = \"{bias}\"");
            let text = shared("digits", &preprocess, &format!("gradient = \"{route}\""), SHORT);
            same(&text, members, &flex(), 3e-4);
        }
    }
    let scaled_bias = format!("{SCALED}\nbias_scale = 3.0");
    same(&shared("digits", &scaled_bias, "seed = 9\nthreads = 1", SHORT), members, &flex(), 3e-4);
}

#[test]
fn every_optimiser_without_a_hindrance_can_be_stacked() {
    let mut stackable = Vec::new();
    for name in OptimizerName::ALL {
        let solver = format!("optimizer = \"{}\"\nschedule = \"cosine\"\nwarmup_steps = 5\n{SHORT}", name.name());
        let text = shared("digits", SCALED, "", &solver);
        let members: &[Own<'_>] = &[(1e-3, 1e-3, WW), (1e-2, 0.1, WW), (3e-3, 1e-2, "[loss.crammer_singer]")];
        if hindrance(sgd(&config_of(&text, members[0])), None).is_none() {
            stackable.push(name.name());
            // Optimisers that divide by the size of a gradient make much of its rounding where it is next to nothing.
            same(&text, members, &flex(), 3e-3);
        }
    }
    let expected = ["sgd", "momentum", "nesterov", "adam", "adamw", "rmsprop", "adagrad", "lion", "adan"];
    assert_eq!(stackable, expected);
    let cut = shared("digits", SCALED, "", &format!("clip_value = 0.05\n{SHORT}"));
    same(&cut, &[(0.1, 1e-3, WW), (0.01, 0.1, WW)], &flex(), 3e-4);
    let limited = config_of(&shared("digits", SCALED, "", &format!("clip_norm = 0.05\n{SHORT}")), (0.1, 1e-3, WW));
    assert!(hindrance(sgd(&limited), None).is_some());
}

/// η·λ far above 2 multiplies the weights by −5 a step: 10^42 after sixty of them, beyond single precision.
#[test]
fn what_diverges_is_switched_off_and_spoils_nobody() {
    let mut members: Vec<Own<'_>> =
        vec![(0.01, 1e-3, WW), (1.0, 6.0, WW), (0.1, 1e-2, WW), (1e4, 1.0, WW), (1.0, 1.0, WW)];
    let solver = "batch_size = 50\nsteps = 160\nlog_every = 40\ninit_std = 1e-2\n";
    let text = shared("digits", SCALED, "", solver);
    same(&text, &members, &flex(), 3e-4);
    let (_, stack) = both(&text, &members, &flex());
    let lost: Vec<bool> = stack.iter().map(|g| matches!(g.fit.stop, StopReason::Diverged { .. })).collect();
    assert_eq!(lost, [false, true, false, true, false]);
    // Between two checks of the losses whole blocks are not finite; and a momentum keeps such values.
    for optimizer in ["sgd", "momentum", "adam"] {
        let text = shared("digits", SCALED, "", &format!("optimizer = \"{optimizer}\"\n{solver}"));
        same(&text, &members, &flex(), 2e-3);
    }
    // Members that all diverge end the stack.
    members.retain(|m| m.0 * m.1 > 2.0);
    assert_eq!(members.len(), 2);
    let (_, stack) = both(&text, &members, &flex());
    assert!(stack.iter().all(|g| matches!(g.fit.stop, StopReason::Diverged { .. })), "{stack:?}");
}

#[test]
fn sparse_rows_and_row_weights_are_stacked_too() {
    let folder = tempfile::tempdir().unwrap();
    let (mut plain, mut weights) = (String::new(), String::new());
    for i in 0..300u32 {
        let label = i % 4;
        let cell = |j: u32| format!(" {}:{}", j, f64::from((i * 7 + j * 13) % 11 + label * 3) / 7.0);
        plain += &format!("{label}{}{}{}\n", cell(1 + label), cell(6 + i % 5), cell(12 + i % 30));
        weights += &format!("{}\n", 0.5 + f64::from(i % 3));
    }
    let path = |name: &str| folder.path().join(name).to_str().unwrap().replace('\\', "/");
    std::fs::write(path("x.libsvm"), plain).unwrap();
    std::fs::write(path("w.txt"), weights).unwrap();
    let data = format!("libsvm]\ntrain = \"{}\"\nweights = \"{}\"\n[split", path("x.libsvm"), path("w.txt"));
    let members: &[Own<'_>] = &[(0.1, 1e-3, WW), (0.02, 1e-2, WW), (0.1, 0.1, "[loss.crammer_singer]"), (1.0, 9.0, WW)];
    for preprocess in ["", SCALED, "scale = \"unit-row\"\ncenter = \"mean\"\nbias = \"free\""] {
        for route in ["autodiff", "analytic"] {
            same(&shared(&data, preprocess, &format!("gradient = \"{route}\""), SHORT), members, &flex(), 3e-4);
        }
    }
    let momentum = format!("optimizer = \"momentum\"\n{SHORT}");
    same(&shared(&data, SCALED, "", &momentum), members, &flex(), 3e-4);
}

/// Floats that are read where they lie, with every preprocessing and a factor that goes into the weights now and then.
#[test]
fn dense_tables_with_row_weights_are_stacked_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = String::from("label,weight");
    (0..37).for_each(|j| table += &format!(",x{j}"));
    for i in 0..300u32 {
        table += &format!("\nc{},{}", i % 4, 0.5 + f64::from(i % 3));
        (0..37u32)
            .for_each(|j| table += &format!(",{}", f64::from((i * 7 + j * 13) % 11 + i % 4 * (j % 5)) / 7.0 + 3.0));
    }
    let path = folder.path().join("x.csv").to_str().unwrap().replace('\\', "/");
    std::fs::write(&path, table).unwrap();
    let data = format!("csv]\ntrain = \"{path}\"\nlabel = \"label\"\nweights = \"weight\"\n[split");
    // 1 − ηλ = 0.1 brings the factor below the smallest every five steps.
    let members: &[Own<'_>] =
        &[(0.1, 1e-3, WW), (0.1, 9.0, WW), (0.02, 1e-2, "[loss.crammer_singer]"), (1.0, 9.0, WW), (0.05, 0.1, WW)];
    for preprocess in [
        "center = \"none\"",
        SCALED,
        "center = \"mean\"\nscale = \"minmax\"",
        "scale = \"unit-row\"\ncenter = \"mean\"\nbias = \"free\"",
    ] {
        for threads in [1, 2] {
            let top = format!("gradient = \"fused\"\nthreads = {threads}");
            same(&shared(&data, preprocess, &top, SHORT), members, &flex(), 3e-4);
        }
    }
}

#[test]
fn other_backends_stack_alike() {
    let members: &[Own<'_>] = &[(0.01, 1e-3, WW), (0.1, 1e-2, "[loss.crammer_singer]"), (1.0, 6.0, WW)];
    let text = shared("digits", SCALED, "", "batch_size = 50\nsteps = 60\nlog_every = 30\ninit_std = 1e-2\n");
    same(&text, members, &device::open("ndarray".parse().unwrap()).unwrap(), 3e-4);
    if let Some(device) = wgpu_cpu() {
        let short = text.replace("steps = 60", "steps = 12").replace("log_every = 30", "log_every = 6");
        same(&short, &members[..2], device, 1e-3);
    }
}
