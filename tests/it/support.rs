//! Devices, tensors and generators that the tests of losses and gradients share.

pub use crate::devices::{cost, cpu_devices, error, host, wgpu_cpu, worst};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use burn_svm::internals::data::batch::Source;
use burn_svm::internals::data::{Dense, Features, Scaler};
use burn_svm::internals::device::OpenDevice;
use burn_svm::internals::loss::{Formulation, Loss, Margins, Power};
use burn_svm::internals::model::BiasRule;
use burn_svm::internals::objective::{DevicePass, FusedPass, Objective, ResidentLimits};
use burn_svm::internals::reference::{
    LossAndGradient, ReferenceProblem, crammer_singer_naive, one_vs_rest_naive, smoothed_naive, top_k_naive,
    weston_watkins_naive,
};
use proptest::prelude::*;

/// All devices on which losses are tested.
pub fn devices() -> Vec<OpenDevice> {
    let mut devices = cpu_devices();
    devices.extend(wgpu_cpu().cloned());
    devices
}

/// A device and a precision.
#[derive(Debug, Clone)]
pub struct Target {
    pub device: Device,
    pub name: String,
    pub dtype: DType,
}

impl Target {
    pub fn is_double(&self) -> bool {
        self.dtype == DType::F64
    }

    /// The relative error that rounding may make.
    pub fn tolerance(&self) -> f64 {
        if self.is_double() { 1e-12 } else { 1e-6 }
    }

    /// The number as the target rounds it.
    pub fn round(&self, value: f64) -> f64 {
        if self.is_double() { value } else { f64::from(value as f32) }
    }

    pub fn scores(&self, values: &[f64], n_classes: usize) -> Tensor<2> {
        let shape = [values.len() / n_classes, n_classes];
        Tensor::from_data(TensorData::new(values.to_vec(), shape), (&self.device, self.dtype))
    }

    pub fn labels(&self, labels: &[u32]) -> Tensor<1, Int> {
        let values: Vec<i32> = labels.iter().map(|&l| l as i32).collect();
        Tensor::from_data(TensorData::new(values, [labels.len()]), &self.device)
    }

    /// The loss of each row, `[n]`.
    pub fn values(&self, loss: &Loss, scores: &[f64], labels: &[u32], n_classes: usize) -> Vec<f64> {
        let module = loss.init(&self.device);
        host(module.forward_no_reduction(self.scores(scores, n_classes), self.labels(labels)))
    }

    /// The analytic gradient, `[n, n_classes]`.
    pub fn analytic(&self, loss: &Loss, scores: &[f64], labels: &[u32], n_classes: usize) -> Vec<f64> {
        let module = loss.init(&self.device);
        host(module.gradient(self.scores(scores, n_classes), self.labels(labels)))
    }

    /// The gradient by every route that there is here, `[n, n_classes]` each.
    pub fn routes(
        &self,
        loss: &Loss,
        scores: &[f64],
        labels: &[u32],
        n_classes: usize,
    ) -> Vec<(&'static str, Vec<f64>)> {
        let mut routes = vec![
            ("analytic", self.analytic(loss, scores, labels, n_classes)),
            ("autodiff", self.autodiff(loss, scores, labels, n_classes)),
        ];
        routes.extend(self.fused(loss, scores, labels, n_classes).map(|q| ("fused", q)));
        routes
    }

    /// The gradient by the fused pass, on the host or on a GPU: with the identity for rows the weights are the scores. `None` in double
    /// precision, and on a GPU in a build that has none.
    pub fn fused(&self, loss: &Loss, scores: &[f64], labels: &[u32], n_classes: usize) -> Option<Vec<f64>> {
        if self.is_double() {
            return None;
        }
        let n = labels.len();
        let identity: Vec<u8> = (0..n * n).map(|i| u8::from(i / n == i % n)).collect();
        let (features, scaler) = (Features::U8(Dense::new(n, identity)), Scaler::default());
        let source = Source { features: &features, labels, scaler: &scaler, weights: None };
        let objective = Objective { loss: loss.clone(), lambda: 0.0, bias: BiasRule::None };
        let scores: Vec<f32> = scores.iter().map(|&s| s as f32).collect();
        let rows: Vec<u32> = (0..n as u32).collect();
        let found = if self.name.starts_with("wgpu") {
            let limits = ResidentLimits::default();
            DevicePass::new(source, n_classes, &objective, &self.device, limits)?.at(&scores, None, &rows).unwrap().0
        } else {
            FusedPass::new(source, n_classes, &objective).unwrap().at(&scores, None, &rows)
        };
        Some(found.weight.iter().map(|&q| f64::from(q) * n as f64).collect())
    }

    /// The gradient by automatic differentiation of the summed loss, `[n, n_classes]`.
    pub fn autodiff(&self, loss: &Loss, scores: &[f64], labels: &[u32], n_classes: usize) -> Vec<f64> {
        let module = loss.init(&self.device);
        let tracked = Self { device: self.device.clone().autodiff(), ..self.clone() };
        let scores = tracked.scores(scores, n_classes).require_grad();
        let sum = module.forward_no_reduction(scores.clone(), self.labels(labels)).sum();
        host(scores.grad(&sum.backward()).expect("the scores take part in the loss"))
    }
}

/// flex and ndarray in f64 and f32.
pub fn cpu_targets() -> Vec<Target> {
    let both = |d: OpenDevice| {
        let name = d.label();
        [DType::F64, DType::F32].map(|dtype| Target { device: d.device.clone(), name: name.clone(), dtype })
    };
    cpu_devices().into_iter().flat_map(both).collect()
}

/// These, and wgpu in f32.
pub fn targets() -> Vec<Target> {
    let mut targets = cpu_targets();
    targets.extend(wgpu_cpu().map(|d| Target { device: d.device.clone(), name: d.label(), dtype: DType::F32 }));
    targets
}

pub fn loss(formulation: Formulation, margin: f64, power: Power) -> Loss {
    Loss::new(formulation, margin, power)
}

/// The kinds of loss: formulation × power or smoothing × a margin or costs × with or without class weights, for five classes.
pub fn kinds() -> Vec<Loss> {
    let plain = |f: Formulation| {
        let smoothed = loss(f, 1.0, Power::One).smoothing(0.5);
        f.powers().iter().map(move |&p| loss(f, 1.0, p)).chain([smoothed]).map(|l| l.k(2))
    };
    let costs: Vec<Vec<f64>> = (0..5).map(|y| (0..5).map(|j| cost(y, j)).collect()).collect();
    let costly = |l: Loss| [l.margins.differences().then(|| l.clone().costs(&costs)), Some(l)].into_iter().flatten();
    let weighted = |l: Loss| [l.clone().class_weights(vec![0.5, 1.0, 3.7, 0.0, 0.1]), l];
    Formulation::ALL.into_iter().flat_map(plain).flat_map(costly).flat_map(weighted).collect()
}

/// A loss of [`kinds`] for another number of classes.
pub fn resized(loss: &Loss, n_classes: usize) -> Loss {
    loss.reordered(&(0..n_classes).map(|i| (i < 5).then_some(i)).collect::<Vec<_>>())
}

/// The costs of a loss, row-major, where it has them.
pub fn costs_of(loss: &Loss) -> Option<Vec<f64>> {
    match &loss.margins {
        Margins::Costs(costs) => Some(costs.rows().concat()),
        Margins::Difference(_) | Margins::OneVsRest(_) => None,
    }
}

/// The loss with margin 1 of a row whose scores are all 0.
pub fn at_zero(formulation: Formulation, n_classes: usize) -> f64 {
    match formulation {
        Formulation::WestonWatkins => n_classes as f64 - 1.0,
        Formulation::OneVsRest => n_classes as f64,
        Formulation::CrammerSinger | Formulation::TopK => 1.0,
    }
}

/// The naive loops of a problem, for any loss.
pub fn naive_of(loss: &Loss, sample: &ReferenceProblem<'_>) -> LossAndGradient {
    let gamma = loss.set.smoothing;
    let smoothed = |own: bool, most: Option<usize>| smoothed_naive(sample, own, most, gamma);
    let top = loss.set.selection.count().unwrap_or(1);
    match loss.formulation() {
        Formulation::WestonWatkins if gamma > 0.0 => smoothed(false, None),
        Formulation::CrammerSinger if gamma > 0.0 => smoothed(false, Some(1)),
        Formulation::OneVsRest if gamma > 0.0 => smoothed(true, None),
        Formulation::TopK if gamma > 0.0 => smoothed(false, Some(top)),
        Formulation::WestonWatkins => weston_watkins_naive(sample),
        Formulation::CrammerSinger => crammer_singer_naive(sample),
        Formulation::OneVsRest => one_vs_rest_naive(sample),
        Formulation::TopK => top_k_naive(sample, top),
    }
}

/// Losses `[n]` and gradients `[n, n_classes]` with respect to scores by the naive loops: with x = 1 the weights are the scores.
pub fn naive(loss: &Loss, scores: &[f64], labels: &[u32], n_classes: usize) -> (Vec<f64>, Vec<f64>) {
    let rows = scores.chunks(n_classes).zip(labels).map(|(row, &label)| {
        let found = naive_of(
            loss,
            &ReferenceProblem {
                x: &[1.0],
                labels: &[label],
                weight: row,
                n_classes,
                class_weights: loss.class_weights.as_deref(),
                margin: loss.margins.largest(),
                costs: costs_of(loss).as_deref(),
                power: loss.set.power,
                lambda: 0.0,
            },
        );
        (found.loss, found.gradient)
    });
    let (values, gradients): (Vec<f64>, Vec<Vec<f64>>) = rows.unzip();
    (values, gradients.concat())
}

/// A loss, scores and labels.
#[derive(Debug, Clone)]
pub struct Case {
    pub loss: Loss,
    pub scores: Vec<f64>,
    pub labels: Vec<u32>,
    pub n_classes: usize,
}

impl Case {
    pub fn rows(&self) -> impl Iterator<Item = (&[f64], usize)> {
        self.scores.chunks(self.n_classes).zip(self.labels.iter().map(|&l| l as usize))
    }

    /// The margins of a row, without the label's own where that is not charged.
    pub fn margins(&self, row: &[f64], label: usize) -> Vec<f64> {
        let others = row.iter().enumerate().filter(|(j, _)| *j != label);
        match &self.loss.margins {
            Margins::OneVsRest(delta) => {
                row.iter().enumerate().map(|(j, s)| if j == label { delta - s } else { delta + s }).collect()
            }
            Margins::Difference(delta) => others.map(|(_, s)| delta + s - row[label]).collect(),
            Margins::Costs(costs) => others.map(|(j, s)| costs.rows()[label][j] + s - row[label]).collect(),
        }
    }
}

/// Any loss for a number of classes.
fn any_loss(n_classes: usize) -> impl Strategy<Value = Loss> {
    let weight = prop_oneof![Just(0.0), Just(1.0), 0.1..4.0f64];
    (
        prop::sample::select(Formulation::ALL.to_vec()),
        prop_oneof![4 => Just(1.0), 1 => Just(0.0), 1 => Just(0.5), 1 => Just(2.0), 1 => Just(10.0)],
        any::<bool>(),
        prop::option::of(prop::collection::vec(weight, n_classes)),
        1..n_classes,
        prop_oneof![3 => Just(0.0), 1 => Just(0.3), 1 => Just(0.5), 1 => Just(1.0), 1 => Just(8.0)],
        prop_oneof![3 => Just(None), 1 => (0..7usize).prop_map(Some)],
    )
        .prop_map(move |(formulation, margin, square, class_weights, k, gamma, costs)| {
            let power = *formulation.powers().get(usize::from(square)).unwrap_or(&Power::One);
            let smoothing = if power == Power::One { gamma } else { 0.0 };
            let loss = Loss { class_weights, ..loss(formulation, margin, power).k(k).smoothing(smoothing) };
            let Some(shift) = costs.filter(|_| loss.margins.differences()) else { return loss };
            let of = |y, j| if y == j { 0.0 } else { cost(y + shift, j + shift + 1) };
            loss.costs(&(0..n_classes).map(|y| (0..n_classes).map(|j| of(y, j)).collect()).collect::<Vec<_>>())
        })
}

fn case(score: impl Strategy<Value = f64> + Clone + 'static) -> impl Strategy<Value = Case> {
    (1..=6usize, 2..=7usize).prop_flat_map(move |(n, n_classes)| {
        let scores = prop::collection::vec(score.clone(), n * n_classes);
        let labels = prop::collection::vec(0..n_classes as u32, n);
        (any_loss(n_classes), scores, labels).prop_map(move |(loss, scores, labels)| Case {
            loss,
            scores,
            labels,
            n_classes,
        })
    })
}

/// Cases on a grid that every precision holds exactly: ties, met margins and certain rows are frequent, and no rounding moves
/// a margin across zero.
pub fn grid_case() -> impl Strategy<Value = Case> {
    let integer = (-3i32..=3).prop_map(f64::from).boxed();
    let fine = (-256i32..=256).prop_map(|v| f64::from(v) / 64.0).boxed();
    prop_oneof![case(integer), case(fine)]
}

/// Cases with any scores, for f64.
pub fn smooth_case() -> impl Strategy<Value = Case> {
    prop_oneof![case((-4.0..4.0f64).boxed()), case((-300.0..300.0f64).boxed())]
}
