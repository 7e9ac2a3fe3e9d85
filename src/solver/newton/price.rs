//! The prices of the methods of second order, known before they begin.

use super::class::count;
use super::device;
use super::point::FeasibleSet;
use super::primal;
use super::system::{BlockPattern, WIDE};
use crate::data::Features;
use crate::model::BiasRule;
use crate::objective::Objective;
use crate::solver::Problem;

/// Iterations that are reckoned with: 10 to 40 are usual.
const ITERATIONS: f64 = 25.0;
/// Columns of the largest joint system that is factorised, and bytes of all that is held.
const LARGEST: f64 = 8_000.0;
const MOST_BYTES: f64 = (3u64 << 30) as f64;
/// The same where parts send their sums, or each class keeps its own.
const LARGEST_SUM: f64 = 5_000.0;
const MOST_BYTES_OF_SUMS: f64 = (1u64 << 30) as f64;

/// Multiply-adds of all iterations up to which a problem counts as small.
const SMALL: f64 = 1e8;

/// Seconds on one core of a multiply-add of products of matrices, and where blocks between classes are wide; of a visit to a row in coordinate ascent a
/// constant, a term a class, and a term a product. Constants rather than measurements: the same problem always takes the same method.
const MULTIPLY_ADD: f64 = 1.0 / 8e9;
const WIDE_MULTIPLY_ADD: f64 = 1.0 / 16e9;
const VISIT: f64 = 50e-9;
const VISIT_CLASS: f64 = 8e-9;
const VISIT_PRODUCT: f64 = 0.3e-9;

/// The share of the time of sums over the rows that they take on a device, at most.
const ON_DEVICE: f64 = 0.05;

/// Seconds on one core that a method with a factorised system may take where no method is named.
const AFFORDABLE: f64 = 120.0;

/// Steps that Newton's method on the objective is reckoned to take where nothing is bounded, and where margins are; rows that enter the sums of a class in
/// all of them, relative to all rows.
const STEPS: f64 = 12.0;
const BOUNDED_STEPS: f64 = 30.0;
const ENTERING: f64 = 1.5;
/// Seconds of a multiply-add of these sums, and of a row in a step of a class beside its products.
const SUM: f64 = 1.0 / 16e9;
const STEP_ROW: f64 = 12e-9;

/// Methods of second order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// Newton's method on the objective.
    Primal,
    /// The interior point method.
    InteriorPoint,
    /// The proximal Newton method.
    Proximal,
}

/// Estimated cost of a problem.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Price {
    /// The method whose price it is.
    pub method: Method,
    /// Seconds on one core, about.
    pub seconds: f64,
    /// Visits of coordinate ascent to a row that take as long.
    pub visits: f64,
    /// Memory, in bytes.
    pub bytes: f64,
    /// Whether it may begin before ascent has cost as much: the proximal method, and one that takes minutes.
    pub is_long: bool,
    /// Whether the problem is so small that iterations may continue until the weights no longer change.
    pub is_small: bool,
}

impl Price {
    /// The methods for a problem, each to be tried after the one before has failed.
    pub fn choices(problem: &Problem<'_>) -> Vec<Self> {
        let is_affordable = |price: &Self| price.seconds <= AFFORDABLE;
        let (interior, proximal) = (Self::of(problem), Self::of_proximal(problem));
        let (next, last) = match interior {
            Some(interior) if is_affordable(&interior) => (interior, Some(proximal)),
            Some(interior) if interior.seconds < proximal.seconds * Self::hardness(problem) => {
                (interior, Some(proximal))
            }
            interior => (proximal, interior),
        };
        let first = Self::of_primal(problem).filter(|price| is_affordable(price) && price.seconds < next.seconds);
        let first = first.map(|price| Self { is_small: next.is_small, ..price });
        first.into_iter().chain([next]).chain(last).collect()
    }

    /// Of the interior point method; `None` where its system is too large.
    #[allow(clippy::cast_precision_loss)]
    pub fn of(problem: &Problem<'_>) -> Option<Self> {
        let d = problem.source.features.n_features();
        let size = Size::new(problem.objective, (problem.train.len(), d, problem.n_classes));
        let is_on_device = device::serves(problem, size.sums());
        let bytes = size.bytes(is_on_device);
        if size.order() > LARGEST || bytes > MOST_BYTES {
            return None;
        }
        let multiply_adds = size.basis() + ITERATIONS * size.multiply_adds();
        let saved = if is_on_device { (1.0 - ON_DEVICE) * size.sums() } else { 0.0 };
        let rate = if size.has_wide_blocks() { WIDE_MULTIPLY_ADD } else { MULTIPLY_ADD };
        let seconds = (multiply_adds - ITERATIONS * saved) * rate;
        let method = Method::InteriorPoint;
        Some(Self {
            method,
            seconds,
            visits: seconds / visit(problem),
            bytes,
            is_long: seconds > AFFORDABLE,
            is_small: multiply_adds <= SMALL,
        })
    }

    /// Of the interior point method over parts of dense rows, where only a few rows are in memory; numbers of rows, features and classes. `None` where
    /// its system is too large.
    #[allow(clippy::cast_precision_loss)]
    pub fn of_parts(objective: &Objective, (n, d, k): (usize, usize, usize)) -> Option<Self> {
        let size = Size::new(objective, (n, d, k));
        let bytes = size.bytes_of_system();
        if size.order() > LARGEST_SUM || bytes > MOST_BYTES_OF_SUMS {
            return None;
        }
        // In each of the orders rows are brought into the basis, and all steps before it are repeated.
        let Size { width, features, classes, .. } = size;
        let again = ORDERS * (size.n * features * width + 8.0 * size.n * width * classes + 100.0 * size.n * classes);
        let multiply_adds = size.basis() + ITERATIONS * (size.multiply_adds() + again);
        let seconds = multiply_adds * MULTIPLY_ADD;
        let visit = visit_of(d as f64, k as f64, false);
        let visits = seconds / visit + READS * size.n * READ;
        Some(Self { method: Method::InteriorPoint, seconds, visits, bytes, is_long: false, is_small: false })
    }

    /// Of Newton's method on the objective; `None` where the loss is none for it, or its sums are too large.
    #[allow(clippy::cast_precision_loss)]
    fn of_primal(problem: &Problem<'_>) -> Option<Self> {
        let loss = &problem.objective.loss;
        if !primal::serves(loss, problem.n_classes) {
            return None;
        }
        let (n, machines) = (problem.train.len() as f64, count(problem.n_classes) as f64);
        let features =
            problem.source.features.n_features() as f64 + f64::from(u8::from(problem.objective.bias.has_bias()));
        let width = features.min(n);
        let bytes = 8.0 * (n * (features + 6.0 * machines) + (3.0 + 2.0 * machines) * width * width);
        if width > LARGEST_SUM || bytes > MOST_BYTES_OF_SUMS {
            return None;
        }
        let steps = if loss.set.is_bounded() { BOUNDED_STEPS } else { STEPS };
        let basis = if features > n { 2.0 * n * features * width + 4.0 * features * width * width } else { 0.0 };
        let sums = (1.0 + ENTERING * machines) * n * width * width / 2.0;
        let step = (width.powi(3) / 6.0 + 3.0 * n * width) * MULTIPLY_ADD + n * STEP_ROW;
        let seconds = basis * MULTIPLY_ADD + sums * SUM + steps * machines * step;
        Some(Self {
            method: Method::Primal,
            seconds,
            visits: seconds / visit(problem),
            bytes,
            is_long: false,
            is_small: false,
        })
    }

    /// The multiple of its price that the proximal method takes beyond a stiffness of 1.
    fn hardness(problem: &Problem<'_>) -> f64 {
        1.0 + HARDER * (stiffness(problem) - 1.0).max(0.0)
    }

    /// Of the proximal method to a gap of 1e-6, roughly. With C·‖x‖² its systems get worse, with more rows for each feature better.
    #[allow(clippy::cast_precision_loss)]
    pub fn of_proximal(problem: &Problem<'_>) -> Self {
        let (n, k) = (problem.train.len() as f64, problem.n_classes as f64);
        let stiffness = stiffness(problem);
        // More features than rows leave nearly every row free, and no system easy.
        let is_wide = problem.source.features.n_features() > problem.train.len();
        let passes = EASY + (PASSES - EASY) * if is_wide { 1.0 } else { stiffness.min(1.0) };
        let seconds = passes * n * k * (PASS_CLASS + PASS_PRODUCT * stored(problem));
        let bytes = 8.0 * 8.0 * n * k;
        Self {
            method: Method::Proximal,
            seconds,
            visits: seconds / visit(problem),
            bytes,
            is_long: true,
            is_small: false,
        }
    }
}

/// The square root of C‖x‖²·(stored cells of a row)/n.
#[allow(clippy::cast_precision_loss)]
fn stiffness(problem: &Problem<'_>) -> f64 {
    let n = problem.train.len() as f64;
    let c = 1.0 / (problem.objective.lambda * n);
    (c * problem.source.typical_square(problem.train) * stored(problem) / n).sqrt()
}

/// Cells of a row that are stored.
#[allow(clippy::cast_precision_loss)]
fn stored(problem: &Problem<'_>) -> f64 {
    match problem.source.features {
        Features::Sparse(csr) => csr.nnz() as f64 / csr.n_rows().max(1) as f64,
        dense => dense.n_features() as f64,
    }
}

/// Seconds of a visit of coordinate ascent to a row.
#[allow(clippy::cast_precision_loss)]
fn visit(problem: &Problem<'_>) -> f64 {
    let is_cached = problem.train.len() as f64 * stored(problem) < CACHED;
    visit_of(stored(problem), problem.n_classes as f64, is_cached)
}

fn visit_of(stored: f64, classes: f64, is_cached: bool) -> f64 {
    let fetch = if is_cached { 0.0 } else { FETCH };
    VISIT + fetch + classes * (VISIT_CLASS + stored * VISIT_PRODUCT)
}

/// Passes of the proximal method over all rows: of an easy problem, and of a hard one, whose stiffness is 1.
const EASY: f64 = 40.0;
const PASSES: f64 = 1_000.0;
/// Its growth for each unit of stiffness beyond 1: MNIST's raw bytes at C = 0.01 and 1 have 30 and 300 of them.
const HARDER: f64 = 0.1;
/// Passes after which it is given up where its systems may get ever worse, or where it follows a method that has failed.
pub(crate) const MOST_PASSES: f64 = 2.0 * PASSES;
/// Seconds of a row in such a pass: a term a class, and a term a product.
const PASS_CLASS: f64 = 40e-9;
const PASS_PRODUCT: f64 = 0.15e-9;
/// Cells up to which most rows are in the caches when they are visited, and the seconds that a row takes that is not.
const CACHED: f64 = 1e7;
const FETCH: f64 = 200e-9;

/// Orders of an iteration over parts; visits to a row that take as long as to read it once.
const ORDERS: f64 = 3.0;
pub(crate) const READ: f64 = 1.0;
/// Passes over parts that are reckoned with.
pub(crate) const READS: f64 = 1.0 + ITERATIONS * ORDERS;

/// The sizes that the price depends on.
struct Size {
    n: f64,
    /// Columns, and numbers of a row in the basis of the rows: the most that there can be.
    features: f64,
    width: f64,
    classes: f64,
    n_classes: usize,
    blocks: BlockPattern,
    counted: f64,
}

impl Size {
    /// Of numbers of rows, features and classes.
    #[allow(clippy::cast_precision_loss)]
    fn new(objective: &Objective, (n, d, k): (usize, usize, usize)) -> Self {
        let bias = objective.bias;
        let constant = usize::from(matches!(bias, BiasRule::Regularised { .. }));
        let (n, features) = (n as f64, (d + constant) as f64);
        let blocks = FeasibleSet::blocks(&objective.loss);
        Self {
            n,
            features,
            width: features.min(n) + f64::from(u8::from(bias == BiasRule::Free)),
            classes: k as f64,
            n_classes: k,
            blocks,
            counted: blocks.count(k) as f64,
        }
    }

    /// Rows of the system.
    fn order(&self) -> f64 {
        if self.blocks == BlockPattern::Apart { self.width } else { self.width * self.classes }
    }

    /// Whether each block between classes is a product of matrices of its own.
    fn has_wide_blocks(&self) -> bool {
        self.blocks != BlockPattern::Apart && self.width >= WIDE as f64
    }

    /// Of the basis, once.
    fn basis(&self) -> f64 {
        let Self { n, features, width, .. } = *self;
        2.0 * n * features * width + 4.0 * features * width * width
    }

    /// Of an iteration.
    fn multiply_adds(&self) -> f64 {
        let Self { n, width, classes, .. } = *self;
        let systems = if self.blocks == BlockPattern::Apart { classes } else { 1.0 };
        let factors = systems * self.order().powi(3) / 6.0;
        // Scores and their adjoints, and about twenty divisions and sums of every pair.
        self.sums() + factors + 8.0 * n * width * classes + 100.0 * n * classes
    }

    /// Of the sums over the rows in an iteration.
    fn sums(&self) -> f64 {
        self.blocks.multiply_adds(self.n_classes, self.n, self.width)
    }

    fn bytes_of_system(&self) -> f64 {
        let Self { features, width, classes, .. } = *self;
        let systems = if self.blocks == BlockPattern::Apart { classes } else { 1.0 };
        8.0 * (4.0 * systems * self.order().powi(2) + 4.0 * features * width)
    }

    fn bytes(&self, is_on_device: bool) -> f64 {
        let Self { n, width, classes, .. } = *self;
        let systems = if self.blocks == BlockPattern::Apart { classes } else { 1.0 };
        // All columns are read before those that depend on others are left out; B and L, and twice that while they are made.
        let columns = n * self.features + 4.0 * self.features * width;
        // The numbers of all blocks, where they are sent to a device.
        let sent = if is_on_device { n * self.counted } else { 0.0 };
        8.0 * (columns + n * width + 16.0 * n * classes + sent + 4.0 * systems * self.order().powi(2))
    }
}
