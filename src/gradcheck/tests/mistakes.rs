//! Every diagnosis is provoked by the mistake that it names.

use super::*;

/// A Weston-Watkins loss with a mistake in its gradient or its forward pass.
#[derive(Debug)]
struct WrongLoss {
    right: Box<dyn MarginLoss>,
    mistake: Mistake,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mistake {
    Sign,
    DividedByN,
    TimesN,
    Factor,
    Zero,
    CountsOwnClass,
    NotFinite,
    Noise,
    ForwardCountsOwnClass,
    ForwardHalved,
}

impl MarginLoss for WrongLoss {
    fn name(&self) -> &'static str {
        "broken"
    }
    fn forward_no_reduction(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
        let right = self.right.forward_no_reduction(scores, labels);
        match self.mistake {
            Mistake::ForwardCountsOwnClass => right.add_scalar(1.0),
            Mistake::ForwardHalved => right.mul_scalar(0.5),
            _ => right,
        }
    }
    fn gradient(&self, scores: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<2> {
        let [n, k] = scores.dims();
        let q = self.right.gradient(scores, labels.clone());
        match self.mistake {
            Mistake::Sign => q.neg(),
            Mistake::DividedByN => q.div_scalar(n as f64),
            Mistake::TimesN => q.mul_scalar(n as f64),
            Mistake::Factor => q.mul_scalar(1.7),
            Mistake::Zero => q.zeros_like(),
            Mistake::CountsOwnClass => {
                let own = crate::loss::label_mask(&labels, k).float().cast(q.dtype());
                q.sub(own)
            }
            Mistake::NotFinite => q.mul_scalar(f64::NAN),
            Mistake::Noise => {
                let label = labels.float().cast(q.dtype()).reshape([n, 1]).expand([n, k]);
                q.add(label.mul_scalar(0.01))
            }
            Mistake::ForwardCountsOwnClass | Mistake::ForwardHalved => q,
        }
    }
    fn kinks(&self, before: &[f64], after: &[f64], label: usize) -> Vec<usize> {
        self.right.kinks(before, after, label)
    }
}

#[test]
fn each_mistake_of_a_loss_is_named() {
    let analytic = |cause: &str| format!("the analytic gradient: {cause}");
    for (mistake, expected) in [
        (Mistake::Sign, analytic("the sign is flipped")),
        (Mistake::DividedByN, analytic("off by a factor 1/n = 1/40: divided by n twice")),
        (Mistake::TimesN, analytic("off by a factor n = 40: a sum where the loss is a mean")),
        (Mistake::Factor, analytic("a constant factor of 1.7000")),
        (Mistake::Zero, analytic("it is zero")),
        (Mistake::CountsOwnClass, analytic("the correct class is counted: mask it before the sum over the classes")),
        (Mistake::NotFinite, analytic("it is not finite")),
        (Mistake::Noise, analytic("none of the usual ones; is the loss's `kinks` complete?")),
        (Mistake::ForwardCountsOwnClass, "the loss at W = 0 is 4, expected 3: the correct class is counted".into()),
        (
            Mistake::ForwardHalved,
            "the loss at W = 0 is 1.5, expected 3: off by a factor 0.500000; the analytic gradient: a constant factor of 2.0000"
                .into(),
        ),
    ] {
        for (power, lambda, coordinates) in [(Power::One, 0.0, 20), (Power::Two, 0.5, 20), (Power::One, 0.5, 2)] {
            let right = Loss::new(Formulation::WestonWatkins, 1.0, power);
            let (features, labels) = rows(1.0, 3);
            let weight: Vec<f64> = normal(D * K, &mut generator(1)).iter().map(|w| w * 3e3).collect();
            let broken = WrongLoss { right: right.init(&cpu()), mistake };
            let report = check(&Inputs {
                weight: Some(&weight),
                lambda,
                bias_rule: BiasRule::Regularised { scale: 1.0 },
                expected_at_zero: Some(right.of_row(&[0.0; K], 0)),
                coordinates,
                ..Inputs::new(&broken, &features, &labels, K)
            });
            let verdict = report.unwrap().verdict;
            assert!(!verdict.passed, "{mistake:?}");
            assert_eq!(verdict.cause.as_deref(), Some(expected.as_str()), "{mistake:?} {power:?}");
            assert!(verdict.to_string().contains(&expected));
        }
    }
}

/// A report of gradients that were tampered with.
fn tampered(rule: BiasRule, tamper: impl Fn(&ModelPoint<'_>, &mut Gradient)) -> Verdict {
    let (features, labels) = rows(1.0, 5);
    let loss = Loss::new(Formulation::WestonWatkins, 1.0, Power::One).init(&cpu());
    let mut rng = generator(2);
    let mut big = |count| normal(count, &mut rng).iter().map(|w| w * 5e3).collect::<Vec<f64>>();
    let point = ModelPoint {
        device: cpu(),
        loss: loss.as_ref(),
        features: &features,
        labels: &labels,
        n_features: D,
        n_classes: K,
        row_weights: None,
        weight: big(D * K),
        bias: Some(big(K)),
        lambda: 0.5,
        rule,
        expected_at_zero: None,
        step: STEP,
    };
    let mut candidates = point.candidates().unwrap();
    for Candidates { lambda, analytic, .. } in &mut candidates {
        if *lambda > 0.0 {
            tamper(&point, analytic);
        }
    }
    point.report(&candidates, GradientPoint::Model, 0.0, 30, 0, &mut rng).unwrap().verdict
}

#[test]
fn each_mistake_of_the_regulariser_is_named() {
    let rule = BiasRule::Regularised { scale: 1.0 };
    let penalty = |factor: f64| {
        move |point: &ModelPoint<'_>, gradient: &mut Gradient| {
            gradient.weight.iter_mut().zip(&point.weight).for_each(|(g, w)| *g += factor * point.lambda * w);
        }
    };
    assert!(tampered(rule, penalty(0.0)).passed);
    let half = "off by a factor 2 in the regulariser: the penalty is (λ/2)‖W‖² = reg·‖W‖², its gradient λW = 2·reg·W";
    for (factor, expected) in [
        (-1.0, "differs by λW: the regularisation gradient is missing"),
        (1.0, half),
        (-0.5, half),
        (-2.0, "the sign of the regularisation gradient is flipped"),
        (3.0, "the regularisation gradient has a constant factor of 4.0000"),
    ] {
        let verdict = tampered(rule, penalty(factor));
        assert_eq!(verdict.cause, Some(format!("the analytic gradient: {expected}")));
    }
    let bias = |factor: f64| {
        move |point: &ModelPoint<'_>, gradient: &mut Gradient| {
            let bias = gradient.bias.iter_mut().flatten();
            bias.zip(point.bias.iter().flatten()).for_each(|(g, b)| *g += factor * b);
        }
    };
    let cause = tampered(BiasRule::Free, bias(0.5)).cause.unwrap();
    assert!(cause.ends_with("the bias is regularised more than the objective says"), "{cause}");
    let cause = tampered(rule, bias(-0.5)).cause.unwrap();
    assert!(cause.ends_with("the bias is regularised less than the objective says"), "{cause}");
    let summed = |point: &ModelPoint<'_>, gradient: &mut Gradient| {
        let sum: f64 = point.weight.iter().sum();
        gradient.weight.iter_mut().for_each(|g| *g += sum);
    };
    let cause = tampered(rule, summed).cause.unwrap();
    assert!(cause.ends_with("not by a multiple of λW"), "{cause}");
}
