//! From checked rows and options to a fitted model.

use super::{Model, Penalty, Solution, Svm, SvmError};
use crate::calibration::Calibrator;
use crate::data::batch::Source;
use crate::data::{Features, Scaler, class_totals, streams};
use crate::device::{self, OpenDevice};
use crate::loss::ClassWeights;
use crate::model::{BiasRule, Classifier, Origin, Training};
use crate::objective::Objective;
use crate::solver::dual::{self, certificate};
use crate::solver::{Fit, Observer, Problem, SolveError, SolverConfig, StopReason};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

/// Folds whose scores a calibration is fitted on.
const FOLDS: usize = 5;

/// Training data, checked.
pub(super) struct TrainingData<'a> {
    pub features: &'a Features<'a>,
    pub labels: &'a [u32],
    pub weights: Option<&'a [f32]>,
    pub names: &'a [String],
}

impl TrainingData<'_> {
    /// Every row.
    #[allow(clippy::cast_possible_truncation)]
    pub fn all(&self) -> Vec<u32> {
        (0..self.labels.len() as u32).collect()
    }
}

/// # Errors
/// [`SvmError::Shape`] for another number of weights than of rows, [`SvmError::Option`] for a weight that is none.
pub(super) fn check_weights(row_weights: Option<&[f32]>, n_rows: usize) -> Result<(), SvmError> {
    let Some(weights) = row_weights else { return Ok(()) };
    if weights.len() != n_rows {
        let found = format!("{} weights for {n_rows} rows", weights.len());
        return Err(SvmError::Shape { found, expected: "one a row".into() });
    }
    match weights.iter().enumerate().find(|(_, w)| !(w.is_finite() && **w >= 0.0)) {
        None => Ok(()),
        Some((row, weight)) => {
            Err(SvmError::Option(format!("weight of row {row}: found {weight}, expected a finite number, 0 or more")))
        }
    }
}

impl Svm {
    /// Checks what can be checked before the rows are looked at, and opens the device.
    pub(super) fn open(&self, row_weights: Option<&[f32]>, n_rows: usize) -> Result<OpenDevice, SvmError> {
        check_weights(row_weights, n_rows)?;
        device::open(self.device).map_err(|e| SvmError::Device(format!("{e}; {}", e.hint)))
    }

    /// Rows in the precision in which they are solved.
    pub(super) fn settled<'a>(&self, features: Features<'a>) -> Features<'a> {
        if self.double { features } else { features.settled() }
    }

    /// Runs work with the threads that are asked for.
    pub(super) fn with_threads<T: Send>(&self, work: impl FnOnce(usize) -> T + Send) -> Result<T, SvmError> {
        const MOST_THREADS: usize = 1_024;
        match self.threads {
            0 => return Ok(work(rayon::current_num_threads())),
            1..=MOST_THREADS => {}
            more => return Err(SvmError::Option(format!("threads: found {more}, expected at most {MOST_THREADS}"))),
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads).build();
        let pool = pool.map_err(|e| SvmError::Option(format!("threads: found {}: {e}", self.threads)))?;
        Ok(pool.install(|| work(self.threads)))
    }

    /// λ for n rows.
    #[allow(clippy::cast_precision_loss)]
    fn lambda_for(&self, n_samples: usize) -> Result<f64, SvmError> {
        let (name, value, lambda) = match self.penalty {
            Penalty::C(c) => ("c", c, 1.0 / (c * n_samples as f64)),
            Penalty::Lambda(lambda) => ("lambda", lambda, lambda),
            Penalty::Reg(reg) => ("reg", reg, 2.0 * reg),
        };
        let least = if name == "c" { value > 0.0 } else { value >= 0.0 };
        if least && value.is_finite() && lambda.is_finite() {
            return Ok(lambda);
        }
        let expected = if name == "c" { "a finite number above 0" } else { "a finite number, 0 or more" };
        Err(SvmError::Option(format!("{name}: found {value}, expected {expected}")))
    }

    /// The objective, with class weights for the row weights of each class in `totals`; balanced ones need them.
    pub(super) fn objective(
        &self,
        names: &[String],
        totals: Option<&[f64]>,
        n_samples: usize,
    ) -> Result<Objective, SvmError> {
        let lambda = self.lambda_for(n_samples)?;
        if let BiasRule::Regularised { scale } = self.bias
            && !(scale.is_finite() && scale > 0.0)
        {
            return Err(SvmError::Option(format!("bias: found the scale {scale}, expected a finite number above 0")));
        }
        let mut loss = self.loss.clone();
        if totals.is_none() && self.class_weights == ClassWeights::balanced() {
            let problem =
                "class_weights: found balanced without labels, expected weights by name or Loss::class_weights";
            return Err(SvmError::Option(problem.into()));
        }
        if let Some(weights) = self.class_weights.resolve(names, totals.unwrap_or_default())? {
            loss.class_weights = Some(weights);
        }
        loss.check(names.len())?;
        Ok(Objective { loss, lambda, bias: self.bias })
    }

    /// The objective and preprocessing that a model keeps.
    pub(super) fn training(&self, objective: &Objective, n_samples: usize) -> Training {
        Training {
            loss: objective.loss.clone(),
            lambda: objective.lambda,
            n_samples,
            bias: objective.bias,
            center: self.center,
            scale: self.scale,
            config: String::new(),
            calibration: None,
        }
    }

    /// Fits a model to some of the rows.
    pub(super) fn solve(
        &self,
        data: &TrainingData<'_>,
        train: &[u32],
        device: &OpenDevice,
        threads: usize,
        observer: &mut dyn Observer,
    ) -> Result<Solution, SvmError> {
        self.posed(data, train, device, threads, observer, |problem, observer| {
            let fit = device::guarded(device, || self.solver.solve(problem, observer));
            self.solution(problem, data.names, fit.map_err(SolveError::Device)??)
        })
    }

    /// Fits a model for each C to some of the rows.
    pub(super) fn solve_path(
        &self,
        data: &TrainingData<'_>,
        train: &[u32],
        cs: &[f64],
        device: &OpenDevice,
        threads: usize,
        observer: &mut dyn Observer,
    ) -> Result<Vec<Solution>, SvmError> {
        let SolverConfig::Dual(config) = &self.solver else {
            return Err(SvmError::Option(format!(
                "a path in C: found the solver {}, expected dual",
                self.solver.name()
            )));
        };
        let lambdas = cs.iter().map(|&c| self.clone().c(c).lambda_for(train.len())).collect::<Result<Vec<_>, _>>()?;
        if !cs.is_sorted() {
            return Err(SvmError::Option("a path in C: expected numbers that rise".into()));
        }
        self.posed(data, train, device, threads, observer, |problem, observer| {
            let mut solutions = Vec::new();
            let mut each = |i: usize, fit: Fit| -> Result<(), SvmError> {
                let objective = Objective { lambda: lambdas[i], ..problem.objective.clone() };
                solutions.push(self.solution(&Problem { objective: &objective, ..*problem }, data.names, fit)?);
                Ok(())
            };
            let run = || dual::solve_path(config, problem, &lambdas, observer, &mut each);
            device::guarded(device, run).map_err(SolveError::Device)??;
            Ok(solutions)
        })
    }

    /// Has work done on the problem that some rows pose.
    fn posed<T>(
        &self,
        data: &TrainingData<'_>,
        train: &[u32],
        device: &OpenDevice,
        threads: usize,
        observer: &mut dyn Observer,
        work: impl FnOnce(&Problem<'_>, &mut dyn Observer) -> Result<T, SvmError>,
    ) -> Result<T, SvmError> {
        if let Some(&row) = train.iter().find(|&&row| row as usize >= data.labels.len()) {
            return Err(SvmError::Option(format!("row {row}: expected one of the {} rows", data.labels.len())));
        }
        let totals = class_totals(data.labels, data.weights, train, data.names.len());
        let objective = self.objective(data.names, Some(&totals), train.len())?;
        self.solver.check_draws(train.len()).map_err(SvmError::Option)?;
        let scaler = Scaler::fit(data.features, train, self.center, self.scale);
        let problem = Problem {
            source: Source { features: data.features, labels: data.labels, scaler: &scaler, weights: data.weights },
            train,
            validation: &[],
            n_classes: data.names.len(),
            objective: &objective,
            device,
            gradient: self.gradient,
            seed: self.seed,
            threads,
            early_stopping: None,
        };
        problem.source.blurred(train).iter().for_each(|j| {
            observer.warning(&format!(
                "column {j}: its preprocessed values differ by less than they are rounded by in single precision, in which most \
                 products are computed: center and scale it"
            ));
        });
        work(&problem, observer)
    }

    /// A fit as a model with its certificate.
    fn solution(&self, problem: &Problem<'_>, names: &[String], fit: Fit) -> Result<Solution, SvmError> {
        if let StopReason::Diverged { step } = fit.stop {
            return Err(SvmError::Diverged { step });
        }
        let (certificate, accuracy) = match (fit.certificate, &fit.evaluation) {
            (Some(certificate), Some(evaluation)) => (certificate, evaluation.confusion.accuracy()),
            _ => certificate::of_any(problem, &fit.weight, fit.bias.as_deref())?,
        };
        let training = self.training(problem.objective, problem.train.len());
        let classifier = Classifier {
            weight: fit.weight,
            bias: fit.bias,
            scaler: problem.source.scaler.clone(),
            encoding: None,
            class_names: names.to_vec(),
            feature_names: None,
            image_shape: None,
            origin: Origin::Trained(training),
        };
        Ok(Solution {
            model: Model::of(classifier),
            certificate,
            accuracy,
            stop: fit.stop,
            steps: fit.steps,
            epochs: fit.epochs,
            seconds: fit.solve,
        })
    }

    /// A calibration fitted on the scores of folds by models that have not seen them.
    pub(super) fn out_of_fold(
        &self,
        data: &TrainingData<'_>,
        fit: impl Fn(&[u32], &mut dyn Observer) -> Result<Solution, SvmError>,
    ) -> Result<Option<Calibrator>, SvmError> {
        let k = data.names.len();
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        generator.set_stream(streams::FOLDS);
        let mut fold_of = vec![0; data.labels.len()];
        for class in 0..k {
            #[allow(clippy::cast_possible_truncation)]
            let mut rows: Vec<usize> = (0..data.labels.len()).filter(|&i| data.labels[i] == class as u32).collect();
            if rows.len() < 2 {
                let problem = format!("class `{}` has {} row, expected 2 or more", data.names[class], rows.len());
                return Err(SvmError::Option(format!("calibration: {problem}")));
            }
            rows.shuffle(&mut generator);
            rows.iter().enumerate().for_each(|(at, &row)| fold_of[row] = (at + class) % FOLDS);
        }
        let (mut scores, mut labels) = (Vec::new(), Vec::new());
        for fold in 0..FOLDS {
            #[allow(clippy::cast_possible_truncation)]
            let (out, within): (Vec<u32>, Vec<u32>) =
                (0..data.labels.len() as u32).partition(|&row| fold_of[row as usize] == fold);
            if out.is_empty() {
                continue;
            }
            scores.extend(fit(&within, &mut ())?.model.classifier().scores(data.features, &out));
            labels.extend(out.iter().map(|&row| data.labels[row as usize] as usize));
        }
        Ok(Calibrator::fit(self.calibration, &scores, &labels, k))
    }
}
