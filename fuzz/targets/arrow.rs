//! Files and streams of Arrow: the first byte says what is known of the columns, the rest is the file.
#![no_main]

use burn_svm_cli::format::Format;
use burn_svm_fuzz::{init, read, wanted};
use libfuzzer_sys::fuzz_target;

fuzz_target!(init: init(), |data: &[u8]| {
    let Some((&choice, file)) = data.split_first() else { return };
    read(Some(Format::Arrow), file, Some(&wanted(choice)));
});
