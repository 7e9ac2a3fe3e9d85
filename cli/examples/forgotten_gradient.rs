//! Loss curve with a forgotten gradient of the regulariser: the same steps with λW and without, drawn side by side.
//!
//! `cargo run --release --example forgotten_gradient [CONFIG.toml [OUT.svg]]`
//!
//! The configuration is `configs/cs231n.toml` unless another one with `[solver.sgd]` is named; of the solver's table the steps, the
//! batches, the learning rate and `init_std` are used, with plain steps W ← W − η·g. Both runs see the same rows.

use burn::nn::loss::Reduction;
use burn::tensor::{Tensor, TensorData};
use burn_svm::internals::model::LinearSvm;
use burn_svm::internals::solver::sgd::sampler::Sampler;
use burn_svm::internals::solver::{SgdConfig, SolverConfig};
use burn_svm_cli::config::LoadedConfig;
use burn_svm_cli::plot::canvas::svg;
use burn_svm_cli::plot::curves::side_by_side;
use burn_svm_cli::run::{self, Prepared};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use std::error::Error;
use std::path::Path;

/// The objective at each step, the regulariser always included; its gradient only where `remember` says so.
fn curve(
    config: &LoadedConfig,
    sgd: &SgdConfig,
    prepared: &Prepared,
    remember: bool,
) -> Result<Vec<(f64, f64)>, Box<dyn Error>> {
    let device = run::open_device(config)?.device;
    let (d, k) = (prepared.data.features.n_features(), prepared.data.n_classes());
    let objective = &prepared.objective;
    let loss = objective.loss.init(&device);
    let mut rng = ChaCha8Rng::seed_from_u64(config.run.seed);
    let mut draw = |count: usize| -> Vec<f32> {
        let normal = |_| Distribution::<f64>::sample(&StandardNormal, &mut rng);
        (0..count).map(normal).map(|z| (sgd.init_std.get() * z) as f32).collect()
    };
    let (mut weight, mut bias) = (draw(d * k), draw(k));
    let n = prepared.split.train.len();
    let mut sampler = Sampler::new(&prepared.split.train, sgd.sampling, sgd.batch_size.get(), config.run.seed);
    let steps = sgd.total_steps(n);
    let mut points = Vec::new();
    for step in 0..steps {
        let batch = prepared.source().gather(&sampler.next_batch()).to_device(&device);
        let offset = prepared.source().sparse_offset(&device);
        let model = LinearSvm::from_values(weight.clone(), Some(bias.clone()), k, &device);
        let scores = model.scores(&batch.rows, offset.as_ref());
        let rows = scores.dims()[0] as f64;
        let data = loss.forward(scores.clone(), batch.labels.clone(), Reduction::Mean).into_scalar::<f64>();
        points.push((step as f64, data + objective.penalty(&weight, Some(&bias))));
        let q = loss.gradient(scores, batch.labels).div_scalar(rows);
        let (dw, db) = model.backward(&batch.rows, offset.as_ref(), q);
        let rate = sgd.learning_rate_at(step, steps);
        let update = |values: &mut Vec<f32>, gradient: Vec<f32>, share: f64| {
            for (w, g) in values.iter_mut().zip(gradient) {
                let forgotten = if remember { objective.lambda * share * f64::from(*w) } else { 0.0 };
                *w -= (rate * (f64::from(g) + forgotten)) as f32;
            }
        };
        update(&mut weight, host(dw)?, 1.0);
        update(&mut bias, host(db.ok_or("the configuration must have a bias")?)?, objective.bias.penalty_factor());
    }
    Ok(points)
}

fn host<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, Box<dyn Error>> {
    let data: TensorData = tensor.into_data();
    data.try_to_vec_as::<f32>().map_err(|e| format!("{e:?}").into())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| "configs/cs231n.toml".into());
    let out = arguments.next().unwrap_or_else(|| "forgotten_gradient.svg".into());
    let config = LoadedConfig::load(Path::new(&file), &[])?;
    let SolverConfig::Sgd(sgd) = &config.run.solver else {
        return Err(format!("{file}: this example makes the steps of [solver.sgd]").into());
    };
    let prepared = run::prepare(&config)?;
    let with = curve(&config, sgd, &prepared, true)?;
    let without = curve(&config, sgd, &prepared, false)?;
    println!("step    with λW   without");
    let stride = (with.len() / 6).max(1);
    for (i, ((step, a), (_, b))) in with.iter().zip(&without).enumerate() {
        if i % stride == 0 || i + 1 == with.len() {
            println!("{step:>4} {a:>10.4} {b:>9.4}");
        }
    }
    let title = "The gradient of the regulariser, remembered and forgotten";
    let below = "the same start, rows and steps, with λW in the gradient and without";
    let curves = vec![("with λW", with), ("without", without)];
    let figure = side_by_side(title, below, "objective of the batch", curves).ok_or("no objective was finite")?;
    std::fs::write(&out, svg(&figure)?)?;
    println!("drawn: {out}");
    Ok(())
}
