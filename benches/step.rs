//! One SGD step of CS231n's SVM taken apart: the gradient alone, the batch alone, the whole step; per backend and route.
//!
//! `cargo bench --bench step [-- --device NAME]... [--rounds N] [--batch N]...`
//!
//! Everything is measured in one run, interleaved: each round measures every case once, and the table shows medians of the
//! rounds. Data: 49,000 random rows of 3,072 bytes, mean-centred, 10 classes, Weston-Watkins with a regularised bias.
//!
//! - gradient: scores, loss, backward pass and regulariser on a batch that lies on the device (`autodiff`), or XᵀQ + λW by hand
//!   (`analytic`); nothing else. `fused` is one pass over rows where they lie.
//! - batch: draw, gather, cast, centre, move to the device; on one thread.
//! - step: the solver of the library as `train` runs it: batch, gradient, update, a loss logged every 100 steps; with the batch
//!   prepared by a second thread, and without.

use burn::nn::loss::Reduction;
use burn::tensor::{Tensor, TensorData};
use burn_svm::internals::data::batch::{Batch, Source};
use burn_svm::internals::data::{Center, Dense, Features, Scale, Scaler};
use burn_svm::internals::device::{self, Backend, OpenDevice};
use burn_svm::internals::loss::{Formulation, Loss, MarginLoss, Power};
use burn_svm::internals::model::{BiasRule, LinearSvm};
use burn_svm::internals::objective::{DevicePass, FusedPass, Objective, ResidentLimits};
use burn_svm::internals::solver::sgd::sampler::{Sampler, Sampling};
use burn_svm::internals::solver::{GradientRoute, LogEntry, Observer, Problem, Route, SgdConfig, SolverConfig};
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

const N_ROWS: usize = 49_000;
const N_FEATURES: usize = 3_072;
const N_CLASSES: usize = 10;
const LAMBDA: f64 = 5e4;
/// Time of one measurement.
const BLOCK: Duration = Duration::from_millis(400);

struct Silent;

impl Observer for Silent {
    fn log(&mut self, _: &LogEntry) {}
}

struct Options {
    devices: Vec<String>,
    batches: Vec<usize>,
    rounds: usize,
}

fn options() -> Options {
    let cpu = Backend::ALL.into_iter().filter(|b| b.is_cpu() && b.compiled_in()).map(|b| b.name().to_owned());
    let mut options = Options { devices: Vec::new(), batches: Vec::new(), rounds: 9 };
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let mut value = || args.next().unwrap_or_else(|| panic!("{flag} needs a value"));
        match flag.as_str() {
            "--device" => options.devices.push(value()),
            "--batch" => options.batches.push(value().parse().expect("--batch N")),
            "--rounds" => options.rounds = value().parse().expect("--rounds N"),
            // Given by cargo.
            "--bench" => {}
            other => panic!("unknown option {other}: expected --device NAME, --batch N, --rounds N"),
        }
    }
    if options.devices.is_empty() {
        options.devices.extend(cpu);
    }
    if options.batches.is_empty() {
        options.batches = vec![200, 2_000];
    }
    options
}

/// Rows and labels by a small generator of its own.
fn random_data() -> (Features<'static>, Vec<u32>) {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let bytes: Vec<u8> = (0..N_ROWS * N_FEATURES / 8).flat_map(|_| next().to_le_bytes()).collect();
    let labels = (0..N_ROWS).map(|_| (next() % N_CLASSES as u64) as u32).collect();
    (Features::U8(Dense::new(N_FEATURES, bytes)), labels)
}

/// One column of the table.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Gradient,
    Batch,
    StepAhead,
    StepInline,
}

impl Part {
    const ALL: [Self; 4] = [Self::Gradient, Self::Batch, Self::StepAhead, Self::StepInline];
}

struct Case<'a> {
    device: &'a OpenDevice,
    route: Route,
    batch_size: usize,
    source: Source<'a>,
    objective: &'a Objective,
    rows: &'a [u32],
}

impl Case<'_> {
    /// Milliseconds an iteration over `count` iterations.
    fn measure(&self, part: Part, count: usize) -> f64 {
        let elapsed = match part {
            Part::Gradient => self.gradients(count),
            Part::Batch => self.batches(count),
            Part::StepAhead => self.steps(count, 2),
            Part::StepInline => self.steps(count, 1),
        };
        1e3 * elapsed.as_secs_f64() / count as f64
    }

    fn sampler(&self) -> Sampler {
        Sampler::new(self.rows, Sampling::WithReplacement, self.batch_size, 0)
    }

    fn batches(&self, count: usize) -> Duration {
        let mut sampler = self.sampler();
        let start = Instant::now();
        for _ in 0..count {
            black_box(self.source.gather(&sampler.next_batch()).to_device(&self.device.device));
        }
        let _ = self.device.device.sync();
        start.elapsed()
    }

    fn gradients(&self, count: usize) -> Duration {
        let plain = &self.device.device;
        if self.route == Route::Fused {
            return self.passes(count);
        }
        let batch = self.source.gather(&self.sampler().next_batch()).to_device(plain);
        let tied = match self.route {
            Route::Autodiff => plain.clone().autodiff(),
            Route::Analytic | Route::Fused => plain.clone(),
        };
        let weight = (0..N_FEATURES * N_CLASSES).map(|i| 1e-4 * (i as f32).sin()).collect();
        let model = LinearSvm::from_values(weight, Some(vec![0.0; N_CLASSES]), N_CLASSES, &tied);
        let loss = self.objective.loss.init(plain);
        let start = Instant::now();
        for _ in 0..count {
            match self.route {
                Route::Autodiff => autodiff(&model, loss.as_ref(), &batch),
                Route::Analytic | Route::Fused => analytic(&model, loss.as_ref(), &batch),
            }
        }
        let _ = plain.sync();
        start.elapsed()
    }

    /// The fused pass reads the rows in place: there is no batch to gather. On a GPU it gathers them first.
    fn passes(&self, count: usize) -> Duration {
        let rows = self.sampler().next_batch();
        let weight: Vec<f32> = (0..N_FEATURES * N_CLASSES).map(|i| 1e-4 * (i as f32).sin()).collect();
        let device = &self.device.device;
        if DevicePass::serves(self.source.features, self.device) {
            let limits = ResidentLimits::default();
            let pass = DevicePass::new(self.source, N_CLASSES, self.objective, device, limits).expect("dense rows");
            let weight = Tensor::<2>::from_data(TensorData::new(weight, [N_FEATURES, N_CLASSES]), device);
            let bias = Tensor::<1>::zeros([N_CLASSES], device);
            let _ = device.sync();
            let start = Instant::now();
            for _ in 0..count {
                black_box(pass.gradient(&weight, Some(&bias), pass.gather(&rows), false));
            }
            let _ = device.sync();
            return start.elapsed();
        }
        let mut pass = FusedPass::new(self.source, N_CLASSES, self.objective).expect("dense rows");
        let start = Instant::now();
        for _ in 0..count {
            black_box(pass.at(&weight, Some(&[0.0; N_CLASSES]), &rows));
        }
        start.elapsed()
    }

    fn steps(&self, count: usize, threads: usize) -> Duration {
        let config = SolverConfig::Sgd(Box::new(SgdConfig {
            learning_rate: burn_svm::internals::bounded::Positive::new(1e-7).expect("positive"),
            batch_size: NonZeroUsize::new(self.batch_size).expect("not zero"),
            sampling: Sampling::WithReplacement,
            steps: NonZeroUsize::new(count),
            ..SgdConfig::default()
        }));
        let problem = Problem {
            source: self.source,
            train: self.rows,
            validation: &[],
            n_classes: N_CLASSES,
            objective: self.objective,
            device: self.device,
            gradient: match self.route {
                Route::Autodiff => GradientRoute::Autodiff,
                Route::Analytic => GradientRoute::Analytic,
                Route::Fused => GradientRoute::Fused,
            },
            seed: 0,
            threads,
            early_stopping: None,
        };
        config.solve(&problem, &mut Silent).expect("the solver runs").solve
    }
}

fn autodiff(model: &LinearSvm, loss: &dyn MarginLoss, batch: &Batch) {
    let data = loss.forward(model.scores(&batch.rows, None), batch.labels.clone(), Reduction::Mean);
    let square = |t: Tensor<1>| t.clone().mul(t).sum();
    let weight = model.linear.weight.val();
    let penalty = weight.clone().mul(weight).sum();
    let bias = model.linear.bias.as_ref().map(|b| square(b.val()));
    let total = data.add(bias.into_iter().fold(penalty, Tensor::add).mul_scalar(LAMBDA / 2.0));
    let gradients = total.backward();
    black_box(model.linear.weight.grad(&gradients));
}

fn analytic(model: &LinearSvm, loss: &dyn MarginLoss, batch: &Batch) {
    let scores = model.scores(&batch.rows, None);
    let [n, _] = scores.dims();
    let q = loss.gradient(scores, batch.labels.clone()).div_scalar(n as f64);
    let (dw, db) = model.backward(&batch.rows, None, q);
    let dw = dw.add(model.linear.weight.val().mul_scalar(LAMBDA));
    let bias = model.linear.bias.as_ref().expect("there is a bias").val();
    black_box((dw, db.map(|db| db.add(bias.mul_scalar(LAMBDA)))));
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let options = options();
    let devices: Vec<OpenDevice> = options
        .devices
        .iter()
        .map(|name| {
            device::open(name.parse().unwrap_or_else(|e| panic!("{e}"))).unwrap_or_else(|e| panic!("{e}: {}", e.hint))
        })
        .collect();
    let (features, labels) = random_data();
    let rows: Vec<u32> = (0..N_ROWS as u32).collect();
    let scaler = Scaler::fit(&features, &rows, Center::Mean, Scale::None);
    let source = Source { features: &features, labels: &labels, scaler: &scaler, weights: None };
    let objective = Objective {
        loss: Loss::new(Formulation::WestonWatkins, 1.0, Power::One),
        lambda: LAMBDA,
        bias: BiasRule::Regularised { scale: 1.0 },
    };
    let mut cases = Vec::new();
    for &batch_size in &options.batches {
        for device in &devices {
            let fused = device.name.backend == Backend::Flex || DevicePass::serves(&features, device);
            for route in Route::ALL.into_iter().filter(|route| fused || *route != Route::Fused) {
                cases.push(Case { device, route, batch_size, source, objective: &objective, rows: &rows });
            }
        }
    }
    // Once through everything warms up, and says how many iterations fill a block.
    let counts: Vec<Vec<usize>> = cases
        .iter()
        .map(|case| {
            Part::ALL
                .iter()
                .map(|&part| ((1e3 * BLOCK.as_secs_f64() / case.measure(part, 5)) as usize).clamp(5, 2_000))
                .collect()
        })
        .collect();
    let mut times = vec![[const { Vec::new() }; Part::ALL.len()]; cases.len()];
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        for (case, (counts, times)) in cases.iter().zip(counts.iter().zip(&mut times)) {
            for ((&part, &count), times) in Part::ALL.iter().zip(counts).zip(times) {
                times.push(case.measure(part, count));
            }
        }
    }
    println!("ms, medians of {} rounds; {N_ROWS} x {N_FEATURES} bytes, {N_CLASSES} classes", options.rounds);
    println!(
        "batch  device     gradient route  gradient   batch  step  (on the gradient)  step, one thread  (on gradient + batch)"
    );
    for (case, times) in cases.iter().zip(times) {
        let [gradient, batch, ahead, inline] = times.map(median);
        println!(
            "{:<6} {:<10} {:<15} {gradient:>8.3} {batch:>7.3} {ahead:>6.3} {:>16.0} % {inline:>17.3} {:>20.0} %",
            case.batch_size,
            case.device.name.to_string(),
            case.route.name(),
            100.0 * (ahead / gradient - 1.0),
            100.0 * (inline / (gradient + batch) - 1.0),
        );
    }
}
