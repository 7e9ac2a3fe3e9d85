//! Model files: what is read can be written, scored and exported.
#![no_main]

use burn_svm::model::Classifier;
use burn_svm_fuzz::{init, use_model};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(init: init(), |data: &[u8]| {
    let Ok(model) = Classifier::from_bytes(data, Path::new("x.safetensors")) else { return };
    let again = Classifier::from_bytes(&model.to_bytes(), Path::new("y.safetensors")).expect("what it wrote itself");
    assert_eq!(again.to_bytes(), model.to_bytes());
    use_model(&model);
});
