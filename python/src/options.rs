//! The options of an estimator as Python hands them over, and the library's of them.

use crate::rows::refused;
use burn_svm::internals::loss::Formulation;
use burn_svm::{BiasRule, Calibration, Loss, Power, SolverConfig, Svm};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde_json::Value;

/// A dictionary with all of these keys.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Options {
    loss: String,
    power: i64,
    margin: f64,
    smoothing: f64,
    k: Option<usize>,
    costs: Option<Vec<Vec<f64>>>,
    /// `c`, `lambda` or `reg`, and its number.
    strength: (String, f64),
    /// `regularised`, `free` or `none`.
    bias: String,
    bias_scale: f64,
    class_weights: Option<Vec<f64>>,
    /// The `[solver]` table as JSON.
    solver: String,
    center: String,
    scale: String,
    calibration: String,
    device: String,
    seed: u64,
    double: bool,
    /// 1 or more.
    pub threads: usize,
}

/// A word as a value of the library, in whose configuration it is spelled so.
fn word<T: serde::de::DeserializeOwned>(key: &str, text: &str) -> PyResult<T> {
    serde_json::from_value(Value::from(text)).map_err(|e| PyValueError::new_err(format!("{key}: {e}")))
}

impl Options {
    /// Whether the preprocessing is made of sums over the columns.
    pub fn needs_sums(&self) -> bool {
        self.center != "none" || matches!(self.scale.as_str(), "std" | "minmax")
    }

    pub fn loss(&self) -> PyResult<Loss> {
        let formulation: Formulation = word("loss", &self.loss)?;
        let power = Power::try_from(self.power).map_err(|e| PyValueError::new_err(format!("power: {e}")))?;
        let mut loss = Loss::new(formulation, self.margin, power).smoothing(self.smoothing);
        if let Some(k) = self.k {
            loss = loss.k(k);
        }
        if let Some(costs) = &self.costs {
            loss = loss.costs(costs);
        }
        if let Some(weights) = &self.class_weights {
            loss = loss.class_weights(weights.clone());
        }
        Ok(loss)
    }

    pub fn bias(&self) -> PyResult<BiasRule> {
        match self.bias.as_str() {
            "regularised" => Ok(BiasRule::Regularised { scale: self.bias_scale }),
            other => word("bias", other),
        }
    }

    pub fn svm(&self) -> PyResult<Svm> {
        let solver: SolverConfig = serde_json::from_str(&self.solver).map_err(|e| {
            PyValueError::new_err(format!("solver: {}", e.to_string().split(" at line").next().unwrap_or("")))
        })?;
        let calibration: Calibration = word("calibration", &self.calibration)?;
        let svm = Svm::new(self.loss()?)
            .bias(self.bias()?)
            .center(word("center", &self.center)?)
            .scale(word("scale", &self.scale)?)
            .solver(solver)
            .device(self.device.parse().map_err(|e: String| refused(format!("device: {e}")))?)
            .calibration(calibration)
            .seed(self.seed)
            .double(self.double);
        match (self.strength.0.as_str(), self.strength.1) {
            ("c", c) => Ok(svm.c(c)),
            ("lambda", lambda) => Ok(svm.lambda(lambda)),
            ("reg", reg) => Ok(svm.reg(reg)),
            (other, _) => Err(refused(format!("strength: found `{other}`, expected `c`, `lambda` or `reg`"))),
        }
    }
}
