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
        let (cells, factor, out) = (&self.cells[..n], self.factor, self.out);
        match (self.mean, self.inverse) {
            (None, None) => {
                for j in 0..n {
                    out[j] = cells[j].into();
                }
            }
            (Some(mean), None) => {
                let mean = &mean[..n];
                for j in 0..n {
                    out[j] = cells[j].into() - mean[j];
                }
            }
            (None, Some(inverse)) => {
                let inverse = &inverse[..n];
                for j in 0..n {
                    out[j] = cells[j].into() * inverse[j];
                }
            }
            (Some(mean), Some(inverse)) => {
                let (mean, inverse) = (&mean[..n], &inverse[..n]);
                for j in 0..n {
                    out[j] = (cells[j].into() - mean[j]) * inverse[j];
                }
            }
        }
        if factor != 1.0 {
            for j in 0..n {
                out[j] *= factor;
            }
        }
    }
}

/// `out_j = max_r |x_rj − m_j|` over a few rows of bytes: least and largest byte first, 64 at a time.
#[derive(Debug)]
pub struct Reach<'a> {
    /// x; cells that a row does not have are 0.
    pub rows: &'a [&'a [u8]],
    /// Of each feature; 0 where there is none.
    pub mean: Option<&'a [f64]>,
    /// Scratch space, as long as `out`.
    pub low: &'a mut [u8],
    /// Scratch space, as long as `out`.
    pub high: &'a mut [u8],
    /// As many cells as are wanted.
    pub out: &'a mut [f64],
}

impl Work for Reach<'_> {
    type Output = ();

    #[inline(always)]
    #[allow(clippy::needless_range_loop)]
    fn run(self) {
        let n = self.out.len();
        let (low, high, out) = (&mut self.low[..n], &mut self.high[..n], self.out);
        low.fill(u8::MAX);
        high.fill(0);
        for row in self.rows {
            let there = row.len().min(n);
            let (cells, low_there, high_there) = (&row[..there], &mut low[..there], &mut high[..there]);
            for j in 0..there {
                low_there[j] = if cells[j] < low_there[j] { cells[j] } else { low_there[j] };
                high_there[j] = if cells[j] > high_there[j] { cells[j] } else { high_there[j] };
            }
            low[there..].fill(0);
        }
        for j in 0..n {
            let m = self.mean.map_or(0.0, |mean| mean[j]);
            let (above, below) = ((f64::from(high[j]) - m).abs(), (f64::from(low[j]) - m).abs());
            out[j] = if above > below { above } else { below };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::vectorized;

    #[test]
    fn bytes_reach_as_far_from_the_mean_as_the_farthest() {
        let rows: [&[u8]; 3] = [&[0, 10, 255, 7], &[3, 20, 200], &[1, 30, 250, 7, 9]];
        let mean = [2.0, 18.0, 240.0, 5.0];
        let (mut low, mut high, mut out) = ([0; 4], [0; 4], [0.0; 4]);
        vectorized(Reach { rows: &rows, mean: Some(&mean), low: &mut low, high: &mut high, out: &mut out });
        // The second row has no fourth cell: it is 0.
        assert_eq!(out, [2.0, 12.0, 40.0, 5.0]);
        vectorized(Reach { rows: &rows[..1], mean: None, low: &mut low, high: &mut high, out: &mut out });
        assert_eq!(out, [0.0, 10.0, 255.0, 7.0]);
    }

    #[test]
    fn the_difference_comes_before_the_scale() {
        let (mean, inverse) = ([1e9, 4.0], [0.5, 0.25]);
        let mut out = [0.0; 2];
        let cells = [1e9f32 + 64.0, 8.0];
        vectorized(Widen { cells: &cells, mean: Some(&mean), inverse: Some(&inverse), factor: 2.0, out: &mut out });
        assert_eq!(out, [64.0, 2.0]);
    }
}
