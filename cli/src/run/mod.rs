//! The pipeline: configuration → data → model and loss → solver → run folder. There is only this one.
//!
//! Imports everything below; draws nothing and prints nothing.

pub mod advice;
pub mod blocks;
mod calibrate;
pub mod certify;
pub mod checkpoint;
mod confusion;
mod costs;
mod encode;
pub mod folder;
mod journal;
mod labelled;
pub mod measure;
mod memory;
mod model_columns;
pub mod pack;
pub mod path;
pub mod record;
pub mod recorded;
mod recorder;
pub mod resume;
pub mod roc;
pub mod selfcheck;
mod setup;

pub(crate) use encode::{encoded_on, scaler};
pub use labelled::{LabelledRows, all_rows, conform, evaluate, labelled, labelled_by, rows_to_report};
pub(crate) use memory::{afford, peak_rss_bytes};
pub use model_columns::model_columns;
pub use path::check_choice;
pub use record::{RecordError, RunFolder, RunResult};
pub use setup::Setup;
pub(crate) use setup::{classifier, problem};

use crate::config::{ConfigError, LoadedConfig};
use crate::data::batch::Source;
use crate::data::{Dataset, Scaler, Split, class_totals};
use crate::device::{self, DeviceError, OpenDevice};
use crate::format::{Complaint, DataError, FloatType, Reading, many_classes, quote};
use crate::gradcheck::GradcheckError;
use crate::metric::Confusion;
use crate::model::Classifier;
use crate::model::file::ModelFileError;
use crate::model::header_problem;
use crate::objective::{Objective, Strength};
use crate::solver::{Fit, Observer, Problem, SolveError, SolverConfig, StopReason};
use recorder::Recorder;
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

/// Anything that can end a command.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The solver.
    #[error(transparent)]
    Solve(#[from] SolveError),
    /// The gradient check.
    #[error(transparent)]
    Gradcheck(#[from] GradcheckError),
    /// The run folder.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The model file.
    #[error(transparent)]
    Model(#[from] ModelFileError),
    /// A request that this data or model cannot fulfil.
    #[error("{problem}")]
    Mismatch {
        /// Content found and expected.
        problem: String,
        /// Advice for the user.
        hint: String,
    },
}

/// Data that is ready to train on.
#[derive(Debug)]
pub struct PreparedData {
    /// All rows.
    pub data: Dataset,
    /// Training, validation and test rows.
    pub split: Split,
    /// Fitted on the training rows.
    pub scaler: Scaler,
    /// The function to minimise.
    pub objective: Objective,
    /// λ in its three forms.
    pub strength: Strength,
    /// Remarks for the user.
    pub notes: Vec<String>,
    /// Notes about categories that the model has not seen, where the rows are for one.
    pub unseen: Vec<String>,
    /// Probable mistakes.
    pub warnings: Vec<String>,
    /// Time spent on reading and fitting.
    pub load: Duration,
    /// Bytes that training takes at least, besides the rows.
    pub forecast: f64,
}

impl PreparedData {
    /// Rows that are all for training, with the objective over them.
    fn of_rows(data: Dataset, rows: Vec<u32>, scaler: Scaler, objective: Objective, strength: Strength) -> Self {
        let split = Split { train: rows, validation: Vec::new(), test: Vec::new() };
        let (notes, unseen, warnings) = (Vec::new(), Vec::new(), Vec::new());
        let (load, forecast) = (Duration::ZERO, 0.0);
        Self { data, split, scaler, objective, strength, notes, unseen, warnings, load, forecast }
    }

    /// Rows, labels and preprocessing.
    #[must_use]
    pub fn source(&self) -> Source<'_> {
        let Dataset { features, labels, weights, .. } = &self.data;
        Source { features, labels, scaler: &self.scaler, weights: weights.as_deref() }
    }

    /// Input of a solver for this problem on a device as configured.
    #[must_use]
    pub fn problem<'a>(&'a self, config: &LoadedConfig, device: &'a OpenDevice) -> Problem<'a> {
        let Self { data, split, scaler, objective, .. } = self;
        let problem = problem(config, data, scaler, objective, device);
        Problem { train: &split.train, validation: &split.validation, ..problem }
    }
}

/// A note and a warning about classes of which there are too few rows to hold any out.
fn scarce(data: &Dataset, split: &Split) -> (Option<String>, Option<String>) {
    let totals = |rows: &[u32]| class_totals(&data.labels, None, rows, data.n_classes());
    #[allow(clippy::cast_possible_truncation)]
    let (all, train) = (totals(&(0..data.n_train as u32).collect::<Vec<u32>>()), totals(&split.train));
    let named = |is: &dyn Fn(usize) -> bool| {
        let classes: Vec<usize> = (0..all.len()).filter(|&k| is(k)).collect();
        let first = quote(&data.class_names[*classes.first()?]);
        Some(if classes.len() > 1 { format!("{first} (and {} more)", classes.len() - 1) } else { first })
    };
    let single = named(&|k| all[k] == 1.0 && train[k] == 1.0);
    let lost = named(&|k| all[k] > 0.0 && train[k] == 0.0);
    (
        single.map(|name| format!("class {name} has a single row: it is learned from, and never held out")),
        lost.map(|name| {
            format!(
                "class {name} has no row to learn from, [split] holds all of them out: set `method = \"stratified\"`"
            )
        }),
    )
}

/// A sentence about columns that single precision blurs as they are preprocessed.
fn blurred(prepared: &PreparedData) -> Option<String> {
    let columns = prepared.source().blurred(&prepared.split.train);
    let names = prepared.data.feature_names.as_deref().unwrap_or_default();
    let name = |&j: &usize| names.get(j).map_or_else(|| format!("{}", j + 1), |name| quote(name));
    let first = columns.first().map(name)?;
    let more = if columns.len() > 1 { format!(" (and {} more)", columns.len() - 1) } else { String::new() };
    Some(format!(
        "column {first}{more}: its preprocessed values differ by less than they are rounded by in single precision, in which most \
         products are computed: set `center = \"mean\"` and `scale = \"std\"` in [preprocess]"
    ))
}

/// Reads, splits and preprocesses the data of a configuration.
///
/// # Errors
/// [`RunError::Data`] when a file is bad, [`RunError::Config`] when split or class weights do not fit the data.
pub fn prepare(config: &LoadedConfig) -> Result<PreparedData, RunError> {
    prepare_as(config, None)
}

/// The same with floats in the precision of those that a model was trained on, and tables encoded as it has them.
fn prepare_for(config: &LoadedConfig, model: &Classifier) -> Result<PreparedData, RunError> {
    prepare_as(config, Some(model))
}

fn prepare_as(config: &LoadedConfig, model: Option<&Classifier>) -> Result<PreparedData, RunError> {
    let start = Instant::now();
    let run = &config.run;
    let mut data = run.data.load_as(&Reading {
        float: model.map_or(FloatType::Auto, |model| FloatType::of(model.scaler.double_rows)),
        cells: run.preprocess.cell_rules(),
        encoding: model.and_then(|model| model.encoding.as_ref()),
    })?;
    data.features = data.features.densified();
    let refused = |problem: String, hint: &str| ConfigError::new(&config.file, problem).with_hint(hint);
    let (seed, is_search) = (run.seed, run.search.is_some());
    let split = run.split.split(&data, seed, is_search);
    let split = split.map_err(|Complaint { problem, hint }| refused(problem, &hint))?;
    if run.early_stopping.is_some() && split.validation.is_empty() {
        let problem = "[early_stopping] watches validation rows, but [split] holds none out".to_owned();
        return Err(refused(problem, "set `validation` of [split], for example `validation = 0.1`").into());
    }
    let n_train = split.train.len();
    let mut warnings: Vec<String> = many_classes(&data.class_names, n_train).into_iter().collect();
    let mut unseen = Vec::new();
    if let Some(frame) = &data.frame {
        let encoded = match model.and_then(|model| model.encoding.as_ref()) {
            Some(encoding) => {
                let (encoded, notes) = encode::encoded_by(config, &data, encoding)?;
                unseen = notes;
                Some(encoded)
            }
            None => encoded_on(config, &data, &split.train)?,
        };
        let mut encoded = encoded.unwrap_or_else(|| data.clone());
        if let (Some(encoding), None) = (&encoded.encoding, model) {
            warnings.extend(encode::warnings(frame, encoding, n_train));
        }
        // The folds of a search have encodings of their own.
        encoded.frame = if run.search.is_some() { data.frame.take() } else { None };
        data = encoded;
    }
    if let Err(problem) = run.solver.check_draws(n_train) {
        let problem = format!("solver.sgd.{problem}");
        return Err(refused(problem, "a batch is held in memory; 100 to 1,000 rows are usual").into());
    }
    let asked = memory::RunSize { rows: n_train, classes: data.n_classes(), validation: split.validation.len() };
    let forecast = memory::forecast(run, &data.features, asked);
    memory::check(run, &data.features, asked).map_err(|Complaint { problem, hint }| refused(problem, &hint))?;
    let names = data.feature_names.as_deref().unwrap_or_default();
    if let Some(problem) = header_problem(&data.class_names, names, data.encoding.as_ref(), &config.text) {
        return Err(refused(
            problem,
            "shorter names, or fewer columns: the model carries them, and must be read again",
        )
        .into());
    }
    let Setup { scaler, objective, strength } = Setup::new(config, &data, &split.train, None)?;
    let mut notes = std::mem::take(&mut data.notes);
    if n_train < data.n_train || run.search.is_some() {
        let (note, warning) = scarce(&data, &split);
        notes.extend(note);
        warnings.extend(warning);
    }
    let mut prepared = PreparedData {
        data,
        split,
        scaler,
        objective,
        strength,
        notes,
        unseen,
        warnings,
        load: start.elapsed(),
        forecast,
    };
    let warning = blurred(&prepared);
    prepared.warnings.extend(warning);
    Ok(prepared)
}

/// Opens the configured device and sets the threads of the CPU.
///
/// # Errors
/// [`DeviceError`] when the device is not compiled in or not there.
pub fn open_device(config: &LoadedConfig) -> Result<OpenDevice, DeviceError> {
    use_threads(config.run.threads);
    device::open(config.run.device)
}

/// Sets the threads of the CPU, 0 for all; a second call in one process changes nothing.
pub fn use_threads(threads: usize) {
    static SET: Once = Once::new();
    // A second run in one process keeps the pool of the first.
    SET.call_once(|| drop(device::set_threads(threads)));
}

/// Threads of a run that asks for `threads`, 0 for all.
#[must_use]
pub fn threads(asked: usize) -> usize {
    device::at_most(match asked {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    })
}

/// A finished run.
#[derive(Debug)]
pub struct FinishedRun {
    /// Content of `result.json`.
    pub result: RunResult,
    /// Why the solver ended.
    pub stop: StopReason,
    /// The model; `None` when the run diverged.
    pub model: Option<Classifier>,
    /// Remark on a model that hardly tells the classes apart.
    pub remark: Option<String>,
}

/// Trains as configured and leaves everything but the figures in the run folder.
///
/// # Errors
/// [`RunError`] for everything that ends the run early; a run that diverges is no error, but has no model.
pub fn train(
    config: &LoadedConfig,
    prepared: &PreparedData,
    device: &OpenDevice,
    folder: &mut RunFolder,
    observer: &mut dyn Observer,
) -> Result<FinishedRun, RunError> {
    if let (SolverConfig::Dual(solver), true) = (&config.run.solver, config.run.objective.is_path()) {
        return path::train(config, solver, prepared, device, folder, observer);
    }
    let problem = prepared.problem(config, device);
    let shared = Mutex::new(&mut *folder);
    let mut recorder = Recorder::new(&shared, observer, config, prepared, device);
    let fit = device::guarded(device, || {
        if let Some(warning) = selfcheck::disagreement(&problem)? {
            recorder.warning(&warning);
        }
        Ok::<_, RunError>(config.run.solver.solve(&problem, &mut recorder)?)
    });
    let fit = fit.map_err(SolveError::Device)??;
    recorder.failure()?;
    let mut save = |model: &Classifier| Ok(model.save(&folder.model_file()?)?);
    let strength = (&prepared.objective, prepared.strength);
    let done = outcome(config, prepared, device, strength, fit, &mut save, observer)?;
    finish(done, prepared, folder)
}

/// The model of a run, in its folder.
const MODEL: &str = "model.safetensors";

/// Result of a solver.
struct SolverResult {
    result: RunResult,
    stop: StopReason,
    model: Option<Classifier>,
    /// Of the predictions on the split of [`rows_to_report`].
    confusion: Option<Confusion>,
}

/// Makes a model of a solver's result, has it saved, and measures it. In this order: a measurement that fails, for memory or
/// time, must not cost the training.
fn outcome(
    config: &LoadedConfig,
    prepared: &PreparedData,
    device: &OpenDevice,
    (objective, strength): (&Objective, Strength),
    fit: Fit,
    save: &mut dyn FnMut(&Classifier) -> Result<(), RunError>,
    observer: &mut dyn Observer,
) -> Result<SolverResult, RunError> {
    let stop = fit.stop;
    let mut fit = fit;
    let mut result = blank_result(config, prepared, device, strength, &fit);
    let (mut confusion, evaluation) = (None, fit.evaluation.take());
    let mut model = (!matches!(stop, StopReason::Diverged { .. }))
        .then(|| classifier(config, &prepared.data, &prepared.scaler, objective, prepared.split.train.len(), fit));
    if let Some(model) = &mut model {
        save(model)?;
        confusion = Some(measure::accuracies(model, objective, prepared, evaluation, &mut result));
        let start = Instant::now();
        result.calibration = calibrate::calibrate(config, prepared, device, model, observer)?;
        result.seconds_evaluate += start.elapsed().as_secs_f64();
        if result.calibration.is_some() {
            save(model)?;
        }
    }
    result.peak_rss_bytes = peak_rss_bytes();
    Ok(SolverResult { result, stop, model, confusion })
}

/// Saves the result of the measurements.
fn finish(outcome: SolverResult, prepared: &PreparedData, folder: &mut RunFolder) -> Result<FinishedRun, RunError> {
    let SolverResult { mut result, stop, model, confusion } = outcome;
    if let Some(name) = folder.name() {
        name.clone_into(&mut result.config);
    }
    let mut remark = None;
    if let (Some(model), Some(confusion)) = (&model, &confusion) {
        let (split, rows) = rows_to_report(&prepared.split);
        remark = advice::about_predictions(split, confusion, model);
        folder.confusion(split, confusion, &model.class_names)?;
        if let Some(record) = roc::RocRecord::measure(model, &prepared.data, split, rows) {
            folder.roc(&record)?;
        }
    }
    folder.finish(&result)?;
    if stop != StopReason::Interrupted {
        folder.drop_checkpoints()?;
    }
    Ok(FinishedRun { result, stop, model, remark })
}

fn blank_result(
    config: &LoadedConfig,
    prepared: &PreparedData,
    device: &OpenDevice,
    strength: Strength,
    fit: &Fit,
) -> RunResult {
    RunResult {
        version: env!("CARGO_PKG_VERSION").into(),
        config: config.name(),
        device: device.label(),
        gradient: fit.gradient.map(|gradient| gradient.route.name().into()),
        gradient_agreement: fit.gradient.and_then(|gradient| gradient.agreement),
        n_samples: prepared.split.train.len(),
        n_validation: prepared.split.validation.len(),
        n_test: prepared.split.test.len(),
        n_features: prepared.data.features.n_features(),
        n_classes: prepared.data.n_classes(),
        steps: fit.steps,
        epochs: fit.epochs,
        stop_reason: fit.stop.name().into(),
        best_step: fit.best_step,
        lambda: strength.lambda,
        reg: strength.reg,
        c: strength.c,
        objective: None,
        data_loss: None,
        dual_objective: fit.certificate.map(|c| c.dual),
        gap: fit.certificate.map(|c| c.gap()),
        relative_gap: fit.certificate.map(|c| c.relative_gap),
        train_accuracy: None,
        validation_accuracy: None,
        test_accuracy: None,
        calibration: None,
        seconds_load: prepared.load.as_secs_f64(),
        seconds_solve: fit.solve.as_secs_f64(),
        seconds_evaluate: fit.evaluate.as_secs_f64(),
        peak_rss_bytes: None,
        blocks: None,
        working_directory: std::env::current_dir().ok(),
        path: None,
    }
}
