//! What a model expects of a table that it is shown: its features by name, and the columns that are none.

use crate::config::LoadedConfig;
use crate::format::{DataConfig, Wanted};
use crate::model::{Classifier, Origin};
use std::path::Path;

/// The features of a model, and what the configuration that it was trained by says of columns.
#[must_use]
pub fn wanted(model: &Classifier) -> Wanted {
    let names = model.feature_names.clone();
    let double = model.scaler.double_rows;
    let plain = Wanted { n_features: model.n_features(), feature_names: names, double, ..Wanted::default() };
    let Origin::Trained(training) = &model.origin else { return plain };
    // A configuration that this version cannot read says nothing about columns; the model itself is complete without it.
    let Ok(config) = LoadedConfig::parse(&training.config, Path::new("config.toml"), &[]) else { return plain };
    match config.run.data {
        DataConfig::Csv(csv) => Wanted {
            special: csv.special(),
            header: csv.header,
            delimiter: csv.delimiter,
            decimal: csv.decimal,
            ..plain
        },
        DataConfig::Libsvm(libsvm) => Wanted { index_base: libsvm.index_base, ..plain },
        DataConfig::Parquet(table) | DataConfig::Arrow(table) => Wanted { special: table.special(), ..plain },
        DataConfig::Npy(npy) => Wanted { arrays: npy.arrays, ..plain },
        _ => plain,
    }
}
