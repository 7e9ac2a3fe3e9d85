//! A model in the formats of other programs, for raw features: preprocessing is folded into weights in double precision.
//!
//! | format | holds | scores |
//! |---|---|---|
//! | `npz` | `weight` `[n_features, n_classes]`, `bias` and `classes` `[n_classes]`, of a table the names `features` | `x @ weight + bias` |
//! | `liblinear` | the text model of LIBLINEAR | its `predict` |
//! | `onnx` | a graph with opset 13: `features`, or the columns of a table, to `scores`, `label`, `class` and `probabilities` | any ONNX runtime |
//!
//! Dividing a row by its length is not affine: only ONNX can hold a model with `scale = "unit-row"`.

mod liblinear;
mod npz;
mod onnx;

use crate::data::Encoding;
use crate::model::Classifier;
use clap::ValueEnum;
use std::io;
use std::path::Path;
use std::str::FromStr;

/// The format of an exported model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Arrays for NumPy.
    Npz,
    /// LIBLINEAR's text model.
    Liblinear,
    /// An ONNX graph.
    Onnx,
}

impl ExportFormat {
    /// The format of a name, as the command line has it.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::from_str(name, false).ok()
    }
}

/// A model that a format cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct ExportError {
    /// Part of the model that the format cannot express.
    pub problem: String,
    /// Advice for the user.
    pub hint: String,
}

/// An exported model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportFile {
    /// The content of the file.
    pub bytes: Vec<u8>,
    /// Remarks for the user.
    pub notes: Vec<String>,
}

impl ExportFile {
    /// Writes the file, all or nothing: a half file never passes for a whole one.
    ///
    /// # Errors
    /// The error of the system.
    pub fn save(&self, file: &Path) -> io::Result<()> {
        crate::durable::write(file, &self.bytes)
    }
}

/// The model in another program's format.
///
/// # Errors
/// [`ExportError`] when the format cannot hold it: rows of unit length in npz and LIBLINEAR, more than 2 GiB in ONNX.
pub fn export(model: &Classifier, format: ExportFormat) -> Result<ExportFile, ExportError> {
    let mut file = match format {
        ExportFormat::Npz => npz::write(model)?,
        ExportFormat::Liblinear => liblinear::write(model)?,
        ExportFormat::Onnx => return onnx::write(model),
    };
    if model.calibration().is_some() {
        file.notes.push("the calibration is left out: scores, and no probabilities; `--to onnx` has both".into());
    }
    Ok(file)
}

/// Weights and bias for raw features, where there are such.
fn affine(model: &Classifier, format: &str) -> Result<(Vec<f64>, Vec<f64>), ExportError> {
    let (weight, mut bias) = model.folded_weights().ok_or_else(|| ExportError {
        problem: format!(
            "the model divides each row by its length (scale = \"unit-row\"), which no weights of {format} can hold"
        ),
        hint: "`--to onnx` can hold it; or train on rows that have unit length in the file, without `scale`".into(),
    })?;
    // Columns of numbers are taken as they are in the table.
    for (j, origin) in model.encoding.iter().flat_map(Encoding::origins) {
        bias.iter_mut().zip(&weight[j * model.n_classes()..]).for_each(|(b, w)| *b -= origin * w);
    }
    Ok((weight, bias))
}

/// A note on the encoding of a model of a table, which weights alone do not have.
fn encoding_note(model: &Classifier, format: &str) -> Option<String> {
    let names = model.encoding.as_ref()?.names();
    Some(format!(
        "{format} holds no encoding: `x` has {} columns, {}, with missing values filled in; `--to onnx` takes the table as it comes",
        names.len(),
        crate::visible::listed(&names)
    ))
}

/// A note on the digits of folded weights for rows far from zero.
fn folded_note(model: &Classifier, bias: &[f64]) -> Vec<String> {
    let largest = bias.iter().fold(0.0f64, |most, b| most.max(b.abs()));
    let off = largest * f64::EPSILON;
    let note = || {
        format!(
            "features lie far from zero: `bias` is as large as {largest:.1e}, so that scores by these weights hold to about {off:.0e}; \
             `model.safetensors` has the mean apart"
        )
    };
    model.scaler.double_rows.then(note).into_iter().collect()
}

fn too_large(model: &Classifier, format: &str, most: &str) -> ExportError {
    ExportError {
        problem: format!(
            "{} x {} weights in double precision are more than {format} holds: at most {most}",
            model.n_features(),
            model.n_classes()
        ),
        hint: "`model.safetensors` itself has no such limit, and Python reads it".into(),
    }
}

/// The class names as integers, where all are and differ.
fn integers<T: FromStr + Ord + Copy>(names: &[String]) -> Option<Vec<T>> {
    let numbers: Option<Vec<T>> = names.iter().map(|name| name.parse().ok()).collect();
    numbers.filter(|numbers| {
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        sorted.windows(2).all(|pair| pair[0] != pair[1])
    })
}
