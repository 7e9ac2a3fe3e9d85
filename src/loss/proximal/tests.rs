use super::*;
#[cfg(feature = "flex")]
use burn::tensor::{DType, Device, Tensor, TensorData};

const K: usize = 4;
const COSTS: [f64; 3] = [0.5, 1.5, 3.0];

fn losses() -> Vec<Loss> {
    let costs: Vec<Vec<f64>> =
        (0..K).map(|y| (0..K).map(|j| if y == j { 0.0 } else { 0.5 + j as f64 }).collect()).collect();
    vec![
        Loss::weston_watkins(),
        Loss::weston_watkins().squared(),
        Loss::weston_watkins().smoothing(0.4),
        Loss::weston_watkins().costs(&costs),
        Loss::crammer_singer(),
        Loss::crammer_singer().squared(),
        Loss::crammer_singer().smoothing(0.4),
        Loss::top_k(2),
        Loss::one_vs_rest(),
        Loss::one_vs_rest().squared(),
        Loss::one_vs_rest().margin(2.0).smoothing(0.4),
    ]
}

/// γ of a loss: 0, too, where its penalty is curved.
fn gammas(loss: &Loss) -> &'static [f64] {
    if loss.is_smooth() { &[0.0, 0.3, 2.0] } else { &[0.3, 2.0] }
}

/// Numbers between −2 and 2.
fn numbers(seed: usize, n: usize) -> Vec<f64> {
    let number = |i: usize| (seed * 7919 + i * 104_729 + i * i * 31) % 4001;
    (0..n).map(|i| number(i) as f64 / 1000.0 - 2.0).collect()
}

/// A label, c, scores, and a centre in its set.
type ProximalCase = (usize, f64, Vec<f64>, Vec<f64>);

fn row(loss: &Loss, seed: usize) -> ProximalCase {
    let (label, c) = (seed % K, COSTS[seed % 3]);
    let mut centre: Vec<f64> = numbers(seed + 500, K).iter().map(|b| b.abs() / 2.0).collect();
    loss.dual_clip(label, c, &mut centre);
    (label, c, numbers(seed, K), centre)
}

/// a of scores, and the maximum: a·G − pen(a) − (γ/2)‖a − b‖².
fn step(loss: &Loss, gamma: f64, seed: usize, scores: &[f64]) -> (Vec<f64>, f64) {
    let (label, c, _, centre) = row(loss, seed);
    let mut a = vec![0.0; K];
    let found = Proximal { loss, gamma }.step(label, c, scores, &centre, &mut a, &mut Room::new(K));
    (a, found.loss - found.excess - found.distance)
}

#[test]
fn a_is_in_its_set_and_no_move_raises_what_it_maximises() {
    for loss in losses() {
        for &gamma in gammas(&loss) {
            for seed in 0..200 {
                let (label, c, scores, centre) = row(&loss, seed);
                let (a, best) = step(&loss, gamma, seed, &scores);
                let mut clipped = a.clone();
                loss.dual_clip(label, c, &mut clipped);
                assert!(a.iter().zip(&clipped).all(|(a, b)| (a - b).abs() <= 1e-12), "{loss} {gamma} {a:?}");
                let value = |a: &[f64]| {
                    let sums = Proximal { loss: &loss, gamma }.response(
                        c,
                        &loss.margins.of_row(&scores, label).collect::<Vec<f64>>(),
                        &centre,
                        a,
                    );
                    sums.loss - sums.excess - sums.distance
                };
                for i in 0..K {
                    for j in 0..K {
                        for h in [1e-3, -1e-3, 1e-5] {
                            let mut other = a.clone();
                            other[i] += h;
                            other[j] -= if i == j { 0.0 } else { h };
                            let asked = other.clone();
                            loss.dual_clip(label, c, &mut other);
                            if other == asked {
                                assert!(value(&other) <= best + 1e-12, "{loss} {gamma} {seed}: {a:?} {other:?}");
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The maximum, its gradient −β(a) and the change of that, by central differences.
#[test]
fn the_gradient_and_its_slope_are_those_of_the_maximum() {
    const H: f64 = 1e-6;
    let mut checked = 0;
    for loss in losses() {
        for &gamma in gammas(&loss) {
            let proximal = Proximal { loss: &loss, gamma };
            for seed in 0..200 {
                let (label, c, scores, _) = row(&loss, seed);
                let direction = numbers(seed + 90, K);
                let at = |h: f64| {
                    let there: Vec<f64> = scores.iter().zip(&direction).map(|(s, d)| s + h * d).collect();
                    step(&loss, gamma, seed, &there)
                };
                let ((a, _), (before, low), (after, high)) = (at(0.0), at(-H), at(H));
                let growth = proximal.growth(label, &direction, &a);
                assert!(
                    (growth - (high - low) / (2.0 * H)).abs() <= 1e-5 * (1.0 + growth.abs()),
                    "{loss} {gamma} {seed}"
                );
                let hi = loss.set.limits(c).0;
                let side = |a: &[f64]| a.iter().map(|&a| (a > 0.0, a < hi)).collect::<Vec<_>>();
                let sum = |a: &[f64]| a.iter().sum::<f64>() >= loss.set.limits(c).1 * (1.0 - 1e-12);
                if side(&before) != side(&after) || sum(&before) != sum(&after) {
                    continue;
                }
                let (mut curved, mut diagonal) = (direction.clone(), vec![0.0; K]);
                proximal.curve(label, c, &a, &mut curved);
                proximal.diagonal(label, c, &a, &mut diagonal);
                let beta = |a: &[f64]| {
                    let mut beta = vec![0.0; K];
                    loss.dual_coefficients(label, a, &mut beta);
                    beta
                };
                for ((curved, before), after) in curved.iter().zip(beta(&before)).zip(beta(&after)) {
                    assert!((curved + (after - before) / (2.0 * H)).abs() <= 1e-6, "{loss} {gamma} {seed}");
                }
                assert_eq!(proximal.is_active(c, &a), diagonal.iter().any(|&d| d > 0.0), "{loss} {gamma} {a:?}");
                for (j, d) in diagonal.iter().enumerate() {
                    let mut unit = vec![0.0; K];
                    unit[j] = 1.0;
                    proximal.curve(label, c, &a, &mut unit);
                    assert!((unit[j] - d).abs() <= 1e-12, "{loss} {gamma} {seed} {j}");
                }
                checked += 1;
            }
        }
    }
    assert!(checked > 4_000, "{checked}");
}

/// On a CPU backend in both precisions.
#[cfg(feature = "flex")]
#[test]
fn tensors_say_what_rows_say() {
    const N: usize = 60;
    let device = Device::flex();
    for dtype in [DType::F64, DType::F32] {
        let near = if dtype == DType::F64 { 1e-9 } else { 2e-4 };
        for loss in losses() {
            for &gamma in gammas(&loss) {
                let proximal = Proximal { loss: &loss, gamma };
                let rows: Vec<_> = (0..N).map(|seed| row(&loss, seed)).collect();
                let tensor = |of: fn(&ProximalCase) -> &Vec<f64>| {
                    let all: Vec<f64> = rows.iter().flat_map(|row| of(row).clone()).collect();
                    Tensor::<2>::from_data(TensorData::new(all, [N, K]), (&device, dtype))
                };
                let (scores, centre) = (tensor(|row| &row.2), tensor(|row| &row.3));
                let labels: Vec<usize> = rows.iter().map(|row| row.0).collect();
                let costs = rows.iter().map(|row| row.1).collect();
                let targets = Targets::new(&loss.margins, &labels, costs, K, &device, dtype);
                let (a, sums) = proximal.responses(scores.clone(), &targets, &centre);
                let piece = proximal.pieces(&a, &targets);
                let host = |tensor: Tensor<2>| tensor.into_data().try_to_vec_as::<f64>().unwrap();
                let found = [
                    host(a.clone()),
                    host(targets.coefficients(a.clone())),
                    host(proximal.curves(scores.clone(), &targets, &piece)),
                    host(proximal.diagonals(&targets, &piece)),
                ];
                let mut expected = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
                let (mut loss_sum, mut excess, mut distance, mut growth) = (0.0, 0.0, 0.0, 0.0);
                for (label, c, scores, centre) in &rows {
                    let (mut a, mut beta, mut diagonal) = (vec![0.0; K], vec![0.0; K], vec![0.0; K]);
                    let row = proximal.step(*label, *c, scores, centre, &mut a, &mut Room::new(K));
                    (loss_sum, excess, distance) = (loss_sum + row.loss, excess + row.excess, distance + row.distance);
                    growth += proximal.growth(*label, scores, &a);
                    loss.dual_coefficients(*label, &a, &mut beta);
                    let mut curved = scores.clone();
                    proximal.curve(*label, *c, &a, &mut curved);
                    proximal.diagonal(*label, *c, &a, &mut diagonal);
                    expected.iter_mut().zip([a, beta, curved, diagonal]).for_each(|(all, row)| all.extend(row));
                }
                for (which, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    for (at, (f, e)) in found.iter().zip(expected).enumerate() {
                        assert!(
                            (f - e).abs() <= near * (1.0 + e.abs()),
                            "{loss} {gamma} {dtype:?} {which} {at}: {f} {e}"
                        );
                    }
                }
                let mut sums = sums.into_data().try_to_vec_as::<f64>().unwrap();
                sums.extend(host(proximal.loss_sum(scores.clone(), &targets).unsqueeze()));
                sums.extend(host(proximal.growths(scores, &targets, a).unsqueeze()));
                for (f, e) in sums.iter().zip([loss_sum, excess, distance, loss_sum, growth]) {
                    assert!((f - e).abs() <= near * (1.0 + loss_sum.abs()), "{loss} {gamma} {dtype:?}: {f} {e}");
                }
            }
        }
    }
}
