//! Model files: what is read can be written, scored and exported.
#![no_main]

use burn_svm::internals::model::Classifier;
use burn_svm_fuzz::{init, use_model};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(init: init(), |data: &[u8]| {
    let Ok(model) = Classifier::from_bytes(data, Path::new("x.safetensors")) else { return };
    let again = Classifier::from_bytes(&model.to_bytes(), Path::new("y.safetensors")).expect("what it wrote itself");
    // Numbers in the text of the metadata may lose their last bit; all others come back.
    assert_eq!(again.class_names, model.class_names);
    assert_eq!((again.weight.len(), again.scaler.unit_row), (model.weight.len(), model.scaler.unit_row));
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&again.weight), bits(&model.weight));
    use_model(&model);
});
