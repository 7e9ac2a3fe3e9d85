//! Labels for a loss, checked where checking is free: on the host, before they are moved.

use burn::tensor::{Device, Int, Tensor, TensorData};

/// A label that is not the index of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("label {label} of row {row} is out of range: expected a class index below {n_classes}")]
pub struct LabelOutOfRange {
    /// The position of the label.
    pub row: usize,
    /// Its value.
    pub label: u32,
    /// The number of classes.
    pub n_classes: usize,
}

/// The first label that is not below `n_classes`, if there is one.
///
/// # Errors
/// [`LabelOutOfRange`] with its row.
pub fn check_labels(labels: impl IntoIterator<Item = u32>, n_classes: usize) -> Result<(), LabelOutOfRange> {
    let outside = labels.into_iter().enumerate().find(|(_, label)| *label as usize >= n_classes);
    outside.map_or(Ok(()), |(row, label)| Err(LabelOutOfRange { row, label, n_classes }))
}

/// Class indices on a device, `[n_samples]`, each checked to be below `n_classes`.
///
/// The losses do not check: that would read the device back at every step. What a label out of range does there is up to the
/// backend: CPU backends panic as they gather its score, GPU backends may return anything.
///
/// ```
/// use burn_svm::internals::{device, loss::labels_on};
///
/// let device = device::cpu().expect("a CPU backend is compiled in");
/// assert_eq!(labels_on(&[2, 0, 1], 3, &device).unwrap().dims(), [3]);
/// let error = labels_on(&[2, 0, 3], 3, &device).unwrap_err();
/// assert_eq!(error.to_string(), "label 3 of row 2 is out of range: expected a class index below 3");
/// ```
///
/// # Errors
/// [`LabelOutOfRange`] for the first label that is not below `n_classes`.
pub fn labels_on(labels: &[u32], n_classes: usize, device: &Device) -> Result<Tensor<1, Int>, LabelOutOfRange> {
    check_labels(labels.iter().copied(), n_classes)?;
    let plain = device.clone().without_autodiff();
    #[allow(clippy::cast_possible_wrap)]
    let indices: Vec<i32> = labels.iter().map(|&label| label as i32).collect();
    Ok(Tensor::from_data(TensorData::new(indices, [labels.len()]), &plain))
}
