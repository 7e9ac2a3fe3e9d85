//! A model file in Python.

use crate::fit::{Coefficients, coefficients};
use crate::options::Options;
use crate::rows::{Matrix, refused, slice};
use crate::supervise::supervise;
use burn_svm::ClassIndices;
use burn_svm::internals::data::Scaler;
use burn_svm::internals::model::{BiasRule, Classifier, Liblinear, LiblinearSolver, Origin};
use burn_svm_cli::export::{self, ExportFormat};
use burn_svm_cli::model_file;
use numpy::PyReadonlyArray1;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::path::{Path, PathBuf};

/// A trained linear classifier as the program's model file holds it.
#[pyclass(frozen, module = "burn_svm._native")]
pub struct NativeModel(burn_svm::Model);

/// The objective that a model was trained for, as a dictionary in Python.
#[derive(IntoPyObject)]
struct ObjectiveOf {
    loss: &'static str,
    power: i64,
    smoothing: f64,
    /// λ
    strength: f64,
    n_samples: usize,
    bias: &'static str,
    bias_scale: f64,
}

#[pymethods]
impl NativeModel {
    /// From the bytes of a model file.
    #[staticmethod]
    fn from_bytes(bytes: &[u8]) -> PyResult<Self> {
        Classifier::from_bytes(bytes, Path::new("model")).map(|model| Self(model.into())).map_err(refused)
    }

    /// From a run folder, a model file or a text model of LIBLINEAR.
    #[staticmethod]
    fn load(path: PathBuf) -> PyResult<Self> {
        match model_file::load(&path) {
            Ok(model) => Ok(Self(model.into())),
            Err(error) => {
                let text = format!("{error}; {}", model_file::hint(&error));
                Err(if path.exists() { PyValueError::new_err(text) } else { PyOSError::new_err(text) })
            }
        }
    }

    /// Of weights `[n_features, n_classes]`, row after row, and a bias that somebody found, for the objective of the options.
    #[staticmethod]
    #[pyo3(signature = (weight, bias, names, options, n_samples))]
    #[allow(clippy::needless_pass_by_value)]
    fn of_weights(
        weight: PyReadonlyArray1<'_, f64>,
        bias: Option<PyReadonlyArray1<'_, f64>>,
        names: Vec<String>,
        options: Options,
        n_samples: usize,
    ) -> PyResult<Self> {
        let bias = bias.as_ref().map(|bias| slice(bias.as_slice()).map(<[f64]>::to_vec)).transpose()?;
        let weight = slice(weight.as_slice())?.to_vec();
        options.svm()?.model(weight, bias, &names, n_samples).map(Self).map_err(refused)
    }

    /// Of one-vs-rest weights `[n_features, n_classes]` for raw rows and a bias, trained as LIBLINEAR's solver of that power does.
    #[staticmethod]
    #[allow(clippy::needless_pass_by_value)]
    fn liblinear(
        weight: PyReadonlyArray1<'_, f64>,
        bias: PyReadonlyArray1<'_, f64>,
        names: Vec<String>,
        power: i64,
    ) -> PyResult<Self> {
        let (weight, bias) = (slice(weight.as_slice())?.to_vec(), slice(bias.as_slice())?.to_vec());
        if names.len() < 2
            || bias.len() != names.len()
            || weight.is_empty()
            || !weight.len().is_multiple_of(names.len())
        {
            return Err(PyValueError::new_err("weights: expected one for each feature and class"));
        }
        let solver = if power == 1 { LiblinearSolver::L2rL1lossSvcDual } else { LiblinearSolver::L2rL2lossSvcDual };
        let classifier = Classifier {
            weight,
            bias: Some(bias),
            scaler: Scaler { double_rows: true, ..Scaler::default() },
            encoding: None,
            class_names: names,
            feature_names: None,
            image_shape: None,
            origin: Origin::Liblinear(Liblinear::new(solver)),
        };
        Ok(Self(classifier.into()))
    }

    /// The bytes of the model file, with names of the features where some are given.
    #[pyo3(signature = (feature_names=None))]
    fn to_bytes<'py>(&self, py: Python<'py>, feature_names: Option<Vec<String>>) -> PyResult<Bound<'py, PyBytes>> {
        let model: &Classifier = self.0.as_ref();
        if feature_names.as_ref().is_some_and(|names| names.len() != model.n_features()) {
            return Err(PyValueError::new_err("feature names: expected one for each feature"));
        }
        let names = feature_names.or_else(|| model.feature_names.clone());
        Ok(PyBytes::new(py, &Classifier { feature_names: names, ..model.clone() }.to_bytes()))
    }

    /// The model in another program's format: npz, liblinear or onnx.
    fn export<'py>(&self, py: Python<'py>, format: &str) -> PyResult<Bound<'py, PyBytes>> {
        let wanted = ExportFormat::of_name(format)
            .ok_or_else(|| refused(format!("`{format}` is not a format: expected npz, liblinear or onnx")))?;
        let exported = export::export(self.0.as_ref(), wanted);
        Ok(PyBytes::new(py, &exported.map_err(|e| refused(format!("{e}; {}", e.hint)))?.bytes))
    }

    /// Names of the classes in the order of the scores.
    #[getter]
    fn class_names(&self) -> Vec<String> {
        self.0.class_names().to_vec()
    }

    /// Names of the features, where the model has them.
    #[getter]
    fn feature_names(&self) -> Option<Vec<String>> {
        AsRef::<Classifier>::as_ref(&self.0).feature_names.clone()
    }

    /// Height, width and channels, of a model of images.
    #[getter]
    fn image_shape(&self) -> Option<(usize, usize, usize)> {
        let shape = AsRef::<Classifier>::as_ref(&self.0).image_shape?;
        Some((shape.height, shape.width, shape.channels))
    }

    /// Weights `[n_classes, n_features]` and bias `[n_classes]` for raw rows.
    fn coefficients<'py>(&self, py: Python<'py>) -> PyResult<Coefficients<'py>> {
        coefficients(py, &self.0)
    }

    /// The temperature of the probabilities, where one was fitted.
    #[getter]
    fn temperature(&self) -> Option<f64> {
        AsRef::<Classifier>::as_ref(&self.0).calibration()?.temperature()
    }

    /// The objective that it was trained for; none for a model of LIBLINEAR.
    #[getter]
    fn objective(&self) -> Option<ObjectiveOf> {
        let training = AsRef::<Classifier>::as_ref(&self.0).training()?;
        let (bias, bias_scale) = match training.bias {
            BiasRule::Regularised { scale } => ("regularised", scale),
            BiasRule::Free => ("free", 1.0),
            BiasRule::None => ("none", 1.0),
        };
        Some(ObjectiveOf {
            loss: training.loss.name(),
            power: training.loss.set.power.into(),
            smoothing: training.loss.set.smoothing,
            strength: training.lambda,
            n_samples: training.n_samples,
            bias,
            bias_scale,
        })
    }

    /// The objective on rows, and bounds on its optimum: objective, lower bound, relative gap. A class index and a weight a row.
    #[pyo3(signature = (rows, classes, gap, threads, weights=None))]
    #[allow(clippy::needless_pass_by_value)]
    fn certify<'py>(
        &self,
        py: Python<'py>,
        rows: Matrix<'py>,
        classes: PyReadonlyArray1<'py, u32>,
        gap: f64,
        threads: usize,
        weights: Option<PyReadonlyArray1<'py, f32>>,
    ) -> PyResult<(f64, f64, f64)> {
        let rows = rows.rows()?;
        let labels = ClassIndices::new(self.0.class_names(), slice(classes.as_slice())?).map_err(refused)?;
        let weights = weights.as_ref().map(|weights| slice(weights.as_slice())).transpose()?;
        let outcome =
            supervise(py, threads, None, |mut watch| self.0.certify_with(&rows, &labels, weights, gap, &mut watch))?;
        match (outcome.value, outcome.exception) {
            (_, Some(exception)) => Err(exception),
            (Ok(proof), None) => Ok((proof.primal, proof.dual, proof.relative_gap)),
            (Err(error), None) => Err(refused(error)),
        }
    }
}
