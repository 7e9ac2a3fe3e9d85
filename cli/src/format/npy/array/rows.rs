//! Rows of an array, some at a time.

use super::{Array, VALUE};
use crate::data::{Dense, Features, ImageShape};
use crate::format::DataError;
use crate::format::float::Float;

impl Array {
    /// Bytes of a row.
    pub(in crate::format::npy) fn row_bytes(&self) -> usize {
        self.size * self.shape[1..].iter().product::<usize>()
    }

    /// The shape of rows that are images.
    pub(in crate::format::npy) fn image_shape(&self) -> Option<ImageShape> {
        self.order().1
    }

    /// Whether rows can be read one after another.
    pub(in crate::format::npy) fn is_in_rows(&self) -> bool {
        !self.fortran && matches!(self.shape.len(), 2..=4) && matches!(self.kind, b'f' | b'i' | b'u' | b'b')
    }

    /// The next rows of features, of which `first` have been read; bytes, or floats in double precision where there are any.
    pub(in crate::format::npy) fn next_rows(&mut self, first: usize, n: usize) -> Result<Features<'static>, DataError> {
        let width: usize = self.shape[1..].iter().product();
        let (before, want) = (first * width, (n * width * self.size) as u64);
        let (n_rows, order) = (std::mem::replace(&mut self.shape[0], n), self.order().0);
        let mut got = want;
        let features = if self.size == 1 && self.kind != b'i' {
            let mut bytes = Vec::new();
            got = self.source.read_up_to(&mut bytes, want)?;
            (got == want).then(|| Features::U8(Dense::new(width, self.arranged(bytes, &order))))
        } else if self.is_double() {
            self.next_floats::<f64>(n_rows, before, &mut got)?
                .map(|values| f64::features(width, self.arranged(values, &order)))
        } else {
            self.next_floats::<f32>(n_rows, before, &mut got)?
                .map(|values| f32::features(width, self.arranged(values, &order)))
        };
        self.shape[0] = n_rows;
        match features {
            Some(features) if first + n < n_rows => Ok(features),
            features => {
                self.expect_whole((before * self.size) as u64 + got)?;
                features.ok_or_else(|| self.wrong("the file is cut off".into()))
            }
        }
    }

    /// As many floats as `got` bytes hold; `None` where the file ends before.
    fn next_floats<T: Float>(
        &mut self,
        n_rows: usize,
        before: usize,
        got: &mut u64,
    ) -> Result<Option<Vec<T>>, DataError> {
        let (want, n) = (*got, std::mem::replace(&mut self.shape[0], n_rows));
        let (values, found) = self.some_floats(want, before, VALUE)?;
        (*got, self.shape[0]) = (found, n);
        Ok((found == want).then_some(values))
    }
}
