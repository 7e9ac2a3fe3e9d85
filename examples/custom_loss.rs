//! A loss of your own through `MarginLoss`, held to finite differences by `gradcheck`, then the same loss with a mistake in its gradient.
//!
//! `cargo run --release --example custom_loss`
//!
//! The loss is the smoothed hinge of Rennie and Srebro (2005) in the Weston-Watkins sum: with z = Δ + s_j − s_y
//!
//! ```text
//! φ(z) = 0 for z ≤ 0,   z²/2 for 0 < z < 1,   z − ½ for z ≥ 1            φ'(z) = min(max(z, 0), 1)
//! ```

use burn::tensor::{Int, Tensor};
use burn_svm::MarginLoss;
use burn_svm::cpu_device;
use burn_svm::gradcheck::{Inputs, check};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::error::Error;

const MARGIN: f64 = 1.0;

/// Mistake in the gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mistake {
    None,
    /// The label's own margin, which is always Δ, is counted as a violation.
    LabelCounted,
}

#[derive(Debug)]
struct SmoothedHinge {
    mistake: Mistake,
}

impl SmoothedHinge {
    /// Margins `[n_samples, n_classes]` with 0 at the label: φ and φ' are 0 there.
    fn margins(&self, scores: Tensor<2>, labels: &Tensor<1, Int>, mask: bool) -> Tensor<2> {
        let [n_samples, n_classes] = scores.dims();
        let column = labels.clone().reshape([n_samples, 1]);
        let correct = scores.clone().gather(1, column.clone());
        let margins = scores.sub(correct).add_scalar(MARGIN);
        if !mask {
            return margins;
        }
        // Integers are compared as integers: in f16 class 2,049 would be class 2,048.
        let classes = Tensor::<1, Int>::arange(0..n_classes as i64, &margins.device()).reshape([1, n_classes]);
        let own = classes.expand([n_samples, n_classes]).equal(column.expand([n_samples, n_classes]));
        margins.mask_fill(own, 0.0)
    }
}

impl MarginLoss for SmoothedHinge {
    fn name(&self) -> &'static str {
        "smoothed_hinge"
    }

    fn forward_no_reduction(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        let [n_samples, _] = scores.dims();
        // z·c − c²/2 with c = min(max(z, 0), 1): both branches at once.
        let z = self.margins(scores, &labels, true);
        let c = z.clone().clamp(0.0, 1.0);
        let value = z.mul(c.clone()).sub(c.clone().mul(c).mul_scalar(0.5));
        value.sum_dim(1).reshape([n_samples])
    }

    fn gradient(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<2> {
        let [n_samples, n_classes] = scores.dims();
        let slope = self.margins(scores, &labels, self.mistake != Mistake::LabelCounted).clamp(0.0, 1.0);
        let total = slope.clone().sum_dim(1).neg();
        let column = labels.reshape([n_samples, 1]);
        let classes = Tensor::<1, Int>::arange(0..n_classes as i64, &slope.device()).reshape([1, n_classes]);
        let own = classes.expand([n_samples, n_classes]).equal(column.expand([n_samples, n_classes]));
        slope.mask_where(own, total.expand([n_samples, n_classes]))
    }

    // The slope is continuous: no kinks, so that the default of `kinks`, an empty list, is right.
}

fn main() -> Result<(), Box<dyn Error>> {
    cpu_device().ok_or("this example needs a CPU backend")?;
    let (n_samples, n_features, n_classes) = (40, 6, 4);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let features: Vec<f64> = (0..n_samples * n_features).map(|_| rng.random_range(-2.0..2.0)).collect();
    let labels: Vec<u32> = (0..n_samples).map(|_| rng.random_range(0..n_classes as u32)).collect();
    let weight: Vec<f64> = (0..n_features * n_classes).map(|_| rng.random_range(-0.5..0.5)).collect();
    for mistake in [Mistake::None, Mistake::LabelCounted] {
        let loss = SmoothedHinge { mistake };
        let inputs =
            Inputs { weight: Some(&weight), coordinates: 3, ..Inputs::new(&loss, &features, &labels, n_classes) };
        let report = check(&inputs)?;
        println!("{} with mistake: {mistake:?}", report.loss);
        report.coordinates.iter().for_each(|line| println!("{line}"));
        println!("{}\n", report.verdict);
        if report.verdict.passed != (mistake == Mistake::None) {
            return Err("the check came out the other way".into());
        }
    }
    Ok(())
}
