//! The model file: safetensors, so that Python reads it in two lines.
//!
//! Tensors: `weight` `[n_features, n_classes]`, `bias` `[n_classes]`, both for preprocessed features, and `mean` and `scale`
//! `[n_features]` where the preprocessing uses them. Metadata: every value is text, those that are not plain words are JSON.
//! The header is written with sorted keys, so that equal models are equal byte for byte. LIBLINEAR's model files are read too:
//! [`super::liblinear`].

use super::classifier::{Classifier, Origin};
use super::liblinear::{self, Liblinear, LiblinearSolver};
use crate::calibration::Calibrator;
use crate::data::Scaler;
use crate::data::format::limit;
use crate::durable::{self, Refusal};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// The format version that this program writes.
pub const FORMAT_VERSION: u32 = 1;

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
        /// What the system says.
        source: std::io::Error,
    },
    /// The content is not a model.
    #[error("{file}: {problem}")]
    Content {
        /// The file.
        file: PathBuf,
        /// What was found and what was expected.
        problem: String,
    },
    /// A line of a text model is not what it should be.
    #[error("{file}:{line}: {problem}")]
    Line {
        /// The file.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What was found and what was expected.
        problem: String,
    },
}

impl ModelFileError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Io { source, .. } => Refusal::of(source)
                .and_then(Refusal::hint)
                .unwrap_or("MODEL is a run folder or its `model.safetensors`"),
            Self::Content { .. } => "MODEL is a run folder or its `model.safetensors`, written by `burn-svm train`",
            Self::Line { .. } => {
                "MODEL may be a text model as LIBLINEAR's `train` writes it, of a classifier of two classes or more"
            }
        }
    }
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

impl Classifier {
    /// The model as the bytes of a safetensors file.
    ///
    /// The `safetensors` crate keeps metadata in a hash map, whose order changes from run to run; the header is small, so it is
    /// written here in sorted order. Weights that were read in double precision are written in single.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (d, k) = (self.n_features(), self.n_classes());
        let mut tensors: Vec<(&str, Vec<usize>, &[f32])> = vec![("weight", vec![d, k], &self.weight)];
        if let Some(bias) = &self.bias {
            tensors.push(("bias", vec![k], bias));
        }
        if let Some(mean) = &self.scaler.mean {
            tensors.push(("mean", vec![d], mean));
        }
        if let Some(scale) = &self.scaler.scale {
            tensors.push(("scale", vec![d], scale));
        }
        let mut header: BTreeMap<&str, Value> = BTreeMap::new();
        let mut data = Vec::new();
        for (name, shape, values) in tensors {
            let start = data.len();
            data.extend(bytes_of(values));
            header.insert(name, json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]}));
        }
        header.insert("__metadata__", self.metadata());
        let mut text = serde_json::to_string(&header).unwrap_or_default().into_bytes();
        text.resize(text.len().next_multiple_of(8), b' ');
        let mut file = (text.len() as u64).to_le_bytes().to_vec();
        file.extend(text);
        file.extend(data);
        file
    }

    fn metadata(&self) -> Value {
        let text = |value: Value| Value::String(value.to_string());
        let mut metadata = json!({
            "format": "burn-svm",
            "format_version": FORMAT_VERSION.to_string(),
            "class_names": text(json!(self.class_names)),
            "image_shape": text(json!(self.image_shape)),
        });
        if let Some(names) = &self.feature_names {
            metadata["feature_names"] = text(json!(names));
        }
        let unit_row = self.scaler.unit_row;
        match &self.origin {
            Origin::Trained(t) => {
                metadata["preprocess"] = text(json!({"center": t.center, "scale": t.scale, "unit_row": unit_row}));
                metadata["loss"] = text(json!(t.loss));
                metadata["objective"] = text(json!({"lambda": t.lambda, "n_samples": t.n_samples, "bias": t.bias}));
                metadata["config"] = t.config.as_str().into();
                if let Some(map) = &t.calibration {
                    metadata["calibration"] = text(json!({"version": CALIBRATION_VERSION, "map": map}));
                }
            }
            Origin::Liblinear(model) => {
                metadata["preprocess"] = text(json!({"unit_row": unit_row}));
                metadata["liblinear_solver"] = model.solver.name().into();
            }
        }
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
        let mut origin = metadata.origin()?;
        let class_names: Vec<String> = serde_json::from_value(metadata.parse("class_names")?)
            .map_err(|e| wrong(format!("metadata `class_names`: {e}")))?;
        let feature_names: Option<Vec<String>> = match metadata.entries.get("feature_names") {
            None => None,
            Some(_) => serde_json::from_value(metadata.parse("feature_names")?)
                .map_err(|e| wrong(format!("metadata `feature_names`: {e}")))?,
        };
        let image_shape = serde_json::from_value(metadata.parse("image_shape")?)
            .map_err(|e| wrong(format!("metadata `image_shape`: {e}")))?;
        let (weight, shape) =
            tensor(&tensors, "weight", &wrong)?.ok_or_else(|| wrong("tensor `weight` is missing".into()))?;
        let k = class_names.len();
        if shape.len() != 2 || shape[0] == 0 || shape[1] != k || k < 2 {
            return Err(wrong(format!("tensor `weight` has shape {shape:?}, expected [n_features, {k}]")));
        }
        if let Origin::Trained(training) = &origin
            && training.loss.class_weights.as_ref().is_some_and(|w| w.len() != k)
        {
            return Err(wrong(format!("metadata `loss` has not one class weight for each of {k} classes")));
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
        let unit_row = field(&metadata.parse("preprocess")?, "unit_row") == Value::Bool(true);
        if let Origin::Liblinear(model) = &mut origin {
            model.weight = weight.iter().map(|&v| f64::from(v)).collect();
            model.bias = bias.as_ref().map(|b| b.iter().map(|&v| f64::from(v)).collect());
        }
        Ok(Self {
            weight,
            bias,
            scaler: Scaler { mean, scale, unit_row },
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

    /// Reads a model file, or the one in a run folder, or a model file of LIBLINEAR, told by its first word.
    ///
    /// # Errors
    /// [`ModelFileError`] when it is not there or not a model.
    pub fn load(path: &Path) -> Result<Self, ModelFileError> {
        const NAME: &str = "model.safetensors";
        let (file, bytes) = if path.is_dir() {
            (path.join(NAME), durable::read_below(path, NAME, limit::get()))
        } else {
            (path.to_path_buf(), durable::read(path, limit::get()))
        };
        let bytes = bytes.map_err(|source| ModelFileError::Io { file: file.clone(), source })?;
        if liblinear::detect(&bytes) { liblinear::read(&bytes, &file) } else { Self::from_bytes(&bytes, &file) }
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

    /// Where the model comes from; the weights of LIBLINEAR's are yet to be filled in.
    fn origin(&self) -> Result<Origin, ModelFileError> {
        if let Some(name) = self.entries.get("liblinear_solver") {
            let solver = LiblinearSolver::of_name(name).ok_or_else(|| {
                self.wrong(format!("metadata `liblinear_solver` is `{name}`, which is no classifier"))
            })?;
            return Ok(Origin::Liblinear(Liblinear::new(solver, Vec::new(), None)));
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

type Values = (Vec<f32>, Vec<usize>);

fn tensor(
    tensors: &SafeTensors<'_>,
    name: &str,
    wrong: &impl Fn(String) -> ModelFileError,
) -> Result<Option<Values>, ModelFileError> {
    let Ok(view) = tensors.tensor(name) else {
        return Ok(None);
    };
    let values =
        floats(&view).ok_or_else(|| wrong(format!("tensor `{name}` has type {:?}, expected F32", view.dtype())))?;
    if let Some(bad) = values.iter().find(|v| !v.is_finite()) {
        return Err(wrong(format!("tensor `{name}` holds {bad}, expected finite numbers")));
    }
    Ok(Some((values, view.shape().to_vec())))
}

fn floats(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let chunks = view.data().chunks_exact(4);
    (view.dtype() == Dtype::F32).then(|| chunks.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Center, ImageShape, Scale};
    use crate::loss::{Formulation, Loss, Power};
    use crate::model::{BiasRule, Training};

    fn sample() -> Classifier {
        Classifier {
            weight: vec![1.0, -2.0, 0.5, 0.25, 3.0, -0.125],
            bias: Some(vec![0.1, 0.2]),
            scaler: Scaler { mean: Some(vec![1.0, 2.0, 3.0]), scale: None, unit_row: true },
            class_names: vec!["cat".into(), "dög \"x\"".into()],
            feature_names: Some(vec!["a".into(), "b".into(), "c \"d\"".into()]),
            image_shape: Some(ImageShape { channels: 1, height: 1, width: 3 }),
            origin: Origin::Trained(Training {
                loss: Loss {
                    class_weights: Some(vec![1.0, 0.5]),
                    ..Loss::new(Formulation::CrammerSinger, 2.0, Power::Two)
                },
                lambda: 0.1 + 0.2,
                n_samples: 7,
                bias: BiasRule::Regularised { scale: 2.0 },
                center: Center::Mean,
                scale: Scale::UnitRow,
                config: "seed = 0\n".into(),
                calibration: None,
            }),
        }
    }

    #[test]
    fn a_model_survives_its_file_and_the_bytes_are_always_the_same() {
        let model = sample();
        let bytes = model.to_bytes();
        assert_eq!(Classifier::from_bytes(&bytes, Path::new("m")).unwrap(), model);
        assert_eq!(bytes, sample().to_bytes());
        // The crate of the format's authors reads our header.
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(tensors.tensor("weight").unwrap().shape(), [3, 2]);
    }

    fn calibrated(map: Calibrator) -> Classifier {
        let mut model = sample();
        if let Origin::Trained(training) = &mut model.origin {
            training.calibration = Some(map);
        }
        model
    }

    #[test]
    fn a_calibration_survives_the_file_and_is_checked() {
        let load = |bytes: &[u8]| Classifier::from_bytes(bytes, Path::new("m"));
        for map in [
            Calibrator::Temperature { temperature: 0.1 + 0.2 },
            Calibrator::Platt { slope: vec![1.5, -0.25], offset: vec![0.0, 1e-9] },
        ] {
            let model = calibrated(map);
            assert_eq!(load(&model.to_bytes()).unwrap(), model);
        }
        for map in [
            Calibrator::Temperature { temperature: -1.0 },
            Calibrator::Platt { slope: vec![1.0; 3], offset: vec![1.0; 3] },
        ] {
            let error = load(&calibrated(map).to_bytes()).unwrap_err().to_string();
            assert_eq!(error, "m: metadata `calibration` has not finite parameters for each of 2 classes");
        }
        let whole = calibrated(Calibrator::Temperature { temperature: 2.0 }).to_bytes();
        for (from, to, problem) in [
            ("version\\\":1", "version\\\":2", "m: metadata `calibration` has version 2, expected at most 1"),
            ("method\\\":\\\"temperature", "method\\\":\\\"temperatura", "unknown variant `temperatura`"),
        ] {
            let at = whole.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
            let mut bytes = whole.clone();
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            let error = load(&bytes).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }

    #[test]
    fn damaged_files_are_refused_in_a_sentence() {
        let bytes = sample().to_bytes();
        for cut in [0, 7, 8, 100, bytes.len() - 1] {
            let error = Classifier::from_bytes(&bytes[..cut], Path::new("m")).unwrap_err().to_string();
            assert!(error.starts_with("m: not a safetensors file"), "{error}");
        }
        let key = b"\"format_version\":\"";
        let newer = bytes.windows(key.len()).position(|w| w == key).unwrap();
        let mut changed = bytes.clone();
        changed[newer + key.len()] = b'9';
        let error = Classifier::from_bytes(&changed, Path::new("m")).unwrap_err().to_string();
        assert_eq!(error, "m: model format version `9`, expected at most 1");
        let mut infinite = bytes.clone();
        let end = bytes.len();
        infinite[end - 4..].copy_from_slice(&f32::INFINITY.to_le_bytes());
        let error = Classifier::from_bytes(&infinite, Path::new("m")).unwrap_err().to_string();
        assert_eq!(error, "m: tensor `mean` holds inf, expected finite numbers");
    }
}
