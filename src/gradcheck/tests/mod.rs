//! Correct losses pass wherever they are taken, and kinks are stepped around.

use super::judge::Candidates;
use super::*;
use crate::data::batch::Source;
use crate::data::{Center, Csr, Dense, Features, Scale, Scaler};
use crate::device::{DeviceName, OpenDevice, open};
use crate::loss::{Formulation, Loss, Power};
use crate::objective::Objective;
use burn::tensor::{Int, Tensor};
use routes::Gradient;

mod mistakes;

const D: usize = 6;
const K: usize = 4;
const N: usize = 40;

/// Row-major features of the given spread, and labels.
fn rows(spread: f64, seed: u64) -> (Vec<f64>, Vec<u32>) {
    let mut rng = generator(seed);
    let features = normal(N * D, &mut rng).into_iter().map(|v| v / DEVIATION * spread).collect();
    (features, (0..N as u32).map(|i| i % K as u32).collect())
}

fn cpu() -> Device {
    crate::device::cpu().expect("a CPU backend is compiled in")
}

fn all_losses() -> impl Iterator<Item = Loss> {
    let kinds = |f: Formulation| {
        let plain = f.powers().iter().map(move |&p| Loss::new(f, 1.0, p));
        let smoothed = Loss::new(f, 1.0, Power::One).smoothing(0.5);
        plain.chain([smoothed]).map(|loss| loss.k(2))
    };
    Formulation::ALL.into_iter().flat_map(kinds).flat_map(|loss| {
        let weighted = loss.clone().class_weights(vec![1.0, 0.3, 2.0, 0.7]);
        [loss, weighted]
    })
}

fn flex() -> OpenDevice {
    let device = open(DeviceName::default());
    device.unwrap_or_else(|_| OpenDevice { device: cpu(), name: DeviceName::default(), adapter: None })
}

#[test]
fn every_loss_passes_at_every_scale() {
    for loss in all_losses() {
        let module = loss.init(&cpu());
        for (spread, lambda) in [(0.3, 1e-2), (1.0, 1.0), (100.0, 100.0), (100.0, 5e4)] {
            for seed in 0..3 {
                let (features, labels) = rows(spread, seed);
                let weight: Vec<f64> =
                    normal(D * K, &mut generator(9 + seed)).iter().map(|w| w * 3e3 / spread).collect();
                for given in [None, Some(weight.as_slice())] {
                    let report = check(&Inputs {
                        weight: given,
                        lambda,
                        bias_rule: BiasRule::Regularised { scale: 1.0 },
                        seed,
                        ..Inputs::new(module.as_ref(), &features, &labels, K)
                    });
                    let report = report.unwrap();
                    assert!(report.verdict.passed, "{loss:?} {spread} {lambda}: {}", report.verdict);
                    assert!(
                        report.verdict.max_relative_error <= 1e-7,
                        "{loss:?} {spread} {lambda}: {}",
                        report.verdict
                    );
                    assert_eq!(report.verdict.unresolved, 0);
                    assert_eq!(report.coordinates.len(), 40);
                }
            }
        }
    }
}

/// One row of two features; score of class 1 is `x · w`, of class 0 zero.
fn one_row(module: &dyn MarginLoss, x: &[f64], w: &[f64]) -> Report {
    let weight: Vec<f64> = w.iter().flat_map(|&w| [0.0, w]).collect();
    check(&Inputs { weight: Some(&weight), coordinates: 100, ..Inputs::new(module, x, &[0], 2) }).unwrap()
}

#[test]
fn a_kink_within_the_step_is_named_and_stepped_around() {
    let loss = Loss::new(Formulation::WestonWatkins, 1.0, Power::One).init(&cpu());
    // The margin is 1 + w·x = ±4e-6: inside for x = 1 (h = 1e-5), outside for x = 0.1.
    for (gap, gradient, side) in [(4e-6, 1.0, Side::Before), (-4e-6, 0.0, Side::After)] {
        let report = one_row(loss.as_ref(), &[1.0, 0.1], &[-1.0 + gap, 0.0]);
        assert!(report.verdict.passed, "{}", report.verdict);
        assert_eq!((report.verdict.checked, report.verdict.kinks), (4, 2));
        let find = |feature| {
            report.coordinates.iter().find(|l| l.parameter == Parameter::Weight { feature, class: 1 }).unwrap()
        };
        let line = find(0);
        assert_eq!(line.kinks, [Kink { row: 0, label: 0, classes: vec![1], side }]);
        assert_eq!(line.analytic, gradient);
        assert!((line.numerical - gradient).abs() < 1e-9, "{line}");
        // The number of a plain check.
        let naive = if gap > 0.0 { 0.7 } else { 0.3 };
        assert!((line.centred - naive).abs() < 1e-6, "{line:?}");
        assert!(line.to_string().ends_with(", kink at row 0 (label 0, class 1)"), "{line}");
        assert!(find(1).kinks.is_empty());
    }
}

#[test]
fn the_same_place_is_no_kink_for_the_squared_hinge() {
    let loss = Loss::new(Formulation::WestonWatkins, 1.0, Power::Two).init(&cpu());
    for x in [1.0, 255.0] {
        let report = one_row(loss.as_ref(), &[x, 0.1], &[(-1.0 + 4e-6) / x, 0.0]);
        assert!(report.verdict.passed, "{} {:?}", report.verdict, report.coordinates);
        assert_eq!(report.verdict.kinks, 0);
    }
}

#[test]
fn a_met_margin_is_differenced_on_its_flat_side() {
    for formulation in Formulation::ALL {
        let loss = Loss::new(formulation, 1.0, Power::One).init(&cpu());
        let report = one_row(loss.as_ref(), &[1.0, 1.0], &[-1.0, 0.0]);
        assert!(report.verdict.passed, "{formulation:?} {}", report.verdict);
        assert!(report.verdict.kinks > 0);
    }
}

#[test]
fn crammer_singer_changes_its_winner() {
    for power in [Power::One, Power::Two] {
        let loss = Loss::new(Formulation::CrammerSinger, 1.0, power).init(&cpu());
        // Classes 1 and 2 are 3e-6 apart; class 1 is the worst.
        let weight = [0.0, 0.5, 0.5 - 3e-6];
        let report = check(&Inputs { weight: Some(&weight), ..Inputs::new(loss.as_ref(), &[1.0], &[0], 3) }).unwrap();
        assert!(report.verdict.passed, "{}", report.verdict);
        assert_eq!(report.verdict.kinks, 2);
        let kinked: Vec<_> = report.coordinates.iter().filter(|l| !l.kinks.is_empty()).collect();
        assert!(kinked.iter().all(|l| l.kinks[0].classes == [1, 2]), "{kinked:?}");
        assert!(report.verdict.max_relative_error <= 1e-7, "{}", report.verdict);
    }
}

/// |s_1 − s_0| per row: a kink with slopes on both sides; and rows that pull both ways from one point.
#[derive(Debug)]
struct Distance;

impl MarginLoss for Distance {
    fn name(&self) -> &'static str {
        "distance"
    }
    fn forward_no_reduction(&self, scores: Tensor<2>, _: Tensor<1, Int>) -> Tensor<1> {
        let [n, _] = scores.dims();
        scores.clone().narrow(1, 1, 1).sub(scores.narrow(1, 0, 1)).abs().reshape([n])
    }
    fn gradient(&self, scores: Tensor<2>, _: Tensor<1, Int>) -> Tensor<2> {
        let sign = scores.clone().narrow(1, 1, 1).sub(scores.narrow(1, 0, 1)).sign();
        Tensor::cat(vec![sign.clone().neg(), sign], 1)
    }
    fn kinks(&self, before: &[f64], after: &[f64], _: usize) -> Vec<usize> {
        let sign = |s: &[f64]| (s[1] - s[0]).partial_cmp(&0.0);
        if sign(before) == sign(after) { vec![] } else { vec![0, 1] }
    }
}

#[test]
fn a_kink_on_both_sides_is_unresolved_and_no_failure() {
    let report = one_row(&Distance, &[1.0], &[0.0]);
    assert_eq!((report.verdict.unresolved, report.verdict.failed), (2, 0));
    assert!(report.verdict.passed, "{}", report.verdict);
    assert!((report.coordinates[0].step - 1e-9).abs() < 1e-15);
    assert!(report.coordinates[0].to_string().contains("kink unresolved at row 0 (label 0, class 0 and 1)"));
    assert!(report.verdict.to_string().contains("2 kinks unresolved"), "{}", report.verdict);
}

/// |s_1 − 1e-7| + |s_1 + 1e-7|: kinks on both sides, which a smaller step gets between.
#[derive(Debug)]
struct Between;

impl Between {
    fn pieces(scores: Tensor<2>) -> [Tensor<2>; 2] {
        [-1e-7, 1e-7].map(|shift| scores.clone().narrow(1, 1, 1).add_scalar(shift))
    }
}

impl MarginLoss for Between {
    fn name(&self) -> &'static str {
        "between"
    }
    fn forward_no_reduction(&self, scores: Tensor<2>, _: Tensor<1, Int>) -> Tensor<1> {
        let [n, _] = scores.dims();
        let [a, b] = Self::pieces(scores);
        a.abs().add(b.abs()).reshape([n])
    }
    fn gradient(&self, scores: Tensor<2>, _: Tensor<1, Int>) -> Tensor<2> {
        let [a, b] = Self::pieces(scores);
        let sign = a.sign().add(b.sign());
        Tensor::cat(vec![sign.zeros_like(), sign], 1)
    }
    fn kinks(&self, before: &[f64], after: &[f64], _: usize) -> Vec<usize> {
        let pattern = |s: &[f64]| [-1e-7, 1e-7].map(|shift| s[1] + shift > 0.0);
        if pattern(before) == pattern(after) { vec![] } else { vec![1] }
    }
}

#[test]
fn a_smaller_step_gets_between_two_kinks() {
    let report = one_row(&Between, &[1.0], &[2e-8]);
    assert!(report.verdict.passed && report.verdict.unresolved == 0, "{}", report.verdict);
    let line = report.coordinates.iter().find(|l| l.parameter.class() == 1).unwrap();
    assert!(line.step < 1.5e-7 && line.numerical.abs() < 1e-6, "{line:?}");
}

#[test]
fn lines_look_like_the_tutorials() {
    let line = Coordinate {
        parameter: Parameter::Weight { feature: 3, class: 1 },
        regularised: false,
        numerical: 0.449_971_2,
        analytic: 0.449_971_2,
        autodiff: 0.449_971_2,
        centred: 0.45,
        centred_error: 6.4e-5,
        relative_error: 5.636_661e-10,
        step: 1e-5,
        kinks: vec![],
        judgement: Judgement::Agreed,
    };
    assert_eq!(
        line.to_string(),
        "numerical: 0.449971 analytic: 0.449971 autodiff: 0.449971, relative error: 5.636661e-10"
    );
    let kink = |row| Kink { row, label: 3, classes: vec![5], side: Side::After };
    let line = Coordinate { kinks: vec![kink(1), kink(2), kink(9)], judgement: Judgement::Failed, ..line };
    assert!(
        line.to_string()
            .ends_with(", centred: 0.450000, off by 6.4e-5, kink at row 1 (label 3, class 5), row 2 (label 3, class 5) and 1 more rows, FAILED"),
        "{line}"
    );
}

#[test]
fn errors_below_the_floor_are_none() {
    assert_eq!(judge::relative_error(0.0, 0.0, 0.1), 0.0);
    assert_eq!(judge::relative_error(0.0, 0.9e-9, 0.1), 0.0);
    assert!((judge::relative_error(1.0, 1.0 + 1e-9, 0.1) - 0.5e-9).abs() < 1e-15);
    assert_eq!(judge::relative_error(0.0, 1e-7, 100.0), 0.0);
    assert!((judge::relative_error(1.0, 3.0, 1.0) - 0.5).abs() < 1e-15);
    assert!((judge::relative_error(0.0, 1e-8, 1.0) - 1.0).abs() < 1e-15);
    assert!(judge::relative_error(f64::NAN, 0.0, 1.0).is_nan());
    assert!(judge::relative_error(f64::INFINITY, f64::INFINITY, 1.0).is_nan());
}

/// Sparse rows, a third of them empty, and their labels.
fn sparse() -> (Features<'static>, Vec<u32>) {
    let mut csr = Csr::new(50);
    for i in 0..30u32 {
        for j in 0..50u32 {
            if i % 3 > 0 && (i * 7 + j * 13).is_multiple_of(11) {
                csr.push_cell(j, (f64::from(i * 31 + j * 17) * 0.1).sin() as f32 * 3.0);
            }
        }
        csr.finish_row();
    }
    csr.set_n_features(50);
    (Features::Sparse(csr), (0..30).map(|i| i % 4).collect())
}

fn objective(loss: Loss, bias: BiasRule) -> Objective {
    Objective { loss, lambda: 0.25, bias }
}

#[test]
fn rows_of_data_sets_pass_dense_and_sparse() {
    let device = flex();
    let (sparse, labels) = sparse();
    let Features::Sparse(csr) = &sparse else { unreachable!() };
    let dense = Features::F32(Dense::new(50, csr.to_dense()));
    let bytes = Features::U8(Dense::new(50, csr.to_dense().iter().map(|v| (v * 40.0).abs() as u8).collect()));
    let rows: Vec<u32> = (0..30).filter(|r| r % 5 != 0).collect();
    for loss in all_losses() {
        for features in [&sparse, &dense, &bytes] {
            for center in [Center::None, Center::Mean] {
                for scale in [Scale::None, Scale::Std, Scale::UnitRow] {
                    let scaler = Scaler::fit(features, &rows, center, scale);
                    let objective = objective(loss.clone(), BiasRule::Regularised { scale: 2.0 });
                    let weight: Vec<f32> = (0..200).map(|i| (i as f32 * 0.7).sin()).collect();
                    for weight in [None, Some(weight.as_slice())] {
                        let report = check_rows(&RowCheckInput {
                            source: Source { features, labels: &labels, scaler: &scaler, weights: None },
                            rows: &rows,
                            n_classes: 4,
                            objective: &objective,
                            weight,
                            bias: Some(&[0.5, -0.5, 1.0, 0.0]),
                            device: &device,
                            coordinates: 10,
                            step: STEP,
                            profiles: 0,
                            seed: 4,
                        });
                        let report = report.unwrap();
                        let what = format!("{loss:?} {} {center:?} {scale:?}", features.kind());
                        assert!(report.verdict.passed, "{what} {} {:?}", report.verdict, report.device);
                        assert_eq!((report.n_samples, report.n_features), (24, 50));
                        assert!(report.losses.zero_is_right() && report.losses.expected_at_zero.is_some());
                        assert!(
                            report.coordinates.iter().flat_map(|l| &l.kinks).all(|k| rows.contains(&(k.row as u32)))
                        );
                        assert_eq!(report.device.unwrap().kink_rows, 0, "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn nothing_to_check_on_is_an_error() {
    let loss = Loss::new(Formulation::WestonWatkins, 1.0, Power::One).init(&cpu());
    assert_eq!(check(&Inputs::new(loss.as_ref(), &[], &[], 3)).unwrap_err(), GradcheckError::NoRows);
    assert_eq!(check(&Inputs::new(loss.as_ref(), &[1.0], &[0], 1)).unwrap_err(), GradcheckError::NoRows);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let loss = Loss::weston_watkins().init(&cpu());
    let inputs = Inputs::new(loss.as_ref(), &[1.0, 2.0], &[0, 1], 3);
    let said = |inputs: &Inputs<'_>| check(inputs).unwrap_err().to_string();
    let wrong = Inputs { labels: &[0, 3], ..inputs.clone() };
    assert_eq!(said(&wrong), "a gradient check got label 3 of row 1, expected class indices below 3");
    let wrong = Inputs { features: &[1.0, 2.0, 3.0], ..inputs.clone() };
    assert_eq!(said(&wrong), "a gradient check got 3 features for 2 labels, expected as many to each row");
    let wrong = Inputs { row_weights: Some(&[1.0]), ..inputs.clone() };
    assert_eq!(said(&wrong), "a gradient check got 1 row weights for 2 rows, expected one a row");
    let wrong = Inputs { weight: Some(&[1.0; 4]), ..inputs.clone() };
    assert_eq!(said(&wrong), "a gradient check got 4 weights, expected 3");
    let bias = Inputs { weight: Some(&[1.0; 3]), bias: Some(&[0.0]), ..inputs };
    assert_eq!(said(&bias), "a gradient check got 1 biases, expected 3");
}

/// A loss that is always in single precision, or of another shape.
#[derive(Debug)]
struct Narrow {
    summed: bool,
}

impl MarginLoss for Narrow {
    fn name(&self) -> &'static str {
        "narrow"
    }

    fn forward_no_reduction(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        let loss = Loss::weston_watkins().init(&cpu()).forward_no_reduction(scores, labels);
        if self.summed { Tensor::cat(vec![loss.clone(), loss], 0) } else { loss.cast(DType::F32) }
    }

    fn gradient(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<2> {
        Loss::weston_watkins().init(&cpu()).gradient(scores, labels)
    }
}

#[test]
fn a_loss_in_another_type_or_shape_is_an_error() {
    for (summed, found) in [(false, "F32 and shape [1]"), (true, "F64 and shape [2]")] {
        let loss = Narrow { summed };
        let error = check(&Inputs::new(&loss, &[1.0, 2.0], &[0, 1], 3)).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("`narrow` answers scores of type F64 with a loss of type {found}, expected F64 and [1]")
        );
    }
}

#[test]
fn the_seed_decides_everything() {
    let loss = Loss::new(Formulation::OneVsRest, 1.0, Power::One).init(&cpu());
    let (features, labels) = rows(1.0, 0);
    let report = |seed| check(&Inputs { seed, ..Inputs::new(loss.as_ref(), &features, &labels, K) }).unwrap();
    assert_eq!(report(7), report(7));
    assert_ne!(report(7).coordinates, report(8).coordinates);
}
