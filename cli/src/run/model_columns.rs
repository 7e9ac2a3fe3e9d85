//! Table that a model expects: its features by name, and the columns that are not features.

use crate::config::LoadedConfig;
use crate::format::{DataConfig, ModelColumns};
use crate::model::{Classifier, Origin};
use std::path::Path;

/// The features of a model, and the columns that the configuration of its training names.
#[must_use]
pub fn model_columns(model: &Classifier) -> ModelColumns {
    let double = model.scaler.double_rows;
    let (n_features, feature_names) = match &model.encoding {
        Some(encoding) => (encoding.columns().len(), encoding.column_names()),
        None => (model.n_features(), model.feature_names.clone()),
    };
    let encoding = model.encoding.clone();
    let plain = ModelColumns { n_features, feature_names, encoding, double, ..ModelColumns::default() };
    let Origin::Trained(training) = &model.origin else { return plain };
    // A configuration that this version cannot read says nothing about columns; the model itself is complete without it.
    let Ok(config) = LoadedConfig::parse(&training.config, Path::new("config.toml"), &[]) else { return plain };
    match config.run.data {
        DataConfig::Csv(csv) => ModelColumns {
            special: csv.special(),
            // Rows to predict need not have the header of the training data.
            header: csv.header.filter(|has| !has),
            delimiter: csv.delimiter,
            decimal: csv.decimal,
            ..plain
        },
        DataConfig::Libsvm(libsvm) => ModelColumns { index_base: libsvm.index_base, ..plain },
        DataConfig::Parquet(table) | DataConfig::Arrow(table) => ModelColumns { special: table.special(), ..plain },
        DataConfig::Npy(npy) => ModelColumns { arrays: npy.arrays, ..plain },
        _ => plain,
    }
}
