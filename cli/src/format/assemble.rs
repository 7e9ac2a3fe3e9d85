//! A data set of a train part and a test part: the one place that decides about classes.

use super::append::append_rows;
use super::labels::{self, Classes, class_names};
use super::{DataError, Position, quote, weights};
use crate::data::{Dataset, Features, Frame, LabelColumn};
use crate::visible::listed;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// A train or test part and the files that its rows and its labels come from, for messages.
pub(crate) struct FilePart {
    pub(crate) file: PathBuf,
    pub(crate) label_file: PathBuf,
    pub(crate) features: Features<'static>,
    /// The rows where they have to be encoded; `features` has no columns then.
    pub(crate) frame: Option<Frame>,
    pub(crate) labels: LabelColumn,
    /// For the train part: one a row; `None` where all are 1.
    pub(crate) weights: Option<Vec<f32>>,
}

impl FilePart {
    /// A part without row weights.
    pub(super) fn new(file: &Path, label_file: &Path, features: Features<'static>, labels: LabelColumn) -> Self {
        let (file, label_file) = (file.to_path_buf(), label_file.to_path_buf());
        Self { file, label_file, features, frame: None, labels, weights: None }
    }

    /// The same with the row weights of a text file, where there is one.
    pub(super) fn weighted_by(self, file: Option<&Path>) -> Result<Self, DataError> {
        let weights = file.map(|file| weights::read(file, self.features.n_rows())).transpose()?;
        Ok(Self { weights, ..self })
    }
}

/// A model of more weights (4 GiB of them) fits no machine together with its gradient.
const MOST_WEIGHTS: usize = 1 << 30;

/// Puts the test part below the train part. The classes are those of the train part, or `class_names` where the format names
/// them.
pub(crate) fn assemble(
    mut train: FilePart,
    test: Option<FilePart>,
    class_names: Option<Vec<String>>,
    mut notes: Vec<String>,
) -> Result<Dataset, DataError> {
    let n_train = train.features.n_rows();
    let class_names = class_names.map_or_else(|| class_rule(&train.labels, &train.label_file), Ok)?;
    let mut labels = classes_of(&train, &class_names)?;
    let mut seen = vec![0u64; class_names.len()];
    labels.iter().for_each(|&class| seen[class as usize] += 1);
    notes.extend(check_classes(&class_names, &seen, &train.label_file)?);
    check_size(train.features.n_features(), class_names.len(), &train.file)?;
    let mut weights = train.weights;
    if let Some(test) = test {
        if let Some(weights) = &mut weights {
            weights.resize(n_train + test.features.n_rows(), 1.0);
        }
        labels.extend(classes_of(&test, &class_names)?);
        if let (Some(frame), Some(below)) = (&mut train.frame, test.frame) {
            frame.append(below);
        }
        append_rows(&mut train.features, test.features, &test.file, &mut notes)?;
    }
    Ok(Dataset {
        features: train.features,
        frame: train.frame,
        encoding: None,
        labels,
        class_names,
        n_train,
        weights,
        feature_names: None,
        image_shape: None,
        notes,
    })
}

/// The classes of the labels of a train part, in their order.
pub(crate) fn class_rule(labels: &LabelColumn, file: &Path) -> Result<Vec<String>, DataError> {
    let Some(label) = labels::fraction(labels) else { return Ok(class_names(labels)) };
    let problem = format!("found label {} among labels that are all numbers, expected classes", quote(label));
    Err(DataError::content(file, Position::File, problem).with_hint(
        "amounts are predicted by regression; steps such as 1.5 are classes where they are written as words, as `grade 1.5`",
    ))
}

/// Refuses fewer than two classes that have rows; a note about those that have none.
pub(crate) fn check_classes(class_names: &[String], rows: &[u64], file: &Path) -> Result<Option<String>, DataError> {
    let named = |is: fn(u64) -> bool| {
        let chosen = class_names.iter().zip(rows).filter(|(_, n)| is(**n)).map(|(name, _)| name.clone());
        chosen.collect::<Vec<String>>()
    };
    let (present, absent) = (named(|n| n > 0), named(|n| n == 0));
    if present.len() < 2 {
        let found = present.first().map_or("no row".to_owned(), |name| format!("one class only, {}", quote(name)));
        let n_rows = rows.iter().sum::<u64>();
        let problem = format!("found {found} in {n_rows} rows, expected at least two classes");
        return Err(DataError::content(file, Position::File, problem)
            .with_hint("there is nothing to tell apart: are these the right labels?"));
    }
    let note = || format!("{}: no row of class {}", file.display(), listed(&absent));
    Ok((!absent.is_empty()).then(note))
}

/// Refuses a model of too many weights.
pub(crate) fn check_size(features: usize, classes: usize, file: &Path) -> Result<(), DataError> {
    if features.checked_mul(classes).is_some_and(|weights| weights <= MOST_WEIGHTS) {
        return Ok(());
    }
    let problem = format!("found {features} features and {classes} classes, expected at most {MOST_WEIGHTS} weights");
    Err(DataError::content(file, Position::File, problem)
        .with_hint("is one feature index wrong? the largest sets the number of features"))
}

fn classes_of(part: &FilePart, class_names: &[String]) -> Result<Vec<u32>, DataError> {
    let labels = Classes::new(class_names).named(&part.labels);
    labels.to_classes(class_names).map_err(|row| {
        let known: HashSet<&str> = class_names.iter().map(String::as_str).collect();
        let unseen = (0..labels.len()).filter(|&i| !known.contains(labels.name(i)));
        let others = match unseen.count() {
            1 => String::new(),
            n => format!("; {n} rows have such labels"),
        };
        unseen_label(&part.label_file, (row + 1, labels.name(row)), &others, class_names)
    })
}

/// The error about a label of a test part that the train part does not have, by its record.
pub(crate) fn unseen_label(
    file: &Path,
    (record, label): (usize, &str),
    others: &str,
    class_names: &[String],
) -> DataError {
    let problem = format!("label {} does not occur in the train part{others}", quote(label));
    DataError::content(file, Position::Record(record), problem).with_hint(format!(
        "no model could get these rows right: remove them, or train on rows of their classes; the train part has {} \
         classes: {}",
        class_names.len(),
        listed(class_names)
    ))
}
