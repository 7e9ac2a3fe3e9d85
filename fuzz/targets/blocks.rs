//! Folders of blocks: the length of the manifest in two bytes, the manifest, and the bytes of the first block and of the sums over the columns. Lengths and
//! checksums of the manifest are repaired after each change where it still is one.
#![no_main]

use burn_svm::internals::data::Features;
use burn_svm::internals::data::blocks::{Block, BlockError, BlockFolder, DataPart, ReadAhead};
use burn_svm_fuzz::init;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("burn-svm-fuzz-blocks-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for temporary files");
    folder
});

fuzz_target!(init: init(), |data: &[u8]| {
    let Some((length, rest)) = data.split_first_chunk() else { return };
    let (manifest, block) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
    let repaired = repaired(manifest, block);
    for manifest in [Some(manifest), repaired.as_deref()].into_iter().flatten() {
        put("manifest.json", manifest);
        put("block-00000.bin", block);
        put("moments.bin", block);
        read();
    }
});

fn put(name: &str, bytes: &[u8]) {
    fs::write(FOLDER.join(name), bytes).expect("room for a small file");
}

/// Opens the folder and reads its first block.
fn read() {
    let Some(folder) = BlockFolder::open(&FOLDER).inspect_err(said).ok() else { return };
    let manifest = folder.manifest();
    assert!(manifest.features > 0 && manifest.class_names.len() > 1 && !manifest.train.is_empty());
    let (sizes, rows) = (manifest.in_memory(), manifest.rows(DataPart::Train));
    assert!(sizes >= manifest.largest_in_memory() && rows > 0);
    if let Some(moments) = folder.moments().inspect_err(said).ok().flatten() {
        assert!(moments.n_features() == manifest.features && moments.rows == rows);
    }
    match ReadAhead::new(&folder, DataPart::Train, &[0]).next() {
        Some(Ok((0, Block { features, labels, weights }))) => {
            let n = features.n_rows();
            assert!(n as u64 == manifest.train[0].rows && n == labels.len() && features.n_features() == manifest.features);
            assert!(labels.iter().all(|&label| (label as usize) < manifest.class_names.len()));
            assert!(weights.is_none_or(|w| w.len() == n && w.iter().all(|w| w.is_finite() && *w >= 0.0)));
            let finite = match &features {
                Features::U8(_) => true,
                Features::F32(dense) => dense.values().iter().all(|x| x.is_finite()),
                Features::F64(dense) => dense.values().iter().all(|x| x.is_finite()),
                Features::Sparse(csr) => csr.values().iter().all(|x| x.is_finite()),
            };
            assert!(finite);
        }
        Some(Err(error)) => said(&error),
        other => panic!("{other:?} of one block"),
    }
}

fn said(error: &BlockError) {
    let text = error.to_string();
    assert!(!error.problem.is_empty() && !error.problem.contains('\n'), "{text:?}");
}

/// The manifest with the lengths and checksums of the files as they are.
fn repaired(manifest: &[u8], block: &[u8]) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(manifest).ok()?;
    let (bytes, sum) = (json!(block.len()), json!(crc32c::crc32c(block)));
    let file = |entry: &mut Value| {
        (entry["bytes"], entry["crc32c"]) = (bytes.clone(), sum.clone());
    };
    let train = value.as_object_mut()?.get_mut("train")?.as_array_mut()?;
    train.truncate(1);
    train.iter_mut().filter(|entry| entry.is_object()).for_each(file);
    if let Some(moments) = value.get_mut("moments").filter(|moments| moments.is_object()) {
        file(moments);
    }
    serde_json::to_vec(&value).ok()
}
