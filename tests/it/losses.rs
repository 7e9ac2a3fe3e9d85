//! The contract of the losses: values, reductions and invariances of every formulation, power and weighting on every device.

use crate::support::{
    Case, at_zero, cpu_targets, devices, error, grid_case, host, kinds, loss, naive, smooth_case, targets, wgpu_cpu,
    worst,
};
use burn::nn::loss::{MultiMarginLossConfig, Reduction};
use burn::tensor::DType;
use burn_svm::internals::loss::{
    CrammerSingerLossConfig, Formulation, Loss, LossConfig, MarginLoss, Margins, OneVsRestLossConfig, Power,
    TopKLossConfig, WestonWatkinsLossConfig,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

const POWERS: [Power; 2] = [Power::One, Power::Two];

#[test]
fn generators_hit_what_the_tests_are_about() {
    let mut runner = TestRunner::deterministic();
    let (mut met, mut tied, mut certain, mut charged, mut weightless) = (0, 0, 0, 0, 0);
    let mut kinds = std::collections::BTreeSet::new();
    for _ in 0..2000 {
        let case = grid_case().new_tree(&mut runner).unwrap().current();
        let Loss { set, class_weights, .. } = &case.loss;
        let rounding = (set.power == Power::Two, set.smoothing > 0.0);
        kinds.insert((case.loss.name(), rounding, class_weights.is_some(), case.loss.margins.constant().is_some()));
        weightless += usize::from(case.loss.class_weights.iter().flatten().any(|w| *w == 0.0));
        for (row, label) in case.rows() {
            let margins = case.margins(row, label);
            let largest = margins.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            met += usize::from(margins.contains(&0.0));
            tied += usize::from(largest > 0.0 && margins.iter().filter(|z| **z == largest).count() > 1);
            certain += usize::from(largest <= 0.0);
            charged += usize::from(largest > 0.0);
        }
    }
    // Every formulation at each of its powers and smoothed, with and without class weights, those of differences with costs, too.
    let margins = |f| if loss(f, 1.0, Power::One).margins.differences() { 2 } else { 1 };
    assert_eq!(kinds.len(), Formulation::ALL.map(|f| 2 * margins(f) * (f.powers().len() + 1)).iter().sum::<usize>());
    assert!(met > 100 && tied > 100 && certain > 50 && charged > 500, "{met} {tied} {certain} {charged}");
    assert!(weightless > 50, "{weightless}");
}

fn naive_values(case: &Case) -> Vec<f64> {
    naive(&case.loss, &case.scores, &case.labels, case.n_classes).0
}

proptest! {
    #[test]
    fn values_are_those_of_the_naive_loops(case in grid_case()) {
        for target in cpu_targets() {
            let found = target.values(&case.loss, &case.scores, &case.labels, case.n_classes);
            let off = worst(&found, &naive_values(&case));
            prop_assert!(off <= target.tolerance(), "{} {:?}: {off}", target.name, target.dtype);
        }
    }

    #[test]
    fn values_in_double_precision_are_those_of_the_naive_loops_anywhere(case in smooth_case()) {
        let expected = naive_values(&case);
        for target in cpu_targets().into_iter().filter(|t| t.is_double()) {
            let found = target.values(&case.loss, &case.scores, &case.labels, case.n_classes);
            let off = worst(&found, &expected);
            prop_assert!(off <= 1e-12, "{}: {off}", target.name);
        }
        let host: Vec<f64> = case.rows().map(|(row, label)| case.loss.of_row(row, label)).collect();
        prop_assert!(worst(&host, &expected) <= 1e-12);
    }

    #[test]
    fn reductions_are_the_sum_and_the_sum_over_n(case in grid_case()) {
        for target in cpu_targets() {
            let module = case.loss.init(&target.device);
            let reduce = |reduction| {
                let scores = target.scores(&case.scores, case.n_classes);
                host(module.forward(scores, target.labels(&case.labels), reduction))
            };
            let sum: f64 = target.values(&case.loss, &case.scores, &case.labels, case.n_classes).iter().sum();
            let mean = sum / case.labels.len() as f64;
            prop_assert!(error(reduce(Reduction::Sum)[0], sum, 1.0) <= target.tolerance());
            for reduction in [Reduction::Mean, Reduction::Auto, Reduction::BatchMean] {
                let found = reduce(reduction);
                prop_assert_eq!(found.len(), 1);
                prop_assert!(error(found[0], mean, 1.0) <= target.tolerance());
            }
        }
    }

    #[test]
    fn a_batch_is_its_rows(case in grid_case()) {
        let k = case.n_classes;
        for target in cpu_targets() {
            let values = target.values(&case.loss, &case.scores, &case.labels, k);
            let gradients = target.analytic(&case.loss, &case.scores, &case.labels, k);
            for (i, (row, label)) in case.rows().enumerate() {
                let label = [label as u32];
                let alone = target.values(&case.loss, row, &label, k);
                prop_assert!(worst(&alone, &values[i..=i]) <= target.tolerance());
                let alone = target.analytic(&case.loss, row, &label, k);
                prop_assert!(worst(&alone, &gradients[i * k..(i + 1) * k]) <= target.tolerance());
            }
        }
    }

    #[test]
    fn a_shift_of_all_scores_of_a_row_changes_nothing(case in grid_case(), shift in -64i32..64) {
        prop_assume!(case.loss.margins.differences());
        // Sums on the grid are exact in every precision, so that equal means equal.
        let moved: Vec<f64> = case.scores.iter().map(|s| s + f64::from(shift)).collect();
        for target in cpu_targets() {
            let values = |scores: &[f64]| target.values(&case.loss, scores, &case.labels, case.n_classes);
            let gradients = |scores: &[f64]| target.analytic(&case.loss, scores, &case.labels, case.n_classes);
            prop_assert_eq!(values(&moved), values(&case.scores));
            prop_assert_eq!(gradients(&moved), gradients(&case.scores));
        }
    }

    #[test]
    fn losses_are_convex_and_gradients_support_them(case in smooth_case(), other in smooth_case(), t in 0.0..1.0f64) {
        let k = case.n_classes;
        let (from, label) = case.rows().next().unwrap();
        let to: Vec<f64> = (0..k).map(|j| other.scores[j % other.scores.len()]).collect();
        let between: Vec<f64> = from.iter().zip(&to).map(|(a, b)| a + t * (b - a)).collect();
        for target in cpu_targets().into_iter().filter(|t| t.is_double()) {
            let points = [from, &to, &between].concat();
            let labels = [label as u32; 3];
            let values = target.values(&case.loss, &points, &labels, k);
            let slack = 1e-12 * values.iter().fold(1.0f64, |m, v| m.max(v.abs()));
            prop_assert!(values[2] <= (1.0 - t) * values[0] + t * values[1] + slack, "{values:?}");
            // ℓ(to) ≥ ℓ(from) + Q(from)·(to − from), at kinks too.
            let q = target.analytic(&case.loss, from, &labels[..1], k);
            let products: Vec<f64> = q.iter().zip(from.iter().zip(&to)).map(|(q, (a, b))| q * (b - a)).collect();
            let size = products.iter().fold(1.0f64, |m, p| m.max(p.abs()));
            let line = values[0] + products.iter().sum::<f64>();
            prop_assert!(values[1] >= line - slack - 1e-12 * size, "{} < {line}", values[1]);
        }
    }
}

/// Five scores and a label; every kind of row: certain, charged, tied, met.
const ROWS: [([f64; 5], u32); 7] = [
    ([9.0, -3.0, -4.0, -5.0, -6.0], 0),
    ([0.0, 0.0, 0.0, 0.0, 0.0], 1),
    ([1.0, 2.0, 0.5, -1.0, 2.0], 2),
    ([0.25, 1.5, -0.75, 1.25, 0.0], 3),
    ([-1.0, 3.0, 3.0, 2.0, 3.0], 4),
    ([1.0, -1.0, -1.0, -1.0, 0.0], 0),
    ([2.0, 1.0, 1.0, 1.0, 1.0], 0),
];

fn rows() -> (Vec<f64>, Vec<u32>) {
    (ROWS.iter().flat_map(|(s, _)| *s).collect(), ROWS.iter().map(|(_, l)| *l).collect())
}

#[test]
fn every_kind_of_loss_has_the_naive_values_on_every_device() {
    let (scores, labels) = rows();
    for target in targets() {
        let mut largest = 0.0f64;
        for loss in kinds() {
            let found = target.values(&loss, &scores, &labels, 5);
            let off = worst(&found, &naive(&loss, &scores, &labels, 5).0);
            assert!(off <= target.tolerance(), "{} {:?} {loss:?}: {off}", target.name, target.dtype);
            largest = largest.max(off);
        }
        println!("{} {:?}: largest relative error of a loss {largest:.1e}", target.name, target.dtype);
    }
}

#[test]
fn a_certain_row_costs_exactly_nothing() {
    for target in targets() {
        for loss in kinds() {
            for size in [2.0, 1e3, 1e9] {
                let scores = [[size, -size, -size, -size, -size], [-size, -size, -size, -size, size]].concat();
                assert_eq!(target.values(&loss, &scores, &[0, 4], 5), [0.0; 2], "{} {loss:?}", target.name);
                assert_eq!(target.analytic(&loss, &scores, &[0, 4], 5), [0.0; 10], "{} {loss:?}", target.name);
            }
        }
    }
}

#[test]
fn at_zero_scores_the_loss_is_known() {
    for target in targets() {
        for formulation in Formulation::ALL {
            let expected = at_zero(formulation, 10);
            for &power in formulation.powers() {
                let zeros = [0.0; 30];
                let found = target.values(&loss(formulation, 1.0, power), &zeros, &[0, 4, 9], 10);
                assert_eq!(found, [expected; 3], "{} {formulation:?}", target.name);
                assert_eq!(loss(formulation, 1.0, power).of_row(&zeros[..10], 4), expected);
                let half = expected * power.of(0.5);
                assert_eq!(target.values(&loss(formulation, 0.5, power), &zeros, &[0, 4, 9], 10), [half; 3]);
            }
        }
    }
}

#[test]
fn the_course_notes_have_these_numbers() {
    for target in targets() {
        let value = |margin, scores: &[f64], label| {
            target.values(&loss(Formulation::WestonWatkins, margin, Power::One), scores, &[label], 3)[0]
        };
        assert_eq!(value(10.0, &[13.0, -7.0, 11.0], 0), 8.0);
        assert!(error(value(1.0, &[-2.85, 0.86, 0.28], 2), 1.58, 1.0) <= target.tolerance());
    }
}

#[test]
fn weston_watkins_is_multi_margin_loss_times_the_number_of_classes() {
    // The vectors of PyTorch's MultiMarginLoss.
    let scores = [[0.1, 0.2, 0.7], [0.9, 0.05, 0.05]].concat();
    for target in targets() {
        for (power, expected) in [(Power::One, [0.3, 0.1]), (Power::Two, [0.41 / 3.0, 0.045 / 3.0])] {
            let found = target.values(&loss(Formulation::WestonWatkins, 1.0, power), &scores, &[2, 0], 3);
            let scaled: Vec<f64> = found.iter().map(|v| v / 3.0).collect();
            assert!(worst(&scaled, &expected) <= target.tolerance(), "{} {scaled:?}", target.name);
        }
        let module = loss(Formulation::WestonWatkins, 1.0, Power::One).init(&target.device);
        let mean = module.forward(target.scores(&scores, 3), target.labels(&[2, 0]), Reduction::Mean);
        assert!(error(host(mean)[0] / 3.0, 0.2, 1.0) <= target.tolerance());
    }
}

proptest! {
    #[test]
    fn weston_watkins_agrees_with_burns_own_loss(case in grid_case()) {
        let k = case.n_classes;
        for target in cpu_targets() {
            let ours = loss(Formulation::WestonWatkins, case.loss.margins.largest(), case.loss.set.power);
            let p = if ours.set.power == Power::Two { 2 } else { 1 };
            let burns = MultiMarginLossConfig::new().with_margin(ours.margins.largest()).with_p(p).init();
            let theirs = host(burns.forward_no_reduction(target.scores(&case.scores, k), target.labels(&case.labels)));
            let found = target.values(&ours, &case.scores, &case.labels, k);
            let found: Vec<f64> = found.iter().map(|v| v / k as f64).collect();
            // Theirs subtracts the label's Δ^p afterwards, which leaves a residue.
            prop_assert!(worst(&found, &theirs) <= 10.0 * target.tolerance(), "{found:?} {theirs:?}");
        }
    }
}

#[test]
fn huge_scores_keep_their_loss() {
    let scores = [[1e9, -1e9, 0.0, 1.0, 2.0], [-1e9, 1e9, 1e9, 5e8, 0.0], [1e-9, -1e-9, 0.0, 1e9, -1e9]].concat();
    for target in targets() {
        let rounded: Vec<f64> = scores.iter().map(|s| target.round(*s)).collect();
        for loss in kinds() {
            let labels = [1, 0, 3];
            let found = target.values(&loss, &scores, &labels, 5);
            let expected = naive(&loss, &rounded, &labels, 5).0;
            for (a, b) in found.iter().zip(&expected) {
                assert!(error(*a, *b, 1.0) <= target.tolerance(), "{} {loss:?} {a} {b}", target.name);
            }
        }
    }
}

#[test]
fn infinite_scores_charge_what_they_must() {
    let inf = f64::INFINITY;
    let rows = [
        ([0.0, inf, 0.0, 0.0, 0.0], 0usize),
        ([0.0, -inf, 0.0, 0.0, 0.0], 0),
        ([inf, 0.0, 0.0, 0.0, 0.0], 0),
        ([-inf, 0.0, 0.0, 0.0, 0.0], 0),
    ];
    let scores: Vec<f64> = rows.iter().flat_map(|(s, _)| *s).collect();
    for target in targets() {
        for loss in kinds() {
            let found = target.values(&loss, &scores, &[0; 4], 5);
            let expected: Vec<f64> = rows.iter().map(|(row, label)| loss.of_row(row, *label)).collect();
            assert!(worst(&found, &expected) <= target.tolerance(), "{} {loss:?} {found:?} {expected:?}", target.name);
            assert_eq!((found[0], found[3]), (inf, inf));
        }
    }
}

#[test]
fn a_score_that_is_no_number_spoils_its_row_only() {
    // The graphics API does not promise NaN: shaders may take max(NaN, 0) to be 0.
    for target in cpu_targets() {
        for loss in kinds() {
            for class in 0..5 {
                let mut scores = vec![0.5; 15];
                scores[5 + class] = f64::NAN;
                let found = target.values(&loss, &scores, &[0, 2, 1], 5);
                assert!(found[1].is_nan(), "{} {loss:?} {class} {found:?}", target.name);
                let clean = target.values(&loss, &[0.5; 15], &[0, 2, 1], 5);
                assert_eq!((found[0], found[2]), (clean[0], clean[2]));
                assert!(loss.of_row(&scores[5..10], 2).is_nan());
                let gradients = target.analytic(&loss, &scores, &[0, 2, 1], 5);
                let clean = target.analytic(&loss, &[0.5; 15], &[0, 2, 1], 5);
                assert_eq!((&gradients[..5], &gradients[10..]), (&clean[..5], &clean[10..]));
            }
        }
    }
}

#[test]
fn two_classes_make_weston_watkins_and_crammer_singer_one() {
    let scores = [[0.5, 1.5], [1.0, -1.0], [0.25, 0.0]].concat();
    for target in cpu_targets() {
        for power in POWERS {
            let of = |formulation| {
                let loss = loss(formulation, 1.0, power);
                (target.values(&loss, &scores, &[0, 0, 1], 2), target.analytic(&loss, &scores, &[0, 0, 1], 2))
            };
            assert_eq!(of(Formulation::WestonWatkins), of(Formulation::CrammerSinger));
        }
    }
}

#[test]
fn class_weights_multiply_rows_and_keep_the_mean_over_n() {
    let (scores, labels) = rows();
    for target in cpu_targets() {
        for plain in kinds().into_iter().filter(|l| l.class_weights.is_none()) {
            let weights = vec![0.1, 1.0 / 3.0, 3.7, 0.0, 1.0];
            let weighted = plain.clone().class_weights(weights.clone());
            let expected: Vec<f64> = target
                .values(&plain, &scores, &labels, 5)
                .iter()
                .zip(&labels)
                .map(|(v, &l)| v * weights[l as usize])
                .collect();
            let found = target.values(&weighted, &scores, &labels, 5);
            assert!(worst(&found, &expected) <= target.tolerance() / 10.0, "{} {:?}", target.name, target.dtype);
            let module = weighted.init(&target.device);
            let mean = module.forward(target.scores(&scores, 5), target.labels(&labels), Reduction::Mean);
            let expected = expected.iter().sum::<f64>() / labels.len() as f64;
            assert!(error(host(mean)[0], expected, 1.0) <= target.tolerance());
        }
    }
}

#[test]
fn losses_keep_the_type_of_the_scores() {
    for target in targets() {
        for loss in kinds() {
            let module = loss.init(&target.device);
            let (scores, labels) = rows();
            let values = module.forward_no_reduction(target.scores(&scores, 5), target.labels(&labels));
            let q = module.gradient(target.scores(&scores, 5), target.labels(&labels));
            assert_eq!((values.dtype(), q.dtype()), (target.dtype, target.dtype), "{}", target.name);
            assert_eq!((values.dims(), q.dims()), ([7], [7, 5]));
        }
    }
    assert!(targets().iter().any(|t| t.dtype == DType::F64));
}

#[test]
fn losses_display_their_options_and_are_named() {
    let device = devices().remove(0).device;
    let module = WestonWatkinsLossConfig::new()
        .with_margin(0.5)
        .with_power(Power::Two)
        .with_class_weights(Some(vec![1.0]))
        .init(&device);
    assert_eq!(module.to_string(), "WestonWatkinsLoss {margin: 0.5, power: 2, smoothing: 0, class_weights: true}");
    assert_eq!(
        CrammerSingerLossConfig::new().init(&device).to_string(),
        "CrammerSingerLoss {margin: 1, power: 1, smoothing: 0, class_weights: false}"
    );
    assert_eq!(
        OneVsRestLossConfig::new().with_smoothing(0.25).init(&device).to_string(),
        "OneVsRestLoss {margin: 1, power: 1, smoothing: 0.25, class_weights: false}"
    );
    assert_eq!(
        TopKLossConfig::new(3).init(&device).to_string(),
        "TopKLoss {k: 3, margin: 1, power: 1, smoothing: 0, class_weights: false}"
    );
    let described = Loss::top_k(3).smoothing(0.5).to_string();
    assert_eq!(described, "top_k, k 3, margin 1, power 1, smoothing 0.5");
    assert_eq!(loss(Formulation::OneVsRest, 0.5, Power::Two).to_string(), "one_vs_rest, margin 0.5, power 2");
    for formulation in Formulation::ALL {
        assert_eq!(loss(formulation, 1.0, Power::One).init(&device).name(), formulation.name());
    }
}

/// The message of `init` for a wrong value.
fn complaint(init: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let panic = std::panic::catch_unwind(init).expect_err("a wrong value was accepted");
    panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap()
}

#[test]
fn wrong_options_are_refused_by_name() {
    let device = || devices().remove(0).device;
    macro_rules! refuses {
        ($config:expr) => {
            for value in [-0.1, f64::NAN, f64::INFINITY] {
                let said = complaint(|| drop($config.with_margin(value).init(&device())));
                assert!(said.starts_with("margin: found"), "{said}");
                let said = complaint(|| drop($config.with_smoothing(value).init(&device())));
                assert!(said.starts_with("smoothing: found"), "{said}");
                let said = complaint(|| drop($config.with_class_weights(Some(vec![1.0, value])).init(&device())));
                assert!(said.starts_with("class_weights: found"), "{said}");
            }
        };
        (powers: $config:expr) => {
            refuses!($config);
            let said = complaint(|| drop($config.with_power(Power::Two).with_smoothing(0.5).init(&device())));
            assert_eq!(said, "smoothing: found 0.5 at power 2, expected 0: the squared hinge is smooth already");
        };
    }
    refuses!(powers: WestonWatkinsLossConfig::new());
    refuses!(powers: CrammerSingerLossConfig::new());
    refuses!(powers: OneVsRestLossConfig::new());
    refuses!(TopKLossConfig::new(2));
    assert_eq!(complaint(|| drop(TopKLossConfig::new(0).init(&device()))), "k: found 0, expected 1 or more");
    let said = |loss: Loss| loss.check(3).unwrap_err().to_string();
    assert_eq!(said(Loss::top_k(2).squared()), "power: found 2, expected 1, which alone top_k has");
    assert_eq!(said(Loss::top_k(3)), "k: found 3, expected at most 2, the number of classes less one");
    let weights = said(Loss::one_vs_rest().class_weights(vec![1.0]));
    assert_eq!(weights, "class_weights: found 1, expected one for each of 3 classes");
    let mut own = Loss::crammer_singer();
    own.margins = Margins::OneVsRest(1.0);
    assert!(said(own).starts_with("margins: "));
    // The list of those that are tested is that of the type: serde names every variant.
    for listed in [
        serde_json::from_str::<Formulation>("\"none\"").unwrap_err().to_string(),
        toml::from_str::<LossConfig>("none = 1").unwrap_err().message().to_owned(),
    ] {
        let names: Vec<&str> = listed.split('`').skip(3).step_by(2).collect();
        assert_eq!(names, Formulation::ALL.map(Formulation::name), "{listed}");
    }
    for formulation in Formulation::ALL {
        assert_eq!(Loss::new(formulation, 1.0, Power::One).check(2), Ok(()), "{formulation:?}");
    }
}

proptest! {
    #[test]
    fn top_k_lies_between_crammer_singer_and_weston_watkins(case in smooth_case(), gamma in prop_oneof![Just(0.0), Just(0.7)]) {
        let n = case.n_classes;
        let margin = case.loss.margins.largest();
        let top = |k, gamma| Loss::top_k(k).margin(margin).smoothing(gamma);
        let others = (n - 1) as f64;
        for target in cpu_targets().into_iter().filter(|t| t.is_double()) {
            let of = |l: &Loss| {
                let values = target.values(l, &case.scores, &case.labels, n);
                (values, target.analytic(l, &case.scores, &case.labels, n))
            };
            let (first, first_q) = of(&top(1, gamma));
            let worst_class = Loss::crammer_singer().margin(margin).smoothing(gamma);
            let (expected, expected_q) = of(&worst_class);
            prop_assert!(worst(&first, &expected) <= 1e-12 && worst(&first_q, &expected_q) <= 1e-12);
            // (K − 1)·max over 0 ≤ p ≤ 1/(K − 1) of p·z − γ/2·p² is Weston-Watkins with γ/(K − 1).
            let (last, last_q) = of(&top(n - 1, gamma));
            let sum = Loss::weston_watkins().margin(margin).smoothing(gamma / others);
            let scaled = |v: Vec<f64>| v.iter().map(|v| v / others).collect::<Vec<_>>();
            let (expected, expected_q) = of(&sum);
            prop_assert!(worst(&last, &scaled(expected)) <= 1e-12);
            prop_assert!(worst(&last_q, &scaled(expected_q)) <= 1e-12);
            // More classes share the charge of the worst one.
            for k in 1..n - 1 {
                let (a, b) = (of(&top(k, 0.0)).0, of(&top(k + 1, 0.0)).0);
                prop_assert!(a.iter().zip(&b).all(|(a, b)| *b <= a + 1e-12 * a.abs()), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn smoothing_takes_off_at_most_what_it_may(case in smooth_case(), gamma in 1e-4..10.0f64) {
        let sharp = Loss { class_weights: None, ..case.loss.clone().power(Power::One).smoothing(0.0) };
        let smooth = sharp.clone().smoothing(gamma);
        // The largest ‖p‖² of each set.
        let all = (case.n_classes - usize::from(sharp.margins.differences())) as f64;
        let most = sharp.set.selection.count().map_or(all, |count| 1.0 / count as f64);
        for (row, label) in case.rows() {
            let (above, below) = (sharp.of_row(row, label), smooth.of_row(row, label));
            let slack = 1e-12 * above.abs().max(1.0);
            prop_assert!(below <= above + slack && above - gamma / 2.0 * most <= below + slack, "{above} {below}");
        }
    }
}

#[test]
fn the_trait_and_the_type_agree() {
    let (scores, labels) = rows();
    for target in cpu_targets() {
        let module = WestonWatkinsLossConfig::new().init(&target.device);
        let of_trait: &dyn MarginLoss = &module;
        let scores = || target.scores(&scores, 5);
        let labels = || target.labels(&labels);
        assert_eq!(
            host(module.forward(scores(), labels(), Reduction::Mean)),
            host(of_trait.forward(scores(), labels(), Reduction::Mean))
        );
        assert_eq!(host(module.gradient(scores(), labels())), host(of_trait.gradient(scores(), labels())));
    }
    let _ = wgpu_cpu();
}
