//! The file of the sums over the columns.

use crate::data::Moments;

/// Columns of which sums are kept at most: 6 MB of them.
pub(super) const MOST_COLUMNS: usize = 1 << 17;

/// The sums as bytes: the number of rows, then each sum of all columns.
pub(super) fn encode(moments: &Moments) -> Vec<u8> {
    let numbers = moments.columns().into_iter().flatten().flat_map(|x| x.to_le_bytes());
    moments.rows.to_le_bytes().into_iter().chain(numbers).collect()
}

/// The sums of so many columns; `None` where the bytes are others.
pub(super) fn decode(bytes: &[u8], features: usize) -> Option<Moments> {
    let (rows, numbers) = bytes.split_first_chunk()?;
    let numbers: Vec<f64> = numbers.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    let is_whole = bytes.len() == 8 + numbers.len() * 8 && numbers.len() == features.checked_mul(Moments::SUMS)?;
    is_whole.then(|| Moments::of_columns(u64::from_le_bytes(*rows), numbers.chunks_exact(features)))?
}
