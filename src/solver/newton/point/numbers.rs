//! The numbers of a row in the blocks of the system: Θ between the classes, for the rows of a part.

// Index loops over slices of one length: iterators are not inlined into code compiled for an instruction set.
#![allow(clippy::needless_range_loop)]

use super::{FeasibleSet, InteriorPoint};
use crate::kernel::{Work, vectorized};
use crate::solver::newton::system::BlockPattern;

struct NumberSweep<'a> {
    point: &'a InteriorPoint,
    blocks: BlockPattern,
    out: &'a mut [f64],
}

impl Work for NumberSweep<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.point.put_numbers(self.blocks, self.out);
    }
}

impl InteriorPoint {
    /// The numbers m of each block, `[blocks, rows]`.
    pub fn numbers(&self, shape: &FeasibleSet<'_>, blocks: BlockPattern) -> Vec<f64> {
        let mut out = Vec::new();
        self.numbers_in(shape, blocks, &mut out);
        out
    }

    /// The same in room for them.
    pub fn numbers_in<'r>(&self, shape: &FeasibleSet<'_>, blocks: BlockPattern, room: &'r mut Vec<f64>) -> &'r [f64] {
        room.clear();
        room.resize(blocks.count(shape.n_classes) * self.costs.len(), 0.0);
        vectorized(NumberSweep { point: self, blocks, out: room });
        room
    }

    #[inline(always)]
    fn put_numbers(&self, blocks: BlockPattern, out: &mut [f64]) {
        let (n, y) = (self.costs.len(), self.label);
        let k = self.rate.len() / n;
        let (d, c) = (&self.rate, &self.costs[..n]);
        let mut total = vec![0.0; n];
        for j in 0..k {
            let d = &d[j * n..(j + 1) * n];
            for i in 0..n {
                total[i] += d[i];
            }
        }
        match blocks {
            BlockPattern::Apart | BlockPattern::Meeting => {
                let is_meeting = blocks == BlockPattern::Meeting;
                for j in 0..k {
                    let d = if is_meeting && j == y { &total[..n] } else { &d[j * n..(j + 1) * n] };
                    let out = &mut out[j * n..(j + 1) * n];
                    for i in 0..n {
                        out[i] = c[i] * d[i];
                    }
                }
                for j in (0..k).filter(|&j| is_meeting && j != y) {
                    let (d, out) = (&d[j * n..(j + 1) * n], &mut out[(k + j) * n..(k + j + 1) * n]);
                    for i in 0..n {
                        out[i] = -c[i] * d[i];
                    }
                }
            }
            BlockPattern::All => self.put_all(&total, out),
        }
    }

    /// Those between all classes, without differences: where the sum is at its cap, they would lose the remaining digits of Θ.
    #[inline(always)]
    fn put_all(&self, total: &[f64], out: &mut [f64]) {
        let (n, y) = (self.costs.len(), self.label);
        let k = self.rate.len() / n;
        let (d, rho, c, total) = (&self.rate, &self.coupling[..n], &self.costs[..n], &total[..n]);
        // c/(1 + ρΣD), and ΣD over the classes behind each.
        let (mut factor, mut behind) = (vec![0.0; n], vec![0.0; k * n]);
        let factor = &mut factor[..n];
        for i in 0..n {
            factor[i] = c[i] / (1.0 + rho[i] * total[i]);
        }
        for j in (0..k - 1).rev() {
            let (own, after) = behind.split_at_mut((j + 1) * n);
            let (own, after, d) = (&mut own[j * n..], &after[..n], &d[(j + 1) * n..(j + 2) * n]);
            for i in 0..n {
                own[i] = after[i] + d[i];
            }
        }
        let (mut before, mut left) = (vec![0.0; n], vec![0.0; n]);
        let (before, left) = (&mut before[..n], &mut left[..n]);
        for j in 0..k {
            let (own, behind) = (&d[j * n..(j + 1) * n], &behind[j * n..(j + 1) * n]);
            let row = &mut out[j * (j + 1) / 2 * n..(j + 1) * (j + 2) / 2 * n];
            for i in 0..n {
                left[i] = if j == y { -factor[i] } else { -factor[i] * rho[i] * own[i] };
            }
            for l in 0..j {
                let (d, out) = (&d[l * n..(l + 1) * n], &mut row[l * n..(l + 1) * n]);
                for i in 0..n {
                    out[i] = if l == y { -factor[i] * own[i] } else { left[i] * d[i] };
                }
            }
            let out = &mut row[j * n..(j + 1) * n];
            for i in 0..n {
                let alone = own[i] * (1.0 + rho[i] * (before[i] + behind[i]));
                out[i] = factor[i] * if j == y { total[i] } else { alone };
                before[i] += own[i];
            }
        }
    }
}
