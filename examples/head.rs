//! The loss on top of a network of your own: two hidden layers, a linear SVM as the head, a margin loss.
//!
//! `cargo run --release --example head`
//!
//! The data is two interleaved spirals, which no linear model separates.

use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_svm::{LinearSvm, LinearSvmConfig, Loss, Power, Svm, WestonWatkinsLossConfig, cpu_device};
use std::error::Error;

const N_SAMPLES: usize = 400;
const WIDTH: usize = 32;

/// A small network whose last layer is the SVM.
#[derive(Module, Debug)]
struct Network {
    first: Linear,
    second: Linear,
    head: LinearSvm,
}

impl Network {
    fn new(device: &Device) -> Self {
        Self {
            first: LinearConfig::new(2, WIDTH).init(device),
            second: LinearConfig::new(WIDTH, WIDTH).init(device),
            head: LinearSvmConfig::new(WIDTH, 2).init(device),
        }
    }

    /// From `x` `[n_samples, 2]` to the input of the head, `[n_samples, WIDTH]`.
    fn hidden(&self, x: Tensor<2>) -> Tensor<2> {
        relu(self.second.forward(relu(self.first.forward(x))))
    }

    /// `x` `[n_samples, 2]` to scores `[n_samples, 2]`.
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.head.forward(self.hidden(x))
    }
}

/// Points `[n_samples, 2]` and labels `[n_samples]`.
fn spirals(device: &Device) -> (Tensor<2>, Tensor<1, Int>) {
    let mut points = Vec::with_capacity(2 * N_SAMPLES);
    for i in 0..N_SAMPLES {
        let t = 0.5 + 7.5 * (i / 2) as f32 / (N_SAMPLES / 2) as f32;
        let angle = t + std::f32::consts::PI * (i % 2) as f32;
        points.extend([0.25 * t * angle.cos(), 0.25 * t * angle.sin()]);
    }
    let labels: Vec<i32> = (0..N_SAMPLES).map(|i| (i % 2) as i32).collect();
    let points = Tensor::from_data(TensorData::new(points, [N_SAMPLES, 2]), device);
    (points, Tensor::from_data(TensorData::new(labels, [N_SAMPLES]), device))
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = cpu_device().ok_or("no CPU backend is compiled in")?;
    device.seed(0);
    let (x, labels) = spirals(&device);
    let mut network = Network::new(&device.clone().autodiff());
    // Any of the losses, with any margin, power and class weights; burn's own losses take the same arguments.
    let loss = WestonWatkinsLossConfig::new().with_power(Power::Two).init(&device);
    let mut optimizer = AdamConfig::new().init();

    for step in 0..=120 {
        let value = loss.forward(network.forward(x.clone()), labels.clone(), Reduction::Mean);
        if step % 20 == 0 {
            println!("step {step:>3}  loss {:.4}", value.clone().into_scalar::<f32>());
        }
        let gradients = GradientsParams::from_grads(value.backward(), &network);
        network = optimizer.step(1e-2, network, gradients);
    }

    // The head as a model: it has names, a file that the program reads, and a distance to its own optimum on these features.
    let network = network.valid();
    let hidden = network.hidden(x);
    let svm = Svm::new(Loss::weston_watkins().squared()).lambda(1e-4);
    let head = svm.head(&network.head.linear, &["0", "1"], N_SAMPLES)?;
    println!("{:.1} % right", 100.0 * head.evaluate(&hidden, &labels)?.confusion.accuracy());
    let exact = svm.fit(&hidden, &labels)?;
    let (head, exact) = (head.certify(&hidden, &labels, 1e-3)?.primal, exact.objective());
    println!("objective of the head {head:.4}, of the best head {exact:.4}");
    Ok(())
}
