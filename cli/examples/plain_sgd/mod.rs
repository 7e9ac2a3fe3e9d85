//! Plain minibatch descent in a loop that can be read: the batches, the start and the rate of `[solver.sgd]`, and any loss of the scores.
//!
//! Of the solver's table the steps, the batches, the learning rate and `init_std` are used, with steps W ← W − η·g. `burn-svm train` makes
//! the same steps in one fused pass, several times as fast.

#![allow(dead_code)] // each example uses a part

use burn::tensor::{Int, Tensor};
use burn_svm::internals::model::LinearSvm;
use burn_svm::internals::solver::sgd::sampler::Sampler;
use burn_svm::internals::solver::{SgdConfig, SolverConfig};
use burn_svm_cli::config::{LoadedConfig, parse_assignment};
use burn_svm_cli::run::{self, PreparedData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

pub type Outcome<T> = Result<T, Box<dyn Error>>;

/// A mean loss of a batch and its gradient with respect to the scores `[n_samples, n_classes]`.
pub struct Slope {
    pub loss: f64,
    pub q: Tensor<2>,
}

/// The end of a descent, and the way there.
pub struct Descent {
    /// Step, and the objective of its batch before it.
    pub curve: Vec<(f64, f64)>,
    /// `[n_features, n_classes]`
    pub weight: Vec<f32>,
    /// `[n_classes]`
    pub bias: Vec<f32>,
    pub seconds: f64,
}

/// Reads a configuration with `[solver.sgd]`, some of its keys changed (`KEY=VALUE`), and its data.
pub fn open(file: &str, changes: &[String]) -> Outcome<(LoadedConfig, SgdConfig, PreparedData)> {
    let changes: Result<Vec<_>, String> = changes.iter().map(|text| parse_assignment(text)).collect();
    let config = LoadedConfig::load(Path::new(file), &changes?)?;
    let SolverConfig::Sgd(sgd) = &config.run.solver else {
        return Err(format!("{file}: this example makes the steps of [solver.sgd]").into());
    };
    let sgd = (**sgd).clone();
    let prepared = run::prepare(&config)?;
    Ok((config, sgd, prepared))
}

/// Descends. The regulariser is in the objective; its gradient only where `remember` says so.
pub fn descend(
    config: &LoadedConfig,
    sgd: &SgdConfig,
    prepared: &PreparedData,
    remember: bool,
    slope: &dyn Fn(Tensor<2>, Tensor<1, Int>) -> Slope,
) -> Outcome<Descent> {
    let device = run::open_device(config)?.device;
    let (d, k) = (prepared.data.features.n_features(), prepared.data.n_classes());
    let objective = &prepared.objective;
    let mut rng = ChaCha8Rng::seed_from_u64(config.run.seed);
    let mut draw = |count: usize| -> Vec<f32> {
        let normal = |_| Distribution::<f64>::sample(&StandardNormal, &mut rng);
        (0..count).map(normal).map(|z| (sgd.init_std.get() * z) as f32).collect()
    };
    let (mut weight, mut bias) = (draw(d * k), draw(k));
    let n = prepared.split.train.len();
    let mut sampler = Sampler::new(&prepared.split.train, sgd.sampling, sgd.batch_size.get(), config.run.seed);
    let steps = sgd.total_steps(n);
    let offset = prepared.source().sparse_offset(&device);
    let (mut curve, start) = (Vec::new(), Instant::now());
    for step in 0..steps {
        let batch = prepared.source().gather(&sampler.next_batch()).to_device(&device);
        let model = LinearSvm::from_values(weight.clone(), Some(bias.clone()), k, &device);
        let Slope { loss, q } = slope(model.scores(&batch.rows, offset.as_ref()), batch.labels.clone());
        curve.push((step as f64, loss + objective.penalty(&weight, Some(&bias))));
        let (dw, db) = model.backward(&batch.rows, offset.as_ref(), q);
        let rate = sgd.learning_rate_at(step, steps);
        let update = |values: &mut Vec<f32>, gradient: Vec<f32>, share: f64| {
            for (w, g) in values.iter_mut().zip(gradient) {
                let penalty = if remember { objective.lambda * share * f64::from(*w) } else { 0.0 };
                *w -= (rate * (f64::from(g) + penalty)) as f32;
            }
        };
        update(&mut weight, host(dw)?, 1.0);
        update(&mut bias, host(db.ok_or("the configuration must have a bias")?)?, objective.bias.penalty_factor());
    }
    Ok(Descent { curve, weight, bias, seconds: start.elapsed().as_secs_f64() })
}

/// The values of a tensor.
pub fn host<const D: usize>(tensor: Tensor<D>) -> Outcome<Vec<f32>> {
    tensor.into_data().try_to_vec_as::<f32>().map_err(|e| format!("{e:?}").into())
}

/// A table of two curves, at about seven of their steps.
pub fn table(names: [&str; 2], a: &Descent, b: &Descent) {
    println!("step {:>10} {:>10}", names[0], names[1]);
    let (stride, last) = ((a.curve.len() / 6).max(1), a.curve.len() - 1);
    for (i, ((step, a), (_, b))) in a.curve.iter().zip(&b.curve).enumerate() {
        if i % stride == 0 || i == last {
            println!("{step:>4} {a:>10.4} {b:>10.4}");
        }
    }
}
