//! Sweeps over the rows of a class: everything that is done with the rows of a part at a time, on the vector units of the processor.

use crate::kernel::Work;
use crate::solver::newton::class::{ClassSide, ClassSums, LANES, ScalarHinge, SideSums, Task, dot};
use crate::solver::newton::point::larger;
use crate::solver::newton::rows::LabelRows;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, MatRef, Par};

/// The rows of a part: a, t, b and ξ of each, their steps, and what these are made of.
pub(super) struct ScalarPoint {
    side: ClassSide,
    a: Vec<f64>,
    t: Vec<f64>,
    b: Vec<f64>,
    xi: Vec<f64>,
    da: Vec<f64>,
    dt: Vec<f64>,
    dxi: Vec<f64>,
    /// The corrections e and e'.
    of_a: Vec<f64>,
    of_b: Vec<f64>,
    /// q for products of 0, and D.
    wanted: Vec<f64>,
    rate: Vec<f64>,
    /// Scores at v, and of a step.
    scores: Vec<f64>,
    steps: Vec<f64>,
    /// w·a
    pub weighted: Vec<f64>,
}

/// Sums over rows.
pub(super) struct StepSums {
    /// The lower triangle of `Σ w D z zᵀ`, in a sweep that sums; empty in others.
    pub gram: Mat<f64>,
    /// After a step, those of `class`; before it only their products: right-hand sides for products of 0, and what they gain for each unit of them.
    pub class: ClassSums,
    /// The largest share `−δ/…` that a whole step takes from a variable.
    pub largest: f64,
    /// Σ w·(products), and Σ w·(those of the steps).
    pub along: [f64; 2],
    pub is_finite: bool,
}

/// Work on the rows of a part.
pub(super) struct Sweep<'a> {
    pub kind: SweepKind<'a>,
    pub hinge: ScalarHinge,
    pub part: &'a LabelRows,
    pub point: &'a mut ScalarPoint,
    pub sums: &'a mut StepSums,
    /// Room for numbers of the rows, and for their columns.
    pub room: &'a mut [Vec<f64>; 2],
}

/// Kinds of a sweep.
#[derive(Debug, Clone, Copy)]
pub(super) enum SweepKind<'a> {
    /// The right-hand side for products of 0, and the sums of the system unless they are formed on a device.
    Aim { sums: bool },
    /// The step towards products of 0, and the right-hand side that is corrected by it.
    Predict { direction: &'a [f64] },
    /// The step towards products of `target`.
    Correct { direction: &'a [f64], target: f64 },
    /// A part of it, and the sums behind it.
    Take { length: f64 },
}

impl Work for Sweep<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { kind, hinge, part, point, sums, room } = self;
        let (n, weights, [room, scaled]) = (part.rows.len(), &part.weights, room);
        room.resize(2 * n, 0.0);
        match kind {
            SweepKind::Aim { sums: has_sums } => {
                point.aim(hinge, weights, room);
                let (beta, root) = room.split_at(n);
                part.add_sums(beta, &mut sums.class.products[0]);
                if !has_sums {
                    return;
                }
                let (width, mut j) = (part.columns.len() / n, 0);
                scaled.resize(part.columns.len(), 0.0);
                while j < width {
                    let (x, out) = (&part.columns[j * n..(j + 1) * n], &mut scaled[j * n..(j + 1) * n]);
                    for i in 0..n {
                        out[i] = x[i] * root[i];
                    }
                    j += 1;
                }
                let rows = MatRef::from_column_major_slice(scaled, n, width);
                let (lower, whole) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
                let to = sums.gram.as_mut();
                triangular::matmul(to, lower, Accum::Add, rows.transpose(), whole, rows, whole, 1.0, Par::Seq);
            }
            SweepKind::Predict { direction } => {
                part.put_scores(direction, &mut point.steps);
                point.predict(hinge, weights, sums, room);
                let (none, whole) = room.split_at(n);
                let [of_none, of_whole] = &mut sums.class.products;
                part.add_sums(none, of_none);
                part.add_sums(whole, of_whole);
            }
            SweepKind::Correct { direction, target } => {
                part.put_scores(direction, &mut point.steps);
                point.correct(hinge, target, sums, room);
            }
            SweepKind::Take { length } => {
                point.take(hinge, length);
                point.measure(hinge, weights, sums);
                part.add_sums(&point.weighted, &mut sums.class.products[point.side.at]);
            }
        }
    }
}

impl ScalarPoint {
    /// The variables of a part in the middle of their sets.
    pub fn new(task: &Task<'_>, part: &LabelRows, class: usize) -> Self {
        let (hi, t) = (task.hinge.hi, task.shape.loss.margins.largest().max(f64::MIN_POSITIVE));
        let (a, b, xi) = if hi.is_finite() { (hi / 2.0, hi / 2.0, t) } else { (t, 1.0, 0.0) };
        let fill = |value: f64| vec![value; part.rows.len()];
        Self {
            side: task.side(part.label, class),
            a: fill(a),
            t: fill(t),
            b: fill(b),
            xi: fill(xi),
            da: fill(0.0),
            dt: fill(0.0),
            dxi: fill(0.0),
            of_a: fill(0.0),
            of_b: fill(0.0),
            wanted: fill(0.0),
            rate: fill(0.0),
            scores: fill(0.0),
            steps: fill(0.0),
            weighted: fill(0.0),
        }
    }

    /// w·D of each row.
    pub fn numbers<'a>(&'a self, weights: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        self.rate.iter().zip(weights).map(|(rate, w)| w * rate)
    }

    /// Puts D to the variables, and β of `a + D·q` and √(w·D) for products of 0 without corrections into the two halves of `room`.
    #[inline(always)]
    fn aim(&mut self, hinge: ScalarHinge, weights: &[f64], room: &mut [f64]) {
        let (n, side, is_bounded) = (self.a.len(), self.side, hinge.hi.is_finite());
        let (a, t, b, xi, scores) = (&self.a[..n], &self.t[..n], &self.b[..n], &self.xi[..n], &self.scores[..n]);
        let (wanted, rate) = (&mut self.wanted[..n], &mut self.rate[..n]);
        let (weights, (beta, root)) = (&weights[..n], room.split_at_mut(n));
        let root = &mut root[..n];
        for i in 0..n {
            let off = side.margin - side.reach * scores[i] - hinge.kappa * a[i];
            (wanted[i], rate[i]) = if is_bounded {
                let both = a[i] * b[i];
                (
                    off + xi[i] * (hinge.hi - a[i] - b[i]) / b[i],
                    both / (t[i] * b[i] + xi[i] * a[i] + hinge.kappa * both),
                )
            } else {
                (off, a[i] / (t[i] + hinge.kappa * a[i]))
            };
            beta[i] = side.sign * weights[i] * (a[i] + rate[i] * wanted[i]);
            root[i] = (weights[i] * rate[i]).sqrt();
        }
    }

    /// The shares that the step towards products of 0 takes, and the corrections by it; β of the next aim for products of 0, and its growth for each unit
    /// of them, into the two halves of `room`.
    #[inline(always)]
    fn predict(&mut self, hinge: ScalarHinge, weights: &[f64], sums: &mut StepSums, room: &mut [f64]) {
        let (n, side, is_bounded) = (self.a.len(), self.side, hinge.hi.is_finite());
        let (a, t, b, xi) = (&self.a[..n], &self.t[..n], &self.b[..n], &self.xi[..n]);
        let (rate, steps, weights) = (&self.rate[..n], &self.steps[..n], &weights[..n]);
        let (wanted, of_a, of_b) = (&mut self.wanted[..n], &mut self.of_a[..n], &mut self.of_b[..n]);
        let (none, whole) = room.split_at_mut(n);
        let (products, shares) = (&mut self.da[..n], &mut self.dt[..n]);
        for i in 0..n {
            let da = rate[i] * (wanted[i] - side.reach * steps[i]);
            if is_bounded {
                let (inverse, db) = (1.0 / (a[i] * b[i]), hinge.hi - a[i] - b[i] - da);
                let (by_a, by_b) = (b[i] * inverse, a[i] * inverse);
                let (u, v) = (da * by_a, db * by_b);
                (of_a[i], of_b[i]) = (da * t[i] * (1.0 + u), db * xi[i] * (1.0 + v));
                shares[i] = larger(larger(-u, 1.0 + u), larger(-v, 1.0 + v));
                products[i] = a[i] * t[i] + b[i] * xi[i];
                wanted[i] += of_a[i] * by_a - of_b[i] * by_b;
                whole[i] = by_a - by_b;
            } else {
                let by_a = 1.0 / a[i];
                let u = da * by_a;
                of_a[i] = da * t[i] * (1.0 + u);
                shares[i] = larger(-u, 1.0 + u);
                products[i] = a[i] * t[i];
                wanted[i] += of_a[i] * by_a;
                whole[i] = by_a;
            }
            whole[i] *= side.sign * weights[i] * rate[i];
            none[i] = side.sign * weights[i] * (a[i] + rate[i] * wanted[i]);
        }
        sums.note(shares);
        sums.along[0] += dot(products, weights);
        sums.along[1] -= dot(of_a, weights) + if is_bounded { dot(of_b, weights) } else { 0.0 };
    }

    /// The steps towards products of `target`, and how far they lead.
    #[inline(always)]
    fn correct(&mut self, hinge: ScalarHinge, target: f64, sums: &mut StepSums, room: &mut [f64]) {
        let (n, side, is_bounded) = (self.a.len(), self.side, hinge.hi.is_finite());
        let (a, t, b, xi) = (&self.a[..n], &self.t[..n], &self.b[..n], &self.xi[..n]);
        let (rate, steps, wanted) = (&self.rate[..n], &self.steps[..n], &self.wanted[..n]);
        let (of_a, of_b) = (&self.of_a[..n], &self.of_b[..n]);
        let (out_a, out_t, out_xi) = (&mut self.da[..n], &mut self.dt[..n], &mut self.dxi[..n]);
        let shares = &mut room[..n];
        for i in 0..n {
            if is_bounded {
                let inverse = 1.0 / (a[i] * b[i]);
                let (by_a, by_b) = (b[i] * inverse, a[i] * inverse);
                let da = rate[i] * (wanted[i] + target * (by_a - by_b) - side.reach * steps[i]);
                let db = hinge.hi - a[i] - b[i] - da;
                let dt = (target + of_a[i] - t[i] * (a[i] + da)) * by_a;
                let dxi = (target + of_b[i] - xi[i] * (b[i] + db)) * by_b;
                let (own, other) = (larger(-da * by_a, -dt / t[i]), larger(-db * by_b, -dxi / xi[i]));
                shares[i] = larger(own, other);
                (out_a[i], out_t[i], out_xi[i]) = (da, dt, dxi);
            } else {
                let by_a = 1.0 / a[i];
                let da = rate[i] * (wanted[i] + target * by_a - side.reach * steps[i]);
                let dt = (target + of_a[i] - t[i] * (a[i] + da)) * by_a;
                shares[i] = larger(-da * by_a, -dt / t[i]);
                (out_a[i], out_t[i]) = (da, dt);
            }
        }
        sums.note(shares);
    }

    /// Goes a part of the way.
    #[inline(always)]
    fn take(&mut self, hinge: ScalarHinge, length: f64) {
        let (n, is_bounded) = (self.a.len(), hinge.hi.is_finite());
        let (a, t, b, xi) = (&mut self.a[..n], &mut self.t[..n], &mut self.b[..n], &mut self.xi[..n]);
        let (da, dt, dxi) = (&self.da[..n], &self.dt[..n], &self.dxi[..n]);
        let (scores, steps) = (&mut self.scores[..n], &self.steps[..n]);
        for i in 0..n {
            if is_bounded {
                b[i] += length * (hinge.hi - a[i] - b[i] - da[i]);
                xi[i] += length * dxi[i];
            }
            a[i] += length * da[i];
            t[i] += length * dt[i];
            scores[i] += length * steps[i];
        }
    }

    /// Puts the sums to those at the variables and the scores.
    #[inline(always)]
    fn measure(&mut self, hinge: ScalarHinge, weights: &[f64], sums: &mut StepSums) {
        let (n, side) = (self.a.len(), self.side);
        let (weighted, a, weights) = (&mut self.weighted[..n], &self.a[..n], &weights[..n]);
        let mut mass = [0.0; LANES];
        for i in 0..n {
            weighted[i] = weights[i] * if a[i] < hinge.hi { a[i] } else { hinge.hi };
            mass[i % LANES] += weighted[i];
        }
        let mass = mass.iter().sum::<f64>();
        let own = SideSums { mass, linear: side.margin * mass, square: dot(weighted, a) };
        sums.class.sides[side.at].add(own);
        sums.class.loss += hinge.loss(side, &self.scores, weights);
    }
}

impl StepSums {
    /// None so far, for a sweep of a kind over rows of so many numbers.
    pub fn of(width: usize, kind: SweepKind<'_>) -> Self {
        let products = [vec![0.0; width], vec![0.0; width]];
        let size = if matches!(kind, SweepKind::Aim { sums: true }) { width } else { 0 };
        Self {
            gram: Mat::zeros(size, size),
            class: ClassSums { products, ..ClassSums::default() },
            largest: 0.0,
            along: [0.0; 2],
            is_finite: true,
        }
    }

    pub fn add(&mut self, more: &Self) {
        self.gram += &more.gram;
        self.class.add(&more.class);
        self.largest = self.largest.max(more.largest);
        self.along.iter_mut().zip(more.along).for_each(|(sum, more)| *sum += more);
        self.is_finite &= more.is_finite;
    }

    /// Notes the shares that a whole step takes from the variables of some rows.
    #[inline(always)]
    fn note(&mut self, shares: &[f64]) {
        let (mut lanes, mut sums, mut at) = ([0.0; LANES], [0.0; LANES], 0);
        while at + LANES <= shares.len() {
            let shares = &shares[at..at + LANES];
            for i in 0..LANES {
                lanes[i] = larger(shares[i], lanes[i]);
                sums[i] += shares[i];
            }
            at += LANES;
        }
        for &share in &shares[at..] {
            (lanes[0], sums[0]) = (larger(share, lanes[0]), sums[0] + share);
        }
        for lane in lanes {
            self.largest = larger(lane, self.largest);
        }
        self.is_finite &= sums.iter().sum::<f64>().is_finite();
    }
}
