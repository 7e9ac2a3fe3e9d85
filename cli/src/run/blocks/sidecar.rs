//! Files of dual variables.
//!
//! ```text
//! BSVMDUA1 | classes u32 | bytes of a number u32 | rows u64 | words of a row u32 | rows · words u32 | rows · classes numbers | CRC-32C u32
//! ```
//! Of the rows of a block the words are their indices, of hot rows their block and index. Numbers of four bytes are rounded towards zero, which
//! leaves variables feasible. Written under a temporary name and renamed when whole. An interior point is `BSVMPNT1 | numbers | CRC-32C u32`.

use crate::data::precision::towards_zero;
use crate::durable;
use crate::run::record::{RecordError, failed};
use std::io;
use std::path::Path;

const MAGIC: &[u8; 8] = b"BSVMDUA1";
const POINT: &[u8; 8] = b"BSVMPNT1";
const HEAD: usize = 28;

/// Variables of some rows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sidecar {
    /// Words that name a row.
    pub words: usize,
    /// `[rows, words]`
    pub rows: Vec<u32>,
    /// `[rows, classes]`
    pub a: Vec<f64>,
}

#[allow(clippy::cast_possible_truncation)]
fn encode(sidecar: &Sidecar, n_classes: usize, single: bool) -> Vec<u8> {
    let Sidecar { words, rows, a } = sidecar;
    let width: u32 = if single { 4 } else { 8 };
    let mut bytes = Vec::with_capacity(HEAD + 4 * rows.len() + width as usize * a.len() + 4);
    bytes.extend_from_slice(MAGIC);
    [n_classes as u32, width].iter().for_each(|n| bytes.extend_from_slice(&n.to_le_bytes()));
    bytes.extend_from_slice(&((rows.len() / words) as u64).to_le_bytes());
    bytes.extend_from_slice(&(*words as u32).to_le_bytes());
    rows.iter().for_each(|row| bytes.extend_from_slice(&row.to_le_bytes()));
    match single {
        true => a.iter().for_each(|&a| bytes.extend_from_slice(&towards_zero(a).to_le_bytes())),
        false => a.iter().for_each(|a| bytes.extend_from_slice(&a.to_le_bytes())),
    }
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

fn decode(bytes: &[u8], words: usize, n_classes: usize) -> Result<Sidecar, String> {
    let (body, crc) = bytes.split_last_chunk().ok_or("the file is cut off")?;
    let (found, expected) = (crc32c::crc32c(body), u32::from_le_bytes(*crc));
    if found != expected {
        return Err(format!("found checksum {found:08x}, expected {expected:08x}: the file is damaged"));
    }
    let word = |at: usize| body.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes) as usize;
    let (k, width, rows) = (word(8), word(12), word(16) | word(20) << 32);
    let of_rows = rows.saturating_mul(4 * words);
    let of_a = rows.saturating_mul(n_classes).saturating_mul(width);
    let is_ours = body.starts_with(MAGIC) && k == n_classes && word(24) == words && matches!(width, 4 | 8);
    if !is_ours || body.len() != HEAD.saturating_add(of_rows).saturating_add(of_a) {
        return Err(format!("expected dual variables of {n_classes} classes"));
    }
    let (names, numbers) = body[HEAD..].split_at(of_rows);
    let rows = names.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect();
    let a: Vec<f64> = match width {
        4 => numbers.as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
        _ => numbers.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
    };
    if a.iter().any(|a| !a.is_finite()) {
        return Err("found a variable that is no number".into());
    }
    Ok(Sidecar { words, rows, a })
}

fn encode_point(point: &[f64]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(POINT.len() + size_of_val(point) + 4);
    bytes.extend_from_slice(POINT);
    point.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

fn decode_point(bytes: &[u8]) -> Result<Vec<f64>, String> {
    let whole = bytes.split_last_chunk().filter(|(body, crc)| crc32c::crc32c(body) == u32::from_le_bytes(**crc));
    let numbers = whole.and_then(|(body, _)| body.strip_prefix(POINT)).map(|numbers| numbers.as_chunks());
    match numbers {
        Some((numbers, [])) => Ok(numbers.iter().map(|b| f64::from_le_bytes(*b)).collect()),
        _ => Err("the file is damaged: expected an interior point with its checksum".into()),
    }
}

/// Writes an interior point.
pub(super) fn write_point(file: &Path, point: &[f64]) -> Result<(), RecordError> {
    durable::write(file, &encode_point(point)).map_err(failed(file))
}

/// Reads an interior point; `None` where there is none.
pub(super) fn read_point(file: &Path) -> Result<Option<Vec<f64>>, RecordError> {
    let Some(bytes) = contents(file)? else { return Ok(None) };
    let content = |problem| RecordError::Content { file: file.to_path_buf(), problem };
    decode_point(&bytes).map(Some).map_err(content)
}

fn contents(file: &Path) -> Result<Option<Vec<u8>>, RecordError> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(file)(error)),
    }
}

/// Writes variables; returns the length of the file.
pub(super) fn write(file: &Path, sidecar: &Sidecar, n_classes: usize, single: bool) -> Result<usize, RecordError> {
    let bytes = encode(sidecar, n_classes, single);
    durable::write(file, &bytes).map_err(failed(file))?;
    Ok(bytes.len())
}

/// Reads variables, and the length of the file; `None` where there is none.
pub(super) fn read(file: &Path, words: usize, n_classes: usize) -> Result<Option<(Sidecar, usize)>, RecordError> {
    let Some(bytes) = contents(file)? else { return Ok(None) };
    let content = |problem| RecordError::Content { file: file.to_path_buf(), problem };
    decode(&bytes, words, n_classes).map(|found| Some((found, bytes.len()))).map_err(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sidecar() -> Sidecar {
        Sidecar { words: 2, rows: vec![0, 7, 3, 9], a: vec![0.1, 0.0, 1.0 / 3.0, -0.7, 1e-30, 5.0] }
    }

    #[test]
    fn variables_come_back_and_single_ones_are_no_further_from_zero() {
        let own = sidecar();
        assert_eq!(decode(&encode(&own, 3, false), 2, 3), Ok(own.clone()));
        let single = decode(&encode(&own, 3, true), 2, 3).unwrap();
        assert_eq!(single.rows, own.rows);
        for (found, exact) in single.a.iter().zip(&own.a) {
            let lost = exact.abs() - found.abs();
            assert!(found * exact >= 0.0 && lost >= 0.0 && lost <= exact.abs() * 1.2e-7, "{found} of {exact}");
        }
    }

    #[test]
    fn every_damaged_byte_and_every_cut_is_noticed() {
        let bytes = encode(&sidecar(), 3, true);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(decode(&damaged, 2, 3).is_err() && decode(&bytes[..at], 2, 3).is_err(), "byte {at}");
        }
        let point = encode_point(&[0.5, 1e-300, 7.0]);
        assert_eq!(decode_point(&point), Ok(vec![0.5, 1e-300, 7.0]));
        for at in 0..point.len() {
            let mut damaged = point.clone();
            damaged[at] ^= 0x10;
            assert!(decode_point(&damaged).is_err() && decode_point(&point[..at]).is_err(), "byte {at}");
        }
        for (words, classes) in [(1, 3), (2, 4)] {
            assert_eq!(decode(&bytes, words, classes), Err(format!("expected dual variables of {classes} classes")));
        }
    }
}
