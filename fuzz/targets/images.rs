//! Images of every kind; the checksums of a PNG file are repaired after each change.
#![no_main]

use burn_svm_cli::format::Format;
use burn_svm_fuzz::{init, read, repair_png};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: init(), |data: &[u8]| {
    let mut data = data.to_vec();
    if data.starts_with(b"\x89PNG") {
        repair_png(&mut data);
    }
    read(Some(Format::Images), &data, None);
});
