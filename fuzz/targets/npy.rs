//! NumPy's arrays and archives, SciPy's sparse matrices; the checksums of stored members are repaired after each change.
#![no_main]

use burn_svm_cli::format::Format;
use burn_svm_fuzz::{init, read, repair_zip};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: init(), |data: &[u8]| {
    let mut data = data.to_vec();
    repair_zip(&mut data);
    read(Some(Format::Npy), &data, None);
});
