//! The rows of each minibatch, drawn on the host by the seeded generator: the same for every device and engine.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// `sampling` of `[solver.sgd]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// Each epoch is a new permutation of the rows; its last batch may be smaller.
    #[default]
    Shuffle,
    /// Each row of a batch is drawn independently, as the CS231n notebook does.
    WithReplacement,
}

/// An endless sequence of minibatches.
#[derive(Debug, Clone)]
pub struct Sampler {
    rng: ChaCha8Rng,
    rows: Vec<u32>,
    sampling: Sampling,
    batch_size: usize,
    next: usize,
}

impl Sampler {
    /// Batches of `batch_size` (at most all rows) out of `rows`.
    #[must_use]
    pub fn new(rows: &[u32], sampling: Sampling, batch_size: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(crate::data::streams::SAMPLING);
        let batch_size = match sampling {
            Sampling::Shuffle => batch_size.min(rows.len()),
            Sampling::WithReplacement => batch_size,
        };
        Self { rng, rows: rows.to_vec(), sampling, batch_size, next: 0 }
    }

    /// Continues as after `batches` batches.
    pub fn skip(&mut self, batches: u64) {
        match self.sampling {
            Sampling::WithReplacement => {
                let n = self.rows.len();
                for _ in 0..batches.saturating_mul(self.batch_size as u64) {
                    self.rng.random_range(0..n);
                }
            }
            Sampling::Shuffle => {
                // Only the permutations draw.
                let per_epoch = self.rows.len().div_ceil(self.batch_size.max(1)) as u64;
                for _ in 0..batches / per_epoch {
                    self.rows.shuffle(&mut self.rng);
                }
                for _ in 0..batches % per_epoch {
                    self.next_batch();
                }
            }
        }
    }

    /// The rows of the next batch.
    pub fn next_batch(&mut self) -> Vec<u32> {
        match self.sampling {
            Sampling::WithReplacement => {
                let n = self.rows.len();
                (0..self.batch_size).map(|_| self.rows[self.rng.random_range(0..n)]).collect()
            }
            Sampling::Shuffle => {
                if self.next == 0 {
                    self.rows.shuffle(&mut self.rng);
                }
                let end = (self.next + self.batch_size).min(self.rows.len());
                let batch = self.rows[self.next..end].to_vec();
                self.next = if end == self.rows.len() { 0 } else { end };
                batch
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_of_shuffled_batches_sees_every_row_once() {
        let rows: Vec<u32> = (100..117).collect();
        let mut sampler = Sampler::new(&rows, Sampling::Shuffle, 5, 3);
        let mut orders = Vec::new();
        for _ in 0..3 {
            let batches: Vec<Vec<u32>> = (0..4).map(|_| sampler.next_batch()).collect();
            assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [5, 5, 5, 2]);
            let order = batches.concat();
            let mut seen = order.clone();
            seen.sort_unstable();
            assert_eq!(seen, rows);
            orders.push(order);
        }
        assert_ne!(orders[0], orders[1]);
    }

    #[test]
    fn skipped_batches_are_those_that_would_have_been_drawn() {
        let rows: Vec<u32> = (100..117).collect();
        for (sampling, batch_size) in
            [(Sampling::Shuffle, 5), (Sampling::Shuffle, 17), (Sampling::Shuffle, 50), (Sampling::WithReplacement, 6)]
        {
            let mut drawn = Sampler::new(&rows, sampling, batch_size, 3);
            for batches in 0..12 {
                let mut skipped = Sampler::new(&rows, sampling, batch_size, 3);
                skipped.skip(batches);
                let mut whole = drawn.clone();
                assert!((0..7).all(|_| whole.next_batch() == skipped.next_batch()), "{sampling:?} {batches}");
                drawn.next_batch();
            }
        }
    }

    #[test]
    fn with_replacement_draws_repeats_and_the_seed_decides() {
        let rows: Vec<u32> = (0..10).collect();
        let draw = |seed| Sampler::new(&rows, Sampling::WithReplacement, 1000, seed).next_batch();
        let batch = draw(1);
        assert_eq!(batch.len(), 1000);
        for row in 0..10 {
            let count = batch.iter().filter(|&&r| r == row).count();
            assert!((60..140).contains(&count), "row {row} drawn {count} times of 1000, expected about 100");
        }
        assert_eq!(batch, draw(1));
        assert_ne!(batch, draw(2));
    }
}
