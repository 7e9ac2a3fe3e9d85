//! Row weights: a weight is a factor of the row's loss, on every device and route.

use crate::support::{error, host, kinds, naive, resized, targets, worst};
use burn::tensor::{Tensor, TensorData};
use burn_svm::internals::data::batch::{Batch, DeviceFeatures, Source};
use burn_svm::internals::data::{Dense, Features, Scaler};
use burn_svm::internals::gradcheck::{RowCheckInput, STEP, check_rows};
use burn_svm::internals::model::BiasRule;
use burn_svm::internals::objective::{Objective, mean_loss, mean_loss_gradient};

const WEIGHTS: [f32; 7] = [1.0, 0.0, 2.5, 0.125, 1.0, 3.0, 0.5];

#[test]
fn weighted_losses_and_gradients_are_those_of_naive_loops() {
    let scores: Vec<f64> = (0..35).map(|i| f64::from((i * 23) % 17 - 8) / 4.0).collect();
    let labels = [0, 1, 2, 3, 4, 0, 2];
    for target in targets() {
        for loss in kinds() {
            let (losses, gradient) = naive(&loss, &scores, &labels, 5);
            let weight = |i: usize| f64::from(WEIGHTS[i]) / 7.0;
            let expected: f64 = losses.iter().enumerate().map(|(i, l)| weight(i) * l).sum();
            let expected_q: Vec<f64> = gradient.iter().enumerate().map(|(i, q)| weight(i / 5) * q).collect();
            let batch = Batch {
                rows: DeviceFeatures::Dense(target.scores(&scores, 5)),
                labels: target.labels(&labels),
                weights: Some(Tensor::from_data(TensorData::new(WEIGHTS.to_vec(), [7]), &target.device)),
            };
            let module = loss.init(&target.device);
            let q = mean_loss_gradient(module.as_ref(), target.scores(&scores, 5), &batch);
            assert!(worst(&host(q), &expected_q) <= target.tolerance(), "{} {loss:?}", target.name);

            let device = target.device.clone().autodiff();
            let tracked = Tensor::<2>::from_data(target.scores(&scores, 5).into_data(), (&device, target.dtype));
            let tracked = tracked.require_grad();
            let value = mean_loss(module.as_ref(), tracked.clone(), &batch);
            let found = host(value.clone().inner())[0];
            assert!(error(found, expected, 1.0) <= 8.0 * target.tolerance(), "{} {loss:?}", target.name);
            let q = host(tracked.grad(&value.backward()).unwrap());
            assert!(worst(&q, &expected_q) <= target.tolerance(), "{} {loss:?}: autodiff", target.name);
        }
    }
}

#[test]
fn the_gradient_check_knows_row_weights() {
    let features = Features::F32(Dense::new(3, (0..42u8).map(|i| (f32::from(i) * 0.7).sin()).collect()));
    let labels: Vec<u32> = (0..14).map(|i| i % 4).collect();
    let weights: Vec<f32> = WEIGHTS.repeat(2);
    let (scaler, rows) = (Scaler::default(), (0..14).collect::<Vec<u32>>());
    let device = burn_svm::internals::device::open("flex".parse().unwrap()).unwrap();
    for loss in kinds() {
        let loss = resized(&loss, 4);
        let objective = Objective { loss, lambda: 0.25, bias: BiasRule::Regularised { scale: 2.0 } };
        let report = |weights: Option<&[f32]>| {
            check_rows(&RowCheckInput {
                source: Source { features: &features, labels: &labels, scaler: &scaler, weights },
                rows: &rows,
                n_classes: 4,
                objective: &objective,
                weight: None,
                bias: None,
                device: &device,
                coordinates: 12,
                step: STEP,
                profiles: 0,
                seed: 3,
            })
            .unwrap()
        };
        let (weighted, plain) = (report(Some(&weights)), report(None));
        assert!(weighted.verdict.passed, "{}", weighted.verdict);
        assert!(weighted.device.as_ref().is_some_and(|d| d.ok), "{:?}", weighted.device);
        assert_ne!(weighted.losses.data_loss, plain.losses.data_loss);
    }
}
