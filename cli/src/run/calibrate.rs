//! Calibration of a finished model: on the validation rows, or on scores out of fold.

use super::measure::{CalibrationReport, compare};
use super::setup::{Setup, classifier, problem};
use super::{PreparedData, RunError, encoded_on};
use crate::calibration::{Calibration, Calibrator, FOLDS, temperature_at_end};
use crate::config::LoadedConfig;
use crate::data::folds::stratified;
use crate::device::{self, OpenDevice};
use crate::model::{Classifier, Origin};
use crate::solver::{LogEntry, Observer, Problem, SolveError};

/// Scores of rows that their model has not learned from.
struct HeldOutScores {
    /// `[rows, n_classes]`
    scores: Vec<f64>,
    labels: Vec<usize>,
    /// The number of folds, where there are some.
    folds: Option<usize>,
}

/// Folds of a calibration; `None` where it is fitted on the validation rows.
fn folds(config: &LoadedConfig, prepared: &PreparedData) -> Option<usize> {
    let given = config.run.calibration.folds.map(|folds| folds.get());
    given.or_else(|| prepared.split.validation.is_empty().then_some(FOLDS))
}

/// Fits the calibration of a method and gives it to the model; `None` without a method, and where a model of a fold was interrupted.
///
/// # Errors
/// [`RunError`] when a fold cannot be trained.
pub(super) fn calibrate(
    config: &LoadedConfig,
    prepared: &PreparedData,
    device: &OpenDevice,
    model: &mut Classifier,
    observer: &mut dyn Observer,
) -> Result<Option<CalibrationReport>, RunError> {
    let method = config.run.calibration.method;
    if method == Calibration::None {
        return Ok(None);
    }
    let held_out = match folds(config, prepared) {
        Some(folds) => out_of_fold(config, prepared, device, folds, observer)?,
        None => Some(validation(prepared, model)),
    };
    let Some(HeldOutScores { scores, labels, folds }) = held_out else { return Ok(None) };
    let Some(calibrator) = Calibrator::fit(method, &scores, &labels, model.n_classes()) else { return Ok(None) };
    let (data, split) = (&prepared.data, &prepared.split);
    let measured = |rows: &[u32]| compare(model, &calibrator, &data.features, &data.labels, rows);
    let at_end = |t: f64| temperature_at_end(&scores, &labels, model.n_classes(), t);
    let report = CalibrationReport {
        method: calibrator.name().into(),
        temperature: calibrator.temperature(),
        temperature_at_end: calibrator.temperature().is_some_and(at_end),
        rows: labels.len(),
        folds,
        validation: measured(&split.validation),
        test: measured(&split.test),
    };
    if let Origin::Trained(training) = &mut model.origin {
        training.calibration = Some(calibrator);
    }
    Ok(Some(report))
}

fn validation(prepared: &PreparedData, model: &Classifier) -> HeldOutScores {
    let (data, rows) = (&prepared.data, &prepared.split.validation);
    let labels = rows.iter().map(|&r| data.labels[r as usize] as usize).collect();
    HeldOutScores { scores: model.scores(&data.features, rows), labels, folds: None }
}

/// Watches over the models of the folds: they can be interrupted, and are otherwise silent.
struct FoldObserver<'a>(&'a mut dyn Observer);

impl Observer for FoldObserver<'_> {
    fn log(&mut self, _: &LogEntry) {}

    fn wants_accuracies(&self) -> bool {
        false
    }

    fn interrupted(&self) -> bool {
        self.0.interrupted()
    }
}

/// The scores of each fold by a model of the others, everything fitted on these alone. With `c` it stays as it is, and λ = 1/(C·n) follows
/// the rows of the fold; `lambda` and `reg` stay as they are.
fn out_of_fold(
    config: &LoadedConfig,
    prepared: &PreparedData,
    device: &OpenDevice,
    folds: usize,
    observer: &mut dyn Observer,
) -> Result<Option<HeldOutScores>, RunError> {
    let data = &prepared.data;
    let folds = folds.min(prepared.split.train.len());
    let mut held_out = HeldOutScores { scores: Vec::new(), labels: Vec::new(), folds: Some(folds) };
    let parts = stratified(&prepared.split.train, &data.labels, data.n_classes(), folds, config.run.seed, 0);
    for (at, fold) in parts.iter().enumerate().filter(|(_, fold)| !fold.validation.is_empty()) {
        observer.stage(&format!("calibration: fold {} of {folds}", at + 1));
        let encoded = encoded_on(config, data, &fold.train)?;
        let data = encoded.as_ref().unwrap_or(data);
        let Setup { scaler, objective, .. } = Setup::new(config, data, &fold.train, None)?;
        let problem =
            Problem { train: &fold.train, early_stopping: None, ..problem(config, data, &scaler, &objective, device) };
        let mut quiet = FoldObserver(&mut *observer);
        let fit =
            device::guarded(device, || config.run.solver.solve(&problem, &mut quiet)).map_err(SolveError::Device)??;
        if observer.interrupted() {
            return Ok(None);
        }
        let model = classifier(config, data, &scaler, &objective, fold.train.len(), fit);
        held_out.scores.extend(model.scores(&data.features, &fold.validation));
        held_out.labels.extend(fold.validation.iter().map(|&r| data.labels[r as usize] as usize));
    }
    Ok(Some(held_out))
}
