//! Snapshots of the exact solver between two sweeps, resumed to the last bit.
//!
//! W is kept as it is held, and not rebuilt from the dual variables: it has the rounding of the run in it, and with that the steps
//! that follow.

use super::mean::Mean;
use super::storage::rows;
use super::{Ascent, BestWeights, Bounds, Pace, SolveError, sweep};
use crate::solver::Snapshot;
use crate::solver::checkpoint::Clock;

impl Ascent<'_, '_> {
    /// The state to resume from.
    pub(super) fn snapshot(&mut self) -> Result<Snapshot, SolveError> {
        let mut kept = Snapshot::default();
        self.state.keep(&mut kept);
        kept.put("weights", self.rows.held()?);
        kept.put_one("double", u8::from(self.double));
        kept.put_one("origins", 1u8);
        kept.put_one("lambda", self.lambda);
        kept.put_one("place", self.place as u64);
        let position = self.rng.get_word_pos();
        #[allow(clippy::cast_possible_truncation)]
        kept.put("generator", vec![position as u64, (position >> 64) as u64]);
        kept.put("counts", vec![self.sweeps, self.visited, u64::from(self.stuck)]);
        kept.put_one("smallest", self.smallest);
        kept.put("proof", vec![self.bound, self.goal]);
        kept.put("pace", vec![self.pace.next, self.pace.measured]);
        kept.put_one("optimism", self.pace.optimism);
        kept.put("multipliers.last", self.multipliers.last.clone());
        kept.put_one("multipliers.length", self.multipliers.length);
        kept.put_one("multipliers.scale", self.state.bias_scale);
        let mean = &self.mean;
        kept.put("mean.held", mean.held.clone());
        kept.put("mean.constant", mean.constant.clone());
        kept.put("mean.counts", vec![mean.count, mean.visited, mean.measured, u64::from(mean.leads)]);
        kept.put_one("handed_over", u8::from(self.relay.begun));
        kept.put_one("went_on", u8::from(self.relay.failed));
        kept.put("trail.visited", self.relay.trail.iter().map(|&(visited, _)| visited).collect::<Vec<u64>>());
        kept.put("trail.gap", self.relay.trail.iter().map(|&(_, gap)| gap).collect::<Vec<f64>>());
        kept.put_time("elapsed", self.clock.elapsed());
        if let Some(BestWeights { primal, weight, bias }) = &self.best {
            kept.put_one("best.primal", *primal);
            kept.put("best.weight", weight.clone());
            kept.put("best.bias", bias.clone());
        }
        Ok(kept)
    }

    /// Restores a snapshot; returns the place on the path.
    ///
    /// # Errors
    /// [`SolveError::Snapshot`] when it is not of this problem, [`SolveError::Device`] when the device fails.
    pub(super) fn restore(&mut self, mut kept: Snapshot) -> Result<usize, SolveError> {
        let (d, k) = (self.problem.source.features.n_features(), self.state.n_classes);
        self.state.take_up(&mut kept)?;
        let double = kept.take_one::<u8>("double")? != 0;
        if double != self.double {
            self.double = double;
            self.rows = rows(self.problem, double, self.scope);
        }
        self.set_penalty();
        if self.is_free() && kept.has("multipliers.scale") {
            self.state.bias_scale = kept.take_one("multipliers.scale")?;
        }
        // Another device may hold W in another way; then it is put together from the dual variables.
        let weights = kept.take::<f64>("weights")?;
        let elsewhere = weights.len() != self.rows.held_len() && [d * k, (d + 2) * k].contains(&weights.len());
        // An earlier version has kept the means of centred sparse rows in another way.
        let elsewhere = elsewhere || (weights.len() > d * k && !kept.has("origins"));
        // So is what an earlier version has kept of a free bias, whose penalty was another; it has kept the squares with the constant feature.
        let elsewhere = elsewhere || (self.is_free() && !kept.has("proof"));
        if !kept.has("proof") {
            self.state.samples.iter_mut().for_each(|sample| sample.square = 0.0);
        }
        if elsewhere {
            sweep::rebuild(&mut *self.rows, &mut self.state)?;
        } else {
            sweep::hold(&mut *self.rows, &weights)?;
        }
        self.lambda = kept.take_one("lambda")?;
        let position = kept.take_exactly::<u64>("generator", 2)?;
        self.rng.set_word_pos(u128::from(position[0]) | u128::from(position[1]) << 64);
        let counts = kept.take_exactly::<u64>("counts", 3)?;
        (self.sweeps, self.visited) = (counts[0], counts[1]);
        self.stuck = u32::try_from(counts[2]).unwrap_or(u32::MAX);
        self.smallest = kept.take_one("smallest")?;
        // An earlier version has kept no proof.
        if kept.has("proof") {
            let proof = kept.take_exactly::<f64>("proof", 2)?;
            (self.bound, self.goal) = (proof[0], proof[1]);
        }
        let pace = kept.take_exactly::<u64>("pace", 2)?;
        self.pace = Pace { next: pace[0], measured: pace[1], optimism: kept.take_one("optimism")? };
        (self.multipliers.last, self.multipliers.length) =
            (kept.take("multipliers.last")?, kept.take_one("multipliers.length")?);
        // Snapshots of earlier versions have no mean: it begins here.
        self.mean = if kept.has("mean.counts") && !elsewhere {
            let counts = kept.take_exactly::<u64>("mean.counts", 4)?;
            let (held, constant) = if counts[0] > 0 { (self.rows.held_len(), k) } else { (0, 0) };
            Mean {
                held: kept.take_exactly("mean.held", held)?,
                constant: kept.take_exactly("mean.constant", constant)?,
                count: counts[0],
                visited: counts[1],
                measured: counts[2],
                leads: counts[3] != 0,
            }
        } else {
            Mean::default()
        };
        self.best = if kept.has("best.primal") {
            Some(BestWeights {
                primal: kept.take_one("best.primal")?,
                weight: kept.take_exactly("best.weight", d * k)?,
                bias: kept.take_exactly("best.bias", k)?,
            })
        } else {
            None
        };
        // An earlier version never hands over.
        if kept.has("handed_over") {
            self.relay.begun = kept.take_one::<u8>("handed_over")? != 0;
            self.relay.failed = kept.has("went_on") && kept.take_one::<u8>("went_on")? != 0;
            let gaps = kept.take::<f64>("trail.gap")?;
            self.relay.trail = kept.take::<u64>("trail.visited")?.into_iter().zip(gaps).collect();
        }
        self.clock = Clock::after(kept.take_time("elapsed")?);
        self.place = usize::try_from(kept.take_one::<u64>("place")?).unwrap_or(usize::MAX);
        Ok(self.place)
    }
}

impl super::DualState<'_> {
    fn keep(&self, kept: &mut Snapshot) {
        let places = self.places();
        // Without the padding of its rows, which is zero.
        let dual = places.iter().flat_map(|&i| &self.a[i * self.stride..][..self.n_classes]);
        kept.put("dual", dual.copied().collect::<Vec<f64>>());
        kept.put("cost", places.iter().map(|&i| self.samples[i].cost).collect::<Vec<f64>>());
        kept.put("square", places.iter().map(|&i| self.samples[i].square).collect::<Vec<f64>>());
        kept.put("constant", self.constant.clone());
        kept.put("offset", self.offset.clone());
        kept.put("seen.primal", places.iter().map(|&i| self.seen[i].primal).collect::<Vec<f64>>());
        kept.put("seen.gap", places.iter().map(|&i| self.seen[i].gap).collect::<Vec<f64>>());
        kept.put("due", places.iter().map(|&i| self.due[i]).collect::<Vec<u32>>());
        kept.put("sleep", places.iter().map(|&i| self.sleep[i]).collect::<Vec<u8>>());
        kept.put_one("epoch", self.epoch);
        kept.put_one("tolerance", self.tolerance);
    }

    fn take_up(&mut self, kept: &mut Snapshot) -> Result<(), SolveError> {
        let (n, k) = (self.rows.len(), self.n_classes);
        let places = self.places();
        let dual = kept.take_exactly::<f64>("dual", n * k)?;
        let (costs, squares) = (kept.take_exactly::<f64>("cost", n)?, kept.take_exactly::<f64>("square", n)?);
        let (primal, gap) = (kept.take_exactly("seen.primal", n)?, kept.take_exactly("seen.gap", n)?);
        let (due, sleep) = (kept.take_exactly("due", n)?, kept.take_exactly("sleep", n)?);
        self.a.fill(0.0);
        for (row, i) in places.into_iter().enumerate() {
            self.a[i * self.stride..][..k].copy_from_slice(&dual[row * k..(row + 1) * k]);
            (self.samples[i].cost, self.samples[i].square) = (costs[row], squares[row]);
            self.seen[i] = Bounds { primal: primal[row], gap: gap[row] };
            (self.due[i], self.sleep[i]) = (due[row], sleep[row]);
        }
        self.constant = kept.take_exactly("constant", k)?;
        self.offset = kept.take_exactly("offset", k)?;
        self.epoch = kept.take_one("epoch")?;
        self.tolerance = kept.take_one("tolerance")?;
        Ok(())
    }
}
