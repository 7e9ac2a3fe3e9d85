//! The model file: safetensors, so that Python reads it in two lines.
//!
//! Tensors: `weight` `[n_features, n_classes]`, `bias` `[n_classes]`, both for preprocessed features, and `mean` and `scale`
//! `[n_features]` where the preprocessing uses them: scores are `((x − mean)/scale)·weight + bias`, with rows of length 1 before the
//! product where `preprocess` says so. `weight` and `bias` are F32 where that holds every number of theirs exactly (format version 1),
//! else F64 (format version 2), and so are `mean` and `scale` (format version 3): a model on the disk is the model that was measured.
//! Format version 4 has models of tables with an encoding, the metadata `encoding`: `weight` is then of the features that it makes.
//! Format version 3 has models of rows in double precision besides, whose `preprocess` says `"double_rows": true`; of all others x is
//! rounded to single precision first. Metadata: every value is text, those that are not plain words are JSON.
//! The header is written with sorted keys, so that equal models are equal byte for byte.

use super::{Classifier, Liblinear, LiblinearSolver, Origin};
use crate::calibration::Calibrator;
use crate::data::precision::single;
use crate::data::{Encoding, Scaler};
use crate::durable;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// The name of the model file in a folder.
pub const MODEL_FILE: &str = "model.safetensors";

/// The newest format version that this program reads and writes: tables with an encoding.
pub const FORMAT_VERSION: u32 = 4;

/// The format version of models whose rows or preprocessing are in double precision.
const DOUBLE_VERSION: u32 = 3;

/// The format version of models whose weights alone need double precision.
const WEIGHT_VERSION: u32 = 2;

/// The format version of models whose numbers are all of single precision.
const SINGLE_VERSION: u32 = 1;

/// The version of the metadata `calibration`, which older files and models without one do not have.
const CALIBRATION_VERSION: u32 = 1;

/// A model file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelFileError {
    /// The path is not there, or cannot be read or written.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// The content is not a model.
    #[error("{file}: {problem}")]
    Content {
        /// The file.
        file: PathBuf,
        /// Content found and expected.
        problem: String,
    },
    /// A line of a text model is not as expected.
    #[error("{file}:{line}: {problem}")]
    Line {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Content found and expected.
        problem: String,
    },
}

/// The numbers of a tensor in the order of the file.
struct TensorNumbers<'a> {
    values: &'a [f64],
    /// Whether single precision holds them all.
    single: bool,
}

impl TensorNumbers<'_> {
    const fn dtype(&self) -> &'static str {
        if self.single { "F32" } else { "F64" }
    }

    #[allow(clippy::cast_possible_truncation)]
    fn write(&self, out: &mut Vec<u8>) {
        if self.single {
            self.values.iter().for_each(|v| out.extend((*v as f32).to_le_bytes()));
        } else {
            self.values.iter().for_each(|v| out.extend(v.to_le_bytes()));
        }
    }
}

/// Whether single precision holds all of them to the last bit.
fn are_single<'a>(mut values: impl Iterator<Item = &'a f64>) -> bool {
    values.all(|&v| single(v).to_bits() == v.to_bits())
}

impl Classifier {
    /// The model as the bytes of a safetensors file.
    ///
    /// The `safetensors` crate keeps metadata in a hash map, whose order changes from run to run; the header is small, so it is
    /// written here in sorted order.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (d, k) = (self.n_features(), self.n_classes());
        let Scaler { mean, scale, double_rows, .. } = &self.scaler;
        let weights = are_single(self.weight.iter().chain(self.bias.iter().flatten()));
        let fitted = are_single(mean.iter().chain(scale).flatten());
        let version = match (*double_rows || !fitted, weights) {
            _ if self.encoding.is_some() => FORMAT_VERSION,
            (true, _) => DOUBLE_VERSION,
            (false, false) => WEIGHT_VERSION,
            (false, true) => SINGLE_VERSION,
        };
        let mut tensors = vec![("weight", vec![d, k], TensorNumbers { values: &self.weight, single: weights })];
        let vectors = [("bias", k, &self.bias, weights), ("mean", d, mean, fitted), ("scale", d, scale, fitted)];
        for (name, length, values, single) in vectors {
            tensors.extend(values.as_ref().map(|values| (name, vec![length], TensorNumbers { values, single })));
        }
        let mut header: BTreeMap<&str, Value> = BTreeMap::new();
        let mut data = Vec::new();
        for (name, shape, values) in tensors {
            let start = data.len();
            values.write(&mut data);
            let offsets = [start, data.len()];
            header.insert(name, json!({"dtype": values.dtype(), "shape": shape, "data_offsets": offsets}));
        }
        header.insert("__metadata__", self.metadata(version));
        let mut text = serde_json::to_string(&header).unwrap_or_default().into_bytes();
        text.resize(text.len().next_multiple_of(8), b' ');
        let mut file = (text.len() as u64).to_le_bytes().to_vec();
        file.extend(text);
        file.extend(data);
        file
    }

    fn metadata(&self, version: u32) -> Value {
        let text = |value: Value| Value::String(value.to_string());
        let mut metadata = json!({
            "format": "burn-svm",
            "format_version": version.to_string(),
            "class_names": text(json!(self.class_names)),
            "image_shape": text(json!(self.image_shape)),
        });
        if let Some(names) = &self.feature_names {
            metadata["feature_names"] = text(json!(names));
        }
        if let Some(encoding) = &self.encoding {
            metadata["encoding"] = text(json!(encoding));
        }
        let mut preprocess = json!({"unit_row": self.scaler.unit_row});
        if self.scaler.double_rows {
            preprocess["double_rows"] = true.into();
        }
        match &self.origin {
            Origin::Trained(t) => {
                (preprocess["center"], preprocess["scale"]) = (json!(t.center), json!(t.scale));
                metadata["loss"] = text(json!(t.loss));
                metadata["objective"] = text(json!({"lambda": t.lambda, "n_samples": t.n_samples, "bias": t.bias}));
                metadata["config"] = t.config.as_str().into();
                if let Some(map) = &t.calibration {
                    metadata["calibration"] = text(json!({"version": CALIBRATION_VERSION, "map": map}));
                }
            }
            Origin::Liblinear(model) => {
                metadata["liblinear_solver"] = model.solver.name().into();
            }
        }
        metadata["preprocess"] = text(preprocess);
        metadata
    }

    /// Reads a model from the bytes of its file; `file` is named in errors.
    ///
    /// # Errors
    /// [`ModelFileError::Content`] when the bytes are not a model of this program, or of a newer version.
    pub fn from_bytes(bytes: &[u8], file: &Path) -> Result<Self, ModelFileError> {
        let wrong = |problem: String| ModelFileError::Content { file: file.to_path_buf(), problem };
        let (_, metadata) =
            SafeTensors::read_metadata(bytes).map_err(|e| wrong(format!("not a safetensors file: {e}")))?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| wrong(format!("not a safetensors file: {e}")))?;
        let metadata = metadata.metadata().clone().unwrap_or_default();
        let metadata = Metadata { entries: metadata, file };
        if metadata.entries.get("format").map(String::as_str) != Some("burn-svm") {
            return Err(wrong(
                "a safetensors file, but not a burn-svm model (metadata `format` is not `burn-svm`)".into(),
            ));
        }
        let version = metadata.entry("format_version")?;
        if version.parse::<u32>().map_or(true, |v| v == 0 || v > FORMAT_VERSION) {
            return Err(wrong(format!("model format version `{version}`, expected at most {FORMAT_VERSION}")));
        }
        let origin = metadata.origin()?;
        let class_names: Vec<String> = serde_json::from_value(metadata.parse("class_names")?)
            .map_err(|e| wrong(format!("metadata `class_names`: {e}")))?;
        let feature_names: Option<Vec<String>> = match metadata.entries.get("feature_names") {
            None => None,
            Some(_) => serde_json::from_value(metadata.parse("feature_names")?)
                .map_err(|e| wrong(format!("metadata `feature_names`: {e}")))?,
        };
        let encoding = metadata.encoding()?;
        let image_shape = serde_json::from_value(metadata.parse("image_shape")?)
            .map_err(|e| wrong(format!("metadata `image_shape`: {e}")))?;
        let (weight, shape) =
            tensor(&tensors, "weight", &wrong)?.ok_or_else(|| wrong("tensor `weight` is missing".into()))?;
        let k = class_names.len();
        if shape.len() != 2 || shape[0] == 0 || shape[1] != k || k < 2 {
            return Err(wrong(format!("tensor `weight` has shape {shape:?}, expected [n_features, {k}]")));
        }
        if encoding.as_ref().is_some_and(|encoding| !encoding.is_sound(shape[0])) {
            return Err(wrong(format!("metadata `encoding` does not make the {} features of `weight`", shape[0])));
        }
        if let Origin::Trained(training) = &origin
            && let Err(misfit) = training.loss.check(k)
        {
            return Err(wrong(format!("metadata `loss`: {misfit}")));
        }
        if origin_calibration(&origin).is_some_and(|map| !map.fits(k)) {
            return Err(wrong(format!("metadata `calibration` has not finite parameters for each of {k} classes")));
        }
        let vector = |name: &str, length: usize| match tensor(&tensors, name, &wrong)? {
            Some((_, shape)) if shape != [length] => {
                Err(wrong(format!("tensor `{name}` has shape {shape:?}, expected [{length}]")))
            }
            found => Ok(found.map(|(values, _)| values)),
        };
        let (bias, mean, scale) = (vector("bias", k)?, vector("mean", shape[0])?, vector("scale", shape[0])?);
        if let Some(bad) = scale.iter().flatten().find(|&&s| s == 0.0) {
            return Err(wrong(format!("tensor `scale` holds {bad}, expected divisors other than 0")));
        }
        let preprocess = metadata.parse("preprocess")?;
        let is_set = |key: &str| field(&preprocess, key) == Value::Bool(true);
        let (unit_row, double_rows) = (is_set("unit_row"), is_set("double_rows"));
        Ok(Self {
            weight,
            bias,
            scaler: Scaler { mean, scale, unit_row, double_rows },
            encoding,
            class_names,
            feature_names,
            image_shape,
            origin,
        })
    }

    /// Writes the model file, all or nothing: a half file never passes for a whole one.
    ///
    /// # Errors
    /// [`ModelFileError::Io`] when the file cannot be written.
    pub fn save(&self, file: &Path) -> Result<(), ModelFileError> {
        let io = |source| ModelFileError::Io { file: file.to_path_buf(), source };
        durable::write(file, &self.to_bytes()).map_err(io)
    }

    /// Reads a model file, or the `model.safetensors` of a folder.
    ///
    /// # Errors
    /// [`ModelFileError`] when it is not there or not a model.
    pub fn load(path: &Path) -> Result<Self, ModelFileError> {
        let file = if path.is_dir() { path.join(MODEL_FILE) } else { path.to_path_buf() };
        let bytes = std::fs::read(&file).map_err(|source| ModelFileError::Io { file: file.clone(), source })?;
        Self::from_bytes(&bytes, &file)
    }
}

fn origin_calibration(origin: &Origin) -> Option<&Calibrator> {
    match origin {
        Origin::Trained(training) => training.calibration.as_ref(),
        Origin::Liblinear(_) => None,
    }
}

fn field(value: &Value, key: &str) -> Value {
    value.get(key).cloned().unwrap_or(Value::Null)
}

/// The metadata of a file, and its name for errors.
struct Metadata<'a> {
    entries: HashMap<String, String>,
    file: &'a Path,
}

impl Metadata<'_> {
    fn wrong(&self, problem: String) -> ModelFileError {
        ModelFileError::Content { file: self.file.to_path_buf(), problem }
    }

    fn entry(&self, key: &str) -> Result<&String, ModelFileError> {
        self.entries.get(key).ok_or_else(|| self.wrong(format!("metadata `{key}` is missing")))
    }

    fn parse(&self, key: &str) -> Result<Value, ModelFileError> {
        serde_json::from_str(self.entry(key)?).map_err(|e| self.wrong(format!("metadata `{key}`: {e}")))
    }

    fn encoding(&self) -> Result<Option<Encoding>, ModelFileError> {
        if !self.entries.contains_key("encoding") {
            return Ok(None);
        }
        let wrong = |e: serde_json::Error| self.wrong(format!("metadata `encoding`: {e}"));
        serde_json::from_value(self.parse("encoding")?).map(Some).map_err(wrong)
    }

    /// The map of the calibration; null where there is none.
    fn calibration(&self) -> Result<Value, ModelFileError> {
        if !self.entries.contains_key("calibration") {
            return Ok(Value::Null);
        }
        let calibration = self.parse("calibration")?;
        match field(&calibration, "version") {
            Value::Number(version) if (1..=u64::from(CALIBRATION_VERSION)).contains(&version.as_u64().unwrap_or(0)) => {
                Ok(field(&calibration, "map"))
            }
            found => Err(self
                .wrong(format!("metadata `calibration` has version {found}, expected at most {CALIBRATION_VERSION}"))),
        }
    }

    /// Source of the weights, from the metadata.
    fn origin(&self) -> Result<Origin, ModelFileError> {
        if let Some(name) = self.entries.get("liblinear_solver") {
            let solver = LiblinearSolver::of_name(name).ok_or_else(|| {
                self.wrong(format!("metadata `liblinear_solver` is `{name}`, which is no classifier"))
            })?;
            return Ok(Origin::Liblinear(Liblinear::new(solver)));
        }
        let (preprocess, objective) = (self.parse("preprocess")?, self.parse("objective")?);
        serde_json::from_value(json!({
            "loss": self.parse("loss")?,
            "lambda": field(&objective, "lambda"),
            "n_samples": field(&objective, "n_samples"),
            "bias": field(&objective, "bias"),
            "center": field(&preprocess, "center"),
            "scale": field(&preprocess, "scale"),
            "config": self.entry("config")?,
            "calibration": self.calibration()?,
        }))
        .map(Origin::Trained)
        .map_err(|e| self.wrong(format!("metadata: {e}")))
    }
}

type TensorValues = (Vec<f64>, Vec<usize>);

fn tensor(
    tensors: &SafeTensors<'_>,
    name: &str,
    wrong: &impl Fn(String) -> ModelFileError,
) -> Result<Option<TensorValues>, ModelFileError> {
    let Ok(view) = tensors.tensor(name) else {
        return Ok(None);
    };
    let values = floats(&view)
        .ok_or_else(|| wrong(format!("tensor `{name}` has type {:?}, expected F32 or F64", view.dtype())))?;
    if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
        return Err(wrong(format!("tensor `{name}` holds {bad}, expected finite numbers")));
    }
    Ok(Some((values, view.shape().to_vec())))
}

/// The numbers of a tensor; `None` for other types.
fn floats(view: &TensorView<'_>) -> Option<Vec<f64>> {
    let data = view.data();
    match view.dtype() {
        Dtype::F32 => Some(data.as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect()),
        Dtype::F64 => Some(data.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
