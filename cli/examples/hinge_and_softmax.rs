//! The hinge next to the cross-entropy of burn-nn: the same start, rows, rate and regulariser, two losses; their objectives, accuracies, scores
//! and templates.
//!
//! `cargo run --release --example hinge_and_softmax [CONFIG.toml [FOLDER [KEY=VALUE]...]]`
//!
//! The configuration is `configs/cs231n.toml` unless another one with `[solver.sgd]` is named.

mod plain_sgd;

use burn::nn::loss::{CrossEntropyLossConfig, Reduction};
use burn::tensor::{Int, Tensor};
use burn_svm::internals::metric::argmax;
use burn_svm::internals::model::{Classifier, Origin, Training};
use burn_svm_cli::config::LoadedConfig;
use burn_svm_cli::plot::canvas::{png, svg};
use burn_svm_cli::plot::curves::side_by_side;
use burn_svm_cli::plot::templates::Templates;
use burn_svm_cli::run::{self, PreparedData};
use plain_sgd::{Descent, Outcome, Slope, descend, open, table};
use std::path::Path;

/// log Σ_j e^{s_j} − s_y
fn cross_entropy(scores: &[f64], label: usize) -> f64 {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    top + scores.iter().map(|s| (s - top).exp()).sum::<f64>().ln() - scores[label]
}

fn classifier(config: &LoadedConfig, prepared: &PreparedData, found: &Descent) -> Classifier {
    let PreparedData { data, scaler, objective, split, .. } = prepared;
    let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    Classifier {
        weight: wide(&found.weight),
        bias: Some(wide(&found.bias)),
        scaler: scaler.clone(),
        encoding: None,
        class_names: data.class_names.clone(),
        feature_names: None,
        image_shape: data.image_shape,
        origin: Origin::Trained(Training {
            loss: objective.loss.clone(),
            lambda: objective.lambda,
            n_samples: split.train.len(),
            bias: objective.bias,
            center: config.run.preprocess.center,
            scale: config.run.preprocess.scale,
            config: config.text.clone(),
            calibration: None,
        }),
    }
}

/// A loss of the scores of a row and its label.
type RowLoss<'a> = &'a dyn Fn(&[f64], usize) -> f64;

/// Mean loss and accuracy over rows.
fn measure(model: &Classifier, prepared: &PreparedData, rows: &[u32], loss: RowLoss<'_>) -> [f64; 2] {
    let (mut total, mut right) = (0.0, 0);
    for rows in rows.chunks(1000) {
        let scores = model.scores(&prepared.data.features, rows);
        for (&row, scores) in rows.iter().zip(scores.chunks_exact(model.n_classes())) {
            let label = prepared.data.labels[row as usize] as usize;
            total += loss(scores, label);
            right += usize::from(argmax(scores) == label);
        }
    }
    [total, right as f64].map(|sum| sum / rows.len().max(1) as f64)
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| "configs/cs231n.toml".into());
    let out = arguments.next().unwrap_or_else(|| "hinge_and_softmax".into());
    let (config, sgd, prepared) = open(&file, &arguments.collect::<Vec<_>>())?;
    let device = run::open_device(&config)?.device;
    let margins = prepared.objective.loss.init(&device);
    let hinge = |scores: Tensor<2>, labels: Tensor<1, Int>| {
        let rows = scores.dims()[0] as f64;
        let value = margins.forward(scores.clone(), labels.clone(), Reduction::Mean).into_scalar::<f64>();
        Slope { loss: value, q: margins.gradient(scores, labels).div_scalar(rows) }
    };
    let on_tape = device.clone().autodiff();
    let entropy = CrossEntropyLossConfig::new().init(&on_tape);
    // By Burn's automatic differentiation, from the scores on.
    let softmax = |scores: Tensor<2>, labels: Tensor<1, Int>| {
        let scores = Tensor::<2>::from_data(scores.into_data(), &on_tape).require_grad();
        let labels = Tensor::<1, Int>::from_data(labels.into_data(), &on_tape);
        let loss = entropy.forward(scores.clone(), labels);
        let q = scores.grad(&loss.backward()).unwrap_or_else(|| scores.clone().inner().zeros_like());
        Slope { loss: loss.into_scalar::<f64>(), q }
    };
    let by_hinge = descend(&config, &sgd, &prepared, true, &hinge)?;
    let by_softmax = descend(&config, &sgd, &prepared, true, &softmax)?;
    table(["hinge", "softmax"], &by_hinge, &by_softmax);
    std::fs::create_dir_all(&out)?;
    let row_loss = |scores: &[f64], label: usize| prepared.objective.loss.of_row(scores, label);
    let losses: [(&str, &Descent, RowLoss<'_>); 2] =
        [("hinge", &by_hinge, &row_loss), ("softmax", &by_softmax, &cross_entropy)];
    println!(
        "\n{:<8} {:>9} {:>9} {:>9} {:>7} {:>7} {:>7} {:>8}",
        "loss", "objective", "data loss", "penalty", "train", "valid.", "test", "seconds"
    );
    for (name, found, loss) in losses {
        let model = classifier(&config, &prepared, found);
        let split = &prepared.split;
        let [data_loss, train] = measure(&model, &prepared, &split.train, loss);
        let [validation, test] = [&split.validation, &split.test].map(|rows| measure(&model, &prepared, rows, loss)[1]);
        let penalty = prepared.objective.penalty(&found.weight, Some(&found.bias));
        println!(
            "{name:<8} {:>9.5} {data_loss:>9.5} {penalty:>9.5} {:>5.2} % {:>5.2} % {:>5.2} % {:>8.2}",
            data_loss + penalty,
            100.0 * train,
            100.0 * validation,
            100.0 * test,
            found.seconds
        );
        if let Ok(figure) = Templates::new(&model, name) {
            std::fs::write(Path::new(&out).join(format!("{name}.png")), png(&figure)?)?;
        }
    }
    println!("\nscores of the first test row");
    let first = &prepared.split.test[..prepared.split.test.len().min(1)];
    let [hinge, softmax] = [&by_hinge, &by_softmax]
        .map(|found| classifier(&config, &prepared, found).scores(&prepared.data.features, first));
    println!("{:<12} {:>8} {:>8} {:>12}", "class", "hinge", "softmax", "probability");
    let labels = first.iter().map(|&row| prepared.data.labels[row as usize] as usize);
    for label in labels {
        for (class, name) in prepared.data.class_names.iter().enumerate() {
            let mark = if class == label { " its label" } else { "" };
            let probability = (-cross_entropy(&softmax, class)).exp();
            println!("{name:<12} {:>8.3} {:>8.3} {:>10.1} %{mark}", hinge[class], softmax[class], 100.0 * probability);
        }
    }
    let curves = vec![("hinge", by_hinge.curve), ("softmax", by_softmax.curve)];
    let below = "the same start, rows, rate and regulariser";
    let figure =
        side_by_side("Hinge and softmax", below, "objective of the batch", curves).ok_or("no objective was finite")?;
    std::fs::write(Path::new(&out).join("curves.svg"), svg(&figure)?)?;
    println!("\ndrawn: {out}");
    Ok(())
}
