//! Gradients of losses and of the linear model: by hand, by autodiff, by differences, dense and sparse, on every device.

use crate::support::{
    Target, costs_of, cpu_targets, devices, error, grid_case, host, kinds, loss, naive, naive_of, smooth_case, targets,
    worst,
};
use burn::module::Param;
use burn::nn::Linear;
use burn::nn::loss::Reduction;
use burn::tensor::{DType, Tensor, TensorData};
use burn_svm::internals::data::batch::{DeviceFeatures, Source};
use burn_svm::internals::data::{Center, Csr, Dense, Features, Scale, Scaler};
use burn_svm::internals::loss::{Formulation, Loss, Power};
use burn_svm::internals::model::LinearSvm;
use burn_svm::internals::reference::{
    ReferenceProblem, weston_watkins_by_class, weston_watkins_matrix, weston_watkins_naive,
};
use proptest::prelude::*;

proptest! {
    #[test]
    fn every_route_is_the_naive_loops_kinks_included(case in grid_case()) {
        let k = case.n_classes;
        let expected = naive(&case.loss, &case.scores, &case.labels, k).1;
        for target in cpu_targets() {
            let analytic = target.analytic(&case.loss, &case.scores, &case.labels, k);
            let off = worst(&analytic, &expected);
            prop_assert!(off <= target.tolerance(), "analytic {} {:?}: {off}", target.name, target.dtype);
            let autodiff = target.autodiff(&case.loss, &case.scores, &case.labels, k);
            let off = worst(&autodiff, &analytic);
            prop_assert!(off <= target.tolerance(), "autodiff {} {:?}: {off} {autodiff:?}", target.name, target.dtype);
            if let Some(fused) = target.fused(&case.loss, &case.scores, &case.labels, k) {
                let off = worst(&fused, &expected);
                prop_assert!(off <= target.tolerance(), "fused: {off}");
            }
        }
    }

    #[test]
    fn in_double_precision_they_agree_anywhere(case in smooth_case()) {
        let k = case.n_classes;
        let expected = naive(&case.loss, &case.scores, &case.labels, k).1;
        for target in cpu_targets().into_iter().filter(Target::is_double) {
            prop_assert!(worst(&target.analytic(&case.loss, &case.scores, &case.labels, k), &expected) <= 1e-12);
            prop_assert!(worst(&target.autodiff(&case.loss, &case.scores, &case.labels, k), &expected) <= 1e-12);
        }
        let mut row_q = vec![0.0; k];
        for (i, (row, label)) in case.rows().enumerate() {
            case.loss.gradient_of_row(row, label, &mut row_q);
            prop_assert!(worst(&row_q, &expected[i * k..(i + 1) * k]) <= 1e-12);
        }
    }

    #[test]
    fn differences_are_the_gradient_where_no_kink_is_reported(case in smooth_case()) {
        let k = case.n_classes;
        // The squared hinge bends where a margin changes its sign: an error of at most its curvature times h.
        let h = 1e-6;
        let Some(target) = cpu_targets().into_iter().find(Target::is_double) else { return Ok(()) };
        let module = case.loss.init(&target.device);
        let q = target.analytic(&case.loss, &case.scores, &case.labels, k);
        let value = |scores: &[f64], label: usize| target.values(&case.loss, scores, &[label as u32], k)[0];
        for (i, (row, label)) in case.rows().enumerate() {
            for j in 0..k {
                let at = |shift: f64| {
                    let mut moved = row.to_vec();
                    moved[j] += shift;
                    moved
                };
                let kinks = [module.kinks(&at(-h), row, label), module.kinks(row, &at(h), label)].concat();
                let near = case.margins(row, label).iter().any(|z| z.abs() <= 2.0 * h);
                if !kinks.is_empty() || near {
                    continue;
                }
                let difference = (value(&at(h), label) - value(&at(-h), label)) / (2.0 * h);
                // Rounding of a loss of up to 1e6 over a step of 1e-6.
                let size = 1.0 + value(row, label).abs() * 1e-2;
                prop_assert!(error(difference, q[i * k + j], size) <= 1e-7, "{difference} {}", q[i * k + j]);
            }
        }
    }

    #[test]
    fn rows_of_q_sum_to_zero_for_losses_of_differences(case in grid_case()) {
        prop_assume!(case.loss.margins.differences());
        for target in cpu_targets() {
            let q = target.analytic(&case.loss, &case.scores, &case.labels, case.n_classes);
            for row in q.chunks(case.n_classes) {
                let (sum, size) = (row.iter().sum::<f64>(), row.iter().map(|v| v.abs()).sum::<f64>());
                let exact = case.loss.set.smoothing == 0.0 && case.loss.set.selection.count().unwrap_or(1).is_power_of_two();
                if exact && case.loss.class_weights.is_none() {
                    // Counts, or slopes on the grid: nothing is rounded.
                    prop_assert_eq!(sum, 0.0);
                } else {
                    prop_assert!(sum.abs() <= target.tolerance() * size, "{sum} of {size}");
                }
            }
        }
    }

    #[test]
    fn at_power_one_the_labels_entry_counts_the_violations(case in grid_case()) {
        let loss = loss(Formulation::WestonWatkins, case.loss.margins.largest(), Power::One);
        let case = crate::support::Case { loss, ..case };
        for target in cpu_targets() {
            let q = target.analytic(&case.loss, &case.scores, &case.labels, case.n_classes);
            for ((row, label), q) in case.rows().zip(q.chunks(case.n_classes)) {
                let violations = case.margins(row, label).iter().filter(|z| **z > 0.0).count();
                prop_assert_eq!(q[label], -(violations as f64));
            }
        }
    }
}

/// Scores, label, and the gradient that the conventions demand at power 1.
type Convention = (Formulation, [f64; 4], u32, [f64; 4]);

/// Slope 0 where a margin is exactly met, the lowest class on a tie.
const CONVENTIONS: [Convention; 12] = [
    // Every margin met; some met; all above.
    (Formulation::WestonWatkins, [1.0, 0.0, 0.0, 0.0], 0, [0.0, 0.0, 0.0, 0.0]),
    (Formulation::WestonWatkins, [1.0, 2.0, 1.0, 0.0], 1, [0.0, 0.0, 0.0, 0.0]),
    (Formulation::WestonWatkins, [1.0, 2.0, 1.5, 0.0], 1, [0.0, -1.0, 1.0, 0.0]),
    (Formulation::WestonWatkins, [0.0, 0.0, 0.0, 0.0], 3, [1.0, 1.0, 1.0, -3.0]),
    (Formulation::CrammerSinger, [1.0, 0.0, 0.0, 0.0], 0, [0.0, 0.0, 0.0, 0.0]),
    (Formulation::CrammerSinger, [0.0, 0.0, 0.0, 0.0], 0, [-1.0, 1.0, 0.0, 0.0]),
    (Formulation::CrammerSinger, [0.0, 0.0, 0.0, 0.0], 2, [1.0, 0.0, -1.0, 0.0]),
    (Formulation::CrammerSinger, [1.0, 3.0, 3.0, 3.0], 0, [-1.0, 1.0, 0.0, 0.0]),
    (Formulation::CrammerSinger, [1.0, 2.0, 3.0, 3.0], 3, [0.0, 0.0, 1.0, -1.0]),
    (Formulation::OneVsRest, [1.0, -1.0, -1.0, -1.0], 0, [0.0, 0.0, 0.0, 0.0]),
    (Formulation::OneVsRest, [0.5, -1.0, -0.5, -2.0], 0, [-1.0, 0.0, 1.0, 0.0]),
    (Formulation::OneVsRest, [0.0, 0.0, 0.0, 0.0], 1, [1.0, -1.0, 1.0, 1.0]),
];

#[test]
fn conventions_at_kinks_and_ties_hold_on_every_route_and_device() {
    for target in targets() {
        for (formulation, scores, label, expected) in CONVENTIONS {
            let one = loss(formulation, 1.0, Power::One);
            for (route, q) in target.routes(&one, &scores, &[label], 4) {
                assert_eq!(q, expected, "{} {route} {formulation:?} {scores:?}", target.name);
            }
            // Squared: the slope is 2z, so 0 at the kink as well, and on a tie the lowest class alone is pulled.
            let two = loss(formulation, 1.0, Power::Two);
            let squared = naive(&two, &scores, &[label], 4).1;
            for (route, q) in target.routes(&two, &scores, &[label], 4) {
                assert_eq!(q, squared, "{} {route} {formulation:?}", target.name);
            }
            assert_eq!(squared.iter().map(|v| *v != 0.0).collect::<Vec<_>>(), expected.map(|v| v != 0.0));
        }
    }
}

/// k, scores, label, and the gradient of top-k times k.
const TOP_K: [(usize, [f64; 4], u32, [f64; 4]); 6] = [
    // Every margin met; a tie of three for two places; one met below one charged; k = 1 and k = 3 are the other losses.
    (2, [1.0, 0.0, 0.0, 0.0], 0, [0.0, 0.0, 0.0, 0.0]),
    (2, [1.0, 3.0, 3.0, 3.0], 0, [-2.0, 1.0, 1.0, 0.0]),
    (2, [1.0, 2.0, 1.5, 1.0], 1, [0.0, -1.0, 1.0, 0.0]),
    (1, [1.0, 3.0, 3.0, 3.0], 0, [-1.0, 1.0, 0.0, 0.0]),
    (3, [1.0, 3.0, 3.0, 3.0], 0, [-3.0, 1.0, 1.0, 1.0]),
    (7, [1.0, 3.0, 3.0, 3.0], 0, [-3.0, 1.0, 1.0, 1.0]),
];

#[test]
fn top_k_takes_the_lowest_indices_of_a_tie_on_every_route_and_device() {
    for target in targets() {
        for (k, scores, label, expected) in TOP_K {
            let loss = Loss::top_k(k);
            let expected = expected.map(|v| v / k as f64);
            for (route, q) in target.routes(&loss, &scores, &[label], 4) {
                assert!(worst(&q, &expected) <= target.tolerance(), "{} {route} {k} {scores:?} {q:?}", target.name);
            }
        }
    }
}

#[test]
fn a_margin_of_zero_keeps_the_conventions() {
    // With Δ = 0 equal scores meet every margin.
    for target in targets() {
        for formulation in Formulation::ALL {
            for &power in formulation.powers() {
                let loss = loss(formulation, 0.0, power);
                for (route, q) in target.routes(&loss, &[0.0; 4], &[1], 4) {
                    assert_eq!(q, [0.0; 4], "{} {route} {formulation:?} {power:?}", target.name);
                }
            }
        }
    }
}

#[test]
fn every_kind_of_loss_has_the_naive_gradient_on_every_device() {
    let scores: Vec<f64> = (0..35).map(|i| f64::from((i * 23) % 17 - 8) / 4.0).collect();
    let labels = [0, 1, 2, 3, 4, 0, 2];
    for target in targets() {
        for loss in kinds() {
            let expected = naive(&loss, &scores, &labels, 5).1;
            for (route, q) in target.routes(&loss, &scores, &labels, 5) {
                let off = worst(&q, &expected);
                assert!(off <= target.tolerance(), "{} {:?} {route} {loss:?}: {off:.1e}", target.name, target.dtype);
            }
        }
    }
}

#[test]
fn the_three_forms_of_the_tutorial_and_the_tensors_agree() {
    let (n, d, k) = (9, 4, 5);
    let x: Vec<f64> = (0..n * d).map(|i| (i as f64 * 0.7).sin() * 2.0).collect();
    let weight: Vec<f64> = (0..d * k).map(|i| (i as f64 * 1.3).cos()).collect();
    let labels: Vec<u32> = (0..n as u32).map(|i| i * 2 % k as u32).collect();
    for loss in kinds() {
        let (class_weights, costs) = (loss.class_weights.as_deref(), costs_of(&loss));
        let sample = ReferenceProblem {
            x: &x,
            labels: &labels,
            weight: &weight,
            n_classes: k,
            class_weights,
            margin: loss.margins.largest(),
            costs: costs.as_deref(),
            power: loss.set.power,
            lambda: 0.3,
        };
        let expected = naive_of(&loss, &sample);
        if loss.name() == "weston_watkins" && loss.set.smoothing == 0.0 {
            for form in [weston_watkins_naive, weston_watkins_by_class, weston_watkins_matrix] {
                let found = form(&sample);
                assert!(error(found.loss, expected.loss, 1.0) <= 1e-12);
                assert!(worst(&found.gradient, &expected.gradient) <= 1e-12);
            }
        }
        for target in cpu_targets().iter().filter(|t| t.is_double()) {
            let rows = DeviceFeatures::Dense(target.scores(&x, d));
            let model = |target: &Target| LinearSvm {
                linear: Linear { weight: Param::from_tensor(target.scores(&weight, k)), bias: None },
            };
            let module = loss.init(&target.device);
            let plain = model(target);
            let q = module.gradient(plain.scores(&rows, None), target.labels(&labels)).div_scalar(n as f64);
            let gradient = plain.backward(&rows, None, q).0.add(plain.linear.weight.val().mul_scalar(0.3));
            assert!(worst(&host(gradient), &expected.gradient) <= 1e-12, "{} {loss:?}", target.name);

            let tracked = model(&Target { device: target.device.clone().autodiff(), ..target.clone() });
            let w = tracked.linear.weight.val();
            let data = module.forward(tracked.scores(&rows, None), target.labels(&labels), Reduction::Mean);
            let total = data.add(w.clone().mul(w.clone()).sum().mul_scalar(0.15));
            assert!(error(host(total.clone().inner())[0], expected.loss, 1.0) <= 1e-12);
            assert!(worst(&host(w.grad(&total.backward()).unwrap()), &expected.gradient) <= 1e-12);
        }
    }
}

const N_FEATURES: usize = 12;

/// Eight sparse rows, two of them empty.
fn csr() -> Csr<'static> {
    let mut csr = Csr::new(N_FEATURES);
    for i in 0..8u32 {
        for j in (0..N_FEATURES as u32).filter(|j| i % 4 != 1 && (i * 5 + j * 3) % 7 < 2) {
            csr.push_cell(j, ((i * 11 + j * 7) % 13) as f32 * 0.5 - 2.0);
        }
        csr.finish_row();
    }
    csr.set_n_features(N_FEATURES);
    csr
}

#[test]
fn sparse_rows_score_and_pull_as_dense_ones() {
    let csr = csr();
    let dense = Features::F32(Dense::new(N_FEATURES, csr.to_dense()));
    let sparse = Features::Sparse(csr);
    let labels = [0, 1, 2, 0, 1, 2, 0, 1];
    let rows: Vec<u32> = vec![3, 0, 1, 1, 7, 5];
    let weight: Vec<f32> = (0..N_FEATURES * 3).map(|i| (i as f32 * 0.9).sin()).collect();
    for open in devices() {
        let device = &open.device;
        let mut largest = 0.0f64;
        for center in [Center::None, Center::Mean] {
            for scale in [Scale::None, Scale::Std, Scale::UnitRow] {
                let scaler = Scaler::fit(&sparse, &[0, 1, 2, 3, 4, 5, 6, 7], center, scale);
                let of = |features: &Features, tracked: bool| {
                    let source = Source { features, labels: &labels, scaler: &scaler, weights: None };
                    let device = if tracked { device.clone().autodiff() } else { device.clone() };
                    let model = LinearSvm::from_values(weight.clone(), Some(vec![0.5, -1.0, 0.25]), 3, &device);
                    let plain = device.without_autodiff();
                    let batch = source.gather(&rows).to_device(&plain);
                    let offset = source.sparse_offset(&plain);
                    let scores = model.scores(&batch.rows, offset.as_ref());
                    if tracked {
                        let module = loss(Formulation::WestonWatkins, 1.0, Power::Two).init(&plain);
                        let sum = module.forward(scores, batch.labels, Reduction::Sum).backward();
                        let bias = model.linear.bias.as_ref().unwrap().val().grad(&sum).unwrap();
                        return [host(model.linear.weight.val().grad(&sum).unwrap()), host(bias)].concat();
                    }
                    let q: Vec<f32> = (0..rows.len() * 3).map(|i| (i as f32 * 0.4).cos()).collect();
                    let q = Tensor::<2>::from_data(TensorData::new(q, [rows.len(), 3]), &plain);
                    let (dw, db) = model.backward(&batch.rows, offset.as_ref(), q);
                    [host(scores), host(dw), host(db.unwrap())].concat()
                };
                for tracked in [false, true] {
                    let off = worst(&of(&sparse, tracked), &of(&dense, tracked));
                    assert!(off <= 2e-6, "{} {center:?} {scale:?} {tracked}: {off}", open.label());
                    largest = largest.max(off);
                }
            }
        }
        println!("{}: sparse against dense {largest:.1e}", open.label());
    }
}

#[test]
fn a_batch_of_empty_sparse_rows_scores_the_bias() {
    let sparse = Features::Sparse(csr());
    let scaler = Scaler::default();
    for open in devices() {
        let source = Source { features: &sparse, labels: &[0; 8], scaler: &scaler, weights: None };
        let batch = source.gather(&[1, 5]).to_device(&open.device);
        let model = LinearSvm::from_values(vec![1.0; N_FEATURES * 3], Some(vec![0.5, -1.0, 0.25]), 3, &open.device);
        assert_eq!(host(model.scores(&batch.rows, None)), [0.5, -1.0, 0.25, 0.5, -1.0, 0.25], "{}", open.label());
        let (dw, db) = model.backward(&batch.rows, None, Tensor::ones([2, 3], &open.device));
        assert_eq!(host(dw), vec![0.0; N_FEATURES * 3]);
        assert_eq!(host(db.unwrap()), [2.0; 3]);
    }
}

#[test]
fn ties_are_predicted_as_the_lowest_class() {
    for open in devices() {
        let model = LinearSvm::from_values(vec![0.0, 1.0, 1.0, 0.0, 0.0, 0.0], None, 3, &open.device);
        let x = Tensor::<2>::from_data([[1.0, 0.0], [0.0, 1.0], [-1.0, 3.0]], &open.device);
        let found = model.predict(&DeviceFeatures::Dense(x), None).into_data().try_to_vec_as::<i64>().unwrap();
        assert_eq!(found, [1, 0, 0], "{}", open.label());
    }
    assert!(cpu_targets().iter().any(|t| t.dtype == DType::F32));
}
