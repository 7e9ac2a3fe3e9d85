//! Loss curve with a forgotten gradient of the regulariser: the same steps with λW and without, drawn side by side.
//!
//! `cargo run --release --example forgotten_gradient [CONFIG.toml [OUT.svg]]`
//!
//! The configuration is `configs/cs231n.toml` unless another one with `[solver.sgd]` is named. Both runs see the same rows.

mod plain_sgd;

use burn::nn::loss::Reduction;
use burn::tensor::{Int, Tensor};
use burn_svm_cli::plot::canvas::svg;
use burn_svm_cli::plot::curves::side_by_side;
use burn_svm_cli::run;
use plain_sgd::{Outcome, Slope, descend, open, table};

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| "configs/cs231n.toml".into());
    let out = arguments.next().unwrap_or_else(|| "forgotten_gradient.svg".into());
    let (config, sgd, prepared) = open(&file, &[])?;
    let loss = prepared.objective.loss.init(&run::open_device(&config)?.device);
    let hinge = |scores: Tensor<2>, labels: Tensor<1, Int>| {
        let rows = scores.dims()[0] as f64;
        let value = loss.forward(scores.clone(), labels.clone(), Reduction::Mean).into_scalar::<f64>();
        Slope { loss: value, q: loss.gradient(scores, labels).div_scalar(rows) }
    };
    let with = descend(&config, &sgd, &prepared, true, &hinge)?;
    let without = descend(&config, &sgd, &prepared, false, &hinge)?;
    table(["with λW", "without"], &with, &without);
    let title = "The gradient of the regulariser, remembered and forgotten";
    let below = "the same start, rows and steps, with λW in the gradient and without";
    let curves = vec![("with λW", with.curve), ("without", without.curve)];
    let figure = side_by_side(title, below, "objective of the batch", curves).ok_or("no objective was finite")?;
    std::fs::write(&out, svg(&figure)?)?;
    println!("drawn: {out}");
    Ok(())
}
