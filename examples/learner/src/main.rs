//! A margin loss as the head of a Burn network inside burn-train's `Learner`: the bundled digits, one hidden layer, a linear SVM on
//! top, accuracy and loss as burn-train measures them.
//!
//! `cd examples/learner && cargo run --release`
//!
//! A package of its own, because burn-train is a heavy dependency that burn-svm itself does not need.

use burn::data::dataloader::{DataLoaderBuilder, batcher::Batcher};
use burn::data::dataset::InMemDataset;
use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::nn::{Linear, LinearConfig};
use burn::optim::AdamConfig;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn::train::metric::{AccuracyMetric, LossMetric};
use burn::train::{ClassificationOutput, InferenceStep, Learner, SupervisedTraining, TrainOutput, TrainStep};
use burn_svm_cli::config::LoadedConfig;
use burn_svm::{Power, WestonWatkinsLoss, WestonWatkinsLossConfig};
use burn_svm::{LinearSvm, LinearSvmConfig};
use burn_svm_cli::run::{self, PreparedData};
use std::error::Error;
use std::path::Path;

const CONFIG: &str = r#"
[data.digits]
[split]
validation = 0.2
[preprocess]
center = "mean"
scale = "std"
[objective]
lambda = 0.0
[loss.weston_watkins]
[solver.sgd]
"#;
const WIDTH: usize = 32;

/// A row and its label.
#[derive(Debug, Clone)]
struct Row {
    x: Vec<f32>,
    label: i32,
}

/// Rows of a batch `[n_samples, n_features]` and labels `[n_samples]`.
#[derive(Debug, Clone)]
struct Rows {
    x: Tensor<2>,
    labels: Tensor<1, Int>,
}

struct Stack;

impl Batcher<Row, Rows> for Stack {
    fn batch(&self, items: Vec<Row>, device: &Device) -> Rows {
        let (n, d) = (items.len(), items[0].x.len());
        let labels: Vec<i32> = items.iter().map(|row| row.label).collect();
        let x: Vec<f32> = items.into_iter().flat_map(|row| row.x).collect();
        Rows {
            x: Tensor::from_data(TensorData::new(x, [n, d]), device),
            labels: Tensor::from_data(TensorData::new(labels, [n]), device),
        }
    }
}

/// One hidden layer, the SVM on top, and its loss: a loss of this crate is a Burn module like any other.
#[derive(Module, Debug)]
struct Network {
    hidden: Linear,
    head: LinearSvm,
    loss: WestonWatkinsLoss,
}

impl Network {
    fn new(n_features: usize, n_classes: usize, device: &Device) -> Self {
        Self {
            hidden: LinearConfig::new(n_features, WIDTH).init(device),
            head: LinearSvmConfig::new(WIDTH, n_classes).init(device),
            loss: WestonWatkinsLossConfig::new().with_power(Power::Two).init(device),
        }
    }

    fn classify(&self, rows: Rows) -> ClassificationOutput {
        let scores = self.head.forward(relu(self.hidden.forward(rows.x)));
        let loss = self.loss.forward(scores.clone(), rows.labels.clone(), Reduction::Mean);
        ClassificationOutput::new(loss, scores, rows.labels)
    }
}

impl TrainStep for Network {
    type Input = Rows;
    type Output = ClassificationOutput;

    fn step(&self, rows: Rows) -> TrainOutput<ClassificationOutput> {
        let output = self.classify(rows);
        TrainOutput::new(self, output.loss.backward(), output)
    }
}

impl InferenceStep for Network {
    type Input = Rows;
    type Output = ClassificationOutput;

    fn step(&self, rows: Rows) -> ClassificationOutput {
        self.classify(rows)
    }
}

fn rows(prepared: &PreparedData, indices: &[u32]) -> InMemDataset<Row> {
    let row = |&index: &u32| {
        let mut x = vec![0.0; prepared.data.features.n_features()];
        prepared.scaler.write_row(&prepared.data.features, index as usize, &mut x);
        Row { x, label: prepared.data.labels[index as usize] as i32 }
    };
    InMemDataset::new(indices.iter().map(row).collect())
}

fn main() -> Result<(), Box<dyn Error>> {
    let config = LoadedConfig::parse(CONFIG, Path::new("learner.toml"), &[])?;
    let prepared = run::prepare(&config)?;
    let device = run::open_device(&config)?.device;
    device.seed(0);
    let loader = |indices: &[u32], device: &Device| {
        DataLoaderBuilder::new(Stack)
            .batch_size(64)
            .shuffle(0)
            .set_device(device.clone())
            .build(rows(&prepared, indices))
    };
    let tracked = device.clone().autodiff();
    let network = Network::new(prepared.data.features.n_features(), prepared.data.n_classes(), &tracked);
    let folder = std::env::temp_dir().join("burn-svm-learner");
    let training = SupervisedTraining::new(
        &folder,
        loader(&prepared.split.train, &tracked),
        loader(&prepared.split.validation, &device),
    )
    .metrics((AccuracyMetric::new(), LossMetric::new()))
    .num_epochs(10)
    .with_application_logger(None)
    .summary();
    let trained = training.launch(Learner::new(network, AdamConfig::new().init(), 5e-3));
    if let Some(error) = trained.error {
        return Err(error.to_string().into());
    }

    // The trained network at work on the validation rows, in one batch.
    let held = rows(&prepared, &prepared.split.validation);
    let items = (0..prepared.split.validation.len()).map(|i| burn::data::dataset::Dataset::get(&held, i));
    let batch = Stack.batch(items.collect::<Result<_, _>>()?, &device);
    let labels = batch.labels.clone();
    let n = labels.dims()[0];
    let right =
        trained.model.classify(batch).output.argmax(1).reshape([n]).equal(labels).int().sum().into_scalar::<i64>();
    println!("{right} of {n} validation rows right");
    Ok(())
}
