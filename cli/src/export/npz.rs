//! `.npz`: a zip archive of `.npy` arrays, stored without compression.
//!
//! # References
//! NumPy, `numpy.lib.format`, version 1.0.

use super::{Classifier, ExportError, ExportFile, affine, encoding_note, folded_note, integers};
use std::io::{Cursor, Write};
use zip::result::ZipResult;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

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
    let bytes = archive(&entries).map_err(|e| ExportError {
        problem: format!("the archive cannot be written: {e}"),
        hint: "`model.safetensors` itself is read by Python, too".into(),
    })?;
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

/// Entries of 1 January 1980, the first day of the zip format: equal models are equal byte for byte.
fn archive(entries: &[(&str, Vec<u8>)]) -> ZipResult<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::DEFAULT);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        archive.start_file(*name, options.large_file(u32::try_from(content.len()).is_err()))?;
        archive.write_all(content)?;
    }
    archive.finish().map(Cursor::into_inner)
}
