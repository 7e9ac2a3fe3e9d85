//! Streams of Zstandard: the magic bytes are put in front, so that every input is one.
#![no_main]

use burn_svm_fuzz::{LIMIT, init, source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: init(), |data: &[u8]| {
    const MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";
    let mut data = data.to_vec();
    let n = MAGIC.len().min(data.len());
    data[..n].copy_from_slice(&MAGIC[..n]);
    if let Ok(mut source) = source("x", &data) {
        let mut all = Vec::new();
        if source.read_all(&mut all).is_ok() {
            assert!(all.len() <= LIMIT && source.at_end().is_ok_and(|end| end));
        }
    }
});
