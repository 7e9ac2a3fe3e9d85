//! Sums `Σ m·z zᵀ` of the interior point method on a device that has f64: products of matrices, most of the work where rows are many and wide. All else
//! stays on the host, the sums too where the device fails.

use super::gram::weighted_gram;
use super::rows::LabelRows;
use super::system::{BlockPattern, BlockSums};
use crate::solver::Problem;
use burn::tensor::{DType, Device, Tensor, TensorData};
use std::ops::Range;
use std::sync::Mutex;

/// Multiply-adds of the sums of an iteration from which the way to the device and back is worth it.
const LEAST: f64 = 1e10;
/// Numbers of a block of rows: as many as fit the smallest buffer of any driver, half of it.
const CELLS: usize = 1 << 23;

/// The rows of all labels, some at a time.
pub(super) struct DeviceRows {
    /// `[rows, width]`; one sum at a time, so that the memory of a card does not depend on the number of threads.
    labels: Mutex<Vec<Vec<Tensor<2>>>>,
    device: Device,
    width: usize,
}

/// Whether the device of a problem is one for the sums of an iteration, of so many multiply-adds.
pub(super) fn serves(problem: &Problem<'_>, multiply_adds: f64) -> bool {
    let device = problem.device;
    let is_card = !device.name.backend.is_cpu() && !device.is_software_adapter();
    multiply_adds >= LEAST && is_card && device.device.supports_dtype(DType::F64)
}

impl DeviceRows {
    /// Of parts in the order of their labels.
    pub fn new(device: &Device, parts: &[LabelRows], n_labels: usize) -> Self {
        let mut labels: Vec<Vec<Tensor<2>>> = vec![Vec::new(); n_labels];
        let width = parts.first().map_or(0, |part| part.columns.len() / part.rows.len());
        let mut rest = parts;
        while let Some(first) = rest.first() {
            let (mut n, mut count) = (0, 0);
            for part in rest.iter().take_while(|part| part.label == first.label) {
                if count > 0 && (n + part.rows.len()) * width > CELLS {
                    break;
                }
                (n, count) = (n + part.rows.len(), count + 1);
            }
            let (own, others) = rest.split_at(count);
            let column = |j: usize| own.iter().flat_map(move |part| part.column(j).iter().copied());
            let cells: Vec<f64> = (0..width).flat_map(column).collect();
            let columns = Tensor::<2>::from_data(TensorData::new(cells, [width, n]), (device, DType::F64));
            labels[first.label].push(columns.transpose());
            rest = others;
        }
        Self { labels: Mutex::new(labels), device: device.clone(), width }
    }

    /// The sum over the rows of some labels with their numbers m, `[width, width]`; `None` where the device fails.
    pub fn gram(&self, labels: Range<usize>, numbers: &[f64]) -> Option<Vec<f64>> {
        let (all, mut first) = (self.labels.lock().ok()?, 0);
        let mut sum = Tensor::<2>::zeros([self.width, self.width], (&self.device, DType::F64));
        for rows in all[labels].iter().flatten() {
            let n = rows.dims()[0];
            let own = TensorData::new(numbers[first..first + n].to_vec(), [n, 1]);
            sum = sum.add(weighted_gram(rows, Tensor::from_data(own, (&self.device, DType::F64))));
            first += n;
        }
        sum.into_data().try_to_vec_as::<f64>().ok()
    }

    /// The sums of all blocks from the numbers m of every part, `[blocks, rows]`.
    pub fn block_sums(
        &self,
        parts: &[LabelRows],
        kind: BlockPattern,
        n_classes: usize,
        numbers: &[Vec<f64>],
    ) -> Option<BlockSums> {
        let of = |labels: &Range<usize>, number: usize| {
            let inside = parts.iter().zip(numbers).filter(|(part, _)| labels.contains(&part.label));
            let own = inside.flat_map(|(part, m)| &m[number * part.rows.len()..(number + 1) * part.rows.len()]);
            self.gram(labels.clone(), &own.copied().collect::<Vec<f64>>())
        };
        BlockSums::from_matrices((self.width, 1), kind, n_classes, |at| {
            let (labels, number) = kind.source(n_classes, at);
            of(&labels, number)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::batch::Source;
    use crate::data::{Dense, Features, Scaler};
    use crate::device::{open, open_cpu};
    use crate::loss::{Formulation, Loss, Power};
    use crate::model::BiasRule;
    use crate::objective::Objective;
    use crate::solver::GradientRoute;
    use crate::solver::newton::basis::BasisKind;
    use crate::solver::newton::class::Task;
    use crate::solver::newton::classes::ClassRun;
    use crate::solver::newton::iterate::Iterate;
    use crate::solver::newton::scalar::ScalarInterior;
    use crate::solver::newton::system::WIDE;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Narrow rows, whose blocks are formed together, and wide ones, where each is a product of matrices of its own.
    #[test]
    fn sums_on_a_device_are_those_of_the_host() {
        let opened = [open_cpu(), open("wgpu:cpu".parse().unwrap()).ok()];
        let devices: Vec<Device> = opened.into_iter().flatten().map(|open| open.device).collect();
        let devices: Vec<Device> = devices.into_iter().filter(|device| device.supports_dtype(DType::F64)).collect();
        println!("{} devices", devices.len());
        let (k, mut rng) = (3, ChaCha8Rng::seed_from_u64(3));
        let mut numbers = |n: usize| (0..n).map(|_| rng.random_range(-1.0..1.0f64)).collect::<Vec<f64>>();
        for width in [70, WIDE + 3] {
            let mut part = |label: usize, n: usize| {
                let (rows, columns) = (vec![0; n], numbers(n * width));
                LabelRows { label, first: 0, rows, weights: vec![1.0; n], columns }
            };
            let parts = [part(0, 40), part(0, 7), part(2, 90)];
            for kind in [BlockPattern::Apart, BlockPattern::Meeting, BlockPattern::All] {
                let m: Vec<Vec<f64>> = parts.iter().map(|part| numbers(kind.count(k) * part.rows.len())).collect();
                let expected = BlockSums::of(&parts, width, kind, k, &|at, room| {
                    room.clone_from(&m[at]);
                    room
                });
                for device in &devices {
                    let rows = DeviceRows::new(device, &parts, k);
                    let distance = rows.block_sums(&parts, kind, k, &m).unwrap().distance(&expected);
                    assert!(distance < 1e-12, "{device:?} {width} {kind:?}: {distance}");
                }
            }
        }
    }

    /// Rows of three classes, features of scales from 1 to 1e4.
    fn rows(n: usize, d: usize) -> (Features<'static>, Vec<u32>) {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..n {
            let row: Vec<f32> = (0..d).map(|_| rng.random_range(-1.0..1.0f32)).collect();
            labels.push(u32::from(row[0] + row[1] > 0.3) + u32::from(row[2] > rng.random_range(-0.5..0.5)));
            values.extend(row.iter().enumerate().map(|(j, x)| x * [1.0, 100.0, 1e4][j % 3]));
        }
        (Features::F32(Dense::new(d, values)), labels)
    }

    #[test]
    fn steps_with_sums_on_a_device_are_those_of_the_host() {
        let ((features, labels), train) = (rows(300, 6), (0..300).collect::<Vec<u32>>());
        let (scaler, device) = (Scaler::default(), open_cpu().unwrap());
        let formulations = [Formulation::WestonWatkins, Formulation::CrammerSinger, Formulation::OneVsRest];
        for (formulation, bias) in formulations.into_iter().flat_map(|f| [(f, BiasRule::Free), (f, BiasRule::None)]) {
            let objective = Objective { loss: Loss::new(formulation, 1.0, Power::One), lambda: 1e-3, bias };
            let problem = Problem {
                source: Source { features: &features, labels: &labels, scaler: &scaler, weights: None },
                train: &train,
                validation: &[],
                n_classes: 3,
                objective: &objective,
                device: &device,
                gradient: GradientRoute::Analytic,
                seed: 0,
                threads: 1,
                early_stopping: None,
            };
            let bounds = |on_device: bool| {
                let rows = |parts: &[LabelRows]| on_device.then(|| DeviceRows::new(&device.device, parts, 3));
                if formulation == Formulation::OneVsRest {
                    let mut task = Task::new(&problem, &objective, BasisKind::Orthogonal);
                    task.rows.device = rows(&task.rows.parts);
                    let mut run = ClassRun::new(task, &problem, ScalarInterior::new);
                    run.step(&[true; 3], 5, 0.0);
                    return [run.bounds().primal, run.bounds().dual];
                }
                let mut iterate = Iterate::new(&problem, objective.lambda);
                iterate.rows.device = rows(&iterate.rows.parts);
                for _ in 0..5 {
                    iterate.measure();
                    iterate.step().unwrap();
                }
                let joint = iterate.measure();
                [joint.primal, joint.dual]
            };
            let (found, expected) = (bounds(true), bounds(false));
            for (found, expected) in found.into_iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-9 * expected.abs(),
                    "{formulation:?} {bias:?}: {found} {expected}"
                );
            }
        }
    }
}
