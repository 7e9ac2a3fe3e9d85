//! A loss as a value, for the objective, the model file and the solvers.

use super::module::LossModule;
use super::{Costs, LossMisfit, MarginLoss, Margins, Power, Selection, Set};
use burn::tensor::Device;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The names of the losses: which margins with which selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Formulation {
    /// All differences: [`super::WestonWatkinsLoss`].
    WestonWatkins,
    /// The worst difference: [`super::CrammerSingerLoss`].
    CrammerSinger,
    /// All margins of one class against the rest: [`super::OneVsRestLoss`].
    OneVsRest,
    /// The k largest differences: [`super::TopKLoss`].
    TopK,
}

impl Formulation {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 4] = [Self::WestonWatkins, Self::CrammerSinger, Self::OneVsRest, Self::TopK];

    /// The name as the configuration spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WestonWatkins => "weston_watkins",
            Self::CrammerSinger => "crammer_singer",
            Self::OneVsRest => "one_vs_rest",
            Self::TopK => "top_k",
        }
    }

    /// Its row of the table in `docs/math.md`.
    fn parts(self, delta: f64) -> (Margins, Selection) {
        match self {
            Self::WestonWatkins => (Margins::Difference(delta), Selection::All),
            Self::CrammerSinger => (Margins::Difference(delta), Selection::Worst),
            Self::OneVsRest => (Margins::OneVsRest(delta), Selection::All),
            Self::TopK => (Margins::Difference(delta), Selection::Top(1)),
        }
    }

    /// The powers of a margin that it is defined for.
    #[must_use]
    pub fn powers(self) -> &'static [Power] {
        self.parts(1.0).1.powers()
    }
}

/// A loss of a row: `c·ℓ = max over a in A of Σ_j a_j·G_j − pen(a)`, margins G and a set A with its penalty (`docs/math.md`).
///
/// ```
/// use burn_svm::internals::loss::Loss;
///
/// let loss = Loss::weston_watkins().margin(2.0).squared();
/// assert_eq!(loss.of_row(&[0.0, 1.0, -3.0], 0), 9.0); // (2 + 1)² + max(0, 2 − 3)²
/// assert!(Loss::top_k(3).check(3).unwrap_err().to_string().starts_with("k: found 3, expected at most 2"));
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "LossRecord", into = "LossRecord")]
pub struct Loss {
    /// G
    pub margins: Margins,
    /// A and pen.
    pub set: Set,
    /// One weight a class; `None` where all are 1.
    pub class_weights: Option<Vec<f64>>,
}

impl Loss {
    /// A formulation with a margin and a power, without class weights and smoothing; of top-k the one with k = 1.
    #[must_use]
    pub fn new(formulation: Formulation, margin: f64, power: Power) -> Self {
        let (margins, selection) = formulation.parts(margin);
        Self { margins, set: Set { selection, power, smoothing: 0.0 }, class_weights: None }
    }

    /// Σ_{j≠y} max(0, 1 + s_j − s_y): [`super::WestonWatkinsLoss`].
    #[must_use]
    pub fn weston_watkins() -> Self {
        Self::new(Formulation::WestonWatkins, 1.0, Power::One)
    }

    /// max(0, max_{j≠y} 1 + s_j − s_y): [`super::CrammerSingerLoss`].
    #[must_use]
    pub fn crammer_singer() -> Self {
        Self::new(Formulation::CrammerSinger, 1.0, Power::One)
    }

    /// Σ_j max(0, 1 − f_j·s_j): [`super::OneVsRestLoss`].
    #[must_use]
    pub fn one_vs_rest() -> Self {
        Self::new(Formulation::OneVsRest, 1.0, Power::One)
    }

    /// The mean of the k largest max(0, 1 + s_j − s_y): [`super::TopKLoss`].
    #[must_use]
    pub fn top_k(k: usize) -> Self {
        Self::new(Formulation::TopK, 1.0, Power::One).k(k)
    }

    /// The margin Δ in units of the scores, at least 0.
    #[must_use]
    pub fn margin(mut self, delta: f64) -> Self {
        self.margins = if self.margins.differences() { Margins::Difference(delta) } else { Margins::OneVsRest(delta) };
        self
    }

    /// A cost Δ(y, j) for each label y and class j in the place of the margin, `[n_classes][n_classes]`: finite, at least 0, and 0
    /// where j = y. For losses of differences.
    ///
    /// ```
    /// use burn_svm::internals::loss::Loss;
    ///
    /// let loss = Loss::weston_watkins().costs(&[vec![0.0, 1.0, 2.0], vec![1.0, 0.0, 1.0], vec![2.0, 1.0, 0.0]]);
    /// assert_eq!(loss.of_row(&[0.5, 0.0, 1.0], 0), 3.0); // max(0, 1 + 0 − 0.5) + max(0, 2 + 1 − 0.5)
    /// ```
    #[must_use]
    pub fn costs(mut self, rows: &[Vec<f64>]) -> Self {
        let mut costs = Costs::new(rows);
        if !self.margins.differences() {
            costs.problem = Some("costs: one-vs-rest has no margin between two classes".into());
        }
        self.margins = Margins::Costs(costs);
        self
    }

    /// The exponent p of a margin.
    #[must_use]
    pub fn power(mut self, power: Power) -> Self {
        self.set.power = power;
        self
    }

    /// The squared hinge: power 2.
    #[must_use]
    pub fn squared(self) -> Self {
        self.power(Power::Two)
    }

    /// γ of Nesterov's smoothing, at least 0, at power 1; 0 is none.
    #[must_use]
    pub fn smoothing(mut self, gamma: f64) -> Self {
        self.set.smoothing = gamma;
        self
    }

    /// Number of margins that top-k charges, 1 or more; the other formulations have no such number and stay as they are.
    #[must_use]
    pub fn k(mut self, k: usize) -> Self {
        if let Selection::Top(_) = self.set.selection {
            self.set.selection = Selection::Top(k);
        }
        self
    }

    /// One weight a class, at least 0: a row's loss is multiplied by that of its label.
    #[must_use]
    pub fn class_weights(mut self, weights: Vec<f64>) -> Self {
        self.class_weights = Some(weights);
        self
    }

    /// Checks every value, and that they fit the number of classes.
    ///
    /// # Errors
    /// [`LossMisfit`] with the values found and expected.
    pub fn check(&self, n_classes: usize) -> Result<(), LossMisfit> {
        let Set { selection, power, smoothing } = self.set;
        let range = |name: &str, value: f64| {
            let wrong = || LossMisfit::Value(format!("{name}: found {value}, expected a finite number, at least 0"));
            (value.is_finite() && value >= 0.0).then_some(()).ok_or_else(wrong)
        };
        match &self.margins {
            Margins::Difference(delta) | Margins::OneVsRest(delta) => range("margin", *delta)?,
            Margins::Costs(Costs { problem: Some(problem), .. }) => return Err(LossMisfit::Value(problem.clone())),
            Margins::Costs(costs) if costs.n_classes() != n_classes => {
                let found = costs.n_classes();
                return Err(LossMisfit::Value(format!("costs: found those of {found} classes, expected {n_classes}")));
            }
            Margins::Costs(_) => (),
        }
        range("smoothing", smoothing)?;
        if smoothing > 0.0 && power == Power::Two {
            let problem =
                format!("smoothing: found {smoothing} at power 2, expected 0: the squared hinge is smooth already");
            return Err(LossMisfit::Value(problem));
        }
        if !selection.powers().contains(&power) {
            return Err(LossMisfit::Value(format!("power: found 2, expected 1, which alone {} has", self.name())));
        }
        if !self.margins.differences() && selection != Selection::All {
            return Err(LossMisfit::Value(
                "margins: one-vs-rest charges every class, expected `Selection::All`".into(),
            ));
        }
        if let Some(weights) = &self.class_weights {
            if weights.len() != n_classes {
                let problem =
                    format!("class_weights: found {}, expected one for each of {n_classes} classes", weights.len());
                return Err(LossMisfit::Value(problem));
            }
            weights.iter().try_for_each(|&weight| range("class_weights", weight))?;
        }
        let others = n_classes.saturating_sub(1);
        match selection {
            Selection::Top(0) => Err(LossMisfit::Value("k: found 0, expected 1 or more".into())),
            Selection::Top(k) if k > others => Err(LossMisfit::K { k, others }),
            Selection::All | Selection::Worst | Selection::Top(_) => Ok(()),
        }
    }

    /// [`Loss::check`] where the number of classes is not known but by the loss itself.
    pub(super) fn check_alone(&self) -> Result<(), LossMisfit> {
        let of_costs = if let Margins::Costs(costs) = &self.margins { Some(costs.n_classes()) } else { None };
        self.check(of_costs.or(self.class_weights.as_ref().map(Vec::len)).unwrap_or(usize::MAX))
    }

    /// The same loss of classes in another order: `places` has the old index of each; a class without one has weight 1 and costs 1.
    #[must_use]
    pub fn reordered(&self, places: &[Option<usize>]) -> Self {
        let mut loss = self.clone();
        loss.class_weights =
            self.class_weights.as_ref().map(|w| places.iter().map(|place| place.map_or(1.0, |i| w[i])).collect());
        if let Margins::Costs(costs) = &self.margins {
            let cost = |y: usize, j: usize| match (places[y], places[j]) {
                _ if y == j => 0.0,
                (Some(y), Some(j)) => costs.of_label(y)[j],
                _ => 1.0,
            };
            let rows: Vec<Vec<f64>> =
                (0..places.len()).map(|y| (0..places.len()).map(|j| cost(y, j)).collect()).collect();
            loss.margins = Margins::Costs(Costs::new(&rows));
        }
        loss
    }

    /// Its name.
    #[must_use]
    pub const fn formulation(&self) -> Formulation {
        match (&self.margins, self.set.selection) {
            (Margins::OneVsRest(_), _) => Formulation::OneVsRest,
            (Margins::Difference(_) | Margins::Costs(_), Selection::All) => Formulation::WestonWatkins,
            (Margins::Difference(_) | Margins::Costs(_), Selection::Worst) => Formulation::CrammerSinger,
            (Margins::Difference(_) | Margins::Costs(_), Selection::Top(_)) => Formulation::TopK,
        }
    }

    /// The name as the configuration spells it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.formulation().name()
    }

    /// The Burn module of this loss on a device.
    #[must_use]
    pub fn init(&self, device: &Device) -> Box<dyn MarginLoss> {
        Box::new(LossModule::new(self.clone(), device))
    }

    /// Whether it has a continuous gradient.
    #[must_use]
    pub const fn is_smooth(&self) -> bool {
        self.set.is_smooth()
    }

    /// The weight of a row with this label.
    #[must_use]
    pub fn class_weight(&self, label: usize) -> f64 {
        self.class_weights.as_ref().map_or(1.0, |w| w[label])
    }

    /// The loss of one row in f64 on the host, class weight included.
    #[must_use]
    pub fn of_row(&self, scores: &[f64], label: usize) -> f64 {
        self.of_lifted_row(scores, label, 0.0)
    }

    /// The same with every margin larger by `lift`. As every loss grows with each of its margins, it bounds the loss of scores that
    /// differ from these by up to half of that.
    pub(crate) fn of_lifted_row(&self, scores: &[f64], label: usize, lift: f64) -> f64 {
        self.class_weight(label) * self.set.value(self.margins.of_row(scores, label).map(|z| z + lift))
    }

    /// The gradient of [`Loss::of_row`] with respect to the scores, written to `q`.
    pub fn gradient_of_row(&self, scores: &[f64], label: usize, q: &mut [f64]) {
        q.iter_mut().zip(self.margins.of_row(scores, label)).for_each(|(q, z)| *q = z);
        self.set.slopes(q);
        self.margins.pull_back(q, label);
        let weight = self.class_weight(label);
        q.iter_mut().for_each(|v| *v *= weight);
    }
}

impl fmt::Display for Loss {
    /// `weston_watkins, margin 1, power 2`, with what else is not at its default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())?;
        if let Selection::Top(k) = self.set.selection {
            write!(f, ", k {k}")?;
        }
        match self.margins.constant() {
            Some(delta) => write!(f, ", margin {delta}")?,
            None => write!(f, ", costs")?,
        }
        write!(f, ", power {}", i64::from(self.set.power))?;
        if self.set.smoothing > 0.0 {
            write!(f, ", smoothing {}", self.set.smoothing)?;
        }
        Ok(())
    }
}

/// A loss as model files hold it.
#[derive(Serialize, Deserialize)]
struct LossRecord {
    formulation: Formulation,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    margin: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    costs: Option<Vec<Vec<f64>>>,
    power: Power,
    #[serde(default = "one_class", skip_serializing_if = "is_one")]
    k: usize,
    #[serde(default, skip_serializing_if = "is_zero")]
    smoothing: f64,
    class_weights: Option<Vec<f64>>,
}

const fn one_class() -> usize {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
const fn is_one(k: &usize) -> bool {
    *k == 1
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(smoothing: &f64) -> bool {
    *smoothing == 0.0
}

impl From<Loss> for LossRecord {
    fn from(loss: Loss) -> Self {
        Self {
            formulation: loss.formulation(),
            margin: loss.margins.constant(),
            costs: if let Margins::Costs(costs) = &loss.margins { Some(costs.rows()) } else { None },
            power: loss.set.power,
            k: loss.set.selection.count().unwrap_or(1),
            smoothing: loss.set.smoothing,
            class_weights: loss.class_weights,
        }
    }
}

impl TryFrom<LossRecord> for Loss {
    type Error = LossMisfit;

    fn try_from(stored: LossRecord) -> Result<Self, LossMisfit> {
        let LossRecord { formulation, margin, costs, power, k, smoothing, class_weights } = stored;
        let loss = Self { class_weights, ..Self::new(formulation, 1.0, power).k(k).smoothing(smoothing) };
        match (margin, costs) {
            (Some(delta), None) => Ok(loss.margin(delta)),
            (None, Some(costs)) => Ok(loss.costs(&costs)),
            (Some(_), Some(_)) => {
                Err(LossMisfit::Value("found both `margin` and `costs`, expected one of them".into()))
            }
            (None, None) => Err(LossMisfit::Value("found neither `margin` nor `costs`, expected one of them".into())),
        }
    }
}
