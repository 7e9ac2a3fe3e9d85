//! `.npz`: a zip archive of `.npy` arrays, stored without compression.
//!
//! # References
//! NumPy, `numpy.lib.format`, version 1.0; PKWARE, *.ZIP File Format Specification*, 6.3.

use super::{Classifier, ExportError, ExportFile, affine, encoding_note, folded_note, integers, too_large};
use flate2::Crc;

/// 1 January 1980, the first day of the zip format: equal models are equal byte for byte.
const DATE: u16 = (1 << 5) | 1;
/// Stored entries of version 2.0.
const VERSION: u16 = 20;

pub(super) fn write(model: &Classifier) -> Result<ExportFile, ExportError> {
    let (weight, bias) = affine(model, "npz")?;
    let (d, k) = (model.n_features(), model.n_classes());
    let classes = match integers::<i64>(&model.class_names) {
        Some(numbers) => array("<i8", &[k], numbers.iter().flat_map(|n| n.to_le_bytes())),
        None => strings(&model.class_names),
    };
    let floats = |shape: &[usize], values: &[f64]| array("<f8", shape, values.iter().flat_map(|v| v.to_le_bytes()));
    let mut entries =
        vec![("weight.npy", floats(&[d, k], &weight)), ("bias.npy", floats(&[k], &bias)), ("classes.npy", classes)];
    entries.extend(model.encoding.as_ref().map(|encoding| ("features.npy", strings(&encoding.names()))));
    let bytes = archive(&entries).ok_or_else(|| too_large(model, "npz", "4 GiB"))?;
    let notes = encoding_note(model, "npz").into_iter().chain(folded_note(model, &bias)).collect();
    Ok(ExportFile { bytes, notes })
}

/// An array of little-endian values in C order; the header is padded to a multiple of 64 bytes.
fn array(dtype: &str, shape: &[usize], values: impl Iterator<Item = u8>) -> Vec<u8> {
    const PREFIX: usize = 10;
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let mut header =
        format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({}{comma}), }}", sizes.join(", "));
    let length = (PREFIX + header.len() + 1).next_multiple_of(64) - PREFIX;
    header.push_str(&" ".repeat(length - header.len() - 1));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values);
    bytes
}

/// Text as NumPy keeps it: four bytes a character, all as wide as the longest, which has at least one.
fn strings(names: &[String]) -> Vec<u8> {
    let width = names.iter().map(|n| n.chars().count()).max().unwrap_or(0).max(1);
    let padded = names.iter().flat_map(|name| name.chars().map(u32::from).chain(std::iter::repeat(0)).take(width));
    array(&format!("<U{width}"), &[names.len()], padded.flat_map(u32::to_le_bytes))
}

/// `None` where it is larger than the format allows.
fn archive(entries: &[(&str, Vec<u8>)]) -> Option<Vec<u8>> {
    let mut file = Vec::new();
    let mut directory = Vec::new();
    for (name, content) in entries {
        let mut crc = Crc::new();
        // `Crc::update` counts in 32 bits; longer entries are refused.
        let size = u32::try_from(content.len()).ok()?;
        crc.update(content);
        let offset = u32::try_from(file.len()).ok()?;
        // Version, flags, method, time, date, sum, sizes, length of the name, no extra field.
        let mut common = Vec::new();
        [VERSION, 0, 0, 0, DATE].iter().for_each(|v| common.extend(v.to_le_bytes()));
        [crc.sum(), size, size].iter().for_each(|v| common.extend(v.to_le_bytes()));
        [u16::try_from(name.len()).ok()?, 0].iter().for_each(|v| common.extend(v.to_le_bytes()));
        file.extend(b"PK\x03\x04");
        file.extend(&common);
        file.extend(name.as_bytes());
        file.extend(content);
        directory.extend(b"PK\x01\x02");
        directory.extend(VERSION.to_le_bytes());
        directory.extend(&common);
        // No comment, disk 0, no attributes.
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, size) = (u32::try_from(file.len()).ok()?, u32::try_from(directory.len()).ok()?);
    let count = u16::try_from(entries.len()).ok()?;
    file.extend(directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    [count, count].iter().for_each(|v| file.extend(v.to_le_bytes()));
    [size, start].iter().for_each(|v| file.extend(v.to_le_bytes()));
    file.extend([0, 0]);
    Some(file)
}
