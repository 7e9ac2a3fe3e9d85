//! The proximal steps of many rows at once, in Burn's operations.

use super::{Margins, Proximal};
use crate::loss::margins::label_mask;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

/// The margin of a class that has none: far below all others, and finite, so that a variable of 0 times it is 0.
const NOWHERE: f64 = -1e30;

/// Labels, margins and costs of rows.
#[derive(Debug, Clone)]
pub(crate) struct Targets {
    /// 1 at the label, `[n_samples, n_classes]`.
    own: Tensor<2>,
    /// Δ of a difference of scores, `[n_samples, n_classes]`; `None` for one-vs-rest.
    shift: Option<Tensor<2>>,
    /// c of each row, `[n_samples, 1]`.
    cost: Tensor<2>,
}

/// The linear pieces that rows are on.
#[derive(Debug, Clone)]
pub(crate) struct PieceTensors {
    /// 1/r strictly inside, else 0, `[n_samples, n_classes]`.
    rate: Tensor<2>,
    /// 1 strictly inside, and ω, `[n_samples, 1]`; where variables of a row are coupled.
    coupling: Option<(Tensor<2>, Tensor<2>)>,
    /// Number of classes inside, 0 where the row's variables do not change, `[n_samples, 1]`.
    pub count: Tensor<2>,
}

impl Targets {
    /// From labels and c of the rows.
    #[allow(clippy::cast_possible_wrap)]
    pub fn new(
        margins: &Margins,
        labels: &[usize],
        costs: Vec<f64>,
        n_classes: usize,
        device: &Device,
        dtype: DType,
    ) -> Self {
        let n = labels.len();
        let indices: Vec<i32> = labels.iter().map(|&label| label as i32).collect();
        let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [n]), device);
        let own = label_mask(&indices, n_classes).float().cast(dtype);
        let away = || own.clone().mul_scalar(NOWHERE);
        let shift = match margins {
            Margins::OneVsRest(_) => None,
            Margins::Difference(delta) => Some(away().add_scalar(*delta)),
            Margins::Costs(costs) => {
                let table = TensorData::new(costs.rows().concat(), [n_classes; 2]);
                Some(Tensor::<2>::from_data(table, (device, dtype)).select(0, indices).add(away()))
            }
        };
        let cost = Tensor::from_data(TensorData::new(costs, [n, 1]), (device, dtype));
        Self { own, shift, cost }
    }

    /// The targets of some of the rows.
    pub fn select(&self, rows: &Tensor<1, Int>) -> Self {
        let of = |tensor: &Tensor<2>| tensor.clone().select(0, rows.clone());
        Self { own: of(&self.own), shift: self.shift.as_ref().map(of), cost: of(&self.cost) }
    }

    /// δG of the scores of a direction.
    fn change(&self, scores: Tensor<2>) -> Tensor<2> {
        if self.shift.is_some() {
            let own = scores.clone().mul(self.own.clone()).sum_dim(1);
            return scores.sub(own);
        }
        scores.mul(self.sign())
    }

    /// −1 at the label, 1 elsewhere.
    fn sign(&self) -> Tensor<2> {
        self.own.clone().mul_scalar(-2.0).add_scalar(1.0)
    }

    fn margins(&self, margins: &Margins, scores: Tensor<2>) -> Tensor<2> {
        let change = self.change(scores);
        match &self.shift {
            Some(shift) => change.add(shift.clone()),
            None => change.add_scalar(margins.largest()),
        }
    }

    /// Turns numbers of each margin into those of each score.
    fn pull_back(&self, values: Tensor<2>) -> Tensor<2> {
        if self.shift.is_some() {
            let sum = values.clone().sum_dim(1);
            return values.sub(self.own.clone().mul(sum));
        }
        values.mul(self.sign())
    }

    /// β of variables.
    pub fn coefficients(&self, a: Tensor<2>) -> Tensor<2> {
        self.pull_back(a).neg()
    }
}

impl PieceTensors {
    /// The pieces of some of the rows.
    pub fn select(&self, rows: &Tensor<1, Int>) -> Self {
        let of = |tensor: &Tensor<2>| tensor.clone().select(0, rows.clone());
        let coupling = self.coupling.as_ref().map(|(inside, omega)| (of(inside), of(omega)));
        Self { rate: of(&self.rate), coupling, count: of(&self.count) }
    }
}

impl Proximal<'_> {
    /// r of each row, `[n_samples, 1]`.
    fn curvature(&self, targets: &Targets) -> Tensor<2> {
        let own = self.loss.set.curvature(1.0);
        targets.cost.clone().recip().mul_scalar(own).add_scalar(self.gamma)
    }

    /// a of scores `[n_samples, n_classes]`.
    pub fn steps(&self, scores: Tensor<2>, targets: &Targets, centre: &Tensor<2>) -> Tensor<2> {
        let margins = targets.margins(&self.loss.margins, scores);
        self.of_margins(margins, targets, centre)
    }

    fn of_margins(&self, margins: Tensor<2>, targets: &Targets, centre: &Tensor<2>) -> Tensor<2> {
        let wanted = margins.add(centre.clone().mul_scalar(self.gamma));
        let r = self.curvature(targets);
        let ((hi, cap), kappa) = (self.loss.set.limits(1.0), self.loss.set.curvature_of_sum(1.0));
        let clipped = |values: Tensor<2>| {
            let least = values.div(r.clone()).clamp_min(0.0);
            if hi.is_finite() {
                let shape = least.dims();
                least.min_pair(targets.cost.clone().mul_scalar(hi).expand(shape))
            } else {
                least
            }
        };
        if !cap.is_finite() && kappa == 0.0 {
            return clipped(wanted);
        }
        // t between 0 and the largest: halvings down to the rounding of the type, then the exact step on the piece.
        let halvings = if wanted.dtype() == DType::F64 { 54 } else { 26 };
        let kappa = targets.cost.clone().recip().mul_scalar(kappa);
        let cap = cap.is_finite().then(|| targets.cost.clone().mul_scalar(cap));
        let excess = |t: &Tensor<2>| {
            let a = clipped(wanted.clone().sub(t.clone()));
            let sum = a.clone().sum_dim(1);
            let excess = match &cap {
                Some(cap) => sum.sub(cap.clone()),
                None => sum.mul(kappa.clone()).sub(t.clone()),
            };
            (a, excess)
        };
        let mut step = wanted.clone().max_dim(1).clamp_min(0.0);
        let mut t = step.zeros_like();
        for _ in 0..halvings {
            step = step.mul_scalar(0.5);
            let next = t.clone().add(step.clone());
            let (_, above) = excess(&next);
            t = t.mask_where(above.greater_scalar(0.0), next);
        }
        let (a, above) = excess(&t);
        let count = self.inside(&a, targets).sum_dim(1).clamp_min(1.0);
        let step = match &cap {
            // t stays 0 for a sum below its cap.
            Some(_) => above.clamp_min(0.0).mul(r.clone()).div(count),
            None => above.mul(r.clone()).div(kappa.clone().mul(count).add(r.clone())),
        };
        let a = clipped(wanted.sub(t.clone().add(step)));
        let Some(cap) = cap else { return a };
        // Rounding leaves a sum that is not quite its cap, by which a piece is told.
        let inside = a.clone().mul(self.inside(&a, targets));
        let full = a.clone().sub(inside.clone());
        let fit =
            cap.sub(full.clone().sum_dim(1)).div(inside.clone().sum_dim(1).clamp_min(f64::from(f32::MIN_POSITIVE)));
        let reached = t.greater_scalar(0.0);
        full.add(inside.mul(fit.ones_like().mask_where(reached, fit)))
    }

    /// 1 strictly inside.
    fn inside(&self, a: &Tensor<2>, targets: &Targets) -> Tensor<2> {
        let (hi, _) = self.loss.set.limits(1.0);
        let mut inside = a.clone().greater_scalar(0.0);
        if hi.is_finite() {
            inside = inside.bool_and(a.clone().lower(targets.cost.clone().mul_scalar(hi).expand(a.dims())));
        }
        inside.float().cast(a.dtype())
    }

    /// Σ c·ℓ, `[1]`.
    pub fn loss_sum(&self, scores: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let margins = targets.margins(&self.loss.margins, scores);
        self.loss.set.of_tensor(margins).mul(targets.cost.clone()).sum()
    }

    /// a with the sums of [`super::Response`], `[3]`.
    pub fn responses(&self, scores: Tensor<2>, targets: &Targets, centre: &Tensor<2>) -> (Tensor<2>, Tensor<1>) {
        let margins = targets.margins(&self.loss.margins, scores);
        let a = self.of_margins(margins.clone(), targets, centre);
        let (own, shared) = (self.loss.set.curvature(1.0) / 2.0, self.loss.set.curvature_of_sum(1.0) / 2.0);
        let loss = self.loss.set.of_tensor(margins.clone()).mul(targets.cost.clone());
        let mut excess = loss.clone().sub(margins.mul(a.clone()).sum_dim(1));
        if own > 0.0 {
            excess = excess.add(a.clone().mul(a.clone()).sum_dim(1).mul_scalar(own).div(targets.cost.clone()));
        }
        if shared > 0.0 {
            let sum = a.clone().sum_dim(1);
            excess = excess.add(sum.clone().mul(sum).mul_scalar(shared).div(targets.cost.clone()));
        }
        let moved = a.clone().sub(centre.clone());
        let distance = moved.clone().mul(moved).sum().mul_scalar(self.gamma / 2.0);
        (a, Tensor::cat(vec![loss.sum(), excess.sum(), distance], 0))
    }

    /// Σ a·δG for the scores of a direction, `[1]`.
    pub fn growths(&self, changes: Tensor<2>, targets: &Targets, a: Tensor<2>) -> Tensor<1> {
        targets.change(changes).mul(a).sum()
    }

    /// The pieces at variables.
    pub fn pieces(&self, a: &Tensor<2>, targets: &Targets) -> PieceTensors {
        const ROUNDING: f64 = 1e-6;
        let r = self.curvature(targets);
        let inside = self.inside(a, targets);
        let count = inside.clone().sum_dim(1);
        let rate = inside.clone().div(r.clone());
        let ((_, cap), kappa) = (self.loss.set.limits(1.0), self.loss.set.curvature_of_sum(1.0));
        let omega = if cap.is_finite() {
            let full = a.clone().sum_dim(1).greater_equal(targets.cost.clone().mul_scalar(cap * (1.0 - ROUNDING)));
            let shared = count.clone().clamp_min(1.0).recip();
            shared.zeros_like().mask_where(full, shared)
        } else if kappa > 0.0 {
            let kappa = targets.cost.clone().recip().mul_scalar(kappa);
            kappa.clone().div(kappa.mul(count.clone()).add(r))
        } else {
            return PieceTensors { rate, coupling: None, count };
        };
        // A variable alone at its cap does not change.
        let free = omega.clone().lower_scalar(1.0).float().cast(a.dtype());
        PieceTensors { rate, coupling: Some((inside, omega)), count: count.mul(free) }
    }

    /// The change of ∂/∂s of the maximum for the scores of a direction.
    pub fn curves(&self, changes: Tensor<2>, targets: &Targets, piece: &PieceTensors) -> Tensor<2> {
        let mut moved = targets.change(changes).mul(piece.rate.clone());
        if let Some((inside, omega)) = &piece.coupling {
            let shared = moved.clone().sum_dim(1).mul(omega.clone());
            moved = moved.sub(inside.clone().mul(shared));
        }
        targets.pull_back(moved)
    }

    /// The diagonal of that matrix.
    pub fn diagonals(&self, targets: &Targets, piece: &PieceTensors) -> Tensor<2> {
        let Some((inside, omega)) = &piece.coupling else {
            return self.with_label(piece.rate.clone(), piece.rate.clone().sum_dim(1), targets);
        };
        let each = piece.rate.clone().mul(omega.clone().neg().add_scalar(1.0));
        let whole =
            piece.rate.clone().sum_dim(1).mul(omega.clone().mul(inside.clone().sum_dim(1)).neg().add_scalar(1.0));
        self.with_label(each, whole.clamp_min(0.0), targets)
    }

    fn with_label(&self, each: Tensor<2>, whole: Tensor<2>, targets: &Targets) -> Tensor<2> {
        if self.loss.margins.differences() { each.add(targets.own.clone().mul(whole)) } else { each }
    }
}
