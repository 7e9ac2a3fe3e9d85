//! A part of many places, drawn without a list of all of them.

use rand::{Rng, RngExt};
use std::collections::HashMap;

/// `count` of the numbers `0..size`, ascending: those that `SliceRandom::partial_shuffle` draws from a list of them, in memory
/// for `count`.
///
/// The shuffle exchanges place i with one of the places up to i, for the last `count` places; only those that were touched are kept.
pub(super) fn part<R: Rng>(size: u64, count: usize, rng: &mut R) -> Vec<u64> {
    let first = size.saturating_sub(count as u64);
    let mut moved: HashMap<u64, u64> = HashMap::new();
    let mut dice = Dice { chunk: 0, left: u8::from(first == 0) };
    for place in first..size {
        let other = match u32::try_from(place + 1) {
            Ok(sides) if size < u64::from(u32::MAX) => u64::from(dice.next(sides, rng)),
            _ => rng.random_range(..place + 1),
        };
        let at = |place: u64| moved.get(&place).copied().unwrap_or(place);
        let (here, there) = (at(place), at(other));
        moved.insert(place, there);
        moved.insert(other, here);
    }
    let mut drawn: Vec<u64> = (first..size).map(|place| moved.get(&place).copied().unwrap_or(place)).collect();
    drawn.sort_unstable();
    drawn
}

/// Dice with one side more at each throw, several throws out of one random number: those of rand, so that a search that was begun
/// by an earlier version continues with its trials.
struct Dice {
    chunk: u32,
    left: u8,
}

impl Dice {
    fn next<R: Rng>(&mut self, sides: u32, rng: &mut R) -> u32 {
        if self.left == 0 {
            let (mut product, mut next) = (sides, sides + 1);
            while let Some(larger) = product.checked_mul(next) {
                (product, next) = (larger, next + 1);
            }
            self.chunk = rng.random_range(..product);
            #[allow(clippy::cast_possible_truncation)]
            let throws = (next - sides) as u8;
            self.left = throws;
        }
        self.left -= 1;
        if self.left == 0 {
            return self.chunk;
        }
        let thrown = self.chunk % sides;
        self.chunk /= sides;
        thrown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::seq::SliceRandom;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn it_draws_what_a_shuffle_of_the_whole_list_draws() {
        for size in (1..40).chain([100, 1_000, 65_536, 1_000_003]) {
            for count in [1, 2, 3, 7, size / 2, size - 1, size] {
                let count = count.min(size).max(1);
                let rng = |seed| ChaCha8Rng::seed_from_u64(seed);
                let mut list: Vec<u64> = (0..size as u64).collect();
                let (drawn, _) = list.partial_shuffle(&mut rng(7), count);
                let mut expected = drawn.to_vec();
                expected.sort_unstable();
                assert_eq!(part(size as u64, count, &mut rng(7)), expected, "{count} of {size}");
            }
        }
    }

    #[test]
    fn the_list_may_be_longer_than_memory() {
        for size in [u64::from(u32::MAX) - 1, u64::from(u32::MAX), 1 << 40, u64::MAX] {
            let drawn = part(size, 1_000, &mut ChaCha8Rng::seed_from_u64(1));
            assert_eq!(drawn.len(), 1_000);
            assert!(drawn.is_sorted_by(|a, b| a < b) && drawn[999] < size, "{size}");
            // Spread over all of it.
            assert!(drawn[500] > size / 4 && drawn[500] < size / 4 * 3, "{size}");
        }
    }
}
