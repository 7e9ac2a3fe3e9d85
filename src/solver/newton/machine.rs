//! Newton's method on the objective of a class (`class`), and what it needs of the rows.
//!
//! ```text
//! (R + C·f/κ·Σ' w_i z_i z_iᵀ) d = C·Σ w_i a_i y_i z_i − Rv      Σ' over the rows with 0 < a_i < hi
//! ```
//!
//! A line search that takes a small part of a step has met a set Σ' that changes too much on the way: C is lowered, and raised again tenfold as often as a
//! step promises little. κ of a loss with a bound hi begins so large that all rows are in Σ' at v = 0, and falls in the same way.

use super::class::{ClassState, ClassSums, ScalarHinge, SideSums, Task, dot};
use super::classes::ClassMachine;
use super::gram::Gram;
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

/// The weights of a class against all others.
pub(super) struct Machine {
    pub state: ClassState,
    /// Scores of all rows, a(G) in units of the cost of a row, and `w·a`.
    scores: Vec<f64>,
    a: Vec<f64>,
    pub weighted: Vec<f64>,
    gram: Gram,
    /// The stage: its share of C and its κ.
    share: f64,
    kappa: f64,
    was_lowered: bool,
    least_share: f64,
    found: ClassSums,
    /// Σ w·h of the stage.
    staged: f64,
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

/// κ of the first stage, and the least share of C.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stages {
    pub kappa: f64,
    pub share: f64,
}

impl ClassMachine for Machine {
    fn state(&self) -> &ClassState {
        &self.state
    }

    fn is_exhausted(&self) -> bool {
        self.has_failed || self.waited >= PATIENCE
    }
}

impl Machine {
    /// At v = 0, with the sum over all rows.
    pub fn new(task: &Task<'_>, class: usize, gram: Gram, stages: Stages) -> Self {
        let n = task.rows.n_rows();
        Self {
            state: ClassState::new(task, class),
            scores: vec![0.0; n],
            a: vec![0.0; n],
            weighted: vec![0.0; n],
            gram,
            share: 1.0,
            kappa: stages.kappa,
            was_lowered: false,
            least_share: stages.share,
            found: ClassSums::default(),
            staged: 0.0,
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
        (self.found.loss, self.staged, self.found.sides) = (0.0, 0.0, [SideSums::default(); 2]);
        for part in &task.rows.parts {
            let side = task.side(part.label, self.state.class);
            let (scores, a) = (&self.scores[part.range()], &mut self.a[part.range()]);
            let weighted = &mut self.weighted[part.range()];
            a.iter_mut().zip(scores).for_each(|(a, score)| *a = staged.slope(side.margin - side.reach * score));
            weighted.iter_mut().zip(&*a).zip(&part.weights).for_each(|((out, a), w)| *out = w * a);
            let (mass, square) = (weighted.iter().sum::<f64>(), dot(weighted, a));
            let sums = &mut self.found.sides[side.at];
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
                self.found.loss += task.hinge.loss(side, scores, &part.weights);
            }
        }
        if is_last {
            self.found.loss = self.staged;
        }
    }

    /// The loss of the stage.
    const fn hinge(&self, task: &Task<'_>) -> ScalarHinge {
        ScalarHinge::new(self.kappa, task.hinge.hi)
    }

    /// Takes `Σ w·a·z` of each side, and finds the bounds.
    pub fn measure(&mut self, task: &Task<'_>, products: [Vec<f64>; 2]) {
        self.found.products = products;
        let before = self.state.bounds.gap();
        let weighted = &self.weighted;
        let of_part = |at: usize| &weighted[task.rows.parts[at].range()];
        let primal = self.state.measure(task, &self.found, self.share, of_part);
        let is_last = self.share == 1.0 && self.kappa == task.hinge.kappa;
        let is_still = is_last && self.decrease <= NOTHING * primal && self.state.bounds.gap() > 0.5 * before;
        self.waited = if is_still { self.waited + 1 } else { 0 };
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
            self.state.best.copy_from_slice(&self.state.v);
        }
        is_at_rest
    }

    /// Puts `step` to the direction of Newton's method; raises C and lowers κ where the stage is at its end.
    pub fn direct(&mut self, task: &Task<'_>) {
        let hinge = task.hinge;
        let a = &self.a;
        self.gram.update(&task.rows, |row| hinge.is_curved(a[row]));
        let regularised = task.rows.space.regularised(&self.state.v);
        let half_square = dot(&regularised, &self.state.v) / 2.0;
        loop {
            let cost = self.share * task.c;
            let slope: Vec<f64> = (0..self.state.v.len())
                .map(|j| cost * (self.found.products[0][j] - self.found.products[1][j]) - regularised[j])
                .collect();
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
        let (constant, rising) = (dot(&regularised, &self.state.v), dot(&regularised, &self.step));
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
        self.state.v.iter_mut().zip(&self.step).for_each(|(v, step)| *v += length * step);
        self.scores.iter_mut().zip(steps).for_each(|(score, step)| *score += length * step);
        if self.share == 1.0 && self.kappa == task.hinge.kappa {
            self.change = length
                * (dot(&self.step, &self.step) / dot(&self.state.v, &self.state.v).max(f64::MIN_POSITIVE)).sqrt();
            let is_halved = self.change <= 0.5 * self.shortest;
            self.unhalved = if is_halved { 0 } else { self.unhalved + 1 };
            self.shortest = self.shortest.min(self.change);
        }
        if length < SHORT && !self.was_lowered && self.least_share < 1.0 {
            (self.share, self.was_lowered) = (self.least_share, true);
        }
    }

    /// Slope and curvature of the loss of the stage along the direction.
    fn slope(&self, task: &Task<'_>, steps: &[f64], length: f64) -> (f64, f64) {
        let staged = self.hinge(task);
        let (mut first, mut second) = (0.0, 0.0);
        let mut room = Vec::new();
        for part in &task.rows.parts {
            let side = task.side(part.label, self.state.class);
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
