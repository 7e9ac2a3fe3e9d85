//! Checkpoints: a run as files from which it resumes.
//!
//! `checkpoint/<number>.safetensors`, the newest with the largest number, the last two kept, each whole or not there. The tensors
//! are the variables of the solver ([`Snapshot`]) and the rows of `metrics.csv` and `bounds.csv` up to that step; the metadata
//! says of what they are: configuration, data, device. A digest over all of it tells damage. Removed when the run is finished.

mod shelf;

pub use shelf::Shelf;
pub(super) use shelf::{first_of, is_one_of};

use super::PreparedData;
use super::record::{RecordError, failed};
use crate::config::LoadedConfig;
use crate::data::Features;
use crate::durable::{self, Digest};
use crate::solver::Snapshot;
use crate::solver::checkpoint::Values;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

/// The format version that this program writes.
pub const FORMAT_VERSION: u32 = 1;

/// The folder within a run folder.
pub const FOLDER: &str = "checkpoint";

const FORMAT: &str = "burn-svm checkpoint";
/// A digest that is yet to be filled in.
const BLANK: &str = "0000000000000000";
/// Numbers that are written at once.
const PIECE: usize = 1 << 16;

/// The run that a checkpoint belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The name of the configuration.
    pub name: String,
    /// Its text as used.
    pub config: String,
    /// The digest of all rows, labels, weights and names of the data.
    pub data: String,
    /// Amount of data, in words.
    pub shape: String,
    /// The device, with the adapter's name.
    pub device: String,
    /// Threads of the CPU.
    pub threads: usize,
}

impl Identity {
    /// Of a run.
    #[must_use]
    pub fn of(config: &LoadedConfig, prepared: &PreparedData, device: String) -> Self {
        let data = &prepared.data;
        let (n, d, k) = (data.features.n_rows(), data.features.n_features(), data.n_classes());
        Self {
            name: config.name(),
            config: config.text.clone(),
            data: fingerprint(prepared),
            shape: format!("{n} rows of {d} features in {k} classes"),
            device,
            threads: super::threads(config.run.threads),
        }
    }
}

/// The digest of the data as they were read, which a resumed run must match.
fn fingerprint(prepared: &PreparedData) -> String {
    let data = &prepared.data;
    let mut digest = Digest::default();
    digest.number(data.n_train as u64);
    digest.number(data.features.n_features() as u64);
    match &data.features {
        Features::U8(dense) => digest.bytes(dense.values()),
        Features::F32(dense) => digest.words(dense.values().iter().map(|v| v.to_bits())),
        Features::F64(dense) => dense.values().iter().for_each(|v| digest.number(v.to_bits())),
        Features::Sparse(csr) => {
            for i in 0..csr.n_rows() {
                let (indices, values) = csr.row(i);
                digest.words(indices.iter().copied());
                digest.words(values.iter().map(|v| v.to_bits()));
            }
        }
    }
    digest.words(data.labels.iter().copied());
    if let Some(weights) = &data.weights {
        digest.words(weights.iter().map(|w| w.to_bits()));
    }
    data.class_names.iter().for_each(|name| digest.bytes(name.as_bytes()));
    digest.hex()
}

/// A run between two steps.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The run that it belongs to.
    pub identity: Identity,
    /// The steps or epochs made, for people.
    pub progress: u64,
    /// The solver's variables, and `metrics.csv` and `bounds.csv` as they were.
    pub snapshot: Snapshot,
}

/// A file that is no checkpoint for this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckpointFault {
    /// It is cut off or changed.
    Damaged(String),
    /// A newer program wrote it.
    Newer(String),
}

const fn kind(values: &Values) -> (&'static str, usize) {
    match values {
        Values::U8(v) => ("U8", v.len()),
        Values::U32(v) => ("U32", 4 * v.len()),
        Values::U64(v) => ("U64", 8 * v.len()),
        Values::F32(v) => ("F32", 4 * v.len()),
        Values::F64(v) => ("F64", 8 * v.len()),
    }
}

/// The little-endian bytes, piece by piece.
fn pieces(values: &Values, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    fn of<T: Copy, const N: usize>(
        values: &[T],
        bytes: impl Fn(T) -> [u8; N],
        each: &mut impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        values
            .chunks(PIECE)
            .try_for_each(|piece| each(&piece.iter().flat_map(|&value| bytes(value)).collect::<Vec<u8>>()))
    }
    match values {
        Values::U8(v) => of(v, |x| [x], &mut each),
        Values::U32(v) => of(v, u32::to_le_bytes, &mut each),
        Values::U64(v) => of(v, u64::to_le_bytes, &mut each),
        Values::F32(v) => of(v, f32::to_le_bytes, &mut each),
        Values::F64(v) => of(v, f64::to_le_bytes, &mut each),
    }
}

fn of_view(view: &TensorView<'_>) -> Option<Values> {
    fn of<T, const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
        bytes.chunks_exact(N).filter_map(|b| b.try_into().ok()).map(number).collect()
    }
    let bytes = view.data();
    Some(match view.dtype() {
        Dtype::U8 => Values::U8(bytes.to_vec()),
        Dtype::U32 => Values::U32(of(bytes, u32::from_le_bytes)),
        Dtype::U64 => Values::U64(of(bytes, u64::from_le_bytes)),
        Dtype::F32 => Values::F32(of(bytes, f32::from_le_bytes)),
        Dtype::F64 => Values::F64(of(bytes, f64::from_le_bytes)),
        _ => return None,
    })
}

impl Checkpoint {
    fn header(&self) -> Vec<u8> {
        let Identity { name, config, data, shape, device, threads } = &self.identity;
        let mut header = BTreeMap::new();
        let mut start = 0;
        for (name, values) in self.snapshot.entries() {
            let (dtype, len) = kind(values);
            let count = len / if len == 0 { 1 } else { bytes_of(dtype) };
            header
                .insert(name.as_str(), json!({"dtype": dtype, "shape": [count], "data_offsets": [start, start + len]}));
            start += len;
        }
        let metadata = json!({
            "format": FORMAT,
            "format_version": FORMAT_VERSION.to_string(),
            "program": env!("CARGO_PKG_VERSION"),
            "checksum": BLANK,
            "progress": self.progress.to_string(),
            "name": name,
            "config": config,
            "data": data,
            "shape": shape,
            "device": device,
            "threads": threads.to_string(),
        });
        header.insert("__metadata__", metadata);
        let mut text = serde_json::to_string(&header).unwrap_or_default().into_bytes();
        text.resize(text.len().next_multiple_of(8), b' ');
        text
    }

    /// Writes the file, all or nothing.
    ///
    /// # Errors
    /// [`RecordError::Io`] when the system refuses.
    pub fn save(&self, file: &Path) -> Result<(), RecordError> {
        let mut header = self.header();
        let mut digest = Digest::default();
        digest.bytes(&header);
        for values in self.snapshot.entries().values() {
            let mut own = Digest::default();
            let _ = pieces(values, |piece| {
                own.bytes(piece);
                Ok(())
            });
            digest.bytes(own.hex().as_bytes());
        }
        fill_in(&mut header, &digest.hex());
        durable::write_with(file, |out| {
            out.write_all(&(header.len() as u64).to_le_bytes())?;
            out.write_all(&header)?;
            self.snapshot.entries().values().try_for_each(|values| pieces(values, |piece| out.write_all(piece)))
        })
        .map_err(failed(file))
    }

    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`CheckpointFault`] when it is cut off, changed, of another kind or of a newer program.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CheckpointFault> {
        let damaged = |problem: &str| CheckpointFault::Damaged(problem.to_owned());
        let (header_len, metadata) =
            SafeTensors::read_metadata(bytes).map_err(|_| damaged("it is cut off or no checkpoint"))?;
        let metadata = metadata.metadata().clone().unwrap_or_default();
        let text = |key: &str| metadata.get(key).cloned().ok_or_else(|| damaged(&format!("it has no `{key}`")));
        if text("format")? != FORMAT {
            return Err(damaged("it is another kind of file"));
        }
        let version = text("format_version")?;
        if version.parse::<u32>().map_or(true, |v| v == 0 || v > FORMAT_VERSION) {
            let program = metadata.get("program").map_or("?", String::as_str);
            return Err(CheckpointFault::Newer(format!(
                "it has format version `{version}`, written by burn-svm {program}; this program reads up to {FORMAT_VERSION}"
            )));
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(|_| damaged("it is cut off"))?;
        let mut header = bytes[8..8 + header_len].to_vec();
        fill_in(&mut header, BLANK);
        let entries = verified(&header, &tensors, &metadata)?;
        let count = |key: &str| text(key)?.parse::<u64>().map_err(|_| damaged(&format!("`{key}` is no number")));
        Ok(Self {
            identity: Identity {
                name: text("name")?,
                config: text("config")?,
                data: text("data")?,
                shape: text("shape")?,
                device: text("device")?,
                threads: usize::try_from(count("threads")?).unwrap_or(usize::MAX),
            },
            progress: count("progress")?,
            snapshot: Snapshot::of(entries),
        })
    }
}

/// The numbers of a file whose digest is right.
fn verified(
    header: &[u8],
    tensors: &SafeTensors<'_>,
    metadata: &HashMap<String, String>,
) -> Result<BTreeMap<String, Values>, CheckpointFault> {
    let mut views: Vec<(String, TensorView<'_>)> = tensors.tensors();
    views.sort_by(|a, b| a.0.cmp(&b.0));
    let mut digest = Digest::default();
    digest.bytes(header);
    let mut entries = BTreeMap::new();
    for (name, view) in views {
        let values = of_view(&view).ok_or_else(|| CheckpointFault::Damaged(format!("`{name}` is of another type")))?;
        let mut own = Digest::default();
        let _ = pieces(&values, |piece| {
            own.bytes(piece);
            Ok(())
        });
        digest.bytes(own.hex().as_bytes());
        entries.insert(name, values);
    }
    if metadata.get("checksum").map(String::as_str) != Some(&digest.hex()) {
        return Err(CheckpointFault::Damaged("its checksum is wrong".into()));
    }
    Ok(entries)
}

fn bytes_of(dtype: &str) -> usize {
    match dtype {
        "U8" => 1,
        "U32" | "F32" => 4,
        _ => 8,
    }
}

/// Puts a digest where the header has one; inside text the quotes would be escaped.
fn fill_in(header: &mut [u8], digest: &str) {
    const KEY: &[u8] = b"\"checksum\":\"";
    if let Some(at) = header.windows(KEY.len()).position(|w| w == KEY) {
        let at = at + KEY.len();
        if let Some(place) = header.get_mut(at..at + digest.len()) {
            place.copy_from_slice(digest.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests;
