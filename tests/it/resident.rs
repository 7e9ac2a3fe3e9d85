//! The pass on a GPU compared with naive loops: losses, shapes, preprocessing, weights, buffers.

use crate::fused::{Case, hinge, value};
use crate::support::{host, kinds, wgpu_cpu, worst};
use burn_svm::internals::data::{Center, Dense, Features, Scale, Scaler};
use burn_svm::internals::loss::{Formulation, Loss};
use burn_svm::internals::model::BiasRule;
use burn_svm::internals::objective::{DevicePass, FusedGradient, Objective, ResidentLimits};

const UPLOAD: ResidentLimits = ResidentLimits { memory: 0, buffer: u64::MAX };

/// The gradient and the slopes of a case; `None` where there is no adapter, or no kernel for it in this build.
fn found(case: &Case, limits: ResidentLimits, chunks: Option<usize>) -> Option<(FusedGradient, Vec<f32>)> {
    let open = wgpu_cpu()?;
    let pass = DevicePass::new(case.source(), case.n_classes, &case.objective, &open.device, limits);
    let Some(pass) = pass else {
        let kernels = !cfg!(feature = "fusion");
        assert!(!kernels, "no pass on {}", open.label());
        return None;
    };
    assert_eq!(pass.n_chunks(), chunks);
    Some(pass.at(&case.weight, case.bias.as_deref(), &case.rows).unwrap())
}

/// With rows that stay on the device, and with rows that are moved.
fn check(case: &Case, tolerance: f64) {
    for (limits, chunks) in [(ResidentLimits::default(), Some(1)), (UPLOAD, None)] {
        if let Some((gradient, slopes)) = found(case, limits, chunks) {
            case.check_that(&gradient, tolerance);
            assert_eq!(slopes.len(), case.rows.len() * case.n_classes);
        }
    }
}

#[test]
fn every_loss_is_the_naive_loops_kinks_included() {
    for loss in kinds() {
        for (n, d) in [(1, 1), (40, 3), (70, 17)] {
            check(&Case::exact(n, d, 5, loss.clone()), 2e-6);
        }
    }
}

#[test]
fn odd_shapes_are_the_naive_loops() {
    let shapes =
        [(1, 1, 2), (1, 300, 3), (2, 7, 2), (65, 31, 10), (3, 5, 64), (3, 5, 65), (5, 19, 1000), (300, 6, 101)];
    for (n, d, k) in shapes {
        for formulation in Formulation::ALL {
            check(&Case::exact(n, d, k, hinge(formulation)), 2e-6);
        }
    }
}

#[test]
fn preprocessing_weights_and_repeated_rows_are_those_of_the_loops() {
    let (n, d, k) = (30, 13, 4);
    let floats: Vec<f32> = (0..n * d).map(|i| (300.0 + 40.0 * value(i)) as f32).collect();
    let bytes: Vec<u8> = floats.iter().map(|v| (v - 200.0) as u8).collect();
    let rows: Vec<u32> = (0..n as u32).rev().chain([3, 3, 3, 0]).collect();
    for features in [Features::F32(Dense::new(d, floats)), Features::U8(Dense::new(d, bytes))] {
        for (center, scale, bias) in [
            (Center::None, Scale::Pixel, BiasRule::None),
            (Center::Mean, Scale::None, BiasRule::Regularised { scale: 2.0 }),
            (Center::Mean, Scale::Std, BiasRule::Free),
            (Center::None, Scale::UnitRow, BiasRule::Free),
            (Center::Mean, Scale::UnitRow, BiasRule::Regularised { scale: 1.0 }),
        ] {
            for formulation in [Formulation::OneVsRest, Formulation::TopK] {
                for weighted in [true, false] {
                    let class_weights = weighted.then(|| vec![0.5, 2.0, 0.0, 1.0]);
                    let case = Case::exact(n, d, k, Loss { class_weights, ..hinge(formulation) });
                    let case = Case {
                        features: features.clone(),
                        scaler: Scaler::fit(&features, &rows, center, scale),
                        weights: Some((0..n).map(|i| (i % 5) as f32 / 2.0).collect()),
                        objective: Objective { bias, ..case.objective.clone() },
                        weight: (0..d * k).map(|i| (0.02 * value(i * 3)) as f32).collect(),
                        bias: case.bias.clone().filter(|_| bias.has_bias()),
                        rows: rows.clone(),
                        ..case
                    };
                    check(&case, 1e-5);
                }
            }
        }
    }
}

/// Buffers of a few rows: their borders, a last one that is not full, rows of several in one batch and of one only.
#[test]
fn rows_of_several_buffers_are_those_of_one() {
    let case = Case::exact(23, 6, 3, hinge(Formulation::WestonWatkins));
    let Features::U8(dense) = &case.features else { unreachable!() };
    let floats = Features::F32(Dense::new(6, dense.values().iter().map(|&v| f32::from(v)).collect()));
    // Bytes: 6 cells are 2 words, 8 bytes; floats: 24.
    for (features, row) in [(case.features.clone(), 8), (floats, 24)] {
        for rows in [(0..23).collect::<Vec<u32>>(), vec![4, 5, 5, 22, 0, 19], vec![7, 6, 7], vec![22]] {
            let case = Case { features: features.clone(), rows, ..Case::exact(23, 6, 3, case.objective.loss.clone()) };
            let Some(whole) = found(&case, ResidentLimits::default(), Some(1)) else { return };
            // The tables of 23 words have to fit as well.
            for (buffer, chunks) in [(5 * row, 5), (12 * row, 2), (23 * row, 1)] {
                let limits = ResidentLimits { buffer: buffer.max(92), ..ResidentLimits::default() };
                let chunks = if buffer < 92 { 23usize.div_ceil(92 / row as usize) } else { chunks };
                // Fewer rows at once add up in another order.
                let (gradient, slopes) = found(&case, limits, Some(chunks)).unwrap();
                case.check_that(&gradient, 2e-6);
                assert_eq!(slopes, whole.1, "{buffer}");
            }
        }
    }
}

/// More rows than one batch may have, and a matrix of which not even a row fits a buffer.
#[test]
fn turns_add_up() {
    for loss in kinds().into_iter().step_by(3) {
        let case = Case::exact(50, 40, 5, loss);
        // 160 bytes a row in f32: 7 rows a turn; 40 bytes a row in bytes.
        let limits = ResidentLimits { buffer: 1_200, ..ResidentLimits::default() };
        if let Some((gradient, _)) = found(&case, limits, Some(2)) {
            case.check_that(&gradient, 2e-6);
        }
    }
    let case = Case::exact(2, 40, 5, hinge(Formulation::CrammerSinger));
    let limits = ResidentLimits { buffer: 39, ..ResidentLimits::default() };
    if let Some((gradient, _)) = found(&case, limits, None) {
        case.check_that(&gradient, 2e-6);
    }
    let nothing = Case { rows: Vec::new(), ..case };
    if let Some((gradient, slopes)) = found(&nothing, ResidentLimits::default(), Some(1)) {
        assert!(slopes.is_empty());
        nothing.check_that(&gradient, 0.0);
    }
}

/// A class whose scores are no numbers: the loss is none, and its own slope is 0.
#[test]
fn a_score_that_is_no_number_costs_no_number() {
    for formulation in [Formulation::WestonWatkins, Formulation::CrammerSinger, Formulation::OneVsRest] {
        for k in [3, 70] {
            let mut case = Case::exact(4, 2, k, hinge(formulation));
            case.bias.as_mut().unwrap()[2] = f32::NAN;
            let Some((gradient, slopes)) = found(&case, ResidentLimits::default(), Some(1)) else { return };
            assert!(gradient.data_loss.is_nan(), "{formulation:?} {k}");
            assert!(slopes.iter().all(|q| q.is_finite()), "{formulation:?} {k}: {slopes:?}");
            let own: Vec<f32> = slopes.chunks(k).map(|row| row[2]).collect();
            assert!(own.iter().all(|&q| q == 0.0), "{formulation:?} {k}: {own:?}");
        }
    }
}

/// The batches of evaluation are those of the host.
#[test]
fn a_batch_is_that_of_the_host() {
    let Some(open) = wgpu_cpu() else { return };
    let case = Case::exact(30, 7, 4, hinge(Formulation::OneVsRest));
    let features = case.features.clone();
    let rows = [3, 29, 3, 0];
    let case = Case {
        scaler: Scaler::fit(&features, &case.rows, Center::Mean, Scale::Std),
        weights: Some((0..30).map(|i| i as f32).collect()),
        ..case
    };
    let Some(pass) = DevicePass::new(case.source(), 4, &case.objective, &open.device, ResidentLimits::default()) else {
        return;
    };
    let (ours, theirs) = (pass.batch(&rows), case.source().gather(&rows).to_device(&open.device));
    let dense = |rows: burn_svm::internals::data::batch::DeviceFeatures| match rows {
        burn_svm::internals::data::batch::DeviceFeatures::Dense(x) => host(x),
        burn_svm::internals::data::batch::DeviceFeatures::Sparse(_) => unreachable!(),
    };
    assert!(worst(&dense(ours.rows), &dense(theirs.rows)) <= 1e-6);
    assert_eq!(host(ours.labels.float()), host(theirs.labels.float()));
    assert_eq!(host(ours.weights.unwrap()), host(theirs.weights.unwrap()));
}
