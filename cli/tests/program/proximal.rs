//! The proximal Newton method: every loss and bias compared with the interior point method, every storage and device, and every end.

use crate::devices::{cpu_devices, wgpu_cpu};
use crate::newton::{LOSSES, write};
use crate::solvers::solve;
use burn_svm::internals::solver::{Certificate, LogEntry, Observer, StopReason};
use burn_svm_cli::config::LoadedConfig;
use burn_svm_cli::run;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::fmt::Write as _;
use std::path::Path;

/// The certificate of a run that reaches its goal.
fn proved(text: &str, gap: f64) -> Certificate {
    let (fit, _) = solve(text);
    let found = fit.certificate.unwrap();
    assert_eq!(fit.stop, StopReason::GapReached, "{text}: {found:?}, {} steps, {} passes", fit.steps, fit.epochs);
    assert!(found.relative_gap <= gap, "{text}");
    found
}

/// Two certificates of one optimum.
fn agree(one: Certificate, other: Certificate, gap: f64, text: &str) {
    assert!(one.dual <= other.primal && other.dual <= one.primal, "{text}: {one:?} {other:?}");
    assert!((one.primal - other.primal).abs() <= gap * one.primal, "{text}: {one:?} {other:?}");
}

fn newton(method: &str, gap: f64) -> String {
    format!("[solver.newton]\nmethod = \"{method}\"\ngap = {gap:e}\n")
}

/// Weights of 0, 1 and 2.5 among the rows.
#[test]
fn every_loss_and_bias_has_the_optimum_of_the_interior_point_method() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    write(&file, 240, 0.2);
    let data = format!(
        "threads = 1\n[data.csv]\ntrain = {:?}\nheader = false\nlabel = 2\nweights = 1\n",
        file.display().to_string()
    );
    for loss in LOSSES {
        for bias in ["\"regularised\"\nbias_scale = 3.0", "\"free\"", "\"none\""] {
            for c in [1e-3, 1.0, 30.0] {
                let problem = format!("{data}[preprocess]\nbias = {bias}\n[objective]\nc = {c:e}\n{loss}");
                let of = |method: &str| proved(&format!("{problem}{}", newton(method, 1e-6)), 1e-6);
                agree(of("proximal"), of("interior-point"), 1e-6, &problem);
            }
        }
    }
}

/// Rows of which a third of the cells is not 0, as libsvm text and as csv.
fn write_both(folder: &Path, n: usize, d: usize) -> [String; 2] {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let (mut dense, mut sparse) = (String::new(), String::new());
    for i in 0..n {
        let label = i % 4;
        write!(dense, "{label}").unwrap();
        write!(sparse, "{label}").unwrap();
        for j in 0..d {
            let x = if rng.random_bool(0.3) {
                rng.random_range(0.2..1.0f32) + f32::from(u8::from(j % 4 == label))
            } else {
                0.0
            };
            write!(dense, ",{x}").unwrap();
            if x != 0.0 {
                write!(sparse, " {}:{x}", j + 1).unwrap();
            }
        }
        dense.push('\n');
        sparse.push('\n');
    }
    let (csv, libsvm) = (folder.join("rows.csv"), folder.join("rows.libsvm"));
    std::fs::write(&csv, dense).unwrap();
    std::fs::write(&libsvm, sparse).unwrap();
    [
        format!("[data.csv]\ntrain = {:?}\nheader = false\nlabel = 1\n", csv.display().to_string()),
        format!("[data.libsvm]\ntrain = {:?}\n", libsvm.display().to_string()),
    ]
}

const PREPROCESSING: [&str; 3] = [
    "[preprocess]\ncenter = \"mean\"\nscale = \"std\"\n",
    "[preprocess]\ncenter = \"mean\"\nscale = \"unit-row\"\nbias = \"free\"\n",
    "[preprocess]\nbias = \"none\"\n",
];

#[test]
fn every_storage_preprocessing_and_number_of_threads_has_one_optimum() {
    let folder = tempfile::tempdir().unwrap();
    let data = write_both(folder.path(), 160, 12);
    for preprocessing in PREPROCESSING {
        for loss in ["[loss.weston_watkins]\n", "[loss.crammer_singer]\npower = 2\n"] {
            let of = |data: &str, threads: usize| {
                let problem = format!("threads = {threads}\n{data}{preprocessing}[objective]\nc = 2\n{loss}");
                proved(&format!("{problem}{}", newton("proximal", 1e-7)), 1e-7)
            };
            let one = of(&data[0], 1);
            agree(one, of(&data[1], 1), 1e-6, preprocessing);
            assert_eq!(one, of(&data[0], 2), "{preprocessing}");
        }
    }
}

/// Rows that stay on a device, in single precision: the certificate is in double.
#[test]
fn every_device_has_the_optimum_of_the_host() {
    let folder = tempfile::tempdir().unwrap();
    let data = write_both(folder.path(), 100, 12);
    // A software adapter takes its time: all margins, a cap, a sum that is curved, and one-vs-rest.
    let few = [LOSSES[0], LOSSES[5], LOSSES[7], LOSSES[8]];
    let all: Vec<&str> = LOSSES.into_iter().filter(|loss| !loss.contains("costs")).collect();
    let cpus = cpu_devices()
        .into_iter()
        .map(|d| d.name.to_string())
        .filter(|name| name != "flex")
        .map(|name| (name, &all[..]));
    let devices: Vec<(String, &[&str])> = cpus.chain(wgpu_cpu().map(|d| (d.name.to_string(), &few[..]))).collect();
    for (device, losses) in devices {
        for (i, loss) in losses.iter().enumerate() {
            let (data, preprocessing) = (&data[i % 2], PREPROCESSING[i % 3]);
            let of = |device: &str| {
                let problem = format!("device = \"{device}\"\n{data}{preprocessing}[objective]\nc = 1\n{loss}");
                proved(&format!("{problem}{}", newton("proximal", 1e-4)), 1e-4)
            };
            agree(of(&device), of("flex"), 1e-4, &format!("{device}: {data}{preprocessing}{loss}"));
        }
    }
}

/// A system of 8,400 unknowns is too large to be factorised.
#[test]
fn a_method_is_chosen_by_price_unless_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let [_, data] = write_both(folder.path(), 2_100, 2_100);
    let problem = format!("{data}[objective]\nc = 1e-2\n[loss.weston_watkins]\n");
    proved(&format!("{problem}[solver.newton]\n"), 1e-3);
    let text = format!("{problem}{}", newton("interior-point", 1e-3));
    let config = LoadedConfig::parse(&text, Path::new("test.toml"), &[]).unwrap();
    let (prepared, device) = (run::prepare(&config).unwrap(), run::open_device(&config).unwrap());
    let error = config.run.solver.solve(&prepared.problem(&config, &device), &mut ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "[solver.newton] method = \"interior-point\" solves a system of 2100 features times 4 classes, which is too large"
    );
    assert_eq!(error.hint(), "leave `method` out, or set `method = \"proximal\"`");
}

/// Interrupts after a number of steps.
struct Impatient {
    left: u64,
}

impl Observer for Impatient {
    fn log(&mut self, _: &LogEntry) {}

    fn step(&mut self, _: u64) {
        self.left = self.left.saturating_sub(1);
    }

    fn interrupted(&self) -> bool {
        self.left == 0
    }
}

#[test]
fn a_run_that_is_ended_has_a_certificate() {
    let problem = "[data.digits]\n[objective]\nc = 1\n[loss.weston_watkins]\n";
    let optimum = proved(&format!("{problem}{}", newton("proximal", 1e-6)), 1e-6);
    for (limit, left, stop) in [("seconds = 1e-9\n", u64::MAX, StopReason::TimeLimit), ("", 3, StopReason::Interrupted)]
    {
        let text = format!("{problem}{}{limit}", newton("proximal", 1e-6));
        let config = LoadedConfig::parse(&text, Path::new("test.toml"), &[]).unwrap();
        let (prepared, device) = (run::prepare(&config).unwrap(), run::open_device(&config).unwrap());
        let fit = config.run.solver.solve(&prepared.problem(&config, &device), &mut Impatient { left }).unwrap();
        let found = fit.certificate.unwrap();
        assert_eq!(fit.stop, stop);
        assert!(found.dual <= optimum.primal && optimum.dual <= found.primal && found.relative_gap > 1e-6, "{found:?}");
    }
}

/// The section of a file of bytes of which each is near the one before it, as in images and spectra.
fn walks(folder: &Path, n: usize) -> String {
    const D: usize = 150;
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let directions: Vec<f64> = (0..D * 3).map(|_| rng.random_range(-1.0..1.0)).collect();
    let mut text = String::new();
    for _ in 0..n {
        let (mut x, mut scores) = (rng.random_range(60.0..190.0f64), [0.0; 3]);
        let mut row = String::new();
        for j in 0..D {
            x = (x + rng.random_range(-12.0..12.0)).clamp(0.0, 255.0);
            write!(row, ",{}", x.round()).unwrap();
            scores.iter_mut().enumerate().for_each(|(k, s)| *s += directions[j * 3 + k] * (x - 125.0));
        }
        let noisy = scores.map(|s| s + rng.random_range(-100.0..100.0));
        let label = (0..3).fold(0, |best, k| if noisy[k] > noisy[best] { k } else { best });
        writeln!(text, "{label}{row}").unwrap();
    }
    let file = folder.join("walks.csv");
    std::fs::write(&file, text).unwrap();
    format!("[data.csv]\ntrain = {:?}\nheader = false\nlabel = 1\n", file.display().to_string())
}

/// With the diagonal as the only preconditioner these take 2,000 passes and more.
#[test]
fn correlated_features_take_few_passes_where_blocks_of_classes_precondition() {
    let folder = tempfile::tempdir().unwrap();
    let data = walks(folder.path(), 800);
    for loss in ["weston_watkins", "one_vs_rest", "crammer_singer"] {
        for bias in ["regularised", "free"] {
            let of = |method: &str, threads: u32| {
                let text = format!(
                    "threads = {threads}\n{data}[preprocess]\nbias = \"{bias}\"\n[objective]\nc = 1e-3\n[loss.{loss}]\n{}",
                    newton(method, 1e-4)
                );
                let (fit, _) = solve(&text);
                assert_eq!(fit.stop, StopReason::GapReached, "{text}");
                fit
            };
            let (one, two, other) = (of("proximal", 1), of("proximal", 2), of("interior-point", 1));
            println!("{loss} {bias}: {:.0} passes", one.epochs);
            assert!(one.epochs < 1_000.0, "{loss} {bias}: {} passes", one.epochs);
            assert_eq!(one.weight, two.weight, "{loss} {bias}: threads");
            agree(one.certificate.unwrap(), other.certificate.unwrap(), 1e-4, loss);
        }
    }
}

/// The same on devices, which sum the blocks and multiply by their factors in single precision: with the diagonal alone 3,000 passes and more.
#[test]
fn blocks_of_classes_precondition_on_every_device() {
    let folder = tempfile::tempdir().unwrap();
    let data = walks(folder.path(), 500);
    let of = |device: &str, method: &str| {
        let text =
            format!("device = \"{device}\"\n{data}[objective]\nc = 1e-3\n[loss.one_vs_rest]\n{}", newton(method, 1e-4));
        let (fit, _) = solve(&text);
        assert_eq!(fit.stop, StopReason::GapReached, "{text}");
        fit
    };
    let expected = of("flex", "interior-point").certificate.unwrap();
    for device in cpu_devices().iter().chain(wgpu_cpu()) {
        let name = device.name.to_string();
        let fit = of(&name, "proximal");
        println!("{name}: {:.0} passes", fit.epochs);
        assert!(fit.epochs < 500.0, "{name}: {} passes", fit.epochs);
        agree(fit.certificate.unwrap(), expected, 1e-4, &name);
    }
}

/// The pieces of a steep objective are many: from γ = 0 these take 3,161 passes.
#[test]
fn steep_curved_losses_begin_with_a_proximal_term() {
    let folder = tempfile::tempdir().unwrap();
    let data = walks(folder.path(), 500);
    let of = |method: &str| {
        let problem = format!("{data}[objective]\nc = 1\n[loss.weston_watkins]\npower = 2\n");
        let (fit, _) = solve(&format!("{problem}{}", newton(method, 1e-4)));
        assert_eq!(fit.stop, StopReason::GapReached, "{method}");
        fit
    };
    let fit = of("proximal");
    println!("{:.0} passes", fit.epochs);
    assert!(fit.epochs < 1_000.0, "{} passes", fit.epochs);
    agree(fit.certificate.unwrap(), of("interior-point").certificate.unwrap(), 1e-4, "squared");
}
