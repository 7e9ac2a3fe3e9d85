//! What the fuzz targets share: a limit for reading, an allocator that refuses what lies beyond, and repairs of checksums, so
//! that a change of a byte gets past them.

use burn_svm_cli::format::{ColumnRef, Format, ByteSource, ModelColumns, columns::SpecialColumns, limit, read_source};
use burn_svm::internals::data::{Dense, Features};
use burn_svm_cli::format::{DataError, Table};
use burn_svm::internals::model::Classifier;
use burn_svm_cli::export::ExportFormat;
use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Cursor;
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The memory that a reader may take.
pub const LIMIT: usize = 32 << 20;
/// All that may be alive at once: what is read, what it becomes, and buffers that double.
pub const MOST: usize = 4 * LIMIT;

/// Counts what is alive and returns null beyond [`MOST`]: whoever asked without being ready for that aborts, which is a find.
struct Counting;

static ALIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn take(size: usize) -> bool {
    let alive = ALIVE.fetch_add(size, Relaxed) + size;
    if alive > MOST {
        ALIVE.fetch_sub(size, Relaxed);
        return false;
    }
    if alive > PEAK.load(Relaxed) {
        PEAK.fetch_max(alive, Relaxed);
    }
    true
}

// SAFETY: every call is passed to the system's allocator as it is, or refused.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if take(layout.size()) { unsafe { System.alloc(layout) } } else { std::ptr::null_mut() }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if take(layout.size()) { unsafe { System.alloc_zeroed(layout) } } else { std::ptr::null_mut() }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALIVE.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > layout.size() && !take(size - layout.size()) {
            return std::ptr::null_mut();
        }
        if size < layout.size() {
            ALIVE.fetch_sub(layout.size() - size, Relaxed);
        }
        unsafe { System.realloc(pointer, layout, size) }
    }
}

extern "C" fn say_peak() {
    eprintln!(
        "peak of live allocations: {:.1} MiB, limit of reading {} MiB",
        PEAK.load(Relaxed) as f64 / 1048576.0,
        LIMIT >> 20
    );
}

unsafe extern "C" {
    fn atexit(function: extern "C" fn()) -> i32;
}

/// Once a process: one thread, the limit, and a line about memory at the end.
pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        limit::set(LIMIT as u64);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
        pool.build_global().expect("the pool is built once");
        unsafe { atexit(say_peak) };
    });
}

/// The bytes as a file of that name.
pub fn source(name: &str, data: &[u8]) -> Result<ByteSource, DataError> {
    ByteSource::from_reader(Path::new(name), Box::new(Cursor::new(data.to_vec())), Some(data.len() as u64))
}

/// Reads a file, and holds what every reader promises of a table.
pub fn read(format: Option<Format>, data: &[u8], wanted: Option<&ModelColumns>) -> Option<Table> {
    let table = source("x", data).and_then(|source| read_source(source, format, wanted)).inspect_err(said).ok()?;
    let (n, width) = (table.features.n_rows(), table.features.n_features());
    assert!(n > 0 && width > 0, "{n} rows of {width}");
    if let Some(labels) = &table.labels {
        assert_eq!(labels.len(), n, "labels and rows");
    }
    if let Features::F32(dense) = &table.features {
        assert!(dense.values().iter().all(|v| v.is_finite()), "a value is not finite");
    }
    if let Some(shape) = table.image_shape {
        assert_eq!(shape.channels * shape.height * shape.width, width, "the shape and the width");
    }
    Some(table)
}

/// A message is there, on one line, and not the whole file.
fn said(error: &DataError) {
    let text = error.to_string();
    assert!(text.len() < 4096 && !text.contains('\n') && !error.problem.is_empty(), "{text:?}");
}

/// The label and weights columns by the bits of a byte: by name, by number, or none.
pub fn wanted(choice: u8) -> ModelColumns {
    let column = |bits: u8, name: &str, number: i64| match bits & 3 {
        0 => None,
        1 => Some(ColumnRef::Name(name.into())),
        _ => Some(ColumnRef::Number(if bits & 1 == 0 { number } else { -number })),
    };
    let (label, weights) = (column(choice, "kind", 2), column(choice >> 2, "weight", 3));
    let header = [None, Some(true), Some(false), None][usize::from(choice >> 4 & 3)];
    // A model of three features, or a table to train on.
    let model = choice & 0x40 != 0;
    let names = ["one", "two", "three"].map(str::to_owned).to_vec();
    ModelColumns {
        n_features: if model { 3 } else { 0 },
        feature_names: (choice & 0x80 != 0 && model).then_some(names),
        special: SpecialColumns { label, weights, ignore: Vec::new(), category: Vec::new() },
        header,
        ..ModelColumns::default()
    }
}

/// The checksum of zip, PNG, gzip and xz.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Sets the checksum of each chunk of a PNG file.
pub fn repair_png(data: &mut [u8]) {
    let mut at = 8;
    while let Some(len) = data.get(at..at + 4) {
        let len = u32::from_be_bytes([len[0], len[1], len[2], len[3]]) as usize;
        let end = at.saturating_add(8).saturating_add(len);
        let Some(body) = data.get(at + 4..end) else { return };
        let sum = crc32(body).to_be_bytes();
        let Some(place) = data.get_mut(end..end + 4) else { return };
        place.copy_from_slice(&sum);
        at = end + 4;
    }
}

/// Sets the checksum of each stored member of a zip archive in its directory.
pub fn repair_zip(data: &mut [u8]) {
    let number = |data: &[u8], at: usize, len: usize| {
        let bytes = data.get(at..at.checked_add(len)?)?;
        Some(bytes.iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte)))
    };
    for at in 0..data.len().saturating_sub(46) {
        if !data[at..].starts_with(b"PK\x01\x02") || number(data, at + 10, 2) != Some(0) {
            continue;
        }
        let (Some(size), Some(header)) = (number(data, at + 20, 4), number(data, at + 42, 4)) else { continue };
        let (Some(name), Some(extra)) = (number(data, header + 26, 2), number(data, header + 28, 2)) else { continue };
        let start = header + 30 + name + extra;
        let Some(body) = data.get(start..start.saturating_add(size)) else { continue };
        let sum = crc32(body).to_le_bytes();
        data[at + 16..at + 20].copy_from_slice(&sum);
    }
}

/// Sets the checksums of the header of an xz file and of its first block.
pub fn repair_xz(data: &mut [u8]) {
    if data.len() < 24 {
        return;
    }
    let sum = crc32(&data[6..8]).to_le_bytes();
    data[8..12].copy_from_slice(&sum);
    let end = 12 + 4 * usize::from(data[12]);
    if end + 4 <= data.len() {
        let sum = crc32(&data[12..end]).to_le_bytes();
        data[end..end + 4].copy_from_slice(&sum);
    }
}

/// Sets the checksums of the headers of a tar archive.
pub fn repair_tar(data: &mut [u8]) {
    let mut at = 0;
    while at + 512 <= data.len() {
        let header = &mut data[at..at + 512];
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let size = std::str::from_utf8(&header[124..135]).ok().and_then(|s| usize::from_str_radix(s.trim(), 8).ok());
        at = at.saturating_add(512).saturating_add(size.unwrap_or(0).next_multiple_of(512).min(1 << 40));
    }
}

/// Everything that a command does with a model: scores, probabilities, the other formats, pictures.
pub fn use_model(model: &Classifier) {
    let (d, k) = (model.n_features(), model.n_classes());
    let row = Features::F32(Dense::new(d, vec![0.5; d]));
    assert_eq!(model.scores(&row, &[0]).len(), k);
    for format in [ExportFormat::Npz, ExportFormat::Liblinear, ExportFormat::Onnx] {
        let _ = burn_svm_cli::export::export(model, format);
    }
    let _ = burn_svm_cli::run::model_columns(model);
    if let Some(calibration) = model.calibration() {
        let mut scores = model.scores(&row, &[0]);
        calibration.log_probabilities(&mut scores);
    }
}
