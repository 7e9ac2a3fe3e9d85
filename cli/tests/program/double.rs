//! The objective in twice the digits of f64, on the rows as they were read: the reference of certificates.

use burn_svm::internals::data::{Features, Scaler};
use burn_svm::internals::loss::{Loss, Margins, Power};
use burn_svm::internals::model::{BiasRule, Classifier};
use burn_svm_cli::run;

/// A number as the unevaluated sum of two, 106 bits: T. Dekker, Numer. Math. 18, 1971.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Double(pub f64, f64);

impl Double {
    pub fn of(value: f64) -> Self {
        Self(value, 0.0)
    }

    fn sum(a: f64, b: f64) -> Self {
        let s = a + b;
        let t = s - a;
        Self(s, (a - (s - t)) + (b - t))
    }

    pub fn plus(self, other: Self) -> Self {
        let high = Self::sum(self.0, other.0);
        let low = Self::sum(self.1, other.1);
        let middle = Self::sum(high.0, high.1 + low.0);
        Self::sum(middle.0, middle.1 + low.1)
    }

    pub fn minus(self, other: Self) -> Self {
        self.plus(Self(-other.0, -other.1))
    }

    pub fn times(self, other: Self) -> Self {
        let high = self.0 * other.0;
        let low = self.0.mul_add(other.0, -high);
        Self::sum(high, low + (self.0 * other.1 + self.1 * other.0))
    }

    fn over(self, other: Self) -> Self {
        let first = self.0 / other.0;
        let rest = self.minus(other.times(Self::of(first)));
        let second = rest.0 / other.0;
        let rest = rest.minus(other.times(Self::of(second)));
        Self::sum(first, second).plus(Self::of(rest.0 / other.0))
    }

    fn root(self) -> Self {
        if self.0 <= 0.0 {
            return Self::default();
        }
        let first = Self::of(self.0.sqrt());
        // One step of Newton's method doubles the digits.
        first.plus(self.over(first)).times(Self::of(0.5))
    }

    fn is_positive(self) -> bool {
        self.0 > 0.0 || (self.0 == 0.0 && self.1 > 0.0)
    }

    pub fn is_above(self, other: Self) -> bool {
        self.minus(other).is_positive()
    }

    fn max(self, other: Self) -> Self {
        if self.is_above(other) { self } else { other }
    }
}

/// A row as the model meets it.
fn preprocessed(features: &Features, scaler: &Scaler, row: usize) -> Vec<Double> {
    let mut x = vec![Double::default(); features.n_features()];
    features.for_each_cell(row, |j, v| x[j] = Double::of(v));
    if let Some(mean) = &scaler.mean {
        x.iter_mut().zip(mean).for_each(|(x, &m)| *x = x.minus(Double::of(m)));
    }
    if let Some(scale) = &scaler.scale {
        x.iter_mut().zip(scale).for_each(|(x, &s)| *x = x.over(Double::of(s)));
    }
    if scaler.unit_row {
        let square = x.iter().fold(Double::default(), |sum, x| sum.plus(x.times(*x)));
        if square.is_positive() {
            let length = square.root();
            x.iter_mut().for_each(|x| *x = x.over(length));
        }
    }
    x
}

/// The loss of a row, or of a smoothed one a number below it by less than 2⁻⁹⁰ of it.
fn loss_of(loss: &Loss, scores: &[Double], label: usize) -> Double {
    let difference = |j: usize, delta: f64| Double::of(delta).plus(scores[j]).minus(scores[label]);
    let margins = scores.iter().enumerate().filter_map(|(j, s)| match &loss.margins {
        Margins::OneVsRest(delta) if j == label => Some(Double::of(*delta).minus(*s)),
        Margins::OneVsRest(delta) => Some(Double::of(*delta).plus(*s)),
        Margins::Difference(delta) => (j != label).then(|| difference(j, *delta)),
        Margins::Costs(costs) => (j != label).then(|| difference(j, costs.rows()[label][j])),
    });
    let mut margins: Vec<Double> = margins.collect();
    let top = loss.set.selection.count();
    if loss.set.smoothing > 0.0 {
        return smoothed(&margins, loss.set.smoothing, top);
    }
    margins.iter_mut().for_each(|g| *g = g.max(Double::default()));
    margins.sort_by(|a, b| b.minus(*a).0.total_cmp(&0.0));
    let charged = &margins[..top.unwrap_or(margins.len()).min(margins.len())];
    let power = |g: &Double| if loss.set.power == Power::Two { g.times(*g) } else { *g };
    let sum = charged.iter().fold(Double::default(), |sum, g| sum.plus(power(g)));
    sum.over(Double::of(top.unwrap_or(1) as f64))
}

/// max over p of p·G − (γ/2)·‖p‖²: at a p that is found by bisection and made feasible.
fn smoothed(margins: &[Double], gamma: f64, top: Option<usize>) -> Double {
    let hi = 1.0 / top.unwrap_or(1) as f64;
    let (gamma, hi) = (Double::of(gamma), Double::of(1.0).over(Double::of(1.0 / hi)));
    let at = |t: Double| -> Vec<Double> {
        let clip = |g: &Double| {
            let p = g.minus(t).over(gamma);
            if p.is_above(hi) { hi } else { p.max(Double::default()) }
        };
        margins.iter().map(clip).collect()
    };
    let total = |p: &[Double]| p.iter().fold(Double::default(), |sum, p| sum.plus(*p));
    let mut p = at(Double::default());
    if top.is_some() && total(&p).is_above(Double::of(1.0)) {
        let (mut low, mut high) = (Double::default(), margins.iter().fold(Double::default(), |most, g| most.max(*g)));
        for _ in 0..200 {
            let middle = low.plus(high).times(Double::of(0.5));
            if total(&at(middle)).is_above(Double::of(1.0)) { low = middle } else { high = middle }
        }
        p = at(high);
    }
    let term = |p: &Double, g: &Double| p.times(*g).minus(gamma.times(p.times(*p)).times(Double::of(0.5)));
    p.iter().zip(margins).fold(Double::default(), |sum, (p, g)| sum.plus(term(p, g)))
}

/// A problem as it was read, and its objective.
pub struct Exact<'a> {
    pub prepared: &'a run::PreparedData,
    rows: Vec<Vec<Double>>,
}

impl<'a> Exact<'a> {
    pub fn new(prepared: &'a run::PreparedData) -> Self {
        let of = |&row: &u32| preprocessed(&prepared.data.features, &prepared.scaler, row as usize);
        Self { prepared, rows: prepared.split.train.iter().map(of).collect() }
    }

    pub fn objective(&self, lambda: f64, weight: &[f64], bias: Option<&[f64]>) -> Double {
        let (data, objective) = (&self.prepared.data, &self.prepared.objective);
        let k = data.n_classes();
        let mut loss = Double::default();
        for (x, &row) in self.rows.iter().zip(&self.prepared.split.train) {
            let label = data.labels[row as usize] as usize;
            let mut scores: Vec<Double> =
                bias.map_or_else(|| vec![0.0; k], <[f64]>::to_vec).into_iter().map(Double::of).collect();
            for (x, w) in x.iter().zip(weight.chunks_exact(k)) {
                scores.iter_mut().zip(w).for_each(|(s, &w)| *s = s.plus(x.times(Double::of(w))));
            }
            let own = data.weights.as_ref().map_or(1.0, |w| f64::from(w[row as usize]));
            let factor = Double::of(own).times(Double::of(objective.loss.class_weight(label)));
            loss = loss.plus(factor.times(loss_of(&objective.loss, &scores, label)));
        }
        let square = |values: &[f64]| {
            values.iter().fold(Double::default(), |sum, &v| sum.plus(Double::of(v).times(Double::of(v))))
        };
        let mut penalty = square(weight);
        if let (BiasRule::Regularised { scale }, Some(bias)) = (objective.bias, bias) {
            penalty = penalty.plus(square(bias).over(Double::of(scale).times(Double::of(scale))));
        }
        let half = Double::of(lambda).times(penalty).times(Double::of(0.5));
        loss.over(Double::of(self.rows.len() as f64)).plus(half)
    }

    pub fn of_model(&self, model: &Classifier) -> Double {
        assert_eq!(model.scaler, self.prepared.scaler, "the model's preprocessing is that of the problem");
        self.objective(model.training().unwrap().lambda, &model.weight, model.bias.as_deref())
    }
}

#[test]
fn twice_the_digits() {
    let third = Double::of(1.0).over(Double::of(3.0));
    let one = third.plus(third).plus(third).minus(Double::of(1.0));
    assert!(one.0.abs() < 1e-31, "{one:?}");
    let two = Double::of(2.0).root().times(Double::of(2.0).root()).minus(Double::of(2.0));
    assert!(two.0.abs() < 1e-30, "{two:?}");
    let tiny = Double::of(1.0).plus(Double::of(1e-30)).minus(Double::of(1.0));
    assert!((tiny.0 - 1e-30).abs() < 1e-45, "{tiny:?}");
}
