//! One weight vector of Newton's method on the objective, and what it needs of the rows.
//!
//! ```text
//! P(v) = ½ vᵀRv + (C/f)·Σ w_i·h(Δ − f·y_i·v·z_i)        h(G) = max over 0 ≤ a ≤ hi of a·G − κ/2·a²
//! (R + C·f/κ·Σ' w_i z_i z_iᵀ) d = C·Σ w_i a_i y_i z_i − Rv      Σ' over the rows with 0 < a_i < hi
//! D(a) = (C/f)·Σ w_i (Δ·a_i − κ/2·a_i²) − ½‖C·Σ w_i a_i y_i x_i‖²
//! ```
//!
//! f is 1; it is 2 for the difference losses of two classes, whose weights are v and −v. Where the line search takes a small part of a step, the set of
//! rows in Σ' changes too much on the way: C is lowered, and raised again tenfold as often as a step promises little. κ of a loss with a bound
//! hi begins so large that all rows are in Σ' at v = 0, and falls in the same way.

use super::gram::Gram;
use super::point::FeasibleSet;
use super::rows::TrainingRows;
use super::system::Factor;

/// The part of a step below which C is lowered, and the mean change of a margin by the least C in units of it.
const SHORT: f64 = 0.3;
/// A step that promises less than this share of the objective ends a stage.
const EASY: f64 = 0.1;
/// Factors of C and κ from one stage to the next.
const GROWTH: f64 = 10.0;
const FALL: f64 = 4.0;
/// The slope at the end of a line search relative to that at its beginning, and the evaluations that it may take.
const FLAT: f64 = 0.1;
const EVALUATIONS: usize = 40;
/// Steps that promise less than a share of the objective without a gap of half the size after which rounding is all that is left.
const PATIENCE: u32 = 3;
const NOTHING: f64 = 1e-9;
/// The relative length below which a step counts as none, that of the shortest step of weights that have come to rest, and the steps in a row, none
/// of them half as long as the shortest, after which only rounding is left.
const STILL: f64 = 1e-13;
const AT_REST: f64 = 1e-8;
const UNHALVED: u32 = 3;
/// Curvature of a free bias, relative to that by all rows.
const BIAS: f64 = 1e-9;

/// The function h of a margin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ScalarHinge {
    pub kappa: f64,
    inverse: f64,
    pub hi: f64,
}

/// Sums that are formed side by side.
const LANES: usize = 8;

impl ScalarHinge {
    pub const fn new(kappa: f64, hi: f64) -> Self {
        Self { kappa, inverse: 1.0 / kappa, hi }
    }

    /// a(G)
    #[inline(always)]
    fn slope(self, margin: f64) -> f64 {
        let a = self.inverse * margin;
        let a = if a > 0.0 { a } else { 0.0 };
        if a < self.hi { a } else { self.hi }
    }

    #[inline(always)]
    fn is_curved(self, a: f64) -> bool {
        a > 0.0 && a < self.hi
    }
}

/// The rows and the constants of all machines.
pub(super) struct Task<'a> {
    pub rows: TrainingRows,
    pub shape: FeasibleSet<'a>,
    pub hinge: ScalarHinge,
    /// κ at the beginning, and the least share of C.
    pub first_kappa: f64,
    pub least_share: f64,
    /// C and f.
    pub c: f64,
    pub factor: f64,
    pub is_free: bool,
    /// Σw
    pub weight: f64,
}

impl Task<'_> {
    /// Of a class and the rows of a label: which of the two sides they are on, y·f, and Δ.
    fn side(&self, label: usize, class: usize) -> MachineSide {
        let is_own = label == class;
        let other = if self.shape.loss.margins.differences() { 1 - label } else { class };
        let sign = if is_own { 1.0 } else { -1.0 };
        MachineSide {
            at: usize::from(!is_own),
            sign,
            reach: sign * self.factor,
            margin: self.shape.margin(label, other),
        }
    }
}

/// The rows of one label as a machine sees them.
#[derive(Debug, Clone, Copy)]
struct MachineSide {
    /// 0 for those of its class, 1 for the others.
    at: usize,
    /// y
    sign: f64,
    /// y·f
    reach: f64,
    /// Δ
    margin: f64,
}

/// Sums over the rows of one side: of w·a, Δ·w·a and w·a².
#[derive(Debug, Clone, Copy, Default)]
struct SideSums {
    mass: f64,
    linear: f64,
    square: f64,
}

/// The objective and the bound of a machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct MachineBounds {
    pub primal: f64,
    pub dual: f64,
}

impl MachineBounds {
    pub fn gap(self) -> f64 {
        self.primal - self.dual
    }
}

/// The weights of a class against all others.
pub(super) struct Machine {
    pub class: usize,
    pub v: Vec<f64>,
    /// Scores of all rows, a(G) in units of the cost of a row, and `w·a`.
    scores: Vec<f64>,
    a: Vec<f64>,
    pub weighted: Vec<f64>,
    gram: Gram,
    /// The stage: its share of C and its κ.
    share: f64,
    kappa: f64,
    was_lowered: bool,
    /// Σ w·h of the loss and of the stage.
    loss: f64,
    staged: f64,
    sides: [SideSums; 2],
    /// `Σ w·a·z` of each side.
    sums: [Vec<f64>; 2],
    /// The smallest objective and the largest bound so far, their weights and their dual variables divided by C.
    pub bounds: MachineBounds,
    pub best: Vec<f64>,
    pub proof: Vec<f64>,
    /// The direction, empty where the machine stays where it is.
    pub step: Vec<f64>,
    decrease: f64,
    waited: u32,
    has_failed: bool,
    /// Relative length of the last step of the last stage, the shortest so far, and steps without one of half its length.
    change: f64,
    shortest: f64,
    unhalved: u32,
}

impl ScalarHinge {
    /// Σ w·h
    fn loss(self, side: MachineSide, scores: &[f64], weights: &[f64]) -> f64 {
        let of = |(score, w): (&f64, &f64)| {
            let margin = side.margin - side.reach * score;
            let a = self.slope(margin);
            w * a * (margin - 0.5 * self.kappa * a)
        };
        scores.iter().zip(weights).map(of).sum()
    }
}

impl Machine {
    /// At v = 0, with the sum over all rows.
    pub fn new(task: &Task<'_>, class: usize, gram: Gram) -> Self {
        let (n, width) = (task.rows.n_rows(), task.rows.space.width);
        Self {
            class,
            v: vec![0.0; width],
            scores: vec![0.0; n],
            a: vec![0.0; n],
            weighted: vec![0.0; n],
            gram,
            share: 1.0,
            kappa: task.first_kappa,
            was_lowered: false,
            loss: 0.0,
            staged: 0.0,
            sides: [SideSums::default(); 2],
            sums: [Vec::new(), Vec::new()],
            bounds: MachineBounds { primal: f64::INFINITY, dual: f64::NEG_INFINITY },
            best: vec![0.0; width],
            proof: vec![0.0; n],
            step: Vec::new(),
            decrease: f64::INFINITY,
            waited: 0,
            has_failed: false,
            change: f64::INFINITY,
            shortest: f64::INFINITY,
            unhalved: 0,
        }
    }

    /// Puts a to that of the scores.
    pub fn respond(&mut self, task: &Task<'_>) {
        let (staged, is_last) = (self.hinge(task), self.kappa == task.hinge.kappa);
        (self.loss, self.staged, self.sides) = (0.0, 0.0, [SideSums::default(); 2]);
        for part in &task.rows.parts {
            let side = task.side(part.label, self.class);
            let (scores, a) = (&self.scores[part.range()], &mut self.a[part.range()]);
            let weighted = &mut self.weighted[part.range()];
            a.iter_mut().zip(scores).for_each(|(a, score)| *a = staged.slope(side.margin - side.reach * score));
            weighted.iter_mut().zip(&*a).zip(&part.weights).for_each(|((out, a), w)| *out = w * a);
            let (mass, square) = (weighted.iter().sum::<f64>(), dot(weighted, a));
            let sums = &mut self.sides[side.at];
            sums.mass += mass;
            sums.linear += side.margin * mass;
            sums.square += square;
            // a·G is κa² where nothing is bounded.
            let product = if staged.hi.is_finite() {
                side.margin * mass - side.reach * dot(weighted, scores)
            } else {
                staged.kappa * square
            };
            self.staged += product - 0.5 * staged.kappa * square;
            if !is_last {
                self.loss += task.hinge.loss(side, scores, &part.weights);
            }
        }
        if is_last {
            self.loss = self.staged;
        }
    }

    /// The loss of the stage.
    const fn hinge(&self, task: &Task<'_>) -> ScalarHinge {
        ScalarHinge::new(self.kappa, task.hinge.hi)
    }

    /// Which of the sums rows of a label belong to.
    pub fn side_of(&self, label: usize) -> usize {
        usize::from(label != self.class)
    }

    /// Takes `Σ w·a·z` of each side, and finds the bounds.
    pub fn measure(&mut self, task: &Task<'_>, sums: [Vec<f64>; 2]) {
        self.sums = sums;
        let cost = task.c / task.factor;
        // A free bias needs as much on one side as on the other.
        let masses = self.sides.map(|side| side.mass);
        let least = masses[0].min(masses[1]);
        let balance = masses.map(|mass| if task.is_free && mass > least { least / mass } else { 1.0 });
        let factors = balance.map(|balance| balance * self.share);
        let of = |value: &dyn Fn(&SideSums, f64) -> f64| {
            value(&self.sides[0], factors[0]) + value(&self.sides[1], factors[1])
        };
        let linear = cost * of(&|side, factor| factor * side.linear);
        let penalty = cost * 0.5 * task.hinge.kappa * of(&|side, factor| factor * factor * side.square);
        let weights: Vec<f64> = self.sums[0]
            .iter()
            .zip(&self.sums[1])
            .map(|(own, other)| task.c * (factors[0] * own - factors[1] * other))
            .collect();
        let quadratic = task.rows.space.of_dual(&weights, &self.v).1 + penalty;
        let theta = if quadratic > 0.0 { linear / (2.0 * quadratic) } else { 1.0 };
        let theta = if task.hinge.hi.is_finite() { theta.min(1.0) } else { theta };
        let primal = task.rows.space.half_square(&self.v) + cost * self.loss;
        let before = self.bounds.gap();
        self.keep(task, primal, theta * (linear - theta * quadratic), factors.map(|factor| theta * factor));
        let is_last = self.share == 1.0 && self.kappa == task.hinge.kappa;
        let is_still = is_last && self.decrease <= NOTHING * primal && self.bounds.gap() > 0.5 * before;
        self.waited = if is_still { self.waited + 1 } else { 0 };
    }

    /// Keeps what is better than the best so far; `factors` make a into dual variables, by side.
    fn keep(&mut self, task: &Task<'_>, primal: f64, dual: f64, factors: [f64; 2]) {
        if primal < self.bounds.primal {
            self.bounds.primal = primal;
            self.best.copy_from_slice(&self.v);
        }
        if dual > self.bounds.dual {
            self.bounds.dual = dual;
            for part in &task.rows.parts {
                let factor = factors[self.side_of(part.label)];
                let rows = self.proof[part.range()].iter_mut().zip(&self.weighted[part.range()]);
                rows.for_each(|(proof, weighted)| *proof = factor * weighted);
            }
        }
    }

    /// Whether nothing but rounding is left.
    pub fn is_exhausted(&self) -> bool {
        self.has_failed || self.waited >= PATIENCE
    }

    /// Whether the weights no longer change.
    pub fn is_still(&self) -> bool {
        self.has_failed || self.change <= STILL || self.unhalved >= UNHALVED
    }

    /// Prepares for steps until the weights no longer change, of which none may lower C.
    pub fn begin_polish(&mut self) {
        (self.change, self.shortest, self.unhalved) = (f64::INFINITY, f64::INFINITY, 0);
        self.was_lowered |= self.share == 1.0;
    }

    /// Replaces the best weights by the present ones, if those have come to rest; whether they have.
    pub fn settle(&mut self) -> bool {
        let is_at_rest = self.shortest <= AT_REST;
        if is_at_rest {
            self.best.copy_from_slice(&self.v);
        }
        is_at_rest
    }

    /// Puts `step` to the direction of Newton's method; raises C and lowers κ where the stage is at its end.
    pub fn direct(&mut self, task: &Task<'_>) {
        let hinge = task.hinge;
        let a = &self.a;
        self.gram.update(&task.rows, |row| hinge.is_curved(a[row]));
        let regularised = task.rows.space.regularised(&self.v);
        let half_square = dot(&regularised, &self.v) / 2.0;
        loop {
            let cost = self.share * task.c;
            let slope: Vec<f64> =
                (0..self.v.len()).map(|j| cost * (self.sums[0][j] - self.sums[1][j]) - regularised[j]).collect();
            let Some(factor) = Factor::new(self.system(task)) else { return self.give_up() };
            self.step.clone_from(&slope);
            factor.solve(&mut self.step);
            self.decrease = dot(&slope, &self.step);
            if !self.decrease.is_finite() {
                return self.give_up();
            }
            let is_easy = self.decrease <= EASY * (half_square + cost / task.factor * self.staged);
            match is_easy {
                true if self.share < 1.0 => self.share = (GROWTH * self.share).min(1.0),
                true if self.kappa > hinge.kappa => {
                    self.kappa = (self.kappa / FALL).max(hinge.kappa);
                    return self.step.clear();
                }
                _ => return,
            }
        }
    }

    fn give_up(&mut self) {
        self.step.clear();
        self.has_failed = true;
    }

    /// The lower triangle of the system.
    fn system(&self, task: &Task<'_>) -> faer::Mat<f64> {
        let curvature = self.share * task.c * task.factor / self.kappa;
        let mut matrix = faer::Scale(curvature) * &self.gram.matrix;
        let penalty = task.rows.space.penalty();
        let mut block = matrix.as_mut().submatrix_mut(0, 0, penalty.nrows(), penalty.ncols());
        block += penalty;
        if task.is_free {
            let last = task.rows.space.width - 1;
            matrix[(last, last)] += BIAS * curvature * task.weight;
        }
        matrix
    }

    /// Goes along the direction, of which `steps` are the scores, until the objective hardly falls any more.
    pub fn advance(&mut self, task: &Task<'_>, steps: &[f64]) {
        let regularised = task.rows.space.regularised(&self.step);
        let (constant, rising) = (dot(&regularised, &self.v), dot(&regularised, &self.step));
        let slope = |length: f64| {
            let (first, second) = self.slope(task, steps, length);
            (constant + length * rising + first, rising + second)
        };
        let begin = -self.decrease;
        let (mut low, mut high, mut length) = (0.0, f64::INFINITY, 1.0);
        for _ in 0..EVALUATIONS {
            let (first, second) = slope(length);
            if first.abs() <= FLAT * begin.abs() {
                break;
            }
            if first < 0.0 {
                low = length;
            } else {
                high = length;
            }
            let next = length - first / second;
            length = match () {
                () if next > low && next < high => next,
                () if high.is_finite() => f64::midpoint(low, high),
                () => 2.0 * length,
            };
        }
        self.v.iter_mut().zip(&self.step).for_each(|(v, step)| *v += length * step);
        self.scores.iter_mut().zip(steps).for_each(|(score, step)| *score += length * step);
        if self.share == 1.0 && self.kappa == task.hinge.kappa {
            self.change = length * (dot(&self.step, &self.step) / dot(&self.v, &self.v).max(f64::MIN_POSITIVE)).sqrt();
            let is_halved = self.change <= 0.5 * self.shortest;
            self.unhalved = if is_halved { 0 } else { self.unhalved + 1 };
            self.shortest = self.shortest.min(self.change);
        }
        if length < SHORT && !self.was_lowered && task.least_share < 1.0 {
            (self.share, self.was_lowered) = (task.least_share, true);
        }
    }

    /// Slope and curvature of the loss of the stage along the direction.
    fn slope(&self, task: &Task<'_>, steps: &[f64], length: f64) -> (f64, f64) {
        let staged = self.hinge(task);
        let (mut first, mut second) = (0.0, 0.0);
        let mut room = Vec::new();
        for part in &task.rows.parts {
            let side = task.side(part.label, self.class);
            let (scores, steps, n) = (&self.scores[part.range()], &steps[part.range()], part.rows.len());
            room.resize(2 * n, 0.0);
            let (falling, curved) = room.split_at_mut(n);
            falling.iter_mut().zip(scores).zip(steps).for_each(|((a, score), step)| {
                *a = staged.slope(side.margin - side.reach * (score + length * step));
            });
            curved.iter_mut().zip(&*falling).zip(steps).for_each(|((curved, &a), step)| {
                *curved = if staged.is_curved(a) { step * step } else { 0.0 };
            });
            falling.iter_mut().zip(steps).for_each(|(a, step)| *a *= step);
            first -= side.sign * dot(falling, &part.weights);
            second += dot(curved, &part.weights);
        }
        let cost = self.share * task.c;
        (cost * first, cost * task.factor / self.kappa * second)
    }
}

/// Σ a·b, in sums that are formed side by side.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        lanes.iter_mut().zip(a).zip(b).for_each(|((lane, a), b)| *lane += a * b);
    }
    lanes.iter().sum::<f64>() + rest
}
