//! Snapshots of L-BFGS between two steps, resumed to the last bit.

use super::full_batch::FullBatch;
use super::line_search::LinePoint;
use super::{Descent, LbfgsConfig, Pairs, SolveError};
use crate::solver::Snapshot;
use crate::solver::checkpoint::Clock;

impl Descent {
    /// The state to resume from.
    pub(super) fn snapshot(&self, batch: &FullBatch<'_>, clock: Clock) -> Snapshot {
        let mut kept = Snapshot::default();
        kept.put("at", self.here.at.clone());
        kept.put("gradient", self.here.gradient.clone());
        kept.put_one("value", self.here.value);
        kept.put_one("goal", self.goal);
        kept.put("counts", vec![self.made, batch.passes(), self.pairs.kept.len() as u64]);
        for (i, (step, change, product)) in self.pairs.kept.iter().enumerate() {
            kept.put(&format!("pair.{i}.step"), step.clone());
            kept.put(&format!("pair.{i}.change"), change.clone());
            kept.put_one(&format!("pair.{i}.product"), *product);
        }
        kept.put_time("elapsed", clock.elapsed());
        kept
    }

    /// The state in a snapshot.
    ///
    /// # Errors
    /// [`SolveError::Snapshot`] when it is not of this problem.
    pub(super) fn restore(
        mut kept: Snapshot,
        config: &LbfgsConfig,
        batch: &mut FullBatch<'_>,
    ) -> Result<Self, SolveError> {
        let len = batch.len();
        let here = LinePoint {
            at: kept.take_exactly("at", len)?,
            value: kept.take_one("value")?,
            gradient: kept.take_exactly("gradient", len)?,
        };
        let counts = kept.take_exactly::<u64>("counts", 3)?;
        batch.set_passes(counts[1]);
        let mut pairs = Pairs::new(config.memory.get());
        for i in 0..counts[2] {
            let step = kept.take_exactly(&format!("pair.{i}.step"), len)?;
            let change = kept.take_exactly(&format!("pair.{i}.change"), len)?;
            pairs.kept.push_back((step, change, kept.take_one(&format!("pair.{i}.product"))?));
        }
        Ok(Self { here, pairs, made: counts[0], goal: kept.take_one("goal")? })
    }
}
