//! The factorisation of large systems on all threads. The library's own forms its sums in an order that may depend on how many there are.

use faer::linalg::matmul::matmul;
use faer::linalg::triangular_solve::solve_lower_triangular_in_place;
use faer::{Accum, Mat, MatMut, Par, Side};
use rayon::prelude::*;

/// Columns of a block, and rows that a thread takes at a time.
const BLOCK: usize = 256;

/// L of a lower triangle `LLᵀ`, in its place; `None` where it is not positive definite. The upper triangle is of no meaning.
pub(super) fn factorise(matrix: &mut Mat<f64>) -> Option<()> {
    let n = matrix.nrows();
    for first in (0..n).step_by(BLOCK) {
        let width = BLOCK.min(n - first);
        let (done, rest) = matrix.as_mut().submatrix_mut(first, 0, n - first, first + width).split_at_col_mut(first);
        let (done, (mut corner, below)) = (done.as_ref(), rest.split_at_row_mut(width));
        let above = done.subrows(0, width).transpose();
        matmul(corner.as_mut(), Accum::Add, done.subrows(0, width), above, -1.0, Par::Seq);
        let own = corner.as_ref().llt(Side::Lower).ok()?;
        corner.copy_from(own.L());
        tiles(below).into_par_iter().enumerate().for_each(|(at, mut tile)| {
            let rows = done.subrows(width + at * BLOCK, tile.nrows());
            matmul(tile.as_mut(), Accum::Add, rows, above, -1.0, Par::Seq);
            solve_lower_triangular_in_place(own.L(), tile.transpose_mut(), Par::Seq);
        });
    }
    Some(())
}

fn tiles(mut rows: MatMut<'_, f64>) -> Vec<MatMut<'_, f64>> {
    let mut all = Vec::new();
    while rows.nrows() > BLOCK {
        let (tile, others) = rows.split_at_row_mut(BLOCK);
        all.push(tile);
        rows = others;
    }
    all.push(rows);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn factors_are_those_of_the_library_whatever_the_number_of_threads() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        for n in [1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17] {
            let root = Mat::from_fn(n, n + 5, |_, _| rng.random_range(-1.0..1.0f64));
            let matrix = &root * root.transpose();
            let of = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let mut lower = matrix.clone();
                pool.install(|| factorise(&mut lower)).unwrap();
                lower
            };
            let (one, two, expected) = (of(1), of(2), matrix.llt(Side::Lower).unwrap());
            for (i, j) in (0..n).flat_map(|i| (0..=i).map(move |j| (i, j))) {
                assert_eq!(one[(i, j)], two[(i, j)], "{n}: {i} {j}");
                assert!((one[(i, j)] - expected.L()[(i, j)]).abs() < 1e-10 * matrix[(i, i)].sqrt(), "{n}: {i} {j}");
            }
        }
        let mut indefinite = Mat::<f64>::identity(2 * BLOCK, 2 * BLOCK);
        indefinite[(BLOCK + 3, BLOCK + 3)] = -1.0;
        assert!(factorise(&mut indefinite).is_none());
    }
}
