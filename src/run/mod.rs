//! The pipeline: configuration → data → model and loss → solver → run folder. There is only this one.
//!
//! Imports everything below; draws nothing and prints nothing.

pub mod measure;
pub mod record;

pub use record::{RecordError, RunFolder, RunResult};

use crate::calibration::Method;
use crate::config::{ConfigError, LoadedConfig, NO_VALIDATION};
use crate::data::batch::Source;
use crate::data::{DataError, Dataset, Features, Scaler, Split};
use crate::device::{self, DeviceError, OpenDevice};
use crate::gradcheck::GradcheckError;
use crate::model::file::ModelFileError;
use crate::model::{Classifier, Origin, Training};
use crate::objective::{Evaluation, Objective, Strength};
use crate::solver::{Certificate, Fit, LogEntry, Observer, Problem, SolveError, StopReason};
use std::path::Path;
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
    /// What was asked for cannot be had from this data or model.
    #[error("{problem}")]
    Mismatch {
        /// What was found and what was expected.
        problem: String,
        /// What to do about it.
        hint: String,
    },
}

/// Data that is ready to train on.
#[derive(Debug)]
pub struct Prepared {
    /// All rows.
    pub data: Dataset,
    /// Which rows are for what.
    pub split: Split,
    /// Fitted on the training rows.
    pub scaler: Scaler,
    /// What is minimised.
    pub objective: Objective,
    /// λ in its three forms.
    pub strength: Strength,
    /// Remarks for the user.
    pub notes: Vec<String>,
    /// Time spent on reading and fitting.
    pub load: Duration,
}

impl Prepared {
    /// Rows, labels and preprocessing.
    #[must_use]
    pub fn source(&self) -> Source<'_> {
        let Dataset { features, labels, weights, .. } = &self.data;
        Source { features, labels, scaler: &self.scaler, weights: weights.as_deref() }
    }

    /// What a solver is given to solve this on a device as configured.
    #[must_use]
    pub fn problem<'a>(&'a self, config: &LoadedConfig, device: &'a OpenDevice) -> Problem<'a> {
        Problem {
            source: self.source(),
            train: &self.split.train,
            validation: &self.split.validation,
            n_classes: self.data.n_classes(),
            objective: &self.objective,
            device,
            gradient: config.run.gradient,
            seed: config.run.seed,
            threads: threads(config),
            early_stopping: config.run.early_stopping,
        }
    }
}

/// Rows that a batch may draw with replacement from fewer training rows.
const MOST_DRAWN: usize = 65_536;

/// Reads, splits and fits what a configuration asks for.
///
/// # Errors
/// [`RunError::Data`] when a file is bad, [`RunError::Config`] when split or class weights do not fit the data.
pub fn prepare(config: &LoadedConfig) -> Result<Prepared, RunError> {
    let start = Instant::now();
    let run = &config.run;
    let mut data = run.data.load()?;
    data.features = data.features.densified();
    let refused = |problem: String, hint: &str| ConfigError::new(&config.file, problem).with_hint(hint);
    let split = run
        .split
        .split(&data.labels, data.n_train, data.n_classes(), run.seed)
        .map_err(|e| refused(e.to_string(), "change `validation` or `test` of [split]"))?;
    if run.early_stopping.is_some() && split.validation.is_empty() {
        let problem = "[early_stopping] watches validation rows, but [split] holds none out".to_owned();
        return Err(refused(problem, "set `validation` of [split], for example `validation = 0.1`").into());
    }
    if run.calibration.method != Method::None && split.validation.is_empty() {
        let problem = "calibration.method is set, but the validation split came out empty".to_owned();
        return Err(refused(problem, NO_VALIDATION).into());
    }
    let n_train = split.train.len();
    let most = n_train.max(MOST_DRAWN);
    if let Some(drawn) = run.solver.drawn_rows().filter(|&rows| rows > most) {
        let problem =
            format!("solver.sgd.batch_size: found {drawn} rows to draw from {n_train}, expected at most {most}");
        return Err(refused(problem, "a batch is held in memory; 100 to 1,000 rows are usual").into());
    }
    let mut counts = vec![0; data.n_classes()];
    split.train.iter().for_each(|&r| counts[data.labels[r as usize] as usize] += 1);
    let loss = run.loss.resolve(&data.class_names, &counts).map_err(|name| {
        let problem = format!("loss.{}.class_weights: `{name}` is not a class", run.loss.formulation().name());
        refused(problem, &format!("the classes are {}", data.class_names.join(", ")))
    })?;
    let scaler = Scaler::fit(&data.features, &split.train, run.preprocess.center, run.preprocess.scale);
    let strength = run.objective.strength(split.train.len());
    let objective = Objective { loss, lambda: strength.lambda, bias: run.preprocess.bias_rule() };
    let notes = std::mem::take(&mut data.notes);
    Ok(Prepared { data, split, scaler, objective, strength, notes, load: start.elapsed() })
}

/// Opens the configured device and sets the threads of the CPU.
///
/// # Errors
/// [`DeviceError`] when the device is not compiled in or not there.
pub fn open_device(config: &LoadedConfig) -> Result<OpenDevice, DeviceError> {
    // A second run in one process keeps the pool of the first.
    if config.run.threads > 0 {
        let _ = device::set_threads(config.run.threads);
    }
    device::open(config.run.device)
}

/// Threads that a run may use.
#[must_use]
pub fn threads(config: &LoadedConfig) -> usize {
    match config.run.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    }
}

/// A finished run.
#[derive(Debug)]
pub struct Finished {
    /// What `result.json` says.
    pub result: RunResult,
    /// Why the solver ended.
    pub stop: StopReason,
    /// The model; `None` when the run diverged.
    pub model: Option<Classifier>,
}

/// Passes what the solver says on to the run folder, and to the observer of the caller.
struct Recorder<'a> {
    folder: &'a mut RunFolder,
    observer: &'a mut dyn Observer,
    failure: Option<RecordError>,
}

impl Observer for Recorder<'_> {
    fn start(&mut self, steps: u64) {
        self.observer.start(steps);
    }

    fn step(&mut self, step: u64) {
        self.observer.step(step);
    }

    fn log(&mut self, entry: &LogEntry) {
        if let Err(error) = self.folder.log(entry) {
            self.failure.get_or_insert(error);
        }
        self.observer.log(entry);
    }

    fn bounds(&mut self, certificate: &Certificate) {
        if let Err(error) = self.folder.bounds(certificate) {
            self.failure.get_or_insert(error);
        }
        self.observer.bounds(certificate);
    }

    fn interrupted(&self) -> bool {
        // A run whose records cannot be written is stopped at once, not at its end.
        self.failure.is_some() || self.observer.interrupted()
    }
}

/// Trains as configured and leaves everything but the figures in the run folder.
///
/// # Errors
/// [`RunError`] for whatever ends the run early; a run that diverges is no error, but has no model.
pub fn train(
    config: &LoadedConfig,
    prepared: &Prepared,
    device: &OpenDevice,
    folder: &mut RunFolder,
    observer: &mut dyn Observer,
) -> Result<Finished, RunError> {
    let problem = prepared.problem(config, device);
    let mut recorder = Recorder { folder, observer, failure: None };
    let fit = config.run.solver.solve(&problem, &mut recorder)?;
    if let Some(failure) = recorder.failure {
        return Err(failure.into());
    }
    let stop = fit.stop;
    let diverged = matches!(stop, StopReason::Diverged { .. });
    let mut result = blank_result(config, prepared, device, &fit);
    let mut model = if diverged { None } else { Some(classifier(config, prepared, fit)) };
    if let Some(model) = &mut model {
        let confusion = measure::accuracies(model, prepared, &mut result);
        let (split, _) = rows_to_report(&prepared.split);
        folder.confusion(split, &confusion, &model.class_names)?;
        let start = Instant::now();
        result.calibration = measure::calibrate(config.run.calibration.method, model, prepared);
        result.seconds_evaluate += start.elapsed().as_secs_f64();
        model.save(&folder.path().join("model.safetensors"))?;
    }
    result.peak_rss_bytes = record::peak_rss_bytes();
    folder.finish(&result)?;
    Ok(Finished { result, stop, model })
}

fn blank_result(config: &LoadedConfig, prepared: &Prepared, device: &OpenDevice, fit: &Fit) -> RunResult {
    RunResult {
        version: env!("CARGO_PKG_VERSION").into(),
        config: config.name(),
        device: device.label(),
        gradient: config.run.solver.uses_gradients().then(|| config.run.gradient.name().into()),
        n_samples: prepared.split.train.len(),
        n_features: prepared.data.features.n_features(),
        n_classes: prepared.data.n_classes(),
        steps: fit.steps,
        epochs: fit.epochs,
        stop_reason: fit.stop.name().into(),
        best_step: fit.best_step,
        lambda: prepared.strength.lambda,
        reg: prepared.strength.reg,
        c: prepared.strength.c,
        objective: None,
        data_loss: None,
        dual_objective: fit.certificate.map(|c| c.dual),
        gap: fit.certificate.map(|c| c.primal - c.dual),
        relative_gap: fit.certificate.map(|c| c.relative_gap),
        train_accuracy: None,
        validation_accuracy: None,
        test_accuracy: None,
        calibration: None,
        seconds_load: prepared.load.as_secs_f64(),
        seconds_solve: fit.solve.as_secs_f64(),
        seconds_evaluate: fit.evaluate.as_secs_f64(),
        peak_rss_bytes: None,
    }
}

fn classifier(config: &LoadedConfig, prepared: &Prepared, fit: Fit) -> Classifier {
    Classifier {
        weight: fit.weight,
        bias: fit.bias,
        scaler: prepared.scaler.clone(),
        class_names: prepared.data.class_names.clone(),
        image_shape: prepared.data.image_shape,
        origin: Origin::Trained(Training {
            loss: prepared.objective.loss.clone(),
            lambda: prepared.objective.lambda,
            n_samples: prepared.split.train.len(),
            bias: prepared.objective.bias,
            center: config.run.preprocess.center,
            scale: config.run.preprocess.scale,
            config: config.text.clone(),
            calibration: None,
        }),
    }
}

/// The rows that `evaluate` looks at, and what they are called.
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
pub struct Labelled {
    /// All rows of the data.
    pub data: Dataset,
    /// The rows to look at.
    pub rows: Vec<u32>,
    /// What they are called.
    pub name: String,
}

/// The labelled rows that `--data CONFIG-OR-FILE` names, with labels as the model numbers them.
///
/// # Errors
/// [`RunError`] when the configuration or file is bad, has no labels, or does not fit the model.
pub fn labelled(path: &Path, model: &Classifier) -> Result<Labelled, RunError> {
    if path.extension().is_some_and(|e| e == "toml") {
        return labelled_by(&LoadedConfig::load(path, &[])?, model);
    }
    let mut data = renumbered(labelled_file(path)?, model, path)?;
    data.features = conform(data.features, model, path)?;
    let rows = all_rows(&data.features);
    Ok(Labelled { data, rows, name: path.display().to_string() })
}

/// The rows to report on of a configuration's data: test, else validation, else train.
///
/// # Errors
/// As [`labelled`].
pub fn labelled_by(config: &LoadedConfig, model: &Classifier) -> Result<Labelled, RunError> {
    let prepared = prepare(config)?;
    let (name, rows) = rows_to_report(&prepared.split);
    let (rows, name) = (rows.to_vec(), format!("{name} split of {}", config.file.display()));
    let mut data = renumbered(prepared.data, model, &config.file)?;
    data.features = conform(data.features, model, &config.file)?;
    Ok(Labelled { data, rows, name })
}

fn labelled_file(path: &Path) -> Result<Dataset, RunError> {
    let table = crate::data::format::read_table(path, None)?;
    let Some(labels) = table.labels else {
        return Err(RunError::Mismatch {
            problem: format!("{}: has no labels to evaluate against", path.display()),
            hint: "`burn-svm predict` needs none".into(),
        });
    };
    let class_names = table.class_names.unwrap_or_else(|| labels.class_names());
    let classes = labels.to_classes(&class_names).map_err(|row| RunError::Mismatch {
        problem: format!("{}: record {}: label `{}` has no name", path.display(), row + 1, labels.name(row)),
        hint: format!("the names are {}", class_names.join(", ")),
    })?;
    Ok(Dataset {
        n_train: classes.len(),
        features: table.features,
        labels: classes,
        class_names,
        weights: None,
        image_shape: table.image_shape,
        notes: Vec::new(),
    })
}

/// Labels by the model's class order. A file that numbers its classes (CIFAR's do) fits a model that names them.
#[allow(clippy::cast_possible_truncation)]
fn renumbered(mut data: Dataset, model: &Classifier, path: &Path) -> Result<Dataset, RunError> {
    if data.class_names == model.class_names {
        return Ok(data);
    }
    let model_has_numbers = model.class_names.iter().any(|c| c.parse::<i64>().is_ok());
    let class_of = |name: &String| {
        let by_name = model.class_names.iter().position(|c| c == name);
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
                data.class_names[*label as usize]
            ),
            hint: format!("the model's classes are {}", model.class_names.join(", ")),
        })?;
    }
    data.class_names.clone_from(&model.class_names);
    Ok(data)
}

/// Rows as wide as the model: sparse rows are cut or widened, dense rows must fit.
///
/// # Errors
/// [`RunError::Mismatch`] when dense rows have another width.
pub fn conform(features: Features, model: &Classifier, path: &Path) -> Result<Features, RunError> {
    let (found, expected) = (features.n_features(), model.n_features());
    match features {
        Features::Sparse(mut csr) => {
            csr.set_n_features(expected);
            Ok(Features::Sparse(csr))
        }
        fitting @ (Features::U8(_) | Features::F32(_)) if found == expected => Ok(fitting),
        Features::U8(_) | Features::F32(_) => Err(RunError::Mismatch {
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
pub fn evaluate(model: &Classifier, labelled: &Labelled, top: &[usize]) -> Evaluation {
    let Labelled { data, rows, .. } = labelled;
    let weights = data.weights.as_deref();
    Objective::evaluate(model.loss(), model, &data.features, &data.labels, weights, rows, top)
}
