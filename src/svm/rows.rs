//! Rows of features as callers have them, borrowed where no number has to change.

use super::SvmError;
use crate::data::precision::single;
use crate::data::{Csr, Dense, Encoding, Features, Frame};
use burn::tensor::{DType, Tensor};
use std::borrow::Cow;

/// Rows of features `[n_samples, n_features]`, checked: at least one row, every number finite.
///
/// All are borrowed. `fit` rounds double-precision floats to single precision, in which most products are computed, unless that would
/// blur a column, as it does seconds since 1970; a model of such rows scores rows in double precision.
///
/// ```
/// use burn_svm::Rows;
///
/// let pixels = [0u8, 255, 7, 8];
/// let rows = Rows::dense(&pixels[..], 2)?; // two rows of two features, not copied
/// assert_eq!((rows.n_rows(), rows.n_features()), (2, 2));
/// // 3 rows of 4 features with the cells (0, 1) = 1.5 and (2, 3) = -2.0
/// let sparse = Rows::csr(4, vec![0, 1, 1, 2], vec![1, 3], vec![1.5, -2.0])?;
/// assert_eq!(sparse.n_rows(), 3);
/// # Ok::<(), burn_svm::SvmError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Rows<'a> {
    pub(super) features: Features<'a>,
}

/// A type that cells may have: `u8`, `f32`, `f64`.
pub trait Cell: Copy + Send + Sync + sealed::IntoFeatures + 'static {}

impl Cell for u8 {}
impl Cell for f32 {}
impl Cell for f64 {}

mod sealed {
    use super::{Dense, Features, SvmError, finite, single};
    use std::borrow::Cow;

    pub trait IntoFeatures: Sized + Clone {
        /// Features of `n_features` to a row; the shape has been checked.
        fn features(values: Cow<'_, [Self]>, n_features: usize) -> Result<Features<'_>, SvmError>;
    }

    impl IntoFeatures for u8 {
        fn features(values: Cow<'_, [Self]>, n_features: usize) -> Result<Features<'_>, SvmError> {
            Ok(Features::U8(Dense::of(n_features, values)))
        }
    }

    impl IntoFeatures for f32 {
        fn features(values: Cow<'_, [Self]>, n_features: usize) -> Result<Features<'_>, SvmError> {
            finite(&values, |at| (at / n_features, at % n_features))?;
            Ok(Features::F32(Dense::of(n_features, values)))
        }
    }

    impl IntoFeatures for f64 {
        fn features(values: Cow<'_, [Self]>, n_features: usize) -> Result<Features<'_>, SvmError> {
            if let Some(at) = values.iter().position(|&v| !single(v).is_finite()) {
                let (row, column) = (at / n_features, at % n_features);
                return Err(SvmError::NotFinite { row, column, found: values[at] });
            }
            Ok(Features::F64(Dense::of(n_features, values)))
        }
    }
}

/// The first value that is not finite, as an error with its row and column.
fn finite(values: &[f32], place: impl Fn(usize) -> (usize, usize)) -> Result<(), SvmError> {
    // A sum is not finite where a summand is not: blocks without one are passed over quickly.
    const BLOCK: usize = 1024;
    let suspicious = |block: &[f32]| !(block.iter().map(|v| v * 0.0).sum::<f32>() == 0.0);
    for (i, block) in values.chunks(BLOCK).enumerate().filter(|(_, block)| suspicious(block)) {
        if let Some(at) = block.iter().position(|v| !v.is_finite()) {
            let (row, column) = place(i * BLOCK + at);
            return Err(SvmError::NotFinite { row, column, found: f64::from(block[at]) });
        }
    }
    Ok(())
}

impl Rows<'static> {
    /// The features of a table, made by an encoding that was fitted on training rows.
    ///
    /// ```
    /// use burn_svm::{Encoding, Frame, FrameColumn, Loss, MissingConfig, MissingRule, Rows, Svm};
    ///
    /// let frame = |ages: &[f64], kinds: &[&str]| {
    ///     let kinds = FrameColumn::words("kind", kinds.iter().map(|&kind| Some(kind)));
    ///     Frame::new(vec![FrameColumn::numbers("age", ages.to_vec()), kinds]).expect("as many ages as kinds")
    /// };
    /// let table = frame(&[1.0, f64::NAN, 3.0, 9.0], &["ant", "bee", "bee", "ant"]);
    /// let missing = MissingConfig { rule: MissingRule::Median, indicator: false };
    /// let encoding = Encoding::fit(&table, &[0, 1, 2, 3], missing)?;
    /// assert_eq!(encoding.names(), ["age", "kind=ant", "kind=bee"]);
    /// let solution = Svm::new(Loss::weston_watkins()).fit(&Rows::encoded(&encoding, &table)?, &["small", "big", "big", "small"])?;
    /// let model = solution.into_model().with_encoding(encoding)?;
    /// assert_eq!(model.predict(&model.encode(&frame(&[2.0], &["bee"]))?)?, ["big"]);
    /// # Ok::<(), burn_svm::SvmError>(())
    /// ```
    ///
    /// # Errors
    /// [`SvmError::Encoding`] where the table does not fit.
    pub fn encoded(encoding: &Encoding, frame: &Frame) -> Result<Self, SvmError> {
        few(frame.n_rows())?;
        Ok(Self { features: encoding.apply(frame)?.features })
    }
}

impl<'a> Rows<'a> {
    /// Row-major values, `n_features` to a row.
    ///
    /// # Errors
    /// [`SvmError::Shape`] where they fill no whole rows, or none; [`SvmError::NotFinite`] for NaN and infinity, and for what is
    /// infinite in single precision.
    pub fn dense<T: Cell>(values: impl Into<Cow<'a, [T]>>, n_features: usize) -> Result<Self, SvmError> {
        let values = values.into();
        if n_features == 0 || values.is_empty() || !values.len().is_multiple_of(n_features) {
            let found = format!("{} values for rows of {n_features} features", values.len());
            return Err(SvmError::Shape { found, expected: "one whole row or more of one feature or more".into() });
        }
        few(values.len() / n_features)?;
        T::features(values, n_features).map(|features| Self { features })
    }

    /// Compressed sparse rows: row `i` has the cells `offsets[i]..offsets[i + 1]` of `columns` and `values`, with columns that rise.
    ///
    /// # Errors
    /// [`SvmError::Shape`] where offsets, columns and values do not fit each other; [`SvmError::NotFinite`].
    pub fn csr(
        n_features: usize,
        offsets: impl Into<Cow<'a, [usize]>>,
        columns: impl Into<Cow<'a, [u32]>>,
        values: impl Into<Cow<'a, [f32]>>,
    ) -> Result<Self, SvmError> {
        let (offsets, columns, values) = (offsets.into(), columns.into(), values.into());
        let wrong = |found: String, expected: &str| Err(SvmError::Shape { found, expected: expected.into() });
        if columns.len() != values.len() {
            let found = format!("{} columns and {} values", columns.len(), values.len());
            return wrong(found, "a column for each value");
        }
        if n_features == 0 || offsets.len() < 2 {
            let found = format!("{} offsets for rows of {n_features} features", offsets.len());
            return wrong(found, "one row or more of one feature or more; n rows have n + 1 offsets");
        }
        few(offsets.len() - 1)?;
        let rises = offsets.windows(2).all(|pair| pair[0] <= pair[1]);
        if offsets[0] != 0 || offsets[offsets.len() - 1] != values.len() || !rises {
            let found = format!("offsets from {} to {}", offsets[0], offsets[offsets.len() - 1]);
            return wrong(found, &format!("offsets that rise from 0 to {}, the number of values", values.len()));
        }
        for (row, cells) in offsets.windows(2).enumerate() {
            let columns = &columns[cells[0]..cells[1]];
            if columns.windows(2).any(|pair| pair[0] >= pair[1]) {
                return wrong(format!("columns of row {row} that do not rise"), "each column once, the smallest first");
            }
            if let Some(last) = columns.last().filter(|&&last| last as usize >= n_features) {
                return wrong(format!("column {last} in row {row}"), &format!("columns below {n_features}"));
            }
        }
        let row = |at: usize| offsets.partition_point(|&offset| offset <= at) - 1;
        finite(&values, |at| (row(at), columns[at] as usize))?;
        Ok(Self { features: Features::Sparse(Csr::of(n_features, offsets, columns, values)) })
    }

    /// Number of rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.features.n_rows()
    }

    /// Number of features.
    #[must_use]
    pub const fn n_features(&self) -> usize {
        self.features.n_features()
    }
}

/// Rows are numbered in 32 bits.
fn few(rows: usize) -> Result<(), SvmError> {
    if u32::try_from(rows).is_ok() {
        return Ok(());
    }
    Err(SvmError::Shape { found: format!("{rows} rows"), expected: format!("at most {}", u32::MAX) })
}

/// Anything that rows of features can be read from: [`Rows`], nested arrays and vectors, a Burn tensor, an array of the crate
/// `ndarray` (feature `arrays`).
pub trait AsRows {
    /// The rows, borrowed where that is possible.
    ///
    /// # Errors
    /// [`SvmError::Shape`] where they are ragged or empty; [`SvmError::NotFinite`].
    fn as_rows(&self) -> Result<Rows<'_>, SvmError>;
}

impl AsRows for Rows<'_> {
    fn as_rows(&self) -> Result<Rows<'_>, SvmError> {
        Ok(Rows { features: self.features.borrowed() })
    }
}

impl<T: Cell, const D: usize> AsRows for [[T; D]] {
    fn as_rows(&self) -> Result<Rows<'_>, SvmError> {
        Rows::dense(self.as_flattened(), D)
    }
}

impl<T: Cell, const D: usize, const N: usize> AsRows for [[T; D]; N] {
    fn as_rows(&self) -> Result<Rows<'_>, SvmError> {
        self[..].as_rows()
    }
}

impl<T: Cell, const D: usize> AsRows for Vec<[T; D]> {
    fn as_rows(&self) -> Result<Rows<'_>, SvmError> {
        self[..].as_rows()
    }
}

impl<T: Cell> AsRows for [Vec<T>] {
    fn as_rows(&self) -> Result<Rows<'_>, SvmError> {
        let n_features = self.first().map_or(0, Vec::len);
        if let Some((row, values)) = self.iter().enumerate().find(|(_, values)| values.len() != n_features) {
            let found = format!("{} features in row {row}", values.len());
            return Err(SvmError::Shape { found, expected: format!("{n_features}, as in row 0") });
        }
        Rows::dense(self.concat(), n_features)
    }
}

impl<T: Cell> AsRows for Vec<Vec<T>> {
    fn as_rows(&self) -> Result<Rows<'_>, SvmError> {
        self[..].as_rows()
    }
}

/// `[n_samples, n_features]` of any float type, read from its device; half precision becomes single.
impl AsRows for Tensor<2> {
    fn as_rows(&self) -> Result<Rows<'_>, SvmError> {
        let n_features = self.dims()[1];
        let wide = self.dtype() == DType::F64;
        let data = self.clone().without_autodiff().into_data();
        let unreadable = |e: &dyn std::fmt::Debug| SvmError::Device(format!("the tensor cannot be read: {e:?}"));
        if wide {
            return Rows::dense(data.try_to_vec_as::<f64>().map_err(|e| unreadable(&e))?, n_features);
        }
        Rows::dense(data.try_to_vec_as::<f32>().map_err(|e| unreadable(&e))?, n_features)
    }
}

/// `[n_samples, n_features]`; borrowed where it lies row after row.
#[cfg(feature = "arrays")]
impl<T: Cell, S: ndarray::Data<Elem = T>> AsRows for ndarray::ArrayBase<S, ndarray::Ix2> {
    fn as_rows(&self) -> Result<Rows<'_>, SvmError> {
        match self.as_slice() {
            Some(values) => Rows::dense(values, self.ncols()),
            None => Rows::dense(self.iter().copied().collect::<Vec<T>>(), self.ncols()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_borrowed(rows: &Rows<'_>, first: *const u8) -> bool {
        match &rows.features {
            Features::U8(dense) => dense.values().as_ptr() == first,
            Features::F32(dense) => dense.values().as_ptr().cast() == first,
            Features::F64(dense) => dense.values().as_ptr().cast() == first,
            Features::Sparse(csr) => csr.row(0).1.as_ptr().cast() == first,
        }
    }

    #[test]
    fn bytes_floats_and_sparse_rows_are_borrowed() {
        let (bytes, floats, offsets, columns) = (vec![1u8; 12], vec![1.0f32; 12], vec![0, 2, 4], vec![0u32, 2, 1, 2]);
        assert!(is_borrowed(&Rows::dense(&bytes[..], 3).unwrap(), bytes.as_ptr()));
        let rows = Rows::dense(&floats, 3).unwrap();
        assert!(
            is_borrowed(&rows, floats.as_ptr().cast()) && is_borrowed(&rows.as_rows().unwrap(), floats.as_ptr().cast())
        );
        let csr = Rows::csr(3, &offsets, &columns, &floats[..4]).unwrap();
        assert!(is_borrowed(&csr, floats.as_ptr().cast()));
        let nested = [[1.0f32, 2.0], [3.0, 4.0]];
        assert!(is_borrowed(&nested.as_rows().unwrap(), nested.as_ptr().cast()));
        #[cfg(feature = "arrays")]
        {
            let array = ndarray::Array2::from_shape_vec((4, 3), floats).unwrap();
            assert!(is_borrowed(&array.as_rows().unwrap(), array.as_ptr().cast()));
            assert_eq!(array.t().as_rows().unwrap().n_rows(), 3);
        }
    }

    #[test]
    fn what_is_no_matrix_is_refused_with_its_place() {
        let said = |rows: Result<Rows<'_>, SvmError>| rows.unwrap_err().to_string();
        let whole = "expected one whole row or more of one feature or more";
        assert_eq!(
            said(Rows::dense(vec![1.0f32; 7], 3)),
            format!("rows: found 7 values for rows of 3 features, {whole}")
        );
        assert_eq!(
            said(Rows::dense(Vec::<u8>::new(), 3)),
            format!("rows: found 0 values for rows of 3 features, {whole}")
        );
        assert_eq!(
            said(Vec::<Vec<f32>>::new().as_rows()),
            format!("rows: found 0 values for rows of 0 features, {whole}")
        );
        let ragged = vec![vec![1.0f64, 2.0], vec![3.0]];
        assert_eq!(said(ragged.as_rows()), "rows: found 1 features in row 1, expected 2, as in row 0");
        let mut values = vec![0.0f32; 3_000];
        values[2_999] = f32::NAN;
        let finite = "expected a finite number of single precision";
        assert_eq!(said(Rows::dense(&values, 3)), format!("row 999, column 2: found NaN, {finite}"));
        assert_eq!(
            said([[1e300f64, 0.0]].as_rows()),
            format!("row 0, column 0: found {:?}, {finite}", 1e300).replace("1e300", &1e300f64.to_string())
        );
        let csr = |offsets: &[usize], columns: &[u32], values: &[f32]| {
            said(Rows::csr(3, offsets.to_vec(), columns.to_vec(), values.to_vec()))
        };
        assert_eq!(
            csr(&[0, 1], &[0], &[1.0, 2.0]),
            "rows: found 1 columns and 2 values, expected a column for each value"
        );
        assert!(csr(&[0], &[], &[]).contains("found 1 offsets for rows of 3 features"));
        assert!(csr(&[0, 2, 1], &[0], &[1.0]).contains("expected offsets that rise from 0 to 1, the number of values"));
        assert!(csr(&[0, 2], &[1, 1], &[1.0, 2.0]).contains("columns of row 0 that do not rise"));
        assert!(csr(&[0, 0, 1], &[3], &[1.0]).contains("found column 3 in row 1, expected columns below 3"));
        assert_eq!(csr(&[0, 0, 1], &[2], &[f32::INFINITY]), format!("row 1, column 2: found inf, {finite}"));
    }
}
