//! The fused pass compared with naive loops: shapes, storages, preprocessing, weights, threads.

use crate::support::{costs_of, cpu_devices, devices, host, kinds, naive_of, wgpu_cpu, worst};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::nn::loss::Reduction;
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn_svm::internals::data::batch::Source;
use burn_svm::internals::data::{Center, Csr, Dense, Features, Scale, Scaler};
use burn_svm::internals::loss::{Formulation, Loss, Power};
use burn_svm::internals::model::{BiasRule, LinearSvm};
use burn_svm::internals::objective::{FusedGradient, FusedPass, Objective, fused_loss};
use burn_svm::internals::reference::ReferenceProblem;

pub fn value(i: usize) -> f64 {
    ((i * 7919 + 13) % 1009) as f64 / 1009.0 - 0.5
}

/// A gradient to compute; that of a GPU is compared with it, too.
pub struct Case {
    pub features: Features<'static>,
    pub labels: Vec<u32>,
    pub n_classes: usize,
    pub scaler: Scaler,
    pub weights: Option<Vec<f32>>,
    pub objective: Objective,
    pub weight: Vec<f32>,
    pub bias: Option<Vec<f32>>,
    pub rows: Vec<u32>,
}

impl Case {
    /// Bytes on a grid with weights on a grid: in single precision, too, every score is exact, and margins are met and tie.
    pub fn exact(n: usize, d: usize, n_classes: usize, loss: Loss) -> Self {
        let labels = (0..n).map(|i| ((i * 7 + i / 5 + 1) % n_classes) as u32).collect();
        let cells = (0..n * d).map(|i| ((i * 31 + i / d) % 4) as u8).collect();
        let bias: Vec<f32> = (0..n_classes).map(|c| (c % 3) as f32 / 2.0 - 0.5).collect();
        Self {
            features: Features::U8(Dense::new(d, cells)),
            labels,
            n_classes,
            scaler: Scaler::default(),
            weights: None,
            objective: Objective { loss, lambda: 0.25, bias: BiasRule::Regularised { scale: 2.0 } },
            weight: (0..d * n_classes).map(|i| ((i * 13) % 9) as f32 / 4.0 - 1.0).collect(),
            bias: Some(bias),
            rows: (0..n as u32).collect(),
        }
    }

    pub fn source(&self) -> Source<'_> {
        let Self { features, labels, scaler, .. } = self;
        Source { features, labels, scaler, weights: self.weights.as_deref() }
    }

    fn fused(&self) -> FusedGradient {
        let mut pass = FusedPass::new(self.source(), self.n_classes, &self.objective).unwrap();
        pass.at(&self.weight, self.bias.as_deref(), &self.rows)
    }

    /// Row by row in f64: data loss, gradient of W, gradient of b; and the size of the terms that were added up.
    fn naive(&self) -> (f64, Vec<f64>, Vec<f64>, f64) {
        let (d, k) = (self.features.n_features(), self.n_classes);
        // The bias as the weights of one more feature.
        let bias = self.bias.clone().unwrap_or_else(|| vec![0.0; k]);
        let weight: Vec<f64> = self.weight.iter().chain(&bias).map(|&w| f64::from(w)).collect();
        let (mut loss, mut gradient, mut size) = (0.0, vec![0.0; weight.len()], 0.0f64);
        let loss_of = &self.objective.loss;
        for &row in &self.rows {
            let mut x = vec![1.0; d + 1];
            self.scaler.write_row_wide(&self.features, row as usize, &mut x[..d]);
            let found = naive_of(
                loss_of,
                &ReferenceProblem {
                    x: &x,
                    labels: &[self.labels[row as usize]],
                    weight: &weight,
                    n_classes: k,
                    class_weights: loss_of.class_weights.as_deref(),
                    margin: loss_of.margins.largest(),
                    costs: costs_of(loss_of).as_deref(),
                    power: loss_of.set.power,
                    lambda: 0.0,
                },
            );
            let share = self.source().weight(row) / self.rows.len() as f64;
            loss += share * found.loss;
            gradient.iter_mut().zip(&found.gradient).for_each(|(g, v)| *g += share * v);
            size += share * found.gradient.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        }
        let mut of_bias = gradient.split_off(d * k);
        let lambda = self.objective.lambda;
        let factor = lambda * self.objective.bias.penalty_factor();
        gradient.iter_mut().zip(&self.weight).for_each(|(g, &w)| *g += lambda * f64::from(w));
        of_bias.iter_mut().zip(&bias).for_each(|(g, &b)| *g += factor * f64::from(b));
        (loss, gradient, of_bias, size + 1.0)
    }

    fn check(&self, tolerance: f64) {
        self.check_that(&self.fused(), tolerance);
    }

    /// Compares a gradient with the loops.
    pub fn check_that(&self, found: &FusedGradient, tolerance: f64) {
        let (loss, weight, bias, size) = self.naive();
        let what = || {
            let (n, d) = (self.rows.len(), self.features.n_features());
            format!("{} x {d} {}, {}: {:?}", n, self.features.kind(), self.n_classes, self.objective.loss)
        };
        assert!((found.data_loss - loss).abs() <= tolerance * loss.max(1.0), "{}: {} {loss}", what(), found.data_loss);
        let off = |found: &[f32], expected: &[f64]| {
            assert_eq!(found.len(), expected.len());
            found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max) / size
        };
        assert!(off(&found.weight, &weight) <= tolerance, "{}: {:.1e}", what(), off(&found.weight, &weight));
        if let Some(found) = &found.bias {
            assert!(off(found, &bias) <= tolerance, "{}: bias {:.1e}", what(), off(found, &bias));
        }
        assert_eq!(found.bias.is_some(), self.bias.is_some());
    }
}

pub fn hinge(formulation: Formulation) -> Loss {
    Loss::new(formulation, 1.0, Power::One)
}

#[test]
fn every_loss_is_the_naive_loops_kinks_included() {
    for loss in kinds() {
        for (n, d) in [(1, 1), (40, 3), (70, 17)] {
            Case::exact(n, d, 5, loss.clone()).check(2e-6);
        }
    }
}

#[test]
fn odd_shapes_are_the_naive_loops() {
    let shapes = [
        (1, 1, 2),
        (1, 300, 3),
        (2, 7, 2),
        (17, 16, 2),
        (33, 255, 6),
        (9, 257, 11),
        (65, 272, 10),
        (530, 31, 7),
        (3, 19, 1000),
        (20, 5, 101),
        (9, 3073, 10),
        // Two pieces, the second shorter; with bytes, and many times a block of rows.
        (2_101, 40, 101),
    ];
    for (n, d, k) in shapes {
        for formulation in Formulation::ALL {
            Case::exact(n, d, k, hinge(formulation)).check(2e-6);
        }
    }
}

/// More rows than a block holds, bytes and floats.
#[test]
fn rows_of_several_blocks_add_up() {
    for loss in [hinge(Formulation::WestonWatkins), hinge(Formulation::CrammerSinger)] {
        let bytes = Case::exact(5_000, 6, 3, loss.clone());
        bytes.check(2e-6);
        let Features::U8(dense) = &bytes.features else { unreachable!() };
        let floats = dense.values().iter().map(|&v| f32::from(v)).collect();
        let floats = Case { features: Features::F32(Dense::new(6, floats)), ..Case::exact(5_000, 6, 3, loss) };
        assert_eq!(floats.fused(), bytes.fused());
    }
}

#[test]
fn preprocessing_weights_and_repeated_rows_are_those_of_the_loops() {
    let (n, d, k) = (90, 37, 4);
    let floats: Vec<f32> = (0..n * d).map(|i| (300.0 + 40.0 * value(i)) as f32).collect();
    let bytes: Vec<u8> = floats.iter().map(|v| (v - 200.0) as u8).collect();
    let rows: Vec<u32> = (0..n as u32).rev().chain([3, 3, 3, 0]).collect();
    for features in [Features::F32(Dense::new(d, floats)), Features::U8(Dense::new(d, bytes))] {
        for center in [Center::None, Center::Mean] {
            for scale in [Scale::None, Scale::Pixel, Scale::Std, Scale::Minmax, Scale::UnitRow] {
                for bias in [BiasRule::None, BiasRule::Free, BiasRule::Regularised { scale: 2.0 }] {
                    let loss = Loss { class_weights: Some(vec![0.5, 2.0, 0.0, 1.0]), ..hinge(Formulation::OneVsRest) };
                    let case = Case::exact(n, d, k, loss);
                    let scaler = Scaler::fit(&features, &rows, center, scale);
                    let case = Case {
                        features: features.clone(),
                        scaler,
                        weights: Some((0..n).map(|i| (i % 5) as f32 / 2.0).collect()),
                        objective: Objective { bias, ..case.objective.clone() },
                        weight: (0..d * k).map(|i| (0.02 * value(i * 3)) as f32).collect(),
                        bias: case.bias.clone().filter(|_| bias.has_bias()),
                        rows: rows.clone(),
                        ..case
                    };
                    // Without centring scores are sums of large terms.
                    case.check(1e-5);
                }
            }
        }
    }
}

#[test]
fn any_number_of_threads_adds_up_in_one_order() {
    // Two, two and four pieces.
    for (n, d, k) in [(700, 1_000, 10), (20_000, 16, 20), (1_100, 150, 100)] {
        let case = Case::exact(n, d, k, hinge(Formulation::WestonWatkins));
        let weight = (0..d * k).map(|i| value(i) as f32).collect();
        let case = Case { weight, ..case };
        let with = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| case.fused())
        };
        let one = with(1);
        for threads in [2, 3, 7] {
            assert_eq!(with(threads), one, "{n} x {d}, {k} classes, {threads} threads");
        }
    }
}

#[test]
fn a_second_batch_does_not_remember_the_first() {
    let case = Case::exact(50, 20, 4, hinge(Formulation::WestonWatkins));
    let mut pass = FusedPass::new(case.source(), 4, &case.objective).unwrap();
    let of = |pass: &mut FusedPass<'_>, rows: &[u32]| pass.at(&case.weight, case.bias.as_deref(), rows);
    let first = of(&mut pass, &case.rows[..7]);
    let _ = of(&mut pass, &case.rows);
    assert_eq!(of(&mut pass, &case.rows[..7]), first);
    let nothing = of(&mut pass, &[]);
    assert_eq!(nothing.data_loss, 0.0);
    assert!(nothing.weight.iter().zip(&case.weight).all(|(g, w)| *g == 0.25 * w));
}

#[test]
fn hits_are_the_rows_whose_label_is_on_top_the_lowest_index_on_a_tie() {
    for (n, d, k) in [(1, 1, 2), (37, 5, 3), (1_300, 20, 11)] {
        for factor in [1.0, 0.0] {
            // Exact scores, so that many tie; all of them at the weights 0.
            let case = Case::exact(n, d, k, hinge(Formulation::WestonWatkins));
            let weight: Vec<f32> = case.weight.iter().map(|w| w * factor).collect();
            let bias: Vec<f32> = case.bias.iter().flatten().map(|b| b * factor).collect();
            let Features::U8(cells) = &case.features else { unreachable!() };
            let expected = case.rows.iter().filter(|&&row| {
                let score = |c: usize| -> f32 {
                    bias[c] + (0..d).map(|j| f32::from(cells.row(row as usize)[j]) * weight[j * k + c]).sum::<f32>()
                };
                let best = (0..k).fold(0, |best, c| if score(c) > score(best) { c } else { best });
                best == case.labels[row as usize] as usize
            });
            let mut pass = FusedPass::new(case.source(), k, &case.objective).unwrap();
            assert_eq!(pass.hits(&weight, Some(&bias), &case.rows), expected.count(), "{n} x {d}, {k} classes");
        }
    }
}

#[test]
fn sparse_rows_have_no_fused_pass() {
    let mut csr = Csr::new(3);
    csr.push_cell(1, 2.0);
    csr.finish_row();
    let (features, scaler) = (Features::Sparse(csr), Scaler::default());
    let source = Source { features: &features, labels: &[0], scaler: &scaler, weights: None };
    let objective = Objective { loss: hinge(Formulation::WestonWatkins), lambda: 1.0, bias: BiasRule::None };
    assert!(FusedPass::new(source, 2, &objective).is_none());
}

// ---- the Burn operation

fn tensor<const D: usize>(shape: [usize; D], seed: usize, device: &Device) -> Tensor<D> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|i| value(i * 3 + seed) as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn labels(n: usize, k: usize, device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new((0..n).map(|i| (i * 5 % k) as i32).collect::<Vec<_>>(), [n]), device)
}

fn head(d: usize, k: usize, bias: bool, device: &Device) -> LinearSvm {
    let bias = bias.then(|| Param::from_tensor(tensor([k], 5, device)));
    LinearSvm { linear: Linear { weight: Param::from_tensor(tensor([d, k], 2, device)), bias } }
}

/// A layer before the head, a factor and another term after the loss; all gradients, and the value.
fn network(device: &Device, loss: &Loss, bias: bool, fused: bool) -> Vec<Vec<f64>> {
    let (n, d, k) = (23, 37, 5);
    let device = &device.clone().autodiff();
    let first = Param::from_tensor(tensor([6, d], 1, device));
    let head = head(d, k, bias, device);
    let x = tensor([n, 6], 0, device).matmul(first.val());
    let value = if fused {
        fused_loss(&head, x, labels(n, k, device), loss)
    } else {
        loss.init(device).forward(head.forward(x), labels(n, k, device), Reduction::Mean)
    };
    let total = value.mul_scalar(-2.5).add(head.linear.weight.val().sum());
    let gradients = total.backward();
    let mut found = vec![host(total.inner()), host(first.grad(&gradients).unwrap())];
    found.push(host(head.linear.weight.grad(&gradients).unwrap()));
    found.extend(head.linear.bias.as_ref().map(|bias| host(bias.grad(&gradients).unwrap())));
    found
}

#[test]
fn the_operation_in_a_network_is_the_composed_loss() {
    for device in devices() {
        for loss in kinds() {
            for bias in [true, false] {
                if !bias && loss.class_weights.is_some() {
                    continue;
                }
                let [composed, fused] = [false, true].map(|fused| network(&device.device, &loss, bias, fused));
                assert_eq!(composed.len(), fused.len());
                for (a, b) in fused.iter().zip(&composed) {
                    assert!(worst(a, b) <= 5e-6, "{} {loss:?}: {:.1e}", device.label(), worst(a, b));
                }
            }
        }
    }
}

#[test]
fn the_operation_takes_what_is_tracked_and_what_is_not() {
    let loss = hinge(Formulation::WestonWatkins);
    for open in cpu_devices() {
        let (plain, tied) = (&open.device, &open.device.clone().autodiff());
        let expected = {
            let x = tensor([9, 4], 7, tied).require_grad();
            let head = head(4, 3, true, tied);
            let value = loss.init(tied).forward(head.forward(x.clone()), labels(9, 3, tied), Reduction::Mean);
            let gradients = value.backward();
            [host(value.inner()), host(x.grad(&gradients).unwrap()), host(head.linear.weight.grad(&gradients).unwrap())]
        };
        // Nothing is tracked.
        let value = fused_loss(&head(4, 3, true, plain), tensor([9, 4], 7, plain), labels(9, 3, plain), &loss);
        assert!(worst(&host(value), &expected[0]) <= 1e-6);
        // The rows alone, and they lie transposed in memory.
        let frozen = head(4, 3, true, tied).no_grad();
        let x = tensor([9, 4], 7, tied).transpose().add_scalar(0.0).require_grad();
        let value = fused_loss(&frozen, x.clone().transpose(), labels(9, 3, tied), &loss);
        let found = Tensor::<2>::from_data(x.grad(&value.backward()).unwrap().into_data(), plain).transpose();
        assert!(worst(&host(found), &expected[1]) <= 1e-6);
        // The parameters alone; rows from a device without autodiff are a constant.
        let model = head(4, 3, true, tied);
        let value = fused_loss(&model, tensor([9, 4], 7, plain), labels(9, 3, plain), &loss);
        let gradient = model.linear.weight.grad(&value.backward()).unwrap();
        assert!(worst(&host(gradient), &expected[2]) <= 1e-6, "{}", open.label());
    }
}

#[test]
#[should_panic(expected = "a label is not a class: 3 classes")]
fn the_operation_refuses_labels_that_are_no_classes() {
    let Some(device) = burn_svm::internals::device::cpu() else { panic!("a label is not a class: 3 classes") };
    let labels = Tensor::<1, Int>::from_data([0, 3], &device);
    let loss = hinge(Formulation::CrammerSinger);
    println!("{}", fused_loss(&head(4, 3, true, &device), tensor([2, 4], 7, &device), labels, &loss));
}

/// Under autodiff it is the operation that answers, not tensor operations, which take any label.
#[test]
#[should_panic(expected = "a label is not a class: 3 classes")]
fn the_operation_answers_under_autodiff() {
    let Some(device) = burn_svm::internals::device::cpu() else { panic!("a label is not a class: 3 classes") };
    let tied = &device.autodiff();
    let labels = Tensor::<1, Int>::from_data([0, 3], tied);
    let loss = hinge(Formulation::WestonWatkins);
    println!("{}", fused_loss(&head(4, 3, true, tied), tensor([2, 4], 7, tied), labels, &loss));
}

/// On a GPU the labels are not waited for.
#[test]
fn a_label_that_is_no_class_costs_no_number_on_a_gpu() {
    let Some(open) = wgpu_cpu() else { return };
    if cfg!(feature = "fusion") {
        return;
    }
    for device in [open.device.clone(), open.device.clone().autodiff()] {
        for formulation in [Formulation::WestonWatkins, Formulation::CrammerSinger, Formulation::OneVsRest] {
            for label in [3, -1, 2] {
                let labels = Tensor::<1, Int>::from_data([0, label], &device);
                let head = head(4, 3, true, &device);
                let value = fused_loss(&head, tensor([2, 4], 7, &device), labels, &hinge(formulation));
                assert_eq!(host(value)[0].is_nan(), label != 2, "{formulation:?} {label}");
            }
        }
    }
}
