//! The gradient check as a library user meets it: a loss from outside the crate, the bundled digits, raw pixels, the report.

use crate::support::{cpu_devices, devices, kinds, loss, resized, wgpu_cpu};
use burn::tensor::activation::{log_softmax, softmax};
use burn::tensor::{Int, Tensor};
use burn_svm::internals::data::batch::Source;
use burn_svm::internals::data::{Center, Dense, Features, Scale, Scaler};
use burn_svm::internals::device::{self, OpenDevice};
use burn_svm::internals::gradcheck::{GradientPoint, Inputs, RowCheckInput, STEP, Side, check, check_rows};
use burn_svm::internals::loss::{Formulation, Loss, MarginLoss, Power};
use burn_svm::internals::model::BiasRule;
use burn_svm::internals::objective::Objective;

/// Cross-entropy: smooth, so that it keeps the default of `kinks`.
#[derive(Debug)]
struct CrossEntropy {
    wrong: bool,
}

impl MarginLoss for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn forward_no_reduction(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        let [n, _] = scores.dims();
        log_softmax(scores, 1).gather(1, labels.reshape([n, 1])).neg().reshape([n])
    }

    fn gradient(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<2> {
        let [n, k] = scores.dims();
        let classes = Tensor::<1, Int>::arange(0..k as i64, &labels.device()).reshape([1, k]).expand([n, k]);
        let own = classes.equal(labels.reshape([n, 1]).expand([n, k]));
        let p = softmax(scores, 1);
        let less = p.clone().sub_scalar(if self.wrong { 0.9 } else { 1.0 });
        p.mask_where(own, less)
    }
}

#[test]
fn a_smooth_loss_from_outside_is_checked() {
    for spread in [1.0, 100.0] {
        let x: Vec<f64> = (0..60 * 5).map(|i| (f64::from(i) * 0.7).sin() * spread).collect();
        let labels: Vec<u32> = (0..60).map(|i| i % 3).collect();
        let report = |loss: &CrossEntropy| check(&Inputs::new(loss, &x, &labels, 3)).unwrap();
        let right = report(&CrossEntropy { wrong: false });
        assert!(right.verdict.passed && right.verdict.kinks == 0, "{}", right.verdict);
        assert!(right.verdict.max_relative_error <= 1e-7, "{}", right.verdict);
        assert!((right.losses.at_zero - 3.0f64.ln()).abs() < 1e-12);
        let wrong = report(&CrossEntropy { wrong: true });
        assert!(
            !wrong.verdict.passed
                && wrong.verdict.cause.unwrap().starts_with("the analytic gradient: the correct class's")
        );
    }
}

/// 1,797 images of 8 x 8 pixels from 0 to 16 in ten classes: a blot for each class, and noise.
fn images() -> (Features<'static>, Vec<u32>) {
    let mut state = 1u64;
    let mut next = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let labels: Vec<u32> = (0..1797).map(|_| next(10) as u32).collect();
    let pixel =
        |label: u32, j: u32, noise: u64| if (j * 7 + label * 13) % 23 < 6 { 8 + noise } else { noise / 2 } as u8;
    let pixels = labels.iter().flat_map(|&label| (0..64).map(move |j| (label, j))).collect::<Vec<_>>();
    let values = pixels.into_iter().map(|(label, j)| pixel(label, j, next(9))).collect();
    (Features::U8(Dense::new(64, values)), labels)
}

fn digits(
    objective: &Objective,
    open: &OpenDevice,
    scale: Scale,
    weight: Option<&[f32]>,
) -> burn_svm::internals::gradcheck::Report {
    let (features, labels) = images();
    let rows: Vec<u32> = (0..features.n_rows() as u32).collect();
    let scaler = Scaler::fit(&features, &rows, Center::Mean, scale);
    check_rows(&RowCheckInput {
        source: Source { features: &features, labels: &labels, scaler: &scaler, weights: None },
        rows: &rows,
        n_classes: 10,
        objective,
        weight,
        bias: None,
        device: open,
        coordinates: 20,
        step: STEP,
        profiles: 0,
        seed: 1,
    })
    .unwrap()
}

#[test]
fn digits_pass_on_every_device() {
    for open in devices() {
        let (mut errors, mut kinks) = ([0.0f64; 4], 0);
        let mut largest = 0.0f64;
        for kind in kinds() {
            let class_weights =
                kind.class_weights.as_ref().map(|_| (0..10).map(|c| 0.5 + f64::from(c) / 7.0).collect());
            let objective = Objective {
                loss: Loss { class_weights, ..resized(&kind, 10) },
                lambda: 0.1,
                bias: BiasRule::Regularised { scale: 1.0 },
            };
            let report = digits(&objective, &open, Scale::None, None);
            assert!(report.verdict.passed, "{} {objective:?}: {} {:?}", open.label(), report.verdict, report.device);
            assert_eq!((report.n_samples, report.n_features, report.at), (500, 64, GradientPoint::Random));
            assert!(report.verdict.max_relative_error <= 1e-7, "{}", report.verdict);
            assert_eq!(report.coordinates.len(), 40);
            let device = report.device.unwrap();
            let gpu = open.label().starts_with("wgpu") && !cfg!(feature = "fusion");
            assert_eq!(device.fused_vs_reference.is_some(), open.label() == "flex" || gpu);
            for (e, found) in errors.iter_mut().zip([
                device.autodiff_vs_analytic,
                device.autodiff_vs_reference,
                device.analytic_vs_reference,
                device.fused_vs_reference.unwrap_or(0.0),
            ]) {
                *e = e.max(found);
            }
            kinks += device.kink_rows;
            largest = largest.max(report.verdict.max_relative_error);
        }
        println!("{}: {errors:?}, {kinks} kink rows, largest relative error of a line {largest:.1e}", open.label());
    }
}

#[test]
fn the_loss_of_the_digits_at_zero_is_nine() {
    let open = cpu_devices().remove(0);
    let objective =
        Objective { loss: loss(Formulation::WestonWatkins, 1.0, Power::One), lambda: 0.0, bias: BiasRule::None };
    let report = digits(&objective, &open, Scale::Pixel, None);
    assert_eq!((report.losses.at_zero, report.losses.expected_at_zero), (9.0, Some(9.0)));
    assert!((report.losses.at_random - 9.0).abs() < 0.01);
    // Without a regulariser there is one set of lines.
    assert_eq!(report.coordinates.len(), 20);
    assert!(report.coordinates.iter().all(|l| !l.regularised));
}

/// Raw colour images in the size of CIFAR-10.
fn pixels() -> (Features<'static>, Vec<u32>) {
    let bytes = (0..200u32 * 3072).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    (Features::U8(Dense::new(3072, bytes)), (0..200).map(|i| i * 7 % 10).collect())
}

#[test]
fn raw_pixels_pass_at_the_strengths_of_the_assignment() {
    let (features, labels) = pixels();
    let rows: Vec<u32> = (0..200).collect();
    let scaler = Scaler::fit(&features, &rows, Center::Mean, Scale::None);
    let open = cpu_devices().remove(0);
    let weight: Vec<f32> = (0..3072 * 10).map(|i| (i as f32 * 0.37).sin() * 3e-4).collect();
    let mut kinks = 0;
    for kind in kinds() {
        for reg in [5e1, 2.5e4] {
            for weight in [None, Some(weight.as_slice())] {
                let objective = Objective {
                    loss: Loss { class_weights: None, ..resized(&kind, 10) },
                    lambda: 2.0 * reg,
                    bias: BiasRule::Regularised { scale: 1.0 },
                };
                let report = check_rows(&RowCheckInput {
                    source: Source { features: &features, labels: &labels, scaler: &scaler, weights: None },
                    rows: &rows,
                    n_classes: 10,
                    objective: &objective,
                    weight,
                    bias: None,
                    device: &open,
                    coordinates: 40,
                    step: STEP,
                    profiles: 0,
                    seed: 2,
                })
                .unwrap();
                let what = format!("{} reg {reg}", kind.name());
                assert!(report.verdict.passed, "{what}: {} {:?}", report.verdict, report.device);
                assert!(report.verdict.max_relative_error <= 1e-7, "{what}: {}", report.verdict);
                assert_eq!(report.at, if weight.is_some() { GradientPoint::Model } else { GradientPoint::Random });
                kinks += report.verdict.kinks;
                // At a kink of a row the error of a plain check is far above the tolerance of this one.
                for line in report.coordinates.iter().filter(|l| kind.set.power == Power::One && !l.regularised) {
                    let plain = (line.centred - line.analytic).abs() / (line.centred.abs() + line.analytic.abs());
                    if line.kinks.iter().any(|k| k.side != Side::Both) {
                        assert!(plain > 1e-6, "{what}: {line:?}");
                    }
                }
            }
        }
    }
    assert!(kinks > 20, "raw pixels have kinks within the step, found {kinks}");
}

#[test]
fn a_trained_model_at_its_kinks_still_passes() {
    // Weights on a grid of integers and integer features: many margins are met exactly, in f32 and f64 alike.
    let bytes: Vec<u8> = (0..120u32 * 6).map(|i| (i.wrapping_mul(2_654_435_761) >> 20) as u8 % 3).collect();
    let features = Features::U8(Dense::new(6, bytes));
    let labels: Vec<u32> = (0..120).map(|i| i % 4).collect();
    // Every second row, so that positions in the sample are not rows of the data.
    let rows: Vec<u32> = (0..120).filter(|r| r % 2 == 1).collect();
    let weight: Vec<f32> = (0..24).map(|i| ((i * 7) % 3) as f32 - 1.0).collect();
    let scaler = Scaler::default();
    let mut all = devices();
    all.truncate(if wgpu_cpu().is_some() { 3 } else { 2 });
    for open in all {
        for kind in kinds() {
            let objective = Objective { loss: resized(&kind, 4), lambda: 0.5, bias: BiasRule::Free };
            let report = check_rows(&RowCheckInput {
                source: Source { features: &features, labels: &labels, scaler: &scaler, weights: None },
                rows: &rows,
                n_classes: 4,
                objective: &objective,
                weight: Some(&weight),
                bias: Some(&[0.0, 1.0, 0.0, -1.0]),
                device: &open,
                coordinates: 24,
                step: STEP,
                profiles: 0,
                seed: 3,
            })
            .unwrap();
            assert!(report.verdict.passed, "{} {objective:?}: {} {:?}", open.label(), report.verdict, report.device);
            if objective.loss.set.power == Power::One && objective.loss.set.smoothing == 0.0 {
                assert!(report.verdict.kinks > 0, "{objective:?}");
                let mut kinks = report.coordinates.iter().flat_map(|l| &l.kinks);
                assert!(kinks.all(|k| k.row % 2 == 1 && k.label == labels[k.row] as usize), "{objective:?}");
            }
        }
    }
}

#[test]
fn the_report_is_json_with_these_keys() {
    let module = loss(Formulation::WestonWatkins, 1.0, Power::One).init(&device::cpu().unwrap());
    let report =
        check(&Inputs { lambda: 0.5, ..Inputs::new(module.as_ref(), &[1.0, -1.0, 0.5, 2.0], &[0, 1], 2) }).unwrap();
    let json = serde_json::to_value(&report).unwrap();
    let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
    for key in
        ["loss", "n_samples", "lambda", "at", "losses", "coordinates", "autodiff_vs_analytic", "device", "verdict"]
    {
        assert!(keys.contains(&key), "{key} is not in {keys:?}");
    }
    let line = &json["coordinates"][0];
    for key in ["parameter", "regularised", "numerical", "analytic", "autodiff", "relative_error", "kinks", "judgement"]
    {
        assert!(!line[key].is_null(), "{key} is not in {line}");
    }
    assert_eq!(json["verdict"]["passed"], true);
}

/// Two rows of one feature; the margin of the second with class 1 is 0.3e-5 below its corner: W[0, 1] = 1 − 0.3e-5 against 2.
fn near_a_corner(step: f64, profiles: usize) -> burn_svm::internals::gradcheck::Report {
    let module = loss(Formulation::WestonWatkins, 1.0, Power::One).init(&device::cpu().unwrap());
    let weight = [2.0, 1.0 - 3e-6, 9.0];
    let inputs = Inputs::new(module.as_ref(), &[-1.0, 1.0], &[2, 0], 3);
    check(&Inputs { weight: Some(&weight), step, profiles, coordinates: 3, ..inputs }).unwrap()
}

#[test]
fn a_line_with_a_kink_shows_the_centred_difference_and_its_error() {
    let report = near_a_corner(STEP, 0);
    assert!(report.verdict.passed && report.profiles.is_empty(), "{}", report.verdict);
    let line = report.coordinates.iter().find(|line| line.parameter.class() == 1).unwrap();
    // Of the two rows the first is violated by far (slope −1/2), the second from t = 0.3 h on (slope 1/2): the chord has the share 0.7 of it.
    assert!((line.analytic + 0.5).abs() < 1e-9 && (line.centred + 0.5 - 0.35 / 2.0).abs() < 1e-4, "{line:?}");
    let expected = (line.centred - line.analytic).abs() / (line.centred.abs() + line.analytic.abs());
    assert!((line.centred_error - expected).abs() < 1e-12 && line.relative_error < 1e-8);
    assert!(
        line.to_string().contains(", centred: -0.325000, off by 2.1e-1, kink at row 1 (label 0, class 1)"),
        "{line}"
    );
    // A step that ends before the corner meets none.
    let closer = near_a_corner(1e-6, 0);
    assert!(closer.verdict.passed && closer.verdict.kinks == 0, "{}", closer.verdict);
    let module = loss(Formulation::WestonWatkins, 1.0, Power::One).init(&device::cpu().unwrap());
    for step in [0.0, 1e-10, 2.0, f64::NAN] {
        let error = check(&Inputs { step, ..Inputs::new(module.as_ref(), &[1.0], &[0], 2) }).unwrap_err();
        assert!(error.to_string().contains("expected 1e-9 to 1"), "{error}");
    }
}

#[test]
fn a_profile_has_the_corner_the_slopes_and_the_chord() {
    let report = near_a_corner(STEP, 5);
    assert_eq!(report.profiles.len(), report.coordinates.iter().filter(|line| !line.kinks.is_empty()).count());
    let profile = report.profiles.iter().find(|profile| profile.parameter.class() == 1).unwrap();
    assert!((profile.corner - 3e-6).abs() < 1e-12 && profile.kink.side == Side::After, "{profile:?}");
    assert!((profile.gradient + 0.5).abs() < 1e-9 && profile.beyond.abs() < 1e-9, "{profile:?}");
    let (first, last) = (profile.points[0], profile.points[profile.points.len() - 1]);
    assert!((first.0 + 5.0 * STEP).abs() < 1e-15 && (last.0 - 5.0 * STEP).abs() < 1e-15);
    // Down to the corner, and flat beyond.
    assert!((first.1 - 2.5 * STEP).abs() < 1e-12 && (last.1 + 1.5e-6).abs() < 1e-12, "{first:?} {last:?}");
    let at = |t: f64| profile.points.iter().find(|p| (p.0 - t).abs() < 1e-12).unwrap().1;
    assert!(((at(STEP) - at(-STEP)) / (2.0 * STEP) - profile.centred).abs() < 1e-6);
}
