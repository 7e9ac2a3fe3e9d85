//! The three forms of the Weston-Watkins gradient side by side: naive loops, one class at a time, one matrix product; then the
//! product as the crate computes it, with tensors. `cargo bench --bench forms [-- --rows N --rounds N]`
//!
//! The shapes are those of the notebook's timing: 500 rows of 3,073 features, 10 classes. Medians of interleaved rounds, in milliseconds of
//! processor time of all threads where Linux tells them, else of time passed.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use burn_svm::internals::device;
use burn_svm::internals::loss::{MarginLoss, Power, WestonWatkinsLossConfig};
use burn_svm::internals::reference::{
    LossAndGradient, ReferenceProblem, weston_watkins_by_class, weston_watkins_matrix, weston_watkins_naive,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::hint::black_box;
use std::time::Instant;

const N_FEATURES: usize = 3073;
const N_CLASSES: usize = 10;

/// Rows on a device in one type.
struct Tensors {
    x: Tensor<2>,
    w: Tensor<2>,
    labels: Tensor<1, Int>,
    loss: Box<dyn MarginLoss>,
}

impl Tensors {
    fn new(sample: &ReferenceProblem<'_>, dtype: DType, device: &Device) -> Self {
        let n = sample.labels.len();
        let labels: Vec<i32> = sample.labels.iter().map(|&l| l as i32).collect();
        let matrix = |values: &[f64], rows: usize, columns: usize| {
            Tensor::<2>::from_data(TensorData::new(values.to_vec(), [rows, columns]), (device, dtype))
        };
        Self {
            x: matrix(sample.x, n, N_FEATURES),
            w: matrix(sample.weight, N_FEATURES, N_CLASSES),
            labels: Tensor::from_data(TensorData::new(labels, [n]), device),
            loss: Box::new(WestonWatkinsLossConfig::new().init(device)),
        }
    }

    /// Loss and gradient: two products and the margins between them.
    fn run(&self) -> (f64, Vec<f64>) {
        let scores = self.x.clone().matmul(self.w.clone());
        let value = self.loss.forward_no_reduction(scores.clone(), self.labels.clone()).mean();
        let q = self.loss.gradient(scores, self.labels.clone());
        let n = q.dims()[0] as f64;
        let dw = q.transpose().matmul(self.x.clone()).transpose().div_scalar(n);
        (value.into_scalar::<f64>(), dw.into_data().try_to_vec_as::<f64>().expect("floats"))
    }
}

fn argument(name: &str, default: usize) -> usize {
    let mut arguments = std::env::args();
    arguments.find(|a| a == name).and_then(|_| arguments.next()).and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// Milliseconds that all threads of this process have computed.
fn processor_time() -> Option<f64> {
    let of_thread = |thread: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    std::fs::read_dir("/proc/self/task").ok()?.map(of_thread).sum::<Option<f64>>().map(|nanoseconds| nanoseconds / 1e6)
}

fn main() {
    let (n, rounds) = (argument("--rows", 500), argument("--rounds", 9));
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let x: Vec<f64> = (0..n * N_FEATURES).map(|_| rng.random_range(-128.0..128.0)).collect();
    let weight: Vec<f64> = (0..N_FEATURES * N_CLASSES).map(|_| rng.random_range(-2e-4..2e-4)).collect();
    let labels: Vec<u32> = (0..n).map(|_| rng.random_range(0..N_CLASSES as u32)).collect();
    let sample = ReferenceProblem {
        x: &x,
        labels: &labels,
        weight: &weight,
        n_classes: N_CLASSES,
        class_weights: None,
        margin: 1.0,
        costs: None,
        power: Power::One,
        lambda: 0.0,
    };
    let device = device::cpu().expect("a CPU backend is compiled in");
    let tensors = [("f64", DType::F64), ("f32", DType::F32)].map(|(name, d)| (name, Tensors::new(&sample, d, &device)));
    let plain = |form: fn(&ReferenceProblem<'_>) -> LossAndGradient| {
        move |sample: &ReferenceProblem<'_>| {
            let found = form(sample);
            (found.loss, found.gradient)
        }
    };
    type Form<'a> = Box<dyn Fn() -> (f64, Vec<f64>) + 'a>;
    let mut forms: Vec<(String, Form<'_>)> = vec![
        ("naive loops, f64".into(), Box::new(|| plain(weston_watkins_naive)(&sample))),
        ("one class at a time, f64".into(), Box::new(|| plain(weston_watkins_by_class)(&sample))),
        ("one product, plain loops, f64".into(), Box::new(|| plain(weston_watkins_matrix)(&sample))),
    ];
    for (name, tensors) in &tensors {
        forms.push((format!("one product, tensors on flex, {name}"), Box::new(|| tensors.run())));
    }
    let mut times = vec![Vec::new(); forms.len()];
    let mut worst = vec![0.0f64; forms.len()];
    let (_, expected) = forms[0].1();
    let size = expected.iter().fold(0.0f64, |m, g| m.max(g.abs()));
    for _ in 0..rounds {
        for (i, (_, form)) in forms.iter().enumerate() {
            let (start, clock) = (Instant::now(), processor_time());
            let (value, gradient) = black_box(form());
            let used = processor_time().zip(clock).map(|(after, before)| after - before);
            times[i].push(used.unwrap_or_else(|| start.elapsed().as_secs_f64() * 1e3));
            assert!(value.is_finite());
            let error = gradient.iter().zip(&expected).fold(0.0f64, |m, (a, b)| m.max((a - b).abs() / size));
            worst[i] = worst[i].max(error);
        }
    }
    println!("{n} rows, {N_FEATURES} features, {N_CLASSES} classes; loss and gradient, medians of {rounds} rounds\n");
    println!("{:<40} {:>9} {:>9} {:>12}", "form", "ms", "to naive", "difference");
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let medians: Vec<f64> = times.iter_mut().map(median).collect();
    for (((name, _), ms), worst) in forms.iter().zip(&medians).zip(&worst) {
        println!("{name:<40} {ms:>9.2} {:>8.1}x {worst:>12.1e}", medians[0] / ms);
    }
}
