//! libsvm text.
#![no_main]

use burn_svm_cli::format::Format;
use burn_svm_fuzz::{init, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: init(), |data: &[u8]| {
    read(Some(Format::Libsvm), data, None);
});
