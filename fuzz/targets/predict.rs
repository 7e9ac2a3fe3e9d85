//! Standard input of `predict`: any format, told by the content, for a model of three features.
#![no_main]

use burn_svm::internals::model::Classifier;
use burn_svm_cli::run;
use burn_svm_fuzz::{init, read};
use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::sync::OnceLock;

fuzz_target!(init: init(), |data: &[u8]| {
    let model = model();
    let Some(table) = read(None, data, Some(&run::model_columns(model))) else { return };
    let Ok(features) = run::conform(table.features, model, Path::new("stdin")) else { return };
    let rows = run::all_rows(&features);
    let scores = model.scores(&features, &rows);
    assert_eq!(scores.len(), rows.len() * model.n_classes());
    assert!(scores.iter().all(|s| !s.is_nan()));
});

fn model() -> &'static Classifier {
    static MODEL: OnceLock<Classifier> = OnceLock::new();
    MODEL.get_or_init(|| {
        let text =
            b"solver_type MCSVM_CS\nnr_class 3\nlabel 1 2 3\nnr_feature 3\nbias 1\nw\n1 0 0\n0 1 0\n0 0 1\n0 0 0\n";
        burn_svm_cli::liblinear::read(text, Path::new("x.model")).expect("a model")
    })
}
