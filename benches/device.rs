//! A GPU: small steps, steps of 200 rows and a full pass, by each route; rows that stay there, and rows that are moved.
//!
//! `cargo bench --bench device [-- --device NAME] [--rounds N] [--rows N]`
//!
//! Every round measures every contestant once, one after the other; the table shows medians, and the median ratio to the fused route of
//! the same round. Steps are those of the solver as `train` runs it, a loss logged every 100; `moved` is the fused route with
//! `resident_mb = 0`. In a pass the composed routes have their rows on the device as floats, centred before, in chunks of 2,000; the
//! fused one gathers them out of the bytes. `--rows N` takes fewer than CIFAR-10's, for a software adapter.

use burn::nn::loss::Reduction;
use burn::tensor::{Device, Tensor, TensorData};
use burn_svm::internals::bounded::Positive;
use burn_svm::internals::data::batch::{Batch, Source};
use burn_svm::internals::data::{Center, Dense, Features, Scale, Scaler};
use burn_svm::internals::device::{self, OpenDevice};
use burn_svm::internals::loss::{Formulation, Loss, Power};
use burn_svm::internals::model::{BiasRule, LinearSvm};
use burn_svm::internals::objective::{DevicePass, Objective, ResidentLimits};
use burn_svm::internals::solver::sgd::sampler::Sampling;
use burn_svm::internals::solver::{GradientRoute, LogEntry, Observer, Problem, SgdConfig, SolverConfig};
use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

const CHUNK: usize = 2_000;
const K: usize = 10;
/// Time of one measurement.
const BLOCK: Duration = Duration::from_millis(700);

struct Silent;

impl Observer for Silent {
    fn log(&mut self, _: &LogEntry) {}

    fn wants_accuracies(&self) -> bool {
        false
    }
}

struct Options {
    device: String,
    rounds: usize,
    rows: usize,
}

fn options() -> Options {
    let mut options = Options { device: "wgpu".into(), rounds: 9, rows: 49_000 };
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let mut value = || args.next().unwrap_or_else(|| panic!("{flag} needs a value"));
        match flag.as_str() {
            "--device" => options.device = value(),
            "--rounds" => options.rounds = value().parse().expect("--rounds N"),
            "--rows" => options.rows = value().parse().expect("--rows N"),
            // Given by cargo.
            "--bench" => {}
            other => panic!("unknown option {other}: expected --device NAME, --rounds N, --rows N"),
        }
    }
    options
}

/// Rows of bytes with labels, preprocessing and objective.
struct Rows {
    features: Features<'static>,
    labels: Vec<u32>,
    scaler: Scaler,
    all: Vec<u32>,
    objective: Objective,
}

impl Rows {
    fn new(n: usize, d: usize) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        let features = Features::U8(Dense::new(d, (0..n * d).map(|_| next()).collect()));
        let all: Vec<u32> = (0..n as u32).collect();
        Self {
            scaler: Scaler::fit(&features, &all, Center::Mean, Scale::None),
            labels: (0..n).map(|i| (i * 7 % K) as u32).collect(),
            objective: Objective {
                loss: Loss::new(Formulation::WestonWatkins, 1.0, Power::One),
                lambda: 1e-3,
                bias: BiasRule::Regularised { scale: 1.0 },
            },
            features,
            all,
        }
    }

    fn source(&self) -> Source<'_> {
        Source { features: &self.features, labels: &self.labels, scaler: &self.scaler, weights: None }
    }

    /// Seconds that the solver takes for some steps.
    fn steps(&self, device: &OpenDevice, way: Way, batch: usize, count: usize) -> f64 {
        let config = SolverConfig::Sgd(Box::new(SgdConfig {
            learning_rate: Positive::new(1e-7).expect("positive"),
            batch_size: NonZeroUsize::new(batch).expect("not zero"),
            sampling: Sampling::WithReplacement,
            steps: NonZeroUsize::new(count),
            resident_mb: if way == Way::Moved { 0 } else { 2_000 },
            ..SgdConfig::default()
        }));
        let problem = Problem {
            source: self.source(),
            train: &self.all,
            validation: &[],
            n_classes: K,
            objective: &self.objective,
            device,
            gradient: way.route(),
            seed: 0,
            threads: 2,
            early_stopping: None,
        };
        config.solve(&problem, &mut Silent).expect("the solver runs").solve.as_secs_f64()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Fused,
    Moved,
    Analytic,
    Autodiff,
}

impl Way {
    const ALL: [Self; 4] = [Self::Fused, Self::Moved, Self::Analytic, Self::Autodiff];

    const fn name(self) -> &'static str {
        match self {
            Self::Fused => "fused",
            Self::Moved => "moved",
            Self::Analytic => "analytic",
            Self::Autodiff => "autodiff",
        }
    }

    const fn route(self) -> GradientRoute {
        match self {
            Self::Fused | Self::Moved => GradientRoute::Fused,
            Self::Analytic => GradientRoute::Analytic,
            Self::Autodiff => GradientRoute::Autodiff,
        }
    }
}

/// The gradient over all rows, by one of three ways, on a device where everything lies ready.
struct Pass<'a> {
    rows: &'a Rows,
    device: Device,
    resident: DevicePass<'a>,
    chunks: Vec<Batch>,
    weight: Vec<f32>,
}

impl<'a> Pass<'a> {
    fn new(rows: &'a Rows, device: &Device) -> Option<Self> {
        let resident = DevicePass::new(rows.source(), K, &rows.objective, device, ResidentLimits::default())?;
        let d = rows.features.n_features();
        Some(Self {
            rows,
            device: device.clone(),
            resident,
            chunks: rows.all.chunks(CHUNK).map(|rows_of| rows.source().gather(rows_of).to_device(device)).collect(),
            weight: (0..d * K).map(|i| 1e-3 * (i as f32).sin()).collect(),
        })
    }

    /// Seconds of some passes.
    fn measure(&self, way: Way, count: usize) -> f64 {
        let d = self.rows.features.n_features();
        let weight = Tensor::<2>::from_data(TensorData::new(self.weight.clone(), [d, K]), &self.device);
        let bias = Tensor::<1>::zeros([K], &self.device);
        let model = |on: &Device| LinearSvm::from_values(self.weight.clone(), Some(vec![0.0; K]), K, on);
        let (plain, tied) = (model(&self.device), model(&self.device.clone().autodiff()));
        let loss = self.rows.objective.loss.init(&self.device);
        self.device.sync().expect("the device answers");
        let start = Instant::now();
        for _ in 0..count {
            match way {
                Way::Fused | Way::Moved => {
                    black_box(self.resident.over(&weight, Some(&bias), &self.rows.all, false));
                }
                Way::Analytic => self.chunks.iter().for_each(|chunk| {
                    let q = loss.gradient(plain.scores(&chunk.rows, None), chunk.labels.clone());
                    black_box(plain.backward(&chunk.rows, None, q));
                }),
                Way::Autodiff => self.chunks.iter().for_each(|chunk| {
                    let value = loss.forward(tied.scores(&chunk.rows, None), chunk.labels.clone(), Reduction::Mean);
                    black_box(tied.linear.weight.grad(&value.backward()));
                }),
            }
        }
        self.device.sync().expect("the device answers");
        start.elapsed().as_secs_f64()
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Milliseconds of one of `count` by each way, rounds interleaved.
fn compare(name: &str, ways: &[Way], rounds: usize, fixed: Option<usize>, measure: impl Fn(Way, usize) -> f64) {
    let count_of = |&way: &Way| {
        measure(way, 2);
        let once = measure(way, 3) / 3.0;
        fixed.unwrap_or(((BLOCK.as_secs_f64() / once) as usize).clamp(3, 20_000))
    };
    let counts: Vec<usize> = ways.iter().map(count_of).collect();
    let mut times = vec![Vec::new(); ways.len()];
    for _ in 0..rounds {
        for ((&way, &count), times) in ways.iter().zip(&counts).zip(&mut times) {
            times.push(1e3 * measure(way, count) / count as f64);
        }
    }
    for (way, of) in ways.iter().zip(&times) {
        let ratios: Vec<f64> = of.iter().zip(&times[0]).map(|(a, b)| a / b).collect();
        let time = median(of);
        println!("{name:<28} {:<9} {time:>10.3} {:>12.1} {:>8.2}", way.name(), 1e3 / time, median(&ratios));
    }
}

fn main() {
    let options = options();
    let name = options.device.parse().unwrap_or_else(|e| panic!("{e}"));
    let open = device::open(name).unwrap_or_else(|e| panic!("{e}: {}", e.hint));
    let (digits, images) = (Rows::new(1_797, 64), Rows::new(options.rows, 3_072));
    println!("{}, {} interleaved rounds", open.label(), options.rounds);
    println!("what                         route             ms     a second  / fused");
    let rounds = options.rounds;
    compare("steps of 8 rows x 64", &Way::ALL, rounds, Some(1_000), |way, n| digits.steps(&open, way, 8, n));
    compare("steps of 200 rows x 3,072", &Way::ALL, rounds, None, |way, n| images.steps(&open, way, 200, n));
    let Some(pass) = Pass::new(&images, &open.device) else {
        println!("no pass of its own on this device");
        return;
    };
    let ways = [Way::Fused, Way::Analytic, Way::Autodiff];
    compare(&format!("a pass over {} rows", options.rows), &ways, rounds, None, |way, n| pass.measure(way, n));
}
