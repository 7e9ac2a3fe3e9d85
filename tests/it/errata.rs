//! The errata of docs/cs231n.md in numbers: where the tutorial on this loss, or a comment below it, is wrong or easily misread.

use burn_svm::internals::loss::Power;
use burn_svm::internals::objective::ObjectiveConfig;
use burn_svm::internals::reference::{ReferenceProblem, weston_watkins_matrix, weston_watkins_naive};

const N: usize = 12;
const D: usize = 5;
const K: usize = 4;

struct Problem {
    x: Vec<f64>,
    labels: Vec<u32>,
    weight: Vec<f64>,
}

/// Rows in no order of their labels.
fn problem() -> Problem {
    let wave = |i: usize, f: f64| ((i as f64 + 1.0) * f).sin();
    Problem {
        x: (0..N * D).map(|i| wave(i, 1.7)).collect(),
        labels: (0..N).map(|i| ((i * 7 + 2) % 11 % K) as u32).collect(),
        weight: (0..D * K).map(|i| 0.5 * wave(i, 0.9)).collect(),
    }
}

impl Problem {
    fn sample(&self, lambda: f64) -> ReferenceProblem<'_> {
        ReferenceProblem {
            x: &self.x,
            labels: &self.labels,
            weight: &self.weight,
            n_classes: K,
            class_weights: None,
            margin: 1.0,
            costs: None,
            power: Power::One,
            lambda,
        }
    }

    /// Margins of a row, the label's own (it is Δ) included.
    fn margins(&self, i: usize) -> Vec<f64> {
        let score = |c: usize| (0..D).map(|j| self.x[i * D + j] * self.weight[j * K + c]).sum::<f64>();
        let own = score(self.labels[i] as usize);
        (0..K).map(|c| score(c) - own + 1.0).collect()
    }

    /// Q by rows, with the label's entry as `at_label` makes it from the mask of positive margins.
    fn q(&self, mask_label_first: bool, at_label: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut q = Vec::with_capacity(N * K);
        for i in 0..N {
            let label = self.labels[i] as usize;
            let mut row: Vec<f64> = self.margins(i).iter().map(|z| f64::from(u8::from(*z > 0.0))).collect();
            if mask_label_first {
                row[label] = 0.0;
            }
            let count = row.iter().filter(|m| **m > 0.0).count();
            row[label] = at_label(count);
            q.extend(row);
        }
        q
    }

    /// XᵀQ/n for rows of x in the given order.
    fn product(&self, order: &[usize], q: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; D * K];
        for (position, &i) in order.iter().enumerate() {
            for j in 0..D {
                for c in 0..K {
                    out[j * K + c] += self.x[i * D + j] * q[position * K + c] / N as f64;
                }
            }
        }
        out
    }
}

fn far(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |m, (a, b)| f64::max(m, (a - b).abs()))
}

/// The derivative of (λ/2)·ΣW² is the matrix λW. Summed, it would be one number, the same in every cell.
#[test]
fn the_gradient_of_the_regulariser_is_a_matrix() {
    const LAMBDA: f64 = 0.7;
    const H: f64 = 1e-6;
    let problem = problem();
    let part = |weight: &[f64]| {
        let value = |lambda| weston_watkins_naive(&ReferenceProblem { weight, ..problem.sample(lambda) }).loss;
        value(LAMBDA) - value(0.0)
    };
    let total: f64 = problem.weight.iter().sum();
    let mut away = 0.0f64;
    for cell in 0..D * K {
        let mut moved = [problem.weight.clone(), problem.weight.clone()];
        moved[0][cell] += H;
        moved[1][cell] -= H;
        let slope = (part(&moved[0]) - part(&moved[1])) / (2.0 * H);
        assert!((slope - LAMBDA * problem.weight[cell]).abs() < 1e-8, "cell {cell}: {slope}");
        away = away.max((slope - LAMBDA * total).abs());
    }
    assert!(away > 0.1, "λ·ΣW is not the gradient of any cell");
    let gradient = |lambda| weston_watkins_naive(&problem.sample(lambda)).gradient;
    let difference: Vec<f64> = gradient(LAMBDA).iter().zip(gradient(0.0)).map(|(a, b)| a - b).collect();
    assert!(far(&difference, &problem.weight.iter().map(|w| LAMBDA * w).collect::<Vec<_>>()) < 1e-12);
}

/// −count where the label was masked before counting; "−count + 1" only where it was counted. Mixed up, the gradient is wrong.
#[test]
fn the_entry_at_the_label_depends_on_who_was_counted() {
    let problem = problem();
    let order: Vec<usize> = (0..N).collect();
    let right = weston_watkins_naive(&problem.sample(0.0)).gradient;
    let error = |mask_first: bool, plus: f64| {
        far(&problem.product(&order, &problem.q(mask_first, |count| plus - count as f64)), &right)
    };
    assert!(error(true, 0.0) < 1e-12, "masked first: −count");
    assert!(error(false, 1.0) < 1e-12, "counted: −count + 1");
    assert!(error(true, 1.0) > 0.02, "masked first and + 1");
    assert!(error(false, 0.0) > 0.02, "counted and no + 1");
}

/// The tutorial's ½·λ·ΣW² is `lambda`; the handouts since 2018 write reg·ΣW², which is `reg` = λ/2. Taken for each other they
/// solve another problem.
#[test]
fn half_lambda_and_reg_are_one_strength() {
    let strength = |text: &str| toml::from_str::<ObjectiveConfig>(text).unwrap().strength(49_000);
    assert_eq!(strength("lambda = 5e4"), strength("reg = 2.5e4"));
    assert_eq!(strength("reg = 5e4").lambda, 2.0 * strength("lambda = 5e4").lambda);
    let problem = problem();
    let squares: f64 = problem.weight.iter().map(|w| w * w).sum();
    let penalty = weston_watkins_naive(&problem.sample(3.0)).loss - weston_watkins_naive(&problem.sample(0.0)).loss;
    assert!((penalty - 1.5 * squares).abs() < 1e-12, "½λΣW²");
}

/// Row i of Q belongs to row i of X. Collected class by class the product has the right shape and the wrong numbers, unless the
/// rows of X are put into the same order.
#[test]
fn the_rows_of_q_are_in_the_order_of_the_samples() {
    let problem = problem();
    let q = problem.q(true, |count| -(count as f64));
    let right = weston_watkins_matrix(&problem.sample(0.0)).gradient;
    let samples: Vec<usize> = (0..N).collect();
    let mut by_class = samples.clone();
    by_class.sort_by_key(|&i| problem.labels[i]);
    assert_ne!(by_class, samples, "the labels are not sorted to begin with");
    let sorted: Vec<f64> = by_class.iter().flat_map(|&i| q[i * K..(i + 1) * K].to_vec()).collect();
    assert!(far(&problem.product(&samples, &q), &right) < 1e-12);
    assert!(far(&problem.product(&samples, &sorted), &right) > 0.02, "rows of Q by class, rows of X by sample");
    assert!(far(&problem.product(&by_class, &sorted), &right) < 1e-12, "both by class");
}

/// XᵀQ selects rows: column j is the sum of the rows whose margin of class j is violated, less each row of class j as often as it
/// violates.
#[test]
fn column_j_of_the_product_is_a_sum_of_selected_rows() {
    let problem = problem();
    let gradient = weston_watkins_matrix(&problem.sample(0.0)).gradient;
    for class in 0..K {
        let mut sum = [0.0; D];
        for i in 0..N {
            let label = problem.labels[i] as usize;
            let margins = problem.margins(i);
            let times = if class == label {
                -((0..K).filter(|&c| c != label && margins[c] > 0.0).count() as f64)
            } else {
                f64::from(u8::from(margins[class] > 0.0))
            };
            (0..D).for_each(|j| sum[j] += times * problem.x[i * D + j]);
        }
        for (j, s) in sum.into_iter().enumerate() {
            assert!((gradient[j * K + class] - s / N as f64).abs() < 1e-12, "column {class}, feature {j}");
        }
    }
}

/// A 2x4 matrix of zeros and ones times a 4x3 matrix: each row is the sum of the rows that it selects, in the order A·B, which needs no
/// transposing.
#[test]
fn a_mask_selects_rows() {
    let mask = [[true, false, false, true], [false, true, true, true]];
    let b = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]];
    let product = mask.map(|row| [0, 1, 2].map(|c| (0..4).map(|r| i32::from(row[r]) * b[r][c]).sum::<i32>()));
    assert_eq!(product, [[11, 13, 15], [21, 24, 27]]);
    for (row, product) in mask.iter().zip(product) {
        let mut selected = [0; 3];
        (0..4).filter(|&r| row[r]).for_each(|r| (0..3).for_each(|c| selected[c] += b[r][c]));
        assert_eq!(product, selected);
    }
}
