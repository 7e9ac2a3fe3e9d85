//! LIBLINEAR's model files: text, read here and written by [`crate::export`].
//!
//! ```text
//! solver_type L2R_L2LOSS_SVC_DUAL     the first line of a file of ours; the order of the others is free, `w` is the last
//! nr_class 3
//! label 2 0 1                         integers, one a column
//! nr_feature 4
//! bias 1                              the value B of a constant feature, whose weights are the last row; below 0: none
//! w
//! 0.1 0.2 -0.3                        nr_feature rows of one weight a class
//! ```
//! Between two classes LIBLINEAR keeps one column d and says the first label where d > 0 (of `MCSVM_CS` it keeps two and looks
//! at the first only). Such a model becomes the classes [second, first] with the scores [−d, d], so that a tie falls as there.
//! Weights stay in double precision.
//!
//! # References
//! R.-E. Fan et al., *LIBLINEAR: A Library for Large Linear Classification*, JMLR 9, 2008; `save_model` and `load_model` of its
//! `linear.cpp`, version 2.50.

use crate::data::Scaler;
use crate::model::file::ModelFileError;
use crate::model::{Classifier, Liblinear, LiblinearSolver, Origin};
use std::path::Path;
use std::str::FromStr;

/// Whether bytes begin as a model file of LIBLINEAR.
#[must_use]
pub fn detect(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().starts_with(b"solver_type")
}

/// The lines of a file, for errors.
struct Lines<'a> {
    file: &'a Path,
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
    /// The line that was read last, from 1.
    at: usize,
}

impl<'a> Lines<'a> {
    fn new(bytes: &'a [u8], file: &'a Path) -> Result<Self, ModelFileError> {
        let text = std::str::from_utf8(bytes).map_err(|e| ModelFileError::Line {
            file: file.to_path_buf(),
            line: 1 + bytes[..e.valid_up_to()].iter().filter(|&&b| b == b'\n').count(),
            problem: "found bytes that are not text".into(),
        })?;
        Ok(Self { file, lines: text.lines().enumerate(), at: 0 })
    }

    /// The next line that is not blank.
    fn next(&mut self) -> Option<&'a str> {
        let (at, line) = self.lines.find(|(_, line)| !line.trim().is_empty())?;
        self.at = at + 1;
        Some(line)
    }

    fn wrong(&self, problem: impl Into<String>) -> ModelFileError {
        ModelFileError::Line { file: self.file.to_path_buf(), line: self.at, problem: problem.into() }
    }

    /// A key's only value.
    fn value<T: FromStr>(&self, key: &str, value: &str, expected: &str) -> Result<T, ModelFileError> {
        value.parse().map_err(|_| self.wrong(format!("`{key}`: found {}, expected {expected}", shown(value))))
    }
}

/// A word of the file in backticks, shortened and printable.
fn shown(text: &str) -> String {
    if text.trim().is_empty() {
        return "nothing".into();
    }
    let cut = if text.chars().count() > 40 { "..." } else { "" };
    format!("`{}{cut}`", text.chars().take(40).flat_map(char::escape_debug).collect::<String>())
}

/// The lines before `w`.
struct LiblinearHeader {
    solver: LiblinearSolver,
    /// The columns of the file.
    columns: usize,
    labels: Vec<String>,
    n_features: usize,
    bias: f64,
}

#[derive(Default)]
struct Keys {
    solver: Option<LiblinearSolver>,
    n_classes: Option<usize>,
    labels: Option<Vec<String>>,
    n_features: Option<usize>,
    bias: Option<f64>,
}

impl LiblinearHeader {
    fn read(lines: &mut Lines<'_>) -> Result<Self, ModelFileError> {
        const WHOLE: &str = "a whole number, one or more";
        let mut keys = Keys::default();
        loop {
            let Some(line) = lines.next() else {
                return Err(lines.wrong("the file ends before `w`, which the weights follow: it is cut off"));
            };
            let (key, value) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
            let value = value.trim();
            let again = match key {
                "w" if value.is_empty() => return Self::complete(keys, lines),
                "solver_type" => keys.solver.replace(solver_of(value, lines)?).is_some(),
                "nr_class" => keys.n_classes.replace(lines.value(key, value, WHOLE)?).is_some(),
                "nr_feature" => keys.n_features.replace(lines.value(key, value, WHOLE)?).is_some(),
                "bias" => keys.bias.replace(finite(lines, value)?).is_some(),
                "label" => keys.labels.replace(labels_of(value, lines)?).is_some(),
                other => {
                    let expected = "solver_type, nr_class, label, nr_feature, bias or w";
                    return Err(lines.wrong(format!("found {}, expected {expected}", shown(other))));
                }
            };
            if again {
                return Err(lines.wrong(format!("`{key}` is there twice")));
            }
        }
    }

    fn complete(keys: Keys, lines: &Lines<'_>) -> Result<Self, ModelFileError> {
        let missing = |key: &str| lines.wrong(format!("found the weights, but no `{key}` before them"));
        let solver = keys.solver.ok_or_else(|| missing("solver_type"))?;
        let n_classes = keys.n_classes.ok_or_else(|| missing("nr_class"))?;
        let labels = keys.labels.ok_or_else(|| missing("label"))?;
        let n_features = keys.n_features.ok_or_else(|| missing("nr_feature"))?;
        let bias = keys.bias.ok_or_else(|| missing("bias"))?;
        if labels.len() != n_classes {
            return Err(lines.wrong(format!("found {} labels, expected nr_class {n_classes}", labels.len())));
        }
        if n_classes < 2 {
            return Err(lines.wrong(format!("found {n_classes} class, expected two or more")));
        }
        if n_features == 0 {
            return Err(lines.wrong("nr_feature is 0, expected one or more"));
        }
        let columns = if n_classes == 2 && solver != LiblinearSolver::McsvmCs { 1 } else { n_classes };
        Ok(Self { solver, columns, labels, n_features, bias })
    }
}

fn solver_of(name: &str, lines: &Lines<'_>) -> Result<LiblinearSolver, ModelFileError> {
    LiblinearSolver::of_name(name).ok_or_else(|| {
        lines.wrong(match name {
            "L2R_L2LOSS_SVR" | "L2R_L2LOSS_SVR_DUAL" | "L2R_L1LOSS_SVR_DUAL" => {
                format!("found a model of regression, `{name}`, expected a classifier")
            }
            "ONECLASS_SVM" => "found a one-class model, `ONECLASS_SVM`, expected a classifier".into(),
            other => format!("found the solver type {}, expected one of LIBLINEAR's for classification", shown(other)),
        })
    })
}

fn labels_of(value: &str, lines: &Lines<'_>) -> Result<Vec<String>, ModelFileError> {
    let mut labels: Vec<String> = Vec::new();
    for word in value.split_whitespace() {
        labels.push(lines.value::<i64>("label", word, "integers")?.to_string());
    }
    let mut sorted: Vec<&String> = labels.iter().collect();
    sorted.sort();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(lines.wrong(format!("label {} is there twice", pair[0]))),
        None => Ok(labels),
    }
}

fn finite(lines: &Lines<'_>, word: &str) -> Result<f64, ModelFileError> {
    let value = word.parse::<f64>().ok().filter(|v| v.is_finite());
    value.ok_or_else(|| lines.wrong(format!("found {}, expected a finite number", shown(word))))
}

/// Reads a model file of LIBLINEAR; `file` is named in errors. Memory grows with the file, not with the sizes that it promises.
///
/// # Errors
/// [`ModelFileError::Line`] when it is damaged, or not a classifier of two classes or more.
pub fn read(bytes: &[u8], file: &Path) -> Result<Classifier, ModelFileError> {
    let mut lines = Lines::new(bytes, file)?;
    let header = LiblinearHeader::read(&mut lines)?;
    let n_rows = header.n_features.saturating_add(usize::from(header.bias >= 0.0));
    let mut weight: Vec<f64> = Vec::new();
    let mut rows = 0;
    while let Some(line) = lines.next() {
        if rows == n_rows {
            return Err(
                lines.wrong(format!("found more than the {n_rows} rows of weights that nr_feature and bias promise"))
            );
        }
        let mut found = 0;
        for word in line.split_whitespace() {
            let value = finite(&lines, word)?;
            match (header.labels.len(), found) {
                (2, 0) => weight.extend([-value, value]),
                (2, _) => {}
                _ => weight.push(value),
            }
            found += 1;
        }
        if found != header.columns {
            return Err(lines.wrong(format!("found {found} weights, expected {}", header.columns)));
        }
        rows += 1;
    }
    if rows < n_rows {
        return Err(lines.wrong(format!("the file ends after {rows} of {n_rows} rows of weights: it is cut off")));
    }
    Ok(classifier(header, weight))
}

/// `weight` has the row of the bias at its end.
fn classifier(header: LiblinearHeader, mut weight: Vec<f64>) -> Classifier {
    let k = header.labels.len();
    let bias = (header.bias >= 0.0)
        .then(|| weight.split_off(header.n_features * k).into_iter().map(|w| w * header.bias).collect::<Vec<f64>>());
    let mut class_names = header.labels;
    if k == 2 {
        class_names.reverse();
    }
    Classifier {
        weight,
        bias,
        scaler: Scaler::default(),
        encoding: None,
        class_names,
        feature_names: None,
        image_shape: None,
        origin: Origin::Liblinear(Liblinear::new(header.solver)),
    }
}
