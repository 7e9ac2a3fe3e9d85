//! Preprocessed cells of dense rows in f64.

use super::Work;

/// `out = (x − mean)·inverse·factor`: the difference first, so that a mean far from zero takes no digits.
#[derive(Debug)]
pub struct Widen<'a, T> {
    /// x
    pub cells: &'a [T],
    /// Of each feature; 0 where there is none.
    pub mean: Option<&'a [f64]>,
    /// One over the scale of each feature; 1 where there is none.
    pub inverse: Option<&'a [f64]>,
    /// Of the row.
    pub factor: f64,
    /// As many cells as are wanted.
    pub out: &'a mut [f64],
}

impl<T: Copy + Into<f64>> Work for Widen<'_, T> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    fn run(self) {
        let n = self.out.len();
        let (cells, out) = (&self.cells[..n], self.out);
        for j in 0..n {
            out[j] = cells[j].into();
        }
        if let Some(mean) = self.mean {
            let mean = &mean[..n];
            for j in 0..n {
                out[j] -= mean[j];
            }
        }
        if let Some(inverse) = self.inverse {
            let inverse = &inverse[..n];
            for j in 0..n {
                out[j] *= inverse[j];
            }
        }
        if self.factor != 1.0 {
            for j in 0..n {
                out[j] *= self.factor;
            }
        }
    }
}
