//! Labelled rows that a model is measured on, with labels as the model numbers them.

use super::{RunError, prepare_for};
use crate::config::LoadedConfig;
use crate::data::{Dataset, Features, Split};
use crate::evaluation::{self, Evaluation};
use crate::format::{BlocksConfig, Classes, FloatType, class_names};
use crate::model::Classifier;
use crate::visible;
use std::path::Path;

/// The rows of an evaluation, and their name.
#[must_use]
pub fn rows_to_report(split: &Split) -> (&'static str, &[u32]) {
    if !split.test.is_empty() {
        ("test", &split.test)
    } else if !split.validation.is_empty() {
        ("validation", &split.validation)
    } else {
        ("train", &split.train)
    }
}

/// Labelled rows that a model is measured on.
#[derive(Debug)]
pub struct LabelledRows {
    /// All rows of the data.
    pub data: Dataset,
    /// The rows to look at.
    pub rows: Vec<u32>,
    /// Name of the rows.
    pub name: String,
}

/// The labelled rows that `--data CONFIG-OR-FILE` names, with labels as the model numbers them.
///
/// # Errors
/// [`RunError`] when the configuration or file is bad, has no labels, or does not fit the model.
pub fn labelled(path: &Path, model: &Classifier) -> Result<LabelledRows, RunError> {
    if path.extension().is_some_and(|e| e == "toml") {
        return labelled_by(&LoadedConfig::load(path, &[])?, model);
    }
    if BlocksConfig::is_folder(path) {
        return labelled_blocks(path, model);
    }
    let mut data = renumbered(labelled_file(path, model)?, model, path)?;
    data.features = conform(data.features, model, path)?;
    let rows = all_rows(&data.features);
    Ok(LabelledRows { data, rows, name: path.display().to_string() })
}

/// The test part of a folder of blocks, or all rows where it has none.
fn labelled_blocks(path: &Path, model: &Classifier) -> Result<LabelledRows, RunError> {
    let blocks = BlocksConfig { dir: path.to_path_buf() };
    let mut data = renumbered(blocks.load(FloatType::of(model.scaler.double_rows))?, model, path)?;
    data.features = conform(data.features, model, path)?;
    let (all, name) = (all_rows(&data.features), path.display().to_string());
    let test = data.n_train;
    let (rows, name) =
        if test < all.len() { (all[test..].to_vec(), format!("test part of {name}")) } else { (all, name) };
    Ok(LabelledRows { data, rows, name })
}

/// The rows to report on of a configuration's data: test, else validation, else train.
///
/// # Errors
/// As [`labelled`].
pub fn labelled_by(config: &LoadedConfig, model: &Classifier) -> Result<LabelledRows, RunError> {
    let prepared = prepare_for(config, model)?;
    let (name, rows) = rows_to_report(&prepared.split);
    let (rows, name) = (rows.to_vec(), format!("{name} split of {}", config.file.display()));
    let mut data = renumbered(Dataset { notes: prepared.unseen, ..prepared.data }, model, &config.file)?;
    data.features = conform(data.features, model, &config.file)?;
    Ok(LabelledRows { data, rows, name })
}

fn labelled_file(path: &Path, model: &Classifier) -> Result<Dataset, RunError> {
    let table = crate::format::read_table_for(path, None, &super::model_columns(model))?;
    let Some(labels) = table.labels else {
        return Err(RunError::Mismatch {
            problem: format!("{}: has no labels to evaluate against", path.display()),
            hint: "`burn-svm predict` needs none".into(),
        });
    };
    let labels = Classes::new(&model.class_names).named(&labels);
    let class_names = if labels.to_classes(&model.class_names).is_ok() {
        model.class_names.clone()
    } else {
        table.class_names.unwrap_or_else(|| class_names(&labels))
    };
    let labels = Classes::new(&class_names).named(&labels);
    let classes = labels.to_classes(&class_names).map_err(|row| RunError::Mismatch {
        problem: format!(
            "{}: record {}: label `{}` has no name",
            path.display(),
            row + 1,
            visible::short(labels.name(row))
        ),
        hint: format!("the names are {}", visible::listed(&class_names)),
    })?;
    Ok(Dataset {
        n_train: classes.len(),
        features: table.features,
        frame: None,
        encoding: None,
        labels: classes,
        class_names,
        weights: None,
        feature_names: None,
        image_shape: table.image_shape,
        notes: table.notes,
    })
}

/// Labels by the model's class order. A file that numbers its classes (CIFAR's do) fits a model that names them.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn renumbered(mut data: Dataset, model: &Classifier, path: &Path) -> Result<Dataset, RunError> {
    if data.class_names == model.class_names {
        return Ok(data);
    }
    let model_has_numbers = model.class_names.iter().any(|c| c.parse::<i64>().is_ok());
    let classes = Classes::new(&model.class_names);
    let class_of = |name: &String| {
        let by_name = classes.of(name);
        let by_number = || name.parse::<usize>().ok().filter(|&k| !model_has_numbers && k < model.n_classes());
        by_name.or_else(by_number).map(|k| k as u32)
    };
    let map: Vec<Option<u32>> = data.class_names.iter().map(class_of).collect();
    for (row, label) in data.labels.iter_mut().enumerate() {
        *label = map[*label as usize].ok_or_else(|| RunError::Mismatch {
            problem: format!(
                "{}: record {}: label `{}` is not a class of the model",
                path.display(),
                row + 1,
                visible::short(&data.class_names[*label as usize])
            ),
            hint: format!("the model's classes are {}", visible::listed(&model.class_names)),
        })?;
    }
    data.class_names.clone_from(&model.class_names);
    Ok(data)
}

/// Rows as wide as the model: sparse rows are cut or widened, dense rows must fit.
///
/// # Errors
/// [`RunError::Mismatch`] when dense rows have another width.
pub fn conform<'a>(features: Features<'a>, model: &Classifier, path: &Path) -> Result<Features<'a>, RunError> {
    let (found, expected) = (features.n_features(), model.n_features());
    match features {
        Features::Sparse(mut csr) => {
            csr.set_n_features(expected);
            Ok(Features::Sparse(csr))
        }
        fitting if found == expected => Ok(fitting),
        Features::U8(_) | Features::F32(_) | Features::F64(_) => Err(RunError::Mismatch {
            problem: format!("{}: rows have {found} features, the model expects {expected}", path.display()),
            hint: "give the model data of the kind that it was trained on".into(),
        }),
    }
}

/// Indices of all rows.
#[must_use]
#[allow(clippy::cast_possible_truncation)]
pub fn all_rows(features: &Features) -> Vec<u32> {
    (0..features.n_rows() as u32).collect()
}

/// Measures a model on labelled rows, with the loss that it was trained for where that is known.
#[must_use]
pub fn evaluate(model: &Classifier, labelled: &LabelledRows, top: &[usize]) -> Evaluation {
    evaluation::evaluate(model, model.loss(), &labelled.data, &labelled.rows, top)
}
