//! Stratified folds of rows.

use super::streams;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// One way to part the rows that are not for the test; both ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// The rows to learn from.
    pub train: Vec<u32>,
    /// The rows to judge by.
    pub validation: Vec<u32>,
}

/// K folds, each class dealt out in turn, so that folds differ by one row in size and by one row of each class. A class of one row
/// is in the training rows of each.
#[must_use]
pub fn stratified(pool: &[u32], labels: &[u32], n_classes: usize, k: usize, seed: u64, repeat: u64) -> Vec<Fold> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(streams::FOLDS.wrapping_add(repeat));
    let mut by_class: Vec<Vec<u32>> = vec![Vec::new(); n_classes];
    pool.iter().for_each(|&r| by_class[labels[r as usize] as usize].push(r));
    let mut parts: Vec<Vec<u32>> = vec![Vec::new(); k];
    let mut next = 0;
    // A class of one row is learned from in every fold.
    let mut single: Vec<u32> = Vec::new();
    for rows in &mut by_class {
        if let [row] = rows[..] {
            single.push(row);
            continue;
        }
        rows.shuffle(&mut rng);
        for &row in rows.iter() {
            parts[next % k].push(row);
            next += 1;
        }
    }
    parts.iter_mut().for_each(|part| part.sort_unstable());
    let fold = |held: usize| {
        let others = parts.iter().enumerate().filter(|(i, _)| *i != held);
        let mut train: Vec<u32> =
            others.flat_map(|(_, part)| part.iter().copied()).chain(single.iter().copied()).collect();
        train.sort_unstable();
        Fold { train, validation: parts[held].clone() }
    };
    (0..k).map(fold).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_validates_once_and_classes_are_in_proportion() {
        let labels: Vec<u32> = (0..103).map(|i| u32::from(i % 5 == 0)).collect();
        let pool: Vec<u32> = (3..103).collect();
        let folds = stratified(&pool, &labels, 2, 4, 7, 0);
        let mut all: Vec<u32> = folds.iter().flat_map(|f| f.validation.clone()).collect();
        all.sort_unstable();
        assert_eq!(all, pool);
        for fold in &folds {
            assert_eq!((fold.validation.len(), fold.train.len()), (25, 75));
            let rare = fold.validation.iter().filter(|&&r| labels[r as usize] == 1).count();
            assert_eq!(rare, 5);
            assert!(fold.train.iter().all(|r| !fold.validation.contains(r)));
        }
        assert_eq!(folds, stratified(&pool, &labels, 2, 4, 7, 0));
        assert_ne!(folds, stratified(&pool, &labels, 2, 4, 7, 1));
        assert_ne!(folds, stratified(&pool, &labels, 2, 4, 8, 0));
    }

    #[test]
    fn a_class_of_one_row_is_learned_from_in_every_fold() {
        let labels: Vec<u32> = (0..21).map(|i: u32| if i == 20 { 2 } else { i % 2 }).collect();
        let folds = stratified(&(0..21).collect::<Vec<u32>>(), &labels, 3, 4, 7, 0);
        assert!(folds.iter().all(|fold| fold.train.contains(&20) && !fold.validation.contains(&20)));
        assert_eq!(folds.iter().map(|fold| fold.validation.len()).sum::<usize>(), 20);
    }
}
