//! A full pass over a data set, loss and gradient: fused, and composed of tensor operations; compared with the floor of the machine.
//!
//! `cargo bench --bench fused [-- --rounds N] [--only TEXT] [--threads N]`
//!
//! Every round measures every contestant of a shape once, one after the other; the table shows medians, the median ratio to the fused
//! pass of the same round, and the time over the floor: the larger of the bytes over the measured read bandwidth and the operations
//! (4·n·d·K) over the measured multiply-add rate. The composed routes get rows that lie on the device as floats, centred before, in
//! chunks of up to 2,000; the fused pass reads the bytes.

use burn::nn::loss::Reduction;
use burn::tensor::{Int, Tensor, TensorData};
use burn_svm::internals::data::batch::Source;
use burn_svm::internals::data::{Center, Dense, Features, Scale, Scaler};
use burn_svm::internals::device;
use burn_svm::internals::kernel::Ceilings;
use burn_svm::internals::loss::{Formulation, Loss, Power};
use burn_svm::internals::model::{BiasRule, LinearSvm};
use burn_svm::internals::objective::{FusedPass, Objective};
use std::hint::black_box;
use std::time::Instant;

const CHUNK: usize = 2_000;

struct Shape {
    name: &'static str,
    n: usize,
    d: usize,
    k: usize,
    bytes: bool,
}

const SHAPES: [Shape; 7] = [
    Shape { name: "CIFAR-10, bytes", n: 49_000, d: 3_072, k: 10, bytes: true },
    Shape { name: "20,000 x 3,072 floats", n: 20_000, d: 3_072, k: 10, bytes: false },
    Shape { name: "MNIST, bytes", n: 60_000, d: 784, k: 10, bytes: true },
    Shape { name: "1,000 classes, floats", n: 4_000, d: 512, k: 1_000, bytes: false },
    Shape { name: "16 features, floats", n: 100_000, d: 16, k: 10, bytes: false },
    Shape { name: "a batch of 200, bytes", n: 200, d: 3_072, k: 10, bytes: true },
    Shape { name: "a batch of 64 digits", n: 64, d: 64, k: 10, bytes: true },
];

struct Options {
    rounds: usize,
    only: String,
    threads: usize,
}

fn options() -> Options {
    let mut options = Options { rounds: 20, only: String::new(), threads: 0 };
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        let mut value = || args.next().unwrap_or_else(|| panic!("{flag} needs a value"));
        match flag.as_str() {
            "--rounds" => options.rounds = value().parse().expect("--rounds N"),
            "--only" => options.only = value(),
            "--threads" => options.threads = value().parse().expect("--threads N"),
            // Given by cargo.
            "--bench" => {}
            other => panic!("unknown option {other}: expected --rounds N, --only TEXT, --threads N"),
        }
    }
    options
}

fn features(shape: &Shape) -> Features<'static> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut byte = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    let cells = shape.n * shape.d;
    if shape.bytes {
        return Features::U8(Dense::new(shape.d, (0..cells).map(|_| byte()).collect()));
    }
    Features::F32(Dense::new(shape.d, (0..cells).map(|_| f32::from(byte()) / 128.0 - 1.0).collect()))
}

/// Milliseconds of one of the contestants.
fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    1e3 * start.elapsed().as_secs_f64()
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn measure(shape: &Shape, rounds: usize, ceilings: Ceilings) {
    let Shape { n, d, k, .. } = *shape;
    let features = features(shape);
    let labels: Vec<u32> = (0..n).map(|i| (i * 7 % k) as u32).collect();
    let rows: Vec<u32> = (0..n as u32).collect();
    let scaler = Scaler::fit(&features, &rows, Center::Mean, Scale::None);
    let source = Source { features: &features, labels: &labels, scaler: &scaler, weights: None };
    let loss = Loss::new(Formulation::WestonWatkins, 1.0, Power::One);
    let objective = Objective { loss, lambda: 1e-3, bias: BiasRule::Regularised { scale: 1.0 } };
    let weight: Vec<f32> = (0..d * k).map(|i| 1e-3 * (i as f32).sin()).collect();
    let bias = vec![0.0f32; k];

    let plain = device::cpu().expect("a CPU backend");
    let tied = plain.clone().autodiff();
    let module = objective.loss.init(&plain);
    let chunks: Vec<(Tensor<2>, Tensor<1, Int>)> = rows
        .chunks(CHUNK)
        .map(|rows| {
            let mut cells = vec![0.0f32; rows.len() * d];
            cells.chunks_exact_mut(d).zip(rows).for_each(|(out, &row)| scaler.write_row(&features, row as usize, out));
            let labels: Vec<i32> = rows.iter().map(|&r| labels[r as usize] as i32).collect();
            let labels = Tensor::from_data(TensorData::new(labels, [rows.len()]), &plain);
            (Tensor::from_data(TensorData::new(cells, [rows.len(), d]), &plain), labels)
        })
        .collect();
    let model = |on| LinearSvm::from_values(weight.clone(), Some(bias.clone()), k, on);
    let (by_hand, by_autodiff) = (model(&plain), model(&tied));
    let mut pass = FusedPass::new(source, k, &objective).expect("dense rows");
    let mut fused = || {
        black_box(pass.at(&weight, Some(&bias), &rows));
    };
    let autodiff = || {
        for (x, labels) in &chunks {
            let value = module.forward(by_autodiff.forward(x.clone()), labels.clone(), Reduction::Mean);
            black_box(by_autodiff.linear.weight.grad(&value.backward()));
        }
    };
    let analytic = || {
        for (x, labels) in &chunks {
            let batch = burn_svm::internals::data::batch::DeviceFeatures::Dense(x.clone());
            let q = module.gradient(by_hand.scores(&batch, None), labels.clone());
            black_box(by_hand.backward(&batch, None, q));
        }
    };
    // Small passes are repeated, so that a measurement takes ten milliseconds.
    let once = timed(&mut fused).max(timed(&mut fused));
    let repeats = ((10.0 / once) as usize).clamp(1, 2_000);
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        times[0].push(timed(|| (0..repeats).for_each(|_| fused())) / repeats as f64);
        times[1].push(timed(|| (0..repeats).for_each(|_| autodiff())) / repeats as f64);
        times[2].push(timed(|| (0..repeats).for_each(|_| analytic())) / repeats as f64);
    }
    let bytes = (n * d * if shape.bytes { 1 } else { 4 }) as f64;
    let flops = 4.0 * (n * d) as f64 * k as f64;
    let floor = 1e3 * (bytes / ceilings.read).max(flops / ceilings.flops);
    for (name, of) in ["fused", "autodiff", "analytic"].iter().zip(&times) {
        let ratios: Vec<f64> = of.iter().zip(&times[0]).map(|(a, b)| a / b).collect();
        let (time, best) = (median(of), of.iter().copied().fold(f64::INFINITY, f64::min));
        println!(
            "{:<24} {name:<9} {time:>10.3} {best:>10.3} {:>8.2} {floor:>10.3} {:>8.2}",
            shape.name,
            median(&ratios),
            time / floor,
        );
    }
}

fn main() {
    let options = options();
    device::set_threads(options.threads).expect("the first to set it");
    let threads = if options.threads == 0 {
        std::thread::available_parallelism().map_or(1, usize::from)
    } else {
        options.threads
    };
    let ceilings = Ceilings::measure(threads);
    println!(
        "{threads} threads: read {:.1} GB/s, multiply-add {:.0} Gflop/s; ms, {} interleaved rounds",
        ceilings.read / 1e9,
        ceilings.flops / 1e9,
        options.rounds
    );
    println!("shape                    route         median       best  / fused      floor  / floor");
    // In a thread of the pool, as training is.
    rayon::scope(|_| {
        for shape in SHAPES.iter().filter(|shape| shape.name.contains(&options.only)) {
            measure(shape, options.rounds, ceilings);
        }
    });
}
