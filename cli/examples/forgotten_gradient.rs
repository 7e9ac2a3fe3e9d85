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
use burn_svm_cli::run::{self, Prepared};
use plotters::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use std::error::Error;
use std::path::Path;

/// Steps between two points of a curve.
const EVERY: u64 = 10;

/// The objective every few steps, the regulariser always included; its gradient only where `remember` says so.
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
        if step % EVERY == 0 || step + 1 == steps {
            let data = loss.forward(scores.clone(), batch.labels.clone(), Reduction::Mean).into_scalar::<f64>();
            points.push((step as f64, data + objective.penalty(&weight, Some(&bias))));
        }
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

/// A name, a colour, points.
type Curve<'a> = (&'a str, RGBColor, &'a [(f64, f64)]);

fn draw(curves: &[Curve<'_>], out: &Path) -> Result<(), Box<dyn Error>> {
    let all = || curves.iter().flat_map(|(_, _, points)| points.iter());
    let last = all().fold(0.0f64, |m, p| m.max(p.0));
    let (low, high) = all().fold((f64::INFINITY, 0.0f64), |(a, b), p| (a.min(p.1), b.max(p.1)));
    let root = SVGBackend::new(out, (800, 420)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("The gradient of the regulariser, remembered and forgotten", ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..last, (low / 1.5..high * 1.5).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("step")
        .y_desc("objective of the batch")
        .label_style(("sans-serif", 14))
        .light_line_style(WHITE)
        .x_label_formatter(&|v: &f64| format!("{v:.0}"))
        .y_label_formatter(&|v: &f64| format!("{v}"))
        .draw()?;
    for (name, color, points) in curves {
        let color = *color;
        chart
            .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 20, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::MiddleRight)
        .label_font(("sans-serif", 14))
        .background_style(WHITE.mix(0.9))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    root.present()?;
    Ok(())
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
    let blue = RGBColor(0x1f, 0x5f, 0xa8);
    let orange = RGBColor(0xd9, 0x5f, 0x0e);
    draw(&[("with λW", blue, &with), ("without", orange, &without)], Path::new(&out))?;
    println!("drawn: {out}");
    Ok(())
}
