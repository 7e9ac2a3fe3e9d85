//! Labels as callers have them: integers or words, and the classes that they name.

use super::SvmError;
use crate::data::LabelColumn;
use crate::loss::check_labels;
use crate::visible;
use burn::tensor::{Int, Tensor};

/// A label: an integer or a word.
pub trait Label {
    /// Calls `with` with the name of its class.
    fn name<T>(&self, with: impl FnOnce(&str) -> T) -> T;
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl Label for $integer {
            fn name<T>(&self, with: impl FnOnce(&str) -> T) -> T {
                with(&self.to_string())
            }
        }
    )*};
}

integers! { i8 i16 i32 i64 isize u8 u16 u32 u64 usize }

impl Label for bool {
    fn name<T>(&self, with: impl FnOnce(&str) -> T) -> T {
        with(if *self { "true" } else { "false" })
    }
}

impl Label for str {
    fn name<T>(&self, with: impl FnOnce(&str) -> T) -> T {
        with(self)
    }
}

impl Label for String {
    fn name<T>(&self, with: impl FnOnce(&str) -> T) -> T {
        with(self)
    }
}

impl<L: Label + ?Sized> Label for &L {
    fn name<T>(&self, with: impl FnOnce(&str) -> T) -> T {
        (**self).name(with)
    }
}

/// Anything that labels can be read from: slices, arrays and vectors of a [`Label`], an integer tensor of Burn, an array of the
/// crate `ndarray` (feature `arrays`).
pub trait AsLabels {
    /// Calls `each` with the name of every row's class, in order.
    fn each_name(&self, each: &mut dyn FnMut(&str));

    /// The names of the classes in the order of the scores, and a class index a row, for labels that are kept so.
    fn as_indices(&self) -> Option<(&[String], &[u32])> {
        None
    }
}

/// A class index a row, and the names of the classes in the order that the scores are to have.
///
/// ```
/// use burn_svm::ClassIndices;
///
/// let names = ["low".to_owned(), "high".to_owned()];
/// assert!(ClassIndices::new(&names, &[0, 1, 1]).is_ok());
/// assert!(ClassIndices::new(&names, &[0, 2]).is_err());
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ClassIndices<'a> {
    names: &'a [String],
    indices: &'a [u32],
}

impl<'a> ClassIndices<'a> {
    /// Of indices below the number of names, which differ.
    ///
    /// # Errors
    /// [`SvmError::Option`] for a name that comes twice, [`SvmError::LabelIndex`] for an index without a name.
    pub fn new(names: &'a [String], indices: &'a [u32]) -> Result<Self, SvmError> {
        let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
        if distinct.len() != names.len() {
            return Err(SvmError::Option("class names: found a name twice, expected different ones".into()));
        }
        check_labels(indices.iter().copied(), names.len())?;
        Ok(Self { names, indices })
    }
}

impl AsLabels for ClassIndices<'_> {
    fn each_name(&self, each: &mut dyn FnMut(&str)) {
        self.indices.iter().for_each(|&index| each(&self.names[index as usize]));
    }

    fn as_indices(&self) -> Option<(&[String], &[u32])> {
        Some((self.names, self.indices))
    }
}

impl<L: Label> AsLabels for [L] {
    fn each_name(&self, each: &mut dyn FnMut(&str)) {
        self.iter().for_each(|label| label.name(&mut *each));
    }
}

impl<L: Label> AsLabels for Vec<L> {
    fn each_name(&self, each: &mut dyn FnMut(&str)) {
        self[..].each_name(each);
    }
}

impl<L: Label, const N: usize> AsLabels for [L; N] {
    fn each_name(&self, each: &mut dyn FnMut(&str)) {
        self[..].each_name(each);
    }
}

/// `[n_samples]`, read from its device.
impl AsLabels for Tensor<1, Int> {
    fn each_name(&self, each: &mut dyn FnMut(&str)) {
        self.clone().into_data().iter::<i64>().for_each(|label| label.name(&mut *each));
    }
}

#[cfg(feature = "arrays")]
impl<L: Label, S: ndarray::Data<Elem = L>> AsLabels for ndarray::ArrayBase<S, ndarray::Ix1> {
    fn each_name(&self, each: &mut dyn FnMut(&str)) {
        self.iter().for_each(|label| label.name(&mut *each));
    }
}

/// The labels of `n_rows` rows as a column.
fn column<L: AsLabels + ?Sized>(labels: &L, n_rows: usize) -> Result<LabelColumn, SvmError> {
    let mut column = LabelColumn::new();
    labels.each_name(&mut |name| column.push(name));
    if column.len() != n_rows {
        return Err(SvmError::Labels { rows: n_rows, labels: column.len() });
    }
    Ok(column)
}

/// The classes that labels name, sorted as numbers where all are, and a class index a row.
pub(super) fn classes<L: AsLabels + ?Sized>(labels: &L, n_rows: usize) -> Result<(Vec<String>, Vec<u32>), SvmError> {
    let several = |names: &[String]| match names {
        [only] => Err(SvmError::OneClass(visible::short(only).into_owned())),
        _ => Ok(()),
    };
    if let Some((names, indices)) = labels.as_indices() {
        if indices.len() != n_rows {
            return Err(SvmError::Labels { rows: n_rows, labels: indices.len() });
        }
        several(names)?;
        return Ok((names.to_vec(), indices.to_vec()));
    }
    let column = column(labels, n_rows)?;
    let names = column.class_names();
    several(&names)?;
    let indices = column.to_classes(&names).unwrap_or_else(|_| unreachable!("the names are those of the labels"));
    Ok((names, indices))
}

/// A class index a row, for labels that name classes of a model.
pub(super) fn known<L: AsLabels + ?Sized>(labels: &L, n_rows: usize, names: &[String]) -> Result<Vec<u32>, SvmError> {
    let column = column(labels, n_rows)?;
    column.to_classes(names).map_err(|row| SvmError::UnknownLabel {
        row,
        label: visible::short(column.name(row)).into_owned(),
        classes: visible::listed(names),
    })
}
