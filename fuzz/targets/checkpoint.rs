//! Checkpoints of a run; the checksum is repaired after each change where the file still has the shape of one.
#![no_main]

use burn_svm_cli::durable::Digest;
use burn_svm_cli::run::checkpoint::{Checkpoint, CheckpointFault};
use burn_svm_fuzz::init;
use libfuzzer_sys::fuzz_target;
use safetensors::SafeTensors;

fuzz_target!(init: init(), |data: &[u8]| {
    let repaired = repaired(data);
    for bytes in [Some(data), repaired.as_deref()].into_iter().flatten() {
        if let Err(CheckpointFault::Damaged(problem) | CheckpointFault::Newer(problem)) = Checkpoint::from_bytes(bytes) {
            assert!(!problem.is_empty() && !problem.contains('\n'), "{problem:?}");
        }
    }
});

/// The file with the checksum that it should have.
fn repaired(data: &[u8]) -> Option<Vec<u8>> {
    const KEY: &[u8] = b"\"checksum\":\"";
    let (len, _) = SafeTensors::read_metadata(data).ok()?;
    let tensors = SafeTensors::deserialize(data).ok()?;
    let mut bytes = data.to_vec();
    let at = bytes[8..8 + len].windows(KEY.len()).position(|w| w == KEY)? + 8 + KEY.len();
    bytes.get_mut(at..at + 16)?.fill(b'0');
    let mut views = tensors.tensors();
    views.sort_by(|a, b| a.0.cmp(&b.0));
    let mut digest = Digest::default();
    digest.bytes(&bytes[8..8 + len]);
    for (_, view) in views {
        let mut own = Digest::default();
        own.bytes(view.data());
        digest.bytes(own.hex().as_bytes());
    }
    bytes[at..at + 16].copy_from_slice(digest.hex().as_bytes());
    Some(bytes)
}
