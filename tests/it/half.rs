//! Scores in f16 and bf16 where the device has them, class indices that these types cannot tell apart, and labels out of range.

use crate::support::{Target, devices, kinds, naive, worst};
use burn::tensor::DType;
use burn_svm::internals::loss::{Formulation, Loss, Power, check_labels, labels_on};

/// Devices and half-precision types together, where the device computes in that type.
fn halves() -> Vec<Target> {
    let mut targets = Vec::new();
    for device in devices() {
        for dtype in [DType::F16, DType::BF16] {
            if device.device.supports_dtype(dtype) {
                targets.push(Target { device: device.device.clone(), name: device.label(), dtype });
            } else {
                println!("skipped: {} has no {dtype:?}", device.label());
            }
        }
    }
    targets
}

/// Tolerance for the rounding of the type: 11 and 8 significant bits, a few operations.
fn tolerance(target: &Target) -> f64 {
    if target.dtype == DType::F16 { 4e-3 } else { 3e-2 }
}

#[test]
fn losses_and_gradients_in_half_precision_are_those_of_the_loops() {
    assert!(!halves().is_empty(), "flex computes in f16 and bf16");
    // Quarters up to 3 in size: scores and margins are exact in both types, so that no rounding moves a margin across 0.
    let (n, k) = (6, 5);
    let scores: Vec<f64> = (0..n * k).map(|i| f64::from((i as i32 * 37 % 25) - 12) / 4.0).collect();
    let labels: Vec<u32> = (0..n as u32).map(|i| i * 3 % 5).collect();
    for target in halves() {
        for loss in kinds() {
            let (values, gradients) = naive(&loss, &scores, &labels, k);
            let limit = tolerance(&target);
            let what = format!("{} {:?} {loss:?}", target.name, target.dtype);
            assert!(worst(&target.values(&loss, &scores, &labels, k), &values) < limit, "{what}: values");
            assert!(worst(&target.analytic(&loss, &scores, &labels, k), &gradients) < limit, "{what}: analytic");
            assert!(worst(&target.autodiff(&loss, &scores, &labels, k), &gradients) < limit, "{what}: autodiff");
        }
    }
}

/// 2,049 is 2,048 in f16, and in bf16 everything from 2,040 to 2,056 is one number: indices must stay integers.
#[test]
fn classes_beyond_2048_are_told_apart() {
    let k = 2_100;
    let labels = [2_049u32, 2_053];
    let mut scores = vec![-8.0; 2 * k];
    for (row, &label) in labels.iter().enumerate() {
        scores[row * k + label as usize] = 8.0;
        // The other class comes within the margin: z = 1 + 7.5 − 8.
        scores[row * k + label as usize + 1] = 7.5;
    }
    for target in halves() {
        for formulation in [Formulation::WestonWatkins, Formulation::CrammerSinger] {
            let loss = Loss::new(formulation, 1.0, Power::One);
            assert_eq!(target.values(&loss, &scores, &labels, k), [0.5, 0.5], "{} {formulation:?}", target.name);
            for q in [target.analytic(&loss, &scores, &labels, k), target.autodiff(&loss, &scores, &labels, k)] {
                let found: Vec<(usize, f64)> = q.iter().copied().enumerate().filter(|(_, v)| *v != 0.0).collect();
                let expected = [(2_049, -1.0), (2_050, 1.0), (k + 2_053, -1.0), (k + 2_054, 1.0)];
                assert_eq!(found, expected, "{} {:?} {formulation:?}", target.name, target.dtype);
            }
        }
    }
}

#[test]
fn labels_are_checked_on_the_host() {
    assert_eq!(check_labels([0, 1, 2], 3), Ok(()));
    let error = check_labels([0, 3, 9], 3).unwrap_err();
    assert_eq!((error.row, error.label, error.n_classes), (1, 3, 3));
    for device in devices() {
        assert!(labels_on(&[0, u32::MAX], 3, &device.device).is_err());
        let labels = labels_on(&[1, 0], 3, &device.device.clone().autodiff()).unwrap();
        assert_eq!(labels.into_data().try_to_vec_as::<i64>().unwrap(), [1, 0]);
    }
}
