//! LIBLINEAR's model files.
#![no_main]

use burn_svm_cli::liblinear;
use burn_svm_fuzz::{init, use_model};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(init: init(), |data: &[u8]| {
    let mut text = b"solver_type ".to_vec();
    text.extend(data);
    if let Ok(model) = liblinear::read(&text, Path::new("x.model")) {
        use_model(&model);
    }
});
